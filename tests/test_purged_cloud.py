"""What a console purged is still known by the checksums of a bucket, as it was while it was there."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.clinic import Clinic, audit_at, store
from tests.servers import seaweed
from tests.test_cloud_audit import Bucket, log_in
from tests.test_purged_audit import MONTH, NOW, put, remove


@pytest.mark.usefixtures("lean")
def test_a_bucket_still_clears_by_its_checksums_what_the_console_purged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic = Clinic(tmp_path, backups=("nas",), stores={"pacs": 'keeps = "45d"'})
    for study, age in enumerate((40, 50, 5)):
        put(clinic, study, NOW - timedelta(days=age))
    with seaweed() as server:
        bucket = Bucket(clinic, server, "purged")
        bucket.led_to(server.endpoint)
        bucket.upload(clinic.pacs, flat=True)
        log_in(server, monkeypatch)
        audit_at(clinic, NOW)
        remove(clinic, 0, "pacs")
        remove(clinic, 1, "pacs")
        bucket.delete(bucket.uploaded["study 1/0.dcm"])
        audit = audit_at(clinic, NOW + MONTH)
    counts = store(audit, "pacs")["purged"]
    assert (counts["purged"], counts["on_two"], counts["on_one"]) == (2, 1, 1)
    assert store(audit, "cloud")["read_bytes"] == 0, "nothing was downloaded to know that"
