"""What is asked of the findings themselves, and of what people decided about them."""

from collections.abc import Sequence

from exactcopy.checks.actions import carried, to_do
from exactcopy.checks.common import Checked, Result, Scope, check, finding, so_many
from exactcopy.model import Severity
from exactcopy.results import Evidence, Finding


@check("findings-are-treated", Scope.FINDINGS, owner="official")
def findings_are_treated(evidence: Evidence, done: Sequence[Checked]) -> Result:
    """Every critical or high finding has an owner and a date that has not passed (45 CFR 164.308(a)(1)(ii)(B)).

    What was accepted needs neither; what an earlier audit found and this one could not ask about still does.
    """
    actions = [*to_do(_found(done)), *carried(evidence.actions, done)]
    heavy = [
        each for each in actions if each.state != "accepted" and each.severity in (Severity.CRITICAL, Severity.HIGH)
    ]
    unplanned = sum(each.owner is None or each.due is None for each in heavy)
    overdue = sum(each.due is not None and each.due < evidence.started.date() for each in heavy)
    if not unplanned and not overdue:
        return None
    return finding(
        Severity.HIGH,
        unplanned + overdue,
        unit="findings",
        title="Findings have no owner or are overdue",
        message=f"Without an owner or a date: {so_many(unplanned, 'finding', 'findings')}; past their date: "
        f"{so_many(overdue, 'finding', 'findings')}.",
        why="A gap without an owner and a date stays open.",
        remedy=(
            "Name `it` and `security_official` under [people] in the configuration, or give each finding its owner and "
            "date: `exactcopy assign FINDING`.",
            "See what keeps the overdue ones open, and record the cause.",
        ),
    )


def _found(done: Sequence[Checked]) -> list[Finding]:
    return [each.result for each in done if isinstance(each.result, Finding)]
