"""Do a few things at once, and give the results in their order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")

# Requests under way at once: on a long line each waits some ten milliseconds for its answer.
AHEAD = 8


def ahead(work: Callable[[T], U], items: Iterable[T], drop: Callable[[U], None] = lambda _: None) -> Generator[U]:
    """Yield the result of `work` for each item, a few being under way; what is not taken is given to `drop`."""
    waiting: deque[Future[U]] = deque()
    with ThreadPoolExecutor(AHEAD) as threads:
        try:
            for item in items:
                waiting.append(threads.submit(work, item))
                if len(waiting) == AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                if not future.cancel():
                    drop(future.result())
