"""An audit by the workers of a Dask scheduler: a real one, with workers that are killed."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from exactcopy.cluster import Cluster
from exactcopy.errors import WorkersUnavailable
from exactcopy.inventory.database import see
from tests.clinic import LONG_AGO, Clinic, environment, outcomes
from tests.cluster_tasks import ready
from tests.dask_workers import Dask, dask
from tests.servers import ADMIN, Keys, S3Server, seaweed
from tests.test_killed import figures

NAMES = ("a", "b poison", "c", "d", "e")
RUN = [sys.executable, "-m", "tests.cluster_tasks", "run"]


def login(keys: Keys) -> dict[str, str]:
    """Give the environment of an account that has them."""
    return {
        "AWS_ACCESS_KEY_ID": keys.id,
        "AWS_SECRET_ACCESS_KEY": keys.secret,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    """A scheduler that gives up a task with its first worker, and two workers; one has a nanny."""
    settings = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0", **login(ADMIN)}
    with dask(tmp_path_factory.mktemp("dask"), **settings) as started:
        started.add("one")
        started.add("two", "--no-nanny")
        yield started


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    """A clinic with faults that each step of an audit has to find."""
    clinic = Clinic(tmp_path / "clinic")
    clinic.fill(studies=12, instances=5)
    clinic.path("nas", 1, 0).unlink()
    for store, study, at in (("usb", 2, -1000), ("nas", 3, None)):
        path = clinic.path(store, study, 0)
        data = bytearray(path.read_bytes())
        if at is None:
            # A pixel.
            data[len(data) // 2] ^= 255
        path.write_bytes(data[:at])
        clinic.set_age(path, LONG_AGO)
    # Slow enough to be killed meanwhile.
    clinic.stores["pacs"] = 'max_rate = "1MB"'
    return clinic


def copied(clinic: Clinic, root: Path) -> Clinic:
    """Give the same clinic, with no audit in it yet, elsewhere."""
    other = Clinic(root, settings=clinic.settings, stores=clinic.stores)
    for name in ("pacs", *clinic.backups):
        shutil.copytree(clinic.root / name, root / name, dirs_exist_ok=True)
    return other


def begin(clinic: Clinic, *arguments: str) -> "subprocess.Popen[str]":
    """Begin a command on the cluster, with parts of a few files."""
    clinic.configure()
    return subprocess.Popen(
        [*RUN, *arguments],
        cwd=clinic.root,
        env=environment(pdf=False),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Give what came of a command."""
    out, err = process.communicate(timeout=180)
    return process.returncode, out, err


def parts(clinic: Clinic) -> list[Path]:
    """Give the parts of the primary's inventory that are there."""
    return sorted(clinic.root.glob(".exactcopy/unfinished/*/stores/pacs/part-*.parquet"))


def wait_for_parts(clinic: Clinic, process: "subprocess.Popen[str]", count: int) -> None:
    """Return while the primary is being read."""
    while process.poll() is None and len(parts(clinic)) < count:
        time.sleep(0.02)
    assert process.poll() is None, done(process)
    assert len(parts(clinic)) < 15


def in_cloud(clinic: Clinic, server: S3Server) -> None:
    """Let the clinic have one more backup, in a bucket, with an image missing there."""
    admin = server.admin()
    admin.create_bucket(Bucket="copies")
    for path in sorted(clinic.pacs.rglob("*.dcm"))[1:]:
        admin.put_object(Bucket="copies", Key=str(path.relative_to(clinic.pacs)), Body=path.read_bytes())
    admin.close()
    cloud = f'kind = "s3"\nbucket = "copies"\nendpoint = "{server.endpoint}"\nheld_by = "Amazon"\nread = "all"'
    clinic.settings = f"[backup.cloud]\n{cloud}"


def test_an_audit_finds_the_same_there_although_workers_are_killed(
    clinic: Clinic, cluster: Dask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with seaweed() as server:
        in_cloud(clinic, server)
        # The workers sign in with keys of their own.
        for name, value in login(server.auditor).items():
            monkeypatch.setenv(name, value)
        same_although_killed(clinic, cluster, tmp_path)


def _differing(found: Any, expected: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield each place where two records differ, and what is there."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in {**found, **expected}:
            yield from _differing(found.get(key), expected.get(key), f"{path}.{key}")
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            yield from _differing(one, other, f"{path}[{number}]")
    elif found != expected:
        yield path, found, expected


def same_although_killed(clinic: Clinic, cluster: Dask, tmp_path: Path) -> None:
    """Hold an audit by workers against one without."""
    expected = copied(clinic, tmp_path / "alone").audit(expected=1)
    assert outcomes(expected, "nas") == {"identical": 58, "different": 1, "missing": 1}
    assert outcomes(expected, "usb") == {"identical": 59, "unreadable": 1}
    assert outcomes(expected, "cloud") == {"identical": 59, "missing": 1}
    clinic.settings = f'workers = "{cluster.address}"\n{clinic.settings}'
    process = begin(clinic, "audit", "--format", "json")
    wait_for_parts(clinic, process, 2)
    cluster.kill("two")
    cluster.add("three", "--no-nanny")
    code, printed, said = done(process)
    assert code == 1, said
    # No word of a client or of a worker that is gone.
    assert [line[:11] for line in said.splitlines()] == ["report.pdf:"], said
    found = figures(json.loads(printed))
    told = [key for key in expected if found.get(key) != figures(expected).get(key)]
    assert not told, list(_differing(found, figures(expected)))
    assert not list(cluster.root.rglob("exactcopy-*")), "what a worker had in its own folder goes in every ending"
    log = cluster.log()
    assert not [name for name in ("Secretname", "SECRET", "2.25.", "study ", ".dcm") if name in log]


def certified(folder: Path) -> dict[str, str]:
    """Give Dask's own settings of TLS, as an administrator would write them."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "cert.pem")
    certs = {f"DASK_DISTRIBUTED__COMM__TLS__{who}__CERT" for who in ("SCHEDULER", "WORKER", "CLIENT")}
    return {
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(folder / "ca.pem"),
        **dict.fromkeys(certs, str(folder / "cert.pem")),
    }


def test_what_was_read_is_kept_where_an_audit_is_stopped_or_the_scheduler_goes(
    clinic: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "dask"
    place.mkdir()
    for name, value in certified(place).items():
        monkeypatch.setenv(name, value)
    clinic.stores["pacs"] = 'max_rate = "400KB"'
    with dask(place, "tls") as started:
        started.add("worker", "--no-nanny")
        clinic.settings = f'workers = "{started.address}"'
        process = begin(clinic, "audit", "--format", "json")
        wait_for_parts(clinic, process, 1)
        assert len(started.working("worker")) == 1
        process.send_signal(signal.SIGINT)
        assert done(process)[0] == 128 + signal.SIGINT
        until = time.monotonic() + 20
        while started.working("worker"):
            assert time.monotonic() < until, "a task is worked on that nobody waits for"
            time.sleep(0.05)
        process = begin(clinic, "audit", "--format", "json")
        wait_for_parts(clinic, process, 3)
        started.kill("worker")
        assert process.stderr is not None
        assert process.stderr.readline() == f"workers: none is left at {started.address}. Waiting for another one.\n"
        kept = parts(clinic)
        started.add("another", "--no-nanny")
        wait_for_parts(clinic, process, len(kept) + 1)
        started.stop_scheduler()
        code, _, said = done(process)
    gone = f"workers: the scheduler at {started.address} is gone. Start it. Then audit again: what was read is kept.\n"
    assert (code, said) == (2, gone)
    assert not (clinic.root / ".exactcopy" / "scratch").exists()
    written = {part: part.stat().st_mtime_ns for part in parts(clinic)}
    assert written.keys() > set(kept)
    # By itself, this computer goes on from there.
    clinic.settings = ""
    process = begin(clinic, "audit", "--format", "json")
    while process.poll() is None and not list(clinic.root.glob(".exactcopy/unfinished/*/stores/nas/listing.json")):
        time.sleep(0.01)
    assert {part: part.stat().st_mtime_ns for part in parts(clinic) if part in written} == written
    code, printed, said = done(process)
    assert code == 1, said
    assert outcomes(json.loads(printed), "nas") == {"identical": 58, "different": 1, "missing": 1}


def test_tasks_fail_alone_and_what_a_cluster_lacks_is_said(cluster: Dask, tmp_path: Path) -> None:
    place, folder = tmp_path / "dask", tmp_path / "shared"
    place.mkdir()
    folder.mkdir()
    with dask(place) as empty:
        command = [*RUN[:-1], "map", cluster.address, empty.address, str(folder)]
        said = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    results = json.loads(said.stdout)
    assert results.pop("raised") == "code where: it failed. Mend it."
    assert results.pop("nowhere") == (
        "workers: no Dask scheduler answers at tcp://127.0.0.1:9. Start it, or mend the address."
    )
    assert results.pop("uncertified") == (
        "workers: tls://127.0.0.1:9 asks for TLS, and Dask's own settings here name no certificate that can be read."
        " Set distributed.comm.tls.ca-file and distributed.comm.tls.client.cert."
    )
    assert results.pop("empty") == (
        f"workers: none joined the scheduler at {empty.address}. Start some:"
        f" `dask worker {empty.address} --nthreads 1`."
    )
    assert re.fullmatch(
        r"workers: tcp://127.0.0.1:\d+ does not see /proc/self/cwd. Let every worker have the folder of the"
        r" configuration at the same path, and run as the account that audits.",
        results.pop("apart"),
    )
    assert re.fullmatch(
        r"workers: tcp://127.0.0.1:\d+ has duckdb [0-9.]+, and 1.9 audits. Install the same .*", results.pop("older")
    )
    known, size, again, told, parts = json.loads(results.pop("read"))
    assert known == [[name, *((False, "io_error") if "poison" in name else (True, "not_dicom"))] for name in NAMES]
    assert (size, again, told, parts) == (5 * 1000, 0, [5, 5000], ["part-0000000.parquet"])
    died = {task for task, result in results.items() if result == "Died()"}
    assert died == {"hang", f"kill {folder}"}
    assert {task: result for task, result in results.items() if task not in died} == {
        f"task {number}": f"TASK {number}" for number in range(5)
    }
    # Once beside others, and twice by itself.
    assert sum(path.name.isdecimal() for path in folder.iterdir()) == 3
    assert not list(folder.glob("probe*"))
    assert said.stderr == ""


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(WorkersUnavailable, match=r"^workers: .*: pip install \"exactcopy\[dask\]\"$"),
        Cluster("tcp://127.0.0.1:9", tmp_path, ready),
    ):
        raise AssertionError


def test_check_looks_at_the_cluster(clinic: Clinic, cluster: Dask) -> None:
    clinic.settings = f'workers = "{cluster.address}"'
    _, printed, _ = done(begin(clinic, "check"))
    # One worker may just be on its way back.
    said = (
        rf"✓ {cluster.address}: 1 computer does (1 task|2 tasks) at once, with this version, and .exactcopy is shared."
    )
    assert sum(re.fullmatch(said, line) is not None for line in printed.splitlines()) == 1, printed


def test_what_a_worker_wrote_has_to_show_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exactcopy.inventory.database._SEEN_SECONDS", 0.3)
    there, elsewhere = tmp_path / "part-0000000.parquet", tmp_path / "part-0000001.parquet"
    there.touch()
    see([there])
    with pytest.raises(WorkersUnavailable, match=r"^workers: part-0000001\.parquet, .* does not show here\."):
        see([there, elsewhere])
