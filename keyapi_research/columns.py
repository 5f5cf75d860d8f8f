"""The one reader of values: JSON of an answer, text of a file or any Series becomes the declared dtype.

What cannot be read becomes missing and is counted or listed, never guessed.
"""

from __future__ import annotations

import numbers
import operator
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from .arguments import plain_value
from .errors import InvalidArgumentError, shown
from .model import DTYPES, Column
from .spelling import DAY, FLAG_WORDS, NO_ID, NOT_AVAILABLE, is_blank, normal_hashtag, plain_id, writable

Array = Any  # a pandas extension array or a NumPy array; pandas has no common type for them

MISSING_WORDS: Final = frozenset(  # what programs write for a missing number, flag or time
    ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-nan", "NaT", "null", "NULL", "None")
)
_MOST_DIGITS: Final = 15  # of a number that every program keeps as it is
_LONGEST_NUMBER: Final = 400  # characters
_MILLISECONDS: Final = 10**11  # seconds this large are the year 5138: such stamps are milliseconds
_LAST_SECOND: Final = 253_402_300_799  # the end of the year 9999
_NUMBER: Final = re.compile(r"\s*+[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]{1,3})?\s*+")
_INFINITE: Final = re.compile(r"\s*[+-]?inf(?:inity)?\s*", re.IGNORECASE)
_NUMERIC: Final = re.compile(r"[0-9.eE+-]++")  # numbers, one after another
_WHOLE: Final = re.compile(r"\s*[+-]?[0-9]++\s*")
_LIKE_AN_ID: Final = re.compile(rf"\s*[+-]?(?:0[0-9]+|[0-9]{{{_MOST_DIGITS + 1},}})\s*")
_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_FLAG_CELLS: Final = frozenset(("True", "TRUE", "true", "False", "FALSE", "false"))  # flags to pandas
_FLAGS: Final[Mapping[object, bool]] = {True: True, False: False, **dict[object, bool](FLAG_WORDS.items())}


# One value --------------------------------------------------------------------------------------------------


def whole_number(value: Any) -> int | None:
    """Read a whole number of at most 64 bits exactly; None where it is not one."""
    number: Any = value
    if isinstance(value, str):
        if len(value) > _LONGEST_NUMBER or _NUMBER.fullmatch(value) is None:
            return None
        number = Decimal(value.strip())
        number = int(number) if number == number.to_integral_value() else None
    elif isinstance(value, float):
        number = int(value) if value.is_integer() and abs(value) < 2**53 else None
    return number if isinstance(number, int) and not isinstance(number, bool) and -(2**63) <= number < 2**63 else None


def _real_number(value: Any) -> float | None:
    if isinstance(value, str):
        if len(value) > _LONGEST_NUMBER or not (_NUMBER.fullmatch(value) or _INFINITE.fullmatch(value)):
            return None
        number = float(value.strip())
        return number if np.isfinite(number) or _INFINITE.fullmatch(value) else None  # too large for a float
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _flag(value: Any) -> bool | None:
    if isinstance(value, str):
        value = value.strip().lower()
    return _FLAGS.get(value) if isinstance(value, bool | int | float | str) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else plain_id(value)


def _hashtag(value: Any) -> str | None:
    return normal_hashtag(value) or None if isinstance(value, str) else None


def _converted(values: Sequence[Any], convert: Callable[[Any], Any]) -> tuple[list[Any], list[int]]:
    """Convert values one by one; list the places of those that are there and cannot be read."""
    read = [None if value is None else convert(value) for value in values]
    unread = [at for at, now in enumerate(read) if now is None and not is_blank(values[at])]
    return read, unread


# Values of answers ------------------------------------------------------------------------------------------


def read_values(column: Column, values: list[Any]) -> tuple[Array, int]:
    """Read values of answers as the column declares them; count those that are there and cannot be read."""
    if column.missing:
        values = [None if str(value).strip() in column.missing else value for value in values]
    if column.kind in ("id", "text", "hashtag"):
        return _read_texts(values, {"id": plain_id, "text": _text, "hashtag": _hashtag}[column.kind])
    if column.kind in ("count", "integer"):
        numbers, missing, lost = _read_integers(values)
        if column.least is not None:  # a negative count is the service's "not available"
            missing = missing | (numbers < column.least)
        return pd.arrays.IntegerArray(numbers, missing), lost
    if column.kind == "number":
        return _read_numbers(column, values)
    if column.kind == "flag":
        flags, unread = _converted(values, _flag)
        return pd.array(flags, dtype="boolean"), len(unread)
    return _read_dates(values) if column.kind == "date" else _read_stamps(values)


def _read_texts(values: list[Any], convert: Callable[[Any], str | None]) -> tuple[Array, int]:
    kinds = set(map(type, values))
    if convert is _hashtag or not kinds <= {str, int, type(None)}:
        read, unread = _converted(values, convert)
        return _strings([value or None for value in read]), len(unread)
    if int in kinds:
        values = [plain_id(v) if type(v) is int else v for v in values]
    if convert is plain_id:
        values = [v and v.strip() for v in values]
        if NO_ID in values:
            values = [None if v == NO_ID else v for v in values]
    return _strings([v or None for v in values]), 0


def _strings(values: list[str | None]) -> Array:
    try:
        "".join(filter(None, values)).encode()
    except UnicodeEncodeError:
        values = [v and writable(v) for v in values]
    return pd.array(values, dtype="string")


def _read_integers(values: list[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_], int]:
    read, unread = (values, []) if set(map(type, values)) <= {int, type(None)} else _converted(values, whole_number)
    try:
        numbers = np.array([NOT_AVAILABLE if v is None else v for v in read], dtype=np.int64)
    except OverflowError:
        read, unread = _converted(values, whole_number)
        numbers = np.array([NOT_AVAILABLE if v is None else v for v in read], dtype=np.int64)
    return numbers, numbers == NOT_AVAILABLE, len(unread)


def _read_numbers(column: Column, values: list[Any]) -> tuple[Array, int]:
    read, unread = (
        (values, []) if set(map(type, values)) <= {float, int, type(None)} else _converted(values, _real_number)
    )
    try:
        numbers = np.array(read, dtype=np.float64)  # None becomes NaN
    except (OverflowError, TypeError):
        read, unread = _converted(values, _real_number)
        numbers = np.array(read, dtype=np.float64)
    absent = numbers == NOT_AVAILABLE
    wrong = np.isinf(numbers)
    if column.least is not None:
        wrong |= numbers < column.least
    if column.most is not None:
        wrong |= numbers > column.most
    wrong &= ~absent
    numbers[wrong | absent] = np.nan
    return numbers, len(unread) + int(wrong.sum())


def is_beyond(column: Column, values: list[Any]) -> npt.NDArray[np.bool_]:
    """Tell which values are more than the column can have."""
    numbers = np.array(_converted(values, _real_number)[0], dtype=np.float64)
    most = np.inf if column.most is None else column.most
    return np.asarray((numbers > most) & (numbers != NOT_AVAILABLE), dtype=np.bool_)


def _read_stamps(values: list[Any]) -> tuple[Array, int]:
    """Read seconds or milliseconds since 1970; 0 means missing to the service."""
    seconds, missing, lost = _read_integers(values)
    milliseconds = np.abs(seconds) >= _MILLISECONDS
    whole_seconds = np.where(milliseconds, seconds // 1000, seconds)
    wrong = ~missing & ((whole_seconds < 0) | (whole_seconds > _LAST_SECOND))
    missing = missing | wrong | (seconds == 0)
    scale = np.where(milliseconds, 1000, 1_000_000)
    return moments(np.where(missing, 0, seconds) * scale, missing), lost + int(wrong.sum())


def _read_dates(values: list[Any]) -> tuple[Array, int]:
    """Read days as yyyy-MM-dd or yyyymmdd, the latter also as a number; 0 means missing to the service."""
    days = ["" if is_blank(value) or value in (0, "0") else str(value).strip() for value in values]
    compact = ["".join(filter(None, found.groups())) if (found := DAY.fullmatch(day)) else "" for day in days]
    read = pd.to_datetime(pd.Series(compact, dtype=object), format="%Y%m%d", errors="coerce", utc=True)
    stamps = read.dt.as_unit("us")
    lost = [gone and bool(day) for gone, day in zip(stamps.isna(), days, strict=True)]
    return stamps.array, sum(lost)


def moments(microseconds: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_] | None = None) -> Array:
    """Make times (UTC, microseconds) of numbers."""
    stamps = np.asarray(microseconds, dtype=np.int64).astype("datetime64[us]")
    if missing is not None:
        stamps[missing] = np.datetime64("NaT", "us")
    return pd.Series(stamps).dt.tz_localize("UTC").array


# Text of files ----------------------------------------------------------------------------------------------


_OF_CELL: Final[Mapping[str, Callable[[str], Any]]] = {
    DTYPES["count"]: whole_number,
    DTYPES["number"]: _real_number,
    DTYPES["flag"]: _flag,
}


def read_cells(dtype: str, cells: Sequence[Any]) -> tuple[Array, list[int]]:
    """Read cells of a file as a declared dtype, words for missing ones included; list the places of unreadable ones."""
    if dtype == DTYPES["text"]:
        return pd.array(list(cells), dtype="string"), []
    if dtype == DTYPES["time"]:
        return _read_moments(cells)
    quick = _read_digits(cells) if dtype == DTYPES["count"] else None
    if quick is None and dtype == DTYPES["number"]:
        quick = _read_decimals(cells)
    if quick is not None:
        return quick, []
    convert, known = _OF_CELL[dtype], set(cells) - MISSING_WORDS
    read_as = {cell: convert(cell) for cell in known}
    read = [read_as.get(cell) for cell in cells]
    unread = [at for at, cell in enumerate(cells) if read[at] is None and cell in known]
    if dtype == DTYPES["number"]:
        return np.array(read, dtype=np.float64), unread
    return pd.array(read, dtype=dtype), unread  # type: ignore[call-overload]


def _read_digits(cells: Sequence[str]) -> Array | None:
    """Read whole numbers quickly; None where a cell has more than digits."""
    joined = "".join(cells)
    if not (joined.isascii() and joined.isdecimal()):
        return None
    missing = np.zeros(len(cells), dtype=np.bool_)
    if "" in cells:
        missing = np.fromiter(map(operator.not_, cells), dtype=np.bool_, count=len(cells))
        cells = [cell or "0" for cell in cells]
    try:
        return pd.arrays.IntegerArray(np.array(cells, dtype=object).astype(np.int64), missing)
    except (ValueError, OverflowError):  # more digits than Python reads, or than 64 bits have
        return None


def _read_decimals(cells: Sequence[str]) -> Array | None:
    """Read numbers quickly, each to its last digit; None where a cell is not one."""
    if _NUMERIC.fullmatch("".join(cells)) is None:
        return None
    try:
        numbers = np.fromiter(map(float, [cell or "nan" for cell in cells]), dtype=np.float64, count=len(cells))
    except ValueError:
        return None
    return None if np.isinf(numbers).any() else numbers


def _read_moments(cells: Sequence[str]) -> tuple[Array, list[int]]:
    """Read times as ISO 8601 writes them; without a zone they are UTC."""
    if all(map(_MOMENT.fullmatch, filter(None, cells))):
        try:
            stamps = np.array([cell[:-1] or "NaT" for cell in cells], dtype="datetime64[us]")
        except ValueError:  # a month 13
            pass
        else:
            return pd.Series(stamps).dt.tz_localize("UTC").array, []
    known = [None if cell in MISSING_WORDS else cell for cell in cells]
    read = pd.to_datetime(pd.Series(known, dtype=object), utc=True, format="ISO8601", errors="coerce").dt.as_unit("us")
    unread = [at for at, lost in enumerate(read.isna()) if lost and known[at] is not None]
    return read.array, unread


def infer_cells(cells: Sequence[str | None]) -> Array:
    """Read cells nobody declared as what pandas infers, but as text where one looks like an id or begins with 0."""
    if not cells:
        return np.array([], dtype=object)
    there = {cell for cell in cells if cell} - MISSING_WORDS
    if any(map(_LIKE_AN_ID.fullmatch, there)):
        return as_text(cells)
    kind = "number"
    if there:
        kind = "flag" if there <= _FLAG_CELLS else "count" if all(map(_WHOLE.fullmatch, there)) else "number"
    array, unread = read_cells(DTYPES[kind], [cell or "" for cell in cells])
    if unread:
        return as_text(cells)
    if kind == "number":
        return array
    some_missing = array.isna().any()  # to pandas, missing is NaN where nobody declares a dtype
    dtype = {"count": "float64", "flag": "object"}[kind] if some_missing else array.dtype.numpy_dtype
    return array.to_numpy(dtype=dtype, na_value=np.nan) if some_missing else array.to_numpy(dtype=dtype)


def as_text(values: Sequence[str | None]) -> Array:
    """Make a column of text as pandas infers it."""
    return pd.array([np.nan if value is None else value for value in values], dtype=text_dtype())


@cache
def text_dtype() -> Any:
    """Return what this pandas infers for text; not while importing, the first column of text takes a while."""
    return pd.Series(["text"]).dtype


# Any Series -------------------------------------------------------------------------------------------------


def read_column(series: pd.Series[Any], column: Column) -> list[Any]:
    """Return plain values of a column's kind, whatever dtype a file or a merge gave them; None where missing.

    What cannot be read stays as it is, so that the check of its parameter can say what is wrong with it.
    """
    if column.kind == "date":
        return [None if at is None else _day_or_moment(at) for at in read_times(series)]
    if column.dtype == DTYPES["time"]:
        return list(read_times(series))
    missing = series.isna().tolist()
    values = [None if gone else plain_value(value) for value, gone in zip(series.tolist(), missing, strict=True)]
    read = pd.Series(read_values(column, values)[0]).astype(object)
    lost = read.isna()
    left = [value if isinstance(value, Hashable) else repr(value) for value in values]
    return [value if gone else plain for value, plain, gone in zip(left, read, lost, strict=True)]


def _day_or_moment(microseconds: int) -> str:
    """Write a time as its day; one that is not at 00:00 stays a time, which is no day of any answer."""
    moment = datetime(1970, 1, 1) + timedelta(microseconds=microseconds)  # noqa: DTZ001 - of UTC, written without it
    return moment.date().isoformat() if moment.time() == time() else moment.isoformat()


def read_times(series: pd.Series[Any]) -> list[int | None]:
    """Return times, also of text, as microseconds since 1970; None where missing. Without a zone they are UTC."""
    text = series
    if not pd.api.types.is_datetime64_any_dtype(series):  # no number is a time
        text = series.map(lambda value: None if isinstance(value, int | float) else str(value), na_action="ignore")
    stamps = pd.to_datetime(text, utc=True, format="ISO8601", errors="coerce")
    unread = series[(stamps.isna() & series.notna()).to_numpy()]
    if len(unread):
        name, value = series.name, unread.tolist()[0]
        advice = "Read the file again with kr.read_csv(path)"
        if isinstance(value, numbers.Number):  # as in JSON of pandas; which unit it has is for the user to say
            advice = f'If it counts milliseconds: df["{name}"] = pd.to_datetime(df["{name}"], unit="ms", utc=True)'
        raise InvalidArgumentError(f"{name}: {shown(value)} is not a valid time. {advice}")
    microseconds = stamps.dt.as_unit("us").astype("int64")
    return [None if missing else at for at, missing in zip(microseconds.tolist(), stamps.isna(), strict=True)]
