"""Findings + controls + what people attest → an assessment of every control, and the conclusion."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files

from exactcopy.checks import CHECKS, Checked, finding_id
from exactcopy.config import Config
from exactcopy.decisions import AGREEMENT, Decisions, attestation, expired, load_decisions
from exactcopy.decisions.apply import ACCEPTED
from exactcopy.model import Attestation, Severity
from exactcopy.results import Assessment, Control, Evidence, Finding, NotChecked

NO_EXCEPTION = "no exception"
ATTENTION = "attention"
EXCEPTION = "exception"
ATTESTED = "attested"
ALTERNATIVE = "alternative documented"
NOT_APPLICABLE = "not applicable"
NOT_CHECKED = "not checked"

REVIEW = "EC-AR-01"
# Strictest first: whether a finding may be accepted is for the strictest control of its check to say.
_SPECIFICATIONS = ("required", "standard", "other law", "addressable", "facility policy", "proposed")
_COPIES = {
    "every-instance-has-a-copy",
    "purged-studies-have-two-copies",
    "backup-is-complete",
    "copies-are-exact",
    "copies-are-readable",
}
_RESTORES = {"restore-succeeded", "restored-images-open", "recovery-pacs-shows-studies"}
# The checks whose findings stand behind a headline.
BEHIND = {
    "lost": {"no-unexplained-loss", "primary-is-sound"},
    "incomplete_copies": _COPIES,
    "restore_failed": _RESTORES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What the audit concludes, and which of the headlines says so first."""

    conclusion: str
    headline: str
    complete: bool


def load_controls() -> tuple[Control, ...]:
    """Return the control catalogue in its own order."""
    text = files("exactcopy").joinpath("controls.toml").read_text(encoding="utf-8")
    return tuple(
        Control(**{**control, "checks": tuple(control.get("checks", ()))}) for control in tomllib.loads(text)["control"]
    )


def read_decisions(config: Config, today: date) -> Decisions:
    """Return what decisions.toml beside `config` decides, or raise ConfigError with every fault in it."""
    controls = load_controls()
    return load_decisions(config.decisions, attestable(controls), today, judges(controls, config))


def attestable(controls: Iterable[Control]) -> frozenset[str]:
    """Return the ids of the controls that people may state."""
    return frozenset(control.id for control in controls if control.may_be_attested)


def judges(controls: Iterable[Control], config: Config) -> Mapping[str, Control]:
    """Return the control that says, for each finding there could be, whether it may be accepted; by its id."""
    targets = [*(target.name for target in config.stores), "audit"]
    targets += [config.recovery.name] if config.recovery else []
    strictest = _strictest(controls)
    return {finding_id(check, target): strictest[check] for check in CHECKS for target in targets}


def addressable(controls: Iterable[Control]) -> frozenset[str]:
    """Return the checks by which an addressable specification is judged, and no stricter one."""
    return frozenset(check for check, control in _strictest(controls).items() if control.specification == "addressable")


def _strictest(controls: Iterable[Control]) -> Mapping[str, Control]:
    found: dict[str, Control] = {}
    for control in sorted(controls, key=lambda each: _SPECIFICATIONS.index(each.specification)):
        for check in control.checks:
            found.setdefault(check, control)
    return found


def assess(
    checked: Sequence[Checked], controls: Iterable[Control], decisions: Decisions, evidence: Evidence
) -> tuple[Assessment, ...]:
    """Return what can be said of each control. Not checked is never passed; attested is never tested."""
    holders = {store.held_by for store in evidence.stores} | (
        {evidence.recovery.held_by} if evidence.recovery else set()
    )
    by_check: dict[str, list[Checked]] = {}
    for item in checked:
        by_check.setdefault(item.check, []).append(item)
    return tuple(
        Assessment(control=control, status=NOT_APPLICABLE, observed="No store is held by anybody else.")
        if control.id == AGREEMENT and holders == {"us"}
        else _assess(control, [item for name in control.checks for item in by_check.get(name, ())], decisions, evidence)
        for control in controls
    )


def conclude(
    findings: Iterable[Finding], controls: Iterable[Control], evidence: Evidence, complete: bool
) -> Conclusion:
    """Return the conclusion; `complete`: every store and every planned restore was examined.

    What was accepted decides like what is open: a decision never changes a result.
    """
    deciding = {name for control in controls if control.decides for name in control.checks}
    decided = {
        finding.check
        for finding in findings
        if finding.check in deciding and finding.severity.rank <= Severity.MEDIUM.rank
    }
    losses = evidence.losses
    if losses.no_sound_copy.instances or losses.gone_everywhere.instances:
        headline = "lost"
    elif decided & _COPIES:
        headline = "incomplete_copies"
    elif decided & _RESTORES:
        headline = "restore_failed"
    elif not complete or "restore-was-tested" in decided:
        headline = "not_enough"
    else:
        headline = "other_exceptions" if decided else "none"
    conclusion = "exceptions noted" if decided else "no exceptions noted" if complete else "incomplete"
    return Conclusion(conclusion=conclusion, headline=headline, complete=complete)


def _assess(control: Control, checked: Sequence[Checked], decisions: Decisions, evidence: Evidence) -> Assessment:
    today = evidence.started.date()
    findings = [item.result for item in checked if isinstance(item.result, Finding)]
    open_questions = [item.result for item in checked if isinstance(item.result, NotChecked)]
    stated = attestation(decisions, control.id, today) if control.may_be_attested else None
    if findings:
        status = _status(control, findings)
        beside = _targets(question.target for question in open_questions)
        observed = " ".join([*map(_seen, findings), *([f"Not checked on {beside}."] if beside else [])])
    elif control.id == AGREEMENT and checked:
        # The check looked for an attestation of each party, and found it.
        status, observed = ATTESTED, "An agreement with each holder is on record."
    elif stated is not None:
        status, observed = ATTESTED, stated.statement
    elif control.id == REVIEW and evidence.reviewed is not None:
        signed = evidence.reviewed
        status, observed = NO_EXCEPTION, f"Reviewed by {signed.by}, {signed.title}, on {signed.on}."
    elif checked and not open_questions and control.kind != "attested":
        targets = _targets(item.target for item in checked)
        status, observed = NO_EXCEPTION, f"Examined on {targets}." if targets else "Examined in this audit."
    else:
        # What was measured beside it does not answer what only a person can state.
        status, observed = NOT_CHECKED, _unanswered(control, checked, expired(decisions, control.id, today))
    return Assessment(
        control=control, status=status, observed=observed, findings=tuple(finding.id for finding in findings)
    )


def _status(control: Control, findings: Sequence[Finding]) -> str:
    """Say what findings make of a control: what was accepted needs attention, or has its alternative on record."""
    heavy = [finding for finding in findings if finding.severity.rank <= Severity.MEDIUM.rank]
    if control.specification == "proposed" or any(finding.state != ACCEPTED for finding in heavy):
        return EXCEPTION if heavy else ATTENTION
    return ALTERNATIVE if heavy and control.specification == "addressable" else ATTENTION


def _seen(finding: Finding) -> str:
    """Say what was found, and who accepted it."""
    decision = finding.decision
    if finding.state != ACCEPTED or decision is None:
        return f"{finding.title}."
    until = f", until {decision.expires}" if decision.expires else ""
    instead = f" Alternative: {decision.alternative}" if decision.alternative else ""
    return f"{finding.title}: accepted by {decision.by}, {decision.title}, on {decision.on}{until}.{instead}"


def _unanswered(control: Control, checked: Sequence[Checked], lapsed: Attestation | None) -> str:
    """Say why nothing is known of a control, and what would answer it."""
    reasons: dict[str, list[str]] = {}
    for item in checked:
        if isinstance(item.result, NotChecked):
            reasons.setdefault(item.result.reason, []).append(item.target)
    answered = len(checked) - sum(map(len, reasons.values()))
    # Where others did answer, or are told something else, it has to be said of whom it is said.
    apart = answered or len({frozenset(targets) for targets in reasons.values()}) > 1
    named = [
        f"{where}: {reason}" if apart and (where := _targets(targets)) and where not in reason else reason
        for reason, targets in reasons.items()
    ]
    said = [
        f"The attestation of {lapsed.on.isoformat()} expired on {lapsed.expires.isoformat()}." if lapsed else "",
        f"{answered} of {len(checked)} answered." if answered and reasons else "",
        *named,
        control.answered_by,
    ]
    return " ".join(part for part in said if part)


def _targets(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(name for name in names if name != "audit"))


def citations(controls: Iterable[Control]) -> Mapping[str, list[str]]:
    """Return the citations that each check speaks to; proposed rules are not among them."""
    found: dict[str, list[str]] = {}
    for control in controls:
        if control.specification == "proposed":
            continue
        policy = " (facility policy)" if control.specification == "facility policy" else ""
        for name in control.checks:
            if control.citation + policy not in found.setdefault(name, []):
                found[name].append(control.citation + policy)
    return found
