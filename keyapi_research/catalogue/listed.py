"""The list of KeyAPI's endpoints: what is known of each, also of those without tables, and how certain it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class ListedParameter:
    """A parameter of a listed endpoint, as it is sent.

    `required` may name the parameters of which one is needed; None: not known. `source` says where it was read, or
    that it is inferred.
    """

    name: str
    required: bool | str | None
    meaning: str
    source: str
    default: str | None = None
    allowed: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """An endpoint of the list.

    `credits` is the price of a request where it was read anywhere. `paging` is the name of the page, of its size, and
    the largest size; `cursor` is the parameter of endpoints that are paged by one. `batch` has the parameters that
    take several ids, `per_request` at most, and the field of a row that repeats the id. `rows` is the list of the
    rows where it has a name. `certainty` says how far all of this is known, from A (read on KeyAPI's page) to D (hardly
    anything is known); the notes are no more certain than that.
    """

    path: str
    method: str
    title: str
    family: str
    credits: int | None
    paging: tuple[str, str, int] | None
    paging_known: bool  # where not, `paging` is None as well
    cursor: str | None
    batch: Mapping[str, str]
    per_request: int
    rows: str
    parameters: tuple[ListedParameter, ...]
    certainty: str
    notes: tuple[str, ...]


@cache
def _read() -> Mapping[str, Any]:
    """Read the file, when it is first needed."""
    text = Path(__file__).with_name("endpoints.json").read_text(encoding="utf-8")
    return MappingProxyType(json.loads(text))


@cache
def listed() -> Mapping[str, Listed]:
    """Return the listed endpoints by path, in the order of the list."""
    return MappingProxyType({entry["path"]: _listed(entry) for entry in _read()["endpoints"]})


def _listed(entry: Mapping[str, Any]) -> Listed:
    paging = entry.get("paging")
    return Listed(
        path=entry["path"],
        method=entry["method"],
        title=entry["title"],
        family=entry["family"],
        credits=entry["credits"],
        paging=None if paging is None else (paging[0], paging[1], paging[2]),
        paging_known="paging" in entry,
        cursor=entry.get("cursor"),
        batch=MappingProxyType(entry.get("batch", {})),
        per_request=entry.get("per_request", 1),
        rows=entry.get("rows", ""),
        parameters=tuple(ListedParameter(**parameter) for parameter in entry["parameters"]),
        certainty=entry["certainty"],
        notes=tuple(entry["notes"]),
    )


@cache
def personal() -> frozenset[str]:
    """Return the names of fields that hold personal data of creators and shoppers."""
    return frozenset(_read()["personal"])


@cache
def niches() -> tuple[str, ...]:
    """Return the creator niches that `influencer_category_name` takes, by their English names."""
    return tuple(_read()["niches"])
