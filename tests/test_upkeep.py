"""The records themselves: written, whole, one for each month, apart from what they speak of."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exactcopy import records
from exactcopy.checks.restores import restores_are_periodic
from exactcopy.checks.upkeep import record_was_written, records_are_apart, records_are_complete, records_are_intact
from exactcopy.config import load_config
from exactcopy.model import Role, Severity
from exactcopy.records import History
from exactcopy.results import Evidence, Finding, NotChecked, Place, RestoreSummary, Sample, Upkeep
from exactcopy.upkeep import place_of, upkeep
from tests.clinic import Clinic
from tests.test_safeguard_checks import evidence, store
from tests.test_verify import add

NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)
WHOLE = Upkeep(
    faults=0, last_whole=True, last_readable=True, unfinished=0, away=0, months=11, missing=(), recently_missing=0
)
NOWHERE = Place(device=None, disk=None, host=None)


def kept(root: Path, now: datetime = NOW, zone: str = "UTC") -> Upkeep:
    config = load_config(Clinic(root, backups=("nas",), settings=f'time_zone = "{zone}"').configure())
    found = upkeep(config, History(records.chain(config)), now)
    assert found is not None
    return found


def of(found: Upkeep | None) -> Evidence:
    return replace(evidence(), upkeep=found, previous="2026-10-24T060000Z")


def test_before_the_first_record_nothing_can_be_said_of_any(tmp_path: Path) -> None:
    config = load_config(Clinic(tmp_path, backups=("nas",)).configure())
    assert upkeep(config, History(()), NOW) is None
    for check in (records_are_intact, record_was_written, records_are_complete):
        assert isinstance(check(of(None)), NotChecked)


def test_months_without_an_audit_and_records_that_are_gone(tmp_path: Path) -> None:
    sealed = [add(tmp_path, datetime(2026, month, 24, 6, tzinfo=UTC)) for month in (1, 2, 5, 9, 10)]
    found = kept(tmp_path)
    assert found == replace(WHOLE, missing=("2026-03", "2026-04", "2026-06", "2026-07", "2026-08"), recently_missing=5)
    result = records_are_complete(of(found))
    assert isinstance(result, Finding)
    assert result.message.startswith("6 of 11 months since the first record have an audit; none in 2026-03, 2026-04")

    # Years later the same months weigh less; after six years they are no longer asked for.
    much_later = kept(tmp_path, datetime(2029, 1, 3, tzinfo=UTC))
    assert (much_later.months, much_later.recently_missing, len(much_later.missing)) == (37, 12, 31)
    assert kept(tmp_path, datetime(2040, 1, 3, tzinfo=UTC)).months == 72

    # The newest was cut off: the journal of what was sealed remembers it, and an anchor is not needed.
    (sealed[-1].folder / "report.pdf").write_bytes(b"other")
    damaged = kept(tmp_path)
    assert (damaged.faults, damaged.last_whole, damaged.last_readable) == (1, False, True)
    shutil.rmtree(sealed[-1].folder)
    cut = kept(tmp_path)
    assert (cut.away, cut.last_whole, cut.missing) == (1, True, found.missing)
    cut_off = records_are_complete(of(cut))
    assert isinstance(cut_off, Finding)
    assert (cut_off.severity, cut_off.title) == (Severity.HIGH, "1 earlier record is not here")


def test_a_month_is_one_of_the_facility(tmp_path: Path) -> None:
    add(tmp_path, datetime(2026, 1, 31, 20, tzinfo=UTC))
    # In Chicago this is still February, in UTC it is March.
    add(tmp_path, datetime(2026, 3, 1, 3, tzinfo=UTC))
    assert kept(tmp_path, datetime(2026, 3, 31, 20, tzinfo=UTC), "America/Chicago").missing == ()
    assert kept(tmp_path, datetime(2026, 3, 31, 20, tzinfo=UTC)).missing == ("2026-02",)


def test_an_audit_that_left_no_record_is_told(tmp_path: Path) -> None:
    add(tmp_path, datetime(2026, 10, 24, 6, tzinfo=UTC))
    config = load_config(Clinic(tmp_path, backups=("nas",)).configure())
    shutil.rmtree(records.begin(config, datetime(2026, 11, 1, 6, tzinfo=UTC)).root)
    found = kept(tmp_path)
    assert found.unfinished == 1
    result = record_was_written(of(found))
    assert isinstance(result, Finding)
    assert result.severity is Severity.LOW


@pytest.mark.parametrize(
    ("found", "title"),
    [
        (replace(WHOLE, last_whole=False), "The last record is not whole"),
        (replace(WHOLE, last_readable=False), "The last record has no report"),
    ],
    ids=["altered", "without a report"],
)
def test_a_last_record_that_is_no_evidence(found: Upkeep, title: str) -> None:
    result = record_was_written(of(found))
    assert isinstance(result, Finding)
    assert (result.title, result.severity) == (title, Severity.MEDIUM)


def test_what_is_whole_and_complete_is_no_finding() -> None:
    assert all(check(of(WHOLE)) is None for check in (records_are_intact, record_was_written, records_are_complete))


@given(between=st.lists(st.integers(0, 400), max_size=6), tested=st.booleans())
def test_a_period_without_a_test_restore_is_found_whenever_it_was(between: list[int], tested: bool) -> None:
    nas = store("nas")
    made = replace(evidence(nas), days_between_restores={"nas": tuple(between)})
    if tested:
        made = replace(made, restores=(_restored("nas"),))
    result = restores_are_periodic(made, nas)
    if not between:
        assert isinstance(result, NotChecked)
    elif between[0] > 35:
        assert isinstance(result, Finding)
        assert result.severity is Severity.HIGH
    elif not tested:
        assert isinstance(result, NotChecked)
    elif max(between) > 35:
        assert isinstance(result, Finding)
        assert result.severity is Severity.LOW
    else:
        assert result is None


def _restored(backup: str) -> RestoreSummary:
    sample = Sample(
        method="all", confidence=0.95, tolerable=0.05, seed="", frame_sha256="", frame=1, left_out=0, upper_limit=None
    )
    return RestoreSummary(
        backup=backup, planned=1, restored=1, failed=0, not_decodable=0, not_tested=0, bytes=1, seconds=1.0,
        certainty={}, sample=sample, left_out_why={}, copy_back_hours=None, destination="scratch folder", problems={},
    )  # fmt: skip


ONE = Place(device="8:1", disk="sda", host=None)
OTHER = Place(device="8:17", disk="sdb", host=None)
SHARE = Place(device="0:50", disk=None, host="a server")


@pytest.mark.parametrize(
    ("primary", "place", "expected"),
    [
        (ONE, ONE, "medium"),
        (ONE, replace(ONE, device="8:2"), "medium"),
        (ONE, replace(OTHER, device="8:1"), "medium"),
        (SHARE, SHARE, "medium"),
        (ONE, OTHER, None),
        (ONE, SHARE, None),
        (SHARE, ONE, None),
        (SHARE, replace(SHARE, device="0:51", host="another"), "not checked"),
        (ONE, replace(OTHER, disk=None), "not checked"),
        (NOWHERE, ONE, "not checked"),
        (ONE, NOWHERE, "not checked"),
    ],
)
def test_records_on_the_disk_of_a_primary(primary: Place, place: Place, expected: str | None) -> None:
    pacs = store("pacs", Role.PRIMARY, device=primary.device, disk=primary.disk, host=primary.host)
    made = replace(evidence(primaries=(pacs,)), records_at=place, anchor_at=place)
    result = records_are_apart(made)
    if expected == "medium":
        assert isinstance(result, Finding)
        assert result.severity is Severity.MEDIUM
        assert "[seal] anchor" in result.message
    else:
        assert isinstance(result, NotChecked) if expected else result is None


def test_a_primary_that_was_not_examined_is_not_apart() -> None:
    away = store("old", Role.PRIMARY, error="missing")
    pacs = store("pacs", Role.PRIMARY, device=ONE.device, disk=ONE.disk)
    made = replace(evidence(primaries=(pacs, away)), records_at=OTHER)
    assert isinstance(records_are_apart(made), NotChecked)


def test_where_a_folder_will_lie_shows_before_it_is_there(tmp_path: Path) -> None:
    assert place_of(tmp_path / "records" / "later") == place_of(tmp_path) != NOWHERE
