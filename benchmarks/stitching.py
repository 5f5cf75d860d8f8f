"""Trends stitched from windows: whether the truth is within the bounds, how far off values are, how long it takes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

import keyapi_research as kr

from .common import Measure

Floats = npt.NDArray[np.float64]
Window = tuple[int, Floats]  # its first day, and its shares

DAYS = 180
START = pd.Timestamp("2026-01-01", tz="UTC")
CADENCES = ((30, 7), (30, 14), (30, 20), (30, 25), (7, 1), (7, 3), (7, 5))  # length, and days from one to the next
KINDS = ("bursty", "stable", "decaying")
DECIMALS = (1, 2, 3)
SEEN = 0.05  # of the peak: below it, two decimals of a window say little


def series(kind: str, rng: np.random.Generator, days: int) -> Floats:
    """Make a series of one kind, with a noise of ten percent."""
    time_ = np.arange(days)
    if kind == "bursty":
        level = np.full(days, 5.0)
        for _ in range(rng.integers(3, 9)):
            height, width = rng.uniform(10, 100), rng.uniform(1.5, 8)
            level += height * np.exp(-np.abs(time_ - rng.uniform(0, days)) / width)
    elif kind == "stable":
        level = 50 * np.exp(np.cumsum(rng.normal(0, 0.03, days)))
    else:
        level = 100 * np.exp(-time_ / rng.uniform(20, 80)) + 1
    return level * np.exp(rng.normal(0, 0.1, days))


def windows_of(truth: Floats, length: int, every: int, decimals: int) -> list[Window]:
    """Cut a series into windows as KeyAPI would show them."""
    cuts = [(first, truth[first : first + length]) for first in range(0, len(truth) - length + 1, every)]
    return [(first, np.round(part / part.max(), decimals)) for first, part in cuts]


def frame_of(windows: Sequence[Window], name: str) -> pd.DataFrame:
    """Make the rows that `df.keyapi.history().keyapi.trend()` would give."""
    sizes = [len(shares) for _, shares in windows]
    days = np.concatenate([first + np.arange(len(shares)) for first, shares in windows])
    seen = np.repeat(np.arange(len(windows)), sizes)
    return pd.DataFrame(
        {
            "hashtag_name": pd.array([name] * len(days), dtype="string"),
            "date": START + pd.to_timedelta(days, unit="D"),
            "share_of_peak": np.concatenate([shares for _, shares in windows]),
            "observed_at": START + pd.to_timedelta(1000 + seen, unit="D"),
        }
    )


def least_squares(windows: Sequence[Window], days: int) -> Floats:
    """Join windows as one would by hand: least squares of logarithms over the dates in common, all alike."""
    shares = np.full((len(windows), days), np.nan)
    for row, (first, part) in zip(shares, windows, strict=True):
        row[first : first + len(part)] = part
    known = shares > 0
    logs = np.log(np.where(known, shares, 1.0))
    part = known / np.maximum(known.sum(axis=0), 1)
    matrix = np.diag(known.sum(axis=1)) - known @ part.T
    right = known @ (part * logs).sum(axis=0) - (known * logs).sum(axis=1)
    peaks = np.linalg.lstsq(matrix, right, rcond=None)[0]
    level = np.where(known.any(axis=0), np.exp((part * (logs + peaks[:, None])).sum(axis=0)), 0.0)
    return np.asarray(level / level.max())


def chained(windows: Sequence[Window], days: int) -> Floats:
    """Join windows as one would by hand over the first date in common that has a value in both."""
    level = np.full(days, np.nan)
    for first, part in windows:
        here = slice(first, first + len(part))
        common = np.flatnonzero((level[here] > 0) & (part > 0))
        scale = level[here][common[0]] / part[common[0]] if len(common) else 1.0
        level[here] = np.where(np.isnan(level[here]), part * scale, level[here])
    return np.asarray(level / np.nanmax(level))


@dataclass(frozen=True)
class Run:
    """What came of one series cut in one way."""

    cadence: tuple[int, int]
    decimals: int
    contained: bool
    inside: bool
    band: float
    error: float
    by_hand: float
    by_one_date: float


def run(seed: int, kind: str, cadence: tuple[int, int], decimals: int) -> Run:
    """Cut a series, join it again, and hold the result against the truth."""
    rng = np.random.default_rng([seed, KINDS.index(kind), *cadence, decimals])
    truth = series(kind, rng, DAYS)
    windows = windows_of(truth, *cadence, decimals)
    days = windows[-1][0] + cadence[0]
    truth = truth[:days] / truth[:days].max()
    found = kr.stitch_trends(frame_of(windows, kind), decimals=decimals)
    value, lower, upper = (found[name].to_numpy() for name in ("value", "lower", "upper"))
    if found["piece"].max() > 1:  # coarse windows may have zeros in common only: each piece has its own peak
        tops = pd.Series(truth).groupby(found["piece"].to_numpy()).transform("max").to_numpy()
        truth = truth / tops
    seen = (truth >= SEEN) & (lower > 0)
    error = {
        name: float(np.median(np.abs(join(windows, days) / truth - 1)[seen])) if found["piece"].max() == 1 else np.nan
        for name, join in (("by_hand", least_squares), ("by_one_date", chained))
    }
    return Run(
        cadence,
        decimals,
        contained=bool(((lower - 1e-9 <= truth) & (truth <= upper + 1e-9)).all()),
        inside=bool(((lower <= value) & (value <= upper)).all()),
        band=float(np.median(upper[seen] / lower[seen])),
        error=float(np.median(np.abs(value / truth - 1)[seen])),
        **error,
    )


def measure(report: Callable[[str], None], *, quick: bool) -> list[Measure]:
    """Simulate; then join many series of many windows."""
    each = list(itertools.product(range(1 if quick else 6), KINDS, CADENCES, DECIMALS))
    report(f"trends of {len(each)} simulated series")
    runs = [run(*how) for how in each]
    both = [one for one in runs if not np.isnan(one.by_hand)]
    title = f"10 stitched trends, {len(runs)} series"
    found = [
        Measure(title, "truth within the bounds", float(np.mean([one.contained for one in runs])), "", at_least=1),
        Measure(title, "value within the bounds", float(np.mean([one.inside for one in runs])), "", at_least=1),
        Measure(
            title,
            "median error / that of least squares",
            float(np.median([one.error for one in both]) / np.median([one.by_hand for one in both])),
            "x",
            at_most=1,
        ),
        Measure(title, "error, joined by one date", 100 * float(np.median([one.by_one_date for one in both])), "%"),
    ]
    for cadence in CADENCES:
        some = [one for one in runs if one.cadence == cadence and one.decimals == 2]
        name = f"{cadence[0]} days, every {cadence[1]}"
        found += [
            Measure(title, f"{name}: band", float(np.median([one.band for one in some])), "x"),
            Measure(title, f"{name}: error", 100 * float(np.median([one.error for one in some])), "%"),
        ]
    return [*found, *measure_time(report, quick=quick)]


def measure_time(report: Callable[[str], None], *, quick: bool) -> list[Measure]:
    """Join series of 24 windows of 30 days, a week from one to the next."""
    count = 20 if quick else 200
    report(f"{count} series of 24 windows")
    rng = np.random.default_rng(24)
    parts = []
    for number in range(count):
        truth = series(KINDS[number % 3], rng, 30 + 7 * 23)
        parts.append(frame_of(windows_of(truth, 30, 7, 2), f"tag{number}"))
    frame = pd.concat(parts, ignore_index=True)
    began = time.perf_counter()
    joined = kr.stitch_trends(frame)
    took = time.perf_counter() - began
    assert joined["windows"].max() == 5, joined
    return [Measure(f"10 {count} series of 24 windows", "all of them", took, "s", at_most=60 * count / 200)]
