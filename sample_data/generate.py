"""Make the sample clinic: `python -m sample_data.generate FOLDER`."""

import argparse
import json
import os
import re
import shutil
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sample_data.clinic import Clinic, sound_clinic
from sample_data.faults import expected, plant

_HERE = Path(__file__).parent
_PLANTED = "planted.json"
# The day on which decisions.toml was written: its dates move with the clinic's.
_WRITTEN_ON = date(2026, 11, 24)


def make_clinic(folder: Path, now: datetime | None = None, *, real_size: bool = False) -> Path:
    """Make the clinic in `folder`, replacing one made before, and return the path of its configuration.

    The same `now` gives the same bytes and times. Raises FileExistsError rather than replace anything else.
    """
    now = (now or datetime.now(UTC)).replace(microsecond=0)
    _clear(folder)
    folder.mkdir(parents=True, exist_ok=True)
    clinic = sound_clinic(now, real_size=real_size)
    plant(clinic)
    # Written first: it is what tells a clinic from somebody's own folder.
    (folder / _PLANTED).write_text(_described(clinic), encoding="utf-8")
    for store, tree in clinic.trees.items():
        for key, stored in tree.items():
            path = folder / store / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(stored.data)
            nanoseconds = int(stored.modified.timestamp()) * 1_000_000_000
            os.utime(path, ns=(nanoseconds, nanoseconds))
    config = folder / "exactcopy.toml"
    shutil.copyfile(_HERE / "clinic.toml", config)
    decisions = (_HERE / "decisions.toml").read_text(encoding="utf-8")
    moved = _moved(decisions, now.date() - _WRITTEN_ON)
    (folder / "decisions.toml").write_text(moved, encoding="utf-8")
    return config


def main() -> int:
    """Parse the command line, make the clinic and say what there is."""
    parser = argparse.ArgumentParser(prog="sample_data.generate", description="Make the sample clinic.")
    parser.add_argument("folder", type=Path, help="where to make it; a clinic made before is replaced")
    parser.add_argument("--now", type=datetime.fromisoformat, help="the time of the clinic, with time zone")
    parser.add_argument("--real-size", action="store_true", help="chest images of 2800 x 2300 pixels")
    options = parser.parse_args()
    if options.now is not None and options.now.tzinfo is None:
        parser.error("--now needs a time zone: 2026-11-24T06:00:00+00:00")
    try:
        make_clinic(options.folder, options.now, real_size=options.real_size)
    except FileExistsError as error:
        print(error, file=sys.stderr)
        return 2
    planted = json.loads((options.folder / _PLANTED).read_text(encoding="utf-8"))
    for name, store in planted["stores"].items():
        print(f"{name}: {store['files']} files, {store['bytes'] / 1e6:.1f} MB")
    print(f"{len(planted['planted'])} things planted, listed in {options.folder / _PLANTED}")
    return 0


def _clear(folder: Path) -> None:
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / _PLANTED).is_file():
        raise FileExistsError(f"{folder}: holds something else than a sample clinic. Name another folder.")
    shutil.rmtree(folder)


def _described(clinic: Clinic) -> str:
    described = {
        "schema": 1,
        "now": clinic.now.isoformat(),
        "stores": {
            name: {"files": len(tree), "bytes": sum(len(stored.data) for stored in tree.values())}
            for name, tree in clinic.trees.items()
        },
        "primaries": {
            site: {"studies": len({item.study.number for item in held}), "instances": len(held)}
            for site, held in clinic.held.items()
        },
        "planted": clinic.planted,
        "expected": expected(clinic),
    }
    return json.dumps(described, indent=1) + "\n"


def _moved(text: str, by: timedelta) -> str:
    """Return `text` with every ISO date in it moved."""
    return re.sub(r"\b\d{4}-\d\d-\d\d\b", lambda found: (date.fromisoformat(found[0]) + by).isoformat(), text)


if __name__ == "__main__":
    sys.exit(main())
