"""What pictures read of a frame: the columns of each, and where its rows came from. Imports no matplotlib."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import pandas as pd

from ..entities import Needs
from ..errors import InvalidArgumentError
from ..measures import AUDIENCE, RATED
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
)
STITCHED: Final = ("date", "value", "lower", "upper", "piece")  # what `trend` reads of a stitched series
NEEDS: Final = MappingProxyType({one.call: replace(one, call=f"plots.{one.call}") for one in _READ})


def find_origin(df: object) -> Origin:
    """Find where rows came from and when; a merge's suffixed columns count where there are no others.

    Rows are synthetic where any column of that kind says so, suffixed or not.
    """
    if not isinstance(df, pd.DataFrame):
        raise InvalidArgumentError(
            f"Source and age are read from the rows of a DataFrame; got {type(df).__name__}. Pass the frame drawn."
        )
    if df.empty:
        return Origin("source: no rows", synthetic=False)
    plain, suffixed = _columns_like(df, "source")
    sources = sorted({str(one) for column in plain or suffixed for one in column.dropna().unique()})
    synthetic = any(column.astype("string").eq(SANDBOX).any() for column in plain + suffixed)
    sandbox = f"{SANDBOX} (SYNTHETIC, its today is {SANDBOX_TODAY:%Y-%m-%d})"
    named = ", ".join(sandbox if one == SANDBOX else one for one in sources)
    text = f"source{'s' if len(sources) > 1 else ''}: {named or 'not in this frame'}"
    plain, suffixed = _columns_like(df, "observed_at")
    times = [pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601") for column in plain or suffixed]
    known = [end for column in times for end in (column.min(), column.max()) if not pd.isna(end)]
    if not known:
        return Origin(f"{text}; observed: not in this frame", synthetic)
    first, last = f"{min(known):%Y-%m-%d}", f"{max(known):%Y-%m-%d}"
    # nobody observed a synthetic market: it has its own today, whenever it was fetched
    seen = "fetched" if sources == [SANDBOX] else "observed"
    return Origin(f"{text}, {seen} {first if first == last else f'{first} to {last}'} (UTC)", synthetic)


def _columns_like(df: pd.DataFrame, name: str) -> tuple[list[pd.Series[Any]], list[pd.Series[Any]]]:
    """Return the columns of this name, and those of this name with a suffix."""
    columns = [(str(label), df.iloc[:, place]) for place, label in enumerate(df.columns)]
    return (
        [column for label, column in columns if label == name],
        [column for label, column in columns if label.startswith(f"{name}_")],
    )


def rows_text(count: int) -> str:
    """Write a number of rows."""
    return f"{count:,} row{'s' if count != 1 else ''}"


@dataclass(frozen=True)
class Origin:
    """Where the rows of a picture came from and when, and whether any of them is synthetic."""

    text: str
    synthetic: bool
