"""Parquet files: what comes back equals what went out; the columns of tables have the dtypes of their declarations."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, Final

import pandas as pd

from ..errors import InvalidArgumentError, SchemaDriftWarning, listed, needed, warn
from ..files import as_path, open_file, read_buffer, reason_of, replacing
from ..model import DTYPES, TABLES, Column, Endpoint, Table
from ..places import Metadata, PerList, Place, Position
from ..version import __version__
from .csv import distinct_names, known_dtypes

if TYPE_CHECKING:
    import pyarrow as pa

EXTRA: Final = "parquet"
_COMPRESSION: Final = "zstd"
_ARROW: Final[Mapping[str, str]] = MappingProxyType(
    {"string": "string", "Int64": "int64", "float64": "float64", "boolean": "bool_"}
)


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    """Return the Arrow schema of declared columns, with their meanings and units."""
    arrow = needed("pyarrow", EXTRA, "Parquet")

    def kind(dtype: str) -> Any:
        return arrow.timestamp("us", "UTC") if dtype == DTYPES["time"] else getattr(arrow, _ARROW[dtype])()

    fields = [arrow.field(one.name, kind(one.dtype), metadata=_facts_of(one)) for one in columns]
    return arrow.schema(fields, metadata={"keyapi_research": __version__})


def _facts_of(column: Column) -> dict[str, str]:
    facts = {"description": column.meaning, "unit": column.measured, "status": column.status}
    return {name: text for name, text in facts.items() if text}


def arrow_of(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """Return the rows of a table by its schema."""
    arrow = needed("pyarrow", EXTRA, "Parquet")
    return arrow.Table.from_arrays(
        [arrow.array(frame[field.name], type=field.type, from_pandas=True) for field in schema], schema=schema
    )


def write_parquet(df: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a frame to one Parquet file that `read_parquet` brings back as it was; see `df.keyapi.to_parquet`."""
    arrow, pq = needed("pyarrow", EXTRA, "to_parquet"), needed("pyarrow.parquet", EXTRA, "to_parquet")
    names = distinct_names(df)
    frame = df.set_axis(names, axis="columns")
    try:
        table = arrow.Table.from_pandas(frame, preserve_index=False)
    except (arrow.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise InvalidArgumentError(f"a column cannot be written as Parquet: {error}") from error
    known = {column.name: column for one in TABLES.values() for column in one.columns}
    fields = [one.with_metadata(_facts_of(known[one.name])) if one.name in known else one for one in table.schema]
    metadata = {**(table.schema.metadata or {}), b"keyapi_research": __version__.encode()}
    table = table.cast(arrow.schema(fields, metadata=metadata))
    with replacing(as_path(path, instead="Pass the path of a file on this machine")) as file:
        pq.write_table(table, file, compression=_COMPRESSION)


def read_parquet(path: str | os.PathLike[str] | IO[bytes]) -> pd.DataFrame:
    """Read a Parquet file, or a folder of parts that `export_store` wrote; tables come back as they were written.

    Parameters
    ----------
    path : path or file
        A file that `df.keyapi.to_parquet` wrote, or any other Parquet file, also an open one; or a folder with parts,
        such as "archive/videos".

    Returns
    -------
    pandas.DataFrame
        Columns that `describe` knows have its dtypes, others those they were written with.

    Raises
    ------
    InvalidArgumentError
        It is not there, cannot be read, or is not a whole Parquet file.
    MissingPackageError
        pyarrow is not installed.

    Warns
    -----
    SchemaDriftWarning
        A column that `describe` knows has values that are not of its dtype; it is read as it was written.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "videos.parquet"
    >>> kr.fetch_videos("7117191641181555995").keyapi.to_parquet(file)
    >>> kr.read_parquet(file)["video_id"].item()
    '7117191641181555995'
    """
    arrow, pq = needed("pyarrow", EXTRA, "read_parquet"), needed("pyarrow.parquet", EXTRA, "read_parquet")
    if hasattr(path, "read"):
        where, sources = "the buffer", [arrow.BufferReader(read_buffer(path))]
    else:
        file = as_path(path)
        where, sources = str(file), _files_of(file)
    try:
        frames = [_read_one(one, pq) for one in sources]
    except (arrow.ArrowException, OSError, ValueError) as error:
        if is_of_system(error):
            raise _unreadable(where, error) from error
        raise InvalidArgumentError(
            f"{where} cannot be read as Parquet, perhaps because it is incomplete: {reason_of(error)}"
        ) from error
    names = frames[0].columns
    if again := names[names.duplicated()].tolist():
        raise InvalidArgumentError(f"{where} has the column {again[0]!r} twice. Keep one")
    frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    return _as_declared(frame)


def _files_of(path: Path) -> list[Path]:
    """Return a file, or the parts in a folder."""
    try:
        if not path.is_dir():
            return [path]
        parts = sorted(one for one in path.iterdir() if one.match("part-*.parquet"))
    except OSError as error:
        raise _unreadable(str(path), error) from error
    if not parts:
        raise InvalidArgumentError(f"{path} has no part-*.parquet. Name a file, or the folder of one table")
    return parts


def _unreadable(where: str, error: Exception) -> InvalidArgumentError:
    named = getattr(error, "filename", None) or where
    return InvalidArgumentError(f"{named} cannot be read: {reason_of(error)}. Check the path, and that you may read it")


def is_of_system(error: Exception) -> bool:
    """Whether the system refused a file; what Arrow says of a damaged one is an OSError, too."""
    return isinstance(error, OSError) and bool(error.errno)


def _read_one(source: Any, pq: Any) -> pd.DataFrame:
    if not isinstance(source, Path):
        return pq.ParquetFile(source).read().to_pandas()  # type: ignore[no-any-return]
    with open_file(source) as file:
        return pq.ParquetFile(file).read().to_pandas()  # type: ignore[no-any-return]


def _as_declared(frame: pd.DataFrame) -> pd.DataFrame:
    """Give known columns the dtypes of the dictionary where no value becomes another."""
    known, unlike = known_dtypes(), []
    for name in frame.columns:
        dtype, column = known.get(name), frame[name]
        if dtype is None or str(column.dtype) == dtype == "float64":
            continue
        try:
            typed = column.astype(dtype)  # type: ignore[call-overload]
            same = _same_kind(column, dtype) and bool((typed.isna() == column.isna()).all())
        except (ValueError, TypeError, OverflowError):
            same = False
        if same:
            frame[name] = typed
        else:
            unlike.append(f"{name} ({column.dtype}, not {dtype})")
    if unlike:
        warn(
            f"some columns have values that are not valid for their dtype in the dictionary: {listed(unlike)}. "
            "Rename columns of your own",
            SchemaDriftWarning,
        )
    return frame


def _same_kind(column: pd.Series[Any], dtype: str) -> bool:
    """Whether a dtype only changes how values are kept."""
    kinds = {"string": ("string", "empty"), "Int64": ("integer", "empty"), "boolean": ("boolean", "empty")}
    if dtype in kinds:
        whole = dtype == "Int64" and column.dtype.kind == "f" and bool((column.dropna() % 1 == 0).all())
        return whole or pd.api.types.infer_dtype(column, skipna=True) in kinds[dtype]
    return column.dtype.kind in ("f", "i", "u") if dtype == "float64" else column.dtype.kind == "M"


def metadata_of(path: Path) -> Mapping[str, str]:
    """Return what a Parquet file says of itself; ValueError or OSError where it is none, or not whole."""
    pq = needed("pyarrow.parquet", EXTRA, "export_store")
    with open_file(path) as file:  # what the system says of it is clear
        metadata = pq.read_schema(file).metadata or {}
    return {name.decode(): text.decode("utf-8", "replace") for name, text in metadata.items()}


def digest_of(table: Table) -> str:
    """Return a digest of all that values of a declared table depend on, so not of prose such as meanings."""
    kinds = [str(one) for one in schema_of(table.columns).types]
    columns = [
        (one.name, one.kind, _read_from(one.place), one.least, one.most, one.zero_beside, one.zero_unless, one.missing)
        for one in table.columns
    ]
    answers = [_answers_of(one) for one in (table.endpoint, *table.ways)]
    facts = (kinds, columns, table.rows, table.key, table.sorted_by, answers)
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _read_from(place: Place) -> object:
    if isinstance(place, PerList):
        return place.places
    return type(place).__name__ if isinstance(place, Metadata | Position) else place  # the rest of these is prose


def _answers_of(endpoint: Endpoint) -> tuple[object, ...]:
    """Return what decides which stored answers are an endpoint's, and which of their rows count."""
    sent = [(one.column, one.api_name, one.unset, one.codes, one.beside) for one in endpoint.inputs]
    day = endpoint.series and endpoint.series.day
    whom = (endpoint.record, endpoint.identity, endpoint.identity_kind, endpoint.owner)
    return endpoint.path, sent, endpoint.paging, day, whom, sorted(endpoint.texts)


def write_part(path: Path, table: pa.Table, facts: Mapping[str, str]) -> None:
    """Write a part of a table, whole or not at all; `facts` go into its metadata."""
    pq = needed("pyarrow.parquet", EXTRA, "export_store")
    own = {f"keyapi_{name}".encode(): text.encode() for name, text in facts.items()}
    whole = table.replace_schema_metadata({**(table.schema.metadata or {}), **own})
    with replacing(path) as file:
        pq.write_table(whole, file, compression=_COMPRESSION)
