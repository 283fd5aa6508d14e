"""A report to show outside: months for days, aliases for names, nothing that people wrote, no small groups of studies.

What remains is what was measured. It is no de-identification (45 CFR 164.514(b)): it holds less, not nothing.
"""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from exactcopy.aliases import Aliases
from exactcopy.report import words

if TYPE_CHECKING:
    import pandas as pd

View = dict[str, Any]

# Fewer studies than this of one modality and year are told apart too easily.
SMALL = 5
LEFT_OUT = "Left out of this copy"
# What is shorter would be found in words that it has nothing to do with; alone it is replaced all the same.
_EMBEDDED = 3
# What these hold, whatever it is, is printed so.
_AS = {
    "facility": "The facility",
    "operator": "an operator",
    "set_by": "the facility",
    "rule": LEFT_OUT,
    "cause": LEFT_OUT,
    "device": None,
    "disk": None,
    "host": None,
}
# Of what people decided: all else is in their own words.
_DECIDED = frozenset({"kind", "about", "control", "finding", "on", "expires", "incident"})
_DAY = re.compile(
    rf"\b\d{{1,2}} ({'|'.join(words.MONTHS)}) (\d{{4}})(?:, \d\d:\d\d(?: to \d\d:\d\d)?(?: [A-Z+\-][A-Z\d:]*)?)?"
)
_ISO = re.compile(r"\b(\d{4}-\d\d)-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:?\d\d)?)?")


def redact(audit: Mapping[str, Any], evidence_sha256: str) -> View:
    """Return what audit.json says without names and without what people wrote; `redacted` is whose copy it is."""
    names = _names(audit)
    plain = _plain(audit, {text: shown for text, shown in names.items() if len(text) < _EMBEDDED})
    embedded = Aliases(shown={text: shown for text, shown in names.items() if len(text) >= _EMBEDDED})
    made: View = embedded.applied(plain)
    return made | {"seal": None, "redacted": evidence_sha256}


def redact_rows(rows: "pd.DataFrame | None", audit: Mapping[str, Any]) -> "pd.DataFrame | None":
    """Return the rows of gaps.csv with aliases for stores, without modality and year where few studies share them."""
    if rows is None:
        return None
    rows = rows.assign(target=rows["target"].map(lambda name: _names(audit).get(name, name)))
    alike = rows.groupby(["modality", "study_year"])["label"].transform("nunique")
    rows.loc[alike < SMALL, ["modality", "study_year"]] = ""
    return rows


def in_months(value: Any) -> Any:
    """Return what the templates print with the month in place of each day."""
    if isinstance(value, str):
        return _ISO.sub(r"\1", _DAY.sub(r"\1 \2", value))
    if isinstance(value, Mapping):
        return {key: in_months(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [in_months(each) for each in value]
    return value


def _names(audit: Mapping[str, Any]) -> dict[str, str]:
    """Return what stands for each name, the first that a name is found as."""
    found: dict[str, str] = {}
    numbers: dict[str, int] = {}

    def call(text: Any, kind: str) -> None:
        if isinstance(text, str) and text and text not in found:
            numbers[kind] = numbers.get(kind, 0) + 1
            found[text] = f"{kind} {numbers[kind]}"

    for store in audit["stores"]:
        call(store["name"], store["role"])
    if audit.get("recovery"):
        found[audit["recovery"]["name"]] = "recovery PACS"
    for key, text in _strings(audit):
        if key in {"target", "backup", "primary"} and text != "audit":
            call(text, "earlier store")
    for earlier in audit.get("history", ()):
        for name in earlier["backups"]:
            call(name, "earlier store")
    found.setdefault(audit["facility"], "The facility")
    for key, who in (("security_official", "the security official"), ("it", "IT")):
        if audit["people"][key]:
            found.setdefault(audit["people"][key], who)
    for key, text in _strings(audit):
        match key:
            case "site":
                call(text, "site")
            case "held_by" | "party" if text != "us":
                call(text, "holder")
            case "owner":
                call(text, "owner")
            case "volume":
                call(text, "medium")
            case "synced_to":
                call(text, "service")
            case "restored_from":
                call(text, "origin")
            case "statement" | "document" | "cause":
                found.setdefault(text, LEFT_OUT)
    return found


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _strings(each, name)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _strings(each, key)


def _plain(value: Any, short: Mapping[str, str]) -> Any:
    """Return `value` without what people wrote; a short name is replaced where it stands alone."""
    if isinstance(value, str):
        return short.get(value, value)
    if isinstance(value, list | tuple):
        return [_plain(each, short) for each in value]
    if not isinstance(value, Mapping):
        return value
    made = {
        short.get(key, key): _AS[key] if key in _AS and isinstance(each, str) else _plain(each, short)
        for key, each in value.items()
    }
    if {"by", "on"} <= value.keys():
        said = {key: LEFT_OUT for key, each in value.items() if isinstance(each, str) and key not in _DECIDED}
        if value.get("kind") == "incident":
            # Its first sentence is ours: what was judged.
            said["text"] = f"{value['text'].split('.')[0]}. {LEFT_OUT}"
        made |= said | {key: "A person" for key in ("by", "entered_by") if key in value} | {"title": ""}
    if value.get("check") == "no-store-left-out" and "title" in value:
        # Names that stand nowhere else.
        made |= {key: "Stores are no longer audited" for key in ("title", "message") if key in value}
    if {"rule", "set_by"} <= value.keys():
        made["citation"] = LEFT_OUT
    return made
