"""DuckDB over Parquet: joins of any size in bounded memory."""

from pathlib import Path
from typing import Any

import duckdb

_MEMORY = "1GB"


def database(spill: Path) -> duckdb.DuckDBPyConnection:
    """Return a fresh in-memory database that spills to the folder `spill` rather than grow."""
    spill.mkdir(parents=True, exist_ok=True)
    db = duckdb.connect()
    db.execute(f"set memory_limit = '{_MEMORY}'; set temp_directory = {literal(str(spill))}")
    db.execute("set preserve_insertion_order = false; set enable_progress_bar = false; set TimeZone = 'UTC'")
    return db


def literal(text: str) -> str:
    """Return `text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def parquet(folder: Path, pattern: str = "*.parquet") -> str:
    """Return the SQL table of all files in `folder` that match; characters of its name are taken as they are."""
    plain = "".join(f"[{character}]" if character in "[*?" else character for character in str(folder))
    return f"read_parquet({literal(f'{plain}/{pattern}')})"


def row(db: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    """Return the single row that `sql` gives."""
    return db.execute(sql).fetchall()[0]


def rows(db: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    """Return the few rows that `sql` gives."""
    return db.execute(sql).fetchall()


def save(db: duckdb.DuckDBPyConnection, sql: str, path: Path) -> None:
    """Write what `sql` gives to the Parquet file `path`, which appears whole or not at all."""
    partial = path.with_suffix(".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    db.execute(f"copy ({sql}) to {literal(str(partial))} (format parquet, compression zstd)")
    partial.rename(path)
