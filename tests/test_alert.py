"""Who is told what, and when: the state of a channel, and real messages to real endpoints."""

import csv
import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exactcopy.alert import Told, channels, exposition, tell, telling
from exactcopy.changes import Change, Item, Kind, Standing, standing
from exactcopy.checks import finding_id
from exactcopy.config import load_config
from exactcopy.errors import RunLocked
from exactcopy.model import Severity
from exactcopy.records import alerts
from tests.clinic import ROOT, Clinic, audit_at
from tests.endpoints import Received, mail, web
from tests.test_drift import drift_at

NOW = datetime(2026, 3, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)

# --- what a channel hears ----------------------------------------------------------------------------------------

NAMES = ("F-1", "F-2", "N-3")
items = st.builds(
    Item,
    id=st.just(""),
    severity=st.sampled_from([Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM]),
    count=st.integers(1, 4),
    title=st.just("a gap"),
    accepted=st.booleans(),
)


@st.composite
def standings(draw: st.DrawFn) -> Standing:
    """One run: what stands open, and which of the rest was asked again."""
    found = {name: draw(items) for name in NAMES if draw(st.booleans())}
    asked = frozenset(name for name in NAMES if name in found or draw(st.booleans()))
    return Standing(
        items={name: Item(**{**_fields(item), "id": name}) for name, item in found.items()},
        asked=asked,
        answered=asked,
        examined=draw(st.booleans()),
    )


def _fields(item: Item) -> dict[str, Any]:
    return {name: getattr(item, name) for name in ("severity", "count", "title", "accepted")}


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(standings(), st.integers(1, 5), st.booleans()), max_size=15))
def test_nothing_worse_goes_untold_and_nothing_is_told_twice_within_the_span(
    runs: list[tuple[Standing, int, bool]],
) -> None:
    told: dict[str, Told] = {}
    heard: dict[str, tuple[Item, datetime]] = {}
    quiet: set[str] = set()
    moment = NOW
    for now, days, arrives in runs:
        moment += days * DAY
        said, after = tell(told, now, moment, WEEK)
        assert len({change.item.id for change in said}) == len(said), "one thing is said of each"
        if said and not arrives:
            # Nobody heard it: the next run knows no more than this one.
            continue
        told = after
        for change in said:
            before = heard.pop(change.item.id, None)
            if change.kind in (Kind.RESOLVED, Kind.DROPPED):
                assert before is not None
                assert change.item.id not in now.items
                continue
            assert not change.item.accepted
            if before is not None:
                again = change.item.worse_than(before[0]) or change.item.id in quiet
                assert again or moment - before[1] >= WEEK
                if change.kind is Kind.WORSE:
                    heard[change.item.id] = (_worst(before[0], change.item), moment)
                    continue
            heard[change.item.id] = (change.item, moment)
        for name, item in now.items.items():
            if item.accepted:
                quiet.add(name)
            else:
                quiet.discard(name)
                assert not item.worse_than(heard[name][0])
                assert moment - heard[name][1] < WEEK
        for name in {*heard, *quiet} - now.items.keys():
            if now.outcome(Item(id=name, severity=Severity.HIGH, count=1, title="")):
                assert name not in heard or name in quiet, "what was resolved is told"
                heard.pop(name, None)
                quiet.discard(name)
        json.dumps([str(change.kind) for change in said])


def _worst(one: Item, other: Item) -> Item:
    severity = min(one.severity, other.severity, key=lambda each: each.rank)
    return Item(id=one.id, severity=severity, count=max(one.count, other.count), title=one.title)


def test_what_is_no_longer_asked_is_said_to_be_so_by_an_audit_only() -> None:
    gap = Item(id="F-1", severity=Severity.HIGH, count=2, title="2 studies missing on nas")
    told = {"F-1": Told(item=gap, at=NOW)}
    part, whole = Standing(items={}, examined=True), Standing(items={}, examined=True, whole=True)
    assert tell(told, part, NOW + DAY, WEEK) == ([], told)
    assert tell(told, whole, NOW + DAY, WEEK) == ([Change(kind=Kind.DROPPED, item=gap)], {})


def test_what_was_not_examined_stands_open_once() -> None:
    hidden = {"target": "nas", "reason": "parts_unreadable", "text": "nas: parts of it could not be read"}
    said: dict[str, Any] = {"findings": [], "checks": [], "complete": False, "not_examined": [hidden]}
    assert [item.title for item in standing(said).items.values()] == ["nas: parts of it could not be read"]
    assert [item.title for item in standing({**said, "not_examined": []}).items.values()] == [
        "Not everything could be examined"
    ]


@pytest.fixture(scope="module", autouse=True)
def _no_thread_stays() -> Iterator[None]:
    """End what apprise sends in: beside its thread no later test's pool would be forked."""
    yield
    apprise: Any = sys.modules.get("apprise.apprise")
    if apprise and apprise._shared_executor:
        apprise._shared_executor.shutdown()
        apprise._shared_executor = None


# --- real messages ---------------------------------------------------------------------------------------------


@pytest.fixture
def received() -> Iterator[Received]:
    """A web server that takes webhooks and pings."""
    with web() as server:
        yield server


def configured(clinic: Clinic, received: Received, monkeypatch: pytest.MonkeyPatch, *more: str) -> Path:
    """Have the clinic tell its web hook, its ping server, and more channels."""
    monkeypatch.setenv("HOOK_URL", f"json://127.0.0.1:{received.port}/hook")
    notify = json.dumps(["env:HOOK_URL", *more])
    ping = f"http://127.0.0.1:{received.port}/ping/1234"
    clinic.settings = f'[alert]\nnotify = {notify}\nping = "{ping}"\nmetrics = "metrics/exactcopy.prom"\nremind = "7d"'
    (clinic.root / "metrics").mkdir(exist_ok=True)
    return clinic.configure()


@pytest.mark.usefixtures("lean", "ready_worker")
def test_thirty_days_tell_what_changed_and_nothing_else(
    tmp_path: Path, received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(studies=3, instances=2)
    config = configured(clinic, received, monkeypatch)
    warned: list[str] = []
    heard: dict[int, list[str]] = {}
    everything = ""

    def lose(*studies: int) -> None:
        for study in studies:
            clinic.path("nas", study, 0).unlink()

    def mend(study: int) -> None:
        shutil.copy2(clinic.path("pacs", study, 0), clinic.path("nas", study, 0))

    def accept() -> None:
        missing = finding_id("backup-is-complete", "nas")
        with (clinic.record() / "gaps.csv").open() as file:
            row = next(row for row in csv.DictReader(file) if missing in row.values())
        until = (NOW + 20 * DAY).date()
        clinic.root.joinpath("decisions.toml").write_text(
            f'[[accept]]\nfinding = "{missing}"\nlabels = ["{row["label"]}"]\nreason = "Made again next week."\n'
            f'by = "Dana Reyes"\ntitle = "Security official"\non = {(NOW + 12 * DAY).date()}\nexpires = {until}\n'
        )

    days = {
        2: lambda: lose(0),
        4: lambda: lose(1),
        9: lambda: mend(0),
        13: accept,
        15: lambda: lose(2),
        16: lambda: mend(2),
        23: clinic.mirror,
        25: lambda: (clinic.root / "nas").rename(clinic.root / "away"),
        26: lambda: (clinic.root / "away").rename(clinic.root / "nas"),
    }
    for day in range(31):
        days.get(day, lambda: None)()
        now = NOW + day * DAY
        received.hooks.clear()
        run, name = (audit_at, "audit") if day in (0, 12) else (drift_at, "drift")
        with telling(config, name, now, warned.append) as told:
            told(run(clinic, now))
        if received.hooks:
            [(title, body)] = received.hooks
            heard[day], everything = changes_of(body), f"{everything}{title}\n{body}\n"
    nowhere, nas = "of pacs without an exact copy anywhere", "incomplete or missing on nas"
    disks = "nas shares a disk with pacs", "The records share a disk with pacs"
    review = "The last report was not reviewed"
    assert heard == {
        0: [f"new: {disk}" for disk in disks],
        2: [f"new: 1 image {nowhere}", f"new: 1 study is {nas}"],
        4: [f"worse: 2 images {nowhere}", f"worse: 2 studies are {nas}"],
        7: [f"still open: {disk}" for disk in disks],
        # Study 0 was mended on day 9: that is no news, and then what is left is told.
        11: [f"still open: 1 image {nowhere}", f"still open: 1 study is {nas}"],
        # The audit: what it found for the second time weighs more.
        12: [f"new: {review}", *(f"worse: {disk}" for disk in disks)],
        # What was accepted on day 13 is quiet for as long as it stays what it was, and until it expires.
        15: [f"worse: 2 images {nowhere}", f"open again: 2 studies are {nas}"],
        19: [*(f"still open: {disk}" for disk in disks), f"still open: {review}"],
        21: [f"open again: 1 study is {nas}"],
        22: [f"still open: 1 image {nowhere}"],
        23: [f"resolved: 1 image {nowhere}", f"resolved: 1 study is {nas}"],
        # What a backup that is away cannot answer is neither new nor resolved.
        25: ["new: nas could not be examined"],
        26: [
            "resolved: nas could not be examined",
            *(f"still open: {disk}" for disk in disks),
            f"still open: {review}",
        ],
    }
    assert warned == []
    assert len(received.pings) == 62
    assert ("/ping/1234/fail", "exactcopy drift: exit 3") in received.pings
    for planted in ("SECRET", "Secret", "2.25.", "study 0", ".dcm", str(tmp_path), "E-0"):
        assert planted not in received.everything() + everything
    recorded = json.loads((clinic.record() / "audit.json").read_text())["alerts"]
    assert [entry["at"][:10] for entry in recorded] == [f"2026-03-{1 + day:02}" for day in (0, 2, 4, 7, 11)]
    state = alerts.read(tmp_path / ".exactcopy")
    assert [entry["at"][:10] for entry in state["sent"]] == [f"2026-03-{1 + day}" for day in heard if day > 11]


def changes_of(body: str) -> list[str]:
    """Give what a message says of each thing, without its id."""
    lines, kind = [], ""
    for line in body.splitlines():
        if line.startswith("- "):
            lines.append(f"{kind}: {line[2:].rsplit(' (', 1)[0]}")
        else:
            kind = line.lower()
    return lines


def test_every_channel_hears_of_a_run_by_the_command_line(
    tmp_path: Path, received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic = Clinic(tmp_path, backups=("nas",))
    clinic.fill(studies=1, instances=1)
    with mail() as post:
        secret = tmp_path / "mail address"
        secret.write_text(
            f"mailto://127.0.0.1:{post.port}?from=it@clinic.example&to=dana@clinic.example&mode=insecure\n"
        )
        configured(clinic, received, monkeypatch, f"file:{secret}")
        done = clinic.run("audit")
        assert (done.returncode, "alert" in done.stderr) == (0, False)
        [(subject, text)], [(title, body)] = post.mails, received.hooks
    assert subject == title == "exactcopy, Test Clinic: 2 new"
    assert "pacs on nas: 1 of 1 studies have an exact copy" in text
    assert changes_of(body) == ["new: nas shares a disk with pacs", "new: The records share a disk with pacs"]
    assert received.pings == [("/ping/1234/start", "exactcopy audit began"), ("/ping/1234", "exactcopy audit: exit 0")]
    metrics = tmp_path / "metrics" / "exactcopy.prom"
    assert metrics.stat().st_mode & 0o777 == 0o644
    text = metrics.read_text()
    assert 'exactcopy_run_exit_code{run="audit"} 0\n' in text
    assert 'exactcopy_studies{primary="pacs",backup="nas",state="protected"} 1\n' in text
    # A configuration with a fault, and without a store, still says whom to tell.
    (tmp_path / "exactcopy.toml").write_text(f"{clinic.settings}\nmistake = 1\n")
    done = clinic.run("drift")
    assert done.returncode == 2
    assert changes_of(received.hooks[-1][1]) == [
        "new: exactcopy drift did not run: the configuration, a record or the disk it writes to stopped it (exit 2)"
    ]
    assert received.pings[-1] == ("/ping/1234/fail", "exactcopy drift: exit 2")
    assert "alert: notify 2 was not reached (not_delivered)" in done.stderr, "the mail server is gone"
    assert 'exactcopy_run_exit_code{run="drift"} 2\n' in metrics.read_text()
    assert 'exactcopy_studies{primary="pacs",backup="nas",state="protected"} 1\n' in metrics.read_text()


def run_at(config: Path, now: datetime, ends: BaseException | Mapping[str, Any], warned: list[str]) -> None:
    """Tell of a drift check that ends so."""
    with telling(config, "drift", now, warned.append) as told:
        if isinstance(ends, BaseException):
            raise ends
        told(ends)


FOUND: dict[str, Any] = {
    "complete": True,
    "conclusion": "exceptions noted",
    "not_examined": [],
    "comparisons": [],
    "checks": [{"check": "backup-is-complete", "target": "nas", "status": "exception"}],
    "findings": [
        {
            "id": finding_id("backup-is-complete", "nas"),
            "check": "backup-is-complete",
            "target": "nas",
            "severity": "high",
            "count": 3,
            "title": "3 studies are missing on nas",
            "state": "open",
        }
    ],
}


def test_what_ends_a_run_is_told_once_and_resolved_by_the_next(
    tmp_path: Path, received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(Clinic(tmp_path), received, monkeypatch)
    warned: list[str] = []
    ends: list[BaseException | Mapping[str, Any]] = [
        *(RunLocked("busy"), RunLocked("busy"), ZeroDivisionError("Secretname"), SystemExit(143)),
        FOUND,
    ]
    for day, end in enumerate(ends):
        if isinstance(end, BaseException):
            with pytest.raises(type(end)):
                run_at(config, NOW + day * DAY, end, warned)
        else:
            run_at(config, NOW + day * DAY, end, warned)
    locked, fault = (
        f"exactcopy drift {words}"
        for words in (
            "did not run: another run was still under way (exit 4)",
            "broke off by a fault of the program (exit 70)",
        )
    )
    assert [changes_of(body) for _, body in received.hooks] == [
        [f"new: {locked}"],
        [f"new: {fault}"],
        ["new: 3 studies are missing on nas", f"resolved: {locked}", f"resolved: {fault}"],
    ]
    ends_of = [path.removeprefix("/ping/1234") or "ok" for path, _ in received.pings if "start" not in path]
    assert ends_of == ["/fail", "/fail", "/fail", "/fail", "ok"]
    assert warned == []


def test_what_could_not_be_told_is_a_warning_and_told_by_the_next_run(
    tmp_path: Path, received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(Clinic(tmp_path), received, monkeypatch, "env:NOT_SET", "env:NO_URL")
    monkeypatch.setenv("NO_URL", "nonsense")
    warned: list[str] = []
    received.refuse = True
    run_at(config, NOW, FOUND, warned)
    received.refuse = False
    assert [line.split(". ")[0] for line in warned] == [
        "alert: ping was not reached (answered_500)",
        "alert: ping was not reached (answered_500)",
        "alert: notify 1 was not reached (not_delivered)",
        "alert: notify 2 was not reached (secret_missing)",
        "alert: notify 3 was not reached (not_understood)",
    ]
    run_at(config, NOW + DAY, FOUND, warned)
    assert [changes_of(body) for _, body in received.hooks] == [["new: 3 studies are missing on nas"]]
    run_at(config, NOW + 2 * DAY, FOUND, warned)
    assert len(received.hooks) == 1
    sent = [(entry["channel"], entry["reason"]) for entry in alerts.read(config.parent / ".exactcopy")["sent"]]
    unset = [("notify 2", "secret_missing"), ("notify 3", "not_understood")]
    first = [("ping", "answered_500"), ("notify 1", "not_delivered"), *unset]
    assert sent == [*first, ("notify 1", None), *unset, *unset]


def test_check_says_whether_each_channel_can_be_used_and_sends_a_test_where_that_is_asked(
    tmp_path: Path, received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic = Clinic(tmp_path)
    config = load_config(configured(clinic, received, monkeypatch, "env:NOT_SET"))
    told = list(channels(config, test=False))
    assert [usable for usable, _ in told] == [True, False, True, True]
    assert (received.hooks, received.pings) == ([], [])
    assert [usable for usable, _ in channels(config, test=True)] == [True, False, True, True]
    assert received.hooks[0][0] == "exactcopy, Test Clinic: a test"
    assert received.pings == [("/ping/1234/log", "This is a test of exactcopy. Nothing was examined.")]


def test_without_channels_nothing_is_sent_or_written(tmp_path: Path) -> None:
    config = Clinic(tmp_path).configure()
    run_at(config, NOW, FOUND, [])
    assert not (tmp_path / ".exactcopy").exists()


def test_the_guide_loads_and_names_the_metrics_that_are_written(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    [table] = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    alert = load_config(Clinic(tmp_path, settings=table).configure()).alert
    assert (len(alert.notify), alert.ping) == (2, "env:EXACTCOPY_PING")
    rules, *pipelines = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL))
    assert [list(pipeline) for pipeline in pipelines] == [["name", True, "concurrency", "jobs"], ["drift", "audit"]]
    run = {"ended": 1.0, "whole": 1.0, "code": 0}
    findings = {severity.value: 0 for severity in Severity}
    series = {"runs": {"drift": run}, "complete": 1, "findings": findings, "accepted": 0, "studies": []}
    written = {line.split("{")[0].split()[0] for line in exposition(series) if not line.startswith("#")}
    written |= {line.split()[2] for line in exposition(series) if line.startswith("# TYPE")}
    asked = {name for rule in rules["groups"][0]["rules"] for name in re.findall(r"exactcopy_\w+", rule["expr"])}
    assert asked <= written == set(re.findall(r"^\| `(exactcopy_\w+)`", guide, re.MULTILINE))
