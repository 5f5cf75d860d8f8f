"""One way through: asks go in, the client gets their answers, tidy makes the table, and what is odd is said."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import MethodType
from typing import Any, ParamSpec

import pandas as pd

from ..client import Call, Client, Collection, Plan, failures_frame, find_client
from ..endpoints import ENDPOINT_OF, Query
from ..errors import InvalidArgumentError, StoreError
from ..schema import Table
from ..settings import read_max_age
from ..store import Answer
from ..tidy import Issues, empty_frame, make_frame
from .notices import (
    Errors,
    raise_or_warn,
    say_what_is_missing,
    say_what_is_odd,
    say_what_is_old,
    say_which_market,
    unkept,
)

P = ParamSpec("P")
MaxAge = str | timedelta | int | None


def make_call(
    table: Table,
    queries: Sequence[Query],
    *,
    limit: int | None = None,
    max_age: MaxAge,
    errors: Errors = "raise",
    client: Client | None,
) -> Call:
    """Return the call of one table and some queries, its options checked; nothing is sent."""
    if errors not in ("raise", "warn"):
        raise InvalidArgumentError(f'errors is "raise" or "warn"; got {errors!r}')
    partial = errors == "warn"
    age = read_max_age(max_age)
    return Call(table, ENDPOINT_OF[table.name], tuple(queries), limit, age, partial=partial, client=client)


def fetches(make: Callable[P, Call]) -> Callable[P, pd.DataFrame]:
    """Turn a function that makes a call into the public one, which runs it; `plan` uses the former."""

    @functools.wraps(make)
    def fetch(*args: P.args, **kwargs: P.kwargs) -> pd.DataFrame:
        return run(make(*args, **kwargs))

    fetch.__annotations__ = {**make.__annotations__, "return": "pd.DataFrame"}
    fetch.__signature__ = inspect.signature(make).replace(return_annotation="pd.DataFrame")  # type: ignore[attr-defined]
    fetch.make_call = make  # type: ignore[attr-defined]
    return fetch


def run(call: Call) -> pd.DataFrame:
    """Return the table of a call, paying for what is not stored; warn of what its numbers do not show."""
    if not call.queries:
        return empty_frame(call.table)
    client = find_client(call.client)
    client.records.note_read(call.read)
    collection = client.collect(call)
    try:
        return _conclude(collection, client)
    except StoreError as error:
        if error.frame is None:  # the store broke, or was closed, while the table was made
            error.frame, error.failures = empty_frame(call.table), failures_frame(collection.failures, error)
            error.answer = unkept(collection)
        raise


def _conclude(collection: Collection, client: Client) -> pd.DataFrame:
    """Make the table of what a call got, and warn of what there is to know about it."""
    call = collection.call
    there = [one for one in collection.answers if not one.observation.absent]
    frame, odd = read_table(call.table, there, client, limit=call.limit)
    say_what_is_missing(collection)
    say_what_is_old(collection, frame, client)
    say_what_is_odd(call.table, odd, client, arrived=collection.arrived)
    say_which_market(call.table, odd)
    if collection.failures or collection.stop is not None:
        raise_or_warn(collection, frame, client)
    return frame


def read_table(
    table: Table, answers: Sequence[Answer], client: Client, *, limit: int | None = None
) -> tuple[pd.DataFrame, Issues]:
    """Make a table of stored answers."""
    envelopes = client.store.envelopes([one.observation.id for one in answers])
    return make_frame(table, answers, envelopes, source=client.source, limit=limit)


def plan(fetch: Callable[..., pd.DataFrame], *args: Any, **kwargs: Any) -> Plan:
    """Say what a call would send and cost, before it does; sends nothing.

    Parameters
    ----------
    fetch : callable
        A fetch function, or a bound `df.keyapi.fetch_...` method.
    *args, **kwargs
        What it would be called with.

    Returns
    -------
    Plan
        requests, credits, credits_max, stored, oldest.

    Raises
    ------
    InvalidArgumentError
        The arguments are not what the function takes, or it is no fetch function.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.plan(kr.fetch_videos, range(7_100_000_000_000_000_000, 7_100_000_000_000_000_025)).credits
    3
    """
    name = getattr(fetch, "__name__", "")
    if not callable(fetch) or not name.startswith("fetch_"):
        raise InvalidArgumentError(
            "plan takes a fetch function and its arguments without calling it, as "
            "kr.plan(kr.fetch_hashtags, names, period=30) or kr.plan(df.keyapi.fetch_details)"
        )
    make: Callable[..., Call] | None = getattr(fetch, "make_call", None)
    if make is None:
        raise InvalidArgumentError(f"{name} is not a fetch function of this package")
    call = make(fetch.__self__, *args, **kwargs) if isinstance(fetch, MethodType) else make(*args, **kwargs)
    return find_client(call.client).plan(call)
