"""exactcopy.toml → Config. Every fault is told at once; pydantic is imported only while a file is loaded."""

import getpass
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from itertools import combinations
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exactcopy.errors import ConfigError
from exactcopy.model import Role, Severity, Target

if TYPE_CHECKING:
    from exactcopy.config.border import Fault, Where
    from exactcopy.config.tables import ConfigFile, Store

STATE = ".exactcopy"
DECISIONS = "decisions.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One configuration, checked and complete. `digest` covers every setting but the operator."""

    path: Path
    facility: str
    time_zone: str
    operator: str
    paper: str
    records: Path
    state: Path
    restricted_group: str | None
    rpo: timedelta
    rto: timedelta
    sample: str
    security_official: str | None
    it: str | None
    due: Mapping[Severity, int]
    primaries: tuple[Target, ...]
    backups: tuple[Target, ...]
    decisions: Path
    digest: str

    @property
    def stores(self) -> tuple[Target, ...]:
        """The primaries, then the backups."""
        return self.primaries + self.backups


def load_config(path: Path) -> Config:
    """Load `path`, or raise ConfigError with every fault in it."""
    from exactcopy.config.border import lines, parse, validate
    from exactcopy.config.tables import ConfigFile

    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            [f"{path}: is not there. Name the configuration, or write it as docs/configuration.md shows."]
        ) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror}). Make it readable."]) from error
    path = Path(os.path.abspath(path))
    file, faults = validate(ConfigFile, parse(path.name, content))
    faults += list(_rules(file, path.parent, {where for where, _ in faults}))
    if faults:
        raise ConfigError(lines(path.name, faults))
    return _config(file, path)


def _config(file: "ConfigFile", path: Path) -> Config:
    return Config(
        path=path,
        facility=file.facility,
        time_zone=file.time_zone,
        operator=file.operator or _account(),
        paper=file.paper.value,
        records=Path(os.path.abspath(path.parent / file.records)),
        state=path.parent / STATE,
        restricted_group=file.restricted_group,
        rpo=file.policy.rpo,
        rto=file.policy.rto,
        sample=file.policy.sample.value,
        security_official=file.people.security_official,
        it=file.people.it,
        due={Severity(severity): days for severity, days in file.people.due.model_dump().items()},
        primaries=tuple(_target(file, path.parent, Role.PRIMARY, name) for name in file.primary),
        backups=tuple(_target(file, path.parent, Role.BACKUP, name) for name in file.backup),
        decisions=path.parent / DECISIONS,
        digest=_digest(file.model_dump(exclude={"operator"})),
    )


def _target(file: "ConfigFile", base: Path, role: Role, name: str) -> Target:
    backup = role is Role.BACKUP
    store = file.backup[name] if backup else file.primary[name]
    path = _resolved(base, store.path)
    covers = tuple(primary for primary in file.primary if primary in (store.covers or file.primary))
    return Target(
        name=name,
        role=role,
        kind=store.kind,
        identity=_digest({"kind": store.kind, "path": path, "volumes": sorted(store.volumes)}),
        options={
            "path": path,
            "volumes": store.volumes,
            "max_absent": store.max_absent,
            "drop_cache": store.drop_cache,
            "synced_to": store.synced_to,
            "restored_from": store.restored_from,
            "restored_on": store.restored_on,
        },
        site=store.site,
        held_by=store.held_by,
        offsite=store.offsite,
        covers=covers if backup else (),
        rpo=store.rpo or file.policy.rpo,
        read=store.read,
        reread=store.reread,
        schedule=store.schedule,
    )


def _resolved(base: Path, path: str) -> str:
    # Not Path.resolve: it raises on a circle of links.
    return os.path.realpath(base / path)


def _digest(settings: Mapping[str, Any]) -> str:
    return sha256(dumps(settings, default=str, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _account() -> str:
    try:
        name = getpass.getuser()
    except (ImportError, KeyError, OSError):
        name = ""
    # LOGNAME may hold anything, and this gets into the report.
    return name if name.isprintable() and 0 < len(name) <= 200 else "unknown account"


# --- rules that look at more than one key -----------------------------------------------------------------


def _rules(file: "ConfigFile", base: Path, faulted: Collection["Where"]) -> Iterator["Fault"]:
    from exactcopy.config.tables import BACKUPS_ONLY

    stores: dict[Where, Store] = {}
    for role, tables in (("primary", file.primary), ("backup", file.backup)):
        if role in file.model_fields_set and not tables:
            yield (role,), f"names no store. Write [{role}.NAME] and the settings below it."
        stores |= {(role, name): store for name, store in tables.items()}
    for where, store in stores.items():
        if not re.fullmatch(r"[a-z0-9-]{1,40}", str(where[1])):
            yield where, 'is no store name. Write 1 to 40 characters of a-z, 0-9 and "-".'
        if "--" in str(where[1]):
            yield where, 'holds "--", which parts two names in the names of files. Write a single "-".'
        for key in BACKUPS_ONLY:
            if where[0] == "primary" and key in store.model_fields_set:
                yield (*where, key), "is a setting of backups only. Remove it."
        for key, beside, what in _together(store):
            if (*where, beside) not in faulted:
                yield (*where, key), what
    yield from _names(file)
    places = {where: _resolved(base, store.path) for where, store in stores.items() if store.path}
    yield from _places(places, str(base), _resolved(base, file.records), _resolved(base, STATE))


def _names(file: "ConfigFile") -> Iterator["Fault"]:
    from exactcopy.config.border import nearest, shown

    for name, backup in file.backup.items():
        if name in file.primary:
            yield ("backup", name), "is the name of a primary, too. Give one of them another name."
        for covered in backup.covers:
            if covered not in file.primary:
                meant = nearest(covered, file.primary)
                remedy = f"Did you mean {shown(meant)}?" if meant else "Write the names of primaries."
                yield ("backup", name, "covers"), f"{shown(covered)} is no primary. {remedy}"


def _together(store: "Store") -> Iterator[tuple[str, str, str]]:
    """Yield a key, the one that it must agree with, and what is wrong."""
    if not store.judged():
        yield "kind", "kind", f'"{store.kind}" is not in this version; it reads folders. Write "folder".'
    if store.synced_to and store.offsite:
        what = "cannot be true beside synced_to: that folder proves the local copy only. Remove one of the two."
        yield "offsite", "synced_to", what
    if store.restored_from and not store.restored_on:
        what = "is missing beside restored_from. Write the day of the restore: restored_on = 2026-11-24."
        yield "restored_on", "restored_on", what
    if store.restored_on and not store.restored_from:
        what = "is missing beside restored_on. Write what the folder was restored from."
        yield "restored_from", "restored_from", what
    if store.volumes and store.read == "rotation":
        what = 'cannot be rotation beside volumes: what one drive proved says nothing of another. Write "all".'
        yield "read", "volumes", what
    if store.max_absent and not store.volumes:
        yield "max_absent", "volumes", "needs volumes. List the drives in volumes, or remove it."


def _places(places: Mapping["Where", str], base: str, records: str, state: str) -> Iterator["Fault"]:
    from exactcopy.config.border import dotted

    for (where, path), (other, other_path) in combinations(places.items(), 2):
        inner, outer = _inside(path, other_path), _inside(other_path, path)
        if inner or outer:
            what = "is the same folder as" if inner and outer else "lies inside" if outer else "holds"
            remedy = "Write a folder of its own: a copy must not count itself."
            yield (*other, "path"), f"{what} {dotted(where)}. {remedy}"
    for where, path in places.items():
        if _inside(records, path):
            yield (
                ("records",),
                f"lies inside {dotted(where)}. Write a folder outside it: a store is never written to.",
            )
        if _inside(base, path) or _inside(state, path):
            yield (
                (*where, "path"),
                "holds the configuration, which exactcopy writes beside. Move that file out.",
            )
        elif _inside(path, state) or (_inside(path, records) and not _inside(records, path)):
            what = "lies where exactcopy keeps what is its own, and removes what is old. Write another folder."
            yield (*where, "path"), what


def _inside(path: str, folder: str) -> bool:
    """Tell whether `path` is `folder` or below it, also by another name (bind mount, case)."""
    return not _sames(folder).isdisjoint(
        same for part in (path, *map(str, Path(path).parents)) for same in _sames(part)
    )


def _sames(path: str) -> set[object]:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return {path}
    return {path, (status.st_dev, status.st_ino)}
