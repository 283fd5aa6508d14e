"""What a label or a finding stands for, and how to mend it."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from exactcopy import records
from exactcopy.assess import judges, load_controls
from exactcopy.checks.common import DECIDE_INCIDENT
from exactcopy.config import Config
from exactcopy.errors import ExactCopyError, RecordError
from exactcopy.inventory.database import database, literal, parquet, rows
from exactcopy.model import Copy, Problem
from exactcopy.records import Record
from exactcopy.stores import Stream, open_store

_MOST_LABELS = 40
_HEAD = 4 << 20
_REVEALED = (
    ("PatientID", "patient ID"),
    ("StudyDate", "study date"),
    ("AccessionNumber", "accession number"),
)


def explain(config: Config, name: str) -> Iterator[str]:
    """Yield the lines that explain a label (E-0001) or a finding (F-1a2b3c4d) of the last record.

    Raises RecordError where there is no record or nothing of that name in it.
    """
    record = records.last(config)
    if name.upper().startswith("F-"):
        finding = records.finding(record, name)
        yield from _finding(record, finding)
        yield from _decisions(finding, config)
        yield from _studies(record, finding)
    else:
        yield from _label(record, name.upper())


def reveal(config: Config, label: str) -> Iterator[str]:
    """Yield whose study a label is, read live from the primary: for a terminal, never for a file."""
    record = records.last(config)
    study = _study(record, label.upper())
    for target in config.primaries:
        folder = record.restricted / "inventory" / target.name
        if not folder.is_dir():
            continue
        with TemporaryDirectory() as spill, database(Path(spill)) as db:
            found = rows(
                db,
                "select key, size, study_instance_uid, series_instance_uid, sop_instance_uid, sop_class_uid"
                f" from {parquet(folder)} where study_instance_uid = {literal(study)}"
                " and sop_instance_uid is not null order by key limit 1",
            )
        if found:
            with ExitStack() as stack:
                # A person asks for one image.
                store = stack.enter_context(open_store(replace(target, window=None)))
                key, size, study, series, sop, sop_class = found[0]
                copy = Copy(
                    key=key,
                    size=size,
                    modified=0,
                    study_instance_uid=study,
                    series_instance_uid=series,
                    sop_instance_uid=sop,
                    sop_class_uid=sop_class,
                )
                for _, stream in store.read([copy]):
                    if isinstance(stream, Problem):
                        message = f"{target.name}: the study cannot be read now ({stream}). Run `exactcopy check`."
                        raise ExactCopyError(message)
                    yield from _who(_beginning(stream))
            return
    raise ExactCopyError(f"{label}: no primary holds this study any more. See the worklists of the backups.")


def _finding(record: Record, finding: Mapping[str, Any]) -> Iterator[str]:
    yield f"{finding['id']} · {finding['severity']} · {finding['target']}: {finding['title']}"
    yield f"Seen: {finding['message']}"
    yield f"Why it matters: {finding['why']}"
    yield from (f"Check (not determined): {item}" for item in finding["to_check"])
    yield from (f"{number}. {step}" for number, step in enumerate(finding["remedy"], start=1))
    yield f"Owner: {finding['owner'] or 'No owner yet'}, by {finding['due'] or 'no date'}"
    if finding["worklist"]:
        yield f"Worklist: {record.restricted / finding['worklist']}"


def _studies(record: Record, finding: Mapping[str, Any]) -> Iterator[str]:
    labels = sorted(records.studies_of(record, finding["id"]))
    if labels:
        more = f" and {len(labels) - _MOST_LABELS:,} more in gaps.csv" if len(labels) > _MOST_LABELS else ""
        yield f"Studies: {', '.join(labels[:_MOST_LABELS])}{more}"


def _decisions(finding: Mapping[str, Any], config: Config) -> Iterator[str]:
    """Yield who decided what about a finding, and the commands with which to decide."""
    if decision := finding.get("decision"):
        yield (
            f"Accepted by {decision['by']}, {decision['title']}, on {decision['on']} until {decision['expires']}: "
            f"{decision['reason']}"
        )
    named = "" if config.path == Path("exactcopy.toml").absolute() else f" --config {config.path}"
    who = f'--by "…" --title "…"{named}'
    yield f'Who mends it: exactcopy assign {finding["id"]} --owner "…" --due 2026-12-31 --cause "…" {who}'
    if DECIDE_INCIDENT in finding["remedy"]:
        yield f'A security incident?: exactcopy incident {finding["id"]} no --reason "…" {who}, or yes'
    if finding["check"] == "no-unexplained-loss":
        yield f'Deleted on purpose: exactcopy dispose E-… --reason "…" --policy "…" {who}'
    control = judges(load_controls(), config).get(finding["id"])
    if control and control.specification in ("addressable", "facility policy"):
        instead = '--alternative "…" ' if control.specification == "addressable" else ""
        yield f'To accept it as it is: exactcopy accept {finding["id"]} --reason "…" {instead}{who}'
    elif control and control.specification != "proposed":
        what = "a required specification" if control.specification == "required" else f"under {control.citation}"
        yield f"It takes no acceptance: {control.id} is {what}. It closes when it is mended."


def _label(record: Record, label: str) -> Iterator[str]:
    _study(record, label)
    with (record.folder / "gaps.csv").open(newline="", encoding="utf-8") as file:
        gaps = [row for row in csv.DictReader(file) if row["label"] == label]
    yield f"{label}: {len(gaps):,} {'finding' if len(gaps) == 1 else 'findings'} in the record of {record.id}"
    titles = {finding["id"]: finding["title"] for finding in record.audit["findings"]}
    for gap in gaps:
        counts = ", ".join(f"{gap[name]} {name}" for name in _counted(gap))
        yield f"  {gap['finding']} on {gap['target']}: {titles[gap['finding']]}" + (f" ({counts})" if counts else "")
        if gap["elements"]:
            yield f"    elements that differ: {gap['elements']}"
    for path in sorted(record.restricted.glob("worklist-*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            work = [row for row in csv.DictReader(file) if row["label"] == label]
        for what, do in sorted({(row["what"], row["do"]) for row in work}):
            count = sum(row["what"] == what for row in work)
            yield f"  {path.name}: {what.replace('_', ' ')} ({count:,} {'line' if count == 1 else 'lines'}). {do}"
    yield f"Keys and UIDs: {record.restricted}"


def _counted(gap: Mapping[str, str]) -> Sequence[str]:
    names = ("altered", "different", "missing", "pending", "unreadable", "unverified", "unknown")
    return [name for name in names if gap[name] not in ("", "0")]


def _study(record: Record, label: str) -> str:
    studies = {given: study for study, given in records.read_labels(record.restricted).items()}
    if label not in studies:
        raise RecordError(f"{label}: no study bears this label. Labels stand in gaps.csv and in the report.")
    return studies[label]


def _beginning(stream: Stream) -> bytes:
    head = bytearray()
    buffer = memoryview(bytearray(_HEAD))
    # What comes over a network comes in pieces.
    while len(head) < _HEAD and (count := stream.readinto(buffer)):
        head += buffer[:count]
    return bytes(head[:_HEAD])


def _who(head: bytes) -> Iterator[str]:
    from io import BytesIO

    import pydicom

    tags = [keyword for keyword, _ in _REVEALED]
    dataset = pydicom.dcmread(BytesIO(head), stop_before_pixels=True, specific_tags=list(tags), force=True)
    for keyword, name in _REVEALED:
        value = str(dataset.get(keyword, "") or "")
        yield f"{name}: {''.join(character for character in value if character.isprintable()) or '(empty)'}"
