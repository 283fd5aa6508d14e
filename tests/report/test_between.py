"""Section 6: the drift checks since the audit before, and who was told of what."""

from typing import Any

from exactcopy.report import between, words
from exactcopy.report.formats import html
from tests.report.audits import year
from tests.report.conftest import Make

YEAR, _ = year()


def told(first: bool = False, **keys: Any) -> Any:
    return between.section({"audit": {"first": first}, **keys}, words.Clock("America/Chicago"))


def test_what_ran_and_what_was_told_is_counted() -> None:
    assert told(drift=YEAR["drift"], alerts=YEAR["alerts"]) == {
        "sentences": [
            "28 drift checks from 25 Oct 2026 to 23 Nov 2026; 3 found something new, worse or resolved.",
            "2 days since the audit before had none.",
        ],
        "rows": [
            {"name": "notify 1", "sent": "2", "failed": "0", "told": ["4", "2", "0", "2", "8"]},
            {"name": "notify 2", "sent": "0", "failed": "1: the message was not taken", "told": ["0"] * 5},
            {"name": "ping", "sent": "0", "failed": "1: it answered with an error", "told": ["0"] * 5},
        ],
    }


def test_none_is_said_and_so_is_a_log_that_was_altered() -> None:
    none = {**YEAR["drift"], "runs": 0, "first": None, "last": None, "days_without": 29}
    assert told(drift=none, alerts=[])["sentences"] == [between.NO_CHECK]
    broken = told(drift={**YEAR["drift"], "runs": 1, "days_without": 0, "faults": 2, "cut_off": True})["sentences"]
    assert broken[1:] == [
        "2 lines of their log cannot be read, or do not follow the one before.",
        "The last line of their log was cut off while it was written, and counts for nothing.",
    ]
    assert told(first=True, drift=none) is None
    assert told() is None, "an older record kept nothing"


def test_the_page_shows_it_after_the_trend(made: Make) -> None:
    page = html(made("year").view())
    assert page.index("The last twelve months") < page.index("Between the audits") < page.index("notify 2")
    assert "Between the audits" not in html(made("first").view())
