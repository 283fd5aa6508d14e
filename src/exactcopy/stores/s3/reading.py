"""The bytes of objects: small ones by obstore where it is installed, others by a plain request; else by the SDK."""

import errno
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from botocore.exceptions import HTTPClientError
from botocore.session import Session

from exactcopy.errors import ObjectChanged
from exactcopy.model import Copy, Problem
from exactcopy.stores.ahead import AHEAD, Begun
from exactcopy.stores.s3.body import Body, opened
from exactcopy.stores.s3.by_obstore import Held, small_reader
from exactcopy.stores.s3.checksums import found
from exactcopy.stores.s3.client import Bucket
from exactcopy.stores.s3.direct import DirectReader
from exactcopy.stores.s3.faults import FAILURES, Nonsense, problem_of

# Such an object is held in memory whole; with larger ones that costs more than a plain request does.
_SMALL = 256 * 1024
_FAILURES = 3

Opened = tuple[Copy, Body | Held | Problem]


@dataclass(slots=True)
class _Way:
    """A quicker way to objects of up to `most` bytes than the SDK's, as long as it is open."""

    ask: Callable[[Copy, int], Begun[tuple[Copy, Body | Held] | None] | None] | None
    most: float
    # In a row, of objects that the SDK could read.
    failures: int = 0


class Reader:
    """Opens the objects of a bucket."""

    def __init__(self, session: Session, bucket: Bucket) -> None:
        """Take the bucket, and the session of its client."""
        self.bucket = bucket
        # What waits for its answer before it gives back the processor.
        self.threads = ThreadPoolExecutor(AHEAD)
        self._direct: DirectReader | None = None
        with suppress(OSError, ValueError):
            self._direct = DirectReader(session, bucket)
        self._session = session
        # While nothing comes, the SDK asks for several at a time: it tries each again and again.
        self.failing = False
        # To the last that the SDK asked for, again and again, nobody answered.
        self.silent = False
        # What broke off could not be had again, and nothing came since.
        self.lost = False
        self.ways = (
            _Way(self._ask_small, _SMALL),
            _Way(self._direct.ask if self._direct is not None else None, float("inf")),
        )

    def ask(self, copy: Copy, first_bytes: int | None) -> "_Asked":
        """Ask for the first bytes of an object, or for all."""
        return _Asked(self, copy, first_bytes)

    def rest(self, copy: Copy, begin: int, end: int) -> Any:
        """Return a stream of the bytes of an object from `begin` to `end`, as it was opened: what came broke off.

        Raises OSError, or ObjectChanged.
        """
        if self.lost or copy.version is None:
            raise OSError(errno.EIO, "the answer broke off")
        try:
            answer = self.bucket.client.get_object(**self.bucket.which(copy), Range=f"bytes={begin}-{end - 1}")
            found(copy, answer, copy.size)
            held = f"bytes {begin}-{end - 1}/{copy.size}", end - begin
            if (answer.get("ContentRange"), answer.get("ContentLength")) != held:
                answer["Body"].close()
                raise Nonsense
        except FAILURES as error:
            problem = problem_of(error)
            if problem is Problem.CHANGING:
                raise ObjectChanged from error
            self.lost = problem is Problem.IO_ERROR
            raise OSError(errno.EIO, "the answer broke off") from error
        return answer["Body"]

    @cached_property
    def _small(self) -> Callable[[Copy, int], tuple[Copy, Held] | None] | None:
        # It takes a while to import, and is needed only where there are small objects.
        return small_reader(self._session, self.bucket)

    def _ask_small(self, copy: Copy, wanted: int) -> Begun[tuple[Copy, Held] | None] | None:
        return self.threads.submit(self._small, copy, wanted) if self._small is not None else None

    def close(self) -> None:
        """Close the connections that are idle."""
        self.threads.shutdown()
        if self._direct is not None:
            self._direct.close()


class _Asked:
    """An object that was asked for in the first way that is open."""

    def __init__(self, reader: Reader, copy: Copy, first_bytes: int | None) -> None:
        """Ask for it."""
        self._reader, self._copy, self._first_bytes = reader, copy, first_bytes
        self._wanted = copy.size if first_bytes is None else min(copy.size, first_bytes)
        quick = copy.version is not None and not reader.failing
        self._ways = [way for way in reader.ways if quick and way.ask and 0 < self._wanted <= way.most]
        ask = self._ways[0].ask if self._ways else None
        self._by_sdk = None if ask else reader.threads.submit(_by_sdk, reader.bucket, copy, first_bytes)
        self._begun = ask(copy, self._wanted) if ask else None

    def cancel(self) -> bool:
        """Give it up, and say whether nothing will come of it."""
        begun = self._by_sdk or self._begun
        if begun is not None and not begun.cancel():
            # What is under way, and nothing more.
            got = begun.result()
            if got is not None and not isinstance(got[1], Problem):
                got[1].close()
        return True

    def result(self) -> Opened:
        """Return the copy as it is there, and its bytes, no more than the first of them, or why there are none."""
        if self._by_sdk is not None:
            return self._told(self._by_sdk.result())
        tried: list[_Way] = []
        got, begun = None, self._begun
        for way in self._ways:
            if tried:
                begun = way.ask(self._copy, self._wanted) if way.ask else None
            if begun is not None and (got := begun.result()) is not None:
                break
            tried.append(way)
        if got is None and self._reader.silent:
            # What was under way with it is not waited for as long, one after the other.
            return self._told((self._copy, Problem.OUT_OF_REACH))
        answer = self._told(got or _by_sdk(self._reader.bucket, self._copy, self._first_bytes))
        if not self._reader.failing:
            # What cannot be reached in this way, because of a proxy or a certificate, need not be tried for each.
            for way in tried:
                way.failures += 1
                way.ask = way.ask if way.failures < _FAILURES else None
        for way in self._ways[len(tried) :]:
            way.failures = 0
        return answer

    def _told(self, answer: Opened) -> Opened:
        copy, body = answer
        self._reader.failing = isinstance(body, Problem)
        self._reader.silent = body is Problem.OUT_OF_REACH
        if isinstance(body, Body):
            self._reader.lost = False
            body.rest = partial(self._reader.rest, copy)
        return answer


def _by_sdk(bucket: Bucket, copy: Copy, first_bytes: int | None) -> Opened:
    some = first_bytes is not None and copy.size > first_bytes
    try:
        answer = bucket.client.get_object(
            **bucket.which(copy), **({"Range": f"bytes=0-{first_bytes - 1}"} if some and first_bytes else {})
        )
    except HTTPClientError:
        return copy, Problem.OUT_OF_REACH
    except FAILURES as error:
        return copy, problem_of(error)
    try:
        return opened(copy, answer, answer["Body"], first_bytes)
    except FAILURES as error:
        answer["Body"].close()
        return copy, problem_of(error)
