"""Tables of one's own: an endpoint declared in the language of the package's tables, for the session."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
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
from ..columns import read_cells
from ..docstrings import document
from ..errors import InvalidArgumentError, shown
from ..errors import listed as joined
from ..fetch import Errors, Ids, MaxAge, call_of, fetches
from ..model import (
    DTYPES,
    OBSERVED_AT,
    SOURCE,
    TABLES,
    Column,
    CountOf,
    DeepestLevel,
    Endpoint,
    Field,
    FromQuery,
    Paging,
    Parameter,
    Position,
    Table,
    endpoints_at,
)
from ..model import declare as register
from ..store import when
from .listed import listed
from .other import HANDLES, Sent, check_params, check_rows, paging_of, price_of

_KINDS: Final[Mapping[str, str]] = {
    "id": "id",
    "text": "text",
    "count": "count",
    "gain": "integer",
    "number": "number",
    "flag": "flag",
    "time": "time",
    "date": "date",
    "length": "count",
    "position": "count",
}  # of a declaration, and the kinds of columns they become
_YOURS: Final = "yours: declared in this session"
_OPTIONS: Final = frozenset({"ids", "limit", "max_age", "errors", "client"})
_FEWEST, _MOST = 2, 4  # parts of what a column is declared by
_A_DAY: Final = 10**14  # microseconds since 1970 have more digits than a day written as a number

Spec = tuple[str, str] | tuple[str, str, str] | tuple[str, str, str, str]


# Parameters ---------------------------------------------------------------------------------------------------


def _each_parameter(params: Mapping[str, Sent] | None, way: Paging | None, by: str | None) -> dict[str, str | None]:
    """Check names and defaults; None where a default leaves the parameter out."""
    check_params(params)
    for name in params or {}:
        reserved = name in _OPTIONS or name == by or (way is not None and name in (way.page, way.size))
        if reserved or not name.isidentifier() or keyword.iskeyword(name):
            raise InvalidArgumentError(
                f"params: {name!r} cannot be a keyword of the fetch function, which has ids, limit, max_age, errors "
                "and client, and pages by itself. Leave it out, or use fetch_endpoint"
            )
    return {name: check_sent(name, value) for name, value in (params or {}).items()}


def _parameter(name: str, default: str | None, kinds: Mapping[str, str]) -> Parameter:
    """Return a parameter whose column has the dtype of a known column of its name."""
    dtype = DTYPES[kinds.get(name, "text")]

    def check(argument: str, value: object) -> str | None:
        if dtype == DTYPES["time"] and type(value) is int and abs(value) >= _A_DAY:  # a column of days, read back
            value = when(value)
        text = check_sent(argument, value)
        if text is not None and read_cells(dtype, [text])[1]:
            raise InvalidArgumentError(f"{argument}: {shown(value)} cannot be read as {dtype}, as its column has it")
        return text

    check(name, default)
    return Parameter(name, name, name, check, "A parameter, as it is sent.", default)


def _columns_of_parameters(endpoint: Endpoint, own: tuple[Column, ...], kinds: Mapping[str, str]) -> list[Column]:
    """Return the columns of what is requested; a field of the same name wins."""
    taken = {column.name for column in own}
    identity = endpoint.owner if endpoint.paging else endpoint.identity
    return [
        Column(
            one.column,
            kinds.get(one.column, "text"),
            FromQuery(identity if one is endpoint.entity else None),
            "As requested.",
            _YOURS,
        )
        for one in endpoint.inputs
        if one.column not in taken
    ]


# Columns ------------------------------------------------------------------------------------------------------


def _names_of(key: object) -> tuple[str, ...]:
    names = (key,) if isinstance(key, str) else tuple(key) if isinstance(key, Iterable) else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise InvalidArgumentError(f"key must be the names of the columns that identify a row; got {shown(key)}")
    return names


def _columns(columns: Mapping[str, Spec], rows: str) -> tuple[Column, ...]:
    if not isinstance(columns, Mapping) or not columns:
        raise InvalidArgumentError('columns must be a dict such as {"views": ("count", "play_count")}')
    return tuple(_column(name, spec, rows) for name, spec in columns.items())


def _column(name: object, spec: object, rows: str) -> Column:
    if not isinstance(name, str) or not name or name in (OBSERVED_AT.name, SOURCE.name):
        raise InvalidArgumentError(
            f"{shown(name)} cannot be the name of a column; observed_at and source come by themselves"
        )
    parts = tuple(spec) if isinstance(spec, tuple | list) else ()
    if not _FEWEST <= len(parts) <= _MOST or not all(isinstance(one, str) for one in parts) or parts[0] not in _KINDS:
        raise InvalidArgumentError(
            f"column {name!r} must be (kind, path), or with a unit and a meaning, kind one of {', '.join(_KINDS)}; got "
            f"{shown(spec)}"
        )
    kind, path, unit, meaning = (*parts, "", "")[:_MOST]
    least = 0 if kind in ("count", "length") else None
    place = _place(name, kind, path, rows)
    return Column(name, _KINDS[kind], place, meaning or "As KeyAPI names it.", _YOURS, unit, least)


def _place(name: str, kind: str, path: str, rows: str) -> Field | CountOf | Position:
    if kind == "position":
        if "[]" not in rows:
            raise InvalidArgumentError(f"column {name!r}: rows={rows!r} has no list to have a position in")
        return Position("the list")
    found = _resolve(path, rows)
    if _level(found.path) not in {_level(one) for one in _around(rows)}:
        raise InvalidArgumentError(
            f"column {name!r}: {path!r} goes through a list of its own. Make that the rows, or declare its length"
        )
    return CountOf(found.path) if kind == "length" else found


def _around(rows: str) -> list[str]:
    """Return the paths of a row, of all objects around it, and of the lists and objects that lead to it."""
    steps = [at for at in range(len(rows) + 1) if at == len(rows) or rows[at] == "." or rows[at - 2 : at] == "[]"]
    return list(dict.fromkeys(["", *(rows[:at] for at in steps)]))


def _level(path: str) -> str:
    return path[: path.rindex("[]") + 2] if "[]" in path else ""


def _resolve(path: str, rows: str) -> Field:
    """Return the place of a path: of an object around the row as it is, else in the row, else beside its list."""
    if any(path.startswith(f"{one}.") for one in _around(rows) if one):
        return Field(path)
    inside = f"{rows}.{path}".strip(".") if path else rows
    return Field(inside, around="" if "[]" in path or not path or rows in ("", "[]") else path)


# Who an answer is about ---------------------------------------------------------------------------------------


def _identity(
    path: str,
    by: str | None,
    batch: int,
    way: Paging | None,
    rows: str,
    identity: str | None,
    own: tuple[Column, ...],
    key: tuple[str, ...],
) -> Endpoint:
    """Return an endpoint that knows whom its answers are about."""
    plain = Endpoint("", path, 1, "", (), record="", identity=None, paging=way)
    if identity is not None and not isinstance(identity, str):
        raise InvalidArgumentError(f"identity must be a path; got {shown(identity)}")
    place = None if identity is None else _resolve(identity, rows)
    for known in endpoints_at(path, yours=False):
        if (known.entity and known.entity.api_name) == by and known.paging == way:
            return _as_known(known, place)
    if by is None:
        if identity is not None and way is None:
            raise InvalidArgumentError("identity needs by or paging: without them nothing is requested by an id")
        of_row = place or _row_id(own, key, rows)
        return replace(plain, record=rows.partition("[]")[0], identity=of_row) if way else plain
    known_kind = next((one.kind for table in TABLES.values() for one in table.columns if one.name == by), "")
    check, kind = {"hashtag": (check_hashtag, "hashtag")}.get(known_kind, (check_key, "id"))
    if by == HANDLES:
        check, kind = check_handle, "handle"
    asked = replace(plain, entity=Parameter("ids", by, by, check, "Ids."), identity_kind=kind)  # type: ignore[arg-type]
    if way is not None:
        return replace(asked, record=rows.partition("[]")[0], owner=place, identity=_row_id(own, key, rows))
    of_list = listed()[path].batch.get(by) if path in listed() else None
    place = place or (Field(f"[].{of_list}") if of_list and rows.startswith("[]") else None)
    if batch > 1 and (place is None or not place.path.startswith("[].")):
        raise InvalidArgumentError(
            f'batch={batch} needs rows that repeat the id they are about: rows from "[]", and identity, the path of '
            "the id in them"
        )
    record = place.path.partition(".")[0] if place and "." in place.path and "[]" not in place.path else ""
    return replace(asked, record=record, identity=place)


def _as_known(known: Endpoint, place: Field | None) -> Endpoint:
    """Return an endpoint of the package's tables, whose answers are stored once for all tables and checked alike."""
    own = known.identity
    fits = isinstance(own, DeepestLevel) or place is None or own is None or own.path in (place.path, place.around)
    if not fits:
        raise InvalidArgumentError(
            f"{known.path} names whom it is about at {own}. Leave identity out, or pass that path"
        )
    entity = known.entity and replace(known.entity, argument="ids", column=known.entity.api_name)
    return replace(known, entity=entity, page="")


def _row_id(own: tuple[Column, ...], key: tuple[str, ...], rows: str) -> Field | None:
    """Return where a row of a ranking has its id: the last of its key that is an id or a text of its own."""
    item = f"{rows.partition('[]')[0]}[]"
    named = {column.name: column for column in own}
    fields = (named[name].place for name in reversed(key) if name in named and named[name].kind in ("id", "text"))
    return next((Field(one.path) for one in fields if isinstance(one, Field) and _level(one.path) == item), None)


# The function -------------------------------------------------------------------------------------------------


def _fetch_function(table: Table, defaults: Mapping[str, Sent]) -> Callable[..., pd.DataFrame]:
    """Make the public fetch function of a table."""
    endpoint = table.endpoint
    options: dict[str, tuple[object, object]] = {name: (Sent, value) for name, value in defaults.items()}
    if endpoint.entity is None or endpoint.ranking:
        options["limit"] = (int | None, 20)
    options["max_age"] = (MaxAge, None)
    if endpoint.entity is not None:
        options["errors"] = (Errors, "raise")
    options["client"] = (Client | None, None)
    made = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in options.items()
    ]
    ids = [inspect.Parameter("ids", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Ids)] if endpoint.entity else []
    signature = inspect.Signature([*ids, *made])

    def make(*args: Any, **kwargs: Any) -> Call:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return call_of(table, bound.arguments)

    make.__signature__ = signature  # type: ignore[attr-defined]
    make.__name__ = make.__qualname__ = table.function
    make.__doc__ = f"Return {table.name}, a table declared in this session, one row per {table.row}.\n"
    return document(fetches(make), table)


# The declaration ----------------------------------------------------------------------------------------------


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
    as they know the package's tables. The same name declared again replaces what was declared before.

    Parameters
    ----------
    table : str
        Its name, as "captions": the function is `fetch_captions`. Names of the package's tables are taken.
    path : str
        As KeyAPI's pages write it: "/v1/tiktok/...".
    credits : int
        Price of one request.
    by : str, optional
        Name in the API of the id that is requested, as "video_id"; it is a column.
    batch : int
        How many ids go into one request; the rows of the answer, a list, must repeat them (`identity`).
    params : dict, optional
        The other parameters by their names in the API, with their defaults (None: left out). The function takes them
        as keywords, and they are columns: with the dtype of a known column of that name, else text.
    paging : tuple, optional
        Names of the page (from 1) and of its size, and the largest size. Known endpoints bring theirs.
    rows : str
        The list whose items are the rows, such as "list[]" or "list[].trend[]"; "[]" where the answer is a list, "" for
        one row an answer, "info" for one row that is an object in it.
    key : str or list of str
        The columns that identify a row.
    columns : dict
        By name: (kind, path), and if you like a unit and a meaning. Kinds: id, text, count (a negative one is missing),
        gain (may be negative), number, flag, time (seconds or milliseconds since 1970), date (yyyy-MM-dd or yyyymmdd),
        length (of a list), position (in the list; its path is ""). Paths are relative to the row; where a row has
        nothing of that name, from the answer: "pagination.total", "list[].name" for rows "list[].trend[]".
    identity : str, optional
        Path of the value that repeats the id, or in a ranking of the id of a row. The endpoints of the package's tables
        bring theirs. Without one, whether an answer is about what was requested cannot be checked.

    Returns
    -------
    callable
        `fetch_<table>(ids, *, <params>, max_age=None, errors="raise", client=None)`, with paging `limit=20` for each
        id; without `by` `fetch_<table>(*, <params>, limit=20, max_age=None, client=None)`.

    Raises
    ------
    InvalidArgumentError
        The declaration is not consistent. Nothing is ever sent by it.

    Examples
    --------
    >>> fetch_names = kr.declare("hashtag_names", "/v1/tiktok/trending/hashtag/detail", credits=2, by="hashtag_name",
    ...     params={"region": "all_regions", "period": 7}, rows="info", key=["hashtag_name"],
    ...     columns={"title": ("text", "hashtag_name"), "posts": ("count", "publish_cnt", "posts")})
    >>> fetch_names("perfume").dtypes["posts"]
    Int64Dtype()
    """
    if not isinstance(table, str) or not table.isidentifier() or table.lower() != table:
        raise InvalidArgumentError(f'table must be a name in lower case such as "captions"; got {shown(table)}')
    path = check_path(path)
    price = price_of(path, check_whole("credits", credits), "declare")
    rows, batch = check_rows(rows), check_whole("batch", batch)
    way = paging_of(path, paging)
    if way is not None and "[]" not in rows:
        raise InvalidArgumentError(f"rows={rows!r} has no list, but {path} is called page by page. Name the list")
    if by is not None:
        by = check_parameter_name(by)
    kinds = {column.name: column.kind for one in TABLES.values() if one.name != table for column in one.columns}
    own = _columns(columns, rows)
    inputs = tuple(_parameter(name, text, kinds) for name, text in _each_parameter(params, way, by).items())
    checked = _identity(path, by, batch, way, rows, identity, own, _names_of(key))
    endpoint = replace(
        checked,
        name=table,
        credits=price,
        parameters=inputs,
        batch=batch,
        not_tabled=("",),  # what no column has is not news
    )
    made = Table(
        endpoint,
        name=table,
        row=f"item of {rows}" if "[]" in rows else "answer",
        key=_names_of(key),
        rows=(rows,),
        columns=(*_columns_of_parameters(endpoint, own, kinds), *own, OBSERVED_AT, SOURCE),
    )
    if unknown := [name for name in made.key if name not in made.names]:
        raise InvalidArgumentError(f"key: {joined(unknown)} is not among the columns {joined(list(made.names))}")
    register(made, yours=True)
    return _fetch_function(made, params or {})
