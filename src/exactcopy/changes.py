"""What stands open after an audit or a drift check, and what changed between two of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any

from exactcopy.checks import finding_id
from exactcopy.errors import EXCEPTIONS, INCOMPLETE
from exactcopy.model import Severity

# Something that was not examined is as grave as the finding that says so of a store.
_NOT_EXAMINED = Severity.HIGH


class Kind(StrEnum):
    """What happened to something that stands open."""

    NEW = "new"
    WORSE = "worse"
    REOPENED = "open again"
    RESOLVED = "resolved"
    DROPPED = "no longer asked"
    REMINDER = "still open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A finding, or something that was not examined: it stands open until it is asked again and no longer found."""

    id: str
    severity: Severity
    count: int
    title: str
    accepted: bool = False

    def worse_than(self, other: "Item") -> bool:
        """Whether it is graver or more than before."""
        return self.severity.rank < other.severity.rank or self.count > other.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One item, and what happened to it."""

    kind: Kind
    item: Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What stands open by id; which checks were `asked` (their findings' ids), and which of them gave an answer.

    `examined`: all else that could stand open was looked at. `whole`: every check there is was asked, so that what
    was not is asked no more.
    """

    items: Mapping[str, Item]
    asked: frozenset[str] = frozenset()
    answered: frozenset[str] = frozenset()
    examined: bool = False
    whole: bool = False

    def outcome(self, item: Item) -> Kind | None:
        """Say what became of an item that stood open before and does not now; None where nothing could tell."""
        if item.id in self.answered or (self.examined and item.id.startswith("N-")):
            return Kind.RESOLVED
        return Kind.DROPPED if self.whole and item.id.startswith("F-") and item.id not in self.asked else None


def standing(said: Mapping[str, Any]) -> Standing:
    """Return what stands open by what an audit.json or a drift check says. What is for information only is left out."""
    items = {
        found["id"]: Item(
            id=found["id"],
            severity=Severity(found["severity"]),
            count=found["count"],
            title=found["title"],
            accepted=found["state"] == "accepted",
        )
        for found in said["findings"]
        if found["severity"] != Severity.INFO
    }
    checks = said.get("checks", ())
    return Standing(
        items=items | {item.id: item for item in (*_not_examined(said), *_incomplete(said))},
        asked=frozenset(finding_id(asked["check"], asked["target"]) for asked in checks),
        answered=frozenset(
            finding_id(asked["check"], asked["target"]) for asked in checks if asked["status"] != "not_checked"
        ),
        examined=True,
        whole="controls" in said,
    )


def result(said: Mapping[str, Any]) -> int:
    """Return the exit code of a run that came to its end: incomplete wins over exceptions."""
    return INCOMPLETE if not said["complete"] else EXCEPTIONS if said["conclusion"] == "exceptions noted" else 0


def changes(before: Mapping[str, Item], now: Standing) -> Iterator[Change]:
    """Yield what is new, worse or resolved since `before`, the items that stood open then."""
    for item in now.items.values():
        earlier = before.get(item.id)
        if earlier is None:
            yield Change(kind=Kind.NEW, item=item)
        elif item.worse_than(earlier):
            yield Change(kind=Kind.WORSE, item=item)
    for item in before.values():
        if item.id not in now.items and (kind := now.outcome(item)):
            yield Change(kind=kind, item=item)


def _not_examined(said: Mapping[str, Any]) -> Iterator[Item]:
    """Yield what was not examined, unless a finding says the same."""
    findings = {found["id"] for found in said["findings"]}
    for part in said["not_examined"]:
        if finding_id("store-examined", part["target"]) not in findings:
            yield _item(part["target"], part["reason"], part["text"])


def _incomplete(said: Mapping[str, Any]) -> Iterator[Item]:
    """Yield that something was not examined where neither a store nor a finding says what."""
    told = any(found["check"] == "store-examined" for found in said["findings"])
    if not said["complete"] and not said["not_examined"] and not told:
        yield _item("audit", "incomplete", "Not everything could be examined")


def _item(target: str, reason: str, title: str) -> Item:
    code = sha256(f"{target}\0{reason}".encode()).hexdigest()[:8]
    return Item(id=f"N-{code}", severity=_NOT_EXAMINED, count=1, title=title)
