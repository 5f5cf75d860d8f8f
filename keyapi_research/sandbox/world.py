"""The synthetic world: what each endpoint answers, as a function of seed, endpoint, parameters and n.

Each answer about an entity is some days after the one before it (``Setting.days_between_answers``), so that a refresh
moves on and starting over does not differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..settings import SANDBOX_WORLD
from . import chance, curves, hashtags, music, products, words
from .identity import Setting
from .query import Query
from .routes import DEFAULTS
from .videos import rows as videos

WORLD_VERSION = SANDBOX_WORLD
SEED = "1"
_ABSENT = ("missing", "absent")
# Of each endpoint: the parameter that names what it is about, the record of its answer, and what makes the answer.
_DETAILS: dict[str, tuple[str, str, Callable[[Query], dict[str, Any] | None]]] = {
    "insights/product/detail": ("id", "info", products.detail),
    "trending/hashtag/detail": ("hashtag_name", "info", hashtags.detail),
    "trending/music/detail": ("clip_id", "sound", music.detail),
}

__all__ = ["SEED", "WORLD_VERSION", "answer", "videos"]


def answer(setting: Setting, name: str, params: Mapping[str, str | None], n: int, *, page_cap: int) -> Any:
    """Return the ``data`` of the n-th answer of an endpoint to these checked parameters; of videos, see `videos`."""
    if n == 1 and params == DEFAULTS[name] and name in words.DOCUMENTED:
        return words.documented(name)
    lists = {"insights/products": products.ranking, "trending/hashtags": hashtags.top, "trending/music": music.top}
    query = Query(setting, n, curves.day_of(setting, n), str(params["region"]), params, page_cap)
    return lists[name](query) if name in lists else _detail(name, query)


def _detail(name: str, query: Query) -> dict[str, Any] | None:
    """Return the record of an answer, or one of the ways in which an answer has none."""
    entity, record, detail = _DETAILS[name]
    identifier = query.text(entity)
    found = None if identifier.endswith("000000") or identifier.startswith(_ABSENT) else detail(query)
    nothing: tuple[dict[str, Any] | None, ...] = (None, {}, {record: None}, {record: {}})
    return found or chance.Dice("nothing", name, identifier).pick(nothing)
