"""The one reader of values: whatever a value came as becomes the declared dtype, or is counted as unreadable."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from .schema import FLAG_WORDS, NO_ID, NOT_AVAILABLE, Column, is_blank, normal_hashtag, plain_id, writable

Array = Any  # a pandas extension array or a NumPy array; pandas has no common type for them

_MILLISECONDS: Final = 10**11  # seconds this large are the year 5138: such stamps are milliseconds
_LAST_SECOND: Final = 253_402_300_799  # the end of the year 9999
_WHOLE: Final = re.compile(r"\s*[+-]?[0-9]{1,19}\s*")
_DECIMAL: Final = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*")
_FLAG_TYPES: Final = (bool, int, float, str)
_FLAGS: Final[Mapping[object, bool]] = {True: True, False: False, **dict[object, bool](FLAG_WORDS.items())}


def _strings(values: list[str | None]) -> Array:
    try:
        "".join(filter(None, values)).encode()
    except UnicodeEncodeError:
        values = [v and writable(v) for v in values]
    return pd.array(values, dtype="string")


def _read_texts(values: list[Any], convert: Callable[[Any], str | None]) -> tuple[Array, int]:
    if set(map(type, values)) <= {str, type(None)}:
        if convert is plain_id:
            values = [v and v.strip() for v in values]
            if NO_ID in values:
                values = [None if v == NO_ID else v for v in values]
        return _strings([v or None for v in values]), 0
    read = [None if v is None or v == "" else convert(v) for v in values]
    return _strings(read), _count_lost(values, read)


def _count_lost(values: list[Any], read: list[Any]) -> int:
    """Count values that were there and could not be read."""
    return sum(now is None and not is_blank(was) for was, now in zip(values, read, strict=True))


def _plain_text(value: Any) -> str | None:
    return value if isinstance(value, str) else plain_id(value)


def _plain_hashtag(value: Any) -> str | None:
    return normal_hashtag(value) or None if isinstance(value, str) else None


def whole_number(value: Any) -> int | None:
    """Read a whole number; None where it is not one."""
    if isinstance(value, str):
        if _WHOLE.fullmatch(value):
            return int(value)
        value = float(value) if _DECIMAL.fullmatch(value) else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else None
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def _real(value: Any) -> float | None:
    if isinstance(value, str):
        return float(value) if _DECIMAL.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if np.isfinite(number) else None


def _whole_numbers(values: list[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_], int]:
    lost = 0
    if not set(map(type, values)) <= {int, type(None)}:
        read = [whole_number(v) for v in values]
        values, lost = read, _count_lost(values, read)
    try:
        numbers = np.array([NOT_AVAILABLE if v is None else v for v in values], dtype=np.int64)
    except OverflowError:
        read = [whole_number(v) for v in values]
        lost += _count_lost(values, read)
        numbers = np.array([NOT_AVAILABLE if v is None else v for v in read], dtype=np.int64)
    return numbers, numbers == NOT_AVAILABLE, lost


def _read_integers(column: Column, values: list[Any]) -> tuple[Array, int]:
    numbers, missing, lost = _whole_numbers(values)
    if column.least is not None:  # a negative count is the service's "not available"
        missing = missing | (numbers < column.least)
    return pd.arrays.IntegerArray(numbers, missing), lost


def _read_numbers(column: Column, values: list[Any]) -> tuple[Array, int]:
    lost = 0
    if not set(map(type, values)) <= {float, int, type(None)}:
        read = [_real(v) for v in values]
        values, lost = read, _count_lost(values, read)
    try:
        numbers = np.array(values, dtype=np.float64)  # None becomes NaN
    except (OverflowError, TypeError):
        read = [_real(v) for v in values]
        lost += _count_lost(values, read)
        numbers = np.array(read, dtype=np.float64)
    odd = np.isinf(numbers)
    if column.least is not None:
        odd |= numbers < column.least
    if column.most is not None:
        odd |= numbers > column.most
    odd |= numbers == NOT_AVAILABLE
    lost += int(odd.sum()) - int((numbers == NOT_AVAILABLE).sum())
    numbers[odd] = np.nan
    return numbers, lost


def _read_flags(values: list[Any]) -> tuple[Array, int]:
    read = [
        _FLAGS.get(v.strip().lower() if isinstance(v, str) else v) if isinstance(v, _FLAG_TYPES) else None
        for v in values
    ]
    return pd.array(read, dtype="boolean"), _count_lost(values, read)


def _read_times(values: list[Any]) -> tuple[Array, int]:
    seconds, missing, lost = _whole_numbers(values)
    milliseconds = np.abs(seconds) >= _MILLISECONDS
    whole_seconds = np.where(milliseconds, seconds // 1000, seconds)
    odd = ~missing & ((whole_seconds < 0) | (whole_seconds > _LAST_SECOND))
    scale = np.where(milliseconds, 1000, 1_000_000)
    stamps = np.where(missing | odd, 0, seconds) * scale
    return moments(stamps, missing | odd), lost + int(odd.sum())


def moments(microseconds: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_] | None = None) -> Array:
    """Make times (UTC, microseconds) of numbers."""
    stamps = np.asarray(microseconds, dtype=np.int64).astype("datetime64[us]")
    if missing is not None:
        stamps[missing] = np.datetime64("NaT", "us")
    return pd.Series(stamps).dt.tz_localize("UTC").array


def read_values(column: Column, values: list[Any]) -> tuple[Array, int]:
    """Turn values of an answer into an array of the column's dtype; count those that could not be."""
    kind = column.kind
    if kind == "id":
        return _read_texts(values, plain_id)
    if kind == "text":
        return _read_texts(values, _plain_text)
    if kind == "hashtag":
        read = [_plain_hashtag(v) for v in values]
        return _strings(read), _count_lost(values, read)
    if kind in ("count", "integer"):
        return _read_integers(column, values)
    if kind == "number":
        return _read_numbers(column, values)
    return _read_flags(values) if kind == "flag" else _read_times(values)
