"""What is asked of every store."""

from exactcopy.checks.common import (
    AUDIT_AGAIN,
    Result,
    Scope,
    check,
    finding,
    not_checked,
    sentence,
    so_many,
    unexamined,
)
from exactcopy.checks.unread import remedies, unexplained, unread_files
from exactcopy.model import Problem, Role, Severity
from exactcopy.results import Evidence, StoreFacts

_ERRORS = {
    "missing": "The place of {name} is not there.",
    "empty": "{name} holds nothing at all: an unmounted drive looks like this.",
    "no_instances": "{name} holds no DICOM image.",
    "wrong_volume": "The volume at the path of {name} is not one of those that are configured.",
    "drive_absent": "None of the drives of {name} is connected.",
    "unreadable": "The folder of {name} may not be read by the account that audits.",
    "outside_window": "The audit ran outside the `window` of {name}, or longer than that.",
    "out_of_time": "The hours of --max-hours were over before {name} could be examined.",
    "over_budget": "Nothing of {name} was read: --max-read, `max_read` or `max_egress_cost` left no room for it.",
    "not_compared": "No primary that {name} covers could be examined, so there was nothing to compare it with.",
    **dict.fromkeys(
        ("login_refused", "wrong_key", "wrong_secret", "expired", "no_credentials"),
        "{name} could not be signed in to: the stored login is missing, wrong, or has expired.",
    ),
    **dict.fromkeys(("denied", "not_permitted"), "The account that audits may not list {name}."),
    "unreachable": "Nothing answered at the address of {name}.",
    **dict.fromkeys(
        ("no_remote", "bad_config", "config_locked", "bad_remote", "no_profile"),
        "The settings by which {name} is reached are missing or cannot be read.",
    ),
    "no_rclone": "rclone, by which {name} is reached, is not installed on this computer or is too old.",
    "rate_limited": "{name} answered that it is asked too often.",
    "wrong_region": "{name} lies in another region than is configured.",
}
_BYTELESS = {
    Problem.LINK: ("link", "links"),
    Problem.LINK_OUTSIDE: ("link that leads out of the store", "links that lead out of the store"),
    Problem.SPECIAL: ("special file", "special files"),
    Problem.ALIAS: ("shortcut", "shortcuts"),
    Problem.DOCUMENT: (
        "document that only the provider's editor opens",
        "documents that only the provider's editor opens",
    ),
}
_IN_WINDOW = (
    "Begin the audit when the `window` of the store begins, or set another: it must be long enough to list the store."
)
_TO_CHECK = "Is the drive, share or folder connected and readable for the account that audits?"
_TO_CHECK_AFAR = "Does the network reach it, and does the sign-in of the account that audits still hold?"
_AGAIN = "Audit again: what was left unread comes first. Or give the audit more."
# What bounds of the owner's kept from being examined: nothing is wrong with the store.
_BOUNDED = {"outside_window": _IN_WINDOW, "out_of_time": _AGAIN, "over_budget": _AGAIN}
# Of the reasons that are left, `exactcopy check` says which, and what to do.
_NO_ANSWER = "{name} could not be listed by the account that audits."


@check("store-examined", Scope.STORE)
def store_examined(evidence: Evidence, store: StoreFacts) -> Result:
    """Every configured store was reached and read whole (45 CFR 164.308(a)(1)(ii)(A))."""
    if store.name in evidence.tolerated:
        days = evidence.tolerated[store.name]
        return not_checked(f"No drive of {store.name} was connected; it was last examined {days} days ago.")
    if store.error:
        return finding(
            Severity.HIGH,
            1,
            unit="stores",
            title=f"{store.name} could not be examined",
            message=_ERRORS.get(store.error, _NO_ANSWER).format(name=store.name),
            why="Nothing is known today of what lies there. Not checked is not the same as safe.",
            to_check=() if store.error in _BOUNDED else (_TO_CHECK if store.kind == "folder" else _TO_CHECK_AFAR,),
            remedy=(_BOUNDED[store.error],)
            if store.error in _BOUNDED
            else (
                "Run `exactcopy check`: it says what is missing and how to mend it.",
                "Audit again once the store answers.",
            ),
        )
    hidden = store.unread + store.unlisted
    if not hidden:
        return None
    refused = store.unlisted + unexplained(store) > 0
    unlisted = [f"{so_many(store.unlisted, 'folder', 'folders')} could not be listed"] if store.unlisted else []
    return finding(
        Severity.HIGH,
        hidden,
        unit="places",
        title=f"Parts of {store.name} could not be read",
        message=sentence([*unlisted, *unread_files(store)]),
        why="What lies there is unknown, so images that seem to be absent may be there, and the other way round.",
        to_check=("Permissions of the account that audits.", "The health of the disk: errors while reading.")
        if refused
        else (),
        remedy=(
            *remedies(store),
            "Open restricted/errors.log: it names each place.",
            *(["Grant read access or replace the disk."] if refused else []),
        ),
    )


@check("nothing-left-unopened", Scope.STORE)
def nothing_left_unopened(evidence: Evidence, store: StoreFacts) -> Result:
    """Nothing that is no file of its own, such as a link or a shortcut, stands where images could."""
    if store.error:
        return unexamined(store)
    if not store.not_opened:
        return None
    outside = store.problems.get("link_outside", 0)
    hides = outside > 0 and store.role is Role.PRIMARY
    have = "has" if store.not_opened == 1 else "have"
    kinds = [so_many(store.problems[kind], *words) for kind, words in _BYTELESS.items() if store.problems.get(kind)]
    return finding(
        Severity.HIGH if hides else Severity.LOW,
        store.not_opened,
        unit="files",
        title=f"{so_many(store.not_opened, 'entry', 'entries')} of {store.name} {have} no bytes of their own",
        message=f"Counted and not opened: {', '.join(kinds)}.",
        why="Images behind a link that leads elsewhere belong to the archive and were not examined."
        if hides
        else "A link or a shortcut is not a copy: what it points to may lie outside this store.",
        remedy=("Add the place that a link leads to as a store of its own, or replace the link by the images.",),
    )


@check("nothing-left-out-as-deleted", Scope.PRIMARY)
def nothing_left_out_as_deleted(evidence: Evidence, primary: StoreFacts) -> Result:
    """Nothing of the archive was left out because it lies where deleted files do."""
    if primary.error:
        return unexamined(primary)
    if not primary.deleted:
        return None
    return finding(
        Severity.LOW,
        primary.deleted,
        unit="files",
        title=f"{so_many(primary.deleted, 'file', 'files')} of {primary.name} counted as deleted",
        message="They lie in a trash folder, or were deleted in a bucket that keeps versions. Images among them "
        "were not looked for on any backup.",
        why="If one of them belongs to the archive, nobody looks whether it has a copy.",
        remedy=("Move what belongs to the archive out of the trash, and let the rest be deleted for good.",),
    )


@check("no-uid-conflict", Scope.STORE)
def no_uid_conflict(evidence: Evidence, store: StoreFacts) -> Result:
    """One SOP Instance UID never stands for two contents in one store (DICOM PS3.5 9)."""
    if store.error:
        return unexamined(store)
    if not store.conflicts:
        return None
    return finding(
        Severity.HIGH,
        store.conflicts,
        unit="images",
        title=f"{so_many(store.conflicts, 'image is', 'images are')} in several versions on {store.name}",
        message=f"{so_many(store.conflicts, 'SOP Instance UID is', 'SOP Instance UIDs are')} held with more than one "
        "content.",
        why="A restore brings back one of them, and which one is left to chance.",
        to_check=(
            "Was a study sent twice, once compressed or corrected?",
            "Was one copy damaged and sent again?",
        ),
        remedy=("Decide which version is right and remove the other at the source.", AUDIT_AGAIN),
        worklist=f"worklist-{store.name}.csv",
    )


@check("agreement-on-record", Scope.STORE, owner="official")
def agreement_on_record(evidence: Evidence, store: StoreFacts) -> Result:
    """Whoever else holds the images has signed an agreement (45 CFR 164.308(b)(1), (3))."""
    return _agreed(evidence, store.name, store.held_by)


@check("recovery-agreement-on-record", Scope.RECOVERY, owner="official")
def recovery_agreement_on_record(evidence: Evidence) -> Result:
    """Whoever else holds the recovery PACS has signed one, too; until then no study is put there."""
    recovery = evidence.recovery
    return _agreed(evidence, recovery.name, recovery.held_by) if recovery else None


def _agreed(evidence: Evidence, name: str, held_by: str) -> Result:
    if held_by == "us" or held_by.casefold() in evidence.agreements:
        return None
    return finding(
        Severity.CRITICAL,
        1,
        unit="agreements",
        title=f"No agreement with {held_by} is on record",
        message=f"{name} is held by {held_by}; decisions.toml has no current agreement with them.",
        why="A business associate may hold patient images only under a written agreement "
        "(45 CFR 164.308(b)(3)); encryption does not replace it.",
        to_check=("Is there a signed agreement that was only not recorded, or that has expired?",),
        remedy=(
            f"Find or sign the business associate agreement with {held_by}.",
            f'Record it: `exactcopy attest EC-BA-01 "…" --party "{held_by}"`.',
        ),
    )
