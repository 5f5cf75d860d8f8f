"""Data packages: tables as CSV files, and one file that says what is in them and where it came from.

The descriptor follows the Data Package standard (https://datapackage.org), so other tools read types, keys, units and
meanings, too.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pandas as pd

from .. import schema
from ..archive import stamp
from ..arguments import is_missing
from ..client import Client, open_client
from ..endpoints import ENDPOINT_OF, Ask, make_ask
from ..errors import InvalidArgumentError
from ..schema import OBSERVED_AT, TABLES, Column, Table
from ..store import Observation
from .csv_file import as_path, as_text, csv_bytes, parse_csv

DESCRIPTOR: Final = "datapackage.json"
_PROFILE: Final = "https://datapackage.org/profiles/2.0/datapackage.json"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {"b": "boolean", "i": "integer", "u": "integer", "f": "number", "M": "datetime"}
)
_INFERRED: Final[Mapping[str, str]] = MappingProxyType(
    {"boolean": "boolean", "integer": "integer", "floating": "number", "date": "date"}
)
_RESTORED: Final = re.compile(
    r"string|boolean|category|U?Int(8|16|32|64)|Float(32|64)|u?int(8|16|32)|float32|datetime64\[(s|ms|us|ns)(, UTC)?\]"
)
Kept = tuple[Hashable, ...]


# Writing ----------------------------------------------------------------------------------------------------


def write_package(
    folder: str | os.PathLike[str], tables: Mapping[str, pd.DataFrame], *, client: Client | None = None
) -> None:
    """Write tables as a data package: a CSV file each, and `datapackage.json` that describes them.

    Parameters
    ----------
    folder : path
        Where to; a new folder, or an empty one.
    tables : mapping of str to DataFrame
        The frames, by the names they get in the package: small letters, digits, dots, hyphens and underscores.
    client : Client, optional
        The connection whose store knows which requests brought the rows; the default one if left out and open.

    Raises
    ------
    InvalidArgumentError
        There is something in the folder, or a table cannot be written.

    Notes
    -----
    Types, units, meanings and statuses are those of `describe`. A primary key is declared where it holds: key columns
    without a missing value (a filter that nobody asked for is left out), with `observed_at` where one entity was
    observed several times. A foreign key is declared where its table is in the package and has all the rows it needs.
    Provenance has the endpoint, its parameters, when it was observed and, where the store knows them, each request with
    its id and credits. No licence is stated: whether and how you may publish the data is between you and KeyAPI; add
    the descriptor's `licenses` yourself.

    Examples
    --------
    >>> import tempfile
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> tags = kr.fetch_hashtags(["ufc324", "perfume"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     kr.write_package(f"{folder}/study", {"hashtags": tags, "trends": kr.fetch_hashtag_trends("ufc324")})
    ...     list(kr.read_package(f"{folder}/study"))
    ['hashtags', 'trends']
    """
    target = as_path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidArgumentError(f"{target} is there already and not empty; nothing is overwritten: choose another")
    _check_tables(tables)
    kinds = {name: _table_of(name, frame) for name, frame in tables.items()}
    connection = open_client(client)
    contents = {f"{name}.csv": csv_bytes(frame) for name, frame in tables.items()}
    resources = [
        {
            "name": name,
            "type": "table",
            "path": f"{name}.csv",
            "scheme": "file",
            "format": "csv",
            "mediatype": "text/csv",
            "encoding": "utf-8",
            "bytes": len(contents[f"{name}.csv"]),
            "hash": f"sha256:{hashlib.sha256(contents[f'{name}.csv']).hexdigest()}",
            **_described(kinds[name]),
            "schema": _schema(name, tables, kinds),
            "provenance": _provenance(kinds[name], frame, connection),
        }
        for name, frame in tables.items()
    ]
    packages = {name: version(name) for name in ("keyapi-research", "pandas")}
    descriptor = {"$schema": _PROFILE, "name": _slug(target.name), "resources": resources, "versions": packages}
    target.mkdir(parents=True, exist_ok=True)
    for path, content in contents.items():
        (target / path).write_bytes(content)
    # Written last: without it a folder is no package.
    (target / DESCRIPTOR).write_text(f"{json.dumps(descriptor, indent=2, ensure_ascii=False)}\n", encoding="utf-8")


def _check_tables(tables: object) -> None:
    if not isinstance(tables, Mapping) or not tables:
        raise InvalidArgumentError('tables is a mapping of names to frames, as {"hashtags": df}')
    for name, frame in tables.items():
        if not isinstance(name, str) or _NAME.fullmatch(name) is None:
            raise InvalidArgumentError(
                f"{str(name)[:60]!r} cannot name a table: take small letters, digits, dots, hyphens, underscores"
            )
        if not isinstance(frame, pd.DataFrame):
            raise InvalidArgumentError(f"{name} is not a DataFrame but {type(frame).__name__}")
        if frame.columns.duplicated().any():
            again = frame.columns[frame.columns.duplicated()][0]
            raise InvalidArgumentError(f"{name} has the column {again!r} twice; a data package cannot")


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-") or "data"


def _table_of(name: str, frame: pd.DataFrame) -> Table | None:
    """Find the table a frame was made of: the one it is named after, or the widest all of whose columns it has."""
    columns = set(map(str, frame.columns))
    if name in TABLES and set(TABLES[name].key) <= columns:
        return TABLES[name]
    return next(iter(schema.find_table(columns)), None)


def _described(table: Table | None) -> dict[str, Any]:
    if table is None:
        return {}
    endpoint = ENDPOINT_OF[table.name]
    source = {"title": f"KeyAPI, GET {endpoint.path}: {endpoint.page}", "path": "https://docs.keyapi.ai"}
    return {"title": table.name, "description": f"One row per {table.row}.", "sources": [source]}


def _schema(name: str, tables: Mapping[str, pd.DataFrame], kinds: Mapping[str, Table | None]) -> dict[str, Any]:
    frame, table = tables[name], kinds[name]
    declared = {column.name: column for column in table.columns} if table else {}
    fields = [_field(str(label), frame[label], declared.get(str(label))) for label in frame.columns]
    described: dict[str, Any] = {"fields": fields, "missingValues": [""]}
    if table is None:
        return described
    key = _primary_key(table, frame)
    foreign = [
        one for columns, parent in table.references for one in _foreign_key(columns, parent, name, tables, kinds)
    ]
    return described | ({"primaryKey": key} if key else {}) | ({"foreignKeys": foreign} if foreign else {})


def _field(name: str, values: pd.Series[Any], column: Column | None) -> dict[str, Any]:
    """Describe a column: its type by what is in it, the rest by its declaration."""
    kind = _TYPES.get(values.dtype.kind) or _INFERRED.get(pd.api.types.infer_dtype(values, skipna=True), "string")
    described = {"name": name, "type": kind}
    if kind == "datetime" and getattr(values.dt, "tz", None) is None:
        described["format"] = "any"  # the standard's own form has a zone
    if column is not None:
        facts = {"unit": column.unit, "source": str(column.place), "status": column.status, "reason": column.reason}
        return described | {"description": column.meaning} | {fact: text for fact, text in facts.items() if text}
    if _RESTORED.fullmatch(str(values.dtype)):
        described["dtype"] = str(values.dtype)  # of a column of the user's own no dictionary knows it
    return described


def _primary_key(table: Table, frame: pd.DataFrame) -> list[str]:
    """Find the key that holds: the standard allows neither a missing value in it nor a key twice."""
    columns = _asked(table.key, frame)
    for key in (columns, [*columns, OBSERVED_AT.name]):
        there = set(key) <= set(frame.columns) and not frame[key].isna().to_numpy().any()
        if there and not frame.duplicated(key).any():
            return key
    return []


def _asked(columns: Iterable[str], frame: pd.DataFrame) -> list[str]:
    """Leave out key columns that nothing was asked for: they are missing throughout and tell no rows apart."""
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
        fields = sorted({*_asked(columns, frame), *_asked(columns, tables[other])}, key=columns.index)
        rows = frame[fields].drop_duplicates()
        if not rows.isna().to_numpy().any() and set(_tuples(rows)) <= set(_tuples(tables[other][fields])):
            return [{"fields": fields, "reference": {"resource": other, "fields": fields}}]
    return []


def _tuples(frame: pd.DataFrame) -> Iterable[Kept]:
    return frame.astype(object).itertuples(index=False, name=None)


# Where the rows came from -----------------------------------------------------------------------------------


def _provenance(table: Table | None, frame: pd.DataFrame, client: Client | None) -> dict[str, Any]:
    """Say what was asked and when, and which requests brought it, as far as the rows and the store tell."""
    if table is None:
        return {}
    asks = _asks(table, frame)
    endpoint = ENDPOINT_OF[table.name]
    parameters = {
        p.wire: sorted({ask.params[p.wire] for ask, _ in asks if p.wire in ask.params})
        for p in endpoint.asked
        if p is not endpoint.entity
    }
    moments = [at for _, at in asks]
    requests = _requests(asks, client) if client is not None else []
    return {
        "endpoint": endpoint.path,
        "parameters": parameters,
        "observed_at": {"first": stamp(min(moments)), "last": stamp(max(moments))} if moments else None,
        "source": sorted(map(str, frame["source"].dropna().unique())) if "source" in frame else [],
        "credits": sum(request["credits"] or 0 for request in requests) if requests else None,
        "requests": requests,
    }


def _asks(table: Table, frame: pd.DataFrame) -> list[tuple[Ask, int]]:
    """Read from the rows what was asked, and when it was observed (microseconds since 1970)."""
    endpoint = ENDPOINT_OF[table.name]
    names = [p.column for p in endpoint.asked]
    if not {*names, OBSERVED_AT.name} <= set(frame.columns):
        return []
    rows = frame[[*names, OBSERVED_AT.name]].dropna(subset=[OBSERVED_AT.name]).drop_duplicates()
    moments = pd.to_datetime(rows[OBSERVED_AT.name], utc=True).dt.as_unit("us").astype("int64").tolist()
    asks = []
    for values, moment in zip(_tuples(rows[names]), moments, strict=True):
        given = {p.argument: None if is_missing(v) else v for p, v in zip(endpoint.asked, values, strict=True)}
        try:
            asks.append((make_ask(endpoint, given), moment))
        except InvalidArgumentError:
            return []  # the rows were changed by hand: they do not tell any more
    return asks


def _requests(asks: Sequence[tuple[Ask, int]], client: Client) -> list[dict[str, Any]]:
    found = client.store.exactly((ask.key, at) for ask, at in asks)
    if len(found) < len(set(asks)):
        return []  # another store's rows
    observed: dict[int, list[Observation]] = {}
    for one in found.values():
        observed.setdefault(one.request, []).append(one)
    return [
        {
            "request_id": request_id,
            "params": json.loads(params),
            "sent_at": stamp(sent_at),
            "observed_at": stamp(max(one.observed_at for one in observed[number])),
            "credits": price,
        }
        for number, sent_at, _, params, *_, request_id, price, _ in client.store.ledger(observed)
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
        The frames as they were written, by name.

    Raises
    ------
    InvalidArgumentError
        It is no data package with CSV files in its folder, or a file was changed since it was written.
    """
    target = as_path(folder)
    base = target.parent if target.name == DESCRIPTOR else target
    try:
        descriptor = json.loads((base / DESCRIPTOR).read_text(encoding="utf-8"))
        resources = {str(one["name"]): one for one in descriptor["resources"]}
    except OSError as error:
        raise InvalidArgumentError(f"{base} is no data package: {error.strerror or error}: {DESCRIPTOR}") from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise InvalidArgumentError(f"{base / DESCRIPTOR} is not the descriptor of a data package") from error
    return {name: _read_resource(base, name, resource) for name, resource in resources.items()}


def _read_resource(base: Path, name: str, resource: Mapping[str, Any]) -> pd.DataFrame:
    path = str(resource.get("path"))
    if re.search(r"\\|:|\0|^/|(^|/)\.\.(/|$)", path) or not (base / path).resolve().is_relative_to(base.resolve()):
        raise InvalidArgumentError(f"{base}: {name} is at {path[:60]!r}, which leads out of the package's folder")
    file = base / path
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InvalidArgumentError(f"{file} cannot be read: {error.strerror or error}") from error
    promised = str(resource.get("hash", ""))
    if promised.startswith("sha256:") and promised != f"sha256:{hashlib.sha256(content).hexdigest()}":
        raise InvalidArgumentError(
            f'{file} was changed since the package was written; if that was meant, take "hash" out of {DESCRIPTOR}'
        )
    try:
        frame = parse_csv(content)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{file}: {error}") from None
    described = resource.get("schema")
    fields = described.get("fields") if isinstance(described, Mapping) else None
    return _restored(frame, fields if isinstance(fields, list) else [])


def _restored(frame: pd.DataFrame, fields: Iterable[object]) -> pd.DataFrame:
    """Give the user's own columns the dtypes they had."""
    for field in fields:
        if not isinstance(field, Mapping) or field.get("name") not in frame or field["name"] in schema.COLUMN_DTYPES:
            continue
        name, dtype = field["name"], str(field.get("dtype"))
        try:
            if _RESTORED.fullmatch(dtype):
                frame[name] = frame[name].astype(dtype)  # type: ignore[arg-type]
            elif field.get("type") == "string" and frame[name].isna().all():
                frame[name] = as_text([None] * len(frame))
        except (ValueError, TypeError) as error:
            raise InvalidArgumentError(f"{name} cannot be read as {dtype}, as {DESCRIPTOR} says: {error}") from error
    return frame
