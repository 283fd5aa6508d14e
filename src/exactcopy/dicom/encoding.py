"""How the elements of a data set are written (PS3.5 7, A), with the numbers that a walker compares."""

from collections.abc import Callable
from struct import Struct
from typing import Any, NamedTuple

from exactcopy.dicom.terms import EXPLICIT_BIG, IMPLICIT_LITTLE, LONG_VRS, SHORT_VRS

Buffer = bytes | bytearray | memoryview

UNDEFINED = 0xFFFFFFFF
MOST_WANTED_BYTES = 4096  # of one value that is kept
ENCAPSULATED = -1  # as a length of pixel data
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
WANTED = {
    0x00020002: "UI",
    0x00020003: "UI",
    0x00020010: "UI",
    0x00080016: "UI",
    0x00080018: "UI",
    0x00080020: "DA",
    0x00080060: "CS",
    0x0020000D: "UI",
    0x0020000E: "UI",
    0x00280002: "US",
    0x00280004: "CS",
    0x00280008: "IS",
    0x00280010: "US",
    0x00280011: "US",
    0x00280100: "US",
    0x00282110: "CS",
    0x30040002: "CS",
}
# Whose an instance is. Nothing that is odd about these says anything of the image.
PATIENT = {
    0x00080005: "CS",
    0x00080050: "SH",
    0x00100010: "PN",
    0x00100020: "LO",
    0x00100030: "DA",
    0x00101000: "LO",
    0x00101001: "PN",
    0x00101005: "PN",
    0x00101060: "PN",
}
KEPT = WANTED | PATIENT
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


class Encoding(NamedTuple):
    """How the elements of a data set are written: its readers, and the Standard's numbers as they read."""

    name: str
    implicit: bool
    head: Callable[[Any, int], tuple[int, ...]]
    pair: Callable[[Any, int], tuple[int, ...]]
    long: Callable[[Any, int], tuple[int, ...]]
    short_vrs: frozenset[int]
    long_vrs: frozenset[int]
    sequence_vrs: frozenset[int]
    bytes_vrs: frozenset[int]
    unknown_vr: int
    wanted: dict[int, tuple[int, int]]
    item: int
    item_end: int
    sequence_end: int
    order: str


def _encoding(name: str, order: str, *, implicit: bool) -> Encoding:
    """Give the readers and tables of one encoding; a tag reads as one number, group low in little endian."""

    def as_read(tag: int) -> int:
        return tag if order == ">" else (tag & 0xFFFF) << 16 | tag >> 16

    def vrs(names: frozenset[str]) -> frozenset[int]:
        return frozenset(int.from_bytes(vr.encode(), "big" if order == ">" else "little") for vr in names)

    wanted = {as_read(tag): (tag, min(vrs(frozenset({vr})))) for tag, vr in KEPT.items()}
    wanted |= {as_read(tag): (tag, -1) for tag in (*PIXEL_TAGS, ITEM, ITEM_END, SEQUENCE_END, 0)}
    return Encoding(
        name=name,
        implicit=implicit,
        head=Struct(f"{order}IHH").unpack_from,
        pair=Struct(f"{order}II").unpack_from,
        long=Struct(f"{order}I").unpack_from,
        short_vrs=vrs(SHORT_VRS),
        long_vrs=vrs(LONG_VRS),
        sequence_vrs=vrs(frozenset({"SQ", "UN"})),
        bytes_vrs=vrs(frozenset({"OB", "OW"})),
        unknown_vr=min(vrs(frozenset({"UN"}))),
        wanted=wanted,
        item=as_read(ITEM),
        item_end=as_read(ITEM_END),
        sequence_end=as_read(SEQUENCE_END),
        order=order,
    )


IMPLICIT = _encoding("implicit", "<", implicit=True)
EXPLICIT = _encoding("explicit", "<", implicit=False)
BIG = _encoding("big", ">", implicit=False)


def upper(pair: Buffer) -> bool:
    """Say whether two bytes could be a value representation."""
    return 0x40 < pair[0] < 0x5B and 0x40 < pair[1] < 0x5B


def data_set_encoding(buf: Buffer, pos: int, syntax: str | None) -> tuple[Encoding | None, bool]:
    """Say how the data set at `pos` is encoded, and whether its transfer syntax says otherwise."""
    group = buf[pos] | buf[pos + 1] << 8
    explicit = upper(buf[pos + 4 : pos + 6])
    big = syntax == EXPLICIT_BIG or (syntax is None and explicit and group >= 0x0400)
    if big:
        group = group >> 8 | (group & 0xFF) << 8
    # A group of which only the high byte is set was written in the other byte order.
    if group in (0, 2) or not group & 0xFF or (big and not explicit):
        return None, False
    mismatch = syntax is not None and explicit == (syntax == IMPLICIT_LITTLE)
    return BIG if big else EXPLICIT if explicit else IMPLICIT, mismatch
