"""Numbers, dates and shares as the report prints them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exactcopy.report import words


@given(whole=st.integers(100, 10**8), short=st.integers(1, 10**8))
def test_a_share_below_the_whole_is_never_printed_as_100(whole: int, short: int) -> None:
    part = max(whole - short, 0)
    assert "100" not in (words.percent(part, whole) or "").split(".")[0].split()


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        (40, 40, None),
        (99, 99, None),
        (100, 100, "100 %"),
        (48_216, 48_217, "99.99 %"),
        (1, 48_217, "under 0.01 %"),
        (0, 48_217, "0.00 %"),
        (47_805, 48_217, "99.14 %"),
    ],
)
def test_percent(part: int, whole: int, expected: str | None) -> None:
    assert words.percent(part, whole) == expected


def test_an_upper_limit_is_rounded_up() -> None:
    assert words.limit_percent(59, 1_240) == "4.8 %"
    assert words.limit_percent(1, 3_000) == "0.1 %"


@pytest.mark.parametrize(
    ("count", "unit", "expected"),
    [
        (1, "studies", "1 study"),
        (2, "studies", "2 studies"),
        (1, "instances", "1 image"),
        (48_217, "images", "48,217 images"),
    ],
)
def test_a_count_agrees_with_its_unit(count: int, unit: str, expected: str) -> None:
    assert words.counted(count, unit) == expected


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (None, words.NONE),
        (0.001, "under 1 min"),
        (0.5, "30 min"),
        (4.25, "4 h 15 min"),
        (24.0, "24 h"),
        (220, "9 d 4 h"),
        (25_008, "1,042 d"),
    ],
)
def test_age(hours: float | None, expected: str) -> None:
    assert words.age(hours) == expected


@given(st.floats(72, 10**6))
def test_an_age_is_never_rounded_up(hours: float) -> None:
    assert words.age(hours).split(" d")[0] == f"{int(hours // 24):,}"


def test_times_are_the_facilitys_own() -> None:
    clock = words.Clock("America/Chicago")
    assert clock.time("2026-11-24T04:31:13+00:00") == "23 Nov 2026, 22:31 CST"
    assert clock.span("2026-11-24T06:00:00+00:00", "2026-11-24T06:41:00+00:00") == "24 Nov 2026, 00:00 to 00:41 CST"
    assert clock.day("2026-12-01") == "1 Dec 2026"


def test_an_unknown_zone_is_read_as_utc() -> None:
    assert words.Clock("Nowhere/../../etc/passwd").time("2026-11-24T06:00:00Z") == "24 Nov 2026, 06:00 UTC"


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_printable(text: str) -> None:
    clean = words.printable(text)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in clean)
    assert not set(clean) & {"\u202e", "\u2066", "\u200f", "\u2028"}


def test_printable_reaches_into_structures() -> None:
    assert words.printable({"a": ["\x1b[2Jx", {"b": "y\x00"}], "n": 3}) == {"a": ["[2Jx", {"b": "y"}], "n": 3}
