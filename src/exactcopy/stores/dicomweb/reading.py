"""WADO-RS: instances as they are stored (PS3.18 10.4), by study, what is left by series, what is left one by one."""

import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from email.message import Message
from itertools import groupby

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from exactcopy.dicom.header import identify
from exactcopy.model import Copy, Problem
from exactcopy.stores import Stream
from exactcopy.stores.dicomweb.client import Server, problem_of, resource
from exactcopy.stores.dicomweb.multipart import parts

# Without the last parameter a server may decompress what it sends.
_AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
# So few are asked for one by one, rather than with all that their study holds.
_FEW = 3
# The UIDs of an instance stand near its beginning (PS3.5 7.1: by ascending tag): mostly in the first of these bytes.
_BEGINNINGS = (4 * 1024, 64 * 1024)

Read = tuple[Copy, Stream | Problem]


class Instance:
    """The bytes of an instance, of which the first were read to know which one it is."""

    def __init__(self, beginning: memoryview, rest: Stream) -> None:
        """Take both."""
        self._beginning = beginning
        self._rest = rest

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        """Fill `buffer`; an answer that breaks off raises OSError."""
        if self._beginning:
            count = min(len(buffer), len(self._beginning))
            buffer[:count] = self._beginning[:count]
            self._beginning = self._beginning[count:]
            return count
        return self._rest.readinto(buffer) or 0


def read_copies(server: Server, copies: Iterable[Copy]) -> Iterator[Read]:
    """Yield each copy once; those of a study follow each other."""
    for _, of_study in groupby(copies, key=lambda copy: copy.study_instance_uid):
        left = {copy.key: copy for copy in of_study}
        few = len(left) <= _FEW
        if not few:
            yield from _all_of(server, left)
        refused: dict[bytes, Problem] = {}
        for copy in list(left.values()):
            for _, stream in _alone(server, copy):
                if isinstance(stream, Problem):
                    refused[copy.key] = stream
                else:
                    del left[copy.key]
                    yield copy, stream
        if few and left:
            # An image whose UID another study bears, too, may come only with all that is in its own.
            yield from _all_of(server, left)
        for copy in left.values():
            yield copy, refused[copy.key]


def _all_of(server: Server, left: dict[bytes, Copy]) -> Iterator[Read]:
    """Yield of `left`, and take out of it, what comes with all of its study, or with all of its series."""
    yield from _together(server, left, _study)
    for series in dict.fromkeys(map(_series, left.values())):
        of_series = {key: copy for key, copy in left.items() if _series(copy) == series}
        for copy, stream in _together(server, of_series, _series):
            del left[copy.key]
            yield copy, stream


def _together(server: Server, left: dict[bytes, Copy], within: Callable[[Copy], str]) -> Iterator[Read]:
    """Yield of `left`, and take out of it, what comes when all of a study or series is asked for."""
    if not left:
        return
    wanted = {copy.sop_instance_uid: copy for copy in left.values()}
    try:
        for sop, stream in _instances(server, within(next(iter(left.values())))):
            copy = wanted.pop(sop, None)
            if copy is not None:
                del left[copy.key]
                yield copy, stream
    except (HTTPError, OSError):
        # What came is there; the rest is asked for again.
        return


def _alone(server: Server, copy: Copy) -> Iterator[Read]:
    given = False
    try:
        for sop, stream in _instances(
            server, resource(copy.study_instance_uid, copy.series_instance_uid, copy.sop_instance_uid)
        ):
            if sop == copy.sop_instance_uid and not given:
                given = True
                yield copy, stream
    except _Refused as refused:
        yield copy, problem_of(refused.status)
    except (HTTPError, OSError):
        if not given:
            yield copy, Problem.IO_ERROR
    else:
        if not given:
            yield copy, Problem.IO_ERROR


class _Refused(OSError):
    def __init__(self, status: int) -> None:
        super().__init__(errno.EIO, "the server refuses")
        self.status = status


def _instances(server: Server, resource: str) -> Iterator[tuple[str | None, Stream]]:
    """Yield the instances of a resource, each with the UID that it bears."""
    answer = server.get(resource, _AS_STORED)
    with closing(answer):
        if answer.status != 200:
            raise _Refused(answer.status)
        for body in _bodies(answer):
            sop, beginning = _named(body)
            yield sop, Instance(beginning, body)


def _named(body: Stream) -> tuple[str | None, memoryview]:
    """Return the UID that an instance bears, and the bytes that were read to know it."""
    buffer = memoryview(bytearray(_BEGINNINGS[-1]))
    length, sop = 0, None
    for most in _BEGINNINGS:
        while length < most and (count := body.readinto(buffer[length:most])):
            length += count
        sop = identify(buffer[:length]).sop_instance_uid
        if sop is not None or length < most:
            break
    return sop, buffer[:length]


def _bodies(answer: BaseHTTPResponse) -> Iterator[Stream]:
    kind = Message()
    kind["Content-Type"] = answer.headers.get("Content-Type", "")
    boundary = kind.get_param("boundary")
    if kind.get_content_maintype() == "multipart" and isinstance(boundary, str) and boundary:
        yield from parts(_Source(answer).read, boundary.encode())
    elif kind.get_content_type() == "application/dicom":
        yield _Source(answer)
    else:
        raise OSError(errno.EIO, "this is no answer of DICOM")


class _Source:
    """The body of an answer; one that breaks off raises OSError."""

    def __init__(self, answer: BaseHTTPResponse) -> None:
        self._answer = answer

    def read(self, most: int) -> bytes:
        try:
            return self._answer.read(most)
        except HTTPError as error:
            raise OSError(errno.EIO, "the answer broke off") from error

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def _study(copy: Copy) -> str:
    return resource(copy.study_instance_uid)


def _series(copy: Copy) -> str:
    return resource(copy.study_instance_uid, copy.series_instance_uid)
