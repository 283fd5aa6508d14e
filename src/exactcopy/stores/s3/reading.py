"""The bytes of objects: small ones by obstore where it is installed, all others by the SDK."""

import errno
import re
from collections.abc import Mapping
from typing import Any

from botocore import exceptions as sdk
from botocore.session import Session
from urllib3.exceptions import HTTPError

from exactcopy.model import Copy, Problem
from exactcopy.stores.s3.by_obstore import Held, small_reader
from exactcopy.stores.s3.checksums import found
from exactcopy.stores.s3.client import Bucket
from exactcopy.stores.s3.faults import FAILURES, Nonsense, problem_of

# Such an object is held in memory whole; with larger ones it is not the requests that cost.
_SMALL = 4 * 1024 * 1024


class Body:
    """The first `wanted` bytes of an answer that has `length`."""

    def __init__(self, body: Any, wanted: int, length: int) -> None:
        """Take the SDK's stream."""
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


Opened = tuple[Copy, Body | Held | Problem]


class Reader:
    """Opens the objects of a bucket."""

    def __init__(self, session: Session, bucket: Bucket) -> None:
        """Take the bucket, and the session of its client."""
        self._bucket = bucket
        self._small = small_reader(session, bucket)

    def open(self, copy: Copy, first_bytes: int | None) -> Opened:
        """Return `copy` as it is there, and its bytes, no more than the first of them, or why there are none."""
        wanted = copy.size if first_bytes is None else min(copy.size, first_bytes)
        small = self._small if 0 < wanted <= _SMALL else None
        if small is not None and (held := small(copy, wanted)) is not None:
            return held
        opened = _by_sdk(self._bucket, copy, first_bytes)
        if small is not None and not isinstance(opened[1], Problem):
            # What cannot be reached by it, because of a proxy or a certificate, need not be tried for each object.
            self._small = None
        return opened


def _by_sdk(bucket: Bucket, copy: Copy, first_bytes: int | None) -> Opened:
    some = first_bytes is not None and copy.size > first_bytes
    try:
        answer = bucket.client.get_object(
            **bucket.which(copy), **({"Range": f"bytes=0-{first_bytes - 1}"} if some and first_bytes else {})
        )
    except FAILURES as error:
        return copy, problem_of(error)
    length = answer.get("ContentLength")
    try:
        now = found(copy, answer, _whole_size(answer))
        wanted = now.size if first_bytes is None else min(now.size, first_bytes)
        if length is None or length < wanted:
            raise Nonsense
    except FAILURES as error:
        answer["Body"].close()
        return copy, problem_of(error)
    return now, Body(answer["Body"], wanted, length)


def _whole_size(answer: Mapping[str, Any]) -> int | None:
    """Return how long the object is of which `answer` holds all, or the beginning."""
    if "ContentRange" not in answer:
        return answer.get("ContentLength")
    beginning = re.fullmatch(r"bytes 0-\d+/(\d+)", answer["ContentRange"])
    return int(beginning[1]) if beginning else None
