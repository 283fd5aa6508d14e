"""C-GET, and C-MOVE to a receiver of our own: a request, and what arrives for it (PS3.4 C.4.2, C.4.3)."""

import errno
import ssl
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import count
from threading import Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Protocol

from exactcopy.errors import StoreUnavailable
from exactcopy.model import Target
from exactcopy.stores.dimse.arriving import Arrived, Ended, Inbox
from exactcopy.stores.dimse.finding import dataset
from exactcopy.stores.dimse.peer import (
    GET,
    MOVE,
    PDU_BYTES,
    VERIFICATION,
    Peer,
    associate,
    contexts,
    hang_up,
    numbered,
    pynetdicom_quietly,
    trusting,
    tuning,
)

if TYPE_CHECKING:
    from pynetdicom.association import Association

# An association has 128 presentation contexts (PS3.8 9.3.2.2), one of them for the request itself.
_MOST_CONTEXTS = 127
# A context of its own for each: of several in one the server would choose, and pack everything anew to that.
SYNTAXES = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.5",
    *(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70, 80, 81, 90, 91, 92, 93)),
    *(f"1.2.840.10008.1.2.4.{number}" for number in (100, 101, 102, 103, 104, 105, 106, 107, 108)),
    *(f"1.2.840.10008.1.2.4.{number}" for number in (110, 111, 112, 201, 202, 203)),
    "1.2.840.10008.1.2.8.1",
)
MOST_CLASSES = _MOST_CONTEXTS // len(SYNTAXES)

# Other processes of this audit use the one receiver by turns; a study is sent meanwhile.
_TURN = 30 * 60.0
_AFTER_YOU = 0.1
_NO_DESTINATION = 0xA801
_IN_USE = "move_port_in_use"


class Retriever(Protocol):
    """Has a server send instances, one request at a time."""

    def request(
        self, level: str, uids: Mapping[str, str], classes: frozenset[str], enough: Callable[[], bool]
    ) -> Generator[Arrived, None, int | None]:
        """Yield what arrives until all is there or it is `enough`, and return the final status.

        None: the association broke off. Nothing but `classes` may come. Raises StoreUnavailable or Silence.
        """
        ...

    def close(self) -> None:
        """Hang up."""
        ...


class Get:
    """Has instances sent over the association of the request."""

    def __init__(self, peer: Peer, inbox: Inbox) -> None:
        """Take the server, and where instances arrive."""
        self._peer = peer
        self._inbox = inbox
        self._numbers = count()
        self._association: Association | None = None
        self._classes: frozenset[str] = frozenset()

    def request(
        self, level: str, uids: Mapping[str, str], classes: frozenset[str], enough: Callable[[], bool]
    ) -> Generator[Arrived, None, int | None]:
        """Ask for it by C-GET; `classes` are no more than MOST_CLASSES."""
        if self._association is None or not self._association.is_established or not classes <= self._classes:
            self.close()
            both = self._classes | classes
            self._classes = both if len(both) <= MOST_CLASSES else classes
            self._association = self._associate()
        message = numbered(self._association)
        send = partial(self._association.send_c_get, dataset(level, uids), GET, message)
        return (yield from _answered(self._association, GET, message, send, self._inbox, next(self._numbers), enough))

    def close(self) -> None:
        """Hang up."""
        if self._association is not None:
            hang_up(self._association)

    def _associate(self) -> "Association":
        pynetdicom = pynetdicom_quietly()
        return associate(
            self._peer,
            [
                *contexts(GET),
                *(pynetdicom.build_context(kind, syntax) for kind in sorted(self._classes) for syntax in SYNTAXES),
            ],
            [pynetdicom.build_role(kind, scp_role=True) for kind in sorted(self._classes)],
            self._inbox.handlers(),
        )


class Move:
    """Has instances sent to a receiver of our own, which one process has at a time."""

    def __init__(self, peer: Peer, target: Target, inbox: Inbox) -> None:
        """Take the server, our settings, and where instances arrive."""
        self._peer = peer
        self._target = target
        self._inbox = inbox
        self._numbers = count()
        self._receiver: Any = None
        self._association: Association | None = None

    def request(
        self, level: str, uids: Mapping[str, str], classes: frozenset[str], enough: Callable[[], bool]
    ) -> Generator[Arrived, None, int | None]:
        """Ask for it by C-MOVE; the server names the classes when it calls."""
        if self._receiver is None:
            self._receiver = receiver(self._target, self._inbox, _TURN)
        if self._association is None or not self._association.is_established:
            self._association = associate(self._peer, contexts(MOVE))
        message, to = numbered(self._association), self._peer.calling_ae_title
        send = partial(self._association.send_c_move, dataset(level, uids), to, MOVE, message)
        return (yield from _answered(self._association, MOVE, message, send, self._inbox, next(self._numbers), enough))

    def close(self) -> None:
        """Hang up, and let the next process receive."""
        if self._association is not None:
            hang_up(self._association)
        if self._receiver is not None:
            _close(self._receiver)
            sleep(_AFTER_YOU)


def try_to_move(peer: Peer, target: Target, uids: Mapping[str, str]) -> None:
    """Make sure that the PACS can send to us, by having it send nothing; raises StoreUnavailable."""
    port, tls = target.options.get("move_port"), target.options.get("tls")
    if not port:
        raise StoreUnavailable(
            "no_move_port",
            target.name,
            "the PACS sends by C-MOVE, and there is no `move_port`",
            "Choose a port of this computer, and register it at the PACS with `calling_ae_title`.",
        )
    if tls and not target.options.get("client_cert"):
        raise StoreUnavailable(
            "no_client_cert",
            target.name,
            "to be sent images by C-MOVE over TLS takes a certificate of our own",
            "Name its file in `client_cert`.",
        )
    try:
        listening = receiver(target, Inbox(), 0.0)
    except StoreUnavailable as error:
        # Another process of this audit may be receiving.
        if error.code != _IN_USE:
            raise
        listening = None
    try:
        association = associate(peer, contexts(MOVE))
        try:
            asked = dataset("STUDY", uids)
            responses = association.send_c_move(asked, peer.calling_ae_title, MOVE, numbered(association))
            statuses = [said.get("Status") for said, _ in responses]
        finally:
            hang_up(association)
    finally:
        _close(listening)
    if _NO_DESTINATION in statuses:
        raise StoreUnavailable(
            "move_destination",
            target.name,
            "the PACS does not know where to send images (C-MOVE)",
            "Register `calling_ae_title` there, with the address of this computer and `move_port`.",
        )


def receiver(target: Target, inbox: Inbox, patience: float) -> Any:
    """Return an application entity that listens, and puts what it is sent into `inbox`; raises StoreUnavailable."""
    tls = trusting(target, ssl.Purpose.CLIENT_AUTH) if target.options.get("tls") else None
    pynetdicom = pynetdicom_quietly()
    entity = pynetdicom.AE(ae_title=str(target.options.get("calling_ae_title") or "EXACTCOPY"))
    # While it waits for us, a server is not at fault.
    entity.network_timeout = None
    entity.maximum_associations = 100
    entity.maximum_pdu_size = PDU_BYTES
    # A PACS may ask whether we are there.
    entity.add_supported_context(VERIFICATION)
    until = monotonic() + patience
    while True:
        try:
            entity.start_server(
                ("", int(target.options["move_port"])),
                block=False,
                ssl_context=tls,
                evt_handlers=[*tuning(), *inbox.handlers()],
            )
        except OSError as error:
            in_use = error.errno == errno.EADDRINUSE
            if in_use and monotonic() < until:
                sleep(_AFTER_YOU / 2)
                continue
            raise StoreUnavailable(
                _IN_USE if in_use else "move_port",
                target.name,
                f"the port that the PACS is to send to {'is in use' if in_use else 'cannot be opened'}",
                "Choose a free one above 1023 as `move_port`, and register it at the PACS.",
            ) from None
        return entity


def _close(listening: Any) -> None:
    if listening is not None:
        listening.shutdown()
        # Whoever called between its hanging up and its closing.
        listening.shutdown()


def _answered(
    association: "Association",
    model: str,
    message: int,
    send: Callable[[], Iterator[tuple[Any, Any]]],
    inbox: Inbox,
    number: int,
    enough: Callable[[], bool],
) -> Generator[Arrived, None, int | None]:
    # A large instance takes its time: that nothing at all comes, the inbox sees.
    association.dimse_timeout = None
    try:
        responses = send()
    except (RuntimeError, ValueError):
        # Dropped meanwhile, not accepted, or a UID that cannot be written.
        return None
    Thread(target=_follow, args=(responses, inbox, number), daemon=True).start()
    ended = cancelled = False
    try:
        while True:
            item = inbox.take()
            if isinstance(item, Arrived):
                yield item
                # Else it would be held until the next one is there.
                del item
                if not cancelled and enough():
                    cancelled = True
                    with suppress(RuntimeError, ValueError):
                        association.send_c_cancel(message, query_model=model)
            elif item.number == number:
                ended = item.status is not None
                return item.status
    finally:
        if not ended:
            hang_up(association, orderly=False)


def _follow(responses: Iterator[tuple[Any, Any]], inbox: Inbox, number: int) -> None:
    """Wait for the end of a request, in a thread of its own: in it pynetdicom takes what is sent meanwhile."""
    status: int | None = None
    try:
        for said, _ in responses:
            status = said.get("Status")
    except Exception:  # noqa: BLE001 - what pynetdicom makes of a hostile message; its text may hold identifiers
        status = None
    inbox.put(Ended(number, status))
