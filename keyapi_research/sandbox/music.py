"""Sounds: what is known of each, and the lists of those that trend."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from keyapi_research.sandbox import audiences, chance, curves, documented, effects, hashtags, names, videos
from keyapi_research.sandbox.catalogue import L3, Category, categories
from keyapi_research.sandbox.products import pagination

TOP = 99
_POOL = 260
_CANDIDATES = 135
_TWIN_BOOST = 6.0


@dataclass(frozen=True)
class _Sound:
    """What does not change about a sound."""

    clip_id: str
    song_id: str
    title: str
    author: str
    duration: int
    commercial: bool
    promoted: bool
    cover: str
    language: str
    industry: int
    plays: float

    @property
    def slug(self) -> str:
        """Title as it stands in an address."""
        return "-".join(self.title.replace("-", " ").split())


@lru_cache(maxsize=16)
def _pool(seed: str) -> tuple[str, ...]:
    found = [documented.CLIP_ID, effects.TWIN_SOUND]
    for k in range(_POOL - len(found)):
        posted = 1_500_000_000 + chance.number(seed, "clip", k) % 265_000_000
        low = chance.number(seed, "clip low", k, bits=32)
        clip_id = posted << 32 | low
        found.append(str(clip_id + 1 if clip_id % 1_000_000 == 0 else clip_id))
    return tuple(found)


@lru_cache(maxsize=4096)
def _sound(seed: str, clip_id: str) -> _Sound:
    dice = chance.Dice(seed, "sound", clip_id)
    country = names.countries()[dice.weighted(names.country_codes(), videos.cumulative_weights())]
    language = country.language if dice.chance(0.6) else "en"
    author = f"{dice.pick(names.ARTIST_FIRST)} {dice.pick(names.ARTIST_LAST)}"
    title = f"{dice.pick(names.TITLE_FIRST)} {dice.pick(names.TITLE_SECOND)}"
    if language in names.TITLES:
        title = dice.pick(names.TITLES[language])
    style = dice.unit()
    if style < 0.18:  # noqa: PLR2004
        title, author = "original sound", f"{dice.pick(names.FIRST_NAMES)}{dice.pick(names.HANDLE_WORDS)}"
    elif style < 0.3:  # noqa: PLR2004
        title += dice.pick((" (Sped Up)", " (Slowed)", " - Remix", " (feat. Kaya)", " [Live]"))
    fixed: dict[str, Any] = {}
    if clip_id == documented.CLIP_ID:
        sound = documented.data("trending/music/detail")["sound"]
        fixed = {key: sound[key] for key in ("song_id", "title", "author", "duration", "cover", "promoted")}
        fixed["commercial"] = sound["if_cml"]
    elif clip_id == effects.TWIN_SOUND:
        industry = names.industry_of_hashtag()[effects.TWIN_HASHTAG]
        fixed = {"title": "Golden Hour Bloom", "author": "Mira Solène", "commercial": True, "promoted": False}
        fixed |= {"industry": industry, "language": "en"}
    facts: dict[str, Any] = {
        "song_id": str(int(clip_id) - dice.whole(10_000_000, 4_000_000_000)) if int(clip_id) > 10**12 else clip_id,
        "title": title,
        "author": author,
        "duration": dice.pick((15, 20, 24, 30, 30, 45, 58, 60, 60, 93, 147, 180)),
        "commercial": dice.chance(0.4),
        "promoted": dice.chance(effects.PROMOTED),
        "cover": "https://p16-sg.tiktokcdn.com/aweme/720x720/tos-sandbox-v-2774/"
        f"{chance.number('cover', clip_id):016x}.jpeg",
        "language": language,
        "industry": dice.pick(names.industries()),
        "plays": dice.lognormal(1.0, 0.8),
    }
    return _Sound(clip_id=clip_id, **(facts | fixed))


def _curve(seed: str, clip_id: str, region: str) -> curves.Curve:
    if clip_id == effects.TWIN_SOUND:
        family = next(family for family, found in effects.FAMILIES.items() if effects.TWIN_HASHTAG in found)
        return curves.Curve(seed, clip_id, region, family, lead=effects.TWIN_LEAD_DAYS)
    return curves.Curve(seed, clip_id, region)


def _twin_audience(seed: str, region: str, period: int, n: int) -> dict[str, Any]:
    found = hashtags.audience(seed, n, name=effects.TWIN_HASHTAG, region=region, period=period, ages_null=0.0)
    dice = chance.Dice(seed, "twin", region, period)
    for which in ("audience_interests", "audience_countries"):
        for row in found[which]:
            row["score"] = int(row["score"] * (1.0 + dice.between(-effects.TWIN_NOISE, effects.TWIN_NOISE)))
        found[which].sort(key=lambda row: -row["score"])
        for row, score in zip(found[which], audiences.apart([row["score"] for row in found[which]]), strict=True):
            row["score"] = score
    return found


def _audience(seed: str, sound: _Sound, region: str, period: int, n: int) -> dict[str, Any]:
    if sound.clip_id == effects.TWIN_SOUND:
        return _twin_audience(seed, region, period, n)
    return audiences.of_trend(
        seed,
        ("sound", sound.clip_id, region, period),
        n,
        profile=f"sound {sound.clip_id}",
        industry=sound.industry,
        language=sound.language,
        noise=0.1,
        planted=False,
        ages_null=effects.SOUND_AGES_NULL,
    )


@cache
def _categories_of(industry: int) -> tuple[Category, ...]:
    leaves = [category for category in categories() if category.level == L3]
    return tuple(c for c in leaves if names.INDUSTRY_OF_CATEGORY[c.l1_id] == industry) or tuple(leaves)


def _related_items(seed: str, sound: _Sound, region: str, n: int) -> list[dict[str, Any]] | None:
    dice = chance.Dice(seed, "sound videos", sound.clip_id, region)
    if sound.clip_id != effects.TWIN_SOUND and dice.chance(effects.RELATED_ITEMS_NULL):
        return None
    fit = _categories_of(sound.industry)
    count = dice.whole(3, 9)
    later = n - 1
    # As in ids of videos, the upper half is a time; an id without one, or of tomorrow, does not say how old it is.
    made = int(sound.clip_id) >> 32
    born = made if made < curves.FIRST_DAY * curves.SECONDS_A_DAY else 0
    found: list[dict[str, Any]] = []
    for place, k in enumerate(dice.sample(range(videos.POOL), videos.POOL)):
        category = fit[(dice.whole(0, len(fit) - 1) + later * (place % 2)) % len(fit)]
        item = int(videos.video_id(seed, category, region, k))
        if item >> 32 > born:
            picture = f"{chance.number('still', sound.clip_id, k):016x}"
            found.append({"item_id": item, "cover_uri": f"tos-sandbox-p-0037/{picture}"})
        if len(found) == count:
            break
    return found or None


def _head(sound: _Sound, region: str) -> dict[str, Any]:
    return {
        "author": sound.author,
        "clip_id": sound.clip_id,
        "country_code": region,
        "cover": sound.cover,
        "duration": sound.duration,
        "if_cml": sound.commercial,
        "is_search": False,
        "link": f"https://www.tiktok.com/music/x-{sound.clip_id}",
        "on_list_times": None,
        "promoted": sound.promoted,
        "song_id": sound.song_id,
        "title": sound.title,
        "url_title": sound.slug,
    }


def detail(seed: str, n: int, *, clip_id: str, region: str, period: int) -> dict[str, Any]:
    """Return what is told of a sound the n-th time it is asked for."""
    if (clip_id, region, period, n) == (documented.CLIP_ID, "US", 7, 1):
        data: dict[str, Any] = documented.data("trending/music/detail")
        return data
    sound = _sound(seed, clip_id)
    curve = _curve(seed, clip_id, region)
    identity = ("sound", clip_id, region, period)
    info = {
        **_head(sound, region),
        **_audience(seed, sound, region, period, n),
        "longevity": {"popular_days": 0, "current_popularity": 0},
        "music_url": None,
        "rank": None,
        "rank_diff": None,
        "related_items": _related_items(seed, sound, region, n),
        "trend": curves.trend(seed, identity, curve, period, curves.today(n)),
    }
    return {"disliked": None, "like_count": None, "liked": None, "sound": dict(sorted(info.items()))}


def _liked_here(seed: str, sound: _Sound, region: str) -> float:
    taste = 0.3 + 1.7 * chance.unit(seed, "sound taste", sound.clip_id, region)
    if sound.language != "en":
        taste *= 2.5 if names.countries()[region].language == sound.language else 0.5
    return taste * sound.plays


@lru_cache(maxsize=256)
def _candidates(seed: str, region: str) -> tuple[tuple[float, str], ...]:
    """Return the sounds that may be in the list of a region, those that are liked there, with how much."""
    kept = {effects.TWIN_SOUND, documented.CLIP_ID}
    scored = sorted(
        (clip_id not in kept, -_liked_here(seed, _sound(seed, clip_id), region), clip_id) for clip_id in _pool(seed)
    )
    return tuple((-liked, clip_id) for _, liked, clip_id in scored[:_CANDIDATES])


@lru_cache(maxsize=256)
def _top(seed: str, region: str, period: int, n: int) -> tuple[tuple[str, int | None], ...]:
    """Return the list: each sound, and its rank in the list of the period before (None: not in it)."""
    now = curves.today(n)
    recent = max(3, period // 6)
    current, earlier = [], []
    for liked, clip_id in _candidates(seed, region):
        curve = _curve(seed, clip_id, region)
        size = chance.power(liked, 0.7) * (_TWIN_BOOST if clip_id == effects.TWIN_SOUND else 1.0)
        current.append((-size * curve.mean(now - recent, now, samples=3), clip_id))
        earlier.append((-size * curve.mean(now - period - recent, now - period, samples=3), clip_id))
    before = {clip_id: rank for rank, (_, clip_id) in enumerate(sorted(earlier)[:TOP], start=1)}
    kept = sorted(current, key=lambda entry: (entry[1] != effects.TWIN_SOUND, entry))[:TOP]
    return tuple((clip_id, before.get(clip_id)) for _, clip_id in sorted(kept))


def top(
    seed: str,
    n: int,
    *,
    region: str,
    period: int,
    search: str | None,
    new_only: bool,
    commercial_only: bool,
    page: int,
    limit: int,
) -> dict[str, Any]:
    """Return one page of the list of trending sounds, the n-th time it is asked for."""
    wanted = (search or "").casefold()
    ranked = []
    for rank, (clip_id, before) in enumerate(_top(seed, region, period, n), start=1):
        sound = _sound(seed, clip_id)
        if new_only and before is not None:
            continue
        if commercial_only and not sound.commercial:
            continue
        if wanted in sound.title.casefold() or wanted in sound.author.casefold():
            ranked.append((rank, sound, before))
    now = curves.today(n)
    found = []
    for rank, sound, before in ranked[(page - 1) * limit : page * limit]:
        identity = ("sound", sound.clip_id, region, period)
        row = {
            **_head(sound, region),
            "is_search": search is not None,
            "rank": rank,
            "rank_diff": None,
            **hashtags.movement(rank, before),
            "related_items": _related_items(seed, sound, region, n),
            "trend": curves.trend(seed, identity, _curve(seed, sound.clip_id, region), period, now),
        }
        found.append(dict(sorted(row.items())))
    return {"sound_list": found, "pagination": pagination(page, len(found), len(ranked), limit)}
