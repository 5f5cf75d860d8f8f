"""Checks of totals and windows: what falls, what is more than the whole, what is the same for all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from ..errors import listed
from ..model import OBSERVED_AT, Table
from .findings import MAY_FALL, MOST_NAMED, Finding, Held, Severity, entity_at, ids_of, moment, numbers, words

_PARTS: Final = (
    *((part, "views") for part in ("likes", "comments", "shares", "favorites")),
    *((f"{way}_units_est", "units_sold_est") for way in ("video", "live")),
    *((f"{way}_gmv_est", "gmv_est") for way in ("video", "live")),
)
_SALES: Final = ("units_sold_est", "gmv_est")  # totals of a creator or product
_LISTS: Final = MappingProxyType(  # by table: whose total its rows add up to, and where that is
    {"creator_products": ("user_id", "creators"), "product_creators": ("product_id", "products")}
)
_OF_ALL: Final = "_all_sellers_"
_APART: Final = pd.Timedelta(days=7)  # a list and a total further apart are not compared
_BETWEEN: Final = 0.5  # share that may have come in between
_ALIKE: Final = 1e4  # numbers of so many values are not alike by chance


def falling_total(held: Held) -> Iterator[Finding]:
    """Find totals since the beginning that are smaller than they were."""
    least = held.thresholds["falling_total"]
    for table, frame in held.tables():
        ids = ids_of(table)
        totals = [column.name for column in table.columns if column.of == "total"]
        if not ids or not totals or any(column.of == "of the period" for column in table.columns):
            continue
        when = table.key[1] if table.endpoint.series is not None else OBSERVED_AT.name
        ordered = frame.sort_values([*ids, when, OBSERVED_AT.name])
        ordered = ordered.drop_duplicates([*ids, when], keep="last").reset_index(drop=True)
        entity = ordered.groupby(ids, sort=False).ngroup().to_numpy()
        for name in totals:
            known = ordered[name].notna().to_numpy()
            values, whose = numbers(ordered.loc[known, name]), entity[known]
            moments, places = ordered.loc[known, when].to_numpy(), np.flatnonzero(known)
            before, after = values[:-1], values[1:]
            with np.errstate(divide="ignore", invalid="ignore"):
                lost = np.where(before > 0, (before - after) / before, 0.0)
            fell = np.flatnonzero((whose[1:] == whose[:-1]) & (lost > 0) & (lost >= least))
            for one in np.unique(whose[1:][fell]):
                some = fell[whose[1:][fell] == one]
                most = some[lost[some].argmax()]
                first, last = (pd.Timestamp(moments[place + 1]) for place in (some[0], some[-1]))
                severity: Severity = "note" if name in MAY_FALL else "suspect" if name.endswith("_est") else "wrong"
                yield Finding(
                    "falling_total", severity, table.name, entity_at(ordered, ids, places[some[0]]), name, first,
                    last, len(some),
                    f"{name} fell from {before[most]:,.0f} ({moment(moments[most])}) to {after[most]:,.0f} "
                    f"({moment(moments[most + 1])}), by {lost[most]:.1%}, though it is a total",
                )  # fmt: skip


def window_conflict(held: Held) -> Iterator[Finding]:
    """Find windows that are more than a longer one, or more than the total."""
    for table, frame in held.tables():
        if "window_days" in table.names:
            yield from _windows_as_rows(held, table, frame)
        else:
            yield from _windows_as_columns(held, table, frame)


def _windows_as_rows(held: Held, table: Table, frame: pd.DataFrame) -> Iterator[Finding]:
    whom = table.key[0]
    gains = [column.name for column in table.columns if column.of == "of the window"]
    wide = frame.pivot_table(index=[whom, OBSERVED_AT.name], columns="window_days", values=gains, aggfunc="last")
    whole = next((one for one in table.endpoint.tables if one.key == (whom,)), None)
    totals = held.read(whole.name).set_index([whom, OBSERVED_AT.name]) if whole and whole.name in held.names else None
    for name in gains:
        lengths = sorted(wide[name].columns) if name in wide else []  # not all windows are of all
        steps = [
            (f"{name} of {_days(short)}", f"{name} of {_days(long)}", wide[name, short], wide[name, long])
            for short, long in pairwise(lengths)
        ]
        total = _total_of(name)
        if totals is not None and total in totals.columns and lengths:
            longest, known = lengths[-1], totals[total].reindex(wide.index)
            steps.append((f"{name} of {_days(longest)}", f"the total, {total},", wide[name, longest], known))
        yield from _more_than(held, "window_conflict", _window_severity(name), table, name, steps)


def _days(count: int) -> str:
    return f"{count} day" if count == 1 else f"{count} days"


def _total_of(name: str) -> str:
    """Return the total of a gain of a window: gmv_window_est is of gmv_est, likes_gained of likes."""
    plain = name.removesuffix("_gained").replace("_window", "")
    return {"units_est": "units_sold_est"}.get(plain, plain)


def _windows_as_columns(held: Held, table: Table, frame: pd.DataFrame) -> Iterator[Finding]:
    ids = ids_of(table)
    found: dict[str, list[tuple[int, str]]] = {}
    for column in table.columns:
        parts = re.fullmatch(r"(views|likes)_(\d+)d", column.name)
        if parts and column.of == "of the window":
            found.setdefault(parts[1], []).append((int(parts[2]), column.name))
    rows = frame.set_index([*ids, OBSERVED_AT.name]) if ids and found else frame
    for total, windows in found.items():
        names = [name for _, name in sorted(windows)] + ([total] if total in table.names else [])
        for short, long in pairwise(names):
            severity = _window_severity(short)
            step = (short, long, rows[short], rows[long])
            yield from _more_than(held, "window_conflict", severity, table, short, [step])


def _window_severity(name: str) -> Severity:
    """Return how bad it is that a window has more than a longer one: what may be lost may make it so."""
    gained = re.sub(r"_gained|_window|_\d+d", "", name)
    if gained == "followers":  # people come and leave every day
        return "note"
    return "suspect" if gained in MAY_FALL else "wrong"


def impossible_count(held: Held) -> Iterator[Finding]:
    """Find parts that are more than the whole, such as more likes than views."""
    for table, frame in held.tables():
        ids = ids_of(table)
        here = {column.name for column in table.columns if column.of == "total"}
        ways = [(part, whole) for part, whole in _PARTS if {part, whole} <= here]
        rows = frame.set_index([*ids, OBSERVED_AT.name]) if ids and ways else frame
        for part, whole in ways if ids else ():
            # Views of videos that were deleted may be gone, the likes of them not.
            severity: Severity = "wrong" if "video_id" in ids or part.endswith("_est") else "suspect"
            step = (part, whole, rows[part], rows[whole])
            yield from _more_than(held, "impossible_count", severity, table, part, [step])
        if table.name in _LISTS:
            yield from _lists_against_totals(held, table, frame)


def _more_than(
    held: Held,
    check: str,
    severity: Severity,
    table: Table,
    column: str,
    steps: Iterable[tuple[str, str, pd.Series[Any], pd.Series[Any]]],
) -> Iterator[Finding]:
    """Find where the first of two columns is more than the second, by more than what is allowed."""
    allowed = held.thresholds[check]
    found: dict[Any, list[tuple[pd.Timestamp, float, str]]] = {}
    for said, against, part, whole in steps:
        left, right = numbers(part), numbers(whole)
        for place in np.flatnonzero((left > 0) & (left > np.maximum(right, 0) * (1 + allowed))).tolist():
            *entity, observed = part.index[place]
            text = f"{said} is {left[place]:,.0f}, more than {against} with {right[place]:,.0f}"
            found.setdefault(tuple(entity), []).append((observed, left[place] / max(right[place], 1), text))
    for entity, each in found.items():
        moments = [observed for observed, _, _ in each]
        worst = max(each, key=lambda one: one[1])
        yield Finding(
            check, severity, table.name, words(entity), column, min(moments), max(moments), len(each),
            f"{worst[2]} (observed {moment(worst[0])})",
        )  # fmt: skip


def _lists_against_totals(held: Held, table: Table, frame: pd.DataFrame) -> Iterator[Finding]:
    """Find what the rows of a list add up to, where that is more than the total of the one whose list it is."""
    whom, whole = _LISTS[table.name]
    if whole not in held.names or held.read(whole).empty:
        return
    item = table.key[-1]
    listed_ = frame.sort_values(OBSERVED_AT.name).drop_duplicates([whom, item], keep="last")
    totals = held.read(whole).groupby(whom)[[*_SALES, OBSERVED_AT.name]].max()
    seen = listed_.groupby(whom)[OBSERVED_AT.name].agg(["min", "max"])
    known = totals.reindex(seen.index)
    known = known[(seen["max"] - known[OBSERVED_AT.name]) <= _APART]
    for column in table.columns:
        if column.of != "total" or not column.name.endswith("_est"):
            continue
        total = _SALES["gmv" in column.name]
        sums = numbers(listed_.groupby(whom)[column.name].sum(min_count=1).reindex(known.index))
        most = numbers(known[total])
        more = np.flatnonzero(sums > most * (1 + _BETWEEN))
        more = more[np.argsort(-sums[more])]
        those = [(str(known.index[place]), sums[place], most[place]) for place in more.tolist()]
        if _OF_ALL in column.name:
            yield from _of_all(table, column.name, total, those, seen.loc[known.index[more]], len(known))
            continue
        for entity, sum_, own in those:
            yield Finding(
                "impossible_count", "suspect", table.name, entity, column.name, seen["min"][entity],
                seen["max"][entity], int((listed_[whom] == entity).sum()),
                f"{column.name} of the rows adds up to {sum_:,.0f}, more than {total} of {whole} with {own:,.0f}: it "
                "may be of all sellers",
            )  # fmt: skip


def _of_all(
    table: Table, column: str, total: str, those: list[tuple[str, float, float]], seen: pd.DataFrame, of: int
) -> Iterator[Finding]:
    """Find what is of all sellers, as its name says: one note, so that nobody takes it for a creator's."""
    if those:
        entity, sum_, own = those[0]
        yield Finding(
            "impossible_count", "note", table.name, entity, column, seen["min"].min(), seen["max"].max(), len(those),
            f"{column} adds up to more than {total} of the creator for {len(those)} of {of} creators, here to "
            f"{sum_:,.0f} against {own:,.0f}: it is of the product over all sellers; do not sum it for a creator",
        )  # fmt: skip


def same_value(held: Held) -> Iterator[Finding]:
    """Find requests in which all ids have the same value."""
    least = max(int(held.thresholds["same_value"]), 2)
    for table, frame in held.tables(series=False):
        if table.endpoint.batch == 1 or len(table.key) > 1 or not ids_of(table):
            continue
        whom = table.key[0]
        sizes = frame.groupby(OBSERVED_AT.name)[whom].transform("nunique")
        batches = frame[sizes >= least]
        for column in table.columns:
            if column.of != "total" or batches.empty:
                continue
            grouped = batches.groupby(OBSERVED_AT.name)[column.name]
            few, value, size = grouped.nunique(dropna=False), grouped.first(), grouped.size()
            # Small numbers, and those of few ids, are alike by chance.
            large = numbers(value) ** (size.to_numpy() - 1) >= _ALIKE
            for observed in few.index[(few == 1) & large]:
                ids = batches.loc[batches[OBSERVED_AT.name] == observed, whom].tolist()
                yield Finding(
                    "same_value", "wrong", table.name, listed(ids, MOST_NAMED), column.name, observed, observed,
                    len(ids), f"all {len(ids)} ids of one request have {column.name} {value[observed]:,.0f}",
                )  # fmt: skip

