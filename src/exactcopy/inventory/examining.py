"""One object and its stream: what it is, its digests, whether it is whole, as a row of the inventory."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from exactcopy.dicom.header import HeaderReader
from exactcopy.dicom.patient import Patient
from exactcopy.digest import CONTENT, SHA256, hasher
from exactcopy.errors import ObjectChanged
from exactcopy.inventory.schema import written
from exactcopy.model import DAMAGED, UNSIZED, Checksum, Copy, Identity, Problem, Target
from exactcopy.stores import Stream
from exactcopy.tokens import Ledger

if TYPE_CHECKING:
    from exactcopy.dicom.canonical import ContentDigest
    from exactcopy.digest import Hasher

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the objects of one store are read: `checksums` beside SHA-256, or no more than the first bytes.

    `started` (nanoseconds since 1970) is when the audit began: what it reads is known as of then, never as of
    later. Whose the images are goes into the `ledger`, as tokens.
    """

    target: Target
    started: int
    ledger: Ledger
    checksums: tuple[Checksum, ...] = ()
    first_bytes: int | None = None


def examine(copy: Copy, stream: Stream | Problem, buffer: memoryview, reading: Reading, patients: set[Patient]) -> Row:
    """Return the row of `copy`, read from its `stream` to the end through `buffer`."""
    if isinstance(stream, Problem):
        return row_of(copy, Identity(problem=stream))
    if reading.first_bytes is not None and reading.first_bytes < copy.size:
        return row_of(copy, _identify(stream, buffer[: reading.first_bytes], patients))
    return go_on(Examination(copy, stream, reading), hasher(SHA256), buffer, patients)


class Examination:
    """An object that is being read."""

    __slots__ = ("copy", "length", "others", "reader", "reading", "stream")

    def __init__(self, copy: Copy, stream: Stream, reading: Reading) -> None:
        """Begin before its first byte."""
        self.copy = copy
        self.stream = stream
        self.reading = reading
        self.reader = HeaderReader()
        self.others = [_computing(checksum) for checksum in reading.checksums]
        self.length = 0

    def take(self, piece: memoryview) -> None:
        """Take the next bytes, for all but SHA-256."""
        self.reader.feed(piece)
        for other in self.others:
            other.update(piece)
        self.length += len(piece)

    def end(self, sha256: bytes, patients: set[Patient]) -> Row:
        """Return the row, now that there are no more bytes."""
        copy, reading = self.copy, self.reading
        if self.length != copy.size:
            if copy.size != UNSIZED:
                # A body shorter or longer than its store says is not the object.
                return self.fail(Problem.IO_ERROR)
            copy = replace(copy, size=self.length)
        digests = None
        if reading.checksums:
            computed = zip(reading.checksums, (other.digest() for other in self.others), strict=True)
            # What is no whole instance has no content.
            digests = written({checksum: found for checksum, found in computed if found is not None})
        identity = self.reader.close()
        patients.add(self.reader.patient)
        return row_of(copy, identity, sha256, digests, reading.started)

    def fail(self, problem: Problem) -> Row:
        """Return the row of what could not be read to its end."""
        return row_of(self.copy, Identity(problem=problem))


def go_on(under_way: Examination, sha256: "Hasher", buffer: memoryview, patients: set[Patient]) -> Row:
    """Read on to the end through `buffer`, where `sha256` has taken all bytes so far, and return the row."""
    size = under_way.copy.size
    readinto, feed, update, others = under_way.stream.readinto, under_way.reader.feed, sha256.update, under_way.others
    length = under_way.length
    whole = len(buffer)
    try:
        while count := readinto(buffer):
            piece = buffer if count == whole else buffer[:count]
            # First what looks at a few bytes only: hashing leaves the processor's cache to all of them.
            feed(piece)
            update(piece)
            for other in others:
                other.update(piece)
            length += count
            if length > size != UNSIZED:
                # It grows while it is read, perhaps as fast: waiting for its end could take forever.
                return under_way.fail(Problem.CHANGING)
    except ObjectChanged:
        return under_way.fail(Problem.CHANGING)
    except OSError:
        return under_way.fail(Problem.IO_ERROR)
    under_way.length = length
    return under_way.end(sha256.digest(), patients)


def _computing(checksum: Checksum) -> "Hasher | ContentDigest":
    if checksum != CONTENT:
        return hasher(checksum)
    # It takes a while to import, and is needed only where a PACS takes part.
    from exactcopy.dicom.canonical import ContentDigest

    return ContentDigest()


def _identify(stream: Stream, buffer: memoryview, patients: set[Patient]) -> Identity:
    """Say what an object is by its beginning; whether it is whole does not show there."""
    reader = HeaderReader()
    length = 0
    try:
        while length < len(buffer) and (count := stream.readinto(buffer[length:])):
            reader.feed(buffer[length : length + count])
            length += count
    except ObjectChanged:
        return Identity(problem=Problem.CHANGING)
    except OSError:
        return Identity(problem=Problem.IO_ERROR)
    identity = reader.close()
    patients.add(reader.patient)
    return replace(identity, problem=None) if identity.problem in DAMAGED else identity


def row_of(
    copy: Copy,
    identity: Identity,
    sha256: bytes | None = None,
    digests: str | None = None,
    read_at: int | None = None,
) -> Row:
    """Return what is known of an object as a row of the inventory."""
    return (
        copy.key,
        None if copy.size == UNSIZED else copy.size,
        copy.modified,
        copy.inode,
        copy.version,
        identity.study_instance_uid or copy.study_instance_uid,
        identity.series_instance_uid or copy.series_instance_uid,
        identity.sop_instance_uid or copy.sop_instance_uid,
        identity.sop_class_uid or copy.sop_class_uid,
        identity.transfer_syntax_uid,
        identity.modality,
        identity.study_date,
        identity.frames,
        identity.lossy,
        sha256,
        digests,
        "read" if sha256 is not None else None,
        None,
        read_at,
        None,
        identity.problem,
    )
