"""Group queries into requests: ids into batches, the days of a series into ranges; count the requests."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from ..model import Endpoint
from ..queries import Query

Unit = tuple[Query, ...]  # queries that are always requested together


def units_of(endpoint: Endpoint, queries: Iterable[Query]) -> list[Unit]:
    """Group queries into what is requested together: the days of a range, each other query by itself."""
    if endpoint.series is None:
        return [(query,) for query in queries]
    by_whom: dict[object, list[Query]] = {}
    for query in queries:
        by_whom.setdefault(query.whom, []).append(query)
    size = endpoint.series.paging.most
    return [one for days in by_whom.values() for one in _ranges(sorted(days, key=lambda query: query.day), size)]


def _ranges(days: Sequence[Query], size: int) -> list[Unit]:
    """Cover days by blocks of `size` calendar days, and join blocks that follow one another into one range."""
    ranges: list[list[Query]] = []
    for number, block in enumerate(blocks := _blocks(days, size)):
        if number == 0 or block[0].day != _later(blocks[number - 1][0].day, size):
            ranges.append([])
        ranges[-1] += block
    return [tuple(one) for one in ranges]


def _blocks(days: Iterable[Query], size: int) -> list[list[Query]]:
    blocks: list[list[Query]] = []
    end = ""
    for query in days:
        if query.day >= end:
            blocks.append([])
            end = _later(query.day, size)
        blocks[-1].append(query)
    return blocks


def _later(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def pages_of(unit: Unit) -> int:
    """Return the most pages a unit can take: one for each of its blocks."""
    series = unit[0].endpoint.series
    return 1 if series is None else len(_blocks(unit, series.paging.most))


def requests_for(endpoint: Endpoint, queries: Sequence[Query]) -> int:
    """Return the most requests that queries can take."""
    if endpoint.series is None:
        return math.ceil(len(queries) / endpoint.batch)
    return sum(map(pages_of, units_of(endpoint, queries)))
