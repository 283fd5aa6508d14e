"""Decisions as people make them: by command, in decisions.toml, and in the audits after."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest
from typer.testing import CliRunner

from exactcopy import deciding
from exactcopy.checks import finding_id
from exactcopy.cli import app
from exactcopy.config import load_config
from exactcopy.deciding import Signed
from exactcopy.errors import ConfigError, ExactCopyError, RecordError
from exactcopy.records import digest
from tests.clinic import ROOT, Clinic, audit_at, with_uids
from tests.test_drift import drift_at

pytestmark = pytest.mark.usefixtures("lean", "ready_worker")
NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(days=30)
DANA = Signed(by="Dana Reyes", title="Security official", on=NOW.date())
COMMENTED = b"""\xef\xbb\xbf# Decisions of Test Clinic. Ask Dana before you edit this.\r

[[attest]]      # the plan
control   = "EC-CP-01"
statement = 'The plan, version 4, is in force.'   # see the binder
by = "Dana Reyes"\t
title = "Security official"
on = 2026-01-05
# expires = 2026-12-31  (not yet agreed)"""


def finding(audit: dict[str, Any], check: str, target: str) -> dict[str, Any]:
    """Give one finding of an audit."""
    wanted = finding_id(check, target)
    found: dict[str, Any] = next(each for each in audit["findings"] if each["id"] == wanted)
    return found


def control(audit: dict[str, Any], name: str) -> str:
    """Give the status of a control."""
    return str(next(each["status"] for each in audit["controls"] if each["id"] == name))


def label_of(clinic: Clinic, study: int) -> str:
    """Give the label of a study of the clinic in its newest record."""
    key = json.loads((clinic.record() / "restricted" / "key.json").read_text(encoding="utf-8"))
    return str(key[f"2.25.1000.{study}"])


def edit(clinic: Clinic, store: str, study: int, change: Callable[[pydicom.Dataset], None]) -> None:
    """Change the header of an image where it lies."""
    path = clinic.path(store, study, 0)
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)


def described(dataset: pydicom.Dataset) -> None:
    """Change what may well differ."""
    dataset.StudyDescription = "Edited"


def test_what_was_accepted_stays_in_the_result_and_what_is_new_is_open(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(studies=4, instances=1)
    clinic.path("nas", 0, 0).unlink()
    edit(clinic, "nas", 1, described)
    first = audit_at(clinic, NOW)
    missing = finding(first, "backup-is-complete", "nas")
    assert (missing["state"], missing["decision"], first["resolved"]) == ("open", None, [])
    assert control(first, "EC-AR-01") == "not checked", "there was no report to review"
    config = load_config(tmp_path / "exactcopy.toml")
    told = list(deciding.accept(config, DANA, missing["id"].upper(), "Sent to another site.", None, None))
    assert "with its 1 study of" in told[0]
    assert "the next audit" in told[1]
    list(deciding.accept_elements(config, DANA, "nas", ["(0008,1030)"], "The PACS edits it.", None))
    list(deciding.assign(config, DANA, finding_id("separate-failure-domain", "nas"), "Kim", None, "One disk."))

    second = audit_at(clinic, NOW + timedelta(days=1))
    missing, altered = finding(second, "backup-is-complete", "nas"), finding(second, "copies-are-exact", "nas")
    assert (missing["state"], missing["accepted_count"], missing["decision"]["by"]) == ("accepted", 1, "Dana Reyes")
    assert (missing["base_severity"], missing["severity"], missing["raised"]) == ("high", "critical", True)
    assert (altered["state"], altered["accepted_count"]) == ("accepted", 1)
    assert [control(second, name) for name in ("EC-BK-02", "EC-BK-03")] == ["attention", "attention"]
    for key in ("conclusion", "headline", "complete"):
        assert second[key] == first[key]
    assert second["comparisons"][0]["studies"] == first["comparisons"][0]["studies"]
    assert [each["kind"] for each in second["decisions"]] == ["accept", "accept", "assign"]
    shared = finding(second, "separate-failure-domain", "nas")
    assert (shared["owner"], shared["cause"], shared["state"]) == ("Kim", "One disk.", "open")
    review = finding(second, "last-report-was-reviewed", "audit")
    assert (review["severity"], control(second, "EC-AR-01")) == ("medium", "exception")

    drifted = drift_at(clinic, NOW + timedelta(days=1, hours=1))
    assert finding(drifted, "backup-is-complete", "nas")["state"] == "accepted"
    assert drifted["changes"]["since_audit"] == []
    list(deciding.review(config, DANA, str(clinic.record()), None))
    clinic.path("nas", 2, 0).unlink()
    edit(clinic, "nas", 1, lambda dataset: setattr(dataset, "PatientSex", "M"))
    third = audit_at(clinic, NOW + timedelta(days=2))
    missing, altered = finding(third, "backup-is-complete", "nas"), finding(third, "copies-are-exact", "nas")
    assert (missing["state"], missing["accepted_count"], missing["count"]) == ("open", 1, 2)
    assert (altered["state"], altered["accepted_count"]) == ("open", 0), "an element that nobody accepted"
    assert [each["kind"] for each in third["decisions"]] == ["review"], "only what is new"
    assert control(third, "EC-AR-01") == "no exception"
    assert "last-report-was-reviewed" in {each["check"] for each in third["resolved"]}
    assert {each["state"] for each in third["corrective_actions"]} == {"open"}

    later = audit_at(clinic, NOW + timedelta(days=400))
    missing = finding(later, "backup-is-complete", "nas")
    assert (missing["state"], missing["accepted_count"], missing["decision"]) == ("open", 0, None)
    assert "expired on" in missing["message"]


def test_a_disposal_explains_what_is_gone_and_nothing_that_is_there(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(studies=5, instances=2)
    audit_at(clinic, NOW)
    for study, instances in ((0, 2), (1, 1), (2, 2)):
        for instance in range(instances):
            clinic.path("pacs", study, instance).unlink()
            clinic.path("nas", study, instance).unlink()
    clinic.path("nas", 3, 0).unlink()
    lost = audit_at(clinic, NOW + timedelta(days=1))
    assert lost["losses"]["gone_everywhere"] == {"studies": 3, "instances": 5}
    assert control(lost, "EC-IR-01") == "not checked", "found today, it can be decided from now on"
    config = load_config(tmp_path / "exactcopy.toml")
    named = [label_of(clinic, study) for study in (0, 1, 3)]
    told = list(deciding.dispose(config, DANA, named, None, None, None, "Past retention.", "Retention policy, 3"))
    assert "does not expire" in told[0]

    after = audit_at(clinic, NOW + timedelta(days=2))
    assert after["losses"]["disposed"] == {"studies": 1, "instances": 2}
    assert after["losses"]["gone_everywhere"] == {"studies": 2, "instances": 3}, "one not named, one there in part"
    gone = finding(after, "no-unexplained-loss", "pacs")
    assert gone["count"] == 2
    assert finding(after, "backup-is-complete", "nas")["count"] == 1, "what is missing from a backup stays missing"
    assert after["headline"] == "lost"
    assert finding(after, "changes-have-an-incident-decision", "audit")["severity"] == "high"

    list(deciding.incident(config, DANA, gone["id"], is_one=False, reason="The modality deleted them."))
    with pytest.raises(RecordError, match="E-9999: no study bears this label"):
        list(deciding.dispose(config, DANA, ["E-9999"], None, None, None, "x", "y"))
    day = NOW.date()
    list(deciding.dispose(config, DANA, [], day, "pacs", None, "Past retention.", "Retention policy, 3"))
    clinic.path("pacs", 1, 1).unlink()
    last = audit_at(clinic, NOW + timedelta(days=3))
    assert last["losses"]["disposed"] == {"studies": 3, "instances": 6}, "CT_small is of 2004"
    assert last["losses"]["gone_everywhere"] == {"studies": 0, "instances": 0}
    assert "no-unexplained-loss" in {each["check"] for each in last["resolved"]}
    assert finding(last, "backup-is-complete", "nas")["count"] == 1


def test_a_failed_restore_needs_its_cause_and_a_retired_store_its_disposal(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=("nas", "old"))
    clinic.fill(studies=2, instances=1)
    audit_at(clinic, NOW)
    config = load_config(clinic.configure())
    with pytest.raises(ConfigError, match="old: is still audited"):
        list(deciding.dispose(config, DANA, [], None, None, "old", "Sold.", "Media policy"))
    clinic.backups = ("nas",)
    left = audit_at(clinic, NOW + timedelta(days=1))
    assert (control(left, "EC-RA-02"), control(left, "EC-MD-02")) == ("exception", "exception")
    again = audit_at(clinic, NOW + timedelta(days=2))
    assert finding(again, "no-store-left-out", "audit")["times_seen"] == 2, "it is not forgotten after a month"
    carried = {each["target"]: each["state"] for each in again["corrective_actions"]}
    assert carried["old"] == "not checked again"
    config = load_config(clinic.configure())
    list(deciding.dispose(config, DANA, [], None, None, "old", "Sold, wiped.", "Media policy"))
    after = audit_at(clinic, NOW + timedelta(days=3))
    assert "no-store-left-out" not in {each["check"] for each in after["findings"]}
    assert "old" not in {each["target"] for each in after["corrective_actions"]}


def test_a_required_specification_takes_no_acceptance_and_an_addressable_one_an_alternative(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(studies=1, instances=1)
    audit_at(clinic, NOW)
    clinic.path("pacs", 0, 0).write_bytes(with_uids(clinic.path("nas", 0, 0).read_bytes(), 0, 0)[:-1] + b"\x00\x00\x00")
    edit(clinic, "pacs", 0, described)
    second = audit_at(clinic, NOW + timedelta(days=1))
    changed = finding(second, "no-silent-alteration", "pacs")
    assert control(second, "EC-DO-04") == "not checked"
    config = load_config(tmp_path / "exactcopy.toml")
    nowhere = finding(second, "every-instance-has-a-copy", "pacs")
    with pytest.raises(ConfigError, match=r"under EC-BK-01, a required specification, and takes no acceptance"):
        list(deciding.accept(config, DANA, nowhere["id"], "x", None, None))
    with pytest.raises(ConfigError, match="alternative: is missing: EC-IN-02 is addressable"):
        list(deciding.accept(config, DANA, changed["id"], "x", None, None))
    assert not config.decisions.exists()
    list(deciding.accept(config, DANA, changed["id"], "A correction.", "none reasonable, because it is one", None))
    after = audit_at(clinic, NOW + timedelta(days=3))
    assert finding(after, "no-silent-alteration", "pacs")["state"] == "accepted"
    assert control(after, "EC-IN-02") == "alternative documented"
    assert after["conclusion"] == "exceptions noted"


def test_a_review_is_of_one_record_and_cannot_be_moved(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(studies=1, instances=1)
    audit_at(clinic, NOW)
    config = load_config(tmp_path / "exactcopy.toml")
    scan = tmp_path / "scan.pdf"
    scan.write_bytes(b"a signed page")
    first = clinic.record()
    assert digest(scan) in "\n".join(deciding.review(config, DANA, first.name, scan))
    for wrong, what in (("2020-01-01T000000Z", "is no record"), (str(tmp_path), "is no record")):
        with pytest.raises(RecordError, match=what):
            list(deciding.review(config, DANA, wrong, None))
    with pytest.raises(ExactCopyError, match="cannot be read"):
        list(deciding.review(config, DANA, first.name, tmp_path / "none.pdf"))
    # The same words about another report.
    written = config.decisions.read_text(encoding="utf-8")
    config.decisions.write_text(written.replace(digest(first / "audit.json"), "0" * 64), encoding="utf-8")
    moved = audit_at(clinic, NOW + timedelta(days=1))
    assert control(moved, "EC-AR-01") == "exception"
    assert digest(scan) in moved["decisions"][0]["text"]
    (first / "audit.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RecordError):
        list(deciding.review(config, DANA, first.name, None))


def test_the_commands_keep_what_stands_in_the_file_byte_for_byte(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(studies=2, instances=1)
    clinic.path("nas", 0, 0).unlink()
    audit_at(clinic, NOW)
    file = tmp_path / "decisions.toml"
    file.write_bytes(COMMENTED)
    file.chmod(0o640)
    who = ("--by", 'Dana "DR" Reyes', "--title", "Security official", "--on", NOW.date().isoformat())
    missing = finding_id("backup-is-complete", "nas")
    done = clinic.run("accept", missing, "--reason", "Sent on.\\ Known.", *who)
    assert done.returncode == 0, done.stderr
    assert "It counts from the next audit on." in done.stdout
    accepted = file.read_bytes()
    assert accepted.startswith(COMMENTED + b'\n\n[[accept]]\nfinding = "' + missing.encode())
    assert f'labels = ["{label_of(clinic, 0)}"]\nimages = 1\n'.encode() in accepted
    assert file.stat().st_mode & 0o777 == 0o640
    cases: list[tuple[int, tuple[str, ...]]] = [
        (0, ("assign", missing, "--owner", "Kim", "--due", "2027-01-01", "--cause", "A cable.", *who)),
        (0, ("attest", "ec-ia-01".replace("ia", "in"), "The policy is in force.", "--document", "Policy 2", *who)),
        (0, ("incident", missing, "no", "--reason", "A cable.", *who)),
        (0, ("review", clinic.record().name, *who)),
        (2, ("assign", missing, *who)),
        (2, ("accept", *who, "--reason", "x")),
        (2, ("accept", *who, "--reason", "x", "--backup", "nas")),
        (2, ("dispose", *who, "--reason", "x", "--policy", "y")),
        (2, ("incident", missing, "maybe", "--reason", "x", *who)),
    ]
    for code, arguments in cases:
        before = file.read_bytes()
        said = CliRunner().invoke(app, [*arguments, "--config", str(tmp_path / "exactcopy.toml")])
        assert said.exit_code == code, (arguments, said.output)
        assert file.read_bytes().startswith(before)
        assert (file.read_bytes() == before) == (code != 0)
    audit = audit_at(clinic, NOW + timedelta(days=1))
    assert [each["kind"] for each in audit["decisions"]] == [
        "attest",
        "attest",
        "accept",
        "assign",
        "incident",
        "review",
    ]
    assert {each["by"] for each in audit["decisions"][1:]} == {'Dana "DR" Reyes'}
    assert (clinic.record() / "restricted" / "decisions.toml").read_bytes() == file.read_bytes()


def test_a_fault_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(studies=1, instances=1)
    audit_at(clinic, NOW)
    config = load_config(tmp_path / "exactcopy.toml")
    shared = finding_id("separate-failure-domain", "nas")
    for broken in ("accept = []\n", "[[accept]]\nreason = 3\n", "[[accept]\n"):
        config.decisions.write_text(broken, encoding="utf-8")
        with pytest.raises(ConfigError, match="Nothing was recorded"):
            list(deciding.accept(config, DANA, shared, "x", None, None))
        assert config.decisions.read_text(encoding="utf-8") == broken
    config.decisions.unlink()
    tomorrow = datetime.now(UTC).date() + timedelta(days=2)
    with pytest.raises(ConfigError, match="is in the future"):
        list(deciding.accept(config, Signed(by="D", title="O", on=tomorrow), shared, "x", None, None))
    with pytest.raises(ConfigError, match="no backup"):
        list(deciding.accept_elements(config, DANA, "usb", ["StudyDescription"], "x", None))
    with pytest.raises(RecordError, match="no such finding"):
        list(deciding.accept(config, DANA, "F-00000000", "x", None, None))
    assert not config.decisions.exists()
    assert not list(tmp_path.glob(".decisions*"))


@pytest.mark.parametrize("command", ["accept", "assign", "attest", "dispose", "incident", "review"])
def test_every_command_has_help_and_stands_in_the_readme_and_the_guide(command: str) -> None:
    said = CliRunner().invoke(app, [command, "--help"])
    assert said.exit_code == 0
    assert "Usage" in said.output
    for page in ("README.md", "docs/decisions.md"):
        assert f"exactcopy {command}" in (ROOT / page).read_text(encoding="utf-8")
