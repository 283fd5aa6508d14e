"""PACS that speak DIMSE alone: DCMTK's, which can little, and one of pynetdicom that misbehaves as it is told."""

import socket
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from time import sleep
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from exactcopy.model import Role, Target
from tests.dicom.dicom_files import real
from tests.servers import binary, free_ports, running, wait

FIND = str(StudyRootQueryRetrieveInformationModelFind)
GET = str(StudyRootQueryRetrieveInformationModelGet)
MOVE = str(StudyRootQueryRetrieveInformationModelMove)
ECHO = str(Verification)
LEVELS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def dimse_target(port: int, ae_title: str, **options: Any) -> Target:
    """Return the target of a PACS on this computer."""
    return Target(
        name="pacs",
        role=Role.PRIMARY,
        kind="dimse",
        identity=f"{ae_title} {port}",
        options={"host": "127.0.0.1", "port": port, "ae_title": ae_title, **options},
    )


def dcmsend(port: int, ae_title: str, files: Iterable[bytes], *options: str) -> None:
    """Store files by C-STORE, as they are: DCMTK decompresses nothing unless `options` tell it to."""
    with tempfile.TemporaryDirectory(prefix="exactcopy-dcmsend-") as folder:
        for number, data in enumerate(files):
            Path(folder, f"{number}.dcm").write_bytes(data)
        command = [binary("dcmsend"), "-dn", "+sd", "-nh", "-aec", ae_title, *options, "127.0.0.1", str(port), folder]
        # Without it each message would wait for the one before to be acknowledged.
        environment = {"PATH": "/usr/bin:/bin", "TCP_NODELAY": "1"}
        subprocess.run(command, check=True, capture_output=True, timeout=60, env=environment)


@contextmanager
def dcmqrscp(*options: str, mover: int | None = None) -> Iterator[int]:
    """DCMTK's archive `ARCHIVE` on a port: no compressed syntaxes, and it matches by the unique keys of each level."""
    with tempfile.TemporaryDirectory(prefix="exactcopy-dcmqrscp-") as folder:
        [port] = free_ports(1)
        Path(folder, "archive").mkdir()
        config = Path(folder, "dcmqrscp.cfg")
        config.write_text(
            f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
            f"HostTable BEGIN\nmover = (MOVER, 127.0.0.1, {mover or 104})\nHostTable END\n"
            "VendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\nARCHIVE {folder}/archive RW (200, 1024mb) ANY\nAETable END\n"
        )
        command = [binary("dcmqrscp"), "-c", str(config), *options, str(port)]
        with running(command, Path(folder), {"PATH": "/usr/bin:/bin"}) as process:
            wait(process, lambda: _answers(port))
            yield port


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """What a PACS does: well, unless it is told otherwise. Tests change it while it runs."""

    offers: Sequence[str] = (ECHO, FIND, GET, MOVE)
    # Of a query: no more than `limit` rows, and `ending` after as many; `finds` changes what it says.
    limit: int | None = None
    ending: int = 0xFE00
    finds: Callable[[Dataset, list[Dataset]], Iterable[Dataset | int]] = lambda query, rows: rows
    knows_undated: bool = False
    # Of a retrieval: what it sends of what was asked for; an integer is the status that it ends with.
    sends: Callable[[Dataset, list[Dataset]], Iterable[Dataset | int | None]] = lambda query, found: found
    # Of what is stored there: what it keeps; None: it refuses.
    keeps: Callable[[Dataset], Dataset | None] = lambda stored: stored
    mover: tuple[str, int] | tuple[str, int, dict[str, Any]] = ("127.0.0.1", 0)
    # What it saw.
    queries: list[Dataset] = field(default_factory=list)
    retrievals: list[Dataset] = field(default_factory=list)
    sent: int = 0
    cancelled: bool = False
    # While it runs: to break the association off that asks, and to let nobody in any more.
    drop: Callable[[], None] = lambda: None
    stop: Callable[[], None] = lambda: None


# Among what is sent: break off.
ABORT = None


@contextmanager
def misbehaving(
    files: Iterable[bytes],
    behaviour: Behaviour,
    tls: ssl.SSLContext | None = None,
    receives: Iterable[str] = (),
    **settings: Any,
) -> Iterator[int]:
    """A PACS `SCRIPT` on a port that holds uncompressed files; `settings` are those of pynetdicom's AE.

    Files of the classes `receives` may be stored there.
    """
    held: list[Any] = [dcmread(BytesIO(data)) for data in files]

    def find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        behaviour.queries.append(query)
        behaviour.drop = event.assoc.abort
        rows = _rows(held, query, behaviour)
        cut = behaviour.limit is not None and len(rows) > behaviour.limit
        for row in behaviour.finds(query, rows[: behaviour.limit]):
            if isinstance(row, int):
                yield row, None
                return
            yield 0xFF00, row
        if cut:
            yield behaviour.ending, None

    def retrieve(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        behaviour.retrievals.append(query)
        found: list[Dataset] = [each for each in held if _asked_for(query, each)]
        # The number that pynetdicom wants to know before matters to nobody.
        yield max(len(found), 1)  # type: ignore[misc]
        for each in behaviour.sends(query, found):
            if each is ABORT:
                event.assoc.abort()
                return
            if isinstance(each, int):
                yield each, None
                return
            if event.is_cancelled:
                behaviour.cancelled = True
                yield 0xFE00, None
                return
            behaviour.sent += 1
            yield 0xFF00, each

    def store(event: evt.Event) -> int:
        stored = event.dataset
        stored.file_meta = event.file_meta
        kept = behaviour.keeps(stored)
        if kept is None:
            return 0xA700
        held.append(kept)
        return 0x0000

    def move(event: evt.Event) -> Iterator[Any]:
        yield behaviour.mover
        yield from retrieve(event)

    entity = AE(ae_title="SCRIPT")
    # It keeps a place for half a minute for whoever connects and says nothing.
    entity.maximum_associations = 100
    for name, value in settings.items():
        setattr(entity, name, value)
    for service in behaviour.offers:
        entity.add_supported_context(service)
    for kind in {each.SOPClassUID for each in held} | set(receives):
        entity.add_supported_context(kind, scu_role=True, scp_role=True)
        entity.add_requested_context(kind)
    handlers: list[Any] = [
        (evt.EVT_C_FIND, find),
        (evt.EVT_C_GET, retrieve),
        (evt.EVT_C_MOVE, move),
        (evt.EVT_C_STORE, store),
    ]
    server = entity.start_server(("127.0.0.1", 0), block=False, ssl_context=tls, evt_handlers=handlers)
    assert server is not None
    behaviour.stop = server.shutdown
    try:
        yield server.server_address[1]
    finally:
        entity.shutdown()


def slowly(_: Dataset, found: list[Dataset]) -> Iterator[Dataset]:
    """Send after a while."""
    for each in found:
        sleep(0.05)
        yield each


def _rows(held: list[Any], query: Dataset, behaviour: Behaviour) -> list[Dataset]:
    level = ("STUDY", "SERIES", "IMAGE").index(query.QueryRetrieveLevel)
    rows: dict[str, Dataset] = {}
    for each in held:
        if not _asked_for(query, each, level) or not _in_range(query, each, behaviour):
            continue
        uid = each[LEVELS[level]].value
        row = rows.setdefault(uid, Dataset())
        row.QueryRetrieveLevel = query.QueryRetrieveLevel
        for keyword in (*LEVELS[: level + 1], *(("SOPClassUID",) if level == 2 else ())):
            setattr(row, keyword, each[keyword].value)
        if level == 0:
            row.StudyDate, row.StudyTime = each.StudyDate, each.StudyTime
        counted = ("NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances")
        if level < 2 and counted[level] in query:
            setattr(row, counted[level], str(sum(other[LEVELS[level]].value == uid for other in held)))
    return [rows[uid] for uid in sorted(rows)]


def _asked_for(query: Dataset, each: Any, most: int = 2) -> bool:
    for keyword in LEVELS[: most + 1]:
        wanted = query.get(keyword)
        if wanted and each[keyword].value not in ([wanted] if isinstance(wanted, str) else wanted):
            return False
    return True


def _in_range(query: Dataset, each: Any, behaviour: Behaviour) -> bool:
    for keyword in ("StudyDate", "StudyTime"):
        low, dash, high = str(query.get(keyword) or "").partition("-")
        value = str(each.get(keyword) or "")
        if not dash:
            continue
        if not value and not (behaviour.knows_undated and not low):
            return False
        if value and not ((not low or low <= value) and (not high or value <= high)):
            return False
    return True


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def instance(study: str, series: int = 1, number: int = 1, **values: str) -> bytes:
    """Return a small file of a real CT image under other UIDs."""
    made = dcmread(BytesIO(real("CT_small.dcm")))
    made.StudyInstanceUID = UID(study)
    made.SeriesInstanceUID = UID(f"{study}.{series}")
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = UID(f"{study}.{series}.{number}")
    for keyword, value in values.items():
        setattr(made, keyword, value)
    into = BytesIO()
    made.save_as(into)
    return into.getvalue()
