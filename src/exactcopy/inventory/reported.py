"""What a store says of its objects, held against what one read of the primaries computed.

A checksum may clear a copy and never convicts one: what does not match is read.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from duckdb import DuckDBPyConnection

from exactcopy.digest import SHA256, STRONGEST_FIRST, parse
from exactcopy.inventory.database import literal, nothing, parquet, rows
from exactcopy.inventory.schema import INVENTORY, entries, names
from exactcopy.model import Checksum, Problem

# Each costs time on every object of the primary. Uploads cut into parts of more sizes than this are read back.
_MOST_ASKED = 8


def asked_of_primaries(db: DuckDBPyConnection, listings: Iterable[Path]) -> tuple[Checksum, ...]:
    """Return the checksums beside SHA-256 that one read of a primary has to compute, to clear what these report.

    Of each object it is the strongest that is reported; of all, the most frequent ones.
    """
    counts: dict[Checksum, int] = {}
    for folder in listings:
        listed = parquet(folder, "listing-*.parquet")
        for reported, count in rows(
            db,
            f"select reported, count(*) from (select {names('digests')} as reported from {listed}"
            " where digests is not null) group by reported",
        ):
            best = min(map(parse, reported), key=lambda checksum: STRONGEST_FIRST.index(checksum.algorithm))
            if best != SHA256:
                counts[best] = counts.get(best, 0) + count
    most = sorted(counts, key=lambda checksum: (-counts[checksum], str(checksum)))[:_MOST_ASKED]
    return tuple(sorted(most, key=str))


def clear(db: DuckDBPyConnection, listed: str, primaries: Sequence[Path], started: int) -> None:
    """Fill the tables `reported` and `contradicted` from the objects in `listed`.

    `reported` holds an inventory row for each object whose strongest comparable checksum and size are those of
    an object that was read on one of `primaries`: what it is, is what that object is. `contradicted` holds the
    keys of those that could be compared and match nothing. What has no bytes of its own, such as a shortcut, is
    never cleared, whatever is reported of it; what only cannot be read may be. What was deleted stays so: it is
    only told which instance it was.
    """
    known = " union all by name ".join(f"select * from {parquet(folder)}" for folder in primaries) or (
        f"select * from {nothing(INVENTORY)}"
    )
    told = ", ".join(literal(problem) for problem in (Problem.ARCHIVED, Problem.AMBIGUOUS, Problem.DELETED))
    strength = " ".join(f"when '{algorithm}' then {rank}" for rank, algorithm in enumerate(STRONGEST_FIRST))
    db.execute(
        f"""
        create or replace table contents as
        select *, row_number() over (order by key) as number from ({known}) where sha256 is not null;
        create or replace table computed as
        select name, digest, size, min(number) as number from (
            select name, digest, size, number from {entries("contents", "size, number")}
            union all select 'sha256', lower(hex(sha256)), size, number from contents)
        where name is not null and name <> '' group by name, digest, size;
        create or replace table claims as
        select key, size, first(name order by strength, name) as name, first(digest order by strength, name) as digest,
               coalesce(any_value(problem) = 'deleted', false) as gone
        from (select *, case split_part(name, '/', 1) {strength} end as strength
              from {entries(listed, "key, size, problem")}
              where name in (select distinct name from computed) and (problem is null or problem in ({told})))
        group by key, size;
        create or replace table reported as
        select l.key, l.size, l.modified, l.inode, l.version, p.study_instance_uid, p.series_instance_uid,
               p.sop_instance_uid, p.sop_class_uid, p.transfer_syntax_uid, p.modality, p.study_date, p.frames,
               p.lossy, p.sha256, l.digests, case when not gone then 'reported' end as digest_source,
               claims.name as algorithm, case when not gone then {started}::bigint end as read_at,
               case when gone then l.problem else p.problem end as problem
        from {listed} l join claims using (key)
        join computed on computed.name = claims.name and computed.digest = claims.digest
                     and computed.size = claims.size
        join contents p on p.number = computed.number;
        create or replace table contradicted as
        select key from claims anti join reported using (key) where not gone;
        """
    )


def names_of(checksums: Iterable[Checksum]) -> str:
    """Return the SQL list of the names of `checksums`."""
    return "[" + ", ".join(literal(str(each)) for each in checksums) + "]::varchar[]"
