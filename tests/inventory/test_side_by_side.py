"""Objects that are read side by side give the rows that they give one after the other."""

import hashlib
import os
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from exactcopy.digest import LANES, MD5, lanes
from exactcopy.inventory import side_by_side
from exactcopy.inventory.examining import Examination, Reading, Row
from exactcopy.inventory.reading import Chunk, Listed, _chunks, read_chunk
from exactcopy.inventory.schema import INVENTORY
from exactcopy.model import Problem, Role, Target
from exactcopy.stores import open_store
from exactcopy.tokens import Ledger
from tests.clinic import source
from tests.servers import ADMIN, rclone_s3
from tests.stores.buckets import put
from tests.stores.buckets import target_of as bucket_of
from tests.stores.contract import listed

CT = source("CT_small.dcm")
LARGE = 200_000


@pytest.fixture(autouse=True)
def _whatever_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "lanes_pay", lambda: True)


def target_of(folder: Path, **bounds: Any) -> Target:
    """The folder as a store; where only so many readers are allowed, one object is read after the other."""
    return Target(name="pacs", role=Role.PRIMARY, kind="folder", identity="", options={"path": str(folder)}, **bounds)


def listed_in(target: Target) -> tuple[Listed, ...]:
    with open_store(target) as store:
        copies = sorted(listed(store), key=lambda copy: copy.key)
    return tuple((c.key, c.size, c.modified, c.inode, c.version, None, None, None, None) for c in copies)


def reading_of(folder: Path, **bounds: Any) -> Reading:
    ledger = Ledger(folder=Path(), key=b"key")
    return Reading(target=target_of(folder, **bounds), started=7, ledger=ledger, checksums=(MD5,))


def read(folder: Path, listed: Iterable[Listed], **bounds: Any) -> dict[bytes, Row]:
    """The rows of a chunk by their keys."""
    rows = read_chunk(Chunk(0, reading_of(folder, **bounds), tuple(listed))).rows
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: row for row in rows}


def column(row: Row, name: str) -> object:
    return row[list(INVENTORY).index(name)]


def fill(folder: Path, sizes: Iterable[int]) -> None:
    """Images and other files, of these sizes."""
    rng = random.Random(5)
    for number, size in enumerate(sizes):
        begin = CT if number % 3 else b""
        content = (begin + rng.randbytes(size))[:size]
        (folder / f"file-{number:03}").write_bytes(content)


def test_rows_are_those_of_reading_one_after_the_other(tmp_path: Path) -> None:
    rng = random.Random(4)
    edges = [0, 1, 65_535, 65_536, 131_071, 131_072, 131_073, 196_608, 262_144, 1_000_001]
    fill(tmp_path, [*edges, *(rng.randrange(100_000, 600_000) for _ in range(40))])
    listed = listed_in(target_of(tmp_path))
    together, in_turn = read(tmp_path, listed), read(tmp_path, listed, concurrency=1)
    assert together == in_turn
    for key, row in together.items():
        content = (tmp_path / os.fsdecode(key)).read_bytes()
        assert column(row, "sha256") == hashlib.sha256(content).digest()


@pytest.mark.parametrize("count", [0, 1, 10, 11, 15, 16, 17, 33])
def test_any_number_of_objects_is_read_whole(tmp_path: Path, count: int) -> None:
    fill(tmp_path, [LARGE + number for number in range(count)])
    rows = read(tmp_path, listed_in(target_of(tmp_path))) if count else {}
    assert len(rows) == count
    assert all(column(row, "digest_source") == "read" for row in rows.values())


def test_what_cannot_be_opened_fails_alone(tmp_path: Path) -> None:
    fill(tmp_path, [LARGE] * 20)
    listed = listed_in(target_of(tmp_path))
    gone = [tmp_path / f"file-{number:03}" for number in (0, 7, 19)]
    for path in gone:
        path.unlink()
    (tmp_path / "file-007").mkdir()
    rows = read(tmp_path, listed)
    problems = {os.fsdecode(key): column(row, "problem") for key, row in rows.items()}
    assert len(rows) == 20
    assert (problems["file-000"], problems["file-019"]) == (Problem.VANISHED, Problem.VANISHED)
    assert problems["file-007"] == Problem.IO_ERROR
    assert sum(column(row, "sha256") is not None for row in rows.values()) == 17


def test_what_was_replaced_since_the_listing_is_read_as_it_is_now(tmp_path: Path) -> None:
    fill(tmp_path, [LARGE] * 14)
    listed = listed_in(target_of(tmp_path))
    (tmp_path / "file-003").write_bytes(CT * 30)
    (tmp_path / "file-004").write_bytes(b"")
    rows = read(tmp_path, listed)
    assert column(rows[b"file-003"], "sha256") == hashlib.sha256(CT * 30).digest()
    assert column(rows[b"file-003"], "size") == len(CT) * 30
    assert (column(rows[b"file-004"], "problem"), column(rows[b"file-004"], "size")) == (Problem.EMPTY, 0)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 70_000)


def touch(path: Path) -> None:
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000))


@pytest.mark.parametrize("change", [grow, shrink, touch])
def test_an_object_that_changes_while_it_is_read_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    fill(tmp_path, [900_000] * 14)
    listed, victim, left = listed_in(target_of(tmp_path)), tmp_path / "file-005", iter(range(1))
    real = Examination.take

    def take(self: Examination, piece: memoryview) -> None:
        real(self, piece)
        if self.copy.key == b"file-005" and next(left, None) is not None:
            change(victim)

    monkeypatch.setattr(Examination, "take", take)
    rows = read(tmp_path, listed)
    # The second try is read alone, and finds it at rest.
    assert column(rows[b"file-005"], "sha256") == hashlib.sha256(victim.read_bytes()).digest()
    found = victim.stat()
    assert (column(rows[b"file-005"], "size"), column(rows[b"file-005"], "modified")) == (
        found.st_size,
        found.st_mtime_ns,
    )
    others = [row for key, row in rows.items() if key != b"file-005"]
    assert all(column(row, "sha256") is not None for row in others)


def test_what_is_left_when_time_is_over_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, [LARGE] * 40)
    real = Examination.take

    def take(self: Examination, piece: memoryview) -> None:
        sleep(0.002)
        real(self, piece)

    monkeypatch.setattr(Examination, "take", take)
    rows = read(tmp_path, listed_in(target_of(tmp_path)), until=datetime.now(UTC) + timedelta(seconds=0.15))
    left = [row for row in rows.values() if column(row, "problem") == Problem.OVER_TIME]
    assert len(rows) == 40
    assert left
    assert all((column(row, "sha256") is None) == (row in left) for row in rows.values())


def test_objects_of_a_bucket_give_the_rows_that_they_give_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ADMIN.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ADMIN.secret)
    rng = random.Random(4)
    with rclone_s3() as server:
        assert server.folder is not None
        put(server, "images", {})
        folder = server.folder / "images"
        sizes = [1, 65_536, 131_071, 131_072, 131_073, 1_000_001, *(rng.randrange(100_000, 600_000) for _ in range(40))]
        fill(folder, sizes)
        target = bucket_of(server.endpoint, "images")
        planned = listed_in(target)
        admin = server.admin()
        admin.delete_object(Bucket="images", Key="file-011")
        admin.put_object(Bucket="images", Key="file-012", Body=CT * 7)
        admin.close()
        rows = {}
        for concurrency in (None, 1):
            reading = replace(reading_of(folder), target=replace(target, concurrency=concurrency))
            read = read_chunk(Chunk(0, reading, planned)).rows
            rows[concurrency] = {row[0]: row for row in read}
            assert len(read) == len(sizes)
        assert rows[None] == rows[1]
        problems = {key: column(row, "problem") for key, row in rows[None].items() if column(row, "sha256") is None}
        assert problems == {b"file-011": Problem.VANISHED, b"file-012": Problem.CHANGING}
        for key, row in rows[None].items():
            if key not in problems:
                assert column(row, "sha256") == hashlib.sha256((folder / os.fsdecode(key)).read_bytes()).digest()


def test_chunks_are_cut_alike_on_every_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = random.Random(2).choices([4000, 500_000, 16_000_000, 300_000_000], k=2000)
    planned: list[Listed] = [(b"%d" % n, size, 0, 0, None, None, None, None, None) for n, size in enumerate(sizes)]

    def cut() -> list[tuple[int, int]]:
        chunks = _chunks(planned, sum(sizes), reading_of(tmp_path), set(), lambda *_: None)
        return [(chunk.number, len(chunk.listed)) for chunk in chunks]

    fast = cut()
    monkeypatch.setattr(side_by_side, "lanes_pay", lambda: False)
    assert cut() == fast
    assert sum(count for _, count in fast) == len(planned)


def test_a_lane_goes_on_alone_from_where_it_was() -> None:
    side_by_side_hashers, fresh = lanes()
    side_by_side_hashers.update([bytes([lane]) * 70_000 for lane in range(LANES)])
    side_by_side_hashers[3] = fresh()
    alone, begun_anew = side_by_side_hashers[5], side_by_side_hashers[3]
    alone.update(b"tail")
    assert alone.digest() == hashlib.sha256(bytes([5]) * 70_000 + b"tail").digest()
    assert begun_anew.digest() == hashlib.sha256().digest()
