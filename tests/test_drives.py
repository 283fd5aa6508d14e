"""The drive that is really there, from the command line: absent, failing, or a stand-in for a cloud."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from exactcopy.stores.folder import VOLUME_MARKER
from tests.clinic import Clinic, outcomes, store
from tests.stores.drives import Drive


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    """A clinic with a network drive and an external one."""
    return Clinic(tmp_path)


@pytest.fixture
def drive(clinic: Clinic, tmp_path: Path) -> Iterator[Drive]:
    """The clinic's external drive, connected and filled."""
    with Drive.made(tmp_path / "usb.img", tmp_path / "usb") as made:
        clinic.fill(studies=6, instances=3)
        yield made


def test_a_drive_that_is_there_is_examined_and_an_empty_place_is_not(clinic: Clinic, drive: Drive) -> None:
    audit = clinic.audit(0)
    assert outcomes(audit, "usb") == {"identical": 18}
    shown = store(audit, "usb")
    assert (shown["filesystem"], shown["reads"], shown["synced_by"]) == ("ext4", "cache", None)
    assert 0 < shown["free"] < 32 << 20
    assert shown["safeguards"]["encryption"]["answer"] == "not_assessed"

    drive.unplug()
    audit = clinic.audit(3)
    assert store(audit, "usb")["error"] == "empty"
    assert outcomes(audit, "usb") == {"unknown": 18}


def test_a_drive_of_several_is_absent_where_its_place_is_empty(clinic: Clinic, drive: Drive) -> None:
    clinic.stores["usb"] = 'volumes = ["DRIVE-A", "DRIVE-B"]'
    (drive.place / VOLUME_MARKER).write_text("DRIVE-A\n", encoding="utf-8")
    drive.unplug()
    audit = clinic.audit(3)
    assert store(audit, "usb")["error"] == "drive_absent"
    assert outcomes(audit, "usb") == {"unknown": 18}


@pytest.mark.parametrize(
    ("left", "seen"), [(1 << 20, "unlisted"), (4 << 20, "unread")], ids=["no folder can be read", "no file can be read"]
)
def test_a_drive_that_fails_makes_the_audit_incomplete_and_nothing_missing(
    clinic: Clinic, drive: Drive, left: int, seen: str
) -> None:
    # What the system holds in memory would hide the failure.
    drive.unplug()
    drive.connect()
    with drive.image.open("r+b") as file:
        file.truncate(left)
    audit = clinic.audit(3)
    assert store(audit, "usb")[seen] > 0
    assert outcomes(audit, "usb") == {"unknown": 18}
    assert outcomes(audit, "nas") == {"identical": 18}


def test_what_a_sync_client_left_in_the_cloud_is_unknown(clinic: Clinic) -> None:
    clinic.fill(studies=3, instances=2)
    (clinic.root / "usb" / ".dropbox.cache").mkdir()
    away = clinic.path("usb", 1, 1)
    status = away.stat()
    with away.open("wb") as file:
        file.truncate(status.st_size)
    os.utime(away, ns=(status.st_atime_ns, status.st_mtime_ns))
    if away.stat().st_blocks:
        pytest.skip("the file system of the test has no sparse files")
    audit = clinic.audit(3)
    assert outcomes(audit, "usb") == {"identical": 5, "unknown": 1}
    assert store(audit, "usb")["problems"] == {"placeholder": 1}
    assert store(audit, "usb")["synced_by"] == "Dropbox"
