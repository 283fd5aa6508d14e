"""What changed or went at once since the last record of a store, and what ransomware leaves behind."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from exactcopy.inventory.database import literal, rows
from exactcopy.model import Problem, Role
from exactcopy.reconcile.case import Case, Examined
from exactcopy.results import MassChange, StoreFacts

# What stands where an image stood and holds none. A zip with a password is one of the ways.
_NO_IMAGE = (Problem.EMPTY, Problem.NOT_DICOM, Problem.SCRAMBLED, Problem.ARCHIVE)
# How those who want money call the file that says so.
_NOTE = (
    r"(decrypt|ransom|(recover|restore|unlock|get.?back).{0,12}(files|data)|(files|data).{0,12}(encrypted|back))[^/]*$"
)


def find_changes(case: Case, facts: Sequence[StoreFacts], known: Mapping[str, int]) -> dict[str, MassChange]:
    """Fill the table `changes` (store, study, sop, kind) and return what changed in each store that was examined.

    `known` says how many images the record showed that a store is compared with. What is disposed of did not go by
    itself (the disposals have to be known before). A copy that was another and is an exact one now was mended; so was what was damaged and is whole.
    """
    found = {
        store.target.name: MassChange(
            compared_with=store.previous_from,
            known=known.get(store.target.name, 0),
            high_entropy=each.problems.get(Problem.SCRAMBLED, 0),
            gone=0 if store.previous and store.absence_shows else None,
            changed=0 if store.previous else None,
        )
        for store, each in zip(case.stores, facts, strict=True)
        if store.inventory is not None
    }
    compared = [store for store in case.stores if store.inventory is not None and store.previous is not None]
    case.db.execute("create or replace table changes (store varchar, study varchar, sop varchar, kind varchar)")
    if compared:
        _find(case, compared)
        for store, studies, changed, gone in rows(
            case.db,
            "select store, count(distinct study), count(*) filter (kind = 'changed'),"
            " count(*) filter (kind = 'gone') from changes group by store",
        ):
            one = found[store]
            found[store] = replace(one, studies=studies, changed=changed, gone=None if one.gone is None else gone)
    if any(each.problems.get(problem) for each in facts for problem in _NO_IMAGE):
        for store, lost, renamed, notes in rows(case.db, _remains()):
            found[store] = replace(found[store], lost_magic=lost, renamed=renamed, notes=notes)
    return found


def _find(case: Case, compared: Sequence[Examined]) -> None:
    names = ", ".join(literal(store.target.name) for store in compared)
    whole = ", ".join(literal(store.target.name) for store in compared if store.absence_shows) or "null"
    backups = ", ".join(literal(store.target.name) for store in compared if store.target.role is Role.BACKUP) or "null"
    same = """o.store = w.store and o.sop = w.sop
        and (o.sha256 is null or o.sha256 = w.sha256 or coalesce(o.content = w.content, false))"""
    case.db.execute(
        f"""
        insert into changes
        with was as (select store, study, sop, sha256, content from before
                     where store in ({names}) and sop is not null and sha256 is not null and not damaged),
        other as (select * from was w anti join objects o on {same}),
        kept as (select distinct w.store, w.sop from (select * from was semi join other using (store, sop)) w
                 join objects o on {same}),
        there as (select distinct o.store, o.sop from objects o semi join other using (store, sop))
        select store, min(study) as study, sop, case when there.sop is null then 'gone' else 'changed' end as kind
        from other anti join kept using (store, sop) left join there using (store, sop)
        where not (there.sop is null and store not in ({whole}))
        group by store, sop, there.sop;
        delete from changes where kind = 'changed' and store in ({backups}) and (store, sop) in (
            select (backup, sop) from outcomes where outcome in ('identical', 'equivalent'));
        delete from changes where kind = 'gone' and study in (
            select study from disposals where primary_store is null or primary_store = store or store in ({backups}))
        """
    )


def _remains() -> str:
    """Return the SQL of what stands in each store where images stood: under their name, under a longer one; notes."""
    kinds = ", ".join(literal(kind) for kind in _NO_IMAGE)
    return f"""
        with others as (select store, key, (regexp_replace(key::varchar, '\\.[^./]*$', ''))::blob as shorter
                        from objects where problem in ({kinds})),
        images as (select distinct store, key from before where sop is not null and sha256 is not null and not damaged)
        select o.store, count(*) filter (same.key is not null),
               count(*) filter (same.key is null and shorter.key is not null),
               count(*) filter (regexp_matches(lower(o.key::varchar), '{_NOTE}'))
        from others o left join images same on same.store = o.store and same.key = o.key
        left join images shorter on shorter.store = o.store and shorter.key = o.shorter
        group by o.store"""
