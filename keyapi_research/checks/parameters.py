"""Checks of requests: parameters that changed nothing, which KeyAPI ignores without a word."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any, Final

import pandas as pd

from ..model import OBSERVED_AT, SOURCE, Table
from .findings import Finding, Held, newest_of, words

_SORTS: Final = ("sorted_by", "ranked_by")
_MANY: Final = 10  # rows that are not alike by chance
_DIFFERENT: Final = 3  # values of a column that has some shape
_NAMED: Final = {"posted": "created_at", "price": "price_avg"}


def parameter_ignored(held: Held) -> Iterator[Finding]:
    """Find the same answer for different parameters: lists by several sorts, and other tables by any of their keys."""
    least = int(held.thresholds["parameter_ignored"])
    for table, frame in held.tables():
        sort = next((name for name in table.key if name in _SORTS), None)
        if sort is not None:
            yield from _sorts_ignored(table, frame, sort, least)
        if len(table.key) > 1 and "window_days" not in table.key:
            yield from _same_answers(table, frame, [name for name in table.key[:-1] if name != sort], max(least, _MANY))


def _sorts_ignored(table: Table, frame: pd.DataFrame, sort: str, least: int) -> Iterator[Finding]:
    item = table.key[-1]
    whose = [name for name in table.key if name not in (sort, item)]
    newest = newest_of(frame, [*whose, sort, item])
    for entity, rows in newest.sort_values("position").groupby(whose, dropna=False):
        for (one, first), (other, second) in combinations(rows.groupby(sort, sort=False), 2):
            common = min(len(first), len(second))
            if first[item].tolist()[:common] != second[item].tolist()[:common] or common < max(least, 2):
                continue
            for by, part in ((str(one), first), (str(other), second)):
                column = _sorted_column(table, by)
                values = part[column].iloc[:common] if column else pd.Series(dtype=float)
                rises = int((values.to_numpy()[1:] > values.to_numpy()[:-1]).sum())
                if not rises:
                    continue
                moments = pd.concat([first[OBSERVED_AT.name], second[OBSERVED_AT.name]])
                yield Finding(
                    "parameter_ignored", "wrong", table.name, words(entity), sort, moments.min(), moments.max(),
                    common,
                    f"the first {common} rows are the same by {one!s} and by {other!s}; by {by}, {column} should never "
                    f"rise, but it does {rises} times",
                )  # fmt: skip
                break


def _sorted_column(table: Table, by: str) -> str | None:
    """Return the column that a sort is by, if one has its name."""
    named = _NAMED.get(by, by)
    ways = (named, f"{named}_est", f"{named}_gained", f"{named}_period_est")
    found = [name for name in ways if name in table.names]
    found += [name for name in table.names if name.startswith(f"{named}_") and name.endswith("_est")]
    return next(iter(found), None)


def _same_answers(table: Table, frame: pd.DataFrame, parameters: list[str], least: int) -> Iterator[Finding]:
    """Find groups of rows that are the same but for one parameter."""
    rest = [name for name in table.names if name not in {*parameters, OBSERVED_AT.name, SOURCE.name, *_SORTS}]
    newest = newest_of(frame, table.key)
    newest["group"] = newest.groupby(parameters, dropna=False, sort=False).ngroup()
    newest = newest[newest["group"].map(newest["group"].value_counts()) >= least]
    if len(newest["group"].unique()) <= 1:
        return
    newest = newest.assign(rows=pd.util.hash_pandas_object(newest[rest], index=False))
    each = newest.groupby("group")["rows"].agg(lambda rows: hash(tuple(rows)))
    for _, alike in each.groupby(each):
        if len(alike) > 1:
            yield from _alike(table, newest, parameters, alike.index.tolist())


def _alike(table: Table, newest: pd.DataFrame, parameters: list[str], groups: list[int]) -> Iterator[Finding]:
    texts = newest.drop_duplicates("group").set_index("group")[parameters].astype("string").fillna("")
    shown = newest[newest["group"] == groups[0]]
    measures = [name for name in table.names if name not in {*table.key, OBSERVED_AT.name, SOURCE.name, "position"}]
    if max(shown[name].nunique() for name in measures) < _DIFFERENT:
        return
    found: dict[tuple[str, tuple[Any, ...]], list[int]] = {}
    for group in groups:
        for name in parameters:
            others = tuple(texts.loc[group, one] for one in parameters if one != name)
            found.setdefault((name, others), []).append(group)
    for (name, others), some in found.items():
        if len(some) == 1:
            continue
        values = [str(texts.loc[group, name]) for group in some]
        moments = newest.loc[newest["group"].isin(some), OBSERVED_AT.name]
        is_filter = name.startswith("filter_") or name == "new_only"
        yield Finding(
            "parameter_ignored", "note" if is_filter else "wrong", table.name, words(others), name,
            moments.min(), moments.max(), len(shown),
            f"{len(shown)} rows are the same, value by value, with {name} {' and '.join(values[:2])}"
            + (": the filter removes nothing, or is ignored" if is_filter else ""),
        )  # fmt: skip
