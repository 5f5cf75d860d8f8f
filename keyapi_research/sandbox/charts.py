"""Rankings of creators, products and videos: what they gain over the days of a cycle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from . import daily, effects, goods, ledgers, videos, words
from .creators import categories, face, promoted, sales_flag
from .identity import CREATORS, Creator, Product, Setting, creator_at, place_of, stage
from .inquiry import Inquiry, ranked
from .ledgers import cents

_VIDEOS = 40  # of one category in one region that are ranked
Gains = npt.NDArray[Any]  # a row an entity, a column a day
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class _Stage:
    creators: list[Creator]
    products: list[Product]
    of_creators: dict[str, Gains]
    of_products: dict[str, Gains]


@lru_cache(maxsize=4)
def _stage(setting: Setting, place: int) -> _Stage:
    """Return what the creators and the products of a region gain on each day."""
    seed = setting.seed
    creators = [creator_at(seed, one, place, slot) for one in stage(seed, place) for slot in range(1, CREATORS + 1)]
    products = goods.of_stage(seed, place)
    of_creators = _table(("followers", "units", "gmv"), creators, partial(_creator_gains, setting))
    of_products = _table(("creators", "units", "gmv"), products, partial(daily.product_gains, setting))
    for known in (daily.activity, daily.units, daily.prices):  # hundreds of megabytes after some regions
        known.cache_clear()
    return _Stage(creators, products, of_creators, of_products)


def _creator_gains(setting: Setting, creator: Creator) -> dict[str, daily.Whole]:
    return {
        "followers": daily.activity(setting, creator).gains["followers"],
        **daily.creator_sales(setting, creator),
    }


def _table(
    names: tuple[str, ...], some: Sequence[T], gains_of: Callable[[T], dict[str, daily.Whole]]
) -> dict[str, Gains]:
    """Return what some gain on each day, a row each."""
    kinds = {name: np.int64 if name == "gmv" else np.int32 for name in names}
    tables: dict[str, Gains] = {name: np.zeros((len(some), daily.LENGTH), kind) for name, kind in kinds.items()}
    for number, one in enumerate(some):
        gained = gains_of(one)
        for name in names:
            tables[name][number] = gained[name]
    return tables


def _over(gains: Gains, days: range) -> list[int]:
    """Return what each gains over some days."""
    found: list[int] = gains[:, days.start - effects.FIRST_DAY : days.stop - effects.FIRST_DAY].sum(1).tolist()
    return found


def _known(inquiry: Inquiry) -> tuple[Setting, int]:
    """Return the world without faults, which rankings are of, and the place of the region; 0 without a ranking."""
    return replace(inquiry.setting, clean=True), place_of(inquiry.text("region")) if inquiry.cycle else 0


def _chosen(keep: Callable[[int], bool], values: list[int]) -> list[int]:
    return [value if value > 0 and keep(place) else 0 for place, value in enumerate(values)]


def creators(inquiry: Inquiry) -> list[dict[str, Any]]:
    """Return a page of the ranking of creators: by followers gained, or by units sold."""
    setting, place = _known(inquiry)
    if not stage(setting.seed, place):
        return []
    known, days = _stage(setting, place), inquiry.cycle
    by_sales = inquiry.text("influencer_rank_field") == "2"
    wanted = {inquiry.text(name) for name in ("product_category_id", "category_id")} - {""}
    niche = inquiry.text("influencer_category_name")

    def keep(number: int) -> bool:
        creator = known.creators[number]
        return wanted <= _firsts(setting, creator, days.stop) and niche in {"", ledgers.niche(setting.seed, creator)}

    values = _chosen(keep, _over(known.of_creators["units" if by_sales else "followers"], days))
    money = _over(known.of_creators["gmv"], days)
    found = ranked(known.creators, values, [creator.user_id for creator in known.creators])
    return [
        _creator(setting, creator, days.stop - 1, inquiry.text("region"), {
            "total_followers_cnt": 0 if by_sales else values[number],
            "total_sale_cnt": values[number] if by_sales else 0,
            "total_sale_gmv_amt": cents(money[number]) if by_sales else 0,
        })
        for creator, number in inquiry.page(found)
    ]  # fmt: skip


@lru_cache(maxsize=8192)
def _firsts(setting: Setting, creator: Creator, now: int) -> frozenset[str]:
    """Return the first-level categories of what a creator promotes, or their own."""
    found = {promotion.product.category.l1_id for promotion in promoted(setting, creator, now)}
    return frozenset(found or {creator.category.l1_id})


def _creator(setting: Setting, creator: Creator, day: int, region: str, gains: dict[str, Any]) -> dict[str, Any]:
    record = ledgers.of_creator(setting, creator)
    row = {
        **face(setting.seed, creator),
        **categories(setting, creator, day + 1),
        **gains,
        "ec_score": ledgers.score(setting.seed, creator),
        "region": region,
        "sales_flag": sales_flag(setting.seed, creator),
        **{f"total_{name}_cnt": 0 for name in ("digg", "live", "post_video", "product")},
        "total_digg_history_cnt": record.total("likes", day),
        "total_followers_history_cnt": record.total("followers", day),
        "total_live_history_cnt": record.total("lives", day),
        "total_post_video_history_cnt": record.total("videos", day),
        "total_product_history_cnt": len(promoted(setting, creator, day + 1)),
        "total_sale_gmv_history_amt": cents(record.total("gmv", day)),
        "total_sale_history_cnt": record.total("units", day),
        "unique_id": creator.unique_id,
        "user_id": creator.user_id,
    }
    return dict(sorted(row.items()))


def products(inquiry: Inquiry) -> list[dict[str, Any]]:
    """Return a page of the ranking of products: by units sold, or by creators who began to promote them."""
    setting, place = _known(inquiry)
    if not stage(setting.seed, place):
        return []
    known, days = _stage(setting, place), inquiry.cycle
    by_units = inquiry.text("product_rank_field") == "1"
    wanted = {name: inquiry.text(name) for name in ("category_id", "category_l2_id", "category_l3_id")}
    wanted = {name: value for name, value in wanted.items() if value}

    def keep(number: int) -> bool:
        shown = goods.head(setting.seed, known.products[number], days.stop) if wanted else {}
        return all(shown[name] == value for name, value in wanted.items())

    values = _chosen(keep, _over(known.of_products["units" if by_units else "creators"], days))
    money = _over(known.of_products["gmv"], days)
    rows = []
    found = ranked(known.products, values, [product.product_id for product in known.products])
    for product, number in inquiry.page(found):
        row = goods.head(setting.seed, product, days.stop) | {
            "total_ifl_cnt": 0 if by_units else values[number],
            "total_live_cnt": 0,
            "total_sale_cnt": values[number] if by_units else 0,
            "total_sale_gmv_amt": cents(money[number]) if by_units else 0,
            "total_video_cnt": 0,
        }
        del row["cover_url"]
        rows.append(dict(sorted(row.items())))
    return rows


@lru_cache(maxsize=64)
def _videos(seed: str, place: int) -> list[str]:
    region = words.CODES[place - 1]
    return [videos.video_id(seed, one, region, k) for one in stage(seed, place) for k in range(_VIDEOS)]


def of_videos(inquiry: Inquiry) -> list[dict[str, Any]]:
    """Return a page of the ranking of videos: by views gained, or by units sold."""
    setting, place = _known(inquiry)
    if not stage(setting.seed, place):
        return []
    days, ids = inquiry.cycle, _videos(setting.seed, place)
    measure = "total_views_cnt" if inquiry.text("video_rank_field") == "1" else "total_video_sale_cnt"
    category, ai = inquiry.text("product_category_id"), inquiry.text("created_by_ai")

    def keep(number: int) -> bool:
        columns, carried = videos.facts(setting, ids[number])
        tagged = not category or category in {product.category.l1_id for product in carried}
        return tagged and ai in {"", columns["created_by_ai"]}

    gains = [videos.gained(setting, identifier, days) for identifier in ids]
    values = _chosen(keep, [gain[measure] for gain in gains])
    return [
        _video(setting, identifier, inquiry.text("region"), measure, gains[number])
        for identifier, number in inquiry.page(ranked(ids, values, ids))
    ]


def _video(setting: Setting, identifier: str, region: str, measure: str, gain: dict[str, Any]) -> dict[str, Any]:
    columns, _ = videos.facts(setting, identifier)
    left_out = {"data_size", "height", "is_ad", "ratio", "width"}
    sold = measure == "total_video_sale_cnt"
    row = {
        **face(setting.seed, videos.creator_of(setting.seed, identifier)),
        **{name: value for name, value in columns.items() if name not in left_out},
        "region": region,
        **{f"total_{name}_cnt": 0 for name in ("comments", "digg", "favorites", "shares")},
        "total_video_sale_cnt": gain["total_video_sale_cnt"] if sold else 0,
        "total_video_sale_gmv_amt": gain["total_video_sale_gmv_amt"] if sold else 0,
        "total_views_cnt": 0 if sold else gain["total_views_cnt"],
    }
    return dict(sorted(row.items()))
