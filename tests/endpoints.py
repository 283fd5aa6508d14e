"""Real endpoints on loopback that receive what is told: a mail server, a webhook, a ping server."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from aiosmtpd.controller import Controller

from tests.servers import free_ports


@dataclass
class Received:
    """What arrived: webhooks as title and text, pings as path and body, mails as subject and text."""

    port: int = 0
    refuse: bool = False
    hooks: list[tuple[str, str]] = field(default_factory=list)
    pings: list[tuple[str, str]] = field(default_factory=list)
    mails: list[tuple[str, str]] = field(default_factory=list)

    def everything(self) -> str:
        """Give all that anybody outside was sent."""
        return "\n".join(text for pair in (*self.hooks, *self.pings, *self.mails) for text in pair)


@contextmanager
def web() -> Iterator[Received]:
    """Run a server that takes webhooks at /hook and pings at /ping; it answers 500 while it is told to refuse."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            if not received.refuse:
                if self.path.startswith("/hook"):
                    message = json.loads(body)
                    received.hooks.append((message["title"], message["message"]))
                else:
                    received.pings.append((self.path, body))
            self.send_response(500 if received.refuse else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.port = server.server_port
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def mail() -> Iterator[Received]:
    """Run an SMTP server."""
    received = Received()

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
            message = message_from_bytes(envelope.content, policy=policy.default)
            body = message.get_body(("plain", "html"))
            received.mails.append((str(message["Subject"]), body.get_content() if body else ""))
            return "250 taken"

    [received.port] = free_ports(1)
    controller = Controller(Handler(), hostname="127.0.0.1", port=received.port)
    controller.start()
    try:
        yield received
    finally:
        controller.stop()
