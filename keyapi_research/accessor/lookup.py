"""Which methods and pictures a frame supports, and how they are found by name."""

from __future__ import annotations

from types import MethodType
from typing import Any

import pandas as pd

from ..frames import IDENTIFYING
from . import PLOT
from .methods import METHODS
from .pictures import PICTURES, Pictures
from .recognise import joined, refuse


def refuse_frame(frame: pd.DataFrame) -> AttributeError:
    """Make the error of a frame that has nothing to do with this package."""
    return refuse("df.keyapi", IDENTIFYING, frame)


def find(frame: pd.DataFrame, name: str) -> Any:
    """Find a method of a frame, or its pictures.

    Raises
    ------
    AttributeError
        There is none of this name, or the frame does not support it.
    """
    if name == PLOT:
        return Pictures(frame)
    method = METHODS.get(name)
    if method is None:
        raise AttributeError(f"df.keyapi has no {name!r}; there are {joined(METHODS)}")
    if not method.applies(frame):
        raise refuse(f"{name}()", method.needs or {}, frame)
    return MethodType(method.function, frame)


def names_for(frame: pd.DataFrame) -> list[str]:
    """List what a frame supports."""
    plot = [PLOT] if any(picture.applies(frame) for picture in PICTURES.values()) else []
    return [*(name for name, method in METHODS.items() if method.applies(frame)), *plot]
