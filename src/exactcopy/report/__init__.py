"""A record as PDF, HTML, JSON, CSV and JUnit XML: everything here reads a record and nothing else."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exactcopy.errors import ConfigError, RecordError
from exactcopy.records import SCHEMA
from exactcopy.report.formats import (
    GAP_COLUMNS,
    html,
    templates,
    write_gaps,
    write_html,
    write_junit,
)
from exactcopy.report.pdf import pdf_possible, write_pdf
from exactcopy.report.redaction import redact, redact_rows
from exactcopy.report.view import view

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FORMATS",
    "Format",
    "Record",
    "html",
    "load_record",
    "pdf_possible",
    "render",
    "templates",
    "view",
    "write_gaps",
    "write_html",
    "write_junit",
    "write_pdf",
]

TEXT_COLUMNS = ("finding", "check", "severity", "target", "label", "modality", "changed_side", "elements")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a report is made of: the folder, its audit.json, the rows of gaps.csv if any, and the SHA-256 of both.

    The PDF carries `attachments`: both files with exactly the bytes that the hashes are of, or none.
    """

    folder: Path
    audit: dict[str, Any]
    gaps: "pd.DataFrame | None"
    hashes: dict[str, str]
    attachments: dict[str, bytes]

    def view(self) -> dict[str, Any]:
        """Give what the templates print of this record."""
        return view(self.audit, self.gaps, self.hashes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One way to write a record: the file's name, and what writes it."""

    file: str
    write: Callable[[Record, Path], None]


FORMATS = {
    "pdf": Format(file="report.pdf", write=lambda record, path: write_pdf(record.view(), record.attachments, path)),
    "html": Format(file="report.html", write=lambda record, path: write_html(record.view(), path)),
    "json": Format(file="audit.json", write=lambda record, path: _copied(record, path)),
    "csv": Format(file="gaps.csv", write=lambda record, path: _copied(record, path)),
    "junit": Format(file="junit.xml", write=lambda record, path: write_junit(record.audit, path)),
}

# What can be redacted; the others are the data itself.
REDACTED = ("pdf", "html")


def load_record(folder: Path) -> Record:
    """Read the record in `folder`, sealed or still being written."""
    try:
        texts = {name: (folder / name).read_bytes() for name in ("audit.json", "gaps.csv")}
        audit = json.loads(texts["audit.json"])
        gaps = _read_gaps(texts["gaps.csv"])
    except OSError as error:
        message = f"{folder}: no record ({type(error).__name__}). Name a folder with audit.json and gaps.csv."
        raise RecordError(message) from error
    except ValueError as error:
        message = f"{folder}: the record is damaged. `sha256sum -c manifest-sha256.txt` in it says which file."
        raise RecordError(message) from error
    schema = audit.get("schema") if isinstance(audit, dict) else None
    if schema != SCHEMA:
        message = f"{folder}: its schema is {schema!r}, this version reads {SCHEMA}. Use the version that wrote it."
        raise RecordError(message)
    hashes = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
    return Record(folder=folder, audit=audit, gaps=gaps, hashes=hashes, attachments=texts)


def _read_gaps(text: bytes) -> "pd.DataFrame | None":
    """Read gaps.csv; counts are numbers, an unknown year stays empty. None where it has no row."""
    header, _, rest = text.partition(b"\n")
    if header.decode("utf-8-sig").strip().split(",") != GAP_COLUMNS:
        message = "gaps.csv has other columns"
        raise ValueError(message)
    if not rest.strip():
        return None
    # Imported late: it takes as long as all else that a sound audit's report needs.
    import pandas as pd

    rows = pd.read_csv(BytesIO(text), dtype=str, keep_default_na=False)
    counts = [name for name in GAP_COLUMNS if name not in {*TEXT_COLUMNS, "study_year"}]
    rows[counts] = rows[counts].replace("", "0")
    return rows.astype(dict.fromkeys(counts, "int64"))


def render(
    record: Record | Path, formats: Iterable[str], out: Path, *, attachments: bool = True, redacted: bool = False
) -> list[Path]:
    """Write `record` into the folder `out` in each of `formats`; give the files written.

    Without `attachments` the PDF is its pages alone; so it is `redacted`, where names and days are left out, too.
    """
    wanted = list(formats)
    if unknown := [name for name in wanted if name not in FORMATS]:
        raise ConfigError([f"format: {name!r} is none. Use {', '.join(FORMATS)}." for name in unknown])
    if redacted and (whole := [name for name in wanted if name not in REDACTED]):
        raise ConfigError(
            [f"--redact: {name} holds what a redacted copy leaves out. Use {' or '.join(REDACTED)}." for name in whole]
        )
    loaded = load_record(record) if isinstance(record, Path) else record
    if loaded.audit.get("self_scan", {}).get("stopped") and not {"json", "csv"}.issuperset(wanted):
        message = f"{loaded.folder}: its pages held patient data and were stopped. Audit again, once that is mended."
        raise RecordError(message)
    if not attachments:
        loaded = replace(loaded, attachments={})
    if redacted:
        loaded = replace(
            loaded,
            audit=redact(loaded.audit, loaded.hashes["audit.json"]),
            gaps=redact_rows(loaded.gaps, loaded.audit),
            attachments={},
        )
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name in wanted:
        path = out / FORMATS[name].file
        # It must not be taken for the record's own.
        path = path.with_stem(f"{path.stem}-redacted") if redacted else path
        FORMATS[name].write(loaded, path)
        written.append(path)
    return written


def _copied(record: Record, path: Path) -> None:
    """Copy the record's own file: the report prints its hash, so its bytes must not change."""
    source = record.folder / path.name
    if source.resolve() != path.resolve():
        shutil.copyfile(source, path)
