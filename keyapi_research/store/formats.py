"""The formats of a store's file: its tables, whether a file is one, and how a former format becomes the current one."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from ..errors import StoreError
from .bodies import checksum, digests_of
from .database import Writer
from .facts import LEDGER_COLUMNS, SQL_OF_LEDGER, Totals, compact_json

FORMAT: Final = 2
OLDEST_FORMAT: Final = 1
_APPLICATION_ID: Final = 0x4B415249
_PRAGMAS: Final = (("auto_vacuum", "0"), ("encoding", "UTF-8"))  # as this package makes a file

_RESPONSES: Final = (
    "CREATE TABLE responses (key TEXT PRIMARY KEY, value BLOB CHECK (typeof(value) = 'text'), expires INTEGER)",
    "CREATE INDEX expires_idx ON responses(expires)",
    "CREATE TABLE redirects (key TEXT PRIMARY KEY, value BLOB, expires INTEGER)",
)


def _columns(kinds: Mapping[str, str]) -> str:
    return ", ".join(map(" ".join, kinds.items()))


OWN: Final = (
    "CREATE TABLE keyapi_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum TEXT NOT NULL)",
    f"CREATE TABLE keyapi_ledger (id INTEGER PRIMARY KEY, {_columns(SQL_OF_LEDGER)}, checksum TEXT NOT NULL)",
    "CREATE INDEX keyapi_unanswered ON keyapi_ledger(endpoint) WHERE credits IS NULL",
    "CREATE TABLE keyapi_answers (id INTEGER PRIMARY KEY, entity TEXT NOT NULL, endpoint TEXT NOT NULL,"
    " params TEXT NOT NULL, observed_at INTEGER NOT NULL, absent INTEGER NOT NULL, request INTEGER NOT NULL,"
    " pull INTEGER NOT NULL, page INTEGER NOT NULL, rows INTEGER NOT NULL, fresh INTEGER NOT NULL, more INTEGER,"
    " wanted INTEGER, data TEXT NOT NULL, body TEXT NOT NULL, checksum TEXT NOT NULL)",
    "CREATE INDEX keyapi_entity ON keyapi_answers(entity)",
    "CREATE TABLE keyapi_claims (entity TEXT PRIMARY KEY, request INTEGER NOT NULL, until INTEGER NOT NULL,"
    " done INTEGER NOT NULL) WITHOUT ROWID",
)
# What format 1 had: no checksums, no claims, and of a pull not how many rows were wanted.
_OWN_1: Final = (
    "CREATE TABLE keyapi_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    f"CREATE TABLE keyapi_ledger (id INTEGER PRIMARY KEY, {_columns(LEDGER_COLUMNS)})",
    "CREATE TABLE keyapi_answers (id INTEGER PRIMARY KEY, response TEXT NOT NULL UNIQUE, entity TEXT NOT NULL,"
    " endpoint TEXT NOT NULL, params TEXT NOT NULL, observed_at INTEGER NOT NULL, absent INTEGER NOT NULL,"
    " request INTEGER NOT NULL, walk INTEGER NOT NULL, page INTEGER NOT NULL, rows INTEGER NOT NULL,"
    " fresh INTEGER NOT NULL, more INTEGER)",
    "CREATE INDEX keyapi_entity ON keyapi_answers(entity, observed_at)",
    "CREATE INDEX keyapi_walk ON keyapi_answers(walk)",
)
_SCHEMAS: Final[Mapping[int, tuple[str, ...]]] = MappingProxyType(
    {FORMAT: (*_RESPONSES, *OWN), OLDEST_FORMAT: (*_RESPONSES, *_OWN_1)}
)
# How rows of format 1, whose tables were given other names, read as rows of this one.
_FROM_1: Final[Mapping[str, str]] = MappingProxyType(
    {
        "keyapi_meta": "SELECT name, value FROM old_keyapi_meta",
        "keyapi_ledger": "SELECT *, NULL, 0 FROM old_keyapi_ledger",
        "keyapi_answers": "SELECT a.id, entity, endpoint, params, observed_at, absent, request, walk, page, rows,"
        " fresh, more, CASE WHEN page THEN (SELECT sum(b.rows) FROM old_keyapi_answers b WHERE b.walk = a.walk) END,"
        " CAST(r.value AS BLOB) FROM old_keyapi_answers a LEFT JOIN responses r"
        " ON r.key = entity || '-' || observed_at",
    }
)
_COUNTS: Final = (
    "SELECT (SELECT count(*) FROM keyapi_answers), (SELECT coalesce(sum(absent), 0) FROM keyapi_answers), count(*),"
    " coalesce(sum(credits), 0), count(*) - count(credits) FROM keyapi_ledger"
)


# Writing rows -----------------------------------------------------------------------------------------------------


def put_row(db: Writer, table: str, values: Sequence[Any]) -> None:
    """Write a new row and its checksum."""
    put_rows(db, table, [values])


def put_rows(db: Writer, table: str, rows: Sequence[Sequence[Any]]) -> None:
    """Write new rows, at least one, each with its checksum."""
    places = ", ".join("?" * (len(rows[0]) + 1))
    db.executemany(f"INSERT INTO {table} VALUES ({places})", [(*values, checksum(values)) for values in rows])


def put_fact(db: Writer, name: str, value: str) -> None:
    """Write what the store knows of itself, in the place of what it knew before."""
    db.execute(
        "INSERT INTO keyapi_meta VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value,"
        " checksum = excluded.checksum",
        (name, value, checksum((name, value))),
    )


def put_totals(db: Writer, totals: Totals) -> None:
    """Write how many rows there are."""
    put_fact(db, "totals", compact_json(totals))


@contextlib.contextmanager
def transaction(db: sqlite3.Connection, kind: str) -> Iterator[None]:
    """Do all of it or nothing."""
    with whole(db):
        db.execute(f"BEGIN {kind}")
        yield


@contextlib.contextmanager
def whole(db: sqlite3.Connection) -> Iterator[None]:
    """Commit a transaction that is begun here, or undo all of it."""
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


# Making, checking, converting -------------------------------------------------------------------------------------


def create(db: sqlite3.Connection) -> None:
    """Make the tables of an empty store, unless another program was first."""
    with transaction(db, "IMMEDIATE"):
        if not db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            for statement in _SCHEMAS[FORMAT]:
                db.execute(statement)
            put_fact(db, "id", secrets.token_hex(8))
            put_totals(db, Totals())
            db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {FORMAT}")


def check(db: sqlite3.Connection, path: str, *, read_only: bool) -> int:
    """Refuse a file that this package did not make: it would be trusted with what is paid for.

    Return its format; 0 where there is nothing in it and a store may be made.
    """
    # At one moment: another program may be converting it.
    found = db.execute(
        "SELECT application_id, user_version, type, tbl_name, sql"
        " FROM pragma_application_id, pragma_user_version LEFT JOIN sqlite_master"
    ).fetchall()
    application, version, *_ = found[0]
    made = [(kind, table, _folded(sql)) for _, _, kind, table, sql in found if kind and sql]
    if not made and not read_only:
        return 0
    if application != _APPLICATION_ID:
        raise StoreError(
            f"{path} is an SQLite file from another program, not a store of keyapi_research. Choose another store="
        )
    if version not in _SCHEMAS:
        raise StoreError(
            f"{path} has format {version}, but this version of keyapi_research reads {OLDEST_FORMAT} to {FORMAT}. "
            "Update the package"
        )
    schema = set(map(_folded, _SCHEMAS[version]))
    own = {sql.split()[2] for sql in schema if sql.startswith("CREATE TABLE")}
    have = {
        sql for kind, table, sql in made if table in own or kind in ("trigger", "view")
    }  # other tables may be there
    changed = sorted(sql[:60] for sql in have ^ schema)
    changed += [name for name, usual in _PRAGMAS if str(db.execute(f"PRAGMA {name}").fetchone()[0]) != usual]
    if changed:
        raise StoreError(
            f"{path} was changed by another program ({'; '.join(changed[:3])}), so it is not opened. Use an unchanged "
            "copy"
        )
    counts = "SELECT (SELECT count(*) FROM responses) > (SELECT count(*) FROM keyapi_answers)"
    foreign = "SELECT 1 FROM responses WHERE typeof(value) <> 'text' LIMIT 1"
    if db.execute(counts).fetchone()[0] and db.execute(foreign).fetchone():
        raise StoreError(
            f"{path} has rows from another program that could run code when read (pickle), so it is not opened"
        )
    return int(version)


def _folded(sql: str) -> str:
    return " ".join(sql.split())


def convert(db: sqlite3.Connection) -> None:
    """Make the current format of format 1: all of it or nothing, with checksums of what is there."""
    with transaction(db, "EXCLUSIVE"):
        if db.execute("PRAGMA user_version").fetchone()[0] == FORMAT:  # another program was first
            return
        db.execute("DROP INDEX keyapi_entity")
        for table in _FROM_1:
            _check_kinds(db, table)
            db.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
        for statement in OWN:
            db.execute(statement)
        for table, select in _FROM_1.items():
            for row in db.execute(select):
                put_row(db, table, row if table != "keyapi_answers" else [*row[:-1], *digests_of(row[-1])])
            db.execute(f"DROP TABLE old_{table}")
        put_totals(db, Totals(*db.execute(_COUNTS).fetchone()))
        put_fact(db, "id", secrets.token_hex(8))
        db.execute(f"PRAGMA user_version = {FORMAT}")


def _check_kinds(db: sqlite3.Connection, table: str) -> None:
    """Refuse cells that are not what their columns say; format 1 had no checksums."""
    columns = db.execute('SELECT name, lower(type), "notnull" FROM pragma_table_info(?)', (table,)).fetchall()
    kinds = ((column, kind if needed else f"{kind}', 'null") for column, kind, needed in columns)
    wrong = " OR ".join(f"typeof({column}) NOT IN ('{kind}')" for column, kind in kinds)
    if db.execute(f"SELECT 1 FROM {table} WHERE {wrong} LIMIT 1").fetchone():
        raise StoreError("the store is damaged: a row of its index or ledger was changed. Restore a copy")
