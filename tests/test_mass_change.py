"""What ransomware leaves is alarming, on primaries and backups; a normal month and a migration are not."""

import os
import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exactcopy.checks.alarm import no_mass_change
from exactcopy.checks.common import Result
from exactcopy.checks.primaries import baseline_complete, no_silent_alteration, no_unexplained_loss
from exactcopy.dicom.header import identify
from exactcopy.dicom.randomness import TELLING_BYTES, looks_random
from exactcopy.inventory.database import database, save_rows
from exactcopy.inventory.schema import INVENTORY
from exactcopy.model import Problem, Role, Severity, Target
from exactcopy.reconcile.case import Examined, open_case
from exactcopy.reconcile.changes import find_changes
from exactcopy.results import Evidence, Finding, MassChange, NotChecked, StoreFacts
from tests.clinic import Clinic, audit_at, findings, source, store
from tests.test_safeguard_checks import evidence
from tests.test_safeguard_checks import store as facts

NOW = datetime.now(UTC)
MONTH = timedelta(days=30)
COUNTS = st.integers(0, 2000)


@given(seed=st.integers(0), size=st.integers(1024, 3 * TELLING_BYTES))
def test_random_bytes_look_random(seed: int, size: int) -> None:
    assert looks_random(Random(seed).randbytes(size))


@given(text=st.binary(min_size=1, max_size=40), size=st.integers(1, TELLING_BYTES))
def test_what_repeats_does_not(text: bytes, size: int) -> None:
    assert not looks_random((text * size)[:size])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        Random(0).randbytes(1023),
        zlib.compress(Random(0).randbytes(9000)),
        b"\x89PNG\r\n\x1a\n" + Random(0).randbytes(9000),
        source("CT_small.dcm"),
        Path(__file__).read_bytes(),
    ],
    ids=["nothing", "too little", "zlib", "png", "dicom", "text"],
)
def test_what_is_something_does_not(data: bytes) -> None:
    assert not looks_random(data)


def test_what_is_encrypted_is_told_from_what_was_never_an_image() -> None:
    assert identify(Random(0).randbytes(40_000)).problem is Problem.SCRAMBLED
    assert identify(b"Dear colleagues, " * 2000).problem is Problem.NOT_DICOM


@given(
    known=COUNTS, changed=COUNTS, gone=COUNTS | st.none(), studies=COUNTS, lost=COUNTS, renamed=COUNTS,
    random=COUNTS, objects=COUNTS,
)  # fmt: skip
def test_an_alarm_is_raised_by_a_share_or_by_files_that_turned_and_by_nothing_else(
    known: int, changed: int, gone: int | None, studies: int, lost: int, renamed: int, random: int, objects: int
) -> None:
    seen = MassChange(
        compared_with="2026-10-24T060000Z", known=known, changed=changed, gone=gone, studies=studies,
        lost_magic=lost, renamed=renamed, high_entropy=random,
    )  # fmt: skip
    result = _asked(seen, objects)
    share = studies >= 5 and changed + (gone or 0) > known / 20
    turned = lost + renamed >= 5 or (random >= 5 and random > objects / 100)
    if share or turned:
        assert isinstance(result, Finding)
        assert result.severity is Severity.CRITICAL
        assert result.count > 0
    else:
        # A part that was not seen is never a pass.
        assert isinstance(result, NotChecked) if gone is None else result is None


def test_a_first_audit_compares_nothing_and_still_sees_what_is_encrypted() -> None:
    first = MassChange(compared_with=None, known=0, changed=None, gone=None)
    assert isinstance(_asked(first, 100), NotChecked)
    encrypted = MassChange(compared_with=None, known=0, changed=None, gone=None, high_entropy=40)
    assert isinstance(_asked(encrypted, 100), Finding)
    assert isinstance(no_mass_change(evidence(), facts("pacs", Role.PRIMARY)), NotChecked)


def _asked(seen: MassChange, objects: int) -> Any:
    pacs = facts("pacs", Role.PRIMARY, objects=objects)
    return no_mass_change(replace(evidence(primaries=(pacs,)), mass_change={"pacs": seen}), pacs)


@pytest.mark.parametrize("check", [no_silent_alteration, no_unexplained_loss, baseline_complete])
@pytest.mark.parametrize("hidden", [{"unlisted": 1}, {"unread": 1}], ids=["a folder not listed", "a file not read"])
def test_where_not_all_was_seen_no_integrity_control_is_without_exception(
    check: Callable[[Evidence, StoreFacts], Result], hidden: dict[str, Any]
) -> None:
    whole = facts(
        "pacs", Role.PRIMARY, instances=40, baseline=40, baseline_record="2026-10-24T060000Z", content_before=True
    )
    made = replace(evidence(primaries=(whole,)), previous="2026-10-24T060000Z")
    assert check(made, whole) is None
    assert isinstance(check(made, replace(whole, complete=False, **hidden)), NotChecked)


@pytest.mark.parametrize("check", [no_silent_alteration, no_unexplained_loss])
def test_what_only_an_older_record_shows_is_not_checked_since_the_last(
    check: Callable[[Evidence, StoreFacts], Result],
) -> None:
    older = facts("pacs", Role.PRIMARY, baseline_record="2026-09-24T060000Z", content_before=True)
    made = replace(evidence(primaries=(older,)), previous="2026-10-24T060000Z")
    answer = check(made, older)
    assert isinstance(answer, NotChecked)
    assert "2026-09-24T060000Z" in answer.reason


def test_a_month_a_migration_and_an_attack(tmp_path: Path, lean: None, ready_worker: None) -> None:
    clinic = Clinic(tmp_path, backups=("nas", "usb"))
    clinic.fill(20, 2)
    first = audit_at(clinic, NOW)
    assert _status(first) == "not checked"
    assert first["mass_change"]["nas"] == {
        "compared_with": None, "known": 0, "changed": None, "gone": None, "studies": 0,
        "lost_magic": 0, "renamed": 0, "notes": 0, "high_entropy": 0,
    }  # fmt: skip

    # A normal month: new studies, another place for all, a text file; a copy that was damaged before is mended.
    clinic.add(20, 0)
    (clinic.pacs / "archive").mkdir()
    for study in list(clinic.pacs.glob("study *")):
        study.rename(clinic.pacs / "archive" / study.name)
    (clinic.pacs / "how to restore your files.txt").write_text("Ask Sam.")
    clinic.mirror()
    month = audit_at(clinic, NOW + MONTH)
    assert ("no-mass-change", "pacs") not in findings(month)
    assert _status(month) == "no exception"
    assert {name: (seen["changed"], seen["gone"]) for name, seen in month["mass_change"].items()} == dict.fromkeys(
        ("pacs", "nas", "usb"), (0, 0)
    )
    assert {control["id"]: control["status"] for control in month["controls"] if control["id"].startswith("EC-IN")} == {
        "EC-IN-01": "not checked", "EC-IN-02": "no exception", "EC-IN-03": "no exception", "EC-IN-04": "no exception",
    }  # fmt: skip

    # An attack: a third of the images encrypted, those of the primary renamed, too.
    for number, path in enumerate(sorted((clinic.pacs / "archive").rglob("*.dcm"))[:14]):
        _encrypt(path, number)
        path.rename(f"{path}.locked")
    for path in sorted((clinic.root / "usb" / "archive").rglob("*.dcm"))[:12]:
        _encrypt(path, 7)
    attacked = audit_at(clinic, NOW + 2 * MONTH)
    assert attacked["conclusion"] == "exceptions noted"
    severities = findings(attacked)
    assert severities["no-mass-change", "pacs"] == severities["no-mass-change", "usb"] == "critical"
    assert ("no-mass-change", "nas") not in severities
    pacs, usb = attacked["mass_change"]["pacs"], attacked["mass_change"]["usb"]
    assert pacs == {
        "compared_with": month["audit"]["id"], "known": 41, "changed": 0, "gone": 14, "studies": 7,
        "lost_magic": 0, "renamed": 14, "notes": 1, "high_entropy": 14,
    }  # fmt: skip
    # Each of them lies there twice since the migration.
    assert (usb["gone"], usb["lost_magic"], usb["renamed"], usb["high_entropy"]) == (0, 12, 0, 12)
    assert store(attacked, "pacs")["problems"] == {"not_dicom": 1, "scrambled": 14}


def test_a_primary_of_which_nothing_is_left_is_an_alarm_and_no_wrong_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lean: None, ready_worker: None
) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(5, 1)
    audit_at(clinic, NOW)
    for number, path in enumerate(sorted(clinic.pacs.rglob("*.dcm"))):
        _encrypt(path, number)
    audit = audit_at(clinic, NOW + MONTH)
    assert store(audit, "pacs")["error"] == "no_instances"
    assert findings(audit)["no-mass-change", "pacs"] == "critical"
    assert audit["mass_change"]["pacs"]["gone"] == audit["mass_change"]["pacs"]["known"] == 5
    # Another place is a wrong path, and is told as such only.
    shutil.move(clinic.pacs, tmp_path / "elsewhere")
    configuration = clinic.configure().read_text().replace('path = "pacs"', 'path = "elsewhere"')
    monkeypatch.setattr(Clinic, "configure", lambda self: _written(tmp_path / "exactcopy.toml", configuration))
    elsewhere = audit_at(clinic, NOW + 2 * MONTH)
    assert store(elsewhere, "pacs")["error"] == "no_instances"
    assert ("no-mass-change", "pacs") not in findings(elsewhere)


def test_a_copy_that_was_mended_did_not_change_for_the_worse(tmp_path: Path, lean: None, ready_worker: None) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(6, 1)
    paths = sorted((clinic.root / "nas").rglob("*.dcm"))
    for path in paths[:5]:
        data = bytearray(path.read_bytes())
        data[-2000] ^= 1
        path.write_bytes(data)
    assert findings(audit_at(clinic, NOW))["copies-are-exact", "nas"] == "high"
    clinic.mirror()
    mended = audit_at(clinic, NOW + MONTH)
    assert ("no-mass-change", "nas") not in findings(mended)
    assert mended["mass_change"]["nas"]["changed"] == 0


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _encrypt(path: Path, seed: int) -> None:
    path.write_bytes(Random(seed).randbytes(os.path.getsize(path)))


def _status(audit: dict[str, Any]) -> str:
    [control] = [control for control in audit["controls"] if control["id"] == "EC-MW-01"]
    return str(control["status"])


SOPS = st.integers(0, 5)
OBJECTS = st.lists(st.tuples(SOPS, st.none() | st.integers(0, 2), st.booleans()), max_size=8)


@settings(max_examples=10, deadline=None)
@given(before=OBJECTS, now=OBJECTS, exact=st.sets(SOPS), disposed=st.sets(SOPS), complete=st.booleans())
def test_what_changed_or_went_is_what_a_plain_comparison_says(
    before: list[tuple[int, int | None, bool]],
    now: list[tuple[int, int | None, bool]],
    exact: set[int],
    disposed: set[int],
    complete: bool,
) -> None:
    with TemporaryDirectory() as folder, database(Path(folder) / "spill") as db:
        stores = []
        for name, role in (("pacs", Role.PRIMARY), ("nas", Role.BACKUP)):
            for when, objects in (("before", before), ("now", now)):
                rows = [_object(number, *each) for number, each in enumerate(objects)]
                save_rows(db, INVENTORY, rows, Path(folder) / name / when / "inventory.parquet")
            stores.append(
                Examined(
                    target=Target(name=name, role=role, kind="folder", identity="", options={}, covers=("pacs",)),
                    inventory=Path(folder) / name / "now",
                    previous=Path(folder) / name / "before",
                    previous_from="a record",
                    complete=complete,
                    absence_shows=complete,
                )
            )
        case = open_case(db, stores, 0)
        db.execute("create table outcomes (backup varchar, sop varchar, outcome varchar)")
        db.execute("create table disposals (primary_store varchar, study varchar)")
        for sop in exact:
            db.execute("insert into outcomes values ('nas', ?, 'identical')", [f"2.25.{sop}"])
        for sop in disposed:
            db.execute("insert into disposals values (null, ?)", [f"study {sop}"])
        found = find_changes(case, [facts("pacs", Role.PRIMARY), facts("nas")], {"pacs": 6, "nas": 6})

    sound = {(sop, content) for sop, content, damaged in before if content is not None and not damaged}
    there = {sop for sop, _, _ in now}
    bare = {(sop, content) for sop, content, _ in now}
    # Of what was not read nothing is said.
    same = {sop for sop, content in sound if (sop, content) in bare or (sop, None) in bare}
    gone = {sop for sop, _ in sound} - there - disposed
    changed = ({sop for sop, _ in sound} & there) - same
    assert (found["pacs"].changed, found["nas"].changed) == (len(changed), len(changed - exact))
    assert found["pacs"].gone == found["nas"].gone == (len(gone) if complete else None)
    assert found["nas"].studies == len(changed - exact) + (len(gone) if complete else 0)


def _object(number: int, sop: int, content: int | None, damaged: bool) -> list[Any]:
    known = {
        "key": f"{number}.dcm".encode(),
        "size": 1,
        "study_instance_uid": f"study {sop}",
        "sop_instance_uid": f"2.25.{sop}",
        "sha256": None if content is None else bytes([content]) * 32,
        "problem": "truncated" if damaged else None,
    }
    return [known.get(column) for column in INVENTORY]
