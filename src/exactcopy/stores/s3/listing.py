"""What lies in a bucket, page by page."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from exactcopy.model import Copy, Problem
from exactcopy.stores.s3.checksums import COLD, THAWED, nanoseconds, plain_md5
from exactcopy.stores.s3.client import Bucket
from exactcopy.stores.s3.faults import Nonsense

Page = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to list: the call, what each item of a page has to say, and where the next page begins."""

    call: str
    items: Mapping[str, frozenset[str]]
    tokens: Mapping[str, str]


CURRENT = Way(
    call="list_objects_v2",
    items={"Contents": frozenset({"Key", "Size", "LastModified"})},
    tokens={"ContinuationToken": "NextContinuationToken"},
)
VERSIONS = Way(
    call="list_object_versions",
    items={
        "Versions": frozenset({"Key", "Size", "LastModified", "IsLatest", "VersionId"}),
        "DeleteMarkers": frozenset({"Key", "IsLatest"}),
    },
    tokens={"KeyMarker": "NextKeyMarker", "VersionIdMarker": "NextVersionIdMarker"},
)


@dataclass(slots=True)
class Sample:
    """Some of the objects that a listing went through, to be looked at: the first by name, the largest and the last.

    Parts that are listed side by side pass by in any order; which ones these are does not depend on it.
    """

    _first: Copy | None = None
    _largest: Copy | None = None
    _last: Copy | None = None
    _lock: Lock = field(default_factory=Lock)

    def pass_by(self, copy: Copy) -> None:
        """Take note of `copy`, unless it is deleted."""
        if copy.problem is Problem.DELETED:
            return
        with self._lock:
            if self._first is None or copy.key < self._first.key:
                self._first = copy
            if self._last is None or copy.key > self._last.key:
                self._last = copy
            if self._largest is None or (-copy.size, copy.key) < (-self._largest.size, self._largest.key):
                self._largest = copy

    def copies(self) -> tuple[Copy, ...]:
        """Return them, the largest first, each once."""
        return tuple({copy.key: copy for copy in (self._largest, self._first, self._last) if copy}.values())


def page_of(bucket: Bucket, way: Way, **request: Any) -> Page:
    """Return one page of a listing."""
    page: Page = getattr(bucket.client, way.call)(Bucket=bucket.name, **request)
    # Some servers answer what they do not understand with success and something else.
    if "IsTruncated" not in page:
        raise Nonsense
    for name, members in way.items.items():
        for item in page.get(name, ()):
            if not members <= item.keys() or not item["Key"].startswith(request["Prefix"]):
                raise Nonsense
    return page


def objects(bucket: Bucket, way: Way, **request: Any) -> Iterator[Copy]:
    """Yield every object, and those that were deleted where versions of them are kept; raise rather than stop short."""
    pages = _pages(bucket, way, **request)
    items = _kept(pages) if way is VERSIONS else (_listed(item) for page in pages for item in page.get("Contents", ()))
    # Consoles mark a folder by an object without bytes.
    return (copy for copy in items if copy.size or not copy.key.endswith(b"/"))


def encoded(key: str) -> bytes:
    """Return a key as bytes."""
    return key.encode("utf-8", "surrogateescape")


def _pages(bucket: Bucket, way: Way, **request: Any) -> Iterator[Page]:
    """Yield all pages of a listing, or raise rather than stop short or go in circles."""
    seen: set[tuple[str, ...]] = set()
    following: dict[str, str] = {}
    while True:
        page = page_of(bucket, way, **request, **following)
        yield page
        following = {name: page[source] for name, source in way.tokens.items() if page.get(source)}
        token = tuple(following.values())
        if not page["IsTruncated"] and not token:
            return
        if not token or token in seen:
            raise Nonsense
        seen.add(token)


def _kept(pages: Iterable[Page]) -> Iterator[Copy]:
    """Yield the latest version of each key; of one that was deleted the newest that is kept, by its own id."""
    deleted: set[str] = set()
    for page in pages:
        markers = page.get("DeleteMarkers", ())
        deleted.update(marker["Key"] for marker in markers if marker["IsLatest"])
        versions = page.get("Versions", ())
        for item in versions:
            if item["IsLatest"]:
                yield _listed(item)
            elif item["Key"] in deleted:
                deleted.remove(item["Key"])
                yield replace(_listed(item), version=item["VersionId"], problem=Problem.DELETED)
        # Versions of one key lie together, the newest first: only those of the last may follow on the next page.
        deleted &= {items[-1]["Key"] for items in (markers, versions) if items}


def _listed(item: Mapping[str, Any]) -> Copy:
    etag = item.get("ETag", "").strip('"')
    return Copy(
        key=encoded(item["Key"]),
        size=item["Size"],
        modified=nanoseconds(item["LastModified"]),
        version=etag or None,
        digests=plain_md5(etag),
        problem=Problem.ARCHIVED if item.get("StorageClass") in COLD and not _thawed(item) else None,
    )


def _thawed(item: Mapping[str, Any]) -> bool:
    """Say whether what lies in cold storage can be read for some days, as far as the server tells."""
    status = item.get(THAWED, {})
    return status.get("IsRestoreInProgress") is False and "RestoreExpiryDate" in status
