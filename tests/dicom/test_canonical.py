"""One digest for one content, in whatever packaging: equal digests prove what `compare` would find."""

import random
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
from tests.dicom.test_compare import NATIVE_FILES, WITHOUT_PIXELS, read_whole, save, swap_words

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
