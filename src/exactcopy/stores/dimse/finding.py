"""C-FIND: questions, and whether an answer is all there is (PS3.4 C.4.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from exactcopy.model import Problem
from exactcopy.stores.dimse.peer import FIND, Peer, associate, contexts, hang_up, numbered

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pynetdicom.association import Association

# A server may have dropped an association that was not used for a while.
_TRIES = 2
_SUCCESS = 0x0000
_NOT_AUTHORIZED = 0x0124
_PENDING = (0xFF00, 0xFF01)
_KEYS = {
    "QueryRetrieveLevel": (0x00080052, "CS"),
    "SOPClassUID": (0x00080016, "UI"),
    "SOPInstanceUID": (0x00080018, "UI"),
    "StudyDate": (0x00080020, "DA"),
    "StudyTime": (0x00080030, "TM"),
    "StudyInstanceUID": (0x0020000D, "UI"),
    "SeriesInstanceUID": (0x0020000E, "UI"),
    "NumberOfStudyRelatedInstances": (0x00201208, "IS"),
    "NumberOfSeriesRelatedInstances": (0x00201209, "IS"),
}

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server has; `problem` says why it may not be all of it."""

    rows: list[Row]
    problem: Problem | None


class Finds(Protocol):
    """Who can be asked, in whatever protocol."""

    def ask(self, level: str, keys: Mapping[str, str]) -> Answer:
        """Return what matches `keys`, of which the empty ones are only asked for."""
        ...


class Finder:
    """Asks over one association, which is made anew where the server dropped it."""

    def __init__(self, peer: Peer) -> None:
        """Take the server; it is called when it is first asked."""
        self._peer = peer
        self._association: Association | None = None

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up."""
        if self._association is not None:
            hang_up(self._association, orderly=kind is None or kind is GeneratorExit)

    def ask(self, level: str, keys: Mapping[str, str]) -> Answer:
        """Return what matches `keys`, of which the empty ones are only asked for.

        Raises StoreUnavailable where the server can no longer be reached.
        """
        identifier = dataset(level, keys)
        for _ in range(_TRIES):
            if self._association is None or not self._association.is_established:
                self._association = associate(self._peer, contexts(FIND))
            answer, finished = _once(self._association, identifier, keys)
            if finished:
                break
            hang_up(self._association, orderly=False)
        return answer


def _once(association: "Association", identifier: "Dataset", keys: Mapping[str, str]) -> tuple[Answer, bool]:
    """Ask once; False: the association broke off before the end of the answer."""
    rows: list[Row] = []
    unreadable = False
    status: int | None = None
    try:
        for said, found in association.send_c_find(identifier, FIND, numbered(association)):
            status = said.get("Status")
            if status in _PENDING:
                if found is None:
                    unreadable = True
                else:
                    rows.append({keyword: _value(found, keyword) for keyword in keys})
    except RuntimeError:
        # It was dropped between two questions.
        return Answer(rows, Problem.IO_ERROR), False
    except ValueError:
        # The UID cannot be written, or no C-FIND was accepted.
        return Answer(rows, Problem.IO_ERROR), True
    if status == _SUCCESS and not unreadable:
        return Answer(rows, None), True
    return Answer(rows, refusal(status)), status is not None


def refusal(status: int | None) -> Problem:
    """Return what a final status other than success means."""
    return Problem.PERMISSION if status == _NOT_AUTHORIZED else Problem.IO_ERROR


def dataset(level: str, keys: Mapping[str, str]) -> "Dataset":
    """Return the identifier of a query or retrieval; no value of it is judged, for some PACS hold what is no UID."""
    from pydicom.config import IGNORE
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

    made = Dataset()
    for keyword, value in {"QueryRetrieveLevel": level, **keys}.items():
        tag, vr = _KEYS[keyword]
        made.add(DataElement(tag, vr, value, validation_mode=IGNORE))
    return made


def _value(found: "Dataset", keyword: str) -> str:
    """Return a value as it was sent, without its padding; pydicom would judge it."""
    raw = getattr(found.get_item(_KEYS[keyword][0]), "value", None)
    return raw.decode("latin-1").strip("\0 ") if isinstance(raw, bytes) else ""
