"""Every audit that was begun, and what each said in a few figures."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exactcopy import cli, history, records
from exactcopy.audit import run_audit
from exactcopy.config import load_config
from exactcopy.decisions import load_decisions
from exactcopy.errors import RecordError
from exactcopy.history import BLOCKS, NOT_EXAMINED, PLAIN, mark
from exactcopy.records import Record
from exactcopy.records.timeline import State, earlier, summary, timeline
from exactcopy.report import brief
from exactcopy.verify import verify
from tests.clinic import Clinic, audit_at
from tests.report import audits

NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)
TINY, _ = audits.tiny()


def kept(days: int) -> Record:
    """Give the record of an audit so many days ago."""
    started = NOW - timedelta(days=days)
    name = f"{started:%Y-%m-%dT%H%M%SZ}"
    return Record(
        folder=Path(name),
        audit=TINY | {"audit": TINY["audit"] | {"id": name, "started": started.isoformat()}},
        manifest_sha256="0" * 64,
    )


def test_a_backup_is_added_up_over_its_primaries() -> None:
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
        "planned": 32,
        "restored": 32,
        "failed": 0,
        "examined": True,
    }


def test_a_chosen_study_that_failed_is_not_lost_among_those_drawn() -> None:
    audit, _ = audits.tiny()
    audit["restore_tests"][0]["certainty"]["failed"] = 1
    assert brief.restores(summary(audit)) == "3 of 3 restored, 1 failed"


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


def test_every_audit_is_listed_and_carried(tmp_path: Path, lean: None, ready_worker: None) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(2, 1, "rtplan.dcm")
    first = audit_at(clinic, NOW)
    config = load_config(clinic.configure())
    killed = records.begin(config, NOW + timedelta(days=29))
    [*_, under_way] = timeline(config, records.chain(config))
    assert (under_way.id, under_way.state) == (killed.id, State.NOT_YET)
    (config.records / "index.html").unlink()
    clinic.path("nas", 1, 0).unlink()
    second = audit_at(clinic, NOW + timedelta(days=31))
    assert first["history"] == []
    assert second["history"] == [summary(first)]
    ids = [first["audit"]["id"], killed.id, second["audit"]["id"]]
    found = timeline(config, records.chain(config))
    assert [entry.id for entry in found] == ids
    assert [entry.state for entry in found] == [State.FINISHED, State.NEVER, State.FINISHED]

    index = config.records / "index.html"
    assert index.stat().st_mode & 0o777 == 0o600
    page = index.read_text(encoding="utf-8")
    assert [page.index(name) for name in reversed(ids)] == sorted(page.index(name) for name in ids)
    assert page.count("Begun, never finished") == 1
    assert verify(config.records, []).faults == ()

    printed = clinic.run("history")
    assert printed.returncode == 0, printed.stderr
    told = printed.stdout.splitlines()
    assert told[0] == "Test Clinic: 3 audits"
    assert told[2].startswith("  2026-11-24  no exceptions noted  2 of 2 on nas  2 of 2 restored  ")
    assert told[3] == "  2026-12-23  begun, never finished"
    assert told[4].startswith("  2026-12-25  exceptions noted     1 of 2 on nas  1 of 1 restored  ")
    assert told[7:] == ["  nas  █▄  1 of 2", "  █ all, ▁ fewest, ? not examined, - not configured"]

    shutil.move(config.records / first["audit"]["id"], tmp_path)
    said = json.loads(clinic.run("history", "--format", "json").stdout)["audits"]
    assert [each["state"] for each in said] == ["record not here", "never finished", "finished"]
    assert summary(second).items() <= said[2].items()


def test_an_audit_that_is_killed_stands_on_the_page_before_one_ends_well(tmp_path: Path, lean: None) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(1, 1, "rtplan.dcm")

    def killed(name: str, *_: object) -> NoReturn:
        raise KeyboardInterrupt

    config = load_config(clinic.configure())
    with pytest.raises(KeyboardInterrupt):
        run_audit(config, load_decisions(config.decisions, set(), NOW.date()), NOW, killed)
    page = (config.records / "index.html").read_text(encoding="utf-8")
    assert "Begun; not finished when this page was written" in page
    assert "audit 2026-11-24T060000Z" in page


def test_where_nothing_was_audited_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="there is no record yet"):
        history.entries(load_config(Clinic(tmp_path, backups=("nas",)).configure()))


def test_a_journal_that_was_cut_off_loses_no_audit_but_the_last(tmp_path: Path) -> None:
    config = load_config(Clinic(tmp_path, backups=("nas",)).configure())
    begun = [records.begin(config, NOW + timedelta(days=days)).id for days in (0, 2)]
    journal = config.state / records.JOURNAL
    journal.write_bytes(journal.read_bytes()[:-9])
    begun.append(records.begin(config, NOW + timedelta(days=4)).id)
    assert records.journal(config) == {begun[0]: False, begun[2]: False}


@given(protected=st.integers(0, 10**6), short=st.integers(0, 10**6))
def test_only_what_is_whole_gets_the_mark_of_the_whole(protected: int, short: int) -> None:
    total = protected + short
    drawn = [mark({"examined": total > 0, "protected": protected, "total": total}, marks) for marks in (BLOCKS, PLAIN)]
    if not total:
        assert drawn == [NOT_EXAMINED] * 2
    elif not short:
        assert drawn == [BLOCKS[-1], PLAIN[-1]]
    else:
        assert drawn[0] in BLOCKS[:-1]
        assert drawn[1] == PLAIN[9 * protected // total]


def test_a_line_says_what_was_not_examined_and_what_was_accepted() -> None:
    audit, _ = audits.incomplete()
    assert brief.weakest(summary(audit)) == "40 of 40 on nas (1 not examined)"
    assert brief.concluded(audit) == "incomplete"
    audit, _ = audits.first()
    assert brief.concluded(audit) == "exceptions noted, incomplete"
    assert brief.actions_left(audit) == 7
    for finding in audit["findings"]:
        finding["state"] = "accepted"
    assert brief.concluded(audit | {"complete": True}) == "exceptions noted, all accepted"
    assert brief.actions_left(audit) == 0


@pytest.mark.parametrize(("encoding", "carried"), [("utf-8", True), ("cp1252", False), ("ascii", False)])
def test_blocks_are_drawn_only_where_the_terminal_has_them(
    monkeypatch: pytest.MonkeyPatch, encoding: str, carried: bool
) -> None:
    monkeypatch.setattr("sys.stdout", TextIOWrapper(BytesIO(), encoding=encoding))
    assert cli._shows(BLOCKS) is carried
