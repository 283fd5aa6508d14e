"""All studies of a server that may answer no more than so many at a time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date

from exactcopy.model import Problem
from exactcopy.stores.dimse.finding import Answer, Finds, Row

# The first and the last stand for all before and after them.
_DAYS = (date(1899, 12, 31).toordinal(), date(2100, 1, 1).toordinal())
_SECONDS = (0, 24 * 60 * 60)
# No server has a limit as small as this.
_FEWEST = 10
_KEYWORDS = {"days": "StudyDate", "seconds": "StudyTime"}


@dataclass(frozen=True, slots=True)
class _Slice:
    """The studies of some days and some time of the day, the ends included: two that meet leave nothing between."""

    days: tuple[int, int] = _DAYS
    seconds: tuple[int, int] = _SECONDS

    def keys(self) -> Mapping[str, str]:
        return {
            "StudyInstanceUID": "",
            "StudyDate": _matching(self.days, _DAYS, _written_day),
            "StudyTime": _matching(self.seconds, _SECONDS, _written_second),
        }


class Sweep:
    """Collects the UIDs of all studies, and what could not be listed.

    One that is `silent` about its limit may cut at any number: what it shows is asked for again in two slices, and
    what is as long as the longest answer is parted again.

    A server says that it has more by any other status than success, or it cuts the list silently at a round number.
    Then it is asked by date, and within days by time, in ever smaller slices. No query matches studies without a date
    (PS3.4 C.2.2.2.3: an empty value matches all). Those are known to be complete only if one of them came with a
    complete slice that is open to the past, for then the server sorts them there; or if the list was whole in the end
    and none was in it. Otherwise studies without a date are `unlisted`.
    """

    def __init__(self, finder: Finds, *, silent: bool = False) -> None:
        """Take who asks."""
        self._finder = finder
        self._silent = silent
        self._asked = self._most = 0
        self.found: dict[str, None] = {}
        self.unlisted: dict[str, Problem] = {}

    def run(self) -> Answer:
        """Sweep, and return the answer to the first question: for all studies."""
        everything = _Slice()
        answer = self._ask(everything)
        if not self._is_all(answer) and answer.rows:
            self._by("days", everything, answer)
        return answer

    def _by(self, axis: str, part: _Slice, answer: Answer) -> None:
        """List a part in slices along an axis, because `answer` may not be all of it."""
        known = len(self.found)
        earlier, later = _halves(part, axis, answer.rows if self._silent else [])
        shown = self._slice(axis, earlier)
        self._slice(axis, later)
        whole = answer.problem is None and len(self.found) == known
        # A list that is whole by what is dated in it is so by what is not, unless it ends where a limit may be.
        if not shown and not (whole and (self._seems_all(answer) or all(_readable(row, axis) for row in answer.rows))):
            self._missed(part, answer, "undated " if axis == "days" else "untimed ")

    def _slice(self, axis: str, part: _Slice) -> bool:
        """List a slice; say whether a complete answer showed that what has no value on the axis belongs to it."""
        answer = self._ask(part)
        if self._is_all(answer):
            return _any_blank(answer, axis)
        if not self._can_part(part, answer):
            self._missed(part, answer)
            return False
        low, high = getattr(part, axis)
        if high - low > 1:
            earlier, later = _halves(part, axis, answer.rows if self._silent else [])
            shown = self._slice(axis, earlier)
            self._slice(axis, later)
            return shown
        if axis == "days":
            self._by("seconds", part, answer)
        else:
            self._missed(part, answer)
        return False

    def _ask(self, part: _Slice) -> Answer:
        self._asked += 1
        answer = self._finder.ask("STUDY", part.keys())
        self._most = max(self._most, len(answer.rows))
        for row in answer.rows:
            if row["StudyInstanceUID"]:
                self.found[row["StudyInstanceUID"]] = None
            else:
                self._missed(part, Answer([], Problem.IO_ERROR), "nameless ")
        return answer

    def _is_all(self, answer: Answer) -> bool:
        """Say whether an answer is all there is; a limit is most likely a round number, and none was longer."""
        longest = len(answer.rows) == self._most >= _FEWEST
        return self._seems_all(answer) and not (self._silent and longest)

    def _seems_all(self, answer: Answer) -> bool:
        count = len(answer.rows)
        suspicious = count == self._most and count >= 50 and (count % 50 == 0 or count.bit_count() == 1)
        return answer.problem is None and not suspicious

    def _can_part(self, part: _Slice, answer: Answer) -> bool:
        """Say whether smaller slices promise more: not of a server that fails, or that does not match by date."""
        patience = 1000 + 10 * len(self.found)
        return bool(answer.rows) and self._asked < patience and all(_is_within(row, part) for row in answer.rows)

    def _missed(self, part: _Slice, answer: Answer, what: str = "") -> None:
        keys = part.keys()
        scope = f"{what}studies of {keys['StudyDate'] or 'any date'} {keys['StudyTime'] or 'any time'}"
        self.unlisted[scope] = answer.problem or Problem.IO_ERROR


def _any_blank(answer: Answer, axis: str) -> bool:
    return any(not row[_KEYWORDS[axis]] for row in answer.rows)


def _readable(row: Row, axis: str) -> bool:
    """Say whether a study has a date, or a time, that stands for itself in the order of slices."""
    written = row[_KEYWORDS[axis]]
    return written[:8].isdigit() and len(written) == 8 if axis == "days" else written[:6].isdigit() and len(written) > 5


def _place(row: Row, axis: str) -> int | None:
    """Return where a study stands on an axis, as far as that can be read."""
    written = row[_KEYWORDS[axis]]
    try:
        if axis == "days":
            return date.fromisoformat(written).toordinal() if _readable(row, axis) else None
        hours, minutes, seconds = (int(written[at : at + 2]) for at in (0, 2, 4))
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds


def _is_within(row: Row, part: _Slice) -> bool:
    """Say whether the server kept to what was asked for, as far as it can be read."""
    (first, last), (begin, end) = part.days, part.seconds
    day, time = row["StudyDate"], row["StudyTime"][:6]
    return not (
        _readable(row, "days")
        and ((first > _DAYS[0] and day < _written_day(first)) or (last < _DAYS[1] and day > _written_day(last)))
    ) and not (
        _readable(row, "seconds")
        and (
            (begin > _SECONDS[0] and time < _written_second(begin))
            or (end < _SECONDS[1] and time > _written_second(end))
        )
    )


def _halves(part: _Slice, axis: str, shown: list[Row]) -> tuple[_Slice, _Slice]:
    """Part a slice where half of what is `shown` of it lies on either side, or in its middle."""
    low, high = getattr(part, axis)
    places = sorted(place for row in shown if (place := _place(row, axis)) is not None)
    middle = places[len(places) // 2] if places else low
    if not low < middle < high:
        middle = (low + high) // 2
    if axis == "days":
        return replace(part, days=(low, middle)), replace(part, days=(middle, high))
    return replace(part, seconds=(low, middle)), replace(part, seconds=(middle, high))


def _matching(part: tuple[int, int], everything: tuple[int, int], written: Callable[[int], str]) -> str:
    """Return what matches a part: a range, open at the end where there is no more (PS3.4 C.2.2.2.5)."""
    (low, high), (lowest, highest) = part, everything
    if part == everything:
        return ""
    return f"{written(low) if low > lowest else ''}-{written(high) if high < highest else ''}"


def _written_day(number: int) -> str:
    return date.fromordinal(number).strftime("%Y%m%d")


def _written_second(number: int) -> str:
    return f"{number // 3600:02}{number // 60 % 60:02}{number % 60:02}"
