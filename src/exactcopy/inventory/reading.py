"""Read objects once, each in a stream: its digest, its identity, its soundness.

Workers import this module: what only the parent needs is imported where it is used.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from exactcopy.dicom.header import HeaderReader
from exactcopy.digest import Algorithm, hasher
from exactcopy.errors import ObjectChanged
from exactcopy.model import Copy, Identity, Problem, Target
from exactcopy.pool import Died, Pool
from exactcopy.stores import Stream, open_store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Larger buffers fall out of the processor's cache and cost a third more.
_BUFFER = 256 * 1024
# Chunks are cut by bytes, so that none keeps a worker busy long after the others are done.
_CHUNK_BYTES = 32 * 1024 * 1024
_CHUNK_OBJECTS = 256
# A part is written when it holds so many rows or has been waiting for so long: what a kill can cost.
_PART_ROWS = 50_000
_PART_SECONDS = 5.0
_TRIES = 3

Row = tuple[Any, ...]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some objects of one store, small enough to be one worker's task."""

    number: int
    target: Target
    started: int
    copies: tuple[Copy, ...]


def read_planned(
    db: "DuckDBPyConnection", pool: Pool, target: Target, folder: Path, started: int, progress: Progress
) -> None:
    """Read what the plan in `folder` names into parts there; parts that are finished are not read again.

    `started` (nanoseconds since 1970) is when the audit began: what it reads is known as of then, never as of
    later. `progress` is told of objects and bytes as they are done.
    """
    from exactcopy.inventory.database import note_of, save_rows
    from exactcopy.inventory.schema import INVENTORY

    finished = {number for part in folder.glob("part-*.parquet") for number in json.loads(note_of(db, part))}
    rows: list[Row] = []
    numbers: list[int] = []
    since = monotonic()

    def flush() -> None:
        path = folder / f"part-{min(numbers):07}.parquet"
        save_rows(db, INVENTORY, rows, path, note=json.dumps(numbers))
        rows.clear()
        numbers.clear()

    for chunk, result in pool.map(read_chunk, _chunks(_planned(db, folder), target, started, finished, progress)):
        rows.extend(_one_by_one(pool, chunk) if isinstance(result, Died) else result)
        numbers.append(chunk.number)
        progress(len(chunk.copies), sum(copy.size for copy in chunk.copies))
        if len(rows) >= _PART_ROWS or monotonic() - since > _PART_SECONDS:
            flush()
            since = monotonic()
    if numbers:
        flush()


def read_chunk(chunk: Chunk) -> list[Row]:
    """Return an inventory row for each object of `chunk`. Runs in a worker."""
    buffer = memoryview(bytearray(_BUFFER))
    rows = []
    with open_store(chunk.target) as store:
        for copy, stream in store.read(chunk.copies):
            row = _examine(copy, stream, buffer, chunk.started)
            for _ in range(_TRIES - 1):
                if row[-1] != Problem.CHANGING:
                    break
                for again in store.read([copy]):
                    row = _examine(*again, buffer, chunk.started)
            rows.append(row)
    return rows


def _examine(copy: Copy, stream: Stream | Problem, buffer: memoryview, started: int) -> Row:
    if isinstance(stream, Problem):
        return _row(copy, Identity(problem=stream))
    digest = hasher(Algorithm.SHA256)
    reader = HeaderReader()
    length = 0
    try:
        while count := stream.readinto(buffer):
            piece = buffer[:count]
            digest.update(piece)
            reader.feed(piece)
            length += count
    except ObjectChanged:
        return _row(copy, Identity(problem=Problem.CHANGING))
    except OSError:
        return _row(copy, Identity(problem=Problem.IO_ERROR))
    if length != copy.size:
        # A body shorter or longer than its store says is not the object.
        return _row(copy, Identity(problem=Problem.IO_ERROR))
    return _row(copy, reader.close(), digest.digest(), started)


def _row(copy: Copy, identity: Identity, sha256: bytes | None = None, read_at: int | None = None) -> Row:
    return (
        copy.key,
        copy.size,
        copy.modified,
        copy.inode,
        identity.study_instance_uid,
        identity.series_instance_uid,
        identity.sop_instance_uid,
        identity.sop_class_uid,
        identity.transfer_syntax_uid,
        identity.modality,
        identity.study_date,
        identity.frames,
        identity.lossy,
        sha256,
        "read" if sha256 is not None else None,
        read_at,
        identity.problem,
    )


def _chunks(
    planned: Iterable[Copy], target: Target, started: int, finished: set[int], progress: Progress
) -> Iterator[Chunk]:
    number = 0
    copies: list[Copy] = []
    size = 0
    for copy in planned:
        copies.append(copy)
        size += copy.size
        if size >= _CHUNK_BYTES or len(copies) >= _CHUNK_OBJECTS:
            if number in finished:
                progress(len(copies), size)
            else:
                yield Chunk(number, target, started, tuple(copies))
            number, copies, size = number + 1, [], 0
    if copies and number not in finished:
        yield Chunk(number, target, started, tuple(copies))


def _planned(db: "DuckDBPyConnection", folder: Path) -> Iterator[Copy]:
    from exactcopy.inventory.database import parquet

    # A cursor of its own: the connection writes parts while this is being read.
    planned = db.cursor().execute(
        f"select key, size, modified, inode from {parquet(folder, 'todo.parquet')} order by key"
    )
    while batch := planned.fetchmany(5000):
        for key, size, modified, inode in batch:
            yield Copy(key=key, size=size, modified=modified, inode=inode)


def _one_by_one(pool: Pool, chunk: Chunk) -> Iterator[Row]:
    """Read the objects of a chunk that killed its worker, so that only the guilty one stays unread."""
    singles = (Chunk(chunk.number, chunk.target, chunk.started, (copy,)) for copy in chunk.copies)
    for single, result in list(pool.map(read_chunk, singles)):
        if isinstance(result, Died):
            yield _row(single.copies[0], Identity(problem=Problem.IO_ERROR))
        else:
            yield from result
