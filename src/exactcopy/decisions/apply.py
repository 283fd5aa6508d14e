"""What people decided of a finding. It marks the finding; it never hides it and never changes what was found."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from exactcopy.decisions import Acceptance, Assignment, Decisions, Incident
from exactcopy.results import Action, Finding

ACCEPTED = "accepted"
# The check of which a list of elements may be accepted, on a backup.
EXACT = "copies-are-exact"
# Days are written where people are, times of records in UTC.
_DAY = timedelta(days=1)

Item = TypeVar("Item", Acceptance, Assignment, Incident)


@dataclass(frozen=True, slots=True)
class Affected:
    """A study that a finding is about. `label`: the one it bore before this audit, None if it is new.

    `elements` names all that differs in its copy, where it differs in named elements only; else None. `images` of it
    have a gap on the backup that the finding is about.
    """

    label: str | None
    elements: frozenset[str] | None = None
    images: int = 0


def decide(finding: Finding, decisions: Decisions, affected: Sequence[Affected] | None, today: date) -> Finding:
    """Return `finding` with what people decided about it; `affected` is None where it is about no studies.

    It is accepted where every one of its studies is covered, and counts those that are covered where not. What is new
    since an acceptance is open: studies that it does not list, and those that it lists where more of their images have
    a gap than on its day. So is what has expired.
    """
    since = _begun(finding.first_seen)
    return _judged(_assigned(_accepted(finding, decisions, affected, today), decisions, since), decisions, affected)


def covers(acceptance: Acceptance, finding: Finding, study: Affected) -> bool:
    """Whether an acceptance is of this study in this finding: by its label, or by the only elements that differ."""
    if acceptance.finding is not None:
        return acceptance.finding == finding.id and study.label in acceptance.labels
    return (
        finding.check == EXACT
        and finding.target == acceptance.backup
        and bool(study.elements)
        and study.elements is not None
        and study.elements <= acceptance.elements
    )


def outgrown(decided: Acceptance | Incident, affected: Iterable[Affected]) -> bool:
    """Whether more images of the studies that a decision lists have a gap today than when it was made."""
    listed = sum(study.images for study in affected if study.label in decided.labels)
    return decided.images is not None and listed > decided.images


def assign(action: Action, decisions: Decisions) -> Action:
    """Return what has to be done with the owner, the day and the cause that people decided since."""
    mine = _mine(decisions.assignments, action.id, _begun(action.first_seen))
    return replace(action, **_last_said(mine))


def _accepted(finding: Finding, decisions: Decisions, affected: Sequence[Affected] | None, today: date) -> Finding:
    def speaks(acceptance: Acceptance) -> bool:
        if affected is None:
            return acceptance.finding == finding.id
        return any(covers(acceptance, finding, study) for study in affected)

    mine = sorted(filter(speaks, decisions.acceptances), key=lambda each: each.decision.on)
    lasting = [each for each in mine if each.decision.expires is None or each.decision.expires >= today]
    current = [each for each in lasting if not outgrown(each, affected or ())]
    if affected is None:
        count, whole = 0, bool(current)
    else:
        count = sum(any(covers(each, finding, study) for each in current) for study in affected)
        whole = 0 < count == len(affected)
    lapsed = [each for each in mine if each not in lasting]
    said = ""
    if len(current) < len(lasting) and not whole:
        said = " More images of the studies that were accepted have a gap now: they are open again."
    elif lapsed and not whole:
        last = lapsed[-1].decision
        said = f" The acceptance of {last.on} by {last.by} expired on {last.expires}."
    elif affected is not None and any(each.finding == finding.id and not each.labels for each in decisions.acceptances):
        said = " An acceptance of it names no labels, and so covers none of its studies."
    return replace(
        finding,
        state=ACCEPTED if whole else finding.state,
        accepted_count=count,
        decision=current[-1].decision if current else None,
        message=finding.message + said,
    )


def _assigned(finding: Finding, decisions: Decisions, since: date) -> Finding:
    mine = _mine(decisions.assignments, finding.id, since)
    if not mine:
        return finding
    return replace(finding, assigned=mine[-1].decision, **_last_said(mine))


def _judged(finding: Finding, decisions: Decisions, affected: Sequence[Affected] | None) -> Finding:
    """Add the decision whether it is an incident, where it is about all that is affected today."""
    mine = _mine(decisions.incidents, finding.id, _begun(finding.first_seen))
    mine = [each for each in mine if not outgrown(each, affected or ())]
    labels = frozenset[str]().union(*(each.labels for each in mine))
    if not mine or any(study.label not in labels for study in affected or ()):
        return finding
    return replace(finding, incident=mine[-1].decision)


def _mine(items: Iterable[Item], finding: str, since: date) -> list[Item]:
    """Return the decisions about this finding since it is there, oldest first: an earlier one was of another gap."""
    mine = [each for each in items if each.finding == finding and each.decision.on >= since]
    return sorted(mine, key=lambda each: each.decision.on)


def _last_said(assignments: Iterable[Assignment]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for each in assignments:
        told = {"owner": each.owner, "due": each.due, "cause": each.cause}
        said |= {key: value for key, value in told.items() if value is not None}
    return said


def _begun(first_seen: str) -> date:
    return datetime.fromisoformat(first_seen).date() - _DAY
