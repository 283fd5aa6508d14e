"""Listing and reading S3, beside boto3's bare paginators and `rclone hashsum --download`: `python -m benchmarks.s3`."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from email.message import Message
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from time import perf_counter, time_ns
from urllib.parse import parse_qs, urlsplit

from benchmarks.archives import make_files
from exactcopy.model import Role, Target
from exactcopy.tokens import Ledger
from tests.servers import ADMIN, Answer, S3Server, binary, rclone_s3, scripted

# Seconds in all, and of reading alone.
Took = tuple[float, float]

_ROOT = Path(__file__).parents[1]
_LISTING = "exactcopy listing"
_PAGINATOR = "boto3's bare paginator"
_READING = "exactcopy inventory"
_SDK_ONLY = "the same without obstore"
_HASHSUM = "rclone hashsum --download"
# KB of pixels in an object, and how many of them are read.
_SIZES = {50: 20_000, 512: 4000, 16_384: 200}


def main() -> int:
    """Start servers, fill them, run each pair in turn and print a table."""
    parser = argparse.ArgumentParser(prog="benchmarks.s3", description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000, help="keys to list")
    parser.add_argument("--sizes", type=int, nargs="*", default=list(_SIZES), help="KB of the objects to read")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with rclone_s3() as server:
        if options.keys:
            _fill_keys(server, options.keys)
            print(f"Listing {options.keys} keys of `rclone serve s3` on this computer")
            runs = _rounds([_LISTING, _PAGINATOR], server.endpoint, "keys", options)
            print(_table(runs, options.keys, "keys/s"))
            with _versions(options.keys) as endpoint:
                print(f"\nListing {options.keys} keys with as many old versions, pages from memory")
                runs = _rounds([_LISTING, _PAGINATOR], endpoint, "versions", options)
                print(_table(runs, options.keys, "keys/s"))
        for size in options.sizes:
            bucket = f"objects-{size}"
            megabytes = _fill_objects(server, bucket, _SIZES.get(size, 100), size)
            print(f"\nReading {megabytes:.0f} MB in objects of {size} KB, {options.workers} workers")
            runs = _rounds([_READING, _SDK_ONLY, _HASHSUM], server.endpoint, bucket, options)
            print(_table(runs, megabytes, "MB/s"))
    return 0


def _fill_keys(server: S3Server, count: int) -> None:
    """Put `count` objects of a byte into the folder that the server shows, some hundred in each study."""
    folder = _folder(server, "keys")
    for number in range(count):
        study = folder / f"ST{number // 400:04}"
        study.mkdir(exist_ok=True)
        (study / f"IM{number:06}.dcm").write_bytes(b"1")


def _fill_objects(server: S3Server, bucket: str, count: int, kilobytes: int) -> float:
    """Put CT-like objects into the folder that the server shows; return how many MB they are."""
    folder = _folder(server, bucket)
    make_files(folder, count, kilobytes)
    (folder / ".benchmark").unlink()
    return sum(path.stat().st_size for path in folder.rglob("*.dcm")) / 1e6


def _folder(server: S3Server, bucket: str) -> Path:
    if server.folder is None:
        raise SystemExit("this server has no folder")
    admin = server.admin()
    admin.create_bucket(Bucket=bucket)
    admin.close()
    return server.folder / bucket


@contextmanager
def _versions(keys: int) -> Iterator[str]:
    """Serve a bucket of `keys` keys, two versions of each, made once: no server here has so many in reasonable time."""
    pages = [_page_of_versions(first, min(first + 500, keys), keys) for first in range(0, keys, 500)]
    versioning = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    empty = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"

    def answer(path: str, _: Message) -> Answer:
        query = parse_qs(urlsplit(path).query, keep_blank_values=True)
        if "versioning" in query:
            return Answer(body=versioning)
        if "versions" not in query:
            return Answer(body=empty)
        return Answer(body=pages[int(query.get("version-id-marker", ["0"])[0])])

    with scripted(answer) as endpoint:
        yield endpoint


def _page_of_versions(first: int, last: int, keys: int) -> bytes:
    versions = "".join(
        f"<Version><Key>ST{number // 400:04}/IM{number:06}.dcm</Key><VersionId>{number:032x}</VersionId>"
        f"<IsLatest>{latest}</IsLatest><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
        f"<ETag>&quot;{number:032x}&quot;</ETag><Size>524288</Size><StorageClass>STANDARD</StorageClass>"
        "<Owner><ID>owner</ID></Owner></Version>"
        for number in range(first, last)
        for latest in ("true", "false")
    )
    more = "<IsTruncated>false</IsTruncated>"
    if last < keys:
        more = "<IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>"
        more += f"<NextVersionIdMarker>{last // 500}</NextVersionIdMarker>"
    return f"<ListVersionsResult>{more}{versions}</ListVersionsResult>".encode()


def _rounds(
    names: Sequence[str], endpoint: str, bucket: str, options: argparse.Namespace
) -> dict[str, list[dict[str, float]]]:
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(options.rounds + 1):
        for name in names:
            run = _measure(name, endpoint, bucket, options.workers)
            # The first round fills the caches and is not counted.
            if number:
                runs[name].append(run)
    return runs


def _measure(name: str, endpoint: str, bucket: str, workers: int) -> dict[str, float]:
    """Run one of `_STEPS` in a process of its own, so that the peak is its alone."""
    # An installed package is compiled; where that is switched off, each start would compile it again.
    environment = {
        **{key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE" and key[:4] != "AWS_"},
        "AWS_ACCESS_KEY_ID": ADMIN.id,
        "AWS_SECRET_ACCESS_KEY": ADMIN.secret,
        "RCLONE_CONFIG_BENCH_TYPE": "s3",
        "RCLONE_CONFIG_BENCH_PROVIDER": "Rclone",
        "RCLONE_CONFIG_BENCH_ENDPOINT": endpoint,
        "RCLONE_CONFIG_BENCH_ENV_AUTH": "true",
    }
    command = [sys.executable, "-m", "benchmarks.s3", "--probe", name, endpoint, bucket, str(workers)]
    said = subprocess.run(command, cwd=_ROOT, env=environment, check=True, stdout=subprocess.PIPE).stdout
    run: dict[str, float] = json.loads(said.splitlines()[-1])
    return run


def probe(name: str, endpoint: str, bucket: str, workers: int) -> None:
    """Take one step and print what it took: seconds, those of all its processors, MB at its peak.

    And the seconds of reading alone, where the step tells.
    """
    seconds, reading = _STEPS[name](endpoint, bucket, workers)
    # Linux counts in KB, macOS in bytes. RUSAGE_CHILDREN is the largest descendant, not their sum.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    used = [getrusage(who) for who in ((RUSAGE_CHILDREN,) if name == _HASHSUM else (RUSAGE_SELF, RUSAGE_CHILDREN))]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in used)
    peak = max(usage.ru_maxrss for usage in used) / unit
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak, "reading": reading}))


def _list(endpoint: str, bucket: str, _: int) -> Took:
    from exactcopy.stores import open_store

    began = perf_counter()
    with open_store(_target(endpoint, bucket)) as store:
        count = sum(1 for partition in store.partitions() for _ in store.listing(partition))
    return _took(began, count)


def _paginate(endpoint: str, bucket: str, _: int) -> Took:
    import boto3

    operation, items = ("list_object_versions", "Versions") if bucket == "versions" else ("list_objects_v2", "Contents")
    began = perf_counter()
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    pages = client.get_paginator(operation).paginate(Bucket=bucket)
    count = sum(1 for page in pages for _ in page.get(items, ()))
    return _took(began, count)


def _inventory(endpoint: str, bucket: str, workers: int) -> Took:
    """List, plan, read and match, as an audit does."""
    # What workers run is imported before they are forked, as in an audit.
    from exactcopy.inventory import reading
    from exactcopy.pool import Pool
    from exactcopy.stores import import_kinds

    del reading
    prepare = partial(import_kinds, ["s3"])
    with Pool(workers, prepare) as pool, tempfile.TemporaryDirectory(prefix="exactcopy-bench-") as name:
        from exactcopy.inventory.database import database
        from exactcopy.inventory.taking import take_inventory

        work = Path(name)
        began = perf_counter()
        found = take_inventory(
            database(work),
            pool,
            _target(endpoint, bucket),
            work,
            work / "inventory",
            lambda *_: None,
            [],
            (),
            time_ns(),
            Ledger(folder=work / "tokens"),
            lambda *_: lambda *_: None,
        )
        if found.matched is None:
            raise SystemExit(found.message)
        seconds, _ = _took(began, found.matched.images)
        return seconds, found.read_bytes / found.rate if found.rate else seconds


def _inventory_by_sdk(endpoint: str, bucket: str, workers: int) -> Took:
    # As where it is not installed; the workers are forked from this process.
    sys.modules["obstore"] = None  # type: ignore[assignment]
    return _inventory(endpoint, bucket, workers)


def _hashsum(_: str, bucket: str, __: int) -> Took:
    began = perf_counter()
    command = [binary("rclone"), "--config", "", "hashsum", "sha256", "--download", f"bench:{bucket}", "--quiet"]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return _took(began, len({line.split()[0] for line in said.splitlines()}))


_STEPS: dict[str, Callable[[str, str, int], Took]] = {
    _LISTING: _list,
    _PAGINATOR: _paginate,
    _READING: _inventory,
    _SDK_ONLY: _inventory_by_sdk,
    _HASHSUM: _hashsum,
}


def _target(endpoint: str, bucket: str) -> Target:
    return Target(
        name="bench", role=Role.BACKUP, kind="s3", identity="bench", options={"bucket": bucket, "endpoint": endpoint}
    )


def _took(began: float, count: int) -> Took:
    seconds = perf_counter() - began
    print(f"{count} found", file=sys.stderr)
    return seconds, seconds


def _table(runs: dict[str, list[dict[str, float]]], amount: float, unit: str) -> str:
    lines = [f"{'':32}{'seconds':>9}{'CPU s':>8}{unit:>8}{'peak MB':>9}{'ratio':>8}{'reading':>9}"]
    peer = list(runs.values())[-1]
    for name, measured in runs.items():
        seconds, cpu = (statistics.median(run[what] for run in measured) for what in ("seconds", "cpu"))
        peak = max(run["peak"] for run in measured)
        ratio, reading = (
            statistics.median(own[what] / its["seconds"] for own, its in zip(measured, peer, strict=True))
            for what in ("seconds", "reading")
        )
        lines.append(f"{name:32}{seconds:9.2f}{cpu:8.2f}{amount / seconds:8.0f}{peak:9.0f}{ratio:8.2f}{reading:9.2f}")
    lines.append("Medians of the counted rounds; ratio: its seconds to those of the last line, round by round;")
    lines.append(
        "reading: our reading alone, without listing, plan and finished table, to all of what the last line took."
    )
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--probe"]:
        probe(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
        sys.exit(0)
    sys.exit(main())
