"""Your backups side by side: one column for each backup, one row for each question a buyer would ask."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from exactcopy.model import Answer, Safeguard
from exactcopy.report import known, restores, stores, words
from exactcopy.report.coverage import by_backup, deleted, last_known, line, status_of

View = dict[str, Any]

# So many columns can be read on one page; more backups follow below.
COLUMNS = 3
NOT_STATED = "Not stated in the configuration"
UNASSESSED = "Not assessed"
NOT_EXAMINED = "Not known: not examined"
# What each safeguard asks, so that yes is the good answer.
SAFEGUARDS = {
    Safeguard.ENCRYPTION: "Encrypted at rest",
    Safeguard.PUBLIC_ACCESS: "Closed to the public",
    Safeguard.IMMUTABILITY: "Locked against change and deletion",
    Safeguard.VERSIONING: "Keeps earlier versions",
    Safeguard.TRANSPORT: "Encrypted on the way",
    Safeguard.LIFECYCLE: "Free of rules that delete images",
    Safeguard.LOGGING: "Access is logged",
    Safeguard.REPLICATION: "Replicated by the provider",
    Safeguard.FILE_RIGHTS: "Files closed to other accounts",
}
ANSWERS = {
    Answer.PASS: ("Yes", "good"),
    Answer.FAIL: ("No", "bad"),
    Answer.NOT_SUPPORTED: ("Not supported by the server", "unchecked"),
    Answer.NOT_PERMITTED: ("Not permitted to see", "unchecked"),
    Answer.NOT_ASSESSED: (UNASSESSED, "unchecked"),
}
# Nothing asks for these; without them a backup needs attention at most.
MINOR = {Safeguard.REPLICATION, Safeguard.FILE_RIGHTS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """All that a record says of one backup."""

    store: View
    sums: View
    test: View | None
    rto_hours: float
    reread_days: int | None


def cell(text: str, *beside: str | None, tone: str = "") -> View:
    """Give one cell: what it says, what stands beneath it in small, and how it is marked."""
    return {"text": text[:1].upper() + text[1:], "beside": [each for each in beside if each], "tone": tone}


def section(audit: View, clock: words.Clock) -> list[View]:
    """Give the tables: the backups in the configuration's order, as evenly over the tables as they go."""
    facts = {each["name"]: each for each in audit["stores"]}
    tests = {each["backup"]: each for each in audit["restore_tests"]}
    backups = [
        Backup(
            store=facts[sums["name"]],
            sums=sums,
            test=tests.get(sums["name"]),
            rto_hours=audit["policy"]["rto_hours"],
            reread_days=audit["policy"].get("reread_days", {}).get(sums["name"]),
        )
        for sums in by_backup(audit)
    ]
    tables = max(-(-len(backups) // COLUMNS), 1)
    wide = max(-(-len(backups) // tables), 1)
    return [_table(backups[start : start + wide], audit, clock) for start in range(0, len(backups), wide)]


def _table(backups: list[Backup], audit: View, clock: words.Clock) -> View:
    found: list[tuple[str, Callable[[Backup], View]]] = [
        ("Kind", lambda each: _kind(each, clock)),
        ("Place", _place),
        ("Studies with an exact copy", lambda each: _coverage(each, clock)),
        ("Newest copy", lambda each: _newest(each, clock)),
        ("Oldest image without a copy", _waiting),
        ("How its images are known", lambda each: _known(each, clock)),
        ("Test restore", _restored),
        ("Measured speed", _speed),
        ("Time to copy all back", _recovery),
    ]
    shown = [(name, _safeguard(safeguard)) for safeguard, name in SAFEGUARDS.items()]
    paid = [
        ("A year", _yearly),
        ("Paid once", _once),
        ("To read all of it back", _read_back),
        ("Read by this audit", _read),
    ]
    groups = (
        ("What it is and what it proved", found),
        ("Safeguards, as far as each backup shows them", shown),
        ("Cost", paid),
    )
    return {
        "backups": [{"name": each.sums["name"], "status": status_of(each.sums, audit["findings"])} for each in backups],
        "groups": [_group(title, [(label, [say(each) for each in backups]) for label, say in rows])
                   for title, rows in groups],
    }  # fmt: skip


def _group(title: str, rows: list[tuple[str, list[View]]]) -> View:
    """Give a part of a table; the rows that nobody could answer are named together at its end."""
    silent = [label for label, cells in rows if all(each["text"] == UNASSESSED for each in cells)]
    return {
        "title": title,
        "rows": [{"label": label, "cells": cells} for label, cells in rows if label not in silent],
        "silent": words.listed([f"\u201c{label}\u201d" for label in silent]),
    }


def _kind(backup: Backup, clock: words.Clock) -> View:
    store = backup.store
    remark = stores.remark(store, clock)
    return cell(f"{stores.kind(store)}, {stores.held_by(store)}", stores.drive(store), stores.reading(store), remark)


def _place(backup: Backup) -> View:
    if client := stores.synced_by(backup.store):
        return cell(f"local copy of {client}", "never counted as off site")
    return cell(stores.place(backup.store) or NOT_STATED, backup.store["site"])


def _coverage(backup: Backup, clock: words.Clock) -> View:
    sums = backup.sums
    notes = (_recoverable(sums["rows"]), stores.archives_there(backup.store), last_known(sums, clock))
    if not sums["examined"]:
        return cell("not checked", line(sums), *notes, tone="unchecked")
    share = words.percent(sums["protected"], sums["total"])
    count = f"{words.out_of(sums['protected'], sums['total'])}{f' ({share})' if share else ''}"
    return cell(count, line(sums), *notes, tone="alarm" if sums["gap"] else "")


def _recoverable(rows: list[View]) -> str | None:
    kept = sum(row.get("recoverable") or 0 for row in rows)
    if not kept:
        return None
    missing = words.counted(sum(row["instances"]["missing"] for row in rows), "images")
    return f"{missing} missing; of these, {deleted(kept)}"


def _newest(backup: Backup, clock: words.Clock) -> View:
    newest = [row["newest_copy"] for row in backup.sums["rows"] if row["newest_copy"]]
    return cell(clock.date(max(newest, key=words.parse)) if newest else "not known")


def _waiting(backup: Backup) -> View:
    rows, rpo = backup.sums["rows"], backup.store["rpo_hours"]
    limit = f"limit {words.age(rpo)}"
    ages = [row["oldest_unprotected_hours"] for row in rows if row["oldest_unprotected_hours"] is not None]
    if ages:
        return _against(max(ages), rpo)
    counts = {key: sum(row["instances"][key] for row in rows) for key in ("missing", "pending", "unknown")}
    if counts["missing"] or counts["pending"] or not backup.sums["examined"]:
        return cell("not known", limit)
    return cell("none where examined" if counts["unknown"] else "none", limit)


def _known(backup: Backup, clock: words.Clock) -> View:
    rows = backup.sums["rows"]
    told = known.told(rows)
    oldest = [row["oldest_read_at"] for row in rows if row["oldest_read_at"]]
    read = stores.read_back(backup.store, backup.reread_days, clock)
    if read is None and oldest:
        # An older record knows only of the images that were compared.
        read = f"oldest read {clock.date(min(oldest, key=words.parse))}"
    return cell(", ".join(told), read, known.caution(rows)) if told else cell("not one is known", read)


def _restored(backup: Backup) -> View:
    test = backup.test
    if test is None or not test["planned"]:
        return cell("none was made", test["reason"] if test else None, tone="unchecked")
    row = restores.table(test)
    drawn = f"drawn by chance from {row['frame']}" if test["sample"]["method"] == "random" else None
    others = ", ".join(each for each in row["otherwise"] if each != "none")
    beside = f"chosen beside: {row['certainty']} restored" if test["certainty"]["planned"] else None
    tone = "alarm" if row["status"] == "exception" else ""
    return cell(f"{row['restored']} studies restored and matched", others, drawn, beside, tone=tone)


def _speed(backup: Backup) -> View:
    test = backup.test
    if test is None or not test["bytes"] or not test["seconds"]:
        return cell("not measured")
    speed = words.size(int(test["bytes"] / test["seconds"]))
    took = f"{words.size(test['bytes'])} in {words.age(test['seconds'] / 3600)}"
    return cell(f"{speed}/s", took, stores.egress(test))


def _recovery(backup: Backup) -> View:
    hours = backup.test["copy_back_hours"] if backup.test else None
    limit = f"limit {words.age(backup.rto_hours)}"
    stored = (backup.test.get("recovery") or {}).get("hours") if backup.test else None
    cold = stores.cold(backup.store)
    if stored is not None:
        return _against(stored, backup.rto_hours, "estimate, storing in a PACS included", cold)
    if hours is None:
        return cell("not known", limit, cold)
    return _against(hours, backup.rto_hours, "estimate", cold)


def _against(hours: float, limit: float, *remarks: str | None) -> View:
    # Both lengths may be printed alike, so that it is said which is longer.
    over = hours > limit
    said = f"{'over the limit of' if over else 'limit'} {words.age(limit)}"
    return cell(words.age(hours), "; ".join(each for each in (said, *remarks) if each), tone="alarm" if over else "")


def _safeguard(safeguard: Safeguard) -> Callable[[Backup], View]:
    """Give what says the answer to one safeguard, in words; what is not on record was not assessed."""

    def say(backup: Backup) -> View:
        store = backup.store
        seen = (store.get("safeguards") or {}).get(safeguard) or {}
        answer = Answer(seen.get("answer", Answer.NOT_ASSESSED))
        if safeguard is Safeguard.ENCRYPTION and not seen and store.get("encrypted") is not None:
            # An older record holds this answer alone.
            answer = Answer.PASS if store["encrypted"] else Answer.FAIL
        text, tone = ANSWERS[answer]
        if answer is Answer.NOT_SUPPORTED and store["kind"] == "folder":
            text = "Not supported by the file system"
        unit = "files" if store["kind"] == "folder" else "objects"
        count = words.counted(seen["count"], unit) if seen.get("count") else None
        detail = "; ".join(each for each in (seen.get("detail"), count) if each)
        marked = "warn" if tone == "bad" and safeguard in MINOR else tone
        return cell(f"{text} ({detail})" if detail else text, tone=marked)

    return say


def _priced(backup: Backup, key: str, otherwise: str) -> View:
    amount = backup.store.get(key)
    if amount is not None:
        return cell(stores.dollars(amount))
    return cell(otherwise if stores.examined(backup.store) else NOT_EXAMINED)


def _yearly(backup: Backup) -> View:
    by_study = backup.store.get("paid_once") is not None
    return _priced(backup, "yearly_cost", "Not known: it is paid by the study" if by_study else NOT_STATED)


def _once(backup: Backup) -> View:
    recurs = backup.store.get("yearly_cost") is not None
    return _priced(backup, "paid_once", "Nothing" if recurs else NOT_STATED)


def _read_back(backup: Backup) -> View:
    return _priced(backup, "read_back_cost", NOT_STATED)


def _read(backup: Backup) -> View:
    """Say what the audit itself read, the test restore apart."""
    store = backup.store
    if not stores.examined(store):
        return cell(NOT_EXAMINED)
    if "read_bytes" not in store:
        return cell("not on record")
    if not store["read_bytes"]:
        return cell("no content")
    rate = f"at {words.size(int(store['read_rate']))}/s" if store.get("read_rate") else None
    return cell(words.size(store["read_bytes"]), rate, stores.egress(store))
