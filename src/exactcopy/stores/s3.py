"""A bucket of S3: AWS, or whatever else speaks its language (Backblaze B2, Wasabi, R2, a server of one's own)."""

import binascii
import errno
import re
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache, partial
from types import TracebackType
from typing import Any, Self, TypeVar

from botocore import exceptions as sdk
from botocore.config import Config
from botocore.loaders import Loader, create_loader
from botocore.parsers import ResponseParserError
from botocore.session import Session
from botocore.utils import parse_timestamp
from urllib3.exceptions import HTTPError, NameResolutionError

from exactcopy import __version__
from exactcopy.errors import ObjectChanged, StoreUnavailable
from exactcopy.model import Algorithm, Checksum, Copy, Gap, Problem, Target
from exactcopy.stores import Safeguards, Stream

T = TypeVar("T")
U = TypeVar("U")

_READING = frozenset({"ListObjectsV2", "HeadObject", "GetObject"})
_COLD = frozenset({"GLACIER", "DEEP_ARCHIVE"})
# Shards let a listing run side by side; many small ones would cost more requests than the whole has pages.
_SHARDS = 100
# Requests under way at once: on a long line each waits some ten milliseconds for its answer.
_AHEAD = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 10**9
_MD5 = Checksum(Algorithm.MD5)
_MEMBERS = {
    "ChecksumSHA256": (Algorithm.SHA256, 32),
    "ChecksumSHA1": (Algorithm.SHA1, 20),
    "ChecksumMD5": (Algorithm.MD5, 16),
    "ChecksumCRC64NVME": (Algorithm.CRC64NVME, 8),
    "ChecksumCRC32C": (Algorithm.CRC32C, 4),
}
_OF_PARTS = frozenset({Algorithm.SHA256, Algorithm.SHA1})


class S3Store:
    """The objects of a bucket whose keys begin with a prefix; the key of a copy is the whole key there."""

    def __init__(self, target: Target) -> None:
        """Take the target; nothing is asked before the store is entered."""
        self._target = target
        self._bucket = str(target.options["bucket"])
        self._prefix = str(target.options.get("prefix") or "")
        self._endpoint: str | None = target.options.get("endpoint") or None

    def __enter__(self) -> Self:
        """List one key: the only right that a list needs, and proof of all that leads there."""
        try:
            self._client = self._connect()
            self._page(Prefix=self._prefix, MaxKeys=1)
        except _FAILURES as error:
            raise self._unavailable(error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._client.close()

    def _connect(self) -> Any:
        """Return a client that can only read."""
        options = self._target.options
        session = Session(profile=options.get("profile") or None)
        session.register_component("data_loader", _models())
        session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_time)
        apart: dict[str, Any] = {}
        if self._endpoint:
            # Servers other than AWS return the checksum of a whole object with a part of it, or none at all.
            when = "when_required"
            apart = {"request_checksum_calculation": when, "response_checksum_validation": when}
            apart["s3"] = {"addressing_style": "path"}
        client = session.create_client(
            "s3",
            region_name=options.get("region") or None,
            endpoint_url=self._endpoint,
            config=Config(
                # The SDK's own is put together anew for each request, at a tenth of its cost.
                user_agent=f"exactcopy/{__version__}",
                signature_version="s3v4",
                retries={"mode": "standard", "total_max_attempts": 5},
                connect_timeout=10,
                read_timeout=60,
                max_pool_connections=2 * _AHEAD,
                tcp_keepalive=True,
                # Where a store lies is said by our configuration alone, and so is known to the record.
                ignore_configured_endpoint_urls=True,
                **apart,
            ),
        )
        client.meta.events.register_first("before-call", _refuse_all_but_reading)
        return client

    def partitions(self) -> Iterator[str]:
        """Yield what lies below each name at the top and what lies beside them, or all in one where that is cheaper."""
        try:
            page = self._page(Prefix=self._prefix, Delimiter="/")
        except _FAILURES as error:
            raise self._unavailable(error) from None
        below = [str(common["Prefix"]) for common in page.get("CommonPrefixes", ())]
        if page["IsTruncated"] or len(below) > _SHARDS:
            yield f"below:{self._prefix}"
            return
        yield from (f"below:{prefix}" for prefix in below)
        if page.get("Contents") or not below:
            yield f"here:{self._prefix}"

    def listing(self, partition: str) -> Iterator[Copy | Gap]:
        """Yield every object of `partition`; one Gap where its listing breaks off."""
        extent, _, prefix = partition.partition(":")
        request = {"Prefix": prefix, "Delimiter": "/"} if extent == "here" else {"Prefix": prefix}
        try:
            for page in self._pages(**request):
                for item in page.get("Contents", ()):
                    # Consoles mark a folder by an object without bytes.
                    if item["Size"] or not item["Key"].endswith("/"):
                        yield _listed(item)
        except _FAILURES as error:
            denied = _problem(error) is Problem.PERMISSION
            yield Gap(scope=_encoded(prefix), reason=Problem.PERMISSION if denied else Problem.IO_ERROR)

    def _pages(self, **request: Any) -> Iterator[Mapping[str, Any]]:
        """Yield all pages of a listing, or raise rather than stop short or go in circles."""
        seen: set[str] = set()
        page = self._page(**request)
        while True:
            yield page
            token = page.get("NextContinuationToken")
            if not page["IsTruncated"] and not token:
                return
            if not token or token in seen:
                raise _Nonsense
            seen.add(token)
            page = self._page(**request, ContinuationToken=token)

    def _page(self, **request: Any) -> Mapping[str, Any]:
        page: Mapping[str, Any] = self._client.list_objects_v2(Bucket=self._bucket, **request)
        # Some servers answer what they do not understand with success and something else.
        if "IsTruncated" not in page:
            raise _Nonsense
        for item in page.get("Contents", ()):
            if (
                "Size" not in item
                or "LastModified" not in item
                or not item.get("Key", "").startswith(request["Prefix"])
            ):
                raise _Nonsense
        return page

    def checksums(self, copies: Iterable[Copy]) -> Iterator[Copy]:
        """Yield each copy with all checksums that the server has of it; without any, and with a problem, on failure."""
        yield from _ahead(self._asked, copies)

    def _asked(self, copy: Copy) -> Copy:
        try:
            told = self._client.head_object(**self._which(copy), ChecksumMode="ENABLED")
            found = _found(copy, told, told.get("ContentLength"))
            return replace(found, digests=_told(told, self._part_size(found)), problem=copy.problem)
        except _FAILURES as error:
            return replace(copy, digests={}, problem=_problem(error))

    def _part_size(self, copy: Copy) -> int | None:
        """Return in parts of which size an object was uploaded; None: in one, or the server does not tell."""
        count = _parts(copy.version)
        if count < 2 or copy.size < 2:
            return copy.size or None if count else None
        try:
            first = self._client.head_object(**self._which(copy), PartNumber=1).get("ContentLength")
        except _FAILURES:
            return None
        # A server that does not know parts returns the size of the whole.
        return int(first) if first and -(-copy.size // first) == count else None

    def read(self, copies: Iterable[Copy], first_bytes: int | None = None) -> Iterator[tuple[Copy, Stream | Problem]]:
        """Yield each copy with its bytes, in the order given, while the next ones are being asked for."""
        with closing(_ahead(partial(self._open, first_bytes), copies, _drop)) as opened:
            for copy, body in opened:
                if isinstance(body, Problem):
                    yield copy, body
                    continue
                with closing(body):
                    yield copy, body

    def _open(self, first_bytes: int | None, copy: Copy) -> "tuple[Copy, _Body | Problem]":
        some = first_bytes is not None and copy.size > first_bytes
        try:
            answer = self._client.get_object(
                **self._which(copy), **({"Range": f"bytes=0-{first_bytes - 1}"} if some and first_bytes else {})
            )
        except _FAILURES as error:
            return copy, _problem(error)
        length = answer.get("ContentLength")
        try:
            found = _found(copy, answer, _whole_size(answer))
            wanted = found.size if first_bytes is None else min(found.size, first_bytes)
            if length is None or length < wanted:
                raise _Nonsense
        except _FAILURES as error:
            answer["Body"].close()
            return copy, _problem(error)
        return found, _Body(answer["Body"], wanted, length)

    def _which(self, copy: Copy) -> dict[str, str]:
        """Return what names the object, as it was listed: one that was replaced since then is refused."""
        name = {"Bucket": self._bucket, "Key": copy.key.decode("utf-8", "surrogateescape")}
        return name if copy.version is None else {**name, "IfMatch": f'"{copy.version}"'}

    def safeguards(self) -> Safeguards:
        """Return where the bucket is."""
        return Safeguards(medium=f"{self._endpoint or 'AWS'} {self._bucket}")

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(_fault(error)[0], self._target.name, *_fault(error)[1:])


class _Body:
    """The first `wanted` bytes of an answer that has `length`."""

    def __init__(self, body: Any, wanted: int, length: int) -> None:
        self._body = body
        self._left = wanted
        self._more = length - wanted

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        """Fill `buffer`; a body that breaks off raises OSError."""
        if not self._left and self._more:
            return 0
        # At the end the SDK is asked once more: it is then that it looks at length and checksum.
        room = memoryview(buffer)[: self._left] if self._left else bytearray(1)
        try:
            count = int(self._body.readinto(room))
        except (sdk.BotoCoreError, HTTPError) as error:
            raise OSError(errno.EIO, "the answer broke off") from error
        if bool(count) != bool(self._left) and len(room):
            raise OSError(errno.EIO, "the answer is not as long as it was said to be")
        self._left -= count
        return count

    def close(self) -> None:
        """Give up what was not read."""
        self._body.close()


class _Nonsense(Exception):
    """The server answered with success and without what was asked for, or it contradicts itself."""


class _Refused(Exception):
    """Something other than reading was asked of a client that only reads."""


_FAILURES = (
    sdk.BotoCoreError,
    sdk.ClientError,
    ResponseParserError,
    _Nonsense,
    _Refused,
    ObjectChanged,
    ValueError,
)


def _refuse_all_but_reading(model: Any, **_: Any) -> None:
    # HeadBucket neither: redirected without a region, the SDK asks for it, again and again if that is redirected too.
    if model.name not in _READING:
        raise _Refused(model.name)


@cache
def _models() -> Loader:
    """Return the SDK's description of S3: it takes longer to load than to read many objects."""
    return create_loader()


def _ahead(work: Callable[[T], U], items: Iterable[T], drop: Callable[[U], None] = lambda _: None) -> Generator[U]:
    """Yield the result of `work` for each item, a few being under way; what is not taken is given to `drop`."""
    waiting: deque[Future[U]] = deque()
    with ThreadPoolExecutor(_AHEAD) as threads:
        try:
            for item in items:
                waiting.append(threads.submit(work, item))
                if len(waiting) == _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                if not future.cancel():
                    drop(future.result())


def _drop(opened: tuple[Copy, _Body | Problem]) -> None:
    if isinstance(opened[1], _Body):
        opened[1].close()


def _encoded(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


def _listed(item: Mapping[str, Any]) -> Copy:
    etag = item.get("ETag", "").strip('"')
    return Copy(
        key=_encoded(item["Key"]),
        size=item["Size"],
        modified=_nanoseconds(item["LastModified"]),
        version=etag or None,
        digests=_plain_md5(etag),
        problem=Problem.ARCHIVED if item.get("StorageClass") in _COLD else None,
    )


def _found(copy: Copy, answer: Mapping[str, Any], size: int | None) -> Copy:
    """Return `copy` as it is there now. Raise ObjectChanged where that is not what was listed."""
    etag = answer.get("ETag", "").strip('"') or None
    modified = answer.get("LastModified")
    if size is None or modified is None:
        raise _Nonsense
    if copy.version is not None:
        if etag != copy.version:
            raise ObjectChanged
        if size != copy.size:
            raise _Nonsense
    # A header holds whole seconds, a listing may hold more.
    now = _nanoseconds(modified)
    same = abs(now - copy.modified) < _SECOND
    kept = copy.digests if copy.version is not None else {}
    return replace(copy, size=size, modified=copy.modified if same else now, version=etag, digests=kept, problem=None)


def _whole_size(answer: Mapping[str, Any]) -> int | None:
    """Return how long the object is of which `answer` holds all, or the beginning."""
    if "ContentRange" not in answer:
        return answer.get("ContentLength")
    beginning = re.fullmatch(r"bytes 0-\d+/(\d+)", answer["ContentRange"])
    return int(beginning[1]) if beginning else None


def _told(head: Mapping[str, Any], part: int | None) -> dict[Checksum, bytes]:
    """Return the checksums in an answer; `part` is the size of the parts in which the object was uploaded."""
    etag = head.get("ETag", "").strip('"')
    digests: dict[Checksum, bytes] = {}
    # With a key of its owner's an ETag is the digest of nothing that anyone could compute.
    if head.get("ServerSideEncryption", "AES256") == "AES256" and "SSECustomerAlgorithm" not in head:
        digests = _plain_md5(etag)
        if _parts(etag) and part:
            digests[Checksum(Algorithm.MD5, part)] = bytes.fromhex(etag[:32])
    for member, (algorithm, length) in _MEMBERS.items():
        value, _, count = head.get(member, "").partition("-")
        try:
            digest = b64decode(value, validate=True)
        except binascii.Error:
            continue
        if len(digest) != length or not (count or "0").isdecimal():
            continue
        kind = head.get("ChecksumType", "COMPOSITE" if count or _parts(etag) else "FULL_OBJECT")
        if kind == "FULL_OBJECT" and not count:
            digests[Checksum(algorithm)] = digest
        elif kind == "COMPOSITE" and part and algorithm in _OF_PARTS and int(count or 0) in (0, _parts(etag)):
            digests[Checksum(algorithm, part)] = digest
    return digests


def _plain_md5(etag: str) -> dict[Checksum, bytes]:
    """Return the MD5 that an ETag may be: with some kinds of encryption it only looks like one."""
    return {_MD5: bytes.fromhex(etag)} if re.fullmatch(r"[0-9a-fA-F]{32}", etag) else {}


def _parts(etag: str | None) -> int:
    """Return of how many parts an ETag says that it is the MD5 of their MD5s; 0: of none."""
    found = re.fullmatch(r"[0-9a-fA-F]{32}-(\d{1,5})", etag or "")
    return int(found[1]) if found else 0


def _time(value: Any) -> datetime:
    """Parse a time of a list or a header; the SDK itself takes longer over times than over all else in a list."""
    try:
        time = datetime.fromisoformat(value) if value[:1].isdigit() else parsedate_to_datetime(value)
    except (ValueError, TypeError):
        time = parse_timestamp(value)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _nanoseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, sdk.ClientError) else ""


def _problem(error: Exception) -> Problem:
    return Problem.CHANGING if isinstance(error, ObjectChanged) else _PROBLEMS.get(_code(error), Problem.IO_ERROR)


# HEAD has no body: its answer's only code is that of HTTP.
_PROBLEMS = {
    "NoSuchKey": Problem.VANISHED,
    "404": Problem.VANISHED,
    "AccessDenied": Problem.PERMISSION,
    "403": Problem.PERMISSION,
    "InvalidObjectState": Problem.ARCHIVED,
    "PreconditionFailed": Problem.CHANGING,
    "412": Problem.CHANGING,
    "InvalidRange": Problem.CHANGING,
    "416": Problem.CHANGING,
}

_Fault = tuple[str, str, str]
_KEYS = "Check the keys in `profile`, the environment or the credentials file."
_DENIED = ("denied", "this account may not list the bucket", "Grant it s3:ListBucket.")
_MISSING = ("missing", "the bucket does not exist", "Mend `bucket`, or `endpoint`.")
_EXPIRED = ("expired", "the credentials have expired", "Log in again, or renew the keys.")
_FAULTS: Mapping[str, _Fault] = {
    "NoSuchBucket": _MISSING,
    "404": _MISSING,
    "InvalidBucketName": ("missing", "this is no name of a bucket", "Mend `bucket`."),
    "InvalidAccessKeyId": ("wrong_key", "the access key ID is not known there", _KEYS),
    "SignatureDoesNotMatch": ("wrong_secret", "the secret does not belong to the access key ID", _KEYS),
    "AccessDenied": _DENIED,
    "403": _DENIED,
    "AllAccessDisabled": _DENIED,
    "ExpiredToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidToken": _EXPIRED,
    "RequestTimeTooSkewed": (
        "clock_skew",
        "the clocks of this computer and the server differ too much",
        "Set the clock and let it be kept.",
    ),
}
_ELSEWHERE = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307"}
)
_NO_ANSWER = ("unreachable", "the server does not answer", "Check the network, a firewall or proxy, and `endpoint`.")
_NO_KEYS = (
    "no_credentials",
    "no credentials were found",
    "Name a `profile`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
)
_NO_LOGIN = ("no_credentials", "the credentials could not be had from where they are kept", "Log in there again.")
_NO_NAME = ("unreachable", "the name of the server is not known", "Mend `endpoint` or `region`, or check the network.")
_NO_S3 = ("no_s3", "what answers there does not speak S3", "Mend `endpoint`.")
_NO_SUCCESS = ("server", "the server fails, or does not speak S3", "Check `endpoint`, or try again later.")
_NO_LIST = ("server", "the server fails or refuses to list the bucket", "Try again later, or ask who runs it.")
_SENT_ON = ("wrong_region", "the server sends requests on to another place", "Mend `endpoint` or `region`.")
_KINDS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], _Fault], ...] = (
    (sdk.ProfileNotFound, ("no_profile", "the profile is not there", "Mend `profile`, or add it to ~/.aws/config.")),
    ((sdk.NoCredentialsError, sdk.PartialCredentialsError), _NO_KEYS),
    ((sdk.CredentialRetrievalError, sdk.TokenRetrievalError, sdk.SSOError), _NO_LOGIN),
    ((sdk.ConfigNotFound, sdk.ConfigParseError), ("no_profile", "the AWS files cannot be read", "Mend ~/.aws/config.")),
    (sdk.InvalidRegionError, ("wrong_region", "this is no name of a region", "Mend `region`.")),
    (sdk.ParamValidationError, ("missing", "this is no name of a bucket", "Mend `bucket`.")),
    (
        sdk.SSLError,
        ("tls", "the server does not prove who it is (TLS)", "Mend `endpoint`, or name its CA in AWS_CA_BUNDLE."),
    ),
    (sdk.HTTPClientError, _NO_ANSWER),
    ((ResponseParserError, _Nonsense), _NO_S3),
    (_Refused, _SENT_ON),
    (ValueError, ("unreachable", "this is no address of a server", "Begin `endpoint` with https://.")),
)


def _fault(error: Exception) -> _Fault:
    """Return why a bucket cannot be listed: code, what it is, what to do. Never the server's own words."""
    code = _code(error)
    if code in _ELSEWHERE:
        return "wrong_region", f"the bucket lies in {_region(error)}", "Mend `region`, or `endpoint`."
    if code:
        # A code that is only a number came without an answer in the language of S3.
        return _FAULTS.get(code, _NO_SUCCESS if code.isdigit() else _NO_LIST)
    if isinstance(getattr(error, "kwargs", {}).get("error"), NameResolutionError):
        return _NO_NAME
    return next((fault for kind, fault in _KINDS if isinstance(error, kind)), _NO_ANSWER)


def _region(error: Any) -> str:
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    named = str(error.response["Error"].get("Region") or headers.get("x-amz-bucket-region") or "")
    return f"the region {named}" if re.fullmatch(r"[a-z0-9-]{2,30}", named) else "another region"
