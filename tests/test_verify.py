"""Nothing in the records can be altered unnoticed: two years of them, changed in every way that comes to mind."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

from exactcopy import records
from exactcopy.config import load_config
from exactcopy.errors import RecordError
from exactcopy.records import MANIFEST
from exactcopy.verify import Verified, lines, verify
from tests.clinic import Clinic, findings

MONTHS = [datetime(year, month, 24, 6, tzinfo=UTC) for year in (2025, 2026) for month in range(1, 13)]


def add(root: Path, moment: datetime) -> records.Record:
    """Seal a record of that moment, as an audit does, with little in it."""
    config = load_config(Clinic(root, backups=("nas",)).configure())
    unfinished = records.begin(config, moment)
    previous = next(iter(records.chain(config)), None)
    folder = unfinished.folder
    (folder / "report.pdf").write_bytes(b"%PDF of " + unfinished.id.encode())
    (folder / "gaps.csv").write_text("finding,check\n")
    inventory = unfinished.restricted / "inventory" / "pacs"
    inventory.mkdir(parents=True)
    (inventory / "part-0000000.parquet").write_bytes(sha256(unfinished.id.encode()).digest())
    (unfinished.restricted / "key.csv").write_text("label,study_instance_uid\n")
    audit = {
        "schema": records.SCHEMA,
        "audit": {"id": unfinished.id, "started": moment.isoformat()},
        "previous": {"id": previous.id, "manifest_sha256": previous.manifest_sha256} if previous else None,
        "evidence": {"restricted_manifest_sha256": records.seal_restricted(unfinished)},
    }
    (folder / "audit.json").write_text(json.dumps(audit, indent=1))
    return records.seal(config, unfinished, previous)


@dataclass(frozen=True, slots=True)
class Archive:
    """Two years of records, to be altered: each alteration is taken back."""

    folder: Path

    @contextmanager
    def altered(self) -> Iterator[Path]:
        """Give a copy that may be altered."""
        copy = self.folder.with_name("altered")
        shutil.copytree(self.folder, copy, symlinks=True)
        try:
            yield copy
        finally:
            shutil.rmtree(copy)

    def files(self) -> list[Path]:
        """Give every file, relative to the folder."""
        return sorted(path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    root = tmp_path_factory.mktemp("clinic")
    for moment in MONTHS:
        add(root, moment)
    return Archive(root / "records")


def said(folder: Path, *anchors: str) -> Verified:
    return verify(folder, anchors)


def names(folder: Path) -> list[str]:
    """Give the names of the records, oldest first."""
    return sorted(path.name for path in folder.iterdir())


def test_what_nobody_altered_raises_no_alarm(archive: Archive) -> None:
    verified = said(archive.folder)
    assert verified.faults == verified.months == verified.archived == ()
    assert list(verified.records) == names(archive.folder)
    assert len(verified.records) == 24
    assert verified.head == sha256((archive.folder / names(archive.folder)[-1] / MANIFEST).read_bytes()).hexdigest()


def changed(content: bytes, place: int, number: int) -> bytes:
    """Flip a byte, lose it, add one before it, or let it change places with the last one."""
    before, byte, after = content[:place], content[place : place + 1], content[place + 1 :]
    match number % 4:
        case 1:
            return before + after
        case 2:
            return before + b"%" + byte + after
        case 3 if after and after[-1:] != byte:
            return before + after[-1:] + after[:-1] + byte
    return before + bytes([byte[0] ^ (1 + number % 255)]) + after


def test_every_changed_byte_is_found_and_named(archive: Archive) -> None:
    random, found, tried = Random(24), 0, 0
    with archive.altered() as copy:
        for name in archive.files():
            path = copy / name
            content = path.read_bytes()
            # In one record each sixteenth byte, in all others two of every file.
            every = range(random.randrange(16), len(content), 16)
            for place in every if name.parts[0] == names(copy)[11] else random.sample(range(len(content)), 2):
                path.write_bytes(changed(content, place, tried))
                verified = said(copy)
                tried += 1
                found += any(name.parts[0] in fault for fault in verified.faults)
            path.write_bytes(content)
        assert said(copy).faults == ()
    print(f"{found} of {tried} flipped, lost, added and moved bytes found")  # noqa: T201
    assert found == tried > 300


def test_every_deleted_added_and_exchanged_file_is_found(archive: Archive) -> None:
    found, tried = 0, 0
    others = [name for name in archive.files() if name.parts[0] in names(archive.folder)[1::2]]
    with archive.altered() as copy:
        for name, other in zip(others, [*others[1:], others[0]], strict=True):
            path, there = copy / name, copy / other
            content, instead = path.read_bytes(), there.read_bytes()
            path.unlink()
            tried, found = tried + 1, found + any(name.parts[0] in fault for fault in said(copy).faults)
            path.symlink_to(archive.folder / name)
            tried, found = tried + 1, found + any(name.parts[0] in fault for fault in said(copy).faults)
            path.unlink()
            path.write_bytes(instead)
            there.write_bytes(content)
            tried, found = tried + 1, found + (bool(said(copy).faults) or content == instead)
            path.write_bytes(content)
            there.write_bytes(instead)
            added = path.with_name("added.csv")
            added.write_text("x")
            tried, found = tried + 1, found + any("added.csv was added" in fault for fault in said(copy).faults)
            added.unlink()
        assert said(copy).faults == ()
    assert tried > 300
    print(f"{found} of {tried} deleted, linked, exchanged and added files found")  # noqa: T201
    assert found == tried


def lose(folder: Path, number: int) -> str:
    """Delete a record."""
    shutil.rmtree(folder / names(folder)[number])
    return "is gone"


def double(folder: Path, number: int) -> str:
    """Insert a copy of a record under a name of its own."""
    name = names(folder)[number]
    shutil.copytree(folder / name, folder / f"{name[:-2]}9Z")
    return "under another name"


def exchange(folder: Path, number: int) -> str:
    """Let two records take each other's place."""
    one, other = names(folder)[number], names(folder)[number - 1]
    (folder / one).rename(folder / "aside")
    (folder / other).rename(folder / one)
    (folder / "aside").rename(folder / other)
    return "under another name"


def forge(folder: Path, number: int) -> str:
    """Insert a record that is whole in itself, and follows one that another follows already."""
    name = names(folder)[number]
    record, forged = folder / name, folder / f"{name[:-2]}9Z"
    shutil.copytree(record, forged)
    audit = json.loads((forged / "audit.json").read_text())
    audit["audit"]["id"] = forged.name
    (forged / "audit.json").write_text(json.dumps(audit))
    changed = sha256((forged / "audit.json").read_bytes()).hexdigest()
    manifest = (forged / MANIFEST).read_text()
    before = sha256((record / "audit.json").read_bytes()).hexdigest()
    (forged / MANIFEST).write_text(manifest.replace(before, changed))
    return "says that it"


@pytest.mark.parametrize("alter", [lose, double, exchange, forge])
def test_every_record_that_is_deleted_inserted_or_exchanged_is_found(
    archive: Archive, alter: Callable[[Path, int], str]
) -> None:
    # Without an anchor it does not show that the newest was cut off.
    numbers = range(1, 23) if alter is lose else range(1, 24)
    for number in numbers:
        with archive.altered() as copy:
            words = alter(copy, number)
            assert any(words in fault for fault in said(copy).faults), number


def test_the_first_record_is_missed_too(archive: Archive) -> None:
    with archive.altered() as copy:
        lose(copy, 0)
        assert "is gone" in " ".join(said(copy).faults)


def test_a_tail_that_was_cut_off_shows_by_an_anchor_and_not_without(archive: Archive, tmp_path: Path) -> None:
    head = names(archive.folder)[-1]
    printed = sha256((archive.folder / head / "audit.json").read_bytes()).hexdigest()
    file = tmp_path / "anchor"
    manifests = [sha256((archive.folder / name / MANIFEST).read_bytes()).hexdigest() for name in names(archive.folder)]
    file.write_text("".join(f"{manifest}  x\n" for manifest in manifests))
    assert said(archive.folder, printed, printed.upper(), str(file)).faults == ()
    with archive.altered() as copy:
        lose(copy, -1)
        assert said(copy).faults == ()
        assert not said(copy).anchored
        assert any("--anchor" in line for line in lines(said(copy)))
        for anchor in (printed, str(file)):
            [fault] = said(copy, anchor).faults
            assert "cut off" in fault


def test_evidence_that_was_moved_away_is_said_to_be_archived(archive: Archive) -> None:
    with archive.altered() as copy:
        old = names(copy)[:12]
        for name in old:
            shutil.rmtree(copy / name / "restricted")
        verified = said(copy)
        assert verified.faults == ()
        assert list(verified.archived) == old
        assert "Evidence archived" in "\n".join(lines(verified))


def test_a_month_without_an_audit_is_named(tmp_path: Path) -> None:
    for moment in (MONTHS[0], MONTHS[1], MONTHS[4]):
        add(tmp_path, moment)
    verified = said(tmp_path / "records")
    assert verified.faults == ()
    assert verified.months == ("2025-03", "2025-04")
    assert "No audit began in 2025-03, 2025-04." in "\n".join(lines(verified))


def test_what_is_no_record_and_no_anchor_is_told(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    for folder in (tmp_path / "none", tmp_path / "nowhere"):
        with pytest.raises(RecordError, match="there are no records"):
            said(folder)
    (tmp_path / "notes.txt").write_text("remember the milk")
    for anchor in ("abc", str(tmp_path / "notes.txt"), str(tmp_path)):
        with pytest.raises(RecordError, match="this is no anchor"):
            said(archive.folder, anchor)


def status(audit: dict[str, Any]) -> str:
    """Give what an audit says of the records before it."""
    return next(str(control["status"]) for control in audit["controls"] if control["id"] == "EC-AU-02")


def test_real_audits_are_verified_by_the_command_line(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path / "clinic", backups=("nas",), settings='[seal]\nanchor = "../usb/heads.txt"')
    clinic.fill(1, 1, "rtplan.dcm")
    (tmp_path / "usb").mkdir()
    said_of_the_records = [status(clinic.audit(0)) for _ in range(2)]
    assert said_of_the_records == ["not checked", "no exception"]
    heads = tmp_path / "usb" / "heads.txt"
    kept = heads.read_text()
    heads.unlink()
    assert status(clinic.audit(0)) == "not checked"
    heads.write_text(kept + heads.read_text())
    good = clinic.run("verify")
    assert good.returncode == 0, good.stdout + good.stderr
    assert "3 records" in good.stdout
    assert "✓ Every hash of the anchor is that of a record." in good.stdout
    assert clinic.run("verify", "records").returncode == 0
    newest = clinic.record()
    printed = sha256((newest / "audit.json").read_bytes()).hexdigest()
    assert printed in (newest / "report.html").read_text()
    key = newest / "restricted" / "key.json"
    key.chmod(0o600)
    key.write_text(key.read_text() + " ")
    changed = clinic.run("verify")
    assert changed.returncode == 1
    assert f"✗ {newest.name}/restricted/key.json was changed." in changed.stdout
    later = clinic.audit(0)
    assert status(later) == "exception"
    assert findings(later)["records-are-intact", "audit"] == "high"
    shutil.rmtree(clinic.record())
    shutil.rmtree(newest)
    cut = clinic.run("verify")
    assert (cut.returncode, "cut off" in cut.stdout) == (1, True)
    assert clinic.run("verify", "records").returncode == 0
    paper = clinic.run("verify", "records", "--anchor", printed)
    assert (paper.returncode, printed in paper.stdout) == (1, True)


def test_an_anchor_that_cannot_be_written_is_a_warning_and_loses_nothing(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path / "clinic", backups=("nas",), settings='[seal]\nanchor = "../nowhere/heads.txt"')
    clinic.fill(1, 1, "rtplan.dcm")
    clinic.configure()
    done = clinic.run("audit")
    assert done.returncode == 0, done.stderr
    manifest = sha256((clinic.record() / MANIFEST).read_bytes()).hexdigest()
    assert "the anchor could not be written" in done.stderr
    assert f"{manifest}  {clinic.record().name}/{MANIFEST}" in done.stderr
