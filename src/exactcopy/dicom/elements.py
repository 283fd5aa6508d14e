"""Read a whole instance in memory into its elements, strictly: what is irregular is not read at all."""

import zlib
from array import array
from collections.abc import Container
from dataclasses import dataclass, field
from functools import lru_cache

from exactcopy.dicom.encoding import (
    BIG,
    EXPLICIT,
    IMPLICIT,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    Encoding,
    data_set_encoding,
    upper,
)
from exactcopy.dicom.quiet import pydicom_quietly
from exactcopy.dicom.terms import DEFLATED, LONG_VRS, SHORT_VRS
from exactcopy.dicom.walk import MOST_INFLATED, MOST_NESTED, PIECE, Step, opening

PIXEL_GROUP = 0x7FE0
MOST_KEPT = 2_000_000  # elements: each takes about 300 bytes
# Units that are swapped between byte orders (PS3.5 7.3). UN is a string of bytes.
_WIDTHS = {
    **dict.fromkeys(("US", "SS", "OW", "AT"), "H"),
    **dict.fromkeys(("UL", "SL", "FL", "OF", "OL"), "I"),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), "Q"),
}


class MalformedError(ValueError):
    """The bytes are no regular data set; `in_pixels` where only the pixel data is not."""

    def __init__(self, *, in_pixels: bool = False) -> None:
        """Say nothing of what was read: it may be anybody's."""
        super().__init__("not a regular data set")
        self.in_pixels = in_pixels


class InflatesTooFarError(MalformedError):
    """A deflated data set is larger than we are willing to hold."""


@dataclass(frozen=True, slots=True)
class Fragments:
    """Encapsulated pixel data: the offset table and the fragments after it (PS3.5 A.4)."""

    offsets: bytes
    parts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Element:
    """One element with its value in little endian; `vr` is None where the data set does not name it."""

    vr: str | None
    value: "bytes | Fragments | list[DataSet]"


# By tag and how many of that tag came before: a repeated element is kept and compared like any other.
DataSet = dict[tuple[int, int], Element]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A whole instance: the transfer syntax that its file states, and its data set."""

    syntax: str | None
    encoding: Encoding
    data_set: DataSet = field(repr=False)


def read_instance(data: bytes) -> Instance:
    """Read every element of a file, or raise `MalformedError`."""
    pos = 132 if data[128:132] == b"DICM" else 0
    if not pos and opening(data, 0) not in (Step.META, Step.START):
        raise MalformedError
    syntax, pos = _file_meta(data, pos)
    if syntax == DEFLATED:
        data, pos = inflate(data[pos:]), 0
    if len(data) - pos < 8:
        raise MalformedError
    encoding, _ = data_set_encoding(data, pos, None if syntax == DEFLATED else syntax)
    if encoding is None:
        raise MalformedError
    data_set, _ = Reader(data, encoding).data_set(pos, len(data), encoding.implicit, 0)
    return Instance(syntax=syntax, encoding=encoding, data_set=data_set)


def as_items(value: bytes) -> list[DataSet]:
    """Read a value of unknown VR as a sequence, always in implicit little endian (PS3.5 6.2.2)."""
    return Reader(value, IMPLICIT).sequence(0, len(value), True, 1)[0]


def inflate(data: bytes) -> bytes:
    """Inflate a deflated data set, up to a limit."""
    inflater, pieces, size = zlib.decompressobj(-zlib.MAX_WBITS), [], 0
    try:
        for start in range(0, len(data), PIECE):
            pieces.append(inflater.decompress(data[start : start + PIECE], MOST_INFLATED + 1 - size))
            size += len(pieces[-1])
            if size > MOST_INFLATED:
                raise InflatesTooFarError
    except zlib.error:
        raise MalformedError from None
    if not inflater.eof:
        raise MalformedError
    return b"".join(pieces)


def transfer_syntax(data: bytes) -> tuple[str | None, int]:
    """Give the transfer syntax that a file states, and where its data set begins."""
    return _file_meta(data, 132 if data[128:132] == b"DICM" else 0)


def _file_meta(data: bytes, pos: int) -> tuple[str | None, int]:
    """Pass the file meta group; give the transfer syntax and the position after it."""
    syntax = None
    reader = Reader(data, EXPLICIT)
    while len(data) - pos >= 8 and data[pos : pos + 2] == b"\2\0":
        tag, _, value, length = reader.header(pos, implicit=False)
        if length == UNDEFINED or value + length > len(data):
            raise MalformedError
        if tag == 0x00020010:
            syntax = data[value : value + length].decode("latin-1").strip("\0 ") or None
        pos = value + length
    return syntax, pos


def frame_count(data_set: DataSet) -> int:
    """Give the number of frames (0028,0008) that a data set states, 1 where it states none."""
    element = data_set.get((0x00280008, 0))
    text = element.value.strip(b"\0 ") if element is not None and isinstance(element.value, bytes) else b""
    return int(text) if text.isdigit() else 1


@lru_cache(8192)
def dictionary_vr(tag: int) -> str | None:
    """Give the VR that the Standard gives an element; None for private and unknown ones."""
    pydicom_quietly()
    from pydicom.datadict import dictionary_VR

    try:
        return str(dictionary_VR(tag))
    except KeyError:
        return None


class Reader:
    """Reads elements of one buffer in one encoding."""

    def __init__(self, data: bytes, encoding: Encoding) -> None:
        """Read `data`, which is kept, not copied."""
        self._data = data
        self._encoding = encoding
        self._big = encoding is BIG
        self._left = MOST_KEPT

    def header(self, pos: int, *, implicit: bool) -> tuple[int, str | None, int, int]:
        """Give the tag, VR, start of the value and length of the element at `pos`."""
        data = self._data
        if len(data) - pos < 8:
            raise MalformedError
        number, length = self._encoding.pair(data, pos)
        tag = number if self._big else (number & 0xFFFF) << 16 | number >> 16
        if implicit or tag >> 16 == 0xFFFE or not upper(data[pos + 4 : pos + 6]):
            return tag, None, pos + 8, length
        vr = data[pos + 4 : pos + 6].decode("latin-1")
        if vr in SHORT_VRS:
            return tag, vr, pos + 8, self._encoding.head(data, pos)[2]
        if vr not in LONG_VRS or len(data) - pos < 12:
            raise MalformedError
        return tag, vr, pos + 12, self._encoding.long(data, pos + 8)[0]

    def data_set(
        self, pos: int, end: int | None, implicit: bool, depth: int, stop: Container[int] = ()
    ) -> tuple[DataSet, int]:
        """Read elements up to `end`, or to an item delimiter where the length is undefined, or to a tag of `stop`."""
        found: DataSet = {}
        seen: dict[int, int] = {}
        data = self._data
        if not implicit and depth and pos + 6 <= len(data):
            # What a server took over as UN is implicit, item by item (PS3.5 6.2.2).
            implicit = not upper(data[pos + 4 : pos + 6])
        while pos != end:
            if not depth and not any(data[pos : pos + 8]) and not data[pos:].strip(b"\0"):
                break  # trailing zeros
            tag, vr, value, length = self.header(pos, implicit=implicit)
            if tag == ITEM_END and end is None and depth and not length:
                return found, value
            if tag >> 16 == 0xFFFE or (vr is None and not implicit and not depth):
                raise MalformedError
            if tag in stop:
                return found, pos
            self._left -= 1
            if self._left < 0:
                raise MalformedError
            element, pos = self._element(tag, vr, value, length, depth)
            if end is not None and pos > end:
                raise MalformedError
            seen[tag] = seen.get(tag, -1) + 1
            found[tag, seen[tag]] = element
        return found, pos

    def _element(self, tag: int, vr: str | None, value: int, length: int, depth: int) -> tuple[Element, int]:
        """Read one value, and give the position after it."""
        known = vr
        if vr is None or (vr == "UN" and length == UNDEFINED):
            known = dictionary_vr(tag) or ("SQ" if length == UNDEFINED else None)
        implicit = vr is None
        if known == "SQ":
            if depth >= MOST_NESTED:
                raise MalformedError
            end = None if length == UNDEFINED else value + length
            items, after = self.sequence(value, end, implicit, depth + 1)
            return Element(vr, items), after
        try:
            if length == UNDEFINED:
                if known not in ("OB", "OW", "OB or OW"):
                    raise MalformedError
                return self._fragments(vr, value)
            if value + length > len(self._data):
                raise MalformedError
        except MalformedError:
            raise MalformedError(in_pixels=tag >> 16 == PIXEL_GROUP and not depth) from None
        data = self._data[value : value + length]
        return Element(vr, little(vr, data) if self._big else data), value + length

    def sequence(self, pos: int, end: int | None, implicit: bool, depth: int) -> tuple[list[DataSet], int]:
        """Read items up to `end`, or to a sequence delimiter where the length is undefined."""
        items: list[DataSet] = []
        while pos != end:
            tag, _, value, length = self.header(pos, implicit=True)
            if tag == SEQUENCE_END and end is None and not length:
                return items, value
            if tag != ITEM or (length != UNDEFINED and value + length > len(self._data)):
                raise MalformedError
            item_end = None if length == UNDEFINED else value + length
            item, pos = self.data_set(value, item_end, implicit, depth)
            if end is not None and pos > end:
                raise MalformedError
            items.append(item)
        return items, pos

    def _fragments(self, vr: str | None, pos: int) -> tuple[Element, int]:
        """Read encapsulated pixel data to its delimiter."""
        parts: list[bytes] = []
        while True:
            tag, _, value, length = self.header(pos, implicit=True)
            if tag == SEQUENCE_END and not length and parts:
                return Element(vr, Fragments(parts[0], tuple(parts[1:]))), value
            if tag != ITEM or value + length > len(self._data):
                raise MalformedError
            parts.append(self._data[value : value + length])
            pos = value + length


def little(vr: str | None, value: bytes) -> bytes:
    """Give a value that was written in big endian in little endian."""
    width = _WIDTHS.get(vr or "")
    if width is None:
        return value
    numbers = array(width)
    if len(value) % numbers.itemsize:
        raise MalformedError
    numbers.frombytes(value)
    numbers.byteswap()
    return numbers.tobytes()
