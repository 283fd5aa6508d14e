"""What a primary no longer shows, remembered as it last was: so its copies can be judged after it is gone."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from duckdb import DuckDBPyConnection

from exactcopy.inventory.database import nothing, parquet, save
from exactcopy.inventory.schema import INVENTORY, all_columns

_COLUMNS = ", ".join(INVENTORY)
# `last_seen`: when the last record that saw it began. `gone_since`: when the first that could tell found it gone; null
# while the listing was not whole. `whole`: then no image of its study was left.
GONE = INVENTORY | {"last_seen": "bigint", "gone_since": "bigint", "whole": "boolean"}
_THERE = "sop_instance_uid is not null and problem is distinct from 'deleted'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What one record knew of a primary: what it held, and what was gone by then. `started` is in nanoseconds."""

    inventory: Path
    gone: Path | None
    started: int


def remember(
    db: DuckDBPyConnection, inventory: Path, before: Before | None, absence_shows: bool, started: int, into: Path
) -> None:
    """Write each instance that an earlier record saw and `inventory` has not, as it last was, to the file `into`."""
    held = all_columns(parquet(before.inventory)) if before else nothing(INVENTORY)
    gone = all_columns(parquet(before.gone.parent, before.gone.name)) if before and before.gone else nothing(GONE)
    since = f"{started}::bigint" if absence_shows else "null::bigint"
    # By UIDs alone first: nearly all is there, and whole rows of it would not fit into memory.
    db.execute(
        f"""
        create or replace view there_now as
        select sop_instance_uid, study_instance_uid from {parquet(inventory)} where {_THERE};
        create or replace table just_missed as
        select distinct sop_instance_uid from (select sop_instance_uid from {held} where {_THERE})
        anti join there_now using (sop_instance_uid);
        create or replace table returned as
        select distinct sop_instance_uid from there_now
        semi join (select sop_instance_uid from {gone}) g using (sop_instance_uid)
        """
    )
    save(
        db,
        f"""
        with missed as (
            select {", ".join(GONE)} from {gone} anti join returned using (sop_instance_uid)
            union all by name
            select distinct on (sop_instance_uid, sha256) {_COLUMNS},
                   {before.started if before else 0}::bigint as last_seen, null::bigint as gone_since,
                   null::boolean as whole
            from (from {held} where {_THERE}) semi join just_missed using (sop_instance_uid))
        select m.* replace (coalesce(m.gone_since, {since}) as gone_since,
                            case when m.gone_since is not null then m.whole
                                 when {absence_shows} then s.study_instance_uid is null end as whole)
        from missed m left join (select distinct study_instance_uid from there_now) s
          on s.study_instance_uid = m.study_instance_uid""",
        into,
    )


def save_purged(db: DuckDBPyConnection, gone: Path, known: Path | None, keeps: timedelta, into: Path) -> None:
    """Write of what is gone what its primary may have purged, with `last_seen`, to the folder `into`.

    That is a study of which no image was left, and which was older than `keeps` when it was first found gone. It may
    have gone earlier. It is as old as its latest study date says, else as its latest first record: in doubt too young.
    """
    first_seen = (
        f"select sop, first_seen from {parquet(known.parent, known.name)}"
        if known
        else nothing({"sop": "varchar", "first_seen": "bigint"})
    )
    save(
        db,
        f"""
        with gone as (select g.*, k.first_seen from {parquet(gone.parent, gone.name)} g
                      left join ({first_seen}) k on k.sop = g.sop_instance_uid),
        ages as (select coalesce(study_instance_uid, sop_instance_uid) as study,
                        coalesce(epoch_ns(max(study_date) filter (study_date between '1970-01-01' and '2200-01-01')),
                                 max(first_seen)) as made
                 from gone group by study)
        select {_COLUMNS}, last_seen, last_seen - made < {_nanoseconds(keeps)} as young
        from gone join ages on ages.study = coalesce(study_instance_uid, sop_instance_uid)
        where whole and gone_since - made >= {_nanoseconds(keeps)}""",
        into / "inventory.parquet",
    )


def _nanoseconds(span: timedelta) -> int:
    return span // timedelta(microseconds=1) * 1000
