"""What of a store has to be read, and what the last record or the store itself still proves."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from duckdb import DuckDBPyConnection

from exactcopy.inventory.budget import Limit
from exactcopy.inventory.database import literal, nothing, parquet, row, rows, save, shares_of
from exactcopy.inventory.doubt import open_listing
from exactcopy.inventory.reported import clear, names_of
from exactcopy.inventory.schema import INVENTORY, all_columns, names
from exactcopy.model import CUT_SHORT, FOREVER, LEFT, Checksum, Problem, ReadPolicy, Target
from exactcopy.records import write_whole
from exactcopy.stores import PACS

# A monthly audit comes back after 28 days at the earliest: what would be too old by then is read in this one. An audit
# that comes later reads what grew too old meanwhile before it counts again.
_UNTIL_NEXT_AUDIT = timedelta(days=28)
# The UIDs of an instance stand near its beginning (PS3.5 7.1: by ascending tag); larger private data is rare.
HEAD_BYTES = 128 * 1024
_COLUMNS = ", ".join(INVENTORY)
_UIDS = ("study_instance_uid", "series_instance_uid", "sop_instance_uid", "sop_class_uid")
_LISTED = f"key, size, modified, inode, version, {', '.join(_UIDS)}"
# What an instance of a PACS counts against a limit before its size is known: a CT image.
_GUESSED_BYTES = 512 * 1024
_LEFT = ", ".join(literal(problem) for problem in sorted(LEFT))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of a store is read in this audit, and how many objects are known without.

    `carried` keep an earlier proof, `reported` are what the store's checksum says, `identified` are read at
    their beginning only, until it is known what they are. A limit leaves `left` objects of `left_bytes` unread that had
    to be read; `limit` is how many bytes it allows, and `left_as` what those are called.
    """

    objects: int
    bytes: int
    carried: int
    reported: int
    identified: int
    left: int
    left_bytes: int
    limit: int | None
    left_as: str


def plan_reads(
    db: DuckDBPyConnection,
    target: Target,
    folder: Path,
    previous: Path | None,
    started: int,
    asked: Sequence[Checksum] = (),
    primaries: Sequence[Path] = (),
    limit: Limit | None = None,
    *,
    in_order: bool = False,
) -> Plan:
    """Split the listing in `folder`: todo.parquet is read, heads.parquet identified, known-*.parquet are known.

    `previous` is the inventory of this same store in the last record, or None; `started` is in nanoseconds
    since 1970. Unless all is read, an object that the listing shows unchanged (size, time, inode, version)
    keeps its digest if it holds all checksums `asked`, until that would grow older than the target's `reread`
    before the next audit; and those read longest ago are read again by and by, so that each audit reads about as much.
    What matches an object of `primaries` by a checksum that the store reports is known by that. What the `limit` leaves
    unread says so, unless its digest is not too old yet. Links and special files are never read. A plan that is there
    already stands: the parts that were read belong to it.

    An audit after one that left objects unread, because its time was over or by a limit, goes on with what that one
    began, also where all is read. And since time may be over again, kept.parquet holds those digests that are not
    too old yet of what is to be read.

    Objects are read by name, or `in_order` of their inodes: most file systems lay files out much in that order, so that
    a disk with a head moves it one way.
    """
    finished = folder / "plan.json"
    if finished.exists():
        return Plan(**json.loads(finished.read_text(encoding="utf-8")))
    by_age = bool(limit or target.window or target.until)
    carried_from = _compare(db, target, folder, previous, started, asked, primaries, by_age=by_age)
    expired = started - _nanoseconds(target.reread)
    db.execute(
        "create or replace view planned as"
        f" select *, case when todo then {_within(db, limit)} end as within from compared"
    )
    # A PACS may send an instance in other packaging than it keeps it in, or sent it in before.
    todo = _LISTED.replace("size", "null::bigint as size") if target.kind in PACS else _LISTED
    # When time may be over meanwhile, what was never read is read first, and then what was read longest ago: else the
    # same objects would be read again and again, and others never. A study is read whole.
    age = "coalesce(age, last_read, 0)" if target.window or target.until else "0"
    place = "inode" if in_order else "0"
    save(
        db,
        f"""select {todo}, {age} as turn, {place} as place from planned
            left join (select study_instance_uid, min(coalesce(last_read, 0)) as age from planned
                       where within and not contradicted group by study_instance_uid) using (study_instance_uid)
            where within and not contradicted""",
        folder / "todo.parquet",
    )
    known = f"(not todo or (not within and serves and read_at > {expired}))"
    if carried_from:
        save(db, _carried(carried_from, f"within and serves and read_at > {expired}"), folder / "kept.parquet")
        save(db, _carried(carried_from, f"{known} and problem is null"), folder / "known-carried.parquet")
    # What was read once and cannot be now, as an object that lies in cold storage since, keeps what was learned.
    odd = f"""select {_odd()} from (from planned where {known} and problem is not null) l
              left join ({carried_from or _nothing_proven()}) k using (row)"""
    save(db, odd, folder / "known-odd.parquet")
    left_as = limit.problem if limit else Problem.OVER_BUDGET
    over = f"todo and not within and not (serves and read_at > {expired})"
    if limit:
        bare = f"select {_LISTED}, {literal(left_as)} as problem from planned where {over}"
        save(db, f"from {nothing(INVENTORY)} union all by name {bare}", folder / "known-left.parquet")
    reported_rows = "0"
    if target.read is ReadPolicy.REPORTED:
        save(db, f"select {_COLUMNS} from reported", folder / "known-reported.parquet")
        reported_rows = "(select count(*) from reported where digest_source is not null)"
    objects, size, identified, carried, reported, left, left_bytes = row(
        db,
        f"""select count(*) filter (within and not contradicted),
            coalesce(sum(size) filter (within and not contradicted), 0)::bigint,
            count(*) filter (within and contradicted),
            count(*) filter (not coalesce(within, false) and serves and whole),
            {reported_rows},
            count(*) filter ({over}), coalesce(sum(size) filter ({over}), 0)::bigint from planned""",
    )
    if identified:
        save(
            db,
            f"select {_LISTED}, 0 as turn, 0 as place from planned where within and contradicted",
            folder / "heads.parquet",
        )
    plan = Plan(
        objects=objects,
        bytes=size,
        carried=carried,
        reported=reported,
        identified=identified,
        left=left,
        left_bytes=left_bytes,
        limit=limit.size if limit else None,
        left_as=left_as,
    )
    write_whole(finished, json.dumps(asdict(plan)))
    return plan


def foresee(
    db: DuckDBPyConnection,
    target: Target,
    folder: Path,
    previous: Path | None,
    started: int,
    asked: Sequence[Checksum],
    primaries: Sequence[Path],
) -> tuple[tuple[int | None, int], ...]:
    """Return how many bytes of the listing in `folder` are to be read, by when they were read last (None: never).

    For a store that reports checksums this is before its `primaries` are read: what is new there and reports some is
    expected to be cleared by them.
    """
    _compare(db, target, folder, previous, started, asked, primaries, by_age=True)
    awaits = "true"
    if target.read is ReadPolicy.REPORTED:
        seen = f"(select key from {parquet(previous)})" if previous else "(select null::blob)"
        awaits = f"(not tells or (contradicted and key in {seen}))"
    found = rows(
        db,
        f"""select last_read,
            sum({_cost()} + case when contradicted then size else 0 end)::bigint
            from compared where todo and {awaits} group by 1""",
    )
    return tuple((at, int(size)) for at, size in found)


def foresee_unlisted(
    db: DuckDBPyConnection, target: Target, previous: Path, started: int
) -> tuple[tuple[int | None, int], ...]:
    """Return the same of a store that is not listed before the others are read, by its inventory of the last record."""
    due = started - _nanoseconds(target.reread - _UNTIL_NEXT_AUDIT)
    times = _times(db, previous, target, started)
    found = rows(
        db,
        f"""select case when digest_source in ('read', 'carried') then read_at end as last,
            sum(coalesce(size, {_GUESSED_BYTES}))::bigint from {parquet(previous)}
            where digest_source in ('read', 'carried') or problem in ({_LEFT}) group by 1 order by last nulls first""",
    )
    share = sum(size for at, size in found if at is not None) // times if times else 0
    demanded: list[tuple[int | None, int]] = []
    for at, size in found:
        wanted = size if at is None or at <= due else min(size, share)
        share -= 0 if at is None else min(wanted, share)
        demanded.append((at, wanted))
    return tuple(demanded)


def _compare(
    db: DuckDBPyConnection,
    target: Target,
    folder: Path,
    previous: Path | None,
    started: int,
    asked: Sequence[Checksum],
    primaries: Sequence[Path],
    *,
    by_age: bool,
) -> str | None:
    """Fill the view `compared`: what the listing and `previous` say of each object, and which are `todo`.

    Return the SQL of the rows of `previous` that may be carried on; None where none are. Where all is read anew, it
    still says `by_age` when each was read last: what is left this time is to be read first next time.
    """
    carries = previous is not None and (target.read is not ReadPolicy.ALL or _broke_off(db, previous))
    due = started - _nanoseconds(target.reread - _UNTIL_NEXT_AUDIT)
    open_listing(db, folder)
    reports = target.read is ReadPolicy.REPORTED
    if reports:
        clear(db, "listed", primaries, started)
    holds_all = f"coalesce(list_has_all({names('digests')}, {names_of(asked)}), false)" if asked else "true"
    carried_from = _proven(previous) if carries and previous else None
    known = carried_from or (_only_seen(previous) if by_age and previous else _nothing_proven())
    # Only what decides, and what names an object: whole rows would take three times as much. `row` leads back to them.
    named = ", ".join(f"coalesce(k.{name}, l.{name}) as {name}" for name in _UIDS)
    for number, share in enumerate(shares_of(db, "listed", "key")):
        # A PACS has named it already, and sends no part of it.
        contradicted = (
            f"(select key from contradicted where {share})" if reports and target.kind not in PACS else "(null)"
        )
        cleared = f"anti join (select key, size from reported where {share}) r using (key, size)" if reports else ""
        db.execute(
            f"""
            {"insert into sides" if number else "create or replace table sides as"}
            select l.key, coalesce(l.size, k.size) as size, l.modified, l.inode, l.version, {named}, l.problem,
                   coalesce(l.key in {contradicted}, false) as contradicted, l.digests is not null as tells,
                   k.row, k.read_at, l.problem is null as readable,
                   readable and coalesce(k.read_at <= {started} and k.holds_all, false) as serves,
                   case when serves or k.row is null then k.last_read end as last_read,
                   readable and coalesce(k.whole, true) as whole
            from (select * from listed {cleared} where {share}) l left join (
                select row, key, size, modified, inode, version, {", ".join(_UIDS)}, read_at, last_read,
                       {holds_all} as holds_all, problem is null as whole from ({known}) where {share}) k
              on k.key = l.key and (l.size is null or k.size = l.size) and k.modified is not distinct from l.modified
             and k.inode is not distinct from l.inode and k.version is not distinct from l.version
            """
        )
    longest_ago = "false"
    if carried_from and previous and (times := _times(db, previous, target, started)):
        (all_of_it,) = row(db, f"select coalesce(sum({_cost()}), 0)::bigint from sides where serves")
        # The middle of an object counts, so that neither the largest nor the last is always or never beyond the share.
        longest_ago = _among_first(db, "sides", "serves", all_of_it / times, middle=True)
    db.execute(
        "create or replace view compared as"
        f" select *, readable and (not serves or read_at <= {due} or {longest_ago}) as todo from sides"
    )
    return carried_from


# What was never read, or does not count, comes before all that was.
_LAST = "coalesce(last_read, -1)"


def _among_first(db: DuckDBPyConnection, table: str, which: str, most: float, *, middle: bool = False) -> str:
    """Return the SQL of being among the first of `which` of a table, as many as cost no more than `most` together.

    The first are those read longest ago, and of those by name. With `middle` the last needs to fit by half only.
    """
    total = 0
    by_age = f"select {_LAST} as last, sum({_cost()})::bigint from {table} where {which} group by 1 order by 1"
    for last, cost in rows(db, by_age):
        if total + cost > most:
            found = db.cursor().execute(
                f"select key, {_cost()} from {table} where {which} and {_LAST} = {last} order by key"
            )
            key = _last_that_fits(found, most - total, middle=middle)
            same_age = f"{_LAST} = {last} and key <= unhex('{key.hex()}')" if key is not None else "false"
            return f"({which} and ({_LAST} < {last} or ({same_age})))"
        total += cost
    return f"({which})"


def _last_that_fits(found: DuckDBPyConnection, most: float, *, middle: bool = False) -> bytes | None:
    """Return the last of some keys, each with its cost, up to which they cost no more than `most`."""
    total = 0
    fits: bytes | None = None
    before: bytes | None = None
    while batch := found.fetchmany(10_000):
        for key, cost in batch:
            # Two objects may have one name: both, or neither.
            if key != before:
                fits, before = before, key
            if total + (cost / 2 if middle else cost) > most:
                return fits
            total += cost
    return before


def _proven(previous: Path) -> str:
    """Return the SQL of what an inventory proves, each row with its number."""
    inventory = all_columns(parquet(previous, numbered=True))
    return f"""select *, file_row_number as row, read_at as last_read from {inventory}
        where digest_source in ('read', 'carried')"""


def _only_seen(previous: Path) -> str:
    """Return the SQL of the same rows, of which nothing is carried on: they tell when each was read last."""
    place = ("key", "size", "modified", "inode", "version")
    nulls = ", ".join(f"null::{kind} as {name}" for name, kind in INVENTORY.items() if name not in place)
    return f"""select {", ".join(place)}, {nulls}, null::bigint as row, last_read from ({_proven(previous)})"""


def _nothing_proven() -> str:
    return f"select *, null::bigint as row, null::bigint as last_read from {nothing(INVENTORY)}"


def _carried(carried_from: str, which: str) -> str:
    """Return the SQL of the inventory rows that are carried on, of those that are planned."""
    return f"""select {_COLUMNS} from (
        select * replace (case when sha256 is not null then 'carried' end as digest_source) from ({carried_from})
        semi join (select row from planned where {which}) using (row))"""


def _odd() -> str:
    """Return the SQL of an inventory row of a listed object `l` with a problem, and what `k` carries on of it."""
    listed = {name: f"l.{name}" for name in ("key", "size", "modified", "inode", "version", "problem")}
    named = {name: f"coalesce(k.{name}, l.{name}) as {name}" for name in _UIDS}
    carried = {"digest_source": "case when k.sha256 is not null then 'carried' end as digest_source"}
    return ", ".join((listed | named | carried).get(name, f"k.{name}") for name in INVENTORY)


def _times(db: DuckDBPyConnection, previous: Path, target: Target, started: int) -> int | None:
    """Return in how many audits like this one all of a store is read again; None where age alone says what is.

    They are as far apart as this one is from the last that read anything.
    """
    if target.read is ReadPolicy.ALL or target.reread >= FOREVER:
        return None
    (last,) = row(db, f"select max(read_at) from {parquet(previous)} where digest_source in ('read', 'carried')")
    apart = started - (last or started)
    return max(_nanoseconds(target.reread - _UNTIL_NEXT_AUDIT), 0) // apart + 1 if apart > 0 else None


def plan_rest(db: DuckDBPyConnection, plan: Plan, folder: Path, primaries: Sequence[Path]) -> tuple[int, int]:
    """Decide which of the identified objects are read whole: rest.parquet; return how many, and bytes.

    These are the ones that claim to be an instance of a primary, and those whose beginning did not tell; as many as
    the limit of the `plan` leaves. All others stay what they are by name, in named.parquet. What is no longer than a
    beginning was read whole with it.
    """
    finished = folder / "rest.json"
    if not finished.exists():
        heads = (
            f"select * from {parquet(folder, 'head-*.parquet')}"
            if any(folder.glob("head-*.parquet"))
            else f"select * from {nothing(INVENTORY)}"
        )
        sops = " union all ".join(f"select sop_instance_uid from {parquet(place)}" for place in primaries)
        db.execute(
            f"""
            create or replace view begun as {heads};
            create or replace table on_primaries as
            select distinct sop_instance_uid from ({sops or "select null::varchar as sop_instance_uid"})
            semi join begun using (sop_instance_uid);
            create or replace view beginnings as
            select *, problem is null and sha256 is null
                and (study_instance_uid is null or sop_instance_uid is null
                     or sop_instance_uid in (from on_primaries)) as wanted
            from begun
            """
        )
        within = "true"
        if plan.limit is not None:
            found = db.cursor().execute("select key, size from beginnings where wanted order by key")
            last = _last_that_fits(found, plan.limit - bytes_read(db, folder))
            within = f"key <= unhex('{last.hex()}')" if last is not None else "false"
        db.execute(f"create or replace view heads as select *, wanted and {within} as whole from beginnings")
        save(db, f"select {_LISTED}, 0 as turn, 0 as place from heads where whole", folder / "rest.parquet")
        # Whose name did not show either may be any instance: nothing can be called missing beside it.
        left = literal(plan.left_as)
        named = f"case when wanted and sop_instance_uid is null then {left} else problem end as problem"
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
    """Say whether time was over, or a limit met, before all was read: then the next audit goes on with it."""
    (left,) = row(db, f"select count(*) from {parquet(previous)} where problem in ({_LEFT})")
    return bool(left)


def _cost() -> str:
    """Return the SQL of what an object counts against a limit."""
    return f"case when contradicted then least(size, {HEAD_BYTES}) else coalesce(size, {_GUESSED_BYTES}) end"


def _within(db: DuckDBPyConnection, limit: Limit | None) -> str:
    """Return the SQL of what a limit allows to read: what contradicts, what was never read, what was read long ago.

    Room is kept to read all of what contradicts whole: its beginning may show that it has to be.
    """
    if limit is None:
        return "true"
    (kept,) = row(
        db,
        f"""select coalesce(sum(size + least(size, {HEAD_BYTES})), 0)::bigint
            from compared where todo and contradicted""",
    )
    contradicting = _among_first(db, "compared", "todo and contradicted", limit.size)
    return f"({contradicting} or {_among_first(db, 'compared', 'todo and not contradicted', limit.size - kept)})"


def bytes_read(db: DuckDBPyConnection, folder: Path) -> int:
    """Return how many bytes were read by the plan in `folder`, as far as it was carried out."""
    whole, beginning = "size", f"least(size, {HEAD_BYTES})"
    sizes = {"part": whole, "head": beginning, "rest": whole}
    over = ", ".join(literal(problem) for problem in CUT_SHORT)
    return sum(
        int(
            row(
                db,
                f"select coalesce(sum({size}), 0)::bigint from {parquet(folder, f'{name}-*.parquet')}"
                f" where problem is null or problem not in ({over})",
            )[0]
        )
        for name, size in sizes.items()
        if any(folder.glob(f"{name}-*.parquet"))
    )


def _nanoseconds(span: timedelta) -> int:
    return span // timedelta(microseconds=1) * 1000
