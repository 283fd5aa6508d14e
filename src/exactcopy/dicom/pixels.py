"""Decode every frame, one at a time, and tell what cannot be decoded here from what fails to decode."""

from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from exactcopy.dicom.codestream import is_sane
from exactcopy.dicom.elements import InflatesTooFarError, inflate, transfer_syntax
from exactcopy.dicom.encoding import PIXEL_TAGS
from exactcopy.dicom.quiet import no_stderr, pydicom_quietly
from exactcopy.dicom.terms import DEFLATED, EXPLICIT_LITTLE, NATIVE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

MOST_FRAME_BYTES = 1 << 30
MOST_META_BYTES = 64 * 1024
_JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameCheck:
    """What came of decoding an instance: frames that there are, frames that decoded, and why not all did."""

    frames: int
    decoded: int
    undecodable: bool = False
    failed: bool = False
    reason: str | None = None


class NotDecodableError(Exception):
    """Nothing here can decode these pixels: that says nothing of them. `reason` is a code."""

    def __init__(self, reason: str) -> None:
        """Take the code that a record may keep."""
        super().__init__(reason)
        self.reason = reason


def decodable(transfer_syntax_uid: str) -> bool:
    """Say whether a decoder for a transfer syntax is installed."""
    pydicom_quietly()
    from pydicom.pixels.decoders.base import get_decoder

    with no_stderr():
        try:
            return bool(get_decoder(transfer_syntax_uid).is_available)
        except NotImplementedError:
            return False


def check_frames(data: bytes | BinaryIO, limit_bytes: int = MOST_FRAME_BYTES) -> FrameCheck:
    """Decode every frame of an instance, one at a time; never raises for what the instance holds."""
    total = decoded = 0
    try:
        stream = _readable(data)
        total = _count(stream, limit_bytes)
        for _ in _decode(stream, total, raw=True):
            decoded += 1
    except NotDecodableError as problem:
        return FrameCheck(frames=total, decoded=decoded, undecodable=True, reason=problem.reason)
    except MemoryError:
        return FrameCheck(frames=total, decoded=decoded, undecodable=True, reason="too_large")
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001  decoders raise what they like; a panic in Rust is no Exception
        return FrameCheck(frames=total, decoded=decoded, failed=True, reason="decoder_failed")
    if decoded < total:
        return FrameCheck(frames=total, decoded=decoded, failed=True, reason="frames_missing")
    return FrameCheck(frames=total, decoded=decoded)


def frames(data: bytes | BinaryIO, limit_bytes: int = MOST_FRAME_BYTES) -> "Iterator[np.ndarray[Any, Any]]":
    """Decode the frames of an instance, color as RGB; raises what decoders raise."""
    stream = _readable(data)
    yield from _decode(stream, _count(stream, limit_bytes))


def _readable(data: bytes | BinaryIO) -> BinaryIO:
    """Give a stream that pydicom can seek in; a deflated data set is inflated here, up to a limit."""
    stream = BytesIO(data) if isinstance(data, bytes | bytearray | memoryview) else data
    stream.seek(0)
    syntax, start = transfer_syntax(stream.read(MOST_META_BYTES))
    stream.seek(0)
    if syntax != DEFLATED:
        return stream
    whole = stream.read()
    try:
        inflated = inflate(whole[start:])
    except InflatesTooFarError:
        raise NotDecodableError("too_large") from None
    stated = whole[:start].replace(DEFLATED.encode(), EXPLICIT_LITTLE.encode().ljust(len(DEFLATED), b"\0"))
    return BytesIO(stated + inflated)


def _count(stream: BinaryIO, limit_bytes: int) -> int:
    """Give how many frames there are, 0 without pixel data; raise where they cannot be decoded here."""
    pydicom = pydicom_quietly()
    stream.seek(0)
    head = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
    first = stream.read(4)
    start = stream.tell() + 8
    little = int.from_bytes(first[:2], "little") << 16 | int.from_bytes(first[2:], "little")
    if little not in PIXEL_TAGS and int.from_bytes(first, "big") not in PIXEL_TAGS:
        return 0
    syntax = head.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        raise NotDecodableError("no_transfer_syntax")
    size = head.Rows * head.Columns * head.get("SamplesPerPixel", 1) * head.BitsAllocated // 8
    if size > limit_bytes:
        raise NotDecodableError("too_large")
    if not decodable(syntax) or (syntax == _JPEG_EXTENDED and head.get("BitsStored", 8) != 8):
        raise NotDecodableError("no_decoder")
    total = max(int(head.get("NumberOfFrames", None) or 1), 1)
    if syntax not in NATIVE and not _sizes_are_sane(stream, start, head, total):
        raise ValueError("a frame is not of its instance's size")
    return total


def _sizes_are_sane(stream: BinaryIO, start: int, head: Any, total: int) -> bool:
    """Say whether every encoded frame is of the size that its instance states, by its own header."""
    from pydicom.encaps import generate_frames

    tables = None
    if "ExtendedOffsetTable" in head and "ExtendedOffsetTableLengths" in head:
        tables = head.ExtendedOffsetTable, head.ExtendedOffsetTableLengths
    stream.seek(start)
    encoded = generate_frames(cast("Any", stream), number_of_frames=total, extended_offsets=tables)
    syntax = head.file_meta.TransferSyntaxUID
    return all(is_sane(frame, syntax, head.Rows, head.Columns) for frame in islice(encoded, total))


def _decode(stream: BinaryIO, total: int, *, raw: bool = False) -> "Iterator[np.ndarray[Any, Any]]":
    """Decode frame by frame, with nothing printed; `raw` leaves colors as they are stored."""
    from pydicom.pixels.utils import iter_pixels, pixel_array

    stream.seek(0)
    iterator: Iterator[np.ndarray[Any, Any]] | None = iter_pixels(stream, raw=raw)
    for index in range(total):
        # Only the decoder runs without stderr: what the caller prints in between is not lost.
        with no_stderr():
            try:
                frame = next(iterator) if iterator is not None else pixel_array(stream, index=index, raw=raw)
            except StopIteration:
                return
            except ValueError:
                # pydicom's iterator cannot correct the sign of JPEG 2000 samples in place, which this can.
                iterator, frame = None, pixel_array(stream, index=index, raw=raw)
        yield frame
