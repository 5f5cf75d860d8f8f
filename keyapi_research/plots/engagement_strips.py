"""How engagement rates of videos are distributed: a strip of points each, with quartiles and median, on a log axis."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.ticker import FuncFormatter, NullFormatter

from ..entities import check_columns, typed
from ..measures import PARTS, Floats, engagement_rates
from . import style
from .reading import NEEDS, newest

RATES: Final = ("engagement_rate", *PARTS)
_NAMES: Final = (" + ".join(PARTS.values()).replace(" + ", "\n+ ", 1), *PARTS.values())
_MIDDLE: Final = 0.08  # of a strip, from its place down
_FEW: Final = 30  # videos whose points are all seen, before the bar of the middle half
_MANY: Final = 2000  # a vector file of more points is slow


def draw(df: pd.DataFrame, ax: Axes | None) -> Axes:
    """Draw the four rates of the videos of a frame, each video once."""
    rates, videos = find_rates(df)
    ax = style.axes_for(ax, 4.8)
    shown = np.concatenate([values[values > 0] for values in rates])
    notes = _left_out(rates)
    low = shown.min() / 2 if len(shown) else 0
    if len(shown):
        ax.set_xscale("log")
        ax.set_xlim(low, shown.max() * 2)
        for place, values in enumerate(rates):
            _draw_strip(ax, place, values[np.isfinite(values)], low)
        ax.set_yticks(np.arange(len(rates)) + _MIDDLE, _NAMES, **style.text_style())
        ax.set_ylim(len(rates) - 0.4, -0.75)
        ax.tick_params(axis="y", length=0)
        ax.xaxis.set_major_formatter(FuncFormatter(_percent))
        ax.xaxis.set_minor_formatter(NullFormatter())
        style.set_frame(ax, "x")
        if any(np.isfinite(values).sum() > 1 for values in rates):
            zeros = ", zeros included" if any((values == 0).any() for values in rates) else ""
            notes.insert(0, f"Box: middle half of the videos; line: median{zeros}. Height in a strip means nothing.")
            notes.insert(1, "Medians do not add up.")
        if style.lines_that_fit(ax, 8) >= 2 * len(rates):  # a line for each strip, and one for its text
            _write_medians(ax, rates, low)
    empty = "" if len(shown) else "no rate above zero" if videos else "no rows"
    title = f"Engagement per view of {videos:,} video{'s' if videos != 1 else ''}"
    return style.finish(ax, df, (title,), ("interactions per view (percent, log axis)", ""), notes, empty=empty)


def _percent(ratio: float, _: object = None) -> str:
    return f"{f'{100 * ratio:.9f}'.rstrip('0').rstrip('.')} %"


def _draw_strip(ax: Axes, place: int, known: Floats, least: float) -> None:
    shown = known[known > 0]
    spread = place - 0.22 + 0.6 * ((np.arange(len(shown)) * 0.618034) % 1)  # even, and the same every time
    look: dict[str, Any] = {"s": 40, "alpha": 0.9, "edgecolors": style.paper(ax), "linewidths": 0.6, "zorder": 4}
    if len(shown) > _FEW:
        look = {"s": 10, "alpha": float(np.clip(250 / len(shown), 0.15, 0.8)), "edgecolors": "none", "zorder": 1}
    ax.scatter(shown, spread, color=style.palette(ax)[0], rasterized=len(shown) > _MANY, **look)
    if len(known) > 1:  # one point needs no median
        first, middle, third = (max(q, least) for q in np.quantile(known, (0.25, 0.5, 0.75)))
        veil = to_rgba(style.ink(ax), 0.25) if style.is_dark(ax) else to_rgba(style.paper(ax), 0.55)
        look = {"facecolor": veil, "edgecolor": style.ink(ax), "zorder": 3}
        ax.barh(place + _MIDDLE, third - first, 0.22, left=first, **look)
        ax.vlines(middle, place - 0.26, place + 0.42, colors=style.ink(ax), linewidth=2, zorder=3.5)


def _write_medians(ax: Axes, rates: list[Floats], least: float) -> None:
    for place, (name, values) in enumerate(zip(RATES, rates, strict=True)):
        known = values[np.isfinite(values)]
        median = float(np.median(known)) if len(known) else 0.0
        percent = f"{style.compact(100 * median, even=True)} %"
        text = f"median {percent}" if len(known) > 1 else percent if len(known) else "nothing known"
        look = {"ha": "center", "va": "bottom", **style.on_data(ax), **style.text_style()}
        ax.annotate(text, (max(median, least), place - 0.3), (0, 1), textcoords="offset points", gid=name, **look)


def _left_out(rates: list[Floats]) -> list[str]:
    """Count what a log axis cannot show, rate by rate."""
    said = []
    for name, values in zip(_NAMES, rates, strict=True):
        zero, missing = int((values == 0).sum()), int(np.isnan(values).sum())
        counts = [f"{count:,} {what}" for count, what in ((zero, "zero"), (missing, "missing")) if count]
        if counts:
            said.append(f"{name.replace(chr(10), ' ')} {' and '.join(counts)}")
    return [f"No point on a log axis: {'; '.join(said)}."] if said else []


def find_rates(df: pd.DataFrame) -> tuple[list[Floats], int]:
    """Return the rates of videos, each video once (its newest row), and how many videos there are."""
    ready = isinstance(df, pd.DataFrame) and set(RATES) <= set(df.columns)
    if not ready:
        check_columns(df, NEEDS["engagement"])
    once = newest(df, ["video_id"])
    rates = typed(once, RATES) if ready else engagement_rates(once)
    return [rates[name].to_numpy(dtype="float64") for name in RATES], len(once)
