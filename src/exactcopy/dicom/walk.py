"""Step over the elements of a DICOM file as its bytes stream by, in flat memory (PS3.5 7, PS3.10 7).

These loops run a few hundred times for each of millions of files: they are written for speed, and leave
whatever is irregular to somebody slower.
"""

import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from itertools import islice, repeat
from operator import length_hint
from typing import Any

from exactcopy.dicom.encoding import (
    BIG,
    ENCAPSULATED,
    EXPLICIT,
    IMPLICIT,
    KEPT,
    MOST_WANTED_BYTES,
    PATIENT,
    PIXEL_TAGS,
    UNDEFINED,
    WANTED,
    Buffer,
    Encoding,
    data_set_encoding,
    upper,
)
from exactcopy.dicom.runs import MOST_MISSES, RUN, Run, Runs, learn
from exactcopy.dicom.terms import DEFLATED, LONG_VRS, SHORT_VRS

MOST_ELEMENTS = 10_000_000  # a whole-slide image has a few millions, nested; more is an attack
MOST_NESTED = 100
MOST_INFLATED = 512 * 1024 * 1024
PIECE = 64 * 1024


# What this process has seen of the layout of files: it changes how fast they are walked, and nothing else.
RUNS: dict[str, Runs] = {name: {} for name in ("meta", IMPLICIT.name, EXPLICIT.name, BIG.name)}
_KNOWN_VRS = {vr.encode() for vr in SHORT_VRS | LONG_VRS}


class Step(IntEnum):
    """What a walker expects next."""

    PREAMBLE = 0
    META = 1
    START = 2
    EXPLICIT = 3
    IMPLICIT = 4
    NESTED = 5
    TRAILING = 6
    ZEROS = 7
    INFLATE = 8
    DONE = 9


# What the innermost open thing of undefined length is.
_SEQUENCE, _SEQUENCE_IMPLICIT, _FRAGMENTS, _ITEM, _ITEM_IMPLICIT, _ITEM_NEW = range(6)


def opening(buf: Buffer, pos: int) -> Step | None:
    """Say what begins at `pos` of a file without a prefix: file meta, a data set, or None for no DICOM."""
    head = bytes(buf[pos : pos + 8])
    if len(head) < 8:
        return None
    group, element = int.from_bytes(head[:2], "little"), int.from_bytes(head[2:4], "little")
    explicit, length = head[4:6] in _KNOWN_VRS, int.from_bytes(head[4:], "little")
    if group == 2 and element <= 0x0102 and (explicit or length <= 256):
        return Step.META
    if group == 8 and element < 0x4000 and (explicit or length <= 0xFFFF):
        return Step.START
    if head[:2] == b"\0\x08" and explicit:
        return Step.START
    return None


class Walker:
    """Takes a file in consecutive pieces and keeps what `KEPT` names, at top level only."""

    def __init__(self, step: Step = Step.PREAMBLE, encoding: Encoding = EXPLICIT) -> None:
        """Begin at `step`; `encoding` is that of the data set where the start of the file is not walked."""
        self.step = step
        self.encoding = encoding
        self.values: dict[int, bytes] = {}
        self.skip = 0
        self.carry = b""
        self.budget = repeat(None, MOST_ELEMENTS)
        self.stack: list[int] = []
        self.begins = step is not Step.PREAMBLE
        self.irregular = False
        self.too_many = False
        self.mismatch = False
        self.junk = False
        self.pixel_length: int | None = None
        self.fragments = 0
        self.delimited = False
        self.inner: Walker | None = None
        self.inflated = 0
        self.inflates_too_far = False
        self.inflater: Any = None

    def feed(self, chunk: Buffer) -> None:
        """Walk over the next bytes of the file; keep at most a few of them."""
        size = len(chunk)
        pos = self.skip
        if pos >= size:
            self.skip = pos - size
            return
        self.skip = 0
        if self.carry:
            carried = len(self.carry)
            joined = self.carry + bytes(chunk[: 2 * MOST_WANTED_BYTES])
            pos = self._walk(joined, 0)
            if pos < carried:
                self.carry = joined[pos:]
                return
            self.carry = b""
            pos -= carried
        pos = self._walk(chunk, pos)
        if pos < size:
            self.carry = bytes(chunk[pos:])
        else:
            self.skip = pos - size

    def finish(self) -> None:
        """Look at what is left when the file has ended."""
        if self.step is Step.PREAMBLE and self.carry:
            # Shorter than a preamble: a data set without one, or nothing.
            self._begin(self.carry, 0)
            self.carry = self.carry[self._walk(self.carry, 0) :]
        if self.inner is not None:
            self.inner.finish()

    @property
    def cut(self) -> bool:
        """Say whether the file ended inside something: a value, a header, a sequence."""
        if self.step is Step.DONE:
            return False
        return bool(self.skip or self.stack or self.carry.strip(b"\0") or self.step is Step.INFLATE)

    def _walk(self, buf: Buffer, pos: int) -> int:
        """Walk as far as the bytes go; return the first byte that is still needed, or where to go on."""
        while True:
            step = self.step
            pos = _STEPS[step](self, buf, pos)
            if self.step is step:
                return pos

    def _stop(self, buf: Buffer, *, irregular: bool = True) -> int:
        """Walk no further."""
        self.step = Step.DONE
        self.irregular = self.irregular or irregular
        self.stack.clear()
        return len(buf)

    def _preamble(self, buf: Buffer, pos: int) -> int:
        """Pass the preamble and the prefix (PS3.10 7.1), where there are any."""
        if len(buf) - pos < 132:
            return pos
        if buf[pos + 128 : pos + 132] == b"DICM":
            self.begins, self.step = True, Step.META
            return pos + 132
        return self._begin(buf, pos)

    def _begin(self, buf: Buffer, pos: int) -> int:
        """Begin a file without a preamble, or find that it is no DICOM."""
        step = opening(buf, pos)
        self.begins = step is not None
        self.step = Step.DONE if step is None else step
        return pos if self.begins else len(buf)

    def _meta(self, buf: Buffer, pos: int) -> int:
        """Pass the file meta group, which is explicit little endian in every file (PS3.10 7.1)."""
        encoding, runs, passed = EXPLICIT, RUNS["meta"], False
        size = len(buf)
        while pos + 8 <= size:
            tag, vr, length = encoding.head(buf, pos)
            if tag & 0xFFFF != 2:
                self.step = Step.START
                return pos
            if not passed:
                passed = True
                run = runs.get(tag)
                if run is None or run.misses == MOST_MISSES:
                    run = learn(runs, encoding, buf, pos, 2)
                if pos + run.size <= size:
                    data = bytes(buf[pos : pos + run.size])
                    if data == run.seen or run.fits(data):
                        self.values.update(run.values)
                        pos += run.size
                        continue
                    run.misses += 1
            value = pos + 8
            if vr in encoding.long_vrs:
                value = pos + 12
                if value > size:
                    return pos
                length = encoding.long(buf, pos + 8)[0]
            elif vr not in encoding.short_vrs:
                return self._stop(buf)
            if length == UNDEFINED:
                return self._stop(buf)
            known = encoding.wanted.get(tag)
            if known is not None:
                if vr not in (known[1], encoding.unknown_vr) or length > MOST_WANTED_BYTES:
                    return self._stop(buf)
                if value + length > size:
                    return pos
                self.values[known[0]] = bytes(buf[value : value + length])
            pos = value + length
        return pos

    def _start(self, buf: Buffer, pos: int) -> int:
        """Decide how the data set is encoded: by the file meta, corrected by what is really there."""
        if len(buf) - pos < 8:
            return pos
        stated = self.values.get(0x00020010)
        syntax = None if stated is None else stated.decode("latin-1").strip("\0 ")
        if syntax == DEFLATED:
            self.step, self.inflater = Step.INFLATE, zlib.decompressobj(-zlib.MAX_WBITS)
            self.inner = Walker(Step.START)
            return pos
        encoding, self.mismatch = data_set_encoding(buf, pos, syntax)
        if encoding is None:
            return self._stop(buf)
        self.encoding = encoding
        self.step = Step.IMPLICIT if encoding.implicit else Step.EXPLICIT
        return pos

    def _explicit(self, buf: Buffer, pos: int) -> int:
        """Pass top-level elements which name their VR."""
        encoding, values = self.encoding, self.values
        head, short_vrs, wanted = encoding.head, encoding.short_vrs, encoding.wanted
        runs, wait, before = RUNS[encoding.name], 0, None
        size = len(buf)
        last = size - 8
        for _ in self.budget:
            if pos > last:
                return pos
            tag, vr, length = head(buf, pos)
            if wait:
                wait -= 1
            else:
                run = runs.get(tag)
                if run is None or run.misses == MOST_MISSES:
                    run = learn(runs, encoding, buf, pos)
                passed, after = self._pass(run, buf, pos)
                if passed is not None:
                    if before is not None:
                        before.follower = run
                    before, pos = passed, after
                    continue
                if run.size < sys.maxsize:
                    run.misses += 1
                    wait = RUN - 1
            before = None
            if tag in wanted:
                known, expected = wanted[tag]
                if vr != expected or length > MOST_WANTED_BYTES:
                    after = self._odd(buf, pos, known, vr)
                    if after == pos or self.step is not Step.EXPLICIT:
                        return after
                    pos = after
                    continue
                value = pos + 8
                if value + length > size:
                    return pos
                pos = value + length
                values[known] = bytes(buf[value:pos])
            elif vr in short_vrs:
                pos += 8 + length
            elif vr in encoding.long_vrs:
                if pos + 4 > last:
                    return pos
                length = encoding.long(buf, pos + 8)[0]
                pos += 12
                if length == UNDEFINED:
                    return self._open(buf, pos, vr)
                pos += length
            else:
                return self._stop(buf)
        self.too_many = True
        return self._stop(buf)

    def _pass(self, run: Run, buf: Buffer, pos: int) -> tuple[Run | None, int]:
        """Pass a run and those that followed it before, as long as they fit and the budget allows all of each.

        Return the last of them, if there is one, and where it ends.
        """
        size, left, taken, last = len(buf), length_hint(self.budget), 0, None
        follower: Run | None = run
        while follower is not None and pos + follower.size <= size and left - taken >= len(follower.heads):
            data = bytes(buf[pos : pos + follower.size])
            if data != follower.seen and not follower.fits(data):
                break
            if follower.wanted:
                self.values.update(follower.values)
            last = follower
            taken += len(last.heads)
            pos += last.size
            follower = last.follower
        if last is not None:
            # Who called took one already.
            next(islice(self.budget, taken - 2, None), None)
        return last, pos

    def _odd(self, buf: Buffer, pos: int, known: int, vr: int) -> int:
        """Pass a wanted element that is not of its usual VR, or enter the pixel data or trailing zeros."""
        encoding = self.encoding
        if known in PATIENT:
            return self._patient(buf, pos, known, vr)
        if known == 0 and not bytes(buf[pos : pos + 8]).strip(b"\0"):
            self.step = Step.ZEROS
            return pos
        if vr not in encoding.long_vrs:
            return self._stop(buf)
        value = pos + 12
        if value > len(buf):
            return pos
        length = encoding.long(buf, pos + 8)[0]
        if known in PIXEL_TAGS:
            return self._pixels(value, length)
        if known not in WANTED or vr != encoding.unknown_vr or length > MOST_WANTED_BYTES:
            return self._stop(buf)
        if value + length > len(buf):
            return pos
        self.values[known] = bytes(buf[value : value + length])
        return int(value + length)

    def _patient(self, buf: Buffer, pos: int, known: int, vr: int) -> int:
        """Pass an element about the patient that is of another VR than usual, or long."""
        encoding = self.encoding
        value, (_, _, length) = pos + 8, encoding.head(buf, pos)
        if vr in encoding.long_vrs:
            value = pos + 12
            if value > len(buf):
                return pos
            length = encoding.long(buf, pos + 8)[0]
            if length == UNDEFINED:
                return self._open(buf, value, vr)
        elif vr not in encoding.short_vrs:
            return self._stop(buf)
        if length <= MOST_WANTED_BYTES:
            if value + length > len(buf):
                return pos
            self.values[known] = bytes(buf[value : value + length])
        return int(value + length)

    def _implicit(self, buf: Buffer, pos: int) -> int:
        """Pass top-level elements which do not name their VR."""
        encoding, values = self.encoding, self.values
        pair, wanted = encoding.pair, encoding.wanted
        runs, wait, before = RUNS[encoding.name], 0, None
        size = len(buf)
        last = size - 8
        for _ in self.budget:
            if pos > last:
                return pos
            tag, length = pair(buf, pos)
            if wait:
                wait -= 1
            else:
                run = runs.get(tag)
                if run is None or run.misses == MOST_MISSES:
                    run = learn(runs, encoding, buf, pos)
                passed, after = self._pass(run, buf, pos)
                if passed is not None:
                    if before is not None:
                        before.follower = run
                    before, pos = passed, after
                    continue
                if run.size < sys.maxsize:
                    run.misses += 1
                    wait = RUN - 1
            before = None
            value = pos + 8
            if tag in wanted:
                known = wanted[tag][0]
                if known in PIXEL_TAGS:
                    return self._pixels(value, length)
                if known == 0 and length == 0:
                    self.step = Step.ZEROS
                    return pos
                if known not in KEPT or (known in WANTED and length > MOST_WANTED_BYTES):
                    return self._stop(buf)
                if length == UNDEFINED:
                    return self._open(buf, value, None)
                if length <= MOST_WANTED_BYTES:
                    if value + length > size:
                        return pos
                    values[known] = bytes(buf[value : value + length])
            elif length == UNDEFINED:
                return self._open(buf, value, None)
            pos = value + length
        self.too_many = True
        return self._stop(buf)

    def _open(self, buf: Buffer, value: int, vr: int | None) -> int:
        """Enter a top-level sequence of undefined length."""
        if vr is not None and vr not in self.encoding.sequence_vrs:
            return self._stop(buf)
        self.stack.append(_SEQUENCE_IMPLICIT if vr is None else _SEQUENCE)
        self.step = Step.NESTED
        return value

    def _pixels(self, value: int, length: int) -> int:
        """Enter the pixel data: native with its length, or encapsulated fragments (PS3.5 A.4)."""
        if length != UNDEFINED:
            self.pixel_length = length
            self.step = Step.TRAILING
            return value + length
        self.pixel_length = ENCAPSULATED
        self.stack.append(_FRAGMENTS)
        self.step = Step.NESTED
        return value

    def _nested(self, buf: Buffer, pos: int) -> int:
        """Step through what has no length of its own, to its delimiters, without recursion."""
        encoding, stack = self.encoding, self.stack
        head, pair, short_vrs, long_vrs = encoding.head, encoding.pair, encoding.short_vrs, encoding.long_vrs
        item, item_end, sequence_end = encoding.item, encoding.item_end, encoding.sequence_end
        size = len(buf)
        last = size - 8
        inside = stack[-1]
        for _ in self.budget:
            if pos > last:
                return pos
            tag, length = pair(buf, pos)
            if tag == item_end or tag == sequence_end:  # noqa: SIM109  no tuple is built
                if (tag == item_end) != (inside >= _ITEM):
                    return self._stop(buf)
                pos += 8
                stack.pop()
                if not stack:
                    return self._close(pos)
                inside = stack[-1]
                continue
            if inside <= _FRAGMENTS:
                if tag != item or (length == UNDEFINED and inside == _FRAGMENTS):
                    return self._stop(buf)
                pos += 8
                if length != UNDEFINED:
                    self.fragments += inside == _FRAGMENTS and not self.delimited
                    pos += length
                    continue
                inside = _ITEM_IMPLICIT if inside == _SEQUENCE_IMPLICIT else _ITEM_NEW
            else:
                if inside == _ITEM_NEW:
                    # What a server took over as UN is implicit, item by item (PS3.5 6.2.2).
                    explicit = upper(buf[pos + 4 : pos + 6])
                    inside = stack[-1] = _ITEM if explicit else _ITEM_IMPLICIT
                opens = _SEQUENCE_IMPLICIT
                width = 8
                if inside == _ITEM:
                    _, vr, short = head(buf, pos)
                    if vr in short_vrs:
                        pos += 8 + short
                        continue
                    if vr in long_vrs:
                        if pos + 4 > last:
                            return pos
                        width = 12
                        length = encoding.long(buf, pos + 8)[0]
                        opens = _SEQUENCE if vr in encoding.sequence_vrs else _FRAGMENTS
                        if length == UNDEFINED and opens == _FRAGMENTS and vr not in encoding.bytes_vrs:
                            return self._stop(buf)
                    elif upper(buf[pos + 4 : pos + 6]):
                        return self._stop(buf)
                if tag == item:
                    return self._stop(buf)
                pos += width
                if length != UNDEFINED:
                    pos += length
                    continue
                inside = opens
            stack.append(inside)
            if len(stack) > MOST_NESTED:
                return self._stop(buf)
        self.too_many = True
        return self._stop(buf)

    def _close(self, pos: int) -> int:
        """Leave the outermost sequence."""
        if self.pixel_length is not None:
            self.delimited = True
            self.step = Step.TRAILING
        else:
            self.step = Step.IMPLICIT if self.encoding.implicit else Step.EXPLICIT
        return pos

    def _trailing(self, buf: Buffer, pos: int) -> int:
        """Pass what may follow the pixel data: padding, signatures, private elements, stray bytes."""
        encoding = self.encoding
        size = len(buf)
        while pos + 8 <= size:
            tag, length = encoding.pair(buf, pos)
            rank = tag if encoding.order == ">" else (tag & 0xFFFF) << 16 | tag >> 16
            if tag == 0 and length == 0:
                self.step = Step.ZEROS
                return pos
            value, vr = pos + 8, None
            if not encoding.implicit:
                _, vr, length = encoding.head(buf, pos)
                if vr in encoding.long_vrs:
                    value = pos + 12
                    if value > size:
                        return pos
                    length = encoding.long(buf, pos + 8)[0]
            known = vr is None or vr in encoding.long_vrs or vr in encoding.short_vrs
            if not known or rank <= max(PIXEL_TAGS) or rank >> 16 == 0xFFFE:
                self.junk = True
                return self._stop(buf, irregular=False)
            if length == UNDEFINED:
                return self._open(buf, value, vr)
            pos = value + length
        return pos

    def _zeros(self, buf: Buffer, pos: int) -> int:
        """Pass trailing zeros; anything else among them is irregular."""
        if bytes(buf[pos:]).strip(b"\0"):
            if self.pixel_length is None:
                return self._stop(buf)
            self.junk = True
            return self._stop(buf, irregular=False)
        return len(buf)

    def _inflate(self, buf: Buffer, pos: int) -> int:
        """Inflate the data set in bounded pieces and walk over it (PS3.5 A.5)."""
        for start in range(pos, len(buf), 4096):
            data = bytes(buf[start : start + 4096])
            before = self.inflater.copy()
            try:
                self._inflate_piece(data)
            except zlib.error:
                # Whatever precedes the damage is used, however the file was cut into pieces.
                self.inflater = before
                with suppress(zlib.error):
                    for at in range(len(data)):
                        self._inflate_piece(data[at : at + 1])
                return self._stop(buf)
            if self.step is Step.DONE:
                break
        return len(buf)

    def _inflate_piece(self, data: bytes) -> None:
        """Walk over what some bytes inflate to, as far as it is let."""
        inner, inflater = self.inner, self.inflater
        pieces: list[bytes] = []
        assert inner is not None  # noqa: S101  it is made with the inflater
        # At its end, the inflater keeps what it did not use as if it were still to come.
        while not inflater.eof and (not pieces or data or len(pieces[-1]) == PIECE):
            pieces.append(inflater.decompress(data, PIECE))
            data = inflater.unconsumed_tail
        for piece in pieces:
            inner.feed(piece)
            self.inflated += len(piece)
        self.inflates_too_far = self.inflated > MOST_INFLATED
        if self.inflates_too_far or inflater.eof or inner.irregular:
            self.step = Step.DONE


_STEPS: tuple[Callable[[Walker, Buffer, int], int], ...] = (
    Walker._preamble,
    Walker._meta,
    Walker._start,
    Walker._explicit,
    Walker._implicit,
    Walker._nested,
    Walker._trailing,
    Walker._zeros,
    Walker._inflate,
    lambda _walker, buf, pos: max(pos, len(buf)),
)
