"""Which of a frame's tables a method is to work on; where there is none, what is missing and how to get it back."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import pandas as pd

from ..errors import InvalidArgumentError
from ..frames import Needs, choose, columns_of, identifying_columns, nearest, tables_in
from ..model import COLUMN_DTYPES, TABLES, Table

_SHOWN: Final = 8


def fitting(needs: Needs, frame: pd.DataFrame) -> list[Table]:
    """Return the tables a frame holds that have the columns needed of them."""
    columns = columns_of(frame)
    return [table for table in tables_in(columns) if table.name in needs and needs[table.name] <= columns]


def find_table(frame: pd.DataFrame, method: str, needs: Needs, of: str | None, *, for_answers: bool = False) -> Table:
    """Return the table a method is to work on; `for_answers`: any of those that came with one answer."""
    if of is not None:
        if of not in needs:
            raise InvalidArgumentError(f"of must be one of {', '.join(needs)} for {method}(); got {of!r}")
        if not needs[of] <= columns_of(frame):
            raise AttributeError(f"{method}(of={of!r}): {_explain_missing(TABLES[of], needs[of], frame)}")
        return TABLES[of]
    found = fitting(needs, frame)
    if not found:
        raise refuse(f"{method}()", needs, frame)
    table = choose(found, for_answers=for_answers)
    if table is None:
        names = [one.name for one in found]
        raise AttributeError(f"this frame holds {joined(names)}. Choose one: {method}(of={names[0]!r})")
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
    shown = ", ".join(str(name) for name in frame.columns[:_SHOWN]) or "no columns"
    more = "" if len(frame.columns) <= _SHOWN else f" and {len(frame.columns) - _SHOWN:,} more"
    return f"this frame does not have the key columns of any table (it has {shown}{more})"


def refuse_frame(frame: pd.DataFrame) -> AttributeError:
    """Make the error of a frame that has nothing to do with this package."""
    return refuse("df.keyapi", identifying_columns(), frame)


def refuse(method: str, needs: Needs, frame: pd.DataFrame) -> AttributeError:
    """Make the error of a method that a frame does not support: what was found, and what would work."""
    columns = columns_of(frame)
    held, near, of_any = tables_in(columns), nearest(columns), len(needs) == len(TABLES)
    in_reach = [
        TABLES[name]
        for name, needed in needs.items()
        if needed - columns
        and (TABLES[name] in (near, *held) or all(_whereabouts(one, frame) for one in needed - columns))
    ]
    in_reach.sort(key=lambda table: table is not near)
    advice = "".join(f" {_explain_missing(table, needs[table.name], frame)}" for table in in_reach[:2])
    if not in_reach and near is None and not held:
        keys = (f"{name} ({', '.join(_ordered(TABLES[name], need))})" for name, need in needs.items())
        advice = f" Key columns: {'kr.tables() lists them' if of_any else '; '.join(keys)}."
    these = "the tables of this package" if of_any else joined(needs, "or")
    return AttributeError(f"{method} is for {these}; {describe(frame)}.{advice}")


def _ordered(table: Table, names: Collection[str]) -> list[str]:
    return [name for name in table.names if name in names]


def _explain_missing(table: Table, needed: Collection[str], frame: pd.DataFrame) -> str:
    """Explain which columns of a table are missing, and how to get them back."""
    missing = {name: _whereabouts(name, frame) for name in _ordered(table, set(needed) - columns_of(frame))}
    ways = [f"{name}{there or _if_unset(table, name)}" for name, there in missing.items()]
    text = f"As {table.name} it lacks {joined(ways)}."
    suffixed = [(name, there[0]) for name in missing if (there := _suffixed(name, frame))]
    if suffixed:
        name, other = suffixed[0]
        return text + (
            f" A merge added suffixes: rename the column of {table.name} with "
            f'df.rename(columns={{"{other}": "{name}"}}), or merge with suffixes=("", "_other").'
        )
    if all(missing.values()):
        return text
    return text + " Keep key columns when selecting, or merge them back from the fetched table."


def _if_unset(table: Table, name: str) -> str:
    """Explain how a parameter is written that the call did not set."""
    parameter = table.endpoint.columns.get(name)
    unset = parameter is not None and parameter is not table.endpoint.entity and parameter.default is None
    return f" (if none was requested: df.assign({name}=None))" if unset else ""


def _suffixed(name: str, frame: pd.DataFrame) -> list[str]:
    """Return columns that a merge may have made of this one."""
    labels = [label for label in frame.columns if isinstance(label, str) and label not in COLUMN_DTYPES]
    return [label for label in labels if label.startswith(f"{name}_")]


def _whereabouts(name: str, frame: pd.DataFrame) -> str:
    """Describe where a missing column went, if it can be seen."""
    if name in frame.columns:
        return " (more than once: keep one)"
    if name in frame.index.names:
        return " (in the index: df.reset_index())"
    suffixed = _suffixed(name, frame)
    return f" (there {'are' if len(suffixed) > 1 else 'is'} {joined(suffixed)})" if suffixed else ""
