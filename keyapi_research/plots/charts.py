"""The pictures themselves. This module imports matplotlib, so it is imported when a picture is drawn, not before.

Nothing is shown, saved or closed, and no global setting is changed: colours and sizes are said here, fonts and ink
are those of the user's style.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import product
from typing import Any, Final, cast

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import dates as mdates
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.container import BarContainer
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.patches import Rectangle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation, Text
from matplotlib.ticker import Formatter, FuncFormatter, NullFormatter
from matplotlib.transforms import Bbox

from .. import schema
from .fonts import Letters, letter, text_style
from .framing import LINE, SMALL, Key, finish, ink, is_narrow, mark, points, room, root, small_size, wrapped
from .reading import (
    AVERAGE,
    DIMENSIONS,
    MOST_CATEGORIES,
    MOST_SEGMENTS,
    OTHER,
    RATES,
    Audience,
    Floats,
    Hierarchy,
    Line,
    Name,
    Origin,
    Overlap,
    Points,
    elide,
    first_rows,
)

# Okabe and Ito's palette, told apart by all kinds of colour vision; each use adds a shape, a dash or a hatch for print
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
ON_WHITE: Final = COLOURS[:-1]  # yellow lines do not show
GREY: Final = "#999999"
LIGHT: Final = "#DDDDDD"
DASHES: Final = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
MARKERS: Final = ("o", "s", "^", "D", "v", "<", ">")
HATCHES: Final = ("", "//", "..", "xx", "\\\\", "++")
MOST_NAMED: Final = 14
MOST_PANELS: Final = 30
_WIDTH: Final = 8.0  # inches, as wide as a notebook's output
_HEIGHT: Final = 4.8


# What all pictures share ------------------------------------------------------------------------------------


def _axes(ax: Axes | None, height: float = _HEIGHT) -> Axes:
    if ax is not None:
        if is_narrow(ax):
            ax.tick_params(labelsize=small_size(ax))
        return ax
    _, made = plt.subplots(figsize=(_WIDTH, height), layout="constrained")
    return made


def _title(ax: Axes, text: str, letters: Letters | None = None) -> None:
    style = letters.style if letters else text_style(text)
    ax.set_title(text, loc="left", fontsize=SMALL if is_narrow(ax) else "medium", gid="title", **style)


def _label(ax: Axes, x: str = "", y: str = "") -> None:
    size: dict[str, Any] = {"fontsize": small_size(ax)} if is_narrow(ax) else {}
    ax.set_xlabel(x, **size, **text_style())
    ax.set_ylabel(y, **size, **text_style())


def _grid(ax: Axes, axis: Any) -> None:
    ax.set_axisbelow(True)
    ax.grid(visible=True, axis=axis, color=GREY, alpha=0.3, linewidth=0.6, linestyle="-")
    ax.spines[["top", "right"]].set_visible(False)


def _say(ax: Axes, what: str) -> None:
    ax.text(0.5, 0.85, what, transform=ax.transAxes, ha="center", va="center", **text_style())


def _halo(ax: Axes) -> withStroke:
    """Outline letters that stand on marks."""
    return withStroke(linewidth=2.5, foreground=ax.get_facecolor())


def _no_rows(ax: Axes, what: str = "no rows") -> None:
    _say(ax, what)
    ax.set_xticks([])
    ax.set_yticks([])


def _rows_that_fit(ax: Axes, size: float = SMALL) -> int:
    """Count the lines of text of a size that the height of Axes has room for, once they are laid out."""
    return int(points(ax, ax.get_window_extent().height) / (LINE * size))


def compact(value: float, _: object = None) -> str:
    """Write an amount in few characters: 15.7M."""
    if abs(value) < 1000:  # noqa: PLR2004 - thousands get a letter
        return f"{value:.3g}"
    for power, unit in ((9, "B"), (6, "M"), (3, "k")):
        if abs(value) >= 0.9995 * 10**power:
            return f"{value / 10**power:.3g}{unit}"
    return f"{value:.3g}"


def _plain_number(value: float, _: object = None) -> str:
    return f"{value:.10f}".rstrip("0").rstrip(".")


# Trend ------------------------------------------------------------------------------------------------------

_OWN_PEAK: Final = "Each series is relative to its own peak in its window: compare shapes and dates, never levels."


def draw_trend(lines: list[Line], shared: str, origin: Origin, ax: Axes | None) -> Axes:
    """Draw series over time in one Axes."""
    ax = _axes(ax)
    letters = letter([line.name for line in lines])
    colours = (*ON_WHITE, ink(ax))
    notes = list(letters.notes)
    most = _most_named(ax)
    for place, line in enumerate(lines):
        named = place < most
        _draw_line(
            ax,
            line,
            color=colours[place % len(colours)] if named else GREY,
            linestyle=DASHES[place % len(DASHES)] if named else "-",
            marker=(*MARKERS, "P")[place % (len(MARKERS) + 1)] if named else "",
            linewidth=1.6 if named else 0.7,
            zorder=2.2 if named else 2,
        )
    _finish_time(ax, lines)
    keys = []
    if not lines:
        _no_rows(ax)
    elif len(lines) == 1:
        _title(ax, ", ".join(filter(None, (letters.labels[0], shared))), letters)
    else:
        _title(ax, ", ".join(filter(None, (f"{len(lines)} series", shared))))
        notes = [_OWN_PEAK, *notes]
        keys = [Key(ax.lines[-len(lines) :][:most], Letters(letters.labels[:most], letters.style, letters.notes))]
    if len(lines) > most:
        notes.append(f"Grey: {len(lines) - most} more series.")
    return finish(ax, origin, [*notes, *_line_notes(lines)], keys)


def _most_named(ax: Axes) -> int:
    """Name as many series as a legend has room for beside the data, with title, dates and footer above and below."""
    return int(np.clip((room(ax)[1] - 126) / (LINE * SMALL), 3, MOST_NAMED))


def draw_trend_panels(lines: list[Line], shared: str, origin: Origin) -> Axes:
    """Draw one panel a series; the first one is returned."""
    shown = lines[:MOST_PANELS]
    if not shown:
        return draw_trend(lines, shared, origin, None)
    letters = letter([line.name for line in shown])
    columns = min(3, len(shown))
    rows = math.ceil(len(shown) / columns)
    size = (_WIDTH, 1.4 + 1.7 * rows)
    figure, grid = plt.subplots(
        rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    panels: list[Axes] = list(grid.flat)
    for panel in panels[len(shown) :]:
        panel.remove()
    for place, (panel, line, label) in enumerate(zip(panels, shown, letters.labels, strict=False)):
        _draw_line(panel, line, color=COLOURS[0], linestyle="-", marker=MARKERS[0], linewidth=1.4)
        _finish_time(panel, shown, small=True)
        panel.tick_params(labelsize=SMALL, labelbottom=place >= len(shown) - columns)
        panel.set_title(label, loc="left", fontsize=SMALL + 1, **letters.style)
    title = ", ".join(filter(None, (f"{len(lines)} series", shared)))
    figure.suptitle(title, x=0.01, ha="left", fontsize="medium", **text_style(title))
    figure.supylabel(_share_label(), fontsize=SMALL + 1, **text_style())
    rest = [f"{len(lines) - len(shown)} more series are not drawn."] if len(lines) > len(shown) else []
    notes = [f"Across: {_date_label()}.", *([_OWN_PEAK] if len(lines) > 1 else []), *rest, *letters.notes]
    footer = {"fontsize": SMALL, **text_style()}
    lines_of_text = " ".join([*notes, *_line_notes(shown)]), origin.text
    text = wrapped(panels[0], "\n".join(lines_of_text), 0.98 * figure.bbox.width, **footer)
    figure.supxlabel(text, x=0.01, ha="left", alpha=0.75, gid="footer", **footer)
    figure.draw_without_rendering()  # lays it out
    for panel in panels[: len(shown)] if origin.synthetic else []:
        mark(panel)
    return panels[0]


def _draw_line(ax: Axes, line: Line, **how: Any) -> None:
    known = np.isfinite(line.values)
    alone = known & ~np.append(False, known[:-1]) & ~np.append(known[1:], False)
    every = max(1, len(known) // 12 if len(known) > 40 else 1)  # noqa: PLR2004 - more marks run together
    marked = alone | (np.arange(len(known)) % every == 0)
    ax.plot(line.dates, line.values, markersize=4, markevery=np.flatnonzero(marked).tolist(), **how)


def _finish_time(ax: Axes, lines: list[Line], *, small: bool = False) -> None:
    _label(ax, *(("", "") if small else (_date_label(), _share_label())))
    ax.set_ylim(-0.03, 1.05)
    _grid(ax, "both")
    days = np.unique(np.concatenate([line.dates for line in lines])) if lines else np.array([])
    if len(days) == 1:  # else matplotlib shows two years on either side
        ax.set_xlim(days[0] - np.timedelta64(3, "D"), days[0] + np.timedelta64(3, "D"))
    elif len(days) and not any(map(_is_known, lines)):  # else it shows 1970
        ax.set_xlim(days[0], days[-1])
    if len(days) and not any(map(_is_known, lines)):
        _say(ax, "no known values")
    if len(days):
        ax.xaxis.set_major_locator(_DayLocator())
        ax.xaxis.set_major_formatter(_Days())


class _DayLocator(mdates.AutoDateLocator):
    """As many ticks as there is room for when the picture is drawn, never between days."""

    def __init__(self) -> None:
        super().__init__(tz="UTC", minticks=3)  # type: ignore[no-untyped-call]

    def get_locator(self, first: datetime, last: datetime) -> Any:
        axes = cast("Axis", self.axis).axes
        most = max(2, min(8, int(axes.get_window_extent().width / root(axes).dpi / 0.65)))
        self.maxticks = dict.fromkeys(self.maxticks, most)
        self.minticks = max(1, min(3, most, abs(last - first).days))
        return super().get_locator(first, last)  # type: ignore[no-untyped-call]


class _Days(Formatter):
    """Day and month at each tick, the year below where it is new; in UTC, whatever the user's settings say."""

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        days = [mdates.num2date(value, tz="UTC") for value in values]  # type: ignore[no-untyped-call]
        years = [None, *(day.year for day in days)]
        return [
            f"{day.day} {day:%b}" + (f"\n{day.year}" if day.year != before else "")
            for day, before in zip(days, years, strict=False)
        ]

    def __call__(self, value: float, pos: int | None = None) -> str:  # noqa: ARG002 - matplotlib's signature
        return f"{mdates.num2date(value, tz='UTC'):%Y-%m-%d}"  # type: ignore[no-untyped-call]


def _date_label() -> str:
    return f"start of the bucket ({schema.HASHTAG_TRENDS['date'].unit})"


def _share_label() -> str:
    return f"popularity ({schema.HASHTAG_TRENDS['share_of_peak'].unit}, 0 to 1)"


def _is_known(line: Line) -> bool:
    return bool(np.isfinite(line.values).any())


def _line_notes(lines: list[Line]) -> list[str]:
    known = [line for line in lines if _is_known(line)]
    without = len(lines) - len(known)
    notes = [f"{without} series without known values."] if known and without else []
    broken = any(np.isnan(line.values).any() for line in known)
    return [*notes, "A break in a line: buckets are missing."] if broken else notes


# Audience ---------------------------------------------------------------------------------------------------


def draw_audience(audience: Audience, origin: Origin, ax: Axes | None) -> Axes:
    """Draw ages as upright bars of shares, other dimensions as bars of the index with the line of the average."""
    ages = DIMENSIONS[audience.dimension] == "percent"
    notes = list(audience.notes)
    if not ages:
        ax, audience, notes = _cut_segments(audience, origin, ax)
    ax = _axes(ax)
    count = max(1, len(audience.names))
    letters = letter(audience.names)
    segments = letter([Name(segment) for segment in audience.segments])
    _name_audience(ax, audience, letters)
    if not audience.segments:
        _no_rows(ax, "no known scores" if audience.names else "no rows")
        return finish(ax, origin, [*notes, *letters.notes])
    places = np.arange(len(audience.segments))
    thick = 0.8 / count
    for number in range(len(audience.names)):
        known = np.isfinite(audience.scores[:, number])
        at = np.asarray(places[known] + (number - (count - 1) / 2) * thick, dtype=np.float64)
        _draw_bars(ax, at, audience.scores[known, number], thick, number, upright=ages)
    bars = cast("list[BarContainer]", ax.containers[-len(audience.names) :])
    if ages:
        ax.set_xticks(places, segments.labels, **segments.style)
        _grid(ax, "y")
        ax.margins(y=0.12)
    else:
        ax.set_yticks(places, segments.labels, **segments.style)
        ax.set_ylim(len(places) - 0.4, -0.6)
        ax.axvline(AVERAGE, color=ink(ax), linewidth=1.2, linestyle="--", zorder=3, gid="average")
        _grid(ax, "x")
        ax.margins(x=0.12)
    if np.isnan(audience.scores).any():
        notes.append("No bar: not in that entity's list, which is unknown, not zero.")
    keys = [Key(bars, letters)] if len(audience.names) > 1 else []
    finish(ax, origin, [*notes, *letters.notes, *segments.notes], keys)
    _write_values(ax, bars, thick, upright=ages)
    return ax


def _cut_segments(audience: Audience, origin: Origin, ax: Axes | None) -> tuple[Axes, Audience, list[str]]:
    """Keep as many segments as there is room for, those with the highest index of any entity."""
    count = max(1, len(audience.names))
    most = min(MOST_SEGMENTS, len(audience.segments))
    if ax is None:
        ax = _axes(None, float(np.clip(1.8 + 0.1 * most + 0.12 * most * count, 3.6, 10)))
    else:  # around an empty picture there is what will be around the full one
        letters = letter(audience.names)
        patches = [Rectangle((0, 0), 1, 1) for _ in audience.names]
        _name_audience(ax, audience, letters)
        finish(ax, origin, audience.notes, [Key(patches, letters)] if count > 1 else [])
        most = min(most, max(1, _rows_that_fit(ax, 10)))
    cut = len(audience.segments) > most
    notes = [*audience.notes, f"The {most} highest of {len(audience.segments)} segments."] if cut else audience.notes
    return ax, replace(audience, segments=audience.segments[:most], scores=audience.scores[:most]), list(notes)


def _name_audience(ax: Axes, audience: Audience, letters: Letters) -> None:
    _label(ax, *(_audience_labels(audience.dimension)))
    _title(ax, _audience_title(audience, letters), letters)


def _draw_bars(ax: Axes, at: Floats, values: Floats, thick: float, number: int, *, upright: bool) -> None:
    draw: Callable[..., Any] = ax.bar if upright else ax.barh
    draw(at, values, thick, color=COLOURS[number], hatch=HATCHES[number], edgecolor="white", linewidth=0.5, zorder=2.5)


def _write_values(ax: Axes, drawn: Sequence[BarContainer], thick: float, *, upright: bool) -> None:
    """Write values at the ends of bars, where each bar is thicker than its text."""
    size = SMALL - 1
    box = ax.get_window_extent()
    low, high = ax.get_xlim() if upright else ax.get_ylim()
    bar = points(ax, (box.width if upright else box.height) * thick / abs(high - low))
    written = [[_short(value) for value in np.asarray(bars.datavalues)] for bars in drawn]
    longest = max((len(text) for texts in written for text in texts), default=0)
    if bar < (0.62 * size * longest if upright else 1.05 * size):
        return
    for bars, texts in zip(drawn, written, strict=True):
        ax.bar_label(bars, texts, padding=2, fontsize=size, color=ink(ax), in_layout=False, **text_style())


def _short(value: float) -> str:
    """Write a number with three digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits before the point


def _audience_labels(dimension: str) -> tuple[str, str]:
    if DIMENSIONS[dimension] == "percent":
        return f"{dimension} band (inferred)", "share of the audience (percent)"
    return f"index (dashed line: {AVERAGE:g} = average; not a share)", ""


def _audience_title(audience: Audience, letters: Letters) -> str:
    whose = letters.labels[0] if len(audience.names) == 1 else ""
    return ", ".join(filter(None, (f"Audience by {audience.dimension}", whose, audience.shared)))


# Products ---------------------------------------------------------------------------------------------------

_DISC: Final = math.pi / 4  # area of a disc in a box of area 1
_SMALLEST: Final = 6.0  # area of the box of a mark, in square points
_AWAY: Final = (2.0, 16.0, 28.0)  # points from a mark to its name: beside it, else at the end of a line


def draw_products(found: Points, origin: Origin, ax: Axes | None, labels: int) -> Axes:
    """Draw categories as marks: ctr across, cvr up, area by impressions, colour and shape by level-1 category."""
    ax = _axes(ax, 5.4)
    groups = letter([Name(group) for group in found.groups])
    names = letter(found.names[:labels])
    column = schema.PRODUCT_INSIGHTS
    _label(ax, f"click-through rate ({column['ctr_pct'].unit})", f"conversion rate ({column['cvr_pct'].unit})")
    count = len(found.rows)
    _title(ax, ", ".join(filter(None, (f"{count:,} categor{'ies' if count != 1 else 'y'}", found.shared))))
    if found.rows.empty:
        _no_rows(ax, "no known rates" if found.notes else "no rows")
        return finish(ax, origin, found.notes)
    _grid(ax, "both")
    most = float(np.nanmax(found.rows["impressions"].to_numpy(), initial=0))
    scale = _largest(ax) / most if most > 0 else 0.0
    tiny = int((found.rows["impressions"] * scale < _SMALLEST).sum())
    small = [f"{tiny:,} row{'s' if tiny != 1 else ''} drawn at the smallest size."] if scale and tiny else []
    _draw_marks(ax, found, scale)
    ax.margins(0.08)
    handles = [
        Line2D([], [], linestyle="", marker=_shape(found, i), color=_colour(found, i), markeredgecolor="black",
               markeredgewidth=0.5, markersize=7)
        for i in range(len(found.groups))
    ]  # fmt: skip
    keys = [Key(handles, groups, "colour: level-1 category")]
    if scale:
        amounts = list(dict.fromkeys(max(1.0, _round_down(most / part)) for part in (1, 4, 20)))
        discs = [
            Line2D([], [], linestyle="", marker="o", color="none", markeredgecolor=ink(ax),
                   markersize=math.sqrt(max(amount * scale, _SMALLEST)))
            for amount in amounts
        ]  # fmt: skip
        sizes = Letters([compact(amount) for amount in amounts], text_style(), [])
        keys.append(Key(discs, sizes, f"area: {column['impressions'].unit}", discs[0].get_markersize() + 2))
    finish(ax, origin, [*found.notes, *small, *names.notes, *groups.notes], keys)
    _place_labels(ax, found, names, scale)
    return ax


def _largest(ax: Axes) -> float:
    """Area of the box of the largest mark, in square points: four thousandths of the axes."""
    box = ax.get_window_extent()
    return 0.004 * points(ax, box.width) * points(ax, box.height)


def _colour(found: Points, group: int) -> str:
    return LIGHT if found.groups[group] == OTHER else COLOURS[group]


def _shape(found: Points, group: int) -> str:
    return "o" if found.groups[group] == OTHER else MARKERS[group]


def _draw_marks(ax: Axes, found: Points, scale: float) -> None:
    rows = found.rows.sort_values("impressions", ascending=False, kind="stable")  # small ones on top
    known = rows["impressions"].notna()
    sized = rows[known]
    paths = [_mark_path(_shape(found, group)) for group in range(len(found.groups))]
    areas = np.array([_area(path) for path in paths])[sized["group"]]
    marks = ax.scatter(
        sized["ctr_pct"],
        sized["cvr_pct"],
        s=np.maximum(sized["impressions"] * scale, _SMALLEST) * _DISC / areas,
        c=[_colour(found, group) for group in sized["group"]],
        alpha=0.7,
        edgecolors="black",
        linewidths=0.5,
        zorder=2.5,
    )
    marks.set_paths([paths[group] for group in sized["group"]])
    rest = rows[~known]
    if len(rest):
        colours = [_colour(found, group) for group in rest["group"]]
        ax.scatter(rest["ctr_pct"], rest["cvr_pct"], marker="x", s=16, c=colours, zorder=2.5)


def _mark_path(shape: str) -> Path:
    marker = MarkerStyle(shape)
    return marker.get_path().transformed(marker.get_transform())


def _area(path: Path) -> float:
    """Area of a mark in its box, so that marks of all shapes say the same."""
    x, y = np.asarray(path.to_polygons()[0]).T
    return abs(float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))) / 2


def _round_down(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return max(step for step in (1, 2, 5) if step * power <= value) * power


def _place_labels(ax: Axes, found: Points, names: Letters, scale: float) -> None:
    """Name the first rows where there is room off other names and marks: beside the mark, else at the end of a line."""
    inside = ax.get_window_extent()
    middles = ax.transData.transform(found.rows[["ctr_pct", "cvr_pct"]].to_numpy())
    radii = np.sqrt(found.rows["impressions"].fillna(0).to_numpy() * scale) / 2
    reach = radii[:, None] * root(ax).dpi / 72
    marks = [Bbox(corners) for corners in np.stack([middles - reach, middles + reach], axis=1)]
    distances = _AWAY[:1] if is_narrow(ax) else _AWAY  # lines would cross in little room
    taken: list[Bbox] = []
    for place, text in enumerate(names.labels):
        label = ax.annotate(
            text,
            xy=tuple(found.rows.loc[place, ["ctr_pct", "cvr_pct"]]),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=SMALL,
            color=ink(ax),
            path_effects=[_halo(ax)],
            zorder=4,
            in_layout=False,
            gid="label",
            arrowprops={"arrowstyle": "-", "linewidth": 0.6, "color": ink(ax), "shrinkA": 0, "shrinkB": radii[place]},
            **names.style,
        )
        others = marks[:place] + marks[place + 1 :]
        free = (
            (away, box)
            for away in distances
            for box in _tries(label, radii[place] + away)
            if inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
            and not box.count_overlaps(taken) and not box.padded(1).count_overlaps(others)
        )  # fmt: skip
        first = next(free, None)  # where the label stands now
        if first is not None:
            away, box = first
            if away == _AWAY[0] and label.arrow_patch is not None:
                label.arrow_patch.set_visible(False)  # beside its mark: nothing to point at
            taken.append(box)
        else:
            label.remove()


def _tries(label: Annotation, distance: float) -> Iterable[Bbox]:
    """Move a label from place to place around its mark, right first; what it covers there."""
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)):
        away = distance * (0.75 if x and y else 1)
        _move(label, x * away, y * away)
        label.get_window_extent()  # moves the text to its place
        yield Text.get_window_extent(label).padded(1)  # without its line


def _move(label: Annotation, x: float, y: float) -> None:
    label.set_position((x, y))
    label.set_horizontalalignment("left" if x > 0 else "right" if x < 0 else "center")
    label.set_verticalalignment("bottom" if y > 0 else "top" if y < 0 else "center")


# Categories -------------------------------------------------------------------------------------------------


def draw_categories(hierarchy: Hierarchy, origin: Origin, ax: Axes | None) -> Axes:
    """Draw categories as bars under the headings of their level-1 categories, as many as there is room for."""
    column = hierarchy.column
    how = "sum" if hierarchy.summed else "median"
    unit = "" if column.unit == column.name else f" ({column.unit})"
    below = hierarchy.level < hierarchy.deepest
    words = f"{column.name}{unit}" + (f", {how} of the categories below" if below else "")
    title = ", ".join(filter(None, (f"{column.name} by category", hierarchy.shared)))
    notes = list(hierarchy.notes)
    if not hierarchy.summed:
        notes.insert(0, "Rates do not add up: medians are shown, each category counting once.")
    if hierarchy.level > 1 and len(set(hierarchy.rows["l1"])) > 1:
        notes.append(f"Level-1 categories in the order of their {'lowest' if hierarchy.lowest else 'highest'} bar.")
    if below:
        notes.append("In brackets: number of categories below.")
    rows, cut = first_rows(hierarchy, MOST_CATEGORIES)
    made = ax is None
    ax = _axes(ax, float(np.clip(1.6 + 0.2 * _lines_of(hierarchy, rows), 3.2, 10)))
    _label(ax, words)
    _title(ax, title)
    if rows.empty:
        _no_rows(ax)
        return finish(ax, origin, hierarchy.notes)
    if not made:
        finish(ax, origin, [*notes, *cut])  # around an empty picture there is what will be around the full one
        most = MOST_CATEGORIES
        while most > 1 and _lines_of(hierarchy, rows) > _rows_that_fit(ax):
            most -= 1
            rows, cut = first_rows(hierarchy, most)
    texts = _draw_hierarchy(ax, hierarchy, rows, counted=below)
    finish(ax, origin, [*notes, *cut, *texts.notes])
    _write_headings(ax, rows if hierarchy.level > 1 else rows.head(0), how)
    return ax


def _lines_of(hierarchy: Hierarchy, rows: pd.DataFrame) -> int:
    return len(rows) + (rows["l1"].nunique() if hierarchy.level > 1 else 0)


def _draw_hierarchy(ax: Axes, hierarchy: Hierarchy, rows: pd.DataFrame, *, counted: bool) -> Letters:
    """Draw the bars, with a line free above the first one of each level-1 category."""
    texts = letter([Name(elide(name)) for name in rows["name"]])
    at = _places(rows) if hierarchy.level > 1 else rows.index.to_numpy()
    bars = ax.barh(at, rows["value"], 0.75, color=COLOURS[0], zorder=2.5)
    values = [
        f"{compact(value)}  ({n})" if counted else compact(value)
        for value, n in zip(rows["value"], rows["n"], strict=True)
    ]
    ax.bar_label(bars, values, padding=3, fontsize=small_size(ax) - 1, color=ink(ax), **text_style())
    ax.set_yticks(at, texts.labels, fontsize=small_size(ax), **texts.style)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(at[-1] + 0.6, -0.6)
    ax.xaxis.set_major_formatter(FuncFormatter(compact))
    longest = 0.6 * (small_size(ax) - 1) * max(map(len, values)) + 6  # points, with the space before it
    ax.margins(x=float(np.clip(longest / points(ax, ax.get_window_extent().width), 0.14, 0.4)))
    _grid(ax, "x")
    return texts


def _places(rows: pd.DataFrame) -> npt.NDArray[np.intp]:
    """Give the lines that bars stand on numbers, those of headings left out."""
    return np.asarray(rows.index + (~rows["l1"].duplicated()).cumsum(), dtype=np.intp)


def _write_headings(ax: Axes, rows: pd.DataFrame, how: str) -> None:
    """Write the level-1 categories above their bars, from the left edge; their sums or medians where there is room."""
    heads = rows.assign(place=_places(rows) - 1).drop_duplicates("l1")
    names = letter([Name(elide(name)) for name in heads["l1"]])
    box = ax.get_window_extent()
    for name, place, total, of in zip(names.labels, heads["place"], heads["total"], heads["of"], strict=True):
        heading = ax.annotate(f"{name} ({how} of {of}: {compact(total)})", (0, place), (2, 0), va="center",
                              xycoords=("axes fraction", "data"), textcoords="offset points", fontweight="bold",
                              fontsize=small_size(ax), color=ink(ax), gid="heading", in_layout=False,
                              path_effects=[_halo(ax)], zorder=4, **names.style)  # fmt: skip
        if heading.get_window_extent().width > box.width:
            heading.set_text(name)


# Engagement -------------------------------------------------------------------------------------------------

_FEW: Final = 30  # videos whose points are all seen, before the bar of the middle half
_SAID: Final = dict(zip(RATES, ("engagement\n(all three)", "likes", "comments", "shares"), strict=True))


def draw_engagement(rates: dict[str, Floats], videos: int, origin: Origin, ax: Axes | None) -> Axes:
    """Draw each rate as a strip of points with its quartiles and its median, on a log axis."""
    ax = _axes(ax)
    _label(ax, "interactions per view (ratio, log axis)")
    _title(ax, f"Engagement of {videos:,} video{'s' if videos != 1 else ''}")
    positive = [values[values > 0] for values in rates.values()]
    if not any(len(values) for values in positive):
        _no_rows(ax, "no rows" if not videos else "no rate above zero")
        return finish(ax, origin, _left_out(rates))
    low = min(values.min() for values in positive if len(values))
    high = max(values.max() for values in positive if len(values))
    ax.set_xscale("log")
    ax.set_xlim(low / 2, high * 2)
    for place, values in enumerate(rates.values()):
        _draw_strip(ax, place, values, low / 2)
    ax.set_yticks(range(len(rates)), [_SAID[name] for name in rates], **text_style())
    ax.set_ylim(len(rates) - 0.4, -0.75)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_formatter(FuncFormatter(_plain_number))
    ax.xaxis.set_minor_formatter(NullFormatter())
    _grid(ax, "x")
    boxed = any(np.isfinite(values).sum() > 1 for values in rates.values())
    explained = ["Bar: middle half of the videos; line: median, zeros included."] if boxed else []
    finish(ax, origin, [*explained, *_left_out(rates)])
    if _rows_that_fit(ax) >= 3 * len(rates):  # two lines for each strip, and one for its text
        _write_medians(ax, rates, low / 2)
    return ax


def _draw_strip(ax: Axes, place: int, values: Floats, least: float) -> None:
    known = values[np.isfinite(values)]
    if not len(known):
        return
    colour = COLOURS[place]
    shown = known[known > 0]
    spread = place - 0.22 + 0.6 * ((np.arange(len(shown)) * 0.618034) % 1)  # even, and the same every time
    alpha = float(np.clip(150 / max(1, len(shown)), 0.1, 0.7))
    few = len(shown) <= _FEW
    ax.scatter(
        shown,
        spread,
        s=40 if few else 10,
        color=colour,
        alpha=0.9 if few else alpha,
        edgecolors="white" if few else "none",
        linewidths=0.6,
        zorder=4 if few else 1,
        rasterized=len(shown) > 2000,  # noqa: PLR2004 - a vector file of more is slow
    )
    if len(known) == 1:
        return  # a point needs no median
    first, middle, third = (max(q, least) for q in np.quantile(known, (0.25, 0.5, 0.75)))
    ax.barh(place + 0.08, third - first, 0.22, left=first, color="white", edgecolor="black", alpha=0.75, zorder=3)
    ax.vlines(middle, place - 0.26, place + 0.42, colors="black", linewidth=2, zorder=3.5)


def _write_medians(ax: Axes, rates: dict[str, Floats], least: float) -> None:
    for place, (name, values) in enumerate(rates.items()):
        ax.annotate(_median_text(values), (_median(values, least), place - 0.3), (0, 1), textcoords="offset points",
                    ha="center", va="bottom", fontsize=SMALL, color=ink(ax), gid=name, zorder=4.5, in_layout=False,
                    path_effects=[_halo(ax)], **text_style())  # fmt: skip


def _median(values: Floats, least: float) -> float:
    known = values[np.isfinite(values)]
    return max(float(np.median(known)), least) if len(known) else math.sqrt(least)


def _median_text(values: Floats) -> str:
    known = values[np.isfinite(values)]
    if len(known) == 1:
        return f"{float(known[0]):.3g}"
    return f"median {float(np.median(known)):.3g}" if len(known) else "nothing known"


def _left_out(rates: dict[str, Floats]) -> list[str]:
    """Count what a log axis cannot show, rate by rate."""
    said = []
    for name, values in rates.items():
        zero, missing = int((values == 0).sum()), int(np.isnan(values).sum())
        counts = [f"{count:,} {what}" for count, what in ((zero, "zero"), (missing, "missing")) if count]
        if counts:
            said.append(f"{name} {' and '.join(counts)}")
    return [f"No point on a log axis: {'; '.join(said)}."] if said else []


# Overlap ----------------------------------------------------------------------------------------------------


def draw_overlap(overlap: Overlap, dimension: str, origin: Origin, ax: Axes | None) -> Axes:
    """Draw similarities as a heat map, with the number of segments that both lists have."""
    count = len(overlap.names)
    ax = _axes(ax, float(np.clip(2.6 + 0.5 * count, 4, 7.8)))
    letters = letter(overlap.names)
    _label(ax)
    _title(ax, ", ".join(filter(None, (f"Likeness of audiences by {dimension}", overlap.shared))))
    if not count:
        _no_rows(ax, "no known scores" if overlap.notes else "no rows")
        return finish(ax, origin, overlap.notes)
    shown = np.where(np.eye(count, dtype=bool), np.nan, overlap.similarity)
    image = ax.imshow(
        np.ma.masked_invalid(shown), cmap=mpl.colormaps["Blues"].with_extremes(bad=(0, 0, 0, 0)), vmin=0, vmax=1
    )
    ax.patch.set(hatch="////", facecolor="white", edgecolor=LIGHT)  # shows where nothing is known
    for place in range(count):
        ax.add_patch(Rectangle((place - 0.5, place - 0.5), 1, 1, color=LIGHT))
    least = "min" if np.nanmin(shown, initial=0) < 0 else "neither"
    bar = ax.figure.colorbar(image, cax=ax.inset_axes((1.03, 0, 0.04, 1)), extend=least)  # as high as the map
    bar.set_label("cosine similarity of log(index / 100)", fontsize=small_size(ax), **text_style())
    bar.ax.tick_params(labelsize=small_size(ax))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_anchor("NW")
    rest = [
        "Hatched: no segment is in both lists, so nothing is known. "
        "A segment that only one of two lists has is unknown in the other, not zero; it counts as average (100) there.",
        *overlap.notes,
        *letters.notes,
    ]
    counted = f"Small numbers: {dimension} segments in both lists (diagonal: in its list)."
    _name_cells(ax, letters, _CELL)
    finish(ax, origin, [counted, *rest])
    size = _cell(ax)
    if size < _CELL:
        _name_cells(ax, letters, size)
        finish(ax, origin, [counted, *rest])
    if not _write_cells(ax, overlap, shown):
        finish(ax, origin, rest)
    return ax


_CELL: Final = SMALL / 0.8  # points, of a cell that is high enough for small letters
_VALUES: Final = (9.0, 8.0, 7.0, 6.0)  # points, of numbers in cells


def _cell(ax: Axes) -> float:
    """Side of a cell in points."""
    box, (low, high) = ax.get_window_extent(), ax.get_xlim()
    return points(ax, box.width / abs(high - low))


def _name_cells(ax: Axes, letters: Letters, cell: float) -> None:
    """Name rows and columns in letters no higher than a cell."""
    places = range(len(letters.labels))
    how: dict[str, Any] = {"fontsize": float(np.clip(0.8 * cell, 4, SMALL)), **letters.style}
    ax.set_xticks(places, letters.labels, rotation=40, ha="right", rotation_mode="anchor", **how)
    ax.set_yticks(places, letters.labels, **how)


def _write_cells(ax: Axes, overlap: Overlap, shown: Floats) -> bool:
    """Write numbers into cells that are wider than they are; whether they are."""
    count = len(overlap.names)
    longest = "-0.00" if np.nanmin(shown, initial=0) < 0 else "0.00"
    cell = _cell(ax)
    size = next((one for one in _VALUES if 0.62 * one * len(longest) < cell and 2.1 * one < cell), None)
    if size is None:
        return False
    how: dict[str, Any] = {"ha": "center", "va": "center", "in_layout": False}
    for row, column in product(range(count), repeat=2):
        value, common = shown[row, column], overlap.common[row, column]
        known = bool(np.isfinite(value))
        colour = "white" if known and value > 0.6 else "black"  # noqa: PLR2004 - where the blue is dark
        if known:
            ax.text(column, row - 0.12, f"{value:.2f}", color=colour, fontsize=size, gid="value", **how)
        below = 0.28 if known else 0
        ax.text(column, row + below, str(common), color=colour, fontsize=0.72 * size, gid="common", **how)
    return True
