"""What the templates print: numbers, sentences, statuses."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from exactcopy.report import Record, html
from exactcopy.report.controls import citations
from exactcopy.report.evidence import DISCLAIMER
from exactcopy.report.verdict import HEADLINES
from tests.report import audits

Make = Callable[..., Record]
NEVER = re.compile(r"\bcompliant\b|\bnot met\b|\bmet\b|nothing is lost|\bverdict\b|\bpass(?:ed)?\b", re.IGNORECASE)


@pytest.mark.parametrize("name", audits.ALL)
def test_no_page_says_what_it_may_not(made: Make, name: str) -> None:
    record = made(name)
    view = record.view()
    text = re.sub(r"<style>.*?</style>|<q>.*?</q>|<[^>]*>", " ", html(view), flags=re.DOTALL)
    assert not NEVER.findall(text)
    statuses = {row["status"] for group in view["controls"]["groups"] for row in group["rows"]}
    assert statuses <= {
        "no exception",
        "attention",
        "exception",
        "attested",
        "alternative documented",
        "not applicable",
        "not checked",
    }


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("lost", "Images have no sound copy left"),
        ("incomplete_copies", "Exact copies are not complete"),
        ("restore_failed", "A test restore failed"),
        ("not_enough", "Not enough was checked to say"),
        ("other_exceptions", "Copies are exact; other exceptions need attention"),
        ("none", "No exceptions noted"),
    ],
)
def test_headlines(made: Make, code: str, text: str) -> None:
    verdict = made("sound", headline=code).view()["verdict"]
    assert verdict["headline"] == text
    assert verdict["sentence"].endswith(".")


@pytest.mark.parametrize("code", ["none", "other_exceptions"])
def test_an_incomplete_audit_is_gray_whatever_its_headline_says(made: Make, code: str) -> None:
    for changes in ({"complete": False}, {"conclusion": "incomplete"}):
        verdict = made("incomplete", headline=code, **changes).view()["verdict"]
        assert (verdict["headline"], verdict["tone"]) == (HEADLINES["not_enough"][0], "unchecked")


def test_page_one_of_the_first_audit(made: Make) -> None:
    verdict = made("first").view()["verdict"]
    assert verdict["sentence"] == (
        "6 of 40 studies have no exact copy on at least one backup: 6 of 40 on nas and 1 of 40 on usb-drives."
        " 1 study of these is on no backup at all."
    )
    assert verdict["not_examined"] == "second-drive: 1 folder could not be listed."
    assert verdict["scope"] == ("Covers DICOM images in: pacs, satellite. Not: PACS database, reports, other records.")
    assert verdict["first_audit"]
    assert [each["value"] for each in verdict["figures"]] == ["20 of 40", "8 d 20 h", "91 of 91", "This run"]
    assert verdict["figures"][3]["note"] == "limit 92 d · nas"
    assert verdict["bars"][0]["words"] == "32 proven in this run · 2 pending · 6 with a gap"
    assert [each["status"] for each in verdict["bars"]] == ["exception", "exception", "not checked"]
    assert len(verdict["actions"]) == 6
    assert verdict["more"] == 1
    assert verdict["actions"][4]["who"] == "No owner yet"
    assert verdict["actions"][4]["when"] == "no date yet"


def test_the_worst_stands_first(made: Make) -> None:
    cards = made("large").view()["gaps"]["cards"]
    severities = [each["place"].rsplit(" · ", 1)[1] for each in cards]
    assert severities == sorted(severities, key=["critical", "high", "medium", "low", "info"].index)


def test_loss_is_said_with_both_kinds_and_its_denominator(made: Make) -> None:
    assert made("loss").view()["verdict"]["sentence"] == (
        "1 study (4 images) that the record of 27 Oct 2026 saw is in no store that was examined and 1 study "
        "(1 image) of 38 on the primary is damaged or absent on every side."
    )


def test_incident_steps_stand_first_on_a_card_of_loss(made: Make) -> None:
    assert made("loss").view()["gaps"]["cards"][0]["remedy"][:2] == audits.INCIDENT


def test_gaps_that_rows_and_counts_do_not_agree_on_are_not_added_up(made: Make) -> None:
    audit, _ = audits.first()
    audit["comparisons"][0]["studies"] |= {"protected": 26, "gap": 6}
    sentence = made("first", comparisons=audit["comparisons"]).view()["verdict"]["sentence"]
    assert sentence.startswith("Studies without an exact copy: 7 of 40 on nas and 1 of 40 on usb-drives.")


def test_what_the_result_says_nothing_about_is_counted(made: Make) -> None:
    assert made("first").view()["verdict"]["safeguards"] == (
        "The result above says nothing about these: 8 proposed, 3 risk (1 with an exception), 15 unattested, "
        "19 other controls not checked, up to 2 studies pending."
    )


def test_an_absent_drive_shows_its_last_figures_and_counts_for_nothing_today(made: Make) -> None:
    view = made("rotated").view()
    drive = view["verdict"]["bars"][1]
    assert drive["words"] == "40 not checked"
    assert drive["last_known"] == "Last known, 27 Oct 2026: 38 of 38 protected. Not counted today."
    assert view["coverage"]["backups"][1]["last_known"] == drive["last_known"]
    assert view["verdict"]["sentence"] == "All 40 of 40 studies have an exact copy on nas."
    assert view["verdict"]["not_examined"] == "usb-drives: none of its configured drives was connected."


def test_sampling_words(made: Make) -> None:
    view = made("large").view()
    assert view["verdict"]["samples"][0]["text"] == (
        "59 of 1,240 studies, drawn by chance, were restored and matched. "
        "Up to 59 others could still fail (95\u00a0% confidence)."
    )
    passed, failed = (each["text"] for each in view["method"]["statements"][:2])
    assert "59 were drawn by simple random sampling without replacement" in passed
    assert "is below 5 % (upper limit 4.8 %, at most 59 studies)." in passed
    assert passed.endswith("This does not show that every study is restorable.")
    assert "1 of 59 studies failed. Point estimate 1.7 %; 95 % one-sided upper limit 7.7 % (at most 781" in failed
    assert "was not reached" in failed


def test_a_whole_frame_is_no_estimate(made: Make) -> None:
    view = made("tiny").view()
    assert view["verdict"]["samples"][0]["text"] == "All 3 of 3 studies were restored and matched."
    assert "Nothing was drawn, so nothing is estimated." in view["method"]["statements"][0]["text"]


def test_small_numbers_have_no_percentages(made: Make) -> None:
    page = html(made("tiny").view())
    text = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", page, flags=re.DOTALL)
    assert not re.findall(r"\d[\d.]* %(?! (confidence|tolerable))", text)


def test_at_most_200_rows_are_printed(made: Make) -> None:
    studies = made("large").view()["studies"]
    assert len(studies["rows"]) == 200
    assert studies["lead"] == "The first 200 of 412 rows, worst first; all of them are in gaps.csv."


def test_all_is_well(made: Make) -> None:
    view = made("sound").view()
    assert view["studies"] is None
    assert view["gaps"]["cards"] == []
    assert view["verdict"]["tone"] == "good"
    assert view["verdict"]["figures"][3]["value"] == "53 d"


def test_a_citation_is_counted_and_never_rolled_up(made: Make) -> None:
    tallies = {each["citation"]: each for each in made("first").view()["controls"]["tallies"]}
    assert tallies["164.308(a)(7)(ii)(B)"]["text"] == (
        "Tests relating to 164.308(a)(7)(ii)(B): 4 without exception, 1 attested, 1 not checked"
    )
    assert not any("proposed" in citation for citation in tallies)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("45 CFR 164.308(b)(1),(3)", ["164.308(b)(1)", "164.308(b)(3)"]),
        ("45 CFR 164.312(e)(1), (e)(2)(ii)", ["164.312(e)(1)", "164.312(e)(2)(ii)"]),
        ("45 CFR 164.308(a)(1)(ii)(B); CP-6, CP-9(3)", ["164.308(a)(1)(ii)(B)"]),
        ("45 CFR 164.502(b); 164.514(d)", ["164.502(b)", "164.514(d)"]),
        (
            "45 CFR 164.308(a)(3)(ii)(C); (a)(4)(ii)(B)-(C)",
            ["164.308(a)(3)(ii)(C)", "164.308(a)(4)(ii)(B)-(C)"],
        ),
        ("21 CFR 900.12(c)(4)", ["21 CFR 900.12(c)(4)"]),
        ("facility rule", []),
    ],
)
def test_citations(text: str, expected: list[str]) -> None:
    assert citations(text) == expected


def test_proposed_rules_stand_apart(made: Make) -> None:
    controls = made("first").view()["controls"]
    assert {row["id"][:3] for row in controls["proposed"]} == {"NP-"}
    assert not any(row["id"].startswith("NP-") for group in controls["groups"] for row in group["rows"])
    assert controls["total"] == len(audits.first()[0]["controls"]) - len(controls["proposed"])


def test_every_control_is_shown_once(made: Make) -> None:
    controls = made("first").view()["controls"]
    shown = [row["id"] for group in controls["groups"] for row in group["rows"]]
    shown += [row["id"] for row in controls["proposed"]]
    assert sorted(shown) == sorted(each["id"] for each in audits.first()[0]["controls"])


def test_evidence_prints_the_hashes_of_the_files_themselves(made: Make) -> None:
    record = made("sound")
    files: list[dict[str, Any]] = record.view()["evidence"]["files"]
    assert [each["sha256"] for each in files[:2]] == [record.hashes["audit.json"], record.hashes["gaps.csv"]]
    assert files[3]["sha256"] == audits.digest("previous")
    assert "not a certification" in DISCLAIMER
