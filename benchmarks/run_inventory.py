"""One inventory, from listing to finished table: `python -m benchmarks.run_inventory FOLDER WORKERS`."""

import sys
import tempfile
from pathlib import Path
from time import time_ns


def inventory(root: Path, workers: int, work: Path) -> None:
    """List and read every file below `root` into an inventory below `work`."""
    # The workers come first: they are forked while nothing heavy is imported, as in an audit.
    from exactcopy.pool import Pool

    with Pool(workers) as pool:
        from exactcopy.inventory.listing import list_store
        from exactcopy.inventory.matching import match
        from exactcopy.inventory.plan import plan_reads
        from exactcopy.inventory.reading import read_planned
        from exactcopy.model import Role, Target

        options = {"path": str(root)}
        target = Target(name="bench", role=Role.PRIMARY, kind="folder", identity="bench", options=options)
        list_store(target, work)
        plan_reads(target, work, None, time_ns())
        read_planned(pool, target, work, lambda objects, size: None)
        match(work, work / "inventory", None, [])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="exactcopy-bench-work-") as folder:
        inventory(Path(sys.argv[1]), int(sys.argv[2]), Path(folder))
