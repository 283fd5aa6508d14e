"""Numbers, dates and lists as the report prints them."""

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

# A fixed table: the host's locale must not change a report (rendered again years later it stays the same).
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
FEW = 100
NONE = "\u2013"
SINGULAR = {"studies": "study", "series": "series"}
# An instance is a DICOM word; the readers of this report say image.
PLAIN = {"instances": "images"}


def printable(value: Any) -> Any:
    """Give `value` with every control and formatting character gone from its strings, nested ones included.

    A terminal obeys them, XML forbids them, and a bidirectional override shows another text than is there.
    """
    if isinstance(value, str):
        # Most of a report is plain text; what is printable by Unicode holds none of what is hidden below.
        if value.isprintable():
            return value
        return "".join(" " if c in "\t\n\r" else c for c in value if not _hidden(c))
    if isinstance(value, dict):
        return {key: printable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [printable(each) for each in value]
    return value


def _hidden(character: str) -> bool:
    return character not in "\t\n\r" and unicodedata.category(character) in {
        "Cc",
        "Cf",
        "Cs",
        "Co",
        "Zl",
        "Zp",
    }


def number(value: int | None) -> str:
    """Give a count with its thousands parted, or a dash where nothing is known."""
    return NONE if value is None else f"{value:,}"


def counted(value: int, unit: str) -> str:
    """Give a count and its unit: 1 study, 40 studies."""
    return f"{value:,} {unit_for(value, unit)}"


def unit_for(value: int, unit: str) -> str:
    """Give the plural `unit` in the number that `value` asks for."""
    plain = PLAIN.get(unit, unit)
    return SINGULAR.get(plain, plain.removesuffix("s")) if value == 1 else plain


def out_of(part: int, whole: int) -> str:
    """Give a figure with its denominator."""
    return f"{part:,} of {whole:,}"


def percent(part: int, whole: int) -> str | None:
    """Give a share that is never rounded up, or None where the whole is too small for one."""
    if whole < FEW:
        return None
    hundredths = part * 10_000 // whole
    if part and not hundredths:
        return "under 0.01 %"
    return "100 %" if part == whole else f"{hundredths // 100}.{hundredths % 100:02d} %"


def limit_percent(part: int, whole: int) -> str:
    """Give an upper limit's share, rounded up: a limit may not be flattered."""
    tenths = -(-part * 1000 // whole)
    return f"{tenths // 10}.{tenths % 10} %"


def listed(words: Sequence[str]) -> str:
    """Join words as a sentence does: a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def joined(words: Iterable[str | None]) -> str:
    """Join what there is with middle dots."""
    return " · ".join(word for word in words if word)


def sentence(text: str) -> str:
    """Give `text` with a full stop and no second one."""
    return text if not text or text[-1] in ".!?" else text + "."


def size(value: int) -> str:
    """Give bytes in the decimal units that drives are sold in."""
    amount, unit = float(value), "B"
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if amount < 1000 or unit == "PB":
            break
        amount /= 1000
    return f"{value} B" if unit == "B" else f"{amount:.1f} {unit}"


def age(hours: float | None) -> str:
    """Give a length of time in the two units that say it best."""
    if hours is None:
        return NONE
    minutes = int(hours * 60)
    if minutes < 1:
        return "under 1 min"
    if minutes < 60:
        return f"{minutes} min"
    whole = minutes // 60
    if whole < 48:
        return f"{whole} h {minutes % 60} min" if whole < 10 and minutes % 60 else f"{whole} h"
    days, rest = divmod(whole, 24)
    return f"{days} d {rest} h" if rest and days < 14 else f"{days:,} d"


def parse(stamp: str) -> datetime:
    """Read a time of audit.json; one without a zone is UTC."""
    moment = datetime.fromisoformat(stamp)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def hours_between(earlier: str, later: str) -> float:
    """Give the hours from one time to another, never below none."""
    return max((parse(later) - parse(earlier)).total_seconds() / 3600, 0.0)


class Clock:
    """Prints times in the facility's zone, or in UTC where this machine does not know the zone."""

    def __init__(self, zone: str) -> None:
        """Take the name of a time zone."""
        try:
            self.zone: ZoneInfo | Any = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.zone = UTC

    def day(self, stamp: str | None) -> str:
        """Give a day for prose: 24 Nov 2026."""
        if not stamp:
            return NONE
        local = self._local(stamp)
        return f"{local.day} {MONTHS[local.month - 1]} {local.year}"

    def date(self, stamp: str | None) -> str:
        """Give a day for tables: 2026-11-24."""
        return self._local(stamp).date().isoformat() if stamp else NONE

    def month(self, stamp: str) -> int:
        """Give the month of a time, counted from the year 0: one more is the next month."""
        local = self._local(stamp)
        return local.year * 12 + local.month - 1

    def time(self, stamp: str) -> str:
        """Give a day and a time with its zone."""
        return f"{self.day(stamp)}, {self.hour(stamp)}"

    def hour(self, stamp: str) -> str:
        """Give a time of the day with its zone."""
        return f"{self._local(stamp):%H:%M} {self.zone_name(stamp)}"

    def span(self, start: str, end: str) -> str:
        """Give a time to a time; the day once where it is the same."""
        if self.day(start) != self.day(end):
            return f"{self.time(start)} to {self.time(end)}"
        return f"{self.day(start)}, {self._local(start):%H:%M} to {self._local(end):%H:%M} {self.zone_name(end)}"

    def zone_name(self, stamp: str) -> str:
        """Give the short name of the zone at a time."""
        return self._local(stamp).tzname() or "UTC"

    def _local(self, stamp: str) -> datetime:
        # A bare date is a day already: no zone may move it.
        return datetime.fromisoformat(stamp) if len(stamp) == 10 else parse(stamp).astimezone(self.zone)


def record_day(audit_id: str) -> str:
    """Give the day that a record's id begins with, for prose; the id itself where it is none."""
    try:
        moment = datetime.strptime(audit_id[:10], "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return audit_id
    return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}"
