"""References in the environment and in real files; no message holds what they lead to."""

import os
from pathlib import Path

import pytest

from exactcopy.errors import StoreUnavailable
from exactcopy.stores.secrets import header, resolve

SECRET = "S3CRET pass:wörd"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (SECRET, SECRET),
        (f"{SECRET}\n", SECRET),
        (f"{SECRET}\r\n", SECRET),
        (f"\ufeff{SECRET}\n", SECRET),
        (f" {SECRET} \n", f" {SECRET} "),
    ],
)
def test_a_file_gives_its_text_without_its_last_line_break(tmp_path, content, expected):
    path = tmp_path / "a:b"
    path.write_bytes(content.encode())
    assert resolve(f"file:{path}", "cloud") == expected


def test_the_environment_gives_what_is_set_there(monkeypatch):
    monkeypatch.setenv("EXACTCOPY_TEST", SECRET)
    assert resolve("env:EXACTCOPY_TEST", "cloud") == SECRET


def test_a_header_is_a_reference_or_stands_for_itself(monkeypatch):
    monkeypatch.setenv("EXACTCOPY_TEST", "S3CRET")
    assert header("env:EXACTCOPY_TEST", "cloud") == "S3CRET"
    assert header("environment: test", "cloud") == "environment: test"


def test_a_secret_that_no_header_can_hold_is_told_and_not_shown(monkeypatch):
    monkeypatch.setenv("EXACTCOPY_TEST", "S3CRET…")
    with pytest.raises(StoreUnavailable, match=r"^cloud: a secret that .* is not ASCII\. Write it again") as caught:
        header("env:EXACTCOPY_TEST", "cloud")
    assert caught.value.code == "secret_unusable"
    assert "S3" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b"\n", "S3CRET\n".encode("utf-16"), b"\xffS3CRET"])
def test_a_file_without_a_secret_is_told_without_its_path(tmp_path, content):
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    _refused(f"file:{path}", "secret_missing", "cloud: the file of a secret is missing, unreadable or empty. ")


def test_a_folder_and_a_path_that_cannot_be_one_hold_no_secret(tmp_path):
    for path in (tmp_path, "a\0b", ""):
        _refused(f"file:{path}", "secret_missing", "cloud: the file of a secret is missing, unreadable or empty. ")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_holds_no_secret(tmp_path):
    path = tmp_path / "token"
    path.write_text("S3CRET")
    path.chmod(0)
    _refused(f"file:{path}", "secret_missing", "cloud: the file of a secret is missing, unreadable or empty. ")


def test_a_variable_that_is_not_set_or_empty_is_named(monkeypatch):
    expected = (
        "cloud: the environment variable EXACTCOPY_TEST is missing, unreadable or empty."
        " Set it for the account that runs the audit."
    )
    monkeypatch.delenv("EXACTCOPY_TEST", raising=False)
    _refused("env:EXACTCOPY_TEST", "secret_missing", expected)
    monkeypatch.setenv("EXACTCOPY_TEST", "")
    _refused("env:EXACTCOPY_TEST", "secret_missing", expected)


@pytest.mark.parametrize("content", ["S3CRET\nHost: other", "S3CRET\n\n", "S3CRET\r\r\n", "S3\x1bCRET", "S3\0CRET"])
def test_what_would_break_a_header_is_no_secret(tmp_path, content):
    path = tmp_path / "token"
    path.write_bytes(content.encode())
    _refused(f"file:{path}", "secret_unusable", "cloud: the file of a secret holds a control character or two lines. ")


@pytest.mark.parametrize("text", ["S3CRET", "", "ENV:S3CRET", "vault:S3CRET"])
def test_what_is_no_reference_is_not_taken_and_not_shown(text):
    with pytest.raises(ValueError, match=r"^no reference to a secret$"):
        resolve(text, "cloud")


def _refused(reference: str, code: str, message: str) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        resolve(reference, "cloud")
    assert caught.value.code == code
    assert str(caught.value).startswith(message)
    scheme, _, name = reference.partition(":")
    assert "S3" not in str(caught.value)
    assert scheme == "env" or not name or str(Path(name)) not in str(caught.value)
    # A traceback shows the cause, and a decoder's holds the bytes.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
