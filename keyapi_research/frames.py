"""Frames, read back: which tables their columns are of, and what was requested for their rows. Nothing is looked up.

A frame may have been filtered, merged or read from a file since: tables are known by their columns alone, values are
read whatever dtype they have by now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from .client import Client, find_client
from .columns import read_column
from .errors import CLOSED, InvalidArgumentError, StoreError
from .model import OBSERVED_AT, ORIGIN, SOURCE, TABLES, Column, Parameter, Table
from .places import Metadata, Position
from .queries import Query

Needs = Mapping[str, frozenset[str]]  # by table, the columns a method needs of it
_ENTITIES: Final = ("id", "hashtag")  # kinds of columns that name something
Numbered = tuple[npt.NDArray[np.intp], list[Any]]  # for each row the number of its value, and the values


# Tables -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _names(table: Table) -> frozenset[str]:
    return frozenset(table.names)


@lru_cache(maxsize=256)
def _shared_names(table: Table) -> frozenset[str]:
    """Return names of columns that say little about the table: many tables, and many users, have such a column."""
    return frozenset(column.name for column in table.columns if isinstance(column.place, Position | Metadata))


def identifying_columns() -> Needs:
    """Return, by table, its key and what distinguishes it from tables with the same key."""
    return _identifying(tuple(TABLES.values()))


@lru_cache(maxsize=2)  # tables may be declared at any time
def _identifying(tables: tuple[Table, ...]) -> Needs:
    twins = {table: [_names(one) for one in tables if one is not table and one.key == table.key] for table in tables}
    own = {table: _names(table).difference(*others) if others else set() for table, others in twins.items()}
    return MappingProxyType({table.name: frozenset(table.key) | own[table] for table in tables})


def columns_of(frame: pd.DataFrame) -> frozenset[str]:
    """Return the columns that can be meant by their name: text, and there once."""
    counts = Counter(frame.columns)
    return frozenset(name for name, times in counts.items() if times == 1 and isinstance(name, str))


def tables_in(columns: Collection[str]) -> list[Table]:
    """Return the tables that a frame with these columns holds: one for each that was merged into it.

    A key alone is no proof: every trend has the key of its hashtag, and a ranking that lost a filter that of a
    category. So the table that explains most columns comes first, then the one that explains most of the rest.
    """
    have, needs = frozenset(columns), identifying_columns()
    there = [table for table in TABLES.values() if needs[table.name] <= have]
    left = have.difference(*map(_shared_names, TABLES.values()))
    pool = [
        table
        for table in TABLES.values()
        if table in there
        or any(set(one.key) <= _names(table) and (_names(table) - _names(one)) & left for one in there)
    ]
    found: list[Table] = []
    all_there = frozenset().union(*map(_names, there))

    def explains(table: Table) -> tuple[int, bool, int, int]:
        """Order tables: of those that explain as much, one that lacks less."""
        return len(_names(table) & left), table in there, -len(_names(table) - have), len(table.key)

    while pool:
        best = max(pool, key=explains)
        explained = _names(best) & left
        unlike = explained - all_there
        if best not in there and len(unlike) <= 1 and unlike <= set(best.key):
            pool.remove(best)  # nothing shows that it is there: one column of its key is more likely the user's own
            continue
        if not explained:
            break
        # Beside a table that is known, one more key column is more likely the user's own than another table, unless it
        # is an id of something else.
        known = any(table.endpoint is best.endpoint for table in found)
        ids = {name for name in best.key if best[name].kind in _ENTITIES} if not known else set()
        if best in there and (not found or explained - set(best.key) or explained & ids):
            found += [one for one in there if one is best or _same_by(one, best, left)]
        left -= explained
        pool.remove(best)
    return [table for table in there if table in found]


def _same_by(table: Table, other: Table, columns: frozenset[str]) -> bool:
    """Whether columns are as much of one table as of another one with the same key, but of other answers."""
    same_key = set(table.key) == set(other.key) and table.endpoint.path != other.endpoint.path
    return same_key and _names(table) & columns == _names(other) & columns


def choose(tables: Collection[Table], *, for_answers: bool = False) -> Table | None:
    """Return the table that is meant; None where there is none, or two entities are.

    Tables of one answer are one entity: the finest of them is what a row is about. Two lists of one answer side by side
    are two, but which is meant makes no difference where only the answer is needed.
    """
    if not tables:
        return None
    finest = max(tables, key=lambda table: len(table.key))
    one_answer = all(table.endpoint is finest.endpoint for table in tables)
    nested = all(table is finest or set(table.key) < set(finest.key) for table in tables)
    return finest if one_answer and (nested or for_answers) else None


def nearest(columns: Collection[str]) -> Table | None:
    """Return the table a frame was probably made of: the one it has most of, if that is half."""
    shares = {table: len(_names(table).intersection(columns)) / len(table.names) for table in TABLES.values()}
    best = max(shares, key=lambda table: shares[table])
    return best if shares[best] >= 1 / 2 else None


def reading_client(client: Client | None) -> Client:
    """Return the client given, else the default one, whose store rows are looked up in; it must be open."""
    connection = find_client(client)
    if connection.closed:
        raise StoreError(CLOSED)
    return connection


# Rows -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """What identifies the answer of a row: the query, whom of a ranking it is about, when it was observed."""

    query: Query
    who: str | None
    at: int | None  # microseconds since 1970; None: the newest there is


def check_column(series: pd.Series[Any], column: Column, parameter: Parameter | None = None) -> list[Any]:
    """Read a column, checked as if its values had been typed into a call."""
    numbers, values = _numbered(series, column, parameter)
    return [values[number] for number in numbers]


def _numbered(series: pd.Series[Any], column: Column, parameter: Parameter | None = None) -> Numbered:
    """Read the distinct values of a column; return which of them each row has, and the values."""
    try:
        numbers, found = pd.factorize(series, use_na_sentinel=False)
        distinct = pd.Series(found, name=series.name)
    except TypeError:  # lists and the like
        numbers, distinct = np.arange(len(series)), series
    values = read_column(distinct, column)
    if parameter is not None:
        values = [parameter.check(str(series.name), value) for value in values]
    places: dict[Any, int] = {}
    place_of = [places.setdefault(value, len(places)) for value in values]  # two spellings may be one value
    return np.array(place_of, dtype=np.intp)[numbers], list(places)


def rows_of(frame: pd.DataFrame, table: Table) -> list[Row]:
    """Return the distinct answers (of a ranking: entities in it) behind a frame, in the order of its rows."""
    check_partners(frame, table)
    endpoint = table.endpoint
    columns = [_numbered(frame[p.column], table[p.column], p) for p in endpoint.inputs]
    nothing = (np.zeros(len(frame), dtype=np.intp), [None])
    columns.append(_entities(frame, table[endpoint.row_name]) if endpoint.ranking else nothing)
    dated = OBSERVED_AT.name in columns_of(frame)
    columns.append(_numbered(frame[OBSERVED_AT.name], OBSERVED_AT) if dated else nothing)
    distinct = pd.DataFrame({place: numbers for place, (numbers, _) in enumerate(columns)}).drop_duplicates()
    read = [[values[number] for number in distinct[place]] for place, (_, values) in enumerate(columns)]
    *inputs, whom, times = read
    every = list(zip(*inputs, strict=True))
    queries = {one: Query(endpoint, one) for one in dict.fromkeys(every)}  # one for all rows: its key is computed once
    return [Row(queries[one], who, at) for one, who, at in zip(every, whom, times, strict=True)]


def _entities(frame: pd.DataFrame, column: Column) -> Numbered:
    numbers, values = _numbered(frame[column.name], column)
    if None in values:
        missing = int((numbers == values.index(None)).sum())
        raise InvalidArgumentError(
            f'{column.name} is missing in {missing:,} rows. Drop them first: df.dropna(subset=["{column.name}"])'
        )
    return numbers, [str(value) for value in values]


def check_partners(frame: pd.DataFrame, table: Table) -> None:
    """Refuse rows that a merge left without a partner: what every row of a table has is missing in them."""
    have = columns_of(frame)
    lost = frame[[name for name in table.key if name in have]].isna()
    alone = lost.any(axis=1) & frame[SOURCE.name].isna() if SOURCE.name in have else lost.all(axis=1)
    if alone.any():
        name = lost.columns[lost[alone].any()][-1]
        raise InvalidArgumentError(
            f"{int(alone.sum()):,} rows have no key of {table.name}, perhaps because a merge found no match. "
            f'Drop them first: df.dropna(subset=["{name}"])'
        )


def keep_origin(frame: pd.DataFrame, parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Keep in the `attrs` of a frame without such columns the sources of its parts, and when they were observed."""
    parts = [part for part in parts if {SOURCE.name, OBSERVED_AT.name} <= set(part.columns)]
    sources = {str(one) for part in parts for one in part[SOURCE.name].dropna().unique()}
    ends = [end for part in parts for end in ends_of(part[OBSERVED_AT.name])]
    moments = [end.isoformat() for end in (min(ends), max(ends))] if ends else []
    frame.attrs[ORIGIN] = {SOURCE.name: sorted(sources), OBSERVED_AT.name: moments}
    return frame


def ends_of(column: pd.Series[Any]) -> list[pd.Timestamp]:
    """Return the first and last of moments, as text or not; nothing where none is known, or numbers stand there."""
    if pd.api.types.is_numeric_dtype(column):
        return []
    moments = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601").dropna()
    return [moments.min(), moments.max()] if len(moments) else []
