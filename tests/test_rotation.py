"""Drives that take turns, and proofs that are carried from one record to the next."""

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exactcopy.config import load_config
from exactcopy.planning import plan_audit
from exactcopy.report.stores import row
from exactcopy.report.words import Clock
from exactcopy.stores.folder import VOLUME_MARKER
from tests.clinic import Clinic, audit_at, findings, outcomes, store

pytestmark = pytest.mark.usefixtures("lean", "ready_worker")
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def rotated(tmp_path: Path) -> Clinic:
    """A clinic whose second backup is a pair of drives."""
    clinic = Clinic(tmp_path, stores={"usb": 'volumes = ["DRIVE-A", "DRIVE-B"]\nmax_absent = "35d"'})
    clinic.fill(studies=3, instances=2)
    (clinic.root / "usb" / VOLUME_MARKER).write_text("DRIVE-A\n", encoding="utf-8")
    return clinic


def test_a_configured_volume_is_examined(rotated: Clinic) -> None:
    audit = audit_at(rotated, NOW)
    assert (audit["conclusion"], audit["complete"]) == ("no exceptions noted", True)
    assert outcomes(audit, "usb") == {"identical": 6}


def test_another_volume_is_an_error(rotated: Clinic) -> None:
    (rotated.root / "usb" / VOLUME_MARKER).write_text("SOMEBODY-ELSE\n", encoding="utf-8")
    audit = audit_at(rotated, NOW)
    assert (audit["conclusion"], audit["complete"]) == ("incomplete", False)
    assert store(audit, "usb")["error"] == "wrong_volume"
    assert outcomes(audit, "usb") == {"unknown": 6}


def test_an_unmarked_folder_is_no_configured_volume(rotated: Clinic) -> None:
    (rotated.root / "usb" / VOLUME_MARKER).unlink()
    audit = audit_at(rotated, NOW)
    assert store(audit, "usb")["error"] == "wrong_volume"


def test_a_drive_that_was_never_seen_makes_the_audit_incomplete(rotated: Clinic) -> None:
    shutil.rmtree(rotated.root / "usb")
    audit = audit_at(rotated, NOW)
    assert (audit["conclusion"], audit["complete"]) == ("incomplete", False)
    assert store(audit, "usb")["error"] == "drive_absent"


def test_an_absent_drive_is_tolerated_for_a_while_and_its_last_figures_stand_beside(rotated: Clinic) -> None:
    first = audit_at(rotated, NOW)
    shutil.move(rotated.root / "usb", rotated.root / "in the safe")
    second = audit_at(rotated, NOW + timedelta(days=30))
    assert (second["conclusion"], second["complete"]) == ("no exceptions noted", True)
    assert [item["reason"] for item in second["not_examined"]] == ["drive_absent"]
    row = next(row for row in second["comparisons"] if row["backup"] == "usb")
    assert row["instances"]["unknown"] == 6, "its last figures never count in today's"
    assert row["last_known"]["id"] == first["audit"]["id"]
    assert row["last_known"]["studies"]["protected"] == 3
    assert store(second, "usb")["last_examined"] == first["audit"]["started"]

    third = audit_at(rotated, NOW + timedelta(days=36))
    assert (third["conclusion"], third["complete"]) == ("exceptions noted", False)
    assert findings(third)["drive-was-seen", "usb"] == "high"

    shutil.move(rotated.root / "in the safe", rotated.root / "usb")
    fourth = audit_at(rotated, NOW + timedelta(days=37))
    assert (fourth["conclusion"], fourth["complete"]) == ("no exceptions noted", True)


def test_an_absent_drive_is_not_tolerated_where_nothing_else_was_examined(rotated: Clinic) -> None:
    audit_at(rotated, NOW)
    shutil.rmtree(rotated.root / "usb")
    shutil.rmtree(rotated.root / "nas")
    audit = audit_at(rotated, NOW + timedelta(days=1))
    assert not audit["complete"]


def test_rotation_reads_only_what_is_new_changed_or_due(tmp_path: Path) -> None:
    rotation = 'read = "rotation"\nreread = "92d"'
    clinic = Clinic(tmp_path, backups=("nas",), stores={"nas": rotation, "pacs": rotation})
    clinic.fill(studies=3, instances=2)
    first = audit_at(clinic, NOW)
    read = first["timing"]["read_bytes"]
    assert first["comparisons"][0]["proof"] == {"this_run": 3, "earlier": 0, "reported": 0}

    clinic.add(9, 0)
    clinic.mirror()
    second = audit_at(clinic, NOW + timedelta(days=30))
    # The new study, and one of the three others in its turn.
    assert second["timing"]["read_bytes"] == read // 3 + 2 * clinic.path("nas", 9, 0).stat().st_size
    assert second["comparisons"][0]["proof"] == {"this_run": 2, "earlier": 2, "reported": 0}
    assert second["comparisons"][0]["oldest_read_at"] == first["audit"]["started"]
    assert [store["oldest_read_at"] for store in second["stores"]] == [first["audit"]["started"]] * 2


def test_what_kept_its_size_time_and_inode_is_found_when_it_is_read_again_and_only_then(tmp_path: Path) -> None:
    rotation = 'read = "rotation"\nreread = "92d"'
    clinic = Clinic(tmp_path, backups=("nas",), stores={"nas": rotation, "pacs": rotation})
    clinic.fill(studies=3, instances=2)
    audit_at(clinic, NOW)
    # The last in turn.
    rotten = clinic.path("nas", 2, 1)
    before = rotten.stat()
    data = bytearray(rotten.read_bytes())
    data[-2000] ^= 1
    with rotten.open("r+b") as file:
        file.write(data)
    os.utime(rotten, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = rotten.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)

    for days in (30, 60):
        assert outcomes(audit_at(clinic, NOW + timedelta(days=days)), "nas") == {"identical": 6}
    third = audit_at(clinic, NOW + timedelta(days=91))
    assert outcomes(third, "nas") == {"identical": 5, "different": 1}, "every proof is renewed within `reread`"
    assert third["comparisons"][0]["changed_side"] == {"primary": 0, "backup": 1, "unknown": 0}


def test_nothing_is_carried_to_a_store_that_lies_elsewhere(tmp_path: Path) -> None:
    rotation = 'read = "rotation"'
    clinic = Clinic(tmp_path, backups=("nas",), stores={"nas": rotation, "pacs": rotation})
    clinic.fill(studies=2, instances=1)
    first = audit_at(clinic, NOW)
    shutil.move(clinic.root / "nas", clinic.root / "moved")
    (clinic.root / "nas").symlink_to(clinic.root / "moved")
    second = audit_at(clinic, NOW + timedelta(days=1))
    assert second["timing"]["read_bytes"] == sum(path.stat().st_size for path in clinic.root.glob("moved/*/*.dcm"))
    assert first["comparisons"][0]["instances"] == second["comparisons"][0]["instances"]


def test_a_spinning_disk_is_read_by_one_and_the_record_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(studies=1, instances=2)
    monkeypatch.setattr("exactcopy.stores.folder.lies_on", lambda *_: "spinning")
    [line, *_] = plan_audit(load_config(clinic.configure()), NOW, lambda *_: lambda *_: None).lines
    assert line.endswith("It lies on a spinning disk and is read by 1 at once at most (default of `concurrency`).")
    audit = audit_at(clinic, NOW)
    assert outcomes(audit, "nas") == {"identical": 2}
    assert [(each["lies_on"], each["readers"]) for each in audit["stores"]] == [("spinning", 1)] * 2
    assert "spinning disk read by one at a time" in row(audit["stores"][1], audit["policy"], Clock("UTC"))["what"]
