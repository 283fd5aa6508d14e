"""How much of each store one audit may read: by the store's own bounds, and by its share of what all have together.

What was never read comes first, that of primaries before that of backups; then what was read longest ago, wherever it
lies.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from exactcopy.costs import bytes_for
from exactcopy.model import Cost, Problem, Target

# Of what there is, this part is kept for test restores before it is known what they take.
_KEPT_AT_FIRST = 0.1
# Other studies are drawn each time, and may be larger: so much more than last time, and never more than half of all.
_KEPT_MORE = 1.5
_KEPT_AT_MOST = 0.5


@dataclass(frozen=True, slots=True)
class Limit:
    """How many bytes of a store may be read, and what that which is left unread is called."""

    size: int
    problem: Problem


@dataclass(frozen=True, slots=True)
class Demand:
    """The bytes of one store that are to be read, by the moment at which they were read last (None: never).

    `most` is what its own bounds allow.
    """

    by_age: tuple[tuple[int | None, int], ...]
    most: int | None = None


def kept_for_restores(budget: float, last: float | None) -> float:
    """Return what of a budget reading leaves to the test restores, of which the `last` ones took so much."""
    return min(last * _KEPT_MORE, budget * _KEPT_AT_MOST) if last is not None else budget * _KEPT_AT_FIRST


def egress_limit(target: Target) -> int | None:
    """Return how many bytes may leave a store in one audit for `max_egress_cost`; None where that is not set."""
    return None if target.max_egress_cost is None else bytes_for(target.cost or Cost(), target.max_egress_cost)


def limit_of(target: Target, restored: int | None, share: int | None = None) -> Limit | None:
    """Return how much of a store may be read for its inventory; None where nothing sets a limit.

    `restored` is how many bytes the last test restore brought back from it, `share` what it has of a budget for all.
    """
    found = [] if target.max_read is None else [Limit(target.max_read, Problem.OVER_BUDGET)]
    if (egress := egress_limit(target)) is not None:
        found.append(Limit(egress - int(kept_for_restores(egress, restored)), Problem.OVER_COST))
    if share is not None:
        found.append(Limit(share, Problem.OVER_TOTAL))
    return min(found, key=lambda limit: limit.size, default=None)


def share_of_first(left: int, demands: Sequence[Demand]) -> int:
    """Return how much of the `left` bytes the first of the stores may read, the others having their part in turn.

    The order of `demands` is that of the stores, primaries first. What nobody demands is the first one's, too: a demand
    is foreseen, and may turn out to be larger.
    """
    groups = sorted(
        (read_at is not None, read_at or 0, store, size)
        for store, demand in enumerate(demands)
        for read_at, size in demand.by_age
    )
    rest, given = max(left, 0), [0] * len(demands)
    for _, _, store, size in groups:
        most = demands[store].most
        taken = min(size, rest, rest if most is None else max(most - given[store], 0))
        given[store] += taken
        rest -= taken
    return given[0] + rest
