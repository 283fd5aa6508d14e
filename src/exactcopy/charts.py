"""Coordinates of the report's few drawings; the SVG macros only print them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Five of 48,217 must stay visible, in points of the drawing.
LEAST = 2.2
HATCH = 3.2


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
