"""Which tables a frame holds, known by its columns alone; and what to say where a column is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final

import pandas as pd

from ..endpoints import ENDPOINT_OF
from ..schema import COLUMN_DTYPES, TABLES, Position, Stamp, Table

Needs = Mapping[str, frozenset[str]]  # by table, the columns a method needs of it

_SHOWN: Final = 8
_ALIKE: Final = 0.5  # a frame with half of a table's columns was made of it
_NOT_TELLING: Final = frozenset(
    column.name for table in TABLES.values() for column in table.columns if isinstance(column.place, Position | Stamp)
)


def _names(table: Table) -> frozenset[str]:
    return frozenset(table.names)


def _marks(table: Table) -> frozenset[str]:
    """Key columns, and what tells the table from others with the same key."""
    twins = [other for other in TABLES.values() if other is not table and other.key == table.key]
    own = _names(table).difference(*map(_names, twins)) if twins else frozenset()
    return frozenset(table.key) | own


MARKS: Final[Needs] = MappingProxyType({name: _marks(table) for name, table in TABLES.items()})
_COVERED_BY: Final[Mapping[str, tuple[Table, ...]]] = MappingProxyType(
    {
        name: tuple(other for other in TABLES.values() if other is not table and set(table.key) <= _names(other))
        for name, table in TABLES.items()
    }
)


def columns_of(frame: pd.DataFrame) -> frozenset[str]:
    """List the columns that can be meant by their name: text, and there once."""
    counts = Counter(frame.columns)
    return frozenset(name for name, times in counts.items() if times == 1 and isinstance(name, str))


def tables_in(columns: Collection[str]) -> list[Table]:
    """Tell which tables a frame with these columns holds.

    A key alone is no proof: every trend has the key of its hashtag, and a ranking that lost a filter that of a
    category. So the table that explains most columns comes first, then the one that explains most of the rest.

    Parameters
    ----------
    columns : collection of str
        Names of the columns.

    Returns
    -------
    list of Table
        One for each table merged into the frame; none where every key is incomplete.
    """
    have = frozenset(columns)
    there = [table for name, table in TABLES.items() if MARKS[name] <= have]
    left = have - _NOT_TELLING
    pool = {table.name: table for table in there} | {
        other.name: other
        for table in there
        for other in _COVERED_BY[table.name]
        if (_names(other) - _names(table)) & left
    }
    found: list[Table] = []
    while pool:
        best = max(pool.values(), key=lambda table: (len(_names(table) & left), table in there, len(table.key)))
        explained = _names(best) & left
        if not explained:
            break
        # Of an answer that is known already, one more key column is more likely the user's own than another table.
        known = any(ENDPOINT_OF[table.name] is ENDPOINT_OF[best.name] for table in found)
        if best in there and (not known or explained - set(best.key)):
            found.append(best)
        left -= explained
        del pool[best.name]
    return [table for table in there if table in found]


def choose(tables: Iterable[Table]) -> Table | None:
    """Choose the table that is meant; None where two entities are.

    Tables of one answer are one entity: the finest of them is what a row is about.
    """
    found = list(tables)
    finest = max(found, key=lambda table: len(table.key))
    one_answer = all(ENDPOINT_OF[table.name] is ENDPOINT_OF[finest.name] for table in found)
    nested = all(table is finest or set(table.key) < set(finest.key) for table in found)
    return finest if one_answer and nested else None


def nearest(columns: Collection[str]) -> Table | None:
    """Find the table a frame was probably made of: the one it has most of, if that is half."""
    have = frozenset(columns)
    shares = {name: len(_names(table) & have) / len(table.names) for name, table in TABLES.items()}
    best = max(shares, key=lambda name: shares[name])
    return TABLES[best] if shares[best] >= _ALIKE else None


# What is said -----------------------------------------------------------------------------------------------


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
