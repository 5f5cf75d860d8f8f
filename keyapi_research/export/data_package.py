"""Data packages: tables as CSV files, and one file that says what is in them and where it came from.

The descriptor follows the Data Package standard (https://datapackage.org), so other tools read types, keys, units and
meanings, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pandas as pd

from ..archive_format import stamp
from ..client import Client, open_client
from ..columns import as_text
from ..errors import InvalidArgumentError, KeyAPIWarning, warn
from ..files import as_path, read_bytes, reason_of, write_files
from ..frames import choose, columns_of, reading_client, rows_of, tables_in
from ..model import DTYPES, OBSERVED_AT, SOURCE, TABLES, Column, Table
from ..queries import Query
from ..store import Observation
from ..version import versions
from .csv import csv_bytes, id_columns, known_dtypes, parse_csv

DESCRIPTOR: Final = "datapackage.json"
PROFILE: Final = "https://datapackage.org/profiles/2.0/datapackage.json"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
_FORMAT: Final[Mapping[str, str]] = MappingProxyType(
    {"type": "table", "scheme": "file", "format": "csv", "mediatype": "text/csv", "encoding": "utf-8"}
)
_TYPES: Final[Mapping[str, str]] = MappingProxyType(  # of the standard, by NumPy's kind of a dtype
    {"b": "boolean", "i": "integer", "u": "integer", "f": "number", "M": "datetime"}
)
_TEXT: Final = "str"  # what pandas infers for text, whatever this one calls it
KEPT_DTYPE: Final = re.compile(  # that a column can be given back
    rf"(?P<text>{_TEXT}|string)|(?P<flag>bool|boolean)|(?P<count>U?Int(8|16|32|64)|u?int(8|16|32|64))"
    r"|(?P<number>[Ff]loat(32|64))|(?P<time>datetime64\[(s|ms|us|ns)(, [A-Za-z][A-Za-z0-9_/+:-]*)?\])"
    rf"|(?P<category>category(\[{_TEXT}\]|\[string\])?)"
)
_INTACT: Final = r"-?[0-9]+"  # an id that somebody made a whole number
_ALGORITHMS: Final[Mapping[int, str]] = MappingProxyType(  # by the length of a hash; the standard names none for MD5
    {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
)


# Writing ----------------------------------------------------------------------------------------------------


def write_package(
    folder: str | os.PathLike[str], tables: Mapping[str, pd.DataFrame], *, client: Client | None = None
) -> None:
    """Write tables as a data package: one CSV file per table, and `datapackage.json`, which describes them.

    Parameters
    ----------
    folder : path
        A new folder, an empty one, or one with only such a package, which is then replaced, so a notebook can be run
        again. Files whose names start with a dot are ignored.
    tables : mapping of str to DataFrame
        The frames, by their names in the package: lower-case letters, digits, dots, hyphens and underscores.
    client : Client, optional
        The connection whose store has the requests behind the rows; by default the current one, if it is open.

    Raises
    ------
    InvalidArgumentError
        The folder has other content, or a table cannot be written.
    StoreError
        The folder cannot be written; its old content is unchanged.

    Notes
    -----
    Types, units, meanings and statuses are those of `describe`. A primary key is declared if the key columns have no
    missing values and identify each row (without filters that no call used, and with `observed_at` if an entity was
    observed several times). A foreign key is declared if its table is in the package and has all the rows it needs.

    The provenance lists the endpoint, its parameters, the time of observation and, if they are in the store, the
    requests with their ids and credits. No licence is stated: whether and how you may publish the data is between you
    and KeyAPI. Add `licenses` to the descriptor yourself; your additions stay when the package is written again.

    Examples
    --------
    >>> import tempfile
    >>> tags = kr.fetch_hashtags(["ufc324", "perfume"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     kr.write_package(f"{folder}/study", {"hashtags": tags, "trends": kr.fetch_hashtag_trends("ufc324")})
    ...     list(kr.read_package(f"{folder}/study"))
    ['hashtags', 'trends']
    """
    target = as_path(folder)
    _check_tables(tables)
    before, old = _to_replace(target)
    held = {name: _tables_of(name, frame) for name, frame in tables.items()}
    kinds = {name: choose(found) for name, found in held.items()}
    connection = open_client(client)
    if connection is not None:
        reading_client(connection)
    contents = {f"{name}.csv": csv_bytes(frame) for name, frame in tables.items()}
    resources = [
        {
            "name": name,
            "path": f"{name}.csv",
            **_FORMAT,
            "bytes": len(contents[f"{name}.csv"]),
            "hash": _hash(contents[f"{name}.csv"]),
            **described(kinds[name]),
            "schema": _schema(name, tables, kinds, held[name]),
            "provenance": _provenance(kinds[name], frame, connection),
        }
        for name, frame in tables.items()
    ]
    called = re.sub(r"[^a-z0-9._-]+", "-", target.name.lower()).strip("-") or "data"
    ours = {"$schema": PROFILE, "name": called, "resources": resources, "versions": versions("pandas")}
    descriptor = ours | {fact: value for fact, value in before.items() if fact not in ours}
    contents[DESCRIPTOR] = f"{json.dumps(descriptor, indent=2, ensure_ascii=False)}\n".encode()
    write_files(target, contents, old)


def _to_replace(target: Path) -> tuple[dict[str, Any], list[str]]:
    """Return what is replaced in a folder, an untouched package alone in it: its descriptor, and its files."""
    advice = "Nothing is overwritten; choose another folder"
    try:
        if not target.exists():
            return {}, []
        there = {path.name: path for path in target.iterdir() if not path.name.startswith(".")}
    except OSError as error:
        raise InvalidArgumentError(f"{target} is not a usable folder ({reason_of(error)}). {advice}") from error
    if not there:
        return {}, []
    try:
        descriptor, resources = _read_descriptor(target)
    except InvalidArgumentError:
        descriptor, resources = {}, {}
    hashes = {str(resource.get("path")): resource.get("hash") for resource in resources.values()}
    ours = descriptor.get("$schema") == PROFILE and "keyapi-research" in str(descriptor.get("versions"))
    if not ours or not there.keys() <= {DESCRIPTOR, *hashes}:
        raise InvalidArgumentError(f"{target} already exists and is not empty. {advice}")
    for name, path in there.items():
        if name != DESCRIPTOR and (path.is_symlink() or not path.is_file() or _hash(read_bytes(path)) != hashes[name]):
            raise InvalidArgumentError(f"{path} was changed since the package was written. {advice}")
    return descriptor, sorted(there, key=lambda name: name != DESCRIPTOR)


def _hash(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _check_tables(tables: object) -> None:
    if not isinstance(tables, Mapping) or not tables:
        raise InvalidArgumentError('tables must map names to frames, such as {"hashtags": df}')
    for name, frame in tables.items():
        if not isinstance(name, str) or _NAME.fullmatch(name) is None:
            raise InvalidArgumentError(
                f"{str(name)[:60]!r} is not a valid table name. Use lower-case letters, digits, dots, hyphens and "
                "underscores"
            )
        if not isinstance(frame, pd.DataFrame):
            raise InvalidArgumentError(f"{name} must be a DataFrame, not {type(frame).__name__}")
        names = pd.Index([str(label) for label in frame.columns])
        if again := names[names.duplicated()].tolist():
            raise InvalidArgumentError(f"{name} has the column {again[0]!r} twice. Keep one")


def _tables_of(name: str, frame: pd.DataFrame) -> list[Table]:
    """Return the tables a frame holds: the one it is named after, else what its columns say."""
    columns = columns_of(frame)
    named = TABLES.get(name)
    return [named] if named is not None and columns.issuperset(named.key) else tables_in(columns)


def described(table: Table | None) -> dict[str, Any]:
    """Describe what a table is and where it comes from."""
    if table is None:
        return {}
    endpoint = table.endpoint
    source = {"title": f"KeyAPI, GET {endpoint.path}: {endpoint.page}", "path": "https://docs.keyapi.ai"}
    return {"title": table.name, "description": f"One row per {table.row}.", "sources": [source]}


def _schema(
    name: str, tables: Mapping[str, pd.DataFrame], kinds: Mapping[str, Table | None], held: Sequence[Table]
) -> dict[str, Any]:
    frame, table = tables[name], kinds[name]
    declared = {column.name: column for one in reversed(held) for column in one.columns}
    fields = [field_of(str(label), frame[label], declared.get(str(label))) for label in frame.columns]
    described: dict[str, Any] = {"fields": fields, "missingValues": [""]}
    if table is None:
        return described
    key = _primary_key(table, frame)
    foreign = [one for refers in table.references for one in _foreign_key(*refers, name, tables, kinds)]
    return described | ({"primaryKey": key} if key else {}) | ({"foreignKeys": foreign} if foreign else {})


def field_of(name: str, values: pd.Series[Any], column: Column | None) -> dict[str, Any]:
    """Describe a column: its type by its dtype, the rest by its declaration."""
    dtype, known = kept_dtype(values), known_dtypes().get(name)
    kind = (values.cat.categories if isinstance(values.dtype, pd.CategoricalDtype) else values).dtype.kind
    described = {"name": name, "type": _TYPES.get(kind) or ("string" if dtype or known else "any")}
    if described["type"] == "datetime" and getattr(values.dt, "tz", None) is None:
        described["format"] = "any"  # the standard's own form has a zone
    if column is not None:
        described |= _meant(column)
    if dtype and dtype != known:
        described["dtype"] = dtype  # the dictionary has another for this name, or does not know it
    return described


def kept_dtype(values: pd.Series[Any]) -> str:
    """Return a dtype as it is written down, so that `restored` gives it back; empty where that cannot be."""
    dtype = str(values.dtype)
    if dtype == "category":
        of = str(values.cat.categories.dtype)
        dtype += f"[{of if of == 'string' else _TEXT}]" if _is_text(values.cat.categories) else ""
    elif dtype == "object" and _is_text(values):
        dtype = _TEXT
    return dtype if KEPT_DTYPE.fullmatch(dtype) else ""


def _meant(column: Column) -> dict[str, str]:
    facts = {"unit": column.measured, "source": str(column.place), "status": column.status, "reason": column.reason}
    return {"description": column.meaning} | {fact: text for fact, text in facts.items() if text}


def describe_field(column: Column) -> dict[str, Any]:
    """Describe a declared column, by its declaration alone."""
    kind = pd.Series(dtype=column.dtype).dtype.kind
    return {"name": column.name, "type": _TYPES.get(kind, "string"), **_meant(column)}


def _is_text(values: pd.Series[Any] | pd.Index[Any]) -> bool:
    return pd.api.types.infer_dtype(values, skipna=True) in ("string", "empty")


def _primary_key(table: Table, frame: pd.DataFrame) -> list[str]:
    """Find the key that holds: the standard allows neither a missing value in it nor a key twice."""
    columns = _used(table.key, frame)
    if not columns:  # every part of the key is missing: nothing tells rows apart
        return []
    for key in (columns, [*columns, OBSERVED_AT.name]):
        if not set(key) <= set(frame.columns) or frame[key].isna().to_numpy().any():
            continue
        with contextlib.suppress(TypeError):  # lists or the like: these are not rows of a table any more
            if not frame.duplicated(key).any():
                return key
    return []


def _used(columns: Iterable[str], frame: pd.DataFrame) -> list[str]:
    """Leave out key columns that are missing throughout: filters that no call used, which tell no rows apart."""
    return [name for name in columns if name not in frame or frame[name].notna().any() or frame.empty]


def _foreign_key(
    columns: Sequence[str],
    parent: str,
    name: str,
    tables: Mapping[str, pd.DataFrame],
    kinds: Mapping[str, Table | None],
) -> list[dict[str, Any]]:
    """Refer to the parent table, if it is in the package and has every row that is referred to."""
    frame = tables[name]
    for other, kind in kinds.items():
        if kind is None or kind.name != parent or not set(columns) <= set(tables[other].columns):
            continue
        fields = sorted({*_used(columns, frame), *_used(columns, tables[other])}, key=columns.index)
        if frame[fields].isna().to_numpy().any():
            continue
        with contextlib.suppress(TypeError):
            if set(_tuples(frame[fields])) <= set(_tuples(tables[other][fields])):
                return [{"fields": fields, "reference": {"resource": other, "fields": fields}}]
    return []


def _tuples(frame: pd.DataFrame) -> Iterable[tuple[Hashable, ...]]:
    return frame.astype(object).itertuples(index=False, name=None)


# Where the rows came from -----------------------------------------------------------------------------------


def _provenance(table: Table | None, frame: pd.DataFrame, client: Client | None) -> dict[str, Any]:
    """Return the parameters, the times and the requests behind a frame, as far as its rows and the store show them."""
    if table is None:
        return {}
    queries = _queries(table, frame)
    endpoint = table.endpoint
    parameters = {
        p.api_name: sorted({query.params[p.api_name] for query, _ in queries if p.api_name in query.params})
        for p in endpoint.inputs
        if p is not endpoint.entity
    }
    moments = [at for _, at in queries]
    requests = _requests(queries, client) if client is not None else []
    return {
        "endpoint": endpoint.path,
        "parameters": parameters,
        "observed_at": {"first": stamp(min(moments)), "last": stamp(max(moments))} if moments else None,
        "source": sorted(set(map(str, frame[SOURCE.name].dropna()))) if SOURCE.name in frame else [],
        "credits": sum(request["credits"] or 0 for request in requests) if requests else None,
        "requests": requests,
    }


def _queries(table: Table, frame: pd.DataFrame) -> list[tuple[Query, int]]:
    """Return the queries behind the rows and when they were observed (microseconds since 1970), each once."""
    try:
        rows = rows_of(frame, table)
    except InvalidArgumentError:
        return []  # the rows were changed by hand
    return list(dict.fromkeys((row.query, row.at) for row in rows if row.at is not None))


def _requests(queries: Sequence[tuple[Query, int]], client: Client) -> list[dict[str, Any]]:
    found = client.store.exactly((query.key, at) for query, at in queries)
    if len(found) < len(queries):
        return []  # another store's rows
    observed: dict[int, list[Observation]] = {}
    for one in found.values():
        observed.setdefault(one.request, []).append(one)
    return [
        {
            "request_id": row.request_id,
            "params": json.loads(row.params),
            "sent_at": stamp(row.sent_at),
            "observed_at": stamp(max(one.observed_at for one in observed[row.id])),
            "credits": row.credits,
        }
        for row in client.store.ledger(observed)
    ]


# Reading ----------------------------------------------------------------------------------------------------


def read_package(folder: str | os.PathLike[str]) -> dict[str, pd.DataFrame]:
    """Read the frames of a data package.

    Parameters
    ----------
    folder : path
        The folder, or its `datapackage.json`.

    Returns
    -------
    dict of str to DataFrame
        The frames as they were written, by name. Ids are text, whatever is declared, and an empty text is missing.

    Raises
    ------
    InvalidArgumentError
        It is not a data package with CSV files in its folder, a file was changed since it was written, or its values do
        not fit a dtype that the package declares.

    Warns
    -----
    KeyAPIWarning
        A hash cannot be checked.
    SchemaDriftWarning
        Not all values of a column that `describe` knows are of its dtype, and the package declares no other.
    """
    target = as_path(folder)
    base = target.parent if target.name == DESCRIPTOR else target
    _, resources = _read_descriptor(base)
    return {name: _read_resource(base, name, resource) for name, resource in resources.items()}


def _read_descriptor(base: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Read the descriptor in a folder, and its resources by name."""
    try:
        content = read_bytes(base / DESCRIPTOR)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{base} is not a data package: {error}") from error
    try:
        descriptor = json.loads(content)
        resources = [(str(one["name"]), dict(one)) for one in descriptor["resources"]]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise InvalidArgumentError(f"{base / DESCRIPTOR} is not a valid data package descriptor") from error
    again = [name for name, count in Counter(name for name, _ in resources).items() if count > 1]
    if again:
        raise InvalidArgumentError(
            f"{base / DESCRIPTOR} has two resources named {again[0][:60]!r}. Give each its own name"
        )
    return descriptor, dict(resources)


def _read_resource(base: Path, name: str, resource: Mapping[str, Any]) -> pd.DataFrame:
    path = str(resource.get("path"))
    file = base / path
    try:
        inside = file.resolve().is_relative_to(base.resolve())
    except (OSError, ValueError, RuntimeError):  # a name too long, or links in a loop
        inside = False
    if not inside or re.search(r"\\|:|\0|^/|(^|/)\.\.(/|$)", path):
        raise InvalidArgumentError(f"{base}: {name} is at {path[:60]!r}, which is outside the package's folder")
    content = read_bytes(file)
    _check_hash(file, content, str(resource.get("hash") or ""))
    declared = _declared_dtypes(resource.get("schema"))
    try:
        frame = parse_csv(content, {column: read_first_as(column, dtype) for column, dtype in declared.items()})
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{file}: {error}") from None
    for column in columns_of(frame) & declared.keys():
        frame[column] = restored(frame[column], declared[column])
    return frame


def _check_hash(file: Path, content: bytes, promised: str) -> None:
    """Refuse a file that was changed; warn where its hash is of a kind that cannot be checked."""
    algorithm, _, digest = promised.lower().rpartition(":")
    algorithm = algorithm or _ALGORITHMS.get(len(digest), "")
    if algorithm in _ALGORITHMS.values():
        if hashlib.new(algorithm, content, usedforsecurity=False).hexdigest() != digest:
            raise InvalidArgumentError(
                f'{file} was changed since the package was written. If that was intended, remove its "hash" from '
                f"{DESCRIPTOR}"
            )
    elif promised:
        warn(
            f"{file} was not checked for changes, because its hash {promised[:20]!r} is of an unknown kind. "
            f"Known kinds: {', '.join(_ALGORITHMS.values())}",
            KeyAPIWarning,
        )


def _declared_dtypes(schema: object) -> dict[str, re.Match[str]]:
    """List the dtypes a descriptor declares: ours as words we know; of other programs' types, that text is text."""
    fields = schema.get("fields") if isinstance(schema, Mapping) else None
    dtypes = {}
    for one in fields if isinstance(fields, list) else []:
        if not isinstance(one, Mapping) or not isinstance(name := one.get("name"), str):
            continue
        is_text = one.get("type") == "string" and known_dtypes().get(name) != DTYPES["text"]
        if dtype := KEPT_DTYPE.fullmatch(str(one.get("dtype"))) or (KEPT_DTYPE.fullmatch(_TEXT) if is_text else None):
            dtypes[name] = dtype
    return dtypes


def read_first_as(name: str, dtype: re.Match[str]) -> str | None:
    """Return as what a column is read before it gets its own dtype: text and times as they are written.

    Categories are read as what they are categories of; the rest as what pandas infers (None), but ids as text.
    """
    if dtype.lastgroup == "category":
        return known_dtypes().get(name) if dtype[0] == "category" else DTYPES["text"]
    is_id = dtype.lastgroup == "count" and name in id_columns()
    return DTYPES["text"] if is_id or dtype.lastgroup in ("text", "time") else None


def restored(values: pd.Series[Any], dtype: re.Match[str], said_by: str = DESCRIPTOR) -> pd.Series[Any]:
    """Return a column with the dtype it had, if no value becomes another; ids stay text."""
    is_id, kind = values.name in id_columns(), dtype.lastgroup
    if dtype[0] in (_TEXT, f"category[{_TEXT}]"):
        values = pd.Series(as_text(values.astype(object).where(values.notna(), None).tolist()), name=values.name)
    if dtype[0] == _TEXT:
        return values
    if is_id and kind == "count" and values.dropna().str.fullmatch(_INTACT).all():
        return values
    try:
        if kind == "time":
            values = pd.to_datetime(values, utc=True, format="ISO8601")
            values = values if "," in dtype[0] else values.dt.tz_localize(None)
        made: pd.Series[Any] = values.astype("category" if kind == "category" else dtype[0])  # type: ignore[call-overload]
        same = _is_same(values, made)
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise InvalidArgumentError(
            f"{values.name} cannot be read as {dtype[0]}, as {said_by} says: {error}"
        ) from error
    if not same or (is_id and kind in ("count", "number", "flag") and made.notna().any()):
        raise InvalidArgumentError(
            f"{values.name} cannot be read as {dtype[0]}, as {said_by} says, because values would change. "
            f'Remove its "dtype" from {said_by}'
        )
    return made


def _is_same(values: pd.Series[Any], made: pd.Series[Any]) -> bool:
    """Whether all values are still what they were; what was text is compared as text."""
    there = values.notna()
    pairs = zip(values[there].tolist(), made[there].tolist(), strict=True)
    same = all(str(now) == was if isinstance(was, str) else now == was for was, now in pairs)
    return same and bool((made.notna() == there).all())
