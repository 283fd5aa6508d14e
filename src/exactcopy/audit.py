"""The straight line: list, plan, read, match, reconcile, restore, check, assess, record, report."""

import json
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from time import monotonic

from exactcopy import records
from exactcopy.comparing import Compared, compare, counter, nanoseconds, opened
from exactcopy.config import Config
from exactcopy.decisions import Decisions
from exactcopy.evidence import failed_before, gather, last_restore_hours, refusal_of
from exactcopy.hours import Hours
from exactcopy.inventory.budget import kept_for_restores
from exactcopy.inventory.database import database
from exactcopy.inventory.taking import Step
from exactcopy.model import NO_BUDGET, Budget, Target
from exactcopy.pool import Workers
from exactcopy.reconcile.facts import find_studies
from exactcopy.recording import Audited, record, write_index
from exactcopy.records import History, Run
from exactcopy.restore import Draw, draw_studies, frame_of, restore_drawn
from exactcopy.results import RestoreTest
from exactcopy.seal import open_key
from exactcopy.selfscan import Scan, outside, withheld_before
from exactcopy.selftest import self_test


def run_audit(config: Config, decisions: Decisions, now: datetime, step: Step, budget: Budget = NO_BUDGET) -> Audited:
    """Audit everything in `config` and seal the record; an audit that was killed today is taken up again.

    It ends in time and whole where the `budget` is met: what is left then is not checked. Raises RunLocked while
    another audit runs. `step` tells a person how far it is.
    """
    records.check_group(config)
    if config.seal_key is not None:
        # One that does not open is told of before hours of reading.
        open_key(config)
    with opened(config) as (reached, pool, scratch):
        run = Run(
            config=reached,
            decisions=decisions,
            history=History(records.chain(config)),
            unfinished=records.begin(config, now),
            budget=budget,
        )
        hours = Hours(run.unfinished.root / "seconds")
        step = hours.counting(step)
        run, until = _in_time(run, hours)
        # Else an audit that is killed would not be listed before another one ends well.
        write_index(run.config, run.history.records)
        with database(run.unfinished.work / "spill") as db:
            tested = self_test(db, pool, scratch, nanoseconds(run.unfinished.started))
            compared = compare(db, pool, run, step)
            case, inventories = compared.case, compared.inventories
            refusal = refusal_of(run, case)
            begun = monotonic()
            recovery = None if refusal else run.config.recovery
            tests, draws = _test_restores(run, compared, pool, scratch, recovery, until, step)
            restore_seconds = round(monotonic() - begun, 3)
            # What was restored counts, and what came back wrong.
            find_studies(case)
            step("Writing the report", None, None)
            gathered = gather(run, case, inventories, draws, tests, refusal.code if refusal else None, tested)
            scan = Scan(
                case,
                compared.ledger,
                list(outside(run.config, decisions, gathered.stores)),
                withheld_before(run.history),
            )
            evidence = replace(gathered, self_scan=scan.facts)
            timing = {
                "read_seconds": compared.read_seconds,
                "read_bytes": sum(item.read_bytes for item in inventories),
                "restore_seconds": restore_seconds,
            }
            warnings = [*filter(None, (item.message for item in inventories)), *([str(refusal)] if refusal else [])]
            return record(run, case, inventories, evidence, tests, timing, warnings, scan)


def _in_time(run: Run, hours: Hours) -> tuple[Run, datetime | None]:
    """Return the run with its stores read in time for the test restores, and the moment at which its hours are over."""
    given = run.budget.max_hours
    if given is None:
        return run, None
    until = hours.until(given - kept_for_restores(given, last_restore_hours(run.history)))
    config = replace(
        run.config,
        primaries=tuple(replace(store, until=until) for store in run.config.primaries),
        backups=tuple(replace(store, until=until) for store in run.config.backups),
    )
    return replace(run, config=config), hours.until(given)


def _test_restores(
    run: Run,
    compared: Compared,
    pool: Workers,
    scratch: Path,
    recovery: Target | None,
    until: datetime | None,
    step: Step,
) -> tuple[list[RestoreTest], list[Draw]]:
    """Draw, write the draw down, then restore: nobody can choose again after seeing a failure."""
    case = compared.case
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
    draws = [replace(drawn, backup=replace(drawn.backup, until=until)) for drawn in draws]
    progress = counter(step("Restoring studies", planned, None))
    return restore_drawn(case, pool, draws, scratch, recovery, progress, compared.restorable), draws
