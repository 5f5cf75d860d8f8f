"""Findings of an audit over time: what concerns which days, the severest first."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib import dates as mdates
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from ..checks import SEVERITIES
from ..entities import check_columns, elide
from ..model import TABLES
from . import style
from .lines import set_dates
from .reading import NEEDS, in_words, times

MOST_ROWS: Final = 16
# by severity: colour (None: grey), marker, and points of the line
_LOOKS: Final = MappingProxyType(dict(zip(SEVERITIES, ((1, "s", 5), (0, "D", 2.5), (None, "o", 1.5)), strict=True)))
IN_WORDS: Final = MappingProxyType(
    {
        "falling_total": "a total falls",
        "window_conflict": "a part is more than the whole window",
        "frozen": "does not change",
        "uncovered_zero": "zero for a whole market",
        "revised_past": "the past was changed",
        "parameter_ignored": "a parameter was ignored",
        "impossible_count": "a part is more than the whole",
        "same_value": "all ids have one value",
        "gap": "days are missing",
    }
)
_WHAT: Final = ["severity", "check", "table", "column"]
_LONGEST: Final = 14  # characters of whose finding it is
_KINDS: Final = MappingProxyType({"user_id": "creator", "clip_id": "sound"})  # of ids that say something else
_LAST: Final = 4  # digits of an id
_NAMED: Final = 6  # lines of a row: more would have no room for names


def draw(df: pd.DataFrame, ax: Axes | None) -> Axes:
    """Draw a row for each check and column, a line for each finding."""
    check_columns(df, NEEDS["findings"])
    found = df[_WHAT].astype("string").reset_index(drop=True)
    whose = df["entity"].astype("string") if "entity" in df.columns else pd.Series("", index=df.index, dtype="string")
    found = found.assign(first=times(df["first"]), last=times(df["last"]), whose=whose.to_numpy())
    found = found.fillna({"column": "", "whose": ""})
    dated = found.dropna(subset=["first", "last"])
    dated = dated.assign(rank=dated["severity"].map({one: rank for rank, one in enumerate(SEVERITIES)}))
    dated = dated.dropna(subset=["rank"]).sort_values(["rank", *_WHAT[1:], "first"], kind="stable")
    rows = dated.drop_duplicates(_WHAT)
    most = min(MOST_ROWS, len(rows))
    made = ax is None
    ax = style.axes_for(ax, float(np.clip(2.0 + 0.42 * most, 3.0, 8)))
    if not made:
        most = min(most, max(1, style.lines_that_fit(ax, 2 * style.small(ax))))
    notes = []
    if most:
        drawn = dated.merge(rows[_WHAT].head(most).assign(row=range(most)), on=_WHAT)
        _draw_spans(ax, drawn)
        _name_rows(ax, drawn)
        set_dates(ax, drawn["first"].min().to_numpy(), drawn["last"].max().to_numpy())
        style.set_frame(ax, "x")
        if most < len(rows):
            left_out = len(dated) - len(drawn)
            notes.append(f"The {most} severest of {len(rows)} kinds of finding; {left_out} findings left out.")
    undated = len(found) - len(dated)
    if undated and len(dated):
        notes.append(f"{undated} without a day, or of another severity, left out.")
    count = len(found)
    title = f"{count:,} finding{'s' if count != 1 else ''} of an audit, by the days that they concern"
    empty = "" if most else "no finding has a day" if count else "no findings"
    style.finish(ax, df, (title,), ("day or moment of observation (UTC)", ""), notes, empty=empty)
    if most and not style.is_narrow(ax):
        _say_whose(ax, drawn)
    return ax


def _heights(drawn: pd.DataFrame) -> pd.Series[Any]:
    """Return how high each finding stands: those of a row one below the other."""
    place, of = drawn.groupby("row").cumcount(), drawn.groupby("row")["row"].transform("size")
    return drawn["row"] - 0.3 + 0.6 * (place + 0.5) / of


def _say_whose(ax: Axes, drawn: pd.DataFrame) -> None:
    """Write above lines whose rows they are about, away from the nearer edge, where it covers no other line."""
    drawn = drawn.assign(height=_heights(drawn), named=list(map(_name, drawn["whose"], drawn["table"])))
    labels = style.labels_for(drawn["named"].unique())
    written = dict(zip(drawn["named"].unique(), labels.texts, strict=True))
    look: dict[str, Any] = {"va": "bottom", "gid": "whose", **style.on_data(ax), **labels.style}
    number: Any = mdates.date2num
    places = np.column_stack([number(drawn["first"]), number(drawn["last"]), drawn["height"]])
    lines = [Bbox(ax.transData.transform([(first, y), (last, y)])).padded(4) for first, last, y in places]
    inside, few = ax.get_window_extent(), drawn.groupby("row")["row"].transform("size") <= _NAMED
    for place in np.flatnonzero(few):
        first, last, y = places[place]
        left = first + last < sum(ax.get_xlim())
        at, look["ha"] = (first, "left") if left else (last, "right")
        label = ax.annotate(written[drawn["named"].iloc[place]], (at, y), (0, 4), textcoords="offset points", **look)
        box = label.get_window_extent()
        others = [*lines[:place], *lines[place + 1 :]]
        if box.count_overlaps(others) or not all(inside.contains(*corner) for corner in (box.min, box.max)):
            label.remove()
        else:
            lines.append(box)


def _name(whose: str, table: str) -> str:
    """Return a market or an id with what it is of; of a long id the end, which tells it from others."""
    key = TABLES[table].key[0] if table in TABLES else ""
    if not (whose.isdecimal() and key.endswith("_id")):
        return f"market {whose}" if re.fullmatch("[A-Z]{2}", whose) else elide(whose, _LONGEST)
    short = f"\u2026{whose[-_LAST:]}" if len(whose) > 2 * _LAST else whose
    return f"{_KINDS.get(key, key.removesuffix('_id'))} {short}"


def _draw_spans(ax: Axes, drawn: pd.DataFrame) -> None:
    height = _heights(drawn)
    handles, words = [], []
    for severity, (colour, marker, width) in _LOOKS.items():
        part = drawn[drawn["severity"] == severity]
        if part.empty:
            continue
        look: dict[str, Any] = {"color": style.GREY if colour is None else style.palette(ax)[colour]}
        at = height[part.index]
        ax.hlines(at, part["first"], part["last"], linewidth=width, zorder=2.5, gid=severity, **look)
        for end in ("first", "last"):
            ax.scatter(part[end], at, marker=marker, s=22, edgecolors=style.paper(ax), linewidths=0.4, zorder=3, **look)
        handles.append(Line2D([], [], marker=marker, linewidth=width, markersize=5, **look))
        words.append(f"{severity} ({len(part):,})")
    style.add_legend(ax, handles, style.labels_for(words))


def _name_rows(ax: Axes, drawn: pd.DataFrame) -> None:
    longest = style.longest_name(ax) + 2
    first = drawn.drop_duplicates("row")
    columns = first["column"].where(first["column"] != "date", "").map(in_words)
    where = columns.str.cat(first["table"].str.replace("_", " "), sep=" of ").str.removeprefix(" of ")
    labels = style.labels_for(elide(one, longest) for one in where.unique())
    named = dict(zip(where.unique(), labels.texts, strict=True))
    said = [IN_WORDS.get(check, check) for check in first["check"]]
    texts = [f"{named[place]}:\n{check}" for check, place in zip(said, where, strict=True)]
    ax.set_yticks(first["row"], texts, fontsize=style.small(ax), **labels.style)
    ax.set_ylim(len(first) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
