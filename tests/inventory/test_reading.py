"""Each object is read once, in a stream; one that changes meanwhile is read again."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from exactcopy.dicom.header import HeaderReader
from exactcopy.inventory.examining import Reading
from exactcopy.inventory.reading import Chunk, read_chunk
from exactcopy.inventory.schema import INVENTORY
from exactcopy.model import Problem, Role, Target
from exactcopy.tokens import Ledger
from tests.clinic import source

CT = source("CT_small.dcm")


def read(folder: Path) -> dict[str, object]:
    """Read the one file of a folder and give its row."""
    target = Target(name="pacs", role=Role.PRIMARY, kind="folder", identity="", options={"path": str(folder)})
    listed_row = (b"image", len(CT), 0, None, None, None, None, None, None)
    reading = Reading(target=target, started=7, ledger=Ledger(folder=Path()))
    (row,) = read_chunk(Chunk(0, reading, (listed_row,))).rows
    return dict(zip(INVENTORY, row, strict=True))


def meddle(monkeypatch: pytest.MonkeyPatch, path: Path, times: int) -> None:
    """Append to a file while it is being read, that many times."""
    left = iter(range(times))

    real = HeaderReader.feed

    def feed(self: HeaderReader, chunk: Any) -> None:
        real(self, chunk)
        if next(left, None) is not None:
            with path.open("ab") as file:
                file.write(b"\0\0")

    monkeypatch.setattr(HeaderReader, "feed", feed)


def test_a_row_holds_what_the_bytes_say(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(CT)
    row = read(tmp_path)
    assert row["sha256"] == hashlib.sha256(CT).digest()
    assert (row["size"], row["modality"], row["problem"], row["read_at"]) == (len(CT), "CT", None, 7)


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "image"
    path.write_bytes(CT)
    meddle(monkeypatch, path, times=1)
    row = read(tmp_path)
    assert row["sha256"] == hashlib.sha256(path.read_bytes()).digest()
    assert row["size"] == len(CT) + 2


def test_a_file_that_never_rests_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "image"
    path.write_bytes(CT)
    meddle(monkeypatch, path, times=1000)
    row = read(tmp_path)
    assert row["problem"] == Problem.CHANGING
    assert (row["sha256"], row["sop_instance_uid"], row["read_at"]) == (None, None, None)
