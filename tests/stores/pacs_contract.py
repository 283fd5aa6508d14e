"""What every store that is a PACS must do. Its tests subclass `PacsContract` and say how to fill one."""

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from io import BytesIO
from typing import Any, ClassVar

import pytest
from pydicom import dcmread
from pydicom.uid import UID

from exactcopy.dicom.canonical import content_digest
from exactcopy.dicom.header import identify
from exactcopy.model import UNSIZED, Answer, Copy, Gap, Problem, Safeguard, Target
from tests.dicom.dicom_files import real
from tests.stores.contract import content, listed

# Two patients in one department got the same Study Instance UID.
SHARED_STUDY = "1.2.826.0.1.3680043.8.498.3"


@cache
def study_files() -> Mapping[bytes, bytes]:
    """Give files by the keys that they have in a PACS: native and compressed, dated and not, of several modalities."""
    first, undated, compressed = (f"1.2.826.0.1.3680043.8.498.{number}" for number in (1, 2, 4))
    files = [
        *(_file("CT_small.dcm", first, series, number) for series in (1, 2) for number in (1, 2, 3)),
        *(_file("MR_small.dcm", undated, 1, number, StudyDate="") for number in (1, 2)),
        *(_file("MR_small.dcm", SHARED_STUDY, 1, number, PatientID="A", StudyDate="20200101") for number in (1, 2)),
        *(_file("CT_small.dcm", SHARED_STUDY, 2, number, PatientID="B", StudyDate="20211231") for number in (1, 2, 3)),
        _file("JPEG2000.dcm", compressed, 1, 1),
        _file("SC_rgb_rle.dcm", compressed, 2, 1),
        _file("MR_small_RLE.dcm", compressed, 3, 1),
        # Real ones as they are.
        *(real(name) for name in ("reportsi.dcm", "rtplan.dcm", "examples_jpeg2k.dcm")),
    ]
    return {key_of(data): data for data in files}


def key_of(data: bytes) -> bytes:
    """Return the key that an instance has in a PACS."""
    identity = identify(data)
    return f"{identity.study_instance_uid}/{identity.series_instance_uid}/{identity.sop_instance_uid}".encode()


def pacs_copy(key: bytes) -> Copy:
    """Return the copy that a listing would give, were it there."""
    study, series, instance = key.decode().split("/")
    return Copy(
        key=key,
        size=UNSIZED,
        modified=None,
        study_instance_uid=study,
        series_instance_uid=series,
        sop_instance_uid=instance,
    )


def _file(name: str, study: str, series: int, number: int, **values: str) -> bytes:
    made = dcmread(BytesIO(real(name)))
    made.StudyInstanceUID = UID(study)
    made.SeriesInstanceUID = UID(f"{study}.{series}")
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = UID(f"{study}.{series}.{number}")
    for keyword, value in values.items():
        setattr(made, keyword, value)
    into = BytesIO()
    made.save_as(into)
    return into.getvalue()


class PacsContract:
    """The contract. `make` fills a server with files and gives its Target; `store` opens it."""

    store: ClassVar[type[Any]]
    # False: the protocol has the server pack an instance anew. Then what the instance says is compared.
    gives_files: ClassVar[bool] = True
    # What else it tells.
    told: ClassVar[tuple[str, ...]] = ()

    def make(self, files: Iterable[bytes]) -> Target:
        """Fill a server, or one that is full of them already."""
        raise NotImplementedError

    @pytest.fixture
    def target(self) -> Target:
        """A server that holds the files of `study_files`."""
        return self.make(study_files().values())

    def same(self, got: bytes, sent: bytes) -> bool:
        """Say whether what came back is what was put there."""
        return got == sent if self.gives_files else got[128:132] == b"DICM" and _content(got) == _content(sent)

    def test_the_listing_is_complete_and_tells_the_uids_of_each(self, target: Target) -> None:
        with type(self).store(target) as store:
            copies = listed(store)
        assert sorted(copy.key for copy in copies) == sorted(study_files())
        for copy in copies:
            identity = identify(study_files()[copy.key])
            assert copy.study_instance_uid == identity.study_instance_uid
            assert copy.series_instance_uid == identity.series_instance_uid
            assert copy.sop_instance_uid == identity.sop_instance_uid
            assert copy.sop_class_uid == identity.sop_class_uid
            assert (copy.size, copy.modified, copy.version, copy.digests) == (UNSIZED, None, None, {})

    def test_partitions_can_be_listed_side_by_side(self, target: Target) -> None:
        with type(self).store(target) as store, ThreadPoolExecutor(8) as threads:
            partitions = list(store.partitions())
            found = [
                item.key if isinstance(item, Copy) else item
                for items in threads.map(lambda partition: list(store.listing(partition)), partitions)
                for item in items
            ]
        assert sorted(map(str, found)) == sorted(map(str, study_files()))

    def test_one_study_can_be_listed_by_its_uid(self, target: Target) -> None:
        for study in {key.split(b"/")[0] for key in study_files()}:
            with type(self).store(target) as store:
                found = list(store.listing(f"study:{study.decode()}"))
            assert not [item for item in found if isinstance(item, Gap)]
            keys = sorted(item.key for item in found if isinstance(item, Copy))
            assert keys == sorted(key for key in study_files() if key.startswith(study + b"/"))

    def test_of_a_study_that_is_absent_nothing_is_listed(self, target: Target) -> None:
        with type(self).store(target) as store:
            assert list(store.listing("study:1.2.826.0.1.3680043.8.498.404")) == []

    def test_every_instance_is_read_once_with_what_was_put_there(self, target: Target) -> None:
        with type(self).store(target) as store:
            copies = sorted(listed(store), key=lambda copy: copy.key)
            read = [(copy, content(stream)) for copy, stream in store.read(copies)]
        assert sorted(copy.key for copy, _ in read) == [copy.key for copy in copies]
        for copy, data in read:
            assert copy in copies
            assert self.same(data, study_files()[copy.key])

    def test_only_what_is_asked_for_is_read(self, target: Target) -> None:
        wanted = sorted(study_files())[::2]
        with type(self).store(target) as store:
            read = {copy.key: content(stream) for copy, stream in store.read(map(pacs_copy, wanted))}
        assert sorted(read) == wanted
        assert all(self.same(data, study_files()[key]) for key, data in read.items())

    def test_a_stream_that_is_left_unread_takes_nothing_from_the_others(self, target: Target) -> None:
        read = {}
        with type(self).store(target) as store:
            for number, (copy, stream) in enumerate(store.read(map(pacs_copy, sorted(study_files())))):
                assert not isinstance(stream, Problem)
                if number % 3 == 0:
                    read[copy.key] = content(stream)
                elif number % 3 == 1:
                    stream.readinto(bytearray(200))
        assert len(read) == -(-len(study_files()) // 3)
        assert all(self.same(data, study_files()[key]) for key, data in read.items())

    def test_the_first_bytes_are_those_of_the_file(self, target: Target) -> None:
        with type(self).store(target) as store:
            for copy, stream in store.read(map(pacs_copy, sorted(study_files())), 8192):
                assert not isinstance(stream, Problem)
                first = bytearray(8192)
                held = 0
                while held < len(first) and (count := stream.readinto(memoryview(first)[held:])):
                    held += count
                if self.gives_files:
                    assert first[:held] == study_files()[copy.key][:8192]
                assert identify(first[:held]).sop_instance_uid == copy.sop_instance_uid

    def test_what_is_not_there_is_a_problem_and_stops_nothing(self, target: Target) -> None:
        there = sorted(study_files())
        study, series, _ = there[0].split(b"/")
        gone = [
            b"/".join((study, series, b"1.2.826.0.1.3680043.8.498.404")),
            b"/".join((study, b"1.2.826.0.1.3680043.8.498.404", b"1.2.826.0.1.3680043.8.498.404.1")),
            *(b"1.2.826.0.1.3680043.8.498.404/1.2.826.0.1.3680043.8.498.404.1/1.2.3.%d" % number for number in (1, 2)),
        ]
        with type(self).store(target) as store:
            read = {
                copy.key: stream if isinstance(stream, Problem) else content(stream)
                for copy, stream in store.read(map(pacs_copy, sorted([*there, *gone])))
            }
        assert {key: read.pop(key) for key in gone} == dict.fromkeys(gone, Problem.VANISHED)
        assert sorted(read) == there
        assert not [key for key, got in read.items() if isinstance(got, Problem)]

    def test_a_store_cannot_write(self, target: Target) -> None:
        with type(self).store(target) as store:
            public = {name for name in dir(store) if not name.startswith("_")}
        assert public == {"partitions", "listing", "read", "safeguards", *self.told}

    def test_what_is_said_of_safeguards_may_be_printed(self, target: Target) -> None:
        with type(self).store(target) as store:
            listed(store)
            shown = store.safeguards()
        assert shown.seen[Safeguard.TRANSPORT].answer in (Answer.PASS, Answer.NOT_ASSESSED)
        assert shown.medium
        for seen in shown.seen.values():
            assert re.fullmatch(r"[\w ,.:;%/()'-]{0,80}", seen.detail)


def _content(data: bytes) -> bytes:
    digest = content_digest(data)
    assert digest is not None
    return digest
