"""Hashtags: what is known of each, and the lists of the hundred that trend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from . import audiences, chance, curves, effects, words
from .curves import ALL
from .identity import Setting
from .query import Place, Query, chart

TOP = 100
_CANDIDATES = 160  # of which the top is chosen, by how they do just now
_FAMILY_BOOST = 2.5
_VIEWS_OF_OLDER = 1.3  # how many times as many views as those of a period all posts together have
_LONGEST = 1095  # days of the longest period
_BEFORE_THE_CUT = range(10, 20)  # places from which a hashtag may come again on the next page
_INFO = words.DOCUMENTED_TRENDS[words.HASHTAG_NAME]
_DOCUMENTED_IDS = {row["hashtag_name"]: row["hashtag_id"] for row in (_INFO, *_INFO["related_hashtags"])}


@dataclass(frozen=True)
class _Facts:
    """What does not change about a hashtag."""

    name: str
    id: str
    industry: int
    industry_known: bool
    language: str | None
    promoted: bool
    daily_posts: float
    days_before: float  # of its usual level, before the longest period
    views_a_post: float
    views_of_older: float


def _posted(setting: Setting, name: str, region: str, days: int, now: int) -> float:
    """Return how much is posted in the days before today, in days of the usual level."""
    return curves.total(curves.levels(setting, name, region, days, now)[-days:])


def _industry(seed: str, name: str) -> int:
    if name in words.INDUSTRY_OF_HASHTAG:
        return words.INDUSTRY_OF_HASHTAG[name]
    if name in words.BY_STEM:
        return words.BY_STEM[name].industry
    return chance.Dice(seed, "industry", name).pick(tuple(words.INDUSTRIES))


@lru_cache(maxsize=8192)
def _facts(setting: Setting, name: str) -> _Facts:
    if name == words.HASHTAG_NAME:
        return _documented_facts(setting)
    language = words.LANGUAGE_OF_HASHTAG.get(name)
    dice = chance.Dice(setting.seed, "hashtag", name)
    digits = f"{dice.whole(10**7, 10**8 - 1)}{dice.whole(0, 9_999_999):07}"
    identifier = f"1{digits}" if dice.chance(0.6) else f"7{digits}{dice.whole(100, 999)}"
    has_industry = not dice.chance(effects.INDUSTRY_MISSING) and language is None
    median = 45.0
    if name in words.BY_STEM:
        median = 150.0
    elif name in words.INDUSTRY_OF_HASHTAG or language is not None:
        median = 600.0
    return _Facts(
        name=name,
        id=_DOCUMENTED_IDS.get(name, identifier),
        industry=_industry(setting.seed, name),
        industry_known=has_industry or name in effects.PLANTED,
        language=language,
        promoted=dice.chance(effects.PROMOTED),
        daily_posts=dice.lognormal(median, 0.6 if name in effects.FAMILY_OF else 1.2),
        days_before=dice.between(300.0, 1500.0),
        views_a_post=dice.lognormal(14_000.0, 0.8),
        views_of_older=_VIEWS_OF_OLDER,
    )


def _documented_facts(setting: Setting) -> _Facts:
    """Return facts from which follows what is documented of the hashtag's last seven days and of all its days."""
    week, ever = (_posted(setting, words.HASHTAG_NAME, ALL, days, curves.FIRST_DAY) for days in (7, _LONGEST))
    daily_posts, views_a_post = _INFO["publish_cnt"] / week, _INFO["video_views"] / _INFO["publish_cnt"]
    return _Facts(
        name=words.HASHTAG_NAME,
        id=_INFO["hashtag_id"],
        industry=words.industry_number(_INFO["industry_info"]["id"]),
        industry_known=True,
        language=None,
        promoted=_INFO["is_promoted"],
        daily_posts=daily_posts,
        days_before=_INFO["publish_cnt_all"] / daily_posts - ever,
        views_a_post=views_a_post,
        views_of_older=_INFO["video_views_all"] / _INFO["publish_cnt_all"] / views_a_post,
    )


def _share(seed: str, facts: _Facts, region: str) -> float:
    """Return how much of a hashtag's posts are in a region."""
    if region == ALL:
        return 1.0
    country = words.COUNTRIES[region]
    taste = 0.4 + 1.4 * chance.Dice(seed, "hashtag taste", facts.name, region).unit()
    if facts.language is not None:
        taste *= 5.0 if facts.language == country.language else 0.15
    return min(0.8, taste * country.weight / 1444.0)


@lru_cache(maxsize=8192)
def _days_ever(setting: Setting, name: str) -> float:
    """Return how much was posted before the first of the sandbox's days, in days of the usual level."""
    return _facts(setting, name).days_before + _posted(setting, name, ALL, _LONGEST, curves.FIRST_DAY)


def _counts(query: Query, facts: _Facts) -> dict[str, int]:
    setting, name, region, now = query.setting, facts.name, query.region, query.now
    days_ever, views = _days_ever(setting, name), facts.views_a_post
    if now > curves.FIRST_DAY:
        days_ever += _posted(setting, name, ALL, now - curves.FIRST_DAY, now)
    if region != ALL:
        views *= 0.85 + 0.3 * chance.Dice(setting.seed, "views a post", name, region).unit()
    within = facts.daily_posts * _share(setting.seed, facts, region) * _posted(setting, name, region, query.period, now)
    posts = max(1, int(min(within, 0.9 * facts.daily_posts * days_ever)))
    posts_ever = max(posts + 1, int(facts.daily_posts * days_ever + 0.5))
    return {
        "publish_cnt": posts,
        "video_views": int(posts * views),
        "publish_cnt_all": posts_ever,
        "video_views_all": int(posts_ever * facts.views_a_post * facts.views_of_older),
    }


def _named(facts: _Facts) -> dict[str, str]:
    url = f"https://www.tiktok.com/tag/{facts.name}"
    return {"hashtag_id": facts.id, "hashtag_name": facts.name, "video_url": url}


def _head(query: Query, facts: _Facts) -> dict[str, Any]:
    country = dict.fromkeys(("id", "value", "label"), "ALL")
    if query.region != ALL:
        country = {"id": query.region, "value": words.COUNTRIES[query.region].name, "label": query.region}
    return {
        **_named(facts),
        "country_info": country,
        **({"industry_info": words.industry_info(facts.industry)} if facts.industry_known else {}),
        "is_promoted": facts.promoted,
        "trend": curves.trend(query.setting, facts.name, query.region, query.period, query.now),
        **_counts(query, facts),
    }


def _related(query: Query, facts: _Facts) -> list[dict[str, str]]:
    dice = chance.Dice(query.seed, "related", facts.name, (query.n + 2) // 3)

    def others(found: Iterable[str]) -> list[str]:
        return [name for name in found if name != facts.name]

    family = others(effects.FAMILIES.get(effects.FAMILY_OF.get(facts.name, ""), ()))
    near = dice.sample(others(words.INDUSTRIES[facts.industry].hashtags), 4)
    language = facts.language or dice.pick(("en", "es", "th", "ar", "ja"))
    far = dice.sample(others(words.LANGUAGES[language].hashtags), 1)
    chosen = dict.fromkeys([*family, *near, *far])
    return [_named(_facts(query.setting, name)) for name in list(chosen)[:5]]


def detail(query: Query) -> dict[str, Any]:
    """Return what is known of a hashtag."""
    name = query.text("hashtag_name")
    facts = _facts(query.setting, name)
    audience = audiences.of_trend(
        query, name, industry=facts.industry, language=facts.language, ages_null=effects.AGES_NULL
    )
    info = {
        **_head(query, facts),
        "longevity": {"popular_days": 0, "current_popularity": 0},
        **audience,
        "related_hashtags": _related(query, facts),
    }
    return {"info": info}


def _pool(setting: Setting, region: str, industry: int | None) -> Iterable[str]:
    """Return the names from which a list is made."""
    if industry is not None:
        known = [*words.INDUSTRY_OF_HASHTAG, *words.BY_STEM]
        known = [name for name in known if _industry(setting.seed, name) == industry]
        return [name for name in known if _facts(setting, name).industry_known]
    local: Iterable[str] = words.LANGUAGE_OF_HASHTAG
    if region != ALL:
        local = words.LANGUAGES[words.COUNTRIES[region].language].hashtags
    return [*words.INDUSTRY_OF_HASHTAG, *local, *words.BY_STEM]


@lru_cache(maxsize=256)
def _candidates(setting: Setting, region: str, industry: int | None) -> list[tuple[str, float]]:
    """Return the hashtags that may be in the list of a region, those that are large there, with their size."""
    scored = []
    for name in set(_pool(setting, region, industry)):
        facts = _facts(setting, name)
        size = chance.power(facts.daily_posts, 0.3) * _share(setting.seed, facts, region)
        in_front = name in effects.PLANTED or name in effects.EVENTS
        scored.append((not in_front, -size, name))
    return [
        (name, -size * (_FAMILY_BOOST if name in effects.FAMILY_OF else 1.0))
        for _, size, name in sorted(scored)[:_CANDIDATES]
    ]


@lru_cache(maxsize=256)
def _top(setting: Setting, region: str, period: int, industry: int | None, n: int) -> list[Place]:
    day = curves.day_of(setting, n)
    rows = chart(_candidates(setting, region, industry), setting, region, period, day, most=TOP)
    places = [place for place in _BEFORE_THE_CUT if len(rows) == TOP and rows[place][0] not in effects.PLANTED]
    dice = chance.Dice(setting.seed, "twice", region, period, n)
    if places and dice.chance(effects.LIST_TWICE):
        place = dice.pick(places)
        rows.pop(max(at for at, (name, _) in enumerate(rows) if name not in effects.FAMILY_OF))
        rows.insert(21 + place % 4, rows[place])
    return rows


def _creators(query: Query, name: str) -> list[dict[str, str]]:
    dice = chance.Dice(query.seed, "creators", name, query.region, (query.n + 1) // 2)
    found = []
    for _ in range(dice.pick((0, 1, 3, 3, 3, 3, 4, 5))):
        nick = dice.pick(words.WORDS["first_names"]).title()
        if dice.chance(0.5):
            nick += f" {dice.pick(words.WORDS['handle_words'])}"
        if dice.chance(0.3):
            nick += f" {dice.pick(words.WORDS['emoji'])}"
        avatar = f"https://p16-sign-va.tiktokcdn.com/tos-sandbox-avt/{dice.whole(0, 0xFFFFFFFF):08x}.jpeg"
        found.append({"nick_name": nick, "avatar_url": avatar})
    return found


def _row(query: Query, name: str) -> dict[str, Any]:
    row = _head(query, _facts(query.setting, name))
    nearly = chance.Dice(query.seed, "list and detail", name, query.region, query.period, query.n).between(0.94, 1.06)
    for count in ("publish_cnt", "video_views"):
        row[count] = int(row[count] * nearly) + 1
    for only_of_details in ("video_url", "publish_cnt_all", "video_views_all"):
        del row[only_of_details]
    return {**row, "creators": _creators(query, name)}


def top(query: Query) -> dict[str, Any]:
    """Return one page of the list of trending hashtags."""
    industry = query.filter("industry_id", "nothing")
    number = None if industry is None else words.industry_number(int(industry))
    places = _top(query.setting, query.region, query.period, number, query.n)
    return query.top("list", places, lambda name: _row(query, name))
