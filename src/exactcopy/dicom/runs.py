"""Pass many elements in one step where a file is laid out like those before it, as the files of a series are."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile
from struct import Struct
from typing import Any

from exactcopy.dicom.encoding import KEPT, MOST_WANTED_BYTES, UNDEFINED, Buffer, Encoding

RUN = 32  # elements: more are passed in one step, fewer miss when one of them differs
MOST_MISSES = 4  # of a run, before another takes its place: learning costs as much as a few misses
_MOST_RUNS = 4096
_MOST_BYTES = 4096  # of a run: the last that was seen is kept


@dataclass(slots=True)
class Run:
    """Elements in a row: their heads (tag, VR, length), where each stands, and the values of the wanted ones."""

    heads: tuple[Any, ...]
    read_heads: Callable[[Any, int], tuple[Any, ...]]
    size: int
    wanted: tuple[int, ...] = ()
    read_values: Callable[[Any, int], tuple[Any, ...]] = Struct("").unpack_from
    misses: int = 0
    seen: bytes = b""
    values: dict[int, bytes] = field(default_factory=dict)
    # The one that was passed right after it.
    follower: "Run | None" = None

    def fits(self, data: bytes) -> bool:
        """Say whether `data` is laid out like this; then `values` are those of its wanted elements."""
        if self.read_heads(data, 0) != self.heads:
            return False
        if self.wanted:
            self.values = dict(zip(self.wanted, self.read_values(data, 0), strict=True))
        # Where even the values are those of the file before, as in most of a series, no head has to be looked at.
        self.seen = data
        return True


Runs = dict[int, Run]


def learn(runs: Runs, encoding: Encoding, buf: Buffer, pos: int, group: int | None = None) -> Run:
    """Learn the run that begins at `pos`; it ends before what is not plain: of a length, a VR, a tag to look at.

    Where a `group` is given, it ends with that.

    One that was known and no longer fits is cut before what differed: there, files are not all alike.
    """
    first = encoding.pair(buf, pos)[0]
    known = runs.get(first)
    run = _run(encoding, buf, pos, RUN, group)
    if known is not None:
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(known.heads, run.heads, strict=False))
        run = _run(encoding, buf, pos, sum(1 for _ in alike), group)
    if len(runs) >= _MOST_RUNS:
        runs.clear()
    runs[first] = run
    return run


def _run(encoding: Encoding, buf: Buffer, pos: int, most: int, group: int | None) -> Run:
    layout, values, wanted, heads, at = encoding.order, encoding.order, [], 0, pos
    while heads < most and at + 12 <= len(buf):
        tag, length = encoding.pair(buf, at)
        if group is not None and tag & 0xFFFF != group:
            break
        head, vr = 8, 0
        if not encoding.implicit:
            tag, vr, length = encoding.head(buf, at)
            if vr in encoding.long_vrs:
                head, length = 12, encoding.long(buf, at + 8)[0]
            elif vr not in encoding.short_vrs:
                break
        if length == UNDEFINED or at + head + length > min(len(buf), pos + _MOST_BYTES):
            break
        asked, usual_vr = encoding.wanted.get(tag, (None, 0))
        if asked is not None:
            usual = asked in KEPT and (encoding.implicit or vr == usual_vr) and length <= MOST_WANTED_BYTES
            if not usual:
                break
            wanted.append(asked)
        layout += f"{head}s{length}x"
        values += f"{head}x{length}{'x' if asked is None else 's'}"
        at += head + length
        heads += 1
    read_heads = Struct(layout).unpack_from
    # Where there is none, what is remembered never fits: looking again each time would cost more.
    size = at - pos if heads > 2 else sys.maxsize
    return Run(read_heads(buf, pos), read_heads, size, tuple(wanted), Struct(values).unpack_from)
