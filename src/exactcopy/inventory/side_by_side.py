"""Many large objects at once, each in a lane: their digests take little longer together than one of them alone."""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from exactcopy.dicom.patient import Patient
from exactcopy.digest import LANES, lanes, lanes_pay
from exactcopy.errors import ObjectChanged
from exactcopy.inventory.examining import Examination, Reading, Row, go_on, row_of
from exactcopy.model import Copy, Identity, Problem
from exactcopy.stores import AT_ONCE, Store, Stream

# Of each object at a time: all of them together still fit the processor's cache.
_PIECE = 64 * 1024
# What is read in fewer pieces gains nothing.
_LEAST_BYTES = 2 * _PIECE
# With fewer objects in the lanes it is faster to finish each by itself.
_FEWEST = 11


@dataclass(frozen=True, slots=True)
class _Lane:
    """An object in its lane; `opened` keeps its stream open."""

    under_way: Examination
    opened: Iterator[tuple[Copy, Stream | Problem]]


def may_be_side_by_side(reading: Reading) -> bool:
    """Say whether many objects of a store can be read at once."""
    return reading.target.kind in AT_ONCE and reading.first_bytes is None


def pays(reading: Reading) -> bool:
    """Say whether objects are read side by side: where nobody bounds how many are, and where it is faster."""
    bounded = reading.target.concurrency or reading.target.max_rate
    return may_be_side_by_side(reading) and not bounded and lanes_pay()


def part(copies: Iterable[Copy]) -> tuple[list[Copy], list[Copy]]:
    """Return the objects to be read side by side, and the others: too small, or too few."""
    large: list[Copy] = []
    small: list[Copy] = []
    for copy in copies:
        (large if copy.size >= _LEAST_BYTES else small).append(copy)
    return (large, small) if len(large) >= _FEWEST else ([], large + small)


def examine_side_by_side(
    store: Store, copies: Iterable[Copy], reading: Reading, patients: set[Patient]
) -> Iterator[tuple[Copy, Row]]:
    """Yield each of `copies` with its row, in the order in which they end."""
    waiting = iter(copies)
    side_by_side, fresh = lanes()
    buffers = _buffers()
    at_work: list[_Lane | None] = [None] * LANES
    pieces = [buffer[:0] for buffer in buffers]
    spare = memoryview(bytearray(1))
    empty = list(range(LANES))
    while True:
        for number in empty:
            at_work[number] = yield from _next(store, waiting, reading)
            side_by_side[number] = fresh()
            pieces[number] = buffers[number][:0]
        active = [(number, lane.under_way, buffers[number]) for number, lane in enumerate(at_work) if lane is not None]
        if len(active) < _FEWEST:
            break
        empty = []
        ended = []
        while not empty:
            for number, under_way, buffer in active:
                try:
                    count = under_way.stream.readinto(buffer) or 0
                    piece = pieces[number] = buffer if count == _PIECE else buffer[:count]
                    under_way.take(piece)
                    if count and under_way.length < under_way.copy.size:
                        continue
                    # It has ended where it is as long as it was when it was opened, and nothing follows.
                    if count and under_way.stream.readinto(spare):
                        raise ObjectChanged
                    ended.append((number, under_way))
                except ObjectChanged:
                    yield under_way.copy, under_way.fail(Problem.CHANGING)
                except OSError:
                    yield under_way.copy, under_way.fail(Problem.IO_ERROR)
                empty.append(number)
            side_by_side.update(pieces)
        for number, under_way in ended:
            yield under_way.copy, under_way.end(side_by_side[number].digest(), patients)
    for number, under_way, buffer in active:
        yield under_way.copy, go_on(under_way, side_by_side[number], buffer, patients)


def _next(store: Store, waiting: Iterator[Copy], reading: Reading) -> Generator[tuple[Copy, Row], None, _Lane | None]:
    """Open the next object that can be opened, and yield the rows of those before it that cannot."""
    for copy in waiting:
        opened = store.read([copy])
        for as_found, stream in opened:
            if not isinstance(stream, Problem):
                return _Lane(Examination(as_found, stream, reading), opened)
            yield as_found, row_of(as_found, Identity(problem=stream))
    return None


@cache
def _buffers() -> list[memoryview]:
    return [memoryview(bytearray(_PIECE)) for _ in range(LANES)]
