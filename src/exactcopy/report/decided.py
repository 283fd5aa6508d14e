"""What people decided, and what became of what was found: for page one, for the cards, and for the end of section 2."""

from collections.abc import Iterator
from typing import Any

from exactcopy.model import Severity
from exactcopy.report import words

View = dict[str, Any]

# So many new decisions are listed on page one; more are in section 2 only.
LISTED = 4
KINDS = {
    "attest": "Attested",
    "accept": "Accepted",
    "assign": "Assigned",
    "dispose": "Disposed of",
    "review": "Reviewed",
}
GONE = "no longer found"
STATES = {"open": "bad", "accepted": "attested", "not checked again": "unchecked", GONE: "good"}


def section(audit: View, clock: words.Clock) -> View:
    """Give the tables that end section 2; a record of an earlier version has none of them."""
    return {
        "actions": [_action(each, each["state"], clock) for each in _worst_first(audit.get("corrective_actions"))],
        "resolved": [_action(each, GONE, clock) for each in _worst_first(audit.get("resolved"))],
        "decisions": [_decision(each, clock) for each in audit.get("decisions") or []],
    }


def page_one(audit: View, clock: words.Clock) -> list[str]:
    """Give a line for each new decision, to stand above the signature; none of them where there are many."""
    new = audit.get("decisions") or []
    if len(new) > LISTED:
        return []
    return [f"{_kind(each)}: {each['about']}. {_signed(each, clock)}" for each in new]


def _kind(decision: View) -> str:
    """Say what kind of decision it is; of a judgement, what it was."""
    return decision["text"].split(".")[0] if decision["kind"] == "incident" else KINDS[decision["kind"]]


def on_card(finding: View, clock: words.Clock) -> Iterator[View]:
    """Yield what was decided about a finding: what it was, and who decided it, when, why and until when."""
    covered = finding.get("accepted_count") or 0
    if accepted := finding.get("decision"):
        whole = finding["state"] == "accepted"
        yield {
            "name": "Accepted" if whole else "Accepted in part",
            "text": _accepted(finding, accepted, covered, clock),
        }
    if judged := finding.get("incident"):
        what = "A security incident." if judged["incident"] else "No security incident."
        yield {"name": "Security incident", "text": f"{what} {judged['reason']} {_signed(judged, clock)}"}
    if finding.get("cause"):
        yield {"name": "Cause found", "text": words.sentence(finding["cause"])}
    if assigned := finding.get("assigned"):
        yield {"name": "Assigned", "text": _signed(assigned, clock)}


def _accepted(finding: View, decision: View, covered: int, clock: words.Clock) -> str:
    studies = ""
    if covered:
        count = max(covered, finding["count"]) if finding["unit"] in {"study", "studies"} else covered
        studies = f"It covers {words.out_of(covered, count)} {words.unit_for(count, 'studies')}"
        studies += ". " if finding["state"] == "accepted" else "; what is new since is open. "
    instead = f" Instead: {words.sentence(decision['alternative'])}" if decision.get("alternative") else ""
    return f"{studies}{words.sentence(decision['reason'])}{instead} {_signed(decision, clock)}"


def _signed(decision: View, clock: words.Clock) -> str:
    who = ", ".join(each for each in (decision["by"], decision["title"]) if each)
    until = f", until {clock.day(decision['expires'])}" if decision.get("expires") else ""
    return f"{who}, {clock.day(decision['on'])}{until}."


def _worst_first(actions: list[View] | None) -> list[View]:
    return sorted(actions or [], key=lambda each: Severity(each["severity"]).rank)


def _action(action: View, state: str, clock: words.Clock) -> View:
    times = action["times_seen"]
    return {
        **{key: action[key] for key in ("id", "title", "target", "severity")},
        "state": state,
        "cause": words.sentence(action["cause"]) if action.get("cause") else "",
        "owner": action["owner"] or "No owner yet",
        "due": clock.date(action["due"]) if action["due"] else "no date yet",
        "first_seen": clock.date(action["first_seen"]),
        "times": f"{times} {'time' if times == 1 else 'times'}",
        "tone": STATES[state],
    }


def _decision(decision: View, clock: words.Clock) -> View:
    return {
        "kind": _kind(decision),
        "about": decision["about"],
        "text": words.sentence(decision["text"]),
        "who": ", ".join(each for each in (decision["by"], decision["title"]) if each),
        "on": clock.date(decision["on"]),
        "expires": clock.date(decision["expires"]) if decision["expires"] else words.NONE,
        "entered_by": decision["entered_by"],
    }
