"""Who may open what lies in Google Drive or Dropbox without being let in by name."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any
from unicodedata import normalize

from urllib3 import PoolManager

from exactcopy.model import Answer, Seen
from exactcopy.stores.rclone.dropbox import NO_ANSWER, ask, https, pages, root_of, token_of
from exactcopy.stores.rclone.listing import Entry
from exactcopy.stores.rclone.remotes import Remote

_PUBLIC = ("anyone", "domain")


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
        with https() as http:
            return _judged(list(_links(http, token_of(remote))), root_of(remote))
    except PermissionError:
        return Seen(answer=Answer.NOT_PERMITTED, detail="the login may not list shared links")
    except NO_ANSWER:
        return Seen(answer=Answer.NOT_ASSESSED, detail="shared links could not be listed")


def account(remote: Remote) -> str | None:
    """Return the name that Dropbox has for the account, where it tells."""
    with suppress(*NO_ANSWER), https() as http:
        return str(ask(http, token_of(remote), "users/get_current_account", None)["account_id"])
    return None


@lru_cache
def _widest(permissions: str) -> str | None:
    """Return the widest of those whom permissions let in; None where they do not say."""
    try:
        kinds = [str(each["type"]) for each in json.loads(permissions)]
    except (ValueError, LookupError, TypeError):
        return None
    return next((kind for kind in _PUBLIC if kind in kinds), "named") if kinds else None


def _judged(links: list[Any], root: str | None) -> Seen:
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
    linked, folder = _folded(path), _folded(root)
    return f"{folder}/".startswith(f"{linked}/") or linked.startswith(f"{folder}/")


def _folded(path: str) -> str:
    return normalize("NFC", path).casefold()


def _links(http: PoolManager, token: str) -> Iterator[Any]:
    call = "sharing/list_shared_links"
    for page in pages(http, token, call, call, {}):
        yield from page["links"]
