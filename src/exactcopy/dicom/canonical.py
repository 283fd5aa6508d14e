"""A digest of what an instance says, whatever packaging it came in, from its bytes as they stream by.

What a store may change without changing the instance does not count: file meta, group lengths, padding, defined or
undefined lengths, byte order, whether VRs are named, the basic offset table (PS3.5 6.2, 7, A.4). Equal digests prove
equal content. Unequal ones prove nothing: then `compare` has the last word.
"""

import zlib
from collections.abc import Generator
from hashlib import sha256
from operator import itemgetter
from typing import TYPE_CHECKING

from exactcopy.dicom.elements import (
    DataSet,
    Fragments,
    MalformedError,
    Reader,
    dictionary_vr,
    frame_count,
    little,
    transfer_syntax,
)
from exactcopy.dicom.encoding import (
    BIG,
    EXPLICIT,
    ITEM,
    PIXEL_TAGS,
    SEQUENCE_END,
    UNDEFINED,
    Buffer,
    Encoding,
    data_set_encoding,
)
from exactcopy.dicom.terms import DEFLATED, NATIVE, TEXT_VRS
from exactcopy.dicom.walk import MOST_INFLATED, PIECE, Step, Walker

if TYPE_CHECKING:
    from hashlib import _Hash

# Of what precedes the pixel data and of what follows it, so much is held in memory.
MOST_HELD = 64 * 1024 * 1024

_RULES = b"exactcopy content 1\0"
_PADDING = 0xFFFCFFFC

# What takes a file piece by piece, an empty piece being its end, and returns the digest.
Taking = Generator[None, Buffer, bytes]


class ContentDigest:
    """Takes a file in consecutive pieces, in bounded memory, and gives the digest of its content."""

    def __init__(self) -> None:
        """Begin a new file."""
        self._taking: Taking | None = _file()
        next(self._taking)

    def update(self, chunk: Buffer, /) -> None:
        """Take the next bytes of the file; the caller may use their buffer again."""
        if self._taking is not None and len(chunk):
            try:
                self._taking.send(chunk)
            except (MalformedError, zlib.error):
                self._taking = None

    def digest(self) -> bytes | None:
        """Return the digest once all was fed; None where the file is irregular or cut, or holds too much at once."""
        if self._taking is None:
            return None
        try:
            self._taking.send(b"")
        except StopIteration as done:
            return bytes(done.value)
        except (MalformedError, zlib.error):
            pass
        return None


def content_digest(data: Buffer) -> bytes | None:
    """Return the digest of a whole file in memory."""
    digest = ContentDigest()
    digest.update(data)
    return digest.digest()


def _file() -> Taking:
    """Take the file meta group, which says how all that follows is written."""
    walker, held = Walker(), bytearray()
    while walker.step in (Step.PREAMBLE, Step.META, Step.START):
        chunk = yield
        _hold(held, chunk)
        walker.feed(chunk)
    syntax, start = transfer_syntax(bytes(held))
    if syntax == DEFLATED:
        return (yield from _deflated(held[start:]))
    encoding, _ = data_set_encoding(held, start, syntax)
    if encoding is None:
        raise MalformedError
    return (yield from _data_set(held[start:], encoding, syntax))


def _deflated(first: Buffer) -> Taking:
    """Inflate a data set in bounded pieces, up to a limit (PS3.5 A.5); what follows it is no part of it."""
    inflater, inflated = zlib.decompressobj(-zlib.MAX_WBITS), 0
    taking = _data_set(b"", EXPLICIT, DEFLATED)
    next(taking)
    chunk = first
    while True:
        data, piece = bytes(chunk), b""
        # A full piece may not have been the last of what the inflater holds.
        while not inflater.eof and (data or len(piece) == PIECE):
            piece = inflater.decompress(data, PIECE)
            data = inflater.unconsumed_tail
            inflated += len(piece)
            if inflated > MOST_INFLATED:
                raise MalformedError
            if piece:
                taking.send(piece)
        chunk = yield
        if not len(chunk):
            break
    if not inflater.eof:
        raise MalformedError
    try:
        taking.send(b"")
    except StopIteration as done:
        return bytes(done.value)
    raise MalformedError


def _data_set(first: Buffer, encoding: Encoding, syntax: str | None) -> Taking:
    """Take the elements before the pixel data, the pixel data, and what follows it."""
    digest = sha256(_RULES)
    walker, held = Walker(Step.IMPLICIT if encoding.implicit else Step.EXPLICIT, encoding), bytearray()
    chunk = first
    while True:
        _hold(held, chunk)
        walker.feed(chunk)
        if walker.pixel_length is not None:
            break
        chunk = yield
        if not len(chunk):
            break
    data = bytes(held)
    reader = Reader(data, encoding)
    elements, pos = reader.data_set(0, len(data), encoding.implicit, 0, stop=PIXEL_TAGS)
    _add(digest, elements)
    if walker.pixel_length is None:
        if pos < len(data) and any(data[pos:]):
            raise MalformedError
        return digest.digest()
    tag, vr, value, length = reader.header(pos, implicit=encoding.implicit)
    # What compressed pixels mean depends on how they are compressed.
    coded = syntax if length == UNDEFINED or (syntax is not None and syntax not in NATIVE) else ""
    digest.update(f"P{tag:08x} {coded} ".encode("latin-1"))
    held = bytearray(data[value:])
    if length == UNDEFINED:
        yield from _fragments(digest, held, frame_count(elements))
    else:
        yield from _native(digest, held, length, vr if encoding is BIG else None)
    while len(chunk := (yield)):
        _hold(held, chunk)
    rest, _ = Reader(bytes(held), encoding).data_set(0, len(held), encoding.implicit, 0)
    _add(digest, rest)
    return digest.digest()


def _native(digest: "_Hash", held: bytearray, length: int, vr: str | None) -> Generator[None, Buffer, None]:
    """Add pixels of a known length; in big endian, where `vr` is given, they are held until they can be swapped."""
    # Some writers leave out the byte that makes the length even.
    digest.update(b"%d " % (length + length % 2))
    if vr is not None:
        while len(held) < length:
            yield from _more(held)
        digest.update(little(vr, bytes(held[:length])))
        del held[:length]
    else:
        left = length - len(held)
        digest.update(memoryview(held)[:length])
        del held[:length]
        while left > 0:
            chunk = yield
            if not len(chunk):
                raise MalformedError
            digest.update(memoryview(chunk)[:left])
            held += memoryview(chunk)[left:]
            left -= len(chunk)
    digest.update(bytes(length % 2))


def _fragments(digest: "_Hash", held: bytearray, frames: int) -> Generator[None, Buffer, None]:
    """Add encapsulated fragments; which belong to which frame has to be clear without the offset table."""
    table: bytes | None = None
    starts: list[int] = []
    offset = 0
    while True:
        while len(held) < 8:
            yield from _more(held)
        tag = int.from_bytes(held[:2], "little") << 16 | int.from_bytes(held[2:4], "little")
        length = int.from_bytes(held[4:8], "little")
        del held[:8]
        if tag == SEQUENCE_END and not length and table is not None:
            break
        if tag != ITEM or length == UNDEFINED:
            raise MalformedError
        if table is None:
            while len(held) < length:
                yield from _more(held)
            table = bytes(held[:length])
            del held[:length]
            continue
        starts.append(offset)
        offset += 8 + length
        digest.update(b"F")
        yield from _native(digest, held, length, None)
    told = [int.from_bytes(table[at : at + 4], "little") for at in range(0, len(table), 4)]
    if frames > 1 and (len(starts) != frames or (told and told != starts)):
        raise MalformedError


def _more(held: bytearray) -> Generator[None, Buffer, None]:
    chunk = yield
    if not len(chunk):
        raise MalformedError
    _hold(held, chunk)


def _hold(held: bytearray, chunk: Buffer) -> None:
    held += chunk
    if len(held) > MOST_HELD:
        raise MalformedError


def _add(digest: "_Hash", elements: DataSet) -> None:
    """Add elements in the order of their tags."""
    digest.update(b"".join(_said(elements)))


def _said(elements: DataSet) -> Generator[bytes]:
    """Yield what elements say, so that no other elements could have yielded the same bytes."""
    for (tag, _), element in sorted(elements.items(), key=itemgetter(0)):
        if tag & 0xFFFF == 0 or tag == _PADDING:
            continue
        usual, vr, value = dictionary_vr(tag), element.vr, element.value
        # Where none is named it is the Standard's. An unusual one may change what a value means.
        if vr in (None, "UN", usual):
            vr = ""
        if isinstance(value, bytes):
            # Of a private or unknown element nobody can tell a padding space from a number.
            plain = value.rstrip(b"\0 ") if usual in TEXT_VRS and not vr else value
            yield b"%08x%s V%d " % (tag, str(vr).encode(), len(plain))
            yield plain
        elif isinstance(value, Fragments):
            yield b"%08x%s F%d " % (tag, str(vr).encode(), len(value.parts))
            for part in (value.offsets, *value.parts):
                yield b"%d " % len(part)
                yield part
        else:
            yield b"%08x%s S%d " % (tag, str(vr).encode(), len(value))
            for item in value:
                yield from _said(item)
                yield b"I"
