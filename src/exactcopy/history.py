"""The trend for a terminal and for machines: a line for every audit that was ever begun, the newest last."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exactcopy import records
from exactcopy.config import Config
from exactcopy.errors import RecordError
from exactcopy.records.timeline import Entry, State, summary, timeline
from exactcopy.report import words
from exactcopy.report.headline import all_accepted

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
    return said | {**summary(entry.audit), "corrective_actions_left": actions_left(entry.audit)}


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
    return [day, concluded(entry.audit), weakest(said), restores(said), severities(said), _left(entry.audit)]


def concluded(audit: Mapping[str, Any]) -> str:
    """Say the conclusion; what was not examined whole, and what people accepted, stand beside it."""
    beside = "" if audit["complete"] or audit["conclusion"] == "incomplete" else ", incomplete"
    accepted = ", all accepted" if all_accepted(audit) else ""
    return f"{audit['conclusion']}{accepted}{beside}"


def weakest(said: Summary) -> str:
    """Give the backup with the least protected of those that were examined, as a count."""
    examined = {name: each for name, each in said["backups"].items() if each["examined"]}
    if not examined:
        return "no backup examined"
    name = min(examined, key=lambda each: examined[each]["protected"] / examined[each]["total"])
    unseen = len(said["backups"]) - len(examined)
    beside = f" ({unseen} not examined)" if unseen else ""
    return f"{words.out_of(examined[name]['protected'], examined[name]['total'])} on {name}{beside}"


def restores(said: Summary) -> str:
    """Say how many of the studies that were to be restored came back."""
    planned, restored = (sum(each[key] for each in said["backups"].values()) for key in ("planned", "restored"))
    return f"restored {words.out_of(restored, planned)}" if planned else "none restored"


def severities(said: Summary) -> str:
    """Count the findings, the worst first."""
    found = [f"{words.number(count)} {severity}" for severity, count in said["findings"].items() if count]
    return ", ".join(found) or "no finding"


def actions_left(audit: Mapping[str, Any]) -> int:
    """Count what was left to be done; a record that carries no corrective actions has its open findings."""
    carried: Sequence[Mapping[str, Any]] | None = audit.get("corrective_actions")
    if carried is None:
        carried = [each for each in audit["findings"] if each["severity"] != "info"]
    return sum(each["state"] != "accepted" for each in carried)


def _left(audit: Mapping[str, Any]) -> str:
    left = actions_left(audit)
    return f"{words.counted(left, 'actions')} left" if left else ""


def _trend(said: Sequence[Summary], marks: str) -> Iterator[str]:
    """Yield the share of protected studies of each backup, a mark for each of the last audits."""
    last = said[-MOST_MARKS:]
    names = list(dict.fromkeys(name for each in reversed(last) for name in each["backups"]))
    width = max((len(name) for name in names), default=0)
    if names:
        yield f"Studies with an exact copy, one mark for each of the last {words.counted(len(last), 'audits')}:"
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
