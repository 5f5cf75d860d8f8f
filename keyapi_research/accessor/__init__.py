"""`df.keyapi`: what the rows at hand lead to. Its methods are in `methods`, imported with the first use."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..model import COLUMN_DTYPES

__all__ = ["KeyAPIAccessor"]


class KeyAPIAccessor:
    """What the rows of a frame lead to, whether filtered, sorted, merged or read from a file: Tab shows what applies.

    A row stands for the answer it came from, found by the key columns of its table and `observed_at` (without that,
    the newest stored one). trend(), audience(), posts(), hashtags(), related(), example_videos(), windows(),
    posting(), categories() and products() return other parts of these answers; history(), raw() and provenance() the
    answers themselves, audit() what in them contradicts the rest; engagement(), fill_days(), validate(), to_csv(),
    to_excel(), to_parquet() and plot work on the frame. All of these are free: what is not stored is a NotStoredError
    with the price of fetching it. Only the methods called fetch_... pay for what is not stored.
    Where a frame holds two entities, as after a merge, `of="hashtags"` names the one that is meant.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows with columns of this package.

    Examples
    --------
    >>> tags = kr.fetch_hashtags(["ufc324", "perfume"])
    >>> tags[tags["views"] > 0].keyapi.audience("age")["segment"].unique().tolist()
    ['18-24', '25-34', '35+']
    """

    # The methods are another class's: IPython lists what a class has, whether or not an object has it.
    __slots__ = ("_frame",)

    def __init__(self, frame: pd.DataFrame) -> None:
        if not any(name in COLUMN_DTYPES for name in frame.columns if isinstance(name, str)):
            from .pictures import pictures_of  # noqa: PLC0415 - importing the package does not wait for it
            from .recognise import refuse  # noqa: PLC0415 - as above

            if not pictures_of(frame):  # of a ledger, and of findings
                raise refuse("df.keyapi", None, frame)
        self._frame = frame

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"df.keyapi has no {name!r}")
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
