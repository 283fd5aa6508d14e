"""Counts of what was found, as they go into the record."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from exactcopy.costs import paid_once, read_back_cost, yearly_cost
from exactcopy.inventory.database import allow, literal, row, rows
from exactcopy.inventory.taking import Inventory
from exactcopy.model import (
    NEVER_OPENED,
    NO_INSTANCE,
    UNREAD,
    Answer,
    Cost,
    Outcome,
    Problem,
    Role,
    Safeguard,
    Seen,
    Target,
)
from exactcopy.reconcile.case import PURGED, Case, Examined, purged_from
from exactcopy.reconcile.purged import purged_studies
from exactcopy.results import NOT_EXACT, Assurance, Comparison, Count, Extra, Side, StoreFacts, StudyState

_GAPS = "('altered', 'different', 'missing', 'unreadable')"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastKnown:
    """What the last record that examined a store said: when that was, and its studies by primary."""

    finished: str | None = None
    studies: Mapping[str, Mapping[str, Any]] | None = None


def find_studies(case: Case) -> None:
    """Fill the table `study_states`: what each study of a primary is on each backup, and how it is known.

    Of what was purged from a primary, too: `purged` tells those rows. An instance that lies in several studies is of
    each of them: the view `placed` has its outcome once for each.
    """
    case.db.execute(
        f"""
        create or replace table several as
        select distinct store, sop, study from judged semi join twice using (store, sop);
        create or replace view placed as
        select o.* replace (coalesce(s.study, o.study) as study)
        from outcomes o left join several s on s.store = o.primary_store and s.sop = o.sop;
        create or replace table study_states as
        select primary_store, backup, study, count(*) as instances,
               ends_with(primary_store, '{PURGED}') as purged,
               case when bool_or(outcome in {_GAPS}) then 'gap'
                    when bool_or(outcome in ('unknown', 'unverified')) then 'not_checked'
                    when bool_or(outcome = 'pending') then 'pending' else 'protected' end as state,
               case when bool_or(reported is not null and not restored) then 'reported'
                    when min(read_at) = {case.started} then 'this_run' else 'earlier' end as proof,
               count(*) filter (backup_damaged) as damaged, max(day) as day, sum(size)::bigint as bytes,
               {", ".join(f"count(*) filter (outcome = '{outcome}') as {outcome}" for outcome in Outcome)}
        from placed group by primary_store, backup, study
        """
    )


def compare_facts(case: Case, primary: Examined, backup: Examined, last: LastKnown) -> Comparison:
    """Return the counts of one primary on one backup."""
    where = f"primary_store = {literal(primary.target.name)} and backup = {literal(backup.target.name)}"
    states = dict(rows(case.db, f"select state, count(*) from study_states where {where} group by state"))
    proofs = dict(
        rows(
            case.db,
            "select case when proof = 'reported' and restored.study is not null then 'this_run' else proof end,"
            f" count(*) from study_states left join restored using (backup, study)"
            f" where {where} and state = 'protected' group by 1",
        )
    )
    outcomes = dict(rows(case.db, f"select outcome, count(*) from outcomes where {where} group by outcome"))
    sides = dict(
        rows(
            case.db,
            f"select coalesce(changed_side, 'unknown'), count(*) from outcomes where {where}"
            " and outcome in ('altered', 'different', 'unreadable') group by 1",
        )
    )
    oldest, copied, exposed = row(
        case.db,
        f"""select min(read_at), max(copied) filter (copied <= {case.started}),
            max(age_hours) filter (outcome in ('missing', 'pending')) from outcomes where {where}""",
    )
    which = {**{outcome.value: outcome.value for outcome in Outcome}, NOT_EXACT: "altered + different"}
    counted = ", ".join(f"count(*) filter ({images} > 0)" for images in which.values())
    studies_with = row(case.db, f"select {counted} from study_states where {where}")
    (newest,) = row(
        case.db,
        f"select max(modified) filter (modified <= {case.started}) from objects"
        f" where store = {literal(primary.target.name)} and sop is not null",
    )
    shown = {state.value: states.get(state.value, 0) for state in StudyState}
    return Comparison(
        primary=primary.target.name,
        backup=backup.target.name,
        studies={"total": sum(shown.values()), **shown},
        proof={proof: proofs.get(proof, 0) for proof in ("this_run", "earlier", "reported")},
        instances={outcome.value: outcomes.get(outcome.value, 0) for outcome in Outcome},
        extra=_extra(case, backup),
        assurance=_assurance(case, where),
        reported_by=dict(
            rows(
                case.db,
                f"select split_part(reported, '/', 1), count(*) from outcomes where {where} and not restored"
                " and reported is not null and outcome = 'identical' group by 1 order by 2 desc, 1",
            )
        ),
        oldest_read_at=_iso(oldest),
        newest_copy=_iso(copied),
        newest_on_primary=_iso(newest),
        oldest_unprotected_hours=_hours(exposed),
        recoverable=row(
            case.db,
            "select count(*) from outcomes join (select store as backup, * exclude (store) from recoverable) r"
            f" using (backup, sop, primary_store) where {where} and outcome = 'missing' and equal",
        )[0],
        against_damaged=row(
            case.db,
            f"select count(*) from outcomes where {where} and outcome = 'different' and primary_damaged",
        )[0],
        changed_side={
            **{side.value: sides.get(side.value, 0) for side in Side},
            "unknown": sides.get("unknown", 0),
        },
        gap_studies=dict(zip(which, studies_with, strict=True)),
        last_known=(last.studies or {}).get(primary.target.name) if backup.inventory is None else None,
    )


def store_facts(case: Case, store: Examined, found: Inventory, last: LastKnown) -> StoreFacts:
    """Return what was found of one store; of one that was not examined only its settings and last date."""
    target = store.target
    settings = _settings(target)
    listing = found.listing
    if store.inventory is None or listing is None:
        return StoreFacts(
            **settings, complete=False, error=found.error, last_examined=last.finished, modalities={}, problems={}
        )
    where = f"store = {literal(target.name)}"
    # One that lies there as several objects is one instance.
    surplus, unread_surplus = row(
        case.db,
        f"""select coalesce(sum(objects - 1), 0)::bigint, coalesce(sum(greatest(read - 1, 0)), 0)::bigint
            from (select count(*) as objects, count(sha256) as read from objects semi join twice using (store, sop)
                  where {where} group by sop)""",
    )
    studies, series, instances, objects, size, damaged, nameless, baseline, archived, oldest, newest = row(
        case.db,
        f"""select count(distinct study), count(distinct series), count(sop) - {surplus},
            count(*) filter (problem is null or problem not in {_sql(NEVER_OPENED)}),
            coalesce(sum(size) filter (problem is null or problem not in {_sql(NEVER_OPENED)}), 0)::bigint,
            count(*) filter (damaged), count(*) filter (damaged and sop is null),
            count(sop) filter (sha256 is not null) - {unread_surplus}, count(*) filter (archived),
            min(year(study_date)) filter (year(study_date) >= 1970), max(year(study_date))
            from objects where {where}""",
    )
    duplicates, conflicts = row(
        case.db,
        "select coalesce(sum(objects - contents), 0)::bigint, count(*) filter (contents > 1)"
        f" from ({contents_of(target.name)})",
    )
    mammograms, lossy = row(
        case.db,
        "select count(distinct sop), count(distinct sop) filter (lossy) from objects"
        f" where {where} and modality = 'MG'",
    )
    problems = dict(
        rows(
            case.db,
            f"select problem, count(*) from objects where {where} and problem is not null group by 1 order by 1",
        )
    )
    modalities = rows(
        case.db,
        f"select modality, count(distinct study) from objects where {where} and modality is not null"
        " group by 1 order by 2 desc, 1",
    )
    nowhere, undetermined = _without_exact_copy(case, store) if target.role is Role.PRIMARY else (Count(), Count())
    cost = target.cost or Cost()
    shown = listing.safeguards
    safeguards = {name: shown.seen.get(name, Seen(answer=Answer.NOT_ASSESSED)) for name in Safeguard}
    return StoreFacts(
        **settings,
        # How many studies a year brings is not known.
        yearly_cost=yearly_cost(cost, None, size),
        paid_once=paid_once(cost, studies) or None,
        read_back_cost=read_back_cost(cost, size),
        read_bytes=found.read_bytes,
        read_rate=found.rate,
        egress_cost=read_back_cost(cost, found.read_bytes),
        asked=listing.asked,
        deleted=row(case.db, f"select count(*) from deleted where {where}")[0],
        keeps_hours=target.keeps.total_seconds() / 3600 if target.keeps else None,
        purged=purged_studies(case, store) if target.keeps else None,
        no_exact_copy=nowhere,
        copies_undetermined=undetermined,
        complete=store.complete,
        error=found.error,
        last_examined=_iso(case.started),
        studies=studies,
        series=series,
        instances=instances,
        objects=objects,
        bytes=size,
        not_dicom=_total(problems, NO_INSTANCE),
        damaged=damaged,
        duplicates=duplicates,
        conflicts=conflicts,
        not_opened=_total(problems, NEVER_OPENED),
        unread=_total(problems, UNREAD),
        unlisted=len(listing.gaps),
        archived=archived,
        baseline=baseline,
        oldest_year=oldest,
        newest_year=newest,
        mammograms=mammograms,
        lossy_mammograms=lossy,
        modalities=dict(modalities),
        problems=problems,
        nameless_damaged=nameless,
        device=shown.device,
        disk=shown.disk,
        host=shown.host,
        volume=shown.volume,
        filesystem=shown.filesystem,
        synced_by=shown.synced_by,
        reads=shown.reads,
        free=shown.free,
        baseline_record=store.known_from,
        content_before=store.known is not None,
        encrypted={Answer.PASS: True, Answer.FAIL: False}.get(safeguards[Safeguard.ENCRYPTION].answer),
        safeguards=safeguards,
    )


def _settings(target: Target) -> dict[str, Any]:
    restored_on = target.options.get("restored_on")
    return {
        "name": target.name,
        "role": target.role,
        "kind": target.kind,
        "site": target.site,
        "held_by": target.held_by,
        "offsite": target.offsite,
        "synced_to": target.options.get("synced_to"),
        "restored_from": target.options.get("restored_from"),
        "restored_on": restored_on.isoformat() if restored_on else None,
        "rpo_hours": target.rpo.total_seconds() / 3600,
        "schedule_hours": target.schedule.total_seconds() / 3600 if target.schedule else None,
        "volumes_configured": len(target.options.get("volumes") or ()),
    }


def contents_of(store: str) -> str:
    """Return the SQL of how many objects and contents a store holds of an instance: sop, objects, contents.

    Of those only of which it holds several objects.
    """
    return f"""select sop, count(*) as objects, count(distinct sha256) as contents
        from objects semi join twice using (store, sop)
        where store = {literal(store)} and sha256 is not null group by sop"""


def without_exact_copy(case: Case, store: Examined) -> str:
    """Return the SQL of a primary's instances without an exact copy on any backup: study, sop, open.

    `open` where a copy was not examined, so that it cannot be told. What is pending counts as without a copy
    once it is older than the shortest RPO of the backups that should have it.
    """
    backups = case.covering(store)
    hours = min((backup.target.rpo.total_seconds() / 3600 for backup in backups), default=0.0)
    name = literal(store.target.name)
    # Each backup has an outcome of each instance. Without a backup there is none of any.
    bare = f"""
        select sop, bool_or(outcome in ('unknown', 'unverified')) as open from outcomes
        where primary_store = {name} and outcome not in ('identical', 'equivalent') group by sop
        having count(*) = {len(backups)}
           and not (bool_or(outcome = 'pending') and coalesce(max(age_hours) <= {hours}, false))"""
    if not backups:
        bare = f"select distinct sop, false as open from objects where store = {name} and sop is not null"
    return f"""
        select min(o.study) as study, min(o.series) as series, o.sop as sop, min(o.key) as primary_key,
               bool_or(b.open) as open
        from objects o join ({bare}) b using (sop) where o.store = {name} group by o.sop"""


def _without_exact_copy(case: Case, store: Examined) -> tuple[Count, Count]:
    """Count a primary's instances that no backup holds exactly, and those of which it cannot be told."""
    studies, instances, open_studies, open_instances = row(
        case.db,
        f"""select count(distinct study) filter (not open), count(*) filter (not open),
            count(distinct study) filter (open), count(*) filter (open) from ({without_exact_copy(case, store)})""",
    )
    return Count(studies=studies, instances=instances), Count(studies=open_studies, instances=open_instances)


def _assurance(case: Case, where: str) -> dict[str, int]:
    present = dict(
        rows(
            case.db,
            f"""select case when restored then 'restored' when outcome in ('unverified', 'unknown') then 'listed'
                when reported is not null then 'reported' else 'read' end, count(*)
                from outcomes where {where} and present group by 1""",
        )
    )
    return {assurance.value: present.get(assurance.value, 0) for assurance in Assurance}


def find_extras(case: Case) -> None:
    """Fill `all_extras` (backup, study, sop, lost, purged): what a backup holds beyond all primaries that it covers.

    `purged` tells what one of them purged, `lost` what one saw that did not purge it.
    """
    case.db.execute(
        "create or replace table all_extras (backup varchar, study varchar, sop varchar, lost boolean, purged boolean)"
    )
    for backup in case.backups:
        name = literal(backup.target.name)
        names = ", ".join(literal(name) for name in backup.target.covers)
        lost = f"select sop from known where store in ({names})"
        purging = " or ".join(f"store = {literal(purged_from(p.target))}" for p, b in case.purging() if b == backup)
        if purging:
            lost = f"""select sop from known k anti join purged p on p.store = k.store || '{PURGED}' and p.sop = k.sop
                where k.store in ({names})"""
        case.db.execute(
            f"""
            create or replace table beyond as
            select sop, min(study) as study from (
                select sop, study from objects where store = {name} and sop is not null)
            anti join (select sop from objects where store in ({names}) and sop is not null) using (sop) group by sop"""
        )
        (count,) = row(case.db, "select count(*) from beyond")
        allow(case.db, count)
        case.db.execute(
            f"""
            insert into all_extras
            select {name}, study, sop, sop in (select sop from ({lost}) semi join beyond using (sop)),
                   sop in (select sop from purged semi join beyond using (sop) where {purging or "false"})
            from beyond
            """
        )


def extras_of(backup: str) -> str:
    """Return the SQL of what a backup holds and nothing explains (study, sop, lost).

    What a primary purged, and none other lost, is explained.
    """
    return f"select study, sop, lost from all_extras where backup = {literal(backup)} and (lost or not purged)"


def _extra(case: Case, backup: Examined) -> Extra | None:
    """Count what `backup` holds beyond all the primaries that it covers, where all were listed whole."""
    covered = [primary for primary in case.primaries if primary.target.name in backup.target.covers]
    if backup.inventory is None or not all(primary.absence_shows for primary in covered):
        return None
    found = {
        lost: Count(studies=studies, instances=instances)
        for lost, studies, instances in rows(
            case.db,
            f"select lost, count(distinct study), count(*) from ({extras_of(backup.target.name)}) group by lost",
        )
    }
    studies, instances = row(
        case.db,
        f"""select count(distinct study), count(*) from all_extras
            where backup = {literal(backup.target.name)} and purged and not lost""",
    )
    return Extra(
        not_known_on_primary=found.get(False, Count()),
        lost_from_primary=found.get(True, Count()),
        purged_from_primary=Count(studies=studies, instances=instances),
    )


def _total(problems: Mapping[str, int], kinds: frozenset[Problem]) -> int:
    return sum(problems.get(kind, 0) for kind in kinds)


def _sql(kinds: frozenset[Problem]) -> str:
    return "(" + ", ".join(literal(kind) for kind in sorted(kinds)) + ")"


def _iso(nanoseconds: int | None) -> str | None:
    if nanoseconds is None:
        return None
    try:
        return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        # A file time beyond the calendar tells nothing.
        return None


def _hours(hours: float | None) -> float | None:
    return None if hours is None else round(hours, 1)
