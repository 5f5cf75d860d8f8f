"""The tables of rounds: what each had when it was done; of one that is not done, what came in its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Final

import pandas as pd

from ..client import Call, Client
from ..errors import IncompleteDataWarning, InvalidArgumentError, StoreError, listed, shown, warn
from ..fetch import read_table
from ..holdings import query_behind
from ..model import Table, Untyped
from ..store import Answer, now_us, when
from ..tidy import empty_frame
from .file import Fetch, PanelFile
from .rounds import Round, answers_of, interval

_MOST_NAMED: Final = 20


def frames_of(client: Client, file: PanelFile, this: Round, table: Table) -> list[pd.DataFrame]:
    """Return what a round had of a table; the same answers count once."""
    had = _had(client, file, this) if this.done else [found for *_, found in came(client, file, this.number, this)]
    made = [
        (one, answers)
        for one, answers in zip(file.fetches, had, strict=True)
        if table.name in (one.table.name, *(each.name for each in one.table.endpoint.tables))
    ]
    whose: dict[str, tuple[float, int]] = {}  # by query: the fetch that wanted most of it, the first of them
    for place, (one, answers) in enumerate(made):
        wanted = (math.inf if one.limit is None else one.limit, -place)
        for query in {each.query.key for each in answers}:
            whose[query] = max(whose.get(query, wanted), wanted)
    parts = []
    for place, (one, answers) in enumerate(made):
        own = [each for each in answers if whose[each.query.key][1] == -place]
        parts.append(_frame_of(_as_then(table, one), own, one.limit, client).assign(round=this.number))
    return parts


def _as_then(table: Table, one: Fetch) -> Table:
    """Return a table as the fetch of a round had it; what is personal is left out as it is now."""
    if isinstance(table, Untyped) and isinstance(one.table, Untyped):
        return replace(one.table, without=table.without)
    return table


def _had(client: Client, file: PanelFile, this: Round) -> list[list[Answer]]:
    """Return the answers that a round had when it was done, of each fetch."""
    had = answers_of(client.store, file, this.number)
    there = {one.id: one for one in client.store.observations([each for ids in had for each in ids])}
    found: list[list[Answer]] = []
    for fetch, ids in zip(file.fetches, had, strict=True):
        ways = (fetch.table.endpoint, *fetch.table.ways)
        answers = []
        for one in ids:
            query = query_behind(there[one], ways) or query_behind(there[one])
            if query is None:
                raise StoreError(
                    f"{client.store.path}: round {this.number} has an answer of an endpoint that this version does not "
                    "know. Read it with the version that stored it"
                )
            answers.append(Answer(query, there[one]))
        found.append(answers)
    return found


def came(client: Client, file: PanelFile, number: int, this: Round | None) -> list[tuple[Fetch, Call, list[Answer]]]:
    """Return each call of a round that is not done, and what there is for it: what came in its interval, or is final.

    Of a list there is all or nothing.
    """
    begins, ends = interval(file, number)
    day = None if this is None else date.fromisoformat(this.today)
    settings = replace(client.settings, as_of=when(min(now_us(), ends - 1)), today=day)
    then = Client.of(settings, store=client.store)
    sources = {one.source[0] for one in file.fetches if one.source}
    frames: dict[str, pd.DataFrame] = {}
    calls = []
    for one in file.fetches:
        call, _ = call_of(one, ids_of(frames, one), then)
        found = then.collect(replace(call, partial=True)).answers if call.queries else []
        there = [
            answer
            for answer in found
            if answer.observation.observed_at >= begins or then.policy.is_final(answer.query, answer.observation)
        ]
        if call.endpoint.ranking:  # all or nothing, also where its pages came on both sides of the beginning
            half = {answer.query.key for answer in found if answer not in there}
            there = [answer for answer in there if answer.query.key not in half]
        if call.table.name in sources:
            add(frames, call.table, _frame_of(call.table, there, call.limit, then))
        calls.append((one, call, there))
    return calls


def find_table(name: object, fetches: Sequence[Fetch], file: PanelFile) -> Table:
    """Return a table that the fetches of a panel make, the last of them as it is now, or one that comes with it."""
    tables = {table.name: table for one in fetches for table in (*one.table.endpoint.tables, one.table)}
    if name not in tables:
        raise InvalidArgumentError(
            f"no fetch of {file.name} makes {shown(name)}. They make {listed(sorted(tables), _MOST_NAMED)}"
        )
    return tables[str(name)]


def _frame_of(table: Table, answers: Sequence[Answer], limit: int | None, client: Client) -> pd.DataFrame:
    there = [one for one in answers if not one.observation.absent]
    try:
        frame, _ = read_table(table, there, client, limit=limit)
    except InvalidArgumentError as error:  # the rows of an answer are elsewhere, which the run that got it said
        warn(f"{table.name}: answers of one round have no rows: {error}", IncompleteDataWarning)
        return empty_frame(table)
    return frame


def add(frames: dict[str, pd.DataFrame], table: Table, frame: pd.DataFrame) -> None:
    """Add what one more fetch got of a table."""
    before = [frames[table.name]] if table.name in frames else []
    frames[table.name] = pd.concat([*before, frame], ignore_index=True)


def call_of(one: Fetch, ids: Sequence[str], client: Client) -> tuple[Call, list[str]]:
    """Return the call of a fetch, and which of the ids that came from another table can be none."""
    try:
        return one.call(ids, client=client), []
    except InvalidArgumentError:
        if one.source is None:
            raise
    wrong = []
    for each in ids:
        try:
            one.call([each], client=client)
        except InvalidArgumentError:
            wrong.append(each)
    return one.call([each for each in ids if each not in wrong], client=client), wrong


def ids_of(frames: Mapping[str, pd.DataFrame], one: Fetch) -> list[str]:
    """Return the ids of a fetch: as listed, or from an earlier fetch of the round."""
    if one.source is None:
        return [*(one.ids or ())]
    table, column = one.source
    return [str(each) for each in frames[table][column].dropna().drop_duplicates()]
