"""Videos: which ids the world has, and what is known of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from keyapi_research.sandbox import chance, curves, documented, effects, names
from keyapi_research.sandbox.catalogue import Category, by_id, categories

if TYPE_CHECKING:
    from collections.abc import Mapping

POOL = 128  # videos of one category in one region
_CREATORS = 24  # of one category in one region
_HALF, _WORD = 0xFFFF, 0xFFFFFFFF
_REGIONS = 120  # the first stands for all regions
_EARLIEST = curves.number_of(date(2016, 9, 1)) * curves.SECONDS_A_DAY
_LATEST = (curves.FIRST_DAY - 1) * curves.SECONDS_A_DAY
_OLDEST_POST = 900.0  # days before today
_EARLIEST_OF_POOL = (curves.FIRST_DAY - 2 - int(_OLDEST_POST)) * curves.SECONDS_A_DAY
_EVEN = 0.24  # how evenly the ages are spread, from 0 to 1
_HOURS = (3, 2, 2, 2, 2, 3, 4, 5, 5, 5, 6, 7, 8, 8, 8, 8, 8, 9, 9, 9, 8, 7, 6, 4)
_RATIOS = (("720p", 720, 1280), ("540p", 576, 1024), ("1080p", 1080, 1920), ("720p", 576, 1024))
# Accounts are older than the videos of the world; those who posted before are others.
_ACCOUNTS = (1_470_000_000, _EARLIEST_OF_POOL - 86_400)
_EARLY_ACCOUNTS = (1_400_000_000, _EARLIEST - 86_400)


def _mixed(value: int, keys: tuple[int, ...]) -> int:
    """Shuffle 32 bits in a way that the same keys, reversed, undo."""
    left, right = value >> 16, value & _HALF
    for key in keys:
        left, right = right, left ^ (((right * 40503 + key) >> 5) & _HALF)
    return right << 16 | left


@cache
def _keys(seed: str) -> tuple[int, ...]:
    return tuple(chance.number(seed, "video ids", round_, bits=24) for round_ in range(4))


@lru_cache(maxsize=65536)
def video_id(seed: str, category: Category, region: str, k: int) -> str:
    """Return the id of the k-th video of a category in a region.

    As upstream, the upper half is the posting time; the lower half leads back to the category.
    """
    place = names.country_codes().index(region) + 1 if region in names.countries() else 0
    draws = chance.grains(seed, "video", category.id, region, k)
    share = int.from_bytes(draws[:4], "big") / 4294967296.0
    # Most are recent, but no day has far more than its neighbours.
    day = curves.FIRST_DAY - 2 - int(_OLDEST_POST * share * (_EVEN + (1.0 - _EVEN) * share))
    hour = _hour(int.from_bytes(draws[4:6], "big") / 65536.0)
    second = int.from_bytes(draws[6:8], "big") % 3600
    posted = day * curves.SECONDS_A_DAY + hour * 3600 + second
    packed = category.index << 22 | place << 15 | k << 8 | draws[8]
    identifier = posted << 32 | _mixed(packed, _keys(seed))
    while identifier % 1_000_000 == 0:  # absent by the sandbox's rule
        identifier += 1 << 32
    return str(identifier)


def day_posted(identifier: str) -> int:
    """Return the day on which the video of an id was posted."""
    return (int(identifier) >> 32) // curves.SECONDS_A_DAY


def _hour(share: float) -> int:
    target = share * sum(_HOURS)
    for hour, weight in enumerate(_HOURS):
        target -= weight
        if target < 0:
            return hour
    return len(_HOURS) - 1


@cache
def _documented_posts() -> frozenset[str]:
    return frozenset(documented.data("insights/product/detail")["info"]["posts"])


@dataclass(frozen=True)
class _Video:
    """What does not change about a video."""

    id: str
    user_id: str
    username: str
    caption: str
    posted: int
    duration: int
    ratio: str
    width: int
    height: int
    size: int
    region: str
    ai: bool
    sales_flag: int
    cover: str
    views: float
    half_life: float
    likes: float
    comments: float
    shares: float
    favorites: float | None
    units: float
    price: float
    stale: bool


@lru_cache(maxsize=8192)
def _video(seed: str, identifier: str) -> _Video:
    number = int(identifier)
    packed = _mixed(number & _WORD, _keys(seed)[::-1])
    category = categories()[(packed >> 22) % len(categories())]
    if identifier in _documented_posts():
        category = by_id()[documented.CATEGORY_ID]
    place = (packed >> 15) % 128 % _REGIONS
    dice = chance.Dice(seed, "video facts", identifier)
    posted = (number >> 32) + dice.whole(0, 8)  # as upstream, the id is made some seconds before
    if not _EARLIEST <= posted <= _LATEST:
        posted = _LATEST - int(dice.unit() * _OLDEST_POST * curves.SECONDS_A_DAY)
    early = posted < _EARLIEST_OF_POOL
    creator = chance.Dice(seed, "early creator" if early else "creator", category.id, place, dice.whole(1, _CREATORS))
    first_account, last_account = _EARLY_ACCOUNTS if early else _ACCOUNTS
    country = _home(creator, place)
    language = names.countries()[country].language
    first = category.l1_id
    duration = min(600, max(5, int(dice.lognormal(24.0, 0.75))))
    ai = dice.chance(effects.AI_SHARE.get(first, effects.AI_SHARE_ELSEWHERE))
    popularity, liking = creator.between(*effects.CREATOR_VIEWS), effects.CREATOR_NOISE * creator.normal()
    views = dice.lognormal(effects.VIEWS_MEDIAN * popularity, effects.VIEWS_SIGMA)
    rate = effects.ENGAGEMENT.get(first, effects.ENGAGEMENT_ELSEWHERE)
    rate *= chance.exp(effects.ENGAGEMENT_NOISE * dice.normal() + liking)
    rate *= chance.power(duration / 20.0, effects.DURATION_SLOPE)
    rate *= chance.power((curves.FIRST_DAY - posted / curves.SECONDS_A_DAY) / 365.0, effects.AGE_SLOPE)
    rate *= effects.EVENING_LIFT if posted // 3600 % 24 in effects.EVENING_HOURS else 1.0
    rate = min(0.45, rate * (effects.AI_FACTOR if ai else 1.0))
    comments, shares = dice.between(0.012, 0.05), dice.between(0.015, 0.08)
    flag = 0
    if dice.chance(effects.SALES_SHARE.get(first, effects.SALES_SHARE_ELSEWHERE)):
        flag = 2 if dice.chance(effects.LIVE_SHARE) else 1
    sold = flag > 0 and not dice.chance(effects.UNSOLD_SHARE)
    industry = names.INDUSTRY_OF_CATEGORY[first]
    ratio, width, height = dice.pick(_RATIOS)
    cover = f"{chance.number('cover', identifier):016x}"
    return _Video(
        id=identifier,
        user_id=str(int(creator.between(first_account, last_account)) << 32 | int(creator.unit() * _WORD)),
        username=_username(creator),
        caption=_caption(dice, category, industry, language),
        posted=posted,
        duration=duration,
        ratio=ratio,
        width=width,
        height=height,
        size=int(duration * dice.between(60_000, 420_000)),
        region="" if dice.chance(effects.REGION_BLANK) else country,
        ai=ai,
        sales_flag=flag,
        cover=f"https://p16-sign-va.tiktokcdn.com/obj/tos-sandbox/{cover}_{posted}?x-expires={posted + 8_640_000}",
        views=views,
        half_life=dice.lognormal(effects.HALF_LIFE, effects.HALF_LIFE_SIGMA),
        likes=rate * (1.0 - comments - shares),
        comments=rate * comments,
        shares=rate * shares,
        favorites=None if dice.chance(effects.FAVORITES_UNKNOWN) else rate * dice.between(0.05, 0.3),
        units=views * dice.lognormal(0.0006, 1.1) if sold else 0.0,
        price=effects.PRICE.get(industry, effects.PRICE_ELSEWHERE) * dice.between(*effects.PRICE_SPREAD),
        stale=dice.chance(effects.INCREMENTS_STALE),
    )


def _home(creator: chance.Dice, place: int) -> str:
    codes = names.country_codes()
    if place > 0 and creator.chance(0.9):
        return codes[place - 1]
    return creator.weighted(codes, cumulative_weights())


@cache
def cumulative_weights() -> tuple[float, ...]:
    """Return the weights of the countries, each added to those before it."""
    total, found = 0.0, []
    for country in names.countries().values():
        total += country.weight
        found.append(total)
    return tuple(found)


def _username(creator: chance.Dice) -> str:
    name, word = creator.pick(names.FIRST_NAMES), creator.pick(names.HANDLE_WORDS)
    style = creator.whole(0, 4)
    tail = str(creator.whole(1, 99)) if creator.chance(0.5) else ""
    return (
        f"{name}.{word}{tail}",
        f"{word}by{name}{tail}",
        f"{name}_{word}{tail}",
        f"{name}{word}",
        f"its{name}{tail}",
    )[style]


def _caption(dice: chance.Dice, category: Category, industry: int, language: str) -> str:
    odd = dice.unit()
    if odd < effects.CAPTION_EMPTY:
        return ""
    odd -= effects.CAPTION_EMPTY
    if 0 <= odd < effects.CAPTION_NA:
        return "NA"
    odd -= effects.CAPTION_NA
    text = dice.pick(names.CAPTIONS[language if dice.chance(0.85) else "en"])
    text = text.replace("{thing}", category.name.lower())
    if 0 <= odd < effects.CAPTION_FORMULA:
        text = dice.pick(names.FORMULAS)
    if dice.chance(0.45):
        text += f" {dice.pick(names.EMOJI)}"
    if dice.chance(effects.CAPTION_LINES):
        text += "\n" + dice.pick(("Part 2?", "link in bio", "…", "#ad", "follow for more 💕"))
    pools = (names.hashtags(industry), names.hashtags(23), names.language_hashtags(language), (category.stem,))
    tags = dict.fromkeys(dice.pick(dice.pick(pools)) for _ in range(dice.whole(0, 5)))
    return " ".join([text, *(f"#{tag}" for tag in tags)])


def _row(video: _Video, n: int) -> dict[str, Any]:
    now = curves.today(n) + 0.25
    posted = video.posted / curves.SECONDS_A_DAY

    def views(days_ago: float) -> int:
        age = max(0.0, now - days_ago - posted)
        return int(video.views * age / (age + video.half_life))

    total = views(0)
    likes = int(total * video.likes)
    added = {days: total - views(days) for days in (1, 7, 30)}
    if video.stale:
        added = {1: 0, 7: 0, 30: total}
    liked = {days: likes * count // total if total else 0 for days, count in added.items()}
    units = int(video.units * total / video.views)
    gmv = chance.tidy(units * video.price)
    return {
        "create_time": str(video.posted),
        "created_by_ai": "true" if video.ai else "false",
        "data_size": str(video.size),
        "duration": video.duration,
        "height": str(video.height),
        "ratio": video.ratio,
        "reflow_cover": video.cover,
        "region": video.region,
        "sales_flag": video.sales_flag,
        "total_comments_cnt": int(total * video.comments),
        "total_digg_1d_cnt": liked[1],
        "total_digg_30d_cnt": liked[30],
        "total_digg_7d_cnt": liked[7],
        "total_digg_cnt": likes,
        "total_favorites_cnt": -99999 if video.favorites is None else int(total * video.favorites),
        "total_shares_cnt": int(total * video.shares),
        "total_video_sale_cnt": units,
        "total_video_sale_gmv_amt": gmv,
        "total_views_1d_cnt": added[1],
        "total_views_30d_cnt": added[30],
        "total_views_7d_cnt": added[7],
        "total_views_cnt": total,
        "unique_id": video.username,
        "user_id": video.user_id,
        "video_desc": video.caption,
        "video_id": video.id,
        "width": str(video.width),
    }


def _documented_row(n: int) -> dict[str, Any]:
    row: dict[str, Any] = documented.data("video/detail/analytics")[0]
    for name, growth in (("views", 40), ("digg", 3)):
        row[f"total_{name}_cnt"] += growth * (n - 1)
        for days in (1, 7, 30):
            row[f"total_{name}_{days}d_cnt"] = min(growth * (n - 1), days * growth // 3)
    return row


def rows(seed: str, queries: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the rows of videos, by id; absent ones are left out.

    Parameters
    ----------
    seed
        Of the world.
    asks
        Which answer about each video this is, by id.
    """
    found = []
    for identifier in sorted(queries, key=lambda text: (int(text), text)):
        if identifier.endswith("000000"):
            continue
        if identifier == documented.VIDEO_ID:
            found.append(_documented_row(queries[identifier]))
        else:
            found.append(_row(_video(seed, identifier), queries[identifier]))
    return found
