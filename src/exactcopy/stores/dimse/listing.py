"""What one study holds, and whether that is all of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from exactcopy.model import UNSIZED, Copy, Gap, Problem
from exactcopy.stores.dimse.finding import Finds, Row

# Studies arrive and are corrected while they are listed.
_TRIES = 2


@dataclass(slots=True)
class _Study:
    """What was found of a study; `problem` says why it may not be all of it."""

    copies: dict[str, Copy] = field(default_factory=dict)
    absent: bool = False
    problem: Problem | None = None


def list_study(finder: Finds, study: str, *, seen: bool) -> Iterator[Copy | Gap]:
    """Yield the instances of a study, and a Gap where there may be more.

    Nothing is yielded of a study that the server says is absent, unless it was `seen` there a moment ago.
    """
    found = _Study(problem=Problem.IO_ERROR)
    if _can_be_asked_for(study):
        for _ in range(_TRIES):
            found = _find(finder, study)
            if found.problem is None and not (found.absent and seen):
                break
    yield from found.copies.values()
    if found.problem or (found.absent and seen):
        yield Gap(scope=study.encode(), reason=found.problem or Problem.IO_ERROR)


def absent(finder: Finds, level: str, uids: Mapping[str, str]) -> Problem | None:
    """Return None where the server says cleanly that it has no such thing, else why that cannot be said."""
    if not all(map(_can_be_asked_for, uids.values())):
        return Problem.IO_ERROR
    answer = finder.ask(level, uids)
    return Problem.IO_ERROR if _of(answer.rows, **uids) else answer.problem


def classes_of(finder: Finds, study: str, series: str, asked: Iterable[str]) -> dict[str, str]:
    """Return the SOP Class UIDs of instances of a series, empty where the server does not tell.

    What it says cleanly that it does not have is left out.
    """
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
    answer = finder.ask("IMAGE", {**uids, "SOPInstanceUID": "", "SOPClassUID": ""})
    told = {row["SOPInstanceUID"]: row["SOPClassUID"] for row in _of(answer.rows, **uids)}
    return {sop: told.get(sop, "") for sop in asked if sop in told or answer.problem}


def _find(finder: Finds, study: str) -> _Study:
    found = _Study()

    def ask(level: str, **keys: str) -> list[Row]:
        answer = finder.ask(level, {"StudyInstanceUID": study, **keys})
        found.problem = found.problem or answer.problem
        return _of(answer.rows, StudyInstanceUID=study)

    # Two patients may have a study of one UID: a row for each.
    rows = ask("STUDY", NumberOfStudyRelatedInstances="")
    if not rows:
        found.absent = found.problem is None
        return found
    told = _sum(rows, "NumberOfStudyRelatedInstances")
    series = ask("SERIES", SeriesInstanceUID="", NumberOfSeriesRelatedInstances="")
    for uid in dict.fromkeys(row["SeriesInstanceUID"] for row in series):
        images = (
            ask("IMAGE", SeriesInstanceUID=uid, SOPInstanceUID="", SOPClassUID="") if _can_be_asked_for(uid) else []
        )
        images = _of(images, SeriesInstanceUID=uid)
        for row in images:
            sop = row["SOPInstanceUID"]
            if sop:
                found.copies.setdefault(sop, _copy(study, uid, row))
        if not images or not all(row["SOPInstanceUID"] for row in images):
            found.problem = found.problem or Problem.IO_ERROR
    if told is None:
        # Where the server counts neither studies nor series, all there is is its word that the answers were complete.
        told = _sum(series, "NumberOfSeriesRelatedInstances")
    if not (found.copies if told is None else told == len(found.copies)):
        found.problem = found.problem or Problem.IO_ERROR
    return found


def _of(rows: list[Row], **uids: str) -> list[Row]:
    """Return the rows that are of what was asked for: not every server keeps to it, or repeats it."""
    return [row for row in rows if all(row[keyword] in (uid, "") for keyword, uid in uids.items())]


def _sum(rows: list[Row], keyword: str) -> int | None:
    counts = [row[keyword] for row in rows]
    return sum(map(int, counts)) if counts and all(count.isdecimal() and len(count) < 10 for count in counts) else None


def _can_be_asked_for(uid: str) -> bool:
    """Say whether a UID stands for itself: an empty one matches all, a backslash parts two (PS3.4 C.2.2.2)."""
    return bool(uid) and "\\" not in uid and uid == uid.strip("\0 ")


def _copy(study: str, series: str, row: Row) -> Copy:
    sop = row["SOPInstanceUID"]
    return Copy(
        key=f"{study}/{series}/{sop}".encode(),
        size=UNSIZED,
        modified=None,
        study_instance_uid=study,
        series_instance_uid=series,
        sop_instance_uid=sop,
        sop_class_uid=row["SOPClassUID"] or None,
    )
