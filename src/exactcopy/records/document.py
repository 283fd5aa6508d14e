"""audit.json, schema 1: additions are allowed, nothing is ever renamed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from exactcopy import __version__
from exactcopy.config import Config
from exactcopy.model import LIMITS, Attestation, Problem, Role
from exactcopy.records import SCHEMA, Record, Unfinished
from exactcopy.results import Action, Assessment, Evidence, Finding, NotChecked, RestoreSummary

# What reads, compares and decodes: its version is part of the method.
_LIBRARIES = ("pydicom", "numpy", "pillow", "python-gdcm", "pyjpegls", "pylibjpeg", "pylibjpeg-openjpeg", "duckdb")
_NOT_EXAMINED = {
    "missing": "its place was not there",
    "empty": "nothing at all was stored there, as on an unmounted drive",
    "no_instances": "no DICOM image was found there",
    "wrong_volume": "the volume there was not one of those configured",
    "drive_absent": "none of its drives was connected",
    "unreadable": "its folder could not be read",
    "parts_unreadable": "parts of it could not be read",
    "links_not_followed": "links lead out of it to what was not examined",
    "outside_window": "the audit ran outside its window",
    "window_ended": "its window ended before all of it was read",
    "out_of_time": "the hours that this audit was given were over before it was examined",
    "time_over": "the hours that this audit was given were over before all of it was read",
    "out_of_reach": "it no longer answered before all of it was read",
    "over_budget": "nothing of it was read, for a limit left no room for it",
    "limit_met": "a limit was met before all of it was read",
    "not_compared": "no primary that it covers could be examined",
    "no_credentials": "no credentials for it were found",
    "wrong_key": "its credentials were refused",
    "wrong_secret": "its credentials were refused",
    "expired": "its credentials had expired",
    "login_refused": "its credentials were refused",
    "denied": "the account may not list it",
    "not_permitted": "the account may not list it",
    "unreachable": "it did not answer",
    "rate_limited": "it answered too many requests with a refusal",
}
_NOT_PUT = {
    "no_agreement": "no agreement with its holder is on record, so nothing was put there",
    "not_told_apart": "it may be one of the stores by another address, so nothing was put there",
}
# What of a store that was left unread for such a reason is called.
_PARTLY = {
    Problem.OVER_WINDOW: "window_ended",
    Problem.OVER_TIME: "time_over",
    Problem.OUT_OF_REACH: "out_of_reach",
    Problem.OVER_TOTAL: "limit_met",
    Problem.OVER_BUDGET: "limit_met",
    Problem.OVER_COST: "limit_met",
}
_UNTESTED = {"out_of_time": "its hours were over", "over_cost": "max_egress_cost allowed no more"}
# Of a cloud there are many more; `exactcopy check` says which, and what to do.
_NOT_LISTED = "it could not be listed"


def method() -> dict[str, Any]:
    """Return what reads, compares and decodes, by version: what one made of two contents another may see otherwise."""
    return {"version": __version__, "libraries": {name: version(name) for name in _LIBRARIES}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Everything that audit.json says."""

    evidence: Evidence
    findings: Sequence[Finding]
    assessments: Sequence[Assessment]
    attestations: Sequence[Attestation]
    checks: Sequence[tuple[str, str, Finding | NotChecked | None]]
    citations: Mapping[str, Sequence[str]]
    deciding: frozenset[str]
    conclusion: str
    headline: str
    complete: bool
    finished: datetime
    decisions_sha256: str
    restricted_manifest_sha256: str
    gaps_rows: int
    highest_label: int
    timing: Mapping[str, float]
    # The fingerprint of the certificate that seals the PDF, whether a passphrase protects its key, and whether a time
    # stamp was asked for: it comes with the seal, after all else.
    seal: Mapping[str, Any] | None
    # What the audits of the last twelve months said, so that a report can be drawn again from this record alone.
    history: Sequence[Mapping[str, Any]]
    # The decisions that no record lists yet, and what became of what earlier audits found.
    decisions: Sequence[Mapping[str, Any]]
    corrective_actions: Sequence[Action]
    resolved: Sequence[Action]
    # What the drift checks since the last record came to.
    drift: Mapping[str, Any]
    # What became of the alerts since the last record.
    alerts: Sequence[Mapping[str, Any]]


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write audit.json."""
    text = json.dumps(document, indent=1, ensure_ascii=False, default=_plain)
    path.write_text(text + "\n", encoding="utf-8")


def not_examined(evidence: Evidence) -> list[dict[str, str]]:
    """Return what was not examined, or not whole, with a sentence of our own for each."""
    found = [
        {
            "target": test.backup,
            "reason": "restore_not_tested",
            "text": f"{test.backup}: {untested:,} of the drawn studies could not be restored for a test"
            f"{_why_untested(test)}",
        }
        for test in evidence.restores
        if (untested := test.not_tested + test.certainty["not_tested"])
    ]
    put = [test.recovery for test in evidence.restores if test.recovery]
    untested = sum(each.studies["not_tested"] for each in put)
    if untested:
        name, refused = put[0].name, put[0].refused
        why = _NOT_PUT.get(refused, "it could not be reached") if refused else "some did not get there"
        found.append(
            {
                "target": name,
                "reason": "recovery_not_tested",
                "text": f"{name}: {why}; {untested:,} restored studies came back to a scratch folder only",
            }
        )
    if text := self_test_failed(evidence):
        found.append({"target": "audit", "reason": "self_test", "text": text})
    for store in evidence.stores:
        hidden = store.problems.get("link_outside", 0) and not store.unread and not store.unlisted
        left = next((problem for problem in _PARTLY if store.problems.get(problem)), None)
        partly = "links_not_followed" if hidden else _PARTLY[left] if left else "parts_unreadable"
        reason = store.error or (None if store.complete else partly)
        if reason:
            text = f"{store.name}: {_NOT_EXAMINED.get(reason, _NOT_LISTED)}"
            if reason == "limit_met" and left:
                text += f" ({LIMITS[left]})"
            found.append({"target": store.name, "reason": reason, "text": text})
    return found


def _why_untested(test: RestoreSummary) -> str:
    told = [words for code, words in _UNTESTED.items() if test.problems.get(code)]
    return f": {' and '.join(told)}" if told else ""


def self_test_failed(evidence: Evidence) -> str | None:
    """Say how the self-test failed; None where it passed."""
    tested = evidence.self_test
    if tested is None:
        return "The self-test could not be made"
    said = []
    if tested.missed:
        said.append(f"missed {len(tested.missed)} of {tested.planted} planted faults")
    if tested.alarms:
        said.append(f"raised an alarm about {len(tested.alarms)} of {tested.sound} sound copies")
    return f"The self-test {' and '.join(said)}" if said else None


def document(config: Config, unfinished: Unfinished, previous: Record | None, said: Document) -> dict[str, Any]:
    """Return what audit.json says."""
    evidence = said.evidence
    primaries = [store.name for store in evidence.stores if store.role is Role.PRIMARY]
    losses = asdict(evidence.losses)
    return {
        "schema": SCHEMA,
        "facility": config.facility,
        "time_zone": config.time_zone,
        "paper": config.paper,
        "conclusion": said.conclusion,
        "headline": said.headline,
        "complete": said.complete,
        "not_examined": not_examined(evidence),
        "scope": {
            "covers": f"DICOM images in: {', '.join(primaries)}",
            "not": "PACS database, reports, other records",
        },
        "audit": {
            "id": unfinished.id,
            "started": unfinished.started,
            "finished": said.finished,
            **method(),
            "config_sha256": config.digest,
            "decisions_sha256": said.decisions_sha256,
            "operator": config.operator,
            "first": evidence.first,
        },
        "previous": {"id": previous.id, "manifest_sha256": previous.manifest_sha256} if previous else None,
        "policy": {
            "rpo_hours": config.rpo.total_seconds() / 3600,
            "rto_hours": evidence.rto_hours,
            "sample": config.sample,
            "read": {store.name: store.read for store in config.stores},
            "reread_days": {store.name: store.reread.days for store in config.stores},
            **asdict(evidence.budget),
            "max_egress_cost": {
                store.name: store.max_egress_cost for store in config.stores if store.max_egress_cost is not None
            },
        },
        "people": {"security_official": config.security_official, "it": config.it},
        "history": said.history,
        "losses": losses,
        "upkeep": asdict(evidence.upkeep) if evidence.upkeep else None,
        "mass_change": {name: asdict(seen) for name, seen in evidence.mass_change.items()},
        "retention": asdict(evidence.retention) if evidence.retention else None,
        "stores": [asdict(store) for store in evidence.stores],
        "comparisons": [asdict(comparison) for comparison in evidence.comparisons],
        "recovery": {key: getattr(evidence.recovery, key) for key in ("name", "kind", "site", "held_by")}
        if evidence.recovery
        else None,
        "restore_tests": [asdict(restore) for restore in evidence.restores],
        "findings": [
            {
                **asdict(finding),
                "decides": finding.check in said.deciding,
                "citations": list(said.citations.get(finding.check, ())),
            }
            for finding in said.findings
        ],
        "controls": [_control(assessment, said.attestations) for assessment in said.assessments],
        "checks": [_check(*checked) for checked in said.checks],
        "decisions": said.decisions,
        "corrective_actions": [asdict(action) for action in said.corrective_actions],
        "resolved": [asdict(action) for action in said.resolved],
        "timing": said.timing,
        "self_scan": asdict(evidence.self_scan),
        "seal": said.seal,
        "drift": said.drift,
        "alerts": said.alerts,
        "evidence": {
            "restricted_manifest_sha256": said.restricted_manifest_sha256,
            "gaps_rows": said.gaps_rows,
            "highest_label": said.highest_label,
            "self_test": asdict(evidence.self_test) if evidence.self_test else None,
        },
    }


def _control(assessment: Assessment, attestations: Sequence[Attestation]) -> dict[str, Any]:
    control = assessment.control
    stated = [asdict(one) for one in attestations if one.control == control.id]
    return {
        "id": control.id,
        "citation": control.citation,
        "title": control.title,
        "text": control.text,
        "specification": control.specification,
        "kind": control.kind,
        "decides": control.decides,
        "checks": list(control.checks),
        "status": assessment.status,
        "observed": assessment.observed,
        "findings": list(assessment.findings),
        "attested_by": stated[0] if stated else None,
        "attestations": stated,
    }


def _check(check: str, target: str, result: Finding | NotChecked | None) -> dict[str, Any]:
    if isinstance(result, NotChecked):
        return {"check": check, "target": target, "status": "not_checked", "reason": result.reason}
    status = "no_exception" if result is None else "exception"
    return {"check": check, "target": target, "status": status, "reason": None}


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in audit.json")
