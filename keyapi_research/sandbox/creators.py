"""Answers about creators: details, days, videos and products of each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from . import chance, curves, daily, effects, ledgers, videos, words
from .identity import Creator, Promotion, Setting, showcase
from .inquiry import Inquiry, date_number, date_text
from .ledgers import Ledger, cents

_HOST = "https://echosell-images.tos-ap-southeast-1.volces.com"
_WINDOWS = (1, 7, 30, 90)
_LENGTHS = (("15s", 0), ("15s-30s", 15), ("30s-60s", 30), ("1m-2m", 60), ("2m", 120))  # at least so many seconds
_TOTALS = {"digg": "likes", "followers": "followers", "comments": "comments", "shares": "shares", "views": "views"}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def face(seed: str, creator: Creator) -> dict[str, Any]:
    """Return the columns that lists of creators and of videos share; names are invented."""
    return {
        "avatar": f"{_HOST}/user-avatar/0/neutral.jpg",
        "category": ledgers.niche(seed, creator),
        "nick_name": f"Creator {creator.unique_id.rpartition('_')[2]}",
    }


def following(seed: str, creator: Creator) -> int:
    """Return how many accounts a creator follows."""
    return chance.Dice(seed, "following", creator.user_id).whole(20, 2000)


def promoted(setting: Setting, creator: Creator, now: int) -> list[Promotion]:
    """Return what a creator promotes before a day, in the order of the showcase."""
    return [promotion for promotion in showcase(setting.seed, creator) if promotion.since < now]


@lru_cache(maxsize=4096)
def _sold(setting: Setting, promotion: Promotion, now: int) -> int:
    return int(daily.units(setting, promotion)[: max(0, now - effects.FIRST_DAY)].sum())


def categories(setting: Setting, creator: Creator, now: int) -> dict[str, str]:
    """Return which categories a creator sells most; of the first level despite the names of the last two."""
    by_path: Counter[tuple[tuple[str, str], ...]] = Counter()
    by_first: Counter[str] = Counter()
    for promotion in promoted(setting, creator, now):
        path = promotion.product.category.path
        by_path[path] += _sold(setting, promotion, now)
        by_first[path[0][0]] += by_path[path]
    paths = sorted(by_path, key=lambda path: (-by_path[path], path))
    firsts = sorted(by_first, key=lambda one: (-by_first[one], one))
    return {
        "product_category_list": ",".join(
            f"{'-'.join(identifier for identifier, _ in path)}:{rank}" for rank, path in enumerate(paths, start=1)
        ),
        **dict(
            zip(
                ("most_category_id", "most_category_l2_id", "most_category_l3_id"),
                [*firsts, "0", "0", "0"],
                strict=False,
            )
        ),
    }


def sales_flag(seed: str, creator: Creator) -> int:
    """Return 0 for no sales, 1 for video, 2 for live, 3 for both, 4 for the showcase alone."""
    return chance.Dice(seed, "sales flag", creator.user_id).pick((1, 1, 2, 3, 4)) if showcase(seed, creator) else 0


def detail(setting: Setting, creator: Creator, now: int, n: int) -> dict[str, Any]:
    """Return the row of a creator early on a day."""
    seed, record, day = setting.seed, ledgers.of_creator(setting, creator), now - 1
    dice = chance.Dice(seed, "creator detail", creator.user_id)
    month = range(now - 30, now)
    offered = promoted(setting, creator, now)
    sold_categories = categories(setting, creator, now)
    first = words.BY_ID.get(sold_categories["most_category_id"])
    usual = {f"total_{api}_cnt": record.total(name, day) for api, name in _TOTALS.items()}
    gains = {
        f"total_{api}_{days}d_cnt": record.gain(_TOTALS[api], range(now - days, now))
        for api in ("digg", "followers")
        for days in _WINDOWS
    }
    new = sum(promotion.since in month for promotion in offered)
    units, money = record.gain("units", month), record.gain("gmv", month)
    engaged = sum(usual[f"total_{api}_cnt"] for api in ("digg", "comments", "shares"))
    row = {
        **face(seed, creator),
        **_of_videos(videos.rows(setting, dict.fromkeys(videos.posted_by(seed, creator), n))),
        **usual,
        **gains,
        "contact_email": "",
        "ec_score": ledgers.score(seed, creator),
        "first_crawl_dt": date_number(effects.FIRST_DAY + dice.whole(-200, 500)),
        "gender": dice.pick(("", "", "", "female", "male")) if creator.country == "US" else "",
        "signature": "bio text",
        "off_mark": int(dice.chance(0.02)),
        "total_following_cnt": following(seed, creator),
        "seller_id": f"7494{dice.whole(10**14, 10**15 - 1)}" if offered and dice.chance(0.1) else None,
        "region": "" if dice.chance(effects.CREATOR_REGION_BLANK) else creator.country,
        "language": words.COUNTRIES[creator.country].language,
        "interaction_rate": chance.tidy(engaged / usual["total_views_cnt"], 4),
        "most_category_product": _json([{"category_name": first.name, "category_id": first.id}] if first else []),
        "product_category_list": sold_categories["product_category_list"],
        "sales_flag": sales_flag(seed, creator),
        "show_case_flag": int(bool(offered)),
        "avg_30d_price": cents(money // units) if units else 0,
        "total_likes_cnt": usual["total_digg_cnt"] * dice.whole(101, 180) // 100,
        "total_live_cnt": record.total("lives", day),
        "total_post_video_cnt": record.total("videos", day),
        "total_product_cnt": len(offered),
        "total_product_30d_cnt": new,
        "total_video_product_30d_cnt": new // 2,
        "total_sale_cnt": record.total("units", day),
        "total_sale_gmv_amt": cents(record.total("gmv", day)),
        "total_sale_gmv_30d_amt": cents(money),
        "total_video_sale_30d_cnt": record.gain("video_units", month),
        "total_video_sale_gmv_30d_amt": cents(record.gain("video_gmv", month)),
        "total_live_sale_gmv_30d_amt": cents(record.gain("live_gmv", month)),
        "unique_id": creator.unique_id,
        "user_id": creator.user_id,
    }
    _spoil(row, record)
    return dict(sorted(row.items()))


def _spoil(row: dict[str, Any], record: Ledger) -> None:
    dice = record.drawn("size")
    if record.fault == "window_conflict":
        size = dice.between(*effects.CONFLICT_SIZE)
        to, above = dice.pick((("1d_cnt", "7d_cnt"), ("90d_cnt", "cnt")))
        row[f"total_digg_{to}"] = int(row[f"total_digg_{above}"] * size) + 1
    elif record.fault == "impossible_count":
        row["total_digg_cnt"] = int(row["total_views_cnt"] * dice.between(*effects.IMPOSSIBLE_SIZE)) + 1


def _of_videos(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what a creator's detail says of their videos."""
    times = [int(row["create_time"]) for row in rows]
    hours = Counter(f"{time // 3600 % 24:02d}" for time in times)
    weekdays = Counter(str((time // curves.SECONDS_A_DAY + 3) % 7 + 1) for time in times)
    lengths = Counter(next(name for name, least in _LENGTHS[::-1] if row["duration"] >= least) for row in rows)
    selling = _mean(row["total_views_cnt"] for row in rows if str(row["video_products"])[:2] not in {"[]", "", "No"})
    return {
        "influencer_video_duration_level": _json({name: lengths[name] for name, _ in _LENGTHS[::-1]}),
        "influencer_video_publish_hour": _json({f"{hour:02d}": hours[f"{hour:02d}"] for hour in range(24)}),
        "influencer_video_publish_week": _json({str(day): weekdays[str(day)] for day in range(1, 8)}),
        "most_views_video": max(rows, key=lambda row: int(row["total_views_cnt"]))["video_id"] if rows else "",
        "per_video_product_views_avg_7d_cnt": selling,
        "per_video_product_views_avg_30d_cnt": selling,
        "per_views_avg_30d_cnt": _mean(row["total_views_cnt"] for row in rows),
    }


def _mean(counts: Iterable[int]) -> int:
    known = list(counts)
    return sum(known) // len(known) if known else 0


def details(setting: Setting, today: int, answers: dict[Creator, int]) -> list[dict[str, Any]]:
    """Return the rows of creators, by id, each of its n-th answer."""
    rows = [
        detail(setting, creator, today + setting.later(n), n)
        for creator, n in sorted(answers.items(), key=lambda item: (int(item[0].user_id), item[0].unique_id))
    ]
    ledgers.same_value(setting, rows, "total_followers_cnt", [row["user_id"] for row in rows])
    return rows


def days(inquiry: Inquiry) -> list[dict[str, Any]]:
    """Return the rows of a creator's days."""
    creator, setting = inquiry.creator, inquiry.setting
    if creator is None:
        return []
    record = ledgers.of_creator(setting, creator)
    told = ledgers.told(setting, record, "creator", creator.user_id, inquiry.days)
    return [_day(record, creator, day, inquiry.n) for day in inquiry.page(told)]


def _day(record: Ledger, creator: Creator, day: int, n: int) -> dict[str, Any]:
    alone = range(day, day + 1)
    row = {
        "dt": date_text(day),
        "user_id": creator.user_id,
        **{f"total_{api}_cnt": record.total(name, day) for api, name in _TOTALS.items()},
        "total_digg_1d_cnt": ledgers.revised(record, record.gain("likes", alone), day, n),
        "total_followers_1d_cnt": record.gain("followers", alone),
        "total_live_cnt": record.total("lives", day),
        "total_post_video_cnt": record.total("videos", day),
        "total_sale_1d_cnt": record.gain("units", alone),
        "total_sale_gmv_1d_amt": cents(record.gain("gmv", alone)),
    }
    return dict(sorted(row.items()))


def posts(inquiry: Inquiry) -> list[dict[str, Any]]:
    """Return a creator's videos, the newest first unless sorted otherwise."""
    creator, setting, product = inquiry.creator, inquiry.setting, inquiry.text("product_id")
    if creator is None:
        return []
    wanted = [
        identifier
        for identifier in videos.posted_by(setting.seed, creator)
        if not product or product in [one.product_id for one in videos.facts(setting, identifier)[1]]
    ]
    rows = sorted(videos.rows(setting, dict.fromkeys(wanted, inquiry.n)), key=lambda row: -int(row["create_time"]))
    names = ("total_views_cnt", "total_video_sale_cnt", "total_video_sale_gmv_amt", "create_time")
    ignored = ledgers.of_creator(setting, creator).fault == "parameter_ignored"
    inquiry.sorted(rows, "influencer_video_sort_field", names, ignored=ignored)
    return list(inquiry.page(rows))
