"""Hours of the day: past midnight, in the facility's own time, also on the two odd days of the year."""

from datetime import UTC, datetime, time, timedelta

import pytest

from exactcopy.windows import Window

NIGHT = Window(time(20), time(6), "America/Chicago")
EVENING = Window(time(18, 30), time(0), "America/Chicago")
DAY = Window(time(9), time(17), "UTC")


@pytest.mark.parametrize(
    ("window", "moment", "left"),
    [
        # Chicago is six hours behind in winter, five in summer.
        (NIGHT, "2026-01-16T01:59:59", "0h"),
        (NIGHT, "2026-01-16T02:00:00", "10h"),
        (NIGHT, "2026-01-16T11:30:00", "30m"),
        (NIGHT, "2026-01-16T12:00:00", "0h"),
        (NIGHT, "2026-07-16T01:00:00", "10h"),
        # The clock is put forward at two in the morning of March 8, and back on November 1.
        (NIGHT, "2026-03-08T02:00:00", "9h"),
        (NIGHT, "2026-11-01T01:00:00", "11h"),
        (EVENING, "2026-01-16T00:30:00", "330m"),
        (EVENING, "2026-01-16T06:00:00", "0h"),
        (DAY, "2026-01-16T08:59:59", "0h"),
        (DAY, "2026-01-16T09:00:00", "8h"),
        (DAY, "2026-01-16T17:00:00", "0h"),
    ],
)
def test_what_is_left_of_a_window(window: Window, moment: str, left: str) -> None:
    expected = timedelta(**{{"h": "hours", "m": "minutes"}[left[-1]]: int(left[:-1])})
    assert window.left(datetime.fromisoformat(moment).replace(tzinfo=UTC)) == expected


def test_how_long_a_window_is() -> None:
    assert [window.length() / timedelta(hours=1) for window in (NIGHT, EVENING, DAY)] == [10, 5.5, 8]
