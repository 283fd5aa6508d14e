"""Inventories, from listing to finished tables: `python -m benchmarks.run_inventory WORKERS WORK FOLDER...`.

With `--previous INVENTORY` the last folder is audited again by rotation, after the audit that gave this inventory.
"""

import argparse
from functools import partial
from pathlib import Path
from time import perf_counter, time_ns

from benchmarks.measuring import STEP


def inventories(folders: list[Path], workers: int, work: Path, previous: Path | None) -> float:
    """Take the inventory of all below each of `folders`, as an audit does, and return the seconds of that alone."""
    # What workers run is imported before they are forked, as in an audit.
    from exactcopy.inventory import reading
    from exactcopy.pool import Pool
    from exactcopy.stores import import_kinds

    del reading

    with Pool(workers, partial(import_kinds, ["folder"])) as pool:
        from exactcopy.inventory.database import database
        from exactcopy.inventory.taking import take_inventory
        from exactcopy.model import ReadPolicy, Role, Target
        from exactcopy.tokens import Ledger

        db = database(work)
        began = perf_counter()
        for number, folder in enumerate(folders):
            target = Target(
                name=f"bench-{number}",
                role=Role.PRIMARY,
                kind="folder",
                identity="bench",
                options={"path": str(folder)},
                read=ReadPolicy.ROTATION if previous else ReadPolicy.ALL,
            )
            found = take_inventory(
                db,
                pool,
                target,
                work / f"work-{number}",
                work / f"inventory-{number}",
                lambda *_: previous,
                [],
                (),
                time_ns(),
                Ledger(folder=work / "tokens"),
                lambda *_: lambda *_: None,
            )
            if found.listing is None or found.plan is None:
                raise SystemExit(found.message)
            if previous and found.plan.objects:
                raise SystemExit(f"{found.plan.objects} files would be read again.")
        return perf_counter() - began


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.run_inventory", description=__doc__)
    parser.add_argument("workers", type=int)
    parser.add_argument("work", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--previous", type=Path)
    options = parser.parse_args()
    seconds = inventories(options.folders, options.workers, options.work, options.previous)
    print(f"{STEP}{seconds}")


if __name__ == "__main__":
    main()
