"""`exactcopy check` names what is wrong with a remote of rclone and what to do, in one line each."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.clinic import Clinic, environment
from tests.fake_clouds import Drive, Dropbox, proxied
from tests.servers import Keys, S3Server


@pytest.fixture(params=[Dropbox, Drive], ids=["fake-dropbox", "fake-drive"])
def cloud(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dropbox | Drive]:
    """A fake provider behind the real client."""
    one = request.param()
    one.put({b"xrays/one.dcm": b"1"})
    with proxied(one, tmp_path) as variables:
        for name, value in {**variables, "RCLONE_LOW_LEVEL_RETRIES": "2"}.items():
            monkeypatch.setenv(name, value)
        yield one


def configured(folder: Path, remote: str = "cloud:xrays", more: str = "") -> Clinic:
    """Give a clinic with a remote as its only backup."""
    settings = f'[backup.cloud]\nkind = "rclone"\nremote = "{remote}"\nheld_by = "Cloud Ltd"\noffsite = true\n{more}\n'
    clinic = Clinic(folder, backups=(), settings=settings, pdf=True)
    clinic.fill(studies=1, instances=1)
    clinic.configure()
    (folder / "decisions.toml").write_text(
        '[[attest]]\ncontrol = "EC-BA-01"\nparty = "Cloud Ltd"\nstatement = "Signed."\n'
        'by = "Dana"\ntitle = "Official"\non = 2026-01-15\nexpires = 2099-01-01\n'
    )
    return clinic


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Give the one line of the backup; nothing else may be wrong, and nothing else may be said."""
    assert "Traceback" not in done.stderr
    wrong = [line for line in done.stdout.splitlines() if line.startswith("✗")]
    [line] = [line for line in done.stdout.splitlines() if "cloud" in line]
    assert wrong in ([], [line])
    assert done.returncode == (1 if wrong else 0)
    return line


def test_a_remote_that_answers_is_ready(tmp_path: Path, cloud: Dropbox | Drive) -> None:
    assert said(configured(tmp_path).run("check")) == "✓ cloud can be reached."
    # The one byte that shows that it may be read.
    assert cloud.content_bytes == 1


def test_a_login_that_others_may_read_is_told_unless_it_is_locked(tmp_path: Path, cloud: Dropbox | Drive) -> None:
    clinic = configured(tmp_path)
    config = tmp_path / "cloud.conf"
    config.chmod(0o644)
    done = clinic.run("check")
    assert done.returncode == 1
    assert [line for line in done.stdout.splitlines() if line.startswith("✗")] == [
        "✗ cloud: other accounts of this computer may read cloud.conf, by which it is signed in to."
        " Let the account that audits alone read it: chmod 600."
    ]
    # As rclone locks it; which password opens it is another question.
    config.write_text("# Encrypted rclone configuration File\n\nRCLONE_ENCRYPT_V0:\nAAAA\n")
    assert "other accounts" not in clinic.run("check").stdout


def test_a_wrong_remote_name(tmp_path: Path, cloud: Dropbox | Drive) -> None:
    assert said(configured(tmp_path, "clout:xrays").run("check")) == (
        "✗ cloud: the remote's name is not in rclone's configuration."
        " Mend `remote`, or set the remote up with `rclone config`."
    )
    assert not cloud.asked


@pytest.mark.usefixtures("cloud")
def test_a_missing_folder(tmp_path: Path) -> None:
    assert said(configured(tmp_path, "cloud:elsewhere").run("check")) == (
        "✗ cloud: the folder is not there. Mend `remote`."
    )


@pytest.mark.parametrize("token", ["revoked", "expired"])
def test_a_token_that_is_no_longer_good(tmp_path: Path, cloud: Dropbox | Drive, token: str) -> None:
    cloud.faults.revoked = token == "revoked"
    (tmp_path / "cloud.conf").write_text(cloud.config(expired=token == "expired"))
    assert said(configured(tmp_path).run("check")) == (
        "✗ cloud: the provider does not accept the stored login, or it has expired."
        " Log in again with `rclone config reconnect`, or mend its keys with `rclone config`."
    )


def test_no_network(tmp_path: Path, cloud: Dropbox | Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCLONE_HTTP_PROXY", "http://127.0.0.1:9")
    assert said(configured(tmp_path).run("check")) == (
        "✗ cloud: the provider cannot be reached. Check the connection, then audit again."
    )
    assert not cloud.asked


@pytest.fixture
def bucket(tmp_path: Path, weed: S3Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[Keys], None]:
    """A bucket with one object, reached by rclone; give what signs in."""
    admin = weed.admin()
    admin.create_bucket(Bucket="rclone-check")
    admin.put_object(Bucket="rclone-check", Key="xrays/one.dcm", Body=b"1")
    monkeypatch.setenv("RCLONE_CONFIG", str(tmp_path / "none.conf"))

    def sign_in(keys: Keys) -> None:
        for name, value in {
            "TYPE": "s3",
            "PROVIDER": "SeaweedFS",
            "ENDPOINT": weed.endpoint,
            "ACCESS_KEY_ID": keys.id,
            "SECRET_ACCESS_KEY": keys.secret,
        }.items():
            monkeypatch.setenv(f"RCLONE_CONFIG_CLOUD_{name}", value)

    return sign_in


def test_each_fault_of_a_bucket_behind_rclone_is_told_apart(
    tmp_path: Path, weed: S3Server, bucket: Callable[[Keys], None]
) -> None:
    bucket(weed.auditor)
    assert said(configured(tmp_path, "cloud:rclone-check").run("check")) == "✓ cloud can be reached."
    assert said(configured(tmp_path, "cloud:rclone-chess").run("check")) == (
        "✗ cloud: the folder is not there. Mend `remote`."
    )
    assert said(configured(tmp_path, "cloud:rclone-check/elsewhere").run("check")) == (
        "✗ cloud: nothing is stored there. Mend `remote`."
    )
    assert weed.reader
    bucket(weed.reader)
    assert said(configured(tmp_path, "cloud:rclone-check").run("check")) == (
        "✗ cloud: the stored login may not list or read there. Grant it read access."
    )
    for keys in (replace(weed.auditor, secret="wrong"), replace(weed.auditor, id="NOBODY0123456789ABCD")):
        bucket(keys)
        assert said(configured(tmp_path, "cloud:rclone-check").run("check")) == (
            "✗ cloud: the provider does not accept the stored login, or it has expired."
            " Log in again with `rclone config reconnect`, or mend its keys with `rclone config`."
        )


def test_a_configuration_of_rclone_that_is_not_there(tmp_path: Path) -> None:
    assert said(configured(tmp_path, more='config = "elsewhere.conf"').run("check")) == (
        "✗ cloud: `config` names no file. Mend its path."
    )


def test_settings_that_are_not_whole_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCLONE_CONFIG", str(tmp_path / "none.conf"))
    for settings in ({"TYPE": "dropboks"}, {"TYPE": "crypt", "REMOTE": str(tmp_path)}):
        for name, value in settings.items():
            monkeypatch.setenv(f"RCLONE_CONFIG_CLOUD_{name}", value)
        assert said(configured(tmp_path, "cloud:").run("check")) == (
            "✗ cloud: rclone's settings of this remote are not whole or make no sense. Mend them with `rclone config`."
        )


@pytest.mark.parametrize(("version", "what"), [(None, "rclone is not installed"), ("1.60.1", "is too old")])
def test_rclone_itself_is_missing_or_old(tmp_path: Path, version: str | None, what: str) -> None:
    # Beside Python is where rclone is looked for first: a Python with nothing beside it.
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python").symlink_to(sys.executable)
    if version:
        (programs / "rclone").write_text(f"#!/bin/sh\necho 'rclone v{version}-DEV'\n")
        (programs / "rclone").chmod(0o755)
    clinic = configured(tmp_path)
    done = subprocess.run(
        [programs / "python", "-m", "exactcopy", "check"],
        cwd=clinic.root,
        env={**environment(), "PATH": str(programs), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    line = said(done)
    assert line.startswith("✗ cloud: ")
    assert what in line
    assert line.endswith('Install it: pip install "exactcopy[rclone]"')
