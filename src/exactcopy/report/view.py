"""A record as the plain dictionary that the templates print; they compute nothing."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from exactcopy.report import (
    between,
    controls,
    coverage,
    decided,
    evidence,
    gaps,
    method,
    redaction,
    side_by_side,
    trend,
    verdict,
    words,
)

if TYPE_CHECKING:
    import pandas as pd

PAPERS = {"letter": "letter", "a4": "A4"}


def view(audit: Mapping[str, Any], rows: "pd.DataFrame | None", hashes: Mapping[str, str]) -> dict[str, Any]:
    """Give what the templates print: labels, numbers, our own sentences, strings of the configuration."""
    clean: dict[str, Any] = words.printable(dict(audit))
    clock = words.Clock(clean["time_zone"])
    run = clean["audit"]
    covered = coverage.section(clean, clock)
    cards = gaps.cards(clean, clock)
    made = {
        "facility": clean["facility"],
        "title": f"DICOM backup audit, {clean['facility']}, {clock.day(run['started'])}",
        "day": clock.day(run["started"]),
        "time": clock.time(run["started"]),
        "id": run["id"],
        "stores": _stores(clean),
        "paper": PAPERS.get(clean["paper"], "letter"),
        "created": words.parse(run["finished"]).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "evidence_sha256": hashes.get("audit.json"),
        "verdict": verdict.section(clean, covered["backups"], gaps.distinct_gaps(clean, rows), clock),
        "coverage": covered,
        "side_by_side": side_by_side.section(clean, clock),
        "gaps": {"cards": cards, "lead": _lead(cards), **decided.section(clean, clock)},
        "studies": gaps.studies(clean, rows),
        "method": method.section(clean, clock),
        "controls": controls.section(clean, clock),
        "evidence": evidence.section(clean, hashes),
        "trend": trend.section(clean, clock),
        "between": between.section(clean, clock),
    }
    if "redacted" not in clean:
        return made
    # A file has to bear a day: the first of its month.
    return {**redaction.in_months(made), "created": f"{made['created'][:7]}-01T00:00:00Z"}


def _stores(audit: Mapping[str, Any]) -> str:
    primaries = [each for each in audit["stores"] if each["role"] == "primary"]
    backups = sum(each["role"] == "backup" for each in audit["stores"])
    studies = sum(each["studies"] for each in primaries)
    return words.joined(
        [
            f"{len(primaries)} {'primary' if len(primaries) == 1 else 'primaries'}",
            f"{backups} {'backup' if backups == 1 else 'backups'}",
            words.counted(studies, "studies"),
        ]
    )


def _lead(cards: list[dict[str, Any]]) -> str:
    if not cards:
        return "No finding. Nothing has to be done before the next audit."
    closes = "It closes" if len(cards) == 1 else "Each closes"
    count = words.counted(len(cards), "findings")
    return f"{count}, worst first. {closes} when a later audit no longer finds it."
