"""Sounds: what is known of each, and the lists of those that trend."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from . import audiences, chance, curves, effects, videos, words
from .identity import Setting
from .query import Place, Query, chart
from .words import L3, Category

TOP = 99
_POOL = 260
_CANDIDATES = 135
_TWIN_BOOST = 6.0
_COVERS = "https://p16-sg.tiktokcdn.com/aweme/720x720/tos-sandbox-v-2774"
_DURATIONS = (15, 20, 24, 30, 30, 45, 58, 60, 60, 93, 147, 180)
_VERSIONS = (" (Sped Up)", " (Slowed)", " - Remix", " (feat. Kaya)", " [Live]")
_KINDS = {"original": 0.18, "version": 0.12}  # shares of all sounds


@dataclass(frozen=True)
class _Sound:
    """What does not change about a sound: the columns of its row that stay, and what the rest comes from."""

    clip_id: str
    columns: dict[str, Any]
    language: str
    industry: int
    plays: float


@lru_cache(maxsize=16)
def _pool(seed: str) -> list[str]:
    dice, found = chance.Dice(seed, "clips"), [words.CLIP_ID, effects.TWIN_SOUND]
    while len(found) < _POOL:
        clip_id = dice.whole(1_500_000_000, 1_765_000_000) << 32 | dice.whole(0, 0xFFFFFFFF)
        found.append(str(clip_id + 1 if clip_id % 1_000_000 == 0 else clip_id))
    return found


def _words(dice: chance.Dice, language: str) -> tuple[str, str]:
    """Return a title and an author."""

    def word(kind: str) -> str:
        return dice.pick(words.WORDS[kind])

    kind = dice.outcome(_KINDS)
    if kind == "original":
        return "original sound", word("first_names") + word("handle_words")
    titles = words.LANGUAGES[language].titles
    title = dice.pick(titles) if titles else f"{word('title_first')} {word('title_second')}"
    return title + (dice.pick(_VERSIONS) if kind else ""), f"{word('artist_first')} {word('artist_last')}"


@lru_cache(maxsize=4096)
def _sound(seed: str, clip_id: str) -> _Sound:
    dice = chance.Dice(seed, "sound", clip_id)
    country = words.COUNTRIES[dice.weighted(words.WEIGHTS)]
    language = country.language if dice.chance(0.6) else "en"
    title, author = _words(dice, language)
    columns: dict[str, Any] = {
        "clip_id": clip_id,
        "song_id": str(int(clip_id) - dice.whole(10_000_000, 4_000_000_000)) if int(clip_id) > 10**12 else clip_id,
        "title": title,
        "author": author,
        "duration": dice.pick(_DURATIONS),
        "if_cml": dice.chance(0.4),
        "promoted": dice.chance(effects.PROMOTED),
        "cover": f"{_COVERS}/{chance.number('cover', clip_id):016x}.jpeg",
        "link": f"https://www.tiktok.com/music/x-{clip_id}",
    }
    industry, plays = dice.pick(tuple(words.INDUSTRIES)), dice.lognormal(1.0, 0.8)
    if clip_id == words.CLIP_ID:
        columns |= {key: words.DOCUMENTED_TRENDS[clip_id][key] for key in columns if key != "link"}
    elif clip_id == effects.TWIN_SOUND:
        columns |= {"title": "Golden Hour Bloom", "author": "Mira Solène", "if_cml": True, "promoted": False}
        language, industry = "en", words.INDUSTRY_OF_HASHTAG[effects.TWIN_HASHTAG]
    columns["url_title"] = "-".join(columns["title"].replace("-", " ").split())
    return _Sound(clip_id, columns, language, industry, plays)


def _twin_audience(query: Query, industry: int) -> dict[str, Any]:
    found = audiences.of_trend(query, effects.TWIN_HASHTAG, industry=industry, language=None, ages_null=0.0)
    dice = chance.Dice(query.seed, "twin", query.region, query.period)
    for which in ("audience_interests", "audience_countries"):
        for row in found[which]:
            row["score"] = int(row["score"] * (1.0 + dice.between(-effects.TWIN_NOISE, effects.TWIN_NOISE)))
        found[which].sort(key=lambda row: -row["score"])
        for row, score in zip(found[which], audiences.apart([row["score"] for row in found[which]]), strict=True):
            row["score"] = score
    return found


def _audience(query: Query, sound: _Sound) -> dict[str, Any]:
    if sound.clip_id == effects.TWIN_SOUND:
        return _twin_audience(query, sound.industry)
    return audiences.of_trend(
        query, sound.clip_id, industry=sound.industry, language=sound.language, ages_null=effects.SOUND_AGES_NULL
    )


@cache
def _categories_of(industry: int) -> list[Category]:
    leaves = [category for category in words.CATEGORIES if category.level == L3]
    return [leaf for leaf in leaves if leaf.industry == industry] or leaves


def _related_items(query: Query, sound: _Sound) -> list[dict[str, Any]] | None:
    dice = chance.Dice(query.seed, "sound videos", sound.clip_id, query.region)
    if sound.clip_id != effects.TWIN_SOUND and dice.chance(effects.RELATED_ITEMS_NULL):
        return None
    fit = _categories_of(sound.industry)
    count = dice.whole(3, 9)
    # As in ids of videos, the upper half is a time; an id without one, or of tomorrow, does not show how old it is.
    made = int(sound.clip_id) >> 32
    born = made if made < curves.FIRST_DAY * curves.SECONDS_A_DAY else 0
    found: list[dict[str, Any]] = []
    for place, k in enumerate(dice.sample(range(videos.POOL), videos.POOL)):
        category = fit[(dice.whole(0, len(fit) - 1) + (query.n - 1) * (place % 2)) % len(fit)]
        item = int(videos.video_id(query.seed, category, query.region, k))
        if item >> 32 > born:
            picture = f"{chance.number('still', sound.clip_id, k):016x}"
            found.append({"item_id": item, "cover_uri": f"tos-sandbox-p-0037/{picture}"})
        if len(found) == count:
            break
    return found or None


def _row(query: Query, clip_id: str) -> dict[str, Any]:
    """Return what the detail and the row of a list have in common."""
    sound = _sound(query.seed, clip_id)
    return {
        **sound.columns,
        "country_code": query.region,
        "is_search": False,
        "on_list_times": None,
        "rank": None,
        "rank_diff": None,
        "related_items": _related_items(query, sound),
        "trend": curves.trend(query.setting, clip_id, query.region, query.period, query.now),
    }


def detail(query: Query) -> dict[str, Any]:
    """Return what is known of a sound."""
    clip_id = query.text("clip_id")
    info = {
        **_row(query, clip_id),
        **_audience(query, _sound(query.seed, clip_id)),
        "longevity": {"popular_days": 0, "current_popularity": 0},
        "music_url": None,
    }
    return {"disliked": None, "like_count": None, "liked": None, "sound": dict(sorted(info.items()))}


def _liked_here(seed: str, clip_id: str, region: str) -> float:
    sound = _sound(seed, clip_id)
    taste = chance.Dice(seed, "sound taste", clip_id, region).between(0.3, 2.0)
    if sound.language != "en":
        taste *= 2.5 if words.COUNTRIES[region].language == sound.language else 0.5
    return taste * sound.plays


@lru_cache(maxsize=256)
def _top(setting: Setting, region: str, period: int, n: int) -> list[Place]:
    seed = setting.seed
    # Those that are liked here; two are among them however they are liked.
    liked = {clip_id: _liked_here(seed, clip_id, region) for clip_id in _pool(seed)}
    order = sorted(liked, key=lambda clip_id: (clip_id not in {effects.TWIN_SOUND, words.CLIP_ID}, -liked[clip_id]))
    sizes = [
        (clip_id, chance.power(liked[clip_id], 0.7) * (_TWIN_BOOST if clip_id == effects.TWIN_SOUND else 1.0))
        for clip_id in order[:_CANDIDATES]
    ]
    return chart(sizes, setting, region, period, curves.day_of(setting, n), most=TOP)


def top(query: Query) -> dict[str, Any]:
    """Return one page of the list of trending sounds."""
    search, commercial_only = query.filter("search_keyword", "FALSE"), query.text("commercial_music") == "true"

    def is_wanted(clip_id: str) -> bool:
        columns = _sound(query.seed, clip_id).columns
        found = any((search or "").casefold() in columns[which].casefold() for which in ("title", "author"))
        return found and (columns["if_cml"] or not commercial_only)

    places = _top(query.setting, query.region, query.period, query.n)
    is_search = {"is_search": search is not None}
    return query.top("sound_list", places, lambda clip_id: _row(query, clip_id) | is_search, is_wanted)
