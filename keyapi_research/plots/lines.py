"""Lines over time: one a series in one picture, or a panel each; with their gaps, bands and dates."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import dates as mdates
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from ..entities import Name
from ..errors import InvalidArgumentError
from ..measures import Floats
from . import style
from .reading import find_origin

Dates = npt.NDArray[np.datetime64]

DASHES: Final = ("-", "--", "-.", (0, (9, 2)))  # dotted are gaps
MARKERS: Final = (*style.MARKERS, "P")
MOST_NAMED: Final = 14
MOST_PANELS: Final = 60
_COLUMNS: Final = ((2, 2), (3, 3), (4, 2), (12, 3), (24, 4), (MOST_PANELS, 5))  # of panels, by how many there are
_MOST_TICKS: Final = 8
_TICK: Final = 40.0  # points, of a date with the space around it
_DAYS: Final = (1, 2, 4, 7, 14, 28)  # from one tick to the next; longer spans have months and years
_MONTHS: Final = (1, 2, 3, 6)
_LABEL: Final = 9.0  # points, of the label of all panels
_AROUND: Final = 110  # points, of the title and the footer of all panels
_FEW: Final = 40  # points of a line that all have a marker
_MONTH, _YEAR = 31, 366  # days


def draw(df: pd.DataFrame, ax: Axes | None, lines: Sequence[Line], words: Words, *, panels: bool | None) -> Axes:
    """Draw lines into one Axes, or a panel each: where asked for, or where they are more than can be named."""
    if panels and ax is not None:
        raise InvalidArgumentError("small_multiples makes a figure of its own: leave ax out")
    if lines and (ax is None and len(lines) > words.together if panels is None else panels):
        return _draw_panels(df, lines, words)
    ax = style.axes_for(ax, 4.8)
    labels = style.labels_for([line.name for line in lines], style.longest_name(ax))
    most = style.most_named(ax, MOST_NAMED)
    colours = (*style.palette(ax)[:-1], style.ink(ax))  # yellow lines do not show on white
    drawn = []
    for place, line in enumerate(lines):
        dash, marker = DASHES[place % len(DASHES)], MARKERS[place % len(MARKERS)]
        look = {"color": colours[place % len(colours)], "linestyle": dash, "marker": marker, "zorder": 2.2}
        drawn.append(_draw_line(ax, line, **(look if place < most else {"color": style.GREY, "linewidth": 0.7})))
    if lines:
        _set_axes(ax, lines, words)
    notes = [*words.before, *labels.notes]
    if len(lines) > 1:
        style.add_legend(ax, drawn[:most], style.Labels(labels.texts[:most], labels.style, []), length=3.5)
    if len(lines) > most:
        notes.append(f"Grey: {len(lines) - most} more series.")
    notes += [*_unknown(lines), *words.after]
    title = (_title(words, labels.texts, len(lines)), words.shared)
    return style.finish(ax, df, title, (words.across, words.up), notes, empty="" if lines else "no rows")


def _title(words: Words, labels: Sequence[str], count: int) -> str:
    return f"{words.what} of {labels[0] if count == 1 else f'{count} {words.things}'}"


def _draw_panels(df: pd.DataFrame, lines: Sequence[Line], words: Words) -> Axes:
    """Draw one panel a series; the first one is returned."""
    shown = lines[:MOST_PANELS]
    columns = min(next(columns for most, columns in _COLUMNS if len(shown) <= most), len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = style.new_figure(1.4 + 1.6 * rows)
    grid = figure.subplots(rows, columns, sharex=True, sharey=words.levels is not None, squeeze=False)
    panels: list[Axes] = list(grid.flat)
    for panel in panels[len(shown) :]:
        panel.remove()
    panels = panels[: len(shown)]
    labels = style.labels_for([line.name for line in shown], style.longest_name(panels[0]))
    for place, (panel, line, label) in enumerate(zip(panels, shown, labels.texts, strict=True)):
        _draw_line(panel, line, color=style.palette(panel)[0], marker=MARKERS[0])
        _set_axes(panel, [line], words, dates_of=shown)
        panel.tick_params(labelsize=style.small(panel) + 1, labelbottom=place >= len(shown) - columns)
        panel.set_title(label, loc="left", fontsize=style.small(panel) + 2, **labels.style)
    scale = "each on its own scale" if words.levels is None and len(shown) > 1 else ""
    title = ", ".join(filter(None, (_title(words, labels.texts, len(lines)), words.shared, scale)))
    look = {**style.TITLE, **style.text_style(title)}
    figure.suptitle(title, x=style.MARGIN / style.WIDTH, ha="left", gid="title", **look)
    longest = int((72 * figure.get_figheight() - _AROUND) / (0.53 * _LABEL))
    figure.supylabel(textwrap.fill(words.up, longest), fontsize=_LABEL, **style.text_style())
    notes = [f"Across: {words.across}.", *words.before, *labels.notes, *_unknown(shown), *words.after]
    if len(lines) > len(shown):
        notes.append(f"{len(lines) - len(shown)} more series are not drawn.")
    origin = find_origin(df)
    style.write_footer(panels, origin, notes)
    style.stamp_figure(panels, origin)
    return panels[0]


def _draw_line(ax: Axes, line: Line, **how: Any) -> Any:
    known = np.isfinite(line.values)
    alone = known & ~np.append(False, known[:-1]) & ~np.append(known[1:], False)
    marked = alone | (len(known) <= _FEW)
    look = {"linewidth": 1.5, "markersize": 4, "markevery": np.flatnonzero(marked).tolist(), **how}
    if not marked.any():  # nor has the legend
        look["marker"] = ""
    [drawn] = ax.plot(line.dates, line.values, gid="line", **look)
    color = drawn.get_color()
    if line.bridge is not None:
        ax.plot(*line.bridge, color=color, linestyle=(0, (1, 2)), linewidth=1.3, zorder=2.1, gid="bridge")
    if line.band is not None:
        ax.fill_between(line.dates, *line.band, color=color, alpha=0.55 if style.is_dark(ax) else 0.35, linewidth=0)
        if alone.any():  # a band has no width at a single date
            ax.vlines(line.dates[alone], *(one[alone] for one in line.band), color=color, alpha=0.5)
    return drawn


def _set_axes(ax: Axes, lines: Sequence[Line], words: Words, dates_of: Sequence[Line] = ()) -> None:
    if words.levels is not None:
        ax.set_ylim(*words.levels)
    else:
        known = np.concatenate([values[np.isfinite(values)] for values in (line.values for line in lines)])  # noqa: PD011
        if known.min(initial=0) >= 0 < known.max(initial=0):  # a change looks as large as it is
            ax.set_ylim(0, 1.06 * known.max())
        ax.yaxis.set_major_formatter(FuncFormatter(style.compact))
    style.set_frame(ax, "both")
    if not any(line.known for line in lines):
        style.write_inside(ax, "no known values")
    lines = dates_of or lines
    set_dates(ax, min(line.dates[0] for line in lines), max(line.dates[-1] for line in lines))


def set_dates(ax: Axes, first: np.datetime64, last: np.datetime64) -> None:
    """Set an axis of days, with ticks evenly apart: whole days, or firsts of months; few enough for the room."""
    span = int((last - first) / np.timedelta64(1, "D"))
    margin = np.timedelta64(max(3600, int(span * 0.03 * 86_400)) if span else 3 * 86_400, "s")
    ax.set_xlim(first - margin, last + margin)  # type: ignore[arg-type]
    most = max(2, min(_MOST_TICKS, int(style.room(ax)[0] / _TICK)))
    days = next((step for step in _DAYS if span < step * most), None)
    if days:
        start = first.astype("datetime64[D]")
        ax.set_xticks(np.arange(start, last + np.timedelta64(1, "s"), np.timedelta64(days, "D")))
    else:
        months = next((step for step in _MONTHS if span < step * most * (_MONTH - 1)), None)
        months_or_years: Any = mdates.MonthLocator if months else mdates.YearLocator
        ax.xaxis.set_major_locator(months_or_years(range(1, 13, months) if months else 1 + span // _YEAR // most))
    ax.xaxis.set_major_formatter(_Days("%d %b", tz="UTC"))  # type: ignore[no-untyped-call]


class _Days(mdates.DateFormatter):
    """Dates with the year below the first of each."""

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """Write all of them."""
        written = []
        days: Any = mdates.num2date(values, tz="UTC")  # type: ignore[no-untyped-call]
        for place, day in enumerate(days):
            changed = not place or day.year != days[place - 1].year
            written.append(f"{day:%d %b}\n{day:%Y}" if changed else f"{day:%d %b}")
        return written


def _unknown(lines: Sequence[Line]) -> list[str]:
    known = sum(line.known for line in lines)
    return [f"{len(lines) - known} series without known values."] if 0 < known < len(lines) else []


@dataclass(frozen=True)
class Line:
    """One series, with a missing value wherever no line may be drawn across; a band, and a dotted line over gaps."""

    name: Name
    dates: Dates
    values: Floats
    band: tuple[Floats, Floats] | None = None
    bridge: tuple[Dates, Floats] | None = None

    @property
    def known(self) -> bool:
        """Whether it has any value."""
        return bool(np.isfinite(self.values).any())


@dataclass(frozen=True)
class Words:
    """What a picture of lines says, and the levels it spans: None where they are those of the values, of each panel."""

    what: str
    things: str
    shared: str
    across: str
    up: str
    before: Sequence[str] = ()  # notes, before and after those about names
    after: Sequence[str] = ()
    levels: tuple[float, float] | None = None
    together: int = MOST_NAMED  # lines that one picture has, where nobody says otherwise
