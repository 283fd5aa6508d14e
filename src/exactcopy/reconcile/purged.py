"""Whether what a primary purged is kept: whole and exact on two backups at least."""

from exactcopy.inventory.database import literal, row
from exactcopy.reconcile.case import PURGED, Case, Examined, purged_from
from exactcopy.results import Purged


def find_purged(case: Case) -> None:
    """Fill the table `purged_states` (store, study, young, state): how many backups hold each purged study.

    A backup holds it where it holds a sound and exact copy of every image, against what the last record of it saw.
    Where fewer than two do and one could not tell, it is not checked. Where a disposal is on record nothing is asked
    of it. `young`: it was not yet due when last seen.
    """
    case.db.execute(
        f"""
        create or replace table purged_states as
        with on_backup as (
            select primary_store as store, study, backup,
                   bool_and(sound) as exact, bool_and(sound or outcome in ('unverified', 'unknown')) as open
            from (select *, outcome in ('identical', 'equivalent') and not coalesce(backup_damaged, false) as sound
                  from placed where ends_with(primary_store, '{PURGED}'))
            group by primary_store, study, backup),
        disposed as (select distinct p.store, p.study from purged p join disposals d
                     on d.study = p.study and (d.primary_store is null or d.primary_store || '{PURGED}' = p.store)),
        counted as (select store, study, count(*) filter (exact) as exact, count(*) filter (open and not exact) as open
                    from on_backup group by store, study)
        select p.store, p.study, p.young,
               case when (p.store, p.study) in (from disposed) then 'disposed'
                    when c.exact >= 2 then 'on_two' when c.open > 0 then 'not_checked'
                    when c.exact = 1 then 'on_one' else 'on_none' end as state
        from (select store, study, bool_or(young) as young from purged where sop is not null group by store, study) p
        left join counted c using (store, study)
        """
    )


def purged_studies(case: Case, primary: Examined) -> Purged | None:
    """Return the counts of what `primary` purged; None where it was not examined, so that this does not show."""
    if primary.inventory is None:
        return None
    states = ("on_two", "on_one", "on_none", "not_checked", "disposed")
    counts = row(
        case.db,
        f"""select count(*) filter (state <> 'disposed'), count(*) filter (young and state <> 'disposed'),
            {", ".join(f"count(*) filter (state = '{state}')" for state in states)}
            from purged_states where store = {literal(purged_from(primary.target))}""",
    )
    purged, young, *by_state = counts
    return Purged(purged=purged, young_when_last_seen=young, **dict(zip(states, by_state, strict=True)))
