"""Buckets that keep versions: what is current, what was deleted and is kept. A test on a mock or a script says so."""

from collections import Counter
from collections.abc import Callable, Mapping
from email.message import Message
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from exactcopy.model import Algorithm, Checksum, Copy, Gap, Problem, Safeguard
from exactcopy.model import Answer as Found
from exactcopy.stores import Store, open_store
from exactcopy.stores.s3 import S3Store
from tests.servers import ADMIN, Answer, Keys, S3Server, scripted
from tests.stores.buckets import ITEM, item, md5, page, put, refusal, target_of
from tests.stores.contract import content, listed

pytestmark = pytest.mark.usefixtures("_alone")

Login = Callable[[Keys], None]


def versioned(server: S3Server, bucket: str) -> Any:
    """Make a bucket that keeps versions; give a client that may write."""
    put(server, bucket, {})
    admin = server.admin()
    admin.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return admin


def requests_of(store: Store) -> list[str]:
    """Give the list that the names of further requests are written into."""
    assert isinstance(store, S3Store)
    names: list[str] = []
    store._bucket.client.meta.events.register("before-call", lambda model, **_: names.append(model.name))
    return names


def three_at_a_time(params: dict[str, Any], **_: object) -> dict[str, Any]:
    """Ask for pages of three versions."""
    return {**params, "MaxKeys": 3}


@pytest.mark.parametrize("small_pages", [False, True])
@pytest.mark.parametrize("name", ["weed", "mock"])
def test_what_was_deleted_and_is_kept_is_told_from_what_is_there(
    name: str, small_pages: bool, request: pytest.FixtureRequest, login: Login
) -> None:
    """On a mock too: its version ids are of another kind."""
    server: S3Server = request.getfixturevalue(name)
    login(server.auditor)
    bucket = f"kept-{small_pages}".lower()
    admin = versioned(server, bucket)
    for number in range(4):
        for data in (b"first", b"second", b"third!"):
            admin.put_object(Bucket=bucket, Key=f"live/{number} ü+%", Body=data)
    ids = [admin.put_object(Bucket=bucket, Key="gone/one", Body=data)["VersionId"] for data in (b"1", b"22", b"333")]
    admin.delete_object(Bucket=bucket, Key="gone/one")
    admin.delete_object(Bucket=bucket, Key="gone/one")
    # A marker over nothing, one that was followed by a new upload, and an old version that is the newest kept.
    admin.delete_object(Bucket=bucket, Key="gone/never")
    for data in (b"before", b"after it"):
        admin.put_object(Bucket=bucket, Key="back", Body=data)
        if data == b"before":
            admin.delete_object(Bucket=bucket, Key="back")
    kept = admin.put_object(Bucket=bucket, Key="live/gone", Body=b"kept")["VersionId"]
    purged = admin.put_object(Bucket=bucket, Key="live/gone", Body=b"purged")["VersionId"]
    admin.delete_object(Bucket=bucket, Key="live/gone")
    admin.delete_object(Bucket=bucket, Key="live/gone", VersionId=purged)
    admin.close()
    with open_store(target_of(server.endpoint, bucket)) as store:
        assert isinstance(store, S3Store)
        if small_pages:
            store._bucket.client.meta.events.register("provide-client-params.s3.ListObjectVersions", three_at_a_time)
        copies = {copy.key: copy for copy in listed(store)}
        assert len(copies) == len(listed(store))
        there = {key: copy for key, copy in copies.items() if copy.problem is None}
        read = {copy.key: content(stream) for copy, stream in store.read(there.values())}
    live = {f"live/{number} ü+%".encode(): b"third!" for number in range(4)}
    assert read == {**live, b"back": b"after it"}
    assert {copy.version for copy in there.values()} == {md5(b"third!").hexdigest(), md5(b"after it").hexdigest()}
    gone = {key: copy for key, copy in copies.items() if copy.problem is Problem.DELETED}
    assert there.keys() | gone.keys() == copies.keys()
    assert {key: (copy.version, copy.size) for key, copy in gone.items()} == {
        b"gone/one": (ids[-1], 3),
        b"live/gone": (kept, 4),
    }
    assert gone[b"gone/one"].digests == {Checksum(Algorithm.MD5): md5(b"333").digest()}


def test_a_folder_of_which_all_is_deleted_is_listed_too(weed: S3Server, login: Login) -> None:
    login(weed.auditor)
    admin = versioned(weed, "emptied")
    for key in ("study/1", "study/2"):
        admin.put_object(Bucket="emptied", Key=key, Body=b"image")
        admin.delete_object(Bucket="emptied", Key=key)
    admin.close()
    with open_store(target_of(weed.endpoint, "emptied")) as store:
        assert list(store.partitions()) == ["below:study/"]
        assert {copy.key: copy.problem for copy in listed(store)} == {
            b"study/1": Problem.DELETED,
            b"study/2": Problem.DELETED,
        }


def test_where_versioning_is_suspended_the_old_versions_are_seen(weed: S3Server, login: Login) -> None:
    login(weed.auditor)
    admin = versioned(weed, "suspended")
    admin.put_object(Bucket="suspended", Key="image", Body=b"image")
    admin.put_object(Bucket="suspended", Key="other", Body=b"other")
    admin.delete_object(Bucket="suspended", Key="image")
    admin.put_bucket_versioning(Bucket="suspended", VersioningConfiguration={"Status": "Suspended"})
    admin.close()
    with open_store(target_of(weed.endpoint, "suspended")) as store:
        assert {copy.key: copy.problem for copy in listed(store)} == {b"image": Problem.DELETED, b"other": None}
        seen = store.safeguards().seen[Safeguard.VERSIONING]
    assert (seen.answer, seen.detail) == (Found.FAIL, "suspended")


def test_one_call_lists_a_page_of_versions(weed: S3Server, login: Login) -> None:
    login(weed.auditor)
    admin = versioned(weed, "calls")
    for number in range(5):
        admin.put_object(Bucket="calls", Key=f"image{number}", Body=b"image")
    admin.close()
    with open_store(target_of(weed.endpoint, "calls")) as store:
        names = requests_of(store)
        assert len(listed(store)) == 5
    # Are versions kept, does it list them, in which parts, and the one page.
    assert Counter(names) == {"GetBucketVersioning": 1, "ListObjectVersions": 3}


def test_an_unversioned_bucket_is_listed_as_ever(weed: S3Server, login: Login) -> None:
    login(weed.auditor)
    put(weed, "unversioned", {b"image": b"1"})
    with open_store(target_of(weed.endpoint, "unversioned")) as store:
        names = requests_of(store)
        assert len(listed(store)) == 1
    assert Counter(names) == {"GetBucketVersioning": 1, "ListObjectsV2": 2}


# What a script has to do.


VERSION = ITEM.replace("Contents", "Version").replace("</Key>", "</Key><VersionId>{id}</VersionId>{latest}")
MARKER = "<DeleteMarker><Key>{key}</Key><VersionId>m</VersionId><IsLatest>true</IsLatest></DeleteMarker>"
VERSIONING = Answer(body=b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")


def version(key: str, data: bytes, name: str = "v", latest: str | None = "true") -> str:
    """Give a version of a key."""
    told = "" if latest is None else f"<IsLatest>{latest}</IsLatest>"
    return VERSION.format(key=key, size=len(data), etag=md5(data).hexdigest(), id=name, latest=told)


def versions_page(*items: str, following: tuple[str, str] | None = None) -> Answer:
    """Give a page of versions."""
    more = "<IsTruncated>true</IsTruncated>" if following else "<IsTruncated>false</IsTruncated>"
    if following:
        more += f"<NextKeyMarker>{following[0]}</NextKeyMarker>"
        more += f"<NextVersionIdMarker>{following[1]}</NextVersionIdMarker>"
    return Answer(body=f"<ListVersionsResult>{more}{''.join(items)}</ListVersionsResult>".encode())


def scripted_versions(answers: Mapping[str, Answer]) -> tuple[list[Copy | Gap], Any]:
    """List a scripted bucket: `versioning`, `current`, and pages of versions by key marker, the first by `first`."""

    def answer(path: str, _: Message) -> Answer:
        query = parse_qs(urlsplit(path).query, keep_blank_values=True)
        if "versions" in query:
            if "probe" in answers and query.get("max-keys") == ["1"]:
                return answers["probe"]
            return answers[query.get("key-marker", ["first"])[0]]
        if "versioning" in query:
            return answers["versioning"]
        return answers["current"] if "list-type" in query else refusal(501, "NotImplemented")

    with scripted(answer) as endpoint, open_store(target_of(endpoint, "b-u")) as store:
        found = list(store.listing("below:"))
        return found, store.safeguards().seen[Safeguard.VERSIONING]


@pytest.fixture
def _admin(login: Login) -> None:
    login(ADMIN)


scripts = pytest.mark.usefixtures("_admin", "_impatient")


@scripts
def test_versions_of_a_deleted_key_that_follow_on_the_next_page_are_found() -> None:
    found, seen = scripted_versions(
        {
            "versioning": VERSIONING,
            "current": page(),
            "first": versions_page(
                MARKER.format(key="a"), MARKER.format(key="b"), version("0", b"0"), following=("b", "m")
            ),
            "b": versions_page(version("b", b"22", "new", "false"), version("b", b"1", "old", "false")),
        }
    )
    assert [(copy.key, copy.version, copy.problem) for copy in found if isinstance(copy, Copy)] == [
        (b"0", md5(b"0").hexdigest(), None),
        (b"b", "new", Problem.DELETED),
    ]
    assert seen.detail == "on"


@scripts
@pytest.mark.parametrize(
    "second",
    [
        refusal(403, "AccessDenied"),
        Answer(),
        Answer(body=b"<ListBucketResult><IsTruncated>false</IsTruncated>" + item("b", b"2").encode() * 2),
        # Which of the versions is the latest is not said.
        versions_page(version("b", b"2", latest=None)),
        versions_page(following=("b", "m")),
        versions_page("<DeleteMarker><Key>b</Key></DeleteMarker>"),
    ],
)
def test_a_listing_of_versions_that_breaks_off_is_a_gap(second: Answer) -> None:
    found, _ = scripted_versions(
        {
            "versioning": VERSIONING,
            "current": page(),
            "first": versions_page(version("a", b"1"), following=("b", "m")),
            "b": second,
        }
    )
    assert [copy.key for copy in found if isinstance(copy, Copy)][:1] == [b"a"]
    assert [gap.scope for gap in found if isinstance(gap, Gap)] == [b""]


@scripts
@pytest.mark.parametrize(
    "probe", [refusal(403, "AccessDenied"), refusal(501, "NotImplemented"), page(item("image", b"1")), Answer()]
)
def test_where_versions_cannot_be_listed_that_is_said_and_what_is_there_is_listed(probe: Answer) -> None:
    found, seen = scripted_versions({"versioning": VERSIONING, "probe": probe, "current": page(item("image", b"1"))})
    assert [copy.key for copy in found if isinstance(copy, Copy)] == [b"image"]
    assert (seen.answer, seen.detail) == (Found.PASS, "on, versions could not be listed")


@scripts
@pytest.mark.parametrize(
    ("versioning", "answer", "detail"),
    [
        (refusal(403, "AccessDenied"), Found.NOT_PERMITTED, ""),
        (refusal(501, "NotImplemented"), Found.NOT_SUPPORTED, ""),
        (refusal(500, "InternalError"), Found.NOT_ASSESSED, ""),
        (Answer(), Found.NOT_SUPPORTED, ""),
        (page(item("image", b"1")), Found.NOT_SUPPORTED, ""),
        (Answer(body=VERSIONING.body.replace(b"Enabled", b"Perhaps")), Found.NOT_SUPPORTED, ""),
        (Answer(body=b"<VersioningConfiguration></VersioningConfiguration>"), Found.FAIL, "off"),
        (
            Answer(body=VERSIONING.body.replace(b"</Status>", b"</Status><MfaDelete>Enabled</MfaDelete>")),
            Found.PASS,
            "on, MFA delete",
        ),
    ],
)
def test_what_is_said_of_versioning(versioning: Answer, answer: Found, detail: str) -> None:
    found, seen = scripted_versions(
        {
            "versioning": versioning,
            "current": page(item("image", b"1")),
            "first": versions_page(version("image", b"1")),
        }
    )
    assert [copy.key for copy in found if isinstance(copy, Copy)] == [b"image"]
    assert (seen.answer, seen.detail) == (answer, detail)
