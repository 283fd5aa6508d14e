"""What is said of studies that a primary no longer has: what the facility's own rule asks for, what was purged."""

from collections.abc import Iterable
from typing import Any

from exactcopy.report import words

View = dict[str, Any]


def retention(audit: View, clock: words.Clock) -> str:
    """Say what is left of the studies that the facility's own rule asks for; empty where it wrote no rule."""
    # An older record does not know it.
    kept = audit.get("retention")
    if not kept:
        return ""
    oldest = f"Oldest study present is dated {kept['oldest_year']}" if kept["oldest_year"] else "No study bears a date"
    years = f"{kept['years']} {'year' if kept['years'] == 1 else 'years'}"
    rule = (
        f"{oldest}; the facility\u2019s rule \u201c{kept['rule']}\u201d (set by {kept['set_by']} on "
        f"{clock.day(kept['on'])}, citation entered by the facility: {kept['citation']}) asks for {years}"
    )
    studies = f"{words.counted(kept['studies'], 'studies')} dated {clock.day(kept['since'])} or later"
    seen = "that this or an earlier record saw"
    if kept["absent"] is None:
        unclear = words.listed(kept["not_listed"])
        return (
            f"{rule}. Whether any of {studies} {seen} is absent from all stores was not checked, "
            f"for these were not listed whole: {unclear}."
        )
    are = "is" if kept["absent"] == 1 else "are"
    disposed = f"; of {words.number(kept['disposed'])} more a disposal is on record" if kept["disposed"] else ""
    return (
        f"{rule}; of {studies} {seen}, {words.number(kept['absent'])} {are} absent from all stores{disposed}. "
        "What was gone before the first record cannot be seen."
    )


def purged(stores: Iterable[View]) -> list[str]:
    """Say of each primary that purges what became of the studies that it no longer has."""
    # An older record does not know how long one keeps.
    return [_purged(store) for store in stores if store.get("keeps_hours")]


def short_of_two(stores: Iterable[View]) -> str:
    """Say how many of the studies that were purged fewer than two backups hold; empty for none."""
    counts = [store["purged"] for store in stores if store.get("purged")]
    short = sum(each["on_one"] + each["on_none"] for each in counts)
    total = sum(each["purged"] for each in counts)
    are = "is" if short == 1 else "are"
    return f"{words.out_of(short, total)} studies purged from a primary {are} not on two backups." if short else ""


def _purged(store: View) -> str:
    name, counts = store["name"], store["purged"]
    keeps = f"{name} keeps studies for {words.age(store['keeps_hours'])}"
    if counts is None:
        return f"{keeps}. It was not examined, so what it purged was not checked."
    before = f"What went before the first record of {name} cannot be known."
    if not counts["purged"] and not counts["disposed"]:
        return f"{keeps}. No study that a record saw there was purged since. {before}"
    total, young = counts["purged"], counts["young_when_last_seen"]
    disposed = f" Of {words.number(counts['disposed'])} more a disposal is on record." if counts["disposed"] else ""
    found = (
        f"Of {words.counted(total, 'studies')} that it purged since, by how many backups have them whole and exact: "
        f"two or more {words.number(counts['on_two'])}, one {words.number(counts['on_one'])}, none "
        f"{words.number(counts['on_none'])}, not checked {words.number(counts['not_checked'])}.{disposed}"
    )
    early = (
        f" Younger than that when last seen: {words.out_of(young, total)}; whether these went too early cannot be told."
        if young
        else ""
    )
    return f"{keeps}, as its configuration says. {found}{early} {before}"
