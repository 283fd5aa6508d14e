"""Who may open what lies in Google Drive or Dropbox without being let in by name."""

import json
import os
import re
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any
from unicodedata import normalize
from urllib.request import getproxies, proxy_bypass

from urllib3 import PoolManager, ProxyManager, Retry, Timeout
from urllib3.exceptions import HTTPError

from exactcopy.model import Answer, Seen
from exactcopy.stores.rclone.listing import Entry
from exactcopy.stores.rclone.remotes import Remote

_PUBLIC = ("anyone", "domain")
_DROPBOX = "api.dropboxapi.com"
# With these the account, or the paths that Dropbox speaks of, are others than those of the remote.
_ELSEWHERE = ("impersonate", "root_namespace", "shared_files", "shared_folders")
_MOST_PAGES = 10_000
_NO_ANSWER = (HTTPError, OSError, ValueError, LookupError, TypeError, AttributeError)
# What rclone writes in another way for Dropbox, so that a path of the one is none of the other.
_REWRITTEN = re.compile(r"[\\\x7f]| (/|$)")


class Permissions:
    """Who may open the files and folders of a Drive, counted while they are listed.

    `refused`: the provider shows the permissions of none. `partial`: not everything was listed.
    """

    def __init__(self) -> None:
        """Count nothing yet."""
        self._open: Counter[str] = Counter()
        self._hidden = 0
        self.refused = self.partial = False
        self._owners: set[str] = set()

    def count(self, entry: Entry) -> None:
        """Count one entry of a listing with metadata."""
        metadata = entry.get("Metadata") or {}
        audience = _widest(metadata.get("permissions", ""))
        if audience is None:
            self._hidden += 1
        else:
            self._open[audience] += 1
        self._owners.add(metadata.get("owner", ""))

    @property
    def account(self) -> str | None:
        """The one account that owns everything."""
        [owner, *others] = self._owners or {""}
        return None if others else owner or None

    def seen(self) -> Seen | None:
        """Return what was seen. One file whose permissions do not show is enough not to pass."""
        if count := sum(self._open[audience] for audience in _PUBLIC):
            whom = "anyone" if self._open["anyone"] else "the whole domain"
            return Seen(answer=Answer.FAIL, detail=f"open to {whom}", count=count)
        if self._hidden or self.refused:
            hidden = None if self.refused else self._hidden
            return Seen(answer=Answer.NOT_PERMITTED, detail="the login may not see who has access", count=hidden)
        if self.partial:
            return Seen(answer=Answer.NOT_ASSESSED, detail="not everything could be listed")
        if self._open:
            return Seen(answer=Answer.PASS, detail="open only to those who are named")
        return None


def shared_links(remote: Remote) -> Seen | None:
    """Return whether public links lead to what lies in a folder of Dropbox, as far as the account made them."""
    try:
        with _https() as http:
            return _judged(list(_links(http, _token(remote))), remote.folder)
    except PermissionError:
        return Seen(answer=Answer.NOT_PERMITTED, detail="the login may not list shared links")
    except _NO_ANSWER:
        return Seen(answer=Answer.NOT_ASSESSED, detail="shared links could not be listed")


def account(remote: Remote) -> str | None:
    """Return the name that Dropbox has for the account, where it tells."""
    with suppress(*_NO_ANSWER), _https() as http:
        return str(_ask(http, _token(remote), "users/get_current_account", None)["account_id"])
    return None


@lru_cache
def _widest(permissions: str) -> str | None:
    """Return the widest of those whom permissions let in; None where they do not say."""
    try:
        kinds = [str(each["type"]) for each in json.loads(permissions)]
    except (ValueError, LookupError, TypeError):
        return None
    return next((kind for kind in _PUBLIC if kind in kinds), "named") if kinds else None


def _judged(links: list[Any], folder: str | None) -> Seen:
    known = folder is not None and not folder.startswith("/") and not _REWRITTEN.search(folder)
    root = _folded(f"/{folder}".rstrip("/")) if known else None
    public = [_leads(link.get("path_lower"), root) for link in links if _is_public(link)]
    if inside := public.count(True):
        return Seen(answer=Answer.FAIL, detail="public links", count=inside)
    if unclear := public.count(None):
        return Seen(answer=Answer.NOT_ASSESSED, detail="public links that may lead there", count=unclear)
    return Seen(answer=Answer.PASS, detail="this account made no public link to it")


def _is_public(link: Any) -> bool:
    permissions = link["link_permissions"]
    return bool((permissions.get("resolved_visibility") or permissions["effective_audience"])[".tag"] == "public")


def _leads(path: str | None, root: str | None) -> bool | None:
    """Say whether a link to `path` shows the folder `root`, something in it or something above it."""
    if path is None or root is None:
        return None
    linked = _folded(path)
    return f"{root}/".startswith(f"{linked}/") or linked.startswith(f"{root}/")


def _folded(path: str) -> str:
    return normalize("NFC", path).casefold()


def _token(remote: Remote) -> str:
    if any(remote.setting(name) not in {"", "false"} for name in _ELSEWHERE):
        raise ValueError
    return str(json.loads(remote.setting("token"))["access_token"])


def _links(http: PoolManager, token: str) -> Iterator[Any]:
    question: dict[str, str] = {}
    for _ in range(_MOST_PAGES):
        answer = _ask(http, token, "sharing/list_shared_links", question)
        yield from answer["links"]
        if not answer["has_more"]:
            return
        question = {"cursor": answer["cursor"]}
    raise ValueError


def _ask(http: PoolManager, token: str, call: str, question: object) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    answer = http.request("POST", f"https://{_DROPBOX}/2/{call}", body=json.dumps(question), headers=headers)
    if answer.status in (401, 403):
        raise PermissionError
    if answer.status != 200:
        raise ValueError
    said: dict[str, Any] = json.loads(answer.data)
    return said


def _https() -> PoolManager:
    """Return connections by the way that rclone takes: its proxy and its authorities, where they are set."""
    first, *others = os.environ.get("RCLONE_CA_CERT", "").split(",")
    trusted = ssl.create_default_context(cafile=first or None)
    for path in others:
        trusted.load_verify_locations(path)
    settings: dict[str, Any] = {
        "ssl_context": trusted,
        "timeout": Timeout(connect=10, read=60),
        # A question that is asked again changes nothing.
        "retries": Retry(
            total=3, redirect=0, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503), allowed_methods=None
        ),
    }
    proxy = os.environ.get("RCLONE_HTTP_PROXY")
    if not proxy and not proxy_bypass(_DROPBOX):
        proxy = getproxies().get("https")
    return ProxyManager(proxy, **settings) if proxy else PoolManager(**settings)
