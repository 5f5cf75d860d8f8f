"""A measure over the hierarchy of product categories: bars under the headings of their level-1 categories."""

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
from ..entities import check_columns, elide, shared_window, typed
from ..errors import InvalidArgumentError
from ..model import Column
from . import style
from .reading import NEEDS, rows_text

MOST_CATEGORIES: Final = 20
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
    most = MOST_CATEGORIES
    rows = first_rows(hierarchy, most)
    made = ax is None
    ax = style.axes_for(ax, float(np.clip(1.6 + 0.2 * _lines(rows), 3.2, 10)))
    while not made and most > 1 and _lines(rows) > style.lines_that_fit(ax, style.small(ax) + 1):
        most -= 1
        rows = first_rows(hierarchy, most)
    notes = list(hierarchy.notes)
    if not rows.empty:
        notes += _notes(hierarchy, rows)
        notes += _draw_bars(ax, hierarchy, rows)
    unit = "" if hierarchy.column.unit == measure else f" ({hierarchy.column.unit})"
    words = f"{measure}{unit}" + (f", {hierarchy.how} of the categories below" if hierarchy.below else "")
    title = (f"{measure} by level-{level} category", hierarchy.shared)
    style.finish(ax, df, title, (words, ""), notes, empty="no rows" if rows.empty else "")
    _write_headings(ax, hierarchy, rows)
    return ax


def _lines(rows: pd.DataFrame) -> int:
    return len(rows) + int(rows["heads"].sum())


def _notes(hierarchy: Hierarchy, rows: pd.DataFrame) -> list[str]:
    kind = "lowest" if hierarchy.lowest else "highest"
    notes = []
    if hierarchy.how == "median":
        notes.append("Rates do not add up: medians are shown, each category counting once.")
    if rows["heads"].sum() > 1:
        notes.append(f"Level-1 categories in the order of their {kind} bar.")
    if hierarchy.below:
        notes.append("In brackets: number of categories below.")
    if len(rows) < len(hierarchy.rows):
        notes.append(f"The {len(rows)} {kind} of {len(hierarchy.rows)} level-{hierarchy.level} categories.")
    return notes


def _draw_bars(ax: Axes, hierarchy: Hierarchy, rows: pd.DataFrame) -> list[str]:
    """Draw the bars; return the notes about their names."""
    size = style.small(ax)
    labels = style.labels_for(elide(name) for name in rows["name"])
    bars = ax.barh(rows["line"], rows["value"], 0.75, color=style.COLOURS[0], zorder=2.5)
    counts = [f"  ({n})" if hierarchy.below else "" for n in rows["n"]]
    values = [style.compact(value) + count for value, count in zip(rows["value"], counts, strict=True)]
    ax.bar_label(bars, values, padding=3, fontsize=size - 1, color=style.ink(ax), **style.text_style())
    ax.set_yticks(rows["line"], labels.texts, fontsize=size, **labels.style)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(rows["line"].iloc[-1] + 0.6, -0.6)
    ax.xaxis.set_major_formatter(FuncFormatter(style.compact))
    longest = 0.6 * (size - 1) * max(map(len, values)) + 6  # points, with the space before it
    ax.margins(x=float(np.clip(2 * longest / style.room(ax)[0], 0.14, 0.4)))
    style.set_frame(ax, "x")
    return labels.notes


def _write_headings(ax: Axes, hierarchy: Hierarchy, rows: pd.DataFrame) -> None:
    """Write the level-1 categories above their bars, from the left edge; their sums or medians where there is room."""
    heads = rows[rows["heads"]]
    labels = style.labels_for(elide(name) for name in heads["l1"])
    width = ax.get_window_extent().width
    for name, line, total, of in zip(labels.texts, heads["line"], heads["total"], heads["of"], strict=True):
        text = f"{name} ({hierarchy.how} of {of}: {style.compact(total)})"
        look = {"va": "center", "fontweight": "bold", **style.on_data(ax), **labels.style}
        heading = ax.annotate(
            text, (0, line - 1), (2, 0), ("axes fraction", "data"), "offset points", gid="heading", **look
        )
        if heading.get_window_extent().width > width:
            heading.set_text(name)


def find_hierarchy(df: pd.DataFrame, measure: str, level: int = 2, *, lowest: bool = False) -> Hierarchy:
    """Add up a measure, or find its medians, over the categories below each category of a level."""
    column = MEASURES.get(measure) if isinstance(measure, str) else None
    if column is None:
        raise InvalidArgumentError(f"measure is one of {', '.join(MEASURES)}; got {measure!r}")
    if level not in _LEVELS or isinstance(level, bool):
        raise InvalidArgumentError(f"level is 1, 2 or 3; got {level!r}")
    needs = NEEDS["categories"]
    check_columns(df, replace(needs, columns=(*needs.columns, measure)))
    rows = typed(df, [*needs.columns, measure, "region", "time_scope", "observed_at"]).drop_duplicates()
    _check_once(rows)
    rows, deepest, notes = _deepest_rows(rows)
    missing = int(rows[measure].isna().sum())
    if missing:
        notes.append(f"{rows_text(missing)} without {measure} left out.")
    rows = rows.dropna(subset=[measure])
    names = [f"category_l{one}" for one in range(1, level + 1)]
    rows = rows.fillna({name: f"(no level {one})" for one, name in enumerate(names, 1)})
    how = "sum" if can_be_summed(column) else "median"
    inner = rows.groupby(names, sort=False)[measure].agg(value=how, n="size").reset_index()
    outer = rows.groupby("category_l1")[measure].agg(total=how, of="size")
    inner = inner.assign(l1=inner["category_l1"], name=inner[names[-1]]).join(outer, on="l1")
    inner = inner.sort_values("value", ascending=lowest, kind="stable")[["l1", "name", "value", "n", "total", "of"]]
    below = level < deepest
    return Hierarchy(inner.reset_index(drop=True), level, below, lowest, how, column, shared_window(rows), notes)


def first_rows(hierarchy: Hierarchy, most: int) -> pd.DataFrame:
    """Return the categories that are drawn, group by group, and the line each is on, with one free for a heading."""
    rows = hierarchy.rows.head(most)
    group = pd.Series(pd.factorize(rows["l1"])[0], dtype="int64")  # the group with the first of them first
    rows = rows.iloc[group.argsort(kind="stable")].reset_index(drop=True)
    heads = ~rows["l1"].duplicated() if hierarchy.level > 1 else pd.Series(data=False, index=rows.index)
    return rows.assign(heads=heads.astype(bool), line=rows.index + heads.cumsum().astype("int64"))


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
    notes = [f"{rows_text(above)} above level {deepest} left out, so nothing counts twice."] if above else []
    return rows[level == deepest], deepest, notes


@dataclass(frozen=True)
class Hierarchy:
    """Categories of one level within level-1 ones, the one to show first first.

    Rows have l1, name, value, n (how many rows it sums up), and total and of (the same of the level-1 category).
    """

    rows: pd.DataFrame
    level: int
    below: bool  # whether it sums up rows of a lower level
    lowest: bool
    how: str
    column: Column
    shared: str
    notes: list[str]
