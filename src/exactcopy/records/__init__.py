"""Audit folders: begun, resumed, sealed, chained; labels; the lock. Nothing sealed is ever changed."""

import csv
import errno
import fcntl
import grp
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exactcopy import __version__
from exactcopy.errors import ConfigError, RecordError, RunLocked
from exactcopy.model import NO_BUDGET, Budget

if TYPE_CHECKING:
    from exactcopy.config import Config
    from exactcopy.decisions import Decisions

SCHEMA = 1
MANIFEST = "manifest-sha256.txt"
JOURNAL = "audits.jsonl"
RESTRICTED = "restricted"
# What the record withholds, and what it prints instead: it holds patient data.
WITHHELD = "withheld.json"
_ID = "%Y-%m-%dT%H%M%SZ"
_GAPS = ("altered", "different", "missing", "unreadable")
_RESUMABLE = timedelta(hours=24)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A sealed audit: its folder, what audit.json says, and the digest of its manifest."""

    folder: Path
    audit: Mapping[str, Any]
    manifest_sha256: str

    @property
    def id(self) -> str:
        """The audit's id, which is its folder's name."""
        return self.folder.name

    @property
    def restricted(self) -> Path:
        """The part with patient data in it; it may have been moved away."""
        return self.folder / RESTRICTED

    @property
    def withheld(self) -> dict[str, str]:
        """What may not travel because it held patient data, and what the record prints instead."""
        return _json(self.restricted / WITHHELD) or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """An audit under way. `folder` will become the record; `work` and `scratch` go."""

    id: str
    started: datetime
    root: Path

    @property
    def folder(self) -> Path:
        """What becomes the record."""
        return self.root / "record"

    @property
    def restricted(self) -> Path:
        """What of the record stays where it is."""
        return self.folder / RESTRICTED

    @property
    def work(self) -> Path:
        """Listings, plans and parts."""
        return self.root / "stores"


def check_group(config: "Config") -> None:
    """Raise ConfigError where records could not be given to `restricted_group`: before hours of reading."""
    group = config.restricted_group
    if group is None:
        return
    try:
        number = grp.getgrnam(group).gr_gid
    except KeyError:
        fault = f"{config.path.name}: restricted_group: there is no group {group}. Make it, or leave the key out."
        raise ConfigError([fault]) from None
    if os.geteuid() != 0 and number not in (os.getegid(), *os.getgroups()):
        fault = f"{config.path.name}: restricted_group: this account is not in {group}. Add it, or leave the key out."
        raise ConfigError([fault])


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One audit under way: what it was told, what came before, and where it writes."""

    config: "Config"
    decisions: "Decisions"
    history: "History"
    unfinished: Unfinished
    budget: Budget = NO_BUDGET


@contextmanager
def locked(config: "Config") -> Iterator[None]:
    """Hold the lock of this configuration; it dies with its process. Raises RunLocked."""
    config.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (config.state / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunLocked(
                f"{config.path.name}: another audit or drift check is running. Wait for it to end, or end it, then try"
                " again."
            ) from None
        yield


def scratch_folder(config: "Config") -> Path:
    """Return where scratch is while it is there."""
    return config.state / "scratch"


@contextmanager
def scratch(config: "Config") -> Iterator[Path]:
    """Give an empty folder, 0700, for test restores and tokens; it is gone in every ending, or else at the next run."""
    folder = scratch_folder(config)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def begin(config: "Config", now: datetime) -> Unfinished:
    """Take up the unfinished audit of the same configuration, version and schema, or begin a new one.

    What is older than a day, or of another configuration, is removed: its listings are no longer true.
    """
    home = config.state / "unfinished"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp = {"config_sha256": config.digest, "version": __version__, "schema": SCHEMA}
    for root in sorted(path for path in home.iterdir() if path.is_dir()):
        begun = _json(root / "begun.json")
        started = datetime.fromisoformat(begun["started"]) if begun else None
        if (
            begun
            and started
            and begun["stamp"] == stamp
            and timedelta() <= now - started < _RESUMABLE
            and not (config.records / root.name).exists()
        ):
            shutil.rmtree(root / "record", ignore_errors=True)
            return _prepared(Unfinished(id=root.name, started=started, root=root))
        shutil.rmtree(root)
    now = now.replace(microsecond=0)
    unfinished = Unfinished(id=_free_id(config, now), started=now, root=home / _free_id(config, now))
    _note(config, unfinished.id, "begun")
    unfinished.root.mkdir(mode=0o700)
    write_whole(unfinished.root / "begun.json", json.dumps({"started": now.isoformat(), "stamp": stamp}))
    return _prepared(unfinished)


def passing(scratch: Path, now: datetime) -> Unfinished:
    """Return what a run that leaves no record works in; an unfinished audit is not touched by it."""
    return _prepared(Unfinished(id="passing", started=now.replace(microsecond=0), root=scratch))


def seal(config: "Config", unfinished: Unfinished, previous: Record | None) -> Record:
    """Write the manifest of the finished folder and let it appear among the records, whole, by a rename."""
    lines = [f"{digest(path)}  {path.name}" for path in sorted(unfinished.folder.iterdir()) if path.is_file()]
    lines.append(f"{digest(unfinished.restricted / MANIFEST)}  {RESTRICTED}/{MANIFEST}")
    if previous is not None:
        lines.append(f"{previous.manifest_sha256}  ../{previous.id}/{MANIFEST}")
    write_whole(unfinished.folder / MANIFEST, "\n".join(lines) + "\n")
    config.records.mkdir(mode=0o700, parents=True, exist_ok=True)
    _protect(config.records, unfinished.folder, config.restricted_group)
    final = config.records / unfinished.id
    try:
        unfinished.folder.rename(final)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # Another file system: copy beside the place first, so that the record still appears at once.
        arriving = config.records / f".{unfinished.id}"
        shutil.rmtree(arriving, ignore_errors=True)
        try:
            shutil.copytree(unfinished.folder, arriving)
            arriving.rename(final)
        finally:
            shutil.rmtree(arriving, ignore_errors=True)
    # The record is there: what keeps the journal from saying so must not undo that.
    with suppress(OSError):
        _note(config, unfinished.id, "sealed")
    shutil.rmtree(unfinished.root, ignore_errors=True)
    return load(final)


def journal(config: "Config") -> dict[str, bool]:
    """Return the id of every audit that was ever begun, in that order, and whether it was sealed.

    Versions before this one noted none.
    """
    try:
        lines = (config.state / JOURNAL).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    known: dict[str, bool] = {}
    for line in lines:
        # A line that the power cut off says nothing.
        with suppress(ValueError, KeyError, TypeError):
            noted = json.loads(line)
            moment_of(noted["id"])
            known[noted["id"]] = noted["event"] == "sealed"
    return known


def _note(config: "Config", audit: str, event: str) -> None:
    """Add to the journal that an audit was begun or sealed; nothing is ever taken from it."""
    with (config.state / JOURNAL).open("a+b") as file:
        if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) and file.read(1) != b"\n":
            file.write(b"\n")
        file.write(json.dumps({"id": audit, "event": event}).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def moment_of(audit: str) -> datetime:
    """Return when the audit of this id began, to the second. Raises ValueError where it is no id."""
    return datetime.strptime(audit, _ID).replace(tzinfo=UTC)


def note_head(anchor: Path, record: Record) -> None:
    """Add the hash of a new record to the file `anchor`, a line that `sha256sum -c` takes. Raises OSError."""
    with anchor.open("a", encoding="utf-8") as file:
        file.write(f"{record.manifest_sha256}  {record.id}/{MANIFEST}\n")
        file.flush()
        os.fsync(file.fileno())


def seal_restricted(unfinished: Unfinished) -> str:
    """Write the manifest of restricted/ and return its digest."""
    folder = unfinished.restricted
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    names = sorted(path for path in files if str(path) != MANIFEST)
    write_whole(folder / MANIFEST, "".join(f"{digest(folder / name)}  {name}\n" for name in names))
    return digest(folder / MANIFEST)


def load(folder: Path) -> Record:
    """Return the record in `folder`. Raises RecordError."""
    audit = _json(folder / "audit.json")
    if audit is None or not (folder / MANIFEST).is_file():
        raise RecordError(f"{folder}: this is no record of an audit. Name a folder below `records`.")
    if audit.get("schema") != SCHEMA:
        raise RecordError(f"{folder}: its schema is not one that this version reads. Use a newer exactcopy.")
    return Record(folder=folder, audit=audit, manifest_sha256=digest(folder / MANIFEST))


def chain(config: "Config") -> list[Record]:
    """Return the records, newest first, by what each says was before it: clocks may have been wrong."""
    if not config.records.is_dir():
        return []
    found = {
        path.name: load(path)
        for path in config.records.iterdir()
        if not path.name.startswith(".") and (path / "audit.json").is_file()
    }
    earlier = {record.audit["previous"]["id"] for record in found.values() if record.audit["previous"]}
    heads = sorted(name for name in found if name not in earlier)
    if len(heads) > 1:
        raise RecordError(
            f"{config.records}: the records {', '.join(heads)} do not follow one another. Move those that do not"
            " belong here to another folder."
        )
    order: list[Record] = []
    name: str | None = heads[0] if heads else None
    while name in found:
        record = found.pop(name)
        order.append(record)
        name = record.audit["previous"]["id"] if record.audit["previous"] else None
    if found:
        raise RecordError(
            f"{config.records}: {', '.join(sorted(found))} stand in no line with the others. Move those that do not"
            " belong here to another folder."
        )
    return order


def last(config: "Config") -> Record:
    """Return the newest record. Raises RecordError where there is none."""
    found = chain(config)
    if not found:
        raise RecordError(f"{config.records}: there is no record yet. Run `exactcopy audit {config.path.name}` first.")
    return found[0]


def finding(record: Record, name: str) -> Mapping[str, Any]:
    """Return a finding of a record by its id, in whatever letters. Raises RecordError."""
    found = {each["id"].lower(): each for each in record.audit["findings"]}
    if name.lower() not in found:
        known = ", ".join(each["id"] for each in record.audit["findings"]) or "none"
        raise RecordError(f"{name}: the last record has no such finding. It has: {known}.")
    one: Mapping[str, Any] = found[name.lower()]
    return one


def studies_of(record: Record, finding_id: str) -> dict[str, int]:
    """Return the labels of the studies that a finding of a record is about, and how many images of each have a gap."""
    with (record.folder / "gaps.csv").open(newline="", encoding="utf-8") as file:
        found = [row for row in csv.DictReader(file) if row["finding"] == finding_id]
    return {row["label"]: sum(int(row[outcome] or 0) for outcome in _GAPS) for row in found}


class History:
    """The records, newest first, and which of them may be built upon."""

    def __init__(self, records: Sequence[Record]) -> None:
        """Take the chain."""
        self.records = tuple(records)
        self._intact: dict[str, bool] = {}

    @property
    def last(self) -> Record | None:
        """The newest record."""
        return self.records[0] if self.records else None

    def holding(self, name: str) -> Iterator[Record]:
        """Yield the records that have `name` under restricted/, which is what its manifest says it is."""
        for record in self.records:
            if (record.restricted / name).exists() and self.intact(record):
                yield record

    def labels(self) -> dict[str, str]:
        """Return the label that each Study Instance UID was given, as the newest record with a sound key has them."""
        keyed = next(self.holding("key.json"), None)
        return read_labels(keyed.restricted) if keyed else {}

    def intact(self, record: Record) -> bool:
        """Whether restricted/ is there and unchanged: what was altered proves nothing."""
        if record.id not in self._intact:
            self._intact[record.id] = _intact(record)
        return self._intact[record.id]


def _intact(record: Record) -> bool:
    try:
        lines = (record.restricted / MANIFEST).read_text(encoding="utf-8").splitlines()
        listed = [line.split("  ", 1) for line in lines]
        return record.audit["evidence"]["restricted_manifest_sha256"] == digest(record.restricted / MANIFEST) and all(
            digest(record.restricted / name) == expected for expected, name in listed
        )
    except (OSError, ValueError):
        return False


def read_labels(restricted: Path) -> dict[str, str]:
    """Return the label of each Study Instance UID that has one."""
    labels: dict[str, str] = json.loads((restricted / "key.json").read_text(encoding="utf-8"))
    return labels


def add_labels(labels: Mapping[str, str], studies: Iterable[str], highest: int) -> dict[str, str]:
    """Return `labels` with one more for each study that has none; none up to `highest` is used again."""
    number = max([highest, *(int(label.removeprefix("E-")) for label in labels.values())])
    # In an order that tells nothing of who was examined when.
    new = sorted(set(studies) - labels.keys(), key=lambda uid: sha256(uid.encode()).digest())
    return {**labels, **{uid: f"E-{number + place:04}" for place, uid in enumerate(new, start=1)}}


def write_labels(restricted: Path, labels: Mapping[str, str]) -> None:
    """Write key.csv for people, and key.json, in which no UID is changed to be safe in a spreadsheet."""
    write_whole(restricted / "key.json", json.dumps(labels, indent=1))
    rows = sorted((label, uid) for uid, label in labels.items())
    write_csv(restricted / "key.csv", ("label", "study_instance_uid"), rows)


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV file in which no cell can become a formula."""
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([safe_cell(value) for value in row] for row in rows)


def safe_cell(value: object) -> object:
    """Return a value that no spreadsheet takes for a formula and no terminal for a command."""
    if not isinstance(value, str):
        return "" if value is None else value
    plain = "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in value)
    return f"'{plain}" if plain.lstrip().startswith(_FORMULA) else plain


def shown_key(key: bytes) -> str:
    """Return a key as text from which its bytes can be had again: what does not print becomes \\xNN."""
    text = key.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _prepared(unfinished: Unfinished) -> Unfinished:
    for folder in (unfinished.work, unfinished.restricted):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return unfinished


def _free_id(config: "Config", now: datetime) -> str:
    """Return an id that no record has: two audits may begin within one second."""
    moment = now.astimezone(UTC)
    while (config.records / moment.strftime(_ID)).exists():
        moment += timedelta(seconds=1)
    return moment.strftime(_ID)


def _protect(records: Path, folder: Path, group: str | None) -> None:
    """Leave records to their owner; let the group, where there is one, pass through and read restricted/."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    if not group:
        return
    for path in (records, folder):
        shutil.chown(path, group=group)
        path.chmod(0o710)
    for path in [folder / RESTRICTED, *(folder / RESTRICTED).rglob("*")]:
        shutil.chown(path, group=group)
        path.chmod(0o750 if path.is_dir() else 0o640)


def _json(path: Path) -> dict[str, Any] | None:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return loaded if isinstance(loaded, dict) else None


def write_whole(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all, even when the power fails."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
