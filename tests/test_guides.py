"""The code of the guides prints what they say, each in a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import keyapi_research as kr

DOCS = Path(__file__).parent.parent / "docs" / "guide"
REPLAYED = """
kr.replay("video-days.zip")
assert fetch_video_days("7600000000000000001").equals(table)
assert kr.status().credits_spent == 0
"""
GUIDES = {
    "any-endpoint": (4, REPLAYED),
    "creators-and-products": (4, ""),
    "panels": (2, ""),
    "series-and-audits": (4, ""),
    "stores": (3, ""),
}


LONG = ("creators-and-products", "series-and-audits")


@pytest.mark.parametrize("guide", [pytest.param(one, marks=[pytest.mark.slow] * (one in LONG)) for one in GUIDES])
def test_the_code_of_a_guide_prints_what_it_says(guide: str, tmp_path: Path) -> None:
    page = (DOCS / f"{guide}.md").read_text("utf-8")
    number, more = GUIDES[guide]
    blocks = re.findall(r"^```python\n(.*?)^```\n\n```\n(.*?)^```\n", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == page.count("```python") == number
    code = "print('---')\n".join(one for one, _ in blocks) + more
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False,
        env={**os.environ, "XDG_DATA_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.split("---\n") == [output for _, output in blocks], done.stderr


def test_the_panel_of_the_guide_is_one_and_its_lines_for_schedulers_run(tmp_path: Path) -> None:
    """What cron and a workflow would run, in a repository of its own; only the push has nowhere to go."""
    page = (DOCS / "panels.md").read_text("utf-8")
    [file] = re.findall(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    synthetic = file.replace("\n[[", "\nsandbox = true\n[[", 1).replace("2026-12-01", "2026-01-01")
    (tmp_path / "perfume.toml").write_text(synthetic)
    assert kr.panel(tmp_path / "perfume.toml").plan().credits_per_round == 88  # pages of ten rows, at most
    [cron] = re.findall(r"^15 6 \* \* \* cd ~/studies && (.*)$", page, re.MULTILINE)
    [round_] = re.findall(r"&& (python -m keyapi_research panel run .*)$", page, re.MULTILINE)
    [commit] = re.findall(r'if: always\(\), run: "(.*)" \}', page)
    [git] = re.findall(r'GIT: "(.*)" \}', page)

    def shell(line: str) -> subprocess.CompletedProcess[str]:
        line = re.sub(r"(\.venv/bin/)?python ", f"{sys.executable} ", line)
        return subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, "GIT": git},
        )  # fmt: skip

    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    assert shell(cron).stdout == ""
    assert "(done)" in (tmp_path / "perfume.log").read_text()
    begin = "git init -q --bare remote && git init -q && git remote add origin remote"
    begin += " && git config push.default current"
    assert shell(begin).returncode == 0
    assert "(done)" in shell(round_).stdout
    assert shell(commit).returncode == 0
    assert shell(commit).returncode == 0  # nothing is new
    assert shell("git -C remote log --format=%s").stdout == "Round\n"
    other = "git clone -q remote other && cd other && $GIT commit -q --allow-empty -m Other && git push -q"
    assert shell(other).returncode == 0
    assert shell("$GIT commit -q --allow-empty -m Round").returncode == 0
    assert shell(commit).returncode != 0  # what is not kept is said
    (tmp_path / "perfume.toml").write_text(synthetic.replace("= 100", "= ten"))
    failed = shell(cron)
    assert "line 4: this is not TOML" in failed.stdout
