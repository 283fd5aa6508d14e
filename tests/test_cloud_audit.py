"""Audits of backups in a cloud, by the real command line, against real servers."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clinic import Clinic, findings, outcomes, store
from tests.servers import S3Server, seaweed


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """A server that reports MD5 as ETags."""
    with seaweed() as running:
        yield running


@pytest.fixture
def clinic(tmp_path: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Clinic:
    """A clinic with an S3 backup named `cloud` in place of its folders."""
    bucket = f"images-{os.getpid()}-{abs(hash(tmp_path)) % 10**8}"
    clinic = Clinic(tmp_path, backups=())
    clinic.fill(studies=4, instances=2)
    clinic.settings = "\n".join(
        (
            "[backup.cloud]",
            'kind = "s3"',
            f'bucket = "{bucket}"',
            f'endpoint = "{server.endpoint}"',
            'held_by = "Cloud Ltd"',
            "offsite = true",
            "cost = { per_tb_month = 6, egress_per_gb = 0.01 }",
        )
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.auditor.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.auditor.secret)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    admin = server.admin()
    admin.create_bucket(Bucket=bucket)
    for path in sorted(path for path in clinic.pacs.rglob("*") if path.is_file()):
        admin.put_object(Bucket=bucket, Key=str(path.relative_to(clinic.pacs)), Body=path.read_bytes())
    return clinic


def bucket_of(clinic: Clinic) -> str:
    """Give the name of the bucket."""
    return clinic.settings.split('bucket = "')[1].split('"')[0]


def row(audit: dict[str, Any]) -> dict[str, Any]:
    """Give the one comparison."""
    (found,) = audit["comparisons"]
    return dict(found)


def test_a_whole_bucket_is_audited_and_restored(clinic: Clinic) -> None:
    audit = clinic.audit(expected=1)
    assert outcomes(audit, "cloud") == {"identical": 8}
    assert row(audit)["assurance"] == {"listed": 0, "reported": 0, "read": 0, "restored": 8}
    assert findings(audit) == {("agreement-on-record", "cloud"): "critical"}
    size = sum(path.stat().st_size for path in clinic.pacs.rglob("*") if path.is_file())
    cloud = store(audit, "cloud")
    assert (cloud["yearly_cost"], cloud["paid_once"]) == (pytest.approx(12 * 6 * size / 1e12), None)
    assert cloud["read_back_cost"] == pytest.approx(0.01 * size / 1e9)
    assert "a year and $0.00 to read all of it back" in (clinic.record() / "report.html").read_text(encoding="utf-8")


def test_planted_faults_in_a_bucket_are_found_exactly(clinic: Clinic, server: S3Server) -> None:
    admin, bucket = server.admin(), bucket_of(clinic)
    rotten = bytearray(clinic.path("pacs", 1, 0).read_bytes())
    rotten[-2000] ^= 1
    admin.put_object(Bucket=bucket, Key="study 1/0.dcm", Body=bytes(rotten))
    admin.delete_object(Bucket=bucket, Key="study 2/0.dcm")
    moved = clinic.path("pacs", 3, 0).read_bytes()
    admin.delete_object(Bucket=bucket, Key="study 3/0.dcm")
    admin.put_object(Bucket=bucket, Key="elsewhere/renamed", Body=moved)
    admin.put_object(Bucket=bucket, Key="notes.txt", Body=b"no image")
    whole = clinic.path("pacs", 0, 0).read_bytes()
    admin.put_object(Bucket=bucket, Key="study 0/0.dcm", Body=whole[:-1000])
    audit = clinic.audit(expected=1)
    assert outcomes(audit, "cloud") == {"identical": 5, "different": 1, "missing": 1, "unreadable": 1}
    assert store(audit, "cloud")["not_dicom"] == 1
    assert row(audit)["studies"] == {"total": 4, "protected": 1, "pending": 0, "gap": 3, "not_checked": 0}


def test_a_wrong_secret_is_said_and_nothing_is_called_missing(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    audit = clinic.audit(expected=3)
    assert outcomes(audit, "cloud") == {"unknown": 8}
    said = clinic.run("check").stdout
    assert "cloud: the secret does not belong to the access key ID" in said
