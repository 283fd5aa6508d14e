"""The bytes of objects: small ones by obstore where it is installed, others by a plain request; else by the SDK."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from botocore.session import Session

from exactcopy.model import Copy, Problem
from exactcopy.stores.s3.body import Body, opened
from exactcopy.stores.s3.by_obstore import Held, small_reader
from exactcopy.stores.s3.client import Bucket
from exactcopy.stores.s3.direct import DirectReader
from exactcopy.stores.s3.faults import FAILURES, problem_of

# Such an object is held in memory whole; with larger ones that costs more than a plain request does.
_SMALL = 256 * 1024

Opened = tuple[Copy, Body | Held | Problem]


@dataclass(slots=True)
class _Way:
    """A quicker way to objects of up to `most` bytes than the SDK's, as long as it is open."""

    get: Callable[[Copy, int], tuple[Copy, Body | Held] | None] | None
    most: float


class Reader:
    """Opens the objects of a bucket."""

    def __init__(self, session: Session, bucket: Bucket) -> None:
        """Take the bucket, and the session of its client."""
        self._bucket = bucket
        self._direct: DirectReader | None = None
        with suppress(OSError, ValueError):
            self._direct = DirectReader(session, bucket)
        self._ways = (
            _Way(small_reader(session, bucket), _SMALL),
            _Way(self._direct.get if self._direct is not None else None, float("inf")),
        )

    def open(self, copy: Copy, first_bytes: int | None) -> Opened:
        """Return `copy` as it is there, and its bytes, no more than the first of them, or why there are none."""
        wanted = copy.size if first_bytes is None else min(copy.size, first_bytes)
        tried = []
        for way in self._ways:
            if way.get is None or not 0 < wanted <= way.most:
                continue
            if (got := way.get(copy, wanted)) is not None:
                break
            tried.append(way)
        else:
            got = None
        answer: Opened = got or _by_sdk(self._bucket, copy, first_bytes)
        if not isinstance(answer[1], Problem):
            # What cannot be reached in this way, because of a proxy or a certificate, need not be tried for each.
            for way in tried:
                way.get = None
        return answer

    def close(self) -> None:
        """Close the connections that are idle."""
        if self._direct is not None:
            self._direct.close()


def _by_sdk(bucket: Bucket, copy: Copy, first_bytes: int | None) -> Opened:
    some = first_bytes is not None and copy.size > first_bytes
    try:
        answer = bucket.client.get_object(
            **bucket.which(copy), **({"Range": f"bytes=0-{first_bytes - 1}"} if some and first_bytes else {})
        )
    except FAILURES as error:
        return copy, problem_of(error)
    try:
        return opened(copy, answer, answer["Body"], first_bytes)
    except FAILURES as error:
        answer["Body"].close()
        return copy, problem_of(error)
