"""The files of a report: HTML, CSV, JUnit XML. The PDF is made of the same HTML."""

import base64
import csv
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jinja2
from markupsafe import Markup, escape

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
    return styled("report", view, font)


def styled(name: str, view: Mapping[str, Any], font: str = "woff2") -> str:
    """Give the page `name` with its own style sheet inside."""
    return _environment().get_template(f"{name}.html").render(view, css=_css(name, font))


@cache
def _environment() -> jinja2.Environment:
    """Give what compiles the templates: once for all formats."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates()),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["coded"] = coded
    return environment


def coded(text: str) -> Markup:
    """Give `text` as HTML, in the type of code what stands between backticks: commands, keys of the configuration."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


@cache
def _css(name: str, font: str) -> Markup:
    """Give a style sheet with its fonts and icons inside; nothing in it comes from a record."""
    folder = templates()

    def inlined(match: re.Match[str]) -> str:
        file = folder / match[1]
        data = base64.b64encode(file.read_bytes()).decode("ascii")
        return f'url("data:{MEDIA_TYPES[file.suffix]};base64,{data}")'

    text = (folder / f"{name}.css").read_text(encoding="utf-8").replace(".woff2", f".{font}")
    return Markup(re.sub(r'url\("([^":]+)"\)', inlined, text))  # noqa: S704 - our own file


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
