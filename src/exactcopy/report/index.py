"""The page beside the records that lists every audit. It is no part of a record, and needs no server and no script."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from exactcopy.records import write_whole
from exactcopy.records.timeline import Entry, State, summary
from exactcopy.report import brief, words
from exactcopy.report.formats import styled
from exactcopy.report.verdict import HEADLINES

View = dict[str, Any]

INDEX = "index.html"
REPORTS = {"report.pdf": "PDF", "report.html": "HTML"}
UNFINISHED = {
    State.NOT_YET: "Begun; not finished when this page was written",
    State.NEVER: "Begun, never finished",
    State.AWAY: "Finished; its record is not in this folder",
}


def write_index(facility: str, time_zone: str, entries: Sequence[Entry], folder: Path, now: datetime) -> None:
    """Write index.html into the folder of the records, whole or not at all. Raises OSError."""
    clock = words.Clock(time_zone)
    page = {
        "facility": facility,
        "written": clock.time(now.isoformat()),
        "count": words.counted(len(entries), "audits"),
        "audits": [_shown(entry, folder, clock) for entry in reversed(entries)],
    }
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(folder / INDEX, styled("index", words.printable(page)))
    (folder / INDEX).chmod(0o600)


def _shown(entry: Entry, folder: Path, clock: words.Clock) -> View:
    started = entry.started.isoformat()
    shown: View = {"id": entry.id, "day": clock.day(started), "hour": clock.hour(started), "facts": [], "links": []}
    if entry.audit is None:
        return shown | {"tone": "unchecked", "result": UNFINISHED[entry.state], "conclusion": ""}
    said = summary(entry.audit)
    headline, tone = HEADLINES[said["headline"]]
    conclusion = brief.concluded(entry.audit).capitalize()
    left = brief.actions_left(entry.audit)
    return shown | {
        "tone": tone,
        "result": headline,
        "conclusion": "" if conclusion == headline else conclusion,
        "facts": [
            {"name": "Exact copies, weakest backup", "value": brief.weakest(said)},
            {"name": "Test restores", "value": brief.restores(said)},
            {"name": "Findings", "value": brief.severities(said)},
            {"name": "Left to be done", "value": words.counted(left, "actions") if left else "nothing"},
        ],
        "links": [
            {"name": name, "href": f"{entry.id}/{file}"}
            for file, name in REPORTS.items()
            if (folder / entry.id / file).is_file()
        ],
    }
