"""The words of the world, the same whatever its seed, and the answers that KeyAPI's public documentation shows.

Read from the files in ``words`` and ``examples``. Nothing is drawn.
"""

from __future__ import annotations

import copy
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BILLION = 1_000_000_000
_FOLDER = Path(__file__).parent
_BLOCKS = ("first_ecom_category", "second_ecom_category", "third_ecom_category")
L2, L3 = "l2", "l3"
CATEGORY_ID = "601583"  # of the documented answers, and so are these three
VIDEO_ID = "7117191641181555995"
HASHTAG_NAME = "ufc324"
CLIP_ID = "6703723351497508865"


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
    categories: Sequence[str]
    interests: Sequence[str]
    ad_interests: Sequence[str]
    hashtags: Sequence[str]


@dataclass(frozen=True)
class Language:
    """The hashtags, captions and titles of sounds in a language."""

    hashtags: Sequence[str]
    captions: Sequence[str]
    titles: Sequence[str]


@dataclass(frozen=True, eq=False)  # one object a category: quick to look up
class Category:
    """A product category: its place among all, and the ids and names from the first level down to itself."""

    index: int
    path: tuple[tuple[str, str], ...]
    level: str
    id: str
    name: str

    @property
    def l1_id(self) -> str:
        """Id of its first-level category."""
        return self.path[0][0]

    @property
    def industry(self) -> int:
        """Number of the industry of its hashtags."""
        return INDUSTRY_OF_CATEGORY[self.l1_id]

    @property
    def slug(self) -> str:
        """Name as it stands in an address: ``Makeup-Perfume``."""
        return "-".join(word for word in (part.strip("&,") for part in self.name.split()) if word)

    @property
    def stem(self) -> str:
        """Name as a hashtag: ``makeupperfume``."""
        return "".join(filter(str.isalnum, self.name.lower()))

    def blocks(self) -> dict[str, Any]:
        """Return its ``*_ecom_category`` objects; those below its level are missing."""
        parents = ({}, *({"parent_id": identifier} for identifier, _ in self.path))
        return {
            block: {"id": identifier, "label": f"category_{identifier}", "value": name, **parent}
            for block, (identifier, name), parent in zip(_BLOCKS, self.path, parents, strict=False)
        }


def _lines(name: str) -> list[str]:
    return (_FOLDER / "words" / name).read_text("utf-8").splitlines()


def _json(name: str) -> dict[str, Any]:
    return json.loads("".join(_lines(name)))  # type: ignore[no-any-return]


def _categories() -> list[Category]:
    """Return the categories, each after the one it belongs to: a line each, with a tab for each level above it."""
    path: tuple[tuple[str, str], ...] = ()
    found = []
    for index, line in enumerate(_lines("categories.txt")):
        identifier, _, name = line.lstrip("\t").partition(" ")
        path = (*path[: line.count("\t")], (identifier, name))
        found.append(Category(index, path, f"l{len(path)}", identifier, name))
    return found


COUNTRIES = {
    code: Country(code, geonames_id, name, float(weight), language)
    for code, geonames_id, name, weight, language in csv.reader(_lines("countries.csv")[1:])
}
WEIGHTS = {code: country.weight for code, country in COUNTRIES.items()}
CODES = tuple(COUNTRIES)  # the place of each is part of the ids of videos
LANGUAGES = {code: Language(**fields) for code, fields in _json("languages.json").items()}
LANGUAGE_OF_HASHTAG = {name: code for code, language in LANGUAGES.items() for name in language.hashtags}
INDUSTRIES = {int(number): Industry(**fields) for number, fields in _json("industries.json").items()}  # ids in billions
INDUSTRY_OF_HASHTAG = {name: number for number, industry in INDUSTRIES.items() for name in industry.hashtags}
INDUSTRY_OF_CATEGORY = {l1_id: number for number, industry in INDUSTRIES.items() for l1_id in industry.categories}
INTERESTS: dict[str, str] = _json("interests.json")  # of hashtag and sound audiences, by id
WORDS: dict[str, list[str]] = _json("words.json")  # by kind, such as first_names
CATEGORIES = _categories()
BY_ID = {category.id: category for category in CATEGORIES}
# Of categories with one name, or one hashtag, the deepest, and of these the first.
_BY_DEPTH = sorted(CATEGORIES, key=lambda category: (category.level, -category.index))
BY_NAME = {category.name: category for category in _BY_DEPTH}
BY_STEM = {category.stem: category for category in _BY_DEPTH}
DOCUMENTED: dict[str, Any] = {
    path.stem.replace("-", "/"): json.loads(path.read_text("utf-8"))["data"]
    for path in (_FOLDER / "examples").glob("*.json")
}
# The documented hashtag by its name and the documented sound by its id.
DOCUMENTED_TRENDS: dict[str, dict[str, Any]] = {
    HASHTAG_NAME: DOCUMENTED["trending/hashtag/detail"]["info"],
    CLIP_ID: DOCUMENTED["trending/music/detail"]["sound"],
}
DOCUMENTED_REGIONS = {HASHTAG_NAME: "all_regions", CLIP_ID: "US"}


def documented(name: str) -> Any:
    """Return the ``data`` of an endpoint's documented answer, a new copy each time."""
    return copy.deepcopy(DOCUMENTED[name])


def industry_info(industry: int) -> dict[str, object]:
    """Return an industry as the answers have it."""
    identifier = industry * _BILLION
    return {"id": identifier, "value": INDUSTRIES[industry].name, "label": f"label_{identifier}"}


def industry_number(identifier: int) -> int:
    """Return the number of an industry's id, or 0 where there is no such industry."""
    number, rest = divmod(identifier, _BILLION)
    return number if rest == 0 and number in INDUSTRIES else 0
