"""Restore studies for real: from the backup alone, whole, equal, and every frame opens."""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from time import perf_counter
from typing import Any

from duckdb import DuckDBPyConnection

from exactcopy.costs import read_back_cost
from exactcopy.errors import StoreUnavailable
from exactcopy.inventory.database import literal, parquet, row, rows, save_rows
from exactcopy.model import Copy, Cost, Outcome, Problem, Target
from exactcopy.pool import Died, Workers
from exactcopy.proof import Opened, content_of, digest_of, fetch, opens
from exactcopy.reconcile.case import Case, Examined, copy_of
from exactcopy.reconcile.outcomes import settle
from exactcopy.recovery import Returned, broken_off, recover
from exactcopy.results import Recovery, RecoverySummary, RestoreSummary, RestoreTest, Sample
from exactcopy.sampling import PRESETS, certainty, draw, frame_digest, sample_size, seed, upper_limit
from exactcopy.stores import PACS, Sent, open_store
from exactcopy.stores.bounded import readers, share

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
    "recovery": "varchar",
}
# What can come of a study in the recovery PACS.
_STUDIES = ("recovered", "failed", "held", "not_tested")
# What of an instance is counted on its way through the recovery PACS.
_STEPS = ("instances", "accepted", "found", "retrieved", "equal", "decoded", "not_decodable")
RESTORED, FAILED, NOT_DECODABLE, NOT_TESTED = "restored", "failed", "not_decodable", "not_tested"
# Why a study was not tested: it would have cost more than `max_egress_cost`.
OVER_COST = "over_cost"
IN_COLD_STORAGE = "in_cold_storage"
# Why an image did not come back, where that is known.
_WHY_NOT = {
    Problem.ARCHIVED: IN_COLD_STORAGE,
    Problem.PERMISSION: "not_permitted",
    Problem.AMBIGUOUS: "name_shared",
}
# A study takes minutes; a decoder that hangs on a damaged image takes forever.
_LONGEST = 2 * 60 * 60
_LONGEST_PACED = 24 * 60 * 60


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
    purged: int
    random: tuple[str, ...]
    certainty: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """One study to restore: its objects on the backup, each with the SHA-256 that would prove it.

    And the digest of its content, where the backup may send it in other packaging than last time. Without `scratch` it
    goes to a folder of the worker's own. What came back whole is put into `recovery`, if there is one; `state` is where
    that is remembered until it is removed. `cold` are the keys of what the listing shows in cold storage.
    """

    backup: Target
    scratch: Path | None
    study_instance_uid: str
    certainty: bool
    copies: tuple[tuple[Copy, bytes, str | None], ...]
    recovery: Target | None = None
    state: Path = Path()
    cold: frozenset[bytes] = frozenset()


def draw_studies(case: Case, backup: Examined, sample: str, previous: str | None, failed: Iterable[str]) -> Draw:
    """Return the draw for `backup`: of the studies that have no known gap there, wholly present.

    What a primary purged is among them: it is nowhere but on backups.

    `previous` is the manifest digest of the last record, `failed` the studies whose restore failed then.
    """
    name = literal(backup.target.name)
    preset = PRESETS[sample]
    ranked = rows(
        case.db,
        f"""select study, coalesce(max(day), 0), sum(bytes)::bigint from study_states
            where backup = {name} and study in (select study from ({_frame(name)})) group by study""",
    )
    frame = [study for study, _, _ in ranked]
    left_out = Counter(
        why
        for why, _ in rows(
            case.db,
            f"""select case when bool_or(state = 'gap') then 'gap'
                when bool_or(state = 'not_checked') then 'not_checked'
                when bool_or(state = 'pending') then 'pending' else 'damaged' end as why, count(*)
                from (select study, state from study_states where backup = {name} and not purged) s
                anti join ({_frame(name)}) f using (study) group by study""",
        )
    )
    (purged,) = row(
        case.db,
        f"""select count(*) from (select study from study_states where backup = {name} and study in ({_frame(name)})
            group by study having bool_and(purged))""",
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
        purged=purged,
        random=tuple(chosen),
        certainty=tuple(beside),
    )


def frame_of(case: Case, backup: Target) -> list[str]:
    """Return the studies that a draw of `backup` chooses from, sorted."""
    return [study for (study,) in rows(case.db, f"{_frame(literal(backup.name))} order by study")]


def restore_drawn(
    case: Case,
    pool: Workers,
    draws: Sequence[Draw],
    scratch: Path,
    recovery: Target | None,
    progress: Callable[[], None],
    restorable: Mapping[str, int],
) -> list[RestoreTest]:
    """Restore every drawn study into `scratch` and return what came of each; `scratch` is empty afterwards.

    What came back whole is put into the PACS `recovery`, if there is one. Instances of studies that came back whole
    and equal are marked in the table `outcomes`. Of a backup that `restorable` names no more bytes are brought back
    than it says: from the first study on that would exceed that, none is tested.
    """
    scratch.mkdir(parents=True, mode=0o700, exist_ok=True)
    tests: list[RestoreTest] = []
    # Any of the backups may be in the next task.
    at_once = min((readers(drawn.backup, pool.workers) for drawn in draws), default=None)
    if pool.elsewhere and recovery:
        # A lock that no two computers get at once is more than every share of files has.
        at_once = 1
    bounded = [replace(drawn, backup=share(drawn.backup, at_once or 1)) for drawn in draws]
    longest = _LONGEST_PACED if any(drawn.backup.max_rate for drawn in draws) else _LONGEST
    # Beside scratch, which is removed in every ending, lies what outlives it.
    all_tasks = _tasks(case, bounded, None if pool.elsewhere else scratch, scratch.parent, recovery)
    tasks = _within(restorable, all_tasks, tests)
    for task, result in pool.map(restore_study, tasks, longest, at_once):
        progress()
        if isinstance(result, Died):
            if task.scratch:
                shutil.rmtree(_place(task, task.scratch), ignore_errors=True)
            result = _unmade(task, NOT_DECODABLE, "decoder_died")
            if task.recovery:
                gone = broken_off(task.recovery, task.state, task.study_instance_uid)
                result = replace(result, recovery=gone)
        tests.append(result)
    good = [
        (test.backup, test.study_instance_uid)
        for test in tests
        if test.outcome in (RESTORED, NOT_DECODABLE) and test.instances
    ]
    if good:
        case.db.executemany("insert into restored values (?, ?)", good)
    case.db.execute(
        "insert into came_back select distinct o.primary_store, o.backup, o.sop from placed o semi join restored r"
        " on r.backup = o.backup and r.study = o.study"
    )
    _doubt(case, [(test.backup, test.study_instance_uid) for test in tests if test.outcome == FAILED])
    settle(case)
    return sorted(tests, key=lambda test: (test.backup, test.certainty, test.study_instance_uid))


def _doubt(case: Case, failed: Sequence[tuple[str, str]]) -> None:
    """Take back what a store's checksums cleared in studies that did not come back as they say."""
    if not failed:
        return
    unverified = literal(Outcome.UNVERIFIED)
    case.db.execute("create or replace table failed (backup varchar, study varchar)")
    case.db.executemany("insert into failed values (?, ?)", failed)
    # Of what is alike there is one object on either side.
    case.db.execute(
        f"""
        create or replace table cleared as
        select distinct o.primary_store, o.backup, o.sop from placed o semi join failed f
            on f.backup = o.backup and f.study = o.study where o.reported is not null;
        update unlike set outcome = {unverified}
        where (primary_store, backup, sop) in (select (primary_store, backup, sop) from cleared);
        insert into unlike by name
        select a.* exclude (outcome), {unverified} as outcome, p.series, p.key as primary_key, b.key as backup_key,
               p.sha256 as primary_sha256, b.sha256 as backup_sha256, true as present
        from alike a semi join cleared c using (primary_store, backup, sop)
        join judged p on p.store = a.primary_store and p.sop = a.sop
        join objects b on b.store = a.backup and b.sop = a.sop;
        insert into doubted select primary_store, backup, sop from alike
        semi join cleared using (primary_store, backup, sop)
        """
    )


def restore_study(task: Task) -> RestoreTest:
    """Bring one study back from its backup and prove it. Runs in a worker; leaves nothing behind."""
    try:
        with _placed(task) as place:
            return _restore(task, place)
    except StoreUnavailable as error:
        return _unmade(task, NOT_TESTED, error.code)
    except OSError:
        # What went wrong is on our side: it says nothing of the backup.
        return _unmade(task, NOT_TESTED, "scratch_not_writable")


@contextmanager
def _placed(task: Task) -> Iterator[Path]:
    """Give an empty folder, 0700, that is removed in every ending."""
    if task.scratch is None:
        with tempfile.TemporaryDirectory(prefix="exactcopy-", ignore_cleanup_errors=True) as name:
            yield Path(name)
        return
    place = _place(task, task.scratch)
    # A worker that was killed had no time to clear up.
    shutil.rmtree(place, ignore_errors=True)
    try:
        place.mkdir(mode=0o700)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def summarize(
    case: Case, drawn: Draw, tests: Sequence[RestoreTest], recovery: Target | None, refused: str | None
) -> RestoreSummary:
    """Return what the test restore of one backup shows, the random draw and the certainty items apart.

    `refused` is why nothing was put into `recovery`.
    """
    mine = [test for test in tests if test.backup == drawn.backup.name]
    random = [test for test in mine if not test.certainty]
    beside = [test for test in mine if test.certainty]
    counts, counts_beside = _counts(random, len(drawn.random)), _counts(beside, len(drawn.certainty))
    size, seconds = sum(test.bytes for test in mine), sum(test.seconds for test in mine)
    (whole,) = row(
        case.db,
        f"""select coalesce(sum(size), 0)::bigint from (select max(size) as size from objects
            where store in ({", ".join(literal(name) for name in drawn.backup.covers)}) and sop is not null
            group by sop)""",
    )
    copy_back_hours = round(whole / (size / seconds) / 3600, 4) if size and seconds else None
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
            purged=drawn.purged,
            # What could not be tested may fail: it counts as if it did.
            upper_limit=(
                upper_limit(drawn.frame, len(drawn.random), len(random) - counts["restored"], drawn.confidence)
                if drawn.method == "random"
                else None
            ),
        ),
        copy_back_hours=copy_back_hours,
        egress_cost=read_back_cost(drawn.backup.cost or Cost(), size),
        destination=recovery.name if recovery else "scratch folder",
        problems=dict(sorted(Counter(problem for test in mine for problem in test.problems).items())),
        reason=None if drawn.random else "no study is wholly present there without a known gap",
        recovery=_summarize_recovery(recovery, refused, mine, whole, copy_back_hours) if recovery else None,
    )


def _summarize_recovery(
    target: Target, refused: str | None, tests: Sequence[RestoreTest], whole: int, copy_back_hours: float | None
) -> RecoverySummary:
    """Return what became of the studies in the recovery PACS; `whole` bytes are to be recovered in all."""
    tried = [test.recovery for test in tests if test.recovery]
    outcomes = Counter(each.outcome for each in tried)
    if refused:
        outcomes["not_tested"] += sum(test.outcome in (RESTORED, NOT_DECODABLE) for test in tests)
    size, seconds = sum(each.bytes for each in tried), sum(each.put_seconds for each in tried)
    put_hours = whole / (size / seconds) / 3600 if size and seconds else None
    return RecoverySummary(
        name=target.name,
        kind=target.kind,
        studies={outcome: outcomes[outcome] for outcome in _STUDIES},
        instances={step: sum(getattr(each, step) for each in tried) for step in _STEPS},
        rendered=_answers([each.rendered for each in tried]),
        removed=_answers([each.removed for each in tried]) if target.options.get("cleanup") else None,
        bytes=size,
        put_seconds=round(seconds, 3),
        back_bytes=sum(each.back_bytes for each in tried),
        back_seconds=round(sum(each.back_seconds for each in tried), 3),
        hours=round(put_hours + copy_back_hours, 4) if put_hours is not None and copy_back_hours is not None else None,
        problems=dict(sorted(Counter(problem for each in tried for problem in each.problems).items())),
        refused=refused,
    )


def _answers(given: Sequence[bool | None]) -> dict[str, int]:
    return {"asked": sum(answer is not None for answer in given), "done": sum(answer is True for answer in given)}


def write_tests(db: DuckDBPyConnection, path: Path, tests: Sequence[RestoreTest]) -> None:
    """Write every test, with the study's UID: the file belongs under restricted/."""
    rows = [
        [
            *(getattr(test, name) for name in list(_TESTS)[:-1]),
            json.dumps(asdict(test.recovery)) if test.recovery else None,
        ]
        for test in tests
    ]
    save_rows(db, _TESTS, rows, path)


def read_tests(db: DuckDBPyConnection, path: Path) -> list[RestoreTest]:
    """Return the tests of a record."""
    found = db.execute(f"select * from {parquet(path.parent, path.name)}")
    # An older record has fewer columns.
    named = [column for column, *_ in found.description]
    return [_test(dict(zip(named, values, strict=True))) for values in found.fetchall()]


def _test(row: dict[str, Any]) -> RestoreTest:
    recovery = row.pop("recovery", None)
    return RestoreTest(
        **{**row, "problems": tuple(row["problems"])},
        recovery=Recovery(**json.loads(recovery)) if recovery else None,
    )


def _counts(tests: Sequence[RestoreTest], planned: int) -> dict[str, int]:
    found = Counter(test.outcome for test in tests)
    # What was drawn and nothing came of was not tested.
    found[NOT_TESTED] += planned - len(tests)
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
            digest = None if isinstance(stream, Problem) else fetch(stream, path, None if repackages else copy.size)
            if digest is None:
                failed = stream if isinstance(stream, Problem) else Problem.IO_ERROR
                if failed is Problem.IO_ERROR and copy.key in task.cold:
                    # Through rclone a refusal comes without words.
                    failed = Problem.ARCHIVED
                problems.append(_WHY_NOT.get(failed, "not_readable"))
                continue
            arrived[copy.key] = (path, digest)
            size += path.stat().st_size
    seconds = perf_counter() - begun
    undecodable = 0
    returned: list[Returned] = []
    for copy, expected, content in task.copies:
        if copy.key not in arrived:
            continue
        path, digest = arrived[copy.key]
        if digest_of(path) != digest or (digest != expected and not (content and content_of(path) == content)):
            problems.append("not_equal")
            continue
        opened = opens(path)
        undecodable += opened.undecodable
        if opened.problem:
            problems.append(opened.problem)
        returned.append(_returned(path, digest, opened))
    return RestoreTest(
        backup=task.backup.name,
        study_instance_uid=task.study_instance_uid,
        certainty=task.certainty,
        instances=len(arrived),
        bytes=size,
        seconds=seconds,
        outcome=_outcome(problems, undecodable),
        not_decodable=undecodable,
        problems=tuple(sorted(set(problems))),
        # What failed here would fail there.
        recovery=recover(task.recovery, task.state, returned, place) if task.recovery and not problems else None,
    )


def _outcome(problems: Sequence[str], undecodable: int) -> str:
    if set(problems) == {IN_COLD_STORAGE}:
        # All else came back equal; what has to be thawed first was no more tested than what was never asked for.
        return NOT_TESTED
    return FAILED if problems else NOT_DECODABLE if undecodable else RESTORED


def _returned(path: Path, digest: bytes, opened: Opened) -> Returned:
    identity = opened.identity
    sent = Sent(
        path=path,
        size=path.stat().st_size,
        study_instance_uid=identity.study_instance_uid or "",
        series_instance_uid=identity.series_instance_uid or "",
        sop_instance_uid=identity.sop_instance_uid or "",
        sop_class_uid=identity.sop_class_uid or "",
        transfer_syntax_uid=identity.transfer_syntax_uid or "",
    )
    return Returned(sent=sent, digest=digest, frames=opened.frames)


def _tasks(
    case: Case, draws: Sequence[Draw], scratch: Path | None, state: Path, recovery: Target | None
) -> Iterable[Task]:
    taker = _takers(draws) if recovery and not recovery.options.get("cleanup") else {}
    for drawn in draws:
        repackages = drawn.backup.kind in PACS
        studies = (*drawn.random, *drawn.certainty)
        for turn, objects in groupby(_objects(case, drawn.backup.name, studies), itemgetter(0)):
            found = list(objects)
            copies = tuple(
                # An unverified copy has to be the primary's bytes; an equivalent one is what was compared.
                (copy_of(copy), theirs if outcome == "equivalent" else ours or b"", content if repackages else None)
                for _, copy, ours, theirs, outcome, content in found
            )
            study = studies[turn]
            receives = recovery if taker.get(study, drawn.backup.name) == drawn.backup.name else None
            cold = frozenset(copy["key"] for _, copy, *_ in found if copy["archived"])
            yield Task(drawn.backup, scratch, study, turn >= len(drawn.random), copies, receives, state, cold)


def _within(restorable: Mapping[str, int], tasks: Iterable[Task], left_out: list[RestoreTest]) -> Iterator[Task]:
    """Yield the tasks that bring back no more than `restorable`; the others are not tested, and `left_out`."""
    rest = dict(restorable)
    for task in tasks:
        name = task.backup.name
        if name in rest:
            rest[name] -= sum(copy.size for copy, _, _ in task.copies)
            if rest[name] < 0:
                left_out.append(_unmade(task, NOT_TESTED, OVER_COST))
                continue
        yield task


def _objects(case: Case, backup: str, studies: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield each object on a backup that belongs to one of `studies`, with the place of that in the list, in order."""
    found = case.db.cursor().execute(
        """with drawn as (select unnest($studies::varchar[]) as study, unnest(range(len($studies))) as turn),
                wanted as (select d.turn, o.* from drawn d join placed o using (study)
                           where o.backup = $backup and o.present)
           select distinct on (w.turn, c.key) w.turn, c, case when alike then c.sha256 else w.primary_sha256 end,
                  case when alike then c.sha256 else w.backup_sha256 end, w.outcome, p.content
           from (select *, backup_key is null as alike from wanted) w
           join objects c on c.store = w.backup and c.sop = w.sop and (w.alike or c.key = w.backup_key)
           left join judged p on p.store = w.primary_store and p.sop = w.sop and (w.alike or p.key = w.primary_key)
           order by w.turn, c.key""",
        {"studies": list(studies), "backup": backup},
    )
    while batch := found.fetchmany(1000):
        yield from batch


def _takers(draws: Sequence[Draw]) -> dict[str, str]:
    """Return from which backup each study goes into a recovery PACS that keeps what it gets: one, each in its turn."""
    drawn: dict[str, list[str]] = {}
    for each in draws:
        for study in (*each.random, *each.certainty):
            drawn.setdefault(study, []).append(each.backup.name)
    return {study: names[number % len(names)] for number, (study, names) in enumerate(sorted(drawn.items()))}


def _frame(backup: str) -> str:
    """Return the SQL of the studies that are wholly present on a backup, with no known gap or damage."""
    return f"""select study from study_states where backup = {backup} group by study
        having sum(identical + equivalent + unverified) = sum(instances) and sum(damaged) = 0"""


def _place(task: Task, scratch: Path) -> Path:
    # Never a UID from a file in a path: its digest.
    name = sha256(f"{task.backup.name}\0{task.study_instance_uid}".encode()).hexdigest()[:24]
    return scratch / name


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
