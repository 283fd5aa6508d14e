"""Real servers on free ports of this computer, for as long as a test needs them."""

import ctypes
import json
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

_PATIENCE = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What an account logs in with."""

    id: str
    secret: str


ADMIN = Keys(id="ADMIN0123456789ABCDE", secret="secret of the admin")
AUDITOR = Keys(id="AUDITOR0123456789ABC", secret="secret of the auditor")
READER = Keys(id="READER0123456789ABCD", secret="secret of the reader")
LISTER = Keys(id="LISTER0123456789ABCD", secret="secret of the lister")


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Server:
    """A server that is up. The auditor reads and lists, the reader and the lister only that; else they are one."""

    endpoint: str
    auditor: Keys
    reader: Keys | None = None
    lister: Keys | None = None
    # Where a bucket is a folder below it; None: nobody's business.
    folder: Path | None = None

    def admin(self) -> Any:
        """Return a client that may write."""
        return boto3.Session(aws_access_key_id=ADMIN.id, aws_secret_access_key=ADMIN.secret).client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.endpoint,
            config=Config(
                signature_version="s3v4",
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
            ),
        )


@contextmanager
def seaweed(*, encryption_key: str | None = None) -> Iterator[S3Server]:
    """SeaweedFS: real authentication and rights, the ETags of AWS."""
    with tempfile.TemporaryDirectory(prefix="exactcopy-weed-") as folder:
        identities = [
            _identity("admin", ADMIN, ["Admin", "Read", "Write", "List", "Tagging"]),
            _identity("auditor", AUDITOR, ["Read", "List"]),
            _identity("reader", READER, ["Read"]),
            _identity("lister", LISTER, ["List"]),
        ]
        config = Path(folder, "identities.json")
        config.write_text(json.dumps({"identities": identities}))
        # Its ports for gRPC lie 10,000 above.
        s3, grpc, master, volume, filer = free_ports(5, also=10_000)
        command = [
            binary("weed"),
            "-logtostderr=true",
            "server",
            f"-dir={folder}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-master.port={master}",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=64",
            f"-volume.port={volume}",
            "-volume.max=2000",
            f"-filer.port={filer}",
            "-s3",
            f"-s3.port={s3}",
            f"-s3.port.grpc={grpc}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.config={config}",
        ]
        environment = {"HOME": folder, "PATH": "/usr/bin:/bin"}
        if encryption_key is not None:
            environment["WEED_S3_SSE_KEY"] = encryption_key
        with running(command, Path(folder), environment) as process:
            server = S3Server(endpoint=f"http://127.0.0.1:{s3}", auditor=AUDITOR, reader=READER, lister=LISTER)
            wait(process, lambda: _takes_an_object(server))
            yield server


@contextmanager
def rclone_s3() -> Iterator[S3Server]:
    """`rclone serve s3` over a folder: quick, and sloppy about all that is not plain reading and writing."""
    with tempfile.TemporaryDirectory(prefix="exactcopy-rclone-") as folder:
        Path(folder, "data").mkdir()
        [port] = free_ports(1)
        command = [binary("rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}"]
        command += ["--auth-key", f"{ADMIN.id},{ADMIN.secret}", "--config", "", str(Path(folder, "data"))]
        with running(command, Path(folder), {"HOME": folder, "PATH": "/usr/bin:/bin"}) as process:
            server = S3Server(endpoint=f"http://127.0.0.1:{port}", auditor=ADMIN, folder=Path(folder, "data"))
            wait(process, lambda: _takes_an_object(server))
            yield server


# As above: else each answer takes 40 ms.
_MOTO = """
from moto.server import main
from werkzeug.serving import WSGIRequestHandler
WSGIRequestHandler.disable_nagle_algorithm = True
main()
"""


@contextmanager
def moto() -> Iterator[S3Server]:
    """moto: a mock of AWS, for what no real server here has (Glacier). It lets anybody in."""
    with tempfile.TemporaryDirectory(prefix="exactcopy-moto-") as folder:
        [port] = free_ports(1)
        command = [sys.executable, "-c", _MOTO, "-H", "127.0.0.1", "-p", str(port)]
        with running(command, Path(folder), {"HOME": folder, "PATH": "/usr/bin:/bin"}) as process:
            server = S3Server(endpoint=f"http://127.0.0.1:{port}", auditor=ADMIN)
            wait(process, lambda: _takes_an_object(server))
            yield server


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a scripted server says. It hangs up after a body that claims a `length`, unless it `stays`."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    length: int | None = None
    stays: bool = False


@contextmanager
def scripted(answer: Callable[[str, Message], Answer], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Yield the address of a server that says what no proper one would: `answer` gets the path and the headers.

    What is asked otherwise than by GET has its method in the header `X-Method`.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # A body would wait 40 ms for its head to be acknowledged.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            said = answer(self.path, self.headers)
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said.body) if said.length is None else said.length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(said.body)
            self.close_connection = said.length is not None and not said.stays

        do_HEAD = do_GET  # noqa: N815

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.headers["X-Method"] = self.command
            self.do_GET()

        do_DELETE = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that breaks off is what is being tested."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            # The handshake is left to the thread that serves the connection, which closes it if that fails.
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _identity(name: str, keys: Keys, actions: Sequence[str]) -> dict[str, Any]:
    return {
        "name": name,
        "credentials": [{"accessKey": keys.id, "secretKey": keys.secret}],
        "actions": list(actions),
    }


def _takes_an_object(server: S3Server) -> bool:
    admin = server.admin()
    try:
        admin.create_bucket(Bucket="ready")
    except (BotoCoreError, ClientError):
        with suppress(BotoCoreError, ClientError):
            admin.head_bucket(Bucket="ready")
    try:
        admin.put_object(Bucket="ready", Key="ready", Body=b"1")
    except (BotoCoreError, ClientError):
        return False
    finally:
        admin.close()
    return True


def binary(name: str) -> str:
    """Return the program of this name, or skip what needs it."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: script/bootstrap dev")
    return found


@contextmanager
def running(command: Sequence[str], folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server, and end it in every ending: even where this process is killed."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
    try:
        yield process
    finally:
        # Nothing of it is kept, so it need not end in good order.
        process.kill()
        process.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def wait(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
    """Wait until the server is ready."""
    until = monotonic() + _PATIENCE
    while not ready():
        if process.poll() is not None or monotonic() > until:
            raise RuntimeError(f"{process.args!r} did not come up")
        sleep(0.1)


def free_ports(count: int, also: int = 0) -> list[int]:
    """Return ports that nobody listens at, and `also` above them neither.

    All lie below those that the system gives to whoever connects, and may have given by the time they are used.
    """
    found: set[int] = set()
    while len(found) < count:
        port = random.randrange(20_000, 32_000 - also)
        if port not in found and _free(port) and (not also or _free(port + also)):
            found.add(port)
    return sorted(found)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
