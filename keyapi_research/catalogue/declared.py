"""Tables that users declare, for the session, in the language of the package's own tables."""

from __future__ import annotations

import inspect
import keyword
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import pandas as pd

from ..arguments import (
    check_handle,
    check_hashtag,
    check_key,
    check_parameter_name,
    check_path,
    check_sent,
    check_whole,
)
from ..client import Call, Client
from ..columns import read_cells, read_column
from ..docstrings import document
from ..errors import InvalidArgumentError, shown
from ..errors import listed as joined
from ..fetch import Errors, Ids, MaxAge, call_of, fetches
from ..model import (
    DTYPES,
    METADATA,
    OBSERVED_AT,
    SOURCE,
    TABLES,
    Column,
    Endpoint,
    Paging,
    Parameter,
    Table,
    endpoints_at,
)
from ..model import declare as register
from ..places import DeepestLevel, Field, FromQuery
from ..rows import level_of
from ..store import when
from .listed import listed
from .other import HANDLES, Sent, check_params, check_rows, paging_of, price_of
from .own_columns import YOURS, Spec, own_columns, resolve

_OPTIONS: Final = frozenset({"ids", "limit", "max_age", "errors", "client"})
_LEDGER: Final = "ledger"  # what kr.sql and export_store call the requests, beside the tables
_LONGEST: Final = 100  # bytes of a name, which files have, too
_A_DAY: Final = 10**14  # microseconds since 1970 have more digits than a day written as a number
_DECLARING: Final = threading.Lock()
_HINTS: Final[Mapping[str, object]] = {  # what the names in the annotations of a signature stand for
    "Ids": Ids, "Sent": Sent, "int | None": int | None, "MaxAge": MaxAge, "Errors": Errors,
    "Client | None": Client | None,
}  # fmt: skip


# The key -------------------------------------------------------------------------------------------------------


def _key(key: object) -> tuple[str, ...]:
    names = (key,) if isinstance(key, str) else tuple(key) if isinstance(key, Iterable) else ()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InvalidArgumentError(f"key must be the names of the columns that identify a row; got {shown(key)}")
    return tuple(dict.fromkeys(names))


def _sorted_by(own: tuple[Column, ...], key: tuple[str, ...], rows: str, way: Paging | None) -> str:
    """Return the time column that a series is sorted by, as trends are; the rows of pages keep their order."""
    times = [one.name for one in own if one.name == key[-1] and one.kind in ("time", "date")]
    return times[0] if times and rows.count("[]") > (way is not None) else ""


def _check_key(table: Table) -> None:
    """Check that a key is among the columns, and that no two of these share a name."""
    if twice := [name for name, times in Counter(table.names).items() if times > 1]:
        raise InvalidArgumentError(f"columns: {joined(twice)} is the column of a parameter. Choose another name")
    if unknown := [name for name in table.key if name not in table.names]:
        raise InvalidArgumentError(f"key: {joined(unknown)} is not among the columns {', '.join(table.names)}")


# Parameters ---------------------------------------------------------------------------------------------------


def _check_names(params: Mapping[str, Sent] | None, way: Paging | None, by: str | None) -> None:
    """Check that the fetch function can take the parameters as keywords."""
    check_params(params)
    pages = () if way is None else (way.page, way.size)
    for name in params or {}:
        if name in _OPTIONS or name == by or name in pages or not name.isidentifier() or keyword.iskeyword(name):
            raise InvalidArgumentError(
                f"params: {name!r} cannot be a keyword of the fetch function, which has ids, limit, max_age, errors "
                "and client, and pages by itself. Leave it out, or use fetch_endpoint"
            )
    if by in pages:
        raise InvalidArgumentError(f"by: {by!r} is the page or its size. Pass the parameter that has the id")


def _parameter(name: str, column: str, kind: str, default: Sent) -> Parameter:
    """Return a parameter that refuses values which its column, also read from a file, would not give back as sent."""

    def check(argument: str, value: object) -> str | None:
        if DTYPES[kind] == DTYPES["time"] and type(value) is int and abs(value) >= _A_DAY:  # as a column has it
            value = when(value)
        text = check_sent(argument, value)
        back = text if text is None else _brought_back(text, kind)
        if back != text:
            instead = f"Pass {back!r}" if back else "Pass a value that can"
            raise InvalidArgumentError(
                f"{argument}: {shown(text)} cannot be kept as it is in its column, which is {DTYPES[kind]} in every "
                f"table. {instead}, or use fetch_endpoint, whose columns of parameters are text"
            )
        return text

    return Parameter(name, column, name, check, "A parameter, as it is sent.", check(name, default))


@lru_cache(maxsize=256)
def _brought_back(text: str, kind: str) -> str | None:
    """Return the text that a parameter becomes after it was read into its column; None where it cannot be read."""
    if DTYPES[kind] == DTYPES["text"]:
        return text
    array, unread = read_cells(DTYPES[kind], [text])
    is_time = DTYPES[kind] == DTYPES["time"]  # a day, too, may stand there with a time of day
    [value] = read_column(pd.Series(array), Column("", "time" if is_time else kind, FromQuery(), "", ""))
    if unread or value is None:
        return None
    try:
        return check_sent("", when(value) if is_time else value)
    except InvalidArgumentError:  # a time of day
        return None


# Which id an answer is about ------------------------------------------------------------------------------------


def _endpoint(path: str, by: str | None, batch: int, way: Paging | None, rows: str, place: Field | None) -> Endpoint:
    """Return an endpoint that knows which id its answers are about; `place` is where the user says that it is."""
    for known in endpoints_at(path, yours=False):
        return _as_known(known, by, batch, way, place)
    record = _record(rows, place) if way is None else rows.partition("[]")[0]
    plain = Endpoint("", path, 1, "", (), record=record, identity=None, paging=way, batch=batch)
    if by is None:
        if batch > 1 or (place is not None and way is None):
            raise InvalidArgumentError(
                f"{'batch' if batch > 1 else 'identity'} needs by, the name of the id: without it nothing is requested "
                "by an id"
            )
        return replace(plain, identity=place)
    check, spelling = (_check_one if batch > 1 else check_key), "id"
    if _kinds().get(by) == "hashtag":
        check, spelling = check_hashtag, "hashtag"
    elif by in (HANDLES, HANDLES.removesuffix("s")):
        check, spelling = check_handle, "handle"
    entity = Parameter("ids", by, by, check, f"Values of {by}, each once.")
    requested = replace(plain, entity=entity, identity_kind=spelling)  # type: ignore[arg-type]
    if way is not None and batch > 1:
        raise InvalidArgumentError(
            f"batch={batch}: pages are requested for one id at a time. Leave batch or paging out"
        )
    if way is not None:
        return replace(requested, owner=place)
    if place is None and path in listed() and by in listed()[path].batch and rows.startswith("[]"):
        place = Field(f"[].{listed()[path].batch[by]}")
    if batch > 1 and (place is None or level_of(place.path) != "[]"):
        raise InvalidArgumentError(
            f'batch={batch} needs rows that repeat the id they are about: rows from "[]", and identity, the path of '
            "the id in them"
        )
    return replace(requested, identity=place)


def _check_one(name: str, value: object) -> str:
    """Return an id that goes into one request with others."""
    text = check_key(name, value)
    if "," in text:
        raise InvalidArgumentError(f"{name}: {shown(text)} is not one id. Pass several as a list")
    return text


def _as_known(known: Endpoint, by: str | None, batch: int, way: Paging | None, place: Field | None) -> Endpoint:
    """Return an endpoint of the package's tables: its answers are stored once for all tables, and checked for all."""
    entity, own = known.entity, known.identity
    if by != (entity and entity.api_name):
        needed = "is not requested by an id. Leave by out, and pass it in params"
        if entity:
            needed = f"is requested by {entity.api_name}. Pass by={entity.api_name!r}"
        raise InvalidArgumentError(f"by: {known.path} {needed}")
    if way != paging_of(known.path, None):
        raise InvalidArgumentError(f"paging: how {known.path} is called page by page is known. Leave paging out")
    if not (isinstance(own, DeepestLevel) or place is None or own is None or own.path in (place.path, place.around)):
        raise InvalidArgumentError(f"identity: {known.path} has it at {own}. Leave identity out, or pass that path")
    if batch > known.batch:
        raise InvalidArgumentError(f"batch: {known.path} takes {known.batch} at a time. Pass batch={known.batch}")
    entity = entity and replace(entity, argument="ids", column=entity.api_name)
    if known.series is not None:  # pages of a range are other answers than its days
        owner = known.identity if isinstance(known.identity, Field) else None
        known = replace(known, paging=way, owner=owner, identity=None)
    plain = replace(known, series=None, settle=None, dated="", final_on=None, also=None)
    return replace(plain, entity=entity, page="", batch=batch)


def _record(rows: str, place: Field | None) -> str:
    """Return the part without which an answer is empty: where the rows are, else where the id is."""
    path = rows or (place.path if place and "." in place.path else "")
    return path.partition(".")[0].removesuffix("[]")


def _row_id(own: tuple[Column, ...], key: tuple[str, ...], rows: str) -> Field | None:
    """Return where an item of a page has its own id: the only column of the key that is read from the item."""
    item = f"{rows.partition('[]')[0]}[]"
    in_key = [one for one in own if one.name in key]
    of_item = [one for one in in_key if not isinstance(one.place, Field) or level_of(one.place.path) == item]
    ids = [one.place for one in of_item if isinstance(one.place, Field) and one.kind in ("id", "text")]
    return Field(ids[0].path) if len(of_item) == len(ids) == 1 else None


def _checked(endpoint: Endpoint) -> Field | DeepestLevel | None:
    """Return where an answer names the id that was requested."""
    return endpoint.owner if endpoint.ranking else endpoint.identity


def _entity(endpoint: Endpoint, own: tuple[Column, ...]) -> Parameter | None:
    """Return the parameter of the id. A column of that name replaces it only where it is the id that is checked."""
    entity, place = endpoint.entity, _checked(endpoint)
    other = entity and next((one for one in own if one.name == entity.column and str(one.place) != str(place)), None)
    return replace(entity, column=f"requested_{entity.column}") if entity and other else entity


def _requested(endpoint: Endpoint, own: tuple[Column, ...], kinds: Mapping[str, str]) -> list[Column]:
    """Return the columns of what is requested."""
    names = {one.name for one in own}
    columns = [
        Column(one.column, kinds.get(one.column, "text"), FromQuery(), "As requested.", YOURS)
        for one in endpoint.parameters
    ]
    entity = endpoint.entity
    if entity is None or entity.column in names:
        return columns
    place = FromQuery(_checked(endpoint))
    return [Column(entity.column, kinds.get(entity.column, "text"), place, "As requested.", YOURS), *columns]


# The function -------------------------------------------------------------------------------------------------


def _fetch_function(table: Table, defaults: Mapping[str, Sent]) -> Callable[..., pd.DataFrame]:
    """Make the public fetch function of a table."""
    endpoint, only_keyword = table.endpoint, inspect.Parameter.KEYWORD_ONLY
    options: dict[str, tuple[str, object]] = {name: ("Sent", value) for name, value in defaults.items()}
    if endpoint.entity is None or endpoint.ranking:
        options["limit"] = ("int | None", 20)
    options["max_age"] = ("MaxAge", None)
    if endpoint.entity is not None:
        options["errors"] = ("Errors", "raise")
    options["client"] = ("Client | None", None)
    ids = [inspect.Parameter("ids", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="Ids")]
    made = [
        inspect.Parameter(name, only_keyword, default=default, annotation=kind)
        for name, (kind, default) in options.items()
    ]
    signature = inspect.Signature([*(ids if endpoint.entity else []), *made])

    def make(*args: Any, **kwargs: Any) -> Call:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return call_of(table, bound.arguments)

    make.__signature__ = signature  # type: ignore[attr-defined]
    make.__annotations__ = {name: _HINTS[one.annotation] for name, one in signature.parameters.items()}
    make.__name__ = make.__qualname__ = table.function
    make.__doc__ = f"Return {table.name}, a table declared in this session, one row per {table.row}.\n"
    return document(fetches(make), table)


# The declaration ----------------------------------------------------------------------------------------------


def _check_name(table: object) -> None:
    """Refuse what cannot be the name of a table, of its function and of its files."""
    if not isinstance(table, str) or not table.isidentifier() or table.lower() != table or table == "endpoint":
        raise InvalidArgumentError(f'table must be a name in lower case such as "captions"; got {shown(table)}')
    if table == _LEDGER:
        raise InvalidArgumentError(f"{table} is the list of requests in kr.sql and export_store. Choose another name")
    if (length := len(table.encode())) > _LONGEST:
        raise InvalidArgumentError(
            f"table has {length} bytes, and files with its name need at most {_LONGEST}. Choose a shorter name"
        )


def _kinds(but: str = "") -> dict[str, str]:
    """Return the kinds of the columns of all tables but one: a name has the same dtype everywhere."""
    return {column.name: column.kind for one in TABLES.values() if one.name != but for column in one.columns}


def declare(
    table: str,
    path: str,
    *,
    credits: int,  # noqa: A002 - the word of the service
    by: str | None = None,
    batch: int = 1,
    params: Mapping[str, Sent] | None = None,
    paging: tuple[str, str, int] | None = None,
    rows: str,
    key: str | Iterable[str],
    columns: Mapping[str, Spec],
    identity: str | None = None,
) -> Callable[..., pd.DataFrame]:
    """Make a typed table of an endpoint, for this session, and return the function that fetches it.

    From then on `plan`, `describe`, `tables`, CSV, packages, `freeze` and the general methods of `df.keyapi` know it
    as they know the package's tables. Declaring the same name again replaces the table; the functions of the earlier
    one still work.

    Parameters
    ----------
    table : str
        Name of the table, such as "captions"; the function is then `fetch_captions`. A name of the package's tables,
        `ledger`, and a name of more than 100 bytes are refused.
    path : str
        As KeyAPI's pages write it: "/v1/tiktok/...".
    credits : int
        Price of one request.
    by : str, optional
        Name in the API of the id that is requested, such as "video_id". It becomes a column.
    batch : int
        How many ids go into one request. The answer must be a list whose rows repeat them (`identity`).
    params : dict, optional
        The other parameters by their names in the API, with their defaults (None: left out). The function takes them
        as keywords. They become columns, with the dtype of a known column of that name, else text; a value that its
        column would not give back as it was sent is refused.
    paging : tuple, optional
        Names of the page (from 1) and of its size, and the largest size. Listed endpoints bring theirs.
    rows : str
        The list whose items are the rows, such as "list[]" or "list[].trend[]"; "[]" where the answer is a list, "" for
        one row an answer, "info" for one row that is an object in it.
    key : str or list of str
        The columns that identify a row. Rows of an answer that repeat a key are left out, with a warning. A series
        whose key ends with a time is sorted by it.
    columns : dict
        By name: (kind, path), optionally with a unit and a meaning. Kinds: id, text, count (a negative one is missing),
        gain (may be negative), number, flag, time (seconds or milliseconds since 1970), date (yyyy-MM-dd or yyyymmdd),
        length (of a list), position (in the list; its path is "").
        Paths start at the row; "" is the row itself, where it is a text or a number. A path that no row has starts at
        the answer ("pagination.total"), and so do those of objects around the row: "list[].name" for rows
        "list[].trend[]". A column has the same dtype in all tables. Where a column has the name of a parameter, the
        parameter is in the column requested_<name>.
    identity : str, optional
        Path of the id that was requested, where the answer repeats it; in a ranking, of the id of a row. Endpoints of
        the package's tables bring theirs. Without it nothing checks that an answer is about what was requested.

    Returns
    -------
    callable
        `fetch_<table>(ids, *, <params>, max_age=None, errors="raise", client=None)`, with paging `limit=20` for each
        id; without `by` `fetch_<table>(*, <params>, limit=20, max_age=None, client=None)`.

    Raises
    ------
    InvalidArgumentError
        The declaration is not consistent. Nothing was sent, and an earlier declaration of that name still holds.

    Examples
    --------
    >>> fetch_names = kr.declare("hashtag_names", "/v1/tiktok/trending/hashtag/detail", credits=2, by="hashtag_name",
    ...     params={"region": "all_regions", "period": 7}, rows="info", key=["hashtag_name"],
    ...     columns={"title": ("text", "hashtag_name"), "posts": ("count", "publish_cnt", "posts")})
    >>> fetch_names("perfume").dtypes["posts"]
    Int64Dtype()
    """
    _check_name(table)
    path = check_path(path)
    price, batch, rows = price_of(path, check_whole("credits", credits)), check_whole("batch", batch), check_rows(rows)
    way = paging_of(path, paging)
    if way is not None and "[]" not in rows:
        raise InvalidArgumentError(f"rows={rows!r} has no list, but {path} is called page by page. Name the list")
    by = None if by is None else check_parameter_name(by)
    if identity is not None and (not isinstance(identity, str) or not identity):
        raise InvalidArgumentError(f'identity must be a path such as "video_id"; got {shown(identity)}')
    _check_names(params, way, by)
    own, key, kinds = own_columns(columns, rows), _key(key), _kinds(but=table)
    place = None if identity is None else resolve(identity, rows)
    endpoint = _endpoint(path, by, batch, way, rows, place)
    if way is not None and endpoint.identity is None:
        endpoint = replace(endpoint, identity=_row_id(own, key, rows))
    inputs = []
    for name, value in (params or {}).items():
        column = f"requested_{name}" if name in columns or name in METADATA else name
        inputs.append(_parameter(name, column, kinds.get(column, "text"), value))
    endpoint = replace(
        endpoint,
        name=table,
        credits=price,
        entity=_entity(endpoint, own),
        parameters=tuple(inputs),
        not_tabled=("",),  # fields without a column are not warned of
        texts={path: read for path, read in endpoint.texts.items() if Field(path) not in [one.place for one in own]},
    )
    made = Table(
        endpoint,
        name=table,
        row=f"item of {rows}" if "[]" in rows else "answer",
        key=key,
        rows=(rows,),
        columns=(*_requested(endpoint, own, kinds), *own, OBSERVED_AT, SOURCE),
        sorted_by=_sorted_by(own, key, rows, way),
        strict=True,  # whether the key identifies rows is not known yet
    )
    _check_key(made)
    with _DECLARING:
        register(made, yours=True)
        return _fetch_function(made, params or {})
