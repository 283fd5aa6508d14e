"""Listing and retrieving from Orthanc by DICOMweb, beside bare requests: `python -m benchmarks.pacs`."""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import perf_counter

import urllib3

from exactcopy.inventory.listing import _batches
from exactcopy.model import Copy, Problem, Role, Target
from exactcopy.stores import Store, open_store
from tests.pacs import PASSWORD, SIGNED_IN, USER, Orthanc, orthanc

_ROOT = Path(__file__).parents[1]
_PIECE = 1 << 18
_BARE = "a bare HTTP download of the same"
_LISTED = "00080016,00080018,0020000D,0020000E"


def main() -> int:
    """Fill a server, run each pair in turn and print ratios."""
    parser = argparse.ArgumentParser(prog="benchmarks.pacs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--megabytes", type=int, default=200, help="the study that is retrieved")
    parser.add_argument("--large", type=int, default=0, help="MB of a study that is retrieved once, for the memory")
    options = parser.parse_args()
    with orthanc() as server:
        _fill(server, studies=40, instances=50, kilobytes=8)
        print("Listing 2,000 instances in 40 studies")
        _compare(options.rounds, lambda: _list(server), lambda: _one_query(server), "one plain QIDO request")
    with orthanc() as server:
        _fill(server, studies=1, instances=options.megabytes * 2, kilobytes=512)
        print(f"\nRetrieving a study of {options.megabytes} MB in instances of 0.5 MB")
        with open_store(_target(server.dicomweb)) as store:
            copies = _listed(store)
            _compare(options.rounds, lambda: _retrieve(store, copies), lambda: _download(server), _BARE)
    if options.large:
        with orthanc() as server:
            _fill(server, studies=1, instances=options.large // 16, kilobytes=16 * 1024)
            for kind, place in (("dicomweb", server.dicomweb), ("dimse", str(server.port))):
                command = [sys.executable, "-m", "benchmarks.pacs", "--peak", kind, place]
                said = subprocess.run(command, cwd=_ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
                print(f"\nRetrieving a study of {options.large} MB by {kind}: peak memory {said.strip()} MB")
    return 0


def _compare(rounds: int, ours: Callable[[], None], bare: Callable[[], None], peer: str) -> None:
    pairs = [(_seconds(ours), _seconds(bare)) for _ in range(rounds + 1)][1:]
    ratios = sorted(one / other for one, other in pairs)
    print(
        f"  exactcopy {statistics.median(one for one, _ in pairs):.3f} s,"
        f" {peer} {statistics.median(other for _, other in pairs):.3f} s:"
        f" {statistics.median(ratios):.2f} times as long ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


def _seconds(work: Callable[[], None]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


def _target(url: str) -> Target:
    options = {"url": url, "username": USER, "password": "env:BENCHMARK_PASSWORD"}
    return Target(name="pacs", role=Role.PRIMARY, kind="dicomweb", identity="pacs", options=options)


def _listed(store: Store) -> list[Copy]:
    gaps: list[tuple[str, str]] = []
    copies = [copy for batch in _batches(store, gaps, list(store.partitions())) for copy in batch]
    _check(whole=not gaps)
    return copies


def _list(server: Orthanc) -> None:
    with open_store(_target(server.dicomweb)) as store:
        found = _listed(store)
    _check(whole=len(found) == 2000)


def _one_query(server: Orthanc) -> None:
    url = f"{server.dicomweb}/instances?limit=2000&includefield={_LISTED}"
    answer = urllib3.request("GET", url, headers={**SIGNED_IN, "Accept": "application/dicom+json"}, timeout=60)
    _check(whole=len(answer.json()) == 2000)


def _check(*, whole: bool) -> None:
    if not whole:
        raise SystemExit("not all instances were listed")


def _retrieve(store: Store, copies: list[Copy]) -> None:
    buffer = memoryview(bytearray(_PIECE))
    for _, stream in store.read(copies):
        if isinstance(stream, Problem):
            raise SystemExit("an instance could not be retrieved")
        while stream.readinto(buffer):
            pass


def _peak(kind: str, place: str) -> float:
    """Retrieve the only study of a server and return the peak memory of this process in MB."""
    options = {"host": "127.0.0.1", "port": int(place), "ae_title": "ORTHANC"} if kind == "dimse" else {}
    target = replace(_target(place), kind=kind, options=options) if options else _target(place)
    with open_store(target) as store:
        _retrieve(store, _listed(store))
    return getrusage(RUSAGE_SELF).ru_maxrss / 1e3


def _download(server: Orthanc) -> None:
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    url = f"{server.dicomweb}/studies/2.25.10"
    answer = urllib3.request("GET", url, headers={**SIGNED_IN, "Accept": accept}, preload_content=False)
    while answer.read(_PIECE):
        pass
    answer.release_conn()


def _fill(server: Orthanc, studies: int, instances: int, kilobytes: int) -> None:
    import numpy as np
    from pydicom import dcmread
    from pydicom.data import get_testdata_file
    from pydicom.uid import UID

    dataset = dcmread(str(get_testdata_file("MR_small.dcm")))
    dataset.Rows, dataset.Columns = kilobytes, 512
    rng = np.random.default_rng(1)
    for study in range(studies):
        dataset.StudyInstanceUID = UID(f"2.25.1{study}")
        dataset.StudyDate = f"2026{study // 28 + 1:02}{study % 28 + 1:02}"
        for number in range(instances):
            dataset.SeriesInstanceUID = UID(f"2.25.1{study}.{number // 10}")
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.1{study}.0.{number}")
            dataset.PixelData = rng.integers(0, 4096, (kilobytes, 512), dtype=np.uint16).tobytes()
            into = BytesIO()
            dataset.save_as(into)
            server.upload(into.getvalue())


if __name__ == "__main__":
    import os

    os.environ["BENCHMARK_PASSWORD"] = PASSWORD
    if sys.argv[1:2] == ["--peak"]:
        print(f"{_peak(*sys.argv[2:4]):.0f}")
        sys.exit(0)
    sys.exit(main())
