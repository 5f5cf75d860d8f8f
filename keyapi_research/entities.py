"""Whose rows they are: the series and audiences that a frame holds, by name, for pictures and computations.

Any frame with the needed columns will do: filtered, merged, or read from a file without its dtypes.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from .errors import InvalidArgumentError
from .frames import columns_of, tables_in
from .model import COLUMN_DTYPES, TABLES, Table

_NAMED: Final = (  # id, the column with its name, and what stands before the id where that is not there
    ("hashtag_name", "hashtag_name", "#"),
    ("clip_id", "title", "sound "),
    ("category_id", "category", "category "),
    ("user_id", "username", "creator "),
    ("product_id", "product_name", "product "),
)
ENTITY_IDS: Final = tuple(name for name, _, _ in _NAMED)
_LONGEST: Final = 28  # characters of a name


def check_columns(df: object, needs: Needs) -> None:
    """Check that a frame has the columns a function needs; the error names them, and where they come from."""
    call, needed = needs.call, needs.columns
    if not isinstance(df, pd.DataFrame):
        raise InvalidArgumentError(f"{call} reads a DataFrame; got {type(df).__name__}. {needs.advice}")
    missing = [name for name in needed if name not in df.columns]
    tables = [table.name for table in needs.tables]
    why = why_not(df, needs)
    if missing:
        inside = [name for name in missing if name in df.index.names]
        hint = f" ({', '.join(inside)} is in the index: df.reset_index())" if inside else ""
        raise InvalidArgumentError(
            f"{call} needs the columns {', '.join(needed)}; this frame has no {', '.join(missing)}{hint}. "
            f"It reads rows of {', '.join(tables)}. {why}{needs.advice}"
        )
    if why:
        raise InvalidArgumentError(f"{call} reads rows of {', '.join(tables)}. {why}{needs.advice}")
    read = dict.fromkeys([*needed, *(name for table in needs.tables for name in (*table.key, "observed_at", "source"))])
    twice = [name for name in read if name in df.columns and isinstance(df[name], pd.DataFrame)]
    if twice:
        raise InvalidArgumentError(f"{call}: the frame has several columns named {', '.join(twice)}. Keep one of each.")


def why_not(df: pd.DataFrame, needs: Needs) -> str:
    """Return a sentence on why the measures of a frame are not those needed, though they may have their names."""
    held = tables_in(columns_of(df)) if needs.each else []
    if not held or any(table in needs.tables for table in held):
        return ""
    table = next((one for one in held if set(needs.columns) & set(one.names)), held[0])
    if any(column.of == "of the period" for column in table.columns):
        return f"The measures of {table.name} are gains of its period, not totals. "
    if not set(needs.columns) <= set(table.names):
        return ""
    what = needs.each.removesuffix("_id")
    return f"In {table.name} they are measures of a {table.row}; rows of a {what} have {needs.each}. "


def typed(df: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Return those of the columns that are there, with a fresh index: numbers as float64, times in UTC, else text."""
    found = {name: _typed(df[name]) for name in dict.fromkeys(names) if name in df.columns}
    return pd.DataFrame(found).reset_index(drop=True)


def _typed(column: pd.Series[Any]) -> pd.Series[Any]:
    dtype = COLUMN_DTYPES.get(str(column.name), "float64")
    try:
        if dtype.startswith("datetime"):
            as_text = not pd.api.types.is_datetime64_any_dtype(column)
            return pd.to_datetime(column, utc=True, format="ISO8601" if as_text else None)
        if dtype in ("Int64", "float64"):
            numbers = pd.to_numeric(column).to_numpy(dtype="float64", na_value=np.nan)
            return pd.Series(numbers, index=column.index, name=column.name)
    except (ValueError, TypeError) as error:
        raise InvalidArgumentError(
            f"Column {column.name} cannot be read as {dtype} ({error}). Read the file again with kr.read_csv(path)."
        ) from error
    return column.astype("string")


def find_entities(df: pd.DataFrame, needs: Needs) -> Entities:
    """Return the entities of a frame in order of appearance; two observations of a series are two."""
    keys = [name for table in needs.tables for name in table.key]
    identity = [name for name in dict.fromkeys(keys) if name not in needs.columns]
    ids = [name for name in ENTITY_IDS if name in identity]
    if not any(name in df.columns for name in ids):
        raise InvalidArgumentError(
            f"{needs.call} needs one of the columns {', '.join(ids)}, which say whose rows they are. {needs.advice}"
        )
    rows = typed(df, [*identity, "observed_at", *(name for _, name, _ in _NAMED)])
    keys = [name for name in (*identity, "observed_at") if name in rows]
    codes = rows.groupby(keys, dropna=False, sort=False).ngroup().to_numpy().astype(np.intp)
    first = rows.loc[~pd.Series(codes).duplicated()]
    return Entities(codes, _tell_apart(first, keys), shared_window(first))


def name_rows(rows: pd.DataFrame) -> list[Name]:
    """Name what each row is about, with its region and window where rows differ in them."""
    names = [_name(row) for row in rows.to_dict("records")]
    for window in _windows(rows):
        if len(set(window)) > 1:
            names = [_with(name, one) for name, one in zip(names, window, strict=True)]
    return names


def shared_window(rows: pd.DataFrame) -> str:
    """Return the region and window that all rows have in common."""
    return ", ".join(window[0] for window in _windows(rows) if len(set(window)) == 1 and window[0])


def _windows(rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    records = rows.to_dict("records")
    return (
        [_describe("region", row.get("region")) for row in records],
        [_describe("period", row.get("period")) or _describe("time_scope", row.get("time_scope")) for row in records],
    )


def _tell_apart(first: pd.DataFrame, keys: list[str]) -> list[Name]:
    """Name entities; what differs between namesakes is added until no two are called the same."""
    names = name_rows(first)
    for key in (key for key in keys if key not in ("hashtag_name", "region", "period")):
        values = [_describe(key, value) for value in first[key]]
        ways = Counter(label for label, _ in {(name.label, value) for name, value in zip(names, values, strict=True)})
        names = [
            _with(name, value) if ways[name.label] > 1 else name for name, value in zip(names, values, strict=True)
        ]
    return names


def _with(name: Name, more: str) -> Name:
    return replace(name, added=(*name.added, more)) if more else name


def _name(row: dict[Any, Any]) -> Name:
    for key, column, sign in _NAMED:
        value, title = row.get(key), row.get(column)
        if value is None or pd.isna(value):
            continue
        by_id = elide(f"{sign}{value}")
        return Name(by_id) if key == column or title is None or pd.isna(title) else Name(elide(str(title)), by_id)
    return Name("(no name)")


def _describe(column: str, value: Any) -> str:
    if value is None or pd.isna(value):
        return ""
    if column in ("period", "time_scope"):
        days = f"{value:g}" if isinstance(value, float) else str(value)
        return f"{days} day{'s' if days != '1' else ''}" if days.isdecimal() else days
    if column == "observed_at":
        return f"observed {value:%Y-%m-%d %H:%M:%S}"
    if column == "region":
        return str(value).replace("_", " ")  # all_regions
    return str(value) if column in ENTITY_IDS else f"{column} {value}"


def elide(text: str, longest: int = _LONGEST) -> str:
    """Shorten a name in its middle: what tells namesakes apart is often at the end. A wide character counts twice."""
    widths = [_width(character) for character in text]
    if sum(widths) <= longest:
        return text
    ends = np.cumsum(widths)
    head = int(np.searchsorted(ends, longest * 2 // 3, side="right"))
    tail = len(text) - int(np.searchsorted(np.cumsum(widths[::-1]), longest - longest * 2 // 3 - 1, side="right"))
    while head > 1 and not widths[head]:  # an accent stays with its character
        head -= 1
    while tail < len(text) and not widths[tail]:
        tail += 1
    return f"{text[:head]}…{text[tail:]}"


def _width(character: str) -> int:
    if unicodedata.category(character).startswith("M"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def numbered(labels: Iterable[str]) -> list[str]:
    """Return labels with a number on those that became the same."""
    seen: Counter[str] = Counter()
    made = []
    for label in labels:
        seen[label] += 1
        made.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return made


@dataclass(frozen=True)
class Needs:
    """What a function reads: its name for users, the columns, and where a frame with them comes from.

    Where the columns are of one `each`, only tables with that in their key have what is meant.
    """

    call: str
    columns: tuple[str, ...]
    advice: str
    each: str = ""

    @property
    def tables(self) -> list[Table]:
        """The tables that have it."""
        return [one for one in TABLES.values() if set(self.columns) <= set(one.names) and self.each in (*one.key, "")]


@dataclass(frozen=True)
class Name:
    """What an entity is called, also in plain characters where it has a title, and what tells it from namesakes."""

    text: str
    plain: str = ""
    added: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name in full."""
        return _joined(self.text, self.added)

    @property
    def plain_label(self) -> str:
        """The same in plain characters, or nothing."""
        return _joined(self.plain, self.added) if self.plain else ""


def _joined(text: str, added: tuple[str, ...]) -> str:
    return f"{text} ({', '.join(added)})" if added else text


@dataclass(frozen=True)
class Entities:
    """Which entity each row belongs to, by number; their names; and what all of them have in common."""

    codes: npt.NDArray[np.intp]
    names: list[Name]
    shared: str
