"""Listing and reading S3, beside boto3's bare paginator and `rclone hashsum --download`: `python -m benchmarks.s3`."""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from time import perf_counter

from exactcopy.model import Copy, Problem, Role, Target
from exactcopy.pool import Died, Pool
from exactcopy.stores import open_store
from tests.servers import S3Server, binary, rclone_s3

_ROOT = Path(__file__).parents[1]
_LISTING = "exactcopy listing"
_PAGINATOR = "boto3's bare paginator"
_READING = "exactcopy read and SHA-256"
_HASHSUM = "rclone hashsum --download"


def main() -> int:
    """Start a server, fill it, run each pair in turn on it and print a table."""
    parser = argparse.ArgumentParser(prog="benchmarks.s3", description=__doc__)
    parser.add_argument("--keys", type=int, default=20_000, help="keys to list")
    parser.add_argument("--objects", type=int, default=1000, help="objects to read")
    parser.add_argument("--size", type=int, default=512, help="KB of an object to read")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with rclone_s3() as server:
        _fill(server, "keys", options.keys, 1)
        _fill(server, "objects", options.objects, options.size * 1024)
        print(f"Listing {options.keys} keys of `rclone serve s3` on this computer")
        print(_table(_rounds(server, [_LISTING, _PAGINATOR], options), options.keys, "keys/s"))
        megabytes = options.objects * options.size * 1024 / 1e6
        print(f"\nReading {options.objects} objects of {options.size} KB from it, {options.workers} workers")
        print(_table(_rounds(server, [_READING, _HASHSUM], options), megabytes, "MB/s"))
    return 0


def _fill(server: S3Server, bucket: str, count: int, size: int) -> None:
    """Put `count` objects of `size` bytes into the folder that the server shows, some hundred in each study."""
    admin = server.admin()
    admin.create_bucket(Bucket=bucket)
    admin.close()
    if server.folder is None:
        raise SystemExit("this server has no folder")
    data = Random(1)  # noqa: S311
    for number in range(count):
        study = server.folder / bucket / f"ST{number // 400:04}"
        study.mkdir(exist_ok=True)
        (study / f"IM{number:06}.dcm").write_bytes(data.randbytes(size))


def _rounds(server: S3Server, names: Sequence[str], options: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(options.rounds + 1):
        for name in names:
            run = _measure(server, name, options.workers)
            # The first round fills the caches and is not counted.
            if number:
                runs[name].append(run)
    return runs


def _measure(server: S3Server, name: str, workers: int) -> dict[str, float]:
    """Run one of `_STEPS` in a process of its own, so that the peak is its alone."""
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": server.auditor.id,
        "AWS_SECRET_ACCESS_KEY": server.auditor.secret,
        "RCLONE_CONFIG_BENCH_TYPE": "s3",
        "RCLONE_CONFIG_BENCH_PROVIDER": "Rclone",
        "RCLONE_CONFIG_BENCH_ENDPOINT": server.endpoint,
        "RCLONE_CONFIG_BENCH_ENV_AUTH": "true",
    }
    command = [sys.executable, "-m", "benchmarks.s3", "--probe", name, server.endpoint, str(workers)]
    said = subprocess.run(command, cwd=_ROOT, env=environment, check=True, stdout=subprocess.PIPE).stdout
    run: dict[str, float] = json.loads(said.splitlines()[-1])
    return run


def probe(name: str, endpoint: str, workers: int) -> None:
    """Take one step and print what it took: seconds, those of all its processors, MB at its peak."""
    seconds = _STEPS[name](endpoint, workers)
    # Linux counts in KB, macOS in bytes. RUSAGE_CHILDREN is the largest descendant, not their sum.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    used = [getrusage(who) for who in ((RUSAGE_CHILDREN,) if name == _HASHSUM else (RUSAGE_SELF, RUSAGE_CHILDREN))]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in used)
    peak = max(usage.ru_maxrss for usage in used) / unit
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak}))


def _list(endpoint: str, _: int) -> float:
    began = perf_counter()
    with open_store(_target(endpoint, "keys")) as store:
        count = sum(1 for partition in store.partitions() for _ in store.listing(partition))
    return _took(began, count)


def _paginate(endpoint: str, _: int) -> float:
    import boto3

    began = perf_counter()
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="keys")
    count = sum(1 for page in pages for _ in page.get("Contents", ()))
    return _took(began, count)


def _read(endpoint: str, workers: int) -> float:
    with Pool(workers) as pool:
        began = perf_counter()
        target = _target(endpoint, "objects")
        with open_store(target) as store:
            items = [item for partition in store.partitions() for item in store.listing(partition)]
        copies = [item for item in items if isinstance(item, Copy)]
        # As many in a task as an audit gives to a worker, more or less.
        tasks = [(target, copies[first : first + 100]) for first in range(0, len(copies), 100)]
        results = [result for _, result in pool.map(read_task, tasks)]
        digests = [digest for result in results if not isinstance(result, Died) for digest in result]
        return _took(began, len(set(digests)))


def read_task(task: tuple[Target, Sequence[Copy]]) -> list[bytes]:
    """Return the SHA-256 of each object. Runs in a worker."""
    from hashlib import sha256

    target, copies = task
    buffer = memoryview(bytearray(512 * 1024))
    digests = []
    with open_store(target) as store:
        for _, stream in store.read(copies):
            if isinstance(stream, Problem):
                continue
            digest = sha256()
            while count := stream.readinto(buffer):
                digest.update(buffer[:count])
            digests.append(digest.digest())
    return digests


def _hashsum(_: str, __: int) -> float:
    began = perf_counter()
    command = [binary("rclone"), "--config", "", "hashsum", "sha256", "--download", "bench:objects", "--quiet"]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return _took(began, len({line.split()[0] for line in said.splitlines()}))


_STEPS: dict[str, Callable[[str, int], float]] = {
    _LISTING: _list,
    _PAGINATOR: _paginate,
    _READING: _read,
    _HASHSUM: _hashsum,
}


def _target(endpoint: str, bucket: str) -> Target:
    return Target(
        name="bench", role=Role.BACKUP, kind="s3", identity="bench", options={"bucket": bucket, "endpoint": endpoint}
    )


def _took(began: float, count: int) -> float:
    seconds = perf_counter() - began
    print(f"{count} found", file=sys.stderr)
    return seconds


def _table(runs: dict[str, list[dict[str, float]]], amount: float, unit: str) -> str:
    lines = [f"{'':32}{'seconds':>9}{'CPU s':>8}{unit:>8}{'peak MB':>9}{'ratio':>8}"]
    ours = next(iter(runs.values()))
    for name, measured in runs.items():
        seconds, cpu = (statistics.median(run[what] for run in measured) for what in ("seconds", "cpu"))
        peak = max(run["peak"] for run in measured)
        ratio = statistics.median(own["seconds"] / its["seconds"] for own, its in zip(ours, measured, strict=True))
        lines.append(f"{name:32}{seconds:9.2f}{cpu:8.2f}{amount / seconds:8.0f}{peak:9.0f}{ratio:8.2f}")
    lines.append("Medians of the counted rounds; ratio: our seconds to its seconds, round by round.")
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--probe"]:
        probe(sys.argv[2], sys.argv[3], int(sys.argv[4]))
        sys.exit(0)
    sys.exit(main())
