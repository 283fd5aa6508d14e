"""What the report says of a recovery PACS: every step with its denominator, and nothing stronger."""

from typing import Any

import pytest

from exactcopy.report import recoveries
from exactcopy.report.words import NONE
from tests.report.audits import restore_test

STEPS = ("instances", "accepted", "found", "retrieved", "equal", "decoded")


def recovery(studies: tuple[int, int, int, int] = (4, 0, 0, 0), **changes: Any) -> dict[str, Any]:
    """Give what became of studies in a recovery PACS: recovered, failed, held, not tested."""
    counts = dict(zip(("recovered", "failed", "held", "not_tested"), studies, strict=True))
    put = 3 * (counts["recovered"] + counts["failed"])
    base: dict[str, Any] = {
        "name": "spare",
        "kind": "dicomweb",
        "studies": counts,
        "instances": dict.fromkeys(STEPS, put) | {"not_decodable": 0},
        "rendered": {"asked": counts["recovered"], "done": counts["recovered"]},
        "removed": {"asked": counts["recovered"], "done": counts["recovered"]},
        "bytes": 600_000 if put else 0,
        "put_seconds": 2.0,
        "back_bytes": 600_000 if put else 0,
        "back_seconds": 1.0,
        "hours": 5.5 if put else None,
        "problems": {},
    }
    return base | changes


def audit(*tests: dict[str, Any], held_by: str = "us") -> dict[str, Any]:
    """Give the part of a record that section 4 looks at."""
    receiver = {"name": "spare", "kind": "dicomweb", "site": None, "held_by": held_by}
    made = [restore_test(f"b{number}", 4, 4, recovery=each) for number, each in enumerate(tests)]
    return {"recovery": receiver, "restore_tests": made}


def cells(section: dict[str, Any], label: str) -> list[str]:
    """Give the texts of one row, over all tables."""
    return [
        cell["text"]
        for table in section["tables"]
        for row in table["rows"]
        if row["label"] == label
        for cell in row["cells"]
    ]


def made(*tests: dict[str, Any]) -> dict[str, Any]:
    """Give the section of these tests."""
    section = recoveries.section(audit(*tests))
    assert section is not None
    return section


def test_a_record_without_a_recovery_pacs_says_nothing_of_one() -> None:
    assert recoveries.section({"restore_tests": [restore_test("nas", 4, 4)]}) is None
    assert recoveries.section({"recovery": None, "restore_tests": []}) is None
    assert recoveries.page_one(restore_test("nas", 4, 4)) == ""


def test_a_pacs_that_got_nothing_is_not_checked() -> None:
    section = made()
    assert section["none"] == "No study was put into spare: that it shows them is not checked."
    assert section["tables"] == []


@pytest.mark.parametrize(
    ("found", "status", "page_one"),
    [
        (recovery(), "no exception", " Put into spare: 4 of 4 found, retrieved and equal."),
        (recovery((3, 1, 0, 0)), "exception", " Put into spare: 3 of 4 found, retrieved and equal."),
        (
            recovery((1, 0, 3, 0)),
            "not checked",
            " Put into spare: 1 of 1 found, retrieved and equal; 3 there already and not put.",
        ),
        (recovery((0, 0, 4, 0)), "not checked", " spare: 4 there already and not put."),
        (recovery((0, 0, 1, 3)), "not checked", " spare: 1 there already and not put, 3 not tested."),
        (recovery((0, 0, 0, 0)), "not checked", ""),
        (
            recovery(rendered={"asked": 4, "done": 3}),
            "attention",
            " Put into spare: 4 of 4 found, retrieved and equal.",
        ),
    ],
)
def test_no_status_is_better_than_what_was_shown(found: dict[str, Any], status: str, page_one: str) -> None:
    assert made(found)["tables"][0]["backups"] == [{"name": "b0", "status": status}]
    assert recoveries.page_one(restore_test("b0", 4, 4, recovery=found)) == page_one


def test_every_step_has_its_denominator_and_what_was_not_done_a_dash() -> None:
    lossy = recovery((3, 1, 0, 0))
    lossy["instances"] |= {"accepted": 11, "found": 11, "retrieved": 10, "equal": 9, "decoded": 8, "not_decodable": 1}
    nothing = recovery((0, 0, 4, 0), rendered={"asked": 0, "done": 0}, removed=None)
    section = made(lossy, nothing)
    assert cells(section, "Images that it took") == ["11 of 12", NONE]
    assert cells(section, "Equal") == ["9 of 12", NONE]
    assert cells(section, "Decoded, every frame") == ["8 of 12", NONE]
    assert cells(section, "Studies of which it showed a picture") == ["3 of 3", NONE]
    assert cells(section, "Studies removed again") == ["3 of 3", "left there"]
    assert cells(section, "Full recovery (estimate)") == ["5 h 30 min", NONE]
    rows = {row["label"]: row["cells"] for row in section["tables"][0]["rows"]}
    assert [cell["alarming"] for cell in rows["Equal"]] == [True, False]
    assert rows["Decoded, every frame"][0]["beside"] == "1 cannot be decoded here"
    assert [each["text"] for each in section["statements"]] == [
        "",
        "4 studies were there before; nothing was put, and they came back to scratch only.",
    ]


def test_many_backups_stand_in_several_tables() -> None:
    assert [len(table["backups"]) for table in made(*[recovery()] * 6)["tables"]] == [4, 2]


def test_who_else_holds_it_is_named() -> None:
    section = recoveries.section(audit(recovery(), held_by="Spare Inc"))
    assert section is not None
    assert section["what"] == "PACS by DICOMweb, held by Spare Inc"
