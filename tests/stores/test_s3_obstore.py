"""Small objects by obstore: that it is used, that it is the same bucket, and when it gives way to the SDK.

The contract, and what a reader owes whatever reads, runs with and without it in test_s3.py.
"""

import os
import ssl
from collections.abc import Callable
from email.message import Message
from pathlib import Path

import pytest
import trustme

from exactcopy.stores import open_store
from exactcopy.stores.ahead import AHEAD
from tests.servers import ADMIN, AUDITOR, Answer, Keys, S3Server, scripted
from tests.stores.buckets import by_sdk, described, item, only, page, put, refusal, target_of
from tests.stores.contract import content, listed

pytest.importorskip("obstore")
pytestmark = pytest.mark.usefixtures("_alone", "_no_plain_requests")

Login = Callable[[Keys], None]


def test_small_objects_are_read_by_it_and_large_ones_by_the_sdk(weed: S3Server, login: Login) -> None:
    login(weed.auditor)
    objects = {b"mix/large": os.urandom(5_000_000), b"mix/none": b"", **{f"mix/{n}".encode(): b"1" for n in range(20)}}
    put(weed, "various", objects)
    with open_store(target_of(weed.endpoint, "various", prefix="mix/")) as store:
        keys = by_sdk(store)
        copies = listed(store)
        assert {copy.key: content(stream) for copy, stream in store.read(copies)} == objects
        assert sorted(keys) == ["mix/large", "mix/none"]
        begun = {copy.key: content(stream) for copy, stream in store.read(copies, first_bytes=100)}
    assert begun == {key: data[:100] for key, data in objects.items()}
    assert sorted(keys) == ["mix/large", "mix/none", "mix/none"]


def test_it_reads_where_the_sdk_does_whatever_the_environment_says(
    weed: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put(weed, "various", {b"here/image": b"bytes"})
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("AWS_BUCKET", "elsewhere")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another account")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    keys = f"aws_access_key_id = {AUDITOR.id}\naws_secret_access_key = {AUDITOR.secret}\n"
    (tmp_path / "credentials").write_text(f"[audit]\n{keys}")
    with open_store(target_of(weed.endpoint, "various", prefix="here/", profile="audit")) as store:
        asked = by_sdk(store)
        assert [content(stream) for _, stream in store.read(listed(store))] == [b"bytes"]
    assert asked == []


@pytest.mark.parametrize("key", ["/leading", "trailing/", "dou//ble", "../up", "a/./b"])
def test_on_a_mock_a_key_that_is_no_path_is_read_by_the_sdk(key: str, mock: S3Server, login: Login) -> None:
    """On a mock: a file system does not have such names, and it is what real servers here keep them in."""
    login(ADMIN)
    bucket = f"key-{abs(hash(key)) % 10**8}"
    put(mock, bucket, {key.encode(): b"bytes", key.strip("/").encode(): b"bytes"})
    with open_store(target_of(mock.endpoint, bucket)) as store:
        copies = [copy for copy in listed(store) if copy.key == key.encode()]
        keys = by_sdk(store)
        assert [content(stream) for _, stream in store.read(copies)] == [b"bytes"]
    assert keys == [key]


@pytest.mark.usefixtures("_impatient")
def test_where_it_cannot_read_and_the_sdk_can_it_is_not_tried_for_each_object(login: Login) -> None:
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


def test_a_certificate_that_the_sdk_is_told_to_trust_is_trusted(
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
        assert [content(stream) for _, stream in store.read(listed(store))] == [b"12345"]
    assert keys == []
