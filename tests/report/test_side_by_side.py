"""The table that sets the backups side by side, and what else the report says of each."""

import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from exactcopy.model import Algorithm, Answer, Safeguard
from exactcopy.report import Record, html, known, method, restores, side_by_side, stores, words
from exactcopy.report.formats import GAP_COLUMNS
from exactcopy.report.view import view
from tests.report import audits

Make = Callable[..., Record]
PRICED = ("A year", "Paid once", "To read all of it back", "Read by this audit")
UNOPENED = re.compile(r"\barchives? (on|was|were)\b")
Cells = dict[str, dict[str, Any]]


def column(audit: audits.Audit, backup: str) -> Cells:
    """Give the cells of one backup by their labels; those that no backup answered are one cell, "Not assessed"."""
    found: Cells = {}
    for table in side_by_side.section(audit, words.Clock("UTC")):
        names = [each["name"] for each in table["backups"]]
        if backup in names:
            for group in table["groups"]:
                found |= {row["label"]: row["cells"][names.index(backup)] for row in group["rows"]}
                if group["silent"]:
                    found["Not assessed"] = {"text": group["silent"]}
    return found


def said(cell: dict[str, Any]) -> str:
    """Give all that a cell says on one line."""
    return " | ".join([cell["text"], *cell["beside"]])


def text_of(page: str) -> str:
    """Give the words of a page."""
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL).split())


def test_every_fact_of_a_bucket_is_said() -> None:
    cells = column(audits.clouds()[0], "backblaze")
    assert {label: said(cell) for label, cell in cells.items()} == {
        "Kind": "S3 bucket, held by Backblaze",
        "Place": "Off site | US West",
        "Studies with an exact copy": "1,236 of 1,240 (99.67 %) | 59 proven in this run · 1,177 reported by the "
        "provider · 4 with a gap | 14 images missing; of these, 12 were deleted on the backup, which still "
        "keeps them | 2 archives were not opened; images in them are not counted.",
        "Newest copy": "2026-11-24",
        "Oldest image without a copy": "3 d 21 h | over the limit of 24 h",
        "How its images are known": "41,000 images identical by the provider's SHA-256, 200 images identical by the "
        "provider's CRC-64/NVME, 310 read back, 45 restored | oldest read 2026-11-24 | CRC-64/NVME: evidence against "
        "corruption, not against replacement.",
        "Test restore": "59 of 59 studies restored and matched | drawn by chance from 1,236 | "
        "chosen beside: 3 of 3 restored",
        "Measured speed": "1.5 MB/s | 2.9 GB in 32 min | egress $0.03",
        "Time to copy all back": "6 d 23 h | limit 14 d; estimate",
        "Encrypted at rest": "Yes (AES256)",
        "Closed to the public": "Yes",
        "Locked against change and deletion": "Yes (COMPLIANCE, 365 days)",
        "Keeps earlier versions": "Yes",
        "Encrypted on the way": "Yes (HTTPS; other ways not refused by a policy)",
        "Free of rules that delete images": "No (objects are deleted after 730 days)",
        "Access is logged": "Not supported by the server",
        "Replicated by the provider": "No",
        "Files closed to other accounts": "Not assessed",
        "A year": "$65.66",
        "Paid once": "Nothing",
        "To read all of it back": "$9.12",
        "Read by this audit": "41.0 MB | at 1.5 MB/s | egress $0.01",
    }


def test_what_is_over_its_limit_or_failed_is_marked() -> None:
    backblaze, drive = (column(audits.clouds()[0], name) for name in ("backblaze", "google-drive"))
    assert backblaze["Studies with an exact copy"]["tone"] == "alarm"
    assert backblaze["Oldest image without a copy"]["tone"] == "alarm"
    assert drive["Test restore"]["tone"] == "alarm"
    assert said(drive["Test restore"]).startswith("58 of 59 studies restored and matched | 1 failed")
    # Both are printed as 14 days: that one is longer has to be said.
    assert said(drive["Time to copy all back"]) == "14 d | over the limit of 14 d; estimate"
    assert drive["Time to copy all back"]["tone"] == "alarm"
    assert "alarm" not in {drive["Studies with an exact copy"]["tone"], backblaze["Time to copy all back"]["tone"]}


@pytest.mark.parametrize("safeguard", Safeguard)
@pytest.mark.parametrize("answer", Answer)
def test_only_a_pass_is_a_yes(safeguard: Safeguard, answer: Answer) -> None:
    audit, _ = audits.clouds()
    audit["stores"][1]["safeguards"][safeguard.value] = {"answer": answer.value, "detail": "", "count": None}
    cells = column(audit, "backblaze")
    label = side_by_side.SAFEGUARDS[safeguard]
    if label not in cells:
        assert answer is Answer.NOT_ASSESSED
        assert label in cells["Not assessed"]["text"]
        return
    cell = cells[label]
    assert (cell["text"] == "Yes") == (cell["tone"] == "good") == (answer is Answer.PASS)
    assert (cell["text"] == "No") == (cell["tone"] in {"bad", "warn"}) == (answer is Answer.FAIL)
    if answer not in {Answer.PASS, Answer.FAIL}:
        assert (cell["text"], cell["tone"]) == (side_by_side.ANSWERS[answer][0], "unchecked")


def test_a_failed_safeguard_is_an_exception_but_for_the_two_that_nothing_asks_for() -> None:
    audit, _ = audits.clouds()
    audit["stores"][1]["safeguards"] = audits.safeguards(**dict.fromkeys(audits.SAFEGUARDS, "fail"))
    cells = column(audit, "backblaze")
    tones = {safeguard: cells[label]["tone"] for safeguard, label in side_by_side.SAFEGUARDS.items()}
    assert {safeguard for safeguard, tone in tones.items() if tone == "warn"} == side_by_side.MINOR
    assert set(tones.values()) == {"bad", "warn"}


def test_counts_are_of_files_in_a_folder_and_of_objects_elsewhere() -> None:
    audit, _ = audits.clouds()
    rights = column(audit, "dropbox")["Files closed to other accounts"]
    assert rights["text"] == "No (everybody on this computer may read them; 41,600 files)"
    assert column(audit, "google-drive")["Closed to the public"]["text"] == "No (public link; 3 objects)"
    audit["stores"][3]["safeguards"]["file_rights"] = {"answer": "not_supported", "detail": "", "count": None}
    unsupported = column(audit, "dropbox")["Files closed to other accounts"]
    assert unsupported["text"] == "Not supported by the file system"


def test_a_local_copy_of_a_cloud_is_never_off_site() -> None:
    audit, _ = audits.clouds()
    audit["stores"][3]["offsite"] = True
    cells = column(audit, "dropbox")
    assert said(cells["Place"]) == "Local copy of Dropbox | never counted as off site"
    assert said(cells["Kind"]).endswith("local folder of Dropbox: proves the local copy only")
    row = stores.row(audit["stores"][3], {}, words.Clock("UTC"))
    assert "off site" not in row["what"]
    assert "ext4, read through the computer's memory cache" in row["what"]
    assert "ext4, read from the medium" in stores.row(audit["stores"][0], {}, words.Clock("UTC"))["what"]


def test_what_the_configuration_does_not_state_is_said() -> None:
    audit, _ = audits.clouds()
    dropbox, drive = column(audit, "dropbox"), column(audit, "google-drive")
    assert dropbox["A year"]["text"] == "Not known: it is paid by the study"
    assert dropbox["Paid once"]["text"] == "$930.00"
    assert drive["To read all of it back"]["text"] == "Not stated in the configuration"
    assert drive["Read by this audit"]["text"] == "No content"
    audit["stores"][2]["offsite"] = None
    audit["stores"][2]["yearly_cost"] = None
    drive = column(audit, "google-drive")
    assert [drive[label]["text"] for label in ("Place", "A year", "Paid once")] == [
        "Not stated in the configuration"
    ] * 3


def test_a_backup_that_was_not_examined_is_known_for_nothing() -> None:
    cells = column(audits.incomplete()[0], "cloud")
    assert said(cells["Studies with an exact copy"]) == "Not checked | 40 not checked"
    assert {
        cells[label]["text"] for label in ("Newest copy", "Oldest image without a copy", "Time to copy all back")
    } == {"Not known"}
    assert cells["How its images are known"]["text"] == "Not one is known"
    assert said(cells["Test restore"]) == "None was made | cloud could not be examined"
    assert cells["Measured speed"]["text"] == "Not measured"
    assert {cells[label]["text"] for label in PRICED} == {"Not known: not examined"}
    assert not {cell.get("tone") for cell in cells.values()} & {"good"}


def test_nothing_waits_only_where_all_was_examined() -> None:
    audit, _ = audits.tiny()
    assert column(audit, "drive")["Oldest image without a copy"]["text"] == "None"
    audit["comparisons"][0]["instances"] |= {"identical": 4, "unknown": 1}
    assert column(audit, "drive")["Oldest image without a copy"]["text"] == "None where examined"
    audit["comparisons"][0]["instances"] |= {"missing": 1, "unknown": 0}
    assert column(audit, "drive")["Oldest image without a copy"]["text"] == "Not known"


@pytest.mark.parametrize(
    ("backups", "columns"), [(1, [1]), (2, [2]), (3, [3]), (4, [2, 2]), (5, [3, 2]), (6, [3, 3]), (7, [3, 3, 1])]
)
def test_so_many_backups_stand_in_so_many_columns(backups: int, columns: list[int]) -> None:
    audit, _ = audits.large(findings=4, gap=2)
    first = audit["comparisons"][0]
    extra = [audits.store(f"backup-{number}") for number in range(backups)]
    audit["stores"] = [audit["stores"][0], *extra]
    audit["comparisons"] = [first | {"backup": each["name"]} for each in extra]
    tables = side_by_side.section(audit, words.Clock("UTC"))
    assert [len(each["backups"]) for each in tables] == columns
    assert [each["name"] for table in tables for each in table["backups"]] == [each["name"] for each in extra]


@pytest.mark.parametrize(
    ("known", "days", "text"),
    [
        ((4, 0, 0, 0), 92, "every byte read in this audit"),
        ((1, 3, 0, 0), 92, "every byte read within 92 days; oldest: 2026-05-03"),
        ((1, 3, 9, 0), 92, "every other byte read within 92 days; oldest: 2026-05-03"),
        ((1, 3, 9, 2), 30, "2 of 6 files not read within 30 days"),
        ((0, 0, 9, 0), 92, None),
        ((0, 0, 0, 0), 92, None),
        ((1, 3, 0, 0), None, None),
    ],
)
def test_whether_every_byte_was_read_in_time_is_said_of_every_store(
    known: tuple[int, ...], days: int | None, text: str | None
) -> None:
    counts = dict(zip(("this_run", "earlier", "reported", "not_known"), known, strict=True))
    audit = audits.first()[0]
    for role in ("primary", "backup"):
        store = audits.store("nas", role, known=counts, oldest_read_at="2026-05-03T06:00:00+00:00")
        policy = {"reread_days": {"nas": days}}
        what = stores.row(store, policy, words.Clock("UTC"))["what"]
        assert f" · {text}" in what if text else "byte" not in what and "not read" not in what
    audit["stores"] = [store if each["name"] == "nas" else each for each in audit["stores"]]
    audit["policy"] = audit["policy"] | {"reread_days": {"nas": days}}
    cells = column(audit, "nas")
    assert said(cells["How its images are known"]) == f"30 read back, 355 restored | {text or 'oldest read 2026-11-24'}"


def test_limits_that_an_audit_was_given_are_named() -> None:
    audit = audits.first()[0]
    assert "Limits" not in [each["name"] for each in method.section(audit, words.Clock("UTC"))["how"]]
    audit["policy"] |= {"max_hours": 8.0, "max_read": 500 * 10**9, "max_egress_cost": {"nas": 25.0}}
    [said] = [each["text"] for each in method.section(audit, words.Clock("UTC"))["how"] if each["name"] == "Limits"]
    assert said == (
        "This audit was given 8 hours (--max-hours), 500.0 GB to be read (--max-read) and $25.00 of egress on nas "
        "(max_egress_cost); what that left is not checked, and comes first in the next."
    )


def test_sums_are_over_all_primaries_that_a_backup_covers() -> None:
    cells = column(audits.first()[0], "nas")
    assert said(cells["Studies with an exact copy"]) == "32 of 40 | 32 proven in this run · 2 pending · 6 with a gap"
    assert said(cells["How its images are known"]) == "30 read back, 355 restored | oldest read 2026-11-24"
    assert said(cells["Oldest image without a copy"]) == "8 d 20 h | over the limit of 24 h"


def test_a_record_of_an_earlier_version_is_printed_and_nothing_is_invented(made: Make) -> None:
    record = made("old")
    assert not {"safeguards", "problems", "reads", "host"} & set(record.audit["stores"][1])
    cells = column(record.audit, "backblaze")
    # All that such a record knows of safeguards.
    assert cells["Encrypted at rest"] == {"text": "Yes", "beside": [], "tone": "good"}
    assert column(record.audit, "google-drive")["Encrypted at rest"]["text"] == "Not assessed"
    named = set(side_by_side.SAFEGUARDS.values()) - {"Encrypted at rest"}
    assert all(f"“{label}”" in cells["Not assessed"]["text"] for label in named)
    assert cells["How its images are known"]["text"].startswith("41,200 images identical by the provider's checksum, ")
    assert cells["A year"]["text"] == "Not stated in the configuration"
    assert cells["Read by this audit"]["text"] == "Not on record"
    page = text_of(html(record.view()))
    assert "1.2 Your backups side by side" in page
    assert not UNOPENED.search(page)
    assert "egress" not in page
    assert "still keeps" not in page


ON_BACKUPS = "2 archives on backblaze and 1 on dropbox were not opened; images in them are not counted."
ON_PRIMARY = "1 archive on pacs was not opened; images in it were not inventoried."


def test_archives_stand_beside_every_count_that_they_could_change(made: Make) -> None:
    shown = made("clouds").view()
    both = f"{ON_BACKUPS} {ON_PRIMARY}"
    short = "2 archives were not opened; images in them are not counted."
    assert shown["verdict"]["not_examined"] == both
    assert [each["archives"] for each in shown["verdict"]["bars"]] == [
        short,
        "",
        "1 archive was not opened; images in it are not counted.",
    ]
    assert [each["archives"] for each in shown["coverage"]["backups"]][:2] == [short, ""]
    assert [each["archives"] for each in shown["coverage"]["stores"]][:2] == [
        "1 archive was not opened; images in it were not inventoried.",
        short,
    ]
    assert shown["coverage"]["archives"] == shown["method"]["archives"] == both
    scope = {each["name"]: each["text"] for each in shown["method"]["scope"]}
    assert scope["Population"].endswith(f"912.0 GB. {ON_PRIMARY}")
    assert shown["studies"]["lead"] == f"4 studies in 4 rows, worst first. {both}"
    cards = {each["place"].split(" · ")[1]: each["uncounted"] for each in shown["gaps"]["cards"]}
    assert cards == {
        "not-public": "",
        "backup-is-complete": "Of the images missing on backblaze, 12 were deleted on the backup, which still "
        "keeps them. 2 archives on backblaze were not opened; images in them are not counted. " + ON_PRIMARY,
    }
    page = text_of(html(shown))
    assert page.count(both) == 5
    assert "Not examined: " + both in page


def test_archives_are_named_with_the_stores_that_were_not_examined() -> None:
    audit, rows = audits.first()
    audit["stores"][2]["problems"] = {"archive": 1}
    shown = view(audit, pd.DataFrame(rows, columns=GAP_COLUMNS), {})
    assert shown["verdict"]["not_examined"] == (
        "second-drive: 1 folder could not be listed. 1 archive on nas was not opened; images in it are not counted."
    )


def test_archives_on_many_backups_are_added_up() -> None:
    audit, _ = audits.six()
    assert stores.archives(audit["stores"]) == (
        "27 archives on 6 backups were not opened; images in them are not counted. "
        "1 archive on pacs was not opened; images in it were not inventoried."
    )


def test_no_archive_is_no_word(made: Make) -> None:
    assert not UNOPENED.search(text_of(html(made("first").view())))
    assert UNOPENED.search(text_of(html(made("clouds").view())))


def test_what_can_be_recovered_stands_beside_what_is_missing(made: Make) -> None:
    shown = made("clouds").view()["coverage"]
    assert shown["recoverable"] == (
        "Of the images missing on backblaze, 12 were deleted on the backup, which still keeps them."
    )
    audit, _ = audits.clouds()
    audit["comparisons"][0]["recoverable"] = 1
    beside = said(column(audit, "backblaze")["Studies with an exact copy"])
    assert "14 images missing; of these, 1 was deleted on the backup, which still keeps it" in beside


def test_egress_is_said_only_where_its_price_is_known() -> None:
    test = audits.restore_test("cloud", 3, 3)
    assert restores.table(test | {"egress_cost": 0.035})["egress"] == "egress $0.04"
    assert restores.table(test | {"egress_cost": 0.0})["egress"] == "egress $0.00"
    assert restores.table(test | {"egress_cost": None})["egress"] is None
    assert restores.table(test)["egress"] is None


def test_every_checksum_that_a_store_may_report_has_a_name() -> None:
    assert {*known.ALGORITHMS, Algorithm.CONTENT} == set(Algorithm)


def test_every_safeguard_and_every_answer_has_its_words() -> None:
    assert set(side_by_side.SAFEGUARDS) == set(Safeguard)
    assert set(side_by_side.ANSWERS) == set(Answer)
    assert [answer for answer, (_, tone) in side_by_side.ANSWERS.items() if tone == "good"] == [Answer.PASS]
