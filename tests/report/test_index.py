"""The page that lists every audit."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from exactcopy.records.timeline import Entry, State
from exactcopy.report.index import INDEX, write_index
from tests.report import audits

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
AUDITS = ("first", "incomplete", "year", "sound", "loss", "hostile")


def entries() -> list[Entry]:
    """Give an audit of every kind, a month apart, and those that came to no record."""
    found = []
    for back, name in enumerate(reversed(AUDITS)):
        started = NOW - timedelta(days=30 * back, hours=2)
        audit, _ = audits.ALL[name]()
        found.append(Entry(id=f"{started:%Y-%m-%dT%H%M%SZ}", started=started, state=State.FINISHED, audit=audit))
    for back, state in ((15, State.NEVER), (200, State.AWAY)):
        started = NOW - timedelta(days=back)
        found.append(Entry(id=f"{started:%Y-%m-%dT%H%M%SZ}", started=started, state=state))
    return sorted(found, key=lambda entry: entry.started)


def page(folder: Path, *, facility: str = "Riverside Imaging") -> str:
    """Write the page and give it."""
    write_index(facility, "America/Chicago", entries(), folder, NOW)
    return (folder / INDEX).read_text(encoding="utf-8")


def plain(text: str) -> str:
    """Give the text of a page on one line."""
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", text, flags=re.DOTALL).split())


def test_every_audit_is_told_with_its_result_coverage_and_restores(tmp_path: Path) -> None:
    text = plain(page(tmp_path))
    assert "8 audits, the newest first" in text
    assert "25 Sep 2026 01:00 CDT · audit 2026-09-25T060000Z No exceptions noted Exact copies, weakest" in text
    assert "weakest backup 38 of 40 on nas Test restores 76 of 76 restored Findings no finding Left to be done" in text
    assert "Not enough was checked to say Incomplete Exact copies, weakest backup 40 of 40 on nas (1 not ex" in text
    assert "Exact copies are not complete Exceptions noted, incomplete" in text
    assert "Test restores 89 of 91 restored" in text
    assert text.count("Begun, never finished") == 1
    assert text.count("Finished; its record is not in this folder") == 1
    assert "Written 24 Nov 2026, 02:00 CST. This page is a list and no part of a record" in text


def test_it_links_the_reports_that_are_there_and_nothing_else(tmp_path: Path) -> None:
    newest = entries()[-1].id
    (tmp_path / newest).mkdir()
    (tmp_path / newest / "report.html").touch()
    text = page(tmp_path)
    assert re.findall(r'href="([^"]*)"', text) == [f"{newest}/report.html"]
    assert not re.findall(r"<script|https?://(?!www\.w3\.org/)", text)
    assert sorted(path.name for path in tmp_path.iterdir()) == [newest, INDEX]


def test_a_name_from_the_configuration_stays_a_name(tmp_path: Path) -> None:
    text = page(tmp_path, facility=audits.HOSTILE + "\x1b[31m<script>alert(1)</script>")
    assert "<script" not in text
    assert "\x1b" not in text
