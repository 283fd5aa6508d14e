"""The straight line: list, plan, read, match, reconcile, restore, check, assess, record, report."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from duckdb import DuckDBPyConnection

from exactcopy import records
from exactcopy.assess import AGREEMENT, assess, citations, conclude, load_controls
from exactcopy.checks import run_checks
from exactcopy.config import Config
from exactcopy.decisions import Decisions, attestation
from exactcopy.errors import ExactCopyError, StoreUnavailable
from exactcopy.inventory.database import database, literal, save
from exactcopy.inventory.listing import list_store
from exactcopy.inventory.plan import plan_reads
from exactcopy.inventory.taking import Advance, Inventory, Step, take_inventory
from exactcopy.model import Attestation, Evidence, Finding, RestoreTest, Role, StoreFacts, Target
from exactcopy.pool import Pool
from exactcopy.reconcile.affected import find_affected, gap_rows, labelled_studies, write_worklists
from exactcopy.reconcile.case import Case, Examined, open_case
from exactcopy.reconcile.differences import find_differences
from exactcopy.reconcile.facts import LastKnown, compare_facts, find_studies, store_facts
from exactcopy.reconcile.losses import find_losses, save_known
from exactcopy.reconcile.outcomes import find_outcomes
from exactcopy.records import History, Record, Unfinished, shown_key
from exactcopy.records.document import Document, write_document
from exactcopy.restore import FAILED, Draw, draw_studies, frame_of, read_tests, restore_drawn, summarize, write_tests
from exactcopy.sampling import ALL_UP_TO, PRESETS


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What an audit leaves: its record, and what a person should hear besides."""

    record: Record
    warnings: tuple[str, ...]


def run_audit(config: Config, decisions: Decisions, now: datetime, step: Step) -> Audited:
    """Audit everything in `config` and seal the record; an audit that was killed today is taken up again.

    Raises RunLocked while another audit runs. `step` tells a person how far it is.
    """
    # The workers start first: they are forked, and must not hold the lock when this process is gone.
    records.check_group(config)
    with Pool() as pool, records.locked(config), records.scratch(config) as scratch:
        history = History(records.chain(config))
        unfinished = records.begin(config, now)
        begun = monotonic()
        with database(unfinished.work / "spill") as db:
            inventories = _take_inventories(db, pool, config, unfinished, history, step)
            read_seconds = monotonic() - begun
            case = open_case(db, [_examined(item, history) for item in inventories], _nanoseconds(unfinished.started))
            find_differences(case, pool, _counter(step("Comparing what differs", None, None)))
            find_outcomes(case)
            find_studies(case)
            tests, draws = _test_restores(case, pool, config, unfinished, history, scratch, step)
            step("Writing the report", None, None)
            evidence = _evidence(case, config, decisions, history, inventories, draws, tests)
            timing = {"read_seconds": round(read_seconds, 3), "read_bytes": _read_bytes(inventories)}
            return _record(case, config, decisions, unfinished, history, inventories, evidence, tests, timing)


def plan_audit(config: Config, now: datetime, step: Step) -> Iterator[str]:
    """Yield what an audit of `config` would list, read and restore, and for how long. No record is written."""
    history = History(records.chain(config))
    timing = history.last.audit["timing"] if history.last else {}
    rate = timing["read_bytes"] / timing["read_seconds"] if timing.get("read_seconds") else 0.0
    total = 0
    with records.locked(config), records.scratch(config) as work, database(work / "spill") as db:
        for target in config.stores:
            folder = work / target.name
            try:
                step(f"Listing {target.name}", None, None)
                listing = list_store(db, target, folder)
                plan = plan_reads(
                    db, target, folder, last_inventory(history, target, listing.medium), _nanoseconds(now)
                )
            except StoreUnavailable as error:
                yield str(error)
                continue
            total += plan.bytes
            kept = f"; {plan.carried:,} files keep an earlier proof" if plan.carried else ""
            yield (
                f"{target.name}: {listing.objects:,} files, {listing.bytes / 1e9:,.2f} GB there;"
                f" {plan.objects:,} files, {plan.bytes / 1e9:,.2f} GB would be read{kept}."
            )
    preset = PRESETS[config.sample]
    yield (
        f"Restores: every study of a backup with up to {ALL_UP_TO} of them; of more, a sample ({config.sample}:"
        f" {preset.confidence:.0%} confidence, {preset.tolerable:.0%} tolerable)."
    )
    if rate:
        yield f"Reading takes about {total / rate / 60:,.1f} minutes at the rate of the last audit. It costs no fees."
    else:
        yield f"Reading {total / 1e9:,.2f} GB: how long it takes is known after the first audit. It costs no fees."


def _take_inventories(
    db: DuckDBPyConnection, pool: Pool, config: Config, unfinished: Unfinished, history: History, step: Step
) -> list[Inventory]:
    """Take the inventory of every store, primaries first: backups are matched against them."""
    taken: list[Inventory] = []
    for target in config.stores:
        primaries = [item.folder for item in taken if item.folder and item.target.role is Role.PRIMARY]
        inventory = take_inventory(
            db,
            pool,
            target,
            unfinished.work / target.name,
            unfinished.restricted / "inventory" / target.name,
            partial(last_inventory, history),
            [folder for folder in primaries if target.role is Role.BACKUP],
            _nanoseconds(unfinished.started),
            step,
        )
        taken.append(inventory)
    return taken


def last_inventory(history: History, target: Target, medium: str | None) -> Path | None:
    """Return the last inventory of this very store on this very medium; of a medium that shows no name, none."""
    for record in history.holding(f"inventory/{target.name}"):
        stores = json.loads((record.restricted / "stores.json").read_text(encoding="utf-8"))
        same = stores.get(target.name) == {"identity": target.identity, "medium": medium}
        return record.restricted / "inventory" / target.name if same and medium else None
    return None


def _examined(item: Inventory, history: History) -> Examined:
    name = item.target.name
    whole = item.listing is not None and not item.listing.gaps
    matched = item.matched
    known = next(history.holding(f"known/{name}.parquet"), None)
    previous = next(history.holding(f"inventory/{name}"), None)
    hidden = matched is not None and matched.outside > 0 and item.target.role is Role.PRIMARY
    return Examined(
        target=item.target,
        inventory=item.folder,
        previous=previous.restricted / "inventory" / name if previous else None,
        known=known.restricted / "known" / f"{name}.parquet" if known else None,
        known_from=known.id if known else None,
        complete=whole and matched is not None and not matched.unread and not hidden,
        absence_shows=whole and matched is not None and not matched.nameless and not hidden,
    )


def _test_restores(
    case: Case,
    pool: Pool,
    config: Config,
    unfinished: Unfinished,
    history: History,
    scratch: Path,
    step: Step,
) -> tuple[list[RestoreTest], list[Draw]]:
    """Draw, write the draw down, then restore: nobody can choose again after seeing a failure."""
    previous = history.last
    draws = [
        draw_studies(
            case,
            backup,
            config.sample,
            previous.manifest_sha256 if previous else None,
            _failed_before(case.db, history, backup.target.name),
        )
        for backup in case.backups
        if backup.inventory is not None
    ]
    for drawn in draws:
        # Its SHA-256 is the frame hash that the report prints: anybody who has it can draw again.
        frame = "".join(f"{study}\n" for study in frame_of(case, drawn.backup))
        (unfinished.restricted / f"frame-{drawn.backup.name}.txt").write_text(frame, encoding="utf-8")
    written = [{**asdict(drawn), "backup": drawn.backup.name} for drawn in draws]
    (unfinished.restricted / "draws.json").write_text(json.dumps(written, indent=1), encoding="utf-8")
    planned = sum(len(drawn.random) + len(drawn.certainty) for drawn in draws)
    tests = restore_drawn(case, pool, draws, scratch, _counter(step("Restoring studies", planned, None)))
    return tests, draws


def _evidence(
    case: Case,
    config: Config,
    decisions: Decisions,
    history: History,
    inventories: Sequence[Inventory],
    draws: Sequence[Draw],
    tests: Sequence[RestoreTest],
) -> Evidence:
    last = {item.target.name: _last_known(history, item.target.name) for item in inventories}
    stores = tuple(
        store_facts(case, examined, item.listing, item.error, last[item.target.name])
        for examined, item in zip(case.stores, inventories, strict=True)
    )
    tolerated, overdue = _absent_drives(case, stores)
    today = datetime.fromtimestamp(case.started / 1e9, UTC)
    return Evidence(
        started=today,
        first=history.last is None,
        rto_hours=config.rto.total_seconds() / 3600,
        due_days={severity.value: days for severity, days in config.due.items()},
        security_official=config.security_official,
        it=config.it,
        stores=stores,
        comparisons=tuple(compare_facts(case, p, b, last[b.target.name]) for p, b in case.pairs()),
        losses=find_losses(case),
        restores=tuple(summarize(case, drawn, tests) for drawn in draws),
        agreements=frozenset(
            store.held_by.casefold()
            for store in stores
            if attestation(decisions, AGREEMENT, today.date(), store.held_by)
        ),
        previous=history.last.id if history.last else None,
        left_out_stores=_left_out(case, history),
        tolerated=tolerated,
        overdue_drives=overdue,
        days_since_restore=_days_since_restore(history, today),
    )


def _absent_drives(case: Case, stores: Sequence[StoreFacts]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the rotated drives that may be absent today, and those that are overdue, with days since seen."""
    others = {store.name for store in stores if store.role is Role.BACKUP and store.error is None}
    tolerated: dict[str, int] = {}
    overdue: dict[str, int] = {}
    now = datetime.fromtimestamp(case.started / 1e9, UTC)
    for backup, facts in zip(case.stores, stores, strict=True):
        allowed: timedelta | None = backup.target.options.get("max_absent")
        if facts.error != "drive_absent" or allowed is None or facts.last_examined is None:
            continue
        absent = now - datetime.fromisoformat(facts.last_examined)
        covered = [primary for primary in case.primaries if primary.target.name in backup.target.covers]
        if absent > allowed:
            overdue[facts.name] = absent.days
        elif absent >= timedelta() and all(
            any(other.target.name in others for other in case.covering(primary)) for primary in covered
        ):
            tolerated[facts.name] = absent.days
    return tolerated, overdue


def _left_out(case: Case, history: History) -> tuple[str, ...]:
    """Return the stores of the last record that are no longer configured."""
    now = {store.target.name for store in case.stores}
    before = [store["name"] for store in history.last.audit["stores"]] if history.last else []
    return tuple(name for name in before if name not in now)


def _record(
    case: Case,
    config: Config,
    decisions: Decisions,
    unfinished: Unfinished,
    history: History,
    inventories: Sequence[Inventory],
    evidence: Evidence,
    tests: Sequence[RestoreTest],
    timing: Mapping[str, float],
) -> Audited:
    previous = history.last
    controls = load_controls()
    checked = run_checks(evidence, lambda finding: _remembered(finding, history, unfinished))
    deciding = frozenset(name for control in controls if control.decides for name in control.checks)
    findings = sorted(
        (item.result for item in checked if isinstance(item.result, Finding)),
        key=lambda finding: (finding.severity.rank, finding.check not in deciding, -finding.count, finding.id),
    )
    complete = _complete(evidence)
    concluded = conclude(findings, controls, evidence, complete)
    gaps, highest_label = _write_restricted(case, config, unfinished, history, inventories, findings, tests)
    folder = unfinished.folder
    from exactcopy.report import write_gaps

    write_gaps(gaps, folder / "gaps.csv")
    write_document(
        folder / "audit.json",
        config,
        unfinished,
        previous,
        Document(
            evidence=evidence,
            findings=findings,
            assessments=assess(checked, controls, decisions, evidence),
            attestations=_current(decisions, evidence),
            checks=[(item.check, item.target, item.result) for item in checked],
            citations=citations(controls),
            deciding=deciding,
            conclusion=concluded.conclusion,
            headline=concluded.headline,
            complete=concluded.complete,
            finished=datetime.now(UTC).replace(microsecond=0),
            decisions_sha256=decisions.digest,
            restricted_manifest_sha256=records.seal_restricted(unfinished),
            gaps_rows=len(gaps),
            highest_label=highest_label,
            timing=timing,
        ),
    )
    warnings = [item.message for item in inventories if item.message]
    if previous and previous.restricted.exists() and not history.intact(previous):
        warnings.append(
            f"{previous.id}: restricted/ is not what its manifest says, so nothing was compared with it. Put it back"
            " from a copy; until then losses since that record do not show."
        )
    warnings += _write_reports(folder)
    return Audited(record=records.seal(config, unfinished, previous), warnings=tuple(warnings))


def _complete(evidence: Evidence) -> bool:
    """Whether all that was planned was examined; a drive that may be absent is left aside."""
    known = all(
        not comparison.instances["unknown"] and not comparison.instances["unverified"]
        for comparison in evidence.comparisons
        if comparison.backup not in evidence.tolerated
    )
    tested = all(not test.not_tested and not test.certainty["not_tested"] for test in evidence.restores)
    return known and tested and all(store.complete or store.name in evidence.tolerated for store in evidence.stores)


def _write_restricted(
    case: Case,
    config: Config,
    unfinished: Unfinished,
    history: History,
    inventories: Sequence[Inventory],
    findings: Sequence[Finding],
    tests: Sequence[RestoreTest],
) -> tuple[list[dict[str, Any]], int]:
    """Write everything that names a patient's study, all under restricted/.

    Return the rows of gaps.csv and the highest label that was ever given.
    """
    folder = unfinished.restricted
    find_affected(case, findings, tests)
    keyed = next(history.holding("key.json"), None)
    before = records.read_labels(keyed.restricted) if keyed else {}
    highest = max((record.audit["evidence"]["highest_label"] for record in history.records), default=0)
    labels = records.add_labels(before, labelled_studies(case, tests), highest)
    records.write_labels(folder, labels)
    write_worklists(case, findings, labels, folder)
    for primary in case.primaries:
        save_known(case, primary, folder / "known" / f"{primary.target.name}.parquet")
    for primary, backup in case.pairs():
        save(
            case.db,
            f"""select * from outcomes where primary_store = {literal(primary.target.name)}
                and backup = {literal(backup.target.name)} and outcome <> 'identical'""",
            folder / "comparison" / f"{primary.target.name}--{backup.target.name}.parquet",
        )
    write_tests(case.db, folder / "restores.parquet", tests)
    examined = (item for item in inventories if item.listing)
    stores = {
        item.target.name: {"identity": item.target.identity, "medium": item.listing.medium if item.listing else None}
        for item in examined
    }
    (folder / "stores.json").write_text(json.dumps(stores, indent=1), encoding="utf-8")
    if config.decisions.is_file():
        shutil.copyfile(config.decisions, folder / "decisions.toml")
    _write_errors(case, inventories, folder / "errors.log")
    return list(gap_rows(case, findings, labels)), max([highest, *(int(label[2:]) for label in labels.values())])


def _write_errors(case: Case, inventories: Sequence[Inventory], path: Path) -> None:
    """Name each place that could not be listed or read, and each damaged object, for IT."""
    with path.open("w", encoding="utf-8") as log:
        for item in inventories:
            if item.message:
                log.write(f"{item.message}\n")
            for key, reason in item.listing.gaps if item.listing else ():
                log.write(f"{item.target.name}\t{reason}\tnot listed\t{key}\n")
        found = case.db.cursor().execute(
            "select store, problem, key from objects where unread or damaged order by store, key"
        )
        while batch := found.fetchmany(1000):
            log.writelines(f"{store}\t{problem}\tobject\t{shown_key(key)}\n" for store, problem, key in batch)


def _write_reports(folder: Path) -> list[str]:
    """Write what may travel; where the PDF cannot be made the printable HTML stands in, and a person is told."""
    from exactcopy import report

    record = report.load_record(folder)
    report.render(record, ("html", "junit"), folder)
    try:
        report.render(record, ("pdf",), folder)
    except ExactCopyError as error:
        return [f"{error} The report is in report.html, which can be printed."]
    except Exception as error:  # noqa: BLE001 - hours of reading must not be lost to a page that cannot be drawn
        (folder / "report.pdf").unlink(missing_ok=True)
        return [f"report.pdf: it could not be drawn ({type(error).__name__}). Print report.html instead."]
    return []


def _remembered(finding: Finding, history: History, unfinished: Unfinished) -> Finding:
    """Return the finding with when it was first seen, and how often in a row.

    A month in which its check could not be asked neither ends nor lengthens the row.
    """
    for record in history.records:
        seen = next((before for before in record.audit["findings"] if before["id"] == finding.id), None)
        if seen is not None:
            return replace(
                finding,
                first_seen=seen["first_seen"],
                times_seen=seen["times_seen"] + 1,
                # The day by which it was to be mended does not move because it was not.
                due=date.fromisoformat(seen["due"]) if seen["due"] else finding.due,
            )
        asked = (check for check in record.audit["checks"] if check["target"] == finding.target)
        if any(check["check"] == finding.check and check["status"] != "not_checked" for check in asked):
            break
    return replace(finding, first_seen=unfinished.started.isoformat())


def _current(decisions: Decisions, evidence: Evidence) -> list[Attestation]:
    """Return the attestations that hold today, the newest of each control and party."""
    today = evidence.started.date()
    stated = {(one.control, one.party) for one in decisions.attestations}
    found = (attestation(decisions, control, today, party) for control, party in sorted(stated, key=str))
    return [one for one in found if one is not None]


def _days_since_restore(history: History, started: datetime) -> dict[str, int]:
    """Return, for each backup, how many days ago the last record restored a study from it."""
    days: dict[str, int] = {}
    for record in reversed(history.records):
        age = started - datetime.fromisoformat(record.audit["audit"]["started"])
        days |= {test["backup"]: age.days for test in record.audit["restore_tests"] if test["restored"]}
    return days


def _last_known(history: History, name: str) -> LastKnown:
    """Return what the last record that examined the store said of it."""
    for record in history.records:
        store = next((store for store in record.audit["stores"] if store["name"] == name), None)
        if store and store["error"] is None:
            studies = {
                comparison["primary"]: {
                    "id": record.id,
                    "finished": record.audit["audit"]["finished"],
                    "studies": comparison["studies"],
                }
                for comparison in record.audit["comparisons"]
                if comparison["backup"] == name
            }
            return LastKnown(finished=store["last_examined"], studies=studies)
    return LastKnown()


def _failed_before(db: DuckDBPyConnection, history: History, backup: str) -> list[str]:
    """Return the studies whose restore from `backup` failed in the last record."""
    record = next(history.holding("restores.parquet"), None)
    if record is None:
        return []
    tests = read_tests(db, record.restricted / "restores.parquet")
    return [test.study_instance_uid for test in tests if test.backup == backup and test.outcome == FAILED]


def _read_bytes(inventories: Sequence[Inventory]) -> int:
    return sum(item.plan.bytes for item in inventories if item.plan)


def _counter(advance: Advance) -> Callable[[], None]:
    return lambda: advance(1, 0)


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000
