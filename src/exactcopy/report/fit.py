"""Keeps page one on one page: how high its parts come out, how tight it is set, and what gives way.

Heights are in points and Letter's; A4 is 18 mm higher, more than its narrower lines cost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

View = dict[str, Any]

# Characters that fit on a line, on the careful side; a line that breaks at a hyphen ends early.
FACILITY, NOTE, EXPLAIN, FINE, WORDS, TITLE, WHO, NAME, UNDER = 56, 32, 82, 112, 114, 44, 42, 34, 66
LEAST_ACTIONS, LEAST_BARS = 2, 3
OWNER = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How tight page one is set: the class of the style sheet, and the heights that it gives."""

    name: str
    room: float
    explain: float
    fine: float
    action: float
    after_action: float
    name_line: float
    under: float
    bar: float
    words: float


# `room` is what Letter leaves once masthead, figures, headings and review have theirs.
SETTINGS = (
    Setting(
        name="",
        room=298,
        explain=15.5,
        fine=11,
        action=11.5,
        after_action=6.2,
        name_line=11.5,
        under=10.5,
        bar=18.8,
        words=11,
    ),
    Setting(
        name="dense",
        room=336,
        explain=15.5,
        fine=11,
        action=11,
        after_action=4.3,
        name_line=10.5,
        under=10.5,
        bar=16.3,
        words=10.25,
    ),
    Setting(
        name="dense denser",
        room=348,
        explain=13.5,
        fine=10.25,
        action=11,
        after_action=2.6,
        name_line=10.5,
        under=9.5,
        bar=12.3,
        words=9.5,
    ),
)


@dataclass(slots=True, kw_only=True)
class Parts:
    """What of page one can take more than a line."""

    facility: str
    notes: Sequence[str]
    explain: str
    fine: Sequence[str]
    actions: list[View]
    bars: list[View]
    words: str
    samples: list[View]
    # A line for each; where there is none, a sentence says how many there are and where they stand.
    decisions: list[str]
    new_decisions: int


def fit(parts: Parts) -> str:
    """Give the roomiest setting that holds `parts`; what even the tightest does not hold is taken away."""
    for setting in SETTINGS:
        if _height(parts, setting) <= setting.room:
            return setting.name
    tightest = SETTINGS[-1]
    while _height(parts, tightest) > tightest.room and _give_way(parts, tightest):
        pass
    return tightest.name


def _give_way(parts: Parts, setting: Setting) -> bool:
    """Take one thing away; every part says how many more there are and where."""
    if len(parts.samples) > 1:
        parts.samples.pop()
    elif parts.decisions:
        parts.decisions.clear()
    elif len(parts.actions) > LEAST_ACTIONS and _right(parts, setting) >= _left(parts, setting):
        parts.actions.pop()
    elif len(parts.bars) > LEAST_BARS:
        parts.bars.pop()
    else:
        return False
    return True


def shortened(text: str, most: int = OWNER) -> str:
    """Give `text`, cut where it would crowd out what stands beside it."""
    return text if len(text) <= most else text[: most - 1].rstrip(" ,-") + "…"


def _under(bar: View) -> tuple[str, ...]:
    return bar["words"], bar["last_known"] or "", bar["archives"]


def _lines(text: str, width: int) -> int:
    return -(-len(text) // width) if text else 0


def _right(parts: Parts, setting: Setting) -> float:
    lines = sum(_lines(each["title"], TITLE) + _lines(each["who"] + each["when"], WHO) for each in parts.actions)
    return lines * setting.action + len(parts.actions) * setting.after_action + setting.under


def _left(parts: Parts, setting: Setting) -> float:
    names = sum(_lines(each["name"] + each["total"], NAME) for each in parts.bars)
    under = sum(_lines(text, UNDER) for each in parts.bars for text in _under(each))
    return names * setting.name_line + under * setting.under + len(parts.bars) * setting.bar + setting.under


def _height(parts: Parts, setting: Setting) -> float:
    samples = " ".join(f"{each['backup']}: {each['text']}" for each in parts.samples)
    fine = sum(_lines(each, FINE) for each in parts.fine)
    words = _lines(parts.words, WORDS) + _lines("Test restores. " + samples, WORDS)
    halves = max(_left(parts, setting), _right(parts, setting))
    legend = setting.under + 6
    # The sentence that leads them, or stands for them, takes a line.
    decisions = sum(_lines(each, FINE) for each in parts.decisions) + min(parts.new_decisions, 1)
    head = (_lines(parts.facility, FACILITY) - 1) * 13 + (
        max(_lines(each, NOTE) for each in parts.notes) - 1
    ) * setting.under
    return (
        head
        + _lines(parts.explain, EXPLAIN) * setting.explain
        + fine * setting.fine
        + halves
        + legend
        + words * setting.words
        + decisions * setting.fine
    )
