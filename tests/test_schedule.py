"""What starts the runs: units that systemd takes, lines that cron and a shell take, tasks that Windows takes."""

import os
import shlex
import shutil
import subprocess
from dataclasses import replace
from datetime import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exactcopy.config import load_config
from exactcopy.errors import ConfigError
from exactcopy.schedule import Job, calendar, cron_block, cron_line, jobs, task, units, with_block
from tests.clinic import Clinic

# What shells, cron, systemd and Windows take for something else.
ODD = 'it\'s 100% "safe" $HOME `id` \\ & more'
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing; script/test installs it (systemd)"
)


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    """A clinic in a folder with an odd name."""
    return Clinic(tmp_path / ODD)


@pytest.fixture
def both(clinic: Clinic) -> tuple[Job, Job]:
    """Its audit and its drift check."""
    return jobs(load_config(clinic.configure()))


def test_the_drift_check_has_the_days_that_the_audit_leaves(both: tuple[Job, Job]) -> None:
    audit, drift = both
    assert (audit.run, audit.at, drift.run, drift.at) == ("audit", time(1), "drift", time(5))
    assert (calendar(audit), calendar(drift)) == ("*-*-01 01:00:00", "*-*-02..31 05:00:00")
    assert cron_line(audit).startswith("0 1 1 * * cd ")
    assert cron_line(drift).startswith("0 5 2-31 * * cd ")
    roots = [ElementTree.fromstring(_plain(task(job, None))) for job in both]  # noqa: S314 - our own
    days = [[day.text for day in root.iter(f"{{{_TASK}}}Day")] for root in roots]
    assert days == [["1"], [str(day) for day in range(2, 32)]]


def test_both_begin_when_a_window_opens(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, settings='time_zone = "America/Chicago"', stores={"nas": 'window = "20:30-06:00"'})
    audit, drift = jobs(load_config(clinic.configure()))
    assert calendar(audit) == "*-*-01 20:30:00 America/Chicago"
    assert calendar(drift) == "*-*-02..31 20:30:00 America/Chicago"
    assert cron_line(drift).startswith("30 20 2-31 * * ")
    assert "America/Chicago" in cron_block((audit, drift))


def test_two_configurations_of_one_computer_do_not_meet(tmp_path: Path) -> None:
    one, other = (jobs(load_config(Clinic(tmp_path / name).configure())) for name in ("one", "other"))
    assert not {job.name for job in one} & {job.name for job in other}
    crontab = with_block(with_block("", one), other)
    assert crontab == cron_block(one) + cron_block(other)


@needs_systemd
def test_systemd_takes_the_units(both: tuple[Job, Job], tmp_path: Path) -> None:
    folder = tmp_path / "units"
    folder.mkdir()
    for name, content in units(both).items():
        (folder / name).write_text(content)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", *map(str, sorted(folder.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for job in (*both, replace(both[0], zone="America/Chicago")):
        shown = subprocess.run(
            ["systemd-analyze", "calendar", calendar(job)], capture_output=True, text=True, check=True
        ).stdout
        assert "Next elapse" in shown


def test_what_a_shell_makes_of_a_cron_line_is_the_command_in_its_folder(both: tuple[Job, Job], tmp_path: Path) -> None:
    stand_in = tmp_path / "say"
    stand_in.write_text('#!/bin/sh\npwd\nfor word in "$@"; do printf "%s\\n" "$word"; done\n')
    stand_in.chmod(0o755)
    audit, _ = both
    line = cron_line(replace(audit, command=(str(stand_in), *audit.command)))
    command = line.split(" ", 5)[5]
    assert "%" not in command.replace("\\%", ""), "cron would cut it there"
    # What crontab(5) says of a percent sign.
    done = subprocess.run(["sh", "-c", command.replace("\\%", "%")], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [str(audit.folder), *audit.command]


@given(st.lists(st.sampled_from(["MAILTO=it@example.com", "", "# a note", "5 4 * * * /usr/bin/true"])), st.booleans())
def test_everything_else_in_a_crontab_stays(before: list[str], ended: bool) -> None:
    job = Job(name="exactcopy-x-audit", run="audit", folder=Path("/x"), command=("a",), at=time(1), zone=None)
    both = (job, replace(job, run="drift", name="exactcopy-x-drift"))
    crontab = "\n".join(before) + ("\n" if ended and before else "")
    once = with_block(crontab, both)
    assert with_block(once, both) == once
    assert once.replace(cron_block(both), "").rstrip("\n") == crontab.rstrip("\n")
    later = with_block(f"{once}7 7 * * * later\n", [replace(job, at=time(2)) for job in both])
    assert later == once.replace("0 1 1 ", "0 2 1 ").replace("0 1 2-31 ", "0 2 2-31 ") + "7 7 * * * later\n"


_TASK = "http://schemas.microsoft.com/windows/2004/02/mit/task"


def _plain(xml: str) -> str:
    return xml.partition("\n")[2]


def test_windows_gets_the_words_as_they_are(both: tuple[Job, Job]) -> None:
    audit, _ = both
    root = ElementTree.fromstring(_plain(task(audit, "Ubuntu")))  # noqa: S314
    assert root.findtext(f".//{{{_TASK}}}Command") == "wsl.exe"
    arguments = root.findtext(f".//{{{_TASK}}}Arguments")
    words = ["-d", "Ubuntu", "--cd", str(audit.folder), "--exec", *audit.command]
    assert arguments == subprocess.list2cmdline(words)
    assert root.findtext(f".//{{{_TASK}}}StartWhenAvailable") == "true"


def test_a_path_that_no_scheduler_could_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="control character"):
        jobs(load_config(Clinic(tmp_path / "two\nlines").configure()))


def test_the_command_line_installs_the_crontab_and_leaves_the_rest_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic = Clinic(tmp_path / "clinic")
    config = load_config(clinic.configure())
    kept = tmp_path / "crontab of this account"
    # Stands for the real one, which writes where only it may.
    stand_in = tmp_path / "bin" / "crontab"
    stand_in.parent.mkdir()
    stand_in.write_text(
        f'#!/bin/sh\nif [ "$1" = - ]; then cat > {shlex.quote(str(kept))}; exit; fi\n'
        f'[ -e {shlex.quote(str(kept))} ] || {{ echo "no crontab for you" >&2; exit 1; }}\n'
        f"[ -r {shlex.quote(str(kept))} ] && cat {shlex.quote(str(kept))}\n"
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}")
    done = clinic.run("schedule", "--format", "cron", "--install")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Remove it: crontab -e" in done.stdout
    assert kept.read_text() == cron_block(jobs(config))
    # A crontab that cannot be read is not taken for an empty one.
    stand_in.write_text('#!/bin/sh\n[ "$1" = -l ] && { echo "crontab: permission denied" >&2; exit 1; }\nexit 9\n')
    refused = clinic.run("schedule", "--format", "cron", "--install")
    assert refused.returncode == 2
    assert "permission denied" in refused.stderr
    printed = clinic.run("schedule", "--format", "systemd").stdout
    assert "OnCalendar=*-*-02..31 05:00:00" in printed
    assert "SuccessExitStatus=1 3" in printed
