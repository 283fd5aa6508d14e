"""The trend for a terminal and for machines: a line for every audit that was ever begun, the newest last."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exactcopy import records
from exactcopy.config import Config
from exactcopy.errors import RecordError
from exactcopy.records.timeline import Entry, State, summary, timeline
from exactcopy.report import brief, words

Summary = Mapping[str, Any]

# A backup's share of protected studies, lowest first; the last mark is for all of them and for nothing less.
BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN = "123456789*"
NOT_EXAMINED, NOT_THERE = "?", "-"
MOST_MARKS = 24
# Of an audit without a record there is its day and what became of it.
ONE_REMARK = 2


def entries(config: Config) -> list[Entry]:
    """Return every audit that was begun, oldest first. Raises RecordError where there is none, or no chain."""
    found = timeline(config, records.chain(config))
    if not found:
        raise RecordError(f"{config.records}: there is no record yet. Run `exactcopy audit {config.path.name}` first.")
    return found


def document(found: Sequence[Entry]) -> dict[str, Any]:
    """Return what `--format json` prints."""
    return {"schema": records.SCHEMA, "audits": [_plain(entry) for entry in found]}


def _plain(entry: Entry) -> dict[str, Any]:
    said = {"id": entry.id, "started": entry.started.isoformat(), "state": entry.state.value}
    if entry.audit is None:
        return said
    return said | {**summary(entry.audit), "corrective_actions_left": brief.actions_left(entry.audit)}


def lines(config: Config, found: Sequence[Entry], marks: str) -> Iterator[str]:
    """Yield what a person is told; `marks` are those of the trend that the terminal can show."""
    rows = [_row(entry, words.Clock(config.time_zone)) for entry in found]
    widths = [max(map(len, column)) for column in zip(*(row for row in rows if len(row) > ONE_REMARK), strict=True)]
    yield f"{config.facility}: {words.counted(len(found), 'audits')}"
    yield ""
    for row in rows:
        padded = [text.ljust(width) for text, width in zip(row[:-1], widths, strict=False)] or row[:-1]
        yield f"  {'  '.join([*padded, row[-1]])}".rstrip()
    yield ""
    yield from _trend([summary(entry.audit) for entry in found if entry.audit], marks)


def _row(entry: Entry, clock: words.Clock) -> list[str]:
    day = clock.date(entry.started.isoformat())
    if entry.audit is None:
        return [day, f"begun, {entry.state}" if entry.state is not State.AWAY else "finished; its record is not here"]
    said = summary(entry.audit)
    left = brief.actions_left(entry.audit)
    return [
        day,
        brief.concluded(entry.audit),
        brief.weakest(said),
        brief.restores(said),
        brief.severities(said),
        f"{words.counted(left, 'actions')} left" if left else "",
    ]


def _trend(said: Sequence[Summary], marks: str) -> Iterator[str]:
    """Yield the share of protected studies of each backup, a mark for each of the last audits."""
    last = said[-MOST_MARKS:]
    names = list(dict.fromkeys(name for each in reversed(last) for name in each["backups"]))
    width = max((len(name) for name in names), default=0)
    if names:
        yield f"Studies with an exact copy, one mark for each of {words.counted(len(last), 'audits')}:"
    for name in names:
        row = "".join(mark(each["backups"].get(name), marks) for each in last)
        newest = next(each["backups"][name] for each in reversed(last) if name in each["backups"])
        counted = words.out_of(newest["protected"], newest["total"]) if newest["examined"] else "not examined"
        yield f"  {name.ljust(width)}  {row}  {counted}"
    if names:
        yield f"  {marks[-1]} all, {marks[0]} fewest, {NOT_EXAMINED} not examined, {NOT_THERE} not configured"


def mark(backup: Mapping[str, Any] | None, marks: str) -> str:
    """Give the mark of one backup in one audit; only where every study is protected it is the last of `marks`."""
    if backup is None:
        return NOT_THERE
    if not backup["examined"]:
        return NOT_EXAMINED
    if backup["protected"] == backup["total"]:
        return marks[-1]
    return marks[backup["protected"] * (len(marks) - 1) // backup["total"]]
