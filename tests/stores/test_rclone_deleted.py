"""What was deleted on Google Drive and Dropbox and is kept there: the real rclone, fake providers."""

import os
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exactcopy.digest import DROPBOX
from exactcopy.errors import WindowClosed
from exactcopy.model import UNSIZED, Algorithm, Checksum, Copy, Problem, Target
from exactcopy.stores import Trash, open_store
from exactcopy.stores.rclone import dropbox as asking
from tests.fake_clouds import DOCUMENT, FOLDER, SHORTCUT, Answer, Drive, Dropbox, content_hash, fake, said
from tests.stores.contract import listed
from tests.stores.test_rclone import RCLONE, sha256, target_of

pytestmark = pytest.mark.usefixtures("_no_remotes")
SHA256 = Checksum(Algorithm.SHA256)


def gone(target: Target, missed: Collection[bytes] = ()) -> list[Copy]:
    """Give what was deleted there."""
    with open_store(target) as store:
        assert isinstance(store, Trash)
        return list(store.deleted(missed))


def keys(copies: list[Copy]) -> list[bytes]:
    """Give their keys, in order."""
    return sorted(copy.key for copy in copies)


def last_was(**changes: Any) -> Answer:
    """Answer what a deleted file last was, with changes."""
    last = {"rev": "0a1b2c", "size": 1, "server_modified": "2026-01-02T03:04:05Z", "content_hash": "00" * 32}
    return said(200, is_deleted=True, entries=[last | changes])


def put_into_the_bin(drive: Drive, name: str) -> None:
    """Trash an item, and all below it, as Drive does."""
    (identity,) = [item.id for item in drive.items.values() if item.name == name]
    drive.items[identity].trashed = True
    for item in list(drive.items.values()):
        if item.parent == identity and not item.trashed:
            put_into_the_bin(drive, item.name)


# --- Google Drive -------------------------------------------------------------------------------------------


def test_the_bin_of_a_drive_is_listed_by_the_paths_of_before_with_checksums(drive: Drive) -> None:
    drive.put({b"xrays/away/three.dcm": b"3" * 30_000, b"elsewhere/four.dcm": b"4"})
    for name in ("one.dcm", "away", "four.dcm"):
        put_into_the_bin(drive, name)
    root = next(item.id for item in drive.items.values() if item.name == "xrays")
    # Two of one name were deleted; what has no bytes is no lost image.
    drive.add("one.dcm", root, data=b"another", trashed=True)
    drive.add("minutes", root, mime=DOCUMENT, trashed=True)
    drive.add("short.dcm", root, mime=SHORTCUT, leads_to=root, trashed=True)
    drive.add("empty folder", root, mime=FOLDER, trashed=True)
    found = gone(target_of("cloud:xrays"))
    assert keys(found) == [b"away/three.dcm", b"one.dcm", b"one.dcm"]
    assert {copy.problem for copy in found} == {Problem.DELETED}
    told = {(copy.key, copy.size, copy.digests[SHA256]) for copy in found}
    assert told == {
        (b"away/three.dcm", 30_000, sha256(b"3" * 30_000)),
        (b"one.dcm", 10_000, sha256(b"1" * 10_000)),
        (b"one.dcm", 7, sha256(b"another")),
    }
    with open_store(target_of("cloud:xrays")) as store:
        assert keys(listed(store)) == [b"deep/two.dcm"]
    assert not drive.content_bytes


def test_an_empty_bin_holds_nothing(drive: Drive) -> None:
    assert gone(target_of("cloud:xrays"), [b"one.dcm"]) == []
    assert drive.asked["deleted"]


# --- Dropbox ------------------------------------------------------------------------------------------------


def test_what_was_deleted_on_dropbox_is_what_it_last_was(dropbox: Dropbox) -> None:
    dropbox.put({f"xrays/Away {number}/Ünder/{number}.dcm".encode(): b"%d" % number for number in range(5)})
    dropbox.put({b"other/five.dcm": b"5", b"xrays/gone/for good.dcm": b"6", b"xrays/gone/too": b"7"})
    for path in [path for path in dropbox.objects if path not in ("/xrays/one.dcm", "/xrays/deep/two.dcm")]:
        dropbox.delete(path)
    dropbox.page = 2
    found = gone(target_of("cloud:xrays"))
    # The folders that went with them are no files, and what lay elsewhere is not of this store.
    away = {f"Away {number}/Ünder/{number}.dcm".encode(): b"%d" % number for number in range(5)}
    assert {copy.key: copy.digests[DROPBOX] for copy in found} == {
        key: content_hash(data) for key, data in {**away, b"gone/for good.dcm": b"6", b"gone/too": b"7"}.items()
    }
    (last,) = [copy for copy in found if copy.key == b"gone/too"]
    at = int(datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC).timestamp()) * 10**9
    assert last == Copy(
        key=b"gone/too",
        size=1,
        modified=at,
        version="rev 0a1b2c",
        digests={DROPBOX: content_hash(b"7")},
        problem=Problem.DELETED,
    )
    assert not dropbox.content_bytes


def test_all_of_a_dropbox_may_be_the_store(dropbox: Dropbox) -> None:
    dropbox.delete("/xrays/deep/two.dcm")
    assert keys(gone(target_of("cloud:"))) == [b"xrays/deep/two.dcm"]


def test_dropbox_is_asked_first_about_what_is_missed_and_about_a_few_besides(
    dropbox: Dropbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_BESIDES", 3)
    dropbox.put({f"xrays/{number:02}".encode(): b"%d" % number for number in range(20)})
    for number in range(20):
        dropbox.delete(f"/xrays/{number:02}")
    # There, and never there: neither was deleted.
    found = gone(target_of("cloud:xrays"), [b"one.dcm", b"never", b"19", b"19", b"18"])
    assert keys(found) == [b"%02d" % number for number in range(20)]
    known = {copy.key for copy in found if copy.digests}
    assert known == {b"18", b"19", b"00", b"01", b"02"}
    assert {copy.size for copy in found if not copy.digests} == {UNSIZED}
    assert dropbox.asked["list_revisions"] == 4 + 3
    monkeypatch.setattr(asking, "_MOST_ASKED", 2)
    dropbox.asked.clear()
    gone(target_of("cloud:xrays"), [b"18", b"19", b"17"])
    assert dropbox.asked["list_revisions"] == 2


@pytest.mark.parametrize("status", [401, 429, 500])
def test_dropbox_is_not_asked_on_and_on_where_it_does_not_answer(
    dropbox: Dropbox, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropbox.delete("/xrays/one.dcm")
    revisions = dropbox._revisions
    monkeypatch.setattr(
        dropbox, "_revisions", lambda path: said(status) if "/x" in path.removeprefix("/xrays/") else revisions(path)
    )
    answering = [b"a/%d" % number for number in range(20)]
    found = gone(target_of("cloud:xrays"), [*answering, *(b"a/x%d" % number for number in range(200)), b"one.dcm"])
    # What was deleted is counted all the same; what it was, nobody asked.
    assert found == [Copy(key=b"one.dcm", size=UNSIZED, modified=None, problem=Problem.DELETED)]
    # Each a few times, and those under way beside the last.
    assert dropbox.asked["list_revisions"] < 20 + 4 * 24


def test_what_is_missed_is_found_also_where_the_list_does_not_show_it(
    dropbox: Dropbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list may hold a deleted folder without what lay in it, or break off."""
    dropbox.delete("/xrays/deep/two.dcm")
    for answer in (said(200, entries=[], cursor="c", has_more=False), said(409, error_summary="something")):
        monkeypatch.setattr(dropbox, "_all", lambda path, start, answer=answer: answer)
        assert keys(gone(target_of("cloud:xrays"), [b"deep/two.dcm"])) == [b"deep/two.dcm"]


@pytest.mark.parametrize(
    "answer",
    [
        said(200, is_deleted=True, entries=[]),
        said(200, is_deleted=True, entries=[{"rev": "1", "size": 1, "server_modified": "yesterday"}]),
        said(200, is_deleted="true", entries=[{}]),
        last_was(size=2**63),
        last_was(size=-1),
        last_was(server_modified="9999-12-31T23:59:59Z"),
        last_was(rev="\ud800"),
        last_was(rev="=1+1"),
        last_was(rev=None),
        last_was(content_hash="no hash"),
        said(200),
        Answer(body=b"[]"),
        said(403, error_summary="access_error/.."),
    ],
    ids=[
        "none kept",
        "a senseless time",
        "not said",
        "huge",
        "less than nothing",
        "the end of time",
        "no text",
        "a formula",
        "no revision",
        "no hash",
        "nothing",
        "no answer",
        "refused",
    ],
)
def test_a_deleted_file_of_which_nothing_is_told_is_counted_all_the_same(
    dropbox: Dropbox, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropbox.delete("/xrays/one.dcm")
    monkeypatch.setattr(dropbox, "_revisions", lambda path: answer)
    assert gone(target_of("cloud:xrays"), [b"one.dcm"]) == [
        Copy(key=b"one.dcm", size=UNSIZED, modified=None, problem=Problem.DELETED)
    ]


def test_a_missed_key_in_other_case_is_what_was_deleted(dropbox: Dropbox, monkeypatch: pytest.MonkeyPatch) -> None:
    dropbox.delete("/xrays/one.dcm")
    told = dropbox._revisions("/xrays/one.dcm")
    monkeypatch.setattr(dropbox, "_revisions", lambda path: told)
    (found,) = gone(target_of("cloud:xrays"), [b"ONE.dcm"])
    assert (found.key, found.digests[DROPBOX]) == (b"ONE.dcm", content_hash(b"1" * 10_000))
    assert dropbox.asked["list_revisions"] == 1


def test_hours_that_end_while_nothing_is_found_end_the_look_into_a_bin(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = replace(target_of("cloud:xrays"), until=datetime.now(UTC) + timedelta(days=1))
    every = drive._page

    def slow(query: Mapping[str, str]) -> Answer:
        object.__setattr__(over, "until", datetime.now(UTC))
        return every(query)

    with open_store(over) as store:
        monkeypatch.setattr(drive, "_page", slow)
        assert isinstance(store, Trash)
        with pytest.raises(WindowClosed):
            list(store.deleted([]))


# --- others -------------------------------------------------------------------------------------------------


def test_of_any_other_remote_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "one.dcm").write_bytes(b"1")
    assert gone(target_of(f":local:{tmp_path}"), [b"two.dcm"]) == []


def test_names_that_crypt_made_are_not_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud: Any = Dropbox()
    with fake(cloud, tmp_path, monkeypatch):
        config = Path(os.environ["RCLONE_CONFIG"])
        secret = subprocess.run([RCLONE, "obscure", "secret"], capture_output=True, text=True, check=True).stdout
        config.write_text(f"{config.read_text()}[safe]\ntype = crypt\nremote = cloud:xrays\npassword = {secret}\n")
        cloud.delete("/xrays/one.dcm")
        assert gone(target_of("safe:"), [b"one.dcm"]) == []
        assert not cloud.asked["deleted"]


def test_a_window_that_closes_ends_the_look(dropbox: Dropbox) -> None:
    dropbox.delete("/xrays/one.dcm")
    over = replace(target_of("cloud:xrays"), until=datetime.now(UTC) + timedelta(days=1))
    assert keys(gone(over)) == [b"one.dcm"]
    with open_store(over) as store:
        object.__setattr__(over, "until", datetime.now(UTC))
        assert isinstance(store, Trash)
        with pytest.raises(WindowClosed):
            list(store.deleted([]))


def test_hours_that_end_while_nothing_is_found_end_the_look_at_a_dropbox(
    dropbox: Dropbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropbox.page = 1
    over = replace(target_of("cloud:xrays"), until=datetime.now(UTC) + timedelta(days=1))
    every = dropbox._all

    def slow(path: str, start: int) -> Answer:
        object.__setattr__(over, "until", datetime.now(UTC))
        return every(path, start)

    monkeypatch.setattr(dropbox, "_all", slow)
    with open_store(over) as store:
        assert isinstance(store, Trash)
        with pytest.raises(WindowClosed):
            list(store.deleted([b"never"]))
    assert (dropbox.asked["deleted"], dropbox.asked["list_revisions"]) == (1, 0)
