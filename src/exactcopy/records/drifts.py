"""drift.jsonl: a line for each drift check, which names the line before by its hash. No UID, label or path is in it."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from exactcopy.records import Record

FILE = "drift.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The drift checks, oldest first.

    `hashes` are those of their lines, `faults` the lines, from 1, that cannot be read or do not follow the one before.
    `cut_off`: what stands after the last line break was not written to its end, and is no line.
    """

    entries: tuple[Mapping[str, Any], ...] = ()
    hashes: tuple[str, ...] = ()
    faults: tuple[int, ...] = ()
    cut_off: bool = False

    @property
    def head(self) -> str | None:
        """The hash of the newest line."""
        return self.hashes[-1] if self.hashes else None


def read(state: Path) -> Log:
    """Return the drift checks of the configuration whose folder `state` is."""
    try:
        content = (state / FILE).read_bytes()
    except FileNotFoundError:
        return Log()
    *lines, rest = content.split(b"\n")
    entries: list[dict[str, Any]] = []
    hashes: list[str] = []
    faults: list[int] = []
    for number, line in enumerate(lines, start=1):
        entry = _entry(line)
        if entry is None or entry["previous"] != (hashes[-1] if hashes else None):
            faults.append(number)
        if entry is not None:
            entries.append(entry)
        hashes.append(sha256(line).hexdigest())
    return Log(entries=tuple(entries), hashes=tuple(hashes), faults=tuple(faults), cut_off=bool(rest))


def append(state: Path, said: Mapping[str, Any]) -> None:
    """Add a drift check, chained to the one before; what a kill left of a line that was never finished goes."""
    path = state / FILE
    entry = {"at": said["at"], "previous": read(state).head, **said}
    line = json.dumps(entry, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        file.seek(file.read().rfind(b"\n") + 1)
        file.truncate()
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def since(log: Log, record: Record | None, now: datetime) -> dict[str, Any]:
    """Return what audit.json says of the drift checks since `record`; a day is one in UTC."""
    ran = [entry for entry in log.entries if record is not None and entry["record"]["id"] == record.id]
    moments = [datetime.fromisoformat(entry["at"]) for entry in ran]
    begun = datetime.fromisoformat(record.audit["audit"]["started"]) if record else now
    covered = {moment.astimezone(UTC).date() for moment in (begun, *moments, now)}
    span = (now.astimezone(UTC).date() - begun.astimezone(UTC).date()).days
    days = {begun.astimezone(UTC).date() + timedelta(days=day) for day in range(span)}
    return {
        "runs": len(ran),
        "first": ran[0]["at"] if ran else None,
        "last": ran[-1]["at"] if ran else None,
        "changed_runs": sum(bool(entry["changed"]) for entry in ran),
        "days_without": len(days - covered),
        "head_sha256": log.head,
        "faults": len(log.faults),
        "cut_off": log.cut_off,
    }


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
        datetime.fromisoformat(entry["at"])
        complete = isinstance(entry["record"]["id"], str) and {"previous", "changed", "findings"} <= entry.keys()
    except (ValueError, KeyError, TypeError):
        return None
    return entry if complete else None
