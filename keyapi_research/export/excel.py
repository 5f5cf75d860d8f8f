"""Excel workbooks: what comes back equals what went out, every digit of an id, and no text taken for a formula.

A cell has what the same frame has in a CSV file, as a number, a time or text. A second sheet says what the columns are.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import IO, Any, Final

import pandas as pd

from ..columns import infer_cells, read_cells
from ..errors import InvalidArgumentError, SchemaDriftWarning, listed, needed, shown, warn
from ..files import as_path, open_file, read_buffer, reason_of, replacing
from ..frames import tables_in
from ..model import DTYPES, SOURCE, Column
from ..settings import SANDBOX
from .csv import distinct_names, id_columns, known_dtypes
from .data_package import KEPT_DTYPE, kept_dtype, read_first_as, restored

EXTRA: Final = "excel"
_ABOUT: Final = "columns"  # the sheet that says what the columns are
_ABOUT_NAMES: Final = ("column", "dtype", "unit", "meaning", "status")
_MOST_ROWS, _MOST_COLUMNS, _LONGEST = 1_048_576, 16_384, 32_767  # of a sheet, and of a cell in UTF-16 units
_EXACT: Final = 10**15  # a spreadsheet keeps 15 digits of a number
_FIRST_DAY, _LAST_DAY = datetime(1900, 3, 1), datetime(9999, 12, 31)  # noqa: DTZ001 - that a sheet has as times: UTC
# XML has no such characters, or another program changes them; what already reads like an escape is escaped.
_ESCAPED: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_ESCAPE: Final = re.compile("_x([0-9A-Fa-f]{4})_")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LIKE_OTHERS: Final = ("=", "#")  # text that openpyxl would take for a formula or an error
_TIMES: Final = "yyyy-mm-dd hh:mm:ss.000"
_COUNTED: Final = "Rows when this was written:"  # the last may be empty
_BROKEN: Final = (  # what a damaged workbook raises, in whatever part of it is read
    zipfile.BadZipFile, zlib.error, SyntaxError, EOFError, OSError, LookupError, ValueError, TypeError, AttributeError
)  # fmt: skip
_WIDTHS: Final = (8, 44)
_SAMPLED: Final = 200  # rows that the width of a column is taken from


# Writing ----------------------------------------------------------------------------------------------------


def write_excel(df: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a frame to an Excel workbook that `read_excel` brings back as it was; see `df.keyapi.to_excel`."""
    needed("openpyxl", EXTRA, "to_excel")
    where = as_path(path, instead="Pass the path of a file on this machine")
    if where.suffix.lower() != ".xlsx":
        raise InvalidArgumentError(f"{where}: to_excel writes .xlsx. For other endings there is to_csv")
    with replacing(where) as file:  # a path that cannot be written is refused first: the rest takes long
        file.write(_book(df, *_checked(df)))


def _checked(df: pd.DataFrame) -> tuple[list[str], list[list[Any]]]:
    """Return the names and cells of a frame, all of which fit into a sheet."""
    names = distinct_names(df)
    if len(df) >= _MOST_ROWS or len(names) > _MOST_COLUMNS:
        raise InvalidArgumentError(
            f"the frame has {len(df):,} rows and {len(names):,} columns, but a sheet has room for {_MOST_ROWS - 1:,} "
            f"and {_MOST_COLUMNS:,}. Write it in parts, or to CSV or Parquet"
        )
    columns = []
    for at, name in enumerate(names):
        _check_text(name, "the name of a column")
        cells = _cells(df.iloc[:, at])
        for row, cell in enumerate(cells, start=2):
            if isinstance(cell, str):
                _check_text(cell, f"{name} in row {row}")
        columns.append(cells)
    return [_escape(name) for name in names], columns


def _check_text(text: str, where: str) -> None:
    """Refuse text that no cell can hold."""
    if _SURROGATE.search(text):
        raise InvalidArgumentError(f"{where} has an incomplete character (a lone surrogate), which cannot be written")
    units = len(text.encode("utf-16-le")) // 2 if len(text) > _LONGEST // 2 else 0
    if units > _LONGEST:
        raise InvalidArgumentError(
            f"{where} has {units:,} characters as Excel counts them, but a cell has room for {_LONGEST:,}. Shorten "
            "it, or write CSV or Parquet"
        )


def _cells(column: pd.Series[Any]) -> list[Any]:
    """Return the values of a column as a sheet has them; None where one is missing."""
    if column.dtype.kind == "M":
        column = column.dt.tz_convert(UTC).dt.tz_localize(None) if column.dt.tz is not None else column
        column = column.astype("datetime64[us]")
    pairs = zip(column.tolist(), column.isna().tolist(), strict=True)
    return [None if missing else _cell(value) for value, missing in pairs]


def _cell(value: Any) -> object:
    if isinstance(value, str):
        return _escape(value)
    if isinstance(value, datetime):
        plain = value.to_pydatetime() if isinstance(value, pd.Timestamp) else value
        if plain.tzinfo is not None:  # among other objects
            return plain.isoformat()
        if not _FIRST_DAY <= plain < _LAST_DAY:
            return f"{plain.isoformat(timespec='microseconds')}Z"
        return plain.replace(microsecond=plain.microsecond // 1000 * 1000)
    exact = isinstance(value, int) and abs(value) < _EXACT
    if exact or (isinstance(value, float) and abs(value) < float("inf")):
        return value
    return _escape(value.isoformat() if isinstance(value, date) else str(value))


def _escape(text: str) -> str:
    return _ESCAPED.sub(lambda found: f"_x{ord(found[0]):04X}_", text)


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


def _plain_cell(sheet: Any, text: str, *, heading: bool = False) -> Any:
    """Return text as a cell that is never taken for something else."""
    cell = needed("openpyxl.cell", EXTRA, "to_excel").WriteOnlyCell(sheet, text)
    cell.data_type = "s"
    if heading:
        cell.font = needed("openpyxl.styles", EXTRA, "to_excel").Font(bold=True)
    return cell


def _sheet_cell(sheet: Any, value: Any) -> Any:
    """Return what is appended for a value: a cell where openpyxl would write a plain value otherwise."""
    if isinstance(value, str):
        return _plain_cell(sheet, value) if value.startswith(_LIKE_OTHERS) else value
    if not isinstance(value, datetime | float) or (
        isinstance(value, float) and float(f"{value:.16g}") == value  # openpyxl writes 16 digits
    ):
        return value
    cell = needed("openpyxl.cell", EXTRA, "to_excel").WriteOnlyCell(sheet, value)
    if isinstance(value, datetime):
        cell.number_format = _TIMES
    else:
        cell._value = repr(value)  # noqa: SLF001 - its only door for a number as it is to be written
    return cell


def _book(df: pd.DataFrame, names: Sequence[str], columns: Sequence[list[Any]]) -> memoryview:
    """Return the workbook: the frame, and what its columns are."""
    book, whole = needed("openpyxl", EXTRA, "to_excel").Workbook(write_only=True), io.BytesIO()
    tables = tables_in([str(name) for name in df.columns])
    try:
        _add_rows(book, tables[0].name[:31] if len(tables) == 1 else "data", names, columns)
        _add_about(book, df, names, {column.name: column for table in reversed(tables) for column in table.columns})
        book.save(whole)
    finally:  # a sheet that is not closed tells of it on stderr, whenever Python forgets it
        for sheet in book.worksheets:
            with contextlib.suppress(Exception):
                if not sheet.closed:
                    sheet.close()
    return whole.getbuffer()


def _add_rows(book: Any, title: str, names: Sequence[str], columns: Sequence[list[Any]]) -> None:
    """Add the sheet with the rows."""
    letter = needed("openpyxl.utils", EXTRA, "to_excel").get_column_letter
    sheet = book.create_sheet("data" if title == _ABOUT else title)
    sheet.freeze_panes = "A2"
    for at, (name, cells) in enumerate(zip(names, columns, strict=True), start=1):
        longest = max((len(str(cell)) for cell in cells[:_SAMPLED] if cell is not None), default=0)
        sheet.column_dimensions[letter(at)].width = min(max(len(name) + 2, longest + 2, _WIDTHS[0]), _WIDTHS[1])
    sheet.append([_plain_cell(sheet, name, heading=True) for name in names])
    for row in zip(*columns, strict=True):
        sheet.append([_sheet_cell(sheet, value) for value in row])
    sheet.auto_filter.ref = f"A1:{letter(len(names))}{len(columns[0]) + 1}"


def _add_about(book: Any, df: pd.DataFrame, names: Sequence[str], declared: Mapping[str, Column]) -> None:
    """Add the sheet that says what the columns are."""
    about = book.create_sheet(_ABOUT)
    for letter, width in zip("ABCDE", (24, 22, 18, 90, 14), strict=True):
        about.column_dimensions[letter].width = width
    about.append([_plain_cell(about, name, heading=True) for name in _ABOUT_NAMES])
    for at, name in enumerate(names):
        known, dtype = declared.get(str(df.columns[at])), kept_dtype(df.iloc[:, at])
        facts = [known.measured, known.meaning, known.status] if known else []
        about.append([_sheet_cell(about, one or None) for one in (name, dtype, *facts)])
    about.append([])
    about.append(["Times are UTC, to the millisecond."])
    about.append([_COUNTED, len(df)])
    if SOURCE.name in df and bool((df[SOURCE.name] == SANDBOX).any()):
        about.append(["SYNTHETIC: rows come from the sandbox."])


# Reading ----------------------------------------------------------------------------------------------------


def read_excel(path: str | os.PathLike[str] | IO[bytes]) -> pd.DataFrame:
    """Read the first sheet of an Excel workbook; ids stay text, and tables come back as they were written.

    Parameters
    ----------
    path : path or file
        A file that `df.keyapi.to_excel` wrote, also if a spreadsheet saved it since, or another .xlsx file whose first
        row has the names of the columns. Also an open file.

    Returns
    -------
    pandas.DataFrame
        Columns that `describe` knows have its dtypes, others what they were written with; of other files what
        `read_csv` would give. An empty cell is missing. Times are UTC, to the millisecond: rows still find their
        answers.

    Raises
    ------
    InvalidArgumentError
        It is not there, or not an Excel workbook.
    MissingPackageError
        openpyxl is not installed.

    Warns
    -----
    SchemaDriftWarning
        Values of a column are not of its dtype; or an id is a number of more than 15 digits, which a spreadsheet
        rounds: it is missing then.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "videos.xlsx"
    >>> kr.fetch_videos("7117191641181555995").keyapi.to_excel(file)
    >>> kr.read_excel(file)["video_id"].item()
    '7117191641181555995'
    """
    if hasattr(path, "read"):
        where = "the buffer"
        names, columns, kept = _read_book(io.BytesIO(read_buffer(path)), where)
    else:
        file = as_path(path)
        where = str(file)
        try:
            with open_file(file) as opened:
                names, columns, kept = _read_book(opened, where)
        except OSError as error:
            raise InvalidArgumentError(f"{file} cannot be read: {reason_of(error)}") from error
    return _frame(names, columns, kept, where)


def _read_book(file: IO[bytes], where: str) -> tuple[list[str], list[list[Any]], dict[str, str]]:
    """Return names and cells of the first sheet, and the dtypes of the second, if there is one of ours."""
    openpyxl = needed("openpyxl", EXTRA, "read_excel")
    try:
        with contextlib.closing(openpyxl.load_workbook(file, read_only=True, data_only=True)) as book:
            sheets = book.worksheets
            read = [sheets[0], *(sheet for sheet in sheets[1:] if sheet.title == _ABOUT)]
            first, *others = ([*_rows(sheet)] for sheet in read)
    except _BROKEN as error:
        raise InvalidArgumentError(f"{where} is not an Excel workbook (.xlsx), or damaged: {error}") from error
    header, *table = first or [[]]
    while header and header[-1] is None:
        header.pop()
    if not header:
        raise InvalidArgumentError(f"{where} has no names of columns in the first row of its first sheet")
    names = ["" if name is None else _text(name) for name in header]
    if again := [name for name in names if names.count(name) > 1]:
        raise InvalidArgumentError(f"{where} has the column {again[0]!r} twice. Keep one")
    kept = {_text(row[0]): str(row[1]) for about in others for row in about[1:] if len(row) > 1 and row[1] is not None}
    counted = kept.pop(_COUNTED, "")
    written = int(counted) if counted.isdecimal() else 0
    while len(table) > written and not any(one is not None for one in table[-1]):
        table.pop()  # formatted, but empty
    rows = [row[: len(names)] + [None] * (len(names) - len(row)) for row in table]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in names]
    return names, columns, kept


def _rows(sheet: Any) -> Iterator[list[Any]]:
    sheet.reset_dimensions()  # what a file says of its own size may be wrong
    yield from (list(row) for row in sheet.iter_rows(values_only=True))


def _text(value: Any) -> str:
    """Return a cell as the text that a CSV file has for it."""
    if isinstance(value, str):
        return _unescape(value)
    if isinstance(value, datetime):
        return f"{value.isoformat(timespec='microseconds')}Z"
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    return repr(value) if isinstance(value, float) else str(value)


def _frame(names: Sequence[str], columns: Sequence[list[Any]], kept: Mapping[str, str], where: str) -> pd.DataFrame:
    known, ids, unread = known_dtypes(), id_columns(), []
    made: dict[str, Any] = {}
    for name, cells in zip(names, columns, strict=True):
        dtype = known.get(name)
        if "float" not in kept.get(name, dtype or ""):
            lost = [at for at, one in enumerate(cells) if isinstance(one, int | float) and abs(one) >= _EXACT]
            unread += [f"{name} (row {at + 2} has a number of more than 15 digits, which was rounded)" for at in lost]
            for at in lost if name in ids else ():
                cells[at] = None
        texts = [None if one is None or one == "" else _text(one) for one in cells]
        declared = KEPT_DTYPE.fullmatch(kept[name]) if name in kept else None
        if dtype is not None and (declared is None or declared[0] == dtype):
            array, wrong = read_cells(dtype, texts if dtype == DTYPES["text"] else [one or "" for one in texts])
            if not wrong:
                made[name] = array
                continue
            unread.append(f"{name} ({shown(cells[wrong[0]], 30)} in row {wrong[0] + 2} is not a valid {dtype})")
            declared = None
        if declared is None:
            made[name] = infer_cells(texts)
            continue
        first = read_first_as(name, declared)
        array = infer_cells(texts) if first is None else read_cells(first, texts)[0]
        made[name] = restored(pd.Series(array, name=name), declared, f"the sheet {_ABOUT} of {where}").array
    if unread:
        warn(
            f"some columns have values that are not valid for their dtype: {listed(unread)}. Correct the values in the "
            "file, or rename columns of your own",
            SchemaDriftWarning,
        )
    return pd.DataFrame(made, copy=False)
