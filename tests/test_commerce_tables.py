"""Creators, products and their days: answers value by value, requests as they are sent. Expected values are by hand.

The answers are EchoTik's examples of the same endpoints; where there is none, a row by its specification.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

import keyapi_research as kr
from keyapi_research.sandbox import Fault, Sandbox

DATA = Path(__file__).parent / "data" / "commerce"
FIELDS: dict[str, list[str]] = json.loads((DATA / "fields.json").read_text("utf-8"))
Rows = list[dict[str, Any]]


def example(name: str) -> Rows:
    """Return the rows of an example answer."""
    data: Rows = json.loads((DATA / f"{name}-analytics.json").read_text("utf-8"))["data"]
    return data


def answer(sandbox: Sandbox, rows: Any) -> None:
    """Let the server answer every request with some rows: those of a list on its first page."""

    def respond(_path: str, params: dict[str, str]) -> Fault:
        data = rows if params.get("page_num", "1") == "1" else []
        return Fault(body=json.dumps({"code": 0, "message": "success", "data": data, "requestId": "r"}).encode())

    sandbox.on_request = respond


def values(frame: pd.DataFrame, row: int = 0) -> dict[str, Any]:
    """Return the values of a row without its stamps: missing ones as None, days and times as text."""
    one = frame.drop(columns=["observed_at", "source"]).astype(object).iloc[row].to_dict()
    read = {name: None if pd.isna(value) else value for name, value in one.items()}
    return {k: str(v.strftime("%Y-%m-%d %H:%M:%S")) if isinstance(v, pd.Timestamp) else v for k, v in read.items()}


def sent(sandbox: Sandbox) -> list[str]:
    """Return what was sent, as it is written in addresses."""
    return [
        "&".join([one.path.removeprefix("/v1/tiktok/"), *(f"{name}={value}" for name, value in one.params.items())])
        for one in sandbox.requests
    ]


# The example answers ----------------------------------------------------------------------------------------------

CREATOR = "104962950695723008"
A_CREATOR = {
    "user_id": CREATOR, "username": "creator_b", "creator_region": "US", "niche": "Other", "language": "en",
    "sales_flag": 1, "showcase": False, "shop_id": None, "ec_score": 5.03, "first_seen": "2026-03-05 00:00:00",
    "followers": 4173, "following": 663, "videos": 18, "lives": 0, "views": 217835, "likes": 14045, "comments": 57,
    "shares": 223, "profile_likes": 81474, "products": 6, "units_sold_est": 47, "gmv_est": 466.0,
    "engagement_ratio": 0.01, "views_per_video_30d": 20439, "views_per_selling_video_7d": 20439,
    "views_per_selling_video_30d": 20439, "price_avg_30d": 0.0, "most_viewed_video_id": "7611821797465541918",
}
A_PRODUCT = {
    "product_id": "1729383769606034185",
    "product_name": "Black camouflage flag embroidered baseball cap,BG104BCMO-BLACKCAMO,1-Pack",
    "category_l1_id": "605248", "category_l2_id": "905224", "category_l3_id": "906248",
    "price_avg": 23.3, "price_min": 23.3, "price_max": 23.3, "commission": 0.0, "market": "US",
    "shop_id": "7494833496812981001", "rating": None, "reviews": 0, "free_shipping": False, "origin": "local",
    "bestseller": False, "fully_managed": False, "brand_shop": False, "sales_flag": 0, "sales_trend": "flat",
    "off_mark": 0, "first_seen": "2023-06-18 00:00:00", "last_seen": "2026-04-14 00:00:00", "creators": 0, "videos": 0,
    "lives": 0, "views": 0, "units_sold_est": 1, "gmv_est": 19.9, "video_units_est": 0, "video_gmv_est": 0.0,
    "live_units_est": 0, "live_gmv_est": 0.0,
}


def test_the_example_of_creators(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, example("influencer-detail"))
    frame = kr.fetch_creators(CREATOR, client=client)
    assert values(frame) == A_CREATOR
    assert len(frame) == 1
    assert sent(sandbox) == [f"influencer/detail/analytics&user_ids={CREATOR}"]


def test_the_example_of_windows_of_creators(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, example("influencer-detail"))
    frame = kr.fetch_creator_windows(CREATOR, client=client)
    other = ("products_window", "gmv_window_est", "video_gmv_window_est", "live_gmv_window_est",
             "video_units_window_est", "video_products_window")
    assert [values(frame, row) for row in range(4)] == [
        {"user_id": CREATOR, "window_days": days, "followers_gained": 0, "likes_gained": 0,
         **dict.fromkeys(other, 0 if days == 30 else None)}
        for days in (1, 7, 30, 90)
    ]


def test_each_window_of_a_creator_has_its_own_fields(client: kr.Client, sandbox: Sandbox) -> None:
    changed = {
        "total_followers_1d_cnt": -1, "total_followers_7d_cnt": -7, "total_followers_30d_cnt": 30,
        "total_followers_90d_cnt": 90, "total_digg_1d_cnt": 11, "total_digg_7d_cnt": 17, "total_digg_30d_cnt": 40,
        "total_digg_90d_cnt": 100, "total_product_30d_cnt": 2, "total_sale_gmv_30d_amt": -3.5,
        "total_video_sale_gmv_30d_amt": 4.5, "total_live_sale_gmv_30d_amt": 5.5, "total_video_sale_30d_cnt": 6,
        "total_video_product_30d_cnt": 7,
    }
    answer(sandbox, [example("influencer-detail")[0] | changed])
    frame = kr.fetch_creator_windows(CREATOR, client=client).set_index("window_days")
    assert frame["followers_gained"].to_dict() == {1: -1, 7: -7, 30: 30, 90: 90}
    assert frame["likes_gained"].to_dict() == {1: 11, 7: 17, 30: 40, 90: 100}
    assert frame.loc[30].drop(["user_id", "observed_at", "source"]).to_list() == [30, 40, 2, -3.5, 4.5, 5.5, 6, 7]


def test_the_example_of_when_creators_post(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, example("influencer-detail"))
    frame = kr.fetch_creator_posting(CREATOR, client=client)
    assert frame["dimension"].to_list() == ["hour"] * 24 + ["weekday"] * 7 + ["duration"] * 5
    counts = frame.set_index(["dimension", "bucket"])["videos"]
    hours = [0, 0, 0, 0, 2, 3, 1, 4, 3, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    assert counts["hour"].to_dict() == {f"{hour:02}": number for hour, number in enumerate(hours)}
    assert counts["weekday"].to_dict() == {"1": 0, "2": 0, "3": 0, "4": 0, "5": 0, "6": 15, "7": 1}
    assert counts["duration"].to_dict() == {"2m": 0, "1m-2m": 0, "30s-60s": 16, "15s-30s": 0, "15s": 0}
    assert set(frame["user_id"]) == {CREATOR}


def test_the_example_of_categories_that_creators_sell(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, example("influencer-detail"))
    frame = kr.fetch_creator_categories(CREATOR, client=client)
    assert frame.drop(columns=["observed_at", "source"]).to_numpy().tolist() == [
        [CREATOR, 1, "600154", "809992", "810504"],
        [CREATOR, 2, "604968", "873352", "979976"],
        [CREATOR, 3, "601450", "849672", "601696"],
        [CREATOR, 4, "601450", "849160", "601506"],
        [CREATOR, 5, "600024", "859528", "600148"],
        [CREATOR, 6, "600024", "859528", "600135"],
    ]


def test_the_example_of_rankings_of_creators(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, example("influencer-ranking"))
    frame = kr.fetch_creator_rankings(region="US", date="2026-02-02", client=client)
    assert values(frame) == {
        "region": "US", "date": "2026-02-02 00:00:00", "cycle": "day", "ranked_by": "sales",
        "filter_category_id": None, "filter_niche": None, "position": 1, "user_id": "6633792625097490438",
        "username": "creator_a", "niche": "Other", "sales_flag": 4, "ec_score": 7.33, "followers_gained": None,
        "likes_gained": None, "videos_posted": None, "lives_held": None, "products_promoted": None,
        "units_period_est": 7752, "gmv_period_est": 73446.0, "followers": 46652, "likes": 9415852, "videos": 1716,
        "lives": 0, "products": 228, "units_sold_est": 45720, "gmv_est": 583910.0,
    }


def test_the_example_of_days_of_creators(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, example("influencer-trends"))
    frame = kr.fetch_creator_days("3993047", start="2025-08-02", end="2025-08-02", client=client)
    assert values(frame) == {
        "user_id": "3993047", "date": "2025-08-02 00:00:00", "followers": 181667, "followers_gained": -11,
        "views": 169385317, "likes": 10922916, "comments": 301218, "shares": 26660, "likes_gained": 2,
        "videos": 11210, "lives": 2, "units_day_est": 0, "gmv_day_est": 0.0,
    }
    days = "start_date=2025-08-02&end_date=2025-08-02&page_num=1&page_size=10"
    assert sent(sandbox) == [f"influencer/trends/analytics&user_id=3993047&{days}"]


def test_the_example_of_videos_of_creators(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, example("influencer-videos"))
    frame = kr.fetch_creator_videos("6761507140245292038", client=client)
    assert values(frame) == {
        "user_id": "6761507140245292038", "sorted_by": "posted", "position": 1, "video_id": "7643876071212944654",
        "username": "creator_c",
        "description": "Falls down? Uncomfortable? Not for you? The *new* Invisible by VS Bandeau Strapless Bra fixes "
                       "that. #victoriassecret #summerlooks ",
        "created_at": "2026-05-25 17:03:32", "creator_region": "US", "duration_s": 29, "ai_generated": False,
        "sales_flag": 1, "paid_ad": False, "width_px": 720, "height_px": 1280, "resolution": "720p",
        "size_bytes": 2595127, "views": 31640, "likes": 877, "comments": 32, "shares": 22, "favorites": 48,
        "views_1d": 31640, "views_7d": 31640, "views_30d": 31640, "likes_1d": 877, "likes_7d": 877, "likes_30d": 877,
        "units_sold_est": 0, "gmv_est": 0.0,
        "cover_url": "https://echosell-images.tos-ap-southeast-1.volces.com/video-cover/830/7643876071212944654.jpg",
    }


def test_the_example_of_products_of_creators(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, example("influencer-products"))
    frame = kr.fetch_creator_products("6813855719982466054", client=client)
    assert values(frame) == {
        "user_id": "6813855719982466054", "sorted_by": "showcase", "position": 1, "product_id": "1729383941730701675",
        "product_name": "Unbrush Detangling Hair Brush by FHI Heat", "category_l1_id": "601450", "price_avg": 14.98,
        "videos": 1, "lives": 0, "units_all_sellers_est": 943075, "gmv_all_sellers_est": 9604137.31,
        "video_units_est": 0, "video_gmv_est": 0.0, "live_units_est": 0, "live_gmv_est": 0.0,
    }


def test_the_example_of_a_product_by_id(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, example("product-list"))
    assert values(kr.fetch_products("1729383769606034185", client=client)) == A_PRODUCT
    assert sent(sandbox) == ["product/detail/analytics&product_ids=1729383769606034185"]


def test_the_example_of_a_search_of_products(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, example("product-list"))
    assert values(kr.fetch_product_search(region="US", min_price=5, on_sale=False, client=client)) == {
        "region": "US", "filter_category_l1_id": None, "filter_category_l2_id": None, "filter_category_l3_id": None,
        "filter_min_price": 5.0, "filter_max_price": None, "filter_on_sale": False, "sorted_by": "units_30d",
        "position": 1, **A_PRODUCT,
    }


def test_the_example_of_windows_of_products(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, example("product-list"))
    frame = kr.fetch_product_windows("1729383769606034185", client=client)
    assert frame["window_days"].to_list() == [1, 7, 15, 30, 60, 90]
    assert frame.columns.size == 15
    assert frame.drop(columns=["product_id", "window_days", "observed_at", "source"]).eq(0).to_numpy().all()


def test_each_window_of_a_product_has_its_own_fields(client: kr.Client, sandbox: Sandbox) -> None:
    of_fields = {
        "units_window_est": "total_sale_{}d_cnt", "gmv_window_est": "total_sale_gmv_{}d_amt",
        "videos_window": "total_video_{}d_cnt", "video_units_window_est": "total_video_sale_{}d_cnt",
        "video_gmv_window_est": "total_video_sale_gmv_{}d_amt", "lives_window": "total_live_{}d_cnt",
        "live_units_window_est": "total_live_sale_{}d_cnt", "live_gmv_window_est": "total_live_sale_gmv_{}d_amt",
        "video_creators_window": "total_ifl_video_{}d_cnt", "live_creators_window": "total_ifl_live_{}d_cnt",
        "views_window": "total_views_{}d_cnt",
    }
    windows = (1, 7, 15, 30, 60, 90)
    row = example("product-list")[0]
    for number, name in enumerate(of_fields.values(), 1):
        row |= {name.format(days): 1000 * number + days for days in windows}
    row["total_views_1d_cnt"] = -5
    answer(sandbox, [row])
    frame = kr.fetch_product_windows("1729383769606034185", client=client).set_index("window_days")
    assert frame["units_window_est"].to_list() == [1001, 1007, 1015, 1030, 1060, 1090]
    assert frame["views_window"].to_list() == [-5, 11007, 11015, 11030, 11060, 11090]
    first = frame.loc[7, list(of_fields)].to_list()
    assert first == [1007, 2007, 3007, 4007, 5007, 6007, 7007, 8007, 9007, 10007, 11007]


def test_the_example_of_rankings_of_videos(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, example("video-ranking"))
    frame = kr.fetch_video_rankings(region="US", date="2026-02-02", ranked_by="units", client=client)
    assert values(frame) == {
        "region": "US", "date": "2026-02-02 00:00:00", "cycle": "day", "ranked_by": "units",
        "filter_category_id": None, "filter_ai_only": False, "position": 1, "video_id": "7601397977986501919",
        "user_id": "6633792625097490438", "username": "creator_a",
        "description": "W huzz magnet 🧲 #fyp #ttshopfinds #seasaltspray #level3 #barbertok ",
        "created_at": "2026-01-31 05:46:45", "creator_region": "US", "duration_s": 15, "ai_generated": False,
        "sales_flag": 1, "views_gained": None, "likes_gained": None, "comments_gained": None, "shares_gained": None,
        "favorites_gained": None, "units_period_est": 5508, "gmv_period_est": 44613.0,
        "cover_url": "https://echosell-images.tos-ap-southeast-1.volces.com/video-cover/422/7601397977986501919.jpg",
    }


# Without an example: rows by the specification --------------------------------------------------------------------

RANKED_PRODUCT = {
    "product_id": "1729000000000000001", "product_name": "Brush", "category_id": "601450", "category_l2_id": "849672",
    "category_l3_id": "0", "spu_avg_price": 9.5, "min_price": 8, "max_price": 11.25, "product_commission_rate": 10,
    "region": "US", "total_ifl_cnt": 12, "total_video_cnt": 0, "total_live_cnt": 3, "total_sale_cnt": 456,
    "total_sale_gmv_amt": 4332.5,
}
DAY_OF_PRODUCT = {
    "product_id": "1729000000000000001", "dt": "2026-01-02", "spu_avg_price": 9.5, "total_ifl_cnt": 12,
    "total_video_cnt": 20, "total_live_cnt": 3, "total_sale_1d_cnt": -2, "total_sale_cnt": 456,
    "total_sale_gmv_1d_amt": -19, "total_sale_gmv_amt": 4332,
}
SELLER = {
    "product_id": "1729000000000000001", "user_id": "6633792625097490438", "region": "US", "category": "Beauty",
    "nick_name": "Creator A", "avatar": "https://a/b.jpg", "total_followers_cnt": 1, "total_following_cnt": 2,
    "total_digg_cnt": 3, "total_post_video_cnt": 4, "total_live_cnt": 5, "total_views_cnt": 6,
    "total_live_views_cnt": 7, "per_product_ifl_sale_cnt": 174907, "per_product_ifl_gmv_amt": 1922213,
}


def test_rankings_of_products_by_the_specification(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, [RANKED_PRODUCT])
    frame = kr.fetch_product_rankings(
        region="US", date="2026-01-28", cycle="week", category_l1_id=601450, category_l2_id="849672", client=client
    )
    assert values(frame) == {
        "region": "US", "date": "2026-01-26 00:00:00", "cycle": "week", "ranked_by": "units",
        "filter_category_l1_id": "601450", "filter_category_l2_id": "849672", "filter_category_l3_id": None,
        "position": 1, "product_id": "1729000000000000001", "product_name": "Brush", "category_l1_id": "601450",
        "category_l2_id": "849672", "category_l3_id": None, "price_avg": 9.5, "price_min": 8.0, "price_max": 11.25,
        "commission": 10.0, "creators_period": 12, "videos_period": None, "lives_period": 3, "units_period_est": 456,
        "gmv_period_est": 4332.5,
    }


def test_days_of_products_by_the_specification(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, [DAY_OF_PRODUCT])
    frame = kr.fetch_product_days("1729000000000000001", start="2026-01-01", end="2026-01-03", client=client)
    assert len(frame) == 1
    assert values(frame) == {
        "product_id": "1729000000000000001", "date": "2026-01-02 00:00:00", "price_avg": 9.5, "creators": 12,
        "videos": 20, "lives": 3, "units_day_est": -2, "gmv_day_est": -19.0, "units_sold_est": 456, "gmv_est": 4332.0,
    }
    days = "start_date=2026-01-01&end_date=2026-01-03&page_num=1&page_size=10"
    assert sent(sandbox) == [f"product/trends/analytics&product_id=1729000000000000001&{days}"]


def test_creators_of_products_by_the_specification(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, [SELLER])
    assert values(kr.fetch_product_creators("1729000000000000001", client=client)) == {
        "product_id": "1729000000000000001", "sorted_by": "gmv", "position": 1, "user_id": "6633792625097490438",
        "creator_region": "US", "niche": "Beauty", "followers": 1, "following": 2, "likes": 3, "videos": 4, "lives": 5,
        "views": 6, "live_views": 7, "units_by_creator_est": 174907, "gmv_by_creator_est": 1922213.0,
    }
