"""The inventory beside its peers, on the same files, in one run: `python -m benchmarks.speed`."""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from benchmarks.archives import link_copy, make_files, rclone
from benchmarks.measuring import WORK, Run, Runs, cpu_of, in_turn, measure, median, ratio, seconds_of, step_of

_RESULTS = Path(__file__).with_name("results.md")
_OURS = "exactcopy inventory"
_BOTH = "exactcopy inventory, of both copies"
_AGAIN = "exactcopy inventory, again by rotation"
_HASHSUM = "rclone hashsum sha256"
_DOWNLOAD = "rclone check --download"
_CHECK = "rclone check"
_HASHDEEP = "hashdeep"
_PYDICOM = "pydicom and hashlib in a loop"
_FLOOR = "read and hashlib"
_READ = "read only"
# Peers that take several times as long run fewer times.
_SLOW_ROUNDS = 2
# Files, and KB of pixels in each; with --small fewer of the larger.
_ARCHIVES = {"tiny": (20_000, 1), "CT": (8000, 512), "DX": (256, 16_384)}
_SMALL = {"tiny": (20_000, 1), "CT": (4000, 512), "DX": (200, 16_384)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What is promised: our value at most `most` times its value, or its value at least `least` times ours."""

    archive: str
    ours: str
    peer: str
    most: float | None = None
    least: float | None = None
    by: Callable[[Run], float] = seconds_of

    def line(self, runs: Runs) -> str:
        """Return the row of the table of bars."""
        taken = ratio(runs[self.ours], runs[self.peer], self.by)
        alone = ratio(runs[self.ours], runs[self.peer], step_of)
        shown = (taken, alone) if self.most is not None else (1 / taken, 1 / alone)
        met = taken <= self.most if self.most is not None else 1 / taken >= (self.least or 0)
        bound = f"at most {self.most} of its time" if self.most is not None else f"at least {self.least} times faster"
        whole = "" if self.by is step_of else f"{shown[0]:.2f}"
        verdict = "met" if met else "**not met**"
        return f"| {self.archive} | {self.ours} | {self.peer} | {bound} | {whole} | {shown[1]:.2f} | {verdict} |"


_BARS = (
    Bar(archive="CT", ours=_OURS, peer=_FLOOR, most=1.1),
    Bar(archive="DX", ours=_OURS, peer=_FLOOR, most=1.1),
    Bar(archive="CT", ours=_OURS, peer=_HASHSUM, most=1.25),
    Bar(archive="DX", ours=_OURS, peer=_HASHSUM, most=1.25),
    Bar(archive="tiny", ours=_OURS, peer=_HASHSUM, most=2.0),
    Bar(archive="CT", ours=_OURS, peer=_PYDICOM, least=3),
    Bar(archive="tiny", ours=_OURS, peer=_PYDICOM, least=8),
    # Imports are excluded there.
    Bar(archive="CT", ours=_AGAIN, peer=_CHECK, least=20, by=step_of),
)


def main() -> int:
    """Make the files where they are not there yet, run all in turn, and print and write the tables."""
    parser = argparse.ArgumentParser(prog="benchmarks.speed", description=__doc__)
    parser.add_argument("--dir", type=Path, help="keep the files here and use them again next time")
    parser.add_argument("--small", action="store_true", help="with archives of 2 and 3 GB; writes nothing")
    parser.add_argument("--only", choices=[*_ARCHIVES, "join"], help="with this alone; writes nothing")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    sections = []
    archives = {
        name: size for name, size in (_SMALL if options.small else _ARCHIVES).items() if options.only in (None, name)
    }
    with _folder(options.dir) as folder:
        measured = {}
        for name, (count, kilobytes) in archives.items():
            runs, title = _measure_archive(folder, name, count, kilobytes, options.rounds, options.workers)
            measured[name] = runs
            sections.append(f"## {name}: {title}\n\n{_table(runs)}")
            print(sections[-1], end="\n\n", flush=True)
        bars = [bar.line(measured[bar.archive]) for bar in _BARS if bar.archive in measured]
    if options.only in (None, "join") and find_spec("benchmarks.scale"):
        sections.append(import_module("benchmarks.scale").section())
        print(sections[-1], end="\n\n")
    if bars:
        sections.insert(0, _bars(bars))
        print(sections[0], end="\n\n")
    if not options.small and options.only is None:
        _RESULTS.write_text("\n\n".join([_head(options.workers), *sections]) + "\n", encoding="utf-8")
        print(f"Written to {_RESULTS.name}.")
    return 0


def _measure_archive(
    folder: Path, name: str, count: int, kilobytes: int, rounds: int, workers: int
) -> tuple[dict[str, list[Run]], str]:
    """Return what each took on an archive, and what is in that."""
    files, copy, kept = folder / name, folder / f"{name}-copy", folder / f"{name}-inventory"
    print(f"Making {count} files of {kilobytes} KB of pixels", file=sys.stderr)
    make_files(files, count, kilobytes)
    link_copy(files, copy)
    total = sum(path.stat().st_size for path in files.rglob("*") if path.is_file())
    commands = {
        _OURS: _inventory(workers, WORK, files),
        _HASHSUM: [rclone(), "hashsum", "sha256", str(files), "--checkers", str(workers), "--quiet"],
        _FLOOR: [sys.executable, "-m", "benchmarks.run_floor", str(files), str(workers)],
        _READ: [sys.executable, "-m", "benchmarks.run_floor", str(files), str(workers), "--read-only"],
        _PYDICOM: [sys.executable, "-m", "benchmarks.run_pydicom", str(files)],
    }
    if found := shutil.which("hashdeep"):
        commands[_HASHDEEP] = [found, "-c", "sha256", "-j", str(workers), "-r", str(files)]
    if name != "tiny":
        commands[_BOTH] = _inventory(workers, WORK, files, copy)
        commands[_DOWNLOAD] = [*_check(files, copy, workers), "--download"]
    if name == "CT":
        shutil.rmtree(kept, ignore_errors=True)
        measure(_inventory(workers, str(kept), files))
        commands[_AGAIN] = _inventory(workers, WORK, files, previous=str(kept / "inventory-0"))
        commands[_CHECK] = _check(files, copy, workers)
    slow = (_PYDICOM, _HASHDEEP, _BOTH, _DOWNLOAD, _CHECK)
    print(f"Measuring on {name}", file=sys.stderr)
    runs = in_turn(commands, {command: _SLOW_ROUNDS if command in slow else rounds for command in commands})
    shutil.rmtree(kept, ignore_errors=True)
    return runs, f"{count:,} files, {total / 1e6:,.0f} MB"


def _inventory(workers: int, work: str, *folders: Path, previous: str = "-") -> list[str]:
    return [sys.executable, "-m", "benchmarks.run_inventory", str(workers), work, previous, *map(str, folders)]


def _check(files: Path, copy: Path, workers: int) -> list[str]:
    return [rclone(), "check", str(files), str(copy), "--checkers", str(workers), "--quiet"]


def _table(runs: Runs) -> str:
    """Return one archive's table: each peer beside that of ours which does the same."""
    lines = [
        "| | seconds | alone | CPU s | peak MB | runs | ours: its time | ours: its CPU time |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    beside = {_BOTH: _BOTH, _DOWNLOAD: _BOTH, _AGAIN: _AGAIN, _CHECK: _AGAIN}
    for name, measured in runs.items():
        ours = runs[beside.get(name, _OURS)]
        steps = any(run.step is not None for run in measured)
        cells = [
            f"{median(measured, seconds_of):.2f}",
            f"{median(measured, step_of):.2f}" if steps else "",
            f"{median(measured, cpu_of):.2f}",
            f"{max(run.peak for run in measured):.0f}",
            str(len(measured)),
            f"{ratio(ours, measured, seconds_of):.2f}",
            f"{ratio(ours, measured, cpu_of):.2f}",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    if _HASHDEEP not in runs:
        lines.append(f"| {_HASHDEEP} | not installed here |" + " |" * 6)
    return "\n".join(lines)


def _bars(lines: Sequence[str]) -> str:
    return "\n".join(
        [
            "## The bars",
            "",
            "| archive | ours | peer | bar | whole process | the step alone | |",
            "|---|---|---|---|--:|--:|---|",
            *lines,
        ]
    )


def _head(workers: int) -> str:
    """Describe the machine and what the tables show, without what tells one machine from another of its kind."""
    packages = ("pydicom", "duckdb", "pandas", "stringzilla")
    versions = [
        f"exactcopy {version('exactcopy')}",
        f"Python {platform.python_version()}",
        *(f"{package} {version(package)}" for package in packages),
        _first_line([rclone(), "version"]),
        f"hashdeep {_first_line(['hashdeep', '-V'])}" if shutil.which("hashdeep") else "no hashdeep",
        _first_line(["openssl", "version"]),
    ]
    kernel = re.match(r"[\d.]+", platform.release())
    return f"""# Measured

By `script/bench`: everything in turn, on the same files, their content in the page cache; medians of paired runs, with
{workers} processes. *Seconds* are of the whole process, *alone* without its start and imports; *peak* is of its largest
process. A ratio below 1 says that we take less. *{_FLOOR}* does that and nothing else, *{_READ}* even less. The loop
of pydicom is one process. What compares two copies stands beside our inventory of both (`{_DOWNLOAD}`), or
beside one of files that were read before and are only listed now (`{_CHECK}`). No test depends on a time.

- {_cpu()}, {os.cpu_count()} cores, {_memory()} GB of memory; {platform.system()} {kernel[0] if kernel else ""}
- {", ".join(versions)}
- `openssl speed sha256`, one core, pieces of 64 KB: {_openssl()}"""


def _first_line(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[0].split(" (")[0]


def _cpu() -> str:
    with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _openssl() -> str:
    command = ["openssl", "speed", "-seconds", "1", "-bytes", "65536", "sha256"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return f"{float(said.split()[-1].rstrip('k')) / 1e6:.2f} GB/s"


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="exactcopy-bench-") as folder:
        yield Path(folder)


if __name__ == "__main__":
    sys.exit(main())
