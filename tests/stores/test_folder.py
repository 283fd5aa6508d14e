"""A folder as a store: the contract, and what only file systems do."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from exactcopy.errors import ObjectChanged, StoreUnavailable
from exactcopy.model import Copy, Gap, Problem, Role, Target
from exactcopy.stores import open_store
from tests.stores.contract import OBJECTS, StoreContract, content, listed

NOBODY = 65534


def target_of(path: Path, **options: object) -> Target:
    """Give the Target of a folder."""
    return Target(name="usb", role=Role.BACKUP, kind="folder", identity="", options={"path": str(path), **options})


def put(root: Path, objects: Mapping[bytes, bytes]) -> None:
    """Write objects below a folder."""
    for key, data in objects.items():
        path = os.path.join(os.fsencode(root), key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)


class TestFolder(StoreContract):
    """The contract, with the names that only POSIX allows."""

    objects: ClassVar[Mapping[bytes, bytes]] = {
        **OBJECTS,
        b"latin \xe9\xff.dcm": b"3",
        b"n" * 255: b"4",
        b"line\nbreak.dcm": b"5",
    }

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.root = tmp_path / "store"
        self.root.mkdir()

    def make(self, objects: Mapping[bytes, bytes]) -> Target:
        put(self.root, objects)
        return target_of(self.root)


def test_links_and_special_files_are_listed_and_never_opened(tmp_path: Path) -> None:
    root = tmp_path / "store"
    put(root, {b"image": b"bytes"})
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"not ours")
    (root / "link").symlink_to(outside / "secret")
    (root / "folder link").symlink_to(outside)
    (root / "link within").symlink_to("image")
    os.mkfifo(root / "fifo")
    with open_store(target_of(root)) as store:
        copies = {copy.key: copy for copy in listed(store)}
        assert {key: copy.problem for key, copy in copies.items()} == {
            b"image": None,
            b"link": Problem.LINK_OUTSIDE,
            b"folder link": Problem.LINK_OUTSIDE,
            b"link within": Problem.LINK,
            b"fifo": Problem.SPECIAL,
        }
        # Even where somebody swaps a file for a link or a FIFO after the listing.
        asked = [Copy(key=key, size=1, modified=0) for key in (b"link", b"fifo", b"folder link")]
        assert [stream for _, stream in store.read(asked)] == [Problem.IO_ERROR] * 3


def test_a_file_that_changes_while_it_is_read_says_so(tmp_path: Path) -> None:
    put(tmp_path, {b"growing": b"x" * 5000})
    with open_store(target_of(tmp_path)) as store:
        for _, stream in store.read(listed(store)):
            assert not isinstance(stream, Problem)
            assert stream.readinto(bytearray(1000)) == 1000
            with (tmp_path / "growing").open("ab") as file:
                file.write(b"more")
            with pytest.raises(ObjectChanged):
                content(stream)


def test_reading_leaves_access_times_alone(tmp_path: Path) -> None:
    put(tmp_path, {b"image": b"bytes"})
    os.utime(tmp_path / "image", (1_000_000, 2_000_000))
    with open_store(target_of(tmp_path)) as store:
        assert [content(stream) for _, stream in store.read(listed(store))] == [b"bytes"]
    assert (tmp_path / "image").stat().st_atime == 1_000_000


def test_a_missing_folder_is_not_examined(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable) as caught, open_store(target_of(tmp_path / "gone")):
        pass
    assert caught.value.code == "missing"
    assert "gone" not in str(caught.value)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable), open_store(target_of(tmp_path / "file")):
        pass


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that any account can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="exactcopy-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_what_may_not_be_read_is_a_gap_or_a_problem(shared_folder: Path) -> None:
    put(shared_folder, {b"open/image": b"1", b"closed/image": b"2", b"secret": b"3"})
    for path in shared_folder.rglob("*"):
        path.chmod(0o755)
    for name in ("closed", "secret"):
        (shared_folder / name).chmod(0o000)
    child = os.fork()
    if not child:
        # Root may read everything: look at it as somebody else.
        status = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            unprivileged_view(shared_folder)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    (shared_folder / "closed").chmod(0o700)
    assert os.waitstatus_to_exitcode(status) == 0


def unprivileged_view(root: Path) -> None:
    """Look at a folder without the right to read all of it."""
    with open_store(target_of(root)) as store:
        found = [item for partition in store.partitions() for item in store.listing(partition)]
        gaps = [(item.scope, item.reason) for item in found if isinstance(item, Gap)]
        assert gaps == [(b"closed", Problem.PERMISSION)], gaps
        copies = [item for item in found if isinstance(item, Copy)]
        problems = {copy.key: stream for copy, stream in store.read(copies) if isinstance(stream, Problem)}
        assert problems == {b"secret": Problem.PERMISSION}, problems
