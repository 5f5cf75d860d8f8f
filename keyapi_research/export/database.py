"""SQL over what is stored: DuckDB, which sees the tables that a query names and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from typing import Any, Final

import numpy as np
import pandas as pd

from ..arguments import nearest_name
from ..client import Client
from ..columns import moments
from ..errors import InvalidArgumentError, listed, needed, shown
from ..frames import reading_client
from ..holdings import LEDGER, find_table, frames_of, last_answer
from ..model import DTYPES, METADATA, OBSERVED_AT, SOURCE, TABLES, Table, Untyped
from ..spelling import writable
from ..untyped import read_column
from .csv import known_dtypes

_SETTINGS: Final[Mapping[str, str | bool]] = {
    "enable_external_access": False,  # no files, no network, no other databases
    "python_enable_replacements": False,  # no variables of the caller
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "temp_directory": "",  # nothing is spilled to a disk
    "max_temp_directory_size": "0KiB",
}
_TYPES: Final[Mapping[str, str]] = {
    DTYPES["text"]: "VARCHAR",
    DTYPES["count"]: "BIGINT",
    DTYPES["number"]: "DOUBLE",
    DTYPES["flag"]: "BOOLEAN",
    DTYPES["time"]: "TIMESTAMPTZ",
}
_QUERIES: Final = (
    "SELECT", "WITH", "FROM", "VALUES", "TABLE", "DESCRIBE", "DESC", "SUMMARIZE", "SHOW", "PIVOT", "UNPIVOT", "EXPLAIN",
)  # fmt: skip
_WORD: Final = re.compile(r"[\s\ufeff]*([A-Za-z]+)")  # DuckDB reads a byte order mark as a space
_SHOWS: Final = re.compile(r"\b(?:SHOW|information_schema|duckdb_tables|duckdb_columns)\b", re.IGNORECASE)
_NO_TABLE: Final = re.compile(r"Table with name (.+?) does not exist")
_CLOSED: Final = re.compile(r"disabled (?:by|through) configuration|^INSTALL ", re.MULTILINE)
_ADVICE: Final = re.compile(  # to change what is closed here; the line before may lead to it
    r"\n+(?:[^\n]*:\n+)?(?!LINE )[^\n]*\b(?:INSTALL|LOAD|SET) .*", re.DOTALL
)
_NOISE: Final = re.compile(r"\A[A-Za-z ]*(?:Error|Exception): ")
_WHOLE: Final = frozenset(("tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger"))
_LONG: Final = frozenset(("ubigint", "hugeint", "uhugeint"))  # may have more than 64 bits: read as text
_REAL: Final = frozenset(("float", "double", "decimal"))
_ZONED: Final = frozenset(("date", "timestamp with time zone", "timestamptz_ns"))  # a date is 00:00 UTC
_MOMENTS: Final = frozenset(("timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"))
_NESTED: Final = frozenset(("list", "array", "struct", "map", "union"))
_AS_IT_IS: Final = _WHOLE | _NESTED | {"boolean", "interval", "blob"}
_WAIT: Final = 0.2  # seconds until a pending Ctrl-C is seen where waiting cannot be interrupted
_MOST_EXACT: Final = 2**53  # above, a float64 has no room for every whole number


def sql(query: str, *, client: Client | None = None) -> pd.DataFrame:
    """Return the result of an SQL query over the stored tables, by their names, and the `ledger`; nothing is sent.

    The tables have all observations, so an entity that was refreshed is there several times, and a join counts it
    several times. Where an answer about an id is one row, add
    `QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY observed_at DESC) = 1`, with the key of the table, for the
    newest. That keeps what newer answers no longer have: an id of which there was nothing, rows of an older ranking.
    `kr.stored` gives exactly the newest.

    Parameters
    ----------
    query : str
        One query in the SQL of DuckDB. Tables have the names that `kr.tables()` lists, also those that you declared,
        and are empty where nothing is stored; the path of an endpoint that was fetched without a table is written in
        double quotes.
    client : Client, optional
        The connection; the default one if omitted.

    Returns
    -------
    pandas.DataFrame
        Columns whose name the dictionary knows have its dtype where no value changes by it. Else text is `string`,
        whole numbers are `Int64` (text if one has more than 64 bits), other numbers, also DECIMAL, `float64`, flags
        `boolean`, times and dates `datetime64[us, UTC]`, times without a zone `datetime64[us]`, intervals
        `timedelta64`; lists and structs are Python objects, anything else is text. A column name that comes again gets
        a number: `observed_at_1`.

    Raises
    ------
    InvalidArgumentError
        The query has an error, is not one query, names a table that does not exist, or needs too much memory.
    MissingPackageError
        DuckDB is not installed; it is part of the extra `sql`.
    StoreError
        The store cannot be read, or the client is closed.

    Notes
    -----
    Costs nothing, and works offline, in a replay and under `as_of`, where the tables leave out what came later, but
    not the ledger. Only the tables named in the query are read, into memory, all up to the same moment. The query can
    change nothing, and sees no files, no network, no extension and no variable of yours; DuckDB's settings are locked,
    its time zone is UTC and it writes nothing to a disk.

    Examples
    --------
    >>> _ = kr.fetch_hashtags(["ufc324", "perfume"], region="US", period=7)
    >>> kr.sql("SELECT hashtag_name, period FROM hashtags ORDER BY hashtag_name").values.tolist()
    [['perfume', 7], ['ufc324', 7]]
    >>> kr.sql("SELECT sum(credits) AS credits FROM ledger")["credits"].tolist()
    [4]
    """
    return run(query, reading_client(client))


def run(query: str, client: Client, *, memory: str | None = None) -> pd.DataFrame:
    """Answer a query; `memory` is the most that DuckDB may use, by default what it finds reasonable."""
    duckdb = needed("duckdb", "sql", "kr.sql")
    if not isinstance(query, str):
        raise InvalidArgumentError(f"query must be text, one SQL query; got {shown(query)}")
    if writable(query) != query:
        raise InvalidArgumentError("query has half of a character (a lone surrogate). Type it again")
    settings = dict(_SETTINGS) if memory is None else {**_SETTINGS, "memory_limit": memory}
    with duckdb.connect(":memory:", config=settings) as base:
        base.execute("SET pandas_analyze_sample = 0")  # objects are text; nothing is guessed from their first values
        base.execute("SET TimeZone = 'UTC'")
        if base.sql("SELECT current_setting('enable_progress_bar')").fetchall()[0][0]:
            # To switch it off needs ipywidgets in JupyterLab; where that is missing, it is off.
            base.execute("SET enable_progress_bar = false")
        try:
            query = _checked(query, base)
            _load(query, base, client)
            base.execute("SET lock_configuration = true")
            base.execute("BEGIN TRANSACTION READ ONLY")  # in some versions a WITH may insert
            return _interruptible(lambda: _result(query, base), base.interrupt)
        except duckdb.OutOfMemoryException as error:
            raise InvalidArgumentError(
                "the query needs more memory than DuckDB may use, and nothing is spilled to a disk. Select fewer "
                "columns, filter or aggregate earlier, or join fewer rows"
            ) from error
        except duckdb.Error as error:
            raise InvalidArgumentError(_explained(str(error), client)) from error


# Queries ----------------------------------------------------------------------------------------------------


def _checked(query: str, base: Any) -> str:
    """Return a query without the semicolon at its end and what follows it; refuse what is not one query."""
    statements = base.extract_statements(query)
    kinds = [statement.type.name for statement in statements]
    if not kinds:
        raise InvalidArgumentError('query is empty. It must be one SELECT, such as "SELECT * FROM ledger"')
    word, alone = _word_and_text(query)
    # A PIVOT of values that are not listed is several statements to DuckDB: a type of these values, then the query.
    pivot = kinds == ["MULTI"] or (kinds[-1:] == ["SELECT"] and set(kinds[:-1]) == {"CREATE"})
    if word in _QUERIES and len(kinds) > 1 and not pivot:
        raise InvalidArgumentError(f"query must be one SQL query; got {len(kinds)} statements. Call kr.sql for each")
    if word not in _QUERIES or not (pivot or kinds[0] in ("SELECT", "EXPLAIN")):
        raise InvalidArgumentError(
            f"kr.sql only reads, and {word or kinds[0]} is not a query. Begin with SELECT, WITH, FROM, VALUES, "
            "DESCRIBE, SUMMARIZE or SHOW; to change or save a result, use pandas"
        )
    if any(statement.named_parameters for statement in statements):
        raise InvalidArgumentError("query has parameters (? or $name), which kr.sql does not take. Write their values")
    return alone


def _word_and_text(query: str) -> tuple[str, str]:
    """Return the first word of a query, and its text up to the semicolon at its end, after which DuckDB 2 reads on."""
    duckdb, text = needed("duckdb", "sql", "kr.sql"), query.encode()
    places = [at for at, kind in duckdb.tokenize(query) if kind != duckdb.token_type.comment]  # in bytes
    tokens = (text[at:end].decode() for at, end in zip(places, [*places[1:], len(text)], strict=True))
    word = next((found[1].upper() for token in tokens if (found := _WORD.match(token))), "")
    end = len(text)
    for at in reversed(places):
        if text[at : at + 1] != b";":
            break
        end = at
    return word, text[:end].decode()


def _names(client: Client) -> list[str]:
    """List all tables there are to SQL."""
    paths = [path for path in client.store.paths() if path not in {one.endpoint.path for one in TABLES.values()}]
    return [*TABLES, *paths, LEDGER]


def _named(query: str, base: Any, client: Client) -> list[str]:
    """List the tables that a query names, perhaps some more: DuckDB knows only where it can do without columns."""
    written = query.lower()
    there = [
        name
        for name in dict.fromkeys([*TABLES, *client.store.paths(), LEDGER])
        if re.search(rf"(?<!\w){re.escape(name.lower())}(?!\w)", written)
    ]
    try:
        exactly = {name.lower() for name in base.get_table_names(query)}
    except needed("duckdb", "sql", "kr.sql").Error:
        return there
    return [name for name in there if name.lower() in exactly]


def _explained(message: str, client: Client) -> str:
    """Write an error of DuckDB for the user of this package."""
    text = _ADVICE.sub("", _NOISE.sub("", message.strip()))
    found = _NO_TABLE.search(message)
    if found is None:
        if _CLOSED.search(message):
            return f"kr.sql sees the stored tables only: files, network and extensions are closed. DuckDB says: {text}"
        return f"the query has an error. DuckDB says: {text}"
    name = found.group(1)
    names = _names(client)
    if name.lower() in [one.lower() for one in names]:
        return f"the query uses the table {name} without naming it. Write its name in the query itself"
    near = nearest_name(name.lower(), names)
    hint = f" Did you mean {near!r}?" if near else ""
    return (
        f"there is no table {name!r}.{hint} There are {listed(names, len(names))}. Files and variables cannot be "
        "queried; the path of an endpoint is written in double quotes"
    )


# Tables in ---------------------------------------------------------------------------------------------------


def _load(query: str, base: Any, client: Client) -> None:
    """Make the tables that a query names; where it shows which there are, all of those, without their rows."""
    upto = last_answer(client)
    named = _named(query, base, client)
    for name in named:
        if name == LEDGER:
            frames = iter([client.ledger()])
        else:
            table = find_table(name, client)
            frames = frames_of(table, client, observations="all", upto=upto)
            if isinstance(table, Untyped):
                frames = iter([_alike(list(frames))])
            else:
                _create(base, name, _dtypes(table))
        for frame in frames:
            if name == LEDGER or name not in TABLES:
                _create(base, name, dict(frame.dtypes.astype(str)))
            _insert(base, name, frame)
    if not named and _SHOWS.search(query):
        for name in _names(client):
            if name in TABLES:
                _create(base, name, _dtypes(TABLES[name]))
            elif name == LEDGER:
                _create(base, name, dict(client.ledger().dtypes.astype(str)))
            else:  # its other columns are known when it is read
                _create(base, name, {OBSERVED_AT.name: OBSERVED_AT.dtype, SOURCE.name: SOURCE.dtype})


def _dtypes(table: Table) -> dict[str, str]:
    return {column.name: column.dtype for column in table.columns}


def _alike(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Put together frames of a path, whose columns depend on what was requested and answered."""
    if not frames:
        empty = pd.Series(moments(np.array([], dtype=np.int64)))
        return pd.DataFrame({OBSERVED_AT.name: empty, SOURCE.name: pd.Series(dtype="string")})
    names = dict.fromkeys(name for frame in frames for name in frame.columns if name not in METADATA)
    columns: dict[str, pd.Series[Any]] = {}
    for name in names:
        parts = (frame[name] if name in frame else pd.Series(index=frame.index, dtype=object) for frame in frames)
        values = [value for part in parts for value in part.astype(object).where(part.notna(), None).tolist()]
        columns[name] = read_column(name, values)
    for name in METADATA:
        columns[name] = pd.concat([frame[name] for frame in frames], ignore_index=True)
    return pd.DataFrame(columns)


def _create(base: Any, name: str, dtypes: Mapping[str, str]) -> None:
    columns = zip(_distinct(dtypes), dtypes.values(), strict=True)
    written = ", ".join(f"{_quoted(column)} {_TYPES[dtype]}" for column, dtype in columns)
    base.execute(f"CREATE TABLE {_quoted(name)} ({written})")


def _insert(base: Any, name: str, frame: pd.DataFrame) -> None:
    """Add rows; each value arrives as it is."""
    plain = {}
    for place in range(frame.shape[1]):
        values = frame.iloc[:, place]
        if values.dtype == DTYPES["text"]:
            # As Python's own: DuckDB 1.1 takes the NA of pandas for text.
            pairs = zip(values, values.isna(), strict=True)
            values = pd.Series([None if gone else writable(text) for text, gone in pairs], dtype=object)
        plain[f"c{place}"] = values.reset_index(drop=True)  # with its dtype: pandas 3 would make text of objects anew
    base.register("rows of a batch", pd.DataFrame(plain))
    base.execute(f'INSERT INTO {_quoted(name)} SELECT * FROM "rows of a batch"')
    base.unregister("rows of a batch")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _distinct(names: Iterable[str]) -> list[str]:
    """Return names with a number where one comes again, as SQL compares them: without regard to case."""
    found: dict[str, str] = {}
    for name in names:
        one, number = name or "column", 0
        while one.lower() in found:
            number += 1
            one = f"{name}_{number}"
        found[one.lower()] = one
    return list(found.values())


# Results -----------------------------------------------------------------------------------------------------


def _result(query: str, base: Any) -> pd.DataFrame:
    """Run the query; numbers that NumPy would round come as text, and times as microseconds."""
    found = base.query(query)
    kinds = [kind.id for kind in found.types]
    names = _distinct(found.columns)
    chosen = found.project(", ".join(f"{_read(f'#{at}', kind)} AS c{at}" for at, kind in enumerate(kinds, 1)))
    if _NESTED.isdisjoint(kinds):
        arrays = list(chosen.fetchnumpy().values())
    else:  # lists of numbers would lose what is missing in them
        rows = chosen.fetchall()
        arrays = [_array([row[at] for row in rows], kind) for at, kind in enumerate(kinds)]
    columns = [_as_declared(name, _tidy(kind, array)) for name, kind, array in zip(names, kinds, arrays, strict=True)]
    return pd.DataFrame(dict(zip(names, columns, strict=True)))


def _read(column: str, kind: str) -> str:
    """Write how a column is read."""
    if kind in _ZONED or kind in _MOMENTS:
        return f"epoch_us({column}::{'TIMESTAMP' if kind in _MOMENTS or kind == 'date' else 'TIMESTAMPTZ'})"
    if kind in _REAL:
        return f"{column}::DOUBLE"
    return column if kind in _AS_IT_IS else f"{column}::VARCHAR"


def _array(values: list[Any], kind: str) -> Any:
    """Make an array of Python's values, as NumPy's own come."""
    missing = [value is None for value in values]
    plain: Any = np.empty(len(values), dtype=object)
    plain[:] = values
    whole = kind in _WHOLE or kind in _ZONED or kind in _MOMENTS
    dtype = np.int64 if whole else np.float64 if kind in _REAL else bool if kind == "boolean" else object
    if dtype is not object:
        plain[missing] = 0
    return np.ma.MaskedArray(plain.astype(dtype), mask=missing)


def _tidy(kind: str, array: Any) -> pd.Series[Any]:
    """Make a column of what was read."""
    missing = np.ma.getmaskarray(array)
    values = np.ma.getdata(array)
    if kind in _WHOLE:
        return pd.Series(pd.arrays.IntegerArray(values.astype(np.int64), missing))
    if kind in _ZONED or kind in _MOMENTS:
        times = pd.Series(moments(values.astype(np.int64), missing))
        return times if kind in _ZONED else pd.Series(pd.DatetimeIndex(times).tz_localize(None))
    if kind in _REAL:
        return pd.Series(np.where(missing, np.nan, values.astype(np.float64)))
    if kind == "boolean":
        return pd.Series(pd.arrays.BooleanArray(values.astype(bool), missing))
    return _of_objects(kind, [None if gone else one for one, gone in zip(values, missing, strict=True)])


def _of_objects(kind: str, objects: list[Any]) -> pd.Series[Any]:
    """Make a column of Python's values."""
    if kind == "interval":
        return pd.Series([None if one is None else pd.Timedelta(one) for one in objects], dtype="timedelta64[ns]")
    if kind in _LONG:
        numbers = [None if one is None else int(one) for one in objects]
        if all(one is None or -(2**63) <= one < 2**63 for one in numbers):
            return pd.Series(pd.array(numbers, dtype="Int64"))
    if kind == "blob":
        return pd.Series([None if one is None else bytes(one) for one in objects], dtype=object)
    return pd.Series(objects, dtype=object if kind in _NESTED else "string")


def _as_declared(name: str, values: pd.Series[Any]) -> pd.Series[Any]:
    """Give a column the dtype of its name in the dictionary, unless a value would change by it."""
    wanted, dtype = known_dtypes().get(name), str(values.dtype)
    nothing = dtype in (DTYPES["text"], DTYPES["count"]) and bool(values.isna().all())  # as NULL, which has no type
    exact = dtype == DTYPES["count"] and (
        wanted == DTYPES["text"] or (wanted == DTYPES["number"] and bool((values.abs() <= _MOST_EXACT).all()))
    )
    if wanted is None or wanted == dtype or not (exact or nothing):
        return values
    return pd.Series(index=values.index, dtype=wanted) if nothing else values.astype(wanted)  # type: ignore[call-overload]


def _interruptible(work: Callable[[], pd.DataFrame], interrupt: Callable[[], None]) -> pd.DataFrame:
    """Do work in a thread, so that Ctrl-C is seen at once and ends it."""
    with ThreadPoolExecutor(1) as pool:
        running: Future[pd.DataFrame] = pool.submit(work)
        try:
            while True:
                try:
                    return running.result(timeout=_WAIT)
                except StillRunning:
                    if running.done():
                        raise
        except BaseException:
            if not running.done():
                interrupt()
            raise
