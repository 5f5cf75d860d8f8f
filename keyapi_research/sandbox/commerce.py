"""What is answered about creators, products and their days, and which entities an answer is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from . import charts, creators, goods, promotions
from .identity import Setting, creator_by_handle, creator_by_id, product_by_id
from .inquiry import Inquiry

_LISTS: dict[str, Callable[[Inquiry], list[dict[str, Any]]]] = {
    "influencer/ranking/analytics": charts.creators,
    "influencer/trends/analytics": creators.days,
    "influencer/videos/analytics": creators.posts,
    "influencer/products/analytics": promotions.offers,
    "product/ranking/analytics": charts.products,
    "product/trends/analytics": goods.days,
    "product/creators/analytics": promotions.promoters,
    "product/list/analytics": goods.search,
    "video/ranking/analytics": charts.of_videos,
}
_DETAILS = ("influencer/detail/analytics", "product/detail/analytics")
ENDPOINTS = {*_LISTS, *_DETAILS}
Params = Mapping[str, str | None]


def answer_of(
    setting: Setting, today: int, name: str, params: Params, count: Callable[..., int], page_cap: int
) -> Callable[[], list[dict[str, Any]]]:
    """Count the answers of the entities of a query, and return what makes the rows of this one.

    ``count`` returns which answer about an entity this is, by a key and the page.
    """
    if name == "influencer/detail/analytics":
        by, find = ("user_ids", creator_by_id) if params["user_ids"] else ("unique_ids", creator_by_handle)
        people = dict.fromkeys(find(setting.seed, one) for one in str(params[by]).split(","))
        who = {one: count((name, one.user_id)) for one in people if one is not None}
        return partial(creators.details, setting, today, who)
    if name == "product/detail/analytics":
        things = dict.fromkeys(product_by_id(setting.seed, one) for one in str(params["product_ids"]).split(","))
        what = {one: count((name, one.product_id)) for one in things if one is not None}
        return partial(goods.details, setting, today, what)
    entity = (name, *(item for item in params.items() if item[0] not in {"page_num", "page_size"}))
    n = count(entity, (params["page_num"], params["page_size"]))
    return partial(_LISTS[name], Inquiry(setting, today, n, params, page_cap))
