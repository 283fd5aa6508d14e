"""The command line as a person meets it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from exactcopy.config import load_config
from exactcopy.decisions import Decisions
from exactcopy.model import Gap, Problem
from exactcopy.preflight import needs
from exactcopy.stores.folder import FolderStore
from tests.clinic import Clinic, environment

HEAVY = {"duckdb", "pandas", "pydantic", "pydicom", "numpy", "weasyprint", "jinja2", "boto3"}


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    """A clinic with one gap, audited once."""
    clinic = Clinic(tmp_path_factory.mktemp("audited"), pdf=True)
    clinic.fill(studies=2, instances=2)
    clinic.path("nas", 1, 0).unlink()
    clinic.audit(expected=1)
    return clinic


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['exactcopy', '--help']; from exactcopy import cli\n"
        f"try: cli.main()\nfinally: print({HEAVY} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("command", ["audit", "check", "explain", "history", "report"])
def test_every_command_has_help_and_stands_in_the_readme(command: str, tmp_path: Path) -> None:
    done = Clinic(tmp_path).run(command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert f"exactcopy {command}" in readme


def test_a_bad_configuration_ends_with_two_and_every_fault(tmp_path: Path) -> None:
    (tmp_path / "exactcopy.toml").write_text('facilty = "x"\n[primary.pacs]\nkind = "folder"\n', encoding="utf-8")
    done = Clinic(tmp_path).run("audit")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) >= 3
    assert "Traceback" not in done.stderr


def test_a_missing_configuration_says_what_to_do(tmp_path: Path) -> None:
    done = Clinic(tmp_path).run("audit", "nowhere.toml")
    assert done.returncode == 2
    assert "nowhere.toml" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_summary_names_the_result_the_gap_and_the_pdf(audited: Clinic) -> None:
    done = audited.run("audit")
    assert done.returncode == 1
    assert "Exact copies are not complete" in done.stdout
    assert "1 study is incomplete or missing on nas" in done.stdout
    assert "report.pdf" in done.stdout
    assert done.stderr == "", "progress goes to a terminal only"


def test_check_says_what_is_ready_and_what_is_not(audited: Clinic, tmp_path: Path) -> None:
    ready = audited.run("check")
    assert ready.returncode == 0
    assert "✗" not in ready.stdout
    seal = 'key = "nowhere.p12"\npassphrase = "file:passphrase"\ntimestamp = "http://127.0.0.1:9/"'
    clinic = Clinic(tmp_path, settings=f"[seal]\n{seal}", pdf=True)
    (tmp_path / "passphrase").write_text("correct horse\n")
    (tmp_path / "passphrase").chmod(0o640)
    clinic.fill(studies=1, instances=1)
    for path in (clinic.root / "usb").rglob("*.dcm"):
        path.unlink()
    (clinic.root / "usb" / "study 0").rmdir()
    clinic.configure()
    missing = clinic.run("check")
    assert missing.returncode == 1
    assert "✗ usb: nothing is stored there" in missing.stdout
    assert "nowhere.p12 cannot be read (No such file or directory). Make it readable." in missing.stdout
    assert "✗ seal: other accounts of this computer may read the file of a secret." in missing.stdout
    assert "✗ seal.timestamp: the service gave no time stamp (TimestampRequestError)." in missing.stdout


def test_plan_reads_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.fill(studies=3, instances=2)
    clinic.configure()
    done = clinic.run("audit", "--plan")
    assert done.returncode == 0
    assert "nas: 6 files" in done.stdout
    assert not (clinic.root / "records").exists()
    assert not [path for path in (clinic.root / ".exactcopy").rglob("*") if path.name != "lock"]


def test_explain_names_the_worklist_and_the_studies(audited: Clinic) -> None:
    printed = json.loads((audited.record() / "audit.json").read_text(encoding="utf-8"))
    name = next(finding["id"] for finding in printed["findings"] if finding["target"] == "nas")
    done = audited.run("explain", name, "exactcopy.toml")
    assert done.returncode == 0
    assert "Owner: Sam Ortiz" in done.stdout
    label = done.stdout.split("Studies: ")[1].split()[0].rstrip(",")
    study = audited.run("explain", label)
    assert study.returncode == 0
    assert "missing" in study.stdout
    for unknown in ("E-9999", "F-00000000"):
        nothing = audited.run("explain", unknown)
        assert nothing.returncode == 2
        assert unknown in nothing.stderr


def test_any_format_can_be_made_again(audited: Clinic, tmp_path: Path) -> None:
    record = audited.record()
    done = audited.run("report", str(record), "--format", "html", "--format", "junit", "--out", str(tmp_path))
    assert done.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["junit.xml", "report.html"]
    assert (tmp_path / "report.html").read_bytes() == (record / "report.html").read_bytes()


def test_without_pango_the_audit_ends_with_html(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path / "clinic")
    clinic.fill(studies=1, instances=1)
    clinic.configure()
    # What dlopen meets on a machine that has no Pango.
    program = (
        "import cffi; real = cffi.FFI.dlopen\n"
        "def dlopen(self, name, *rest):\n"
        "    if 'pango' in str(name): raise OSError('cannot load library')\n"
        "    return real(self, name, *rest)\n"
        "cffi.FFI.dlopen = dlopen\n"
        "from exactcopy.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "audit"],
        cwd=clinic.root,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "libpango-1.0-0" in done.stderr
    assert "report.html" in done.stdout
    assert sorted(path.name for path in clinic.record().iterdir() if path.name.startswith("report")) == ["report.html"]


def test_restricted_may_be_read_by_its_group(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving files to a group of choice takes root")
    clinic = Clinic(tmp_path, backups=("nas",), settings='restricted_group = "daemon"', pdf=True)
    clinic.fill(studies=1, instances=1)
    clinic.audit(expected=0)
    record = clinic.record()
    assert record.stat().st_mode & 0o777 == 0o710
    assert (record / "report.pdf").stat().st_mode & 0o777 == 0o600
    assert (record / "restricted").stat().st_mode & 0o777 == 0o750
    assert (record / "restricted" / "key.csv").stat().st_mode & 0o777 == 0o640
    assert (record / "restricted" / "key.csv").group() == "daemon"


def test_a_terminal_shows_how_far_the_audit_is(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(studies=2, instances=2, name="rtplan.dcm")
    clinic.configure()
    done = subprocess.run(
        ["script", "--quiet", "--return", "--command", f"{sys.executable} -m exactcopy audit", "/dev/null"],
        cwd=clinic.root,
        env={**environment(pdf=False), "TERM": "xterm", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    for shown in ("Listing pacs", "Reading nas", "4 of 4 files", "Restoring studies", "2/2", "Writing the report"):
        assert shown in done.stdout


def test_check_does_not_call_ready_what_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic = Clinic(tmp_path)
    clinic.fill(studies=1, instances=1)

    def refused(store: FolderStore, partition: str) -> Iterator[Gap]:
        yield Gap(scope=b"", reason=Problem.PERMISSION)

    monkeypatch.setattr(FolderStore, "listing", refused)
    told = [
        need.text
        for need in needs(load_config(clinic.configure()), Decisions(), datetime.now(UTC).date())
        if not need.good
    ]
    assert [text.split(". ")[0] for text in told] == [f"{name}: it cannot be listed" for name in ("pacs", "nas", "usb")]


def test_check_names_a_restore_that_lies_in_the_future(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, stores={"usb": 'restored_from = "computer backup"\nrestored_on = 2026-11-02'})
    clinic.fill(studies=1, instances=1)
    config = load_config(clinic.configure())
    told = {
        day: [need.text for need in needs(config, Decisions(), date(2026, 11, day)) if not need.good] for day in (1, 2)
    }
    assert told == {1: ["usb: `restored_on` lies in the future. Write the day of the restore."], 2: []}
