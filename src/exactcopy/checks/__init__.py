"""Evidence → findings. A check is a pure function of the evidence and one target; it never reaches a store.

A check returns a Finding, a NotChecked with what would answer it, or None where there is no exception.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

from exactcopy.checks import alarm, backups, decided, facility, primaries, restores, safeguards, stores, upkeep
from exactcopy.checks.common import CHECKS, Check, Checked, Result, Scope
from exactcopy.results import Evidence, Finding, NotChecked

__all__ = ["CHECKS", "Checked", "finding_id", "run_checks"]

# Each of these registers its checks as it is imported, in this order.
_MODULES = (stores, alarm, safeguards, primaries, backups, restores, facility, upkeep, decided)


def run_checks(evidence: Evidence, remember: Callable[[Finding], Finding]) -> list[Checked]:
    """Ask every check about every target of its scope, and at last those about the findings themselves.

    `remember` adds to a finding what earlier records and people's decisions say of it.
    """
    done: list[Checked] = []
    for check in CHECKS.values():
        if check.scope is Scope.AUDIT:
            done.append(_checked(check, check.ask(evidence), "audit", evidence, remember))
            continue
        if check.scope is Scope.RECOVERY and evidence.recovery is not None:
            done.append(_checked(check, check.ask(evidence), evidence.recovery.name, evidence, remember))
            continue
        done += (
            _checked(check, check.ask(evidence, store), store.name, evidence, remember)
            for store in evidence.stores
            if check.scope is Scope.STORE or store.role.value == check.scope.value
        )
    last = [
        _checked(check, check.ask(evidence, done), "audit", evidence, remember)
        for check in CHECKS.values()
        if check.scope is Scope.FINDINGS
    ]
    return done + last


def finding_id(check: str, target: str) -> str:
    """Return the fingerprint of a finding: the same gap on the same target bears it in every audit."""
    return "F-" + sha256(f"{check}\0{target}".encode()).hexdigest()[:8]


def _checked(
    check: Check, result: Result, target: str, evidence: Evidence, remember: Callable[[Finding], Finding]
) -> Checked:
    if isinstance(result, NotChecked):
        result = replace(result, check=check.name, target=target)
    elif isinstance(result, Finding):
        days = evidence.due_days.get(result.severity.value)
        known = replace(
            result,
            check=check.name,
            target=target,
            id=finding_id(check.name, target),
            owner=evidence.it if check.owner == "it" else evidence.security_official,
            due=evidence.started.date() + timedelta(days=days) if days is not None else None,
        )
        result = remember(known)
    return Checked(check.name, target, result)
