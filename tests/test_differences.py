"""What differs between two contents is found once: the next audit knows it, if the same program found it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pydicom
import pytest

from exactcopy.reconcile.differences import Pair
from tests.clinic import Clinic, audit_at, outcomes

NOW = datetime.now(UTC).replace(microsecond=0)


def cannot(pair: Pair) -> None:
    """Compare nothing."""


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    """A clinic in which one image has another description on the backup."""
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(studies=2, instances=2)
    path = clinic.path("nas", 0, 0)
    dataset = pydicom.dcmread(path)
    dataset.StudyDescription = "planted"
    dataset.save_as(path)
    return clinic


@pytest.fixture
def _blind(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a first audit nothing can be compared any more."""
    assert outcomes(audit_at(clinic, NOW), "nas") == {"identical": 3, "altered": 1}
    monkeypatch.setattr("exactcopy.reconcile.differences._difference", cannot)


@pytest.mark.usefixtures("lean", "_blind")
def test_what_was_compared_once_is_known_the_next_time(clinic: Clinic) -> None:
    audit = audit_at(clinic, NOW + timedelta(days=30))
    assert outcomes(audit, "nas") == {"identical": 3, "altered": 1}
    assert "StudyDescription" in (clinic.record() / "gaps.csv").read_text(encoding="utf-8")


@pytest.mark.usefixtures("lean", "_blind")
def test_another_content_is_compared_anew(clinic: Clinic) -> None:
    path = clinic.path("nas", 0, 0)
    dataset = pydicom.dcmread(path)
    dataset.StudyDescription = "planted again"
    dataset.save_as(path)
    assert outcomes(audit_at(clinic, NOW + timedelta(days=30)), "nas") == {"identical": 3, "unverified": 1}


@pytest.mark.usefixtures("lean", "_blind")
def test_what_another_version_found_is_found_anew(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exactcopy.records.document.__version__", "another")
    assert outcomes(audit_at(clinic, NOW + timedelta(days=30)), "nas") == {"identical": 3, "unverified": 1}


@pytest.mark.usefixtures("lean", "_blind")
def test_a_record_that_was_altered_tells_nothing(clinic: Clinic) -> None:
    path = clinic.record() / "restricted" / "differences.parquet"
    path.write_bytes(path.read_bytes() + b"x")
    assert outcomes(audit_at(clinic, NOW + timedelta(days=30)), "nas")["unverified"] == 1


@pytest.mark.usefixtures("lean", "forked")
def test_what_cannot_be_compared_is_not_said_to_have_other_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic = Clinic(tmp_path)
    clinic.fill(studies=3, instances=1)
    path = clinic.path("nas", 0, 0)
    data = bytearray(path.read_bytes())
    data[-2000] ^= 1
    path.write_bytes(data)
    clinic.configure()
    monkeypatch.setattr("exactcopy.reconcile.differences._COMPARABLE_BYTES", 1000)
    audit = audit_at(clinic, NOW)
    assert outcomes(audit, "nas") == {"identical": 2, "different": 1}
    (said,) = (item for item in audit["findings"] if item["check"] == "copies-are-exact")
    assert "or other bytes that could not be compared further" in said["message"]
    worklist = (clinic.record() / "restricted" / "worklist-nas.csv").read_text(encoding="utf-8")
    assert "too large to compare element by element" in worklist


@pytest.mark.usefixtures("lean", "forked")
def test_a_study_that_differs_in_two_ways_is_counted_once(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.fill(studies=3, instances=2)
    altered, different = clinic.path("nas", 0, 0), clinic.path("nas", 0, 1)
    dataset = pydicom.dcmread(altered)
    dataset.StudyDescription = "planted"
    dataset.save_as(altered)
    data = bytearray(different.read_bytes())
    data[-2000] ^= 1
    different.write_bytes(data)
    damaged = clinic.path("pacs", 2, 0)
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    clinic.configure()
    audit = audit_at(clinic, NOW)
    assert outcomes(audit, "nas") == {"identical": 3, "altered": 1, "different": 2}
    (said,) = (item for item in audit["findings"] if item["check"] == "copies-are-exact")
    assert said["title"] == "2 images on nas differ from the original"
    assert "; 1 more differs from an original that is itself damaged. What differs stands" in said["message"]
    rows = (clinic.record() / "gaps.csv").read_text(encoding="utf-8").splitlines()
    assert said["count"] == 2 == sum(line.startswith(said["id"]) for line in rows)
