"""Objects by a plain request that botocore signs: half of what each costs with all of the SDK around it.

It only ever gets. Whatever is not as it should be is left to the SDK, which asks again and tells what is wrong.
"""

import ssl
from collections import deque
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import get_cert_path
from botocore.session import Session
from botocore.utils import get_environ_proxies, percent_encode

from exactcopy import __version__
from exactcopy.model import Copy
from exactcopy.stores.s3.body import Body, opened
from exactcopy.stores.s3.client import Bucket, address_of, time_of
from exactcopy.stores.s3.faults import FAILURES

_SILENCE = 60.0
_AT_LEAST = 0.1
# What came to others while one was waited for is there at once.
_WAITED_TOO = 5.0
_FAILURES = (OSError, HTTPException, AttributeError, *FAILURES)
Request = tuple[str, dict[str, str]]


class DirectReader:
    """Asks for the first bytes of objects as they were listed.

    Raises OSError or ValueError where only the SDK knows the way.
    """

    def __init__(self, session: Session, bucket: Bucket) -> None:
        """Take the bucket, and the session of its client."""
        self._session, self._region = session, bucket.client.meta.region_name
        base, _ = address_of(bucket)
        if get_environ_proxies(base) or bucket.name.endswith("--x-s3"):
            raise ValueError("a proxy is the SDK's to use, and a directory bucket signs in otherwise")
        parts = urlsplit(base)
        self._origin, self._path = f"{parts.scheme}://{parts.netloc}", parts.path
        self._host, self._port = parts.hostname or "", parts.port
        self._tls = None
        if parts.scheme == "https":
            trusted = session.get_config_variable("ca_bundle") or get_cert_path(True)
            self._tls = ssl.create_default_context(cafile=trusted)
        # Each serves again once all of an answer was read.
        self.idle: deque[HTTPConnection] = deque()
        self.at_work: set[HTTPConnection] = set()

    def ask(self, copy: Copy, wanted: int) -> "_Asked | None":
        """Send a request for the first `wanted` bytes of an object, without waiting for its answer."""
        if copy.version is None:
            return None
        try:
            return _Asked(self, copy, wanted, self._signed(copy, wanted))
        except _FAILURES:
            return None

    def close(self) -> None:
        """Close the connections that are idle."""
        while self.idle:
            self.idle.pop().close()

    def _signed(self, copy: Copy, wanted: int) -> tuple[str, dict[str, str]]:
        """Return the path and the headers of a request for the first bytes of an object as it was listed."""
        path = f"{self._path}/{percent_encode(copy.key.decode(), safe='/~')}"
        request = AWSRequest("GET", f"{self._origin}{path}")
        credentials = self._session.get_credentials().get_frozen_credentials()
        S3SigV4Auth(credentials, "s3", self._region).add_auth(request)
        # Signing these as well would cost as much as all the rest: the answer is held to what was listed.
        more = {"If-Match": f'"{copy.version}"', "User-Agent": f"exactcopy/{__version__}"}
        if wanted < copy.size:
            more["Range"] = f"bytes=0-{wanted - 1}"
        return path, {**dict(request.headers.items()), **more}

    def send(self, request: Request, *, anew: bool = False) -> tuple[HTTPConnection, bool]:
        """Return the connection over which a request was sent, and whether it had been used before.

        Raises OSError or HTTPException.
        """
        used = False
        if not anew:
            with suppress(IndexError):
                connection, used = self.idle.pop(), True
        if not used:
            connection = self._connect()
        path, headers = request
        try:
            connection.request("GET", path, headers=headers)
        except (OSError, HTTPException):
            connection.close()
            if not used:
                raise
            return self.send(request, anew=True)
        return connection, used

    def _connect(self) -> HTTPConnection:
        if self._tls is None:
            return HTTPConnection(self._host, self._port, timeout=_SILENCE)
        return HTTPSConnection(self._host, self._port, timeout=_SILENCE, context=self._tls)


class _Asked:
    """A request that was sent."""

    def __init__(self, reader: DirectReader, copy: Copy, wanted: int, request: Request) -> None:
        """Send it; raises OSError or HTTPException."""
        self._reader, self._copy, self._wanted, self._request = reader, copy, wanted, request
        self._sent = monotonic()
        self._connection, self._used = reader.send(request)

    def cancel(self) -> bool:
        """Give it up."""
        self._connection.close()
        return True

    def result(self) -> tuple[Copy, Body] | None:
        """Return the object as it is there now, and its bytes; None where the answer is not that."""
        stream = None
        try:
            stream = _Stream(self._connection, self._answer(), self._reader)
            return opened(self._copy, stream.said, stream, self._wanted)
        except _FAILURES:
            (stream or self._connection).close()
            return None

    def _answer(self) -> HTTPResponse:
        line = self._connection.sock
        try:
            # What was sent together is waited for together.
            line.settimeout(max(_SILENCE - (monotonic() - self._sent), _AT_LEAST))
            response = self._connection.getresponse()
            line.settimeout(_SILENCE)
            return response
        except (OSError, HTTPException):
            # One that was not used for a while may have been closed there.
            if not self._used:
                raise
        self._connection.close()
        self._connection, _ = self._reader.send(self._request, anew=True)
        return self._connection.getresponse()


class _Stream:
    """The body of an answer, and what its head says, by the names of the SDK."""

    def __init__(self, connection: HTTPConnection, response: HTTPResponse, reader: DirectReader) -> None:
        """Take the answer, and the reader to which its connection goes back."""
        self._connection, self._response, self._reader = connection, response, reader
        reader.at_work.add(connection)
        self.said: dict[str, Any] = {}
        length, modified = response.getheader("Content-Length", ""), response.getheader("Last-Modified")
        # A body of which nobody says how long it is cannot be held to that.
        if response.status in (200, 206) and length.isdecimal() and modified:
            self.said = {
                "ETag": response.getheader("ETag", ""),
                "LastModified": time_of(modified),
                "ContentLength": int(length),
            }
            # Some servers give a part with the status of the whole.
            if part := response.getheader("Content-Range"):
                self.said["ContentRange"] = part

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        """Fill `buffer`; 0 at the end, also where that comes too early."""
        try:
            return self._response.readinto(buffer)
        except TimeoutError:
            # Sixteen that fall silent together are not waited for one after the other.
            for connection in self._reader.at_work:
                if connection.sock is not None:
                    connection.sock.settimeout(_WAITED_TOO)
            raise

    def close(self) -> None:
        """Let the connection go."""
        self._reader.at_work.discard(self._connection)
        if self._response.isclosed() and not self._response.will_close:
            self._reader.idle.append(self._connection)
        else:
            # Of an answer that ends the connection, it alone holds the socket.
            self._response.close()
            self._connection.close()
