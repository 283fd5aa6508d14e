"""Nothing of a patient, no UID and no path leaves restricted/."""

import csv
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pydicom
import pypdf

from tests.clinic import Clinic, environment

_UID = re.compile(r"\b(?=[0-9.]{16,})[0-2](?:\.\d+)+\b")
_ELEMENTS = (
    "PatientName",
    "PatientID",
    "AccessionNumber",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "StudyDescription",
    "SeriesDescription",
    "ReferringPhysicianName",
    "InstitutionName",
)


def travelling_text(record: Path) -> str:
    """Give all text of a record that is not under restricted/, that of the PDF's pages and data included."""
    texts = [path.read_text(encoding="utf-8") for path in record.iterdir() if path.suffix not in (".pdf", "")]
    pdf = pypdf.PdfReader(record / "report.pdf")
    texts += [page.extract_text() for page in pdf.pages]
    texts.append(repr(pdf.metadata))
    texts += [data.decode("utf-8") for files in pdf.attachments.values() for data in files]
    # Base64 of fonts and icons holds no text of ours.
    return re.sub(r"data:[a-z0-9/+.-]+;base64,[A-Za-z0-9+/=]+", "", "\n".join(texts))


def identifiers(store: Path) -> set[str]:
    """Give every value in a store that could name a patient, a study or a file."""
    found: set[str] = set()
    for path in store.rglob("*"):
        if not path.is_file():
            continue
        found.add(str(path.relative_to(store)))
        with suppress(Exception):  # Some are damaged on purpose.
            dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            found |= {str(dataset.get(keyword, "")) for keyword in _ELEMENTS}
    # What is in any report, or names a facility and not a patient.
    common = {"Riverside Imaging", "DICOMDIR", "README.txt", "Thumbs.db", "notes.txt"}
    return {value for value in found if len(value) >= 5 and len(set(value)) > 1 and value not in common}


def test_no_identifier_of_the_sample_clinic_leaves_restricted(
    sample_audit: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    nothing_travels(*sample_audit)


def test_no_identifier_of_real_images_leaves_restricted(tmp_path: Path, corpus: Path) -> None:
    clinic = Clinic(tmp_path, pdf=True)
    for name in ("pacs", "nas"):
        for path in corpus.iterdir():
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    (tmp_path / "nas" / "CT_small.dcm").unlink()
    clinic.configure()
    nothing_travels(tmp_path, clinic.run("audit"))


def nothing_travels(folder: Path, done: subprocess.CompletedProcess[str]) -> None:
    """Look for whatever names a patient, a study or a file in all that is not under restricted/."""
    assert done.returncode in (1, 3), done.stderr
    record = next((folder / "records").glob("*/"))
    text = travelling_text(record) + done.stdout.replace(str(folder), "") + done.stderr.replace(str(folder), "")
    stores = ("pacs", "satellite", "nas", "usb-drives", "second-drive")
    secrets = set().union(*(identifiers(folder / store) for store in stores))
    assert len(secrets) > 50
    assert not {secret for secret in secrets if secret in text}
    assert not set(_UID.findall(text))
    restricted = "".join(
        path.read_text(encoding="utf-8", errors="replace") for path in (record / "restricted").glob("*.csv")
    )
    assert _UID.search(restricted), "the same search finds what restricted/ does hold"


def test_a_record_can_be_checked_without_us(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.fill(studies=2, instances=1)
    clinic.audit(expected=0)
    clinic.pdf = True
    clinic.audit(expected=0)
    record = clinic.record()
    for folder in (record, record / "restricted"):
        done = subprocess.run(
            ["sha256sum", "--check", "--strict", "manifest-sha256.txt"],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    manifest = (record / "manifest-sha256.txt").read_text(encoding="utf-8")
    assert "restricted/manifest-sha256.txt" in manifest
    assert "../" in manifest, "the chain: the record before is named too"
    assert record.stat().st_mode & 0o777 == 0o700


def test_reveal_speaks_to_a_terminal_only(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.fill(studies=2, instances=1)
    clinic.path("nas", 0, 0).unlink()
    clinic.audit(expected=1)
    with (clinic.record() / "gaps.csv").open(newline="", encoding="utf-8") as file:
        label = next(csv.DictReader(file))["label"]
    shown = clinic.run("explain", label)
    assert shown.returncode == 0
    assert "SECRET" not in shown.stdout + shown.stderr
    refused = clinic.run("explain", label, "--reveal")
    assert refused.returncode == 2
    assert "SECRET" not in refused.stdout + refused.stderr
    terminal = subprocess.run(
        [
            "script",
            "--quiet",
            "--return",
            "--command",
            f"python -m exactcopy explain {label.lower()} --reveal",
            "/dev/null",
        ],
        cwd=clinic.root,
        env=_with_this_python(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "SECRET-ID-0" in terminal.stdout, terminal.stdout


def _with_this_python() -> dict[str, str]:
    inherited = environment()
    return {**inherited, "PATH": f"{Path(sys.executable).parent}:{inherited['PATH']}"}
