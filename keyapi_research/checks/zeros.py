"""Checks of zeros that are none: for a whole market, or for all rows of some days."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from ..model import OBSERVED_AT, TABLES, Table
from .days import Days
from .findings import FEW, NEARLY_ALL, UNLIKELY, Bools, Finding, Held, ids_of, moment, newest_of, numbers, runs

_REGION: Final = "creator_region"
_OFTEN: Final = 0.25  # of the days of a series: what is rarer says little
_TWO: Final = 2  # series or rows, at least
_SEVERAL: Final = 5  # ids, at least, that get what they cannot have got by then
_MOVED: Final = 0.8  # of the views were there before, at least
_UNITS: Final = {"gmv_est": "units_sold_est"}  # else the name says it


def uncovered_zero(held: Held) -> Iterator[Finding]:
    """Find days on which nearly everybody in a market has zero, and zeros of all that other columns contradict."""
    for table, frame in held.tables():
        if table.endpoint.series is not None:
            yield from _days_at_zero(held, table, frame)
        else:
            yield from _before_a_repair(table, frame)
        yield from _zero_beside(table, frame)


# Days of a market -------------------------------------------------------------------------------------------


def _days_at_zero(held: Held, table: Table, frame: pd.DataFrame) -> Iterator[Finding]:
    days = Days.of(table, frame)
    rows = days.frame.assign(market=_markets(held, table, days.frame))
    day = table.key[1]
    for column in table.columns:
        if column.of != "of the day" or column.least is not None:
            continue
        values = days.numbers(column.name)
        known = ~np.isnan(values)
        sold = pd.Series(np.where(known, values > 0, np.nan))
        share = sold.groupby(days.series).transform("mean").to_numpy()
        lively = known & (share > _OFTEN)
        if not lively.any():
            continue
        zero = values[lively] == 0
        by_chance = np.where(zero, np.log1p(-np.minimum(share[lively], 0.99)), 0.0)
        some = rows[lively].assign(zero=zero, chance=by_chance)
        each = some.groupby(["market", day], dropna=False).agg(
            share=("zero", "mean"), n=("zero", "size"), chance=("chance", "sum")
        )
        for market, those in each.groupby(level=0, dropna=False):
            yield from _runs_of_zero(held, table, column.name, str(market), those.droplevel(0))


def _runs_of_zero(held: Held, table: Table, column: str, market: str, each: pd.DataFrame) -> Iterator[Finding]:
    least = int(held.thresholds["uncovered_zero"])
    for start, end in runs((each["share"] >= NEARLY_ALL).to_numpy()):
        part = each.iloc[start:end]
        if len(part) < least or part["n"].max() < _TWO or part["chance"].sum() > np.log(UNLIKELY):
            continue
        where = f" in {market}" if market else ""
        share = part["share"].min()
        those = "all" if share == 1 else f"at least {share:.0%} of the"
        yield Finding(
            "uncovered_zero", "wrong", table.name, market, column, part.index[0], part.index[-1], len(part),
            f"{column} is 0 on {len(part)} days for {those} series{where} that usually "
            f"have some (up to {part['n'].max()} of them a day): missing data, not a lack of sales",
        )  # fmt: skip


def _markets(held: Held, table: Table, frame: pd.DataFrame) -> pd.Series[Any]:
    """Return the region of each row, where another table says it."""
    whom = table.key[0]
    for other in held.names:
        if TABLES[other].key == (whom,) and _REGION in TABLES[other].names:
            regions = held.read(other).drop_duplicates(whom, keep="last").set_index(whom)[_REGION]
            return frame[whom].map(regions).astype("string").fillna("")
    return pd.Series("", index=frame.index, dtype="string")


# Beside other columns ---------------------------------------------------------------------------------------


def _zero_beside(table: Table, frame: pd.DataFrame) -> Iterator[Finding]:
    """Find observations in which a column is 0 in all rows, though another one says that it cannot be."""
    ids = ids_of(table)
    if not ids:
        return
    day = table.key[1] if table.endpoint.series is not None else OBSERVED_AT.name
    when = frame[day].dt.floor("D")
    for whole, parts, least in _contradictions(table):
        some = numbers(frame[whole]) > 0
        zero: Bools = np.logical_and.reduce([numbers(frame[part]) == 0 for part in parts])
        if not (some & zero).any():
            continue
        rows = frame.loc[some, [*ids, whole]].assign(zero=zero[some], day=when[some])
        each = rows.groupby("day").agg(share=("zero", "mean"), n=("zero", "size"), most=(whole, "max"))
        for start, end in runs((each["share"] >= NEARLY_ALL).to_numpy()):
            part = each.iloc[start:end]
            inside = rows[rows["day"].between(part.index[0], part.index[-1])]
            if inside[ids].drop_duplicates().shape[0] < least:
                continue
            name = " and ".join(parts)
            verb = "is" if len(parts) == 1 else "are"
            yield Finding(
                "uncovered_zero", "wrong" if len(parts) == 1 else "suspect", table.name, "", ", ".join(parts),
                part.index[0], part.index[-1], int(part["n"].sum()),
                f"{name} {verb} 0 in {inside['zero'].sum()} of {len(inside)} rows from {moment(part.index[0])} to "
                f"{moment(part.index[-1])} whose {whole} is above 0, up to {part['most'].max():,.0f}",
            )  # fmt: skip


def _contradictions(table: Table) -> Iterator[tuple[str, tuple[str, ...], int]]:
    """Yield a column, those that cannot all be 0 beside it, and the least number of ids that show it."""
    names = [column.name for column in table.columns if column.of]
    for name in names:
        units = _UNITS.get(name, name.replace("gmv", "units"))
        if units != name and units in names:
            yield units, (name,), _SEVERAL
        if {f"video_{name}", f"live_{name}"} <= set(names):
            yield name, (f"video_{name}", f"live_{name}"), FEW
        short = name.replace("_sold_", "_").replace("_all_sellers_", "_")
        if short != name and {f"video_{short}", f"live_{short}"} <= set(names):
            yield name, (f"video_{short}", f"live_{short}"), FEW
    if "n_products" in table.names and {"units_sold_est", "gmv_est"} <= set(names):
        yield "n_products", ("units_sold_est", "gmv_est"), FEW


# Before a repair --------------------------------------------------------------------------------------------


def _before_a_repair(table: Table, frame: pd.DataFrame) -> Iterator[Finding]:
    """Find totals that are 0 for all up to a moment, and after it are not, though views were there before."""
    if "views" not in table.names or len(table.key) > 1:
        return
    whom = table.key[0]
    for column in table.columns:
        if column.of != "total" or not column.name.endswith("_est"):
            continue
        values = numbers(frame[column.name])
        if not (values > 0).any() or not (values == 0).any():
            continue
        repaired = frame.loc[values > 0, OBSERVED_AT.name].min()
        before = newest_of(frame[(frame[OBSERVED_AT.name] < repaired).to_numpy() & (values == 0)], [whom])
        after = newest_of(frame[(frame[OBSERVED_AT.name] >= repaired).to_numpy()], [whom])
        both = before.merge(after, on=whom, suffixes=("", "_after"))
        seen = numbers(both["views"]) >= _MOVED * numbers(both["views_after"])
        rose = seen & (numbers(both[f"{column.name}_after"]) > 0)
        if rose.sum() < _SEVERAL:
            continue
        moments = before[OBSERVED_AT.name]
        risen = both[rose]
        grown = np.median(numbers(risen["views_after"]) / np.maximum(numbers(risen["views"]), 1)) - 1
        most = numbers(risen[f"{column.name}_after"]).max()
        yield Finding(
            "uncovered_zero", "wrong", table.name, "", column.name, moments.min(), moments.max(), len(before),
            f"{column.name} is 0 for all {len(before)} ids observed before {moment(repaired)}, and above 0 for "
            f"{len(risen)} of the {len(both)} observed again, up to {most:,.0f}, while their views rose by {grown:.0%}"
            ": data were missing before, not sales",
        )  # fmt: skip
