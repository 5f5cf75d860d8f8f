"""`df.keyapi.plot`: the functions of `keyapi_research.plots`; series and audiences are first read from the answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from types import MappingProxyType, MethodType
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from .. import plots
from ..client import Client
from ..docstrings import complete
from ..entities import why_not
from ..fetch import call_checked
from ..frames import columns_of
from ..plots.reading import NEEDS, STITCHED
from .methods import Methods, find_method
from .recognise import AccessorError, describe, joined

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_READ: Final = {"trend": "trend", "audience": "audience", "overlap": "audience"}  # by these methods, from the answers
_NAMES: Final = (("clip_id", "title"), ("category_id", "category"))


def _reading(draw: Callable[..., Axes], read: str) -> Callable[..., Axes]:
    """Make the picture of a frame that has what is drawn, or of rows whose answers have it; those are free to read."""

    @wraps(draw)
    def picture(
        df: pd.DataFrame, *given: Any, of: str | None = None, client: Client | None = None, **options: Any
    ) -> Axes:
        here = _has(draw.__name__, df)
        rows = df if here else _named(getattr(df.keyapi, read)(of=of, client=client), df)
        return call_checked(draw, rows, *given, **options)

    own, more = inspect.signature(draw), inspect.signature(getattr(Methods, read)).parameters
    both = [*own.parameters.values(), more["of"], more["client"]]
    picture.__signature__ = own.replace(parameters=both)  # type: ignore[attr-defined]
    notes = f"Rows that are not themselves what is drawn are followed as by `{read}()`, free; what is not stored is a\n"
    return complete(picture, Notes=notes + "NotStoredError with the price of fetching it.")


def _has(name: str, df: pd.DataFrame) -> bool:
    """Whether a frame has the columns of a picture, or is a stitched trend."""
    ways = [NEEDS[name].columns, *([STITCHED] if name == "trend" else [])]
    return any(columns_of(df).issuperset(way) for way in ways)


def _named(rows: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Add the names that a frame has for the ids of rows that were read from its answers."""
    for key, called in _NAMES:
        if key in rows.columns and {key, called} <= columns_of(frame):
            names = dict(zip(frame[key].astype("string"), frame[called], strict=True))
            rows = rows.assign(**{called: rows[key].map(names).astype("string")})
    return rows


PICTURES: Final[Mapping[str, Callable[..., Axes]]] = MappingProxyType(
    {name: _reading(getattr(plots, name), _READ[name]) if name in _READ else getattr(plots, name) for name in NEEDS}
)


def _applies(name: str, frame: pd.DataFrame) -> bool:
    """Whether a picture of a frame can be made."""
    here = _has(name, frame) and not why_not(frame, NEEDS[name])
    return here or (name in _READ and _is_method(frame, _READ[name]))


def _is_method(frame: pd.DataFrame, name: str) -> bool:
    try:
        find_method(frame, name)
    except AccessorError:
        return False
    return True


def pictures_of(frame: pd.DataFrame) -> list[str]:
    """Return the names of the pictures of a frame that can be made."""
    return [name for name in PICTURES if _applies(name, frame)]


class Pictures:
    """Pictures of the frame at hand; each is drawn into `ax` or a new figure, and returns its Axes."""

    __slots__ = ("_frame",)

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def __getattr__(self, name: str) -> Any:
        if name not in PICTURES:
            raise AccessorError(f"df.keyapi.plot has no {name!r}. Choose from {joined(PICTURES)}")
        if not _applies(name, self._frame):
            read = f", or rows that have .keyapi.{_READ[name]}()" if name in _READ else ""
            columns = joined(sorted(NEEDS[name].columns))
            why = f" {why_not(self._frame, NEEDS[name])}".rstrip()
            raise AccessorError(f"plot.{name} draws the columns {columns}{read}; {describe(self._frame)}.{why}")
        return MethodType(PICTURES[name], self._frame)

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *pictures_of(self._frame)]

    def __repr__(self) -> str:
        drawn = [f"{name}()" for name in pictures_of(self._frame)]
        return f"<df.keyapi.plot: {', '.join(drawn) or 'nothing to draw'}>"
