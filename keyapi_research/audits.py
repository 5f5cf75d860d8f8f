"""Audits: stored numbers that contradict each other, or that look right and are not. Nothing is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
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


def _entity(frame: pd.DataFrame, ids: Iterable[str], place: int) -> str:
    return ", ".join(str(frame[name].iloc[place]) for name in ids)


def _moment(moment: Any) -> str:
    time = pd.Timestamp(moment)
    return f"{time:%Y-%m-%d}" if time == time.floor("D") else f"{time:%Y-%m-%d %H:%M}"
