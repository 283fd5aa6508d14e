"""decisions.toml → what people state of the controls that the tool cannot see."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from exactcopy.errors import ConfigError
from exactcopy.model import Attestation

if TYPE_CHECKING:
    from exactcopy.config.tables import Attest

# A default of the tool, not of the law.
LASTS = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What decisions.toml held. `digest` is the SHA-256 of its bytes."""

    attestations: tuple[Attestation, ...] = ()
    digest: str = sha256(b"").hexdigest()


def load_decisions(path: Path, known_controls: Collection[str], today: date) -> Decisions:
    """Load `path`, or raise ConfigError with every fault in it; a missing file holds no decision."""
    from exactcopy.config.border import lines, parse, validate
    from exactcopy.config.tables import DecisionsFile

    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Decisions()
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror}). Make it readable."]) from error
    file, faults = validate(DecisionsFile, parse(path.name, content))
    for index, table in enumerate(file.attest):
        faults += ((("attest", index, key), what) for key, what in _rules(table, known_controls, today))
    if faults:
        raise ConfigError(lines(path.name, faults))
    return Decisions(attestations=tuple(map(_attestation, file.attest)), digest=sha256(content).hexdigest())


def attestation(decisions: Decisions, control: str, today: date, party: str | None = None) -> Attestation | None:
    """Give the attestation of `control` and this very `party` that holds today, the newest of several."""
    return _newest(one for one in _of(decisions, control, today, party) if one.expires >= today)


def expired(decisions: Decisions, control: str, today: date, party: str | None = None) -> Attestation | None:
    """Give the attestation of `control` and this very `party` that has expired, the newest of several."""
    return _newest(one for one in _of(decisions, control, today, party) if one.expires < today)


def _of(decisions: Decisions, control: str, today: date, party: str | None) -> Iterator[Attestation]:
    for one in decisions.attestations:
        if one.control == control and one.on <= today and _folded(one.party) == _folded(party):
            yield one


def _folded(party: str | None) -> str | None:
    return None if party is None else " ".join(party.casefold().split())


def _newest(attestations: Iterable[Attestation]) -> Attestation | None:
    # Of two on one day the later in the file counts: max() takes the first.
    return max(reversed([*attestations]), key=lambda one: one.on, default=None)


def _attestation(table: "Attest") -> Attestation:
    return Attestation(
        control=table.control,
        statement=table.statement,
        by=table.by,
        title=table.title,
        on=table.on,
        expires=table.expires or table.on + LASTS,
        entered_by=table.entered_by or table.by,
        document=table.document,
        party=table.party,
    )


def _rules(table: "Attest", known_controls: Collection[str], today: date) -> Iterator[tuple[str, str]]:
    from exactcopy.config.border import nearest, shown

    if table.control and table.control not in known_controls:
        meant = nearest(table.control, known_controls)
        remedy = f'Did you mean "{meant}"?' if meant else "Write the id of a control."
        yield "control", f"{shown(table.control)} is no control. {remedy}"
    if table.on > today:
        yield "on", f"{table.on} is in the future. Write the day on which it was attested."
    if table.expires and table.expires < table.on:
        yield (
            "expires",
            f"{table.expires} is before on. Write a later day, or remove it.",
        )
