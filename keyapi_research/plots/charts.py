"""The pictures themselves. This module imports matplotlib, so it is imported when a picture is drawn, not before.

Nothing is shown, saved or closed, and no global setting is changed: colours and sizes are said here, fonts and ink
are those of the user's style.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import product
from typing import Any, Final, cast

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib import dates as mdates
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.patches import Rectangle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.ticker import Formatter, FuncFormatter, NullFormatter
from matplotlib.transforms import Bbox

from .. import schema
from .lettering import Letters, letter, text_style
from .reading import (
    AVERAGE,
    DIMENSIONS,
    MOST_CATEGORIES,
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
_SMALL: Final = 8.0  # points
_STAMPS: Final = ("footer", "synthetic")  # gid


# What all pictures share ------------------------------------------------------------------------------------


def _axes(ax: Axes | None, height: float = _HEIGHT) -> Axes:
    if ax is not None:
        return ax
    _, made = plt.subplots(figsize=(_WIDTH, height), layout="constrained")
    return made


def _ink(ax: Axes) -> Any:
    """Colour of the user's own axis labels: what shows on this background."""
    return ax.xaxis.label.get_color()


def _root(ax: Axes) -> Figure:
    return ax.figure.canvas.figure


def _settle(ax: Axes) -> None:
    """Lay the figure out, so that sizes are known."""
    root = _root(ax)
    engine = root.get_layout_engine()
    if engine is not None:
        engine.execute(root)
    ax.get_tightbbox()  # moves the axis labels to their place


def _title(ax: Axes, text: str, letters: Letters | None = None) -> None:
    style = letters.style if letters else text_style(text)
    ax.set_title(text, loc="left", fontsize="medium", **style)


def _label(ax: Axes, x: str = "", y: str = "") -> None:
    ax.set_xlabel(x, **text_style())
    ax.set_ylabel(y, **text_style())


def _grid(ax: Axes, axis: Any) -> None:
    ax.set_axisbelow(True)
    ax.grid(visible=True, axis=axis, color=GREY, alpha=0.3, linewidth=0.6, linestyle="-")
    ax.spines[["top", "right"]].set_visible(False)


def _legend(
    ax: Axes, handles: Sequence[Any], letters: Letters, title: str = "", *, low: bool = False, room: float = 0.7
) -> Legend:
    """Put a legend beside the axes where the figure makes room for it, else inside."""
    if ax.figure.get_layout_engine() is None:
        place: dict[str, Any] = {"loc": "lower right" if low else "upper right", "framealpha": 0.8}
    else:
        corner = (1.01, 0.0 if low else 1.0)
        place = {"loc": "lower left" if low else "upper left", "bbox_to_anchor": corner, "frameon": False}
    place["alignment"] = "left"
    numbers = [str(i) for i in range(len(handles))]  # the text comes after: matplotlib drops labels like "_a"
    legend = ax.legend(
        handles, numbers, fontsize=_SMALL, title=title or None, title_fontsize=_SMALL, handleheight=room, **place
    )
    legend.set_zorder(4)
    for text, label in zip(legend.get_texts(), letters.labels, strict=True):
        text.update({"text": label, **letters.style})
    legend.get_title().update(text_style())
    return legend


def _no_rows(ax: Axes, what: str = "no rows") -> None:
    ax.text(0.5, 0.5, what, transform=ax.transAxes, ha="center", va="center", **text_style())
    ax.set_xticks([])
    ax.set_yticks([])


def _finish(ax: Axes, origin: Origin, notes: Iterable[str]) -> Axes:
    """Write notes, source and age under the axes, and mark what is made up."""
    for old in [one for one in ax.texts if one.get_gid() in _STAMPS]:  # of a picture drawn here before
        old.remove()
    _settle(ax)
    if origin.synthetic:
        _mark(ax)
    text = _footer(ax, origin, notes, ax.yaxis.label.get_window_extent().x0, ax.get_window_extent().x1)
    ax.annotate(
        text,
        xy=(0, 0),
        xycoords=(ax.yaxis.label, ax.xaxis.label),  # below the lowest label, from the leftmost one
        xytext=(0, -6),
        textcoords="offset points",
        ha="left",
        va="top",
        fontsize=_SMALL,
        color=_ink(ax),
        alpha=0.75,
        annotation_clip=False,
        gid="footer",
        **text_style(text),
    )
    return ax


def _footer(ax: Axes, origin: Origin, notes: Iterable[str], left: float, right: float) -> str:
    characters = int((right - left) / _root(ax).dpi * 72 / (_SMALL * 0.56))
    lines = [line for line in (" ".join(notes), origin.text) if line]
    return "\n".join(textwrap.fill(line, max(30, characters)) for line in lines)


def _mark(ax: Axes) -> None:
    box = ax.get_window_extent()
    angle = math.atan2(box.height, box.width)
    word = "SYNTHETIC"
    # as long as six tenths of the diagonal, a bold capital being about 0.75 em wide
    size = 0.6 * math.hypot(box.width, box.height) / (0.75 * len(word)) / _root(ax).dpi * 72
    ax.text(
        0.5,
        0.5,
        word,
        transform=ax.transAxes,
        ha="center",
        va="center",
        rotation=math.degrees(angle),
        fontsize=min(size, 60),
        fontweight="bold",
        color=_ink(ax),
        alpha=0.16,
        zorder=5,
        clip_on=True,
        in_layout=False,
        gid="synthetic",
        **text_style(),
    )


def stamp(ax: Axes, origin: Origin) -> Axes:
    """Mark Axes that somebody else drew into."""
    return _finish(ax, origin, [])


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
    colours = (*ON_WHITE, _ink(ax))
    notes = list(letters.notes)
    for place, line in enumerate(lines):
        named = place < MOST_NAMED
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
    if not lines:
        _no_rows(ax)
    elif len(lines) == 1:
        _title(ax, ", ".join(filter(None, (letters.labels[0], shared))), letters)
    else:
        _title(ax, ", ".join(filter(None, (f"{len(lines)} series", shared))))
        notes = [_OWN_PEAK, *notes]
        few = Letters(letters.labels[:MOST_NAMED], letters.style, letters.notes)
        _legend(ax, ax.lines[-len(lines) :][:MOST_NAMED], few)
    if len(lines) > MOST_NAMED:
        notes.append(f"Grey: {len(lines) - MOST_NAMED} more series.")
    return _finish(ax, origin, [*notes, *_gap_note(lines)])


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
        panel.tick_params(labelsize=_SMALL, labelbottom=place >= len(shown) - columns)
        panel.set_title(label, loc="left", fontsize=_SMALL + 1, **letters.style)
    title = ", ".join(filter(None, (f"{len(lines)} series", shared)))
    figure.suptitle(title, x=0.01, ha="left", fontsize="medium", **text_style(title))
    figure.supylabel(_share_label(), fontsize=_SMALL + 1, **text_style())
    rest = [f"{len(lines) - len(shown)} more series are not drawn."] if len(lines) > len(shown) else []
    notes = [f"Across: {_date_label()}.", *([_OWN_PEAK] if len(lines) > 1 else []), *rest, *letters.notes]
    text = _footer(panels[0], origin, [*notes, *_gap_note(shown)], 0, figure.bbox.width)
    figure.supxlabel(text, x=0.01, ha="left", fontsize=_SMALL, alpha=0.75, gid="footer", **text_style(text))
    _settle(panels[0])
    for panel in panels[: len(shown)] if origin.synthetic else []:
        _mark(panel)
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
    if len(days):
        ax.xaxis.set_major_locator(_DayLocator())
        ax.xaxis.set_major_formatter(_Days())


class _DayLocator(mdates.AutoDateLocator):
    """As many ticks as there is room for when the picture is drawn, never between days."""

    def __init__(self) -> None:
        super().__init__(tz="UTC", minticks=3)  # type: ignore[no-untyped-call]

    def get_locator(self, first: datetime, last: datetime) -> Any:
        axes = cast("Axis", self.axis).axes
        most = max(2, min(8, int(axes.get_window_extent().width / _root(axes).dpi / 0.65)))
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


def _gap_note(lines: list[Line]) -> list[str]:
    return ["A break in a line: buckets are missing."] if any(np.isnan(line.values).any() for line in lines) else []


# Audience ---------------------------------------------------------------------------------------------------


def draw_audience(audience: Audience, origin: Origin, ax: Axes | None) -> Axes:
    """Draw ages as upright bars of shares, other dimensions as bars of the index with the line of the average."""
    count = max(1, len(audience.names))
    ages = DIMENSIONS[audience.dimension] == "percent"
    bars = len(audience.segments) * count
    ax = _axes(ax, _HEIGHT if ages else float(np.clip(1.8 + 0.1 * len(audience.segments) + 0.12 * bars, 3.6, 10)))
    letters = letter(audience.names)
    segments = letter([Name(segment) for segment in audience.segments])
    places = np.arange(len(audience.segments))
    thick = 0.8 / count
    for number in range(len(audience.names)):
        known = np.isfinite(audience.scores[:, number])
        at = np.asarray(places[known] + (number - (count - 1) / 2) * thick, dtype=np.float64)
        _draw_bars(ax, at, audience.scores[known, number], thick, number, upright=ages)
    _label(ax, *(_audience_labels(audience.dimension)))
    _title(ax, _audience_title(audience, letters), letters)
    if not audience.segments:
        _no_rows(ax, "no rows")
    elif ages:
        ax.set_xticks(places, segments.labels, **segments.style)
        _grid(ax, "y")
        ax.margins(y=0.12)
    else:
        ax.set_yticks(places, segments.labels, **segments.style)
        ax.set_ylim(len(places) - 0.4, -0.6)
        ax.axvline(AVERAGE, color=_ink(ax), linewidth=1.2, linestyle="--", zorder=3, gid="average")
        _grid(ax, "x")
        ax.margins(x=0.1)
    if len(audience.names) > 1 and audience.segments:
        _legend(ax, ax.containers[-len(audience.names) :], letters)
    return _finish(ax, origin, [*audience.notes, *letters.notes, *segments.notes])


def _draw_bars(ax: Axes, at: Floats, values: Floats, thick: float, number: int, *, upright: bool) -> None:
    draw: Callable[..., Any] = ax.bar if upright else ax.barh
    bars = draw(
        at, values, thick, color=COLOURS[number], hatch=HATCHES[number], edgecolor="white", linewidth=0.5, zorder=2.5
    )
    ax.bar_label(bars, fmt="%g", padding=2, fontsize=_SMALL - 1, color=_ink(ax), **text_style())


def _audience_labels(dimension: str) -> tuple[str, str]:
    if DIMENSIONS[dimension] == "percent":
        return f"{dimension} band (inferred)", "share of the audience (percent)"
    return f"index (dashed line: {AVERAGE:g} = average; not a share)", ""


def _audience_title(audience: Audience, letters: Letters) -> str:
    whose = letters.labels[0] if len(audience.names) == 1 else ""
    return ", ".join(filter(None, (f"Audience by {audience.dimension}", whose, audience.shared)))


# Products ---------------------------------------------------------------------------------------------------

_DISC: Final = math.pi / 4  # area of a disc in a box of area 1


def draw_products(points: Points, origin: Origin, ax: Axes | None, labels: int) -> Axes:
    """Draw categories as marks: ctr across, cvr up, area by impressions, colour and shape by level-1 category."""
    ax = _axes(ax, 5.4)
    groups = letter([Name(group) for group in points.groups])
    names = letter(points.names[:labels])
    column = schema.PRODUCT_INSIGHTS
    _label(ax, f"click-through rate ({column['ctr_pct'].unit})", f"conversion rate ({column['cvr_pct'].unit})")
    count = len(points.rows)
    _title(ax, ", ".join(filter(None, (f"{count:,} categor{'ies' if count != 1 else 'y'}", points.shared))))
    if points.rows.empty:
        _no_rows(ax)
        return _finish(ax, origin, points.notes)
    _grid(ax, "both")
    most = float(np.nanmax(points.rows["impressions"].to_numpy(), initial=0))
    scale = _largest(ax) / most if most > 0 else 0.0
    _draw_marks(ax, points, scale)
    ax.margins(0.08)
    handles = [
        Line2D([], [], linestyle="", marker=_shape(points, i), color=_colour(points, i), markeredgecolor="black",
               markeredgewidth=0.5, markersize=7)
        for i in range(len(points.groups))
    ]  # fmt: skip
    if scale:
        amounts = list(dict.fromkeys(max(1.0, _round_down(most / part)) for part in (1, 4, 20)))
        discs = [
            Line2D([], [], linestyle="", marker="o", color="none", markeredgecolor=_ink(ax),
                   markersize=math.sqrt(amount * scale))
            for amount in amounts
        ]  # fmt: skip
        sizes = Letters([compact(amount) for amount in amounts], text_style(), [])
        room = math.sqrt(amounts[0] * scale) / _SMALL
        sized = _legend(ax, discs, sizes, f"area: {column['impressions'].unit}", low=True, room=room)
        _legend(ax, handles, groups, "colour: level-1 category")
        ax.add_artist(sized)
    else:
        _legend(ax, handles, groups, "colour: level-1 category")
    _finish(ax, origin, [*points.notes, *names.notes, *groups.notes])
    _place_labels(ax, points, names, scale)
    return ax


def _largest(ax: Axes) -> float:
    """Area of the largest mark, in square points: half a hundredth of the axes."""
    box = ax.get_window_extent()
    return 0.005 * box.width * box.height * (72 / _root(ax).dpi) ** 2


def _colour(points: Points, group: int) -> str:
    return LIGHT if points.groups[group] == OTHER else COLOURS[group]


def _shape(points: Points, group: int) -> str:
    return "o" if points.groups[group] == OTHER else MARKERS[group]


def _draw_marks(ax: Axes, points: Points, scale: float) -> None:
    rows = points.rows.sort_values("impressions", ascending=False, kind="stable")  # small ones on top
    known = rows["impressions"].notna()
    sized = rows[known]
    paths = [_mark_path(_shape(points, group)) for group in range(len(points.groups))]
    areas = np.array([_area(path) for path in paths])[sized["group"]]
    marks = ax.scatter(
        sized["ctr_pct"],
        sized["cvr_pct"],
        s=sized["impressions"] * scale * _DISC / areas,
        c=[_colour(points, group) for group in sized["group"]],
        alpha=0.7,
        edgecolors="black",
        linewidths=0.5,
        zorder=2.5,
    )
    marks.set_paths([paths[group] for group in sized["group"]])
    rest = rows[~known]
    if len(rest):
        colours = [_colour(points, group) for group in rest["group"]]
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


def _place_labels(ax: Axes, points: Points, names: Letters, scale: float) -> None:
    """Name the first rows where there is room: off other labels and, where that is possible, off all marks."""
    inside = ax.get_window_extent()
    middles = ax.transData.transform(points.rows[["ctr_pct", "cvr_pct"]].to_numpy())
    radii = np.sqrt(points.rows["impressions"].fillna(0).to_numpy() * scale) / 2
    reach = radii[:, None] * _root(ax).dpi / 72
    marks = [Bbox(corners) for corners in np.stack([middles - reach, middles + reach], axis=1)]
    halo = [withStroke(linewidth=2, foreground=ax.get_facecolor())]
    taken: list[Bbox] = []
    for place, text in enumerate(names.labels):
        label = ax.annotate(
            text,
            xy=tuple(points.rows.loc[place, ["ctr_pct", "cvr_pct"]]),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=_SMALL,
            color=_ink(ax),
            path_effects=halo,
            zorder=4,
            in_layout=False,
            gid="label",
            **names.style,
        )
        others = marks[:place] + marks[place + 1 :]
        free = [
            (box.count_overlaps(others), spot, box)
            for spot, box in _tries(label, radii[place] + 2)
            if inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
            and not box.count_overlaps(taken)
        ]  # fmt: skip
        if free:
            _, spot, box = min(free, key=lambda one: one[0])
            _move(label, *spot)
            taken.append(box)
        else:
            label.remove()


def _tries(label: Annotation, distance: float) -> Iterable[tuple[tuple[float, float], Bbox]]:
    """Try places around a mark, right first: where the label would be, and what it would cover."""
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)):
        away = distance * (0.75 if x and y else 1)
        _move(label, x * away, y * away)
        yield (x * away, y * away), label.get_window_extent().padded(1)


def _move(label: Annotation, x: float, y: float) -> None:
    label.set_position((x, y))
    label.set_horizontalalignment("left" if x > 0 else "right" if x < 0 else "center")
    label.set_verticalalignment("bottom" if y > 0 else "top" if y < 0 else "center")


# Categories -------------------------------------------------------------------------------------------------


def draw_categories(hierarchy: Hierarchy, origin: Origin, ax: Axes | None) -> Axes:
    """Draw categories as bars under the headings of their level-1 categories."""
    rows, cut = first_rows(hierarchy, MOST_CATEGORIES)
    heads = rows.drop_duplicates("l1") if hierarchy.level > 1 else rows.head(0)
    how = "sum" if hierarchy.summed else "median"
    ax = _axes(ax, float(np.clip(1.6 + 0.2 * (len(rows) + len(heads)), 3.2, 10)))
    column = hierarchy.column
    unit = "" if column.unit == column.name else f" ({column.unit})"
    below = hierarchy.level < hierarchy.deepest
    _label(ax, f"{column.name}{unit}" + (f", {how} of the categories below" if below else ""))
    _title(ax, ", ".join(filter(None, (f"{column.name} by category", hierarchy.shared))))
    notes = [*hierarchy.notes, *cut]
    if not hierarchy.summed:
        notes.insert(0, "Rates do not add up: medians are shown, each category counting once.")
    if rows.empty:
        _no_rows(ax)
        return _finish(ax, origin, notes)
    texts = letter([Name(name) for name in [*heads["l1"], *rows["name"]]])
    head_of = dict(zip(heads["l1"], texts.labels, strict=False))
    at: list[int] = []
    ticks: list[tuple[int, str, bool]] = []
    place = 0
    for l1, part in rows.groupby("l1", sort=False):
        if l1 in head_of:
            total, of = part["total"].iloc[0], part["of"].iloc[0]
            ticks.append((place, f"{head_of[l1]} ({how} of {of}: {compact(total)})", True))
            place += 1
        inside = range(place, place + len(part))
        ticks += [(i, texts.labels[len(heads) + row], False) for i, row in zip(inside, part.index, strict=True)]
        at += inside
        place += len(part)
    bars = ax.barh(at, rows["value"], 0.75, color=COLOURS[0], zorder=2.5)
    counts = [
        f"{compact(value)}  ({n})" if below else compact(value)
        for value, n in zip(rows["value"], rows["n"], strict=True)
    ]
    ax.bar_label(bars, counts, padding=3, fontsize=_SMALL - 1, color=_ink(ax), **text_style())
    ax.set_yticks([tick for tick, _, _ in ticks], [text for _, text, _ in ticks], fontsize=_SMALL, **texts.style)
    for label, (_, _, is_head) in zip(ax.get_yticklabels(), ticks, strict=True):
        label.set_fontweight("bold" if is_head else "normal")
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(place - 0.4, -0.6)
    ax.xaxis.set_major_formatter(FuncFormatter(compact))
    ax.margins(x=0.14)
    _grid(ax, "x")
    if len(heads) > 1:
        notes.append(f"Level-1 categories in the order of their {'lowest' if hierarchy.lowest else 'highest'} bar.")
    if below:
        notes.append("In brackets: number of categories below.")
    return _finish(ax, origin, [*notes, *texts.notes])


# Engagement -------------------------------------------------------------------------------------------------

_SAID: Final = dict(zip(RATES, ("engagement\n(all three)", "likes", "comments", "shares"), strict=True))


def draw_engagement(rates: dict[str, Floats], videos: int, origin: Origin, ax: Axes | None) -> Axes:
    """Draw each rate as a strip of points with its quartiles and its median, on a log axis."""
    ax = _axes(ax)
    _label(ax, "interactions per view (ratio, log axis)")
    _title(ax, f"Engagement of {videos:,} video{'s' if videos != 1 else ''}")
    positive = [values[values > 0] for values in rates.values()]
    if not any(len(values) for values in positive):
        _no_rows(ax, "no rows" if not videos else "no rate above zero")
        return _finish(ax, origin, _left_out(rates))
    low = min(values.min() for values in positive if len(values))
    high = max(values.max() for values in positive if len(values))
    ax.set_xscale("log")
    ax.set_xlim(low / 2, high * 2)
    for place, (name, values) in enumerate(rates.items()):
        _draw_strip(ax, place, values, low / 2)
        ax.annotate(_median_text(values), (_median(values, low / 2), place - 0.3), (0, 2), textcoords="offset points",
                    ha="center", va="bottom", fontsize=_SMALL, color=_ink(ax), gid=name, **text_style())  # fmt: skip
    ax.set_yticks(range(len(rates)), [_SAID[name] for name in rates], **text_style())
    ax.set_ylim(len(rates) - 0.4, -0.75)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_formatter(FuncFormatter(_plain_number))
    ax.xaxis.set_minor_formatter(NullFormatter())
    _grid(ax, "x")
    return _finish(ax, origin, ["Bar: middle half of the videos; line: median, zeros included.", *_left_out(rates)])


def _draw_strip(ax: Axes, place: int, values: Floats, least: float) -> None:
    known = values[np.isfinite(values)]
    if not len(known):
        return
    colour = COLOURS[place]
    shown = known[known > 0]
    spread = place - 0.22 + 0.6 * ((np.arange(len(shown)) * 0.618034) % 1)  # even, and the same every time
    alpha = float(np.clip(150 / max(1, len(shown)), 0.1, 0.7))
    ax.scatter(shown, spread, s=10, color=colour, alpha=alpha, linewidths=0, rasterized=len(shown) > 2000)  # noqa: PLR2004 - a vector file of more is slow
    first, middle, third = (max(q, least) for q in np.quantile(known, (0.25, 0.5, 0.75)))
    ax.barh(place + 0.08, third - first, 0.22, left=first, color="white", edgecolor="black", alpha=0.75, zorder=3)
    ax.vlines(middle, place - 0.26, place + 0.42, colors="black", linewidth=2, zorder=3.5)


def _median(values: Floats, least: float) -> float:
    known = values[np.isfinite(values)]
    return max(float(np.median(known)), least) if len(known) else math.sqrt(least)


def _median_text(values: Floats) -> str:
    known = values[np.isfinite(values)]
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
    ax = _axes(ax, float(np.clip(2.6 + 0.5 * count, 4, 10)))
    letters = letter(overlap.names)
    _label(ax)
    _title(ax, ", ".join(filter(None, (f"Likeness of audiences by {dimension}", overlap.shared))))
    if not count:
        _no_rows(ax)
        return _finish(ax, origin, overlap.notes)
    shown = np.where(np.eye(count, dtype=bool), np.nan, overlap.similarity)
    image = ax.imshow(
        np.ma.masked_invalid(shown), cmap=mpl.colormaps["Blues"].with_extremes(bad=(0, 0, 0, 0)), vmin=0, vmax=1
    )
    ax.patch.set(hatch="////", facecolor="white", edgecolor=LIGHT)  # shows where nothing is known
    for place in range(count):
        ax.add_patch(Rectangle((place - 0.5, place - 0.5), 1, 1, color=LIGHT))
    least = "min" if np.nanmin(shown, initial=0) < 0 else "neither"
    bar = ax.figure.colorbar(image, ax=ax, extend=least, shrink=0.8)
    bar.set_label("cosine similarity of log(index / 100)", **text_style())
    small: dict[str, Any] = {"fontsize": "small" if count <= 12 else "x-small"}  # noqa: PLR2004 - names of more run together
    ax.set_xticks(
        range(count), letters.labels, rotation=40, ha="right", rotation_mode="anchor", **small, **letters.style
    )
    ax.set_yticks(range(count), letters.labels, **small, **letters.style)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if count <= 15:  # noqa: PLR2004 - numbers of more run together
        _write_cells(ax, overlap, shown)
    notes = [
        f"Small numbers: {dimension} segments in both lists (diagonal: in its list). "
        f"Hatched: none in both, so nothing is known. "
        "A segment that only one of two lists has is unknown in the other, not zero; it counts as average (100) there."
    ]
    return _finish(ax, origin, [*notes, *overlap.notes, *letters.notes])


def _write_cells(ax: Axes, overlap: Overlap, shown: Floats) -> None:
    count = len(overlap.names)
    for row, column in product(range(count), repeat=2):
        value, common = shown[row, column], overlap.common[row, column]
        known = bool(np.isfinite(value))
        colour = "white" if known and value > 0.6 else "black"  # noqa: PLR2004 - where the blue is dark
        if known:
            ax.text(column, row - 0.1, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=9, gid="value")
        ax.text(
            column, row + (0.26 if known else 0), str(common), ha="center", va="center", color=colour, fontsize=6.5,
            gid="common",
        )  # fmt: skip
