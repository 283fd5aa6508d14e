"""What all tests share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real DICOM files, which is never part of this repository."""
    beside = Path(__file__).parents[2] / "shared" / "corpus"
    folder = Path(os.environ.get("EXACTCOPY_CORPUS", beside))
    if not (folder / "MANIFEST.csv").is_file():
        pytest.skip("the corpus of real DICOM files is missing; EXACTCOPY_CORPUS may name its folder")
    return folder


@pytest.fixture
def without_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the reports, which take longest and are tested elsewhere."""
    monkeypatch.setattr("exactcopy.recording.write_reports", lambda folder: [])
