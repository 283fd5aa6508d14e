"""A folder: an external drive, a network share, or the folder in which a PACS keeps its files."""

import errno
import io
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from exactcopy.errors import ObjectChanged, StoreUnavailable
from exactcopy.model import Answer, Copy, Gap, Problem, Safeguard, Seen, Target
from exactcopy.stores import Safeguards, Stream

VOLUME_MARKER = ".exactcopy-volume"
_LATEST = 2**63 - 1
# Reading must not even change an access time, follow a link or wait for a FIFO.
_SAFE_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
_NO_ACCESS_TIME = getattr(os, "O_NOATIME", 0)


class FolderStore:
    """A tree of files; the key of an object is its path below the folder, as bytes."""

    def __init__(self, target: Target) -> None:
        """Take the target; nothing is touched before the store is entered."""
        self._target = target
        self._root = os.fsencode(str(target.options["path"]))
        self._drop_cache = bool(target.options.get("drop_cache", False))
        self._volume: str | None = None

    def __enter__(self) -> Self:
        """Make sure that the folder is there and is the configured volume."""
        volumes = self._target.options.get("volumes") or ()
        where = self._target.name
        try:
            status = os.stat(self._root)
        except PermissionError:
            raise StoreUnavailable(
                "unreadable", where, "the folder may not be read", "Grant the account read access."
            ) from None
        except OSError:
            if volumes:
                raise _drive_absent(where) from None
            raise StoreUnavailable(
                "missing", where, "the folder is not there", "Connect the drive or the share, or mend `path`."
            ) from None
        if not stat.S_ISDIR(status.st_mode):
            raise StoreUnavailable("missing", where, "this is no folder", "Name a folder in `path`.")
        if volumes:
            seen = volume_ids(self._root)
            self._volume = next((volume for volume in volumes if volume in seen), None)
            if self._volume is None:
                # An empty mount point shows the volume that it lies on: the drive is not there.
                if not _holds_anything(self._root):
                    raise _drive_absent(where)
                raise StoreUnavailable(
                    "wrong_volume",
                    where,
                    "the volume there is not one of those in `volumes`",
                    "Connect the right drive, or add this volume's id to `volumes`.",
                )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open between objects."""

    def partitions(self) -> Iterator[str]:
        """Yield the one partition: a walk of local folders costs little beside reading them."""
        yield ""

    def listing(self, partition: str) -> Iterator[Copy | Gap]:
        """Yield every file below the folder; links and special files are listed and never opened."""
        folders = [os.fsencode(partition)]
        while folders:
            folder = folders.pop()
            path = os.path.join(self._root, folder) if folder else self._root
            try:
                with os.scandir(path) as entries:
                    for entry in entries:
                        key = folder + b"/" + entry.name if folder else entry.name
                        try:
                            if entry.is_dir(follow_symlinks=False):
                                folders.append(key)
                                continue
                            status = entry.stat(follow_symlinks=False)
                            outside = entry.is_symlink() and self._leads_outside(entry.path)
                        except OSError as error:
                            yield Gap(scope=key, reason=_problem(error))
                            continue
                        yield _copy(key, status, outside=outside)
            except OSError as error:
                yield Gap(scope=folder, reason=_problem(error))

    def _leads_outside(self, link: bytes) -> bool:
        """Whether a link hides something that lies elsewhere, and so is no part of this store."""
        root = os.path.realpath(self._root)
        return os.path.commonpath([root, os.path.realpath(link)]) != root

    def read(self, copies: Iterable[Copy], first_bytes: int | None = None) -> Iterator[tuple[Copy, Stream | Problem]]:
        """Yield each copy with its bytes, in the order given; reading on costs nothing here."""
        for copy in copies:
            try:
                stream = _Watched(os.path.join(self._root, copy.key))
            except OSError as error:
                yield copy, _problem(error)
                continue
            with stream:
                if self._drop_cache and hasattr(os, "posix_fadvise"):
                    os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                yield stream.as_listed(copy), stream

    def safeguards(self) -> Safeguards:
        """Return what Linux shows of the file system, its disk, and whether it is encrypted (dm-crypt)."""
        try:
            status = os.stat(self._root)
            identity = os.statvfs(self._root).f_fsid
        except OSError:
            return Safeguards(volume=self._volume)
        device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
        named = sorted(volume_ids(self._root)) or ([f"{identity:x}"] if identity else [])
        try:
            mapping = Path(f"/sys/dev/block/{device}/dm/uuid").read_text(encoding="ascii")
            encrypted = mapping.startswith("CRYPT-")
        except OSError:
            # Hardware, hypervisor and file-system encryption do not show here: not seen is not absent.
            encrypted = False
        return Safeguards(
            device=device,
            disk=_disk(device),
            volume=self._volume,
            medium=f"{' '.join(named)} {status.st_ino}" if named else None,
            seen={Safeguard.ENCRYPTION: Seen(answer=Answer.PASS, detail="LUKS")} if encrypted else {},
        )


class _Watched(io.FileIO):
    """A file that notices, at its end, that it was changed while it was read."""

    def __init__(self, path: bytes) -> None:
        super().__init__(path, "rb", opener=_open_quietly)
        self._before = os.fstat(self.fileno())
        if not stat.S_ISREG(self._before.st_mode):
            self.close()
            raise OSError(errno.EINVAL, "not a regular file")

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        count = super().readinto(buffer) or 0
        if not count:
            now = os.fstat(self.fileno())
            if (now.st_size, now.st_mtime_ns) != (self._before.st_size, self._before.st_mtime_ns):
                raise ObjectChanged
        return count

    def as_listed(self, copy: Copy) -> Copy:
        """Return `copy` as the open file is now: it may have been replaced since it was listed."""
        return _copy(copy.key, self._before)


def volume_ids(root: bytes) -> set[str]:
    """Return what names the volume at `root`: the text of its marker file, the file system's UUID.

    A marker is for systems that show no UUID (containers, FUSE, macOS); its user writes it once.
    """
    seen: set[str] = set()
    with (
        suppress(OSError, UnicodeDecodeError),
        open(os.path.join(root, os.fsencode(VOLUME_MARKER)), encoding="utf-8") as marker,
    ):
        seen.add(marker.read(200).strip())
    device = os.stat(root).st_dev
    by_uuid = Path("/dev/disk/by-uuid")
    with suppress(OSError):
        seen.update(link.name for link in by_uuid.iterdir() if link.stat().st_rdev == device)
    return seen - {""}


def _open_quietly(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | _SAFE_FLAGS | _NO_ACCESS_TIME)
    except PermissionError:
        # Only the owner may leave the access time alone.
        return os.open(path, flags | _SAFE_FLAGS)


def _copy(key: bytes, status: os.stat_result, *, outside: bool = False) -> Copy:
    mode = status.st_mode
    problem = None
    if stat.S_ISLNK(mode):
        problem = Problem.LINK_OUTSIDE if outside else Problem.LINK
    elif not stat.S_ISREG(mode):
        problem = Problem.SPECIAL
    return Copy(
        key=key,
        size=status.st_size,
        # File systems hold times that 64 bits of nanoseconds do not.
        modified=max(-_LATEST, min(status.st_mtime_ns, _LATEST)),
        inode=status.st_ino & (2**63 - 1),
        problem=problem,
    )


def _problem(error: OSError) -> Problem:
    if isinstance(error, PermissionError):
        return Problem.PERMISSION
    if isinstance(error, FileNotFoundError):
        return Problem.VANISHED
    return Problem.IO_ERROR


def _disk(device: str) -> str | None:
    """Return the one disk under a file system; None for what is no single disk of this computer."""
    place = Path(os.path.realpath(f"/sys/dev/block/{device}"))
    if not place.is_dir():
        return None
    if (place / "partition").exists():
        place = place.parent
    under = list((place / "slaves").iterdir()) if (place / "slaves").is_dir() else []
    if not under:
        return place.name
    return _disk((under[0] / "dev").read_text(encoding="ascii").strip()) if len(under) == 1 else None


def _holds_anything(root: bytes) -> bool:
    try:
        with os.scandir(root) as entries:
            return next(entries, None) is not None
    except OSError:
        return True


def _drive_absent(where: str) -> StoreUnavailable:
    return StoreUnavailable(
        "drive_absent", where, "none of its configured drives is connected", "Connect one, then audit again."
    )
