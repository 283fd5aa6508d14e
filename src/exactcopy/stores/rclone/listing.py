"""What `rclone lsjson` prints, as it comes: copies, and what could not be listed."""

import json
import subprocess
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from tempfile import TemporaryFile
from threading import Thread
from typing import IO, TYPE_CHECKING, Any, Self, cast

from exactcopy.digest import DROPBOX
from exactcopy.model import Algorithm, Checksum, Copy, Gap, Problem
from exactcopy.stores.rclone.faults import reason
from exactcopy.stores.rclone.program import environment

if TYPE_CHECKING:
    from io import BufferedReader

Entry = dict[str, Any]

# By rclone's names, in their order as checksums: the first that is there tells a version of an object.
CHECKSUMS = {
    "md5": Checksum(Algorithm.MD5),
    "quickxor": Checksum(Algorithm.QUICKXOR),
    "sha1": Checksum(Algorithm.SHA1),
    "sha256": Checksum(Algorithm.SHA256),
    "dropbox": DROPBOX,
}
_NAMES = {name: str(checksum) for name, checksum in CHECKSUMS.items()}
# What lies in these, of AWS and of Azure, has to be thawed before it can be read.
_COLD = frozenset({"GLACIER", "DEEP_ARCHIVE", "Archive"})
_PIPE = 1024 * 1024
_LATEST = 2**63 - 1


class Lsjson:
    """A running `rclone lsjson`: its entries as they come, and at their end whether they were all."""

    def __init__(self, command: Sequence[str], config: str | None) -> None:
        """Start it."""
        self.whole = False
        self._errors: list[tuple[str, str]] = []
        self._end = ""
        self._process = subprocess.Popen(  # noqa: S603
            command,
            env=environment(config),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pipesize=_PIPE,
        )
        self._listener = Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        """Listen to what it complains of."""
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def __iter__(self) -> Iterator[bytes]:
        """Yield JSON arrays of entries, each of as many as have come: parsed at once they cost a fraction."""
        closed = False
        rest = b""
        # It prints "[", a line for each entry, all but the last with a comma at the end, and "]".
        printed = cast("BufferedReader", self._process.stdout)
        while piece := printed.read1():
            lines, _, rest = (rest + piece).rpartition(b"\n")
            closed = lines.endswith(b"]")
            if entries := lines.removeprefix(b"[").removesuffix(b"]").strip(b",\n"):
                yield b"[" + entries + b"]"
        code = self._process.wait()
        self._listener.join()
        # Some backends go on after a folder that they could not list, and name it.
        self.whole = closed and (code == 0 or any(scope for scope, _ in self._errors))

    @property
    def complaint(self) -> str:
        """What rclone said first, or at least last."""
        return self._errors[0][1] if self._errors else self._end

    @property
    def permission_refused(self) -> bool:
        """Whether it did not list something because it was asked for a permission that the login may not read."""
        return any("failed to read permission" in text for text in (self._end, *(text for _, text in self._errors)))

    def gaps(self) -> Iterator[Gap]:
        """Yield what was not listed: each folder that rclone named, and everything where it gave up."""
        gaps = {} if self.whole else {"": self.complaint}
        for scope, text in self._errors:
            gaps.setdefault(scope, text)
        for scope, text in gaps.items():
            yield Gap(scope=key_of(scope), reason=reason(text))

    def _listen(self) -> None:
        for line in self._process.stderr or ():
            try:
                said = json.loads(line)
            except ValueError:
                continue
            text = said.get("msg", "")
            if text.startswith("Failed to lsjson"):
                self._end = text
            # A folder that leads back to one above it was listed there.
            elif said.get("level") in ("error", "critical") and "creating a loop" not in text:
                self._errors.append((said.get("object", ""), text))


def plain(arrays: Iterable[bytes]) -> Iterator[Entry]:
    """Yield the entries of a provider where every path is one object's alone."""
    for entries in arrays:
        yield from json.loads(entries)


def told_apart(arrays: Iterable[bytes]) -> Iterator[Entry]:
    """Yield the entries of a provider where several may bear one name, marked as Twice, Again and Alias.

    That a path has a second object shows only later, so all are held until the last is there: packed, in a file that
    has no name and is gone with this process. One that is listed twice, with the same id, is yielded once.
    """
    with TemporaryFile(prefix="exactcopy-") as held:
        yield from _told_apart(arrays, held)


def _told_apart(arrays: Iterable[bytes], held: IO[bytes]) -> Iterator[Entry]:
    paths, sizes = array("q"), array("q")
    shortcuts: tuple[str, ...] = ()
    for entries in arrays:
        for entry in json.loads(entries):
            paths.append(hash(entry["Path"]))
            # rclone joins the two ids of a shortcut with a tab.
            if entry["IsDir"] and "\t" in entry.get("ID", ""):
                shortcuts += (entry["Path"] + "/",)
        sizes.append(held.write(zlib.compress(entries, 1)))
    twice = _repeated(paths)
    seen: dict[int, set[str]] = {}
    held.seek(0)
    for size in sizes:
        for entry in json.loads(zlib.decompress(held.read(size))):
            path, identity = hash(entry["Path"]), entry.get("ID", "")
            entry["Alias"] = "\t" in identity or entry["Path"].startswith(shortcuts)
            entry["Twice"] = path in twice
            if path in twice:
                others = seen.setdefault(path, set())
                if identity and identity in others:
                    continue
                entry["Again"] = bool(others)
                others.add(identity)
            yield entry


def copy_of(entry: Entry, kind: str) -> Copy:
    """Return the object of an entry; `kind` is rclone's name of what the remote is."""
    path, size = entry["Path"], entry["Size"]
    hashes = entry.get("Hashes")
    digests, version = _digests(hashes) if hashes else ({}, None)
    return Copy(
        key=key_of(f"{path}\0{entry.get('ID')}" if entry.get("Again") else path),
        size=0 if size < 0 else size,
        modified=_nanoseconds(entry["ModTime"]),
        # Not the id: with Dropbox and Drive it outlives a change of the content.
        version=version,
        digests=digests,
        problem=_problem(entry, kind) if size < 0 or "Twice" in entry or entry.get("Tier") in _COLD else None,
    )


def key_of(path: str) -> bytes:
    """Return the key of what lies at `path`."""
    return path.encode(errors="surrogatepass")


def _problem(entry: Entry, kind: str) -> Problem | None:
    if entry.get("Alias"):
        return Problem.ALIAS
    if entry["Size"] < 0:
        # Google's documents have no bytes; elsewhere what comes could be compared with nothing.
        return Problem.DOCUMENT if kind == "drive" else Problem.IO_ERROR
    if entry.get("Tier") in _COLD:
        return Problem.ARCHIVED
    return Problem.AMBIGUOUS if entry["Twice"] else None


def _repeated(numbers: "array[int]") -> set[int]:
    """Return which numbers are there more than once."""
    import numpy as np

    ordered = np.sort(np.frombuffer(numbers, dtype=np.int64))
    return set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())


def _digests(reported: Mapping[str, str]) -> tuple[dict[Checksum, bytes], str | None]:
    """Return the checksums of an entry that we can compute too, and the first as text; a garbled one is none."""
    digests = {}
    version = None
    for name, checksum in CHECKSUMS.items():
        if value := reported.get(name):
            with suppress(ValueError):
                digests[checksum] = bytes.fromhex(value)
                version = version or f"{_NAMES[name]}:{digests[checksum].hex()}"
    return digests, version


def _nanoseconds(text: str) -> int:
    """Return a time of RFC 3339 in nanoseconds since 1970, as far as 64 bits hold it."""
    zone = "Z" if text[-1:] == "Z" else text[-6:]
    try:
        exact = _seconds(text[:19] + zone) * 10**9 + int(text[20 : -len(zone)].ljust(9, "0"))
    except ValueError:
        # The year 10000 has a digit too many.
        return _LATEST
    return exact if -_LATEST <= exact <= _LATEST else _LATEST


@lru_cache
def _seconds(text: str) -> int:
    """Return a whole second since 1970; images are stored many in one."""
    return int(datetime.fromisoformat(text).timestamp())
