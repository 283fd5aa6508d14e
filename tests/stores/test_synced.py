"""Sync clients are known by the marks that they leave; what they keep in the cloud is never opened."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from exactcopy.model import Problem
from exactcopy.stores import open_store
from exactcopy.stores.synced import stand_in, sync_client
from tests.clinic import environment
from tests.stores.contract import content, listed
from tests.stores.test_folder import put, target_of


@pytest.mark.parametrize(
    ("mark", "client"),
    [
        (".dropbox", "Dropbox"),
        (".dropbox.cache/", "Dropbox"),
        (".tmp.drivedownload/", "Google Drive"),
        (".tmp.driveupload/", "Google Drive"),
        (".shortcut-targets-by-id/", "Google Drive"),
        (".849C9593-D756-4E56-8D6E-42412F2A707B", "OneDrive"),
    ],
)
def test_a_client_is_known_by_its_mark_in_any_folder_above(tmp_path: Path, mark: str, client: str) -> None:
    images = tmp_path / "kept in step" / "clinic" / "images"
    images.mkdir(parents=True)
    assert sync_client(os.fsencode(images)) is None
    place = tmp_path / "kept in step" / mark
    if mark.endswith("/"):
        place.mkdir()
    else:
        place.write_bytes(b"")
    assert sync_client(os.fsencode(images)) == client
    assert sync_client(os.fsencode(tmp_path / "kept in step")) == client
    assert sync_client(os.fsencode(tmp_path)) is None
    with open_store(target_of(images)) as store:
        assert store.safeguards().synced_by == client


@pytest.mark.parametrize(
    ("folder", "client"),
    [
        ("Users/dana/Library/CloudStorage/GoogleDrive-dana@clinic.example/My Drive/images", "Google Drive"),
        ("Users/dana/Library/CloudStorage/OneDrive-Clinic/images", "OneDrive"),
        ("Users/dana/Library/CloudStorage/Dropbox/images", "Dropbox"),
        ("Users/dana/Library/CloudStorage/Box-Box", "Box"),
        ("Users/dana/Library/CloudStorage/Nutstore/images", "a cloud service"),
        ("Users/dana/Library/Mobile Documents/com~apple~CloudDocs/images", "iCloud Drive"),
        ("home/dana/OneDrive/images", "OneDrive"),
        ("mnt/c/Users/dana/OneDrive - Riverside Imaging/images", "OneDrive"),
        ("Users/dana/Library/CloudStorage", "a cloud service"),
        ("home/dana/OneDrive old/images", None),
        ("media/drive/OneDrive/images", None),
        ("home/dana/Dropbox/images", None),
    ],
)
def test_a_client_is_known_by_where_it_puts_its_folder(tmp_path: Path, folder: str, client: str | None) -> None:
    (tmp_path / folder).mkdir(parents=True)
    assert sync_client(os.fsencode(tmp_path / folder)) == client


def test_dropbox_says_itself_where_its_folders_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    info = tmp_path / ".dropbox" / "info.json"
    info.parent.mkdir()
    inside, beside = tmp_path / "Clinic Dropbox" / "images", tmp_path / "Clinic Dropbox 2"
    inside.mkdir(parents=True)
    beside.mkdir()
    info.write_text(json.dumps({"business": {"path": str(tmp_path / "Clinic Dropbox"), "is_team": True}}))
    assert sync_client(os.fsencode(inside)) == "Dropbox"
    assert sync_client(os.fsencode(beside)) is None, "a home with the client's own folder is no synchronized one"
    for nonsense in ("", "[]", '{"business": 1}', '{"business": {"path": 7}}', "\0"):
        info.write_text(nonsense)
        assert sync_client(os.fsencode(inside)) is None


def made_sparse(path: Path, size: int) -> None:
    """Make a file as a client leaves it on Linux: its size shows, and nothing of it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
    if path.stat().st_blocks:
        pytest.skip("the file system of the test has no sparse files")


def test_what_lies_only_in_the_cloud_is_listed_as_that_and_never_opened(tmp_path: Path) -> None:
    put(tmp_path, {b"here": b"bytes", b"empty": b"", b".image.dcm.icloud": b"bplist", b"notes.GDOC": b"{}"})
    (tmp_path / ".dropbox.cache").mkdir()
    made_sparse(tmp_path / "in the cloud.dcm", 5000)
    expected = {
        b"here": None,
        b"empty": None,
        b".image.dcm.icloud": Problem.PLACEHOLDER,
        b"in the cloud.dcm": Problem.PLACEHOLDER,
        b"notes.GDOC": Problem.DOCUMENT,
    }
    with open_store(target_of(tmp_path)) as store:
        copies = listed(store)
        assert {copy.key: copy.problem for copy in copies} == expected
        read = {copy.key: stream if isinstance(stream, Problem) else None for copy, stream in store.read(copies)}
        assert read == expected
    # The interpreter tells of every file that is opened.
    script = (
        "import sys; from pathlib import Path; from tests.stores.test_folder import target_of, open_store, listed\n"
        "sys.addaudithook(lambda event, args: event == 'open' and print(args[0]))\n"
        f"with open_store(target_of(Path({str(tmp_path)!r}))) as store:\n    list(store.read(listed(store)))"
    )
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True)
    assert "here" in done.stdout
    for name in ("in the cloud", "icloud", "GDOC"):
        assert name not in done.stdout


def test_a_sparse_file_elsewhere_is_a_file(tmp_path: Path) -> None:
    made_sparse(tmp_path / "zeros", 5000)
    put(tmp_path, {b"a.cloud": b"1"})
    with open_store(target_of(tmp_path)) as store:
        copies = listed(store)
        assert [copy.problem for copy in copies] == [None, None]
        assert {copy.key: content(stream) for copy, stream in store.read(copies)} == {
            b"zeros": bytes(5000),
            b"a.cloud": b"1",
        }


def test_a_folder_that_is_said_to_be_synchronized_is(tmp_path: Path) -> None:
    made_sparse(tmp_path / "zeros", 5000)
    with open_store(target_of(tmp_path, synced_to="Nextcloud")) as store:
        assert [copy.problem for copy in listed(store)] == [Problem.PLACEHOLDER]
        assert store.safeguards().synced_by == "Nextcloud"


@pytest.mark.parametrize(
    ("mark", "problem"),
    [
        ({"st_flags": 0x40000000}, Problem.PLACEHOLDER),  # macOS: SF_DATALESS
        ({"st_flags": 0x20}, None),  # macOS: UF_COMPRESSED
        ({"st_file_attributes": 0x401620}, Problem.PLACEHOLDER),  # Windows: recall on data access
        ({"st_file_attributes": 0x1020}, Problem.PLACEHOLDER),  # Windows: offline
        ({"st_file_attributes": 0x220}, None),  # Windows: archive, sparse
    ],
)
def test_marks_of_other_systems_in_made_stat_results(mark: dict[str, int], problem: Problem | None) -> None:
    status = cast("os.stat_result", SimpleNamespace(st_size=5000, st_blocks=0, **mark))
    assert stand_in(b"image.dcm", status, synced=False) is problem
