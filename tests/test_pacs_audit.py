"""Audits by the real command line with a real PACS: what it packs anew is equal, what changed is found."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGLSNearLossless

from tests.clinic import Clinic, outcomes, source, store, with_uids
from tests.pacs import PASSWORD, USER, Orthanc, orthanc

Kind = Callable[[Orthanc], str]


def dimse(server: Orthanc) -> str:
    """Give the settings of a server that is asked as modalities do."""
    return f'kind = "dimse"\nhost = "127.0.0.1"\nport = {server.port}\nae_title = "{server.ae_title}"\nheld_by = "us"'


def dicomweb(server: Orthanc) -> str:
    """Give the settings of a server that is asked over the web."""
    signed_in = f'username = "{USER}"\npassword = "env:PACS_PASSWORD"'
    return f'kind = "dicomweb"\nurl = "{server.dicomweb}"\nheld_by = "us"\n{signed_in}'


# Over the web a file comes as it was stored; else the PACS gives it another file meta group.
EXACT: dict[Kind, str] = {dimse: "equivalent", dicomweb: "identical"}


@pytest.fixture(params=[dimse, dicomweb])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kind:
    """How the server is asked."""
    monkeypatch.setenv("PACS_PASSWORD", PASSWORD)
    made: Kind = request.param
    return made


def clinic_with(server: Orthanc, kind: Kind, root: Path) -> Clinic:
    """Give a clinic whose only backup is a PACS, with four studies of three images on both."""
    clinic = Clinic(root, backups=(), settings=f"[backup.pacs-copy]\noffsite = true\n{kind(server)}")
    clinic.fill(4, 3)
    fill(server, clinic)
    return clinic


def fill(server: Orthanc, clinic: Clinic) -> None:
    """Let a PACS hold what lies on the primary."""
    for path in sorted(clinic.pacs.rglob("*.dcm")):
        server.upload(path.read_bytes())


def replace(server: Orthanc, path: Path, change: Callable[[Dataset], object]) -> None:
    """Let a PACS hold another instance under the same UIDs."""
    data = path.read_bytes()
    server.request("DELETE", f"/instances/{server.upload(data)}")
    dataset = dcmread(BytesIO(data))
    change(dataset)
    into = BytesIO()
    dataset.save_as(into)
    server.upload(into.getvalue())


def brighten(dataset: Dataset) -> None:
    """Change one pixel."""
    dataset.PixelData = bytes([dataset.PixelData[0] ^ 1]) + dataset.PixelData[1:]


def recompress(dataset: Dataset) -> None:
    """Compress lossily, and keep the UIDs."""
    dataset.compress(JPEGLSNearLossless, jls_error=2, generate_instance_uid=False)


def test_a_pacs_as_backup_is_equal_month_after_month(kind: Kind, tmp_path: Path) -> None:
    with orthanc() as server:
        clinic = clinic_with(server, kind, tmp_path)
        first = clinic.audit(0)
        second = clinic.audit(0)
    for audit in (first, second):
        assert outcomes(audit, "pacs-copy") == {EXACT[kind]: 12}
        [test] = audit["restore_tests"]
        assert (test["planned"], test["restored"], test["failed"]) == (4, 4, 0)
    # Once read, it is known for as long as the configuration says.
    assert store(first, "pacs-copy")["read_bytes"] > 0
    assert store(second, "pacs-copy")["read_bytes"] == 0


def test_what_was_planted_in_a_pacs_is_found_and_nothing_else(kind: Kind, tmp_path: Path) -> None:
    with orthanc() as server:
        clinic = clinic_with(server, kind, tmp_path)
        gone = server.upload(clinic.path("pacs", 0, 0).read_bytes())
        server.request("DELETE", f"/instances/{gone}")
        replace(server, clinic.path("pacs", 0, 1), brighten)
        replace(server, clinic.path("pacs", 1, 0), lambda dataset: setattr(dataset, "StudyDescription", "planted"))
        # Now two patients have a study of one UID.
        replace(server, clinic.path("pacs", 2, 0), lambda dataset: setattr(dataset, "PatientID", "OTHER"))
        replace(server, clinic.path("pacs", 3, 0), recompress)
        audit = clinic.audit(1)
    assert outcomes(audit, "pacs-copy") == {
        "missing": 1,
        "different": 2,
        "altered": 2,
        EXACT[kind]: 7,
    }
    [row] = audit["comparisons"]
    assert row["studies"] == {"total": 4, "protected": 0, "pending": 0, "gap": 4, "not_checked": 0}


def test_a_pacs_as_primary_finds_what_its_backup_lacks(kind: Kind, tmp_path: Path) -> None:
    with orthanc() as server:
        clinic = Clinic(tmp_path, backups=())
        clinic.fill(4, 3)
        fill(server, clinic)
        clinic.path("pacs", 3, 2).unlink()
        path = clinic.configure()
        folder = '[backup.usb]\nkind = "folder"\npath = "pacs"\noffsite = true'
        text = path.read_text()
        head = text[: text.index("[primary.pacs]")]
        path.write_text(f"{head}[primary.pacs]\n{kind(server)}\n{folder}\n")
        done = clinic.run("audit", "--format", "json")
    assert done.returncode == 1, done.stderr
    audit = json.loads(done.stdout)
    # The study date is long ago: an image that lacks a copy is no new one.
    assert outcomes(audit, "usb") == {EXACT[kind]: 11, "missing": 1}


@pytest.mark.parametrize("limits", [{"LimitFindResults": 2}, {"LimitFindInstances": 2}])
def test_a_pacs_that_cuts_its_answers_is_never_missing_anything(
    limits: dict[str, int], kind: Kind, tmp_path: Path
) -> None:
    with orthanc(**limits) as server:
        clinic = clinic_with(server, kind, tmp_path)
        server.request("DELETE", f"/instances/{server.upload(clinic.path('pacs', 0, 0).read_bytes())}")
        clinic.configure()
        done = clinic.run("audit", "--format", "json")
    assert done.returncode in (1, 3), done.stderr
    audit = json.loads(done.stdout)
    found = outcomes(audit, "pacs-copy")
    # One is gone. What the server does not show may be there: it is unknown, and nothing that is there is missing.
    assert found.get("missing", 0) <= 1
    assert found.get("missing", 0) + found.get("unknown", 0) >= 1
    assert sum(found.values()) == 12


def test_two_clinics_share_one_cloud_pacs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it holds is held against both of them together: an extra is what neither knows."""
    monkeypatch.setenv("PACS_PASSWORD", PASSWORD)
    with orthanc() as lake, orthanc() as cloud:
        clinic = Clinic(tmp_path, backups=())
        clinic.fill(3, 2)
        fill(cloud, clinic)
        for study in (7, 8):
            for server in (lake, cloud):
                server.upload(with_uids(source("MR_small.dcm"), study, 0))
        # Known to neither; and known to one, and not in the cloud.
        cloud.upload(with_uids(source("MR_small.dcm"), 9, 0))
        lake.upload(with_uids(source("MR_small.dcm"), 10, 0))
        (tmp_path / "exactcopy.toml").write_text(
            'facility = "Two Clinics"\n[people]\nsecurity_official = "Dana"\nit = "Sam"\n'
            f'[primary.main]\nkind = "folder"\npath = "pacs"\n[primary.lake]\n{dimse(lake)}\n'
            f'[backup.cloud]\noffsite = true\ncovers = ["main", "lake"]\n{dicomweb(cloud)}\n'
        )
        done = clinic.run("audit", "--format", "json")
    assert done.returncode == 1, done.stderr
    audit = json.loads(done.stdout)
    rows = {row["primary"]: row for row in audit["comparisons"]}
    assert {name: row["studies"] for name, row in rows.items()} == {
        "main": {"total": 3, "protected": 3, "pending": 0, "gap": 0, "not_checked": 0},
        "lake": {"total": 3, "protected": 2, "pending": 0, "gap": 1, "not_checked": 0},
    }
    assert rows["lake"]["instances"]["missing"] == 1
    for row in rows.values():
        assert row["extra"]["not_known_on_primary"] == {"studies": 1, "instances": 1}


def test_a_gap_of_a_first_audit_is_none_the_younger_in_the_next(kind: Kind, tmp_path: Path) -> None:
    """A PACS tells no file times: that an image was first seen an hour ago does not make it an hour old."""
    with orthanc() as server:
        clinic = Clinic(tmp_path, backups=())
        clinic.fill(2, 2)
        fill(server, clinic)
        clinic.path("pacs", 1, 1).unlink()
        (tmp_path / "exactcopy.toml").write_text(
            f'facility = "Test"\n[primary.main]\n{kind(server)}\n[backup.usb]\nkind = "folder"\npath = "pacs"\n'
        )
        audits = [json.loads(clinic.run("audit", "--format", "json").stdout) for _ in range(2)]
    for audit in audits:
        assert outcomes(audit, "usb") == {EXACT[kind]: 3, "missing": 1}
