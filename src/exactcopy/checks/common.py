"""What all checks share: how they are registered, and how they speak."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from exactcopy.model import Severity
from exactcopy.results import Comparison, Evidence, Finding, NotChecked, Place, RestoreSummary, StoreFacts

Result = Finding | NotChecked | None
DECIDE_INCIDENT = (
    "Decide whether this is a security incident and record the decision: `exactcopy incident` (45 CFR "
    "164.308(a)(6)(ii))."
)
# For alteration and loss, before anything is mended.
INCIDENT = ("Before anything is repaired, keep a copy of the affected files as they are.", DECIDE_INCIDENT)
AUDIT_AGAIN = "Then audit again: the gap closes when an audit no longer finds it."


class Scope(StrEnum):
    """What a check is run on, once each. FINDINGS: asked by audits alone and last, with what all others said."""

    STORE = "store"
    PRIMARY = "primary"
    BACKUP = "backup"
    RECOVERY = "recovery"
    AUDIT = "audit"
    FINDINGS = "findings"


@dataclass(frozen=True, slots=True)
class Check:
    """One question that an audit answers. `owner`: whose finding it is, "it" or "official"."""

    name: str
    scope: Scope
    owner: str
    ask: Callable[..., Result]


@dataclass(frozen=True, slots=True)
class Checked:
    """What one check said of one target."""

    check: str
    target: str
    result: Result


CHECKS: dict[str, Check] = {}


def check(name: str, scope: Scope, owner: str = "it") -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Register the decorated function as the check `name`."""

    def register(function: Callable[..., Result]) -> Callable[..., Result]:
        CHECKS[name] = Check(name, scope, owner, function)
        return function

    return register


def finding(
    severity: Severity,
    count: int,
    *,
    title: str,
    message: str,
    why: str,
    to_check: tuple[str, ...] = (),
    remedy: tuple[str, ...] = (),
    worklist: str | None = None,
    unit: str = "studies",
) -> Finding:
    """Return a finding whose check, target, owner and date the runner fills in."""
    return Finding(
        check="",
        target="",
        severity=severity,
        count=count,
        title=title,
        message=message,
        why=why,
        to_check=to_check,
        remedy=remedy,
        worklist=worklist,
        unit=unit,
    )


def not_checked(reason: str) -> NotChecked:
    """Return that a check could not answer, and why."""
    return NotChecked(check="", target="", reason=reason)


def unexamined(store: StoreFacts) -> NotChecked:
    """Return that nothing can be said of a store."""
    return not_checked(f"{store.name} could not be examined.")


def sync_client(store: StoreFacts) -> str | None:
    """Return whose sync client fills the folder: it is a local copy only, whatever lies in the cloud."""
    return store.synced_to or store.synced_by


def pairs_of(evidence: Evidence, backup: StoreFacts) -> list[Comparison]:
    """Return the comparisons of one backup."""
    return [comparison for comparison in evidence.comparisons if comparison.backup == backup.name]


def restore_of(evidence: Evidence, backup: StoreFacts) -> RestoreSummary | None:
    """Return the test restore of one backup."""
    return next((restore for restore in evidence.restores if restore.backup == backup.name), None)


def total(pairs: Iterable[Comparison], *outcomes: str) -> int:
    """Return how many instances have one of `outcomes`."""
    return sum(pair.instances[outcome] for pair in pairs for outcome in outcomes)


def studies_with(pairs: Iterable[Comparison], outcome: str) -> int:
    """Return how many studies have an instance of that outcome."""
    return sum(pair.gap_studies.get(outcome, 0) for pair in pairs)


def shared(one: StoreFacts, other: StoreFacts | Place) -> str | None:
    """Return what takes both with it when it fails, as far as it shows."""
    places = (
        ("disk", one.device, other.device),
        ("disk", one.disk, other.disk),
        ("computer or account", one.host, other.host),
    )
    return next((place for place, here, there in places if here is not None and here == there), None)


def so_many(count: int, one: str, many: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {one if count == 1 else many}"


def listed(names: Iterable[str]) -> str:
    """Join names as a sentence does: a, b and c."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def images(count: int) -> str:
    """Return a count of images, as people call instances."""
    return so_many(count, "image", "images")


def studies(count: int) -> str:
    """Return a count of studies."""
    return so_many(count, "study", "studies")


def span(hours: float) -> str:
    """Return a length of time in words."""
    return f"{int(hours):,} hours" if hours < 72 else f"{int(hours // 24):,} days"


def sentence(parts: Iterable[str]) -> str:
    """Return parts as one sentence."""
    text = "; ".join(parts)
    return text[:1].upper() + text[1:] + "."
