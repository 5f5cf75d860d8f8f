"""What audits look for: each check reads the frames of tables, and yields findings with the numbers that show them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from .errors import listed
from .model import OBSERVED_AT, TABLES, Table

Severity = Literal["wrong", "suspect", "note"]
Bools = npt.NDArray[np.bool_]

THRESHOLDS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "falling_total": 0.005,  # share of the total that it loses, at least
        "window_conflict": 0.01,  # share by which a part is more than the whole, at least
        "frozen": 14,  # observed days without a change, at least
        "uncovered_zero": 2,  # days on which nobody has anything, at least
        "revised_past": 0.01,  # share by which a past value was changed, at least
        "parameter_ignored": 4,  # rows out of the order that was requested, at least
        "impossible_count": 0.0,  # share by which a part is more than the whole, at least
        "same_value": 2,  # ids of one request with the same value, at least
        "gap": 7,  # days that are missing in a row, at least
    }
)
_IDS: Final = ("user_id", "video_id", "product_id")
_MAY_FALL: Final = frozenset(  # people leave, take likes back, and delete what they posted
    {"followers", "following", "likes", "profile_likes", "comments", "favorites", "reviews"}
    | {"videos", "lives", "products", "creators"}
)
_PARTS: Final = (
    *((part, "views") for part in ("likes", "comments", "shares", "favorites")),
    *((f"{way}_units_est", "units_sold_est") for way in ("video", "live")),
    *((f"{way}_gmv_est", "gmv_est") for way in ("video", "live")),
)
_EXPECTED: Final = 0.5  # runs that a series of such density has by itself
_UNLIKELY: Final = 1e-6  # of chance: how rarely what is found would come by itself
_DAY: Final = pd.Timedelta(days=1)
_REGION: Final = "creator_region"
_OTHERS: Final = 2  # columns, or series, beside one that say that it is odd
_SMALL: Final = (10, 1000)  # numbers from here on are not alike by chance, for several ids and for two
_FEW: Final = 20  # days before that say little of what is usual
_NEARLY_ALL: Final = 0.9  # of a market: some sell elsewhere, too
_LIVELY: Final = 0.5  # share of days on which what lives moves
_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was found: see the columns of `audit`."""

    check: str
    severity: Severity
    table: str
    entity: str
    column: str
    first: pd.Timestamp
    last: pd.Timestamp
    n: int
    evidence: str


@dataclass(frozen=True)
class Held:
    """What is audited: frames by the names of their tables, each read when it is first needed."""

    read: Callable[[str], pd.DataFrame]
    names: tuple[str, ...]
    thresholds: Mapping[str, float]

    def tables(self, *, series: bool | None = None) -> Iterator[tuple[Table, pd.DataFrame]]:
        """Yield tables that have rows; only series of days, or none of them."""
        for name in self.names:
            table = TABLES[name]
            if series in (None, table.endpoint.series is not None):
                frame = self.read(name)
                if len(frame):
                    yield table, frame


# Series of days ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Days:
    """The newest observation of each day of the series of a table, by series and day."""

    frame: pd.DataFrame
    series: npt.NDArray[np.intp]  # number of the series of each row
    days: npt.NDArray[np.int64]

    @classmethod
    def of(cls, table: Table, frame: pd.DataFrame) -> Days:
        """Read them from all observations."""
        whom, day = table.key
        newest = frame.sort_values([whom, day, OBSERVED_AT.name]).drop_duplicates([whom, day], keep="last")
        codes = pd.factorize(newest[whom])[0].astype(np.intp)
        days = newest[day].dt.tz_convert(None).to_numpy(dtype="datetime64[D]").astype(np.int64)
        return cls(newest.reset_index(drop=True), codes, days)

    @property
    def ends(self) -> list[tuple[int, int]]:
        """First row of each series, and the one after its last."""
        starts = np.flatnonzero(np.r_[True, np.diff(self.series) != 0])
        return list(zip(starts.tolist(), [*starts[1:].tolist(), len(self.series)], strict=True))

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """Return a column as numbers."""
        return self.frame[name].to_numpy(dtype=np.float64, na_value=np.nan)


# Checks -----------------------------------------------------------------------------------------------------


def _falling_total(held: Held) -> Iterator[Finding]:
    """Find totals since the beginning that are smaller than they were."""
    least = held.thresholds["falling_total"]
    for table, frame in held.tables():
        ids = [name for name in table.key if name in _IDS]
        totals = [column.name for column in table.columns if column.of == "total"]
        if not ids or not totals or any(column.of == "of the period" for column in table.columns):
            continue
        when = table.key[1] if table.endpoint.series is not None else OBSERVED_AT.name
        ordered = frame.sort_values([*ids, when, OBSERVED_AT.name])
        ordered = ordered.drop_duplicates([*ids, when], keep="last").reset_index(drop=True)
        entity = ordered.groupby(ids, sort=False).ngroup().to_numpy()
        for name in totals:
            known = ordered[name].notna().to_numpy()
            values, whose = ordered.loc[known, name].to_numpy(dtype=np.float64), entity[known]
            moments, places = ordered.loc[known, when].to_numpy(), np.flatnonzero(known)
            before, after = values[:-1], values[1:]
            with np.errstate(divide="ignore", invalid="ignore"):
                lost = np.where(before > 0, (before - after) / before, 0.0)
            fell = np.flatnonzero((whose[1:] == whose[:-1]) & (lost > 0) & (lost >= least))
            for one in np.unique(whose[1:][fell]):
                some = fell[whose[1:][fell] == one]
                most = some[lost[some].argmax()]
                first, last = (pd.Timestamp(moments[place + 1]) for place in (some[0], some[-1]))
                severity: Severity = "note" if name in _MAY_FALL else "suspect" if name.endswith("_est") else "wrong"
                yield Finding(
                    "falling_total", severity, table.name, _entity(ordered, ids, places[some[0]]), name, first,
                    last, len(some),
                    f"{name} fell from {before[most]:,.0f} ({_moment(moments[most])}) to {after[most]:,.0f} "
                    f"({_moment(moments[most + 1])}), by {lost[most]:.1%}, though it is a total",
                )


def _window_conflict(held: Held) -> Iterator[Finding]:
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
    lengths = sorted(frame["window_days"].dropna().unique())
    whole = next((one for one in table.endpoint.tables if one.key == (whom,)), None)
    totals = held.read(whole.name).set_index([whom, OBSERVED_AT.name]) if whole and whole.name in held.names else None
    for name in gains:
        ways = [((name, short), (name, long)) for short, long in pairwise(lengths)]
        steps = [
            (f"{name} of {short[1]} days", f"{name} of {long[1]} days", wide[short], wide[long])
            for short, long in ways
            if short in wide and long in wide
        ]
        total = _total_of(name)
        if totals is not None and total in totals.columns and (name, lengths[-1]) in wide:
            known = totals[total].reindex(wide.index)
            steps.append((f"{name} of {lengths[-1]} days", f"the total, {total},", wide[name, lengths[-1]], known))
        yield from _more_than(held, "window_conflict", table, name, steps)


def _total_of(name: str) -> str:
    """Return the total of a gain of a window: gmv_window_est is of gmv_est, likes_gained of likes."""
    plain = name.removesuffix("_gained").replace("_window", "")
    return {"units_est": "units_sold_est"}.get(plain, plain)


def _windows_as_columns(held: Held, table: Table, frame: pd.DataFrame) -> Iterator[Finding]:
    ids = [name for name in table.key if name in _IDS]
    found: dict[str, list[tuple[int, str]]] = {}
    for column in table.columns:
        parts = re.fullmatch(r"(views|likes)_(\d+)d", column.name)
        if parts and column.of == "of the window":
            found.setdefault(parts[1], []).append((int(parts[2]), column.name))
    rows = frame.set_index([*ids, OBSERVED_AT.name]) if ids and found else frame
    for total, windows in found.items():
        names = [name for _, name in sorted(windows)] + ([total] if total in table.names else [])
        for short, long in pairwise(names):
            yield from _more_than(held, "window_conflict", table, short, [(short, long, rows[short], rows[long])])


def _impossible_count(held: Held) -> Iterator[Finding]:
    """Find parts that are more than the whole, such as more likes than views."""
    for table, frame in held.tables():
        ids = [name for name in table.key if name in _IDS]
        here = {column.name for column in table.columns if column.of == "total"}
        ways = [(part, whole) for part, whole in _PARTS if {part, whole} <= here]
        rows = frame.set_index([*ids, OBSERVED_AT.name]) if ids and ways else frame
        for part, whole in ways if ids else ():
            yield from _more_than(held, "impossible_count", table, part, [(part, whole, rows[part], rows[whole])])


def _more_than(
    held: Held,
    check: str,
    table: Table,
    column: str,
    steps: Iterable[tuple[str, str, pd.Series[Any], pd.Series[Any]]],
) -> Iterator[Finding]:
    """Find where the first of two columns is more than the second, by more than what is allowed."""
    allowed = held.thresholds[check]
    found: dict[Any, list[tuple[pd.Timestamp, float, str]]] = {}
    for said, against, part, whole in steps:
        left, right = (one.to_numpy(dtype=np.float64, na_value=np.nan) for one in (part, whole))
        for place in np.flatnonzero((left > 0) & (left > np.maximum(right, 0) * (1 + allowed))).tolist():
            *entity, moment = part.index[place]
            text = f"{said} is {left[place]:,.0f}, more than {against} with {right[place]:,.0f}"
            found.setdefault(tuple(entity), []).append((moment, left[place] / max(right[place], 1), text))
    severity: Severity = "suspect" if column.removesuffix("_gained") in _MAY_FALL else "wrong"
    if column == "followers_gained":  # people leave: more may be gained in a day than in the week around it
        severity = "note"
    for entity, each in found.items():
        moments = [moment for moment, _, _ in each]
        worst = max(each, key=lambda one: one[1])
        yield Finding(
            check, severity, table.name, _words(entity), column, min(moments), max(moments), len(each),
            f"{worst[2]} (observed {_moment(worst[0])})",
        )


def _frozen(held: Held) -> Iterator[Finding]:
    """Find columns of a series that stand still to its end while others of the series move."""
    least = int(held.thresholds["frozen"])
    for table, frame in held.tables(series=True):
        days = Days.of(table, frame)
        gains = {column.name for column in table.columns if column.of == "of the day" and column.least is None}
        totals = {column.name for column in table.columns if column.of == "total"}
        moves = {name: _moves(days, name, is_gain=name in gains) for name in sorted(gains | totals)}
        # How often a column stands still in the series that it stands still in most.
        rates = {name: [1 - each[first + 1 : end].mean() for first, end in days.ends if end - first > _FEW]
                 for name, each in moves.items()}
        peers = {name: float(np.quantile(each, 0.9)) if each else 1.0 for name, each in rates.items()}
        for first, end in days.ends:
            still = {name: _still_since(each[first:end]) for name, each in moves.items()}
            for name, since in still.items():
                length = end - first - since
                others = [one for one in moves if one != name and moves[one][first + since : end].mean() > _LIVELY]
                if length < least or len(others) < _OTHERS:
                    continue
                before = moves[name][first : first + since]
                usual = (3 + (~before).sum()) / (4 + len(before)) if len(before) > _FEW else peers[name]
                if usual**length > _UNLIKELY**1.5:
                    continue
                place = first + since
                value = days.frame[name].iloc[end - 1]
                yield Finding(
                    "frozen", "suspect", table.name, _entity(days.frame, table.key[:1], place), name,
                    days.frame[table.key[1]].iloc[place], days.frame[table.key[1]].iloc[end - 1], int(length),
                    f"{name} stays {value:,.0f} on {length} observed days, while {', '.join(others[:3])} move; "
                    f"before, it stood still on {(~before).sum()} of {len(before)} days",
                )


def _moves(days: Days, name: str, *, is_gain: bool) -> Bools:
    """Return the rows in which a column moves: a gain that is not 0, a total that is not what it was."""
    values = days.numbers(name)
    moved = np.ones(len(values), dtype=np.bool_)
    if is_gain:
        moved = np.nan_to_num(values) != 0
    else:
        moved[1:] = (np.diff(values) != 0) | (np.diff(days.series) != 0)
    return np.asarray(moved & ~np.isnan(values), dtype=np.bool_)


def _still_since(moves: Bools) -> int:
    """Return the place after the last move of a series."""
    found = np.flatnonzero(moves)
    return int(found[-1]) + 1 if len(found) else 0


def _gap(held: Held) -> Iterator[Finding]:
    """Find days of a series that are missing in a row, more than the rest of it lets expect."""
    least = int(held.thresholds["gap"])
    for table, frame in held.tables(series=True):
        days = Days.of(table, frame)
        for first, end in days.ends:
            here = days.days[first:end]
            missing = np.diff(here) - 1
            usual = 1 - len(here) / (here[-1] - here[0] + 1)
            for place in np.flatnonzero(missing >= least):
                if max(usual, 0.01) ** missing[place] * len(here) > _EXPECTED:
                    continue
                start, stop = (days.frame[table.key[1]].iloc[first + place + step] for step in (0, 1))
                yield Finding(
                    "gap", "note", table.name, _entity(days.frame, table.key[:1], first), table.key[1],
                    start + _DAY, stop - _DAY, int(missing[place]),
                    f"{missing[place]} days in a row have no row; of the other days {len(here)} have one. Missing is "
                    "not zero",
                )


def _revised_past(held: Held) -> Iterator[Finding]:
    """Find days that have another value in a later answer."""
    least = held.thresholds["revised_past"]
    for table, frame in held.tables(series=True):
        whom, day = table.key
        several = frame[frame.duplicated([whom, day], keep=False)].sort_values([whom, day, OBSERVED_AT.name])
        if several.empty:
            continue
        final = (several[OBSERVED_AT.name] - several[day] >= 3 * _DAY).to_numpy()
        same = (several.duplicated([whom, day])).to_numpy()[1:]
        for column in table.columns:
            if not column.of:
                continue
            values = several[column.name].to_numpy(dtype=np.float64, na_value=np.nan)
            before, after = values[:-1], values[1:]
            with np.errstate(divide="ignore", invalid="ignore"):
                change = np.abs(after - before) / np.maximum(np.abs(before), 1)
            found = np.flatnonzero(same & (change > least))
            whose = several[whom].to_numpy()[1:][found]
            for entity in pd.unique(whose):
                some = found[whose == entity]
                most = some[change[some].argmax()]
                moments = several[day].iloc[some + 1]
                yield Finding(
                    "revised_past", "suspect" if final[some].any() else "note", table.name, str(entity), column.name,
                    moments.min(), moments.max(), len(some),
                    f"{column.name} of {several[day].iloc[most]:%Y-%m-%d} was {before[most]:,.0f} "
                    f"(observed {_moment(several[OBSERVED_AT.name].iloc[most])}) and is {after[most]:,.0f} "
                    f"(observed {_moment(several[OBSERVED_AT.name].iloc[most + 1])})",
                )


def _same_value(held: Held) -> Iterator[Finding]:
    """Find requests of which all ids have the same value."""
    least = int(held.thresholds["same_value"])
    for table, frame in held.tables(series=False):
        if table.endpoint.batch == 1 or len(table.key) > 1 or table.key[0] not in _IDS:
            continue
        sizes = frame.groupby(OBSERVED_AT.name)[table.key[0]].transform("nunique")
        batches = frame[sizes >= max(least, 2)]
        for column in table.columns:
            if column.of != "total" or batches.empty:
                continue
            grouped = batches.groupby(OBSERVED_AT.name)[column.name]
            few, value, size = grouped.nunique(dropna=False), grouped.first(), grouped.size()
            # Small numbers are alike by chance.
            large = value.astype("float64") >= np.where(size > _OTHERS + 1, *_SMALL)
            for moment in few.index[(few == 1) & large]:
                ids = batches.loc[batches[OBSERVED_AT.name] == moment, table.key[0]].tolist()
                yield Finding(
                    "same_value", "wrong", table.name, listed(ids, _MOST_NAMED), column.name, moment, moment, len(ids),
                    f"all {len(ids)} ids of one request have {column.name} {value[moment]:,.0f}",
                )


def _uncovered_zero(held: Held) -> Iterator[Finding]:
    """Find days on which nearly everybody in a market has zero of what they have on other days."""
    least = int(held.thresholds["uncovered_zero"])
    for table, frame in held.tables(series=True):
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
            lively = known & (share > _LIVELY / 2)
            if not lively.any():
                continue
            zero = values[lively] == 0
            by_chance = np.where(zero, np.log1p(-np.minimum(share[lively], 0.99)), 0.0)
            some = rows[lively].assign(zero=zero, chance=by_chance)
            each = some.groupby(["market", day], dropna=False).agg(
                share=("zero", "mean"), n=("zero", "size"), chance=("chance", "sum")
            )
            for market, those in each.groupby(level=0, dropna=False):
                yield from _runs_of_zero(table, column.name, market, those.droplevel(0), least)


def _runs_of_zero(
    table: Table, column: str, market: Any, each: pd.DataFrame, least: int
) -> Iterator[Finding]:
    zero = each["share"].to_numpy() >= _NEARLY_ALL
    run = np.cumsum(np.r_[True, zero[1:] != zero[:-1]])
    for number in np.unique(run[zero]):
        part = each[run == number]
        if len(part) < least or part["n"].max() < _OTHERS or part["chance"].sum() > np.log(_UNLIKELY):
            continue
        where = "" if pd.isna(market) or market == "" else f" in {market}"
        worst = part.iloc[part["share"].argmin()]
        yield Finding(
            "uncovered_zero", "wrong", table.name, "" if pd.isna(market) else str(market), column,
            part.index[0], part.index[-1], len(part),
            f"{column} is 0 on {len(part)} days for at least {worst['share']:.0%} of the series{where} that usually have "
            f"some (up to {part['n'].max()} a day)",
        )


def _markets(held: Held, table: Table, frame: pd.DataFrame) -> pd.Series[Any]:
    """Return the region of each row, where another table says it."""
    whom = table.key[0]
    for other in held.names:
        if TABLES[other].key == (whom,) and _REGION in TABLES[other].names:
            regions = held.read(other).drop_duplicates(whom, keep="last").set_index(whom)[_REGION]
            return frame[whom].map(regions).astype("string").fillna("")
    return pd.Series("", index=frame.index, dtype="string")


def _parameter_ignored(held: Held) -> Iterator[Finding]:
    """Find lists that come in the same order however they were to be sorted, where one of these orders is wrong."""
    least = int(held.thresholds["parameter_ignored"])
    for table, frame in held.tables():
        sort = next((name for name in table.key if name in ("sorted_by", "ranked_by")), None)
        if sort is None:
            continue
        item = table.key[-1]
        whose = [name for name in table.key if name not in (sort, item)]
        newest = frame.sort_values(OBSERVED_AT.name).drop_duplicates([*whose, sort, item], keep="last")
        for entity, rows in newest.sort_values("position").groupby(whose, dropna=False):
            for (one, first), (other, second) in combinations(rows.groupby(sort, sort=False), 2):
                common = min(len(first), len(second))
                same = first[item].tolist()[:common] == second[item].tolist()[:common]
                if not same or common < least:
                    continue
                for by, part in ((one, first), (other, second)):
                    column = _sorted_column(table, str(by))
                    values = part[column].iloc[:common] if column else pd.Series(dtype=float)
                    rises = int((values.to_numpy()[1:] > values.to_numpy()[:-1]).sum())
                    if not rises:
                        continue
                    moments = pd.concat([first[OBSERVED_AT.name], second[OBSERVED_AT.name]])
                    yield Finding(
                        "parameter_ignored", "wrong", table.name, _words(entity), sort, moments.min(), moments.max(),
                        common,
                        f"the first {common} rows are the same by {one!s} and by {other!s}; by {by!s}, {column} should "
                        f"never rise, but it does {rises} times",
                    )
                    break


def _sorted_column(table: Table, by: str) -> str | None:
    """Return the column that a sort is by, if one has its name."""
    named = {"posted": "created_at", "price": "price_avg"}.get(by, by)
    ways = (named, f"{named}_est", f"{named}_gained", f"{named}_period_est")
    found = [name for name in ways if name in table.names]
    found += [name for name in table.names if name.startswith(f"{named}_") and name.endswith("_est")]
    return next(iter(found), None)


def _entity(frame: pd.DataFrame, ids: Iterable[str], place: int) -> str:
    return _words(frame[name].iloc[place] for name in ids)


def _words(values: Iterable[Any]) -> str:
    return ", ".join(str(one) for one in values if not pd.isna(one))


def _moment(moment: Any) -> str:
    time = pd.Timestamp(moment)
    return f"{time:%Y-%m-%d}" if time == time.floor("D") else f"{time:%Y-%m-%d %H:%M}"


CHECKS: Final[Mapping[str, Callable[[Held], Iterator[Finding]]]] = MappingProxyType(
    {
        "falling_total": _falling_total,
        "window_conflict": _window_conflict,
        "frozen": _frozen,
        "uncovered_zero": _uncovered_zero,
        "revised_past": _revised_past,
        "parameter_ignored": _parameter_ignored,
        "impossible_count": _impossible_count,
        "same_value": _same_value,
        "gap": _gap,
    }
)
