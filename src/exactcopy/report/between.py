"""What happened between the audits: the drift checks, and who was told of what."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from exactcopy.report import words

View = dict[str, Any]

REASONS = {
    "secret_missing": "its address was not set",
    "secret_unusable": "its address was not one line",
    "not_understood": "its address was not understood",
    "not_delivered": "the message was not taken",
    "unreachable": "it did not answer",
    "not_writable": "the file could not be written",
}
_REFUSED = "it answered with an error"
_KINDS = ("new", "worse", "open_again", "resolved", "still_open")
NO_CHECK = "No drift check ran between the audit before and this one: what changed in between shows in this audit only."


def section(audit: Mapping[str, Any], clock: words.Clock) -> View | None:
    """Give what section 6 prints of the time since the audit before; None where there was none, or it kept nothing."""
    drift, sent = audit.get("drift"), audit.get("alerts") or []
    if drift is None or (audit["audit"]["first"] and not sent):
        return None
    channels = dict.fromkeys(each["channel"] for each in sent)
    return {
        "sentences": list(_sentences(drift, audit["audit"]["first"], clock)),
        "rows": [_row(name, [each for each in sent if each["channel"] == name]) for name in channels],
    }


def _sentences(drift: Mapping[str, Any], first: bool, clock: words.Clock) -> Iterable[str]:
    if drift["runs"]:
        begun, ended = clock.day(drift["first"]), clock.day(drift["last"])
        when = f"on {begun}" if begun == ended else f"from {begun} to {ended}"
        checks = words.counted(drift["runs"], "drift checks")
        yield f"{checks} {when}; {drift['changed_runs']:,} found something new, worse or resolved."
        if drift["days_without"]:
            yield f"{words.counted(drift['days_without'], 'days')} since the audit before had none."
    elif not first:
        yield NO_CHECK
    if drift["faults"]:
        yield f"{words.counted(drift['faults'], 'lines')} of their log cannot be read, or do not follow the one before."
    if drift["cut_off"]:
        yield "The last line of their log was cut off while it was written, and counts for nothing."


def _row(name: str, sent: Sequence[Mapping[str, Any]]) -> View:
    failed = dict.fromkeys(REASONS.get(each["reason"], _REFUSED) for each in sent if not each["ok"])
    told = [each["told"] for each in sent if each["ok"] and "told" in each]
    return {
        "name": name,
        "sent": words.number(sum(each["ok"] for each in sent)),
        "failed": words.number(sum(not each["ok"] for each in sent)) + (f": {words.joined(failed)}" if failed else ""),
        "told": [words.number(sum(each.get(kind, 0) for each in told)) for kind in _KINDS],
    }
