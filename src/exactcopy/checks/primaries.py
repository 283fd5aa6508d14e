"""What is asked of every primary."""

from exactcopy.checks.common import (
    AUDIT_AGAIN,
    INCIDENT,
    Result,
    Scope,
    check,
    finding,
    images,
    not_checked,
    sentence,
    so_many,
    span,
    studies,
    unexamined,
)
from exactcopy.model import Role, Severity
from exactcopy.results import Evidence, StoreFacts

_NOTHING_BEFORE = "No earlier record shows what was there before; the next audit can compare."
_STRANGE_FILES = 5
_STRANGE_SHARE = 0.2
_PENDING_SHARE = 0.05
_PENDING_STUDIES = 20


@check("every-instance-has-a-copy", Scope.PRIMARY)
def every_instance_has_a_copy(evidence: Evidence, primary: StoreFacts) -> Result:
    """Every instance has an exact copy somewhere (45 CFR 164.308(a)(7)(ii)(A))."""
    if primary.error:
        return unexamined(primary)
    nowhere = primary.no_exact_copy
    if nowhere.instances:
        return finding(
            Severity.CRITICAL,
            nowhere.studies,
            title=f"{images(nowhere.instances)} of {primary.name} without an exact copy anywhere",
            message=f"Of {images(primary.instances)}, {nowhere.instances:,} in {studies(nowhere.studies)} "
            f"{'has' if nowhere.instances == 1 else 'have'} no exact copy on any backup.",
            why="If the primary failed today, these images could not be brought back as they are.",
            to_check=(
                "Are these studies of a kind that the backup job leaves out?",
                "When did the job last succeed?",
            ),
            remedy=("Send the studies on the worklist to a backup now.", AUDIT_AGAIN),
            worklist=f"worklist-{primary.name}.csv",
        )
    unclear = primary.copies_undetermined
    if unclear.instances:
        return not_checked(f"Of {images(unclear.instances)} it cannot be told: a copy was not examined.")
    return None


@check("purged-studies-have-two-copies", Scope.PRIMARY)
def purged_studies_have_two_copies(evidence: Evidence, primary: StoreFacts) -> Result:
    """What the primary purged is whole and exact on two backups at least (45 CFR 164.308(a)(7)(ii)(A))."""
    if primary.keeps_hours is None:
        return None
    purged = primary.purged
    if primary.error or purged is None:
        return unexamined(primary)
    short = purged.on_one + purged.on_none
    if short:
        return finding(
            Severity.CRITICAL if purged.on_none else Severity.HIGH,
            short,
            title=f"{studies(short)} purged from {primary.name} {'is' if short == 1 else 'are'} not on two backups",
            message=f"{primary.name} purges studies after {span(primary.keeps_hours)}. Of {studies(purged.purged)} "
            "that went so, by how many backups have them whole and exact: two or more "
            f"{purged.on_two:,}, one {purged.on_one:,}, none {purged.on_none:,}, not checked {purged.not_checked:,}.",
            why="The primary cannot give them back: one more failure, and nothing is left of them.",
            to_check=(
                "Had the backup jobs copied these studies before they were purged?",
                "Does a backup delete what is gone from the primary?",
            ),
            remedy=(
                "Stop jobs that delete on the backups what is gone on the primary.",
                "Copy the studies on the worklist to a second backup from the one that has them.",
                AUDIT_AGAIN,
            ),
            worklist=f"worklist-{primary.name}.csv",
        )
    if purged.not_checked:
        return not_checked(
            f"Of {studies(purged.not_checked)} that {primary.name} purged it cannot be told whether they are on two"
            " backups."
        )
    return None


@check("primary-is-sound", Scope.PRIMARY)
def primary_is_sound(evidence: Evidence, primary: StoreFacts) -> Result:
    """No image of the primary is damaged, and what is damaged has a sound copy."""
    if primary.error:
        return unexamined(primary)
    lost = evidence.losses.by_primary[primary.name]
    hopeless, damaged = lost["no_sound_copy"], lost["damaged_on_primary"]
    nameless = primary.nameless_damaged
    if not hopeless.instances and not damaged.instances and not nameless:
        return not_checked(_some_unread(primary)) if primary.unread or primary.unlisted else None
    seen = all(store.complete for store in evidence.stores if store.role is Role.BACKUP)
    parts = []
    if hopeless.instances:
        parts.append(
            f"damaged and without a sound copy on any store: {images(hopeless.instances)} in "
            f"{studies(hopeless.studies)}"
        )
    if damaged.instances:
        parts.append(
            f"damaged here, while {'a whole copy is elsewhere' if seen else 'not every store was examined'}: "
            f"{images(damaged.instances)} in {studies(damaged.studies)}"
        )
    if nameless:
        parts.append(f"damaged so far that no image can be named: {so_many(nameless, 'file', 'files')}")
    return finding(
        Severity.CRITICAL,
        hopeless.studies + damaged.studies,
        title=f"Images on {primary.name} are damaged",
        message=sentence(parts),
        why="A damaged original is copied as it is: later backups may replace the last good copy.",
        to_check=(
            "Disk errors on the primary.",
            "An interrupted transfer on the day the files were written.",
        ),
        remedy=(
            *INCIDENT,
            *(
                [
                    "Stop backup jobs from overwriting the good copies named on the worklist.",
                    "Restore the named copies to the primary, or ask the modality to send the study again.",
                ]
                if damaged.instances
                else []
            ),
            *(
                ["Where no sound copy is named, look on drives that are not configured, and ask the modality."]
                if hopeless.instances or nameless
                else []
            ),
            AUDIT_AGAIN,
        ),
        worklist=f"worklist-{primary.name}.csv",
    )


@check("files-are-images", Scope.PRIMARY)
def files_are_images(evidence: Evidence, primary: StoreFacts) -> Result:
    """Few files of the archive are empty or no DICOM: ransomware and cut-off copies leave many."""
    if primary.error:
        return unexamined(primary)
    empty = primary.problems.get("empty", 0)
    # Ransomware leaves archives, too.
    strange = empty + sum(primary.problems.get(kind, 0) for kind in ("not_dicom", "scrambled", "archive"))
    many = strange >= _STRANGE_FILES and strange > _STRANGE_SHARE * primary.objects
    if not many and not empty:
        return None
    return finding(
        Severity.HIGH if many else Severity.MEDIUM,
        strange if many else empty,
        unit="files",
        title=f"Files on {primary.name} hold no image",
        message=f"Of {so_many(primary.objects, 'file', 'files')}, {empty:,} are empty, {strange - empty:,} no DICOM.",
        why="What was an image before it was emptied or encrypted cannot be told from what never was one.",
        to_check=("Do names and places of these files look like those of images?", "When were they last written?"),
        remedy=(*INCIDENT, "Restore what was an image from a backup, or move other files out of the archive."),
        worklist=f"worklist-{primary.name}.csv",
    )


@check("no-silent-alteration", Scope.PRIMARY)
def no_silent_alteration(evidence: Evidence, primary: StoreFacts) -> Result:
    """No image changed since the last record without a reason on record (45 CFR 164.312(c)(2))."""
    if primary.error:
        return unexamined(primary)
    changed = evidence.losses.by_primary[primary.name]["changed_on_primary"]
    if not changed.instances:
        if not primary.content_before:
            return not_checked(_NOTHING_BEFORE)
        if primary.baseline_record != evidence.previous:
            return not_checked(_older_baseline(primary))
        return not_checked(_some_unread(primary)) if primary.unread or primary.unlisted else None
    return finding(
        Severity.CRITICAL,
        changed.studies,
        title=f"{images(changed.instances)} on {primary.name} changed since first recorded",
        message=f"The bytes of {images(changed.instances)} in {studies(changed.studies)} are not those that "
        "the first record of them saw.",
        why="Images do not change by themselves: this is a correction, a conversion, damage or tampering.",
        to_check=(
            "Was a patient merged or a study corrected?",
            "Did the PACS compress or convert old studies?",
        ),
        remedy=(
            *INCIDENT,
            "Compare with the copies on the worklist before they are replaced.",
            AUDIT_AGAIN,
        ),
        worklist=f"worklist-{primary.name}.csv",
    )


@check("no-unexplained-loss", Scope.PRIMARY)
def no_unexplained_loss(evidence: Evidence, primary: StoreFacts) -> Result:
    """Nothing that a record saw on the primary is gone without a disposal (45 CFR 164.312(c)(1))."""
    if primary.error:
        return unexamined(primary)
    lost = evidence.losses.by_primary[primary.name]
    gone, left = lost["gone_everywhere"], lost["lost_from_primary"]
    if not gone.instances and not left.instances:
        if primary.baseline_record is None:
            return not_checked(_NOTHING_BEFORE)
        if primary.baseline_record != evidence.previous:
            return not_checked(_older_baseline(primary))
        return None if primary.complete else not_checked(_some_unread(primary))
    parts = []
    if gone.instances:
        parts.append(f"gone from every store: {images(gone.instances)} in {studies(gone.studies)}")
    if left.instances:
        parts.append(f"gone from {primary.name} only: {images(left.instances)} in {studies(left.studies)}")
    return finding(
        Severity.CRITICAL,
        gone.studies + left.studies,
        title=f"Images that were on {primary.name} are gone",
        message=sentence(parts),
        why="An earlier record saw them. Backup jobs that mirror will soon delete the last copies as well.",
        to_check=("Was the study deleted on purpose?", "Was it moved to another archive?"),
        remedy=(
            *INCIDENT,
            "Stop jobs that delete on the backups what is gone on the primary.",
            "Restore the studies on the worklist, or record why they were disposed of: `exactcopy dispose`.",
            AUDIT_AGAIN,
        ),
        worklist=f"worklist-{primary.name}.csv",
    )


@check("baseline-complete", Scope.PRIMARY)
def baseline_complete(evidence: Evidence, primary: StoreFacts) -> Result:
    """Every image of the primary has a digest on record (45 CFR 164.312(c)(2))."""
    if primary.error:
        return unexamined(primary)
    without = primary.instances - primary.baseline
    if not without:
        # What was not listed, or is nameless and unread, may be images without one.
        return not_checked(_some_unread(primary)) if primary.unread or primary.unlisted else None
    return finding(
        Severity.HIGH,
        without,
        unit="images",
        title=f"No digest is on record for {images(without)} on {primary.name}",
        message=f"{images(without)} of {primary.instances:,} could not be read in this audit.",
        why="Later change to them could not be noticed.",
        remedy=("See restricted/errors.log for the places that could not be read.",),
    )


@check("file-times-are-plausible", Scope.PRIMARY)
def file_times_are_plausible(evidence: Evidence, primary: StoreFacts) -> Result:
    """Not so many studies are younger than the RPO that their times must have been reset."""
    if primary.error:
        return unexamined(primary)
    pending = max(
        (comparison.studies["pending"] for comparison in evidence.comparisons if comparison.primary == primary.name),
        default=0,
    )
    if pending <= _PENDING_STUDIES or pending <= _PENDING_SHARE * primary.studies:
        return None
    return finding(
        Severity.MEDIUM,
        pending,
        title=f"Too many studies on {primary.name} seem to be new",
        message=f"{pending:,} of {studies(primary.studies)} are younger than the RPO and not yet on a backup.",
        why="If file times were reset, missing copies look like pending ones until the RPO has passed.",
        to_check=("Was the archive copied or restored lately without keeping file times?",),
        remedy=("Audit again after the RPO: what is still absent is then called missing.",),
    )


@check("mammography-is-lossless", Scope.PRIMARY)
def mammography_is_lossless(evidence: Evidence, primary: StoreFacts) -> Result:
    """No mammogram of the primary is lossily compressed (21 CFR 900.12(c)(4))."""
    if primary.error:
        return unexamined(primary)
    if not primary.mammograms:
        return not_checked(f"{primary.name} holds no mammogram.")
    if not primary.lossy_mammograms:
        return None
    return finding(
        Severity.HIGH,
        primary.lossy_mammograms,
        unit="images",
        title=f"Mammograms on {primary.name} are lossily compressed",
        message=f"{primary.lossy_mammograms:,} of {so_many(primary.mammograms, 'mammogram', 'mammograms')} say that "
        "they were lossily compressed.",
        why="FDA guidance asks for original or losslessly compressed mammograms; this is not a HIPAA rule.",
        remedy=("Ask your medical physicist or PACS vendor for the originals.",),
    )


def _older_baseline(primary: StoreFacts) -> str:
    return f"The last record that shows what was on {primary.name} is {primary.baseline_record}."


def _some_unread(primary: StoreFacts) -> str:
    return f"Parts of {primary.name} could not be read, so a change or an absence there does not show."
