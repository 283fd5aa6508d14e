"""Whom an instance is of, as tokens: nothing else of a patient is kept of a file that was read."""

from collections.abc import Iterator, Mapping
from datetime import date
from itertools import permutations

from exactcopy.dicom.encoding import PATIENT
from exactcopy.dicom.quiet import pydicom_quietly
from exactcopy.tokens import LEAST, NEWEST_BIRTH, Kind, token, words

_CHARACTER_SET, _ACCESSION = 0x00080005, 0x00080050
_NAMES = (0x00100010, 0x00101001, 0x00101005, 0x00101060)
_IDS = (0x00100020, 0x00101000, _ACCESSION)
_ID, _BIRTH = _IDS[0], 0x00100030

Patient = tuple[bytes | None, ...]
# A token, and that of the patient whose it is.
Token = tuple[int, int]


def patient_of(values: Mapping[int, bytes]) -> Patient:
    """Return what of an instance's elements names its patient, as it stands there."""
    return tuple(map(values.get, PATIENT))


def tokens(key: bytes, patient: Patient) -> Iterator[Token]:
    """Yield a token for all that names the patient: numbers, names in both orders and by the word, the day of birth."""
    values = dict(zip(PATIENT, patient, strict=True))
    texts = {tag: _text(values, tag) for tag in (*_NAMES, *_IDS, _BIRTH)}
    bearer = token(key, Kind.PATIENT, texts[_ID].strip() or texts[_NAMES[0]])
    found = {(Kind.VALUE, "".join(words(number))) for tag in _IDS for number in texts[tag].split("\\")}
    for tag in _NAMES:
        for name in texts[tag].replace("=", "\\").split("\\"):
            found |= set(_name(name))
    yield from ((token(key, kind, text), bearer) for kind, text in found if len(text) >= LEAST)
    if born := _day(texts[_BIRTH]):
        yield token(key, Kind.BIRTH, born.isoformat()), bearer


def _name(name: str) -> Iterator[tuple[Kind, str]]:
    """Yield a person's name (PS3.5 6.2.1.1): family, given and middle by the word, family and given together."""
    parts = [words(part) for part in name.split("^")[:3]]
    yield from ((Kind.NAME, word) for part in parts for word in part)
    # Where nobody parted it, the words are its parts.
    both = [part for part in parts[:2] if part]
    both = both if len(both) == 2 else [[word] for word in parts[0][:3]]
    if len(both) > 1:
        yield from ((Kind.VALUE, "".join(word for part in order for word in part)) for order in permutations(both))


def _day(text: str) -> date | None:
    digits = text.strip("\0 ").replace(".", "")
    try:
        born = date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None
    return born if born < NEWEST_BIRTH else None


def _text(values: Mapping[int, bytes | None], tag: int) -> str:
    """Return a value as text, in the character set that the instance names (PS3.3 C.12.1.1.2)."""
    value = (values[tag] or b"").strip(b"\0 ")
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    pydicom_quietly()
    from pydicom.charset import convert_encodings, decode_bytes

    named = (values[_CHARACTER_SET] or b"").decode("latin-1").strip("\0 ").split("\\")
    try:
        return decode_bytes(value, convert_encodings(named), set(b"\\^="))
    except Exception:  # noqa: BLE001  a hostile file may raise anything
        return value.decode("latin-1")
