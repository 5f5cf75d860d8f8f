"""Audits: stored numbers that contradict each other, or that look right and are not. Nothing is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from .client import Client
from .errors import InvalidArgumentError, shown
from .frames import reading_client
from .holdings import find_table, held_names, whole_frame
from .model import DTYPES, OBSERVED_AT, TABLES, Column, Table
from .settings import is_number

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
    *((f"{way}_{what}_est", f"{what if what == 'gmv' else 'units_sold'}_est") for way in ("video", "live") for what in ("units", "gmv")),
)
_UNLIKELY: Final = 1e-6  # of chance: how rarely what is found would come by itself
_DAY: Final = pd.Timedelta(days=1)


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
    """A total since the beginning is smaller than it was."""
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
                times = [pd.Timestamp(moments[place + 1], tz="UTC") for place in (some[0], some[-1])]
                severity: Severity = "note" if name in _MAY_FALL else "suspect" if name.endswith("_est") else "wrong"
                yield Finding(
                    "falling_total", severity, table.name, _entity(ordered, ids, places[some[0]]), name, *times,
                    len(some),
                    f"{name} fell from {before[most]:,.0f} ({_moment(moments[most])}) to {after[most]:,.0f} "
                    f"({_moment(moments[most + 1])}), by {lost[most]:.1%}, though it is a total",
                )


def _window_conflict(held: Held) -> Iterator[Finding]:
    """A window is more than a longer one, or more than the total."""
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
        yield from _more_than(held, "window_conflict", table, name, [whom], steps)


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
            yield from _more_than(held, "window_conflict", table, short, ids, [(short, long, rows[short], rows[long])])


def _impossible_count(held: Held) -> Iterator[Finding]:
    """Of what was viewed more than the views was liked, or a part is more than the whole."""
    for table, frame in held.tables():
        ids = [name for name in table.key if name in (*_IDS, "date") and table[name].dtype == DTYPES["text"]]
        here = {column.name for column in table.columns if column.of == "total"}
        ways = [(part, whole) for part, whole in _PARTS if {part, whole} <= here]
        rows = frame.set_index([*ids, OBSERVED_AT.name]) if ids and ways else frame
        for part, whole in ways if ids else ():
            yield from _more_than(held, "impossible_count", table, part, ids, [(part, whole, rows[part], rows[whole])])


def _more_than(
    held: Held,
    check: str,
    table: Table,
    column: str,
    ids: list[str],
    steps: Iterable[tuple[str, str, pd.Series[Any], pd.Series[Any]]],
) -> Iterator[Finding]:
    """Find where the first of two columns is more than the second, by more than what is allowed."""
    allowed = held.thresholds[check]
    found: dict[Any, list[tuple[pd.Timestamp, float, str]]] = {}
    for said, against, part, whole in steps:
        left, right = (one.to_numpy(dtype=np.float64, na_value=np.nan) for one in (part, whole))
        for place in np.flatnonzero((left > 0) & (left > np.maximum(right, 0) * (1 + allowed))):
            *entity, moment = part.index[place]
            text = f"{said} is {left[place]:,.0f}, more than {against} with {right[place]:,.0f}"
            found.setdefault(tuple(entity), []).append((moment, left[place] / max(right[place], 1), text))
    severity: Severity = "suspect" if column in _MAY_FALL or column.removesuffix("_gained") in _MAY_FALL else "wrong"
    for entity, each in found.items():
        moments = [moment for moment, _, _ in each]
        worst = max(each, key=lambda one: one[1])
        name = ", ".join(map(str, entity))
        yield Finding(
            check, severity, table.name, name, column, min(moments), max(moments), len(each),
            f"{worst[2]} (observed {_moment(worst[0])})",
        )


def _entity(frame: pd.DataFrame, ids: Iterable[str], place: int) -> str:
    return ", ".join(str(frame[name].iloc[place]) for name in ids)


def _moment(moment: Any) -> str:
    time = pd.Timestamp(moment)
    return f"{time:%Y-%m-%d}" if time == time.floor("D") else f"{time:%Y-%m-%d %H:%M}"
