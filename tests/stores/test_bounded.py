"""Bounds hold whatever the kind of store: none reads more at once, faster, or at another hour than it may."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from exactcopy.errors import WindowClosed
from exactcopy.model import Copy, Gap, Role, Target
from exactcopy.stores import KINDS, Asked, open_store
from exactcopy.stores.bounded import problem_of, readers, share, unhurried
from exactcopy.stores.folder import FolderStore
from exactcopy.windows import Window

_HOUR = timedelta(hours=1)


def target(folder: Path, **bounds: Any) -> Target:
    """Give a folder that is bounded."""
    return Target(name="nas", role=Role.BACKUP, kind="folder", identity="", options={"path": str(folder)}, **bounds)


def around(begin: timedelta, end: timedelta) -> Window:
    """Give a window from and to so long after now."""
    now = datetime.now(UTC)
    return Window((now + begin).time(), (now + end).time(), "UTC")


OPEN, CLOSED = around(-_HOUR, 10 * _HOUR), around(_HOUR, 2 * _HOUR)


def read_all(bounded: Target) -> int:
    """Read a store to its end, and give how many bytes came."""
    buffer = memoryview(bytearray(64 * 1024))
    size = 0
    with open_store(bounded) as store:
        copies = [item for part in store.partitions() for item in store.listing(part) if isinstance(item, Copy)]
        for _, stream in store.read(copies):
            assert not isinstance(stream, str)
            while count := stream.readinto(buffer):
                size += count
    return size


def test_a_rate_is_kept_and_not_exceeded_at_the_beginning(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(1_000_000))
    begun = monotonic()
    assert read_all(target(tmp_path, max_rate=1_000_000, window=OPEN)) == 1_000_000
    assert monotonic() - begun >= 1


def test_all_who_read_at_once_keep_the_rate_together(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(500_000))
    bounded = target(tmp_path, max_rate=2_000_000, concurrency=2)
    assert (readers(bounded, 8), readers(bounded, 1), readers(target(tmp_path), 8)) == (2, 1, 8)
    begun = monotonic()
    with ThreadPoolExecutor(2) as threads:
        sizes = list(threads.map(read_all, [share(bounded, 8)] * 2))
    assert sum(sizes) / (monotonic() - begun) <= 2_000_000
    assert share(target(tmp_path), 8) == target(tmp_path)


class CountingStore(FolderStore):
    """Counts how many of its parts are being listed at once."""

    now = most = 0
    counting = threading.Lock()

    def partitions(self) -> Iterator[str]:
        """Yield many parts."""
        yield from map(str, range(6))

    def listing(self, partition: str) -> Iterator[Copy | Gap]:
        """Take a while."""
        with self.counting:
            CountingStore.now += 1
            CountingStore.most = max(self.most, self.now)
        sleep(0.05)
        yield Copy(key=partition.encode(), size=1, modified=0)
        with self.counting:
            CountingStore.now -= 1


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_parts_are_listed_at_once_than_allowed(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from exactcopy.inventory.database import database
    from exactcopy.inventory.listing import list_store

    monkeypatch.setitem(KINDS, "counting", f"{__name__}:CountingStore")
    monkeypatch.setattr(CountingStore, "most", 0)
    (tmp_path / "store").mkdir()
    bounded = replace(target(tmp_path / "store", concurrency=most), kind="counting")
    with database(tmp_path / "spill") as db:
        listing = list_store(db, bounded, tmp_path / "work", lambda target, medium: None)
    assert (listing.objects, CountingStore.most) == (6, most)


def test_outside_its_window_a_store_is_not_even_reached(tmp_path: Path) -> None:
    with pytest.raises(WindowClosed) as caught, open_store(target(tmp_path / "is not there", window=CLOSED)):
        pass
    assert caught.value.code == "outside_window"
    assert str(caught.value) == (
        f"nas: its window is {CLOSED}, and now it is outside of it. Its window starts at {CLOSED.begin:%H:%M}:"
        " audit again then."
    )


def test_a_window_that_closes_ends_listing_and_reading(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(1000))
    closing = target(tmp_path, window=around(-_HOUR, timedelta(seconds=0.5)))
    with open_store(closing) as store:
        [copy] = [item for item in store.listing(next(iter(store.partitions()))) if isinstance(item, Copy)]
        _, stream = next(iter(store.read([copy])))
        assert not isinstance(stream, str)
        sleep(0.6)
        for ended in (
            lambda: stream.readinto(bytearray(10)),
            lambda: list(store.read([copy])),
            lambda: [item for part in store.partitions() for item in store.listing(part)],
        ):
            with pytest.raises(WindowClosed):
                ended()


def test_a_bounded_store_is_asked_for_checksums_only_if_it_tells_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "reporting", "tests.stores.reporting:AskedStore")
    (tmp_path / "image").write_bytes(b"image")
    options = {"path": str(tmp_path), "algorithms": ["md5"], "lies": (), "log": str(tmp_path.with_suffix(".log"))}
    asked = replace(target(tmp_path, concurrency=1), kind="reporting", options=options)
    assert not isinstance(open_store(target(tmp_path, concurrency=1)), Asked)
    with open_store(asked) as store:
        assert isinstance(store, Asked)
        [copy] = [item for part in store.partitions() for item in store.listing(part) if isinstance(item, Copy)]
        assert [bool(told.digests) for told in store.checksums([copy])] == [True]


@pytest.mark.parametrize(
    ("lies_on", "set_to", "many"), [("spinning", None, 1), ("share", None, 4), (None, None, 16), ("spinning", 3, 3)]
)
def test_few_read_a_disk_with_a_head_or_a_share_unless_the_owner_says_otherwise(
    tmp_path: Path, lies_on: str | None, set_to: int | None, many: int
) -> None:
    assert readers(unhurried(target(tmp_path, concurrency=set_to), lies_on), 16) == many


def test_once_its_hours_are_over_a_store_is_left_in_the_middle_of_an_object(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(1_000_000))
    with pytest.raises(WindowClosed) as caught:
        read_all(target(tmp_path, until=datetime.now(UTC) + timedelta(seconds=0.2), max_rate=500_000))
    assert (caught.value.code, problem_of(caught.value)) == ("out_of_time", "over_time")
    with pytest.raises(WindowClosed):
        open_store(target(tmp_path, until=datetime.now(UTC))).__enter__()
