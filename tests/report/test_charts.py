"""Coordinates of the drawings."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from exactcopy.charts import EDGE, FLOORS, LEAST, Month, Segment, bar, floor_of, line, strip

STATES = ("this_run", "earlier", "reported", "pending", "gap", "not_checked")


@given(
    counts=st.lists(st.integers(0, 10**7), min_size=6, max_size=6),
    width=st.sampled_from([150.0, 252.0, 510.0]),
)
def test_a_bar_is_as_wide_as_it_says_and_shows_every_state_that_counts(counts: list[int], width: float) -> None:
    segments = [Segment(state=s, count=n, words=f"{n} {s}") for s, n in zip(STATES, counts, strict=True)]
    drawing = bar(segments, width=width)
    parts = drawing["parts"]
    assert [part["state"] for part in parts] == [s for s, n in zip(STATES, counts, strict=True) if n]
    assert all(part["width"] >= LEAST - 0.01 for part in parts)
    if parts:
        assert abs(sum(part["width"] for part in parts) - width) < 0.1
    for part in parts:
        across = [float(x) for x in re.findall(r"[ML](-?[\d.]+) ", part["hatch"])]
        assert all(part["x"] - 0.02 <= x <= part["x"] + part["width"] + 0.02 for x in across)


def test_five_of_many_stay_visible_and_the_words_carry_the_numbers() -> None:
    drawing = bar(
        [
            Segment(state="this_run", count=48_212, words="48,212 proven"),
            Segment(state="gap", count=5, words="5"),
        ]
    )
    assert drawing["parts"][1]["width"] == LEAST
    assert drawing["alt"] == "48,212 proven, 5"


def months(counts: list[tuple[int, int] | None]) -> list[Month]:
    """Give a month for each pair of how many are protected and how many are not."""
    return [
        Month(when=str(place), state="gap" if each and each[1] else "all" if each else "none", text="x", words="y",
              protected=each[0] if each else 0, total=sum(each) if each else 0)
        for place, each in enumerate(counts)
    ]  # fmt: skip


@given(
    counts=st.lists(
        st.none() | st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)).filter(lambda each: sum(each) > 0),
        min_size=12,
        max_size=12,
    )
)
def test_a_line_is_at_the_top_only_where_all_is_protected_and_broken_where_nothing_is_known(
    counts: list[tuple[int, int] | None],
) -> None:
    made = months(counts)
    floor = floor_of(made)
    drawing = line(made, floor)
    known = [each for each in counts if each]
    for point, (_, short) in zip(drawing["points"], known, strict=True):
        assert point["state"] == ("gap" if short else "all")
        assert point["y"] == EDGE if short == 0 else EDGE + LEAST - 0.01 <= point["y"] <= drawing["height"] - EDGE
    beginnings = sum(bool(each) and (not place or not counts[place - 1]) for place, each in enumerate(counts))
    assert (drawing["path"].count("M"), drawing["path"].count("L")) == (beginnings, len(known) - beginnings)
    assert floor in FLOORS
    assert all(100 * good >= floor * (good + short) for good, short in known)
    cells = strip(made)["cells"]
    assert [cell["state"] for cell in cells] == [month.state for month in made]
    assert all(left["x"] + left["width"] < right["x"] for left, right in pairwise(cells))


def test_a_scale_of_few_studies_begins_at_none() -> None:
    assert floor_of(months([(99, 0)])) == 0
    assert floor_of(months([(100, 0), None])) == 99
    assert floor_of(months([(1_000, 0), (985, 15)])) == 98
    assert floor_of([]) == 0
