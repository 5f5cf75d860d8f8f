"""Videos: which ids the world has, and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from typing import Any

from . import chance, curves, effects, words
from .words import Category

POOL = 128  # videos of one category in one region
_CREATORS = 24  # of one category in one region
_HALF, _WORD = 0xFFFF, 0xFFFFFFFF
_REGIONS = 120  # the first stands for all regions
_EARLIEST = curves.number_of(date(2016, 9, 1)) * curves.SECONDS_A_DAY
_LATEST = (curves.FIRST_DAY - 1) * curves.SECONDS_A_DAY
_OLDEST_POST = 900.0  # days before today
_EVEN = 0.24  # how evenly the ages are spread, from 0 to 1
_HOURS = dict(enumerate((3, 2, 2, 2, 2, 3, 4, 5, 5, 5, 6, 7, 8, 8, 8, 8, 8, 9, 9, 9, 8, 7, 6, 4)))
_RATIOS = (("720p", 720, 1280), ("540p", 576, 1024), ("1080p", 1080, 1920), ("720p", 576, 1024))
_ACCOUNTS = (1_400_000_000, 1_470_000_000)  # when they were made: before all videos
_NAMES = ("{name}.{word}{tail}", "{word}by{name}{tail}", "{name}_{word}{tail}", "{name}{word}", "its{name}{tail}")
_NO_CAPTIONS = {"empty": "", "NA": "NA"}
_DOCUMENTED_POSTS = frozenset(words.DOCUMENTED["insights/product/detail"]["info"]["posts"])


def _mixed(value: int, keys: tuple[int, ...]) -> int:
    """Shuffle 32 bits in a way that the same keys, reversed, undo."""
    left, right = value >> 16, value & _HALF
    for key in keys:
        left, right = right, left ^ (((right * 40503 + key) >> 5) & _HALF)
    return right << 16 | left


@cache
def _keys(seed: str) -> tuple[int, ...]:
    return tuple(chance.number(seed, "video ids", round_) >> 40 for round_ in range(4))


@lru_cache(maxsize=65536)
def video_id(seed: str, category: Category, region: str, k: int) -> str:
    """Return the id of the k-th video of a category in a region.

    As upstream, the upper half is the posting time; the lower half leads back to the category.
    """
    place = words.CODES.index(region) + 1 if region in words.COUNTRIES else 0
    dice = chance.Dice(seed, "video", category.id, region, k)
    share = dice.unit()
    # Most are recent, but no day has far more than its neighbours.
    day = curves.FIRST_DAY - 2 - int(_OLDEST_POST * share * (_EVEN + (1.0 - _EVEN) * share))
    posted = day * curves.SECONDS_A_DAY + dice.weighted(_HOURS) * 3600 + dice.whole(0, 3599)
    packed = category.index << 22 | place << 15 | k << 8 | dice.whole(0, 255)
    identifier = posted << 32 | _mixed(packed, _keys(seed))
    while identifier % 1_000_000 == 0:  # absent by the sandbox's rule
        identifier += 1 << 32
    return str(identifier)


def day_posted(identifier: str) -> int:
    """Return the day on which the video of an id was posted."""
    return (int(identifier) >> 32) // curves.SECONDS_A_DAY


@dataclass(frozen=True)
class _Video:
    """What does not change about a video: the columns of its row that stay, and what the counts come from."""

    columns: dict[str, Any]
    posted: int
    views: float  # in the end
    half_life: float
    rates: dict[str, float]  # counts a view
    price: float
    stale: bool


def _category_and_place(seed: str, identifier: str) -> tuple[Category, int]:
    packed = _mixed(int(identifier) & _WORD, _keys(seed)[::-1])
    category = words.CATEGORIES[(packed >> 22) % len(words.CATEGORIES)]
    if identifier in _DOCUMENTED_POSTS:
        category = words.BY_ID[words.CATEGORY_ID]
    return category, (packed >> 15) % 128 % _REGIONS


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


@lru_cache(maxsize=8192)
def _video(seed: str, identifier: str) -> _Video:
    category, place = _category_and_place(seed, identifier)
    first = category.l1_id
    dice = chance.Dice(seed, "video facts", identifier)
    posted = _posted(identifier, dice)
    creator = chance.Dice(seed, "creator", category.id, place, dice.whole(1, _CREATORS))
    at_home = place > 0 and creator.chance(0.9)
    country = words.CODES[place - 1] if at_home else creator.weighted(words.WEIGHTS)
    duration = min(600, max(5, int(dice.lognormal(24.0, 0.75))))
    ai = dice.chance(effects.AI_SHARE.get(first, effects.AI_SHARE_ELSEWHERE))
    popularity, liking = creator.between(*effects.CREATOR_VIEWS), effects.CREATOR_NOISE * creator.normal()
    own = effects.ENGAGEMENT_NOISE * dice.normal() + liking
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
        "user_id": str(creator.whole(*_ACCOUNTS) << 32 | creator.whole(0, _WORD)),
        "unique_id": _username(creator),
        "video_desc": _caption(dice, category, words.COUNTRIES[country].language),
        "create_time": str(posted),
        "created_by_ai": "true" if ai else "false",
        "duration": duration,
        "ratio": ratio,
        "width": str(width),
        "height": str(height),
        "data_size": str(int(duration * dice.between(60_000, 420_000))),
        "region": "" if dice.chance(effects.REGION_BLANK) else country,
        "sales_flag": flag,
        "reflow_cover": f"https://p16-sign-va.tiktokcdn.com/obj/tos-sandbox/{cover}_{posted}"
        f"?x-expires={posted + 8_640_000}",
    }
    return _Video(
        columns=columns,
        posted=posted,
        views=dice.lognormal(effects.VIEWS_MEDIAN * popularity, effects.VIEWS_SIGMA),
        half_life=dice.lognormal(effects.HALF_LIFE, effects.HALF_LIFE_SIGMA),
        rates=rates,
        price=effects.PRICE.get(category.industry, effects.PRICE_ELSEWHERE) * dice.between(*effects.PRICE_SPREAD),
        stale=dice.chance(effects.INCREMENTS_STALE),
    )


def _username(creator: chance.Dice) -> str:
    name, word = (creator.pick(words.WORDS[kind]) for kind in ("first_names", "handle_words"))
    tail = creator.whole(1, 99) if creator.chance(0.5) else ""
    return creator.pick(_NAMES).format(name=name, word=word, tail=tail)


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


def _row(video: _Video, n: int) -> dict[str, Any]:
    now = curves.today(n) + 0.25
    posted = video.posted / curves.SECONDS_A_DAY

    def views(days_ago: float) -> int:
        age = max(0.0, now - days_ago - posted)
        return int(video.views * age / (age + video.half_life))

    total = views(0)
    counts = {name: int(total * rate) for name, rate in video.rates.items()}
    added = {1: 0, 7: 0, 30: total} if video.stale else {days: total - views(days) for days in (1, 7, 30)}
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


def rows(seed: str, answers: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the rows of videos, by id, each of its n-th answer; absent ones are left out."""
    return [
        _documented_row(answers[identifier])
        if identifier == words.VIDEO_ID
        else _row(_video(seed, identifier), answers[identifier])
        for identifier in sorted(answers, key=lambda text: (int(text), text))
        if not identifier.endswith("000000")
    ]
