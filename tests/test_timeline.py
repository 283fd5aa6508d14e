"""What earlier audits said, in a few figures each."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from exactcopy.records import Record
from exactcopy.records.timeline import earlier, summary
from tests.clinic import Clinic, audit_at
from tests.report import audits

NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)


def kept(days: int) -> Record:
    """Give the record of an audit so many days ago."""
    started = NOW - timedelta(days=days)
    audit, _ = audits.tiny()
    audit["audit"] |= {"id": f"{started:%Y-%m-%dT%H%M%SZ}", "started": started.isoformat()}
    return Record(folder=Path(audit["audit"]["id"]), audit=audit, manifest_sha256="0" * 64)


def test_a_backup_is_added_up_over_its_primaries_and_both_kinds_of_restores() -> None:
    said = summary(audits.first()[0])
    assert said["id"] == "2026-11-24T060000Z"
    assert (said["conclusion"], said["complete"], said["headline"]) == ("exceptions noted", False, "incomplete_copies")
    assert said["findings"] == {"critical": 2, "high": 4, "medium": 0, "low": 1}
    assert list(said["backups"]) == ["nas", "usb-drives", "second-drive"]
    assert said["backups"]["nas"] == {
        "total": 40,
        "protected": 32,
        "gap": 6,
        "pending": 2,
        "not_checked": 0,
        "planned": 35,
        "restored": 35,
        "failed": 0,
        "examined": True,
    }


def test_a_backup_of_which_nothing_was_checked_was_not_examined() -> None:
    cloud = summary(audits.incomplete()[0])["backups"]["cloud"]
    assert not cloud["examined"]
    assert (cloud["not_checked"], cloud["total"], cloud["planned"]) == (40, 40, 0)


@given(days=st.lists(st.integers(0, 800), unique=True))
def test_the_last_twelve_months_stand_oldest_first(days: list[int]) -> None:
    newest_first = [kept(each) for each in sorted(days)]
    found = [each["id"] for each in earlier(newest_first, NOW)]
    assert found == [record.id for record in reversed(newest_first) if record.audit["audit"]["started"] >= "2025-11-23"]


def test_the_chain_and_not_the_clock_says_what_came_first() -> None:
    assert [each["started"][:10] for each in earlier([kept(30), kept(10)], NOW)] == ["2026-11-14", "2026-10-25"]


def test_an_audit_carries_those_before_it(tmp_path: Path, without_pages: None) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(2, 1, "rtplan.dcm")
    first = audit_at(clinic, NOW)
    clinic.path("nas", 1, 0).unlink()
    second = audit_at(clinic, NOW + timedelta(days=30))
    assert first["history"] == []
    assert second["history"] == [summary(first)]
    assert [summary(each)["backups"]["nas"]["protected"] for each in (first, second)] == [2, 1]
