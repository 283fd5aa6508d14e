"""One read, the digests that were asked for. SHA-256 is the one that convicts."""

import hashlib
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol


class Hasher(Protocol):
    """Takes bytes, gives a digest."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take the next piece."""
        ...

    def digest(self) -> bytes:
        """Return the digest of all pieces so far."""
        ...


class Algorithm(StrEnum):
    """The digests that can be computed while an object is read."""

    SHA256 = "sha256"


# By name, OpenSSL would look each up again for every object.
_HASHERS: dict[Algorithm, Callable[[], Hasher]] = {Algorithm.SHA256: hashlib.sha256}


def hasher(algorithm: Algorithm) -> Hasher:
    """Return a fresh hasher."""
    return _HASHERS[algorithm]()
