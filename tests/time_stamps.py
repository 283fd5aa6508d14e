"""A service of time stamps (RFC 3161) on this computer: OpenSSL's, behind a port."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

SERVICE = "Test Time Stamps"
_SETTINGS = """
[req]
distinguished_name = name
x509_extensions = stamps
prompt = no
[name]
CN = Test Time Stamps
[stamps]
extendedKeyUsage = critical, timeStamping
keyUsage = critical, digitalSignature
[tsa]
default_tsa = service
[service]
serial = {folder}/serial
signer_cert = {folder}/cert.pem
signer_key = {folder}/key.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""


@contextmanager
def time_stamps(folder: Path) -> Iterator[str]:
    """Give the address of a service that keeps its files in `folder`. What is asked for below /busy is refused."""
    folder.mkdir(parents=True)
    (folder / "serial").write_text("01\n")
    (folder / "settings").write_text(_SETTINGS.format(folder=folder))
    key, certificate, settings = (str(folder / name) for name in ("key.pem", "cert.pem", "settings"))
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", key, "-out", certificate]
    _openssl("req", "-x509", *made, "-config", settings, "-days", "30")

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = folder / "asked"
            asked.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.startswith("/busy"):
                self.send_error(503)
                return
            _openssl("ts", "-reply", "-config", settings, "-queryfile", str(asked), "-out", str(folder / "said"))
            said = (folder / "said").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
