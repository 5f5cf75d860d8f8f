"""The synthetic world: what each endpoint answers, as a function of seed, endpoint, parameters and n.

The n-th answer about an entity is given ``effects.DAYS_BETWEEN_ANSWERS`` days after the one before it, so that
a refresh moves on and starting over does not differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..settings import SANDBOX_WORLD
from . import chance, curves, documented, hashtags, music, products
from .query import Query
from .routes import DEFAULTS
from .videos import rows as videos

WORLD_VERSION = SANDBOX_WORLD
SEED = "1"

__all__ = ["SEED", "WORLD_VERSION", "answer", "videos"]


def answer(seed: str, name: str, params: Mapping[str, str | None], n: int, *, page_cap: int) -> Any:
    """Return the ``data`` of the n-th answer of an endpoint to these checked parameters; of videos, see `videos`."""
    if n == 1 and params == DEFAULTS[name] and documented.has(name):
        return documented.data(name)
    query = Query(seed, n, curves.today(n), str(params["region"]), params, page_cap)
    match name:
        case "insights/products":
            return products.ranking(query)
        case "insights/product/detail":
            return _detail("info", "product", query.text("id"), products.detail(query))
        case "trending/hashtag/detail":
            hashtag = query.text("hashtag_name")
            return _detail("info", "hashtag", hashtag, None if _absent(hashtag) else hashtags.detail(query))
        case "trending/music/detail":
            clip_id = query.text("clip_id")
            return _nothing("sound", "sound", clip_id) if _absent(clip_id) else music.detail(query)
        case "trending/hashtags":
            return hashtags.top(query)
        case _:
            return music.top(query)


def _absent(identifier: str) -> bool:
    return identifier.endswith("000000") or identifier.startswith(("missing", "absent"))


def _detail(record: str, kind: str, identifier: str, found: dict[str, Any] | None) -> Any:
    return _nothing(record, kind, identifier) if found is None else {record: found}


def _nothing(record: str, kind: str, identifier: str) -> dict[str, Any] | None:
    """Return one of the ways in which an answer has no record."""
    shapes: tuple[dict[str, Any] | None, ...] = (None, {}, {record: None}, {record: {}})
    return shapes[chance.number("nothing", kind, identifier) % len(shapes)]
