"""What of a store has to be read, and what the last record or the store itself still proves."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from duckdb import DuckDBPyConnection

from exactcopy.inventory.database import nothing, parquet, row, save
from exactcopy.inventory.reported import clear, names_of
from exactcopy.inventory.schema import INVENTORY, names
from exactcopy.model import Checksum, ReadPolicy, Target
from exactcopy.records import write_whole

# The next audit may come this late without any proof growing older than `reread`.
_UNTIL_NEXT_AUDIT = timedelta(days=35)
_COLUMNS = ", ".join(INVENTORY)
_LISTED = "key, size, modified, inode, version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of a store is read in this audit, and how many objects are known without.

    `carried` keep an earlier proof, `reported` are what the store's checksum says, `identified` are read at
    their beginning only, until it is known what they are.
    """

    objects: int
    bytes: int
    carried: int
    reported: int
    identified: int


def plan_reads(
    db: DuckDBPyConnection,
    target: Target,
    folder: Path,
    previous: Path | None,
    started: int,
    asked: Sequence[Checksum] = (),
    primaries: Sequence[Path] = (),
) -> Plan:
    """Split the listing in `folder`: todo.parquet is read, heads.parquet identified, known.parquet is known.

    `previous` is the inventory of this same store in the last record, or None; `started` is in nanoseconds
    since 1970. Unless all is read, an object that the listing shows unchanged (size, time, inode, version)
    keeps its digest if it holds all checksums `asked`, until that would grow older than the target's `reread`
    before the next audit; and what matches an object of `primaries` by a checksum that the store reports is
    known by that. Links and special files are never read. A plan that is there already stands: the parts
    that were read belong to it.
    """
    finished = folder / "plan.json"
    if finished.exists():
        return Plan(**json.loads(finished.read_text(encoding="utf-8")))
    carries = previous is not None and target.read is not ReadPolicy.ALL
    due = started - _nanoseconds(target.reread - _UNTIL_NEXT_AUDIT)
    db.execute(f"create or replace table listed as select * from {parquet(folder, 'listing-*.parquet')}")
    clear(db, "listed" if target.read is ReadPolicy.REPORTED else "(from listed limit 0)", primaries, started)
    wanted = names_of(asked)
    source = parquet(previous) if carries and previous else nothing(INVENTORY)
    db.execute(
        f"""
        create or replace table planned as
        select l.key, l.size, l.modified, l.inode, l.version,
               k.* exclude (key, size, modified, inode, version, digest_source, problem),
               case when k.sha256 is not null then 'carried' end as digest_source,
               coalesce(l.problem, k.problem) as problem, k.read_at is not null as before,
               l.key in (from contradicted) as contradicted,
               l.problem is null and (k.read_at is null or k.read_at <= {due} or k.read_at > {started}
                   or not coalesce(list_has_all({names("k.digests")}, {wanted}), len({wanted}) = 0)) as todo
        from listed l left join (select * from {source} where digest_source in ('read', 'carried')) k
          on k.key = l.key and k.size = l.size and k.modified = l.modified
         and k.inode is not distinct from l.inode and k.version is not distinct from l.version
        where l.key not in (select key from reported);
        create or replace table unknown as
        select {_LISTED}, before, contradicted or {_beyond(target)} as identify from planned where todo
        """
    )
    save(db, f"select {_LISTED} from unknown where not identify", folder / "todo.parquet")
    save(db, f"select {_LISTED} from unknown where identify", folder / "heads.parquet")
    known = f"select {_COLUMNS} from reported union all by name select {_COLUMNS} from planned where not todo"
    save(db, known, folder / "known.parquet")
    objects, size, identified = row(
        db,
        "select count(*) filter (not identify), coalesce(sum(size) filter (not identify), 0)::bigint,"
        " count(*) filter (identify) from unknown",
    )
    carried, reported = row(
        db,
        "select (select count(*) from planned where not todo and sha256 is not null), (select count(*) from reported)",
    )
    plan = Plan(objects=objects, bytes=size, carried=carried, reported=reported, identified=identified)
    write_whole(finished, json.dumps(asdict(plan)))
    return plan


def plan_rest(db: DuckDBPyConnection, target: Target, folder: Path, primaries: Sequence[Path]) -> tuple[int, int]:
    """Decide which of the identified objects are read whole: rest.parquet; return how many, and bytes.

    These are the ones that claim to be an instance of a primary, and those whose beginning did not tell; as
    many as `max_read` leaves. All others stay what they are by name, in named.parquet. What is no longer than
    a beginning was read whole with it.
    """
    finished = folder / "rest.json"
    if not finished.exists():
        heads = (
            f"select * from {parquet(folder, 'head-*.parquet')}"
            if any(folder.glob("head-*.parquet"))
            else f"select * from {nothing(INVENTORY)}"
        )
        sops = " union ".join(f"select sop_instance_uid from {parquet(place)}" for place in primaries) or "select null"
        spent = row(db, f"select coalesce(sum(size), 0)::bigint from {parquet(folder, 'todo.parquet')}")[0]
        within = "true" if target.max_read is None else f"total <= {target.max_read - spent}"
        db.execute(
            f"""
            create or replace table heads as
            select *, wanted and {within} as whole from (
                select *, sum(case when wanted then size else 0 end) over (order by key) as total from (
                    select *, problem is null and sha256 is null
                        and (study_instance_uid is null or sop_instance_uid is null or sop_instance_uid in ({sops}))
                        as wanted from ({heads})))
            """
        )
        save(db, f"select {_LISTED} from heads where whole", folder / "rest.parquet")
        save(db, f"select {_COLUMNS} from heads where not whole", folder / "named.parquet")
        counts = row(db, "select count(*), coalesce(sum(size), 0)::bigint from heads where whole")
        write_whole(finished, json.dumps(counts))
    objects, size = json.loads(finished.read_text(encoding="utf-8"))
    return objects, size


def _beyond(target: Target) -> str:
    """Return the SQL of what `max_read` does not allow to read whole; what was never read comes first."""
    if target.max_read is None:
        return "false"
    return f"sum(case when contradicted then 0 else size end) over (order by before, key) > {target.max_read}"


def _nanoseconds(span: timedelta) -> int:
    return span // timedelta(microseconds=1) * 1000
