"""A folder as a store: the contract, and what only file systems do."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from exactcopy.errors import ObjectChanged, StoreUnavailable
from exactcopy.inventory.examining import Reading
from exactcopy.inventory.reading import Chunk, read_chunk
from exactcopy.inventory.schema import INVENTORY
from exactcopy.model import Answer, Copy, Gap, Problem, Role, Safeguard, Seen, Target
from exactcopy.stores import open_store
from exactcopy.tokens import Ledger
from tests.stores.contract import OBJECTS, StoreContract, content, listed
from tests.stores.drives import in_memory, mount_memory

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
        # What may not be listed may hold anything: that one file is open shows, that none is would not.
        rights = store.safeguards().seen[Safeguard.FILE_RIGHTS]
        assert (rights.answer, rights.count) == (Answer.FAIL, 1), rights


def rights_of(root: Path) -> Seen | None:
    """List a folder and give what is said of its files' rights."""
    with open_store(target_of(root)) as store:
        assert Safeguard.FILE_RIGHTS not in store.safeguards().seen, "nothing was listed yet"
        for partition in store.partitions():
            list(store.listing(partition))
        return store.safeguards().seen.get(Safeguard.FILE_RIGHTS)


def set_rights(root: Path, folders: Mapping[str, int], files: int) -> None:
    """Give all files below `root` these rights, and its folders by name theirs; others are closed to nobody."""
    for path in root.rglob("*"):
        path.chmod(folders.get(path.name, 0o755) if path.is_dir() else files)


@pytest.mark.parametrize(
    ("files", "folder", "count", "word"),
    [
        (0o640, 0o755, 0, None),
        (0o644, 0o755, 2, "read"),
        (0o666, 0o755, 2, "change"),
        (0o600, 0o1777, 0, None),  # sticky, as /tmp is: nobody replaces what another made
        (0o600, 0o777, 1, "change"),
        (0o644, 0o750, 1, "read"),  # one of the two lies in a folder that others may not enter
    ],
)
def test_files_that_are_open_to_everybody_are_counted(
    shared_folder: Path, files: int, folder: int, count: int, word: str | None
) -> None:
    put(shared_folder, {b"study/1": b"1", b"other/2": b"2"})
    set_rights(shared_folder, {"study": folder}, files)
    seen = rights_of(shared_folder)
    assert seen is not None
    assert (seen.answer, seen.count) == (Answer.FAIL if count else Answer.PASS, count)
    assert (word or "") in seen.detail
    shared_folder.chmod(0o700)
    assert rights_of(shared_folder) == Seen(answer=Answer.PASS, count=0), "nobody else can come here"


def test_files_below_a_folder_that_is_closed_are_open_to_nobody(shared_folder: Path) -> None:
    put(shared_folder, {b"closed/store/study/1": b"1"})
    set_rights(shared_folder, {"closed": 0o700}, 0o666)
    assert rights_of(shared_folder / "closed" / "store") == Seen(answer=Answer.PASS, count=0)


def test_without_a_whole_listing_no_file_is_called_closed(shared_folder: Path) -> None:
    put(shared_folder, {b"study/1": b"1"})
    set_rights(shared_folder, {}, 0o600)
    with open_store(target_of(shared_folder)) as store:
        next(iter(store.listing("")))
        assert Safeguard.FILE_RIGHTS not in store.safeguards().seen
    (shared_folder / "study" / "1").unlink()
    assert rights_of(shared_folder) is None, "there was no file"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux drops what it holds in memory on demand")
def test_reading_the_medium_finds_nothing_of_the_file_in_memory(tmp_path: Path) -> None:
    put(tmp_path, {b"written just now": os.urandom(300_000), b"old": os.urandom(300_000)})
    old = tmp_path / "old"
    # A copy that keeps times: its bytes are as little on the medium yet as the other's.
    os.utime(old, (1_000_000, 1_000_000))
    expected = {os.fsencode(path.name): path.read_bytes() for path in tmp_path.iterdir()}
    with open_store(target_of(tmp_path, drop_cache=True)) as store:
        if store.safeguards().reads != "medium":
            pytest.skip("the test's folder lies on no disk of this computer")
        assert all(in_memory(path) == 74 for path in tmp_path.iterdir())
        for copy, stream in store.read(listed(store)):
            path = tmp_path / os.fsdecode(copy.key)
            assert in_memory(path) == 0
            assert content(stream) == expected[copy.key]
    with open_store(target_of(tmp_path)) as store:
        assert store.safeguards().reads == "cache"
        assert [in_memory(tmp_path / os.fsdecode(copy.key)) for copy, _ in store.read(listed(store))] == [74, 74]


def test_reading_memory_is_never_called_reading_the_medium(tmp_path: Path) -> None:
    with mount_memory(tmp_path):
        put(tmp_path, {b"image": b"bytes"})
        with open_store(target_of(tmp_path, drop_cache=True)) as store:
            shown = store.safeguards()
    assert (shown.filesystem, shown.reads, shown.disk) == ("tmpfs", "cache", None)


def test_what_is_mounted_below_is_part_of_what_is_said(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    with mount_memory(tmp_path / "below"):
        put(tmp_path, {b"below/image": b"bytes"})
        with open_store(target_of(tmp_path, drop_cache=True)) as store:
            before = store.safeguards()
            listed(store)
            after = store.safeguards()
    if before.reads != "medium":
        pytest.skip("the test's folder lies on no disk of this computer")
    assert before.disk is not None
    assert (after.reads, after.disk) == ("cache", None)
    assert after.device == before.device


def test_free_space_is_that_of_the_folder(tmp_path: Path) -> None:
    with mount_memory(tmp_path, "size=1m"), open_store(target_of(tmp_path)) as store:
        assert store.safeguards().free == 1 << 20


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="/proc/self/mem is missing: its beginning has no bytes")
def test_a_real_input_output_error_is_told_and_gives_no_digest() -> None:
    target = target_of(Path("/proc/self"))
    status = os.stat("/proc/self/mem")
    memory = Copy(key=b"mem", size=status.st_size, modified=status.st_mtime_ns)
    with open_store(target) as store:
        for _, stream in store.read([memory]):
            with pytest.raises(OSError, match="Input/output error"):
                content(stream)
    listed_row = (memory.key, memory.size, memory.modified, None, None, None, None, None, None)
    reading = Reading(target=target, started=1, ledger=Ledger(folder=Path()))
    (row,) = read_chunk(Chunk(0, reading, (listed_row,))).rows
    known = dict(zip(INVENTORY, row, strict=True))
    assert (known["problem"], known["sha256"], known["read_at"]) == (Problem.IO_ERROR, None, None)


def test_an_empty_place_is_a_drive_that_is_absent(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable) as caught, open_store(target_of(tmp_path, volumes=("A", "B"))):
        pass
    assert caught.value.code == "drive_absent"
    # Something lies there that is none of the drives: that is worse than a drive that is away.
    (tmp_path / "left behind").write_bytes(b"")
    with pytest.raises(StoreUnavailable) as caught, open_store(target_of(tmp_path, volumes=("A", "B"))):
        pass
    assert caught.value.code == "wrong_volume"


@pytest.mark.parametrize(
    "trash", [".Trash-1000", ".Trashes", ".trash", "$RECYCLE.BIN", "#recycle", "@Recycle", ".recycle", ".dropbox.cache"]
)
def test_what_lies_in_a_trash_folder_is_deleted(tmp_path: Path, trash: str) -> None:
    deep = tmp_path / "share" / trash / "files"
    deep.mkdir(parents=True)
    (deep / "a.dcm").write_bytes(b"a")
    (tmp_path / "share" / "recycled study").mkdir()
    (tmp_path / "share" / "recycled study" / "b.dcm").write_bytes(b"b")
    with open_store(target_of(tmp_path)) as store:
        found = {copy.key: copy.problem for copy in listed(store)}
    assert found == {
        f"share/{trash}/files/a.dcm".encode(): Problem.DELETED,
        b"share/recycled study/b.dcm": None,
    }
