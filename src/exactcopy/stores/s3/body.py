"""The bytes of an object, of which an answer says that it holds them."""

import errno
import re
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

from botocore import exceptions as sdk
from urllib3.exceptions import HTTPError

from exactcopy.model import Copy
from exactcopy.stores.s3.checksums import found
from exactcopy.stores.s3.faults import Nonsense


class Body:
    """The first `wanted` bytes of an answer that has `length`."""

    def __init__(self, body: Any, wanted: int, length: int) -> None:
        """Take the stream of the SDK, or of whoever asked."""
        self._body = body
        self._left = wanted
        self._more = length - wanted

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        """Fill `buffer`; a body that breaks off raises OSError."""
        if not self._left and self._more:
            return 0
        # At the end it is asked once more: it is then that the SDK looks at length and checksum.
        room = memoryview(buffer)[: self._left] if self._left else bytearray(1)
        try:
            count = int(self._body.readinto(room))
        except (sdk.BotoCoreError, HTTPError, HTTPException) as error:
            raise OSError(errno.EIO, "the answer broke off") from error
        if bool(count) != bool(self._left) and len(room):
            raise OSError(errno.EIO, "the answer is not as long as it was said to be")
        self._left -= count
        return count

    def close(self) -> None:
        """Give up what was not read."""
        self._body.close()


def opened(copy: Copy, answer: Mapping[str, Any], stream: Any, first_bytes: int | None) -> tuple[Copy, Body]:
    """Return `copy` as it is there now, and its bytes, no more than the first of them.

    Raises one of FAILURES where the answer is of another object, or of less of it.
    """
    length = answer.get("ContentLength")
    now = found(copy, answer, _whole_size(answer))
    wanted = now.size if first_bytes is None else min(now.size, first_bytes)
    if length is None or length < wanted:
        raise Nonsense
    return now, Body(stream, wanted, length)


def _whole_size(answer: Mapping[str, Any]) -> int | None:
    """Return how long the object is of which `answer` holds all, or the beginning."""
    if "ContentRange" not in answer:
        return answer.get("ContentLength")
    beginning = re.fullmatch(r"bytes 0-\d+/(\d+)", answer["ContentRange"])
    return int(beginning[1]) if beginning else None
