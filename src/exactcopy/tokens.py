"""What patient data and texts are compared by: tokens under a key of the run, from which neither can be read again.

A text and a value have a token in common where the text holds the value whole, however it is cased, accented or parted.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from hmac import digest
from pathlib import Path
from secrets import token_bytes

# What is shorter is an ordinary word or number more often than somebody's.
LEAST = 6
# Of one value: two family names and two given ones.
MOST_WORDS = 4
# HIPAA's own day: no agreement, decision or record of it is older, and of every later day some patient is a child.
NEWEST_BIRTH = date(1996, 8, 21)

_WORD = re.compile(r"[^\W_]+")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


class Kind(StrEnum):
    """What a token is of: a whole value (a number, a whole name), one word of a name, a day of birth, a patient."""

    VALUE = "v"
    NAME = "n"
    BIRTH = "b"
    PATIENT = "p"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Where the tokens of one run go, in scratch, and the key that they are made under: it is never written."""

    folder: Path
    key: bytes = field(default_factory=lambda: token_bytes(32), repr=False)


def token(key: bytes, kind: Kind, text: str) -> int:
    """Return the token of a value: the first 64 bits of an HMAC-SHA-256."""
    return int.from_bytes(digest(key, f"{kind.value}{text}".encode(), "sha256")[:8], "little")


def words(text: str) -> list[str]:
    """Return the words and numbers of a text, without case and accents."""
    if not text.isascii():
        text = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return _WORD.findall(text.casefold())


def grams(parts: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield whatever stands together in a text and is long enough to be a value."""
    for start in range(len(parts)):
        for end in range(start + 1, min(start + MOST_WORDS, len(parts)) + 1):
            gram = tuple(parts[start:end])
            if sum(map(len, gram)) >= LEAST:
                yield gram


def days(parts: Sequence[str]) -> Iterator[date]:
    """Yield every day that could be meant in a text, in any of the usual spellings with a whole year."""
    for start, word in enumerate(parts):
        if len(word) == 8 and word.isdecimal():
            yield from _days(word[:4], word[4:6], word[6:])
            yield from _days(word[4:], word[2:4], word[:2])
            yield from _days(word[4:], word[:2], word[2:4])
        if len(three := parts[start : start + 3]) == 3:
            first, second, third = three
            yield from _days(first, second, third)
            yield from _days(third, second, first)
            yield from _days(third, first, second)


def _days(year: str, month: str, day: str) -> Iterator[date]:
    named = month[:3] in _MONTHS
    if len(year) == 4 and year.isdecimal() and day.isdecimal() and (named or month.isdecimal()):
        try:
            born = date(int(year), _MONTHS.index(month[:3]) + 1 if named else int(month), int(day))
        except ValueError:
            return
        if born < NEWEST_BIRTH:
            yield born
