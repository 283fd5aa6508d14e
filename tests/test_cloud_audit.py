"""Audits of backups in S3 and Backblaze B2, by the real command line, against real servers."""

import csv
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from tests.clinic import Clinic, findings, outcomes, store
from tests.faults import EXTRA, FACTS, FINDINGS, INSTANCES, OUTCOMES, STUDIES, STUDY_STATES, plant
from tests.s3_proxy import Proxy, Rewrite, passing
from tests.servers import S3Server, moto, seaweed


@dataclass
class Bucket:
    """A bucket that is the backup `cloud` of a clinic."""

    clinic: Clinic
    server: S3Server
    name: str
    versioned: bool = False
    uploaded: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the bucket; one of Backblaze B2 always keeps versions."""
        self.admin = self.server.admin()
        self.admin.create_bucket(Bucket=self.name)
        if self.versioned:
            self.admin.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})

    def led_to(self, endpoint: str) -> None:
        """Let the clinic reach it at `endpoint`."""
        self.clinic.settings = "\n".join(
            (
                "[backup.cloud]",
                'kind = "s3"',
                f'bucket = "{self.name}"',
                'prefix = "pictures/"',
                f'endpoint = "{endpoint}"',
                f'held_by = "{"Backblaze" if self.versioned else "Amazon"}"',
                "offsite = true",
                "cost = { per_tb_month = 6, egress_per_gb = 0.01 }",
            )
        )

    def put(self, key: str, data: bytes) -> None:
        """Store an object."""
        self.admin.put_object(Bucket=self.name, Key=f"pictures/{key}", Body=data)

    def put_in_parts(self, key: str, data: bytes, size: int, **how: str) -> None:
        """Store an object as uploads of large files do."""
        where = {"Bucket": self.name, "Key": f"pictures/{key}"}
        upload = self.admin.create_multipart_upload(**where, **how)["UploadId"]
        parts = []
        for number, start in enumerate(range(0, len(data), size), 1):
            part = self.admin.upload_part(
                **where, UploadId=upload, PartNumber=number, Body=data[start : start + size], **how
            )
            checksums = {name: value for name, value in part.items() if name.startswith("Checksum")}
            parts.append({"PartNumber": number, "ETag": part["ETag"], **checksums})
        self.admin.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})

    def delete(self, key: str) -> None:
        """Delete an object, as who uses the bucket would."""
        self.admin.delete_object(Bucket=self.name, Key=f"pictures/{key}")

    def upload(self, folder: Path, *, flat: bool = False) -> None:
        """Store all files of a folder; `flat`, under names that tell nothing."""
        for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
            key = f"object-{number:04}" if flat else str(path.relative_to(folder))
            self.uploaded[str(path.relative_to(folder))] = key
            self.put(key, path.read_bytes())


@pytest.fixture(scope="module")
def weed() -> Iterator[S3Server]:
    """A server that reports MD5 as ETags, and keeps versions."""
    with seaweed() as running:
        yield running


@pytest.fixture(scope="module")
def mock() -> Iterator[S3Server]:
    """A mock of AWS that does not look at signatures, so that a proxy may change what was signed."""
    with moto() as running:
        yield running


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    """A clinic without folders as backups."""
    return Clinic(tmp_path, backups=())


def log_in(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command line find the auditor's keys."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.auditor.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.auditor.secret)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture(params=[False, True], ids=["S3", "Backblaze B2: keeps versions"])
def bucket(request: pytest.FixtureRequest, clinic: Clinic, weed: S3Server, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket, of a service that keeps versions or of one that does not."""
    log_in(weed, monkeypatch)
    return Bucket(clinic, weed, f"b{abs(hash(str(clinic.root))) % 10**10}", versioned=request.param)


def row(audit: dict[str, Any]) -> dict[str, Any]:
    """Give the one comparison."""
    (found,) = audit["comparisons"]
    return dict(found)


def test_without_a_fault_only_the_test_restore_downloads(bucket: Bucket) -> None:
    bucket.clinic.fill(studies=4, instances=2)
    bucket.upload(bucket.clinic.pacs)
    with passing(bucket.server.endpoint) as proxy:
        bucket.led_to(proxy.endpoint)
        audit = bucket.clinic.audit(expected=1)
    size = sum(path.stat().st_size for path in bucket.clinic.pacs.rglob("*.dcm"))
    assert outcomes(audit, "cloud") == {"identical": 8}
    assert row(audit)["assurance"] == {"listed": 0, "reported": 0, "read": 0, "restored": 8}
    assert findings(audit) == {
        ("agreement-on-record", "cloud"): "critical",
        # What a bucket without further settings lacks.
        ("encrypted-at-rest", "cloud"): "high",
        ("access-is-logged", "cloud"): "high",
    }
    # Zero bytes of content beyond the restore: each object once, whole.
    assert sorted(one.size for one in proxy.content()) == sorted(
        path.stat().st_size for path in bucket.clinic.pacs.rglob("*.dcm")
    )
    # One for the names at the top, and the one page below each.
    assert proxy.listings() == 1 + 4
    cloud, (restore,) = store(audit, "cloud"), audit["restore_tests"]
    assert (cloud["read_bytes"], cloud["egress_cost"], cloud["asked"]) == (0, 0, 0)
    assert restore["egress_cost"] == pytest.approx(0.01 * size / 1e9)
    assert (cloud["yearly_cost"], cloud["paid_once"]) == (pytest.approx(12 * 6 * size / 1e12), None)
    assert cloud["read_back_cost"] == pytest.approx(0.01 * size / 1e9)


def test_each_planted_fault_has_its_outcome(bucket: Bucket) -> None:
    clinic = bucket.clinic
    clinic.fill(STUDIES, INSTANCES)
    shutil.copytree(clinic.pacs, clinic.root / "planted")
    plant(clinic, "planted")
    bucket.upload(clinic.root / "planted", flat=True)
    bucket.led_to(bucket.server.endpoint)
    audit = clinic.audit(expected=1)
    assert outcomes(audit, "cloud") == OUTCOMES
    assert row(audit)["studies"] == STUDY_STATES
    assert row(audit)["extra"] == EXTRA
    assert row(audit)["reported_by"] == {"md5": 16}
    facts = store(audit, "cloud")
    assert {name: facts[name] for name in FACTS} == FACTS
    assert {check: severity for (check, _), severity in findings(audit).items() if check in FINDINGS} == FINDINGS


def test_what_was_deleted_in_a_bucket_is_missing_and_recoverable_where_versions_are_kept(bucket: Bucket) -> None:
    clinic = bucket.clinic
    clinic.fill(studies=4, instances=2)
    bucket.upload(clinic.pacs)
    bucket.led_to(bucket.server.endpoint)
    clinic.audit(expected=1)
    bucket.delete("study 2/0.dcm")
    bucket.delete("study 3/0.dcm")
    bucket.delete("study 3/1.dcm")
    audit = clinic.audit(expected=1)
    assert outcomes(audit, "cloud") == {"identical": 5, "missing": 3}
    assert row(audit)["recoverable"] == (3 if bucket.versioned else 0)
    with (clinic.record() / "restricted/worklist-cloud.csv").open(encoding="utf-8", newline="") as file:
        versions = [line["version_of_copy"] for line in csv.DictReader(file)]
    assert len(versions) == 3
    for version in filter(None, versions):
        pages = bucket.admin.list_object_versions(Bucket=bucket.name)["Versions"]
        assert version in {one["VersionId"] for one in pages}
    assert all(versions) == bucket.versioned


def big(clinic: Clinic) -> bytes:
    """Give an image of the primary of more than 5 MiB, the least that a part may have."""
    path = clinic.add(9, 0)
    dataset = dcmread(path)
    dataset.Rows, dataset.Columns = 1800, 2000
    dataset.PixelData = np.random.default_rng(1).integers(0, 4096, (1800, 2000), dtype=np.uint16).tobytes()
    dataset.save_as(path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("bucket", "how"),
    [(False, {}), (True, {"ChecksumAlgorithm": "SHA256"})],
    ids=["S3-ETag of parts", "Backblaze B2: keeps versions-composite SHA-256"],
    indirect=["bucket"],
)
def test_a_multipart_object_is_cleared_by_its_parts(bucket: Bucket, how: dict[str, str]) -> None:
    clinic = bucket.clinic
    clinic.fill(studies=1, instances=1)
    bucket.upload(clinic.pacs)
    data = big(clinic)
    bucket.put_in_parts("study 9/0.dcm", data, 5 * 1024 * 1024, **how)
    bucket.led_to(bucket.server.endpoint)
    audit = clinic.audit(expected=1)
    assert outcomes(audit, "cloud") == {"identical": 2}
    assert (store(audit, "cloud")["asked"], store(audit, "cloud")["read_bytes"]) == (1, 0)
    # Told once, it holds: the next audit asks nothing.
    audit = clinic.audit(expected=1)
    assert (store(audit, "cloud")["asked"], store(audit, "cloud")["read_bytes"]) == (0, 0)
    # Rotten on the way up, it is read, and found to differ.
    bucket.put_in_parts("study 9/0.dcm", data[:-2000] + b"\xff" + data[-1999:], 5 * 1024 * 1024, **how)
    assert outcomes(clinic.audit(expected=1), "cloud") == {"identical": 1, "different": 1}


def mirrored(text: bytes) -> bytes:
    """Turn every MD5 in quotes into another thing that looks like one; twice, and it is the first again."""
    digits = bytes.maketrans(b"0123456789abcdef", b"fedcba9876543210")
    return re.sub(
        rb"(\"|&quot;|&#34;)([0-9a-f]{32})(?=-?\d*(?:\"|&quot;|&#34;))",
        lambda found: found[1] + found[2].translate(digits),
        text,
    )


def opaque(text: bytes) -> bytes:
    """Turn every MD5 in quotes into what looks like none."""
    return re.sub(rb"(\"|&quot;|&#34;)([0-9a-f]{32})(?=\"|&quot;|&#34;)", rb"\1opaque-\2", text)


def clear(text: bytes) -> bytes:
    """Turn it back."""
    return text.replace(b"opaque-", b"")


KMS = {"x-amz-server-side-encryption": "aws:kms"}


@pytest.mark.parametrize(
    ("back", "there", "also", "studies", "asked"),
    [
        # It lies about each, and stands by it: that is asked of the first where many are in a row.
        (mirrored, mirrored, {}, 2, 0),
        (mirrored, mirrored, {}, 12, 0),
        # With a key of its owner's an ETag is the MD5 of nothing: the first answer tells, then each is asked.
        (mirrored, mirrored, KMS, 12, 24),
        # What has no checksum in the listing is asked for one, and has none.
        (opaque, clear, {}, 2, 4),
    ],
    ids=["lying ETags", "many lying ETags", "SSE-KMS", "no checksum at all"],
)
def test_a_mock_whose_etags_are_no_checksums_is_read(
    clinic: Clinic,
    mock: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    back: Rewrite,
    there: Rewrite,
    also: dict[str, str],
    studies: int,
    asked: int,
) -> None:
    log_in(mock, monkeypatch)
    bucket = Bucket(clinic, mock, f"b{abs(hash(str(clinic.root))) % 10**10}")
    clinic.fill(studies, instances=2)
    bucket.upload(clinic.pacs)
    with passing(mock.endpoint, back=back, there=there, also=also) as proxy:
        bucket.led_to(proxy.endpoint)
        audit = clinic.audit(expected=1)
    assert outcomes(audit, "cloud") == {"identical": 2 * studies}
    assert row(audit)["reported_by"] == {}
    assert store(audit, "cloud")["asked"] == asked
    read = Proxy.content(proxy)
    assert len({one.key for one in read}) == 2 * studies
    size = sum(path.stat().st_size for path in clinic.pacs.rglob("*.dcm"))
    assert store(audit, "cloud")["read_bytes"] >= size
    # Each byte that the audit says it read was sent, and the restore's beside.
    assert sum(one.size for one in read) == store(audit, "cloud")["read_bytes"] + audit["restore_tests"][0]["bytes"]


@pytest.mark.parametrize("bucket", [False], ids=["S3"], indirect=True)
def test_archives_in_a_bucket_are_counted(bucket: Bucket) -> None:
    clinic = bucket.clinic
    clinic.fill(studies=2, instances=1)
    shutil.make_archive(str(clinic.root / "old"), "zip", clinic.pacs)
    shutil.make_archive(str(clinic.root / "older"), "gztar", clinic.pacs)
    bucket.put("old.zip", (clinic.root / "old.zip").read_bytes())
    bucket.put("older.tar.gz", (clinic.root / "older.tar.gz").read_bytes())
    bucket.led_to(bucket.server.endpoint)
    audit = clinic.audit(expected=1)
    assert outcomes(audit, "cloud") == {"missing": 2}
    assert store(audit, "cloud")["problems"] == {"archive": 2}
    shown = " ".join((clinic.record() / "report.html").read_text(encoding="utf-8").split())
    assert "2 archives on cloud were not opened" in re.sub("<[^>]*>", "", shown)


def test_on_a_mock_what_lies_in_cold_storage_is_not_tested_and_says_so(
    clinic: Clinic, mock: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(mock, monkeypatch)
    bucket = Bucket(clinic, mock, "cold")
    clinic.fill(studies=3, instances=2)
    bucket.upload(clinic.pacs)
    for key in ("study 0/1.dcm", "study 2/0.dcm"):
        cold = clinic.path("pacs", int(key[6]), int(key[8])).read_bytes()
        bucket.admin.put_object(Bucket=bucket.name, Key=f"pictures/{key}", Body=cold, StorageClass="GLACIER")
    bucket.led_to(mock.endpoint)
    audit = clinic.audit(expected=3)
    (restore,) = audit["restore_tests"]
    assert (restore["restored"], restore["failed"], restore["not_tested"]) == (1, 0, 2)
    assert restore["problems"] == {"in_cold_storage": 2}
    told = " ".join(each["observed"] for each in audit["controls"])
    assert (
        "2 studies of cloud could not be tested: they lie in cold storage, at least in part. Have the provider" in told
    )
    assert "restore-succeeded" not in {finding["check"] for finding in audit["findings"]}
    # Nothing came back wrong: what their checksums say still holds, and the audit is not complete.
    assert outcomes(audit, "cloud") == {"identical": 6}
    assert audit["complete"] is False
    # Known by their checksums, and cold all the same: how long a recovery takes is not known.
    assert store(audit, "cloud")["archived"] == 2
    (rto,) = [each for each in audit["controls"] if each["id"] == "EC-DR-04"]
    assert rto["status"] == "not checked"
    assert "2 files in cold storage have to be thawed first" in rto["observed"]
    shown = re.sub("<[^>]*>", "", (clinic.record() / "report.html").read_text(encoding="utf-8"))
    assert shown.count("2 files in cold storage, to be thawed first") == 3


def test_on_a_mock_behind_rclone_cold_storage_is_counted_and_not_tested(
    clinic: Clinic, mock: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket(clinic, mock, "colder")
    clinic.fill(studies=3, instances=2)
    bucket.upload(clinic.pacs)
    cold = clinic.path("pacs", 1, 0).read_bytes()
    bucket.admin.put_object(Bucket=bucket.name, Key="pictures/study 1/0.dcm", Body=cold, StorageClass="DEEP_ARCHIVE")
    settings = {
        "TYPE": "s3",
        "PROVIDER": "AWS",
        "ENDPOINT": mock.endpoint,
        "REGION": "us-east-1",
        "FORCE_PATH_STYLE": "true",
        "ACCESS_KEY_ID": mock.auditor.id,
        "SECRET_ACCESS_KEY": mock.auditor.secret,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"RCLONE_CONFIG_AMAZON_{name}", value)
    clinic.settings = '[backup.cloud]\nkind = "rclone"\nremote = "amazon:colder/pictures"\nheld_by = "Amazon"\n'
    audit = clinic.audit(expected=3)
    assert (store(audit, "cloud")["archived"], store(audit, "cloud")["unread"]) == (1, 0)
    (restore,) = audit["restore_tests"]
    assert (restore["restored"], restore["not_tested"], restore["problems"]) == (2, 1, {"in_cold_storage": 1})
    assert outcomes(audit, "cloud") == {"identical": 6}


@pytest.mark.parametrize("bucket", [False], ids=["S3"], indirect=True)
def test_an_account_that_may_list_and_not_read_is_told_so(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.clinic.fill(studies=2, instances=2)
    bucket.upload(bucket.clinic.pacs)
    bucket.led_to(bucket.server.endpoint)
    assert bucket.server.lister
    login = bucket.clinic.root / "credentials"
    keys = (bucket.server.lister.id, bucket.server.lister.secret)
    login.write_text("[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n".format(*keys))
    login.chmod(0o640)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(login))
    bucket.clinic.configure()
    assert "✗ cloud: other accounts of this computer may read credentials" in bucket.clinic.run("check").stdout
    login.chmod(0o600)
    assert "other accounts" not in bucket.clinic.run("check").stdout
    assert (
        "✗ cloud: it can be listed and not read. Grant the account that audits the right to read, too.\n"
        in bucket.clinic.run("check").stdout
    )
    audit = bucket.clinic.audit(expected=3)
    assert audit["restore_tests"][0]["problems"] == {"not_permitted": 2}
    (told,) = [finding for finding in audit["findings"] if finding["check"] == "restore-succeeded"]
    assert told["message"].endswith(" Images of 2 studies may not be read by the account that audits.")
    assert told["remedy"][0] == "Grant the account that audits the right to read."
    assert outcomes(audit, "cloud") == {"unverified": 4}


@pytest.mark.parametrize("bucket", [False], ids=["S3"], indirect=True)
def test_a_wrong_secret_is_said_and_nothing_is_called_missing(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.clinic.fill(studies=4, instances=2)
    bucket.upload(bucket.clinic.pacs)
    bucket.led_to(bucket.server.endpoint)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    audit = bucket.clinic.audit(expected=3)
    assert outcomes(audit, "cloud") == {"unknown": 8}
    (told,) = [finding for finding in audit["findings"] if finding["check"] == "store-examined"]
    assert told["message"] == "cloud could not be signed in to: the stored login is missing, wrong, or has expired."
    assert told["to_check"] == [
        "Does the network reach it, and does the sign-in of the account that audits still hold?"
    ]
    said = bucket.clinic.run("check").stdout
    assert "cloud: the secret does not belong to the access key ID" in said
