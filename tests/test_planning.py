"""`audit --plan` says beforehand what is read, for how long and at what cost; what is not known is said."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exactcopy.audit import run_audit
from exactcopy.config import Config, load_config
from exactcopy.decisions import load_decisions
from exactcopy.model import Cost, ReadPolicy
from exactcopy.planning import plan_audit
from exactcopy.stores import KINDS, PACES
from exactcopy.windows import Window
from tests.clinic import Clinic

NOW = datetime.now(UTC).replace(microsecond=0)
Planned = Callable[..., list[str]]


@pytest.fixture
def clinic(tmp_path: Path, lean: None) -> Clinic:
    """Three studies on two backups."""
    clinic = Clinic(tmp_path)
    clinic.fill(studies=3, instances=2)
    return clinic


def planned(clinic: Clinic, **changes: Any) -> dict[str, str]:
    """Give the lines of a plan by the store or word that they begin with; `changes` are made to `nas`."""
    lines = plan_audit(with_nas(clinic, **changes), NOW, lambda *_: lambda *_: None).lines
    found: dict[str, str] = {}
    for line in lines:
        first = line.split(":")[0].split(" ")[0]
        found["restored" if "test restore" in line else first] = line
    return found


def with_nas(clinic: Clinic, **changes: Any) -> Config:
    """Give the configuration with another `nas`."""
    config = load_config(clinic.configure())
    return replace(
        config, backups=tuple(replace(one, **changes) if one.name == "nas" else one for one in config.backups)
    )


def audited(clinic: Clinic, **changes: Any) -> None:
    """Audit yesterday."""
    config = with_nas(clinic, **changes)
    before = NOW - timedelta(days=1)
    decisions = load_decisions(config.decisions, set(), before.date())
    run_audit(config, decisions, before, lambda *_: lambda *_: None)


@pytest.fixture
def cloud(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What makes `nas` a made cloud that reports checksums, reads at two objects a second and wants money."""
    monkeypatch.setitem(KINDS, "reporting", "tests.stores.reporting:AnsweringStore")
    monkeypatch.setitem(PACES, "reporting", "tests.test_planning:two_a_second")
    root = clinic.root / "nas"
    options = {"path": str(root), "algorithms": ["md5"], "lies": (), "log": str(clinic.root / "log")}
    return {
        "kind": "reporting",
        "read": ReadPolicy.ALL,
        "options": options,
        "cost": Cost(monthly=5.0, egress_per_gb=1000.0),
    }


def two_a_second(_: object) -> float:
    """Stand in for a provider that limits requests."""
    return 2.0


def test_a_first_plan_does_not_guess_how_long(clinic: Clinic) -> None:
    lines = planned(clinic)
    assert lines["nas"].startswith("nas: 6 files, 0.00 GB there; 6 files, 0.00 GB would be read")
    assert lines["How"] == "How long reading takes is known after the first audit. It costs no fees."


def test_a_second_plan_knows_the_rate_of_each_store(clinic: Clinic) -> None:
    audited(clinic)
    lines = planned(clinic)
    assert lines["nas"].endswith("would be read, in about 0.0 minutes.")
    assert lines["Reading"].startswith("Reading takes about 0.0 minutes. It costs no fees")
    assert lines["restored"] == "usb: the last test restore brought back 0.00 GB."


def test_what_a_provider_allows_and_wants_is_said(clinic: Clinic, cloud: dict[str, Any]) -> None:
    size = sum(path.stat().st_size for path in (clinic.root / "nas").rglob("*.dcm"))
    line = planned(clinic, **cloud)["nas"]
    assert line.endswith(f"would be read, in about 0.1 minutes, for about ${size / 1e6:,.2f}.")


def test_a_fee_that_nobody_stated_is_not_called_nothing(clinic: Clinic, cloud: dict[str, Any]) -> None:
    lines = planned(clinic, **cloud | {"cost": None})
    assert "what that costs is not known" in lines["nas"]
    assert lines["Reading"].endswith("It costs what is not stated above.")


def test_a_plan_tells_how_many_windows_the_reading_takes(clinic: Clinic) -> None:
    now = datetime.now(UTC)
    hours = Window((now - timedelta(seconds=10)).time(), (now + timedelta(seconds=10)).time(), "UTC")
    size = sum(path.stat().st_size for path in (clinic.root / "nas").rglob("*.dcm"))
    # To list six files at this rate takes less than two seconds.
    line = planned(clinic, window=hours, max_rate=size // 30)["nas"]
    assert f"It is examined within its window only: {hours}." in line
    assert line.endswith("Reading all of that takes the windows of 2 days: an audit on each.")


def test_what_checksums_tell_is_not_read(clinic: Clinic, cloud: dict[str, Any]) -> None:
    cloud["read"] = ReadPolicy.REPORTED
    assert planned(clinic, **cloud)["nas"].endswith("its checksums are compared, and what does not match is read.")
    audited(clinic, **cloud)
    assert "0 files, 0.00 GB would be read; 6 are known by the provider's checksums." in planned(clinic, **cloud)["nas"]


def test_what_keeps_no_checksums_is_said_to_be_read(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCLONE_CONFIG_NAS_TYPE", "alias")
    monkeypatch.setenv("RCLONE_CONFIG_NAS_REMOTE", str(clinic.root / "nas"))
    behind = planned(clinic, kind="rclone", read=ReadPolicy.REPORTED, options={"remote": "nas:", "config": None})
    assert behind["nas"].startswith("nas: 6 files, 0.00 GB there; 6 files, 0.00 GB would be read")
