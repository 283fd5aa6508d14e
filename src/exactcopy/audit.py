"""The straight line: list, plan, read, match, reconcile, restore, check, assess, record, report."""

import json
from collections.abc import Callable, Iterator, Sequence
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
from exactcopy.errors import StoreUnavailable
from exactcopy.evidence import examined, failed_before, gather, last_inventory
from exactcopy.inventory.database import database
from exactcopy.inventory.listing import list_store
from exactcopy.inventory.plan import plan_reads
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
from exactcopy.sampling import ALL_UP_TO, PRESETS
from exactcopy.stores import served


def run_audit(config: Config, decisions: Decisions, now: datetime, step: Step) -> Audited:
    """Audit everything in `config` and seal the record; an audit that was killed today is taken up again.

    Raises RunLocked while another audit runs. `step` tells a person how far it is.
    """
    records.check_group(config)
    # The pool is entered twice. Its workers start first: they are forked, and must not hold the lock when this
    # process is gone. And they end first: what they write must not outlive the removal of scratch.
    with (
        Pool() as pool,
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
            find_differences(case, pool, _counter(step("Comparing what differs", None, None)))
            find_outcomes(case)
            find_studies(case)
            tests, draws = _test_restores(run, case, pool, scratch, step)
            # What was restored counts, and what came back wrong.
            find_studies(case)
            step("Writing the report", None, None)
            evidence = gather(run, case, inventories, draws, tests)
            return record(run, case, inventories, evidence, tests, timing)


def plan_audit(config: Config, now: datetime, step: Step) -> Iterator[str]:
    """Yield what an audit of `config` would list, read and restore, and for how long. No record is written."""
    history = History(records.chain(config))
    timing = history.last.audit["timing"] if history.last else {}
    rate = timing["read_bytes"] / timing["read_seconds"] if timing.get("read_seconds") else 0.0
    total = 0
    known: dict[str, Path] = {}
    with (
        records.locked(config),
        records.scratch(config) as work,
        served(config.stores) as stores,
        database(work / "spill") as db,
    ):
        for target in stores:
            folder = work / target.name
            try:
                step(f"Listing {target.name}", None, None)
                listing = list_store(db, target, folder)
            except StoreUnavailable as error:
                yield str(error)
                continue
            previous = last_inventory(history, target, listing.safeguards.medium)
            there = f"{target.name}: {listing.objects:,} files, {listing.bytes / 1e9:,.2f} GB there;"
            primaries = [known[name] for name in target.covers if name in known]
            if target.role is Role.PRIMARY and previous:
                known[target.name] = previous
            if target.read is ReadPolicy.REPORTED and not primaries:
                yield f"{there} its checksums are compared, and what does not match is read."
                continue
            plan = plan_reads(db, target, folder, previous, _nanoseconds(now), (), primaries)
            total += plan.bytes
            kept = f"; {plan.carried:,} files keep an earlier proof" if plan.carried else ""
            told = f"; {plan.reported:,} are known by the provider's checksums" if plan.reported else ""
            begun = f"; {plan.identified:,} are read at their beginning" if plan.identified else ""
            yield f"{there} {plan.objects:,} files, {plan.bytes / 1e9:,.2f} GB would be read{begun}{told}{kept}."
    preset = PRESETS[config.sample]
    yield (
        f"Restores: every study of a backup with up to {ALL_UP_TO} of them; of more, a sample ({config.sample}:"
        f" {preset.confidence:.0%} confidence, {preset.tolerable:.0%} tolerable)."
    )
    if rate:
        yield f"Reading takes about {total / rate / 60:,.1f} minutes at the rate of the last audit. It costs no fees."
    else:
        yield f"Reading {total / 1e9:,.2f} GB: how long it takes is known after the first audit. It costs no fees."


def _with(config: Config, stores: Sequence[Target]) -> Config:
    """Return the configuration with its stores as they can be reached."""
    return replace(
        config,
        primaries=tuple(store for store in stores if store.role is Role.PRIMARY),
        backups=tuple(store for store in stores if store.role is Role.BACKUP),
    )


def _take_inventories(db: DuckDBPyConnection, pool: Pool, run: Run, step: Step) -> list[Inventory]:
    """Take the inventory of every store, primaries first: backups are matched against them.

    Backups that report checksums are listed before all: what a primary is read for depends on them.
    """
    taken: list[Inventory] = []
    unfinished = run.unfinished
    for backup in run.config.backups:
        if backup.read is ReadPolicy.REPORTED:
            step(f"Listing {backup.name}", None, None)
            # One that cannot be reached is told of in its turn.
            with suppress(StoreUnavailable):
                list_store(db, backup, unfinished.work / backup.name)
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
            _asked(db, run, target) if target.role is Role.PRIMARY else (),
            _nanoseconds(unfinished.started),
            step,
        )
        taken.append(inventory)
    return taken


def _asked(db: DuckDBPyConnection, run: Run, primary: Target) -> tuple[Checksum, ...]:
    """Return the checksums that the backups of `primary` report, as far as they could be listed."""
    folders = [
        run.unfinished.work / backup.name
        for backup in run.config.backups
        if backup.read is ReadPolicy.REPORTED and primary.name in backup.covers
    ]
    return asked_of_primaries(db, [folder for folder in folders if (folder / "listing.json").exists()])


def _test_restores(run: Run, case: Case, pool: Pool, scratch: Path, step: Step) -> tuple[list[RestoreTest], list[Draw]]:
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
    tests = restore_drawn(case, pool, draws, scratch, _counter(step("Restoring studies", planned, None)))
    return tests, draws


def _read_bytes(inventories: Sequence[Inventory]) -> int:
    return sum(item.plan.bytes for item in inventories if item.plan)


def _counter(advance: Advance) -> Callable[[], None]:
    return lambda: advance(1, 0)


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000
