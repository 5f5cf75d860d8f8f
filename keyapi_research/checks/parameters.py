"""Checks of requests: parameters that changed nothing, which KeyAPI ignores without a word."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..client.call import counted
from ..entities import ENTITY_IDS
from ..errors import listed
from ..model import OBSERVED_AT, SOURCE, Table
from .findings import (
    IDS,
    MOST_NAMED,
    NEARLY_ALL,
    Finding,
    Held,
    Severity,
    codes_of,
    newest_of,
    numbers,
    places_by,
    words,
)

_SORTS: Final = ("sorted_by", "ranked_by")
_WHOSE: Final = (*IDS, *ENTITY_IDS, "username")
_MANY: Final = 10  # rows that are not alike by chance
_CLEARLY: Final = 1.25  # times the value before: a sort may be by newer numbers than it shows
_A_DAY: Final = pd.Timedelta(days=1)
_DIFFERENT: Final = 6.0  # decimal digits of what differs within a series: two that have it all in common are one
_MOST_ALIKE: Final = 5  # lists or series that share a row and are held each against each
_NAMED: Final = {"posted": "created_at", "price": "price_avg"}


def parameter_ignored(held: Held) -> Iterator[Finding]:
    """Find the same answer for different parameters: lists by several sorts, and other tables by any of their keys."""
    least = max(int(min(held.thresholds["parameter_ignored"], 1e9)), 2)
    for table, frame in held.tables():
        sort = next((name for name in table.key if name in _SORTS), None)
        if sort is not None and "position" in table.names:
            yield from _sorts_ignored(table, _listed(table, frame), sort, least)
        is_part = table.endpoint.ranking and table is not table.endpoint.tables[0]  # the same whatever the list
        if len(table.key) > 1 and "window_days" not in table.key and not is_part:
            yield from _same_answers(table, _listed(table, frame), max(least, _MANY))


def _listed(table: Table, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the newest rows: of lists the newest at each position, which are those of the newest pull."""
    by = [*table.key[:-1], "position"] if "position" in table.names else list(table.key)
    return newest_of(frame, by)


# Sorts ------------------------------------------------------------------------------------------------------


def _sorts_ignored(table: Table, rows: pd.DataFrame, sort: str, least: int) -> Iterator[Finding]:
    """Find lists that have the same order by two sorts, one of which is the wrong one."""
    whose = [name for name in table.key[:-1] if name != sort]
    items = pd.factorize(rows[table.key[-1]])[0]
    lists = codes_of(rows, [*whose, sort])
    places = {int(lists[each[0]]): each for each in places_by(lists)}
    columns = {str(by): _sorted_column(table, sort, str(by)) for by in rows[sort].dropna().unique()}
    values = {by: rows[column] for by, column in columns.items() if column}
    owners = codes_of(rows, whose)
    by_owner: dict[int, list[int]] = {}
    for number, each in places.items():
        by_owner.setdefault(int(owners[each[0]]), []).append(number)
    for numbered in by_owner.values():
        for one, other in combinations(numbered, 2):
            common = min(len(places[one]), len(places[other]))
            first, second = places[one][:common], places[other][:common]
            if common < least or (items[first] != items[second]).any():
                continue
            for each in (first, second):
                by = str(rows[sort].iloc[each[0]])
                rises = _rises(values[by].iloc[each]) if by in values else 0
                if rises:
                    both = rows.iloc[[*first, *second]]
                    names = " and by ".join(str(rows[sort].iloc[those[0]]) for those in (first, second))
                    yield Finding(
                        "parameter_ignored", "wrong", table.name, words(rows[whose].iloc[each[0]]), sort,
                        both[OBSERVED_AT.name].min(), both[OBSERVED_AT.name].max(), common,
                        f"the first {common} rows are the same by {names}; sorted by {by}, {columns[by]} should not "
                        f"rise down the list, but it does {counted(rises, 'time')}",
                    )  # fmt: skip
                    break


def _sorted_column(table: Table, sort: str, by: str) -> str | None:
    """Return the column that a sort is by, if one has its name: of rankings a gain of the period."""
    named = _NAMED.get(by, by)
    if sort == "ranked_by":
        return next((c.name for c in table.columns if c.of == "of the period" and c.name.startswith(f"{named}_")), None)
    found = [name for name in (named, f"{named}_est") if name in table.names]
    found += [name for name in table.names if name.startswith(f"{named}_") and name.endswith("_est")]
    return next(iter(found), None)


def _rises(values: pd.Series[Any]) -> int:
    """Count how often a list that should fall rises, by more than may have come since it was sorted."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return int((values.diff() > _A_DAY).sum())
    shown = numbers(values)
    return int((shown[1:] > shown[:-1] * _CLEARLY).sum())


# Answers that are the same ----------------------------------------------------------------------------------


def _same_answers(table: Table, newest: pd.DataFrame, least: int) -> Iterator[Finding]:
    """Find lists and series that are the same but for one parameter."""
    parameters = [name for name in table.key[:-1] if name not in _SORTS]
    left_out = {*table.key[:-1], OBSERVED_AT.name, SOURCE.name, *(one for one in table.names if one.endswith("_url"))}
    rest = [name for name in table.names if name not in left_out]
    measures = [name for name in rest if name not in (*table.key, "position")]
    group = codes_of(newest, table.key[:-1])
    size = np.bincount(group)
    rows = pd.util.hash_pandas_object(newest[rest], index=False).to_numpy()
    pairs: Counter[tuple[int, int]] = Counter()
    for those in places_by(rows):
        groups = sorted(set(group[those].tolist()))
        pairs.update(combinations(groups, 2) if len(groups) <= _MOST_ALIKE else pairwise(groups))
    alike = [pair for pair, common in pairs.items() if common >= max(least, NEARLY_ALL * size[list(pair)].min())]
    if not alike:
        return
    some = np.flatnonzero(np.isin(group, list({one for pair in alike for one in pair})))
    places = {int(group[some[each[0]]]): some[each] for each in places_by(group[some])}
    heads = newest.iloc[[each[0] for each in places.values()]]
    columns = [[words([one]) for one in heads[name]] for name in parameters]
    texts = dict(zip(places, zip(*columns, strict=True), strict=True))
    digits = _digits(newest.iloc[some], group[some], measures)
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for one, other in alike:
        both = zip(parameters, texts[one], texts[other], strict=True)
        differing = [name for name, left, right in both if left != right]
        if len(differing) == 1 and digits[one] >= _DIFFERENT:
            name = differing[0]
            others = words(each for each, of in zip(texts[one], parameters, strict=True) if of != name)
            found.setdefault((name, "" if name in _WHOSE else others), []).append((one, other))
    reports: dict[tuple[str, tuple[str, ...]], list[tuple[str, list[int]]]] = {}
    for (name, others), pairs_of in found.items():
        for joined in _joined(pairs_of):
            values = tuple(sorted({texts[each][parameters.index(name)] for each in joined}))
            reports.setdefault((name, values), []).append((others, joined))
    for (name, values), each in reports.items():
        severity, why = _severity(table, name, values)
        entity = listed(list(values), MOST_NAMED) if name in _WHOSE else listed([one for one, _ in each], MOST_NAMED)
        moments = newest[OBSERVED_AT.name].iloc[np.concatenate([places[one] for _, groups in each for one in groups])]
        rows_of_one = len(places[each[0][1][0]])
        more = f" (also for {counted(len(each) - 1, 'other')})" if len(each) > 1 else ""
        yield Finding(
            "parameter_ignored", severity, table.name, entity, name, moments.min(), moments.max(), rows_of_one,
            f"{counted(rows_of_one, 'row')} are the same, value by value, with {_said(name, values)}{more}{why}",
        )  # fmt: skip


def _said(name: str, values: Sequence[str]) -> str:
    """Name the values of a parameter, one of which may be none."""
    known = [one for one in values if one]
    return f"{name} {listed(known, MOST_NAMED)}{'' if len(known) == len(values) else ' and without'}"


def _joined(pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Put together what is the same as something in common."""
    above: dict[int, int] = {}

    def top(one: int) -> int:
        while above.setdefault(one, one) != one:
            above[one] = above[above[one]]
            one = above[one]
        return one

    for one, other in pairs:
        above[top(one)] = top(other)
    found: dict[int, list[int]] = {}
    for one in sorted(above):
        found.setdefault(top(one), []).append(one)
    return list(found.values())


def _digits(rows: pd.DataFrame, group: npt.NDArray[np.intp], measures: list[str]) -> dict[int, float]:
    """Return how many decimal digits tell the rows of each group from others, by the orders their values could have."""
    different = rows[measures].groupby(group).nunique()
    orders = np.array([math.lgamma(count + 1) for count in range(int(different.to_numpy().max(initial=0)) + 1)])
    return dict(zip(different.index.tolist(), (orders[different].sum(axis=1) / math.log(10)).tolist(), strict=True))


def _severity(table: Table, name: str, values: Sequence[str]) -> tuple[Severity, str]:
    """Return how bad it is that a parameter changed nothing, and why it may be so."""
    if name in _WHOSE or (table.endpoint.ranking and name in ("region", "date", "cycle", "period")):
        return "wrong", ""
    if name.startswith("filter_") and all(values):
        return "suspect", ""
    if table.endpoint.ranking:
        return "note", ": the filter removes nothing, or it is ignored"
    return "note", ": it may make no difference, or it is ignored"
