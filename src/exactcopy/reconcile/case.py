"""What a reconciliation works on: the inventories of every store, in one database."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from exactcopy.inventory.database import literal, nothing, parquet, row
from exactcopy.inventory.schema import INVENTORY, all_columns
from exactcopy.model import DAMAGED, UNREAD, Copy, Role, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One store as it was examined. `inventory` is None where it could not be; `previous` is its last one,
    of the record `previous_from`; of drives that take turns, that of the same drive.

    `known` (primaries only) lists every instance that a record ever saw on it, with its first contents;
    `known_from` names the record that it is from. `complete`: every object was
    listed and read to its end. `absence_shows`: every object was listed, and what could not be read is at
    least known by its UID, so that what is not there can be said not to be there.

    `purged` (primaries that keep images for a time only) is an inventory of what went after that time, as it last was.
    """

    target: Target
    inventory: Path | None
    previous: Path | None = None
    previous_from: str | None = None
    known: Path | None = None
    known_from: str | None = None
    complete: bool = False
    absence_shows: bool = False
    purged: Path | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """The database and what stands in it: `objects` in all. `started` is in nanoseconds since 1970.

    `folder` takes what is too large for the database; None where nothing is.
    """

    db: duckdb.DuckDBPyConnection
    stores: tuple[Examined, ...]
    started: int
    objects: int
    folder: Path | None

    @property
    def primaries(self) -> list[Examined]:
        """The primaries, in the order of the configuration."""
        return [store for store in self.stores if store.target.role is Role.PRIMARY]

    @property
    def backups(self) -> list[Examined]:
        """The backups, in the order of the configuration."""
        return [store for store in self.stores if store.target.role is Role.BACKUP]

    def pairs(self) -> list[tuple[Examined, Examined]]:
        """Every primary with every backup that covers it."""
        return pairs_of(self.stores)

    def purging(self) -> list[tuple[Examined, Examined]]:
        """Every primary from which studies were purged, with every backup that covers it."""
        return [(primary, backup) for primary, backup in self.pairs() if primary.purged]

    def covering(self, primary: Examined) -> list[Examined]:
        """The backups that cover `primary`."""
        return [backup for backup in self.backups if primary.target.name in backup.target.covers]


_COLUMNS = f"""key, size, modified, version, sha256, read_at, problem, modality, study_date, lossy, digest_source,
    algorithm, sop_class_uid, nullif(regexp_extract(digests, '(?:^| )content:([0-9a-f]+)', 1), '') as content,
    sop_instance_uid as sop, series_instance_uid as series,
    coalesce(study_instance_uid, 'without a study: ' || sop_instance_uid) as study,
    coalesce(problem in ({", ".join(literal(problem) for problem in sorted(UNREAD))}), false) as unread,
    coalesce(problem in ({", ".join(literal(problem) for problem in sorted(DAMAGED))}), false) as damaged,
    coalesce(archived or problem = 'archived', false) as archived"""
# On a first audit file times may be those of the day on which an archive was copied together: then an image is taken to
# have been there a week after its study. A placeholder such as 99991231 tells no age and overflows nanoseconds.
SETTLED = "epoch_ns(case when study_date between '1900-01-01' and '2200-01-01' then study_date + interval 7 days end)"
PURGED = "--purged"
# No digital image is older: a study date before it is a placeholder.
PLAUSIBLE = "'1970-01-01'"
_SEEN = {
    "study": "varchar",
    "study_date": "date",
    "modality": "varchar",
    "first_seen": "bigint",
    "last_seen": "bigint",
    "stores": "varchar",
}
# To plan a statement over Parquet takes longer than to run it over so few: some 35 MB.
_FEW_ROWS = 100_000
_KNOWN = {"study": "varchar", "sop": "varchar", "first_seen": "bigint", "contents": "blob[]"}


def purged_from(primary: Target) -> str:
    """Return by what name, as if it were a store, that stands which was purged from `primary`; no store has it."""
    return f"{primary.name}{PURGED}"


def copy_of(row: Mapping[str, Any]) -> Copy:
    """Return the object of a row of `objects`, to be read again."""
    return Copy(
        key=row["key"],
        size=row["size"],
        modified=row["modified"],
        study_instance_uid=row["study"],
        series_instance_uid=row["series"],
        sop_instance_uid=row["sop"],
        sop_class_uid=row["sop_class_uid"],
    )


def pairs_of(stores: Sequence[Examined]) -> list[tuple[Examined, Examined]]:
    """Return every primary with every backup that covers it."""
    primaries = [store for store in stores if store.target.role is Role.PRIMARY]
    backups = [store for store in stores if store.target.role is Role.BACKUP]
    return [(p, b) for p in primaries for b in backups if p.target.name in b.target.covers]


def open_case(
    db: duckdb.DuckDBPyConnection,
    stores: Sequence[Examined],
    started: int,
    studies: Path | None = None,
    folder: Path | None = None,
) -> Case:
    """Return the case over `stores`: `objects`, those `before` (last record), what is `known` and `seen` (all records).

    What was purged from a primary stands in the view `purged`, and beside what is there in the view `judged`.
    `studies` is the file of the studies that were seen on any store; a record of an older version has none.
    What was deleted is no object: it stands in `deleted`, as far as a store keeps it. `folder`, which is emptied, takes
    what is too large for the database.
    """
    objects = define_objects(db, stores)
    previous = {store.target.name: _source(store.previous) for store in stores}
    known = {
        store.target.name: parquet(store.known.parent, store.known.name) if store.known else nothing(_KNOWN)
        for store in stores
        if store.target.role is Role.PRIMARY
    }
    _define(db, "before", previous, _COLUMNS, "problem is distinct from 'deleted'")
    _define(db, "deleted", _inventories(stores), _COLUMNS, "problem = 'deleted'")
    _define(db, "known", known)
    seen = parquet(studies.parent, studies.name) if studies else nothing(_SEEN)
    db.execute(f"create or replace view seen as select * from {seen}")
    large = folder if objects > _FEW_ROWS else None
    if large:
        shutil.rmtree(large, ignore_errors=True)
        large.mkdir(parents=True)
    return Case(db, tuple(stores), started, objects, large)


def define_objects(db: duckdb.DuckDBPyConnection, stores: Sequence[Examined], which: str = "true") -> int:
    """Define the views `objects`, `purged` and `judged`, of `which` rows of the inventories; return how many."""
    purged = {
        purged_from(store.target): parquet(store.purged) if store.purged else nothing(INVENTORY | {"young": "boolean"})
        for store in stores
        if store.target.role is Role.PRIMARY
    }
    count = _define(db, "objects", _inventories(stores), _COLUMNS, f"problem is distinct from 'deleted' and {which}")
    count += _define(db, "purged", purged, f"{_COLUMNS}, young", which)
    db.execute("create or replace view judged as from objects union all by name select * exclude (young) from purged")
    return count


def _inventories(stores: Sequence[Examined]) -> dict[str, str]:
    return {store.target.name: _source(store.inventory) for store in stores}


def _source(folder: Path | None) -> str:
    return all_columns(parquet(folder)) if folder else nothing(INVENTORY)


def _define(
    db: duckdb.DuckDBPyConnection, name: str, sources: Mapping[str, str], columns: str = "*", which: str = "true"
) -> int:
    """Define the view `name` of what `sources` hold, by the names of the stores; where it is little, it is read now.

    Return how many rows the sources have.
    """
    held = " union all by name ".join(
        f"select {literal(store)} as store, {columns} from {source} where {which}" for store, source in sources.items()
    )
    counts = " + ".join(f"(select count(*) from {source})" for source in sources.values()) or "0"
    count = int(row(db, f"select {counts}")[0])
    if count <= _FEW_ROWS:
        db.execute(f"create or replace table few_{name} as {held}")
        held = f"from few_{name}"
    db.execute(f"create or replace view {name} as {held}")
    return count
