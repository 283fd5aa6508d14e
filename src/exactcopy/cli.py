"""The command line: parse, call, print, exit code."""

import json
import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.main import get_command

from exactcopy import __version__
from exactcopy.cli_decisions import decisions as decision_commands
from exactcopy.errors import EXCEPTIONS, FAULT, INCOMPLETE, USAGE, ExactCopyError, exit_code, no_room

if TYPE_CHECKING:
    from exactcopy.config import Config
    from exactcopy.decisions import Decisions
    from exactcopy.model import Budget

_ABOUT = """Show, study by study, whether a DICOM archive has retrievable exact copies.

Once a month: exactcopy audit clinic.toml. It reads the archive and its backups, restores a sample for real
and writes a PDF to sign and keep. Nothing is ever written to an archive or a backup.
"""
_CODES = """Exit codes: 0 no exceptions · 1 exceptions · 2 usage or configuration · 3 not everything could be
examined · 4 another run is under way."""

_GOES_ON = "Stopped. The next audit of this configuration goes on from here."
_NO_ROOM = (
    "The disk that records or reports are written to is full, or a limit is met. Make room, then give the same command"
    " again: what was read is kept."
)

# A year and more: nothing that anybody means to wait for.
_MOST_HOURS = 10_000

app = typer.Typer(
    help=_ABOUT, epilog=_CODES, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
app.add_typer(decision_commands)
ConfigPath = Annotated[Path, typer.Argument(help="The configuration.", show_default=True)]


class AuditFormat(StrEnum):
    """What `audit`, `drift` and `history` print on stdout."""

    TEXT = "text"
    JSON = "json"


class Scheduler(StrEnum):
    """What `schedule` writes for."""

    SYSTEMD = "systemd"
    CRON = "cron"
    WINDOWS = "windows"


class ReportFormat(StrEnum):
    """What `report` can write."""

    PDF = "pdf"
    HTML = "html"
    JSON = "json"
    CSV = "csv"
    JUNIT = "junit"


@app.command(epilog=_CODES)
def audit(
    config: ConfigPath = Path("exactcopy.toml"),
    plan: Annotated[
        bool,
        typer.Option(
            "--plan", help="Only say what would be listed, read and restored, for how long, at what cost, what is left."
        ),
    ] = False,
    max_hours: Annotated[
        float | None,
        typer.Option(
            help="End in time: what is not read or restored by then is left to the next audit.", show_default=False
        ),
    ] = None,
    max_read: Annotated[
        str | None,
        typer.Option(
            help='Read no more than this of all stores together, as in "500GB"; the next audit reads the rest first.',
            show_default=False,
            metavar="SIZE",
        ),
    ] = None,
    format: Annotated[AuditFormat, typer.Option(help="json: print audit.json and nothing else.")] = AuditFormat.TEXT,
) -> None:
    """Audit the archive and its backups, and write the record with the PDF to sign."""
    os.umask(0o077)
    from exactcopy.alert import telling
    from exactcopy.changes import result
    from exactcopy.progress import shown

    now = datetime.now(UTC)
    budget = _budget(max_hours, max_read)
    if plan:
        settings, _ = _load(config)
        from exactcopy.planning import plan_audit

        with shown() as step:
            planned = plan_audit(settings, now, step, budget)
        typer.echo("\n".join(planned.lines))
        raise typer.Exit(INCOMPLETE if planned.unreached else 0)
    with telling(config, "audit", now, _warn) as tell:
        settings, decisions = _load(config)
        from exactcopy.audit import run_audit

        with shown() as step:
            audited = run_audit(settings, decisions, now, step, budget)
        tell(audited.record.audit)
    for warning in audited.warnings:
        typer.echo(warning, err=True)
    said = audited.record.audit
    if format is AuditFormat.JSON:
        typer.echo((audited.record.folder / "audit.json").read_text(encoding="utf-8"), nl=False)
    else:
        typer.echo("\n".join(_summary(said, audited.record.folder, config)))
    raise typer.Exit(result(said))


@app.command(epilog=_CODES)
def drift(
    config: ConfigPath = Path("exactcopy.toml"),
    format: Annotated[AuditFormat, typer.Option(help="json: print the result and nothing else.")] = AuditFormat.TEXT,
) -> None:
    """List everything again, compare it with the last audit, and read what is new or changed: the daily job.

    It restores nothing and makes no record: what it found stands in the next one.
    """
    os.umask(0o077)
    from exactcopy.alert import telling
    from exactcopy.changes import result
    from exactcopy.progress import shown

    now = datetime.now(UTC)
    with telling(config, "drift", now, _warn) as tell:
        settings, decisions = _load(config)
        from exactcopy import drift as drifting

        with shown() as step:
            drifted = drifting.run_drift(settings, decisions, now, step)
        tell(drifted.said)
    for warning in drifted.warnings:
        typer.echo(warning, err=True)
    if format is AuditFormat.JSON:
        typer.echo(json.dumps(drifted.said, indent=1, ensure_ascii=False))
    else:
        typer.echo("\n".join(drifting.lines(drifted.said)))
    raise typer.Exit(result(drifted.said))


@app.command()
def report(
    record: Annotated[Path, typer.Argument(help="A folder below `records`.")],
    format: Annotated[
        list[ReportFormat] | None, typer.Option(help="May be given more than once; all by default.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path(),
    no_attachments: Annotated[
        bool,
        typer.Option("--no-attachments", help="Leave audit.json and gaps.csv out of the PDF, to show it to others."),
    ] = False,
    redact: Annotated[
        bool,
        typer.Option(
            "--redact",
            help="PDF and HTML without names and days, nor modality and year of few studies, to share outside.",
        ),
    ] = False,
) -> None:
    """Write the report of a record again, in any format. The record itself is not touched.

    The PDF is PDF/A-3a and PDF/UA-1, and carries audit.json and gaps.csv as attachments.
    """
    from exactcopy.report import REDACTED, render

    chosen = [each.value for each in format or (map(ReportFormat, REDACTED) if redact else ReportFormat)]
    for path in render(record, chosen, out, attachments=not no_attachments, redacted=redact):
        typer.echo(path)


@app.command()
def check(
    config: ConfigPath = Path("exactcopy.toml"),
    alert: Annotated[
        bool, typer.Option("--alert", help="Also send a test message to every channel of [alert].")
    ] = False,
) -> None:
    """Say what an audit would need: ✓, or what to do next."""
    from exactcopy.preflight import needs

    settings, decisions = _load(config)
    missing = 0
    for need in needs(settings, decisions, datetime.now(UTC).date(), test_alerts=alert):
        typer.echo(f"{'✓' if need.good else '✗'} {need.text}")
        missing += not need.good
    if missing:
        typer.echo(f"\n{missing} of these {'has' if missing == 1 else 'have'} to be mended first.")
        raise typer.Exit(EXCEPTIONS)
    typer.echo(f"\nReady. Next: exactcopy audit {config}")


@app.command()
def explain(
    name: Annotated[str, typer.Argument(help="A label such as E-0001, or a finding such as F-1a2b3c4d.")],
    named: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="The configuration, as for --config.")
    ] = None,
    config: Annotated[Path, typer.Option(help="The configuration.")] = Path("exactcopy.toml"),
    reveal: Annotated[
        bool,
        typer.Option(
            "--reveal",
            help="Also read patient ID, date and accession number from the primary, to the terminal only.",
        ),
    ] = False,
) -> None:
    """Say what a label or a finding of the last record stands for, and how to mend it."""
    from exactcopy import explain as explaining

    settings, _ = _load(named or config)
    for line in explaining.explain(settings, name):
        typer.echo(line)
    if reveal:
        if not sys.stdout.isatty():
            typer.echo(
                "--reveal: patient data goes to a terminal only. Run it there, without a pipe or a file.",
                err=True,
            )
            raise typer.Exit(USAGE)
        for line in explaining.reveal(settings, name):
            typer.echo(line)


@app.command()
def history(
    config: ConfigPath = Path("exactcopy.toml"),
    format: Annotated[AuditFormat, typer.Option(help="json: print the audits and nothing else.")] = AuditFormat.TEXT,
) -> None:
    """List every audit, finished or begun and never finished, the newest last: result, coverage, restores, trend."""
    import json

    from exactcopy import history as past
    from exactcopy.config import load_config

    settings = load_config(config)
    found = past.entries(settings)
    if format is AuditFormat.JSON:
        typer.echo(json.dumps(past.document(found), indent=1, ensure_ascii=False))
        return
    typer.echo("\n".join(past.lines(settings, found, past.BLOCKS if _shows(past.BLOCKS) else past.PLAIN)))


@app.command()
def verify(
    place: Annotated[
        Path, typer.Argument(help="The configuration, or the folder of the records.", metavar="CONFIG|RECORDS")
    ] = Path("exactcopy.toml"),
    anchor: Annotated[
        list[str] | None,
        typer.Option(help="The SHA-256 of audit.json on a signed report, or a file of such hashes; may be repeated."),
    ] = None,
) -> None:
    """Prove that nothing in the records was altered: every file, every link, and the newest against an anchor."""
    from exactcopy import verify as verifying
    from exactcopy.config import load_config

    anchors = list(anchor or ())
    records, state = place, None
    if not place.is_dir():
        settings = load_config(place)
        records, state = settings.records, settings.state
        anchors += [str(settings.anchor)] if settings.anchor is not None else []
    verified = verifying.verify(records, anchors, state)
    typer.echo("\n".join(verifying.lines(verified)))
    raise typer.Exit(EXCEPTIONS if verified.faults else 0)


@app.command()
def schedule(
    config: ConfigPath = Path("exactcopy.toml"),
    format: Annotated[
        Scheduler | None,
        typer.Option(help="What is to start it; by default what this computer has.", show_default=False),
    ] = None,
    install: Annotated[
        bool, typer.Option("--install", help="Install it for this account: systemd timers, or lines of its crontab.")
    ] = False,
) -> None:
    """Print what runs the audit each month and the drift check on all other days, or install it."""
    from exactcopy import schedule as scheduling
    from exactcopy.config import load_config

    both = scheduling.jobs(load_config(config))
    chosen = scheduling.Scheduler((format or scheduling.here()).value)
    for line in scheduling.install(chosen, both) if install else scheduling.lines(chosen, both):
        typer.echo(line)


@app.command()
def keys(
    file: Annotated[Path, typer.Argument(help="The PKCS#12 file to write; it must not exist.")],
    source: Annotated[
        Path | None, typer.Option("--import", help="Take the key from this PKCS#12 file instead of making one.")
    ] = None,
    facility: Annotated[str, typer.Option(help="Whose key it is: this stands in its certificate.")] = "",
) -> None:
    """Make a key that seals reports, or import one, under a passphrase that is asked for."""
    from exactcopy.errors import ConfigError
    from exactcopy.seal import make_key, with_passphrase, write_key

    old = None
    if source is not None:
        try:
            content = source.read_bytes()
        except OSError as error:
            raise ConfigError([f"{source}: cannot be read ({error.strerror}). Name a PKCS#12 file."]) from error
        old = typer.prompt("Its passphrase (none: press return)", default="", show_default=False, hide_input=True)
    passphrase = typer.prompt("New passphrase", hide_input=True, confirmation_prompt=True).encode()
    if source is None:
        made = make_key(facility or "a facility", datetime.now(UTC), passphrase)
    else:
        made = with_passphrase(content, old.encode() if old else None, passphrase)
    write_key(file, made)
    typer.echo(
        f"{file} is written. Next: name it in the configuration, and put the passphrase where only the account that"
        f' audits can read it:\n\n[seal]\nkey = "{file}"\npassphrase = "file:/path/of/the/passphrase"\n\n'
        "Keep a copy of both apart from this computer."
    )


def main() -> NoReturn:
    """Run the command line. No error ever shows a traceback: it could hold patient data."""
    stopped: list[int] = []

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        """End by an exception, so that scratch is removed; what was read is kept for the next run."""
        stopped.append(number)
        typer.echo(_GOES_ON, err=True)
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        # Called as a command and not as the app: that would put its own excepthook in place of ours.
        get_command(app)(prog_name="exactcopy")
    except ExactCopyError as error:
        typer.echo(str(error), err=True)
        sys.exit(exit_code(error))
    except Exception as error:  # noqa: BLE001 - the last resort, so that no traceback shows patient data
        if stopped:
            # A library turned the exit that the signal asked for into an error of its own.
            sys.exit(128 + stopped[0])
        if no_room(error):
            typer.echo(_NO_ROOM, err=True)
            sys.exit(USAGE)
        typer.echo(_unexpected(error), err=True)
        sys.exit(FAULT)
    sys.exit(0)


def _load(path: Path) -> "tuple[Config, Decisions]":
    from exactcopy.assess import read_decisions
    from exactcopy.config import load_config

    config = load_config(path)
    return config, read_decisions(config, datetime.now(UTC).date())


def _budget(max_hours: float | None, max_read: str | None) -> "Budget":
    """Return what one audit may take, or say what is wrong with it."""
    from exactcopy.config.border import size
    from exactcopy.model import Budget

    # What is not a number (nan) is not above 0 either.
    if max_hours is not None and not 0 < max_hours <= _MOST_HOURS:
        raise typer.BadParameter(
            f"{max_hours:g} hours are no length of an audit. Write how many it may take: 8 or 0.5.",
            param_hint="--max-hours",
        )
    try:
        return Budget(max_hours=max_hours, max_read=None if max_read is None else size(max_read))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--max-read") from None


def _warn(text: str) -> None:
    typer.echo(text, err=True)


def _studies(count: int, total: int) -> str:
    return f"{count:,} of {total:,} {'study' if total == 1 else 'studies'}"


def _summary(said: Mapping[str, Any], folder: Path, config: Path) -> list[str]:
    from exactcopy.report.verdict import HEADLINES

    named = "" if config == Path("exactcopy.toml") else f" --config {config}"
    lines = ["", HEADLINES[said["headline"]][0], ""]
    lines += [
        f"  {row['primary']} on {row['backup']}: {_studies(row['studies']['protected'], row['studies']['total'])}"
        f" {'has' if row['studies']['protected'] == 1 else 'have'} an exact copy; {row['studies']['gap']:,} with a gap,"
        f" {row['studies']['pending']:,} pending, {row['studies']['not_checked']:,} not checked"
        for row in said["comparisons"]
    ]
    lines += [
        f"  restored from {row['backup']}: {_studies(row['restored'], row['planned'])} came back whole and equal"
        for row in said["restore_tests"]
    ]
    lines += [
        f"  put into {put['name']} from {row['backup']}: {put['studies']['recovered']:,} studies found there, retrieved"
        f" and equal; {put['studies']['failed']:,} not, {put['studies']['held']:,} there before,"
        f" {put['studies']['not_tested']:,} not tested"
        for row in said["restore_tests"]
        if (put := row["recovery"])
    ]
    lines += [f"  Not examined: {item['text']}" for item in said["not_examined"]]
    if said["findings"]:
        lines += ["", "What has to happen:"]
        lines += [
            f"  {finding['id']}  {finding['severity']:<8}  {finding['title']}"
            f" ({finding['owner'] or 'no owner yet'}, by {finding['due'] or 'no date'})"
            for finding in said["findings"]
            if finding["severity"] != "info" and finding["state"] == "open"
        ]
        accepted = sum(finding["state"] != "open" for finding in said["findings"])
        lines += [f"  Accepted, and still in the result: {accepted:,} of {len(said['findings']):,}"] if accepted else []
        lines.append(f"  Each of them: exactcopy explain FINDING{named}")
    pdf = folder / "report.pdf"
    page = pdf if pdf.exists() else folder / "report.html"
    lines += ["", f"Sign and keep: {page}" if page.exists() else f"No report was made. The record: {folder}"]
    return lines


def _shows(text: str) -> bool:
    """Tell whether stdout can carry `text`: a terminal of another encoding would show question marks."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _unexpected(error: Exception) -> str:
    """Say where a fault of ours happened, and nothing of the data that it happened to."""
    where = "?"
    trace = error.__traceback__
    while trace is not None:
        if f"{os.sep}exactcopy{os.sep}" in trace.tb_frame.f_code.co_filename:
            where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return (
        f"exactcopy {__version__}, {where}: an unexpected {type(error).__name__}. Nothing that was sealed is affected;"
        " please report this line."
    )
