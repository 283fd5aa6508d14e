"""Files that a store lists and nobody read: why, where it is known, and what has them read."""

from dataclasses import dataclass

from exactcopy.checks.common import so_many
from exactcopy.model import Problem
from exactcopy.results import StoreFacts


@dataclass(frozen=True, slots=True)
class _Why:
    one: str
    many: str
    remedy: str


_WHY = {
    Problem.PLACEHOLDER: _Why(
        "file lies only in the cloud and was not opened, for that would download it",
        "files lie only in the cloud and were not opened, for that would download them",
        'Make them available offline in the sync client, or audit the cloud itself by kind = "rclone".',
    ),
    Problem.ARCHIVED: _Why(
        "file lies in cold storage and cannot be read before it is thawed",
        "files lie in cold storage and cannot be read before they are thawed",
        "Have the provider thaw what lies in cold storage.",
    ),
    Problem.OVER_BUDGET: _Why(
        "file was left unread by `max_read`",
        "files were left unread by `max_read`",
        "The next audit reads first what this one left. Raise `max_read` if one audit may read so much.",
    ),
    Problem.OVER_WINDOW: _Why(
        "file was left unread when its `window` ended",
        "files were left unread when its `window` ended",
        "Audit again within its `window`: what was read is kept, and what was left unread comes first.",
    ),
    Problem.OVER_TIME: _Why(
        "file was left unread when the hours of --max-hours were over",
        "files were left unread when the hours of --max-hours were over",
        "Audit again: what was read is kept, and what was left unread comes first. Or give --max-hours more.",
    ),
    Problem.OUT_OF_REACH: _Why(
        "file was left unread when the store no longer answered",
        "files were left unread when the store no longer answered",
        "Find out why with `exactcopy check`, then audit again: what was read is kept, and what was left comes first.",
    ),
    Problem.OVER_TOTAL: _Why(
        "file was left unread, for no more was left of --max-read",
        "files were left unread, for no more was left of --max-read",
        "Audit again: what was read is kept, and what was left unread comes first. Or give --max-read more.",
    ),
    Problem.OVER_COST: _Why(
        "file was left unread, so as not to cost more than `max_egress_cost`",
        "files were left unread, so as not to cost more than `max_egress_cost`",
        "The next audit reads first what this one left. Raise `max_egress_cost` if one audit may cost more.",
    ),
    Problem.AMBIGUOUS: _Why(
        "file shares its name with another, so that either may come",
        "files share their names with others, so that either may come",
        "Give each of the files that share a name one of its own.",
    ),
}


def unread_files(store: StoreFacts) -> list[str]:
    """Return how many files were not read to the end, for each reason."""
    told = [so_many(store.problems[problem], why.one, why.many) for problem, why in _known(store).items()]
    rest = unexplained(store)
    return [*told, f"{so_many(rest, 'file', 'files')} could not be read to the end"] if rest else told


def unexplained(store: StoreFacts) -> int:
    """Return how many files could not be read to the end for no reason but rights, errors or change."""
    return store.unread - sum(store.problems[problem] for problem in _known(store))


def remedies(store: StoreFacts) -> list[str]:
    """Return what has those files read that were left for a reason of their own."""
    return [why.remedy for why in _known(store).values()]


def _known(store: StoreFacts) -> dict[Problem, _Why]:
    return {problem: why for problem, why in _WHY.items() if store.problems.get(problem)}
