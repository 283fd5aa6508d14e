"""The rules that look at more than one key of decisions.toml. It imports pydantic: import it inside a function."""

import re
from collections.abc import Collection, Iterator, Mapping, Set
from datetime import date, timedelta

from exactcopy.config.border import DECISIONS, Fault, Where, nearest, shown
from exactcopy.config.tables import Accept, Assign, Attest, DecisionsFile, Dispose, Review
from exactcopy.decisions import AGREEMENT
from exactcopy.results import Control

_LABELS_INSTEAD = "Accept the finding with its studies instead: it names each of them."
# What may not be accepted as a rule, by what an element's keyword holds.
_NEVER = {
    "Patient": "says who the patient is, or how the patient lay",
    "Laterality": "says which side is shown",
}
_NO_ACCEPTANCE = {
    "required": "a required specification, and takes no acceptance",
    "standard": "a standard, and takes no acceptance",
    "other law": "another law's, and takes no acceptance",
    "proposed": "a proposed rule, and needs none",
}


def rules(
    file: DecisionsFile,
    known_controls: Collection[str],
    today: date,
    judged_by: Mapping[str, Control],
    faulted: Set[Where],
) -> Iterator[Fault]:
    """Yield what is wrong between keys; `faulted` are the places where a fault has already been told."""
    for kind in DECISIONS:
        for index, table in enumerate(getattr(file, kind)):
            where = (kind, index)
            found = [*_times(table, today)]
            match table:
                case Attest():
                    found += _attest(table, known_controls)
                case Accept():
                    found += _accept(table, judged_by)
                case Assign():
                    found += _assign(table)
                case Dispose():
                    found += _dispose(table)
                case Review():
                    found += _review(table)
            yield from (((*where, key), what) for key, what in found if (*where, key) not in faulted)


def element(name: str) -> str:
    """Return the name of an element as a record has it: its keyword, or its number where it has none.

    Elements of sequences are named with the way to them: RequestAttributesSequence.StudyID. Raises ValueError with
    what is wrong with an element that is none, or that no rule may let differ.
    """
    from pydicom.datadict import dictionary_VR, keyword_dict, keyword_for_tag, tag_for_keyword

    names = []
    for part in name.split("."):
        number = re.fullmatch(r"\(([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})\)", part)
        tag = int(number[1] + number[2], 16) if number else tag_for_keyword(part)
        if tag is None:
            meant = nearest(part, keyword_dict)
            remedy = f'Did you mean "{meant}"?' if meant else 'Write it as gaps.csv does: "StudyDescription".'
            raise ValueError(f"{shown(part)} is no element. {remedy}")
        keyword = keyword_for_tag(tag)
        names.append(keyword or f"({tag >> 16:04X},{tag & 0xFFFF:04X})")
        why = next((why for word, why in _NEVER.items() if word in keyword), None)
        if tag >> 16 == 0x0010:
            why = _NEVER["Patient"]
        elif keyword and dictionary_VR(tag) == "UI":
            why = "is a UID, which says what an image is and belongs to"
        if why:
            raise ValueError(f"{shown(part)} {why}: it cannot be let differ by a rule. {_LABELS_INSTEAD}")
    return ".".join(names)


def _times(table: object, today: date) -> Iterator[tuple[str, str]]:
    on, expires = getattr(table, "on", date.min), getattr(table, "expires", None)
    if on > today:
        what = "it was attested" if isinstance(table, Attest) else "it was decided"
        yield "on", f"{on} is in the future. Write the day on which {what}."
    if expires and expires < on:
        yield "expires", f"{expires} is before on. Write a later day, or remove it."


def _attest(table: Attest, known_controls: Collection[str]) -> Iterator[tuple[str, str]]:
    if table.control and table.control not in known_controls:
        meant = nearest(table.control, known_controls)
        remedy = f'Did you mean "{meant}"?' if meant else "Write the id of a control."
        yield "control", f"{shown(table.control)} is no control. {remedy}"
    if table.control == AGREEMENT and table.party is None:
        yield "party", "is missing. Write with whom the agreement is, as in held_by of the store."


def _accept(table: Accept, judged_by: Mapping[str, Control]) -> Iterator[tuple[str, str]]:
    given = table.model_fields_set
    if not given & {"finding", "backup", "elements"}:
        yield "finding", 'is missing. Write finding = "F-…", or a backup and a list of elements.'
    if "finding" in given and given & {"backup", "elements"}:
        key = "backup" if "backup" in given else "elements"
        yield key, "cannot stand beside a finding. Write two [[accept]], one for each."
    elif "backup" in given and "elements" not in given:
        yield "elements", "is missing. Write the elements that may differ there, as gaps.csv names them."
    elif "elements" in given and "backup" not in given:
        yield "backup", "is missing. Write the name of the backup on which they may differ."
    if "labels" in given and given & {"backup", "elements"}:
        yield (
            "labels",
            "are of a finding. Remove them: a list of elements covers every study that differs in them only.",
        )
    if "images" in given and "labels" not in given:
        yield "images", "belongs to labels only. Remove it."
    for name in table.elements:
        try:
            element(name)
        except ValueError as error:
            yield "elements", str(error)
    control = judged_by.get(table.finding or "")
    if control and control.specification in _NO_ACCEPTANCE:
        yield (
            "finding",
            f"{shown(table.finding)} is under {control.id}, {_NO_ACCEPTANCE[control.specification]}. Remove it; mend "
            f'what was found, or say who does: [[assign]] with finding = "{table.finding}".',
        )
    elif control and control.specification == "addressable" and table.alternative is None:
        yield (
            "alternative",
            f"is missing: {control.id} is addressable, which asks for an equivalent measure (45 CFR 164.306(d)(3)). "
            'Write it, or "none reasonable, because …".',
        )


def _assign(table: Assign) -> Iterator[tuple[str, str]]:
    if not table.model_fields_set & {"owner", "due", "cause"}:
        yield "owner", "is missing. Write an owner, a due day or the cause that was found."


def _dispose(table: Dispose) -> Iterator[tuple[str, str]]:
    given = sorted(table.model_fields_set & {"labels", "before", "store"})
    if not given:
        yield (
            "labels",
            'is missing. Write the studies: labels = ["E-0001"]; or before = 2016-01-01 for all studies of before that '
            "day; or the store that is no longer in use.",
        )
    elif len(given) > 1:
        yield given[1], f"cannot stand beside {given[0]}. Write two [[dispose]], one for each."
    if table.primary is not None and table.before is None:
        yield "primary", "belongs to before only. Remove it."


def _review(table: Review) -> Iterator[tuple[str, str]]:
    # A record's name is in UTC: where the report was signed it may have been the day before.
    if table.record and table.on < date.fromisoformat(table.record[:10]) - timedelta(days=1):
        yield "on", f"{table.on} is before the record. Write the day on which it was reviewed."
