"""An Orthanc that reports the MD5 of its stored files: it may clear a copy and never convicts one."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from exactcopy.inventory.database import database
from exactcopy.inventory.listing import Listing, list_store
from exactcopy.model import UNSIZED, Copy, ReadPolicy
from exactcopy.stores import KINDS
from exactcopy.stores.dicomweb import DicomwebStore
from exactcopy.stores.dicomweb.client import connect
from exactcopy.stores.dicomweb.orthanc import Orthanc as Rest
from exactcopy.stores.dicomweb.orthanc import beside
from tests.clinic import Clinic, audit_at, outcomes, source, store, with_uids
from tests.dimse_servers import dcmsend
from tests.pacs import PASSWORD, Orthanc, orthanc
from tests.stores.test_dicomweb import dicomweb_target
from tests.test_pacs_audit import brighten, dicomweb, fill, replace
from tests.test_window_audit import sources


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACS_PASSWORD", PASSWORD)


def clinic_with(server: Orthanc, root: Path) -> Clinic:
    """Give a clinic whose only backup is an Orthanc that is to be known by what it reports."""
    table = f'[backup.pacs-copy]\noffsite = true\n{dicomweb(server)}\nread = "reported"'
    clinic = Clinic(root, backups=(), settings=table)
    clinic.fill(4, 3)
    return clinic


def changes(server: Orthanc) -> int:
    """Give the number of the last thing that changed in a server."""
    return int(json.loads(server.request("GET", "/changes?last"))["Last"])


def test_what_came_over_the_web_is_known_without_reading_it(tmp_path: Path) -> None:
    with orthanc(StorageCompression=True, StableAge=3600) as server:
        clinic = clinic_with(server, tmp_path)
        fill(server, clinic)
        before = changes(server)
        audit = clinic.audit(0)
        assert changes(server) == before
    assert outcomes(audit, "pacs-copy") == {"identical": 12}
    assert (store(audit, "pacs-copy")["read_bytes"], store(audit, "pacs-copy")["asked"]) == (0, 12)
    assert sources(clinic, "pacs-copy") == {"reported": 12}
    [test] = audit["restore_tests"]
    assert (test["planned"], test["restored"]) == (4, 4)


def test_what_contradicts_is_read_before_anything_is_said_of_it(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    # Without a memory of its own, it reads what it verifies.
    place = {"StorageDirectory": str(disk), "IndexDirectory": str(disk), "MaximumStorageCacheSize": 0}
    with orthanc(**place) as server:
        clinic = clinic_with(server, tmp_path / "clinic")
        # One study came by C-STORE: other files, the same images.
        modality = [clinic.path("pacs", 0, instance) for instance in range(3)]
        dcmsend(server.port, server.ae_title, [path.read_bytes() for path in modality])
        for path in set(clinic.pacs.rglob("*.dcm")) - set(modality):
            server.upload(path.read_bytes())
        replace(server, clinic.path("pacs", 1, 0), brighten)
        rotten = server.upload(clinic.path("pacs", 2, 0).read_bytes())
        spoil(server, disk, rotten)
        audit = clinic.audit(1)
    assert outcomes(audit, "pacs-copy") == {"identical": 7, "equivalent": 3, "different": 2}
    assert sources(clinic, "pacs-copy") == {"reported": 7, "read": 5}


def spoil(server: Orthanc, disk: Path, name: str) -> None:
    """Change a pixel of a stored file behind the server's back."""
    md5 = server.request("GET", f"/instances/{name}/attachments/dicom/md5").decode()
    files = [path for path in disk.glob("*/*/*") if path.is_file()]
    [file] = [path for path in files if hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == md5]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_a_server_that_does_not_say_that_it_is_an_orthanc_is_read(tmp_path: Path) -> None:
    with orthanc(DicomWeb={"Enable": True, "Root": "/deeper/dicom-web/"}) as server:
        away = Orthanc(rest=server.rest, dicomweb=f"{server.rest}/deeper/dicom-web", port=server.port)
        server.upload(with_uids(source("CT_small.dcm"), 0, 0))
        found = listed(away, tmp_path, read=ReadPolicy.REPORTED)
    assert (found.objects, found.asked, found.gaps) == (1, 0, ())


@pytest.fixture(scope="module")
def holding() -> Iterator[Orthanc]:
    """An Orthanc with three studies of two images."""
    with orthanc() as server:
        for number in range(6):
            server.upload(with_uids(source("CT_small.dcm"), number % 3, number // 3))
        yield server


class HidingStore(DicomwebStore):
    """A server that does not show its last study, and gives no hint of it."""

    def partitions(self) -> Iterator[str]:
        """Leave it out."""
        for partition in super().partitions():
            extent, _, studies = partition.partition(":")
            yield f"{extent}:{json.dumps(json.loads(studies)[:-1])}"


@pytest.mark.parametrize(("kind", "objects", "gaps"), [("dicomweb", 6, 0), ("hiding", 4, 1)])
@pytest.mark.parametrize("concurrency", [None, 1])
def test_a_listing_that_shows_less_than_the_server_counts_is_not_whole(
    kind: str,
    objects: int,
    gaps: int,
    concurrency: int | None,
    holding: Orthanc,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(KINDS, "hiding", f"{__name__}:HidingStore")
    listing = listed(holding, tmp_path, kind=kind, concurrency=concurrency)
    assert (listing.objects, len(listing.gaps)) == (objects, gaps)


def listed(server: Orthanc, folder: Path, **settings: Any) -> Listing:
    """List a server."""
    target = dataclasses.replace(dicomweb_target(server.dicomweb), **settings)
    with database(folder / "spill") as db:
        return list_store(db, target, folder / "work", lambda target, medium: None)


def rest(server: Orthanc) -> Rest:
    """Give its REST API as the store finds it."""
    found = beside(connect(dicomweb_target(server.dicomweb)))
    assert found is not None
    return found


def test_nothing_is_told_of_what_is_not_there_or_is_there_twice(holding: Orthanc) -> None:
    def told(sop: str) -> Copy:
        return rest(holding).told(Copy(key=b"key", size=UNSIZED, modified=None, sop_instance_uid=sop))

    there, absent = told("2.25.2000.0.1"), told("2.25.2000.9.9")
    assert (bool(there.digests), there.size > 0, bool(there.version)) == (True, True, True)
    assert (absent.digests, absent.size, absent.version) == ({}, UNSIZED, None)
    # Another patient has the same UIDs.
    dataset = dcmread(BytesIO(with_uids(source("CT_small.dcm"), 0, 0)))
    dataset.PatientID = "ANOTHER"
    into = BytesIO()
    dataset.save_as(into)
    name = holding.upload(into.getvalue())
    assert told("2.25.2000.0.1").digests == {}
    holding.request("DELETE", f"/instances/{name}")


def test_it_is_asked_and_never_told_to_do_anything(holding: Orthanc) -> None:
    with pytest.raises(ValueError, match="/tools/reset"):
        rest(holding)._ask("/tools/reset", "")


def test_an_image_that_has_another_length_than_last_time_is_compared(tmp_path: Path, lean: None) -> None:
    with orthanc() as server:
        clinic = Clinic(tmp_path, backups=(), settings=f"[backup.pacs-copy]\noffsite = true\n{dicomweb(server)}")
        clinic.fill(1, 1)
        fill(server, clinic)
        audit_at(clinic, datetime.now(UTC) - timedelta(days=60))
        replace(server, clinic.path("pacs", 0, 0), lambda dataset: setattr(dataset, "StudyDescription", "planted"))
        audit = audit_at(clinic, datetime.now(UTC))
    assert outcomes(audit, "pacs-copy") == {"altered": 1}


def test_studies_of_one_day_that_look_like_a_limit_are_all_there_is_if_the_server_counts_no_more(
    tmp_path: Path,
) -> None:
    """A list as long as any before may have been cut; that all studies bear one date and time parts it no further."""
    with orthanc() as server:
        for study in range(12):
            server.upload(with_uids(source("CT_small.dcm"), study, 0))
        listing = listed(server, tmp_path)
        assert (listing.objects, listing.gaps) == (12, ())
