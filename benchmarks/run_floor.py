"""The floor: read every file and hash it, nothing else: `python -m benchmarks.run_floor FOLDER WORKERS`."""

import hashlib
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

_BUFFER = 256 * 1024
_FILES_AT_A_TIME = 50


def digests(paths: Sequence[str]) -> list[bytes]:
    """Return the SHA-256 of each file."""
    buffer = memoryview(bytearray(_BUFFER))
    result = []
    for path in paths:
        digest = hashlib.sha256()
        with open(path, "rb", buffering=0) as stream:
            while count := stream.readinto(buffer):
                digest.update(buffer[:count])
        result.append(digest.digest())
    return result


def main() -> None:
    """Hash everything below the folder with so many processes."""
    paths = [os.path.join(folder, name) for folder, _, names in os.walk(sys.argv[1]) for name in names]
    pieces = [paths[start : start + _FILES_AT_A_TIME] for start in range(0, len(paths), _FILES_AT_A_TIME)]
    with ProcessPoolExecutor(int(sys.argv[2])) as pool:
        count = sum(len(found) for found in pool.map(digests, pieces))
    print(count)


if __name__ == "__main__":
    main()
