"""A store of any size that exists nowhere: each image is made when it is read. Only the benchmark of scale has it."""

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from io import BytesIO
from types import TracebackType
from typing import Self

from exactcopy.model import Copy, Gap, Problem, Target
from exactcopy.stores import Safeguards, Stream

PER_STUDY, PER_SERIES = 200, 50
# One in so many is not on the backup, or is another image there.
LOST_EVERY, CHANGED_EVERY = 500_021, 700_001
MODIFIED = 1_600_000_000 * 10**9
_ROOT = "1.2.840.99999.7"
_DIGITS = 10


class MadeStore:
    """Images 0 to `images` of its target's options; a backup lacks some, and holds others instead of some."""

    def __init__(self, target: Target) -> None:
        """Take the target."""
        self._images = int(target.options["images"])
        self._backup = bool(target.covers)

    def __enter__(self) -> Self:
        """Nothing has to be reached."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open."""

    def partitions(self) -> Iterator[str]:
        """Yield the one part."""
        yield ""

    def listing(self, partition: str) -> Iterator[Copy | Gap]:
        """Yield every image."""
        size = len(image(0, changed=False))
        for number in range(self._images):
            if self._backup and number % LOST_EVERY == LOST_EVERY - 1:
                continue
            yield Copy(key=key(number), size=size, modified=MODIFIED, inode=number)

    def read(self, copies: Iterable[Copy], first_bytes: int | None = None) -> Iterator[tuple[Copy, Stream | Problem]]:
        """Yield each with its bytes."""
        for copy in copies:
            number = int(copy.key[-_DIGITS:])
            changed = self._backup and number % CHANGED_EVERY == CHANGED_EVERY - 1
            yield copy, BytesIO(image(number, changed=changed))

    def safeguards(self) -> Safeguards:
        """Return no more than a name of the medium: what was proven before stays so."""
        return Safeguards(medium=f"made {self._backup}")


def key(number: int) -> bytes:
    """Return where an image would lie."""
    return b"images/%06d/%02d/%010d" % (number // PER_STUDY, number % PER_STUDY // PER_SERIES, number)


def uids(number: int) -> tuple[str, str, str]:
    """Return the UIDs of the study, the series and the instance."""
    study, series = number // PER_STUDY, number // PER_SERIES
    return f"{_ROOT}.1{study:010}", f"{_ROOT}.2{series:010}", f"{_ROOT}.3{number:010}"


def image(number: int, *, changed: bool) -> bytes:
    """Return an image of its own."""
    pieces = _template()
    study, series, sop = (uid.encode() for uid in uids(number))
    parts = {b"S": study, b"E": series, b"I": sop, b"P": b"\1\1" if changed else b"\0\0"}
    return b"".join(parts.get(piece, piece) for piece in pieces)


def sha256_of(number: int, *, changed: bool) -> bytes:
    """Return the SHA-256 of an image."""
    return hashlib.sha256(image(number, changed=changed)).digest()


@cache
def _template() -> list[bytes]:
    """Return an image cut into pieces: S, E, I stand for the UIDs, P for two bytes of pixels."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

    study, series, sop = uids(0)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = sop
    ds.file_meta.MediaStorageSOPInstanceUID = UID(sop)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
    ds.StudyDate, ds.Modality, ds.PatientName, ds.PatientID = "20180402", "CT", "", ""
    ds.Rows = ds.Columns = 4
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation, ds.SamplesPerPixel = 15, 0, 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PixelData = b"\7\0" * 15 + b"\0\0"
    written = BytesIO()
    ds.save_as(written, enforce_file_format=True)
    whole = written.getvalue()[:-2]
    for uid, name in ((study, b"S"), (series, b"E"), (sop, b"I")):
        whole = whole.replace(uid.encode(), b"\xff\xfe|" + name + b"\xff\xfe|")
    return [*whole.split(b"\xff\xfe|"), b"P"]
