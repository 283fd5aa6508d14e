"""Restore studies for real: from the backup alone, whole, equal, and every frame opens."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import file_digest, sha256
from pathlib import Path
from time import perf_counter

from duckdb import DuckDBPyConnection

from exactcopy.costs import read_back_cost
from exactcopy.dicom.header import HeaderReader
from exactcopy.dicom.pixels import check_frames
from exactcopy.errors import ObjectChanged, StoreUnavailable
from exactcopy.inventory.database import literal, parquet, row, rows, save_rows
from exactcopy.model import DAMAGED, Copy, Cost, Problem, Target
from exactcopy.pool import Died, Pool
from exactcopy.reconcile.case import Case, Examined, copy_of
from exactcopy.results import RestoreSummary, RestoreTest, Sample
from exactcopy.sampling import PRESETS, certainty, draw, frame_digest, sample_size, seed, upper_limit
from exactcopy.stores import PACS, Stream, open_store

_TESTS = {
    "backup": "varchar",
    "study_instance_uid": "varchar",
    "certainty": "boolean",
    "instances": "bigint",
    "bytes": "bigint",
    "seconds": "double",
    "outcome": "varchar",
    "not_decodable": "bigint",
    "problems": "varchar[]",
}
RESTORED, FAILED, NOT_DECODABLE, NOT_TESTED = "restored", "failed", "not_decodable", "not_tested"
_BUFFER = 1 << 20
# A study takes minutes; a decoder that hangs on a damaged image takes forever.
_LONGEST = 2 * 60 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Which studies of one backup are restored, fixed before the first of them is read."""

    backup: Target
    method: str
    confidence: float
    tolerable: float
    seed: str
    frame_sha256: str
    frame: int
    left_out: int
    left_out_why: Mapping[str, int]
    random: tuple[str, ...]
    certainty: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """One study to restore: its objects on the backup, each with the SHA-256 that would prove it.

    And the digest of its content, where the backup may send it in other packaging than last time.
    """

    backup: Target
    scratch: Path
    study_instance_uid: str
    certainty: bool
    copies: tuple[tuple[Copy, bytes, str | None], ...]


def draw_studies(case: Case, backup: Examined, sample: str, previous: str | None, failed: Iterable[str]) -> Draw:
    """Return the draw for `backup`: of the studies that have no known gap there, wholly present.

    `previous` is the manifest digest of the last record, `failed` the studies whose restore failed then.
    """
    name = literal(backup.target.name)
    preset = PRESETS[sample]
    ranked = rows(
        case.db,
        f"""select m.study, coalesce(max(day), 0), sum(size)::bigint from outcomes o
            join members m on m.store = o.primary_store and m.sop = o.sop
            join (select sop, max(epoch(study_date))::bigint as day, max(size) as size from objects
                  where store = {name} and sop is not null group by sop) c on c.sop = o.sop
            where backup = {name} and m.study in (select study from ({_frame(name)}))
            group by m.study""",
    )
    frame = [study for study, _, _ in ranked]
    left_out = Counter(
        why
        for why, _ in rows(
            case.db,
            f"""select case when bool_or(state = 'gap') then 'gap'
                when bool_or(state = 'not_checked') then 'not_checked'
                when bool_or(state = 'pending') then 'pending' else 'damaged' end as why, count(*)
                from (select study, state from study_states where backup = {name}) s
                anti join ({_frame(name)}) f using (study) group by study""",
        )
    )
    digest = frame_digest(frame)
    start = seed(previous, digest)
    size = sample_size(len(frame), preset) if frame else 0
    chosen = draw(frame, start, size)
    beside = certainty([(study, int(day), int(size)) for study, day, size in ranked], failed, chosen)
    return Draw(
        backup=backup.target,
        method="none" if not frame else "all" if size == len(frame) else "random",
        confidence=preset.confidence,
        tolerable=preset.tolerable,
        seed=start,
        frame_sha256=digest,
        frame=len(frame),
        left_out=left_out.total(),
        left_out_why={why: left_out[why] for why in ("gap", "pending", "not_checked", "damaged")},
        random=tuple(chosen),
        certainty=tuple(beside),
    )


def frame_of(case: Case, backup: Target) -> list[str]:
    """Return the studies that a draw of `backup` chooses from, sorted."""
    return [study for (study,) in rows(case.db, f"{_frame(literal(backup.name))} order by study")]


def restore_drawn(
    case: Case, pool: Pool, draws: Sequence[Draw], scratch: Path, progress: Callable[[], None]
) -> list[RestoreTest]:
    """Restore every drawn study into `scratch` and return what came of each; `scratch` is empty afterwards.

    Instances of studies that came back whole and equal are marked in the table `outcomes`.
    """
    scratch.mkdir(parents=True, mode=0o700, exist_ok=True)
    tests = []
    for task, result in pool.map(restore_study, _tasks(case, draws, scratch), _LONGEST):
        progress()
        if isinstance(result, Died):
            shutil.rmtree(_place(task), ignore_errors=True)
            result = _unmade(task, NOT_DECODABLE, "decoder_died")
        tests.append(result)
    case.db.execute("create or replace table restored (backup varchar, study varchar)")
    good = [
        (test.backup, test.study_instance_uid)
        for test in tests
        if test.outcome in (RESTORED, NOT_DECODABLE) and test.instances
    ]
    if good:
        case.db.executemany("insert into restored values (?, ?)", good)
    case.db.execute(
        "update outcomes set restored = true from restored r join members m on m.study = r.study"
        " where r.backup = outcomes.backup and m.store = outcomes.primary_store and m.sop = outcomes.sop"
        " and outcomes.backup_key is not null"
    )
    _doubt(case, [(test.backup, test.study_instance_uid) for test in tests if test.outcome == FAILED])
    return sorted(tests, key=lambda test: (test.backup, test.certainty, test.study_instance_uid))


def _doubt(case: Case, failed: Sequence[tuple[str, str]]) -> None:
    """Take back what a store's checksums cleared in studies that did not come back as they say."""
    for backup, study in failed:
        case.db.execute(
            "update outcomes set outcome = 'unverified' from members m where m.study = ? and m.sop = outcomes.sop"
            " and m.store = outcomes.primary_store and outcomes.backup = ? and outcomes.reported is not null",
            [study, backup],
        )


def restore_study(task: Task) -> RestoreTest:
    """Bring one study back from its backup and prove it. Runs in a worker; leaves nothing behind."""
    place = _place(task)
    try:
        place.mkdir(mode=0o700)
        return _restore(task, place)
    except StoreUnavailable as error:
        return _unmade(task, NOT_TESTED, error.code)
    except OSError:
        # What went wrong is on our side: it says nothing of the backup.
        return _unmade(task, NOT_TESTED, "scratch_not_writable")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def summarize(case: Case, drawn: Draw, tests: Sequence[RestoreTest]) -> RestoreSummary:
    """Return what the test restore of one backup shows, the random draw and the certainty items apart."""
    mine = [test for test in tests if test.backup == drawn.backup.name]
    random = [test for test in mine if not test.certainty]
    beside = [test for test in mine if test.certainty]
    counts, counts_beside = _counts(random), _counts(beside)
    size, seconds = sum(test.bytes for test in mine), sum(test.seconds for test in mine)
    (whole,) = row(
        case.db,
        f"""select coalesce(sum(size), 0)::bigint from (select max(size) as size from objects
            where store in ({", ".join(literal(name) for name in drawn.backup.covers)}) and sop is not null
            group by sop)""",
    )
    return RestoreSummary(
        backup=drawn.backup.name,
        planned=len(drawn.random),
        **counts,
        left_out_why=drawn.left_out_why,
        bytes=size,
        seconds=round(seconds, 3),
        certainty={"planned": len(drawn.certainty), **counts_beside},
        sample=Sample(
            method=drawn.method,
            confidence=drawn.confidence,
            tolerable=drawn.tolerable,
            seed=drawn.seed,
            frame_sha256=drawn.frame_sha256,
            frame=drawn.frame,
            left_out=drawn.left_out,
            # What could not be tested may fail: it counts as if it did.
            upper_limit=(
                upper_limit(drawn.frame, len(drawn.random), len(random) - counts["restored"], drawn.confidence)
                if drawn.method == "random"
                else None
            ),
        ),
        copy_back_hours=round(whole / (size / seconds) / 3600, 4) if size and seconds else None,
        egress_cost=read_back_cost(drawn.backup.cost or Cost(), size),
        destination="scratch folder",
        problems=dict(sorted(Counter(problem for test in mine for problem in test.problems).items())),
        reason=None if drawn.random else "no study is wholly present there without a known gap",
    )


def write_tests(db: DuckDBPyConnection, path: Path, tests: Sequence[RestoreTest]) -> None:
    """Write every test, with the study's UID: the file belongs under restricted/."""
    save_rows(db, _TESTS, [[getattr(test, name) for name in _TESTS] for test in tests], path)


def read_tests(db: DuckDBPyConnection, path: Path) -> list[RestoreTest]:
    """Return the tests of a record."""
    found = rows(db, f"select {', '.join(_TESTS)} from {parquet(path.parent, path.name)}")
    return [RestoreTest(**dict(zip(_TESTS, [*values, tuple(problems)], strict=True))) for *values, problems in found]


def _counts(tests: Sequence[RestoreTest]) -> dict[str, int]:
    found = Counter(test.outcome for test in tests)
    return {outcome: found[outcome] for outcome in (RESTORED, FAILED, NOT_DECODABLE, NOT_TESTED)}


def _restore(task: Task, place: Path) -> RestoreTest:
    problems: list[str] = []
    begun = perf_counter()
    arrived: dict[bytes, tuple[Path, bytes]] = {}
    size = 0
    # It was read minutes ago: without this the test would read memory and not the medium.
    backup = replace(task.backup, options={**task.backup.options, "drop_cache": True})
    repackages = backup.kind in PACS
    with open_store(backup) as store:
        wanted = {copy.key: copy for copy, _, _ in task.copies}
        for number, (copy, stream) in enumerate(store.read(wanted.values())):
            path = place / f"{number:07}"
            digest = None if isinstance(stream, Problem) else _fetch(stream, path, None if repackages else copy.size)
            if digest is None:
                problems.append("not_readable")
                continue
            arrived[copy.key] = (path, digest)
            size += path.stat().st_size
    seconds = perf_counter() - begun
    undecodable = 0
    for copy, expected, content in task.copies:
        if copy.key not in arrived:
            continue
        path, digest = arrived[copy.key]
        if _digest(path) != digest or (digest != expected and not (content and _content(path) == content)):
            problems.append("not_equal")
            continue
        problem, undecoded = _opens(path)
        undecodable += undecoded
        if problem:
            problems.append(problem)
    return RestoreTest(
        backup=task.backup.name,
        study_instance_uid=task.study_instance_uid,
        certainty=task.certainty,
        instances=len(arrived),
        bytes=size,
        seconds=seconds,
        outcome=FAILED if problems else NOT_DECODABLE if undecodable else RESTORED,
        not_decodable=undecodable,
        problems=tuple(sorted(set(problems))),
    )


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return file_digest(file, "sha256").digest()


def _content(path: Path) -> str | None:
    from exactcopy.dicom.canonical import ContentDigest

    content = ContentDigest()
    with path.open("rb") as file:
        while piece := file.read(_BUFFER):
            content.update(piece)
    digest = content.digest()
    return digest.hex() if digest else None


def _opens(path: Path) -> tuple[str | None, bool]:
    """Return what keeps a restored file from being used, and whether this machine cannot decode it."""
    reader = HeaderReader()
    with path.open("rb") as file:
        while piece := file.read(_BUFFER):
            reader.feed(piece)
        identity = reader.close()
        if identity.sop_instance_uid is None or identity.problem in DAMAGED:
            return "not_whole", False
        file.seek(0)
        check = check_frames(file)
    return ("not_opening" if check.failed else None), check.undecodable


def _fetch(stream: Stream, path: Path, size: int | None) -> bytes | None:
    """Write the stream to `path`, down to the medium, and return the SHA-256 of what came; None if not all did.

    `size` is how much there is, where that is known before.
    """
    digest = sha256()
    buffer = memoryview(bytearray(_BUFFER))
    with path.open("xb") as file:
        while True:
            try:
                count = stream.readinto(buffer)
            except (OSError, ObjectChanged):
                return None
            if not count:
                break
            file.write(buffer[:count])
            digest.update(buffer[:count])
            if size is not None and file.tell() > size:
                return None
        file.flush()
        os.fsync(file.fileno())
    return digest.digest()


def _tasks(case: Case, draws: Sequence[Draw], scratch: Path) -> Iterable[Task]:
    for drawn in draws:
        repackages = drawn.backup.kind in PACS
        for beside, studies in ((False, drawn.random), (True, drawn.certainty)):
            for study in studies:
                found = case.db.cursor().execute(
                    """select distinct on (o.backup_key) c, o.primary_sha256, o.backup_sha256, o.outcome, p.content
                       from outcomes o join objects c on c.store = o.backup and c.key = o.backup_key
                       join members m on m.store = o.primary_store and m.sop = o.sop
                       left join objects p on p.store = o.primary_store and p.key = o.primary_key
                       where o.backup = ? and m.study = ? order by o.backup_key""",
                    [drawn.backup.name, study],
                )
                copies = tuple(
                    # An unverified copy has to be the primary's bytes; an equivalent one is what was compared.
                    (copy_of(copy), theirs if outcome == "equivalent" else ours or b"", content if repackages else None)
                    for copy, ours, theirs, outcome, content in found.fetchall()
                )
                yield Task(drawn.backup, scratch, study, beside, copies)


def _frame(backup: str) -> str:
    """Return the SQL of the studies that are wholly present on a backup, with no known gap or damage."""
    return f"""select study from study_states where backup = {backup} group by study
        having sum(identical + equivalent + unverified) = sum(instances) and sum(damaged) = 0"""


def _place(task: Task) -> Path:
    # Never a UID from a file in a path: its digest.
    name = sha256(f"{task.backup.name}\0{task.study_instance_uid}".encode()).hexdigest()[:24]
    return task.scratch / name


def _unmade(task: Task, outcome: str, problem: str) -> RestoreTest:
    return RestoreTest(
        backup=task.backup.name,
        study_instance_uid=task.study_instance_uid,
        certainty=task.certainty,
        instances=0,
        bytes=0,
        seconds=0.0,
        outcome=outcome,
        problems=(problem,),
    )
