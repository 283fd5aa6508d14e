"""The recovery PACS: what became of the studies that were put there, in section 4 and on page one."""

from collections.abc import Callable
from typing import Any

from exactcopy.report import stores, words

View = dict[str, Any]

# So many backups stand beside one another.
COLUMNS = 4


def section(audit: View) -> View | None:
    """Give the table and the sentences; None where no recovery PACS was configured, or the record is older."""
    receiver = audit.get("recovery")
    if not receiver:
        return None
    tests = [each for each in audit["restore_tests"] if each.get("recovery")]
    held = f", held by {receiver['held_by']}" if receiver["held_by"] != "us" else ""
    return {
        "name": receiver["name"],
        "what": f"{stores.KINDS.get(receiver['kind'], receiver['kind'])}{held}",
        "tables": [_table(tests[start : start + COLUMNS]) for start in range(0, len(tests), COLUMNS)],
        "statements": [{"backup": each["backup"], "text": " ".join(_statement(each["recovery"]))} for each in tests],
        "none": None if tests else f"No study was put into {receiver['name']}: that it shows them is not checked.",
    }


def page_one(test: View) -> str:
    """Say in a few words what the recovery PACS showed of the studies of one backup; nothing where there is none."""
    recovery = test.get("recovery")
    if not recovery or not any(recovery["studies"].values()):
        return ""
    counts = recovery["studies"]
    put = counts["recovered"] + counts["failed"]
    text = (
        f" Put into {recovery['name']}: {words.out_of(counts['recovered'], put)} found, retrieved and equal"
        if put
        else ""
    )
    others = [
        f"{words.number(counts['held'])} there already and not put" if counts["held"] else "",
        f"{words.number(counts['not_tested'])} not tested" if counts["not_tested"] else "",
    ]
    others = [each for each in others if each]
    if not text:
        return f" {recovery['name']}: {', '.join(others)}."
    return f"{'; '.join([text, *others])}."


def _table(tests: list[View]) -> View:
    """Give a column for each backup, a row for each step."""
    return {
        "backups": [{"name": each["backup"], "status": _status(each["recovery"])} for each in tests],
        "rows": [{"label": label, "cells": [say(each["recovery"]) for each in tests]} for label, say in ROWS],
    }


def _cell(text: str, *, beside: str | None = None, alarming: bool = False) -> View:
    return {"text": text, "beside": beside, "alarming": alarming}


def _studies(recovery: View) -> View:
    counts = recovery["studies"]
    put = counts["recovered"] + counts["failed"]
    return _cell(words.out_of(counts["recovered"], put) if put else "none was put", alarming=counts["failed"] > 0)


def _step(step: str) -> Callable[[View], View]:
    def say(recovery: View) -> View:
        steps = recovery["instances"]
        put, done = steps["instances"], steps[step]
        if not put:
            return _cell(words.NONE)
        opaque = steps["not_decodable"] if step == "decoded" else 0
        beside = f"{words.number(opaque)} cannot be decoded here" if opaque else None
        return _cell(words.out_of(done, put), beside=beside, alarming=done + opaque < put)

    return say


def _pictures(recovery: View) -> View:
    pictures = recovery["rendered"]
    if not pictures["asked"]:
        return _cell("not offered" if recovery["instances"]["instances"] else words.NONE)
    return _cell(words.out_of(pictures["done"], pictures["asked"]), alarming=pictures["done"] < pictures["asked"])


def _removed(recovery: View) -> View:
    removed = recovery["removed"]
    if removed is None:
        return _cell("left there")
    if not removed["asked"]:
        return _cell(words.NONE)
    return _cell(words.out_of(removed["done"], removed["asked"]), alarming=removed["done"] < removed["asked"])


def _took(size: int, seconds: float) -> str:
    return f"{words.size(size)} in {words.age(seconds / 3600)}" if size else words.NONE


def _status(recovery: View) -> str:
    counts = recovery["studies"]
    if counts["failed"]:
        return "exception"
    if not counts["recovered"] or counts["held"] or counts["not_tested"]:
        return "not checked"
    return "no exception" if recovery["rendered"]["done"] == recovery["rendered"]["asked"] else "attention"


def _statement(recovery: View) -> list[str]:
    counts = recovery["studies"]
    said = []
    if counts["held"]:
        was = "was" if counts["held"] == 1 else "were"
        said.append(
            f"{words.counted(counts['held'], 'studies')} {was} there before; nothing was put, and they came back to "
            "scratch only."
        )
    if counts["not_tested"]:
        said.append(f"{words.counted(counts['not_tested'], 'studies')} could not be put there.")
    return said


ROWS: tuple[tuple[str, Callable[[View], View]], ...] = (
    ("Studies whole and equal when retrieved", _studies),
    ("Images that it took", _step("accepted")),
    ("Found by query", _step("found")),
    ("Retrieved", _step("retrieved")),
    ("Equal", _step("equal")),
    ("Decoded, every frame", _step("decoded")),
    ("Studies of which it showed a picture", _pictures),
    ("Studies removed again", _removed),
    ("Storing took", lambda recovery: _cell(_took(recovery["bytes"], recovery["put_seconds"]))),
    ("Retrieving took", lambda recovery: _cell(_took(recovery["back_bytes"], recovery["back_seconds"]))),
    ("Full recovery (estimate)", lambda recovery: _cell(words.age(recovery["hours"]))),
)
