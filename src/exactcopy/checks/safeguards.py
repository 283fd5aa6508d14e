"""What is asked of the safeguards that stores show: a refused, senseless or absent answer is never a pass."""

from dataclasses import dataclass

from exactcopy.checks.common import (
    AUDIT_AGAIN,
    DECIDE_INCIDENT,
    Result,
    Scope,
    check,
    finding,
    not_checked,
    so_many,
    unexamined,
)
from exactcopy.model import Answer, Role, Safeguard, Seen, Severity
from exactcopy.results import Evidence, NotChecked, StoreFacts

_KEPT = (Safeguard.IMMUTABILITY, Safeguard.VERSIONING, Safeguard.LIFECYCLE)


@dataclass(frozen=True, slots=True)
class _Question:
    """What an open question is about, and what would answer it.

    `whether` is a clause, `folder` says why a folder cannot tell, `right` is what S3 calls the permission to ask.
    Where a person may state it instead, `control` is what they attest.
    """

    whether: str
    folder: str
    right: str | None = None
    control: str | None = None


_QUESTIONS = {
    Safeguard.PUBLIC_ACCESS: _Question(
        "whether anybody can reach the images without a login",
        "A folder has no public address to try, and does not show whether a share asks everybody for a login.",
        "s3:GetBucketPolicyStatus and s3:GetBucketAcl",
        "EC-AC-01",
    ),
    Safeguard.ENCRYPTION: _Question(
        "whether the images are encrypted at rest",
        "This computer does not show whether the disk of a folder is encrypted.",
        "s3:GetObject and s3:GetEncryptionConfiguration",
        "EC-EN-01",
    ),
    Safeguard.TRANSPORT: _Question(
        "whether the path to the store is encrypted",
        "A folder does not show how the path to it is encrypted.",
        "s3:GetBucketPolicy",
        "EC-TX-01",
    ),
    Safeguard.LOGGING: _Question(
        "whether access to the images is logged",
        "A folder does not show whether access to it is logged.",
        "s3:GetBucketLogging",
        "EC-AU-01",
    ),
    Safeguard.LIFECYCLE: _Question(
        "whether a rule deletes images",
        "A folder does not show what deletes there by rule.",
        "s3:GetLifecycleConfiguration",
    ),
    Safeguard.FILE_RIGHTS: _Question(
        "which accounts may open the files",
        "This file system does not show which accounts may open the files.",
    ),
}


@check("not-public", Scope.STORE)
def not_public(evidence: Evidence, store: StoreFacts) -> Result:
    """Nobody reaches the images without a login (45 CFR 164.312(a)(1))."""
    if not _fails(store, Safeguard.PUBLIC_ACCESS):
        return _open_question(store, Safeguard.PUBLIC_ACCESS)
    count, unit = _counted(store, Safeguard.PUBLIC_ACCESS)
    return finding(
        Severity.CRITICAL,
        count,
        unit=unit,
        title=f"Anybody, or a whole domain, can open what lies on {store.name}",
        message=_told(
            store, Safeguard.PUBLIC_ACCESS, f"Not only people who were let in by name can open {store.name}."
        ),
        why="Whoever has the address can read patient images, and nobody may notice.",
        to_check=("Since when is it open, and who opened it?", "Do access logs show who has been there?"),
        remedy=(
            "Take the public access away today: block it for the bucket, remove public links and shares.",
            DECIDE_INCIDENT,
            AUDIT_AGAIN,
        ),
    )


@check("encrypted-at-rest", Scope.STORE)
def encrypted_at_rest(evidence: Evidence, store: StoreFacts) -> Result:
    """The images lie encrypted, as far as the store shows it (45 CFR 164.312(a)(2)(iv))."""
    if not _fails(store, Safeguard.ENCRYPTION):
        return _open_question(store, Safeguard.ENCRYPTION)
    carried = store.volumes_configured > 0
    count, unit = _counted(store, Safeguard.ENCRYPTION)
    return finding(
        Severity.CRITICAL if carried else Severity.HIGH,
        count,
        unit=unit,
        title=f"{store.name} shows no encryption at rest",
        message=_told(store, Safeguard.ENCRYPTION, f"Images lie on {store.name} in the clear, as far as it tells."),
        why="A drive that is carried about is lost or stolen sooner or later; without encryption that raises the "
        "question of a breach at once (45 CFR 164.402)."
        if carried
        else "Whoever gets hold of the disk or of the account's files can read them.",
        remedy=(
            "Encrypt the drive (LUKS, BitLocker, FileVault) and copy the images to it again."
            if store.kind == "folder"
            else "Turn on encryption by default, and store again what was stored before that.",
            "Keep the key elsewhere, with a copy for the day of the recovery.",
            AUDIT_AGAIN,
        ),
    )


@check("path-is-encrypted", Scope.STORE)
def path_is_encrypted(evidence: Evidence, store: StoreFacts) -> Result:
    """What travels to and from the store is encrypted on the way (45 CFR 164.312(e)(1), (e)(2)(ii))."""
    if not _fails(store, Safeguard.TRANSPORT):
        return _open_question(store, Safeguard.TRANSPORT)
    return finding(
        Severity.HIGH,
        1,
        unit="stores",
        title=f"{store.name} can be reached without encryption",
        message=_told(store, Safeguard.TRANSPORT, f"Images may travel to and from {store.name} in the clear."),
        why="Whoever listens on the way can read the images, and the credentials of the store.",
        remedy=(
            "Reach the store by https, or through a tunnel, and have it refuse everything else.",
            AUDIT_AGAIN,
        ),
    )


@check("recovery-path-is-encrypted", Scope.RECOVERY)
def recovery_path_is_encrypted(evidence: Evidence) -> Result:
    """What travels to and from the recovery PACS is encrypted, too (45 CFR 164.312(e)(1), (e)(2)(ii))."""
    recovery, way = evidence.recovery, evidence.way_to_recovery
    if recovery is None or way is None or way.answer is Answer.PASS:
        return None
    if way.answer is not Answer.FAIL:
        return not_checked(f"It was not assessed on the way to {recovery.name}: {way.detail}.")
    return finding(
        Severity.HIGH,
        1,
        unit="stores",
        title=f"{recovery.name} can be reached without encryption",
        message=f"Images of a test restore travel to and from {recovery.name} in the clear.",
        why="Whoever listens on the way can read the images, and the credentials of the PACS.",
        remedy=("Reach it by https (DICOMweb) or with tls = true (DIMSE), or through a tunnel.", AUDIT_AGAIN),
    )


@check("access-is-logged", Scope.STORE)
def access_is_logged(evidence: Evidence, store: StoreFacts) -> Result:
    """The store records who reaches the images (45 CFR 164.312(b))."""
    if not _fails(store, Safeguard.LOGGING):
        return _open_question(store, Safeguard.LOGGING)
    return finding(
        Severity.HIGH,
        1,
        unit="stores",
        title=f"Access to {store.name} is not logged",
        message=_told(store, Safeguard.LOGGING, f"{store.name} keeps no log of who reaches the images."),
        why="After an incident nobody could tell what was read or deleted, and by whom.",
        remedy=("Turn on access logs, to a place that the accounts in them cannot change.", AUDIT_AGAIN),
    )


@check("nothing-deletes-by-rule", Scope.STORE)
def nothing_deletes_by_rule(evidence: Evidence, store: StoreFacts) -> Result:
    """No rule of the store deletes images (45 CFR 164.312(c)(1))."""
    if not _fails(store, Safeguard.LIFECYCLE):
        return _open_question(store, Safeguard.LIFECYCLE)
    return finding(
        Severity.HIGH,
        1,
        unit="stores",
        title=f"A rule of {store.name} deletes images, or what would bring them back",
        message=_told(store, Safeguard.LIFECYCLE, f"A lifecycle rule of {store.name} is for the images too."),
        why="It deletes them when their time is up, and nobody has to decide on it or hears of it.",
        to_check=("Is the time of the rule that of your own retention rule?",),
        remedy=("Take the images out of the rule, or record why it may delete them.", AUDIT_AGAIN),
    )


@check("files-are-closed-to-others", Scope.STORE)
def files_are_closed_to_others(evidence: Evidence, store: StoreFacts) -> Result:
    """Not every account of the computer may read or change the files (45 CFR 164.308(a)(4)(ii)).

    Never more than low: on a computer with one account, rights for everybody are the usual ones and no gap.
    """
    if not _fails(store, Safeguard.FILE_RIGHTS):
        return _open_question(store, Safeguard.FILE_RIGHTS)
    count, unit = _counted(store, Safeguard.FILE_RIGHTS)
    return finding(
        Severity.LOW,
        count,
        unit=unit,
        title=f"Every account of the computer may open files on {store.name}",
        message=_told(store, Safeguard.FILE_RIGHTS, f"Files on {store.name} are open to everybody."),
        why="Who may use the computer may then also read, or even change, the images.",
        to_check=("Which accounts are there on that computer, and who uses them?",),
        remedy=("Let only the accounts of the archive, the backup and the audit open the files.",),
    )


@check("copy-is-immutable", Scope.PRIMARY)
def copy_is_immutable(evidence: Evidence, primary: StoreFacts) -> Result:
    """On some backup of the primary nothing can be deleted for good (800-66r2 KA5).

    That a drive is unplugged between backups does not show while it is connected, and one that is not
    connected is not examined: drives that take turns are for a person to attest.
    """
    covering = {pair.backup for pair in evidence.comparisons if pair.primary == primary.name}
    backups = [store for store in evidence.stores if store.role is Role.BACKUP and store.name in covering]
    kept = [_keeps(backup) for backup in backups]
    if True in kept:
        return None
    if None in kept:
        unclear: dict[str, list[str]] = {}
        for backup, keeps in zip(backups, kept, strict=True):
            if keeps is None:
                unclear.setdefault(_why_not_told(backup), []).append(backup.name)
        told = "; ".join(f"{', '.join(names)}: {why}" for why, names in unclear.items())
        return not_checked(
            f"It is not known whether a copy is kept from being deleted. {told}. If one is kept offline or locked, "
            "attest EC-BK-10."
        )
    return finding(
        Severity.HIGH,
        1,
        unit="stores",
        title=f"No copy of {primary.name} is kept from being deleted",
        message="None of its backups shows a lock or kept versions: whoever may write there may delete for good.",
        why="One stolen password, one malware or one mistake can delete the archive and all its copies.",
        remedy=(
            "Turn on object lock or versions for one backup, or keep one on drives that are unplugged.",
            AUDIT_AGAIN,
        ),
    )


def _keeps(backup: StoreFacts) -> bool | None:
    """Whether what is deleted on `backup` is kept there all the same; None where that cannot be told."""
    if backup.error:
        return None
    locked, versions, rules = (backup.safeguards[safeguard].answer for safeguard in _KEPT)
    # For how long versions are kept that a rule deletes is not known; a lock holds against rules too.
    if locked is Answer.PASS or (versions is Answer.PASS and rules is Answer.PASS):
        return True
    return False if locked is versions is Answer.FAIL and not backup.volumes_configured else None


def _why_not_told(backup: StoreFacts) -> str:
    if backup.error:
        return "could not be examined"
    if backup.volumes_configured:
        return "whether the drives are unplugged between backups does not show"
    answers = {backup.safeguards[safeguard].answer for safeguard in _KEPT}
    if Answer.NOT_PERMITTED in answers:
        return "the account that audits may not read its object lock, versions and lifecycle rules"
    if Answer.NOT_SUPPORTED in answers:
        return "its server gives no usable answer about object lock, versions and lifecycle rules"
    if Answer.NOT_ASSESSED in answers:
        return "not assessed"
    return "versions are kept there until a rule deletes them"


def _fails(store: StoreFacts, safeguard: Safeguard) -> bool:
    return store.error is None and store.safeguards[safeguard].answer is Answer.FAIL


def _open_question(store: StoreFacts, safeguard: Safeguard) -> NotChecked | None:
    """Return None where the safeguard was seen to be there; else why that is not known, and what would tell."""
    if store.error:
        return unexamined(store)
    seen, asked = store.safeguards[safeguard], _QUESTIONS[safeguard]
    folder = store.kind == "folder"
    known = f"If you know, attest {asked.control}." if asked.control else ""
    match seen.answer:
        case Answer.PASS:
            return None
        case Answer.NOT_SUPPORTED:
            why = f"The {'file system' if folder else 'server'} cannot say {asked.whether}."
            then = known
        case Answer.NOT_PERMITTED:
            why = f"The account that audits may not see {asked.whether}."
            right = asked.right if store.kind == "s3" and asked.right else "the right to read this setting"
            then = f"Grant it {right}, or attest {asked.control}." if asked.control else f"Grant it {right}."
        case _:
            why = asked.folder if folder else f"It was not assessed {asked.whether}."
            then = known
    return not_checked(_joined(why, _detail(seen), then))


def _told(store: StoreFacts, safeguard: Safeguard, sentence: str) -> str:
    """Return `sentence` with what the store showed beside it."""
    seen = store.safeguards[safeguard]
    return _joined(sentence, f"Counted: {so_many(seen.count, 'file', 'files')}." if seen.count else "", _detail(seen))


def _counted(store: StoreFacts, safeguard: Safeguard) -> tuple[int, str]:
    """Return how many files a finding is about; where that was not counted, one store."""
    count = store.safeguards[safeguard].count
    return (count, "files") if count else (1, "stores")


def _detail(seen: Seen) -> str:
    return f"Seen: {seen.detail}." if seen.detail else ""


def _joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)
