"""The self-test of each audit: it finds what it plants, is not alarmed by what is sound, and shows a blind detector."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exactcopy.dicom.terms import EXPLICIT_LITTLE
from exactcopy.inventory.database import database
from exactcopy.model import Difference, Outcome
from exactcopy.planted import RLE, image, planted, write
from exactcopy.pool import Pool
from exactcopy.selftest import Said, judge, self_test
from tests.clinic import Clinic, audit_at, findings

PLANTS = planted()
EXPECTED = {
    number: Said(outcome=plant.outcome.value, conflict=plant.conflict, restored=plant.restores)
    for number, plant in enumerate(PLANTS)
}
WRONG = st.builds(
    Said,
    outcome=st.sampled_from([None, *(outcome.value for outcome in Outcome)]),
    conflict=st.booleans(),
    restored=st.sampled_from([None, "restored", "failed", "not_tested"]),
)


def test_every_planted_fault_is_found_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with Pool(workers=1) as pool, database(tmp_path / "spill") as db:
        tested = self_test(db, pool, tmp_path, int(datetime.now(UTC).timestamp()) * 10**9)
    assert tested is not None
    assert (tested.missed, tested.alarms, tested.passed) == ((), (), True)
    assert (tested.planted, tested.found, tested.sound) == (16, 16, 4)
    assert [path.name for path in tmp_path.iterdir()] == ["spill"]


def test_where_there_is_no_room_for_it_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "self-test").write_text("in the way")
    with Pool(workers=1) as pool, database(tmp_path / "spill") as db:
        assert self_test(db, pool, tmp_path, 0) is None


@given(said=st.dictionaries(st.integers(0, len(PLANTS) - 1), WRONG))
def test_whatever_is_said_otherwise_than_expected_counts_against_it(said: dict[int, Said]) -> None:
    tested = judge(PLANTS, {**EXPECTED, **said})
    wrong = {PLANTS[number].what for number, words in said.items() if words != EXPECTED[number]}
    assert {*tested.missed, *tested.alarms} == wrong
    assert tested.found == tested.planted - len(tested.missed)
    assert tested.passed is not bool(wrong)
    assert {plant.what for plant in PLANTS if plant.sound} >= set(tested.alarms)


def test_of_what_nothing_is_said_the_fault_was_missed() -> None:
    tested = judge(PLANTS, {})
    assert (tested.found, len(tested.alarms)) == (0, tested.sound)


@pytest.mark.parametrize("plant", [plant for plant in PLANTS if plant.sound], ids=lambda plant: plant.what)
def test_what_is_sound_another_reader_finds_sound_and_equal(plant: Any) -> None:
    here, there = (pydicom.dcmread(BytesIO(side)) for side in (plant.primary, plant.backup))
    assert (here.pixel_array == there.pixel_array).all()
    here.PixelData = there.PixelData = b""
    assert [(element.tag, element.value) for element in here] == [(element.tag, element.value) for element in there]


def test_what_does_not_open_opens_nowhere() -> None:
    [plant] = [plant for plant in PLANTS if plant.what == "an image that does not open"]
    with pytest.raises(RuntimeError, match="nable to decode"):
        _ = pydicom.dcmread(BytesIO(plant.primary)).pixel_array


def test_no_made_image_is_that_of_a_person_and_no_two_are_one() -> None:
    read = [pydicom.dcmread(BytesIO(plant.primary)) for plant in PLANTS]
    assert {str(each.PatientName) for each in read} == {"Made^Image"}
    assert not [each for each in read if "PatientID" in each or "PatientBirthDate" in each]
    assert len({each.SOPInstanceUID for each in read}) == len({each.StudyInstanceUID for each in read}) == len(PLANTS)
    assert write(image(0), EXPLICIT_LITTLE) != write(image(0), RLE)


def test_a_detector_that_sees_no_difference_leaves_the_audit_incomplete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_pages: None, forked: None
) -> None:
    clinic = Clinic(tmp_path)
    clinic.fill(1, 1)
    blind = Difference(outcome=Outcome.EQUIVALENT)
    # Workers are forked, and see it.
    monkeypatch.setattr("exactcopy.reconcile.differences.compare", lambda primary, backup: blind)
    audit = audit_at(clinic, datetime.now(UTC))
    assert (audit["conclusion"], audit["complete"], audit["headline"]) == ("incomplete", False, "not_enough")
    assert audit["evidence"]["self_test"]["found"] == 10
    assert [item["text"] for item in audit["not_examined"]] == ["The self-test missed 6 of 16 planted faults"]
    assert findings(audit)["faults-are-found", "audit"] == "critical"
    [control] = [control for control in audit["controls"] if control["id"] == "EC-IN-04"]
    assert control["status"] == "exception"


def test_a_reader_that_sees_no_damage_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_pages: None, forked: None
) -> None:
    clinic = Clinic(tmp_path)
    clinic.fill(1, 1)
    monkeypatch.setattr("exactcopy.dicom.header._damage", lambda *args, **named: None)
    missed = audit_at(clinic, datetime.now(UTC))["evidence"]["self_test"]["missed"]
    assert {"cut off", "without its pixels"} <= set(missed)
