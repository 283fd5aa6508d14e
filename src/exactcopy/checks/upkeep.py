"""What is asked of the records themselves; of earlier ones, for this audit's own is not written yet."""

from exactcopy.checks.common import (
    DECIDE_INCIDENT,
    Result,
    Scope,
    check,
    finding,
    listed,
    not_checked,
    sentence,
    shared,
    so_many,
)
from exactcopy.model import Role, Severity
from exactcopy.results import Evidence, Place, StoreFacts

_FIRST = "This is the first record; the next audit can show what became of it."


@check("records-are-intact", Scope.AUDIT, owner="official")
def records_are_intact(evidence: Evidence) -> Result:
    """Nothing in earlier records was altered, deleted or added since they were sealed (45 CFR 164.312(b))."""
    kept = evidence.upkeep
    if kept is None:
        return not_checked("This is the first record; the next audit can show whether it was altered.")
    if not kept.faults:
        if evidence.anchor_away:
            return not_checked(
                "The file of `[seal] anchor` is not there: whether the newest were cut off cannot be seen."
            )
        return None
    return finding(
        Severity.HIGH,
        kept.faults,
        unit="faults",
        title="Earlier records were altered",
        message=f"{so_many(kept.faults, 'fault', 'faults')} in the records: files or records that are "
        "changed, gone or added. `exactcopy verify` names each.",
        why="A record that can be altered unnoticed proves nothing, and what this audit carries on from earlier ones "
        "may be wrong.",
        to_check=("Was a file moved, opened and saved, or restored from a backup?", "Who may write to the records?"),
        remedy=(
            "Keep the records as they are, and put a copy beside them.",
            DECIDE_INCIDENT,
            "Put back what was altered from a copy of the records, and let `exactcopy verify` prove it.",
        ),
    )


@check("record-was-written", Scope.AUDIT, owner="official")
def record_was_written(evidence: Evidence) -> Result:
    """The last record is there, whole, with a report; every audit since left one (45 CFR 164.316(b)(1)(ii))."""
    kept = evidence.upkeep
    if kept is None:
        return not_checked(_FIRST)
    if kept.last_whole and kept.last_readable:
        if not kept.unfinished:
            return None
        audits = so_many(kept.unfinished, "audit", "audits")
        return finding(
            Severity.LOW,
            kept.unfinished,
            unit="audits",
            title=f"{audits} left no record",
            message=f"Since the last record {audits} began and did not end. `exactcopy history` says when.",
            why="Whoever sees only the records cannot tell an audit that was broken off from one that was not liked.",
            to_check=("Was the computer switched off, or was the configuration changed meanwhile?",),
            remedy=("Note the reason where you file the reports.",),
        )
    return finding(
        Severity.MEDIUM,
        1,
        unit="records",
        title="The last record is not whole" if kept.last_readable else "The last record has no report",
        message=f"Files of the record {evidence.previous} are changed, gone or added. `exactcopy verify` names each."
        if kept.last_readable
        else f"In the record {evidence.previous} there is neither report.pdf nor report.html.",
        why="What was found has to be on record, in a form that a person can read.",
        remedy=("Put the record back from a copy, and let `exactcopy verify` prove it.",),
    )


@check("records-are-complete", Scope.AUDIT, owner="official")
def records_are_complete(evidence: Evidence) -> Result:
    """There is an audit of every month since the first, six years back, and its record (45 CFR 164.316(b)(2)(i))."""
    kept = evidence.upkeep
    if kept is None:
        return not_checked(_FIRST)
    if not kept.missing and not kept.away:
        return None
    audited = kept.months - len(kept.missing)
    parts = []
    if kept.away:
        parts.append(f"sealed and no longer here: {so_many(kept.away, 'record', 'records')}")
    if kept.missing:
        parts.append(
            f"{audited:,} of {so_many(kept.months, 'month', 'months')} since the first record have an audit; "
            f"{'none' if len(kept.missing) > 1 else 'not'} in {', '.join(kept.missing[-12:])}"
            f"{' and earlier' if len(kept.missing) > 12 else ''}"
        )
    return finding(
        Severity.HIGH if kept.away else Severity.MEDIUM if kept.recently_missing else Severity.LOW,
        kept.away or len(kept.missing),
        unit="records" if kept.away else "months",
        title=f"{so_many(kept.away, 'earlier record is', 'earlier records are')} not here"
        if kept.away
        else f"{so_many(len(kept.missing), 'month', 'months')} without an audit",
        message=sentence(parts),
        why="The records are to be kept for six years; a month without one shows nothing of that month.",
        to_check=("Were records moved to another folder?",) if kept.away else (),
        remedy=(
            *(["Put the records back from a copy: `exactcopy history` names them."] if kept.away else []),
            *(
                ["Nothing replaces an audit that was not made: note why. Let `exactcopy schedule` make the next ones."]
                if kept.missing
                else []
            ),
        ),
    )


@check("records-are-apart", Scope.AUDIT)
def records_are_apart(evidence: Evidence) -> Result:
    """The records lie on another disk than the images that they speak of (45 CFR 164.316(b)(2)(i))."""
    primaries = [store for store in evidence.stores if store.role is Role.PRIMARY and store.error is None]
    place, anchor = evidence.records_at, evidence.anchor_at
    beside = {primary.name: what for primary in primaries if (what := shared(primary, place))}
    if beside:
        too = anchor is not None and any(shared(primary, anchor) for primary in primaries if primary.name in beside)
        return finding(
            Severity.MEDIUM,
            len(beside),
            unit="stores",
            title=f"The records share a {next(iter(beside.values()))} with {listed(beside)}",
            message=f"The folder `records` lies on one {next(iter(beside.values()))} with {listed(beside)}"
            f"{', and so is the file of `[seal] anchor`' if too else ''}.",
            why="If that dies, or somebody encrypts it, the evidence dies with the images.",
            remedy=(
                "Set `records` to a folder on another disk, or copy every record elsewhere after each audit.",
                *(["Keep the anchor on another computer."] if too else []),
            ),
        )
    all_seen = len(primaries) == sum(store.role is Role.PRIMARY for store in evidence.stores)
    if all_seen and all(_apart(primary, place) for primary in primaries):
        return None
    return not_checked("It does not show whether the records lie on another disk than the primaries.")


def _apart(primary: StoreFacts, place: Place) -> bool:
    """Whether what is not seen to share anything is known not to: two disks of this computer, or two computers."""
    if primary.host is None and place.host is None:
        return primary.disk is not None and place.disk is not None
    return (primary.host is None and primary.disk is not None) or (place.host is None and place.disk is not None)
