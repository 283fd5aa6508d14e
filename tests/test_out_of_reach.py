"""A store that is gone while it is read: what was left is not called unreadable, and the next audit goes on with it."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from email.message import Message
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exactcopy.errors import StoreUnavailable
from exactcopy.inventory.examining import Examination
from exactcopy.inventory.reading import Chunk, Read, _while_it_answers, read_chunk
from exactcopy.model import Problem
from exactcopy.stores.ahead import AHEAD
from tests.clinic import Clinic, outcomes, source, store
from tests.inventory.test_side_by_side import column, fill, listed_in, reading_of, target_of
from tests.servers import ADMIN, Answer, scripted
from tests.stores.buckets import described, item, only, page
from tests.stores.buckets import target_of as bucket_of
from tests.test_window_audit import audit, sources

GONE = StoreUnavailable("unreachable", "nas", "it is gone", "Find it.")


def problems(read: Read) -> list[object]:
    """Why each object was not read; None for one that was."""
    return [column(row, "problem") if column(row, "sha256") is None else None for row in read.rows]


@pytest.mark.parametrize("size", [1000, 200_000], ids=["in turn", "side by side"])
def test_what_a_folder_had_when_it_was_unplugged_is_out_of_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    folder = tmp_path / "drive"
    folder.mkdir()
    fill(folder, [size] * 60)
    planned = listed_in(target_of(folder))
    real, ended = Examination.end, iter(range(100))

    def end(self: Examination, *rest: Any) -> Any:
        if next(ended) == 20:
            folder.rename(tmp_path / "elsewhere")
        return real(self, *rest)

    monkeypatch.setattr(Examination, "end", end)
    read = read_chunk(Chunk(0, reading_of(folder), planned))
    assert read.lost is not None
    assert read.lost.code == "missing"
    found = problems(read)
    assert set(found) == {None, Problem.OUT_OF_REACH}
    assert found.count(None) >= 21
    assert sorted(row[0] for row in read.rows) == sorted(row[0] for row in planned)


def test_a_store_that_is_there_keeps_what_cannot_be_read_of_it_and_goes_on(tmp_path: Path) -> None:
    fill(tmp_path, [1000] * 60)
    planned = listed_in(target_of(tmp_path))
    for number in range(10, 40):
        (tmp_path / f"file-{number:03}").unlink()
    for number in range(25, 40):
        (tmp_path / f"file-{number:03}").mkdir()
    read = read_chunk(Chunk(0, reading_of(tmp_path), planned))
    assert read.lost is None
    expected = [None] * 10 + [Problem.VANISHED] * 15 + [Problem.IO_ERROR] * 15 + [None] * 20
    assert problems(read) == expected


@pytest.mark.parametrize("size", [1000, 200_000], ids=["in turn", "side by side"])
def test_what_a_server_had_when_it_fell_silent_is_out_of_reach(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int
) -> None:
    """On a script: it hangs up on everyone once it gave so many objects."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ADMIN.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ADMIN.secret)
    # The SDK tries as often as ever and does not wait between.
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    data = source("CT_small.dcm")[:1000] + bytes(size)
    names = [f"image{number:02}" for number in range(60)]
    answers = {name: Answer(body=data, headers=described(data)) for name in names}
    given = iter(range(10_000))

    def answer(path: str, headers: Message) -> Answer:
        if next(given) >= 20 if path.startswith("/b/image") else gone:
            gone.append(path)
            asked_by_sdk.update([path] if "amz-sdk-invocation-id" in headers and "/image" in path else [])
            raise ConnectionError
        return only({"list": page(*(item(name, data) for name in names)), **answers})(path, headers)

    gone: list[str] = []
    asked_by_sdk: set[str] = set()
    with scripted(answer) as endpoint:
        target = bucket_of(endpoint, "b")
        planned = listed_in(target)
        read = read_chunk(Chunk(0, replace(reading_of(tmp_path), target=target), planned))
    assert read.lost is not None
    assert read.lost.code == "unreachable"
    found = problems(read)
    assert 16 <= found.count(None) <= 20
    # Of those that were asked for together one may fail while a later one still comes.
    assert Problem.IO_ERROR not in found[20 + AHEAD :]
    assert found.count(Problem.OUT_OF_REACH) >= 40 - AHEAD
    # Those that were under way are not asked for again, one after the other; the next ones are, several at a time.
    assert len(asked_by_sdk) <= 1 + 2 * AHEAD


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 4), st.integers(1, 4))
def test_once_a_store_is_gone_no_more_is_tried_and_no_chunk_is_lost(lost: list[bool], most: int, ahead: int) -> None:
    reading = reading_of(Path())
    row = (b"key", 1, None, None, None, None, None, None, None)
    chunks = [Chunk(number, reading, (row,)) for number in range(len(lost))]
    tried: list[int] = []

    def read(some: Iterator[Chunk]) -> Iterator[tuple[Chunk, Read]]:
        # As a pool does: a few are under way before the first is done.
        under_way = []
        for chunk in some:
            tried.append(chunk.number)
            under_way.append(chunk)
            if len(under_way) == ahead:
                first = under_way.pop(0)
                yield first, Read(lost=GONE if lost[first.number] else None)
        for chunk in under_way:
            yield chunk, Read(lost=GONE if lost[chunk.number] else None)

    done = list(_while_it_answers(iter(chunks), read, most))
    assert [chunk.number for chunk, _ in done] == list(range(len(lost)))
    run = most + 1
    given_up = next((n for n in range(len(lost) - run + 1) if all(lost[n : n + run])), None)
    expected = len(lost) if given_up is None else min(len(lost), given_up + run + ahead - 1)
    assert tried == list(range(expected))
    for chunk, result in done[expected:]:
        assert [(found[0], found[-1]) for found in result.rows] == [(chunk.listed[0][0], Problem.OUT_OF_REACH)]


@pytest.mark.usefixtures("lean")
def test_the_next_audit_goes_on_where_a_drive_was_unplugged(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=("usb",))
    clinic.fill(4, 6, "MR_small.dcm")
    clinic.stores["usb"] = 'read = "all"'
    elsewhere = tmp_path / "unplugged"
    # A busy machine may have read nothing before that.
    for seconds in (5, 8, 16):
        Timer(seconds, lambda: (tmp_path / "usb").rename(elsewhere)).start()
        first = audit(clinic, concurrency=1, max_rate=30_000)
        shutil.move(elsewhere, tmp_path / "usb")
        said = dict(first.record.audit)
        read = 0 if store(said, "usb")["error"] else sources(clinic, "usb").get("read", 0)
        if read:
            break
    assert 0 < read < 24
    assert sources(clinic, "usb") == {"read": read, "out_of_reach": 24 - read}
    assert outcomes(said, "usb") == {"identical": read, "unknown": 24 - read}
    assert (said["complete"], said["not_examined"][-1]["reason"]) == (False, "out_of_reach")
    [warning] = [line for line in first.warnings if line.startswith("usb: it no longer answered")]
    assert f"{24 - read} of its files were not read" in warning

    again = dict(audit(clinic).record.audit)
    assert sources(clinic, "usb") == {"carried": read, "read": 24 - read}
    assert (outcomes(again, "usb"), again["complete"]) == ({"identical": 24}, True)


@pytest.mark.parametrize("forever", [False, True])
def test_what_alone_was_not_answered_is_asked_for_again_and_then_unreadable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, forever: bool
) -> None:
    """On a script: it hangs up on whoever asks for one of its objects, for ever or as long as anyone would try."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ADMIN.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ADMIN.secret)
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    data = source("CT_small.dcm")[:1000] + bytes(300_000)
    names = [f"image{number:02}" for number in range(30)]
    answers = {name: Answer(body=data, headers=described(data)) for name in names}
    by_sdk: list[str] = []

    def answer(path: str, headers: Message) -> Answer:
        if path.endswith("image07") and (forever or len(by_sdk) < 5):
            by_sdk.extend([path] if "amz-sdk-invocation-id" in headers else [])
            raise ConnectionError
        return only({"list": page(*(item(name, data) for name in names)), **answers})(path, headers)

    with scripted(answer) as endpoint:
        target = bucket_of(endpoint, "b")
        planned = listed_in(target)
        read = read_chunk(Chunk(0, replace(reading_of(tmp_path), target=target), planned))
    assert read.lost is None
    assert len(read.rows) == 30
    found = {row[0]: why for row, why in zip(read.rows, problems(read), strict=True) if why is not None}
    assert found == ({b"image07": Problem.IO_ERROR} if forever else {})
