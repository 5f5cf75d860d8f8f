"""A store as Parquet: a folder a table with all its observations; a second run adds only what is new.

The name of a part says which stored answers it is made of, so the folder itself knows how far it got.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from ..client import Client
from ..client.call import ledger_frame
from ..client.display import Facts
from ..errors import InvalidArgumentError, StoreError, listed, needed, shown
from ..files import as_path, locked, reason_of, unfinished_name, whole_path, write_bytes
from ..frames import reading_client
from ..holdings import LEDGER, find_table, frames_of, held_names, last_answer
from ..model import Column, Table, Untyped
from ..settings import SANDBOX
from ..version import versions
from .data_package import DESCRIPTOR, PROFILE, describe_field, described, field_of
from .parquet import EXTRA, arrow_of, digest_of, is_of_system, metadata_of, schema_of, write_part

if TYPE_CHECKING:
    import pyarrow as pa

_WINDOW: Final = 20_000  # stored answers that a part is made of, at most: bounds memory
_SETTLED: Final = timedelta(hours=1) // timedelta(microseconds=1)  # an answer comes within it, or never
_PART: Final = re.compile(r"part-(\d{12})-(\d{12})\.parquet")
_LOCK: Final = ".lock"


@dataclass(frozen=True, repr=False)
class Exported(Facts):
    """What `export_store` wrote.

    Attributes
    ----------
    path : str
        The folder.
    tables : tuple of str
        Tables that have new rows.
    rows, parts : int
        New rows and files.
    rewritten : tuple of str
        Tables whose parts were of another declaration, or had a gap, and were written anew.
    """

    path: str
    tables: tuple[str, ...]
    rows: int
    parts: int
    rewritten: tuple[str, ...] = ()

    def _facts(self, **_: object) -> tuple[str, Mapping[str, object]]:
        facts: dict[str, object] = {"new rows": self.rows, "new parts": self.parts}
        facts["tables"] = listed(list(self.tables), 10) or "nothing new"
        return f"Exported store: {self.path}", facts | (
            {"written anew": listed(list(self.rewritten), 10)} if self.rewritten else {}
        )


@dataclass(frozen=True)
class _Part:
    """A file of a table, and the stored answers (of the ledger: requests) it is made of."""

    path: Path
    first: int
    last: int


@dataclass(frozen=True)
class _Source:
    """A table to be exported: its folder, its declared schema if it has one, and how its rows are read.

    `rows` yields the frames of what is stored after one id and up to another.
    """

    name: str
    folder: str
    table: Table | None
    upto: int
    rows: Callable[[int, int], Iterator[pd.DataFrame]]

    def arrow(self, after: int, last: int) -> pa.Table:
        """Return the rows of a part by the declared schema, else as they are."""
        arrow = needed("pyarrow", EXTRA, "export_store")
        frames = self.rows(after, last)
        if self.table is not None and not isinstance(self.table, Untyped):
            schema = schema_of(self.table.columns)
            tables = [arrow_of(frame, schema) for frame in frames]
            return arrow.concat_tables(tables) if tables else schema.empty_table()
        parts = list(frames)
        whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
        if self.table is not None:  # nobody declared it: another answer may have another kind of value
            whole = pd.DataFrame({name: _as_text(column) for name, column in whole.items()})
        return arrow.Table.from_pandas(whole, preserve_index=False)

    @property
    def digest(self) -> str:
        """What values depend on, as a text; empty where nobody declared it."""
        if isinstance(self.table, Untyped):
            return ""
        if self.table is None:
            return json.dumps([[name, str(dtype)] for name, dtype in ledger_frame(()).dtypes.items()])
        return digest_of(self.table)


def export_store(
    folder: str | os.PathLike[str], *, tables: str | Sequence[str] | None = None, client: Client | None = None
) -> Exported:
    """Write all observations of the stored tables, and the ledger, as Parquet; a second run adds only what is new.

    Parameters
    ----------
    folder : path
        A new or empty folder, or one that this store was exported to before. Each table has a folder in it, with files
        named ``part-*.parquet``; that of a path has dots instead of slashes.
    tables : str or list of str, optional
        Names of tables (or paths, or "ledger"); by default all that have something stored, and the ledger.
    client : Client, optional
        The connection; the default one if omitted.

    Returns
    -------
    Exported
        The folder, which tables have new rows, how many, in how many new files, and what was written anew.

    Raises
    ------
    InvalidArgumentError
        The folder has something else in it; a table is not known; the connection has `as_of`.
    StoreError
        The folder has the export of another store, cannot be read or written, another program is exporting into it, or
        a part was damaged. What was written stays, and the next run continues.
    MissingPackageError
        pyarrow is not installed.

    Notes
    -----
    Sends nothing. Ids are text, times are UTC to the microsecond. `datapackage.json` has the meaning, type and unit of
    each column, and the size and checksum of each part. A part is not written again, unless its table was declared
    otherwise since, or an earlier part was deleted. Unfinished files never end in ``.parquet``. While a request of
    the last hour waits for its answer, the ledger ends before that request; a later run adds the rest.
    Of a path all columns but `observed_at` are text, and they may differ between parts: read them with union by name.
    An archive is another store each time it is opened: in a new session, export it to a new folder.

    Examples
    --------
    >>> import tempfile
    >>> _ = kr.fetch_hashtags(["ufc324", "perfume"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first = kr.export_store(folder, tables="hashtags")
    ...     again = kr.export_store(folder, tables="hashtags")
    ...     len(kr.read_parquet(f"{folder}/hashtags")) == first.rows, again.rows
    (True, 0)
    """
    needed("pyarrow.parquet", EXTRA, "export_store")
    connection = reading_client(client)
    if connection.policy.until is not None:
        raise InvalidArgumentError("export_store writes all that is stored: connect without as_of")
    target = as_path(folder, "folder", "a folder", "Pass the path of a folder on this machine")
    sources = _sources(tables, connection)
    with _told_of_refusals(target), _locked(target, connection) as before:
        facts = {"store": connection.store.id, "source": connection.source}
        _write_descriptor(target, {**before, **facts, "resources": before.get("resources", [])})
        rows, made, rewritten = {}, 0, []
        kept = {one["name"]: one for one in before.get("resources", [])}
        for source in sources:
            parts, again = _usable(target / source.folder, source, kept.get(source.folder, {}))
            rewritten += [source.name] if again else []
            if again:  # what went is forgotten before files of the same names are written
                kept[source.folder] = _resource(source, parts, target, kept.get(source.folder, {}))
                _write_descriptor(target, {**before, **facts, "resources": list(kept.values())})
            new = _write_new(target / source.folder, source, parts, facts)
            rows[source.name], made = sum(count for _, count in new), made + len(new)
            if parts or new:
                whole = [*parts, *(part for part, _ in new)]
                kept[source.folder] = _resource(source, whole, target, kept.get(source.folder, {}))
        _write_descriptor(target, {**before, **facts, "resources": list(kept.values())})
    return Exported(
        str(folder), tuple(name for name, count in rows.items() if count), sum(rows.values()), made, tuple(rewritten)
    )


# What is exported -------------------------------------------------------------------------------------------


def _sources(tables: str | Sequence[str] | None, client: Client) -> list[_Source]:
    named = [tables] if isinstance(tables, str) else tables
    if not (tables is None or (isinstance(named, list | tuple) and all(isinstance(one, str) for one in named))):
        raise InvalidArgumentError(f"tables must be a name, or a list of names; got {shown(tables)}")
    names = [*held_names(client), LEDGER] if named is None else list(named)
    upto = last_answer(client)

    def of(name: object) -> _Source:
        if name == LEDGER:
            last_row = _settled(client)
            return _Source(LEDGER, LEDGER, None, last_row, lambda after, last: _ledger_rows(client, after, last))
        table = find_table(name, client)
        folder = table.name.strip("/").replace("/", ".")

        def rows(after: int, last: int) -> Iterator[pd.DataFrame]:
            return frames_of(table, client, after=after, upto=last, note=False)

        return _Source(table.name, folder, table, upto, rows)

    return [of(name) for name in dict.fromkeys(names)]


def _as_text(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column as text, but for when it was observed."""
    if column.dtype.kind == "M":
        return column
    return pd.Series([None if pd.isna(one) else str(one) for one in column], dtype="string")


def _settled(client: Client) -> int:
    """Return the last request before the first one that still waits for its answer."""
    _, last = client.store.last_ids()
    for row in client.store.pending(since=client.store.now() - _SETTLED):
        return row.id - 1
    return last


def _ledger_rows(client: Client, after: int, last: int) -> Iterator[pd.DataFrame]:
    yield ledger_frame(client.store.ledger(range(after + 1, last + 1)))


# What is there ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _told_of_refusals(target: Path) -> Iterator[None]:
    """Say which file or folder the system refuses."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{error.filename or target} cannot be read or written: {reason_of(error)}. Change that, or choose another "
            "folder"
        ) from error


@contextlib.contextmanager
def _locked(target: Path, client: Client) -> Iterator[dict[str, Any]]:
    """Keep other programs from exporting into a folder; yield what `_check_ours` returns."""
    if target.is_dir():
        _check_ours(target, client)  # before anything is written into it
    try:
        target.mkdir(parents=True, exist_ok=True)
        trial = target / unfinished_name(target / DESCRIPTOR)  # the system says why not, SQLite does not
        trial.touch()
        trial.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {reason_of(error)}. Choose another folder") from error
    with locked(target / _LOCK, f"another program is exporting into {target}. Run this again when it is done"):
        for unfinished in target.glob(f".{DESCRIPTOR}.*.part"):
            unfinished.unlink(missing_ok=True)
        yield _check_ours(target, client)


def _check_ours(target: Path, client: Client) -> dict[str, Any]:
    """Return the descriptor of an earlier export of this very store; refuse a folder that has something else in it."""
    path = target / DESCRIPTOR
    there = sorted(one.name for one in target.iterdir() if not one.name.startswith("."))
    if there and DESCRIPTOR not in there:
        above = whole_path(target, "folder").parent
        if any(map(_PART.fullmatch, there)) and (above / DESCRIPTOR).exists():
            raise InvalidArgumentError(f"{target} is a table's folder in an export. Pass the folder above it, {above}")
        raise InvalidArgumentError(
            f"{target} has {listed(there, 3)}, which no export wrote. Choose a new or empty folder"
        )
    if not there:
        return {"$schema": PROFILE, "name": "stored-answers"}
    content = path.read_bytes()
    try:
        before = dict(json.loads(content))
        known = before["store"]
    except (ValueError, LookupError, TypeError) as error:
        raise InvalidArgumentError(f"{path} is not of an export. Choose another folder") from error
    if known != client.store.id:
        raise StoreError(
            f"{target} has the export of another store ({shown(before.get('source'))}), and rows of two stores are not "
            "mixed. Choose another folder"
        )
    return before


def _usable(folder: Path, source: _Source, known: Mapping[str, Any]) -> tuple[list[_Part], bool]:
    """Return the parts that stay, and whether others had to go: of another declaration, or behind a gap."""
    if not folder.is_dir():
        return [], False
    sizes = {one["path"]: one["bytes"] for one in known.get("parts", [])}
    parts: list[_Part] = []
    others: list[Path] = []
    for path in sorted(folder.iterdir()):
        found = _PART.fullmatch(path.name)
        if path.name.startswith((".", "_")):
            if path.name.endswith(".part"):
                path.unlink()  # unfinished
        elif found is None:
            raise InvalidArgumentError(f"{path} was not written by an export. Move it elsewhere")
        else:
            part = _Part(path, int(found[1]), int(found[2]))
            said = _check_part(path, sizes.get(f"{folder.name}/{path.name}"))
            next_one = (parts[-1].last if parts else 0) + 1
            if not others and said.get("keyapi_schema", "") == source.digest and part.first == next_one:
                parts.append(part)
            else:
                others.append(path)
    for path in reversed(others):  # the last first: what stays is without gaps, whenever this ends
        path.unlink()
    return parts, bool(others)


def _check_part(path: Path, size: int | None) -> Mapping[str, str]:
    """Return what a part says of itself; refuse one that is not as it was written."""
    try:
        said = metadata_of(path)
        if size in (None, path.stat().st_size):
            return said
    except (OSError, ValueError) as error:
        if is_of_system(error):
            raise
    raise StoreError(f"{path} was changed or damaged. Delete it and run this again: it is written anew")


# Writing ----------------------------------------------------------------------------------------------------


def _write_new(
    folder: Path, source: _Source, parts: Sequence[_Part], facts: Mapping[str, str]
) -> list[tuple[_Part, int]]:
    """Write what is stored since the last part, and return the new parts with their numbers of rows."""
    done = parts[-1].last if parts else 0
    made: list[tuple[_Part, int]] = []
    after = done
    while after < source.upto:
        last = min(after + _WINDOW, source.upto)
        table = source.arrow(after, last)
        after = last
        if not table.num_rows:
            continue  # the next part begins where the last one ended
        folder.mkdir(exist_ok=True)
        part = _Part(folder / f"part-{done + 1:012}-{last:012}.parquet", done + 1, last)
        write_part(part.path, table, {**facts, "schema": source.digest})
        made.append((part, table.num_rows))
        done = last
    return made


def _resource(source: _Source, parts: Sequence[_Part], target: Path, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a table and its parts."""
    known = {one["path"]: one for one in kept.get("parts", [])}
    listed_parts = []
    for part in parts:
        path = part.path.relative_to(target).as_posix()
        listed_parts.append(known.get(path) or {"path": path, **_measured(part.path)})
    columns: Sequence[Column] = source.table.columns if source.table and source.digest else ()
    fields = [describe_field(one) for one in columns]
    if source.table is None:
        fields = [field_of(str(name), column, None) for name, column in ledger_frame(()).items()]
    return {
        "name": source.folder,
        "path": [one["path"] for one in listed_parts],
        "format": "parquet",
        "mediatype": "application/vnd.apache.parquet",
        **(described(source.table) if source.table and source.digest else {"title": source.name}),
        "schema": {"fields": fields},
        "parts": listed_parts,
    }


def _measured(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    rows = needed("pyarrow.parquet", EXTRA, "export_store").read_metadata(path).num_rows
    return {"bytes": len(content), "hash": f"sha256:{hashlib.sha256(content).hexdigest()}", "rows": rows}


def _write_descriptor(target: Path, descriptor: Mapping[str, Any]) -> None:
    synthetic = {"synthetic": True} if descriptor["source"] == SANDBOX else {}
    whole = {**descriptor, **synthetic, "versions": versions("pandas", "pyarrow")}
    write_bytes(target / DESCRIPTOR, f"{json.dumps(whole, indent=2, ensure_ascii=False)}\n".encode())
