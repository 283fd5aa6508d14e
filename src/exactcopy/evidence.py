"""What the checks may look at: today's facts, beside what earlier records say of the same stores."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from exactcopy import records
from exactcopy.assess import addressable, load_controls
from exactcopy.decisions import AGREEMENT, Decisions, attestation
from exactcopy.decisions.apply import assign
from exactcopy.errors import StoreUnavailable
from exactcopy.inventory.database import literal, parquet, row
from exactcopy.inventory.remembered import Before
from exactcopy.inventory.taking import Inventory
from exactcopy.model import NEVER_OPENED, Problem, Role, Severity, Target
from exactcopy.reconcile.case import Case, Examined
from exactcopy.reconcile.changes import find_changes
from exactcopy.reconcile.facts import LastKnown, compare_facts, store_facts
from exactcopy.reconcile.losses import find_disposed, find_losses
from exactcopy.reconcile.purged import find_purged
from exactcopy.reconcile.retention import STUDIES, find_absent
from exactcopy.records import History, Record, Run
from exactcopy.records.document import method
from exactcopy.recovery import clean_up, tell_apart
from exactcopy.restore import FAILED, Draw, read_tests, summarize
from exactcopy.results import Action, Decision, Evidence, MassChange, RestoreTest, SelfTest, StoreFacts
from exactcopy.stores.hosts import way_to
from exactcopy.upkeep import place_of, upkeep

_YEAR = timedelta(days=366)


def gather(
    run: Run,
    case: Case,
    inventories: Sequence[Inventory],
    draws: Sequence[Draw],
    tests: Sequence[RestoreTest],
    refused: str | None,
    self_test: SelfTest | None,
) -> Evidence:
    """Return the evidence of this audit; `refused` is why nothing was put into the recovery PACS."""
    config, history = run.config, run.history
    disposed = find_disposed(case, run.decisions.disposals, history.labels())
    find_purged(case)
    last = {item.target.name: _last_known(history, item.target.name) for item in inventories}
    stores = tuple(
        replace(store_facts(case, examined, item, last[item.target.name]), **_known(case.db, item))
        for examined, item in zip(case.stores, inventories, strict=True)
    )
    tolerated, overdue = _absent_drives(case, stores)
    today = datetime.fromtimestamp(case.started / 1e9, UTC)
    controls = load_controls()
    return Evidence(
        started=today,
        budget=run.budget,
        first=history.last is None,
        rto_hours=config.rto.total_seconds() / 3600,
        due_days={severity.value: days for severity, days in config.due.items()},
        security_official=config.security_official,
        it=config.it,
        stores=stores,
        comparisons=tuple(compare_facts(case, p, b, last[b.target.name]) for p, b in case.pairs()),
        losses=find_losses(case),
        retention=find_absent(case, config.retention, disposed),
        restores=tuple(summarize(case, drawn, tests, config.recovery, refused) for drawn in draws),
        agreements=_agreements(run, today.date()),
        previous=history.last.id if history.last else None,
        left_out_stores=_left_out(run, case),
        tolerated=tolerated,
        overdue_drives=overdue,
        recovery=config.recovery,
        way_to_recovery=way_to(config.recovery) if config.recovery else None,
        days_between_restores=_days_between_restores(case, history, today),
        upkeep=upkeep(config, history, today),
        records_at=place_of(config.records),
        anchor_at=place_of(config.anchor) if config.anchor else None,
        self_test=self_test,
        mass_change=_mass_change(case, inventories, stores, history),
        anchor_away=config.anchor is not None and not config.anchor.exists(),
        actions=tuple(_actions(run, history.last)) if history.last else (),
        reviewed=_reviewed(run.decisions, history.last) if history.last else None,
        addressable=addressable(controls),
        stated=frozenset(
            check
            for control in controls
            if attestation(run.decisions, control.id, today.date())
            for check in control.checks
        ),
    )


def _known(db: DuckDBPyConnection, item: Inventory) -> dict[str, Any]:
    """Return how the files of a store are known and read, and when the one was read that was read longest ago."""
    if item.folder is None:
        return {}
    never = ", ".join(literal(problem) for problem in sorted({*NEVER_OPENED, Problem.DELETED}))
    read, earlier, reported, rest, oldest = row(
        db,
        f"""select count(*) filter (digest_source = 'read'), count(*) filter (digest_source = 'carried'),
            count(*) filter (digest_source = 'reported'), count(*) filter (digest_source is null),
            min(read_at) filter (digest_source in ('read', 'carried'))
            from {parquet(item.folder)} where problem is null or problem not in ({never})""",
    )
    at = None if oldest is None else datetime.fromtimestamp(oldest / 1e9, UTC).isoformat()
    lies_on = item.listing.safeguards.lies_on if item.listing else None
    known = {"this_run": read, "earlier": earlier, "reported": reported, "not_known": rest}
    return {"known": known, "oldest_read_at": at, "lies_on": lies_on, "readers": item.readers}


def _mass_change(
    case: Case, inventories: Sequence[Inventory], facts: Sequence[StoreFacts], history: History
) -> dict[str, MassChange]:
    """Return what changed at once in each store.

    A primary without an image is not examined; where the last record of the same place saw some, all of them went,
    unless it purges what is old.
    """
    compared = {
        store.target.name: next((each for each in history.records if each.id == store.previous_from), None)
        for store in case.stores
    }
    before = {name: _said_of(name, record) for name, record in compared.items() if record}
    found = find_changes(case, facts, {name: store["instances"] for name, store in before.items()})
    for item in inventories:
        target, record = item.target, compared[item.target.name]
        if item.error != "no_instances" or record is None or target.keeps is not None:
            continue
        store = before[target.name]
        if store["instances"] and _lay(target.name, record).get("identity") == target.identity:
            found[target.name] = MassChange(
                compared_with=record.id,
                known=store["instances"],
                changed=0,
                gone=store["instances"],
                studies=store["studies"],
            )
    return found


def _said_of(name: str, record: Record) -> Mapping[str, Any]:
    """Return what a record says of a store that it examined."""
    called = record.withheld.get(name, name)
    return next(store for store in record.audit["stores"] if store["name"] == called)


def _lay(name: str, record: Record) -> Mapping[str, Any]:
    """Return where a store lay when a record was made: its identity and medium."""
    stores = json.loads((record.restricted / "stores.json").read_text(encoding="utf-8"))
    return stores.get(name) or {}


def _actions(run: Run, last: Record) -> Iterator[Action]:
    """Yield what the last record left to be done, but about stores that were disposed of.

    A record of an earlier version names its findings only.
    """
    audit, retired = last.audit, _retired(run)
    found = ({**each, "cause": None} for each in audit["findings"] if each["severity"] != Severity.INFO)
    for each in audit.get("corrective_actions", found):
        severity, due = Severity(each["severity"]), each["due"] and date.fromisoformat(each["due"])
        named = {field.name: each[field.name] for field in fields(Action)}
        if each["target"] not in retired:
            yield assign(Action(**{**named, "severity": severity, "due": due}), run.decisions)


def _reviewed(decisions: Decisions, last: Record) -> Decision | None:
    """Return the last review that names the last record, and the hash of its audit.json or its manifest as it is."""
    hashes = (records.digest(last.folder / "audit.json"), last.manifest_sha256)
    found = [each.decision for each in decisions.reviews if each.record == last.id and each.sha256 in hashes]
    return found[-1] if found else None


def _retired(run: Run) -> set[str]:
    """Return the stores that are no longer configured, and whose disposal is on record."""
    configured = {target.name for target in run.config.stores}
    return {each.store for each in run.decisions.disposals if each.store is not None} - configured


def refusal_of(run: Run, case: Case) -> StoreUnavailable | None:
    """Say why no test restore may be put into the recovery PACS; None where it may, or where there is none.

    Nothing is sent to somebody without an agreement on record (45 CFR 164.308(b)(1), (3)), and never to a store.
    """
    recovery = run.config.recovery
    if recovery is None:
        return None
    if recovery.held_by != "us" and recovery.held_by.casefold() not in _agreements(run, run.unfinished.started.date()):
        return StoreUnavailable(
            "no_agreement",
            recovery.name,
            f"no agreement with {recovery.held_by} is on record, so nothing was put there",
            f'Record it: `exactcopy attest EC-BA-01 "…" --party "{recovery.held_by}"`.',
        )
    # Else what a killed test left would make the PACS look like a store that has just these studies.
    clean_up(recovery, run.config.state)
    try:
        tell_apart(recovery, case)
    except StoreUnavailable as error:
        return error
    return None


def _agreements(run: Run, today: date) -> frozenset[str]:
    """Return the holders of images with whom an agreement is on record today, in small letters."""
    holders = {target.held_by for target in (*run.config.stores, *filter(None, [run.config.recovery]))}
    return frozenset(holder.casefold() for holder in holders if attestation(run.decisions, AGREEMENT, today, holder))


def examined(item: Inventory, history: History) -> Examined:
    """Return a store as it was found, beside what records hold of it."""
    name = item.target.name
    whole = item.listing is not None and not item.listing.gaps
    matched = item.matched
    known = next(history.holding(f"known/{name}.parquet"), None)
    previous = _before(item, history)
    hidden = matched is not None and matched.outside > 0 and item.target.role is Role.PRIMARY
    return Examined(
        target=item.target,
        inventory=item.folder,
        previous=previous.restricted / "inventory" / name if previous else None,
        previous_from=previous.id if previous else None,
        known=known.restricted / "known" / f"{name}.parquet" if known else None,
        known_from=known.id if known else None,
        complete=whole and matched is not None and not matched.unread and not hidden,
        absence_shows=whole and matched is not None and not matched.nameless and not hidden,
    )


def before(history: History, name: str) -> Before | None:
    """Return what the last record that examined a primary knew of it."""
    record = next(history.holding(f"inventory/{name}"), None)
    if record is None:
        return None
    gone = record.restricted / "gone" / f"{name}.parquet"
    began = datetime.fromisoformat(record.audit["audit"]["started"])
    return Before(
        inventory=record.restricted / "inventory" / name,
        gone=gone if gone.exists() else None,
        started=int(began.timestamp()) * 10**9,
    )


def _before(item: Inventory, history: History) -> Record | None:
    """Return the last record that holds an inventory of a store; of drives that take turns, of the one there."""
    name = item.target.name
    for record in history.holding(f"inventory/{name}"):
        if not item.target.options.get("volumes") or item.listing is None:
            return record
        if _lay(name, record).get("medium") == item.listing.safeguards.medium:
            return record
    return None


def last_inventory(history: History, target: Target, medium: str | None) -> Path | None:
    """Return the last inventory of this very store on this very medium; of a medium that shows no name, none."""
    for record in history.holding(f"inventory/{target.name}"):
        same = _lay(target.name, record) == {"identity": target.identity, "medium": medium}
        return record.restricted / "inventory" / target.name if same and medium else None
    return None


def last_differences(history: History) -> tuple[Path | None, bool]:
    """Return what the last record found of pairs of contents, and whether the same program compared them."""
    record = next(history.holding("differences.parquet"), None)
    if record is None:
        return None, False
    return record.restricted / "differences.parquet", method().items() <= record.audit["audit"].items()


def seen_studies(history: History) -> Path | None:
    """Return the file of the studies that any record saw; a record of an older version has none."""
    record = next(history.holding(STUDIES), None)
    return record.restricted / STUDIES if record else None


def last_restored(history: History, backup: str) -> int | None:
    """Return how many bytes the last test restore from a backup brought back; None where there was none."""
    for record in history.records:
        called = record.withheld.get(backup, backup)
        for test in record.audit["restore_tests"]:
            if test["backup"] == called and test["bytes"]:
                return int(test["bytes"])
    return None


def last_restore_hours(history: History) -> float | None:
    """Return how many hours the test restores of the last audit took that made some; None where there was none."""
    took = (record.audit["timing"].get("restore_seconds") for record in history.records)
    return next((seconds / 3600 for seconds in took if seconds), None)


def failed_before(db: DuckDBPyConnection, history: History, backup: str) -> list[str]:
    """Return the studies whose restore from `backup` failed in the last record."""
    record = next(history.holding("restores.parquet"), None)
    if record is None:
        return []
    tests = read_tests(db, record.restricted / "restores.parquet")
    return [test.study_instance_uid for test in tests if test.backup == backup and test.outcome == FAILED]


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


def _left_out(run: Run, case: Case) -> tuple[str, ...]:
    """Return the stores of any record that are no longer configured and were not disposed of."""
    known = {store.target.name for store in case.stores} | _retired(run)
    for record in run.history.records:
        # A name that held patient data was to be changed.
        known |= {each["shown"] for each in record.audit.get("self_scan", {}).get("withheld", ())}
    before = {store["name"]: None for record in run.history.records for store in record.audit["stores"]}
    return tuple(name for name in before if name not in known)


def _days_between_restores(case: Case, history: History, started: datetime) -> dict[str, tuple[int, ...]]:
    """Return, for each backup, the days from one record that restored a study from it to the next, from today back."""
    days: dict[str, tuple[int, ...]] = {}
    for backup in case.backups:
        name = backup.target.name
        tested = [started] + [
            datetime.fromisoformat(record.audit["audit"]["started"])
            for record in history.records
            if any(
                test["backup"] == record.withheld.get(name, name) and test["restored"]
                for test in record.audit["restore_tests"]
            )
        ]
        days[name] = tuple((one - other).days for one, other in pairwise(tested) if started - one < _YEAR)
    return days


def _last_known(history: History, name: str) -> LastKnown:
    """Return what the last record that examined the store said of it."""
    for record in history.records:
        called = record.withheld.get(name, name)
        store = next((store for store in record.audit["stores"] if store["name"] == called), None)
        if store and store["error"] is None:
            named = {shown: text for text, shown in record.withheld.items()}
            studies = {
                named.get(comparison["primary"], comparison["primary"]): {
                    "id": record.id,
                    "finished": record.audit["audit"]["finished"],
                    "studies": comparison["studies"],
                }
                for comparison in record.audit["comparisons"]
                if comparison["backup"] == called
            }
            return LastKnown(finished=store["last_examined"], studies=studies)
    return LastKnown()
