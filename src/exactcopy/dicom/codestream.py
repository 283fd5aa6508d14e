"""How large an encoded frame says it is, before a decoder in C believes it and allocates for hours."""

from struct import unpack_from

from exactcopy.dicom.terms import SYNTAX

_JPEG = frozenset(f"{SYNTAX}.4.{number}" for number in (*range(50, 67), 70, 80, 81))
_JPEG_2000 = frozenset(f"{SYNTAX}.4.{number}" for number in (90, 91, 92, 93, 201, 202, 203))
# Start of frame in JPEG (ISO 10918-1 B.1.1.3) and JPEG-LS (ISO 14495-1 C.1.1).
_FRAME_STARTS = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
MOST_TILES = 65_535  # ISO 15444-1 A.4.2
MOST_COMPONENTS = 4


def is_sane(frame: bytes, transfer_syntax_uid: str, rows: int, columns: int) -> bool:
    """Say whether an encoded frame is no larger than its instance says, as far as its code is known."""
    if transfer_syntax_uid in _JPEG:
        size = _jpeg_size(frame)
    elif transfer_syntax_uid in _JPEG_2000:
        size = _jpeg_2000_size(frame)
    else:
        return True
    return size is not None and 0 < size <= rows * columns


def _jpeg_size(frame: bytes) -> int | None:
    """Give the pixels of a JPEG or JPEG-LS image; None where there is no frame header."""
    pos = 2
    while frame[:2] == b"\xff\xd8" and pos + 9 <= len(frame) and frame[pos] == 0xFF:
        marker, length = frame[pos + 1], int.from_bytes(frame[pos + 2 : pos + 4], "big")
        if marker in _FRAME_STARTS:
            height, width, components = unpack_from(">HHB", frame, pos + 5)
            return int(height * width) if components <= MOST_COMPONENTS else None
        pos += 1 if marker == 0xFF else 2 + length
    return None


def _jpeg_2000_size(frame: bytes) -> int | None:
    """Give the pixels of a JPEG 2000 image; None where there is no SIZ marker, or an absurd one."""
    start = frame[:4096].find(b"\xff\x4f\xff\x51")
    if start < 0 or start + 42 > len(frame):
        return None
    right, bottom, left, top, tile_width, tile_height, tiles_left, tiles_top, components = unpack_from(
        ">8IH", frame, start + 8
    )
    if right <= left or bottom <= top or not tile_width or not tile_height or components > MOST_COMPONENTS:
        return None
    if tiles_left > left or tiles_top > top:
        return None
    tiles = -(-(right - tiles_left) // tile_width) * -(-(bottom - tiles_top) // tile_height)
    return int((right - left) * (bottom - top)) if tiles <= MOST_TILES else None
