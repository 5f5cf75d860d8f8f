"""Windows of a trend, each relative to its own peak, as one series; what newer windows contradict is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from .bounds import SLACK, Bounds, Window, bounds_of, estimate
from .columns import moments
from .entities import ENTITY_IDS, Needs, check_columns, find_entities, name_rows, typed
from .errors import IncompleteDataWarning, InvalidArgumentError, TrendConflictWarning, listed, shown, warn
from .frames import keep_origin
from .model import OBSERVED_AT, SOURCE
from .settings import is_number

_DATE, _SHARE, _PERIOD = "date", "share_of_peak", "period"
_NEEDS: Final = Needs(
    "stitch_trends",
    (_DATE, _SHARE, OBSERVED_AT.name),
    "Several observations come from df.keyapi.history().keyapi.trend(), where df has hashtags or music.",
)
_KINDS: Final = MappingProxyType({28: "monthly", 7: "weekly", 0: "daily"})  # by the least days from one to the next
_MOST_DECIMALS: Final = 9
_MOST_DAYS: Final = 100_000
_MOST_NAMED: Final = 5
_COARSE: Final = 1e-4  # of a step: what is not as many decimals
_MANY: Final = 20  # shares that are not all rounded alike by chance
_CUT: Final = 3  # windows, from which on it is no chance that all begin alike and grow
_DAY: Final = 86_400_000_000  # microseconds


def stitch_trends(trends: pd.DataFrame, *, decimals: int = 2) -> pd.DataFrame:
    """Join overlapping windows of a trend, each relative to its own peak, into one series with exact bounds.

    Parameters
    ----------
    trends : pandas.DataFrame
        Rows of hashtag_trends, music_trends, trending_hashtag_trends or trending_music_trends of several observations:
        `df.keyapi.history().keyapi.trend()` where `df` has hashtags or music, or frames concatenated. Windows must be
        whole, with the dates of their peaks; one that is shorter than its `period` may lack its peak. Several series
        are stitched one by one.
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
            Share of the highest value of the piece, 0 to 1: the best estimate, within the bounds; missing where only
            windows of zeros alone have the date, whose peak is unknown.
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
        Columns or ids are missing, shares are not from 0 to 1 or have more decimals, or daily and weekly windows are
        mixed.

    Warns
    -----
    TrendConflictWarning
        Windows contradict each other beyond rounding: the past was revised. The newest observation counts.
    IncompleteDataWarning
        Windows seem to be incomplete.

    Notes
    -----
    Costs nothing, sends nothing. Every window has its own peak, so windows must not be concatenated as they are. The
    last bucket of a weekly or monthly window may not be over when it is observed: a newer window that has it counts.

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
    frames, conflicts, cut = [], [], []
    for _, series in rows.groupby("series", sort=False):
        name = names[series["series"].iloc[0]]
        windows, kind = _windows_of(series, name)
        if not windows:
            continue
        if _seem_cut(windows):
            cut.append(name)
            windows = [replace(one, whole=False) for one in windows]
        bounds, of_these = _without_conflicts(windows, 0.5 * 10.0**-decimals, kind)
        conflicts += [f"{name} {listed(of_these, _MOST_NAMED, '; ')}"] if of_these else []
        joined = _join(bounds)
        same = series[[*identity, *source]].iloc[[0] * len(joined)].reset_index(drop=True)
        frames.append(pd.concat([same[identity], joined, same[source]], axis=1))
    if cut:
        warn(
            f"the windows of {listed(cut, _MOST_NAMED)} begin at the same date and grow: they seem to be cut, as by "
            "history() of a table of trends, which has the dates of its rows only. Stitch whole windows: "
            "df.keyapi.history().keyapi.trend(), where df has hashtags or music",
            IncompleteDataWarning,
        )
    if conflicts:
        more = f"; {len(conflicts) - _MOST_NAMED:,} more series" if len(conflicts) > _MOST_NAMED else ""
        warn(
            "windows contradict each other beyond rounding, so the past was revised; the newest observation counts: "
            f"{'; '.join(conflicts[:_MOST_NAMED])}{more}{_on_decimals(rows[_SHARE], decimals)}",
            TrendConflictWarning,
        )
    empty = pd.concat([rows[identity], _join(None), rows[source]], axis=1)
    return keep_origin(pd.concat(frames, ignore_index=True) if frames else empty.iloc[:0], [trends])


# Windows ----------------------------------------------------------------------------------------------------


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
    ids = [name for name in identity if name in ENTITY_IDS]
    for names in ([_DATE], [OBSERVED_AT.name], ids):
        if missing := int(rows[names].isna().all(axis=1).sum()):
            raise InvalidArgumentError(
                f"{missing:,} of {len(rows):,} rows have no {' and no '.join(names)}: nobody knows of which window or "
                "series they are. Leave them out, or stitch shares as they were fetched"
            )
    rows["series"] = rows.groupby(identity, dropna=False, sort=False).ngroup()
    shares = rows[_SHARE].to_numpy(dtype=np.float64, na_value=np.nan)
    if ((shares < 0) | (shares > 1)).any():
        raise InvalidArgumentError(f"{_SHARE} must be from 0 to 1. Stitch shares as they were fetched")
    if (np.abs(shares * 10**decimals - np.round(shares * 10**decimals)) > _COARSE).any():
        raise InvalidArgumentError(
            f"{_SHARE} has values with more than {decimals} decimals. Pass decimals=, or shares as they were fetched"
        )
    rows[_SHARE] = np.round(shares, decimals)
    return rows, identity, [name.label for name in name_rows(rows.drop_duplicates("series"))]


def _windows_of(series: pd.DataFrame, name: str) -> tuple[list[Window], str]:
    """Return the windows of a series, the newest first, and of which kind their buckets are."""
    windows: list[Window] = []
    steps: dict[str, int] = {}
    missing: list[float] = []  # days of each period that its window does not have
    for _, rows in series.groupby([OBSERVED_AT.name, "window"]):
        period = f"period {rows[_PERIOD].iloc[0]:g}" if _PERIOD in rows and rows[_PERIOD].notna().all() else ""
        once = rows.drop_duplicates([_DATE, _SHARE]).sort_values(_DATE)
        days = once[_DATE].dt.tz_convert(None).to_numpy(dtype="datetime64[D]").astype(np.int64)
        between = np.diff(days)
        if (between == 0).any():
            raise InvalidArgumentError(
                f"{name} has two values of one date in one window. Keep the rows of an observation as they were fetched"
            )
        if len(days) > (1 if period else 2):  # of two dates alone nobody knows whether one is missing between them
            of = period or " " * (len(windows) + 1)
            steps[of] = min(int(between.min()), steps.get(of, _MOST_DAYS))
        known = once[_SHARE].notna().to_numpy()
        moment = rows[OBSERVED_AT.name].iloc[0]
        observed = moment.value, f"{moment:%Y-%m-%d %H:%M}"
        shares = once[_SHARE].to_numpy(dtype=np.float64, na_value=np.nan)
        windows.append(Window(observed, period, days[known], shares[known], whole=bool(known.all())))
        missing.append(rows[_PERIOD].iloc[0] - (days[-1] - days[0]) if period else 0)
    # A window that is shorter than its period, by more than its last bucket and a rest at its beginning, may have been
    # cut after it was divided by its peak.
    windows = [
        replace(one, whole=one.whole and left_out <= 2 * steps.get(one.period, 1))
        for one, left_out in zip(windows, missing, strict=True)
    ]
    kinds = {of: next(kind for least, kind in _KINDS.items() if step >= least) for of, step in steps.items()}
    if len(set(kinds.values())) > 1:
        raise InvalidArgumentError(
            f"{name}: windows of different buckets cannot be joined: {_described(kinds)}. Stitch each kind by itself: "
            'df[df["period"].isin([...])]'
        )
    newest = sorted(windows, key=lambda one: (one.observed, one.days[-1:].tolist(), one.period), reverse=True)
    return [one for one in newest if len(one.days)], next(iter(kinds.values()), "daily")


def _described(kinds: Mapping[str, str]) -> str:
    """Say of which kind the buckets of which periods are."""
    periods: dict[str, list[str]] = {}
    for of in sorted(kinds):
        periods.setdefault(kinds[of], []).extend([of] if of.strip() else [])
    return "; ".join(f"{kind} ({', '.join(periods[kind])})" if periods[kind] else kind for kind in sorted(periods))


def _seem_cut(windows: Sequence[Window]) -> bool:
    """Whether windows of one period all begin at the same date, and the newer ones are longer."""
    lengths: dict[tuple[str, int], list[int]] = {}
    for one in windows:
        lengths.setdefault((one.period, int(one.days[0])), []).append(len(one.days))
    if len(lengths) > len({one.period for one in windows}):
        return False
    return any(len(each) >= _CUT and all(np.diff(each) < 0) for each in lengths.values())


def _on_decimals(shares: pd.Series[float], decimals: int) -> str:
    """Return a hint where no share has as many decimals as was said."""
    known = shares.dropna()
    if len(known) < _MANY:
        return ""
    used = next((least for least in range(decimals) if (known.round(least) == known).all()), decimals)
    return f". All shares are rounded to {used} decimals: is decimals={decimals} right?" if used < decimals else ""


# What contradicts -------------------------------------------------------------------------------------------


def _without_conflicts(windows: Sequence[Window], half: float, kind: str) -> tuple[Bounds | None, list[str]]:
    """Leave out what newer windows contradict, the newest coming first, and name it."""
    windows, named = _without_zeros(windows)
    bounds = bounds_of(windows, half)
    if bounds is None and kind != "daily":
        windows = _without_unfinished(windows)
        bounds = bounds_of(windows, half)
    if bounds is not None:
        return bounds, named
    kept: list[Window] = []
    place, many = 0, 1
    while place < len(windows):
        some = windows[place : place + many]
        if bounds_of([*kept, *some], half) is not None:
            kept, place, many = [*kept, *some], place + many, 2 * many
        elif many > 1:
            many //= 2
        else:
            agreeing, found = _agreeing(kept, windows[place], half)
            kept += [agreeing] if len(agreeing.days) else []
            named.append(found)
            place += 1
    return bounds_of(kept, half), named


def _without_zeros(windows: Sequence[Window]) -> tuple[list[Window], list[str]]:
    """Leave out of windows of zeros alone, which have no peak, the dates that others have; name what differs."""
    zeros = [one for one in windows if not one.shares.any()]
    others = [one for one in windows if one.shares.any()]
    if not zeros or not others:
        return list(windows), []
    days = np.concatenate([one.days for one in others])
    above = np.concatenate([one.days[one.shares > 0] for one in others])
    named = [f"{one.name} (zeros alone, left out)" for one in zeros if np.isin(one.days, above).any()]
    return [*others, *(left for one in zeros if len((left := one.without(days)).days))], named


def _without_unfinished(windows: Sequence[Window]) -> list[Window]:
    """Leave out the last buckets of older windows, which may not have been over, where newer ones have them."""
    found: list[Window] = []
    seen = np.empty(0, dtype=np.int64)
    for one in windows:
        left = one.without(one.days[-1:][np.isin(one.days[-1:], seen)])
        found += [left] if len(left.days) else []
        seen = np.union1d(seen, one.days)
    return found


def _agreeing(kept: Sequence[Window], one: Window, half: float) -> tuple[Window, str]:
    """Return what of a window fits newer ones, and a name for what does not.

    Single dates that were revised are left out where more of those in common agree with one another; else all of it.
    """
    revised = _revised(kept, one, half)
    trimmed = one.without(revised)
    if len(revised) and bounds_of([*kept, trimmed], half) is not None:
        dates = [str(np.datetime64(int(day), "D")) for day in revised]
        return trimmed, f"{one.name} (at {listed(dates, _MOST_NAMED)})"
    return one.without(one.days), f"{one.name} (left out)"


def _revised(kept: Sequence[Window], one: Window, half: float) -> npt.NDArray[np.int64]:
    """Return the dates at which a window is not what most of its dates say, against the newer ones that share most."""
    bounds = bounds_of(kept, half)
    if bounds is None:
        return np.empty(0, dtype=np.int64)
    here = np.isin(one.days, bounds.days)
    place = np.searchsorted(bounds.days, one.days[here])
    pieces, counts = np.unique(bounds.piece[place], return_counts=True)
    here[here] = bounds.piece[place] == pieces[counts.argmax()]
    place = np.searchsorted(bounds.days, one.days[here])
    # The peak of this window, as each date in common has it, in logarithms, against that of the piece.
    with np.errstate(divide="ignore"):
        least = np.log(bounds.lower[place]) - np.log(np.minimum(one.shares[here] + half, 1)) - SLACK
        most = np.log(bounds.upper[place]) - np.log(np.maximum(one.shares[here] - half, 0)) + SLACK
    agree = (least[:, None] <= least) & (least <= most[:, None])  # each date, where another one's interval begins
    best = agree.sum(axis=0).argmax()
    return one.days[here][~agree[:, best]] if 2 * agree[:, best].sum() > here.sum() else np.empty(0, dtype=np.int64)


# One series -------------------------------------------------------------------------------------------------


def _join(bounds: Bounds | None) -> pd.DataFrame:
    """Return a series with its bounds, and estimates within them."""
    if bounds is None:
        empty = np.empty(0)
        bounds = Bounds(empty.astype(np.int64), empty, empty, empty.astype(np.intp), np.empty((0, 0)))
    return pd.DataFrame(
        {
            _DATE: moments(bounds.days * _DAY),
            "value": estimate(bounds),
            "lower": bounds.lower,
            "upper": bounds.upper,
            "windows": pd.array((~np.isnan(bounds.shares)).sum(axis=0), dtype="Int64"),
            "piece": pd.array(bounds.piece, dtype="Int64"),
        }
    )
