"""Every audit that was begun, and what each said in a few figures: the trend."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from heapq import merge
from typing import TYPE_CHECKING, Any

from exactcopy.records import Record, journal, moment_of

if TYPE_CHECKING:
    from exactcopy.config import Config

# A year and a day: how many months are shown is for the reader to say.
_YEAR = timedelta(days=366)
_SEVERITIES = ("critical", "high", "medium", "low")
_STATES = ("total", "protected", "gap", "pending", "not_checked")


class State(StrEnum):
    """What became of an audit that was begun."""

    FINISHED = "finished"
    NOT_YET = "not finished yet"
    NEVER = "never finished"
    AWAY = "record not here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One audit that was begun; `audit` is its audit.json where its record is here."""

    id: str
    started: datetime
    state: State
    audit: Mapping[str, Any] | None = None


def timeline(config: "Config", records: Sequence[Record]) -> list[Entry]:
    """Return every audit that was ever begun, oldest first; `records` are the chain, newest first."""
    sealed = [
        Entry(
            id=record.id,
            started=datetime.fromisoformat(record.audit["audit"]["started"]),
            state=State.FINISHED,
            audit=record.audit,
        )
        for record in reversed(records)
    ]
    known = {entry.id for entry in sealed}
    others = [
        Entry(id=audit, started=moment_of(audit), state=_state(config, audit, was_sealed))
        for audit, was_sealed in sorted(journal(config).items())
        if audit not in known
    ]
    # The chain says which record came first; a clock may have been wrong.
    return list(merge(sealed, others, key=lambda entry: entry.started))


def _state(config: "Config", audit: str, was_sealed: bool) -> State:
    if was_sealed:
        return State.AWAY
    return State.NOT_YET if (config.state / "unfinished" / audit).is_dir() else State.NEVER


def earlier(records: Iterable[Record], now: datetime) -> list[dict[str, Any]]:
    """Return the summaries of the audits of the last twelve months, oldest first; `records` are newest first."""
    summaries = [summary(record.audit) for record in records]
    return [each for each in reversed(summaries) if now - datetime.fromisoformat(each["started"]) <= _YEAR]


def summary(audit: Mapping[str, Any]) -> dict[str, Any]:
    """Return one audit in few figures: the studies of each backup over all primaries, its restores, the findings.

    A backup of which nothing was checked was not examined. Restores are those drawn, as on page one; `failed` counts
    those that were chosen apart, too.
    """
    counts = [finding["severity"] for finding in audit["findings"]]
    names = dict.fromkeys(row["backup"] for row in audit["comparisons"])
    return {
        "id": audit["audit"]["id"],
        "started": audit["audit"]["started"],
        "conclusion": audit["conclusion"],
        "complete": audit["complete"],
        "headline": audit["headline"],
        "findings": {severity: counts.count(severity) for severity in _SEVERITIES},
        "backups": {name: _backup(audit, name) for name in names},
    }


def _backup(audit: Mapping[str, Any], name: str) -> dict[str, Any]:
    studies = [row["studies"] for row in audit["comparisons"] if row["backup"] == name]
    tests = [test for test in audit["restore_tests"] if test["backup"] == name]
    counts = {state: sum(each[state] for each in studies) for state in _STATES}
    return {
        **counts,
        "planned": sum(test["planned"] for test in tests),
        "restored": sum(test["restored"] for test in tests),
        "failed": sum(test["failed"] + test["certainty"]["failed"] for test in tests),
        "examined": counts["not_checked"] < counts["total"],
    }
