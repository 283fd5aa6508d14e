"""Real DICOM files to test with: pydicom's own, pydicom-data, and a corpus beside the repository."""

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

CORPUS = Path(os.environ.get("EXACTCOPY_CORPUS") or Path(__file__).resolve().parents[3] / "shared" / "corpus")


def _package(name: str) -> Path:
    """Give the folder of an installed package without importing it."""
    spec = find_spec(name)
    assert spec is not None, f"{name} is needed for the tests"
    assert spec.origin is not None
    return Path(spec.origin).parent


@cache
def packaged() -> tuple[Path, ...]:
    """Give every file of pydicom's data and of pydicom-data, whatever it is."""
    folders = (
        _package("pydicom") / "data" / "test_files",
        _package("pydicom") / "data" / "charset_files",
        _package("pydicom") / "data" / "palettes",
        _package("data_store") / "data",
    )
    return tuple(sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()))


@cache
def corpus() -> tuple[Path, ...]:
    """Give every file of the corpus; none where it is absent."""
    return tuple(sorted(path for path in CORPUS.glob("*") if path.suffix != ".csv")) if CORPUS.is_dir() else ()


def real(name: str) -> bytes:
    """Give one of pydicom's files by its name."""
    return next(path for path in packaged() if path.name == name).read_bytes()


needs_corpus = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="the corpus of real files is missing: set EXACTCOPY_CORPUS to its folder"
)
