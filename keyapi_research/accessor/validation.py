"""Whether a frame is what its table is declared to be."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from ..columns import read_column
from ..errors import InvalidArgumentError, listed, shown
from ..frames import columns_of, identifying_columns, nearest
from ..model import DTYPES, OBSERVED_AT, SOURCE, TABLES, Column, Parameter, Table
from ..places import Coded, Constant, PerList
from .recognise import find_table, fitting

_ID: Final = re.compile(r"[0-9]{1,32}")
_MOST_LISTED: Final = 3  # values of one column that no request has, or not as they are written


def check_frame(frame: pd.DataFrame, of: str | None) -> None:
    """Check that a frame is what the table it holds, or the one named, is declared to be; list every breach."""
    table = _table_of(frame, of)
    breaches = list(_breaches(frame, table))
    if breaches:
        count = f"{len(breaches)} breach{'es' if len(breaches) > 1 else ''}"
        raise InvalidArgumentError("\n- ".join([f"the frame is not a valid {table.name} table, {count}:", *breaches]))


def _table_of(frame: pd.DataFrame, of: str | None) -> Table:
    """Return what a frame should be, also where key columns are missing: that is a breach to be listed."""
    if of is not None:
        if not isinstance(of, str) or of not in TABLES:
            raise InvalidArgumentError(f"of must be one of {', '.join(TABLES)} for validate(); got {shown(of)}")
        return TABLES[of]
    near = nearest(columns_of(frame))
    if near is not None and not fitting(identifying_columns(), frame):
        return near
    return find_table(frame, "validate", identifying_columns(), None)


def _breaches(frame: pd.DataFrame, table: Table) -> Iterator[str]:
    """Find everything in which a frame is not the table it is declared to be; columns of the user's own are fine."""
    have = columns_of(frame)
    lost = [name for name in table.names if name not in have]
    yield from (f"the column {name} appears more than once" for name in lost if name in frame.columns)
    yield from (f"the column {name} is missing" for name in lost if name not in frame.columns)
    for column in table.columns:
        if column.name in have:
            yield from _of_column(frame[column.name], column, table)
    unique = [*table.key, OBSERVED_AT.name]
    with contextlib.suppress(TypeError):  # lists or the like, which is the breach of a dtype
        again = int(frame[unique].duplicated().sum()) if have.issuperset(unique) else 0
        if again:
            yield f"{again:,} rows repeat a key ({', '.join(unique)})"


def _of_column(series: pd.Series[Any], column: Column, table: Table) -> Iterator[str]:
    name, known = column.name, vocabulary(column)
    if str(series.dtype) != column.dtype:
        yield f"{name} has dtype {series.dtype}, not {column.dtype}"
    parameter = table.endpoint.columns.get(name)
    if parameter is not None or (name in table.key and column.dtype == DTYPES["text"]):
        yield from _not_as_requested(series, column, parameter)
    if parameter is None and (column.kind == "id" or known):
        values = [str(one) for one in dict.fromkeys(read_column(series, column)) if one is not None]
        if wrong := [shown(text) for text in values if column.kind == "id" and not _ID.fullmatch(text)]:
            yield f"{name} has {listed(wrong, _MOST_LISTED)}, which are not valid ids (digits only)"
        if unknown := [text for text in values if known and text not in known]:
            yield f"{name} has {listed(unknown)}; allowed are {', '.join(known)}"
    if parameter is None and name in (*table.key, OBSERVED_AT.name, SOURCE.name) and series.isna().any():
        yield f"{name} is missing in {int(series.isna().sum()):,} rows, but is needed to identify them"
    if column.kind in ("count", "integer", "number"):
        yield from _out_of_range(series, column)


def _not_as_requested(series: pd.Series[Any], column: Column, parameter: Parameter | None) -> Iterator[str]:
    """Check keys as parameters: whether and how a request would write them; missing ones, too, where one is needed."""
    texts = []
    as_text = (written if isinstance(written, str) else None for written in series.tolist())
    for value, written in dict.fromkeys(zip(read_column(series, column), as_text, strict=True)):
        try:
            wanted = value if parameter is None else parameter.check(column.name, value)
        except InvalidArgumentError as error:
            texts.append(str(error))
            continue
        if written is not None and written != wanted and not isinstance(wanted, int):
            texts.append(f"{column.name} has {shown(written)}, which should be {wanted!r}")
    yield from texts[:_MOST_LISTED]
    if len(texts) > _MOST_LISTED:
        yield f"{column.name} has {len(texts) - _MOST_LISTED:,} more such values"


def _out_of_range(series: pd.Series[Any], column: Column) -> Iterator[str]:
    plain = series if pd.api.types.is_numeric_dtype(series) else series.astype("string")
    values = pd.to_numeric(plain, errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
    least = -np.inf if column.least is None else column.least
    most = np.inf if column.most is None else column.most
    for wrong, what in (
        (np.isinf(values), "infinite"),
        (np.isfinite(values) & (values < least), f"below {least:g}"),
        (np.isfinite(values) & (values > most), f"above {most:g}"),
    ):
        if wrong.any():
            yield f"{int(wrong.sum()):,} values of {column.name} are {what}"


def vocabulary(column: Column) -> list[str]:
    """Return the only words a column can have, where its declaration lists them."""
    if isinstance(column.place, Coded):
        return list(column.place.codes.values())
    places = column.place.places if isinstance(column.place, PerList) else ()
    words = [place.value for place in places if isinstance(place, Constant)]
    return list(dict.fromkeys(words)) if len(words) == len(places) else []
