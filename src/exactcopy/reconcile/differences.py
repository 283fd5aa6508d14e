"""Where bytes differ, climb the ladder: bytes, elements, pixels."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from exactcopy.dicom.compare import compare
from exactcopy.errors import ObjectChanged, StoreUnavailable
from exactcopy.inventory.database import parquet, save
from exactcopy.model import Copy, Difference, Outcome, Problem, Target
from exactcopy.pool import Died, Workers
from exactcopy.reconcile.alike import shares_of_rest
from exactcopy.reconcile.case import Case, copy_of
from exactcopy.stores import open_store
from exactcopy.stores.bounded import readers, share

# Two whole files are held in memory to compare their elements.
_COMPARABLE_BYTES = 1 << 29
# A pair takes seconds; a decoder that hangs on a damaged image takes forever.
_LONGEST = 15 * 60
# So many instances are looked through at once for pairs that differ.
_AT_ONCE = 20_000
_TOO_LARGE = Difference(outcome=Outcome.DIFFERENT, elements=("too large to compare element by element",))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sound objects of one SOP Instance UID whose bytes differ."""

    primary: Target
    primary_copy: Copy
    primary_sha256: bytes
    backup: Target
    backup_copy: Copy
    backup_sha256: bytes


def find_differences(
    case: Case, pool: Workers, known: Path | None, progress: Callable[[], None], *, same: bool = True
) -> None:
    """Fill the table `differences` with what differs in each pair of contents that could be one instance of `rest`.

    `known` are those that an earlier audit found, by this `same` program or another: what differs between two contents
    stays. What another found counts only of what was purged since, for nobody can compare that again. A pair
    that cannot be read again as it was gets no row: its outcome stays unverified.
    """
    columns = "primary_sha256 blob, backup_sha256 blob, outcome varchar, elements varchar"
    case.db.execute(f"create or replace table differences ({columns})")
    if known:
        which = "true" if same else "primary_sha256 in (select sha256 from purged)"
        case.db.execute(f"insert into differences from {parquet(known.parent, known.name)} where {which}")
    # Any of them may be in the next pair.
    at_once = min(readers(store.target, pool.workers) for store in case.stores)
    for pair, difference in pool.map(_difference, _pairs(case, at_once), _LONGEST, at_once):
        progress()
        if difference is None or isinstance(difference, Died):
            continue
        case.db.execute(
            "insert into differences values (?, ?, ?, ?)",
            [pair.primary_sha256, pair.backup_sha256, difference.outcome, json.dumps(difference.elements)],
        )
    # Two pairs of stores may hold the same two contents.
    case.db.execute(
        "create or replace table differences as select distinct on (primary_sha256, backup_sha256) * from differences"
    )


def save_differences(case: Case, path: Path) -> None:
    """Write what differs between contents that are still there, for the next audit."""
    save(
        case.db,
        """with ours as (select distinct sha256 from judged semi join differences on primary_sha256 = sha256),
                theirs as (select distinct sha256 from objects semi join differences on backup_sha256 = sha256)
           select distinct * from differences where primary_sha256 in (from ours) and backup_sha256 in (from theirs)""",
        path,
    )


def _pairs(case: Case, at_once: int) -> Iterator[Pair]:
    for primary, backup in case.pairs():
        for rest in shares_of_rest(case, primary.target.name, backup.target.name, "there", _AT_ONCE):
            seen: set[tuple[bytes, bytes]] = set()
            for ours, theirs in _unlike(case, primary.target.name, backup.target.name, rest):
                if (ours["sha256"], theirs["sha256"]) in seen:
                    continue
                seen.add((ours["sha256"], theirs["sha256"]))
                yield Pair(
                    share(primary.target, at_once),
                    copy_of(ours),
                    ours["sha256"],
                    share(backup.target, at_once),
                    copy_of(theirs),
                    theirs["sha256"],
                )


def _unlike(case: Case, primary: str, backup: str, rest: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the rows of two stores that may differ: of the instances that `rest` selects, and not compared yet."""
    found = case.db.cursor().execute(
        f"""
        with p as (select sop, sha256, arg_min(objects, key) as copy from objects semi join ({rest}) using (sop)
                   where store = $1 and sha256 is not null and not damaged group by sop, sha256),
             b as (select sop, sha256, arg_min(objects, key) as copy from objects semi join ({rest}) using (sop)
                   where store = $2 and sha256 is not null and not damaged group by sop, sha256),
             unmatched as (select * from p anti join b
                           on p.sop = b.sop and (p.sha256 = b.sha256 or p.copy.content = b.copy.content))
        select p.copy, b.copy from unmatched p join b using (sop)
        anti join differences d on d.primary_sha256 = p.sha256 and d.backup_sha256 = b.sha256
        order by p.copy.key, b.copy.key
        """,
        [primary, backup],
    )
    while batch := found.fetchmany(1000):
        yield from batch


def _difference(pair: Pair) -> Difference | None:
    if max(pair.primary_copy.size, pair.backup_copy.size) > _COMPARABLE_BYTES:
        return _TOO_LARGE
    primary = _bytes(pair.primary, pair.primary_copy, pair.primary_sha256)
    backup = _bytes(pair.backup, pair.backup_copy, pair.backup_sha256)
    if primary is None or backup is None:
        return None
    return compare(primary, backup)


def _bytes(target: Target, copy: Copy, expected: bytes) -> bytes | None:
    """Return the object's bytes, if they are still those that the inventory knows."""
    content = bytearray()
    buffer = memoryview(bytearray(1 << 20))
    try:
        with open_store(target) as store:
            for _, stream in store.read([copy]):
                if isinstance(stream, Problem):
                    return None
                while count := stream.readinto(buffer):
                    content += buffer[:count]
                    if len(content) > _COMPARABLE_BYTES:
                        return None
    except (OSError, ObjectChanged, StoreUnavailable):
        return None
    return bytes(content) if sha256(content).digest() == expected else None
