"""What protects a bucket, as far as it answers: by what is set, and by what its objects say."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from exactcopy.model import Answer, Safeguard, Seen
from exactcopy.stores.hosts import in_the_clear, standing_for
from exactcopy.stores.s3.asking import Check, Examined, answered, ask, refusal, rules_in_force
from exactcopy.stores.s3.client import Bucket, at_aws
from exactcopy.stores.s3.deletion import immutability, lifecycle
from exactcopy.stores.s3.faults import FAILURES, Nonsense
from exactcopy.stores.s3.public_access import public_access

_SEALED = frozenset({"AES256", "aws:kms", "aws:kms:dsse", "aws:fsx"})


def examine(at: Examined) -> dict[Safeguard, Seen]:
    """Return what was seen of each safeguard that a bucket can have."""
    return {safeguard: answered(check, at) for safeguard, check in _CHECKS.items()}


def host_of(bucket: Bucket) -> str | None:
    """Return what stands for what keeps the bucket: of AWS the account, if it shows, of all others the server."""
    host = urlsplit(bucket.client.meta.endpoint_url).hostname or ""
    if not at_aws(bucket):
        return standing_for(host)
    try:
        owner = bucket.client.get_bucket_acl(Bucket=bucket.name).get("Owner", {}).get("ID")
    except FAILURES:
        owner = None
    return f"AWS account {hashlib.sha256(owner.encode()).hexdigest()[:12]}" if owner else standing_for(host)


def _encryption(at: Examined) -> Seen:
    stated: list[str | None] = []
    refusals: list[Answer] = []
    for copy in at.sample:
        try:
            told = at.bucket.client.head_object(**at.bucket.at(copy))
        except FAILURES as error:
            refusals.append(refusal(error))
            continue
        sealed = told.get("ServerSideEncryption")
        stated.append(sealed if sealed in _SEALED else "customer key" if "SSECustomerAlgorithm" in told else None)
    default = _default_encryption(at.bucket)
    plain = stated.count(None)
    if plain:
        # Where the server knows no such thing, that it says nothing of an object means nothing.
        unknown = default is Answer.NOT_SUPPORTED and plain == len(stated)
        answer = Answer.NOT_SUPPORTED if unknown else Answer.FAIL
        return Seen(
            answer=answer, detail=f"no encryption stated on {plain} of {len(stated)} objects asked{_by(default)}"
        )
    kinds = ", ".join(sorted({kind for kind in stated if kind}))
    asked = f"{kinds or 'nothing'} on {len(stated)} of {len(at.sample)} objects asked{_by(default)}"
    if refusals or not stated:
        return Seen(answer=refusals[0] if refusals else Answer.NOT_ASSESSED, detail=asked)
    return Seen(answer=Answer.PASS, detail=asked)


def _default_encryption(bucket: Bucket) -> str | Answer | None:
    try:
        told = ask(bucket, "get_bucket_encryption", "ServerSideEncryptionConfiguration")
        kinds = [
            rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm")
            for rule in (told or {}).get("Rules", ())
        ]
    except FAILURES as error:
        return refusal(error)
    return next((kind for kind in kinds if kind in _SEALED), None)


def _by(default: str | Answer | None) -> str:
    if isinstance(default, Answer):
        return ""
    return f", default {default}" if default else ", no default"


def _transport(at: Examined) -> Seen:
    endpoint = urlsplit(at.bucket.client.meta.endpoint_url)
    if endpoint.scheme != "https":
        return in_the_clear(endpoint.hostname or "")
    try:
        refuses = any(_demands_tls(statement, at.bucket.name) for statement in _statements(at.bucket))
    except FAILURES:
        return Seen(answer=Answer.PASS, detail="TLS; policy not shown")
    return Seen(answer=Answer.PASS, detail=f"TLS; {'the' if refuses else 'no'} policy refuses all else")


def _statements(bucket: Bucket) -> list[Mapping[str, Any]]:
    # It is a string, and a server that knows no policies may put anything there.
    told = json.loads(str(ask(bucket, "get_bucket_policy", "Policy") or '{"Statement": []}'))
    statements = told.get("Statement") if isinstance(told, dict) else None
    found = _many(statements)
    if statements is None or not all(isinstance(statement, dict) for statement in found):
        raise Nonsense
    return found


def _demands_tls(statement: Mapping[str, Any], bucket: str) -> bool:
    """Say whether a statement refuses every request to every object that comes without TLS."""
    return (
        statement.get("Effect") == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
        and any(action in ("*", "s3:*") for action in _many(statement.get("Action")))
        and any(place in ("*", f"arn:aws:s3:::{bucket}/*") for place in _many(statement.get("Resource")))
        and any(
            statement.get("Condition") == {"Bool": {"aws:SecureTransport": no}} for no in ("false", False, ["false"])
        )
    )


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _logging(at: Examined) -> Seen:
    told = at.bucket.client.get_bucket_logging(Bucket=at.bucket.name).get("LoggingEnabled")
    if told is None:
        return Seen(answer=Answer.FAIL, detail="no server access log")
    if not told.get("TargetBucket"):
        raise Nonsense
    return Seen(answer=Answer.PASS, detail="access is logged")


def _replication(at: Examined) -> Seen:
    told = ask(at.bucket, "get_bucket_replication", "ReplicationConfiguration")
    if told is not None and not told.get("Rules"):
        raise Nonsense
    live = list(rules_in_force((told or {}).get("Rules", ()), at.bucket.prefix))
    if not live:
        return Seen(answer=Answer.FAIL, detail="none")
    return Seen(answer=Answer.PASS, detail=f"{len(live)} rule{'s' if len(live) > 1 else ''}")


_CHECKS: Mapping[Safeguard, Check] = {
    Safeguard.ENCRYPTION: _encryption,
    Safeguard.PUBLIC_ACCESS: public_access,
    Safeguard.TRANSPORT: _transport,
    Safeguard.VERSIONING: lambda at: at.versioning.seen,
    Safeguard.IMMUTABILITY: immutability,
    Safeguard.LIFECYCLE: lifecycle,
    Safeguard.LOGGING: _logging,
    Safeguard.REPLICATION: _replication,
}
