"""Ten million images that exist nowhere: how long, and in how much memory: `python -m benchmarks.scale`.

The comparison of two made inventories beside pandas; and with `--audit` two monthly audits in a row, from the listing
to the PDF, whose images are made when they are listed or read, so that no disk is measured.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic, sleep

from benchmarks.measuring import measure

_MODULE = [sys.executable, "-m", "benchmarks.run_join"]
_AUDIT = [sys.executable, "-m", "benchmarks.run_audit"]
_IMAGES = 10_000_000
_MOST_SECONDS, _MOST_MB = 60, 500
_MOMENT = 0.5


def section(images: int = _IMAGES) -> str:
    """Return the part of the results about the comparison, for `images` on either side."""
    with tempfile.TemporaryDirectory(prefix="exactcopy-bench-") as folder:
        subprocess.run([*_MODULE, "make", folder, str(images)], check=True)
        ours, merge = measure([*_MODULE, "ours", folder]), measure([*_MODULE, "pandas", folder])
    step = ours.step or ours.seconds
    lines = [
        f"## Comparing {images:,} images with as many",
        "",
        "From two inventories to the outcome of each image, the state of each study, and the counts.",
        "",
        "| | seconds | CPU s | peak MB |",
        "|---|---:|---:|---:|",
        f"| exactcopy | {step:.1f} | {ours.cpu:.1f} | {ours.peak:.0f} |",
        f"| pandas: an outer merge of UID and checksum | {merge.step or merge.seconds:.1f} | {merge.cpu:.1f}"
        f" | {merge.peak:.0f} |",
        "",
        f"Bars: under {_MOST_SECONDS} s ({'met' if step < _MOST_SECONDS else '**not met**'}), within {_MOST_MB} MB"
        f" ({'met' if ours.peak <= _MOST_MB else '**not met**'}).",
    ]
    return "\n".join(lines)


def audits(images: int) -> str:
    """Return what two audits in a row take, of a primary and a backup with `images` each."""
    lines = [
        f"## Two audits of {images:,} images and their backup, from the listing to the PDF",
        "",
        "The first reads all, the second by rotation a third. The images are made in memory.",
        "",
        "| | seconds | peak MB of the audit itself | of all its processes together |",
        "|---|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory(prefix="exactcopy-bench-") as folder:
        for month, name in enumerate(("first", "a month later")):
            seconds, itself, together = _watched([*_AUDIT, folder, str(images), str(month)])
            lines.append(f"| {name} | {seconds:.0f} | {itself:.0f} | {together:.0f} |")
            print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def _watched(command: list[str]) -> tuple[float, float, float]:
    """Run a command; return its seconds, its own peak in MB, and the most that all its processes had in common.

    What several of them share counts once.
    """
    began = monotonic()
    with subprocess.Popen(command) as process:
        itself = together = 0.0
        while process.poll() is None:
            sleep(_MOMENT)
            held = _proportional(process.pid)
            itself, together = max(itself, held.get(process.pid, 0.0)), max(together, sum(held.values()))
    if process.returncode not in (0, 1):
        raise SystemExit(f"the audit ended with {process.returncode}")
    return monotonic() - began, itself, together


def _proportional(parent: int) -> dict[int, float]:
    """Return the memory in MB of a process and all below it: Pss, in which what is shared counts once."""
    held = {}
    waiting = [parent]
    while waiting:
        process = waiting.pop()
        place = Path(f"/proc/{process}")
        try:
            sizes = (place / "smaps_rollup").read_text()
            waiting += map(int, (place / "task" / str(process) / "children").read_text().split())
        except (OSError, ValueError):
            continue
        held[process] = sum(int(line.split()[1]) for line in sizes.splitlines() if line.startswith("Pss:")) / 1e3
    return held


def main() -> int:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("--images", type=int, default=_IMAGES)
    parser.add_argument("--audit", action="store_true", help="two whole audits instead: ten million take an hour")
    options = parser.parse_args()
    print(audits(options.images) if options.audit else section(options.images))
    return 0


if __name__ == "__main__":
    sys.exit(main())
