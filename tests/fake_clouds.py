"""Dropbox and Google Drive as far as rclone asks them: the real client, a fake provider.

rclone has no setting for the address of either. So a proxy on loopback takes its CONNECT, answers for the provider
with a certificate of a test CA, and counts what was asked: `environment` is all that the client needs.
"""

import hashlib
import json
import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from traceback import walk_tb
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import trustme

FOLDER = "application/vnd.google-apps.folder"
SHORTCUT = "application/vnd.google-apps.shortcut"
DOCUMENT = "application/vnd.google-apps.document"
_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_BLOCK = 4 * 1024 * 1024
_TOKEN = '{"access_token":"t","token_type":"bearer","refresh_token":"r","expiry":"%s"}'
_NEVER, _LONG_AGO = "2090-01-01T00:00:00Z", "2001-01-01T00:00:00Z"


@dataclass(slots=True, kw_only=True)
class Faults:
    """What goes wrong next. `throttle` requests are told to come again; `names` say which objects a fault has.

    A login that `renews` gets a new token in place of an expired one. `unshared`: it may see no sharing.
    """

    throttle: int = 0
    revoked: bool = False
    renews: bool = False
    unshared: bool = False
    cut: set[str] = field(default_factory=set)
    empty: set[str] = field(default_factory=set)
    lying: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    unlisted: set[str] = field(default_factory=set)
    fails_after: int | None = None
    no_trash: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back to the client; `sent` is how much of the body really does."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the client asked for."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Message
    body: bytes


class Cloud:
    """What both providers have in common: faults, counters, and bytes that are sent."""

    hosts: tuple[str, ...]

    def __init__(self) -> None:
        """Hold nothing yet."""
        self.faults = Faults()
        self.page = 1000
        self.token = "t"
        self.asked: Counter[str] = Counter()
        self.content_bytes = 0

    def config(self, *, expired: bool = False) -> str:
        """Give rclone's configuration of a remote `cloud`, whose token is good for ever or has long expired."""
        raise NotImplementedError

    def answer(self, request: Request) -> Answer:
        """Answer one request; every fault that is not of an object comes first."""
        if request.path.endswith("/token"):
            self.asked["token"] += 1
            if self.faults.renews:
                self.token = "renewed"
                return said(200, access_token=self.token, token_type="bearer", expires_in=14400)
            return said(400, error="invalid_grant", error_description="Token has been expired or revoked.")
        if self.faults.throttle:
            self.faults.throttle -= 1
            self.asked["throttled"] += 1
            return self.throttled()
        if self.faults.fails_after is not None:
            self.faults.fails_after -= 1
            if self.faults.fails_after < 0:
                return said(400, error={"code": 400, "message": "something is wrong"})
        if self.faults.revoked or request.headers.get("Authorization") != f"Bearer {self.token}":
            self.asked["revoked"] += 1
            return self.revoked()
        return self.serve(request)

    def throttled(self) -> Answer:
        """Answer that the client asks too often."""
        raise NotImplementedError

    def revoked(self) -> Answer:
        """Answer that the token is no good."""
        raise NotImplementedError

    def serve(self, request: Request) -> Answer:
        """Answer as the provider does."""
        raise NotImplementedError

    def content(self, name: str, data: bytes, request: Request, **headers: str) -> Answer:
        """Give the bytes of an object, or the part that was asked for."""
        self.asked["content"] += 1
        if name in self.faults.empty:
            return Answer(headers=headers)
        status = 200
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", "")):
            first, last = int(wanted[1]), int(wanted[2] or len(data))
            headers["Content-Range"] = f"bytes {first}-{min(last, len(data) - 1)}/{len(data)}"
            status, data = 206, data[first : last + 1]
        sent = len(data) // 2 if name in self.faults.cut else len(data)
        self.content_bytes += sent
        return Answer(status=status, body=data, headers=headers, sent=sent)


class Dropbox(Cloud):
    """Dropbox API v2: files/list_folder and its pages, files/get_metadata, files/download, shared links."""

    hosts = ("api.dropboxapi.com", "content.dropboxapi.com")

    def __init__(self) -> None:
        """Hold nothing yet."""
        super().__init__()
        self.objects: dict[str, bytes] = {}
        self.deleted: dict[str, bytes] = {}
        # Folders that stay where all in them is deleted; of others nobody knows.
        self.kept: set[str] = set()
        self.links: list[dict[str, Any]] = []

    def share(self, path: str, visibility: str = "public") -> None:
        """Make a link to a file or folder."""
        permissions = {"can_revoke": True, "resolved_visibility": {".tag": visibility}}
        name = path.rpartition("/")[2]
        self.links.append({"name": name, "path_lower": path.lower(), "link_permissions": permissions})

    def put(self, objects: Mapping[bytes, bytes]) -> None:
        """Store objects by their paths."""
        self.objects.update({"/" + key.decode(): data for key, data in objects.items()})

    def delete(self, path: str) -> None:
        """Delete a file, as its owner would: it is kept for a while."""
        self.deleted[path] = self.objects.pop(path)

    def config(self, *, expired: bool = False) -> str:
        """Give rclone's configuration."""
        return f"[cloud]\ntype = dropbox\ntoken = {_TOKEN % (_LONG_AGO if expired else _NEVER)}\n"

    def throttled(self) -> Answer:
        """Answer as Dropbox does."""
        answer = said(429, error_summary="too_many_requests/..", error={".tag": "too_many_requests"})
        return Answer(status=429, body=answer.body, headers={**answer.headers, "Retry-After": "1"})

    def revoked(self) -> Answer:
        """Answer as Dropbox does."""
        return said(401, error_summary="expired_access_token/..", error={".tag": "expired_access_token"})

    def serve(self, request: Request) -> Answer:
        """Answer one call; anything but those that read is a mistake of the product."""
        call = request.path.removeprefix("/2/").removeprefix("files/")
        self.asked[call] += 1
        sent = request.headers.get("Dropbox-API-Arg") or request.body.decode() or "{}"
        asked = json.loads(sent)
        if call == "get_metadata":
            return self._metadata(asked["path"])
        if call == "list_folder" and asked.get("include_deleted"):
            return self._all(asked["path"], 0)
        if call == "list_folder":
            return self._page(asked["path"], 0)
        if call == "list_folder/continue":
            start, whole, path = asked["cursor"].split(" ", 2)
            return (self._all if whole == "all" else self._page)(path, int(start))
        if call == "list_revisions":
            return self._revisions(asked["path"])
        if call == "download":
            return self._download(asked["path"], request)
        if call == "users/get_current_account":
            return said(200, account_id="dbid:clinic", email="clinic@example.com")
        if call == "sharing/list_shared_links":
            return self._shared(int((asked or {}).get("cursor", "0")))
        return said(400, error_summary=f"not faked: {request.path}")

    def _metadata(self, path: str) -> Answer:
        if path in self.objects and path not in self.faults.gone:
            return said(200, **self._file(path))
        if path in self.kept or any(key.startswith(path + "/") for key in self.objects):
            return said(200, **_dropbox_folder(path))
        return _dropbox_missing()

    def _page(self, path: str, start: int) -> Answer:
        below = [key for key in self.objects if key.startswith(path + "/")]
        if path and not below and path not in self.kept:
            return _dropbox_missing()
        if path in self.faults.refused:
            return said(403, error_summary="access_error/..", error={".tag": "no_permission"})
        folders: dict[str, dict[str, Any]] = {}
        files = []
        for key in below:
            name, deeper, _ = key[len(path) + 1 :].partition("/")
            if deeper:
                folders.setdefault(name, _dropbox_folder(f"{path}/{name}"))
            else:
                files.append(self._file(key))
        entries = [*folders.values(), *files]
        end = start + self.page
        return said(200, entries=entries[start:end], cursor=f"{end} one {path}", has_more=end < len(entries))

    def _all(self, path: str, start: int) -> Answer:
        """List all that is and all that was below a folder, folders among it."""
        self.asked["deleted"] += 1
        if self.faults.no_trash:
            return said(400, error_summary="something is wrong")
        is_there = {key for key in self.objects if key.startswith(path + "/")}
        was_there = {key for key in self.deleted if key.startswith(path + "/")}
        if path and not is_there | was_there:
            return _dropbox_missing()
        folders = {
            key[:place] for key in is_there | was_there for place in range(len(path) + 1, len(key)) if key[place] == "/"
        }
        live = {folder for folder in folders if any(key.startswith(folder + "/") for key in is_there)}
        entries = [_dropbox_folder(folder) for folder in sorted(live)]
        entries += [self._file(key) for key in sorted(is_there)]
        entries += [_dropbox_deleted(key) for key in sorted((folders - live) | (was_there - is_there))]
        end = start + self.page
        return said(200, entries=entries[start:end], cursor=f"{end} all {path}", has_more=end < len(entries))

    def _revisions(self, path: str) -> Answer:
        if self.faults.no_trash:
            return said(400, error_summary="something is wrong")
        if path in self.objects:
            return said(200, is_deleted=False, entries=[self._file(path)])
        if path not in self.deleted:
            return _dropbox_missing()
        last = {**self._file(path), "rev": "0a1b2c"}
        return said(200, is_deleted=True, server_deleted="2026-02-03T04:05:06Z", entries=[last])

    def _shared(self, start: int) -> Answer:
        if self.faults.unshared:
            error = {".tag": "missing_scope", "required_scope": "sharing.read"}
            return said(401, error_summary="missing_scope/..", error=error)
        end = start + self.page
        return said(200, links=self.links[start:end], has_more=end < len(self.links), cursor=str(end))

    def _download(self, path: str, request: Request) -> Answer:
        path = next((key for key in self.objects if path in (key, _dropbox_id(key))), path)
        if path not in self.objects or path in self.faults.gone:
            return _dropbox_missing()
        if path in self.faults.refused:
            return said(403, error_summary="access_error/..", error={".tag": "no_permission"})
        headers = {"Dropbox-API-Result": json.dumps(self._file(path)), "Content-Type": "application/octet-stream"}
        return self.content(path, self.objects[path], request, **headers)

    def _file(self, path: str) -> dict[str, Any]:
        data = self.objects[path] if path in self.objects else self.deleted[path]
        shown = b"another" if path in self.faults.lying else data
        return {
            ".tag": "file",
            "name": path.rpartition("/")[2],
            "id": _dropbox_id(path),
            "path_lower": path.lower(),
            "path_display": path,
            "client_modified": "2026-01-02T03:04:05Z",
            "server_modified": "2026-01-02T03:04:06Z",
            "rev": "0123456789abcdef0",
            "size": len(data),
            "is_downloadable": True,
            "content_hash": content_hash(shown).hex(),
        }


def content_hash(data: bytes) -> bytes:
    """Compute Dropbox's content hash as its documentation words it."""
    blocks = [data[start : start + _BLOCK] for start in range(0, len(data), _BLOCK)]
    return hashlib.sha256(b"".join(hashlib.sha256(block).digest() for block in blocks)).digest()


def _dropbox_id(path: str) -> str:
    return "id:" + hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest()[:22]


def _dropbox_folder(path: str) -> dict[str, Any]:
    name = path.rpartition("/")[2]
    return {".tag": "folder", "name": name, "id": "id:" + name, "path_lower": path.lower(), "path_display": path}


def _dropbox_deleted(path: str) -> dict[str, Any]:
    return {".tag": "deleted", "name": path.rpartition("/")[2], "path_lower": path.lower(), "path_display": path}


def _dropbox_missing() -> Answer:
    missing = {".tag": "path", "path": {".tag": "not_found"}}
    return said(409, error_summary="path/not_found/..", error=missing)


@dataclass(slots=True, kw_only=True)
class Item:
    """Anything in Drive, which knows it by its id: names are labels and need not be unique."""

    id: str
    name: str
    parent: str
    mime: str = "application/dicom"
    data: bytes | None = None
    leads_to: str | None = None
    trashed: bool = False
    open_to: str | None = None


class Drive(Cloud):
    """Google Drive v3: files.list with the filters that rclone sends, files.get with and without alt=media."""

    hosts = ("www.googleapis.com", "oauth2.googleapis.com")

    def __init__(self) -> None:
        """Hold an empty root folder."""
        super().__init__()
        self._numbers = count(1)
        self._folders = {"": "root-id"}
        self.items = {"root-id": Item(id="root-id", name="My Drive", parent="", mime=FOLDER)}

    def add(self, name: str, parent: str = "root-id", **rest: Any) -> str:
        """Add an item, whatever else has its name, and give its id."""
        identity = f"item-{next(self._numbers):06}"
        self.items[identity] = Item(id=identity, name=name, parent=parent, **rest)
        return identity

    def put(self, objects: Mapping[bytes, bytes]) -> None:
        """Store objects by their paths, each folder once."""
        folders = self._folders
        for key, data in objects.items():
            *above, name = key.decode().split("/")
            path = ""
            for folder in above:
                parent, path = folders[path], f"{path}/{folder}"
                if path not in folders:
                    folders[path] = self.add(folder, parent, mime=FOLDER)
            self.add(name, folders[path], data=data)

    def config(self, *, expired: bool = False) -> str:
        """Give rclone's configuration; its own pace would be ten requests a second."""
        token = _TOKEN % (_LONG_AGO if expired else _NEVER)
        return f"[cloud]\ntype = drive\nscope = drive.readonly\npacer_min_sleep = 1ms\ntoken = {token}\n"

    def throttled(self) -> Answer:
        """Answer as Google does."""
        reason = {"domain": "usageLimits", "reason": "rateLimitExceeded", "message": "Rate Limit Exceeded"}
        answer = said(429, error={"code": 429, "message": "Rate Limit Exceeded", "errors": [reason]})
        return Answer(status=429, body=answer.body, headers={**answer.headers, "Retry-After": "1"})

    def revoked(self) -> Answer:
        """Answer as Google does."""
        reason = {"domain": "global", "reason": "authError", "message": "Invalid Credentials"}
        return said(401, error={"code": 401, "message": "Invalid Credentials", "errors": [reason]})

    def serve(self, request: Request) -> Answer:
        """Answer one call; anything that is no GET of files is a mistake of the product."""
        if request.path == "/drive/v3/about":
            return said(200, exportFormats={DOCUMENT: [_WORD]}, importFormats={})
        path = request.path.removeprefix("/drive/v3/files").strip("/")
        if request.method != "GET" or not request.path.startswith("/drive/v3/files"):
            return said(400, error={"code": 400, "message": f"not faked: {request.method} {request.path}"})
        if not path:
            return self._page(request.query)
        if "/permissions/" in path:
            self.asked["permission"] += 1
            reason = {"domain": "global", "reason": "insufficientFilePermissions", "message": "no permission"}
            return said(403, error={"code": 403, "message": "no permission", "errors": [reason]})
        item = self.items.get("root-id" if path == "root" else path)
        if item is None or item.name in self.faults.gone:
            return _drive_missing()
        if request.query.get("alt") != "media":
            self.asked["get"] += 1
            return said(200, **self._described(item, request.query.get("fields", "")))
        if item.name in self.faults.refused:
            reason = {"domain": "global", "reason": "cannotDownloadFile", "message": "forbidden"}
            return said(403, error={"code": 403, "message": "forbidden", "errors": [reason]})
        return self.content(item.name, item.data or b"", request)

    def _page(self, query: Mapping[str, str]) -> Answer:
        # rclone looks for an object by its name with the same call.
        kind = "deleted" if "trashed=true" in query.get("q", "") else "list"
        kind = "find" if "name=" in query.get("q", "") else kind
        self.asked[kind] += 1
        if kind == "deleted" and self.faults.no_trash:
            return said(400, error={"code": 400, "message": "something is wrong"})
        parents = re.findall(r"'([^']*)' in parents", query.get("q", ""))
        if "name=" not in query.get("q", "") and any(self.items[one].name in self.faults.unlisted for one in parents):
            return said(400, error={"code": 400, "message": "something is wrong"})
        keep = where(query.get("q", ""))
        found = [item for item in self.items.values() if item.parent and keep(item)]
        found = [item for item in found if item.name not in self.faults.gone or "name=" not in query.get("q", "")]
        start = int(query.get("pageToken", "0"))
        end = start + min(self.page, int(query.get("pageSize", "100")))
        more = {"nextPageToken": str(end)} if end < len(found) else {}
        return said(200, files=[self._described(item, query.get("fields", "")) for item in found[start:end]], **more)

    def _described(self, item: Item, fields: str) -> dict[str, Any]:
        described: dict[str, Any] = {
            "id": item.id,
            "name": item.name,
            "mimeType": item.mime,
            "parents": [item.parent],
            "trashed": item.trashed,
            "createdTime": "2026-01-02T03:04:05.000Z",
            "modifiedTime": "2026-01-02T03:04:05.678Z",
            "capabilities": {"canDownload": True},
        }
        if "permissions" in fields:
            described |= self._permissions(item)
        if item.leads_to is not None:
            described["shortcutDetails"] = {"targetId": item.leads_to, "targetMimeType": self.items[item.leads_to].mime}
        if item.data is not None:
            data = b"another" if item.name in self.faults.lying else item.data
            described["size"] = str(len(item.data))
            described["md5Checksum"] = hashlib.md5(data, usedforsecurity=False).hexdigest()
            described["sha1Checksum"] = hashlib.sha1(data, usedforsecurity=False).hexdigest()
            described["sha256Checksum"] = hashlib.sha256(data).hexdigest()
        if item.mime == DOCUMENT:
            described["exportLinks"] = {_WORD: "https://docs.google.com/export"}
        return described

    def _permissions(self, item: Item) -> dict[str, Any]:
        """Say who may open an item: the account and, where a folder above is open to many, all of these."""
        owner = {"kind": "drive#user", "emailAddress": "clinic@example.com", "permissionId": "1"}
        permissions = [{"id": "1", "type": "user", "role": "owner", "emailAddress": "clinic@example.com"}]
        above: Item | None = item
        while above is not None:
            if above.open_to:
                permissions.append({"id": f"{above.open_to}WithLink", "type": above.open_to, "role": "reader"})
            above = self.items.get(above.parent)
        if self.faults.unshared:
            return {"owners": [owner], "permissionIds": [each["id"] for each in permissions]}
        return {"owners": [owner], **({} if item.name in self.faults.hidden else {"permissions": permissions})}


def _drive_missing() -> Answer:
    reason = {"domain": "global", "reason": "notFound", "message": "File not found"}
    return said(404, error={"code": 404, "message": "File not found", "errors": [reason]})


def where(q: str) -> Callable[[Item], bool]:
    """Understand Drive's filters: a server that ignored one would make rclone take a file for a folder."""
    words = re.findall(r"'(?:\\.|[^'\\])*'|[()]|!=|=|[\w.]+", q)

    def alternatives() -> Callable[[Item], bool]:
        options = [conditions()]
        while words[:1] == ["or"]:
            words.pop(0)
            options.append(conditions())
        return lambda item: any(option(item) for option in options)

    def conditions() -> Callable[[Item], bool]:
        needed = [condition()]
        while words[:1] == ["and"]:
            words.pop(0)
            needed.append(condition())
        return lambda item: all(each(item) for each in needed)

    def condition() -> Callable[[Item], bool]:
        word = words.pop(0)
        if word == "not":
            refused = condition()
            return lambda item: not refused(item)
        if word == "(":
            inner = alternatives()
            words.pop(0)
            return inner
        sign, right = words.pop(0), _unquoted(words.pop(0))
        if sign == "in":
            parent = {"root": "root-id"}.get(_unquoted(word), _unquoted(word))
            return lambda item: item.parent == parent
        fields: dict[str, Callable[[Item], str]] = {
            "name": lambda item: item.name,
            "mimeType": lambda item: item.mime,
            "trashed": lambda item: str(item.trashed).lower(),
        }
        value = fields[word]
        return lambda item: (value(item) == right) is (sign == "=")

    return alternatives() if words else lambda _: True


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith("'") else word


def said(status: int, **fields: object) -> Answer:
    """Answer in JSON."""
    return Answer(status=status, body=json.dumps(fields).encode(), headers={"Content-Type": "application/json"})


@contextmanager
def proxied(cloud: Cloud, folder: Path, *, expired: bool = False) -> Iterator[Mapping[str, str]]:
    """Run the proxy before `cloud` and give the environment that leads rclone, and only rclone, there."""
    authority = trustme.CA()
    certificate = authority.issue_cert("*.dropboxapi.com", "*.googleapis.com")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(tls)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    (folder / "cloud.conf").write_text(cloud.config(expired=expired))
    (folder / "cloud.conf").chmod(0o600)

    class Handler(_Handler):
        answered_by = cloud
        secured_by = tls

    with _Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield {
                "RCLONE_HTTP_PROXY": f"http://127.0.0.1:{server.server_port}",
                "RCLONE_CA_CERT": str(folder / "ca.pem"),
                "RCLONE_CONFIG": str(folder / "cloud.conf"),
            }
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    block_on_close = False
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no error of the test."""


@contextmanager
def fake(cloud: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Lead rclone to a fake provider; what it is to try again it tries once more only."""
    cloud.put({b"xrays/one.dcm": b"1" * 10_000, b"xrays/deep/two.dcm": b"2" * 20_000})
    with proxied(cloud, folder) as environment:
        for name, value in {**environment, "RCLONE_LOW_LEVEL_RETRIES": "2"}.items():
            monkeypatch.setenv(name, value)
        yield cloud


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A body would wait 40 ms for its head to be acknowledged.
    disable_nagle_algorithm = True
    answered_by: Cloud
    secured_by: ssl.SSLContext
    _host = ""

    def do_CONNECT(self) -> None:
        """Become the provider that was asked for."""
        self._host = self.path.partition(":")[0]
        self.send_response(200)
        self.end_headers()
        if self._host not in self.answered_by.hosts:
            self.close_connection = True
            return
        try:
            self.connection = self.secured_by.wrap_socket(self.connection, server_side=True)
        except OSError as error:
            # Of a client that is gone by now, Python leaves the socket open that it has taken over.
            for frame, _ in walk_tb(error.__traceback__):
                if isinstance(left := frame.f_locals.get("self"), ssl.SSLSocket):
                    left.close()
            raise
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)
        self.close_connection = False

    def do_GET(self) -> None:
        """Hand the request to the cloud and send what it answers."""
        url = urlsplit(self.path)
        request = Request(
            method=self.command,
            host=self._host,
            path=unquote(url.path),
            query={name: values[0] for name, values in parse_qs(url.query).items()},
            headers=self.headers,
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        answer = self.answered_by.answer(request)
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        sent = len(answer.body) if answer.sent is None else answer.sent
        self.wfile.write(answer.body[:sent])
        if sent < len(answer.body):
            self.close_connection = True
            self.connection.close()

    def finish(self) -> None:
        """Close what the server below does not know of."""
        try:
            super().finish()
        finally:
            self.connection.close()

    do_POST = do_GET  # noqa: N815
    do_PATCH = do_GET  # noqa: N815
    do_DELETE = do_GET  # noqa: N815
    do_PUT = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
