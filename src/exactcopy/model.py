"""The nouns of stores and what lies in them. Millions of rows live in Parquet; these are the few in Python."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from exactcopy.windows import Window


class Role(StrEnum):
    """What a configured store is to the audit."""

    PRIMARY = "primary"
    BACKUP = "backup"
    RECOVERY = "recovery"


class ReadPolicy(StrEnum):
    """How much of a store is read back."""

    ALL = "all"
    REPORTED = "reported"
    ROTATION = "rotation"


class Algorithm(StrEnum):
    """The digests that a store may report of an object and that one read of its bytes can compute.

    `CONTENT` is of what an instance says, whatever packaging it came in: no store reports it.
    """

    SHA256 = "sha256"
    SHA1 = "sha1"
    MD5 = "md5"
    QUICKXOR = "quickxor"
    CRC64NVME = "crc64nvme"
    CRC32C = "crc32c"
    CONTENT = "content"


@dataclass(frozen=True, slots=True)
class Checksum:
    """A digest of a whole object, or of the digests of its parts of `part` bytes, one after the other.

    The latter is what a multipart upload leaves in S3, and with parts of 4 MiB Dropbox's content hash. The name
    of a checksum is that of its algorithm, with the size of a part behind a slash: sha256, md5/8388608.
    """

    algorithm: Algorithm
    part: int | None = None

    def __str__(self) -> str:
        """Return the name."""
        return self.algorithm.value if self.part is None else f"{self.algorithm.value}/{self.part}"


class Outcome(StrEnum):
    """What one instance of a primary is on one backup: exactly one of these, best first."""

    IDENTICAL = "identical"
    EQUIVALENT = "equivalent"
    ALTERED = "altered"
    DIFFERENT = "different"
    MISSING = "missing"
    PENDING = "pending"
    UNREADABLE = "unreadable"
    UNVERIFIED = "unverified"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    """How much a finding weighs: a default of the product, not a legal grading."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


class Problem(StrEnum):
    """What is wrong with one stored object."""

    # Never opened: only counted.
    LINK = "link"
    LINK_OUTSIDE = "link_outside"
    SPECIAL = "special"
    # A name without bytes of its own: a shortcut; a document that only the provider's editor opens.
    ALIAS = "alias"
    DOCUMENT = "document"
    # Not read to the end: the store is incomplete, nothing is said of the content.
    PERMISSION = "permission"
    IO_ERROR = "io_error"
    VANISHED = "vanished"
    CHANGING = "changing"
    # Lies in cold storage and must be thawed first; or shares its name with another, so that either may come.
    ARCHIVED = "archived"
    AMBIGUOUS = "ambiguous"
    # Left unread by `max_read`.
    OVER_BUDGET = "over_budget"
    # Left unread when the window of the store closed.
    OVER_WINDOW = "over_window"
    # Left unread by what one audit was given for all stores: its hours, its bytes.
    OVER_TIME = "over_time"
    OVER_TOTAL = "over_total"
    # Left unread when the store no longer answered.
    OUT_OF_REACH = "out_of_reach"
    # Left unread by `max_egress_cost`.
    OVER_COST = "over_cost"
    # A sync client's stand-in for a file that lies in the cloud: opening it would download it.
    PLACEHOLDER = "placeholder"
    # Deleted there; its last version is kept and could be brought back. It is no copy.
    DELETED = "deleted"
    # Read to the end and no instance in it.
    EMPTY = "empty"
    NOT_DICOM = "not_dicom"
    DICOMDIR = "dicomdir"
    # No DICOM, and its beginning looks random: encrypted, most likely.
    SCRAMBLED = "scrambled"
    # A zip, tar or the like, which may hold images: it is not unpacked.
    ARCHIVE = "archive"
    # Begins like DICOM and is no whole instance.
    HEADER_UNREADABLE = "header_unreadable"
    NO_SOP_INSTANCE_UID = "no_sop_instance_uid"
    TRUNCATED = "truncated"
    NO_PIXEL_DATA = "no_pixel_data"
    NO_DELIMITER = "no_delimiter"
    # A whole instance with a flaw worth a remark.
    NO_STUDY_UID = "no_study_uid"
    MALFORMED_UID = "malformed_uid"
    META_DIFFERS = "meta_differs"
    UNKNOWN_TRANSFER_SYNTAX = "unknown_transfer_syntax"
    INFLATES_TOO_FAR = "inflates_too_far"


# What limits how much is read, as people know it.
LIMITS = {
    Problem.OVER_TOTAL: "--max-read",
    Problem.OVER_BUDGET: "`max_read`",
    Problem.OVER_COST: "`max_egress_cost`",
}
NEVER_OPENED = frozenset({Problem.LINK, Problem.LINK_OUTSIDE, Problem.SPECIAL, Problem.ALIAS, Problem.DOCUMENT})
# Left when time was over or the store gone, wherever reading was then; or left by the plan, because of what reading it
# would take.
CUT_SHORT = frozenset({Problem.OVER_WINDOW, Problem.OVER_TIME, Problem.OUT_OF_REACH})
LEFT = CUT_SHORT | {Problem.OVER_BUDGET, Problem.OVER_TOTAL, Problem.OVER_COST}
UNREAD = LEFT | frozenset(
    {
        Problem.PERMISSION,
        Problem.IO_ERROR,
        Problem.VANISHED,
        Problem.CHANGING,
        Problem.ARCHIVED,
        Problem.AMBIGUOUS,
        Problem.PLACEHOLDER,
    }
)
NO_INSTANCE = frozenset({Problem.EMPTY, Problem.NOT_DICOM, Problem.SCRAMBLED, Problem.DICOMDIR, Problem.ARCHIVE})
DAMAGED = frozenset(
    {
        Problem.HEADER_UNREADABLE,
        Problem.NO_SOP_INSTANCE_UID,
        Problem.TRUNCATED,
        Problem.NO_PIXEL_DATA,
        Problem.NO_DELIMITER,
    }
)


class Safeguard(StrEnum):
    """What can protect the images in a store, in the order of the report."""

    ENCRYPTION = "encryption"  # at rest
    PUBLIC_ACCESS = "public_access"  # nobody without a login, by policy and by a real request; no public links
    TRANSPORT = "transport"  # on the way there; for a bucket also a policy that refuses all else
    VERSIONING = "versioning"
    IMMUTABILITY = "immutability"  # object lock and its days
    LIFECYCLE = "lifecycle"  # no rule that deletes images
    LOGGING = "logging"  # of access
    REPLICATION = "replication"
    FILE_RIGHTS = "file_rights"  # files that every account of the computer may read or change


class Answer(StrEnum):
    """What was found of a safeguard. A refused or senseless reply is never a pass."""

    PASS = "pass"  # noqa: S105  no password
    FAIL = "fail"
    NOT_SUPPORTED = "not_supported"
    NOT_PERMITTED = "not_permitted"
    NOT_ASSESSED = "not_assessed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of one safeguard. `detail` is printed: a few words and numbers of our own, never a store's.

    `count` is how many objects it is about, where it is about objects.
    """

    answer: Answer
    detail: str = ""
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a backup costs, in US dollars: one of the first four is given, and the egress where it is priced."""

    monthly: float | None = None
    per_study: float | None = None
    one_time: float | None = None
    per_tb_month: float | None = None
    egress_per_gb: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRule:
    """For how many years the facility keeps images, all in its own words; `citation` is what the rule rests on."""

    rule: str
    years: int
    set_by: str
    on: date
    citation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One configured store. `options` are its kind's own settings, `identity` a digest of where it is.

    A primary that `keeps` images for a time purges them afterwards. A store is examined within its `window` only, by so
    many at once as `concurrency` says, who read no more than `max_rate` bytes a second together; and in one run only
    `until` a moment. One audit reads no more than `max_read` bytes of it, and causes no more than `max_egress_cost` US
    dollars there.
    """

    name: str
    role: Role
    kind: str
    identity: str
    options: Mapping[str, Any]
    site: str | None = None
    held_by: str = "us"
    offsite: bool | None = None
    covers: tuple[str, ...] = ()
    rpo: timedelta = timedelta(hours=24)
    keeps: timedelta | None = None
    read: ReadPolicy = ReadPolicy.ALL
    reread: timedelta = timedelta(days=92)
    schedule: timedelta | None = None
    window: Window | None = None
    concurrency: int | None = None
    max_rate: int | None = None
    max_read: int | None = None
    max_egress_cost: float | None = None
    cost: Cost | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one audit may take for all its stores together: so many hours, so many bytes that it reads."""

    max_hours: float | None = None
    max_read: int | None = None


NO_BUDGET = Budget()
# Longer than any proof is kept: what has this for its `reread` is not read again because of its age.
FOREVER = timedelta(days=36500)
UNSIZED = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One stored object as its store lists it. `modified` is in nanoseconds since 1970, UTC.

    `version` changes whenever the content does, where a store has such a thing (a version id, an ETag).
    `digests` are the checksums that the store reports: they may be what the uploader said once.
    A PACS shows no time, and no size (`UNSIZED`) before an instance was read, but the UIDs of each.
    """

    key: bytes
    size: int
    modified: int | None
    inode: int | None = None
    version: str | None = None
    digests: Mapping[Checksum, bytes] = field(default_factory=dict)
    problem: Problem | None = None
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    sop_class_uid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A part of a store that could not be listed. `scope` is a key: it stays under restricted/."""

    scope: bytes
    reason: Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What an object's own bytes say it is (DICOM PS3.3 C.12.1, PS3.10 7.1)."""

    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    sop_class_uid: str | None = None
    transfer_syntax_uid: str | None = None
    modality: str | None = None
    study_date: date | None = None
    frames: int | None = None
    lossy: bool | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How two whole instances of one SOP Instance UID differ: names of elements, never their values."""

    outcome: Outcome
    elements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """What a person states of a control that the tool cannot see; open again once `expires` has passed."""

    control: str
    statement: str
    by: str
    title: str
    on: date
    expires: date
    entered_by: str
    document: str | None = None
    party: str | None = None
