"""Popularity over time: one line a series, or one panel a series."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import dates as mdates
from matplotlib.axes import Axes

from ..catalogue.hashtags import HASHTAG_TRENDS
from ..entities import Name, check_columns, find_entities, typed
from ..errors import InvalidArgumentError
from ..frames import columns_of
from ..measures import Floats
from . import style
from .reading import NEEDS, STITCHED, Origin, find_origin

Dates = npt.NDArray[np.datetime64]

DASHES: Final = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
MARKERS: Final = (*style.MARKERS, "P")
MOST_NAMED: Final = 14
MOST_PANELS: Final = 30
_MOST_TICKS: Final = 8
_FEW: Final = 40  # points of a line that all have a marker
_OWN_PEAK: Final = "Each series is relative to its own peak in its window: compare shapes and dates, never levels."
_PIECES: Final = "Levels of two series, or on both sides of a break in a line, cannot be compared."
_BAND: Final = "Stitched. Band: all values that fit the windows and their rounding, often narrower than the line."
_DATE: Final = f"start of the bucket ({HASHTAG_TRENDS['date'].unit})"
_SHARE: Final = f"popularity ({HASHTAG_TRENDS['share_of_peak'].unit}, 0 to 1)"
_OF_HIGHEST: Final = "popularity (share of highest, 0 to 1)"


def draw(df: pd.DataFrame, ax: Axes | None, *, small_multiples: bool) -> Axes:
    """Draw the series of a frame."""
    lines, shared = find_lines(df)
    stitched = is_stitched(df)
    if small_multiples and ax is not None:
        raise InvalidArgumentError("small_multiples makes a figure of its own: leave ax out")
    if small_multiples and lines:
        return _draw_panels(lines, shared, find_origin(df), stitched=stitched)
    ax = style.axes_for(ax, 4.8)
    labels = style.labels_for([line.name for line in lines])
    most = style.most_named(ax, MOST_NAMED)
    colours = (*style.COLOURS[:-1], style.ink(ax))  # yellow lines do not show
    for place, line in enumerate(lines):
        if place < most:
            dash, marker = DASHES[place % len(DASHES)], MARKERS[place % len(MARKERS)]
            _draw_line(ax, line, color=colours[place % len(colours)], linestyle=dash, marker=marker, zorder=2.2)
        else:
            _draw_line(ax, line, color=style.GREY, linewidth=0.7)
    if lines:
        _set_dates(ax, lines)
    notes = [*_level_notes(lines, stitched=stitched), *labels.notes]
    if len(lines) > 1:
        named = style.Labels(labels.texts[:most], labels.style, [])
        style.add_legend(ax, ax.lines[-len(lines) :][:most], named)
    if len(lines) > most:
        notes.append(f"Grey: {len(lines) - most} more series.")
    notes += _line_notes(lines, stitched=stitched)
    title = (_title(labels.texts, len(lines)), shared)
    names = (_DATE, _OF_HIGHEST if stitched else _SHARE)
    return style.finish(ax, df, title, names, notes, empty="" if lines else "no rows")


def _title(labels: Sequence[str], count: int) -> str:
    return f"Popularity of {labels[0] if count == 1 else f'{count} series'}"


def _level_notes(lines: list[Line], *, stitched: bool) -> list[str]:
    several = len(lines) > 1
    if stitched:
        return [_BAND, *([_PIECES] if several or any(np.isnan(line.values).any() for line in lines) else [])]
    return [_OWN_PEAK] if several else []


def _draw_panels(lines: list[Line], shared: str, origin: Origin, *, stitched: bool) -> Axes:
    """Draw one panel a series; the first one is returned."""
    shown = lines[:MOST_PANELS]
    labels = style.labels_for([line.name for line in shown])
    columns = min(3, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = plt.figure(figsize=(style.WIDTH, 1.4 + 1.7 * rows), dpi=style.DPI, layout="constrained")
    panels: list[Axes] = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for panel in panels[len(shown) :]:
        panel.remove()
    panels = panels[: len(shown)]
    for place, (panel, line, label) in enumerate(zip(panels, shown, labels.texts, strict=True)):
        _draw_line(panel, line, color=style.COLOURS[0], marker=MARKERS[0])
        _set_dates(panel, shown)
        panel.tick_params(labelsize=8, labelbottom=place >= len(shown) - columns)
        panel.set_title(label, loc="left", fontsize=9, **labels.style)
    title = ", ".join(filter(None, (_title(labels.texts, len(lines)), shared)))
    heading = figure.suptitle(title, x=0.01, ha="left", fontsize="medium", **style.text_style(title))
    figure.supylabel(_OF_HIGHEST if stitched else _SHARE, fontsize=9, **style.text_style())
    rest = [f"{len(lines) - len(shown)} more series are not drawn."] if len(lines) > len(shown) else []
    notes = [f"Across: {_DATE}.", *_level_notes(lines, stitched=stitched), *rest, *labels.notes]
    notes += _line_notes(shown, stitched=stitched)
    style.write_footer(panels[0], origin, notes, [heading], whole=True)
    style.stamp(panels, origin)
    return panels[0]


def _draw_line(ax: Axes, line: Line, **how: Any) -> None:
    known = np.isfinite(line.values)
    alone = known & ~np.append(False, known[:-1]) & ~np.append(known[1:], False)
    every = max(1, len(known) // 12) if len(known) > _FEW else 1
    marked = np.flatnonzero(alone | (np.arange(len(known)) % every == 0))
    ax.plot(line.dates, line.values, **{"linewidth": 1.5, "markersize": 4, "markevery": marked.tolist(), **how})
    if line.band is not None:
        color = ax.lines[-1].get_color()
        ax.fill_between(line.dates, *line.band, color=color, alpha=0.25, linewidth=0)
        if alone.any():  # a band has no width at a single date
            ax.vlines(line.dates[alone], *(one[alone] for one in line.band), color=color, alpha=0.5)


def _set_dates(ax: Axes, lines: list[Line]) -> None:
    ax.set_ylim(-0.03, 1.05)
    style.set_frame(ax, "both")
    first, last = min(line.dates[0] for line in lines), max(line.dates[-1] for line in lines)
    span = int((last - first) / np.timedelta64(1, "D"))
    if not any(map(_is_known, lines)):
        style.write_inside(ax, "no known values")
        ax.set_xlim(first, last)
    if span == 0:  # else matplotlib shows two years on either side
        ax.set_xlim(first - np.timedelta64(3, "D"), last + np.timedelta64(3, "D"))
    most = max(2, min(_MOST_TICKS, int(style.room(ax)[0] / 55)))
    if span < 2 * most:  # else matplotlib shows hours
        days = mdates.DayLocator(interval=1 + span // most, tz="UTC")  # type: ignore[no-untyped-call]
        ax.xaxis.set_major_locator(days)
    else:
        ticks = mdates.AutoDateLocator(tz="UTC", minticks=2, maxticks=most)  # type: ignore[no-untyped-call]
        ax.xaxis.set_major_locator(ticks)
    written = mdates.DateFormatter("%d %b\n%Y", tz="UTC")  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_formatter(written)


def _is_known(line: Line) -> bool:
    return bool(np.isfinite(line.values).any())


def _line_notes(lines: list[Line], *, stitched: bool) -> list[str]:
    known = [line for line in lines if _is_known(line)]
    notes = [f"{len(lines) - len(known)} series without known values."] if 0 < len(known) < len(lines) else []
    broken = not stitched and any(np.isnan(line.values).any() for line in known)
    return [*notes, "A break in a line: buckets are missing."] if broken else notes


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


@dataclass(frozen=True)
class Line:
    """One series, with a missing value wherever a bucket is missing, so that no line is drawn across the gap.

    A stitched one has a band, and a missing value between two pieces.
    """

    name: Name
    dates: Dates
    values: Floats
    band: tuple[Floats, Floats] | None = None
