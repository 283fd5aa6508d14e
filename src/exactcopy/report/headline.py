"""The headline of page one, and the sentence that says it again with its counts."""

from typing import Any

from exactcopy.report import words

View = dict[str, Any]


def headline_code(audit: View) -> str:
    """Give the headline's code; an incomplete audit never bears one that sounds like a pass."""
    code: str = audit["headline"]
    short = not audit["complete"] or audit["conclusion"] == "incomplete"
    return "not_enough" if short and code in {"none", "other_exceptions"} else code


def explain(code: str, audit: View, sums: list[View], distinct_gaps: int | None) -> str:
    """Say the headline again with its counts and denominators."""
    if code == "lost":
        return _lost(audit)
    if code == "incomplete_copies":
        return _incomplete(audit, sums, distinct_gaps)
    if code == "restore_failed":
        return f"{_failed_restores(audit)} {_copies(sums)}"
    if code == "not_enough":
        return _not_enough(sums)
    open_ones = [each for each in audit["findings"] if each["state"] == "open"]
    if code == "other_exceptions":
        return f"{_copies(sums)} {_need(len(open_ones))}"
    return _copies(sums)


def _failed_restores(audit: View) -> str:
    parts = [
        f"{each['failed'] + each['certainty']['failed']:,} of "
        f"{each['planned'] + each['certainty']['planned']:,} from {each['backup']}"
        for each in audit["restore_tests"]
        if each["failed"] or each["certainty"]["failed"]
    ]
    if not parts:
        return "A test restore was due and was not made whole."
    return f"Of the studies that were test-restored, {words.listed(parts)} did not come back whole."


def _be(count: int) -> str:
    return "is" if count == 1 else "are"


def _need(count: int) -> str:
    return f"{words.counted(count, 'findings')} {'needs' if count == 1 else 'need'} attention."


def _lost(audit: View) -> str:
    losses = audit["losses"]
    total = words.number(sum(each["studies"] for each in audit["stores"] if each["role"] == "primary"))
    parts = []
    if gone := losses["gone_everywhere"]["studies"]:
        seen = words.record_day(losses["compared_with"] or "")
        parts.append(
            f"{words.counted(gone, 'studies')} "
            f"({words.counted(losses['gone_everywhere']['instances'], 'images')}) "
            f"that the record of {seen} saw {_be(gone)} in no store that was examined"
        )
    if unsound := losses["no_sound_copy"]["studies"]:
        parts.append(
            f"{words.counted(unsound, 'studies')} "
            f"({words.counted(losses['no_sound_copy']['instances'], 'images')}) "
            f"of {total} on the primary {_be(unsound)} damaged or absent on every side"
        )
    return words.listed(parts) + "." if parts else "The findings below name the images that have no sound copy left."


def _incomplete(audit: View, sums: list[View], distinct_gaps: int | None) -> str:
    per_backup = [f"{words.out_of(each['gap'], each['total'])} on {each['name']}" for each in sums if each["gap"]]
    shown = per_backup if len(per_backup) <= 3 else [*per_backup[:2], f"gaps on {len(per_backup) - 2} other backups"]
    uncovered = sum(
        each["count"]
        for each in audit["findings"]
        if each["check"] == "every-instance-has-a-copy" and each["unit"] in {"study", "studies"}
    )
    total = max((each["total"] for each in sums), default=0)
    if distinct_gaps is None or len(per_backup) < 2:
        text = f"Studies without an exact copy: {words.listed(shown)}."
        if len(per_backup) == 1:
            only = next(each for each in sums if each["gap"])
            share = words.percent(only["gap"], only["total"])
            text = (
                f"{words.out_of(only['gap'], only['total'])} studies{f' ({share})' if share else ''} "
                f"have no exact copy on {only['name']}."
            )
    else:
        text = (
            f"{words.out_of(distinct_gaps, total)} studies have no exact copy on at least one backup: "
            f"{words.listed(shown)}."
        )
    if uncovered:
        text += f" {words.counted(uncovered, 'studies')} of these {_be(uncovered)} on no backup at all."
    return text


def _not_enough(sums: list[View]) -> str:
    parts = [
        f"{words.out_of(each['not_checked'], each['total'])} on {each['name']}" for each in sums if each["not_checked"]
    ]
    if not parts:
        return "A store or a planned test restore could not be examined. What was examined showed no gap."
    text = f"Studies that could not be checked: {words.listed(parts)}."
    return text if any(each["gap"] for each in sums) else text + " What was checked showed no gap."


def _copies(sums: list[View]) -> str:
    examined = [each for each in sums if each["examined"]]
    if not examined:
        return "No backup was examined."
    pending = max(each["pending"] for each in examined)
    if all(each["protected"] == each["total"] for each in examined):
        total = examined[0]["total"]
        if all(each["total"] == total for each in examined):
            where = f"on {examined[0]['name']}" if len(examined) == 1 else f"on each of {len(examined)} backups"
            return f"All {words.out_of(total, total)} studies have an exact copy {where}."
    parts = [f"{words.out_of(each['protected'], each['total'])} on {each['name']}" for each in examined]
    text = f"Studies with an exact copy: {words.listed(parts)}."
    if pending:
        text += f" Up to {words.number(pending)} are younger than the limit and still pending."
    return text
