"""The last twelve months: how many of the studies each backup held, month by month."""

from collections.abc import Mapping
from typing import Any

from exactcopy.charts import Month, floor_of, line, strip
from exactcopy.records.timeline import summary
from exactcopy.report import words

View = dict[str, Any]

MONTHS = 12
# What keeps studies from being protected, worst first: in a cell, and in words.
SHORT = (("gap", "gap", "with a gap"), ("not_checked", "n/c", "not checked"), ("pending", "pend", "pending"))
LEGEND = {
    "all": "all protected",
    "gap": "some with a gap",
    "pending": "pend: some pending, no gap",
    "not_checked": "n/c: not examined, or not all of it",
    "none": "no audit, or no such backup then",
}
FIRST = "This is the first audit: the trend begins with the next one."
ALONE = "No other audit of the last twelve months is on record: the trend begins with the next one."
OLDER = "The version that wrote this record kept no figures of earlier audits in it."


def section(audit: Mapping[str, Any], clock: words.Clock) -> View:
    """Give what section 6 prints of the months before; a sentence alone where there is nothing to compare."""
    if not audit.get("history"):
        sentence = FIRST if audit["audit"]["first"] else ALONE if "history" in audit else OLDER
        return {"sentence": sentence, "rows": []}
    audits = [*audit["history"], summary(audit)]
    last = clock.month(audit["audit"]["started"])
    months = range(last - MONTHS + 1, last + 1)
    # Of several audits in a month the last one counts.
    by_month = {clock.month(each["started"]): each for each in audits}
    names = dict.fromkeys(name for each in reversed(audits) for name in each["backups"])
    rows = {name: [_month(by_month.get(month), month, name) for month in months] for name in names}
    rows = {name: row for name, row in rows.items() if any(each.state != "none" for each in row)}
    floor = floor_of([each for row in rows.values() for each in row])
    seen = {each.state for row in rows.values() for each in row}
    return {
        "sentence": _sentence(sum(month in by_month for month in months), floor),
        "months": [_label(month, place) for place, month in enumerate(months)],
        "rows": [
            {"name": name, "newest": row[-1].words, "line": line(row, floor), "strip": strip(row)}
            for name, row in rows.items()
        ],
        "legend": [{"state": state, "words": text} for state, text in LEGEND.items() if state in seen],
    }


def _month(said: Mapping[str, Any] | None, month: int, name: str) -> Month:
    """Give one month of one backup; what was not examined is no figure."""
    when = f"{words.MONTHS[month % 12]} {month // 12}"
    if said is None:
        return Month(when=when, state="none", text=words.NONE, words="no audit")
    if name not in said["backups"]:
        return Month(when=when, state="none", text=words.NONE, words="no such backup then")
    backup = said["backups"][name]
    if not backup["examined"]:
        return Month(when=when, state="not_checked", text="n/c", words="not examined")
    short = [(key, f"{words.number(backup[key])} {cell}", f"{words.number(backup[key])} {full}")
             for key, cell, full in SHORT if backup[key]]  # fmt: skip
    state, text, _ = short[0] if short else ("all", "all", "")
    return Month(
        when=when,
        state=state,
        text=text,
        words=", ".join(
            [f"{words.out_of(backup['protected'], backup['total'])} protected", *(each[2] for each in short)]
        ),
        protected=backup["protected"],
        total=backup["total"],
    )


def _sentence(count: int, floor: int) -> str:
    bottom = f"{floor} %" if floor else "none"
    return (
        f"What the last audit of each month found; one was made in {count} of these {MONTHS} months. The line is the "
        f"share of studies that are protected, from all (upper rule) down to {bottom} (lower rule); it is broken where "
        "nothing was examined. The cells below it say what is short of all."
    )


def _label(month: int, place: int) -> str:
    """Give a month's short name, with the year where one begins."""
    name = words.MONTHS[month % 12]
    return f"{name} '{month // 12 % 100:02}" if not place or not month % 12 else name
