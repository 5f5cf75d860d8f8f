"""The fetch functions: one for each table, all the same way through.

Arguments become asks, the client gets their answers, tidy makes the frame; here it is said aloud what is missing,
old or odd, and what failed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Literal, ParamSpec, TypeVar, cast

import pandas as pd

from . import endpoints, schema
from .client import (
    DAY,
    Call,
    Client,
    Collection,
    Plan,
    failures_frame,
    find_client,
    is_planning,
    planning,
    priced,
)
from .endpoints import ENDPOINT_OF, Ask, month_is_over
from .errors import (
    MOST_NAMED,
    FetchIncompleteError,
    IncompleteDataWarning,
    InvalidArgumentError,
    KeyAPIError,
    MissingDataWarning,
    SchemaDriftWarning,
    StaleDataWarning,
    StoreError,
    UnexpectedMarketWarning,
    UnexpectedResponseError,
    listed,
    warn,
)
from .schema import OBSERVED_AT, Table
from .settings import read_max_age
from .store import Observation, now_us, when
from .tidy import Oddities, Source, empty_frame, find_drift, make_frame

Ids = str | int | Iterable[str | int]
MaxAge = str | timedelta | int | None
Errors = Literal["raise", "warn"]
P = ParamSpec("P")
R = TypeVar("R")
_LONGEST_LINE: Final = 100
_MOST_PLACES: Final = 20  # in answers that one warning names; those it leaves out, the next names


# One way through --------------------------------------------------------------------------------------------


def fetch_table(
    table: Table,
    asks: Sequence[Ask],
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
    call = Call(table, ENDPOINT_OF[table.name], tuple(asks), limit, read_max_age(max_age), partial=errors == "warn")
    if not call.asks and not is_planning():
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
            error.answer = _unkept(collection)
        raise


def _conclude(collection: Collection, client: Client, errors: Errors) -> pd.DataFrame:
    """Make the table of what a call got, and say what there is to say about it."""
    call = collection.call
    there = [(ask, one) for ask, one in collection.found if not one.absent]
    frame, odd = read_table(call.table, there, client, limit=call.limit)
    _say_what_is_missing(collection)
    _say_what_is_old(collection, frame, client)
    _say_what_is_odd(collection, odd, client)
    if collection.failures or collection.stop is not None:
        _settle_failures(collection, frame, errors, client)
    return frame


def read_table(
    table: Table, found: Sequence[tuple[Ask, Observation]], client: Client, *, limit: int | None = None
) -> tuple[pd.DataFrame, Oddities]:
    """Make a table of stored answers."""
    sources = [Source(ask, one.observed_at) for ask, one in found]
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


# What is said aloud -----------------------------------------------------------------------------------------


def _say_what_is_missing(collection: Collection) -> None:
    absent = [ask.id for ask, one in collection.found if one.absent]
    if absent:
        entity = collection.call.endpoint.entity
        what = entity.column if entity else "page"
        warn(
            f"KeyAPI has nothing for {len(absent):,} {what}{'s' if len(absent) > 1 else ''}: "
            f"{listed(absent, MOST_NAMED)}. They have no row; online they are asked again after a day, or with "
            "max_age=0",
            MissingDataWarning,
        )


def _say_what_is_old(collection: Collection, frame: pd.DataFrame, client: Client) -> None:
    call = collection.call
    quiet = client.offline or client.synthetic or call.max_age is not None or client.settings.max_age is not None
    if quiet or ("stale", call.table.name) in client.told:
        return
    limit = now_us() - int(DAY.total_seconds() * 1_000_000)
    old = [
        (ask, one)
        for ask, one in collection.found
        if one.observed_at < limit and not one.absent and not _is_settled(ask, one)
    ]
    moments = {when(one.observed_at) for _, one in old}
    rows = int(frame[OBSERVED_AT.name].isin(pd.to_datetime(sorted(moments), utc=True)).sum()) if old else 0
    if not rows:
        return
    client.told.add(("stale", call.table.name))
    first = min(one.observed_at for _, one in old)
    days = (now_us() - first) / (DAY.total_seconds() * 1e6)
    cost = call.endpoint.cost(len(old))
    warn(
        f"{rows:,} of {len(frame):,} rows of {call.table.name} were observed more than a day ago (the oldest "
        f"{when(first):%Y-%m-%d}, {days:.0f} days). They cost nothing; refreshing them takes {cost:,} credits: "
        f'{call.name}(..., max_age="1D"). max_age="any" says that any age will do',
        StaleDataWarning,
    )


def _is_settled(ask: Ask, one: Observation) -> bool:
    """Whether an answer is about a month that was over when it came."""
    return month_is_over(ask.value_of.get("time_scope"), when(one.observed_at).date())


def _say_what_is_odd(collection: Collection, odd: Oddities, client: Client) -> None:
    table, endpoint = collection.call.table.name, collection.call.endpoint
    said: dict[str, list[str]] = {}
    if collection.arrived:
        new, gone = find_drift(endpoint, client.store.envelopes(sorted(collection.arrived)))
        told = client.told
        said["fields this package does not know (kept, see df.keyapi.raw())"] = _untold(new, endpoint.path, told)
        said["fields that are gone from every answer"] = _untold(gone, endpoint.path, told)
    unusable = _untold(odd.unusable, table, client.told)
    said["values or rows that could not be read and are missing"] = _counted(odd.unusable, unusable)
    again = _untold(odd.duplicates, table, client.told)
    # What came with this call is new, wherever rows came twice before.
    said["rows that came twice and were dropped"] = _counted(
        odd.duplicates, odd.duplicates if collection.arrived else again
    )
    texts = [f"{what}: {listed(places, _MOST_PLACES)}" for what, places in said.items() if places]
    if texts:
        warn(f"{table}: the answers differ from what is documented: {'; '.join(texts)}", SchemaDriftWarning)
    if odd.markets:
        named = [
            f"{market} where {region} was asked for ({number:,})" for (region, market), number in odd.markets.items()
        ]
        warn(
            f"{table}: answers name another market: {listed(named)}. Compare the column market before use",
            UnexpectedMarketWarning,
        )


def _untold(places: Iterable[str], of: str, told: set[tuple[str, str]]) -> list[str]:
    """List what was not said of an endpoint or a table yet, as much of it as one warning names, and note that it is."""
    new = [place for place in sorted(places) if (of, place) not in told][:_MOST_PLACES]
    told.update((of, place) for place in new)
    return new


def _counted(counts: Mapping[str, int], places: Iterable[str]) -> list[str]:
    return [f"{counts[place]:,} x {place}" for place in places]


def _settle_failures(collection: Collection, frame: pd.DataFrame, errors: Errors, client: Client) -> None:
    """Raise what failed, or warn; either way say what is there and what a rerun costs."""
    failures = failures_frame(collection.failures, collection.stop)
    failed, total = len(collection.failures), len(collection.call.asks)
    came = f"{len(frame):,} rows" if collection.call.endpoint.ranking else f"{total - failed:,} of {total:,}"
    rerun = _rerun(collection, client)
    older = _older(collection, client)
    kinds = {(type(error), error.code) for error in collection.failures.values() if error is not None}
    first = collection.stop or next((e for e in collection.failures.values() if e is not None), None)
    if collection.stop is None and errors == "warn":
        warn(
            f"{failed:,} of {total:,} ids of {collection.call.name} failed ({_kinds(collection)}) and are not in the "
            f"table; {rerun}{older}",
            IncompleteDataWarning,
        )
        return
    if first is not None and (collection.stop is not None or (failed == total and len(kinds) == 1)):
        error = copy.copy(first)  # the same one may be raised in another thread, with other rows
        error.args = (
            f"{first.args[0] if first.args else ''} [{collection.call.name}: {came} came. {rerun}{older}]",
        )
    else:
        error = FetchIncompleteError(
            f"{failed:,} of {total:,} ids of {collection.call.name} failed ({_kinds(collection)}); the rest is stored "
            f'and on .frame, the failures on .failures. {rerun}{older} With errors="warn" the table comes without them',
            retryable=any(e is None or e.retryable for e in collection.failures.values()),
        )
        error.endpoint = collection.call.endpoint.path
    if isinstance(error, StoreError | FetchIncompleteError):
        error.answer = _unkept(collection)
    error.frame, error.failures = frame, failures
    raise error from None


def _unkept(collection: Collection) -> list[Any]:
    """Gather the answers that may have been paid for and are not stored: several may have been in flight."""
    answers: list[Any] = []
    for error in collection.failures.values():
        if isinstance(error, StoreError):
            answers += error.answer or ()
        elif isinstance(error, UnexpectedResponseError):
            answers.append(error.answer)
    return list({id(answer): answer for answer in answers}.values())  # an answer about ten ids is on ten errors


def _rerun(collection: Collection, client: Client) -> str:
    """Say what the same call would cost now."""
    call = collection.call
    try:
        with planning():
            plan = cast("Plan", client.collect(call))
    except KeyAPIError:  # what refuses it is what is being told
        return "A rerun pays only for what is missing."
    cost = priced(plan.requests, call.endpoint)
    if not call.endpoint.ranking:
        return f"A rerun pays only for what is missing: {cost}."
    kept = "The pages that came are stored and on .frame. " if collection.found else ""
    least = "at least " if plan.credits_max is None else ""
    return f"{kept}A rerun within the hour takes {least}{cost}."


def _older(collection: Collection, client: Client) -> str:
    """Say that what a failed refresh would have replaced is still there."""
    keys = [ask.key for ask in collection.failures]
    if collection.call.endpoint.ranking:
        found = {one.id for _, one in collection.found}
        before = any(walk[0].id not in found for key in keys for walk in client.store.walks(key))
        return " The ranking observed before is kept and served without max_age." if before else ""
    kept = client.store.latest(keys) if keys else {}
    return f" Older answers of {len(kept):,} of them are kept and served without max_age." if kept else ""


def _kinds(collection: Collection) -> str:
    names = [type(error).__name__ if error is not None else "not sent" for error in collection.failures.values()]
    return ", ".join(f"{names.count(name):,} {name}" for name in dict.fromkeys(names))


# Docstrings from the declarations ---------------------------------------------------------------------------

_COMMON: Final[Mapping[str, str]] = {
    "limit": "limit : int or None\n    Most rows; asked for in pages of 20. None: all pages.",
    "max_age": 'max_age : str or timedelta or 0, optional\n    Pay for answers newer than this ("1D", "6h"); 0 always '
    'asks; "any" never warns.\n    By default what is stored serves, with a warning when it is older than a day.',
    "errors": 'errors : {"raise", "warn"}\n    When some ids fail: finish the others, then raise; or warn and give '
    "the partial table.",
    "client": "client : Client, optional\n    The connection; the default one if left out.",
}


def _parameter_text(parameter: endpoints.Parameter, *, ids: bool) -> str:
    kind = "one id or iterable of them" if ids else "str, optional"
    if parameter.default is not None and not ids:
        kind = f"{type(parameter.default).__name__}, default {parameter.default!r}"
    return f"{parameter.argument} : {kind}\n    {parameter.meaning}"


def _wrapped(text: str, indent: str) -> str:
    lines, line = [], indent
    for word in text.split():
        if len(line) + len(word) > _LONGEST_LINE and line.strip():
            lines.append(line.rstrip())
            line = indent
        line += word + " "
    return "\n".join([*lines, line.rstrip()])


def _column_text(column: schema.Column) -> str:
    unit = f" [{column.unit}]" if column.unit else ""
    return f"    {column.name} : {column.dtype}{unit}\n" + _wrapped(f"{column.meaning} ({column.evidence})", "        ")


def document(table: Table) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Complete a fetch function's docstring from the declarations: parameters, columns, price, errors, source."""
    endpoint = ENDPOINT_OF[table.name]
    own = endpoint.tables[0] is table
    price = f"{endpoint.credits} credit{'s' if endpoint.credits > 1 else ''} "
    if endpoint.ranking:
        price += "a page of up to 20 rows"
    else:
        price += f"per request of up to {endpoint.batch} ids" if endpoint.batch > 1 else "an id"
    if not own:
        price += f"; nothing more where `fetch_{endpoint.tables[0].name}` or a sibling was asked the same"
    arguments = [_parameter_text(p, ids=p is endpoint.entity) for p in endpoint.asked]
    names = ["limit", "max_age", "client"] if endpoint.ranking else ["max_age", "errors", "client"]
    parameters = "\n".join([*arguments, *(_COMMON[name] for name in names)])
    errors = (
        "InvalidArgumentError\n    An argument is wrong; nothing was sent.\n"
        "BudgetExceededError\n    It would cost more than allowed; nothing was sent.\n"
        "NotStoredError\n    Offline, and not all of it is stored.\n"
        "AuthenticationError, CreditsExhaustedError, AccessDeniedError, StoreError\n    Nothing more was sent.\n"
        "FetchIncompleteError\n    Some ids failed; `.frame` has the others, `.failures` says why."
    )
    columns = "\n".join(_column_text(column) for column in table.columns)

    def complete(function: Callable[P, R]) -> Callable[P, R]:
        head, _, examples = (function.__doc__ or "").partition("    Examples\n")
        sections = [
            f"Parameters\n----------\n{parameters}",
            f"Returns\n-------\npandas.DataFrame\n    One row per {table.row}; key: {', '.join(table.key)}. "
            f"Columns:\n\n{columns}",
            f"Raises\n------\n{errors}",
            f"Notes\n-----\nPrice: {price}; what is stored costs nothing.\n"
            f'Source: GET {endpoint.path}, page "{endpoint.page}" of docs.keyapi.ai.',
        ]
        body = "\n\n".join("\n".join(f"    {line}".rstrip() for line in part.split("\n")) for part in sections)
        function.__doc__ = f"{head.rstrip()}\n\n{body}\n" + (f"\n    Examples\n{examples}" if examples else "    ")
        return function

    return complete


# The functions ----------------------------------------------------------------------------------------------


def _by_id(
    table: Table, ids: object, arguments: Mapping[str, object], max_age: MaxAge, errors: Errors, client: Client | None
) -> pd.DataFrame:
    asks = endpoints.make_asks(ENDPOINT_OF[table.name], ids, arguments)
    return fetch_table(table, asks, max_age=max_age, errors=errors, client=client)


def _by_page(
    table: Table, arguments: Mapping[str, object], limit: int | None, max_age: MaxAge, client: Client | None
) -> pd.DataFrame:
    most = endpoints.check_limit(limit)
    ask = endpoints.make_ask(ENDPOINT_OF[table.name], arguments)
    return fetch_table(table, (ask,), limit=most, max_age=max_age, client=client)


@document(schema.PRODUCT_INSIGHTS)
def fetch_product_insights(
    *,
    region: str = "all_regions",
    time_scope: str | int = 1,
    search: str | None = None,
    category_id: str | int | None = None,
    limit: int | None = 20,
    max_age: MaxAge = None,
    client: Client | None = None,
) -> pd.DataFrame:
    """Fetch the ranking of product categories: reach, rates and costs of their ads.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_product_insights(limit=1)["category"].item()
    'Perfume'
    """
    arguments = {"region": region, "time_scope": time_scope, "search": search, "category_id": category_id}
    return _by_page(schema.PRODUCT_INSIGHTS, arguments, limit, max_age, client)


@document(schema.PRODUCT_DETAILS)
def fetch_product_details(
    category_ids: Ids,
    *,
    region: str = "all_regions",
    time_scope: str | int = 1,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> pd.DataFrame:
    """Fetch product categories: their levels, and how much else the answers have.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_product_details("601583")["category"].item()
    'Perfume'
    """
    return _by_id(
        schema.PRODUCT_DETAILS, category_ids, {"region": region, "time_scope": time_scope}, max_age, errors, client
    )


@document(schema.PRODUCT_AUDIENCE)
def fetch_product_audience(
    category_ids: Ids,
    *,
    region: str = "all_regions",
    time_scope: str | int = 1,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> pd.DataFrame:
    """Fetch who watches product categories: shares of ages, index of interests.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_product_audience("601583")["segment"].tolist()
    ['25-34', '18-24', '35-44', '45-54', '55+']
    """
    return _by_id(
        schema.PRODUCT_AUDIENCE, category_ids, {"region": region, "time_scope": time_scope}, max_age, errors, client
    )


@document(schema.PRODUCT_HASHTAGS)
def fetch_product_hashtags(
    category_ids: Ids,
    *,
    region: str = "all_regions",
    time_scope: str | int = 1,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> pd.DataFrame:
    """Fetch the popular hashtags of product categories.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_product_hashtags("601583")["hashtag_name"].tolist()[:2]
    ['vlog', 'perfume']
    """
    return _by_id(
        schema.PRODUCT_HASHTAGS, category_ids, {"region": region, "time_scope": time_scope}, max_age, errors, client
    )


@document(schema.PRODUCT_POSTS)
def fetch_product_posts(
    category_ids: Ids,
    *,
    region: str = "all_regions",
    time_scope: str | int = 1,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> pd.DataFrame:
    """Fetch the ids of popular videos of product categories.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> len(kr.fetch_product_posts("601583"))
    50
    """
    return _by_id(
        schema.PRODUCT_POSTS, category_ids, {"region": region, "time_scope": time_scope}, max_age, errors, client
    )


@document(schema.VIDEOS)
def fetch_videos(
    video_ids: Ids,
    *,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> pd.DataFrame:
    """Fetch videos: who posted them, what they are, how they did.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> int(kr.fetch_videos("7117191641181555995")["views"].item())
    211100
    """
    return _by_id(schema.VIDEOS, video_ids, {}, max_age, errors, client)


@document(schema.HASHTAGS)
def fetch_hashtags(
    hashtag_names: Ids,
    *,
    region: str = "all_regions",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> pd.DataFrame:
    """Fetch hashtags: posts, views and how much else the answers have.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> int(kr.fetch_hashtags("#UFC324")["posts"].item())
    12142
    """
    return _by_id(schema.HASHTAGS, hashtag_names, {"region": region, "period": period}, max_age, errors, client)


@document(schema.HASHTAG_TRENDS)
def fetch_hashtag_trends(
    hashtag_names: Ids,
    *,
    region: str = "all_regions",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> pd.DataFrame:
    """Fetch the popularity of hashtags over time, each relative to its own peak.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_hashtag_trends("ufc324")["share_of_peak"].tolist()
    [1.0, 0.7, 0.48, 0.31, 0.26, 0.25, 0.3]
    """
    return _by_id(schema.HASHTAG_TRENDS, hashtag_names, {"region": region, "period": period}, max_age, errors, client)


@document(schema.HASHTAG_AUDIENCE)
def fetch_hashtag_audience(
    hashtag_names: Ids,
    *,
    region: str = "all_regions",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> pd.DataFrame:
    """Fetch who watches hashtags: shares of ages, index of interests and countries.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_hashtag_audience("ufc324")["dimension"].value_counts().to_dict()
    {'country': 11, 'interest': 5, 'age': 3}
    """
    return _by_id(schema.HASHTAG_AUDIENCE, hashtag_names, {"region": region, "period": period}, max_age, errors, client)


@document(schema.RELATED_HASHTAGS)
def fetch_related_hashtags(
    hashtag_names: Ids,
    *,
    region: str = "all_regions",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> pd.DataFrame:
    """Fetch the hashtags related to some.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_related_hashtags("ufc324")["related_hashtag_name"].tolist()[:2]
    ['paddypimblett', 'justingaethje']
    """
    return _by_id(schema.RELATED_HASHTAGS, hashtag_names, {"region": region, "period": period}, max_age, errors, client)


@document(schema.MUSIC)
def fetch_music(
    clip_ids: Ids,
    *,
    region: str = "US",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> pd.DataFrame:
    """Fetch sounds: what they are and how much else the answers have.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_music("6703723351497508865")["title"].item()
    'New Sun'
    """
    return _by_id(schema.MUSIC, clip_ids, {"region": region, "period": period}, max_age, errors, client)


@document(schema.MUSIC_TRENDS)
def fetch_music_trends(
    clip_ids: Ids,
    *,
    region: str = "US",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> pd.DataFrame:
    """Fetch the popularity of sounds over time, each relative to its own peak.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_music_trends("6703723351497508865")["share_of_peak"].tolist()
    [0.06, 0.05, 0.31, 0.3, 0.1, 0.36, 1.0]
    """
    return _by_id(schema.MUSIC_TRENDS, clip_ids, {"region": region, "period": period}, max_age, errors, client)


@document(schema.MUSIC_AUDIENCE)
def fetch_music_audience(
    clip_ids: Ids,
    *,
    region: str = "US",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> pd.DataFrame:
    """Fetch who listens to sounds: shares of ages, index of interests and countries.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_music_audience("6703723351497508865")["dimension"].value_counts().to_dict()
    {'country': 10, 'interest': 5}
    """
    return _by_id(schema.MUSIC_AUDIENCE, clip_ids, {"region": region, "period": period}, max_age, errors, client)


@document(schema.MUSIC_VIDEOS)
def fetch_music_videos(
    clip_ids: Ids,
    *,
    region: str = "US",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> pd.DataFrame:
    """Fetch example videos of sounds.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> len(kr.fetch_music_videos("6703723351497508865"))
    0
    """
    return _by_id(schema.MUSIC_VIDEOS, clip_ids, {"region": region, "period": period}, max_age, errors, client)


@document(schema.TRENDING_HASHTAGS)
def fetch_trending_hashtags(
    *,
    region: str = "all_regions",
    period: int | str = 7,
    industry: str | int | None = None,
    new_only: bool = False,
    limit: int | None = 20,
    max_age: MaxAge = None,
    client: Client | None = None,
) -> pd.DataFrame:
    """Fetch the top 100 hashtags.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> len(kr.fetch_trending_hashtags(region="US", limit=5))
    5
    """
    arguments = {"region": region, "period": period, "industry": industry, "new_only": new_only}
    return _by_page(schema.TRENDING_HASHTAGS, arguments, limit, max_age, client)


@document(schema.TRENDING_HASHTAG_TRENDS)
def fetch_trending_hashtag_trends(
    *,
    region: str = "all_regions",
    period: int | str = 7,
    industry: str | int | None = None,
    new_only: bool = False,
    limit: int | None = 20,
    max_age: MaxAge = None,
    client: Client | None = None,
) -> pd.DataFrame:
    """Fetch the popularity over time of the hashtags of a top 100.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> int(kr.fetch_trending_hashtag_trends(region="US", limit=5)["hashtag_name"].nunique())
    5
    """
    arguments = {"region": region, "period": period, "industry": industry, "new_only": new_only}
    return _by_page(schema.TRENDING_HASHTAG_TRENDS, arguments, limit, max_age, client)


@document(schema.TRENDING_HASHTAG_CREATORS)
def fetch_trending_hashtag_creators(
    *,
    region: str = "all_regions",
    period: int | str = 7,
    industry: str | int | None = None,
    new_only: bool = False,
    limit: int | None = 20,
    max_age: MaxAge = None,
    client: Client | None = None,
) -> pd.DataFrame:
    """Fetch the creators named with the hashtags of a top 100.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> "creator_name" in kr.fetch_trending_hashtag_creators(region="US", limit=5)
    True
    """
    arguments = {"region": region, "period": period, "industry": industry, "new_only": new_only}
    return _by_page(schema.TRENDING_HASHTAG_CREATORS, arguments, limit, max_age, client)


@document(schema.TRENDING_MUSIC)
def fetch_trending_music(
    *,
    region: str = "US",
    period: int | str = 7,
    search: str | None = None,
    new_only: bool = False,
    commercial_only: bool = False,
    limit: int | None = 20,
    max_age: MaxAge = None,
    client: Client | None = None,
) -> pd.DataFrame:
    """Fetch the top 100 sounds.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> len(kr.fetch_trending_music(region="US", limit=5))
    5
    """
    arguments = {
        "region": region,
        "period": period,
        "search": search,
        "new_only": new_only,
        "commercial_only": commercial_only,
    }
    return _by_page(schema.TRENDING_MUSIC, arguments, limit, max_age, client)


@document(schema.TRENDING_MUSIC_TRENDS)
def fetch_trending_music_trends(
    *,
    region: str = "US",
    period: int | str = 7,
    search: str | None = None,
    new_only: bool = False,
    commercial_only: bool = False,
    limit: int | None = 20,
    max_age: MaxAge = None,
    client: Client | None = None,
) -> pd.DataFrame:
    """Fetch the popularity over time of the sounds of a top 100.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> int(kr.fetch_trending_music_trends(region="US", limit=5)["clip_id"].nunique())
    5
    """
    arguments = {
        "region": region,
        "period": period,
        "search": search,
        "new_only": new_only,
        "commercial_only": commercial_only,
    }
    return _by_page(schema.TRENDING_MUSIC_TRENDS, arguments, limit, max_age, client)
