"""What the primaries lost since a record last saw it, and what has few or no sound copies left."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from exactcopy.decisions import Disposal
from exactcopy.inventory.database import allow, literal, row, rows, save
from exactcopy.reconcile.case import PLAUSIBLE, SETTLED, Case, Examined, purged_from
from exactcopy.results import Count, Losses

# In order of weight; an instance is counted once, `only_copy` and `changed_on_primary` beside the others.
_KINDS = ("gone_everywhere", "no_sound_copy", "lost_from_primary", "damaged_on_primary", "disposed")


def find_disposed(case: Case, disposals: Sequence[Disposal], labels: Mapping[str, str]) -> list[str]:
    """Fill the table `disposals` (primary_store, null for all of them; study), and return its studies.

    A disposal names its studies by the labels that they bore before this audit, or by their date. One without a
    plausible date is not among those of before a day.
    """
    case.db.execute("create or replace table disposals (primary_store varchar, study varchar)")
    uids = {label: study for study, label in labels.items()}
    for disposal in disposals:
        named = [(uids[label],) for label in sorted(disposal.labels) if label in uids]
        if named:
            case.db.executemany("insert into disposals values (null, ?)", named)
        if disposal.before is not None:
            case.db.execute(
                f"insert into disposals select $1::varchar, study from seen where study_date > {PLAUSIBLE}"
                " and study_date < $2::date",
                [disposal.primary, disposal.before],
            )
    return [study for (study,) in rows(case.db, "select distinct study from disposals")]


def find_losses(case: Case) -> Losses:
    """Fill the table `losses` (store, study, sop, kind) and return its counts, once the disposals are known.

    A loss stays until it is explained: it is taken against all that any record saw on a primary, not only
    the last one. What a primary purged is not lost from it, and may be gone everywhere. Of a primary that
    could not be listed whole nothing is said to be lost.
    """
    case.db.execute("create or replace table losses (store varchar, study varchar, sop varchar, kind varchar)")
    for primary in case.primaries:
        _find_presence(case, primary)
        _find_gone(case, primary)
        _explain(case, primary)
        _find_damaged(case, primary)
        _find_changed(case, primary)
    kinds = (*_KINDS, "only_copy", "changed_on_primary")
    by_primary = {
        primary.target.name: {kind: _count(case, kind, primary.target.name) for kind in kinds}
        for primary in case.primaries
    }
    compared = max((p.known_from for p in case.primaries if p.known_from and p.absence_shows), default=None)
    return Losses(compared_with=compared, by_primary=by_primary, **{kind: _count(case, kind, None) for kind in kinds})


def save_known(case: Case, primary: Examined, path: Path) -> None:
    """Write every instance that this or an earlier record saw on `primary`, when first, and with what contents.

    What a first audit took for older than itself stays so: a gap that it found must not be younger the day after.
    """
    name = literal(primary.target.name)
    first_seen = f"{case.started}::bigint" if primary.known else f"least({case.started}::bigint, {SETTLED})"
    # Nearly all are one object each. Of the others what they hold is gathered in memory.
    save(
        case.db,
        f"""
        with today as (
            select sop, study, {first_seen} as first_seen,
                   case when sha256 is null then null else [sha256] end as contents
            from objects anti join (select sop from twice where store = {name}) using (sop)
            where store = {name} and sop is not null
            union all by name
            select sop, min(study) as study, min({first_seen}) as first_seen,
                   list(distinct sha256) filter (sha256 is not null) as contents
            from objects semi join (select sop from twice where store = {name}) using (sop)
            where store = {name} group by sop)
        select coalesce(k.sop, t.sop) as sop, coalesce(k.study, t.study) as study,
               least(k.first_seen, t.first_seen) as first_seen,
               case when len(k.contents) > 0 then k.contents else t.contents end as contents
        from (select * exclude (store) from known where store = {name}) k full join today t on t.sop = k.sop""",
        path,
    )


def _find_presence(case: Case, primary: Examined) -> None:
    """Fill `gone` (sop, study), and `presence` (sop, stores, sound_stores): how many stores hold an instance.

    Those only of which `primary` may hold the only copy, that are damaged there, or gone: of what is sound and the same
    on a backup there are two.
    """
    name = literal(primary.target.name)
    backups = len(case.covering(primary))
    single = f"""
        select sop from outcomes where primary_store = {name} and (outcome <> 'identical' or backup_damaged)
        group by sop having count(*) = {backups}"""
    if not backups:
        single = f"select distinct sop from objects where store = {name} and sop is not null"
    case.db.execute(
        f"""
        create or replace table gone as
        select sop, study from (from known where store = {name})
        anti join (select sop from objects where store = {name} and sop is not null) using (sop)"""
    )
    (count,) = row(case.db, "select count(*) from gone")
    allow(case.db, count)
    case.db.execute(
        f"""
        create or replace table suspects as
        {single}
        union select sop from objects where store = {name} and sop is not null and damaged
        union select sop from gone;
        create or replace table presence as
        select sop, count(*) as stores, count(*) filter (sound) as sound_stores
        from (select sop, store, bool_or(sha256 is not null and not damaged) as sound
              from objects semi join suspects using (sop) group by sop, store)
        group by sop
        """
    )


def _find_gone(case: Case, primary: Examined) -> None:
    if not primary.absence_shows:
        return
    name = literal(primary.target.name)
    everywhere = _everywhere(case, primary)
    case.db.execute(
        f"""
        insert into losses
        select {name}, gone.study, gone.sop,
               case when {everywhere} and p.sop is null then 'gone_everywhere'
                    when {everywhere} and p.sound_stores = 0 then 'no_sound_copy'
                    else 'lost_from_primary' end
        from gone left join presence p on p.sop = gone.sop;
        insert into losses
        select l.store, l.study, l.sop, 'only_copy' from losses l join presence p using (sop)
        where l.store = {name} and l.kind = 'lost_from_primary' and p.sound_stores = 1;
        delete from losses where store = {name} and kind = 'lost_from_primary'
            and sop in (select sop from purged where store = {literal(purged_from(primary.target))})
        """
    )


def _explain(case: Case, primary: Examined) -> None:
    """Let disposals explain what is gone: of studies of which nothing at all is left on the primary, and of no others.

    What is still there, in part or damaged, is judged as if nothing had been disposed of.
    """
    name = literal(primary.target.name)
    case.db.execute(
        f"""
        update losses set kind = 'disposed'
        where store = {name} and kind in ('gone_everywhere', 'lost_from_primary', 'no_sound_copy')
          and study in (select study from disposals where primary_store is null or primary_store = {name})
          and study not in (select study from objects where store = {name} and sop is not null)
        """
    )


def _find_damaged(case: Case, primary: Examined) -> None:
    name = literal(primary.target.name)
    everywhere = _everywhere(case, primary)
    case.db.execute(
        f"""
        insert into losses
        select {name}, o.study, o.sop,
               case when {everywhere} and p.sound_stores = 0 then 'no_sound_copy' else 'damaged_on_primary' end
        from (select sop, min(study) as study from objects semi join presence using (sop)
              where store = {name} and not unread group by sop having bool_and(damaged)) o
        join presence p on p.sop = o.sop;
        insert into losses
        select {name}, min(o.study), o.sop, 'only_copy' from objects o join presence p on p.sop = o.sop
        where o.store = {name} and p.sound_stores = 1 and not o.damaged and o.sha256 is not null group by o.sop
        """
    )


def _find_changed(case: Case, primary: Examined) -> None:
    """Find what is no longer what the first record that read it saw: it stays changed until it is explained.

    A purge is no explanation.
    """
    name = literal(primary.target.name)
    places = f"({name}, {literal(purged_from(primary.target))})"
    case.db.execute(
        f"""
        create or replace table changed as
        select o.sop, k.contents
        from (from judged where store in {places} and sha256 is not null) o
        join (select sop, contents from known where store = {name} and len(contents) > 0) k on k.sop = o.sop
        where not list_contains(k.contents, o.sha256);
        insert into losses
        select {name}, min(o.study), o.sop, 'changed_on_primary'
        from judged o join (select sop, any_value(contents) as contents from changed group by sop) c using (sop)
        where o.store in {places} and o.sha256 is not null
        group by o.sop having not bool_or(list_contains(c.contents, o.sha256))
        """
    )


def _everywhere(case: Case, primary: Examined) -> str:
    """Whether an absence on every backup of `primary` shows, as SQL."""
    return "true" if all(backup.absence_shows for backup in case.covering(primary)) else "false"


def _count(case: Case, kind: str, store: str | None) -> Count:
    where = f"kind = {literal(kind)}" + (f" and store = {literal(store)}" if store else "")
    studies, instances = row(case.db, f"select count(distinct study), count(*) from losses where {where}")
    return Count(studies=studies, instances=instances)
