"""What stands between an image and its deletion: versions, locks, and rules that delete."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from exactcopy.model import Answer, Copy, Seen
from exactcopy.stores.s3.asking import Examined, Versioning, ask, none_set, refusal, rules_in_force
from exactcopy.stores.s3.checksums import COLD
from exactcopy.stores.s3.client import Bucket
from exactcopy.stores.s3.faults import FAILURES, Nonsense
from exactcopy.stores.s3.listing import VERSIONS, page_of

_ACTIONS = frozenset(
    {
        "Expiration",
        "NoncurrentVersionExpiration",
        "Transitions",
        "NoncurrentVersionTransitions",
        "AbortIncompleteMultipartUpload",
    }
)


def versioning_of(bucket: Bucket) -> Versioning:
    """Return whether versions are kept, asked of the server, and whether it lists them, by one key."""
    try:
        told = bucket.client.get_bucket_versioning(Bucket=bucket.name)
        status = told.get("Status")
        if status not in {"Enabled", "Suspended", None}:
            raise Nonsense
    except FAILURES as error:
        return Versioning(seen=Seen(answer=refusal(error)))
    if status is None:
        return Versioning(seen=Seen(answer=Answer.FAIL, detail="off"))
    listed = _versions_are_listed(bucket)
    words = ["on" if status == "Enabled" else "suspended"]
    words += ["MFA delete"] if told.get("MFADelete") == "Enabled" else []
    words += [] if listed else ["versions could not be listed"]
    answer = Answer.PASS if status == "Enabled" else Answer.FAIL
    return Versioning(seen=Seen(answer=answer, detail=", ".join(words)), listed=listed)


def _versions_are_listed(bucket: Bucket) -> bool:
    try:
        page_of(bucket, VERSIONS, Prefix=bucket.prefix, MaxKeys=1)
    except FAILURES:
        return False
    return True


def immutability(at: Examined) -> Seen:
    """Pass where every object that is asked is locked today."""
    lock = ask(at.bucket, "get_object_lock_configuration", "ObjectLockConfiguration")
    if lock is None:
        return Seen(answer=Answer.FAIL, detail="no object lock")
    if lock.get("ObjectLockEnabled") != "Enabled":
        raise Nonsense
    modes: list[str] = []
    refusals: list[Answer] = []
    now = datetime.now(UTC)
    for copy in at.sample:
        try:
            modes += _locked(at.bucket, copy, now)
        except FAILURES as error:
            refusals.append(refusal(error))
    asked = len(at.sample) - len(refusals)
    default = _default_lock(lock)
    if len(modes) == asked and (refusals or not asked):
        return Seen(answer=refusals[0] if refusals else Answer.NOT_ASSESSED, detail=default)
    kinds = ", ".join(sorted(set(modes))) or "nothing"
    detail = f"{kinds} locks {len(modes)} of {asked} objects asked, {default}"
    return Seen(answer=Answer.PASS if len(modes) == asked else Answer.FAIL, detail=detail)


def _locked(bucket: Bucket, copy: Copy, now: datetime) -> Iterator[str]:
    """Yield the mode in which an object is locked now, if it is."""
    try:
        told = bucket.client.get_object_retention(**bucket.at(copy)).get("Retention", {})
    except FAILURES as error:
        if none_set(error):
            return
        raise
    mode, until = told.get("Mode"), told.get("RetainUntilDate")
    if mode not in {"COMPLIANCE", "GOVERNANCE"} or until is None:
        raise Nonsense
    if until > now:
        yield mode


def _default_lock(lock: Mapping[str, Any]) -> str:
    default = lock.get("Rule", {}).get("DefaultRetention", {})
    for unit in ("Days", "Years"):
        if default.get(unit):
            return f"default {default[unit]} {unit.lower()}"
    return "no default"


def lifecycle(at: Examined) -> Seen:
    """Pass where no rule deletes what lies there."""
    rules = ask(at.bucket, "get_bucket_lifecycle_configuration", "Rules") or ()
    live = list(rules_in_force(rules, at.bucket.prefix))
    expiring = [rule["Expiration"] for rule in live if "Expiration" in rule]
    # What a rule does that is not known here may be a deletion.
    if not all(_ACTIONS & rule.keys() for rule in live) or not all(expiring):
        raise Nonsense
    ended = [one for one in expiring if "Days" in one or "Date" in one]
    old = [rule["NoncurrentVersionExpiration"] for rule in live if "NoncurrentVersionExpiration" in rule]
    cold = [move for rule in live for move in rule.get("Transitions", ()) if move.get("StorageClass") in COLD]
    words = []
    if ended:
        words.append(f"deleted {_after(ended, 'Days')}")
    if old:
        words.append(f"old versions deleted {_after(old, 'NoncurrentDays')}")
    if not words and any(one.get("ExpiredObjectDeleteMarker") for one in expiring):
        words.append("delete markers are removed")
    answer = Answer.FAIL if words else Answer.PASS
    words = words or ["no rule deletes"]
    if cold:
        words.append(f"cold {_after(cold, 'Days')}")
    return Seen(answer=answer, detail="; ".join(words))


def _after(actions: Iterable[Mapping[str, Any]], member: str) -> str:
    days = [action[member] for action in actions if member in action]
    return f"after {min(days)} days" if days else "on a set date"
