"""`df.keyapi.plot`: the functions of `keyapi_research.plots`; series and audiences are first read from the answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, MethodType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pandas as pd

from .. import plots
from ..client import Client
from ..frames import columns_of
from ..plots.reading import NEEDS
from .methods import METHODS
from .methods import audience as read_audience
from .methods import trend as read_trend
from .recognise import describe, joined

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Draws = TypeVar("Draws", bound="Callable[..., Axes]")

_NAMES: Final = (("clip_id", "title"), ("category_id", "category"))
_ROWS: Final = """
of, client
    As for `{}()`, where the rows are not themselves what is drawn. NotStoredError says what fetching would cost.

Returns
"""


def _documented(model: Callable[..., Axes], method: str) -> Callable[[Draws], Draws]:
    """Complete a docstring with the parameters of the function forwarded to, and those the rows are read by."""

    def complete(function: Draws) -> Draws:
        if function.__doc__ and model.__doc__:  # not so under -OO
            _, parameters, rest = inspect.cleandoc(model.__doc__).partition("\n\nParameters\n")
            text = f"{function.__doc__}{parameters}{rest}\n"
            function.__doc__ = text.replace("\nReturns\n", _ROWS.format(method), 1)
        return function

    return complete


@_documented(plots.trend, "trend")
def trend(
    df: pd.DataFrame,
    *,
    ax: Axes | None = None,
    small_multiples: bool = False,
    of: str | None = None,
    client: Client | None = None,
) -> Axes:
    """Draw popularity over time, one line a series: `keyapi_research.plots.trend` of the rows' `trend()`; free."""
    return plots.trend(_rows(df, "trend", of, client), ax=ax, small_multiples=small_multiples)


@_documented(plots.audience, "audience")
def audience(
    df: pd.DataFrame,
    *,
    dimension: str | None = None,
    ax: Axes | None = None,
    of: str | None = None,
    client: Client | None = None,
) -> Axes:
    """Draw who watches: `keyapi_research.plots.audience` of the rows' `audience()`; free."""
    return plots.audience(_rows(df, "audience", of, client), dimension=dimension, ax=ax)


@_documented(plots.overlap, "audience")
def overlap(
    df: pd.DataFrame,
    *,
    dimension: str = "country",
    ax: Axes | None = None,
    of: str | None = None,
    client: Client | None = None,
) -> Axes:
    """Draw how similar audiences are: `keyapi_research.plots.overlap` of the rows' `audience()`; free."""
    return plots.overlap(_rows(df, "overlap", of, client), dimension=dimension, ax=ax)


def _rows(frame: pd.DataFrame, name: str, of: str | None, client: Client | None) -> pd.DataFrame:
    """Return the rows that are drawn: the frame's own, or those of the answers it came from, by their names."""
    read = _READ[name]
    if _draws(name) <= columns_of(frame):
        return frame
    rows = read(frame, of=of, client=client)
    for key, called in _NAMES:
        if key in rows.columns and {key, called} <= columns_of(frame):
            names = dict(zip(frame[key].astype("string"), frame[called], strict=True))
            rows = rows.assign(**{called: rows[key].map(names).astype("string")})
    return rows


def _draws(name: str) -> frozenset[str]:
    return frozenset(NEEDS[name].columns)


_READ: Final[Mapping[str, Callable[..., pd.DataFrame]]] = MappingProxyType(
    {"trend": read_trend, "audience": read_audience, "overlap": read_audience}
)


@dataclass(frozen=True)
class Picture:
    """A picture, the columns it draws, and the method that reads them from the answers of other rows."""

    function: Callable[..., Axes]
    draws: frozenset[str]
    read: Callable[..., pd.DataFrame] | None = None

    def applies(self, frame: pd.DataFrame) -> bool:
        """Whether a picture of a frame can be made."""
        own = self.draws <= columns_of(frame)
        return own or (self.read is not None and METHODS[self.read.__name__].applies(frame))


_FUNCTIONS: Final = (trend, audience, plots.products, plots.categories, plots.engagement, overlap)
PICTURES: Final[Mapping[str, Picture]] = MappingProxyType(
    {one.__name__: Picture(one, _draws(one.__name__), _READ.get(one.__name__)) for one in _FUNCTIONS}
)


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
            read = f", or rows that have .keyapi.{picture.read.__name__}()" if picture.read else ""
            raise AttributeError(
                f"plot.{name} draws the columns {joined(sorted(picture.draws))}{read}; {describe(self._frame)}."
            )
        return MethodType(picture.function, self._frame)

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *(name for name, picture in PICTURES.items() if picture.applies(self._frame))]

    def __repr__(self) -> str:
        names = [name for name, picture in PICTURES.items() if picture.applies(self._frame)]
        return f"<df.keyapi.plot: {', '.join(f'{name}()' for name in names) or 'nothing to draw'}>"
