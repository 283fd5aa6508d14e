"""report.html and index.html in a real browser: nothing leaves the page, no script is needed, anybody can read it."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from exactcopy.report import render
from exactcopy.report.index import INDEX, write_index
from tests.report import audits
from tests.report.conftest import record
from tests.report.test_index import entries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, Request, ViewportSize

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
PHONE: "ViewportSize" = {"width": 360, "height": 740}
DESK: "ViewportSize" = {"width": 1280, "height": 900}
# CSS pixels below which nobody reads a line on a phone.
LEAST_TEXT = 11
REPORTS = ("year", "decided", "hostile")

# Text that is too small, drawn text as it is scaled; whether the page itself, not a table in it, is too wide; and
# heads of columns that run into the next.
MEASURE = """least => {
  const found = [];
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide > 0) found.push(`wider than the screen by ${wide} px`);
  for (const cell of document.querySelectorAll("thead th"))
    if (cell.scrollWidth > cell.clientWidth) found.push(`runs out of its column: ${cell.textContent.trim()}`);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest("style, title, script")) continue;
    const svg = element.closest("svg");
    const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
    const size = parseFloat(getComputedStyle(element).fontSize) * scale;
    if (size < least) found.push(`${size.toFixed(1)} px: ${text.slice(0, 40)}`);
  }
  return found;
}"""
VIOLATIONS = """async () => (await axe.run()).violations.map(
  each => `${each.id} (${each.impact}): ${each.nodes.length}, as ${each.nodes[0].html.slice(0, 160)}`)"""


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Give one Chromium for all pages."""
    missing = [name for name, there in (("chromium", CHROMIUM), ("axe-core", AXE.exists())) if not there]
    if missing:
        pytest.skip(f"{' and '.join(missing)} missing; script/test installs what it can")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield chromium
        chromium.close()


def listen(page: "Page", address: str, found: list[str]) -> None:
    """Note what a page asks for beside itself, and what it says on the console."""

    def asked(request: "Request") -> None:
        if request.url != address and not request.url.startswith("data:"):
            found.append(f"asks for {request.url[:80]}")

    page.on("request", asked)
    page.on("console", lambda said: found.append(f"console: {said.text}"))
    page.on("pageerror", lambda error: found.append(f"error: {error}"))


def faults(browser: "Browser", path: Path) -> list[str]:
    """Give everything that is wrong with a page, on a desk and, in the dark, on a phone; and there without script."""
    found: list[str] = []
    said: list[str] = []
    for screen, script in ((DESK, True), (PHONE, True), (PHONE, False)):
        context = browser.new_context(
            viewport=screen, color_scheme="dark" if screen is PHONE else "light", java_script_enabled=script
        )
        page = context.new_page()
        listen(page, path.as_uri(), found)
        page.goto(path.as_uri())
        if script:
            page.evaluate(AXE.read_text(encoding="utf-8"))
            found += [f"{screen['width']} px, axe: {each}" for each in page.evaluate(VIOLATIONS)]
            found += [f"{screen['width']} px: {each}" for each in page.evaluate(MEASURE, LEAST_TEXT)]
        said.append(page.inner_text("body"))
        context.close()
    return found if said[1] == said[2] else [*found, "without script it says something else"]


def test_nothing_is_wrong_with_any_page(browser: "Browser", tmp_path: Path) -> None:
    write_index("Riverside Imaging", "America/Chicago", entries(), tmp_path, datetime(2026, 11, 24, 8, tzinfo=UTC))
    pages = [tmp_path / INDEX]
    for name in REPORTS:
        folder = tmp_path / name
        pages += render(record(folder, audits.ALL[name]()), ["html"], folder)
    assert {path.parent.name: found for path in pages if (found := faults(browser, path))} == {}


def test_what_is_wrong_with_a_page_is_found(browser: "Browser", tmp_path: Path) -> None:
    page = tmp_path / "wrong.html"
    page.write_text(
        '<!DOCTYPE html><title>x</title><body style="width: 700px"><p style="font-size: 7px">small</p>'
        '<img src="nowhere.png"><script>document.body.append("script"); console.log("said"); nothing()</script>'
    )
    found = " ".join(faults(browser, page))
    for fault in (
        "asks for file://",
        "console: said",
        "error: nothing is not defined",
        "360 px, axe: image-alt",
        "axe: html-has-lang",
        "360 px: wider than the screen by",
        "7.0 px: small",
        "without script it says something else",
    ):
        assert fault in found
