"""rclone as a store: the contract over servers of its own and over fake clouds, and what goes wrong there."""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from exactcopy.errors import StoreUnavailable
from exactcopy.model import Algorithm, Answer, Checksum, Copy, Gap, Problem, Role, Safeguard, Target
from exactcopy.stores import Store, open_store
from exactcopy.stores.rclone.server import call, serve
from tests.fake_clouds import DOCUMENT, FOLDER, SHORTCUT, Cloud, Drive, Dropbox, content_hash, fake, proxied
from tests.servers import ADMIN, moto, scripted
from tests.servers import Answer as ScriptedAnswer
from tests.stores.contract import OBJECTS, StoreContract, content, listed
from tests.stores.test_folder import put

pytestmark = pytest.mark.usefixtures("_no_remotes")
RCLONE = shutil.which("rclone", path=str(Path(sys.executable).parent)) or "rclone"
KEY, SECRET = "exactcopytestexactcopy", "secretsecretsecret"


def target_of(remote: str, config: Path | None = None, **options: object) -> Target:
    """Give the Target of a remote."""
    location = {"remote": remote, "config": None if config is None else str(config)}
    return Target(name="cloud", role=Role.BACKUP, kind="rclone", identity="", options={**location, **options})


@contextmanager
def rclone_serves(kind: str, root: Path, *flags: str) -> Iterator[int]:
    """Run one of rclone's own servers and give its port once it listens."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [RCLONE, "serve", kind, "--addr", f"127.0.0.1:{port}", *flags, str(root)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(500):
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.02)
            yield port
        finally:
            process.terminate()


class TestLocal(StoreContract):
    """The contract over a local folder, by a server that many stores share."""

    @pytest.fixture(autouse=True)
    def _served(self, _no_remotes: None, tmp_path: Path) -> Iterator[None]:
        self.root = tmp_path / "store"
        self.root.mkdir()
        with serve([target_of(f":local:{self.root}")]) as (self.shared,):
            yield

    def make(self, objects: Mapping[bytes, bytes]) -> Target:
        put(self.root, objects)
        return self.shared

    def test_nothing_is_read_to_compute_checksums(self, target: Target) -> None:
        with open_store(target) as store:
            assert not any(copy.digests for copy in listed(store))


class TestWebDav(StoreContract):
    """The contract over WebDAV; this store starts a server for itself."""

    @pytest.fixture(autouse=True)
    def _served(self, _no_remotes: None, tmp_path: Path) -> Iterator[None]:
        self.root = tmp_path / "store"
        self.root.mkdir()
        with rclone_serves("webdav", self.root) as self.port:
            yield

    def make(self, objects: Mapping[bytes, bytes]) -> Target:
        put(self.root, objects)
        return target_of(f':webdav,vendor=rclone,url="http://127.0.0.1:{self.port}":')


class TestSftp(StoreContract):
    """The contract over SFTP."""

    @pytest.fixture(autouse=True)
    def _served(self, _no_remotes: None, tmp_path: Path) -> Iterator[None]:
        self.root = tmp_path / "store"
        self.root.mkdir()
        with rclone_serves("sftp", self.root, "--user", "auditor", "--pass", SECRET) as self.port:
            yield

    def make(self, objects: Mapping[bytes, bytes]) -> Target:
        put(self.root, objects)
        hidden = subprocess.run([RCLONE, "obscure", SECRET], check=True, capture_output=True, text=True).stdout.strip()
        config = self.root.parent / "sftp.conf"
        config.write_text(
            f"[nas]\ntype = sftp\nhost = 127.0.0.1\nport = {self.port}\nuser = auditor\npass = {hidden}\n"
        )
        return target_of("nas:", config)

    def test_nothing_is_read_to_compute_checksums(self, target: Target) -> None:
        with open_store(target) as store:
            assert not any(copy.digests for copy in listed(store))

    def test_a_wrong_password_is_a_refused_login(self, target: Target) -> None:
        config = Path(target.options["config"])
        config.write_text(config.read_text().replace("user = auditor", "user = somebody"))
        assert refusal(target) == "login_refused"


class TestS3(StoreContract):
    """The contract over S3."""

    @pytest.fixture(autouse=True)
    def _served(self, _no_remotes: None, tmp_path: Path) -> Iterator[None]:
        self.root = tmp_path / "store"
        (self.root / "xrays").mkdir(parents=True)
        with rclone_serves("s3", self.root, "--auth-key", f"{KEY},{SECRET}") as self.port:
            yield

    def make(self, objects: Mapping[bytes, bytes]) -> Target:
        put(self.root / "xrays", objects)
        config = self.root.parent / "s3.conf"
        config.write_text(
            f"[s3]\ntype = s3\nprovider = Rclone\nendpoint = http://127.0.0.1:{self.port}\n"
            f"access_key_id = {KEY}\nsecret_access_key = {SECRET}\n"
        )
        return target_of("s3:xrays", config)

    def test_its_md5_is_reported(self, target: Target) -> None:
        with open_store(target) as store:
            reported = {copy.key: copy.digests for copy in listed(store)}
        assert reported == {
            key: {Checksum(Algorithm.MD5): hashlib.md5(data, usedforsecurity=False).digest()}
            for key, data in self.objects.items()
        }

    def test_a_bucket_that_is_not_there_is_missing(self, target: Target) -> None:
        assert refusal(replace(target, options={**target.options, "remote": "s3:elsewhere"})) == "missing"

    def test_a_wrong_key_is_a_refused_login(self, target: Target) -> None:
        config = Path(target.options["config"])
        config.write_text(config.read_text().replace(SECRET, "wrong"))
        assert refusal(target) == "login_refused"


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [
        (301, "PermanentRedirect", "wrong_region"),
        (400, "AuthorizationHeaderMalformed", "wrong_region"),
        (400, "InvalidBucketName", "missing"),
        (403, "RequestTimeTooSkewed", "clock_skew"),
        (403, "InvalidAccessKeyId", "login_refused"),
        (403, "AccessDenied", "not_permitted"),
    ],
)
def test_what_a_scripted_server_of_s3_refuses_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, said: str, code: str
) -> None:
    monkeypatch.setenv("RCLONE_LOW_LEVEL_RETRIES", "1")
    body = f"<Error><Code>{said}</Code><Message>xrays</Message></Error>".encode()
    config = tmp_path / "s3.conf"
    with scripted(lambda path, headers: ScriptedAnswer(status=status, body=body)) as endpoint:
        config.write_text(
            f"[s3]\ntype = s3\nprovider = Other\nendpoint = {endpoint}\n"
            f"access_key_id = {KEY}\nsecret_access_key = {SECRET}\n"
        )
        assert refusal(target_of("s3:xrays", config)) == code


def test_a_server_that_does_not_prove_who_it_is_is_told_apart(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RCLONE_CA_CERT")
    monkeypatch.setenv("RCLONE_LOW_LEVEL_RETRIES", "1")
    assert refusal(target_of("cloud:xrays")) == "tls"


class CloudContract(StoreContract):
    """The contract, and what one provider's reported checksums must be."""

    kind: ClassVar[Callable[[], Dropbox | Drive]]
    checksums: ClassVar[Mapping[Checksum, Callable[[bytes], bytes]]]

    @pytest.fixture(autouse=True)
    def _served(self, _no_remotes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        self.cloud = type(self).kind()
        with proxied(self.cloud, tmp_path) as environment:
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            yield

    def make(self, objects: Mapping[bytes, bytes]) -> Target:
        self.cloud.put({b"xrays/" + key: data for key, data in objects.items()})
        return target_of("cloud:xrays")

    def test_the_reported_checksums_are_those_of_the_bytes(self, target: Target) -> None:
        with open_store(target) as store:
            reported = {copy.key: copy.digests for copy in listed(store)}
        assert reported == {
            key: {checksum: compute(data) for checksum, compute in self.checksums.items()}
            for key, data in self.objects.items()
        }

    def test_a_listing_reads_no_content_and_asks_for_each_page_once(self, target: Target) -> None:
        self.cloud.put({f"xrays/many/{number}".encode(): b"x" for number in range(95)})
        self.cloud.page = 10
        with open_store(target) as store:
            self.cloud.asked.clear()
            assert len(listed(store)) == len(self.objects) + 95
        assert not self.cloud.content_bytes
        pages = self.cloud.asked["list"] or self.cloud.asked["list_folder"] + self.cloud.asked["list_folder/continue"]
        # Ten or eleven pages of objects, a request for each of five folders.
        assert 10 <= pages <= 16


def md5(data: bytes) -> bytes:
    """MD5."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def sha1(data: bytes) -> bytes:
    """SHA-1."""
    return hashlib.sha1(data, usedforsecurity=False).digest()


def sha256(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


class TestDropbox(CloudContract):
    """The real client, a fake Dropbox."""

    kind = Dropbox
    checksums: ClassVar = {Checksum(Algorithm.SHA256, 4 * 1024 * 1024): content_hash}
    # More than one of Dropbox's blocks of 4 MiB.
    objects: ClassVar = {**OBJECTS, b"large": os.urandom(5 * 1024 * 1024)}


class TestDrive(CloudContract):
    """The real client, a fake Google Drive."""

    kind = Drive
    checksums: ClassVar = {
        Checksum(Algorithm.MD5): md5,
        Checksum(Algorithm.SHA1): sha1,
        Checksum(Algorithm.SHA256): sha256,
    }


@pytest.fixture(params=[Dropbox, Drive], ids=["dropbox", "drive"])
def cloud(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A fake provider that holds two objects in a folder."""
    with fake(request.param(), tmp_path, monkeypatch) as one:
        yield one


def refusal(target: Target) -> str:
    """Give the code with which a store cannot be examined, on entering or listing."""
    with pytest.raises(StoreUnavailable) as caught, open_store(target) as store:
        listed(store)
    message = str(caught.value)
    assert message.startswith("cloud: ")
    assert "\n" not in message
    assert "xrays" not in message
    return caught.value.code


def reading(target: Target, key: bytes, first_bytes: int | None = None, **changes: Any) -> bytes | Problem | OSError:
    """Read one object of a store, and give its bytes or what was wrong."""
    with open_store(target) as store:
        copy = replace(next(copy for copy in listed(store) if copy.key == key), **changes)
        for _, stream in store.read([copy], first_bytes):
            try:
                return stream if isinstance(stream, Problem) else content(stream)
            except OSError as error:
                return error
    raise AssertionError


def test_a_provider_that_asks_for_patience_is_given_it(cloud: Cloud) -> None:
    with open_store(target_of("cloud:xrays")) as store:
        cloud.faults.throttle = 1
        assert len(listed(store)) == 2
    assert cloud.asked["throttled"] == 1


def test_a_provider_that_never_answers_is_rate_limited(cloud: Cloud) -> None:
    cloud.faults.throttle = 1000
    assert refusal(target_of("cloud:xrays")) == "rate_limited"


def test_a_provider_that_asks_for_patience_while_it_is_read_is_given_it(cloud: Any) -> None:
    with open_store(target_of("cloud:xrays")) as store:
        copies = listed(store)
        cloud.faults.throttle = 1
        assert sorted(len(content(stream)) for _, stream in store.read(copies)) == [10_000, 20_000]
    assert cloud.asked["throttled"] == 1


def test_a_token_that_is_revoked_between_listing_and_reading_proves_nothing(cloud: Any) -> None:
    with open_store(target_of("cloud:xrays")) as store:
        copies = listed(store)
        cloud.faults.revoked = True
        assert {stream for _, stream in store.read(copies)} <= {Problem.PERMISSION, Problem.IO_ERROR}
    assert not cloud.content_bytes


def test_a_token_that_has_expired_is_renewed(cloud: Any) -> None:
    Path(os.environ["RCLONE_CONFIG"]).write_text(cloud.config(expired=True))
    cloud.faults.renews = True
    assert reading(target_of("cloud:xrays"), b"one.dcm") == b"1" * 10_000
    assert cloud.asked["token"] == 1


def test_a_revoked_token_is_a_refused_login(cloud: Cloud) -> None:
    cloud.faults.revoked = True
    assert refusal(target_of("cloud:xrays")) == "login_refused"


def test_an_expired_token_is_a_refused_login(cloud: Cloud) -> None:
    config = Path(os.environ["RCLONE_CONFIG"])
    config.write_text(cloud.config(expired=True))
    assert refusal(target_of("cloud:xrays")) == "login_refused"
    assert cloud.asked["token"]


def test_a_folder_that_is_not_there_is_missing(cloud: Cloud) -> None:
    assert refusal(target_of("cloud:elsewhere")) == "missing"


def test_a_provider_out_of_reach_is_told_apart(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCLONE_HTTP_PROXY", "http://127.0.0.1:9")
    assert refusal(target_of("cloud:xrays")) == "unreachable"
    assert not cloud.asked


@pytest.mark.parametrize("fault", ["cut", "empty"])
def test_a_body_that_is_too_short_is_an_error(cloud: Any, fault: str) -> None:
    getattr(cloud.faults, fault).update({"/xrays/one.dcm", "one.dcm"})
    assert isinstance(reading(target_of("cloud:xrays"), b"one.dcm"), OSError)
    assert reading(target_of("cloud:xrays"), b"deep/two.dcm") == b"2" * 20_000


def test_an_object_deleted_since_has_vanished(cloud: Any) -> None:
    with open_store(target_of("cloud:xrays")) as store:
        copies = listed(store)
        cloud.faults.gone.update({"/xrays/one.dcm", "one.dcm"})
        read = {copy.key: stream for copy, stream in store.read(copies)}
    assert read[b"one.dcm"] is Problem.VANISHED
    assert not isinstance(read[b"deep/two.dcm"], Problem)


def test_an_object_that_the_provider_does_not_send_has_not_vanished(cloud: Any) -> None:
    cloud.faults.refused.update({"/xrays/one.dcm", "one.dcm"})
    # rclone keeps the reason to itself.
    assert reading(target_of("cloud:xrays"), b"one.dcm") is Problem.IO_ERROR


def test_an_object_of_another_size_than_was_listed_is_changing(cloud: Any) -> None:
    assert cloud
    assert reading(target_of("cloud:xrays"), b"one.dcm", size=9_999) is Problem.CHANGING


def test_a_wrong_checksum_is_passed_on_as_reported(cloud: Any) -> None:
    cloud.faults.lying.update({"/xrays/one.dcm", "one.dcm"})
    with open_store(target_of("cloud:xrays")) as store:
        copy = next(copy for copy in listed(store) if copy.key == b"one.dcm")
        read = [content(stream) for _, stream in store.read([copy])]
    computed = {"dropbox": content_hash, "drive": sha256}[type(cloud).__name__.lower()]
    assert computed(b"another") in copy.digests.values()
    assert read == [b"1" * 10_000]


def test_no_more_than_the_first_bytes_is_fetched(cloud: Any) -> None:
    assert reading(target_of("cloud:xrays"), b"deep/two.dcm", 500) == b"2" * 500
    assert cloud.content_bytes == 500
    assert reading(target_of("cloud:xrays"), b"one.dcm", 50_000) == b"1" * 10_000


def test_a_provider_that_fails_in_the_middle_never_leaves_a_shorter_listing(cloud: Any) -> None:
    cloud.put({f"xrays/{number}".encode(): b"x" for number in range(300)})
    with open_store(target_of("cloud:xrays")) as store:
        # Up to the last of seven pages, or the one folder below.
        cloud.page = 50
        cloud.faults.fails_after = 8
        try:
            found = list(store.listing(""))
        except StoreUnavailable:
            # rclone prints Drive's entries by the hundred: perhaps none was printed yet.
            return
    assert Gap(scope=b"", reason=Problem.IO_ERROR) in found
    assert any(isinstance(item, Copy) for item in found)


ONE = '{"Path":"a","Name":"a","Size":1,"ModTime":"2026-01-02T03:04:05Z","IsDir":false}'


@pytest.mark.parametrize(
    ("printed", "found"),
    [
        (f"[\\n{ONE},\\n{ONE}\\n]\\n", ["copy", "copy"]),
        (f"[\\n{ONE},\\n{ONE}\\n", ["copy", "copy", "gap"]),
        (f"[\\n{ONE},\\n{ONE[:20]}", ["copy", "gap"]),
        ("[\\n", "failed"),
        ("", "failed"),
        (f"[\\n{ONE}\\nsomething else\\n]\\n", "failed"),
        ('[\\n{"Path":"a"}\\n]\\n', "failed"),
        ("[\\n]\\n", []),
    ],
)
def test_the_listing_of_a_made_up_rclone_is_whole_or_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, found: list[str] | str
) -> None:
    put(tmp_path / "store", OBJECTS)
    made_up = tmp_path / "made up"
    made_up.write_text(f"#!/bin/sh\nprintf '{printed}'\n")
    made_up.chmod(0o755)
    with open_store(target_of(f":local:{tmp_path}/store")) as store:
        monkeypatch.setattr("exactcopy.stores.rclone.installed", lambda where: str(made_up))
        assert kinds_of(store) == found


def kinds_of(store: Store) -> list[str] | str:
    """Give what a listing consists of, or the code with which it ends."""
    try:
        return [type(item).__name__.lower() for item in store.listing("")]
    except StoreUnavailable as error:
        return error.code


def test_a_folder_that_may_not_be_listed_is_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake(Dropbox(), tmp_path, monkeypatch) as cloud:
        cloud.put({b"xrays/another.dcm": b"3"})
        cloud.faults.refused.add("/xrays/deep")
        with open_store(target_of("cloud:xrays")) as store:
            found = list(store.listing(""))
    assert Gap(scope=b"deep", reason=Problem.PERMISSION) in found
    # rclone gives up there: it may not have come to all others.
    assert Gap(scope=b"", reason=Problem.PERMISSION) in found


def test_a_folder_that_vanishes_is_never_an_empty_one(tmp_path: Path) -> None:
    put(tmp_path / "store", {b"image": b"1"})
    with open_store(target_of(f":local:{tmp_path}/store")) as store:
        shutil.rmtree(tmp_path / "store")
        with pytest.raises(StoreUnavailable) as caught:
            listed(store)
    assert caught.value.code == "missing"
    assert str(tmp_path) not in str(caught.value)


def test_two_objects_of_one_name_keep_their_checksums_and_are_not_read(drive: Drive) -> None:
    folder = next(item.id for item in drive.items.values() if item.name == "xrays")
    other = drive.add("one.dcm", folder, data=b"other bytes")
    with open_store(target_of("cloud:xrays")) as store:
        copies = {copy.key: copy for copy in listed(store)}
        read = {copy.key: stream for copy, stream in store.read(copies.values())}
        unmarked = [stream for _, stream in store.read([Copy(key=b"one.dcm\0x", size=1, modified=0)])]
    assert {key: copy.problem for key, copy in copies.items()} == {
        b"deep/two.dcm": None,
        b"one.dcm": Problem.AMBIGUOUS,
        b"one.dcm\0" + other.encode(): Problem.AMBIGUOUS,
    }
    digests = {copy.digests[Checksum(Algorithm.SHA256)] for copy in copies.values()}
    assert digests == {sha256(b"1" * 10_000), sha256(b"2" * 20_000), sha256(b"other bytes")}
    assert {key for key, stream in read.items() if stream is Problem.AMBIGUOUS} == set(copies) - {b"deep/two.dcm"}
    assert unmarked == [Problem.AMBIGUOUS]


def test_of_two_folders_of_one_name_one_is_a_gap(drive: Drive) -> None:
    folder = next(item.id for item in drive.items.values() if item.name == "xrays")
    drive.add("three.dcm", drive.add("deep", folder, mime=FOLDER), data=b"3")
    with open_store(target_of("cloud:xrays")) as store:
        found = list(store.listing(""))
    # rclone looks folders up by their names and lists one of the two, twice.
    assert [item for item in found if isinstance(item, Gap)] == [Gap(scope=b"deep", reason=Problem.AMBIGUOUS)]
    copies = {item.key: item.problem for item in found if isinstance(item, Copy)}
    assert len(copies) == 2
    assert copies.pop(b"one.dcm") is None
    assert set(copies.values()) == {Problem.AMBIGUOUS}


@pytest.mark.parametrize("times", range(3))
def test_a_folder_of_a_drive_that_fails_is_never_left_out_in_silence(drive: Drive, times: int) -> None:
    drive.put({f"xrays/{number}/{times}.dcm".encode(): b"x" for number in range(3)})
    drive.faults.unlisted.add("1")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: whole(target_of("cloud:xrays")), range(24)))
    assert found == [False] * 24


def whole(target: Target) -> bool:
    """Say whether a listing claims to be whole."""
    with open_store(target) as store:
        return not any(isinstance(item, Gap) for item in store.listing(""))


def test_documents_and_shortcuts_are_names_without_bytes(drive: Drive) -> None:
    folder = next(item.id for item in drive.items.values() if item.name == "xrays")
    one = next(item.id for item in drive.items.values() if item.name == "one.dcm")
    elsewhere = drive.add("elsewhere", mime=FOLDER)
    drive.add("primary.dcm", elsewhere, data=b"the primary itself")
    drive.add("minutes", folder, mime=DOCUMENT)
    drive.add("short.dcm", folder, mime=SHORTCUT, leads_to=one)
    drive.add("short", folder, mime=SHORTCUT, leads_to=elsewhere)
    drive.add("round", folder, mime=SHORTCUT, leads_to=folder)
    drive.add("deleted.dcm", folder, data=b"in the bin", trashed=True)
    with open_store(target_of("cloud:xrays")) as store:
        copies = listed(store)
        assert {copy.key: copy.problem for copy in copies} == {
            b"one.dcm": None,
            b"deep/two.dcm": None,
            b"minutes.docx": Problem.DOCUMENT,
            b"short.dcm": Problem.ALIAS,
            b"short/primary.dcm": Problem.ALIAS,
        }
        aliases = [copy for copy in copies if copy.problem]
        assert [stream for _, stream in store.read(aliases)] == [copy.problem for copy in aliases]
    assert not drive.content_bytes


def test_a_crypt_remote_is_encrypted_and_reports_nothing(tmp_path: Path) -> None:
    hidden = subprocess.run([RCLONE, "obscure", SECRET], check=True, capture_output=True, text=True).stdout.strip()
    config = tmp_path / "crypt.conf"
    config.write_text(f"[safe]\ntype = crypt\nremote = {tmp_path}/store\npassword = {hidden}\n")
    put(tmp_path / "plain", {b"image": b"1" * 100_000})
    subprocess.run([RCLONE, "--config", str(config), "copy", str(tmp_path / "plain"), "safe:"], check=True)
    with open_store(target_of("safe:", config)) as store:
        copies = listed(store)
        assert store.safeguards().seen[Safeguard.ENCRYPTION].answer is Answer.PASS
        assert [(copy.key, copy.size, dict(copy.digests)) for copy in copies] == [(b"image", 100_000, {})]
        assert [content(stream) for _, stream in store.read(copies)] == [b"1" * 100_000]


def test_an_alias_is_seen_through(tmp_path: Path) -> None:
    config = tmp_path / "alias.conf"
    config.write_text(f"[short]\ntype = alias\nremote = {tmp_path}/store\n[local]\ntype = drive\n")
    put(tmp_path / "store", {b"image": b"1"})
    with open_store(target_of("short:", config)) as store:
        assert not any(copy.digests for copy in listed(store))


def test_a_remote_of_another_name_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty.conf").touch()
    assert refusal(target_of("nope:xrays", tmp_path / "empty.conf")) == "no_remote"


def test_a_locked_configuration_is_told_apart(tmp_path: Path) -> None:
    config = tmp_path / "locked.conf"
    config.write_text("[nas]\ntype = local\n")
    encrypt = [RCLONE, "--config", str(config), "config", "encryption", "set", "--password-command", "echo secret"]
    subprocess.run(encrypt, check=True, capture_output=True)
    assert refusal(target_of("nas:xrays", config)) == "config_locked"
    config.write_text(config.read_text()[:50])
    assert refusal(target_of("nas:xrays", config)) == "bad_config"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    assert refusal(target_of(f":local:{tmp_path}/file")) == "missing"


@pytest.mark.parametrize(
    ("name", "value"), [("MAX_DEPTH", "1"), ("EXCLUDE", "*"), ("LOG_FILE", "/dev/null"), ("RC_ADDR", "x")]
)
def test_what_surrounds_the_audit_does_not_shorten_a_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    put(tmp_path / "store", OBJECTS)
    monkeypatch.setenv(f"RCLONE_{name}", value)
    with open_store(target_of(f":local:{tmp_path}/store")) as store:
        assert len(listed(store)) == len(OBJECTS)


@pytest.mark.parametrize("installed", [None, "rclone v1.60.1-DEV"])
def test_a_missing_or_old_rclone_names_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: str | None
) -> None:
    if installed:
        (tmp_path / "rclone").write_text(f"#!/bin/sh\necho '{installed}'\n")
        (tmp_path / "rclone").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "elsewhere" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    target = target_of(":local:/tmp")
    with serve([target]) as targets:
        assert targets == [target]
    with pytest.raises(StoreUnavailable) as caught, open_store(target):
        pass
    assert caught.value.code == "no_rclone"
    assert str(caught.value).endswith('Install it: pip install "exactcopy[rclone]"')


def running(word: str) -> dict[int, str]:
    """Give the command lines that hold `word`, by process."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line:
            found[int(process.name)] = line
    return found


def ended(address: str) -> bool:
    """Say whether every process that names an address is gone within a few seconds."""
    for _ in range(60):
        if not running(address):
            return True
        time.sleep(0.1)
    return False


def test_one_rclone_serves_every_store_of_a_configuration_and_no_argument_is_secret(tmp_path: Path) -> None:
    put(tmp_path / "store", {b"image": b"1"})
    other = replace(target_of(":local:/tmp"), kind="folder", name="usb")
    with serve([target_of(f":local:{tmp_path}/store"), other, target_of(":local:/tmp")]) as (one, folder, two):
        assert folder == other
        assert one.options["server"] == two.options["server"]
        server = one.options["server"]
        address = server["url"].removeprefix("http://")
        assert running(address)
        with open_store(one) as store:
            assert len(listed(store)) == 1
            assert not running(server["password"])
            assert not running(server["user"])
    assert ended(address)


def test_a_stranger_gets_nothing_from_the_server(tmp_path: Path) -> None:
    put(tmp_path / "store", {b"image": b"1"})
    with serve([target_of(f":local:{tmp_path}/store")]) as (target,):
        server = {**target.options["server"], "password": "guessed"}
        with pytest.raises(StoreUnavailable), open_store(replace(target, options={**target.options, "server": server})):
            pass


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_parent_that_is_killed_leaves_no_rclone(how: signal.Signals) -> None:
    code = (
        "import sys, time; from exactcopy.model import *; from exactcopy.stores.rclone.server import serve\n"
        "target = Target(name='x', role=Role.BACKUP, kind='rclone', identity='', options={'remote': ':local:/tmp'})\n"
        "with serve([target]) as (one,):\n"
        "    print(one.options['server']['url'], flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        address = parent.stdout.readline().strip().removeprefix("http://")
        assert running(address)
        parent.send_signal(how)
        parent.wait()
    assert ended(address)


def test_nothing_that_writes_can_be_called(tmp_path: Path) -> None:
    with serve([target_of(f":local:{tmp_path}")]) as (target,), open_store(target) as store:
        http = store._http  # type: ignore[attr-defined]
        with pytest.raises(ValueError, match="operations/deletefile"):
            call(http, "cloud", "operations/deletefile", fs=":local:/tmp", remote="x")


def test_a_content_that_is_replaced_in_place_is_another_version(cloud: Any) -> None:
    before = versions()
    # The same name, size, time and id, and the checksum of other bytes.
    cloud.faults.lying.update({"/xrays/one.dcm", "one.dcm"})
    after = versions()
    assert before.keys() == after.keys()
    assert before[b"one.dcm"] != after[b"one.dcm"]
    assert before[b"deep/two.dcm"] == after[b"deep/two.dcm"]


def versions() -> dict[bytes, str | None]:
    """List the fake provider's folder."""
    with open_store(target_of("cloud:xrays")) as store:
        return {copy.key: copy.version for copy in listed(store)}


def test_on_a_mock_what_lies_in_cold_storage_is_listed_and_named() -> None:
    with moto() as mock:
        admin = mock.admin()
        admin.create_bucket(Bucket="cold")
        for key, kind in {"glacier": "GLACIER", "deep": "DEEP_ARCHIVE", "instant": "GLACIER_IR", "warm": None}.items():
            admin.put_object(Bucket="cold", Key=key, Body=b"1", **({"StorageClass": kind} if kind else {}))
        keys = f"access_key_id={ADMIN.id},secret_access_key={ADMIN.secret},region=us-east-1"
        remote = f":s3,provider=AWS,env_auth=false,force_path_style=true,{keys},endpoint='{mock.endpoint}':cold"
        with open_store(target_of(remote)) as store:
            copies = listed(store)
    assert {copy.key for copy in copies if copy.problem is Problem.ARCHIVED} == {b"glacier", b"deep"}
    assert len(copies) == 4
    assert all(copy.digests for copy in copies)
