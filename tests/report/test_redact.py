"""A redacted copy names nobody and no place, and bears no day, in any format that it comes in."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pypdf
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from exactcopy.aliases import Aliases
from exactcopy.errors import ConfigError
from exactcopy.report import Record, html, render, words
from exactcopy.report.redaction import in_months, redact_rows
from tests.clinic import environment
from tests.report import audits
from tests.report.conftest import record

Make = Callable[..., Record]
DAY = re.compile(rf"\b\d{{1,2}} (?:{'|'.join(words.MONTHS)})\b|\d{{4}}-\d\d-\d\d|\d\d:\d\d")
NAMED = {
    *("name", "site", "held_by", "synced_to", "restored_from", "volume", "facility", "operator", "security_official"),
    *("it", "owner", "by", "entered_by", "statement", "document", "party", "cause", "rule", "set_by", "reason"),
    "alternative",
}
# Words of ours, and what says nothing.
OURS = {"us", "pacs", "cloud", "missing"}


def configured(value: Any, key: str = "") -> Iterator[str]:
    """Yield every string of a record that comes from the configuration or from people."""
    if isinstance(value, str) and value and key in NAMED:
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from configured(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from configured(each, key)


def text_of(page: str) -> str:
    """Give what a page says, the style sheet left out, and the first of the month that a file bears."""
    return re.sub(r"<style>.*?</style>|content=\"2026-11-01T00:00:00Z\"", "", page, flags=re.DOTALL)


def said(page: str, name: str) -> bool:
    """Say whether a page holds a name as whole words."""
    return re.search(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", page) is not None


@pytest.mark.parametrize("name", ["first", "loss", "incomplete", "clouds", "year", "rotated", "decided", "old"])
def test_no_name_and_no_day_is_left_on_the_pages(made: Make, tmp_path: Path, name: str) -> None:
    record = made(name)
    [path] = render(record, ("html",), tmp_path, redacted=True)
    assert path.name == "report-redacted.html"
    page = text_of(path.read_text(encoding="utf-8"))
    whole = text_of(html(record.view()))
    names = {each for each in configured(record.audit) if each not in OURS}
    assert [each for each in names if said(whole, each)], "the same search finds what the report itself holds"
    assert DAY.search(whole)
    assert not [each for each in names if said(page, each)]
    assert not DAY.findall(page)
    assert "Redacted copy." in page
    assert record.hashes["audit.json"] in page


WORD = st.text("qxz-", min_size=3, max_size=12).map(lambda text: f"q{text}z")


@settings(max_examples=10, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(
    names=st.lists(WORD, min_size=12, max_size=12, unique=True),
    day=st.integers(1, 28),
    short=st.sampled_from(("xz", "zx", "zz")),
)
def test_whatever_things_are_called_it_is_left_out(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], day: int, short: str
) -> None:
    audit, rows = audits.first()
    before = sorted({each for each in configured(audit) if each not in OURS})
    called = dict(zip(before, names, strict=False))
    audit = Aliases(shown=called).applied(audit)
    audit["stores"][0]["site"] = short
    audit["audit"]["started"] = f"2026-11-{day:02}T06:00:00+00:00"
    made = record(tmp_path_factory.mktemp("record"), (audit, Aliases(shown=called).applied(rows)))
    [path] = render(made, ("html",), made.folder, redacted=True)
    page = text_of(path.read_text(encoding="utf-8"))
    assert not [each for each in (*called.values(), short) if said(page, each)]
    assert not DAY.findall(page)


@given(st.dates(date(1900, 1, 1)))
def test_a_day_becomes_its_month_however_it_is_written(moment: date) -> None:
    month = f"{moment:%b} {moment.year}"
    text = f"{moment.day} {month}, 06:04 to 07:15 CST"
    assert in_months({"a": [text, f"{moment.day} {month} and on", "2026-11-24T060000Z, 2026-11-24"]}) == {
        "a": [month, f"{month} and on", "2026-11, 2026-11"]
    }
    assert in_months(f"{moment.isoformat()}T06:00:00+00:00") == f"{moment.year:04}-{moment.month:02}"


def test_few_studies_of_a_modality_and_year_are_not_told_apart() -> None:
    rows = pd.DataFrame(
        {
            "label": [f"E-{number:04}" for number in range(9)],
            "modality": ["CT"] * 5 + ["MG"] * 4,
            "study_year": ["2024"] * 9,
            "target": ["nas"] * 9,
        }
    )
    audit, _ = audits.first()
    hidden = redact_rows(rows, audit)
    assert hidden is not None
    assert hidden["modality"].tolist() == ["CT"] * 5 + [""] * 4
    assert hidden["study_year"].tolist() == ["2024"] * 5 + [""] * 4
    assert set(hidden["target"]) == {"backup 1"}
    assert rows["modality"].tolist()[-1] == "MG", "the record's own rows are as they were"


def test_the_redacted_pdf_carries_nothing_and_says_what_it_is(made: Make, tmp_path: Path) -> None:
    record = made("sound")
    [path] = render(record, ("pdf",), tmp_path, redacted=True)
    pdf = pypdf.PdfReader(path)
    pages = [page.extract_text() for page in pdf.pages]
    everything = "\n".join([*pages, repr(pdf.metadata)])
    assert not pdf.attachments
    assert "Redacted copy." in pages[0]
    assert "This certifies review, not compliance." in pages[0], "all of page one is on it"
    assert not DAY.findall(everything.replace("00:00", ""))
    assert not [each for each in configured(record.audit) if each not in OURS and said(everything, each)]


def test_the_data_itself_is_not_redacted(made: Make, tmp_path: Path) -> None:
    record = made("sound")
    with pytest.raises(ConfigError, match="csv holds what a redacted copy leaves out"):
        render(record, ("html", "csv"), tmp_path / "out", redacted=True)
    assert not (tmp_path / "out").exists()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "exactcopy",
            "report",
            str(record.folder),
            "--redact",
            "--format",
            "html",
            "--out",
            str(tmp_path),
        ],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [str(tmp_path / "report-redacted.html")]
