"""Audits of a store that has a window: what is left when it ends is never fine, and the next audit goes on with it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exactcopy.audit import run_audit
from exactcopy.config import load_config
from exactcopy.decisions import load_decisions
from exactcopy.inventory.database import database, parquet, rows
from exactcopy.model import Target
from exactcopy.recording import Audited
from exactcopy.stores.bounded import share
from exactcopy.windows import Window
from tests.clinic import Clinic, audit_at, check_sums, outcomes, store
from tests.pacs import PASSWORD, orthanc
from tests.test_pacs_audit import dicomweb, fill

pytestmark = pytest.mark.usefixtures("lean")
IMAGES = 24


def window(begin: timedelta, end: timedelta) -> Window:
    """Give a window from and to so long after now."""
    now = datetime.now(UTC)
    return Window((now + begin).time(), (now + end).time(), "UTC")


def written(hours: Window) -> str:
    """Give a window as the configuration has it."""
    return f'window = "{hours.begin:%H:%M}-{hours.end:%H:%M}"'


def audit(clinic: Clinic, **bounds: Any) -> Audited:
    """Audit now, in this process; `bounds` are those of the only backup."""
    config = load_config(clinic.configure())
    config = replace(config, backups=tuple(replace(one, **bounds) for one in config.backups))
    now = datetime.now(UTC)
    decisions = load_decisions(config.decisions, set(), now.date())
    audited = run_audit(config, decisions, now, lambda *_: lambda *_: None)
    check_sums(dict(audited.record.audit))
    return audited


def ended(seconds: float) -> dict[str, Any]:
    """Give bounds in which so many seconds from now not all of the images were read."""
    return {
        "window": window(-timedelta(hours=1), timedelta(seconds=seconds)),
        "concurrency": 1,
        "max_rate": 20_000,
    }


def sources(clinic: Clinic, name: str) -> dict[str, int]:
    """Count how the contents of a store are known in the newest record."""
    folder = clinic.record() / "restricted" / "inventory" / name
    with database(clinic.root / "spill") as db:
        counts = f"select coalesce(digest_source, problem), count(*) from {parquet(folder)} group by 1"
        return dict(rows(db, counts))


def in_a_folder(clinic: Clinic, read: str) -> None:
    clinic.backups = ("copy",)
    clinic.stores["copy"] = f'read = "{read}"'
    (clinic.root / "copy").mkdir()
    clinic.mirror()


def test_the_next_audit_reads_what_the_window_left_and_nothing_twice(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=())
    clinic.fill(4, 6, "MR_small.dcm")
    in_a_folder(clinic, "all")
    goes_on(clinic, "copy", 5)


def test_a_pacs_that_is_left_at_the_end_of_its_window_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACS_PASSWORD", PASSWORD)
    with orthanc() as server:
        clinic = Clinic(tmp_path, backups=(), settings=f"[backup.copy]\noffsite = true\n{dicomweb(server)}")
        clinic.fill(4, 6, "MR_small.dcm")
        fill(server, clinic)
        goes_on(clinic, "copy", 6)


def goes_on(clinic: Clinic, name: str, seconds: float) -> None:
    """Audit until a window ends, and once more."""
    # A busy machine may have read nothing before the window ended.
    for longer in (1, 2, 4):
        first = audit(clinic, **ended(seconds * longer))
        said = dict(first.record.audit)
        read = 0 if store(said, name)["error"] else sources(clinic, name).get("read", 0)
        if read:
            break
    assert 0 < read < IMAGES
    assert sources(clinic, name) == {"read": read, "over_window": IMAGES - read}
    assert outcomes(said, name) == {"identical": read, "unknown": IMAGES - read}
    assert (said["complete"], said["not_examined"][-1]["reason"]) == (False, "window_ended")
    # Where it took more than one audit, it was found before, and weighs more.
    [found] = [found for found in said["findings"] if (found["check"], found["target"]) == ("store-examined", name)]
    assert found["base_severity"] == "high"
    [warning] = [line for line in first.warnings if line.startswith(f"{name}: its window")]
    assert f"{IMAGES - read} of its files were not read. Audit again from" in warning
    # Nor was a study restored outside of the window.
    [test] = said["restore_tests"]
    assert test["restored"] == test["failed"] == 0
    assert test["not_tested"] == test["planned"]

    second = audit(clinic)
    again = dict(second.record.audit)
    assert sources(clinic, name) == {"carried": read, "read": IMAGES - read}
    assert store(said, name)["read_bytes"] + store(again, name)["read_bytes"] == store(again, name)["bytes"]
    assert (outcomes(again, name), again["complete"]) == ({"identical": IMAGES}, True)
    # The report says how old the oldest proof is.
    [row] = again["comparisons"]
    assert row["oldest_read_at"] == said["audit"]["started"]


def test_what_is_all_read_is_read_anew_once_the_windows_sufficed(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=())
    clinic.fill(1, 2)
    in_a_folder(clinic, "all")
    for _ in range(2):
        audit(clinic, window=window(-timedelta(hours=1), timedelta(hours=1)))
        assert sources(clinic, "copy") == {"read": 2}


def test_outside_its_window_a_store_is_not_examined_and_exit_code_3_says_when_to_come(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=("nas",), settings='time_zone = "UTC"')
    clinic.fill(2, 1)
    later = window(timedelta(hours=2), timedelta(hours=3))
    clinic.stores["nas"] = written(later)
    clinic.configure()
    done = clinic.run("audit", "--format", "json")
    said = json.loads(done.stdout)
    assert done.returncode == 3
    assert store(said, "nas")["error"] == "outside_window"
    assert outcomes(said, "nas") == {"unknown": 2}
    assert "nas: the audit ran outside its window" in [item["text"] for item in said["not_examined"]]
    [told] = [line for line in done.stderr.splitlines() if line.startswith("nas: ")]
    assert told.endswith(f"Its window starts at {later.begin:%H:%M}: audit again then.")


def test_check_and_plan_tell_the_window(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=("nas", "usb"), settings='time_zone = "UTC"')
    clinic.fill(2, 1)
    now, later = window(-timedelta(hours=2), timedelta(hours=2)), window(timedelta(hours=2), timedelta(hours=3))
    clinic.stores = {"nas": written(now), "usb": written(later)}
    clinic.configure()
    checked = clinic.run("check").stdout
    assert f"✓ nas can be reached. It is examined within its window only: {now}." in checked
    assert (
        f"✓ usb can be reached; it was not listed. It is examined within its window only: {later}."
        " That is closed now: start the audit when it opens."
    ) in checked
    planned = clinic.run("audit", "--plan")
    assert planned.returncode == 3, "of one store nothing can be told"
    assert f"would be read. It is examined within its window only: {now}." in planned.stdout
    assert f"usb: its window is {later}, and now it is outside of it. Its window starts at" in planned.stdout


def test_a_proof_that_is_not_too_old_stands_where_the_window_left_no_time_to_renew_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic = Clinic(tmp_path, backups=())
    clinic.fill(2, 2)
    in_a_folder(clinic, "rotation")
    # Half of it is to be read again after 60 days; too old it is from the 92nd.
    audit_at(clinic, datetime.now(UTC) - timedelta(days=60))
    clinic.add(7, 0)
    clinic.mirror()
    close_after_listing(monkeypatch)
    said = dict(audit(clinic, window=window(-timedelta(hours=1), timedelta(hours=1))).record.audit)
    assert sources(clinic, "copy") == {"carried": 4, "over_window": 1}
    assert outcomes(said, "copy") == {"identical": 4, "unknown": 1}
    assert not said["complete"]


def close_after_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the window of what is read be one that is closed."""
    closed = window(timedelta(hours=1), timedelta(hours=2))

    def reading(target: Target, workers: int) -> Target:
        return replace(share(target, workers), window=target.window and closed)

    monkeypatch.setattr("exactcopy.inventory.reading.share", reading)
