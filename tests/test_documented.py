"""Every value of the five documented answers arrives in its table, or is declared "not tabled".

All expected values are written by hand from the documentation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

import keyapi_research as kr

PERFUME = {
    "region": "all_regions", "time_scope": "1", "category_id": "601583", "category": "Perfume", "category_level": "l3",
    "category_l1_id": "601450", "category_l1": "Beauty & Personal Care", "category_l2_id": "848648",
    "category_l2": "Makeup & Perfume", "category_l3_id": "601583", "category_l3": "Perfume", "slug": "Perfume",
    "cover_url": None, "source": "sandbox",
}
POSTS = """7489287341782207752 7322538146644757803 7437358276766878984 7493243405720440065 7371925907730222366
7354078334856252673 7580412827698056449 7373467970732936453 7558392487014829328 7456866075922189586
7330744428107255082 7452002684271381761 7372930252676336912 7507728712339606791 7483101539792391442
7465257258704882952 7291702264601922849 7477631264082644231 7459821873392651537 7442600990055992583
7487414260713229584 7348480031263345953 7438642366417734920 7366402226266361104 7277727410487954690
7487906878953999617 7515535551953423623 7578939582419422480 7503520994095746322 7522058809922145543
7413415145654832385 7380457327293467921 7418526110725524752 7437072616986250504 7373841522418093318
7463103849075887378 7432717888592694535 7465239656154582273 7467217345413467410 7476423483078053153
7466195145482849552 7388728031080123655 7376061755342064902 7490463988879314183 7497001351096929554
7424986288345943314 7437510290830314753 7509898772168625425 7372500018785209618 7411521847524707592""".split()  # noqa: SIM905 - pasted as documented
DAYS = [f"2026-01-{day}" for day in range(27, 32)] + ["2026-02-01", "2026-02-02"]
UFC_INTERESTS = [
    ("10058", "diversify_10058", "Extreme Sports", 263), ("10060", "diversify_10060", "Sports News", 254),
    ("10064", "diversify_10064", "Fishing, Hunting & Camping", 144),
    ("10059", "diversify_10059", "Traditional Sports", 121), ("10061", "diversify_10061", "Fitness", 121),
]
UFC_COUNTRIES = [
    ("1821275", "MO", "Macao", 780), ("630336", "BY", "Belarus", 617), ("2963597", "IE", "Ireland", 471),
    ("1522867", "KZ", "Kazakhstan", 408), ("2186224", "NZ", "New Zealand", 395), ("660013", "FI", "Finland", 356),
    ("597427", "LT", "Lithuania", 353), ("2077456", "AU", "Australia", 346), ("458258", "LV", "Latvia", 340),
    ("3202326", "HR", "Croatia", 314), ("2782113", "AT", "Austria", 308),
]
SUN_INTERESTS = [
    ("10004", "diversify_10004", "Scripted Drama", 1186), ("10011", "diversify_10011", "Other Talent", 248),
    ("10049", "diversify_10049", "Entertainment News", 233), ("10073", "diversify_10073", "Selfies", 215),
    ("10081", "diversify_10081", "Street Interviews & Social Experiments", 196),
]
SUN_COUNTRIES = [
    ("458258", "LV", "Latvia", 1426), ("3202326", "HR", "Croatia", 1050), ("597427", "LT", "Lithuania", 933),
    ("732800", "BG", "Bulgaria", 792), ("2782113", "AT", "Austria", 713), ("798549", "RO", "Romania", 710),
    ("2264397", "PT", "Portugal", 698), ("2510769", "ES", "Spain", 638), ("2658434", "CH", "Switzerland", 591),
    ("1821275", "MO", "Macao", 572),
]
SIGNED_COVER = (
    "https://p16-sign-va.tiktokcdn.com/obj/tos-useast2a-p-0037-aiso/10ac878b58bc493d95648645d9c6919f_1657100323"
    "?x-expires=1667955600&x-signature=4GZyOdFUeeE7VVOpueALfFDjs%2F4%3D"
)


def segments(*lists: tuple[str, str, list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
    return [(dimension, one, code, name, float(score), unit)
            for dimension, unit, rows in lists for one, code, name, score in rows]


def bands(*rows: tuple[int, str, int]) -> tuple[str, str, list[tuple[Any, ...]]]:
    return "age", "percent", [(str(level), None, band, score) for level, band, score in rows]


SEGMENT = ["dimension", "segment_id", "segment_code", "segment", "score", "score_unit"]
EXPECTED: dict[str, tuple[dict[str, Any], list[str], list[tuple[Any, ...]]]] = {
    # table: (columns with one value, names of the other columns, their rows)
    "product_insights": (
        {**PERFUME, "search": None, "filter_category_id": None, "position": 1, "posts": 11500,
         "posts_change_pct": 0.27, "impressions": 20_000_000, "ctr_pct": 1.83, "cvr_pct": 5.71, "view_6s_pct": 8.77,
         "cpa": 4.92, "cost": 48200.0, "likes": 48452, "comments": 1029, "shares": 873},
        [], [()],
    ),
    "product_details": (
        {**PERFUME, "n_posts": 50, "n_hashtags": 5, "n_audience_ages": 5, "n_audience_interests": 0}, [], [()],
    ),
    "product_audience": (
        {"region": "all_regions", "time_scope": "1", "category_id": "601583", "source": "sandbox"}, SEGMENT,
        segments(bands((25, "25-34", 38), (18, "18-24", 29), (35, "35-44", 19), (45, "45-54", 8), (55, "55+", 6))),
    ),
    "product_hashtags": (
        {"region": "all_regions", "time_scope": "1", "category_id": "601583", "source": "sandbox"},
        ["position", "hashtag_name"],
        [(1, "vlog"), (2, "perfume"), (3, "สตอรี่ความรู้สึก"), (4, "manga"), (5, "الامارات")],
    ),
    "product_posts": (
        {"region": "all_regions", "time_scope": "1", "category_id": "601583", "source": "sandbox"},
        ["position", "video_id"], list(enumerate(POSTS, start=1)),
    ),
    "videos": (
        {"video_id": "7117191641181555995", "user_id": "7014352645545116698", "username": "ruangrinndu",
         "description": "bulan lahir kalian ada ngga kira kira?",
         "created_at": pd.Timestamp("2022-07-06 09:38:35", tz="UTC"), "creator_region": None, "duration_s": 40,
         "width_px": 576, "height_px": 1024, "resolution": "720p", "size_bytes": 1049064, "ai_generated": False,
         "sales_flag": 1, "views": 211100, "likes": 18200, "comments": 939, "shares": 1649, "favorites": None,
         "views_1d": 0, "views_7d": 0, "views_30d": 0, "likes_1d": 0, "likes_7d": 0, "likes_30d": 0,
         "units_sold_est": 0, "gmv_est": 0.0, "cover_url": SIGNED_COVER, "paid_ad": None,
         "n_products": None, "source": "sandbox"},
        [], [()],
    ),
    "hashtags": (
        {"region": "all_regions", "period": 7, "hashtag_name": "ufc324", "hashtag_id": "7357697982441422880",
         "market": "ALL", "market_name": "ALL", "industry_id": "28000000000", "industry": "Sports & Outdoor",
         "promoted": False, "posts": 12142, "views": 506402059, "posts_all": 34146, "views_all": 1289245188,
         "popular_days": 0, "current_popularity": 0, "n_trend_points": 7, "n_audience_ages": 3,
         "n_audience_interests": 5, "n_audience_countries": 11, "n_related": 5,
         "url": "https://www.tiktok.com/tag/ufc324", "source": "sandbox"},
        [], [()],
    ),
    "hashtag_trends": (
        {"region": "all_regions", "period": 7, "hashtag_name": "ufc324", "source": "sandbox"},
        ["date", "share_of_peak"],
        [(pd.Timestamp(day, tz="UTC"), value)
         for day, value in zip(DAYS, [1, 0.7, 0.48, 0.31, 0.26, 0.25, 0.3], strict=True)],
    ),
    "hashtag_audience": (
        {"region": "all_regions", "period": 7, "hashtag_name": "ufc324", "source": "sandbox"}, SEGMENT,
        segments(bands((3, "18-24", 65), (4, "25-34", 23), (5, "35+", 12)), ("interest", "index", UFC_INTERESTS),
                 ("country", "index", UFC_COUNTRIES)),
    ),
    "related_hashtags": (
        {"region": "all_regions", "period": 7, "hashtag_name": "ufc324", "source": "sandbox"},
        ["position", "related_hashtag_id", "related_hashtag_name", "related_url"],
        [(at, one, name, f"https://www.tiktok.com/tag/{name}") for at, (one, name) in enumerate(
            [("1664180092709893", "paddypimblett"), ("1624672392451077", "justingaethje"),
             ("1651468147224581", "seanomalley"), ("1661965843527686", "paddythebaddy"),
             ("1644658357349381", "gaethje")], start=1)],
    ),
    "music": (
        {"region": "US", "period": 7, "clip_id": "6703723351497508865", "song_id": "6703723270476138498",
         "title": "New Sun", "author": "Chihei Hatakeyama", "duration_s": 60, "market": "US", "commercial_use": False,
         "promoted": False, "rank": None, "rank_change": None, "times_on_list": None, "likes": None,
         "popular_days": 0, "current_popularity": 0, "n_trend_points": 7, "n_audience_ages": None,
         "n_audience_interests": 5, "n_audience_countries": 10, "n_videos": None, "slug": "New-Sun",
         "url": "https://www.tiktok.com/music/x-6703723351497508865", "audio_url": None,
         "cover_url": "https://p16-sg.tiktokcdn.com/aweme/720x720/tos-alisg-v-2774/"
                      "ocjWmiaBw4AAcY8ifAzsAAB5EQd8FDEDsu3Awo.jpeg", "source": "sandbox"},
        [], [()],
    ),
    "music_trends": (
        {"region": "US", "period": 7, "clip_id": "6703723351497508865", "source": "sandbox"},
        ["date", "share_of_peak"],
        [(pd.Timestamp(day, tz="UTC"), value)
         for day, value in zip(DAYS, [0.06, 0.05, 0.31, 0.3, 0.1, 0.36, 1], strict=True)],
    ),
    "music_audience": (
        {"region": "US", "period": 7, "clip_id": "6703723351497508865", "source": "sandbox"}, SEGMENT,
        segments(("interest", "index", SUN_INTERESTS), ("country", "index", SUN_COUNTRIES)),
    ),
    "music_videos": (
        {"region": "US", "period": 7, "clip_id": "6703723351497508865", "source": "sandbox"},
        ["position", "video_id", "cover_uri"], [],
    ),
}
REQUESTS = {
    "insights-products": ("product_insights", {"limit": 1}),
    "insights-product-detail": ("product_details", {"category_ids": "601583"}),
    "video-detail-analytics": ("videos", {"video_ids": "7117191641181555995"}),
    "trending-hashtag-detail": ("hashtags", {"hashtag_names": "ufc324"}),
    "trending-music-detail": ("music", {"clip_ids": "6703723351497508865"}),
}
OF_PAGE = {
    "product_audience": "insights-product-detail", "product_hashtags": "insights-product-detail",
    "product_posts": "insights-product-detail", "hashtag_trends": "trending-hashtag-detail",
    "hashtag_audience": "trending-hashtag-detail", "related_hashtags": "trending-hashtag-detail",
    "music_trends": "trending-music-detail", "music_audience": "trending-music-detail",
    "music_videos": "trending-music-detail",
} | {table: page for page, (table, _) in REQUESTS.items()}

# Values of the documented answers that no table has, by hand: they are in raw().
NOT_TABLED = {
    "insights-products": Counter({
        "code": 1, "message": 1, "requestId": 1,
        "data.pagination.page": 1, "data.pagination.size": 1, "data.pagination.total": 1,
        "data.pagination.has_more": 1,
        "data.list[].first_ecom_category.label": 1, "data.list[].second_ecom_category.label": 1,
        "data.list[].third_ecom_category.label": 1, "data.list[].second_ecom_category.parent_id": 1,
        "data.list[].third_ecom_category.parent_id": 1,
    }),
    "insights-product-detail": Counter({
        "code": 1, "message": 1, "requestId": 1,
        "data.info.first_ecom_category.label": 1, "data.info.second_ecom_category.label": 1,
        "data.info.third_ecom_category.label": 1, "data.info.second_ecom_category.parent_id": 1,
        "data.info.third_ecom_category.parent_id": 1,
    }),
    "video-detail-analytics": Counter({"code": 1, "message": 1, "requestId": 1}),
    "trending-hashtag-detail": Counter({
        "code": 1, "message": 1, "requestId": 1, "data.info.country_info.id": 1, "data.info.industry_info.label": 1,
    }),
    "trending-music-detail": Counter({
        "code": 1, "message": 1, "requestId": 1, "data.liked": 1, "data.disliked": 1, "data.sound.is_search": 1,
    }),
}


def fetch(table: str, client: kr.Client) -> pd.DataFrame:
    return getattr(kr, f"fetch_{table}")(**REQUESTS[OF_PAGE[table]][1], client=client)


@pytest.mark.parametrize("table", EXPECTED)
def test_every_value_arrives(table: str, client: kr.Client) -> None:
    constant, names, rows = EXPECTED[table]
    frame = fetch(table, client)
    assert set(frame.columns) == {*constant, *names, "observed_at"}
    assert len(frame) == len(rows)
    for name, value in constant.items():
        for have in frame[name]:
            assert pd.isna(have) if value is None else have == value, name
    for name, values in zip(names, zip(*rows, strict=True), strict=bool(rows)):
        for have, value in zip(frame[name], values, strict=True):
            assert pd.isna(have) if value is None else have == value, name


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from leaves(value, f"{path}.{name}" if path else name)
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value, f"{path}[]")
    else:
        yield path, node


def comparable(value: Any) -> Any:
    """One spelling of a value, whatever side it is on."""
    if value is None or (not isinstance(value, str) and pd.isna(value)) or value in ("", -99999, "-99999"):
        return "missing"
    if isinstance(value, pd.Timestamp):
        value = int(value.timestamp())
    text = str(value).lower()
    return text.removesuffix(".0")


@pytest.mark.parametrize("page", REQUESTS)
def test_nothing_of_an_answer_is_lost(page: str, client: kr.Client, documented: dict[str, Any]) -> None:
    """Each leaf of the answer stands as often in the page's tables as in the answer, or is not tabled."""
    tables = [fetch(table, client) for table, of in OF_PAGE.items() if of == page]
    have: Counter[Any] = Counter(comparable(value) for frame in tables for name in frame.columns
                                 for value in frame[name] if name not in ("observed_at", "source"))
    lacking = Counter(path for path, value in leaves(documented[page]) if not have[comparable(value)])
    assert lacking <= NOT_TABLED[page]
    untabled = set(NOT_TABLED[page])
    assert untabled <= {path for path, _ in leaves(documented[page])}


def test_the_documented_answers_bring_no_drift_warning(client: kr.Client) -> None:
    for table in EXPECTED:
        fetch(table, client)  # warnings are errors
