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
    assert "Kept beyond the primary" in html(made("sound", retention=RULE).view())
    for record in (made("sound"), made("sound", retention=None)):
        assert record.view()["coverage"]["kept"] == []
        assert "Kept beyond the primary" not in html(record.view())


def test_what_a_console_purged_is_counted_beside_how_it_is_known(made: Make) -> None:
    record = made("sound")
    primary = next(store for store in record.audit["stores"] if store["role"] == "primary")
    counts = {
        "purged": 12,
        "on_two": 9,
        "on_one": 1,
        "on_none": 1,
        "not_checked": 1,
        "young_when_last_seen": 3,
        "disposed": 2,
    }

    def said(purged: dict[str, int] | None) -> list[str]:
        primary.update(keeps_hours=2160.0, purged=purged)
        lines: list[str] = record.view()["coverage"]["kept"]
        return lines

    name = primary["name"]
    assert said(None) == [f"{name} keeps studies for 90 d. It was not examined, so what it purged was not checked."]
    before = f"What went before the first record of {name} cannot be known."
    assert said(dict.fromkeys(counts, 0)) == [
        f"{name} keeps studies for 90 d. No study that a record saw there was purged since. {before}"
    ]
    assert said(counts) == [
        f"{name} keeps studies for 90 d, as its configuration says. Of 12 studies that it purged since, by how many "
        "backups have them whole and exact: two or more 9, one 1, none 1, not checked 1. Of 2 more a disposal is on "
        "record. Younger than that when last seen: 3 of 12; whether these went too early cannot be told. "
        f"{before}"
    ]


def test_page_one_says_what_is_not_on_two_backups(made: Make) -> None:
    record = made("sound", headline="incomplete_copies")
    primary = next(store for store in record.audit["stores"] if store["role"] == "primary")
    counts = {
        "purged": 12,
        "on_two": 10,
        "on_one": 1,
        "on_none": 1,
        "not_checked": 0,
        "young_when_last_seen": 0,
        "disposed": 0,
    }
    primary.update(keeps_hours=2160.0, purged=counts)
    sentence = record.view()["verdict"]["sentence"]
    assert sentence == "2 of 12 studies purged from a primary are not on two backups."
