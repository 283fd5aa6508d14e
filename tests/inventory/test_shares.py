"""What does not fit into memory is planned in shares, and comes out as it does at once."""

import tempfile
from collections.abc import Sequence
from hashlib import md5
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from exactcopy.inventory import database
from exactcopy.inventory.budget import Limit
from exactcopy.inventory.database import parquet, rows, save_rows
from exactcopy.inventory.plan import Plan, plan_reads, plan_rest
from exactcopy.inventory.schema import INVENTORY, LISTING
from exactcopy.model import Algorithm, Checksum, Problem, ReadPolicy
from tests.reconcile.made import NOW, digest, inventory, nanoseconds, target

STARTED = nanoseconds(NOW)
DAY = 24 * 3600 * 10**9
MD5 = Checksum(Algorithm.MD5)

# One object: its name, its content, how many days ago it was read (0: never), and what is odd about it.
objects = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.integers(0, 4),
        st.sampled_from([0, 1, 40, 80, 120]),
        st.sampled_from(["", "", "", "other", "silent", "archived", "deleted"]),
    ),
    max_size=12,
    unique_by=lambda found: found[0],
)


def md5_of(content: int) -> str:
    """Give the checksum of a made content, as a table holds it."""
    return f"md5:{md5(str(content).encode(), usedforsecurity=False).hexdigest()}"


def row(name: int, content: int, **more: Any) -> dict[str, Any]:
    """Give what an inventory says of an object."""
    return {
        "key": b"%03d" % name,
        "size": 100 + content,
        "modified": 7,
        "inode": name,
        "study_instance_uid": f"1.{name % 3}",
        "sop_instance_uid": f"1.9.{content}",
        "sha256": digest(str(content)),
        "digests": md5_of(content),
        "digest_source": "read",
        "read_at": STARTED,
        **more,
    }


def listed(name: int, content: int, odd: str) -> list[Any]:
    """Give what a listing says of it."""
    found = row(name, content + 7 if odd == "other" else content) | {
        "problem": odd if odd in ("archived", "deleted") else None,
        "digests": None if odd == "silent" else md5_of(content + 7 if odd == "other" else content),
    }
    of_listing = set(LISTING) - {"study_instance_uid", "series_instance_uid", "sop_instance_uid", "sop_class_uid"}
    return [found.get(column) if column in of_listing else None for column in LISTING]


def planned(folder: Path, found: Sequence[Any], read: ReadPolicy, limit: Limit | None) -> tuple[Plan, list[list[Any]]]:
    """Plan, and give what is in each file of the plan."""
    with database.database(folder / "spill") as db:
        save_rows(
            db, LISTING, [listed(name, content, odd) for name, content, _, odd in found], folder / "listing-0.parquet"
        )
        known = [row(n, c, read_at=STARTED - days * DAY) for n, c, days, _ in found if days]
        previous = inventory(db, folder / "previous", known)
        primary = inventory(db, folder / "primary", [row(number, number % 3) for number in range(20, 30)])
        store = target("cloud", kind="s3", read=read)
        plan = plan_reads(db, store, folder, previous, STARTED, (MD5,), [primary], limit)
        if plan.identified:
            # As their beginnings tell.
            heads = rows(db, f"select key, size from {parquet(folder, 'heads.parquet')} order by key")
            told = [{"key": key, "size": size, "sop_instance_uid": f"1.9.{size % 5}"} for key, size in heads]
            save_rows(
                db, INVENTORY, [[each.get(name) for name in INVENTORY] for each in told], folder / "head-0.parquet"
            )
            plan_rest(db, plan, folder, [primary])
        files = [path for path in sorted(folder.glob("*.parquet")) if not path.name.startswith("listing")]
        return plan, [
            [path.name, rows(db, f"select * from {parquet(folder, path.name)} order by all")] for path in files
        ]


@settings(deadline=None, max_examples=12)
@given(
    objects,
    st.sampled_from([ReadPolicy.ALL, ReadPolicy.ROTATION, ReadPolicy.REPORTED]),
    st.sampled_from([None, Limit(250, Problem.OVER_BUDGET), Limit(0, Problem.OVER_BUDGET)]),
)
def test_a_plan_in_shares_is_the_plan_at_once(found: Sequence[Any], read: ReadPolicy, limit: Limit | None) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        at_once = planned(Path(one), found, read, limit)
        with patch.object(database, "_SHARE", 2):
            in_shares = planned(Path(other), found, read, limit)
        assert in_shares == at_once
        if limit and read is not ReadPolicy.REPORTED:
            assert at_once[0].bytes <= limit.size
