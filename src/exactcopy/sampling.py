"""How many studies to restore, which ones, and what the result proves.

The population is finite and every draw is without replacement, so the limits are hypergeometric, not
binomial. Nothing is rounded in favor of the backup.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, comb

ALL_UP_TO = 100


@dataclass(frozen=True, slots=True)
class Preset:
    """With `confidence`, fewer than the share `tolerable` cannot be restored, if no restore fails."""

    confidence: float
    tolerable: float


PRESETS = {
    "quick": Preset(0.90, 0.10),
    "standard": Preset(0.95, 0.05),
    "strong": Preset(0.95, 0.01),
    "full": Preset(1.0, 0.0),
}


def sample_size(frame: int, preset: Preset) -> int:
    """Return how many of `frame` studies to restore; all where the frame is small or the sample half of it."""
    if frame <= ALL_UP_TO or preset.tolerable == 0.0:
        return frame
    failing = ceil(preset.tolerable * frame)
    missed = 1.0
    size = 0
    # The chance that a sample without a failure overlooks `failing` failing studies.
    while missed > 1 - preset.confidence:
        missed *= (frame - failing - size) / (frame - size)
        size += 1
    return frame if 2 * size >= frame else size


def frame_digest(study_instance_uids: Iterable[str]) -> str:
    """Return the SHA-256 of the sorted UIDs, one a line, in hexadecimal."""
    digest = hashlib.sha256()
    for uid in sorted(study_instance_uids):
        digest.update(uid.encode() + b"\n")
    return digest.hexdigest()


def seed(previous_manifest_sha256: str | None, frame_sha256: str) -> str:
    """Return the seed of a draw: nobody can know it before the previous record and this frame stand."""
    if previous_manifest_sha256 is None:
        return frame_sha256
    return hashlib.sha256((previous_manifest_sha256 + frame_sha256).encode()).hexdigest()


def draw(study_instance_uids: Iterable[str], seed: str, size: int) -> list[str]:
    """Return `size` studies: the first in the order of HMAC-SHA256(seed, UID)."""
    key = bytes.fromhex(seed)
    return sorted(study_instance_uids, key=lambda uid: hmac.digest(key, uid.encode(), "sha256"))[:size]


def upper_limit(frame: int, drawn: int, failed: int, confidence: float) -> int:
    """Return the most studies of the frame that could fail, with one-sided `confidence`, given the result.

    The largest number D of failing studies under which so few failures in the sample still have a chance of
    more than 1 - confidence.
    """
    if drawn >= frame:
        return failed
    ways = comb(frame, drawn)

    def chance(failing: int) -> float:
        good = frame - failing
        hits = sum(comb(failing, k) * comb(good, drawn - k) for k in range(min(failed, failing) + 1) if k <= drawn)
        return hits / ways

    low, high = failed, frame - (drawn - failed)
    while low < high:
        middle = (low + high + 1) // 2
        if chance(middle) > 1 - confidence:
            low = middle
        else:
            high = middle - 1
    return low


def certainty(ranked: Sequence[tuple[str, int, int]], failed_before: Iterable[str], drawn: Iterable[str]) -> list[str]:
    """Return the studies to restore beside the draw: newest, oldest, largest, and those that failed last time.

    `ranked` holds (UID, day, bytes) of the frame. What was drawn anyhow is left out.
    """
    if not ranked:
        return []
    frame = {uid for uid, _, _ in ranked}
    chosen = [
        max(ranked, key=lambda study: (study[1], study[0]))[0],
        min(ranked, key=lambda study: (study[1], study[0]))[0],
        max(ranked, key=lambda study: (study[2], study[0]))[0],
        *sorted(frame.intersection(failed_before)),
    ]
    taken = set(drawn)
    return [uid for uid in dict.fromkeys(chosen) if uid not in taken]
