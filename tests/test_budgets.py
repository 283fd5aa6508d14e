"""What one audit may take: hours, bytes, dollars. What is left is said, is never fine, and comes first next time."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exactcopy.audit import run_audit
from exactcopy.config import load_config
from exactcopy.decisions import load_decisions
from exactcopy.hours import Hours
from exactcopy.model import Budget, Cost, ReadPolicy, Target
from exactcopy.planning import plan_audit
from exactcopy.stores import KINDS
from exactcopy.stores.bounded import share
from tests.clinic import Clinic, audit_at, check_sums, environment, findings, outcomes, store
from tests.test_killed import figures
from tests.test_window_audit import sources

NOW = datetime.now(UTC).replace(microsecond=0)
IMAGES = 12
in_this_process = pytest.mark.usefixtures("lean", "ready_worker")


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    """Six studies of two images on a primary and two backups."""
    clinic = Clinic(tmp_path)
    clinic.fill(studies=6, instances=2)
    return clinic


def audit(clinic: Clinic, budget: Budget, days: int = 0, **changes: Any) -> dict[str, Any]:
    """Audit so many days from now; `changes` are made to the backup `nas`."""
    config = load_config(clinic.configure())
    backups = tuple(replace(one, **changes) if one.name == "nas" else one for one in config.backups)
    now = NOW + timedelta(days=days)
    decisions = load_decisions(config.decisions, set(), now.date())
    config = replace(config, backups=backups)
    said = dict(run_audit(config, decisions, now, lambda *_: lambda *_: None, budget).record.audit)
    check_sums(said)
    return said


def size(clinic: Clinic) -> int:
    """Give how many bytes one store holds."""
    return sum(path.stat().st_size for path in clinic.pacs.rglob("*.dcm"))


def reasons(said: dict[str, Any]) -> dict[str, str]:
    """Give why each store was not examined whole."""
    return {item["target"]: item["reason"] for item in said["not_examined"] if item["reason"] != "restore_not_tested"}


# --- bytes ------------------------------------------------------------------------------------------------


@in_this_process
def test_the_primary_is_read_before_its_backups_and_the_rest_first_next_time(clinic: Clinic) -> None:
    # Enough for all of the primary and half of one backup.
    budget = Budget(max_read=size(clinic) * 3 // 2)
    first = audit(clinic, budget)
    assert [store(first, name)["read_bytes"] for name in ("pacs", "nas", "usb")] == [
        size(clinic),
        size(clinic) // 2,
        0,
    ]
    assert sources(clinic, "nas") == {"read": 6, "over_total": 6}
    assert sources(clinic, "usb") == {"over_total": 12}
    assert outcomes(first, "nas") == {"identical": 6, "unknown": 6}
    assert outcomes(first, "usb") == {"unknown": IMAGES}
    assert (first["complete"], first["conclusion"]) == (False, "incomplete")
    assert reasons(first) == {"nas": "limit_met", "usb": "limit_met"}
    assert "usb: a limit was met before all of it was read (--max-read)" in [x["text"] for x in first["not_examined"]]
    [found] = [each for each in first["findings"] if (each["check"], each["target"]) == ("store-examined", "usb")]
    assert found["message"] == "12 files were left unread, for no more was left of --max-read."
    assert found["remedy"][0].startswith("Audit again: what was read is kept, and what was left unread comes first.")
    assert first["policy"]["max_read"] == budget.max_read

    second = audit(clinic, budget, 1)
    # read = "all": what the audit before read of it is not read anew before the rest was read once.
    assert sources(clinic, "nas") == {"carried": 6, "read": 6}
    assert sum(store(second, name)["read_bytes"] for name in ("pacs", "nas", "usb")) <= size(clinic) * 3 // 2
    third = audit(clinic, Budget(), 2)
    assert outcomes(third, "usb") == {"identical": IMAGES}
    assert third["complete"]


@in_this_process
def test_what_is_new_is_read_before_what_was_read_long_ago(clinic: Clinic) -> None:
    clinic.stores = dict.fromkeys(("pacs", "nas", "usb"), 'read = "rotation"')
    audit(clinic, Budget())
    clinic.add(9, 0)
    clinic.mirror()
    one = clinic.path("pacs", 9, 0).stat().st_size
    # All is too old by now; there is room for the new image on each store, and one more.
    said = audit(clinic, Budget(max_read=4 * one), 70)
    assert outcomes(said, "nas") == outcomes(said, "usb") == {"identical": IMAGES + 1}
    assert sources(clinic, "pacs") == {"carried": IMAGES - 1, "read": 2}
    assert sources(clinic, "nas") == sources(clinic, "usb") == {"carried": IMAGES, "read": 1}
    assert said["complete"], "what was read 70 days ago counts for 92"
    late = audit(clinic, Budget(max_read=4 * one), 100)
    assert not late["complete"]
    assert late["comparisons"][0]["instances"]["identical"] < IMAGES
    assert set(late["comparisons"][0]["instances"]) > {"different"}
    assert not late["comparisons"][0]["instances"]["different"]


@in_this_process
def test_a_primary_of_which_nothing_could_be_read_is_no_empty_archive(clinic: Clinic) -> None:
    audit(clinic, Budget())
    said = audit(clinic, Budget(max_read=1), 1)
    assert store(said, "pacs")["error"] is None, "the last record knows which images its files are"
    assert reasons(said)["pacs"] == "limit_met"
    shutil.rmtree(clinic.root / "records")
    said = audit(clinic, Budget(max_read=1))
    assert store(said, "pacs")["error"] == "over_budget"
    assert findings(said)["store-examined", "pacs"] == "high"
    [found] = [each for each in said["findings"] if (each["check"], each["target"]) == ("store-examined", "pacs")]
    assert found["message"].startswith("Nothing of pacs was read: --max-read,")
    assert ("no-mass-change", "pacs") not in findings(said)


@in_this_process
def test_a_killed_audit_reads_no_more_than_its_budget_and_plans_nothing_else(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clinic = Clinic(tmp_path, stores=dict.fromkeys(("pacs", "nas", "usb"), 'read = "rotation"'))
    clinic.fill(studies=15, instances=4)
    # 2.4 MB each, all of it too old to be relied on.
    audit_at(clinic, NOW - timedelta(days=100))
    state = (clinic.root / "records", clinic.root / ".exactcopy")
    kept = tmp_path_factory.mktemp("kept")
    for folder in state:
        shutil.copytree(folder, kept / folder.name)
    arguments = ("audit", "--format", "json", "--max-read", "4MB")
    expected = json.loads(clinic.run(*arguments).stdout)
    assert store(expected, "usb")["problems"] == {"over_total": 60}
    for folder in state:
        shutil.rmtree(folder)
        shutil.copytree(kept / folder.name, folder)
    process = subprocess.Popen(
        [sys.executable, "-m", "exactcopy", *arguments],
        cwd=clinic.root,
        env=environment(pdf=False),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not list(clinic.root.glob(".exactcopy/unfinished/*/stores/nas/plan.json")):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(list(clinic.root.glob("records/*/audit.json"))) == 1, "it ended before it could be killed"
    done = clinic.run(*arguments)
    assert done.returncode == 3
    said = json.loads(done.stdout)
    assert figures(said) == figures(expected)
    assert sum(each["read_bytes"] for each in said["stores"]) <= 4_000_000


# --- hours ------------------------------------------------------------------------------------------------


@in_this_process
def test_what_is_not_read_in_time_is_left_and_comes_first(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.stores = dict.fromkeys(("pacs", "nas", "usb"), 'read = "rotation"')
    with monkeypatch.context() as patched:
        over(patched, "usb")
        first = audit(clinic, Budget(max_hours=1))
    assert sources(clinic, "usb") == {"over_time": IMAGES}
    assert outcomes(first, "nas") == {"identical": IMAGES}
    assert outcomes(first, "usb") == {"unknown": IMAGES}
    assert (first["complete"], reasons(first)) == (False, {"usb": "time_over"})
    [found] = [each for each in first["findings"] if (each["check"], each["target"]) == ("store-examined", "usb")]
    assert found["message"] == "12 files were left unread when the hours of --max-hours were over."
    clinic.add(9, 0)
    clinic.mirror()
    second = audit(clinic, Budget(max_hours=1), 1)
    assert second["complete"]
    assert sources(clinic, "usb") == {"read": IMAGES + 1}
    assert sources(clinic, "nas")["carried"] >= IMAGES - 1


def over(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the hours be over when one store is to be read, and only then."""

    def reading(target: Target, workers: int) -> Target:
        shared = share(target, workers)
        assert shared.until is not None
        return replace(shared, until=NOW) if target.name == name else shared

    monkeypatch.setattr("exactcopy.inventory.reading.share", reading)


@in_this_process
def test_a_study_that_is_not_restored_in_time_is_not_tested_and_says_why(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hours, "until", lambda _, hours: datetime.now(UTC) + timedelta(hours=1 if hours < 1 else -1))
    said = audit(clinic, Budget(max_hours=1))
    assert outcomes(said, "nas") == {"identical": IMAGES}
    for test in said["restore_tests"]:
        assert (test["restored"], test["not_tested"], test["planned"]) == (0, 6, 6)
        assert test["problems"] == {"out_of_time": 6}
    assert [item["text"] for item in said["not_examined"]] == [
        f"{name}: 6 of the drawn studies could not be restored for a test: its hours were over"
        for name in ("nas", "usb")
    ]
    [asked] = [each for each in said["checks"] if (each["check"], each["target"]) == ("restore-was-tested", "nas")]
    assert asked["reason"] == "6 studies of nas could not be tested: the hours of --max-hours were over."
    assert (said["conclusion"], said["complete"]) == ("incomplete", False)


def test_hours_that_are_over_at_once_end_with_exit_code_3_and_a_record(clinic: Clinic) -> None:
    clinic.configure()
    done = clinic.run("audit", "--max-hours", "0.000001", "--format", "json")
    assert done.returncode == 3, done.stderr
    said = json.loads(done.stdout)
    assert {each["error"] for each in said["stores"]} == {"out_of_time"}
    assert "pacs: the hours that this audit was given were over before it could be examined." in done.stderr


def test_hours_are_counted_over_all_runs_that_an_audit_takes(tmp_path: Path) -> None:
    place = tmp_path / "seconds"
    first = Hours(place)
    first.counting(lambda *_: lambda *_: None)("Reading", 1, 1)(1, 1)
    assert 0 <= float(place.read_text()) < 60
    place.write_text("7200.0")
    left = Hours(place).until(3) - datetime.now(UTC)
    assert timedelta(minutes=55) < left < timedelta(hours=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--max-hours", "0"), "Write how many it may take"),
        (("--max-hours", "nan"), "Write how many it may take"),
        (("--max-read", "500"), "Write a whole number and a unit"),
    ],
)
def test_a_budget_that_says_nothing_is_refused(clinic: Clinic, arguments: tuple[str, str], said: str) -> None:
    clinic.configure()
    done = clinic.run("audit", *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert not (clinic.root / "records").exists()


# --- dollars ----------------------------------------------------------------------------------------------


@pytest.fixture
def cloud(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What makes `nas` a cloud that wants a dollar for a megabyte."""
    monkeypatch.setitem(KINDS, "reporting", "tests.stores.reporting:AnsweringStore")
    options = {"path": str(clinic.root / "nas"), "algorithms": ["md5"], "lies": (), "log": str(clinic.root / "log")}
    return {
        "kind": "reporting",
        "read": ReadPolicy.ALL,
        "options": options,
        "cost": Cost(monthly=5.0, egress_per_gb=1000.0),
    }


@pytest.mark.usefixtures("lean", "forked")
def test_an_audit_costs_no_more_than_it_may_test_restores_included(clinic: Clinic, cloud: dict[str, Any]) -> None:
    # All of it may be read once, and half of it again.
    allowed = size(clinic) * 1.5 / 10**6
    first = audit(clinic, Budget(), max_egress_cost=allowed, **cloud)
    cost = store(first, "nas")["egress_cost"]
    [test] = [each for each in first["restore_tests"] if each["backup"] == "nas"]
    assert cost == pytest.approx(size(clinic) / 10**6)
    assert outcomes(first, "nas") == {"identical": IMAGES}
    assert (test["restored"], test["not_tested"]) == (3, 3)
    assert test["problems"] == {"over_cost": 3}
    assert cost + test["egress_cost"] <= allowed
    assert "max_egress_cost allowed no more" in next(x["text"] for x in first["not_examined"] if x["target"] == "nas")
    [asked] = [each for each in first["checks"] if (each["check"], each["target"]) == ("restore-was-tested", "nas")]
    assert asked["reason"].endswith("restoring them would have cost more than `max_egress_cost`.")
    assert not first["complete"]

    # Half as much again as those of last time is kept for test restores, so that less is read.
    second = audit(clinic, Budget(), 1, max_egress_cost=allowed, **cloud)
    [test] = [each for each in second["restore_tests"] if each["backup"] == "nas"]
    assert sources(clinic, "nas") == {"read": 9, "over_cost": 3}
    assert store(second, "nas")["egress_cost"] + test["egress_cost"] <= allowed
    [found] = [each for each in second["findings"] if (each["check"], each["target"]) == ("store-examined", "nas")]
    assert found["message"] == "3 files were left unread, so as not to cost more than `max_egress_cost`."


@pytest.mark.usefixtures("lean", "forked")
def test_what_differs_is_read_again_only_as_far_as_that_may_cost(clinic: Clinic, cloud: dict[str, Any]) -> None:
    for instance in range(2):
        path = clinic.path("nas", 0, instance)
        content = bytearray(path.read_bytes())
        content[-2000] ^= 1
        path.write_bytes(content)
    one = size(clinic) / IMAGES / 10**6
    # A tenth of it is kept for that and for test restores: one image, and not two.
    said = audit(clinic, Budget(), max_egress_cost=(IMAGES + 1.5) * one, **cloud)
    assert outcomes(said, "nas") == {"identical": IMAGES - 2, "different": 1, "unverified": 1}
    [test] = [each for each in said["restore_tests"] if each["backup"] == "nas"]
    assert (test["restored"], test["not_tested"]) == (0, 5)
    # The one that was compared is known: there is room for the other now.
    said = audit(clinic, Budget(), 1, max_egress_cost=(IMAGES + 1.5) * one, **cloud)
    assert outcomes(said, "nas") == {"identical": IMAGES - 2, "different": 2}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("max_egress_cost = 25", "is in dollars, and no price is known here. Write it: cost = {"),
        ("max_egress_cost = 25\ncost = { monthly = 5 }", "is in dollars, and no price is known here."),
        ("max_egress_cost = 25\ncost = { monthly = 5, egress_per_gb = 0 }", "limits nothing: egress_per_gb is 0"),
        ("max_egress_cost = 0\ncost = { monthly = 5, egress_per_gb = 1 }", "would allow nothing."),
        ('max_egress_cost = "25"\ncost = { monthly = 5, egress_per_gb = 1 }', "is no amount."),
    ],
)
def test_a_cost_without_a_price_is_a_fault(clinic: Clinic, settings: str, said: str) -> None:
    clinic.stores["nas"] = settings
    clinic.configure()
    done = clinic.run("check")
    assert done.returncode == 2
    assert f"backup.nas.max_egress_cost: {said}" in done.stderr or said in done.stderr


# --- the plan ---------------------------------------------------------------------------------------------


def planned(clinic: Clinic, budget: Budget, **changes: Any) -> list[str]:
    """Give the lines of a plan."""
    config = load_config(clinic.configure())
    backups = tuple(replace(one, **changes) if one.name == "nas" else one for one in config.backups)
    return list(plan_audit(replace(config, backups=backups), NOW, lambda *_: lambda *_: None, budget).lines)


def test_a_plan_says_what_a_budget_leaves(clinic: Clinic) -> None:
    lines = planned(clinic, Budget(max_read=size(clinic) * 3 // 2))
    assert "12 files, 0.00 GB would be read" in lines[0]
    assert "left" not in lines[0]
    assert lines[1].startswith("nas: 12 files, 0.00 GB there; 6 files, 0.00 GB would be read")
    assert lines[1].endswith("6 files, 0.00 GB are left to the next audit by --max-read: not checked until then.")
    assert "12 files, 0.00 GB are left to the next audit by --max-read" in lines[2]
    assert not list((clinic.root / ".exactcopy").glob("unfinished/*"))


@pytest.mark.usefixtures("lean", "forked")
def test_a_plan_says_what_hours_and_dollars_leave(clinic: Clinic, cloud: dict[str, Any]) -> None:
    lines = planned(clinic, Budget(max_hours=4))
    assert lines[-1] == (
        "--max-hours 4: of these, 24.0 minutes are kept for test restores. What is not read in the others is left to "
        "the next audit, which reads it first."
    )
    audit(clinic, Budget(), -1, **cloud)
    said = "\n".join(planned(clinic, Budget(max_hours=4), max_egress_cost=0.2, **cloud))
    assert "all of the above is read in the others." in said
    assert "by `max_egress_cost`: not checked until then." in said
    assert "nas: max_egress_cost allows $0.20: 0.00 GB. Of these, 0.00 GB are kept for test restores." in said
    # Seconds are not enough for what takes seconds.
    little = planned(clinic, Budget(max_hours=1e-7), **cloud)[-1]
    assert "GB are left to the next audits, which read it first" in little
    assert "What is not read counts as not checked." in little


@in_this_process
def test_what_was_not_examined_is_no_backup_that_cannot_be_restored(clinic: Clinic) -> None:
    said = audit(clinic, Budget(max_read=size(clinic)))
    assert outcomes(said, "nas") == {"unknown": IMAGES}
    [asked] = [each for each in said["checks"] if (each["check"], each["target"]) == ("restore-was-tested", "nas")]
    assert (asked["status"], asked["reason"]) == (
        "not_checked",
        "No study of nas was examined whole, so none could be drawn for a test restore.",
    )
    assert not said["complete"]
