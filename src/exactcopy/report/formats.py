"""The files of a report: HTML and PDF from one template, CSV, JUnit XML."""

import base64
import csv
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jinja2
from markupsafe import Markup

from exactcopy.errors import ExactCopyError
from exactcopy.records import safe_cell
from exactcopy.report import words

GAP_COLUMNS = [
    "finding",
    "check",
    "severity",
    "target",
    "label",
    "modality",
    "study_year",
    "instances",
    "identical",
    "equivalent",
    "altered",
    "different",
    "missing",
    "pending",
    "unreadable",
    "unverified",
    "unknown",
    "changed_side",
    "elements",
]
MEDIA_TYPES = {".woff2": "font/woff2", ".ttf": "font/ttf", ".svg": "image/svg+xml"}
# WOFF2 is a quarter of the size, and takes a second to unpack for every PDF.
PDF_FONT = "ttf"
PANGO_MISSING = (
    "report.pdf: Pango is missing. Install libpango-1.0-0 libpangoft2-1.0-0 (Debian, Ubuntu), "
    "`brew install pango` (macOS)"
)


def templates() -> Path:
    """Find the templates: in the installed package, or in the source checkout around it."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "report_templates"
    return shipped if shipped.is_dir() else package.parents[1] / "report_templates"


def write_html(view: Mapping[str, Any], path: Path) -> None:
    """Write the report as one HTML file that needs no script and loads nothing."""
    path.write_text(html(view), encoding="utf-8", newline="\n")


def html(view: Mapping[str, Any], font: str = "woff2") -> str:
    """Give the report as HTML; the file for the screen and the PDF are this text with other font files."""
    return _environment().get_template("report.html").render(view, css=_css(font))


@cache
def _environment() -> jinja2.Environment:
    """Give what compiles the templates: once for all formats."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates()),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _css(font: str) -> Markup:
    """Give the style sheet with its fonts and icons inside; nothing in it comes from a record."""
    folder = templates()

    def inlined(match: re.Match[str]) -> str:
        file = folder / match[1]
        data = base64.b64encode(file.read_bytes()).decode("ascii")
        return f'url("data:{MEDIA_TYPES[file.suffix]};base64,{data}")'

    text = (folder / "report.css").read_text(encoding="utf-8").replace(".woff2", f".{font}")
    return Markup(re.sub(r'url\("([^":]+)"\)', inlined, text))  # noqa: S704 - our own file


def pdf_possible() -> None:
    """Raise ExactCopyError, with what to install, where this machine cannot make a PDF."""
    _weasyprint()


def write_pdf(view: Mapping[str, Any], path: Path) -> None:
    """Write the report as a tagged PDF/A-3a; an equal record and equal libraries give equal bytes."""
    weasyprint = _weasyprint()
    identifier = (view["evidence_sha256"] or view["id"])[:32].encode("ascii")
    page = weasyprint.HTML(string=html(view, PDF_FONT), url_fetcher=url_fetcher())
    with _clock_at(view["created"]), warnings.catch_warnings():
        # WeasyPrint leaves its own color profile open.
        warnings.simplefilter("ignore", ResourceWarning)
        page.write_pdf(path, pdf_variant="pdf/a-3a", pdf_identifier=identifier)


def _weasyprint() -> Any:
    # Imported late: it loads Pango, which every other format does without.
    try:
        import weasyprint
    except (OSError, ImportError) as error:
        raise ExactCopyError(PANGO_MISSING) from error
    return weasyprint


def url_fetcher() -> Any:
    """Give a fetcher that opens what is inlined and refuses every file and address."""
    _weasyprint()
    from weasyprint.urls import URLFetcher

    return URLFetcher(allowed_protocols=("data",), allow_redirects=False)


@contextmanager
def _clock_at(stamp: str) -> Iterator[None]:
    """Set SOURCE_DATE_EPOCH, the only clock that font subsets heed, to the audit's own time."""
    before = os.environ.get("SOURCE_DATE_EPOCH")
    os.environ["SOURCE_DATE_EPOCH"] = str(int(words.parse(stamp).timestamp()))
    try:
        yield
    finally:
        if before is None:
            del os.environ["SOURCE_DATE_EPOCH"]
        else:
            os.environ["SOURCE_DATE_EPOCH"] = before


def write_gaps(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write gaps.csv in the order given; no cell can become a formula."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(GAP_COLUMNS)
        for row in rows:
            writer.writerow([safe_cell(row.get(column)) for column in GAP_COLUMNS])


def write_junit(audit: Mapping[str, Any], path: Path) -> None:
    """Write one test case per check and target: an exception fails, what was not checked is an error."""
    checks = words.printable(audit["checks"])
    findings = {(each["check"], each["target"]): each for each in words.printable(audit["findings"])}
    suite = ElementTree.Element("testsuite", name="exactcopy", timestamp=audit["audit"]["started"])
    counts = {"exception": 0, "not_checked": 0}
    for each in checks:
        case = ElementTree.SubElement(suite, "testcase", classname=each["target"], name=each["check"])
        if each["status"] in counts:
            counts[each["status"]] += 1
            _outcome(case, each, findings.get((each["check"], each["target"])))
    suite.attrib |= {
        "tests": str(len(checks)),
        "failures": str(counts["exception"]),
        "errors": str(counts["not_checked"]),
        "skipped": "0",
    }
    tree = ElementTree.ElementTree(suite)
    ElementTree.indent(tree)
    tree.write(path, encoding="utf-8", xml_declaration=True)


def _outcome(case: ElementTree.Element, check: Mapping[str, Any], finding: Mapping[str, Any] | None) -> None:
    if check["status"] == "not_checked":
        ElementTree.SubElement(case, "error", type="not checked", message=check["reason"] or "not checked")
        return
    message = finding["title"] if finding else "exception"
    failure = ElementTree.SubElement(case, "failure", type="exception", message=message)
    if finding:
        failure.text = f"{finding['id']} ({finding['severity']}): {finding['message']}"
