"""Many large objects at once, each in a lane: their digests take little longer together than one of them alone."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache

from exactcopy.dicom.patient import Patient
from exactcopy.digest import LANES, lanes, lanes_pay
from exactcopy.errors import ObjectChanged
from exactcopy.inventory.examining import Examination, Reading, Row, go_on, row_of
from exactcopy.model import Copy, Identity, Problem
from exactcopy.stores import AT_ONCE, OpenStream, Store, many_open

# Of each object at a time: all of them together still fit the processor's cache.
_PIECE = 64 * 1024
# What is read in fewer pieces gains nothing.
_LEAST_BYTES = 2 * _PIECE
# With fewer objects in the lanes it is faster to finish each by itself.
_FEWEST = 11


@dataclass(frozen=True, slots=True)
class _Lane:
    """An object in its lane, and its stream."""

    under_way: Examination
    stream: OpenStream


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
    at_work: dict[int, _Lane] = {}
    with closing(many_open(store).open(copies)) as opened:
        try:
            yield from _examine(opened, at_work, reading, patients)
        finally:
            for lane in at_work.values():
                lane.stream.close()


def _examine(
    opened: Iterator[tuple[Copy, OpenStream | Problem]],
    at_work: dict[int, _Lane],
    reading: Reading,
    patients: set[Patient],
) -> Iterator[tuple[Copy, Row]]:
    side_by_side, fresh = lanes()
    buffers = _buffers()
    pieces = [buffer[:0] for buffer in buffers]
    spare = memoryview(bytearray(1))
    empty = list(range(LANES))
    while True:
        for number in empty:
            if number in at_work:
                at_work.pop(number).stream.close()
            if lane := (yield from _next(opened, reading)):
                at_work[number] = lane
            side_by_side[number] = fresh()
            pieces[number] = buffers[number][:0]
        active = [(number, lane.under_way, buffers[number]) for number, lane in at_work.items()]
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
        at_work.pop(number).stream.close()


def _next(
    opened: Iterator[tuple[Copy, OpenStream | Problem]], reading: Reading
) -> Generator[tuple[Copy, Row], None, _Lane | None]:
    """Return the next object that could be opened, and yield the rows of those before it that could not."""
    for copy, stream in opened:
        if not isinstance(stream, Problem):
            return _Lane(Examination(copy, stream, reading), stream)
        yield copy, row_of(copy, Identity(problem=stream))
    return None


@cache
def _buffers() -> list[memoryview]:
    return [memoryview(bytearray(_PIECE)) for _ in range(LANES)]
