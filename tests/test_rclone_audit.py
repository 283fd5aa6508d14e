"""Audits of Dropbox and Google Drive by the real command line: the real rclone, a fake provider."""

import csv
import os
import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.clinic import Clinic, findings, outcomes, sop_instance_uid, store
from tests.fake_clouds import DOCUMENT, SHORTCUT, Drive, Dropbox, proxied, said
from tests.faults import EXTRA, FACTS, FINDINGS, INSTANCES, OUTCOMES, STUDIES, STUDY_STATES, flip, plant

Cloud = Dropbox | Drive
SETTINGS = """
[backup.cloud]
kind = "rclone"
remote = "cloud:xrays"
held_by = "Cloud Ltd"
offsite = true
"""


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clinic:
    """A clinic whose only backup is a remote of rclone."""
    for name in [name for name in os.environ if name.startswith("RCLONE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RCLONE_LOW_LEVEL_RETRIES", "2")
    return Clinic(tmp_path, backups=(), settings=SETTINGS)


@pytest.fixture(params=[Dropbox, Drive], ids=["fake-dropbox", "fake-drive"])
def cloud(request: pytest.FixtureRequest, clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A fake provider that the clinic's rclone is led to."""
    yield from led_to(request.param(), clinic, monkeypatch)


@pytest.fixture
def drive(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A fake Google Drive that the clinic's rclone is led to."""
    yield from led_to(Drive(), clinic, monkeypatch)


def led_to(cloud: Cloud, clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Run a fake provider."""
    with proxied(cloud, clinic.root) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield cloud


def upload(cloud: Cloud, folder: Path) -> None:
    """Let a provider hold what lies in a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    cloud.put({f"xrays/{path.relative_to(folder)}".encode(): path.read_bytes() for path in files})


def replace(cloud: Cloud, key: str, data: bytes | None) -> None:
    """Give an object other bytes in place, or delete it."""
    if isinstance(cloud, Dropbox):
        if data is None:
            cloud.delete(f"/xrays/{key}")
        else:
            cloud.objects[f"/xrays/{key}"] = data
        return
    above, _, name = key.rpartition("/")
    folder = next(item.id for item in cloud.items.values() if item.name == (above or "xrays"))
    found = next(item for item in cloud.items.values() if item.name == name and item.parent == folder)
    if data is None:
        found.trashed = True
    else:
        found.data = data


def forget(cloud: Cloud, name: str) -> None:
    """Let a provider keep no more of what was deleted."""
    if isinstance(cloud, Dropbox):
        del cloud.deleted[f"/xrays/{name}"]
    else:
        del cloud.items[next(item.id for item in cloud.items.values() if item.name == name and item.trashed)]


def worklist(clinic: Clinic) -> list[dict[str, str]]:
    """Give the rows of the backup's worklist."""
    with (clinic.record() / "restricted" / "worklist-cloud.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def listings(cloud: Cloud) -> int:
    """Give how many pages of listings were asked for."""
    return sum(cloud.asked[call] for call in ("list", "list_folder", "list_folder/continue"))


def row(audit: dict[str, Any]) -> dict[str, Any]:
    """Give the one comparison."""
    (found,) = audit["comparisons"]
    return dict(found)


def test_without_a_fault_only_the_test_restore_downloads(clinic: Clinic, cloud: Cloud) -> None:
    clinic.fill(studies=4, instances=2)
    upload(cloud, clinic.pacs)
    cloud.page = 3
    audit = clinic.audit(expected=1)
    assert outcomes(audit, "cloud") == {"identical": 8}
    (restore,) = audit["restore_tests"]
    assert (restore["planned"], restore["restored"]) == (4, 4)
    assert row(audit)["assurance"] == {"listed": 0, "reported": 0, "read": 0, "restored": 8}
    size = sum(path.stat().st_size for path in clinic.pacs.rglob("*") if path.is_file())
    assert cloud.content_bytes == restore["bytes"] == size
    assert cloud.asked["content"] == 8
    # Four folders are two pages, the two objects in each of them one.
    assert listings(cloud) == 2 + 4
    # Nothing is missed, so nobody looks for what was deleted.
    assert not cloud.asked["deleted"]
    assert findings(audit) == {("agreement-on-record", "cloud"): "critical"}
    safeguards = store(audit, "cloud")["safeguards"]
    assert safeguards["public_access"]["answer"] == safeguards["transport"]["answer"] == "pass"
    assert safeguards["encryption"]["answer"] == "not_assessed"


def test_each_planted_fault_has_its_outcome(clinic: Clinic, cloud: Cloud) -> None:
    clinic.fill(STUDIES + 2, INSTANCES)
    planted = clinic.root / "planted"
    shutil.copytree(clinic.pacs, planted)
    plant(clinic, "planted")
    header = clinic.path("planted", STUDIES, 0)
    flip(header, header.read_bytes().index(b"Secretname"))
    for instance in range(INSTANCES):
        clinic.path("planted", STUDIES + 1, instance).rename(planted / f"flat {instance}")
    upload(cloud, planted)

    audit = clinic.audit(expected=1)

    renamed, beside = INSTANCES, INSTANCES - 1
    assert outcomes(audit, "cloud") == {
        **OUTCOMES,
        "identical": OUTCOMES["identical"] + renamed + beside,
        "altered": OUTCOMES["altered"] + 1,
    }
    assert row(audit)["studies"] == {
        **STUDY_STATES,
        "total": STUDIES + 2,
        "protected": STUDY_STATES["protected"] + 1,
        "gap": STUDY_STATES["gap"] + 1,
    }
    # Without another backup only a copy's own damage tells which side changed.
    assert row(audit)["changed_side"] == {"primary": 0, "backup": 1, "unknown": 4}
    assert row(audit)["extra"] == EXTRA
    facts = store(audit, "cloud")
    assert {name: facts[name] for name in FACTS} == FACTS
    assert {check: severity for (check, _), severity in findings(audit).items() if check in FINDINGS} == FINDINGS
    assert (audit["conclusion"], audit["complete"]) == ("exceptions noted", True)
    (restore,) = audit["restore_tests"]
    assert (restore["planned"], restore["restored"], restore["failed"]) == (4, 4, 0)
    worklist = (clinic.record() / "restricted" / "worklist-cloud.csv").read_text(encoding="utf-8")
    for study in (0, 1, 2, 3, 4, 5, 7, 11, STUDIES):
        assert sop_instance_uid(study, 0) in worklist
    assert sop_instance_uid(STUDIES + 1, 0) not in worklist

    before = cloud.asked["content"]
    again = clinic.audit(expected=1)
    assert outcomes(again, "cloud") == outcomes(audit, "cloud")
    # Four studies are restored. What differs was held against the primary before, and nothing else is read.
    assert cloud.asked["content"] - before == 4 * INSTANCES


def test_a_second_audit_sees_what_changed_in_place_and_what_was_deleted(clinic: Clinic, cloud: Cloud) -> None:
    clinic.fill(studies=3, instances=2)
    upload(cloud, clinic.pacs)
    clinic.audit(expected=1)
    rotten = bytearray(clinic.path("pacs", 0, 0).read_bytes())
    rotten[-2000] ^= 1
    replace(cloud, "study 0/0.dcm", bytes(rotten))
    replace(cloud, "study 1/1.dcm", None)
    audit = clinic.audit(expected=1)
    assert outcomes(audit, "cloud") == {"identical": 4, "different": 1, "missing": 1}
    assert row(audit)["changed_side"] == {"primary": 0, "backup": 1, "unknown": 0}


def test_what_was_deleted_and_is_kept_there_is_missing_and_can_be_brought_back(clinic: Clinic, cloud: Cloud) -> None:
    clinic.fill(studies=5, instances=2)
    flat = clinic.root / "flat"
    flat.mkdir()
    for number, path in enumerate(sorted(clinic.pacs.rglob("*.dcm"))):
        shutil.copy(path, flat / f"object-{number}.dcm")
    upload(cloud, flat)
    held = {number: (flat / f"object-{number}.dcm").read_bytes() for number in range(10)}
    cloud.page = 3
    # By names that no primary knows: a whole study, one image, one of other content, one that is kept no more.
    for number in (0, 1, 3, 5, 7):
        if number == 5:
            replace(cloud, f"object-{number}.dcm", held[number][:-2000] + b"rotten" + held[number][-1994:])
        replace(cloud, f"object-{number}.dcm", None)
    forget(cloud, "object-7.dcm")
    before = cloud.content_bytes
    audit = clinic.audit(expected=1)
    (restore,) = audit["restore_tests"]
    assert cloud.content_bytes - before == restore["bytes"]
    assert outcomes(audit, "cloud") == {"identical": 5, "missing": 5}
    assert store(audit, "cloud")["deleted"] == 4
    assert row(audit)["recoverable"] == 3
    (told,) = [finding for finding in audit["findings"] if finding["check"] == "backup-is-complete"]
    assert told["remedy"][0].startswith("Bring back in time what was deleted there: 3 images are still kept")
    work = {each["sop_instance_uid"]: each for each in worklist(clinic)}
    kept = "rev 0a1b2c" if isinstance(cloud, Dropbox) else "in a trash folder"
    for number in (0, 1, 3):
        found = work[sop_instance_uid(number // 2, number % 2)]
        assert (found["key_of_copy"], found["version_of_copy"]) == (f"object-{number}.dcm", kept)
        assert found["hint"] == "deleted there; the version that is kept is identical by checksum"
    for number in (5, 7):
        assert not work[sop_instance_uid(number // 2, number % 2)]["hint"]
    page = re.sub("<[^>]*>", "", (clinic.record() / "report.html").read_text(encoding="utf-8"))
    assert "Of the images missing on cloud, 3 were deleted on the backup, which still keeps them" in page
    assert "4 files deleted there, not counted" in page

    # What the record before saw at that place tells which image it was, also of one that is deleted later.
    replace(cloud, "object-9.dcm", held[9][:-2000] + b"rotten" + held[9][-1994:])
    replace(cloud, "object-9.dcm", None)
    replace(cloud, "object-8.dcm", None)
    again = clinic.audit(expected=1)
    assert (outcomes(again, "cloud"), row(again)["recoverable"]) == ({"identical": 3, "missing": 7}, 4)
    work = {each["sop_instance_uid"]: each for each in worklist(clinic)}
    assert work[sop_instance_uid(4, 1)]["hint"] == "deleted there; a version is kept, of unknown content"


def test_what_is_kept_no_more_is_not_recoverable_by_what_the_record_before_saw(clinic: Clinic, cloud: Cloud) -> None:
    clinic.fill(studies=3, instances=4)
    flat = clinic.root / "flat"
    flat.mkdir()
    for number, path in enumerate(sorted(clinic.pacs.rglob("*.dcm"))):
        shutil.copy(path, flat / f"object-{number}.dcm")
    upload(cloud, flat)
    for number in (10, 11):
        replace(cloud, f"object-{number}.dcm", None)
    audit = clinic.audit(expected=1)
    assert (outcomes(audit, "cloud"), row(audit)["recoverable"]) == ({"identical": 10, "missing": 2}, 2)
    for number in (10, 11):
        forget(cloud, f"object-{number}.dcm")
    for number in range(8):
        replace(cloud, f"object-{number}.dcm", None)
    audit = clinic.audit(expected=1)
    assert (outcomes(audit, "cloud"), row(audit)["recoverable"]) == ({"identical": 2, "missing": 10}, 8)
    assert store(audit, "cloud")["deleted"] == 8
    work = {each["sop_instance_uid"]: each for each in worklist(clinic)}
    assert not any(work[sop_instance_uid(2, number)]["key_of_copy"] for number in (2, 3))


def test_what_is_kept_is_recoverable_for_the_primary_whose_it_is(clinic: Clinic, drive: Drive) -> None:
    clinic.settings += 'covers = ["pacs", "other"]\n[primary.other]\nkind = "folder"\npath = "other"\n'
    clinic.fill(studies=2, instances=2)
    shutil.copytree(clinic.pacs, clinic.root / "other")
    upload(drive, clinic.pacs)
    changed = clinic.path("other", 1, 0)
    flip(changed, changed.read_bytes().index(b"Secretname"))
    replace(drive, "study 1/0.dcm", None)
    audit = clinic.audit(expected=1)
    assert {each["primary"]: each["recoverable"] for each in audit["comparisons"]} == {"pacs": 1, "other": 0}
    assert {each["primary"]: each["hint"].partition("kept")[2] for each in worklist(clinic)} == {
        "pacs": " is identical by checksum",
        "other": ", of unknown content",
    }


def test_for_what_is_too_new_to_have_been_copied_nobody_looks(clinic: Clinic, cloud: Cloud) -> None:
    clinic.fill(studies=2, instances=2)
    upload(cloud, clinic.pacs)
    clinic.audit(expected=1)
    clinic.add(5, 0, age=timedelta(hours=1))
    audit = clinic.audit(expected=1)
    assert outcomes(audit, "cloud") == {"identical": 4, "pending": 1}
    assert not cloud.asked["deleted"] + cloud.asked["list_revisions"]
    replace(cloud, "study 1/0.dcm", None)
    audit = clinic.audit(expected=1)
    assert outcomes(audit, "cloud") == {"identical": 3, "pending": 1, "missing": 1}
    assert row(audit)["recoverable"] == 1


def test_what_dropbox_only_lists_as_deleted_is_not_said_to_be_kept(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Dropbox()
    for _ in led_to(box, clinic, monkeypatch):
        clinic.fill(studies=2, instances=2)
        upload(box, clinic.pacs)
        replace(box, "study 1/0.dcm", None)
        # As after the days for which it keeps what was deleted.
        monkeypatch.setattr(box, "_revisions", lambda path: said(409, error_summary="path/not_found/.."))
        audit = clinic.audit(expected=1)
        assert (store(audit, "cloud")["deleted"], row(audit)["recoverable"]) == (1, 0)
        (work,) = worklist(clinic)
        assert work["hint"] == "deleted there; whether a version is kept is not known"
        assert (work["version_of_copy"], work["do"]) == ("", "Copy this image from the primary to the backup.")


def test_what_cannot_be_read_is_not_taken_for_what_was_once_deleted_at_its_place(clinic: Clinic, drive: Drive) -> None:
    clinic.fill(studies=2, instances=3)
    upload(drive, clinic.pacs)
    folder = next(item.id for item in drive.items.values() if item.name == "study 0")
    drive.add("0.dcm", folder, data=clinic.path("pacs", 1, 2).read_bytes(), trashed=True)
    replace(drive, "study 1/2.dcm", None)
    clinic.settings += 'read = "all"\n'
    audit = clinic.audit(expected=1)
    assert (outcomes(audit, "cloud"), store(audit, "cloud")["deleted"]) == ({"identical": 5, "missing": 1}, 2)
    drive.faults.refused.add("0.dcm")
    audit = clinic.audit(expected=3)
    assert (outcomes(audit, "cloud"), row(audit)["recoverable"]) == ({"identical": 3, "missing": 1, "unknown": 2}, 1)
    found = {each["sop_instance_uid"]: each["what"] for each in worklist(clinic)}
    unread = dict.fromkeys((sop_instance_uid(0, 0), sop_instance_uid(1, 0)), "unknown")
    assert found == {**unread, sop_instance_uid(1, 2): "missing"}


def test_where_all_was_deleted_all_is_missing_and_can_be_brought_back(clinic: Clinic, cloud: Cloud) -> None:
    clinic.fill(studies=3, instances=2)
    upload(cloud, clinic.pacs)
    clinic.audit(expected=1)
    if isinstance(cloud, Dropbox):
        cloud.kept.add("/xrays")
        for path in list(cloud.objects):
            cloud.delete(path)
    else:
        for item in cloud.items.values():
            item.trashed = item.name not in ("My Drive", "xrays")
    audit = clinic.audit(expected=1)
    assert store(audit, "cloud")["error"] is None
    assert (outcomes(audit, "cloud"), store(audit, "cloud")["deleted"]) == ({"missing": 6}, 6)
    # Of Dropbox by what the record before saw: with nothing left there, no checksum asks to be computed.
    assert row(audit)["recoverable"] == 6
    assert all("identical by checksum" in each["hint"] for each in worklist(clinic))


def test_a_provider_that_does_not_show_what_was_deleted_changes_nothing(clinic: Clinic, cloud: Cloud) -> None:
    clinic.fill(studies=3, instances=2)
    upload(cloud, clinic.pacs)
    replace(cloud, "study 1/0.dcm", None)
    cloud.faults.no_trash = True
    audit = clinic.audit(expected=1)
    assert outcomes(audit, "cloud") == {"identical": 5, "missing": 1}
    assert (store(audit, "cloud")["deleted"], row(audit)["recoverable"]) == (0, 0)
    assert cloud.asked["deleted"]


def test_a_listing_that_breaks_off_calls_nothing_missing(clinic: Clinic, cloud: Cloud) -> None:
    clinic.fill(studies=3, instances=2)
    upload(cloud, clinic.pacs)
    cloud.page = 1
    cloud.faults.fails_after = 6
    audit = clinic.audit(expected=3)
    assert not {"missing", "pending"} & outcomes(audit, "cloud").keys()
    assert outcomes(audit, "cloud")["unknown"] > 0
    assert not store(audit, "cloud")["complete"]


def test_a_body_that_ends_early_is_no_proof(clinic: Clinic, cloud: Cloud) -> None:
    clinic.fill(studies=1, instances=1)
    clinic.add(1, 1)
    upload(cloud, clinic.pacs)
    # Its checksum is right, and half of it comes back.
    cloud.faults.cut.update({"/xrays/study 0/0.dcm", "0.dcm"})
    audit = clinic.audit(expected=3)
    (restore,) = audit["restore_tests"]
    assert (restore["planned"], restore["restored"], restore["failed"]) == (2, 1, 1)
    assert outcomes(audit, "cloud") == {"identical": 1, "unverified": 1}
    assert findings(audit)["restore-succeeded", "cloud"] == "critical"


def test_a_checksum_that_lies_convicts_nobody(clinic: Clinic, cloud: Cloud) -> None:
    clinic.fill(studies=2, instances=2)
    upload(cloud, clinic.pacs)
    cloud.faults.lying.update({"/xrays/study 0/1.dcm", "1.dcm"})
    audit = clinic.audit(expected=1)
    assert outcomes(audit, "cloud") == {"identical": 4}


def test_a_public_link_is_in_the_record(clinic: Clinic, cloud: Cloud) -> None:
    clinic.fill(studies=2, instances=1)
    upload(cloud, clinic.pacs)
    if isinstance(cloud, Dropbox):
        cloud.share("/xrays/study 1")
    else:
        next(item for item in cloud.items.values() if item.name == "study 1").open_to = "anyone"
    audit = clinic.audit(expected=1)
    assert findings(audit)["not-public", "cloud"] == "critical"
    seen = store(audit, "cloud")["safeguards"]["public_access"]
    # Drive counts the folder and what lies in it.
    assert (seen["answer"], seen["count"]) == ("fail", 1 if isinstance(cloud, Dropbox) else 2)


def test_documents_shortcuts_and_the_bin_of_a_fake_drive_are_no_copies(clinic: Clinic, drive: Drive) -> None:
    clinic.fill(studies=3, instances=2)
    upload(drive, clinic.pacs)
    root = next(item.id for item in drive.items.values() if item.name == "xrays")
    first = next(item for item in drive.items.values() if item.name == "study 0")
    replace(drive, "study 1/0.dcm", None)
    elsewhere = drive.add("elsewhere", data=clinic.path("pacs", 1, 0).read_bytes())
    drive.add("short.dcm", root, mime=SHORTCUT, leads_to=elsewhere)
    drive.add("minutes", first.id, mime=DOCUMENT)
    audit = clinic.audit(expected=1)
    assert outcomes(audit, "cloud") == {"identical": 5, "missing": 1}
    assert store(audit, "cloud")["problems"] == {"alias": 1, "document": 1}
    (told,) = [finding for finding in audit["findings"] if finding["check"] == "nothing-left-unopened"]
    assert told["title"] == "2 entries of cloud have no bytes of their own"
    assert told["message"] == "Counted and not opened: 1 shortcut, 1 document that only the provider's editor opens."


def test_two_objects_of_one_name_on_a_fake_drive_are_never_mixed_up(clinic: Clinic, drive: Drive) -> None:
    clinic.fill(studies=3, instances=2)
    upload(drive, clinic.pacs)
    folder = next(item.id for item in drive.items.values() if item.name == "study 0")
    whole = clinic.path("pacs", 0, 0).read_bytes()
    drive.add("0.dcm", folder, data=whole[:-2000] + b"rotten" + whole[-1994:])
    replace(drive, "study 1/0.dcm", None)
    audit = clinic.audit(expected=3)
    found = outcomes(audit, "cloud")
    assert store(audit, "cloud")["problems"] == {"ambiguous": 1}
    # The other object of that name cannot be read alone: it may be any instance.
    assert "missing" not in found
    assert found["identical"] <= 5


def test_a_restore_of_two_objects_of_one_name_says_why_it_fails(clinic: Clinic, drive: Drive) -> None:
    clinic.fill(studies=3, instances=2)
    upload(drive, clinic.pacs)
    folder = next(item.id for item in drive.items.values() if item.name == "study 0")
    for item in drive.items.values():
        item.name = "same.dcm" if item.parent == folder else item.name
    audit = clinic.audit(expected=3)
    # Their checksums tell them apart; by that name either may come.
    assert outcomes(audit, "cloud") == {"identical": 4, "unverified": 2}
    (restore,) = audit["restore_tests"]
    assert (restore["restored"], restore["failed"], restore["problems"]) == (2, 1, {"name_shared": 1})
    (told,) = [finding for finding in audit["findings"] if finding["check"] == "restore-succeeded"]
    assert told["message"].endswith("Images of 1 study share their names with others, so that either may come.")
    assert told["remedy"][0] == "Give each of the files that share a name one of its own."
