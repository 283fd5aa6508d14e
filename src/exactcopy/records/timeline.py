"""What earlier audits said, in a few figures each: the trend that a later record carries, oldest first."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from exactcopy.records import Record

# A year and a day: how many months are shown is for the reader to say.
_YEAR = timedelta(days=366)
_SEVERITIES = ("critical", "high", "medium", "low")
_STATES = ("total", "protected", "gap", "pending", "not_checked")
_RESTORES = ("planned", "restored", "failed")


def earlier(records: Iterable[Record], now: datetime) -> list[dict[str, Any]]:
    """Return the summaries of the audits of the last twelve months, oldest first; `records` are newest first."""
    summaries = [summary(record.audit) for record in records]
    return [each for each in reversed(summaries) if now - datetime.fromisoformat(each["started"]) <= _YEAR]


def summary(audit: Mapping[str, Any]) -> dict[str, Any]:
    """Return one audit in few figures: the studies of each backup over all primaries, its restores, the findings.

    A backup of which nothing was checked was not examined. Restores are those drawn by chance and those chosen.
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
    restored = {key: sum(test[key] + test["certainty"][key] for test in tests) for key in _RESTORES}
    return {**counts, **restored, "examined": counts["not_checked"] < counts["total"]}
