"""The site: every public name has a page, links lead somewhere, pictures say what they show, and search finds.

The site is the folder that KEYAPI_SITE names, or is built here if Sphinx and its theme are installed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest
from kernels import CHROMIUM, FLAGS
from test_public import ERRORS, METHOD_SIGNATURES, PANEL, SIGNATURES, WARNINGS

ROOT = Path(__file__).parent.parent
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # the browser's driver leaves its loop to the collector
]
COMPLAINTS = ("error", "warning")  # of the browser's console
# Pages of Sphinx's own, which no reader comes to for what they say.
OF_SPHINX = {"search.html", "genindex.html", "py-modindex.html"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    if folder := os.environ.get("KEYAPI_SITE"):
        return Path(folder)
    for name in ("sphinx", "myst_nb", "pydata_sphinx_theme"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: it comes with the extra docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-b", "html", "docs", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


class Page(HTMLParser):
    """What of a page is checked: its anchors, links and pictures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors |= {value for name in ("id", "name") if (value := found.get(name))}
        if tag == "img":
            self.pictures.append(found)
        for name in ("href", "src"):
            if value := found.get(name):
                self.links.append(value)


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    return {str(path.relative_to(site)): Page(path) for path in site.rglob("*.html") if "_static" not in path.parts}


def test_every_public_name_has_a_page(site: Path) -> None:
    names = [*SIGNATURES, *ERRORS, *WARNINGS, "KeyAPIError", "KeyAPIWarning", "Panel", "Plan"]
    names = [f"keyapi_research.{name}" for name in [*names, "sandbox.Sandbox"]]
    names += [f"df.keyapi.{name}" for name in [*METHOD_SIGNATURES, "plot"]]
    there = {path.stem for path in (site / "api" / "generated").glob("*.html")}
    assert set(names) - there == set()
    panel = (site / "api" / "generated" / "keyapi_research.Panel.html").read_text(encoding="utf-8")
    assert all(f'id="keyapi_research.Panel.{method}"' in panel for method in PANEL)


def test_no_link_within_the_site_is_broken(site: Path, pages: dict[str, Page]) -> None:
    broken = []
    for name, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            path, anchor = urldefrag(unquote(link))
            target = (site / name).parent / path.partition("?")[0] if path else site / name
            inside = os.path.relpath(target.resolve(), site.resolve())
            known = pages[inside].anchors if inside in pages else {anchor}
            if not target.exists() or (anchor and anchor not in known | {"top"}):
                broken.append((name, link))
    assert broken == []
    assert sum(len(page.links) for page in pages.values()) > 5000


def test_nothing_is_loaded_from_elsewhere(pages: dict[str, Page]) -> None:
    loaded = [
        (name, link)
        for name, page in pages.items()
        for link in page.links
        if link.startswith("http") and re.search(r"\.(js|css|png|svg|woff2?)(\?|$)", link)
    ]
    assert loaded == []


def test_every_picture_says_what_it_shows(pages: dict[str, Page]) -> None:
    pictures = [(name, one) for name, page in pages.items() for one in page.pictures]
    assert len(pictures) > 35
    for name, picture in pictures:
        text = picture.get("alt") or ""
        assert len(text) > 10, (name, picture)
        assert not text.endswith((".png", ".svg")), (name, picture)


def test_every_cell_of_the_cookbook_was_run(site: Path) -> None:
    source = (ROOT / "docs" / "cookbook.md").read_text(encoding="utf-8")
    cells = re.findall(r"^```\{code-cell\} python\n(.*?)^```", source, re.DOTALL | re.MULTILINE)
    questions = re.findall(r"^### .*\?$", source, re.MULTILINE)
    assert len(questions) >= 20
    assert len(cells) == len(questions) + 1  # the first connects
    for cell in cells[1:]:
        code = re.sub(r"\A---\n.*?^---\n", "", cell, flags=re.DOTALL | re.MULTILINE)
        assert 1 <= len(code.splitlines()) <= 10, code
    text = (site / "cookbook.html").read_text(encoding="utf-8")
    # Each shows what it returned or printed.
    assert len(re.findall(r'class="cell_output ', text)) == len(cells)
    assert "Traceback" not in text


def test_programs_find_the_pages(site: Path, pages: dict[str, Page]) -> None:
    listed = re.findall(r"\]\(([^)]+\.html)\)", (site / "llms.txt").read_text(encoding="utf-8"))
    assert set(listed) == set(pages) - OF_SPHINX


# In a browser ---------------------------------------------------------------------------------------------------


class Quiet(SimpleHTTPRequestHandler):
    """Serves without a log."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def browse(site: Path) -> Iterator[Any]:
    """Open pages in Chromium; what it complains of is kept."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra slow)")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    complaints: list[str] = []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)

        def open_page(page: str, *, width: int = 1280, theme: str = "light") -> Any:
            tab = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme).new_page()
            tab.on("console", lambda said: said.type in COMPLAINTS and complaints.append(f"{page}: {said.text}"))
            tab.on("pageerror", lambda error: complaints.append(f"{page}: {error}"))
            tab.on("request", lambda sent: sent.url.startswith((address, "data:")) or complaints.append(sent.url))
            tab.goto(address + page, wait_until="load")
            return tab

        open_page.complaints = complaints  # type: ignore[attr-defined]
        yield open_page
        browser.close()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("fetch_hashtags", "keyapi_research.fetch_hashtags"),
        ("budget", "keyapi_research.budget"),
        ("panel", "keyapi_research.panel"),
    ],
)
def test_search_finds_on_top(browse: Any, words: str, title: str) -> None:
    tab = browse(f"search.html?q={words}")
    first = tab.locator("#search-results li a").first
    first.wait_for()
    tab.wait_for_function("document.querySelector('#search-results .search-summary')?.textContent.includes('finished')")
    assert first.inner_text() == title


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_and_nothing_complains(browse: Any, width: int, theme: str) -> None:
    del browse.complaints[:]
    for page in (
        "index.html", "start.html", "guide/money.html", "cookbook.html", "gallery/index.html", "tables/hashtags.html",
        "api/index.html", "api/generated/keyapi_research.fetch_hashtags.html", "endpoints.html", "errors.html",
        "notebooks/07_how_long_does_a_hashtag_live.html", "changes.html", "zh/index.html",
    ):  # fmt: skip
        tab = browse(page, width=width, theme=theme)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, page
        assert tab.evaluate("document.documentElement.dataset.theme") == theme
    assert browse.complaints == []
