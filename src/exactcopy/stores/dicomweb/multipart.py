"""multipart/related as it streams by (RFC 2046 5.1, PS3.18 8.7.3): parts of any length in flat memory."""

import errno
from collections.abc import Callable, Iterator

_PIECE = 256 * 1024
_MOST_HEADERS = 16 * 1024


class Part:
    """The bytes of one part; they are there until the next part is asked for."""

    def __init__(self, body: "_Body") -> None:
        """Take the body, which stands at the part's first byte."""
        self._body = body
        self._over = False

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        """Fill `buffer` and return how much of it; 0 at the end. Raises OSError where the answer broke off."""
        if self._over:
            return 0
        piece = self._body.until_delimiter(len(buffer))
        self._over = not piece
        buffer[: len(piece)] = piece
        return len(piece)


def parts(read: Callable[[int], bytes], boundary: bytes) -> Iterator[Part]:
    """Yield each part of what `read` gives. Raises OSError where it breaks off, or is no multipart."""
    body = _Body(read, b"\r\n--" + boundary)
    # What stands before the first delimiter means nothing.
    while body.until_delimiter(_PIECE):
        pass
    while body.goes_on():
        body.skip_headers()
        part = Part(body)
        yield part
        rest = bytearray(_PIECE)
        while part.readinto(rest):
            pass


class _Body:
    def __init__(self, read: Callable[[int], bytes], delimiter: bytes) -> None:
        self._read = read
        self._delimiter = delimiter
        # The first delimiter may stand at the very beginning, without a line before it.
        self._data = b"\r\n"
        self._pos = 0

    def until_delimiter(self, most: int) -> memoryview:
        """Return the next bytes, none where a delimiter begins."""
        while True:
            data, pos = self._data, self._pos
            end = data.find(self._delimiter, pos, pos + most + len(self._delimiter))
            if end < 0:
                # The last bytes may be the beginning of one.
                end = len(data) - len(self._delimiter) + 1
                if end <= pos:
                    self._more()
                    continue
            end = min(end, pos + most)
            self._pos = end
            return memoryview(data)[pos:end]

    def goes_on(self) -> bool:
        """Pass a delimiter, and say whether a part follows."""
        self._pos += len(self._delimiter)
        while len(self._data) - self._pos < 2:
            self._more()
        return self._data[self._pos : self._pos + 2] != b"--"

    def skip_headers(self) -> None:
        """Pass the headers of a part; its content says itself what it is."""
        while (end := self._data.find(b"\r\n\r\n", self._pos)) < 0:
            if len(self._data) - self._pos > _MOST_HEADERS:
                raise OSError(errno.EIO, "this is no part of a multipart answer")
            self._more()
        # Its last line end belongs to the delimiter, where a part is empty.
        self._pos = end + 4

    def _more(self) -> None:
        piece = self._read(_PIECE)
        if not piece:
            raise OSError(errno.EIO, "the answer broke off")
        self._data = self._data[self._pos :] + piece
        self._pos = 0
