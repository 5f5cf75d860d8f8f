"""`df.keyapi.plot`: the functions of `keyapi_research.plots`; series and audiences are first read from the answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from types import MappingProxyType, MethodType
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from .. import plots
from ..client import Client
from ..frames import columns_of
from ..plots.reading import NEEDS
from .methods import Methods
from .recognise import describe, joined

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMES: Final = (("clip_id", "title"), ("category_id", "category"))
_PARAMETERS: Final = """
of, client
    As for `{}()`, where the rows are not themselves what is drawn. NotStoredError says what fetching would cost.

Returns
"""


def _reading(draw: Callable[..., Axes], read: str) -> Callable[..., Axes]:
    """Make the picture of a frame that has what is drawn, or of rows whose answers have it; those are free to read."""

    @wraps(draw)
    def picture(df: pd.DataFrame, *, of: str | None = None, client: Client | None = None, **options: Any) -> Axes:
        here = _draws(draw.__name__) <= columns_of(df)
        return draw(df if here else _named(getattr(df.keyapi, read)(of=of, client=client), df), **options)

    own, more = inspect.signature(draw), inspect.signature(getattr(Methods, read)).parameters
    both = [*own.parameters.values(), more["of"], more["client"]]
    picture.__signature__ = own.replace(parameters=both)  # type: ignore[attr-defined]
    if draw.__doc__:  # not so under -OO
        text = f"{inspect.cleandoc(draw.__doc__)}\n"
        picture.__doc__ = text.replace("\nReturns\n", _PARAMETERS.format(read), 1)
    return picture


def _named(rows: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Add the names that a frame has for the ids of rows that were read from its answers."""
    for key, called in _NAMES:
        if key in rows.columns and {key, called} <= columns_of(frame):
            names = dict(zip(frame[key].astype("string"), frame[called], strict=True))
            rows = rows.assign(**{called: rows[key].map(names).astype("string")})
    return rows


def _draws(name: str) -> frozenset[str]:
    return frozenset(NEEDS[name].columns)


@dataclass(frozen=True)
class Picture:
    """A picture, the columns it draws, and the method that reads them from the answers of other rows."""

    function: Callable[..., Axes]
    draws: frozenset[str]
    read: str | None = None

    def applies(self, frame: pd.DataFrame) -> bool:
        """Whether a picture of a frame can be made."""
        own = self.draws <= columns_of(frame)
        return own or (self.read is not None and hasattr(frame.keyapi, self.read))


trend = _reading(plots.trend, "trend")
audience = _reading(plots.audience, "audience")
overlap = _reading(plots.overlap, "audience")
PICTURES: Final[Mapping[str, Picture]] = MappingProxyType(
    {
        "trend": Picture(trend, _draws("trend"), "trend"),
        "audience": Picture(audience, _draws("audience"), "audience"),
        "products": Picture(plots.products, _draws("products")),
        "categories": Picture(plots.categories, _draws("categories")),
        "engagement": Picture(plots.engagement, _draws("engagement")),
        "overlap": Picture(overlap, _draws("overlap"), "audience"),
    }
)


class Pictures:
    """Pictures of the frame at hand; each is drawn into `ax` or a new figure, and returns its Axes."""

    __slots__ = ("_frame",)

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def __getattr__(self, name: str) -> Any:
        picture = PICTURES.get(name)
        if picture is None:
            raise AttributeError(f"df.keyapi.plot has no {name!r}. Choose from {joined(PICTURES)}")
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
