"""Whether anybody without a login gets in: by what is set, and by trying."""

from collections.abc import Callable, Mapping
from typing import Any

from exactcopy.model import Answer, Seen
from exactcopy.stores.s3.asking import Check, Examined, answered, ask, not_there, refusal
from exactcopy.stores.s3.client import Bucket
from exactcopy.stores.s3.faults import FAILURES, Nonsense, code_of
from exactcopy.stores.s3.listing import CURRENT, page_of

# Said only to those who may read: it is cold, or has no first byte.
_LET_IN = frozenset({"InvalidObjectState", "InvalidRange", "416"})
_EVERYBODY = ("/AllUsers", "/AuthenticatedUsers")
_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def public_access(at: Examined) -> Seen:
    """Pass where a stranger is turned away and nothing is set that would let one in."""
    answers = {words: answered(check, at).answer for words, check in _WAYS_IN.items()}
    if opened := [words for words, answer in answers.items() if answer is Answer.FAIL]:
        return Seen(answer=Answer.FAIL, detail="; ".join(opened))
    refused = "refused without a login" if answers[_LISTED] is answers[_READ] is Answer.PASS else ""
    for answer in answers.values():
        if answer is not Answer.PASS:
            return Seen(answer=answer, detail=refused)
    return Seen(answer=Answer.PASS, detail=f"{refused}; {_blocked(at.bucket)}")


def _lists_for_a_stranger(at: Examined) -> Seen:
    return _tried(lambda: page_of(at.stranger, CURRENT, Prefix=at.stranger.prefix, MaxKeys=1))


def _reads_for_a_stranger(at: Examined) -> Seen:
    if not at.sample:
        return Seen(answer=Answer.NOT_ASSESSED)
    copy = at.sample[0]

    def read() -> None:
        told = at.stranger.client.get_object(**at.stranger.at(copy), Range="bytes=0-0")
        told["Body"].close()
        if told.get("ETag", "").strip('"') != copy.version:
            raise Nonsense

    return _tried(read)


def _tried(attempt: Callable[[], object]) -> Seen:
    """Pass where a stranger is turned away, fail where he is let in."""
    try:
        attempt()
    except FAILURES as error:
        if code_of(error) not in _LET_IN:
            answer = refusal(error)
            return Seen(answer=Answer.PASS if answer is Answer.NOT_PERMITTED else answer)
    return Seen(answer=Answer.FAIL)


def _policy_is_public(at: Examined) -> Seen:
    told = _set(at.bucket, "get_bucket_policy_status", "PolicyStatus")
    public = False if told is None else told.get("IsPublic")
    if public is None:
        raise Nonsense
    return Seen(answer=Answer.FAIL if public else Answer.PASS)


def _acl_is_public(at: Examined) -> Seen:
    grants = _set(at.bucket, "get_bucket_acl", "Grants") or ()
    public = any(str(grant.get("Grantee", {}).get("URI", "")).endswith(_EVERYBODY) for grant in grants)
    return Seen(answer=Answer.FAIL if public else Answer.PASS)


def _set(bucket: Bucket, call: str, member: str) -> Any:
    try:
        return ask(bucket, call, member)
    except FAILURES as error:
        # A setting that the server does not have lets in nobody.
        if not_there(error):
            return None
        raise


def _blocked(bucket: Bucket) -> str:
    try:
        told = ask(bucket, "get_public_access_block", "PublicAccessBlockConfiguration") or {}
    except FAILURES:
        return "its block not shown"
    return "all of it blocked" if all(told.get(block) is True for block in _BLOCKS) else "not all of it blocked"


_LISTED = "anybody can list"
_READ = "anybody can read"
_WAYS_IN: Mapping[str, Check] = {
    _LISTED: _lists_for_a_stranger,
    _READ: _reads_for_a_stranger,
    "public policy": _policy_is_public,
    "public ACL": _acl_is_public,
}
