"""Endpoints without a table: any path of KeyAPI through the same store, ledger and budget."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import Final

from ..arguments import (
    check_handle,
    check_key,
    check_limit,
    check_parameter_name,
    check_path,
    check_sent,
    check_whole,
    nearest_name,
)
from ..client import Call, Client
from ..docstrings import complete
from ..errors import InvalidArgumentError, shown
from ..fetch import MaxAge, fetches, make_call
from ..model import (
    OBSERVED_AT,
    PAGES,
    SOURCE,
    Column,
    Endpoint,
    Paging,
    Parameter,
    Untyped,
    endpoints_at,
    plain_endpoint,
)
from ..places import Field, FromQuery
from ..queries import Query, read_query
from .listed import Listed, listed
from .listed import personal as personal_fields

Sent = str | int | float | bool | date | None
_STEP: Final = r"[^\[\]\x00-\x1f\x7f\ud800-\udfff]+"
_ROWS: Final = re.compile(rf"(?:{_STEP})?(?:\[\](?:\.{_STEP})?)*")
_LOG: Final = logging.getLogger("keyapi_research")
HANDLES: Final = "unique_ids"


# What is known of a path --------------------------------------------------------------------------------------


def listed_at(path: str) -> Listed | None:
    """Return the entry of a path in the list; refuse a path that this package cannot call."""
    known = listed().get(path)
    if known is not None and known.method != "GET":
        raise InvalidArgumentError(f"{path} is a {known.method} endpoint. This package sends GET requests only")
    return known


def price_of(path: str, credits: object) -> int:  # noqa: A002 - the public name
    """Return the price of a request: the one given, else the one that is known."""
    declared, known = endpoints_at(path, yours=False), listed_at(path)
    found = declared[0].credits if declared else known.credits if known else None
    given = None if credits is None else check_whole("credits", credits)
    if found is not None and given is not None and given < found:  # budgets must not count too little
        _LOG.warning("%s costs %d credits on KeyAPI's page, not %d. Budgets count %d", path, found, given, found)
        given = found
    yours = [one.credits for one in endpoints_at(path)]
    price = given or found or max(yours, default=None)
    if price is not None:
        return price
    near = None if known else nearest_name(path, listed())
    hint = f" Did you mean {near!r}?" if near else ""
    raise InvalidArgumentError(
        f"the price of {path} is not known, so nothing was sent.{hint} Pass the credits of one request, as KeyAPI's "
        "page of the endpoint has them: fetch_endpoint(..., credits=1)"
    )


def paging_of(path: str, paging: object) -> Paging | None:
    """Return how an endpoint is paged: as given, else as the list has it."""
    if paging is None:
        declared, known = endpoints_at(path, yours=False), listed_at(path)
        if declared:
            return declared[0].series.paging if declared[0].series else declared[0].paging
        return Paging(*known.paging) if known and known.paging else None
    if not isinstance(paging, tuple | list) or len(paging) != len(("page", "size", "most")):
        raise InvalidArgumentError(
            f'paging must be (name of the page, name of its size, largest size), as ("page_num", "page_size", 10); '
            f"got {shown(paging)}"
        )
    page, size, most = paging
    if size in (page, PAGES.page):
        raise InvalidArgumentError(f"paging: the page and its size are two parameters; got {shown(paging)}")
    return Paging(check_parameter_name(page), check_parameter_name(size), check_whole("paging", most))


def check_rows(rows: object) -> str:
    """Return the path of rows as it is written everywhere."""
    if not isinstance(rows, str) or _ROWS.fullmatch(rows) is None:
        raise InvalidArgumentError(
            'rows must be the path of the list whose items are the rows, such as "list[]" or "list[].trend[]"; "[]" '
            f'where the answer is a list, "" for one row an answer; got {shown(rows)}'
        )
    return rows


def check_params(params: object) -> dict[str, str]:
    """Return parameters as they are sent; those that are None are left out."""
    if params is not None and not isinstance(params, Mapping):  # not shown: an address may have the token
        raise InvalidArgumentError(f'params must be a dict such as {{"region": "US"}}; got {type(params).__name__}')
    sent = {check_parameter_name(name): check_sent(name, value) for name, value in (params or {}).items()}
    return {name: text for name, text in sent.items() if text is not None}


@lru_cache(maxsize=256)  # each is logged once
def _tell_of_unlisted(path: str, names: tuple[str, ...]) -> None:
    """Warn of parameters that are not in the list: KeyAPI ignores what it does not know, and charges."""
    known = [one.name for one in listed()[path].parameters] if path in listed() else []
    for name in names if known else ():
        if name not in known:
            near = nearest_name(name, known)
            hint = f"Did you mean {near}?" if near else f"It has {', '.join(known)}."
            _LOG.warning("%s is not known to take %s. %s KeyAPI ignores unknown parameters", path, name, hint)


@lru_cache(maxsize=256)
def _with_price(endpoint: Endpoint, price: int) -> Endpoint:
    return replace(endpoint, credits=price)


@lru_cache(maxsize=256)
def _batch_endpoint(path: str, by: str, names: tuple[str, ...], price: int) -> Endpoint:
    """Return an endpoint of the list that takes several ids, which its rows repeat."""
    known = listed()[path]
    handles = by == HANDLES
    return Endpoint(
        path,
        path,
        price,
        known.title,
        tuple(Parameter(name, name, name, check_sent, "As it was sent.") for name in names),
        record="",
        identity=Field(f"[].{known.batch[by]}"),
        identity_kind="handle" if handles else "id",
        entity=Parameter("ids", by, by, check_handle if handles else check_key, "Ids, comma-separated."),
        batch=known.per_request,
    )


# Calls --------------------------------------------------------------------------------------------------------


def _queries(
    path: str, sent: dict[str, str], price: int, paging: Paging | None, items: str | None
) -> tuple[Query, ...]:
    """Return what is requested, of a declared endpoint where the parameters are exactly its own: those are checked."""
    for endpoint in endpoints_at(path, yours=False):
        queries = _declared_queries(endpoint, sent) if endpoint.paging == paging else ()
        if queries:
            priced = endpoint if endpoint.credits == price else _with_price(endpoint, price)
            return tuple(Query(priced, query.values) for query in queries)
    known = listed().get(path)
    by = next((name for name in known.batch if name in sent), None) if known else None
    rest = {name: text for name, text in sent.items() if name != by}
    if by is not None:
        endpoint = _batch_endpoint(path, by, tuple(rest), price)
        each = dict.fromkeys(endpoint.entity.check(by, one) for one in _each_id(by, sent[by]))  # type: ignore[union-attr]
        return tuple(Query(endpoint, (one, *rest.values())) for one in each)
    return (Query(plain_endpoint(path, tuple(sent), price=price, paging=paging, items=items), tuple(sent.values())),)


def _declared_queries(endpoint: Endpoint, sent: dict[str, str]) -> list[Query]:
    """Return parameters as queries of a declared endpoint; none where they are not exactly its own."""
    by = endpoint.entity.api_name if endpoint.entity else ""
    ids = _each_id(by, sent[by]) if by in sent and endpoint.batch > 1 else [sent.get(by, "")]
    each = [{**sent, by: one} if by in sent else sent for one in dict.fromkeys(ids)]
    try:
        queries = [read_query(endpoint, one) for one in each]
    except (KeyError, InvalidArgumentError):
        return []
    return queries if [query.params for query in queries] == each else []


def _each_id(by: str, text: str) -> list[str]:
    ids = [one.strip() for one in text.split(",") if one.strip()]
    if not ids:
        raise InvalidArgumentError(f'{by}: no id was given. Pass one, or several as "1,2,3"')
    return ids


@lru_cache(maxsize=256)
def untyped_table(endpoint: Endpoint, rows: str | None, without: frozenset[str], *, one_page: bool = False) -> Untyped:
    """Return the table that rows of an endpoint make which nobody declared."""
    columns: tuple[Column, ...] = (
        *(Column(one.api_name, "text", FromQuery(), one.meaning, "documented: as sent") for one in endpoint.inputs),
        OBSERVED_AT,
        SOURCE,
    )
    of = () if rows is None else (rows,)
    known = listed().get(endpoint.path)
    inferred = known is not None and known.certainty[0] in "CD"
    return Untyped(
        endpoint,
        endpoint.path,
        "row of the answer",
        (),
        of,
        columns,
        likely=known.rows if known else "",
        without=without,
        one_page=one_page,
        doubt="its path is inferred, not read on KeyAPI's page: check it there first" if inferred else "",
    )


@fetches
def fetch_endpoint(
    path: str,
    params: Mapping[str, Sent] | None = None,
    *,
    rows: str | None = None,
    credits: int | None = None,  # noqa: A002 - the word of the service
    paging: tuple[str, str, int] | None = None,
    limit: int | None = 20,
    personal: bool = False,
    max_age: MaxAge = None,
    client: Client | None = None,
) -> Call:
    """Return the rows of any GET endpoint of KeyAPI, each value a column by its path.

    Parameters
    ----------
    path : str
        As KeyAPI's pages write it: "/v1/tiktok/...". `endpoints()` and `find(text)` list paths.
    params : dict, optional
        Parameters by their names in the API: text, numbers, flags, dates; None leaves one out. Several ids of an
        endpoint that is known to take them go as text ("1,2,3"), and are stored one by one.
    rows : str, optional
        The list whose items are the rows, such as "list[]" or "list[].trend[]"; "[]" where the answer is a list, ""
        for one row an answer, "info" for one row that is an object in it. By default the items of the only list of
        objects at most two levels down are the rows; where there is none, or several, the answer is one row.
    credits : int, optional
        Price of one request. May be left out where `endpoints()` has it.
    paging : tuple, optional
        Names of the page (from 1) and of its size, and the largest size: ("page_num", "page_size", 10). Known endpoints
        bring theirs. With the page and its size in `params`, that one page is requested.
    limit : int or None
        Maximum number of items of the paged list; None for all pages. Not applied to endpoints that are not paged.
    personal : bool
        Whether to keep the columns with personal data of creators (e-mail, signature, name, picture, gender). The
        stored answers have them in any case.

    Returns
    -------
    pandas.DataFrame
        The parameters (string; a field of the same name wins), each scalar of a row by its path (`user_info.uid`),
        those of the objects around a row first, lists and empty objects as JSON text; observed_at, source.
        Text is string, flags are boolean, whole numbers Int64, other numbers float64. Mixed values are string, and so
        are whole numbers with the name of an id or more than 15 digits. Nothing is guessed to be a time or money.

    Raises
    ------
    InvalidArgumentError, BudgetExceededError, NotStoredError
        Nothing was sent: an argument is not valid or the price not known, it costs more than allowed, or offline an
        answer is missing. Only where `rows` is not in the answer, the answer came and is stored: call again at no cost.
    AuthenticationError, CreditsExhaustedError, AccessDeniedError, StoreError
        Nothing more was sent.

    Notes
    -----
    Unlike those of tables, answers are not checked to be about what was requested, and KeyAPI ignores parameters that
    it does not know. An answer of several rows that equals the answer to other parameters is a `SchemaDriftWarning`.
    An empty answer, or one whose only list is empty, has no row and is a `MissingDataWarning`; it is requested again
    after a day. With `rows=""` it is a row if it has anything else. `declare` makes a table of an endpoint.

    Examples
    --------
    >>> captions = kr.fetch_endpoint("/v1/tiktok/video/captions", {"video_id": "7117191641181555995"})
    >>> captions["data"].item()[:6]
    'WEBVTT'
    """
    path = check_path(path)
    price = price_of(path, credits)
    sent = check_params(params)
    way = paging_of(path, paging)
    rows = None if rows is None else check_rows(rows)
    limit = check_limit(limit)
    if not isinstance(personal, bool):
        raise InvalidArgumentError(f"personal must be True or False; got {shown(personal)}")
    without = frozenset() if personal else personal_fields()
    if rows is not None and (left := without.intersection(re.split(r"[.\[\]]+", rows))):
        raise InvalidArgumentError(f"rows={rows!r}: {min(left)} is personal data. To read it, pass personal=True")
    first = way is not None and sent.get(way.page) == "1" and sent.get(way.size) == str(way.most)
    one_page = first and (rows is None or "[]" in rows)
    if way is not None and one_page:  # as any ranking has it stored
        limit = 1
        sent = {name: text for name, text in sent.items() if name not in (way.page, way.size)}
    elif way is not None and (way.page in sent or way.size in sent):
        way = None
    if way is not None and rows is not None and "[]" not in rows:
        raise InvalidArgumentError(
            f"rows={rows!r} has no list, but the pages of {path} do. Name the list, or the page: "
            f'params={{"{way.page}": 1, "{way.size}": {way.most}}}'
        )
    _tell_of_unlisted(path, tuple(sent))
    queries = _queries(path, sent, price, way, rows)
    table = untyped_table(queries[0].endpoint, rows, without, one_page=one_page)
    return make_call(table, queries, {"limit": limit if way else None, "max_age": max_age, "client": client})


complete(fetch_endpoint)
