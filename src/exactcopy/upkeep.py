"""Whether the records are kept: whole, one for each month, and apart from what they speak of."""

import contextlib
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from exactcopy.config import Config
from exactcopy.errors import RecordError, StoreUnavailable
from exactcopy.model import Role, Target
from exactcopy.records import History
from exactcopy.records.timeline import State, timeline
from exactcopy.results import Place, Upkeep
from exactcopy.stores import open_store
from exactcopy.verify import Verified, verify

# 45 CFR 164.316(b)(2)(i).
_SIX_YEARS = 72


def upkeep(config: Config, history: History, now: datetime) -> Upkeep | None:
    """Return what of the earlier records is there, six years back at most; None where there is none."""
    last = history.last
    if last is None:
        return None
    verified = _verified(config)
    entries = timeline(config, history.records)
    here = ZoneInfo(config.time_zone)
    finished = [_month(entry.started, here) for entry in entries if entry.state in (State.FINISHED, State.AWAY)]
    this = _month(now, here)
    first = max(min([*finished, this]), this - _SIX_YEARS + 1)
    missing = sorted({*range(first, this)} - {*finished})
    last_began = datetime.fromisoformat(last.audit["audit"]["started"])
    return Upkeep(
        faults=len(verified.faults) if verified else 1,
        last_whole=verified is not None and last.id not in verified.broken,
        last_readable=any((last.folder / name).is_file() for name in ("report.pdf", "report.html")),
        unfinished=sum(entry.state is State.NEVER and entry.started > last_began for entry in entries),
        away=sum(entry.state is State.AWAY and _month(entry.started, here) >= first for entry in entries),
        months=this - first + 1,
        missing=tuple(f"{month // 12}-{month % 12 + 1:02}" for month in missing),
        recently_missing=sum(month >= this - 12 for month in missing),
    )


def place_of(path: Path) -> Place:
    """Return what holds a path, or will: a first audit has no records yet."""
    folder = next(each for each in (path, *path.absolute().parents) if each.is_dir())
    target = Target(name="records", role=Role.PRIMARY, kind="folder", identity="", options={"path": folder})
    with contextlib.suppress(StoreUnavailable), open_store(target) as store:
        shown = store.safeguards()
        return Place(device=shown.device, disk=shown.disk, host=shown.host)
    return Place(device=None, disk=None, host=None)


def _verified(config: Config) -> Verified | None:
    anchor = config.anchor
    try:
        return verify(config.records, [str(anchor)] if anchor and anchor.exists() else [], config.state)
    except RecordError:
        return None


def _month(moment: datetime, zone: ZoneInfo) -> int:
    local = moment.astimezone(zone)
    return local.year * 12 + local.month - 1
