"""What every instance of a primary is on one backup: one row, one outcome."""

from exactcopy.inventory.database import literal, row
from exactcopy.model import Outcome
from exactcopy.reconcile.alike import shares_of_rest
from exactcopy.reconcile.case import SETTLED, Case, Examined, purged_from
from exactcopy.stores import PACS

# Best first. The outcome is the worst, over the primary's contents of a UID, of the best copy of each.
# What is not known may still be exact: it ranks before what is known to be worse.
_BEST_FIRST = (
    Outcome.IDENTICAL,
    Outcome.EQUIVALENT,
    Outcome.UNVERIFIED,
    Outcome.UNKNOWN,
    Outcome.ALTERED,
    Outcome.DIFFERENT,
    Outcome.UNREADABLE,
    Outcome.MISSING,
)
_RANK = {outcome: rank for rank, outcome in enumerate(_BEST_FIRST)}
_HOUR = 3.6e12
# What is not alike is looked at in shares of so many: their rows are whole. Of several objects the best is chosen in
# memory.
AT_ONCE, SEVERAL_AT_ONCE = 200_000, 20_000
_COLUMNS = {
    "primary_store": "varchar",
    "backup": "varchar",
    "study": "varchar",
    "series": "varchar",
    "sop": "varchar",
    "outcome": "varchar",
    "read_at": "bigint",
    "primary_key": "blob",
    "backup_key": "blob",
    "primary_sha256": "blob",
    "backup_sha256": "blob",
    "primary_damaged": "boolean",
    "backup_damaged": "boolean",
    "copied": "bigint",
    "size": "bigint",
    "day": "bigint",
    "elements": "varchar",
    "age_hours": "double",
    "changed_side": "varchar",
    "told_by": "varchar",
    "reported": "varchar",
    "present": "boolean",
}


def find_outcomes(case: Case) -> None:
    """Fill `outcomes`: a row for each primary, backup and instance of the primary, once `alike` and `rest` are known.

    What was purged from a primary is judged by what it last was, in rows of its own. The keys, the series and the
    checksums stand in the rows of what is not alike only. And `recoverable`: of what is missing on a backup, the
    version that it keeps of what was deleted there.
    """
    db = case.db
    db.execute(
        f"""
        create or replace table unlike ({", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())});
        create or replace table restored (backup varchar, study varchar);
        create or replace table came_back (primary_store varchar, backup varchar, sop varchar);
        create or replace table doubted (primary_store varchar, backup varchar, sop varchar)
        """
    )
    pairs = [(primary, backup, False) for primary, backup in case.pairs()]
    pairs += [(primary, backup, True) for primary, backup in case.purging()]
    for primary, backup, purged in pairs:
        name = purged_from(primary.target) if purged else primary.target.name
        for several in (False, True):
            which, most = ("several", SEVERAL_AT_ONCE) if several else ("not several", AT_ONCE)
            for rest in shares_of_rest(case, name, backup.target.name, which, most):
                db.execute(f"create or replace table share as {rest}")
                found = _outcomes(case, primary, backup, purged=purged, several=several)
                db.execute(f"insert into unlike by name {found}")
    _tell_which_side_changed(case)
    settle(case)
    _find_recoverable(case)


def settle(case: Case) -> None:
    """Define `outcomes` anew: what is alike and was not doubted, what is not, and what of it was `restored`."""
    alike = ", ".join(name for name in _COLUMNS if name not in _UNKNOWN_OF_ALIKE)
    held = f"""
        select o.*, coalesce(o.present and c.sop is not null, false) as restored from (
            select {alike} from (select *, true as present from alike)
            anti join doubted using (primary_store, backup, sop)
            union all by name from unlike) o
        left join came_back c using (primary_store, backup, sop)"""
    if case.folder is None:
        case.db.execute(f"create or replace table few_outcomes as {held}")
        held = "from few_outcomes"
    case.db.execute(f"create or replace view outcomes as {held}")


# What an instance that is alike has no row of: it is looked up where it is asked for.
_UNKNOWN_OF_ALIKE = frozenset(
    {
        "series",
        "primary_key",
        "backup_key",
        "primary_sha256",
        "backup_sha256",
        "elements",
        "age_hours",
        "changed_side",
        "told_by",
    }
)


def _outcomes(case: Case, primary: Examined, backup: Examined, *, purged: bool, several: bool) -> str:
    """Return the SQL of the outcomes of the instances in `share`, of which either side holds `several` objects or not.

    One of each needs no choice, and a hundred times less memory.
    """
    ranks = {outcome.name.lower(): rank for outcome, rank in _RANK.items()}
    name = literal(purged_from(primary.target) if purged else primary.target.name)
    other = literal(backup.target.name)
    settled = f"min({SETTLED})" if primary.known is None else "null"
    outcome_names = " ".join(f"when {rank} then '{outcome}'" for rank, outcome in enumerate(_BEST_FIRST))
    rpo = backup.target.rpo.total_seconds() / 3600
    if not backup.absence_shows:
        absent = "'unknown'"
    elif purged:
        absent = "'missing'"
    else:
        absent = f"case when age_hours <= {rpo} then 'pending' else 'missing' end"
    verdict = (
        "'unknown'"
        if backup.inventory is None
        else f"case rank when {_RANK[Outcome.MISSING]} then {absent} {outcome_names} end"
    )
    # What is gone can be compared no further: only what may have come in other packaging is not known to differ.
    repackaged = "c.same is null or b.same is null" if {primary.target.kind, backup.target.kind} & PACS else "false"
    unlike = f"case when {repackaged} then {ranks['unverified']} else {ranks['different']} end"
    contents = f"""
        select sop, sha256, study, series, key, read_at, damaged, unread, content as same
        from judged semi join share using (sop) where store = {name}"""
    copies = f"""
        select sop, sha256, key, read_at, modified, damaged, unread, content as same,
               case when digest_source = 'reported' then algorithm end as reported
        from objects semi join share using (sop) where store = {other}"""
    worst = "select sop, paired as w from paired"
    if several:
        contents = f"""
            select sop, sha256, min(study) as study, min(series) as series, min(key) as key, min(read_at) as read_at,
                   bool_and(damaged) as damaged, bool_or(unread) as unread, min(content) as same
            from judged semi join share using (sop) where store = {name} group by sop, sha256"""
        copies = f"""
            select sop, sha256, min(key) as key, max(read_at) as read_at, max(modified) as modified,
                   bool_and(damaged) as damaged, bool_or(unread) as unread, min(content) as same,
                   case when bool_and(digest_source = 'reported') then min(algorithm) end as reported
            from objects semi join share using (sop) where store = {other} group by sop, sha256"""
        worst = """
            select sop, first(of_content order by of_content.rank desc, of_content.primary_key) as w from (
                select sop, content, first(paired order by rank, backup_key) as of_content from paired
                group by sop, content)
            group by sop"""
    return f"""
    with contents as ({contents}),
    copies as ({copies}),
    sizes as (
        select sop, max(size) as size, max(epoch(study_date))::bigint as day
        from objects semi join share using (sop) where store = {other} group by sop),
    ages as (
        select o.sop, ({case.started} - least(min(least(o.modified, {case.started})), min(k.first_seen), {settled}))
                      / {_HOUR} as age_hours
        from judged o semi join share using (sop)
        left join (select sop, min(first_seen) as first_seen from known semi join share using (sop)
                   where store = {name} group by sop) k on k.sop = o.sop
        where o.store = {name} group by o.sop),
    paired as (
        select c.sop, c.sha256 as content, c.study, c.series, c.key as primary_key, c.damaged as primary_damaged,
               b.key as backup_key, b.sha256 as backup_sha256, b.damaged as backup_damaged,
               b.modified as copied, least(c.read_at, b.read_at) as read_at, b.reported, d.elements,
               case when b.sop is null then {ranks["missing"]}
                    when c.sha256 is not null and c.sha256 = b.sha256 then {ranks["identical"]}
                    when b.unread or (c.unread and c.sha256 is null) then {ranks["unknown"]}
                    when c.sha256 is null or b.sha256 is null then {ranks["unverified"]}
                    when c.same = b.same then {ranks["equivalent"]}
                    when b.damaged then {ranks["unreadable"]}
                    when c.damaged then {ranks["different"]}
                    when d.outcome = 'equivalent' then {ranks["equivalent"]}
                    when d.outcome = 'altered' then {ranks["altered"]}
                    when d.outcome = 'different' then {ranks["different"]}
                    else {unlike if purged else ranks["unverified"]} end as rank
        from contents c left join copies b on b.sop = c.sop
        left join differences d on d.primary_sha256 = c.sha256 and d.backup_sha256 = b.sha256),
    worst as ({worst})
    select {name} as primary_store, {other} as backup, w.study as study, w.series as series, sop,
           {verdict} as outcome, w.read_at as read_at, w.primary_key as primary_key, w.backup_key as backup_key,
           w.content as primary_sha256, w.backup_sha256 as backup_sha256, w.primary_damaged as primary_damaged,
           w.backup_damaged as backup_damaged, w.copied as copied, w.elements as elements, age_hours,
           null::varchar as changed_side, null::varchar as told_by, w.reported as reported,
           w.backup_key is not null as present, s.size as size, s.day as day
    from worst join ages using (sop) left join sizes s using (sop)
    """.replace("case rank when", "case w.rank when")


def _find_recoverable(case: Case) -> None:
    """For each primary, of several versions that are kept, one whose checksum is its own (`equal`), or the newest.

    Of what a store only lists as deleted, and tells no size of, it is not known whether it is `kept`.
    """
    case.db.execute(
        """
        create or replace table recoverable as
        select distinct on (d.store, d.sop, o.primary_store) d.store, d.sop, o.primary_store, d.key, d.version,
               d.size is not null as kept, coalesce(d.sha256 = o.primary_sha256, false) as equal
        from deleted d join outcomes o on o.backup = d.store and o.sop = d.sop and o.outcome = 'missing'
        order by d.store, d.sop, o.primary_store, equal desc, d.modified desc nulls last, d.key
        """
    )


def _tell_which_side_changed(case: Case) -> None:
    """Set `changed_side`, and `told_by` what: the last record, an object's own damage, or other stores.

    That other stores agree with one side is a hint and no proof: a mirror copies a change within a day.
    """
    differing = "outcome in ('altered', 'different', 'unreadable')"
    if not row(case.db, f"select count(*) from unlike where {differing}")[0]:
        return
    case.db.execute(
        f"""
        create or replace table suspects as
        select primary_store, backup, sop, primary_sha256, backup_sha256, primary_damaged, backup_damaged
        from unlike where {differing};
        create or replace table baseline as
        select distinct store, sop, sha256 from before semi join suspects using (sop) where sha256 is not null;
        create or replace table elsewhere as
        select distinct store, sop, sha256 from objects semi join suspects using (sop) where sha256 is not null;
        create or replace table sides as
        select s.primary_store, s.backup, s.sop,
            case when exists (from baseline b where b.store = s.primary_store and b.sop = s.sop
                              and b.sha256 = s.backup_sha256)
                  and not exists (from baseline b where b.store = s.primary_store and b.sop = s.sop
                                  and b.sha256 = s.primary_sha256)
                 then 'primary:last record'
                 when exists (from baseline b where b.store = s.primary_store and b.sop = s.sop
                              and b.sha256 = s.primary_sha256)
                  and exists (from baseline b where b.store = s.backup and b.sop = s.sop)
                  and not exists (from baseline b where b.store = s.backup and b.sop = s.sop
                                  and b.sha256 = s.backup_sha256)
                 then 'backup:last record'
                 when s.primary_damaged and not s.backup_damaged then 'primary:own damage'
                 when s.backup_damaged and not s.primary_damaged then 'backup:own damage'
                 when exists (from elsewhere e where e.sop = s.sop and e.sha256 = s.primary_sha256
                              and e.store not in (s.primary_store, s.backup)) then 'backup:other stores'
                 when exists (from elsewhere e where e.sop = s.sop and e.sha256 = s.backup_sha256
                              and e.store not in (s.primary_store, s.backup)) then 'primary:other stores'
            end as side
        from suspects s;
        update unlike set changed_side = split_part(sides.side, ':', 1), told_by = split_part(sides.side, ':', 2)
        from sides
        where sides.side is not null and sides.primary_store = unlike.primary_store and sides.backup = unlike.backup
          and sides.sop = unlike.sop;
        """
    )
