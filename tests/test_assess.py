"""What people state, beside what was measured: neither stands for the other."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exactcopy.assess import _unanswered, load_controls
from exactcopy.checks.common import Checked
from exactcopy.results import NotChecked
from tests.clinic import Clinic, audit_at, findings

pytestmark = pytest.mark.usefixtures("lean", "ready_worker")
NOW = datetime.now(UTC).replace(microsecond=0)


def attest(clinic: Clinic, control: str, on: datetime, **more: str) -> None:
    """Write one attestation into decisions.toml."""
    extra = "".join(f'{key} = "{value}"\n' for key, value in more.items())
    text = (
        f'[[attest]]\ncontrol = "{control}"\nstatement = "It is so."\nby = "Dana Reyes"\ntitle = "Officer"\n'
        f"on = {on.date().isoformat()}\n{extra}"
    )
    with (clinic.root / "decisions.toml").open("a", encoding="utf-8") as file:
        file.write(text)


def control(audit: dict[str, Any], name: str) -> dict[str, Any]:
    """Give one control of an audit."""
    found: dict[str, Any] = next(row for row in audit["controls"] if row["id"] == name)
    return found


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    """A clinic whose backup somebody else holds."""
    clinic = Clinic(tmp_path, backups=("nas",), stores={"nas": 'held_by = "Vault Inc"'})
    clinic.fill(studies=1, instances=1, name="rtplan.dcm")
    return clinic


def test_without_an_agreement_it_is_an_exception(clinic: Clinic) -> None:
    audit = audit_at(clinic, NOW)
    assert findings(audit) == {("agreement-on-record", "nas"): "critical"}
    assert control(audit, "EC-BA-01")["status"] == "exception"
    assert (audit["conclusion"], audit["headline"]) == ("exceptions noted", "other_exceptions")


def test_an_agreement_is_with_one_party(clinic: Clinic) -> None:
    attest(clinic, "EC-BA-01", NOW - timedelta(days=30), party="Somebody Else")
    assert findings(audit_at(clinic, NOW)) == {("agreement-on-record", "nas"): "critical"}


def test_an_agreement_on_record_is_attested_with_its_person(clinic: Clinic) -> None:
    attest(clinic, "EC-BA-01", NOW - timedelta(days=30), party="vault inc", document="BAA.pdf")
    audit = audit_at(clinic, NOW)
    assert findings(audit) == {}
    row = control(audit, "EC-BA-01")
    assert row["status"] == "attested"
    assert [(one["party"], one["by"], one["document"]) for one in row["attestations"]] == [
        ("vault inc", "Dana Reyes", "BAA.pdf")
    ]


def test_where_nobody_else_holds_anything_it_does_not_apply(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(studies=1, instances=1, name="rtplan.dcm")
    assert control(audit_at(clinic, NOW), "EC-BA-01")["status"] == "not applicable"


def test_an_attestation_lasts_and_then_is_open_again(clinic: Clinic) -> None:
    attest(clinic, "EC-CP-01", NOW - timedelta(days=10))
    assert control(audit_at(clinic, NOW), "EC-CP-01")["status"] == "attested"
    later = control(audit_at(clinic, NOW + timedelta(days=360)), "EC-CP-01")
    assert later["status"] == "not checked"
    assert "expired" in later["observed"]


def test_proposed_rules_and_unattested_controls_change_nothing(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(studies=1, instances=1, name="rtplan.dcm")
    audit = audit_at(clinic, NOW)
    assert {row["status"] for row in audit["controls"] if row["specification"] == "proposed"} == {
        "no exception",
        "not checked",
    }
    assert audit["conclusion"] == "no exceptions noted"


@pytest.mark.parametrize(
    ("unanswered", "said"),
    [
        ("abc", "Nothing was there before."),
        ("bc", "1 of 3 answered. b, c: Nothing was there before."),
    ],
)
def test_what_was_not_answered_is_said_once_and_of_whom(unanswered: str, said: str) -> None:
    asked = next(each for each in load_controls() if not each.answered_by)
    reasons = {name: NotChecked(check="c", target=name, reason="Nothing was there before.") for name in unanswered}
    checked = [Checked("c", name, reasons.get(name)) for name in "abc"]
    assert _unanswered(asked, checked, None) == said


def test_where_stores_are_not_known_for_several_reasons_each_is_said_of_its_own() -> None:
    asked = next(each for each in load_controls() if not each.answered_by)
    reasons = {"a": "Nothing was there before.", "b": "It does not show.", "c": "Nothing was there before."}
    checked = [Checked("c", name, NotChecked(check="c", target=name, reason=why)) for name, why in reasons.items()]
    assert _unanswered(asked, checked, None) == "a, c: Nothing was there before. b: It does not show."
