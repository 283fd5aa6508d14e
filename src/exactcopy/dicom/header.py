"""Identify an instance from its bytes as they stream by, and say whether it is whole."""

import re
from dataclasses import replace
from datetime import date
from functools import lru_cache
from io import BytesIO
from operator import length_hint
from struct import unpack

from exactcopy.dicom.archives import is_archive
from exactcopy.dicom.encoding import (
    BIG,
    ENCAPSULATED,
    EXPLICIT,
    IMPLICIT,
    KEPT,
    MOST_WANTED_BYTES,
    PIXEL_TAGS,
    WANTED,
    Buffer,
    upper,
)
from exactcopy.dicom.patient import Patient, patient_of
from exactcopy.dicom.quiet import pydicom_quietly
from exactcopy.dicom.randomness import TELLING_BYTES, looks_random
from exactcopy.dicom.terms import (
    DEFLATED,
    DIRECTORY,
    MODALITIES,
    NATIVE,
    PIXEL_CLASSES,
    REFERENCED,
    RT_DOSE,
    TRANSFER_SYNTAXES,
    VIDEO,
)
from exactcopy.dicom.walk import MOST_ELEMENTS, Step, Walker
from exactcopy.model import Identity, Problem

MOST_HEAD = 4 * 1024 * 1024  # kept for pydicom, until the pixel data is reached
MOST_SLOW_ELEMENTS = 100_000  # pydicom takes 6 µs for each

_META_CLASS, _META_INSTANCE, _SYNTAX = 0x00020002, 0x00020003, 0x00020010
_CLASS, _INSTANCE, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_STUDY_DATE, _MODALITY = 0x00080020, 0x00080060
_SAMPLES, _PHOTOMETRIC, _FRAMES = 0x00280002, 0x00280004, 0x00280008
_ROWS, _COLUMNS, _BITS, _LOSSY = 0x00280010, 0x00280011, 0x00280100, 0x00282110
_DOSE_UNITS = 0x30040002
_SHARED = (_STUDY, _SERIES, _CLASS, _SYNTAX, _MODALITY, _STUDY_DATE, _FRAMES, _LOSSY, _META_CLASS)
_SHAPE = (_ROWS, _COLUMNS, _BITS, _SAMPLES, _PHOTOMETRIC)

# PS3.5 9.1: components without leading zeros, 64 characters at most.
_UID = re.compile(r"(?=.{1,64}\Z)(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*\Z").match
_DATE = re.compile(r"(\d{4})(\.?)(\d\d)\2(\d\d)\Z", re.ASCII).match

# Native pixels with subsampled color hold fewer samples than they name (PS3.3 C.7.6.3.1.2).
_SUBSAMPLED = {"YBR_FULL_422": (2, 3), "YBR_PARTIAL_422": (2, 3), "YBR_PARTIAL_420": (1, 2)}


class HeaderReader:
    """Takes a file in consecutive pieces, in flat memory, and says at its end what it is."""

    def __init__(self) -> None:
        """Begin a new file."""
        self._walker = Walker()
        self._size = 0
        self._head = bytearray()
        self._keeping = True
        self.patient: Patient = ()

    def feed(self, chunk: Buffer) -> None:
        """Take the next bytes of the file; the caller may use their buffer again."""
        size = len(chunk)
        self._size += size
        walker = self._walker
        if walker.skip >= size and not self._keeping:
            walker.skip -= size
            return
        walker.feed(chunk)
        if self._keeping:
            if walker.pixel_length is not None or walker.inner is not None:
                self._keeping = False
                self._head.clear()
                return
            # What is no DICOM may be an archive, or encrypted: its beginning tells.
            most = MOST_HEAD if walker.begins or walker.step is Step.PREAMBLE else TELLING_BYTES
            self._head += chunk[: max(most - len(self._head), 0)]
            self._keeping = len(self._head) < most

    def close(self) -> Identity:
        """Say what the file is, once all of it was fed; `patient` is then whose it is, as its elements say."""
        walker = self._walker
        walker.finish()
        identity, values = _identity(walker, self._head, self._size)
        self.patient = patient_of(values)
        return identity


def identify(data: Buffer) -> Identity:
    """Say what a whole file in memory is."""
    reader = HeaderReader()
    reader.feed(data)
    return reader.close()


def _identity(walker: Walker, head: bytearray, size: int) -> tuple[Identity, dict[int, bytes]]:
    """Put together what was collected, with the worst problem; give the elements, too."""
    if not size:
        return Identity(problem=Problem.EMPTY), {}
    if not walker.begins:
        if is_archive(head):
            return Identity(problem=Problem.ARCHIVE), {}
        return Identity(problem=Problem.SCRAMBLED if looks_random(head) else Problem.NOT_DICOM), {}
    data_set, values, readable = walker.inner or walker, walker.values, True
    in_pixels = data_set.pixel_length is not None
    if walker.inner is not None:
        values = {**values, **data_set.values}
        readable = not walker.irregular and (in_pixels or not data_set.irregular)
    elif walker.irregular and not in_pixels:
        data_set, values, readable = _slowly(walker, bytes(head), size)
    study, series, sop_class, syntax, modality, day, frames, lossy, meta_class = _shared(*map(values.get, _SHARED))
    identity = Identity(
        study_instance_uid=study,
        series_instance_uid=series,
        sop_instance_uid=_text(values, _INSTANCE),
        sop_class_uid=sop_class,
        transfer_syntax_uid=syntax,
        modality=modality,
        study_date=day,
        frames=frames,
        lossy=lossy,
    )
    if meta_class == DIRECTORY:
        problem: Problem | None = Problem.DICOMDIR
    elif not readable:
        problem = Problem.HEADER_UNREADABLE
    elif identity.sop_instance_uid is None:
        problem = Problem.NO_SOP_INSTANCE_UID
    elif walker.inflates_too_far:
        problem = Problem.INFLATES_TOO_FAR
    else:
        cut = walker.cut or data_set.cut
        problem = _damage(data_set, values, identity, cut=cut) or _remark(values, identity, mismatch=walker.mismatch)
    return replace(identity, problem=problem) if problem is not None else identity, values


@lru_cache(64)  # the files of a series follow each other; one object for all travels lighter, too
def _shared(
    study: bytes | None,
    series: bytes | None,
    sop_class: bytes | None,
    syntax: bytes | None,
    modality: bytes | None,
    day: bytes | None,
    frames: bytes | None,
    lossy: bytes | None,
    meta_class: bytes | None,
) -> tuple[
    str | None, str | None, str | None, str | None, str | None, date | None, int | None, bool | None, str | None
]:
    """Read what the instances of a series have in common."""
    of, is_lossy = _unpadded(modality), _unpadded(lossy)
    return (
        _unpadded(study),
        _unpadded(series),
        _unpadded(sop_class),
        _unpadded(syntax),
        None if of is None else of if of in MODALITIES else "other",
        _date(_unpadded(day)),
        _number(_unpadded(frames)),
        None if is_lossy is None else is_lossy == "01",
        _unpadded(meta_class),
    )


def _damage(data_set: Walker, values: dict[int, bytes], identity: Identity, *, cut: bool) -> Problem | None:
    """Say what is missing from an instance that has a UID."""
    length, syntax = data_set.pixel_length, identity.transfer_syntax_uid
    if length == ENCAPSULATED and not data_set.delimited:
        return Problem.TRUNCATED if data_set.skip or data_set.carry else Problem.NO_DELIMITER
    if cut:
        return Problem.TRUNCATED
    if not length:
        return Problem.NO_PIXEL_DATA if syntax not in REFERENCED and _needs_pixels(values, identity) else None
    if length == ENCAPSULATED:
        # Each frame has one fragment at least, after the offset table (PS3.5 A.4).
        fewest = 1 if syntax in VIDEO else max(identity.frames or 1, 1)
        return Problem.TRUNCATED if data_set.fragments <= fewest else None
    if syntax is not None and syntax not in NATIVE:
        return None
    expected = _native_length(*map(values.get, _SHAPE), data_set.encoding.order, max(identity.frames or 1, 1))
    if expected is None:
        return Problem.TRUNCATED if data_set.junk else None
    return Problem.TRUNCATED if length < expected else None


def _needs_pixels(values: dict[int, bytes], identity: Identity) -> bool:
    """Say whether there should be pixel data: by the class, or because its rows are described."""
    if identity.sop_class_uid in PIXEL_CLASSES or (_ROWS in values and _COLUMNS in values):
        return True
    # A dose without a grid still states its units (PS3.3 C.8.8.3).
    return identity.sop_class_uid == RT_DOSE and _DOSE_UNITS not in values


@lru_cache(64)
def _native_length(
    rows: bytes | None,
    columns: bytes | None,
    bits: bytes | None,
    samples: bytes | None,
    photometric: bytes | None,
    order: str,
    frames: int,
) -> int | None:
    """Give the bytes that uncompressed pixel data must have (PS3.5 8.1.1), or None where that is not said."""
    height, width, depth = (_short(value, order) for value in (rows, columns, bits))
    if not height or not width or not depth:
        return None
    count = height * width * (_short(samples, order) or 1) * frames
    kept, of = _SUBSAMPLED.get(_unpadded(photometric) or "", (1, 1))
    # Single bits are packed across the frames (PS3.5 8.1.1).
    return -(-count * depth * kept // (of * 8))


def _remark(values: dict[int, bytes], identity: Identity, *, mismatch: bool) -> Problem | None:
    """Say what is odd about a whole instance."""
    instance, sop_class = identity.sop_instance_uid, identity.sop_class_uid
    study, series = identity.study_instance_uid, identity.series_instance_uid
    if study is None:
        return Problem.NO_STUDY_UID
    if not (_well_formed(study) and _well_formed(series) and _well_formed(sop_class) and _UID(instance or "")):
        return Problem.MALFORMED_UID
    meta_class, meta_instance = _text(values, _META_CLASS), _text(values, _META_INSTANCE)
    if mismatch or meta_class not in (None, sop_class) or meta_instance not in (None, instance):
        return Problem.META_DIFFERS
    known = identity.transfer_syntax_uid in TRANSFER_SYNTAXES
    return None if known else Problem.UNKNOWN_TRANSFER_SYNTAX


@lru_cache(1024)  # the files of a series follow each other
def _well_formed(uid: str | None) -> bool:
    """Say whether a UID, if it is there, is one by PS3.5 9.1."""
    return uid is None or _UID(uid) is not None


def _slowly(walker: Walker, head: bytes, size: int) -> tuple[Walker, dict[int, bytes], bool]:
    """Let pydicom read what the walker could not; give the pixels' walker, the values, and if all was read.

    Only what was walked to its end is readable: what pydicom skips silently is not known to be whole.
    """
    nothing = walker, walker.values, False
    if (
        walker.pixel_length is not None
        or walker.too_many
        or MOST_ELEMENTS - length_hint(walker.budget) > MOST_SLOW_ELEMENTS
    ):
        return nothing
    if DEFLATED.encode() in head[:MOST_WANTED_BYTES]:
        return nothing  # pydicom inflates without a limit
    stream = BytesIO(head)
    try:
        read = pydicom_quietly().dcmread(stream, stop_before_pixels=True, force=True, specific_tags=[*KEPT])
        elements = [read.get_item(tag) for tag in KEPT if tag in read]
        elements += [read.file_meta.get_item(tag) for tag in WANTED if tag in read.file_meta]
    except (Exception, RecursionError, MemoryError):  # noqa: BLE001  a hostile file may raise anything
        return nothing
    values: dict[int, bytes] = {}
    regular = True
    for element in elements:
        value = element.value
        if element.VR not in (None, "UN", KEPT[element.tag]) or not isinstance(value, str | bytes):
            regular = regular and element.tag not in WANTED
        else:
            values[int(element.tag)] = value if isinstance(value, bytes) else value.encode("latin-1", "replace")
    rest = _pixel_walker(head[stream.tell() :], size - len(head))
    return rest or walker, values, rest is not None and regular


def _pixel_walker(data: bytes, unseen: int) -> Walker | None:
    """Walk over the pixel data at which pydicom stopped; None where there is none, or it cannot be walked."""
    order = next((order for order in ("<", ">") if _tag(data, order) in PIXEL_TAGS), None)
    if order is None:
        return None
    explicit = len(data) > 6 and upper(data[4:6])
    encoding = BIG if order == ">" else EXPLICIT if explicit else IMPLICIT
    walker = Walker(Step.EXPLICIT if explicit else Step.IMPLICIT, encoding)
    walker.feed(data)
    if unseen:
        if walker.skip < unseen:
            return None
        walker.skip -= unseen
    walker.finish()
    return None if walker.irregular else walker


def _tag(data: bytes, order: str) -> int:
    """Give the tag that `data` begins with."""
    group, element = unpack(f"{order}HH", data[:4].ljust(4, b"\0"))
    return int(group << 16 | element)


def _short(value: bytes | None, order: str) -> int | None:
    """Give an unsigned short's value; None where it is absent or of another length."""
    return int.from_bytes(value, "big" if order == ">" else "little") if value and len(value) == 2 else None


def _text(values: dict[int, bytes], tag: int) -> str | None:
    """Give a value without its padding; None where it is absent or empty."""
    return _unpadded(values.get(tag))


def _unpadded(value: bytes | None) -> str | None:
    """Give a value without its padding; None where nothing is left."""
    return value.decode("latin-1").strip("\0 ") or None if value else None


def _number(text: str | None) -> int | None:
    """Give an integer string's value (PS3.5 6.2); None where it is none."""
    return int(text) if text is not None and re.fullmatch(r"[+-]?\d{1,12}", text, re.ASCII) else None


def _date(text: str | None) -> date | None:
    """Give a date; None where it is absent or none. Dots are ACR-NEMA's (PS3.5 6.2)."""
    found = _DATE(text or "")
    if found is None:
        return None
    try:
        return date(int(found[1]), int(found[3]), int(found[4]))
    except ValueError:
        return None
