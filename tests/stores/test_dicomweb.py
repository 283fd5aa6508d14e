"""DICOMweb against a real Orthanc, and against servers that say what no proper one would."""

import json
import ssl
from collections.abc import Iterator
from email.message import Message
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import UID

from exactcopy.dicom.header import identify
from exactcopy.errors import StoreUnavailable
from exactcopy.model import Answer as Found
from exactcopy.model import Copy, Gap, Problem, Role, Safeguard, Target
from exactcopy.stores.dicomweb import DicomwebStore
from exactcopy.stores.dicomweb.multipart import parts
from tests.dicom.dicom_files import corpus, needs_corpus, real
from tests.pacs import PASSWORD, USER, Orthanc, orthanc
from tests.servers import Answer, scripted
from tests.stores.contract import content, listed
from tests.stores.pacs_contract import PacsContract, key_of, pacs_copy, study_files


@pytest.fixture(scope="module")
def full() -> Iterator[Orthanc]:
    """Orthanc with the files of the contract, by REST."""
    with orthanc() as server:
        for data in study_files().values():
            server.upload(data)
        yield server


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACS_PASSWORD", PASSWORD)


def dicomweb_target(url: str, **options: Any) -> Target:
    """Give the target of a server."""
    signed_in = {"username": USER, "password": "env:PACS_PASSWORD"}
    return Target(
        name="web", role=Role.BACKUP, kind="dicomweb", identity="", options={"url": url, **signed_in, **options}
    )


class TestOrthanc(PacsContract):
    """Orthanc with its plugin."""

    store = DicomwebStore
    told = ("checksums", "counts")

    @pytest.fixture
    def target(self, full: Orthanc) -> Target:
        return dicomweb_target(full.dicomweb)


@needs_corpus
def test_real_files_come_back_byte_for_byte() -> None:
    sent: dict[bytes, bytes] = {}
    with orthanc() as server:
        for path in corpus():
            data = path.read_bytes()
            key = key_of(data)
            # Of two contents with one UID it keeps the first; what is damaged it does not take.
            try:
                server.upload(data)
            except AssertionError:
                continue
            sent.setdefault(key, data)
        with DicomwebStore(dicomweb_target(server.dicomweb)) as store:
            copies = sorted(listed(store), key=lambda copy: copy.key)
            got = {copy.key: content(stream) for copy, stream in store.read(copies)}
    assert len(sent) > 25
    assert got == sent


@pytest.mark.parametrize("limits", [{"LimitFindResults": 12}, {"LimitFindInstances": 2}])
def test_what_a_server_cuts_silently_is_found_or_is_a_gap(limits: dict[str, int]) -> None:
    with orthanc(**limits) as server:
        sent = {}
        for number in range(30):
            data = dated(number)
            server.upload(data)
            sent[key_of(data)] = data
        with DicomwebStore(dicomweb_target(server.dicomweb)) as store:
            found = [item for partition in store.partitions() for item in store.listing(partition)]
    keys = {item.key for item in found if isinstance(item, Copy)}
    gaps = [item for item in found if isinstance(item, Gap)]
    assert keys <= set(sent)
    assert gaps or keys == set(sent)
    if "LimitFindResults" in limits:
        # By smaller slices all are found.
        assert keys == set(sent)


def dated(number: int) -> bytes:
    """Give an image of a study of its own, each of another day, two series of two images in all of ten."""
    made = dcmread(BytesIO(real("CT_small.dcm")))
    study = number // 2
    made.StudyInstanceUID = UID(f"1.2.826.0.1.3680043.8.498.9.{number}" if number < 20 else f"1.2.826.0.1.{study}")
    made.SeriesInstanceUID = UID(f"{made.StudyInstanceUID}.{number % 2}")
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.826.0.1.3680043.8.498.8.{number}")
    made.StudyDate = f"2020{1 + study % 12:02}{1 + study:02}"
    into = BytesIO()
    made.save_as(into)
    return into.getvalue()


QUERY = json.dumps(
    [
        {
            "0020000D": {"vr": "UI", "Value": ["1.2"]},
            "0020000E": {"vr": "UI", "Value": ["1.2.3"]},
            "00080018": {"vr": "UI", "Value": ["1.2.3.4"]},
            "00201208": {"vr": "IS", "Value": [2]},
        }
    ]
).encode()


def once(path: str, body: bytes) -> Answer:
    """Answer the first page of a query; the next is empty."""
    return Answer(body=body if "offset=0" in path or "limit=1" in path else b"[]")


def test_a_study_of_which_the_server_shows_less_than_it_counts_has_a_gap() -> None:
    with scripted(lambda path, _: once(path, QUERY)) as url, DicomwebStore(dicomweb_target(url)) as store:
        found = list(store.listing("study:1.2"))
    assert [item.key for item in found if isinstance(item, Copy)] == [b"1.2/1.2.3/1.2.3.4"]
    assert [item.scope for item in found if isinstance(item, Gap)] == [b"1.2"]


@pytest.mark.parametrize("status", [400, 403, 500])
def test_a_query_that_fails_is_a_gap_and_no_absence(status: int) -> None:
    def answer(path: str, _: Message) -> Answer:
        return once(path, b"[]") if "limit=1&" in path or path.endswith("limit=1") else Answer(status=status)

    with scripted(answer) as url, DicomwebStore(dicomweb_target(url)) as store:
        assert [type(item) for item in store.listing("study:1.2")] == [Gap]


def test_nothing_of_a_request_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")

    def answer(path: str, _: Message) -> Answer:
        return once(path, b"[]") if "limit=1" in path and "1.2.3.4.5" not in path else Answer(status=503)

    with scripted(answer) as url, DicomwebStore(dicomweb_target(url)) as store:
        assert [type(item) for item in store.listing("study:1.2.3.4.5")] == [Gap]
        for _ in store.read([pacs_copy(b"1.2.3.4.5/1.2/1.3")]):
            pass
    assert "1.2.3.4.5" not in caplog.text


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (Answer(status=401), "sign_in"),
        (Answer(status=403), "denied"),
        (Answer(status=404), "no_service"),
        (Answer(status=500), "no_answer"),
        (Answer(body=b"<html>welcome</html>"), "no_service"),
        (Answer(body=b'{"error": 1}'), "no_service"),
    ],
)
def test_what_is_wrong_when_a_server_is_entered_is_said(said: Answer, code: str) -> None:
    with scripted(lambda *_: said) as url, pytest.raises(StoreUnavailable) as error:
        DicomwebStore(dicomweb_target(url)).__enter__()
    assert error.value.code == code


def test_a_server_that_is_not_there_and_one_that_nobody_vouches_for_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="nothing listens there"):
        DicomwebStore(dicomweb_target("http://127.0.0.1:1")).__enter__()
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(trusted)
    with scripted(lambda path, _: once(path, QUERY), context) as url:
        with pytest.raises(StoreUnavailable, match="not trusted"):
            DicomwebStore(dicomweb_target(url)).__enter__()
        with DicomwebStore(dicomweb_target(url, ca=str(trusted))) as store:
            assert store.safeguards().seen[Safeguard.TRANSPORT].answer is Found.PASS


def served(body: bytes, *, status: int = 200, kind: str = 'multipart/related; boundary="b"') -> Any:
    """Answer every retrieval with a body."""

    def answer(path: str, _: Message) -> Answer:
        return (
            once(path, b"[]") if "limit=1" in path else Answer(status=status, body=body, headers={"Content-Type": kind})
        )

    return scripted(answer)


def packed(*files: bytes, end: bytes = b"\r\n--b--\r\n") -> bytes:
    """Give a multipart body."""
    return b"".join(b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n" + data for data in files) + end


FILES = dict(list(study_files().items())[:2])


def read(url: str, *keys: bytes) -> dict[bytes, bytes | Problem]:
    """Read copies of a server; what breaks off is an I/O error."""
    got: dict[bytes, bytes | Problem] = {}
    with DicomwebStore(dicomweb_target(url)) as store:
        for copy, stream in store.read(map(pacs_copy, sorted(keys))):
            try:
                got[copy.key] = stream if isinstance(stream, Problem) else content(stream)
            except OSError:
                got[copy.key] = Problem.IO_ERROR
    return got


def test_a_body_that_ends_without_its_last_delimiter_is_no_whole_instance() -> None:
    key, data = next(iter(FILES.items()))
    for cut in (0, 1, 100, len(data) // 2):
        with served(packed(data[: len(data) - cut], end=b"")) as url:
            assert read(url, key) == {key: Problem.IO_ERROR}
    with served(packed(data)) as url:
        assert read(url, key) == {key: data}
    with served(data, kind="application/dicom") as url:
        assert read(url, key) == {key: data}


def test_another_instance_than_the_one_that_was_asked_for_is_not_taken_for_it() -> None:
    (key, _), (_, other) = FILES.items()
    with served(packed(other)) as url:
        assert read(url, key) == {key: Problem.IO_ERROR}


@pytest.mark.parametrize(
    ("status", "problem"), [(404, Problem.VANISHED), (403, Problem.PERMISSION), (406, Problem.IO_ERROR)]
)
def test_why_an_instance_does_not_come_is_told(status: int, problem: Problem) -> None:
    key = next(iter(FILES))
    with served(b"", status=status) as url:
        assert read(url, key) == {key: problem}


@given(
    st.lists(st.binary(max_size=80).map(lambda data: data.replace(b"\r\n--b", b""))),
    st.lists(st.integers(1, 40), min_size=1),
    st.integers(1, 50),
)
def test_parts_come_out_as_they_went_in_however_the_body_is_cut(files: list[bytes], cuts: list[int], most: int) -> None:
    body = packed(*files)
    rest, number = memoryview(body), 0

    def take(_: int) -> bytes:
        nonlocal rest, number
        size = cuts[number % len(cuts)]
        piece, rest, number = bytes(rest[:size]), rest[size:], number + 1
        return piece

    got = []
    for part in parts(take, b"b"):
        buffer, data = bytearray(most), bytearray()
        while count := part.readinto(buffer):
            data += buffer[:count]
        got.append(bytes(data))
    assert got == files


def test_the_files_of_the_tests_are_what_they_are_taken_for() -> None:
    assert all(identify(data).sop_instance_uid for data in FILES.values())
