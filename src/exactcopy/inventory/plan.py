"""What of a store has to be read, and what the last record still proves."""

import json
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from duckdb import DuckDBPyConnection

from exactcopy.inventory.database import nothing, parquet, row, save
from exactcopy.inventory.schema import INVENTORY
from exactcopy.model import ReadPolicy, Target
from exactcopy.records import write_whole

# The next audit may come this late without any proof growing older than `reread`.
_UNTIL_NEXT_AUDIT = timedelta(days=35)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of a store is read in this audit, and how many objects keep an earlier proof."""

    objects: int
    bytes: int
    carried: int


def plan_reads(db: DuckDBPyConnection, target: Target, folder: Path, previous: Path | None, started: int) -> Plan:
    """Split the listing in `folder` into what is read (todo.parquet) and what is not (kept.parquet).

    `previous` is the inventory of this same store in the last record, or None; `started` is in nanoseconds
    since 1970. Under rotation an object that the listing shows unchanged (size, time, inode) keeps its
    digest, unless that would grow older than the target's `reread` before the next audit. Links and special
    files are never read. A plan that is there already stands: the parts that were read belong to it.
    """
    finished = folder / "plan.json"
    if finished.exists():
        return Plan(**json.loads(finished.read_text(encoding="utf-8")))
    carries = previous is not None and target.read is ReadPolicy.ROTATION
    due = started - _nanoseconds(target.reread - _UNTIL_NEXT_AUDIT)
    db.execute(f"create or replace view listed as select * from {parquet(folder, 'listing-*.parquet')}")
    source = parquet(previous) if carries and previous else nothing(INVENTORY)
    db.execute(
        f"""
        create or replace table planned as
        select l.key, l.size, l.modified, l.inode, k.* exclude (key, size, modified, inode, problem),
               coalesce(l.problem, k.problem) as problem,
               l.problem is null and (k.read_at is null or k.read_at <= {due} or k.read_at > {started}) as todo
        from listed l left join (select * from {source} where sha256 is not null) k
          on k.key = l.key and k.size = l.size and k.modified = l.modified
         and k.inode is not distinct from l.inode
        """
    )
    save(db, "select key, size, modified, inode from planned where todo", folder / "todo.parquet")
    kept = """
        select key, size, modified, inode, study_instance_uid, series_instance_uid, sop_instance_uid,
               sop_class_uid, transfer_syntax_uid, modality, study_date, frames, lossy, sha256,
               case when sha256 is not null then 'carried' end as digest_source, read_at, problem
        from planned where not todo"""
    save(db, kept, folder / "kept.parquet")
    objects, size, carried = row(
        db,
        "select count(*) filter (todo), coalesce(sum(size) filter (todo), 0)::bigint,"
        " count(*) filter (not todo and sha256 is not null) from planned",
    )
    plan = Plan(objects=objects, bytes=size, carried=carried)
    write_whole(finished, json.dumps(asdict(plan)))
    return plan


def _nanoseconds(span: timedelta) -> int:
    return span // timedelta(microseconds=1) * 1000
