"""How a bucket is asked about what protects it.

A refused or senseless reply is never a pass. What is not set up is told apart from what does not answer.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exactcopy.model import Answer, Copy, Seen
from exactcopy.stores.s3.client import Bucket
from exactcopy.stores.s3.faults import FAILURES, Nonsense, code_of, status_of

# What AWS and its like say where nothing is set up.
_NONE_SET = frozenset(
    {
        "NoSuchBucketPolicy",
        "NoSuchLifecycleConfiguration",
        "NoSuchObjectLockConfiguration",
        "NoSuchPublicAccessBlockConfiguration",
        "ObjectLockConfigurationNotFoundError",
        "ReplicationConfigurationNotFoundError",
        "ServerSideEncryptionConfigurationNotFoundError",
    }
)
_UNKNOWN = frozenset({"NotImplemented", "MethodNotAllowed"})
_GONE = frozenset({"NoSuchBucket", "NoSuchKey", "404"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Versioning:
    """Whether a bucket keeps versions, and whether they can be listed."""

    seen: Seen
    listed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A bucket, the same one for a stranger who does not log in, and some of its objects."""

    bucket: Bucket
    stranger: Bucket
    versioning: Versioning
    sample: tuple[Copy, ...]


Check = Callable[[Examined], Seen]


def answered(check: Check, at: Examined) -> Seen:
    """Return what a check saw, or that it was refused."""
    try:
        return check(at)
    except FAILURES as error:
        return Seen(answer=refusal(error))


def refusal(error: Exception) -> Answer:
    """Return what a failure says of the question: never that all is well, nor that it is not."""
    status, code = status_of(error), code_of(error)
    if status in {401, 403}:
        return Answer.NOT_PERMITTED
    if isinstance(error, Nonsense) or not_there(error):
        return Answer.NOT_SUPPORTED
    return Answer.NOT_SUPPORTED if status == 404 and code not in _GONE else Answer.NOT_ASSESSED


def ask(bucket: Bucket, call: str, member: str) -> Any:
    """Return what is set up, or None where nothing is. Raise Nonsense where the answer does not hold it."""
    try:
        told = getattr(bucket.client, call)(Bucket=bucket.name)
    except FAILURES as error:
        if none_set(error):
            return None
        raise
    if not told.get(member):
        raise Nonsense
    return told[member]


def none_set(error: Exception) -> bool:
    """Say whether a failure means that what was asked for is not set up."""
    return code_of(error) in _NONE_SET


def not_there(error: Exception) -> bool:
    """Say whether a failure means that the server says itself that it has no such thing."""
    return code_of(error) in _UNKNOWN or status_of(error) in {405, 501}


def rules_in_force(rules: Iterable[Mapping[str, Any]], prefix: str) -> Iterator[Mapping[str, Any]]:
    """Yield the rules that are on and touch objects below `prefix`."""
    for rule in rules:
        if rule.get("Status") not in {"Enabled", "Disabled"}:
            raise Nonsense
        chosen = rule.get("Filter", {})
        begins = rule.get("Prefix") or chosen.get("Prefix") or chosen.get("And", {}).get("Prefix") or ""
        if rule["Status"] == "Enabled" and (begins.startswith(prefix) or prefix.startswith(begins)):
            yield rule
