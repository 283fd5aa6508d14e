"""The daily job: list again, compare with the last record, read what is new or changed; restore and seal nothing."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from exactcopy import __version__, records
from exactcopy.assess import conclude, load_controls
from exactcopy.changes import Item, Kind, Standing, changes, standing
from exactcopy.checks import CHECKS, Checked, finding_id, run_checks
from exactcopy.checks.common import Scope
from exactcopy.comparing import compare, nanoseconds, opened
from exactcopy.config import Config
from exactcopy.decisions import Decisions
from exactcopy.errors import RecordError
from exactcopy.evidence import gather
from exactcopy.inventory.database import database
from exactcopy.inventory.taking import Step
from exactcopy.model import FOREVER, ReadPolicy, Severity, Target
from exactcopy.reconcile.affected import find_restored
from exactcopy.recording import decided, examined_whole
from exactcopy.records import History, Record, Run, drifts
from exactcopy.records.document import not_examined
from exactcopy.results import Evidence, Finding, NotChecked
from exactcopy.selfscan import withheld_before
from exactcopy.selftest import self_test

# A month and some days for the calendar: by then what a monthly audit read is too old, or nearly.
_AUDIT_EVERY = timedelta(days=35)
# What only an audit does, and so only an audit can make up for.
_BY_AUDIT = ("restore_not_tested", "recovery_not_tested")
_FINDING = ("id", "check", "target", "severity", "count", "unit", "title", "message", "state", "first_seen")
_WORDS = {"gap": "with a gap", "pending": "pending", "not_checked": "not checked"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drifted:
    """What a drift check found: `said` speaks as audit.json does. And what a person should hear besides."""

    said: Mapping[str, Any]
    warnings: tuple[str, ...]


def run_drift(config: Config, decisions: Decisions, now: datetime, step: Step) -> Drifted:
    """Compare every store with the last record, add a line to drift.jsonl, and leave everything else as it is.

    What the last record knows of an object that the listing shows unchanged still holds, however old it is; all else
    is read. Findings of the last record that nothing can answer today stay. Raises RecordError where there is no
    record to compare with, and RunLocked while another run is under way.
    """
    with opened(config) as (reached, pool, scratch):
        history = History(records.chain(config))
        last = _last(history, config)
        run = Run(
            config=replace(
                reached,
                primaries=tuple(map(_only_what_is_new, reached.primaries)),
                backups=tuple(map(_only_what_is_new, reached.backups)),
            ),
            decisions=decisions,
            history=history,
            unfinished=records.passing(scratch, now),
        )
        with database(run.unfinished.work / "spill") as db:
            tested = self_test(db, pool, scratch, nanoseconds(run.unfinished.started))
            compared = compare(db, pool, run, step)
            evidence = gather(run, compared.case, compared.inventories, (), (), None, tested)
            find_restored(compared.case, ())
            labels = history.labels()
            log = drifts.read(config.state)
            newest = log.entries[-1] if log.entries and log.entries[-1]["record"]["id"] == last.id else None
            withheld = withheld_before(history)
            judged = _judge(config, evidence, last, newest, lambda found: decided(found, run, compared.case, labels))
            said = withheld.applied(judged)
        said["read_bytes"] = sum(item.read_bytes for item in compared.inventories)
        said["changes"] = _changes(standing(said), last, newest)
        drifts.append(config.state, _line(said))
        messages = (item.message for item in compared.inventories)
        return Drifted(said=said, warnings=tuple(map(withheld.applied, filter(None, messages))))


def lines(said: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a person is told."""
    from exactcopy.report.verdict import HEADLINES

    changed = said["changes"]
    yield f"Drift check against the audit {said['record']['id']}: {HEADLINES[said['headline']][0]}"
    yield ""
    then = {(row["primary"], row["backup"]): row["studies"] for row in said["record"]["comparisons"]}
    for row in said["comparisons"]:
        now, before = row["studies"], then.get((row["primary"], row["backup"]), row["studies"])
        rest = ", ".join(f"{_figure(now, before, state)} {words}" for state, words in _WORDS.items())
        yield (
            f"  {row['primary']} on {row['backup']}: {_figure(now, before, 'protected')} of"
            f" {_figure(now, before, 'total')} studies have an exact copy; {rest}"
        )
    for part in said["not_examined"]:
        yield f"  Not examined: {part['text']}"
    yield f"  {said['read_bytes'] / 1e6:,.1f} MB were new or changed, and were read."
    yield ""
    yield from _told("Since the audit", changed["since_audit"])
    if changed["last"]:
        yield from _told(f"Since the drift check of {changed['last']}", changed["since_last"])
    if any(change["kind"] in (Kind.NEW, Kind.WORSE) for change in changed["since_audit"]):
        yield ""
        yield "Which studies they are stands in the worklists of the next audit."


def _figure(now: Mapping[str, int], before: Mapping[str, int], state: str) -> str:
    return f"{now[state]:,}" + (f" (then {before[state]:,})" if now[state] != before[state] else "")


def _told(since: str, changed: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield f"{since}:" if changed else f"{since}: nothing new, worse or resolved."
    for each in changed:
        yield f"  {each['kind']:<15}  {each['id']}  {each['severity']:<8}  {each['title']}"


def _only_what_is_new(target: Target) -> Target:
    """Return a store of which nothing is read again that the listing shows unchanged."""
    read = ReadPolicy.ROTATION if target.read is ReadPolicy.ALL else target.read
    return replace(target, read=read, reread=FOREVER)


def _last(history: History, config: Config) -> Record:
    """Return the record to compare with. Without its evidence all would have to be read again."""
    last = history.last
    if last is None:
        raise RecordError(
            f"{config.path.name}: there is no record yet, so nothing can have drifted. First: exactcopy audit"
            f" {config.path.name}"
        )
    if not history.intact(last):
        raise RecordError(
            f"{last.id}: restricted/ was moved away or altered, so there is nothing to compare with. Put it back, or"
            f" audit again: exactcopy audit {config.path.name}"
        )
    return last


def _judge(
    config: Config,
    evidence: Evidence,
    last: Record,
    newest: Mapping[str, Any] | None,
    decide: Callable[[Finding], Finding],
) -> dict[str, Any]:
    """Ask the checks of the audit, keep what nothing can answer today, and conclude.

    `newest` is the last drift check since the record: what that found, or no longer found, is later knowledge.
    `decide` adds what people decided to a finding that bears its dates.
    """
    started = evidence.started.isoformat()
    known = {found["id"]: found for found in last.audit["findings"]}
    asked = [
        item
        for item in run_checks(evidence, lambda found: decide(_remembered(found, known.get(found.id), started)))
        # An audit asks these of all its findings; here are not all.
        if CHECKS[item.check].scope is not Scope.FINDINGS
    ]
    answered = {finding_id(item.check, item.target) for item in asked if not isinstance(item.result, NotChecked)}
    today = evidence.started.date()
    # Each with the day on which its acceptance ends.
    found = [
        *((item.result, _expiry(item.result)) for item in asked if isinstance(item.result, Finding)),
        *(_kept(each, today) for each in (newest or last.audit)["findings"] if each["id"] not in answered),
    ]
    left_out = [*not_examined(evidence), *_left_to_audit(evidence, last)]
    concluded = conclude(
        [each for each, _ in found], load_controls(), evidence, examined_whole(evidence) and not left_out
    )
    return {
        "schema": records.SCHEMA,
        "facility": config.facility,
        "at": evidence.started.isoformat(),
        "version": __version__,
        "record": {
            "id": last.id,
            "manifest_sha256": last.manifest_sha256,
            "comparisons": _rows(last.audit["comparisons"]),
        },
        "conclusion": concluded.conclusion,
        "headline": concluded.headline,
        "complete": concluded.complete,
        "not_examined": left_out,
        "comparisons": _rows(map(asdict, evidence.comparisons)),
        "findings": [
            {key: getattr(each, key) for key in _FINDING} | {"expires": expires, "asked": each.id in answered}
            for each, expires in sorted(found, key=lambda pair: (pair[0].severity.rank, -pair[0].count, pair[0].id))
        ],
        "checks": [_check(item) for item in asked],
    }


def _remembered(finding: Finding, before: Mapping[str, Any] | None, started: str) -> Finding:
    """Return the finding as the last record knows it: how often it was seen is counted, and raised, by audits only."""
    if before is None:
        return replace(finding, first_seen=started)
    severity = Severity(before["severity"])
    return replace(
        finding,
        severity=min(severity, finding.severity, key=lambda each: each.rank)
        if before.get("raised")
        else finding.severity,
        first_seen=before["first_seen"],
        times_seen=before["times_seen"],
    )


def _kept(before: Mapping[str, Any], today: date) -> tuple[Finding, str | None]:
    """Return a finding that stood and could not be asked for today; an acceptance of it may have expired."""
    names = ("id", "check", "target", "count", "unit", "title", "message", "state", "first_seen")
    kept = Finding(**{name: before[name] for name in names}, severity=Severity(before["severity"]), why="")
    expires = before.get("expires") or (before.get("decision") or {}).get("expires")
    if expires and date.fromisoformat(expires) < today:
        return replace(kept, state="open"), None
    return kept, expires


def _expiry(finding: Finding) -> str | None:
    decision = finding.decision
    return decision.expires.isoformat() if decision and decision.expires else None


def _left_to_audit(evidence: Evidence, last: Record) -> Iterator[dict[str, str]]:
    """Yield what an audit has to make up for: what the last one left out, and that the next one is overdue."""
    yield from (part for part in last.audit["not_examined"] if part["reason"] in _BY_AUDIT)
    age = evidence.started - datetime.fromisoformat(last.audit["audit"]["started"])
    if age > _AUDIT_EVERY:
        text = f"The last audit was {age.days} days ago: what it read is too old to rely on, and no restore was tested"
        yield {"target": "audit", "reason": "audit_overdue", "text": text}


def _changes(now: Standing, last: Record, newest: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what changed since the last audit, and since the drift check after it, if there was one."""
    audited = standing(last.audit).items
    drifted = standing(newest).items if newest else audited
    return {
        "since_audit": _listed(audited, now),
        "last": newest["at"] if newest else None,
        "since_last": _listed(drifted, now),
    }


def _listed(before: Mapping[str, Item], now: Standing) -> list[dict[str, Any]]:
    return [
        {
            "kind": change.kind,
            "id": change.item.id,
            "severity": change.item.severity,
            "count": change.item.count,
            "title": change.item.title,
        }
        for change in changes(before, now)
    ]


def _line(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what drift.jsonl keeps of it."""
    kept = ("at", "version", "conclusion", "headline", "complete", "comparisons")
    level = (*_FINDING, "expires")
    return {
        **{key: said[key] for key in kept},
        "record": {key: said["record"][key] for key in ("id", "manifest_sha256")},
        "not_examined": said["not_examined"],
        "findings": [{key: found[key] for key in level} for found in said["findings"]],
        "changed": bool(said["changes"]["since_last"]),
    }


def _rows(comparisons: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{key: row[key] for key in ("primary", "backup", "studies")} for row in comparisons]


def _check(item: Checked) -> dict[str, str]:
    answers = {NotChecked: "not_checked", Finding: "exception"}
    return {"check": item.check, "target": item.target, "status": answers.get(type(item.result), "no_exception")}
