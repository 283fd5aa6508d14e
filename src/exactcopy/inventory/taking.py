"""One store, from its listing to its finished inventory."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

import duckdb
from duckdb import DuckDBPyConnection

from exactcopy.errors import StoreUnavailable, WindowClosed, no_room
from exactcopy.inventory.database import parquet, row
from exactcopy.inventory.doubt import ask_again, asked_again
from exactcopy.inventory.examining import Reading
from exactcopy.inventory.listing import Listing, Previous, list_store
from exactcopy.inventory.matching import Matched, match
from exactcopy.inventory.plan import HEAD_BYTES, Plan, bytes_read, plan_reads, plan_rest
from exactcopy.inventory.reading import read_planned
from exactcopy.model import Checksum, ReadPolicy, Role, Target
from exactcopy.pool import Workers
from exactcopy.tokens import Ledger

Advance = Callable[[int, int], None]
Step = Callable[[str, int | None, int | None], Advance]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """One store as it was found. `error` (a code) and `message` say why nothing could be said of it.

    Where its window closed before all was read, there is a `message` without an error.

    `read_bytes` are all that this audit read of it, `rate` the bytes a second that it gave, where it was read now.
    """

    target: Target
    folder: Path | None = None
    listing: Listing | None = None
    plan: Plan | None = None
    matched: Matched | None = None
    read_bytes: int = 0
    rate: float | None = None
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
) -> Inventory:
    """List, plan, read and match `target`; `work` keeps what a killed audit need not do again.

    `find_previous` gives the last inventory of the medium that a listing found, if there is one. `primaries`
    are the inventories that a backup is matched against, `asked` the checksums that the store is read for. `ledger`
    takes whose the images are, as tokens.
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
            plan = plan_reads(db, target, work, previous, started, asked, primaries)
            reading = Reading(target=target, started=started, ledger=ledger, checksums=asked)
            rate = _read(db, pool, target, work, plan, primaries, reading, step)
            matched = match(db, work, into, previous, primaries)
            ended = _ended(db, target, into)
            if target.role is Role.PRIMARY and not matched.images and ended:
                shutil.rmtree(into)
                return Inventory(target=target, error="outside_window", message=ended)
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


def _ended(db: DuckDBPyConnection, target: Target, into: Path) -> str | None:
    """Say that the window closed before all was read, and what to do; None where it did not."""
    (left,) = row(db, f"select count(*) from {parquet(into)} where problem = 'over_window'")
    if target.window is None or not left:
        return None
    return (
        f"{target.name}: its window {target.window} ended, and {left:,} of its files were not read. Audit again from"
        f" {target.window.begin:%H:%M} on: what was read is kept, and what was not comes first."
    )


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
        progress = step(f"Reading what differs in {target.name}", *plan_rest(db, target, work, primaries))
        size += read_planned(db, pool, reading, work / "rest.parquet", "rest", progress)
    return size / (monotonic() - begun) if size else None
