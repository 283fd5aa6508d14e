"""List, plan, read, match, reconcile: the part of the straight line that an audit and a drift check have in common."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from time import monotonic

from duckdb import DuckDBPyConnection

from exactcopy import records
from exactcopy.cluster import Cluster
from exactcopy.config import Config
from exactcopy.dicom.quiet import pydicom_quietly
from exactcopy.digest import CONTENT, MD5
from exactcopy.errors import StoreUnavailable
from exactcopy.evidence import before, examined, last_differences, last_inventory, last_restored, seen_studies
from exactcopy.inventory.budget import Demand, egress_limit, limit_of, share_of_first
from exactcopy.inventory.listing import list_store, listed_bytes
from exactcopy.inventory.plan import bytes_read, foresee, foresee_unlisted
from exactcopy.inventory.remembered import remember, save_purged
from exactcopy.inventory.reported import asked_of_primaries
from exactcopy.inventory.taking import Advance, Inventory, Step, take_inventory
from exactcopy.model import Checksum, ReadPolicy, Role, Target
from exactcopy.pool import Died, Pool, Result, Task, Workers
from exactcopy.reconcile.alike import find_alike
from exactcopy.reconcile.case import Case, open_case
from exactcopy.reconcile.differences import Pair, find_differences
from exactcopy.reconcile.facts import find_extras, find_studies
from exactcopy.reconcile.outcomes import find_outcomes
from exactcopy.records import Run
from exactcopy.stores import PACS, import_kinds, served
from exactcopy.tokens import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What the stores held, and what came of comparing it."""

    case: Case
    inventories: tuple[Inventory, ...]
    ledger: Ledger
    read_seconds: float
    # How many bytes a test restore may bring back from a backup, where that is limited.
    restorable: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Sparing:
    """Workers that are not given two contents to compare where that would cost too much; these stay unverified.

    `left` is how many bytes may still be read of a backup, and counts down.
    """

    pool: Workers
    left: dict[str, int]

    @property
    def workers(self) -> int:
        """How many tasks are worked on at once."""
        return self.pool.workers

    @property
    def elsewhere(self) -> bool:
        """Whether they may be on other computers than this one."""
        return self.pool.elsewhere

    def map(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        seconds: int | None = None,
        at_once: int | None = None,
    ) -> Iterator[tuple[Task, Result | Died]]:
        """Yield the results of those tasks that may be done."""
        return self.pool.map(function, filter(self._affords, tasks), seconds, at_once)

    def _affords(self, task: object) -> bool:
        if not isinstance(task, Pair) or task.backup.name not in self.left:
            return True
        rest = self.left[task.backup.name] - task.backup_copy.size
        if rest < 0:
            return False
        self.left[task.backup.name] = rest
        return True


@contextmanager
def opened(config: Config) -> Iterator[tuple[Config, Workers, Path]]:
    """Give `config` with its stores as they can be reached, workers, and an empty scratch folder.

    Raises RunLocked while another run of the same configuration is under way, and WorkersUnavailable where the
    configuration names a cluster that cannot be used.
    """
    prepare = partial(_prepare, {store.kind for store in config.stores})
    if config.workers:
        # Each worker reaches the stores by itself: neither a password nor a program of this computer is any use there.
        with (
            records.locked(config),
            records.scratch(config) as scratch,
            Cluster(config.workers, scratch, prepare) as cluster,
        ):
            yield config, cluster, scratch
        return
    # The pool is entered twice. Its workers start first: they are forked, and must not hold the lock when this
    # process is gone. And they end first: what they write must not outlive the removal of scratch.
    with (
        Pool(prepare=prepare) as pool,
        records.locked(config),
        records.scratch(config) as scratch,
        served(config.stores) as reached,
        pool,
    ):
        yield _with(config, reached), pool, scratch


def compare(db: DuckDBPyConnection, pool: Workers, run: Run, step: Step) -> Compared:
    """Take the inventory of every store, and find what every instance of a primary is on every backup."""
    begun = monotonic()
    ledger = Ledger(folder=records.scratch_folder(run.config) / "tokens")
    inventories, purged = _take_inventories(db, pool, run, ledger, step)
    seconds = round(monotonic() - begun, 3)
    stores = [replace(examined(item, run.history), purged=purged.get(item.target.name)) for item in inventories]
    case = open_case(
        db, stores, nanoseconds(run.unfinished.started), seen_studies(run.history), run.unfinished.work / "compared"
    )
    find_alike(case, pool)
    known, same = last_differences(run.history)
    restorable = {
        item.target.name: egress - item.read_bytes
        for item in inventories
        if (egress := egress_limit(item.target)) is not None
    }
    find_differences(
        case, _Sparing(pool, restorable), known, counter(step("Comparing what differs", None, None)), same=same
    )
    find_outcomes(case)
    find_studies(case)
    find_extras(case)
    return Compared(
        case=case,
        inventories=tuple(inventories),
        ledger=ledger,
        read_seconds=seconds,
        restorable=restorable,
    )


def counter(advance: Advance) -> Callable[[], None]:
    """Return what advances a step by one, with nothing read."""
    return lambda: advance(1, 0)


def nanoseconds(moment: datetime) -> int:
    """Return a moment as inventories hold it: nanoseconds since 1970, in whole seconds."""
    return int(moment.timestamp()) * 1_000_000_000


def _prepare(kinds: Collection[str]) -> None:
    """Import what every worker needs: its stores, and what opens an image."""
    import_kinds(kinds)
    pydicom_quietly()


def _with(config: Config, stores: Sequence[Target]) -> Config:
    """Return the configuration with its stores as they can be reached."""
    return replace(
        config,
        primaries=tuple(store for store in stores if store.role is Role.PRIMARY),
        backups=tuple(store for store in stores if store.role is Role.BACKUP),
    )


def _take_inventories(
    db: DuckDBPyConnection, pool: Workers, run: Run, ledger: Ledger, step: Step
) -> tuple[list[Inventory], dict[str, Path]]:
    """Take the inventory of every store, primaries first: backups are matched against them, and what they purged.

    Return the inventories, and for each primary that purges the inventory of that.

    Backups that report checksums are listed before all: what a primary is read for depends on them. A PACS is not: it
    is asked about the studies of its primaries, and reports nothing but an MD5. Where all have one budget of bytes, all
    others are listed first, too: what is left to the one depends on what the next will need.
    """
    taken: list[Inventory] = []
    purged: dict[str, Path] = {}
    unfinished = run.unfinished
    demands: dict[str, Demand] = {}
    for target in run.config.stores:
        reports = target.role is Role.BACKUP and target.read is ReadPolicy.REPORTED
        asks = target.role is Role.BACKUP and target.kind in PACS
        if not asks and (reports or run.budget.max_read is not None):
            step(f"Listing {target.name}", None, None)
            # One that cannot be reached is told of in its turn.
            with suppress(StoreUnavailable):
                list_store(db, target, unfinished.work / target.name, partial(last_inventory, run.history))
    if run.budget.max_read is not None:
        demands = {target.name: _demand(db, run, target) for target in run.config.stores}
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
            [*primaries, *(purged[name] for name in target.covers if name in purged)]
            if target.role is Role.BACKUP
            else [],
            _asked(db, run, target),
            nanoseconds(unfinished.started),
            ledger,
            step,
            limit_of(target, last_restored(run.history, target.name), _share(db, run, target, demands)),
        )
        taken.append(inventory)
        if target.role is Role.PRIMARY and (folder := _remember(db, run, inventory)):
            purged[target.name] = folder
    return taken, purged


def _demand(db: DuckDBPyConnection, run: Run, target: Target) -> Demand:
    """Return what is foreseen to be read of a store, before any is read."""
    own = limit_of(target, last_restored(run.history, target.name))
    most = own.size if own else None
    started, work = nanoseconds(run.unfinished.started), run.unfinished.work
    known = {name: found for name in (target.name, *target.covers) if (found := before(run.history, name))}
    find_previous = partial(last_inventory, run.history)
    if (work / target.name / "listing.json").exists():
        with suppress(StoreUnavailable):
            listing = list_store(db, target, work / target.name, find_previous)
            previous = find_previous(target, listing.safeguards.medium)
            primaries = [known[name].inventory for name in target.covers if name in known]
            asked = _asked(db, run, target)
            return Demand(foresee(db, target, work / target.name, previous, started, asked, primaries), most)
    if target.kind not in PACS:
        return Demand((), most)
    # A backup that is a PACS is listed after its primaries are read.
    if target.name in known:
        return Demand(foresee_unlisted(db, target, known[target.name].inventory, started), most)
    return Demand(((None, sum(listed_bytes(work / name) for name in target.covers)),), most)


def _share(db: DuckDBPyConnection, run: Run, target: Target, demands: Mapping[str, Demand]) -> int | None:
    """Return how much of the budget of all stores this one may read, after those before it; None without one.

    An audit that was killed comes to the same: what was read is counted from what lies in its work folder.
    """
    if run.budget.max_read is None:
        return None
    names = [store.name for store in run.config.stores]
    turn = names.index(target.name)
    spent = sum(bytes_read(db, run.unfinished.work / name) for name in names[:turn])
    return share_of_first(run.budget.max_read - spent, [demands[name] for name in names[turn:]])


def _remember(db: DuckDBPyConnection, run: Run, item: Inventory) -> Path | None:
    """Write down what a primary no longer shows; return the inventory of what it purged, if it does purge."""
    if item.folder is None:
        return None
    name, restricted = item.target.name, run.unfinished.restricted
    gone, store = restricted / "gone" / f"{name}.parquet", examined(item, run.history)
    remember(db, item.folder, before(run.history, name), store.absence_shows, nanoseconds(run.unfinished.started), gone)
    if item.target.keeps is None:
        return None
    save_purged(db, gone, store.known, item.target.keeps, restricted / "purged" / name)
    return restricted / "purged" / name


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
