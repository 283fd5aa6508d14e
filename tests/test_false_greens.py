"""Ways in which an audit could say that all is well, and must not."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest

from exactcopy.errors import RecordError
from exactcopy.model import Answer, Safeguard, Seen
from exactcopy.stores import Safeguards
from exactcopy.stores.folder import FolderStore
from tests.clinic import Clinic, audit_at, findings, outcomes, store

pytestmark = pytest.mark.usefixtures("lean", "ready_worker")
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    """A clinic without a gap."""
    clinic = Clinic(tmp_path)
    clinic.fill(studies=3, instances=2, name="rtplan.dcm")
    return clinic


def edit(*paths: Path) -> None:
    """Change an element of files, on every side alike."""
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.StudyDescription = "edited"
        dataset.save_as(path)


def everywhere(clinic: Clinic, study: int) -> list[Path]:
    """Give where an instance of a study lies on all stores."""
    return [clinic.path(name, study, 0) for name in ("pacs", "nas", "usb")]


def status(audit: dict[str, Any], control: str) -> str:
    """Give the status of a control."""
    return next(str(row["status"]) for row in audit["controls"] if row["id"] == control)


def test_a_primary_that_no_backup_covers(clinic: Clinic) -> None:
    (clinic.root / "second").mkdir()
    shutil.copy2(clinic.path("pacs", 0, 0), clinic.root / "second" / "a.dcm")
    edit(clinic.root / "second" / "a.dcm")
    clinic.settings = '[primary.second]\nkind = "folder"\npath = "second"\n'
    clinic.stores = dict.fromkeys(("nas", "usb"), 'covers = ["pacs"]')
    audit = audit_at(clinic, NOW)
    assert findings(audit)["every-instance-has-a-copy", "second"] == "critical"
    assert audit["conclusion"] == "exceptions noted"


def test_an_absent_drive_that_is_the_only_backup_of_a_primary(clinic: Clinic) -> None:
    shutil.copytree(clinic.pacs, clinic.root / "second")
    clinic.settings = '[primary.second]\nkind = "folder"\npath = "second"\n'
    clinic.stores = {"nas": 'covers = ["pacs"]', "usb": 'volumes = ["A"]\nmax_absent = "35d"'}
    (clinic.root / "usb" / ".exactcopy-volume").write_text("A", encoding="utf-8")
    audit_at(clinic, NOW)
    shutil.rmtree(clinic.root / "usb")
    audit = audit_at(clinic, NOW + timedelta(days=1))
    assert (audit["complete"], audit["headline"]) == (False, "not_enough")


def test_a_renamed_primary_has_no_baseline(clinic: Clinic) -> None:
    audit_at(clinic, NOW)
    config = clinic.configure().read_text(encoding="utf-8").replace("[primary.pacs]", "[primary.archive]")
    clinic.configure = lambda: _written(clinic, config)  # type: ignore[method-assign]
    audit = audit_at(clinic, NOW + timedelta(days=30))
    assert status(audit, "EC-IN-02") == status(audit, "EC-IN-03") == status(audit, "EC-MW-01") == "not checked"
    assert findings(audit)["no-store-left-out", "audit"] == "high"
    assert audit["losses"]["compared_with"] is None


def _written(clinic: Clinic, text: str) -> Path:
    path = clinic.root / "exactcopy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_record_whose_evidence_was_moved_away_is_no_baseline(clinic: Clinic) -> None:
    audit_at(clinic, NOW)
    shutil.rmtree(clinic.record() / "restricted")
    for path in everywhere(clinic, 0):
        path.unlink()
    audit = audit_at(clinic, NOW + timedelta(days=30))
    assert status(audit, "EC-IN-03") == "not checked"


def test_a_record_whose_evidence_was_altered_is_not_used(clinic: Clinic) -> None:
    audit_at(clinic, NOW)
    known = clinic.record() / "restricted" / "known" / "pacs.parquet"
    known.write_bytes(known.read_bytes()[:-10])
    audit = audit_at(clinic, NOW + timedelta(days=30))
    assert status(audit, "EC-IN-03") == "not checked"


def test_an_alteration_on_every_side_stays_until_it_is_explained(clinic: Clinic) -> None:
    audit_at(clinic, NOW)
    edit(*everywhere(clinic, 0))
    for month in (1, 2):
        audit = audit_at(clinic, NOW + timedelta(days=30 * month))
        assert findings(audit)["no-silent-alteration", "pacs"] == "critical"


def test_an_archive_that_moved_keeps_its_baseline(clinic: Clinic) -> None:
    audit_at(clinic, NOW)
    shutil.move(clinic.pacs, clinic.root / "new disk")
    clinic.pacs.symlink_to(clinic.root / "new disk")
    edit(*everywhere(clinic, 0))
    audit = audit_at(clinic, NOW + timedelta(days=30))
    assert findings(audit)["no-silent-alteration", "pacs"] == "critical"


def test_damage_that_no_image_can_be_named_for(clinic: Clinic) -> None:
    for path in everywhere(clinic, 0):
        path.write_bytes(path.read_bytes()[:132] + b"\xff" * 500)
    audit = audit_at(clinic, NOW)
    assert findings(audit)["primary-is-sound", "pacs"] == "critical"


def test_an_archive_in_which_most_files_were_encrypted(clinic: Clinic) -> None:
    for study in range(3):
        for instance in range(2):
            if (study, instance) != (0, 0):
                for name in ("pacs", "nas", "usb"):
                    clinic.path(name, study, instance).write_bytes(os.urandom(3000))
    audit = audit_at(clinic, NOW)
    assert findings(audit)["files-are-images", "pacs"] == "high"
    assert audit["conclusion"] == "exceptions noted"


def test_an_empty_file_in_the_archive(clinic: Clinic) -> None:
    for path in everywhere(clinic, 0):
        path.write_bytes(b"")
    assert findings(audit_at(clinic, NOW))["files-are-images", "pacs"] == "medium"


def test_a_folder_behind_a_link_was_not_examined(clinic: Clinic) -> None:
    shutil.move(clinic.pacs / "study 0", clinic.root / "tier two")
    (clinic.pacs / "study 0").symlink_to(clinic.root / "tier two")
    for name in ("nas", "usb"):
        shutil.rmtree(clinic.root / name / "study 0")
    audit = audit_at(clinic, NOW)
    assert (audit["complete"], audit["headline"]) == (False, "not_enough")
    assert [item["reason"] for item in audit["not_examined"]] == ["links_not_followed"]
    assert findings(audit)["nothing-left-unopened", "pacs"] == "high"


def test_a_link_within_the_archive_hides_nothing(clinic: Clinic) -> None:
    (clinic.pacs / "latest").symlink_to("study 2")
    audit = audit_at(clinic, NOW)
    assert audit["complete"]
    assert findings(audit) == {("nothing-left-unopened", "pacs"): "low"}


def test_a_clock_that_was_in_the_future_proves_nothing_now(clinic: Clinic) -> None:
    clinic.stores = dict.fromkeys(("pacs", "nas", "usb"), 'read = "rotation"')
    audit_at(clinic, NOW + timedelta(days=5000))
    audit = audit_at(clinic, NOW)
    assert audit["timing"]["read_bytes"] > 0
    assert audit["comparisons"][0]["oldest_read_at"] == audit["audit"]["started"]


def test_a_drive_exchanged_between_kill_and_resume(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        """Stands for SIGKILL at this very moment."""

    def killed(*arguments: object, **named: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("exactcopy.comparing.find_differences", killed)
        with pytest.raises(Killed):
            audit_at(clinic, NOW)
    assert list(clinic.root.glob(".exactcopy/unfinished/*/stores/usb/part-*.parquet"))
    shutil.move(clinic.root / "usb", clinic.root / "first drive")
    shutil.copytree(clinic.pacs / "study 0", clinic.root / "usb" / "study 0")
    audit = audit_at(clinic, NOW)
    assert outcomes(audit, "usb") == {"identical": 2, "missing": 4}


def test_a_date_in_the_future_does_not_stand_for_a_backup_that_ran(clinic: Clinic) -> None:
    clinic.stores = dict.fromkeys(("nas", "usb"), 'schedule = "7d"')
    for name in ("pacs", "nas", "usb"):
        clinic.set_age(clinic.path(name, 0, 0), timedelta(days=-20_000))
    clinic.add(7, 0, "rtplan.dcm", age=timedelta(hours=1))
    assert findings(audit_at(clinic, NOW))["backup-ran-on-schedule", "nas"] == "high"


def test_a_folder_named_like_a_column_is_a_folder(tmp_path: Path) -> None:
    for name in ("sha256=abc", "sop=1", "problem=x", "[a]*?", "it's"):
        clinic = Clinic(tmp_path / name, backups=("nas",))
        clinic.fill(studies=1, instances=2, name="rtplan.dcm")
        edit(clinic.path("nas", 0, 0))
        assert outcomes(audit_at(clinic, NOW), "nas") == {"identical": 1, "different": 1}


def test_one_uid_in_two_studies_leaves_no_study_out(clinic: Clinic) -> None:
    twin = clinic.pacs / "twin.dcm"
    shutil.copy2(clinic.path("pacs", 0, 0), twin)
    dataset = pydicom.dcmread(twin)
    dataset.StudyInstanceUID = "2.25.1000.77"
    dataset.save_as(twin)
    audit = audit_at(clinic, NOW)
    assert audit["comparisons"][0]["studies"]["total"] == store(audit, "pacs")["studies"] == 4


@pytest.mark.parametrize("date", ["99991231", "00010101", "23000101"])
def test_a_placeholder_for_a_date_stops_nothing(clinic: Clinic, date: str) -> None:
    for path in everywhere(clinic, 0):
        dataset = pydicom.dcmread(path)
        dataset.StudyDate = date
        dataset.save_as(path)
    assert audit_at(clinic, NOW)["conclusion"] == "no exceptions noted"


def test_a_time_beyond_the_calendar_stops_nothing(clinic: Clinic) -> None:
    for path in everywhere(clinic, 0):
        os.utime(path, (13_000_000_000, 13_000_000_000))
    assert audit_at(clinic, NOW)["conclusion"] == "no exceptions noted"


def _empty_listing(root: Path) -> None:
    (root / "stores" / "nas" / "listing.json").write_bytes(b"")


def _empty_part(root: Path) -> None:
    next((root / "stores" / "nas").glob("part-*.parquet")).write_bytes(b"")


def _no_plan(root: Path) -> None:
    (root / "stores" / "nas" / "todo.parquet").write_bytes(b"PAR1")


@pytest.mark.parametrize("harm", [_empty_listing, _empty_part, _no_plan])
def test_what_a_power_cut_left_is_done_anew(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], None]
) -> None:
    class PowerCut(BaseException):
        """The lights go out."""

    def cut(*arguments: object, **named: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr("exactcopy.comparing.find_differences", cut)
        with pytest.raises(PowerCut):
            audit_at(clinic, NOW)
    harm(next(clinic.root.glob(".exactcopy/unfinished/*")))
    assert audit_at(clinic, NOW)["conclusion"] == "no exceptions noted"


def test_a_sealed_record_is_never_resumed(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("exactcopy.records.shutil.rmtree", lambda *arguments, **options: None)
        first = audit_at(clinic, NOW)
    (clinic.root / ".exactcopy" / "unfinished" / ".DS_Store").write_bytes(b"")
    second = audit_at(clinic, NOW + timedelta(seconds=5))
    assert second["previous"]["id"] == first["audit"]["id"]


def test_records_that_do_not_follow_one_another_are_refused(clinic: Clinic) -> None:
    audit_at(clinic, NOW)
    shutil.copytree(clinic.record(), clinic.record().with_name("2020-01-01T000000Z"))
    with pytest.raises(RecordError, match="do not follow one another"):
        audit_at(clinic, NOW + timedelta(days=1))


def test_labels_are_given_once_and_never_again(clinic: Clinic) -> None:
    hostile = clinic.pacs / "hostile.dcm"
    shutil.copy2(clinic.path("pacs", 0, 0), hostile)
    data = hostile.read_bytes()
    hostile.write_bytes(
        data.replace(b"2.25.1000.0\0", b"=1+1\x1b[31m\0\0\0").replace(b"2.25.2000.0.1", b"2.25.2000.9.1")
    )
    audit_at(clinic, NOW)
    keys = [json.loads((clinic.record() / "restricted" / "key.json").read_text(encoding="utf-8"))]
    audit_at(clinic, NOW + timedelta(days=30))
    keys.append(json.loads((clinic.record() / "restricted" / "key.json").read_text(encoding="utf-8")))
    assert keys[0] == keys[1]
    shutil.rmtree(clinic.record() / "restricted")
    shutil.rmtree(sorted((clinic.root / "records").iterdir())[0] / "restricted")
    audit_at(clinic, NOW + timedelta(days=60))
    keys.append(json.loads((clinic.record() / "restricted" / "key.json").read_text(encoding="utf-8")))
    assert not set(keys[2].values()) & set(keys[0].values())


@pytest.mark.parametrize("answer", [answer for answer in Answer if answer is not Answer.PASS])
def test_mocked_answers_of_stores_that_are_no_pass_are_none_in_the_record(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    shown = FolderStore.safeguards

    def safeguards(self: FolderStore) -> Safeguards:
        return replace(shown(self), host=None, disk=None, seen={name: Seen(answer=answer) for name in Safeguard})

    monkeypatch.setattr(FolderStore, "safeguards", safeguards)
    audit = audit_at(clinic, NOW)
    asked = ("EC-AC-01", "EC-EN-01", "EC-TX-01", "EC-AU-01", "EC-BK-08", "EC-BK-10", "EC-WS-01", "EC-IN-01", "NP-05")
    assert "no exception" not in {status(audit, control) for control in asked}
    public = answer is Answer.FAIL
    assert (("not-public", "nas") in findings(audit)) is public
    assert audit["conclusion"] == ("exceptions noted" if public else "no exceptions noted")


def test_a_sync_clients_folder_is_no_copy_elsewhere(clinic: Clinic) -> None:
    for name in ("nas", "usb"):
        (clinic.root / name / ".dropbox.cache").mkdir()
    audit = audit_at(clinic, NOW)
    assert findings(audit) == {
        ("kept-off-site", "audit"): "high",
        ("sync-folder-is-named", "nas"): "medium",
        ("sync-folder-is-named", "usb"): "medium",
    }
    assert (status(audit, "EC-BK-08"), status(audit, "EC-BK-09")) == ("exception", "exception")
    assert audit["conclusion"] == "no exceptions noted"
