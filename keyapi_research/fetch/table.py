"""One way through: asks go in, the client gets their answers, tidy makes the table, and what is odd is said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, cast

import pandas as pd

from ..client import Call, Client, Collection, Plan, failures_frame, find_client, is_planning, planning
from ..endpoints import ENDPOINT_OF, Query
from ..errors import InvalidArgumentError, StoreError
from ..schema import Table
from ..settings import read_max_age
from ..store import Observation
from ..tidy import Issues, Source, empty_frame, make_frame
from .notices import (
    Errors,
    raise_or_warn,
    say_what_is_missing,
    say_what_is_odd,
    say_what_is_old,
    say_which_market,
    unkept,
)

MaxAge = str | timedelta | int | None


def fetch_table(
    table: Table,
    queries: Sequence[Query],
    *,
    limit: int | None = None,
    max_age: MaxAge,
    errors: Errors = "raise",
    client: Client | None,
) -> pd.DataFrame:
    """Get one table of some asks; the fetch functions and the accessor's `fetch_*` all go through here.

    Parameters
    ----------
    table : Table
        The table.
    asks : sequence of Ask
        What is asked for, checked; each once.
    limit : int, optional
        Most rows of a ranking.
    max_age : str or timedelta or 0, optional
        How old a stored answer may be.
    errors : {"raise", "warn"}
        What to do when some ids fail.
    client : Client, optional
        The connection.

    Returns
    -------
    pandas.DataFrame
        The table.
    """
    if errors not in ("raise", "warn"):
        raise InvalidArgumentError(f'errors is "raise" or "warn"; got {errors!r}')
    call = Call(table, ENDPOINT_OF[table.name], tuple(queries), limit, read_max_age(max_age), partial=errors == "warn")
    if not call.queries and not is_planning():
        return empty_frame(table)
    connection = find_client(client)
    collection = connection.collect(call)
    if isinstance(collection, Plan):
        return cast("pd.DataFrame", collection)  # only `plan` asks for this, and unpacks it
    try:
        return _conclude(collection, connection, errors)
    except StoreError as error:
        if error.frame is None:  # the store broke, or was closed, while the table was made
            error.frame, error.failures = empty_frame(table), failures_frame(collection.failures, error)
            error.answer = unkept(collection)
        raise


def _conclude(collection: Collection, client: Client, errors: Errors) -> pd.DataFrame:
    """Make the table of what a call got, and say what there is to say about it."""
    call = collection.call
    there = [(query, one) for query, one in collection.found if not one.absent]
    frame, odd = read_table(call.table, there, client, limit=call.limit)
    say_what_is_missing(collection)
    say_what_is_old(collection, frame, client)
    say_what_is_odd(call.table, odd, client, arrived=collection.arrived)
    say_which_market(call.table, odd)
    if collection.failures or collection.stop is not None:
        raise_or_warn(collection, frame, errors, client)
    return frame


def read_table(
    table: Table, found: Sequence[tuple[Query, Observation]], client: Client, *, limit: int | None = None
) -> tuple[pd.DataFrame, Issues]:
    """Make a table of stored answers."""
    sources = [Source(query, one.observed_at) for query, one in found]
    envelopes = client.store.envelopes([one.id for _, one in found])
    return make_frame(table, sources, envelopes, source=client.source, limit=limit)


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
    with planning():
        made: object = fetch(*args, **kwargs)
    if not isinstance(made, Plan):
        raise InvalidArgumentError(f"{name} is not a fetch function of this package")
    return made
