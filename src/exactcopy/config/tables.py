"""The tables that exactcopy.toml and decisions.toml may hold, and the meaning of each key's absence."""

from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, PlainValidator, SerializeAsAny

from exactcopy.config.access import Secret, TimeStamps
from exactcopy.config.border import (
    Day,
    Days,
    Duration,
    Location,
    LongText,
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


class ConfigFile(Table):
    """exactcopy.toml."""

    required: ClassVar[Mapping[str, str]] = {
        "facility": 'Write facility = "…" at the top of the file.',
        "primary": "Name the archive to protect: [primary.NAME].",
        "backup": "Name a copy of it: [backup.NAME].",
    }
    later: ClassVar[frozenset[str]] = frozenset({"alert", "workers"})
    facility: Text = ""
    time_zone: Annotated[str, PlainValidator(zone)] = "UTC"
    operator: Text | None = None
    paper: Annotated[Paper, choice(Paper)] = Paper.LETTER
    records: Location = "records"
    restricted_group: Text | None = None
    policy: Policy = Policy()
    people: People = People()
    seal: Seal = Seal()
    primary: dict[str, AnyStore] = Field(default_factory=dict)
    backup: dict[str, AnyStore] = Field(default_factory=dict)
    recovery: dict[str, AnyStore] = Field(default_factory=dict)


class Attest(Table):
    """[[attest]]."""

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
    by: Text = ""
    title: Text = ""
    on: Day = date.min
    entered_by: Text | None = None
    expires: Day | None = None


class DecisionsFile(Table):
    """decisions.toml."""

    later: ClassVar[frozenset[str]] = frozenset({"accept", "assign", "dispose", "incident", "review"})
    attest: list[Attest] = Field(default_factory=list)
