"""The files of a report, and that nothing hostile gets through any of them."""

import csv
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from exactcopy.errors import ConfigError, ExactCopyError, RecordError
from exactcopy.report import (
    FORMATS,
    Record,
    formats,
    html,
    load_record,
    render,
    templates,
    write_gaps,
    write_junit,
)
from tests.report import audits

Make = Callable[..., Record]


class Elements(HTMLParser):
    """Notes every tag and attribute, as a browser would see them."""

    def __init__(self, text: str) -> None:
        """Take a page."""
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: dict[str, set[str]] = {}
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data


@pytest.mark.parametrize("name", ["first", "hostile", "large"])
def test_html_is_one_file_without_script_that_loads_nothing(made: Make, name: str) -> None:
    page = html(made(name).view())
    seen = Elements(page)
    assert not seen.tags & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "form",
        "base",
        "image",
        "use",
    }
    assert not any(attribute.startswith("on") for attribute in seen.attributes)
    assert "src" not in seen.attributes
    assert all(href.startswith("#") for href in seen.attributes["href"])
    css = "".join(re.findall(r"<style>(.*?)</style>", page, re.DOTALL))
    assert all(url.startswith(('"data:', "data:")) for url in re.findall(r"url\(([^)]{0,12})", css))
    assert "@import" not in css
    assert "refresh" not in seen.attributes.get("http-equiv", ())
    assert len(page.encode()) < 1_500_000


def test_every_link_has_its_target(made: Make) -> None:
    for name in audits.ALL:
        seen = Elements(html(made(name).view()))
        assert {href[1:] for href in seen.attributes["href"]} <= seen.attributes["id"]


def test_hostile_strings_are_text(made: Make) -> None:
    page = html(made("hostile").view())
    assert audits.HOSTILE in Elements(page).text
    assert "<b>&{{" not in page
    assert "49" not in re.findall(r"&lt;b&gt;&amp;(.{0,8})", page)[0]
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_the_page_holds_what_a_reader_needs(made: Make) -> None:
    text = " ".join(Elements(html(made("first").view())).text.split())
    for words in (
        "RESULT".title(),
        "Exact copies are not complete",
        "Prepared by",
        "Reviewed and certified by",
        "This certifies review, not compliance.",
        "Things to check (not determined)",
        "sha256sum -c manifest-sha256.txt",
        "Tests relating to 164.308(a)(7)(ii)(B):",
        "It is not a certification",
        "restricted/worklist-nas.csv",
    ):
        assert words in text


def test_a_command_is_set_as_code_and_stays_text() -> None:
    assert formats.coded('Say `exactcopy attest "…"`.') == "Say <code>exactcopy attest &#34;…&#34;</code>."
    assert formats.coded("`<b>` and a lone `") == "<code>&lt;b&gt;</code> and a lone `"


def test_a_missing_template_value_is_an_error_and_not_a_blank(made: Make) -> None:
    view = made("tiny").view()
    del view["verdict"]["sentence"]
    with pytest.raises(Exception, match="sentence"):
        html(view)


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "\x00=1", "\u202e=1", "\ufeff=1"])
def test_no_cell_can_become_a_formula(tmp_path: Path, cell: str) -> None:
    write_gaps([{"label": cell, "instances": 3}], tmp_path / "gaps.csv")
    with (tmp_path / "gaps.csv").open(newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert not row["label"].lstrip().startswith(("=", "+", "-", "@"))
    assert row["label"].isprintable()
    assert row["instances"] == "3"


def test_gaps_come_back_as_they_were_written(made: Make) -> None:
    rows = audits.first()[1]
    gaps = made("first").gaps
    assert isinstance(gaps, pd.DataFrame)
    assert list(gaps.columns) == formats.GAP_COLUMNS
    assert gaps["label"].tolist() == [row["label"] for row in rows]
    assert gaps["missing"].tolist() == [row["missing"] for row in rows]
    assert made("sound").gaps is None


def test_a_blank_count_is_none(tmp_path: Path, made: Make) -> None:
    folder = made("tiny").folder
    write_gaps([{"finding": "F-1", "label": "E-0001", "instances": None}], folder / "gaps.csv")
    gaps = load_record(folder).gaps
    assert isinstance(gaps, pd.DataFrame)
    assert gaps[["instances", "missing"]].to_numpy().tolist() == [[0, 0]]


def test_junit(made: Make, tmp_path: Path) -> None:
    audit = made("first").audit
    write_junit(audit, tmp_path / "junit.xml")
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()  # noqa: S314 - our own file
    cases = {(case.get("name"), case.get("classname")): case for case in suite}
    assert len(cases) == len(audit["checks"]) == int(suite.attrib["tests"])
    for check in audit["checks"]:
        children = [child.tag for child in cases[check["check"], check["target"]]]
        assert children == {"no_exception": [], "exception": ["failure"], "not_checked": ["error"]}[check["status"]]
    assert suite.attrib["failures"] == str(sum(each["status"] == "exception" for each in audit["checks"]))
    assert suite.attrib["errors"] == "1"
    assert suite.attrib["skipped"] == "0"
    assert "skipped" not in {child.tag for case in suite for child in case}


def test_junit_of_hostile_strings_is_xml(made: Make, tmp_path: Path) -> None:
    audit = made("hostile").audit
    audit["checks"].append({"check": "x", "target": "nas", "status": "not_checked", "reason": "\x1b[2J<&\x00>"})
    write_junit(audit, tmp_path / "junit.xml")
    errors = ElementTree.parse(tmp_path / "junit.xml").getroot().iter("error")  # noqa: S314 - our own file
    assert [each.get("message") for each in errors][-1] == "[2J<&>"


def test_json_and_csv_are_the_records_own_bytes(made: Make, tmp_path: Path) -> None:
    record = made("first")
    render(record, ["json", "csv", "html", "junit"], tmp_path / "out")
    for name in ("audit.json", "gaps.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (record.folder / name).read_bytes()
    assert (tmp_path / "out" / "report.html").read_text(encoding="utf-8").startswith("\n<!DOCTYPE html>".strip())


def test_an_unknown_format_is_named(made: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Use pdf, html, json, csv, junit"):
        render(made("tiny"), ["docx"], tmp_path)
    assert set(FORMATS) == {"pdf", "html", "json", "csv", "junit"}


def test_a_record_that_cannot_be_read_says_why(tmp_path: Path, made: Make) -> None:
    with pytest.raises(RecordError, match="Name a folder"):
        load_record(tmp_path / "nowhere")
    folder = made("tiny").folder
    with pytest.raises(RecordError, match="schema is 2"):
        made("tiny", schema=2)
    (folder / "audit.json").write_text("{", encoding="utf-8")
    with pytest.raises(RecordError, match="damaged"):
        load_record(folder)


def test_without_pango_the_pdf_names_what_to_install(
    made: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "weasyprint", None)
    with pytest.raises(ExactCopyError, match=r"libpango-1\.0-0 libpangoft2-1\.0-0"):
        render(made("tiny"), ["pdf"], tmp_path)
    assert render(made("tiny"), ["html"], tmp_path)


def test_the_fonts_come_with_their_license() -> None:
    fonts = templates() / "fonts"
    assert {path.suffix for path in fonts.iterdir()} == {".woff2", ".ttf", ".txt", ".md"}
    names = {suffix: {path.stem for path in fonts.glob(f"*{suffix}")} for suffix in (".woff2", ".ttf")}
    assert names[".woff2"] == names[".ttf"]
    assert all("SIL OPEN FONT LICENSE" in path.read_text(encoding="utf-8") for path in fonts.glob("*-OFL.txt"))
