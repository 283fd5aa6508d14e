"""Which studies a finding is about, and the worklist with which IT mends them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from exactcopy.dicom.compare import MOST_NAMES
from exactcopy.inventory.database import literal, rows
from exactcopy.model import Outcome
from exactcopy.reconcile.case import PURGED, Case, Examined, purged_from
from exactcopy.reconcile.facts import extras_of, without_exact_copy
from exactcopy.records import shown_key, write_csv
from exactcopy.results import RETENTION_WORKLIST, Finding, Recovery, RestoreTest

_MOST_ELEMENTS = 10
_UNEXPLAINED = "kind not in ('only_copy', 'disposed')"
WORKLIST_COLUMNS = (
    "label",
    "what",
    "primary",
    "study_instance_uid",
    "series_instance_uid",
    "sop_instance_uid",
    "key_on_primary",
    "store_of_copy",
    "key_of_copy",
    "version_of_copy",
    "changed_side",
    "told_by",
    "elements",
    "hint",
    "do",
)
_DO = {
    "missing": "Copy this image from the primary to the backup.",
    "deleted": "Find out who deleted it there. Bring this version back, or copy the image from the primary.",
    "unreadable": "Keep the damaged copy, then replace it from the primary.",
    "different": "Keep both versions. Find out which one is right before one is replaced.",
    "altered": "Keep both versions. Find out which header is right before one is replaced.",
    "unknown": "Make the store readable there and audit again.",
    "unverified": "Let the next audit read this copy.",
    "not_known_on_primary": "Find out why the primary does not know it before anything is deleted.",
    "lost_from_primary": "Restore it to the primary from this copy, or record its disposal.",
    "absent_in_retention": "Look for it on drives that are not configured, or record its disposal.",
    "gone_everywhere": "Look for it on drives that are not configured, or record its disposal.",
    "no_sound_copy": "Ask the modality or the PACS vendor for the original.",
    "damaged_on_primary": "Look at the whole copy; if it is right, replace the primary's file from it.",
    "changed_on_primary": "Compare it with the copies on the backups before those are replaced.",
    "no_exact_copy": "Copy it to a backup now.",
    "purged": "Copy it to another backup from one that has it; if none has, look on drives that are not configured.",
    "uid_conflict": "Decide which version is right.",
    "archive": "Unpack it among the images, or move it away: what is in it is not examined.",
    "no_image": "If this was an image, restore it from a backup; else move it out of the archive.",
    "restore_failed": "Read the study's files on this backup, then copy it again from the primary.",
    "recovery_failed": "Find out why the recovery PACS does not give this study back as it was put there.",
    "recovery_held": "Remove this study from the recovery PACS before the next audit.",
    "recovery_left": "The test put this study into the recovery PACS and could not remove it: remove it there.",
    "recovery_dark": "Open this study in a viewer of the recovery PACS, which could not render an image of it.",
}
# Where a study did not come back for reasons that have nothing to do with what is stored.
_LET_IT_BACK = {
    "in_cold_storage": "Have the provider thaw this study's files, or keep a copy that can be read at once.",
    "not_permitted": "Grant the account that audits the right to read this study's files.",
    "name_shared": "Give each of this study's files that share a name one of its own.",
}


def find_restored(case: Case, tests: Sequence[RestoreTest]) -> None:
    """Fill the tables `failed_restores` and `in_recovery`: the studies that a test restore did not bring back."""
    db = case.db
    db.execute("create or replace table failed_restores (backup varchar, study varchar, problems varchar)")
    failed = [(t.backup, t.study_instance_uid, ",".join(t.problems)) for t in tests if t.outcome == "failed"]
    if failed:
        db.executemany("insert into failed_restores values (?, ?, ?)", failed)
    # The worst of what is to be done about each in the recovery PACS.
    db.execute("create or replace table in_recovery (backup varchar, study varchar, what varchar, problems varchar)")
    tried = [
        (t.backup, t.study_instance_uid, what, ",".join(t.recovery.problems))
        for t in tests
        if t.recovery and (what := _in_recovery(t.recovery))
    ]
    if tried:
        db.executemany("insert into in_recovery values (?, ?, ?, ?)", tried)


def affected_studies(case: Case, check: str, target: str) -> list[str] | None:
    """Return the studies that a finding of `check` on `target` is about; None where it is about none."""
    select = _studies(case, check, target)
    return None if select is None else [study for (study,) in rows(case.db, f"select distinct study from ({select})")]


def gap_images(case: Case, backup: str) -> dict[str, int]:
    """Return how many images of each study have a gap on `backup`."""
    found = rows(
        case.db,
        f"""select study, sum(altered + different + missing + unreadable)::bigint from study_states
            where backup = {literal(backup)} and state = 'gap' group by study""",
    )
    return dict(found)


def altered_elements(case: Case, backup: str) -> dict[str, frozenset[str]]:
    """Return the studies whose copies on `backup` differ in named elements only, each with all of those."""
    found = rows(
        case.db,
        f"""select study, list(distinct elements) from placed
            where backup = {literal(backup)} and outcome in ('altered', 'different') group by study
            having bool_and(outcome = 'altered' and elements is not null)""",
    )
    named = {study: frozenset(name for stored in lists for name in json.loads(stored)) for study, lists in found}
    # Of more no list is kept: what is not named may be anything.
    return {study: names for study, names in named.items() if len(names) < MOST_NAMES}


def find_affected(case: Case, findings: Iterable[Finding]) -> None:
    """Fill the table `affected` (id, study): the studies of each finding."""
    case.db.execute("create or replace table affected (id varchar, study varchar)")
    for finding in findings:
        select = _studies(case, finding.check, finding.target)
        if select:
            case.db.execute(f"insert into affected select distinct {literal(finding.id)}, study from ({select})")


def _in_recovery(recovery: Recovery) -> str | None:
    if recovery.outcome in ("failed", "held"):
        return f"recovery_{recovery.outcome}"
    if recovery.removed is False:
        return "recovery_left"
    return "recovery_dark" if recovery.rendered is False else None


def labelled_studies(case: Case, tests: Iterable[RestoreTest]) -> list[str]:
    """Return every study that a report, a worklist or a restore test has to name."""
    named = {study for (study,) in rows(case.db, "select distinct study from affected")}
    named |= {
        study
        for (study,) in rows(
            case.db, "select distinct study from study_states where state <> 'protected' and not purged"
        )
    }
    named |= {study for (study,) in rows(case.db, f"select distinct study from losses where {_UNEXPLAINED}")}
    for backup in case.backups:
        extras = f"select distinct study from ({extras_of(backup.target.name)})"
        named |= {study for (study,) in rows(case.db, extras)}
    return sorted(named | {test.study_instance_uid for test in tests})


def gap_rows(case: Case, findings: Sequence[Finding], labels: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of gaps.csv: one for each finding and study, no UID and no text from a file in it."""
    backups = {backup.target.name for backup in case.backups}
    for finding in findings:
        if finding.target in backups:
            counts = ", ".join(f"sum({outcome})::bigint" for outcome in Outcome)
        else:
            counts = ", ".join("null" for _ in Outcome)
        target = literal(finding.target)
        found = case.db.cursor().execute(
            f"""
            with named as (select study from affected where id = {literal(finding.id)}),
            there as (select study, min(modality) as modality, min(year(study_date)) as year, count(distinct sop) as n
                      from objects semi join named using (study) group by study),
            info as (select study, coalesce(t.modality, s.modality) as modality,
                            coalesce(t.year, year(s.study_date)) as year, t.n
                     from there t full join (from seen semi join named using (study)) s using (study)),
            counted as (select study, {counts} from study_states where backup = {target} group by study),
            details as (select study, list(distinct coalesce(changed_side, 'unknown')) as sides,
                               list(distinct elements) as elements from outcomes
                        where backup = {target} and outcome in ('altered', 'different', 'unreadable') group by study)
            select n.study, i.modality, i.year, coalesce(i.n, 0), c.* exclude (study), d.sides, d.elements
            from named n left join info i using (study) left join counted c using (study)
            left join details d using (study) order by n.study"""
        )
        for study, modality, year, instances, *outcomes, sides, elements in found.fetchall():
            yield {
                "finding": finding.id,
                "check": finding.check,
                "severity": finding.severity.value,
                "target": finding.target,
                "label": labels[study],
                "modality": modality or "",
                "study_year": year,
                "instances": instances,
                **{outcome.value: count or 0 for outcome, count in zip(Outcome, outcomes, strict=True)},
                "changed_side": "/".join(sorted(sides)) if sides else "",
                "elements": _keywords(elements),
            }


def write_worklists(case: Case, findings: Iterable[Finding], labels: Mapping[str, str], folder: Path) -> None:
    """Write the worklist of every store that a finding names one for: keys, UIDs, what to do."""
    named = {finding.worklist for finding in findings if finding.worklist}
    if RETENTION_WORKLIST in named:
        write_csv(folder / RETENTION_WORKLIST, WORKLIST_COLUMNS, _absent_work(case, labels))
    for store in case.stores:
        name = f"worklist-{store.target.name}.csv"
        if name in named:
            write_csv(folder / name, WORKLIST_COLUMNS, _work(case, store, labels))


def _absent_work(case: Case, labels: Mapping[str, str]) -> Iterator[tuple[object, ...]]:
    found = rows(
        case.db,
        "select study, dated, make_timestamp_ns(last_seen)::date, stores from absent_in_retention order by study",
    )
    for study, dated, seen, stores in found:
        what, hint = "absent_in_retention", f"dated {dated}; last seen {seen} on {stores}"
        of_study = {"label": labels.get(study, ""), "what": what, "study_instance_uid": study, "hint": hint}
        yield tuple((of_study | {"do": _DO[what]}).get(column) for column in WORKLIST_COLUMNS)


def _work(case: Case, store: Examined, labels: Mapping[str, str]) -> Iterator[tuple[object, ...]]:
    select = _backup_work(case, store) if store in case.backups else _primary_work(case, store)
    # First joined, then sorted: of millions of rows both at once do not fit into memory.
    case.db.execute(f"create or replace table work as {select}")
    found = case.db.cursor().execute("from work order by study, sop, what, key_of_copy")
    while batch := found.fetchmany(1000):
        for (
            what,
            primary,
            study,
            series,
            sop,
            on_primary,
            copy_store,
            copy,
            kept,
            side,
            told_by,
            elements,
            hint,
        ) in batch:
            yield (
                labels.get(study, ""),
                what,
                primary,
                study,
                series,
                sop,
                None if on_primary is None else shown_key(on_primary),
                copy_store,
                None if copy is None else shown_key(copy),
                kept,
                side,
                told_by,
                _keywords([elements]),
                hint,
                _to_do(what, kept, hint),
            )


def _to_do(what: str, kept: str | None, hint: str | None) -> str:
    problems = (hint or "").split(",") if what == "restore_failed" else []
    if problems and all(problem in _LET_IT_BACK for problem in problems):
        return " ".join(_LET_IT_BACK[problem] for problem in problems)
    return _DO["deleted" if kept else what]


def _backup_work(case: Case, backup: Examined) -> str:
    name = literal(backup.target.name)
    return f"""
        select o.outcome as what, o.primary_store as "primary", o.study as study, o.series as series, o.sop as sop,
               o.primary_key as key_on_primary, {name} as store_of_copy,
               coalesce(o.backup_key, d.key) as key_of_copy,
               case when d.kept then coalesce(d.version, 'in a trash folder') end as kept,
               o.changed_side as side, o.told_by as told_by, o.elements as elements,
               case when o.primary_damaged then 'the primary''s own file is damaged'
                    when d.equal then 'deleted there; the version that is kept is identical by checksum'
                    when d.kept then 'deleted there; a version is kept, of unknown content'
                    when d.key is not null then 'deleted there; whether a version is kept is not known'
                    when h.key is not null then 'an object of this key is there: ' || h.problem end as hint
        from outcomes o left join (select key, problem from objects where store = {name} and sop is null) h
          on h.key = o.primary_key and o.backup_key is null
        left join recoverable d
          on d.store = o.backup and d.sop = o.sop and d.primary_store = o.primary_store and o.outcome = 'missing'
        where o.backup = {name} and o.outcome not in ('identical', 'equivalent', 'pending')
          and not ends_with(o.primary_store, '{PURGED}')
        union all
        select case when e.lost then 'lost_from_primary' else 'not_known_on_primary' end, null, e.study, b.series,
               e.sop, null, {name}, b.key, null, null, null, null, null
        from ({extras_of(backup.target.name)}) e join objects b on b.store = {name} and b.sop = e.sop
        union all
        select 'restore_failed', null, f.study, null, null, null, {name}, null, null, null, null, null, f.problems
        from failed_restores f where f.backup = {name}
        union all
        select r.what, null, r.study, null, null, null, {name}, null, null, null, null, null, r.problems
        from in_recovery r where r.backup = {name}
        union all
        select 'uid_conflict', null, study, series, sop, null, {name}, key, null, null, null, null,
               'one of several versions'
        from ({_conflicts(name)})"""


def _primary_work(case: Case, primary: Examined) -> str:
    name = literal(primary.target.name)
    elsewhere = f"filter (o.store <> {name} and not o.damaged and o.sha256 is not null)"
    return f"""
        select l.kind as what, {name} as "primary", l.study as study, min(o.series) as series, l.sop as sop,
               min(o.key) filter (o.store = {name}) as key_on_primary,
               arg_min(o.store, o.key) {elsewhere} as store_of_copy, min(o.key) {elsewhere} as key_of_copy,
               null as kept, null as side, null as told_by, null as elements,
               'whole copies on: ' || string_agg(distinct o.store, ', ') {elsewhere} as hint
        from losses l left join objects o on o.sop = l.sop
        where l.store = {name} and l.{_UNEXPLAINED} group by l.kind, l.study, l.sop
        union all
        select 'no_exact_copy', {name}, study, series, sop, primary_key, null, null, null, null, null, null, null
        from ({without_exact_copy(case, primary)}) where not open
        union all
        {_purged_work(store_name=name, purged=literal(purged_from(primary.target)))}
        union all
        select 'uid_conflict', {name}, study, series, sop, key, null, null, null, null, null, null,
               'one of several versions'
        from ({_conflicts(name)})
        union all
        select case problem when 'archive' then problem else 'no_image' end, {name}, null, null, null, key, null, null,
               null, null, null, null, problem
        from objects
        where store = {name}
          and (problem in ('empty', 'not_dicom', 'scrambled', 'archive') or (damaged and sop is null))"""


def _purged_work(store_name: str, purged: str) -> str:
    exact = "filter (o.outcome in ('identical', 'equivalent') and not coalesce(o.backup_damaged, false))"
    # What is alike is one object there.
    key = "coalesce(o.backup_key, b.key)"
    return f"""
        select 'purged', {store_name}, p.study, min(p.series), p.sop, min(p.key),
               arg_min(o.backup, {key}) {exact}, min({key}) {exact}, null, null, null, null,
               coalesce('exact copies on: ' || string_agg(distinct o.backup, ', ') {exact}, 'no exact copy')
        from purged p semi join (from purged_states where state in ('on_one', 'on_none')) s
          on s.store = p.store and s.study = p.study
        left join outcomes o on o.primary_store = p.store and o.sop = p.sop
        left join objects b on b.store = o.backup and b.sop = o.sop and o.present and o.backup_key is null
        where p.store = {purged} group by p.study, p.sop"""


def _conflicts(store: str) -> str:
    return f"""select * from objects where store = {store} and sop in (
        select sop from objects semi join twice using (store, sop) where store = {store} and sha256 is not null
        group by sop having count(distinct sha256) > 1)"""


def _studies(case: Case, check: str, target: str) -> str | None:
    """Return the SQL of the studies that a finding of `check` is about; None where it is about none."""
    name = literal(target)
    states = f"select study from study_states where backup = {name} and not purged and"
    recovering = f"select study from in_recovery where backup = {name} and what"
    lost = f"select study from losses where store = {name} and kind in"
    store = next((store for store in case.stores if store.target.name == target), None)
    if check == "extras-are-explained" and store:
        return f"select study from ({extras_of(target)}) where not lost"
    if check == "every-instance-has-a-copy" and store:
        return f"select study from ({without_exact_copy(case, store)}) where not open"
    return {
        "backup-is-complete": f"{states} missing > 0",
        "copies-are-exact": f"{states} altered + different > 0",
        "copies-are-readable": f"{states} unreadable > 0",
        "restore-succeeded": f"select study from failed_restores where backup = {name}",
        "restored-images-open": f"select study from failed_restores where backup = {name}"
        " and regexp_matches(problems, 'not_opening|not_whole')",
        "recovery-pacs-shows-studies": f"{recovering} in ('recovery_failed', 'recovery_dark')",
        "recovery-pacs-is-empty": f"{recovering} in ('recovery_held', 'recovery_left')",
        "primary-is-sound": f"{lost} ('no_sound_copy', 'damaged_on_primary')",
        "no-silent-alteration": f"{lost} ('changed_on_primary')",
        "no-unexplained-loss": f"{lost} ('gone_everywhere', 'lost_from_primary')",
        "no-mass-change": f"select study from changes where store = {name}",
        "studies-within-retention-are-present": "select study from absent_in_retention",
        "purged-studies-have-two-copies": f"select study from purged_states where store = '{target}{PURGED}'"
        " and state in ('on_one', 'on_none')",
        "no-uid-conflict": f"select study from ({_conflicts(name)})",
        "file-times-are-plausible": "select study from study_states where state = 'pending'"
        f" and primary_store = {name}",
    }.get(check)


def _keywords(found: Iterable[str | None] | None) -> str:
    names = sorted({name for stored in found or () if stored for name in json.loads(stored)})
    return ", ".join(names[:_MOST_ELEMENTS]) + (" and more" if len(names) > _MOST_ELEMENTS else "")
