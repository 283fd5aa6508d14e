"""Section 4: scope, how it was checked, and how far the result can be trusted."""

from typing import Any

from exactcopy.charts import Segment, bar
from exactcopy.report import words

View = dict[str, Any]

LEVELS = (
    (
        "restored",
        "Restored",
        "The study was brought back from the backup alone, whole and matching, and every frame opened.",
        "That every other study can be restored.",
    ),
    (
        "read",
        "Read back",
        "Every byte of the copy was read and compared with the primary.",
        "That the copy opens in a viewer; that it has not changed since it was read.",
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
    ("equivalent", "Every element and the pixels are equal; only the packaging of the file differs."),
    ("altered", "The pixels are equal; other elements differ. No exact copy."),
    (
        "different",
        "Pixels or elements that decide how they are read differ, or elements are lost. No exact copy.",
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
    ("damaged_on_primary", "Damaged on the primary", "a good copy is on a backup"),
    ("changed_on_primary", "Changed on the primary", "other content than in the earlier record"),
    ("only_copy", "Only copy", "held by exactly one store"),
)
LIMITS = (
    "A sample cannot find every copy that fails; an estimate is too low where copies fail together, as on one disk.",
    "Encryption and location are what a store or a person says.",
    "Times come from the clock of the machine that ran the audit.",
    "Time to copy back is an estimate from the test restores; importing into a PACS is not included.",
)
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
    return {
        "scope": _scope(audit, clock),
        "levels": [
            {"name": name, "proves": proves, "not": does_not} for _, name, proves, does_not in LEVELS
        ],
        "known": [_known(row, clock) for row in audit["comparisons"]],
        "outcomes": [{"name": name.capitalize(), "means": means} for name, means in OUTCOME_WORDS],
        "tests": [_test(each) for each in audit["restore_tests"]],
        "statements": [
            {"backup": each["backup"], "text": statement(each)}
            for each in audit["restore_tests"]
            if each["planned"]
        ],
        "compared_with": f"Compared with the record of {words.record_day(compared)} ({compared})."
        if compared
        else "There is no earlier record to compare with, so what was lost before today is not checked.",
        "losses": [
            _loss(losses[key], name, means, compared, key) for key, name, means in LOSSES if key in losses
        ],
        "limits": LIMITS,
    }  # fmt: skip


def _scope(audit: View, clock: words.Clock) -> list[View]:
    run, policy = audit["audit"], audit["policy"]
    primaries = [each for each in audit["stores"] if each["role"] == "primary"]
    backups = [each["name"] for each in audit["stores"] if each["role"] == "backup"]
    figures = [
        f"{each['name']}: {words.counted(each['studies'], 'studies')}, {words.number(each['series'])} "
        "series, "
        f"{words.counted(each['instances'], 'images')}, {words.size(each['bytes'])}"
        for each in primaries
    ]
    rows = [
        (
            "Reference",
            f"The primary as found in this run: {words.listed([each['name'] for each in primaries])}",
        ),
        ("Population", "; ".join(figures)),
        ("Backups", words.listed(backups)),
        ("Not covered", f"{audit['scope']['not'][:1].upper()}{audit['scope']['not'][1:]}"),
        ("Run", clock.span(run["started"], run["finished"])),
        (
            "Limits set by the facility",
            f"A new image is on every backup within {words.age(policy['rpo_hours'])}; "
            f"restored within {words.age(policy['rto_hours'])}; "
            f"test restores: {SAMPLES.get(policy['sample'], policy['sample'])}",
        ),
    ]
    return [{"name": name, "text": text} for name, text in rows]


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


def _test(test: View) -> View:
    sample, certainty = test["sample"], test["certainty"]
    drawn = {"all": "all", "random": "by chance", "none": words.NONE}[sample["method"]]
    failed = test["failed"] + certainty["failed"]
    status = "not checked" if not test["planned"] else "exception" if failed else "no exception"
    return {
        "backup": test["backup"],
        "destination": test["destination"],
        "frame": words.number(sample["frame"]) if test["planned"] else words.NONE,
        "left_out": words.number(sample["left_out"]),
        "drawn": drawn,
        "restored": words.out_of(test["restored"], test["planned"]) if test["planned"] else words.NONE,
        "failed": words.number(test["failed"]) if test["planned"] else words.NONE,
        "certainty": words.out_of(certainty["restored"], certainty["planned"]) if certainty["planned"] else words.NONE,
        "size": words.size(test["bytes"]) if test["planned"] else words.NONE,
        "took": words.age(test["seconds"] / 3600) if test["planned"] else words.NONE,
        "copy_back": words.age(test["copy_back_hours"]),
        "status": status,
        "reason": test["reason"],
    }


def _loss(loss: View, name: str, means: str, compared: str | None, key: str) -> View:
    known = compared is not None or key in {"no_sound_copy", "damaged_on_primary", "only_copy"}
    return {
        "name": name,
        "means": means,
        "studies": words.number(loss["studies"]) if known else "not checked",
        "instances": words.number(loss["instances"]) if known else "not checked",
        "alarming": bool(loss["studies"]) and key != "only_copy",
    }


def page_one_sentences(audit: View) -> list[View]:
    """Say, for each backup, what its test restores prove and what they do not."""
    return [{"backup": each["backup"], "text": _short(each)} for each in audit["restore_tests"]]


def _short(test: View) -> str:
    planned, restored, failed, sample = (test[key] for key in ("planned", "restored", "failed", "sample"))
    if not planned:
        return f"no study was test-restored ({test['reason'] or 'not checked'})."
    if sample["method"] == "all":
        count = words.out_of(restored, planned)
        text = f"{'All ' if restored == planned else ''}{count} studies were restored and matched."
    else:
        text = f"{words.out_of(planned, sample['frame'])} studies, drawn by chance, were restored"
        text += " and matched." if restored == planned else f"; {words.number(restored)} matched."
    if failed:
        text += f" {words.number(failed)} failed."
    if test["not_decodable"]:
        text += f" {words.number(test['not_decodable'])} could not be opened here."
    if sample["method"] == "random" and sample["upper_limit"] is not None:
        # The limit counts those that did fail in the sample.
        others = words.number(max(sample["upper_limit"] - failed, 0))
        text += f" Up to {others} others could still fail ({_share(sample['confidence'])} confidence)."
    return text.replace(" %", "\u00a0%")


def statement(test: View) -> str:
    """Say what one backup's restore test proves, in the words of attribute sampling."""
    parts = [_drawn(test), _result(test)]
    sample, backup, certainty = test["sample"], test["backup"], test["certainty"]
    if test["not_decodable"]:
        count = words.counted(test["not_decodable"], "studies")
        parts.append(f"{count} could not be opened here: that they open was not tested.")
    if sample["left_out"]:
        was = "was" if sample["left_out"] == 1 else "were"
        count = words.counted(sample["left_out"], "studies")
        parts.append(f"{count} with a known gap on {backup} {was} left out of the list.")
    if certainty["planned"]:
        also = f"{certainty['restored']:,} of " if certainty["failed"] else ""
        apart = "; they are not part of the estimate" if sample["method"] == "random" else ""
        parts.append(
            f"{also}{certainty['planned']:,} chosen studies were also restored (newest, oldest, "
            "largest, failed "
            f"last time){apart}."
        )
    if test["failed"]:
        parts.append(f"EC-DR-02 shows an exception. Next step: a full read of {backup}.")
    else:
        parts.append("This does not show that every study is restorable.")
    return " ".join(parts)


def _drawn(test: View) -> str:
    sample, backup, planned = test["sample"], test["backup"], test["planned"]
    where = f"held on {backup} (SHA-256 of the list {_short_hash(sample['frame_sha256'])})"
    if sample["method"] == "all":
        return (
            f"All {words.counted(planned, 'studies')} of a frozen list of {sample['frame']:,} {where} "
            "were restored "
            f"from {backup} alone. Nothing was drawn, so nothing is estimated."
        )
    return (
        f"From a frozen list of {words.counted(sample['frame'], 'studies')} {where}, {planned:,} were "
        "drawn by "
        f"simple random sampling without replacement (seed {_short_hash(sample['seed'])}; unit: "
        "study) and restored "
        f"in full from {backup} alone."
    )


def _result(test: View) -> str:
    """Give the deviations and, for a sample, the exact one-sided upper limit."""
    sample, planned, failed, restored = test["sample"], test["planned"], test["failed"], test["restored"]
    opened = "" if test["not_decodable"] else " and opened"
    if failed:
        text = f"{words.out_of(failed, planned)} studies failed."
    elif restored < planned:
        text = f"{words.out_of(restored, planned)} matched{opened}; the others were not tested."
    else:
        text = f"All {planned:,} matched{opened}. No deviations were found."
    if sample["method"] != "random" or sample["upper_limit"] is None:
        return text
    frame, limit = sample["frame"], sample["upper_limit"]
    below = limit < sample["tolerable"] * frame
    bound, confidence = _share(sample["tolerable"]), _share(sample["confidence"])
    most = words.limit_percent(limit, frame)
    if failed:
        criterion = "" if below else f" The planned criterion (upper limit below {bound}) was not reached."
        return (
            f"{text} Point estimate {failed / planned * 100:.1f} %; {confidence} one-sided upper "
            f"limit {most} "
            f"(at most {limit:,} of {frame:,}).{criterion}"
        )
    share = f"at most {most} ({limit:,} studies)"
    if below:
        share = f"below {bound} (upper limit {most}, at most {limit:,} studies)"
    return (
        f"{text} At {confidence} confidence the share of studies on {test['backup']} not restorable "
        "at the time of "
        f"the test is {share}."
    )


def _share(value: float) -> str:
    return f"{value * 100:g} %"


def _short_hash(value: str | None) -> str:
    return f"{value[:16]}\u2026" if value else words.NONE
