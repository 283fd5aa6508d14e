"""The instances that were asked for: by study, what is left of it by series, what is left of that one by one."""

import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from itertools import groupby
from typing import cast

from exactcopy.errors import StoreUnavailable
from exactcopy.model import Copy, Problem
from exactcopy.stores import Stream
from exactcopy.stores.dimse.arriving import Arrived, Silence
from exactcopy.stores.dimse.finding import Finder, refusal
from exactcopy.stores.dimse.listing import absent, classes_of
from exactcopy.stores.dimse.retrieving import MOST_CLASSES, Retriever

# Of a PACS that does not tell classes: those of most images, and what comes with them.
_COMMON = tuple(
    f"1.2.840.10008.5.1.4.1.1.{number}"
    for number in (
        *("2", "4", "1", "1.1", "2.1", "4.1", "6.1", "3.1", "7", "12.1", "1.2", "12.2", "20", "128", "88.67", "11.1"),
        *("88.11", "88.22", "88.33", "88.59", "66.4", "66.1", "104.1", "1.3", "13.1.3", "77.1.4", "77.1.5.1", "77.1.6"),
        *("481.1", "481.2", "481.3", "481.5", "481.8", "9.1.1", "9.1.2", "77.1.1", "7.2", "7.4", "6.2", "30"),
    )
)
_UNTOLD = ""
_MOST_SILENCES = 2

Read = tuple[Copy, Stream | Problem]


class Reader:
    """Reads copies; what it asks for in vain it asks for in another way before it is a problem."""

    def __init__(self, finder: Finder, retriever: Retriever, *, names_classes: bool) -> None:
        """Take who asks and who retrieves; `names_classes`: nothing comes of a class that was not named."""
        self._finder = finder
        self._retriever = retriever
        self._names_classes = names_classes
        self._silences = 0
        self._gone = False

    def read(self, copies: Iterable[Copy]) -> Iterator[Read]:
        """Yield each copy once; those of a study follow each other."""
        for _, of_study in groupby(copies, key=lambda copy: copy.study_instance_uid):
            yield from self._study(list(of_study))

    def _study(self, copies: list[Copy]) -> Iterator[Read]:
        left = _Left([copy for copy in copies if _has_uids(copy)])
        yield from ((copy, Problem.IO_ERROR) for copy in copies if not _has_uids(copy))
        kinds = self._kinds(left.copies())
        every_series = list(dict.fromkeys(str(copy.series_instance_uid) for copy in left.copies()))
        if len(every_series) > 1:
            yield from self._together("STUDY", left.copies(), left, kinds)
        for series in every_series:
            of_series = [copy for copy in left.copies() if copy.series_instance_uid == series]
            if len(of_series) > 1:
                yield from self._together("SERIES", of_series, left, kinds)
        for copy in left.copies():
            status = yield from self._ask("IMAGE", [copy], left, kinds)
            if left.drop(copy):
                yield copy, self._why_not(copy, status)

    def _together(self, level: str, asked: list[Copy], left: "_Left", kinds: Mapping[str, str]) -> Iterator[Read]:
        """Ask for several in one request; if they are gone altogether, none is asked for by itself."""
        yield from self._ask(level, asked, left, kinds)
        if all(copy in left for copy in asked) and self._absent(level, asked[0]) is None:
            for copy in asked:
                left.drop(copy)
                yield copy, Problem.VANISHED

    def _ask(
        self, level: str, asked: list[Copy], left: "_Left", kinds: Mapping[str, str]
    ) -> Generator[Read, None, int | None]:
        """Yield what arrives of all that is left, and return the last status."""
        status: int | None = None
        for classes in self._proposals(asked, kinds):

            def wanted(classes: frozenset[str] = classes) -> bool:
                return any(copy in left and kinds.get(_sop(copy)) in {_UNTOLD, *classes} for copy in asked)

            if self._gone or not wanted():
                continue
            request = self._retriever.request(level, _uids(asked[0], level), classes, lambda: not wanted())
            try:
                with closing(request):
                    status = yield from self._matched(request, left)
            except StoreUnavailable:
                self._gone = True
            except Silence:
                self._silences += 1
                self._gone = self._silences == _MOST_SILENCES
        return status

    def _matched(
        self, request: Generator[Arrived, None, int | None], left: "_Left"
    ) -> Generator[Read, None, int | None]:
        while True:
            try:
                arrived = next(request)
            except StopIteration as ended:
                return cast("int | None", ended.value)
            self._silences = 0
            # A whole study comes, whichever of its instances are wanted.
            if (copy := left.take(arrived.sop_instance_uid)) is not None:
                yield copy, arrived
            # Else it would be held until the next one is there.
            del arrived

    def _kinds(self, copies: list[Copy]) -> dict[str, str]:
        """Return the classes of instances; those that the listing does not tell are asked for.

        An instance that the server says it does not have is in none.
        """
        if not self._names_classes:
            return {_sop(copy): _UNTOLD for copy in copies}
        kinds = {_sop(copy): str(copy.sop_class_uid) for copy in copies if copy.sop_class_uid}
        for (study, series), group in groupby(
            copies, key=lambda copy: (copy.study_instance_uid, copy.series_instance_uid)
        ):
            unknown = [_sop(copy) for copy in group if _sop(copy) not in kinds]
            if unknown and not self._gone:
                try:
                    kinds |= classes_of(self._finder, str(study), str(series), unknown)
                except StoreUnavailable:
                    self._gone = True
        return {sop: kind if re.fullmatch(r"[0-9.]{1,64}", kind) else _UNTOLD for sop, kind in kinds.items()}

    def _proposals(self, asked: list[Copy], kinds: Mapping[str, str]) -> list[frozenset[str]]:
        """Return the classes of what is asked for, as many at a time as fit into an association."""
        if not self._names_classes:
            return [frozenset()]
        of_asked = {kinds[_sop(copy)] for copy in asked if _sop(copy) in kinds}
        told = sorted(of_asked - {_UNTOLD})
        if _UNTOLD in of_asked:
            told += [kind for kind in _COMMON if kind not in told]
        return [frozenset(told[at : at + MOST_CLASSES]) for at in range(0, len(told), MOST_CLASSES)]

    def _why_not(self, copy: Copy, status: int | None) -> Problem:
        problem = self._absent("IMAGE", copy)
        if problem is Problem.IO_ERROR:
            return refusal(status)
        return problem or Problem.VANISHED

    def _absent(self, level: str, copy: Copy) -> Problem | None:
        """Return None where the server says cleanly that it has no such thing, else why that cannot be said."""
        if not self._gone:
            try:
                return absent(self._finder, level, _uids(copy, level))
            except StoreUnavailable:
                self._gone = True
        return Problem.IO_ERROR


class _Left:
    """The copies of a study that have not come yet. Two series may hold instances of one UID: then each has to come."""

    def __init__(self, copies: list[Copy]) -> None:
        self._by_sop: dict[str, list[Copy]] = {}
        for copy in copies:
            self._by_sop.setdefault(_sop(copy), []).append(copy)

    def __contains__(self, copy: Copy) -> bool:
        return copy in self._by_sop.get(_sop(copy), ())

    def copies(self) -> list[Copy]:
        return [copy for copies in self._by_sop.values() for copy in copies]

    def take(self, sop: str) -> Copy | None:
        copies = self._by_sop.get(sop)
        return copies.pop(0) if copies else None

    def drop(self, copy: Copy) -> bool:
        there = copy in self
        if there:
            self._by_sop[_sop(copy)].remove(copy)
        return there


def _has_uids(copy: Copy) -> bool:
    return bool(copy.study_instance_uid and copy.series_instance_uid and copy.sop_instance_uid)


def _sop(copy: Copy) -> str:
    return str(copy.sop_instance_uid)


def _uids(copy: Copy, level: str) -> dict[str, str]:
    """Return what tells a copy, or its series or study, at a level."""
    uids = {
        "StudyInstanceUID": str(copy.study_instance_uid),
        "SeriesInstanceUID": str(copy.series_instance_uid),
        "SOPInstanceUID": _sop(copy),
    }
    return dict(list(uids.items())[: ("STUDY", "SERIES", "IMAGE").index(level) + 1])
