"""The control catalogue as data: every name in it exists, and the other way round."""

import re
import tomllib
from importlib.resources import files

import pytest

from exactcopy.assess import load_controls
from exactcopy.checks import CHECKS
from exactcopy.results import Control

CONTROLS = load_controls()
DECIDING = {f"EC-BK-0{number}" for number in range(1, 8)} | {
    "EC-DR-01",
    "EC-DR-02",
    "EC-DR-03",
    "EC-IN-02",
    "EC-IN-03",
    "EC-MW-01",
    "EC-BA-01",
    "EC-AC-01",
    "EC-PR-01",
}
SPECIFICATIONS = {"required", "addressable", "standard", "facility policy", "other law", "proposed"}
_SECTION = r"164\.\d{3}(\([a-z]+\)|\([0-9]+\)|\([ivx]+\)|\([A-Z]\))+"
_CFR = re.compile(rf"(proposed )?45 CFR {_SECTION}")


def test_the_checks_named_are_the_checks_there_are() -> None:
    assert {name for control in CONTROLS for name in control.checks} == set(CHECKS)


def test_the_deciding_controls_are_the_ones_agreed() -> None:
    assert {control.id for control in CONTROLS if control.decides} == DECIDING


def test_ids_are_unique_and_no_proposed_rule_decides() -> None:
    assert len({control.id for control in CONTROLS}) == len(CONTROLS) == 70
    proposed = [control for control in CONTROLS if control.specification == "proposed"]
    assert [control.id for control in proposed] == [f"NP-0{number}" for number in range(1, 9)]
    assert not [control for control in proposed if control.decides]


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.id)
def test_a_control_is_complete(control: Control) -> None:
    assert control.specification in SPECIFICATIONS
    assert control.kind in ("measured", "attested", "configured")
    assert control.title
    assert control.title[-1] != "."
    assert control.checks or control.answered_by, "a control that nothing answers says what would"
    if control.id != "EC-RT-01":
        assert _CFR.match(control.citation) or control.citation == "21 CFR 900.12(c)(4)"
    assert "compliant" not in (control.title + control.answered_by).lower()


def test_no_field_is_there_that_nobody_reads() -> None:
    text = files("exactcopy").joinpath("controls.toml").read_text(encoding="utf-8")
    known = set(Control.__dataclass_fields__)
    assert all(set(control) <= known for control in tomllib.loads(text)["control"])
