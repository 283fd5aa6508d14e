"""What is asked once of the whole audit."""

from exactcopy.checks.common import (
    AUDIT_AGAIN,
    DECIDE_INCIDENT,
    Result,
    Scope,
    check,
    finding,
    listed,
    not_checked,
    sentence,
    so_many,
    studies,
    sync_client,
)
from exactcopy.model import Role, Severity
from exactcopy.results import RETENTION_WORKLIST, Evidence


@check("kept-off-site", Scope.AUDIT, owner="official")
def kept_off_site(evidence: Evidence) -> Result:
    """At least one backup is elsewhere, as the configuration says; a sync client's local folder never is."""
    named = [store for store in evidence.stores if store.role is Role.BACKUP and store.offsite]
    away = [store.name for store in named if not sync_client(store)]
    if away:
        return not_checked(
            f"The configuration says that {listed(away)} {'is' if len(away) == 1 else 'are'} off-site. Attest EC-BK-09."
        )
    here = "".join(f" {store.name} is a local folder of {sync_client(store)}, and lies here." for store in named)
    return finding(
        Severity.HIGH,
        1,
        unit="stores",
        title="No backup is said to be off-site",
        message=f"No {'other ' if named else ''}backup has `offsite = true` in the configuration.{here}",
        why="Fire, flood and theft take all copies that are in one building.",
        remedy=("Keep one copy elsewhere and set `offsite = true` for it.",),
    )


@check("no-store-left-out", Scope.AUDIT, owner="official")
def no_store_left_out(evidence: Evidence) -> Result:
    """Every store of a record is still configured, or its disposal is on record.

    45 CFR 164.308(a)(1)(ii)(A), 164.310(d)(2)(i).
    """
    gone = evidence.left_out_stores
    if not gone:
        return None
    return finding(
        Severity.HIGH,
        len(gone),
        unit="stores",
        title=f"{', '.join(gone)} no longer audited",
        message=f"Earlier records name {so_many(len(gone), 'store', 'stores')} that the configuration does not.",
        why="What is no longer looked at can be lost without anybody noticing; a new name begins without a baseline.",
        to_check=("Was the store retired, or was it only renamed?",),
        remedy=(
            "Give a renamed store its old name back.",
            f'Record the disposal of a retired one: `exactcopy dispose --store {gone[0]} --reason "…" --policy "…"`.',
        ),
    )


@check("studies-within-retention-are-present", Scope.AUDIT, owner="official")
def studies_within_retention_are_present(evidence: Evidence) -> Result:
    """Every study that a record saw and that the facility's own rule asks for is in some store, or was disposed of."""
    kept = evidence.retention
    if kept is None:
        return not_checked("The configuration has no [policy.retention].")
    if kept.absent is None:
        names = ", ".join(kept.not_listed)
        return not_checked(f"Not listed whole: {names}. What is absent from all stores shows only where all are.")
    if evidence.first:
        return not_checked("No earlier record shows what was there before; the next audit can compare.")
    if not kept.absent:
        return None
    disposed = f" Of {kept.disposed:,} more a disposal is on record." if kept.disposed else ""
    return finding(
        Severity.HIGH,
        kept.absent,
        title=f"{studies(kept.absent)} within the facility's retention rule in no store",
        message=f"Of {studies(kept.studies)} dated {kept.since.isoformat()} or later that this or an earlier record "
        f"saw, {kept.absent:,} {'is' if kept.absent == 1 else 'are'} absent from all stores.{disposed}",
        # The rule itself is in the words of a person, and has its own place in the report.
        why=f"The facility's own rule, printed in section 1, asks for {so_many(kept.years, 'year', 'years')}.",
        to_check=(
            "Was the study deleted on purpose, or merged into another?",
            "Is it on a drive or in an archive that is not configured?",
        ),
        remedy=(
            DECIDE_INCIDENT,
            "Look for the studies on the worklist, and bring back what is found.",
            "Record the disposal of what was disposed of.",
            AUDIT_AGAIN,
        ),
        worklist=RETENTION_WORKLIST,
    )


@check("faults-are-found", Scope.AUDIT)
def faults_are_found(evidence: Evidence) -> Result:
    """What was planted to be found was found, and nothing else (45 CFR 164.312(c)(2))."""
    tested = evidence.self_test
    if tested is None:
        return not_checked("The self-test could not be made: there was no room for it, or the database failed.")
    if tested.passed:
        return None
    parts = []
    if tested.missed:
        parts.append(f"not seen as what they are: {', '.join(tested.missed)}")
    if tested.alarms:
        parts.append(f"not seen as sound: {', '.join(tested.alarms)}")
    return finding(
        Severity.CRITICAL,
        len(tested.missed) + len(tested.alarms),
        unit="faults",
        title=f"The self-test missed {len(tested.missed)} of {tested.planted} planted faults"
        if tested.missed
        else f"The self-test raised an alarm about {len(tested.alarms)} of {tested.sound} sound copies",
        message=f"Before it examined your images this audit examined some that were made for it. {sentence(parts)}",
        why="What it got wrong on images made for it, it may have got wrong on yours.",
        to_check=("Do memory and disk of this computer show errors?", "Was exactcopy or a library of it changed?"),
        remedy=(
            "Do not rely on this result.",
            "Install exactcopy anew, then audit again, if need be on another computer.",
            "If it fails again, report it to its makers with audit.json, which holds no patient data.",
        ),
    )


@check("report-holds-no-identifiers", Scope.AUDIT, owner="official")
def report_holds_no_identifiers(evidence: Evidence) -> Result:
    """Nothing that may travel holds patient data that this audit read (45 CFR 164.502(b), 164.514(d))."""
    scan = evidence.self_scan
    if scan.stopped:
        return finding(
            Severity.CRITICAL,
            1,
            unit="reports",
            title="The report was stopped: it held patient data",
            message="What was finished held the name or a number of a patient. No PDF and no HTML was kept, and in "
            "audit.json and gaps.csv the text is withheld.",
            why="A report travels further than the images: to an auditor, an insurer, a lawyer.",
            to_check=("Does a text of the configuration or of decisions.toml, or a medium's name, hold patient data?",),
            remedy=(
                "Write that text without the name or number, then audit again.",
                "If there is none, report this to the makers of exactcopy, without the text.",
            ),
        )
    if scan.withheld:
        where = ". ".join(f"In {each.where}" for each in scan.withheld)
        return finding(
            Severity.CRITICAL,
            len(scan.withheld),
            unit="strings",
            title="Patient data was withheld from this report",
            message=f"{so_many(len(scan.withheld), 'string holds', 'strings hold')} the name or a number of a patient "
            f"whose images this or an earlier audit read. {where}.",
            why="A report travels further than the images: to an auditor, an insurer, a lawyer.",
            to_check=(
                "Is it a patient's, or does a place only bear the same name?",
                "Was the same text sent elsewhere, as in earlier reports?",
            ),
            remedy=("Write another text there. A store that is renamed begins without a baseline.", DECIDE_INCIDENT),
        )
    if not scan.tokens:
        return not_checked("No patient data was read in this audit, so nothing could be held against it.")
    return None


@check("security-official-named", Scope.AUDIT, owner="official")
def security_official_named(evidence: Evidence) -> Result:
    """The security official is named (45 CFR 164.308(a)(2))."""
    if evidence.security_official:
        return not_checked(f"The configuration names {evidence.security_official}. Attest EC-SO-01.")
    return finding(
        Severity.MEDIUM,
        1,
        unit="names",
        title="No security official is named",
        message="The configuration names no `security_official`.",
        why="Somebody has to answer for the safeguards, by name.",
        remedy=("Add it to [people] in the configuration.",),
    )
