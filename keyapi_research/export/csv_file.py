"""CSV files: what comes back equals what went out, from the file alone.

Columns the dictionary knows get its dtype by name. Of the user's own columns only the file can speak, so their text is
written in quotes and everything else without: the text "007" and the number 7, an empty text and a missing one stay
apart, and every other program reads the file as before.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import importlib
import io
import lzma
import os
import re
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from ..errors import InvalidArgumentError, SchemaDriftWarning, listed, shown, warn
from ..schema import COLUMN_DTYPES, DTYPES, FLAG_WORDS, RATES
from .files import as_path, read_bytes, write_bytes

BOM: Final = b"\xef\xbb\xbf"
DTYPE_OF: Final[Mapping[str, str]] = MappingProxyType({**dict.fromkeys(RATES, DTYPES["number"]), **COLUMN_DTYPES})

_FIELD: Final = re.compile(r'("[^"]*+(?:""[^"]*+)*+"|[^,\r\n]*+)(,|\r\n|\r|\n)')
_NEEDS_QUOTES: Final = re.compile(r'[",\r\n]|\A\s|\s\Z')
_IN_QUOTES: Final = re.compile(r'"[^"]*(?:""[^"]*)*"')
_SEPARATORS: Final[Mapping[str, str]] = MappingProxyType({";": "semicolons", "\t": "tabs"})  # of other CSV files
_RISKY: Final = tuple("=+-@\t\r'")  # a spreadsheet may take what follows for a formula
_MOST_DIGITS: Final = 15  # of a number in a spreadsheet
_LONG: Final = re.compile(rf"[+-]?[0-9]{{{_MOST_DIGITS + 1},}}")
_WHOLE: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,2})?")
_REAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*(?:e[+-]?[0-9]+)?|\.[0-9]+(?:e[+-]?[0-9]+)?|inf|nan)", re.IGNORECASE)
_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_MISSING: Final = frozenset(  # where something else than text is declared
    ("NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NaT", "null", "NULL", "None")
)
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the zip format's earliest: the same content gives the same bytes

# What the libraries raise for a file that is damaged, of another kind, or locked with a password.
_NOT_UNPACKED: Final = (EOFError, OSError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)

_MOST_NAMED: Final = 5  # columns that one warning names
_MOST_SHOWN: Final = 30  # characters of a value

Values = Sequence[str | None]
_Packing = tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]


# Files ------------------------------------------------------------------------------------------------------


def write_csv(df: pd.DataFrame, path: str | os.PathLike[str], *, excel: bool = False) -> None:
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

    Raises
    ------
    InvalidArgumentError
        The frame cannot be written as CSV.
    StoreError
        The file cannot be written.
    """
    where = as_path(path)
    write_bytes(where, _packing(where)[0](csv_bytes(df, excel=excel)))


def read_csv(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a CSV file; ids stay text, and tables come back as they were written.

    Parameters
    ----------
    path : path
        A file that `df.keyapi.to_csv` wrote, in either form, or any other UTF-8 file with commas; compressed by ending.

    Returns
    -------
    pandas.DataFrame
        Columns that `describe` knows have its dtypes; in those of numbers, flags and times also NA, NaN, null and the
        like are missing. Others have what pandas infers, but text wherever a value is digits longer than 15 or, where
        the file does not quote everything, is in quotes.

    Raises
    ------
    InvalidArgumentError
        The file is not there, empty, cut off, no UTF-8, not separated by commas, or its lines do not have the same
        number of fields.

    Warns
    -----
    SchemaDriftWarning
        Not all values of a column that `describe` knows are of its dtype; it is read as others are. The warning names
        the first such value and its row.
    """
    where = as_path(path)
    packed = read_bytes(where)
    try:
        return parse_csv(_unpacked(packed, where))
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{where}: {error}") from error.__cause__


def _packing(path: Path) -> _Packing:
    """How a file with this ending is packed and unpacked."""
    ending = path.suffix.lower()
    if ending == ".zst":
        return _zstandard()
    known: dict[str, _Packing] = {
        ".gz": (partial(gzip.compress, mtime=0), gzip.decompress),
        ".bz2": (bz2.compress, bz2.decompress),
        ".xz": (lzma.compress, lzma.decompress),
        ".zip": (partial(_zip, path.stem), _unzip),
    }
    return known.get(ending, (bytes, bytes))


def _unpacked(packed: bytes, path: Path) -> bytes:
    unpack = _packing(path)[1]
    try:
        return unpack(packed)
    except InvalidArgumentError:
        raise
    except _NOT_UNPACKED as error:
        raise InvalidArgumentError(f"it cannot be unpacked as {path.suffix}: {error}") from error


def _zip(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _unzip(packed: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        members = archive.infolist()
        if len(members) != 1:
            raise InvalidArgumentError(f"holds {len(members)} files; a CSV in a zip is alone in it")
        return archive.read(members[0])


def _zstandard() -> _Packing:
    try:
        library: Any = importlib.import_module("zstandard")
    except ImportError:
        raise InvalidArgumentError("files that end in .zst need the package zstandard; or use .gz") from None

    def unpack(packed: bytes) -> bytes:
        try:
            return bytes(library.ZstdDecompressor().decompress(packed))
        except library.ZstdError as error:
            raise RuntimeError(str(error)) from error

    return library.ZstdCompressor().compress, unpack


# Writing ----------------------------------------------------------------------------------------------------


def csv_bytes(df: pd.DataFrame, *, excel: bool = False) -> bytes:
    """Write a frame as the bytes of a CSV file."""
    if not isinstance(df, pd.DataFrame):
        raise InvalidArgumentError(f"a DataFrame is written, not {type(df).__name__}")
    if isinstance(df.columns, pd.MultiIndex) or not len(df.columns):
        raise InvalidArgumentError("the frame needs columns, with one name each; flatten a MultiIndex first")
    columns = [
        [_heading(_guarded(str(name), excel=excel)), *_written(df.iloc[:, at], excel=excel)]
        for at, name in enumerate(df.columns)
    ]
    text = "".join(f"{','.join(row)}\n" for row in zip(*columns, strict=True))
    try:
        return (BOM if excel else b"") + text.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(f"half a character (a lone surrogate) cannot be written: {error}") from None


def _written(column: pd.Series[Any], *, excel: bool) -> list[str]:
    """Write the values of a column as fields."""
    kind = column.dtype.kind
    plain: Callable[[Any], str | None] = repr if kind == "f" else str if kind in "biu" else plain_text
    if kind == "M" and DTYPE_OF.get(str(column.name)) == DTYPES["time"]:
        column, plain = pd.Series(_moments(column), index=column.index), str
    own = column.name not in DTYPE_OF
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


def parse_csv(content: bytes, own: Mapping[str, str | None] | None = None) -> pd.DataFrame:
    """Read the bytes of a CSV file.

    Parameters
    ----------
    content : bytes
        The file.
    own : mapping of str to str or None, optional
        Dtypes of columns that are not what the dictionary has by their name; None: what pandas infers.

    Returns
    -------
    pandas.DataFrame
        The rows.
    """
    dtypes = {**DTYPE_OF, **(own or {})}
    try:
        text = content.removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(f"it is no UTF-8 text ({error}); save it as UTF-8") from None
    columns = _split(text)
    # Where a file quotes everything, quotes say nothing; ours quotes a column's name only where it must.
    everything = any(_needless(column[0]) for column in columns) and all(
        _is_quoted(field) for column in columns for field in column
    )
    read = [_read(column, dtypes, telling=not everything, excel=content.startswith(BOM)) for column in columns]
    frame = pd.DataFrame(dict(enumerate(column.cells for column in read)))
    frame.columns = pd.Index([column.name for column in read])
    odd = [f"{column.name} ({column.odd})" for column in read if column.odd]
    if odd and own is None:  # else a descriptor says what the columns are
        warn(
            f"some columns do not have the dtype of the dictionary, for not all of their values are of it: "
            f"{listed(odd, _MOST_NAMED)}. Mend the values in the file, or give columns of your own another name",
            SchemaDriftWarning,
        )
    return frame


def _split(text: str) -> list[list[str]]:
    """Split a text into columns of fields as they are written, with their quotes."""
    text = text.lstrip("\r\n")
    if not text:
        raise InvalidArgumentError("it is empty")
    fields = _FIELD.findall(text if text.endswith(("\n", "\r")) else f"{text}\n")
    ends = [at for at, (_, end) in enumerate(fields, start=1) if end != ","]
    rows, width = list(pairwise([0, *ends])), ends[0]
    _check_quotes(fields, ends)
    if width == 1:
        _check_separator(fields[0][0], fields[1][0] if len(fields) > 1 else fields[0][0])
    if width > 1:  # of a single column a blank line is a missing value
        rows = [(start, end) for start, end in rows if end - start > 1 or fields[start][0]]
    odd = next((row for row, (start, end) in enumerate(rows, start=1) if end - start != width), None)
    if odd is not None:
        raise InvalidArgumentError(f"row {odd} has {rows[odd - 1][1] - rows[odd - 1][0]} fields, the first has {width}")
    if len(rows) < len(ends):
        fields = [field for start, end in rows for field in fields[start:end]]
    written = [field for field, _ in fields]
    return [written[at::width] for at in range(width)]


def _check_quotes(fields: Sequence[tuple[str, str]], ends: Sequence[int]) -> None:
    """Refuse a quotation mark that is never closed: the rest of the text would belong to it."""
    for at, (field, _) in enumerate(fields):
        if field[:1] == '"' and field.count('"') % 2:
            row = bisect_right(ends, at) + 1
            raise InvalidArgumentError(f"row {row} has a quotation mark that is not closed; the file may be cut off")


def _check_separator(name: str, below: str) -> None:
    """Refuse what is separated by something else than commas, as spreadsheets write it in many countries."""
    for separator, called in _SEPARATORS.items():
        if separator in name and separator in below and not _IN_QUOTES.fullmatch(name):
            raise InvalidArgumentError(
                f"its fields are separated by {called}, not by commas: save it as CSV with commas (UTF-8), or read it "
                f"with pandas.read_csv(path, sep={separator!r}, dtype=str)"
            )


def _is_quoted(field: str) -> bool:
    return field[:1] == '"' == field[-1:] and len(field) > 1


def _unquoted(field: str) -> str:
    return field[1:-1].replace('""', '"')


def _needless(field: str) -> bool:
    """Whether a column's name is in quotes it does not need, as in files that quote everything."""
    return _is_quoted(field) and len(field) > len('""') and _heading(_unquoted(field)) != field


@dataclass(frozen=True, slots=True)
class _Column:
    """A column as it was read; `odd` is a value that is not what its name has in the dictionary, and where."""

    name: str
    cells: pd.Series[Any]
    odd: str = ""


def _read(fields: list[str], dtypes: Mapping[str, str | None], *, telling: bool, excel: bool) -> _Column:
    """Read one column: its name, and its values as what they are."""
    quoted = list(map(_is_quoted, fields))
    texts = [_unquoted(field) if there else field for field, there in zip(fields, quoted, strict=True)]
    marked = quoted if telling else [False] * len(fields)
    if excel:
        guarded = list(map(_is_guarded, texts))
        marked = [mark or guard for mark, guard in zip(marked, guarded, strict=True)]
        texts = [text[1:] if guard else text for text, guard in zip(texts, guarded, strict=True)]
    name = texts[0]
    values = [text if text or mark else None for text, mark in zip(texts[1:], marked[1:], strict=True)]
    dtype = dtypes.get(name)
    odd = ""
    if dtype is not None:
        there = _without_words(values, marked[1:], dtype)
        typed = as_dtype(there, dtype)
        if typed is not None:
            return _Column(name, typed)
        odd = _first_odd(there, dtype)
    is_text = any(marked[1:]) or any(value is not None and _LONG.fullmatch(value) for value in values)
    return _Column(name, as_text(values) if is_text else _inferred(values), odd)


def _first_odd(values: Values, dtype: str) -> str:
    """Show the first value of a column that is not of a dtype, by its row; halving, for a column may be long."""
    start, stop = 0, len(values)
    while stop - start > 1:
        middle = (start + stop) // 2
        if as_dtype(values[start:middle], dtype) is None:
            stop = middle
        else:
            start = middle
    return f"{shown(values[start], _MOST_SHOWN)} in row {start + 2} is no {dtype}"


def _is_guarded(text: str) -> bool:
    """Whether the apostrophe before a text is that of our spreadsheet form, and not its own, as of 'tis."""
    return text[:1] == "'" and _guarded(text[1:], excel=True) == text


def _without_words(values: Values, marked: Sequence[bool], dtype: str) -> Values:
    """Take for missing, unless text is declared, whatever word a program writes there."""
    if dtype == DTYPES["text"]:
        return values
    return [None if value in _MISSING and not mark else value for value, mark in zip(values, marked, strict=True)]


def as_text(values: Values) -> pd.Series[Any]:
    """Make a column of text as pandas infers it."""
    made: pd.Series[Any] = pd.Series([np.nan if value is None else value for value in values], dtype=_text_dtype())
    return made


@cache
def _text_dtype() -> Any:
    """Tell what this pandas infers for text; not while importing, the first column of text takes a while."""
    return pd.Series(["text"]).dtype


def _inferred(values: Values) -> pd.Series[Any]:
    """Let pandas infer what a column is; but in text only what is empty is missing."""
    if not values:
        return pd.Series([], dtype=object)
    lines = io.StringIO("".join(f"{value or ''}\n" for value in ("values", *values)))
    # Without quoting: what is left here has no quotes that mean anything, and no commas or line ends.
    column = pd.read_csv(lines, index_col=False, skip_blank_lines=False, quoting=csv.QUOTE_NONE, low_memory=False)[
        "values"
    ]
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind == "string":
        return as_text(values)
    if kind == "floating":  # pandas may be off in the last digit
        numbers = [np.nan if gone else float(value or "nan") for value, gone in zip(values, column.isna(), strict=True)]
        return pd.Series(numbers, dtype=float)
    return column.rename(None)


def as_dtype(values: Values, dtype: str) -> pd.Series[Any] | None:
    """Make a column of a dtype of the dictionary; None where a value is not of it."""
    if dtype == DTYPES["time"]:
        return _as_times(values)
    convert = _READ_AS[dtype]
    read = [None if value is None else convert(value) for value in values]
    if any(was is not None and now is None for was, now in zip(values, read, strict=True)):
        return None
    return pd.Series(pd.array(read, dtype=dtype))  # type: ignore[call-overload]


def _whole(text: str) -> int | None:
    if len(text) >= 2 * _MOST_DIGITS or _WHOLE.fullmatch(text) is None:
        return None
    number = int(text) if text.lstrip("+-").isdecimal() else Decimal(text)
    return int(number) if number == int(number) and -(2**63) <= number < 2**63 else None


def _real(text: str) -> float | None:
    return float(text) if _REAL.fullmatch(text) else None


def _flag(text: str) -> bool | None:
    return FLAG_WORDS.get(text.lower())


_READ_AS: Final[Mapping[str, Callable[[str], Any]]] = MappingProxyType(
    {DTYPES["text"]: str, DTYPES["count"]: _whole, DTYPES["number"]: _real, DTYPES["flag"]: _flag}
)


def _as_times(values: Values) -> pd.Series[Any] | None:
    if all(value is None or _MOMENT.fullmatch(value) for value in values):
        try:
            stamps = np.array([value[:-1] if value else "NaT" for value in values], dtype="datetime64[us]")
        except ValueError:
            return None
        return pd.Series(stamps).dt.tz_localize("UTC")
    try:
        parsed = pd.to_datetime(pd.Series(list(values), dtype="string"), utc=True, format="ISO8601")
        return parsed.dt.as_unit("us")
    except (ValueError, OverflowError):
        return None
