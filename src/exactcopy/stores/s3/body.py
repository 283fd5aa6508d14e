"""The bytes of an object, of which an answer says that it holds them."""

import errno
import re
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any

from botocore import exceptions as sdk
from urllib3.exceptions import HTTPError

from exactcopy.model import Copy
from exactcopy.stores.s3.checksums import found
from exactcopy.stores.s3.faults import Nonsense

# How often what broke off goes on. Over an hour's worth of one object a line may well fail more than once.
_TIMES = 4


class Body:
    """The first `wanted` bytes of an answer that has `length`.

    Where the answer breaks off, `rest` is asked for a stream of all after so many bytes; it raises OSError or
    ObjectChanged.
    """

    def __init__(self, body: Any, wanted: int, length: int) -> None:
        """Take the stream of the SDK, or of whoever asked."""
        self._body = body
        self._wanted = self._left = wanted
        self._more = length - wanted
        self._times = _TIMES
        self.rest: Callable[[int, int], Any] | None = None

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        """Fill `buffer`; a body that breaks off for good raises OSError."""
        if not self._left and self._more:
            return 0
        # At the end it is asked once more: it is then that the SDK looks at length and checksum.
        room = memoryview(buffer)[: self._left] if self._left else bytearray(1)
        try:
            count = int(self._body.readinto(room))
            if bool(count) == bool(self._left) or not len(room):
                self._left -= count
                return count
        except (OSError, sdk.BotoCoreError, HTTPError, HTTPException) as error:
            return self._go_on(room, error)
        return self._go_on(room)

    def _go_on(self, room: bytearray | memoryview, error: Exception | None = None) -> int:
        if not self._left or not self._times or self.rest is None:
            raise OSError(errno.EIO, "the answer is not as long as it was said to be") from error
        self._body.close()
        self._times -= 1
        self._body = self.rest(self._wanted - self._left, self._wanted)
        return self.readinto(room)

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
