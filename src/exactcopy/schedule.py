"""What runs the monthly audit and the daily drift check: a systemd timer, a cron line or a Windows task.

The audit has the first day of the month, the drift check all others: an audit is one, too, and they do not meet.
"""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import time
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from xml.sax.saxutils import escape

from exactcopy.config import Config
from exactcopy.errors import ConfigError

_AUDIT_AT, _DRIFT_AT = time(1), time(5)
# So that many computers do not ask one server at once.
_DELAY_MINUTES = 30
# Secrets that the configuration names as env:NAME; read where it is there.
_ENVIRONMENT = "exactcopy.env"
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


class Scheduler(StrEnum):
    """What starts the runs."""

    SYSTEMD = "systemd"
    CRON = "cron"
    WINDOWS = "windows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One command and when it runs, in local time or in `zone`. `name` tells configurations of one computer apart."""

    name: str
    run: str
    folder: Path
    command: tuple[str, ...]
    at: time
    zone: str | None

    @property
    def monthly(self) -> bool:
        """Whether it runs once a month, on the first day; else on each other day."""
        return self.run == "audit"


def jobs(config: Config) -> tuple[Job, Job]:
    """Return the audit and the drift check of `config`. Raises ConfigError where no scheduler could hold its path.

    Where stores have a window both begin when the first of them opens.
    """
    path = str(config.path)
    if not path.isprintable():
        raise ConfigError([f"{config.path.name}: its path holds a control character. Move it to another folder."])
    name = f"{config.path.stem}-{sha256(path.encode()).hexdigest()[:6]}"
    slug = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "-_") else "-" for sign in name)
    windows = [store.window for store in config.stores if store.window]
    opens = windows[0].begin if windows else None
    script = Path(sys.executable).with_name("exactcopy")
    program = (str(script),) if script.exists() else (sys.executable, "-m", "exactcopy")
    audit, drift = (
        Job(
            name=f"exactcopy-{slug}-{run}",
            run=run,
            folder=config.path.parent,
            command=(*program, run, path),
            at=opens or at,
            zone=config.time_zone if opens else None,
        )
        for run, at in (("audit", _AUDIT_AT), ("drift", _DRIFT_AT))
    )
    return audit, drift


def here() -> Scheduler:
    """Return what this computer is likely to have."""
    if "microsoft" in platform.release().lower():
        # WSL sleeps while nobody uses it; Windows does not.
        return Scheduler.WINDOWS
    return Scheduler.SYSTEMD if Path("/run/systemd/system").is_dir() else Scheduler.CRON


def lines(scheduler: Scheduler, both: Sequence[Job]) -> Iterator[str]:
    """Yield what is to be written where, as a text that can be copied."""
    match scheduler:
        case Scheduler.SYSTEMD:
            folder = units_folder()
            for name, content in units(both).items():
                yield f"# {folder / name}"
                yield content
            yield f"# Then: {shlex.join([*_systemctl(), 'daemon-reload'])}"
            yield f"# and: {shlex.join([*_systemctl(), 'enable', '--now', *_timers(both)])}"
        case Scheduler.CRON:
            yield cron_block(both).rstrip("\n")
        case Scheduler.WINDOWS:
            yield from _power_shell(both)


def install(scheduler: Scheduler, both: Sequence[Job]) -> Iterator[str]:
    """Install the timers or the cron lines for this account, and yield what was done and how it is undone.

    Raises ConfigError where that cannot be done here.
    """
    match scheduler:
        case Scheduler.SYSTEMD:
            folder = units_folder()
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in units(both).items():
                (folder / name).write_text(content, encoding="utf-8")
            _call([*_systemctl(), "daemon-reload"])
            _call([*_systemctl(), "enable", "--now", *_timers(both)])
            yield f"Installed in {folder}: {', '.join(_timers(both))}."
            if os.geteuid():
                yield "They run while you are logged in. Always: loginctl enable-linger"
            yield f"Remove them: {shlex.join([*_systemctl(), 'disable', '--now', *_timers(both)])}"
            yield f"and then: {shlex.join(['rm', *(str(folder / name) for name in units(both))])}"
        case Scheduler.CRON:
            there = _call(["crontab", "-l"], none="no crontab")
            _call(["crontab", "-"], with_block(there, both))
            yield "Installed in the crontab of this account; everything else in it is as it was."
            yield f"Remove it: crontab -e, and delete the lines from “{_begins(both)}” to “{_ends(both)}”."
        case Scheduler.WINDOWS:
            raise ConfigError(["--install: a Windows task is made in Windows. Run what is printed without it there."])


# --- systemd -----------------------------------------------------------------------------------------------------


def units_folder() -> Path:
    """Return where the units of this account lie; root's are the system's."""
    if not os.geteuid():
        return Path("/etc/systemd/system")
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "systemd" / "user"


def units(both: Sequence[Job]) -> dict[str, str]:
    """Return the units by the names of their files."""
    made = {}
    for job in both:
        made[f"{job.name}.service"] = _service(job)
        made[f"{job.name}.timer"] = _timer(job)
    return made


def calendar(job: Job) -> str:
    """Return when it runs, as systemd.time(7) writes it."""
    days = "01" if job.monthly else "02..31"
    return f"*-*-{days} {job.at:%H:%M}:00" + (f" {job.zone}" if job.zone else "")


def _service(job: Job) -> str:
    # A percent sign begins a specifier, and these take the rest of the line as it is.
    folder = str(job.folder).replace("%", "%%")
    return f"""[Unit]
Description=exactcopy {job.run}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
WorkingDirectory={folder}
EnvironmentFile=-{folder}/{_ENVIRONMENT}
ExecStart={" ".join(_quoted(word) for word in job.command)}
# Exceptions, and what could not be examined, are results: [alert] tells them. Else is a failure.
SuccessExitStatus=1 3
UMask=0077
Nice=10
"""


def _timer(job: Job) -> str:
    return f"""[Unit]
Description=exactcopy {job.run}, {"monthly" if job.monthly else "daily"}

[Timer]
OnCalendar={calendar(job)}
# What was missed while the computer was off is made up for.
Persistent=true
RandomizedDelaySec={_DELAY_MINUTES}min

[Install]
WantedBy=timers.target
"""


def _quoted(word: str) -> str:
    """Return a word of ExecStart= (systemd.service(5)): specifiers and variables are not meant."""
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{plain}"'


def _timers(both: Sequence[Job]) -> list[str]:
    return [f"{job.name}.timer" for job in both]


def _systemctl() -> list[str]:
    return ["systemctl", "--user"] if os.geteuid() else ["systemctl"]


# --- cron --------------------------------------------------------------------------------------------------------


def cron_block(both: Sequence[Job]) -> str:
    """Return the lines for a crontab, between marks by which they are found again."""
    zone = next((job.zone for job in both if job.zone), None)
    return "\n".join(
        [
            _begins(both),
            *([f"# The window is in the time zone {zone}; cron takes the one of this computer."] if zone else []),
            *(cron_line(job) for job in both),
            _ends(both),
            "",
        ]
    )


def cron_line(job: Job) -> str:
    """Return one line. A percent sign would end the command (crontab(5))."""
    days = "1" if job.monthly else "2-31"
    command = f"cd {shlex.quote(str(job.folder))} && {shlex.join(job.command)}".replace("%", "\\%")
    return f"{job.at.minute} {job.at.hour} {days} * * {command}"


def with_block(crontab: str, both: Sequence[Job]) -> str:
    """Return a crontab with these lines in it once; all others are as they were."""
    before, begins, rest = crontab.partition(f"{_begins(both)}\n")
    if not begins:
        return crontab + ("\n" if crontab and not crontab.endswith("\n") else "") + cron_block(both)
    _, ends, after = rest.partition(f"{_ends(both)}\n")
    if not ends:
        raise ConfigError([f"crontab: “{_begins(both)}” has no end. Remove these lines by crontab -e, then try again."])
    return before + cron_block(both) + after


def _begins(both: Sequence[Job]) -> str:
    return f"# {both[0].name.removesuffix('-audit')}: made by exactcopy schedule"


def _ends(both: Sequence[Job]) -> str:
    return f"# {both[0].name.removesuffix('-audit')}: end"


# --- Windows -----------------------------------------------------------------------------------------------------


def task(job: Job, distribution: str | None) -> str:
    """Return a task of Windows' scheduler, as XML, that runs a command in WSL."""
    days = range(1, 2) if job.monthly else range(2, 32)
    # Windows hands over one string; it is taken apart by the rules that list2cmdline follows.
    words = [*(["-d", distribution] if distribution else []), "--cd", str(job.folder), "--exec", *job.command]
    return f"""<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Description>exactcopy {job.run}</Description></RegistrationInfo>
  <Triggers>
    <CalendarTrigger>
      <StartBoundary>2026-01-01T{job.at:%H:%M}:00</StartBoundary>
      <RandomDelay>PT{_DELAY_MINUTES}M</RandomDelay>
      <ScheduleByMonth>
        <DaysOfMonth>{"".join(f"<Day>{day}</Day>" for day in days)}</DaysOfMonth>
        <Months>{"".join(f"<{month} />" for month in _MONTHS)}</Months>
      </ScheduleByMonth>
    </CalendarTrigger>
  </Triggers>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <StartWhenAvailable>true</StartWhenAvailable>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
  </Settings>
  <Actions>
    <Exec><Command>wsl.exe</Command><Arguments>{escape(subprocess.list2cmdline(words))}</Arguments></Exec>
  </Actions>
</Task>"""


def _power_shell(both: Sequence[Job]) -> Iterator[str]:
    yield "# Run this in PowerShell, as the person under whose account WSL has exactcopy."
    for job in both:
        yield "$task = @'"
        yield task(job, os.environ.get("WSL_DISTRO_NAME"))
        yield "'@"
        yield f"Register-ScheduledTask -Force -TaskName '{job.name}' -Xml $task"
    for job in both:
        yield f"# Remove it: Unregister-ScheduledTask -TaskName '{job.name}'"


def _call(command: Sequence[str], given: str | None = None, *, none: str | None = None) -> str:
    """Run a command of the system and return what it says; `none` is how it says that there is nothing.

    Raises ConfigError where it fails: what could not be read must not be taken for empty, and replaced.
    """
    plain = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, input=given, env=plain, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        raise ConfigError([f"{command[0]}: {error.strerror}. Try another --format."]) from None
    if done.returncode and none and none in done.stderr.lower():
        return ""
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        raise ConfigError([f"{shlex.join(command)}: {said}. Print it without --install and put it there by hand."])
    return done.stdout
