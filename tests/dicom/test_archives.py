"""An archive among the images is told from junk: it may hold images."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable

import pytest

from exactcopy.dicom.archives import TELLING
from exactcopy.dicom.header import HeaderReader, identify
from exactcopy.model import Problem
from tests.dicom.dicom_files import real

IMAGE = "CT_small.dcm"


def zipped() -> bytes:
    """Give a zip of an image."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("IM1.dcm", real(IMAGE))
    return stream.getvalue()


def empty_zip() -> bytes:
    """Give a zip of nothing."""
    stream = io.BytesIO()
    zipfile.ZipFile(stream, "w").close()
    return stream.getvalue()


def tarred(kind: int) -> Callable[[], bytes]:
    """Give a maker of a tar of an image."""

    def make() -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=kind) as archive:
            entry = tarfile.TarInfo("study/IM1.dcm")
            entry.size = len(real(IMAGE))
            archive.addfile(entry, io.BytesIO(real(IMAGE)))
        return stream.getvalue()

    return make


ARCHIVES = {
    "zip": zipped,
    "empty zip": empty_zip,
    "POSIX tar": tarred(tarfile.PAX_FORMAT),
    "GNU tar": tarred(tarfile.GNU_FORMAT),
    "old tar": tarred(tarfile.USTAR_FORMAT),
    "gzip": lambda: gzip.compress(real(IMAGE)),
    "bzip2": lambda: bz2.compress(real(IMAGE)),
    "xz": lambda: lzma.compress(real(IMAGE)),
    # Their own writers are not among the tools of the tests: the first bytes by their specifications.
    "7z": lambda: b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(300),
    "rar": lambda: b"Rar!\x1a\x07\x01\x00" + bytes(300),
    "zstd": lambda: b"\x28\xb5\x2f\xfd\x04" + bytes(300),
}


@pytest.mark.parametrize("size", [1, 100, 10**6])
@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_is_one_however_it_arrives(name: str, size: int) -> None:
    data = ARCHIVES[name]()[: 3 * TELLING]
    reader = HeaderReader()
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
    assert reader.close().problem is Problem.ARCHIVE


@pytest.mark.parametrize("data", [b"PK", b"%PDF-1.7 PK\x03\x04", bytes(512) + b"ustar", b"ustar" * 100])
def test_what_only_mentions_an_archive_is_none(data: bytes) -> None:
    assert identify(data).problem is Problem.NOT_DICOM


def test_an_image_whose_preamble_begins_like_an_archive_is_an_image() -> None:
    image = real(IMAGE)
    assert identify(b"PK\x03\x04" + image[4:]).sop_instance_uid == identify(image).sop_instance_uid
