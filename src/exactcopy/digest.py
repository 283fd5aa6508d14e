"""One read, the digests that were asked for. SHA-256 is the one that convicts."""

import hashlib
from collections.abc import Callable, Sequence
from functools import cache, partial
from time import perf_counter
from typing import Protocol

from exactcopy.model import Algorithm, Checksum

Piece = bytes | bytearray | memoryview


class Hasher(Protocol):
    """Takes bytes in pieces of any size, gives a digest."""

    def update(self, data: Piece, /) -> None:
        """Take the next piece, and keep nothing of its buffer."""
        ...

    def digest(self) -> bytes:
        """Return the digest of all pieces so far, as stores report it before they encode it as text."""
        ...


class Lanes(Protocol):
    """SHA-256 over several objects side by side, each in a lane of its own."""

    def update(self, pieces: Sequence[Piece], /) -> object:
        """Take the next piece of every lane, which may be empty."""
        ...

    def __getitem__(self, lane: int, /) -> Hasher:
        """Return a hasher that goes on from where the lane is."""
        ...

    def __setitem__(self, lane: int, hasher: Hasher, /) -> None:
        """Let the lane go on from where `hasher` is."""
        ...


SHA256 = Checksum(Algorithm.SHA256)
MD5 = Checksum(Algorithm.MD5)
CONTENT = Checksum(Algorithm.CONTENT)
DROPBOX = Checksum(Algorithm.SHA256, 4 * 1024 * 1024)

STRONGEST_FIRST = (
    Algorithm.SHA256,
    Algorithm.SHA1,
    Algorithm.MD5,
    Algorithm.QUICKXOR,
    Algorithm.CRC64NVME,
    Algorithm.CRC32C,
)
# Anyone can make another file with a given value of these: equality is evidence against corruption, not against
# replacement. Of MD5 and SHA-1 only pairs are made, both files by one hand; none is known that equals a given file.
CORRUPTION_ONLY = frozenset({Algorithm.QUICKXOR, Algorithm.CRC64NVME, Algorithm.CRC32C})


def hasher(checksum: Checksum) -> Hasher:
    """Return a fresh hasher. Raise ValueError for a checksum of parts that it cannot compute."""
    _check_part(checksum)
    make = _MAKERS[checksum.algorithm]
    return make() if checksum.part is None else _Parts(make, checksum.part)


# The digest of one object is a chain, one step after the other. Those of as many objects as a vector of AVX-512 has
# lanes take together as long as the longest of them.
LANES = 16
_TRIAL_BYTES = 16 * 1024
_TRIALS = 4


@cache
def lanes_pay() -> bool:
    """Say whether `lanes` are faster on this processor than one object after the other, as a trial shows.

    Where they do not give the same digests, they never are.
    """
    pieces = [bytes([lane]) * _TRIAL_BYTES for lane in range(LANES)]
    alone, together = [], []
    try:
        for _ in range(_TRIALS):
            before = perf_counter()
            expected = [hashlib.sha256(piece).digest() for piece in pieces]
            between = perf_counter()
            side_by_side, _ = lanes()
            side_by_side.update(pieces)
            found = [side_by_side[lane].digest() for lane in range(LANES)]
            alone.append(between - before)
            together.append(perf_counter() - between)
            if found != expected:
                return False
    except ImportError:
        return False
    return min(together) < min(alone)


def lanes() -> tuple[Lanes, Callable[[], Hasher]]:
    """Return `LANES` fresh lanes, and what makes a hasher that one of them can go on from."""
    from stringzilla import Sha256, Sha256s

    return Sha256s(LANES), Sha256


def parse(name: str) -> Checksum:
    """Return the checksum of this name. Raise ValueError where there is none that `hasher` takes."""
    algorithm, _, part = name.partition("/")
    checksum = Checksum(Algorithm(algorithm), int(part) if part else None)
    # int() also takes signs, spaces, underscores and leading zeros: one checksum would have several names.
    if str(checksum) != name:
        raise ValueError(f"{name!r} is not a valid name of a checksum")
    _check_part(checksum)
    return checksum


def _check_part(checksum: Checksum) -> None:
    # A CRC of CRCs proves even less than one of the object, and no store takes QuickXorHash of parts.
    if checksum.part is not None and (checksum.part < 1 or checksum.algorithm in CORRUPTION_ONLY):
        raise ValueError(f"{checksum} is not a valid checksum of parts")


class _Parts:
    """The digest of the digests of parts of `size` bytes. The last may be shorter; an empty object has none."""

    def __init__(self, make: Callable[[], Hasher], size: int) -> None:
        self._make = make
        self._size = size
        self._digests = bytearray()
        self._begin()

    def _begin(self) -> None:
        self._part = self._make()
        self._room = self._size

    def update(self, data: Piece, /) -> None:
        rest = memoryview(data).cast("B")
        while rest:
            taken = rest[: self._room]
            self._part.update(taken)
            rest = rest[len(taken) :]
            self._room -= len(taken)
            if not self._room:
                self._digests += self._part.digest()
                self._begin()

    def digest(self) -> bytes:
        whole = self._make()
        whole.update(self._digests)
        if self._room < self._size:
            whole.update(self._part.digest())
        return whole.digest()


class _QuickXor:
    """Microsoft's QuickXorHash: each byte is XORed into 160 bits, 11 bits further round than the one before.

    After 160 bytes that is the same place again, so bytes as far apart are XORed with each other first.
    """

    _PERIOD = 160
    # Sixteen periods at a time: numpy takes thrice as long over rows of one.
    _ROW = 16 * _PERIOD

    def __init__(self) -> None:
        import numpy as np

        self._columns = np.zeros(self._ROW, np.uint8)
        self._length = 0

    def update(self, data: Piece, /) -> None:
        import numpy as np

        piece = np.frombuffer(data, np.uint8)
        whole = piece.size - piece.size % self._ROW
        rows = piece[:whole].view(np.uint64).reshape(-1, self._ROW // 8)
        columns = np.bitwise_xor.reduce(rows, axis=0).view(np.uint8)
        columns[: piece.size - whole] ^= piece[whole:]
        self._columns ^= np.roll(columns, self._length % self._ROW)
        self._length += piece.size

    def digest(self) -> bytes:
        import numpy as np

        state = 0
        columns = np.bitwise_xor.reduce(self._columns.reshape(-1, self._PERIOD), axis=0)
        for position, byte in enumerate(columns.tolist()):
            state ^= byte << (11 * position % 160)
        # What was shifted out at the top comes in again at the bottom. The last 64 bits take the length.
        state = (state % 2**160) ^ (state >> 160) ^ (self._length << 96)
        return state.to_bytes(20, "little")


class _Crc:
    """A CRC of `size` bytes, big-endian as S3 reports it. `step` continues from a value with the next bytes."""

    def __init__(self, step: Callable[[Piece, int], int], size: int) -> None:
        self._step = step
        self._size = size
        self._value = 0

    def update(self, data: Piece, /) -> None:
        self._value = self._step(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def _crc64nvme() -> Hasher:
    from awscrt.checksums import crc64nvme

    return _Crc(crc64nvme, 8)


def _crc32c() -> Hasher:
    from awscrt.checksums import crc32c

    return _Crc(crc32c, 4)


_MAKERS: dict[Algorithm, Callable[[], Hasher]] = {
    # By name, OpenSSL would look each up again for every object.
    Algorithm.SHA256: hashlib.sha256,
    # Where FIPS 140 is enforced, OpenSSL may refuse these unless it is told that no secret depends on them.
    Algorithm.SHA1: partial(hashlib.sha1, usedforsecurity=False),
    Algorithm.MD5: partial(hashlib.md5, usedforsecurity=False),
    Algorithm.QUICKXOR: _QuickXor,
    Algorithm.CRC64NVME: _crc64nvme,
    Algorithm.CRC32C: _crc32c,
}
