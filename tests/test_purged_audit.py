"""Audits of an acquisition console that purges what is older than `keeps`: what went is judged on the backups."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest

from exactcopy.config import load_config
from exactcopy.explain import explain
from tests.clinic import Clinic, audit_at, findings, outcomes, store

NOW = datetime.now(UTC).replace(microsecond=0)
MONTH = timedelta(days=30)
CHECK = "purged-studies-have-two-copies"


def put(clinic: Clinic, study: int, made: datetime) -> None:
    """Put a study of two images, made on a day, on the console and on every backup."""
    for instance in range(2):
        path = clinic.add(study, instance)
        dataset = pydicom.dcmread(path)
        dataset.StudyDate = f"{made:%Y%m%d}"
        dataset.save_as(path)
        clinic.set_age(path, timedelta(days=2))
    clinic.mirror()


def remove(clinic: Clinic, study: int, *stores: str) -> None:
    for name in stores:
        for instance in range(2):
            clinic.path(name, study, instance).unlink()


def purged(audit: dict[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = store(audit, "pacs")["purged"]
    return counts


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    """A console that keeps 45 days, with a month of studies, all of them on two backups."""
    clinic = Clinic(tmp_path, stores={"pacs": 'keeps = "45d"'})
    for study, age in enumerate((40, 50, 60, 10, 5, 41, 42, 43)):
        put(clinic, study, NOW - timedelta(days=age))
    return clinic


@pytest.mark.usefixtures("lean", "ready_worker")
def test_what_the_console_purged_is_judged_on_its_backups(clinic: Clinic) -> None:
    first = audit_at(clinic, NOW)
    assert purged(first) == dict.fromkeys(purged(first), 0)
    # A month later six were purged, as they should; of one no backup has a copy, of one only one. One is lost early.
    for study in (0, 5, 6, 7):
        remove(clinic, study, "pacs")
    remove(clinic, 1, "pacs", "usb")
    remove(clinic, 2, "pacs", "nas", "usb")
    remove(clinic, 3, "pacs")
    put(clinic, 8, NOW + timedelta(days=20))
    second = audit_at(clinic, NOW + MONTH)
    assert purged(second) == {
        "purged": 6,
        "on_two": 4,
        "on_one": 1,
        "on_none": 1,
        "not_checked": 0,
        "young_when_last_seen": 4,
        "disposed": 0,
    }
    found = findings(second)
    assert found[CHECK, "pacs"] == "critical"
    assert found["no-unexplained-loss", "pacs"] == "critical"
    losses = second["losses"]
    assert losses["lost_from_primary"] == {"studies": 1, "instances": 2}, "the young one"
    assert losses["gone_everywhere"] == {"studies": 1, "instances": 2}
    assert ("extras-are-explained", "nas") not in found
    assert ("no-mass-change", "pacs") not in found, "a month's purge is none"
    extra = second["comparisons"][0]["extra"]
    assert extra["not_known_on_primary"]["studies"] == 0
    assert extra["lost_from_primary"]["studies"] == 1
    assert extra["purged_from_primary"] == {"studies": 5, "instances": 10}
    assert outcomes(second, "nas") == outcomes(second, "usb") == {"identical": 4}
    assert [test["sample"]["frame"] for test in second["restore_tests"]] == [7, 6]
    assert [test["sample"]["purged"] for test in second["restore_tests"]] == [5, 4]
    assert [test["restored"] for test in second["restore_tests"]] == [7, 6]
    # Whose studies these are, and what is to be done, is in the files.
    record = clinic.record()
    with (record / "gaps.csv").open(newline="", encoding="utf-8") as file:
        labels = {row["label"] for row in csv.DictReader(file) if row["check"] == CHECK}
    with (record / "restricted" / "worklist-pacs.csv").open(newline="", encoding="utf-8") as file:
        work = [row for row in csv.DictReader(file) if row["what"] == "purged"]
    assert {row["label"] for row in work} == labels
    assert [(row["study_instance_uid"], row["hint"]) for row in work] == [
        ("2.25.1000.1", "exact copies on: nas"),
        ("2.25.1000.1", "exact copies on: nas"),
        ("2.25.1000.2", "no exact copy"),
        ("2.25.1000.2", "no exact copy"),
    ]
    config = load_config(clinic.configure())
    [finding] = [each for each in second["findings"] if each["check"] == CHECK]
    assert f"Studies: {', '.join(sorted(labels))}" in list(explain(config, finding["id"]))
    # A month later the young one would be old enough, and is lost all the same. One drive is away.
    remove(clinic, 4, "pacs")
    (clinic.root / "usb").rename(clinic.root / "away")
    third = audit_at(clinic, NOW + 2 * MONTH)
    assert third["losses"]["lost_from_primary"] == {"studies": 1, "instances": 2}
    assert third["losses"]["gone_everywhere"] == {"studies": 0, "instances": 0}, "usb may have it"
    assert purged(third) | {"young_when_last_seen": 0} == {
        "purged": 7,
        "on_two": 0,
        "on_one": 0,
        "on_none": 0,
        "not_checked": 7,
        "young_when_last_seen": 0,
        "disposed": 0,
    }
    assert (CHECK, "pacs") not in findings(third)
    assert not third["complete"]
