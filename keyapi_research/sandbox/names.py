"""The words of the world, from the files in ``words``: countries, industries, languages, names. Nothing is drawn."""

from __future__ import annotations

import csv
import json
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_BILLION = 1_000_000_000


@dataclass(frozen=True)
class Country:
    """A country: ISO code, GeoNames id, English name, share of the world's posts (in thousandths), language."""

    code: str
    geonames_id: str
    name: str
    weight: float
    language: str


@dataclass(frozen=True)
class Industry:
    """A first-level industry of hashtags, and what goes with it.

    ``categories`` are the ids of first-level product categories, ``interests`` those that its audience favours,
    ``ad_interests`` the names of its second level, of which product audiences are made.
    """

    name: str
    categories: tuple[str, ...]
    interests: tuple[str, ...]
    ad_interests: tuple[str, ...]
    hashtags: tuple[str, ...]


@dataclass(frozen=True)
class Language:
    """The hashtags, captions and titles of sounds in a language."""

    hashtags: tuple[str, ...]
    captions: tuple[str, ...]
    titles: tuple[str, ...]


def text_of(name: str) -> str:
    """Return the text of a file of words."""
    return (Path(__file__).parent / "words" / name).read_text("utf-8")


@cache
def json_of(name: str) -> dict[str, Any]:
    """Return what a JSON file holds, its lists as tuples."""
    return json.loads(text_of(name), object_hook=_with_tuples)  # type: ignore[no-any-return]


def _with_tuples(found: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}


def table_of(name: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    return list(csv.DictReader(text_of(name).splitlines()))


@cache
def countries() -> dict[str, Country]:
    """Return the countries by ISO code."""
    rows = table_of("countries.csv")
    return {
        row["code"]: Country(row["code"], row["geonames_id"], row["name"], float(row["weight"]), row["language"])
        for row in rows
    }


@cache
def country_codes() -> tuple[str, ...]:
    """Return the ISO codes; the place of each is part of the ids of videos."""
    return tuple(countries())


@cache
def industries() -> dict[int, Industry]:
    """Return the industries by number; their ids are these numbers, in billions."""
    return {int(number): Industry(**fields) for number, fields in json_of("industries.json").items()}


def industry_info(industry: int) -> dict[str, object]:
    """Return an industry as the answers have it."""
    identifier = industry * _BILLION
    return {"id": identifier, "value": industries()[industry].name, "label": f"label_{identifier}"}


def industry_number(identifier: int) -> int:
    """Return the number of an industry's id, or 0 where there is no such industry."""
    number, rest = divmod(identifier, _BILLION)
    return number if rest == 0 and number in industries() else 0


@cache
def industry_of_category(l1_id: str) -> int:
    """Return the industry of the hashtags of a first-level product category."""
    return next(number for number, industry in industries().items() if l1_id in industry.categories)


@cache
def industry_of_hashtag() -> dict[str, int]:
    """Return the industry of each hashtag the world has a word for."""
    return {name: number for number, industry in industries().items() for name in industry.hashtags}


@cache
def languages() -> dict[str, Language]:
    """Return the languages by code."""
    return {code: Language(**fields) for code, fields in json_of("languages.json").items()}


@cache
def language_of_hashtag() -> dict[str, str]:
    """Return the language of each hashtag that has one."""
    return {name: code for code, language in languages().items() for name in language.hashtags}


@cache
def words(kind: str) -> tuple[str, ...]:
    """Return the words of a kind, such as ``first_names``."""
    return json_of("words.json")[kind]  # type: ignore[no-any-return]


@cache
def interests() -> dict[str, str]:
    """Return the names of the interests of hashtag and sound audiences, by id."""
    return json_of("words.json")["interests"]  # type: ignore[no-any-return]


def normalized(name: str) -> str:
    """Return a hashtag in the form it is known by: NFC, lower case."""
    return unicodedata.normalize("NFC", name.strip()).lower()
