"""What a command takes, run by a process of its own: so the peak is its alone."""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from time import perf_counter

from benchmarks import STEP

_ROOT = Path(__file__).parents[1]
# Stands in a command for a folder that is there while it runs.
WORK = "{work}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run of a command took. `cpu` is of all its processes, `peak` of the largest, in MB.

    `step` is how many seconds the command says that its work alone took, without start-up and imports.
    """

    seconds: float
    cpu: float
    peak: float
    step: float | None = None


Runs = Mapping[str, Sequence[Run]]


def in_turn(commands: Mapping[str, Sequence[str]], rounds: Mapping[str, int]) -> dict[str, list[Run]]:
    """Run the commands in turn, each as often as `rounds` says; those that run most often once before, uncounted."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    most = max(rounds.values())
    for number in range(most + 1):
        for name, command in commands.items():
            if number == 0 and rounds[name] == most:
                # It fills the cache.
                measure(command)
            elif 0 < number <= rounds[name]:
                runs[name].append(measure(command))
    return runs


def measure(command: Sequence[str]) -> Run:
    """Run `command` to its end."""
    probe = [sys.executable, "-m", "benchmarks.measuring", *command]
    result = subprocess.run(probe, cwd=_ROOT, check=True, stdout=subprocess.PIPE, text=True)
    seconds, cpu, peak, *step = result.stdout.splitlines()[-1].split()
    return Run(seconds=float(seconds), cpu=float(cpu), peak=float(peak), step=float(step[0]) if step else None)


def median(runs: Sequence[Run], of: Callable[[Run], float]) -> float:
    """Return the median of what `of` takes from each run."""
    return statistics.median(map(of, runs))


def ratio(ours: Sequence[Run], its: Sequence[Run], of: Callable[[Run], float]) -> float:
    """Return the median of our value to its value, run by run."""
    return statistics.median(of(one) / of(other) for one, other in zip(ours, its, strict=False))


def seconds_of(run: Run) -> float:
    """Return the wall time of a whole process."""
    return run.seconds


def step_of(run: Run) -> float:
    """Return the wall time of its work alone, where it tells."""
    return run.seconds if run.step is None else run.step


def cpu_of(run: Run) -> float:
    """Return the processor time of all its processes."""
    return run.cpu


def main() -> None:
    """Run a command, drop what it prints, and print what a `Run` holds."""
    with tempfile.TemporaryDirectory(prefix="exactcopy-bench-work-") as work:
        command = [work if part == WORK else part for part in sys.argv[1:]]
        # An installed package is compiled; where that is switched off, each start would compile it again.
        compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        before = perf_counter()
        said = subprocess.run(
            command, cwd=_ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=compiled
        ).stdout
        seconds = perf_counter() - before
    last = said.rstrip().rpartition(b"\n")[2].decode("utf-8", "replace")
    step = last.removeprefix(STEP) if last.startswith(STEP) else ""
    # Linux counts in KB, macOS in bytes. RUSAGE_CHILDREN is the largest descendant, not their sum.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    used = getrusage(RUSAGE_CHILDREN)
    print(f"{seconds:.4f} {used.ru_utime + used.ru_stime:.4f} {used.ru_maxrss / unit:.1f} {step}")


if __name__ == "__main__":
    main()
