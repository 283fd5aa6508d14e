"""Buckets for the tests of S3: filled on real servers, or made up on scripted ones."""

import hashlib
import sys
from collections.abc import Callable, Mapping
from email.message import Message
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from exactcopy.errors import StoreUnavailable
from exactcopy.model import Copy, Problem, Role, Target
from exactcopy.stores import Asked, Store, open_store
from exactcopy.stores.s3 import S3Store
from tests.servers import Answer, S3Server

md5 = partial(hashlib.md5, usedforsecurity=False)


def target_of(endpoint: str, bucket: str, **options: object) -> Target:
    """Give the Target of a bucket."""
    location = {"bucket": bucket, "prefix": "", "endpoint": endpoint, "region": None, "profile": None}
    return Target(name="cloud", role=Role.BACKUP, kind="s3", identity="", options={**location, **options})


def put(server: S3Server, bucket: str, objects: Mapping[bytes, bytes], **more: object) -> None:
    """Make a bucket where it is not there, and write objects into it."""
    admin = server.admin()
    if bucket not in {one["Name"] for one in admin.list_buckets()["Buckets"]}:
        admin.create_bucket(Bucket=bucket)
    for key, data in objects.items():
        admin.put_object(Bucket=bucket, Key=key.decode(), Body=data, **more)
    admin.close()


def put_in_parts(server: S3Server, bucket: str, key: str, parts: list[bytes], **more: str) -> None:
    """Upload an object in parts."""
    put(server, bucket, {})
    admin = server.admin()
    upload = admin.create_multipart_upload(Bucket=bucket, Key=key, **more)["UploadId"]
    where = {"Bucket": bucket, "Key": key, "UploadId": upload}
    done = []
    for number, part in enumerate(parts, 1):
        answer = admin.upload_part(**where, PartNumber=number, Body=part, **more)
        checksums = {name: answer[name] for name in ("ChecksumSHA256",) if name in answer}
        done.append({"PartNumber": number, "ETag": answer["ETag"], **checksums})
    admin.complete_multipart_upload(**where, MultipartUpload={"Parts": done})
    admin.close()


def asked(store: Any, copies: list[Copy]) -> dict[bytes, Copy]:
    """Give what the store says of each copy when it is asked."""
    assert isinstance(store, Asked)
    return {copy.key: copy for copy in store.checksums(copies)}


def problems(target: Target, copies: list[Copy]) -> dict[bytes, Problem]:
    """Give what cannot be read of `copies`."""
    with open_store(target) as store:
        return {copy.key: stream for copy, stream in store.read(copies) if isinstance(stream, Problem)}


def fault(target: Target) -> StoreUnavailable:
    """Give why a store cannot be entered; its text names nothing of the server's own."""
    with pytest.raises(StoreUnavailable) as caught, open_store(target):
        pass
    assert str(caught.value).startswith("cloud: ")
    assert "\n" not in str(caught.value)
    assert "error occurred" not in str(caught.value)
    return caught.value


def without_obstore(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make obstore as if it were not installed."""
    monkeypatch.setitem(sys.modules, "obstore", None)


def by_sdk(store: Store) -> list[str]:
    """Give the list that the keys of what the SDK reads are written into."""
    assert isinstance(store, S3Store)
    keys: list[str] = []
    store._bucket.client.meta.events.register(
        "provide-client-params.s3.GetObject", lambda params, **_: keys.append(params["Key"])
    )
    return keys


def without_plain_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whatever obstore does not read be read by the SDK, as behind a proxy."""
    monkeypatch.setattr("exactcopy.stores.s3.direct.get_environ_proxies", lambda _: {"http": "a proxy"})


# What no proper server does, and a script has to do.


PAGE = "<ListBucketResult><Name>b</Name><IsTruncated>{more}</IsTruncated>{rest}</ListBucketResult>"
ITEM = (
    "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>&quot;{etag}&quot;</ETag>"
    "<LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents>"
)
TIME = {"Last-Modified": "Fri, 02 Jan 2026 03:04:05 GMT"}


def page(*items: str, following: str | None = None, rest: str = "") -> Answer:
    """Give a page of a listing."""
    token = f"<NextContinuationToken>{following}</NextContinuationToken>" if following else ""
    body = PAGE.format(more="true" if following else "false", rest="".join(items) + token + rest)
    return Answer(body=body.encode(), headers={"Content-Type": "application/xml"})


def refusal(status: int, code: str, more: str = "") -> Answer:
    """Give an error as S3 words it."""
    return Answer(
        status=status, body=f"<Error><Code>{code}</Code><Message>secret words</Message>{more}</Error>".encode()
    )


def item(key: str, data: bytes, etag: str | None = None) -> str:
    """Give a line of a listing."""
    return ITEM.format(key=key, size=len(data), etag=etag or md5(data).hexdigest())


def only(answers: Mapping[str, Answer]) -> Callable[[str, Message], Answer]:
    """Answer by continuation token for listings, by key for objects."""

    def answer(path: str, _: Message) -> Answer:
        parts = urlsplit(path)
        query = parse_qs(parts.query)
        if "list-type" in query:
            return answers[query.get("continuation-token", ["list"])[0]]
        return answers.get(parts.path.removeprefix("/b/"), refusal(501, "NotImplemented"))

    return answer


def described(data: bytes, **headers: str) -> dict[str, str]:
    """Give the headers of an object."""
    return {**TIME, "ETag": f'"{md5(data).hexdigest()}"', **headers}
