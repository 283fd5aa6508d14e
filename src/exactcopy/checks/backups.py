"""What is asked of every backup."""

from collections.abc import Iterator
from datetime import timedelta

from exactcopy.checks.common import (
    AUDIT_AGAIN,
    INCIDENT,
    Result,
    Scope,
    check,
    finding,
    images,
    not_checked,
    pairs_of,
    sentence,
    shared,
    so_many,
    span,
    studies_with,
    sync_client,
    total,
    unexamined,
)
from exactcopy.checks.unread import unread_files
from exactcopy.model import Role, Severity
from exactcopy.results import NOT_EXACT, Evidence, StoreFacts

_PROPOSED_HOURS = 48
_FAT = frozenset({"vfat", "msdos"})
# Less than a large study takes.
_NEARLY_FULL = 2e9


@check("backup-is-complete", Scope.BACKUP)
def backup_is_complete(evidence: Evidence, backup: StoreFacts) -> Result:
    """Every image older than the RPO is on the backup."""
    if backup.error:
        return unexamined(backup)
    pairs = pairs_of(evidence, backup)
    missing, unknown = total(pairs, "missing"), total(pairs, "unknown")
    if missing:
        absent = studies_with(pairs, "missing")
        oldest = max((c.oldest_unprotected_hours or 0.0 for c in pairs), default=0.0)
        kept = sum(pair.recoverable for pair in pairs)
        return finding(
            Severity.HIGH,
            absent,
            title=f"{so_many(absent, 'study is', 'studies are')} incomplete or missing on {backup.name}",
            message=f"Not there although older than the limit of {span(backup.rpo_hours)}: {images(missing)}. The "
            f"oldest has been without a copy for {span(oldest)}.",
            why="A restore from this backup would bring back incomplete studies, or none.",
            to_check=(
                "When did the backup job last run to its end?",
                "Does it leave out late series or some folders?",
                *_limits(backup),
            ),
            remedy=(
                *(_bring_back(kept) if kept else ()),
                "Send the studies on the worklist to this backup again.",
                AUDIT_AGAIN,
            ),
            worklist=f"worklist-{backup.name}.csv",
        )
    if unknown:
        return not_checked(f"Of {images(unknown)} it could not be told whether they are there.")
    return None


def _bring_back(kept: int) -> tuple[str, str]:
    return (
        f"Bring back in time what was deleted there: {so_many(kept, 'image is', 'images are')} still kept, and the "
        "worklist names where.",
        "Find out who deleted them, and why.",
    )


@check("copies-are-exact", Scope.BACKUP)
def copies_are_exact(evidence: Evidence, backup: StoreFacts) -> Result:
    """Every copy that was read equals the original."""
    if backup.error:
        return unexamined(backup)
    pairs = pairs_of(evidence, backup)
    # Against a damaged primary a copy that differs may well be the right one: primary-is-sound speaks of those.
    beside = sum(pair.against_damaged for pair in pairs)
    different = total(pairs, "different") - beside
    altered = total(pairs, "altered")
    seen = []
    if different:
        seen.append(
            f"{so_many(different, 'copy has', 'copies have')} other pixels, lost content, or other bytes that could not"
            " be compared further"
        )
    if altered:
        seen.append(f"{so_many(altered, 'copy has', 'copies have')} the same pixels and other header elements")
    if seen:
        if beside:
            seen.append(f"{so_many(beside, 'more differs', 'more differ')} from an original that is itself damaged")
        return finding(
            Severity.HIGH,
            studies_with(pairs, NOT_EXACT),
            title=f"{so_many(different + altered, 'image on', 'images on')} {backup.name} "
            f"{'differs' if different + altered == 1 else 'differ'} from the original",
            message="; ".join(seen)
            + ". What differs stands on the worklist, and which side changed, where it can be told.",
            why="A copy that differs is not an exact copy: a restore brings back something else.",
            to_check=(
                "Does the backup job compress or edit images?",
                "Were headers corrected on one side only?",
                "Does the disk of the side that changed report errors?",
            ),
            remedy=(
                *INCIDENT,
                "Find out which version is right before either is replaced: that other stores agree is no proof.",
                AUDIT_AGAIN,
            ),
            worklist=f"worklist-{backup.name}.csv",
        )
    unproven = total(pairs, "unverified", "unknown")
    if unproven:
        return not_checked(f"The content of {images(unproven)} is not known today.")
    return None


@check("copies-are-readable", Scope.BACKUP)
def copies_are_readable(evidence: Evidence, backup: StoreFacts) -> Result:
    """Every copy is a whole instance."""
    if backup.error:
        return unexamined(backup)
    pairs = pairs_of(evidence, backup)
    unreadable = total(pairs, "unreadable")
    if unreadable:
        return finding(
            Severity.HIGH,
            studies_with(pairs, "unreadable"),
            title=f"{so_many(unreadable, 'image is', 'images are')} damaged on {backup.name}",
            message=f"{so_many(unreadable, 'copy was', 'copies were')} read to the end and "
            f"{'is no whole image' if unreadable == 1 else 'are no whole images'}.",
            why="They count as copied and cannot be used.",
            to_check=("A transfer that was cut off.", "A full disk.", "Errors of the medium."),
            remedy=(*INCIDENT, "Copy the images on the worklist again from the primary.", AUDIT_AGAIN),
            worklist=f"worklist-{backup.name}.csv",
        )
    if backup.unread:
        return not_checked(sentence(unread_files(backup)))
    return None


@check("drive-was-seen", Scope.BACKUP)
def drive_was_seen(evidence: Evidence, backup: StoreFacts) -> Result:
    """A rotated drive comes back within its `max_absent`."""
    if backup.name not in evidence.overdue_drives:
        return None
    days = evidence.overdue_drives[backup.name]
    return finding(
        Severity.HIGH,
        1,
        unit="stores",
        title=f"No drive of {backup.name} has come back in time",
        message=f"None of its drives is connected. One was last examined {days} days ago; `max_absent` is over.",
        why="A drive that nobody connects gets no new images, and nobody knows whether it still works.",
        to_check=("Where are the drives?", "Who carries them, and when last?"),
        remedy=("Connect one of the drives and audit again.",),
    )


@check("backup-ran-on-schedule", Scope.BACKUP)
def backup_ran_on_schedule(evidence: Evidence, backup: StoreFacts) -> Result:
    """Something was written within the schedule, if there was anything new to write."""
    if backup.error:
        return unexamined(backup)
    if backup.schedule_hours is None:
        return not_checked("The configuration names no `schedule`.")
    pairs = pairs_of(evidence, backup)
    newest = max((c.newest_copy for c in pairs if c.newest_copy), default=None)
    on_primary = max((c.newest_on_primary for c in pairs if c.newest_on_primary), default=None)
    if newest is not None and (on_primary is None or newest >= on_primary):
        return None
    # An image may wait for its RPO before a run has to take it.
    limit = (evidence.started - timedelta(hours=backup.schedule_hours + backup.rpo_hours)).isoformat()
    if newest is not None and newest >= limit:
        return None
    return finding(
        Severity.HIGH,
        1,
        unit="stores",
        title=f"{backup.name} has not been written on schedule",
        message=f"Its newest image is from {newest[:10] if newest else 'no known day'}; the primary has newer ones. "
        f"The schedule allows {span(backup.schedule_hours)} beside the limit of {span(backup.rpo_hours)}.",
        why="A job that stopped in silence is the commonest way to have no backup.",
        to_check=("Does the job still run?", "Did its password or key change?"),
        remedy=("Run the backup job by hand and read its messages.", AUDIT_AGAIN),
    )


@check("extras-are-explained", Scope.BACKUP)
def extras_are_explained(evidence: Evidence, backup: StoreFacts) -> Result:
    """Nothing lies on the backup that the primaries do not know."""
    if backup.error:
        return unexamined(backup)
    pairs = pairs_of(evidence, backup)
    extra = pairs[0].extra if pairs else None
    if extra is None:
        return not_checked("A primary that it covers was not examined whole, so extras do not show.")
    unknown = extra.not_known_on_primary
    if not unknown.instances:
        return None
    covered = {pair.primary for pair in pairs}
    purging = [store.name for store in evidence.stores if store.keeps_hours and store.name in covered]
    purged = (f"Did {' or '.join(purging)} purge these studies before a record saw them there?",) if purging else ()
    return finding(
        Severity.HIGH,
        unknown.studies,
        title=f"{so_many(unknown.studies, 'study', 'studies')} on {backup.name} unknown to the primary",
        message=f"No primary knows {images(unknown.instances)} that {'is' if unknown.instances == 1 else 'are'} there"
        + ": possible loss until explained.",
        why="They may be the last copies of studies that the primary has lost.",
        to_check=(
            "Were these studies deleted from the primary on purpose?",
            "Do they belong to another archive?",
            *purged,
        ),
        remedy=("Look the studies up by the worklist before anything is deleted.",),
        worklist=f"worklist-{backup.name}.csv",
    )


@check("separate-failure-domain", Scope.BACKUP)
def separate_failure_domain(evidence: Evidence, backup: StoreFacts) -> Result:
    """The backup lies on another disk, computer or account than each primary that it covers."""
    if backup.error:
        return unexamined(backup)
    if backup.restored_from:
        # Where it was restored to, often beside the primary, says nothing of where it came from.
        return not_checked(
            f"{backup.name} is what was restored by hand; where the backup itself lies does not show. If you know, "
            "attest EC-BK-08."
        )
    covered = {pair.primary for pair in pairs_of(evidence, backup)}
    primaries = [store for store in evidence.stores if store.role is Role.PRIMARY and store.name in covered]
    beside = {primary.name: place for primary in primaries if (place := shared(primary, backup))}
    if beside:
        place = next(iter(beside.values()))
        return finding(
            Severity.HIGH,
            len(beside),
            unit="stores",
            title=f"{backup.name} shares a {place} with {next(iter(beside))}",
            message="; ".join(f"{backup.name} and {name} lie on one {place}" for name, place in beside.items()) + ".",
            why="What stops, infects or empties the one takes the other too.",
            remedy=("Keep this copy on another disk and under another account, best in another building.",),
        )
    if client := sync_client(backup):
        return not_checked(
            f"{backup.name} is a folder of {client}'s sync client: what is deleted or encrypted on one side is soon so "
            'on the other. Audit the cloud itself by kind = "rclone".'
        )
    if primaries and all(_apart(primary, backup) for primary in primaries):
        return None
    return not_checked(
        "It does not show that the copy lies on another disk, computer or account than what it is a copy of. If you "
        "know, attest EC-BK-08."
    )


@check("sync-folder-is-named", Scope.BACKUP)
def sync_folder_is_named(evidence: Evidence, backup: StoreFacts) -> Result:
    """The folder of a sync client is configured as such, and so never taken for the cloud."""
    if backup.error:
        return unexamined(backup)
    client = backup.synced_by
    if client is None or backup.synced_to:
        return None
    return finding(
        Severity.MEDIUM,
        1,
        unit="stores",
        title=f"{backup.name} is a local folder of {client}",
        message=f"This folder belongs to the sync client of {client}. What is proven is the local copy only.",
        why="Nothing is known of what lies in the cloud; and what is deleted on one side is soon deleted on the other.",
        remedy=(
            f'Set synced_to = "{client}" for {backup.name}, and no `offsite`.',
            'Add the cloud itself as a backup of kind = "rclone".',
        ),
    )


@check("copies-within-48-hours", Scope.BACKUP)
def copies_within_48_hours(evidence: Evidence, backup: StoreFacts) -> Result:
    """The proposed 45 CFR 164.312(i)(2)(i) would ask for copies no more than 48 hours behind."""
    if backup.error:
        return unexamined(backup)
    oldest = max((c.oldest_unprotected_hours or 0.0 for c in pairs_of(evidence, backup)), default=0.0)
    if oldest <= _PROPOSED_HOURS:
        return None
    return finding(
        Severity.INFO,
        1,
        unit="stores",
        title=f"{backup.name} is more than 48 hours behind",
        message=f"The oldest image without a copy has waited {span(oldest)}.",
        why="A proposed rule would set 48 hours. It is not in force.",
    )


def _limits(backup: StoreFacts) -> Iterator[str]:
    """Yield what the file system of a drive may have kept from being stored."""
    if backup.filesystem in _FAT:
        yield "Its file system is FAT, which takes no file of 4 GB or more and not all names. Is that why?"
    if backup.free is not None and backup.free < _NEARLY_FULL:
        yield f"Is it full? {backup.free / 1e9:,.1f} GB are free there."


def _apart(primary: StoreFacts, backup: StoreFacts) -> bool:
    """Whether two stores that are not seen to share anything are known not to.

    Two disks of this computer are two. The name of a host may be another name of the primary's, or of this computer;
    that it is neither is known where somebody else holds it.
    """
    if primary.host is None and backup.host is None:
        return primary.disk is not None and backup.disk is not None
    seen = backup.host is not None and (primary.host is not None or primary.disk is not None)
    return seen and primary.held_by.casefold() != backup.held_by.casefold()
