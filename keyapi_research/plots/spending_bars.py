"""A ledger over time: how many credits were spent in each hour, day, week or month, and on what."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib import dates as mdates
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..entities import check_columns, elide, typed
from ..errors import InvalidArgumentError
from ..model import endpoints
from ..store import UNDELIVERED
from . import style
from .lines import set_dates
from .reading import NEEDS, times

_TABLES: Final = {one.path: one.tables[0].name.replace("_", " ") for one in endpoints(yours=False) if one.tables}
KINDS: Final = ("endpoint", "client")
MOST_KINDS: Final = 6
_OTHER: Final = "other"
_STEPS: Final = ((3, "h", "hour"), (92, "D", "day"), (500, "W-SUN", "week"))  # up to so many days; then months


def draw(df: pd.DataFrame, ax: Axes | None, *, by: str) -> Axes:
    """Draw bars of credits, one on the other by what they were spent on."""
    if by not in KINDS:
        raise InvalidArgumentError(f"by is one of {', '.join(map(repr, KINDS))}; got {by!r}")
    check_columns(df, NEEDS["spending"])
    ax = style.axes_for(ax, 4.8)
    rows, notes = find_spending(df, by)
    spent = rows.groupby("kind")["credits"].sum().sort_values(ascending=False, kind="stable")
    most = min(MOST_KINDS, style.most_named(ax, MOST_KINDS))
    kinds = [str(kind) for kind in spent.index[:most]]
    rows = rows.assign(kind=rows["kind"].where(rows["kind"].isin(kinds), _OTHER))
    if len(spent) > most:
        kinds.append(_OTHER)
    step = "day"
    if kinds:
        step = _draw_bars(ax, rows, kinds, spent)
    credits_, requests = int(spent.sum()), len(rows)
    plurals = ["s" if number != 1 else "" for number in (credits_, requests)]
    title = f"{credits_:,} KeyAPI credit{plurals[0]} spent in {requests:,} request{plurals[1]}"
    title += "" if by == "endpoint" else ", by who sent them"
    empty = "" if kinds else "nothing was spent"
    return style.finish(ax, df, (title,), (f"{step} (UTC)", f"credits per {step}"), notes, empty=empty)


def find_spending(df: pd.DataFrame, by: str) -> tuple[pd.DataFrame, list[str]]:
    """Return sent_at, kind and credits of the requests that cost something, and notes on the others."""
    kind = df[by].astype("string") if by in df.columns else pd.Series(pd.NA, index=df.index, dtype="string")
    rows = typed(df, ["credits"]).assign(sent_at=times(df["sent_at"]), kind=kind.to_numpy())
    rows["kind"] = rows["kind"].replace(_TABLES).fillna(f"{by} not known").str.removeprefix("/v1/tiktok/")
    others = np.zeros(len(df), dtype=bool)
    if "imported" in df.columns:
        others = df["imported"].astype("boolean").fillna(value=False).to_numpy(dtype=bool)
    unknown = ~others & rows["credits"].isna().to_numpy()
    if "message" in df.columns:  # what was not delivered was not charged
        unknown &= ~df["message"].astype("string").str.startswith(UNDELIVERED, na=False).to_numpy(dtype=bool)
    notes = []
    if unknown.any():
        notes.append(f"Not drawn: {unknown.sum():,} without an answer (nobody knows whether they were charged).")
    if others.any():
        notes.append(f"Left out: {others.sum():,} imported, which others paid.")
    return rows[~others & (rows["credits"] > 0).to_numpy()], notes


def _draw_bars(ax: Axes, rows: pd.DataFrame, kinds: list[str], spent: pd.Series[float]) -> str:
    """Draw the bars; return how long each is."""
    sent = rows["sent_at"].dt.tz_convert(None)
    days = (sent.max() - sent.min()) / pd.Timedelta(days=1)
    frequency, step = next(((code, step) for most, code, step in _STEPS if days <= most), ("M", "month"))
    periods = sent.dt.to_period(frequency)
    sums = rows.assign(period=periods).pivot_table(
        index="period", columns="kind", values="credits", aggfunc="sum", fill_value=0
    )
    each: Any = pd.PeriodIndex(sums.index)
    number: Any = mdates.date2num
    starts, ends = number(each.start_time), number(each.end_time)
    low, handles = np.zeros(len(sums)), []
    places = starts if step == "day" else (starts + ends) / 2  # a day stands above its date
    colours = style.palette(ax)
    for place, kind in enumerate(kinds):
        face, edge, hatch = style.paper(ax), style.ink(ax), ""  # of the others: no grey looks like none of the colours
        if kind != _OTHER:
            face, edge, hatch = colours[place], style.paper(ax), style.HATCHES[place]
        look: dict[str, Any] = {"facecolor": face, "edgecolor": edge, "hatch": hatch, "linewidth": 0.6, "zorder": 2.5}
        high = sums[kind].to_numpy()
        some = high > 0
        handles.append(ax.bar(places[some], high[some], 0.9 * (ends - starts)[some], low[some], gid=kind, **look))
        low = low + high
    totals = [spent.get(kind, 0) if kind != _OTHER else spent.iloc[len(kinds) - 1 :].sum() for kind in kinds]
    words = [f"{elide(kind)}: {total:,.0f}" for kind, total in zip(kinds, totals, strict=True)]
    style.add_legend(ax, handles, style.labels_for(words, 60), "total credits")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_formatter(FuncFormatter(style.compact))
    ax.set_ylim(0, low.max() * 1.08)
    if step == "hour":
        ax.set_xlim(np.floor(starts[0]), np.ceil(ends[-1]))
        ax.xaxis.set_major_locator(mdates.AutoDateLocator(tz="UTC", minticks=2, maxticks=6))  # type: ignore[no-untyped-call]
        ax.xaxis.set_major_formatter(mdates.DateFormatter("%H:%M\n%d %b %Y", tz="UTC"))  # type: ignore[no-untyped-call]
    else:
        set_dates(ax, each.start_time[0].to_datetime64(), each.end_time[-1].to_datetime64())
        ax.set_xlim(places[0] - 0.6 * (ends - starts)[0], places[-1] + 0.6 * (ends - starts)[-1])
    style.set_frame(ax, "y")
    return step
