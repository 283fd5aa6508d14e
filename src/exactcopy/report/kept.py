"""What is said of studies that are kept for years, in words: the facility's own rule, and what it did not find."""

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
