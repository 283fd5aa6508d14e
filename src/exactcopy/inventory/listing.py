"""List a store: what it holds, and which parts of it could not be listed."""

import json
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from queue import Empty, Queue
from threading import Event
from typing import Any

from duckdb import DuckDBPyConnection

from exactcopy.errors import StoreUnavailable, WindowClosed
from exactcopy.inventory.database import nothing, parquet, rows, save_rows
from exactcopy.inventory.schema import LISTING, read, written
from exactcopy.model import UNSIZED, Answer, Copy, Gap, Problem, ReadPolicy, Safeguard, Seen, Target
from exactcopy.records import shown_key, write_whole
from exactcopy.stores import PACS, Asked, Counted, Safeguards, Store, Trash, open_store

_ROWS_AT_A_TIME = 20_000
_ITEMS_AT_A_TIME = 1000
# Of these a store tells checksums where it is asked: also of what would have to be thawed to be read.
_TOLD_OF = (None, Problem.ARCHIVED)
# A page takes a tenth of a second and more to come from a cloud, and a hundredth to be read.
_AT_ONCE = 8

Previous = Callable[[Target, str | None], Path | None]


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


def list_store(
    db: DuckDBPyConnection, target: Target, folder: Path, find_previous: Previous, primaries: Sequence[Path] = ()
) -> Listing:
    """List `target` into `folder`, unless a finished listing lies there already.

    `find_previous` gives the last inventory of the medium that is there, if there is one: what the store told of an
    object when it was asked holds while the object is unchanged. A PACS is asked about each study of that inventory and
    of `primaries` that its listing does not show: it may have cut it silently. Raises StoreUnavailable where nothing
    can be said of the store; an empty one is such a store, for an unmounted drive looks just like it, unless it shows
    what was deleted there.
    """
    finished = folder / "listing.json"
    if finished.exists():
        listing = _load(finished)
        try:
            with open_store(target) as store:
                # A drive that was changed since then is another store: nothing of the listing is true of it.
                if listing.safeguards.medium == store.safeguards().medium and listing.identity == target.identity:
                    return listing
        except WindowClosed:
            # Whatever is there now, this is what was listed and read by the audit that is taken up again.
            if listing.identity == target.identity:
                return listing
            raise
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("listing-*.parquet"):
        stale.unlink()
    gaps: list[tuple[str, str]] = []
    objects = size = asked = deleted = 0
    with open_store(target) as store:
        asks = target.read is ReadPolicy.REPORTED and isinstance(store, Asked)
        previous = find_previous(target, store.safeguards().medium) if asks else None
        for number, batch in enumerate(_batches(store, gaps, list(store.partitions()))):
            copies, asking = batch, 0
            if asks and isinstance(store, Asked):
                copies, asking = _ask(store, batch, _told(db, previous, batch) if previous else {})
            asked += asking
            save_rows(db, LISTING, [listed_row(copy) for copy in copies], folder / f"listing-{number:05}.parquet")
            there = [copy for copy in copies if copy.problem is not Problem.DELETED]
            objects += len(there)
            size += sum(copy.size for copy in copies if copy.problem is None and copy.size != UNSIZED)
            deleted += len(copies) - len(there)
        if target.kind in PACS:
            known = [*primaries, *filter(None, [find_previous(target, store.safeguards().medium)])]
            absent = _absent(db, folder, known)
            found = [copy for batch in _batches(store, gaps, [f"study:{study}" for study in absent]) for copy in batch]
            save_rows(db, LISTING, [listed_row(copy) for copy in found], folder / "listing-asked.parquet")
            objects += len(found)
        counts = store.counts() if isinstance(store, Counted) else None
        if counts and objects < min(counts):
            gaps.append(("what the server counts and does not list", Problem.IO_ERROR))
        elif counts == (objects, objects):
            # Whatever looked like the limit of a list cut nothing off.
            gaps.clear()
        if not objects + deleted:
            save_rows(db, LISTING, [], folder / "listing-none.parquet")
        shown = store.safeguards()
        emptied = not objects and isinstance(store, Trash) and next(store.deleted(()), None) is not None
    if not objects and not deleted and not gaps and not emptied:
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


def listed_bytes(folder: Path) -> int:
    """Return how many bytes the finished listing in `folder` shows; none where there is no such listing."""
    finished = folder / "listing.json"
    return _load(finished).bytes if finished.exists() else 0


def listed_row(copy: Copy) -> tuple[Any, ...]:
    """Return what a store shows of an object as a row of its listing."""
    return (
        copy.key,
        None if copy.size == UNSIZED else copy.size,
        copy.modified,
        copy.inode,
        copy.version,
        written(copy.digests),
        copy.problem,
        copy.study_instance_uid,
        copy.series_instance_uid,
        copy.sop_instance_uid,
        copy.sop_class_uid,
    )


def _absent(db: DuckDBPyConnection, folder: Path, known: Sequence[Path]) -> list[str]:
    """Return the studies of the inventories `known` that the listing in `folder` does not show."""
    if not known:
        return []
    listed = parquet(folder, "listing-*.parquet") if any(folder.glob("listing-*.parquet")) else nothing(LISTING)
    studies = " union ".join(f"select study_instance_uid from {parquet(inventory)}" for inventory in known)
    return [
        study
        for (study,) in rows(
            db,
            f"select study_instance_uid from ({studies}) where study_instance_uid is not null"
            f" and study_instance_uid not in (select study_instance_uid from {listed}) order by 1",
        )
    ]


def _batches(store: Store, gaps: list[tuple[str, str]], partitions: list[str]) -> Iterator[list[Copy]]:
    batch: list[Copy] = []
    if not partitions:
        return
    for item in _side_by_side(store, partitions) if len(partitions) > 1 else store.listing(partitions[0]):
        if isinstance(item, Gap):
            gaps.append((shown_key(item.scope), item.reason))
            continue
        batch.append(item)
        if len(batch) == _ROWS_AT_A_TIME:
            yield batch
            batch = []
    if batch:
        yield batch


def _side_by_side(store: Store, partitions: list[str]) -> Generator[Copy | Gap]:
    """Yield what several partitions hold: while one waits for its next page, another is read."""
    pages: Queue[list[Copy | Gap] | Exception | None] = Queue(2 * _AT_ONCE)
    over = Event()

    def walk(partition: str) -> None:
        try:
            items = store.listing(partition)
            while not over.is_set() and (page := list(islice(items, _ITEMS_AT_A_TIME))):
                pages.put(page)
            pages.put(None)
        except Exception as error:  # noqa: BLE001 - it is raised where the pages are taken
            pages.put(error)

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        walks = [threads.submit(walk, partition) for partition in partitions]
        left = len(walks)
        try:
            while left:
                page = pages.get()
                if isinstance(page, Exception):
                    raise page
                if page is None:
                    left -= 1
                else:
                    yield from page
        finally:
            over.set()
            for walking in walks:
                walking.cancel()
            # Whoever waits for room in the queue is let go.
            while not all(walking.done() for walking in walks):
                with suppress(Empty):
                    pages.get(timeout=0.05)


def _ask(store: Asked, copies: list[Copy], known: Mapping[bytes, Copy]) -> tuple[list[Copy], int]:
    """Return the copies with the checksums of those whose listing held none, and how many were asked for."""
    silent = [copy for copy in copies if copy.key not in known and not copy.digests and copy.problem in _TOLD_OF]
    answers = {copy.key: copy for copy in store.checksums(silent)}
    told = {**known, **answers}
    return [told.get(copy.key, copy) for copy in copies], len(answers)


def _told(db: DuckDBPyConnection, previous: Path, copies: list[Copy]) -> dict[bytes, Copy]:
    """Return those of `copies` of which the store told checksums before, and which are unchanged since."""
    silent = {copy.key: copy for copy in copies if not copy.digests and copy.problem in _TOLD_OF and copy.version}
    found = db.execute(
        f"select key, size, modified, version, digests from {parquet(previous)}"
        " where digest_source = 'reported' and key in (select unnest($1::blob[]))",
        [list(silent)],
    ).fetchall()
    return {
        key: replace(silent[key], digests=read(digests))
        for key, size, modified, version, digests in found
        if (size, modified, version) == (silent[key].size, silent[key].modified, silent[key].version)
    }


def _load(finished: Path) -> Listing:
    stored = json.loads(finished.read_text(encoding="utf-8"))
    stored["gaps"] = tuple((key, reason) for key, reason in stored["gaps"])
    shown = stored["safeguards"]
    shown["seen"] = {
        Safeguard(name): Seen(**{**seen, "answer": Answer(seen["answer"])}) for name, seen in shown["seen"].items()
    }
    return Listing(**{**stored, "safeguards": Safeguards(**shown)})
