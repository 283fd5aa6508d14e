"""List a store: what it holds, and which parts of it could not be listed."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from duckdb import DuckDBPyConnection

from exactcopy.errors import StoreUnavailable
from exactcopy.inventory.database import save_rows
from exactcopy.inventory.schema import LISTING, written
from exactcopy.model import Answer, Copy, Gap, ReadPolicy, Safeguard, Seen, Target
from exactcopy.records import shown_key, write_whole
from exactcopy.stores import Asked, Safeguards, Store, open_store

_ROWS_AT_A_TIME = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What listing one store gave. `gaps` are (key, reason): keys stay under restricted/.

    `asked` counts the objects whose checksums were asked for one by one.
    """

    objects: int
    bytes: int
    asked: int
    gaps: tuple[tuple[str, str], ...]
    identity: str
    safeguards: Safeguards


def list_store(db: DuckDBPyConnection, target: Target, folder: Path) -> Listing:
    """List `target` into `folder`, unless a finished listing lies there already.

    Raises StoreUnavailable where nothing can be said of the store; an empty one is such a store, for an
    unmounted drive looks just like it.
    """
    finished = folder / "listing.json"
    if finished.exists():
        listing = _load(finished)
        with open_store(target) as store:
            # A drive that was changed since then is another store: nothing of the listing is true of it.
            if listing.safeguards.medium == store.safeguards().medium and listing.identity == target.identity:
                return listing
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("listing-*.parquet"):
        stale.unlink()
    gaps: list[tuple[str, str]] = []
    objects = size = asked = 0
    with open_store(target) as store:
        for number, batch in enumerate(_batches(store, gaps)):
            copies, asking = batch, 0
            if target.read is ReadPolicy.REPORTED and isinstance(store, Asked):
                copies, asking = _ask(store, batch)
            asked += asking
            rows = [
                (copy.key, copy.size, copy.modified, copy.inode, copy.version, written(copy.digests), copy.problem)
                for copy in copies
            ]
            save_rows(db, LISTING, rows, folder / f"listing-{number:05}.parquet")
            objects += len(copies)
            size += sum(copy.size for copy in copies if copy.problem is None)
        if not objects:
            save_rows(db, LISTING, [], folder / "listing-none.parquet")
        shown = store.safeguards()
    if not objects and not gaps:
        raise StoreUnavailable(
            "empty", target.name, "nothing is stored there", "Check that the drive or share is connected."
        )
    listing = Listing(
        objects=objects,
        bytes=size,
        asked=asked,
        gaps=tuple(gaps),
        identity=target.identity,
        safeguards=shown,
    )
    write_whole(finished, json.dumps(asdict(listing)))
    return listing


def _batches(store: Store, gaps: list[tuple[str, str]]) -> Iterator[list[Copy]]:
    batch: list[Copy] = []
    for partition in store.partitions():
        for item in store.listing(partition):
            if isinstance(item, Gap):
                gaps.append((shown_key(item.scope), item.reason))
                continue
            batch.append(item)
            if len(batch) == _ROWS_AT_A_TIME:
                yield batch
                batch = []
    if batch:
        yield batch


def _ask(store: Asked, copies: list[Copy]) -> tuple[list[Copy], int]:
    """Return the copies with the checksums of those whose listing held none, and how many were asked for."""
    silent = [copy for copy in copies if not copy.digests and copy.problem is None]
    told = {copy.key: copy for copy in store.checksums(silent)}
    return [told.get(copy.key, copy) for copy in copies], len(silent)


def _load(finished: Path) -> Listing:
    stored = json.loads(finished.read_text(encoding="utf-8"))
    stored["gaps"] = tuple((key, reason) for key, reason in stored["gaps"])
    shown = stored["safeguards"]
    shown["seen"] = {
        Safeguard(name): Seen(**{**seen, "answer": Answer(seen["answer"])}) for name, seen in shown["seen"].items()
    }
    return Listing(**{**stored, "safeguards": Safeguards(**shown)})
