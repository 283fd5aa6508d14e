"""Inventories, from listing to finished tables: `python -m benchmarks.run_inventory WORKERS WORK PREVIOUS FOLDER...`.

`PREVIOUS` is the inventory that an earlier audit by rotation gave of the one folder, or "-" where there was none.
"""

import sys
from functools import partial
from pathlib import Path
from time import perf_counter, time_ns

from benchmarks import STEP


def inventories(folders: list[Path], workers: int, work: Path, previous: Path | None) -> float:
    """Take the inventory of all below each of `folders`, as an audit does, and return the seconds of that alone."""
    # What workers run is imported before they are forked, as in an audit.
    from exactcopy.inventory import reading
    from exactcopy.pool import Pool
    from exactcopy.stores import import_kinds

    del reading

    with Pool(workers, partial(import_kinds, ["folder"])) as pool:
        from exactcopy.inventory.database import database, parquet, row
        from exactcopy.inventory.taking import take_inventory
        from exactcopy.model import ReadPolicy, Role, Target
        from exactcopy.tokens import Ledger

        db = database(work)
        started = time_ns()
        if previous:
            # So soon after the earlier audit the share of the oldest is nothing.
            (read_at,) = row(db, f"select max(read_at) from {parquet(previous)}")
            started = read_at + 1
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
                started,
                Ledger(folder=work / "tokens"),
                lambda *_: lambda *_: None,
            )
            if found.listing is None or found.plan is None:
                raise SystemExit(found.message)
            if previous and found.plan.objects:
                raise SystemExit(f"{found.plan.objects} files would be read again.")
        return perf_counter() - began


def main() -> None:
    """Read the command line."""
    workers, work, previous, *folders = sys.argv[1:]
    earlier = None if previous == "-" else Path(previous)
    print(f"{STEP}{inventories([Path(folder) for folder in folders], int(workers), Path(work), earlier)}")


if __name__ == "__main__":
    main()
