"""The documentation site as Chromium shows it from its folder: `nox -s docs` builds it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

SITE = Path(__file__).parents[3] / "site"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on PATH"),
    pytest.mark.skipif(not SITE.is_dir(), reason="no site: build it with nox -s docs"),
]

# Code and tables are scrolled within the page.
WIDE = """
const scrolled = 'pre, table, .highlight, .md-typeset__scrollwrap'
async function look() {
  for (const width of [420, 1300]) for (const page of PAGES) {
    const frame = document.createElement('iframe')
    frame.style = `width: ${width}px; height: 900px`
    frame.src = page
    document.body.append(frame)
    await new Promise(loaded => frame.onload = loaded)
    const parts = [...frame.contentDocument.querySelectorAll('.md-content *')]
    const wide = parts.filter(part => !part.closest(scrolled) && part.getBoundingClientRect().right > width + 1)
    if (frame.contentDocument.documentElement.scrollWidth > width || wide.length) console.log('wide', width, page)
    frame.remove()
  }
  document.body.append(`looked at ${PAGES.length}`)
}
look()
"""

SEARCH = """
setTimeout(() => document.querySelector('.md-search__button').click(), 500)
const shown = () => [...document.querySelectorAll('*')].find(part => part.shadowRoot).shadowRoot
setTimeout(() => {
  const field = shown().querySelector('input')
  field.value = 'GradientNorm'
  field.dispatchEvent(new Event('input', { bubbles: true }))
}, 2500)
setTimeout(() => document.body.append(`found: ${shown().textContent}`), 5000)
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SITE, tmp_path / "site"))


def shown(page: Path) -> subprocess.CompletedProcess[str]:
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={page.parent}/profile"]
    files = ["--allow-file-access-from-files", "--virtual-time-budget=120000", "--enable-logging=stderr", "--dump-dom"]
    command = [str(CHROMIUM), *options, *files, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_no_page_is_wider_than_its_window_or_says_something_on_the_console(site: Path) -> None:
    pages = [page.relative_to(site).as_posix() for page in sorted(site.rglob("*.html"))]
    probe = site / "probe.html"
    probe.write_text(f"<!doctype html><body><script>const PAGES = {json.dumps(pages)}\n{WIDE}</script>")
    done = shown(probe)
    assert f"looked at {len(pages)}" in done.stdout
    assert said(done) == []


def test_the_search_finds_a_class_without_a_server(site: Path) -> None:
    page = site / "index.html"
    page.write_text(page.read_text().replace("</body>", f"<script>{SEARCH}</script></body>"))
    done = shown(page)
    assert "GradientNorm" in done.stdout.partition("found: ")[2]
    assert said(done) == []


def test_examples_in_docstrings_are_code() -> None:
    pages = [page.read_text() for page in sorted(SITE.glob("reference/*.html"))]
    assert sum("&gt;&gt;&gt;" in page for page in pages) > 5
    assert not any("<blockquote" in page for page in pages)


def test_the_button_makes_a_light_page_dark(site: Path) -> None:
    page = site / "index.html"
    click = "document.querySelector('label[title=Dark]').click()"
    seen = "document.body.append(`scheme: ${document.body.dataset.mdColorScheme}`)"
    script = f"<script>setTimeout(() => {{ {click} }}, 500); setTimeout(() => {{ {seen} }}, 1500)</script>"
    page.write_text(page.read_text().replace("</body>", f"{script}</body>"))
    done = shown(page)
    assert "scheme: slate" in done.stdout
    assert said(done) == []
