"""Real decisions.toml files: who attested what, until when, and what is said of every fault."""

import re
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from exactcopy.assess import load_controls
from exactcopy.checks import finding_id
from exactcopy.decisions import Decisions, attestation, expired, load_decisions
from exactcopy.errors import ConfigError

DOC = Path(__file__).parent.parent / "docs" / "configuration.md"
TODAY = date(2026, 11, 24)
CONTROLS = ("EC-BA-01", "EC-SO-01")
CATALOGUE = {control.id: control for control in load_controls()}
KEYS = {
    "control": '"EC-SO-01"',
    "statement": '"Dana Reyes is named."',
    "by": '"Dana Reyes"',
    "title": '"Security official"',
    "on": "2026-01-15",
}


def attest(**changes: str) -> str:
    return "[[attest]]\n" + "".join(f"{key} = {value}\n" for key, value in (KEYS | changes).items())


def without(key: str) -> str:
    return re.sub(rf"^{key} = .*\n", "", attest(), flags=re.MULTILINE)


def load(folder: Path, text: str) -> Decisions:
    path = folder / "decisions.toml"
    path.write_text(text)
    return load_decisions(path, CONTROLS, TODAY)


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return [fault.removeprefix("decisions.toml: ") for fault in caught.value.faults]


def test_a_missing_file_holds_no_decision(tmp_path):
    decisions = load_decisions(tmp_path / "decisions.toml", CONTROLS, TODAY)
    assert decisions == Decisions()
    assert decisions.digest == sha256(b"").hexdigest()


def test_an_attestation_has_its_defaults(tmp_path):
    text = attest()
    decisions = load(tmp_path, text)
    (one,) = decisions.attestations
    assert (one.control, one.by, one.title, one.on) == (
        "EC-SO-01",
        "Dana Reyes",
        "Security official",
        date(2026, 1, 15),
    )
    assert one.expires == one.on + timedelta(days=365)
    assert (one.entered_by, one.document, one.party) == ("Dana Reyes", None, None)
    assert decisions.digest == sha256(text.encode()).hexdigest()


def test_the_example_in_the_guide_loads(tmp_path):
    text = re.search(r"```toml\n(\[\[attest.*?)```", DOC.read_text(), re.DOTALL)
    assert text
    one = attestation(load(tmp_path, text[1]), "EC-BA-01", TODAY, "google")
    assert one
    assert (one.party, one.entered_by, one.expires) == ("Google", "Sam Okafor", date(2026, 12, 31))


def test_the_other_tables_of_the_guide_load(tmp_path):
    text = re.search(r"```toml\n(\[\[accept.*?)```", DOC.read_text(), re.DOTALL)
    assert text
    decisions = load(tmp_path, text[1])
    assert [len(decisions.acceptances), len(decisions.assignments), len(decisions.disposals)] == [2, 1, 1]
    assert decisions.incidents[0].decision.incident is False
    assert decisions.reviews[0].decision.entered_by == "Dana Reyes"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            without("control"),
            'attest[1].control: is missing. Write the control that is attested: control = "EC-…".',
        ),
        (without("statement"), "attest[1].statement: is missing. Write what is attested, in a sentence."),
        (without("by"), "attest[1].by: is missing. Write the name of the person who attests."),
        (without("title"), "attest[1].title: is missing. Write the title of the person who attests."),
        (without("on"), "attest[1].on: is missing. Write the day of the attestation: on = 2026-11-24."),
        (attest(by='""'), "attest[1].by: is empty. Write a value or remove it."),
        (attest(by='"a\\tb"'), "attest[1].by: holds the control character U+0009. Remove it."),
        (attest(statement=f'"{"x" * 501}"'), "attest[1].statement: has 501 characters. Write at most 500."),
        (attest(control='"EC-SO-1"'), 'attest[1].control: "EC-SO-1" is no control. Did you mean "EC-SO-01"?'),
        (
            attest(control='"EC-BA-01"'),
            "attest[1].party: is missing. Write with whom the agreement is, as in held_by of the store.",
        ),
        (attest(control='"x"'), 'attest[1].control: "x" is no control. Write the id of a control.'),
        (
            attest(on="2026-11-25"),
            "attest[1].on: 2026-11-25 is in the future. Write the day on which it was attested.",
        ),
        (
            attest(on='"2026-11-24"'),
            'attest[1].on: "2026-11-24" is no date. Write it without quotes: 2026-11-24.',
        ),
        (
            attest(expires="2026-01-14"),
            "attest[1].expires: 2026-01-14 is before on. Write a later day, or remove it.",
        ),
        (attest() + attest(titel='"x"'), "attest[2].titel: is no known key. Did you mean title?"),
        ("[attest]\n", "attest: a table is no list of tables. Write [[attest]], in two brackets."),
        ("attest = [1]\n", "attest[1]: 1 is no list of tables. Write [[attest]], in two brackets."),
        ("[[atest]]\n", "atest: is no known key. Did you mean attest?"),
        (
            "[[attest]\n",
            "line 1, column 9: Expected ']]' at the end of an array declaration (TOML syntax). Correct it there.",
        ),
    ],
)
def test_a_fault_is_told_in_one_line(tmp_path, text, expected):
    assert faults(tmp_path, text) == [expected]


SIGNED = 'by = "Dana Reyes"\ntitle = "Officer"\non = 2026-11-02\n'
JUDGED_BY = {
    finding_id(check, "nas"): control
    for check, control in (
        ("restore-succeeded", CATALOGUE["EC-DR-02"]),
        ("not-public", CATALOGUE["EC-AC-01"]),
        ("mammography-is-lossless", CATALOGUE["EC-RT-02"]),
        ("encrypted-at-rest", CATALOGUE["EC-EN-01"]),
        ("copies-are-exact", CATALOGUE["EC-BK-03"]),
        ("copies-within-48-hours", CATALOGUE["NP-01"]),
    )
}
OF = {check: finding_id(check, "nas") for check in ("restore-succeeded", "not-public", "encrypted-at-rest")}
ACCEPT = f'[[accept]]\nreason = "Known."\n{SIGNED}'
DISPOSE = f'[[dispose]]\nreason = "Old."\npolicy = "P1"\n{SIGNED}'
INSTEAD = "Accept the finding with its studies instead: it names each of them."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ACCEPT, 'accept[1].finding: is missing. Write finding = "F-…", or a backup and a list of elements.'),
        (
            ACCEPT + 'finding = "F-12"\n',
            'accept[1].finding: "F-12" is no finding. Write its id as the report has it: "F-1a2b3c4d".',
        ),
        (
            ACCEPT + 'finding = "F-00000000"\nlabels = ["Smith"]\n',
            'accept[1].labels: "Smith" is no label of a study. Write those of gaps.csv: ["E-0001"].',
        ),
        (
            ACCEPT + f'finding = "{OF["restore-succeeded"]}"\n',
            f'accept[1].finding: "{OF["restore-succeeded"]}" is under EC-DR-02, a required specification, and takes no '
            "acceptance. Remove it; mend what was found, or say who does: [[assign]] with finding = "
            f'"{OF["restore-succeeded"]}".',
        ),
        (
            ACCEPT + f'finding = "{OF["encrypted-at-rest"]}"\n',
            "accept[1].alternative: is missing: EC-EN-01 is addressable, which asks for an equivalent measure (45 CFR "
            '164.306(d)(3)). Write it, or "none reasonable, because …".',
        ),
        (
            ACCEPT + 'backup = "nas"\n',
            "accept[1].elements: is missing. Write the elements that may differ there, as gaps.csv names them.",
        ),
        (
            ACCEPT + 'backup = "nas"\nelements = ["PatientName"]\n',
            'accept[1].elements: "PatientName" says who the patient is, or how the patient lay: it cannot be let '
            f"differ by a rule. {INSTEAD}",
        ),
        (
            ACCEPT + 'backup = "nas"\nelements = ["(0010,0040)"]\n',
            'accept[1].elements: "(0010,0040)" says who the patient is, or how the patient lay: it cannot be let '
            f"differ by a rule. {INSTEAD}",
        ),
        (
            ACCEPT + 'backup = "nas"\nelements = ["SharedFunctionalGroupsSequence.FrameLaterality"]\n',
            'accept[1].elements: "FrameLaterality" says which side is shown: it cannot be let differ by a rule. '
            f"{INSTEAD}",
        ),
        (
            ACCEPT + 'backup = "nas"\nelements = ["StudyInstanceUID"]\n',
            'accept[1].elements: "StudyInstanceUID" is a UID, which says what an image is and belongs to: it cannot be '
            f"let differ by a rule. {INSTEAD}",
        ),
        (
            ACCEPT + 'backup = "nas"\nelements = ["StudyDescripton"]\n',
            'accept[1].elements: "StudyDescripton" is no element. Did you mean "StudyDescription"?',
        ),
        (
            ACCEPT + 'finding = "F-00000000"\nexpires = 2026-11-01\n',
            "accept[1].expires: 2026-11-01 is before on. Write a later day, or remove it.",
        ),
        (
            f'[[assign]]\nfinding = "F-00000000"\n{SIGNED}',
            "assign[1].owner: is missing. Write an owner, a due day or the cause that was found.",
        ),
        (
            DISPOSE + 'labels = ["E-0001"]\nstore = "nas"\n',
            "dispose[1].store: cannot stand beside labels. Write two [[dispose]], one for each.",
        ),
        (DISPOSE + 'store = "nas"\nprimary = "pacs"\n', "dispose[1].primary: belongs to before only. Remove it."),
        (DISPOSE + 'store = "nas"\nexpires = 2027-01-01\n', "dispose[1].expires: is no known key. Remove it."),
        (
            f'[[incident]]\nfinding = "F-00000000"\nreason = "x"\n{SIGNED}',
            "incident[1].incident: is missing. Write whether it is a security incident: true or false.",
        ),
        (
            f'[[review]]\nrecord = "2026-11-24T060000Z"\nsha256 = "{"0" * 64}"\n{SIGNED}',
            "review[1].on: 2026-11-02 is before the record. Write the day on which it was reviewed.",
        ),
        (
            f'[[review]]\nrecord = "2026-11-02T060000Z"\nsha256 = "00"\n{SIGNED}',
            'review[1].sha256: "00" is no SHA-256. Write its 64 digits of 0-9 and a-f.',
        ),
    ],
)
def test_a_fault_of_a_decision_is_told_in_one_line(tmp_path, text, expected):
    path = tmp_path / "decisions.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_decisions(path, CONTROLS, TODAY, JUDGED_BY)
    assert list(caught.value.faults) == [f"decisions.toml: {expected}"]


@pytest.mark.parametrize("check", ["not-public", "mammography-is-lossless", "copies-within-48-hours"])
def test_a_standard_another_law_and_a_proposed_rule_take_no_acceptance(tmp_path, check):
    path = tmp_path / "decisions.toml"
    path.write_text(ACCEPT + f'finding = "{finding_id(check, "nas")}"\n')
    with pytest.raises(ConfigError, match=r"accept\[1\]\.finding: .* takes no acceptance|needs none"):
        load_decisions(path, CONTROLS, TODAY, JUDGED_BY)


def test_elements_bear_the_names_that_a_record_gives_them(tmp_path):
    path = tmp_path / "decisions.toml"
    path.write_text(
        ACCEPT + 'backup = "nas"\nelements = ["(0008,1030)", "(0009,100a)", "RequestAttributesSequence.(0040,0007)"]\n'
    )
    (one,) = load_decisions(path, CONTROLS, TODAY, JUDGED_BY).acceptances
    named = {"StudyDescription", "(0009,100A)", "RequestAttributesSequence.ScheduledProcedureStepDescription"}
    assert one.elements == named
    assert one.decision.expires == date(2027, 11, 2)


def test_many_faults_are_told_at_once(tmp_path):
    text = "review = 3\n" + attest(control='"x"', expires="2025-01-01", by="3") + attest(on="2027-01-01")
    assert [fault.partition(": ")[0] for fault in faults(tmp_path, text)] == [
        "attest[1].by",
        "review",
        "attest[1].expires",
        "attest[1].control",
        "attest[2].on",
    ]


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be read \(Is a directory\)"):
        load_decisions(tmp_path, CONTROLS, TODAY)


def test_it_holds_through_its_last_day(tmp_path):
    decisions = load(tmp_path, attest(expires="2026-11-24"))
    (one,) = decisions.attestations
    tomorrow = TODAY + timedelta(days=1)
    assert (attestation(decisions, "EC-SO-01", TODAY), expired(decisions, "EC-SO-01", TODAY)) == (one, None)
    assert (attestation(decisions, "EC-SO-01", tomorrow), expired(decisions, "EC-SO-01", tomorrow)) == (
        None,
        one,
    )


def test_it_does_not_hold_before_its_day(tmp_path):
    assert attestation(load(tmp_path, attest()), "EC-SO-01", date(2026, 1, 14)) is None


def test_the_newest_counts_and_of_one_day_the_last(tmp_path):
    decisions = load(
        tmp_path,
        attest(statement='"newest"', on="2026-03-01")
        + attest(statement='"newest, entered later"', on="2026-03-01")
        + attest(statement='"oldest"', on="2026-02-01")
        + attest(statement='"short"', on="2026-04-01", expires="2026-04-30")
        + attest(statement='"old"', on="2020-01-01"),
    )
    now, past = attestation(decisions, "EC-SO-01", TODAY), expired(decisions, "EC-SO-01", TODAY)
    assert now
    assert past
    assert (now.statement, past.statement) == ("newest, entered later", "short")


def test_it_holds_for_its_control_and_party_only(tmp_path):
    decisions = load(tmp_path, attest(control='"EC-BA-01"', party='"Google  Cloud"'))
    assert attestation(decisions, "EC-BA-01", TODAY, "GOOGLE cloud")
    assert attestation(decisions, "EC-BA-01", TODAY, "Google") is None
    assert attestation(decisions, "EC-BA-01", TODAY) is None
    assert attestation(decisions, "EC-SO-01", TODAY, "Google Cloud") is None
    assert attestation(load(tmp_path, attest()), "EC-SO-01", TODAY, "Google") is None
