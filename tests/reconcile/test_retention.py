"""The facility's own rule of retention: what is absent shows, and only where all stores were listed whole."""

import tempfile
from datetime import date, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from exactcopy.inventory.database import database, rows
from exactcopy.model import RetentionRule, Role
from exactcopy.reconcile.case import Case, Examined
from exactcopy.reconcile.losses import save_known
from exactcopy.reconcile.retention import STUDIES, find_absent, save_studies
from tests.reconcile.made import NOW, instance, inventory, nanoseconds, opened, target

RULE = RetentionRule(rule="Seven years", years=7, set_by="Dana Reyes", on=date(2026, 1, 15), citation="Policy 12")
SINCE = date(2019, 11, 24)
STORES = ("pacs", "nas", "usb")
# A day inside the rule, its first, the day before that, a placeholder, none at all.
DATES = (date(2024, 5, 1), SINCE, SINCE - timedelta(days=1), date(1900, 1, 1), None)
studies = st.lists(
    st.tuples(
        st.sampled_from(DATES),
        st.sets(st.sampled_from(STORES)),  # where it was before
        st.sets(st.sampled_from(STORES)),  # where it is now
        st.booleans(),  # a disposal is on record
    ),
    max_size=8,
)


Held = dict[str, list[dict[str, object]]]


def a_case(folder: Path, held: Held, whole: frozenset[str], seen: Path | None, known: Path | None = None) -> Case:
    db = database(folder / "spill")
    examined = [
        Examined(
            target=target(name, Role.PRIMARY if name == "pacs" else Role.BACKUP),
            inventory=inventory(db, folder / name, held[name]),
            known=known if name == "pacs" else None,
            absence_shows=name in whole,
        )
        for name in STORES
    ]
    return opened(db, examined, nanoseconds(NOW), seen)


@settings(deadline=None, max_examples=10)
@given(made=studies, whole=st.sets(st.sampled_from(STORES)))
def test_what_is_absent_from_all_stores_shows_where_all_were_listed_whole(
    made: list[tuple[date | None, set[str], set[str], bool]], whole: set[str]
) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        before: Held = {name: [] for name in STORES}
        now: Held = {name: [] for name in STORES}
        for number, (dated, then, today, _) in enumerate(made):
            for name in STORES:
                if name in then:
                    before[name].append(instance(f"1.{number}", 1, dated=dated))
                if name in today:
                    now[name].append(instance(f"1.{number}", 1, dated=dated))
        seen = Path(temporary) / STUDIES
        save_studies(a_case(Path(temporary) / "before", before, frozenset(STORES), None), seen)
        case = a_case(Path(temporary) / "now", now, frozenset(whole), seen)
        disposed = {f"1.{number}" for number, (_, _, _, gone) in enumerate(made) if gone}
        found = find_absent(case, RULE, disposed)
        assert found is not None
        # What says no plausible date is as old as its first record, which is from today.
        inside = {
            f"1.{number}"
            for number, (dated, then, today, _) in enumerate(made)
            if (then or today) and (dated is None or dated >= SINCE or dated.year == 1900)
        }
        absent = {study for study in inside if not made[int(study[2:])][2]}
        assert found.studies == len(inside)
        assert found.not_listed == tuple(name for name in STORES if name not in whole)
        if found.not_listed:
            assert (found.absent, found.disposed) == (None, None)
            absent = set()
        else:
            assert (found.absent, found.disposed) == (len(absent - disposed), len(absent & disposed))
        assert {study for (study,) in rows(case.db, "select study from absent_in_retention")} == absent - disposed


def test_a_study_whose_images_are_there_under_another_one_is_not_absent(tmp_path: Path) -> None:
    held: Held = {"pacs": [instance("1.1", 1), instance("1.2", 1)], "nas": [], "usb": []}
    everywhere = frozenset(STORES)
    before = a_case(tmp_path / "before", held, everywhere, None)
    save_studies(before, tmp_path / STUDIES)
    save_known(before, before.primaries[0], tmp_path / "pacs.parquet")
    held["pacs"] = [{**instance("1.1", 1), "study_instance_uid": "1.9"}]
    case = a_case(tmp_path / "now", held, everywhere, tmp_path / STUDIES, tmp_path / "pacs.parquet")
    found = find_absent(case, RULE, ())
    assert found is not None
    assert found.absent == 1
    assert rows(case.db, "select study, stores from absent_in_retention") == [("1.2", "pacs")]


def test_a_record_without_a_list_of_studies_tells_them_by_what_it_knows_of_the_primary(tmp_path: Path) -> None:
    held: Held = {"pacs": [instance("1.1", 1), instance("1.2", 1)], "nas": [], "usb": []}
    before = a_case(tmp_path / "before", held, frozenset(STORES), None)
    save_known(before, before.primaries[0], tmp_path / "pacs.parquet")
    held["pacs"] = held["pacs"][:1]
    case = a_case(tmp_path / "now", held, frozenset(STORES), None, tmp_path / "pacs.parquet")
    found = find_absent(case, RULE, ())
    assert found is not None
    assert (found.studies, found.absent) == (2, 1)


def test_without_a_rule_nothing_is_assessed(tmp_path: Path) -> None:
    case = a_case(tmp_path, {name: [] for name in STORES}, frozenset(STORES), None)
    assert find_absent(case, None, ()) is None
    assert rows(case.db, "select * from absent_in_retention") == []
