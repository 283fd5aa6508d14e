"""Pass many elements in one step where a file is laid out like those before it, as the files of a series are."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Any

from exactcopy.dicom.encoding import UNDEFINED, Buffer, Encoding

RUN = 16  # elements: more are passed in one step, fewer miss when one of them differs
MOST_MISSES = 4  # of a run, before another takes its place: learning costs as much as a few misses
_MOST_RUNS = 4096


@dataclass(slots=True)
class Run:
    """Elements in a row that nobody wants: their heads (tag, VR, length), where each stands, and bytes in all."""

    heads: tuple[Any, ...]
    read_heads: Callable[[Any, int], tuple[Any, ...]]
    size: int
    misses: int = 0


Runs = dict[int, Run]


def learn(runs: Runs, encoding: Encoding, buf: Buffer, pos: int) -> Run:
    """Learn the run that begins at `pos`; it ends before what is wanted or has no plain length."""
    layout, heads, at, first = encoding.order, 0, pos, encoding.pair(buf, pos)[0]
    while heads < RUN and at + 8 <= len(buf):
        tag, length = encoding.pair(buf, at)
        plain = length != UNDEFINED
        if not encoding.implicit:
            tag, vr, length = encoding.head(buf, at)
            plain = vr in encoding.short_vrs
        if tag in encoding.wanted or not plain or at + 8 + length > len(buf):
            break
        layout += f"8s{length}x"
        at += 8 + length
        heads += 1
    read_heads = Struct(layout).unpack_from
    # Where there is none, what is remembered never fits: looking again each time would cost more.
    run = Run(read_heads(buf, pos), read_heads, at - pos if heads > 2 else sys.maxsize)
    if len(runs) >= _MOST_RUNS:
        runs.clear()
    runs[first] = run
    return run
