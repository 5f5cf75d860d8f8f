"""Days of creators and products: a measure over time, with the days that are missing dotted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ..entities import Name, check_columns, find_entities, typed
from ..errors import InvalidArgumentError
from ..measures import FILLED
from ..model import TABLES, Column
from . import lines
from .lines import Line
from .reading import NEEDS, kind_of, label_of, newest

_TOGETHER: Final = 3  # days go up and down so much that more lines are a tangle
_DAY: Final = np.timedelta64(1, "D")
MEASURES: Final[Mapping[str, Column]] = MappingProxyType(
    {
        column.name: column
        for table in TABLES.values()
        if table.key[1:] == ("date",)
        for column in table.columns
        if column.of
    }
)


def draw(df: pd.DataFrame, ax: Axes | None, *, measure: str, small_multiples: bool | None) -> Axes:
    """Draw a measure of the creators or products of a frame."""
    if not isinstance(measure, str) or measure not in MEASURES:
        raise InvalidArgumentError(f"measure is one of {', '.join(MEASURES)}; got {measure!r}")
    found, missing = find_lines(df, measure)
    head, label = label_of(MEASURES[measure])
    words = lines.Words(
        what=f"{head} a day" if MEASURES[measure].of == "of the day" else head,
        things=kind_of(df, len(found), "series"),
        shared="",
        across="day (UTC)",
        up=label,
        before=[f"Dotted: {missing:,} day{'s' if missing != 1 else ''} without a value."] if missing else [],
        together=_TOGETHER,
    )
    return lines.draw(df, ax, found, words, panels=small_multiples)


def find_lines(df: pd.DataFrame, measure: str) -> tuple[list[Line], int]:
    """Return a line for each creator or product, by its newest observations, and how many days between lack a value.

    A day that `fill_days` added lacks it too.
    """
    needs = replace(NEEDS["days"], columns=("date", measure))
    check_columns(df, needs)
    once = newest(df, ("user_id", "product_id", "date"))
    entities = find_entities(once.drop(columns=["observed_at"], errors="ignore"), needs)
    rows = typed(once, ["date", measure]).assign(entity=entities.codes)
    if FILLED in once.columns:
        rows[measure] = rows[measure].mask(once[FILLED].astype("boolean").fillna(value=False).to_numpy(dtype=bool))
    rows = rows.dropna(subset=["date"]).sort_values(["entity", "date"])
    made = [_line(entities.names[part["entity"].iloc[0]], part, measure) for _, part in rows.groupby("entity")]
    return [line for line, _ in made], sum(missing for _, missing in made)


def _line(name: Name, rows: pd.DataFrame, measure: str) -> tuple[Line, int]:
    dates = rows["date"].dt.tz_convert(None).to_numpy(dtype="datetime64[D]")
    days = np.arange(dates[0], dates[-1] + _DAY)
    values = np.full(len(days), np.nan)
    values[((dates - dates[0]) / _DAY).astype(int)] = rows[measure].to_numpy(dtype="float64")
    known = np.flatnonzero(np.isfinite(values))
    apart = np.diff(known) - 1
    days = days.astype("datetime64[us]")
    bridge = (days[known], values[known]) if apart.any() else None
    return Line(name, days, values, bridge=bridge), int(apart.sum())
