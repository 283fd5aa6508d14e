"""The SDK's client, so set up that it can only read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from botocore import UNSIGNED
from botocore.config import Config
from botocore.loaders import Loader, create_loader
from botocore.session import Session
from botocore.utils import parse_timestamp

from exactcopy import __version__
from exactcopy.digest import LANES
from exactcopy.model import Copy
from exactcopy.stores.ahead import AHEAD
from exactcopy.stores.s3.faults import Nonsense, Refused

READING = frozenset(
    {
        "ListObjectsV2",
        "ListObjectVersions",
        "HeadObject",
        "GetObject",
        "GetObjectRetention",
        "GetBucketAcl",
        "GetBucketEncryption",
        "GetBucketLifecycleConfiguration",
        "GetBucketLogging",
        "GetBucketPolicy",
        "GetBucketPolicyStatus",
        "GetBucketReplication",
        "GetBucketVersioning",
        "GetObjectLockConfiguration",
        "GetPublicAccessBlock",
    }
)
# Without this member it is an answer that means something, if it is an answer to this and not to something else.
_ROOTS = {
    "GetBucketLogging": ("LoggingEnabled", b"<BucketLoggingStatus"),
    "GetBucketVersioning": ("Status", b"<VersioningConfiguration"),
    "ListObjectVersions": ("Versions", b"<ListVersionsResult"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The objects of a bucket whose keys begin with `prefix`, as whom `client` logs in may see them."""

    client: Any
    name: str
    prefix: str

    def at(self, copy: Copy) -> dict[str, str]:
        """Return what names an object, whatever is there now."""
        return {"Bucket": self.name, "Key": copy.key.decode("utf-8", "surrogateescape")}

    def which(self, copy: Copy) -> dict[str, str]:
        """Return what names an object as it was listed: one that was replaced since then is refused."""
        return self.at(copy) if copy.version is None else {**self.at(copy), "IfMatch": f'"{copy.version}"'}


def address_of(bucket: Bucket) -> tuple[str, bool]:
    """Return the address below which the keys of a bucket lie, and whether its name is part of the path."""
    meta = bucket.client.meta
    path_style = (meta.config.s3 or {}).get("addressing_style") == "path" or "." in bucket.name
    endpoint = str(meta.endpoint_url)
    if path_style:
        return f"{endpoint}/{bucket.name}", True
    return endpoint.replace("://", f"://{bucket.name}.", 1), False


def at_aws(bucket: Bucket) -> bool:
    """Say whether it is AWS itself: others may refuse a header that they do not know."""
    host = urlsplit(str(bucket.client.meta.endpoint_url)).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def session_of(options: Mapping[str, Any]) -> Session:
    """Return where the SDK keeps its settings and credentials."""
    session = Session(profile=options.get("profile") or None)
    session.register_component("data_loader", _models())
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=time_of)
    return session


def load() -> None:
    """Load once what every client needs, before workers are forked; nobody is asked, not even for credentials."""
    nobody = "nobody"
    client = session_of({}).create_client(
        "s3", region_name="us-east-1", aws_access_key_id=nobody, aws_secret_access_key=nobody
    )
    client.close()


def connect(session: Session, options: Mapping[str, Any], signed: bool = True) -> Any:
    """Return a client that can only read; one that does not sign is nobody's."""
    endpoint = options.get("endpoint") or None
    apart: dict[str, Any] = {}
    if endpoint:
        # Servers other than AWS return the checksum of a whole object with a part of it, or none at all.
        when = "when_required"
        apart = {"request_checksum_calculation": when, "response_checksum_validation": when}
        apart["s3"] = {"addressing_style": "path"}
    client = session.create_client(
        "s3",
        region_name=options.get("region") or None,
        endpoint_url=endpoint,
        config=Config(
            # The SDK's own is put together anew for each request, at a tenth of its cost.
            user_agent=f"exactcopy/{__version__}",
            signature_version="s3v4" if signed else UNSIGNED,
            retries={"mode": "standard", "total_max_attempts": 5},
            connect_timeout=10,
            read_timeout=60,
            max_pool_connections=LANES + AHEAD,
            tcp_keepalive=True,
            # Where a store lies is said by our configuration alone, and so is known to the record.
            ignore_configured_endpoint_urls=True,
            **apart,
        ),
    )
    client.meta.events.register_first("before-call", _refuse_all_but_reading)
    for operation in _ROOTS:
        client.meta.events.register(f"after-call.s3.{operation}", _expect_root)
    client.meta.events.register("after-call.s3.GetBucketPolicyStatus", _read_public)
    return client


def _refuse_all_but_reading(model: Any, **_: Any) -> None:
    # HeadBucket neither: redirected without a region, the SDK asks for it, again and again if that is redirected too.
    if model.name not in READING:
        raise Refused(model.name)


def _expect_root(http_response: Any, parsed: Mapping[str, Any], model: Any, **_: Any) -> None:
    member, root = _ROOTS[model.name]
    if http_response.status_code == 200 and member not in parsed and root not in http_response.content:
        raise Nonsense


def _read_public(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
    # What is not exactly "true" is false to the SDK: TRUE is, and so is nothing.
    if "PolicyStatus" in parsed:
        told = re.search(rb"<IsPublic>\s*(true|false)\s*</", http_response.content, re.IGNORECASE)
        parsed["PolicyStatus"] = {"IsPublic": told[1].lower() == b"true"} if told else {}


@cache
def _models() -> Loader:
    """Return the SDK's description of S3: it takes longer to load than to read many objects."""
    return create_loader()


def time_of(value: Any) -> datetime:
    """Parse a time of a list or a header; the SDK itself takes longer over times than over all else in a list."""
    try:
        time = datetime.fromisoformat(value) if value[:1].isdigit() else parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        try:
            time = parse_timestamp(value)
        except RuntimeError as error:
            raise ValueError("a time beyond the calendar") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
