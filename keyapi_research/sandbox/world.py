"""The synthetic world: what each endpoint answers, as a function of seed, endpoint, parameters and n.

The n-th answer about an entity is given ``effects.DAYS_BETWEEN_ANSWERS`` days after the one before it, so that
asking again moves on and starting over does not differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keyapi_research.sandbox import chance, curves, documented, hashtags, music, names, products
from keyapi_research.sandbox.videos import rows as videos
from keyapi_research.settings import SANDBOX_WORLD

WORLD_VERSION = SANDBOX_WORLD
SEED = "1"

Params = Mapping[str, str | None]

__all__ = ["SEED", "WORLD_VERSION", "answer", "hashtag_name", "is_month", "is_region", "videos"]


def is_region(code: str) -> bool:
    """Return whether the world has this country."""
    return code in names.countries()


def is_month(text: str) -> bool:
    """Return whether the world has this month: the current one or one of the four before it."""
    return text in curves.months()


def hashtag_name(text: str) -> str:
    """Return a hashtag's name in the form it is known by."""
    return names.normalized(text)


def _nothing(*key: object, record: str) -> dict[str, Any] | None:
    """Return one of the ways in which an answer says that there is nothing."""
    shapes: tuple[dict[str, Any] | None, ...] = (None, {}, {record: None}, {record: {}})
    return shapes[chance.number("nothing", *key) % len(shapes)]


def _absent(identifier: str) -> bool:
    return identifier.endswith("000000") or identifier.startswith(("missing", "absent"))


def _flag(value: str | None) -> bool:
    return value == "true"


def _asked(value: str | None, nothing: str) -> str | None:
    return None if value is None or value == nothing else value


def _ranking(seed: str, params: Params, n: int, page_cap: int) -> Any:
    defaults = {"time_scope": "1", "region": "all_regions", "search_keyword": "FALSE", "page": "1", "limit": "20"}
    if n == 1 and params["ecom_category_id"] is None and all(params[key] == defaults[key] for key in defaults):
        return documented.data("insights/products")
    return products.ranking(
        seed,
        n,
        region=str(params["region"]),
        time_scope=str(params["time_scope"]),
        search=_asked(params["search_keyword"], "FALSE"),
        category_id=params["ecom_category_id"],
        page=int(str(params["page"])),
        limit=min(int(str(params["limit"])), page_cap),
    )


def _product(seed: str, params: Params, n: int, page_cap: int) -> Any:
    del page_cap
    info = products.detail(
        seed,
        n,
        region=str(params["region"]),
        time_scope=str(params["time_scope"]),
        category_id=str(params["id"]),
    )
    return {"info": info} if info is not None else _nothing("product", params["id"], record="info")


def _hashtag(seed: str, params: Params, n: int, page_cap: int) -> Any:
    del page_cap
    name = str(params["hashtag_name"])
    if _absent(name):
        return _nothing("hashtag", name, record="info")
    region, period = str(params["region"]), int(str(params["period"]))
    return {"info": hashtags.detail(seed, n, name=name, region=region, period=period)}


def _sound(seed: str, params: Params, n: int, page_cap: int) -> Any:
    del page_cap
    clip_id = str(params["clip_id"])
    if _absent(clip_id):
        return _nothing("sound", clip_id, record="sound")
    return music.detail(seed, n, clip_id=clip_id, region=str(params["region"]), period=int(str(params["period"])))


def _top_hashtags(seed: str, params: Params, n: int, page_cap: int) -> Any:
    industry = _asked(params["industry_id"], "nothing")
    return hashtags.top(
        seed,
        n,
        region=str(params["region"]),
        period=int(str(params["period"])),
        industry=None if industry is None else names.industry_number(int(industry)),
        new_only=_flag(params["new_to_top_100"]),
        page=int(str(params["page"])),
        limit=min(int(str(params["limit"])), page_cap),
    )


def _top_music(seed: str, params: Params, n: int, page_cap: int) -> Any:
    return music.top(
        seed,
        n,
        region=str(params["region"]),
        period=int(str(params["period"])),
        search=_asked(params["search_keyword"], "FALSE"),
        new_only=_flag(params["new_to_top_100"]),
        commercial_only=_flag(params["commercial_music"]),
        page=int(str(params["page"])),
        limit=min(int(str(params["limit"])), page_cap),
    )


_ANSWERS: dict[str, Callable[[str, Params, int, int], Any]] = {
    "insights/products": _ranking,
    "insights/product/detail": _product,
    "trending/hashtag/detail": _hashtag,
    "trending/music/detail": _sound,
    "trending/hashtags": _top_hashtags,
    "trending/music": _top_music,
}


def answer(seed: str, name: str, params: Params, n: int, *, page_cap: int) -> Any:
    """Return the ``data`` of an answer; for videos, see ``videos``.

    Parameters
    ----------
    seed
        Of the world.
    name
        Of the endpoint.
    params
        All parameters of the endpoint, checked, in canonical form.
    n
        The how-manieth answer about what is asked for.
    page_cap
        Most rows of a page.

    Returns
    -------
    object
        What the JSON will hold.
    """
    return _ANSWERS[name](seed, params, n, page_cap)
