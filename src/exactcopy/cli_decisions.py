"""The commands that record a decision: parse, call, print."""

from collections.abc import Iterable
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from exactcopy.deciding import Signed

decisions = typer.Typer()

_DAY = ["%Y-%m-%d"]
By = Annotated[str, typer.Option(help="The name of the person who decides.")]
Title = Annotated[str, typer.Option(help="The title of that person.")]
On = Annotated[datetime | None, typer.Option(formats=_DAY, help="The day of the decision; today by default.")]
Expires = Annotated[datetime | None, typer.Option(formats=_DAY, help="The last day; a year later by default.")]
ConfigOption = Annotated[Path, typer.Option("--config", help="The configuration.")]
FindingId = Annotated[str, typer.Argument(metavar="FINDING", help="A finding of the last record: F-1a2b3c4d.")]
_CONFIG = Path("exactcopy.toml")


class YesNo(StrEnum):
    """What `incident` asks."""

    YES = "yes"
    NO = "no"


@decisions.command()
def attest(
    control: Annotated[str, typer.Argument(help="The control: EC-CP-01.")],
    statement: Annotated[str, typer.Argument(help="What is attested, in a sentence.")],
    by: By,
    title: Title,
    document: Annotated[str | None, typer.Option(help="Where it is written down.")] = None,
    party: Annotated[str | None, typer.Option(help="With whom, as in held_by: for an agreement (EC-BA-01).")] = None,
    on: On = None,
    expires: Expires = None,
    config: ConfigOption = _CONFIG,
) -> None:
    """State what exactcopy cannot see. The report shows it as attested, until it expires."""
    from exactcopy import deciding
    from exactcopy.config import load_config

    said = deciding.attest(
        load_config(config), _signed(by, title, on), control, statement, document, party, _day(expires)
    )
    _tell(said)


@decisions.command()
def accept(
    by: By,
    title: Title,
    reason: Annotated[str, typer.Option(help="Why, in a sentence.")],
    finding: Annotated[str | None, typer.Argument(help="A finding of the last record: F-1a2b3c4d.")] = None,
    alternative: Annotated[
        str | None,
        typer.Option(
            help='Of an addressable specification: what is done instead, or "none reasonable, because …"'
            " (45 CFR 164.306(d)(3))."
        ),
    ] = None,
    backup: Annotated[str | None, typer.Option(help="Instead of a finding: a backup on which elements differ.")] = None,
    element: Annotated[
        list[str] | None, typer.Option(help="An element that may differ there; may be given more than once.")
    ] = None,
    on: On = None,
    expires: Expires = None,
    config: ConfigOption = _CONFIG,
) -> None:
    """Accept a finding with its studies of that day, or elements that differ on a backup.

    What is new since is open. It hides nothing, makes no copy exact, and the exit code stays. A required specification
    takes no acceptance.
    """
    from exactcopy import deciding
    from exactcopy.config import load_config

    if (finding is None) == (backup is None) or bool(element) != (backup is not None):
        raise typer.BadParameter("name a finding, or --backup with one --element or more.")
    settings, signed = load_config(config), _signed(by, title, on)
    if finding is not None:
        _tell(deciding.accept(settings, signed, finding, reason, alternative, _day(expires)))
    elif backup is not None:
        _tell(deciding.accept_elements(settings, signed, backup, element or [], reason, _day(expires)))


@decisions.command()
def assign(
    finding: FindingId,
    by: By,
    title: Title,
    owner: Annotated[str | None, typer.Option(help="Who mends it.")] = None,
    due: Annotated[datetime | None, typer.Option(formats=_DAY, help="Until when.")] = None,
    cause: Annotated[str | None, typer.Option(help="What was found to be the cause.")] = None,
    on: On = None,
    config: ConfigOption = _CONFIG,
) -> None:
    """Say who mends a finding, until when, and what its cause was."""
    from exactcopy import deciding
    from exactcopy.config import load_config

    if owner is None and due is None and cause is None:
        raise typer.BadParameter("give --owner, --due or --cause.")
    _tell(deciding.assign(load_config(config), _signed(by, title, on), finding, owner, _day(due), cause))


@decisions.command()
def dispose(
    by: By,
    title: Title,
    reason: Annotated[str, typer.Option(help="Why, in a sentence.")],
    policy: Annotated[str, typer.Option(help="The policy under which it was done.")],
    labels: Annotated[list[str] | None, typer.Argument(help="The studies: E-0001 E-0002.")] = None,
    before: Annotated[
        datetime | None, typer.Option(formats=_DAY, help="Instead: all studies of before this day.")
    ] = None,
    primary: Annotated[str | None, typer.Option(help="With --before: of this primary only.")] = None,
    store: Annotated[str | None, typer.Option(help="Instead: a store that is no longer in use.")] = None,
    on: On = None,
    config: ConfigOption = _CONFIG,
) -> None:
    """Record that studies were deleted on purpose, or that a store was retired. It does not expire.

    It explains what is gone from a primary with all of its images, and nothing else.
    """
    from exactcopy import deciding
    from exactcopy.config import load_config

    if (bool(labels), before is not None, store is not None).count(True) != 1:
        raise typer.BadParameter("name studies, or --before, or --store: one of them.")
    said = deciding.dispose(
        load_config(config), _signed(by, title, on), labels or [], _day(before), primary, store, reason, policy
    )
    _tell(said)


@decisions.command()
def incident(
    finding: FindingId,
    answer: Annotated[YesNo, typer.Argument(help="Whether it is a security incident.")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence.")],
    by: By,
    title: Title,
    on: On = None,
    config: ConfigOption = _CONFIG,
) -> None:
    """Decide whether an unexplained change is a security incident (45 CFR 164.308(a)(6)(ii))."""
    from exactcopy import deciding
    from exactcopy.config import load_config

    is_one = answer is YesNo.YES
    _tell(deciding.incident(load_config(config), _signed(by, title, on), finding, is_one=is_one, reason=reason))


@decisions.command()
def review(
    record: Annotated[str, typer.Argument(help="A folder below `records`.")],
    by: By,
    title: Title,
    scan: Annotated[Path | None, typer.Option(help="The scan of the signed page: its SHA-256 is recorded.")] = None,
    on: On = None,
    config: ConfigOption = _CONFIG,
) -> None:
    """Record that the report of a record was read and signed. It holds for that very report, by its hash."""
    from exactcopy import deciding
    from exactcopy.config import load_config

    _tell(deciding.review(load_config(config), _signed(by, title, on), record, scan))


def _signed(by: str, title: str, on: datetime | None) -> "Signed":
    from exactcopy.deciding import Signed

    return Signed(by=by, title=title, on=_day(on))


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None


def _tell(said: Iterable[str]) -> None:
    for line in said:
        typer.echo(line)
