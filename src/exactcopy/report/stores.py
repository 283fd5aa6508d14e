"""What one store is, in words: where it lies, who holds it, what was examined, what that cannot show."""

from collections.abc import Iterable
from typing import Any

from exactcopy.model import Problem
from exactcopy.report import words

View = dict[str, Any]

# Why a store could not be examined: the record's code in words.
ERRORS = {
    "missing": "not reached",
    "empty": "empty",
    "no_instances": "no images",
    "wrong_volume": "wrong volume",
    "drive_absent": "not connected",
    "unreadable": "not readable",
    "parts_unreadable": "parts not read",
    "not_compared": "not compared",
    "outside_window": "outside its window",
    "out_of_time": "no time left",
    "over_budget": "no budget left",
}
KINDS = {
    "s3": "S3 bucket",
    "rclone": "cloud storage by rclone",
    "dicomweb": "PACS by DICOMweb",
    "dimse": "PACS by DIMSE",
}
# What a read of a folder proves.
READS = {"medium": "read from the medium", "cache": "read through the computer's memory cache"}
# What is read by few at once.
LIES_ON = {"spinning": "spinning disk", "share": "network share"}
UNCOUNTED = {"backup": "are not counted", "primary": "were not inventoried"}
PLURALS = {"backup": "backups", "primary": "primaries"}
MOST_NAMED = 3


def examined(store: View) -> bool:
    """Tell whether the figures of a store were counted in this run."""
    return store["error"] is None or store["error"] == "parts_unreadable"


def kind(store: View) -> str:
    """Say what kind of store it is."""
    named: str = store["kind"]
    return KINDS.get(named, named)


def held_by(store: View) -> str:
    """Say who holds it."""
    return "held by the facility" if store["held_by"] == "us" else f"held by {store['held_by']}"


def synced_by(store: View) -> str | None:
    """Name the sync client whose local folder this is, by the configuration or by what the folder shows."""
    return store.get("synced_to") or store.get("synced_by")


def place(store: View) -> str | None:
    """Say whether it is off site; None where nobody stated it. A local copy is never off site."""
    return None if synced_by(store) else {True: "off site", False: "on site", None: None}[store["offsite"]]


def drive(store: View) -> str | None:
    """Say which of the configured drives was examined; None where none was told apart."""
    configured = store.get("volumes_configured") or 0
    if not store.get("volume"):
        return None
    return f"drive {store['volume']}{f', 1 of {configured}' if configured > 1 else ''}"


def reading(store: View) -> str | None:
    """Say what file system it is, on what, and what reading it proves, as far as that is on record."""
    medium = LIES_ON.get(store.get("lies_on") or "")
    if medium and store.get("readers"):
        medium += f" read by {store['readers']} at once" if store["readers"] > 1 else " read by one at a time"
    said = [store.get("filesystem"), medium, READS.get(store.get("reads") or "")]
    return ", ".join(each for each in said if each) or None


def remark(store: View, clock: words.Clock) -> str | None:
    """Say what a store only stands for: the local copy of a cloud, what was restored by hand."""
    if client := synced_by(store):
        return f"local folder of {client}: proves the local copy only"
    if store.get("restored_from"):
        return f"restored from {store['restored_from']} on {clock.day(store.get('restored_on'))}"
    return None


def read_back(store: View, days: int | None, clock: words.Clock) -> str | None:
    """Say whether every byte was read within so many days; None where that is not on record."""
    known = store.get("known")
    if not known or not days or not sum(known.values()):
        return None
    unit = "images" if store["kind"] in {"dicomweb", "dimse"} else "files"
    within = f"within {days:,} days"
    if known["not_known"]:
        total = sum(known.values()) - known["reported"]
        return f"{words.number(known['not_known'])} of {words.counted(total, unit)} not read {within}"
    every = "every other byte" if known["reported"] else "every byte"
    if known["earlier"]:
        return f"{every} read {within}; oldest: {clock.date(store['oldest_read_at'])}"
    return f"{every} read in this audit" if known["this_run"] else None


def archives(stores: Iterable[View]) -> str:
    """Say of all `stores` which archives were not opened, and what they leave uncounted; empty for none."""
    by_role: dict[str, list[tuple[int, str]]] = {}
    for store in stores:
        if count := _unopened(store):
            by_role.setdefault(store["role"], []).append((count, store["name"]))
    return " ".join(_named(by_role[role], role) for role in ("backup", "primary") if role in by_role)


def archives_there(store: View) -> str:
    """Say the same of one store where its name stands above already."""
    count = _unopened(store)
    return f"{words.counted(count, 'archives')} {_left_out(count, store['role'])}" if count else ""


def _unopened(store: View) -> int:
    """Count the zips, tars and the like; an older record does not tell them from other files."""
    return int((store.get("problems") or {}).get(Problem.ARCHIVE, 0))


def _named(counts: list[tuple[int, str]], role: str) -> str:
    total = sum(count for count, _ in counts)
    (first, name), *others = counts
    where = [f"{words.counted(first, 'archives')} on {name}", *(f"{count:,} on {other}" for count, other in others)]
    if len(counts) > MOST_NAMED:
        where = [f"{words.counted(total, 'archives')} on {len(counts)} {PLURALS[role]}"]
    return f"{words.listed(where)} {_left_out(total, role)}"


def _left_out(count: int, role: str) -> str:
    be, them = ("was", "it") if count == 1 else ("were", "them")
    return f"{be} not opened; images in {them} {UNCOUNTED[role]}."


def cold(store: View) -> str | None:
    """Say what lies in cold storage; None where nothing is known to."""
    count = store.get("archived")
    return f"{words.counted(count, 'files')} in cold storage, to be thawed first" if count else None


def row(store: View, policy: View, clock: words.Clock) -> View:
    """Give a store's row in the table of stores."""
    years = dict.fromkeys(year for year in (store.get("oldest_year"), store.get("newest_year")) if year)
    of = f"images of {words.NONE.join(str(year) for year in years)}" if years else None
    seen = examined(store)
    figures = {key: words.number(store[key]) if seen else words.NONE for key in ("studies", "series", "instances")}
    gone = words.counted(store["deleted"], "files") if store.get("deleted") else None
    said = [store["role"], kind(store), store["site"], place(store), held_by(store), drive(store), reading(store)]
    said.append(gone and f"{gone} deleted there, not counted")
    said.append(cold(store))
    said.append(read_back(store, policy.get("reread_days", {}).get(store["name"]), clock))
    return {
        "name": store["name"],
        "what": words.joined([*said, of, remark(store, clock)]),
        "archives": archives_there(store),
        **figures,
        "size": words.size(store["bytes"]) if seen else words.NONE,
        "last_examined": clock.date(store["last_examined"]),
        "state": "no exception" if store["complete"] else "not checked",
        "listing": _listing(store),
        "encrypted": {True: "encrypted", False: "not encrypted", None: None}[store["encrypted"]],
    }


def dollars(amount: float) -> str:
    """Give an amount of US dollars."""
    return f"${amount:,.2f}"


def egress(read: View) -> str | None:
    """Say what reading back cost; None where no price of it is on record."""
    cost = read.get("egress_cost")
    return None if cost is None else f"egress {dollars(cost)}"


def _listing(store: View) -> str:
    """Say how far a store could be listed."""
    if store["error"]:
        return ERRORS.get(store["error"], "not reached")
    return "whole listing" if store["complete"] else "not whole"
