"""Who watches: ages as shares, countries and interests as an index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ..catalogue.audiences import AGE_BANDS
from ..entities import Name, check_columns, find_entities
from ..measures import AVERAGE, DIMENSIONS, Floats, check_dimension, is_dimension, spread_scores
from . import style
from .reading import NEEDS, kind_of, plural

MOST_ENTITIES: Final = 6  # side by side
MOST_SEGMENTS: Final = 12
_AGES: Final = tuple(sorted(set(AGE_BANDS.values()), key=lambda band: (int(band[:2]), band.endswith("+"))))
_VALUE: Final = 8.0  # points, of the value of a bar
_VALUED: Final = 3  # entities whose bars are thick enough for it
_WHOLE: Final = 100  # from here on a value has no decimals


def draw(df: pd.DataFrame, ax: Axes | None, *, dimension: str | None) -> Axes:
    """Draw ages as upright bars of shares, other dimensions as bars of the index with the line of the average."""
    audience = find_audience(df, dimension, style.most_named(ax, MOST_ENTITIES))
    ages = DIMENSIONS[audience.dimension] == "percent"
    count, total, notes = max(1, len(audience.names)), len(audience.segments), list(audience.notes)
    most = total if ages else min(MOST_SEGMENTS, total)
    made = ax is None
    ax = style.axes_for(ax, 4.8 if ages else float(np.clip(1.8 + 0.1 * most + 0.12 * most * count, 3.6, 10)))
    if not ages and not made:
        most = min(most, style.lines_that_fit(ax, 10))
    if most < total:
        notes.append(f"The {most} highest of {total} {plural(audience.dimension)}.")
    longest = style.longest_name(ax)
    labels = style.labels_for(audience.names, longest)
    segments = style.labels_for(audience.segments[:most], longest)
    scores = audience.scores[:most]
    if total:
        bars = _draw_bars(ax, scores, upright=ages)
        _name_segments(ax, segments, upright=ages)
        if count > 1:
            style.add_legend(ax, bars, labels)
        for one in bars if count <= _VALUED and not style.is_narrow(ax) else ():
            values = [f"{value:,.0f}" if abs(value) >= _WHOLE else f"{value:.3g}" for value in one.datavalues]
            look = {"fontsize": _VALUE, "color": style.ink(ax), "in_layout": False, **style.text_style()}
            ax.bar_label(one, values, padding=2, **look)
        if np.isnan(scores).any():
            notes.append("No bar: not listed there, which is unknown, not zero.")
    empty = "" if total else "no known scores" if audience.names else "no rows"
    kind = kind_of(df, len(audience.names), "")
    whose = labels.texts[0] if len(audience.names) == 1 else f"{len(audience.names)} {kind}" if kind else ""
    what = f"Audience{'' if ages else ' index'}{' of ' if whose else ''}{whose} by {audience.dimension}"
    what += "" if ages else f" ({AVERAGE:g} = average)"
    words = (what, audience.shared)
    index = f"index (dashed line: {AVERAGE:g} = average; not a share)", ""
    shares = f"{audience.dimension} band (inferred)", "share of the audience (percent)"
    notes += [*labels.notes, *segments.notes]
    return style.finish(ax, df, words, shares if ages else index, notes, empty=empty)


def _draw_bars(ax: Axes, scores: Floats, *, upright: bool) -> list[Any]:
    """Draw bars side by side; those that are not listed leave no room."""
    draw: Callable[..., Any] = ax.bar if upright else ax.barh
    thick = 0.8 / scores.shape[1]
    listed = np.isfinite(scores)
    at = np.arange(len(scores))[:, None] + (listed.cumsum(axis=1) - (listed.sum(axis=1, keepdims=True) + 1) / 2) * thick
    bars = []
    for number, values in enumerate(scores.T):
        known = listed[:, number]
        colour, hatch = style.palette(ax)[number], style.HATCHES[number]
        look = {"color": colour, "hatch": hatch, "edgecolor": style.paper(ax), "linewidth": 0.5, "zorder": 2.5}
        bars.append(draw(at[known, number], values[known], thick, **look))
    return bars


def _name_segments(ax: Axes, segments: style.Labels, *, upright: bool) -> None:
    places = range(len(segments.texts))
    if upright:
        ax.set_xticks(places, segments.texts, **segments.style)
        ax.margins(y=0.12)
        style.set_frame(ax, "y")
    else:
        ax.set_yticks(places, segments.texts, **segments.style)
        ax.set_ylim(len(places) - 0.4, -0.6)
        ax.margins(x=0.12)
        ax.axvline(AVERAGE, color=style.ink(ax), linewidth=1.2, linestyle="--", zorder=3, gid="average")
        style.set_frame(ax, "x")


def find_audience(df: pd.DataFrame, dimension: str | None, most: int = MOST_ENTITIES) -> Audience:
    """Return one dimension of audiences: ages in age order, others by their highest index."""
    needs = NEEDS["audience"]
    check_columns(df, needs)
    present = df["dimension"].dropna().astype("string").unique()
    if dimension is not None:
        check_dimension(dimension, DIMENSIONS)
    chosen = dimension or next((one for one in DIMENSIONS if one in present), "age")
    rows = df[is_dimension(df, chosen)]
    others = " and ".join(one for one in present if one != chosen)
    notes = [f"No list by {chosen}, but by {others}."] if rows.empty and others else []
    if dimension is None and others:
        notes.append(f"Not drawn: lists by {others}.")
    entities = find_entities(rows, needs)
    segments, scores = spread_scores(rows, entities)
    if len(entities.names) > most:
        notes.append(f"The first {most} of {len(entities.names)} {kind_of(rows, len(entities.names), 'lists')}.")
        scores = scores[:, :most]
    listed = np.flatnonzero(~np.isnan(scores).all(axis=1)).tolist()
    if chosen == "age":
        listed.sort(key=lambda i: (_AGES.index(segments[i]) if segments[i] in _AGES else len(_AGES), segments[i]))
    else:
        listed.sort(key=lambda i: -np.nanmax(scores[i]))
    names, shown = entities.names[:most], [segments[i] for i in listed]
    return Audience(chosen, names, shown, scores[listed], entities.shared, tuple(notes))


@dataclass(frozen=True)
class Audience:
    """Scores of some entities: a row for each segment, a column for each entity; missing = not listed."""

    dimension: str
    names: list[Name]
    segments: list[str]
    scores: Floats
    shared: str
    notes: tuple[str, ...]
