"""Section 1: what every store holds, and how much of each primary every backup holds."""

from collections.abc import Iterable
from typing import Any

from exactcopy.charts import Segment, bar
from exactcopy.report import kept, stores, words

View = dict[str, Any]

OUTCOMES = (
    ("identical", "Identical"),
    ("equivalent", "Equiv\u00adalent"),
    ("altered", "Altered"),
    ("different", "Differ\u00adent"),
    ("missing", "Missing"),
    ("pending", "Pending"),
    ("unreadable", "Unread\u00adable"),
    ("unverified", "Unver\u00adified"),
    ("unknown", "Unknown"),
)
# Facts that are an exception in themselves are printed in red where they are not zero.
ALARMING = {"altered", "different", "missing", "unreadable", "damaged", "conflicts"}
# So many states are still said in full words on one line.
FULL_WORDS = 3
STUDY_STATES = ("total", "protected", "pending", "gap", "not_checked")
# The states of a bar, in its order: in full, and as short as a crowded line needs.
STATES = {
    "this_run": ("proven in this run", "this run"),
    "earlier": ("proven earlier", "earlier"),
    "reported": ("reported by the provider", "reported"),
    "pending": ("pending", "pending"),
    "gap": ("with a gap", "gap"),
    "not_checked": ("not checked", "not checked"),
}
PROOF = ("this_run", "earlier", "reported")


def by_backup(audit: View) -> list[View]:
    """Add up the comparisons of each backup over the primaries that it covers, in their order."""
    out: dict[str, View] = {}
    for row in audit["comparisons"]:
        sums = out.setdefault(row["backup"], {"name": row["backup"], "rows": []})
        sums["rows"].append(row)
        for source in (row["studies"], row["proof"]):
            for key, value in source.items():
                sums[key] = sums.get(key, 0) + value
    for sums in out.values():
        sums["examined"] = sums["not_checked"] < sums["total"]
    return list(out.values())


def segments(sums: View) -> list[Segment]:
    """Tell apart what one bar shows."""
    return [
        Segment(state=state, count=sums[state], words=f"{words.number(sums[state])} {full}")
        for state, (full, _) in STATES.items()
        if sums[state]
    ]


def line(sums: View) -> str:
    """Say in one line what the bar shows."""
    shown = [state for state in STATES if sums[state]]
    return words.joined(f"{words.number(sums[state])} {STATES[state][len(shown) > FULL_WORDS]}" for state in shown)


def status_of(sums: View, findings: Iterable[View]) -> str:
    """Give the status word of one backup: the worst of its studies and of its findings, accepted ones no exception."""
    own = [each for each in findings if each["target"] == sums["name"]]
    deciding = [
        each
        for each in own
        if each["state"] == "open"
        and each["decides"]
        and each["severity"] not in {"low", "info"}
        and each["check"] != "store-examined"
    ]
    if sums["gap"] or deciding:
        return "exception"
    if sums["not_checked"] or not sums["total"]:
        return "not checked"
    return "attention" if own else "no exception"


def last_known(sums: View, clock: words.Clock) -> str | None:
    """Say what an earlier record knew of a backup that could not be examined today."""
    known = [row["last_known"] for row in sums["rows"] if row["last_known"]]
    if not known:
        return None
    studies = {key: sum(each["studies"].get(key, 0) for each in known) for key in STUDY_STATES}
    return (
        f"Last known, {clock.day(min(each['finished'] for each in known))}: "
        f"{words.out_of(studies['protected'], studies['total'])} protected. Not counted today."
    )


def recoverable(comparisons: Iterable[View]) -> str:
    """Say which missing images were deleted on a backup that keeps their last version; empty for none."""
    counts: dict[str, int] = {}
    for row in comparisons:
        # An older record does not know it.
        counts[row["backup"]] = counts.get(row["backup"], 0) + (row.get("recoverable") or 0)
    return " ".join(f"Of the images missing on {name}, {deleted(count)}." for name, count in counts.items() if count)


def deleted(count: int) -> str:
    """Say that `count` missing images were deleted on the backup and are not lost there."""
    were, them = ("was", "it") if count == 1 else ("were", "them")
    return f"{words.number(count)} {were} deleted on the backup, which still keeps {them}"


def linked(target: str, audit: View) -> tuple[list[View], list[View]]:
    """Give the comparisons that `target` is a side of, and the stores of these."""
    rows = [row for row in audit["comparisons"] if target in (row["primary"], row["backup"])]
    names = {name for row in rows for name in (row["primary"], row["backup"])}
    return rows, [store for store in audit["stores"] if store["name"] in names]


def section(audit: View, clock: words.Clock) -> View:
    """Give all that section 1 prints."""
    backups = by_backup(audit)
    for sums in backups:
        sums["bar"] = bar(segments(sums))
        sums["wide_bar"] = bar(segments(sums), width=510, height=7)
        sums["status"] = status_of(sums, audit["findings"])
    return {
        "stores": [stores.row(each, audit["policy"], clock) for each in audit["stores"]],
        "facts": [_facts(each) for each in audit["stores"]],
        "backups": [_backup(sums, audit, clock) for sums in backups],
        "outcome_names": [name for _, name in OUTCOMES],
        "outcomes": [_outcomes(row) for row in audit["comparisons"]],
        "recoverable": recoverable(audit["comparisons"]),
        "archives": stores.archives(audit["stores"]),
        "sides": _sides(audit["comparisons"]),
        "kept": [*kept.purged(audit["stores"]), *filter(None, [kept.retention(audit, clock)])],
    }


def _facts(store: View) -> View:
    keys = (
        "objects",
        "instances",
        "duplicates",
        "conflicts",
        "not_dicom",
        "damaged",
        "not_opened",
        "unread",
        "unlisted",
    )
    examined = stores.examined(store)
    return {
        "name": store["name"],
        "role": store["role"],
        "cells": [
            {"text": words.number(store.get(key)) if examined else words.NONE,
             "alarming": key in ALARMING and bool(store.get(key))}
            for key in keys
        ],
    }  # fmt: skip


def _backup(sums: View, audit: View, clock: words.Clock) -> View:
    rows = [_comparison(row, audit, clock) for row in sums["rows"]]
    return {
        "archives": next(stores.archives_there(each) for each in audit["stores"] if each["name"] == sums["name"]),
        **{key: sums[key] for key in ("name", "bar", "wide_bar", "status")},
        "rows": rows,
        "last_known": last_known(sums, clock),
    }


def _comparison(row: View, audit: View, clock: words.Clock) -> View:
    studies, late = row["studies"], row["oldest_unprotected_hours"]
    limit = next((each["rpo_hours"] for each in audit["stores"] if each["name"] == row["backup"]), None)
    extra = row["extra"]
    return {
        "primary": row["primary"],
        "total": words.number(studies["total"]),
        "protected": words.number(studies["protected"]),
        "share": words.percent(studies["protected"], studies["total"]),
        "proof": words.joined(  # what stands behind the protected ones
            f"{words.number(row['proof'][key])} {STATES[key][1]}" for key in PROOF if row["proof"][key]
        ),
        "cells": [
            {"text": words.number(studies[key]), "alarming": key == "gap" and bool(studies[key])}
            for key in ("pending", "gap", "not_checked")
        ],
        "extra": words.NONE if extra is None else words.number(extra["not_known_on_primary"]["studies"]),
        "extra_lost": words.number(extra["lost_from_primary"]["studies"])
        if extra and extra["lost_from_primary"]["studies"]
        else None,
        "extra_purged": _purged_extras(extra) if extra else None,
        "newest_copy": clock.date(row["newest_copy"]),
        "oldest_read": clock.date(row["oldest_read_at"]),
        "waiting": words.age(late),
        "limit": f"limit {words.age(limit)}" if limit is not None and late is not None else None,
        "late": late is not None and limit is not None and late > limit,
    }  # fmt: skip


def _purged_extras(extra: View) -> str | None:
    # An older record does not know of them.
    studies = extra.get("purged_from_primary", {}).get("studies")
    return words.number(studies) if studies else None


def _outcomes(row: View) -> View:
    counts = row["instances"]
    return {
        "primary": row["primary"],
        "backup": row["backup"],
        "total": words.number(sum(counts[key] for key, _ in OUTCOMES)),
        "cells": [
            {"text": words.number(counts[key]), "alarming": key in ALARMING and bool(counts[key])}
            for key, _ in OUTCOMES
        ],
    }


def _sides(comparisons: Iterable[View]) -> str | None:
    """Say which side of a differing pair changed, as far as it can be told."""
    sides = [row["changed_side"] for row in comparisons]
    total = {key: sum(each[key] for each in sides) for key in ("backup", "primary", "unknown")}
    if not any(total.values()):
        return None
    images = words.counted(sum(total.values()), "images")
    return (
        f"Of the {images} altered, different or unreadable, the backup changed in "
        f"{words.number(total['backup'])} "
        f"and the primary in {words.number(total['primary'])}; for {words.number(total['unknown'])} "
        "it cannot be "
        "told which side changed."
    )
