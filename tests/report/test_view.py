"""What the templates print: numbers, sentences, statuses."""

import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from exactcopy.report import Record, gaps, html, restores, words
from exactcopy.report.controls import citations
from exactcopy.report.evidence import DISCLAIMER
from exactcopy.report.formats import GAP_COLUMNS
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


def test_page_one_of_the_first_audit(made: Make) -> None:
    verdict = made("first").view()["verdict"]
    assert verdict["sentence"] == (
        "6 of 40 studies have a gap on at least one backup: 6 of 40 on nas (2 more pending), 1 of 40 on usb-drives "
        "and 0 of 40 on second-drive (20 not checked). In 1 study, at least one image has an exact copy on no backup."
    )
    assert verdict["not_examined"] == "second-drive: 1 folder could not be listed."
    assert verdict["scope"] == ("Covers DICOM images in: pacs, satellite. Not: PACS database, reports, other records.")
    assert verdict["first_audit"]
    assert [each["value"] for each in verdict["figures"]] == ["20 of 40", "8 d 20 h", "89 of 91", "This run"]
    notes = [each["note"] for each in verdict["figures"]]
    assert notes[1:] == ["limit 24 h · nas", "2 not tested · on 3 of 3 backups", "limit 92 d"]
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
    assert sentence.startswith("Studies with a gap: 7 of 40 on nas (2 more pending), 1 of 40 on usb-drives and 0 of")


def test_what_the_result_says_nothing_about_is_counted(made: Make) -> None:
    assert made("first").view()["verdict"]["safeguards"] == (
        "The result above says nothing about these: 8 controls of proposed rules, 3 of risks to the copies (1 with an "
        "exception), 13 that nobody attested, 21 others that were not checked, up to 2 studies pending."
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
    assert (
        "58 of 59 matched and opened; 1 failed. Point estimate 1.7 %; 95 % one-sided upper limit 7.7 % (at most 781"
        in failed
    )
    assert "was not reached" in failed


def test_what_was_not_restored_is_told_apart_and_never_called_restored(made: Make) -> None:
    view = made("first").view()
    assert [each["text"] for each in view["verdict"]["samples"]] == [
        "All 32 of 32 studies were restored and matched; 8 left out (6 gap, 2 pending).",
        "All 39 of 39 studies were restored and matched; 1 left out (1 gap).",
        "18 of 20 studies were restored and matched; 1 arrived equal but could not be opened here; "
        "1 could not be tested; 20 left out (20 not checked).",
    ]
    row, statement = view["method"]["tests"][2], view["method"]["statements"][2]["text"]
    assert (row["restored"], row["otherwise"], row["status"]) == (
        "18 of 20",
        ["1 not opened", "1 not tested"],
        "not checked",
    )
    assert "were to be restored from second-drive alone" in statement
    assert "20 studies were left out of the list: 20 not checked." in statement


def test_a_sample_that_was_not_tested_whole_estimates_nothing_of_the_rest() -> None:
    test = audits.restore_test("nas", 59, 1_240, restored=56, failed=1, not_tested=2, sample={"upper_limit": 150})
    text = restores.statement(test)
    assert "56 of 59 matched and opened; 1 failed; 2 could not be tested." in text
    assert "Point estimate" not in text
    assert "(at most 150 of 1,240; what was not tested counts as failed here)" in text
    [short] = restores.page_one_sentences({"restore_tests": [test]})
    assert "Up to 149 others could still fail, those not tested among them" in short["text"]


def test_an_older_record_without_the_newer_keys_is_still_printed(made: Make) -> None:
    audit, _ = audits.first()
    for test in audit["restore_tests"]:
        del test["left_out_why"], test["not_tested"]
        test["certainty"] = {key: test["certainty"][key] for key in ("planned", "restored", "failed")}
    for each in audit["controls"]:
        del each["attestations"], each["checks"]
    for each in audit["stores"]:
        del each["volume"], each["volumes_configured"]
    del audit["policy"]["read"], audit["audit"]["libraries"]
    record = made("first", **{key: audit[key] for key in ("restore_tests", "controls", "stores", "policy", "audit")})
    assert record.view()["verdict"]["samples"][0]["text"].endswith("; 8 left out.")
    assert html(record.view())


def test_a_figure_names_one_backup_only_where_it_differs(made: Make) -> None:
    audit, _ = audits.sound()
    assert made("sound").view()["verdict"]["figures"][1]["note"] == "limit 24 h"
    audit["policy"]["reread_days"]["cloud"] = None
    figures = made("sound", policy=audit["policy"]).view()["verdict"]["figures"]
    assert figures[3]["note"] == "limit 92 d · nas"
    assert (figures[2]["label"], figures[2]["value"]) == ("Test restores", "76 of 76")
    assert figures[2]["note"] == "matching · on 2 of 2 backups"


def test_section_4_states_limits_drives_and_method(made: Make) -> None:
    method = made("first").view()["method"]
    scope = {each["name"]: each["text"] for each in method["scope"]}
    assert scope["Backups"] == "nas, usb-drives (drive RIVERSIDE-A, 1 of 2) and second-drive"
    assert scope["Limits set by the facility"].startswith(
        "A new image is on nas and second-drive within 24 h and on usb-drives within 7 d; restored within 3 d; "
    )
    how = {each["name"]: each["text"] for each in method["how"]}
    assert "SOP Instance UID (0008,0018)" in how["Identity"]
    assert "at most 1" in how["Equivalent"]
    assert "no proof" in how["Which side changed"]
    assert how["Read, by policy"].endswith("every byte, each audit.")
    assert how["Made with"] == "exactcopy 0.1.0, pydicom 3.0.2, pylibjpeg 2.1.0"
    reading = made("large").view()["method"]["how"][2]["text"]
    assert reading.startswith("pacs: new and longest unread objects first, each object again within 92 d; ")


def test_the_draw_is_said_truly_for_a_first_audit_and_a_later_one(made: Make) -> None:
    first, later = (made(name).view()["evidence"]["chance"] for name in ("first", "sound"))
    assert "whoever can change the list can draw again" in first
    assert "the sealed record before" in later


@pytest.mark.parametrize(
    ("check", "found"),
    [
        ("no-uid-conflict", "in several versions"),
        ("primary-is-sound", "damaged here"),
        ("extras-are-explained", "not on the primary"),
        ("no-unexplained-loss", "gone"),
        ("no-silent-alteration", "changed"),
        ("every-instance-has-a-copy", "no exact copy"),
        ("backup-is-complete", "all missing"),
    ],
)
def test_what_was_found_of_a_study(check: str, found: str) -> None:
    each = audits.finding(check, "pacs", "high", 1, "x")
    audit, _ = audits.tiny()
    shown = gaps.studies(audit, pd.DataFrame([audits.gap_row(1, each, "missing", 3, 3)], columns=GAP_COLUMNS))
    assert shown is not None
    assert [(row["found"], row["tone"]) for row in shown["rows"]] == [(found, "bad")]


def test_a_row_without_counts_prints_none_of_them() -> None:
    row = audits.gap_row(1, audits.finding("no-unexplained-loss", "pacs", "critical", 1, "x"), "missing", 0, 0)
    shown = gaps.studies(audits.tiny()[0], pd.DataFrame([row], columns=GAP_COLUMNS))
    assert shown is not None
    assert (shown["rows"][0]["found"], shown["rows"][0]["instances"]) == ("gone", words.NONE)


def test_facility_policy_is_told_where_its_citation_stands(made: Make) -> None:
    view = made("first").view()
    exact = next(each for each in view["gaps"]["cards"] if each["id"] == audits.first()[0]["findings"][0]["id"])
    assert "facility policy, speaks to 164.308(a)(7)(ii)(A)" in exact["since"]
    rows = {row["id"]: row for group in view["controls"]["groups"] for row in group["rows"]}
    assert rows["EC-BK-03"]["policy"]
    assert not rows["EC-BK-01"]["policy"]
    tallies = {each["citation"]: each["text"] for each in view["controls"]["tallies"]}
    marked = {"check": "x", "id": "F", "citations": ["45 CFR 1.2(a)", "45 CFR 1.2(a) (facility policy)"]}
    assert gaps.cited(marked, []) == ["45 CFR 1.2(a)", "facility policy, speaks to 1.2(a)"]
    law, policy = tallies["164.308(a)(7)(ii)(A)"].split("; facility policy: ")
    assert "with an exception" in law
    assert "2 with an exception" in policy


def test_every_attestation_is_a_line_and_none_is_invented(made: Make) -> None:
    audit, _ = audits.first()
    said = [audits.STATEMENT | {"party": party} for party in ("Google", "Safe Deposit Co")]
    for each in audit["controls"]:
        if each["id"] == "EC-DR-06":
            each["attestations"] = said
        if each["id"] == "EC-SO-01":
            each["attestations"], each["attested_by"] = [], None
    groups = {each["key"]: each for each in made("first", controls=audit["controls"]).view()["controls"]["groups"]}
    rows = {row["id"]: row for row in groups["attested"]["rows"]}
    assert [line.split(" With: ")[1].split(".")[0] for line in rows["EC-DR-06"]["attested"]] == [
        "Google",
        "Safe Deposit Co",
    ]
    assert "EC-SO-01" not in rows
    assert [row["id"] for row in groups["configured"]["rows"]] == ["EC-SO-01"]


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


def test_new_decisions_stand_above_the_signature_and_whole_in_section_2(made: Make) -> None:
    view = made("decided").view()
    assert view["verdict"]["decisions"] == [
        "Accepted: F-78e9f662, E-0003. Dana Reyes, Security official, 20 Nov 2026, until 20 May 2027.",
        "No security incident: F-78e9f662, E-0003, E-0011. Dana Reyes, Security official, 20 Nov 2026.",
        "Assigned: F-cc148268. Dana Reyes, Security official, 20 Nov 2026.",
        "Reviewed: 2026-10-27T060000Z. Dana Reyes, Security official, 20 Nov 2026.",
    ]
    told = view["gaps"]["decisions"][0]
    assert (told["text"], told["expires"], told["entered_by"]) == (
        "The description was corrected at the modality.",
        "2027-05-20",
        "dreyes",
    )
    many = made("accepted").view()["verdict"]
    assert (many["decisions"], many["new_decisions"]) == ([], "6 new decisions")
    assert '6 new decisions</b>, listed <a class="page" href="#decisions">in section 2' in html(made("accepted").view())


def test_what_was_decided_stands_on_the_card_and_hides_nothing(made: Make) -> None:
    view = made("decided").view()
    cards = {each["id"]: each for each in view["gaps"]["cards"]}
    assert len(cards) == 7
    assert cards["F-78e9f662"]["decided"] == [
        {
            "name": "Accepted in part",
            "text": "It covers 1 of 2 studies; what is new since is open. The description was corrected at the "
            "modality. Dana Reyes, Security official, 20 Nov 2026, until 20 May 2027.",
        },
        {
            "name": "Security incident",
            "text": "No security incident. The altered header came from the migration of 3 November. "
            "Dana Reyes, Security official, 20 Nov 2026.",
        },
    ]
    assert [each["name"] for each in cards["F-cc148268"]["decided"]] == ["Cause found", "Assigned"]
    assert cards["F-b827e25a"]["decided"][0]["text"].startswith("The links lead to a cache.")
    assert "2 links in pacs were not followed" not in [each["title"] for each in view["verdict"]["actions"]]
    said = made("accepted").view()["gaps"]["cards"][0]["decided"][0]["text"]
    assert said.startswith(
        "It covers 3 of 3 studies. The studies are research copies that nobody treats by. Instead: A second"
    )


def test_a_gap_is_carried_until_an_audit_asks_again(made: Make) -> None:
    gaps_of = made("decided").view()["gaps"]
    states = [(each["id"], each["state"], each["times"]) for each in gaps_of["actions"]]
    assert len(states) == 8
    assert ("F-300403d8", "not checked again", "3 times") in states
    assert [each["state"] for each in gaps_of["resolved"]] == ["no longer found"]
    audit, _ = audits.decided()
    audit["findings"] = audit["findings"][:2]
    assert made("decided", findings=audit["findings"]).view()["verdict"]["actions"][-1] == {
        "id": "actions",
        "title": "2 studies did not come back whole from cloud",
        "tone": "unchecked",
        "who": "Sam Ortiz",
        "when": "by 31 Oct 2026",
    }


def test_all_accepted_is_said_beside_the_result_and_changes_no_color(made: Make) -> None:
    verdict = made("accepted").view()["verdict"]
    assert (verdict["headline"], verdict["tone"]) == ("Exact copies are not complete", "bad")
    assert verdict["accepted"] == "exceptions noted, all accepted"
    assert verdict["actions"] == []
    assert made("decided").view()["verdict"]["accepted"] is None
    low = audits.finding("kept-off-site", "nas", "medium", 1, "x", unit="stores", state="accepted")
    other = made("sound", findings=[low], headline="other_exceptions", conclusion="exceptions noted").view()["verdict"]
    assert other["sentence"].endswith("1 finding is accepted, and none is open.")
    assert other["bars"][0]["status"] == "attention"


def test_twelve_months_are_told_by_month_and_backup(made: Make) -> None:
    trend = made("year").view()["trend"]
    assert trend["months"][:3] == ["Dec '25", "Jan '26", "Feb"]
    assert [each["name"] for each in trend["rows"]] == ["backblaze", "google-drive", "dropbox"]
    cells = {each["name"]: [cell["text"] for cell in each["strip"]["cells"]] for each in trend["rows"]}
    none, unseen = words.NONE, "n/c"
    assert cells["backblaze"] == [
        "95 gap", "50 gap", "1 gap", "all", none, "all", "all", "all", unseen, "all", "all", "4 gap",
    ]  # fmt: skip
    assert cells["google-drive"][5:10] == ["616 pend", "all", "all", unseen, "100 n/c"]
    said = trend["rows"][0]["strip"]["alt"]
    assert said.startswith(
        "Dec 2025 1,100 of 1,195 protected, 95 with a gap; Jan 2026 1,150 of 1,200 protected, 50 with a"
    )
    assert "; Apr 2026 no audit; " in said
    assert "; Aug 2026 not examined; " in said
    assert trend["rows"][1]["strip"]["alt"].startswith("Dec 2025 no such backup then; ")
    assert trend["rows"][1]["newest"] == "1,203 of 1,240 protected, 37 not checked"
    assert "in 11 of these 12 months" in trend["sentence"]


def test_of_two_audits_in_a_month_the_later_one_counts(made: Make) -> None:
    history = [audits.month(1, nas=(30, 0, 10, 0)), audits.month(1, nas=None)]
    history[1]["started"] = "2026-10-30T06:00:00+00:00"
    # Still October in Chicago.
    history.append(audits.month(1, nas=(40, 0, 0, 0)) | {"started": "2026-11-01T04:00:00+00:00"})
    rows = made("tiny", history=history).view()["trend"]["rows"]
    assert [each["name"] for each in rows] == ["drive", "nas"]
    assert [cell["text"] for cell in rows[1]["strip"]["cells"]][-2:] == ["all", words.NONE]
    made_again = made("tiny", history=history[:2]).view()["trend"]["rows"][1]
    assert made_again["strip"]["cells"][-2]["text"] == "n/c"


def test_without_an_earlier_audit_there_is_a_sentence_and_no_drawing(made: Make) -> None:
    said = {name: made(name).view()["trend"] for name in ("first", "sound", "old")}
    assert not any(each["rows"] for each in said.values())
    assert said["first"]["sentence"].startswith("This is the first audit")
    assert said["sound"]["sentence"].startswith("No other audit of the last twelve months")
    assert said["old"]["sentence"].startswith("The version that wrote this record")


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


def test_section_4_says_what_the_self_test_found_and_what_changed_at_once(made: Make) -> None:
    sound = made("sound")
    how = {each["name"]: each["text"] for each in sound.view()["method"]["how"]}
    assert how["Self-test"].startswith("16 of 16 planted faults were found; 4 of 4 sound copies were seen as sound.")
    assert how["Records"] == "13 of 14 months since the first record have an audit, six years back at most"

    failed = {"planted": 16, "found": 15, "missed": ["cut off"], "sound": 4, "alarms": ["a deflated copy"]}
    sound.audit["evidence"]["self_test"] = failed
    changes = sound.audit["mass_change"]
    name = next(iter(changes))
    others = list(changes)[1:]
    changes[name] |= {"changed": 3, "gone": 1_400, "known": 30_000, "renamed": 1_400, "high_entropy": 1_402}
    changes[others[0]] |= {"compared_with": None, "changed": None, "gone": None}
    method = sound.view()["method"]
    said = next(each["text"] for each in method["how"] if each["name"] == "Self-test")
    assert said.startswith("15 of 16 planted faults were found (missed: cut off); 3 of 4 sound copies")
    assert (
        f"{name}: 3 changed, 1,400 gone of 30,000 images, 1,400 files were images, 1,402 files look encrypted;"
        in method["mass_change"]
    )
    assert f"{others[0]}: not compared" in method["mass_change"]
    for each in changes.values():
        each |= {"compared_with": None, "lost_magic": 0, "renamed": 0, "high_entropy": 0}
    said = sound.view()["method"]["mass_change"]
    assert said == "Changed or gone at once, since the record before: not compared on any store."


def test_a_record_of_before_says_nothing_of_it(made: Make) -> None:
    method = made("old").view()["method"]
    assert method["mass_change"] == ""
    assert "Records" not in {each["name"] for each in method["how"]}
    assert next(each["text"] for each in method["how"] if each["name"] == "Self-test") == "not made"


def test_what_the_headline_says_comes_first_among_findings_of_one_severity() -> None:
    def found(check: str, severity: str, decides: bool = True) -> dict[str, Any]:
        return {"check": check, "severity": severity, "decides": decides}

    told = [
        found("agreement-on-record", "critical"),
        found("not-public", "critical"),
        found("primary-is-sound", "critical"),
        found("backup-is-complete", "high"),
        found("no-unexplained-loss", "medium"),
    ]
    ordered = {code: [each["check"] for each in gaps.worst_first({"headline": code, "findings": told})]
               for code in ("lost", "incomplete_copies", "none")}  # fmt: skip
    given = [each["check"] for each in told]
    assert ordered["lost"] == ["primary-is-sound", *given[:2], *given[3:]]
    assert ordered["incomplete_copies"] == ordered["none"] == given
