"""Test restores: the table and statements of section 4, and what page one says of them."""

from typing import Any

from exactcopy.report import recoveries, stores, words

View = dict[str, Any]

# Why a study was not in the list that is drawn from.
LEFT_OUT = {"gap": "gap", "pending": "pending", "not_checked": "not checked", "damaged": "damaged"}
# What else than "restored" can come of a study: in a table, and in a sentence.
OTHERWISE = {
    "failed": ("failed", "failed"),
    "not_decodable": ("not opened", "arrived equal but could not be opened here"),
    "not_tested": ("not tested", "could not be tested"),
}
DRAWN = {"all": "all", "random": "by chance", "none": words.NONE}


def table(test: View) -> View:
    """Give one backup's row of the table."""
    sample, certainty, planned = test["sample"], test["certainty"], test["planned"]
    return {
        "backup": test["backup"],
        "destination": test["destination"],
        "frame": words.number(sample["frame"]) if planned else words.NONE,
        "left_out": words.number(sample["left_out"]),
        "left_out_why": ", ".join(_why(test)),
        "drawn": DRAWN[sample["method"]],
        "restored": words.out_of(test["restored"], planned) if planned else words.NONE,
        "otherwise": _otherwise(test, sentence=False) or ["none"] if planned else [words.NONE],
        "alarming": bool(test["failed"]),
        "certainty": words.out_of(certainty["restored"], certainty["planned"]) if certainty["planned"] else words.NONE,
        "certainty_otherwise": _otherwise(certainty, sentence=False),
        "size": words.size(test["bytes"]) if planned else words.NONE,
        "took": words.age(test["seconds"] / 3600) if planned else words.NONE,
        "egress": stores.egress(test),
        "copy_back": words.age(test["copy_back_hours"]),
        "status": _status(test),
        "reason": test["reason"],
    }


def _status(test: View) -> str:
    certainty = test["certainty"]
    if test["failed"] or certainty["failed"]:
        return "exception"
    whole = test["restored"] == test["planned"] and certainty["restored"] == certainty["planned"]
    return "no exception" if test["planned"] and whole else "not checked"


def untested(counts: View) -> int:
    """Count what neither came back whole, equal and opened, nor failed."""
    return int(counts.get("not_decodable", 0)) + int(counts.get("not_tested", 0))


def page_one_sentences(audit: View) -> list[View]:
    """Say, for each backup, what its test restores prove and what they do not."""
    return [{"backup": each["backup"], "text": _short(each)} for each in audit["restore_tests"]]


def statement(test: View, cold: str | None = None) -> str:
    """Say what one backup's restore test proves, in the words of attribute sampling; and what lies `cold` there."""
    parts = [_drawn(test), _result(test)]
    sample, backup, certainty = test["sample"], test["backup"], test["certainty"]
    if sample["left_out"]:
        was = "was" if sample["left_out"] == 1 else "were"
        why = _why(test)
        count = words.counted(sample["left_out"], "studies")
        parts.append(f"{count} {was} left out of the list{f': {words.listed(why)}' if why else ''}.")
    if sample.get("purged"):
        which = "has been purged from its primary" if sample["purged"] == 1 else "have been purged from their primary"
        parts.append(f"{words.number(sample['purged'])} of the list {which} and must come back from a backup.")
    if certainty["planned"]:
        apart = "; they are not part of the estimate" if sample["method"] == "random" else ""
        came = [f"{words.out_of(certainty['restored'], certainty['planned'])} restored", *_otherwise(certainty)]
        parts.append(f"Chosen beside it (newest, oldest, largest, failed last time): {', '.join(came)}{apart}.")
    if test["failed"] or certainty["failed"]:
        parts.append(f"EC-DR-02 shows an exception. Next step: a full read of {backup}.")
    else:
        parts.append("This does not show that every study is restorable.")
    if cold:
        parts.append(f"{cold}: the time to copy all back does not count that.")
    return " ".join(parts)


def _short(test: View) -> str:
    planned, restored, sample = test["planned"], test["restored"], test["sample"]
    came = "were restored and matched"
    if not planned:
        text = f"no study was test-restored ({test['reason'] or 'not checked'})"
    elif sample["method"] == "all":
        text = f"{'All ' if restored == planned else ''}{words.out_of(restored, planned)} studies {came}"
    elif restored == planned:
        text = f"{words.out_of(planned, sample['frame'])} studies, drawn by chance, {came}"
    else:
        text = f"{words.out_of(restored, planned)} studies, drawn by chance from {sample['frame']:,}, {came}"
    text = "; ".join([text, *_otherwise(test), *_left_out(test)]) + "."
    if sample["method"] == "random" and sample["upper_limit"] is not None:
        # The limit counts those that did fail in the sample.
        others = words.number(max(sample["upper_limit"] - test["failed"], 0))
        among = ", those not tested among them" if untested(test) else ""
        text += f" Up to {others} others could still fail{among} ({_share(sample['confidence'])} confidence)."
    return f"{text}{recoveries.page_one(test)}".replace(" %", "\u00a0%")


def _otherwise(counts: View, *, sentence: bool = True) -> list[str]:
    """Name what was planned and did not come back whole, equal and opened; older records lack some keys."""
    return [f"{words.number(counts[key])} {shown[sentence]}" for key, shown in OTHERWISE.items() if counts.get(key)]


def _why(test: View) -> list[str]:
    """Name why studies were left out; a record that does not know it names nothing."""
    why = test.get("left_out_why") or {}
    return [f"{words.number(why[key])} {name}" for key, name in LEFT_OUT.items() if why.get(key)]


def _left_out(test: View) -> list[str]:
    count, why = test["sample"]["left_out"], ", ".join(_why(test))
    return [f"{words.number(count)} left out{f' ({why})' if why else ''}"] if count else []


def _drawn(test: View) -> str:
    sample, backup, planned = test["sample"], test["backup"], test["planned"]
    where = f"held on {backup} (SHA-256 of the list {_short_hash(sample['frame_sha256'])})"
    whole = test["restored"] == planned
    if sample["method"] == "all":
        return (
            f"All {words.counted(planned, 'studies')} of a frozen list of {sample['frame']:,} {where} "
            f"were {'' if whole else 'to be '}restored from {backup} alone. Nothing was drawn, so nothing is estimated."
        )
    return (
        f"From a frozen list of {words.counted(sample['frame'], 'studies')} {where}, {planned:,} were drawn by "
        f"simple random sampling without replacement (seed {_short_hash(sample['seed'])}; unit: study) and "
        f"{'restored in full' if whole else 'to be restored'} from {backup} alone."
    )


def _result(test: View) -> str:
    """Give the deviations and, for a sample, the exact one-sided upper limit."""
    sample, planned, failed = test["sample"], test["planned"], test["failed"]
    text = f"All {planned:,} matched and opened."
    if sample["method"] == "random":
        text += " No deviations were found."
    if otherwise := _otherwise(test):
        text = f"{words.out_of(test['restored'], planned)} matched and opened; {'; '.join(otherwise)}."
    elif test["restored"] < planned:
        text = f"{words.out_of(test['restored'], planned)} matched and opened; the others were not tested."
    if sample["method"] != "random" or sample["upper_limit"] is None:
        return text
    frame, limit = sample["frame"], sample["upper_limit"]
    below = limit < sample["tolerable"] * frame
    bound, confidence = _share(sample["tolerable"]), _share(sample["confidence"])
    most = words.limit_percent(limit, frame)
    if test["restored"] < planned:
        # Of what was not tested nothing can be estimated; the limit takes it for failed.
        point = "" if untested(test) else f"Point estimate {failed / planned * 100:.1f} %; "
        counting = "; what was not tested counts as failed here" if untested(test) else ""
        criterion = "" if below else f" The planned criterion (upper limit below {bound}) was not reached."
        upper = f"{confidence} one-sided upper limit {most} (at most {limit:,} of {frame:,}{counting})."
        return f"{text} {point}{upper}{criterion}"
    share = f"at most {most} ({limit:,} studies)"
    if below:
        share = f"below {bound} (upper limit {most}, at most {limit:,} studies)"
    return (
        f"{text} At {confidence} confidence the share of studies on {test['backup']} not restorable at the time "
        f"of the test is {share}."
    )


def _share(value: float) -> str:
    return f"{value * 100:g} %"


def _short_hash(value: str | None) -> str:
    return f"{value[:16]}\u2026" if value else words.NONE
