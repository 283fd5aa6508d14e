"""One store, from its listing to its finished inventory."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from time import monotonic

import duckdb
from duckdb import DuckDBPyConnection

from exactcopy.errors import StoreUnavailable, WindowClosed, no_room
from exactcopy.inventory.budget import Limit
from exactcopy.inventory.database import parquet, rows
from exactcopy.inventory.deleted import find_deleted, find_missed
from exactcopy.inventory.doubt import ask_again, asked_again
from exactcopy.inventory.examining import Reading
from exactcopy.inventory.listing import Listing, Previous, list_store
from exactcopy.inventory.matching import Matched, match
from exactcopy.inventory.plan import HEAD_BYTES, Plan, bytes_read, plan_reads, plan_rest
from exactcopy.inventory.reading import read_planned
from exactcopy.model import Checksum, Problem, ReadPolicy, Role, Target
from exactcopy.pool import Workers
from exactcopy.stores import KEEP_DELETED
from exactcopy.stores.bounded import readers, unhurried
from exactcopy.tokens import Ledger

# The code of a store of which nothing was read, for such a reason.
_NOTHING_READ = {
    Problem.OVER_WINDOW: "outside_window",
    Problem.OVER_TIME: "out_of_time",
    Problem.OUT_OF_REACH: "unreachable",
    Problem.OVER_TOTAL: "over_budget",
    Problem.OVER_COST: "over_budget",
    Problem.OVER_BUDGET: "over_budget",
}

Advance = Callable[[int, int], None]
Step = Callable[[str, int | None, int | None], Advance]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """One store as it was found. `error` (a code) and `message` say why nothing could be said of it.

    Where its time was over before all was read, there is a `message` without an error.

    `read_bytes` are all that this audit read of it, `rate` the bytes a second that it gave, where it was read now, by
    so many `readers` at once.
    """

    target: Target
    folder: Path | None = None
    listing: Listing | None = None
    plan: Plan | None = None
    matched: Matched | None = None
    read_bytes: int = 0
    rate: float | None = None
    readers: int | None = None
    error: str | None = None
    message: str | None = None


def take_inventory(
    db: DuckDBPyConnection,
    pool: Workers,
    target: Target,
    work: Path,
    into: Path,
    find_previous: Previous,
    primaries: Sequence[Path],
    asked: tuple[Checksum, ...],
    started: int,
    ledger: Ledger,
    step: Step,
    limit: Limit | None = None,
) -> Inventory:
    """List, plan, read and match `target`; `work` keeps what a killed audit need not do again.

    `find_previous` gives the last inventory of the medium that a listing found, if there is one. `primaries`
    are the inventories that a backup is matched against, `asked` the checksums that the store is read for. No
    more is read than the `limit` allows. `ledger` takes whose the images are, as tokens.
    """
    begun_anew = False
    while True:
        try:
            if target.read is ReadPolicy.REPORTED and not primaries:
                # Else all of it would be downloaded, to be compared with nothing.
                raise StoreUnavailable(
                    "not_compared", target.name, "no primary that it covers could be examined", "Mend that first."
                )
            step(f"Listing {target.name}", None, None)
            listing = list_store(db, target, work, find_previous, primaries)
            previous = find_previous(target, listing.safeguards.medium)
            if target.read is ReadPolicy.REPORTED and not (work / "plan.json").exists():
                step(f"Comparing checksums of {target.name}", None, None)
                # What it was not asked about is read, or is left for the next audit.
                with suppress(WindowClosed):
                    ask_again(db, target, work, primaries)
            listing = replace(listing, asked=listing.asked + asked_again(db, work))
            lies_on = listing.safeguards.lies_on
            in_order = lies_on == "spinning"
            plan = plan_reads(db, target, work, previous, started, asked, primaries, limit, in_order=in_order)
            reading = Reading(target=unhurried(target, lies_on), started=started, ledger=ledger, checksums=asked)
            rate = _read(db, pool, target, work, plan, primaries, reading, step)
            matched = match(db, work, into, previous, primaries)
            sources = [*([previous] if previous else []), *primaries]
            # On a first audit times of files may be those of the day on which an archive was copied together.
            due = started - target.rpo // timedelta(microseconds=1) * 1000 if previous else started
            if target.kind in KEEP_DELETED and find_missed(db, into, sources, due, started):
                step(f"Looking for what was deleted on {target.name}", None, None)
                # What is missed is missing, whether or not it could be brought back.
                with suppress(StoreUnavailable):
                    find_deleted(db, target, work, into, sources, started)
            left, ended = _left(db, into), None
            if left is not None:
                ended = f"{target.name}: {_ended(target, *left)}"
                if target.role is Role.PRIMARY and not matched.images:
                    shutil.rmtree(into)
                    return Inventory(target=target, error=_NOTHING_READ[left[0]], message=ended)
            if target.role is Role.PRIMARY and not matched.images:
                # An archive without a single image is a wrong path, not an archive that needs no backup.
                shutil.rmtree(into)
                raise StoreUnavailable("no_instances", target.name, "no DICOM image was found", "Check `path`.")
            return Inventory(
                target=target,
                folder=into,
                listing=listing,
                plan=plan,
                matched=matched,
                read_bytes=bytes_read(db, work),
                rate=rate,
                readers=readers(reading.target, pool.workers),
                message=ended,
            )
        except StoreUnavailable as error:
            return Inventory(target=target, error=error.code, message=str(error))
        except (duckdb.Error, ValueError) as error:
            if begun_anew or no_room(error):
                raise
            # What a power cut left of an earlier try cannot be read: begin this store anew, once.
            begun_anew = True
            shutil.rmtree(work, ignore_errors=True)


def _left(db: DuckDBPyConnection, into: Path) -> tuple[Problem, int] | None:
    """Return why objects of an inventory were left unread, though they could be read, and how many."""
    counts = dict(rows(db, f"select problem, count(*) from {parquet(into)} where problem is not null group by problem"))
    found = [(problem, counts[problem]) for problem in _NOTHING_READ if counts.get(problem)]
    return (found[0][0], sum(count for _, count in found)) if found else None


def _ended(target: Target, why: Problem, left: int) -> str:
    """Say that not all was read, why, and what to do."""
    comes_first = "what was read is kept, and what was not comes first"
    unread = f"{left:,} of its files {'was' if left == 1 else 'were'} not read"
    match why:
        case Problem.OVER_WINDOW if target.window:
            return (
                f"its window {target.window} ended, and {unread}. Audit again from {target.window.begin:%H:%M} on:"
                f" {comes_first}."
            )
        case Problem.OVER_TIME:
            return f"the hours of --max-hours were over, and {unread}. Audit again: {comes_first}."
        case Problem.OUT_OF_REACH:
            return (
                f"it no longer answered while it was read, and {unread}."
                f" Find out why with `exactcopy check`, then audit again: {comes_first}."
            )
        case Problem.OVER_TOTAL:
            return f"{unread}, for no more was left of --max-read. Audit again: {comes_first}."
        case Problem.OVER_COST:
            return f"{unread}, so as not to cost more than max_egress_cost. Audit again: {comes_first}."
        case _:
            return f"{unread}, for its max_read allows no more. Audit again: {comes_first}."


def _read(
    db: duckdb.DuckDBPyConnection,
    pool: Workers,
    target: Target,
    work: Path,
    plan: Plan,
    primaries: Sequence[Path],
    reading: Reading,
    step: Step,
) -> float | None:
    """Read what the plan says: whole, or the beginning and then whole what could be an instance of a primary.

    Return at how many bytes a second it went, or None where nothing was left to read.
    """
    begun, size = monotonic(), 0
    if plan.objects or not plan.identified:
        progress = step(f"Reading {target.name}", plan.objects, plan.bytes)
        size += read_planned(db, pool, reading, work / "todo.parquet", "part", progress)
    if plan.identified:
        progress = step(f"Identifying in {target.name}", plan.identified, None)
        beginnings = replace(reading, first_bytes=HEAD_BYTES)
        size += read_planned(db, pool, beginnings, work / "heads.parquet", "head", progress)
        progress = step(f"Reading what differs in {target.name}", *plan_rest(db, plan, work, primaries))
        size += read_planned(db, pool, reading, work / "rest.parquet", "rest", progress)
    return size / (monotonic() - begun) if size else None
