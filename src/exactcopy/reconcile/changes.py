"""What changed or went at once since the last record of a store, and what ransomware leaves behind."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from exactcopy.inventory.database import literal, rows, shares_of
from exactcopy.model import Problem, Role
from exactcopy.reconcile.case import PURGED, Case, Examined
from exactcopy.results import MassChange, StoreFacts

# What stands where an image stood and holds none. A zip with a password is one of the ways.
_NO_IMAGE = (Problem.EMPTY, Problem.NOT_DICOM, Problem.SCRAMBLED, Problem.ARCHIVE)
# What is changed or gone was a whole image, whose content was known.
_SOUND = "sop is not null and sha256 is not null and not damaged"
# How those who want money call the file that says so.
_NOTE = (
    r"(decrypt|ransom|(recover|restore|unlock|get.?back).{0,12}(files|data)|(files|data).{0,12}(encrypted|back))[^/]*$"
)


def find_changes(case: Case, facts: Sequence[StoreFacts], known: Mapping[str, int]) -> dict[str, MassChange]:
    """Fill the table `changes` (store, study, sop, kind) and return what changed in each store that was examined.

    `known` says how many images the record showed that a store is compared with. What is disposed of, or purged from a
    primary that purges, did not go by itself: both have to be known before. A copy that was another and is an exact one
    now was mended; so was what was damaged and is whole.
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
    for store in compared:
        name = literal(store.target.name)
        case.db.execute(
            f"""
            create or replace view store_before as
            select store, study, sop, sha256, content from before where store = {name} and {_SOUND};
            create or replace view store_now as
            select store, sop, sha256, content from objects where store = {name} and sop is not null
            """
        )
        for share in shares_of(case.db, "store_before", "sop"):
            # Nearly all are as they were: a hash of 64 bits tells, before anything is joined by its UID.
            case.db.execute(
                f"""
                create or replace table moved as
                select distinct sop from (from store_before where {share}) b
                anti join (select hash(sop, sha256) as same from store_now where {share}) n
                on n.same = hash(b.sop, b.sha256);
                insert into changes
                select {name}, min(was.study), sop, case when count(now.sop) = 0 then 'gone' else 'changed' end
                from (from store_before semi join moved using (sop)) was
                left join (from store_now semi join moved using (sop)) now using (sop) group by sop
                having not coalesce(bool_or(now.sop is not null and (
                               now.sha256 is null or now.sha256 = was.sha256
                               or coalesce(now.content = was.content, false))), false)
                   and (count(now.sop) > 0 or {store.absence_shows})
                """
            )
    backups = ", ".join(literal(store.target.name) for store in compared if store.target.role is Role.BACKUP) or "null"
    case.db.execute(
        f"""
        create or replace table mended as
        select o.backup as store, o.sop from outcomes o semi join changes c on c.store = o.backup and c.sop = o.sop
        where o.outcome in ('identical', 'equivalent');
        delete from changes where kind = 'changed' and store in ({backups}) and (store, sop) in (
            select (store, sop) from mended);
        delete from changes where kind = 'gone' and (store || '{PURGED}', sop) in (
            select (p.store, p.sop) from purged p semi join changes c on c.sop = p.sop);
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
        names as (select store, key from others union select store, shorter from others),
        images as (select distinct store, key from before semi join names using (store, key) where {_SOUND})
        select o.store, count(*) filter (same.key is not null),
               count(*) filter (same.key is null and shorter.key is not null),
               count(*) filter (regexp_matches(lower(o.key::varchar), '{_NOTE}'))
        from others o left join images same on same.store = o.store and same.key = o.key
        left join images shorter on shorter.store = o.store and shorter.key = o.shorter
        group by o.store"""
