"""Doubt the method before the copies: what a listing shows as checksums may be none."""

from collections.abc import Sequence
from pathlib import Path

from duckdb import DuckDBPyConnection

from exactcopy.inventory.database import parquet, row, save_rows
from exactcopy.inventory.reported import clear
from exactcopy.inventory.schema import read, written
from exactcopy.model import Copy, Target
from exactcopy.stores import Asked, open_store

# So many copies in a row are not all damaged: then it is the checksums that are none. With a key of its owner's, for
# one, S3 shows as an ETag the MD5 of nothing that anybody could compute.
_IN_A_ROW = 20
_TOLD = {"key": "blob", "digests": "varchar"}
_ROWS_AT_A_TIME = 50_000


def open_listing(db: DuckDBPyConnection, folder: Path) -> None:
    """Create the view `listed` of the listing in `folder`, with what the store told when it was asked again."""
    listing = f"select * from {parquet(folder, 'listing-*.parquet')}"
    if any(folder.glob("told-*.parquet")):
        told = parquet(folder, "told-*.parquet")
        listing = f"""select l.* replace (case when t.key is null then l.digests else t.digests end as digests)
            from ({listing}) l left join {told} t using (key)"""
    db.execute(f"create or replace view listed as {listing}")


def asked_again(db: DuckDBPyConnection, folder: Path) -> int:
    """Return about how many objects the store was asked again."""
    if not any(folder.glob("told-*.parquet")):
        return 0
    return int(row(db, f"select count(*) from {parquet(folder, 'told-*.parquet')}")[0])


def ask_again(db: DuckDBPyConnection, target: Target, folder: Path, primaries: Sequence[Path]) -> None:
    """Ask `target` about each object that contradicts `primaries`, if very many in a row do.

    First about one: where the store stands by the checksum of its listing, it is the copies that differ.
    """
    open_listing(db, folder)
    clear(db, "listed", primaries, 0)
    first = _first_of_many(db)
    if first is None:
        return
    with open_store(target) as store:
        if not isinstance(store, Asked):
            return
        [one] = _copies(db, "key = $1", first)
        [told] = store.checksums([one])
        if told.problem is not None or one.digests.items() <= told.digests.items():
            return
        copies = _copies(db, "key in (from contradicted)")
        # What was told before a kill holds.
        before = len(list(folder.glob("told-*.parquet")))
        for number, start in enumerate(range(0, len(copies), _ROWS_AT_A_TIME), before):
            batch = store.checksums(copies[start : start + _ROWS_AT_A_TIME])
            rows = [(copy.key, written(copy.digests)) for copy in batch]
            save_rows(db, _TOLD, rows, folder / f"told-{number:05}.parquet")


def _first_of_many(db: DuckDBPyConnection) -> bytes | None:
    """Return the first of very many objects in a row, by name, that contradict the primaries; None where few do."""
    found = db.cursor().execute(
        "select key, key in (from contradicted) as differs from claims where not gone order by key"
    )
    row_of: list[bytes] = []
    while batch := found.fetchmany(_ROWS_AT_A_TIME):
        for key, differs in batch:
            row_of = [*row_of, key] if differs else []
            if len(row_of) == _IN_A_ROW:
                return row_of[0]
    return None


def _copies(db: DuckDBPyConnection, which: str, *values: bytes) -> list[Copy]:
    found = db.execute(
        f"select key, size, modified, version, digests, sop_instance_uid from listed where {which}", list(values)
    )
    return [
        Copy(key=key, size=size, modified=modified, version=version, digests=read(digests), sop_instance_uid=sop)
        for key, size, modified, version, digests, sop in found.fetchall()
    ]
