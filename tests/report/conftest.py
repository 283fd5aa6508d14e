"""Made records, and the one PDF that most of its tests look at."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from exactcopy.report import Record, load_record, write_gaps
from tests.report import audits

Make = Callable[..., Record]


def record(folder: Path, made: tuple[audits.Audit, audits.Rows], **changes: object) -> Record:
    """Write a made audit as a record and load it."""
    audit, rows = made
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(audit | changes, indent=1, ensure_ascii=False)
    (folder / "audit.json").write_text(text + "\n", encoding="utf-8")
    write_gaps(rows, folder / "gaps.csv")
    return load_record(folder)


@pytest.fixture
def made(tmp_path: Path) -> Make:
    """Give the record of a made audit by its name."""

    def make(name: str, **changes: object) -> Record:
        return record(tmp_path / name, audits.ALL[name](), **changes)

    return make
