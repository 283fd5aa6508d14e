"""Every kind of fault, planted in a folder of copies of real images, and what an audit has to find."""

import shutil
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import JPEG2000, RLELossless

from tests.clinic import Clinic, with_uids

STUDIES, INSTANCES = 12, 3
OUTCOMES = {
    "identical": 24,
    "equivalent": 1,
    "altered": 1,
    "different": 2,
    "missing": 7,
    "unreadable": 1,
}
STUDY_STATES = {"total": 12, "protected": 3, "pending": 0, "gap": 9, "not_checked": 0}
# Surplus objects of equal content, UIDs of several contents, objects that hold no image, damaged ones.
FACTS = {"duplicates": 2, "conflicts": 1, "not_dicom": 4, "damaged": 1}
EXTRA = {
    "not_known_on_primary": {"studies": 1, "instances": 1},
    "lost_from_primary": {"studies": 0, "instances": 0},
    "purged_from_primary": {"studies": 0, "instances": 0},
}
FINDINGS = {
    "backup-is-complete": "high",
    "copies-are-exact": "high",
    "copies-are-readable": "high",
    "no-uid-conflict": "high",
    "extras-are-explained": "high",
    "copies-within-48-hours": "info",
}


def flip(path: Path, position: int) -> None:
    """Flip one bit of the byte at `position` (from the end, where it is negative)."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def edit(path: Path, **changes: str) -> None:
    """Change elements of a file."""
    dataset = pydicom.dcmread(path)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)


def compress(path: Path, syntax: str, **options: Any) -> None:
    """Store the pixels of a file in another transfer syntax, under the same SOP Instance UID."""
    dataset = pydicom.dcmread(path)
    dataset.compress(syntax, generate_instance_uid=False, **options)
    dataset.save_as(path)


def plant(clinic: Clinic, store: str) -> None:
    """Plant each fault once in `store`, a mirror of the 12 studies of 3 instances of the primary."""
    root = clinic.root / store
    flip(clinic.path(store, 0, 0), -2000)
    edit(clinic.path(store, 1, 0), PatientName="Secretname^Other")
    shortened = clinic.path(store, 2, 0)
    shortened.write_bytes(shortened.read_bytes()[:-1000])
    shutil.copyfile(clinic.path(store, 3, 1), clinic.path(store, 3, 0))
    clinic.path(store, 4, 0).write_bytes(b"")
    clinic.path(store, 5, 0).unlink()
    shutil.rmtree(clinic.path(store, 6, 0).parent)
    compress(clinic.path(store, 7, 0), JPEG2000, j2k_cr=[20])
    compress(clinic.path(store, 8, 0), RLELossless)
    shutil.copyfile(clinic.path(store, 9, 0), root / "copy of it")
    shutil.copyfile(clinic.path(store, 10, 0), root / "older version")
    edit(root / "older version", StudyDescription="an older description")
    (root / "extra.dcm").write_bytes(with_uids(clinic.path("pacs", 0, 0).read_bytes(), 99, 0))
    (root / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0 nothing of ours")
    (root / "notes.txt").write_text("call the vendor", encoding="utf-8")
    scrambled = bytearray(clinic.path(store, 11, 0).read_bytes())
    scrambled[:2000] = bytes(2000)
    clinic.path(store, 11, 0).write_bytes(scrambled)
