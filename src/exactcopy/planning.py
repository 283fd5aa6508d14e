"""What an audit would list, read and restore, how long that takes and what it costs: `audit --plan`."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from exactcopy import records
from exactcopy.checks.common import so_many
from exactcopy.config import Config
from exactcopy.costs import GB, read_back_cost
from exactcopy.errors import StoreUnavailable
from exactcopy.evidence import before, last_inventory, last_restore_hours, last_restored
from exactcopy.inventory.budget import Demand, egress_limit, kept_for_restores, limit_of, share_of_first
from exactcopy.inventory.database import database, parquet, row
from exactcopy.inventory.listing import Listing, list_store
from exactcopy.inventory.plan import HEAD_BYTES, Plan, foresee, plan_reads
from exactcopy.inventory.taking import Step
from exactcopy.model import LIMITS, NO_BUDGET, Budget, Cost, Problem, ReadPolicy, Target
from exactcopy.records import History
from exactcopy.sampling import ALL_UP_TO, PRESETS
from exactcopy.stores import PACS, pace, served
from exactcopy.stores.bounded import unhurried


@dataclass(frozen=True, slots=True)
class Forecast:
    """What reading takes: seconds, and US dollars of egress; None where nothing tells. And how many bytes that is."""

    seconds: float | None
    dollars: float | None
    size: int = 0


@dataclass(frozen=True, slots=True)
class Planned:
    """What an audit would do, in lines for a person, and the stores of which that could not be told."""

    lines: tuple[str, ...]
    unreached: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Listed:
    """A store that was listed: its last inventory, and those that it is matched against."""

    target: Target
    listing: Listing
    previous: Path | None
    primaries: list[Path]
    tells: bool

    @property
    def compared(self) -> bool:
        """Whether it is known what its checksums would be compared with, if it keeps any."""
        return self.target.read is not ReadPolicy.REPORTED or bool(self.primaries) or not self.tells


def plan_audit(config: Config, now: datetime, step: Step, budget: Budget = NO_BUDGET) -> Planned:
    """Return what an audit of `config` would do within `budget`. Nothing but listings is read, no record is written."""
    unreached: list[str] = []
    lines = tuple(_lines(config, now, step, budget, unreached))
    return Planned(lines, tuple(unreached))


def _lines(config: Config, now: datetime, step: Step, budget: Budget, unreached: list[str]) -> Iterator[str]:
    history = History(records.chain(config))
    forecasts = []
    with (
        records.locked(config),
        records.scratch(config) as work,
        served(config.stores) as stores,
        database(work / "spill") as db,
    ):
        found = [_list(db, target, work, history, step) for target in stores]
        listed = [each for each in found if isinstance(each, _Listed)]
        started = int(now.timestamp()) * 10**9
        shares = _Shares(db, listed, work, history, started, budget)
        for target, each in zip(stores, found, strict=True):
            if isinstance(each, StoreUnavailable):
                unreached.append(target.name)
                yield str(each)
                continue
            if not each.compared:
                unknown = Forecast(None, None)
                forecasts.append(unknown)
                compared = "its checksums are compared, and what does not match is read."
                yield f"{_there(target, each.listing)} {compared}{_hours(target, unknown)}"
                continue
            limit = limit_of(target, last_restored(history, target.name), shares.next_one(target))
            plan = plan_reads(db, target, work / target.name, each.previous, started, (), each.primaries, limit)
            forecast = _forecast(target, plan, history)
            shares.read(forecast.size)
            forecasts.append(forecast)
            yield (
                f"{_there(target, each.listing)} {_read(plan)}{_takes(target, plan, forecast)}.{_left(plan)}"
                f"{_by_few(each)}"
                f"{_hours(target, forecast)}"
            )
    yield from _restores(config, history)
    yield _total(forecasts)
    yield from _in_time(budget, forecasts, last_restore_hours(history))


def _list(
    db: DuckDBPyConnection, target: Target, work: Path, history: History, step: Step
) -> _Listed | StoreUnavailable:
    """List a store, or return why that could not be done."""
    try:
        step(f"Listing {target.name}", None, None)
        listing = list_store(db, target, work / target.name, partial(last_inventory, history))
    except StoreUnavailable as error:
        return error
    primaries = []
    for name in target.covers:
        if known := before(history, name):
            primaries += [known.inventory, *_purged(history, name)]
    previous = last_inventory(history, target, listing.safeguards.medium)
    return _Listed(target, listing, previous, primaries, _tells(db, target, work / target.name))


def _tells(db: DuckDBPyConnection, target: Target, work: Path) -> bool:
    """Say whether a store keeps checksums: rclone lists all that there are, others are asked for more."""
    listed = parquet(work, "listing-*.parquet")
    return target.kind != "rclone" or bool(row(db, f"select count(digests) from {listed}")[0])


class _Shares:
    """What each store in turn may read of what all have together."""

    def __init__(
        self,
        db: DuckDBPyConnection,
        listed: list[_Listed],
        work: Path,
        history: History,
        started: int,
        budget: Budget,
    ) -> None:
        """Foresee what each store will need."""
        self._left = budget.max_read
        self._demands: dict[str, Demand] = {}
        for each in listed if budget.max_read is not None else ():
            target = each.target
            own = limit_of(target, last_restored(history, target.name))
            by_age = foresee(db, target, work / target.name, each.previous, started, (), each.primaries)
            self._demands[target.name] = Demand(by_age, own.size if own else None)

    def next_one(self, target: Target) -> int | None:
        """Return the share of `target`, whose turn it is; None where there is no budget."""
        if self._left is None:
            return None
        share = share_of_first(self._left, list(self._demands.values()))
        del self._demands[target.name]
        return share

    def read(self, size: int) -> None:
        """Take what was read from what is left."""
        if self._left is not None:
            self._left -= size


def _purged(history: History, primary: str) -> list[Path]:
    """Return the inventory of what a primary had purged by the last record, if it purges."""
    record = next(history.holding(f"purged/{primary}"), None)
    return [record.restricted / "purged" / primary] if record else []


def _there(target: Target, listing: Listing) -> str:
    asked = f" ({listing.asked:,} were asked for their checksums, one by one)" if listing.asked else ""
    if target.kind in PACS:
        return f"{target.name}: {listing.objects:,} images there, of a size that shows when they are read;"
    return f"{target.name}: {so_many(listing.objects, 'file', 'files')}, {listing.bytes / GB:,.2f} GB there{asked};"


def _read(plan: Plan) -> str:
    begun = (
        f"; {plan.identified:,} are read at their beginning, and whole where that tells to" if plan.identified else ""
    )
    told = f"; {plan.reported:,} are known by the provider's checksums" if plan.reported else ""
    kept = f"; {plan.carried:,} files keep an earlier proof" if plan.carried else ""
    return f"{so_many(plan.objects, 'file', 'files')}, {plan.bytes / GB:,.2f} GB would be read{begun}{told}{kept}"


def _left(plan: Plan) -> str:
    """Say what a limit leaves, and which."""
    if not plan.left:
        return ""
    left = f" {so_many(plan.left, 'file', 'files')}, {plan.left_bytes / GB:,.2f} GB are left to the next audit"
    return f"{left} by {LIMITS[Problem(plan.left_as)]}: not checked until then."


def _by_few(store: _Listed) -> str:
    """Say by how many at once a store is read that lies on what is better read by few."""
    lies_on = store.listing.safeguards.lies_on
    if lies_on is None:
        return ""
    few = unhurried(store.target, lies_on).concurrency
    by = "the setting" if store.target.concurrency else "default"
    what = "a spinning disk" if lies_on == "spinning" else "a network share"
    return f" It lies on {what} and is read by {few or 0:,} at once at most ({by} of `concurrency`)."


def _forecast(target: Target, plan: Plan, history: History) -> Forecast:
    objects, size = plan.objects + plan.identified, plan.bytes + HEAD_BYTES * plan.identified
    if not objects:
        return Forecast(0.0, 0.0)
    rate, each = _rate(target, history), pace(target)
    rate = min(filter(None, (rate, target.max_rate)), default=None)
    # The slower of the two counts: bytes through the line, requests through what the provider allows.
    seconds = max(size / rate if rate else 0.0, objects / each if each else 0.0) or None
    dollars = (
        0.0
        if target.kind == "folder" or (target.kind in PACS and target.held_by == "us")
        else read_back_cost(target.cost or Cost(), size)
    )
    return Forecast(seconds, dollars, size)


def _takes(target: Target, plan: Plan, forecast: Forecast) -> str:
    if not plan.objects + plan.identified:
        return ""
    time = f", in about {_span(forecast.seconds)}" if forecast.seconds else ""
    if forecast.dollars is None:
        return f"{time}; what that costs is not known: name it by cost = {{ egress_per_gb = … }}"
    return time + (f", for about ${forecast.dollars:,.2f}" if forecast.dollars else "")


def _hours(target: Target, forecast: Forecast) -> str:
    """Say when it is examined, and of how many days it takes the window, as far as that is known."""
    window = target.window
    if window is None:
        return ""
    days = math.ceil((forecast.seconds or 0.0) / window.length().total_seconds())
    enough = f" Reading all of that takes the windows of {days:,} days: an audit on each." if days > 1 else ""
    return f" It is examined within its window only: {window}.{enough}"


def _rate(target: Target, history: History) -> float | None:
    """Return the bytes a second at which that one of the last twelve audits read this store that read most of it.

    What takes a second and reads a file tells nothing of a rate.
    """
    known = [
        (store["read_bytes"], float(store["read_rate"]))
        for record in history.records[:12]
        for store in record.audit["stores"]
        if store["name"] == target.name and store.get("read_rate")
    ]
    return max(known)[1] if known else None


def _restores(config: Config, history: History) -> Iterator[str]:
    preset = PRESETS[config.sample]
    yield (
        f"Restores: every study of a backup with up to {ALL_UP_TO} of them; of more, a sample ({config.sample}:"
        f" {preset.confidence:.0%} confidence, {preset.tolerable:.0%} tolerable)."
    )
    if config.recovery:
        cleanup = config.recovery.options.get("cleanup")
        after = "is removed again" if cleanup else "stays there: empty it before the next audit"
        yield f"What comes back is put into {config.recovery.name}, retrieved from there, and {after}."
    for backup in config.backups:
        if (egress := egress_limit(backup)) is not None:
            kept = kept_for_restores(egress, last_restored(history, backup.name))
            yield (
                f"{backup.name}: max_egress_cost allows ${backup.max_egress_cost:,.2f}: {egress / GB:,.2f} GB. Of"
                f" these, {kept / GB:,.2f} GB are kept for test restores. What would exceed it is not tested."
            )
    tests: list[dict[str, Any]] = history.last.audit["restore_tests"] if history.last else []
    for test in tests:
        cost = f", for ${test['egress_cost']:,.2f}" if test.get("egress_cost") else ""
        if test["bytes"]:
            yield f"{test['backup']}: the last test restore brought back {test['bytes'] / GB:,.2f} GB{cost}."


def _total(forecasts: list[Forecast]) -> str:
    """Say what all reading takes together, as far as it is known."""
    seconds = [forecast.seconds for forecast in forecasts if forecast.seconds is not None]
    dollars = [forecast.dollars for forecast in forecasts if forecast.dollars is not None]
    whole = len(seconds) == len(forecasts)
    if not whole and not any(seconds):
        time = "How long reading takes is known after the first audit"
    else:
        time = f"Reading takes {'about' if whole else 'at least'} {_span(sum(seconds))}"
    fees = sum(dollars)
    if len(dollars) < len(forecasts):
        return f"{time}. It costs {f'${fees:,.2f} and ' if fees else ''}what is not stated above."
    return f"{time}. It costs {f'about ${fees:,.2f}' if fees else 'no fees'}."


def _in_time(budget: Budget, forecasts: list[Forecast], restoring: float | None) -> Iterator[str]:
    """Say what the hours of an audit leave, as far as it is known how long reading takes."""
    if budget.max_hours is None:
        return
    kept = kept_for_restores(budget.max_hours, restoring)
    seconds = (budget.max_hours - kept) * 3600
    said = f"--max-hours {budget.max_hours:g}: of these, {_span(kept * 3600)} are kept for test restores"
    if any(forecast.seconds is None for forecast in forecasts):
        yield f"{said}. What is not read in the others is left to the next audit, which reads it first."
        return
    left = 0.0
    for forecast in forecasts:
        took = forecast.seconds or 0.0
        in_time = min(seconds, took)
        left += forecast.size * (1 - in_time / took) if took else 0.0
        seconds -= in_time
    if not left:
        yield f"{said}; all of the above is read in the others."
        return
    audits = math.ceil(sum(forecast.seconds or 0.0 for forecast in forecasts) / ((budget.max_hours - kept) * 3600))
    yield (
        f"{said}; about {left / GB:,.2f} GB are left to the next audits, which read it first: {audits:,} such audits"
        " read all of the above. What is not read counts as not checked."
    )


def _span(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:,.1f} minutes" if minutes < 120 else f"{minutes / 60:,.1f} hours"
