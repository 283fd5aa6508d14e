"""What was deleted on a store and is kept there for a while: looked for where something is missed."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from duckdb import DuckDBPyConnection

from exactcopy.inventory.database import nothing, parquet, row, rows, save, save_rows, shares_of
from exactcopy.inventory.listing import listed_row
from exactcopy.inventory.reported import clear
from exactcopy.inventory.schema import INVENTORY, LISTING
from exactcopy.model import Copy, Target
from exactcopy.stores import Trash, open_store

_FILE = "deleted.parquet"
_ROWS_AT_A_TIME = 20_000
# A store that has to be asked about each by itself is asked about so many at most.
_MOST_NAMED = 10_000
_MISSED = {
    "rank": "int",
    "key": "blob",
    "study": "varchar",
    "series": "varchar",
    "sop": "varchar",
    "new": "boolean",
}


def find_missed(db: DuckDBPyConnection, into: Path, sources: Sequence[Path], due: int, started: int) -> int:
    """Fill the table `missed` with what one of the inventories `sources` has and `into` has not.

    What the first source knows of an instance comes first. Return how many there are beside what was stored between
    `due` and `started`, in nanoseconds since 1970, and may just not have been copied yet.
    """
    # An audit that was killed may have left it.
    (into / _FILE).unlink(missing_ok=True)
    there = "sop_instance_uid is not null and problem is distinct from 'deleted'"
    known = " union all ".join(
        f"select {rank} as rank, key, study_instance_uid as study, series_instance_uid as series,"
        f" sop_instance_uid as sop, coalesce(modified between {due} and {started}, false) as new"
        f" from {parquet(source)} where {there}"
        for rank, source in enumerate(sources)
    )
    db.execute(
        f"""
        create or replace view held as select sop_instance_uid as sop from {parquet(into)} where {there};
        create or replace view known_before as {known or nothing(_MISSED)};
        create or replace table missed as from {nothing(_MISSED)}
        """
    )
    for share in shares_of(db, "known_before", "sop"):
        db.execute(
            f"""insert into missed by name select * from (from known_before where {share})
                anti join (from held where {share}) h using (sop)"""
        )
    return int(row(db, "select count(distinct sop) from missed where not new")[0])


def find_deleted(
    db: DuckDBPyConnection, target: Target, work: Path, into: Path, sources: Sequence[Path], started: int
) -> None:
    """Add to the inventory `into` what was deleted on `target` and is kept, while `missed` is filled.

    Each is named by its content, where the store tells a checksum that one of `sources` knows, or else by the key at
    which it is missed. Raises StoreUnavailable where the store cannot be reached any more.
    """
    named = rows(db, f"select key from missed group by key order by min(rank), key limit {_MOST_NAMED}")
    for stale in work.glob("deleted-*.parquet"):
        stale.unlink()
    with open_store(target) as store:
        if not isinstance(store, Trash):
            return
        gone = store.deleted([key for (key,) in named])
        for number, batch in enumerate(_batches(gone)):
            save_rows(db, LISTING, [listed_row(copy) for copy in batch], work / f"deleted-{number:05}.parquet")
    if not any(work.glob("deleted-*.parquet")):
        return
    listed = parquet(work, "deleted-*.parquet")
    clear(db, listed, sources, started)
    save(
        db,
        f"""
        from {nothing(INVENTORY)}
        union all by name select {", ".join(INVENTORY)} from reported
        union all by name
        select l.key, l.size, l.modified, l.version, l.digests, l.problem, m.study as study_instance_uid,
               m.series as series_instance_uid, m.sop as sop_instance_uid
        from (from {listed} anti join reported using (key, size, digests)) l
        left join (select key, arg_min(study, rank) as study, arg_min(series, rank) as series,
                          arg_min(sop, rank) as sop from missed group by key) m on m.key = l.key""",
        into / _FILE,
    )


def _batches(copies: Iterator[Copy]) -> Iterator[list[Copy]]:
    while batch := list(islice(copies, _ROWS_AT_A_TIME)):
        yield batch
