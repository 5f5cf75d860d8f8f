"""From rows of a frame to the stored answers they came from, and to what else these answers have. Nothing is sent."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, cast

import numpy as np
import pandas as pd

from ..client import Client, failures_frame, priced
from ..columns import read_times
from ..errors import MissingDataWarning, NotStoredError, listed, warn
from ..fetch import read_table
from ..frames import Row, check_column, columns_of, reading_client, rows_of
from ..model import OBSERVED_AT, PAGES, SOURCE, Table
from ..notices import warn_of_drift
from ..queries import Query
from ..store import Answer, Observation, when
from ..tidy import empty_frame

_MOST_NAMED: Final = 10
_MOST_MOMENTS: Final = 3
_PRECISIONS: Final = (1_000, 1_000_000)  # microseconds, to which some files keep times
_PLACE: Final = "place in the frame"

Found = Sequence[tuple[Row, Observation]]


# Finding answers --------------------------------------------------------------------------------------------


def find(frame: pd.DataFrame, table: Table, client: Client, method: str) -> Found:
    """Return the stored answers of a frame's rows: the very ones they came from, else the newest."""
    rows = rows_of(frame, table)
    foreign = _foreign_sources(frame, client)
    stored = {} if foreign else _look_up(rows, client)
    missing = [row for row in rows if row not in stored]
    if missing:
        raise _not_stored(method, missing, client, foreign)
    absent = list(dict.fromkeys(row.query.id for row in rows if stored[row].absent))
    if absent:
        warn(
            f"{method}: KeyAPI has nothing for {listed(absent, _MOST_NAMED)} in the newest stored answer, so they have "
            "no row. To read the answers that the rows came from, keep the column observed_at",
            MissingDataWarning,
        )
    return [(row, stored[row]) for row in rows if not stored[row].absent]


def _foreign_sources(frame: pd.DataFrame, client: Client) -> list[str]:
    """Return the sources of rows that cannot be in the store: a store belongs to one source."""
    if SOURCE.name not in columns_of(frame):
        return []
    return [str(one) for one in frame[SOURCE.name].dropna().unique() if str(one) != client.source]


def _look_up(rows: Sequence[Row], client: Client) -> dict[Row, Observation]:
    """Find the answers that rows stand for; those without a time stand for the newest."""
    undated = [row for row in rows if row.at is None]
    moments = {row: (row.query.key, row.at) for row in rows if row.at is not None}
    dated = _find_dated(set(moments.values()), client)
    found = {row: dated[moment] for row, moment in moments.items() if moment in dated}
    if undated and undated[0].query.endpoint.ranking:
        for query, own in _by_query(undated).items():
            found |= _newest_places({str(row.who): row for row in own}, query, client)
    elif undated:
        latest, _ = client.policy.newest([row.query for row in undated])
        found |= {row: latest[row.query.key] for row in undated if row.query.key in latest}
    judged = client.policy.judge([(row.query, one) for row, one in found.items()])
    return {row: one for row, one in zip(found, judged, strict=True) if isinstance(one, Observation)}


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
    table, name = query.endpoint.tables[0], query.endpoint.row_name
    for pull in client.store.pulls(query.key, until=client.policy.until):
        pages = {page.observed_at: page for page in pull}
        ranking, _ = read_table(table, [Answer(query, page) for page in pull], client)
        named = map(str, check_column(ranking[name], table[name]))
        for who, at in zip(named, read_times(ranking[OBSERVED_AT.name]), strict=True):
            if who in rows:
                found[rows.pop(who)] = pages[cast("int", at)]
        if not rows:
            break
    return found


def _not_stored(method: str, missing: Sequence[Row], client: Client, foreign: Sequence[str]) -> NotStoredError:
    endpoint = missing[0].query.endpoint
    newest = {row: replace(row, at=None) for row in missing}
    others = _look_up([one for row, one in newest.items() if row.at is not None], client)
    unknown = _by_query([row for row, one in newest.items() if one not in others])
    wanted = len(unknown)
    if endpoint.ranking:  # so many pages at least
        size = (endpoint.paging or PAGES).most
        wanted = sum(math.ceil(len({row.who for row in rows}) / size) for rows in unknown.values())
    place, named = client.policy.place, listed(_named(missing), _MOST_NAMED)
    text = f"{method} reads stored answers only, and {place} does not have {named}."
    if wanted:
        cost = priced(endpoint.cost(wanted) // endpoint.credits, endpoint)
        least = "at least " if endpoint.ranking else ""
        where = "kr." if endpoint.page else ""  # the function of a declared table is where its user put it
        text += f" Fetching what is not stored takes {least}{cost}: {where}{endpoint.tables[0].function}(...)."
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


def _named(rows: Sequence[Row]) -> list[str]:
    """Name each query once, with the times of its rows."""
    names = []
    for query, own in _by_query(rows).items():
        known = sorted({row.at for row in own if row.at is not None})
        times = listed([f"{when(at).replace(tzinfo=None)} UTC" for at in known], _MOST_MOMENTS)
        rest = "" if query.endpoint.ranking else ", ".join(map(str, query.values[1:]))  # noqa: PD011 - not pandas
        names.append(f"{query.id}{f' ({rest})' if rest else ''}{f' of {times}' if times else ''}")
    return names


# Reading answers --------------------------------------------------------------------------------------------


def distinct(found: Found) -> list[Observation]:
    """Return the answers behind some rows, each once."""
    return list({one.id: one for _, one in found}.values())


def _tabled(table: Table, pulls: Iterable[Sequence[Answer]], client: Client | None) -> pd.DataFrame:
    """Tabulate stored answers, and warn of what that leaves out; in a ranking an entity counts once a pull."""
    if not table.endpoint.ranking:
        pulls = [[one for pull in pulls for one in pull]]
    parts = []
    for answers in filter(None, pulls):
        connection = reading_client(client)
        frame, issues = read_table(table, answers, connection)
        warn_of_drift(table, issues, connection)
        parts.append(frame)
    return pd.concat(parts, ignore_index=True) if parts else empty_frame(table)


def read(table: Table, found: Found, client: Client | None) -> pd.DataFrame:
    """Read a table out of the answers of some rows; out of a ranking, only what is about these rows."""
    endpoint = table.endpoint
    pulls: dict[tuple[Query, int], dict[int, Answer]] = {}
    for row, one in found:
        pull = one.pull if endpoint.ranking else one.id
        pulls.setdefault((row.query, pull), {})[one.id] = Answer(row.query, one)
    whole = _tabled(table, [sorted(pages.values(), key=_page_of) for pages in pulls.values()], client)
    if not endpoint.ranking:
        return whole
    places = {
        (*row.query.values, row.who, one.observed_at): place  # noqa: PD011 - not pandas
        for place, (row, one) in enumerate(found)
    }
    names = (*(parameter.column for parameter in endpoint.inputs), endpoint.row_name, OBSERVED_AT.name)
    whole[_PLACE] = pd.array([places.get(key) for key in _keys(whole, table, names)], dtype="Int64")
    return whole.dropna(subset=[_PLACE]).sort_values(_PLACE, kind="stable", ignore_index=True).drop(columns=_PLACE)


def _page_of(answer: Answer) -> int:
    return answer.observation.page


def read_history(frame: pd.DataFrame, table: Table, client: Client, method: str) -> pd.DataFrame:
    """Read every stored observation of the rows of a frame, by key, then by time."""
    rows = rows_of(frame, table)
    foreign = _foreign_sources(frame, client)
    pulls = {} if foreign else _all_pulls(list(dict.fromkeys(row.query for row in rows)), client)
    missing = list(dict.fromkeys(replace(row, at=None) for row in rows if row.query not in pulls))
    if missing:
        raise _not_stored(method, missing, client, foreign)
    client.records.note_read([one for found in pulls.values() for pull in found for one in pull])
    there = [[Answer(query, one) for one in pull if not one.absent] for query, found in pulls.items() for pull in found]
    whole = _tabled(table, there, client)
    wanted = set(_keys(frame, table, table.key))
    kept = whole[np.array([key in wanted for key in _keys(whole, table, table.key)], dtype=np.bool_)]
    return kept.sort_values([*table.key, OBSERVED_AT.name], kind="stable", ignore_index=True)


def _all_pulls(queries: Sequence[Query], client: Client) -> dict[Query, list[list[Observation]]]:
    """Find all observations of some queries; of a ranking, pull by pull."""
    if queries[0].endpoint.ranking:
        pulls = {query: client.store.pulls(query.key, until=client.policy.until) for query in queries}
    else:
        until = math.inf if client.policy.until is None else client.policy.until
        histories = client.store.histories(query.key for query in queries)
        judged = {
            q: client.policy.judge(
                [(q, one) for one in histories.get(q.key, ()) if one.observed_at <= until and not one.page]
            )
            for q in queries
        }
        pulls = {q: [[one] for one in found if isinstance(one, Observation)] for q, found in judged.items()}
    return {query: found for query, found in pulls.items() if found}


def _keys(frame: pd.DataFrame, table: Table, names: Iterable[str]) -> list[tuple[Any, ...]]:
    inputs = table.endpoint.columns
    return list(zip(*(check_column(frame[name], table[name], inputs.get(name)) for name in names), strict=True))
