"""A PACS that receives test restores by C-STORE (PS3.4 B). No service of DIMSE deletes: what was put stays there."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self

from exactcopy.dicom.elements import transfer_syntax
from exactcopy.errors import StoreUnavailable
from exactcopy.model import Copy, Target
from exactcopy.stores import Sent
from exactcopy.stores.dimse import DimseStore
from exactcopy.stores.dimse.arriving import file_meta
from exactcopy.stores.dimse.finding import Finder
from exactcopy.stores.dimse.peer import SILENCE, Peer, associate, hang_up, numbered, pynetdicom_quietly

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext

# An association proposes so many pairs of class and transfer syntax at most (PS3.8 9.3.2.2: odd numbers up to 255).
_MOST_CONTEXTS = 128
_META_BYTES = 64 * 1024
# A PACS may fall silent at one image; one that does again is not waited for at each of hundreds.
_SILENCES = 2
# Bytes a second over a line that is still in use.
_SLOWEST = 50_000
# The data set was stored, perhaps with a remark (PS3.4 B.2.3).
_STORED = (0x0000, 0xB000, 0xB006, 0xB007)


class DimseDestination:
    """Receives instances as modalities send them; what it holds is asked for as of any other PACS."""

    def __init__(self, target: Target) -> None:
        """Take the target; nothing is asked before it is entered."""
        self._target = target
        self.store = DimseStore(target)

    def __enter__(self) -> Self:
        """Call the PACS, and have it accept a query and a way to retrieve."""
        self.store.__enter__()
        self._peer = self.store._peer
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: each call hangs up for itself."""

    def holds(self, study_instance_uid: str) -> bool:
        """Ask for the study."""
        with Finder(self._peer) as finder:
            answer = finder.ask("STUDY", {"StudyInstanceUID": study_instance_uid})
        if answer.problem and not answer.rows:
            raise StoreUnavailable(
                "no_find", self._target.name, "the PACS does not say what it holds (C-FIND)", "Ask who runs it."
            )
        return bool(answer.rows)

    def put(self, instances: Sequence[Sent]) -> frozenset[str]:
        """Send each instance in its own transfer syntax; nothing is encoded anew."""
        accepted: set[str] = set()
        silences = 0
        for some in _by_contexts(instances):
            left = list(some)
            while left and silences < _SILENCES:
                sent = len(left)
                taken, silent = _send(self._peer, left)
                accepted |= taken
                silences += silent
                if len(left) == sent:
                    break
        return frozenset(accepted)

    def rendered(self, copy: Copy) -> bool | None:
        """Return None: DIMSE has no pictures."""
        return None

    def remove(self, instances: Sequence[Sent]) -> bool:
        """Return False: DIMSE has no service that deletes."""
        return False


def _by_contexts(instances: Sequence[Sent]) -> Iterator[list[Sent]]:
    """Yield the instances in groups that one association can take."""
    kinds = iter(dict.fromkeys((each.sop_class_uid, each.transfer_syntax_uid) for each in instances))
    while some := set(islice(kinds, _MOST_CONTEXTS)):
        yield [each for each in instances if (each.sop_class_uid, each.transfer_syntax_uid) in some]


def _send(peer: Peer, left: list[Sent]) -> tuple[set[str], bool]:
    """Send what is `left` over one association and take it out, up to one at which the PACS breaks off.

    Return the UIDs of what it took, and whether it fell silent. Raises StoreUnavailable where it lets nobody in.
    """
    proposed = _contexts(left)
    if not proposed:
        left.clear()
        return set(), False
    try:
        association = associate(peer, proposed)
    except StoreUnavailable as error:
        if error.code != "not_offered":
            raise
        left.clear()
        return set(), False
    offered = {(str(each.abstract_syntax), str(each.transfer_syntax[0])) for each in association.accepted_contexts}
    accepted = set()
    silent = False
    try:
        while left and association.is_established:
            # One at which it breaks off is not sent again.
            each = left.pop(0)
            if (each.sop_class_uid, each.transfer_syntax_uid) not in offered:
                continue
            began = monotonic()
            if (status := _store(association, each)) in _STORED:
                accepted.add(each.sop_instance_uid)
            silent = status is None and monotonic() - began >= SILENCE + each.size / _SLOWEST
    finally:
        hang_up(association)
    return accepted, silent


def _contexts(instances: Sequence[Sent]) -> "list[PresentationContext]":
    """Return what is proposed to send the instances; a file without a transfer syntax cannot be."""
    build = pynetdicom_quietly().build_context
    proposed = []
    for kind in dict.fromkeys((each.sop_class_uid, each.transfer_syntax_uid) for each in instances):
        with suppress(ValueError):
            proposed.append(build(*kind))
    return proposed


def _store(association: "Association", instance: Sent) -> int | None:
    """Send one data set as its file holds it, and return the status; None where there was no answer.

    pynetdicom sends a file as it is, and takes the UIDs from its file meta, which may be missing or wrong: it gets one
    of our own.
    """
    whole = instance.path.with_suffix(".sent")
    try:
        with instance.path.open("rb") as file, whole.open("xb") as copy:
            _, start = transfer_syntax(file.read(_META_BYTES))
            file.seek(start)
            copy.write(file_meta(instance.sop_class_uid, instance.sop_instance_uid, instance.transfer_syntax_uid))
            shutil.copyfileobj(file, copy)
        # What counts is how long nothing comes: a slow line takes its time to send it.
        association.dimse_timeout = SILENCE + instance.size / _SLOWEST
        status = association.send_c_store(whole, numbered(association)).get("Status")
        return None if status is None else int(status)
    except (RuntimeError, ValueError, AttributeError):
        # It broke off, or the class was not accepted in this transfer syntax.
        return None
    finally:
        whole.unlink(missing_ok=True)
