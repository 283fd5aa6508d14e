"""What a file's own bytes say it is, against pydicom and against damage."""

import csv
import io
import json
import os
import random
import struct
import subprocess
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.multival import MultiValue

from exactcopy.dicom.header import HeaderReader, identify
from exactcopy.dicom.terms import MODALITIES
from exactcopy.model import DAMAGED, NO_INSTANCE, Identity, Problem
from tests.dicom.dicom_files import CORPUS, corpus, needs_corpus, packaged, real
from tests.dicom.made import DEFLATED, HEAD, IMAGE, deflated, fragments, image, long, meta, short

SOUND = frozenset(
    {
        None,
        Problem.NO_STUDY_UID,
        Problem.MALFORMED_UID,
        Problem.META_DIFFERS,
        Problem.UNKNOWN_TRANSFER_SYNTAX,
    }
)
# What the corpus holds that is not simply sound; see its MANIFEST.csv.
EXPECTED = {
    "DICOMDIR": Problem.DICOMDIR,
    "MR_truncated.dcm": Problem.TRUNCATED,
    "rtplan_truncated.dcm": Problem.TRUNCATED,
    "nested_priv_SQ.dcm": Problem.NO_SOP_INSTANCE_UID,  # a fragment: private sequence only
    "no_meta.dcm": Problem.NOT_DICOM,  # one stray byte before the first element: pydicom finds no UID either
    "RTImageStorage.dcm": Problem.META_DIFFERS,
    "badVR.dcm": Problem.META_DIFFERS,
    "rtdose.dcm": Problem.META_DIFFERS,
    "rtplan.dcm": Problem.META_DIFFERS,
}
SMALL = (
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_RLE.dcm",
    "JPEG2000.dcm",
    "SC_rgb_small_odd.dcm",
    "rtplan.dcm",
    "reportsi.dcm",
    "rtstruct.dcm",
    "image_dfl.dcm",
    "liver_1frame.dcm",
    "ExplVR_BigEndNoMeta.dcm",
)


def in_pieces(data: bytes, sizes: Any) -> Identity:
    """Feed a file in pieces through one buffer, as a reader of files does."""
    reader, pos = HeaderReader(), 0
    while pos < len(data):
        buffer = bytearray(data[pos : pos + next(sizes)])
        reader.feed(memoryview(buffer))
        pos += len(buffer)
        buffer[:] = b"\xaa" * len(buffer)
    return reader.close()


def forever(size: int) -> Any:
    """Give the same size again and again."""
    while True:
        yield size


def value(data_set: Any, keyword: str) -> str | None:
    """Give pydicom's value of a UID or code as one text without padding; None where there is none."""
    found = data_set.get(keyword)
    if isinstance(found, MultiValue):
        found = "\\".join(str(part) for part in found)
    return str(found).strip("\0 ") or None if found is not None else None


def by_pydicom(data: bytes) -> tuple[dict[str, str | None], str | None] | None:
    """Read the same with pydicom; None where it cannot."""
    # A damaged character set makes it give up, though it says nothing of the UIDs: the second try has none.
    without = data.replace(b"\x08\0\x05\0", b"\x08\0\x04\0", 1).replace(b"\0\x08\0\x05", b"\0\x08\0\x04", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for content in (data, without):
            with suppress(Exception):
                return _by_pydicom(content)
    return None


def _by_pydicom(data: bytes) -> tuple[dict[str, str | None], str | None]:
    """Read with pydicom, which raises whatever a damaged file makes it raise."""
    read = pydicom.dcmread(io.BytesIO(data), force=True, stop_before_pixels=True)
    found = {
        "sop_instance_uid": value(read, "SOPInstanceUID"),
        "sop_class_uid": value(read, "SOPClassUID"),
        "study_instance_uid": value(read, "StudyInstanceUID"),
        "series_instance_uid": value(read, "SeriesInstanceUID"),
        "transfer_syntax_uid": value(read.file_meta, "TransferSyntaxUID"),
        "modality": value(read, "Modality"),
    }
    return found, value(read, "NumberOfFrames")


@pytest.mark.parametrize("path", [*packaged(), *corpus()], ids=lambda path: path.name)
def test_agrees_with_pydicom(path: Path) -> None:
    data = path.read_bytes()
    ours, theirs = identify(data), by_pydicom(data)
    if ours.problem in NO_INSTANCE and ours.problem is not Problem.DICOMDIR:
        assert theirs is None or theirs[0]["sop_instance_uid"] is None
        return
    if theirs is None:
        assert ours.problem is not None
        return
    expected, frames = theirs
    modality = expected.pop("modality")
    assert {keyword: getattr(ours, keyword) for keyword in expected} == expected
    assert ours.modality == (modality if modality in MODALITIES or modality is None else "other")
    assert ours.frames == (int(frames) if frames is not None and frames.isdigit() else None)


@needs_corpus
def test_the_corpus_is_sound_or_rightly_remarked() -> None:
    problems = {path.name: identify(path.read_bytes()).problem for path in corpus()}
    assert {name: problem for name, problem in problems.items() if problem} == EXPECTED


@needs_corpus
def test_the_corpus_is_what_its_manifest_says() -> None:
    with (CORPUS / "MANIFEST.csv").open(encoding="utf-8", newline="") as manifest:
        for row in csv.DictReader(manifest):
            found = identify((CORPUS / row["file"]).read_bytes())
            if row["file"] in ("DICOMDIR", "no_meta.dcm"):
                continue
            assert found.transfer_syntax_uid == row["transfer_syntax"]
            # Where the manifest guesses from the class or the picture, the file itself names none or another.
            if found.modality is not None and row["file"] not in ("waveform_ecg.dcm", "MG1_J2KI.dcm"):
                assert found.modality == row["modality"], row["file"]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [1, 7, 64, 4096])
def test_the_size_of_the_pieces_does_not_matter(name: str, size: int) -> None:
    data = real(name)
    assert in_pieces(data, forever(size)) == identify(data)


@pytest.mark.parametrize("path", [*packaged(), *corpus()], ids=lambda path: path.name)
def test_random_pieces_do_not_matter(path: Path) -> None:
    data, chance = path.read_bytes(), random.Random(path.name)
    sizes = iter(lambda: chance.choice((1, 2, 11, 500, 9000, 65536, 300000, 300000, 300000)), None)
    assert in_pieces(data, sizes) == identify(data)


MUTATION = st.tuples(
    st.sampled_from(("flip", "cut", "drop", "splice", "set")),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 255),
    st.integers(1, 40),
)


def mutated(data: bytes, mutations: list[tuple[str, float, int, int]], *, within: int) -> bytes:
    """Damage a file: mostly its head, where the identity is."""
    damaged = bytearray(data)
    for kind, where, byte, length in mutations:
        pos = int(where * min(len(damaged), within))
        if kind == "flip" and damaged:
            damaged[pos] ^= byte or 1
        elif kind == "set" and damaged:
            damaged[pos] = (0, 255, 0xFE, 0x41)[byte % 4]
        elif kind == "cut":
            del damaged[pos:]
        elif kind == "drop":
            del damaged[pos : pos + length]
        else:
            damaged[pos:pos] = damaged[pos // 2 : pos // 2 + length]
    return bytes(damaged)


@settings(max_examples=600, deadline=None)
@given(
    name=st.sampled_from(SMALL),
    mutations=st.lists(MUTATION, min_size=1, max_size=3),
    within=st.sampled_from((600, 3000, 10**6)),
)
def test_never_agrees_wrongly(name: str, mutations: list[tuple[str, float, int, int]], within: int) -> None:
    data = mutated(real(name), mutations, within=within)
    ours = identify(data)
    if ours.sop_instance_uid is None or ours.problem in DAMAGED | NO_INSTANCE:
        return
    theirs = by_pydicom(data)
    assert theirs is not None
    # pydicom takes away what Python calls white space, as 0xA0 is in Latin-1; DICOM pads with spaces and zeros.
    assert theirs[0]["sop_instance_uid"] == ours.sop_instance_uid.strip()


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(SMALL),
    mutations=st.lists(MUTATION, min_size=1, max_size=3),
    size=st.integers(5, 900),
)
def test_pieces_do_not_matter_to_damaged_files(
    name: str, mutations: list[tuple[str, float, int, int]], size: int
) -> None:
    data = mutated(real(name), mutations, within=3000)
    assert in_pieces(data, forever(size)) == identify(data)


def ends_with_pixels(path: Path) -> bool:
    """Say whether the last element of a sound file is its pixel data."""
    if identify(path.read_bytes()).problem not in SOUND:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = pydicom.dcmread(path, force=True)
    return bool(read) and max(read.keys()) in (0x7FE00008, 0x7FE00009, 0x7FE00010)


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in (*packaged(), *corpus())
        if path.stat().st_size < 1_000_000 and "TINY" not in str(path) and ends_with_pixels(path)
    ],
    ids=lambda path: path.name,
)
def test_a_cut_file_is_never_sound(path: Path) -> None:
    data, chance = path.read_bytes(), random.Random(path.name)
    # What follows a deflated stream is a checksum that nobody reads.
    size = len(data) - (8 if b"1.2.840.10008.1.2.1.99" in data[:1000] else 0)
    cuts = {1, 8, 100, 128, 131, 132, 133, 200, size // 4, size // 2, size - 1, size - 2, size - 8, size - 9}
    cuts |= {chance.randrange(size) for _ in range(30)} | {chance.randrange(min(size, 3000)) for _ in range(30)}
    problems = {cut: identify(data[:cut]).problem for cut in cuts if 0 <= cut < size}
    assert not {cut for cut, problem in problems.items() if problem not in DAMAGED | NO_INSTANCE}


@pytest.mark.parametrize("name", ["JPEG2000.dcm", "SC_rgb_small_odd.dcm", "liver_1frame.dcm"])
def test_every_cut_of_a_small_file_is_damage(name: str) -> None:
    data = real(name)
    assert identify(data).problem is None
    cuts = {*range(min(len(data), 4000)), *range(0, len(data), 37), *range(len(data) - 200, len(data))}
    assert {identify(data[:cut]).problem for cut in cuts} <= DAMAGED | NO_INSTANCE


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", Problem.EMPTY),
        (b"\0", Problem.NOT_DICOM),
        (b"\0" * 5000, Problem.NOT_DICOM),
        (b"PK\x03\x04" + b"x" * 900, Problem.ARCHIVE),
        (b"A report of the exam, in plain words. " * 20, Problem.NOT_DICOM),
        (b"\0" * 128 + b"DICM", Problem.NO_SOP_INSTANCE_UID),
        (image(long(0x7FE0, 0x10, b"OW", b"\1" * 24)), None),
        (image(long(0x7FE0, 0x10, b"OW", b"\1" * 24) + b"\0" * 5), None),
        (image(long(0x7FE0, 0x10, b"OW", b"\1" * 24) + b"\0" * 500), None),
        (image(long(0x7FE0, 0x10, b"OW", b"\1" * 24) + long(0xFFFC, 0xFFFC, b"OB", b"\0" * 40)), None),
        (
            image(long(0x7FE0, 0x10, b"OW", b"\1" * 24) + long(0xFFFC, 0xFFFC, b"OB", b"", 40)),
            Problem.TRUNCATED,
        ),
        (image(long(0x7FE0, 0x10, b"OW", b"\1" * 22)), Problem.TRUNCATED),
        (image(long(0x7FE0, 0x10, b"OW", b"\1" * 24, 0x7FFFFFF0)), Problem.TRUNCATED),
        (image(long(0x7FE0, 0x10, b"OW", b"")), Problem.NO_PIXEL_DATA),
        (image(b""), Problem.NO_PIXEL_DATA),
        (image(long(0x7FE0, 0x10, b"OW", b"")[:7]), Problem.TRUNCATED),
        (image(short(0x7FE0, 0x10, b"US", b"\1\1")), Problem.HEADER_UNREADABLE),
    ],
)
def test_problems(data: bytes, problem: Problem | None) -> None:
    assert identify(data).problem is problem
    assert in_pieces(data, forever(3)).problem is problem


JPEG = b"1.2.840.10008.1.2.4.50"
TWO_FRAMES = HEAD + short(0x28, 8, b"IS", b"2")


@pytest.mark.parametrize(
    ("head", "pixels", "problem"),
    [
        (IMAGE, fragments(b"", b"\xff\xd8" * 9), None),
        (IMAGE, fragments(b"", b"\xff\xd8" * 9) + long(0xFFFC, 0xFFFC, b"OB", b"\0" * 40), None),
        (IMAGE, fragments(b"", b"\xff\xd8" * 9)[:-1], Problem.TRUNCATED),
        (IMAGE, fragments(b"", b"\xff\xd8" * 9, end=False), Problem.NO_DELIMITER),
        (IMAGE, fragments(b"", b"\xff\xd8" * 9, end=False)[:-1], Problem.TRUNCATED),
        (IMAGE, fragments(b"", b"\xff\xd8" * 9, end=False) + b"\1" * 40, Problem.NO_DELIMITER),
        (IMAGE, fragments(b""), Problem.TRUNCATED),
        (TWO_FRAMES, fragments(b"", b"\1\1", b"\2\2"), None),
        (TWO_FRAMES, fragments(b"", b"\1\1"), Problem.TRUNCATED),
    ],
)
def test_encapsulated_pixels(head: bytes, pixels: bytes, problem: Problem | None) -> None:
    assert identify(image(pixels, head, JPEG)).problem is problem
    assert in_pieces(image(pixels, head, JPEG), forever(3)).problem is problem


@pytest.mark.parametrize(
    ("changed", "to", "problem"),
    [
        (short(8, 0x0018, b"UI", b"1.2.3"), b"", Problem.NO_SOP_INSTANCE_UID),
        (short(8, 0x0018, b"UI", b"1.2.3"), short(8, 0x0018, b"UI", b"\0\0"), Problem.NO_SOP_INSTANCE_UID),
        (short(8, 0x0018, b"UI", b"1.2.3"), short(8, 0x0018, b"UI", b"1.2.4"), Problem.META_DIFFERS),
        (short(8, 0x0018, b"UI", b"1.2.3"), short(8, 0x0018, b"UI", b"1.2.03"), Problem.MALFORMED_UID),
        (short(8, 0x0018, b"UI", b"1.2.3"), short(8, 0x0018, b"UI", b"1..3"), Problem.MALFORMED_UID),
        (short(8, 0x0018, b"UI", b"1.2.3"), short(8, 0x0018, b"UI", b"1.2.3."), Problem.MALFORMED_UID),
        (short(8, 0x0018, b"UI", b"1.2.3"), short(8, 0x0018, b"UI", b"1.2.3\\1.4"), Problem.MALFORMED_UID),
        (short(8, 0x0018, b"UI", b"1.2.3"), short(8, 0x0018, b"UI", b"../../etc"), Problem.MALFORMED_UID),
        (
            short(8, 0x0018, b"UI", b"1.2.3"),
            short(8, 0x0018, b"UI", b"1." * 32 + b"1"),
            Problem.MALFORMED_UID,
        ),
        (short(0x20, 0x000D, b"UI", b"1.2"), b"", Problem.NO_STUDY_UID),
        (short(8, 0x0060, b"CS", b"CT"), short(8, 0x0060, b"ZZ", b"CT"), Problem.HEADER_UNREADABLE),
    ],
)
def test_uids_and_meta(changed: bytes, to: bytes, problem: Problem | None) -> None:
    data = image(long(0x7FE0, 0x10, b"OW", b"\1" * 24), IMAGE.replace(changed, to))
    found = identify(data)
    assert found.problem is problem
    if problem is Problem.MALFORMED_UID:
        assert found.sop_instance_uid == to[8:].decode().strip("\0")


def test_what_is_collected() -> None:
    data = image(long(0x7FE0, 0x10, b"OW", b"\1" * 24), IMAGE + short(0x28, 0x2110, b"CS", b"01"))
    found = identify(data)
    assert (found.modality, str(found.study_date), found.lossy, found.frames) == (
        "CT",
        "2024-02-29",
        True,
        None,
    )
    odd = data.replace(b"20240229", b"20230229").replace(b"CS\x02\0CT", b"CS\x02\0Q!")
    assert (identify(odd).modality, identify(odd).study_date) == ("other", None)
    assert str(identify(data.replace(b"DA\x08\x0020240229", b"DA\x0a\x002024.02.29")).study_date) == "2024-02-29"


def test_only_top_level_elements_count() -> None:
    inside = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + short(8, 0x0018, b"UI", b"9.9.9")
    inside += struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    nested = long(8, 0x1140, b"SQ", inside, 0xFFFFFFFF)
    data = image(nested + long(0x7FE0, 0x10, b"OW", b"\1" * 24))
    assert identify(data).sop_instance_uid == "1.2.3"
    assert identify(image(nested)[:-1]).problem is Problem.TRUNCATED


@pytest.mark.parametrize(("photometric", "samples", "bytes_needed"), [(b"RGB", 3, 36), (b"YBR_FULL_422", 3, 24)])
def test_subsampled_color_is_shorter(photometric: bytes, samples: int, bytes_needed: int) -> None:
    head = HEAD + b"".join(
        short(0x28, element, vr, content)
        for element, vr, content in (
            (2, b"US", struct.pack("<H", samples)),
            (4, b"CS", photometric),
            (0x10, b"US", b"\4\0"),
            (0x11, b"US", b"\3\0"),
            (0x100, b"US", b"\x08\0"),
        )
    )
    whole = image(long(0x7FE0, 0x10, b"OB", b"\1" * bytes_needed), head)
    assert identify(whole).problem is None
    assert identify(image(long(0x7FE0, 0x10, b"OB", b"\1" * (bytes_needed - 2)), head)).problem is Problem.TRUNCATED


def test_deflated() -> None:
    body = IMAGE + long(0x7FE0, 0x10, b"OW", b"\1" * 24)
    assert identify(deflated(body)).problem is None
    assert identify(deflated(body) + b"\0").problem is None
    # Ends in the middle of a piece, and exactly with one, before what is not part of it.
    for size in (100_000, 65536, 131_072, 65536 - len(HEAD), 65536 - len(HEAD) - 12):
        longer = HEAD.replace(b"1.1.2\0", b"1.1.66") + long(0x21, 0x1010, b"UN", b"x" * size)
        for rest in (b"", b"\0", b"junk" * 2000):
            assert identify(deflated(longer) + rest).problem is None, size
    assert identify(deflated(body)[:-3]).problem in DAMAGED
    assert identify(deflated(body[:-3])).problem is Problem.TRUNCATED
    assert identify(meta(DEFLATED) + b"\xff" * 90).problem in DAMAGED


# Each is made and read in a process of its own, whose peak and time are measured.
HOSTILE = {
    "bomb": "b=zlib.compressobj(9,8,-15); z=(b.compress(bytes(1<<20))+b.flush(zlib.Z_FULL_FLUSH))*2048;"
    "data=T.meta(T.DEFLATED)+squeeze(T.HEAD)+z",
    "nested": "i=struct.pack('<HHI',0xFFFE,0xE000,0xFFFFFFFF);"
    "data=T.meta(T.EXPLICIT)+T.HEAD+(T.long(8,0x1140,b'SQ',i,0xFFFFFFFF))*2000",
    "nested_whole": "s=b''\n"
    "for n in range(2000): s=T.long(8,0x1140,b'SQ',struct.pack('<HHI',0xFFFE,0xE000,len(s))+s)\n"
    "data=T.meta(T.EXPLICIT)+T.HEAD+s",
    "many": "data=T.meta(T.EXPLICIT)+T.HEAD+T.short(0x21,0x10,b'LO',b'')*400_000",
    "many_odd": "data=T.meta(T.EXPLICIT)+T.HEAD+T.short(0x21,0x10,b'LO',b'')*400_000+T.short(0x21,0x10,b'1!',b'')",
    "many_bare": "data=T.HEAD+T.short(0x21,0x10,b'LO',b'')*400_000",
    "endless": "data=T.meta(T.EXPLICIT)+T.HEAD+T.short(0x21,0x10,b'LO',b'')*12_000_000",
    "length": "data=T.meta(T.EXPLICIT)+T.HEAD+T.long(0x21,0x10,b'UN',b'x'*9000,0x7FFFFFF0)",
    "long_uid": "data=T.meta(T.EXPLICIT)+T.long(8,0x18,b'UN',b'1'*90_000_000)",
    "long_meta": "data=bytes(128)+b'DICM'+T.long(2,0x10,b'UN',b'1'*90_000_000)",
}
MEASURED = """
import json, struct, sys, time, zlib
from tests.dicom import made as T
from exactcopy.dicom.header import HeaderReader
def peak():
    # In kB, of this program alone: ru_maxrss would be what started it, too.
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
def squeeze(data):
    # A stored block that is not the last one.
    return b"\\0" + struct.pack("<HH", len(data), len(data) ^ 0xFFFF) + data
{make}
before = peak()
begun = time.process_time()
reader = HeaderReader()
for pos in range(0, len(data), 1 << 18):
    reader.feed(memoryview(data)[pos:pos + (1 << 18)])
found = reader.close()
after = peak()
print(json.dumps([found.problem, time.process_time() - begun, (after - before) // 1024, after // 1024]))
"""


def measured(make: str) -> tuple[str | None, float, int, int]:
    """Read a hostile file in a process of its own; give the problem, seconds, and MB over it and in all."""
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED.format(make=make)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    problem, seconds, grown, peak = json.loads(ran.stdout)
    return problem, seconds, grown, peak


@pytest.mark.parametrize(
    ("name", "problems", "seconds"),
    [
        ("bomb", {Problem.INFLATES_TOO_FAR}, 5),
        ("nested", {Problem.HEADER_UNREADABLE}, 2),
        ("nested_whole", {Problem.NO_PIXEL_DATA, Problem.HEADER_UNREADABLE}, 2),
        ("many", {Problem.NO_PIXEL_DATA}, 2),
        ("many_odd", {Problem.HEADER_UNREADABLE}, 2),
        ("many_bare", {Problem.NO_PIXEL_DATA}, 2),
        ("endless", {Problem.HEADER_UNREADABLE}, 10),
        ("length", {Problem.TRUNCATED}, 1),
        ("long_uid", {Problem.HEADER_UNREADABLE}, 2),
        ("long_meta", {Problem.HEADER_UNREADABLE}, 2),
    ],
)
def test_hostile_files_cost_little(name: str, problems: set[Problem], seconds: float) -> None:
    problem, taken, grown, peak = measured(HOSTILE[name])
    assert problem in problems
    assert taken < seconds
    assert grown < 100
    assert peak < 500


def test_a_sparse_file_of_three_gigabytes_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    head = IMAGE.replace(short(0x28, 0x10, b"US", b"\4\0"), short(0x28, 0x10, b"US", b"\xff\xff"))
    head = head.replace(short(0x28, 0x11, b"US", b"\3\0"), short(0x28, 0x11, b"US", b"\xff\x5f"))
    start = image(long(0x7FE0, 0x10, b"OW", b"", 3_221_225_472 - 40), head)
    with path.open("wb") as file:
        file.write(start)
        file.truncate(len(start) + 3_221_225_472 - 40)
    reader = HeaderReader()
    buffer = bytearray(1 << 20)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            reader.feed(memoryview(buffer)[:size])
    assert reader.close().problem is None


def test_nothing_is_said_of_what_was_seen(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        identify(image(b"", IMAGE.replace(b"CS\x02\0CT", b"1!\x02\0CT").replace(b"1.2.1", b"x y z")))
    assert not warned
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
