"""The one way through: a fetch function makes a call, the client gets its answers, tidy makes the table."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from types import MethodType
from typing import Any, Final, Literal, ParamSpec, TypeVar

import pandas as pd

from .arguments import check_limit
from .client import Call, Client, Collection, Plan, failures_frame, find_client
from .docstrings import document
from .errors import InvalidArgumentError, KeyAPIWarning, StoreError, shown
from .model import Endpoint, Table, Untyped
from .notices import (
    failure_of,
    tell_of_rows,
    unkept,
    warn_of_confirmed_missing,
    warn_of_drift,
    warn_of_failures,
    warn_of_ignored_parameters,
    warn_of_markets,
    warn_of_old_rows,
    warn_of_unfinished_months,
)
from .queries import Query, Today, make_queries, make_query
from .settings import read_max_age
from .store import Answer
from .tidy import Issues, empty_frame, make_frame
from .untyped import make_frame as make_untyped

_FIRST: Final = 100  # stored answers that a declaration is held against when it is first used
P = ParamSpec("P")
T = TypeVar("T")
Ids = str | int | Iterable[str | int]
MaxAge = str | timedelta | int | None
Errors = Literal["raise", "warn"]


# Making calls -----------------------------------------------------------------------------------------------


def make_call(
    table: Table, queries: Sequence[Query], options: Mapping[str, Any], today: Today | None = None
) -> Call:
    """Return the call of one table and some queries, its options checked; nothing is sent.

    Queries whose day was left out are relative to `today`.
    """
    limit, max_age = check_limit(options.get("limit")), read_max_age(options["max_age"])
    errors = options.get("errors", "raise")
    if not isinstance(errors, str) or errors not in ("raise", "warn"):
        raise InvalidArgumentError(f'errors must be "raise" or "warn"; got {shown(errors)}')
    partial, client = errors == "warn", options["client"]
    endpoint = queries[0].endpoint if queries else table.endpoint
    day = today() if today and queries and options.get(endpoint.dated, "") is None else None
    return Call(table, endpoint, tuple(queries), limit, max_age, partial=partial, client=client, today=day)


def call_of(table: Table, arguments: Mapping[str, Any]) -> Call:
    """Return the call of the arguments of a fetch function, all of them checked; nothing is sent."""
    endpoint = _way_of(table, arguments)
    today = functools.cache(lambda: find_client(arguments["client"]).policy.today)  # one day, also at midnight
    if endpoint.entity is None:
        queries: tuple[Query, ...] = (make_query(endpoint, arguments, today),)
    else:
        queries = make_queries(endpoint, arguments[endpoint.entity.argument], arguments, today)
    return make_call(table, queries, arguments, today)


def _way_of(table: Table, arguments: Mapping[str, Any]) -> Endpoint:
    """Return the endpoint that takes the kind of id that `by` names."""
    ways = {one.entity.column: one for one in (table.endpoint, *table.ways) if one.entity}
    by = arguments.get("by", next(iter(ways), ""))
    if not isinstance(by, str) or by not in [*ways, ""]:
        raise InvalidArgumentError(f"by must be one of {', '.join(ways)}; got {shown(by)}")
    return ways.get(by, table.endpoint)


class CallError(InvalidArgumentError, TypeError):
    """A function was called with arguments that it does not have, or without one it needs; nothing was sent."""


def call_checked(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call a function for a user; what it does not take is refused like other wrong arguments."""
    try:
        return function(*args, **kwargs)
    except TypeError:
        signature = inspect.signature(function)
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            own = [one for name, one in signature.parameters.items() if name not in ("self", "df")]
            takes = ", ".join(f"{one.name}{'=' if one.kind is one.KEYWORD_ONLY else ''}" for one in own)
            raise CallError(f"{function.__name__}(): {error}. It takes {takes}") from None
        raise


def fetches(make: Callable[P, Call]) -> Callable[P, pd.DataFrame]:
    """Turn a function that makes a call into the public one, which runs it; `plan` uses the former."""

    @functools.wraps(make)
    def fetch(*args: P.args, **kwargs: P.kwargs) -> pd.DataFrame:
        return run(call_checked(make, *args, **kwargs))

    fetch.__annotations__ = {**make.__annotations__, "return": pd.DataFrame}
    fetch.__signature__ = inspect.signature(make).replace(return_annotation="pd.DataFrame")  # type: ignore[attr-defined]
    fetch.make_call = make  # type: ignore[attr-defined]
    return fetch


def fetch_function(table: Table) -> Callable[[Callable[P, Call]], Callable[P, pd.DataFrame]]:
    """Make a table's public fetch function, its docstring completed from the declarations."""
    return lambda make: document(fetches(make), table)


# Running calls ----------------------------------------------------------------------------------------------


def run(call: Call) -> pd.DataFrame:
    """Return the table of a call, paying for what is not stored; warn of what its numbers do not show."""
    frame, _ = run_with_answers(call)
    return frame


def run_with_answers(call: Call) -> tuple[pd.DataFrame, list[Answer]]:
    """Run a call; return its table and the answers that were found for it."""
    if not call.queries:
        return empty_frame(call.table), []
    client = find_client(call.client)
    client.records.note_read(call.read)
    collection = client.collect(call)
    try:
        return _conclude(collection, client), collection.answers
    except StoreError as error:
        if error.frame is None:  # the store broke, or was closed, while the table was made
            error.frame, error.failures = empty_frame(call.table), failures_frame(collection.failures, error)
            error.answer = unkept(collection)
        raise


def _conclude(collection: Collection, client: Client) -> pd.DataFrame:
    """Make the table of what a call got; what went wrong comes before any warning."""
    call = collection.call
    there = [one for one in collection.answers if not one.observation.absent]
    failed = bool(collection.failures) or collection.stop is not None
    try:
        frame, issues = read_table(call.table, there, client, limit=call.limit)
    except InvalidArgumentError:  # the rows of an answer are elsewhere
        if not failed:
            raise
        frame, issues = empty_frame(call.table), Issues()
    if failed and (collection.stop is not None or not call.partial):
        with contextlib.suppress(KeyAPIWarning):  # a filter that makes an error of a warning must not hide this one
            _warn(collection, frame, issues, client)
        raise failure_of(collection, frame, client) from None
    if failed:
        warn_of_failures(collection, client)
    _warn(collection, frame, issues, client)
    return frame


def _warn(collection: Collection, frame: pd.DataFrame, issues: Issues, client: Client) -> None:
    warn_of_confirmed_missing(collection, client)
    warn_of_old_rows(collection, frame, client)
    warn_of_unfinished_months(collection, client)
    table = collection.call.table
    arrived = [one for one in collection.answers if one.observation.id in collection.arrived]
    if table.strict and ("declared", str(id(table))) not in client.told:  # what is stored may not fit it, either
        client.told.add(("declared", str(id(table))))
        arrived = arrived or [one for one in collection.answers if not one.observation.absent][:_FIRST]
    warn_of_drift(collection.call.table, issues, client, arrived=_envelopes(arrived, client) if arrived else None)
    warn_of_markets(collection.call.table, issues)
    warn_of_ignored_parameters(collection, client)


def read_table(
    table: Table, answers: Sequence[Answer], client: Client, *, limit: int | None = None
) -> tuple[pd.DataFrame, Issues]:
    """Make a table of stored answers."""
    if isinstance(table, Untyped):
        made = make_untyped(table, answers, _envelopes(answers, client), source=client.source, limit=limit)
        tell_of_rows(table, made.left_out, made.lists, client)
        return made.frame, Issues()
    return make_frame(table, answers, _envelopes(answers, client), source=client.source, limit=limit)


def _envelopes(answers: Iterable[Answer], client: Client) -> Iterator[Mapping[str, Any]]:
    """Yield the envelopes of answers: as they arrived in this call, else as the store has them."""
    some = list(answers)
    stored = iter(client.store.envelopes([one.observation.id for one in some if one.envelope is None]))
    for one in some:
        yield next(stored) if one.envelope is None else one.envelope
    next(stored, None)  # ended here: what ends when it is forgotten swallows a Ctrl-C


def plan(fetch: Callable[..., pd.DataFrame], *args: Any, **kwargs: Any) -> Plan:
    """Return what a call would send and cost, before it does; sends nothing.

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
        The arguments are not what the function takes, or it is not a fetch function.

    Examples
    --------
    >>> kr.plan(kr.fetch_videos, range(7_100_000_000_000_000_000, 7_100_000_000_000_000_025)).credits
    3
    """
    name = getattr(fetch, "__name__", "")
    make: Callable[..., Call] | None = getattr(fetch, "make_call", None)
    if make is None or not name.startswith("fetch_"):
        what = f"{name} is not a fetch function of this package. " if name.startswith("fetch_") else ""
        raise InvalidArgumentError(
            f"{what}Pass plan the function itself, without calling it, then its arguments: "
            "kr.plan(kr.fetch_hashtags, names, period=30) or kr.plan(df.keyapi.fetch_details)"
        )
    of_rows = (fetch.__self__,) if isinstance(fetch, MethodType) else ()
    call = call_checked(make, *of_rows, *args, **kwargs)
    return find_client(call.client).plan(call)
