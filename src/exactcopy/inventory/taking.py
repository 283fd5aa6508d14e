"""One store, from its listing to its finished inventory."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from exactcopy.errors import StoreUnavailable, no_room
from exactcopy.inventory.listing import Listing, list_store
from exactcopy.inventory.matching import Matched, match
from exactcopy.inventory.plan import HEAD_BYTES, Plan, plan_reads, plan_rest
from exactcopy.inventory.reading import Reading, read_planned
from exactcopy.model import Checksum, ReadPolicy, Role, Target
from exactcopy.pool import Pool

Advance = Callable[[int, int], None]
Previous = Callable[[Target, str | None], Path | None]
Step = Callable[[str, int | None, int | None], Advance]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """One store as it was found. `error` (a code) and `message` say why nothing could be said of it."""

    target: Target
    folder: Path | None = None
    listing: Listing | None = None
    plan: Plan | None = None
    matched: Matched | None = None
    error: str | None = None
    message: str | None = None


def take_inventory(
    db: DuckDBPyConnection,
    pool: Pool,
    target: Target,
    work: Path,
    into: Path,
    find_previous: Previous,
    primaries: Sequence[Path],
    asked: tuple[Checksum, ...],
    started: int,
    step: Step,
) -> Inventory:
    """List, plan, read and match `target`; `work` keeps what a killed audit need not do again.

    `find_previous` gives the last inventory of the medium that a listing found, if there is one. `primaries`
    are the inventories that a backup is matched against, `asked` the checksums that a primary is read for.
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
            listing = list_store(db, target, work)
            previous = find_previous(target, listing.safeguards.medium)
            plan = plan_reads(db, target, work, previous, started, asked, primaries)
            _read(
                db, pool, target, work, plan, primaries, Reading(target=target, started=started, checksums=asked), step
            )
            matched = match(db, work, into, previous, primaries)
            if target.role is Role.PRIMARY and not matched.images:
                # An archive without a single image is a wrong path, not an archive that needs no backup.
                shutil.rmtree(into)
                raise StoreUnavailable("no_instances", target.name, "no DICOM image was found", "Check `path`.")
            return Inventory(target=target, folder=into, listing=listing, plan=plan, matched=matched)
        except StoreUnavailable as error:
            return Inventory(target=target, error=error.code, message=str(error))
        except (duckdb.Error, ValueError) as error:
            if begun_anew or no_room(error):
                raise
            # What a power cut left of an earlier try cannot be read: begin this store anew, once.
            begun_anew = True
            shutil.rmtree(work, ignore_errors=True)


def _read(
    db: duckdb.DuckDBPyConnection,
    pool: Pool,
    target: Target,
    work: Path,
    plan: Plan,
    primaries: Sequence[Path],
    reading: Reading,
    step: Step,
) -> None:
    """Read what the plan says: whole, or the beginning and then whole what could be an instance of a primary."""
    if plan.objects or not plan.identified:
        progress = step(f"Reading {target.name}", plan.objects, plan.bytes)
        read_planned(db, pool, reading, work / "todo.parquet", "part", progress)
    if plan.identified:
        progress = step(f"Identifying in {target.name}", plan.identified, None)
        read_planned(db, pool, replace(reading, first_bytes=HEAD_BYTES), work / "heads.parquet", "head", progress)
        objects, size = plan_rest(db, target, work, primaries)
        progress = step(f"Reading what differs in {target.name}", objects, size)
        read_planned(db, pool, reading, work / "rest.parquet", "rest", progress)
