"""What a primary purged, what it lost, and which backups hold it: held against a plain model of the same."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from duckdb import DuckDBPyConnection
from hypothesis import given, settings
from hypothesis import strategies as st

from exactcopy.decisions import Disposal
from exactcopy.inventory.database import database, parquet, rows, save_rows
from exactcopy.inventory.remembered import Before, remember, save_purged
from exactcopy.inventory.reported import clear
from exactcopy.inventory.schema import INVENTORY, LISTING
from exactcopy.model import Problem, Role
from exactcopy.reconcile.case import Case, Examined
from exactcopy.reconcile.facts import extras_of, find_extras, find_studies
from exactcopy.reconcile.losses import find_disposed, find_losses, save_known
from exactcopy.reconcile.outcomes import find_outcomes
from exactcopy.reconcile.purged import find_purged, purged_studies
from exactcopy.results import Decision
from tests.reconcile.made import NOW, digest, instance, inventory, nanoseconds, of_before, opened, target

KEEPS = timedelta(days=45)
AUDITS = tuple(NOW + timedelta(days=30) * month for month in range(3))
BACKUPS = ("nas", "usb", "cloud")
IMAGES = (1, 2)


@dataclass(frozen=True)
class Study:
    """`age` in days at the first audit; which images each audit found on the primary; what each backup has at last."""

    age: int
    found: tuple[frozenset[int], ...]
    copies: tuple[str, ...]

    @property
    def dated(self) -> date:
        return (NOW - timedelta(days=self.age)).date()


STUDIES = st.builds(
    Study,
    # Too young at each audit; old enough by the third, the second, the first; just old enough, and a day too young.
    age=st.sampled_from([-20, -16, -15, 10, 14, 15, 40, 50]),
    found=st.tuples(*[st.sampled_from([frozenset(), frozenset({1}), frozenset({1, 2})])] * 3),
    copies=st.tuples(*[st.sampled_from(["exact", "exact", "other", "damaged", "unread", "absent"])] * 3),
)


def images(study: str, made: Study, numbers: frozenset[int]) -> list[dict[str, Any]]:
    return [instance(study, number, dated=made.dated) for number in sorted(numbers)]


def copies(study: str, made: Study, how: str) -> list[dict[str, Any]]:
    """Give what a backup has of a study: its first image is as `how` says, its second exact."""
    if how == "absent":
        return []
    row = instance(study, 1, dated=made.dated)
    if how != "exact":
        row |= instance(study, 1, content=f"{how} {study}", dated=made.dated)
    if how == "damaged":
        row["problem"] = Problem.TRUNCATED
    if how == "unread":
        row |= {"problem": Problem.PERMISSION, "sha256": None, "digest_source": None, "read_at": None}
    return [row, instance(study, 2, dated=made.dated)]


def last_case(folder: Path, db: DuckDBPyConnection, made: list[Study], whole: list[bool], seen: list[bool]) -> Case:
    """Audit three times, the backups at last only; give the last case, its outcomes found."""
    before, known = None, None
    for month, now in enumerate(AUDITS):
        started = nanoseconds(now)
        place = folder / str(month)
        held = [row for n, study in enumerate(made) for row in images(f"1.{n}", study, study.found[month])]
        primary = inventory(db, place / "pacs", held)
        remember(db, primary, before, whole[month], started, place / "gone.parquet")
        before = Before(inventory=primary, gone=place / "gone.parquet", started=started)
        save_purged(db, place / "gone.parquet", known, KEEPS, place / "purged")
        stores = [
            Examined(
                target=target("pacs", Role.PRIMARY, keeps=KEEPS),
                inventory=primary,
                known=known,
                known_from="record" if known else None,
                absence_shows=whole[month],
                purged=place / "purged",
            )
        ]
        if now == AUDITS[-1]:
            for number, name in enumerate(BACKUPS):
                there = [row for n, study in enumerate(made) for row in copies(f"1.{n}", study, study.copies[number])]
                found = inventory(db, place / name, there)
                stores.append(Examined(target=target(name), inventory=found, absence_shows=seen[number]))
        case = opened(db, stores, started)
        save_known(case, stores[0], place / "known.parquet")
        known = place / "known.parquet"
    judge(case)
    return case


def judge(case: Case, different: Sequence[tuple[bytes, bytes, str]] = (), disposals: Sequence[Disposal] = ()) -> None:
    """Find outcomes; `different` is what an earlier audit found of pairs of contents. The study 1.1 is E-0001."""
    columns = "primary_sha256 blob, backup_sha256 blob, outcome varchar, elements varchar"
    case.db.execute(f"create table differences ({columns})")
    for pair in different:
        case.db.execute("insert into differences values (?, ?, ?, '[]')", pair)
    find_outcomes(case)
    find_studies(case)
    find_extras(case)
    find_disposed(case, disposals, {"1.1": "E-0001"})
    find_purged(case)


def gone(study: Study, number: int, whole: list[bool]) -> tuple[int | None, bool]:
    """Say at which audit an image was first found gone, for good, and whether no other of its study was left."""
    since: tuple[int | None, bool] = (None, False)
    for month in range(3):
        if number in study.found[month]:
            since = (None, False)
        elif since[0] is None and whole[month] and any(number in study.found[m] for m in range(month)):
            since = (month, not study.found[month])
    return since


@settings(deadline=None, max_examples=5)
@given(
    made=st.lists(STUDIES, min_size=4, max_size=10),
    whole=st.lists(st.sampled_from([True, True, False]), min_size=3, max_size=3),
    seen=st.lists(st.sampled_from([True, True, False]), min_size=3, max_size=3),
)
def test_what_was_purged_is_what_went_whole_and_old_enough(
    made: list[Study], whole: list[bool], seen: list[bool]
) -> None:
    states: dict[str, str] = {}
    lost, nowhere, known = set(), set(), set()
    for n, study in enumerate(made):
        purged = set()
        for number in IMAGES:
            known |= {f"1.{n}.{number}"} if any(number in found for found in study.found) else set()
            month, all_of_it = gone(study, number, whole)
            if month is not None and all_of_it and timedelta(days=study.age + 30 * month) >= KEEPS:
                purged.add(number)
            elif f"1.{n}.{number}" in known and number not in study.found[-1] and whole[-1]:
                lost.add(f"1.{n}.{number}")
        if purged:
            here = [how if 1 in purged or how == "absent" else "exact" for how in study.copies]
            exact = here.count("exact")
            open_ones = sum(how == "unread" or (how == "absent" and not seen[b]) for b, how in enumerate(here))
            states[f"1.{n}"] = (
                "on_two" if exact >= 2 else "not_checked" if open_ones else "on_one" if exact else "on_none"
            )
        absent = {f"1.{n}.{number}" for number in IMAGES} & known if {*study.copies} == {"absent"} else set()
        nowhere |= {sop for sop in absent if int(sop[-1]) not in study.found[-1]} if whole[-1] and all(seen) else set()
    with tempfile.TemporaryDirectory() as temporary, database(Path(temporary) / "spill") as db:
        case = last_case(Path(temporary), db, made, whole, seen)
        assert dict(rows(db, "select study, state from purged_states")) == states
        counts = purged_studies(case, case.primaries[0])
        assert counts is not None
        assert counts.purged == counts.on_two + counts.on_one + counts.on_none + counts.not_checked == len(states)
        losses = find_losses(case)
        found = dict(rows(db, "select sop, kind from losses where kind <> 'only_copy'"))
        assert {sop for sop, kind in found.items() if kind == "gone_everywhere"} == nowhere
        # What has no sound copy is counted as that, whether it was lost or purged.
        unsound = {sop for sop, kind in found.items() if kind == "no_sound_copy"}
        assert {sop for sop, kind in found.items() if kind == "lost_from_primary"} == lost - nowhere - unsound
        assert losses.by_primary["pacs"]["gone_everywhere"].instances == len(nowhere)
        # Every image of the primary of today has its outcome, and nothing else does.
        today = {f"1.{n}.{number}" for n, study in enumerate(made) for number in study.found[-1]}
        for name in BACKUPS:
            judged = rows(db, f"select sop from outcomes where backup = '{name}' and primary_store = 'pacs'")
            assert sorted(sop for (sop,) in judged) == sorted(today)
        # What was purged is explained on each backup; what was lost is not, nor what nobody knows.
        for backup in case.backups:
            name = backup.target.name
            there = {sop for (sop,) in rows(db, f"select sop from objects where store = '{name}'")}
            purged_images = {sop for (sop,) in rows(db, "select sop from purged where sop is not null")}
            extras = dict(rows(db, f"select sop, lost from ({extras_of(name)})"))
            assert {sop for sop, is_lost in extras.items() if not is_lost} == there - today - known
            assert {sop for sop, is_lost in extras.items() if is_lost} == there & known - today - purged_images


def purged_case(folder: Path, db: DuckDBPyConnection, gone: dict[str, Any], kind: str, there: dict[str, Any]) -> Case:
    """Give a case in which a study of one image was purged; nas has it exactly, and `there` is what another has."""
    columns = {**INVENTORY, "young": "boolean"}
    purged = folder / "purged" / "inventory.parquet"
    save_rows(db, columns, [[(gone | {"young": False}).get(column) for column in columns]], purged)
    found = [
        (target("pacs", Role.PRIMARY, keeps=KEEPS), []),
        (target("nas"), [gone]),
        (target("other", kind=kind), [there]),
    ]
    stores = [
        Examined(target=store, inventory=inventory(db, folder / store.name, held), absence_shows=True)
        for store, held in found
    ]
    stores[0] = replace(stores[0], purged=purged.parent)
    return opened(db, stores, nanoseconds(NOW))


GONE = instance("1.1", 1)
DECISION = Decision(by="Dana Reyes", title="Security official", on=date(2026, 1, 15), entered_by="Sam", reason="x")


@pytest.mark.parametrize(
    ("kind", "gone", "there", "different", "state"),
    [
        # Another content of a folder is no exact copy, and nothing can be compared any more...
        ("folder", {}, {"sha256": digest("b")}, "", "on_one"),
        # ... but where it was compared while that could be done.
        ("folder", {}, {"sha256": digest("b")}, "equivalent", "on_two"),
        ("folder", {}, {"sha256": digest("b")}, "altered", "on_one"),
        # What a PACS sends is held against the digest of the content, where there is one of both.
        ("dicomweb", {"digests": "content:aa"}, {"sha256": digest("b"), "digests": "content:aa"}, "", "on_two"),
        ("dicomweb", {"digests": "content:aa"}, {"sha256": digest("b"), "digests": "content:bb"}, "", "on_one"),
        ("dicomweb", {}, {"sha256": digest("b"), "digests": "content:bb"}, "", "not_checked"),
        # An exact copy of what was damaged already is none that could be used.
        ("folder", {"problem": Problem.TRUNCATED}, {"problem": Problem.TRUNCATED}, "", "on_none"),
        # What was never read on the primary cannot be told.
        ("folder", {"sha256": None, "problem": Problem.PERMISSION}, {}, "", "not_checked"),
    ],
)
def test_a_copy_of_what_was_purged_is_held_against_what_it_last_was(
    tmp_path: Path, kind: str, gone: dict[str, Any], there: dict[str, Any], different: str, state: str
) -> None:
    with database(tmp_path / "spill") as db:
        case = purged_case(tmp_path, db, GONE | gone, kind, GONE | there)
        judge(case, [(GONE["sha256"], digest("b"), different)] if different else [])
        assert rows(db, "select study, state from purged_states") == [("1.1", state)]


@pytest.mark.parametrize(
    ("disposal", "counted"),
    [
        (Disposal(decision=DECISION, policy="12", labels=frozenset({"E-0001"})), (0, 0, 1)),
        (Disposal(decision=DECISION, policy="12", labels=frozenset({"E-0002"})), (1, 1, 0)),
    ],
)
def test_what_was_disposed_of_is_asked_for_no_more(
    tmp_path: Path, disposal: Disposal, counted: tuple[int, int, int]
) -> None:
    with database(tmp_path / "spill") as db:
        case = purged_case(tmp_path, db, GONE, "folder", GONE | {"sha256": digest("b")})
        judge(case, disposals=[disposal])
        counts = purged_studies(case, case.primaries[0])
        assert counts is not None
        assert (counts.purged, counts.on_one, counts.disposed) == counted


def test_an_alteration_stays_a_finding_after_what_was_altered_is_purged(tmp_path: Path) -> None:
    with database(tmp_path / "spill") as db:
        first = Examined(
            target=target("pacs", Role.PRIMARY), inventory=inventory(db, tmp_path / "first", [GONE]), absence_shows=True
        )
        save_known(opened(db, [first], nanoseconds(NOW)), first, tmp_path / "known.parquet")
        altered = GONE | {"sha256": digest("b")}
        case = purged_case(tmp_path, db, altered, "folder", altered)
        primary, *backups = case.stores
        case = opened(db, [replace(primary, known=tmp_path / "known.parquet"), *backups], case.started)
        judge(case)
        losses = find_losses(case).by_primary["pacs"]
        assert losses["changed_on_primary"].instances == 1
        assert losses["lost_from_primary"].instances == 0


def test_what_an_older_record_remembers_of_a_primary_is_still_known(tmp_path: Path) -> None:
    with database(tmp_path / "spill") as db:
        months = [[GONE, instance("1.2", 1), instance("1.3", 1)], [instance("1.2", 1), instance("1.3", 1)]]
        months += [months[1][:1]]
        before = None
        for month, held in enumerate(months):
            pacs, gone = inventory(db, tmp_path / f"{month}", held), tmp_path / f"{month}.parquet"
            remember(db, pacs, before, True, month, gone)
            of_before(db, pacs / "inventory.parquet", gone)
            before = Before(inventory=pacs, gone=gone, started=month)
        found = rows(db, f"select sop_instance_uid, gone_since from read_parquet('{gone}') order by 1")
        assert found == [("1.1.1", 1), ("1.3.1", 2)]
        # The case over it too: what lies in cold storage there was not told.
        case = opened(db, [Examined(target=target("pacs", Role.PRIMARY), inventory=pacs)], 0)
        assert rows(case.db, "select sop, archived from objects") == [("1.2.1", False)]


def test_what_was_purged_is_known_by_the_checksum_that_a_backup_reports(tmp_path: Path) -> None:
    with database(tmp_path / "spill") as db:
        purged = GONE | {"digests": "md5:00ff"}
        listed = {"key": b"copy", "size": GONE["size"], "digests": "md5:00ff"}
        save_rows(db, LISTING, [[listed.get(column) for column in LISTING]], tmp_path / "listing.parquet")
        before = Before(inventory=inventory(db, tmp_path / "before", [purged]), gone=None, started=0)
        pacs = inventory(db, tmp_path / "pacs", [instance("1.2", 1)])
        started = nanoseconds(NOW)
        remember(db, pacs, before, True, started, tmp_path / "gone.parquet")
        save_known(
            opened(db, [Examined(target=target("pacs", Role.PRIMARY), inventory=before.inventory)], 0),
            Examined(target=target("pacs", Role.PRIMARY), inventory=None),
            tmp_path / "known.parquet",
        )
        save_purged(db, tmp_path / "gone.parquet", tmp_path / "known.parquet", KEEPS, tmp_path / "purged")
        clear(db, parquet(tmp_path, "listing.parquet"), [pacs, tmp_path / "purged"], started)
        assert rows(db, "select key, sop_instance_uid, digest_source from reported") == [(b"copy", "1.1.1", "reported")]
