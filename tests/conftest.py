"""What all tests share."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exactcopy import stores
from exactcopy.dicom.quiet import pydicom_quietly
from exactcopy.pool import Pool
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


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    """Let go of the store that a test read in this process: while its threads live, no pool is forked any more."""
    yield
    if stores._kept:
        stores._let_go()


@pytest.fixture
def without_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the reports empty, which take longest and are tested elsewhere."""

    def empty(folder: Path) -> None:
        (folder / "report.html").touch()

    monkeypatch.setattr("exactcopy.recording._key", lambda config: (None, []))
    monkeypatch.setattr("exactcopy.recording.write_pages", empty)
    monkeypatch.setattr("exactcopy.recording.write_pdf", lambda *_: [])


class _Kept(Pool):
    """A pool that stays when an audit leaves it."""

    def __exit__(self, *_: object) -> None:
        """Go on."""

    def end(self) -> None:
        """End the workers, and the thread that looks after them: beside it no other pool is forked."""
        super().__exit__(None, None, None)


@pytest.fixture(scope="module")
def _worker() -> Iterator[_Kept]:
    worker = _Kept(1, prepare=pydicom_quietly)
    yield worker
    worker.end()


@pytest.fixture
def ready_worker(monkeypatch: pytest.MonkeyPatch, _worker: _Kept) -> None:
    """Give audits of folders in this process one worker that is there already. What a test patches it does not see."""
    monkeypatch.setattr("exactcopy.comparing.Pool", lambda **_: _worker)


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have workers forked even beside a thread that is idle: what a test patched is theirs only then."""
    monkeypatch.setattr("exactcopy.pool.threading.active_count", lambda: 1)


@pytest.fixture
def lean(monkeypatch: pytest.MonkeyPatch, without_pages: None) -> None:
    """Let an audit in this process do without pages, the self-test and a second worker: all are tested elsewhere."""
    from exactcopy.results import SelfTest

    passed = SelfTest(planted=1, found=1, missed=(), sound=0, alarms=())
    for module in ("audit", "drift"):
        monkeypatch.setattr(f"exactcopy.{module}.self_test", lambda *_: passed)
    # Where a server of the test has a thread, each worker is started anew and imports everything.
    monkeypatch.setattr("exactcopy.pool.cores", lambda: 1)
