"""Which studies a finding is about, and the worklist with which IT mends them."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from exactcopy.inventory.database import literal, rows
from exactcopy.model import Finding, Outcome, RestoreTest
from exactcopy.reconcile.case import Case, Examined
from exactcopy.reconcile.facts import extra_objects
from exactcopy.records import write_csv

_MOST_ELEMENTS = 10
WORKLIST_COLUMNS = (
    "label",
    "what",
    "study_instance_uid",
    "series_instance_uid",
    "sop_instance_uid",
    "key_on_primary",
    "key_on_backup",
    "changed_side",
    "elements",
    "hint",
    "do",
)
_DO = {
    "missing": "Copy this image from the primary to the backup.",
    "unreadable": "Keep the damaged copy, then replace it from the primary.",
    "different": "Keep both versions; replace the one of the side that changed.",
    "altered": "Keep both versions; find out which header is right before one is replaced.",
    "unknown": "Make the store readable there and audit again.",
    "unverified": "Let the next audit read this copy.",
    "pending": "Nothing yet: it is younger than the RPO.",
    "equivalent": "Nothing: the same content in other packaging.",
    "not_known_on_primary": "Find out why the primary does not know it before anything is deleted.",
    "lost_from_primary": "Restore it to the primary from this backup, or record its disposal.",
    "gone_everywhere": "Look for it on drives that are not configured, or record its disposal.",
    "no_sound_copy": "Ask the modality or the PACS vendor for the original.",
    "damaged_on_primary": "Replace it on the primary from the sound copy.",
    "changed_on_primary": "Compare it with the copies on the backups before those are replaced.",
    "no_exact_copy": "Copy it to a backup now.",
    "uid_conflict": "Decide which version is right.",
}


def find_affected(case: Case, findings: Iterable[Finding], tests: Sequence[RestoreTest]) -> None:
    """Fill the table `affected` (id, study): the studies of each finding."""
    db = case.db
    db.execute("create or replace table affected (id varchar, study varchar)")
    db.execute("create or replace table failed_restores (backup varchar, study varchar, problems varchar)")
    failed = [(t.backup, t.study_instance_uid, ",".join(t.problems)) for t in tests if t.outcome == "failed"]
    if failed:
        db.executemany("insert into failed_restores values (?, ?, ?)", failed)
    for finding in findings:
        select = _studies(case, finding.check, finding.target)
        if select:
            db.execute(f"insert into affected select distinct {literal(finding.id)}, study from ({select})")


def labelled_studies(case: Case, tests: Iterable[RestoreTest]) -> list[str]:
    """Return every study that a report, a worklist or a restore test has to name."""
    named = {study for (study,) in rows(case.db, "select distinct study from affected")}
    named |= {study for (study,) in rows(case.db, "select distinct study from study_states where state <> 'protected'")}
    named |= {study for (study,) in rows(case.db, "select distinct study from losses where kind <> 'only_copy'")}
    return sorted(named | {test.study_instance_uid for test in tests})


def gap_rows(case: Case, findings: Sequence[Finding], labels: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of gaps.csv: one for each finding and study, no UID and no text from a file in it."""
    counted = ", ".join(f"sum({outcome})::bigint as {outcome}" for outcome in Outcome)
    case.db.execute(
        f"""
        create or replace table gap_rows as
        with info as (select study, min(modality) as modality, min(year(study_date)) as year, count(distinct sop) as n
                      from objects semi join affected using (study) group by study),
        counts as (select backup, study, {counted} from study_states group by backup, study),
        details as (select backup, study, list(distinct coalesce(changed_side, 'unknown')) as sides,
                           list(distinct elements) as elements from outcomes
                    where outcome in ('altered', 'different', 'unreadable') group by backup, study)
        select a.id, a.study, coalesce(i.modality, '') as modality, i.year, coalesce(i.n, 0) as instances,
               c.* exclude (backup, study), d.sides, d.elements, c.backup
        from affected a left join info i on i.study = a.study
        left join counts c on c.study = a.study left join details d on d.study = a.study and d.backup = c.backup
        """
    )
    for finding in findings:
        of_backup = any(finding.target == backup.target.name for backup in case.backups)
        target = literal(finding.target)
        source = (
            f"select * from gap_rows where id = {literal(finding.id)} and (backup = {target} or backup is null)"
            if of_backup
            else f"select distinct on (study) * from gap_rows where id = {literal(finding.id)}"
        )
        for row in case.db.cursor().execute(f"{source} order by study").fetchall():
            study, modality, year, instances = row[1:5]
            outcomes = dict(zip((o.value for o in Outcome), row[5:14], strict=True)) if of_backup else {}
            sides, elements = row[14], row[15]
            yield {
                "finding": finding.id,
                "check": finding.check,
                "severity": finding.severity.value,
                "target": finding.target,
                "label": labels[study],
                "modality": modality,
                "study_year": year,
                "instances": instances,
                **{outcome.value: outcomes.get(outcome.value) or 0 for outcome in Outcome},
                "changed_side": "/".join(sorted(sides)) if of_backup and sides else "",
                "elements": _keywords(elements) if of_backup else "",
            }


def write_worklists(case: Case, findings: Iterable[Finding], labels: Mapping[str, str], folder: Path) -> None:
    """Write the worklist of every store that a finding names one for: keys, UIDs, what to do."""
    named = {finding.worklist for finding in findings if finding.worklist}
    for store in case.stores:
        name = f"worklist-{store.target.name}.csv"
        if name in named:
            write_csv(folder / name, WORKLIST_COLUMNS, _work(case, store, labels))


def _work(case: Case, store: Examined, labels: Mapping[str, str]) -> Iterator[tuple[object, ...]]:
    name = literal(store.target.name)
    select = _backup_work(case, store, name) if store in case.backups else _primary_work(name)
    found = case.db.cursor().execute(select)
    while batch := found.fetchmany(1000):
        for what, study, series, sop, on_primary, on_backup, side, elements, hint in batch:
            yield (
                labels.get(study, ""),
                what,
                study,
                series,
                sop,
                _text(on_primary),
                _text(on_backup),
                side,
                _keywords([elements]),
                hint,
                _DO[what],
            )


def _backup_work(case: Case, backup: Examined, name: str) -> str:
    case.db.execute(extra_objects(case, backup))
    return f"""
        select o.outcome, o.study, o.series, o.sop, o.primary_key, o.backup_key, o.changed_side, o.elements,
               case when h.key is not null then 'an object of this key is there: ' || h.problem end
        from outcomes o left join (select key, problem from objects where store = {name} and sop is null) h
          on h.key = o.primary_key and o.backup_key is null
        where o.backup = {name} and o.outcome not in ('identical', 'equivalent', 'pending')
        union all
        select case when e.lost then 'lost_from_primary' else 'not_known_on_primary' end, e.study, b.series,
               e.sop, null, b.key, null, null, null
        from extra_objects e join objects b on b.store = {name} and b.sop = e.sop
        union all {_conflicts(name)}
        union all
        select 'different', f.study, null, null, null, null, null, null, 'restore failed: ' || f.problems
        from failed_restores f where f.backup = {name}
        order by 2, 4, 5"""


def _primary_work(name: str) -> str:
    return f"""
        select l.kind, l.study, any_value(o.series), l.sop, min(o.key) filter (o.store = {name}),
               min(o.key) filter (o.store <> {name} and not o.damaged), null, null,
               'sound on: ' || string_agg(distinct o.store, ', ') filter (o.store <> {name} and not o.damaged)
        from losses l left join objects o on o.sop = l.sop
        where l.store = {name} and l.kind <> 'only_copy' group by l.kind, l.study, l.sop
        union all
        select 'no_exact_copy', min(study), min(series), sop, min(primary_key), null, null, null, null
        from outcomes where primary_store = {name} group by sop having {_NOWHERE}
        union all {_conflicts(name)}
        order by 2, 4"""


def _conflicts(name: str) -> str:
    return f"""
        select 'uid_conflict', o.study, o.series, o.sop, o.key, null, null, null, 'one of several versions'
        from objects o semi join (select sop from objects where store = {name} and sop is not null
            and sha256 is not null group by sop having count(distinct sha256) > 1) c using (sop)
        where o.store = {name}"""


_NOWHERE = """not bool_or(outcome in ('identical', 'equivalent', 'unknown', 'unverified', 'pending'))"""


def _studies(case: Case, check: str, target: str) -> str | None:
    """Return the SQL of the studies that a finding of `check` on `target` is about; None where it is about none."""
    name = literal(target)
    states = f"select study from study_states where backup = {name} and"
    lost = f"select study from losses where store = {name} and kind in"
    if check == "extras-are-explained":
        case.db.execute(extra_objects(case, next(b for b in case.backups if b.target.name == target)))
        return "select study from extra_objects where not lost"
    return {
        "backup-is-complete": f"{states} missing > 0",
        "copies-are-exact": f"{states} altered + different > 0",
        "copies-are-readable": f"{states} unreadable > 0",
        "restore-succeeded": f"select study from failed_restores where backup = {name}",
        "restored-images-open": f"select study from failed_restores where backup = {name} and problems like '%not_%'",
        "every-instance-has-a-copy": f"select min(study) as study from outcomes where primary_store = {name}"
        f" group by sop having {_NOWHERE}",
        "primary-is-sound": f"{lost} ('no_sound_copy', 'damaged_on_primary')",
        "no-silent-alteration": f"{lost} ('changed_on_primary')",
        "no-unexplained-loss": f"{lost} ('gone_everywhere', 'lost_from_primary')",
        "no-mass-change": f"{lost} ('gone_everywhere', 'lost_from_primary', 'changed_on_primary')",
        "no-uid-conflict": f"select study from objects where store = {name} and sop in (select sop from objects"
        f" where store = {name} and sha256 is not null group by sop having count(distinct sha256) > 1)",
        "file-times-are-plausible": "select study from study_states where state = 'pending'"
        f" and primary_store = {name}",
    }.get(check)


def _keywords(found: Iterable[str | None]) -> str:
    names = sorted({name for stored in found or () if stored for name in json.loads(stored)})
    return ", ".join(names[:_MOST_ELEMENTS]) + (" and more" if len(names) > _MOST_ELEMENTS else "")


def _text(key: bytes | None) -> str | None:
    return None if key is None else os.fsdecode(key).encode("utf-8", "backslashreplace").decode()
