"""`df.keyapi`: what can be asked next of the rows at hand.

What it can do is imported when it is first asked: importing the package stays fast, whatever is added to that.
"""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from ..schema import COLUMN_DTYPES

__all__ = ["PLOT", "KeyAPIAccessor"]

PLOT: Final = "plot"


class KeyAPIAccessor:
    """What can be asked next of a frame, known by its columns: filtered, sorted, merged or read from a file.

    A row stands for the answer it came from: its table's key columns and `observed_at` say which. Everything reads
    that very answer and is free, but for the methods named `fetch_...`, which pay for what is not stored.
    Tab shows what applies to the frame at hand; the rest is an AttributeError that says why.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows with columns of this package.

    Notes
    -----
    trend(), audience(dimension=None), posts(), hashtags(), related() and example_videos() give other parts of the
    same answers; fetch_details(), fetch_videos() and fetch_hashtags() what the rows name; engagement() rates of
    videos; history() all observations of the rows; raw() and provenance() the answers themselves and the requests
    that brought them; validate() holds a frame against its table; to_csv() writes it; plot draws it.
    Where a frame holds two entities, as after a merge, `of="hashtags"` says which is meant.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> tags = kr.fetch_hashtags(["ufc324", "perfume"])
    >>> tags[tags["views"] > 0].keyapi.audience("age")["segment"].unique().tolist()
    ['18-24', '25-34', '35+']
    """

    # Methods are looked up, not defined here: IPython lists what a class has, whether or not an object has it.
    __slots__ = ("_frame",)

    def __init__(self, frame: pd.DataFrame) -> None:
        if not any(name in COLUMN_DTYPES for name in frame.columns if isinstance(name, str)):
            raise _lookup().refuse_frame(frame)
        self._frame = frame

    def __getattr__(self, name: str) -> Any:
        return _lookup().find(self._frame, name)

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *_lookup().names_for(self._frame)]

    def __repr__(self) -> str:
        names = (f"{name}()" for name in _lookup().names_for(self._frame) if name != PLOT)
        return f"<df.keyapi: {', '.join(names)}>"


def _lookup() -> Any:
    from . import lookup  # noqa: PLC0415 - brings plots and export: only where they are asked for

    return lookup


def _register() -> None:
    """Make it `DataFrame.keyapi`; again without a warning when a notebook reloads this module."""
    known = getattr(pd.DataFrame, "keyapi", None)
    if getattr(known, "__module__", None) == __name__:
        delattr(pd.DataFrame, "keyapi")
    pd.api.extensions.register_dataframe_accessor("keyapi")(KeyAPIAccessor)


_register()
