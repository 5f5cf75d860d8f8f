"""From rows of a frame to the stored answers they came from, and to what else these answers have. Nothing is sent."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final, cast

import numpy as np
import pandas as pd

from ..client import Client, failures_frame, priced
from ..columns import read_column, read_times
from ..errors import MissingDataWarning, NotStoredError, listed, warn
from ..fetch import read_table
from ..frames import Row, check_column, columns_of, rows_of
from ..model import OBSERVED_AT, PAGE_SIZE, SOURCE, Query, Table
from ..notices import warn_of_drift
from ..store import Answer, Observation, when
from ..tidy import empty_frame

_MOST_NAMED: Final = 10
_MOST_MOMENTS: Final = 3
_SECOND: Final = 1_000_000  # microseconds
_PRECISIONS: Final = (1_000, _SECOND)  # to which some files keep times
_PLACE: Final = "place in the frame"

Found = Sequence[tuple[Row, Observation]]
NONE: Final[Found] = ()


# Finding answers --------------------------------------------------------------------------------------------


def find(frame: pd.DataFrame, table: Table, client: Client, method: str) -> Found:
    """Return the stored answers of a frame's rows: the very ones they came from, else the newest."""
    rows = rows_of(frame, table)
    foreign = _foreign_sources(frame, client)
    stored = [None] * len(rows) if foreign else _look_up(rows, client)
    missing = [row for row, one in zip(rows, stored, strict=True) if one is None]
    if missing:
        raise _not_stored(method, missing, client, foreign)
    found = [(row, one) for row, one in zip(rows, stored, strict=True) if one is not None]
    absent = list(dict.fromkeys(row.query.id for row, one in found if one.absent))
    if absent:
        warn(
            f"{method}: KeyAPI has nothing for {listed(absent, _MOST_NAMED)} in the newest stored answer, so they have "
            "no row. To read the answers that the rows came from, keep the column observed_at",
            MissingDataWarning,
        )
    return [(row, one) for row, one in found if not one.absent]


def _foreign_sources(frame: pd.DataFrame, client: Client) -> list[str]:
    """Return the sources of rows that cannot be in the store: a store belongs to one source."""
    if SOURCE.name not in columns_of(frame):
        return []
    return [str(one) for one in frame[SOURCE.name].dropna().unique() if str(one) != client.source]


def _look_up(rows: Sequence[Row], client: Client) -> list[Observation | None]:
    dated = _find_dated({(row.query.key, row.at) for row in rows if row.at is not None}, client)
    undated = [row for row in rows if row.at is None]
    newest: dict[Row, Observation] = {}
    if undated and undated[0].query.endpoint.ranking:
        for query, own in _by_query(undated).items():
            newest |= _newest_places({str(row.who): row for row in own}, query, client)
    elif undated:
        latest = client.store.latest((row.query.key for row in undated), until=client.policy.until)
        newest = {row: latest[row.query.key] for row in undated if row.query.key in latest}
    return [newest.get(row) if row.at is None else dated.get((row.query.key, row.at)) for row in rows]


def _find_dated(moments: Collection[tuple[str, int]], client: Client) -> dict[tuple[str, int], Observation]:
    """Find the answers of some moments; where a file cut these, the only one there can be."""
    found = client.store.exactly(moments)
    cut = [(key, at) for key, at in moments if (key, at) not in found and not at % _PRECISIONS[0]]
    histories = client.store.histories({key for key, _ in cut}) if cut else {}
    for key, at in cut:
        for precision in _PRECISIONS:  # cut off or rounded
            near = [one for one in histories.get(key, ()) if -precision <= 2 * (one.observed_at - at) < 2 * precision]
            if len(near) == 1 and not at % precision:
                found[key, at] = near[0]
            if near:
                break
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
    dated = list(dict.fromkeys(row for row in missing if row.at is not None))
    newest = zip(dated, _look_up([replace(row, at=None) for row in dated], client), strict=True)
    others = {row: one for row, one in newest if one is not None}
    unknown = _by_query([row for row in missing if row not in others])
    wanted = len(unknown)
    if endpoint.ranking:  # so many pages at least
        wanted = sum(math.ceil(len({row.who for row in rows}) / PAGE_SIZE) for rows in unknown.values())
    named = _named(missing, [one.observed_at for one in others.values()])
    text = f"{method} reads stored answers only, and {client.policy.place} does not have {listed(named, _MOST_NAMED)}."
    if wanted:
        cost = priced(endpoint.cost(wanted) // endpoint.credits, endpoint)
        what = "Fetching what is not stored" if others else "Fetching"
        least = "at least " if endpoint.ranking else ""
        text += f" {what} takes {least}{cost}: kr.fetch_{endpoint.tables[0].name}(...)."
    if foreign:
        text += f" The rows come from {' and '.join(foreign)}, but this connection reads {client.source}."
    elif others:
        text += (
            f" Other observations{' of the rest' if wanted else ''} are stored. To read the newest, drop observed_at: "
            f'df.drop(columns="observed_at").keyapi.{method}'
        )
    error = NotStoredError(text, endpoint=endpoint.path)
    error.failures = failures_frame(dict.fromkeys(_by_query(missing), error), None)
    return error


def _by_query(rows: Sequence[Row]) -> dict[Query, list[Row]]:
    grouped: dict[Query, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.query, []).append(row)
    return grouped


def _named(rows: Sequence[Row], beside: Sequence[int]) -> list[str]:
    """Name each query once, with the times of its rows: to the second if that tells all of them apart."""
    moments = {row.at for row in rows if row.at is not None} | set(beside)
    precise = len({at // _SECOND for at in moments}) < len(moments)
    names = []
    for query, own in _by_query(rows).items():
        known = sorted({row.at for row in own if row.at is not None})
        times = [f"{when(at):{'%Y-%m-%d %H:%M:%S.%f' if precise else '%Y-%m-%d %H:%M:%S'}} UTC" for at in known]
        rest = ", ".join(map(str, query.values[1:]))  # noqa: PD011 - not pandas
        name = query.id if query.endpoint.ranking or not rest else f"{query.id} ({rest})"
        names.append(f"{name}{f' of {listed(times, _MOST_MOMENTS)}' if times else ''}")
    return names


# Reading answers --------------------------------------------------------------------------------------------


def distinct(found: Found) -> list[Observation]:
    """Return the answers behind some rows, each once."""
    return list({one.id: one for _, one in found}.values())


def _tabled(table: Table, found: Sequence[Answer], client: Client) -> pd.DataFrame:
    """Make a table of stored answers, and warn of what it leaves out."""
    frame, issues = read_table(table, found, client)
    warn_of_drift(table, issues, client)
    return frame


def read(table: Table, found: Found, client: Client) -> pd.DataFrame:
    """Read a table out of the answers of some rows; out of a ranking, only what is about these rows."""
    if not found:
        return empty_frame(table)
    if not table.endpoint.ranking:
        answers = {one.id: Answer(row.query, one) for row, one in found}
        return _tabled(table, list(answers.values()), client)
    places = {(row.query, row.who, one.observed_at): place for place, (row, one) in enumerate(found)}
    pulls: dict[tuple[Query, int], dict[int, Observation]] = {}  # an entity counts once in each
    for row, one in found:
        pulls.setdefault((row.query, one.pull), {})[one.id] = one
    parts = []
    for (query, _), pages in pulls.items():
        in_order = sorted(pages.values(), key=lambda one: one.page)
        part = _tabled(table, [Answer(query, page) for page in in_order], client)
        rows = zip(part[query.endpoint.tables[0].key[-1]], read_times(part[OBSERVED_AT.name]), strict=True)
        part[_PLACE] = pd.array([places.get((query, who, cast("int", at))) for who, at in rows], dtype="Int64")
        parts.append(part.dropna(subset=[_PLACE]))
    return pd.concat(parts).sort_values(_PLACE, kind="stable", ignore_index=True).drop(columns=_PLACE)


def read_history(frame: pd.DataFrame, table: Table, client: Client, method: str) -> pd.DataFrame:
    """Read every stored observation of the rows of a frame, by key, then by time."""
    rows = rows_of(frame, table)
    foreign = _foreign_sources(frame, client)
    pulls = {} if foreign else _all_pulls(list(dict.fromkeys(row.query for row in rows)), client)
    missing = list(dict.fromkeys(replace(row, at=None) for row in rows if row.query not in pulls))
    if missing:
        raise _not_stored(method, missing, client, foreign)
    client.records.note_read([one for found in pulls.values() for pull in found for one in pull])
    each = [[Answer(query, one) for one in pull if not one.absent] for query, found in pulls.items() for pull in found]
    if not table.endpoint.ranking:  # an entity counts once in each pull of a ranking
        each = [[one for pull in each for one in pull]]
    parts = [_tabled(table, pull, client) for pull in each if pull]
    if not parts:
        return empty_frame(table)
    whole = pd.concat(parts, ignore_index=True)
    wanted = set(_keys(frame, table))
    kept = whole[np.array([key in wanted for key in _keys(whole, table)], dtype=np.bool_)]
    return kept.sort_values([*table.key, OBSERVED_AT.name], kind="stable", ignore_index=True)


def _all_pulls(queries: Sequence[Query], client: Client) -> dict[Query, list[list[Observation]]]:
    """Find all observations of some queries; of a ranking, pull by pull."""
    if queries[0].endpoint.ranking:
        pulls = {query: client.store.pulls(query.key, until=client.policy.until) for query in queries}
    else:
        until = math.inf if client.policy.until is None else client.policy.until
        histories = client.store.histories(query.key for query in queries)
        pulls = {q: [[one] for one in histories.get(q.key, ()) if one.observed_at <= until] for q in queries}
    return {query: found for query, found in pulls.items() if found}


def _keys(frame: pd.DataFrame, table: Table) -> list[tuple[Any, ...]]:
    """Return the keys of rows as plain values, whatever dtypes the frame has."""
    inputs = table.endpoint.columns
    columns = []
    for name in table.key:
        series, column = frame[name], table[name]
        columns.append(check_column(series, column, inputs[name]) if name in inputs else read_column(series, column))
    return list(zip(*columns, strict=True))
