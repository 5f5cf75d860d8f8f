"""`df.keyapi.plot`: the functions of `keyapi_research.plots`; series and audiences are first read from the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, MethodType
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from .. import plots
from ..client import Client
from ..frames import columns_of
from ..plots import reading
from .recognise import describe, joined

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMES: Final[Mapping[str, str]] = MappingProxyType({"clip_id": "title", "category_id": "category"})


def trend(
    df: pd.DataFrame,
    *,
    ax: Axes | None = None,
    small_multiples: bool = False,
    of: str | None = None,
    client: Client | None = None,
) -> Axes:
    """Draw popularity over time, one line a series: `keyapi_research.plots.trend` of the rows' `trend()`; free.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    small_multiples : bool, default False
        A panel for each series in a new figure, instead of lines in one.
    of, client
        As for `trend()`, where the rows are not the series themselves.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn into.

    Raises
    ------
    AttributeError
        The frame holds neither trends nor rows that have them.
    NotStoredError
        An answer is not in the store; it says what fetching would cost.
    """
    return plots.trend(_rows(df, "trend", of, client), ax=ax, small_multiples=small_multiples)


def audience(
    df: pd.DataFrame,
    *,
    dimension: str | None = None,
    ax: Axes | None = None,
    of: str | None = None,
    client: Client | None = None,
) -> Axes:
    """Draw who watches: `keyapi_research.plots.audience` of the rows' `audience()`; free.

    Parameters
    ----------
    dimension : {"age", "interest", "country"}, optional
        What to split by; by default the first of these that the answers have.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    of, client
        As for `audience()`, where the rows are not the audiences themselves.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn into.

    Raises
    ------
    AttributeError
        The frame holds neither audiences nor rows that have them.
    InvalidArgumentError
        There is no such dimension.
    NotStoredError
        An answer is not in the store; it says what fetching would cost.
    """
    return plots.audience(_rows(df, "audience", of, client), dimension=dimension, ax=ax)


def overlap(
    df: pd.DataFrame,
    *,
    dimension: str = "country",
    ax: Axes | None = None,
    of: str | None = None,
    client: Client | None = None,
) -> Axes:
    """Draw how alike audiences are: `keyapi_research.plots.overlap` of the rows' `audience()`; free.

    Parameters
    ----------
    dimension : {"country", "interest"}, default "country"
        What to compare by.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    of, client
        As for `audience()`, where the rows are not the audiences themselves.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn into.

    Raises
    ------
    AttributeError
        The frame holds neither audiences nor rows that have them.
    InvalidArgumentError
        There is no such dimension.
    NotStoredError
        An answer is not in the store; it says what fetching would cost.
    """
    return plots.overlap(_rows(df, "overlap", of, client), dimension=dimension, ax=ax)


@dataclass(frozen=True)
class Picture:
    """A picture, the columns it draws, and the method that reads them from the answers of other rows."""

    function: Callable[..., Axes]
    draws: frozenset[str]
    read: str | None = None

    def draws_from(self, frame: pd.DataFrame) -> bool:
        """Whether a frame has what is drawn."""
        return self.draws <= columns_of(frame)

    def applies(self, frame: pd.DataFrame) -> bool:
        """Whether a picture of a frame can be made."""
        return self.draws_from(frame) or (self.read is not None and hasattr(frame.keyapi, self.read))


PICTURES: Final[Mapping[str, Picture]] = MappingProxyType(
    {
        "trend": Picture(trend, frozenset(reading.TREND), "trend"),
        "audience": Picture(audience, frozenset(reading.AUDIENCE), "audience"),
        "products": Picture(plots.products, frozenset(reading.PRODUCTS)),
        "categories": Picture(plots.categories, frozenset(reading.HIERARCHY)),
        "engagement": Picture(plots.engagement, frozenset(("views", *reading.PARTS.values()))),
        "overlap": Picture(overlap, frozenset(reading.AUDIENCE), "audience"),
    }
)


def _rows(frame: pd.DataFrame, name: str, of: str | None, client: Client | None) -> pd.DataFrame:
    """Take the rows that are drawn: the frame's own, or those of the answers it came from, by their names."""
    picture = PICTURES[name]
    if picture.draws_from(frame) or picture.read is None:
        return frame
    rows: pd.DataFrame = getattr(frame.keyapi, picture.read)(of=of, client=client)
    for key, called in _NAMES.items():
        if key in rows.columns and {key, called} <= columns_of(frame):
            names = dict(zip(frame[key].astype("string"), frame[called], strict=True))
            rows = rows.assign(**{called: rows[key].map(names).astype("string")})
    return rows


class Pictures:
    """Pictures of the frame at hand; each is drawn into `ax` or a new figure, and returns its Axes."""

    __slots__ = ("_frame",)

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def __getattr__(self, name: str) -> Any:
        picture = PICTURES.get(name)
        if picture is None:
            raise AttributeError(f"df.keyapi.plot has no {name!r}; there are {joined(PICTURES)}")
        if not picture.applies(self._frame):
            read = f", or rows that have .keyapi.{picture.read}()" if picture.read else ""
            raise AttributeError(
                f"plot.{name} draws the columns {joined(sorted(picture.draws))}{read}; {describe(self._frame)}."
            )
        return MethodType(picture.function, self._frame)

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *(name for name, picture in PICTURES.items() if picture.applies(self._frame))]

    def __repr__(self) -> str:
        names = [name for name, picture in PICTURES.items() if picture.applies(self._frame)]
        return f"<df.keyapi.plot: {', '.join(f'{name}()' for name in names) or 'nothing to draw'}>"
