"""How much is under way at once."""

from concurrent.futures import ThreadPoolExecutor
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

    with ThreadPoolExecutor(30) as threads:
        for taken, item in enumerate(ahead(lambda n: threads.submit(work, n), range(30), size=lambda _: size)):
            assert item == taken
            with lock:
                assert len(begun) - taken <= most
    assert sorted(begun) == list(range(30))


def test_what_is_not_taken_is_given_up_or_dropped() -> None:
    dropped: list[int] = []
    with ThreadPoolExecutor(1) as threads:
        results = ahead(lambda n: threads.submit(int, n), range(30), dropped.append)
        assert next(results) == 0
        threads.submit(int).result()
        results.close()
    assert dropped == list(range(1, AHEAD))
