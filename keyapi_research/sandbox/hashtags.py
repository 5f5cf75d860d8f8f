"""Hashtags: what is known of each, and the lists of the hundred that trend."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from keyapi_research.sandbox import audiences, chance, curves, documented, effects, names
from keyapi_research.sandbox.catalogue import by_id, by_stem
from keyapi_research.sandbox.products import pagination

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
    industry_told: bool
    language: str | None
    family: str | None
    daily_posts: float
    views_a_post: float
    views_of_older: float
    days_before: float  # of its usual level, before the longest period
    promoted: bool

    weight: float

    @property
    def planted(self) -> bool:
        """Whether something is planted in it, so that it must not be odd."""
        return _is_planted(self.name)


@cache
def _documented_ids() -> dict[str, str]:
    info = documented.data("trending/hashtag/detail")["info"]
    return {row["hashtag_name"]: row["hashtag_id"] for row in (info, *info["related_hashtags"])}


@cache
def _family_of() -> dict[str, str]:
    return {name: family for family, found in effects.FAMILIES.items() for name in found}


def _is_planted(name: str) -> bool:
    return name in _family_of() or name in effects.SEASONAL_HASHTAGS


def _industry(seed: str, name: str) -> tuple[int, bool]:
    """Return the industry of a hashtag, and whether the world has a word for the hashtag."""
    known = names.industry_of_hashtag().get(name)
    if known is not None:
        return known, True
    category = by_stem().get(name)
    if category is not None:
        return names.INDUSTRY_OF_CATEGORY[by_id()[category.l1_id].id], True
    industries = names.industries()
    return industries[chance.number(seed, "industry", name) % len(industries)], False


@lru_cache(maxsize=8192)
def _facts(seed: str, name: str) -> _Facts:
    industry, known = _industry(seed, name)
    language = names.language_of_hashtag().get(name)
    dice = chance.Dice(seed, "hashtag", name)
    family = _family_of().get(name)
    identifier = chance.digits(15, "hashtag", name)
    identifier = f"1{identifier}" if dice.chance(0.6) else f"7{identifier}{dice.whole(100, 999)}"
    told = not dice.chance(effects.INDUSTRY_MISSING) and language is None
    median = 45.0
    if known or language is not None:
        median = 150.0 if name in by_stem() else 600.0
    if name == documented.HASHTAG_NAME:
        return _documented_facts(seed)
    daily_posts = dice.lognormal(median, 0.6 if family is not None else 1.2)
    return _Facts(
        name=name,
        id=_documented_ids().get(name, identifier),
        industry=industry,
        industry_told=told or _is_planted(name),
        language=language,
        family=family,
        daily_posts=daily_posts,
        views_a_post=dice.lognormal(14_000.0, 0.8),
        views_of_older=_VIEWS_OF_OLDER,
        days_before=dice.between(300.0, 1500.0),
        promoted=dice.chance(effects.PROMOTED),
        weight=_weight(daily_posts),
    )


def _weight(daily_posts: float) -> float:
    """Return how much a hashtag's size counts for its place in a list."""
    return chance.power(daily_posts, 0.3)


def _documented_facts(seed: str) -> _Facts:
    """Return facts that give what is documented of the hashtag's last seven days and of all its days."""
    info = documented.data("trending/hashtag/detail")["info"]
    curve = curves.Curve(seed, info["hashtag_name"], ALL)
    daily_posts = info["publish_cnt"] / curve.total(curves.FIRST_DAY, 7)
    views_a_post = info["video_views"] / info["publish_cnt"]
    return _Facts(
        name=info["hashtag_name"],
        id=info["hashtag_id"],
        industry=names.industry_number(info["industry_info"]["id"]),
        industry_told=True,
        language=None,
        family=None,
        daily_posts=daily_posts,
        views_a_post=views_a_post,
        views_of_older=info["video_views_all"] / info["publish_cnt_all"] / views_a_post,
        days_before=0.0,
        promoted=info["is_promoted"],
        weight=_weight(daily_posts),
    )


def _share(seed: str, facts: _Facts, region: str) -> float:
    """Return how much of a hashtag's posts are in a region."""
    if region == ALL:
        return 1.0
    country = names.countries()[region]
    taste = 0.4 + 1.4 * chance.unit(seed, "hashtag taste", facts.name, region)
    if facts.language is not None:
        taste *= 5.0 if facts.language == country.language else 0.15
    return min(0.8, taste * country.weight / 1444.0)


def _curve(seed: str, facts: _Facts, region: str) -> curves.Curve:
    return curves.Curve(seed, facts.name, region, facts.family)


@lru_cache(maxsize=8192)
def _posts_ever(seed: str, name: str) -> float:
    """Return all posts of a hashtag on the first of the sandbox's days."""
    if name == documented.HASHTAG_NAME:
        return float(documented.data("trending/hashtag/detail")["info"]["publish_cnt_all"])
    facts = _facts(seed, name)
    days = _curve(seed, facts, ALL).total(curves.FIRST_DAY, _LONGEST) + facts.days_before
    return facts.daily_posts * days


def _counts(seed: str, facts: _Facts, curve: curves.Curve, period: int, now: int) -> dict[str, int]:
    region = curve.region
    ever = _posts_ever(seed, facts.name)
    if now > curves.FIRST_DAY:
        ever += facts.daily_posts * sum(map(_curve(seed, facts, ALL).at, range(curves.FIRST_DAY, now)))
    within = facts.daily_posts * _share(seed, facts, region) * curve.total(now, period)
    posts = max(1, int(min(within, 0.9 * ever)))
    views = facts.views_a_post
    if (facts.name, region) != (documented.HASHTAG_NAME, ALL):
        views *= 0.85 + 0.3 * chance.unit(seed, "views a post", facts.name, region)
    return {
        "publish_cnt": posts,
        "video_views": int(posts * views),
        "publish_cnt_all": max(posts + 1, int(ever)),
        "video_views_all": int(max(posts + 1, int(ever)) * facts.views_a_post * facts.views_of_older),
    }


def _head(facts: _Facts, region: str) -> dict[str, Any]:
    if region == ALL:
        country = dict.fromkeys(("id", "value", "label"), "ALL")
    else:
        country = {"id": region, "value": names.countries()[region].name, "label": region}
    head: dict[str, Any] = {
        "hashtag_id": facts.id,
        "hashtag_name": facts.name,
        "video_url": url(facts.name),
        "country_info": country,
    }
    if facts.industry_told:
        head["industry_info"] = names.industry_info(facts.industry)
    head["is_promoted"] = facts.promoted
    return head


def url(name: str) -> str:
    """Return the page of a hashtag."""
    return f"https://www.tiktok.com/tag/{name}"


def _related(seed: str, facts: _Facts, n: int) -> list[dict[str, str]]:
    dice = chance.Dice(seed, "related hashtags", facts.name, (n + 2) // 3)
    family = [name for name in effects.FAMILIES.get(facts.family or "", ()) if name != facts.name]
    near = dice.sample([name for name in names.hashtags(facts.industry) if name != facts.name], 4)
    far = dice.sample(names.language_hashtags(facts.language or dice.pick(("en", "es", "th", "ar", "ja"))), 1)
    chosen = list(dict.fromkeys([*family, *near, *far]))[:5]
    return [
        {"hashtag_id": _facts(seed, name).id, "hashtag_name": name, "video_url": url(name)}
        for name in chosen
        if name != facts.name
    ]


def audience(seed: str, n: int, *, name: str, region: str, period: int, ages_null: float) -> dict[str, Any]:
    """Return the audience of a hashtag."""
    facts = _facts(seed, name)
    return audiences.of_trend(
        seed,
        ("hashtag", name, region, period),
        n,
        profile=f"family {facts.family}" if facts.family is not None else f"hashtag {name}",
        industry=facts.industry,
        language=facts.language,
        noise=effects.FAMILY_AUDIENCE_NOISE if facts.family is not None else 0.1,
        planted=facts.planted,
        ages_null=ages_null,
    )


def detail(seed: str, n: int, *, name: str, region: str, period: int) -> dict[str, Any]:
    """Return what is told of a hashtag the n-th time it is asked for."""
    if (name, region, period, n) == (documented.HASHTAG_NAME, ALL, 7, 1):
        info: dict[str, Any] = documented.data("trending/hashtag/detail")["info"]
        return info
    facts = _facts(seed, name)
    now = curves.today(n)
    curve = _curve(seed, facts, region)
    return {
        **_head(facts, region),
        "trend": curves.trend(seed, ("hashtag", name, region, period), curve, period, now),
        **_counts(seed, facts, curve, period, now),
        "longevity": {"popular_days": 0, "current_popularity": 0},
        **audience(seed, n, name=name, region=region, period=period, ages_null=effects.AGES_NULL),
        "related_hashtags": _related(seed, facts, n),
    }


def _pool(seed: str, region: str, industry: int | None) -> list[str]:
    if industry is not None:
        found = [name for name, which in names.industry_of_hashtag().items() if which == industry]
        found += [stem for stem in by_stem() if _industry(seed, stem)[0] == industry]
        return [name for name in dict.fromkeys(found) if _facts(seed, name).industry_told]
    local = (
        names.language_hashtags(names.countries()[region].language)
        if region != ALL
        else tuple(names.language_of_hashtag())
    )
    return list(dict.fromkeys([*names.industry_of_hashtag(), *local, *by_stem()]))


@lru_cache(maxsize=256)
def _candidates(seed: str, region: str, industry: int | None) -> tuple[tuple[float, _Facts], ...]:
    """Return the hashtags that may be in the list of a region, those that are large there, with their size."""
    scored = []
    for name in _pool(seed, region, industry):
        facts = _facts(seed, name)
        size = facts.weight * _share(seed, facts, region)
        in_front = facts.planted or name in effects.EVENTS
        scored.append((not in_front, -size, name, facts))
    return tuple((-size, facts) for _, size, _, facts in sorted(scored)[:_CANDIDATES])


@lru_cache(maxsize=256)
def _top(seed: str, region: str, period: int, industry: int | None, n: int) -> tuple[tuple[str, int | None], ...]:
    """Return the list: each hashtag, and its rank in the list of the period before (None: not in it)."""
    pool = _candidates(seed, region, industry)
    now = curves.today(n)
    recent = max(3, period // 6)
    current, earlier = [], []
    for size, facts in pool:
        curve = _curve(seed, facts, region)
        score = size * (_FAMILY_BOOST if facts.family is not None else 1.0)
        current.append((-score * curve.mean(now - recent, now, samples=3), facts.name))
        earlier.append((-score * curve.mean(now - period - recent, now - period, samples=3), facts.name))
    # Where there are too few hashtags for a cut, what was last is new.
    last = min(TOP, int(len(pool) * 0.85))
    before = {name: rank for rank, (_, name) in enumerate(sorted(earlier)[:last], start=1)}
    families = _family_of()
    kept = sorted(current, key=lambda entry: (entry[1] not in families, entry))[:TOP]
    rows = [(name, before.get(name)) for _, name in sorted(kept)]
    if len(rows) == TOP and chance.unit(seed, "twice", region, period, n) < effects.LIST_TWICE:
        places = [place for place in _BEFORE_THE_CUT if not _is_planted(rows[place][0])]
        if places:
            place = places[chance.number(seed, "which twice", region, period, n) % len(places)]
            last_usual = max(at for at, (name, _) in enumerate(rows) if name not in families)
            rows.pop(last_usual)
            rows.insert(21 + place % 4, rows[place])
    return tuple(rows)


def movement(rank: int, before: int | None) -> dict[str, int]:
    """Return how an entry of a list has moved; the difference is missing where it is new."""
    if before is None:
        return {"rank_diff_type": 4}
    change = before - rank
    return {"rank_diff": change, "rank_diff_type": 1 if change > 0 else 3 if change < 0 else 2}


def _creators(seed: str, name: str, region: str, n: int) -> list[dict[str, str]]:
    dice = chance.Dice(seed, "creators", name, region, (n + 1) // 2)
    found = []
    for _ in range(dice.pick((0, 1, 3, 3, 3, 3, 4, 5))):
        nick = dice.pick(names.FIRST_NAMES).title()
        if dice.chance(0.5):
            nick += f" {dice.pick(names.HANDLE_WORDS)}"
        if dice.chance(0.3):
            nick += f" {dice.pick(names.EMOJI)}"
        picture = f"{dice.whole(0, 0xFFFFFFFFFFFF):012x}"
        found.append(
            {"nick_name": nick, "avatar_url": f"https://p16-sign-va.tiktokcdn.com/tos-sandbox-avt/{picture}.jpeg"}
        )
    return found


def top(
    seed: str, n: int, *, region: str, period: int, industry: int | None, new_only: bool, page: int, limit: int
) -> dict[str, Any]:
    """Return one page of the list of trending hashtags, the n-th time it is asked for."""
    ranked = list(enumerate(_top(seed, region, period, industry, n), start=1))
    if new_only:
        ranked = [entry for entry in ranked if entry[1][1] is None]
    now = curves.today(n)
    found = []
    for rank, (name, before) in ranked[(page - 1) * limit : page * limit]:
        facts = _facts(seed, name)
        curve = _curve(seed, facts, region)
        counts = _counts(seed, facts, curve, period, now)
        nearly = 0.94 + 0.12 * chance.unit(seed, "list and detail", name, region, period, n)
        head = _head(facts, region)
        del head["video_url"]
        found.append(
            {
                **head,
                "trend": curves.trend(seed, ("hashtag", name, region, period), curve, period, now),
                "creators": _creators(seed, name, region, n),
                "publish_cnt": int(counts["publish_cnt"] * nearly) + 1,
                "video_views": int(counts["video_views"] * nearly) + 1,
                "rank": rank,
                **movement(rank, before),
            }
        )
    return {"list": found, "pagination": pagination(page, len(found), len(ranked), limit)}
