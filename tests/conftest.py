"""What all tests share."""

import fcntl
import json
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
def sample_audit(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder of the sample clinic, and what its audit by the command line printed: one for all workers."""
    of_this_run = tmp_path_factory.getbasetemp()
    folder = (of_this_run if worker_id == "master" else of_this_run.parent) / "sample"
    folder.mkdir(exist_ok=True)
    printed = folder / "printed.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not printed.exists():
            done = subprocess.run(
                [sys.executable, "-m", "exactcopy", "audit", str(make_clinic(folder / "clinic"))],
                env=environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            printed.write_text(json.dumps([done.args, done.returncode, done.stdout, done.stderr]))
    return folder / "clinic", subprocess.CompletedProcess(*json.loads(printed.read_text()))


@pytest.fixture
def without_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the reports empty, which take longest and are tested elsewhere."""

    def empty(folder: Path) -> None:
        (folder / "report.html").touch()

    monkeypatch.setattr("exactcopy.recording._key", lambda config: (None, []))
    monkeypatch.setattr("exactcopy.recording.write_pages", empty)
    monkeypatch.setattr("exactcopy.recording.write_pdf", lambda *_: [])


@pytest.fixture
def without_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the self-test for passed: it takes as long as all the rest, and is tested elsewhere."""
    from exactcopy.results import SelfTest

    passed = SelfTest(planted=1, found=1, missed=(), sound=0, alarms=())
    for module in ("audit", "drift"):
        monkeypatch.setattr(f"exactcopy.{module}.self_test", lambda *arguments: passed)
