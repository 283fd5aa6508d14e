"""The floor: read every file, and hash it or not: `python -m benchmarks.run_floor FOLDER WORKERS [--read-only]`."""

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from time import perf_counter

from benchmarks import STEP

# What was fastest: larger buffers fall out of the processor's cache.
_BUFFER = 64 * 1024
# Pieces are cut by bytes, so that all processes are done at about the same time, and by count.
_PIECE_BYTES = 32 * 1024 * 1024
_PIECE_FILES = 500


def digests(paths: Sequence[str], *, read_only: bool = False) -> list[bytes]:
    """Return the SHA-256 of each file, or nothing where it is only read."""
    buffer = memoryview(bytearray(_BUFFER))
    result = []
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        if read_only:
            while os.readv(file, (buffer,)):
                pass
        else:
            digest = hashlib.sha256()
            while count := os.readv(file, (buffer,)):
                digest.update(buffer[:count])
            result.append(digest.digest())
        os.close(file)
    return result


def _pieces(folder: str) -> Iterator[list[str]]:
    paths: list[str] = []
    size = 0
    folders = [folder]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                    continue
                paths.append(entry.path)
                size += entry.stat(follow_symlinks=False).st_size
                if size >= _PIECE_BYTES or len(paths) >= _PIECE_FILES:
                    yield paths
                    paths, size = [], 0
    if paths:
        yield paths


def main() -> None:
    """Hash everything below the folder with so many processes."""
    began = perf_counter()
    with ProcessPoolExecutor(int(sys.argv[2])) as pool:
        work = partial(digests, read_only="--read-only" in sys.argv)
        count = sum(len(found) for found in pool.map(work, _pieces(sys.argv[1])))
    print(count)
    print(f"{STEP}{perf_counter() - began}")


if __name__ == "__main__":
    main()
