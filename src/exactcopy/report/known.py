"""How the images of a backup are known, in words."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from exactcopy.digest import CORRUPTION_ONLY
from exactcopy.report import words

View = dict[str, Any]

# What a store may report, in words.
ALGORITHMS = {
    "sha256": "SHA-256",
    "sha1": "SHA-1",
    "md5": "MD5",
    "quickxor": "QuickXorHash",
    "crc64nvme": "CRC-64/NVME",
    "crc32c": "CRC-32C",
}
BESIDE = (("read", "read back"), ("restored", "restored"), ("listed", "listed only"))


def told(comparisons: Iterable[View]) -> list[str]:
    """Say of how many images each kind of proof is the best there is, over all `comparisons`."""
    levels: Counter[str] = Counter()
    reported: Counter[str] = Counter()
    for row in comparisons:
        levels.update(row["assurance"])
        reported.update(row.get("reported_by") or {})
    # An older record does not name the checksum.
    unnamed = levels["reported"] - reported.total()
    by = [(count, ALGORITHMS[name]) for name, count in reported.items()] + [(unnamed, "checksum")]
    said = [f"{words.counted(count, 'images')} identical by the provider's {name}" for count, name in by if count > 0]
    return said + [f"{words.number(levels[key])} {name}" for key, name in BESIDE if levels[key]]


def caution(comparisons: Iterable[View]) -> str | None:
    """Say which of the checksums that were relied on can be forged; None where none can."""
    names = dict.fromkeys(name for row in comparisons for name in row.get("reported_by") or {})
    weak = [ALGORITHMS[name] for name in names if name in CORRUPTION_ONLY]
    return f"{words.listed(weak)}: evidence against corruption, not against replacement." if weak else None
