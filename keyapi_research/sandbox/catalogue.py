"""The catalogue of product categories: three levels, the same in every world."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from . import chance, names

_WRITTEN_ID = re.compile(r"[0-9]{6} ")
_BLOCKS = ("first_ecom_category", "second_ecom_category", "third_ecom_category")
L2, L3 = "l2", "l3"


@dataclass(frozen=True, eq=False)  # one object a category: quick to look up
class Category:
    """One category: its place among all, and the ids and names from the first level down to itself."""

    index: int
    level: str
    id: str
    name: str
    path: tuple[tuple[str, str], ...]

    @property
    def l1_id(self) -> str:
        """Id of its first-level category."""
        return self.path[0][0]

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


@cache
def categories() -> tuple[Category, ...]:
    """Return all categories, each after the one it belongs to.

    A tab a level; ids that are not written in the file are derived from the names.
    """
    lines = names.text_of("categories.txt").splitlines()
    used = {line.split()[0] for line in lines if _WRITTEN_ID.match(line.strip())}
    path: tuple[tuple[str, str], ...] = ()
    found = []
    for index, line in enumerate(lines):
        name = line.lstrip("\t")
        above = path[: len(line) - len(name)]
        if _WRITTEN_ID.match(name):
            identifier, _, name = name.partition(" ")
        else:
            identifier = _derived_id(used, *(step for _, step in above), name)
        path = (*above, (identifier, name))
        found.append(Category(index, f"l{len(path)}", identifier, name, path))
    return tuple(found)


def _derived_id(used: set[str], *steps: str) -> str:
    attempt = 0
    while True:
        identifier = str(800_000 + chance.number("category", attempt, *steps) % 190_000)
        if identifier not in used:
            used.add(identifier)
            return identifier
        attempt += 1


@cache
def by_id() -> dict[str, Category]:
    """Return the categories by id."""
    return {category.id: category for category in categories()}


@cache
def by_name(name: str) -> Category:
    """Return the deepest category of this name."""
    return max((c for c in categories() if c.name == name), key=lambda c: c.level)


@cache
def by_stem() -> dict[str, Category]:
    """Return the categories by the hashtag their name makes; of those with one name, the deepest and first."""
    found = sorted(categories(), key=lambda category: (category.level, -category.index))
    return {category.stem: category for category in found}
