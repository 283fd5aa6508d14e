"""Made inventories, compared by us or by pandas: `python -m benchmarks.run_join make|ours|pandas FOLDER [IMAGES]`."""

import sys
import tempfile
from pathlib import Path
from time import perf_counter

from benchmarks import STEP

_PRIMARY, _BACKUP = "pacs", "drive"
_STARTED = 1_764_000_000 * 10**9
_PER_STUDY, _PER_SERIES = 200, 50
_ROOT = "1.2.840.99999.604688119.971"
# One in so many is on one side only, or has another content on the backup.
_ONLY_BACKUP, _ONLY_PRIMARY, _CHANGED = 100_003, 50_021, 70_001


def make(folder: Path, images: int) -> None:
    """Write the inventories of a primary and its backup."""
    from exactcopy.inventory.database import database, save

    stores = (
        (_PRIMARY, f"i % {_ONLY_BACKUP} <> 7", "i"),
        (_BACKUP, f"i % {_ONLY_PRIMARY} <> 11", f"case when i % {_CHANGED} = 13 then -i else i end"),
    )
    with database(folder / "spill") as db:
        for name, which, content in stores:
            study = f"'{_ROOT}.' || (1268000000 + i // {_PER_STUDY})"
            series = f"{study} || '.' || (i // {_PER_SERIES})"
            save(
                db,
                f"""select encode(printf('archive/%06d/%08d.dcm', i // {_PER_STUDY}, i)) as key,
                    500000 + i % 1000 as size, {_STARTED} - (i % 1000) * 86400000000000 as modified, i as inode,
                    null::varchar as version, {study} as study_instance_uid, {series} as series_instance_uid,
                    {series} || '.' || i as sop_instance_uid, '1.2.840.10008.5.1.4.1.1.2' as sop_class_uid,
                    '1.2.840.10008.1.2.1' as transfer_syntax_uid, 'CT' as modality,
                    date '2020-01-01' + (i // 20000)::int as study_date, 1::bigint as frames, false as lossy,
                    unhex(sha256(({content})::varchar)) as sha256, null::varchar as digests, 'read' as digest_source,
                    null::varchar as algorithm, {_STARTED} as read_at, null::varchar as problem
                    from range({images}) t(i) where {which}""",
                folder / name / "inventory.parquet",
            )


def ours(folder: Path) -> float:
    """Compare them as an audit does; return the seconds of that."""
    from exactcopy.inventory.database import database, row
    from exactcopy.model import Role, Target
    from exactcopy.pool import Pool
    from exactcopy.reconcile.alike import find_alike
    from exactcopy.reconcile.case import Examined, open_case
    from exactcopy.reconcile.differences import find_differences
    from exactcopy.reconcile.facts import LastKnown, compare_facts, find_extras, find_studies
    from exactcopy.reconcile.outcomes import find_outcomes

    def store(name: str, role: Role, *covers: str) -> Examined:
        target = Target(name=name, role=role, kind="folder", identity=name, options={"path": folder}, covers=covers)
        return Examined(target=target, inventory=folder / name, complete=True, absence_shows=True)

    stores = [store(_PRIMARY, Role.PRIMARY), store(_BACKUP, Role.BACKUP, _PRIMARY)]
    with tempfile.TemporaryDirectory(prefix="exactcopy-bench-") as work, Pool() as pool:
        began = perf_counter()
        with database(Path(work) / "spill") as db:
            case = open_case(db, stores, _STARTED, None, Path(work) / "compared")
            find_alike(case, pool)
            find_differences(case, pool, None, lambda: None)
            find_outcomes(case)
            find_studies(case)
            find_extras(case)
            found = compare_facts(case, *case.pairs()[0], LastKnown())
            (images,) = row(db, f"select count(*) from objects where store = '{_PRIMARY}'")
        seconds = perf_counter() - began
    if sum(found.instances.values()) != images or not found.instances["missing"] or found.extra is None:
        raise SystemExit(f"not every image has an outcome: {found.instances}")
    return seconds


def merge(folder: Path) -> float:
    """Merge UIDs and checksums with pandas; return the seconds of that."""
    import duckdb

    began = perf_counter()
    columns = "sop_instance_uid, sha256"
    primary, backup = (
        duckdb.connect().execute(f"select {columns} from '{folder / name}/*.parquet'").df()
        for name in (_PRIMARY, _BACKUP)
    )
    merged = primary.merge(backup, on="sop_instance_uid", how="outer", indicator=True, suffixes=("", "_backup"))
    same = merged["sha256"] == merged["sha256_backup"]
    print(merged["_merge"].value_counts().to_dict(), int(same.sum()), file=sys.stderr)
    return perf_counter() - began


def main() -> None:
    """Do what is asked for."""
    what, folder = sys.argv[1], Path(sys.argv[2])
    if what == "make":
        make(folder, int(sys.argv[3]))
        return
    print(f"{STEP}{ours(folder) if what == 'ours' else merge(folder)}")


if __name__ == "__main__":
    main()
