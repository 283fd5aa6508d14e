"""Instances as they come in: the bytes of the wire behind a file meta group of our own."""

from io import BytesIO
from queue import Empty, Full, Queue
from struct import pack
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Any

from exactcopy.stores.dimse.peer import SILENCE, Handlers, pynetdicom_quietly

if TYPE_CHECKING:
    from pynetdicom.dimse_primitives import C_STORE

_STORED, _NO_RESOURCES, _NO_DATA_SET = 0x0000, 0xA700, 0xA900
# What wrote the file meta: a UID of our own (PS3.5 B.2).
_IMPLEMENTATION = "2.25.173427903258436140298167418437126592341"


class Silence(Exception):
    """Nothing came from the other side for too long."""


class Arrived:
    """An instance, as a stream of a file (PS3.10 7.1) that is the same bytes whenever it is sent alike."""

    def __init__(self, request: "C_STORE", data_set: BytesIO, transfer_syntax: str) -> None:
        """Take what was sent; it is not copied."""
        self.sop_instance_uid = str(request.AffectedSOPInstanceUID)
        meta = file_meta(str(request.AffectedSOPClassUID), self.sop_instance_uid, transfer_syntax)
        self._left = [memoryview(meta), data_set.getbuffer()]

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        """Fill `buffer`."""
        room, count = memoryview(buffer), 0
        while self._left and count < len(room):
            piece = self._left[0][: len(room) - count]
            room[count : count + len(piece)] = piece
            count += len(piece)
            self._left[0] = self._left[0][len(piece) :]
            if not self._left[0]:
                del self._left[0]
        return count


class Ended:
    """The end of one request: its final status, None where the association broke off."""

    def __init__(self, number: int, status: int | None) -> None:
        """Take the number of the request."""
        self.number = number
        self.status = status


class Inbox:
    """Hands over what arrives in pynetdicom's threads, an instance at a time: meanwhile the PACS waits."""

    def __init__(self) -> None:
        """Open it."""
        self._queue: Queue[Arrived | Ended] = Queue(1)
        self._closed = Event()
        self._heard = monotonic()

    def handlers(self) -> Handlers:
        """Return what an association is bound to whose instances arrive here."""
        evt = pynetdicom_quietly().evt
        return [(evt.EVT_C_STORE, self._store), (evt.EVT_DATA_RECV, self._hear)]

    def put(self, item: Arrived | Ended) -> bool:
        """Wait until there is room; False: nobody takes anything any more."""
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except Full:
                continue
            return True
        return False

    def take(self) -> Arrived | Ended:
        """Wait for what comes next; raises Silence."""
        since = monotonic()
        while True:
            try:
                return self._queue.get(timeout=1)
            except Empty:
                if monotonic() - max(since, self._heard) > SILENCE:
                    raise Silence from None

    def close(self) -> None:
        """Let go of whoever waits for room."""
        self._closed.set()

    def _hear(self, _: object) -> None:
        self._heard = monotonic()

    def _store(self, event: Any) -> int:
        request = event.request
        if request.DataSet is None:
            return _NO_DATA_SET
        return _STORED if self.put(Arrived(request, request.DataSet, event.context.transfer_syntax)) else _NO_RESOURCES


def file_meta(sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    """Return a preamble and file meta without anything that differs from one transfer to the next."""
    elements = pack("<HH2sHI", 2, 1, b"OB", 0, 2) + b"\0\1"
    for element, uid in (2, sop_class), (3, sop_instance), (0x10, transfer_syntax), (0x12, _IMPLEMENTATION):
        value = uid.encode("latin-1", "replace")
        value += b"\0" * (len(value) % 2)
        elements += pack("<HH2sH", 2, element, b"UI", len(value)) + value
    return bytes(128) + b"DICM" + pack("<HH2sHI", 2, 0, b"UL", 4, len(elements)) + elements
