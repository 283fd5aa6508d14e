"""Coordinates of the bars."""

import re

from hypothesis import given
from hypothesis import strategies as st

from exactcopy.charts import LEAST, Segment, bar

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
