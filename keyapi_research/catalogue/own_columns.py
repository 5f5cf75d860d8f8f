"""Columns of a declared table: from what a user writes to what the package declares its own columns with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..errors import InvalidArgumentError, shown
from ..model import METADATA, Column
from ..places import CountOf, Field, Position
from ..rows import level_of
from ..spelling import writable

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
}  # kinds as users write them, and the kinds of columns they become
YOURS: Final = "yours: declared in this session"
_FEWEST, _MOST = 2, 4  # parts of the declaration of a column

Spec = tuple[str, str] | tuple[str, str, str] | tuple[str, str, str, str]


def own_columns(columns: Mapping[str, Spec], rows: str) -> tuple[Column, ...]:
    """Return the columns that are declared for rows."""
    if not isinstance(columns, Mapping) or not columns:
        raise InvalidArgumentError(
            f'columns must be a dict such as {{"views": ("count", "play_count")}}; got {shown(columns)}'
        )
    return tuple(_own_column(name, spec, rows) for name, spec in columns.items())


def _own_column(name: object, spec: object, rows: str) -> Column:
    if not isinstance(name, str) or not name or name in METADATA or writable(name) != name:
        raise InvalidArgumentError(
            f"columns: {shown(name)} cannot be the name of a column. Choose another text; observed_at and source come "
            "by themselves"
        )
    parts = tuple(spec) if isinstance(spec, tuple | list) else ()
    if not _FEWEST <= len(parts) <= _MOST or not all(isinstance(one, str) for one in parts) or parts[0] not in _KINDS:
        raise InvalidArgumentError(
            f"column {name!r} must be (kind, path), or with a unit and a meaning, kind one of {', '.join(_KINDS)}; got "
            f"{shown(spec)}"
        )
    kind, path, unit, meaning = (*parts, "", "")[:_MOST]
    least = 0 if kind in ("count", "length") else 1 if kind == "position" else None
    place = _place(name, kind, path, rows)
    known = f"KeyAPI's {path}." if path else "Place in the list, from 1." if kind == "position" else "The row itself."
    return Column(name, _KINDS[kind], place, meaning or known, YOURS, unit, least)


def _place(name: str, kind: str, path: str, rows: str) -> Field | CountOf | Position:
    if kind == "position":
        items = level_of(rows)
        if not items or path not in ("", items):
            raise InvalidArgumentError(
                f"column {name!r}: a position is that of a row in the list of the rows, without a path of its own, and "
                f"rows is {rows!r}. Pass ('position', ''), with rows that are items of a list"
            )
        return Position(str(Field(items)))
    if kind == "length" and not path:
        raise InvalidArgumentError(f"column {name!r}: name the list whose length is meant: ('length', 'tags')")
    found = resolve(path, rows)
    if level_of(found.path) not in {level_of(one) for one in _around(rows)}:
        raise InvalidArgumentError(
            f"column {name!r}: {path!r} goes through another list than the rows. Make it rows, or declare its length"
        )
    return CountOf(found.path) if kind == "length" else found


def _around(rows: str) -> list[str]:
    """Return the paths of a row, of all objects around it, and of the lists and objects that lead to it."""
    steps = [at for at in range(len(rows) + 1) if at == len(rows) or rows[at] == "." or rows[at - 2 : at] == "[]"]
    return list(dict.fromkeys(["", *(rows[:at] for at in steps)]))


def resolve(path: str, rows: str) -> Field:
    """Return the place of a path: as it is if it leads to an object around the row, else in or beside it."""
    if any(path.startswith(f"{one}.") for one in _around(rows) if one):
        return Field(path)
    inside = f"{rows}.{path}".strip(".") if path else rows
    return Field(inside, around="" if "[]" in path or not path or rows in ("", "[]") else path)
