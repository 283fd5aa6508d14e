"""Say how two instances of one SOP Instance UID differ whose files are not equal: doubt is a difference."""

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import zip_longest
from struct import pack
from typing import TYPE_CHECKING, Any

from exactcopy.dicom.elements import (
    PIXEL_GROUP,
    DataSet,
    Element,
    Fragments,
    Instance,
    MalformedError,
    as_items,
    dictionary_vr,
    frame_count,
    read_instance,
)
from exactcopy.dicom.encoding import PIXEL_TAGS, UNDEFINED
from exactcopy.dicom.pixels import frames
from exactcopy.dicom.quiet import pydicom_quietly
from exactcopy.dicom.terms import ALWAYS_LOSSY, EXPLICIT_LITTLE, MAY_BE_LOSSY, NATIVE, TEXT_VRS
from exactcopy.dicom.walk import MOST_NESTED
from exactcopy.model import Difference, Outcome

if TYPE_CHECKING:
    import numpy as np

MOST_NAMES = 50
HEADER_UNREADABLE = "header cannot be read"
PIXEL_DATA = "PixelData"
NOT_COMPARED = f"{PIXEL_DATA} (cannot be decoded for comparison)"

_INSTANCE_UID = 0x00080018
_PHOTOMETRIC, _PLANAR, _LOSSY = 0x00280004, 0x00280006, 0x00282110
_PIXELS = 0x7FE00010
# What it takes to decode the pixels of an item, with the VRs that the Standard gives.
_IMAGE = {
    0x00280002: b"US",
    _PHOTOMETRIC: b"CS",
    _PLANAR: b"US",
    0x00280008: b"IS",
    **dict.fromkeys((0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102, 0x00280103), b"US"),
}
_PADDING = 0xFFFCFFFC
# Extended offset table, lengths, and total length: packaging of encapsulated pixels (PS3.3 C.7.6.3.1.8).
_OFFSET_TABLES = frozenset({0x7FE00001, 0x7FE00002, 0x7FE00003})
# What determines how pixels are read: the image pixel group, functional groups, nested pixels.
_GRAVE_GROUPS = frozenset({0x0028, PIXEL_GROUP})
_GRAVE_TAGS = frozenset({_INSTANCE_UID, 0x52009229, 0x52009230})
_COLOR = frozenset(
    {b"RGB", b"YBR_FULL", b"YBR_FULL_422", b"YBR_PARTIAL_422", b"YBR_PARTIAL_420", b"YBR_ICT", b"YBR_RCT"}
)


@dataclass(frozen=True, slots=True)
class _Change:
    """An element that is not the same on both sides, by the tags that lead to it."""

    path: tuple[int, ...]
    lost: bool = False

    @property
    def name(self) -> str:
        """Give the keywords on the way to the element, never a value."""
        return ".".join(keyword(tag) for tag in self.path)

    @property
    def grave(self) -> bool:
        """Say whether it makes the copy another one: lost, or it determines how pixels are read."""
        return self.lost or any(tag >> 16 in _GRAVE_GROUPS or tag in _GRAVE_TAGS for tag in self.path)


@dataclass(frozen=True, slots=True)
class _Findings:
    """What was found between two instances."""

    left: Instance
    right: Instance
    changes: list[_Change] = field(default_factory=list)


def compare(primary: bytes, backup: bytes) -> Difference:
    """Say how a backup's file differs from the primary's; never raises for what is in them."""
    try:
        left, right = read_instance(primary), read_instance(backup)
    except MalformedError as problem:
        name = NOT_COMPARED if problem.in_pixels else HEADER_UNREADABLE
        return Difference(outcome=Outcome.DIFFERENT, elements=(name,))
    found = _Findings(left, right)
    _compare_data_sets(left.data_set, right.data_set, (), found)
    changes = found.changes
    tags = {tag for tag, _ in (*left.data_set, *right.data_set) if tag in PIXEL_TAGS}
    if not tags:
        # Without pixels, every element is what the instance is about.
        outcome = Outcome.DIFFERENT if changes else Outcome.EQUIVALENT
        return Difference(outcome=outcome, elements=_names(changes))
    equal = _pixels_equal(left, right, primary, backup)
    if equal and _recoded(left, right):
        changes = [
            change
            for change in changes
            if len(change.path) > 1 or not _follows_recoding(change.path[0], left.data_set, right.data_set)
        ]
    if equal is None:
        # Their stored bytes differ, and whether the images do is not known: that is no copy to rely on.
        return Difference(outcome=Outcome.DIFFERENT, elements=(*_names(changes), NOT_COMPARED))
    if not equal or _newly_lossy(left, right):
        return Difference(outcome=Outcome.DIFFERENT, elements=_names([*changes, _Change((min(tags),))]))
    if any(change.grave for change in changes):
        outcome = Outcome.DIFFERENT
    else:
        outcome = Outcome.ALTERED if changes else Outcome.EQUIVALENT
    return Difference(outcome=outcome, elements=_names(changes))


@lru_cache(8192)
def keyword(tag: int) -> str:
    """Give an element's keyword, or its number where it has none."""
    pydicom_quietly()
    from pydicom.datadict import keyword_for_tag

    return str(keyword_for_tag(tag)) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _names(changes: list[_Change]) -> tuple[str, ...]:
    """Give the names of changed elements, sorted, each once, not too many."""
    return tuple(sorted({change.name for change in changes})[:MOST_NAMES])


def _compare_data_sets(left: DataSet, right: DataSet, path: tuple[int, ...], found: _Findings) -> None:
    """Add what differs between two data sets, item by item."""
    # An item may hold an image, too: an icon, in the Standard's sequence or in a vendor's.
    recoded = bool(path) and _recoded_item(left, right, found)
    for key in sorted({*left, *right}):
        tag = key[0]
        # Group lengths, padding, and at top level the pixels, which have rules of their own.
        if tag & 0xFFFF == 0 or tag == _PADDING or (not path and tag in PIXEL_TAGS):
            continue
        if recoded and (tag == _PIXELS or _follows_recoding(tag, left, right)):
            continue
        here, there = left.get(key), right.get(key)
        if here is None or there is None:
            found.changes.append(_Change((*path, tag), lost=there is None))
        else:
            _compare_elements(tag, here, there, path, found)


def _compare_elements(tag: int, left: Element, right: Element, path: tuple[int, ...], found: _Findings) -> None:
    """Add what differs between two elements of one tag."""
    here, there = left.value, right.value
    named = {vr for vr in (left.vr, right.vr) if vr is not None and vr != "UN"}
    if len(named) > 1 and not _means_the_same(tag, named, here, there):
        found.changes.append(_Change((*path, tag)))
    elif isinstance(here, bytes) and isinstance(there, bytes):
        if not _same_value(here, there, next(iter(named), None) or dictionary_vr(tag)):
            _compare_as_items(tag, here, there, path, found)
    elif isinstance(here, Fragments) or isinstance(there, Fragments):
        if here != there:
            found.changes.append(_Change((*path, tag)))
    else:
        _compare_as_items(tag, here, there, path, found)


def _means_the_same(tag: int, named: set[str], left: object, right: object) -> bool:
    """Say whether a value means the same by both VRs.

    Where the Standard leaves a choice, who keeps an instance in implicit VR has to choose anew (PS3.6 6).
    """
    if left != right or not isinstance(left, bytes):
        return False
    if not left:
        return True
    chosen = named <= set((dictionary_vr(tag) or "").split(" or "))
    # Signed and unsigned words differ in what the highest bit means.
    return chosen and not ("SS" in named and any(byte & 0x80 for byte in left[1::2]))


def _compare_as_items(
    tag: int,
    left: bytes | list[DataSet],
    right: bytes | list[DataSet],
    path: tuple[int, ...],
    found: _Findings,
) -> None:
    """Add what differs between two values of which one is, or may be, a sequence."""
    try:
        if len(path) >= MOST_NESTED:
            raise MalformedError
        here = as_items(left) if isinstance(left, bytes) else left
        there = as_items(right) if isinstance(right, bytes) else right
    except MalformedError:
        found.changes.append(_Change((*path, tag)))
        return
    if len(here) != len(there):
        found.changes.append(_Change((*path, tag), lost=len(there) < len(here)))
    for item, other in zip(here, there, strict=False):
        _compare_data_sets(item, other, (*path, tag), found)


def _same_value(left: bytes, right: bytes, vr: str | None) -> bool:
    """Say whether two values are equal but for padding (PS3.5 6.2)."""
    if left == right:
        return True
    if vr in TEXT_VRS:
        return left.rstrip(b"\0 ") == right.rstrip(b"\0 ")
    return _padded(left, right) or _padded(right, left)


def _padded(short: bytes, long: bytes) -> bool:
    """Say whether `long` is `short` with the one byte that makes its length even."""
    return len(short) % 2 == 1 and len(long) == len(short) + 1 and long in (short + b"\0", short + b" ")


def _pixel_element(instance: Instance) -> tuple[int, Element] | None:
    """Give the pixel data of an instance; None where there is none, or more than one."""
    found = [(tag, element) for (tag, _), element in instance.data_set.items() if tag in PIXEL_TAGS]
    return found[0] if len(found) == 1 else None


def _pixels_equal(left: Instance, right: Instance, primary: bytes, backup: bytes) -> bool | None:
    """Say whether the pixels are equal; None where that cannot be told."""
    here, there = _pixel_element(left), _pixel_element(right)
    if here is None or there is None or here[0] != there[0]:
        return False
    one, other = here[1].value, there[1].value
    if isinstance(one, bytes) and isinstance(other, bytes) and _plain(left) and _plain(right):
        same = one == other or _padded(one, other) or _padded(other, one)
        if same or left.encoding.order == right.encoding.order:
            return same
    elif left.syntax == right.syntax and left.syntax is not None:
        if isinstance(one, Fragments) and isinstance(other, Fragments):
            if _same_fragments(one, other, frame_count(left.data_set)):
                return True
        elif one == other:
            return True
    return _decoded_equal(primary, backup, tolerance=_tolerance(left, right))


def _plain(instance: Instance) -> bool:
    """Say whether the pixels are not compressed, as far as the file says."""
    return instance.syntax is None or instance.syntax in NATIVE


def _same_fragments(left: Fragments, right: Fragments, count: int) -> bool:
    """Say whether fragments hold the same bytes for the same frames, however they are cut."""
    if b"".join(left.parts) != b"".join(right.parts):
        return False
    starts, others = _frame_starts(left, count), _frame_starts(right, count)
    return starts is not None and starts == others


def _frame_starts(fragments: Fragments, count: int) -> list[int] | None:
    """Give where frames begin in the joined fragments, by the offset table or one by one; None if unclear."""
    starts, positions, offset, joined = [], {}, 0, 0
    for part in fragments.parts:
        positions[offset] = joined
        starts.append(joined)
        offset += 8 + len(part)
        joined += len(part)
    table = fragments.offsets
    if table:
        offsets = [int.from_bytes(table[at : at + 4], "little") for at in range(0, len(table), 4)]
        valid = len(table) % 4 == 0 and len(offsets) == count and all(at in positions for at in offsets)
        return [positions[at] for at in offsets] if valid else None
    if count == 1:
        return [0]
    return starts if len(starts) == count else None


def _bytes(data_set: DataSet, tag: int) -> bytes:
    """Give a value's bytes; none where it is absent."""
    element = data_set.get((tag, 0))
    return element.value if element is not None and isinstance(element.value, bytes) else b""


def _recoded(left: Instance, right: Instance) -> bool:
    """Say whether the pixels are compressed in another way, or no longer."""
    return left.syntax != right.syntax and not (_plain(left) and _plain(right))


def _lossy(instance: Instance) -> bool:
    """Say whether an instance says that it is compressed with loss."""
    stated = _bytes(instance.data_set, _LOSSY).strip(b"\0 ") == b"01"
    return instance.syntax in ALWAYS_LOSSY or (instance.syntax in MAY_BE_LOSSY and stated)


def _newly_lossy(left: Instance, right: Instance) -> bool:
    """Say whether the backup is in a syntax that cannot keep the primary's pixels."""
    return right.syntax in ALWAYS_LOSSY and left.syntax not in ALWAYS_LOSSY


def _tolerance(left: Instance, right: Instance) -> int:
    """Give 1 where a lossy original was decompressed: decoders round differently; else 0."""
    return int(_lossy(left) and right.syntax is not None and right.syntax not in MAY_BE_LOSSY)


def _follows_recoding(tag: int, left: DataSet, right: DataSet) -> bool:
    """Say whether a change of an element beside equal pixels only tells how they are now encoded."""
    if tag in _OFFSET_TABLES:
        return (tag, 0) not in left or (tag, 0) not in right
    if tag == _PHOTOMETRIC:
        return {_bytes(side, tag).strip(b"\0 ") for side in (left, right)} <= _COLOR
    return tag == _PLANAR and (tag, 0) in right


def _recoded_item(left: DataSet, right: DataSet, found: _Findings) -> bool:
    """Say whether an item holds the same image, compressed in another way because the instance is."""
    here, there = left.get((_PIXELS, 0)), right.get((_PIXELS, 0))
    if here is None or there is None or not _recoded(found.left, found.right):
        return False
    if isinstance(here.value, bytes) and isinstance(there.value, bytes):
        return False
    files = _as_file(left, found.left.syntax), _as_file(right, found.right.syntax)
    return _decoded_equal(*files, tolerance=_tolerance(found.left, found.right)) is True


def _as_file(item: DataSet, syntax: str | None) -> bytes:
    """Write the image of an item as a file, to be decoded."""
    pixels = item[_PIXELS, 0].value
    if isinstance(pixels, list):
        return b""
    if isinstance(pixels, Fragments):
        # Without the offset table, for an item has one frame (PS3.3 C.7.6.1.1.6).
        parts = b"".join(pack("<HHI", 0xFFFE, 0xE000, len(part)) + part for part in (b"", *pixels.parts))
        value, length = parts + pack("<HHI", 0xFFFE, 0xE0DD, 0), UNDEFINED
    else:
        syntax, value, length = EXPLICIT_LITTLE, pixels, len(pixels)
    stated = (syntax or "").encode("latin-1")
    data = pack("<HH2sH", 2, 0x10, b"UI", len(stated)) + stated
    for tag, vr in _IMAGE.items():
        if (tag, 0) in item:
            said = _bytes(item, tag)
            data += pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(said)) + said
    return data + pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, length) + value


def _decoded_equal(primary: bytes, backup: bytes, *, tolerance: int) -> bool | None:
    """Decode both, frame by frame; None where either cannot be decoded, or has no frame."""
    equal = None
    try:
        for one, other in zip_longest(frames(primary), frames(backup)):
            if one is None or other is None or not _close(one, other, tolerance):
                return False
            equal = True
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001  decoders raise what they like; a panic in Rust is no Exception
        return None
    return equal


def _close(one: "np.ndarray[Any, Any]", other: "np.ndarray[Any, Any]", tolerance: int) -> bool:
    """Say whether two frames are equal, within `tolerance` of each sample."""
    import numpy as np

    if one.shape != other.shape:
        return False
    if not tolerance or one.dtype.kind == "f":
        return bool(np.array_equal(one, other))
    return bool((np.abs(one.astype(np.int64) - other.astype(np.int64)) <= tolerance).all())
