"""Popularity over time: of trends as they came, and of stitched ones with their bands."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from ..catalogue.hashtags import HASHTAG_TRENDS
from ..entities import Name, check_columns, find_entities, typed
from ..frames import columns_of
from . import lines
from .lines import Dates, Line
from .reading import NEEDS, STITCHED, kind_of, last_seen

_OWN_PEAK: Final = "Each series is relative to its own peak in its window: compare shapes and dates, never levels."
_PIECES: Final = "Levels of two series, or on both sides of a break in a line, cannot be compared."
_BAND: Final = "Joined from several windows. Band: where the values can be, often narrower than the line."
_BREAK: Final = "A break in a line: dates are missing."
_WEEK: Final = 7  # days
_WHOLE_WEEK: Final = np.timedelta64(_WEEK, "D")
_ACROSS: Final = MappingProxyType({1: "day", _WEEK: "start of the week"})  # by the days from one point to the next
_SHARE: Final = f"popularity ({HASHTAG_TRENDS['share_of_peak'].unit}, 0 to 1)"
_OF_HIGHEST: Final = "popularity (share of highest, 0 to 1)"


def draw(df: pd.DataFrame, ax: Axes | None, *, small_multiples: bool | None) -> Axes:
    """Draw the series of a frame."""
    found, shared = find_lines(df)
    several, broken = len(found) > 1, any(np.isnan(line.values).any() for line in found if line.known)
    before, after = [_OWN_PEAK] if several else [], [_BREAK] if broken else []
    step, seen = _days_apart(found), last_seen(df)
    if is_stitched(df):
        before, after = [_BAND, _PIECES] if several or broken else [_BAND], []
    elif step == _WEEK and seen is not None and seen < max(line.dates[-1] for line in found) + _WHOLE_WEEK:
        after.append("The last week is not complete: its point may still change.")
    words = lines.Words(
        what="Weekly popularity" if step == _WEEK else "Popularity",
        things=kind_of(df, len(found), "series"),
        shared=shared,
        across=f"{_ACROSS.get(step, 'first day of each point')} ({HASHTAG_TRENDS['date'].unit})",
        up=_OF_HIGHEST if is_stitched(df) else _SHARE,
        before=before,
        after=after,
        levels=(-0.03, 1.05),
    )
    return lines.draw(df, ax, found, words, panels=small_multiples)


def _days_apart(found: Sequence[Line]) -> int:
    """Return how many days lie between points, which is what a point is for: 0 where series differ."""
    dates = [np.unique(line.dates.astype("datetime64[D]")) for line in found]
    steps = {int(np.median(np.diff(one) / np.timedelta64(1, "D"))) for one in dates if len(one) > 1} or {1}
    return steps.pop() if len(steps) == 1 else 0


def find_lines(df: pd.DataFrame) -> tuple[list[Line], str]:
    """Return the series of a frame, and what they have in common."""
    needs = NEEDS["trend"]
    columns = STITCHED if is_stitched(df) else needs.columns
    if columns is needs.columns:
        check_columns(df, needs)
    entities = find_entities(df, needs)
    rows = typed(df, columns).assign(entity=entities.codes).dropna(subset=["date"])
    rows = rows.drop_duplicates(["entity", "date"]).sort_values(["entity", "date"])
    parts = rows.groupby("entity")
    return [_line(entities.names[part["entity"].iloc[0]], part) for _, part in parts], entities.shared


def _line(name: Name, rows: pd.DataFrame) -> Line:
    dates = rows["date"].dt.tz_convert(None).to_numpy(dtype="datetime64[us]")
    after = gaps(dates)
    shown = ["share_of_peak"]
    if "piece" in rows:
        shown = ["value", "lower", "upper"]
        rows = rows.assign(**{one: rows[one].where(rows["value"].notna()) for one in shown})
        after = np.union1d(after, np.flatnonzero(np.diff(rows["piece"])) + 1)
    broken = dates[after - 1] + np.timedelta64(1, "us")
    values, *band = (np.insert(rows[one].to_numpy(dtype="float64"), after, np.nan) for one in shown)
    return Line(name, np.insert(dates, after, broken), values, (band[0], band[1]) if band else None)


def is_stitched(df: object) -> bool:
    """Whether a frame has series that `stitch_trends` made."""
    return isinstance(df, pd.DataFrame) and set(STITCHED) <= columns_of(df)


def gaps(dates: Dates) -> npt.NDArray[np.intp]:
    """Find where buckets are missing: places whose date is more than 1.5 steps after the one before.

    The step is the most frequent distance of the series itself (the smallest of several), never the period.
    """
    distances = np.diff(dates)
    if not len(distances):
        return np.array([], dtype=np.intp)
    found, counts = np.unique(distances, return_counts=True)
    step = found[counts.argmax()]
    return np.flatnonzero(distances / step > 1.5) + 1  # noqa: PLR2004 - months differ by a tenth
