"""DIMSE against real servers: Orthanc and DCMTK's archive, filled by REST and by C-STORE."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from time import sleep
from typing import Any

import pytest
import urllib3
from pydicom import dcmread
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_FIND

from exactcopy.dicom.canonical import content_digest
from exactcopy.dicom.header import identify
from exactcopy.model import Copy, Gap, Problem, Target
from exactcopy.stores.dimse import DimseStore
from exactcopy.stores.dimse.finding import Finder
from exactcopy.stores.dimse.listing import absent
from exactcopy.stores.dimse.peer import reach
from tests.dicom.dicom_files import corpus, needs_corpus
from tests.dimse_servers import Behaviour, dcmqrscp, dcmsend, dimse_target, instance, misbehaving
from tests.pacs import SIGNED_IN, Orthanc, orthanc
from tests.servers import free_ports
from tests.stores.contract import content, listed
from tests.stores.pacs_contract import PacsContract, key_of, pacs_copy, study_files


@pytest.fixture(scope="module")
def move_port() -> int:
    """Where a PACS that moves sends to."""
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def full(move_port: int) -> Iterator[Orthanc]:
    """Orthanc with the files of the contract, by REST."""
    with orthanc(mover=move_port) as server:
        for data in study_files().values():
            server.upload(data)
        yield server


class TestOrthancByGet(PacsContract):
    """Orthanc, which offers C-GET."""

    store = DimseStore
    gives_files = False

    @pytest.fixture
    def target(self, full: Orthanc) -> Target:
        return dimse_target(full.port, "ORTHANC")


class TestOrthancByMove(PacsContract):
    """Orthanc, told to move."""

    store = DimseStore
    gives_files = False

    @pytest.fixture
    def target(self, full: Orthanc, move_port: int) -> Target:
        return dimse_target(full.port, "ORTHANC", retrieve="move", move_port=move_port, calling_ae_title="MOVER")


def read(target: Target, copies: Iterable[Copy] | None = None) -> dict[bytes, bytes | Problem]:
    """Read copies, or all that is listed."""
    with DimseStore(target) as store:
        wanted = sorted(listed(store) if copies is None else copies, key=lambda copy: copy.key)
        got = [
            (copy.key, stream if isinstance(stream, Problem) else content(stream))
            for copy, stream in store.read(wanted)
        ]
    assert sorted(key for key, _ in got) == [copy.key for copy in wanted]
    return dict(got)


def test_an_instance_gives_the_same_bytes_each_time_and_they_are_a_file(full: Orthanc) -> None:
    target = dimse_target(full.port, "ORTHANC")
    first, again = read(target), read(target)
    assert first == again
    for data in first.values():
        assert isinstance(data, bytes)
        meta = dcmread(BytesIO(data)).file_meta
        assert meta.MediaStorageSOPInstanceUID == identify(data).sop_instance_uid
        assert meta.MediaStorageSOPClassUID == identify(data).sop_class_uid
        assert b"ORTHANC" not in data
        assert b"EXACTCOPY" not in data


def test_what_is_stored_compressed_comes_as_it_is_stored(full: Orthanc) -> None:
    for key, data in read(dimse_target(full.port, "ORTHANC")).items():
        assert isinstance(data, bytes)
        assert identify(data).transfer_syntax_uid == identify(study_files()[key]).transfer_syntax_uid


def test_two_copies_of_one_instance_uid_are_each_read(full: Orthanc) -> None:
    wanted = [pacs_copy(key) for key in sorted(study_files())]
    got = read(dimse_target(full.port, "ORTHANC"), [*wanted, wanted[0]][:2])
    assert set(got) == {wanted[0].key, wanted[1].key}
    twice = [wanted[0], wanted[0]]
    with DimseStore(dimse_target(full.port, "ORTHANC")) as store:
        read_twice = [content(stream) for _, stream in store.read(twice)]
    assert len(read_twice) == 2
    assert read_twice[0] == read_twice[1]


def test_a_copy_without_uids_is_a_problem(full: Orthanc) -> None:
    copies = [Copy(key=b"x", size=1, modified=None), pacs_copy(min(study_files()))]
    got = read(dimse_target(full.port, "ORTHANC"), copies)
    assert got[b"x"] is Problem.IO_ERROR
    assert isinstance(got[min(study_files())], bytes)


def test_processes_take_turns_to_receive(full: Orthanc, move_port: int) -> None:
    target = dimse_target(full.port, "ORTHANC", retrieve="move", move_port=move_port, calling_ae_title="MOVER")
    with ThreadPoolExecutor(3) as threads:
        for got in threads.map(read, [target] * 3):
            assert sorted(got) == sorted(study_files())
            assert all(isinstance(data, bytes) for data in got.values())


@pytest.mark.parametrize(
    "limits", [{"LimitFindResults": 3}, {"LimitFindInstances": 3}, {"LimitFindResults": 3, "LimitFindInstances": 10}]
)
@pytest.mark.parametrize("undated", [0, 2, 5])
def test_orthanc_with_limits_never_loses_anything_unnoticed(limits: dict[str, int], undated: int) -> None:
    files = [
        instance(f"1.2.826.0.1.{study}", 1, number, StudyDate=f"20{study:02}0{study % 9 + 1}15")
        for study in range(1, 9)
        for number in range(1, 3)
    ]
    files += [instance("1.2.826.0.1.50", 1, number, StudyDate="20200101") for number in range(1, 13)]
    files += [instance(f"1.2.826.0.1.6{study}", StudyDate="") for study in range(undated)]
    with orthanc(**limits) as server:
        for data in files:
            server.upload(data)
        with DimseStore(dimse_target(server.port, "ORTHANC")) as store:
            found = [item for partition in store.partitions() for item in store.listing(partition)]
            by_uid = list(store.listing("study:1.2.826.0.1.1"))
            large = list(store.listing("study:1.2.826.0.1.50"))
    keys = [item.key for item in found if isinstance(item, Copy)]
    gaps = {item.scope for item in found if isinstance(item, Gap)}
    assert len(keys) == len(set(keys))
    # Orthanc sorts what has no date before all that has one: where some show there, and no more than the limit, that is
    # all of them. Where there is none, none could be told from a server that sorts them nowhere.
    unsure = "LimitFindResults" in limits and undated != 2
    assert any(scope.startswith(b"undated") for scope in gaps) is unsure
    for data in files:
        study = identify(data).study_instance_uid or ""
        assert key_of(data) in keys or study.encode() in gaps or (unsure and study.startswith("1.2.826.0.1.6"))
    assert len([item for item in by_uid if isinstance(item, Copy)]) == 2
    assert not [item for item in by_uid if isinstance(item, Gap)]
    assert any(isinstance(item, Gap) for item in large) is ("LimitFindInstances" in limits)


def test_on_a_busy_computer_no_answer_is_lost(full: Orthanc) -> None:
    """The thread of an association that wakes late takes nothing that was said to who asked."""
    with Finder(reach(dimse_target(full.port, "ORTHANC"))) as finder:
        first = finder.ask("STUDY", {"StudyInstanceUID": ""})
        association = finder._association
        assert association is not None
        notice = association._reactor_checkpoint.wait

        def late(timeout: float | None = None) -> bool:
            noticed = notice(timeout)
            sleep(0.02)
            return noticed

        association._reactor_checkpoint.wait = late  # type: ignore[method-assign]
        assert len(first.rows) > 1
        for _ in range(50):
            assert finder.ask("STUDY", {"StudyInstanceUID": ""}) == first
            # Where the end of an answer is lost, the server gives up, and is asked again.
            assert finder._association is association


def test_a_last_word_that_is_said_twice_is_no_answer_to_the_next_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a study that is there would cleanly be absent, and each answer be that to the question before."""
    send = DIMSEServiceProvider.send_msg

    def twice(self: DIMSEServiceProvider, primitive: Any, context: int) -> None:
        send(self, primitive, context)
        if isinstance(primitive, C_FIND) and primitive.MessageIDBeingRespondedTo and primitive.Status == 0:
            send(self, primitive, context)

    monkeypatch.setattr(DIMSEServiceProvider, "send_msg", twice)
    studies = [f"1.2.826.0.1.{number}" for number in range(1, 6)]
    with misbehaving(map(instance, studies), Behaviour()) as port:
        target = dimse_target(port, "SCRIPT")
        with Finder(reach(target)) as finder:
            for study in studies:
                answer = finder.ask("STUDY", {"StudyInstanceUID": study})
                assert [row["StudyInstanceUID"] for row in answer.rows] == [study]
                assert absent(finder, "STUDY", {"StudyInstanceUID": study}) is Problem.IO_ERROR
        with DimseStore(target) as store:
            assert {copy.study_instance_uid for copy in listed(store)} == set(studies)


def test_an_association_may_ask_more_often_than_there_are_numbers(full: Orthanc) -> None:
    with Finder(reach(dimse_target(full.port, "ORTHANC"))) as finder:
        first = finder.ask("STUDY", {"StudyInstanceUID": ""})
        assert finder._association is not None
        finder._association.dimse.msg_queue.asked = 0xFFFD  # type: ignore[attr-defined]
        assert [finder.ask("STUDY", {"StudyInstanceUID": ""}) for _ in range(5)] == [first] * 5


@pytest.fixture(scope="module")
def limited(move_port: int) -> Iterator[int]:
    """DCMTK's archive with two plain studies; it insists on the keys of each level."""
    with dcmqrscp("+B", "-XF", "-XM", mover=move_port) as port:
        dcmsend(port, "ARCHIVE", _plain().values())
        yield port


def _plain() -> dict[bytes, bytes]:
    files = [
        instance(f"1.2.826.0.2.{study}", series, number) for study in (1, 2) for series in (1, 2) for number in (1, 2)
    ]
    return {key_of(data): data for data in files}


@pytest.mark.parametrize("way", ["get", "move", None])
def test_a_limited_archive_is_listed_and_read(limited: int, move_port: int, way: str | None) -> None:
    target = dimse_target(limited, "ARCHIVE", retrieve=way, move_port=move_port, calling_ae_title="MOVER")
    got = read(target)
    assert sorted(got) == sorted(_plain())
    for key, data in got.items():
        assert isinstance(data, bytes)
        assert content_digest(data) == content_digest(_plain()[key])


def test_a_limited_archive_says_what_is_absent(limited: int) -> None:
    gone = [
        pacs_copy(key) for key in (b"1.2.826.0.2.1/1.2.826.0.2.1.1/1.9", b"1.8/1.8.1/1.8.1.1", b"1.8/1.8.2/1.8.2.1")
    ]
    got = read(dimse_target(limited, "ARCHIVE"), [*map(pacs_copy, _plain()), *gone])
    assert {copy.key: got[copy.key] for copy in gone} == {copy.key: Problem.VANISHED for copy in gone}
    assert sum(isinstance(data, bytes) for data in got.values()) == len(_plain())
    with DimseStore(dimse_target(limited, "ARCHIVE")) as store:
        assert list(store.listing("study:1.8")) == []


def test_without_c_get_an_archive_is_asked_to_move(move_port: int) -> None:
    with dcmqrscp("+B", "--disable-get", mover=move_port) as port:
        dcmsend(port, "ARCHIVE", _plain().values())
        got = read(dimse_target(port, "ARCHIVE", move_port=move_port, calling_ae_title="MOVER"))
    assert all(isinstance(data, bytes) for data in got.values())
    assert sorted(got) == sorted(_plain())


def _taken(server: Orthanc, files: Iterable[bytes]) -> dict[bytes, bytes]:
    """Upload what the server takes."""
    taken = {}
    for data in files:
        answer = urllib3.request("POST", f"{server.rest}/instances", body=data, headers=SIGNED_IN)
        if answer.status == 200 and b"AlreadyStored" not in answer.data:
            taken[key_of(data)] = data
    return taken


@needs_corpus
@pytest.mark.parametrize("way", ["get", "move"])
def test_every_real_file_that_a_server_takes_comes_back_with_its_content(move_port: int, way: str) -> None:
    with orthanc(mover=move_port) as server:
        taken = _taken(server, map(Path.read_bytes, corpus()))
        options = {"retrieve": way, "move_port": move_port, "calling_ae_title": "MOVER"}
        got = read(dimse_target(server.port, "ORTHANC", **options))
    assert len(taken) > 25
    assert sorted(got) == sorted(taken)
    unequal = [
        key
        for key, data in got.items()
        if isinstance(data, Problem) or not content_digest(data) or content_digest(data) != content_digest(taken[key])
    ]
    assert unequal == []


@needs_corpus
def test_real_files_that_came_by_c_store_come_back_with_the_content_that_is_stored() -> None:
    with orthanc() as server:
        dcmsend(server.port, "ORTHANC", map(Path.read_bytes, corpus()))
        names = json.loads(server.request("GET", "/instances"))
        stored = {key_of(data): data for data in (server.request("GET", f"/instances/{name}/file") for name in names)}
        got = read(dimse_target(server.port, "ORTHANC"))
    assert len(stored) > 20
    assert sorted(got) == sorted(stored)
    unequal = [
        key
        for key, data in got.items()
        if isinstance(data, Problem) or content_digest(data) != content_digest(stored[key])
    ]
    assert unequal == []


def test_pynetdicom_is_imported_only_to_reach_a_pacs() -> None:
    code = "import sys, exactcopy.stores.dimse; assert not {'pydicom', 'pynetdicom'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
