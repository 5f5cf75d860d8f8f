"""Holdings: the stored answers that a table is made of, found without their ids, and their rows. Nothing is sent."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, Literal

import pandas as pd

from .arguments import nearest_name
from .catalogue.listed import personal
from .catalogue.other import untyped_table
from .client import Call, Client
from .client.pages import pages_needed
from .errors import InvalidArgumentError
from .fetch import read_table
from .model import OBSERVED_AT, TABLES, Endpoint, Table, Untyped
from .notices import warn_of_drift, warn_of_foreign
from .queries import Query, query_of, read_query, split_page
from .store import Answer, Observation
from .tidy import Issues, empty_frame

LEDGER: Final = "ledger"  # beside the tables, where all is queried or exported
Which = Literal["latest", "all"]
_CHUNK: Final = 2000  # entities that are looked up at once: bounds memory

Reading = list[Answer]  # answers whose rows are made together; of a ranking one pull
# With absences, the moments of answers that are not new, and queries whose answers are about somebody else.
Found = tuple[Reading, list[Observation], frozenset[int], Sequence[Query]]


# Tables -----------------------------------------------------------------------------------------------------


def find_table(name: object, client: Client) -> Table:
    """Return a declared table by its name, or what is stored of a path."""
    if isinstance(name, str) and name in TABLES:
        return TABLES[name]
    paths = client.store.paths()
    if isinstance(name, str) and name in paths:
        return untyped_table(query_of(name, {}).endpoint, None, personal())
    known = [*TABLES, *paths]
    near = nearest_name(name, known) if isinstance(name, str) else None
    hint = f" Did you mean {near!r}?" if near else ""
    if isinstance(name, str) and name == LEDGER:
        hint = " The ledger is kr.ledger()."
    raise InvalidArgumentError(
        f"table must be a name that kr.tables() lists, or the path of an endpoint that is stored; got {name!r:.80}."
        f"{hint} kr.stored() lists what is stored"
    )


def _ways(table: Table) -> tuple[Endpoint, ...]:
    """Return the endpoints that a table is read by: answers to handles are stored by their ids, too."""
    return (table.endpoint, *(way for way in table.ways if way.also is not table.endpoint))


def query_behind(one: Observation, ways: Sequence[Endpoint] | None = None) -> Query | None:
    """Return the query of a stored answer, if it is one of these endpoints; without any, of whatever endpoint."""
    params, paging = json.loads(one.params), None
    if one.page:
        params, paging = split_page(params)
    if ways is None:
        query = query_of(one.endpoint, params, paging)
        return query if query.key == one.entity else None
    for endpoint in ways:
        if (endpoint.path, endpoint.paging) == (one.endpoint, paging):  # no page, no paging
            try:
                query = read_query(endpoint, params)
            except (KeyError, InvalidArgumentError):
                continue
            if query.key == one.entity:
                return query
    return None


# Answers ----------------------------------------------------------------------------------------------------


def _queries_of(table: Table, client: Client, after: int, upto: int | None) -> Iterator[list[Query]]:
    """Find what a table was requested for; what was observed last comes at the end."""
    ways = None if isinstance(table, Untyped) else _ways(table)
    found = iter(client.store.entities(table.endpoint.path, after=after, upto=upto, until=client.policy.until))
    while ids := list(islice(found, _CHUNK)):
        there = {one.id: one for one in client.store.observations(ids)}
        queries = (query_behind(there[one], ways) for one in ids)
        yield [query for query in queries if query is not None]


def readings(
    table: Table,
    client: Client,
    *,
    observations: Which = "all",
    after: int = 0,
    upto: int | None = None,
    note: bool = True,
    foreign: set[Query],
) -> Iterator[tuple[Reading, frozenset[int]]]:
    """Yield the answers that a table is made of, in the order of its rows, and the moments of those that are not new.

    Those are pages of a ranking, which later pages are numbered after: answers up to `after` do not count otherwise,
    and later ones than `upto` not at all. What is read is remembered, so that it is frozen with the study, but not
    what is only copied (`note`). Queries whose answers are about somebody else, which are never served, are added to
    `foreign`.
    """
    last = math.inf if upto is None else upto
    for queries in _queries_of(table, client, after, upto):
        groups: dict[bool, list[Query]] = {}
        for query in queries:
            groups.setdefault(query.endpoint.ranking, []).append(query)
        for ranking, some in groups.items():
            if ranking:
                found = _pulled(table, some, client, observations, after, last)
            else:
                newest = observations == "latest"
                found = iter([_newest(some, client) if newest else _every(some, client, after, last)])
            for reading, absent, old, wrong in found:
                foreign.update(wrong)
                if note:
                    client.records.note_read([*(one.observation for one in reading), *absent])
                yield reading, old


def _newest(queries: Sequence[Query], client: Client) -> Found:
    latest, foreign = client.policy.newest(queries)
    there = [(query, latest[query.key]) for query in queries if query.key in latest and query.key not in foreign]
    return _present(there, [query for query in queries if query.key in foreign])


def _present(there: Sequence[tuple[Query, Observation]], foreign: Sequence[Query]) -> Found:
    """Tell answers from absences, which have no rows."""
    answers = [Answer(query, one) for query, one in there if not one.absent]
    return answers, [one for _, one in there if one.absent], frozenset(), foreign


def _every(queries: Sequence[Query], client: Client, after: int, last: float) -> Found:
    """Return all observations of some entities, each entity's oldest first."""
    until = math.inf if client.policy.until is None else client.policy.until
    histories = client.store.histories(query.key for query in queries)
    pairs = [(query, one) for query in queries for one in histories.get(query.key, ()) if not one.page]
    wanted = [(query, one) for query, one in pairs if after < one.id <= last and one.observed_at <= until]
    judged = client.policy.judge(wanted)
    said = [(query, one) for (query, _), one in zip(wanted, judged, strict=True)]
    there = [(query, one) for query, one in said if isinstance(one, Observation)]
    return _present(there, [query for query, one in said if not isinstance(one, Observation)])


def _pulled(
    table: Table, queries: Sequence[Query], client: Client, which: Which, after: int, last: float
) -> Iterator[Found]:
    """Yield pulls of rankings: of each the newest that got what it requested, or all, oldest first."""
    for query in queries:
        pulls: list[Reading] = []
        foreign: list[Query] = []
        for pages in client.store.pulls(query.key, until=client.policy.until):
            pulls.append([])
            for one in client.policy.judge([(query, page) for page in pages if page.id <= last]):
                if not isinstance(one, Observation):
                    foreign = [query]
                    break  # what follows is not served, either
                pulls[-1].append(Answer(query, one))
        others: list[Observation] = []
        if which == "latest":
            pulls = [pull for pull in pulls if pull]
            others = [one.observation for pull in pulls for one in pull]  # what the choice depends on
            whole = (pull for pull in pulls if is_whole(table, pull))
            pulls = [best] if (best := next(whole, next(iter(pulls), []))) else []
        for pull in reversed(pulls):
            if pull and pull[-1].observation.id > after:
                old = frozenset(one.observation.observed_at for one in pull if one.observation.id <= after)
                yield pull, others, old, ()
        if foreign:
            yield [], [], frozenset(), foreign


def is_whole(table: Table, pull: Reading) -> bool:
    """Whether a pull of a ranking got all that some call wanted, or all there was; a later one may have broken off."""
    query = pull[0].query
    calls = [Call(table, query.endpoint, (query,), page.observation.wanted) for page in pull]
    return any(pages_needed(call, pull[:number]) is not None for number, call in enumerate(calls, start=1))


# Rows -------------------------------------------------------------------------------------------------------


def frames_of(
    table: Table,
    client: Client,
    *,
    observations: Which = "all",
    after: int = 0,
    upto: int | None = None,
    size: int = _CHUNK,
    note: bool = True,
) -> Iterator[pd.DataFrame]:
    """Yield the rows of a table, of about `size` answers at a time, so that memory is bounded.

    Only answers after `after` and up to `upto` (ids, in the order of storing) have rows. Warns of what could not be
    read, once.
    """
    issues, foreign = Issues(), set[Query]()
    kept: Reading = []
    kept_queries: set[Query] = set()
    found = readings(
        table, client, observations=observations, after=after, upto=upto, note=note, foreign=foreign
    )
    for reading, old in found:
        paged = bool(reading) and reading[0].query.endpoint.ranking
        apart = bool(old) or isinstance(table, Untyped)
        # Pulls of different rankings are read together; of one ranking, each by itself.
        if kept and (apart or len(kept) >= size or (paged and reading[0].query in kept_queries)):
            yield _rows(table, kept, client, issues)
            kept, kept_queries = [], set()
        if apart:
            for part in _alike(reading) if isinstance(table, Untyped) else [reading]:
                frame = _rows(_as_of(table, part), part, client, issues)
                was = frame[OBSERVED_AT.name].isin([pd.Timestamp(at, unit="us", tz="UTC") for at in old])
                yield frame[~was].reset_index(drop=True) if old else frame
            continue
        kept += reading
        if paged:
            kept_queries.add(reading[0].query)
        elif len(kept) >= size:
            for start in range(0, len(kept), size):
                yield _rows(table, kept[start : start + size], client, issues)
            kept = []
    if kept:
        yield _rows(table, kept, client, issues)
    warn_of_drift(table, issues, client)
    warn_of_foreign(table, foreign)


def _alike(reading: Reading) -> list[Reading]:
    """Group answers that nobody declared by their parameters, which are columns."""
    groups: dict[Endpoint, Reading] = {}
    for one in reading:
        groups.setdefault(one.query.endpoint, []).append(one)
    return list(groups.values())


def _as_of(table: Table, reading: Reading) -> Table:
    """Return the table of answers: what nobody declared has the parameters of its own endpoint as columns."""
    return untyped_table(reading[0].query.endpoint, None, personal()) if isinstance(table, Untyped) else table


def _rows(table: Table, reading: Reading, client: Client, issues: Issues) -> pd.DataFrame:
    frame, found = read_table(table, reading, client)
    issues.duplicates.update(found.duplicates)
    issues.unreadable.update(found.unreadable)
    return frame


def whole_frame(table: Table, client: Client, *, observations: Which) -> pd.DataFrame:
    """Return all rows of a table in one frame; its parts are given up column by column."""
    parts = [part for part in frames_of(table, client, observations=observations) if len(part)]
    if isinstance(table, Untyped):
        return pd.concat(parts, ignore_index=True) if parts else empty_frame(table)
    if len(parts) < 2:  # noqa: PLR2004 - one is the frame
        return parts[0] if parts else empty_frame(table)
    columns = {name: pd.concat([part.pop(name) for part in parts], ignore_index=True) for name in table.names}
    return pd.DataFrame(columns, copy=False)


# What there is ----------------------------------------------------------------------------------------------


def held_names(client: Client) -> list[str]:
    """List the tables that have stored answers, in order of declaration, then the paths that no table is made of."""
    return list(counted(client))


def last_answer(client: Client) -> int:
    """Return the id of the answer that was stored last."""
    return client.store.last_ids()[0]


def counted(client: Client) -> dict[str, tuple[int, int, int, int]]:
    """Count, by table or path: entities, their observations (of a ranking its pulls), the first and last moment."""
    found: dict[str, list[tuple[int, int, int, int]]] = {}
    for one, *counts in client.store.shapes(until=client.policy.until):
        [sample] = client.store.observations([one])
        tables = [table for table in TABLES.values() if query_behind(sample, (table.endpoint, *table.ways))]
        names = [one.name for one in tables if query_behind(sample, _ways(one))]  # a handle counts by its id
        for name in names if tables else [sample.endpoint]:
            found.setdefault(name, []).append(tuple(counts))
    ordered = [*(name for name in TABLES if name in found), *sorted(name for name in found if name not in TABLES)]
    return {name: _added(found[name]) for name in ordered}


def _added(counts: Sequence[tuple[int, int, int, int]]) -> tuple[int, int, int, int]:
    entities, observations, first, last = zip(*counts, strict=True)
    return sum(entities), sum(observations), min(first), max(last)
