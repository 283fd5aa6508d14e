"""The headline of page one, and the sentence that says it again with its counts."""

from collections.abc import Mapping
from typing import Any

from exactcopy.report import kept, words

View = dict[str, Any]

MOST_NAMED = 3
# These need attention even where they do not decide.
GRAVER = ("critical", "high", "medium")


def all_accepted(audit: Mapping[str, Any]) -> bool:
    """Tell whether somebody accepted every finding that the conclusion rests on."""
    resting = [each for each in audit["findings"] if each["decides"] and each["severity"] in GRAVER]
    return bool(resting) and all(each["state"] == "accepted" for each in resting)


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
        return f"{_copies(sums)} {_need(len(open_ones)) if open_ones else _accepted(len(audit['findings']))}"
    graver = [each for each in open_ones if each["severity"] in GRAVER]
    if not graver:
        return _copies(sums)
    do = "does" if len(graver) == 1 else "do"
    return (
        f"{_copies(sums)} {words.counted(len(graver), 'findings')} {do} not touch the copies: see What has to happen."
    )


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


def _accepted(count: int) -> str:
    return f"{words.counted(count, 'findings')} {_be(count)} accepted, and none is open."


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
    short = [each for each in sums if each["gap"] or each["pending"] or each["not_checked"]]
    with_gap = [each for each in short if each["gap"]]
    shown = [_short_of(each) for each in short]
    if len(shown) > MOST_NAMED:
        rest = [each for each in short if each not in with_gap[:2]]
        shown = [*(_short_of(each) for each in with_gap[:2]), f"more on {len(rest)} other backups"]
    purged = kept.short_of_two(audit["stores"])
    if purged and not with_gap:
        return purged
    if len(short) == 1:
        [only] = short
        share = words.percent(only["gap"], only["total"])
        aside = _aside(only)
        text = (
            f"{words.out_of(only['gap'], only['total'])} studies{f' ({share})' if share else ''} "
            f"{'has' if only['gap'] == 1 else 'have'} a gap on {only['name']}{f'; {aside}' if aside else ''}."
        )
    elif distinct_gaps is None:
        text = f"Studies with a gap: {words.listed(shown)}."
    else:
        total = sum({row["primary"]: row["studies"]["total"] for row in audit["comparisons"]}.values())
        have = "has" if distinct_gaps == 1 else "have"
        text = (
            f"{words.out_of(distinct_gaps, total)} studies {have} a gap on at least one backup: {words.listed(shown)}."
        )
    uncovered = sum(
        each["count"]
        for each in audit["findings"]
        if each["check"] == "every-instance-has-a-copy" and each["unit"] in {"study", "studies"}
    )
    if uncovered:
        text += f" In {words.counted(uncovered, 'studies')}, at least one image has an exact copy on no backup."
    return f"{text} {purged}".rstrip()


def _short_of(sums: View) -> str:
    aside = _aside(sums)
    return f"{words.out_of(sums['gap'], sums['total'])} on {sums['name']}{f' ({aside})' if aside else ''}"


def _aside(sums: View) -> str:
    """Name what has no exact copy there either, and is no gap."""
    parts = [f"{words.number(sums['pending'])} more pending"] if sums["pending"] else []
    if sums["not_checked"]:
        parts.append(f"{words.number(sums['not_checked'])} not checked")
    return ", ".join(parts)


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
