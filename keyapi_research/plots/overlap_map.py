"""How similar audiences are: a heat map, the most similar side by side."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from ..measures import Floats, Similarity, compare_audiences
from . import style
from .reading import NEEDS, plural

_VALUES: Final = (10.0, 9.0, 8.0, 7.0, 6.0)  # points, of numbers in cells
_READABLE: Final = 8.0  # points of the large numbers: where they are smaller, the others would only be clutter
_SMALLER: Final = 0.85  # the others, of the large ones
ENOUGH: Final = 3  # segments in both lists: from here on a similarity is shown
_HALF: Final = 0.55  # luminance of a cell: from here on numbers are black
_LUMINANCE: Final = (0.2126, 0.7152, 0.0722)  # of red, green, blue
_DIAGONAL: Final = ("#DDDDDD", "#444444")  # on a bright and on a dark background
_FEW: Final = ("#F4F4F4", "#262626")
_NONE: Final = "Hatched: none is in both."
_LITTLE: Final = "Without a similarity: fewer than 3 are in both, which says little."
_ONE: Final = "What only one of two lists has is unknown in the other, not zero; it counts as average (100)."


def draw(df: pd.DataFrame, ax: Axes | None, *, dimension: str) -> Axes:
    """Draw similarities as a heat map, with the number of segments that both lists have."""
    found = compare_audiences(df, dimension, NEEDS["overlap"])
    listed = np.flatnonzero(found.common.diagonal())
    notes = []
    if len(listed) < len(found.names):
        notes.append(f"{len(found.names) - len(listed)} without a list by {dimension}: not drawn.")
    order = listed[side_by_side(found.similarity[np.ix_(listed, listed)])]
    cells = np.ix_(order, order)
    found = Similarity([found.names[i] for i in order], found.similarity[cells], found.common[cells], found.shared)
    count = len(found.names)
    ax = style.axes_for(ax, float(np.clip(2.6 + 0.5 * count, 4, 7.8)))
    labels = style.labels_for(found.names, style.longest_name(ax))
    title = (f"Similarity of audiences by {dimension}", found.shared)
    if not count:
        return style.finish(ax, df, title, notes=notes, empty="no known scores" if notes else "no rows")
    shown = np.where(np.tri(count, k=-1, dtype=bool), found.similarity, np.nan)  # each pair once
    _draw_cells(ax, shown, found.common)
    _name_cells(ax, labels)
    common = found.common[np.tri(count, k=-1, dtype=bool)]
    said = [_LITTLE] * bool(((common > 0) & (common < ENOUGH)).any()) + [_NONE] * bool((common == 0).any())
    notes = [*said, _ONE, *notes, *labels.notes]
    style.lay_out(ax)
    size = _size_of_values(ax, shown)
    if size:
        _write_cells(ax, found, shown, size)
        whose = "both lists have (diagonal: one list)" if size >= _READABLE else "a list has"
        notes.insert(0, f"n: how many {plural(dimension)} {whose}.")
    style.finish(ax, df, title, notes=notes)
    _move_stamp(ax, count)
    return ax


def _move_stamp(ax: Axes, count: int) -> None:
    """Move the stamp to where no cell is, along the diagonal: it would change colours that are values."""
    steps = math.sqrt(0.5) / count  # of the map's side, as all lengths here: how far cells reach beyond the diagonal
    for word in [text for text in ax.texts if text.get_gid() == "synthetic" and count > 1]:
        long = 0.8 * (math.sqrt(2) - 2 * steps)
        size = style.points(ax, long * ax.get_window_extent().width) / (0.75 * len(word.get_text()))
        place = 0.5 + math.sqrt(0.5) * (steps + 0.08 * long)
        word.set(position=(place, place), rotation=-45, fontsize=min(size, word.get_fontsize()))


def side_by_side(similarity: Floats) -> list[int]:
    """Order entities so that the most similar are neighbours: average linkage, the closest ends joined."""
    similarity = np.nan_to_num(similarity)
    members = {i: [i] for i in range(len(similarity))}
    link = similarity.astype("float64")
    np.fill_diagonal(link, -np.inf)
    while len(members) > 1:
        a, b = sorted(int(i) for i in np.unravel_index(link.argmax(), link.shape))
        left, right = members[a], members.pop(b)
        turns = [(x, y) for x in (left, left[::-1]) for y in (right, right[::-1])]
        x, y = max(turns, key=lambda pair: similarity[pair[0][-1], pair[1][0]])
        link[a] = link[:, a] = (len(left) * link[a] + len(right) * link[b]) / (len(left) + len(right))
        link[b] = link[:, b] = link[a, a] = -np.inf
        members[a] = x + y
    return next(iter(members.values()), [])


def _draw_cells(ax: Axes, shown: Floats, common: npt.NDArray[np.intp]) -> None:
    image = ax.imshow(np.ma.masked_where(common < ENOUGH, shown), cmap=_colours(ax), vmin=0, vmax=1)
    dark, hatched = style.is_dark(ax), {"hatch": "////", "fill": False, "edgecolor": style.GREY}
    for row, column in np.argwhere(np.tri(len(shown), dtype=bool)).tolist():
        if row == column or common[row, column] < ENOUGH:
            grey = {"facecolor": (_DIAGONAL if row == column else _FEW)[dark], "edgecolor": style.GREY}
            look: dict[str, Any] = {**(grey if common[row, column] else hatched), "linewidth": 0.6}
            ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **look))
    below = "min" if np.nanmin(shown, initial=0) < 0 else "neither"
    bar = ax.figure.colorbar(image, cax=ax.inset_axes((1.03, 0, 0.04, 1)), extend=below)  # as high as the map
    bar.set_label("similarity (cosine)", fontsize=style.small(ax), **style.text_style())
    bar.ax.tick_params(labelsize=style.small(ax))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_anchor("NW")


def _colours(ax: Axes) -> Any:
    """Return the colours of similarities: little is nearly the background's, much stands out."""
    ends = ["#1F3F5C", "#2F6EA5", "#9AD2FF"] if style.is_dark(ax) else ["#DCEAF7", "#8FBFE0", "#08519C"]
    return LinearSegmentedColormap.from_list("similarity", ends).with_extremes(bad=(0, 0, 0, 0))


def _name_cells(ax: Axes, labels: style.Labels) -> None:
    """Name rows and columns in text no higher than a cell will be, about."""
    places = range(len(labels.texts))
    cell = 0.6 * min(style.room(ax)) / len(places)
    how: dict[str, Any] = {"fontsize": float(np.clip(0.8 * cell, 4, style.small(ax))), **labels.style}
    ax.set_xticks(places, labels.texts, rotation=40, ha="right", rotation_mode="anchor", **how)
    ax.set_yticks(places, labels.texts, **how)


def _size_of_values(ax: Axes, shown: Floats) -> float:
    """Return the size of the largest numbers that are narrower than a cell, or 0."""
    longest = "-0.00" if np.nanmin(shown, initial=0) < 0 else "0.00"
    cell = 0.85 * style.points(ax, ax.get_window_extent().width) / len(shown)  # title and footer will need some of it
    return next((size for size in _VALUES if 0.62 * size * len(longest) < cell and 2.1 * size < cell), 0)


def _write_cells(ax: Axes, found: Similarity, shown: Floats, size: float) -> None:
    how: dict[str, Any] = {"ha": "center", "va": "center", "in_layout": False}
    colours = _colours(ax)
    for row, column in np.argwhere(np.tri(len(shown), dtype=bool)).tolist():
        value, common = float(shown[row, column]), int(found.common[row, column])
        colour = style.ink(ax)
        if common >= ENOUGH and row != column:
            colour = "black" if np.dot(colours(value)[:3], _LUMINANCE) > _HALF else "white"
        known = np.isfinite(value) and common >= ENOUGH
        if known:
            place = row - 0.14 * (size >= _READABLE)
            ax.text(column, place, f"{value:.2f}", color=colour, fontsize=size, gid="value", **how)
        if common and (row == column or size >= _READABLE):
            place, look = row + 0.25 * bool(known), {"fontsize": _SMALLER * size, "gid": "common", **how}
            ax.text(column, place, f"n={common}", color=colour, **look)
