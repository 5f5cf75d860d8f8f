"""Docstrings completed from the declarations and from what many functions have in common.

Taken apart and put together without their indentation: Python 3.13 strips it when it compiles, earlier ones keep it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Final, ParamSpec, TypeVar

from .. import endpoints, schema
from ..endpoints import ENDPOINT_OF
from ..schema import Table

P = ParamSpec("P")
R = TypeVar("R")
_LONGEST_LINE: Final = 100
_ORDER: Final = ("Parameters", "Returns", "Raises", "Notes", "Examples")  # numpydoc's
_BEFORE_SECTION: Final = re.compile(r"\n\n(?=[A-Z][A-Za-z ]+\n-+\n)")

COMMON: Final[Mapping[str, str]] = {
    "limit": f"limit : int or None\n    Most rows; asked for in pages of {endpoints.PAGE_SIZE}. None: all pages.",
    "max_age": 'max_age : str or timedelta or 0, optional\n    Pay for answers newer than this ("1D", "6h"); 0 always '
    'asks; "any" never warns.\n    By default what is stored serves, with a warning when it is older than a day.',
    "errors": 'errors : {"raise", "warn"}\n    When some ids fail: finish the others, then raise; or warn and give '
    "the partial table.",
    "of": "of : str, optional\n    The table that is meant, where the frame holds several that may be.",
    "client": "client : Client, optional\n    The connection; the default one if left out.",
}  # parameters that mean the same wherever they stand

_ERRORS: Final = """\
InvalidArgumentError
    An argument is wrong; nothing was sent.
BudgetExceededError
    It would cost more than allowed; nothing was sent.
NotStoredError
    Offline, and not all of it is stored.
AuthenticationError, CreditsExhaustedError, AccessDeniedError, StoreError
    Nothing more was sent.
FetchIncompleteError
    Some ids failed; `.frame` has the others, `.failures` says why."""


def complete(function: Callable[..., object], added: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
    """Complete a docstring by sections; under `python -OO` there is none, and none is made.

    Parameters
    ----------
    function : callable
        Whose docstring it is.
    added : callable
        Is given the docstring's sections by their headings, and returns those to add or replace.
    """
    if not function.__doc__:
        return
    summary, *parts = _BEFORE_SECTION.split(inspect.cleandoc(function.__doc__))
    written = {heading: body for heading, _, body in (part.split("\n", 2) for part in parts)}
    ordered = sorted({**written, **added(written)}.items(), key=lambda section: _ORDER.index(section[0]))
    parts = [summary, *(f"{heading}\n{'-' * len(heading)}\n{body}" for heading, body in ordered)]
    function.__doc__ = "\n\n".join(parts) + "\n"


def _parameter_text(parameter: endpoints.Parameter, *, ids: bool) -> str:
    kind = "one id or iterable of them" if ids else "str, optional"
    if parameter.default is not None and not ids:
        kind = f"{type(parameter.default).__name__}, default {parameter.default!r}"
    return f"{parameter.argument} : {kind}\n    {parameter.meaning}"


def _wrapped(text: str, indent: str) -> str:
    """Wrap as `textwrap` does, in a quarter of its time: importing the package waits for it."""
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

    def sections(_: Mapping[str, str]) -> Mapping[str, str]:
        endpoint = ENDPOINT_OF[table.name]
        price = endpoint.price
        if endpoint.tables[0] is not table:
            price += f"; nothing more where `fetch_{endpoint.tables[0].name}` or a sibling was asked the same"
        asked = [_parameter_text(parameter, ids=parameter is endpoint.entity) for parameter in endpoint.inputs]
        common = ("limit", "max_age", "client") if endpoint.ranking else ("max_age", "errors", "client")
        columns = "\n".join(map(_column_text, table.columns))
        return {
            "Parameters": "\n".join([*asked, *(COMMON[name] for name in common)]),
            "Returns": f"pandas.DataFrame\n    One row per {table.row}; key: {', '.join(table.key)}. "
            f"Columns:\n\n{columns}",
            "Raises": _ERRORS,
            "Notes": f"Price: {price}; what is stored costs nothing.\n"
            f'Source: GET {endpoint.path}, page "{endpoint.page}" of docs.keyapi.ai.',
        }

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        complete(function, sections)
        return function

    return decorate
