"""Prove one file that came back from a store: whole, equal, and every frame opens."""

import os
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path

from exactcopy.dicom.header import HeaderReader
from exactcopy.dicom.pixels import check_frames
from exactcopy.errors import ObjectChanged
from exactcopy.model import DAMAGED, Identity
from exactcopy.stores import Stream

_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a file turned out to be. `problem` keeps it from being used; `undecodable`: only not here."""

    identity: Identity
    frames: int = 0
    problem: str | None = None
    undecodable: bool = False


def fetch(stream: Stream, path: Path, size: int | None = None) -> bytes | None:
    """Write the stream to `path`, down to the medium, and return the SHA-256 of what came; None if not all did.

    `size` is how much there is, where that is known before.
    """
    digest = sha256()
    buffer = memoryview(bytearray(_BUFFER))
    with path.open("xb") as file:
        while True:
            try:
                count = stream.readinto(buffer)
            except (OSError, ObjectChanged):
                return None
            if not count:
                break
            file.write(buffer[:count])
            digest.update(buffer[:count])
            if size is not None and file.tell() > size:
                return None
        file.flush()
        os.fsync(file.fileno())
    return digest.digest()


def digest_of(path: Path) -> bytes:
    """Return the SHA-256 of a file, read again from where it was written."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").digest()


def content_of(path: Path) -> str | None:
    """Return the digest of the content of an instance; None where there is no whole one."""
    from exactcopy.dicom.canonical import ContentDigest

    content = ContentDigest()
    with path.open("rb") as file:
        while piece := file.read(_BUFFER):
            content.update(piece)
    digest = content.digest()
    return digest.hex() if digest else None


def opens(path: Path) -> Opened:
    """Say what a file is, and whether every frame of it decodes."""
    reader = HeaderReader()
    with path.open("rb") as file:
        while piece := file.read(_BUFFER):
            reader.feed(piece)
        identity = reader.close()
        if identity.sop_instance_uid is None or identity.problem in DAMAGED:
            return Opened(identity=identity, problem="not_whole")
        file.seek(0)
        check = check_frames(file)
    return Opened(
        identity=identity,
        frames=check.frames,
        problem="not_opening" if check.failed else None,
        undecodable=check.undecodable,
    )
