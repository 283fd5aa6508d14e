"""A backup that reports checksums: what they clear is not read, what they do not clear is."""

import csv
import shutil
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exactcopy.audit import run_audit
from exactcopy.config import load_config
from exactcopy.decisions import load_decisions
from exactcopy.model import ReadPolicy
from exactcopy.stores import KINDS
from tests.clinic import Clinic, check_sums, findings, outcomes, store

NOW = datetime.now(UTC).replace(microsecond=0)
HEAD = 8192
ALGORITHMS = (["md5"], ["sha256"], ["sha1", "md5"], ["md5/4096"], ["sha256/4194304"], ["quickxor"], ["crc64nvme"])


def rot(path: Path) -> None:
    """Flip a bit of the pixels."""
    data = bytearray(path.read_bytes())
    data[-2000] ^= 1
    path.write_bytes(data)


class Cloud:
    """A clinic whose `nas` reports checksums and whose `usb` is a folder."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Fill three studies, mirrored on both."""
        monkeypatch.setitem(KINDS, "reporting", "tests.stores.reporting:ReportingStore")
        self.clinic = Clinic(root)
        self.clinic.fill(studies=3, instances=2)
        self.log = root / "read.log"
        self.options: dict[str, Any] = {"algorithms": ["md5"], "lies": (), "log": str(self.log)}
        self.max_read: int | None = None

    def audit(self, now: datetime = NOW) -> dict[str, Any]:
        """Audit in this process and give audit.json."""
        self.log.write_text("", encoding="utf-8")
        config = load_config(self.clinic.configure())
        backups = tuple(
            replace(
                backup,
                kind="reporting",
                read=ReadPolicy.REPORTED,
                max_read=self.max_read,
                options={**backup.options, **self.options},
            )
            if backup.name == "nas"
            else backup
            for backup in config.backups
        )
        decisions = load_decisions(config.decisions, set(), now.date())
        audited = run_audit(replace(config, backups=backups), decisions, now, lambda *_: lambda *_: None)
        check_sums(dict(audited.record.audit))
        return dict(audited.record.audit)

    def comparison(self, audit: dict[str, Any]) -> dict[str, Any]:
        """Give the comparison with `nas`."""
        found: dict[str, Any] = next(row for row in audit["comparisons"] if row["backup"] == "nas")
        return found

    def read(self, how: str) -> list[str]:
        """Give the keys that were read before the test restore, which reads all of them whole at the end."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return sorted(line.split(" ", 1)[1] for line in lines if line.startswith(how))


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lean: None) -> Cloud:
    """A cloud without a test restore, so that what is read is read for the inventory."""
    monkeypatch.setattr("exactcopy.audit.restore_drawn", _restore_nothing)
    # Shorter than the images of a test, and longer than where their UIDs stand.
    monkeypatch.setattr("exactcopy.inventory.plan.HEAD_BYTES", HEAD)
    monkeypatch.setattr("exactcopy.inventory.taking.HEAD_BYTES", HEAD)
    return Cloud(tmp_path, monkeypatch)


def _restore_nothing(case: Any, *_: Any) -> list[Any]:
    case.db.execute("create or replace table restored (backup varchar, study varchar)")
    return []


@pytest.mark.parametrize("algorithms", ALGORITHMS, ids="+".join)
def test_what_a_checksum_clears_is_not_read(cloud: Cloud, algorithms: list[str]) -> None:
    cloud.options["algorithms"] = algorithms
    audit = cloud.audit()
    assert outcomes(audit, "nas") == {"identical": 6}
    assert cloud.log.read_text(encoding="utf-8") == ""
    comparison = cloud.comparison(audit)
    assert comparison["assurance"] == {"listed": 0, "reported": 6, "read": 0, "restored": 0}
    assert comparison["reported_by"] == {algorithms[0].split("/")[0]: 6}
    assert comparison["proof"] == {"this_run": 0, "earlier": 0, "reported": 3}


@pytest.mark.parametrize("swapped", [False, True])
def test_two_objects_of_one_name_and_one_size_are_each_known_by_their_own_checksum(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, swapped: bool
) -> None:
    monkeypatch.setitem(KINDS, "reporting", "tests.stores.reporting:TwinStore")
    one, other = sorted((cloud.clinic.root / "nas").rglob("*.dcm"))[:2]
    assert one.stat().st_size == other.stat().st_size
    names = [path.relative_to(cloud.clinic.root / "nas").as_posix() for path in (one, other)]
    cloud.options["twins"] = {names[swapped]: names[not swapped]}
    assert outcomes(cloud.audit(), "nas") == {"identical": 6}
    # And what is not the same is not cleared by what is.
    rot(other)
    assert outcomes(cloud.audit(NOW + timedelta(days=1)), "nas")["identical"] == 5


def test_renamed_and_flattened_copies_are_known_by_content(cloud: Cloud) -> None:
    nas = cloud.clinic.root / "nas"
    for number, path in enumerate(sorted(path for path in nas.rglob("*") if path.is_file())):
        path.rename(nas / f"object-{number}")
    audit = cloud.audit()
    assert outcomes(audit, "nas") == {"identical": 6}
    assert store(audit, "nas")["instances"] == 6


def test_a_lying_checksum_convicts_nobody(cloud: Cloud) -> None:
    key = str(cloud.clinic.path("nas", 1, 0).relative_to(cloud.clinic.root / "nas"))
    cloud.options["lies"] = (key,)
    audit = cloud.audit()
    assert outcomes(audit, "nas") == {"identical": 6}
    assert cloud.comparison(audit)["assurance"] == {"listed": 0, "reported": 5, "read": 1, "restored": 0}
    assert (cloud.read("head"), cloud.read("whole")) == ([key], [key])


def test_what_differs_is_read_and_named(cloud: Cloud) -> None:
    rot(cloud.clinic.path("nas", 1, 0))
    cloud.clinic.path("nas", 2, 0).unlink()
    (cloud.clinic.root / "nas" / "notes.txt").write_text("no image", encoding="utf-8")
    audit = cloud.audit()
    assert outcomes(audit, "nas") == {"identical": 4, "different": 1, "missing": 1}
    assert store(audit, "nas")["not_dicom"] == 1
    key = "study 1/0.dcm"
    assert cloud.read("head") == ["notes.txt", key]
    assert cloud.read("whole") == [key, key]  # for the inventory, and to name what differs
    assert findings(audit)["copies-are-exact", "nas"] == "high"


def test_what_the_budget_forbids_to_read_is_unverified(cloud: Cloud) -> None:
    for study in range(3):
        rot(cloud.clinic.path("nas", study, 0))
    cloud.max_read = 3 * HEAD + cloud.clinic.path("nas", 0, 0).stat().st_size + 1
    audit = cloud.audit()
    assert outcomes(audit, "nas") == {"identical": 3, "different": 1, "unverified": 2}
    assert not audit["complete"]
    later = cloud.audit(NOW + timedelta(days=1))
    assert outcomes(later, "nas") == {"identical": 3, "different": 2, "unverified": 1}
    last = cloud.audit(NOW + timedelta(days=2))
    assert outcomes(last, "nas") == {"identical": 3, "different": 3}


def test_what_is_beyond_the_budget_may_be_what_seems_to_be_absent(cloud: Cloud) -> None:
    cloud.options["algorithms"] = []
    nas = cloud.clinic.root / "nas"
    cloud.clinic.path("nas", 0, 0).unlink()
    for number, path in enumerate(sorted(path for path in nas.rglob("*") if path.is_file())):
        path.rename(nas / f"object-{number}")
    cloud.max_read = cloud.clinic.path("pacs", 0, 0).stat().st_size + 1
    audit = cloud.audit()
    assert outcomes(audit, "nas") == {"identical": 1, "unknown": 5}
    assert (store(audit, "nas")["unread"], audit["complete"]) == (4, False)
    assert len(cloud.read("whole")) == 1


def test_what_the_budget_leaves_keeps_a_proof_that_is_not_too_old(cloud: Cloud) -> None:
    cloud.options["algorithms"] = []
    cloud.audit(NOW - timedelta(days=80))
    cloud.max_read = cloud.clinic.path("pacs", 0, 0).stat().st_size + 1
    audit = cloud.audit()
    assert outcomes(audit, "nas") == {"identical": 6}
    assert len(cloud.read("whole")) == 1
    assert outcomes(cloud.audit(NOW + timedelta(days=30)), "nas") == {"identical": 2, "unknown": 4}


def test_a_shortcut_is_no_copy_whatever_is_reported_of_it(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.options["shortcuts"] = ("study 1/0.dcm",)
    audit = cloud.audit()
    assert outcomes(audit, "nas") == {"identical": 5, "missing": 1}


def test_without_a_primary_nothing_is_downloaded(cloud: Cloud) -> None:
    shutil.rmtree(cloud.clinic.pacs)
    audit = cloud.audit()
    assert store(audit, "nas")["error"] == "not_compared"
    assert not audit["complete"]
    assert cloud.log.read_text(encoding="utf-8") == ""


def test_an_image_that_the_primary_lost_is_known_by_its_beginning(cloud: Cloud) -> None:
    cloud.audit(NOW - timedelta(days=30))
    lost = cloud.clinic.path("pacs", 0, 0)
    lost.unlink()
    audit = cloud.audit()
    assert cloud.comparison(audit)["extra"]["lost_from_primary"] == {"studies": 1, "instances": 1}
    assert audit["losses"]["lost_from_primary"] == {"studies": 1, "instances": 1}


def test_nothing_is_ever_identical_by_name_or_size(cloud: Cloud) -> None:
    cloud.options["algorithms"] = []
    rot(cloud.clinic.path("nas", 0, 0))
    audit = cloud.audit()
    assert outcomes(audit, "nas") == {"identical": 5, "different": 1}
    assert cloud.comparison(audit)["assurance"]["reported"] == 0


def test_a_restore_that_disagrees_takes_the_claim_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lean: None
) -> None:
    cloud = Cloud(tmp_path, monkeypatch)
    # The store goes on to report what was uploaded; its medium has rotted.
    monkeypatch.setitem(KINDS, "reporting", "tests.stores.reporting:RottenStore")
    cloud.options["uploaded"] = str(cloud.clinic.root / "pacs")
    rot(cloud.clinic.path("nas", 1, 0))
    audit = cloud.audit()
    assert outcomes(audit, "nas") == {"identical": 4, "unverified": 2}
    assert (audit["restore_tests"][0]["restored"], audit["restore_tests"][0]["failed"]) == (2, 1)
    assert audit["headline"] == "restore_failed"


def test_what_was_deleted_is_missing_and_said_to_be_recoverable(cloud: Cloud) -> None:
    cloud.audit(NOW - timedelta(days=30))
    # The first is known by its checksum, though its key has changed; of the second only the name is left.
    nas = cloud.clinic.root / "nas"
    (nas / "study 1/0.dcm").rename(nas / "elsewhere")
    rot(cloud.clinic.path("nas", 2, 1))
    # Of the first a later one was deleted, too, that is no copy of it.
    shutil.copy(cloud.clinic.path("nas", 2, 1), nas / "study 1/0.dcm")
    cloud.options["deleted"] = ("elsewhere", "study 1/0.dcm", "study 2/1.dcm")
    audit = cloud.audit()
    assert outcomes(audit, "nas") == {"identical": 4, "missing": 2}
    # What is only kept under the name may be what somebody wrote over it before.
    assert cloud.comparison(audit)["recoverable"] == 1
    shown = store(audit, "nas")
    assert (shown["instances"], shown["objects"], shown["unread"], shown["not_opened"]) == (4, 4, 0, 0)
    assert cloud.log.read_text(encoding="utf-8") == ""
    with (cloud.clinic.record() / "restricted/worklist-nas.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["key_of_copy"]: row for row in csv.DictReader(file)}
    assert rows["elsewhere"]["hint"] == "deleted there; the version that is kept is identical by checksum"
    assert rows["study 2/1.dcm"]["hint"] == "deleted there; a version is kept, of unknown content"
    assert all(row["version_of_copy"] and row["what"] == "missing" for row in rows.values())
    # What is brought back is there again.
    cloud.options["deleted"] = ()
    assert outcomes(cloud.audit(NOW + timedelta(days=1)), "nas") == {"identical": 5, "different": 1}


def test_where_all_was_deleted_all_is_missing(cloud: Cloud) -> None:
    nas = cloud.clinic.root / "nas"
    cloud.options["deleted"] = tuple(str(path.relative_to(nas)) for path in nas.rglob("*.dcm"))
    audit = cloud.audit()
    assert store(audit, "nas")["error"] is None
    assert outcomes(audit, "nas") == {"missing": 6}
    assert cloud.comparison(audit)["recoverable"] == 6


def test_what_is_gone_for_good_is_not_called_recoverable(cloud: Cloud) -> None:
    cloud.clinic.path("nas", 1, 0).unlink()
    audit = cloud.audit()
    assert outcomes(audit, "nas") == {"identical": 5, "missing": 1}
    assert cloud.comparison(audit)["recoverable"] == 0


def test_archives_are_counted_beside_what_they_may_hold(cloud: Cloud) -> None:
    lost = cloud.clinic.path("nas", 1, 0)
    with zipfile.ZipFile(cloud.clinic.root / "nas" / "old.zip", "w") as archive:
        archive.write(lost, "0.dcm")
    lost.unlink()
    audit = cloud.audit()
    assert outcomes(audit, "nas") == {"identical": 5, "missing": 1}
    assert store(audit, "nas")["problems"] == {"archive": 1}


@pytest.fixture
def asked(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """A cloud that tells its checksums one by one."""
    monkeypatch.setitem(KINDS, "reporting", "tests.stores.reporting:AskedStore")
    return cloud


def test_what_was_told_of_an_object_holds_until_it_changes(asked: Cloud) -> None:
    assert outcomes(asked.audit(NOW - timedelta(days=1)), "nas") == {"identical": 6}
    assert len(asked.read("asked")) == 6
    rot(asked.clinic.path("nas", 1, 0))
    audit = asked.audit()
    assert outcomes(audit, "nas") == {"identical": 5, "different": 1}
    assert asked.read("asked") == ["study 1/0.dcm"]
    assert asked.comparison(audit)["assurance"]["reported"] == 5


def test_a_method_that_fails_everywhere_is_doubted_before_the_copies(
    asked: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exactcopy.inventory.doubt._IN_A_ROW", 6)
    asked.options |= {"nonsense": True, "algorithms": ["sha256"], "silent": ("study 2/0.dcm",)}
    audit = asked.audit()
    assert outcomes(audit, "nas") == {"identical": 6}
    # One stands for all, then each; what it says nothing of is read whole.
    assert asked.read("asked") == sorted(["study 0/0.dcm", *(f"study {s}/{i}.dcm" for s in range(3) for i in range(2))])
    assert (asked.read("head"), asked.read("whole")) == ([], ["study 2/0.dcm"])
    assert asked.comparison(audit)["assurance"] == {"listed": 0, "reported": 5, "read": 1, "restored": 0}


def test_a_checksum_that_the_store_stands_by_convicts_after_reading(
    asked: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exactcopy.inventory.doubt._IN_A_ROW", 6)
    monkeypatch.setitem(KINDS, "reporting", "tests.stores.reporting:AnsweringStore")
    for study in range(3):
        for instance in range(2):
            rot(asked.clinic.path("nas", study, instance))
    audit = asked.audit()
    assert outcomes(audit, "nas") == {"different": 6}
    assert asked.read("asked") == ["study 0/0.dcm"]
    assert len(asked.read("head")) == 6
