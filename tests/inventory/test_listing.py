"""Partitions are listed side by side; nothing of them is lost, and whatever breaks one breaks the listing."""

import threading
from collections.abc import Iterator

import pytest

from exactcopy.errors import StoreUnavailable
from exactcopy.inventory.listing import _side_by_side
from exactcopy.model import Copy, Gap, Problem
from tests.stores.reporting import ReportingStore


class Parted(ReportingStore):
    """Made partitions of numbered objects; `broken` raises after its first page."""

    def __init__(self, sizes: dict[str, int]) -> None:
        """Take how many objects each partition holds; of a negative one the listing breaks off."""
        self.sizes = sizes

    def listing(self, partition: str) -> Iterator[Copy | Gap]:
        """Yield the objects of a partition and a gap at its end."""
        for number in range(abs(self.sizes[partition])):
            yield Copy(key=f"{partition}/{number}".encode(), size=1, modified=0)
        if self.sizes[partition] < 0:
            raise StoreUnavailable("server", "cloud", "the server fails", "Try again later.")
        yield Gap(scope=partition.encode(), reason=Problem.IO_ERROR)


def test_each_object_and_each_gap_of_all_partitions_comes_once() -> None:
    sizes = {f"p{number}": 1700 * (number % 3) + number for number in range(20)}
    found = list(_side_by_side(Parted(sizes), list(sizes)))
    keys = [item.key for item in found if isinstance(item, Copy)]
    assert sorted(keys) == sorted(f"{name}/{n}".encode() for name, size in sizes.items() for n in range(size))
    assert sorted(item.scope for item in found if isinstance(item, Gap)) == sorted(name.encode() for name in sizes)


@pytest.mark.parametrize("at", range(0, 20, 5))
def test_a_partition_that_fails_fails_the_listing_and_leaves_no_thread(at: int) -> None:
    sizes = {f"p{number}": -2500 if number == at else 30_000 for number in range(20)}
    before = threading.active_count()
    with pytest.raises(StoreUnavailable):
        list(_side_by_side(Parted(sizes), list(sizes)))
    assert threading.active_count() == before


def test_a_listing_that_is_left_leaves_no_thread() -> None:
    sizes = {f"p{number}": 30_000 for number in range(20)}
    before = threading.active_count()
    walk = _side_by_side(Parted(sizes), list(sizes))
    next(walk)
    walk.close()
    assert threading.active_count() == before
