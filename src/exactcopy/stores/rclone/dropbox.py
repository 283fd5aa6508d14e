"""What Dropbox tells of itself, and of what was deleted there, that rclone does not ask for."""

import json
import os
import re
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.request import getproxies, proxy_bypass

from urllib3 import PoolManager, ProxyManager, Retry, Timeout
from urllib3.exceptions import HTTPError

from exactcopy.digest import DROPBOX
from exactcopy.model import UNSIZED, Copy, Problem
from exactcopy.stores.ahead import AHEAD, ahead
from exactcopy.stores.rclone.remotes import Remote

_HOST = "api.dropboxapi.com"
# With these the account, or the paths that Dropbox speaks of, are others than those of the remote.
_ELSEWHERE = ("impersonate", "root_namespace", "shared_files", "shared_folders")
# What rclone writes in another way for Dropbox, so that a path of the one is none of the other.
_REWRITTEN = re.compile(r"[\\\x7f]| (/|$)")
_MOST_PAGES = 10_000
NO_ANSWER = (HTTPError, OSError, ValueError, LookupError, TypeError, AttributeError)
# What a deleted file last was takes a request: of those that are missed, of some besides, and of no more than these.
_MOST_ASKED = 10_000
_BESIDES = 1_000
# So many in a row without an answer, each asked for several times, are a server that has none.
_MOST_SILENT = 8
# What a table cannot hold, and what is none of Dropbox's own: nothing may be made of it.
_BEYOND = 2**63
_REVISION = re.compile(r"[0-9a-zA-Z]{1,100}")

Answered = Mapping[str, Any]


def https() -> PoolManager:
    """Return connections by the way that rclone takes: its proxy and its authorities, where they are set."""
    first, *others = os.environ.get("RCLONE_CA_CERT", "").split(",")
    trusted = ssl.create_default_context(cafile=first or None)
    for path in others:
        trusted.load_verify_locations(path)
    settings: dict[str, Any] = {
        "ssl_context": trusted,
        "timeout": Timeout(connect=10, read=60),
        "maxsize": AHEAD,
        # A question that is asked again changes nothing.
        "retries": Retry(
            total=3, redirect=0, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503), allowed_methods=None
        ),
    }
    proxy = os.environ.get("RCLONE_HTTP_PROXY")
    if not proxy and not proxy_bypass(_HOST):
        proxy = getproxies().get("https")
    return ProxyManager(proxy, **settings) if proxy else PoolManager(**settings)


def ask(http: PoolManager, token: str, call: str, question: object) -> Answered:
    """Ask one thing of the API; raises PermissionError where that is refused, ValueError where it is not answered."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    answer = http.request("POST", f"https://{_HOST}/2/{call}", body=json.dumps(question), headers=headers)
    if answer.status in (401, 403):
        raise PermissionError
    if answer.status != 200:
        raise ValueError
    said: Answered = json.loads(answer.data)
    return said


def pages(http: PoolManager, token: str, call: str, more: str, question: object) -> Iterator[Answered]:
    """Yield all pages of an answer, the ones after the first by the call `more`; raises rather than stop short."""
    for _ in range(_MOST_PAGES):
        answer = ask(http, token, call, question)
        yield answer
        if not answer["has_more"]:
            return
        call, question = more, {"cursor": answer["cursor"]}
    raise ValueError


def token_of(remote: Remote) -> str:
    """Return what rclone signs in with; raises ValueError where its paths are not those that Dropbox speaks of."""
    if any(remote.setting(name) not in {"", "false"} for name in _ELSEWHERE):
        raise ValueError
    return str(json.loads(remote.setting("token"))["access_token"])


def root_of(remote: Remote) -> str | None:
    """Return the path of the remote as Dropbox has it, "" for all of it; None where that is not known."""
    folder = remote.folder
    if folder is None or folder.startswith("/") or _REWRITTEN.search(folder):
        return None
    return f"/{folder}".rstrip("/")


def deleted(
    remote: Remote, missed: Collection[bytes], stay_inside: Callable[[], None], at_once: int | None = None
) -> Iterator[Copy]:
    """Yield what was deleted below the remote and is kept: with what it last was for `missed` keys and some besides.

    Nothing more is asked where Dropbox does not answer, or once `stay_inside` raises: most answers yield nothing.
    """
    root = root_of(remote)
    if root is None:
        return
    with suppress(*NO_ANSWER), https() as http, ThreadPoolExecutor(AHEAD) as threads:
        token = token_of(remote)
        gone: set[bytes] = set()
        with suppress(*NO_ANSWER):
            gone = _deleted_below(http, token, root, stay_inside)
        first = list(dict.fromkeys(missed))[:_MOST_ASKED]
        asked = set(map(_folded, first))
        others = sorted(key for key in gone if _folded(key) not in asked)
        others = others[: min(len(first) + _BESIDES, _MOST_ASKED) - len(first)]
        told = set()
        silent = 0
        for last in ahead(lambda key: threads.submit(_last, http, token, root, key), first + others, at_once=at_once):
            stay_inside()
            silent = silent + 1 if last is Problem.OUT_OF_REACH else 0
            if silent == _MOST_SILENT:
                break
            if isinstance(last, Copy):
                told.add(_folded(last.key))
                yield last
        for key in sorted(key for key in gone if _folded(key) not in told):
            yield Copy(key=key, size=UNSIZED, modified=None, problem=Problem.DELETED)


def _folded(key: bytes) -> str:
    """Return what is the same for all keys that Dropbox takes for one: it keeps no two names that differ in case."""
    return key.decode(errors="surrogateescape").casefold()


def _deleted_below(http: PoolManager, token: str, root: str, stay_inside: Callable[[], None]) -> set[bytes]:
    """Return the keys of the files that were deleted below a folder: of all that was, what has nothing below it."""
    question = {"path": root, "recursive": True, "include_deleted": True}
    names: set[str] = set()
    for page in pages(http, token, "files/list_folder", "files/list_folder/continue", question):
        stay_inside()
        gone = (entry["path_display"] for entry in page["entries"] if entry[".tag"] == "deleted")
        names.update(path.split("/", root.count("/") + 1)[-1] for path in gone)
    folders: set[str] = set()
    for name in names:
        above = name.rpartition("/")[0]
        while above and above not in folders:
            folders.add(above)
            above = above.rpartition("/")[0]
    return {name.encode() for name in names - folders}


def _last(http: PoolManager, token: str, root: str, key: bytes) -> Copy | Problem | None:
    """Return what a deleted file last was; None where that is not kept, where it is no file, or not deleted.

    OUT_OF_REACH where Dropbox did not answer, or refused to.
    """
    try:
        question = {"path": f"{root}/{key.decode()}", "mode": "path", "limit": 1}
        answer = ask(http, token, "files/list_revisions", question)
        if answer["is_deleted"] is True:
            last = answer["entries"][0]
            size = int(last["size"])
            modified = int(datetime.fromisoformat(last["server_modified"]).timestamp()) * 10**9
            if not 0 <= size < _BEYOND or abs(modified) >= _BEYOND or not _REVISION.fullmatch(last["rev"]):
                raise ValueError
            return Copy(
                key=key,
                size=size,
                modified=modified,
                version=f"rev {last['rev']}",
                digests={DROPBOX: bytes.fromhex(last["content_hash"])},
                problem=Problem.DELETED,
            )
    except (HTTPError, OSError):
        return Problem.OUT_OF_REACH
    except NO_ANSWER:
        pass
    return None
