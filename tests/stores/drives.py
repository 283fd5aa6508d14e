"""Real drives made of files, and what the kernel tells of its memory, where this computer lets a test have them."""

import ctypes
import mmap
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Drive:
    """An ext4 file system in a file, mounted like an external drive."""

    image: Path
    place: Path

    @classmethod
    @contextmanager
    def made(cls, image: Path, place: Path) -> Iterator["Drive"]:
        """Make one in the file `image`, connected at `place` until the end; skip the test where it cannot be had."""
        maker = shutil.which("mkfs.ext4", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if maker is None:
            pytest.skip("mkfs.ext4 is missing")
        drive = cls(image, place)
        place.mkdir(exist_ok=True)
        with image.open("wb") as file:
            file.truncate(32 << 20)
        subprocess.run([maker, "-q", "-F", image], check=True, capture_output=True)
        drive.connect()
        try:
            yield drive
        finally:
            drive.unplug()

    def connect(self) -> None:
        """Mount it."""
        _mount("-o", "loop", self.image, self.place)

    def unplug(self) -> None:
        """Take it away, if it is there."""
        if os.path.ismount(self.place):
            subprocess.run(["umount", self.place], check=True, capture_output=True)


@contextmanager
def mount_memory(place: Path, options: str = "rw") -> Iterator[None]:
    """Mount an empty file system in memory at `place`, or skip the test where that is forbidden."""
    _mount("-t", "tmpfs", "-o", options, "none", place)
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True, capture_output=True)


def _mount(*arguments: str | Path) -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting needs root on Linux")
    done = subprocess.run(["mount", *arguments], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this computer lets no test mount")


def in_memory(path: Path) -> int:
    """Return how many pages of a file lie in memory (mincore(2)), of which the file's owner is told."""
    size = path.stat().st_size
    pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as mapped:
        address = ctypes.c_char.from_buffer(mapped)
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            failed = libc.mincore(ctypes.c_void_p(ctypes.addressof(address)), ctypes.c_size_t(size), pages)
            assert not failed, os.strerror(ctypes.get_errno())
        finally:
            del address
    return sum(page & 1 for page in pages)
