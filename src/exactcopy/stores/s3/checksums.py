"""What a server says of an object: which of it is a checksum, and of what."""

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from exactcopy.errors import ObjectChanged
from exactcopy.model import Algorithm, Checksum, Copy, Problem
from exactcopy.stores.s3.client import Bucket
from exactcopy.stores.s3.faults import FAILURES, Nonsense, problem_of

# What lies in these classes must be thawed before it can be read; other cold ones are read at once.
COLD = frozenset({"GLACIER", "DEEP_ARCHIVE"})
# What a listing is asked for beside, where the server understands: which of these are thawed for some days.
THAWED = "RestoreStatus"
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


def asked(bucket: Bucket, copy: Copy) -> Copy:
    """Return `copy` with all checksums that the server has of it; without any, and with a problem, on failure."""
    try:
        told = bucket.client.head_object(**bucket.which(copy), ChecksumMode="ENABLED")
        now = found(copy, told, told.get("ContentLength"))
        return replace(now, digests=_told(told, _part_size(bucket, now)), problem=_cold(copy, told))
    except FAILURES as error:
        return replace(copy, digests={}, problem=problem_of(error))


def found(copy: Copy, answer: Mapping[str, Any], size: int | None) -> Copy:
    """Return `copy` as it is there now. Raise ObjectChanged where that is not what was listed."""
    etag = answer.get("ETag", "").strip('"') or None
    modified = answer.get("LastModified")
    if size is None or modified is None:
        raise Nonsense
    if copy.version is not None:
        if etag != copy.version:
            raise ObjectChanged
        if size != copy.size:
            raise Nonsense
    # A header holds whole seconds, a listing may hold more.
    now = nanoseconds(modified)
    same = copy.modified is not None and abs(now - copy.modified) < _SECOND
    kept = copy.digests if copy.version is not None else {}
    return replace(copy, size=size, modified=copy.modified if same else now, version=etag, digests=kept, problem=None)


def _cold(copy: Copy, head: Mapping[str, Any]) -> Problem | None:
    """Return whether an object must be thawed first; of one that moves between classes, only this answer tells."""
    if 'ongoing-request="false"' in head.get("Restore", ""):
        return None
    return Problem.ARCHIVED if head.get("ArchiveStatus") or head.get("StorageClass") in COLD else copy.problem


def plain_md5(etag: str) -> dict[Checksum, bytes]:
    """Return the MD5 that an ETag may be: with some kinds of encryption it only looks like one."""
    return {_MD5: bytes.fromhex(etag)} if re.fullmatch(r"[0-9a-fA-F]{32}", etag) else {}


def nanoseconds(time: datetime) -> int:
    """Return a time since 1970."""
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000


def _part_size(bucket: Bucket, copy: Copy) -> int | None:
    """Return in parts of which size an object was uploaded; None: in one, or the server does not tell."""
    count = _parts(copy.version)
    if count < 2 or copy.size < 2:
        return copy.size or None if count else None
    try:
        first = bucket.client.head_object(**bucket.which(copy), PartNumber=1).get("ContentLength")
    except FAILURES:
        return None
    # A server that does not know parts returns the size of the whole.
    return int(first) if first and -(-copy.size // first) == count else None


def _told(head: Mapping[str, Any], part: int | None) -> dict[Checksum, bytes]:
    """Return the checksums in an answer; `part` is the size of the parts in which the object was uploaded."""
    etag = head.get("ETag", "").strip('"')
    digests: dict[Checksum, bytes] = {}
    # With a key of its owner's an ETag is the digest of nothing that anyone could compute.
    if head.get("ServerSideEncryption", "AES256") == "AES256" and "SSECustomerAlgorithm" not in head:
        digests = plain_md5(etag)
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


def _parts(etag: str | None) -> int:
    """Return of how many parts an ETag says that it is the MD5 of their MD5s; 0: of none."""
    found = re.fullmatch(r"[0-9a-fA-F]{32}-(\d{1,5})", etag or "")
    return int(found[1]) if found else 0
