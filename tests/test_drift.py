"""The daily drift check: what changed since the last audit, by the audit's own checks, and nothing else is touched."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

from exactcopy.assess import read_decisions
from exactcopy.checks import finding_id
from exactcopy.config import load_config
from exactcopy.drift import lines, run_drift
from exactcopy.errors import RecordError, RunLocked
from exactcopy.records import begin, chain, drifts, locked
from exactcopy.verify import verify
from tests.clinic import LEFT_OUT, Clinic, audit_at, findings, outcomes

pytestmark = pytest.mark.usefixtures("lean", "ready_worker")
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    """A sound clinic that was audited yesterday."""
    clinic = Clinic(tmp_path)
    clinic.fill(studies=3, instances=2)
    audit_at(clinic, NOW - DAY)
    return clinic


def drift_at(clinic: Clinic, now: datetime) -> dict[str, Any]:
    """Check for drift as if it were `now`, in this process."""
    config = load_config(clinic.configure())
    decisions = read_decisions(config, now.date())
    return dict(run_drift(config, decisions, now, lambda name, objects, size: lambda count, read: None).said)


def changed(said: dict[str, Any], since: str) -> list[str]:
    """Give the kind and title of each change."""
    return sorted(f"{change['kind']}: {change['title']}" for change in said["changes"][since])


def content(folder: Path) -> dict[str, str]:
    """Give the hash of every file in a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in files}


def test_what_changed_is_found_as_the_audit_finds_it_and_nothing_else_is_read_or_written(clinic: Clinic) -> None:
    records, before, beside = (content(clinic.root / name) for name in ("records", "pacs", ".exactcopy"))
    quiet = drift_at(clinic, NOW)
    assert (quiet["conclusion"], quiet["complete"], quiet["read_bytes"]) == ("no exceptions noted", True, 0)
    assert quiet["changes"] == {"since_audit": [], "last": None, "since_last": []}
    assert "Since the audit: nothing new, worse or resolved." in list(lines(quiet))

    clinic.path("nas", 0, 0).unlink()
    altered = clinic.path("usb", 1, 0)
    pixels = altered.read_bytes()
    altered.write_bytes(pixels[:-4000] + bytes([pixels[-4000] ^ 1]) + pixels[-3999:])
    new = clinic.add(8, 0)
    sizes = [path.stat().st_size for path in (altered, new)]
    loud = drift_at(clinic, NOW + timedelta(hours=1))
    assert loud["read_bytes"] == sum(sizes)
    told = [
        "new: 1 image of pacs without an exact copy anywhere",
        "new: 1 image on usb differs from the original",
        "new: 1 study is incomplete or missing on usb",
        "new: 2 studies are incomplete or missing on nas",
    ]
    assert changed(loud, "since_audit") == changed(loud, "since_last") == told
    text = "\n".join(lines(loud))
    assert "pacs on nas: 2 (then 3) of 4 (then 3) studies have an exact copy; 2 (then 0) with a gap" in text

    again = drift_at(clinic, NOW + timedelta(hours=2))
    assert changed(again, "since_audit") == told
    assert changed(again, "since_last") == []
    clinic.mirror()
    healed = drift_at(clinic, NOW + DAY)
    assert (healed["conclusion"], changed(healed, "since_audit")) == ("no exceptions noted", [])
    assert changed(healed, "since_last") == sorted(line.replace("new", "resolved") for line in told)

    assert content(clinic.root / "records") == records
    assert {name: content(clinic.pacs)[name] for name in before} == before
    state = content(clinic.root / ".exactcopy")
    assert {name: state[name] for name in state if not name.endswith(drifts.FILE)} == beside
    log = (clinic.root / ".exactcopy" / "drift.jsonl").read_text(encoding="utf-8")
    for planted in ("SECRET", "Secret", "2.25.", "study 0", str(clinic.root)):
        assert planted not in log + json.dumps([quiet, loud, again, healed])

    clinic.path("nas", 0, 0).unlink()
    last = drift_at(clinic, NOW + 3 * DAY)
    audit = audit_at(clinic, NOW + 3 * DAY)
    assert findings(audit) == {(f["check"], f["target"]): f["severity"] for f in last["findings"] if _apart(f)}
    asked_by_audits = {finding_id("last-report-was-reviewed", "audit")}
    assert {found["id"] for found in last["findings"]} == {found["id"] for found in audit["findings"]} - asked_by_audits
    assert audit["drift"] == {
        "runs": 5,
        "first": NOW.isoformat(),
        "last": (NOW + 3 * DAY).isoformat(),
        "changed_runs": 3,
        "days_without": 1,
        "head_sha256": drifts.read(clinic.root / ".exactcopy").head,
        "faults": 0,
        "cut_off": False,
    }


def _apart(found: dict[str, Any]) -> bool:
    return found["check"] not in LEFT_OUT


def test_what_only_an_audit_can_answer_stays_as_it_was(clinic: Clinic) -> None:
    shutil.rmtree(clinic.root / "usb")
    (clinic.root / "usb").mkdir()
    (clinic.root / "usb" / "other.dcm").write_bytes(clinic.path("pacs", 0, 0).read_bytes()[:-400])
    audit = audit_at(clinic, NOW)
    assert findings(audit)["restore-was-tested", "usb"] == "critical"
    clinic.mirror()
    (clinic.root / "usb" / "other.dcm").unlink()
    said = drift_at(clinic, NOW + DAY)
    kept = [found for found in said["findings"] if found["check"] == "restore-was-tested"]
    assert [(found["target"], found["severity"], found["asked"]) for found in kept] == [("usb", "critical", False)]
    assert said["conclusion"] == "exceptions noted"
    assert "resolved: 3 studies are incomplete or missing on usb" in changed(said, "since_audit")
    assert not any("test restore" in line for line in changed(said, "since_audit"))


def test_an_overdue_audit_and_a_store_that_is_away_are_not_passed_over(clinic: Clinic) -> None:
    late = drift_at(clinic, NOW + 40 * DAY)
    assert (late["conclusion"], late["complete"], late["read_bytes"]) == ("incomplete", False, 0)
    assert [part["reason"] for part in late["not_examined"]] == ["audit_overdue"]
    shutil.move(clinic.root / "nas", clinic.root / "away")
    away = drift_at(clinic, NOW)
    assert away["complete"] is False
    assert "new: nas could not be examined" in changed(away, "since_audit")


def test_an_unfinished_audit_is_neither_disturbed_nor_waited_for(clinic: Clinic) -> None:
    config = load_config(clinic.configure())
    unfinished = begin(config, NOW)
    (unfinished.work / "pacs").mkdir()
    (unfinished.work / "pacs" / "part-0.parquet").write_bytes(b"read for hours")
    before = content(unfinished.root)
    drift_at(clinic, NOW + timedelta(hours=1))
    assert content(unfinished.root) == before
    with locked(config), pytest.raises(RunLocked):
        drift_at(clinic, NOW)


def test_without_a_record_to_compare_with_it_says_to_audit_first(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.fill(studies=1, instances=1)
    with pytest.raises(RecordError, match="First: exactcopy audit"):
        drift_at(clinic, NOW)
    audit_at(clinic, NOW)
    shutil.move(clinic.record() / "restricted", tmp_path / "moved away")
    with pytest.raises(RecordError, match="moved away or altered"):
        drift_at(clinic, NOW)


def test_a_rotated_proof_is_not_read_again_and_the_next_audit_reads_what_it_would_have(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, stores={"nas": 'read = "rotation"\nreread = "60d"'})
    clinic.fill(studies=2, instances=2)
    audit_at(clinic, NOW - 30 * DAY)
    assert drift_at(clinic, NOW)["read_bytes"] == 0
    audit = audit_at(clinic, NOW)
    nas = next(store for store in audit["stores"] if store["name"] == "nas")
    # Two audits like this one read all of it in 60 days.
    assert nas["read_bytes"] == sum(path.stat().st_size for path in (clinic.root / "nas").rglob("*.dcm")) // 2
    assert outcomes(audit, "nas") == {"identical": 4}


def test_the_command_line(clinic: Clinic) -> None:
    clinic.path("nas", 0, 0).unlink()
    done = clinic.run("drift")
    assert done.returncode == 1, done.stderr
    assert "new              F-" in done.stdout
    assert "1 study is incomplete or missing on nas" in done.stdout
    assert done.stderr == ""
    assert clinic.run("drift", "elsewhere.toml").returncode == 2


# --- the chain -------------------------------------------------------------------------------------------------


def write(state: Path, count: int) -> Path:
    """Write a log of so many drift checks."""
    for number in range(count):
        at = (NOW + number * DAY).isoformat()
        record = {"id": "2026-01-01T000000Z", "manifest_sha256": "0" * 64}
        drifts.append(state, {"at": at, "record": record, "findings": [], "changed": number % 2 == 0})
    return state / drifts.FILE


def test_every_change_of_the_log_shows(tmp_path: Path) -> None:
    path = write(tmp_path, 12)
    whole, sound = path.read_bytes(), drifts.read(tmp_path)
    assert (len(sound.entries), sound.faults, sound.cut_off) == (12, (), False)
    random = Random(5)
    written = whole.splitlines(keepends=True)
    swapped, dropped, doubled = ([*written] for _ in range(3))
    swapped[3], swapped[4] = swapped[4], swapped[3]
    del dropped[6]
    doubled.insert(2, doubled[1])
    attempts = [b"".join(lines) for lines in (swapped, dropped, doubled, written[1:], written[:-1])]
    attempts += [_flipped(whole, random) for _ in range(200)]
    for attempt in attempts:
        path.write_bytes(attempt)
        log = drifts.read(tmp_path)
        # The newest line is held by the record that names it.
        assert log.faults or sound.head not in log.hashes


def _flipped(content: bytes, random: Random) -> bytes:
    place = random.randrange(len(content))
    return content[:place] + bytes([content[place] ^ random.randrange(1, 256)]) + content[place + 1 :]


def test_a_line_that_was_cut_off_counts_for_nothing_and_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, 3)
    whole = path.read_bytes()
    for kept in range(whole[:-1].rfind(b"\n") + 2, len(whole)):
        path.write_bytes(whole[:kept])
        log = drifts.read(tmp_path)
        assert (len(log.entries), log.faults, log.cut_off) == (2, (), True)
    write(tmp_path, 1)
    log = drifts.read(tmp_path)
    assert (len(log.entries), log.faults, log.cut_off) == (3, (), False)


def test_verify_holds_the_log_against_itself_and_the_records(clinic: Clinic) -> None:
    drift_at(clinic, NOW)
    audit_at(clinic, NOW + DAY)
    drift_at(clinic, NOW + 2 * DAY)
    config = load_config(clinic.configure())
    log = config.state / drifts.FILE
    assert verify(config.records, [], config.state).faults == ()
    first, second = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(first + second[:20])
    cut = verify(config.records, [], config.state)
    assert (cut.faults, cut.drift.cut_off) == ((), True)
    log.write_bytes(second)
    head = chain(config)[0].id
    [broken, gone] = verify(config.records, [], config.state).faults
    assert broken.startswith("drift.jsonl: line 1 cannot be read, or does not follow")
    assert gone.startswith(f"drift.jsonl: the newest check that {head} names is gone")
    assert ("records-are-intact", "audit") in findings(audit_at(clinic, NOW + 3 * DAY))
