"""Windows of creators and products side by side: the daily average of each window, so that short and long compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from ..entities import check_columns, find_entities, typed
from ..errors import InvalidArgumentError
from ..model import TABLES, Column
from . import style
from .reading import NEEDS, kind_of, label_of, newest

MOST_ROWS: Final = 20
_WEEK: Final = 7  # days
_DISTINCT: Final = ("creators", "products")  # units that do not add up: who comes on two days counts once in a window
_DEFAULTS: Final = ("units_window_est", "followers_gained")
MEASURES: Final[Mapping[str, Column]] = MappingProxyType(
    {
        column.name: column
        for table in TABLES.values()
        if table.key[1:] == ("window_days",)
        for column in table.columns
        if column.of == "of the window" and column.unit not in _DISTINCT
    }
)


def draw(df: pd.DataFrame, ax: Axes | None, *, measure: str | None) -> Axes:
    """Draw a line of symbols for each creator or product, one a window."""
    if measure is not None and not (isinstance(measure, str) and measure in MEASURES):
        raise InvalidArgumentError(f"measure is one of {', '.join(MEASURES)}, which add up over days; got {measure!r}")
    there = df.columns if isinstance(df, pd.DataFrame) else ()
    measure = measure or next((one for one in (*_DEFAULTS, *MEASURES) if one in there), _DEFAULTS[0])
    needs = replace(NEEDS["windows"], columns=("window_days", measure))
    check_columns(df, needs)
    once = newest(df, ("user_id", "product_id", "window_days"))
    entities = find_entities(once.drop(columns=["observed_at"], errors="ignore"), needs)
    rows = typed(once, needs.columns).assign(entity=entities.codes).dropna(subset=["window_days"])
    rows["value"] = rows[measure] / rows["window_days"]
    total, most = len(entities.names), min(MOST_ROWS, len(entities.names))
    windows = [float(days) for days in sorted(rows.dropna(subset=["value"])["window_days"].unique())]
    short = next((one for one in windows[:-1] if one >= _WEEK), min(windows, default=0.0))  # a single day says little
    lately = rows[rows["window_days"] == short].set_index("entity")["value"].reindex(range(total))
    order = lately.sort_values(ascending=False, kind="stable").index.to_list()
    rows["entity"] = rows["entity"].map({code: row for row, code in enumerate(order)})
    made = ax is None
    ax = style.axes_for(ax, float(np.clip(2.0 + 0.28 * most, 3.0, 8)))
    if not made:
        most = min(most, style.lines_that_fit(ax, style.small(ax) + 2))
    shown = rows[rows["entity"] < most].dropna(subset=["value"])
    labels = style.labels_for([entities.names[code] for code in order[:most]], style.longest_name(ax))
    notes = []
    if len(shown):
        _draw_symbols(ax, shown, windows, short)
        ax.set_yticks(range(most), labels.texts, fontsize=style.small(ax), **labels.style)
        ax.set_ylim(most - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
        ax.xaxis.set_major_formatter(FuncFormatter(style.compact))
        ax.margins(x=0.06)
        if shown["value"].min() >= 0 < shown["value"].max():  # a difference looks as large as it is
            ax.set_xlim(left=0)
        style.set_frame(ax, "both")
        if len(windows) > 1:
            notes.append(f"{_name(short)} right of {_name(windows[-1])}: faster lately.")
        notes += [f"Order: the last {_name(short)}."] if total > 1 else []
    missing = int((rows["entity"] < most).sum()) - len(shown)
    if missing and len(shown):
        notes.append(f"{missing} window{'s' if missing != 1 else ''} without a value.")
    if most < total:
        notes.append(f"The {most} highest of {total}.")
    head, label = label_of(MEASURES[measure], each="a day")
    whose = labels.texts[0] if total == 1 else f"{total} {kind_of(df, total, 'series')}"
    empty = "" if len(shown) else "no known values" if total else "no rows"
    title = (f"{head} a day, by window, of {whose}",)
    return style.finish(ax, df, title, (label, ""), [*notes, *labels.notes], empty=empty)


def _name(days: float) -> str:
    return f"{days:g} day{'s' if days != 1 else ''}"


def _draw_symbols(ax: Axes, rows: pd.DataFrame, windows: list[float], short: float) -> None:
    """Draw a short and the longest window so that both are seen where they are equal, the others as ticks between."""
    ends = rows[rows["window_days"] >= short].groupby("entity")["value"].agg(["min", "max"])
    ax.hlines(ends.index.to_numpy(), ends["min"], ends["max"], color=style.GREY, linewidth=1.5, zorder=2)
    first, second = style.palette(ax)[1::-1]
    both: dict[str, Any] = {"linewidths": 1.6, "clip_on": False}
    single = {"marker": "x", "color": style.GREY, "s": 22, "zorder": 2.6}
    tick = {"marker": "|", "color": style.GREY, "s": 50, "zorder": 2.5}
    looks: dict[float, dict[str, Any]] = dict.fromkeys(windows, tick)
    looks[windows[-1]] = {"marker": "D", "facecolors": "none", "edgecolors": second, "s": 64, "zorder": 4}
    looks |= {one: single for one in windows[:-1] if one < short}
    looks[short] = {"marker": "o", "color": first, "s": 28, "zorder": 3, "linewidths": 0}
    drawn = {}
    for days, look in looks.items():
        part = rows[rows["window_days"] == days]
        drawn[days] = ax.scatter(part["value"], part["entity"], gid=f"{days:g}", **{**both, **look})
    singles = [one for one in windows[:-1] if one < short]
    between = [one for one in windows[:-1] if one > short]
    groups = [group for group in (singles, [short], between, windows[-1:]) if group][: len(windows)]
    names = [", ".join([*(f"{days:g}" for days in group[:-1]), _name(group[-1])]) for group in groups]
    style.add_legend(ax, [drawn[group[0]] for group in groups], style.labels_for(names), "last")
