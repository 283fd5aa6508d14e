"""Servers of S3, started when a test first needs them, and their accounts."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fake_clouds import Drive, Dropbox, fake
from tests.servers import Keys, S3Server, moto, rclone_s3, seaweed
from tests.stores.buckets import without_obstore, without_plain_requests


@pytest.fixture(scope="session")
def weed() -> Iterator[S3Server]:
    """SeaweedFS, which knows its own accounts and their rights."""
    with seaweed(encryption_key="a passphrase for the tests") as server:
        yield server


@pytest.fixture(scope="session")
def rclone() -> Iterator[S3Server]:
    """The sloppy server."""
    with rclone_s3() as server:
        yield server


@pytest.fixture(scope="session")
def mock() -> Iterator[S3Server]:
    """A mock of AWS."""
    with moto() as server:
        yield server


@pytest.fixture
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this computer's own AWS settings is seen."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture
def login(_alone: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[Keys], None]:
    """Make these the keys that the SDK finds."""

    def as_account(keys: Keys) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys.id)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys.secret)

    return as_account


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK tries as often as ever and does not wait between."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)


@pytest.fixture
def _no_plain_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """What obstore does not read is read by the SDK."""
    without_plain_requests(monkeypatch)


@pytest.fixture(params=["obstore", "plain requests", "the SDK"])
def reads_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read with obstore, as if it were not installed, and by the SDK alone."""
    name: str = request.param
    if name == "obstore":
        pytest.importorskip("obstore")
    else:
        without_obstore(monkeypatch)
    if name == "the SDK":
        without_plain_requests(monkeypatch)
    return name


@pytest.fixture
def _no_remotes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may see the remotes of whoever runs it."""
    for name in [name for name in os.environ if name.startswith("RCLONE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RCLONE_CONFIG", str(tmp_path / "none.conf"))
    (tmp_path / "none.conf").touch()


@pytest.fixture
def drive(_no_remotes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drive]:
    """A fake Drive behind the real client, which holds xrays/one.dcm and xrays/deep/two.dcm."""
    with fake(Drive(), tmp_path, monkeypatch) as one:
        yield one


@pytest.fixture
def dropbox(_no_remotes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dropbox]:
    """A fake Dropbox behind the real client, which holds the same."""
    with fake(Dropbox(), tmp_path, monkeypatch) as one:
        yield one
