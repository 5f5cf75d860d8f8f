"""Readers of lists that stand in texts of an answer.

Each reads a value of an answer, and raises ValueError or TypeError where it cannot.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

_RANKED: Final = re.compile(r"\s*([0-9]+)-([0-9]+)-([0-9]+):([0-9]+)\s*")


def _loaded(value: Any) -> Any:
    """Read JSON, also with raw control characters in its texts; whole numbers keep all their digits."""
    return json.loads(value, strict=False) if isinstance(value, str) else value


def read_list(value: Any) -> list[Any]:
    """Return a list, or that of a JSON text."""
    found = _loaded(value)
    if not isinstance(found, list):
        raise TypeError("not a list")
    return found


def read_counts(value: Any) -> list[Any]:
    """Return an object of counts, or that of a JSON text, as one item per bucket."""
    found = _loaded(value)
    if not isinstance(found, dict):
        raise TypeError("not an object")
    return [{"bucket": bucket, "videos": videos} for bucket, videos in found.items()]


def read_ranks(value: Any) -> list[Any]:
    """Return the ranked categories of "l1-l2-l3:n,..."; a piece that is not one stays as it is."""
    pieces = value.split(",") if isinstance(value, str) else value
    if not isinstance(pieces, list):
        raise TypeError("neither a text nor a list")
    return [_ranked(piece) for piece in pieces]


def _ranked(piece: Any) -> Any:
    found = _RANKED.fullmatch(piece) if isinstance(piece, str) else None
    return dict(zip(("l1", "l2", "l3", "rank"), found.groups(), strict=True)) if found else piece
