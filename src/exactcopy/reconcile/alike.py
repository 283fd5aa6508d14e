"""What is the same bytes on both sides, which is nearly all: found apart, by one join that takes little memory.

Only what is left is looked at closely. Parts by a hash of the SOP Instance UID know nothing of each other: of a large
archive each is a task of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from duckdb import DuckDBPyConnection

from exactcopy.errors import ExactCopyError
from exactcopy.inventory.database import allow, database, literal, parquet, row, save, see
from exactcopy.model import Outcome
from exactcopy.pool import Died, Workers
from exactcopy.reconcile.case import Case, Examined, define_objects, pairs_of, purged_from

# So many objects of all stores together are compared at once: more than fit into memory, and are joined beside it.
PART_OBJECTS = 10_000_000
_NO_PAIR = """select null::varchar as primary_store, null::varchar as backup, null::varchar as sop,
    null::varchar as study, false as same, null::bigint as read_at, null::bigint as copied, null::bigint as size,
    null::bigint as day, false as primary_damaged, false as backup_damaged, null::varchar as reported where false"""


@dataclass(frozen=True, slots=True)
class Part:
    """One of `of` parts of the instances of `stores`; what comes of it goes to `folder`."""

    stores: tuple[Examined, ...]
    number: int
    of: int
    folder: Path


def find_alike(case: Case, pool: Workers | None = None) -> None:
    """Fill `alike`: each instance that is one object on either side, of the same bytes; and `rest`: every other one.

    Both tell (primary_store, backup, sop), and hold what was purged from a primary like what is there. `twice` are the
    instances (store, sop) of which a store holds more than one object. `pool` compares what is more than one part.
    """
    db, folder = case.db, case.folder
    if folder is None:
        _find_twice(db)
        db.execute(f"create or replace table few_paired as {_NO_PAIR}")
        # One after the other: each join takes memory of its own, however few its rows are.
        for paired in _paired(case.stores):
            db.execute(f"insert into few_paired {paired}")
        db.execute("create or replace view paired as from few_paired")
    else:
        parts = -(-case.objects // PART_OBJECTS)
        if pool is None or parts == 1:
            _write_part(db, Part(case.stores, 0, 1, folder))
        else:
            _compare_parts(pool, case.stores, parts, folder)
        db.execute(f"create or replace table twice as from {parquet(folder, 'twice-*.parquet')}")
        db.execute(f"create or replace view paired as from {parquet(folder, 'paired-*.parquet')}")
    db.execute(
        f"""
        create or replace view alike as
        select * exclude (same), {literal(Outcome.IDENTICAL)} as outcome from paired where same;
        create or replace table rest (
            primary_store varchar, backup varchar, sop varchar, several boolean, there boolean)
        """
    )
    for primary, backup in _pairs(case.stores):
        ours, theirs = literal(primary), literal(backup)
        db.execute(
            f"""
            create or replace table unmatched as
            select sop from paired where not same and primary_store = {ours} and backup = {theirs}
            union all select sop from twice where store = {ours};
            insert into rest
            select {ours}, {theirs}, u.sop, t.sop is not null, o.sop is not null from unmatched u
            left join (select distinct sop from twice where store in ({ours}, {theirs})) t using (sop)
            left join (select distinct sop from (select sop from objects where store = {theirs})
                       semi join unmatched using (sop)) o using (sop)
            """
        )
    (count,) = row(db, "select count(*) from rest")
    allow(db, count)


def shares_of_rest(case: Case, primary: str, backup: str, which: str, most: int) -> list[str]:
    """Return the SQL of the instances (sop) of `rest` of one pair of `which`, in shares of about `most`.

    `several` tells those of which either side holds more than one object, `there` those of which the backup holds any.
    """
    held = f"""select sop from rest
        where primary_store = {literal(primary)} and backup = {literal(backup)} and {which}"""
    (count,) = row(case.db, f"select count(*) from ({held})")
    shares = -(-count // most)
    return [f"{held} and hash(sop) % {shares} = {share}" for share in range(shares)]


def compare_part(part: Part) -> list[Path]:
    """Compare one part in a database of its own, and return the files that hold what came of it.

    Runs in a worker, which finds every file under the same path.
    """
    with database(part.folder / f"spill-{part.number:05}") as db:
        define_objects(db, part.stores, f"hash(sop_instance_uid) % {part.of} = {part.number}")
        return _write_part(db, part)


def _compare_parts(pool: Workers, stores: Sequence[Examined], parts: int, folder: Path) -> None:
    # How a store is reached is nothing to whoever compares what was found there.
    told = tuple(replace(each, target=replace(each.target, options={})) for each in stores)
    tasks = (Part(told, number, parts, folder) for number in range(parts))
    # Two at once on one computer would take twice the memory, and no less time: one uses all its cores.
    files: list[Path] = []
    for part, result in pool.map(compare_part, tasks, at_once=None if pool.elsewhere else 1):
        if isinstance(result, Died):
            raise ExactCopyError(
                f"inventories: part {part.number + 1} of {part.of} could not be compared: its process was ended twice,"
                " perhaps for want of memory. Free some, then audit again: what was read is kept."
            )
        files += result
    # One that does not show would be images that nobody looks at.
    see(files)


def _write_part(db: DuckDBPyConnection, part: Part) -> list[Path]:
    _find_twice(db)
    tables = {f"twice-{part.number:05}.parquet": "from twice"}
    for number, paired in enumerate(_paired(part.stores) or [_NO_PAIR]):
        tables[f"paired-{part.number:05}-{number:03}.parquet"] = paired
    for name, table in tables.items():
        save(db, table, part.folder / name)
    return [part.folder / name for name in tables]


def _find_twice(db: DuckDBPyConnection) -> None:
    """Fill `twice`. That two UIDs have one hash does no harm: their objects are looked at closely."""
    db.execute(
        """
        create or replace table twice as
        with several as (select store, hash(sop) as hashed from judged where sop is not null
                         group by all having count(*) > 1)
        select distinct j.store, j.sop from judged j
        join several s on s.store = j.store and s.hashed = hash(j.sop) where j.sop is not null
        """
    )


def _paired(stores: Sequence[Examined]) -> list[str]:
    """Return the SQL of each pair of stores: a row for each instance that the primary holds as one object.

    Strings that few will ask for, as keys, would not fit into memory: they are looked up for those.
    """
    return [
        f"""
        select {literal(primary)} as primary_store, {literal(backup)} as backup, p.sop as sop, p.study as study,
               b.sop is not null as same, least(p.read_at, b.read_at) as read_at, b.modified as copied, b.size as size,
               epoch(b.study_date)::bigint as day, p.damaged as primary_damaged, b.damaged as backup_damaged,
               case when b.digest_source = 'reported' then b.algorithm end as reported
        from (select sop, study, sha256, read_at, damaged from judged
              anti join (select sop from twice where store = {literal(primary)}) using (sop)
              where store = {literal(primary)} and sop is not null) p
        left join (select sop, sha256, read_at, modified, size, study_date, damaged, digest_source, algorithm
                   from objects anti join (select sop from twice where store = {literal(backup)}) using (sop)
                   where store = {literal(backup)} and sop is not null) b on b.sop = p.sop and b.sha256 = p.sha256"""
        for primary, backup in _pairs(stores)
    ]


def _pairs(stores: Sequence[Examined]) -> list[tuple[str, str]]:
    """Return the names of what is compared: every primary, and what was purged from it, with its backups."""
    case_pairs = pairs_of(stores)
    there = [(primary.target.name, backup.target.name) for primary, backup in case_pairs]
    purged = [(purged_from(primary.target), backup.target.name) for primary, backup in case_pairs if primary.purged]
    return there + purged
