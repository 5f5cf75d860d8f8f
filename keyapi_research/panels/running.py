"""A round, fetched: as much as its budget has left for, and what failed does not stop what comes after it."""

from __future__ import annotations

import bisect
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pandas as pd

from ..client import Call, Client
from ..client.pacing import is_hard
from ..errors import (
    MOST_NAMED,
    BudgetExceededError,
    IncompleteDataWarning,
    KeyAPIError,
    KeyAPIWarning,
    listed,
    shown,
    warn,
)
from ..fetch import run_with_answers
from ..settings import Settings
from ..store import Answer, now_us, when
from ..tidy import empty_frame
from .file import Fetch, PanelFile
from .prices import most
from .rounds import Round, credits_left
from .tables import add, call_of, ids_of


def fetch_round(
    client: Client, file: PanelFile, this: Round
) -> tuple[list[list[int]] | None, KeyAPIWarning | None]:
    """Fetch all of a round; return the answers of each fetch, and a warning that a filter made an error of.

    There are no answers if the interval of the round ended before. What fails is raised at the end, unless nothing
    more can be sent.
    """
    frames: dict[str, pd.DataFrame] = {}
    had: list[list[int]] = []
    failed: list[KeyAPIError] = []
    told: list[KeyAPIWarning] = []
    with Client.of(Settings(today=date.fromisoformat(this.today))) as of_that_day:
        for one in file.fetches:
            if now_us() >= this.ends:
                break
            ids = ids_of(frames, one)
            call, wrong = call_of(one, ids, of_that_day)
            call = replace(call, client=client, not_before=this.begins)
            try:
                _tell(call, wrong, ids, one)
            except KeyAPIWarning as error:
                told.append(error)
            try:
                try:
                    frame, answers = _fetch_within(call, client, file, this)
                except KeyAPIWarning as error:  # a filter made an error of it, after all was fetched
                    told.append(error)
                    with warnings.catch_warnings(action="ignore", category=KeyAPIWarning):
                        frame, answers = _fetch_within(call, client, file, this)
                had.append([each.observation.id for each in answers])
            except KeyAPIError as error:
                failed.append(error)
                if is_hard(error):
                    break
                # Of a list only the whole leads on: another try may find another list.
                part = error.frame if error.frame is not None and not call.endpoint.ranking else None
                frame = empty_frame(call.table) if part is None else part
            add(frames, call.table, frame)
    if failed:
        worst = failed[-1] if is_hard(failed[-1]) else failed[0]
        others = f" ({len(failed)} fetches failed)" if len(failed) > 1 else ""
        worst.args = (f"round {this.number} of {file.name} is incomplete: {worst}{others}", *worst.args[1:])
        raise worst
    return had if len(had) == len(file.fetches) else None, next(iter(told), None)


def _fetch_within(call: Call, client: Client, file: PanelFile, this: Round) -> tuple[pd.DataFrame, list[Answer]]:
    """Run a call, or as many of its ids as the round's remaining budget allows."""
    left = credits_left(client.store, file, this)

    def price_of_first(count: int) -> int:
        return most(client.plan(replace(call, queries=call.queries[:count])))

    fits = len(call.queries)
    if most(client.plan(call)) > left:
        fits = bisect.bisect_right(range(1, fits), left, key=price_of_first)
    try:
        found = run_with_answers(replace(call, queries=call.queries[:fits]))
    except BudgetExceededError as error:
        if credits_left(client.store, file, this) >= call.endpoint.credits:
            raise  # of the user, or of the store
        raise _exceeded(call, client, file, this) from error
    if fits < len(call.queries):
        raise _exceeded(call, client, file, this)
    return found


def _exceeded(call: Call, client: Client, file: PanelFile, this: Round) -> BudgetExceededError:
    left, price = credits_left(client.store, file, this), most(client.plan(call))
    return BudgetExceededError(
        f"{call.name} needs up to {price:,} credits more, but only {left:,} of the round's {file.credits_per_round:,} "
        f"are left. What was fetched is kept. Set credits_per_round to at least "
        f"{file.credits_per_round - left + price:,} in {file.path} (plan() has the whole round) and run it again "
        f"before {when(this.ends):%Y-%m-%d %H:%M} UTC: it goes on where it was"
    )


def _tell(call: Call, wrong: Sequence[str], ids: Sequence[str], one: Fetch) -> None:
    """Warn of ids that are none, and of days of which none is over."""
    if wrong:
        named = listed([shown(each) for each in wrong], MOST_NAMED)
        column = ".".join(one.source or ())
        warn(f"{call.name}: {named} of {column} can be no ids, and were left out", IncompleteDataWarning)
    elif ids and not call.queries:
        text = f"{call.name}: no day is over since its start, {one.options['start']}, so there is nothing to fetch yet"
        warn(text, IncompleteDataWarning)
