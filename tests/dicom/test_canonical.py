"""One digest for one content, in whatever packaging: equal digests prove what `compare` would find."""

import random
import subprocess
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from exactcopy.dicom.canonical import ContentDigest, content_digest
from exactcopy.dicom.compare import compare
from exactcopy.dicom.elements import read_instance
from exactcopy.model import Outcome
from tests.dicom.dicom_files import corpus, packaged, real
from tests.dicom.made import deflated, image, long
from tests.dicom.test_compare import NATIVE_FILES, WITHOUT_PIXELS, load, read_whole, save, swap_words
from tests.servers import binary

pytestmark = pytest.mark.filterwarnings("ignore:::pydicom")

FILES = [*packaged(), *corpus()]


def in_pieces(data: bytes, seed: int) -> bytes | None:
    """Give the digest of a file that comes in pieces of any size."""
    chance = random.Random(seed)
    digest, pos = ContentDigest(), 0
    while pos < len(data):
        size = chance.choice((1, 3, 7, 100, 4096, 65_536))
        digest.update(memoryview(data)[pos : pos + size])
        pos += size
    return digest.digest()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_regular_file_has_one_however_it_comes(path: Path) -> None:
    data = path.read_bytes()
    whole = content_digest(data)
    if len(data) < 2_000_000:
        assert in_pieces(data, len(data)) == whole
    try:
        read_instance(data)
    except ValueError:
        assert whole is None
        return
    assert whole is not None


@pytest.mark.parametrize("name", [*NATIVE_FILES, *WITHOUT_PIXELS])
@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
    ids=lambda syntax: syntax.keyword,
)
def test_another_encoding_is_the_same_content(name: str, syntax: str) -> None:
    data_set = read_whole(name)
    if (syntax == ExplicitVRBigEndian) != (name == "MR_small_bigendian.dcm"):
        swap_words(data_set)
    written = save(data_set, syntax)
    if content_digest(written) != content_digest(real(name)):
        # Private elements, and those that may have either of two VRs, lose theirs in implicit VR.
        assert ImplicitVRLittleEndian in (syntax, read_whole(name).file_meta.TransferSyntaxUID)
        assert compare(real(name), written).outcome is Outcome.EQUIVALENT


def dcmtk(tool: str, *options: str, data: bytes) -> bytes:
    """Give what a tool of DCMTK makes of a file."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "source.dcm"), Path(folder, "made.dcm")
        source.write_bytes(data)
        subprocess.run([binary(tool), *options, str(source), str(made)], check=True, capture_output=True, timeout=60)
        return made.read_bytes()


PLAIN_FILES = (
    *(*NATIVE_FILES, "rtplan.dcm", "reportsi.dcm", "test-SR.dcm", "MR_small_padded.dcm", "image_dfl.dcm"),
    *("SC_rgb_small_odd.dcm", "liver_1frame.dcm", "emri_small.dcm", "rtstruct.dcm", "chrFrenMulti.dcm"),
    *("color-px.dcm", "mlut_18.dcm", "vlut_04.dcm"),
)
PACKAGINGS = {
    "group lengths, defined lengths": ["+te", "+g", "+e"],
    "undefined lengths": ["+te", "-g", "-e"],
    "big endian": ["+tb", "+g", "-e"],
    "deflated": ["+td", "+cl", "1"],
    "padded": ["+te", "+p", "512", "128"],
    "without meta": ["-F", "+te"],
}


@pytest.mark.parametrize("options", PACKAGINGS.values(), ids=PACKAGINGS)
def test_every_packaging_by_dcmtk_is_the_same_content(options: list[str]) -> None:
    for name in PLAIN_FILES:
        data = real(name)
        made = dcmtk("dcmconv", *options, data=data)
        assert made != data
        # Of one in implicit VR nobody said which of two VRs some elements have.
        equal = name != "MR_small_implicit.dcm"
        assert (content_digest(made) == content_digest(data)) is equal, name
        assert compare(data, made).outcome is Outcome.EQUIVALENT, name


# Those with private elements, or elements that may have either of two VRs, which implicit VR does not name.
UNNAMED = {"CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_padded.dcm"}
# Those in which DCMTK then chose another one than the writer.
CHOSEN_ANEW = {"mlut_18.dcm", "vlut_04.dcm"}


def test_implicit_vr_and_back_by_dcmtk_is_the_same_content_or_told_apart_by_compare() -> None:
    for name in PLAIN_FILES:
        data = real(name)
        implicit = dcmtk("dcmconv", "+ti", data=data)
        explicit = dcmtk("dcmconv", "+te", data=implicit)
        unequal = UNNAMED | CHOSEN_ANEW
        assert (content_digest(implicit) != content_digest(data)) is (name in unequal), name
        assert compare(data, implicit).outcome is Outcome.EQUIVALENT, name
        unequal = CHOSEN_ANEW | {"MR_small_implicit.dcm"}
        assert (content_digest(explicit) != content_digest(data)) is (name in unequal), name
        found = compare(data, explicit)
        if name == "mlut_18.dcm":
            # Its LUT begins below zero, and is now said to begin far above.
            assert (found.outcome, found.elements) == (Outcome.DIFFERENT, ("ModalityLUTSequence.LUTDescriptor",))
        else:
            assert (found.outcome, found.elements) == (Outcome.EQUIVALENT, ()), name


CODED = ("CT_small.dcm", "MR_small.dcm", "emri_small.dcm", "SC_rgb_small_odd.dcm", "examples_rgb_color.dcm")


@pytest.mark.parametrize("name", CODED)
def test_what_dcmtk_compresses_without_loss_comes_back_as_the_same_content(name: str) -> None:
    data = real(name)
    for coder, decoder in (("dcmcrle", "dcmdrle"), ("dcmcjpls", "dcmdjpls")):
        coded = dcmtk(coder, data=data)
        # What it takes a decoder to see is for `compare`.
        assert content_digest(coded) != content_digest(data)
        assert compare(data, coded).outcome is compare(coded, data).outcome is Outcome.EQUIVALENT
        assert content_digest(dcmtk(decoder, data=coded)) == content_digest(data)
    coded = dcmtk("dcmcjpeg", "+e1", data=data)
    found = compare(data, coded)
    # It notes what it did.
    assert (found.outcome, found.elements) == (Outcome.ALTERED, ("DerivationDescription",))
    back = dcmtk("dcmdjpeg", data=coded)
    assert content_digest(back) != content_digest(coded)
    assert compare(coded, back).outcome is Outcome.EQUIVALENT


@pytest.mark.parametrize("name", CODED)
def test_how_dcmtk_packs_fragments_is_the_same_content(name: str) -> None:
    coded = dcmtk("dcmcrle", "+ot", data=real(name))
    for options in (["-g", "-e"], ["+g", "+e"]):
        assert content_digest(dcmtk("dcmconv", *options, data=coded)) == content_digest(coded)
    assert content_digest(dcmtk("dcmcrle", "-ot", data=real(name))) == content_digest(coded)
    # Frames in several fragments are told apart by the offset table, which `compare` follows.
    assert compare(coded, dcmtk("dcmcrle", "+fs", "4", data=real(name))).outcome is Outcome.EQUIVALENT


@pytest.mark.parametrize("name", CODED)
def test_what_dcmtk_compresses_with_loss_is_neither(name: str) -> None:
    data = real(name)
    coded = dcmtk("dcmcjpeg", "+eb", "+un", data=data)
    for made in (coded, dcmtk("dcmdjpeg", data=coded)):
        assert content_digest(made) != content_digest(data)
        found = compare(data, made)
        assert found.outcome is Outcome.DIFFERENT
        assert "PixelData" in found.elements
    # That it was decompressed afterwards took nothing from it.
    assert compare(coded, dcmtk("dcmdjpeg", data=coded)).outcome is Outcome.EQUIVALENT


def elements_of(data_set: Any) -> list[tuple[Any, Any]]:
    """Give each element of a data set and of its items, as the data set that holds it and its tag."""
    found = []
    for tag in list(data_set.keys()):
        if tag.element == 0 or tag == 0xFFFCFFFC:
            continue
        found.append((data_set, tag))
        if data_set[tag].VR == "SQ":
            for item in data_set[tag].value:
                found += elements_of(item)
    return found


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(["CT_small.dcm", "rtplan.dcm", "reportsi.dcm", "liver_1frame.dcm", "MR_small_RLE.dcm"]),
    which=st.floats(0, 1, exclude_max=True),
    where=st.floats(0, 1, exclude_max=True),
    mask=st.integers(1, 255),
)
def test_every_changed_and_every_lost_element_shows(name: str, which: float, where: float, mask: int) -> None:
    original = content_digest(save(load(name)))
    changed, lost = load(name), load(name)
    places = elements_of(changed)
    number = int(which * len(places))
    holder, tag = places[number]
    other, _ = elements_of(lost)[number]
    del other[tag]
    assert content_digest(save(lost)) != original
    raw = load(name).get_item(tag) if holder is changed else None
    if not isinstance(raw, RawDataElement) or not raw.value or raw.VR == "SQ":
        return
    value = bytearray(raw.value)
    # The offset table of one frame is packaging.
    start = 16 + int.from_bytes(value[4:8], "little") if raw.length == 0xFFFFFFFF else 0
    value[start + int(where * (len(value) - start))] ^= mask
    if value.rstrip(b"\0 ") != raw.value.rstrip(b"\0 "):
        holder[tag] = raw._replace(value=bytes(value))
        assert content_digest(save(changed)) != original


@pytest.mark.parametrize(
    "name", ["MR_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "liver_1frame.dcm"]
)
def test_every_changed_pixel_shows(name: str) -> None:
    data = real(name)
    pixels = load(name).PixelData
    original, start = content_digest(data), data.rindex(pixels)
    seen = {original}
    for at in {*range(0, len(pixels), 37), len(pixels) - 1}:
        changed = bytearray(data)
        changed[start + at] ^= 1
        seen.add(content_digest(bytes(changed)))
    # Nor do two changes look alike.
    assert len(seen) == len(range(0, len(pixels), 37)) + 1 + ((len(pixels) - 1) % 37 != 0)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_file_meta_and_preamble_do_not_count(path: Path) -> None:
    data = path.read_bytes()
    if data[128:132] == b"DICM":
        assert content_digest(data[132:]) == content_digest(b"\1" * 128 + data[128:]) == content_digest(data)


@settings(max_examples=400, deadline=None)
@given(
    name=st.sampled_from(["CT_small.dcm", "MR_small_RLE.dcm", "rtplan.dcm", "SC_rgb_small_odd.dcm", "JPEG2000.dcm"]),
    place=st.floats(0, 0.999999),
    mask=st.integers(1, 255),
)
def test_equal_digests_are_what_compare_finds_equivalent(name: str, place: float, mask: int) -> None:
    data = real(name)
    changed = bytearray(data)
    changed[int(place * len(data))] ^= mask
    if content_digest(bytes(changed)) == content_digest(data):
        assert compare(data, bytes(changed)).outcome is Outcome.EQUIVALENT


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_RLE.dcm", "rtplan.dcm"])
def test_what_is_cut_has_none(name: str) -> None:
    data = real(name)
    for left in (0, 1, 131, 140, 400, len(data) // 2, len(data) - 2, len(data) - 1):
        found = content_digest(data[:left])
        assert found is None or found != content_digest(data)


def test_a_bomb_has_none() -> None:
    element = long(0x0009, 0x1010, b"OB", b"", 1 << 30)
    assert content_digest(deflated(element + bytes(1 << 27))) is None


def test_pixels_pass_in_flat_memory() -> None:
    start = image(long(0x7FE0, 0x10, b"OW", b"", 1 << 30))
    digest, piece = ContentDigest(), bytes(1 << 20)
    digest.update(start)
    tracemalloc.start()
    for _ in range(1 << 10):
        digest.update(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert digest.digest() is not None
    assert peak < 8 << 20
