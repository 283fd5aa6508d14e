"""Record a decision: decisions.toml gets one more table at its end, and nothing else in it is touched."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from exactcopy import records
from exactcopy.assess import attestable, judges, load_controls
from exactcopy.config import Config, account
from exactcopy.decisions import LASTS, parse_decisions
from exactcopy.errors import ConfigError, ExactCopyError, RecordError
from exactcopy.records import Record

_COUNTS = "It counts from the next audit on."
_ROW = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """Who decides, in which office, and when: today where `on` is None."""

    by: str
    title: str
    on: date | None = None


def attest(
    config: Config,
    signed: Signed,
    control: str,
    statement: str,
    document: str | None,
    party: str | None,
    expires: date | None,
) -> Iterator[str]:
    """Record what somebody states of a control that the tool cannot see; yield what to tell."""
    said = {"control": control.upper(), "statement": statement, "document": document, "party": party}
    written = _append(config, signed, "attest", {**said, "expires": expires})
    yield f"Recorded in {config.decisions.name}: {control.upper()} is attested until {_until(written, expires)}."
    yield f"{_COUNTS} It is shown as attested, never as tested."


def accept(
    config: Config, signed: Signed, name: str, reason: str, alternative: str | None, expires: date | None
) -> Iterator[str]:
    """Record that a finding of the last record is accepted, with its studies of that day; yield what to tell."""
    record = records.last(config)
    finding = records.finding(record, name)
    studies = _studies(record, finding)
    labels = studies["labels"]
    said = {"finding": finding["id"], **studies, "reason": reason, "alternative": alternative}
    written = _append(config, signed, "accept", {**said, "expires": expires})
    of = f" with its {len(labels):,} {'study' if len(labels) == 1 else 'studies'} of {record.id}" if labels else ""
    yield (
        f"Recorded in {config.decisions.name}: {finding['id']} is accepted{of}, until {_until(written, expires)}. "
        f"{finding['title']}."
    )
    yield f"{_COUNTS} What is new since is open, and the result of the audit stays what it is."


def accept_elements(
    config: Config, signed: Signed, backup: str, elements: Sequence[str], reason: str, expires: date | None
) -> Iterator[str]:
    """Record that some elements may differ on a backup; yield what to tell."""
    known = [target.name for target in config.backups]
    if backup not in known:
        raise ConfigError([f"{backup}: is no backup of {config.path.name}. It has: {', '.join(known)}."])
    said = {"backup": backup, "elements": list(elements), "reason": reason, "expires": expires}
    written = _append(config, signed, "accept", said)
    yield (
        f"Recorded in {config.decisions.name}: {', '.join(elements)} may differ on {backup}, until "
        f"{_until(written, expires)}."
    )
    yield f"{_COUNTS} No such copy is called exact, and the result of the audit stays what it is."


def assign(
    config: Config, signed: Signed, name: str, owner: str | None, due: date | None, cause: str | None
) -> Iterator[str]:
    """Record who mends what, until when, or the cause that was found; yield what to tell."""
    action = _action(records.last(config), name)
    _append(config, signed, "assign", {"finding": action["id"], "owner": owner, "due": due, "cause": cause})
    yield f"Recorded in {config.decisions.name}: {action['id']}, {action['title']}."
    yield f"Owner: {owner or action['owner'] or 'No owner yet'}, by {due or action['due'] or 'no date'}."
    yield f"{_COUNTS} It stays on the list until an audit no longer finds it."


def dispose(
    config: Config,
    signed: Signed,
    labels: Sequence[str],
    before: date | None,
    primary: str | None,
    store: str | None,
    reason: str,
    policy: str,
) -> Iterator[str]:
    """Record that studies were deleted on purpose, or that a store is no longer in use; yield what to tell."""
    named = [label.upper() for label in labels]
    if named:
        _known_labels(records.last(config), named)
    if store is not None:
        _retired(config, store)
    what = {"labels": named, "before": before, "primary": primary, "store": store}
    _append(config, signed, "dispose", {**what, "reason": reason, "policy": policy})
    of = f"the store {store}" if store else ", ".join(named) or f"studies of before {before}"
    yield f"Recorded in {config.decisions.name}: the disposal of {of}. It does not expire."
    if store is None:
        yield f"{_COUNTS} It explains what is gone; of a study that is still there, in part or whole, it says nothing."
    else:
        yield f"{_COUNTS} It explains why {store} is no longer audited."


def incident(config: Config, signed: Signed, name: str, *, is_one: bool, reason: str) -> Iterator[str]:
    """Record whether what a finding of the last record saw is a security incident; yield what to tell."""
    record = records.last(config)
    finding = records.finding(record, name)
    said = {"finding": finding["id"], **_studies(record, finding), "incident": is_one, "reason": reason}
    _append(config, signed, "incident", said)
    yield (
        f"Recorded in {config.decisions.name}: {finding['id']} is {'a' if is_one else 'no'} security incident. "
        f"{finding['title']}."
    )
    yield _COUNTS + " A change that is new since asks for a decision of its own."
    if is_one:
        yield "Next: respond to it and document its outcome (45 CFR 164.308(a)(6)(ii)); see 164.400 to 414 on breaches."


def review(config: Config, signed: Signed, name: str, scan: Path | None) -> Iterator[str]:
    """Record that the report of a record was read and signed; yield what to tell. The `scan` is not copied."""
    wanted = Path(name).name
    record = next((each for each in records.chain(config) if each.id == wanted), None)
    if record is None:
        raise RecordError(f"{name}: is no record below {config.records}. Name the folder of one.")
    digest = records.digest(record.folder / "audit.json")
    if f"{digest}  audit.json" not in (record.folder / records.MANIFEST).read_text(encoding="utf-8").splitlines():
        raise RecordError(
            f"{record.folder}: audit.json is not what the manifest says. Put it back from a copy; `exactcopy verify` "
            "says what else was altered."
        )
    try:
        scanned = records.digest(scan) if scan else None
    except OSError as error:
        raise ExactCopyError(f"{scan}: cannot be read ({error.strerror}). Name the file of the scan.") from error
    _append(config, signed, "review", {"record": record.id, "sha256": digest, "scan_sha256": scanned})
    yield f"Recorded in {config.decisions.name}: the report of {record.id} was reviewed by {signed.by}."
    yield f"It holds for this report only, by its SHA-256 {digest}."
    if scanned:
        yield f"SHA-256 of the scan: {scanned}. Keep the scan: it was not copied."
    yield _COUNTS


def _append(config: Config, signed: Signed, kind: str, said: Mapping[str, object]) -> date:
    """Write one more table of `kind` at the end of decisions.toml; return its day.

    The whole file is checked first, and replaced at once. Raises ConfigError with every fault, and RunLocked.
    """
    now = datetime.now(UTC)
    # A decision of tomorrow is none, wherever tomorrow has begun.
    on = signed.on or min(now.date(), now.astimezone(ZoneInfo(config.time_zone)).date())
    table = {**said, "by": signed.by, "title": signed.title, "on": on, "entered_by": account()}
    controls = load_controls()
    with records.locked(config):
        path = Path(os.path.realpath(config.decisions))
        before = path.read_bytes() if path.exists() else b""
        parting = b"" if not before else b"\n" if before.endswith(b"\n") else b"\n\n"
        content = before + parting + _rendered(kind, table).encode()
        try:
            parse_decisions(path.name, content, attestable(controls), now.date(), judges(controls, config))
        except ConfigError as error:
            raise ConfigError([*error.faults, f"Nothing was recorded: {path.name} is as it was."]) from None
        _replace(path, content)
    return on


def _rendered(kind: str, said: Mapping[str, object]) -> str:
    import tomlkit

    table = tomlkit.table()
    for key, value in said.items():
        if value is None or value == []:
            continue
        item = tomlkit.item(value)
        if isinstance(item, tomlkit.items.Array):
            item.multiline(len(item) > _ROW)
        table.append(key, item)
    tables = tomlkit.aot()
    tables.append(table)
    return tomlkit.dumps({kind: tables})


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        shutil.copymode(path, partial)
    os.replace(partial, path)


def _until(on: date, expires: date | None) -> date:
    return expires or on + LASTS


def _action(record: Record, name: str) -> Mapping[str, object]:
    """Return what is to be done by its id: a finding of the record, or what it could not ask about again."""
    carried = record.audit.get("corrective_actions", ())
    found: Mapping[str, object] | None = next((each for each in carried if each["id"].lower() == name.lower()), None)
    return found or records.finding(record, name)


def _studies(record: Record, finding: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a decision says of the studies of a finding: their labels, and how many images have a gap."""
    studies = records.studies_of(record, finding["id"])
    backups = {each["name"] for each in record.audit["stores"] if each["role"] == "backup"}
    counted = bool(studies) and finding["target"] in backups
    return {"labels": sorted(studies), "images": sum(studies.values()) if counted else None}


def _known_labels(record: Record, named: Sequence[str]) -> None:
    try:
        known = records.read_labels(record.restricted).values()
    except OSError as error:
        raise RecordError(f"{record.restricted}: the key of labels cannot be read ({error.strerror}).") from error
    if unknown := [label for label in named if label not in known]:
        raise RecordError(f"{', '.join(unknown)}: no study bears this label. Labels stand in gaps.csv and the report.")


def _retired(config: Config, store: str) -> None:
    """Raise where a store is still audited, or never was."""
    if store in {target.name for target in config.stores}:
        raise ConfigError([f"{store}: is still audited. Take it out of {config.path.name} first."])
    known = sorted({each["name"] for record in records.chain(config) for each in record.audit["stores"]})
    if store not in known:
        raise RecordError(f"{store}: no record names such a store. They name: {', '.join(known)}.")
