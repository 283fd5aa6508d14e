"""One read, the digests that were asked for. SHA-256 is the one that convicts."""

import hashlib
from collections.abc import Callable
from typing import Protocol

from exactcopy.model import Algorithm, Checksum


class Hasher(Protocol):
    """Takes bytes, gives a digest."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take the next piece."""
        ...

    def digest(self) -> bytes:
        """Return the digest of all pieces so far."""
        ...


SHA256 = Checksum(Algorithm.SHA256)
# By name, OpenSSL would look each up again for every object.
_HASHERS: dict[Algorithm, Callable[[], Hasher]] = {Algorithm.SHA256: hashlib.sha256}


def hasher(checksum: Checksum) -> Hasher:
    """Return a fresh hasher."""
    return _HASHERS[checksum.algorithm]()
