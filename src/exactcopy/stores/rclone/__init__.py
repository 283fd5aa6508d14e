"""Whatever rclone reaches: Dropbox, Google Drive, OneDrive, SFTP, WebDAV. It is asked to list and to read, no more."""

from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from urllib3 import HTTPConnectionPool

from exactcopy.errors import StoreUnavailable
from exactcopy.model import Copy, Gap, Problem, Safeguard, Target
from exactcopy.stores import Safeguards, Stream
from exactcopy.stores.bounded import stay_inside
from exactcopy.stores.rclone import dropbox
from exactcopy.stores.rclone.faults import unavailable
from exactcopy.stores.rclone.listing import CHECKSUMS, Lsjson, copy_of, key_of, plain, told_apart
from exactcopy.stores.rclone.program import installed
from exactcopy.stores.rclone.protection import host, protection
from exactcopy.stores.rclone.reading import open_object
from exactcopy.stores.rclone.remotes import LISTED_BY_FOLDER, REPORTING, Remote, objects_per_second, resolve
from exactcopy.stores.rclone.server import call, connect, serving
from exactcopy.stores.rclone.sharing import Permissions, account, shared_links

_NO_FILE = ".exactcopy"
# They come in the pages of the listing itself.
_PERMISSIONS = ("--metadata", "--drive-metadata-permissions", "read")
# By the paths that they had. What has no bytes cannot be a lost image.
_TRASHED = ("--drive-trashed-only", "--drive-skip-gdocs", "--drive-skip-shortcuts")
_WORDLESS = frozenset({"not_permitted", "failed"})


class RcloneStore:
    """A folder of a remote; the key of an object is its path below it, in UTF-8."""

    def __init__(self, target: Target) -> None:
        """Take the target; nothing is touched before the store is entered."""
        self._target = target
        self._remote = str(target.options["remote"])
        self._config: str | None = target.options.get("config")
        self._listed = False
        self._permissions = Permissions()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Make sure that the remote is configured and answers; whether the folder is there, its listing shows."""
        where = self._target.name
        if "]" in self._remote:
            raise StoreUnavailable("bad_remote", where, "`remote` holds a bracket", "Name a folder without one.")
        if self._config and not Path(self._config).is_file():
            # rclone itself goes on with an empty configuration, and calls each remote unknown.
            raise StoreUnavailable("bad_config", where, "`config` names no file", "Mend its path.")
        server = self._target.options.get("server") or self._stack.enter_context(serving(self._config, where))
        self._http = self._stack.enter_context(closing(connect(server)))
        try:
            about = call(self._http, where, "operations/fsinfo", fs=self._remote)
            self._features, self._hashes = about["Features"], frozenset(about.get("Hashes") or ())
            self._holder = _holder(self._http, self._target)
            self._reach()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop the connections, and rclone itself where it was started for this store alone."""
        self._stack.close()

    def partitions(self) -> Iterator[str]:
        """Yield the one partition: rclone itself lists folders side by side."""
        yield ""

    def listing(self, partition: str) -> Iterator[Copy | Gap]:
        """Yield every object, with the checksums that the provider keeps of it."""
        self._permissions = Permissions()
        # Of a shared drive it would cost a request for each object, and inherited rights would still not show.
        asks = self._holder.spoken_to == "drive" and not self._holder.setting("team_drive")
        try:
            done = yield from self._list(with_permissions=asks)
            if not done:
                # Where one permission is refused, rclone lists nothing.
                self._permissions.refused = True
                yield from self._list(with_permissions=False)
        except (ValueError, LookupError, TypeError):
            raise StoreUnavailable(
                "failed", self._target.name, "rclone's listing makes no sense", "Try `rclone lsjson` with this remote."
            ) from None
        self._listed = True

    def deleted(self, missed: Collection[bytes]) -> Iterator[Copy]:
        """Yield what lies in the trash of Google Drive, or was deleted on Dropbox; of others nothing is known."""
        if self._holder.spoken_to == "dropbox":
            holder = _holder(self._http, self._target)
            yield from dropbox.deleted(holder, missed, partial(stay_inside, self._target), self._target.concurrency)
        elif self._holder.spoken_to == "drive":
            with suppress(ValueError, LookupError, TypeError), Lsjson(self._lsjson(*_TRASHED), self._config) as lines:
                for entry in plain(lines):
                    # Folders come, too: also where nothing is found, the look ends in time.
                    stay_inside(self._target)
                    if not entry["IsDir"] and entry["Size"] >= 0:
                        yield replace(copy_of(entry, "drive"), version=None, problem=Problem.DELETED)

    def read(self, copies: Iterable[Copy], first_bytes: int | None = None) -> Iterator[tuple[Copy, Stream | Problem]]:
        """Yield each copy with its bytes, in the order given, over connections that are kept."""
        for copy in copies:
            if copy.problem or b"\0" in copy.key:
                # A path that two objects share leads to either.
                yield copy, copy.problem or Problem.AMBIGUOUS
                continue
            stream = open_object(self._http, self._remote, copy, first_bytes)
            if isinstance(stream, Problem):
                yield copy, stream
                continue
            with closing(stream):
                yield copy, stream

    def safeguards(self) -> Safeguards:
        """Return which provider and folder this is, and after it was listed also who else may open it."""
        holder, owner = self._holder, self._permissions.account
        shared = self._permissions.seen()
        if self._listed and holder.kind == "dropbox":
            # Asked again: rclone may have got a new token meanwhile.
            asking = _holder(self._http, self._target)
            owner, shared = account(asking), shared_links(asking)
        return Safeguards(
            medium=f"{holder.spoken_to} {self._remote}",
            host=host(holder, owner),
            seen={**protection(holder), **({Safeguard.PUBLIC_ACCESS: shared} if shared else {})},
        )

    def _reach(self) -> None:
        """Ask for one file: whatever is answered, it was reached, where the folder itself would be listed whole."""
        try:
            call(
                self._http,
                self._target.name,
                "operations/stat",
                fs=self._remote,
                remote=_NO_FILE,
                opt={"filesOnly": True},
            )
        except StoreUnavailable as refused:
            if refused.code not in _WORDLESS:
                raise
            # S3 refuses it without words (HEAD has no body): a listing tells a key, a right and a region apart.
            with closing(self._list(with_permissions=False)) as entries:
                next(entries, None)

    def _list(self, *, with_permissions: bool) -> Generator[Copy | Gap, None, bool]:
        """Yield every object; False: nothing was yielded, for some permission may not be read."""
        with Lsjson(self._lsjson(*(_PERMISSIONS if with_permissions else ())), self._config) as lines:
            entries = told_apart(lines) if self._features.get("DuplicateFiles") else plain(lines)
            kind, by_folder = self._holder.spoken_to, self._holder.kind in LISTED_BY_FOLDER
            first = next(entries, None)
            if lines.permission_refused:
                return False
            if first is None and not lines.whole:
                raise unavailable(self._target.name, lines.complaint)
            for entry in chain([first] if first else (), entries):
                if with_permissions:
                    self._permissions.count(entry)
                if not entry["IsDir"]:
                    yield copy_of(entry, kind)
                elif entry.get("Again") and (by_folder or not self._features.get("ListR")):
                    # rclone looks a folder up by its name: of two it lists one, twice.
                    yield Gap(scope=key_of(entry["Path"]), reason=Problem.AMBIGUOUS)
            gaps = list(lines.gaps())
            self._permissions.partial = with_permissions and bool(gaps)
            yield from gaps
        return True

    def _lsjson(self, *more: str) -> list[str]:
        command = [
            installed(self._target.name),
            "lsjson",
            "--recursive",
            "--no-mimetype",
            "--fast-list",
            "--use-json-log",
            "--ask-password=false",
        ]
        if not self._features.get("DuplicateFiles"):
            command.append("--files-only")
        kept = set() if self._features.get("SlowHash") else CHECKSUMS.keys() & self._hashes
        if kept and self._holder.spoken_to in REPORTING:
            command += ["--hash", *(word for name in sorted(kept) for word in ("--hash-type", name))]
        if self._features.get("BucketBased") and self._features.get("SlowModTime"):
            # Else each time of an object would cost a request of its own.
            command.append("--use-server-modtime")
        if self._target.concurrency:
            command += ["--checkers", str(self._target.concurrency)]
        if self._holder.kind in LISTED_BY_FOLDER:
            command += ["--disable", "ListR"]
        return [*command, *more, "--", self._remote]


def pace(target: Target) -> float | None:
    """Return how many objects a second can be read from a served rclone target; None: no bound is known."""
    server = target.options.get("server")
    if server is None:
        return None
    try:
        with closing(connect(server)) as http:
            holder = _holder(http, target)
    except StoreUnavailable:
        return None
    return None if holder.setting("pacer_min_sleep") else objects_per_second(holder.kind)


def _holder(http: HTTPConnectionPool, target: Target) -> Remote:
    def configured(name: str) -> dict[str, str]:
        return call(http, target.name, "config/get", name=name)

    return resolve(str(target.options["remote"]), configured)
