"""`df.keyapi`: what the rows at hand lead to. Its methods are in `methods`, imported with the first use."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..schema import COLUMN_DTYPES

__all__ = ["KeyAPIAccessor"]


class KeyAPIAccessor:
    """What the rows of a frame lead to; tables are known by their columns: filtered, sorted, merged, read from a file.

    A row stands for the answer it came from: its table's key columns and `observed_at` identify it; without
    `observed_at` the newest stored answer counts. All methods read stored answers and are free, except those named
    `fetch_...`, which pay for what is not stored. Tab shows what applies to the frame at hand; anything else is an
    AttributeError that explains why. What is not stored is a NotStoredError with the price of fetching it.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows with columns of this package.

    Notes
    -----
    trend(), audience(dimension=None), posts(), hashtags(), related() and example_videos() return other parts of the
    same answers; fetch_details(), fetch_videos() and fetch_hashtags() what the rows name; engagement() rates of
    videos; history() all observations of the rows; raw() and provenance() the answers themselves and the requests
    that brought them; validate() checks a frame against its table; to_csv() writes it; plot draws it.
    Where a frame holds two entities, as after a merge, `of="hashtags"` names the one that is meant.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> tags = kr.fetch_hashtags(["ufc324", "perfume"])
    >>> tags[tags["views"] > 0].keyapi.audience("age")["segment"].unique().tolist()
    ['18-24', '25-34', '35+']
    """

    # The methods are another class's: IPython lists what a class has, whether or not an object has it.
    __slots__ = ("_frame",)

    def __init__(self, frame: pd.DataFrame) -> None:
        if not any(name in COLUMN_DTYPES for name in frame.columns if isinstance(name, str)):
            from .recognise import refuse_frame  # noqa: PLC0415 - importing the package does not wait for it

            raise refuse_frame(frame)
        self._frame = frame

    def __getattr__(self, name: str) -> Any:
        from .methods import find_method  # noqa: PLC0415 - as above

        return find_method(self._frame, name)

    def __dir__(self) -> list[str]:
        from .methods import names_for  # noqa: PLC0415 - as above

        return [*object.__dir__(self), *names_for(self._frame)]

    def __repr__(self) -> str:
        from .methods import names_for  # noqa: PLC0415 - as above

        methods = (f"{name}()" for name in names_for(self._frame) if name != "plot")
        return f"<df.keyapi: {', '.join(methods)}>"


def _register() -> None:
    """Make it `DataFrame.keyapi`; again without a warning when a notebook reloads this module."""
    known = getattr(pd.DataFrame, "keyapi", None)
    if getattr(known, "__module__", None) == __name__:
        delattr(pd.DataFrame, "keyapi")
    pd.api.extensions.register_dataframe_accessor("keyapi")(KeyAPIAccessor)


_register()
