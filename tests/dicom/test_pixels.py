"""Every frame decodes, or it is said why not, and nothing gets out but the answer."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import ImplicitVRLittleEndian

from exactcopy.dicom.header import identify
from exactcopy.dicom.pixels import FrameCheck, check_frames, decodable, frames
from exactcopy.model import DAMAGED, NO_INSTANCE
from tests.dicom.dicom_files import corpus, packaged, real
from tests.dicom.made import HEAD, IMAGE, deflated, fragments, image, long, short

SYNTAX = "1.2.840.10008.1.2"
# Whole by their header, and yet no decoder reads them: made to be so, or an element of them is wrong.
UNDECODED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "decoder_failed",  # no image at all in its fragment
    "SC_rgb_jpeg.dcm": "decoder_failed",  # JPEG in native pixel data
    "badVR.dcm": "decoder_failed",  # its number of frames is no number
    "JPEG-lossy.dcm": "no_decoder",  # 12 bits
    "JPGExtended.dcm": "no_decoder",
    "RG2_JPLY_fixed.dcm": "no_decoder",
    "OT-PAL-8-face.dcm": "no_transfer_syntax",
}


@pytest.mark.parametrize(
    "path", [path for path in (*packaged(), *corpus()) if "TINY" not in str(path)], ids=lambda path: path.name
)
def test_real_files_decode(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = path.read_bytes()
    identity = identify(data)
    if identity.problem in DAMAGED | NO_INSTANCE:
        check_frames(data)
        return
    found = check_frames(io.BytesIO(data))
    assert found.reason == UNDECODED.get(path.name)
    if found.reason is None:
        has_pixels = b"\xe0\x7f\x10\0" in data or b"\x7f\xe0\0\x10" in data or path.name == "image_dfl.dcm"
        assert found.frames == found.decoded == ((identity.frames or 1) if has_pixels else 0)
        assert check_frames(data) == found
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["CT_small.dcm", "emri_small_RLE.dcm", "examples_ybr_color.dcm", "image_dfl.dcm"])
def test_frames_are_what_pydicom_decodes(name: str) -> None:
    array = pydicom.dcmread(io.BytesIO(real(name))).pixel_array
    found = list(frames(real(name)))
    assert np.array_equal(np.stack(found) if len(found) > 1 else found[0], array)


@pytest.mark.parametrize(
    "suffix", ["", ".1", ".2", ".1.99", ".5", *(f".4.{n}" for n in (50, 57, 70, 80, 81, 90, 91, 201))]
)
def test_what_can_be_decoded(suffix: str) -> None:
    assert decodable(SYNTAX + suffix)


@pytest.mark.parametrize("suffix", [".4.53", ".4.100", ".4.102", ".4.110", ".4.94", ".99", ".8.1"])
def test_what_cannot_be_decoded(suffix: str) -> None:
    assert not decodable(SYNTAX + suffix)
    data = image(fragments(b"", b"\1\2"), syntax=(SYNTAX + suffix).encode())
    assert check_frames(data) == FrameCheck(frames=0, decoded=0, undecodable=True, reason="no_decoder")


def test_a_class_without_pixels_has_no_frames() -> None:
    assert check_frames(real("rtplan.dcm")) == FrameCheck(frames=0, decoded=0)
    assert check_frames(image(b"", HEAD)) == FrameCheck(frames=0, decoded=0)


def test_a_frame_that_is_too_large_is_not_decodable_here(tmp_path: Path) -> None:
    assert check_frames(real("CT_small.dcm"), limit_bytes=1000).reason == "too_large"
    head = IMAGE.replace(short(0x28, 0x10, b"US", b"\4\0"), short(0x28, 0x10, b"US", b"\xff\xff"))
    head = head.replace(short(0x28, 0x11, b"US", b"\3\0"), short(0x28, 0x11, b"US", b"\xff\x5f"))
    start = image(long(0x7FE0, 0x10, b"OW", b"", 3_221_225_472 - 40), head)
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(len(start) + 3_221_225_472 - 40)
    with path.open("rb") as file:
        assert check_frames(file) == FrameCheck(frames=0, decoded=0, undecodable=True, reason="too_large")


def test_deflated_pixels_decode() -> None:
    pixels = struct.pack("<12H", *range(12))
    rest = short(0x28, 4, b"CS", b"MONOCHROME2")
    rest += b"".join(
        short(0x28, element, b"US", struct.pack("<H", value))
        for element, value in ((0x101, 16), (0x102, 15), (0x103, 0))
    )
    data = deflated(IMAGE + rest + long(0x7FE0, 0x10, b"OW", pixels))
    assert check_frames(data) == FrameCheck(frames=1, decoded=1)
    assert next(frames(data)).ravel().tolist() == list(range(12))
    assert check_frames(data[:-8]).reason == "decoder_failed"


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
    ],
)
def test_damage_in_compressed_pixels_fails(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(real(name))
    start = data.rindex(b"\xfe\xff\x00\xe0", 0, data.rindex(b"\xfe\xff\xdd\xe0")) + 8
    data[start : start + 40] = b"\xff" * 40
    found = check_frames(bytes(data))
    assert (found.failed, found.undecodable, found.reason) == (True, False, "decoder_failed")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "offset", "value"),
    [
        ("JPEG2000.dcm", 12, 2),  # 34 million rows: OpenJPEG would be busy for hours
        ("JPEG2000.dcm", 24, 0),  # tiles of one pixel and less
        ("JPEG2000.dcm", 40, 64),  # 16,000 components
        ("JPEG2000.dcm", 1, 0),
    ],
)
def test_a_codestream_is_not_believed(name: str, offset: int, value: int) -> None:
    data = bytearray(real(name))
    start = data.index(b"\xff\x4f\xff\x51")
    data[start + offset] = value
    if offset == 24:
        data[start + 24 : start + 32] = b"\0\0\0\1" * 2
    found = check_frames(bytes(data))
    assert (found.failed, found.reason) == (True, "decoder_failed")


def test_missing_frames_are_a_failure() -> None:
    data_set = pydicom.dcmread(io.BytesIO(real("emri_small_RLE.dcm")))
    data_set.NumberOfFrames = 11
    buffer = io.BytesIO()
    data_set.save_as(buffer)
    found = check_frames(buffer.getvalue())
    assert found.failed
    assert not found.undecodable


def test_a_wrong_encoding_in_the_meta_does_not_matter() -> None:
    data_set: Any = pydicom.dcmread(io.BytesIO(real("CT_small.dcm")))
    buffer = io.BytesIO()
    data_set.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    pydicom.dcmwrite(buffer, data_set, implicit_vr=True, little_endian=True)
    assert check_frames(buffer.getvalue()) == FrameCheck(frames=1, decoded=1)


@settings(max_examples=250, deadline=None)
@given(
    name=st.sampled_from(
        ["MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_small_odd.dcm", "image_dfl.dcm"]
    ),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4),
)
def test_nothing_gets_out(name: str, edits: list[tuple[float, int]]) -> None:
    damaged = bytearray(real(name))
    for where, mask in edits:
        damaged[int(where * len(damaged))] ^= mask
    found = check_frames(bytes(damaged))
    assert found.reason is None or found.failed != found.undecodable


def test_interrupts_get_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pydicom.pixels.utils.iter_pixels", interrupted)
    with pytest.raises(KeyboardInterrupt):
        check_frames(real("CT_small.dcm"))
