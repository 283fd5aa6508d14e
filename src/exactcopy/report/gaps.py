"""Sections 2 and 3: a card for every finding, and the studies that they are about."""

from typing import TYPE_CHECKING, Any

from exactcopy.assess import BEHIND
from exactcopy.model import Severity
from exactcopy.report import decided, stores, words
from exactcopy.report.controls import POLICY
from exactcopy.report.coverage import linked, recoverable
from exactcopy.report.fit import shortened

if TYPE_CHECKING:
    import pandas as pd

View = dict[str, Any]

PRINTED_ROWS = 200
# What a record writes after a citation behind which only the facility's policy stands.
POLICY_MARK = f" ({POLICY})"
NO_OWNER = "No owner yet"
NO_DATE = "no date yet"
BAD = ("missing", "different", "altered", "unreadable", "unverified", "unknown", "pending")
# Outcomes that make a study a gap; the others are not yet or not known.
GAP_OUTCOMES = ["altered", "different", "missing", "unreadable"]
# These count images that were found in no object: one side or the other may hold them in an archive.
ABSENT = {"backup-is-complete", "every-instance-has-a-copy", "no-unexplained-loss", "extras-are-explained"}
# Where no outcome of a copy says what was found, the check does.
FOUND = {
    "no-uid-conflict": "in several versions",
    "primary-is-sound": "damaged here",
    "extras-are-explained": "not on the primary",
    "no-unexplained-loss": "gone",
    "studies-within-retention-are-present": "in no store",
    "purged-studies-have-two-copies": "not on two backups",
    "no-silent-alteration": "changed",
    "every-instance-has-a-copy": "no exact copy",
    "restore-succeeded": "not restored",
    "restored-images-open": "does not open",
}


def worst_first(audit: View) -> list[View]:
    """Order findings by severity, then by what the headline says, then by what decides, then as they were found."""
    behind = BEHIND.get(audit["headline"], set())
    return sorted(
        audit["findings"],
        key=lambda each: (Severity(each["severity"]).rank, each["check"] not in behind, not each["decides"]),
    )


def tone(finding: View) -> str:
    """Give the color of a finding: red, amber, or gray where something was not examined."""
    if finding["check"] == "store-examined":
        return "unchecked"
    return "bad" if finding["severity"] in {"critical", "high"} else "warn"


def actions(audit: View, clock: words.Clock) -> list[View]:
    """Give what has to happen: one line for every open finding, worst first, then what could not be asked again."""
    found = [
        (each, each["id"], tone(each))
        for each in worst_first(audit)
        if each["state"] == "open" and each["severity"] != Severity.INFO
    ]
    carried = [
        (each, "actions", "unchecked")
        for each in audit.get("corrective_actions") or []
        if each["state"] == "not checked again"
    ]
    return [
        {
            "id": place,
            "title": each["title"],
            "tone": color,
            "who": shortened(each["owner"] or NO_OWNER),
            "when": f"by {clock.day(each['due'])}" if each["due"] else NO_DATE,
        }
        for each, place, color in [*found, *carried]
    ]


def cards(audit: View, clock: words.Clock) -> list[View]:
    """Give a card for every finding but those of proposed rules; accepted ones bear that word."""
    return [_card(each, audit, clock) for each in worst_first(audit) if each["severity"] != Severity.INFO]


def _card(finding: View, audit: View, clock: words.Clock) -> View:
    times = finding["times_seen"]
    return {
        "id": finding["id"],
        "tone": tone(finding),
        "title": finding["title"],
        "place": words.joined([finding["id"], finding["check"], finding["target"], finding["severity"]]),
        "since": words.joined(
            [
                f"First seen {clock.day(finding['first_seen'])}, {times} {'time' if times == 1 else 'times'}",
                *cited(finding, audit["controls"]),
            ]
        ),
        "state": None if finding["state"] == "open" else finding["state"].replace("_", " "),
        "count": words.number(finding["count"]),
        "unit": words.unit_for(finding["count"], finding["unit"]),
        "seen": words.sentence(finding["message"]),
        "uncounted": _uncounted(finding, audit),
        "why": words.sentence(finding["why"]),
        "to_check": finding["to_check"],
        "remedy": finding["remedy"],
        "who": words.joined(
            [finding["owner"] or NO_OWNER, f"by {clock.day(finding['due'])}" if finding["due"] else NO_DATE]
        ),
        "worklist": finding["worklist"],
        "decided": list(decided.on_card(finding, clock)),
    }


def _uncounted(finding: View, audit: View) -> str:
    """Say what could change a count of absent images: what can be recovered, and archives that were not opened."""
    if finding["check"] not in ABSENT:
        return ""
    rows, both_sides = linked(finding["target"], audit)
    return " ".join(each for each in (recoverable(rows), stores.archives(both_sides)) if each)


def cited(finding: View, controls: list[View]) -> list[str]:
    """Give the citations of a finding; one behind which only the facility's policy stands says so."""
    asked = [
        each
        for each in controls
        if (finding["check"] in each["checks"] if "checks" in each else finding["id"] in each["findings"])
    ]
    out = []
    for written in finding["citations"]:
        citation = written.removesuffix(POLICY_MARK)
        behind = {each["specification"] == POLICY for each in asked if each["citation"] == citation}
        if citation != written or behind == {True}:
            out.append(f"facility policy, speaks to {citation.removeprefix('45 CFR ')}")
        else:
            out.append(citation)
            if True in behind and citation + POLICY_MARK not in finding["citations"]:
                out.append("facility policy")
    return out


def distinct_gaps(audit: View, rows: "pd.DataFrame | None") -> int | None:
    """Count the studies that are a gap on some backup, each once; None where rows and counts disagree."""
    backups = {row["backup"] for row in audit["comparisons"]}
    per_backup: dict[str, int] = {}
    for row in audit["comparisons"]:
        per_backup[row["backup"]] = per_backup.get(row["backup"], 0) + row["studies"]["gap"]
    if rows is None:
        return None
    on_backups = rows[rows["target"].isin(backups) & (rows[GAP_OUTCOMES].sum(axis=1) > 0)]
    seen = on_backups.groupby("target")["label"].nunique()
    if any(seen.get(name, 0) != count for name, count in per_backup.items()):
        return None
    return int(on_backups["label"].nunique())


def studies(audit: View, rows: "pd.DataFrame | None") -> View | None:
    """Give the affected studies by label, worst first and at most so many; None where there are none."""
    if rows is None:
        return None
    shown = rows.head(PRINTED_ROWS)
    total, labels = len(rows), int(rows["label"].nunique())
    archives = stores.archives(audit["stores"])
    lead = f"{words.counted(labels, 'studies')} in {total:,} {'row' if total == 1 else 'rows'}, worst first."
    if total > PRINTED_ROWS:
        lead = f"The first {len(shown):,} of {total:,} rows, worst first; all of them are in gaps.csv."
    records = [{str(key): value for key, value in row.items()} for row in shown.to_dict("records")]
    sides = any(row["changed_side"] for row in records)
    return {
        "lead": f"{lead} {archives}".rstrip(),
        "rows": [_study(row) for row in records],
        "sides": sides,
    }


def _study(row: View) -> View:
    # Rows about a primary or about extra studies count no outcome of a copy.
    counts = {} if row["check"] in FOUND else {key: int(row[key]) for key in BAD if int(row[key])}
    found = [f"{words.number(count)} {key}" for key, count in counts.items()]
    if counts.get("missing") and counts["missing"] == int(row["instances"]):
        found = ["all missing"]
    if row["check"] in FOUND:
        found = [FOUND[row["check"]]]
    sides = [{"unknown": "cannot be told"}.get(side, side) for side in str(row["changed_side"]).split("/") if side]
    gap = row["check"] in FOUND or any(key in counts for key in GAP_OUTCOMES)
    return {
        "label": row["label"],
        "finding": row["finding"],
        "target": row["target"],
        "modality": row["modality"] or words.NONE,
        "year": str(row["study_year"] or words.NONE),
        "instances": words.number(int(row["instances"]) or None),
        "found": ", ".join(found) or "see the finding",
        "tone": "bad" if gap else "unchecked" if found else "",
        "side": " or ".join(sides) or words.NONE,
        "elements": row["elements"] or None,
    }
