"""Where images lie. A `Store` has no method that writes; a new kind is one module and one line in `KINDS`."""

import os
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, cast, runtime_checkable

from exactcopy.digest import lanes_pay
from exactcopy.errors import StoreUnavailable
from exactcopy.model import Copy, Gap, Problem, Safeguard, Seen, Target


class Stream(Protocol):
    """The bytes of one object, read once from front to back."""

    def readinto(self, buffer: bytearray | memoryview, /) -> int | None:
        """Fill `buffer` and return how much of it; 0 at the end. Raises OSError or ObjectChanged."""
        ...


class OpenStream(Stream, Protocol):
    """A stream that lives until it is closed."""

    def close(self) -> None:
        """Let go of it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Safeguards:
    """What a store shows of where it lies and how it is protected; None: it cannot be seen from here.

    `device` is the file system, `disk` the piece of hardware under it, `host` the other computer or the account that
    keeps it: what is equal in one of these fails together. `volume` is the configured one of those that take turns,
    `medium` what tells this store from any other that is connected at the same place. `filesystem` is its type.
    `synced_by` names the sync client whose local folder this is. `lies_on` is what is better read by few at once:
    "spinning" for a disk that moves a head, "share" for a computer across a network. `reads` says what reading proves:
    "medium", or "cache" where what is read may come from memory. `free` is in bytes. What is not in `seen` was not
    assessed.
    """

    device: str | None = None
    disk: str | None = None
    host: str | None = None
    volume: str | None = None
    medium: str | None = None
    filesystem: str | None = None
    synced_by: str | None = None
    lies_on: str | None = None
    reads: str | None = None
    free: int | None = None
    seen: Mapping[Safeguard, Seen] = field(default_factory=dict)


class Store(Protocol):
    """A place that holds images, open for reading. Workers receive the Target and open their own."""

    def __enter__(self) -> Self:
        """Reach the store, or raise StoreUnavailable."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of it."""
        ...

    def partitions(self) -> Iterator[str]:
        """Yield every part that can be listed by itself: all of them, or raise StoreUnavailable."""
        ...

    def listing(self, partition: str) -> Iterator[Copy | Gap]:
        """Yield every object of `partition`, and a Gap for each part of it that could not be listed."""
        ...

    def read(self, copies: Iterable[Copy], first_bytes: int | None = None) -> Iterator[tuple[Copy, Stream | Problem]]:
        """Yield each of `copies` once, in any order; a stream lives until the next one is asked for.

        Where no more than `first_bytes` of each are wanted, a stream may end after them.
        """
        ...

    def safeguards(self) -> Safeguards:
        """Return what protects the store, as far as it shows: more after it was listed than before."""
        ...


@runtime_checkable
class Asked(Protocol):
    """What a store is besides that tells more of an object when it is asked for each by itself."""

    def checksums(self, copies: Iterable[Copy]) -> Iterator[Copy]:
        """Yield each of `copies` once, with all checksums that the store has of it: a request for each.

        Nothing is yielded of what it cannot be asked about.
        """
        ...


@runtime_checkable
class Trash(Protocol):
    """What a store is besides that shows what was deleted there where it is asked: its kind is in `KEEP_DELETED`."""

    def deleted(self, missed: Collection[bytes]) -> Iterator[Copy]:
        """Yield what was deleted there and is kept for a while, as DELETED, with checksums where the store tells them.

        A store that tells them of each by itself is asked about the keys `missed` first, and about some besides.
        """
        ...


@runtime_checkable
class ManyOpen(Protocol):
    """What a store is besides of which many objects can be open at once, at no cost: its kind is in `AT_ONCE`."""

    def open(self, copies: Iterable[Copy]) -> Generator[tuple[Copy, OpenStream | Problem]]:
        """Yield what `read` does, in streams that whoever takes them closes."""
        ...


@runtime_checkable
class Counted(Protocol):
    """What a store is besides that says how many objects it holds."""

    def counts(self) -> tuple[int, int] | None:
        """Return how many there were before and after a listing; None where the store does not say.

        A listing of fewer than both is not whole; one of exactly as many as both is, whatever it looked like.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A whole instance in a file of ours, that a test restore puts into a PACS."""

    path: Path
    size: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str


class Destination(Protocol):
    """A PACS that receives test restores: never a configured store. What arrived is listed and read through `store`.

    Everything raises StoreUnavailable where the PACS can no longer be reached.
    """

    store: Store

    def __enter__(self) -> Self:
        """Reach the PACS, or raise StoreUnavailable."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of it."""
        ...

    def holds(self, study_instance_uid: str) -> bool:
        """Say whether anything of a study is there; raise where that cannot be told."""
        ...

    def put(self, instances: Sequence[Sent]) -> frozenset[str]:
        """Store the instances as they are, and return the SOP Instance UIDs of those that the PACS took."""
        ...

    def rendered(self, copy: Copy) -> bool | None:
        """Say whether the PACS shows an instance as a picture; None where it offers no such thing."""
        ...

    def remove(self, instances: Sequence[Sent]) -> bool:
        """Remove these instances and nothing else; False where not all of it could be done."""
        ...


KINDS = {
    "dicomweb": "exactcopy.stores.dicomweb:DicomwebStore",
    "dimse": "exactcopy.stores.dimse:DimseStore",
    "folder": "exactcopy.stores.folder:FolderStore",
    "rclone": "exactcopy.stores.rclone:RcloneStore",
    "s3": "exactcopy.stores.s3:S3Store",
}


def open_store(target: Target) -> Store:
    """Return the store of `target`, to be entered, within its bounds; a kind's own packages are imported only here."""
    module, _, name = KINDS[target.kind].partition(":")
    store = cast("Store", getattr(import_module(module), name)(target))
    if not (target.window or target.concurrency or target.max_rate or target.until):
        return store
    from exactcopy.stores.bounded import bounded

    return bounded(store, target)


def fault(target: Target) -> str | None:
    """Return why a store cannot be reached from here; None where it can."""
    try:
        with open_store(target):
            return None
    except StoreUnavailable as error:
        return str(error)


DESTINATIONS = {
    "dicomweb": "exactcopy.stores.dicomweb.destination:DicomwebDestination",
    "dimse": "exactcopy.stores.dimse.destination:DimseDestination",
}


def open_destination(target: Target) -> Destination:
    """Return the PACS that receives test restores, to be entered."""
    module, _, name = DESTINATIONS[target.kind].partition(":")
    return cast("Destination", getattr(import_module(module), name)(target))


# A PACS shows UIDs, and may send an instance in other packaging than it came in. `listing("study:" + UID)` asks it
# about one study: nothing is listed where it says that it has none.
PACS = frozenset({"dicomweb", "dimse"})

# These are `Trash`. Others list what was deleted beside what is there, or do not show it.
KEEP_DELETED = frozenset({"rclone"})

# These are `ManyOpen`.
AT_ONCE = frozenset({"folder", "s3"})


def many_open(store: Store) -> ManyOpen:
    """Return `store`, whose kind is in `AT_ONCE`."""
    if not isinstance(store, ManyOpen):
        raise TypeError(store)
    return store


# Reaching these takes a login and connections: a worker that did keeps them for what it reads next of the same store.
_KEPT_OPEN = frozenset({"s3", "rclone"}) | PACS
_kept: list[tuple[int, Target, Store]] = []


@contextmanager
def kept_open(target: Target) -> Iterator[Store]:
    """Give the store of `target`, open; where opening costs, as this process left it after the last call."""
    if target.kind not in _KEPT_OPEN:
        with open_store(target) as store:
            yield store
        return
    if _kept and _kept[0][:2] != (os.getpid(), target):
        _let_go()
    if not _kept:
        _kept.append((os.getpid(), target, open_store(target).__enter__()))
    try:
        yield _kept[0][2]
    except BaseException:
        _let_go()
        raise


def _let_go() -> None:
    process, _, store = _kept.pop()
    # What was opened before a fork is the parent's.
    if process == os.getpid():
        store.__exit__(None, None, None)


# What takes a kind of store longer to load than to import, and is the same for all of that kind.
_LOADED = {"s3": "exactcopy.stores.s3.client:load"}


def import_kinds(kinds: Iterable[str]) -> None:
    """Import the modules of stores before they are needed, and try once what each worker would."""
    if not AT_ONCE.isdisjoint(kinds):
        lanes_pay()
    for kind in kinds:
        # What cannot be imported is told of where it is needed.
        with suppress(Exception):
            import_module(KINDS[kind].partition(":")[0])
            if kind in _LOADED:
                module, _, name = _LOADED[kind].partition(":")
                getattr(import_module(module), name)()


# Providers that let only so many requests through.
PACES = {"rclone": "exactcopy.stores.rclone:pace"}


def pace(target: Target) -> float | None:
    """Return how many objects a second can be read of `target` at most; None where no such limit is known."""
    module, _, name = PACES.get(target.kind, "").partition(":")
    return cast("float | None", getattr(import_module(module), name)(target)) if module else None


# What a kind of store needs running to be reached: once for all workers, not by each.
SERVERS = {"rclone": "exactcopy.stores.rclone.server:serve"}


@contextmanager
def served(targets: Sequence[Target]) -> Iterator[tuple[Target, ...]]:
    """Give `targets` as workers can reach them, in the same order; what they need running ends in every ending."""
    reached = {target.name: target for target in targets}
    with ExitStack() as stack:
        for kind, place in SERVERS.items():
            if of_kind := [target for target in targets if target.kind == kind]:
                module, _, name = place.partition(":")
                serve = getattr(import_module(module), name)
                reached |= {target.name: target for target in stack.enter_context(serve(of_kind))}
        yield tuple(reached.values())
