"""What each digest costs, alone and beside SHA-256 in one read: `python -m benchmarks.digests`."""

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from exactcopy.digest import DROPBOX, SHA256, STRONGEST_FIRST, hasher
from exactcopy.model import Algorithm, Checksum

_PIECE = 512 * 1024
_PIECES = 32
_ROUNDS = 5
# A multipart upload as the AWS command line makes it.
_MULTIPART = Checksum(Algorithm.MD5, 8 * 1024 * 1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The seconds that one round took: SHA-256 alone, a checksum alone, and both over the same pieces."""

    sha256: float
    alone: float
    both: float


def main() -> None:
    """Measure every checksum in turn and print a table."""
    piece = memoryview(bytearray(os.urandom(_PIECE)))
    checksums = [*map(Checksum, STRONGEST_FIRST), DROPBOX, _MULTIPART]
    runs: dict[Checksum, list[Run]] = {checksum: [] for checksum in checksums}
    for number in range(_ROUNDS + 1):
        for checksum in checksums:
            run = Run(
                sha256=_seconds([SHA256], piece),
                alone=_seconds([checksum], piece),
                both=_seconds([SHA256, checksum], piece),
            )
            # The first round imports and fills the cache and is not counted.
            if number:
                runs[checksum].append(run)
    print(f"{_PIECE * _PIECES / 1e6:.0f} MB in pieces of {_PIECE // 1024} KB, from memory")
    print(_table(runs))


def _seconds(checksums: Sequence[Checksum], piece: memoryview) -> float:
    before = perf_counter()
    hashers = [hasher(checksum) for checksum in checksums]
    for _ in range(_PIECES):
        for each in hashers:
            each.update(piece)
    for each in hashers:
        each.digest()
    return perf_counter() - before


def _table(runs: dict[Checksum, list[Run]]) -> str:
    lines = [f"{'':20}{'MB/s':>8}{'of sha256':>11}{'sha256 and it':>15}"]
    for checksum, measured in runs.items():
        seconds = statistics.median(run.alone for run in measured)
        alone = statistics.median(run.alone / run.sha256 for run in measured)
        both = statistics.median(run.both / run.sha256 for run in measured)
        lines.append(f"{checksum!s:20}{_PIECE * _PIECES / 1e6 / seconds:8.0f}{alone:11.2f}{both:15.2f}")
    lines.append(
        f"Medians of {_ROUNDS} rounds. The last two columns: seconds to those of sha256 alone, round by round."
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
