"""A real Dask scheduler and real workers on loopback, each a process that ends by its number."""

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.clinic import environment


@dataclass
class Dask:
    """One scheduler and its workers. Each worker has a folder of its own below `root`, and a log."""

    root: Path
    address: str
    surroundings: Mapping[str, str]
    scheduler: "subprocess.Popen[bytes]"
    workers: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def add(self, name: str, *options: str, **surroundings: str) -> None:
        """Start a worker with one thread; it has joined when an audit finds it."""
        folder = self.root / name
        folder.mkdir()
        command = ["worker", self.address, "--nthreads", "1", "--no-dashboard", "--name", name, *options]
        command += ["--local-directory", str(folder), "--memory-limit", "0"]
        self.workers[name] = _start(command, {**self.surroundings, **surroundings}, self.root / f"{name}.log")

    def kill(self, name: str) -> None:
        """Kill a worker with SIGKILL, and leave what it started."""
        self.workers[name].kill()
        self.workers.pop(name).wait(20)

    def working(self, name: str) -> list[int]:
        """Return the processes that a worker without a nanny has started to do tasks."""
        number = self.workers[name].pid
        found = [each for task in Path(f"/proc/{number}/task").glob("*/children") for each in task.read_text().split()]
        return [int(each) for each in found if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]

    def stop_scheduler(self) -> None:
        """Kill the scheduler."""
        self.scheduler.kill()
        self.scheduler.wait(20)

    def log(self) -> str:
        """Return all that the scheduler and the workers said."""
        return "".join(path.read_text(errors="replace") for path in self.root.glob("*.log"))


@contextmanager
def dask(root: Path, protocol: str = "tcp", **surroundings: str) -> Iterator[Dask]:
    """Give a scheduler on a free port of loopback, without workers; all of it ends in every ending."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    known = {**environment(), "DASK_TEMPORARY_DIRECTORY": str(root), **surroundings}
    command = ["scheduler", "--protocol", protocol, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dashboard-address", "127.0.0.1:0"]
    scheduler = _start(command, known, root / "scheduler.log")
    started = Dask(root, f"{protocol}://127.0.0.1:{port}", known, scheduler)
    try:
        yield started
    finally:
        # What a nanny started, and what a worker did, ends with it.
        for process in (*started.workers.values(), scheduler):
            process.kill()
            process.wait(20)


def _start(arguments: list[str], surroundings: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments], env=dict(surroundings), stdout=file, stderr=file
        )
