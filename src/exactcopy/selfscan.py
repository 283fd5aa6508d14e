"""Hold what may travel against the patient data of this run, of which only tokens were kept.

Strings of outside origin (the configuration, decisions, what a store calls itself) are compared word by word; one that
holds patient data is withheld. Finished pages are compared by whole values only: a page is full of words and numbers.
"""

import csv
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

from exactcopy.aliases import Aliases
from exactcopy.config import Config
from exactcopy.decisions import Decisions
from exactcopy.inventory.database import note_of, parquet, row, rows
from exactcopy.model import Role
from exactcopy.reconcile.case import Case
from exactcopy.records import WITHHELD, History
from exactcopy.results import SelfScan, StoreFacts, WithheldString
from exactcopy.tokens import LEAST, Kind, Ledger, days, grams, token, words

IN_ITS_PLACE = "[withheld]"
# A name that so many patients bear names none of them: streets and towns are called like people.
COMMON = 5
# On a page a shorter number is a count, and one that is parted anywhere is a date or a citation.
LEAST_DIGITS = 8

_PLACES = ("volume", "device", "disk", "host", "filesystem", "synced_by")
# Who holds a copy, who decides and who signs is named on purpose.
_WHO = frozenset({"by", "entered_by", "party", "owner"})
# What was written down of our own: digits and letters that are nobody's.
_OURS = frozenset({"control", "finding", "record", "sha256", "scan_sha256"})
_STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)
_ATTRIBUTE = re.compile(r'="([^"]*)"')
_BLOCK = re.compile(r"</?(?:p|td|th|li|div|h\d|title|section|header|svg|tr|text|testcase|failure|error)\b[^>]*>")
_TAG = re.compile(r"<[^>]*>")

Gram = tuple[str, ...]
Rule = Callable[[Sequence[str]], Iterator[tuple[Kind, Gram]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """A string of outside origin that travels: where it stands, what stands for it where it may not travel.

    `who` marks the name of a facility, a holder or a person that is named on purpose.
    """

    where: str
    text: str
    shown: str = IN_ITS_PLACE
    who: bool = False


def outside(config: Config, decisions: Decisions, stores: Iterable[StoreFacts]) -> Iterator[Outside]:
    """Yield every string of outside origin that travels."""
    yield Outside(where="the configuration: facility", text=config.facility, who=True)
    yield Outside(where="the configuration: operator, or the account that audits", text=config.operator, who=True)
    for key, person in (("security_official", config.security_official), ("it", config.it)):
        if person:
            yield Outside(where=f"the configuration: people.{key}", text=person, who=True)
    if rule := config.retention:
        yield Outside(where="the configuration: policy.retention.set_by", text=rule.set_by, who=True)
        for key, text in (("rule", rule.rule), ("citation", rule.citation)):
            yield Outside(where=f"the configuration: policy.retention.{key}", text=text)
    facts = {store.name: store for store in stores}
    for alias, target in aliases(config).items():
        where = f"the configuration, {alias}"
        yield Outside(where=f"{where}: its name", text=target.name, shown=alias)
        yield Outside(where=f"{where}: held_by", text=target.held_by, who=True)
        named = [target.site, *(target.options.get(key) for key in ("synced_to", "restored_from"))]
        for text in (*named, *target.options.get("volumes", ())):
            if text:
                yield Outside(where=f"{where}: site, synced_to, restored_from or volumes", text=str(text))
        for key in _PLACES if target.name in facts else ():
            if text := getattr(facts[target.name], key):
                yield Outside(where=f"the medium of {alias}", text=str(text))
    for kind, decided in asdict(decisions).items():
        for number, one in enumerate(decided if isinstance(decided, list | tuple) else (), start=1):
            for path, text in _strings(one, ""):
                key = path.rpartition(".")[2]
                if key not in _OURS:
                    where = f"decisions.toml, {kind.removesuffix('s')} {number}: {key}"
                    yield Outside(where=where, text=text, who=key in _WHO)


def aliases(config: Config) -> dict[str, Any]:
    """Return the stores by what they are called where their names may not travel."""
    named = {
        f"{store.role.value} {number}": store
        for role in (config.primaries, config.backups)
        for number, store in enumerate(role, start=1)
    }
    return named | ({Role.RECOVERY.value: config.recovery} if config.recovery else {})


def withheld_before(history: History) -> Aliases:
    """Return what earlier records withhold: whose images are not read today may be patients all the same."""
    record = next(history.holding(WITHHELD), None)
    return Aliases(shown=record.withheld if record else {})


class Scan:
    """The tokens of a run, and the words that are nobody's: the program's own, and those of who is named on purpose."""

    def __init__(self, case: Case, ledger: Ledger, strings: Sequence[Outside], before: Aliases) -> None:
        """Hold strings of outside origin against the tokens: `facts` is what came of it.

        What was withheld `before` stays so, until another text stands in its place.
        """
        self._db, self._ledger = case.db, ledger
        self._who = {word for each in strings if each.who for word in words(each.text)}
        parts = sorted(ledger.folder.glob("*.parquet"))
        counted = row(case.db, f"select count(distinct token) from {parquet(ledger.folder)}") if parts else (0,)
        self._tokens: int = counted[0]
        hits = self._of({each.text for each in strings}, in_string)
        withheld = [each for each in strings if each.text in hits or each.text in before.shown]
        self.withheld = Aliases(shown={**before.shown, **{each.text: each.shown for each in withheld}})
        self.facts = SelfScan(
            strings=len(strings),
            tokens=self._tokens,
            images=sum(int(note_of(case.db, part)) for part in parts),
            of_images=row(case.db, "select count(sop) from objects")[0],
            withheld=tuple(WithheldString(where=each.where, shown=each.shown) for each in withheld),
        )

    def texts_in(self, folder: Path) -> frozenset[str]:
        """Hold all that was written to `folder` to travel against the tokens; return the texts that hold a value."""
        return self._of({text for path in folder.iterdir() if path.is_file() for text in _texts(path)}, on_page)

    def withhold(self, texts: Iterable[str]) -> None:
        """Withhold more."""
        self.withheld = Aliases(shown={**self.withheld.shown, **dict.fromkeys(texts, IN_ITS_PLACE)})

    def _of(self, texts: Collection[str], rule: Rule) -> frozenset[str]:
        """Return the texts that hold patient data by a rule: what of a text is compared, and as what."""
        if not self._tokens:
            return frozenset()
        asked: dict[tuple[Kind, Gram], set[str]] = {}
        for text in texts:
            for compared in rule(words(text)):
                asked.setdefault(compared, set()).add(text)
        by_token = {token(self._ledger.key, kind, "".join(gram)): (kind, gram) for kind, gram in asked}
        self._db.execute("create or replace temp table asked as select unnest($1::ubigint[]) as token", [[*by_token]])
        counted = rows(
            self._db,
            f"""select token, count(distinct bearer) from {parquet(self._ledger.folder)}
                semi join asked using (token) group by token""",
        )
        hits: set[str] = set()
        for found, bearers in counted:
            kind, gram = by_token[found]
            if not (kind is Kind.NAME and bearers >= COMMON) and not self._nobodys(gram):
                hits |= asked[kind, gram]
        return frozenset(hits)

    def _nobodys(self, gram: Gram) -> bool:
        return all(word.isalpha() and (word in self._who or word in own_words()) for word in gram)


def in_string(parts: Sequence[str]) -> Iterator[tuple[Kind, Gram]]:
    """Yield values, words of names and days of birth, as far as they are long enough to be told from other words."""
    yield from ((Kind.VALUE, gram) for gram in grams(parts) if len(gram) == 1 or _is_value(gram))
    yield from ((Kind.NAME, (word,)) for word in parts if len(word) >= LEAST)
    yield from ((Kind.BIRTH, (day.isoformat(),)) for day in days(parts))


def on_page(parts: Sequence[str]) -> Iterator[tuple[Kind, Gram]]:
    """Yield names of two words and more, numbers of eight digits and more, and what is of both letters and digits."""
    for gram in grams(parts):
        parted_number = len(gram) > 1 and all(map(str.isdecimal, gram))
        if _is_value(gram) and not parted_number and (len(gram) > 1 or not gram[0].isalpha()):
            yield Kind.VALUE, gram


def _is_value(gram: Gram) -> bool:
    return not all(map(str.isdecimal, gram)) or sum(map(len, gram)) >= LEAST_DIGITS


@cache
def own_words() -> frozenset[str]:
    """Return every word that this program is written in: a patient called like one of them is not named by it."""
    from exactcopy.report import templates

    sources = [
        *Path(__file__).parent.rglob("*.py"),
        *Path(__file__).parent.rglob("*.toml"),
        *templates().rglob("*.html"),
    ]
    return frozenset(word for path in sources for word in words(path.read_text(encoding="utf-8")))


def _texts(path: Path) -> Iterator[str]:
    """Yield each text that a file shows; the PDF is drawn from the HTML, and shows nothing else."""
    text = path.read_text(encoding="utf-8") if path.suffix != ".pdf" else ""
    if path.suffix == ".json":
        yield from (found for _, found in _strings(json.loads(text), ""))
    elif path.suffix == ".csv":
        yield from (cell for line in csv.reader(text.splitlines()) for cell in line)
    else:
        text = _STYLE.sub("", text)
        yield from map(unescape, _ATTRIBUTE.findall(text))
        yield from (unescape(_TAG.sub(" ", block)) for block in _BLOCK.split(text))


def _strings(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield every string with its key."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _strings(each, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _strings(each, key)
