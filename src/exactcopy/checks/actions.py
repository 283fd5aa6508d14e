"""What earlier audits found, and what became of it: nothing is closed before an audit asked again."""

from collections.abc import Iterable
from dataclasses import replace

from exactcopy.checks.common import Checked
from exactcopy.model import Severity
from exactcopy.results import Action, Finding, NotChecked

NOT_CHECKED_AGAIN = "not checked again"


def to_do(found: Iterable[Finding]) -> list[Action]:
    """Return what has to be done about findings; those of proposed rules ask for nothing."""
    return [
        Action(
            id=each.id,
            check=each.check,
            target=each.target,
            title=each.title,
            severity=each.severity,
            owner=each.owner,
            due=each.due,
            cause=each.cause,
            first_seen=each.first_seen,
            times_seen=each.times_seen,
            state=each.state,
        )
        for each in found
        if each.severity is not Severity.INFO
    ]


def carried(before: Iterable[Action], done: Iterable[Checked]) -> list[Action]:
    """Return what earlier audits found and this one could not ask about, or did not."""
    answered = {(each.check, each.target) for each in done if not isinstance(each.result, NotChecked)}
    return [
        replace(action, state=NOT_CHECKED_AGAIN) for action in before if (action.check, action.target) not in answered
    ]


def resolved(before: Iterable[Action], done: Iterable[Checked]) -> list[Action]:
    """Return what earlier audits found and this one, asked again, no longer did."""
    gone = {(each.check, each.target) for each in done if each.result is None}
    return [action for action in before if (action.check, action.target) in gone]
