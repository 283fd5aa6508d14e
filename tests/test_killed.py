"""An audit that is killed at any moment goes on where it was, and leaves nothing behind."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.clinic import LONG_AGO, Clinic, environment

# What depends on the moment or the machine, not on what is stored.
_MOMENT = {
    "audit",
    "timing",
    "restricted_manifest_sha256",
    "first_seen",
    "due",
    "oldest_read_at",
    "oldest_unprotected_hours",
    "last_examined",
    "seconds",
    "copy_back_hours",
    "read_rate",
    "readers",
    "free",
    "self_scan",
}


def figures(value: Any) -> Any:
    """Give what two audits of the same stores must agree on."""
    if isinstance(value, dict):
        return {key: figures(item) for key, item in value.items() if key not in _MOMENT}
    if isinstance(value, list):
        return [figures(item) for item in value if not _scan(item)]
    return value


def _scan(item: Any) -> bool:
    """Say whether this is about the self-scan: whose an image is that was read before a kill is forgotten."""
    return isinstance(item, dict) and "report-holds-no-identifiers" in (item.get("check"), *item.get("checks", ()))


def start(clinic: Clinic) -> subprocess.Popen[bytes]:
    """Begin an audit."""
    return subprocess.Popen(
        [sys.executable, "-m", "exactcopy", "audit", "--format", "json"],
        cwd=clinic.root,
        env=environment(pdf=False),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture
def damaged(tmp_path: Path) -> Clinic:
    """A clinic with something to find."""
    clinic = Clinic(tmp_path)
    clinic.fill(studies=20, instances=5)
    clinic.path("nas", 1, 0).unlink()
    cut = clinic.path("usb", 2, 0)
    cut.write_bytes(cut.read_bytes()[:-1000])
    # Not of this second, which one audit may begin in and another after.
    clinic.set_age(cut, LONG_AGO)
    clinic.configure()
    return clinic


def test_a_killed_audit_ends_with_the_same_figures(damaged: Clinic, tmp_path_factory: pytest.TempPathFactory) -> None:
    whole = Clinic(tmp_path_factory.mktemp("whole"))
    for name in ("pacs", "nas", "usb"):
        shutil.copytree(damaged.root / name, whole.root / name, dirs_exist_ok=True)
    began = time.monotonic()
    expected = whole.audit(expected=1)
    length = time.monotonic() - began
    chance = random.Random(20261124)
    kills = 0
    for _ in range(5):
        began = time.monotonic()
        process = start(damaged)
        try:
            process.wait(timeout=chance.uniform(0.1, 0.6) * length)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            continue
        if kills:
            break
        # The first audit of all took longer, with nothing in memory yet: by the time of this one the next is killed.
        length = time.monotonic() - began
        for name in ("records", ".exactcopy"):
            shutil.rmtree(damaged.root / name)
    if not list(damaged.root.glob("records/*/audit.json")):
        damaged.audit(expected=1)
    assert kills > 0
    audit = json.loads((damaged.record() / "audit.json").read_text(encoding="utf-8"))
    assert figures(audit) == figures(expected)
    state = damaged.root / ".exactcopy"
    assert not (state / "scratch").exists()
    assert not list((state / "unfinished").iterdir())


def test_what_was_read_is_not_read_again(damaged: Clinic) -> None:
    process = start(damaged)
    parts: list[Path] = []
    while process.poll() is None and not parts:
        parts = list(damaged.root.glob(".exactcopy/unfinished/*/stores/pacs/part-*.parquet"))
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert parts, "the audit ended before it could be killed"
    written = {part: part.stat().st_mtime_ns for part in parts}
    second = start(damaged)
    while second.poll() is None and not list(damaged.root.glob(".exactcopy/unfinished/*/stores/nas/listing.json")):
        time.sleep(0.01)
    assert {part: part.stat().st_mtime_ns for part in written} == written
    assert second.wait() == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_audit_leaves_no_scratch_and_no_worker(damaged: Clinic, number: signal.Signals) -> None:
    process = start(damaged)
    scratch = damaged.root / ".exactcopy" / "scratch"
    while process.poll() is None and not (scratch.is_dir() and any(scratch.iterdir())):
        time.sleep(0.005)
    process.send_signal(number)
    assert process.wait(timeout=60) == 128 + number
    assert not scratch.exists()
    assert not list(damaged.root.glob("records/*/"))


def test_a_second_audit_at_the_same_time_is_refused(damaged: Clinic) -> None:
    process = start(damaged)
    while process.poll() is None and not list(damaged.root.glob(".exactcopy/unfinished/*")):
        time.sleep(0.01)
    refused = damaged.run("audit")
    assert refused.returncode == 4
    assert "another audit or drift check is running" in refused.stderr
    assert process.wait(timeout=120) == 1


@pytest.mark.parametrize("most", [1 << 10, 40 << 10])
def test_a_full_disk_loses_nothing(damaged: Clinic, most: int) -> None:
    # A write beyond the limit fails as one to a full disk does.
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))"
    program = f"{limited}; from exactcopy.cli import main; main()"
    stopped = subprocess.run(
        [sys.executable, "-c", program, "audit"],
        cwd=damaged.root,
        env=environment(pdf=False),
        capture_output=True,
        text=True,
        check=False,
    )
    assert stopped.returncode == 2
    assert "Make room" in stopped.stderr
    assert "unexpected" not in stopped.stderr
    (unfinished,) = (damaged.root / ".exactcopy" / "unfinished").iterdir()
    damaged.audit(expected=1)
    assert damaged.record().name == unfinished.name
