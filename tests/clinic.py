"""A small clinic of real images for tests: a primary, backups, faults to plant, and the real command line."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pydicom
from pydicom.data import get_testdata_file

from tests.forking import command_line

ROOT = Path(__file__).parents[1]
LONG_AGO = timedelta(days=400)
RPO_HOURS = 24
# Whatever a test is about: all of it is on one disk, and nobody reviewed the record before.
LEFT_OUT = frozenset({"separate-failure-domain", "records-are-apart", "last-report-was-reviewed"})


@cache
def source(name: str) -> bytes:
    """Give the bytes of one of pydicom's own real files."""
    path = get_testdata_file(name)
    assert path is not None, f"pydicom's test files lack {name}"
    return Path(str(path)).read_bytes()


@dataclass
class Clinic:
    """Folders, a configuration, and what `exactcopy` says of them."""

    root: Path
    backups: tuple[str, ...] = ("nas", "usb")
    settings: str = ""
    stores: dict[str, str] = field(default_factory=dict)
    # It takes most of the time of a small audit. Without, the audit ends as on a machine that has no Pango.
    pdf: bool = False

    def __post_init__(self) -> None:
        """Make the folders."""
        for name in ("pacs", *self.backups):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    @property
    def pacs(self) -> Path:
        """The primary's folder."""
        return self.root / "pacs"

    def path(self, store: str, study: int, instance: int) -> Path:
        """Give where an instance lies on a store."""
        return self.root / store / f"study {study}" / f"{instance}.dcm"

    def add(self, study: int, instance: int, name: str = "CT_small.dcm", *, age: timedelta = LONG_AGO) -> Path:
        """Put an instance with UIDs of its own on the primary."""
        path = self.path("pacs", study, instance)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(with_uids(source(name), study, instance))
        self.set_age(path, age)
        return path

    def fill(self, studies: int, instances: int, name: str = "CT_small.dcm") -> None:
        """Put so many studies of so many instances on the primary, and a mirror of it on every backup."""
        for study in range(studies):
            for instance in range(instances):
                self.add(study, instance, name)
        self.mirror()

    def mirror(self) -> None:
        """Copy the primary to every backup, with its times."""
        for name in self.backups:
            shutil.copytree(self.pacs, self.root / name, dirs_exist_ok=True)

    def set_age(self, path: Path, age: timedelta) -> None:
        """Let a file be that old."""
        moment = (datetime.now(UTC) - age).timestamp()
        os.utime(path, (moment, moment))

    def configure(self) -> Path:
        """Write the configuration."""
        path = self.root / "exactcopy.toml"
        tables = [
            'facility = "Test Clinic"',
            'operator = "tester"',
            self.settings,
            '[people]\nsecurity_official = "Dana Reyes"\nit = "Sam Ortiz"',
            f'[primary.pacs]\nkind = "folder"\npath = "pacs"\n{self.stores.get("pacs", "")}',
            *(
                f'[backup.{name}]\nkind = "folder"\npath = "{name}"\noffsite = true\n{self.stores.get(name, "")}'
                for name in self.backups
            ),
        ]
        path.write_text("\n".join(tables) + "\n", encoding="utf-8")
        return path

    def run(self, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Run the real command line, in a process of its own."""
        return command_line(arguments, self.root, environment(pdf=self.pdf), timeout)

    def audit(self, expected: int) -> dict[str, Any]:
        """Audit, expect an exit code, give audit.json as it was printed."""
        self.configure()
        done = self.run("audit", "--format", "json")
        assert done.returncode == expected, f"exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr}"
        printed: dict[str, Any] = json.loads(done.stdout)
        check_sums(printed)
        return printed

    def record(self) -> Path:
        """Give the newest record's folder."""
        return max((self.root / "records").glob("*/"))


def environment(*, pdf: bool = True) -> dict[str, str]:
    """Give an environment in which this checkout is what runs; without `pdf`, on a machine without Pango."""
    paths = [str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    if not pdf:
        paths.insert(0, str(ROOT / "tests" / "no_pango"))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def with_uids(data: bytes, study: int, instance: int) -> bytes:
    """Give real DICOM bytes with UIDs (and a patient) of their own; nothing else is encoded anew by hand."""
    from io import BytesIO

    dataset = pydicom.dcmread(BytesIO(data), force=True)
    dataset.StudyInstanceUID = f"2.25.1000.{study}"
    dataset.SeriesInstanceUID = f"2.25.1000.{study}.1"
    dataset.SOPInstanceUID = sop_instance_uid(study, instance)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PatientName = f"Secretname^Planted{study}"
    dataset.PatientID = f"SECRET-ID-{study}"
    dataset.AccessionNumber = f"SECRETACC{study}"
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def sop_instance_uid(study: int, instance: int) -> str:
    """Give the UID that `with_uids` writes."""
    return f"2.25.2000.{study}.{instance + 1}"


def check_sums(audit: dict[str, Any]) -> None:
    """Hold the figures of audit.json against one another."""
    primaries = {store["name"]: store for store in audit["stores"] if store["role"] == "primary"}
    for comparison in audit["comparisons"]:
        primary = primaries[comparison["primary"]]
        assert sum(comparison["instances"].values()) == primary["instances"]
        states = dict(comparison["studies"])
        assert states.pop("total") == sum(states.values()) == primary["studies"]
        assert sum(comparison["proof"].values()) == comparison["studies"]["protected"]
        absent = {"missing", "pending", "unknown"}
        present = sum(count for outcome, count in comparison["instances"].items() if outcome not in absent)
        assert present <= sum(comparison["assurance"].values()) <= present + comparison["instances"]["unknown"]


def outcomes(audit: dict[str, Any], backup: str) -> dict[str, int]:
    """Give the outcomes on one backup that are not zero."""
    row = next(row for row in audit["comparisons"] if row["backup"] == backup)
    return {outcome: count for outcome, count in row["instances"].items() if count}


def findings(audit: dict[str, Any]) -> dict[tuple[str, str], str]:
    """Give the severity of each finding by check and target, but those of every test."""
    return {
        (finding["check"], finding["target"]): finding["severity"]
        for finding in audit["findings"]
        if finding["check"] not in LEFT_OUT
    }


def store(audit: dict[str, Any], name: str) -> dict[str, Any]:
    """Give what audit.json says of one store."""
    found: dict[str, Any] = next(store for store in audit["stores"] if store["name"] == name)
    return found


def audit_at(clinic: Clinic, now: datetime) -> dict[str, Any]:
    """Audit as if it were `now`, in this process; give audit.json."""
    from exactcopy.assess import read_decisions
    from exactcopy.audit import run_audit
    from exactcopy.config import load_config

    config = load_config(clinic.configure())
    audited = run_audit(
        config, read_decisions(config, now.date()), now, lambda name, objects, size: lambda count, read: None
    )
    check_sums(dict(audited.record.audit))
    return dict(audited.record.audit)
