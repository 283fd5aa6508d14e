"""The bytes of one object, as the running rclone hands them on."""

import errno
import json
from contextlib import suppress
from urllib.parse import quote

from urllib3 import HTTPConnectionPool, HTTPResponse
from urllib3.exceptions import HTTPError

from exactcopy.model import Copy, Problem
from exactcopy.stores.rclone.faults import reason
from exactcopy.stores.rclone.server import request


class Body:
    """The body of one answer, which must be as long as it was said to be."""

    def __init__(self, answer: HTTPResponse, length: int) -> None:
        """Take an answer of which nothing was read yet."""
        self._answer = answer
        self._left = length

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        """Fill `buffer` and return how much of it; 0 at the end. Raises OSError."""
        try:
            piece = self._answer.read(len(buffer))
        except HTTPError:
            raise OSError(errno.EIO, "the body broke off") from None
        self._left -= len(piece)
        if not piece and self._left and len(buffer):
            raise OSError(errno.EIO, "the body is shorter than was said")
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """Let go of the connection; it serves on where the body was read to its end."""
        self._answer.close()


def open_object(http: HTTPConnectionPool, remote: str, copy: Copy, first_bytes: int | None) -> Body | Problem:
    """Return the bytes of `copy`, or no more than its `first_bytes`; they are as many as were listed."""
    part = first_bytes is not None and 0 < first_bytes < copy.size
    wanted = {"Range": f"bytes=0-{(first_bytes or 0) - 1}"} if part else {}
    path = f"/{quote(f'[{remote}]', safe='')}/{quote(copy.key, safe='/')}"
    try:
        answer = request(http, "GET", path, wanted)
        if answer.status not in (200, 206):
            complaint = _error_of(answer.read())
            answer.close()
            return reason(complaint)
    except HTTPError:
        return Problem.IO_ERROR
    length = answer.headers.get("Content-Length", "")
    whole = answer.headers.get("Content-Range", "").rpartition("/")[2] if answer.status == 206 else length
    if whole != str(copy.size) or not length.isdigit():
        answer.close()
        return Problem.CHANGING
    return Body(answer, int(length))


def _error_of(body: bytes) -> str:
    """Return what rclone says was wrong. A provider's refusal to send comes without words, as if it were a 404."""
    with suppress(ValueError, KeyError):
        return str(json.loads(body)["error"])
    return ""
