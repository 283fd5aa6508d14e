"""Requests to a DICOMweb server: it is only ever asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from logging import CRITICAL, getLogger
from urllib.parse import quote

from urllib3 import BaseHTTPResponse, PoolManager, Retry, Timeout, make_headers
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from exactcopy import __version__
from exactcopy.errors import StoreUnavailable
from exactcopy.model import Problem, Target
from exactcopy.stores.secrets import header, resolve

_RETRIES = Retry(total=3, backoff_factor=0.3, status_forcelist=(429, 502, 503, 504), redirect=0, raise_on_status=False)
_TIMEOUT = Timeout(connect=10, read=120)
_DENIED = (401, 403)
_ABSENT = (404, 410)


@dataclass(frozen=True, slots=True)
class Server:
    """A server, and how to sign in there."""

    name: str
    url: str
    pool: PoolManager

    def get(self, path: str, accept: str, **fields: str) -> BaseHTTPResponse:
        """Return the answer to a GET, its body yet to be read. Raises HTTPError where there is none."""
        query = "&".join(f"{quote(key)}={quote(value, safe='')}" for key, value in fields.items())
        return self.pool.urlopen(
            "GET",
            f"{self.url}{path}{'?' if query else ''}{query}",
            headers={**self.pool.headers, "Accept": accept},
            preload_content=False,
            decode_content=False,
        )


def connect(target: Target) -> Server:
    """Return the server of a target. Raises StoreUnavailable where a secret or a file is missing."""
    # It would tell of each request that is tried again, with the UIDs in its path.
    getLogger("urllib3").setLevel(CRITICAL)
    options, where = target.options, target.name
    signed: dict[str, str] = {}
    if options.get("username"):
        password = resolve(options["password"], where)
        # RFC 7617: the server takes UTF-8 or nothing that is not ASCII.
        signed = make_headers(basic_auth=f"{options['username']}:{password}".encode().decode("latin-1"))
    elif options.get("token"):
        signed = {"Authorization": f"Bearer {resolve(options['token'], where)}"}
    more = {name: header(value, where) for name, value in (options.get("headers") or {}).items()}
    pool = PoolManager(
        maxsize=16,
        headers={"User-Agent": f"exactcopy/{__version__}", "Accept-Encoding": "identity", **signed, **more},
        retries=_RETRIES,
        timeout=_TIMEOUT,
        ca_certs=options.get("ca"),
        cert_file=options.get("client_cert"),
        cert_reqs="CERT_REQUIRED",
    )
    return Server(where, options["url"], pool)


def resource(*uids: str | None) -> str:
    """Return the path of a study, of a series of it, or of an instance of that (PS3.18 10.1.2)."""
    names = ("studies", "series", "instances")
    return "".join(f"/{name}/{quote(str(uid), safe='')}" for name, uid in zip(names, uids, strict=False))


def problem_of(status: int) -> Problem:
    """Return why an answer of this status is none."""
    if status in _DENIED:
        return Problem.PERMISSION
    return Problem.VANISHED if status in _ABSENT else Problem.IO_ERROR


def unreachable(where: str, error: HTTPError | OSError) -> StoreUnavailable:
    """Say why there is no answer, and what to do."""
    cause = error.reason if isinstance(error, MaxRetryError) else error
    for kinds, code, what, remedy in _FAULTS:
        if isinstance(cause, kinds):
            return StoreUnavailable(code, where, what, remedy)
    return StoreUnavailable("no_answer", where, "the server breaks off its answers", "Ask who runs it.")


def refused(where: str, status: int) -> StoreUnavailable:
    """Say what an answer to the first question means that is none, and what to do."""
    what, code, remedy = _REFUSALS.get(
        status, (f"the server fails to answer (HTTP {status:d})", "no_answer", "Ask who runs it, or try again later.")
    )
    return StoreUnavailable(code, where, what, remedy)


_Fault = tuple[type[BaseException] | tuple[type[BaseException], ...], str, str, str]
_FAULTS: tuple[_Fault, ...] = (
    (SSLError, "tls", "its TLS certificate, or ours, is not trusted", "Mend `ca` or `client_cert`, or the server's."),
    (NameResolutionError, "no_host", "no computer of that name is known", "Mend `url`."),
    (NewConnectionError, "no_connection", "nothing listens there", "Start the server, or mend `url`."),
    ((ConnectTimeoutError, ReadTimeoutError), "timeout", "the server does not answer in time", "Is it running?"),
    (OSError, "files", "`ca` or `client_cert` cannot be used", "Name files of PEM that can be read."),
)
_REFUSALS: Mapping[int, tuple[str, str, str]] = {
    401: ("the server refuses the sign-in", "sign_in", "Mend `username` and `password`, or `token`."),
    403: ("the server does not let this account query", "denied", "Let it query and retrieve (QIDO-RS, WADO-RS)."),
    404: ("no DICOMweb is offered at `url`", "no_service", "Write the address below which /studies lies."),
}
