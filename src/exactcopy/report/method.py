"""Section 4: scope, how it was checked, and how far the result can be trusted."""

from typing import Any

from exactcopy.charts import Segment, bar
from exactcopy.report import known, recoveries, restores, stores, words

View = dict[str, Any]

_NOT_COMPARED = "not compared"
LEVELS = (
    (
        "restored",
        "Restored",
        "The study was brought back from the backup alone, whole and equal; every frame decodable here opened.",
        "That any other study can be restored.",
    ),
    (
        "read",
        "Read back",
        "Every byte of the copy was read, no earlier than the oldest read shown, and compared with the primary.",
        "That the copy opens in a viewer; that its bytes have not changed since they were read.",
    ),
    (
        "reported",
        "Reported",
        "A checksum that the provider reports equals the one computed from the primary.",
        "That anybody but the provider has read the copy.",
    ),
    (
        "listed",
        "Listed",
        "The store names the copy in its listing.",
        "Anything about its content. Such a copy never counts as exact.",
    ),
)
OUTCOME_WORDS = (
    ("identical", "The bytes are equal."),
    ("equivalent", "Every element and the pixels are equal; only the packaging differs (see 4.2)."),
    ("altered", "The pixels are equal; other elements differ. No exact copy."),
    (
        "different",
        "Pixels or elements that decide how they are read differ, elements are lost, or the bytes differ and could "
        "not be compared further (the worklist says so). No exact copy.",
    ),
    ("missing", "Not there though the listing was whole, and older than the limit."),
    ("pending", "Not there, and younger than the limit. Not yet a copy."),
    ("unreadable", "There, read to its end, and no whole image."),
    ("unverified", "There, but nothing current is known of its content."),
    ("unknown", "The listing or the reading did not finish."),
)
LOSSES = (
    ("gone_everywhere", "Gone everywhere", "seen by the earlier record, now in no store that was examined"),
    ("no_sound_copy", "No sound copy", "damaged or absent on every side"),
    ("lost_from_primary", "Lost from the primary", "seen there by the earlier record, now absent"),
    (
        "damaged_on_primary",
        "Damaged on the primary",
        "a whole copy is on a backup; which content is right was not judged",
    ),
    ("disposed", "Disposed of", "gone with its whole study, which a recorded disposal explains"),
    ("changed_on_primary", "Changed on the primary", "other content than in the earlier record"),
    ("only_copy", "Only copy", "held by exactly one store"),
)
LIMITS = (
    "A sample cannot find every copy that fails; an estimate is too low where copies fail together, as on one disk.",
    "Encryption and location are what a store or a person says.",
    "Times come from the clock of the machine that ran the audit.",
    "Time to copy back is an estimate from test restores; storing in a PACS is included only where that was tested.",
)
HOW = (
    ("Identity", "The SOP Instance UID (0008,0018) of the data set, never the name or place of a file."),
    (
        "Comparison",
        "SHA-256 over the bytes of every object that was read. Where bytes differ: every element, then the decoded "
        "pixels.",
    ),
    (
        "Equivalent",
        "Only packaging may differ: file meta, group lengths, padding, VR encoding, a lossless transfer syntax. "
        "Of a lossy original that is stored decompressed, a pixel value may differ by at most 1.",
    ),
    (
        "Which side changed",
        "Told by the last record, by damage of the object itself, or by what other stores hold; that last is no proof.",
    ),
    (
        "Test restores",
        "The operating system is asked to drop its cache before a copy is read back (Linux); what the drive's own "
        "cache answers cannot be seen.",
    ),
)
READING = {
    "all": "every byte, each audit",
    "rotation": "new and longest unread objects first",
    "reported": "checksums that the provider reports; bytes where they do not agree",
}
SAMPLES = {
    "quick": "quick (90\u00a0% confidence, 10\u00a0% tolerable)",
    "standard": "standard (95\u00a0% confidence, 5\u00a0% tolerable)",
    "strong": "strong (95\u00a0% confidence, 1\u00a0% tolerable)",
    "full": "full (every study)",
}


def section(audit: View, clock: words.Clock) -> View:
    """Give all that section 4 prints."""
    losses = audit["losses"]
    compared = losses["compared_with"]
    cold = {each["name"]: stores.cold(each) for each in audit["stores"]}
    return {
        "scope": _scope(audit, clock),
        "how": _how(audit),
        "levels": [
            {"name": name, "proves": proves, "not": does_not} for _, name, proves, does_not in LEVELS
        ],
        "known": [_known(row, clock) for row in audit["comparisons"]],
        "reported": [_reported(row) for row in audit["comparisons"] if row.get("reported_by")],
        "outcomes": [{"name": name.capitalize(), "means": means} for name, means in OUTCOME_WORDS],
        "tests": [restores.table(each) for each in audit["restore_tests"]],
        "statements": [
            {"backup": each["backup"], "text": restores.statement(each, cold.get(each["backup"]))}
            for each in audit["restore_tests"]
            if each["planned"]
        ],
        "recovery": recoveries.section(audit),
        "archives": stores.archives(audit["stores"]),
        "compared_with": f"Compared with the record of {words.record_day(compared)} ({compared})."
        if compared
        else "There is no earlier record to compare with, so what was lost before today is not checked.",
        "losses": [
            _loss(losses[key], name, means, compared, key) for key, name, means in LOSSES if key in losses
        ],
        "mass_change": _mass_change(audit.get("mass_change", {})),
        "limits": LIMITS,
    }  # fmt: skip


def _scope(audit: View, clock: words.Clock) -> list[View]:
    run, policy = audit["audit"], audit["policy"]
    primaries = [each for each in audit["stores"] if each["role"] == "primary"]
    backups = [each for each in audit["stores"] if each["role"] == "backup"]
    figures = [
        f"{each['name']}: {words.counted(each['studies'], 'studies')}, {words.number(each['series'])} "
        "series, "
        f"{words.counted(each['instances'], 'images')}, {words.size(each['bytes'])}"
        for each in primaries
    ]
    population = ". ".join(filter(None, ["; ".join(figures), stores.archives(primaries)]))
    rows = [
        (
            "Reference",
            f"The primary as found in this run: {words.listed([each['name'] for each in primaries])}",
        ),
        ("Population", population),
        ("Backups", words.listed([_named(each) for each in backups])),
        ("Not covered", f"{audit['scope']['not'][:1].upper()}{audit['scope']['not'][1:]}"),
        ("Run", f"{clock.span(run['started'], run['finished'])}, by {run['operator']}"),
        (
            "Limits set by the facility",
            f"A new image is {_limits(backups)}; restored within {words.age(policy['rto_hours'])}; "
            f"test restores: {SAMPLES.get(policy['sample'], policy['sample'])}",
        ),
    ]
    return [{"name": name, "text": text} for name, text in rows]


def _named(store: View) -> str:
    which = stores.drive(store)
    return f"{store['name']} ({which})" if which else store["name"]


def _limits(backups: list[View]) -> str:
    """Say how young a new image may be without a copy, for each backup."""
    grouped: dict[float, list[str]] = {}
    for each in backups:
        grouped.setdefault(each["rpo_hours"], []).append(each["name"])
    return words.listed([f"on {words.listed(names)} within {words.age(hours)}" for hours, names in grouped.items()])


def _how(audit: View) -> list[View]:
    """Say how it was compared, in the order in which an auditor asks."""
    run = audit["audit"]
    libraries = [f"{name} {version}" for name, version in run.get("libraries", {}).items()]
    rows = [*HOW, ("Made with", ", ".join([f"exactcopy {run['version']}", *libraries]))]
    rows.append(("Self-test", self_test(audit["evidence"]["self_test"])))
    if scan := audit.get("self_scan"):
        rows.append(("Self-scan", _self_scan(scan)))
    if upkeep := audit.get("upkeep"):
        rows.append(("Records", _records(upkeep)))
    if reading := _reading(audit["policy"]):
        rows.insert(2, ("Read, by policy", f"{reading}."))
    if given := _given(audit["policy"]):
        rows.insert(3, ("Limits", given))
    return [{"name": name, "text": text} for name, text in rows]


def _self_scan(scan: View) -> str:
    """Say what was held against which patient data, so that none travels."""
    if not scan["tokens"]:
        return "This audit read no patient data, so nothing could be held against it."
    said = (
        f"{words.counted(scan['strings'], 'strings')} of the configuration, of decisions and of media, and these pages "
        "were held against the names, numbers and days of birth of patients in "
        f"{words.out_of(scan['images'], scan['of_images'])} images, those that this audit read. "
    )
    withheld = len(scan["withheld"])
    if not withheld:
        return said + "None holds any."
    return said + f"{words.number(withheld)} {'holds one and is' if withheld == 1 else 'hold some and are'} withheld."


def self_test(result: View | None) -> str:
    """Say how the planted faults of the self-test fared; where none was made, say that."""
    if result is None:
        return "not made"
    faults = f"{result['found']} of {result['planted']} planted faults were found"
    if result["missed"]:
        faults += f" (missed: {', '.join(result['missed'])})"
    sound = result["sound"] - len(result["alarms"])
    return f"{faults}; {sound} of {result['sound']} sound copies were seen as sound. Made images, examined like yours."


def _records(upkeep: View) -> str:
    months = words.counted(upkeep["months"], "months")
    audited = f"{words.number(upkeep['months'] - len(upkeep['missing']))} of {months} since the first record"
    six = ", six years back at most" if upkeep["missing"] or upkeep["months"] > 1 else ""
    return f"{audited} have an audit{six}"


def _reading(policy: View) -> str:
    """Say what each store's read policy asks for."""
    grouped: dict[str, list[str]] = {}
    for store, how in policy.get("read", {}).items():
        days = policy.get("reread_days", {}).get(store)
        said = READING.get(how, how)
        if how == "rotation":
            said += f", each object again within {days:,} d" if days else ", without a limit"
        grouped.setdefault(said, []).append(store)
    return "; ".join(f"{words.listed(stores)}: {said}" for said, stores in grouped.items())


def _given(policy: View) -> str:
    """Say what the audit was given, where it was limited; an older record knows of no limits."""
    hours, size, costs = policy.get("max_hours"), policy.get("max_read"), policy.get("max_egress_cost") or {}
    told = [
        f"{hours:g} hours (--max-hours)" if hours else "",
        f"{words.size(size)} to be read (--max-read)" if size else "",
        *(f"{stores.dollars(most)} of egress on {name} (max_egress_cost)" for name, most in costs.items()),
    ]
    said = words.listed([each for each in told if each])
    return f"This audit was given {said}; what that left is not checked, and comes first in the next." if said else ""


def _known(row: View, clock: words.Clock) -> View:
    levels = row["assurance"]
    present = sum(levels[key] for key, *_ in LEVELS)
    parts = [
        Segment(state=f"level-{key}", count=levels[key], words=f"{words.number(levels[key])} {name.lower()}")
        for key, name, *_ in LEVELS
    ]
    return {
        "primary": row["primary"],
        "backup": row["backup"],
        "bar": bar(parts, width=150, height=8),
        "cells": [words.number(levels[key]) for key, *_ in LEVELS],
        "present": words.number(present),
        "total": words.number(sum(row["instances"].values())),
        "oldest": clock.date(row["oldest_read_at"]),
    }


def _reported(row: View) -> View:
    """Say how the images of a backup are known that reports checksums."""
    told, caution = ", ".join(known.told([row])), known.caution([row])
    return {
        "pair": f"{row['backup']} · {row['primary']}",
        "text": " ".join(filter(None, [f"{told}. A provider may report what it was told at the upload.", caution])),
    }


def _mass_change(stores: View) -> str:
    """Say what changed or went at once, store by store; nothing where the record is older than the question."""
    if not stores:
        return ""
    told = {name: _at_once(seen) for name, seen in stores.items()}
    if set(told.values()) == {_NOT_COMPARED}:
        said = "not compared on any store"
    else:
        said = "; ".join(f"{name}: {what}" for name, what in told.items())
    return f"Changed or gone at once, since the record before: {said}."


def _at_once(seen: View) -> str:
    if seen["compared_with"] is None:
        said = [_NOT_COMPARED]
    else:
        gone = "not checked for what is gone" if seen["gone"] is None else f"{words.number(seen['gone'])} gone"
        said = [f"{words.number(seen['changed'])} changed, {gone} of {words.counted(seen['known'], 'images')}"]
    if turned := seen["lost_magic"] + seen["renamed"]:
        said.append(f"{words.number(turned)} files were images")
    if seen["high_entropy"]:
        said.append(f"{words.number(seen['high_entropy'])} files look encrypted")
    return ", ".join(said)


def _loss(loss: View, name: str, means: str, compared: str | None, key: str) -> View:
    known = compared is not None or key in {"no_sound_copy", "damaged_on_primary", "only_copy"}
    return {
        "name": name,
        "means": means,
        "studies": words.number(loss["studies"]) if known else "not checked",
        "instances": words.number(loss["instances"]) if known else "not checked",
        "alarming": bool(loss["studies"]) and key not in {"only_copy", "disposed"},
    }
