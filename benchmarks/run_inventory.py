"""One inventory, from listing to finished table: `python -m benchmarks.run_inventory FOLDER WORKERS WORK`."""

import sys
from functools import partial
from pathlib import Path
from time import perf_counter, time_ns


def inventory(root: Path, workers: int, work: Path) -> float:
    """Take the inventory of every file below `root`, as an audit does, and return the seconds of that step alone."""
    # What workers run is imported before they are forked, as in an audit.
    from exactcopy.inventory import reading
    from exactcopy.pool import Pool
    from exactcopy.stores import import_kinds

    del reading

    with Pool(workers, partial(import_kinds, ["folder"])) as pool:
        from exactcopy.inventory.database import database
        from exactcopy.inventory.taking import take_inventory
        from exactcopy.model import Role, Target
        from exactcopy.tokens import Ledger

        target = Target(name="bench", role=Role.PRIMARY, kind="folder", identity="bench", options={"path": str(root)})
        began = perf_counter()
        found = take_inventory(
            database(work),
            pool,
            target,
            work,
            work / "inventory",
            lambda *_: None,
            [],
            (),
            time_ns(),
            Ledger(folder=work / "tokens"),
            lambda *_: lambda *_: None,
        )
        seconds = perf_counter() - began
    if found.listing is None:
        raise SystemExit(found.message)
    return seconds


if __name__ == "__main__":
    print(inventory(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
