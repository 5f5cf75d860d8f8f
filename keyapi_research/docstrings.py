"""Docstrings completed from the declarations, and by what many functions have in common.

Taken apart and put together without their indentation: Python 3.13 strips it when it compiles, earlier ones keep it.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from .model import OBSERVED_AT, Column, Endpoint, Parameter, Table

F = TypeVar("F", bound=Callable[..., object])
_WIDTH: Final = 96
_ORDER: Final = ("Parameters", "Returns", "Raises", "Notes", "Examples")  # numpydoc's
_BEFORE_ENTRY: Final = re.compile(r"\n(?=\S)")
_BEFORE_SECTION: Final = re.compile(r"\n\n(?=[A-Z][A-Za-z ]+\n-+\n)")

COMMON: Final[Mapping[str, str]] = {
    "max_age": 'max_age : str or timedelta or 0, optional\n    Maximum age of stored answers ("1D", "6h"); older '
    'ones are fetched and paid for again.\n    0 always fetches; "any" never warns.',
    "errors": 'errors : {"raise", "warn"}\n    If some ids fail, fetch the others, then raise an error, or warn and '
    "return the partial table.",
    "of": "of : str, optional\n    The table to use, if the frame holds several.",
    "client": "client : Client, optional\n    The connection; the default one if omitted.",
}  # parameters that mean the same wherever they stand
_ERRORS: Final = """\
InvalidArgumentError, BudgetExceededError, NotStoredError
    Nothing was sent: an argument is not valid, it costs more than allowed, or offline an answer is missing.
AuthenticationError, CreditsExhaustedError, AccessDeniedError, StoreError
    Nothing more was sent.
FetchIncompleteError
    Some ids failed; `.frame` has the rows of the others, `.failures` the reasons."""


def complete(function: F, described: Mapping[str, str] = COMMON, **sections: str) -> F:
    """Complete a docstring: with entries of its parameters that it leaves out, and sections to add or replace."""
    if not function.__doc__:  # python -OO
        return function
    summary, *parts = _BEFORE_SECTION.split(inspect.cleandoc(function.__doc__))
    written = {heading: body.strip() for heading, _, body in (part.split("\n", 2) for part in parts)}
    own = {entry.partition(" : ")[0]: entry for entry in _BEFORE_ENTRY.split(written.get("Parameters", ""))}
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    entries = "\n".join({**described, **own}[name] for name in names)
    ordered = sorted({**written, "Parameters": entries, **sections}.items(), key=lambda one: _ORDER.index(one[0]))
    parts = [f"{heading}\n{'-' * len(heading)}\n{body}" for heading, body in ordered]
    function.__doc__ = "\n\n".join([summary.strip(), *parts]) + "\n"
    return function


def document(function: F, table: Table) -> F:
    """Complete a fetch function's docstring: parameters, columns, price, errors, source."""
    endpoint = table.endpoint
    own = endpoint.tables[0]
    again = "" if own is table else f", free after `fetch_{own.name}` or a sibling with the same arguments"
    page = f'page "{endpoint.page}" of docs.keyapi.ai' if endpoint.page else "declared in this session"
    inputs = {one.argument: _describe_input(one, ids=one is endpoint.entity) for one in endpoint.inputs}
    columns = textwrap.wrap("Columns: " + ", ".join(map(_describe_column, table.columns)), _WIDTH)
    return complete(
        function,
        {**COMMON, "limit": _describe_limit(endpoint), **inputs},
        Returns=f"pandas.DataFrame\n    One row per {table.row}, identified by {', '.join(table.key)}.\n"
        + textwrap.indent("\n".join(columns), "    ")
        + f'\n    `kr.describe("{table.name}")` has the meaning of each column, and how certain it is.',
        Raises=_ERRORS,
        Notes=textwrap.fill(f"Price: {endpoint.price}{again}. Stored answers cost nothing.", _WIDTH)
        + "\n\n"
        + textwrap.fill(f"Source: GET {endpoint.path}, {page}.", _WIDTH),
    )


def _describe_limit(endpoint: Endpoint) -> str:
    if endpoint.paging is None:
        return "limit : int or None\n    Not applied: one request brings all rows."
    each = " for each id" if endpoint.entity else ""
    pages = f"fetched in pages of {endpoint.paging.most}; None for all pages"
    return f"limit : int or None\n    Maximum number of rows{each}, {pages}."


def _describe_input(parameter: Parameter, *, ids: bool) -> str:
    kind = "one id or iterable of them" if ids else "str, optional"
    if parameter.required:
        kind = "str"
    elif parameter.default is not None and not ids:
        kind = f"{type(parameter.default).__name__}, default {parameter.default!r}"
    return f"{parameter.argument} : {kind}\n    {parameter.meaning}"


def _describe_column(column: Column) -> str:
    unit = f" [{column.measured}]" if column.measured not in column.name and column.dtype != OBSERVED_AT.dtype else ""
    return f"{column.name} ({column.dtype}{unit})"
