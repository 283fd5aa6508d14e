"""What a store says of its objects, held against what one read of the primaries computed.

A checksum may clear a copy and never convicts one: what does not match is read.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from duckdb import DuckDBPyConnection

from exactcopy.digest import SHA256, STRONGEST_FIRST, parse
from exactcopy.inventory.database import literal, nothing, parquet, rows, shares_of
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
    # Two objects may have one name, in Google Drive for one, and slices all have one size: a listed one is told by its
    # key, its size and what is reported of it.
    # A row of an inventory is told by its place: its number in its file, and which of the primaries that is. What was
    # deleted may stand in a file of its own, whose numbers are others' too, and nobody computed a checksum of it.
    known = " union all by name ".join(
        f"select *, file_row_number * {len(primaries)} + {number} as number from {parquet(folder, numbered=True)}"
        for number, folder in enumerate(primaries)
    ) or (f"select *, null::bigint as number from {nothing(INVENTORY)}")
    told = ", ".join(literal(problem) for problem in (Problem.ARCHIVED, Problem.AMBIGUOUS, Problem.DELETED))
    strength = " ".join(f"when '{algorithm}' then {rank}" for rank, algorithm in enumerate(STRONGEST_FIRST))
    db.execute(
        f"""
        create or replace view contents as
        from ({known}) where sha256 is not null and problem is distinct from 'deleted';
        create or replace view computed as
        select name, digest, size, number from {entries("contents", "size, number")} where name <> ''
        union all select 'sha256', lower(hex(sha256)), size, number from contents;
        create or replace table computed_names as select distinct name from computed;
        create or replace table claims
        (key blob, size bigint, digests varchar, name varchar, digest varchar, gone boolean);
        create or replace table cleared (key blob, size bigint, digests varchar, number bigint);
        create or replace table reported as
        select {", ".join(INVENTORY)} from {nothing(INVENTORY)}
        """
    )
    for share in shares_of(db, listed, "key"):
        db.execute(
            f"""
            insert into claims
            select key, size, digests, first(name order by strength, name), first(digest order by strength, name),
                   coalesce(any_value(problem) = 'deleted', false)
            from (select *, case split_part(name, '/', 1) {strength} end as strength
                  from {entries(f"{listed} where {share}", "key, size, problem, digests")}
                  where name in (from computed_names) and (problem is null or problem in ({told})))
            group by key, size, digests"""
        )
    for share in shares_of(db, "contents", "digest"):
        db.execute(
            f"""
            insert into cleared
            select key, size, digests, number from (from claims where {share}) join (
                select name, digest, size, min(number) as number from computed
                where {share} and name in (select distinct name from claims) group by name, digest, size)
            using (name, digest, size)"""
        )
    for share in shares_of(db, "cleared", "number"):
        db.execute(
            f"""
            insert into reported
            select l.key, l.size, l.modified, l.inode, l.version, p.study_instance_uid, p.series_instance_uid,
                   p.sop_instance_uid, p.sop_class_uid, p.transfer_syntax_uid, p.modality, p.study_date, p.frames,
                   p.lossy, p.sha256, l.digests, case when not gone then 'reported' end as digest_source,
                   claims.name as algorithm, case when not gone then {started}::bigint end as read_at,
                   case when l.problem = 'archived' then true end as archived,
                   case when gone then l.problem else p.problem end as problem
            from (from cleared where {share}) c join claims using (key, size, digests)
            join {listed} l using (key, size, digests)
            join (from contents where {share}) p on p.number = c.number"""
        )
    db.execute(
        """create or replace table contradicted as
           select key from claims anti join cleared using (key, size, digests) where not gone"""
    )


def names_of(checksums: Iterable[Checksum]) -> str:
    """Return the SQL list of the names of `checksums`."""
    return "[" + ", ".join(literal(str(each)) for each in checksums) + "]::varchar[]"
