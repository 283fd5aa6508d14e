"""What all tests share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sample_data.generate import make_clinic
from tests.clinic import environment


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real DICOM files, which is never part of this repository."""
    beside = Path(__file__).parents[2] / "shared" / "corpus"
    folder = Path(os.environ.get("EXACTCOPY_CORPUS", beside))
    if not (folder / "MANIFEST.csv").is_file():
        pytest.skip("the corpus of real DICOM files is missing; EXACTCOPY_CORPUS may name its folder")
    return folder


@pytest.fixture(scope="session")
def sample_audit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder of the sample clinic, and what its audit by the command line printed."""
    folder = tmp_path_factory.mktemp("sample") / "clinic"
    config = make_clinic(folder)
    done = subprocess.run(
        [sys.executable, "-m", "exactcopy", "audit", str(config)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return folder, done


@pytest.fixture
def without_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the reports, which take longest and are tested elsewhere."""
    monkeypatch.setattr("exactcopy.recording.write_reports", lambda folder: [])
