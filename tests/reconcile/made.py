"""Small made inventories, without an image: what a reconciliation works on."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from exactcopy.inventory.database import save_rows
from exactcopy.inventory.schema import INVENTORY
from exactcopy.model import Role, Target
from exactcopy.reconcile.alike import find_alike
from exactcopy.reconcile.case import Case, Examined, open_case

NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)


def nanoseconds(moment: datetime) -> int:
    """Give a moment as inventories have it."""
    return int(moment.timestamp()) * 10**9


def digest(content: str) -> bytes:
    """Give the SHA-256 of a made content."""
    return sha256(content.encode()).digest()


def instance(study: str, number: int, content: str = "", dated: date | None = None, **more: Any) -> dict[str, Any]:
    """Give the row of an instance; its content is its own unless another is given."""
    sop = f"{study}.{number}"
    return {
        "key": sop.encode(),
        "size": 1000,
        "modified": nanoseconds(NOW) // 2,
        "study_instance_uid": study,
        "series_instance_uid": f"{study}.1",
        "sop_instance_uid": sop,
        "modality": "CT",
        "study_date": dated,
        "sha256": digest(content or sop),
        "digest_source": "read",
        "read_at": nanoseconds(NOW),
        **more,
    }


def inventory(db: DuckDBPyConnection, folder: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write an inventory, and give its folder."""
    save_rows(db, INVENTORY, [[row.get(column) for column in INVENTORY] for row in rows], folder / "inventory.parquet")
    return folder


def of_before(db: DuckDBPyConnection, *files: Path) -> None:
    """Write files of an inventory anew as they were before `archived` was a column."""
    for file in files:
        old = file.with_suffix(".old")
        db.execute(f"copy (select * exclude (archived) from read_parquet('{file}')) to '{old}' (format parquet)")
        old.rename(file)


def target(name: str, role: Role = Role.BACKUP, **more: Any) -> Target:
    """Give a store; a backup covers pacs."""
    covers = ("pacs",) if role is Role.BACKUP else ()
    return Target(
        **{"name": name, "role": role, "kind": "folder", "identity": name, "options": {}, "covers": covers} | more
    )


def opened(db: DuckDBPyConnection, stores: Sequence[Examined], started: int, studies: Path | None = None) -> Case:
    """Give the case over some stores, with what is alike in them."""
    case = open_case(db, stores, started, studies)
    find_alike(case)
    return case
