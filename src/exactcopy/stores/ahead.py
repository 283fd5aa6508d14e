"""Do a few things at once, and give the results in their order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")
U = TypeVar("U")
Result = TypeVar("Result", covariant=True)

# Requests under way at once: on a long line each waits some ten milliseconds for its answer.
AHEAD = 8
# More would come through several connections at once, and out of the processor's cache.
_AHEAD_BYTES = 8 * 1024 * 1024


class Begun(Protocol[Result]):
    """What is under way, as a Future is."""

    def result(self) -> Result:
        """Wait for it, and return what came of it."""
        ...

    def cancel(self) -> bool:
        """Give it up, and say whether nothing will come of it."""
        ...


def ahead(
    begin: Callable[[T], Begun[U]],
    items: Iterable[T],
    drop: Callable[[U], None] = lambda _: None,
    size: Callable[[T], int] = lambda _: 0,
    at_once: int | None = None,
) -> Generator[U]:
    """Yield the result of what is begun for each item, a few being under way; what is not taken is given to `drop`.

    Of items of a large `size` only the next one is under way; of none more than `at_once`.
    """
    most = min(AHEAD, at_once or AHEAD)
    waiting: deque[tuple[Begun[U], int]] = deque()
    try:
        for item in items:
            waiting.append((begin(item), size(item)))
            while len(waiting) == most or (len(waiting) > 1 and sum(large for _, large in waiting) > _AHEAD_BYTES):
                yield waiting.popleft()[0].result()
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        for begun, _ in waiting:
            if not begun.cancel():
                drop(begun.result())
