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
def _texts() -> dict[str, str]:
    folder = Path(__file__).parent / "examples"
    return {path.stem: path.read_text("utf-8") for path in folder.glob("*.json")}


def has(name: str) -> bool:
    """Return whether an answer of an endpoint is documented."""
    return name.replace("/", "-") in _texts()


@cache
def trends() -> dict[str, dict[str, Any]]:
    """Return the documented hashtag by its name and the documented sound by its id: to read, not to change."""
    hashtag, sound = data("trending/hashtag/detail")["info"], data("trending/music/detail")["sound"]
    return {HASHTAG_NAME: hashtag, CLIP_ID: sound}


def data(name: str) -> Any:
    """Return the ``data`` of an endpoint's documented answer, a new copy each time."""
    return json.loads(_texts()[name.replace("/", "-")])["data"]
