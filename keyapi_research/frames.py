"""Frames, read back: which tables their columns are of, and what was asked for their rows. Nothing is looked up here.

A frame may have been filtered, merged or read from a file since: tables are known by their columns alone, values are
read whatever dtype they have by now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import pandas as pd

from .arguments import Value
from .client import Client, find_client
from .columns import read_column, read_times
from .endpoints import ENDPOINT_OF, Endpoint, Parameter, Query
from .errors import CLOSED, InvalidArgumentError, StoreError
from .schema import OBSERVED_AT, TABLES, Column, Metadata, Position, Table

Needs = Mapping[str, frozenset[str]]  # by table, the columns a method needs of it

_ALIKE: Final = 0.5  # a frame with half of a table's columns was made of it
_NOT_TELLING: Final = frozenset(
    column.name
    for table in TABLES.values()
    for column in table.columns
    if isinstance(column.place, Position | Metadata)
)


def _names(table: Table) -> frozenset[str]:
    return frozenset(table.names)


def _identifying(table: Table) -> frozenset[str]:
    """Key columns, and what tells the table from others with the same key."""
    twins = [other for other in TABLES.values() if other is not table and other.key == table.key]
    own = _names(table).difference(*map(_names, twins)) if twins else frozenset()
    return frozenset(table.key) | own


IDENTIFYING: Final[Needs] = MappingProxyType({name: _identifying(table) for name, table in TABLES.items()})
_COVERED_BY: Final[Mapping[str, tuple[Table, ...]]] = MappingProxyType(
    {
        name: tuple(other for other in TABLES.values() if other is not table and set(table.key) <= _names(other))
        for name, table in TABLES.items()
    }
)


def columns_of(frame: pd.DataFrame) -> frozenset[str]:
    """List the columns that can be meant by their name: text, and there once."""
    counts = Counter(frame.columns)
    return frozenset(name for name, times in counts.items() if times == 1 and isinstance(name, str))


def tables_in(columns: Collection[str]) -> list[Table]:
    """Tell which tables a frame with these columns holds.

    A key alone is no proof: every trend has the key of its hashtag, and a ranking that lost a filter that of a
    category. So the table that explains most columns comes first, then the one that explains most of the rest.

    Parameters
    ----------
    columns : collection of str
        Names of the columns.

    Returns
    -------
    list of Table
        One for each table merged into the frame; none where every key is incomplete.
    """
    have = frozenset(columns)
    there = [table for name, table in TABLES.items() if IDENTIFYING[name] <= have]
    left = have - _NOT_TELLING
    pool = {table.name: table for table in there} | {
        other.name: other
        for table in there
        for other in _COVERED_BY[table.name]
        if (_names(other) - _names(table)) & left
    }
    found: list[Table] = []
    while pool:
        best = max(pool.values(), key=lambda table: (len(_names(table) & left), table in there, len(table.key)))
        explained = _names(best) & left
        if not explained:
            break
        # Of an answer that is known already, one more key column is more likely the user's own than another table.
        known = any(ENDPOINT_OF[table.name] is ENDPOINT_OF[best.name] for table in found)
        if best in there and (not known or explained - set(best.key)):
            found.append(best)
        left -= explained
        del pool[best.name]
    return [table for table in there if table in found]


def choose(tables: Collection[Table], *, for_answers: bool = False) -> Table | None:
    """Choose the table that is meant; None where there is none, or two entities are.

    Tables of one answer are one entity: the finest of them is what a row is about. Two lists of one answer side by side
    are two, but which is meant makes no difference where only the answer is asked for.
    """
    if not tables:
        return None
    finest = max(tables, key=lambda table: len(table.key))
    one_answer = all(ENDPOINT_OF[table.name] is ENDPOINT_OF[finest.name] for table in tables)
    nested = all(table is finest or set(table.key) < set(finest.key) for table in tables)
    return finest if one_answer and (nested or for_answers) else None


def nearest(columns: Collection[str]) -> Table | None:
    """Find the table a frame was probably made of: the one it has most of, if that is half."""
    have = frozenset(columns)
    shares = {name: len(_names(table) & have) / len(table.names) for name, table in TABLES.items()}
    best = max(shares, key=lambda name: shares[name])
    return TABLES[best] if shares[best] >= _ALIKE else None


def reading_client(client: Client | None) -> Client:
    """Take the client given, else the default one, whose store rows are looked up in; it can still read."""
    connection = find_client(client)
    if connection.closed:
        raise StoreError(CLOSED)
    return connection


# Rows -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """What identifies the answer of a row: what was asked, whom of a ranking it is about, when it was observed."""

    query: Query
    who: str | None
    at: int | None  # microseconds since 1970; None: the newest there is


def check_column(series: pd.Series[Any], column: Column, parameter: Parameter) -> list[Value]:
    """Read a column as values of a parameter, checked as if they had been typed into a call."""
    values = read_column(series, column)
    checked = {value: parameter.check(str(series.name), value) for value in dict.fromkeys(values)}
    return [checked[value] for value in values]


def rows_of(frame: pd.DataFrame, table: Table) -> list[Row]:
    """List the distinct answers (of a ranking: entities in it) behind a frame, in the order of its rows.

    Raises
    ------
    InvalidArgumentError
        A key is missing or is none.
    """
    endpoint = ENDPOINT_OF[table.name]
    asked = [check_column(frame[p.column], table[p.column], p) for p in endpoint.inputs]
    whom = _whom(frame, table, endpoint) if endpoint.ranking else [None] * len(frame)
    known = OBSERVED_AT.name in columns_of(frame)
    moments = read_times(frame[OBSERVED_AT.name]) if known else [None] * len(frame)
    distinct = dict.fromkeys(zip(*asked, whom, moments, strict=True))
    return [Row(Query(endpoint, tuple(values)), who, at) for *values, who, at in distinct]


def _whom(frame: pd.DataFrame, table: Table, endpoint: Endpoint) -> list[str]:
    column = table[endpoint.tables[0].key[-1]]
    values = read_column(frame[column.name], column)
    if None in values:
        raise InvalidArgumentError(
            f"{column.name} is missing in {values.count(None):,} rows; drop them first: "
            f'df.dropna(subset=["{column.name}"])'
        )
    return [str(value) for value in values]
