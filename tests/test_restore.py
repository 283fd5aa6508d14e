"""Test restores: what fails, what cannot be tested, and what is left in scratch."""

import hashlib
import hmac
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from exactcopy import restore
from exactcopy.config import load_config
from exactcopy.model import Copy
from exactcopy.restore import Task, _place, restore_study
from tests.clinic import Clinic, audit_at, environment, findings

NOW = datetime.now(UTC).replace(microsecond=0)


def spoil(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Let `change` happen on the backup after it was read and before studies are restored from it."""
    real = restore.restore_drawn

    def later(*arguments: Any) -> Any:
        change()
        return real(*arguments)

    monkeypatch.setattr("exactcopy.audit.restore_drawn", later)


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    """A clinic without a gap."""
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(studies=4, instances=2)
    return clinic


@pytest.mark.usefixtures("lean")
@pytest.mark.parametrize("fault", ["flipped", "cut", "gone"])
def test_a_study_that_does_not_come_back_is_a_failed_restore(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    victim = clinic.path("nas", 1, 0)

    def change() -> None:
        data = bytearray(victim.read_bytes())
        data[-2000] ^= 1
        if fault == "gone":
            victim.unlink()
        else:
            victim.write_bytes(data if fault == "flipped" else data[:-500])

    spoil(monkeypatch, change)
    audit = audit_at(clinic, NOW)
    test = audit["restore_tests"][0]
    assert (test["planned"], test["restored"], test["failed"], test["not_tested"]) == (4, 3, 1, 0)
    assert (audit["headline"], audit["conclusion"]) == ("restore_failed", "exceptions noted")
    assert findings(audit)["restore-succeeded", "nas"] == "critical"
    assert audit["comparisons"][0]["assurance"] == {"listed": 0, "reported": 0, "read": 2, "restored": 6}
    folder = clinic.root / "records" / audit["audit"]["id"]
    assert "restore_failed" in (folder / "restricted" / "worklist-nas.csv").read_text(encoding="utf-8")
    assert not (clinic.root / ".exactcopy" / "scratch").exists()


@pytest.mark.usefixtures("lean")
def test_what_came_back_unequal_is_not_listed_as_not_opening(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    original, victim = clinic.path("pacs", 0, 0), clinic.path("nas", 1, 0)
    image = pydicom.dcmread(original)
    image.compress(RLELossless)
    image.PixelData = encapsulate([bytes(100)])
    image.save_as(original)
    clinic.mirror()
    spoil(monkeypatch, lambda: victim.write_bytes(victim.read_bytes()[:-500] + bytes(500)))
    audit = audit_at(clinic, NOW)
    assert audit["restore_tests"][0]["problems"] == {"not_equal": 1, "not_opening": 1}
    counted = {each["check"]: (each["count"], each["id"]) for each in audit["findings"]}
    rows = (clinic.record() / "gaps.csv").read_text(encoding="utf-8").splitlines()
    for check, studies in (("restore-succeeded", 2), ("restored-images-open", 1)):
        count, finding = counted[check]
        assert count == sum(row.startswith(finding) for row in rows) == studies


@pytest.mark.usefixtures("lean")
def test_a_backup_that_goes_away_was_not_tested(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, lambda: shutil.rmtree(clinic.root / "nas"))
    audit = audit_at(clinic, NOW)
    test = audit["restore_tests"][0]
    assert (test["planned"], test["restored"], test["failed"], test["not_tested"]) == (4, 0, 0, 4)
    assert (audit["headline"], audit["complete"]) == ("not_enough", False)
    assert findings(audit) == {}


def test_scratch_that_cannot_be_written_says_nothing_of_the_backup(clinic: Clinic, tmp_path: Path) -> None:
    clinic.configure()
    target = load_config(clinic.root / "exactcopy.toml").backups[0]
    nowhere = tmp_path / "nowhere"
    done = restore_study(Task(target, nowhere, "2.25.1", False, ()))
    assert (done.outcome, done.problems) == ("not_tested", ("scratch_not_writable",))


def test_what_a_killed_worker_left_in_scratch_does_not_keep_a_study_from_being_tested(
    clinic: Clinic, tmp_path: Path
) -> None:
    clinic.configure()
    target = load_config(clinic.root / "exactcopy.toml").backups[0]
    data = clinic.path("nas", 1, 0).read_bytes()
    copy = Copy(key=b"left.dcm", size=len(data), modified=None)
    (clinic.root / "nas" / "left.dcm").write_bytes(data)
    scratch = tmp_path / "scratch"
    task = Task(target, scratch, "2.25.1", False, ((copy, hashlib.sha256(data).digest(), None),))
    place = _place(task, scratch)
    place.mkdir(parents=True)
    (place / "0000000").write_bytes(b"half of an ima")
    done = restore_study(task)
    assert (done.outcome, done.instances, done.problems) == ("restored", 1, ())
    assert not place.exists()


@pytest.mark.usefixtures("lean")
def test_a_random_draw_can_be_made_again_from_the_record(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=("nas",), settings='[policy]\nsample = "quick"')
    clinic.fill(studies=120, instances=1, name="rtplan.dcm")
    audit = audit_at(clinic, NOW)
    test = audit["restore_tests"][0]
    assert (test["sample"]["method"], test["sample"]["frame"]) == ("random", 120)
    assert test["planned"] == test["restored"] == 20
    assert test["sample"]["upper_limit"] <= 12
    assert test["certainty"]["planned"] == test["certainty"]["restored"] > 0
    restricted = clinic.root / "records" / audit["audit"]["id"] / "restricted"
    listed = (restricted / "frame-nas.txt").read_bytes()
    assert hashlib.sha256(listed).hexdigest() == test["sample"]["frame_sha256"]
    key = bytes.fromhex(test["sample"]["seed"])
    again = sorted(listed.decode().split(), key=lambda uid: hmac.digest(key, uid.encode(), "sha256"))[:20]
    assert json.loads((restricted / "draws.json").read_text(encoding="utf-8"))[0]["random"] == again


def test_scratch_is_gone_after_a_kill_and_the_next_run(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(studies=40, instances=10)
    clinic.configure()
    process = subprocess.Popen(
        [sys.executable, "-m", "exactcopy", "audit"],
        cwd=clinic.root,
        env=environment(pdf=False),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    scratch = clinic.root / ".exactcopy" / "scratch"
    while process.poll() is None and not any(path.is_file() for path in scratch.rglob("*")):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = [path for path in scratch.rglob("*") if path.is_file()]
    assert left, "nothing was being restored when it was killed"
    assert scratch.stat().st_mode & 0o777 == 0o700
    assert clinic.run("audit").returncode == 0
    assert not scratch.exists()


@pytest.mark.usefixtures("lean")
def test_reset_file_times_are_noticed(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    for study in range(30):
        path = clinic.add(study, 0, "rtplan.dcm", age=timedelta(minutes=5))
        dataset = pydicom.dcmread(path)
        dataset.StudyDate = ""
        dataset.save_as(path)
        if study < 4:
            os.makedirs(clinic.path("nas", study, 0).parent)
            shutil.copy2(path, clinic.path("nas", study, 0))
    audit = audit_at(clinic, NOW + timedelta(hours=1))
    assert findings(audit)["file-times-are-plausible", "pacs"] == "medium"
    assert audit["conclusion"] == "exceptions noted"
