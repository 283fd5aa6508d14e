"""Section 5: every control, told apart by what stands behind its status; never rolled up."""

import re
from collections import Counter
from typing import Any

from exactcopy.model import Severity
from exactcopy.report import words

View = dict[str, Any]

POLICY = "facility policy"
TONES = {
    "no exception": "good",
    "attention": "warn",
    "exception": "bad",
    "attested": "attested",
    "alternative documented": "attested",
    "not applicable": "unchecked",
    "not checked": "unchecked",
}
# The order and the words of a citation's tally.
TALLY = (
    ("no exception", "without exception"),
    ("exception", "with an exception"),
    ("attention", "needing attention"),
    ("attested", "attested"),
    ("alternative documented", "alternative documented"),
    ("not applicable", "not applicable"),
    ("not checked", "not checked"),
)
GROUPS = (
    (
        "deciding",
        "Controls that decide the result",
        "Measured in this run, or stated by a person where only a person can know.",
    ),
    ("measured", "Other measured controls", "Measured in this run. They do not decide the result."),
    ("attested", "Attested by a person", "Stated by the person named, and not tested."),
    (
        "configured",
        "Taken from the configuration",
        "Named there, and not tested. No statement of a person is on record for these.",
    ),
    (
        "unanswered",
        "Not checked",
        "Nothing is known of these. What would answer each is named beside it.",
    ),
)


def section(audit: View, clock: words.Clock) -> View:
    """Give all that section 5 prints."""
    # Only findings that have a card can be pointed to.
    known = {each["id"] for each in audit["findings"] if each["severity"] != Severity.INFO}
    groups: dict[str, list[View]] = {key: [] for key, *_ in GROUPS}
    proposed: list[View] = []
    for control in audit["controls"]:
        row = _row(control, known, clock)
        (proposed if row["proposed"] else groups[_group(control)]).append(row)
    counts = Counter(each["status"] for each in audit["controls"] if each["specification"] != "proposed")
    return {
        "groups": [
            {"key": key, "title": title, "lead": lead, "rows": groups[key]}
            for key, title, lead in GROUPS
            if groups[key]
        ],
        "proposed": proposed,
        "counts": [{"status": status, "count": counts[status]} for status, _ in TALLY if counts[status]],
        "total": sum(counts.values()),
        "tallies": tallies(audit["controls"]),
    }


def _group(control: View) -> str:
    if control["decides"]:
        return "deciding"
    if control["status"] == "not checked":
        return "unanswered"
    if control["status"] == "alternative documented":
        return "attested"
    if control["status"] == "attested":
        return "attested" if attestations(control) else "configured"
    return "measured"


def attestations(control: View) -> list[View]:
    """Give what people state of a control; older records hold one statement at most."""
    said: list[View] = control.get("attestations") or []
    first = control.get("attested_by")
    return said or ([first] if first else [])


def _row(control: View, known: set[str], clock: words.Clock) -> View:
    # A catalogue citation that names no section of law, as a facility's own rule, speaks for itself.
    policy = control["specification"] == POLICY and bool(citations(control["citation"]))
    return {
        "id": control["id"],
        "citation": control["citation"].replace("45 CFR ", "").removeprefix("proposed "),
        "specification": control["specification"],
        "title": control["title"],
        "text": control["text"] if control["specification"] == "proposed" else None,
        "status": control["status"],
        "tone": TONES[control["status"]],
        "observed": words.sentence(control["observed"]),
        "findings": [each for each in control["findings"] if each in known],
        "attested": [_attested(each, clock) for each in attestations(control)],
        "policy": policy,
        "proposed": control["specification"] == "proposed",
    }


def _attested(said: View, clock: words.Clock) -> str:
    who = ", ".join(each for each in (said["by"], said["title"]) if each)
    dates = f"{clock.day(said['on'])}, until {clock.day(said['expires'])}"
    document = f" Document: {said['document']}." if said.get("document") else ""
    party = f" With: {said['party']}." if said.get("party") else ""
    return f"“{said['statement']}” {who}, {dates}.{party}{document}"


def tallies(controls: list[View]) -> list[View]:
    """Quote each citation once and count its tests by status, the facility's policy apart; proposed rules stay out."""
    counted: dict[str, dict[bool, Counter[str]]] = {}
    quotes: dict[str, str] = {}
    for control in controls:
        if control["specification"] == "proposed":
            continue
        policy = control["specification"] == POLICY
        for place, citation in enumerate(citations(control["citation"])):
            counts = counted.setdefault(citation, {False: Counter(), True: Counter()})
            counts[policy][control["status"]] += 1
            # A control quotes the first section that it cites.
            if place == 0 and control["text"]:
                quotes.setdefault(citation, control["text"])
    return [
        {"citation": citation, "quote": quotes.get(citation), "text": _tally(citation, counts[False], counts[True])}
        for citation, counts in sorted(counted.items(), key=lambda pair: (" CFR " in pair[0], pair[0]))
    ]


def _tally(citation: str, law: Counter[str], policy: Counter[str]) -> str:
    by_law, by_policy = (
        ", ".join(f"{counts[status]} {name}" for status, name in TALLY if counts[status]) for counts in (law, policy)
    )
    parts = [by_law, f"facility policy: {by_policy}" if by_policy else ""]
    return f"Tests relating to {citation}: " + "; ".join(part for part in parts if part)


def citations(text: str) -> list[str]:
    """Part a catalogue citation into the sections that it names: 164.308(b)(1),(3) names two."""
    found: list[str] = []
    for part in re.split(r"[;,]\s*", text.removeprefix("45 CFR ")):
        if re.match(r"(\d+ CFR )?\d+\.\d+", part):
            found.append(part.removeprefix("45 CFR "))
        elif found and re.fullmatch(r"\(\w+\)", part):
            found.append(found[-1][: found[-1].rindex("(")] + part)
        elif found and part.startswith("("):
            found.append(found[-1].split("(", 1)[0] + part)
    return found
