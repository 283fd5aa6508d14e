"""How much is under way at once."""

from threading import Lock

import pytest

from exactcopy.stores.ahead import AHEAD, ahead


@pytest.mark.parametrize(("size", "most"), [(100, AHEAD), (100_000_000, 2)], ids=["small", "large"])
def test_of_large_items_only_the_next_is_under_way(size: int, most: int) -> None:
    lock = Lock()
    begun: list[int] = []

    def work(item: int) -> int:
        with lock:
            begun.append(item)
        return item

    for taken, item in enumerate(ahead(work, range(30), size=lambda _: size)):
        assert item == taken
        with lock:
            assert len(begun) - taken <= most
    assert sorted(begun) == list(range(30))
