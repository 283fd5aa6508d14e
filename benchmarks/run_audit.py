"""One audit of made images, from the listing to the PDF: `python -m benchmarks.run_audit FOLDER IMAGES MONTH`."""

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import monotonic

from exactcopy.audit import run_audit
from exactcopy.config import load_config
from exactcopy.decisions import Decisions
from exactcopy.model import ReadPolicy, Target
from exactcopy.stores import KINDS

_CONFIG = """
facility = "Made"
time_zone = "UTC"
[primary.pacs]
kind = "folder"
path = "pacs"
[backup.drive]
kind = "folder"
path = "drive"
"""
_MONTH = timedelta(days=31)
_MOST_LINES_SECONDS = 5.0


def main() -> None:
    """Audit."""
    folder, images, month = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    KINDS["made"] = "benchmarks.made_store:MadeStore"
    written = folder / "exactcopy.toml"
    for name in ("pacs", "drive"):
        (folder / name).mkdir(exist_ok=True)
    written.write_text(_CONFIG, encoding="utf-8")
    config = load_config(written)

    def made(target: Target) -> Target:
        return replace(target, kind="made", read=ReadPolicy.ROTATION, options={"images": images})

    config = replace(config, primaries=tuple(map(made, config.primaries)), backups=tuple(map(made, config.backups)))
    now = datetime.now(UTC).replace(microsecond=0) - _MONTH * (1 - month)
    audited = run_audit(config, Decisions(), now, _step)
    said = audited.record.audit
    found = {comparison["backup"]: comparison["instances"] for comparison in said["comparisons"]}
    print(found, said["timing"], *audited.warnings, file=sys.stderr)
    if not (audited.record.folder / "report.pdf").exists() or not found["drive"]["identical"]:
        raise SystemExit("the audit is not whole")


def _step(what: str, objects: int | None, size: int | None) -> Callable[[int, int], None]:
    """Print what begins, and how far it is every few seconds."""
    began = last = monotonic()
    done = 0
    peak = getrusage(RUSAGE_SELF).ru_maxrss // 1000
    print(f"{datetime.now(UTC):%H:%M:%S} {what} (peak {peak} MB)", file=sys.stderr, flush=True)

    def advance(count: int, read: int) -> None:
        nonlocal last, done
        done += count
        if monotonic() - last > _MOST_LINES_SECONDS:
            last = monotonic()
            print(f"  {done:,} in {last - began:.0f} s", file=sys.stderr, flush=True)

    return advance


if __name__ == "__main__":
    main()
