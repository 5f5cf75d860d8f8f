"""Windows of one series, each relative to its own peak, as one series with the exact bounds of what is not known.

A window shows the truth divided by its maximum, rounded. In logarithms every cell bounds the difference between the
value of its date and the peak of its window on both sides, so shortest paths between windows give all that follows.
That the peak of a window is the value of one of its dates, where several round to 1, is a bound that depends on others:
the greatest values that obey it are found from above, step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from .columns import moments
from .entities import Needs, check_columns, find_entities, typed
from .errors import InvalidArgumentError, TrendConflictWarning, listed, shown, warn
from .model import OBSERVED_AT, SOURCE
from .settings import is_number

Floats = npt.NDArray[np.float64]

_DATE, _SHARE, _PERIOD = "date", "share_of_peak", "period"
_NEEDS: Final = Needs(
    "stitch_trends",
    (_DATE, _SHARE, OBSERVED_AT.name),
    "Several observations come from df.keyapi.history().keyapi.trend().",
)
STITCHED: Final = (_DATE, "value", "lower", "upper", "piece")  # what pictures need of a stitched series
_MONTH: Final = 28  # days that the shortest has: months are not equally long
_SLACK: Final = 1e-12  # of a bound: what fits exactly shall not fail by a rounding error
_WRONG: Final = 1e-9  # from here on windows contradict each other
_MOST_STEPS: Final = 1000  # towards the greatest values; who stops earlier has wider bounds, never wrong ones
_MOST_DECIMALS: Final = 9
_MOST_NAMED: Final = 5
_COARSE: Final = 1e-6  # of a step: what is not as many decimals
_DAY: Final = 86_400_000_000  # microseconds


def stitch_trends(trends: pd.DataFrame, *, decimals: int = 2) -> pd.DataFrame:
    """Join overlapping windows of a trend, each relative to its own peak, into one series with exact bounds.

    Parameters
    ----------
    trends : pandas.DataFrame
        Rows of hashtag_trends, music_trends, trending_hashtag_trends or trending_music_trends of several observations:
        `df.keyapi.history().keyapi.trend()`, or frames concatenated. Several series are stitched one by one.
    decimals : int, default 2
        To how many decimals the shares are rounded.

    Returns
    -------
    pandas.DataFrame
        One row for each series and date, in the order of appearance and of dates: what identifies the series (without
        `period`), then

        date : datetime64[us, UTC]
            Start of the bucket.
        value : float64
            Share of the highest value of the piece, 0 to 1: the best estimate, within the bounds.
        lower, upper : float64
            The exact bounds: the least and the greatest share in any series that gives these windows when it is divided
            by its peak and rounded.
        windows : Int64
            How many windows have the date.
        piece : Int64
            Counts from 1. Windows without common dates, or common dates where one of them is zero, are pieces of their
            own: levels of two pieces cannot be compared.
        source : string
            Where the windows came from, if the rows say so.

    Raises
    ------
    InvalidArgumentError
        Columns are missing, shares are not from 0 to 1 or have more decimals, or daily and weekly windows are mixed.

    Warns
    -----
    TrendConflictWarning
        Windows contradict each other beyond rounding: the past was revised. The newest observation counts.

    Notes
    -----
    Costs nothing, sends nothing. Every window has its own peak, so windows must not be concatenated as they are.

    Examples
    --------
    >>> days = pd.date_range("2026-01-01", periods=4, tz="UTC")
    >>> both = pd.DataFrame({
    ...     "hashtag_name": "cats", "date": [*days[:3], *days[1:]], "share_of_peak": [0.2, 0.5, 1, 0.25, 0.5, 1],
    ...     "observed_at": [days[2]] * 3 + [days[3]] * 3,
    ... })
    >>> kr.stitch_trends(both)[["value", "lower", "upper", "windows"]].round(3)
       value  lower  upper  windows
    0   0.10  0.097  0.104        1
    1   0.25  0.245  0.255        2
    2   0.50  0.495  0.505        2
    3   1.00  1.000  1.000        1
    """
    rows, identity, names = _read(trends, decimals)
    source = [SOURCE.name] if SOURCE.name in rows else []
    frames, conflicts = [], []
    for _, series in rows.groupby("series", sort=False):
        windows = _windows_of(series, names)
        kept, of_these = _without_conflicts(windows, 0.5 * 10.0**-decimals)
        conflicts += of_these
        joined = _join(kept)
        same = series[[*identity, *source]].iloc[[0] * len(joined)].reset_index(drop=True)
        frames.append(pd.concat([same[identity], joined, same[source]], axis=1))
    if conflicts:
        warn(
            "windows contradict each other beyond rounding, so the past was revised; the newest observation counts: "
            f"{listed(conflicts, _MOST_NAMED)}",
            TrendConflictWarning,
        )
    empty = pd.concat([rows[identity], _join(None), rows[source]], axis=1)
    return pd.concat(frames, ignore_index=True) if frames else empty.iloc[:0]


# Windows ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Window:
    """A window of a series: its name for users, when it was observed, its dates (days since 1970) and their shares."""

    name: str
    days: npt.NDArray[np.int64]
    shares: Floats

    def without(self, days: npt.NDArray[np.int64]) -> _Window:
        """Return it without some of its dates."""
        stays = ~np.isin(self.days, days)
        return replace(self, days=self.days[stays], shares=self.shares[stays])


def _read(trends: pd.DataFrame, decimals: int) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Return known shares with the number of their series and window, what identifies a series, and windows' names."""
    if not is_number(decimals, whole=True) or not 0 <= decimals <= _MOST_DECIMALS:
        raise InvalidArgumentError(f"decimals must be a whole number from 0 to {_MOST_DECIMALS}; got {shown(decimals)}")
    check_columns(trends, _NEEDS)
    sources = sorted(trends[SOURCE.name].dropna().unique()) if SOURCE.name in trends.columns else []
    if len(sources) > 1:
        raise InvalidArgumentError(f"the rows come from {listed(sources)}, which cannot be one series. Keep one source")
    found = find_entities(trends, _NEEDS)
    keys = dict.fromkeys(name for table in _NEEDS.tables for name in table.key)
    identity = [name for name in keys if name in trends.columns and name not in (_DATE, _PERIOD)]
    rows = typed(trends, [*identity, _PERIOD, *_NEEDS.columns, SOURCE.name]).assign(window=found.codes)
    rows["series"] = rows.groupby(identity, dropna=False, sort=False).ngroup()
    rows = rows.dropna(subset=[*_NEEDS.columns])
    shares = rows[_SHARE].to_numpy()
    if ((shares < 0) | (shares > 1)).any():
        raise InvalidArgumentError(f"{_SHARE} must be from 0 to 1. Stitch shares as they were fetched")
    if (np.abs(shares * 10**decimals - np.round(shares * 10**decimals)) > _COARSE).any():
        raise InvalidArgumentError(
            f"{_SHARE} has values with more than {decimals} decimals. Pass decimals=, or shares as they were fetched"
        )
    return rows, identity, [name.label for name in found.names]


def _windows_of(series: pd.DataFrame, names: Sequence[str]) -> list[_Window]:
    """Return the windows of a series, the newest first."""
    windows = []
    steps: dict[int, set[str]] = {}
    for _, rows in series.groupby([OBSERVED_AT.name, "window"]):
        name = names[rows["window"].iloc[0]]
        once = rows.drop_duplicates([_DATE, _SHARE]).sort_values(_DATE)
        if once[_DATE].duplicated().any():
            raise InvalidArgumentError(
                f"{name} has two values of one date. Keep the rows of an observation as they were fetched"
            )
        days = once[_DATE].dt.tz_convert(None).to_numpy(dtype="datetime64[D]").astype(np.int64)
        windows.append(_Window(name, days, once[_SHARE].to_numpy(dtype=np.float64)))
        if len(days) > 1:
            steps.setdefault(min(int(np.diff(days).min()), _MONTH), set()).update(_periods(rows))
    if len(steps) > 1:
        described = "; ".join(f"{_bucket(step)} ({', '.join(sorted(steps[step]))})" for step in sorted(steps))
        raise InvalidArgumentError(
            f"{windows[0].name}: windows of different buckets cannot be joined: {described}. Stitch each kind by "
            'itself: df[df["period"].isin([...])]'
        )
    return windows[::-1]


def _periods(rows: pd.DataFrame) -> list[str]:
    return [f"period {one:g}" for one in rows[_PERIOD].dropna().unique()] if _PERIOD in rows else []


def _bucket(step: int) -> str:
    return {1: "daily", 7: "weekly", _MONTH: "monthly"}.get(step, f"every {step} days")


# What contradicts -------------------------------------------------------------------------------------------


def _without_conflicts(windows: Sequence[_Window], half: float) -> tuple[_Bounds, list[str]]:
    """Leave out what newer windows contradict, the newest coming first, and name it."""
    whole = _bounds_of(windows, half)
    if whole is not None:
        return whole, []
    kept: list[_Window] = []
    named = []
    for one in windows:
        agreeing, found = _agreeing(kept, one, half)
        kept += [agreeing] if len(agreeing.days) else []
        named += [found] if found else []
    bounds = _bounds_of(kept, half)
    assert bounds is not None  # noqa: S101 - each was added only where all of them fit
    return bounds, named


def _agreeing(kept: Sequence[_Window], one: _Window, half: float) -> tuple[_Window, str]:
    """Return what of a window fits newer ones, and a name for what does not.

    Single dates that were revised are left out where more of those in common agree with one another; else all of it.
    """
    if _bounds_of([*kept, one], half) is not None:
        return one, ""
    revised = _revised(kept, one, half)
    trimmed = one.without(revised)
    if len(revised) and _bounds_of([*kept, trimmed], half) is not None:
        dates = [str(np.datetime64(int(day), "D")) for day in revised]
        return trimmed, f"{one.name} at {listed(dates, _MOST_NAMED)}"
    return one.without(one.days), f"{one.name} (left out)"


def _revised(kept: Sequence[_Window], one: _Window, half: float) -> npt.NDArray[np.int64]:
    """Return the dates at which a window is not what most of its dates say, against the newer ones that share most."""
    bounds = _bounds_of(kept, half)
    if bounds is None:
        return np.empty(0, dtype=np.int64)
    here = np.isin(one.days, bounds.days)
    place = np.searchsorted(bounds.days, one.days[here])
    pieces, counts = np.unique(bounds.piece[place], return_counts=True)
    here[here] = bounds.piece[place] == pieces[counts.argmax()]
    place = np.searchsorted(bounds.days, one.days[here])
    # The peak of this window, as each date in common has it, in logarithms, against that of the piece.
    with np.errstate(divide="ignore"):
        least = np.log(bounds.lower[place]) - np.log(np.minimum(one.shares[here] + half, 1)) - _SLACK
        most = np.log(bounds.upper[place]) - np.log(np.maximum(one.shares[here] - half, 0)) + _SLACK
    agree = (least[:, None] <= least) & (least <= most[:, None])  # each date, where another one's interval begins
    best = agree.sum(axis=0).argmax()
    return one.days[here][~agree[:, best]] if 2 * agree[:, best].sum() > here.sum() else np.empty(0, dtype=np.int64)


# Bounds -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Of each date: the bounds of its share of the peak of its piece, the piece, and the number of its windows.

    `shares` has the windows as rows, NaN where a window does not have a date.
    """

    days: npt.NDArray[np.int64]
    lower: Floats
    upper: Floats
    piece: npt.NDArray[np.intp]
    shares: Floats


def _bounds_of(windows: Sequence[_Window], half: float) -> _Bounds | None:
    """Return the bounds of all series that give these windows; None where there is no such series."""
    days = np.unique(np.concatenate([one.days for one in windows]))
    shares = np.full((len(windows), len(days)), np.nan)
    for row, one in zip(shares, windows, strict=True):
        row[np.searchsorted(days, one.days)] = one.shares
    system = _System.of(shares, half)
    if system is None:
        return None
    piece = _pieces(shares, system.between)
    lower, upper = np.zeros(len(days)), np.ones(len(days))
    for number in np.unique(piece):
        here = np.flatnonzero(piece == number)
        at_most = np.full((1, len(days)), np.inf)
        at_most[:, here] = 0.0  # the peak of the piece is the measure
        upper[here] = np.exp(np.minimum(system.greatest(at_most)[0, here], 0))
        at_most = np.full((len(here), len(days)), np.inf)
        at_most[np.arange(len(here)), here] = 0.0  # each date is the measure once
        others = system.greatest(at_most)[:, here]
        if (np.diag(others) < -_WRONG).any():
            return None
        lower[here] = np.exp(-np.maximum(others.max(axis=1), 0))
    return _Bounds(days, lower, upper, piece, shares)


@dataclass(frozen=True, slots=True)
class _System:
    """Bounds of differences, in logarithms, all that follows from them included.

    `above` is how far a date may be above the peak of a window (a row for each window), `below` how far the peak may be
    above the date, `between` how far the peak of a window (column) may be above that of another (row). `tied` has the
    windows in which several dates may be the peak, and these dates.
    """

    above: Floats
    below: Floats
    between: Floats
    tied: tuple[tuple[int, npt.NDArray[np.intp]], ...]

    @classmethod
    def of(cls, shares: Floats, half: float) -> _System | None:
        """Read it from windows; None where they contradict each other."""
        there = ~np.isnan(shares)
        known = np.where(there, shares, 0.0)
        with np.errstate(divide="ignore"):
            above = np.where(there, np.log(np.minimum(known + half, 1)) + _SLACK, np.inf)
            below = np.where(there, -np.log(np.maximum(known - half, 0)) + _SLACK, np.inf)
        peaks = [np.flatnonzero(row) for row in there & (known + half >= 1 - _SLACK)]
        for row, peak in zip(below, peaks, strict=True):
            if len(peak) == 1:  # it is the peak itself
                row[peak] = 0.0
        between = np.array([(row + below).min(axis=1) for row in above])
        np.fill_diagonal(between, np.minimum(np.diag(between), 0))
        for one in range(len(between)):  # Floyd and Warshall
            np.minimum(between, between[:, one, None] + between[one], out=between)
        if (np.diag(between) < -_WRONG).any():
            return None
        return cls(above, below, between, tuple((w, peak) for w, peak in enumerate(peaks) if len(peak) > 1))

    def greatest(self, at_most: Floats) -> Floats:
        """Return the greatest values of all dates where some are at most so much, for each row by itself."""
        peaks = self._follow(np.array([(at_most + row).min(axis=1) for row in self.below]).T)
        for _ in range(_MOST_STEPS):
            dates = self._dates(at_most, peaks)
            lowered = peaks.copy()
            for window, ways in self.tied:
                lowered[:, window] = np.minimum(peaks[:, window], dates[:, ways].max(axis=1))
            if not (lowered < peaks - _SLACK).any():
                return dates
            peaks = self._follow(lowered)
        return self._dates(at_most, peaks)

    def _follow(self, peaks: Floats) -> Floats:
        return np.array([(peaks + column).min(axis=1) for column in self.between.T]).T

    def _dates(self, at_most: Floats, peaks: Floats) -> Floats:
        values = at_most.copy()
        for date, column in enumerate(self.above.T):
            windows = np.flatnonzero(np.isfinite(column))
            values[:, date] = np.minimum(values[:, date], (peaks[:, windows] + column[windows]).min(axis=1))
        return values


def _pieces(shares: Floats, between: Floats) -> npt.NDArray[np.intp]:
    """Return which piece each date is in, counted by first dates: one whose windows can be compared with one another.

    A date in several pieces is in the one that has a value above 0 there, of these in the newest window's.
    """
    comparable = np.isfinite(between) & np.isfinite(between.T)
    group = comparable.argmax(axis=1)  # the first window that each can be compared with
    ranked = np.where(np.isnan(shares), -1, np.where(shares > 0, 1, 0))
    of_date = group[ranked.argmax(axis=0)]  # the first of the highest: windows are newest first
    _, first = np.unique(of_date, return_index=True)
    numbers = {one: place for place, one in enumerate(of_date[np.sort(first)].tolist(), start=1)}
    return np.array([numbers[one] for one in of_date.tolist()], dtype=np.intp)


# One series -------------------------------------------------------------------------------------------------


def _join(bounds: _Bounds | None) -> pd.DataFrame:
    """Return a series with its bounds, and estimates within them."""
    if bounds is None:
        empty = np.empty(0)
        bounds = _Bounds(empty.astype(np.int64), empty, empty, empty.astype(np.intp), np.empty((0, 0)))
    return pd.DataFrame(
        {
            _DATE: moments(bounds.days * _DAY),
            "value": _estimate(bounds),
            "lower": bounds.lower,
            "upper": bounds.upper,
            "windows": pd.array((~np.isnan(bounds.shares)).sum(axis=0), dtype="Int64"),
            "piece": pd.array(bounds.piece, dtype="Int64"),
        }
    )


def _estimate(bounds: _Bounds) -> Floats:
    """Estimate shares by least squares of logarithms, each cell as exact as its rounding lets it be."""
    value = np.full(len(bounds.days), np.nan)
    known = np.where(bounds.shares > 0, bounds.shares, 0.0)  # NaN is not above 0
    logs = np.log(np.where(known > 0, known, 1.0))
    weight = known**2  # the error of a logarithm is that of the value, divided by it
    total = weight.sum(axis=0)
    part = weight / np.where(total > 0, total, 1.0)
    matrix = np.diag(weight.sum(axis=1)) - weight @ part.T
    peaks = np.linalg.lstsq(matrix, weight @ (part * logs).sum(axis=0) - (weight * logs).sum(axis=1), rcond=None)[0]
    with np.errstate(divide="ignore"):
        level = np.where(total > 0, np.exp((part * (logs + peaks[:, None])).sum(axis=0)), 0.0)
    for number in np.unique(bounds.piece):
        here = bounds.piece == number
        top = level[here & (bounds.upper >= 1 - _WRONG)].max(initial=0.0)
        if top > 0:
            value[here] = np.clip(level[here] / top, bounds.lower[here], bounds.upper[here])
    return value
