"""What of a store has to be read, and what the last record or the store itself still proves."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from duckdb import DuckDBPyConnection

from exactcopy.inventory.database import nothing, parquet, row, save
from exactcopy.inventory.doubt import open_listing
from exactcopy.inventory.reported import clear, names_of
from exactcopy.inventory.schema import INVENTORY, names
from exactcopy.model import Checksum, ReadPolicy, Target
from exactcopy.records import write_whole
from exactcopy.stores import PACS

# The next audit may come this late without any proof growing older than `reread`.
_UNTIL_NEXT_AUDIT = timedelta(days=35)
# The UIDs of an instance stand near its beginning (PS3.5 7.1: by ascending tag); larger private data is rare.
HEAD_BYTES = 128 * 1024
_COLUMNS = ", ".join(INVENTORY)
_UIDS = ("study_instance_uid", "series_instance_uid", "sop_instance_uid", "sop_class_uid")
_LISTED = f"key, size, modified, inode, version, {', '.join(_UIDS)}"
# When its window may close meanwhile, what was never read is read first, and then what was read longest ago: else the
# same objects would be read again and again, and others never.
_BY_AGE = "min(coalesce(read_at, 0)) over (partition by study_instance_uid)"
# What an instance of a PACS counts against `max_read` before its size is known: a CT image.
_GUESSED_BYTES = 512 * 1024


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
    known by that. What `max_read` leaves unread is `over_budget`, unless its digest is not too old yet. Links and
    special files are never read. A plan that is there already stands: the parts that were read belong to it.

    An audit after one that left objects unread when the window closed goes on with what that one began, also where
    all is read. And since the window may close again, kept.parquet holds those digests that are not too old yet of
    what is to be read.
    """
    finished = folder / "plan.json"
    if finished.exists():
        return Plan(**json.loads(finished.read_text(encoding="utf-8")))
    carries = previous is not None and (target.read is not ReadPolicy.ALL or _broke_off(db, previous))
    due = started - _nanoseconds(target.reread - _UNTIL_NEXT_AUDIT)
    expired = started - _nanoseconds(target.reread)
    open_listing(db, folder)
    if target.read is ReadPolicy.REPORTED:
        clear(db, "listed", primaries, started)
        # A PACS has named it already, and sends no part of it.
        contradicts = "false" if target.kind in PACS else "l.key in (from contradicted)"
        left = "where l.key not in (select key from reported)"
        reported_rows = "(select count(*) from reported where digest_source is not null)"
    else:
        contradicts, left, reported_rows = "false", "", "0"
    holds_all = f"and coalesce(list_has_all({names('k.digests')}, {names_of(asked)}), false)" if asked else ""
    source = parquet(previous) if carries and previous else nothing(INVENTORY)
    db.execute(
        f"""
        create or replace table planned as with compared as (
        select l.key, coalesce(l.size, k.size) as size, l.modified, l.inode, l.version,
               {", ".join(f"coalesce(k.{name}, l.{name}) as {name}" for name in _UIDS)},
               k.* exclude (key, size, modified, inode, version, digest_source, problem, {", ".join(_UIDS)}),
               case when k.sha256 is not null then 'carried' end as digest_source,
               coalesce(l.problem, k.problem) as problem, {contradicts} as contradicted,
               coalesce(k.read_at <= {started} {holds_all}, false) as serves,
               l.problem is null and not (serves and k.read_at > {due}) as todo
        from listed l left join (select * from {source} where digest_source in ('read', 'carried')) k
          on k.key = l.key and (l.size is null or k.size = l.size) and k.modified is not distinct from l.modified
         and k.inode is not distinct from l.inode and k.version is not distinct from l.version
        {left})
        select *, case when todo then {_within(target)} end as within from compared
        """
    )
    # A PACS may send an instance in other packaging than it keeps it in, or sent it in before.
    todo = _LISTED.replace("size", "null::bigint as size") if target.kind in PACS else _LISTED
    turn = f"{_BY_AGE if target.window else 0} as turn"
    save(db, f"select {todo}, {turn} from planned where within and not contradicted", folder / "todo.parquet")
    if target.window:
        kept = f"select {_COLUMNS} from planned where within and serves and read_at > {expired}"
        save(db, kept, folder / "kept.parquet")
    known = [f"select {_COLUMNS} from planned where not todo or (not within and serves and read_at > {expired})"]
    if target.read is ReadPolicy.REPORTED:
        known.append(f"select {_COLUMNS} from reported")
    if target.max_read is not None:
        known.append(
            f"""select {_COLUMNS} from (select * replace (null::blob as sha256, null::varchar as digests,
                null::varchar as digest_source, null::bigint as read_at, 'over_budget' as problem) from planned)
            where key in (select key from planned
                          where todo and not within and not (serves and read_at > {expired}))"""
        )
    save(db, " union all by name ".join(known), folder / "known.parquet")
    objects, size, identified, carried, reported = row(
        db,
        f"""select count(*) filter (within and not contradicted),
            coalesce(sum(size) filter (within and not contradicted), 0)::bigint,
            count(*) filter (within and contradicted),
            count(*) filter (not coalesce(within, false) and serves and problem is null),
            {reported_rows} from planned""",
    )
    if identified:
        save(db, f"select {_LISTED}, 0 as turn from planned where within and contradicted", folder / "heads.parquet")
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
        within = "true" if target.max_read is None else f"total <= {target.max_read - bytes_read(db, folder)}"
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
        save(db, f"select {_LISTED}, 0 as turn from heads where whole", folder / "rest.parquet")
        # Whose name did not show either may be any instance: nothing can be called missing beside it.
        named = "case when wanted and sop_instance_uid is null then 'over_budget' else problem end as problem"
        save(
            db,
            f"select {_COLUMNS} from (select * replace ({named}) from heads where not whole)",
            folder / "named.parquet",
        )
        counts = row(db, "select count(*), coalesce(sum(size), 0)::bigint from heads where whole")
        write_whole(finished, json.dumps(counts))
    objects, size = json.loads(finished.read_text(encoding="utf-8"))
    return objects, size


def _broke_off(db: DuckDBPyConnection, previous: Path) -> bool:
    """Say whether the window closed before all was read: then the next audit goes on with it."""
    (left,) = row(db, f"select count(*) from {parquet(previous)} where problem = 'over_window'")
    return bool(left)


def _within(target: Target) -> str:
    """Return the SQL of what `max_read` allows to read: what contradicts, what was never read, what was read long ago.

    Room is kept to read all of what contradicts whole: its beginning may show that it has to be.
    """
    if target.max_read is None:
        return "true"
    cost = f"case when contradicted then least(size, {HEAD_BYTES}) else coalesce(size, {_GUESSED_BYTES}) end"
    return f"""sum({cost}) over (
            partition by todo, contradicted order by read_at nulls first, key)
        <= {target.max_read} - case when contradicted then 0 else coalesce((
            select sum(size + least(size, {HEAD_BYTES})) from compared where todo and contradicted), 0) end"""


def bytes_read(db: DuckDBPyConnection, folder: Path) -> int:
    """Return how many bytes were read by the plan in `folder`, as far as it was carried out."""
    whole, beginning = "size", f"least(size, {HEAD_BYTES})"
    sizes = {"part": whole, "head": beginning, "rest": whole}
    return sum(
        int(
            row(
                db,
                f"select coalesce(sum({size}), 0)::bigint from {parquet(folder, f'{name}-*.parquet')}"
                " where problem is distinct from 'over_window'",
            )[0]
        )
        for name, size in sizes.items()
        if any(folder.glob(f"{name}-*.parquet"))
    )


def _nanoseconds(span: timedelta) -> int:
    return span // timedelta(microseconds=1) * 1000
