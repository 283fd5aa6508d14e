"""What the report says of studies that are kept for years."""

from collections.abc import Callable
from typing import Any

from exactcopy.report import Record, html

Make = Callable[..., Record]
RULE = {
    "rule": "Images are kept seven years",
    "years": 7,
    "set_by": "Dana Reyes",
    "on": "2026-01-15",
    "citation": "Policy 12",
    "since": "2019-11-24",
    "oldest_year": 2014,
    "studies": 1240,
    "absent": 2,
    "disposed": 1,
    "not_listed": [],
}
SAID = (
    "Oldest study present is dated 2014; the facility\u2019s rule \u201cImages are kept seven years\u201d (set by Dana "
    "Reyes on 15 Jan 2026, citation entered by the facility: Policy 12) asks for 7 years"
)


def kept(made: Make, **rule: Any) -> list[str]:
    lines: list[str] = made("sound", retention=RULE | rule).view()["coverage"]["kept"]
    return lines


def test_the_rule_is_printed_as_the_facility_wrote_it_beside_what_is_absent(made: Make) -> None:
    beside = "of 1,240 studies dated 24 Nov 2019 or later that this or an earlier record saw, 2 are absent from all"
    before = "What was gone before the first record cannot be seen."
    assert kept(made) == [f"{SAID}; {beside} stores; of 1 more a disposal is on record. {before}"]
    assert kept(made, absent=1, disposed=0) == [f"{SAID}; {beside.replace('2 are', '1 is')} stores. {before}"]


def test_what_was_not_listed_whole_is_named_and_nothing_is_said_to_be_there(made: Make) -> None:
    assert kept(made, absent=None, disposed=None, not_listed=["nas", "usb-drives"]) == [
        f"{SAID}. Whether any of 1,240 studies dated 24 Nov 2019 or later that this or an earlier record saw is absent "
        "from all stores was not checked, for these were not listed whole: nas and usb-drives."
    ]


def test_without_a_rule_the_report_has_no_such_part(made: Make) -> None:
    assert "Kept for years" in html(made("sound", retention=RULE).view())
    for record in (made("sound"), made("sound", retention=None)):
        assert record.view()["coverage"]["kept"] == []
        assert "Kept for years" not in html(record.view())
