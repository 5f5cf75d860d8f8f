"""From rows of a frame to the stored answers they came from, and to what else these answers have. Nothing is sent."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import pandas as pd

from ..arguments import Value
from ..client import Client, failures_frame
from ..endpoints import ENDPOINT_OF, Ask, Endpoint, Parameter
from ..errors import InvalidArgumentError, MissingDataWarning, NotStoredError, listed, warn
from ..fetch import read_table
from ..schema import OBSERVED_AT, SOURCE, Column, Table
from ..store import Observation, when
from ..tidy import empty_frame, read_values
from .recognise import columns_of

_MOST_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class Row:
    """What identifies the answer of a row: what was asked, whom of a ranking it is about, when it was observed."""

    ask: Ask
    who: str | None
    at: int | None  # microseconds since 1970; None: the newest there is


Found = Sequence[tuple[Row, Observation]]


# Reading frames ---------------------------------------------------------------------------------------------


def read_column(series: pd.Series[Any], column: Column) -> list[Any]:
    """Read a column as plain values of its kind, whatever dtype a file or a merge gave it; None where missing.

    What cannot be read stays as it is, so that the check of its parameter can say what is wrong with it.
    """
    if column.kind == "time":
        return list(read_times(series))
    values = [None if missing else value for value, missing in zip(series.tolist(), series.isna(), strict=True)]
    read = pd.Series(read_values(column, values)[0]).astype(object)
    lost = read.isna()
    return [_hashable(value) if gone else plain for value, plain, gone in zip(values, read, lost, strict=True)]


def _hashable(value: object) -> object:
    return value if isinstance(value, Hashable) else repr(value)


def read_times(series: pd.Series[Any]) -> list[int | None]:
    """Read times, also from text, as microseconds since 1970; None where missing. Naive is UTC."""
    is_time = pd.api.types.is_datetime64_any_dtype(series)
    stamps = pd.to_datetime(series if is_time else _as_text(series), utc=True, format="ISO8601", errors="coerce")
    odd = series[(stamps.isna() & series.notna()).to_numpy()]
    if len(odd):
        raise InvalidArgumentError(
            f"{series.name}: {odd.iloc[0]!r} is no time; read the file again with kr.read_csv(path)"
        )
    microseconds = stamps.dt.as_unit("us").astype("int64")
    return [None if missing else at for at, missing in zip(microseconds.tolist(), stamps.isna(), strict=True)]


def _as_text(series: pd.Series[Any]) -> pd.Series[Any]:
    return series.map(lambda value: None if isinstance(value, int | float) else str(value), na_action="ignore")


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
    asked = [check_column(frame[p.column], table[p.column], p) for p in endpoint.asked]
    whom = _whom(frame, table, endpoint) if endpoint.ranking else [None] * len(frame)
    known = OBSERVED_AT.name in columns_of(frame)
    moments = read_times(frame[OBSERVED_AT.name]) if known else [None] * len(frame)
    distinct = dict.fromkeys(zip(*asked, whom, moments, strict=True))
    return [Row(Ask(endpoint, tuple(values)), who, at) for *values, who, at in distinct]


def _whom(frame: pd.DataFrame, table: Table, endpoint: Endpoint) -> list[str]:
    column = table[endpoint.tables[0].key[-1]]
    values = read_column(frame[column.name], column)
    if None in values:
        raise InvalidArgumentError(
            f"{column.name} is missing in {values.count(None):,} rows; drop them first: "
            f'df.dropna(subset=["{column.name}"])'
        )
    return [str(value) for value in values]


# Finding answers --------------------------------------------------------------------------------------------


def find(frame: pd.DataFrame, table: Table, client: Client, method: str) -> Found:
    """Find the stored answers of a frame's rows: the very ones they came from, else the newest.

    Raises
    ------
    NotStoredError
        Some are not stored; it names them and what fetching them costs.
    """
    rows = rows_of(frame, table)
    strangers = _strangers(frame, client)
    stored = {} if strangers else _look_up(rows, ENDPOINT_OF[table.name], client)
    missing = [row for row in rows if row not in stored]
    if missing:
        raise _not_stored(method, missing, client, strangers)
    absent = list(dict.fromkeys(row.ask.id for row in rows if stored[row].absent))
    if absent:
        warn(
            f"{method}: KeyAPI has nothing for {listed(absent, _MOST_NAMED)} by the newest stored answer; they have "
            "no row. With the column observed_at the answers the rows came from are read",
            MissingDataWarning,
        )
    return [(row, stored[row]) for row in rows if not stored[row].absent]


def _strangers(frame: pd.DataFrame, client: Client) -> list[str]:
    """Name the sources of rows that cannot be in the store: a store belongs to one source."""
    if SOURCE.name not in columns_of(frame):
        return []
    return [str(one) for one in frame[SOURCE.name].dropna().unique() if str(one) != client.source]


def _look_up(rows: Sequence[Row], endpoint: Endpoint, client: Client) -> dict[Row, Observation]:
    exact = client.store.exactly({(row.ask.key, row.at) for row in rows if row.at is not None})
    found = {row: exact[row.ask.key, row.at] for row in rows if row.at is not None and (row.ask.key, row.at) in exact}
    undated = [row for row in rows if row.at is None]
    if endpoint.ranking:
        for ask in dict.fromkeys(row.ask for row in undated):
            found |= _newest_places({str(row.who): row for row in undated if row.ask == ask}, ask, client)
    elif undated:
        newest = client.store.latest((row.ask.key for row in undated), until=client.until)
        found |= {row: newest[row.ask.key] for row in undated if row.ask.key in newest}
    return found


def _newest_places(rows: dict[str, Row], ask: Ask, client: Client) -> dict[Row, Observation]:
    """Find the newest page of a ranking each entity is on."""
    found: dict[Row, Observation] = {}
    table = ask.endpoint.tables[0]
    for walk in client.store.walks(ask.key, until=client.until):
        pages = {page.observed_at: page for page in walk}
        ranking, _ = read_table(table, [(ask, page) for page in walk], client)
        for who, at in zip(ranking[table.key[-1]], read_times(ranking[OBSERVED_AT.name]), strict=True):
            if who in rows:
                found[rows.pop(who)] = pages[cast("int", at)]
        if not rows:
            break
    return found


def _not_stored(method: str, rows: Sequence[Row], client: Client, strangers: Sequence[str]) -> NotStoredError:
    endpoint = rows[0].ask.endpoint
    answers = dict.fromkeys((row.ask, row.at) for row in rows)
    asks = dict.fromkeys(ask for ask, _ in answers)
    cost = endpoint.cost(len(answers if endpoint.ranking else asks))
    where = f"the archive {client.replaying}" if client.replaying else f"the store {client.store.path}"
    named = [f"{_call(ask)}{f' of {when(at):%Y-%m-%d %H:%M:%S} UTC' if at else ''}" for ask, at in answers]
    hint = ""
    if strangers:
        hint = f" The rows come from {' and '.join(strangers)}, this connection reads {client.source}."
    elif client.store.latest((ask.key for ask, at in answers if at is not None), until=client.until):
        hint = " Other observations are stored: without the column observed_at the newest is read."
    error = NotStoredError(
        f"{method} reads stored answers only, and {where} does not have {listed(named, _MOST_NAMED)}. Fetching takes "
        f"{cost // endpoint.credits:,} requests = {cost:,} credits: kr.fetch_{endpoint.tables[0].name}(...).{hint}",
        endpoint=endpoint.path,
    )
    error.failures = failures_frame(dict.fromkeys(asks, error), None)
    return error


def _call(ask: Ask) -> str:
    rest = ", ".join(map(str, ask.values[1:]))  # noqa: PD011 - not pandas
    return ask.id if ask.endpoint.ranking or not rest else f"{ask.id} ({rest})"


# Reading answers --------------------------------------------------------------------------------------------


def distinct(found: Found) -> list[Observation]:
    """List the answers behind some rows, each once."""
    return list({one.id: one for _, one in found}.values())


def read(table: Table, found: Found, client: Client) -> pd.DataFrame:
    """Read a table out of the answers of some rows; out of a ranking, only what is about these rows."""
    client.note_read(table.name, distinct(found))
    if not ENDPOINT_OF[table.name].ranking:
        answers = {one.id: (row.ask, one) for row, one in found}
        return read_table(table, list(answers.values()), client)[0]
    places = {(row.ask, row.who, one.observed_at): place for place, (row, one) in enumerate(found)}
    parts = [_read_walk(table, ask, pages, places, client) for (ask, _), pages in _walks(found).items()]
    if not parts:
        return empty_frame(table)
    whole = pd.concat([part for part, _ in parts], ignore_index=True)
    order = pd.concat([place for _, place in parts], ignore_index=True).sort_values(kind="stable")
    return whole.loc[order.index].reset_index(drop=True)


def _walks(found: Found) -> dict[tuple[Ask, int], list[Observation]]:
    """Gather pages by the walk they belong to: an entity counts once in each."""
    walks: dict[tuple[Ask, int], dict[int, Observation]] = {}
    for row, one in found:
        walks.setdefault((row.ask, one.walk), {})[one.id] = one
    return {walk: sorted(pages.values(), key=lambda one: one.page) for walk, pages in walks.items()}


def _read_walk(
    table: Table,
    ask: Ask,
    pages: Sequence[Observation],
    places: dict[tuple[Ask, str | None, int], int],
    client: Client,
) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """Read the rows wanted from pages of one walk, and the place of each in the order of the frame."""
    frame, _ = read_table(table, [(ask, page) for page in pages], client)
    who = frame[ask.endpoint.tables[0].key[-1]]
    at = (cast("int", one) for one in read_times(frame[OBSERVED_AT.name]))
    place = pd.Series([places.get((ask, *one)) for one in zip(who, at, strict=True)], dtype="Int64")
    wanted = place.notna().to_numpy()
    return frame[wanted], place[wanted]


def read_history(frame: pd.DataFrame, table: Table, client: Client, method: str) -> pd.DataFrame:
    """Read every stored observation of the rows of a frame, by key, then by time."""
    rows = rows_of(frame, table)
    asks = list(dict.fromkeys(row.ask for row in rows))
    strangers = _strangers(frame, client)
    walks = {} if strangers else _all_walks(asks, client)
    missing = [row for row in rows if row.ask not in walks]
    if missing:
        raise _not_stored(method, missing, client, strangers)
    client.note_read(table.name, [one for ask in asks for walk in walks[ask] for one in walk])
    if ENDPOINT_OF[table.name].ranking:  # an entity counts once in each walk through a ranking
        parts = [read_table(table, [(ask, page) for page in walk], client)[0] for ask in asks for walk in walks[ask]]
        whole = pd.concat(parts, ignore_index=True)
    else:
        pairs = [(ask, one) for ask in asks for walk in walks[ask] for one in walk if not one.absent]
        whole, _ = read_table(table, pairs, client)
    wanted = set(_keys(frame, table))
    kept = whole[[key in wanted for key in _keys(whole, table)]]
    return kept.sort_values([*table.key, OBSERVED_AT.name], kind="stable", ignore_index=True)


def _all_walks(asks: Sequence[Ask], client: Client) -> dict[Ask, list[list[Observation]]]:
    """Find all observations of what was asked; of a ranking, walk by walk."""
    if asks and asks[0].endpoint.ranking:
        walks = {ask: client.store.walks(ask.key, until=client.until) for ask in asks}
        return {ask: found for ask, found in walks.items() if found}
    by_key = {ask.key: ask for ask in asks}
    found: dict[Ask, list[list[Observation]]] = {}
    for one in client.store.history(by_key):
        if client.until is None or one.observed_at <= client.until:
            found.setdefault(by_key[one.entity], []).append([one])
    return found


def _keys(frame: pd.DataFrame, table: Table) -> list[tuple[Any, ...]]:
    """List the keys of rows as plain values, whatever dtypes the frame has."""
    asked = ENDPOINT_OF[table.name].columns
    return list(
        zip(
            *(
                check_column(frame[name], table[name], asked[name])
                if name in asked
                else read_column(frame[name], table[name])
                for name in table.key
            ),
            strict=True,
        )
    )
