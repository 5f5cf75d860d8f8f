"""What is said of frames: which tables they hold, which columns they lack, and how to get these back."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import pandas as pd

from ..endpoints import ENDPOINT_OF
from ..frames import Needs, columns_of, nearest, tables_in
from ..schema import COLUMN_DTYPES, TABLES, Table

_SHOWN: Final = 8


def joined(names: Iterable[str], last: str = "and") -> str:
    """Write names as in a sentence."""
    *most, end = names
    return f"{', '.join(most)} {last} {end}" if most else end


def describe(frame: pd.DataFrame) -> str:
    """Say what a frame holds, as far as its columns tell."""
    found, near = tables_in(columns_of(frame)), nearest(columns_of(frame))
    if found:
        return f"this frame holds {joined(table.name for table in found)}"
    if near is not None:
        return f"this frame looks like {near.name}, but its key is incomplete"
    shown = ", ".join(str(name) for name in frame.columns[:_SHOWN]) or "no columns"
    more = "" if len(frame.columns) <= _SHOWN else f" and {len(frame.columns) - _SHOWN:,} more"
    return f"this frame has the key columns of no table (it has {shown}{more})"


def refuse(method: str, needs: Needs, frame: pd.DataFrame) -> AttributeError:
    """Make the error of a method that a frame does not support: what was found, and what would work."""
    columns = columns_of(frame)
    held, near, of_any = tables_in(columns), nearest(columns), len(needs) == len(TABLES)
    lacking = {name: [one for one in TABLES[name].names if one in needed - columns] for name, needed in needs.items()}
    in_reach = [
        TABLES[name]
        for name, missing in lacking.items()
        if missing and (TABLES[name] in (near, *held) or all(_whereabouts(one, frame) for one in missing))
    ]
    in_reach.sort(key=lambda table: table is not near)
    advice = "".join(f" {explain_missing(table, needs[table.name], frame)}" for table in in_reach[:2])
    if not in_reach and near is None and not held:
        keys = (
            f"{name} ({', '.join(one for one in TABLES[name].names if one in need)})" for name, need in needs.items()
        )
        advice = f" Key columns: {'kr.tables() lists them' if of_any else '; '.join(keys)}."
    these = "the tables of this package" if of_any else joined(needs, "or")
    return AttributeError(f"{method} is for {these}; {describe(frame)}.{advice}")


def ask_which(method: str, tables: Iterable[Table]) -> AttributeError:
    """Make the error of a method that a frame supports for more than one entity."""
    names = [table.name for table in tables]
    return AttributeError(f"this frame holds {joined(names)}: say which is meant, as {method}(of={names[0]!r})")


def explain_missing(table: Table, needed: Collection[str], frame: pd.DataFrame) -> str:
    """Say which columns of a table are missing, and how to get them back."""
    have = columns_of(frame)
    missing = [name for name in table.names if name in needed and name not in have]
    ways = [f"{name}{_whereabouts(name, frame) or _if_unset(table, name)}" for name in missing]
    text = f"As {table.name} it lacks {joined(ways)}."
    suffixed = [(name, there[0]) for name in missing if (there := _suffixed(name, frame))]
    if suffixed:
        name, other = suffixed[0]
        text += (
            f" Suffixed columns are not guessed: rename the one of {table.name}, as "
            f'df.rename(columns={{"{other}": "{name}"}}), or merge with suffixes=("", "_other").'
        )
    elif not all(_whereabouts(name, frame) for name in missing):
        text += " Keep key columns when selecting, or merge them back from the table that was fetched."
    return text


def _if_unset(table: Table, name: str) -> str:
    """Say how a parameter is written that was not asked for."""
    parameter = next((p for p in ENDPOINT_OF[table.name].parameters if p.column == name), None)
    unset = parameter is not None and parameter.default is None
    return f" (where none was asked for: df.assign({name}=None))" if unset else ""


def _suffixed(name: str, frame: pd.DataFrame) -> list[str]:
    """Columns that a merge may have made of this one."""
    return [
        label
        for label in frame.columns
        if isinstance(label, str) and label.startswith(f"{name}_") and label not in COLUMN_DTYPES
    ]


def _whereabouts(name: str, frame: pd.DataFrame) -> str:
    """Say where a missing column went, if it can be seen."""
    if name in frame.columns:
        return " (there more than once: keep one)"
    if name in frame.index.names:
        return " (in the index: df.reset_index())"
    suffixed = _suffixed(name, frame)
    return f" (there {'are' if len(suffixed) > 1 else 'is'} {joined(suffixed)})" if suffixed else ""
