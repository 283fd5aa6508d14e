"""Real decisions.toml files: who attested what, until when, and what is said of every fault."""

import re
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from exactcopy.decisions import Decisions, attestation, expired, load_decisions
from exactcopy.errors import ConfigError

DOC = Path(__file__).parent.parent / "docs" / "configuration.md"
TODAY = date(2026, 11, 24)
CONTROLS = ("EC-BA-01", "EC-SO-01")
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
    assert decisions == Decisions(attestations=(), digest=sha256(b"").hexdigest())


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
        ("[[accept]]\n", "accept: is not in this version. Remove it."),
        ("[[assign]]\n", "assign: is not in this version. Remove it."),
        ("[[dispose]]\n", "dispose: is not in this version. Remove it."),
        ("[[incident]]\n", "incident: is not in this version. Remove it."),
        ("[[review]]\n", "review: is not in this version. Remove it."),
        (
            "[[attest]\n",
            "line 1, column 9: Expected ']]' at the end of an array declaration (TOML syntax). Correct it there.",
        ),
    ],
)
def test_a_fault_is_told_in_one_line(tmp_path, text, expected):
    assert faults(tmp_path, text) == [expected]


def test_many_faults_are_told_at_once(tmp_path):
    text = "[[review]]\n" + attest(control='"x"', expires="2025-01-01", by="3") + attest(on="2027-01-01")
    assert [fault.partition(": ")[0] for fault in faults(tmp_path, text)] == [
        "attest[1].by",
        "review",
        "attest[1].control",
        "attest[1].expires",
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
