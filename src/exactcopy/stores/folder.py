"""A folder: an external drive, a network share, or the folder in which a PACS keeps its files."""

import errno
import os
import re
import stat
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from time import time
from types import TracebackType
from typing import Self

from exactcopy.errors import ObjectChanged, StoreUnavailable
from exactcopy.model import Answer, Copy, Gap, Problem, Safeguard, Seen, Target
from exactcopy.stores import OpenStream, Safeguards, Stream
from exactcopy.stores.filesystem import (
    Mount,
    devices,
    disks,
    encryption,
    lies_on,
    mounted,
    read_from_medium,
    server,
    together,
    transport,
)
from exactcopy.stores.rights import everybody_reaches, file_rights, in_folder
from exactcopy.stores.synced import MARKED, stand_in, sync_client

VOLUME_MARKER = ".exactcopy-volume"
# Where systems, NAS devices, Samba and Dropbox keep for a while what was deleted: no place of a copy.
_TRASH = re.compile(
    rb"\.trash(-\d+|es)?|\$recycle\.bin|recycler|#recycle|@recycle|\.recycle|\.dropbox\.cache", re.IGNORECASE
)
# A program that keeps files (FUSE) names its kind of file system in any words, and these are printed.
_PRINTABLE = re.compile(r"[a-zA-Z0-9_.-]{1,32}")
_LATEST = 2**63 - 1
# Reading must not even change an access time, follow a link or wait for a FIFO.
_SAFE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
_NO_ACCESS_TIME = getattr(os, "O_NOATIME", 0)
_DROPS_CACHE = hasattr(os, "posix_fadvise")
# Linux writes what it was given within half a minute; computers that spare their disk may wait for minutes.
_WRITTEN_SECONDS = 300


class FolderStore:
    """A tree of files; the key of an object is its path below the folder, as bytes."""

    def __init__(self, target: Target) -> None:
        """Take the target; nothing is touched before the store is entered."""
        self._target = target
        self._root = os.fsencode(str(target.options["path"]))
        self._below = os.path.join(self._root, b"")
        self._drop_cache = _DROPS_CACHE and bool(target.options.get("drop_cache", False))
        self._volume: str | None = None
        self._synced_by: str | None = None
        self._may_stand_in = False
        self._file_rights: Seen | None = None
        # A folder of each file system that the listing came upon: others may be mounted below the first.
        self._held_on: dict[int, bytes] = {}

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
        self._synced_by = sync_client(self._root) or self._target.options.get("synced_to")
        self._may_stand_in = MARKED or self._synced_by is not None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open between objects."""

    def partitions(self) -> Iterator[str]:
        """Yield the one partition: a walk of local folders costs little beside reading them."""
        yield ""

    def listing(self, partition: str) -> Iterator[Copy | Gap]:
        """Yield every file below the folder; links, special files and stand-ins are listed and never opened.

        What lies in a trash folder is deleted.
        """
        rights = [0, 0, 0, 0]
        whole = True
        folders = [(os.fsencode(partition), everybody_reaches(self._root), False)]
        while folders:
            folder, reached, trash = folders.pop()
            path = os.path.join(self._root, folder) if folder else self._root
            try:
                with os.scandir(path) as entries:
                    itself = os.stat(path)
                    self._held_on.setdefault(itself.st_dev, path)
                    counted, given = in_folder(itself.st_mode, reached=reached)
                    above = folder + b"/" if folder else b""
                    for entry in entries:
                        key = above + entry.name
                        try:
                            if entry.is_dir(follow_symlinks=False):
                                deleted = trash or _TRASH.fullmatch(entry.name) is not None
                                folders.append((key, bool(counted), deleted))
                                continue
                            status = entry.stat(follow_symlinks=False)
                            outside = stat.S_ISLNK(status.st_mode) and self._leads_outside(entry.path)
                        except OSError as error:
                            yield Gap(scope=key, reason=_problem(error))
                            whole = False
                            continue
                        copy = _copy(key, status, outside=outside)
                        if copy.problem is None and trash:
                            copy = replace(copy, problem=Problem.DELETED)
                        elif copy.problem is None:
                            rights[(status.st_mode & counted | given) >> 1] += 1
                            if self._may_stand_in:
                                copy = replace(copy, problem=self._stand_in(key, status))
                        yield copy
            except OSError as error:
                yield Gap(scope=folder, reason=_problem(error))
                whole = False
        self._file_rights = file_rights(rights, whole=whole)

    def _leads_outside(self, link: bytes) -> bool:
        """Whether a link hides something that lies elsewhere, and so is no part of this store."""
        root = os.path.realpath(self._root)
        return os.path.commonpath([root, os.path.realpath(link)]) != root

    def read(self, copies: Iterable[Copy], first_bytes: int | None = None) -> Iterator[tuple[Copy, Stream | Problem]]:
        """Yield each copy with its bytes, in the order given; reading on costs nothing here."""
        for copy, stream in self.open(copies):
            if isinstance(stream, Problem):
                yield copy, stream
                continue
            with closing(stream):
                yield copy, stream

    def open(self, copies: Iterable[Copy]) -> Generator[tuple[Copy, OpenStream | Problem]]:
        """Yield each copy with its bytes, in the order given."""
        for copy in copies:
            path = self._below + copy.key
            try:
                if self._may_stand_in and (problem := self._stand_in(copy.key, os.lstat(path))):
                    yield copy, problem
                    continue
                stream = _Watched(path)
            except OSError as error:
                yield copy, _problem(error)
                continue
            if self._drop_cache:
                stream.drop_cache()
            yield stream.as_listed(copy), stream

    def _stand_in(self, key: bytes, status: os.stat_result) -> Problem | None:
        return stand_in(key, status, synced=self._synced_by is not None)

    def safeguards(self) -> Safeguards:
        """Return what Linux shows of the file system and what lies under it; the rights of files after a listing."""
        try:
            status = os.stat(self._root)
            space = os.statvfs(self._root)
        except OSError:
            return Safeguards(volume=self._volume, synced_by=self._synced_by)
        identity = space.f_fsid
        named = sorted(volume_ids(self._root)) or ([f"{identity:x}"] if identity else [])
        mounts = [mounted(path) for path in {status.st_dev: self._root, **self._held_on}.values()]
        mount = mounts[0]
        # Of a file system that does not show, nothing may be said for the store as a whole.
        shown = [each for each in mounts if each] if all(mounts) else []
        under = {disk for each in shown for disk in disks(devices(each)) or {None}}
        seen = {
            Safeguard.ENCRYPTION: together([encryption(each, devices(each)) for each in shown]),
            Safeguard.TRANSPORT: together([transport(each) for each in shown]),
            Safeguard.FILE_RIGHTS: self._rights_on(mount),
        }
        return Safeguards(
            device=_number(status.st_dev),
            disk=under.pop() if len(under) == 1 else None,
            host=server(mount) if mount else None,
            volume=self._volume,
            medium=f"{' '.join(named)} {status.st_ino}" if named else None,
            filesystem=mount.filesystem if mount and _PRINTABLE.fullmatch(mount.filesystem) else None,
            synced_by=self._synced_by,
            lies_on=next(filter(None, (lies_on(each, devices(each)) for each in shown)), None),
            reads="medium" if self._drop_cache and shown and all(map(read_from_medium, shown)) else "cache",
            free=space.f_bavail * space.f_frsize if space.f_blocks else None,
            seen={name: found for name, found in seen.items() if found},
        )

    def _rights_on(self, mount: Mount | None) -> Seen | None:
        if self._file_rights and mount and not mount.has_rights:
            return Seen(answer=Answer.NOT_SUPPORTED, detail="no permission model")
        return self._file_rights


class _Watched:
    """An open file that notices, at its end, that it was changed while it was read."""

    __slots__ = ("_before", "_file")

    def __init__(self, path: bytes) -> None:
        """Open the file, if it is a regular one."""
        self._file = _open_quietly(path)
        try:
            self._before = os.fstat(self._file)
            if not stat.S_ISREG(self._before.st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        """Fill `buffer` and return how much of it; 0 at the end. Raises OSError or ObjectChanged."""
        count = os.readv(self._file, (buffer,))
        if not count:
            now = os.fstat(self._file)
            if (now.st_size, now.st_mtime_ns) != (self._before.st_size, self._before.st_mtime_ns):
                raise ObjectChanged
        return count

    def drop_cache(self) -> None:
        """Let the file's content be read from the medium, not from this computer's memory."""
        # What was not written yet is not dropped. Its writer's time may be set at will, that of the change may not.
        if self._before.st_ctime > time() - _WRITTEN_SECONDS:
            with suppress(OSError):
                os.fdatasync(self._file)
        os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)

    def as_listed(self, copy: Copy) -> Copy:
        """Return `copy` as the open file is now: it may have been replaced since it was listed."""
        now = self._before
        if (copy.size, copy.modified, copy.inode) == (now.st_size, now.st_mtime_ns, now.st_ino):
            return copy
        return _copy(copy.key, now)


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
    mount = mounted(root)
    with suppress(OSError):
        held = {(place / "dev").read_text(encoding="ascii").strip() for place in devices(mount)} if mount else set()
        seen.update(link.name for link in Path("/dev/disk/by-uuid").iterdir() if _number(link.stat().st_rdev) in held)
    return seen - {""}


def _open_quietly(path: bytes) -> int:
    try:
        return os.open(path, _SAFE_FLAGS | _NO_ACCESS_TIME)
    except PermissionError:
        # Only the owner may leave the access time alone.
        return os.open(path, _SAFE_FLAGS)


def _copy(key: bytes, status: os.stat_result, *, outside: bool = False) -> Copy:
    problem = None
    if not stat.S_ISREG(status.st_mode):
        link = Problem.LINK_OUTSIDE if outside else Problem.LINK
        problem = link if stat.S_ISLNK(status.st_mode) else Problem.SPECIAL
    modified = status.st_mtime_ns
    return Copy(
        key=key,
        size=status.st_size,
        # File systems hold times that 64 bits of nanoseconds do not.
        modified=modified if -_LATEST <= modified <= _LATEST else -_LATEST if modified < 0 else _LATEST,
        inode=status.st_ino & (2**63 - 1),
        problem=problem,
    )


def _problem(error: OSError) -> Problem:
    if isinstance(error, PermissionError):
        return Problem.PERMISSION
    if isinstance(error, FileNotFoundError):
        return Problem.VANISHED
    return Problem.IO_ERROR


def _number(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


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
