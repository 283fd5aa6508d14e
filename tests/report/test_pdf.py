"""The PDF: pages, fonts, tags, paper, attachments, standards, and that the same record gives the same bytes."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pypdf
import pytest
from typer.testing import CliRunner

from exactcopy.cli import app
from exactcopy.config import load_config
from exactcopy.errors import ExactCopyError
from exactcopy.report import Record, html, render, view
from exactcopy.report.formats import GAP_COLUMNS
from exactcopy.report.pdf import pdf_possible, url_fetcher
from exactcopy.seal import open_key, seal
from tests.clinic import Clinic
from tests.report import audits, verapdf
from tests.report.conftest import record
from tests.time_stamps import time_stamps

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
def first_pdf(first: Record, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The PDF of the first audit: Letter, with gaps."""
    return render(first, ["pdf"], tmp_path_factory.mktemp("pdf"))[0]


@pytest.fixture(scope="module")
def printed(first_pdf: Path) -> Iterator[pypdf.PdfReader]:
    """The PDF of the first audit, opened."""
    with first_pdf.open("rb") as file:
        yield pypdf.PdfReader(file)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The smallest record: A4, without a gap."""
    return record(tmp_path_factory.mktemp("tiny"), audits.tiny(), paper="a4", controls=[])


@pytest.fixture(scope="module")
def tiny_pdf(tiny: Record, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The PDF of the smallest record."""
    return render(tiny, ["pdf"], tmp_path_factory.mktemp("pdf"))[0]


def printed_by(*command: str | Path) -> str:
    """Give what a command prints, which must succeed."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


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
    said: bytes = root["/Metadata"].get_data()
    assert re.search(rb"pdfaid:part[>=\"]+3", said)
    assert re.search(rb"pdfaid:conformance[>=\"]+A", said)
    assert re.search(rb"pdfuaid:part[>=\"]+1", said)
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


def test_every_header_says_what_it_heads(printed: pypdf.PdfReader) -> None:
    size: Any = printed.trailer["/Size"]
    found: list[Any] = [printed.get_object(number) for number in range(1, size)]
    elements = [each for each in found if isinstance(each, dict) and "/S" in each]
    heads: dict[str, list[Any]] = {tag: [each for each in elements if each["/S"] == tag] for tag in ("/TH", "/TD")}
    for header in heads["/TH"]:
        section = header["/P"]["/P"]["/S"]
        assert header["/A"]["/Scope"] == {"/THead": "/Column", "/TBody": "/Row"}[section]
    # A reader of a cell hears its column and its row.
    names = {header["/ID"]: header["/A"]["/Scope"] for header in heads["/TH"]}
    scopes = [[names[name] for name in cell["/A"].get("/Headers", [])] for cell in heads["/TD"]]
    assert all("/Row" in each for each in scopes)
    assert ["/Row", "/Column"] in scopes


def test_the_records_files_are_inside_with_the_hashes_that_it_prints(
    first: Record, first_pdf: Path, printed: pypdf.PdfReader, tmp_path: Path
) -> None:
    listed = printed_by("pdfdetach", "-list", first_pdf).split("\n", 1)[1].split()
    assert listed == ["1:", "audit.json", "2:", "gaps.csv"]
    printed_by("pdfdetach", "-saveall", "-o", tmp_path, first_pdf)
    text = "".join(page.extract_text() for page in printed.pages)
    for name in ("audit.json", "gaps.csv"):
        data = (tmp_path / name).read_bytes()
        assert data == (first.folder / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() in "".join(text.split())
    root: Any = printed.trailer["/Root"]
    assert [(each["/UF"], each["/AFRelationship"]) for each in root["/AF"]] == [
        ("audit.json", "/Data"),
        ("gaps.csv", "/Data"),
    ]


def test_its_syntax_is_sound_and_every_font_is_inside(first_pdf: Path) -> None:
    assert "No syntax or stream encoding errors found" in printed_by("qpdf", "--check", first_pdf)
    head, _, *fonts = printed_by("pdffonts", first_pdf).splitlines()
    column = head.index("emb")
    assert fonts
    assert {line[column : column + 11].split()[0] for line in fonts} == {"yes"}


def test_two_renders_are_equal_bytes(
    tiny: Record, tiny_pdf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    [again] = render(tiny, ["pdf"], tmp_path)
    assert again.read_bytes() == tiny_pdf.read_bytes()
    assert os.environ["SOURCE_DATE_EPOCH"] == "1"
    pages = pypdf.PdfReader(again).pages
    assert (round(pages[0].mediabox.width), round(pages[0].mediabox.height)) == A4
    assert "No exceptions noted" in words_of(pages[0])


def test_verapdf_finds_nothing_against_either_standard(first_pdf: Path, tiny_pdf: Path, tmp_path: Path) -> None:
    if missing := verapdf.missing():
        pytest.skip(f"veraPDF: {missing} is missing; script/test installs it")
    drawn = {"history": audits.year()[0]["history"]} | {
        key: audits.decided()[0][key] for key in ("decisions", "corrective_actions", "resolved")
    }
    many = record(tmp_path / "many", audits.large(gap=60, findings=6, backups=3), paper="a4", controls=[], **drawn)
    [many_pdf] = render(many, ["pdf"], tmp_path / "a4, gaps")
    bare = record(tmp_path / "bare", audits.tiny(), controls=[])
    out = tmp_path / "letter, no gaps"
    done = CliRunner().invoke(
        app, ["report", str(bare.folder), "--format", "pdf", "--no-attachments", "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    bare_pdf = out / "report.pdf"
    assert not pypdf.PdfReader(bare_pdf).attachments
    # What breaks both shows that the validator looks.
    blank_pdf = tmp_path / "blank.pdf"
    writer = pypdf.PdfWriter()
    writer.add_blank_page(*A4)
    writer.write(blank_pdf)
    # As an audit leaves them: Letter and A4, with gaps and without, sealed.
    config = load_config(Clinic(tmp_path / "clinic", backups=("nas",)).configure())
    sealed = []
    with time_stamps(tmp_path / "tsa") as service:
        for number, path in enumerate((first_pdf, tiny_pdf, many_pdf, bare_pdf)):
            sealed.append(Path(shutil.copy(path, tmp_path / f"{number}.pdf")))
            assert seal(sealed[-1], open_key(config), service if path == tiny_pdf else None) is None
    for path in sealed:
        # A second opinion, by other hands.
        assert "PASS" in printed_by(str(Path(sys.executable).with_name("pdfua")), "check", path)
    broken = verapdf.broken([*sealed, blank_pdf])
    assert all(broken.pop((blank_pdf, standard)) for standard in verapdf.STANDARDS)
    assert broken == {(path, standard): "" for path in sealed for standard in verapdf.STANDARDS}


def crowded() -> tuple[audits.Audit, audits.Rows]:
    """Six backups, six actions, a first audit, three stores that were not examined."""
    audit, rows = audits.large(studies=48_217, gap=412)
    audit["audit"]["first"] = True
    audit["not_examined"] = [
        {"target": "x", "reason": "missing", "text": "cloud-archive-us-west: its folder was not there"}
    ] * 3
    return audit, rows


def decided_by_many() -> tuple[audits.Audit, audits.Rows]:
    """The crowded audit, with as many new decisions as page one lists, by people of long names."""
    audit, rows = crowded()
    name = "Maximiliane Featherstonehaugh-Wolfeschlegelstein-Hausenbergerdorff"
    audit["decisions"] = [audits.listed("accept", "F-78e9f662, 1,412 studies", "x", by=name, title=name)] * 4
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
        (decided_by_many, "letter"),
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


def many_primaries() -> tuple[audits.Audit, audits.Rows]:
    """A backup of more primaries than a page holds, and one of few."""
    audit, rows = audits.clouds()
    first, second, _ = audit["comparisons"]
    audit["comparisons"] = [*(first | {"primary": f"pacs-{number}"} for number in range(24)), second]
    return audit, rows


@pytest.mark.parametrize("made", [audits.clouds, audits.first, many_primaries])
def test_no_row_is_alone_where_a_page_ends(made: Callable[[], tuple[audits.Audit, audits.Rows]]) -> None:
    audit, rows = made()
    page = html(view(audit, pd.DataFrame(rows, columns=GAP_COLUMNS), {"audit.json": "a" * 64}))
    head, table = page[: page.index("<main>")], page[page.index("<h3>1.3") : page.index("<h3>1.4")]
    number = count()
    table = re.sub("<(tr|h3)(?=[ >])", lambda tag: f'{tag[0]} id="{next(number)}-ABOVE"', table)
    # The row of a backup's name is the first of those below it.
    groups = [re.findall('id="([0-9]+-ABOVE)"', group) for group in table.split("<tbody")[1:]]
    heights = [str(points) for points in range(400, 640, 24)]
    tables = [
        f'<section class="page-start"><div style="height: {above}pt"></div>{table.replace("ABOVE", above)}</section>'
        for above in heights
    ]
    import weasyprint

    document = weasyprint.HTML(string=head + "".join(tables), url_fetcher=url_fetcher()).render()
    pages = [set(each.anchors) for each in document.pages]
    for above in heights:
        for group in groups:
            rows_of = {row.replace("ABOVE", above) for row in group}
            assert all(len(rows_of & each) != 1 for each in pages), above
        heading_and_name = {f"0-{above}", groups[0][0].replace("ABOVE", above)}
        assert any(heading_and_name <= each for each in pages), above


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://x.example/", "https://x.example/", "ftp://x.example/"])
def test_the_fetcher_opens_no_file_and_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="disallowed"):
        url_fetcher().fetch(url)
