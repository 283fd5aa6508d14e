"""What is asked of the test restores of every backup."""

from dataclasses import dataclass

from exactcopy.checks.common import (
    AUDIT_AGAIN,
    INCIDENT,
    Result,
    Scope,
    check,
    finding,
    not_checked,
    pairs_of,
    restore_of,
    sentence,
    so_many,
    studies,
    unexamined,
)
from exactcopy.model import Severity
from exactcopy.results import Evidence, RecoverySummary, RestoreSummary, StoreFacts

# A month, and some days for the calendar. A default of the program: the rule in force names no interval.
_PERIOD_DAYS = 35
_NOT_TESTED = {
    "out_of_time": "the hours of --max-hours were over",
    "over_cost": "restoring them would have cost more than `max_egress_cost`",
    "in_cold_storage": "they lie in cold storage, at least in part. Have the provider thaw them before an audit, or "
    "keep a copy that can be read at once",
}


@dataclass(frozen=True, slots=True)
class _Why:
    words: str
    to_check: str
    remedy: str


# Why nothing came back that has nothing to do with what is stored.
_WHY_NOT = {
    "not_permitted": _Why(
        "may not be read by the account that audits",
        "May an account that brings images back in an emergency read them?",
        "Grant the account that audits the right to read.",
    ),
    "name_shared": _Why(
        "share their names with others, so that either may come",
        "Can each of them be brought back by the provider's own pages?",
        "Give each of the files that share a name one of its own.",
    ),
}


@check("restore-was-tested", Scope.BACKUP)
def restore_was_tested(evidence: Evidence, backup: StoreFacts) -> Result:
    """A test restore was made from the backup alone (45 CFR 164.308(a)(7)(ii)(B), (D))."""
    if backup.error:
        return unexamined(backup)
    restore = restore_of(evidence, backup)
    if restore is None:
        return not_checked(f"No test restore was made from {backup.name}.")
    if restore.planned and not restore.not_tested and not restore.certainty["not_tested"]:
        return None
    if restore.planned:
        untested = studies(restore.not_tested + restore.certainty["not_tested"])
        return not_checked(f"{untested} of {backup.name} could not be tested: {_untested(restore)}.")
    if not any(pair.studies["total"] for pair in pairs_of(evidence, backup)):
        return not_checked(f"No primary that {backup.name} covers was examined, so there was nothing to draw from.")
    if restore.left_out_why.get("not_checked"):
        # Whether they are whole there is not known, so neither is whether there was nothing to draw from.
        return not_checked(f"No study of {backup.name} was examined whole, so none could be drawn for a test restore.")
    return finding(
        Severity.CRITICAL,
        1,
        unit="stores",
        title=f"No test restore could be made from {backup.name}",
        message="No study is wholly there without a known gap, so there was nothing that a restore could prove.",
        why="A backup that was never restored is a hope.",
        remedy=("Mend the other gaps of this backup first.", AUDIT_AGAIN),
    )


def _untested(restore: RestoreSummary) -> str:
    """Say why studies were not tested, where the problems tell it."""
    told = [words for code, words in _NOT_TESTED.items() if restore.problems.get(code)]
    return " and ".join(told) or "scratch was full, the store went away or its window ended"


@check("restore-succeeded", Scope.BACKUP)
def restore_succeeded(evidence: Evidence, backup: StoreFacts) -> Result:
    """Every study that was restored came back whole and equal."""
    restore = restore_of(evidence, backup)
    if backup.error or restore is None or restore.planned == restore.not_tested:
        return not_checked(f"No test restore was made from {backup.name}.")
    failed = restore.failed + restore.certainty["failed"]
    if not failed:
        return None
    tried = restore.planned + restore.certainty["planned"]
    why_not = {code: why for code, why in _WHY_NOT.items() if restore.problems.get(code)}
    told = [f" Images of {studies(restore.problems[code])} {why.words}." for code, why in why_not.items()]
    explained = bool(why_not) and why_not.keys() == set(restore.problems)
    return finding(
        Severity.CRITICAL,
        failed,
        title=f"{studies(failed)} could not be restored from {backup.name}",
        message=f"{failed:,} of {studies(tried)} did not come back whole, equal and opening.{''.join(told)}",
        why="What fails in a test fails in an emergency; studies that were not drawn may fail as well.",
        to_check=tuple(why.to_check for why in why_not.values())
        if explained
        else ("Errors of the medium.", "Files that changed between the listing and the restore."),
        remedy=(*(why.remedy for why in why_not.values()), AUDIT_AGAIN)
        if explained
        else (*INCIDENT, 'Read the whole backup (read = "all") and mend what it finds.', AUDIT_AGAIN),
        worklist=f"worklist-{backup.name}.csv",
    )


@check("restored-images-open", Scope.BACKUP)
def restored_images_open(evidence: Evidence, backup: StoreFacts) -> Result:
    """Every frame of the restored studies decodes."""
    restore = restore_of(evidence, backup)
    if backup.error or restore is None or not restore.planned:
        return not_checked(f"No test restore was made from {backup.name}.")
    broken = restore.problems.get("not_opening", 0) + restore.problems.get("not_whole", 0)
    if broken:
        return finding(
            Severity.CRITICAL,
            broken,
            title=f"Restored images from {backup.name} do not open",
            message=f"{studies(broken)} came back with images that cannot be decoded.",
            why="An image that does not open is lost to the reader, whatever its checksum says.",
            to_check=("Can the same images be opened on the primary?",),
            remedy=(*INCIDENT, "Ask the modality or the PACS vendor whether the originals can be repaired."),
            worklist=f"worklist-{backup.name}.csv",
        )
    undecoded = restore.not_decodable + restore.certainty["not_decodable"]
    if undecoded:
        return not_checked(f"{studies(undecoded)} of {backup.name} came back equal, and cannot be decoded here.")
    return None


@check("recovery-pacs-shows-studies", Scope.BACKUP)
def recovery_pacs_shows_studies(evidence: Evidence, backup: StoreFacts) -> Result:
    """What was restored can be put into a PACS, found there, retrieved and shown; where a recovery PACS is named."""
    restore = restore_of(evidence, backup)
    if evidence.recovery is None:
        return None
    if backup.error or restore is None or restore.recovery is None:
        return not_checked(f"No study of {backup.name} was restored, so none was put into {evidence.recovery.name}.")
    name, counts, pictures = restore.recovery.name, restore.recovery.studies, restore.recovery.rendered
    if restore.recovery.refused:
        return not_checked(f"Nothing was put into {name}, so it is not known whether it would show the studies.")
    if counts["failed"]:
        return finding(
            Severity.HIGH,
            counts["failed"],
            title=f"{studies(counts['failed'])} from {backup.name} could not be brought back in {name}",
            message=f"{sentence(_in_pacs(restore.recovery))} They came back from the backup itself whole and equal.",
            why="In an emergency images have to be read in a PACS; files on a disk are half of a recovery.",
            to_check=(
                f"Does {name} take these kinds of images and their compression?",
                "Did it change what it stored: does it compress, correct or anonymize what arrives?",
            ),
            remedy=(f"Let {name} take and keep what is sent, unchanged, or name another recovery PACS.", AUDIT_AGAIN),
            worklist=f"worklist-{backup.name}.csv",
        )
    if counts["not_tested"]:
        return not_checked(f"{studies(counts['not_tested'])} of {backup.name} could not be put into {name}.")
    if not counts["recovered"]:
        return not_checked(f"No study of {backup.name} was put into {name}.")
    if pictures["done"] < pictures["asked"]:
        dark = pictures["asked"] - pictures["done"]
        return finding(
            Severity.LOW,
            dark,
            title=f"{name} shows no picture of {studies(dark)} from {backup.name}",
            message=f"{studies(dark)} came back from {name} equal, and no picture of it could be had there.",
            why="A viewer that relies on the server to draw images would show nothing.",
            to_check=(f"Can a viewer of {name} open them? It may lack a decoder for their compression.",),
            remedy=(f"Add the decoder to {name}, or plan a viewer that has it.",),
            worklist=f"worklist-{backup.name}.csv",
        )
    return None


def _in_pacs(recovery: RecoverySummary) -> list[str]:
    told = (
        ("not_accepted", "not taken"),
        ("not_found", "not found by query"),
        ("not_retrieved", "not retrieved"),
        ("not_equal", "retrieved and not equal"),
        ("not_opening", "retrieved and not decoded"),
        ("not_whole", "retrieved and not whole"),
        ("two_contents", "with two contents under one SOP Instance UID, of which a PACS keeps one"),
        ("no_study", "without one Study Instance UID for all its images"),
    )
    return [f"{studies(recovery.problems[code])} {words}" for code, words in told if recovery.problems.get(code)]


@check("recovery-pacs-is-empty", Scope.BACKUP)
def recovery_pacs_is_empty(evidence: Evidence, backup: StoreFacts) -> Result:
    """The recovery PACS held no study before it was put there, and holds none after it was removed."""
    restore = restore_of(evidence, backup)
    if evidence.recovery is None:
        return None
    if restore is None or restore.recovery is None:
        return not_checked(f"No study of {backup.name} was restored, so none was put into {evidence.recovery.name}.")
    name, held, removed = restore.recovery.name, restore.recovery.studies["held"], restore.recovery.removed
    if restore.recovery.refused == "not_told_apart":
        return finding(
            Severity.HIGH,
            restore.recovery.studies["not_tested"],
            title=f"{name} cannot be told from a store that is audited",
            message=f"{name} holds most studies of a store that it was asked for, or that store could not be examined. "
            "So that nothing is ever written to a store, nothing was put there.",
            why="A test restore must not write to the archive or to a backup.",
            to_check=(
                f"Is {name}, by another address or name, one of the primaries or backups? Then delete nothing there.",
                f"Did earlier tests leave studies in {name}?",
            ),
            remedy=(
                f"If {name} is a store: name another PACS below [recovery.{name}].",
                "Only if it surely is a test PACS: remove from it what earlier tests left.",
                AUDIT_AGAIN,
            ),
        )
    left = removed["asked"] - removed["done"] if removed else 0
    if held:
        return finding(
            Severity.MEDIUM,
            held,
            title=f"{studies(held)} from {backup.name} were in {name} already"
            if held > 1
            else f"1 study from {backup.name} was in {name} already",
            message=f"What {name} holds proves nothing of the backup, so {studies(held)} came back to a scratch folder "
            f"only.{f' {studies(left)} that the test put there could not be removed again.' if left else ''}",
            why="A PACS keeps what it has and answers that all is stored: the test would pass with an empty backup.",
            to_check=(f"Is {name}, by another address or name, a primary or a backup? Then delete nothing there.",),
            remedy=(
                f"Make sure that {name} is no primary and no backup; only then remove the studies of the worklist.",
                *(["Set cleanup = true, and each test removes what it put."] if removed is None else []),
                AUDIT_AGAIN,
            ),
            worklist=f"worklist-{backup.name}.csv",
        )
    if left:
        return finding(
            Severity.LOW,
            left,
            title=f"{studies(left)} could not be removed from {name}",
            message=f"The test put them there and could not remove all of them again; {name} still holds them.",
            why="They are patient images in one more place, and the next test finds them there.",
            to_check=(f"May the account of [recovery.{name}] delete?",),
            remedy=(f"Remove them from {name} by hand, and let the account delete what it stored.",),
            worklist=f"worklist-{backup.name}.csv",
        )
    return None


@check("recovery-within-rto", Scope.BACKUP)
def recovery_within_rto(evidence: Evidence, backup: StoreFacts) -> Result:
    """Recovery would take no longer than the RTO: an estimate; storing in a PACS is included where it was tested."""
    restore = restore_of(evidence, backup)
    if backup.error or restore is None or restore.copy_back_hours is None:
        return not_checked(f"No speed was measured on {backup.name}.")
    stored = restore.recovery.hours if restore.recovery else None
    hours = restore.copy_back_hours if stored is None else stored
    cold = so_many(backup.archived, "file in cold storage has", "files in cold storage have")
    thaw = f"{cold} to be thawed first, which takes a time that is not known" if backup.archived else None
    if hours <= evidence.rto_hours:
        return not_checked(f"{thaw}: {backup.name}.") if thaw else None
    return finding(
        Severity.MEDIUM,
        1,
        unit="stores",
        title=f"Recovery from {backup.name} would take longer than the RTO",
        message=f"Copying the files back{'' if stored is None else ' and storing them in a PACS'} would take about "
        f"{hours:,.0f} hours; the RTO is {evidence.rto_hours:g} hours.{f' {thaw}.' if thaw else ''}",
        why="While files are copied back, no earlier study can be read.",
        remedy=("Plan a faster medium or a longer RTO, and record the reason.",),
    )


@check("restores-are-periodic", Scope.BACKUP)
def restores_are_periodic(evidence: Evidence, backup: StoreFacts) -> Result:
    """Between one test restore and the next lies no more than a month (45 CFR 164.308(a)(7)(ii)(D)).

    For twelve months back; what is too long from the last one to this audit weighs more.
    """
    restore = restore_of(evidence, backup)
    tested = backup.error is None and restore is not None and restore.restored > 0
    between = evidence.days_between_restores.get(backup.name, ())
    if not tested and (not between or between[0] <= _PERIOD_DAYS):
        return not_checked(f"No test restore was made from {backup.name}.")
    if not between:
        return not_checked("One test restore does not show a period; the next audit can.")
    longest = max(between)
    if longest <= _PERIOD_DAYS:
        return None
    if between[0] <= _PERIOD_DAYS:
        return finding(
            Severity.LOW,
            sum(days > _PERIOD_DAYS for days in between),
            unit="times",
            title=f"Test restores from {backup.name} were too far apart",
            message=f"In the last twelve months up to {longest:,} days lay between two test restores; monthly is the "
            "default of this program.",
            why="Between two tests nobody knows whether the backup can be read.",
            remedy=("Audit every month: this closes by itself a year after the gap.",),
        )
    return finding(
        Severity.HIGH,
        1,
        unit="stores",
        title=f"Test restores from {backup.name} are too far apart",
        message=f"The test restore before this {'one' if tested else 'audit'} was {between[0]} days ago; monthly is "
        "the default of this program.",
        why="Between two tests nobody knows whether the backup can be read.",
        remedy=("Audit every month: `exactcopy audit` makes the test restores.",),
    )
