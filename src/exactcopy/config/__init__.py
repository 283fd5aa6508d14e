"""exactcopy.toml → Config. Every fault is told at once; pydantic is imported only while a file is loaded."""

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exactcopy.errors import ConfigError
from exactcopy.model import Cost, ReadPolicy, RetentionRule, Role, Severity, Target
from exactcopy.windows import Window

if TYPE_CHECKING:
    from exactcopy.config.tables import ConfigFile

STATE = ".exactcopy"
DECISIONS = "decisions.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Who is told of what changed. `notify` and perhaps `ping` are references, never an address with a secret in it."""

    notify: tuple[str, ...] = ()
    ping: str | None = None
    metrics: Path | None = None
    remind: timedelta = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One configuration, checked and complete. `digest` covers every setting but the operator and the workers."""

    path: Path
    facility: str
    time_zone: str
    operator: str
    paper: str
    records: Path
    state: Path
    restricted_group: str | None
    workers: str | None
    rpo: timedelta
    rto: timedelta
    sample: str
    retention: RetentionRule | None
    security_official: str | None
    it: str | None
    due: Mapping[Severity, int]
    primaries: tuple[Target, ...]
    backups: tuple[Target, ...]
    recovery: Target | None
    decisions: Path
    seal_key: Path | None
    seal_passphrase: str | None
    seal_timestamp: str | None
    anchor: Path | None
    alert: Alert
    digest: str

    @property
    def stores(self) -> tuple[Target, ...]:
        """The primaries, then the backups: what is audited, and never written to."""
        return self.primaries + self.backups


def load_config(path: Path) -> Config:
    """Load `path`, or raise ConfigError with every fault in it."""
    from exactcopy.config.border import lines, parse, validate
    from exactcopy.config.rules import rules
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
    faults += list(rules(file, path.parent, STATE, {where for where, _ in faults}))
    if faults:
        raise ConfigError(lines(path.name, faults))
    return _config(file, path)


def load_alert(path: Path) -> tuple[str, Alert]:
    """Return the facility and whom to tell, as far as they can be read: a file that is faulty elsewhere tells of it."""
    from exactcopy.config.border import parse, validate
    from exactcopy.config.tables import ConfigFile

    try:
        file, _ = validate(ConfigFile, parse(path.name, path.read_bytes()))
    except (OSError, ConfigError):
        return "", Alert()
    return file.facility, _alert(file, Path(os.path.abspath(path)).parent)


def _alert(file: "ConfigFile", base: Path) -> Alert:
    from exactcopy.config.access import absolute, reference

    metrics = absolute(base, file.alert.metrics)
    return Alert(
        notify=tuple(filter(None, (reference(base, written) for written in file.alert.notify))),
        ping=reference(base, file.alert.ping),
        metrics=Path(metrics) if metrics else None,
        remind=file.alert.remind,
    )


def _config(file: "ConfigFile", path: Path) -> Config:
    from exactcopy.config.access import absolute, reference

    key, anchor = (absolute(path.parent, named) for named in (file.seal.key, file.seal.anchor))
    return Config(
        path=path,
        facility=file.facility,
        time_zone=file.time_zone,
        operator=file.operator or account(),
        paper=file.paper.value,
        records=Path(os.path.abspath(path.parent / file.records)),
        state=path.parent / STATE,
        restricted_group=file.restricted_group,
        workers=file.workers,
        rpo=file.policy.rpo,
        rto=file.policy.rto,
        sample=file.policy.sample.value,
        retention=RetentionRule(**file.policy.retention.model_dump()) if file.policy.retention else None,
        security_official=file.people.security_official,
        it=file.people.it,
        due={Severity(severity): days for severity, days in file.people.due.model_dump().items()},
        primaries=tuple(_target(file, path.parent, Role.PRIMARY, name) for name in file.primary),
        backups=tuple(_target(file, path.parent, Role.BACKUP, name) for name in file.backup),
        recovery=next((_recovery(file, path.parent, name) for name in file.recovery), None),
        decisions=path.parent / DECISIONS,
        seal_key=Path(key) if key else None,
        seal_passphrase=reference(path.parent, file.seal.passphrase),
        seal_timestamp=file.seal.timestamp,
        anchor=Path(anchor) if anchor else None,
        alert=_alert(file, path.parent),
        digest=_digest(file.model_dump(exclude={"operator", "workers"})),
    )


def _target(file: "ConfigFile", base: Path, role: Role, name: str) -> Target:
    backup = role is Role.BACKUP
    store = {Role.PRIMARY: file.primary, Role.BACKUP: file.backup, Role.RECOVERY: file.recovery}[role][name]
    covers = tuple(primary for primary in file.primary if primary in (store.covers or file.primary))
    return Target(
        name=name,
        role=role,
        kind=store.kind,
        identity=_digest({"kind": store.kind} | store.place(base)),
        options=store.options(base),
        site=store.site,
        held_by=store.held_by,
        offsite=store.offsite,
        covers=covers if backup else (),
        rpo=store.rpo or file.policy.rpo,
        keeps=store.keeps,
        # What a primary holds is the reference: it is read, whatever its provider reports.
        read=store.read if backup or store.read is not ReadPolicy.REPORTED else ReadPolicy.ALL,
        reread=store.reread,
        schedule=store.schedule,
        window=Window(*store.window, file.time_zone) if store.window else None,
        concurrency=store.concurrency,
        max_rate=store.max_rate,
        max_read=store.max_read,
        max_egress_cost=store.max_egress_cost,
        cost=Cost(**store.cost.model_dump()) if store.cost else None,
    )


def _recovery(file: "ConfigFile", base: Path, name: str) -> Target:
    target = _target(file, base, Role.RECOVERY, name)
    # Every kind that receives has the key.
    return replace(target, options={**target.options, "cleanup": getattr(file.recovery[name], "cleanup", False)})


def _digest(settings: Mapping[str, Any]) -> str:
    return sha256(dumps(settings, default=str, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def account() -> str:
    """Return the account of the operating system that runs this."""
    try:
        name = getpass.getuser()
    except (ImportError, KeyError, OSError):
        name = ""
    # LOGNAME may hold anything, and this gets into the report.
    return name if name.isprintable() and 0 < len(name) <= 200 else "unknown account"
