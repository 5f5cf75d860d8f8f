"""Videos: which ids the world has, and what is known of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from . import chance, curves, daily, effects, words
from .identity import (
    CREATORS,
    PLACES,
    Creator,
    Product,
    Setting,
    creator_at,
    keys,
    place_of,
    restored,
    showcase,
    shuffled,
)
from .words import Category

POOL = 128  # videos of one category in one region that pages of the category may show
_VIDEOS = 512  # all of them
_EARLIEST = curves.number_of(date(2016, 9, 1)) * curves.SECONDS_A_DAY
_LATEST = (curves.FIRST_DAY - 1) * curves.SECONDS_A_DAY
_OLDEST_POST = 900.0  # days before today
_EVEN = 0.24  # how evenly the ages are spread, from 0 to 1
_HOURS = dict(enumerate((3, 2, 2, 2, 2, 3, 4, 5, 5, 5, 6, 7, 8, 8, 8, 8, 8, 9, 9, 9, 8, 7, 6, 4)))
_RATIOS = (("720p", 720, 1280), ("540p", 576, 1024), ("1080p", 1080, 1920), ("720p", 576, 1024))
_NO_CAPTIONS = {"empty": "", "NA": "NA"}
_DOCUMENTED_POSTS = frozenset(words.DOCUMENTED["insights/product/detail"]["info"]["posts"])


@lru_cache(maxsize=65536)
def video_id(seed: str, category: Category, region: str, k: int) -> str:
    """Return the id of the k-th video of a category in a region.

    As upstream, the upper half is the posting time; the lower half leads back to the category.
    """
    place = place_of(region)
    dice = chance.Dice(seed, "video", category.id, region, k)
    share = dice.unit()
    # Most are recent, but no day has far more than its neighbours.
    day = curves.FIRST_DAY - 2 - int(_OLDEST_POST * share * (_EVEN + (1.0 - _EVEN) * share))
    posted = day * curves.SECONDS_A_DAY + dice.weighted(_HOURS) * 3600 + dice.whole(0, 3599)
    packed = category.index << 22 | place << 15 | k % POOL << 8 | dice.whole(0, 255)
    identifier = posted << 32 | shuffled(packed, keys(seed, "video ids"))
    while identifier % 1_000_000 == 0:  # absent by the sandbox's rule
        identifier += 1 << 32
    return str(identifier)


def day_posted(identifier: str) -> int:
    """Return the day on which the video of an id was posted."""
    return (int(identifier) >> 32) // curves.SECONDS_A_DAY


@lru_cache(maxsize=1024)
def _posters(seed: str, category: Category, place: int) -> dict[int, list[str]]:
    """Return the ids of all videos of a category in a region, by the slot of the creator."""
    region = words.CODES[place - 1] if place else curves.ALL
    found: dict[int, list[str]] = {}
    for identifier in [video_id(seed, category, region, k) for k in range(_VIDEOS)]:
        found.setdefault(creator_of(seed, identifier).slot, []).append(identifier)
    return found


def posted_by(seed: str, creator: Creator) -> list[str]:
    """Return the ids of the videos of a creator of the world."""
    return _posters(seed, creator.category, creator.place).get(creator.slot, [])


@dataclass(frozen=True)
class _Video:
    """What does not change about a video: the columns of its row that stay, and what the counts come from."""

    columns: dict[str, Any]
    posted: int
    products: tuple[Product, ...]
    views: float  # in the end
    half_life: float
    rates: dict[str, float]  # counts a view
    price: float
    stale: bool


def _begun(seed: str, identifier: str) -> tuple[chance.Dice, int, Creator]:
    """Return the draws about a video, of which the first are those of when it was posted, and by whom."""
    packed = restored(seed, "video ids", int(identifier) & 0xFFFFFFFF)
    category = words.CATEGORIES[(packed >> 22) % len(words.CATEGORIES)]
    if identifier in _DOCUMENTED_POSTS:
        category = words.BY_ID[words.CATEGORY_ID]
    dice = chance.Dice(seed, "video facts", identifier)
    posted = _posted(identifier, dice)
    return dice, posted, creator_at(seed, category, (packed >> 15) % 128 % PLACES, dice.whole(1, CREATORS))


def creator_of(seed: str, identifier: str) -> Creator:
    """Return who posted a video."""
    return _begun(seed, identifier)[2]


def _posted(identifier: str, dice: chance.Dice) -> int:
    """Return when a video was posted: as upstream, its id is made some seconds before."""
    posted = (int(identifier) >> 32) + dice.whole(0, 8)
    if _EARLIEST <= posted <= _LATEST:
        return posted
    return _LATEST - int(dice.unit() * _OLDEST_POST * curves.SECONDS_A_DAY)


def _engagement(l1_id: str, *, duration: int, posted: int, ai: bool, own: float) -> float:
    """Return (likes + comments + shares) / views, of which ``own`` is the logarithm of what nothing explains."""
    rate = effects.ENGAGEMENT.get(l1_id, effects.ENGAGEMENT_ELSEWHERE) * chance.exp(own)
    rate *= chance.power(duration / 20.0, effects.DURATION_SLOPE)
    rate *= chance.power((curves.FIRST_DAY - posted / curves.SECONDS_A_DAY) / 365.0, effects.AGE_SLOPE)
    rate *= effects.EVENING_LIFT if posted // 3600 % 24 in effects.EVENING_HOURS else 1.0
    return min(0.45, rate * (effects.AI_FACTOR if ai else 1.0))


@lru_cache(maxsize=16384)
def _video(setting: Setting, identifier: str) -> _Video:
    seed = setting.seed
    dice, posted, creator = _begun(seed, identifier)
    category = creator.category
    first = category.l1_id
    duration = min(600, max(5, int(dice.lognormal(24.0, 0.75))))
    ai = dice.chance(effects.AI_SHARE.get(first, effects.AI_SHARE_ELSEWHERE))
    own = effects.ENGAGEMENT_NOISE * dice.normal() + creator.liking
    rate = _engagement(first, duration=duration, posted=posted, ai=ai, own=own)
    comments, shares = dice.between(0.012, 0.05), dice.between(0.015, 0.08)
    rates = {
        "total_digg_cnt": rate * (1.0 - comments - shares),
        "total_comments_cnt": rate * comments,
        "total_shares_cnt": rate * shares,
        "total_video_sale_cnt": 0.0,
    }
    if not dice.chance(effects.FAVORITES_UNKNOWN):
        rates["total_favorites_cnt"] = rate * dice.between(0.05, 0.3)
    flag = 0
    if dice.chance(effects.SALES_SHARE.get(first, effects.SALES_SHARE_ELSEWHERE)):
        flag = 2 if dice.chance(effects.LIVE_SHARE) else 1
        if not dice.chance(effects.UNSOLD_SHARE):
            rates["total_video_sale_cnt"] = dice.lognormal(0.0006, 1.1)
    ratio, width, height = dice.pick(_RATIOS)
    cover = f"{chance.number('cover', identifier):016x}"
    columns = {
        "video_id": identifier,
        "user_id": creator.user_id,
        "unique_id": creator.unique_id,
        "video_desc": _caption(dice, category, words.COUNTRIES[creator.country].language),
        "create_time": str(posted),
        "created_by_ai": "true" if ai else "false",
        "duration": duration,
        "ratio": ratio,
        "width": str(width),
        "height": str(height),
        "data_size": str(int(duration * dice.between(60_000, 420_000))),
        "region": "" if dice.chance(effects.REGION_BLANK) else creator.country,
        "sales_flag": flag,
        "reflow_cover": f"https://p16-sign-va.tiktokcdn.com/obj/tos-sandbox/{cover}_{posted}"
        f"?x-expires={posted + 8_640_000}",
    }
    usual = effects.VIEWS_MEDIAN * creator.popularity * _by_followers(setting, creator, posted)
    products = _products(setting, creator, identifier) if flag else ()
    return _Video(
        columns=columns | _tagged(seed, identifier, products),
        posted=posted,
        products=products,
        views=chance.Dice(seed, "views of video", identifier).lognormal(usual, effects.VIEWS_SIGMA),
        half_life=dice.lognormal(effects.HALF_LIFE, effects.HALF_LIFE_SIGMA),
        rates=rates,
        price=effects.PRICE.get(category.industry, effects.PRICE_ELSEWHERE) * dice.between(*effects.PRICE_SPREAD),
        stale=dice.chance(effects.INCREMENTS_STALE),
    )


def _by_followers(setting: Setting, creator: Creator, posted: int) -> float:
    """Return what the followers of the day multiply a video's views by."""
    if not setting.effects:
        return 1.0
    then, mean = daily.followers(setting, creator, posted // curves.SECONDS_A_DAY)
    return chance.power(then / mean, effects.VIEWS_ON_FOLLOWERS)


def _products(setting: Setting, creator: Creator, identifier: str) -> tuple[Product, ...]:
    dice = chance.Dice(setting.seed, "video products", identifier)
    offered = [promotion.product for promotion in showcase(setting.seed, creator)]
    if not offered or not dice.chance(effects.VIDEO_WITH_PRODUCT):
        return ()
    return tuple(dice.sample(offered, 1 if dice.chance(0.8) else 2))


def _tagged(seed: str, identifier: str, products: tuple[Product, ...]) -> dict[str, Any]:
    """Return the columns about the products of a video: texts with JSON in them, and now and then something else."""
    dice = chance.Dice(seed, "video tags", identifier)
    ids, first = [product.product_id for product in products], products[0].category.path[0] if products else None
    as_list, nothing = dice.chance(effects.PRODUCTS_AS_LIST), dice.pick((None, "", "[]", "[]", "[]"))
    text = f"[{','.join(ids)}]" if products else nothing
    categories = [{"category_name": first[1], "category_id": first[0]}] if first else []
    return {
        "is_ad": int(dice.chance(effects.VIDEO_AD)),
        "video_products": ids if products and as_list else text,
        "product_category_list": json.dumps(categories, ensure_ascii=False, separators=(",", ":")),
    }


def _caption(dice: chance.Dice, category: Category, language: str) -> str:
    shares = {"empty": effects.CAPTION_EMPTY, "NA": effects.CAPTION_NA, "formula": effects.CAPTION_FORMULA}
    issue = dice.outcome(shares)
    if issue in _NO_CAPTIONS:
        return _NO_CAPTIONS[issue]
    text = dice.pick(words.LANGUAGES[language if dice.chance(0.85) else "en"].captions)
    text = text.replace("{thing}", category.name.lower())
    if issue == "formula":
        text = dice.pick(words.WORDS["formulas"])
    if dice.chance(0.45):
        text += f" {dice.pick(words.WORDS['emoji'])}"
    if dice.chance(effects.CAPTION_LINES):
        text += "\n" + dice.pick(("Part 2?", "link in bio", "…", "#ad", "follow for more 💕"))
    of_industry, of_news = (words.INDUSTRIES[number].hashtags for number in (category.industry, 23))
    pools = (of_industry, of_news, words.LANGUAGES[language].hashtags, (category.stem,))
    tags = dict.fromkeys(dice.pick(dice.pick(pools)) for _ in range(dice.whole(0, 5)))
    return " ".join([text, *(f"#{tag}" for tag in tags)])


def _views(video: _Video, day: int) -> int:
    """Return the views of a video early on a day."""
    age = max(0.0, day + 0.25 - video.posted / curves.SECONDS_A_DAY)
    return int(video.views * age / (age + video.half_life))


def gained(setting: Setting, identifier: str, days: range) -> dict[str, Any]:
    """Return what a video gains over some days: its views, units and money."""
    video = _video(setting, identifier)
    before, after = (_views(video, day) for day in (days.start, days.stop))
    sold = [int(views * video.rates["total_video_sale_cnt"]) for views in (before, after)]
    money = [round(count * video.price * 100) for count in sold]
    return {
        "total_views_cnt": after - before,
        "total_video_sale_cnt": sold[1] - sold[0],
        "total_video_sale_gmv_amt": chance.tidy((money[1] - money[0]) / 100),
    }


def facts(setting: Setting, identifier: str) -> tuple[dict[str, Any], tuple[Product, ...]]:
    """Return the columns of a video that stay, and the products it carries."""
    video = _video(setting, identifier)
    return video.columns, video.products


def _row(video: _Video, now: int) -> dict[str, Any]:
    total = _views(video, now)
    counts = {name: int(total * rate) for name, rate in video.rates.items()}
    added = {1: 0, 7: 0, 30: total} if video.stale else {days: total - _views(video, now - days) for days in (1, 7, 30)}
    likes = counts["total_digg_cnt"]
    found = {
        **video.columns,
        "total_views_cnt": total,
        **{f"total_views_{days}d_cnt": count for days, count in added.items()},
        **{f"total_digg_{days}d_cnt": likes * count // total if total else 0 for days, count in added.items()},
        "total_favorites_cnt": -99999,
        **counts,
        "total_video_sale_gmv_amt": chance.tidy(counts["total_video_sale_cnt"] * video.price),
    }
    return dict(sorted(found.items()))


def _documented_row(n: int) -> dict[str, Any]:
    row: dict[str, Any] = words.documented("video/detail/analytics")[0]
    for name, growth in (("views", 40), ("digg", 3)):
        row[f"total_{name}_cnt"] += growth * (n - 1)
        for days in (1, 7, 30):
            row[f"total_{name}_{days}d_cnt"] = min(growth * (n - 1), days * growth // 3)
    return row


def rows(setting: Setting, answers: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the rows of videos, by id, each of its n-th answer; absent ones are left out."""
    return [
        _documented_row(answers[identifier])
        if identifier == words.VIDEO_ID
        else _row(_video(setting, identifier), curves.day_of(setting, answers[identifier]))
        for identifier in sorted(answers, key=lambda text: (int(text), text))
        if not identifier.endswith("000000")
    ]
