"""Answers about who promotes what: the products of a creator, the creators of a product."""

from __future__ import annotations

from collections import Counter
from typing import Any

from . import chance, daily, effects, goods, ledgers, videos
from .creators import face, following, promoted
from .identity import Promotion, sellers
from .inquiry import Inquiry
from .ledgers import cents


def _until(inquiry: Inquiry, promotion: Promotion) -> dict[str, int]:
    """Return what a creator has sold of a product."""
    gains = daily.promotion_sales(inquiry.setting, promotion)
    return {name: int(gain[: max(0, inquiry.now - effects.FIRST_DAY)].sum()) for name, gain in gains.items()}


def offers(inquiry: Inquiry) -> list[dict[str, Any]]:
    """Return a creator's products in the order of the showcase, unless sorted; totals are those of all sellers."""
    creator, setting = inquiry.creator, inquiry.setting
    if creator is None:
        return []
    carried = Counter(
        product.product_id
        for identifier in videos.posted_by(setting.seed, creator)
        for product in videos.facts(setting, identifier)[1]
    )
    rows = []
    for promotion in promoted(setting, creator, inquiry.now):
        product = promotion.product
        row = goods.head(setting.seed, product, inquiry.now)
        if inquiry.text("category_id") not in {"", row["category_id"]}:
            continue
        record, until = ledgers.of_product(setting, product), _until(inquiry, promotion)
        rows.append({
            "category_id": row["category_id"],
            "cover_url": row["cover_url"],
            "product_id": product.product_id,
            "product_name": row["product_name"],
            "spu_avg_price": row["spu_avg_price"],
            "total_live_cnt": 0,
            "total_live_sale_cnt": until["live_units"],
            "total_live_sale_gmv_amt": cents(until["live_gmv"]),
            "total_sale_cnt": record.total("units", inquiry.now - 1),
            "total_sale_gmv_amt": cents(record.total("gmv", inquiry.now - 1)),
            "total_video_cnt": carried[product.product_id],
            "total_video_sale_cnt": until["video_units"],
            "total_video_sale_gmv_amt": cents(until["video_gmv"]),
            "user_id": creator.user_id,
        })  # fmt: skip
    names = (
        "total_sale_cnt", "total_sale_gmv_amt", "spu_avg_price", "total_video_sale_cnt", "total_video_sale_gmv_amt",
    )  # fmt: skip
    ignored = ledgers.of_creator(setting, creator).fault == "parameter_ignored"
    inquiry.sorted(rows, "influencer_product_sort_field", names, ignored=ignored)
    return list(inquiry.page(rows))


def promoters(inquiry: Inquiry) -> list[dict[str, Any]]:
    """Return a product's creators, with what each of them has sold of it."""
    product, setting = inquiry.product, inquiry.setting
    if product is None:
        return []
    rows = []
    for promotion in sellers(setting.seed, product):
        creator, day = promotion.creator, inquiry.now - 1
        if promotion.since > day:
            continue
        record, until = ledgers.of_creator(setting, creator), _until(inquiry, promotion)
        dice = chance.Dice(setting.seed, "lives", creator.user_id)
        rows.append({
            **face(setting.seed, creator),
            "per_product_ifl_gmv_amt": cents(until["gmv"]),
            "per_product_ifl_sale_cnt": until["units"],
            "product_id": product.product_id,
            "region": creator.country,
            "total_digg_cnt": record.total("likes", day),
            "total_followers_cnt": record.total("followers", day),
            "total_following_cnt": following(setting.seed, creator),
            "total_live_cnt": record.total("lives", day),
            "total_live_views_cnt": record.total("lives", day) * dice.whole(200, 20_000),
            "total_post_video_cnt": record.total("videos", day),
            "total_views_cnt": record.total("views", day),
            "user_id": creator.user_id,
        })  # fmt: skip
    names = (
        "total_followers_cnt", "total_digg_cnt", "per_product_ifl_sale_cnt", "per_product_ifl_gmv_amt",
        "total_post_video_cnt", "total_views_cnt", "total_live_views_cnt",
    )  # fmt: skip
    ignored = ledgers.of_product(setting, product).fault == "parameter_ignored"
    inquiry.sorted(rows, "product_influencer_sort_field", names, ignored=ignored)
    return list(inquiry.page(rows))
