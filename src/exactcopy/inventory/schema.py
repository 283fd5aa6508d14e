"""The columns of an inventory, schema 1. Times are nanoseconds since 1970, UTC."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

VERSION = 1
_METADATA = {"exactcopy.schema": str(VERSION)}

LISTING = pa.schema(
    [
        ("key", pa.binary()),
        ("size", pa.int64()),
        ("modified", pa.int64()),
        ("inode", pa.int64()),
        ("problem", pa.string()),
    ],
    metadata=_METADATA,
)

INVENTORY = pa.schema(
    [
        ("key", pa.binary()),
        ("size", pa.int64()),
        ("modified", pa.int64()),
        ("inode", pa.int64()),
        ("study_instance_uid", pa.string()),
        ("series_instance_uid", pa.string()),
        ("sop_instance_uid", pa.string()),
        ("sop_class_uid", pa.string()),
        ("transfer_syntax_uid", pa.string()),
        ("modality", pa.string()),
        ("study_date", pa.date32()),
        ("frames", pa.int64()),
        ("lossy", pa.bool_()),
        ("sha256", pa.binary()),
        # "read" in this audit, or "carried" forward from an earlier one.
        ("digest_source", pa.string()),
        ("read_at", pa.int64()),
        ("problem", pa.string()),
    ],
    metadata=_METADATA,
)


def write(path: Path, schema: pa.Schema, rows: Iterable[Sequence[Any]], note: str = "") -> None:
    """Write `rows` to `path`, which appears whole or not at all; `note` goes into its metadata."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    table = pa.Table.from_arrays(
        arrays, schema=schema.with_metadata(schema.metadata | {b"note": note.encode()})
    )
    partial = path.with_suffix(".partial")
    pq.write_table(table, partial, compression="zstd")
    partial.rename(path)


def note(path: Path) -> str:
    """Return the note that `write` put into the file."""
    metadata: dict[bytes, bytes] = pq.read_schema(path).metadata or {}
    return metadata.get(b"note", b"").decode()
