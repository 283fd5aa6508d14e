"""A recorded disposal explains what is gone with all of its study, and hides nothing of what is still there."""

import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from exactcopy.decisions import Disposal
from exactcopy.inventory.database import database, rows
from exactcopy.model import Role
from exactcopy.reconcile.case import Case, Examined
from exactcopy.reconcile.facts import find_studies
from exactcopy.reconcile.losses import find_disposed, find_losses, save_known
from exactcopy.reconcile.outcomes import find_outcomes
from exactcopy.reconcile.retention import STUDIES, save_studies
from exactcopy.results import Decision, Losses
from tests.reconcile.made import NOW, instance, inventory, nanoseconds, opened, target

STORES = ("pacs", "nas")
OLD, NEW = date(2012, 5, 1), date(2024, 5, 1)
SIGNED = Decision(by="Dana Reyes", title="Officer", on=NOW.date(), entered_by="dreyes", reason="Past retention.")
# A study of two images that were everywhere; where each is today, and whether its disposal is on record.
where = st.sets(st.sampled_from(STORES))
made = st.lists(st.tuples(where, where, st.sampled_from([OLD, NEW, None]), st.booleans()), min_size=6, max_size=12)


def a_case(folder: Path, held: dict[str, list[dict[str, object]]], known: Path | None, seen: Path | None) -> Case:
    db = database(folder / "spill")
    examined = [
        Examined(
            target=target(name, Role.PRIMARY if name == "pacs" else Role.BACKUP),
            inventory=inventory(db, folder / name, held[name]),
            known=known if name == "pacs" else None,
            known_from="2026-10-24T060000Z" if known and name == "pacs" else None,
            complete=True,
            absence_shows=True,
        )
        for name in STORES
    ]
    return opened(db, examined, nanoseconds(NOW), seen)


def judged(
    case: Case, disposals: list[Disposal], labels: dict[str, str]
) -> tuple[Losses, list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Give the losses, and what every study is on the backup."""
    case.db.execute("create table if not exists differences (primary_sha256 blob, backup_sha256 blob, outcome varchar,"
                    " elements varchar)")  # fmt: skip
    find_outcomes(case)
    find_studies(case)
    find_disposed(case, disposals, labels)
    losses = find_losses(case)
    return losses, rows(case.db, "select * from study_states order by all"), rows(case.db, "select * from losses")


@settings(deadline=None, max_examples=4)
@given(studies=made, before=st.booleans())
def test_a_disposal_explains_what_is_gone_and_changes_nothing_else(
    studies: list[tuple[set[str], set[str], date | None, bool]], before: bool
) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        then: dict[str, list[dict[str, object]]] = {name: [] for name in STORES}
        now: dict[str, list[dict[str, object]]] = {name: [] for name in STORES}
        for number, (first, second, dated, _) in enumerate(studies):
            for place, today in enumerate((first, second)):
                for name in STORES:
                    then[name].append(instance(f"1.{number}", place, dated=dated))
                    if name in today:
                        now[name].append(instance(f"1.{number}", place, dated=dated))
        earlier = a_case(folder / "then", then, None, None)
        save_known(earlier, earlier.primaries[0], folder / "pacs.parquet")
        save_studies(earlier, folder / STUDIES)
        case = a_case(folder / "now", now, folder / "pacs.parquet", folder / STUDIES)

        labels = {f"1.{number}": f"E-{number:04}" for number in range(len(studies))}
        named = frozenset(f"E-{number:04}" for number, (*_, disposed) in enumerate(studies) if disposed)
        disposals = [Disposal(decision=SIGNED, policy="P1", labels=named)]
        if before:
            disposals.append(Disposal(decision=SIGNED, policy="P1", before=date(2016, 1, 1), primary="pacs"))
        without, copies, _ = judged(case, [], labels)
        losses, same_copies, kinds = judged(case, disposals, labels)

        assert same_copies == copies, "what a study is on a backup is nothing that a disposal speaks of"
        gone = {f"1.{number}" for number, (first, second, *_) in enumerate(studies) if "pacs" not in first | second}
        explained = {
            f"1.{number}"
            for number, (*_, dated, disposed) in enumerate(studies)
            if disposed or (before and dated == OLD)
        }
        found = {study for _, study, _, kind in kinds if kind == "disposed"}
        assert found == gone & explained
        lost = ("gone_everywhere", "lost_from_primary", "no_sound_copy")
        assert sum(getattr(losses, kind).instances for kind in lost) + losses.disposed.instances == sum(
            getattr(without, kind).instances for kind in lost
        )
        assert losses.damaged_on_primary == without.damaged_on_primary
