"""DuckDB over Parquet: tables of any size in bounded memory."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from time import monotonic, sleep
from typing import Any

import duckdb

from exactcopy.errors import WorkersUnavailable
from exactcopy.inventory.schema import VERSION
from exactcopy.pool import cores

# With the program itself 500 MB in all, however many images there are; what takes more is done beside memory.
_MEMORY = 200_000_000
# What is taken for each instance that has to be told of, and of the computer's memory at most.
_EACH_EXCEPTION = 300
_MOST_OF_COMPUTER = 0.5
# A group is held in memory until it is written, by each thread.
_ROW_GROUP = 20_480
# What is joined with all its columns, or grouped by text, is done for so many rows at a time.
_SHARE = 1_000_000
# Each thread needs a share of that.
_MOST_THREADS = 4
_SEEN_SECONDS = 90


def database(spill: Path) -> duckdb.DuckDBPyConnection:
    """Return a fresh in-memory database that spills to the folder `spill` rather than grow."""
    spill.mkdir(parents=True, exist_ok=True)
    db = duckdb.connect()
    db.execute(f"set threads = {min(cores(), _MOST_THREADS)}; set temp_directory = {literal(str(spill))}")
    _limit(db, _MEMORY)
    db.execute("set preserve_insertion_order = false; set enable_progress_bar = false; set TimeZone = 'UTC'")
    return db


def allow(db: duckdb.DuckDBPyConnection, exceptions: int) -> None:
    """Allow as much memory as so many exceptions take: instances that are missing, other, lost or nowhere else.

    Of what is sound none is held; of these each is joined, sorted and told with its names and keys.
    """
    held = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    wanted = min(_MEMORY + exceptions * _EACH_EXCEPTION, int(held * _MOST_OF_COMPUTER))
    if wanted > _allowed(db):
        _limit(db, wanted)


def _allowed(db: duckdb.DuckDBPyConnection) -> float:
    number, unit = str(row(db, "select current_setting('memory_limit')")[0]).split()
    return float(number) * 1024.0 ** ("bytes", "KiB", "MiB", "GiB", "TiB").index(unit)


def _limit(db: duckdb.DuckDBPyConnection, size: int) -> None:
    db.execute(f"set memory_limit = '{size // 1_000_000}MB'")


def literal(text: str) -> str:
    """Return `text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def parquet(folder: Path, pattern: str = "*.parquet", *, numbered: bool = False) -> str:
    """Return the SQL table of all files in `folder` that match; its own name is taken literally.

    `numbered` gives each row its number in its file, as `file_row_number`.
    """
    # Folders named like `sop=1` are just folders.
    shown = ", file_row_number = true" if numbered else ""
    return f"read_parquet({literal(f'{_plain(folder)}/{pattern}')}, hive_partitioning = false{shown})"


def nothing(columns: Mapping[str, str]) -> str:
    """Return the SQL of an empty table with `columns`."""
    return "(select " + ", ".join(f"null::{kind} as {name}" for name, kind in columns.items()) + " where false)"


def row(db: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    """Return the single row that `sql` gives."""
    return db.execute(sql).fetchall()[0]


def rows(db: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    """Return the few rows that `sql` gives."""
    return db.execute(sql).fetchall()


def shares_of(db: duckdb.DuckDBPyConnection, table: str, column: str) -> list[str]:
    """Return SQL conditions that part the rows of a table by the hash of a column into shares that memory can hold."""
    shares = int(row(db, f"select count(*) from {table}")[0]) // _SHARE + 1
    return [f"hash({column}) % {shares} = {number}" for number in range(shares)] if shares > 1 else ["true"]


def save(db: duckdb.DuckDBPyConnection, sql: str, path: Path, values: Sequence[Any] = (), note: str = "") -> None:
    """Write what `sql` gives to the Parquet file `path`, which appears whole or not at all."""
    # A name of its own: where a worker was given up too early, another one writes the same file.
    partial = path.with_suffix(f".{token_hex(4)}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = f"{{'exactcopy.schema': '{VERSION}', note: {literal(note)}}}"
    db.execute(
        f"copy ({sql}) to {literal(str(partial))} (format parquet, compression zstd,"
        f" row_group_size {_ROW_GROUP}, kv_metadata {metadata})",
        list(values),
    )
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    partial.rename(path)


def see(files: Iterable[Path]) -> None:
    """Wait until this computer lists what others wrote: NFS shows a folder as it was for up to a minute.

    Raises WorkersUnavailable where it does not.
    """
    until = monotonic() + _SEEN_SECONDS
    missing = set(files)
    while missing := missing.difference(*(folder.iterdir() for folder in {file.parent for file in missing})):
        if monotonic() > until:
            file = min(missing)
            raise WorkersUnavailable(
                f"workers: {file.name}, which one of them wrote to {file.parent}, does not show here. Let every worker"
                " have the folder of the configuration at the same path."
            )
        sleep(0.2)


def save_rows(
    db: duckdb.DuckDBPyConnection,
    columns: Mapping[str, str],
    rows: Sequence[Sequence[Any]],
    path: Path,
    note: str = "",
) -> None:
    """Write `rows`, a value for each of `columns`, to the Parquet file `path`; `note` goes into its metadata."""
    values: list[Any] = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in columns]
    named = []
    for n, (name, kind) in enumerate(columns.items()):
        # Every value of a list costs; what is the same in all rows is given once. The first column makes the rows.
        if n and values[n] and values[n].count(values[n][0]) == len(values[n]):
            values[n] = values[n][0]
            named.append(f"${n + 1}::{kind} as {name}")
        else:
            named.append(f"unnest(${n + 1}::{kind}[]) as {name}")
    save(db, f"select {', '.join(named)}", path, values, note)


def note_of(db: duckdb.DuckDBPyConnection, path: Path) -> str:
    """Return the note that a file was written with."""
    source = f"parquet_kv_metadata({literal(_plain(path))})"
    (note,) = row(db, f"select decode(value) from {source} where key = 'note'")
    return str(note)


def _plain(path: Path) -> str:
    """Return a path in which nothing is taken for a pattern."""
    return "".join(f"[{character}]" if character in "[*?" else character for character in str(path))
