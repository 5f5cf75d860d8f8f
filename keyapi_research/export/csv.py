"""CSV files: what comes back equals what went out, from the file alone.

Columns the dictionary knows get its dtype by name. Others get what pandas infers, but text wherever a value is digits
with a leading zero or more than 15 of them.
"""

from __future__ import annotations

import contextlib
import csv
import io
import numbers
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import chain, islice
from types import MappingProxyType, SimpleNamespace
from typing import IO, Any, Final

import numpy as np
import pandas as pd

from ..columns import Array, infer_cells, read_cells
from ..errors import InvalidArgumentError, KeyAPIWarning, SchemaDriftWarning, listed, shown, warn
from ..files import as_path, read_buffer, read_bytes, write_bytes
from ..measures import RATES
from ..model import COLUMN_DTYPES, DTYPES, TABLES
from ..settings import read_flag
from .compression import pack, unpack

BOM: Final = b"\xef\xbb\xbf"

_SEPARATORS: Final[Mapping[str, str]] = MappingProxyType({";": "semicolons", "\t": "tabs"})  # of other CSV files
_SPREADSHEETS: Final = frozenset((".xlsx", ".xls", ".xlsm", ".ods"))
_FORMULAS: Final = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # a spreadsheet may see a formula
_RISKY: Final = (*_FORMULAS, "'")
# Where spreadsheets begin a cell that take semicolons for separators, as in many countries.
_INSIDE: Final = re.compile(f"(?<=;)(?=[{re.escape(''.join(_RISKY))}])")
_GUARD_INSIDE: Final = re.compile(f"(?<=;)'(?=[{re.escape(''.join(_RISKY))}])")
_ROUNDED: Final = re.compile(r"[0-9](?:[.,][0-9]+)?E\+1[5-9]")  # what a spreadsheet makes of a long id
_LONG: Final = re.compile(r"[+-]?[0-9]{16,}")  # a spreadsheet keeps 15 digits of a number

# A cell in quotes: they open where it begins and close where it ends.
_QUOTED: Final = re.compile(rb'"(?<![^,\r\n]")[^"]*+(?:""[^"]*+)*+"(?![^,\r\n])')
_NO_END: Final = bytes(set(range(256)) - set(b",\n"))  # what ends neither a cell nor a row
_LONE_RETURN: Final = re.compile(rb"\r(?!\n)")
_GUARDS: Final = re.compile(rb"'(?<![^,\r\n\"]')[=+@\t\r\n\xef0-9-]|;'")  # without them no cell is looked at
_SEP_LINE: Final = re.compile(rb'"?sep=,"?\r?\n', re.IGNORECASE)  # a spreadsheet's own first line
_LINE: Final = re.compile(rb"[^\r\n]+")
_CELLS: Final = 2**18  # read at once: bounds memory
_WIDE: Final = 1000  # columns; of more, pandas takes longer than csv
_LONGEST_CELL: Final = 2**31 - 1
_MOST_SHOWN: Final = 30  # characters of a value

Cells = Any  # a sequence of texts, or an array of whole numbers


def known_dtypes() -> Mapping[str, str]:
    """Return the dtype of every column name that a table declares or a method adds."""
    return {**dict.fromkeys(RATES, DTYPES["number"]), **COLUMN_DTYPES}


def id_columns() -> frozenset[str]:
    """Return the names of columns of ids."""
    return frozenset(column.name for table in TABLES.values() for column in table.columns if column.kind == "id")


# Writing ----------------------------------------------------------------------------------------------------


def distinct_names(df: object) -> list[str]:
    """Return the names of a frame's columns as text; refuse what no file of named columns can hold."""
    if not isinstance(df, pd.DataFrame):
        raise InvalidArgumentError(f"df must be a DataFrame, not {type(df).__name__}")
    names = [str(name) for name in df.columns]
    if isinstance(df.columns, pd.MultiIndex) or len(set(names)) < len(names) or not names:
        raise InvalidArgumentError(
            "the frame must have columns, each with one name that no other has. Flatten a MultiIndex, or rename columns"
        )
    return names


def write_csv(df: pd.DataFrame, path: str | os.PathLike[str], *, excel: bool = False, index: bool = False) -> None:
    """Write a frame to one CSV file that `read_csv` brings back as it was, columns of tables with their dtypes.

    Parameters
    ----------
    df : pandas.DataFrame
        Any frame; its index is not written. Columns that `describe` does not know, such as `peak` of `half_times`, are
        inferred when they are read: times stay text, Int64 and boolean become int64 and bool, text of digits a number,
        an empty text is missing. Parquet keeps them.
    path : path
        Where to; .gz, .bz2, .xz and .zip are compressed.
    excel : bool
        For spreadsheets: with a byte-order mark, and with one leading apostrophe before text that starts with
        ``= + - @ '``, a tab or a carriage return and before digits longer than 15, so that no text is run as a formula
        and no id is rounded. `read_csv` takes both off again.
    index : bool
        Only False, as the index is never written.

    Raises
    ------
    InvalidArgumentError
        The frame cannot be written as CSV.
    StoreError
        The file cannot be written.
    """
    excel = read_flag("excel", excel)
    if read_flag("index", index):
        raise InvalidArgumentError("the index is not written. Make it a column first: df.reset_index()")
    where = as_path(path)
    if where.suffix.lower() in _SPREADSHEETS:
        raise InvalidArgumentError(f"{where}: to_csv writes CSV. For a workbook: df.keyapi.to_excel({where.name!r})")
    write_bytes(where, pack(csv_bytes(df, excel=excel), where))


def csv_bytes(df: pd.DataFrame, *, excel: bool = False) -> bytes:
    """Write a frame as the bytes of a CSV file."""
    if not isinstance(df, pd.DataFrame):
        raise InvalidArgumentError(f"df must be a DataFrame, not {type(df).__name__}")
    if isinstance(df.columns, pd.MultiIndex) or not len(df.columns):
        raise InvalidArgumentError("the frame must have columns, each with one name. Flatten a MultiIndex first")
    names = [_guarded(str(name)) if excel else str(name) for name in df.columns]
    lines: list[str] = []
    # Before Python 3.13 a carriage return is put in quotes only where it is part of the end of a line.
    file = SimpleNamespace(write=lambda line: lines.append(f"{line[:-2]}\n"))
    unlike = any(one in name for name in names for one in (*_SEPARATORS, "\ufeff"))  # unlike a name, unless in quotes
    csv.writer(file, lineterminator="\r\n", quoting=csv.QUOTE_ALL if unlike else csv.QUOTE_MINIMAL).writerow(names)
    try:
        columns = [_written(df.iloc[:, at], excel=excel) for at in range(len(names))]
        csv.writer(file, lineterminator="\r\n").writerows(zip(*columns, strict=True))
        return (BOM if excel else b"") + "".join(lines).encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(f"an incomplete character (a lone surrogate) cannot be written: {error}") from None
    except (ValueError, OverflowError) as error:
        raise InvalidArgumentError(f"a value cannot be written as text: {error}") from error


def _written(column: pd.Series[Any], *, excel: bool) -> Sequence[object]:
    """Return the values of a column as csv writes them; None where one is missing."""
    if column.dtype.kind == "M" and known_dtypes().get(str(column.name)) == DTYPES["time"]:
        stamps = pd.to_datetime(column, utc=True).dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
        return [None if text == "NaT" else f"{text}Z" for text in np.datetime_as_string(stamps, unit="us").tolist()]
    pairs = zip(column.tolist(), column.isna().tolist(), strict=True)
    return [None if missing else _cell(value, excel=excel) for value, missing in pairs]


def _cell(value: object, *, excel: bool) -> object:
    if isinstance(value, str):
        return _guarded(value) if excel else value
    if isinstance(value, date):
        return value.isoformat()
    if not excel or (isinstance(value, numbers.Number) and not _LONG.fullmatch(str(value))):
        return value
    return _guarded(str(value))


def _guarded(text: str) -> str:
    if ";" in text:
        text = _INSIDE.sub("'", text)
    return f"'{text}" if text.startswith(_RISKY) or _LONG.fullmatch(text) else text


def _unguarded(text: str) -> str:
    """Remove the apostrophes of the form for spreadsheets, if they are not the text's own, as of 'tis."""
    free = _GUARD_INSIDE.sub("", text) if ";'" in text else text
    return next((one for one in (free[1:], free) if _guarded(one) == text), text)


# Reading ----------------------------------------------------------------------------------------------------


def read_csv(path: str | os.PathLike[str] | IO[str] | IO[bytes]) -> pd.DataFrame:
    """Read a CSV file; ids stay text, and tables come back as they were written.

    Parameters
    ----------
    path : path or file
        A file that `df.keyapi.to_csv` wrote, in either form, or any other UTF-8 file with commas; compressed by ending.
        Also an open file or buffer.

    Returns
    -------
    pandas.DataFrame
        Columns that `describe` knows have its dtypes; in those of numbers, flags and times also NA, NaN, null and the
        like are missing. Others have what pandas infers, but text wherever a value is digits longer than 15 or with a
        leading zero. An empty cell is missing.

    Raises
    ------
    InvalidArgumentError
        The file is not there, empty, cut off, not UTF-8, not separated by commas, or its lines do not have the same
        number of fields.

    Warns
    -----
    SchemaDriftWarning
        Not all values of a column that `describe` knows are of its dtype; it is read as others are. The warning names
        the first such value and its row.
    KeyAPIWarning
        Texts begin with an apostrophe that may be that of ``excel=True``, but nothing else says so; it stays.
    """
    buffer = hasattr(path, "read")
    where = "the buffer" if buffer else as_path(path)
    try:
        return parse_csv(read_buffer(path) if buffer else unpack(read_bytes(as_path(path)), as_path(path)))
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{where}: {error}") from error.__cause__


def parse_csv(content: bytes, own: Mapping[str, str | None] | None = None) -> pd.DataFrame:
    """Read the bytes of a CSV file; `own` has a package's dtypes beside the dictionary's (None: what pandas infers)."""
    excel = content.startswith(BOM) and own is None  # a package has no guards
    content = content.removeprefix(BOM).lstrip(b"\r\n")
    if line := _SEP_LINE.match(content):
        content = content[line.end() :].lstrip(b"\r\n")
    if not content:
        raise InvalidArgumentError("it is empty")
    _check_separator(content)
    declared = {**known_dtypes(), **(own or {})}
    try:
        names, columns, unread, rounded = _read(content, declared, excel=excel)
        if not excel and own is None and _GUARDS.search(content) and _is_guarded([pd.Series(names).array, *columns]):
            names, columns, unread, rounded = _read(content, declared, excel=True)
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(f"it is not UTF-8 text ({error}). Save it as UTF-8") from None
    undeclared = [said for name, said in unread.items() if name not in (own or {})]
    undeclared += [f"{name} ({said})" for name, said in rounded.items()]
    if undeclared:
        warn(
            f"some columns have values that are not valid for their dtype in the dictionary: {listed(undeclared)}. "
            "Correct the values in the file, or rename columns of your own",
            SchemaDriftWarning,
        )
    frame = pd.DataFrame(dict(enumerate(columns)), copy=False)
    frame.columns = pd.Index(names)
    return frame


def _check_separator(content: bytes) -> None:
    """Refuse what is separated by something else than commas, as spreadsheets write it in many countries."""
    lines = [found[0] for found in islice(_LINE.finditer(content), 2)]
    for separator, called in _SEPARATORS.items():
        both = all(separator.encode() in line for line in lines)
        if both and b"," not in lines[0] and not _QUOTED.fullmatch(lines[0]) and not _QUOTED.match(content):
            raise InvalidArgumentError(
                f"its fields are separated by {called}, not commas. Save it as CSV with commas (UTF-8), or read "
                f"it with pandas.read_csv(path, sep={separator!r}, dtype=str)"
            )


def _is_guarded(columns: Sequence[Array]) -> bool:
    """Whether another program dropped the byte-order mark of the form for spreadsheets: an id has a guard.

    Where every text that needs a guard has one, but no id, it may as well be the texts' own: a warning.
    """
    cells = chain.from_iterable(column.tolist() for column in columns)
    free = {cell: _unguarded(cell) for cell in cells if isinstance(cell, str) and cell.startswith(_RISKY)}
    if any(plain == text for text, plain in free.items()):  # a text without its guard: this is another form
        return False
    if any(map(_LONG.fullmatch, free.values())):
        return True
    if formulas := [text for text, plain in free.items() if plain.startswith(_FORMULAS)]:
        warn(
            f"texts such as {shown(min(formulas), _MOST_SHOWN)} begin with an apostrophe as excel=True writes it, but "
            "nothing else says that the file is of that form. If it is not the texts' own, take it off: "
            """df[column].str.removeprefix("'")""",
            KeyAPIWarning,
        )
    return False


def _read(
    content: bytes, dtypes: Mapping[str, str | None], *, excel: bool
) -> tuple[list[str], list[Array], dict[str, str], dict[str, str]]:
    """Read names and columns; what has a value that is not of its dtype is read once more as others are, and named.

    Ids that a spreadsheet rounded are missing, and named, too.
    """
    names = [_unguarded(name) if excel else name for name in next(_rows(content))]
    declared = [dtypes.get(name) for name in names]
    parts: list[list[Array]] = [[] for _ in names]
    ids = id_columns()
    unread: dict[str, str] = {}
    rounded: dict[str, str] = {}
    row = 2
    for block in _blocks(content, declared):
        for name, dtype, cells, read in zip(names, declared, block, parts, strict=True):
            given = cells
            if name in ids and dtype == DTYPES["text"] and (gone := _places_of_rounded(cells)):
                said = f"{shown(cells[gone[0]], _MOST_SHOWN)} in row {row + gone[0]} was rounded by a spreadsheet"
                rounded.setdefault(name, f"{said}, so that such ids are missing")
                given = ["" if _ROUNDED.fullmatch(cell) else cell for cell in cells]
            array, lost = _read_cells(given, dtype, excel=excel)
            read.append(array)
            if lost:
                value = shown(cells[lost[0]], _MOST_SHOWN)
                unread.setdefault(name, f"{name} ({value} in row {row + lost[0]} is not a valid {dtype})")
        row += len(block[0])
    if unread:
        names, columns, _, rounded = _read(content, {**dtypes, **dict.fromkeys(unread)}, excel=excel)
        return names, columns, unread, rounded
    return names, [_joined(parts.pop(0), dtype) for dtype in declared], {}, rounded


def _places_of_rounded(cells: Cells) -> list[int]:
    """List the places of ids that a spreadsheet wrote as 7.1E+18."""
    if isinstance(cells, np.ndarray) or not any("E+1" in cell for cell in cells):
        return []
    return [at for at, cell in enumerate(cells) if _ROUNDED.fullmatch(cell)]


def _read_cells(cells: Cells, dtype: str | None, *, excel: bool) -> tuple[Array, list[int]]:
    """Read some cells of a column; those of one that nobody declared are kept until all are there."""
    if isinstance(cells, np.ndarray):
        return pd.arrays.IntegerArray(cells, np.zeros(len(cells), dtype=np.bool_)), []
    if excel:
        cells = [_unguarded(cell) if "'" in cell else cell for cell in cells]
    if dtype not in (None, DTYPES["text"]):
        return read_cells(dtype, cells)
    texts = [cell or None for cell in cells] if "" in cells else cells
    return (texts, []) if dtype is None else read_cells(dtype, texts)


def _joined(parts: list[Array], dtype: str | None) -> Array:
    if dtype is None:
        return infer_cells(list(chain.from_iterable(parts)))
    parts = parts or [read_cells(dtype, [])[0]]
    return parts[0] if len(parts) == 1 else pd.concat([pd.Series(part, copy=False) for part in parts]).array


def _blocks(content: bytes, dtypes: Sequence[str | None]) -> Iterator[Sequence[Cells]]:
    """Split the rows below the names into columns, some thousand rows at once."""
    size, done = _CELLS // len(dtypes) + 1, 0
    if len(dtypes) < _WIDE and _is_even(content, len(dtypes)):
        with contextlib.suppress(pd.errors.ParserError, pd.errors.EmptyDataError):
            for columns in _quick_blocks(content, dtypes, size):
                yield columns
                done += len(columns[0])
            return
    rest = islice(_rows(content), done + 1, None)
    while some := list(islice(rest, size)):
        yield list(zip(*some, strict=True))


def _is_even(content: bytes, width: int) -> bool:
    """Whether a file has quotes only around cells, and every row this width: then pandas splits it as csv does."""
    if b"\0" in content or _LONE_RETURN.search(content):
        return False
    plain = _QUOTED.sub(b"", content) if b'"' in content else content
    ends = plain.translate(None, _NO_END) + (b"" if content.endswith(b"\n") else b"\n")
    return b'"' not in plain and ends == (b"," * (width - 1) + b"\n") * (len(ends) // width)


def _quick_blocks(content: bytes, dtypes: Sequence[str | None], size: int) -> Iterator[Sequence[Cells]]:
    """Split as pandas does, in half the time: counts become whole numbers, but text where one of them is not that."""
    texts = {at: object for at, dtype in enumerate(dtypes) if dtype != DTYPES["count"]}
    quick: dict[str, Any] = {"header": None, "skiprows": 1, "na_filter": False, "skip_blank_lines": False}
    for rows in pd.read_csv(io.BytesIO(content), dtype=texts, chunksize=size, low_memory=False, **quick):
        columns = [one.to_numpy() if one.dtype == np.int64 else one.tolist() for _, one in rows.items()]
        if len(columns) != len(dtypes) or any(not isinstance(one[0], str | np.int64) for one in columns):
            raise pd.errors.ParserError  # the text of 1.0, True or a number beyond 64 bits is lost
        yield columns


def _rows(content: bytes) -> Iterator[list[str]]:
    """Split a file into rows of one width, by the rules; a blank line is a missing value of a single column."""
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline=""), strict=True)
    number = width = 0
    unclosed = "has a quotation mark that is not closed before the next comma. The file may be incomplete"
    try:
        for number, cells in enumerate(reader, start=1):
            width = width or len(cells)
            if cells and len(cells) != width:
                raise InvalidArgumentError(f"row {number} has {len(cells)} fields, but the first has {width}")
            if cells or width == 1:
                yield cells or [""]
    except csv.Error:
        raise InvalidArgumentError(f"row {number + 1} {unclosed}") from None
