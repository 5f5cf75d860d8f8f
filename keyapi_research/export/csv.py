"""CSV files: what comes back equals what went out, from the file alone.

Columns the dictionary knows get its dtype by name. Of the user's own columns only the file can speak, so their text is
written in quotes and everything else without: the text "007" and the number 7, an empty text and a missing one stay
apart, and every other program reads the file as before.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import chain, islice
from types import MappingProxyType
from typing import IO, Any, Final

import numpy as np
import pandas as pd

from ..columns import Array, as_text, infer_cells, read_cells
from ..errors import InvalidArgumentError, SchemaDriftWarning, listed, shown, warn
from ..files import as_path, read_buffer, read_bytes, write_bytes
from ..measures import RATES
from ..model import COLUMN_DTYPES, DTYPES, TABLES
from .compression import pack, unpack

BOM: Final = b"\xef\xbb\xbf"

_NEEDS_QUOTES: Final = re.compile(r'[",\r\n]|\A\s|\s\Z')
_SEPARATORS: Final[Mapping[str, str]] = MappingProxyType({";": "semicolons", "\t": "tabs"})  # of other CSV files
_RISKY: Final = tuple("=+-@\t\r'")  # a spreadsheet may take what follows for a formula
_LONG: Final = re.compile(r"[+-]?[0-9]{16,}")  # a spreadsheet keeps 15 digits of a number
_GUARDED_ID: Final = re.compile(r"'[0-9]{16,}")
_SPREADSHEETS: Final = frozenset((".xlsx", ".xls", ".xlsm", ".ods"))

# A cell in quotes: they open it where a cell begins, and close it where it ends.
_QUOTED: Final = re.compile(rb'"(?<![^,\r\n]")([^"]*+(?:""[^"]*+)*+)"(?![^,\r\n])')
_OPENED: Final = re.compile(rb'"(?<![^,\r\n]")')
_SEP_LINE: Final = re.compile(rb'"?sep=,"?\r?\n', re.IGNORECASE)  # a spreadsheet's own first line
_LINE: Final = re.compile(rb"[^\r\n]+")
_BLOCK: Final = 2**21  # bytes read at once: bounds memory
_WIDE: Final = 1000  # columns; of more, pandas takes longer
_LONGEST_CELL: Final = 2**31 - 1
_MOST_NAMED: Final = 5  # columns that one warning names
_MOST_SHOWN: Final = 30  # characters of a value

Cells = Sequence[str]


def known_dtypes() -> Mapping[str, str]:
    """Return the dtype of every column name that a table declares or a method adds."""
    return {**dict.fromkeys(RATES, DTYPES["number"]), **COLUMN_DTYPES}


def id_columns() -> frozenset[str]:
    """Return the names of columns of ids."""
    return frozenset(column.name for table in TABLES.values() for column in table.columns if column.kind == "id")


# Files ------------------------------------------------------------------------------------------------------


def write_csv(df: pd.DataFrame, path: str | os.PathLike[str], *, excel: bool = False, index: bool = False) -> None:
    """Write a frame to one CSV file that `read_csv` brings back as it was, dtypes included.

    Parameters
    ----------
    df : pandas.DataFrame
        Any frame; its index is not written.
    path : path
        Where to; .gz, .bz2, .xz, .zip and .zst are compressed.
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
    if index:
        raise InvalidArgumentError("the index is not written. Make it a column first: df.reset_index()")
    where = as_path(path)
    if where.suffix.lower() in _SPREADSHEETS:
        raise InvalidArgumentError(f"{where}: to_csv writes CSV. Name the file .csv, with excel=True for spreadsheets")
    write_bytes(where, pack(csv_bytes(df, excel=excel), where))


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
        leading zero, or is in quotes in a file that does not quote everything.

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
    """
    buffer = hasattr(path, "read")
    where = "the buffer" if buffer else as_path(path)
    try:
        return parse_csv(read_buffer(path) if buffer else unpack(read_bytes(as_path(path)), as_path(path)))
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{where}: {error}") from error.__cause__


# Writing ----------------------------------------------------------------------------------------------------


def csv_bytes(df: pd.DataFrame, *, excel: bool = False) -> bytes:
    """Write a frame as the bytes of a CSV file."""
    if not isinstance(df, pd.DataFrame):
        raise InvalidArgumentError(f"df must be a DataFrame, not {type(df).__name__}")
    if isinstance(df.columns, pd.MultiIndex) or not len(df.columns):
        raise InvalidArgumentError("the frame must have columns, each with one name. Flatten a MultiIndex first")
    columns = [
        [_heading(_guarded(str(name), excel=excel)), *_written(df.iloc[:, at], excel=excel)]
        for at, name in enumerate(df.columns)
    ]
    text = "".join(f"{','.join(row)}\n" for row in zip(*columns, strict=True))
    try:
        return (BOM if excel else b"") + text.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(f"an incomplete character (a lone surrogate) cannot be written: {error}") from None


def _written(column: pd.Series[Any], *, excel: bool) -> list[str]:
    """Write the values of a column as fields."""
    kind = column.dtype.kind
    plain: Callable[[Any], str | None] = repr if kind == "f" else str if kind in "biu" else plain_text
    if kind == "M" and known_dtypes().get(str(column.name)) == DTYPES["time"]:
        column, plain = pd.Series(_moments(column), index=column.index), str
    own = column.name not in known_dtypes()
    return [
        "" if missing else _field(plain(value), value, own=own, excel=excel)
        for value, missing in zip(column.tolist(), column.isna().tolist(), strict=True)
    ]


def _field(written: str | None, value: object, *, own: bool, excel: bool) -> str:
    if written is None:
        return _quoted(_guarded(str(value), excel=excel), always=own or value == "")
    return f"'{written}" if excel and _LONG.fullmatch(written) else written


def plain_text(value: object) -> str | None:
    """Write what is not text, so that it needs no quotes; None for text."""
    if isinstance(value, str):
        return None
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return str(value)
    if isinstance(value, float | np.floating):
        return repr(float(value))
    return value.isoformat() if isinstance(value, date) else None


def _moments(column: pd.Series[Any]) -> list[str | None]:
    """Write times as ISO 8601 in UTC, with microseconds."""
    stamps = pd.to_datetime(column, utc=True).dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    texts = np.datetime_as_string(stamps, unit="us").tolist()
    return [None if text == "NaT" else f"{text}Z" for text in texts]


def _guarded(text: str, *, excel: bool) -> str:
    return f"'{text}" if excel and (text.startswith(_RISKY) or _LONG.fullmatch(text)) else text


def _quoted(text: str, *, always: bool = False) -> str:
    return '"' + text.replace('"', '""') + '"' if always or _NEEDS_QUOTES.search(text) else text


def _heading(name: str) -> str:
    """Write a column's name; in quotes also where it would look like a file that is separated by something else."""
    return _quoted(name, always=name == "" or any(separator in name for separator in _SEPARATORS))


# Reading ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Form:
    """How a file is written: its columns, the character put before a cell that was in quotes, apostrophes as guards."""

    names: Sequence[str]
    mark: str = ""  # none: quotes say nothing
    excel: bool = False


def parse_csv(content: bytes, own: Mapping[str, str | None] | None = None) -> pd.DataFrame:
    """Read the bytes of a CSV file; `own` has dtypes other than the dictionary's (None: what pandas infers)."""
    excel = content.startswith(BOM)
    content = content.removeprefix(BOM).lstrip(b"\r\n")
    if line := _SEP_LINE.match(content):
        content = content[line.end() :]
    if not content:
        raise InvalidArgumentError("it is empty")
    _check_separator(content)
    try:
        form = _recognised(content, excel=excel)
        declared = {**known_dtypes(), **(own or {})}
        columns, unread = _read(content, form, [declared.get(name) for name in form.names])
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(f"it is not UTF-8 text ({error}). Save it as UTF-8") from None
    if unread and own is None:  # else a descriptor says what the columns are
        warn(
            "some columns have values that are not valid for their dtype in the dictionary: "
            f"{listed(unread, _MOST_NAMED)}. Correct the values in the file, or rename columns of your own",
            SchemaDriftWarning,
        )
    frame = pd.DataFrame(dict(enumerate(columns)), copy=False)
    frame.columns = pd.Index(form.names)
    return frame


def _check_separator(content: bytes) -> None:
    """Refuse what is separated by something else than commas, as spreadsheets write it in many countries."""
    name, *below = (found[0] for found in islice(_LINE.finditer(content), 2))
    for separator, called in _SEPARATORS.items():
        both = separator.encode() in name and separator.encode() in (below or [name])[0]
        if both and b"," not in name and _QUOTED.fullmatch(name) is None:
            raise InvalidArgumentError(
                f"its fields are separated by {called}, not commas. Save it as CSV with commas (UTF-8), or read "
                f"it with pandas.read_csv(path, sep={separator!r}, dtype=str)"
            )


def _recognised(content: bytes, *, excel: bool) -> _Form:
    """Recognise how a file is written by its first row: who quotes names that do not need it, quotes anything."""
    mark = ""
    if b'"' in content:  # a character for private use that this file does not have
        mark = next(one for one in map(chr, range(0xE000, 0x110000)) if one.encode() not in content)
    [block, _] = next(_blocks(content))
    written = next(_careful_rows(_marked(block, mark), 1))
    names = [name.removeprefix(mark) for name in written]
    if any(was != name == _heading(name) for was, name in zip(written, names, strict=True)):
        mark = ""
    return _Form(list(map(_unguarded, names)) if excel else names, mark, excel)


def _read(content: bytes, form: _Form, dtypes: Sequence[str | None]) -> tuple[list[Array], list[str]]:
    """Read all columns, and once more as others are those with a value that is not of their dtype."""
    columns = [_Column(name, dtype, form) for name, dtype in zip(form.names, dtypes, strict=True)]
    row = 2
    for block in _split(content, form):
        for column, cells in zip(columns, block, strict=True):
            column.add(cells, row)
        row += len(block[0])
    if any(column.guarded for column in columns):  # another program dropped the byte-order mark
        return _read(content, replace(form, names=list(map(_unguarded, form.names)), excel=True), dtypes)
    unread = [f"{column.name} ({column.unread})" for column in columns if column.unread]
    if unread:
        others = [None if column.unread else column.dtype for column in columns]
        return _read(content, form, others)[0], unread
    return [column.finish() for column in columns], unread


@dataclass(slots=True)
class _Column:
    """A column while it is read; `unread` shows the first value that is not of its dtype."""

    name: str
    dtype: str | None
    form: _Form
    parts: list[Array] = field(default_factory=list)
    unread: str = ""
    marked: bool = False
    guarded: bool = False

    def add(self, written: Cells, row: int) -> None:
        """Read the cells of the rows that begin with this one."""
        cells = self._without_marks(written)
        if self.dtype is None:
            self.parts.append(_texts(cells, written))
            return
        is_text = self.dtype == DTYPES["text"]
        read: Sequence[str | None] = _texts(cells, written) if is_text else cells
        array, lost = read_cells(self.dtype, read)
        if lost and not self.unread:
            self.unread = f"{shown(read[lost[0]], _MOST_SHOWN)} in row {row + lost[0]} is not a valid {self.dtype}"
        self.parts.append(array)

    def _without_marks(self, written: Cells) -> Cells:
        """Remove what says that a cell was in quotes, and what guards it in the form for spreadsheets."""
        joined = "".join(written)
        cells = written
        if self.form.mark and self.form.mark in joined:
            self.marked = True
            cells = [cell.removeprefix(self.form.mark) for cell in cells]
        if "'" in joined and self.form.excel:
            free = list(map(_unguarded, cells))
            self.marked = self.marked or free != cells
            return free
        if "'" in joined and self.name in id_columns():
            self.guarded = self.guarded or any(map(_GUARDED_ID.fullmatch, cells))
        return cells

    def finish(self) -> Array:
        """Return all of the column; one that nobody declared is inferred where nothing says that it is text."""
        parts, self.parts = self.parts, []
        if self.dtype is None:
            texts = list(chain.from_iterable(parts))
            return as_text(texts) if self.marked else infer_cells(texts)
        return parts[0] if len(parts) == 1 else pd.concat([pd.Series(part, copy=False) for part in parts]).array


def _texts(cells: Cells, written: Cells) -> Sequence[str | None]:
    """Make texts of cells; where nothing at all is written, they are missing."""
    if cells is written and "" not in cells:
        return cells
    return [text if cell else None for text, cell in zip(cells, written, strict=True)]


def _unguarded(text: str) -> str:
    """Remove the apostrophe of the form for spreadsheets, if it is not the text's own, as of 'tis."""
    return text[1:] if text[:1] == "'" and _guarded(text[1:], excel=True) == text else text


# Cells ------------------------------------------------------------------------------------------------------


def _split(content: bytes, form: _Form) -> Iterator[Sequence[Cells]]:
    """Split a file into the cells of its columns, without their names, block by block."""
    row = 1
    for block, bare in _blocks(content):
        marked = _marked(block, form.mark)
        columns = _quick_columns(marked, bare, len(form.names)) or _careful_columns(marked, len(form.names), row)
        yield [cells[1:] for cells in columns] if row == 1 else columns
        row += len(columns[0])


def _blocks(content: bytes, least: int = _BLOCK) -> Iterator[tuple[bytes, bytes]]:
    """Split a file into blocks of whole rows; beside each, what of it is not in quotes."""
    start, size = 0, least
    while start < len(content):
        last = start + size >= len(content)
        end = len(content) if last else content.rfind(b"\n", start, start + size) + 1
        bare = _QUOTED.sub(b"", content[start:end])
        if not last and (not end or _OPENED.search(bare)):  # a cell goes on beyond it
            size *= 2
            continue
        yield content[start:end], bare
        start, size = end, least


def _marked(block: bytes, mark: str) -> bytes:
    """Put a mark before the text of each cell in quotes."""
    return _QUOTED.sub(b'"%b\\1"' % mark.encode(), block) if mark else block


def _quick_columns(block: bytes, bare: bytes, width: int) -> list[Cells] | None:
    """Split a block as pandas does; None where it would not be as the rules say, or tell a row of another width."""
    if width > _WIDE:
        return None
    characters = np.frombuffer(bare, dtype=np.uint8)
    rows = int(np.count_nonzero(characters == ord("\n"))) + (not bare.endswith(b"\n"))
    even = np.count_nonzero(characters == ord(",")) == (width - 1) * rows and bare.count(b"\r") == bare.count(b"\r\n")
    if not even or b"\0" in block or block.startswith(BOM) or _OPENED.search(bare):
        return None
    try:
        frame = pd.read_csv(
            io.BytesIO(block), header=None, dtype=object, na_filter=False, skip_blank_lines=False, engine="c"
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError):
        return None
    return [frame[at].tolist() for at in frame] if frame.shape == (rows, width) else None


def _careful_columns(block: bytes, width: int, row: int) -> list[Cells]:
    rows = []
    for number, cells in enumerate(_careful_rows(block, row), start=row):
        if cells or width == 1:  # of a single column a blank line is a missing value
            rows.append(cells or [""])
            if len(cells or [""]) != width:
                raise InvalidArgumentError(f"row {number} has {len(cells)} fields, but the first has {width}")
    return [list(cells) for cells in zip(*rows, strict=True)] or [[] for _ in range(width)]


def _careful_rows(block: bytes, row: int) -> Iterator[list[str]]:
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(block), encoding="utf-8", newline=""), strict=True)
    try:
        for cells in reader:
            yield cells
            row += 1
    except csv.Error:
        raise InvalidArgumentError(
            f"row {row} has a quotation mark that is not closed before the next comma. The file may be incomplete"
        ) from None
