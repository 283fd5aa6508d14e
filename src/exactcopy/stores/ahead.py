"""Do a few things at once, and give the results in their order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")

# Requests under way at once: on a long line each waits some ten milliseconds for its answer.
AHEAD = 8
# More would come through several connections at once, and out of the processor's cache.
_AHEAD_BYTES = 8 * 1024 * 1024


def ahead(
    work: Callable[[T], U],
    items: Iterable[T],
    drop: Callable[[U], None] = lambda _: None,
    size: Callable[[T], int] = lambda _: 0,
    at_once: int | None = None,
) -> Generator[U]:
    """Yield the result of `work` for each item, a few being under way; what is not taken is given to `drop`.

    Of items of a large `size` only the next one is under way; of none more than `at_once`.
    """
    most = min(AHEAD, at_once or AHEAD)
    waiting: deque[tuple[Future[U], int]] = deque()
    with ThreadPoolExecutor(most) as threads:
        try:
            for item in items:
                waiting.append((threads.submit(work, item), size(item)))
                while len(waiting) == most or (len(waiting) > 1 and sum(large for _, large in waiting) > _AHEAD_BYTES):
                    yield waiting.popleft()[0].result()
            while waiting:
                yield waiting.popleft()[0].result()
        finally:
            for future, _ in waiting:
                if not future.cancel():
                    drop(future.result())
