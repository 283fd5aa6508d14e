"""The other side of an association: how it is reached, and what is wrong where it is not."""

import logging
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, Queue
from time import monotonic, sleep
from types import ModuleType
from typing import TYPE_CHECKING, Any

from exactcopy.dicom.quiet import pydicom_quietly
from exactcopy.errors import StoreUnavailable
from exactcopy.model import Target

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext

VERIFICATION = "1.2.840.10008.1.1"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"  # Study Root
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
GET = "1.2.840.10008.5.1.4.1.2.2.3"
# Queries hold no pixels: any server can write them plainly.
PLAIN = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]

# How long nothing at all may come: a PACS may have to fetch a study from a slow archive first.
SILENCE = 300.0
_CONNECTING = 15.0
# Message IDs are words of 16 bits, of which we do without 0. What is late answers one of the last.
_MESSAGE_IDS = 0xFFFF
_EARLIER = 100
_NEGOTIATING = 30.0
# A server that is busy, or just starts anew, is given time.
_PAUSES = (0.0, 1.0, 4.0)
PDU_BYTES = 128 * 1024
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)

Handlers = list[tuple[Any, Any]]
_Fault = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A PACS: where it is and by which AE titles. `name` is that of the store, `address` the one that answered."""

    name: str
    host: str
    port: int
    ae_title: str
    calling_ae_title: str
    tls: ssl.SSLContext | None
    address: str


def pynetdicom_quietly() -> ModuleType:
    """Import pynetdicom and silence it: it logs identifiers, and traces of them with its errors."""
    pydicom_quietly()
    import pynetdicom
    from pynetdicom import _config

    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    _config.LOG_HANDLER_LEVEL = "none"
    # A receiver of C-MOVE takes whatever a PACS may hold: private classes, and UIDs that are none.
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    # What is sent to a recovery PACS is the file's own bytes.
    _config.STORE_SEND_CHUNKED_DATASET = True
    _config.VALIDATORS["UI"] = _any_uid
    logger = logging.getLogger("pynetdicom")
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate = False
    return pynetdicom


def reach(target: Target) -> Peer:
    """Return the PACS of a target once something answers there; raises StoreUnavailable."""
    options = target.options
    peer = Peer(
        name=target.name,
        host=str(options["host"]),
        port=int(options["port"]),
        ae_title=str(options["ae_title"]),
        calling_ae_title=str(options.get("calling_ae_title") or "EXACTCOPY"),
        tls=trusting(target, ssl.Purpose.SERVER_AUTH) if options.get("tls") else None,
        address="",
    )
    try:
        with socket.create_connection((peer.host, peer.port), _CONNECTING) as connection:
            # pynetdicom would try the first address of a name alone.
            address = connection.getpeername()[0]
            if peer.tls is not None:
                peer.tls.wrap_socket(connection, server_hostname=peer.host).close()
    except OSError as error:
        raise _unreachable(error, peer) from None
    return replace(peer, address=address)


def trusting(target: Target, purpose: ssl.Purpose) -> ssl.SSLContext:
    """Return settings of TLS that verify the other side, whichever opens the connection."""
    ca, own = target.options.get("ca"), target.options.get("client_cert")
    kind = ssl.SSLContext if purpose is ssl.Purpose.SERVER_AUTH else _Prompt
    context = kind(ssl.PROTOCOL_TLS_CLIENT if purpose is ssl.Purpose.SERVER_AUTH else ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        if ca:
            context.load_verify_locations(ca)
        else:
            context.load_default_certs(purpose)
        if own:
            context.load_cert_chain(own)
    except OSError:
        raise StoreUnavailable(
            "tls_files",
            target.name,
            "the file of `ca` or `client_cert` cannot be read, or is no certificate",
            "Write PEM files there; that of `client_cert` holds the certificate and its key, without a passphrase.",
        ) from None
    return context


class _Prompt(ssl.SSLContext):
    """For who listens: a connection that says nothing keeps nobody else waiting for long."""

    def wrap_socket(self, sock: socket.socket, *args: Any, **settings: Any) -> ssl.SSLSocket:
        sock.settimeout(_CONNECTING)
        return super().wrap_socket(sock, *args, **settings)


def contexts(*asked: str) -> "list[PresentationContext]":
    """Return what is proposed to use these services."""
    build = pynetdicom_quietly().build_context
    return [build(service, PLAIN) for service in asked]


def associate(
    peer: Peer, proposed: "Sequence[PresentationContext]", roles: Iterable[Any] = (), handlers: Handlers | None = None
) -> "Association":
    """Return an association of which at least one context was accepted; raises StoreUnavailable."""
    pynetdicom = pynetdicom_quietly()
    fault: _Fault = _NO_DICOM
    for pause in _PAUSES:
        sleep(pause)
        began = monotonic()
        entity = pynetdicom.AE(ae_title=peer.calling_ae_title)
        entity.connection_timeout, entity.acse_timeout, entity.dimse_timeout = _CONNECTING, _NEGOTIATING, SILENCE
        # None is left idle for long, and while one waits for us it is not at fault.
        entity.network_timeout = None
        try:
            association: Association = entity.associate(
                peer.address,
                peer.port,
                list(proposed),
                peer.ae_title,
                max_pdu=PDU_BYTES,
                ext_neg=list(roles),
                tls_args=(peer.tls, peer.host) if peer.tls else None,
                evt_handlers=[*tuning(), (pynetdicom.evt.EVT_CONN_OPEN, _only_answers), *(handlers or ())],
            )
        except OSError:
            fault = _NO_ANSWER
            continue
        if association.is_established:
            return association
        said = association.acceptor.primitive
        if said is None:
            fault = _NO_DICOM
            if monotonic() - began >= _NEGOTIATING:
                break
        elif not association.is_rejected:
            fault = _NOT_OFFERED
            break
        else:
            fault = _REJECTIONS.get((said.result_source, said.diagnostic), _REJECTED)
            if fault is not _BUSY:
                break
    code, what, remedy = fault
    raise StoreUnavailable(code, peer.name, what, remedy)


def tuning() -> Handlers:
    """Return handlers by which a connection neither waits for ever nor waits for acknowledgements."""
    evt = pynetdicom_quietly().evt
    return [(evt.EVT_CONN_OPEN, _opened), (evt.EVT_DATA_SENT, _prompted), (evt.EVT_DATA_RECV, _prompted)]


def accepted(association: "Association") -> frozenset[str]:
    """Return the services that the peer lets us use."""
    return frozenset(str(context.abstract_syntax) for context in association.accepted_contexts)


def numbered(association: "Association") -> int:
    """Return the Message ID of a new request, by which its answer is told from those to earlier ones (PS3.7 9.1)."""
    answers = association.dimse.msg_queue
    assert isinstance(answers, _Answers)  # noqa: S101 - of every association of ours
    answers.asked = answers.asked % _MESSAGE_IDS + 1
    return answers.asked


def hang_up(association: "Association", *, orderly: bool = True) -> None:
    """End an association, and wake whoever waits for a message of it."""
    if orderly and association.is_established:
        association.release()
    if not (association.is_released or association.is_aborted):
        association.abort()
    association.dimse.msg_queue.put((None, None))


def _opened(event: Any) -> None:
    # A peer that falls silent within a message would never be given up.
    connection = event.assoc.dul.socket.socket
    connection.settimeout(SILENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _Answers(Queue[Any]):
    """Gives what the peer says to who waits for it, and to nobody who only looks whether there is something.

    The thread of an association looks for requests of the peer, and may not have noticed yet that an answer is waited
    for: it dropped studies out of lists without a word (pynetdicom's issue 875). What answers an earlier request, where
    a peer says its last word twice, is not given for the answer to this one.
    """

    asked = 0

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not block:
            raise Empty
        while True:
            context, message = super().get(block, timeout)
            answers = getattr(message, "MessageIDBeingRespondedTo", None)
            if answers is None or not 0 < (self.asked - answers) % _MESSAGE_IDS < _EARLIER:
                return context, message


def _only_answers(event: Any) -> None:
    # We ask: nothing is requested of us but within an operation of ours.
    event.assoc.dimse.msg_queue = _Answers()


def _prompted(event: Any) -> None:
    # Servers send a message in several small packets, each of which waits for the acknowledgement of the one before:
    # 40 ms for every query, unless it is asked for again after each packet.
    if _QUICKACK is not None:
        with suppress(OSError, AttributeError):
            event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


def _any_uid(_: object) -> tuple[bool, str]:
    return True, ""


def _unreachable(error: OSError, peer: Peer) -> StoreUnavailable:
    if isinstance(error, ssl.SSLCertVerificationError):
        code, what, remedy = _TLS
    elif isinstance(error, socket.gaierror):
        code, what, remedy = _NO_NAME
    elif isinstance(error, ConnectionRefusedError):
        code, what, remedy = _NO_PORT
    elif isinstance(error, ssl.SSLError | ConnectionResetError):
        code, what, remedy = _NO_TLS
    else:
        code, what, remedy = _NO_ANSWER
    return StoreUnavailable(code, peer.name, what, remedy)


_NO_NAME = ("unreachable", "the name of the PACS is not known", "Mend `host`, or check the network.")
_NO_PORT = ("no_port", "the computer is there, and nothing listens at the port", "Mend `port`, or start the PACS.")
_NO_ANSWER = ("unreachable", "the PACS does not answer", "Check the network, a firewall, `host` and `port`.")
_TLS = ("tls", "the PACS does not prove who it is (TLS)", "Name its CA in `ca`, or mend `host`.")
_NO_TLS = ("no_tls", "what listens there refuses TLS", "Check `port`, `tls` and `client_cert`.")
_NO_DICOM = (
    "no_dicom",
    "what listens there breaks off or does not speak DICOM",
    "Check `port`, `tls` and `client_cert`, and whether the PACS lets this computer in.",
)
_NOT_OFFERED = (
    "not_offered",
    "the PACS accepts none of the services that are needed",
    "Allow `calling_ae_title` to query and retrieve there.",
)
_REJECTED = (
    "rejected",
    "the PACS rejects the association without a reason that helps",
    "Check `ae_title`, and register `calling_ae_title` with the address of this computer there.",
)
_BUSY = ("busy", "the PACS takes no more associations", "Try again later, or allow it more at a time.")
# By source and diagnostic (PS3.8 9.3.4).
_REJECTIONS: Mapping[tuple[int | None, int | None], _Fault] = {
    (1, 3): (
        "calling_ae_title",
        "the PACS does not know our AE title",
        "Register `calling_ae_title` with the address of this computer there, or mend it.",
    ),
    (1, 7): ("ae_title", "the PACS does not go by this AE title", "Mend `ae_title`."),
    (3, 1): _BUSY,
    (3, 2): _BUSY,
}
