"""A store within the bounds that its owner set: so many readers at once, so many bytes a second, by night only.

Others work with a PACS while it is audited. What is asked of a store goes through here, whatever kind it is; and the
moment at which the hours of an audit are over is one more bound.
"""

from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from threading import BoundedSemaphore, Lock
from time import monotonic, sleep
from types import TracebackType
from typing import Self

from exactcopy.errors import StoreUnavailable, WindowClosed
from exactcopy.model import Copy, Gap, Problem, Target
from exactcopy.stores import Asked, Counted, OpenStream, Safeguards, Store, Stream, Trash, many_open

# What one object takes in an answer to a query; with QIDO-RS it was measured.
_ENTRY_BYTES = 2000
# A shorter sleep costs more than it is long.
_SHORTEST = 0.005
# Who asks a disk with a head for two files at once sends it to and fro. From a share each file takes some answers
# before its first byte: a few that wait at once fill the line, more would send the disks of the server to and fro. Four
# is what rclone transfers at once, too.
_FEW = {"spinning": 1, "share": 4}
# The code of a store whose hours are over: those of the audit, not those of the store.
HOURS_OVER = "out_of_time"


def bounded(store: Store, target: Target) -> Store:
    """Return `store` within the bounds of `target`; it is `Asked`, or `Trash`, if the store is."""
    if isinstance(store, Asked):
        return _BoundedAsked(store, target)
    return _BoundedTrash(store, target) if isinstance(store, Trash) else _Bounded(store, target)


def readers(target: Target, workers: int) -> int:
    """Return how many of `workers` may read `target` at once."""
    return min(workers, target.concurrency or workers)


def problem_of(error: StoreUnavailable) -> Problem:
    """Return what an object is called that was left because of `error`."""
    if not isinstance(error, WindowClosed):
        return Problem.OUT_OF_REACH
    return Problem.OVER_TIME if error.code == HOURS_OVER else Problem.OVER_WINDOW


def unhurried(target: Target, lies_on: str | None) -> Target:
    """Return `target` as it is best read for what it lies on, unless its owner has set by how many at once."""
    few = _FEW.get(lies_on or "")
    return target if few is None or target.concurrency else replace(target, concurrency=few)


def share(target: Target, workers: int) -> Target:
    """Return `target` as each of those may use it who read it at once: together they keep to its bounds."""
    many = readers(target, workers)
    return replace(
        target,
        max_rate=max(target.max_rate // many, 1) if target.max_rate else None,
        concurrency=target.concurrency // many if target.concurrency else None,
    )


def closed(target: Target) -> WindowClosed | None:
    """Return what to say of a store whose window is closed, or whose time is over; None where it may be examined."""
    window = target.window
    now = datetime.now(UTC)
    if target.until is not None and now >= target.until:
        return WindowClosed(
            HOURS_OVER,
            target.name,
            "the hours that this audit was given were over before it could be examined",
            "Audit again, or give --max-hours more.",
        )
    if window is None or window.left(now):
        return None
    return WindowClosed(
        "outside_window",
        target.name,
        f"its window is {window}, and now it is outside of it",
        f"Its window starts at {window.begin:%H:%M}: audit again then.",
    )


def stay_inside(target: Target) -> None:
    """Raise WindowClosed outside the window of `target`, and once the hours are over."""
    if error := closed(target):
        raise error


class _Pace:
    """Lets no more than so many bytes a second pass; what was not used before is not made up for."""

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self._due = 0.0
        self._lock = Lock()

    def spend(self, size: int) -> None:
        """Wait until so many bytes have had their time."""
        if self._rate is None:
            return
        with self._lock:
            now = monotonic()
            self._due = max(self._due, now) + size / self._rate
            wait = self._due - now
        if wait > _SHORTEST:
            sleep(wait)


class _Bounded:
    """A store that waits, and that raises WindowClosed rather than be read outside its window or its hours."""

    def __init__(self, store: Store, target: Target) -> None:
        self._store = store
        self._target = target
        self._pace = _Pace(target.max_rate)
        self._turns = BoundedSemaphore(target.concurrency) if target.concurrency else None

    def __enter__(self) -> Self:
        """Reach the store, if that is allowed now."""
        self.stay_inside()
        self._store.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of it."""
        self._store.__exit__(kind, error, trace)

    def partitions(self) -> Iterator[str]:
        """Yield its parts."""
        return self._store.partitions()

    def listing(self, partition: str) -> Iterator[Copy | Gap]:
        """Yield what is in a part; raises WindowClosed where the window closes before that is all.

        A list that is cut short would take what earlier audits proved of the rest from the next one.
        """
        with self._turns or nullcontext():
            self.stay_inside()
            for item in self._store.listing(partition):
                yield item
                self.spend(_ENTRY_BYTES)
                self.stay_inside()

    def read(self, copies: Iterable[Copy], first_bytes: int | None = None) -> Iterator[tuple[Copy, Stream | Problem]]:
        """Yield what the store does; to read on after the window closed raises WindowClosed."""
        self.stay_inside()
        for copy, stream in self._store.read(copies, first_bytes):
            yield copy, stream if isinstance(stream, Problem) else _BoundedStream(stream, self)

    def open(self, copies: Iterable[Copy]) -> Generator[tuple[Copy, OpenStream | Problem]]:
        """Yield what the store does, where it is `ManyOpen`; to read on after the window closed raises WindowClosed."""
        self.stay_inside()
        for copy, stream in many_open(self._store).open(copies):
            yield copy, stream if isinstance(stream, Problem) else _BoundedOpenStream(stream, self)

    def safeguards(self) -> Safeguards:
        """Return what protects it."""
        return self._store.safeguards()

    def counts(self) -> tuple[int, int] | None:
        """Return how many objects there were before and after a listing, where the store says."""
        return self._store.counts() if isinstance(self._store, Counted) else None

    def stay_inside(self) -> None:
        """Raise WindowClosed outside the window, and once the hours are over."""
        stay_inside(self._target)

    def spend(self, size: int) -> None:
        """Wait until so many bytes have had their time."""
        self._pace.spend(size)


class _BoundedAsked(_Bounded):
    """A store that also tells checksums."""

    def checksums(self, copies: Iterable[Copy]) -> Iterator[Copy]:
        """Yield each copy with its checksums; raises WindowClosed where the window closes meanwhile."""
        if not isinstance(self._store, Asked):
            raise TypeError(self._store)
        self.stay_inside()
        for copy in self._store.checksums(copies):
            yield copy
            self.spend(_ENTRY_BYTES)
            self.stay_inside()


class _BoundedTrash(_Bounded):
    """A store that also shows what was deleted there."""

    def deleted(self, missed: Collection[bytes]) -> Iterator[Copy]:
        """Yield what was deleted there; raises WindowClosed where the window closes meanwhile."""
        if not isinstance(self._store, Trash):
            raise TypeError(self._store)
        self.stay_inside()
        for copy in self._store.deleted(missed):
            yield copy
            self.spend(_ENTRY_BYTES)
            self.stay_inside()


class _BoundedStream:
    """The bytes of an object, in their time."""

    def __init__(self, stream: Stream, store: _Bounded) -> None:
        self._stream = stream
        self._store = store

    def readinto(self, buffer: bytearray | memoryview, /) -> int | None:
        """Fill `buffer`."""
        self._store.stay_inside()
        count = self._stream.readinto(buffer)
        self._store.spend(count or 0)
        return count


class _BoundedOpenStream(_BoundedStream):
    """Such bytes, which whoever takes them closes."""

    def __init__(self, stream: OpenStream, store: _Bounded) -> None:
        super().__init__(stream, store)
        self._open = stream

    def close(self) -> None:
        """Let go of them."""
        self._open.close()
