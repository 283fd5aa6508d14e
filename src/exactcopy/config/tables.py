"""The tables that exactcopy.toml and decisions.toml may hold, and the meaning of each key's absence."""

from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, PlainValidator, SerializeAsAny

from exactcopy.config.access import Cluster, Ping, Secret, Secrets, TimeStamps
from exactcopy.config.border import (
    Count,
    Day,
    Days,
    Digest,
    Duration,
    FindingId,
    Flag,
    Labels,
    Location,
    LongText,
    Names,
    RecordId,
    Table,
    Text,
    Years,
    choice,
    nearest,
    shown,
    text,
)
from exactcopy.config.stores import Store, store

AnyStore = SerializeAsAny[Annotated[Store, PlainValidator(store)]]


class Paper(StrEnum):
    """The paper of the report."""

    LETTER = "letter"
    A4 = "a4"


class Sample(StrEnum):
    """How many studies a restore test draws."""

    QUICK = "quick"
    STANDARD = "standard"
    STRONG = "strong"
    FULL = "full"


def zone(value: object) -> str:
    """Take the name of a time zone that this machine knows."""
    key = text(value)
    try:
        return ZoneInfo(key).key
    except (KeyError, ValueError, OSError):
        meant = nearest(key, available_timezones()) or "America/Chicago"
    raise ValueError(f'{shown(key)} is no time zone. Write one such as "{meant}".')


class Retention(Table):
    """[policy.retention]: the facility's own rule. No law is known here: what it rests on, the facility writes."""

    required: ClassVar[Mapping[str, str]] = {
        "rule": 'Write your rule in a few words: rule = "Images of adults are kept ten years".',
        "years": "Write for how many years images are kept: years = 10.",
        "set_by": "Write the name of the person who set the rule.",
        "on": "Write the day on which the rule was set: on = 2026-01-15.",
        "citation": 'Write what the rule rests on: citation = "Policy 12, section 3".',
    }
    rule: Text = ""
    years: Years = 1
    set_by: Text = ""
    on: Day = date.min
    citation: Text = ""


class Policy(Table):
    """[policy]: what the facility demands of its backups."""

    rpo: Duration = timedelta(hours=24)
    rto: Duration = timedelta(hours=72)
    sample: Annotated[Sample, choice(Sample)] = Sample.STANDARD
    retention: Retention | None = None


class Due(Table):
    """people.due: days until a finding of a severity is due."""

    critical: Days = 3
    high: Days = 14
    medium: Days = 30
    low: Days = 90


class People(Table):
    """[people]: who owns findings."""

    security_official: Text | None = None
    it: Text | None = None
    due: Due = Due()


class Seal(Table):
    """[seal]: what shows later that no record was altered."""

    key: Location | None = None
    passphrase: Secret | None = None
    timestamp: TimeStamps | None = None
    anchor: Location | None = None


class Alert(Table):
    """[alert]: who is told of what changed."""

    notify: Secrets = ()
    ping: Ping | None = None
    metrics: Location | None = None
    remind: Duration = timedelta(days=7)


class ConfigFile(Table):
    """exactcopy.toml."""

    required: ClassVar[Mapping[str, str]] = {
        "facility": 'Write facility = "…" at the top of the file.',
        "primary": "Name the archive to protect: [primary.NAME].",
        "backup": "Name a copy of it: [backup.NAME].",
    }
    facility: Text = ""
    time_zone: Annotated[str, PlainValidator(zone)] = "UTC"
    operator: Text | None = None
    paper: Annotated[Paper, choice(Paper)] = Paper.LETTER
    records: Location = "records"
    restricted_group: Text | None = None
    workers: Cluster | None = None
    policy: Policy = Policy()
    people: People = People()
    seal: Seal = Seal()
    alert: Alert = Alert()
    primary: dict[str, AnyStore] = Field(default_factory=dict)
    backup: dict[str, AnyStore] = Field(default_factory=dict)
    recovery: dict[str, AnyStore] = Field(default_factory=dict)


class Decision(Table):
    """What every table of decisions.toml holds: who decided, in which office, when, and who wrote it down."""

    required: ClassVar[Mapping[str, str]] = {
        "by": "Write the name of the person who decides.",
        "title": "Write the title of the person who decides.",
        "on": "Write the day of the decision: on = 2026-11-24.",
    }
    by: Text = ""
    title: Text = ""
    on: Day = date.min
    entered_by: Text | None = None


class Attest(Decision):
    """[[attest]]: what the tool cannot see."""

    required: ClassVar[Mapping[str, str]] = {
        "control": 'Write the control that is attested: control = "EC-…".',
        "statement": "Write what is attested, in a sentence.",
        "by": "Write the name of the person who attests.",
        "title": "Write the title of the person who attests.",
        "on": "Write the day of the attestation: on = 2026-11-24.",
    }
    control: Text = ""
    statement: LongText = ""
    document: Text | None = None
    party: Text | None = None
    expires: Day | None = None


class Accept(Decision):
    """[[accept]]: a finding as it was that day, or what may differ on a backup."""

    required: ClassVar[Mapping[str, str]] = {
        "reason": "Write why it is accepted, in a sentence.",
        **Decision.required,
    }
    finding: FindingId | None = None
    labels: Labels = ()
    images: Count | None = None
    backup: Text | None = None
    elements: Names = ()
    reason: LongText = ""
    alternative: LongText | None = None
    expires: Day | None = None


class Assign(Decision):
    """[[assign]]: who mends a finding, until when, and what was found to be its cause."""

    required: ClassVar[Mapping[str, str]] = {
        "finding": 'Write the finding: finding = "F-…".',
        **Decision.required,
    }
    finding: FindingId = ""
    owner: Text | None = None
    due: Day | None = None
    cause: LongText | None = None


class Dispose(Decision):
    """[[dispose]]: studies that were deleted on purpose, or a store that is no longer in use."""

    required: ClassVar[Mapping[str, str]] = {
        "reason": "Write why they were disposed of, in a sentence.",
        "policy": "Write the policy under which they were disposed of.",
        **Decision.required,
    }
    labels: Labels = ()
    before: Day | None = None
    primary: Text | None = None
    store: Text | None = None
    reason: LongText = ""
    policy: Text = ""


class Incident(Decision):
    """[[incident]]: whether an unexplained change is a security incident."""

    required: ClassVar[Mapping[str, str]] = {
        "finding": 'Write the finding: finding = "F-…".',
        "incident": "Write whether it is a security incident: true or false.",
        "reason": "Write why, in a sentence.",
        **Decision.required,
    }
    finding: FindingId = ""
    labels: Labels = ()
    images: Count | None = None
    incident: Flag = False
    reason: LongText = ""


class Review(Decision):
    """[[review]]: somebody read a record and signed its report."""

    required: ClassVar[Mapping[str, str]] = {
        "record": 'Write the record: record = "2026-11-24T060000Z".',
        "sha256": "Write the SHA-256 of its audit.json, which its report prints.",
        **Decision.required,
    }
    record: RecordId = ""
    sha256: Digest = ""
    scan_sha256: Digest | None = None


class DecisionsFile(Table):
    """decisions.toml."""

    attest: list[Attest] = Field(default_factory=list)
    accept: list[Accept] = Field(default_factory=list)
    assign: list[Assign] = Field(default_factory=list)
    dispose: list[Dispose] = Field(default_factory=list)
    incident: list[Incident] = Field(default_factory=list)
    review: list[Review] = Field(default_factory=list)
