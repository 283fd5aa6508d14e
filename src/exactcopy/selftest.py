"""The self-test of each audit: made images with known faults go the way of every image, and each has to be found.

What passes here shows that this audit could see such faults, on this computer, today; it says nothing of any store.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb

from exactcopy.inventory.database import literal, rows, save_rows
from exactcopy.inventory.examining import Reading
from exactcopy.inventory.reading import Chunk, Listed, read_chunk
from exactcopy.inventory.schema import INVENTORY
from exactcopy.model import Copy, Role, Target
from exactcopy.planted import Plant, instance_uid, planted, study_uid
from exactcopy.pool import Died, Workers
from exactcopy.reconcile.alike import find_alike
from exactcopy.reconcile.case import Case, Examined, copy_of, open_case
from exactcopy.reconcile.differences import find_differences
from exactcopy.reconcile.facts import contents_of
from exactcopy.reconcile.outcomes import find_outcomes
from exactcopy.restore import Task, restore_study
from exactcopy.results import RestoreTest, SelfTest
from exactcopy.stores import open_store
from exactcopy.tokens import Ledger

_PRIMARY, _BACKUP = "made-primary", "made-backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the audit said of one made image."""

    outcome: str | None = None
    conflict: bool = False
    restored: str | None = None


def self_test(db: duckdb.DuckDBPyConnection, pool: Workers, scratch: Path, started: int) -> SelfTest | None:
    """Plant the faults in `scratch`, examine them as every image is examined, and say which were found.

    What it leaves in the database is replaced by the audit that follows. None where it could not be made: the disk was
    full, or the database failed.
    """
    plants = planted()
    place = scratch / "self-test"
    try:
        _make(place, plants)
        said = _examine(db, pool, place, plants, started)
    except (OSError, duckdb.Error):
        return None
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return judge(plants, said)


def judge(plants: Sequence[Plant], said: Mapping[int, Said]) -> SelfTest:
    """Hold what the audit said against what was planted; of what nothing was said, the fault was missed."""
    wrong = [
        plant
        for number, plant in enumerate(plants)
        if said.get(number) != Said(outcome=plant.outcome.value, conflict=plant.conflict, restored=plant.restores)
    ]
    faults = sum(not plant.sound for plant in plants)
    missed = tuple(plant.what for plant in wrong if not plant.sound)
    return SelfTest(
        planted=faults,
        found=faults - len(missed),
        missed=missed,
        sound=len(plants) - faults,
        alarms=tuple(plant.what for plant in wrong if plant.sound),
    )


def _make(place: Path, plants: Sequence[Plant]) -> None:
    for store in (_PRIMARY, _BACKUP):
        (place / store).mkdir(mode=0o700, parents=True)
    for number, plant in enumerate(plants):
        (place / _PRIMARY / f"{number}").write_bytes(plant.primary)
        if plant.backup is not None:
            (place / _BACKUP / f"{number}").write_bytes(plant.backup)
        if plant.besides is not None:
            (place / _BACKUP / f"{number}-besides").write_bytes(plant.besides)


def _examine(
    db: duckdb.DuckDBPyConnection, pool: Workers, place: Path, plants: Sequence[Plant], started: int
) -> dict[int, Said]:
    primary, backup = _target(place, _PRIMARY, Role.PRIMARY), _target(place, _BACKUP, Role.BACKUP)
    chunks = [Chunk(number, *_listed(target, place, started)) for number, target in enumerate((primary, backup))]
    found = []
    for chunk, read in pool.map(read_chunk, chunks):
        target = chunk.reading.target
        folder = place / f"{target.name}-inventory"
        save_rows(db, INVENTORY, [] if isinstance(read, Died) else read.rows, folder / "inventory.parquet")
        found.append(Examined(target=target, inventory=folder, complete=True, absence_shows=True))
    case = open_case(db, found, started)
    find_alike(case)
    find_differences(case, pool, None, lambda: None)
    find_outcomes(case)
    for number, plant in enumerate(plants):
        if plant.later is not None:
            (place / _BACKUP / f"{number}").write_bytes(plant.later)
    outcomes = dict(rows(db, "select sop, outcome from outcomes"))
    conflicts = {sop for (sop,) in rows(db, f"select sop from ({contents_of(_BACKUP)}) where contents > 1")}
    restored = {test.study_instance_uid: test.outcome for test in _restore(case, pool, place, plants)}
    return {
        number: Said(
            outcome=outcomes.get(instance_uid(number)),
            conflict=instance_uid(number) in conflicts,
            restored=restored.get(study_uid(number)),
        )
        for number in range(len(plants))
    }


def _listed(target: Target, place: Path, started: int) -> tuple[Reading, tuple[Listed, ...]]:
    with open_store(target) as store:
        copies = [item for part in store.partitions() for item in store.listing(part) if isinstance(item, Copy)]
    nothing = (None, None, None, None, None)
    listed = tuple((copy.key, copy.size, copy.modified, copy.inode, *nothing) for copy in copies)
    # Nobody is the patient of a made image: what names them is held against nothing.
    ledger = Ledger(folder=place)
    return Reading(target=target, started=started, ledger=ledger), listed


def _restore(case: Case, pool: Workers, place: Path, plants: Sequence[Plant]) -> list[RestoreTest]:
    """Restore the images of which a plant says what has to come of it."""
    wanted = {study_uid(number) for number, plant in enumerate(plants) if plant.restores}
    [backup] = case.backups
    copies = rows(case.db, f"select study, objects, sha256 from objects where store = {literal(_BACKUP)}")
    scratch = place / "restored"
    scratch.mkdir(mode=0o700)
    tasks = [
        Task(backup.target, scratch, study, False, ((copy_of(copy), sha256, None),))
        for study, copy, sha256 in copies
        if study in wanted
    ]
    return [result for _, result in pool.map(restore_study, tasks) if not isinstance(result, Died)]


def _target(place: Path, name: str, role: Role) -> Target:
    return Target(
        name=name,
        role=role,
        kind="folder",
        identity=name,
        options={"path": place / name},
        covers=(_PRIMARY,) if role is Role.BACKUP else (),
        rpo=timedelta(),
    )
