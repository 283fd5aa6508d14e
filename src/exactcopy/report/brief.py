"""One audit in few words: for its line in a terminal, and for the page that lists every audit."""

from collections.abc import Mapping, Sequence
from typing import Any

from exactcopy.report import words
from exactcopy.report.headline import all_accepted

Audit = Mapping[str, Any]
# What `exactcopy.records.timeline.summary` gives.
Summary = Mapping[str, Any]


def concluded(audit: Audit) -> str:
    """Say the conclusion; what was not examined whole, and what people accepted, stand beside it."""
    beside = "" if audit["complete"] or audit["conclusion"] == "incomplete" else ", incomplete"
    accepted = ", all accepted" if all_accepted(audit) else ""
    return f"{audit['conclusion']}{accepted}{beside}"


def weakest(said: Summary) -> str:
    """Give the backup with the least protected of those that were examined, as a count."""
    examined = {name: each for name, each in said["backups"].items() if each["examined"]}
    if not examined:
        return "no backup examined"
    name = min(examined, key=lambda each: examined[each]["protected"] / examined[each]["total"])
    unseen = len(said["backups"]) - len(examined)
    beside = f" ({unseen} not examined)" if unseen else ""
    return f"{words.out_of(examined[name]['protected'], examined[name]['total'])} on {name}{beside}"


def restores(said: Summary) -> str:
    """Say how many of the drawn studies came back; what failed is told apart, chosen studies among it."""
    planned, restored, failed = (
        sum(each[key] for each in said["backups"].values()) for key in ("planned", "restored", "failed")
    )
    told = f"{words.out_of(restored, planned)} restored" if planned else "none restored"
    return f"{told}, {words.number(failed)} failed" if failed else told


def severities(said: Summary) -> str:
    """Count the findings, the worst first."""
    found = [f"{words.number(count)} {severity}" for severity, count in said["findings"].items() if count]
    return ", ".join(found) or "no finding"


def actions_left(audit: Audit) -> int:
    """Count what was left to be done; a record that carries no corrective actions has its open findings."""
    carried: Sequence[Mapping[str, Any]] | None = audit.get("corrective_actions")
    if carried is None:
        carried = [each for each in audit["findings"] if each["severity"] != "info"]
    return sum(each["state"] != "accepted" for each in carried)
