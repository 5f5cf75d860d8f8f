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
_WIDTH: Final = 88  # what JupyterLab's tooltip shows of a line
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
_IN_WORDS: Final = {
    "Ids": "str | Iterable[str]",
    "MaxAge": "str | timedelta | int | None",
    "Errors": "'raise' | 'warn'",
    "Sent": "str | int | float | bool | date | None",
    "Start": "str | date | timedelta",
    "Day": "str | date",
    "Which": "'latest' | 'all'",
    "Spec": "tuple[str, ...]",
    "Literal['day', 'month']": "'day' | 'month'",
    "AxesOrMany": "Axes | Sequence[Axes]",
    "os.PathLike[str]": "PathLike",
    "pd.": "",
}  # of types in signatures
_OURS: Final = re.compile("|".join(rf"\b{re.escape(one)}" + r"\b" * one[-1].isalnum() for one in _IN_WORDS))
_ERRORS: Final = """\
InvalidArgumentError, BudgetExceededError, NotStoredError
    Nothing was sent: an argument is not valid, it costs more than allowed, or offline an answer is missing.
AuthenticationError, CreditsExhaustedError, AccessDeniedError, StoreError
    Nothing more was sent.
FetchIncompleteError
    Some ids failed; `.frame` has the rows of the others, `.failures` the reasons."""


def complete(function: F, described: Mapping[str, str] = COMMON, first: str = "", **sections: str) -> F:
    """Complete a docstring: entries of parameters it leaves out, sections, what comes `first` after the summary."""
    plain(function)
    if not function.__doc__:  # python -OO
        return function
    summary, *parts = _BEFORE_SECTION.split(inspect.cleandoc(function.__doc__))
    written = {heading: body.strip() for heading, _, body in (part.split("\n", 2) for part in parts)}
    own = {entry.partition(" : ")[0]: entry for entry in _BEFORE_ENTRY.split(written.get("Parameters", ""))}
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    entries = "\n".join(_narrow({**described, **own}[name]) for name in names)
    ordered = sorted({**written, "Parameters": entries, **sections}.items(), key=lambda one: _ORDER.index(one[0]))
    parts = [f"{heading}\n{'-' * len(heading)}\n{body}" for heading, body in ordered]
    summary, _, more = summary.strip().partition("\n\n")
    more = "\n\n".join(map(_narrow, more.split("\n\n"))) if more else ""
    function.__doc__ = "\n\n".join(filter(None, [summary, first, more, *parts])) + "\n"
    return function


def _narrow(text: str) -> str:
    """Break a paragraph, or what stands under the name of a parameter, into lines that a tooltip shows whole."""
    lines = text.split("\n")
    if max(map(len, lines)) <= _WIDTH:
        return text
    head, body = (lines[:1], lines[1:]) if " : " in lines[0] else ([], lines)
    if any(line.lstrip() != line[4 * len(head) :] for line in body):  # code, or a list
        return text
    indent = 4 * len(head)
    narrow = textwrap.fill(" ".join(map(str.strip, body)), _WIDTH - indent)
    return "\n".join([*head, textwrap.indent(narrow, indent * " ")])


def plain(function: F) -> F:
    """Show the types of a signature as a reader knows them: without quotation marks and names that only we have."""
    signature = inspect.signature(function)
    shown = [one.replace(annotation=_Shown.of(one.annotation)) for one in signature.parameters.values()]
    returned = _Shown.of(signature.return_annotation)
    function.__signature__ = signature.replace(parameters=shown, return_annotation=returned)  # type: ignore[attr-defined]
    return function


class _Shown(str):
    """A type as it is shown."""

    __slots__ = ()
    __repr__ = str.__str__

    @classmethod
    def of(cls, annotation: object) -> object:
        if annotation is inspect.Parameter.empty:
            return annotation
        text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
        return cls(_OURS.sub(lambda found: _IN_WORDS[found[0]], text))


def document(function: F, table: Table) -> F:
    """Complete a fetch function's docstring: parameters, columns, price, errors, source."""
    endpoint = table.endpoint
    own = endpoint.tables[0]
    again = "" if own is table else f", free after `fetch_{own.name}` or a sibling with the same arguments"
    page = f'page "{endpoint.page}" of docs.keyapi.ai' if endpoint.page else "declared in this session"
    inputs = {one.argument: _describe_input(one, ids=one is endpoint.entity) for one in endpoint.inputs}
    columns = textwrap.wrap("Columns: " + ", ".join(map(_describe_column, table.columns)), _WIDTH)
    price = textwrap.fill(f"Price: {endpoint.price}{again}. Stored answers cost nothing.", _WIDTH)
    return complete(
        function,
        {**COMMON, "limit": _describe_limit(endpoint), **inputs},
        first=price,
        Returns=f"pandas.DataFrame\n    One row per {table.row}, identified by {', '.join(table.key)}.\n"
        + textwrap.indent("\n".join(columns), "    ")
        + f'\n    `kr.describe("{table.name}")` has the meaning of each column, and how certain it is.',
        Raises=_ERRORS,
        Notes=textwrap.fill(f"Source: GET {endpoint.path}, {page}.", _WIDTH),
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
