"""Windows of one series, each relative to its own peak: the exact bounds of what all of them say together.

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

Floats = npt.NDArray[np.float64]

SLACK: Final = 1e-12  # of a bound: what fits exactly shall not fail by a rounding error
_WRONG: Final = 1e-9  # from here on windows contradict each other
_MOST_STEPS: Final = 1000  # towards the greatest values; who stops earlier has wider bounds, never wrong ones


@dataclass(frozen=True, slots=True)
class Window:
    """A window of a series: when it was observed (also in words), its dates (days since 1970) and their shares.

    Of one that is not whole nobody knows whether its peak is among its dates.
    """

    observed: tuple[int, str]
    period: str
    days: npt.NDArray[np.int64]
    shares: Floats
    whole: bool

    @property
    def name(self) -> str:
        """What it is called: its dates, and when it was observed."""
        first, last = (str(np.datetime64(int(self.days[place]), "D")) for place in (0, -1))
        return f"{first} to {last}, observed {self.observed[1]}"

    def without(self, days: npt.NDArray[np.int64]) -> Window:
        """Return it without some of its dates."""
        stays = ~np.isin(self.days, days)
        whole = self.whole and bool((self.shares[~stays] < self.shares.max(initial=0)).all())
        return replace(self, days=self.days[stays], shares=self.shares[stays], whole=whole)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of each date: the bounds of its share of the peak of its piece, and the piece.

    `shares` has the windows as rows, NaN where a window does not have a date.
    """

    days: npt.NDArray[np.int64]
    lower: Floats
    upper: Floats
    piece: npt.NDArray[np.intp]
    shares: Floats


def bounds_of(windows: Sequence[Window], half: float) -> Bounds | None:
    """Return the bounds of all series that give these windows; None where there is no such series."""
    days = np.unique(np.concatenate([one.days for one in windows]))
    shares = np.full((len(windows), len(days)), np.nan)
    for row, one in zip(shares, windows, strict=True):
        row[np.searchsorted(days, one.days)] = one.shares
    system = _System.of(shares, half, np.array([one.whole for one in windows]))
    if system is None:
        return None
    piece = _pieces(shares, system.between)
    lower, upper = np.zeros(len(days)), np.ones(len(days))
    for number in np.unique(piece):
        here = np.flatnonzero(piece == number)
        at_most = np.full((len(here), len(days)), np.inf)
        at_most[np.arange(len(here)), here] = 0.0  # each date is the measure once
        others = system.greatest(at_most)
        at_most = np.full((1, len(days)), np.inf)
        at_most[:, here] = 0.0  # the peak of the piece is the measure
        highest = system.greatest(at_most)
        if others is None or highest is None:
            return None
        if (np.nan_to_num(shares[:, here]) > 0).any():  # of zeros alone nobody knows the peak
            lower[here] = np.exp(-np.maximum(others[:, here].max(axis=1), 0))
            upper[here] = np.exp(np.minimum(highest[0, here], 0))
    return Bounds(days, lower, upper, piece, shares)


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
    def of(cls, shares: Floats, half: float, whole: npt.NDArray[np.bool_]) -> _System | None:
        """Read it from windows; None where they contradict each other."""
        there = ~np.isnan(shares)
        known = np.where(there, shares, 0.0)
        with np.errstate(divide="ignore"):
            above = np.where(there, np.log(np.minimum(known + half, 1)) + SLACK, np.inf)
            below = np.where(there, -np.log(np.maximum(known - half, 0)) + SLACK, np.inf)
        peaks = [np.flatnonzero(row) for row in there & (known + half >= 1 - SLACK) & whole[:, None]]
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

    def greatest(self, at_most: Floats) -> Floats | None:
        """Return the greatest values of all dates where some are at most so much, for each row by itself.

        None where none of these can be reached, so that the windows contradict each other.
        """
        peaks = self._follow(np.array([(at_most + row).min(axis=1) for row in self.below]).T)
        given = np.isfinite(at_most)
        wanted = np.where(given, at_most, 0.0)
        for _ in range(_MOST_STEPS):
            dates = self._dates(at_most, peaks)
            if (np.where(given, dates - wanted, -np.inf).max(axis=1) < -_WRONG).any():
                return None
            lowered = peaks.copy()
            for window, ways in self.tied:
                lowered[:, window] = np.minimum(peaks[:, window], dates[:, ways].max(axis=1))
            if not (lowered < peaks - SLACK).any():
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

    A date in several pieces is in the one that has a value above 0 there, of these in the newest window's; one that is
    0 in all of them goes on the piece of the dates before.
    """
    comparable = np.isfinite(between) & np.isfinite(between.T)
    group = comparable.argmax(axis=1)  # the first window that each can be compared with
    ranked = np.where(np.isnan(shares), -1, np.where(shares > 0, 1, 0))
    of_date = group[ranked.argmax(axis=0)]  # the first of the highest: windows are newest first
    earlier = -1
    for date in range(len(of_date)):  # zeros go on what was there before, where windows of that have them
        if ranked[:, date].max() == 1:
            earlier = of_date[date]
        elif ((group == earlier) & (ranked[:, date] == 0)).any():
            of_date[date] = earlier
    _, first = np.unique(of_date, return_index=True)
    numbers = {one: place for place, one in enumerate(of_date[np.sort(first)].tolist(), start=1)}
    return np.array([numbers[one] for one in of_date.tolist()], dtype=np.intp)


def estimate(bounds: Bounds) -> Floats:
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
