"""A PACS that is asked by C-FIND and sends by C-GET, or by C-MOVE to a receiver of our own."""

import json
import secrets
from collections.abc import Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import Self

from exactcopy.errors import StoreUnavailable
from exactcopy.model import Copy, Gap, Problem, Safeguard, Target
from exactcopy.stores import Safeguards, Stream
from exactcopy.stores.dimse.arriving import Inbox
from exactcopy.stores.dimse.finding import Finder
from exactcopy.stores.dimse.listing import list_study
from exactcopy.stores.dimse.peer import (
    FIND,
    GET,
    MOVE,
    VERIFICATION,
    accepted,
    associate,
    contexts,
    hang_up,
    numbered,
    reach,
)
from exactcopy.stores.dimse.reading import Reader
from exactcopy.stores.dimse.retrieving import Get, Move, try_to_move
from exactcopy.stores.dimse.studies import Sweep
from exactcopy.stores.hosts import standing_for, way_to

# Studies that are listed over one association, while others are listed over others.
_STUDIES = 20


class DimseStore:
    """The instances of a PACS; the key of a copy is the UIDs of study, series and instance.

    Nothing is kept open between calls: a PACS lets only so many in, and each call is worth an association.
    """

    def __init__(self, target: Target) -> None:
        """Take the target; nothing is asked before the store is entered."""
        self._target = target

    def __enter__(self) -> Self:
        """Call the PACS, and have it accept a query and a way to retrieve."""
        name, options = self._target.name, self._target.options
        self._peer = reach(self._target)
        association = associate(self._peer, contexts(VERIFICATION, FIND, GET, MOVE))
        try:
            offered = accepted(association)
            if VERIFICATION in offered and association.send_c_echo(numbered(association)).get("Status") != 0:
                raise StoreUnavailable("echo", name, "the PACS fails to answer (C-ECHO)", "Try again later.")
            if FIND not in offered:
                raise StoreUnavailable(
                    "no_find", name, "the PACS accepts no query (C-FIND, Study Root)", _allow("query")
                )
            self._gets = options.get("retrieve") == "get" or (not options.get("retrieve") and GET in offered)
            if (GET if self._gets else MOVE) not in offered:
                way = "C-GET" if self._gets else "C-MOVE"
                raise StoreUnavailable("no_retrieve", name, f"the PACS accepts no {way}", _allow("retrieve"))
        finally:
            hang_up(association)
        # Nobody has a study of this UID (PS3.5 B.2).
        nowhere = {"StudyInstanceUID": f"2.25.{secrets.randbits(127)}"}
        with Finder(self._peer) as finder:
            if problem := finder.ask("STUDY", nowhere).problem:
                raise self._no_answer(problem)
        if not self._gets:
            try_to_move(self._peer, self._target, nowhere)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: each call hangs up for itself."""

    def partitions(self) -> Iterator[str]:
        """Yield all studies, a few at a time, and what of them could not be listed."""
        with Finder(self._peer) as finder:
            sweep = Sweep(finder)
            answer = sweep.run()
        if answer.problem and not answer.rows:
            raise self._no_answer(answer.problem)
        studies = iter(sweep.found)
        while some := list(islice(studies, _STUDIES)):
            yield f"studies:{json.dumps(some)}"
        for scope, problem in sweep.unlisted.items():
            yield f"unlisted:{problem}:{scope}"

    def listing(self, partition: str) -> Iterator[Copy | Gap]:
        """Yield the instances of a partition, or of the study behind "study:", and a Gap where there may be more."""
        extent, _, rest = partition.partition(":")
        if extent == "unlisted":
            problem, _, scope = rest.partition(":")
            yield Gap(scope=scope.encode(), reason=Problem(problem))
            return
        with Finder(self._peer) as finder:
            if extent == "study":
                yield from list_study(finder, rest, seen=False)
                return
            for study in json.loads(rest):
                yield from list_study(finder, study, seen=True)

    def read(self, copies: Iterable[Copy], first_bytes: int | None = None) -> Iterator[tuple[Copy, Stream | Problem]]:
        """Yield each copy with its bytes, as they arrive; a PACS sends no part of an instance."""
        inbox = Inbox()
        retriever = Get(self._peer, inbox) if self._gets else Move(self._peer, self._target, inbox)
        try:
            with Finder(self._peer) as finder:
                yield from Reader(finder, retriever, names_classes=self._gets).read(copies)
        finally:
            inbox.close()
            retriever.close()

    def safeguards(self) -> Safeguards:
        """Return where the PACS is, and whether the way there is encrypted."""
        peer = self._peer
        return Safeguards(
            host=standing_for(peer.host),
            medium=f"{peer.ae_title} {peer.host}:{peer.port}",
            seen={Safeguard.TRANSPORT: way_to(self._target)},
        )

    def _no_answer(self, problem: Problem) -> StoreUnavailable:
        if problem is Problem.PERMISSION:
            return StoreUnavailable(
                "denied", self._target.name, "the PACS refuses our queries (C-FIND)", _allow("query")
            )
        return StoreUnavailable(
            "no_find",
            self._target.name,
            "the PACS fails to answer a query (C-FIND)",
            "Ask who runs it, or try again later.",
        )


def _allow(what: str) -> str:
    return f"Allow `calling_ae_title` to {what} there."
