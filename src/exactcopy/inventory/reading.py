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
from exactcopy.digest import SHA256, hasher
from exactcopy.errors import ObjectChanged
from exactcopy.model import Copy, Identity, Problem, Target
from exactcopy.pool import Died, Pool
from exactcopy.stores import Stream, open_store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Larger buffers fall out of the processor's cache and cost a third more.
_BUFFER = 512 * 1024
# Chunks are cut by bytes, so that none keeps a worker busy long after the others are done.
_CHUNK_BYTES = 64 * 1024 * 1024
_CHUNK_OBJECTS = 256
# A part is written when it holds so many rows or has been waiting for so long: what a kill can cost.
_PART_ROWS = 50_000
_PART_SECONDS = 5.0
_TRIES = 3

Row = tuple[Any, ...]
Listed = tuple[bytes, int, int, int | None]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some objects of one store, small enough to be one worker's task.

    `listed` holds (key, size, modified, inode): plain tuples travel to a worker at a tenth of the cost of a Copy.
    """

    number: int
    target: Target
    started: int
    listed: tuple[Listed, ...]


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
        progress(len(chunk.listed), sum(size for _, size, _, _ in chunk.listed))
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
        copies = [
            Copy(key=key, size=size, modified=modified, inode=inode) for key, size, modified, inode in chunk.listed
        ]
        for copy, stream in store.read(copies):
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
    digest = hasher(SHA256)
    reader = HeaderReader()
    length = 0
    try:
        while count := stream.readinto(buffer):
            piece = buffer[:count]
            digest.update(piece)
            reader.feed(piece)
            length += count
            if length > copy.size:
                # It grows while it is read, perhaps as fast: waiting for its end could take forever.
                return _row(copy, Identity(problem=Problem.CHANGING))
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
    planned: Iterable[Listed], target: Target, started: int, finished: set[int], progress: Progress
) -> Iterator[Chunk]:
    number = 0
    listed: list[Listed] = []
    size = 0
    for row in planned:
        listed.append(row)
        size += row[1]
        if size >= _CHUNK_BYTES or len(listed) >= _CHUNK_OBJECTS:
            if number in finished:
                progress(len(listed), size)
            else:
                yield Chunk(number, target, started, tuple(listed))
            number, listed, size = number + 1, [], 0
    if listed and number not in finished:
        yield Chunk(number, target, started, tuple(listed))


def _planned(db: "DuckDBPyConnection", folder: Path) -> Iterator[Listed]:
    from exactcopy.inventory.database import parquet

    # A cursor of its own: the connection writes parts while this is being read.
    planned = db.cursor().execute(
        f"select key, size, modified, inode from {parquet(folder, 'todo.parquet')} order by key"
    )
    while batch := planned.fetchmany(5000):
        yield from batch


def _one_by_one(pool: Pool, chunk: Chunk) -> Iterator[Row]:
    """Read the objects of a chunk that killed its worker, so that only the guilty one stays unread."""
    singles = (Chunk(chunk.number, chunk.target, chunk.started, (row,)) for row in chunk.listed)
    for single, result in list(pool.map(read_chunk, singles)):
        if isinstance(result, Died):
            key, size, modified, inode = single.listed[0]
            copy = Copy(key=key, size=size, modified=modified, inode=inode)
            yield _row(copy, Identity(problem=Problem.IO_ERROR))
        else:
            yield from result
