"""The nouns of what an audit found: facts, findings, assessments. Workers and stores need none of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from exactcopy.model import NO_BUDGET, Budget, Role, Safeguard, Seen, Severity, Target

# No store has a "_" in its name.
RETENTION_WORKLIST = "worklist-retention_rule.csv"
# Among the outcomes by which studies are counted: those with an image that is altered or different, each once.
NOT_EXACT = "altered_or_different"


class StudyState(StrEnum):
    """What a whole study is on one backup."""

    PROTECTED = "protected"
    PENDING = "pending"
    GAP = "gap"
    NOT_CHECKED = "not_checked"


class Assurance(StrEnum):
    """How a copy is known, weakest first."""

    LISTED = "listed"
    REPORTED = "reported"
    READ = "read"
    RESTORED = "restored"


class Side(StrEnum):
    """Which side of a pair changed, where it can be told."""

    PRIMARY = "primary"
    BACKUP = "backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Who decided something, when and why. `incident`: whether it is a security incident, where that was the question.

    `alternative` is the equivalent measure in place of an addressable specification (45 CFR 164.306(d)(3)).
    """

    by: str
    title: str
    on: date
    entered_by: str
    reason: str
    expires: date | None = None
    alternative: str | None = None
    incident: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check saw on one target, and what to do. Its studies are rows of gaps.csv."""

    check: str
    target: str
    severity: Severity
    count: int
    title: str
    message: str
    why: str
    to_check: tuple[str, ...] = ()
    remedy: tuple[str, ...] = ()
    worklist: str | None = None
    unit: str = "studies"
    id: str = ""
    # "accepted" where somebody accepted all of it; of `accepted_count` studies only, where not.
    state: str = "open"
    accepted_count: int = 0
    decision: Decision | None = None
    incident: Decision | None = None
    assigned: Decision | None = None
    owner: str | None = None
    due: date | None = None
    cause: str | None = None
    first_seen: str = ""
    times_seen: int = 1
    # The check's own severity; one that an earlier audit found too weighs more.
    base_severity: Severity | None = None
    raised: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What has to be done about a finding, until an audit asks again and no longer finds it.

    `state`: open, accepted, or not checked again, where the last audit could not ask.
    """

    id: str
    check: str
    target: str
    title: str
    severity: Severity
    owner: str | None
    due: date | None
    cause: str | None
    first_seen: str
    times_seen: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotChecked:
    """A check that could not answer for one target, and what would let it."""

    check: str
    target: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One row of the control catalogue."""

    id: str
    citation: str
    title: str
    text: str
    specification: str
    kind: str
    decides: bool = False
    checks: tuple[str, ...] = ()
    answered_by: str = ""
    attestable: bool = False

    @property
    def may_be_attested(self) -> bool:
        """Whether people may state it: what is measured cannot be stated instead."""
        return self.attestable or not self.checks or self.kind == "attested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What this audit can say of one control."""

    control: Control
    status: str
    observed: str
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What came of putting one restored study into the recovery PACS.

    `outcome`: recovered, where every instance was accepted, found by query, retrieved, equal and no decoding failed;
    held, where the study was there before and nothing was put; failed; not_tested. `rendered` says whether the PACS
    showed an image of it as a picture, `removed` whether what was put was removed again; None: not asked.
    """

    outcome: str
    instances: int = 0
    accepted: int = 0
    found: int = 0
    retrieved: int = 0
    equal: int = 0
    decoded: int = 0
    not_decodable: int = 0
    rendered: bool | None = None
    removed: bool | None = None
    bytes: int = 0
    put_seconds: float = 0.0
    back_bytes: int = 0
    back_seconds: float = 0.0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreTest:
    """One study that was restored, or was to be."""

    backup: str
    study_instance_uid: str
    certainty: bool
    instances: int
    bytes: int
    seconds: float
    outcome: str
    not_decodable: int = 0
    problems: tuple[str, ...] = ()
    recovery: Recovery | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """So many studies, so many instances of them."""

    studies: int = 0
    instances: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """The studies that a primary purged since a record first saw them, by how many backups hold them exactly, whole.

    `young_when_last_seen` of them were younger than the primary keeps them when the last record saw them: whether they
    went in time or too early cannot be told. Those that are `disposed` of are in no other figure.
    """

    purged: int
    on_two: int
    on_one: int
    on_none: int
    not_checked: int
    young_when_last_seen: int
    disposed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """What was found of one store. `error` is a code; None means that it was examined."""

    name: str
    role: Role
    kind: str
    site: str | None
    held_by: str
    offsite: bool | None
    synced_to: str | None
    restored_from: str | None
    restored_on: str | None
    rpo_hours: float
    schedule_hours: float | None
    complete: bool
    error: str | None
    last_examined: str | None
    volumes_configured: int = 0
    volume: str | None = None
    studies: int = 0
    series: int = 0
    instances: int = 0
    objects: int = 0
    bytes: int = 0
    not_dicom: int = 0
    damaged: int = 0
    duplicates: int = 0
    conflicts: int = 0
    not_opened: int = 0
    unread: int = 0
    unlisted: int = 0
    baseline: int = 0
    oldest_year: int | None = None
    newest_year: int | None = None
    lossy_mammograms: int = 0
    mammograms: int = 0
    modalities: Mapping[str, int]
    problems: Mapping[str, int]
    nameless_damaged: int = 0
    device: str | None = None
    disk: str | None = None
    host: str | None = None
    filesystem: str | None = None
    synced_by: str | None = None
    # What it lies on that is better read by few, and how many read it at once.
    lies_on: str | None = None
    readers: int | None = None
    reads: str | None = None
    free: int | None = None
    encrypted: bool | None = None
    # Of a store that was examined, every safeguard is here.
    safeguards: Mapping[Safeguard, Seen] = field(default_factory=dict)
    # The record that showed what was on this primary before, and whether that shows its contents too.
    baseline_record: str | None = None
    content_before: bool = False
    # US dollars, as far as the configuration tells: a year, once for what lies there, to read all of it back.
    yearly_cost: float | None = None
    paid_once: float | None = None
    read_back_cost: float | None = None
    # What this audit read of it, at which rate (bytes a second), and what that costs; what was asked for one by one.
    read_bytes: int = 0
    read_rate: float | None = None
    egress_cost: float | None = None
    asked: int = 0
    # How its files are known: read now or earlier, by the store's checksum, not at all; and when the oldest was read.
    known: Mapping[str, int] = field(default_factory=dict)
    oldest_read_at: str | None = None
    # What was deleted there and is kept for now: in a trash folder, or as an earlier version.
    deleted: int = 0
    # What lies in cold storage, and has to be thawed before it can be read: known by a checksum or not.
    archived: int = 0
    # How long a primary keeps its studies, if not for ever, and what became of those that it purged.
    keeps_hours: float | None = None
    purged: Purged | None = None
    no_exact_copy: Count = Count()
    copies_undetermined: Count = Count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """What a backup holds that none of the primaries it covers does."""

    not_known_on_primary: Count
    lost_from_primary: Count
    # Explained, and in neither of the two.
    purged_from_primary: Count = Count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One primary against one backup. The instances sum to the primary's, the studies to its studies."""

    primary: str
    backup: str
    studies: Mapping[str, int]
    proof: Mapping[str, int]
    instances: Mapping[str, int]
    extra: Extra | None
    assurance: Mapping[str, int]
    reported_by: Mapping[str, int]
    oldest_read_at: str | None
    newest_copy: str | None
    newest_on_primary: str | None
    oldest_unprotected_hours: float | None
    changed_side: Mapping[str, int]
    against_damaged: int
    # Of the missing ones, those that were deleted there and of which a version is kept that is identical by checksum.
    recoverable: int = 0
    gap_studies: Mapping[str, int]
    last_known: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """What the primaries lost, and what has few or no sound copies."""

    compared_with: str | None
    lost_from_primary: Count
    gone_everywhere: Count
    no_sound_copy: Count
    damaged_on_primary: Count
    only_copy: Count
    changed_on_primary: Count
    # Gone with all of their study, which a recorded disposal explains.
    disposed: Count
    by_primary: Mapping[str, Mapping[str, Count]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """The facility's own rule, as it wrote it, and what is left of the studies that it asks for.

    `studies` were seen by this or an earlier record and are dated `since` or later. Of these, `absent` are in no store
    and have no disposal on record, `disposed` have one; None where a store of `not_listed` may hold them.
    """

    rule: str
    years: int
    set_by: str
    on: date
    citation: str
    since: date
    oldest_year: int | None
    studies: int
    absent: int | None
    disposed: int | None
    not_listed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How the studies of a test restore were chosen, so that anybody can draw them again."""

    method: str
    confidence: float
    tolerable: float
    seed: str
    frame_sha256: str
    frame: int
    left_out: int
    upper_limit: int | None
    # Of the frame, the studies that are only on backups any more: a primary purged them.
    purged: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverySummary:
    """What became of the studies of one backup in the recovery PACS; those that failed before were not put there.

    `studies` by outcome, `instances` by step. `hours` is what a full recovery would take: copying all files back and
    storing them in the PACS (an estimate from both measured rates).
    """

    name: str
    kind: str
    studies: Mapping[str, int]
    instances: Mapping[str, int]
    rendered: Mapping[str, int]
    removed: Mapping[str, int] | None
    bytes: int
    put_seconds: float
    back_bytes: int
    back_seconds: float
    hours: float | None
    problems: Mapping[str, int]
    # Why nothing at all was put there.
    refused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreSummary:
    """The test restore of one backup."""

    backup: str
    planned: int
    restored: int
    failed: int
    not_decodable: int
    not_tested: int
    bytes: int
    seconds: float
    certainty: Mapping[str, int]
    sample: Sample
    left_out_why: Mapping[str, int]
    copy_back_hours: float | None
    # US dollars for the bytes that came back, where the configuration prices them.
    egress_cost: float | None = None
    destination: str
    problems: Mapping[str, int]
    reason: str | None = None
    recovery: RecoverySummary | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MassChange:
    """What of one store changed or went since the record `compared_with`, which knew `known` images there.

    `studies` are those of what changed or went. `changed` and `gone` are None where that cannot be told. `lost_magic`
    counts files that were images and are none under the same name, `renamed` those under a longer name, `notes` files
    named like a demand for money, `high_entropy` files that are no DICOM and look random.
    """

    compared_with: str | None
    known: int
    changed: int | None
    gone: int | None
    studies: int = 0
    lost_magic: int = 0
    renamed: int = 0
    notes: int = 0
    high_entropy: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What holds a folder: its file system, the disk under it, the other computer; None where it does not show."""

    device: str | None
    disk: str | None
    host: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """What became of the earlier records, six years back at most (45 CFR 164.316(b)(2)(i)).

    `faults` counts what was altered in them, `unfinished` the audits since the last record that left none, `away` the
    records that were sealed and are not here. `missing` are the months since the first record in which no audit began,
    of `months` in all, this one among them; `recently_missing` of these are of the last twelve.
    """

    faults: int
    last_whole: bool
    last_readable: bool
    unfinished: int
    away: int
    months: int
    missing: tuple[str, ...]
    recently_missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """What became of the faults that were planted for this audit, and of the sound copies beside them.

    `missed` are faults that were not seen as what they are, `alarms` sound copies that were not seen as sound.
    """

    planted: int
    found: int
    missed: tuple[str, ...]
    sound: int
    alarms: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every fault was found, and nothing else."""
        return not self.missed and not self.alarms


@dataclass(frozen=True, slots=True, kw_only=True)
class WithheldString:
    """A string that held patient data: where it stands, and what is printed in its place."""

    where: str
    shown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfScan:
    """What was held against patient data before it could travel.

    `tokens` are of the patient data of `images`, which this audit read, `of_images` that the stores hold. `stopped`:
    patient data was found in what was finished, so that no report was made of it.
    """

    strings: int = 0
    tokens: int = 0
    images: int = 0
    of_images: int = 0
    withheld: tuple[WithheldString, ...] = ()
    stopped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that the checks may look at."""

    started: datetime
    first: bool
    rto_hours: float
    due_days: Mapping[str, int]
    security_official: str | None
    it: str | None
    stores: tuple[StoreFacts, ...]
    comparisons: tuple[Comparison, ...]
    losses: Losses
    restores: tuple[RestoreSummary, ...]
    agreements: frozenset[str]
    previous: str | None
    left_out_stores: tuple[str, ...]
    tolerated: Mapping[str, int]
    overdue_drives: Mapping[str, int]
    # The PACS that receives test restores, and who holds it.
    recovery: Target | None
    way_to_recovery: Seen | None
    # Of each backup, the days between one test restore and the next in the last twelve months, from today back.
    days_between_restores: Mapping[str, tuple[int, ...]]
    retention: Retention | None
    # None where there is no record yet.
    upkeep: Upkeep | None
    records_at: Place
    anchor_at: Place | None
    # There is no file where the configuration says that the anchor is.
    anchor_away: bool
    # What the last record left to be done, with what was decided about it since; who reviewed its report.
    actions: tuple[Action, ...]
    # None: it could not be made.
    self_test: SelfTest | None
    reviewed: Decision | None
    # The checks by which an addressable specification is judged, and no stricter one.
    addressable: frozenset[str]
    # The checks of which people state the control today.
    stated: frozenset[str]
    self_scan: SelfScan = SelfScan()
    budget: Budget = NO_BUDGET
    # Of each store that was examined, and of a primary without an image that had some before.
    mass_change: Mapping[str, MassChange]
