"""Docstrings of the fetch functions, completed from the declarations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, ParamSpec, TypeVar

from .. import endpoints, schema
from ..endpoints import ENDPOINT_OF
from ..schema import Table

P = ParamSpec("P")
R = TypeVar("R")
_LONGEST_LINE: Final = 100

_COMMON: Final[Mapping[str, str]] = {
    "limit": f"limit : int or None\n    Most rows; asked for in pages of {endpoints.PAGE_SIZE}. None: all pages.",
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
    price = endpoint.price
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
