"""What is found alike by one join is what a close look at every copy would find; in one part or in several."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from duckdb import DuckDBPyConnection
from hypothesis import given, settings
from hypothesis import strategies as st

from exactcopy.errors import ExactCopyError
from exactcopy.inventory.database import database, row, rows
from exactcopy.model import Role
from exactcopy.pool import Died, Pool
from exactcopy.reconcile import alike, case, outcomes
from exactcopy.reconcile.alike import find_alike
from exactcopy.reconcile.case import Case, Examined, open_case
from exactcopy.reconcile.facts import LastKnown, compare_facts, contents_of, find_extras, find_studies
from exactcopy.reconcile.losses import find_disposed, find_losses, save_known
from exactcopy.reconcile.outcomes import find_outcomes
from tests.reconcile.made import NOW, digest, inventory, nanoseconds, target

if TYPE_CHECKING:
    from exactcopy.results import Comparison, Losses

STARTED = nanoseconds(NOW)
# What of an outcome nobody looks up where a copy is alike, or only where one is missing.
LOOKED_UP = "series, primary_key, backup_key, primary_sha256, backup_sha256, age_hours, elements, changed_side, told_by"

# One object: which instance, in which study, of which content, and what is odd about it.
objects = st.lists(
    st.tuples(
        st.integers(1, 5),
        st.integers(1, 2),
        st.sampled_from("aabc"),
        st.sampled_from(["", "", "", "", "damaged", "unread", "stale", "nameless", "reported", "young"]),
    ),
    max_size=9,
)


def listed(found: Sequence[tuple[int, int, str, str]]) -> list[dict[str, Any]]:
    """Give the rows of an inventory."""
    made = []
    for number, (sop, study, content, odd) in enumerate(found):
        row: dict[str, Any] = {
            "key": f"{number}-{sop}".encode(),
            "size": 1000 + number,
            "modified": STARTED - 10**9 * (number + 1) if odd == "young" else STARTED // 2 + number,
            "study_instance_uid": f"1.{study}",
            "series_instance_uid": f"1.{study}.1",
            "sop_instance_uid": f"1.9.{sop}",
            "modality": "CT",
            "study_date": date(2015, 1, 1) + timedelta(days=number),
            "sha256": digest(f"{sop}{content}"),
            "digest_source": "read",
            "read_at": STARTED - number,
        }
        if odd == "damaged":
            # What is no whole instance has content of its own.
            row |= {"problem": "truncated", "sha256": digest(f"{sop}{content} cut")}
        if odd == "unread":
            row |= {"problem": "io_error", "sha256": None, "digest_source": None, "read_at": None}
        if odd == "stale":
            row |= {"sha256": None, "digest_source": None, "read_at": None}
        if odd == "nameless":
            row |= {"sop_instance_uid": None, "study_instance_uid": None, "problem": "not_dicom"}
        if odd == "reported":
            row |= {"digest_source": "reported", "algorithm": "md5"}
        made.append(row)
    return made


@contextmanager
def compared(
    folder: Path, stores: Sequence[Examined], pool: Pool | None = None, *, closely: bool = False
) -> Iterator[Case]:
    """Give a case with its outcomes; with a `pool` what is large is in files, and `closely` takes nothing for alike."""
    with database(folder / "spill") as db:
        opened = open_case(db, stores, STARTED, None, folder / "compared" if pool else None)
        find_alike(opened, pool)
        if closely:
            db.execute(
                "insert into rest select primary_store, backup, sop, true, true from few_paired where same;"
                "update few_paired set same = false; update rest set several = true, there = true"
            )
        db.execute("create table differences (primary_sha256 blob, backup_sha256 blob, outcome varchar,"
                   " elements varchar)")  # fmt: skip
        find_outcomes(opened)
        find_studies(opened)
        find_extras(opened)
        yield opened


def said(opened: Case, folder: Path) -> tuple[list[Any], ...]:
    """Give all that is said of a case, but what is looked up later."""
    db = opened.db
    outcomes = rows(db, f"select * exclude ({LOOKED_UP}) from outcomes order by all")
    facts: list[Comparison | Losses] = [compare_facts(opened, p, b, LastKnown()) for p, b in opened.pairs()]
    find_disposed(opened, (), {})
    facts.append(find_losses(opened))
    for primary in opened.primaries:
        save_known(opened, primary, folder / f"known-{primary.target.name}.parquet")
    known = rows(db, f"select sop, study, first_seen, list_sort(contents) from '{folder}/known-*.parquet' order by all")
    return (
        outcomes,
        rows(db, "select * from study_states order by all"),
        rows(db, "select * from all_extras order by all"),
        rows(db, "select * from losses order by all"),
        known,
        facts,
    )


def made_stores(db: DuckDBPyConnection, folder: Path, held: Sequence[Any], *, listed_whole: bool) -> list[Examined]:
    """Give two primaries and two backups, of which one covers both."""
    names = ("pacs", "cr", "drive", "cloud")
    return [
        Examined(
            target=target(name, Role.PRIMARY)
            if name in ("pacs", "cr")
            else target(name, covers=("pacs", "cr")[: 1 + n]),
            inventory=inventory(db, folder / name, listed(found)),
            complete=True,
            absence_shows=listed_whole or name != "drive",
        )
        for n, (name, found) in enumerate(zip(names, held, strict=True))
    ]


@settings(deadline=None, max_examples=12)
@given(st.tuples(objects, objects, objects, objects), st.booleans())
def test_what_is_alike_is_what_a_close_look_at_each_copy_finds(held: Sequence[Any], listed_whole: bool) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with database(folder / "spill") as db:
            stores = made_stores(db, folder, held, listed_whole=listed_whole)
        with compared(folder, stores) as quick:
            found = said(quick, folder)
        with compared(folder, stores, closely=True) as close:
            assert said(close, folder) == found
            # A count of what lies there several times is that of all.
            for store in stores:
                name = store.target.name
                of_all = row(
                    close.db,
                    f"""select coalesce(sum(objects - contents), 0)::bigint, count(*) filter (contents > 1)
                        from (select count(*) as objects, count(distinct sha256) as contents from objects
                              where store = '{name}' and sop is not null and sha256 is not null group by sop)""",
                )
                several = f"""select coalesce(sum(objects - contents), 0)::bigint, count(*) filter (contents > 1)
                              from ({contents_of(name)})"""
                assert row(close.db, several) == of_all


@pytest.mark.parametrize("parts", [1, 4])
def test_a_large_archive_is_compared_in_parts_as_a_small_one_is_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    held = [
        [(n, n % 3, "a", "") for n in range(1, 400)],
        [(n, 1, "ab"[n % 2], "damaged" if n % 7 == 0 else "") for n in range(390, 420)],
        [(n, n % 3, "ab"[n % 50 == 0], "unread" if n % 31 == 0 else "") for n in range(5, 410)],
        [(n % 200, 1, "a", "reported") for n in range(1, 350)],
    ]
    with database(tmp_path / "spill") as db:
        stores = made_stores(db, tmp_path, held, listed_whole=True)
        # What was purged is compared, too.
        gone = inventory(db, tmp_path / "purged", listed([(n, 3, "a", "") for n in range(400, 405)]))
        db.execute(f"copy (select *, true as young from '{gone}/*.parquet') to '{gone}/young.parquet' (format parquet)")
        (gone / "inventory.parquet").unlink()
        stores[0] = replace(stores[0], purged=gone)
    with compared(tmp_path, stores) as small:
        expected = said(small, tmp_path)
    monkeypatch.setattr(case, "_FEW_ROWS", 10)
    monkeypatch.setattr(outcomes, "AT_ONCE", 7)
    monkeypatch.setattr(outcomes, "SEVERAL_AT_ONCE", 3)
    with Pool(1) as pool:
        monkeypatch.setattr(alike, "PART_OBJECTS", -(-sum(map(len, held)) // parts))
        with compared(tmp_path, stores, pool) as large:
            assert said(large, tmp_path) == expected
            assert len(list((tmp_path / "compared").glob("twice-*.parquet"))) >= parts


def test_a_part_whose_worker_is_ended_twice_ends_the_comparison_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ended:
        workers, elsewhere = 1, True

        def map(self, function: Any, tasks: Any, seconds: Any = None, at_once: Any = None) -> Iterator[tuple[Any, Any]]:
            """Give nothing but deaths."""
            return ((task, Died()) for task in tasks)

    monkeypatch.setattr(case, "_FEW_ROWS", 1)
    monkeypatch.setattr(alike, "PART_OBJECTS", 2)
    held: list[Any] = [[(n, 1, "a", "") for n in range(4)]] * 4
    with database(tmp_path / "spill") as db:
        stores = made_stores(db, tmp_path, held, listed_whole=True)
        opened = open_case(db, stores, STARTED, None, tmp_path / "compared")
        with pytest.raises(ExactCopyError, match=r"part 1 of 8 could not be compared.*audit again"):
            find_alike(opened, Ended())
