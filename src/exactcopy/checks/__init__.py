"""Evidence → findings. A check is a pure function of the evidence and one target; it never reaches a store.

A check returns a Finding, a NotChecked with what would answer it, or None where there is no exception.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256

from exactcopy.checks import backups, facility, primaries, restores, stores
from exactcopy.checks.common import CHECKS, Check, Result, Scope
from exactcopy.model import Evidence, Finding, NotChecked

__all__ = ["CHECKS", "Checked", "finding_id", "run_checks"]

# Each of these registers its checks as it is imported, in this order.
_MODULES = (stores, primaries, backups, restores, facility)


@dataclass(frozen=True, slots=True)
class Checked:
    """What one check said of one target."""

    check: str
    target: str
    result: Result


def run_checks(evidence: Evidence) -> Iterator[Checked]:
    """Ask every check about every target of its scope."""
    for check in CHECKS.values():
        if check.scope is Scope.AUDIT:
            yield _checked(check, check.ask(evidence), "audit", evidence)
            continue
        for store in evidence.stores:
            if check.scope is Scope.STORE or store.role.value == check.scope.value:
                yield _checked(check, check.ask(evidence, store), store.name, evidence)


def finding_id(check: str, target: str) -> str:
    """Return the fingerprint of a finding: the same gap on the same target bears it in every audit."""
    return "F-" + sha256(f"{check}\0{target}".encode()).hexdigest()[:8]


def _checked(check: Check, result: Result, target: str, evidence: Evidence) -> Checked:
    if isinstance(result, NotChecked):
        result = replace(result, check=check.name, target=target)
    elif isinstance(result, Finding):
        days = evidence.due_days.get(result.severity.value)
        result = replace(
            result,
            check=check.name,
            target=target,
            id=finding_id(check.name, target),
            owner=evidence.it if check.owner == "it" else evidence.security_official,
            due=evidence.started.date() + timedelta(days=days) if days is not None else None,
        )
    return Checked(check.name, target, result)
