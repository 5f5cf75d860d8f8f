"""Answers about products: details, days, and the search."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from . import chance, daily, effects, ledgers, words
from .identity import PRODUCTS, Product, Setting, place_of, product_at, stage
from .inquiry import Inquiry, date_number, date_text
from .ledgers import cents

_HOST = "https://echosell-images.tos-ap-southeast-1.volces.com"
_WINDOWS = (1, 7, 15, 30, 60, 90)
# Names in the answers, and those of what is on record.
_COUNTS = {
    "sale": "units", "video": "videos", "video_sale": "video_units", "live": "lives", "live_sale": "live_units",
    "views": "views",
}  # fmt: skip
_AMOUNTS = {"sale_gmv": "gmv", "video_sale_gmv": "video_gmv", "live_sale_gmv": "live_gmv"}
_NEW = {"ifl_video": "creators_video", "ifl_live": "creators_live"}  # have windows only


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=8192)
def name_of(seed: str, product: Product) -> str:
    """Return the name of a product: a maker and what it is."""
    dice = chance.Dice(seed, "product name", product.product_id)
    number = dice.whole(10, 99)
    return f"{dice.pick(words.WORDS['makers'])} {product.category.name} {number}"


def head(seed: str, product: Product, now: int) -> dict[str, Any]:
    """Return the columns of a product that most answers share, early on a day."""
    dice = chance.Dice(seed, "product head", product.product_id)
    first, second, third = (identifier for identifier, _ in product.category.path)
    if dice.chance(effects.CATEGORY_ZERO):
        second = third = "0"
    price = int(daily.prices(seed, product)[min(max(now - 1 - effects.FIRST_DAY, 0), daily.LENGTH - 1)])
    pictures = [
        {"url": f"{_HOST}/product-cover/{int(product.product_id) % 900}/{product.product_id}_{k}.jpeg", "index": k}
        for k in dice.sample(range(3), dice.whole(1, 3))
    ]
    return {
        "category_id": first,
        "category_l2_id": second,
        "category_l3_id": third,
        "cover_url": _json(pictures),
        "max_price": cents(price * dice.whole(100, 130) // 100),
        "min_price": cents(price * dice.whole(80, 100) // 100),
        "product_commission_rate": dice.pick((0, 5, 8, 10, 12, 15, 20)),
        "product_id": product.product_id,
        "product_name": name_of(seed, product),
        "region": words.CODES[product.place - 1] if product.place else "",
        "spu_avg_price": cents(price),
    }


def detail(setting: Setting, product: Product, now: int) -> dict[str, Any]:
    """Return the row of a product early on a day."""
    record, day = ledgers.of_product(setting, product), now - 1
    dice = chance.Dice(setting.seed, "product detail", product.product_id)
    shown = head(setting.seed, product, now)
    windows = {days: range(now - days, now) for days in _WINDOWS}
    week, before = (record.gain("units", range(now - days, now - days + 7)) for days in (7, 14))
    reviews = 0 if dice.chance(effects.UNRATED) else record.total("units", day) // 25
    sold = {part: record.total(f"{part}_units", day) for part in ("video", "live")}
    row = {
        **shown,
        **{f"total_{api}_cnt": record.total(name, day) for api, name in _COUNTS.items()},
        **{f"total_{api}_amt": cents(record.total(name, day)) for api, name in _AMOUNTS.items()},
        **{
            f"total_{api}_{days}d_cnt": record.gain(name, window)
            for api, name in (_COUNTS | _NEW).items()
            for days, window in windows.items()
        },
        **{
            f"total_{api}_{days}d_amt": cents(record.gain(name, window))
            for api, name in _AMOUNTS.items()
            for days, window in windows.items()
        },
        "total_ifl_cnt": record.total("creators", day),
        "desc_detail": _json([{"type": "text", "text": shown["product_name"], "sub": [{"t": shown["product_name"]}]}]),
        "discount": dice.pick((None, None, "-", f"{dice.whole(5, 60)}%")),
        "first_crawl_dt": date_number(max(product.launch, effects.FIRST_DAY - 300) + dice.whole(0, 20)),
        "last_crawl_dt": date_number(day),
        "free_shipping": int(dice.chance(0.4)),
        "from_flag": 2 if dice.chance(0.35) else 1,
        "is_hot": int(dice.chance(0.1)),
        "is_s_shop": int(dice.chance(0.08)),
        "shop_type": int(dice.chance(0.2)),
        "off_mark": 2 if product.end <= day else 0,
        "product_rating": chance.tidy(dice.between(3.6, 5.0), 1) if reviews else 0,
        "review_count": reviews,
        "sale_props": _json([{"prop_name": "Color", "prop_id": "100000", "sale_prop_values": []}]),
        "sales_flag": 0 if not record.total("units", day) else 2 if sold["live"] > sold["video"] else 1,
        "sales_trend_flag": 1 if week * 20 > before * 21 else 2 if week * 20 < before * 19 else 0,
        "seller_id": f"7494{dice.whole(10**14, 10**15 - 1)}",
        "shipping_price": str(dice.pick((0, 0, 2.99, 4.5))),
        "skus": _json([{"sku_id": product.product_id, "real_price": {"price_val": str(shown["spu_avg_price"])}}]),
        "specification": "[]",
    }
    if record.fault == "window_conflict":
        to, above = record.drawn("which").pick((("1d_cnt", "7d_cnt"), ("90d_cnt", "cnt")))
        size = record.drawn("size").between(*effects.CONFLICT_SIZE)
        row[f"total_sale_{to}"] = int(row[f"total_sale_{above}"] * size) + 1
    return dict(sorted(row.items()))


def details(setting: Setting, today: int, answers: dict[Product, int]) -> list[dict[str, Any]]:
    """Return the rows of products, by id, each of its n-th answer."""
    rows = [
        detail(setting, product, today + setting.later(n))
        for product, n in sorted(answers.items(), key=lambda item: int(item[0].product_id))
    ]
    ledgers.same_value(setting, rows, "total_sale_cnt", [row["product_id"] for row in rows])
    return rows


def days(inquiry: Inquiry) -> list[dict[str, Any]]:
    """Return the rows of a product's days."""
    product, setting = inquiry.product, inquiry.setting
    if product is None:
        return []
    record, prices = ledgers.of_product(setting, product), daily.prices(setting.seed, product)
    told = ledgers.told(setting, record, "product", product.product_id, inquiry.days)
    return [
        {
            "dt": date_text(day),
            "product_id": product.product_id,
            "spu_avg_price": cents(int(prices[day - effects.FIRST_DAY])),
            "total_ifl_cnt": record.total("creators", day),
            "total_live_cnt": record.total("lives", day),
            "total_sale_1d_cnt": ledgers.revised(record, record.gain("units", range(day, day + 1)), day, inquiry.n),
            "total_sale_cnt": record.total("units", day),
            "total_sale_gmv_1d_amt": cents(record.gain("gmv", range(day, day + 1))),
            "total_sale_gmv_amt": cents(record.total("gmv", day)),
            "total_video_cnt": record.total("videos", day),
        }
        for day in inquiry.page(told)
    ]


def of_stage(seed: str, place: int) -> list[Product]:
    """Return the products of a region that are ranked and found."""
    return [product_at(seed, home, place, number) for home in stage(seed, place) for number in range(PRODUCTS)]


@lru_cache(maxsize=4)
def _all(setting: Setting, place: int, now: int) -> list[dict[str, Any]]:
    """Return the rows of a region's products that are on record, the most sold of late first."""
    rows = [detail(setting, product, now) for product in of_stage(setting.seed, place) if product.launch < now]
    return sorted(rows, key=lambda row: (-row["total_sale_30d_cnt"], int(row["product_id"])))


def search(inquiry: Inquiry) -> list[dict[str, Any]]:
    """Return the products of a region, filtered and sorted as requested."""
    rows = [row for row in _all(inquiry.setting, place_of(inquiry.text("region")), inquiry.now) if inquiry.within(row)]
    names = (
        "total_sale_cnt", "total_sale_gmv_amt", "spu_avg_price", "total_sale_7d_cnt", "total_sale_30d_cnt",
        "total_sale_gmv_7d_amt", "total_sale_gmv_30d_amt",
    )  # fmt: skip
    inquiry.sorted(rows, "product_sort_field", names)
    return list(inquiry.page(rows))
