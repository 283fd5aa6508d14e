"""The border where TOML becomes typed tables. It imports pydantic: import it inside a function.

A fault is a place in the file and what is wrong there; `lines` turns faults into what a person reads.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Any, ClassVar, TypeVar
from unicodedata import category

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError

from exactcopy.errors import ConfigError

Where = tuple[str | int, ...]
Fault = tuple[Where, str]

# The tables of decisions.toml.
DECISIONS = ("attest", "accept", "assign", "dispose", "incident", "review")
RATES = {"KB": 10**3, "MB": 10**6, "GB": 10**9}
UNITS = {"d": "days", "h": "hours", "m": "minutes"}
BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}

# --- what a person reads ----------------------------------------------------------------------------------


def shown(value: object) -> str:
    """Show `value` as the file has it, short, and with nothing in it that could move a terminal's cursor."""
    match value:
        case str():
            text = "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in value[:60])
            return f'"{text}{"…" if len(value) > 60 else ""}"'
        case bool():
            return str(value).lower()
        case int():
            # Not str(): Python refuses to print an integer of more than 4,300 digits.
            return str(value) if abs(value) < 10**20 else "that number"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return str(value)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Give the known word that `word` may have been meant to be."""
    return next(iter(get_close_matches(word, list(known), n=1)), None)


def dotted(where: Where) -> str:
    """Write `where` as TOML does; the first table of a list is [1]."""
    path = ""
    for part in where:
        if isinstance(part, int):
            path += f"[{part + 1}]"
        else:
            key = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else shown(part)
            path += f".{key}" if path else key
    return path


def lines(file: str, faults: Iterable[Fault]) -> list[str]:
    """Write each fault as one line: the file, the place in it, what is wrong and what to write instead."""
    return [": ".join(filter(None, (file, dotted(where), text))) for where, text in faults]


# --- values -----------------------------------------------------------------------------------------------


def limited(value: object, limit: int) -> str:
    """Take a text of at most `limit` characters with nothing in it that could steer what shows it."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is no text. Write it in quotes.")
    if not value.strip():
        raise ValueError("is empty. Write a value or remove it.")
    if len(value) > limit:
        raise ValueError(f"has {len(value)} characters. Write at most {limit}.")
    # Control and format characters, line ends: in a report they could hide or turn around what is read.
    if odd := [sign for sign in value if category(sign) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]:
        raise ValueError(f"holds the control character U+{ord(odd[0]):04X}. Remove it.")
    return value


def text(value: object) -> str:
    """Take a text that may stand in a report."""
    return limited(value, 200)


def long_text(value: object) -> str:
    """Take a sentence or two that may stand in a report."""
    return limited(value, 500)


def location(value: object) -> str:
    """Take a path as written."""
    path = limited(value, 1000)
    if path == "~" or path.startswith(("~/", "~\\")):
        raise ValueError(f"{shown(path)} depends on who runs the audit. Write the whole path.")
    return path


def duration(value: object) -> timedelta:
    """Take a number and a unit."""
    if isinstance(value, str) and (found := re.fullmatch(r"([1-9][0-9]{0,4})([dhm])", value)):
        return timedelta(**{UNITS[found[2]]: int(found[1])})
    raise ValueError(f'{shown(value)} is no duration. Write a number and a unit: "35d", "24h" or "30m".')


def size(value: object) -> int:
    """Take a number of bytes and a decimal unit."""
    if isinstance(value, str) and (found := re.fullmatch(r"([1-9][0-9]{0,5})([MGT]B)", value)):
        return int(found[1]) * BYTES[found[2]]
    raise ValueError(f'{shown(value)} is no size. Write a whole number and a unit: "500MB", "50GB" or "2TB".')


def rate(value: object) -> int:
    """Take a number of bytes a second and a decimal unit."""
    if isinstance(value, str) and (found := re.fullmatch(r"([1-9][0-9]{0,5})([KMG]B)", value)):
        return int(found[1]) * RATES[found[2]]
    raise ValueError(
        f'{shown(value)} is no rate. Write how much a second, a whole number and a unit: "500KB" or "20MB".'
    )


def hours(value: object) -> tuple[time, time]:
    """Take the beginning and the end of a window, two different times of the day."""
    written = r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)"
    if not isinstance(value, str) or not (found := re.fullmatch(written, value)):
        raise ValueError(f'{shown(value)} is no window. Write from when to when, with a zero in front: "20:00-06:00".')
    begin, end = time(int(found[1]), int(found[2])), time(int(found[3] or 0), int(found[4] or 0))
    if begin == end:
        raise ValueError(f"{shown(value)} ends when it begins. Write another end, or remove it for the whole day.")
    return begin, end


def connections(value: object) -> int:
    """Take how many may use a store at once."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 64:
        return value
    raise ValueError(f"{shown(value)} is no number of readers. Write a whole number from 1 to 64, without quotes.")


def amount(value: object) -> float:
    """Take an amount of money."""
    # What is not a number (nan) is not at least 0 either.
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 10**9:
        return abs(float(value))
    raise ValueError(f"{shown(value)} is no amount. Write US dollars without quotes or sign: 15 or 0.75.")


def dollars(value: object) -> float:
    """Take an amount of money of which there is some."""
    if taken := amount(value):
        return taken
    raise ValueError(f"{shown(value)} would allow nothing. Write US dollars: 25. Or remove it for no limit.")


def flag(value: object) -> bool:
    """Take true or false."""
    if isinstance(value, bool):
        return value
    raise ValueError(f"{shown(value)} is neither true nor false. Write true or false, without quotes.")


def day(value: object) -> date:
    """Take a date without a time."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ValueError(f"{shown(value)} is no date. Write it without quotes: 2026-11-24.")


def days(value: object) -> int:
    """Take a positive number of days."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 3650:
        return value
    raise ValueError(f"{shown(value)} is no number of days. Write a whole number from 1 to 3650.")


def years(value: object) -> int:
    """Take a number of years for which something is kept."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 100:
        return value
    raise ValueError(f"{shown(value)} is no number of years. Write a whole number from 1 to 100, without quotes.")


def matching(pattern: str, what: str, example: str) -> PlainValidator:
    """Take a text of one form; `what` says what it is, `example` what to write."""

    def check(value: object) -> str:
        if isinstance(value, str) and re.fullmatch(pattern, value):
            return value
        raise ValueError(f"{shown(value)} is no {what}. Write {example}.")

    return PlainValidator(check)


def labels(value: object) -> tuple[str, ...]:
    """Take a list of labels of studies, at least one."""
    if not isinstance(value, list) or not value:
        raise ValueError(f'{shown(value)} is no list of labels. Write those of gaps.csv: ["E-0001"].')
    for label in value:
        if not isinstance(label, str) or not re.fullmatch(r"E-[0-9]{4,9}", label):
            raise ValueError(f'{shown(label)} is no label of a study. Write those of gaps.csv: ["E-0001"].')
    return tuple(value)


def count(value: object) -> int:
    """Take a whole number, none below 0."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f"{shown(value)} is no count. Write a whole number, without quotes.")


def names(value: object) -> tuple[str, ...]:
    """Take a list of different texts, at least one."""
    if not isinstance(value, list):
        example = shown(value) if isinstance(value, str) else '"…"'
        raise ValueError(f"{shown(value)} is no list. Write [{example}].")
    if not value:
        raise ValueError("is empty. Name at least one, or remove it.")
    found = tuple(map(text, value))
    for at, name in enumerate(found):
        if name.casefold() in map(str.casefold, found[:at]):
            raise ValueError(f"names {shown(name)} twice. Write it once.")
    return found


Word = TypeVar("Word", bound=StrEnum)


def either(words: Iterable[str]) -> str:
    """List two words or more, of which one is to be written."""
    *first, last = (f'"{word}"' for word in words)
    return f"{', '.join(first)} or {last}"


def choice(kind: type[Word], but: Mapping[str, str] | None = None) -> PlainValidator:
    """Take one of the words of `kind`; `but` tells why some of them are out of place."""
    reasons = but or {}
    words = [word for word in kind if word not in reasons]

    def check(value: object) -> Word:
        if isinstance(value, str) and value in words:
            return kind(value)
        why = reasons.get(value) if isinstance(value, str) else None
        what = f"cannot be {shown(value)}: {why}" if why else f"{shown(value)} is not known here"
        raise ValueError(f"{what}. Write {either(words)}.")

    return PlainValidator(check)


Text = Annotated[str, PlainValidator(text)]
LongText = Annotated[str, PlainValidator(long_text)]
Location = Annotated[str, PlainValidator(location)]
Duration = Annotated[timedelta, PlainValidator(duration)]
Size = Annotated[int, PlainValidator(size)]
Rate = Annotated[int, PlainValidator(rate)]
Hours = Annotated[tuple[time, time], PlainValidator(hours)]
Connections = Annotated[int, PlainValidator(connections)]
Amount = Annotated[float, PlainValidator(amount)]
Dollars = Annotated[float, PlainValidator(dollars)]
Flag = Annotated[bool, PlainValidator(flag)]
Day = Annotated[date, PlainValidator(day)]
Days = Annotated[int, PlainValidator(days)]
Years = Annotated[int, PlainValidator(years)]
Names = Annotated[tuple[str, ...], PlainValidator(names)]
Count = Annotated[int, PlainValidator(count)]
Labels = Annotated[tuple[str, ...], PlainValidator(labels)]
FindingId = Annotated[str, matching(r"F-[0-9a-f]{8}", "finding", 'its id as the report has it: "F-1a2b3c4d"')]
RecordId = Annotated[str, matching(r"\d{4}-\d\d-\d\dT\d{6}Z", "record", 'the name of its folder: "2026-11-24T060000Z"')]
Digest = Annotated[str, matching(r"[0-9a-f]{64}", "SHA-256", "its 64 digits of 0-9 and a-f")]

# --- tables -----------------------------------------------------------------------------------------------


class Table(BaseModel):
    """A table of the file. Keys that it does not know are kept, so that they can be told by name."""

    model_config = ConfigDict(extra="allow")
    # key -> what to write where it is missing; such a field has an empty default that never gets out.
    required: ClassVar[Mapping[str, str]] = {}

    def stray(self, key: str) -> str:
        """Say what is wrong with a key that this table does not know."""
        meant = nearest(key, type(self).model_fields)
        return f"is no known key. Did you mean {meant}?" if meant else "is no known key. Remove it."

    def needed(self) -> Mapping[str, str]:
        """Return the keys that this table cannot be without, and what to write where one is missing."""
        return self.required


Root = TypeVar("Root", bound=Table)


def parse(file: str, content: bytes) -> dict[str, Any]:
    """Parse TOML, or raise with the line where it ends to be TOML."""
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        fault = f"line {line}: is not UTF-8. Save the file as UTF-8."
    except ValueError as error:
        what, _, place = str(error).rstrip(")").partition(" (at ")
        fault = f"{place or 'the file'}: {what} (TOML syntax). Correct it there."
    except RecursionError:
        fault = "is nested too deeply. Remove the nested lists."
    raise ConfigError([f"{file}: {fault}"])


def validate(model: type[Root], data: dict[str, Any]) -> tuple[Root, list[Fault]]:
    """Make a `model` of all that is sound in `data`, and list what is not.

    What is faulty is taken out of `data`: the rules that look at several keys can then judge the rest.
    """
    faults: list[Fault] = []
    while True:
        try:
            root = model.model_validate(data)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                faults.append((detail["loc"], _what(detail)))
                _take_out(data, detail["loc"], leave_table=detail["type"] == "model_type")
        else:
            return root, [*faults, *_keys(root, [where for where, _ in faults])]


def _what(detail: Mapping[str, Any]) -> str:
    where, value, kind = detail["loc"], detail["input"], detail["type"]
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind == "list_type" or where[0] in DECISIONS:
        return f"{shown(value)} is no list of tables. Write [[{where[0]}]], in two brackets."
    header = f"{where[0]}.NAME" if where[0] in {"primary", "backup", "recovery"} else dotted(where)
    return f"{shown(value)} is no table. Write [{header}] and the settings below it."


def _take_out(data: Any, where: Where, *, leave_table: bool) -> None:
    *path, last = where
    for part in path:
        data = data[part]
    if leave_table:
        data[last] = {}
    else:
        del data[last]


def _tables(node: object, where: Where = ()) -> Iterator[tuple[Where, Table]]:
    children: Iterable[tuple[str | int, object]] = ()
    if isinstance(node, Table):
        yield where, node
        children = ((name, getattr(node, name)) for name in type(node).model_fields)
    elif isinstance(node, dict):
        children = node.items()
    elif isinstance(node, list):
        children = enumerate(node)
    for part, child in children:
        yield from _tables(child, (*where, part))


def _keys(root: Table, faulted: list[Where]) -> Iterator[Fault]:
    for where, table in _tables(root):
        for key in table.model_extra or ():
            yield (*where, key), table.stray(key)
        for key, remedy in table.needed().items():
            place = (*where, key)
            if key not in table.model_fields_set and not any(place[: len(seen)] == seen for seen in faulted):
                yield place, f"is missing. {remedy}"
