"""An audit of the sample clinic finds what was planted in it: all of it, and nothing else."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def audited(sample_audit: tuple[Path, subprocess.CompletedProcess[str]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was planted, and what the audit says."""
    folder, result = sample_audit
    assert result.returncode == 1, result.stdout + result.stderr
    (record,) = (folder / "records").glob("*/audit.json")
    planted = json.loads((folder / "planted.json").read_text(encoding="utf-8"))
    return planted, json.loads(record.read_text(encoding="utf-8"))


def test_every_instance_has_the_outcome_that_was_planted(audited):
    planted, audit = audited
    assert audit["complete"]
    found = {
        f"{pair['primary']}--{pair['backup']}": {
            "instances": {outcome: count for outcome, count in pair["instances"].items() if count},
            "studies": pair["studies"],
        }
        for pair in audit["comparisons"]
    }
    assert found == planted["expected"]


def test_what_is_extra_double_or_in_conflict_is_counted(audited):
    planted, audit = audited
    stores = {store["name"]: store for store in audit["stores"]}
    for count in ("duplicates", "conflicts"):
        wanted = dict.fromkeys(stores, 0)
        for fault in planted["planted"]:
            wanted[fault["store"]] += fault.get(count, 0)
        assert {name: store[count] for name, store in stores.items()} == wanted
    for site, counts in planted["primaries"].items():
        assert (stores[site]["studies"], stores[site]["instances"]) == (
            counts["studies"],
            counts["instances"],
        )
    (extra,) = (fault for fault in planted["planted"] if fault["id"] == "second-extra")
    (pair,) = (pair for pair in audit["comparisons"] if pair["backup"] == "second-drive")
    assert pair["extra"]["not_known_on_primary"] == {
        "studies": extra["extra_studies"],
        "instances": extra["extra_instances"],
    }


def test_damage_on_the_primary_is_told_from_damage_on_a_backup(audited):
    _, audit = audited
    assert audit["losses"]["damaged_on_primary"] == {"studies": 1, "instances": 1}
    assert audit["losses"]["no_sound_copy"] == {"studies": 0, "instances": 0}
    (pair,) = (pair for pair in audit["comparisons"] if (pair["primary"], pair["backup"]) == ("pacs", "nas"))
    assert pair["changed_side"]["primary"] == 1


def test_the_missing_agreement_is_a_finding(audited):
    _, audit = audited
    assert ("agreement-on-record", "second-drive") in {
        (finding["check"], finding["target"]) for finding in audit["findings"]
    }


def test_the_audit_shows_that_it_finds_what_is_planted_and_where_its_records_lie(audited):
    _, audit = audited
    assert audit["evidence"]["self_test"] == {"planted": 16, "found": 16, "missed": [], "sound": 4, "alarms": []}
    by_check = {finding["check"]: finding for finding in audit["findings"]}
    assert not {"faults-are-found", "no-mass-change"} & set(by_check)
    # All of it lies on the disk of whoever runs the sample.
    assert by_check["records-are-apart"]["severity"] == "medium"
