"""The stores of the made-up clinic, held in memory until they are written out."""

import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydicom.fileset import FileSet
from pydicom.uid import UID

from sample_data.studies import Instance, Study, instances, made_uid, outside_study, schedule

# What each backup covers, and how long ago it was last made.
BACKUPS = {
    "nas": (("pacs", "satellite"), timedelta(hours=8)),
    "usb-drives": (("pacs", "satellite"), timedelta(days=3)),
    "second-drive": (("pacs",), timedelta(days=20)),
}
VOLUME_ID = "RIVERSIDE-A"


@dataclass(frozen=True, slots=True)
class Stored:
    """One file of a store."""

    data: bytes
    modified: datetime


Tree = dict[str, Stored]


@dataclass(slots=True, kw_only=True)
class Clinic:
    """All stores of the clinic by name, what lies where, and what was planted."""

    now: datetime
    trees: dict[str, Tree]
    held: dict[str, list[Instance]]
    keys: dict[tuple[str, str], str] = field(default_factory=dict)
    planted: list[dict[str, Any]] = field(default_factory=list)

    def instance(self, study: int, number: int, series: int = 1) -> Instance:
        """Return an instance of a primary."""
        wanted = (study, series, number)
        every = (item for held in self.held.values() for item in held)
        return next(item for item in every if (item.study.number, item.series, item.number) == wanted)

    def study(self, number: int) -> list[Instance]:
        """Return all instances of a study of a primary."""
        return [item for held in self.held.values() for item in held if item.study.number == number]

    def key(self, store: str, instance: Instance) -> str:
        """Return the path of an instance below the folder of a store."""
        return self.keys[store, instance.sop_instance_uid]

    def put(self, store: str, key: str, data: bytes, modified: datetime) -> None:
        """Store `data`, or replace what is there."""
        self.trees[store][key] = Stored(data, modified)


def sound_clinic(now: datetime, *, real_size: bool) -> Clinic:
    """Return the clinic as it should be: every backup holds all that there was when it was made."""
    held: dict[str, list[Instance]] = {"pacs": [], "satellite": []}
    for study in schedule(now, real_size=real_size):
        held[study.site].extend(instances(study))
    clinic = Clinic(now=now, trees={name: {} for name in (*held, *BACKUPS)}, held=held)
    _put_disc(clinic, outside_study(now))
    for site, items in held.items():
        for item in items:
            if (site, item.sop_instance_uid) not in clinic.keys:
                _place(clinic, site, _primary_key(item), item)
    for backup, (covers, made) in BACKUPS.items():
        for site in covers:
            _back_up(clinic, site, backup, now - made)
    _litter(clinic)
    return clinic


def _put_disc(clinic: Clinic, study: Study) -> None:
    """Add what was copied from a CD: a DICOMDIR and the names that go with it (PS3.10 8)."""
    disc = FileSet()
    disc.UID = UID(made_uid("disc", 1))
    disc.ID = "OUTSIDE1"
    with tempfile.TemporaryDirectory() as folder:
        source, written = Path(folder, "source"), Path(folder, "written")
        source.mkdir()
        originals = {}
        for item in instances(study):
            path = source / str(item.number)
            path.write_bytes(item.data)
            disc.add(path)
            originals[item.sop_instance_uid] = item
        disc.write(written)
        for entry in disc:
            path = Path(entry.path)
            item = originals[str(entry.SOPInstanceUID)]
            copied = Instance(
                study=study,
                series=item.series,
                number=item.number,
                sop_instance_uid=item.sop_instance_uid,
                data=path.read_bytes(),
            )
            clinic.held["pacs"].append(copied)
            _place(clinic, "pacs", f"import/CD 1/{path.relative_to(written).as_posix()}", copied)
        clinic.put("pacs", "import/CD 1/DICOMDIR", (written / "DICOMDIR").read_bytes(), study.taken)
    # A FileSet leaves its staging folder to the garbage collector, which warns.
    disc._stage["t"].cleanup()


def _place(clinic: Clinic, store: str, key: str, item: Instance) -> None:
    clinic.keys[store, item.sop_instance_uid] = key
    clinic.put(store, key, item.data, item.received)


def _primary_key(item: Instance) -> str:
    study = item.study
    if study.site == "satellite":
        return f"DICOM/ST{study.number:06}/SE{item.series:06}/IM{item.number:06}"
    return f"archive/{study.taken:%Y/%m/%d}/{study.accession}/SE{item.series}/IM{item.number}.dcm"


def _back_up(clinic: Clinic, site: str, backup: str, made: datetime) -> None:
    """Copy what `site` held at the time `made`: a mirror keeps its paths, the old drive has its own."""
    for item in clinic.held[site]:
        if item.received > made:
            continue
        key = f"{site}/{clinic.key(site, item)}"
        if backup == "second-drive":
            study = item.study
            key = f"XRAY BACKUP/{study.taken:%Y}/{study.accession}/S{item.series}I{item.number}"
        _place(clinic, backup, key, item)


def _litter(clinic: Clinic) -> None:
    """Add the files that are no images and lie in every real archive."""
    old = clinic.now - timedelta(days=400)
    clinic.put("pacs", "archive/Thumbs.db", bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504), old)
    clinic.put("pacs", "archive/notes.txt", b"Archive moved to the new server.\r\n", old)
    clinic.put("satellite", "DICOM/.DS_Store", b"\0\0\0\1Bud1" + bytes(248), old)
    clinic.put("nas", "pacs/archive/Thumbs.db", bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504), old)
    clinic.put("usb-drives", ".exactcopy-volume", f"{VOLUME_ID}\n".encode(), old)
    clinic.put("second-drive", "desktop.ini", b"[.ShellClassInfo]\r\n", old)
