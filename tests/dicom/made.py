"""Makes small DICOM files, whole or hostile, byte by byte."""

import struct
import zlib


def meta(syntax: bytes, *, instance: bytes = b"1.2.3") -> bytes:
    """Make a preamble and file meta."""
    return b"\0" * 128 + b"DICM" + short(2, 0x0003, b"UI", instance) + short(2, 0x0010, b"UI", syntax)


def short(group: int, element: int, vr: bytes, content: bytes) -> bytes:
    """Make an element with a short length."""
    content += b"\0" * (len(content) % 2)
    return struct.pack("<HH2sH", group, element, vr, len(content)) + content


def long(group: int, element: int, vr: bytes, content: bytes, length: int | None = None) -> bytes:
    """Make an element with a long length, true or not."""
    return struct.pack("<HH2sHI", group, element, vr, 0, len(content) if length is None else length) + content


EXPLICIT, DEFLATED = b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.1.99"
CT = b"1.2.840.10008.5.1.4.1.1.2"
HEAD = (
    short(8, 0x0016, b"UI", CT)
    + short(8, 0x0018, b"UI", b"1.2.3")
    + short(8, 0x0020, b"DA", b"20240229")
    + short(8, 0x0060, b"CS", b"CT")
    + short(0x20, 0x000D, b"UI", b"1.2")
    + short(0x20, 0x000E, b"UI", b"1.2.1")
)
IMAGE = HEAD + b"".join(
    short(0x28, element, b"US", struct.pack("<H", number))
    for element, number in ((2, 1), (0x10, 4), (0x11, 3), (0x100, 16))
)


def image(pixels: bytes, head: bytes = IMAGE, syntax: bytes = EXPLICIT) -> bytes:
    """Make a whole file around an element with pixels."""
    return meta(syntax) + head + pixels


def fragments(*parts: bytes, end: bool = True) -> bytes:
    """Make encapsulated pixel data of fragments."""
    items = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(part)) + part for part in parts)
    delimiter = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) if end else b""
    return long(0x7FE0, 0x10, b"OB", items + delimiter, 0xFFFFFFFF)


def deflated(body: bytes) -> bytes:
    """Make a deflated file (PS3.5 A.5)."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return meta(DEFLATED) + squeeze.compress(body) + squeeze.flush()
