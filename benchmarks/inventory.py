"""The inventory against `rclone hashsum sha256`, which knows no DICOM: `python -m benchmarks.inventory`."""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from time import perf_counter

_ROOT = Path(__file__).parents[1]
_PEER = "rclone hashsum sha256"
_OURS = "exactcopy inventory"
_STEP = "benchmarks.run_inventory"
_FLOOR = "read and hashlib, 2 processes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run of a command took. `cpu` is of all its processes, `peak` of the largest, in MB.

    `step` is what the command says of its inventory step alone, without start-up and imports.
    """

    seconds: float
    cpu: float
    peak: float
    step: float | None = None


def main() -> int:
    """Make the files where they are not there yet, run both in turn and print a table."""
    parser = argparse.ArgumentParser(prog="benchmarks.inventory", description=__doc__)
    parser.add_argument("--dir", type=Path, help="keep the files here and use them again next time")
    parser.add_argument("--files", type=int, default=4000)
    parser.add_argument("--size", type=int, default=512, help="KB of pixels in a file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with _folder(options.dir) as folder:
        make_files(folder, options.files, options.size)
        total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"{options.files} files, {total / 1e6:.0f} MB, {options.workers} workers, cache warm")
        commands = {
            _OURS: [sys.executable, "-m", _STEP, str(folder), str(options.workers)],
            _PEER: [
                rclone(),
                "hashsum",
                "sha256",
                str(folder),
                "--checkers",
                str(options.workers),
                "--quiet",
            ],
            _FLOOR: [sys.executable, "-m", "benchmarks.run_floor", str(folder), str(options.workers)],
        }
        runs: dict[str, list[Run]] = {name: [] for name in commands}
        for number in range(options.rounds + 1):
            for name, command in commands.items():
                run = _measure(command)
                # The first round fills the cache and is not counted.
                if number:
                    runs[name].append(run)
    print(_table(runs, total))
    return 0


def _measure(command: Sequence[str]) -> Run:
    """Run `command` to its end in a process of its own, so that the peak is its alone."""
    probe = [sys.executable, "-m", "benchmarks.inventory", "--probe", *command]
    result = subprocess.run(probe, cwd=_ROOT, check=True, stdout=subprocess.PIPE, text=True)
    seconds, cpu, peak, *step = result.stdout.splitlines()[-1].split()
    return Run(seconds=float(seconds), cpu=float(cpu), peak=float(peak), step=float(step[0]) if step else None)


def probe(command: Sequence[str]) -> None:
    """Run `command`, drop what it prints, and print what a `Run` holds."""
    with tempfile.TemporaryDirectory(prefix="exactcopy-bench-work-") as work:
        full = [*command, work] if _STEP in command else command
        # An installed package is compiled; where that is switched off, each start would compile it again.
        compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        before = perf_counter()
        said = subprocess.run(full, cwd=_ROOT, check=True, stdout=subprocess.PIPE, env=compiled).stdout
        seconds = perf_counter() - before
    step = said.decode().strip() if _STEP in command else ""
    # Linux counts in KB, macOS in bytes. RUSAGE_CHILDREN is the largest descendant, not their sum.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    used = getrusage(RUSAGE_CHILDREN)
    print(f"{seconds:.4f} {used.ru_utime + used.ru_stime:.4f} {used.ru_maxrss / unit:.1f} {step}")


def _table(runs: dict[str, list[Run]], total: int) -> str:
    lines = [f"{'':32}{'seconds':>9}{'CPU s':>8}{'MB/s':>8}{'peak MB':>9}{'ratio':>8}"]
    for name, measured in runs.items():
        seconds = statistics.median(run.seconds for run in measured)
        cpu = statistics.median(run.cpu for run in measured)
        peak = max(run.peak for run in measured)
        pairs = zip(runs[_OURS], measured, strict=True)
        ratio = statistics.median(ours.seconds / its.seconds for ours, its in pairs)
        lines.append(f"{name:32}{seconds:9.2f}{cpu:8.2f}{total / 1e6 / seconds:8.0f}{peak:9.0f}{ratio:8.2f}")
    lines.append("Medians of the counted rounds; ratio: our seconds to its seconds, round by round.")
    pairs = zip(runs[_OURS], runs[_PEER], strict=True)
    ratio = statistics.median((ours.step or ours.seconds) / its.seconds for ours, its in pairs)
    lines.append(f"The inventory step alone, without the start of Python and imports: {ratio:.2f} of {_PEER}.")
    return "\n".join(lines)


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="exactcopy-bench-") as folder:
        yield Path(folder)


def make_files(folder: Path, count: int, kilobytes: int) -> None:
    """Write `count` CT-like files below `folder`, unless exactly these are there already."""
    import numpy as np
    from pydicom import dcmread
    from pydicom.data import get_testdata_file
    from pydicom.uid import UID

    label = folder / ".benchmark"
    if label.is_file() and label.read_text() == f"{count} {kilobytes}":
        return
    if folder.exists() and any(folder.iterdir()) and not label.is_file():
        raise SystemExit(f"{folder}: holds something else. Name another folder.")
    shutil.rmtree(folder, ignore_errors=True)
    ds = dcmread(str(get_testdata_file("CT_small.dcm")))
    ds.Rows, ds.Columns = kilobytes, 512
    rng = np.random.default_rng(1)
    for number in range(count):
        series = folder / f"ST{number // 400:04}" / f"SE{number // 100:04}"
        series.mkdir(parents=True, exist_ok=True)
        ds.StudyInstanceUID = UID(f"2.25.{10**20 + number // 400}")
        ds.SeriesInstanceUID = UID(f"2.25.{2 * 10**20 + number // 100}")
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.{3 * 10**20 + number}")
        ds.PixelData = rng.integers(0, 4096, (kilobytes, 512), dtype=np.uint16).tobytes()
        ds.save_as(series / f"IM{number:06}.dcm")
    label.write_text(f"{count} {kilobytes}")


def rclone() -> str:
    """Give the rclone beside this Python, or any other."""
    beside = Path(sys.executable).parent / "rclone"
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if not found:
        raise SystemExit("rclone is not there. Run script/bootstrap dev.")
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["--probe"]:
        probe(sys.argv[2:])
        sys.exit(0)
    sys.exit(main())
