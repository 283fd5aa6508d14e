"""The PDF: pages, fonts, tags, paper, and that the same record gives the same bytes."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pypdf
import pytest

from exactcopy.errors import ExactCopyError
from exactcopy.report import Record, html, render, view
from exactcopy.report.formats import GAP_COLUMNS, pdf_possible, url_fetcher
from tests.report import audits
from tests.report.conftest import record

LETTER, A4 = (612, 792), (595, 842)

try:
    pdf_possible()
except ExactCopyError as error:
    # Pango is missing; script/test installs it.
    pytest.skip(str(error), allow_module_level=True)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The record of the first audit."""
    return record(tmp_path_factory.mktemp("first"), audits.first())


@pytest.fixture(scope="module")
def printed(first: Record, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pypdf.PdfReader]:
    """The PDF of the first audit."""
    [path] = render(first, ["pdf"], tmp_path_factory.mktemp("pdf"))
    with path.open("rb") as file:
        yield pypdf.PdfReader(file)


def words_of(page: pypdf.PageObject) -> str:
    """Give a page's text on one line."""
    return " ".join(page.extract_text().split())


def test_page_one_is_whole_and_alone(printed: pypdf.PdfReader) -> None:
    text = words_of(printed.pages[0])
    for words in ("RESULT", "Exact copies are not complete", "Prepared by", "Reviewed and certified by"):
        assert words in text
    assert "This certifies review, not compliance." in text
    assert f"Page 1 of {len(printed.pages)}" in text
    assert words_of(printed.pages[1]).endswith(f"Page 2 of {len(printed.pages)}")
    assert "1 Coverage" in words_of(printed.pages[1])


def test_it_is_tagged_letter_paper_with_its_fonts_inside(printed: pypdf.PdfReader) -> None:
    box = printed.pages[0].mediabox
    assert (round(box.width), round(box.height)) == LETTER
    root: Any = printed.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en-US"
    assert re.search(rb"pdfaid:part[>=\"]+3", root["/Metadata"].get_data())
    pages: list[Any] = list(printed.pages)
    fonts = {font["/BaseFont"]: font for page in pages for font in page["/Resources"]["/Font"].values()}
    assert all("Inter" in name or "JetBrains" in name for name in fonts)
    for font in fonts.values():
        descriptor = font["/DescendantFonts"][0]["/FontDescriptor"]
        assert any(f"/FontFile{number}" in descriptor for number in ("", 2, 3))


def test_its_dates_are_the_audits(printed: pypdf.PdfReader) -> None:
    assert printed.metadata is not None
    assert printed.metadata.creation_date is not None
    assert printed.metadata.creation_date.isoformat().startswith("2026-11-24T06:41:12")


def test_every_section_is_there(printed: pypdf.PdfReader) -> None:
    text = " ".join(words_of(page) for page in printed.pages)
    for heading in (
        "1 Coverage",
        "2 Gaps and what to do",
        "3 Affected studies",
        "4 Scope, method and confidence",
        "5 HIPAA controls",
        "6 Evidence and history",
    ):
        assert heading in text
    outline = [each.title for each in printed.outline if not isinstance(each, list)]
    assert "Exact copies are not complete" in outline


def test_two_renders_are_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = record(tmp_path / "record", audits.tiny(), paper="a4", controls=[])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    once, twice = (render(tiny, ["pdf"], tmp_path / name)[0].read_bytes() for name in ("once", "twice"))
    assert once == twice
    assert os.environ["SOURCE_DATE_EPOCH"] == "1"
    pages = pypdf.PdfReader(tmp_path / "once" / "report.pdf").pages
    assert (round(pages[0].mediabox.width), round(pages[0].mediabox.height)) == A4
    assert "No exceptions noted" in words_of(pages[0])


def crowded() -> tuple[audits.Audit, audits.Rows]:
    """Six backups, six actions, a first audit, three stores that were not examined."""
    audit, rows = audits.large(studies=48_217, gap=412)
    audit["audit"]["first"] = True
    audit["not_examined"] = [
        {"target": "x", "reason": "missing", "text": "cloud-archive-us-west: its folder was not there"}
    ] * 3
    return audit, rows


@pytest.mark.parametrize(
    ("made", "paper"),
    [
        (crowded, "letter"),
        (crowded, "a4"),
        (audits.long_names, "letter"),
        (audits.hostile, "letter"),
        (audits.clouds, "letter"),
        (audits.six, "letter"),
        (audits.six, "a4"),
    ],
)
def test_page_one_stays_one_page(made: Callable[[], tuple[audits.Audit, audits.Rows]], paper: str) -> None:
    audit, rows = made()
    shown = view(audit | {"paper": paper}, pd.DataFrame(rows, columns=GAP_COLUMNS), {"audit.json": "a" * 64})
    page = html(shown)
    # Only page one: the rest takes a minute and is not looked at.
    import weasyprint

    document = weasyprint.HTML(string=page[: page.index("</section>")], url_fetcher=url_fetcher()).render()
    assert len(document.pages) == 1
    assert len(shown["verdict"]["bars"]) + shown["verdict"]["more_bars"] == len(shown["coverage"]["backups"])


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://x.example/", "https://x.example/", "ftp://x.example/"])
def test_the_fetcher_opens_no_file_and_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="disallowed"):
        url_fetcher().fetch(url)
