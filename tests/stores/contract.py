"""What every store must do. A store's tests subclass `StoreContract` and say how to fill one."""

import re
from collections.abc import Mapping
from typing import ClassVar

import pytest

from exactcopy.model import Answer, Copy, Gap, Problem, Target
from exactcopy.stores import AT_ONCE, KEEP_DELETED, Asked, ManyOpen, Store, Trash, open_store

OBJECTS: Mapping[bytes, bytes] = {
    b"plain.dcm": b"some bytes",
    b"deep/er/and deeper/IM0001": b"x" * 70_000,
    b"empty": b"",
    b"with space and 'quotes' \"and\" more.dcm": b"1",
    "Größe/naïve — ü.dcm".encode(): b"composed",
    "u\u0308.dcm".encode(): b"decomposed",
    b"[glob]*?.dcm": b"2",
}


class StoreContract:
    """The contract. `make` fills a store with objects and gives its Target."""

    objects: ClassVar[Mapping[bytes, bytes]] = OBJECTS

    def make(self, objects: Mapping[bytes, bytes]) -> Target:
        """Fill a store."""
        raise NotImplementedError

    @pytest.fixture
    def target(self) -> Target:
        """A store that holds `objects`."""
        return self.make(self.objects)

    def test_the_listing_is_complete_and_its_sizes_are_true(self, target: Target) -> None:
        with open_store(target) as store:
            copies = listed(store)
        assert {copy.key: copy.size for copy in copies} == {key: len(data) for key, data in self.objects.items()}
        assert len(copies) == len(self.objects)

    def test_every_object_is_read_once_with_the_bytes_that_are_there(self, target: Target) -> None:
        with open_store(target) as store:
            copies = listed(store)
            read = [(copy.key, content(stream)) for copy, stream in store.read(copies)]
        assert dict(read) == self.objects
        assert len(read) == len(copies)

    def test_many_that_are_open_at_once_keep_their_bytes(self, target: Target) -> None:
        with open_store(target) as store:
            assert isinstance(store, ManyOpen) == (target.kind in AT_ONCE)
            if isinstance(store, ManyOpen):
                opened = list(store.open(listed(store)))
                for copy, stream in reversed(opened):
                    assert not isinstance(stream, Problem)
                    # One is given up before its end.
                    if copy.key != b"plain.dcm":
                        assert content(stream) == self.objects[copy.key]
                    stream.close()
                assert {copy.key for copy, _ in opened} == set(self.objects)

    def test_a_missing_key_is_a_problem_and_stops_nothing(self, target: Target) -> None:
        with open_store(target) as store:
            good = next(copy for copy in listed(store) if copy.key == b"plain.dcm")
            gone = Copy(key=b"not/there", size=1, modified=0)
            found = {copy.key: stream for copy, stream in store.read([gone, good]) if isinstance(stream, Problem)}
        assert found == {b"not/there": Problem.VANISHED}

    def test_a_store_cannot_write(self, target: Target) -> None:
        with open_store(target) as store:
            public = {name for name in dir(store) if not name.startswith("_")}
            if isinstance(store, Asked):
                public.remove("checksums")
            if isinstance(store, ManyOpen):
                public.remove("open")
            assert isinstance(store, Trash) == (target.kind in KEEP_DELETED)
            if isinstance(store, Trash):
                public.remove("deleted")
        assert public == {"partitions", "listing", "read", "safeguards"}

    def test_what_is_said_of_safeguards_may_be_printed(self, target: Target) -> None:
        with open_store(target) as store:
            keys = [copy.key.decode("utf-8", "replace") for copy in listed(store)]
            for seen in store.safeguards().seen.values():
                assert isinstance(seen.answer, Answer)
                assert re.fullmatch(r"[\w ,.:;%/()'-]{0,80}", seen.detail)
                assert not [key for key in keys if key in seen.detail]


def listed(store: Store) -> list[Copy]:
    """Give the whole listing, which must have no gap."""
    found = [item for partition in store.partitions() for item in store.listing(partition)]
    assert not [item for item in found if isinstance(item, Gap)]
    return [item for item in found if isinstance(item, Copy)]


def content(stream: object) -> bytes:
    """Read a stream to its end."""
    assert not isinstance(stream, Problem)
    data = bytearray()
    buffer = bytearray(1000)
    while count := stream.readinto(buffer):  # type: ignore[attr-defined]
        data += buffer[:count]
    return bytes(data)
