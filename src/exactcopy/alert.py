"""Tell people what changed: messages by apprise, a ping of each run, a file of metrics.

Every word is ours, a count, or the name of a store. Nothing that goes wrong here changes what a run ends with.
"""

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from exactcopy.changes import Change, Item, Kind, Standing, result, standing
from exactcopy.config import STATE, Alert, Config, load_alert
from exactcopy.errors import EXCEPTIONS, FAULT, LOCKED, USAGE, StoreUnavailable, exit_code
from exactcopy.model import Severity
from exactcopy.records import alerts
from exactcopy.stores.secrets import resolve

# Seconds to connect, and to wait for an answer; of a whole message, all servers of a channel together.
_TIMEOUTS = (4, 10)
_LONGEST = 60
_RUNS = {"audit": "Audit", "drift": "Drift check"}
_FAILED = {
    USAGE: "did not run: the configuration, a record or the disk it writes to stopped it",
    LOCKED: "did not run: another run was still under way",
    FAULT: "broke off by a fault of the program",
}
_WHY = {
    "secret_missing": "refers to a variable or file that is missing or empty: set it for the account that audits",
    "secret_unusable": "refers to what is no single line: write the address alone into it",
    "not_understood": "refers to no address that apprise knows: write it as its documentation shows",
    "not_delivered": "did not take the message: look at its address, its rights and the network",
    "unreachable": "was not reached: look at its address and the network",
}
_STATES = ("total", "protected", "gap", "pending", "not_checked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a channel was told of an item, at its worst since it was last told as it was, and when that was."""

    item: Item
    at: datetime


def tell(
    told: Mapping[str, Told], now: Standing, moment: datetime, remind: timedelta
) -> tuple[list[Change], dict[str, Told]]:
    """Return what a channel has to hear that was told `told`, and what it has been told then.

    New, worse, open again, resolved; and what stays open, when it was last told of `remind` ago. What was accepted is
    quiet until it no longer is. What cannot be asked today stays open.
    """
    said: list[Change] = []
    after: dict[str, Told] = {}
    for item in now.items.values():
        kind = _kind(told.get(item.id), item, moment, remind)
        if kind:
            said.append(Change(kind=kind, item=item))
        after[item.id] = _after(told.get(item.id), item, moment, kind)
    for name, before in told.items():
        if name in now.items:
            continue
        kind = now.outcome(before.item)
        if kind is None:
            after[name] = before
            if not before.item.accepted and moment - before.at >= remind:
                said.append(Change(kind=Kind.REMINDER, item=before.item))
                after[name] = replace(before, at=moment)
        elif not before.item.accepted:
            said.append(Change(kind=kind, item=before.item))
    return sorted(said, key=_order), after


def _kind(before: Told | None, item: Item, moment: datetime, remind: timedelta) -> Kind | None:
    if item.accepted:
        return None
    if before is None:
        return Kind.NEW
    if before.item.accepted:
        return Kind.REOPENED
    if item.worse_than(before.item):
        return Kind.WORSE
    return Kind.REMINDER if moment - before.at >= remind else None


def _after(before: Told | None, item: Item, moment: datetime, kind: Kind | None) -> Told:
    if before is None or kind in (Kind.REOPENED, Kind.REMINDER):
        return Told(item=item, at=moment)
    # Who was told of five hears nothing of four, nor of five again the day after.
    worst = min(item.severity, before.item.severity, key=lambda severity: severity.rank)
    worst_item = replace(item, severity=worst, count=max(item.count, before.item.count))
    return Told(item=worst_item, at=moment if kind else before.at)


def _order(change: Change) -> tuple[int, int, str]:
    return list(Kind).index(change.kind), change.item.severity.rank, change.item.id


# --- a run, from its beginning to its end ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One run of a command, whom to tell of it, and where that is remembered."""

    name: str
    now: datetime
    facility: str
    settings: Alert
    state: Path
    warn: Callable[[str], None]


@contextmanager
def telling(
    config: Path, name: str, now: datetime, warn: Callable[[str], None]
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Tell that a run of the command `name` began, and what came of it, whatever ends it.

    Gives what takes the result: an audit.json, or what a drift check says. `warn` hears what could not be told.
    """
    facility, settings = load_alert(config)
    state = Path(os.path.abspath(config)).parent / STATE
    run = _Run(name=name, now=now, facility=facility, settings=settings, state=state, warn=warn)
    if settings == Alert(remind=settings.remind):
        yield lambda said: None
        return
    _ping(run, "/start", f"exactcopy {name} began")
    found: list[Mapping[str, Any]] = []
    code = FAULT
    try:
        yield found.append
        code = result(found[0])
    except BaseException as error:
        code = exit_code(error)
        raise
    finally:
        try:
            _end(run, found[0] if found else None, code)
        except Exception as error:  # noqa: BLE001 - what cannot be told never changes what a run ends with
            warn(f"alert: it could not be told what changed ({type(error).__name__}). The next run tries again.")


def _end(run: _Run, said: Mapping[str, Any] | None, code: int) -> None:
    # Whoever stopped a run knows; a computer that shuts down does not wait.
    stopped = code >= 128
    failures = [] if code in (0, EXCEPTIONS) else ["/fail"]
    sent = list(filter(None, [_ping(run, "".join(failures), f"exactcopy {run.name}: exit {code}")]))
    if stopped:
        return
    with alerts.alone(run.state):
        known = alerts.read(run.state)
        now = _standing(run.name, said, code)
        channels = {}
        for number, reference in enumerate(run.settings.notify, start=1):
            told = {name: _told(each) for name, each in known["channels"].get(reference, {}).items()}
            changed, after = tell(told, now, run.now, run.settings.remind)
            if changed:
                entry = _notify(run, number, reference, said, changed)
                sent.append(entry)
                # What did not arrive is told by the next run.
                after = after if entry["ok"] else told
            channels[reference] = {name: _plain(each) for name, each in after.items()}
        series = _metrics(known["metrics"], run, said, code)
        sent += filter(None, [_write_metrics(run, series)])
        # What the record that was just sealed holds is not told again in the next.
        recorded = (said or {}).get("alerts", [])
        earlier = [each for each in known["sent"] if each not in recorded]
        alerts.write(run.state, {"channels": channels, "sent": [*earlier, *sent], "metrics": series})


def _standing(name: str, said: Mapping[str, Any] | None, code: int) -> Standing:
    """Return what stands open after a run; that it failed stands open until one of its kind comes to its end."""
    failures = {failed: f"R-{name}-{failed}" for failed in _FAILED}
    if said is None:
        title = f"exactcopy {name} {_FAILED[code]} (exit {code})"
        item = Item(id=failures[code], severity=Severity.HIGH, count=1, title=title)
        return Standing(items={item.id: item})
    now = standing(said)
    return replace(now, answered=now.answered | set(failures.values()))


def _told(kept: Mapping[str, Any]) -> Told:
    item = {**kept["item"], "severity": Severity(kept["item"]["severity"])}
    return Told(item=Item(**item), at=datetime.fromisoformat(kept["at"]))


def _plain(told: Told) -> dict[str, Any]:
    return {"item": asdict(told.item), "at": told.at.isoformat()}


# --- messages ---------------------------------------------------------------------------------------------------


def _notify(
    run: _Run, number: int, reference: str, said: Mapping[str, Any] | None, changed: Sequence[Change]
) -> dict[str, Any]:
    """Send one message to one channel; return what the next record says of it."""
    counts = {kind.value.replace(" ", "_"): sum(each.kind is kind for each in changed) for kind in Kind}
    # What was withheld from the record is not told either.
    title = f"exactcopy, {(said or {}).get('facility', run.facility)}: " + ", ".join(
        f"{sum(each.kind is kind for each in changed)} {kind.value}"
        for kind in Kind
        if any(each.kind is kind for each in changed)
    )
    reason = send(reference, title, "\n".join(_body(run, said, changed)), {each.kind for each in changed})
    return _entry(run, f"notify {number}", reason) | {"told": counts}


def _body(run: _Run, said: Mapping[str, Any] | None, changed: Sequence[Change]) -> Iterator[str]:
    yield f"{_RUNS[run.name]} of {run.now.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    for row in (said or {}).get("comparisons", ()):
        studies = row["studies"]
        yield (
            f"{row['primary']} on {row['backup']}: {studies['protected']:,} of {studies['total']:,} studies have an"
            " exact copy"
        )
    for kind in Kind:
        items = [each.item for each in changed if each.kind is kind]
        if items:
            yield ""
            yield f"{kind.value[:1].upper()}{kind.value[1:]}"
            yield from (f"- {item.title} ({item.severity}, {item.id})" for item in items)
    yield ""
    if said is None:
        yield "Next: run it by hand on the computer that audits, and read what it says."
    elif "audit" in said:
        yield f"Next: section 1 of the report of record {said['audit']['id']}, or: exactcopy explain FINDING"
    else:
        yield "Next: exactcopy audit writes which studies they are into its worklists."


def send(reference: str, title: str, body: str, kinds: set[Kind]) -> str | None:
    """Send a message to the channel that `reference` names; return a code that says why it did not get there."""
    channel = _channel(reference)
    if isinstance(channel, str):
        return channel
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arrived = channel.notify(title=title, body=body, notify_type=_tone(kinds), body_format="text")
    return None if arrived else "not_delivered"


def _channel(reference: str) -> Any:
    """Return what sends to the channel that `reference` names, or a code that says why nothing does."""
    try:
        url = resolve(reference, "alert")
    except StoreUnavailable as error:
        return error.code
    with warnings.catch_warnings():
        # Some of its plugins rely on what Python is going to drop.
        warnings.simplefilter("ignore")
        import apprise

        # It would write addresses, which hold secrets, to stderr.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        asset = apprise.AppriseAsset(
            app_id="exactcopy", app_desc="exactcopy", app_url="", async_mode=False, service_timeout=_LONGEST
        )
        service = apprise.Apprise.instantiate(url, asset=asset)
    if service is None:
        return "not_understood"
    # Whatever the address says.
    service.verify_certificate = True
    service.socket_connect_timeout, service.socket_read_timeout = _TIMEOUTS
    channel = apprise.Apprise(asset=asset)
    channel.add(service)
    return channel


def channels(config: Config, *, test: bool) -> Iterator[tuple[bool, str]]:
    """Yield of each channel whether it can be used and a sentence; with `test` by a message that says it is a test."""
    settings = config.alert
    body = "This is a test of exactcopy. Nothing was examined."
    for number, reference in enumerate(settings.notify, start=1):
        if test:
            reason = send(reference, f"exactcopy, {config.facility}: a test", body, set())
        else:
            channel = _channel(reference)
            reason = channel if isinstance(channel, str) else None
        done = "was sent a test message" if test else "is understood; --alert sends a test message"
        yield reason is None, f"alert: notify {number} {_WHY.get(reason, reason) if reason else done}."
    if settings.ping is not None:
        reason = ping(settings.ping, "/log", body) if test else _address(settings.ping)[1]
        done = "answered" if test else "is set; --alert tries it"
        yield reason is None, f"alert: the ping {_WHY.get(reason, reason) if reason else done}."
    if settings.metrics is not None:
        writable = os.access(settings.metrics.parent, os.W_OK | os.X_OK)
        said = "can be written" if writable else "cannot be written: make its folder, and let this account write there"
        yield writable, f"alert: the file of metrics {said}."


def _tone(kinds: set[Kind]) -> str:
    if kinds & {Kind.NEW, Kind.WORSE, Kind.REOPENED}:
        return "failure"
    return "warning" if Kind.REMINDER in kinds else "success"


def _entry(run: _Run, channel: str, reason: str | None) -> dict[str, Any]:
    """Return what the next record says of something that was told; warn where it did not get there."""
    if reason:
        run.warn(f"alert: {channel} was not reached ({reason}). The next run tries again; `exactcopy check` says more.")
    return {
        "at": run.now.astimezone(UTC).isoformat(),
        "run": run.name,
        "channel": channel,
        "ok": reason is None,
        "reason": reason,
    }


# --- ping and metrics -------------------------------------------------------------------------------------------


def _ping(run: _Run, suffix: str, body: str) -> dict[str, Any] | None:
    """Ping, where that is asked for; return what the next record says of one that was not received."""
    if run.settings.ping is None:
        return None
    reason = ping(run.settings.ping, suffix, body)
    return _entry(run, "ping", reason) if reason else None


def ping(address: str, suffix: str, body: str) -> str | None:
    """Tell the service at `address`, which may be a reference; return a code that says why it was not received."""
    url, missing = _address(address)
    if missing:
        return missing
    import requests

    try:
        parts = urlsplit(url)
        whole = parts._replace(path=parts.path.rstrip("/") + suffix).geturl()
        answer = requests.post(whole, data=body.encode(), timeout=_TIMEOUTS)
    except (requests.RequestException, ValueError):
        return "unreachable"
    return None if answer.ok else f"answered_{answer.status_code}"


def _address(address: str) -> tuple[str, str | None]:
    """Return the address that is pinged, or a code that says why there is none."""
    try:
        return (resolve(address, "alert") if address.startswith(("env:", "file:")) else address), None
    except StoreUnavailable as error:
        return "", error.code


def _metrics(before: Mapping[str, Any], run: _Run, said: Mapping[str, Any] | None, code: int) -> dict[str, Any]:
    """Return what is measured: of each command its last run, and of the last that came to its end what it found."""
    ended = run.now.timestamp()
    runs = dict(before.get("runs", {}))
    whole = ended if said is not None else runs.get(run.name, {}).get("whole")
    runs[run.name] = {"ended": ended, "whole": whole, "code": code}
    if said is None:
        return {**before, "runs": runs}
    findings = [found for found in said["findings"] if found["severity"] != Severity.INFO]
    return {
        "runs": runs,
        "complete": int(said["complete"]),
        "findings": {
            severity.value: sum(found["severity"] == severity and found["state"] == "open" for found in findings)
            for severity in Severity
            if severity is not Severity.INFO
        },
        "accepted": sum(found["state"] == "accepted" for found in findings),
        "studies": [
            {"primary": row["primary"], "backup": row["backup"], **{state: row["studies"][state] for state in _STATES}}
            for row in said["comparisons"]
        ],
    }


def _write_metrics(run: _Run, series: Mapping[str, Any]) -> dict[str, Any] | None:
    """Write the file for Prometheus' node exporter, whole or not at all, readable for it."""
    path = run.settings.metrics
    if path is None:
        return None
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text("".join(f"{line}\n" for line in exposition(series)), encoding="utf-8")
        partial.chmod(0o644)
        partial.replace(path)
    except OSError:
        return _entry(run, "metrics", "not_writable")
    return None


def exposition(series: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the text format of Prometheus; names of stores need no escapes."""
    runs = series["runs"]
    yield from _gauge(
        "exactcopy_run_timestamp_seconds",
        "When the last run of a command ended.",
        {f'run="{name}"': each["ended"] for name, each in runs.items()},
    )
    yield from _gauge(
        "exactcopy_run_whole_timestamp_seconds",
        "When a run of a command last came to its end with a result.",
        {f'run="{name}"': each["whole"] for name, each in runs.items() if each["whole"] is not None},
    )
    yield from _gauge(
        "exactcopy_run_exit_code",
        "What the last run of a command ended with.",
        {f'run="{name}"': each["code"] for name, each in runs.items()},
    )
    if "studies" not in series:
        return
    yield from _gauge("exactcopy_complete", "1 where all that was planned was examined.", {"": series["complete"]})
    findings = {f'severity="{severity}",state="open"': count for severity, count in series["findings"].items()}
    yield from _gauge("exactcopy_findings", "Open findings.", findings)
    yield from _gauge("exactcopy_findings_accepted", "Findings that somebody accepted.", {"": series["accepted"]})
    studies = {
        f'primary="{row["primary"]}",backup="{row["backup"]}",state="{state}"': row[state]
        for row in series["studies"]
        for state in _STATES
    }
    yield from _gauge("exactcopy_studies", "Studies of a primary by what they are on a backup.", studies)


def _gauge(name: str, words: str, values: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} gauge"
    yield from (f"{name}{{{labels}}} {value}" if labels else f"{name} {value}" for labels, value in values.items())
