"""From evidence to a sealed record: checks, assessments, the files under restricted/, the reports."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exactcopy import records
from exactcopy.assess import assess, citations, conclude, load_controls
from exactcopy.checks import run_checks
from exactcopy.checks.actions import carried, resolved, to_do
from exactcopy.config import Config
from exactcopy.decisions import Decisions, attestation
from exactcopy.decisions.apply import EXACT, Affected, decide
from exactcopy.decisions.listing import new_since
from exactcopy.errors import ExactCopyError
from exactcopy.inventory.database import literal, save
from exactcopy.inventory.taking import Inventory
from exactcopy.model import Attestation, Severity
from exactcopy.reconcile.affected import (
    affected_studies,
    altered_elements,
    find_affected,
    find_restored,
    gap_images,
    gap_rows,
    labelled_studies,
    write_worklists,
)
from exactcopy.reconcile.case import Case, purged_from
from exactcopy.reconcile.differences import save_differences
from exactcopy.reconcile.losses import save_known
from exactcopy.reconcile.retention import STUDIES, save_studies
from exactcopy.records import History, Record, Run, Unfinished, alerts, drifts, shown_key
from exactcopy.records.document import Document, document, write_document
from exactcopy.records.timeline import earlier, timeline
from exactcopy.restore import write_tests
from exactcopy.results import Evidence, Finding, RestoreTest
from exactcopy.seal import Key, open_key, seal
from exactcopy.selfscan import Scan

if TYPE_CHECKING:
    from exactcopy import report

_STOPPED = (
    "The report was stopped: what was finished held the name or a number of a patient. The record is kept without a PDF"
    " and without HTML, and what was found is withheld from audit.json. See the finding about it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What an audit leaves: its record, and what a person should hear besides."""

    record: Record
    warnings: tuple[str, ...]


def record(
    run: Run,
    case: Case,
    inventories: Sequence[Inventory],
    evidence: Evidence,
    tests: Sequence[RestoreTest],
    timing: Mapping[str, float],
    warnings: Sequence[str],
    scan: Scan,
) -> Audited:
    """Judge the evidence, write everything, and let the record appear; add to the `warnings` for a person.

    What `scan` withholds is written nowhere but under restricted/. Where it finds patient data in what is finished, all
    is written again without, and no page is kept.
    """
    config, history, unfinished = run.config, run.history, run.unfinished
    previous = history.last
    controls = load_controls()
    before = history.labels()
    find_restored(case, tests)
    checked = run_checks(
        evidence, lambda finding: decided(_remembered(finding, history, unfinished), run, case, before)
    )
    deciding = frozenset(name for control in controls if control.decides for name in control.checks)
    findings = sorted(
        (item.result for item in checked if isinstance(item.result, Finding)),
        key=lambda finding: (finding.severity.rank, finding.check not in deciding, -finding.count, finding.id),
    )
    concluded = conclude(findings, controls, evidence, examined_whole(evidence))
    gaps, highest_label = _write_restricted(run, case, inventories, findings, tests, before, scan)
    folder = unfinished.folder
    key, unsealed = _key(config)
    # pandas and jinja2 come with it: loaded while nothing waits.
    from exactcopy.report import write_gaps

    write_gaps(map(scan.withheld.applied, gaps), folder / "gaps.csv")
    said = document(
        config,
        unfinished,
        previous,
        Document(
            evidence=evidence,
            findings=findings,
            assessments=assess(checked, controls, run.decisions, evidence),
            attestations=_current(run.decisions, evidence),
            checks=[(item.check, item.target, item.result) for item in checked],
            citations=citations(controls),
            deciding=deciding,
            conclusion=concluded.conclusion,
            headline=concluded.headline,
            complete=concluded.complete,
            finished=datetime.now(UTC).replace(microsecond=0),
            decisions_sha256=run.decisions.digest,
            restricted_manifest_sha256=records.seal_restricted(unfinished),
            gaps_rows=len(gaps),
            highest_label=highest_label,
            timing=timing,
            seal={
                "certificate_sha256": key.certificate_sha256,
                "protected": key.protected,
                "stamped": config.seal_timestamp is not None,
            }
            if key
            else None,
            history=earlier(history.records, unfinished.started),
            decisions=new_since(run.decisions, (record.audit for record in history.records)),
            corrective_actions=[*to_do(findings), *carried(evidence.actions, checked)],
            resolved=resolved(evidence.actions, checked),
            alerts=alerts.read(config.state)["sent"],
            drift=drifts.since(drifts.read(config.state), previous, unfinished.started),
        ),
    )
    write_document(folder / "audit.json", scan.withheld.applied(said))
    if evidence.self_scan.stopped:
        unsealed = [_STOPPED]
    else:
        pages = write_pages(folder)
        if found := scan.texts_in(folder):
            for name in ("report.html", "junit.xml"):
                (folder / name).unlink()
            scan.withhold(found)
            stopped = replace(evidence, self_scan=replace(evidence.self_scan, stopped=True))
            return record(run, case, inventories, stopped, tests, timing, warnings, scan)
        unsealed += write_pdf(pages, folder, key, config.seal_timestamp)
    warnings = [*warnings, *unsealed]
    if previous and previous.restricted.exists() and not history.intact(previous):
        warnings.append(
            f"{previous.id}: restricted/ is not what its manifest says, so nothing was compared with it. Put it back"
            " from a copy; until then losses since that record do not show."
        )
    sealed = records.seal(config, unfinished, previous)
    if config.anchor is not None:
        try:
            records.note_head(config.anchor, sealed)
        except OSError as error:
            warnings.append(
                f"{config.anchor}: the anchor could not be written ({error.strerror}). Add this line to it by hand:"
                f" {sealed.manifest_sha256}  {sealed.id}/{records.MANIFEST}"
            )
    warnings += write_index(config, [sealed, *history.records])
    return Audited(record=sealed, warnings=tuple(map(scan.withheld.applied, warnings)))


def _key(config: Config) -> tuple[Key | None, list[str]]:
    """Return what seals the report, and a warning where there is no key; None, too, where no PDF can be made."""
    from exactcopy import report

    try:
        report.pdf_possible()
    except ExactCopyError:
        # That is told when the reports are written.
        return None, []
    try:
        return open_key(config), []
    except (ExactCopyError, OSError) as error:
        return None, [f"The report is not sealed. {error}"]


def decided(finding: Finding, run: Run, case: Case, labels: Mapping[str, str]) -> Finding:
    """Return the finding with what people decided about it; its studies are known by the labels that they bore.

    `find_restored` comes first: some findings are about studies that were restored.
    """
    decisions = run.decisions
    studies: list[str] | None = []
    if decisions.acceptances or decisions.incidents:
        studies = affected_studies(case, finding.check, finding.target)
    images = gap_images(case, finding.target) if studies else {}
    differing = altered_elements(case, finding.target) if studies and finding.check == EXACT else {}
    named = (
        None
        if studies is None
        else [Affected(labels.get(each), differing.get(each), images.get(each, 0)) for each in studies]
    )
    return decide(finding, decisions, named, run.unfinished.started.date())


def write_pages(folder: Path) -> "report.Record":
    """Write what of the reports is text; return what all of them are made of."""
    from exactcopy import report

    pages = report.load_record(folder)
    report.render(pages, ("html", "junit"), folder)
    return pages


def write_pdf(pages: "report.Record", folder: Path, key: Key | None, timestamp: str | None) -> list[str]:
    """Write the PDF, and seal it; where it cannot be made the printable HTML stands in.

    Return what a person has to be told.
    """
    from exactcopy import report

    try:
        [pdf] = report.render(pages, ("pdf",), folder)
        if key is not None and (reason := seal(pdf, key, timestamp)):
            return [
                f"seal.timestamp: the service gave no time stamp ({reason}). The report is sealed without one. Next:"
                " see whether its address is right and can be reached from here."
            ]
    except ExactCopyError as error:
        return [f"{error} The report is in report.html, which can be printed."]
    except Exception as error:  # noqa: BLE001 - hours of reading must not be lost to a page that cannot be drawn
        (folder / "report.pdf").unlink(missing_ok=True)
        return [f"report.pdf: it could not be drawn ({type(error).__name__}). Print report.html instead."]
    return []


def write_index(config: Config, chain: Sequence[Record]) -> list[str]:
    """Write the page that lists every audit beside the records, newest first in `chain`; return what went wrong."""
    from exactcopy.report.index import INDEX
    from exactcopy.report.index import write_index as write

    # What was withheld from a record is withheld here: nothing of the configuration but its time zone.
    facility = chain[0].audit["facility"] if chain else ""
    try:
        write(facility, config.time_zone, timeline(config, chain), config.records, datetime.now(UTC))
    except OSError as error:
        return [f"{config.records / INDEX}: it could not be written ({error.strerror}). The records are not affected."]
    return []


def examined_whole(evidence: Evidence) -> bool:
    """Whether all that was planned was examined, and the self-test passed; a drive that may be absent is left aside."""
    known = all(
        not comparison.instances["unknown"] and not comparison.instances["unverified"]
        for comparison in evidence.comparisons
        if comparison.backup not in evidence.tolerated
    )
    tested = all(
        not test.not_tested
        and not test.certainty["not_tested"]
        and not (test.recovery and test.recovery.studies["not_tested"])
        for test in evidence.restores
    )
    stores = all(store.complete or store.name in evidence.tolerated for store in evidence.stores)
    return known and tested and stores and evidence.self_test is not None and evidence.self_test.passed


def _write_restricted(
    run: Run,
    case: Case,
    inventories: Sequence[Inventory],
    findings: Sequence[Finding],
    tests: Sequence[RestoreTest],
    before: Mapping[str, str],
    scan: Scan,
) -> tuple[list[dict[str, Any]], int]:
    """Write everything that names a patient's study, all under restricted/.

    Return the rows of gaps.csv and the highest label that was ever given.
    """
    history, folder = run.history, run.unfinished.restricted
    find_affected(case, findings)
    highest = max((record.audit["evidence"]["highest_label"] for record in history.records), default=0)
    labels = records.add_labels(before, labelled_studies(case, tests), highest)
    records.write_labels(folder, labels)
    write_worklists(case, findings, labels, folder)
    if scan.withheld.shown:
        records.write_whole(folder / records.WITHHELD, json.dumps(scan.withheld.shown, indent=1))
    for worklist in folder.glob("worklist-*.csv"):
        # The report names it.
        worklist.rename(folder / scan.withheld.applied(worklist.name))
    for primary in case.primaries:
        save_known(case, primary, folder / "known" / f"{primary.target.name}.parquet")
    for primary, backup in case.pairs():
        save(
            case.db,
            f"""select * from outcomes where primary_store = {literal(primary.target.name)}
                and backup = {literal(backup.target.name)} and outcome <> 'identical'""",
            folder / "comparison" / f"{primary.target.name}--{backup.target.name}.parquet",
        )
    for primary, backup in case.purging():
        save(
            case.db,
            f"""select * from outcomes where primary_store = {literal(purged_from(primary.target))}
                and backup = {literal(backup.target.name)} and outcome <> 'identical'""",
            folder / "comparison" / f"{purged_from(primary.target)}--{backup.target.name}.parquet",
        )
    save_studies(case, folder / STUDIES)
    save_differences(case, folder / "differences.parquet")
    write_tests(case.db, folder / "restores.parquet", tests)
    examined = (item for item in inventories if item.listing)
    stores = {
        item.target.name: {
            "identity": item.target.identity,
            "medium": item.listing.safeguards.medium if item.listing else None,
        }
        for item in examined
    }
    (folder / "stores.json").write_text(json.dumps(stores, indent=1), encoding="utf-8")
    if run.decisions.content:
        # As it was read: the digest in audit.json is of these bytes.
        (folder / "decisions.toml").write_bytes(run.decisions.content)
    _write_errors(case, inventories, folder / "errors.log")
    return list(gap_rows(case, findings, labels)), max([highest, *(int(label[2:]) for label in labels.values())])


def _write_errors(case: Case, inventories: Sequence[Inventory], path: Path) -> None:
    """Name each place that could not be listed or read, and each damaged object, for IT."""
    with path.open("w", encoding="utf-8") as log:
        for item in inventories:
            if item.message:
                log.write(f"{item.message}\n")
            for key, reason in item.listing.gaps if item.listing else ():
                log.write(f"{item.target.name}\t{reason}\tnot listed\t{key}\n")
        found = case.db.cursor().execute(
            "select store, problem, key from objects where unread or damaged order by store, key"
        )
        while batch := found.fetchmany(1000):
            log.writelines(f"{store}\t{problem}\tobject\t{shown_key(key)}\n" for store, problem, key in batch)


def _remembered(finding: Finding, history: History, unfinished: Unfinished) -> Finding:
    """Return the finding with when it was first seen, and how often in a row.

    A month in which its check could not be asked neither ends nor lengthens the row.
    """
    finding = replace(finding, first_seen=unfinished.started.isoformat(), base_severity=finding.severity)
    for record in history.records:
        seen = next((before for before in record.audit["findings"] if before["id"] == finding.id), None)
        if seen is not None:
            return replace(
                _raised(finding),
                first_seen=seen["first_seen"],
                times_seen=seen["times_seen"] + 1,
                # The day by which it was to be mended does not move because it was not.
                due=date.fromisoformat(seen["due"]) if seen["due"] else finding.due,
            )
        asked = (check for check in record.audit["checks"] if check["target"] == finding.target)
        if any(check["check"] == finding.check and check["status"] != "not_checked" for check in asked):
            break
    return finding


def _raised(finding: Finding) -> Finding:
    """Return a finding that the audit before had, too, one severity up; what is critical or for information stays."""
    severity = finding.severity
    if severity in (Severity.CRITICAL, Severity.INFO):
        return finding
    return replace(
        finding,
        severity=list(Severity)[severity.rank - 1],
        raised=True,
        message=f"{finding.message} An earlier audit found it, too: raised from {severity.value}.",
    )


def _current(decisions: Decisions, evidence: Evidence) -> list[Attestation]:
    """Return the attestations that hold today, the newest of each control and party."""
    today = evidence.started.date()
    stated = {(one.control, one.party) for one in decisions.attestations}
    found = (attestation(decisions, control, today, party) for control, party in sorted(stated, key=str))
    return [one for one in found if one is not None]
