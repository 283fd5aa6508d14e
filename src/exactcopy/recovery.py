"""Put a restored study into the recovery PACS, and prove that it is there: found, retrieved, equal, decoded, shown."""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from time import perf_counter, sleep

from exactcopy.dicom.compare import compare
from exactcopy.errors import StoreUnavailable
from exactcopy.inventory.database import literal, rows
from exactcopy.model import Copy, Outcome, Problem, Target
from exactcopy.proof import content_of, digest_of, fetch, opens
from exactcopy.reconcile.case import Case
from exactcopy.results import Recovery
from exactcopy.stores import PACS, Destination, Sent, open_destination

RECOVERED, FAILED, HELD, NOT_TESTED = "recovered", "failed", "held", "not_tested"
# A PACS may need a while until what it took shows in a query.
_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
# Studies of a store that are asked for, to tell it from the recovery PACS.
_PROBES = 20
# Two whole files are held in memory to compare their elements.
_COMPARABLE_BYTES = 1 << 29


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """An instance that came back from a backup, whole and proven. `frames` are those that decode here."""

    sent: Sent
    digest: bytes
    frames: int


def tell_apart(target: Target, case: Case) -> None:
    """Make sure that the recovery PACS is none of the audited stores by another address; raises StoreUnavailable.

    The proof, for each store: of the studies that it lists, the PACS lacks half at least. One that it lacks is none: it
    may have been deleted since. A folder may be where a PACS keeps its files. What is no PACS and could not be examined
    is not there to be written to.
    """
    alike: list[tuple[float, str, int, int]] = []
    with open_destination(target) as destination:
        for store in case.stores:
            name = store.target.name
            if store.inventory is None and store.target.kind not in PACS:
                continue
            listed = rows(
                case.db,
                f"""select distinct study from objects where store = {literal(name)} and sop is not null
                    order by md5(study) limit {_PROBES}""",
            )
            if not listed:
                raise StoreUnavailable(
                    "not_told_apart",
                    target.name,
                    f"{name} was not examined, and could be the same PACS by another address: nothing was put there",
                    "Mend that first, then audit again.",
                )
            held = sum(destination.holds(study) for (study,) in listed)
            if 2 * held > len(listed):
                alike.append((held / len(listed), name, held, len(listed)))
    if alike:
        # What is copied from one store to another is on both: it is most likely the one of which it holds most.
        _, name, held, of = max(alike)
        raise StoreUnavailable(
            "not_told_apart",
            target.name,
            f"it holds {held} of {of} studies that were asked for of {name}, and may be the same by another address:"
            " nothing was put there",
            "Name another PACS; or, if it surely is a test PACS, remove there what earlier tests left.",
        )


def recover(target: Target, state: Path, instances: Sequence[Returned], place: Path) -> Recovery:
    """Put a study's `instances` into the PACS `target`, and say what came of it. `place` is an empty folder of ours.

    Nothing is put where the PACS holds the study already: what is there would prove itself. With `cleanup` what was
    put is removed, and nothing else; `state` remembers what that is if this process is killed.
    """
    try:
        with _turn(place.parent), open_destination(target) as destination:
            return _recover(destination, target, state, instances, place)
    except StoreUnavailable as error:
        return Recovery(outcome=NOT_TESTED, problems=(error.code,))


def broken_off(target: Target, state: Path, study: str) -> Recovery:
    """Return what is known of a study whose worker died before it could say what came of it."""
    left = bool(target.options.get("cleanup")) and _memory(state, target, study).exists()
    return Recovery(outcome=NOT_TESTED, removed=False if left else None, problems=("worker_died",))


def clean_up(target: Target, state: Path) -> None:
    """Remove what tests that were killed have left in the PACS `target`: the next ones may draw other studies."""
    left = {memory: _left(memory) for memory in (state / "recovery").glob("*.json")}
    # What is in another PACS is not to be looked for in this one.
    ours = {
        memory: some[0].study_instance_uid
        for memory, some in left.items()
        if some and memory == _memory(state, target, some[0].study_instance_uid)
    }
    if not ours or not target.options.get("cleanup"):
        return
    # Where it cannot be reached, each study that is to be put there says so.
    with suppress(StoreUnavailable), open_destination(target) as destination:
        for memory, study in ours.items():
            if destination.holds(study):
                _remove_left(memory, destination, study)
            else:
                memory.unlink()


def _recover(
    destination: Destination, target: Target, state: Path, instances: Sequence[Returned], place: Path
) -> Recovery:
    study = instances[0].sent.study_instance_uid
    if not study or any(each.sent.study_instance_uid != study for each in instances):
        return Recovery(outcome=FAILED, problems=("no_study",))
    memory = _memory(state, target, study)
    cleanup = bool(target.options.get("cleanup"))
    if not destination.holds(study):
        # Whatever comes there later is not ours.
        memory.unlink(missing_ok=True)
    elif not (cleanup and _remove_left(memory, destination, study) and not destination.holds(study)):
        return Recovery(outcome=HELD)
    # One UID may stand for two contents; a PACS keeps one of them.
    chosen = {each.sent.sop_instance_uid: each for each in instances}
    sent = [each.sent for each in chosen.values()]
    if cleanup:
        _remember(memory, sent)
    removed = None
    try:
        done = _prove(destination, study, chosen, place)
    except StoreUnavailable as error:
        # How much of it arrived is not known.
        done = Recovery(outcome=NOT_TESTED, problems=(error.code,))
    finally:
        if cleanup:
            removed = _remove(destination, sent)
            if removed:
                memory.unlink()
    if done.outcome == NOT_TESTED:
        return replace(done, removed=removed)
    problems = set(done.problems) | ({"two_contents"} if len(chosen) < len(instances) else set())
    return replace(
        done,
        instances=len(instances),
        outcome=FAILED if problems else RECOVERED,
        removed=removed,
        problems=tuple(sorted(problems)),
    )


def _prove(destination: Destination, study: str, chosen: dict[str, Returned], place: Path) -> Recovery:
    begun = perf_counter()
    accepted = destination.put([each.sent for each in chosen.values()])
    put_seconds = perf_counter() - begun
    found = _find(destination, study, accepted)
    problems = set()
    if len(accepted) < len(chosen):
        problems.add("not_accepted")
    if not accepted <= found.keys():
        problems.add("not_found")
    retrieved = equal = decoded = not_decodable = size = 0
    seconds = 0.0
    begun = perf_counter()
    for copy, stream in destination.store.read(list(found.values())):
        ours = chosen[str(copy.sop_instance_uid)]
        path = place / "back"
        digest = None if isinstance(stream, Problem) else fetch(stream, path)
        seconds += perf_counter() - begun
        try:
            if digest is None:
                problems.add("not_retrieved")
                continue
            retrieved += 1
            size += path.stat().st_size
            if not _equal(ours, path, digest):
                problems.add("not_equal")
                continue
            equal += 1
            opened = opens(path)
            decoded += opened.problem is None and not opened.undecodable
            not_decodable += opened.undecodable
            if opened.problem:
                problems.add(opened.problem)
        finally:
            path.unlink(missing_ok=True)
            begun = perf_counter()
    if equal < len(found) and not problems:
        # Each has to come once: one that never came is none that is equal.
        problems.add("not_retrieved")
    pictures = [copy for sop, copy in found.items() if chosen[sop].frames]
    return Recovery(
        outcome=RECOVERED,
        accepted=len(accepted),
        found=len(found),
        retrieved=retrieved,
        equal=equal,
        decoded=decoded,
        not_decodable=not_decodable,
        # One tells whether the PACS shows images of this study.
        rendered=destination.rendered(pictures[0]) if pictures else None,
        bytes=sum(each.sent.size for sop, each in chosen.items() if sop in accepted),
        put_seconds=put_seconds,
        back_bytes=size,
        back_seconds=seconds,
        problems=tuple(problems),
    )


def _find(destination: Destination, study: str, accepted: frozenset[str]) -> dict[str, Copy]:
    """Return what a query shows of `accepted`, each once."""
    found: dict[str, Copy] = {}
    for pause in _PAUSES:
        sleep(pause)
        for item in destination.store.listing(f"study:{study}"):
            if isinstance(item, Copy) and item.sop_instance_uid in accepted:
                found[str(item.sop_instance_uid)] = item
        if len(found) == len(accepted):
            break
    return found


def _equal(ours: Returned, path: Path, digest: bytes) -> bool:
    """Say whether what came back from the PACS is the instance that was put there, however it is packed."""
    if digest_of(path) != digest:
        return False
    if digest == ours.digest:
        return True
    content = content_of(path)
    if content is not None and content == content_of(ours.sent.path):
        return True
    if max(ours.sent.size, path.stat().st_size) > _COMPARABLE_BYTES:
        return False
    return compare(ours.sent.path.read_bytes(), path.read_bytes()).outcome is Outcome.EQUIVALENT


def _remove(destination: Destination, sent: Sequence[Sent]) -> bool:
    """Remove what was put; False where it cannot be told that nothing of the study is left."""
    try:
        return destination.remove(sent) and not destination.holds(sent[0].study_instance_uid)
    except StoreUnavailable:
        return False


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Let one study at a time into the PACS: it may be a small one, and two backups have the same studies."""
    with (folder / "recovery.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _memory(state: Path, target: Target, study: str) -> Path:
    """Return the file that names what a test puts there until it is removed. Never a UID in a path: its digest."""
    name = sha256(f"{target.identity}\0{study}".encode()).hexdigest()[:24]
    return state / "recovery" / f"{name}.json"


def _remember(memory: Path, instances: Sequence[Sent]) -> None:
    """Write the instances down to the medium, before the first of them is put."""
    memory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    rows = [asdict(each) | {"path": ""} for each in instances]
    with memory.open("w", encoding="utf-8") as file:
        json.dump(rows, file)
        file.flush()
        os.fsync(file.fileno())


def _left(memory: Path) -> list[Sent]:
    """Return what a test that was killed may have left; nothing where none is known of."""
    try:
        return [Sent(**{**row, "path": Path()}) for row in json.loads(memory.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return []


def _remove_left(memory: Path, destination: Destination, study: str) -> bool:
    """Remove what a test that was killed has left of a study; False where not all could be done.

    Nothing is removed where nothing is known of such a test, or where more is there than it put: somebody uses it.
    """
    left = _left(memory)
    known = {each.sop_instance_uid for each in left}
    for item in destination.store.listing(f"study:{study}"):
        if not isinstance(item, Copy) or item.sop_instance_uid not in known:
            return False
    if not left or not destination.remove(left):
        return False
    memory.unlink()
    return True
