"""What is asked of the findings themselves, and of what people decided about them.

What was found today for the first time has nothing decided yet: until the next audit that is not checked.
"""

from collections.abc import Sequence

from exactcopy.checks.actions import carried, to_do
from exactcopy.checks.common import (
    DECIDE_INCIDENT,
    Checked,
    Result,
    Scope,
    check,
    finding,
    not_checked,
    so_many,
)
from exactcopy.model import Severity
from exactcopy.results import Evidence, Finding, NotChecked

_CHANGES = ("no-silent-alteration", "no-unexplained-loss")
_RESTORES = ("restore-succeeded", "restored-images-open", "recovery-pacs-shows-studies")


@check("last-report-was-reviewed", Scope.FINDINGS, owner="official")
def last_report_was_reviewed(evidence: Evidence, done: Sequence[Checked]) -> Result:
    """Somebody reviewed and signed the report of the last record (45 CFR 164.308(a)(1)(ii)(D))."""
    if evidence.previous is None:
        return not_checked("This is the first record: there was no report to review.")
    if evidence.reviewed:
        return None
    return finding(
        Severity.MEDIUM,
        1,
        unit="reports",
        title="The last report was not reviewed",
        message=f"No review of the record {evidence.previous} is on record, or it names another SHA-256.",
        why="A report that nobody reads protects nobody, and an auditor asks who reviewed and certified it.",
        remedy=(
            "Read that report, sign its first page and keep it.",
            f'Record it: `exactcopy review {evidence.previous} --by "…" --title "…"`.',
        ),
    )


@check("failed-restores-have-a-cause", Scope.FINDINGS, owner="official")
def failed_restores_have_a_cause(evidence: Evidence, done: Sequence[Checked]) -> Result:
    """Each test restore that failed has its cause on record (45 CFR 164.308(a)(7)(ii)(D))."""
    without = [each.id for each in evidence.actions if each.check in _RESTORES and each.cause is None]
    if without:
        return finding(
            Severity.MEDIUM,
            len(without),
            unit="findings",
            title="A failed test restore has no cause on record",
            message=f"{so_many(len(without), 'finding', 'findings')} of test restores that failed in earlier audits "
            f"without a cause: {', '.join(without)}.",
            why="A plan is revised after a test that failed; that begins with what the cause was.",
            remedy=(
                f'Find the cause and record it: `exactcopy assign {without[0]} --cause "…"`.',
                "Revise the written restore procedure where the test showed that it does not hold.",
            ),
        )
    if any(each.cause is None for each in _found(done) if each.check in _RESTORES):
        return not_checked("A test restore failed in this audit: record its cause (`exactcopy assign`).")
    if any(isinstance(each.result, NotChecked) for each in done if each.check == "restore-was-tested"):
        return not_checked("Not every backup was test-restored.")
    return None


@check("changes-have-an-incident-decision", Scope.FINDINGS, owner="official")
def changes_have_an_incident_decision(evidence: Evidence, done: Sequence[Checked]) -> Result:
    """Each unexplained change has a decision whether it is a security incident (45 CFR 164.308(a)(6)(ii))."""
    undecided = [each for each in _found(done) if DECIDE_INCIDENT in each.remedy and each.incident is None]
    late = [each.id for each in undecided if each.times_seen > 1]
    if late:
        return finding(
            Severity.HIGH,
            len(late),
            unit="findings",
            title="It was not decided whether a change is an incident",
            message=f"Without a decision about all that they are about today: {', '.join(late)}.",
            why="A security incident has to be identified, answered and documented; that it is none is decided, too.",
            remedy=(f'Decide, and record it: `exactcopy incident {late[0]} no --reason "…"`, or `yes`.',),
        )
    if undecided:
        return not_checked(
            f"Found in this audit, not yet decided: {', '.join(each.id for each in undecided)}. Record the decision: "
            "`exactcopy incident`."
        )
    if any(isinstance(each.result, NotChecked) for each in done if each.check in _CHANGES):
        return not_checked("Whether something changed or was lost could not be told of every primary.")
    return None


@check("addressable-decisions-are-documented", Scope.FINDINGS, owner="official")
def addressable_decisions_are_documented(evidence: Evidence, done: Sequence[Checked]) -> Result:
    """Each exception of an addressable specification is to be mended, or has an alternative (45 CFR 164.306(d)(3))."""
    undecided = [
        each
        for each in _found(done)
        if each.check in evidence.addressable
        and each.severity.rank <= Severity.MEDIUM.rank
        and each.state == "open"
        and each.assigned is None
    ]
    late = [each.id for each in undecided if each.times_seen > 1]
    if late:
        return finding(
            Severity.MEDIUM,
            len(late),
            unit="findings",
            title="An addressable specification has no decision",
            message=f"Neither assigned to be mended nor accepted with an alternative: {', '.join(late)}.",
            why="Addressable is not optional: why it is not implemented, and what is done instead, is documented.",
            remedy=(
                f'To implement it, say who does: `exactcopy assign {late[0]} --owner "…"`.',
                f'Else document why not, and what instead: `exactcopy accept {late[0]} --reason "…" --alternative '
                '"…"`.',
            ),
        )
    if undecided:
        return not_checked(
            f"Found in this audit, not yet decided: {', '.join(each.id for each in undecided)}. Record the decision: "
            "`exactcopy assign` or `exactcopy accept`."
        )
    unanswered = evidence.addressable - evidence.stated
    if any(isinstance(each.result, NotChecked) for each in done if each.check in unanswered):
        return not_checked("Some addressable specifications were neither measured everywhere nor attested.")
    return None


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
