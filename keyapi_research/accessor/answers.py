"""From rows of a frame to the stored answers they came from, and to what else these answers have. Nothing is sent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, cast

import pandas as pd

from ..client import Client, failures_frame, priced
from ..endpoints import ENDPOINT_OF, PAGE_SIZE, Endpoint, Query
from ..errors import MissingDataWarning, NotStoredError, listed, warn
from ..fetch import read_table, say_what_is_odd
from ..frames import Row, check_column, columns_of, read_column, read_times, rows_of
from ..schema import OBSERVED_AT, SOURCE, Table
from ..store import Answer, Observation, when
from ..tidy import empty_frame

_MOST_NAMED: Final = 10
_MOST_MOMENTS: Final = 3
_SECOND: Final = 1_000_000  # microseconds

Found = Sequence[tuple[Row, Observation]]


# Finding answers --------------------------------------------------------------------------------------------


def find(frame: pd.DataFrame, table: Table, client: Client, method: str) -> Found:
    """Find the stored answers of a frame's rows: the very ones they came from, else the newest.

    Raises
    ------
    NotStoredError
        Some are not stored; it names them and what fetching them costs.
    """
    rows = rows_of(frame, table)
    foreign = _strangers(frame, client)
    stored = {} if foreign else _look_up(rows, ENDPOINT_OF[table.name], client)
    missing = [row for row in rows if row not in stored]
    if missing:
        raise _not_stored(method, missing, client, foreign)
    absent = list(dict.fromkeys(row.query.id for row in rows if stored[row].absent))
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
    exact = client.store.exactly({(row.query.key, row.at) for row in rows if row.at is not None})
    found = {
        row: exact[row.query.key, row.at] for row in rows if row.at is not None and (row.query.key, row.at) in exact
    }
    undated = [row for row in rows if row.at is None]
    if endpoint.ranking:
        for query in dict.fromkeys(row.query for row in undated):
            found |= _newest_places({str(row.who): row for row in undated if row.query == query}, query, client)
    elif undated:
        newest = client.store.latest((row.query.key for row in undated), until=client.policy.until)
        found |= {row: newest[row.query.key] for row in undated if row.query.key in newest}
    return found


def _newest_places(rows: dict[str, Row], query: Query, client: Client) -> dict[Row, Observation]:
    """Find the newest page of a ranking each entity is on."""
    found: dict[Row, Observation] = {}
    table = query.endpoint.tables[0]
    for pull in client.store.pulls(query.key, until=client.policy.until):
        pages = {page.observed_at: page for page in pull}
        ranking, _ = read_table(table, [Answer(query, page) for page in pull], client)
        for who, at in zip(ranking[table.key[-1]], read_times(ranking[OBSERVED_AT.name]), strict=True):
            if who in rows:
                found[rows.pop(who)] = pages[cast("int", at)]
        if not rows:
            break
    return found


def _not_stored(method: str, missing: Sequence[Row], client: Client, foreign: Sequence[str]) -> NotStoredError:
    """Make the error: what is not there, what fetching it costs, and what is there instead."""
    endpoint = missing[0].query.endpoint
    queries = dict.fromkeys(row.query for row in missing)
    dated = {row: replace(row, at=None) for row in missing if row.at is not None}
    others = _look_up(list(dict.fromkeys(dated.values())), endpoint, client)
    unknown = [row for row in missing if dated.get(row) not in others]
    wanted = sum(map(_pages, _by_ask(unknown).values())) if endpoint.ranking else len(_by_ask(unknown))
    named = _named(missing, [one.observed_at for one in others.values()])
    text = f"{method} reads stored answers only, and {client.policy.place} does not have {listed(named, _MOST_NAMED)}."
    if wanted:
        cost = priced(endpoint.cost(wanted) // endpoint.credits, endpoint)
        what = "Fetching what is not stored at all" if others else "Fetching"
        text += (
            f" {what} takes {'at least ' if endpoint.ranking else ''}{cost}: kr.fetch_{endpoint.tables[0].name}(...)."
        )
    if foreign:
        text += f" The rows come from {' and '.join(foreign)}, this connection reads {client.source}."
    elif others:
        text += (
            f" Other observations{' of the rest' if wanted else ''} are stored: without the column observed_at the "
            'newest is read, as df.drop(columns="observed_at").keyapi.'
            f"{method}"
        )
    error = NotStoredError(text, endpoint=endpoint.path)
    error.failures = failures_frame(dict.fromkeys(queries, error), None)
    return error


def _by_ask(rows: Sequence[Row]) -> dict[Query, list[Row]]:
    grouped: dict[Query, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.query, []).append(row)
    return grouped


def _pages(rows: Sequence[Row]) -> int:
    """How many pages of a ranking so many entities take at least."""
    return math.ceil(len({row.who for row in rows}) / PAGE_SIZE)


def _named(rows: Sequence[Row], beside: Sequence[int]) -> list[str]:
    """Name what was asked, each once, with the times of its rows: to the second if that tells all of them apart."""
    moments = {row.at for row in rows if row.at is not None} | set(beside)
    precise = len({at // _SECOND for at in moments}) < len(moments)
    names = []
    for query, own in _by_ask(rows).items():
        known = sorted({row.at for row in own if row.at is not None})
        times = [f"{when(at):{'%Y-%m-%d %H:%M:%S.%f' if precise else '%Y-%m-%d %H:%M:%S'}} UTC" for at in known]
        names.append(f"{_call(query)}{f' of {listed(times, _MOST_MOMENTS)}' if times else ''}")
    return names


def _call(query: Query) -> str:
    rest = ", ".join(map(str, query.values[1:]))  # noqa: PD011 - not pandas
    return query.id if query.endpoint.ranking or not rest else f"{query.id} ({rest})"


# Reading answers --------------------------------------------------------------------------------------------


def distinct(found: Found) -> list[Observation]:
    """List the answers behind some rows, each once."""
    return list({one.id: one for _, one in found}.values())


def _tabled(table: Table, found: Sequence[Answer], client: Client) -> pd.DataFrame:
    """Make a table of stored answers, and say what it leaves out."""
    frame, odd = read_table(table, found, client)
    say_what_is_odd(table, odd, client)
    return frame


def read(table: Table, found: Found, client: Client) -> pd.DataFrame:
    """Read a table out of the answers of some rows; out of a ranking, only what is about these rows."""
    if not ENDPOINT_OF[table.name].ranking:
        answers = {one.id: Answer(row.query, one) for row, one in found}
        return _tabled(table, list(answers.values()), client)
    places = {(row.query, row.who, one.observed_at): place for place, (row, one) in enumerate(found)}
    parts = [_read_pull(table, query, pages, places, client) for (query, _), pages in _pulls(found).items()]
    if not parts:
        return empty_frame(table)
    whole = pd.concat([part for part, _ in parts], ignore_index=True)
    order = pd.concat([place for _, place in parts], ignore_index=True).sort_values(kind="stable")
    return whole.loc[order.index].reset_index(drop=True)


def _pulls(found: Found) -> dict[tuple[Query, int], list[Observation]]:
    """Gather pages by the pull they belong to: an entity counts once in each."""
    pulls: dict[tuple[Query, int], dict[int, Observation]] = {}
    for row, one in found:
        pulls.setdefault((row.query, one.pull), {})[one.id] = one
    return {pull: sorted(pages.values(), key=lambda one: one.page) for pull, pages in pulls.items()}


def _read_pull(
    table: Table,
    query: Query,
    pages: Sequence[Observation],
    places: dict[tuple[Query, str | None, int], int],
    client: Client,
) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """Read the rows wanted from pages of one pull, and the place of each in the order of the frame."""
    frame = _tabled(table, [Answer(query, page) for page in pages], client)
    who = frame[query.endpoint.tables[0].key[-1]]
    at = (cast("int", one) for one in read_times(frame[OBSERVED_AT.name]))
    place = pd.Series([places.get((query, *one)) for one in zip(who, at, strict=True)], dtype="Int64")
    wanted = place.notna().to_numpy()
    return frame[wanted], place[wanted]


def read_history(frame: pd.DataFrame, table: Table, client: Client, method: str) -> pd.DataFrame:
    """Read every stored observation of the rows of a frame, by key, then by time."""
    rows = rows_of(frame, table)
    queries = list(dict.fromkeys(row.query for row in rows))
    foreign = _strangers(frame, client)
    pulls = {} if foreign else _all_pulls(queries, client)
    missing = list(dict.fromkeys(replace(row, at=None) for row in rows if row.query not in pulls))
    if missing:
        raise _not_stored(method, missing, client, foreign)
    client.records.note_read([one for query in queries for pull in pulls[query] for one in pull])
    if ENDPOINT_OF[table.name].ranking:  # an entity counts once in each pull through a ranking
        each = [[Answer(query, page) for page in pull] for query in queries for pull in pulls[query]]
        parts = [_tabled(table, pull, client) for pull in each]
        whole = pd.concat(parts, ignore_index=True)
    else:
        pairs = [Answer(query, one) for query in queries for pull in pulls[query] for one in pull if not one.absent]
        whole = _tabled(table, pairs, client)
    wanted = set(_keys(frame, table))
    kept = whole[[key in wanted for key in _keys(whole, table)]]
    return kept.sort_values([*table.key, OBSERVED_AT.name], kind="stable", ignore_index=True)


def _all_pulls(queries: Sequence[Query], client: Client) -> dict[Query, list[list[Observation]]]:
    """Find all observations of what was asked; of a ranking, pull by pull."""
    if queries and queries[0].endpoint.ranking:
        pulls = {query: client.store.pulls(query.key, until=client.policy.until) for query in queries}
        return {query: found for query, found in pulls.items() if found}
    by_key = {query.key: query for query in queries}
    found: dict[Query, list[list[Observation]]] = {}
    for entity, history in client.store.histories(by_key).items():
        until = [[one] for one in history if client.policy.until is None or one.observed_at <= client.policy.until]
        if until:
            found[by_key[entity]] = until
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
