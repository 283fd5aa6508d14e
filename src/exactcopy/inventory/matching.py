"""Say which instance an object is where its own bytes could not."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from duckdb import DuckDBPyConnection

from exactcopy.inventory.database import literal, parquet, row, save
from exactcopy.model import CUT_SHORT, UNREAD, Problem


@dataclass(frozen=True, slots=True)
class Matched:
    """How many objects of a store are images, how many stay unread, how many of these nameless.

    `outside`: links that lead out of the store, to what may be images.
    """

    images: int
    unread: int
    nameless: int
    outside: int


def match(
    db: DuckDBPyConnection, folder: Path, into: Path, previous: Path | None, primaries: Sequence[Path]
) -> Matched:
    """Join what is known of the objects in `folder` into the inventory `into`.

    An object that could not be read, or was deleted, is taken for the instance that had its key in `previous`, this
    store's inventory in the last record, or else has its key on one of the `primaries`. While one that may be there
    stays nameless, no instance can be called missing there.
    """
    unread = ", ".join(literal(problem) for problem in sorted(UNREAD))
    named = ", ".join(literal(problem) for problem in sorted({*UNREAD, Problem.DELETED}))
    # By the plan, read whole, read whole after their beginning told what they are, and only told by that.
    kinds = ("known-*.parquet", "part-*.parquet", "rest-*.parquet", "named.parquet")
    known = (f"select * from {parquet(folder, kind)}" for kind in kinds if any(folder.glob(kind)))
    db.execute(f"create or replace view found as {' union all by name '.join(known)}")
    if (folder / "kept.parquet").exists():
        # What was left unread when time was over keeps an earlier proof that is not too old yet.
        over = ", ".join(literal(problem) for problem in sorted(CUT_SHORT))
        db.execute(
            f"""create or replace view parts as
            with again as (select k.* from {parquet(folder, "kept.parquet")} k
                           semi join found f on f.key = k.key and f.problem in ({over}))
            select * from found anti join again using (key) union all by name select * from again"""
        )
    else:
        db.execute("create or replace view parts as from found")
    sources = [*([previous] if previous else []), *primaries]
    db.execute("create or replace table names (key blob, study varchar, series varchar, sop varchar, rank int)")
    for rank, source in enumerate(sources):
        # Beside what was there, something else may have been deleted at the same place.
        ranked = f"{2 * rank} + (problem is not distinct from 'deleted')::int"
        db.execute(
            f"insert into names select key, study_instance_uid, series_instance_uid, sop_instance_uid, {ranked}"
            f" from {parquet(source)} where sop_instance_uid is not null and key in"
            f" (select key from parts where problem in ({named}))"
        )
    joined = f"""
        select p.* replace (coalesce(p.study_instance_uid, n.study) as study_instance_uid,
                            coalesce(p.series_instance_uid, n.series) as series_instance_uid,
                            coalesce(p.sop_instance_uid, n.sop) as sop_instance_uid)
        from parts p left join (select key, arg_min(study, rank) as study, arg_min(series, rank) as series,
                                       arg_min(sop, rank) as sop from names group by key) n
          on n.key = p.key and p.problem in ({named})"""
    save(db, joined if sources else "from parts", into / "inventory.parquet")
    found = row(
        db,
        f"""select count(sop_instance_uid) filter (problem is distinct from 'deleted'),
            count(*) filter (problem in ({unread})),
            count(*) filter (problem in ({unread}) and sop_instance_uid is null),
            count(*) filter (problem = 'link_outside') from {parquet(into)}""",
    )
    return Matched(*found)
