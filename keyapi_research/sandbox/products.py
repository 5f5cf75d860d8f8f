"""Product categories: their rankings, and what is known of each."""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Any

from . import audiences, chance, curves, effects, videos, words
from .curves import ALL
from .query import Query
from .words import L2, L3, Category

_LARGEST = 11_500.0  # posts of the documented row: all regions, one day
_WORLD_TOTAL = 500
_POSTS_OF_DETAIL = 50
_PLANTED_SPREAD = 0.5  # planted categories differ less by chance, so that what is planted shows
_DAYS_ADD_UP = 0.937  # posts grow with the days of a window to this power: 6.2 times a day's in a week
_SMALLEST_SEASONAL, _LARGEST_SEASONAL = 0.15, 0.25  # with its season at its height it is no larger than the traps
# Of a window's posts: standard deviation of the log; days in which an opportunity grows by OPPORTUNITY_GROWTH.
_SCOPES = {"1": (0.042, 7.0), "7": (0.05, 7.0), "30": (0.035, 30.0), "month": (0.035, 30.0)}
_NOISE_OF_CHANGE = 0.5  # percentage points: the two windows are not counted at the same hour
# A quarter of the second level, and all of the third.
_RANKED = [
    category
    for category in words.CATEGORIES
    if category.level == L3 or (category.level == L2 and chance.Dice("row", category.id).unit() < effects.LEVEL_2_SHARE)
]
_SEASONS = {words.BY_NAME[name]: season for season, found in effects.SEASONAL_CATEGORIES.items() for name in found}
_OPPORTUNITIES, _TRAPS = ({words.BY_NAME[name] for name in found} for found in (effects.OPPORTUNITIES, effects.TRAPS))
_PLANTED = _OPPORTUNITIES | _TRAPS


def _spread(category: Category) -> float:
    return _PLANTED_SPREAD if category in _PLANTED else 1.0


@lru_cache(maxsize=4096)
def _volume(seed: str, category: Category) -> float:
    dice = chance.Dice(seed, "volume", category.id)
    if category in _TRAPS:
        return dice.between(4.0, 7.0)
    usual = dice.lognormal(0.055, 1.2)
    if category in _OPPORTUNITIES:
        return max(usual, 0.35)
    return min(max(usual, _SMALLEST_SEASONAL), _LARGEST_SEASONAL) if category in _SEASONS else usual


@cache
def _size(region: str, days: int) -> float:
    """Return how many posts the largest of all categories has in a region, in so many days."""
    beside_the_world = 1.0 if region == ALL else 1.6 * chance.power(words.COUNTRIES[region].weight / 1444.0, 0.85)
    return _LARGEST * chance.power(days, _DAYS_ADD_UP) * beside_the_world


def _posts(seed: str, category: Category, region: str, time_scope: str, window: range) -> float:
    scope = "month" if "-" in time_scope else time_scope  # a month's draw is its own, under way or over
    noise, grows_in = _SCOPES[scope]
    taste = 1.0 if region == ALL else chance.Dice(seed, "taste", category.id, region).between(0.4, 2.0)
    z = _volume(seed, category) * taste
    share = 0.97 * z / (1.0 + z)
    if category.id == words.CATEGORY_ID:
        share = 1.0 if region == ALL else 0.6 + 0.4 * z / (1.0 + z)
        noise *= 0.5 if region == ALL else 1.0  # the largest of all stays it
    dice = chance.Dice(seed, "posts", category.id, region, scope, window.start)
    posts = _size(region, len(window)) * share * chance.exp(noise * _spread(category) * dice.normal())
    if category in _OPPORTUNITIES:
        latest, _ = curves.windows("30" if scope == "month" else scope, curves.FIRST_DAY)
        posts *= chance.power(1.0 + effects.OPPORTUNITY_GROWTH / 100.0, (window.start - latest.start) / grows_in)
    if category in _SEASONS:
        posts *= curves.total(curves.season(_SEASONS[category], window)) / len(window)
    return posts


@lru_cache(maxsize=256)
def _ranking(seed: str, region: str, time_scope: str, now: int) -> list[tuple[Category, float]]:
    """Return the categories of a ranking, with their posts."""
    window, _ = curves.windows(time_scope, now)
    rows = [(category, _posts(seed, category, region, time_scope, window)) for category in _RANKED]
    rows.sort(key=lambda row: (-row[1], row[0].index))
    if region == ALL:
        return rows[:_WORLD_TOTAL]
    total = 156.0 * chance.power(words.COUNTRIES[region].weight / 135.0, 0.55)
    log_of_days = math.log(len(window))
    more_than_of_a_day = 1.0 + log_of_days * (0.0622 + 0.0076 * log_of_days)
    return rows[: max(4, int(total * more_than_of_a_day + 0.5))]


@lru_cache(maxsize=8192)
def _traits(seed: str, category: Category, region: str) -> dict[str, float]:
    """Return what does not change about a category in a region."""
    own = chance.Dice(seed, "shop", category.id)
    here = chance.Dice(seed, "shop", category.id, region)
    kind = chance.Dice(seed, "shop", category.l1_id)

    def rate(median: float, of_level_1: float, of_category: float, of_region: float) -> float:
        log = of_level_1 * kind.normal() + of_category * own.normal() + of_region * here.normal()
        return median * chance.exp(_spread(category) * log)

    ctr = rate(effects.CTR_MEDIAN, effects.CTR_BY_LEVEL_1, 0.13, 0.1)
    cvr = rate(effects.CVR_MEDIAN, effects.CVR_BY_LEVEL_1, 0.17, 0.12)
    if category in _OPPORTUNITIES:
        ctr, cvr = ctr * effects.OPPORTUNITY_CTR, cvr * effects.OPPORTUNITY_CVR
    elif category in _TRAPS:
        ctr, cvr = ctr * effects.TRAP_CTR, cvr * effects.TRAP_CVR
    return {
        "ctr": ctr,
        "cvr": cvr,
        "impressions_a_post": own.lognormal(1700.0, 0.35),
        "cost_a_thousand": own.between(1.8, 3.2) * here.between(0.85, 1.18),
        "likes_an_impression": own.lognormal(0.0024, 0.4),
        "comments_a_like": own.between(0.012, 0.035),
        "shares_a_like": own.between(0.01, 0.04),
        "play_six_rate": own.lognormal(9.2, 0.25),
    }


def _row(query: Query, category: Category, posts: float) -> dict[str, Any]:
    seed, region, time_scope = query.seed, query.region, query.text("time_scope")
    if (category.id, region, time_scope, query.n) == (words.CATEGORY_ID, ALL, "1", 1):
        row: dict[str, Any] = words.documented("insights/products")["list"][0]
        return row
    traits = _traits(seed, category, region)
    window, window_before = curves.windows(time_scope, query.now)
    now = chance.Dice(seed, "shop", category.id, region, time_scope, window.start)
    ctr, cvr = traits["ctr"] * now.between(0.92, 1.08), traits["cvr"] * now.between(0.88, 1.12)
    impressions = posts * traits["impressions_a_post"] * now.between(0.85, 1.15)
    cost = impressions / 1000.0 * traits["cost_a_thousand"]
    # As in public rows, the columns do not reconcile: cost / cpa is near 0.46 of impressions x ctr x cvr.
    cpa = cost / (impressions * (ctr / 100.0) * (cvr / 100.0) * now.between(0.43, 0.49))
    if posts < effects.SMALL_ROW_POSTS and now.chance(effects.SMALL_ROW_ZERO):
        cvr, cpa, cost = 0.0, 0.0, max(10.0, cost / 50.0)
    likes = impressions * traits["likes_an_impression"]
    growth = 100.0 * (posts / _posts(seed, category, region, time_scope, window_before) - 1.0)
    return {
        "comment": int(likes * traits["comments_a_like"]),
        "cost": chance.significant(cost),
        "cover_url": None,
        "cpa": chance.tidy(cpa),
        "ctr": chance.tidy(ctr),
        "cvr": chance.tidy(cvr),
        "ecom_type": category.level,
        "impression": chance.significant(impressions),
        "like": int(likes),
        "play_six_rate": chance.tidy(traits["play_six_rate"] * now.between(0.95, 1.05)),
        "post": max(1, chance.significant(posts)),
        "post_change": chance.tidy(max(-95.0, growth + _NOISE_OF_CHANGE * now.normal())),
        "share": int(likes * traits["shares_a_like"]),
        "url_title": category.slug,
        **category.blocks(),
    }


def ranking(query: Query) -> dict[str, Any]:
    """Return one page of a ranking."""
    category_id, search = query.params["ecom_category_id"], (query.filter("search_keyword", "FALSE") or "").casefold()
    rows = [
        (category, posts)
        for category, posts in _ranking(query.seed, query.region, query.text("time_scope"), query.now)
        if (category_id is None or any(category_id == identifier for identifier, _ in category.path))
        and any(search in name.casefold() for _, name in category.path)
    ]
    return query.page("list", rows, lambda entry: _row(query, *entry))


def _hashtags(query: Query, category: Category) -> list[str]:
    dice = chance.Dice(query.seed, "product hashtags", category.id, query.region, query.text("time_scope"))
    country = query.region if query.region in words.COUNTRIES else dice.pick(words.CODES)
    of_industry, of_news = (words.INDUSTRIES[number].hashtags for number in (category.industry, 23))
    found = [category.stem, *dice.sample(of_industry, 3), *dice.sample(of_news, 2)]
    local = dice.sample(words.LANGUAGES[words.COUNTRIES[country].language].hashtags, 2)
    chosen = dict.fromkeys([*dice.sample(found, 3), *local])
    return dice.sample(list(chosen), 5)


def _videos(query: Query, category: Category) -> list[str]:
    seed, region, time_scope = query.seed, query.region, query.text("time_scope")
    window, _ = curves.windows(time_scope, query.now)
    count = min(_POSTS_OF_DETAIL, max(3, int(_posts(seed, category, region, time_scope, window) / 6.0)))
    order = chance.Dice(seed, "product posts", category.id, region, time_scope).sample(range(videos.POOL), videos.POOL)
    if "-" in time_scope:  # a month has no videos of later ones, and stays as it was
        ids = (videos.video_id(seed, category, region, k) for k in order)
        return [video_id for video_id in ids if videos.day_posted(video_id) < window.stop][:count]
    chosen = (order[(4 * (query.n - 1) + place) % videos.POOL] for place in range(count))
    return [videos.video_id(seed, category, region, k) for k in chosen]


def detail(query: Query) -> dict[str, Any] | None:
    """Return what is known of a category; None where there is no such category."""
    category = words.BY_ID.get(query.text("id"))
    if category is None:
        return None
    info = {
        **audiences.of_product(query, category),
        "cover_url": None,
        "ecom_type": category.level,
        "hashtags": _hashtags(query, category),
        "posts": _videos(query, category),
        **category.blocks(),
        "url_title": category.slug,
    }
    return {"info": info}
