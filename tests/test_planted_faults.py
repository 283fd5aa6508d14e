"""Every kind of fault, planted in copies of real images, is found and counted exactly."""

import shutil
from datetime import timedelta
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import JPEG2000, RLELossless

from tests.clinic import Clinic, findings, outcomes, sop_instance_uid, store
from tests.faults import (
    EXTRA,
    FACTS,
    FINDINGS,
    INSTANCES,
    OUTCOMES,
    STUDIES,
    STUDY_STATES,
    compress,
    edit,
    flip,
    plant,
)


def test_each_planted_fault_has_its_outcome(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, pdf=True)
    clinic.fill(STUDIES, INSTANCES)
    plant(clinic, "nas")

    audit = clinic.audit(expected=1)

    assert outcomes(audit, "nas") == OUTCOMES
    assert outcomes(audit, "usb") == {"identical": 36}
    nas_row, usb_row = audit["comparisons"]
    assert nas_row["studies"] == STUDY_STATES
    assert usb_row["studies"] == {"total": 12, "protected": 12, "pending": 0, "gap": 0, "not_checked": 0}
    assert nas_row["changed_side"] == {"primary": 0, "backup": 4, "unknown": 0}
    assert nas_row["extra"] == EXTRA
    facts = store(audit, "nas")
    assert {name: facts[name] for name in FACTS} == FACTS
    assert findings(audit) == {(check, "nas"): severity for check, severity in FINDINGS.items()}
    assert audit["conclusion"] == "exceptions noted"
    assert audit["headline"] == "incomplete_copies"
    assert audit["complete"]
    nas_restore, usb_restore = audit["restore_tests"]
    assert (nas_restore["planned"], nas_restore["restored"], nas_restore["failed"]) == (3, 3, 0)
    assert (usb_restore["planned"], usb_restore["restored"], usb_restore["failed"]) == (12, 12, 0)
    assert nas_restore["sample"]["left_out"] == 9
    worklist = (clinic.record() / "restricted" / "worklist-nas.csv").read_text(encoding="utf-8")
    for study in (0, 1, 2, 3, 4, 5, 7, 11):
        assert sop_instance_uid(study, 0) in worklist
    assert sop_instance_uid(0, 1) not in worklist
    assert "PatientName" in worklist
    assert "Secretname" not in worklist


def test_no_gap_at_all_has_no_exception(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.fill(studies=3, instances=2)
    audit = clinic.audit(expected=0)
    assert (audit["conclusion"], audit["headline"], audit["complete"]) == ("no exceptions noted", "none", True)
    assert findings(audit) == {}
    assert outcomes(audit, "nas") == outcomes(audit, "usb") == {"identical": 6}
    assert [row["assurance"]["restored"] for row in audit["comparisons"]] == [6, 6]


def test_a_second_audit_finds_what_was_lost(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.fill(studies=6, instances=2)
    clinic.audit(expected=0)
    for name in ("pacs", "nas", "usb"):
        shutil.rmtree(clinic.path(name, 0, 0).parent)
    shutil.rmtree(clinic.path("pacs", 1, 0).parent)
    clinic.path("usb", 1, 0).unlink()
    flip(clinic.path("pacs", 2, 0), -2000)
    for name in ("pacs", "nas", "usb"):
        shortened = clinic.path(name, 3, 0)
        shortened.write_bytes(shortened.read_bytes()[:-1000])
    broken = clinic.path("pacs", 4, 0)
    broken.write_bytes(broken.read_bytes()[:-1000])

    audit = clinic.audit(expected=1)

    losses = {kind: count for kind, count in audit["losses"].items() if kind not in ("by_primary", "compared_with")}
    assert losses == {
        "gone_everywhere": {"studies": 1, "instances": 2},
        "lost_from_primary": {"studies": 1, "instances": 2},
        "no_sound_copy": {"studies": 1, "instances": 1},
        "damaged_on_primary": {"studies": 1, "instances": 1},
        "only_copy": {"studies": 1, "instances": 1},
        "changed_on_primary": {"studies": 3, "instances": 3},
        "disposed": {"studies": 0, "instances": 0},
    }
    assert audit["losses"]["compared_with"] == audit["previous"]["id"]
    assert audit["headline"] == "lost"
    found = findings(audit)
    assert found["no-unexplained-loss", "pacs"] == "critical"
    assert found["no-silent-alteration", "pacs"] == "critical"
    assert found["primary-is-sound", "pacs"] == "critical"
    # The flip on the primary is told by the last record, the cut by the primary's own damage.
    assert audit["comparisons"][0]["changed_side"] == {"primary": 2, "backup": 0, "unknown": 0}
    assert audit["comparisons"][0]["extra"]["lost_from_primary"] == {"studies": 1, "instances": 2}

    again = clinic.audit(expected=1)
    assert again["losses"]["gone_everywhere"] == {"studies": 1, "instances": 2}, "a loss stays until it is explained"
    gone = next(finding for finding in again["findings"] if finding["check"] == "no-unexplained-loss")
    assert (gone["times_seen"], gone["first_seen"]) == (2, audit["audit"]["started"])


@pytest.mark.parametrize(("removal", "code"), [("emptied", "empty"), ("removed", "missing")])
def test_a_backup_that_is_not_there_is_not_examined(tmp_path: Path, removal: str, code: str) -> None:
    clinic = Clinic(tmp_path)
    clinic.fill(studies=3, instances=2)
    shutil.rmtree(clinic.root / "usb")
    if removal == "emptied":
        (clinic.root / "usb").mkdir()
    audit = clinic.audit(expected=3)
    assert (audit["conclusion"], audit["headline"], audit["complete"]) == ("incomplete", "not_enough", False)
    assert store(audit, "usb")["error"] == code
    assert outcomes(audit, "usb") == {"unknown": 6}
    assert outcomes(audit, "nas") == {"identical": 6}
    assert findings(audit) == {("store-examined", "usb"): "high"}


def test_a_primary_that_is_not_there_says_nothing_of_its_backups(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.fill(studies=3, instances=2)
    clinic.audit(expected=0)
    shutil.rmtree(clinic.pacs)
    audit = clinic.audit(expected=3)
    assert audit["headline"] == "not_enough"
    assert audit["losses"]["lost_from_primary"] == {"studies": 0, "instances": 0}
    assert all(row["extra"] is None for row in audit["comparisons"])


def test_a_primary_without_an_image_is_no_archive(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    (clinic.pacs / "notes.txt").write_text("no image", encoding="utf-8")
    clinic.mirror()
    audit = clinic.audit(expected=3)
    assert store(audit, "pacs")["error"] == "no_instances"


def test_what_is_younger_than_the_rpo_is_pending(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.fill(studies=2, instances=1)
    # On a first audit the study date counts too: old images with new file times were copied, not made.
    fresh = clinic.add(5, 0, age=timedelta(hours=2))
    dataset = pydicom.dcmread(fresh)
    dataset.StudyDate = ""
    dataset.save_as(fresh)
    tomorrow = clinic.add(6, 0, age=timedelta(hours=-30))
    dataset = pydicom.dcmread(tomorrow)
    dataset.StudyDate = ""
    dataset.save_as(tomorrow)
    clinic.set_age(tomorrow, timedelta(hours=-30))
    clinic.add(7, 0, age=timedelta(hours=2))
    audit = clinic.audit(expected=1)
    assert outcomes(audit, "nas") == {"identical": 2, "pending": 2, "missing": 1}


def test_real_images_of_every_kind_are_told_apart_and_compared(tmp_path: Path, corpus: Path) -> None:
    clinic = Clinic(tmp_path)
    for path in sorted(corpus.iterdir()):
        shutil.copyfile(path, clinic.pacs / path.name)
        clinic.set_age(clinic.pacs / path.name, timedelta(days=900))
    clinic.mirror()
    audit = clinic.audit(expected=1)
    pacs = store(audit, "pacs")
    # Two cut files; one private file has no SOP Instance UID. DICOMDIR, the manifest and a file that a stray
    # first byte keeps from being DICOM hold no instance.
    assert pacs["problems"]["truncated"] == 2
    assert pacs["problems"]["no_sop_instance_uid"] == 1
    assert pacs["not_dicom"] == 3
    assert outcomes(audit, "nas") == {"identical": pacs["instances"]}
    assert pacs["conflicts"] > 0, "the corpus holds lossless and lossy versions under one UID"
    # The two cut files have whole siblings of the same UID; the nameless one has none.
    assert audit["losses"]["no_sound_copy"]["instances"] == 0
    assert findings(audit)["primary-is-sound", "pacs"] == "critical"
    assert findings(audit)["no-uid-conflict", "pacs"] == "high"
    # One original cannot be decoded, and so cannot its equal copies.
    assert audit["headline"] == "restore_failed"


def test_faults_planted_in_real_images_of_every_kind(tmp_path: Path, corpus: Path) -> None:
    clinic = Clinic(tmp_path)
    for path in sorted(corpus.iterdir()):
        shutil.copyfile(path, clinic.pacs / path.name)
        clinic.set_age(clinic.pacs / path.name, timedelta(days=900))
    clinic.mirror()
    nas = clinic.root / "nas"
    flip(nas / "966_fixed.dcm", -50_000)
    flip(nas / "RTImageStorage.dcm", -50_000)
    edit(nas / "CT_small.dcm", PatientID="another")
    edit(nas / "reportsi.dcm", StudyDescription="edited: a class without pixels")
    cut = nas / "dx_image.dcm"
    cut.write_bytes(cut.read_bytes()[:-2000])
    (nas / "gdcm-US-ALOKA-16.dcm").unlink()
    (nas / "waveform_ecg.dcm").unlink()
    (nas / "image1.dcm").write_bytes(b"")
    shutil.copyfile(corpus / "sm_image.dcm", nas / "GH133.dcm")
    unpacked = pydicom.dcmread(nas / "US1_RLE.dcm")
    unpacked.decompress(generate_instance_uid=False)
    unpacked.save_as(nas / "US1_RLE.dcm")
    compress(nas / "siemens-011-0001.dcm", RLELossless)
    compress(nas / "agfa-011-0001.dcm", JPEG2000, j2k_cr=[30])
    audit = clinic.audit(expected=1)
    total = store(audit, "pacs")["instances"]
    assert outcomes(audit, "usb") == {"identical": total}
    assert outcomes(audit, "nas") == {
        "identical": total - 12,
        "equivalent": 2,
        "altered": 1,
        "different": 4,
        "unreadable": 1,
        "missing": 4,
    }
    assert store(audit, "nas")["duplicates"] == store(audit, "pacs")["duplicates"] + 1
    told = audit["comparisons"][0]["changed_side"]
    assert told == {"primary": 0, "backup": 6, "unknown": 0}


def test_a_copy_is_the_worst_over_the_contents_of_its_uid(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(studies=2, instances=1)
    second = clinic.pacs / "second version.dcm"
    shutil.copyfile(clinic.path("pacs", 0, 0), second)
    flip(second, -2000)
    clinic.set_age(second, timedelta(days=300))
    audit = clinic.audit(expected=1)
    assert outcomes(audit, "nas") == {"identical": 1, "different": 1}
    assert findings(audit)["no-uid-conflict", "pacs"] == "high"


def test_an_audit_never_writes_to_a_store(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.fill(studies=1, instances=1)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.dcm")}
    times = {path: path.stat().st_mtime_ns for path in before}
    clinic.audit(expected=0)
    assert before == {path: path.read_bytes() for path in before}
    assert times == {path: path.stat().st_mtime_ns for path in before}


def test_what_lies_in_a_trash_folder_is_no_copy(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.fill(studies=3, instances=2)
    recycle = clinic.root / "nas" / "#recycle"
    recycle.mkdir()
    clinic.path("nas", 1, 0).parent.rename(recycle / "study 1")
    audit = clinic.audit(expected=1)
    assert outcomes(audit, "nas") == {"identical": 4, "missing": 2}
    facts = store(audit, "nas")
    assert (facts["objects"], facts["deleted"], facts["not_dicom"], facts["complete"]) == (4, 2, 0, True)
    assert "2 files deleted there, not counted" in (clinic.record() / "report.html").read_text(encoding="utf-8")


def test_what_a_primary_leaves_out_as_deleted_is_said(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.fill(studies=3, instances=2)
    recycle = clinic.pacs / "@Recycle"
    recycle.mkdir()
    clinic.path("pacs", 1, 0).parent.rename(recycle / "study 1")
    audit = clinic.audit(expected=0)
    assert store(audit, "pacs")["instances"] == 4
    assert findings(audit)["nothing-left-out-as-deleted", "pacs"] == "low"
    assert findings(audit)["extras-are-explained", "nas"] == "high"
