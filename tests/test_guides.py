"""The code of the guides prints what they say, each in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
REPLAYED = """
kr.replay("video-days.zip")
assert fetch_video_days("7600000000000000001").equals(table)
assert kr.status().credits_spent == 0
"""
GUIDES = {
    "any-endpoint": (4, REPLAYED),
    "creators-and-products": (4, ""),
    "series-and-audits": (3, ""),
    "what-is-stored": (3, ""),
}


@pytest.mark.parametrize("guide", GUIDES)
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
