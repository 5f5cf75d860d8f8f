"""Creators, products and their days: answers value by value, requests as they are sent. Expected values are by hand.

The answers are EchoTik's examples of the same endpoints; where there is none, a row by its specification.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research.catalogue.listed import personal
from keyapi_research.model import TABLES, Endpoint, endpoints_at
from keyapi_research.places import Coded, CountOf, Field, FromQuery, PerList
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
    frame = kr.fetch_creator_rankings(region="US", date="2025-06-02", client=client)
    assert values(frame) == {
        "region": "US", "date": "2025-06-02 00:00:00", "cycle": "day", "ranked_by": "sales",
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
    frame = kr.fetch_video_rankings(region="US", date="2025-06-02", ranked_by="units", client=client)
    assert values(frame) == {
        "region": "US", "date": "2025-06-02 00:00:00", "cycle": "day", "ranked_by": "units",
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


# Rules of values ----------------------------------------------------------------------------------------------------

GAINS = {"total_followers_cnt": 0, "total_sale_cnt": 0, "total_sale_gmv_amt": 0}


@pytest.mark.parametrize(
    ("ranked_by", "expected"),
    [("followers", [0, None, None, None]), ("sales", [None, 0, 0.0, None])],
)
def test_a_zero_in_a_ranking_of_creators_counts_where_it_is_ranked(
    client: kr.Client, sandbox: Sandbox, ranked_by: str, expected: list[object]
) -> None:
    answer(sandbox, [example("influencer-ranking")[0] | GAINS])
    frame = kr.fetch_creator_rankings(region="US", ranked_by=ranked_by, client=client)
    row = values(frame)
    assert [row[name] for name in ("followers_gained", "units_period_est", "gmv_period_est", "lives_held")] == expected
    assert row["lives"] == 0  # a total


@pytest.mark.parametrize(("ranked_by", "expected"), [("units", [None, 0, 0.0]), ("creators", [0, None, None])])
def test_a_zero_in_a_ranking_of_products_counts_where_it_is_ranked(
    client: kr.Client, sandbox: Sandbox, ranked_by: str, expected: list[object]
) -> None:
    answer(sandbox, [RANKED_PRODUCT | {"total_ifl_cnt": 0, "total_sale_cnt": 0, "total_sale_gmv_amt": 0}])
    row = values(kr.fetch_product_rankings(region="US", ranked_by=ranked_by, client=client))
    assert [row[name] for name in ("creators_period", "units_period_est", "gmv_period_est")] == expected


@pytest.mark.parametrize(("ranked_by", "expected"), [("views", [0, None, None]), ("units", [None, 0, 0.0])])
def test_a_zero_in_a_ranking_of_videos_counts_where_it_is_ranked(
    client: kr.Client, sandbox: Sandbox, ranked_by: str, expected: list[object]
) -> None:
    answer(sandbox, [example("video-ranking")[0] | {"total_video_sale_cnt": 0, "total_video_sale_gmv_amt": 0}])
    row = values(kr.fetch_video_rankings(region="US", ranked_by=ranked_by, client=client))
    assert [row[name] for name in ("views_gained", "units_period_est", "gmv_period_est")] == expected


def test_gains_may_be_negative_and_totals_may_not(client: kr.Client, sandbox: Sandbox) -> None:
    lost = {"total_followers_cnt": -300, "total_sale_gmv_amt": -1.5, "total_followers_history_cnt": -1}
    answer(sandbox, [example("influencer-ranking")[0] | lost])
    row = values(kr.fetch_creator_rankings(region="US", client=client))
    assert [row[name] for name in ("followers_gained", "gmv_period_est", "followers")] == [-300, -1.5, None]


def test_a_rating_of_zero_counts_beside_reviews(client: kr.Client, sandbox: Sandbox) -> None:
    first, second = example("product-list")[0], example("product-list")[0]
    answer(sandbox, [first, second | {"product_id": "2", "product_rating": 4.6, "review_count": 12}])
    frame = kr.fetch_products(["1729383769606034185", "2"], client=client)
    assert frame["rating"].isna().to_list() == [True, False]
    assert frame["rating"].to_list()[1] == 4.6


def test_category_ids_of_zero_are_missing(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, [example("product-list")[0] | {"category_id": "0", "category_l2_id": 0, "category_l3_id": "0"}])
    row = values(kr.fetch_products("1729383769606034185", client=client))
    assert [row[f"category_l{level}_id"] for level in (1, 2, 3)] == [None, None, None]


def test_a_percentage_in_a_text_is_reported_and_not_read(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, [example("influencer-detail")[0] | {"interaction_rate": "48%"}])
    with pytest.warns(kr.SchemaDriftWarning, match=r"interaction_rate"):
        frame = kr.fetch_creators(CREATOR, client=client)
    assert frame["engagement_ratio"].isna().all()
    assert frame["followers"].to_list() == [4173]


def test_codes_become_words(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, [example("product-list")[0] | {"from_flag": 2, "sales_trend_flag": 2, "shop_type": 1, "is_hot": 1}])
    row = values(kr.fetch_products("1729383769606034185", client=client))
    assert [row[name] for name in ("origin", "sales_trend", "brand_shop", "bestseller")] == [
        "cross_border", "down", True, True,
    ]


# Lists in texts -----------------------------------------------------------------------------------------------------

VIDEO = "7117191641181555995"


def a_video(**changed: object) -> Rows:
    return [dict.fromkeys(FIELDS["/v1/tiktok/video/detail/analytics"], 1) | {"video_id": VIDEO} | changed]


@pytest.mark.parametrize(
    ("text", "products", "number"),
    [
        ("[1729436418527695003]", ["1729436418527695003"], 1),
        ("[1729436418527695003, 1732322694475518433]", ["1729436418527695003", "1732322694475518433"], 2),
        ('["1729436418527695003"]', ["1729436418527695003"], 1),
        ([1729436418527695003, "2"], ["1729436418527695003", "2"], 2),
        ("[]", [], 0),
        ([], [], 0),
        (None, [], None),
        ("", [], None),
    ],
)
def test_products_of_videos_in_every_form(
    client: kr.Client, sandbox: Sandbox, text: object, products: list[str], number: int | None
) -> None:
    answer(sandbox, a_video(video_products=text, is_ad=1))
    frame = kr.fetch_video_products(VIDEO, client=client)
    assert frame["product_id"].to_list() == products
    assert frame["position"].to_list() == list(range(1, len(products) + 1))
    row = values(kr.fetch_videos(VIDEO, client=client))
    assert (row["n_products"], row["paid_ad"]) == (number, True)
    assert len(sandbox.requests) == 1


def test_a_video_without_what_was_added_lately_is_no_change(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, a_video())
    with warnings.catch_warnings():
        warnings.simplefilter("error", kr.SchemaDriftWarning)
        row = values(kr.fetch_videos(VIDEO, client=client))
    assert (row["n_products"], row["paid_ad"]) == (None, None)


DEEP = pytest.param("[" * 100_000, id="nested too deeply")


@pytest.mark.parametrize("text", ["[1729436418527695003", "none", "{}", 5, {"1": 2}, DEEP, "1729436418527695003"])
def test_a_list_of_products_that_cannot_be_read_is_counted(client: kr.Client, sandbox: Sandbox, text: object) -> None:
    answer(sandbox, a_video(video_products=text))
    with pytest.warns(kr.SchemaDriftWarning, match=r"1 x data\[\]\.video_products"):
        frame = kr.fetch_video_products(VIDEO, client=client)
    assert frame.empty


@pytest.mark.parametrize("text", ['{"00":1', '["00"]', "00", 7])
def test_counts_that_cannot_be_read_are_counted(client: kr.Client, sandbox: Sandbox, text: object) -> None:
    answer(sandbox, [example("influencer-detail")[0] | {"influencer_video_publish_hour": text}])
    with pytest.warns(kr.SchemaDriftWarning, match=r"1 x data\[\]\.influencer_video_publish_hour"):
        frame = kr.fetch_creator_posting(CREATOR, client=client)
    assert frame["dimension"].value_counts().to_dict() == {"weekday": 7, "duration": 5}


def test_counts_without_quotes_around_them_are_read_alike(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, [example("influencer-detail")[0] | {
        "influencer_video_publish_hour": '{"23": 2, "00": 1}', "influencer_video_publish_week": None,
        "influencer_video_duration_level": "{}",
    }])
    frame = kr.fetch_creator_posting(CREATOR, client=client)
    assert frame[["dimension", "bucket", "videos"]].to_numpy().tolist() == [["hour", "23", 2], ["hour", "00", 1]]


def test_a_category_that_cannot_be_read_is_counted_and_the_others_stay(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, [example("influencer-detail")[0] | {"product_category_list": "1-2-3:2, 4-5-6:1,7-8:3,x"}])
    with pytest.warns(kr.SchemaDriftWarning, match=r"2 x the key \(position\) of creator_categories"):
        frame = kr.fetch_creator_categories(CREATOR, client=client)
    assert frame.iloc[:, 1:5].to_numpy().tolist() == [[2, "1", "2", "3"], [1, "4", "5", "6"]]


# What is sent -------------------------------------------------------------------------------------------------------

Fetch = Callable[[kr.Client], pd.DataFrame]
PAGE = "page_num=1&page_size=10"
CREATORS_TOP = "influencer/ranking/analytics&region=US"
PRODUCTS_TOP = "product/ranking/analytics&region=US"
VIDEOS_TOP = "video/ranking/analytics&region=GB"
SEARCH = "product/list/analytics&region=US"
OF_CREATOR = "analytics&user_id=3993047"


def videos_of(sort: str) -> Fetch:
    return lambda client: kr.fetch_creator_videos("3993047", sort=sort, client=client)


def products_of(sort: str) -> Fetch:
    return lambda client: kr.fetch_creator_products("3993047", sort=sort, client=client)


def sellers(sort: str) -> Fetch:
    return lambda client: kr.fetch_product_creators(17, sort=sort, client=client)


def search(sort: str) -> Fetch:
    return lambda client: kr.fetch_product_search(region="US", sort=sort, on_sale=False, client=client)


@pytest.mark.parametrize(
    ("fetch", "query"),
    [  # the sandbox's day is 2026-02-03, a Tuesday
        (lambda c: kr.fetch_creators(["1", "2", 1], client=c), "influencer/detail/analytics&user_ids=1,2"),
        (lambda c: kr.fetch_creators(["@Ann_b", "ann_B", "bob"], by="username", client=c),
         "influencer/detail/analytics&unique_ids=ann_b,bob"),
        (lambda c: kr.fetch_products([1, 2], client=c), "product/detail/analytics&product_ids=1,2"),
        (lambda c: kr.fetch_creator_rankings(region="us", client=c),
         f"{CREATORS_TOP}&date=2026-02-02&rank_type=1&influencer_rank_field=2&{PAGE}"),
        (lambda c: kr.fetch_creator_rankings(region="US", cycle="week", ranked_by="followers", client=c),
         f"{CREATORS_TOP}&date=2026-01-26&rank_type=2&influencer_rank_field=1&{PAGE}"),
        (lambda c: kr.fetch_creator_rankings(region="US", cycle="month", date="2025-12-24", category_id=601450,
                                             niche="pets", client=c),
         f"{CREATORS_TOP}&date=2025-12-01&rank_type=3&influencer_rank_field=2&product_category_id=601450"
         f"&category_id=601450&influencer_category_name=Pets&{PAGE}"),
        (lambda c: kr.fetch_product_rankings(region="US", client=c),
         f"{PRODUCTS_TOP}&date=2026-02-02&rank_type=1&product_rank_field=1&{PAGE}"),
        (lambda c: kr.fetch_product_rankings(region="US", ranked_by="creators", category_l1_id=1, category_l2_id=2,
                                             category_l3_id=3, client=c),
         f"{PRODUCTS_TOP}&date=2026-02-02&rank_type=1&product_rank_field=2&category_id=1&category_l2_id=2"
         f"&category_l3_id=3&{PAGE}"),
        (lambda c: kr.fetch_video_rankings(region="GB", client=c),
         f"{VIDEOS_TOP}&date=2026-02-02&rank_type=1&video_rank_field=1&{PAGE}"),
        (lambda c: kr.fetch_video_rankings(region="GB", ranked_by="units", category_id=7, ai_only=True, client=c),
         f"{VIDEOS_TOP}&date=2026-02-02&rank_type=1&video_rank_field=2&product_category_id=7&created_by_ai=true&{PAGE}"),
        (lambda c: kr.fetch_product_search(region="US", client=c),
         f"{SEARCH}&off_mark=0&product_sort_field=5&sort_type=1&{PAGE}"),
        (lambda c: kr.fetch_product_search(region="US", category_l1_id=1, category_l2_id=2, category_l3_id=3,
                                           min_price=5, max_price=9.99, sort="price", client=c),
         f"{SEARCH}&category_id=1&category_l2_id=2&category_l3_id=3&min_spu_avg_price=5&max_spu_avg_price=9.99"
         f"&off_mark=0&product_sort_field=3&sort_type=1&{PAGE}"),
        *((search(sort), f"{SEARCH}&product_sort_field={code}&sort_type=1&{PAGE}")
          for sort, code in (("units", 1), ("gmv", 2), ("units_7d", 4), ("gmv_7d", 6), ("gmv_30d", 7))),
        *((videos_of(sort), f"influencer/videos/{OF_CREATOR}&influencer_video_sort_field={code}&sort_type=1&{PAGE}")
          for sort, code in (("posted", 4), ("views", 1), ("units", 2), ("gmv", 3))),
        (products_of("showcase"), f"influencer/products/{OF_CREATOR}&{PAGE}"),
        *((products_of(sort),
           f"influencer/products/{OF_CREATOR}&influencer_product_sort_field={code}&sort_type=1&{PAGE}")
          for sort, code in (("units", 1), ("gmv", 2), ("price", 3), ("video_units", 4), ("video_gmv", 5))),
        *((sellers(sort),
           f"product/creators/analytics&product_id=17&product_influencer_sort_field={code}&sort_type=1&{PAGE}")
          for sort, code in (("followers", 1), ("likes", 2), ("units", 3), ("gmv", 4), ("videos", 5), ("views", 6),
                             ("live_views", 7))),
        (lambda c: kr.fetch_creator_days("3993047", start="3D", client=c),
         f"influencer/trends/{OF_CREATOR}&start_date=2026-01-31&end_date=2026-02-02&{PAGE}"),
    ],
)
def test_what_is_sent(client: kr.Client, sandbox: Sandbox, fetch: Fetch, query: str) -> None:
    answer(sandbox, [])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.KeyAPIWarning)
        assert fetch(client).empty
    assert sent(sandbox) == [query]


@pytest.mark.parametrize(
    ("fetch", "message"),
    [
        (kr.fetch_creator_rankings, r"missing a required .*'region'"),
        (lambda: kr.fetch_creator_rankings(region=None), r"region must be an ISO-2 country code"),
        (lambda: kr.fetch_video_rankings(region="all_regions"), r"'all_regions' is not documented"),
        (lambda: kr.fetch_product_rankings(region="US", cycle="year"), r"cycle must be one of day, week, month"),
        (lambda: kr.fetch_product_rankings(region="US", ranked_by="gmv"), r"ranked_by must be one of units, creators"),
        (lambda: kr.fetch_creator_rankings(region="US", ranked_by="followres"), r"Did you mean 'followers'\?"),
        (lambda: kr.fetch_creator_rankings(region="US", niche="Beuty"), r"not a niche .* Did you mean 'Beauty'\?"),
        (lambda: kr.fetch_creator_rankings(region="US", niche=5), r"5 is not a niche of creators"),
        (lambda: kr.fetch_creator_rankings(region="US", date="2026-02-03"), r"2026-02-03 is not over yet"),
        (lambda: kr.fetch_creator_rankings(region="US", date="yesterday"), r"date must be a day such as"),
        (lambda: kr.fetch_creator_rankings(region="US", category_id="Beauty"), r"must be the id of a category, not"),
        (lambda: kr.fetch_video_rankings(region="US", ai_only="yes"), r"ai_only must be True or False"),
        (lambda: kr.fetch_product_search(region="US", min_price=10, max_price=9.99),
         r"min_price 10 is above max_price 9\.99\. Exchange them"),
        (lambda: kr.fetch_product_search(region="US", min_price=-1), r"min_price must be a price"),
        (lambda: kr.fetch_product_search(region="US", sort="views"), r"sort must be one of units, gmv, price"),
        (lambda: kr.fetch_creators("1", by="handle"), r"by must be one of user_id, username"),
        (lambda: kr.fetch_creators("creator_b"), r'For handles, kr.fetch_creators\(handles, by="username"\)'),
        (lambda: kr.fetch_creators("https://www.tiktok.com/@nba", by="username"), r"only the name after @"),
        (lambda: kr.fetch_creators("a b", by="username"), r"not a valid handle. Pass several as a list"),
        (lambda: kr.fetch_creator_days("1", start="2026-02-01", end="2026-02-03"), r"end 2026-02-03 is not over yet"),
        (lambda: kr.fetch_product_days("1", start="2026-02-02", end="2026-02-01"), r"start 2026-02-02 is after end"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_sent(
    client: kr.Client, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, fetch: Callable[[], object], message: str
) -> None:
    monkeypatch.setattr("keyapi_research.client.connection.IN_USE.client", client)
    with pytest.raises(kr.InvalidArgumentError, match=message):
        fetch()
    assert sandbox.requests == []


def test_equal_prices_and_other_cases_of_niches_are_accepted(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, example("product-list"))
    assert len(kr.fetch_product_search(region="US", min_price=5, max_price=5, client=client)) == 1
    answer(sandbox, example("influencer-ranking"))
    frame = kr.fetch_creator_rankings(region="US", niche=" entertainment", client=client)
    assert frame["filter_niche"].to_list() == ["Entertainment"]


def test_creators_by_handle_serve_their_ids_too(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, example("influencer-detail"))
    assert values(kr.fetch_creators("@Creator_B", by="username", client=client)) == A_CREATOR
    windows = kr.fetch_creator_windows("creator_b", by="username", client=client)
    assert windows["user_id"].to_list() == [CREATOR] * 4
    assert values(kr.fetch_creators(CREATOR, client=client)) == A_CREATOR
    assert kr.fetch_creator_categories(CREATOR, client=client)["position"].to_list() == [1, 2, 3, 4, 5, 6]
    assert sent(sandbox) == ["influencer/detail/analytics&unique_ids=creator_b"]


@pytest.mark.parametrize(
    ("fetch", "rows"),
    [
        (lambda c: kr.fetch_creator_videos("1", client=c), "influencer-videos"),
        (lambda c: kr.fetch_creator_products("1", client=c), "influencer-products"),
        (lambda c: kr.fetch_creators("1", client=c), "influencer-detail"),
        (lambda c: kr.fetch_products("1", client=c), "product-list"),
        (lambda c: kr.fetch_creator_days("1", start="2025-08-02", end="2025-08-02", client=c), "influencer-trends"),
    ],
)
def test_rows_about_somebody_else_are_not_used(client: kr.Client, sandbox: Sandbox, fetch: Fetch, rows: str) -> None:
    answer(sandbox, example(rows))
    with pytest.raises(kr.UnexpectedResponseError, match="'1' was requested, but the answer"):
        fetch(client)


# The declarations ---------------------------------------------------------------------------------------------------


def paths_of(endpoint: Endpoint) -> set[str]:
    """Return the fields of a row that have columns."""
    paths = set()
    for table in endpoint.tables:
        for column in table.columns:
            places = column.place.places if isinstance(column.place, PerList) else (column.place,)
            for place in (one.checked if isinstance(one, FromQuery) else one for one in places):
                if isinstance(place, Field | CountOf | Coded):
                    paths.add(place.path.removeprefix("[].").partition("[]")[0])
    return paths


@pytest.mark.parametrize("path", FIELDS)
def test_every_field_of_the_specification_has_a_column_or_is_listed_as_not_tabled(path: str) -> None:
    for endpoint in endpoints_at(path):
        aside = {one.removeprefix("[].") for one in endpoint.not_tabled}
        assert set(FIELDS[path]) - paths_of(endpoint) - aside == set()
        assert paths_of(endpoint) & aside == set()


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("influencer-detail", "influencer/detail"), ("influencer-ranking", "influencer/ranking"),
        ("influencer-trends", "influencer/trends"), ("influencer-videos", "influencer/videos"),
        ("influencer-products", "influencer/products"), ("product-list", "product/list"),
        ("video-ranking", "video/ranking"),
    ],
)
def test_every_field_of_an_example_has_a_column_or_is_listed_as_not_tabled(name: str, path: str) -> None:
    for endpoint in endpoints_at(f"/v1/tiktok/{path}/analytics"):
        aside = {one.removeprefix("[].") for one in endpoint.not_tabled}
        assert set(example(name)[0]) - paths_of(endpoint) - aside == set()


@pytest.mark.parametrize("path", FIELDS)
def test_no_column_has_personal_data(path: str) -> None:
    for endpoint in endpoints_at(path):
        assert paths_of(endpoint).isdisjoint(personal())


def test_what_rows_lead_to_exists() -> None:
    names = [name for name, table in TABLES.items() if table.endpoint.path in FIELDS]
    led = {(name, method): TABLES[name].leads_to[method] for name in names for method in TABLES[name].leads_to}
    for (name, method), (by, target) in led.items():
        holder = TABLES[name] if by in TABLES[name].names else TABLES[by]
        column = holder.leads_to[method][0]
        endpoint = TABLES[target].endpoint
        assert endpoint.entity is not None
        assert holder[column].kind == "id"
        assert column == endpoint.entity.column
    assert {name for name, method in led if method == "fetch_creators"} == {
        "videos", "video_rankings", "creator_rankings", "creator_days", "creator_videos", "creator_products",
        "product_creators", "creator_windows", "creator_posting", "creator_categories", "creators",
    }
    assert {name for name, method in led if method == "fetch_products"} == {
        "videos", "video_products", "creator_products", "product_rankings", "product_days", "product_creators",
        "product_search", "product_windows", "products",
    }
    assert {name: by for (name, method), (by, _) in led.items() if method == "fetch_days"} == {
        "creators": "user_id", "creator_rankings": "user_id", "creator_days": "user_id", "products": "product_id",
        "product_rankings": "product_id", "product_search": "product_id", "product_days": "product_id",
    }
    assert {name for name, method in led if method == "fetch_videos"} == {"creator_videos", "video_rankings"}
    assert {name: TABLES[name].reached_by for name in names if TABLES[name].reached_by} == {
        "creator_windows": "windows", "creator_posting": "posting", "creator_categories": "categories",
        "product_windows": "windows", "video_products": "products",
    }


@pytest.mark.parametrize(
    ("table", "measures"),
    [
        ("creators", {"followers": "total", "views_per_video_30d": "of the window"}),
        ("creator_windows", {"followers_gained": "of the window", "gmv_window_est": "of the window"}),
        ("creator_days", {"followers": "total", "followers_gained": "of the day", "gmv_day_est": "of the day"}),
        ("creator_rankings", {"followers": "total", "followers_gained": "of the period"}),
        ("product_days", {"price_avg": "of the day", "units_sold_est": "total"}),
        ("videos", {"views": "total", "views_7d": "of the window"}),
    ],
)
def test_what_a_measure_adds_up_is_told(table: str, measures: Mapping[str, str]) -> None:
    units = kr.describe(table).set_index("column")["unit"]
    assert {name: units[name].rpartition(", ")[2] for name in measures} == dict(measures)
