"""What ransomware, a failing disk and a migration gone wrong leave, on whatever store."""

from exactcopy.checks.common import (
    AUDIT_AGAIN,
    INCIDENT,
    Result,
    Scope,
    check,
    finding,
    images,
    not_checked,
    sentence,
    so_many,
    unexamined,
)
from exactcopy.model import Severity
from exactcopy.results import Evidence, MassChange, StoreFacts

# Defaults of ours. A month's corrections and merged patients stay below one in a hundred; disposing of one month of
# seven years is 1.2 in a hundred. Fewer studies than these are looked at one by one, by the other checks.
_SHARE = 0.05
_STUDIES = 5
# Images do not turn into other files by themselves; yet a few files that look random may lie beside any archive.
_FILES = 5
_RANDOM_SHARE = 0.01


@check("no-mass-change", Scope.STORE)
def no_mass_change(evidence: Evidence, store: StoreFacts) -> Result:
    """No large share of a store changed or vanished at once, or was encrypted (45 CFR 164.308(a)(5)(ii)(B))."""
    seen = evidence.mass_change.get(store.name)
    if seen is None:
        return unexamined(store)
    parts = _alarming(seen, store)
    if not parts:
        if seen.compared_with is None:
            return not_checked(
                "No earlier record shows what was there before; the next audit can compare. Files that look encrypted "
                "were looked for."
            )
        if seen.gone is None:
            return not_checked(f"Parts of {store.name} could not be read, so what went there does not show.")
        return None
    if seen.notes:
        parts.append(f"named like a demand for money: {so_many(seen.notes, 'file', 'files')}")
    return finding(
        Severity.CRITICAL,
        seen.studies or max(seen.lost_magic + seen.renamed, seen.high_entropy),
        unit="studies" if seen.studies else "files",
        title=f"A large part of {store.name} changed, vanished or was encrypted",
        message=sentence(parts),
        why="Ransomware, a failing disk and a botched migration look like this. Each backup job and sync that runs now "
        "may replace good copies.",
        to_check=(
            "Can the images still be opened? Do their names end as before?",
            "Did a migration, a conversion or a large disposal run, or is another drive connected?",
        ),
        remedy=(
            "Stop every backup and sync job before it overwrites what is good, and disconnect the drives.",
            *INCIDENT,
            "Once it is known what happened, restore from a copy that was apart.",
            AUDIT_AGAIN,
        ),
    )


def _alarming(seen: MassChange, store: StoreFacts) -> list[str]:
    """Return what is too much to have come by itself."""
    parts = []
    moved = (seen.changed or 0) + (seen.gone or 0)
    if seen.studies >= _STUDIES and moved > _SHARE * seen.known:
        parts.append(
            f"of {images(seen.known)} of the record {seen.compared_with}, {seen.changed or 0:,} changed and "
            f"{seen.gone or 0:,} are gone"
        )
    if seen.lost_magic + seen.renamed >= _FILES:
        parts.append(f"files that were images and are none now: {seen.lost_magic + seen.renamed:,}")
    if seen.high_entropy >= _FILES and seen.high_entropy > _RANDOM_SHARE * store.objects:
        parts.append(f"files that look encrypted: {seen.high_entropy:,} of {store.objects:,}")
    return parts
