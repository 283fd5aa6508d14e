"""decisions.toml → what people decide: what they attest, accept, assign, dispose of, judge and review."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from exactcopy.errors import ConfigError
from exactcopy.model import Attestation
from exactcopy.results import Control, Decision

if TYPE_CHECKING:
    from exactcopy.config import tables

# An agreement is with somebody (45 CFR 164.308(b)(1)).
AGREEMENT = "EC-BA-01"
# A default of the tool, not of the law.
LASTS = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A `finding` that is accepted as it was: its studies of that day, by label. Or what may differ on a `backup`.

    `images` of those studies had a gap on that day, where it was counted.
    """

    decision: Decision
    finding: str | None = None
    labels: frozenset[str] = frozenset()
    images: int | None = None
    backup: str | None = None
    elements: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Who mends a finding, until when; its cause, once it was found."""

    decision: Decision
    finding: str
    owner: str | None = None
    due: date | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disposal:
    """Studies that were deleted on purpose: by label, or all of `before` a day; or a `store` no longer in use."""

    decision: Decision
    policy: str
    labels: frozenset[str] = frozenset()
    before: date | None = None
    primary: str | None = None
    store: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Whether what a finding saw, in its studies of that day, is a security incident (45 CFR 164.308(a)(6)(ii))."""

    decision: Decision
    finding: str
    labels: frozenset[str] = frozenset()
    images: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The report of a record was read and signed. `sha256` is of its audit.json or of its manifest."""

    decision: Decision
    record: str
    sha256: str
    scan_sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What decisions.toml held, in its order. `digest` is the SHA-256 of its `content`."""

    attestations: tuple[Attestation, ...] = ()
    acceptances: tuple[Acceptance, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    disposals: tuple[Disposal, ...] = ()
    incidents: tuple[Incident, ...] = ()
    reviews: tuple[Review, ...] = ()
    content: bytes = b""

    @property
    def digest(self) -> str:
        """The SHA-256 of the file."""
        return sha256(self.content).hexdigest()


def load_decisions(
    path: Path, known_controls: Collection[str], today: date, judged_by: Mapping[str, Control] | None = None
) -> Decisions:
    """Load `path`, or raise ConfigError with every fault in it; a missing file holds no decision.

    `judged_by` tells the control that says, for the id of a finding, whether it may be accepted.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Decisions()
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror}). Make it readable."]) from error
    return parse_decisions(path.name, content, known_controls, today, judged_by or {})


def parse_decisions(
    name: str, content: bytes, known_controls: Collection[str], today: date, judged_by: Mapping[str, Control]
) -> Decisions:
    """Return what `content` decides, or raise ConfigError with every fault in it; `name` is the file's."""
    from exactcopy.config.border import lines, parse, validate
    from exactcopy.config.tables import DecisionsFile
    from exactcopy.decisions.rules import rules

    file, faults = validate(DecisionsFile, parse(name, content))
    faults += list(rules(file, known_controls, today, judged_by, {where for where, _ in faults}))
    if faults:
        raise ConfigError(lines(name, faults))
    return _decisions(file, content)


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


def _decisions(file: "tables.DecisionsFile", content: bytes) -> Decisions:
    from exactcopy.decisions.rules import element

    return Decisions(
        attestations=tuple(map(_attestation, file.attest)),
        acceptances=tuple(
            Acceptance(
                decision=_decision(
                    table, table.reason, expires=table.expires or table.on + LASTS, alternative=table.alternative
                ),
                finding=table.finding,
                labels=frozenset(table.labels),
                images=table.images,
                backup=table.backup,
                elements=frozenset(map(element, table.elements)),
            )
            for table in file.accept
        ),
        assignments=tuple(
            Assignment(
                decision=_decision(table, table.cause or ""),
                finding=table.finding,
                owner=table.owner,
                due=table.due,
                cause=table.cause,
            )
            for table in file.assign
        ),
        disposals=tuple(
            Disposal(
                decision=_decision(table, table.reason),
                policy=table.policy,
                labels=frozenset(table.labels),
                before=table.before,
                primary=table.primary,
                store=table.store,
            )
            for table in file.dispose
        ),
        incidents=tuple(
            Incident(
                decision=_decision(table, table.reason, incident=table.incident),
                finding=table.finding,
                labels=frozenset(table.labels),
                images=table.images,
            )
            for table in file.incident
        ),
        reviews=tuple(
            Review(
                decision=_decision(table, ""),
                record=table.record,
                sha256=table.sha256,
                scan_sha256=table.scan_sha256,
            )
            for table in file.review
        ),
        content=content,
    )


def _decision(
    table: "tables.Decision",
    reason: str,
    *,
    expires: date | None = None,
    alternative: str | None = None,
    incident: bool | None = None,
) -> Decision:
    return Decision(
        by=table.by,
        title=table.title,
        on=table.on,
        entered_by=table.entered_by or table.by,
        reason=reason,
        expires=expires,
        alternative=alternative,
        incident=incident,
    )


def _attestation(table: "tables.Attest") -> Attestation:
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
