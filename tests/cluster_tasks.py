"""What tests have done on a cluster, in a process of its own: a client has threads.

python -m tests.cluster_tasks run ARGUMENTS…             the command line, with small parts
python -m tests.cluster_tasks map ADDRESS EMPTY FOLDER   tasks of all kinds; prints what came of them
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from exactcopy import cluster
from exactcopy.errors import StoreUnavailable, WorkersUnavailable
from exactcopy.inventory import reading
from exactcopy.inventory.database import database, parquet, save_rows
from exactcopy.inventory.examining import Reading
from exactcopy.inventory.schema import LISTING
from exactcopy.model import Copy, Role, Target
from exactcopy.stores import open_store
from exactcopy.tokens import Ledger


def poisoned() -> None:
    """Prepare a worker that does not survive an object whose key ends in poison, as a decoder may not."""
    copy_of = reading._copy

    def kills(listed: reading.Listed) -> Copy:
        if listed[0].endswith(b"poison"):
            os.kill(os.getpid(), signal.SIGKILL)
        return copy_of(listed)

    vars(reading)["_copy"] = kills


def ready() -> None:
    """Prepare nothing."""


def work(task: str) -> str:
    """Do what a task says: most of it is bad."""
    match task.partition(" "):
        case "hang", _, _:
            time.sleep(120)
        case "raise", _, what:
            raise StoreUnavailable("code", "where", what, "Mend it.")
        case "kill", _, folder:
            # The worker itself goes, with what watches over this process; and each that gets this task next.
            (Path(folder) / f"{time.monotonic_ns()}").touch()
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
    return task.upper()


def _map(address: str, empty: str, folder: Path) -> None:
    said: dict[str, str] = {}
    with cluster.Cluster(address, folder, ready) as workers:
        tasks = [*(f"task {number}" for number in range(4)), "hang", f"kill {folder}", "task 4"]
        for task, result in workers.map(work, tasks, seconds=2):
            said[task] = str(result)
        try:
            next(workers.map(work, ["raise it failed"]))
        except StoreUnavailable as error:
            said["raised"] = f"{error.code} {error}"
    with cluster.Cluster(address, folder, poisoned) as workers:
        said["read"] = json.dumps(_read(workers, folder))
    versions = cluster._versions()
    cluster._JOIN_SECONDS = cluster._CONNECT_SECONDS = 1
    # What is the folder of one process is another one's for each that looks there.
    for name, place, shared in (
        ("apart", address, Path("/proc/self/cwd")),
        ("empty", empty, folder),
        ("nowhere", "tcp://127.0.0.1:9", folder),
        ("uncertified", "tls://127.0.0.1:9", folder),
        ("older", address, folder),
    ):
        if name == "older":
            cluster._versions = lambda: {**versions, "duckdb": "1.9"}
        try:
            with cluster.Cluster(place, shared, ready):
                said[name] = "good"
        except WorkersUnavailable as error:
            said[name] = str(error)
    sys.stdout.write(json.dumps(said))


def _read(workers: cluster.Cluster, folder: Path) -> list[Any]:
    """Read five objects, one of which kills; return what is known of each then, and what was told meanwhile."""
    reading._CHUNK_OBJECTS = 2
    images = folder / "images"
    images.mkdir()
    for name in ("a", "b poison", "c", "d", "e"):
        (images / name).write_bytes(name[:1].encode() * 1000)
    target = Target(name="made", role=Role.PRIMARY, kind="folder", identity="", options={"path": images})
    with open_store(target) as store:
        found = [item for part in store.partitions() for item in store.listing(part) if isinstance(item, Copy)]
    rows = [(0, place, copy.key, copy.size, copy.modified, copy.inode, *[None] * 5) for place, copy in enumerate(found)]
    names = ("study_instance_uid", "series_instance_uid", "sop_instance_uid", "sop_class_uid")
    columns = {name: kind for name, kind in LISTING.items() if name in ("key", "size", "modified", "inode", "version")}
    told = [0, 0]

    def tell(count: int, size: int) -> None:
        told[0] += count
        told[1] += size

    with database(folder / "spill") as db:
        todo = folder / "todo.parquet"
        save_rows(db, {"turn": "bigint", "place": "bigint", **columns, **dict.fromkeys(names, "varchar")}, rows, todo)
        how = Reading(target=target, started=0, ledger=Ledger(folder=folder / "tokens"))
        size = reading.read_planned(db, workers, how, todo, "part", tell)
        again = reading.read_planned(db, workers, how, todo, "part", lambda count, size: None)
        parts = db.execute(f"select key, sha256, problem from {parquet(folder, 'part-*')} order by key").fetchall()
    known = [[key.decode(), digest is not None, problem] for key, digest, problem in parts]
    return [known, size, again, told, sorted(path.name for path in folder.glob("part-*"))]


def _run(arguments: list[str]) -> None:
    from exactcopy.__main__ import run

    reading._CHUNK_OBJECTS = reading._GROUP_OBJECTS = 4
    cluster._CONNECT_SECONDS = 2
    cluster._LOOK_SECONDS = 0.2
    cluster._FETCH_SECONDS = 1
    sys.argv = ["exactcopy", *arguments]
    run()


def main() -> None:
    """Do what the arguments say."""
    if sys.argv[1] == "map":
        _map(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    else:
        _run(sys.argv[2:])


if __name__ == "__main__":
    # By its own name: a worker finds nothing in a module that is called __main__.
    from tests import cluster_tasks

    cluster_tasks.main()
