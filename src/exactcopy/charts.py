"""Coordinates of the report's few drawings; the SVG macros only print them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Five of 48,217 must stay visible, in points of the drawing.
LEAST = 2.2
HATCH = 3.2
# What lies between a line's top or bottom and the edge of its drawing, and between the cells of a strip.
EDGE, CELL_GAP = 3.0, 1.6
# Where the scale of shares may begin, in percent; of fewer studies than FEW only counts are shown.
FLOORS = (99, 98, 95, 90, 75, 50, 0)
FEW = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of a bar: the state that it shows, how many, and its words."""

    state: str
    count: int
    words: str


def bar(segments: Sequence[Segment], *, width: float = 252.0, height: float = 8.0) -> dict[str, Any]:
    """Lay `segments` out side by side; no part that counts anything is too thin to be seen."""
    shown = [each for each in segments if each.count > 0]
    widths = _widths([each.count for each in shown], width)
    parts, left = [], 0.0
    for each, wide in zip(shown, widths, strict=True):
        part = {"state": each.state, "x": round(left, 2), "width": round(wide, 2), "hatch": ""}
        if each.state in {"reported", "pending"}:
            part["hatch"] = _hatch(left, wide, height, rising=each.state == "reported")
        parts.append(part)
        left += wide
    return {
        "width": width,
        "height": height,
        "parts": parts,
        "alt": ", ".join(each.words for each in shown) or "nothing to show",
    }


def _widths(counts: Sequence[int], width: float) -> list[float]:
    """Share the width by count, give the thin ones the least and take it from the others."""
    thin: set[int] = set()
    while True:
        free = width - LEAST * len(thin)
        rest = sum(count for place, count in enumerate(counts) if place not in thin)
        more = {place for place, count in enumerate(counts) if place not in thin and count * free < LEAST * rest}
        if not more:
            break
        thin |= more
    return [LEAST if place in thin else free * count / rest for place, count in enumerate(counts)]


def _hatch(left: float, width: float, height: float, *, rising: bool) -> str:
    """Give an SVG path of diagonal lines that end at the part's edges, so that no clip is needed."""
    lines, offset = [], HATCH / 2
    while offset < width + height:
        first = max(offset - height, 0.0), min(offset, height)
        last = min(offset, width), max(offset - width, 0.0)
        (x1, y1), (x2, y2) = first, last
        if not rising:
            y1, y2 = height - y1, height - y2
        lines.append(f"M{left + x1:.2f} {y1:.2f}L{left + x2:.2f} {y2:.2f}")
        offset += HATCH
    return "".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """One month of one backup: its state, what its cell says, the words for both, and how much was protected.

    Without a `total` nothing is known of the month, and the line is broken there.
    """

    when: str
    state: str
    text: str
    words: str
    protected: int = 0
    total: int = 0


def floor_of(months: Sequence[Month]) -> int:
    """Give the share, in percent, at which the scale of lines begins: the highest that no point lies below.

    Fewer than 100 studies are shown as counts only, on a scale that begins at none.
    """
    known = [each for each in months if each.total]
    if not known or min(each.total for each in known) < FEW:
        return 0
    return next(floor for floor in FLOORS if all(100 * each.protected >= floor * each.total for each in known))


def line(months: Sequence[Month], floor: int, *, width: float = 510.0, height: float = 22.0) -> dict[str, Any]:
    """Lay a line out from left to right, a point in the middle of each month, between all (top) and `floor` %.

    A point that lacks a single study lies visibly below the top.
    """
    column, path, points = width / len(months), "", []
    for place, month in enumerate(months):
        if month.total:
            x, y = round(column * (place + 0.5), 2), round(EDGE + _depth(month, floor, height - 2 * EDGE), 2)
            path += f"{'L' if place and months[place - 1].total else 'M'}{x:g} {y:g}"
            points.append({"x": x, "y": y, "state": month.state})
    return {
        "width": width,
        "height": height,
        "rules": [EDGE, height - EDGE],
        "path": path,
        "points": points,
        "alt": _alt(months),
    }


def _depth(month: Month, floor: int, room: float) -> float:
    short = month.total - month.protected
    depth = room * short / (month.total * (1 - floor / 100))
    return min(max(depth, LEAST), room) if short else 0.0


def strip(months: Sequence[Month], *, width: float = 510.0, height: float = 13.0) -> dict[str, Any]:
    """Lay out a cell for each month; its text and its pattern say the state, not its color alone."""
    column, cells = width / len(months), []
    for place, month in enumerate(months):
        left, wide = column * place + CELL_GAP / 2, column - CELL_GAP
        cell = {"state": month.state, "text": month.text, "x": round(left, 2), "width": round(wide, 2), "hatch": ""}
        if month.state == "pending":
            cell["hatch"] = _hatch(left, wide, height, rising=False)
        cells.append(cell | {"middle": round(left + wide / 2, 2)})
    return {"width": width, "height": height, "cells": cells, "alt": _alt(months)}


def _alt(months: Sequence[Month]) -> str:
    return "; ".join(f"{each.when} {each.words}" for each in months)
