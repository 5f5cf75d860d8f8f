"""Product categories by click-through and conversion rate: area by impressions, colour by level-1 category."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from ..catalogue.product_categories import PRODUCT_INSIGHTS
from ..entities import Name, check_columns, name_rows, shared_window, typed
from ..errors import InvalidArgumentError
from ..measures import Floats
from ..settings import is_number
from . import style
from .reading import NEEDS, rows_text

_RATES: Final = MappingProxyType({"click-through rate": "ctr_pct", "conversion rate": "cvr_pct"})
_SIDES: Final = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))  # of a symbol, for its name
_ACROSS: Final = ("center", "left", "right")  # by side: 0, 1, -1
_UP: Final = ("center", "bottom", "top")
MOST_GROUPS: Final = 4
OTHER: Final = "other"
_OTHER_COLOURS: Final = ("#C4C4C4", "#999999")  # on a bright and on a dark background
_AREAS: Final = MappingProxyType({"o": math.pi / 4, **dict.fromkeys("^v<>", 0.5)})  # of symbols in a box of area 1
_SMALLEST: Final = 6.0  # area of the box of a symbol, in square points
_LARGEST: Final = 0.0022  # of the room
_AWAY: Final = (2, 10, 20)  # points, of a name from its symbol
_MANY: Final = 5  # symbols: from here on the medians say something


def draw(df: pd.DataFrame, ax: Axes | None, *, labels: int) -> Axes:
    """Draw categories as symbols and name the first ones."""
    if not is_number(labels, whole=True) or labels < 0:
        raise InvalidArgumentError(f"labels is a whole number of at least 0; got {labels!r}")
    found = find_points(df, style.most_named(ax, MOST_GROUPS))
    ax = style.axes_for(ax, 5.4)
    names, groups = style.labels_for(found.names[:labels]), style.labels_for(found.groups)
    notes = list(found.notes)
    scale = 0.0
    empty = "" if not found.rows.empty else "no known rates" if notes else "no rows"
    if not empty:
        style.set_frame(ax, "both")
        ax.margins(0.08)
        most = float(np.nanmax(found.rows["impressions"].to_numpy(), initial=0))
        scale = _LARGEST * math.prod(style.room(ax)) / most if most > 0 else 0.0
        _draw_symbols(ax, found, scale)
        if len(found.rows) >= _MANY:
            dashed: dict[str, Any] = {"color": style.GREY, "linewidth": 0.9, "linestyle": "--", "zorder": 1}
            ax.axvline(found.rows["ctr_pct"].median(), **dashed)
            ax.axhline(found.rows["cvr_pct"].median(), **dashed)
            notes.append("Dashed: medians.")
        tiny = int((found.rows["impressions"] * scale < _SMALLEST).sum()) if scale else 0
        notes += [f"The smallest size: {rows_text(tiny)} with few."] if tiny else []
        notes += [f"Area: {PRODUCT_INSIGHTS['impressions'].unit}, the largest {style.compact(most)}."] if scale else []
        edge = {"markeredgewidth": 0.5, "markeredgecolor": style.ink(ax)}
        look = {"linestyle": "", "markersize": 7, "alpha": 0.7, **edge}
        handles = [Line2D([], [], marker=shape, color=colour, **look) for shape, colour in _looks(ax, found)]
        style.add_legend(ax, handles, groups, "level-1 category")
    across, up = (f"{name} ({PRODUCT_INSIGHTS[column].unit})" for name, column in _RATES.items())
    count = len(found.rows)
    title = f"{' and '.join(_RATES)} of {count:,} categor{'ies' if count != 1 else 'y'}".capitalize()
    notes += [*names.notes, *groups.notes]
    style.finish(ax, df, (title, found.shared), (across, up), notes, empty=empty)
    _place_labels(ax, found, names, scale)
    return ax


def _looks(ax: Axes, found: Points) -> list[tuple[str, str]]:
    """Return shape and colour of each group."""
    other = _OTHER_COLOURS[style.is_dark(ax)]
    looks = zip(found.groups, (*style.MARKERS, "o"), (*style.palette(ax), other), strict=False)
    return [("o", other) if group == OTHER else (shape, colour) for group, shape, colour in looks]


def _draw_symbols(ax: Axes, found: Points, scale: float) -> None:
    rows = found.rows.sort_values("impressions", ascending=False, kind="stable")  # small ones on top
    rest, rows = rows[rows["impressions"].isna()], rows.dropna(subset=["impressions"])
    looks = _looks(ax, found)
    shapes = [MarkerStyle(shape) for shape, _ in looks]
    areas = np.array([_AREAS.get(str(shape.get_marker()), 1.0) for shape in shapes])[rows["group"]]
    sizes = np.maximum(rows["impressions"] * scale, _SMALLEST) * _AREAS["o"] / areas
    colours = np.array([colour for _, colour in looks])
    look = {"alpha": 0.7, "edgecolors": style.ink(ax), "linewidths": 0.5, "zorder": 2.5}
    symbols = ax.scatter(rows["ctr_pct"], rows["cvr_pct"], s=sizes, c=colours[rows["group"]], **look)
    paths = [shape.get_path().transformed(shape.get_transform()) for shape in shapes]
    symbols.set_paths([paths[group] for group in rows["group"]])
    if len(rest):
        ax.scatter(rest["ctr_pct"], rest["cvr_pct"], marker="x", s=16, c=colours[rest["group"]], zorder=2.5)


def _place_labels(ax: Axes, found: Points, names: style.Labels, scale: float) -> None:
    """Name the first rows beside their symbols, where a name covers no other name and no symbol; a line leads to it."""
    inside = ax.get_window_extent()
    places = found.rows[["ctr_pct", "cvr_pct"]].to_numpy()
    radii = np.sqrt(found.rows["impressions"].fillna(0).to_numpy() * scale) / 2
    reach, middles = (radii * style.root(ax).dpi / 72)[:, None], ax.transData.transform(places)
    symbols = [Bbox(corners) for corners in np.stack([middles - reach, middles + reach], axis=1)]
    covered: list[Bbox] = []
    rows = found.rows.head(len(names.texts))
    outer = [rows["impressions"].fillna(0), *(sign * rows[rate] for rate in _RATES.values() for sign in (1, -1))]
    first = [int(values.to_numpy().argmax()) for values in outer if len(rows)]
    for number in dict.fromkeys([*first, *range(len(rows))]):  # what a reader looks for first gets its place first
        text = names.texts[number]
        others = [*symbols[:number], *symbols[number + 1 :], *covered]
        leader = {"arrowstyle": "-", "color": style.ink(ax), "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0}
        look = {"gid": "label", **style.on_data(ax), **names.style}
        for away, (x, y) in product(_AWAY, _SIDES):
            far = (radii[number] + away) * (0.75 if x and y else 1)
            if away > _AWAY[0] and _crosses(middles, reach, number, np.array([x, y]) * far * style.root(ax).dpi / 72):
                continue
            look["arrowprops"] = leader if away > _AWAY[0] else None
            look |= {"ha": _ACROSS[x], "va": _UP[y], "xytext": (x * far, y * far), "textcoords": "offset points"}
            label = ax.annotate(text, tuple(places[number]), **look)
            label.get_window_extent()  # moves the text to its place
            box = Text.get_window_extent(label).padded(1)
            if not box.count_overlaps(others) and all(inside.contains(*corner) for corner in (box.min, box.max)):
                covered.append(box)
                if label.arrow_patch:  # at the middle: what is at the edge may be another's, too
                    ax.plot(*places[number], ".", color=style.ink(ax), markersize=3, zorder=4)
                break
            label.remove()


def _crosses(middles: Floats, reach: Floats, number: int, step: Floats) -> bool:
    """Whether a line from the middle of a symbol crosses others, besides those that the middle is in."""
    line = np.linspace(0, 1, 12)[:, None, None] * step + middles[number]
    over = np.hypot(*(line - middles).transpose(2, 0, 1)) < reach.T
    return bool((over & ~over[0]).any())


def find_points(df: pd.DataFrame, most: int) -> Points:
    """Return the symbols; the level-1 categories with most impressions get a colour each."""
    needs = NEEDS["products"]
    check_columns(df, needs)
    rows = typed(df, [*needs.columns, "category_id", "region", "time_scope"])
    drawn = rows.dropna(subset=["ctr_pct", "cvr_pct"])
    notes = []
    if len(drawn) < len(rows):
        notes.append(f"Not drawn: {rows_text(len(rows) - len(drawn))} without one of the rates.")
    unknown = int(drawn["impressions"].isna().sum())
    if unknown:
        notes.append(f"Small cross: impressions not known ({rows_text(unknown)}).")
    totals = drawn.groupby("category_l1")["impressions"].sum().sort_values(ascending=False, kind="stable")
    groups = [str(name) for name in totals.index[:most]]
    group = drawn["category_l1"].map({name: i for i, name in enumerate(groups)}).astype("float64")
    if group.isna().any():
        groups.append(OTHER)
    numbered = drawn.assign(group=group.fillna(len(groups) - 1).astype("int64")).reset_index(drop=True)
    return Points(numbered, groups, name_rows(drawn), shared_window(drawn), notes)


@dataclass(frozen=True)
class Points:
    """Product categories as points, in the frame's order; group = place in groups."""

    rows: pd.DataFrame
    groups: list[str]
    names: list[Name]
    shared: str
    notes: list[str]
