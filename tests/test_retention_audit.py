"""Audits of a clinic that has a rule of retention of its own."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exactcopy.config import load_config
from exactcopy.explain import explain
from tests.clinic import Clinic, audit_at, findings

NOW = datetime.now(UTC).replace(microsecond=0)
CHECK = "studies-within-retention-are-present"
# The images of these tests are from 2004.
RULE = """
[policy.retention]
rule = "Images are kept forty years"
years = 40
set_by = "Dana Reyes"
on = 2026-01-15
citation = "Policy 12"
"""


def control(audit: dict[str, object]) -> dict[str, object]:
    controls = audit["controls"]
    assert isinstance(controls, list)
    return next(each for each in controls if each["id"] == "EC-RT-01")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("lean", "ready_worker")
def test_a_study_that_is_in_no_store_any_more_is_found(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, settings=RULE)
    clinic.fill(studies=3, instances=1)
    first = audit_at(clinic, NOW)
    assert first["retention"]["absent"] == 0
    assert control(first)["status"] == "not checked"
    for store in ("pacs", "nas", "usb"):
        clinic.path(store, 1, 0).unlink()
    clinic.path("pacs", 2, 0).unlink()
    audit = audit_at(clinic, NOW + timedelta(days=30))
    kept = audit["retention"]
    assert (kept["oldest_year"], kept["studies"], kept["absent"], kept["not_listed"]) == (2004, 3, 1, [])
    assert findings(audit)[CHECK, "audit"] == "high"
    assert control(audit)["status"] == "exception"
    [found] = [each for each in audit["findings"] if each["check"] == CHECK]
    assert "Of 3 studies" in found["message"]
    assert "forty" not in str(found), "what a person wrote stands in one place"
    record = clinic.record()
    gaps = table(record / "gaps.csv")
    [(label, year)] = [(row["label"], row["study_year"]) for row in gaps if row["check"] == CHECK]
    assert year == "2004"
    [work] = table(record / "restricted" / found["worklist"])
    assert (work["label"], work["study_instance_uid"]) == (label, "2.25.1000.1")
    assert work["hint"] == f"dated 2004-01-19; last seen {NOW.date()} on nas, pacs, usb"
    config = load_config(clinic.configure())
    assert f"Studies: {label}" in list(explain(config, found["id"]))
    assert any("absent in retention" in line for line in explain(config, label))
    # A month later it is still absent; while a store is away, that is not checked.
    assert audit_at(clinic, NOW + timedelta(days=60))["retention"]["absent"] == 1
    (clinic.root / "usb").rename(clinic.root / "away")
    away = audit_at(clinic, NOW + timedelta(days=90))
    assert (away["retention"]["absent"], away["retention"]["not_listed"]) == (None, ["usb"])
    assert (CHECK, "audit") not in findings(away)
    assert control(away)["status"] == "not checked"


@pytest.mark.usefixtures("lean", "ready_worker")
def test_without_a_rule_it_is_said_what_would_answer(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.fill(studies=1, instances=1)
    audit = audit_at(clinic, NOW)
    assert audit["retention"] is None
    assert "[policy.retention]" in str(control(audit)["observed"])
    assert control(audit)["status"] == "not checked"
