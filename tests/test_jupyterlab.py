"""The quickstart in a real JupyterLab: all cells run, and a reader sees the outputs, a progress bar and the reprs."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kernels import CHROMIUM, FLAGS, environment

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "01_quickstart.ipynb"
BAR = """
import keyapi_research as kr
client = kr.connect(sandbox=True, store=":memory:")
_ = kr.fetch_hashtags([f"bar{n}" for n in range(8)])
kr.status()
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # the browser's driver leaves its loop to the collector
]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """A JupyterLab that serves a copy of the quickstart, with one more cell that is long enough for a bar."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed (extra lab)")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, 4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.cells.append(nbformat.v4.new_code_cell(BAR))
    work = tmp_path / "work"
    work.mkdir()
    nbformat.write(notebook, work / "quickstart.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = tmp_path / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"windowingMode": "none"}))  # else which cells are in the page depends on the timing
    own = environment(tmp_path, HOME=str(tmp_path), JUPYTERLAB_SETTINGS_DIR=str(tmp_path / "settings"))
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ServerApp.ip=127.0.0.1",
               "--ServerApp.token=", "--ServerApp.disable_check_xsrf=True", "--allow-root",
               "--LabApp.expose_app_in_browser=True"]
    with (tmp_path / "lab.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=work, env=own, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(240):
                try:
                    urllib.request.urlopen(f"{url}/api/status", timeout=2).close()
                    break
                except OSError:
                    time.sleep(0.25)
            else:
                pytest.fail((tmp_path / "lab.log").read_text()[-2000:])
            yield url
        finally:
            server.terminate()
            server.wait(timeout=20)


NOTEBOOK_WIDGET = "window.jupyterapp.shell.currentWidget.content"
CELLS = f"{NOTEBOOK_WIDGET}.widgets.filter(w => w.model.type === 'code')"
IDLE = "window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'"


def run_all(page: Any, url: str) -> None:
    page.goto(f"{url}/lab/tree/quickstart.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_function(f"() => {IDLE}", timeout=60_000)  # the menu is there before the kernel is
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    page.wait_for_function(f"() => {CELLS}.every(w => w.model.executionCount !== null) && {IDLE}", timeout=120_000)


def test_the_quickstart_runs_and_is_seen(lab: str, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra slow)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        run_all(page, lab)
        outputs = page.evaluate(f"{CELLS}.map(w => w.model.outputs.toJSON())")
        kinds = [set(output.get("data", {})) for cell in outputs for output in cell]
        shown = " ".join(str(output) for cell in outputs for output in cell)
        bar = page.locator(".jp-OutputArea-output", has=page.locator(".jupyter-widgets")).last
        bar.get_by_text("16 credits").wait_for(timeout=20_000)
        bars = bar.inner_text()
        drawn = page.locator(".jp-OutputArea-output img").first
        drawn.scroll_into_view_if_needed(timeout=20_000)
        page.screenshot(path=os.environ.get("KEYAPI_SCREENSHOT", str(tmp_path / "lab.png")))
        picture = drawn.bounding_box()
        browser.close()
    assert "error" not in {output["output_type"] for cell in outputs for output in cell}, shown[:2000]
    assert sum("image/png" in kind for kind in kinds) >= 1
    assert picture["width"] > 300
    assert sum("text/html" in kind for kind in kinds) >= 6
    assert "<strong>KeyAPI client</strong>" in shown
    assert "Plan: fetch_product_insights; nothing was sent" in shown
    assert "<strong>Budget</strong>" in shown
    assert "<strong>KeyAPI status</strong>" in shown
    assert re.search(r"8\sof\s8\srequests,\s16\scredits", bars, re.DOTALL), bars
