"""Checks of zeros that are none: for a whole market, or where other columns say that there was something."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from ..client.call import counted
from ..model import OBSERVED_AT, TABLES, Table
from .days import Days
from .findings import (
    FEW,
    NEARLY_ALL,
    TINY,
    UNLIKELY,
    Bools,
    Finding,
    Floats,
    Held,
    codes_of,
    entity_at,
    ids_of,
    moment,
    newest_of,
    numbers,
    places_by,
    runs,
    when_of,
)

_MARKETS: Final = ("creator_region", "market")
_OFTEN: Final = 0.25  # of the days of a series: what is rarer says little
_SEVERAL: Final = 5  # series or ids that say that it cannot be ...
_SOME: Final = 3  # ... or hardly
_NEAR: Final = 3  # days that are the same: one before and one after
_RARELY: Final = 1e-3
_MOVED: Final = 0.9  # of the views were there before, at least
_UNITS: Final = {"gmv_est": "units_sold_est"}  # else the name says it


def uncovered_zero(held: Held) -> Iterator[Finding]:
    """Find days on which nearly everybody in a market has zero, and zeros that other columns contradict."""
    for table, frame in held.tables():
        if table.endpoint.series is not None:
            yield from _days_at_zero(held, table, frame)
        else:
            yield from _before_a_repair(table, frame)
        if ids_of(table):
            yield from _worth_nothing(table, frame)
            yield from _by_no_way(table, frame)


# Days of a market -------------------------------------------------------------------------------------------


def _days_at_zero(held: Held, table: Table, frame: pd.DataFrame) -> Iterator[Finding]:
    days = Days.of(table, frame)
    markets = _markets_of(held, table, days.frame)
    for column in table.columns:
        if column.of != "of the day" or column.least is not None:
            continue
        values = days.numbers(column.name)
        lively = np.zeros(len(values), dtype=np.bool_)
        for rows in places_by(days.series):
            known = ~np.isnan(values[rows])
            lively[rows] = known & ((values[rows] > 0).sum() > _OFTEN * known.sum())
        for rows in places_by(pd.factorize(markets.to_numpy()[lively])[0]):
            yield from _runs_of_zero(held, table, days, column.name, values, np.flatnonzero(lively)[rows], markets)


def _markets_of(held: Held, table: Table, frame: pd.DataFrame) -> pd.Series[str]:
    """Return the market of each row, where another table says it."""
    whom = table.key[0]
    for other in (*held.names, *held.beside):
        column = next((name for name in _MARKETS if name in TABLES[other].names), "")
        if TABLES[other].key == (whom,) and column:
            known = held.read(other).drop_duplicates(whom, keep="last").set_index(whom)[column]
            return frame[whom].map(known).astype("string").fillna("")
    return pd.Series("", index=frame.index, dtype="string")


def _runs_of_zero(
    held: Held, table: Table, days: Days, column: str, values: Floats, rows: Any, markets: pd.Series[str]
) -> Iterator[Finding]:
    """Find days in a row on which nearly all series of a market are at zero, though they are not for so long else."""
    least = int(held.thresholds["uncovered_zero"])
    numbered, place = np.unique(days.days[rows], return_inverse=True)
    count = np.bincount(place)
    zero = np.bincount(place, weights=values[rows] == 0) >= NEARLY_ALL * count
    after_a_gap = np.r_[False, np.diff(numbered) > 1]
    for start, end in runs(zero):
        cuts = [start, *(np.flatnonzero(after_a_gap[start + 1 : end]) + start + 1).tolist(), end]
        for first, last in itertools.pairwise(cuts):
            if last - first < least:
                continue
            inside = (place >= first) & (place < last)
            chances = [
                _chance(values[rows[each]], inside[each]) for each in places_by(days.series[rows]) if inside[each].any()
            ]
            telling = [one for one in chances if one < 1]
            chance = float(np.prod(sorted(telling)[1:])) if len(telling) >= _SOME else 1.0  # one is free to begin
            if chance > _RARELY:
                continue
            sure = len(telling) >= _SEVERAL and chance <= UNLIKELY
            those = rows[inside]
            share = (values[those] == 0).mean()
            market = str(markets.iloc[those[0]])
            yield Finding(
                "uncovered_zero", "wrong" if sure else "suspect", table.name, market, column,
                days.frame[table.key[1]].iloc[those].min(), days.frame[table.key[1]].iloc[those].max(), last - first,
                f"{column} is 0 in {'all' if share == 1 else f'{share:.0%} of'} {counted(len(those), 'row')} of "
                f"{len(chances)} series{f' in {market}' if market else ''} on "
                f"{counted(last - first, 'day')}. {_never(len(telling), len(chances))} so long a run of zeros at other "
                "times: data are missing",
            )  # fmt: skip


def _never(telling: int, of: int) -> str:
    return "None of these series has" if telling == of else f"{telling} of these series never have"


def _chance(values: Floats, inside: Bools) -> float:
    """Return how likely a series is at zero by itself just then; 1 where that says nothing, as it often is."""
    zero, count = values == 0, len(values)
    wanted = np.flatnonzero(inside & zero)
    if len(wanted) < NEARLY_ALL * inside.sum() or inside.all():
        return 1.0
    lengths = {(start, end): end - start for start, end in runs(zero)}
    start, end = next(one for one in lengths if one[0] <= wanted[0] < one[1])
    if max((length for one, length in lengths.items() if one != (start, end)), default=0) >= len(wanted):
        return 1.0
    begins, ends = (abs(one - other) <= 1 for one, other in ((start, wanted[0]), (end - 1, wanted[-1])))
    pause = (end - start) / count  # it is at zero so long, at some time
    if begins and ends and start > 0 and end < count:
        pause = min(pause, (_NEAR / count) ** 2)  # ... and from and to the same days
    return max(float(np.mean(zero[~inside])) ** len(wanted), pause)


# Beside other columns ---------------------------------------------------------------------------------------


def _worth_nothing(table: Table, frame: pd.DataFrame) -> Iterator[Finding]:
    """Find units that were sold for nothing: everywhere on some days, or by one that sold many."""
    names = [column.name for column in table.columns if column.of]
    ids, when = ids_of(table), when_of(table)
    for name in names:
        units = _UNITS.get(name, name.replace("gmv", "units"))
        if units == name or units not in names:
            continue
        sold, worth = numbers(frame[units]), numbers(frame[name])
        if not ((sold > 0) & (worth == 0)).any():
            continue
        rows = frame.loc[sold > 0, [*ids, when]].assign(zero=worth[sold > 0] == 0, sold=sold[sold > 0])
        everywhere = np.zeros(len(rows), dtype=np.bool_)
        day = rows[when].dt.floor("D")
        each = rows.groupby(day)["zero"].mean()
        for start, end in runs((each >= NEARLY_ALL).to_numpy()):
            here = day.between(each.index[start], each.index[end - 1]).to_numpy()
            if rows.loc[here, ids].drop_duplicates().shape[0] >= _SEVERAL:
                everywhere |= here
                yield _nothing(table, name, units, "", rows[here], when)
        alone = rows[~everywhere & rows["zero"].to_numpy()]
        for those in places_by(codes_of(alone, ids)):
            if alone["sold"].iloc[those].sum() >= TINY:
                yield _nothing(table, name, units, entity_at(alone, ids, those[0]), alone.iloc[those], when)


def _nothing(table: Table, name: str, units: str, entity: str, rows: pd.DataFrame, when: str) -> Finding:
    first, last = rows[when].min(), rows[when].max()
    span = moment(first) if moment(first) == moment(last) else f"{moment(first)} to {moment(last)}"
    return Finding(
        "uncovered_zero", "wrong", table.name, entity, name, first, last, int(rows["zero"].sum()),
        f"{name} is 0 in {rows['zero'].sum():,} of {counted(len(rows), 'row')} whose {units} is above 0, up to "
        f"{rows['sold'].max():,.0f} ({span})",
    )  # fmt: skip


def _by_no_way(table: Table, frame: pd.DataFrame) -> Iterator[Finding]:
    """Find sales by video and by live stream that are 0 for all that sell, and products that no video sells: notes."""
    names = [column.name for column in table.columns if column.of]
    ways = [
        (name, (f"video_{short}", f"live_{short}"))
        for name in names
        for short in [name.replace("_sold_", "_")]
        if {f"video_{short}", f"live_{short}"} <= set(names)
    ]
    if "n_products" in table.names and {"units_sold_est", "gmv_est"} <= set(names):
        ways.append(("n_products", ("units_sold_est", "gmv_est")))
    ids = ids_of(table)
    for whole, parts in ways:
        some = frame[(numbers(frame[whole]) > 0) & ~np.isnan(numbers(frame[parts[0]]))]
        if some[ids].drop_duplicates().shape[0] < FEW or any((numbers(some[part]) != 0).any() for part in parts):
            continue
        yield Finding(
            "uncovered_zero", "note", table.name, "", ", ".join(parts), some[OBSERVED_AT.name].min(),
            some[OBSERVED_AT.name].max(), len(some),
            f"{' and '.join(parts)} are 0 in all {len(some):,} rows whose {whole} is above 0, up to "
            f"{numbers(some[whole]).max():,.0f}: they may not be covered",
        )  # fmt: skip


# Before a repair --------------------------------------------------------------------------------------------


def _before_a_repair(table: Table, frame: pd.DataFrame) -> Iterator[Finding]:
    """Find totals that are 0 for all up to a moment, and after it are not, though views were there before."""
    if "views" not in table.names or len(table.key) > 1 or not ids_of(table):
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
        risen = both[seen & (numbers(both[f"{column.name}_after"]) >= TINY)]
        if len(risen) < _SEVERAL:
            continue
        grown = np.median(numbers(risen["views_after"]) / np.maximum(numbers(risen["views"]), 1)) - 1
        most = numbers(risen[f"{column.name}_after"]).max()
        yield Finding(
            "uncovered_zero", "wrong" if whom != "product_id" else "suspect", table.name, "", column.name,
            before[OBSERVED_AT.name].min(), before[OBSERVED_AT.name].max(), len(before),
            f"{column.name} is 0 for all {len(before)} ids observed before {moment(repaired)}, and above 0 for "
            f"{len(risen)} of the {len(both)} observed again, up to {most:,.0f}, while their views rose by {grown:.0%}"
            ": data were missing before",
        )  # fmt: skip
