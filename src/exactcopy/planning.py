"""What an audit would list, read and restore, how long that takes and what it costs: `audit --plan`."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from exactcopy import records
from exactcopy.checks.common import so_many
from exactcopy.config import Config
from exactcopy.costs import GB, read_back_cost
from exactcopy.errors import StoreUnavailable
from exactcopy.evidence import last_inventory
from exactcopy.inventory.database import database
from exactcopy.inventory.listing import Listing, list_store
from exactcopy.inventory.plan import HEAD_BYTES, Plan, plan_reads
from exactcopy.inventory.taking import Step
from exactcopy.model import Cost, ReadPolicy, Role, Target
from exactcopy.records import History
from exactcopy.sampling import ALL_UP_TO, PRESETS
from exactcopy.stores import PACS, pace, served


@dataclass(frozen=True, slots=True)
class Forecast:
    """What reading takes: seconds, and US dollars of egress; None where nothing tells."""

    seconds: float | None
    dollars: float | None


@dataclass(frozen=True, slots=True)
class Planned:
    """What an audit would do, in lines for a person, and the stores of which that could not be told."""

    lines: tuple[str, ...]
    unreached: tuple[str, ...]


def plan_audit(config: Config, now: datetime, step: Step) -> Planned:
    """Return what an audit of `config` would do. Nothing but listings is read, no record is written."""
    unreached: list[str] = []
    lines = tuple(_lines(config, now, step, unreached))
    return Planned(lines, tuple(unreached))


def _lines(config: Config, now: datetime, step: Step, unreached: list[str]) -> Iterator[str]:
    history = History(records.chain(config))
    forecasts = []
    known = dict[str, list[Path]]()
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
                listing = list_store(db, target, folder, partial(last_inventory, history))
            except StoreUnavailable as error:
                unreached.append(target.name)
                yield str(error)
                continue
            previous = last_inventory(history, target, listing.safeguards.medium)
            primaries = [folder for name in target.covers for folder in known.get(name, ())]
            if target.role is Role.PRIMARY and previous:
                known[target.name] = [previous, *_purged(history, target.name)]
            if target.read is ReadPolicy.REPORTED and not primaries:
                unknown = Forecast(None, None)
                forecasts.append(unknown)
                compared = "its checksums are compared, and what does not match is read."
                yield f"{_there(target, listing)} {compared}{_hours(target, unknown)}"
                continue
            plan = plan_reads(db, target, folder, previous, int(now.timestamp()) * 10**9, (), primaries)
            forecast = _forecast(target, plan, history)
            forecasts.append(forecast)
            yield f"{_there(target, listing)} {_read(plan)}{_takes(target, plan, forecast)}.{_hours(target, forecast)}"
    yield from _restores(config, history)
    yield _total(forecasts)


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
    return Forecast(seconds, dollars)


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
    """Return the bytes a second at which the last audit that read this store did so."""
    for record in history.records:
        for store in record.audit["stores"]:
            if store["name"] == target.name and store.get("read_rate"):
                return float(store["read_rate"])
    return None


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


def _span(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:,.1f} minutes" if minutes < 120 else f"{minutes / 60:,.1f} hours"
