"""Read objects once, each in a stream: its digest, its identity, its soundness.

Workers import this module: what only the parent needs is imported where it is used.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from exactcopy.dicom.patient import Patient, Token, tokens
from exactcopy.digest import LANES
from exactcopy.errors import StoreUnavailable, WindowClosed
from exactcopy.inventory.examining import Reading, Row, examine, row_of
from exactcopy.inventory.side_by_side import examine_side_by_side, may_be_side_by_side, part, pays
from exactcopy.model import CUT_SHORT, UNREAD, UNSIZED, Copy, Identity, Problem, Target
from exactcopy.pool import Died, Workers
from exactcopy.stores import AT_ONCE, PACS, Store, kept_open, open_store
from exactcopy.stores.bounded import problem_of, readers, share

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Larger buffers fall out of the processor's cache: a megabyte costs a third more. What the kernel gives is best taken
# in smaller pieces still.
_BUFFER = 256 * 1024
_BUFFER_LOCAL = 64 * 1024
# Chunks are cut by bytes, so that none keeps a worker busy long after the others are done.
_CHUNK_BYTES = 64 * 1024 * 1024
_CHUNK_OBJECTS = 256
# What may be read side by side comes in chunks of enough objects for that, unless they are huge.
_MOST_CHUNK_BYTES = 512 * 1024 * 1024
# Near the end chunks grow smaller, so that all workers are done at about the same time.
_LEAST_CHUNK_BYTES = 8 * 1024 * 1024
_SHARE_OF_REST = 6
# A part is written when it holds so many rows or has been waiting for so long: what a kill can cost.
_PART_ROWS = 20_000
_PART_SECONDS = 5.0
_TRIES = 3
# After so many in a row that could not be read, or were not there, it is asked whether the store still is.
_SUSPECT = 8
_FAILED = (Problem.IO_ERROR, Problem.VANISHED, Problem.OUT_OF_REACH)
# Workers elsewhere write the parts. A group is one: what is done again where its worker is lost. There are so many of
# a large archive, and each travels as a message: its bytes and its objects have bounds.
_GROUPS = 4096
_GROUP_BYTES = 8 << 30
_GROUP_OBJECTS = 16_384
_STUDY = 5  # of a listed row
_SOP_INSTANCE = 7  # of an inventory row

Listed = tuple[bytes, int | None, int | None, int | None, str | None, str | None, str | None, str | None, str | None]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some objects of one store, small enough to be one worker's task.

    `listed` holds (key, size, modified, inode, version, the UIDs of study, series, instance and class): plain tuples
    travel at a tenth of the cost of a Copy.
    """

    number: int
    reading: Reading
    listed: tuple[Listed, ...]


@dataclass(slots=True)
class Read:
    """What came of a chunk: an inventory row for each object, and the tokens of whose they are.

    `lost` is why the store could no longer be reached.
    """

    rows: list[Row] = field(default_factory=list)
    tokens: set[Token] = field(default_factory=set)
    lost: StoreUnavailable | None = None


@dataclass(slots=True)
class Part:
    """What goes into one file of an inventory: the rows and tokens of the chunks of these `numbers`."""

    rows: list[Row] = field(default_factory=list)
    tokens: set[Token] = field(default_factory=set)
    numbers: list[int] = field(default_factory=list)

    def add(self, chunk: Chunk, read: Read) -> int:
        """Add what came of a chunk; return how many bytes were read for it."""
        self.rows += read.rows
        self.tokens |= read.tokens
        self.numbers.append(chunk.number)
        # A PACS does not tell sizes before.
        return sum(_cost(row[1], chunk.reading) for row in read.rows if row[-1] not in CUT_SHORT)


@dataclass(frozen=True, slots=True)
class Group:
    """Some chunks that are one task of a worker elsewhere, which writes the part itself: rows do not travel."""

    folder: Path
    parts: str
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a group: how many bytes were read, and the files that hold what they are."""

    size: int
    files: tuple[Path, ...]


def read_planned(
    db: "DuckDBPyConnection", pool: Workers, reading: Reading, todo: Path, parts: str, progress: Progress
) -> int:
    """Read what the table `todo` names into files beside it whose names begin with `parts`.

    Parts that are finished are not read again. `progress` is told of objects and bytes as they are done. Return
    how many bytes were read now. Raises StoreUnavailable where the store can no longer be reached and nothing was read;
    else what was left of it says so.
    """
    from exactcopy.inventory.database import note_of, parquet, row

    folder = todo.parent
    finished = {number for part in folder.glob(f"{parts}-*.parquet") for number in json.loads(note_of(db, part))}
    (rest,) = row(db, f"select coalesce(sum(size), 0)::bigint from {parquet(folder, todo.name)}")
    at_once = readers(reading.target, pool.workers)
    bounded = reading.target.concurrency or reading.target.max_rate
    reading = replace(reading, target=share(reading.target, pool.workers))
    chunks = _chunks(_planned(db, todo), rest, reading, finished, progress)
    if pool.elsewhere:
        groups = _groups(chunks, rest, folder, parts)
        return _read_elsewhere(db, pool, groups, at_once if bounded else None, progress)
    part = Part()
    since = monotonic()
    now = 0
    lost, came = None, bool(finished)

    def read(tried: Iterator[Chunk]) -> Iterator[tuple[Chunk, Read]]:
        for chunk, result in pool.map(read_chunk, tried, at_once=at_once):
            yield chunk, _one_by_one(pool, chunk) if isinstance(result, Died) else result

    # A worker may find a store back with its next chunk.
    for chunk, result in _while_it_answers(chunks, read, pool.workers):
        lost = result.lost or lost
        came = came or any(row[-1] not in CUT_SHORT for row in result.rows)
        size = part.add(chunk, result)
        now += size
        progress(len(chunk.listed), size)
        if len(part.rows) >= _PART_ROWS or monotonic() - since > _PART_SECONDS:
            write_part(db, part, reading, folder, parts)
            part = Part()
            since = monotonic()
    if part.numbers:
        write_part(db, part, reading, folder, parts)
    if lost is not None and not came:
        raise lost
    return now


def write_part(db: "DuckDBPyConnection", part: Part, reading: Reading, folder: Path, parts: str) -> tuple[Path, Path]:
    """Write a part of an inventory into `folder`, and the tokens beside it into the ledger; return both files."""
    from exactcopy.inventory.database import save_rows
    from exactcopy.inventory.schema import INVENTORY, TOKENS

    name = f"{parts}-{min(part.numbers):07}.parquet"
    into, ledger = folder / name, reading.ledger.folder / f"{reading.target.name}-{name}"
    save_rows(db, INVENTORY, part.rows, into, note=json.dumps(part.numbers))
    # What is read whole after its beginning was counted with that.
    counted = part.rows if parts != "rest" else []
    images = sum(row[_SOP_INSTANCE] is not None and row[-1] not in UNREAD for row in counted)
    save_rows(db, TOKENS, list(part.tokens), ledger, note=str(images))
    return into, ledger


def read_group(group: Group) -> Written:
    """Read chunks and write the part that they are. Runs in a worker that is elsewhere."""
    from exactcopy.inventory.database import database

    part = Part()

    def read(tried: Iterator[Chunk]) -> Iterator[tuple[Chunk, Read]]:
        for chunk in tried:
            yield chunk, read_chunk(chunk)

    size = sum(part.add(chunk, result) for chunk, result in _while_it_answers(iter(group.chunks), read, 1))
    with closing(database(Path(tempfile.gettempdir()) / "spill")) as db:
        files = write_part(db, part, group.chunks[0].reading, group.folder, group.parts)
    return Written(size, files)


def read_chunk(chunk: Chunk) -> Read:
    """Return an inventory row for each object of `chunk`; what is left when time is over or the store gone says so.

    Runs in a worker.
    """
    read = Read()
    rows = read.rows
    patients: set[Patient] = set()
    try:
        _read_into(rows, patients, chunk)
    except StoreUnavailable as error:
        read.lost = None if isinstance(error, WindowClosed) else error
        done = Counter(row[0] for row in rows)
        for copy in map(_copy, chunk.listed):
            if done[copy.key]:
                done[copy.key] -= 1
            else:
                rows.append(row_of(copy, Identity(problem=problem_of(error))))
    for patient in patients:
        read.tokens.update(tokens(chunk.reading.ledger.key, patient))
    return read


def _while_it_answers(
    chunks: Iterator[Chunk], read: Callable[[Iterator[Chunk]], Iterator[tuple[Chunk, Read]]], most: int
) -> Iterator[tuple[Chunk, Read]]:
    """Yield each chunk with what `read` makes of it; after more than `most` in a row lost the store, unread."""
    lost = 0

    def tried() -> Iterator[Chunk]:
        while lost <= most and (chunk := next(chunks, None)) is not None:
            yield chunk

    for chunk, result in read(tried()):
        lost = lost + 1 if result.lost else 0
        yield chunk, result
    for chunk in chunks:
        unread = Identity(problem=Problem.OUT_OF_REACH)
        yield chunk, Read(rows=[row_of(copy, unread) for copy in map(_copy, chunk.listed)])


def _read_into(rows: list[Row], patients: set[Patient], chunk: Chunk) -> None:
    reading = chunk.reading
    local = reading.target.kind in AT_ONCE and reading.first_bytes is None
    buffer = memoryview(bytearray(_BUFFER_LOCAL if local else _BUFFER))
    copies = list(map(_copy, chunk.listed))
    together, alone = part(copies) if pays(reading) else ([], copies)
    # What failed in a row says nothing of its objects before the store is known to be there.
    doubtful: list[tuple[Copy, Row]] = []
    again: list[Copy] = []
    with kept_open(reading.target) as store:
        for copy, row in chain(
            examine_side_by_side(store, together, reading, patients) if together else (),
            _in_turn(store, alone, buffer, reading, patients),
        ):
            final = row
            for _ in range(_TRIES - 1):
                if final[-1] != Problem.CHANGING:
                    break
                ((_, final),) = _in_turn(store, [copy], buffer, reading, patients)
            if final[-1] in _FAILED:
                doubtful.append((copy, final))
                if len(doubtful) == _SUSPECT:
                    _make_sure(reading.target)
                    again += _settle(doubtful, rows)
            else:
                again += _settle(doubtful, rows)
                rows.append(final)
        if doubtful:
            _make_sure(reading.target)
            again += _settle(doubtful, rows)
        for copy, row in _in_turn(store, again, buffer, reading, patients) if again else ():
            # What alone is not answered is not to be had.
            unanswered = row[-1] == Problem.OUT_OF_REACH
            rows.append(row_of(copy, Identity(problem=Problem.IO_ERROR)) if unanswered else row)


def _make_sure(target: Target) -> None:
    """Raise StoreUnavailable if the store is gone."""
    with open_store(target):
        return


def _settle(doubtful: list[tuple[Copy, Row]], rows: list[Row]) -> list[Copy]:
    """Move what failed to `rows`; return that of which the store said nothing: it is asked for again."""
    rows += [row for _, row in doubtful if row[-1] != Problem.OUT_OF_REACH]
    again = [copy for copy, row in doubtful if row[-1] == Problem.OUT_OF_REACH]
    doubtful.clear()
    return again


def _in_turn(
    store: Store, copies: list[Copy], buffer: memoryview, reading: Reading, patients: set[Patient]
) -> Iterator[tuple[Copy, Row]]:
    for copy, stream in store.read(copies, reading.first_bytes):
        yield copy, examine(copy, stream, buffer, reading, patients)


def _copy(listed: Listed) -> Copy:
    key, size, modified, inode, version, study, series, sop, sop_class = listed
    return Copy(
        key=key,
        size=UNSIZED if size is None else size,
        modified=modified,
        inode=inode,
        version=version,
        study_instance_uid=study,
        series_instance_uid=series,
        sop_instance_uid=sop,
        sop_class_uid=sop_class,
    )


def _cost(size: int | None, reading: Reading) -> int:
    """Return how many bytes of an object of a `size` are read, as far as it is known."""
    size = size or 0
    return size if reading.first_bytes is None else min(size, reading.first_bytes)


def _chunks(
    planned: Iterable[Listed], rest: int, reading: Reading, finished: set[int], progress: Progress
) -> Iterator[Chunk]:
    """Yield what is not `finished` of what is planned, which is `rest` bytes in all."""
    number = 0
    listed: list[Listed] = []
    size = 0
    enough = min(_CHUNK_BYTES, max(rest // _SHARE_OF_REST, _LEAST_CHUNK_BYTES))
    # A PACS sends whole studies: one that was parted would be sent twice.
    by_study = reading.target.kind in PACS
    # Not whether it is faster here: an audit that is taken up again must find the same chunks.
    fewest = LANES if may_be_side_by_side(reading) else 1
    for row in planned:
        full = len(listed) >= (fewest if size >= enough else _CHUNK_OBJECTS) or size >= _MOST_CHUNK_BYTES
        if full and not (by_study and row[_STUDY] == listed[-1][_STUDY]):
            if number in finished:
                progress(len(listed), size)
            else:
                yield Chunk(number, reading, tuple(listed))
            rest -= size
            enough = min(_CHUNK_BYTES, max(rest // _SHARE_OF_REST, _LEAST_CHUNK_BYTES))
            number, listed, size = number + 1, [], 0
        listed.append(row)
        size += _cost(row[1], reading)
    if listed and number not in finished:
        yield Chunk(number, reading, tuple(listed))


def _groups(chunks: Iterable[Chunk], rest: int, folder: Path, parts: str) -> Iterator[Group]:
    """Yield `chunks` in groups that are cut the same way again: one that is written twice is then the same part."""
    enough = min(max(rest // _GROUPS, _CHUNK_BYTES), _GROUP_BYTES)
    group: list[Chunk] = []
    size = objects = 0
    for chunk in chunks:
        group.append(chunk)
        size += sum(_cost(row[1], chunk.reading) for row in chunk.listed)
        objects += len(chunk.listed)
        if size >= enough or objects >= _GROUP_OBJECTS:
            yield Group(folder, parts, tuple(group))
            group, size, objects = [], 0, 0
    if group:
        yield Group(folder, parts, tuple(group))


def _read_elsewhere(
    db: "DuckDBPyConnection", pool: Workers, groups: Iterable[Group], at_once: int | None, progress: Progress
) -> int:
    """Have groups read by workers that write the parts themselves; return how many bytes were read."""
    from exactcopy.inventory.database import see

    now = 0
    files: list[Path] = []
    for group, result in pool.map(read_group, groups, at_once=at_once):
        written = _chunk_by_chunk(db, pool, group) if isinstance(result, Died) else result
        files += written.files
        now += written.size
        progress(sum(len(chunk.listed) for chunk in group.chunks), written.size)
    see(files)
    return now


def _chunk_by_chunk(db: "DuckDBPyConnection", pool: Workers, group: Group) -> Written:
    """Read a group whose workers died, so that only the guilty object stays unread; the part is the same."""
    part = Part()
    size = 0
    for chunk, result in list(pool.map(read_chunk, group.chunks, at_once=1)):
        size += part.add(chunk, _one_by_one(pool, chunk) if isinstance(result, Died) else result)
    return Written(size, write_part(db, part, group.chunks[0].reading, group.folder, group.parts))


def _planned(db: "DuckDBPyConnection", todo: Path) -> Iterator[Listed]:
    from exactcopy.inventory.database import parquet

    # A cursor of its own: the connection writes parts while this is being read.
    planned = db.cursor().execute(
        f"select * exclude (turn, place) from {parquet(todo.parent, todo.name)} order by turn, place, key"
    )
    while batch := planned.fetchmany(5000):
        yield from batch


def _one_by_one(pool: Workers, chunk: Chunk) -> Read:
    """Read the objects of a chunk that killed its worker, so that only the guilty one stays unread."""
    read = Read()
    singles = (Chunk(chunk.number, chunk.reading, (row,)) for row in chunk.listed)
    for single, result in list(pool.map(read_chunk, singles, at_once=chunk.reading.target.concurrency)):
        if isinstance(result, Died):
            read.rows.append(row_of(_copy(single.listed[0]), Identity(problem=Problem.IO_ERROR)))
        else:
            read.rows += result.rows
            read.tokens |= result.tokens
            read.lost = result.lost or read.lost
    return read
