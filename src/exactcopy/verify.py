"""Prove that nothing in the records was altered: every file, every link, and the newest against an anchor.

A chain cannot show that its newest records were cut off, or that somebody made all of it anew. An anchor can: the hash
on the signed paper, or the file that `[seal] anchor` names.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exactcopy import seal
from exactcopy.errors import RecordError
from exactcopy.records import MANIFEST, RESTRICTED, digest, drifts, load, shown_key

_LINE = re.compile(r"([0-9a-f]{64})  ([^\n]+)")
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_PUT_BACK = "Put it back from a copy of the records"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found. `records` are oldest first, `faults` whole sentences, `months` those between without an audit.

    `broken` names the records with a fault of their own. `stamps` say which report a service of time stamps saw, and
    when.
    """

    records: tuple[str, ...]
    head: str | None
    faults: tuple[str, ...]
    broken: frozenset[str]
    archived: tuple[str, ...]
    months: tuple[str, ...]
    anchored: bool
    stamps: tuple[str, ...]
    drift: drifts.Log


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """One folder below `records`, as it is now. `previous` is what it says was before it: an id and a hash."""

    folder: Path
    started: datetime | None
    manifest: str | None
    audit: str | None
    previous: tuple[str, str] | None
    archived: bool
    faults: tuple[str, ...]
    stamp: str | None = None
    # The hash of the newest drift check when it was sealed.
    drift_head: str | None = None

    @property
    def name(self) -> str:
        """The folder's name, as it may be printed."""
        return _shown(self.folder.name)


def verify(records: Path, anchors: Sequence[str], state: Path | None = None) -> Verified:
    """Hold every record in the folder `records` against its manifests, its neighbours and the anchors.

    And the drift checks, if the folder `state` that holds them is named, against one another and the records. An
    anchor is a SHA-256 of an audit.json or of a manifest, or the path of a file of such hashes. Raises RecordError
    where there is nothing to verify, or an anchor that is none.
    """
    if not records.is_dir():
        raise RecordError(f"{records}: there are no records. Name the folder `records`, or the configuration.")
    folders = sorted(path for path in records.iterdir() if path.is_dir() and not path.name.startswith("."))
    hashes = [each for anchor in anchors for each in _hashes(anchor)]
    if not folders:
        raise RecordError(f"{records}: there are no records. Name the folder `records`, or the configuration.")
    found = {folder.name: _examine(folder) for folder in folders}
    faults = [fault for each in found.values() for fault in each.faults]
    faults += _links(found)
    faults += _held_against(found, hashes)
    drift = drifts.read(state) if state else drifts.Log()
    faults += _drift(found, drift) if state else ()
    dated = sorted((each.started, each.name) for each in found.values() if each.started)
    followed = {each.previous[0] for each in found.values() if each.previous}
    heads = [each for name, each in found.items() if name not in followed]
    return Verified(
        records=tuple(name for _, name in dated),
        head=heads[0].manifest if len(heads) == 1 else None,
        faults=tuple(faults),
        broken=frozenset(name for name, each in found.items() if each.faults),
        archived=tuple(each.name for each in found.values() if each.archived),
        months=tuple(_months_without([moment for moment, _ in dated])),
        anchored=bool(hashes),
        stamps=tuple(each.stamp for each in found.values() if each.stamp),
        drift=drift,
    )


def lines(verified: Verified) -> Iterator[str]:
    """Yield what a person is told."""
    first, last = verified.records[0] if verified.records else "none", verified.records[-1] if verified.records else ""
    count = f"{len(verified.records)} {'record' if len(verified.records) == 1 else 'records'}, {first}"
    yield f"{count} to {last}" if len(verified.records) > 1 else count
    yield ""
    for fault in verified.faults:
        yield f"✗ {fault}"
    if not verified.faults:
        yield "✓ Every file is as its manifest says, and every record follows the one before."
        yield (
            "✓ Every hash of the anchor is that of a record."
            if verified.anchored
            else "! Without an anchor nobody can see whether the newest records were cut off, or all made anew. Next:"
            " --anchor with the SHA-256 of audit.json that the last signed report prints."
        )
    for stamp in verified.stamps:
        yield f"✓ {stamp}"
    if verified.drift.entries and not verified.faults:
        yield f"✓ Every one of {len(verified.drift.entries):,} drift checks follows the one before."
    if verified.drift.cut_off:
        yield f"! {drifts.FILE}: the last line was cut off while it was written, and counts for nothing."
    if verified.archived:
        yield f"! Evidence archived: restricted/ was moved away from {', '.join(verified.archived)}."
    if verified.months:
        yield f"! No audit began in {', '.join(verified.months)}."
    if verified.head:
        yield f"\nSHA-256 of the newest manifest: {verified.head}"
    if verified.faults:
        yield (
            "\nKeep these records as they are, put a copy beside them, and find out who could write there: decide"
            " whether this is a security incident (45 CFR 164.308(a)(6)(ii))."
        )


def _examine(folder: Path) -> _Found:
    """Hold the files of one record against its manifests."""
    name = _shown(folder.name)
    try:
        record = load(folder)
        audit: Mapping[str, Any] = record.audit
        started = datetime.fromisoformat(audit["audit"]["started"])
        stated = str(audit["audit"]["id"])
        before = audit["previous"]
        previous = (str(before["id"]), str(before["manifest_sha256"])) if before else None
        evidence = str(audit["evidence"]["restricted_manifest_sha256"])
    except (RecordError, KeyError, TypeError, ValueError, OSError):
        gone = f"{name}: audit.json or {MANIFEST} is gone, or cannot be read. {_PUT_BACK}."
        return _Found(
            folder=folder, started=None, manifest=None, audit=None, previous=None, archived=False, faults=(gone,)
        )
    faults = [] if stated == folder.name else [f"{name}: this is the record {stated!a}, under another name."]
    listed, unread = _manifest(folder)
    faults += unread
    faults += _files(folder, {file: hash_ for file, hash_ in listed.items() if "/" not in file}, deep=False)
    expected = {f"{RESTRICTED}/{MANIFEST}": evidence}
    if previous:
        expected[f"../{previous[0]}/{MANIFEST}"] = previous[1]
    if {file: hash_ for file, hash_ in listed.items() if "/" in file} != expected:
        faults.append(f"{name}: its manifest and its audit.json do not name the same evidence and record before.")
    pdf, sealed, stamp = folder / "report.pdf", audit.get("seal"), None
    if sealed and pdf.exists():
        shows = seal.look_at(pdf, str(sealed["certificate_sha256"]))
        if shows.broken:
            faults.append(f"{name}/report.pdf: {shows.broken}. {_PUT_BACK}.")
        if shows.stamped:
            moment = shows.stamped.astimezone(UTC)
            stamp = (
                f"{name}/report.pdf: a time stamp of {moment:%Y-%m-%d %H:%M} UTC, by {_shown(shows.service or '?')}."
            )
    restricted = folder / RESTRICTED
    archived = not restricted.exists()
    if not archived:
        faults += _evidence(restricted, evidence)
    return _Found(
        folder=folder,
        started=started,
        manifest=record.manifest_sha256,
        audit=digest(folder / "audit.json"),
        previous=previous,
        archived=archived,
        faults=tuple(faults),
        stamp=stamp,
        drift_head=(audit.get("drift") or {}).get("head_sha256"),
    )


def _evidence(restricted: Path, expected: str) -> Iterator[str]:
    listed, unread = _manifest(restricted)
    yield from unread
    if not unread and digest(restricted / MANIFEST) != expected:
        yield f"{_place(restricted)}/{MANIFEST} was changed. {_PUT_BACK}."
    yield from _files(restricted, listed, deep=True)


def _manifest(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Return the hash of each file that a manifest lists, and what is wrong with it."""
    place = f"{_place(folder)}/{MANIFEST}"
    if (folder / MANIFEST).is_symlink():
        return {}, [f"{place} is a link. {_PUT_BACK}."]
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return {}, [f"{place} is gone, or cannot be read. {_PUT_BACK}."]
    lines = [_LINE.fullmatch(line) for line in text.split("\n")[:-1]]
    listed = {line[2]: line[1] for line in lines if line}
    if None in lines or len(listed) != len(lines) or not text.endswith("\n"):
        return listed, [f"{place} was changed: not every line is a hash and a name. {_PUT_BACK}."]
    return listed, []


def _files(folder: Path, listed: Mapping[str, str], *, deep: bool) -> Iterator[str]:
    """Yield what is changed, gone or added among the files of a folder."""
    place = _place(folder)
    there = {
        str(path.relative_to(folder)): path
        for path in (folder.rglob("*") if deep else folder.iterdir())
        if path.is_symlink() or not path.is_dir()
    }
    there.pop(MANIFEST, None)
    for name in sorted({*listed, *there}):
        shown = f"{place}/{_shown(name)}"
        path = there.get(name)
        if path is None:
            yield f"{shown} is gone. {_PUT_BACK}."
        elif name not in listed:
            yield f"{shown} was added: no manifest lists it. Move it to another folder."
        elif path.is_symlink() or not path.is_file():
            yield f"{shown} is a link, or no file. {_PUT_BACK}."
        elif not _holds(path, listed[name]):
            yield f"{shown} was changed. {_PUT_BACK}."


def _holds(path: Path, expected: str) -> bool:
    try:
        return digest(path) == expected
    except OSError:
        return False


def _links(found: Mapping[str, _Found]) -> Iterator[str]:
    """Yield where the records do not follow one another, each by the hash of the one before."""
    readable = [each for each in found.values() if each.manifest]
    firsts = [each.name for each in readable if each.previous is None]
    if len(firsts) > 1:
        yield f"{', '.join(firsts)}: each says that it is the first record. All but one were added."
    followers: dict[str, list[_Found]] = {}
    for each in readable:
        if each.previous is None:
            continue
        before, expected = each.previous
        followers.setdefault(before, []).append(each)
        there = found.get(before)
        if there is None:
            yield f"{each.name}: the record before it, {before!a}, is gone. {_PUT_BACK}."
        elif there.manifest != expected:
            yield f"{there.name}: {MANIFEST} is not the one that {each.name} was chained to. {_PUT_BACK}."
    for before, after in sorted(followers.items()):
        if len(after) > 1:
            names = ", ".join(each.name for each in after)
            yield f"{names}: each says that it follows {before!a}. All but one were added."


def _held_against(found: Mapping[str, _Found], hashes: Sequence[str]) -> Iterator[str]:
    known = {hash_ for each in found.values() for hash_ in (each.manifest, each.audit)}
    for hash_ in hashes:
        if hash_ not in known:
            yield (
                f"{hash_}: no record bears this hash of the anchor. A record was changed, made anew or cut off since."
                f" {_PUT_BACK}."
            )


def _drift(found: Mapping[str, _Found], log: drifts.Log) -> Iterator[str]:
    """Yield where the drift checks do not follow one another, or lack one that a record names."""
    for number in log.faults:
        yield f"{drifts.FILE}: line {number} cannot be read, or does not follow the line before. {_PUT_BACK}."
    for each in found.values():
        if each.drift_head is not None and each.drift_head not in log.hashes:
            yield f"{drifts.FILE}: the newest check that {each.name} names is gone, or was changed. {_PUT_BACK}."


def _hashes(anchor: str) -> list[str]:
    """Return the hashes that an anchor names. Raises RecordError where it is none."""
    if _HASH.fullmatch(anchor):
        return [anchor.lower()]
    try:
        text = Path(anchor).read_text(encoding="utf-8")
    except (OSError, ValueError):
        text = ""
    hashes = [line.split(maxsplit=1)[0].lower() for line in text.splitlines() if line.strip()]
    if not hashes or not all(map(_HASH.fullmatch, hashes)):
        raise RecordError(
            f"{anchor}: this is no anchor. Give the SHA-256 of audit.json as the signed report prints it, all 64"
            " characters, or the file that `[seal] anchor` names."
        )
    return hashes


def _months_without(moments: Sequence[datetime]) -> Iterator[str]:
    """Yield the months between the first and the last audit in which none began."""
    months = [moment.year * 12 + moment.month - 1 for moment in moments]
    for month in range(months[0], months[-1]) if months else ():
        if month not in months:
            yield f"{month // 12}-{month % 12 + 1:02}"


def _place(folder: Path) -> str:
    """Return which folder of which record, as it may be printed."""
    if folder.name == RESTRICTED:
        return f"{_shown(folder.parent.name)}/{RESTRICTED}"
    return _shown(folder.name)


def _shown(name: str) -> str:
    return shown_key(os.fsencode(name))
