"""Workers: what kills one fails alone, and none outlives its parent."""

import faulthandler
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exactcopy.pool import Died, Pool
from tests.clinic import environment


def work(task: int) -> int:
    """Double a number; some tasks are poisoned."""
    if task == 3:
        faulthandler.disable()
        os.kill(os.getpid(), signal.SIGSEGV)
    if task == 5:
        time.sleep(60)
    return 2 * task


def test_a_task_that_kills_its_worker_fails_alone() -> None:
    with Pool(2) as pool:
        results = dict(pool.map(work, (task for task in range(20) if task != 5)))
    assert results[3] == Died()
    assert {task: result for task, result in results.items() if task != 3} == {
        task: 2 * task for task in range(20) if task not in (3, 5)
    }


def test_a_task_that_never_ends_dies() -> None:
    began = time.monotonic()
    with Pool(2) as pool:
        results = dict(pool.map(work, [4, 5, 6], seconds=2))
    assert results == {4: 8, 5: Died(), 6: 12}
    assert time.monotonic() - began < 50


def test_workers_end_with_a_killed_parent() -> None:
    program = (
        "import os, time; from exactcopy.pool import Pool; pool = Pool(2);"
        " print(*{pid for _, pid in pool.map(os.getpgid, [0] * 4)}, os.getpid(), flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment(), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        group = int(parent.stdout.readline().split()[0])
        parent.kill()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("a worker outlived its parent")


def test_a_worker_whose_parent_was_killed_before_it_first_looked_ends_too(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    gone = subprocess.Popen(["true"])
    gone.wait()
    program = (
        "import sys, time, pathlib; from exactcopy.pool import _begin;"
        f" _begin({gone.pid}, None, pathlib.Path({str(scratch)!r})); time.sleep(60)"
    )
    ended = subprocess.run([sys.executable, "-c", program], env=environment(), timeout=20, check=False)
    assert ended.returncode == 1
    assert not scratch.exists()


def write_on(folder: Path | None) -> None:
    """Write into a folder for a minute, if there is one."""
    if folder:
        for number in range(6000):
            (folder / str(number)).touch()
            time.sleep(0.01)


def stop_while_writing(folder: Path) -> None:
    """Leave a pool by an error while one of its workers writes."""
    with Pool(2) as pool:
        for _ in pool.map(write_on, [folder, None, None]):
            while not any(folder.iterdir()):
                time.sleep(0.01)
            raise SystemExit


def test_after_an_error_no_worker_writes_any_more(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        stop_while_writing(tmp_path)
    before = sorted(tmp_path.iterdir())
    time.sleep(0.5)
    assert sorted(tmp_path.iterdir()) == before


def kill_or_double(task: int) -> int:
    """Kill this worker for one task in three; double any other."""
    if task % 3 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * task


def test_workers_that_die_again_and_again_lose_only_their_own_tasks() -> None:
    with Pool(2) as pool:
        results = dict(pool.map(kill_or_double, range(12)))
    assert results == {task: Died() if task % 3 == 0 else 2 * task for task in range(12)}
