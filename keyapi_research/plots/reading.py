"""What pictures read of a frame: the columns of each, and where its rows came from. Imports no matplotlib."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from ..entities import Needs, typed
from ..errors import InvalidArgumentError
from ..frames import ends_of
from ..measures import AUDIENCE, RATED
from ..model import OBSERVED_AT, ORIGIN, SOURCE, Column
from ..settings import SANDBOX, SANDBOX_TODAY

_RANKING: Final = "Such a frame comes from kr.fetch_product_insights(...)."
_BOTH: Final = "pd.concat([tags.keyapi.audience(), sounds.keyapi.audience()])"
_READ: Final = (
    Needs("trend", ("date", "share_of_peak"), "From hashtags, music or a list of either call df.keyapi.plot.trend()."),
    Needs("audience", AUDIENCE, "From product_details, hashtags or music call df.keyapi.plot.audience()."),
    Needs("products", ("ctr_pct", "cvr_pct", "impressions", "category_l1", "category"), _RANKING),
    Needs("categories", ("category_id", "category_l1", "category_l2", "category_l3"), _RANKING),
    replace(RATED, call="engagement"),
    Needs("overlap", AUDIENCE, f"From hashtags or music call df.keyapi.plot.overlap(), or pass {_BOTH}."),
    Needs("days", ("date", "gmv_day_est"), "Such a frame comes from kr.fetch_creator_days or kr.fetch_product_days."),
    Needs("windows", ("window_days",), "Such a frame comes from kr.fetch_creator_windows or kr.fetch_product_windows."),
    Needs("findings", ("check", "severity", "table", "column", "first", "last"), "Such a frame comes from kr.audit()."),
    Needs("spending", ("sent_at", "endpoint", "credits"), "Such a frame comes from kr.ledger()."),
)
STITCHED: Final = ("date", "value", "lower", "upper", "piece")  # what `trend` reads of a stitched series
_WORDS: Final = MappingProxyType(
    {
        "ctr_pct": "click-through rate",
        "cvr_pct": "conversion rate",
        "cpa": "cost per conversion",
        "view_6s_pct": "views of 6 seconds or more",
        "posts_change_pct": "change of posts",
        "price_avg": "average price",
        "video_gmv_window_est": "GMV through videos",
        "live_gmv_window_est": "GMV through live streams",
        "video_units_window_est": "units through videos",
        "live_units_window_est": "units through live streams",
        "video_products_window": "products in videos",
        "video_creators_window": "creators with videos",
        "live_creators_window": "creators with live streams",
    }
)
_LEFT_OUT: Final = ("day", "window", "est", "pct")  # of a column's name: the unit says it, or the words after it
_KINDS: Final = MappingProxyType(
    {
        "hashtag_name": "hashtags",
        "clip_id": "sounds",
        "category_id": "categories",
        "user_id": "creators",
        "product_id": "products",
    }
)
NEEDS: Final = MappingProxyType({one.call: replace(one, call=f"plots.{one.call}") for one in _READ})


def find_origin(df: object) -> Origin:
    """Find where rows came from and when; a merge's suffixed columns count where there are no others.

    Rows are synthetic where any column of that kind says so, suffixed or not. A ledger, findings and stitched series
    have no such columns: what they were made from is in their `attrs`.
    """
    if not isinstance(df, pd.DataFrame):
        raise InvalidArgumentError(
            f"Source and age are read from the rows of a DataFrame; got {type(df).__name__}. Pass the frame drawn."
        )
    plain, suffixed = _columns_like(df, SOURCE.name)
    sources = sorted({str(one) for column in plain or suffixed for one in column.dropna().unique()})
    synthetic = any(column.astype("string").eq(SANDBOX).any() for column in plain + suffixed)
    made_from = df.attrs.get(ORIGIN, {})
    if not plain + suffixed:
        sources = list(made_from.get(SOURCE.name, ()))
        synthetic = SANDBOX in sources
    if df.empty and not sources:
        return Origin("source: no rows", synthetic=False)
    sandbox = f"{SANDBOX} (SYNTHETIC, {_days_of_sandbox(df)})"
    named = ", ".join(sandbox if one == SANDBOX else one for one in sources)
    text = f"source{'s' if len(sources) > 1 else ''}: {named or 'not in this frame'}"
    plain, suffixed = _columns_like(df, OBSERVED_AT.name)
    sent = [df["sent_at"]] if not plain + suffixed and "sent_at" in df.columns else []
    kept = [] if plain + suffixed + sent else [pd.Series(list(made_from.get(OBSERVED_AT.name, ())), dtype="object")]
    known = [end for column in plain or suffixed or sent or kept for end in ends_of(column)]
    if not known:
        return Origin(f"{text}; observed: not in this frame", synthetic)
    first, last = f"{min(known):%Y-%m-%d}", f"{max(known):%Y-%m-%d}"
    # nobody observed a synthetic market: it has its own today, whenever it was fetched
    seen = "sent" if sent else "fetched" if sources == [SANDBOX] else "observed"
    return Origin(f"{text}, {seen} {first if first == last else f'{first} to {last}'} (UTC)", synthetic)


def last_seen(df: pd.DataFrame) -> np.datetime64 | None:
    """Return when the newest rows were observed, by the days of the sandbox if they are from there; None: not known."""
    if find_origin(df).synthetic:
        return np.datetime64(SANDBOX_TODAY)
    moments = ends_of(df[OBSERVED_AT.name]) if OBSERVED_AT.name in df.columns else []
    return max(moments).tz_convert(None).to_datetime64() if moments else None


def _days_of_sandbox(df: pd.DataFrame) -> str:
    """Say which day the sandbox has; each new observation of a store is made some days later there."""
    dates = df.get("date")
    ends = ends_of(dates) if isinstance(dates, pd.Series) else []
    later = [end for end in ends if end.date() > SANDBOX_TODAY]
    return f"its days are up to {max(later):%Y-%m-%d}" if later else f"its today is {SANDBOX_TODAY:%Y-%m-%d}"


def _columns_like(df: pd.DataFrame, name: str) -> tuple[list[pd.Series[Any]], list[pd.Series[Any]]]:
    """Return the columns of this name, and those of this name with a suffix."""
    columns = [(str(label), df.iloc[:, place]) for place, label in enumerate(df.columns)]
    return (
        [column for label, column in columns if label == name],
        [column for label, column in columns if label.startswith(f"{name}_")],
    )


def newest(df: pd.DataFrame, keys: Iterable[str]) -> pd.DataFrame:
    """Return the newest row of each key, in the frame's order; rows without any of the keys are all kept."""
    rows = typed(df, [*keys, OBSERVED_AT.name])
    named = [key for key in keys if key in rows]
    if not named:
        return df
    if OBSERVED_AT.name in rows:
        rows = rows.sort_values(OBSERVED_AT.name, kind="stable", na_position="first")
    kept = rows[~rows.duplicated(named, keep="last") | rows[named].isna().all(axis=1)]
    return df.iloc[np.sort(kept.index.to_numpy())]


def times(column: pd.Series[Any]) -> pd.Series[Any]:
    """Read moments, as text or not, with a fresh index."""
    as_text = not pd.api.types.is_datetime64_any_dtype(column)
    try:
        return pd.to_datetime(column, utc=True, format="ISO8601" if as_text else None).reset_index(drop=True)
    except (ValueError, TypeError) as error:
        raise InvalidArgumentError(f"Column {column.name} cannot be read as times: {error}") from error


def label_of(column: Column, each: str = "") -> tuple[str, str]:
    """Return what a measure is called, and the label of its axis with the unit; `each`: of a daily average."""
    words = in_words(column.name)
    unit = "" if column.unit in words.split() else column.unit.removeprefix("money, ")
    each = each or ("a day" if column.of == "of the day" else "")
    inside = ", ".join(filter(None, (unit, "" if each else column.of)))
    label = " ".join(filter(None, (words, each, f"({inside})" if inside else "")))
    head = words.replace("GMV", "sales value (GMV)")
    return head[0].upper() + head[1:], f"estimated {label}" if column.name.endswith("_est") else label


def in_words(name: str) -> str:
    """Return what the measure of a column is called."""
    parts = [part for part in name.split("_") if part not in _LEFT_OUT]
    return _WORDS.get(name) or " ".join("GMV" if part == "gmv" else part for part in parts)


def kind_of(df: pd.DataFrame, count: int, otherwise: str) -> str:
    """Return what so many series or audiences are of, where each is of another one of a kind."""
    return next((kind for key, kind in _KINDS.items() if key in df and df[key].nunique() == count), otherwise)


def plural(dimension: str) -> str:
    """Write a dimension of audiences in the plural."""
    return f"{dimension[:-1]}ies" if dimension.endswith("y") else f"{dimension}s"


def rows_text(count: int) -> str:
    """Write a number of rows."""
    return f"{count:,} row{'s' if count != 1 else ''}"


@dataclass(frozen=True)
class Origin:
    """Where the rows of a picture came from and when, and whether any of them is synthetic."""

    text: str
    synthetic: bool
