"""The answers that KeyAPI's public documentation shows."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

CATEGORY_ID = "601583"
VIDEO_ID = "7117191641181555995"
HASHTAG_NAME = "ufc324"
CLIP_ID = "6703723351497508865"


@cache
def _text(name: str) -> str:
    folder = Path(__file__).parent / "examples"
    return (folder / f"{name.replace('/', '-')}.json").read_text("utf-8")


def data(name: str) -> Any:
    """Return the ``data`` of an endpoint's documented answer, a new copy each time."""
    return json.loads(_text(name))["data"]
