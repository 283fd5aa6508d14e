"""A proxy before a real S3 server: it counts what is asked for, and may show the ETags of a server that lies."""

import http.client
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

Rewrite = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request and its answer: `size` is of the body that was sent back."""

    method: str
    key: str
    query: Mapping[str, list[str]]
    status: int
    size: int
    signed: bool


@dataclass(slots=True)
class Proxy:
    """Where it listens, and what went through it."""

    endpoint: str
    requests: list[Request] = field(default_factory=list)

    def listings(self) -> int:
        """Count the pages of listings. To see that it may list, a store asks for one key each time it is opened."""
        kinds = {"list-type", "versions"}
        pages = [one for one in self.requests if kinds & one.query.keys() and one.signed and not one.key]
        return sum(1 for page in pages if page.query.get("max-keys") != ["1"])

    def content(self) -> list[Request]:
        """Give the requests that brought bytes of objects."""
        return [
            one for one in self.requests if one.method == "GET" and one.key and one.status in (200, 206) and one.size
        ]


@contextmanager
def passing(
    endpoint: str, *, back: Rewrite | None = None, there: Rewrite | None = None, also: Mapping[str, str] | None = None
) -> Iterator[Proxy]:
    """Pass everything on to `endpoint`.

    `back` changes the ETags of answers, `there` those of requests, `also` are headers that answers get about
    objects. The server behind must not mind that what was signed is changed.
    """
    server_at = urlsplit(endpoint)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # A body would wait 40 ms for its head to be acknowledged.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            sent = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            if there and "If-Match" in sent:
                sent["If-Match"] = there(sent["If-Match"].encode()).decode()
            behind = http.client.HTTPConnection(server_at.hostname or "", server_at.port or 80, timeout=60)
            behind.request(self.command, self.path, body or None, sent)
            answer = behind.getresponse()
            data = answer.read()
            behind.close()
            parts = urlsplit(self.path)
            _, _, key = parts.path.lstrip("/").partition("/")
            query = parse_qs(parts.query, keep_blank_values=True)
            if back and not key:
                data = back(data)
            proxy.requests.append(
                Request(
                    method=self.command,
                    key=key,
                    query=query,
                    status=answer.status,
                    size=len(data),
                    signed="Authorization" in self.headers,
                )
            )
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() in ("connection", "transfer-encoding", "content-length", "server", "date"):
                    continue
                self.send_header(name, back(value.encode()).decode() if back and name.lower() == "etag" else value)
            for name, value in (also or {}).items() if key else ():
                self.send_header(name, value)
            length = answer.headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(data))
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that breaks off is no fault of the proxy."""

    with Server(("127.0.0.1", 0), Handler) as server:
        proxy = Proxy(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
