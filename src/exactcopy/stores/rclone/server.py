"""One running rclone for all stores of a configuration: started, asked, ended in every ending."""

import json
import os
import secrets
import select
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from time import monotonic
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPResponse, Retry, Timeout, make_headers
from urllib3.connectionpool import connection_from_url
from urllib3.exceptions import HTTPError

from exactcopy.errors import StoreUnavailable
from exactcopy.model import Target
from exactcopy.stores.rclone.faults import unavailable
from exactcopy.stores.rclone.program import environment, recent

# rclone could write and delete: nothing but these is ever called.
_METHODS = frozenset({"config/get", "core/version", "operations/fsinfo", "operations/stat"})
_START_SECONDS = 30
_TRIES = 3
# A shell stands between: it ends rclone when it is told to, and when this process is gone, even by SIGKILL.
_KEEPER = '"$@" & rclone=$!; exec >&-; read -r _; kill $rclone; (sleep 3; kill -9 $rclone) & wait $rclone; kill $! 2>&-'


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
                    servers[config] = stack.enter_context(serving(config, target.name))
        yield [
            replace(target, options={**target.options, "server": server})
            if target.kind == "rclone" and (server := servers.get(target.options.get("config")))
            else target
            for target in targets
        ]


@contextmanager
def serving(config: str | None, where: str) -> Iterator[dict[str, str]]:
    """Run `rclone rcd` on a free port of loopback; only this process knows its password."""
    rclone = recent(where)
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


def connect(server: Mapping[str, str]) -> HTTPConnectionPool:
    """Return the connections to a running rclone."""
    return connection_from_url(
        server["url"],
        headers=dict(make_headers(basic_auth=f"{server['user']}:{server['password']}")),
        # rclone itself tries again what its provider refuses; here only a connection to it can fail.
        retries=Retry(connect=3, read=0, redirect=0, status=0, other=0, backoff_factor=0.1),
        timeout=Timeout(connect=10, read=600),
        maxsize=2,
    )


def call(http: HTTPConnectionPool, where: str, method: str, **parameters: Any) -> dict[str, Any]:
    """Ask rclone one of the few things that it is ever asked; `where` is the store that an error names."""
    if method not in _METHODS:
        raise ValueError(method)
    try:
        answer = request(http, "POST", f"/{method}", {"Content-Type": "application/json"}, json.dumps(parameters))
        said: dict[str, Any] = json.loads(answer.read())
    except (HTTPError, ValueError):
        raise StoreUnavailable("failed", where, "rclone ended or does not answer", "Audit again.") from None
    if answer.status != 200:
        raise unavailable(where, str(said.get("error", "")))
    return said


def request(
    http: HTTPConnectionPool, method: str, path: str, headers: Mapping[str, str], body: str | None = None
) -> HTTPResponse:
    """Send one request; the body of the answer is not read yet."""
    answer = http.urlopen(method, path, body, {**http.headers, **headers}, redirect=False, preload_content=False)
    if not isinstance(answer, HTTPResponse):
        raise TypeError(answer)
    return answer


@contextmanager
def _kept(command: Sequence[str], config: str | None, server: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    login = {"RCLONE_RC_USER": server["user"], "RCLONE_RC_PASS": server["password"]}
    # A session of its own: Ctrl-C is for the parent, which ends rclone when it is done with it.
    process = subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", _KEEPER, "sh", *command],
        env={**environment(config), **login},
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
    with closing(connect(server)) as http:
        http.retries = Retry(total=0)
        while monotonic() < until:
            # rclone prints nothing there: what can be read is the end.
            if select.select([ended], [], [], 0.02)[0]:
                return False
            with suppress(StoreUnavailable):
                call(http, "", "core/version")
                return True
    return False
