"""Made images with known faults: what the self-test of each audit plants. Nothing in them is anybody's."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from struct import pack

from exactcopy.dicom.terms import DEFLATED, EXPLICIT_LITTLE, IMPLICIT_LITTLE, SYNTAX
from exactcopy.model import Outcome

Tag = tuple[int, int]
Elements = Mapping[Tag, tuple[bytes, bytes]]

RLE = f"{SYNTAX}.5"
_ROOT = "2.25.330190720481913"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_SIDE = 16
_CLASS, _INSTANCE = (0x0008, 0x0016), (0x0008, 0x0018)
_DESCRIPTION, _PATIENT, _LATERALITY = (0x0008, 0x1030), (0x0010, 0x0010), (0x0020, 0x0060)
_LOSSY, _PIXELS = (0x0028, 0x2110), (0x7FE0, 0x0010)
# What has a length of four bytes in explicit VR (PS3.5 7.1.2), of those that are written here.
_LONG = frozenset({b"OB"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """One made image as it lies on both sides, and what the audit has to say of it.

    `besides` lies on the backup under another name; `later` takes the place of the copy once that was read.
    `conflict`: two contents of it have to be seen. `restores`: what a test restore of it has to come to, where one is
    made. `sound`: there is no fault, and none may be seen.
    """

    what: str
    primary: bytes
    backup: bytes | None
    outcome: Outcome
    besides: bytes | None = None
    later: bytes | None = None
    conflict: bool = False
    restores: str | None = None
    sound: bool = False


def planted() -> tuple[Plant, ...]:
    """Return the made images; each is of a study of its own, by its place in the list."""
    return (*_altered(0), *_spoiled(6), *_misplaced(11), *_unrestorable(14), *_sound(16))


def instance_uid(number: int) -> str:
    """Return the SOP Instance UID of a made image (PS3.5 B.2)."""
    return f"{_ROOT}.1.{number}"


def study_uid(number: int) -> str:
    """Return the Study Instance UID of a made image."""
    return f"{_ROOT}.2.{number}"


def image(number: int, changes: Elements | None = None) -> Elements:
    """Return a whole image whose pixels no other has, with `changes`."""
    return {
        _CLASS: (b"UI", _SECONDARY_CAPTURE.encode()),
        _INSTANCE: (b"UI", instance_uid(number).encode()),
        # Older than any limit for new images, whatever the clock says.
        (0x0008, 0x0020): (b"DA", b"19010203"),
        (0x0008, 0x0060): (b"CS", b"OT"),
        _PATIENT: (b"PN", b"Made^Image"),
        (0x0020, 0x000D): (b"UI", study_uid(number).encode()),
        (0x0020, 0x000E): (b"UI", f"{_ROOT}.3.{number}".encode()),
        _LATERALITY: (b"CS", b"L"),
        (0x0028, 0x0002): (b"US", pack("<H", 1)),
        (0x0028, 0x0004): (b"CS", b"MONOCHROME2"),
        (0x0028, 0x0010): (b"US", pack("<H", _SIDE)),
        (0x0028, 0x0011): (b"US", pack("<H", _SIDE)),
        (0x0028, 0x0100): (b"US", pack("<H", 8)),
        (0x0028, 0x0101): (b"US", pack("<H", 8)),
        (0x0028, 0x0102): (b"US", pack("<H", 7)),
        (0x0028, 0x0103): (b"US", pack("<H", 0)),
        _PIXELS: (b"OB", _pixels(number)),
        **(changes or {}),
    }


def write(elements: Elements, syntax: str = EXPLICIT_LITTLE) -> bytes:
    """Return a file: preamble, file meta information (PS3.10 7.1), and the elements in a transfer syntax."""
    implicit = syntax == IMPLICIT_LITTLE
    data = b"".join(_element(tag, *elements[tag], implicit=implicit) for tag in sorted(elements))
    if syntax == DEFLATED:
        # PS3.5 A.5: deflated without a header.
        deflating = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = deflating.compress(data) + deflating.flush()
    meta = b"".join(
        _element((0x0002, number), vr, value)
        for number, (vr, value) in {
            0x0001: (b"OB", b"\0\1"),
            0x0002: elements[_CLASS],
            0x0003: elements[_INSTANCE],
            0x0010: (b"UI", syntax.encode()),
            0x0012: (b"UI", _ROOT.encode()),
        }.items()
    )
    return bytes(128) + b"DICM" + _element((0x0002, 0x0000), b"UL", pack("<I", len(meta))) + meta + data


def _altered(first: int) -> tuple[Plant, ...]:
    """Return whole images whose copies are whole as well, and not theirs."""

    def plant(number: int, what: str, outcome: Outcome, changes: Elements, before: Elements | None = None) -> Plant:
        return Plant(
            what=what, primary=write(image(number, before)), backup=write(image(number, changes)), outcome=outcome
        )

    flipped = bytes([_pixels(first)[0] ^ 1]) + _pixels(first)[1:]
    return (
        plant(first, "one bit of the pixels flipped", Outcome.DIFFERENT, _with_pixels(flipped)),
        plant(first + 1, "the patient's name altered", Outcome.ALTERED, {_PATIENT: (b"PN", b"Made^Other")}),
        plant(first + 2, "left and right exchanged", Outcome.ALTERED, {_LATERALITY: (b"CS", b"R")}),
        plant(first + 3, "an older state of the image", Outcome.DIFFERENT, {}, {_DESCRIPTION: (b"LO", b"Added later")}),
        plant(first + 4, "the pixels of another image", Outcome.DIFFERENT, _with_pixels(_pixels(first))),
        plant(
            first + 5,
            "compressed with loss",
            Outcome.DIFFERENT,
            {_LOSSY: (b"CS", b"01"), **_with_pixels(bytes(value & 0xFE for value in _pixels(first + 5)))},
        ),
    )


def _spoiled(first: int) -> tuple[Plant, ...]:
    """Return whole images whose copies are none."""
    whole = [write(image(first + place)) for place in range(5)]
    without = {tag: value for tag, value in image(first + 1).items() if tag != _PIXELS}
    scrambled = bytes(byte ^ (place * 151 + 83) % 256 for place, byte in enumerate(whole[4]))
    copies = (
        ("cut off", whole[0][:-100], Outcome.UNREADABLE),
        ("without its pixels", write(without), Outcome.UNREADABLE),
        # Behind the first element of the file meta information.
        ("the header damaged", whole[2][:144] + bytes(60) + whole[2][204:], Outcome.MISSING),
        ("emptied", b"", Outcome.MISSING),
        ("encrypted", scrambled, Outcome.MISSING),
    )
    return tuple(
        Plant(what=what, primary=primary, backup=copy, outcome=outcome)
        for primary, (what, copy, outcome) in zip(whole, copies, strict=True)
    )


def _misplaced(first: int) -> tuple[Plant, ...]:
    """Return images that are not where they should be, or twice."""
    one, two, three = (write(image(first + place)) for place in range(3))
    other = write(image(first + 2, _with_pixels(_pixels(first))))
    return (
        Plant(what="missing", primary=one, backup=None, outcome=Outcome.MISSING),
        Plant(what="another image in its place", primary=two, backup=three, outcome=Outcome.MISSING),
        Plant(
            what="two contents under one UID",
            primary=three,
            backup=three,
            besides=other,
            outcome=Outcome.IDENTICAL,
            conflict=True,
        ),
    )


def _unrestorable(first: int) -> tuple[Plant, ...]:
    """Return images that only a test restore shows to be lost."""
    read = write(image(first))
    later = write(image(first, _with_pixels(_pixels(first + 1))))
    # A frame whose one segment ends before its pixels do.
    closed = write(image(first + 1, _with_pixels(_run_length(bytes(_SIDE)))), RLE)
    return (
        Plant(
            what="altered after it was read",
            primary=read,
            backup=read,
            later=later,
            outcome=Outcome.IDENTICAL,
            restores="failed",
        ),
        Plant(
            what="an image that does not open",
            primary=closed,
            backup=closed,
            outcome=Outcome.IDENTICAL,
            restores="failed",
        ),
    )


def _sound(first: int) -> tuple[Plant, ...]:
    """Return images with an exact copy."""

    def plant(number: int, what: str, copy: bytes, outcome: Outcome = Outcome.EQUIVALENT) -> Plant:
        return Plant(
            what=what, primary=write(image(number)), backup=copy, outcome=outcome, restores="restored", sound=True
        )

    return (
        plant(first, "an equal copy", write(image(first)), Outcome.IDENTICAL),
        plant(first + 1, "a copy in implicit VR", write(image(first + 1), IMPLICIT_LITTLE)),
        plant(first + 2, "a deflated copy", write(image(first + 2), DEFLATED)),
        plant(
            first + 3,
            "a copy compressed without loss",
            write(image(first + 3, _with_pixels(_run_length(_pixels(first + 3)))), RLE),
        ),
    )


def _with_pixels(value: bytes) -> Elements:
    return {_PIXELS: (b"OB", value)}


def _pixels(number: int) -> bytes:
    return bytes((place * (number + 3) + number) % 251 for place in range(_SIDE * _SIDE))


def _run_length(pixels: bytes) -> bytes:
    """Return the fragments of one frame of literal runs (PS3.5 G.3)."""
    runs = b"".join(bytes([len(run) - 1]) + run for run in (pixels[at : at + 128] for at in range(0, len(pixels), 128)))
    frame = pack("<16I", 1, 64, *[0] * 14) + runs + b"\x80" * (len(runs) % 2)
    return b"".join(_item(0xE000, part) for part in (b"", frame)) + _item(0xE0DD, b"")


def _item(number: int, value: bytes) -> bytes:
    return pack("<HHI", 0xFFFE, number, len(value)) + value


def _element(tag: Tag, vr: bytes, value: bytes, *, implicit: bool = False) -> bytes:
    encapsulated = value.startswith(_item(0xE000, b"")) and tag == _PIXELS
    value += (b"\0" if vr in {b"UI", b"OB"} else b" ") * (len(value) % 2)
    length = 0xFFFFFFFF if encapsulated else len(value)
    if implicit:
        return pack("<HHI", *tag, length) + value
    if vr in _LONG:
        return pack("<HH2sHI", *tag, vr, 0, length) + value
    return pack("<HH2sH", *tag, vr, length) + value
