"""Listing an rclone remote against bare `rclone lsjson` with the same flags: `python -m benchmarks.rclone`."""

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import perf_counter, process_time

from benchmarks.archives import rclone

_ROOT = Path(__file__).parents[1]
_PEER = "rclone lsjson"
_OURS = "exactcopy listing"
_FLAGS = ("--recursive", "--no-mimetype", "--fast-list", "--use-json-log", "--files-only")


def main() -> int:
    """Make the files, list them both ways in turn and print a table."""
    parser = argparse.ArgumentParser(prog="benchmarks.rclone", description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="exactcopy-bench-") as name:
        folder = Path(name)
        _make_files(folder, options.files)
        print(f"{options.files} files of a few bytes on a local remote")
        peer = [rclone(), "lsjson", *_FLAGS, f":local:{folder}"]
        ours = [sys.executable, "-m", "benchmarks.rclone", "--list", f":local:{folder}"]
        seconds: dict[str, list[float]] = {_PEER: [], _OURS: []}
        entering, busy, peaks = [], [], []
        for number in range(options.rounds + 1):
            its = _peer_seconds(peer)
            entered, listed, cpu, objects, peak = map(
                float, subprocess.run(ours, cwd=_ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
            )
            if objects != options.files:
                raise SystemExit(f"{objects:.0f} of {options.files} were listed")
            # The first round fills the cache and is not counted.
            if number:
                seconds[_PEER].append(its)
                seconds[_OURS].append(listed)
                entering.append(entered)
                busy.append(cpu)
                peaks.append(peak)
    print(_table(seconds, options.files))
    print(f"Entering the store, its own rclone started: {statistics.median(entering):.2f} s, once for an audit.")
    print(f"CPU of the listing process without rclone: {statistics.median(busy):.2f} s, its peak {max(peaks):.0f} MB.")
    return 0


def list_remote(remote: str) -> None:
    """List `remote` as a store; print the seconds to enter and to list it, CPU seconds, objects and the peak in MB."""
    from exactcopy.model import Copy, Role, Target
    from exactcopy.stores import open_store

    target = Target(name="bench", role=Role.BACKUP, kind="rclone", identity="", options={"remote": remote})
    before = perf_counter()
    with open_store(target) as store:
        entered, idle = perf_counter(), process_time()
        objects = sum(isinstance(item, Copy) for partition in store.partitions() for item in store.listing(partition))
        listed, cpu = perf_counter(), process_time() - idle
    # Linux counts in KB, macOS in bytes.
    peak = getrusage(RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    print(f"{entered - before:.4f} {listed - entered:.4f} {cpu:.4f} {objects} {peak:.1f}")


def _peer_seconds(command: Sequence[str]) -> float:
    before = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return perf_counter() - before


def _table(seconds: dict[str, list[float]], files: int) -> str:
    lines = [f"{'':24}{'seconds':>9}{'files/s':>10}{'ratio':>8}"]
    for name, measured in seconds.items():
        median = statistics.median(measured)
        ratio = statistics.median(ours / its for ours, its in zip(seconds[_OURS], measured, strict=True))
        lines.append(f"{name:24}{median:9.2f}{files / median:10.0f}{ratio:8.2f}")
    lines.append("Medians of the counted rounds; ratio: our seconds to its seconds, round by round.")
    return "\n".join(lines)


def _make_files(folder: Path, count: int) -> None:
    for number in range(count):
        series = folder / f"ST{number // 1000:04}" / f"SE{number // 100:05}"
        if number % 100 == 0:
            series.mkdir(parents=True)
        (series / f"IM{number:06}.dcm").write_bytes(str(number).encode())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--list"]:
        list_remote(sys.argv[2])
        sys.exit(0)
    sys.exit(main())
