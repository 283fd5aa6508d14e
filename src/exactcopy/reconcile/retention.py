"""Which studies that any record saw are in no store any more, within the facility's own rule of retention."""

from collections.abc import Collection
from datetime import UTC, date, datetime
from pathlib import Path

from exactcopy.inventory.database import literal, row, save
from exactcopy.model import RetentionRule
from exactcopy.reconcile.case import PLAUSIBLE, Case
from exactcopy.results import Retention

# Where a record has them, below restricted/.
STUDIES = "studies.parquet"


def find_absent(case: Case, rule: RetentionRule | None, disposed: Collection[str]) -> Retention | None:
    """Fill the table `absent_in_retention` (study, dated, last_seen, stores); return its counts, None without a rule.

    A study is as old as its study date says, else as its first record. It is absent where no store holds it, nor any
    image of it under another study; `disposed` are the studies of which a disposal is on record. While a store could
    not be listed whole nothing is absent: the counts of it are None.
    """
    case.db.execute("create or replace table absent_in_retention (study varchar, dated date, last_seen bigint,"
                    " stores varchar)")  # fmt: skip
    if rule is None:
        return None
    unclear = tuple(store.target.name for store in case.stores if not store.absence_shows)
    since = _years_before(datetime.fromtimestamp(case.started / 1e9, UTC).date(), rule.years)
    case.db.execute(
        f"""
        create or replace table within_retention as
        select *, coalesce(study_date, make_timestamp_ns(first_seen)::date) as dated from ({_studies(case)})
        where dated >= {literal(since.isoformat())}::date
        """
    )
    case.db.execute("create or replace table disposed (study varchar)")
    if disposed:
        case.db.executemany("insert into disposed values (?)", [(study,) for study in disposed])
    case.db.execute(
        """
        create or replace table not_there as
        select study from within_retention anti join (select study from objects where sop is not null) using (study);
        create or replace table elsewhere_now as
        select distinct k.study from (select sop, study from known semi join not_there using (study)) k
        semi join objects o on o.sop = k.sop
        """
    )
    gone = "within_retention w semi join not_there using (study) anti join elsewhere_now using (study)"
    if not unclear:
        case.db.execute(
            f"insert into absent_in_retention select study, dated, last_seen, stores from {gone}"
            " anti join disposed using (study)"
        )
    seen, absent, disposals, oldest = row(
        case.db,
        f"""select (select count(*) from within_retention), (select count(*) from absent_in_retention),
            (select count(*) from {gone} semi join disposed using (study)),
            (select min(year(study_date)) from objects where study_date >= {PLAUSIBLE})""",
    )
    return Retention(
        rule=rule.rule,
        years=rule.years,
        set_by=rule.set_by,
        on=rule.on,
        citation=rule.citation,
        since=since,
        oldest_year=oldest,
        studies=seen,
        absent=None if unclear else absent,
        disposed=None if unclear else disposals,
        not_listed=unclear,
    )


def save_studies(case: Case, path: Path) -> None:
    """Write every study that this or an earlier record saw on any store, with its date and when it was seen."""
    save(case.db, _studies(case), path)


def _studies(case: Case) -> str:
    """Return the SQL of every study that was ever seen; of what only an older record knows there is no date."""
    return f"""
        select study, coalesce(max(study_date) filter (today), max(study_date)) as study_date,
               coalesce(max(modality) filter (today), max(modality)) as modality, min(first_seen) as first_seen,
               max(last_seen) as last_seen, arg_max(stores, last_seen) as stores
        from (
            select study, max(study_date) as study_date, min(modality) as modality,
                   {case.started}::bigint as first_seen, {case.started}::bigint as last_seen,
                   string_agg(store, ', ' order by store) as stores, true as today
            from (select study, store, max(study_date) filter (study_date >= {PLAUSIBLE}) as study_date,
                         min(modality) as modality
                  from objects where sop is not null group by study, store) group by study
            union all by name select *, false as today from seen
            union all by name
            select study, min(first_seen) as first_seen, min(first_seen) as last_seen, min(store) as stores,
                   false as today from known anti join seen using (study) group by study)
        group by study"""


def _years_before(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        # February 29: a day more is kept rather than one less.
        return day.replace(year=day.year - years, day=28)
