"""Which of a frame's tables a method is to work on; where there is none, what is missing and how to get it back."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import pandas as pd

from ..errors import InvalidArgumentError, KeyAPIError, listed, shown
from ..frames import Needs, choose, columns_of, identifying_columns, nearest, tables_in
from ..model import COLUMN_DTYPES, TABLES, Table

_MOST_NAMED: Final = 8


class AccessorError(KeyAPIError, AttributeError):
    """There is no such method, or it is for other tables, or columns are missing."""


def fitting(needs: Needs, frame: pd.DataFrame) -> list[Table]:
    """Return the tables a frame holds that have the columns needed of them."""
    columns = columns_of(frame)
    return [table for table in tables_in(columns) if table.name in needs and needs[table.name] <= columns]


def find_table(frame: pd.DataFrame, method: str, needs: Needs, of: str | None, *, for_answers: bool = False) -> Table:
    """Return the table a method is to work on; `for_answers`: any of those that came with one answer."""
    if of is not None:
        if not isinstance(of, str) or of not in needs:
            raise InvalidArgumentError(f"of must be one of {', '.join(needs)} for {method}(); got {shown(of)}")
        if not needs[of] <= columns_of(frame):
            raise AccessorError(f"{method}(of={of!r}): {_explain_missing(TABLES[of], needs[of], frame)}")
        return TABLES[of]
    found = fitting(needs, frame)
    if not found:
        raise refuse(f"{method}()", needs, frame)
    table = choose(found, for_answers=for_answers)
    if table is None:
        names = [one.name for one in found]
        raise AccessorError(f"this frame holds {joined(names)}. Choose one: {method}(of={names[0]!r})")
    return table


def joined(names: Iterable[str], last: str = "and") -> str:
    """Write names as in a sentence."""
    *most, end = names
    return f"{', '.join(most)} {last} {end}" if most else end


def describe(frame: pd.DataFrame) -> str:
    """Describe what a frame holds, as far as its columns show."""
    found, near = tables_in(columns_of(frame)), nearest(columns_of(frame))
    if found:
        return f"this frame holds {joined(table.name for table in found)}"
    if near is not None:
        return f"this frame looks like {near.name}, but its key is incomplete"
    has = listed([str(name) for name in frame.columns], _MOST_NAMED) or "no columns"
    return f"this frame does not have the key columns of any table (it has {has}); kr.tables() lists them"


def refuse(method: str, needs: Needs | None, frame: pd.DataFrame, why: str = "") -> AccessorError:
    """Make the error of what a frame does not support (needs None: anything at all): what it holds, what would work.

    `why` is another reason than columns that are missing.
    """
    needs = needs or identifying_columns()
    closest = _closest(needs, frame)
    advice = f" {why}".rstrip()
    if closest is not None and not why:
        advice = f" {_explain_missing(closest, needs[closest.name], frame)}"
    these = "the tables of this package" if len(needs) == len(TABLES) else joined(needs, "or")
    return AccessorError(f"{method} is for {these}; {describe(frame)}.{advice}")


def _closest(needs: Needs, frame: pd.DataFrame) -> Table | None:
    """Return the table that a frame was probably meant to be: has most of, holds, or has lost nothing that is gone."""
    columns = columns_of(frame)
    lacking = {TABLES[name]: needed - columns for name, needed in needs.items() if not needed <= columns}
    traced = [table for table, names in lacking.items() if all(_way_back(name, frame) for name in names)]
    return next((table for table in (nearest(columns), *tables_in(columns), *traced) if table in lacking), None)


def _explain_missing(table: Table, needed: Collection[str], frame: pd.DataFrame) -> str:
    """Explain which columns of a table are missing, and one way to get them back."""
    have = columns_of(frame)
    missing = [name for name in table.names if name in needed and name not in have]
    filters = [one.column for one in table.endpoint.parameters if one.default is None]
    unset = [f"{name}=None" for name in missing if name in filters]
    ways = [_way_back(name, frame) for name in missing]
    if unset:
        ways.append(f"If none was requested: df.assign({', '.join(unset)}).")
    ways.append("Keep key columns when selecting, or merge them back from the fetched table.")
    return f"As {table.name} it lacks {joined(missing)}. {next(filter(None, ways))}"


def _way_back(name: str, frame: pd.DataFrame) -> str:
    """Return how to get a missing column back, if it can be seen where it went."""
    if name in frame.columns:
        return f"{name} is there more than once: keep one."
    if name in frame.index.names:
        return f"{name} is in the index: df.reset_index()."
    for label in frame.columns:
        if isinstance(label, str) and label.startswith(f"{name}_") and label not in COLUMN_DTYPES:
            rename = f'df.rename(columns={{"{label}": "{name}"}})'
            return f'A merge added suffixes: {rename}, or merge with suffixes=("", "_other").'
    return ""
