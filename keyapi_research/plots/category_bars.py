"""A measure over the hierarchy of product categories: bars of one level, each with its level-1 category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from ..catalogue.product_categories import PRODUCT_INSIGHTS
from ..entities import check_columns, shared_window, typed
from ..errors import InvalidArgumentError
from ..model import Column
from ..settings import is_number, read_flag
from . import style
from .reading import NEEDS, in_words, label_of, rows_text

MOST_CATEGORIES: Final = 15
_LEVELS: Final = (1, 2, 3)
MEASURES: Final[Mapping[str, Column]] = MappingProxyType(
    {
        column.name: column
        for column in PRODUCT_INSIGHTS.columns
        if column.kind in ("count", "number") and column.unit != "rank"
    }
)


def draw(df: pd.DataFrame, ax: Axes | None, *, measure: str, level: int, lowest: bool) -> Axes:
    """Draw the categories that come first, as many as there is room for."""
    hierarchy = find_hierarchy(df, measure, level, lowest=lowest)
    total = len(hierarchy.rows)
    most, made = min(MOST_CATEGORIES, total), ax is None
    ax = style.axes_for(ax, float(np.clip(1.6 + 0.24 * most, 3.2, 8)))
    if not made:
        most = min(most, style.lines_that_fit(ax, style.small(ax) + 1))
    rows = hierarchy.rows.head(most)
    notes = list(hierarchy.notes)
    if most and hierarchy.below:
        notes.append(f"In brackets: of how many level-{hierarchy.deepest} categories in these rows.")
        if hierarchy.how == "median" and (rows["n"] == 1).any():
            notes.append("Hatched: of one only.")
    if most:
        notes += _draw_bars(ax, hierarchy, rows)
    head, words = label_of(hierarchy.column)
    words += f", {hierarchy.how} of its level-{hierarchy.deepest} categories" if hierarchy.below else ""
    kind = f"level-{level} categor{'ies' if total != 1 else 'y'}"
    title = f"{head} of {total} {kind}"
    if most < total:
        counted = hierarchy.how == "sum" and hierarchy.column.kind == "count"
        extreme = (("the highest", "the lowest"), ("most", "fewest"))[counted][bool(lowest)]
        title = f"The {most} of {total} {kind} with {extreme} {in_words(measure)}"
    return style.finish(ax, df, (title, hierarchy.shared), (words, ""), notes, empty="" if most else "no rows")


def _draw_bars(ax: Axes, hierarchy: Hierarchy, rows: pd.DataFrame) -> list[str]:
    """Draw the bars, with value and level-1 category at their ends; return the notes about their names."""
    size, longest = style.small(ax), style.longest_name(ax)
    labels = style.labels_for(rows["name"], longest)
    groups = style.labels_for(rows["l1"].unique(), longest)
    of = dict(zip(rows["l1"].unique(), groups.texts, strict=True))
    bars = ax.barh(range(len(rows)), rows["value"], 0.75, color=style.palette(ax)[0], zorder=2.5)
    rates = hierarchy.how == "median"
    for bar, n in zip(bars, rows["n"], strict=True):
        if hierarchy.below and rates and n == 1:
            bar.set(facecolor=style.paper(ax), edgecolor=style.palette(ax)[0], hatch="////", linewidth=1)
    percent = " %" if "percent" in hierarchy.column.unit else ""
    values = [f"{value:.2f}{percent}" if rates else style.compact(value, even=True) for value in rows["value"]]
    if hierarchy.below:
        values = [f"{value} ({n})" for value, n in zip(values, rows["n"], strict=True)]
    if hierarchy.level > 1 and not style.is_narrow(ax):
        values = [f"{value}  {of[group]}" for value, group in zip(values, rows["l1"], strict=True)]
    ax.bar_label(bars, values, padding=3, fontsize=size, color=style.ink(ax), **groups.style)
    ax.set_yticks(range(len(rows)), labels.texts, fontsize=size, **labels.style)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.xaxis.set_major_formatter(FuncFormatter(style.compact))
    ax.margins(x=float(np.clip(1.2 * size * max(map(len, values)) / style.room(ax)[0], 0.14, 0.5)))
    style.set_frame(ax, "x")
    return labels.notes


def find_hierarchy(df: pd.DataFrame, measure: str, level: int = 2, *, lowest: bool = False) -> Hierarchy:
    """Add up a measure, or find its medians, over the categories below each category of a level."""
    column = MEASURES.get(measure) if isinstance(measure, str) else None
    if column is None:
        raise InvalidArgumentError(f"measure is one of {', '.join(MEASURES)}; got {measure!r}")
    if not is_number(level, whole=True) or level not in _LEVELS:
        raise InvalidArgumentError(f"level is 1, 2 or 3; got {level!r}")
    lowest = read_flag("lowest", lowest)
    needs = NEEDS["categories"]
    check_columns(df, replace(needs, columns=(*needs.columns, measure)))
    rows = typed(df, [*needs.columns, measure, "region", "time_scope", "observed_at"]).drop_duplicates()
    _check_once(rows)
    rows, deepest, notes = _deepest_rows(rows)
    if level > deepest > 0:
        raise InvalidArgumentError(f"level is at most {deepest} here, the deepest of these rows; got {level}")
    missing = int(rows[measure].isna().sum())
    if missing:
        notes.append(f"Not counted: {rows_text(missing)} without {in_words(measure)}.")
    rows = rows.dropna(subset=[measure])
    names = [f"category_l{one}" for one in range(1, level + 1)]
    rows = rows.fillna({name: f"(no level {one})" for one, name in enumerate(names, 1)})
    how = "sum" if can_be_summed(column) else "median"
    inner = rows.groupby(names, sort=False)[measure].agg(value=how, n="size").reset_index()
    inner = inner.assign(l1=inner["category_l1"], name=inner[names[-1]])
    inner = inner.sort_values("value", ascending=lowest, kind="stable")[["l1", "name", "value", "n"]]
    return Hierarchy(inner.reset_index(drop=True), level, deepest, how, column, shared_window(rows), notes)


def can_be_summed(column: Column) -> bool:
    """Whether a measure adds up over categories: amounts do, rates and amounts per something do not."""
    return "percent" not in column.unit and " per " not in column.unit


def _check_once(rows: pd.DataFrame) -> None:
    """Refuse frames in which a category comes twice: no sum or median over them means anything."""
    again = rows["category_id"].dropna().duplicated()
    if again.any():
        windows = (name for name in ("region", "time_scope", "observed_at") if name in rows)
        several = [name for name in windows if len(rows[name].drop_duplicates()) > 1]
        cut = f", as df[df[{several[0]!r}] == {str(rows[several[0]].iloc[0])!r}]" if several else ""
        raise InvalidArgumentError(
            f"plots.categories draws one ranking: {int(again.sum())} categories come more than once in this frame "
            f"(it has several values of {', '.join(several) or 'nothing that tells them apart'}). Pass one{cut}."
        )


def _deepest_rows(rows: pd.DataFrame) -> tuple[pd.DataFrame, int, list[str]]:
    """Keep rows of one level: a level-2 row beside its level-3 rows would count twice."""
    level = 1 + rows["category_l2"].notna().astype(int) + rows["category_l3"].notna().astype(int)
    deepest = 0 if rows.empty else int(level.max())
    above = int((level < deepest).sum())
    notes = [f"Not counted: {rows_text(above)} for whole categories above level {deepest}."] if above else []
    return rows[level == deepest], deepest, notes


@dataclass(frozen=True)
class Hierarchy:
    """Categories of one level, the one to show first first: l1, name, value, n (how many rows it sums up)."""

    rows: pd.DataFrame
    level: int
    deepest: int  # the level of the rows that are drawn or summed up
    how: str
    column: Column
    shared: str
    notes: list[str]

    @property
    def below(self) -> bool:
        """Whether rows of a lower level are summed up."""
        return self.level < self.deepest
