"""Hashtags: what is known of each, and the lists of the hundred that trend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

from . import audiences, chance, curves, effects, words
from .query import Place, Query, chart, movement

TOP = 100
_CANDIDATES = 160  # of which the top is chosen, by how they do just now
_FAMILY_BOOST = 2.5
_VIEWS_OF_OLDER = 1.3  # how many times as many views as those of a period all posts together have
_LONGEST = 1095  # days of the longest period
_BEFORE_THE_CUT = range(10, 20)  # places from which a hashtag may come again on the next page
ALL = "all_regions"


@dataclass(frozen=True)
class _Facts:
    """What does not change about a hashtag."""

    name: str
    id: str
    industry: int
    industry_known: bool
    language: str | None
    daily_posts: float
    views_a_post: float
    views_of_older: float
    days_before: float  # of its usual level, before the longest period
    promoted: bool

    @cached_property
    def weight(self) -> float:
        """How much its size counts for its place in a list."""
        return chance.power(self.daily_posts, 0.3)


def _posted(seed: str, name: str, region: str, days: int, now: int) -> float:
    """Return how much is posted in the days before today, in days of the usual level."""
    return curves.total(curves.levels(seed, name, region, days, now)[-days:])


@cache
def _documented_ids() -> dict[str, str]:
    info = words.DOCUMENTED_TRENDS[words.HASHTAG_NAME]
    return {row["hashtag_name"]: row["hashtag_id"] for row in (info, *info["related_hashtags"])}


def _industry(seed: str, name: str) -> tuple[int, bool]:
    """Return the industry of a hashtag, and whether the world has a word for the hashtag."""
    known = words.INDUSTRY_OF_HASHTAG.get(name)
    if known is not None:
        return known, True
    category = words.BY_STEM.get(name)
    if category is not None:
        return category.industry, True
    numbers = tuple(words.INDUSTRIES)
    return chance.Dice(seed, "industry", name).pick(numbers), False


@lru_cache(maxsize=8192)
def _facts(seed: str, name: str) -> _Facts:
    if name == words.HASHTAG_NAME:
        return _documented_facts(seed)
    industry, known = _industry(seed, name)
    language = words.LANGUAGE_OF_HASHTAG.get(name)
    dice = chance.Dice(seed, "hashtag", name)
    digits = f"{dice.whole(10**7, 10**8 - 1)}{dice.whole(0, 9_999_999):07}"
    identifier = f"1{digits}" if dice.chance(0.6) else f"7{digits}{dice.whole(100, 999)}"
    has_industry = not dice.chance(effects.INDUSTRY_MISSING) and language is None
    median = 45.0
    if known or language is not None:
        median = 150.0 if name in words.BY_STEM else 600.0
    return _Facts(
        name=name,
        id=_documented_ids().get(name, identifier),
        industry=industry,
        industry_known=has_industry or name in effects.PLANTED,
        language=language,
        daily_posts=dice.lognormal(median, 0.6 if name in effects.FAMILY_OF else 1.2),
        views_a_post=dice.lognormal(14_000.0, 0.8),
        views_of_older=_VIEWS_OF_OLDER,
        days_before=dice.between(300.0, 1500.0),
        promoted=dice.chance(effects.PROMOTED),
    )


def _documented_facts(seed: str) -> _Facts:
    """Return facts from which follows what is documented of the hashtag's last seven days and of all its days."""
    info = words.DOCUMENTED_TRENDS[words.HASHTAG_NAME]
    views_a_post = info["video_views"] / info["publish_cnt"]
    return _Facts(
        name=info["hashtag_name"],
        id=info["hashtag_id"],
        industry=words.industry_number(info["industry_info"]["id"]),
        industry_known=True,
        language=None,
        daily_posts=info["publish_cnt"] / _posted(seed, info["hashtag_name"], ALL, 7, curves.FIRST_DAY),
        views_a_post=views_a_post,
        views_of_older=info["video_views_all"] / info["publish_cnt_all"] / views_a_post,
        days_before=0.0,
        promoted=info["is_promoted"],
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
def _posts_ever(seed: str, name: str) -> float:
    """Return all posts of a hashtag on the first of the sandbox's days."""
    if name == words.HASHTAG_NAME:
        return float(words.DOCUMENTED_TRENDS[words.HASHTAG_NAME]["publish_cnt_all"])
    facts = _facts(seed, name)
    days = _posted(seed, name, ALL, _LONGEST, curves.FIRST_DAY) + facts.days_before
    return facts.daily_posts * days


def _counts(query: Query, facts: _Facts) -> dict[str, int]:
    seed, region, now = query.seed, query.region, query.now
    ever = _posts_ever(seed, facts.name)
    if now > curves.FIRST_DAY:
        ever += facts.daily_posts * _posted(seed, facts.name, ALL, now - curves.FIRST_DAY, now)
    within = facts.daily_posts * _share(seed, facts, region) * _posted(seed, facts.name, region, query.period, now)
    posts = max(1, int(min(within, 0.9 * ever)))
    posts_ever = max(posts + 1, int(ever))
    views = facts.views_a_post
    if (facts.name, region) != (words.HASHTAG_NAME, ALL):
        views *= 0.85 + 0.3 * chance.Dice(seed, "views a post", facts.name, region).unit()
    return {
        "publish_cnt": posts,
        "video_views": int(posts * views),
        "publish_cnt_all": posts_ever,
        "video_views_all": int(posts_ever * facts.views_a_post * facts.views_of_older),
    }


def _head(facts: _Facts, region: str) -> dict[str, Any]:
    country = dict.fromkeys(("id", "value", "label"), "ALL")
    if region != ALL:
        country = {"id": region, "value": words.COUNTRIES[region].name, "label": region}
    industry = {"industry_info": words.industry_info(facts.industry)} if facts.industry_known else {}
    return {**_named(facts), "country_info": country, **industry, "is_promoted": facts.promoted}


def _named(facts: _Facts) -> dict[str, str]:
    url = f"https://www.tiktok.com/tag/{facts.name}"
    return {"hashtag_id": facts.id, "hashtag_name": facts.name, "video_url": url}


def _related(query: Query, facts: _Facts) -> list[dict[str, str]]:
    dice = chance.Dice(query.seed, "related hashtags", facts.name, (query.n + 2) // 3)

    def others(found: Iterable[str]) -> list[str]:
        return [name for name in found if name != facts.name]

    family = others(effects.FAMILIES.get(effects.FAMILY_OF.get(facts.name) or "", ()))
    near = dice.sample(others(words.INDUSTRIES[facts.industry].hashtags), 4)
    language = facts.language or dice.pick(("en", "es", "th", "ar", "ja"))
    far = dice.sample(words.LANGUAGES[language].hashtags, 1)
    chosen = tuple(dict.fromkeys([*family, *near, *far]))[:5]
    return [_named(_facts(query.seed, name)) for name in others(chosen)]


def audience(query: Query, name: str, *, ages_null: float) -> dict[str, Any]:
    """Return the audience of a hashtag, with so large a share of all hashtags without ages."""
    facts, family = _facts(query.seed, name), effects.FAMILY_OF.get(name)
    return audiences.of_trend(
        query,
        "hashtag",
        name,
        profile=f"family {family}" if family is not None else f"hashtag {name}",
        industry=facts.industry,
        language=facts.language,
        noise=effects.FAMILY_AUDIENCE_NOISE if family is not None else 0.1,
        planted=name in effects.PLANTED,
        ages_null=ages_null,
    )


def detail(query: Query) -> dict[str, Any]:
    """Return what is known of a hashtag."""
    name = query.text("hashtag_name")
    facts = _facts(query.seed, name)
    info = {
        **_head(facts, query.region),
        "trend": curves.trend(query.seed, name, query.region, query.period, query.now),
        **_counts(query, facts),
        "longevity": {"popular_days": 0, "current_popularity": 0},
        **audience(query, name, ages_null=effects.AGES_NULL),
        "related_hashtags": _related(query, facts),
    }
    return {"info": info}


def _pool(seed: str, region: str, industry: int | None) -> list[str]:
    """Return the names from which a list is made."""
    known = words.INDUSTRY_OF_HASHTAG
    if industry is not None:
        found = [name for name, number in known.items() if number == industry]
        found += [stem for stem in words.BY_STEM if _industry(seed, stem)[0] == industry]
        return [name for name in dict.fromkeys(found) if _facts(seed, name).industry_known]
    local: Iterable[str] = words.LANGUAGE_OF_HASHTAG
    if region != ALL:
        local = words.LANGUAGES[words.COUNTRIES[region].language].hashtags
    return list(dict.fromkeys([*known, *local, *words.BY_STEM]))


@lru_cache(maxsize=256)
def _candidates(seed: str, region: str, industry: int | None) -> tuple[tuple[float, str], ...]:
    """Return the hashtags that may be in the list of a region, those that are large there, with their size."""
    scored = []
    for name in _pool(seed, region, industry):
        facts = _facts(seed, name)
        in_front = name in effects.PLANTED or name in effects.EVENTS
        scored.append((not in_front, -facts.weight * _share(seed, facts, region), name))
    return tuple((-size, name) for _, size, name in sorted(scored)[:_CANDIDATES])


@lru_cache(maxsize=256)
def _top(seed: str, region: str, period: int, industry: int | None, n: int) -> tuple[Place, ...]:
    pool = _candidates(seed, region, industry)
    families = {name for _, name in pool if name in effects.FAMILY_OF}
    rows = chart(
        (
            (
                size * (_FAMILY_BOOST if name in families else 1.0),
                name,
                curves.levels(seed, name, region, period, curves.today(n)),
            )
            for size, name in pool
        ),
        period=period,
        most=TOP,
        most_before=min(TOP, int(len(pool) * 0.85)),  # of too few for a cut, the last are new
        kept=families,
    )
    places = [place for place in _BEFORE_THE_CUT if len(rows) == TOP and rows[place][0] not in effects.PLANTED]
    dice = chance.Dice(seed, "twice", region, period, n)
    if places and dice.chance(effects.LIST_TWICE):
        place = dice.pick(places)
        rows.pop(max(at for at, (name, _) in enumerate(rows) if name not in families))
        rows.insert(21 + place % 4, rows[place])
    return tuple(rows)


def _creators(query: Query, name: str) -> list[dict[str, str]]:
    dice = chance.Dice(query.seed, "creators", name, query.region, (query.n + 1) // 2)
    found = []
    for _ in range(dice.pick((0, 1, 3, 3, 3, 3, 4, 5))):
        nick = dice.pick(words.WORDS["first_names"]).title()
        if dice.chance(0.5):
            nick += f" {dice.pick(words.WORDS['handle_words'])}"
        if dice.chance(0.3):
            nick += f" {dice.pick(words.WORDS['emoji'])}"
        avatar = f"https://p16-sign-va.tiktokcdn.com/tos-sandbox-avt/{dice.whole(0, 0xFFFFFFFFFFFF):012x}.jpeg"
        found.append({"nick_name": nick, "avatar_url": avatar})
    return found


def _row(query: Query, rank: int, name: str, before: int | None) -> dict[str, Any]:
    facts = _facts(query.seed, name)
    counts = _counts(query, facts)
    nearly = 0.94 + 0.12 * chance.Dice(query.seed, "list and detail", name, query.region, query.period, query.n).unit()
    head = _head(facts, query.region)
    del head["video_url"]
    return {
        **head,
        "trend": curves.trend(query.seed, name, query.region, query.period, query.now),
        "creators": _creators(query, name),
        "publish_cnt": int(counts["publish_cnt"] * nearly) + 1,
        "video_views": int(counts["video_views"] * nearly) + 1,
        "rank": rank,
        **movement(rank, before),
    }


def top(query: Query) -> dict[str, Any]:
    """Return one page of the list of trending hashtags."""
    industry = query.filter("industry_id", "nothing")
    number = None if industry is None else words.industry_number(int(industry))
    ranked = list(enumerate(_top(query.seed, query.region, query.period, number, query.n), start=1))
    if query.text("new_to_top_100") == "true":
        ranked = [(rank, place) for rank, place in ranked if place[1] is None]
    return query.page("list", ranked, lambda entry: _row(query, entry[0], *entry[1]))
