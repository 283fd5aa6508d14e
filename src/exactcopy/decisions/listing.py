"""Decisions as a record lists them: who decided what about what, when and why."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import date
from hashlib import sha256
from typing import Any

from exactcopy.decisions import Acceptance, Assignment, Decisions, Disposal, Incident, Review
from exactcopy.model import Attestation

_MOST_NAMED = 5
Decided = Attestation | Acceptance | Assignment | Disposal | Incident | Review


def new_since(decisions: Decisions, records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the decisions that none of `records` (each an audit.json) lists, in the order of the file."""
    known = {each["sha256"] for audit in records for each in audit.get("decisions", ())}
    return [each for each in listed(decisions) if each["sha256"] not in known]


def listed(decisions: Decisions) -> Iterator[dict[str, Any]]:
    """Yield every decision. `sha256` is of all that it says: one that was changed is another."""
    kinds: tuple[tuple[str, Iterable[Decided]], ...] = (
        ("attest", decisions.attestations),
        ("accept", decisions.acceptances),
        ("assign", decisions.assignments),
        ("dispose", decisions.disposals),
        ("incident", decisions.incidents),
        ("review", decisions.reviews),
    )
    for kind, items in kinds:
        for each in items:
            signed = each if isinstance(each, Attestation) else each.decision
            about, text = _said(each)
            yield {
                "kind": kind,
                "about": about,
                "text": text,
                "by": signed.by,
                "title": signed.title,
                "on": signed.on,
                "entered_by": signed.entered_by,
                "expires": signed.expires,
                "sha256": sha256(json.dumps([kind, asdict(each)], default=_plain).encode()).hexdigest(),
            }


def _said(decided: Decided) -> tuple[str, str]:
    match decided:
        case Attestation():
            party = f" ({decided.party})" if decided.party else ""
            return decided.control + party, decided.statement
        case Acceptance():
            what = f"{decided.finding}{_of(decided.labels)}"
            if decided.finding is None:
                what = f"{decided.backup}: {', '.join(sorted(decided.elements))}"
            instead = decided.decision.alternative
            return what, decided.decision.reason + (f" Alternative: {instead}" if instead else "")
        case Assignment():
            parts = (
                f"Owner: {decided.owner}." if decided.owner else "",
                f"Due: {decided.due}." if decided.due else "",
                f"Cause: {decided.cause}" if decided.cause else "",
            )
            return decided.finding, " ".join(filter(None, parts))
        case Disposal():
            return _disposed(decided), f"{decided.decision.reason} Policy: {decided.policy}"
        case Incident():
            what = "A security incident." if decided.decision.incident else "No security incident."
            return f"{decided.finding}{_of(decided.labels)}", f"{what} {decided.decision.reason}"
        case Review():
            scan = f" SHA-256 of the scan: {decided.scan_sha256}." if decided.scan_sha256 else ""
            return decided.record, f"The report was reviewed and signed.{scan}"


def _of(labels: frozenset[str]) -> str:
    if not labels:
        return ""
    named = sorted(labels)
    if len(named) > _MOST_NAMED:
        return f", {len(named):,} studies"
    return ", " + ", ".join(named)


def _disposed(disposal: Disposal) -> str:
    if disposal.store is not None:
        return f"the store {disposal.store}"
    if disposal.before is not None:
        return f"studies of before {disposal.before}{f' on {disposal.primary}' if disposal.primary else ''}"
    return _of(disposal.labels).removeprefix(", ")


def _plain(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is in no decision")
