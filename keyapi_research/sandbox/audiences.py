"""Audiences: ages, interests and countries of hashtags, sounds and product categories."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Any

from . import chance, effects, words
from .query import Query

_YOUNG, _MIDDLE, _OLD = (62.0, 25.0, 13.0), (45.0, 33.0, 22.0), (28.0, 37.0, 35.0)
_AGES = {10: _YOUNG, 23: _YOUNG, 25: _YOUNG, 11: _OLD, 13: _OLD, 18: _OLD, 21: _OLD, 29: _OLD}
_PRODUCT_AGES = {
    14: (34.0, 34.0, 18.0, 9.0, 5.0),
    22: (36.0, 33.0, 18.0, 8.0, 5.0),
    23: (46.0, 28.0, 14.0, 8.0, 4.0),
    25: (48.0, 30.0, 13.0, 6.0, 3.0),
    18: (18.0, 28.0, 25.0, 17.0, 12.0),
    21: (14.0, 27.0, 27.0, 19.0, 13.0),
    29: (15.0, 25.0, 26.0, 20.0, 14.0),
    12: (16.0, 42.0, 27.0, 10.0, 5.0),
}
_PRODUCT_AGES_ELSEWHERE = (25.0, 31.0, 23.0, 13.0, 8.0)

Scores = tuple[tuple[str, float], ...]  # of interests by id, or of countries by code


def percentages(weights: Sequence[float]) -> list[int]:
    """Return whole percentages that sum to 100."""
    total = sum(weights)
    exact = [100.0 * weight / total for weight in weights]
    whole = [int(share) for share in exact]
    by_rest = sorted(range(len(exact)), key=lambda place: whole[place] - exact[place])
    for place in by_rest[: 100 - sum(whole)]:
        whole[place] += 1
    return whole


def _ages(levels: Sequence[int], weights: Sequence[float], dice: chance.Dice) -> list[dict[str, Any]]:
    shares = percentages([weight * dice.between(0.8, 1.2) for weight in weights])
    rows = [{"age_level": level, "score": share} for level, share in zip(levels, shares, strict=True)]
    return sorted(rows, key=lambda row: -row["score"])


@cache
def _documented() -> dict[str, dict[str, Any]]:
    """Return the documented answers that have an audience, by profile: other answers about the profile agree."""
    profiles = {words.HASHTAG_NAME: "hashtag", words.CLIP_ID: "sound"}
    return {f"{profiles[name]} {name}": found for name, found in words.DOCUMENTED_TRENDS.items()}


def _highest(scores: Iterable[tuple[str, float]], count: int) -> Scores:
    return tuple(sorted(scores, key=lambda item: -item[1])[:count])


@lru_cache(maxsize=4096)
def _country_scores(seed: str, profile: str, language: str | None) -> Scores:
    if profile in _documented():
        rows = _documented()[profile]["audience_countries"]
        return tuple((row["country_info"]["label"], float(row["score"])) for row in rows)
    unit = chance.Dice(seed, "audience countries", profile).unit
    factors = {True: effects.LANGUAGE_COUNTRIES, False: 1.0}
    scores = [
        (code, 75.0 / math.sqrt(1.0 - 0.998 * unit()) * factors[country.language == language])
        for code, country in words.COUNTRIES.items()
    ]
    return _highest(scores, 16)


@lru_cache(maxsize=4096)
def _interest_scores(seed: str, profile: str, industry: int) -> Scores:
    if profile in _documented():
        rows = _documented()[profile]["audience_interests"]
        return tuple((row["interest_info"]["id"], float(row["score"])) for row in rows)
    unit = chance.Dice(seed, "audience interests", profile).unit
    favoured = words.INDUSTRIES[industry].interests
    factors = {True: effects.FAVOURED_INTERESTS, False: 1.0}
    scores = [
        (identifier, 75.0 / math.sqrt(1.0 - 0.8 * unit()) * factors[identifier in favoured])
        for identifier in words.INTERESTS
    ]
    return _highest(scores, 9)


def apart(falling: Sequence[int]) -> list[int]:
    """Return falling scores without equal ones."""
    found: list[int] = []
    for score in falling:
        found.append(min(score, found[-1] - 1) if found else score)
    return found


def _ranked(
    base: Scores, noise: float, count: int, dice: chance.Dice, *, tied: bool, planted: bool
) -> list[tuple[str, int]]:
    shaken = [(name, int(score * (1.0 + dice.between(-noise, noise)))) for name, score in base]
    rows = sorted(shaken, key=lambda item: -item[1])[:count]
    if planted:
        scores = apart([score for _, score in rows])
        return [(name, score) for (name, _), score in zip(rows, scores, strict=True)]
    if tied and len(rows) > 1:
        place = dice.whole(1, len(rows) - 1)
        rows[place] = (rows[place][0], rows[place - 1][1])
    return rows


def of_trend(
    query: Query,
    kind: str,
    name: str,
    *,
    profile: str,
    industry: int,
    language: str | None,
    ages_null: float,
    noise: float = 0.1,
    planted: bool = False,
) -> dict[str, Any]:
    """Return the three lists of the audience of a hashtag or a sound.

    Those with the same ``profile`` share an audience, but for ``noise`` (half width of the relative difference). What
    is ``planted`` has all lists and no equal scores; of the others so large a share as ``ages_null`` has no ages.
    """
    identity = (kind, name, query.region, query.period)
    dice = chance.Dice(query.seed, "audience", *identity)
    ages_draw, interests_draw, countries_draw = dice.unit(), dice.unit(), dice.unit()
    tied = dice.chance(effects.TIED_SCORES) and profile not in _documented()
    interest_count, country_count = dice.whole(4, 5), dice.whole(8, 11)
    moved = chance.Dice(query.seed, "audience now", *identity, query.n)
    weights: Sequence[float] = _AGES.get(industry, _MIDDLE)
    example = _documented().get(profile)
    if example is not None and example["audience_ages"]:
        weights = [row["score"] for row in sorted(example["audience_ages"], key=lambda row: row["age_level"])]
    ages: list[dict[str, Any]] | None = _ages((3, 4, 5), weights, dice)
    shaken = noise + 0.01 * min(query.n - 1, 9)
    liked, at_home = _interest_scores(query.seed, profile, industry), _country_scores(query.seed, profile, language)
    interests = _ranked(liked, shaken, interest_count, moved, tied=tied, planted=planted)
    countries = _ranked(at_home, shaken, country_count, moved, tied=tied, planted=planted)
    if example is not None:
        ages = ages if example["audience_ages"] else None
    elif not planted:
        if ages_draw < ages_null:
            ages = None
        elif ages_draw > 1.0 - effects.AGES_EMPTY:
            ages = []
        interests = interests if interests_draw >= effects.INTERESTS_EMPTY else []
        countries = countries if countries_draw >= effects.COUNTRIES_EMPTY else []
    return {
        "audience_ages": ages,
        "audience_interests": [
            {"interest_info": _interest("diversify", identifier, words.INTERESTS[identifier]), "score": score}
            for identifier, score in interests
        ],
        "audience_countries": [{"country_info": _country(code), "score": score} for code, score in countries],
    }


def _interest(kind: str, identifier: str, name: str) -> dict[str, str]:
    return {"id": identifier, "label": f"{kind}_{identifier}", "value": name}


def _country(code: str) -> dict[str, str]:
    country = words.COUNTRIES[code]
    return {"id": country.geonames_id, "label": code, "value": country.name}


def of_product(seed: str, identity: tuple[object, ...], industry: int) -> dict[str, Any]:
    """Return the two lists of a product category's audience."""
    dice = chance.Dice(seed, "product audience", *identity)
    ages = _ages((18, 25, 35, 45, 55), _PRODUCT_AGES.get(industry, _PRODUCT_AGES_ELSEWHERE), dice)
    if dice.chance(effects.PRODUCT_INTERESTS_EMPTY):
        return {"audience_ages": ages, "audience_interests": []}
    near = [(industry, place) for place in range(len(words.INDUSTRIES[industry].ad_interests))]
    far = [(other, place) for other in words.INDUSTRIES if other != industry for place in range(3)]
    rows = []
    for number, place in [*near, *dice.sample(far, dice.whole(2, 5))]:
        score = int(dice.between(118, 190) if number == industry else dice.between(101, 136))
        name = words.INDUSTRIES[number].ad_interests[place]
        rows.append({"interest_info": _interest("label", f"{number}{101 + place}000000", name), "score": score})
    return {"audience_ages": ages, "audience_interests": sorted(rows, key=lambda row: -row["score"])}
