"""The straight line: list, plan, read, match, reconcile, restore, check, assess, record, report."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from time import monotonic

from duckdb import DuckDBPyConnection

from exactcopy import records
from exactcopy.config import Config
from exactcopy.decisions import Decisions
from exactcopy.digest import CONTENT, MD5
from exactcopy.errors import StoreUnavailable
from exactcopy.evidence import examined, failed_before, gather, last_differences, last_inventory, refusal_of
from exactcopy.inventory.database import database
from exactcopy.inventory.listing import list_store
from exactcopy.inventory.reported import asked_of_primaries
from exactcopy.inventory.taking import Advance, Inventory, Step, take_inventory
from exactcopy.model import Checksum, ReadPolicy, Role, Target
from exactcopy.pool import Pool
from exactcopy.reconcile.case import Case, open_case
from exactcopy.reconcile.differences import find_differences
from exactcopy.reconcile.facts import find_studies
from exactcopy.reconcile.outcomes import find_outcomes
from exactcopy.recording import Audited, record
from exactcopy.records import History, Run
from exactcopy.restore import Draw, draw_studies, frame_of, restore_drawn
from exactcopy.results import RestoreTest
from exactcopy.seal import open_key
from exactcopy.stores import PACS, modules, served


def run_audit(config: Config, decisions: Decisions, now: datetime, step: Step) -> Audited:
    """Audit everything in `config` and seal the record; an audit that was killed today is taken up again.

    Raises RunLocked while another audit runs. `step` tells a person how far it is.
    """
    records.check_group(config)
    if config.seal_key is not None:
        # One that does not open is told of before hours of reading.
        open_key(config)
    # The pool is entered twice. Its workers start first: they are forked, and must not hold the lock when this
    # process is gone. And they end first: what they write must not outlive the removal of scratch.
    with (
        Pool(modules=modules(config.stores)) as pool,
        records.locked(config),
        records.scratch(config) as scratch,
        served(config.stores) as reached,
        pool,
    ):
        run = Run(
            config=_with(config, reached),
            decisions=decisions,
            history=History(records.chain(config)),
            unfinished=records.begin(config, now),
        )
        begun = monotonic()
        with database(run.unfinished.work / "spill") as db:
            inventories = _take_inventories(db, pool, run, step)
            timing = {"read_seconds": round(monotonic() - begun, 3), "read_bytes": _read_bytes(inventories)}
            stores = [examined(item, run.history) for item in inventories]
            case = open_case(db, stores, _nanoseconds(run.unfinished.started))
            known = last_differences(run.history)
            find_differences(case, pool, known, _counter(step("Comparing what differs", None, None)))
            find_outcomes(case)
            find_studies(case)
            refusal = refusal_of(run, case)
            tests, draws = _test_restores(run, case, pool, scratch, None if refusal else run.config.recovery, step)
            # What was restored counts, and what came back wrong.
            find_studies(case)
            step("Writing the report", None, None)
            evidence = gather(run, case, inventories, draws, tests, refusal.code if refusal else None)
            warnings = [*filter(None, (item.message for item in inventories)), *([str(refusal)] if refusal else [])]
            return record(run, case, inventories, evidence, tests, timing, warnings)


def _with(config: Config, stores: Sequence[Target]) -> Config:
    """Return the configuration with its stores as they can be reached."""
    return replace(
        config,
        primaries=tuple(store for store in stores if store.role is Role.PRIMARY),
        backups=tuple(store for store in stores if store.role is Role.BACKUP),
    )


def _take_inventories(db: DuckDBPyConnection, pool: Pool, run: Run, step: Step) -> list[Inventory]:
    """Take the inventory of every store, primaries first: backups are matched against them.

    Backups that report checksums are listed before all: what a primary is read for depends on them. A PACS is not: it
    is asked about the studies of its primaries, and reports nothing but an MD5.
    """
    taken: list[Inventory] = []
    unfinished = run.unfinished
    for backup in run.config.backups:
        if backup.read is ReadPolicy.REPORTED and backup.kind not in PACS:
            step(f"Listing {backup.name}", None, None)
            # One that cannot be reached is told of in its turn.
            with suppress(StoreUnavailable):
                list_store(db, backup, unfinished.work / backup.name, partial(last_inventory, run.history))
    for target in run.config.stores:
        primaries = [
            item.folder
            for item in taken
            if item.folder
            and item.target.role is Role.PRIMARY
            and (target.role is Role.PRIMARY or item.target.name in target.covers)
        ]
        inventory = take_inventory(
            db,
            pool,
            target,
            unfinished.work / target.name,
            unfinished.restricted / "inventory" / target.name,
            partial(last_inventory, run.history),
            [folder for folder in primaries if target.role is Role.BACKUP],
            _asked(db, run, target),
            _nanoseconds(unfinished.started),
            step,
        )
        taken.append(inventory)
    return taken


def _asked(db: DuckDBPyConnection, run: Run, target: Target) -> tuple[Checksum, ...]:
    """Return the checksums beside SHA-256 that a store is read for.

    For a primary these are the ones that its backups report, as far as they could be listed. Where a PACS takes part,
    on either side, it is the digest of the content, too.
    """
    if target.role is Role.PRIMARY:
        compared = [backup for backup in run.config.backups if target.name in backup.covers]
        reported = _reported(db, run, target)
    else:
        compared = [primary for primary in run.config.primaries if primary.name in target.covers]
        reported = ()
    repackaged = any(store.kind in PACS for store in (target, *compared))
    return (*reported, CONTENT) if repackaged else reported


def _reported(db: DuckDBPyConnection, run: Run, primary: Target) -> tuple[Checksum, ...]:
    reporting = [
        backup for backup in run.config.backups if backup.read is ReadPolicy.REPORTED and primary.name in backup.covers
    ]
    folders = [run.unfinished.work / backup.name for backup in reporting if backup.kind not in PACS]
    asked = asked_of_primaries(db, [folder for folder in folders if (folder / "listing.json").exists()])
    if any(backup.kind in PACS for backup in reporting):
        asked = tuple(sorted({*asked, MD5}, key=str))
    return asked


def _test_restores(
    run: Run, case: Case, pool: Pool, scratch: Path, recovery: Target | None, step: Step
) -> tuple[list[RestoreTest], list[Draw]]:
    """Draw, write the draw down, then restore: nobody can choose again after seeing a failure."""
    previous = run.history.last
    draws = [
        draw_studies(
            case,
            backup,
            run.config.sample,
            previous.manifest_sha256 if previous else None,
            failed_before(case.db, run.history, backup.target.name),
        )
        for backup in case.backups
        if backup.inventory is not None
    ]
    for drawn in draws:
        # Its SHA-256 is the frame hash that the report prints: anybody who has it can draw again.
        frame = "".join(f"{study}\n" for study in frame_of(case, drawn.backup))
        (run.unfinished.restricted / f"frame-{drawn.backup.name}.txt").write_text(frame, encoding="utf-8")
    written = [{**asdict(drawn), "backup": drawn.backup.name} for drawn in draws]
    (run.unfinished.restricted / "draws.json").write_text(json.dumps(written, indent=1), encoding="utf-8")
    planned = sum(len(drawn.random) + len(drawn.certainty) for drawn in draws)
    tests = restore_drawn(case, pool, draws, scratch, recovery, _counter(step("Restoring studies", planned, None)))
    return tests, draws


def _read_bytes(inventories: Sequence[Inventory]) -> int:
    return sum(item.read_bytes for item in inventories)


def _counter(advance: Advance) -> Callable[[], None]:
    return lambda: advance(1, 0)


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000
