"""Real files in a real PACS by every route there: what is equal is found equal, and what is not is found."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
import pytest
import urllib3
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGLSNearLossless, RLELossless
from pynetdicom import AE, build_context

from exactcopy.dicom.header import identify
from exactcopy.reconcile.case import Case
from exactcopy.restore import Draw, draw_studies
from exactcopy.stores.dimse.peer import pynetdicom_quietly
from tests.clinic import LONG_AGO, Clinic, audit_at, outcomes, sop_instance_uid
from tests.dicom.dicom_files import corpus, needs_corpus, real
from tests.dimse_servers import dcmsend
from tests.pacs import PASSWORD, SIGNED_IN, Orthanc, orthanc
from tests.servers import free_ports
from tests.test_pacs_audit import dicomweb, dimse

pytestmark = pytest.mark.filterwarnings("ignore:::pydicom")

# --- routes into a PACS -----------------------------------------------------------------------------------


def by_stow(server: Orthanc, files: Mapping[str, bytes]) -> None:
    """Store over the web, each file as it is."""
    kind = 'multipart/related; type="application/dicom"; boundary="between two files"'
    headers = {**SIGNED_IN, "Content-Type": kind, "Accept": "application/dicom+json"}
    start, end = (
        b"--between two files\r\nContent-Type: application/dicom\r\n\r\n",
        b"\r\n--between two files--\r\n",
    )
    for data in files.values():
        urllib3.request("POST", f"{server.dicomweb}/studies", body=start + data + end, headers=headers, timeout=60)


def by_pynetdicom(server: Orthanc, files: Mapping[str, bytes]) -> None:
    """Store by C-STORE, each in its own transfer syntax, as pydicom writes it."""
    pynetdicom_quietly()
    read = [dcmread(BytesIO(data), force=True) for data in files.values()]
    sent = [each for each in read if "SOPClassUID" in each and "TransferSyntaxUID" in each.file_meta]
    kinds = sorted({(each.SOPClassUID, each.file_meta.TransferSyntaxUID) for each in sent})
    proposed = [build_context(*kind) for kind in kinds]

    entity = AE()
    # At a value of odd length Orthanc falls silent.
    entity.dimse_timeout = 3
    association = None
    for each in sent:
        if association is None or not association.is_established:
            association = entity.associate("127.0.0.1", server.port, proposed, server.ae_title)
        try:
            association.send_c_store(each)
        except (AttributeError, ValueError, RuntimeError):
            # It cannot be written, or the association was broken off.
            continue
    if association is not None:
        association.release()


def by_dcmsend(*options: str) -> "Route":
    """Store by C-STORE, as DCMTK writes it."""

    def route(server: Orthanc, files: Mapping[str, bytes]) -> None:
        dcmsend(server.port, server.ae_title, files.values(), *options)

    return route


Route = Callable[[Orthanc, Mapping[str, bytes]], None]
ROUTES: Mapping[str, Route] = {
    "stow": by_stow,
    "pynetdicom": by_pynetdicom,
    "dcmsend": by_dcmsend(),
    # What dcmsend does unless it is told not to, and what it does if it is told to.
    "decompressed": by_dcmsend("+dls"),
    "lossy": by_dcmsend("+dly"),
}


@contextmanager
def filled(routes: Iterable[str], files: Mapping[str, bytes], mover: int | None = None) -> Iterator[dict[str, Orthanc]]:
    """Give a server for every route, filled by it, all at a time: most of it is waiting."""
    with ExitStack() as stack:
        servers = {route: stack.enter_context(orthanc(mover=mover)) for route in routes}
        with ThreadPoolExecutor(len(servers)) as threads:
            list(threads.map(lambda route: ROUTES[route](servers[route], files), servers))
        yield servers


# --- what is sent -----------------------------------------------------------------------------------------

# Of pydicom's files those whose encoding or oddities are not in the corpus.
MORE = (
    *("MR_small_expb.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "OT-PAL-8-face.dcm"),
    *("SC_rgb_rle_16bit_2frame.dcm", "SC_rgb_rle_32bit.dcm", "SC_rgb_expb_32bit_2frame.dcm", "SC_rgb_jpeg_gdcm.dcm"),
    *("SC_ybr_full_422_uncompressed.dcm", "SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_gdcm_KY.dcm", "color-pl.dcm"),
    *("SC_rgb_dcmtk_+eb+cy+s4.dcm", "SC_jpeg_no_color_transform_2.dcm", "SC_rgb_small_odd_jpeg.dcm", "SC_rgb_jpeg.dcm"),
    *("SC_rgb_small_odd_big_endian.dcm", "emri_small_RLE.dcm", "emri_small_big_endian.dcm", "bad_sequence.dcm"),
    *("emri_small_jpeg_2k_lossless.dcm", "emri_small_jpeg_ls_lossless.dcm", "JPEG-LL.dcm", "JPEG-lossy.dcm"),
    *("emri_small_jpeg_2k_lossless_too_short.dcm", "explicit_VR-UN.dcm", "liver_expb_1frame.dcm", "mlut_18.dcm"),
    *("chrFrenMulti.dcm", "chrJapMulti.dcm", "spring.dcm", "ExplVR_BigEnd.dcm", "ExplVR_BigEndNoMeta.dcm"),
    *("GDCMJ2K_TextGBR.dcm", "J2K_pixelrep_mismatch.dcm", "JPEGLSNearLossless_16.dcm", "rtdose_rle.dcm"),
    *("rtdose_expb.dcm", "rtstruct.dcm", "test-SR.dcm"),
)


@cache
def files() -> Mapping[str, bytes]:
    """Give the real files by name; of several under one SOP Instance UID all but the first under one of their own."""
    taken = {path.name: path.read_bytes() for path in corpus() if path.name != "DICOMDIR"}
    taken |= {name: real(name) for name in MORE}
    used: set[str] = set()
    for name, data in taken.items():
        uid = identify(data).sop_instance_uid
        if uid in used:
            other = next(each for each in _alike(uid) if each not in used)
            taken[name], uid = data.replace(uid.encode(), other.encode()), other
        if uid:
            used.add(uid)
    return taken


def _alike(uid: str) -> Iterator[str]:
    """Give UIDs of the same length: so the bytes of a file can be changed, and nothing else in it."""
    for at in range(len(uid) - 1, 0, -1):
        if uid[at].isdigit() and uid[at - 1].isdigit():
            yield from (f"{uid[:at]}{digit}{uid[at + 1 :]}" for digit in "0123456789")


# What a server does not take, by route (Orthanc 1.10): it is missing there.
CUT = {"rtplan_truncated.dcm", "emri_small_jpeg_2k_lossless_too_short.dcm"}
NO_STUDY = {"spring.dcm", "JPEGLSNearLossless_16.dcm"}
NO_META = {"OT-PAL-8-face.dcm", "ExplVR_BigEndNoMeta.dcm", "rtstruct.dcm"}
NEVER = CUT | NO_STUDY | {"SC_rgb_jpeg.dcm"}
NOT_PARSED = {"MR_truncated.dcm", "explicit_VR-UN.dcm", "rtdose_rle.dcm"}
# Its meta group names another class than its data set, for which DCMTK then has no context.
NOT_SENT = NEVER | NO_META | NOT_PARSED | {"RTImageStorage.dcm"}
MISSING: Mapping[str, set[str]] = {
    "stow": NEVER | NOT_PARSED,
    "pynetdicom": NEVER | NO_META | {"dx_image.dcm"},
    **dict.fromkeys(("dcmsend", "decompressed", "lossy"), NOT_SENT),
}
Found = tuple[str, tuple[str, ...]]
# What is neither identical nor equivalent though nobody changed it.
ODD: Mapping[str, Mapping[str, Found]] = {
    # Cut in the primary, too, and packed anew: no whole instance, and nothing proves that it is the same.
    "pynetdicom": {"MR_truncated.dcm": ("unreadable", ())},
    # Of 12 bits, which no free decoder takes: that the decompressed copy is good cannot be shown.
    "lossy": dict.fromkeys(
        ("RG2_JPLY_fixed.dcm", "JPEG-lossy.dcm"), ("different", ("PixelData (cannot be decoded for comparison)",))
    ),
}


# A PACS does not say when it got an image: until another audit it is as new as a study without a date may be.
UNDATED = {"rtstruct.dcm"}


def expected(route: str, how: str) -> dict[str, Found]:
    """Say what each file is on a server that was filled by a route and is asked in one way, by its SOP Instance UID."""
    exact = "identical" if route == "folder" or (route, how) == ("stow", "web") else "equivalent"
    said: dict[str, Found] = {}
    for name, data in files().items():
        if uid := identify(data).sop_instance_uid:
            missing = name in MISSING.get(route, ())
            said[uid] = ("missing", ()) if missing else ODD.get(route, {}).get(name, (exact, ()))
    return said


def expected_of(primary: str, backup: str) -> dict[str, Found]:
    """Say what each file of a PACS is on another, or in a folder; exact is whatever is identical or equivalent."""
    said: dict[str, Found] = {}
    for name, data in files().items():
        uid = identify(data).sop_instance_uid
        if not uid or name in MISSING[primary]:
            continue
        if name in MISSING.get(backup, ()):
            said[uid] = ("pending" if name in UNDATED else "missing", ())
        else:
            odd = {**ODD.get(primary, {}), **ODD.get(backup, {})} if primary != backup else {}
            said[uid] = odd.get(name, EXACT)
    return said


EXACT: Found = ("exact", ())


# --- audits -----------------------------------------------------------------------------------------------

ASKED: Mapping[str, Callable[[Orthanc], str]] = {"web": dicomweb, "get": dimse}


def table(role: str, name: str, settings: str) -> str:
    """Give the table of a store of which every byte is read in each audit."""
    return f'[{role}.{name}]\n{"offsite = true" if role == "backup" else ""}\nread = "all"\n{settings}'


def found(record: Path, primary: str, backup: str, uids: Iterable[str]) -> dict[str, Found]:
    """Give what a record says of each instance; what it does not list is identical."""
    path = record / "restricted" / "comparison" / f"{primary}--{backup}.parquet"
    listed: dict[str, Found] = dict.fromkeys(uids, ("identical", ()))
    rows = duckdb.execute(f"select sop, outcome, coalesce(elements, '[]') from '{path}'").fetchall()
    return listed | {sop: (outcome, tuple(json.loads(elements))) for sop, outcome, elements in rows}


def counted(said: Mapping[str, Found]) -> dict[str, int]:
    """Give how many there are of each outcome."""
    return dict(Counter(outcome for outcome, _ in said.values()))


def is_exact(said: Found) -> bool:
    """Say whether a copy is an exact one."""
    return said[0] in ("identical", "equivalent")


def outcomes_of(audit: Mapping[str, Any], primary: str, backup: str) -> dict[str, int]:
    """Give the outcomes of one primary on one backup that are not zero."""
    [row] = [row for row in audit["comparisons"] if (row["primary"], row["backup"]) == (primary, backup)]
    return {outcome: count for outcome, count in row["instances"].items() if count}


def restores(audit: Mapping[str, Any], backup: str) -> dict[str, int]:
    """Give what came of the restore tests of one backup."""
    [test] = [test for test in audit["restore_tests"] if test["backup"] == backup]
    return {key: test[key] for key in ("planned", "restored", "failed", "not_decodable", "not_tested")}


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACS_PASSWORD", PASSWORD)


@pytest.fixture
def without_restores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore nothing: that takes longest, and is done below."""

    def drawn(*args: Any) -> Draw:
        return replace(draw_studies(*args), random=(), certainty=())

    monkeypatch.setattr("exactcopy.audit.draw_studies", drawn)


# How each server is asked as a primary; as the backup of another it is asked in the other way.
AS_PRIMARY = {"stow": "web", "pynetdicom": "get", "dcmsend": "web", "decompressed": "get"}


class Known(Exception):
    """Ends an audit once all outcomes are found: what each instance is, by primary and backup."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.of: dict[tuple[str, str], dict[str, Found]] = {}
        rows = case.db.execute("select primary_store, backup, sop, outcome, coalesce(elements, '[]') from outcomes")
        for primary, backup, sop, outcome, elements in rows.fetchall():
            self.of.setdefault((primary, backup), {})[sop] = (outcome, tuple(json.loads(elements)))


@needs_corpus
def test_by_every_route_each_file_is_what_it_is_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(case: Case) -> None:
        raise Known(case)

    monkeypatch.setattr("exactcopy.comparing.find_studies", end)
    with filled(ROUTES, files()) as servers:
        pairs = {f"{route}-{how}": (route, how) for route in servers for how in ASKED}
        others = [f"{route}-{how}" for route, how in pairs.values() if how != AS_PRIMARY.get(route, how)]
        tables = [
            *(table("primary", route, ASKED[how](servers[route])) for route, how in AS_PRIMARY.items()),
            *(
                # The same server under another name, so that it is another store; all of them stand for one another.
                f"{table('backup', name, ASKED[how](servers[route]).replace('127.0.0.1', 'localhost'))}\n"
                + ("" if name in others else 'covers = ["pacs"]')
                for name, (route, how) in pairs.items()
            ),
        ]
        clinic = Clinic(tmp_path, backups=("folder",), settings="\n".join(tables))
        for name, data in files().items():
            (clinic.pacs / name).write_bytes(data)
            clinic.set_age(clinic.pacs / name, LONG_AGO)
        clinic.mirror()
        # What is made of the outcomes is tested below, and for so many stores would take as long as to find them.
        with pytest.raises(Known) as known:
            audit_at(clinic, datetime.now(UTC))
    for backup, (route, how) in {**pairs, "folder": ("folder", "")}.items():
        assert known.value.of["pacs", backup] == expected(route, how), backup
    for primary in AS_PRIMARY:
        for backup in (*others, "folder"):
            got = known.value.of[primary, backup]
            said = expected_of(primary, pairs[backup][0] if backup in pairs else "folder")
            assert {uid: EXACT if is_exact(each) else each for uid, each in got.items()} == said, (primary, backup)


@pytest.mark.usefixtures("lean", "without_restores")
def test_what_a_pacs_holds_and_cannot_send_is_unknown_and_not_missing(tmp_path: Path) -> None:
    names = ("CT_small.dcm", "explicit_VR-UN.dcm", "rtdose_rle.dcm")
    with orthanc() as server:
        clinic = Clinic(tmp_path, backups=())
        for name in names:
            (clinic.pacs / name).write_bytes(real(name))
            clinic.set_age(clinic.pacs / name, LONG_AGO)
            # By its own REST it takes what it cannot parse, and gives it back over the web.
            server.upload(real(name))
        clinic.settings = "\n".join(table("backup", how, settings(server)) for how, settings in ASKED.items())
        audit = audit_at(clinic, datetime.now(UTC))
    assert outcomes(audit, "web") == {"identical": 3}
    assert outcomes(audit, "get") == {"equivalent": 1, "unknown": 2}
    [get] = [comparison for comparison in audit["comparisons"] if comparison["backup"] == "get"]
    assert (get["studies"]["protected"], get["studies"]["gap"], get["studies"]["not_checked"]) == (1, 0, 2)
    assert [store["complete"] for store in audit["stores"]] == [True, True, False]


# --- what changes -----------------------------------------------------------------------------------------

SMALL = (
    *("CT_small.dcm", "MR_small_RLE.dcm", "CT_small.dcm", "MR_small_RLE.dcm", "CT_small.dcm"),
    *("MR_small_implicit.dcm", "SC_rgb_jpeg_gdcm.dcm"),
)


def brighten(dataset: Dataset) -> None:
    """Change one pixel, and compress as before."""
    compressed = dataset.file_meta.TransferSyntaxUID.is_compressed
    if compressed:
        dataset.decompress(generate_instance_uid=False)
    dataset.PixelData = bytes([dataset.PixelData[0] ^ 1]) + dataset.PixelData[1:]
    if compressed:
        dataset.compress(RLELossless, generate_instance_uid=False, encoding_plugin="pydicom")


def recompress(dataset: Dataset) -> None:
    """Compress with loss, and keep the UIDs."""
    dataset.compress(JPEGLSNearLossless, jls_error=2, generate_instance_uid=False)


# By study: what becomes of its image, and what it is then. The first is deleted.
PLANTED: Mapping[int, tuple[Callable[[Dataset], object], Found]] = {
    1: (brighten, ("different", ("PixelData",))),
    2: (lambda dataset: setattr(dataset, "StudyDescription", "planted"), ("altered", ("StudyDescription",))),
    3: (lambda dataset: setattr(dataset, "PatientID", "OTHER"), ("altered", ("PatientID",))),
    4: (recompress, ("different", ("PixelData",))),
}


def fill(clinic: Clinic) -> dict[str, bytes]:
    """Put a study of one image each on the primary, and return the images by their SOP Instance UIDs."""
    held = {}
    for study, name in enumerate(SMALL):
        held[sop_instance_uid(study, 0)] = clinic.add(study, 0, name).read_bytes()
    clinic.mirror()
    return held


def planted(data: bytes, change: Callable[[Dataset], object]) -> bytes:
    """Give an image with a change."""
    dataset, into = dcmread(BytesIO(data)), BytesIO()
    change(dataset)
    dataset.save_as(into)
    return into.getvalue()


def said_of(exact: str) -> dict[str, Found]:
    """Say what each image is once all is planted, by its SOP Instance UID."""
    said: dict[str, Found] = {sop_instance_uid(study, 0): (exact, ()) for study in range(len(SMALL))}
    said[sop_instance_uid(0, 0)] = ("missing", ())
    return said | {sop_instance_uid(study, 0): found for study, (_, found) in PLANTED.items()}


PLANTED_ROUTES = ("stow", "pynetdicom", "dcmsend", "decompressed")


def test_what_changes_is_found_between_any_two_routes_month_after_month(tmp_path: Path) -> None:
    [mover] = free_ports(1)
    clinic = Clinic(tmp_path, backups=("folder",))
    held = fill(clinic)
    changed = {sop_instance_uid(study, 0): change for study, (change, _) in PLANTED.items()}
    clinic.path("folder", 0, 0).unlink()
    for study, (change, _) in PLANTED.items():
        path = clinic.path("folder", study, 0)
        path.write_bytes(planted(path.read_bytes(), change))
    with filled(PLANTED_ROUTES, held) as primaries, filled(PLANTED_ROUTES, held, mover) as servers:
        asked = {"stow": "web", "pynetdicom": "web", "dcmsend": "get", "decompressed": "get"}
        stores = {f"{route}-{how}": ASKED[how](servers[route]) for route, how in asked.items()}
        moving = dimse(servers["decompressed"]).replace("ORTHANC", "BYMOVE")
        stores["decompressed-move"] = f'{moving}\nretrieve = "move"\nmove_port = {mover}\ncalling_ae_title = "MOVER"'
        clinic.settings = "\n".join(
            [table("primary", route, ASKED[AS_PRIMARY[route]](server)) for route, server in primaries.items()]
            + [table("backup", name, settings) for name, settings in stores.items()]
        )
        for route, server in servers.items():
            for uid in (sop_instance_uid(0, 0), *changed):
                [instance] = json.loads(server.request("POST", "/tools/lookup", uid.encode()))
                server.request("DELETE", instance["Path"])
            ROUTES[route](server, {uid: planted(held[uid], change) for uid, change in changed.items()})
        audits = [(clinic.audit(1), clinic.record()) for _ in range(2)]
    unchanged = len(SMALL) - 1 - len(PLANTED)
    restored = {"planned": unchanged, "restored": unchanged, "failed": 0, "not_decodable": 0, "not_tested": 0}
    said = said_of(EXACT[0])
    for audit, record in audits:
        for backup in (*stores, "folder"):
            assert restores(audit, backup) == restored, backup
            for primary in ("pacs", *primaries):
                got = found(record, primary, backup, said)
                assert {uid: EXACT if is_exact(each) else each for uid, each in got.items()} == said, (primary, backup)
                assert outcomes_of(audit, primary, backup) == counted(got), (primary, backup)
        web = found(record, "pacs", "stow-web", said)
        assert web == said_of("identical")
