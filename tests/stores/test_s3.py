"""S3: the contract on real servers, and what only buckets do. A test on a mock, or on a script, says so."""

import hashlib
import os
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from email.message import Message
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trustme

from exactcopy.errors import StoreUnavailable
from exactcopy.model import Algorithm, Checksum, Copy, Gap, Problem, Target
from exactcopy.stores import open_store
from exactcopy.stores.s3 import S3Store
from exactcopy.stores.s3.client import READING
from tests.s3_proxy import passing
from tests.servers import ADMIN, AUDITOR, Answer, Keys, S3Server, scripted
from tests.stores.buckets import (
    PAGE,
    TIME,
    asked,
    described,
    fault,
    item,
    md5,
    only,
    page,
    problems,
    put,
    put_in_parts,
    refusal,
    target_of,
)
from tests.stores.contract import OBJECTS, StoreContract, content, listed

pytestmark = pytest.mark.usefixtures("_alone")
both = pytest.mark.usefixtures("reads_by")

MIB = 1024 * 1024
MD5 = Checksum(Algorithm.MD5)
SHA256 = Checksum(Algorithm.SHA256)
ODD: Mapping[bytes, bytes] = {
    **OBJECTS,
    b"plus+and%25.dcm": b"3",
    b"line\nbreak.dcm": b"4",
    b"deep/.hidden": b"5",
    b"deep/..dots": b"6",
    b"~(1)&=;,$@!.dcm": b"7",
}


class _OnServer(StoreContract):
    objects: ClassVar[Mapping[bytes, bytes]] = ODD
    server: S3Server

    def make(self, objects: Mapping[bytes, bytes]) -> Target:
        put(self.server, "contract", objects)
        return target_of(self.server.endpoint, "contract")


@both
class TestSeaweed(_OnServer):
    """The contract, with an account that may only read and list."""

    @pytest.fixture(autouse=True)
    def _server(self, weed: S3Server, login: Callable[[Keys], None]) -> None:
        self.server = weed
        login(weed.auditor)


@both
class TestRcloneTheSloppyServer(_OnServer):
    """The contract where checksums come back with parts of an object, If-Match does nothing, and so on."""

    @pytest.fixture(autouse=True)
    def _server(self, rclone: S3Server, login: Callable[[Keys], None]) -> None:
        self.server = rclone
        login(rclone.auditor)


# Listing.


def test_all_pages_are_listed(rclone: S3Server, login: Callable[[Keys], None]) -> None:
    login(rclone.auditor)
    assert rclone.folder is not None
    put(rclone, "many", {})
    names = {f"{study:03}/{image:05}".encode() for study in range(5) for image in range(500)}
    for name in names:
        path = rclone.folder / "many" / name.decode()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name)
    with open_store(target_of(rclone.endpoint, "many")) as store:
        assert list(store.partitions()) == [f"below:{study:03}/" for study in range(5)]
        copies = listed(store)
        assert len(copies) == len(names)
        assert {copy.key for copy in copies} == names
        whole = [item for item in store.listing("below:") if isinstance(item, Copy)]
    assert sorted(whole, key=lambda copy: copy.key) == sorted(copies, key=lambda copy: copy.key)
    with open_store(target_of(rclone.endpoint, "many", prefix="003/")) as store:
        assert {copy.key for copy in listed(store)} == {name for name in names if name.startswith(b"003/")}


def test_a_flat_bucket_is_one_partition_and_no_page_is_asked_for_twice(
    rclone: S3Server, login: Callable[[Keys], None]
) -> None:
    login(rclone.auditor)
    assert rclone.folder is not None
    put(rclone, "flat", {})
    for image in range(2001):
        (rclone.folder / "flat" / f"{image:04}").write_bytes(b"1")
    requests: list[str] = []
    with open_store(target_of(rclone.endpoint, "flat")) as store:
        assert isinstance(store, S3Store)
        store._bucket.client.meta.events.register("before-call", lambda model, **_: requests.append(model.name))
        assert len({copy.key for copy in listed(store)}) == 2001
    # Whether versions are kept, three pages, and one to see whether there are parts.
    assert requests == ["GetBucketVersioning", *["ListObjectsV2"] * 4]


def test_many_names_at_the_top_are_one_partition(rclone: S3Server, login: Callable[[Keys], None]) -> None:
    login(rclone.auditor)
    assert rclone.folder is not None
    put(rclone, "studies", {})
    for study in range(150):
        path = rclone.folder / "studies" / str(study) / "image"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"1")
    (rclone.folder / "studies" / "beside").write_bytes(b"2")
    with open_store(target_of(rclone.endpoint, "studies")) as store:
        assert list(store.partitions()) == ["below:"]
        assert len(listed(store)) == 151


def test_small_pages_are_followed_to_the_end(weed: S3Server, login: Callable[[Keys], None]) -> None:
    login(weed.auditor)
    put(weed, "small", {f"{number % 3}/{number:03}".encode(): b"1" for number in range(60)})
    with open_store(target_of(weed.endpoint, "small")) as store:
        assert isinstance(store, S3Store)
        store._bucket.client.meta.events.register("provide-client-params.s3.ListObjectsV2", seven_at_a_time)
        assert len({copy.key for copy in listed(store)}) == len(listed(store)) == 60
        assert len([*store.listing("below:")]) == 60


def seven_at_a_time(params: dict[str, Any], **_: object) -> dict[str, Any]:
    """Ask for pages of seven keys."""
    return {**params, "MaxKeys": 7}


def test_a_folder_that_a_console_made_is_no_object(mock: S3Server, login: Callable[[Keys], None]) -> None:
    """On a mock: real servers here turn such a key into a folder."""
    login(ADMIN)
    put(mock, "folders", {b"study/": b"", b"study/image": b"1", b"odd/": b"2", b"empty": b""})
    with open_store(target_of(mock.endpoint, "folders")) as store:
        assert {copy.key for copy in listed(store)} == {b"study/image", b"odd/", b"empty"}


def test_a_listing_reports_times_and_versions(weed: S3Server, login: Callable[[Keys], None]) -> None:
    login(weed.auditor)
    put(weed, "various", {b"times/image": b"bytes"})
    admin = weed.admin()
    seen = admin.head_object(Bucket="various", Key="times/image")
    admin.close()
    with open_store(target_of(weed.endpoint, "various", prefix="times/")) as store:
        [copy] = listed(store)
        [(read, stream)] = [(found, content(stream)) for found, stream in store.read([copy])]
    assert copy.modified == int(seen["LastModified"].timestamp()) * 10**9
    assert copy.version == seen["ETag"].strip('"')
    assert (read, stream) == (copy, b"bytes")


# Checksums.


def test_an_upload_in_parts_is_known_by_the_md5_of_its_parts(weed: S3Server, login: Callable[[Keys], None]) -> None:
    login(weed.auditor)
    parts = [os.urandom(5 * MIB), os.urandom(5 * MIB), b"rest"]
    put_in_parts(weed, "various", "parts/image", parts)
    with open_store(target_of(weed.endpoint, "various", prefix="parts/")) as store:
        [copy] = listed(store)
        assert copy.digests == {}
        told = asked(store, [copy])[b"parts/image"]
    expected = md5(b"".join(md5(part).digest() for part in parts)).digest()
    assert told.digests == {Checksum(Algorithm.MD5, 5 * MIB): expected}
    assert (told.problem, told.size, told.version) == (None, 10 * MIB + 4, f"{expected.hex()}-3")


def test_an_upload_in_one_part_is_known_by_it(weed: S3Server, login: Callable[[Keys], None]) -> None:
    login(weed.auditor)
    put_in_parts(weed, "various", "part/image", [b"all of it"])
    with open_store(target_of(weed.endpoint, "various", prefix="part/")) as store:
        told = asked(store, listed(store))[b"part/image"]
    expected = md5(md5(b"all of it").digest()).digest()
    assert told.digests == {Checksum(Algorithm.MD5, 9): expected}


def test_checksums_of_parts_are_told_apart_from_those_of_the_whole(
    weed: S3Server, login: Callable[[Keys], None]
) -> None:
    login(weed.auditor)
    parts = [os.urandom(5 * MIB), b"rest"]
    put_in_parts(weed, "various", "sums/parts", parts, ChecksumAlgorithm="SHA256")
    put(weed, "various", {b"sums/whole": b"bytes"}, ChecksumAlgorithm="SHA256")
    put(weed, "various", {b"sums/crc": b"123456789"}, ChecksumAlgorithm="CRC32C")
    with open_store(target_of(weed.endpoint, "various", prefix="sums/")) as store:
        told = asked(store, listed(store))
    of_parts = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()
    assert told[b"sums/parts"].digests[Checksum(Algorithm.SHA256, 5 * MIB)] == of_parts
    assert SHA256 not in told[b"sums/parts"].digests
    assert told[b"sums/whole"].digests == {
        SHA256: hashlib.sha256(b"bytes").digest(),
        MD5: md5(b"bytes").digest(),
    }
    # The check value of CRC-32C.
    assert told[b"sums/crc"].digests[Checksum(Algorithm.CRC32C)] == bytes.fromhex("e3069283")


def test_a_plain_md5_of_an_upload_in_parts_is_taken_as_one(rclone: S3Server, login: Callable[[Keys], None]) -> None:
    login(rclone.auditor)
    parts = [b"x" * 5 * MIB, b"rest"]
    put_in_parts(rclone, "parts", "image", parts)
    with open_store(target_of(rclone.endpoint, "parts")) as store:
        assert asked(store, listed(store))[b"image"].digests == {MD5: md5(b"".join(parts)).digest()}


@both
def test_an_object_encrypted_by_the_server_is_read_and_reported(weed: S3Server, login: Callable[[Keys], None]) -> None:
    login(weed.auditor)
    put(weed, "various", {b"sealed/image": b"bytes"}, ServerSideEncryption="AES256")
    with open_store(target_of(weed.endpoint, "various", prefix="sealed/")) as store:
        copies = listed(store)
        assert [content(stream) for _, stream in store.read(copies)] == [b"bytes"]
        assert asked(store, copies)[b"sealed/image"].digests == {MD5: md5(b"bytes").digest()}


@both
def test_an_object_that_only_its_owner_has_the_key_of_is_not_read(
    weed: S3Server, login: Callable[[Keys], None]
) -> None:
    login(weed.auditor)
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    put(weed, "various", {b"owned/image": b"bytes"}, **key)
    with open_store(target_of(weed.endpoint, "various", prefix="owned/")) as store:
        copies = listed(store)
        told = asked(store, copies)[b"owned/image"]
        assert [stream for _, stream in store.read(copies)] == [Problem.IO_ERROR]
    assert (told.digests, told.problem) == ({}, Problem.IO_ERROR)


def test_an_etag_of_an_object_with_a_key_of_its_own_is_no_md5(mock: S3Server, login: Callable[[Keys], None]) -> None:
    """On a mock: no real server here has a KMS."""
    login(ADMIN)
    put(mock, "kms", {b"image": b"bytes"}, ServerSideEncryption="aws:kms")
    with open_store(target_of(mock.endpoint, "kms")) as store:
        assert asked(store, listed(store))[b"image"].digests == {}


def test_what_cannot_be_asked_has_no_checksum(weed: S3Server, login: Callable[[Keys], None]) -> None:
    login(weed.auditor)
    put(weed, "various", {b"asked/image": b"one", b"asked/later": b"two"})
    with open_store(target_of(weed.endpoint, "various", prefix="asked/")) as store:
        copies = listed(store)
        put(weed, "various", {b"asked/later": b"replaced"})
        told = asked(store, [*copies, Copy(key=b"asked/gone", size=1, modified=0)])
    assert {key: copy.problem for key, copy in told.items()} == {
        b"asked/image": None,
        b"asked/later": Problem.CHANGING,
        b"asked/gone": Problem.VANISHED,
    }
    assert {key for key, copy in told.items() if copy.digests} == {b"asked/image"}


# Reading.


@both
@pytest.mark.parametrize("name", ["weed", "rclone"])
def test_an_object_that_is_replaced_after_the_listing_is_not_read_for_it(
    name: str, request: pytest.FixtureRequest, login: Callable[[Keys], None]
) -> None:
    server: S3Server = request.getfixturevalue(name)
    login(server.auditor)
    put(server, "various", {b"swap/image": b"first", b"swap/other": b"other", b"swap/gone": b"gone"})
    target = target_of(server.endpoint, "various", prefix="swap/")
    with open_store(target) as store:
        copies = listed(store)
        assert len(copies) == 3
    put(server, "various", {b"swap/image": b"later"})
    admin = server.admin()
    admin.delete_object(Bucket="various", Key="swap/gone")
    admin.close()
    assert problems(target, copies) == {b"swap/image": Problem.CHANGING, b"swap/gone": Problem.VANISHED}


@both
@pytest.mark.parametrize("name", ["weed", "rclone"])
def test_without_a_version_what_is_there_now_is_read_and_said(
    name: str, request: pytest.FixtureRequest, login: Callable[[Keys], None]
) -> None:
    server: S3Server = request.getfixturevalue(name)
    login(server.auditor)
    put(server, "various", {b"now/image": b"what is there"})
    with open_store(target_of(server.endpoint, "various", prefix="now/")) as store:
        [there] = listed(store)
        stale = Copy(key=b"now/image", size=3, modified=0, digests={MD5: b"of something else"})
        [(copy, data)] = [(copy, content(stream)) for copy, stream in store.read([stale])]
    assert data == b"what is there"
    assert (copy.size, copy.version, copy.digests) == (13, there.version, {})
    assert copy.modified is not None
    assert there.modified is not None
    assert abs(copy.modified - there.modified) < 10**9


@pytest.mark.parametrize("name", ["weed", "rclone"])
def test_only_the_first_bytes_come_where_no_more_are_wanted(
    name: str, request: pytest.FixtureRequest, login: Callable[[Keys], None], reads_by: str
) -> None:
    server: S3Server = request.getfixturevalue(name)
    login(server.auditor)
    data = {b"first/large": os.urandom(300_000), b"first/small": b"1" * 1000, b"first/none": b""}
    put(server, "various", data, ChecksumAlgorithm="CRC32")
    came: list[int] = []
    with open_store(target_of(server.endpoint, "various", prefix="first/")) as store:
        assert isinstance(store, S3Store)
        store._bucket.client.meta.events.register(
            "after-call.s3.GetObject", lambda parsed, **_: came.append(parsed["ContentLength"])
        )
        copies = listed(store)
        read = {copy.key: (copy, content(stream)) for copy, stream in store.read(copies, first_bytes=1000)}
    assert {key: begun for key, (_, begun) in read.items()} == {key: whole[:1000] for key, whole in data.items()}
    assert [read[copy.key][0] for copy in copies] == copies
    if reads_by == "the SDK":
        assert sorted(came) == [0, 1000, 1000]
    else:
        # What is not empty came without the SDK. rclone calls a part the whole, which obstore does not take.
        assert came == [0]


@both
def test_a_stream_that_is_given_up_stops_nothing(weed: S3Server, login: Callable[[Keys], None]) -> None:
    login(weed.auditor)
    objects = {f"left/{number:02}".encode(): os.urandom(200_000) for number in range(12)}
    put(weed, "various", objects)
    with open_store(target_of(weed.endpoint, "various", prefix="left/")) as store:
        reading = store.read(listed(store))
        for _, stream in reading:
            assert not isinstance(stream, Problem)
            assert stream.readinto(bytearray(10)) == 10
        reading = store.read(listed(store))
        next(reading)
        reading.close()  # type: ignore[attr-defined]
        assert {copy.key: content(stream) for copy, stream in store.read(listed(store))} == objects


@both
def test_cold_storage_is_listed_and_named(mock: S3Server, login: Callable[[Keys], None]) -> None:
    """On a mock: no real server here has Glacier."""
    login(ADMIN)
    put(mock, "cold", {b"glacier": b"1"}, StorageClass="GLACIER")
    put(mock, "cold", {b"deep": b"2"}, StorageClass="DEEP_ARCHIVE")
    put(mock, "cold", {b"instant": b"3"}, StorageClass="GLACIER_IR")
    put(mock, "cold", {b"warm": b"4"})
    target = target_of(mock.endpoint, "cold")
    with open_store(target) as store:
        copies = listed(store)
        told = asked(store, copies)
    archived = {b"glacier", b"deep"}
    assert {copy.key for copy in copies if copy.problem is Problem.ARCHIVED} == archived
    assert all(copy.digests for copy in copies)
    assert {key for key, copy in told.items() if copy.problem is Problem.ARCHIVED and copy.digests} == archived
    assert problems(target, copies) == dict.fromkeys(archived, Problem.ARCHIVED)


def test_on_a_mock_what_was_thawed_can_be_read(mock: S3Server, login: Callable[[Keys], None]) -> None:
    """What a listing shows without a checksum is asked for, and says so: a thaw, or a class that the listing hides."""
    login(ADMIN)
    put(mock, "thawing", {b"cold": b"1", b"thawed": b"2"}, StorageClass="GLACIER")
    put(mock, "thawing", {b"warm": b"3"})
    mock.admin().restore_object(Bucket="thawing", Key="thawed", RestoreRequest={"Days": 2})
    moved = {"x-amz-archive-status": "ARCHIVE_ACCESS"}
    for also, cold in (({}, {b"cold"}), (moved, {b"cold", b"warm"})):
        with passing(mock.endpoint, also=also) as proxy, open_store(target_of(proxy.endpoint, "thawing")) as store:
            copies = listed(store)
            assert {copy.key for copy in copies if copy.problem} == {b"cold", b"thawed"}
            told = asked(store, copies)
        assert {key for key, copy in told.items() if copy.problem is Problem.ARCHIVED} == cold
        assert all(copy.digests for copy in told.values())


def test_aws_tells_in_its_listing_what_was_thawed(
    monkeypatch: pytest.MonkeyPatch, login: Callable[[Keys], None]
) -> None:
    """By scripted pages, as AWS documents them: no server here tells it. Only AWS is asked."""
    login(ADMIN)
    states = {
        b"cold": "",
        b"thawed": "<IsRestoreInProgress>false</IsRestoreInProgress><RestoreExpiryDate>2036-01-01T00:00:00.000Z"
        "</RestoreExpiryDate>",
        b"thawing": "<IsRestoreInProgress>true</IsRestoreInProgress>",
    }
    wanted: list[str | None] = []

    def answer(path: str, headers: Message) -> Answer:
        if "list-type" not in path:
            return Answer(status=403)
        wanted.append(headers["x-amz-optional-object-attributes"])
        rows = "".join(
            f"<Contents><Key>{key.decode()}</Key><Size>1</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<StorageClass>GLACIER</StorageClass><RestoreStatus>{state}</RestoreStatus></Contents>"
            for key, state in states.items()
        )
        return Answer(body=f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode())

    with scripted(answer) as endpoint, open_store(target_of(endpoint, "any")) as store:
        assert {copy.key for copy in listed(store) if copy.problem is Problem.ARCHIVED} == {b"cold", b"thawing"}
        assert set(wanted) == {None}
        monkeypatch.setattr("exactcopy.stores.s3.at_aws", lambda bucket: True)
        listed(store)
    assert wanted[-1] == "RestoreStatus"


# What is wrong with a store.


def test_a_bucket_that_is_not_there(weed: S3Server, login: Callable[[Keys], None]) -> None:
    login(weed.auditor)
    error = fault(target_of(weed.endpoint, "no-such-bucket"))
    assert error.code == "missing"
    assert str(error) == "cloud: the bucket does not exist. Mend `bucket`, or `endpoint`."
    assert fault(target_of(weed.endpoint, "no bucket's name!")).code == "missing"


def test_wrong_keys(weed: S3Server, login: Callable[[Keys], None]) -> None:
    put(weed, "various", {})
    target = target_of(weed.endpoint, "various")
    login(Keys(id="UNKNOWN0123456789ABC", secret=AUDITOR.secret))
    assert fault(target).code == "wrong_key"
    login(Keys(id=AUDITOR.id, secret="another"))
    assert fault(target).code == "wrong_secret"


def test_an_account_that_may_not_list(weed: S3Server, login: Callable[[Keys], None]) -> None:
    put(weed, "various", {})
    assert weed.reader is not None
    login(weed.reader)
    error = fault(target_of(weed.endpoint, "various"))
    assert error.code == "denied"
    assert str(error) == "cloud: this account may not list the bucket. Grant it s3:ListBucket, or mend `bucket`."


def test_no_credentials(weed: S3Server) -> None:
    assert fault(target_of(weed.endpoint, "various")).code == "no_credentials"
    assert fault(target_of(weed.endpoint, "various", profile="nobody")).code == "no_profile"


def test_a_profile_is_used(weed: S3Server, tmp_path: Path) -> None:
    put(weed, "various", {})
    keys = f"aws_access_key_id = {AUDITOR.id}\naws_secret_access_key = {AUDITOR.secret}\n"
    (tmp_path / "credentials").write_text(f"[audit]\n{keys}")
    with open_store(target_of(weed.endpoint, "various", profile="audit")) as store:
        assert list(store.partitions())


@pytest.mark.usefixtures("_impatient")
def test_a_server_that_does_not_answer(weed: S3Server, login: Callable[[Keys], None]) -> None:
    login(weed.auditor)
    nobody = fault(target_of("http://127.0.0.1:9", "various"))
    assert (nobody.code, "does not answer" in str(nobody)) == ("unreachable", True)
    unknown = fault(target_of("http://no-such-host.invalid", "various"))
    assert (unknown.code, "name of the server" in str(unknown)) == ("unreachable", True)
    assert fault(target_of("127.0.0.1:9000", "various")).code == "unreachable"
    assert fault(target_of(weed.endpoint, "various", region="no region!")).code == "wrong_region"
    assert fault(target_of(weed.endpoint.replace("http", "https"), "various")).code == "tls"


# What no proper server does, and a script has to do.


def scripted_listing(answers: Mapping[str, Answer]) -> list[Copy | Gap]:
    """List the whole bucket of a scripted server."""
    with scripted(only(answers)) as endpoint, open_store(target_of(endpoint, "b-u")) as store:
        return list(store.listing("below:"))


@pytest.fixture
def _admin(login: Callable[[Keys], None]) -> None:
    login(ADMIN)


scripts = pytest.mark.usefixtures("_admin", "_impatient")


@scripts
@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (refusal(403, "AccessDenied"), Problem.PERMISSION),
        (refusal(500, "InternalError"), Problem.IO_ERROR),
        (refusal(503, "SlowDown"), Problem.IO_ERROR),
        # The same token again, for ever.
        (page(item("b", b"2"), following="two"), Problem.IO_ERROR),
        # Success, and none of what was asked for.
        (Answer(), Problem.IO_ERROR),
        (Answer(body=b"<Policy></Policy>"), Problem.IO_ERROR),
        (Answer(body=b"not even XML"), Problem.IO_ERROR),
        (Answer(body=page(item("b", b"2")).body[:-30]), Problem.IO_ERROR),
        (page("<Contents><Key>b</Key></Contents>"), Problem.IO_ERROR),
        # More to come, and no way to it.
        (Answer(body=PAGE.format(more="true", rest="").encode()), Problem.IO_ERROR),
    ],
)
def test_a_listing_that_breaks_off_is_a_gap(second: Answer, reason: Problem) -> None:
    found = scripted_listing({"list": page(item("a", b"1"), following="two"), "two": second})
    assert [entry.key for entry in found if isinstance(entry, Copy)][:1] == [b"a"]
    assert [entry for entry in found if isinstance(entry, Gap)] == [Gap(scope=b"", reason=reason)]


@scripts
def test_tokens_that_go_round_in_circles_are_noticed() -> None:
    found = scripted_listing(
        {"list": page(following="one"), "one": page(following="two"), "two": page(following="one")}
    )
    assert found == [Gap(scope=b"", reason=Problem.IO_ERROR)]


@scripts
def test_a_server_that_ignores_the_prefix_is_not_believed() -> None:
    with scripted(only({"list": page(item("other/image", b"1"))})) as endpoint:
        assert fault(target_of(endpoint, "b-u", prefix="mine/")).code == "no_s3"


@scripts
def test_a_bucket_that_cannot_be_split_up_is_unavailable() -> None:
    def answer(path: str, _: Message) -> Answer:
        return refusal(403, "AccessDenied") if "delimiter" in path else page(item("a", b"1"))

    with (
        scripted(answer) as endpoint,
        open_store(target_of(endpoint, "b-u")) as store,
        pytest.raises(StoreUnavailable) as caught,
    ):
        list(store.partitions())
    assert caught.value.code == "denied"


@scripts
@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (refusal(400, "AuthorizationHeaderMalformed", "<Region>eu-central-1</Region>"), "wrong_region", "eu-central-1"),
        (refusal(301, "PermanentRedirect"), "wrong_region", "another place"),
        (refusal(400, "AuthorizationHeaderMalformed", "<Region>Dr. Who's</Region>"), "wrong_region", "no name"),
        (Answer(status=301, headers={"Location": "https://elsewhere.invalid/"}), "wrong_region", "another place"),
        (refusal(400, "ExpiredToken"), "expired", "expired"),
        (refusal(403, "RequestTimeTooSkewed"), "clock_skew", "clock"),
        (refusal(503, "SlowDown"), "server", "refuses"),
        (refusal(403, "SomethingNew"), "server", "refuses"),
        (Answer(body=b"<html><body>It works!</body></html>"), "no_s3", "does not speak S3"),
        (Answer(body=b"It works!"), "server", "does not speak S3"),
    ],
)
def test_a_scripted_server_is_told_from_others_by_its_errors(answer: Answer, code: str, words: str) -> None:
    with scripted(lambda *_: answer) as endpoint:
        error = fault(target_of(endpoint, "b-u"))
    assert error.code == code
    assert words in str(error)
    assert "secret words" not in str(error)
    assert "Who" not in str(error)


@scripts
def test_a_server_without_a_trusted_certificate() -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    with scripted(only({"list": page()}), tls=tls) as endpoint:
        assert fault(target_of(endpoint, "b-u")).code == "tls"


@both
@scripts
def test_a_server_that_asks_to_slow_down_is_asked_again() -> None:
    answers = {"list": page(item("image", b"12345")), "image": Answer(body=b"12345", headers=described(b"12345"))}
    calls: Counter[str] = Counter()

    def answer(path: str, headers: Message) -> Answer:
        calls[path] += 1
        return refusal(503, "SlowDown") if calls[path] % 4 else only(answers)(path, headers)

    with scripted(answer) as endpoint, open_store(target_of(endpoint, "b")) as store:
        assert [content(stream) for _, stream in store.read(listed(store))] == [b"12345"]
    # Neither obstore nor a plain request is tried again: that is left to the SDK.
    assert {count % 4 for count in calls.values()} == {0}


@scripts
def test_a_trusted_certificate_is_accepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    here = scripted(only({"list": page(item("image", b"1"))}), tls=tls)
    with here as endpoint, open_store(target_of(endpoint, "b-u")) as store:
        assert [copy.key for copy in listed(store)] == [b"image"]


def read_scripted(listing: Answer, answer: Answer, first_bytes: int | None = None) -> list[bytes | Problem | None]:
    """Read all that a scripted server lists; None where a stream breaks off."""
    read: list[bytes | Problem | None] = []
    with scripted(only({"list": listing, "image": answer})) as endpoint, open_store(target_of(endpoint, "b")) as store:
        for _, stream in store.read(listed(store), first_bytes):
            if isinstance(stream, Problem):
                read.append(stream)
                continue
            try:
                read.append(content(stream))
            except OSError:
                read.append(None)
    return read


@both
@scripts
@pytest.mark.parametrize(
    ("answer", "read"),
    [
        (Answer(body=b"12345", headers=described(b"12345")), b"12345"),
        (Answer(body=b"12", headers=described(b"12345"), length=5), None),
        # An empty body, and success.
        (Answer(headers=described(b"12345")), Problem.IO_ERROR),
        (Answer(body=b"123456", headers=described(b"12345")), Problem.IO_ERROR),
        (Answer(body=b"12345", headers=TIME), Problem.CHANGING),
        (Answer(body=b"54321", headers=described(b"54321")), Problem.CHANGING),
        (refusal(403, "AccessDenied"), Problem.PERMISSION),
        (refusal(412, "PreconditionFailed"), Problem.CHANGING),
        (refusal(500, "InternalError"), Problem.IO_ERROR),
        (refusal(403, "InvalidObjectState"), Problem.ARCHIVED),
    ],
)
def test_a_body_that_is_not_the_listed_object_is_never_taken_for_it(answer: Answer, read: bytes | Problem) -> None:
    assert read_scripted(page(item("image", b"12345")), answer) == [read]


@both
@scripts
@pytest.mark.parametrize(
    ("answer", "read"),
    [
        # A server that knows no ranges sends everything.
        (Answer(body=b"12345", headers=described(b"12345")), b"123"),
        (Answer(status=206, body=b"123", headers=described(b"12345", **{"Content-Range": "bytes 0-2/5"})), b"123"),
        (
            Answer(status=206, body=b"12", headers=described(b"12345", **{"Content-Range": "bytes 0-1/5"})),
            Problem.IO_ERROR,
        ),
        (
            Answer(status=206, body=b"345", headers=described(b"12345", **{"Content-Range": "bytes 2-4/5"})),
            Problem.IO_ERROR,
        ),
        (
            Answer(status=206, body=b"123", headers=described(b"12345", **{"Content-Range": "bytes 0-2/*"})),
            Problem.IO_ERROR,
        ),
        (refusal(416, "InvalidRange"), Problem.CHANGING),
    ],
)
def test_a_range_is_not_taken_on_trust(answer: Answer, read: bytes | Problem) -> None:
    assert read_scripted(page(item("image", b"12345")), answer, first_bytes=3) == [read]


@both
@scripts
def test_an_etag_that_lies_is_a_claim_and_the_bytes_are_what_is_there() -> None:
    lie = md5(b"what it should be").hexdigest()
    listing = page(item("image", b"12345", etag=lie))
    answer = Answer(body=b"12345", headers={**TIME, "ETag": f'"{lie}"'})
    with scripted(only({"list": listing, "image": answer})) as endpoint, open_store(target_of(endpoint, "b")) as store:
        [copy] = listed(store)
        assert copy.digests == {MD5: bytes.fromhex(lie)}
        assert asked(store, [copy])[b"image"].digests == {MD5: bytes.fromhex(lie)}
        assert [content(stream) for _, stream in store.read([copy])] == [b"12345"]


SUM = "A" * 43 + "="


@scripts
@pytest.mark.parametrize(
    ("etag", "headers", "names"),
    [
        ("0" * 32, {"x-amz-checksum-sha256": SUM, "x-amz-checksum-type": "FULL_OBJECT"}, {"md5", "sha256"}),
        ("0" * 32, {"x-amz-server-side-encryption": "aws:kms"}, set()),
        ("0" * 32, {"x-amz-server-side-encryption": "AES256"}, {"md5"}),
        ("0" * 32, {"x-amz-server-side-encryption-customer-algorithm": "AES256"}, set()),
        ("0" * 32, {"x-amz-checksum-sha256": "no base64!"}, {"md5"}),
        ("0" * 32, {"x-amz-checksum-sha256": "QUJD"}, {"md5"}),
        ("0" * 32, {"x-amz-checksum-sha256": SUM + "-some"}, {"md5"}),
        ("0" * 32, {"x-amz-checksum-crc64nvme": "AAAAAAAAAAA="}, {"md5", "crc64nvme"}),
        ("no-digest", {}, set()),
        # Of parts whose size the server does not tell, or of which nothing says that it is of the whole.
        ("0" * 32 + "-2", {"x-amz-checksum-sha256": SUM + "-2"}, set()),
        ("0" * 32 + "-2", {"x-amz-checksum-sha256": SUM}, set()),
        ("0" * 32 + "-2", {"x-amz-checksum-sha256": SUM, "x-amz-checksum-type": "COMPOSITE"}, set()),
        ("0" * 32 + "-2", {"x-amz-checksum-crc32c": "AAAAAA==", "x-amz-checksum-type": "COMPOSITE"}, set()),
        ("0" * 32 + "-2", {"x-amz-checksum-sha256": SUM, "x-amz-checksum-type": "FULL_OBJECT"}, {"sha256"}),
        ("0" * 32 + "-1", {"x-amz-checksum-sha256": SUM + "-1"}, {"md5/5", "sha256/5"}),
    ],
)
def test_only_what_is_a_checksum_is_taken_for_one(etag: str, headers: dict[str, str], names: set[str]) -> None:
    answer = Answer(body=b"12345", headers={**TIME, "ETag": f'"{etag}"', **headers})
    answers = {"list": page(item("image", b"12345", etag=etag)), "image": answer}
    with scripted(only(answers)) as endpoint, open_store(target_of(endpoint, "b")) as store:
        told = asked(store, listed(store))[b"image"]
    assert {str(checksum) for checksum in told.digests} == names
    assert told.problem is None


# The auditor cannot harm.


def test_nothing_but_reading_leaves_the_client_even_for_an_account_that_may_write(
    weed: S3Server, login: Callable[[Keys], None]
) -> None:
    login(ADMIN)
    put(weed, "various", {b"harm/image": b"bytes"})
    where = {"Bucket": "various", "Key": "harm/image"}
    with open_store(target_of(weed.endpoint, "various", prefix="harm/")) as store:
        assert isinstance(store, S3Store)
        client = store._bucket.client
        attempts: list[Callable[[], object]] = [
            lambda: client.put_object(**where, Body=b"harm"),
            lambda: client.delete_object(**where),
            lambda: client.delete_objects(Bucket="various", Delete={"Objects": [{"Key": "harm/image"}]}),
            lambda: client.copy_object(**where, CopySource="various/harm/image"),
            lambda: client.create_multipart_upload(**where),
            lambda: client.restore_object(**where),
            lambda: client.delete_bucket_policy(Bucket="various"),
            lambda: client.delete_bucket(Bucket="various"),
            lambda: client.create_bucket(Bucket="harm"),
        ]
        for attempt in attempts:
            with pytest.raises(Exception) as caught:  # noqa: PT011
                attempt()
            assert type(caught.value).__name__ == "Refused"
        assert [content(stream) for _, stream in store.read(listed(store))] == [b"bytes"]


def test_what_is_allowed_is_reading_by_its_http_method(mock: S3Server) -> None:
    admin = mock.admin()
    model = admin.meta.service_model
    assert {model.operation_model(name).http["method"] for name in READING} == {"GET", "HEAD"}
    admin.close()


def test_what_every_client_needs_is_loaded_before_workers_are_forked_without_asking_anybody() -> None:
    # In a process of its own: it has credentials of nobody, no network may be reached, and nothing was loaded before.
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import socket, threading\n"
            "def refuse(*_): raise SystemExit('asked')\n"
            "socket.socket.connect = socket.getaddrinfo = refuse\n"
            "from exactcopy.stores import import_kinds\n"
            "import_kinds(['s3'])\n"
            "from exactcopy.stores.s3.client import _models\n"
            "models = len(_models()._cache)\n"
            "from exactcopy.stores.s3.client import connect, session_of\n"
            "options = {'endpoint': 'http://127.0.0.1:9', 'region': 'us-east-1'}\n"
            "connect(session_of(options), options, signed=False)\n"
            "print(threading.active_count(), models > 0, len(_models()._cache) - models)",
        ],
        env={key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    assert said.split() == ["1", "True", "0"]
