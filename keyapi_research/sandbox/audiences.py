"""Audiences: ages, interests and countries of hashtags, sounds and product categories."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Sequence
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

Scores = Sequence[tuple[str, float]]  # of interests by id, or of countries by code


def percentages(weights: Sequence[float]) -> list[int]:
    """Return whole percentages that sum to 100."""
    total = math.fsum(weights)
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


def _scores(names: Iterable[str], favoured: Container[str], factor: float, tail: float, dice: chance.Dice) -> Scores:
    """Return falling scores of interests or countries, those of the favoured ones times a factor."""
    scores = [
        (name, 75.0 / math.sqrt(1.0 - tail * dice.unit()) * (factor if name in favoured else 1.0)) for name in names
    ]
    return sorted(scores, key=lambda item: -item[1])


def apart(falling: Iterable[int]) -> list[int]:
    """Return falling scores without equal ones."""
    found: list[int] = []
    for score in falling:
        found.append(min(score, found[-1] - 1) if found else score)
    return found


def _ranked(base: Scores, noise: float, count: int, dice: chance.Dice, *, free: bool, tied: bool) -> Scores:
    """Return the highest scores, each with its noise: without equal ones, or with two."""
    shaken = [(name, int(score * (1.0 + dice.between(-noise, noise)))) for name, score in base]
    rows = sorted(shaken, key=lambda item: -item[1])[:count]
    scores = [score for _, score in rows]
    if free:
        scores = apart(scores)
    elif tied:
        place = dice.whole(1, len(rows) - 1)
        scores[place] = scores[place - 1]
    return [(name, score) for (name, _), score in zip(rows, scores, strict=True)]


def _documented(example: dict[str, Any]) -> tuple[list[float], Scores, Scores]:
    ages = sorted(example["audience_ages"] or (), key=lambda row: row["age_level"])
    interests = [(row["interest_info"]["id"], row["score"]) for row in example["audience_interests"]]
    countries = [(row["country_info"]["label"], row["score"]) for row in example["audience_countries"]]
    return [row["score"] for row in ages], interests, countries


def of_trend(query: Query, name: str, *, industry: int, language: str | None, ages_null: float) -> dict[str, Any]:
    """Return the three lists of the audience of a hashtag or a sound.

    A family shares an audience, but for noise. What is planted has all lists and no equal scores; what is documented,
    the lists it is documented with. Of the others so large a share as ``ages_null`` has no ages.
    """
    seed, which = query.seed, (name, query.region, query.period)
    dice, now = chance.Dice(seed, "audience", *which), chance.Dice(seed, "audience now", *which, query.n)
    family, example = effects.FAMILY_OF.get(name), words.DOCUMENTED_TRENDS.get(name)
    weights: Sequence[float] = _AGES.get(industry, _MIDDLE)
    if example is not None:
        weights, interests, countries = _documented(example)
    else:
        favoured = words.INDUSTRIES[industry].interests
        speaking = [code for code, country in words.COUNTRIES.items() if country.language == language]
        shared = name if family is None else f"family {family}"
        liking, living = (chance.Dice(seed, f"audience {kind}", shared) for kind in ("interests", "countries"))
        interests = _scores(words.INTERESTS, favoured, effects.FAVOURED_INTERESTS, 0.8, liking)[:9]
        countries = _scores(words.COUNTRIES, speaking, effects.LANGUAGE_COUNTRIES, 0.998, living)[:16]
    issues = [
        dice.outcome({"null": ages_null, "empty": effects.AGES_EMPTY}),
        dice.outcome({"empty": effects.INTERESTS_EMPTY}),
        dice.outcome({"empty": effects.COUNTRIES_EMPTY}),
        dice.outcome({"tied": effects.TIED_SCORES}),
    ]
    free = example is not None or name in effects.PLANTED
    ages_issue, no_interests, no_countries, tied = [""] * 4 if free else issues
    noise = (0.1 if family is None else effects.FAMILY_AUDIENCE_NOISE) + 0.01 * min(query.n - 1, 9)
    interests = _ranked(interests, noise, dice.whole(4, 5), now, free=free, tied=bool(tied))
    countries = _ranked(countries, noise, dice.whole(8, 11), now, free=free, tied=bool(tied))
    ages = _ages((3, 4, 5), weights, dice) if weights else None
    return {
        "audience_ages": {"null": None, "empty": []}.get(ages_issue, ages),
        "audience_interests": [
            {"interest_info": _interest("diversify", identifier, words.INTERESTS[identifier]), "score": score}
            for identifier, score in interests
            if not no_interests
        ],
        "audience_countries": [
            {"country_info": _country(code), "score": score} for code, score in countries if not no_countries
        ],
    }


def _interest(kind: str, identifier: str, name: str) -> dict[str, str]:
    return {"id": identifier, "label": f"{kind}_{identifier}", "value": name}


def _country(code: str) -> dict[str, str]:
    country = words.COUNTRIES[code]
    return {"id": country.geonames_id, "label": code, "value": country.name}


def of_product(query: Query, category: words.Category) -> dict[str, Any]:
    """Return the two lists of a product category's audience."""
    industry = category.industry
    dice = chance.Dice(query.seed, "product audience", category.id, query.region, query.text("time_scope"))
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
