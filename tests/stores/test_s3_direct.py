"""Objects by plain requests: that they are used, that it is the same bucket, and when they give way to the SDK.

The contract, and what a reader owes whatever reads, runs with and without them in test_s3.py.
"""

import os
import ssl
from collections.abc import Callable
from dataclasses import replace
from email.message import Message
from pathlib import Path

import pytest
import trustme

from exactcopy.model import Problem
from exactcopy.stores import open_store
from exactcopy.stores.ahead import AHEAD
from exactcopy.stores.s3.client import Bucket, connect, session_of
from exactcopy.stores.s3.direct import DirectReader
from tests.servers import ADMIN, AUDITOR, Answer, Keys, S3Server, scripted
from tests.stores.buckets import by_sdk, described, item, only, page, put, refusal, target_of, without_obstore
from tests.stores.contract import content, listed

Login = Callable[[Keys], None]


@pytest.fixture(autouse=True)
def _plain(_alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this computer's AWS settings is seen, and obstore is not installed."""
    without_obstore(monkeypatch)


@pytest.mark.parametrize("name", ["weed", "rclone", "mock"])
def test_objects_of_any_size_are_read_by_them(name: str, request: pytest.FixtureRequest, login: Login) -> None:
    server: S3Server = request.getfixturevalue(name)
    login(server.auditor)
    objects = {b"mix/large": os.urandom(5_000_000), b"mix/none": b"", **{f"mix/{n}".encode(): b"1" for n in range(20)}}
    put(server, "various", objects)
    with open_store(target_of(server.endpoint, "various", prefix="mix/")) as store:
        keys = by_sdk(store)
        copies = listed(store)
        assert {copy.key: content(stream) for copy, stream in store.read(copies)} == objects
        begun = {copy.key: content(stream) for copy, stream in store.read(copies, first_bytes=100)}
    assert begun == {key: data[:100] for key, data in objects.items()}
    assert keys == ["mix/none", "mix/none"]


def test_they_read_where_the_sdk_does_whatever_the_environment_says(
    weed: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put(weed, "various", {b"here/image": b"bytes"})
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    keys = f"aws_access_key_id = {AUDITOR.id}\naws_secret_access_key = {AUDITOR.secret}\n"
    (tmp_path / "credentials").write_text(f"[audit]\n{keys}")
    with open_store(target_of(weed.endpoint, "various", prefix="here/", profile="audit")) as store:
        asked = by_sdk(store)
        assert [content(stream) for _, stream in store.read(listed(store))] == [b"bytes"]
    assert asked == []


@pytest.mark.parametrize("key", ["/leading", "trailing/", "dou//ble", "../up", "a/./b", "sp ace+%41&=?#~", "ü/é"])
def test_on_a_mock_the_key_that_was_listed_is_read_and_no_other(key: str, mock: S3Server, login: Login) -> None:
    """On a mock: a file system does not have such names, and it is what real servers here keep them in."""
    login(ADMIN)
    bucket = f"key-{abs(hash(key)) % 10**8}"
    others = {key.strip("/").replace("%41", "A").encode(): b"other"}
    put(mock, bucket, others | {key.encode(): b"bytes"})
    with open_store(target_of(mock.endpoint, bucket)) as store:
        copies = [copy for copy in listed(store) if copy.key == key.encode()]
        assert [content(stream) for _, stream in store.read(copies)] == [b"bytes"]


@pytest.mark.usefixtures("_impatient")
def test_where_they_are_turned_away_and_the_sdk_is_not_they_are_not_tried_for_each_object(login: Login) -> None:
    """On a script: it turns away whoever is not the SDK, as a proxy might that only the SDK knows."""
    login(ADMIN)
    objects = {f"image{number:02}": b"%d" % number for number in range(40)}
    others: list[str] = []

    def answer(path: str, headers: Message) -> Answer:
        if "amz-sdk-invocation-id" not in headers:
            others.append(path)
            return refusal(403, "AccessDenied")
        described_all = {key: Answer(body=data, headers=described(data)) for key, data in objects.items()}
        return only({"list": page(*(item(key, data) for key, data in objects.items())), **described_all})(path, headers)

    with scripted(answer) as endpoint, open_store(target_of(endpoint, "b")) as store:
        read = {copy.key.decode(): content(stream) for copy, stream in store.read(listed(store))}
    assert read == objects
    # It takes three in a row, and meanwhile others are under way.
    assert 1 <= len(others) <= AHEAD + 2


def test_behind_a_proxy_the_sdk_reads(weed: S3Server, login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    login(weed.auditor)
    put(weed, "various", {b"proxied/image": b"bytes"})
    # The server itself: it takes a whole address as well as a path.
    monkeypatch.setenv("HTTP_PROXY", weed.endpoint)
    with open_store(target_of(weed.endpoint, "various", prefix="proxied/")) as store:
        asked = by_sdk(store)
        read = [stream for _, stream in store.read(listed(store))]
        assert len(read) == 1
    assert asked == ["proxied/image"]


def test_a_certificate_that_the_sdk_is_told_to_trust_is_trusted_and_no_other(
    login: Login, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    login(ADMIN)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    answers = {"list": page(item("image", b"12345")), "image": Answer(body=b"12345", headers=described(b"12345"))}
    with scripted(only(answers), tls=tls) as endpoint, open_store(target_of(endpoint, "b")) as store:
        keys = by_sdk(store)
        copies = listed(store)
        assert [content(stream) for _, stream in store.read(copies)] == [b"12345"]
        assert keys == []
        # Of the server, not of whoever stands in for it since.
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "other"))
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "other"))
        session = session_of({})
        stranger = DirectReader(session, Bucket(client=connect(session, {"endpoint": endpoint}), name="b", prefix=""))
        assert stranger.ask(copies[0], 5) is None


def test_a_connection_that_the_server_closed_meanwhile_is_made_anew(login: Login) -> None:
    login(ADMIN)
    answers = {"list": page(item("image", b"12345")), "image": Answer(body=b"12345", headers=described(b"12345"))}
    with scripted(only(answers)) as endpoint, open_store(target_of(endpoint, "b")) as store:
        keys = by_sdk(store)
        copies = listed(store)
        for _ in range(3):
            assert [content(stream) for _, stream in store.read(copies)] == [b"12345"]
            direct = store._reader._direct  # type: ignore[attr-defined]
            for connection in direct.idle:
                connection.sock.shutdown(2)
    assert keys == []


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    "said", ["Fri, 02 Jan 2026 03:04:05 -0000", "Fri, 02 Jan 2026 03:04:05", "Fri, 02 Jan 99999999999 03:04:05 GMT"]
)
def test_a_time_that_no_calendar_has_ends_no_audit(login: Login, said: str) -> None:
    login(ADMIN)
    headers = described(b"12345") | {"Last-Modified": said}
    answers = {"list": page(item("image", b"12345")), "image": Answer(body=b"12345", headers=headers)}
    with scripted(only(answers)) as endpoint, open_store(target_of(endpoint, "b")) as store:
        [(_, stream)] = store.read(listed(store))
        assert isinstance(stream, Problem) is ("9999" in said)


@pytest.mark.usefixtures("_impatient")
def test_whoever_stops_early_sends_nothing_more(login: Login) -> None:
    login(ADMIN)
    objects = {f"image{number:02}": b"%d" % number for number in range(20)}
    asked: list[str] = []

    def answer(path: str, headers: Message) -> Answer:
        asked.append(path)
        if "list-type" not in path and not path.endswith("image00"):
            return refusal(503, "SlowDown")
        described_all = {key: Answer(body=data, headers=described(data)) for key, data in objects.items()}
        return only({"list": page(*(item(key, data) for key, data in objects.items())), **described_all})(path, headers)

    with scripted(answer) as endpoint, open_store(target_of(endpoint, "b")) as store:
        copies = listed(store)
        asked.clear()
        reading = store.read(copies)
        next(reading)
        reading.close()  # type: ignore[attr-defined]
        # What was under way, and no second try of anything.
        assert len(asked) <= AHEAD + 1
        assert len(set(asked)) == len(asked)


@pytest.mark.usefixtures("_impatient")
def test_one_object_that_only_the_sdk_reads_sends_no_other_to_it(login: Login) -> None:
    login(ADMIN)
    objects = {f"image{number:02}": b"%d" % number for number in range(30)}

    def answer(path: str, headers: Message) -> Answer:
        if path.endswith("image03") and "amz-sdk-invocation-id" not in headers:
            return refusal(503, "SlowDown")
        described_all = {key: Answer(body=data, headers=described(data)) for key, data in objects.items()}
        return only({"list": page(*(item(key, data) for key, data in objects.items())), **described_all})(path, headers)

    with scripted(answer) as endpoint, open_store(target_of(endpoint, "b")) as store:
        keys = by_sdk(store)
        copies = [replace(copy, version=None) if copy.key == b"image07" else copy for copy in listed(store)]
        assert {copy.key.decode(): content(stream) for copy, stream in store.read(copies)} == objects
    assert sorted(keys) == ["image03", "image07"]
