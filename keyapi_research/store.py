"""The store: every paid answer, once, in one SQLite file.

The file is a requests-cache with its JSON serializer (table `responses`), so that plain requests-cache opens and
lists it; beside it stand an index of the answers, the ledger of all requests, claims on what is being asked for just
now, and the store's own facts. requests-cache's own writer swallows errors and overwrites, so rows are written here, an
answer, its index and its ledger row in one transaction, and nothing is ever updated or deleted but a claim, a fact, and
the ledger row that waits for its answer.

Whatever is read carries a checksum, against damage, not against attackers. What a damaged index hides is found too:
answers are counted in two trees of the file, and the store knows how many rows it has. SQLite's rollback journal leaves
one file between two writes, which may be copied or moved.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import secrets
import shutil
import socket
import sqlite3
import stat
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

from .endpoints import Query
from .errors import CLOSED, StoreError
from .settings import MEMORY

FORMAT: Final = 2
_OLDEST_FORMAT: Final = 1
_APPLICATION_ID: Final = 0x4B415249
_WAIT_FOR_LOCK: Final = 20.0
_LEAST_FREE: Final = 256 * 1024
_BATCH: Final = 1000  # answers a reading transaction takes at most: who reads for minutes keeps nobody from storing
_HEADER: Final = b"SQLite format 3\x00"
_MOST_READS: Final = 20  # of a ledger that others write just now, until it adds up
_WAL: Final = 2  # how the header's two version bytes name the write-ahead log
_OUTCOME_KEPT: Final = 600_000_000  # microseconds that others can still learn how a request ended

LEDGER_COLUMNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sent_at": "INTEGER NOT NULL",
        "endpoint": "TEXT NOT NULL",
        "params": "TEXT NOT NULL",
        "n_entities": "INTEGER NOT NULL",
        "attempt": "INTEGER NOT NULL",
        "http_status": "INTEGER",
        "code": "INTEGER",
        "message": "TEXT",
        "request_id": "TEXT",
        "credits": "INTEGER",
        "elapsed_s": "REAL",
    }
)  # columns of the ledger, and what SQLite is told of them
OF_THIS_STORE: Final[Mapping[str, str]] = MappingProxyType(
    {"client": "TEXT", "imported": "INTEGER NOT NULL"}
)  # who sent it, and whether it came with another store: no archive has them

_RESPONSES: Final = (
    "CREATE TABLE responses (key TEXT PRIMARY KEY, value BLOB CHECK (typeof(value) = 'text'), expires INTEGER)",
    "CREATE INDEX expires_idx ON responses(expires)",
    "CREATE TABLE redirects (key TEXT PRIMARY KEY, value BLOB, expires INTEGER)",
)
_LEDGER: Final = ", ".join(map(" ".join, LEDGER_COLUMNS.items()))
_OWN: Final = (
    "CREATE TABLE keyapi_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum TEXT NOT NULL)",
    f"CREATE TABLE keyapi_ledger (id INTEGER PRIMARY KEY, {_LEDGER},"
    f" {', '.join(map(' '.join, OF_THIS_STORE.items()))}, checksum TEXT NOT NULL)",
    "CREATE INDEX keyapi_unanswered ON keyapi_ledger(endpoint) WHERE credits IS NULL",
    "CREATE TABLE keyapi_answers (id INTEGER PRIMARY KEY, entity TEXT NOT NULL, endpoint TEXT NOT NULL,"
    " params TEXT NOT NULL, observed_at INTEGER NOT NULL, absent INTEGER NOT NULL, request INTEGER NOT NULL,"
    " pull INTEGER NOT NULL, page INTEGER NOT NULL, rows INTEGER NOT NULL, fresh INTEGER NOT NULL, more INTEGER,"
    " wanted INTEGER, data TEXT NOT NULL, body TEXT NOT NULL, checksum TEXT NOT NULL)",
    "CREATE INDEX keyapi_entity ON keyapi_answers(entity)",
    "CREATE TABLE keyapi_claims (entity TEXT PRIMARY KEY, request INTEGER NOT NULL, until INTEGER NOT NULL,"
    " done INTEGER NOT NULL) WITHOUT ROWID",
)
_SCHEMA: Final = (*_RESPONSES, *_OWN)
# What format 1 had: no checksums, no claims, and of a pull not what it asked for.
_SCHEMA_1: Final = (
    *_RESPONSES,
    "CREATE TABLE keyapi_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    f"CREATE TABLE keyapi_ledger (id INTEGER PRIMARY KEY, {_LEDGER})",
    "CREATE TABLE keyapi_answers (id INTEGER PRIMARY KEY, response TEXT NOT NULL UNIQUE, entity TEXT NOT NULL,"
    " endpoint TEXT NOT NULL, params TEXT NOT NULL, observed_at INTEGER NOT NULL, absent INTEGER NOT NULL,"
    " request INTEGER NOT NULL, walk INTEGER NOT NULL, page INTEGER NOT NULL, rows INTEGER NOT NULL,"
    " fresh INTEGER NOT NULL, more INTEGER)",
    "CREATE INDEX keyapi_entity ON keyapi_answers(entity, observed_at)",
    "CREATE INDEX keyapi_walk ON keyapi_answers(walk)",
)
# How its rows read as rows of this format; {} stands before the names of its tables.
_FORMAT_1: Final[Mapping[str, str]] = MappingProxyType(
    {
        "keyapi_ledger": "SELECT *, NULL AS client, 0 AS imported, '' AS checksum FROM {0}keyapi_ledger",
        "keyapi_answers": "SELECT id, entity, endpoint, params, observed_at, absent, request, walk AS pull, page, rows,"
        " fresh, more, CASE WHEN page THEN (SELECT sum(b.rows) FROM {0}keyapi_answers b WHERE b.walk = a.walk) END AS"
        " wanted, '' AS data, '' AS body, '' AS checksum FROM {0}keyapi_answers a",
        "keyapi_meta": "SELECT name, value, '' AS checksum FROM {0}keyapi_meta UNION ALL SELECT 'totals', json_array("
        "(SELECT count(*) FROM {0}keyapi_answers), (SELECT coalesce(sum(absent), 0) FROM {0}keyapi_answers),"
        " (SELECT count(*) FROM {0}keyapi_ledger), (SELECT coalesce(sum(credits), 0) FROM {0}keyapi_ledger),"
        " (SELECT count(*) - count(credits) FROM {0}keyapi_ledger)), ''",
    }
)

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Observation:
    """One stored answer about one entity, without its body; times in microseconds since 1970, UTC.

    Of a ranking each page is one; `pull` (the ledger id of its first page) says which pages belong together, `wanted`
    how many rows the call asked for that brought the page (None: all). `data` and `body` are checksums of what was
    answered and of what is kept of it. A day of a series is an answer of its own, whose params name the day; where
    `absent`, KeyAPI did not tell it.
    """

    id: int
    entity: str
    endpoint: str
    params: str
    observed_at: int
    absent: bool
    request: int
    pull: int
    page: int
    rows: int
    fresh: int
    more: bool | None
    wanted: int | None = None
    data: str = ""
    body: str = ""

    @property
    def response(self) -> str:
        """Key of its body."""
        return f"{self.entity}-{self.observed_at}"


@dataclass(frozen=True, slots=True)
class Arrival:
    """An answer about one entity, about to be stored."""

    entity: str
    params: Mapping[str, str]
    envelope: Mapping[str, Any]
    absent: bool = False
    pull: int | None = None
    page: int = 0
    rows: int = 0
    fresh: int = 0
    more: bool | None = None
    wanted: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored answer to a query; `envelope` where it arrived in this very call, else the store has it."""

    query: Query
    observation: Observation
    envelope: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended, for the ledger; None where no answer came."""

    http_status: int | None = None
    code: int | None = None
    message: str | None = None
    request_id: str | None = None
    credits: int | None = None
    elapsed_s: float | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """What is being asked for just now, or was a moment ago: by which request, until when it holds."""

    request: int
    until: int
    done: bool

    @property
    def holds(self) -> bool:
        """Whether its request is still under way."""
        return not self.done and self.until > now_us()


@dataclass(frozen=True, slots=True)
class Totals:
    """How many rows the store has: what no reading of a damaged file can make less."""

    answers: int = 0
    absences: int = 0
    requests: int = 0
    credits: int = 0
    unanswered: int = 0

    def plus(self, **more: int) -> Totals:
        """Count more."""
        return Totals(*(getattr(self, one.name) + more.get(one.name, 0) for one in fields(self)))


def _listed(names: Iterable[str], of: str = "") -> str:
    return ", ".join(f"{of}{name}" for name in names)


def _identifying(number: int) -> str:
    return ", ".join("?" * number)


_OF_REQUEST: Final = ("id", *LEDGER_COLUMNS, *OF_THIS_STORE)
_OF_ANSWER: Final = tuple(one.name for one in fields(Observation))
_OF_OUTCOME: Final = tuple(one.name for one in fields(Outcome))
_ANSWERS: Final = _listed((*_OF_ANSWER, "checksum"), "a.")
_KINDS: Final = (int, str, str, str, int, int, int, int, int, int, int, int | None, int | None, str, str)
_KINDS_OF_REQUEST: Final = tuple(
    {"INTEGER": int, "TEXT": str, "REAL": float}[kind.split()[0]]
    if "NOT NULL" in kind
    else {"INTEGER": int, "TEXT": str, "REAL": float}[kind.split()[0]] | None
    for kind in ("INTEGER NOT NULL", *LEDGER_COLUMNS.values(), *OF_THIS_STORE.values())
)


def in_this_process(close: Callable[[], None]) -> Callable[[], None]:
    """Let something be closed by the process that opened it only: a fork would close it for both."""
    process = os.getpid()
    return lambda: close() if os.getpid() == process else None


def now_us() -> int:
    """Microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def when(microseconds: int) -> datetime:
    """Turn microseconds since 1970 into a time."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def microseconds_of(moment: datetime) -> int:
    """Turn a time into microseconds since 1970."""
    return (moment - when(0)) // timedelta(microseconds=1)


def compact_json(value: object) -> str:
    """Write JSON the one way it is kept: parameters of a store and of an archive are equal to the letter."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)


def this_process() -> str:
    """Name who sends, for the ledger: machine and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _checksum(values: Sequence[Any]) -> str:
    return _digest(json.dumps(values))  # as it stands: other separators would make an encoder for each row


def _digest_of_data(envelope: Mapping[str, Any]) -> str:
    return _digest(json.dumps(envelope.get("data"), separators=(",", ":"), sort_keys=True))


def _advice(error: sqlite3.Error, path: str) -> str:  # noqa: PLR0911 - one sentence for each
    whole_code = getattr(error, "sqlite_errorcode", 0) or 0
    code = whole_code & 0xFF  # the rest of it says where in SQLite
    journal = path != MEMORY and _beside(Path(path), "journal")
    if whole_code == sqlite3.SQLITE_READONLY_ROLLBACK or (code == sqlite3.SQLITE_CANTOPEN and journal):
        return (
            f"a write into {path} was broken off, or it was copied in the middle of one. That is undone where the file "
            "and its folder may be written: open it there once, or take another copy together with its -journal"
        )
    if whole_code == sqlite3.SQLITE_READONLY_DBMOVED:
        return _moved(path)
    if code == sqlite3.SQLITE_FULL:
        return f"the disk that holds {path} is full; make room and run the call again"
    if code == sqlite3.SQLITE_READONLY:
        return f"{path} cannot be written; make it writable, or read it with connect(offline=True)"
    if code == sqlite3.SQLITE_IOERR and path != MEMORY and shutil.disk_usage(Path(path).parent).free < _LEAST_FREE:
        return f"the disk that holds {path} is full; make room and run the call again"
    if _is_locked(error):
        return f"another program keeps {path} locked (waited {_WAIT_FOR_LOCK:.0f} s); close it and run the call again"
    if isinstance(error, sqlite3.ProgrammingError):
        return CLOSED
    return f"{path}: {error}; if the file is damaged, restore a copy of it"


def _moved(path: str) -> str:
    return (
        f"{path} was moved, replaced or deleted while it was open, and nothing more is sent. What was stored before is "
        "in the moved file: put it back, then connect again"
    )


class Store:
    """An open store.

    Parameters
    ----------
    path : str
        Path of the file, links resolved, or ":memory:".
    source : str or None
        Whom its answers come from; None = the first answer tells.
    read_only : bool
        Whether it is only read; then the file must exist.
    """

    def __init__(self, path: str, *, source: str | None, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._gave_up = 0.0  # when a lock was waited for in vain
        self._format = FORMAT
        self._opened = contextlib.ExitStack()
        self._closing = weakref.finalize(self, in_this_process(self._opened.close))
        try:
            self._db = self._open()
            if not self.read_only:
                _check_requests_cache()
            self._file = None if path == MEMORY else _file_of(path)
            self._check_whole()
            self._source: str | None = None
            known = self._meta("id")
            # A copy of a file has the same id, another process counts for itself.
            self.identity = (self._process, known, self._file) if known and self._file else None
            if source is not None:
                self.claim(source)
        except sqlite3.Error as error:
            self._closing()
            raise StoreError(f"the store cannot be opened: {_advice(error, path)}") from error
        except OSError as error:
            self._closing()
            raise StoreError(
                f"the store cannot be opened: {error.strerror or error}: {path}; choose another path with store="
            ) from error
        except BaseException:
            self._closing()
            raise

    # Opening ------------------------------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        if self.path == MEMORY:
            return self._prepare(self._connect(MEMORY, uri=False), new=True)
        file = Path(self.path)
        if self._is_new(file):
            return self._make(file)
        with file.open("rb") as opened:
            head = opened.read(len(_HEADER) + 4)
        if not head.startswith(_HEADER):
            raise StoreError(f"{file} is not a store: it is not an SQLite file. Choose another store=")
        writable = _may_write(file) and _may_write(file.parent, folder=True)  # a journal stands beside the file
        self.read_only = self.read_only or not writable
        logged = head[18] == _WAL
        if self.read_only:
            db = self._connect_read_only(file, writable=writable, logged=logged)
            self._verify(db)
            self._read_as_it_is(db)
            return db
        db = self._connect(str(file), uri=False)
        empty = not self._verify(db)
        if logged:
            db.close()
            _leave_write_ahead_log(file)
            db = self._connect(str(file), uri=False)
            self._verify(db)
        if self._format == _OLDEST_FORMAT:
            self._convert(db)
        return self._prepare(db, new=empty)

    def _is_new(self, file: Path) -> bool:
        """Whether a store is to be made there; refuse what can be none."""
        if file.is_dir():
            raise StoreError(f"{file} is a folder; a store is a file, as {file / 'study.sqlite'}")
        if file.exists() and not file.is_file():
            raise StoreError(f"{file} is no file but a device or the like; choose another store=")
        if not file.exists() and self.read_only:
            raise StoreError(
                f"there is no store at {file}: offline=True reads one that exists. Check the path, or fetch first "
                "without offline"
            )
        if not file.parent.is_dir():
            raise StoreError(f"the folder {file.parent} does not exist; create it or choose another store=")
        new = not file.exists() or file.stat().st_size == 0
        if new:
            _refuse_to_orphan(file)
        return new and not self.read_only

    def _make(self, file: Path) -> sqlite3.Connection:
        there = file.exists()
        try:
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
            file.chmod(0o600)  # also of an empty file that was there
            return self._prepare(self._connect(str(file), uri=False), new=True)
        except sqlite3.Error:
            self._closing()
            if not there and file.stat().st_size == 0:
                file.unlink()
            raise

    def _connect(self, where: str, *, uri: bool) -> sqlite3.Connection:
        db = sqlite3.connect(where, timeout=_WAIT_FOR_LOCK, isolation_level=None, check_same_thread=False, uri=uri)
        self._opened.callback(db.close)
        db.execute("PRAGMA trusted_schema = OFF")
        return db

    def _connect_read_only(self, file: Path, *, writable: bool, logged: bool) -> sqlite3.Connection:
        """Open without writing; but where one may write, what a killed program began is undone before it is read."""
        if writable:
            return self._connect(f"{file.absolute().as_uri()}?mode=rw", uri=True)
        # A log of format 1 can be read only where its helper file may be written: without one there is nothing to miss.
        still = logged and not _beside(file, "wal")
        return self._connect(f"{file.absolute().as_uri()}?mode=ro{'&immutable=1' if still else ''}", uri=True)

    def _prepare(self, db: sqlite3.Connection, *, new: bool) -> sqlite3.Connection:
        # An answer that was paid for survives a power cut, too; EXTRA also writes down that the journal is gone.
        db.execute("PRAGMA synchronous = EXTRA")
        if new:
            with _exclusively(db, "IMMEDIATE"):
                if not db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():  # another may have been first
                    for statement in _SCHEMA:
                        db.execute(statement)
                    _put_meta(db, "id", secrets.token_hex(8))
                    _put_totals(db, Totals())
                    db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                    db.execute(f"PRAGMA user_version = {FORMAT}")
        return db

    def _verify(self, db: sqlite3.Connection) -> bool:
        """Refuse a file that this package did not make: it would be trusted with what is paid for.

        Returns
        -------
        bool
            Whether there is anything in it.
        """
        # At one moment: another program may be converting it.
        found = db.execute(
            "SELECT application_id, user_version, type, tbl_name, sql"
            " FROM pragma_application_id, pragma_user_version LEFT JOIN sqlite_master"
        ).fetchall()
        application, self._format, *_ = found[0]
        made = [rest for _, _, *rest in found if rest[0]]
        if not made and not self.read_only:
            self._format = FORMAT
            return False
        if application != _APPLICATION_ID:
            raise StoreError(
                f"{self.path} is an SQLite file of another program, not a store of keyapi_research; "
                "choose another store="
            )
        schema = {FORMAT: _SCHEMA, _OLDEST_FORMAT: _SCHEMA_1}.get(self._format)
        if schema is None:
            raise StoreError(
                f"{self.path} has format {self._format}, this version of keyapi_research reads {_OLDEST_FORMAT} to "
                f"{FORMAT}: update the package"
            )
        own = {sql.split()[2] for sql in schema if sql.startswith("CREATE TABLE")}
        have = {_folded(sql) for kind, table, sql in made if sql and (table in own or kind in ("trigger", "view"))}
        odd = sorted(sql[:60] for sql in have ^ {_folded(sql) for sql in schema})
        strange = [name for name, usual in _PRAGMAS if str(db.execute(f"PRAGMA {name}").fetchone()[0]) != usual]
        if odd or strange:
            raise StoreError(
                f"{self.path} was changed by another program and is not opened ({'; '.join([*odd, *strange][:3])}); "
                "use an untouched copy"
            )
        counts = "SELECT (SELECT count(*) FROM responses) > (SELECT count(*) FROM keyapi_answers)"
        foreign = "SELECT 1 FROM responses WHERE typeof(value) <> 'text' LIMIT 1"
        if db.execute(counts).fetchone()[0] and db.execute(foreign).fetchone():
            raise StoreError(
                f"{self.path} holds rows of another program that may run code when they are read (pickle); "
                "it is not opened"
            )
        return True

    def _read_as_it_is(self, db: sqlite3.Connection) -> None:
        """Read, whatever the format; write nothing."""
        if self._format == _OLDEST_FORMAT:
            for table, select in _FORMAT_1.items():
                db.execute(f"CREATE TEMP VIEW {table} AS {select.format('main.')}")
        db.execute("PRAGMA query_only = ON")

    def _convert(self, db: sqlite3.Connection) -> None:
        """Make format 2 of format 1: all of it or nothing, with checksums of what is there."""
        self._format = FORMAT
        with _exclusively(db, "EXCLUSIVE"):
            if db.execute("PRAGMA user_version").fetchone()[0] == FORMAT:  # another program was first
                return
            db.execute("DROP INDEX keyapi_entity")
            db.execute("DROP INDEX keyapi_walk")
            for table in _FORMAT_1:
                db.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
            for statement in _OWN:
                db.execute(statement)
            old = {table: db.execute(select.format("old_")) for table, select in _FORMAT_1.items()}
            for name, value, _ in old["keyapi_meta"].fetchall():
                _put_meta(db, name, value)
            _put_meta(db, "id", secrets.token_hex(8))
            for *row, _ in old["keyapi_ledger"]:
                _put_row(db, "keyapi_ledger", row)
            for *row, _, _, _ in old["keyapi_answers"]:
                entity, observed_at = row[1], row[4]
                found = db.execute("SELECT value FROM responses WHERE key = ?", (f"{entity}-{observed_at}",)).fetchone()
                _put_row(db, "keyapi_answers", [*row, *_digests_of(found[0] if found else None)])
            for table in _FORMAT_1:
                db.execute(f"DROP TABLE old_{table}")
            db.execute(f"PRAGMA user_version = {FORMAT}")

    def _check_whole(self) -> None:
        """Refuse a file of which a part is missing, as where it was copied in the middle of a write."""
        counted = ("keyapi_answers", "keyapi_ledger", "keyapi_ledger WHERE credits IS NULL")
        counts = ", ".join(f"(SELECT count(*) FROM {what})" for what in counted)
        last = ", ".join(f"(SELECT coalesce(max(id), 0) FROM {what})" for what in counted[:2])
        found = self._rows(f"SELECT value, checksum, {counts}, {last} FROM keyapi_meta WHERE name = 'totals'")
        if not found:
            raise self._damaged("its totals are gone")
        value, checksum, answers, requests, unanswered, *ids = found[0]
        totals = self._read_totals(value, checksum)
        there = Totals(answers, totals.absences, requests, totals.credits, unanswered)
        if there != totals or ids != [answers, requests]:
            raise self._damaged("it has other rows than it counts; was it copied in the middle of a write?")
        if totals.answers and self._meta("source") is None:
            raise self._damaged("whom its answers come from is gone")

    def _damaged(self, what: str) -> StoreError:
        return StoreError(f"{self.path} is damaged: {what}. Restore a copy; nothing was asked again")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._closing()

    @property
    def of_this_process(self) -> bool:
        """Whether it was opened here, not in a process that this one was forked from."""
        return os.getpid() == self._process

    def check_process(self) -> None:
        """Refuse to be used by a fork: two processes on one connection mix up answers and damage the file."""
        if not self.of_this_process:
            raise StoreError(
                "this client was opened in another process, which this one was forked from: connect in the worker, "
                "with kr.connect(...) or kr.Client(...); budgets and stores are told anew"
            )

    # Its own facts ------------------------------------------------------------------------------------------

    def _meta(self, name: str) -> str | None:
        rows = self._rows("SELECT value, checksum FROM keyapi_meta WHERE name = ?", (name,))
        return self._read_meta(name, *rows[0]) if rows else None

    def _read_meta(self, name: str, value: Any, checksum: Any) -> str:
        if type(value) is not str or (self._format == FORMAT and checksum != _checksum((name, value))):
            raise self._damaged(f"what it says of its {name} was changed")
        return value

    def _read_totals(self, value: Any, checksum: Any) -> Totals:
        return Totals(*json.loads(self._read_meta("totals", value, checksum)))

    def totals(self) -> Totals:
        """Count answers, absences, requests and credits, as they were written down one by one."""
        return self._read_totals(*self._rows("SELECT value, checksum FROM keyapi_meta WHERE name = 'totals'")[0])

    @property
    def source(self) -> str | None:
        """Whom its answers come from; None: nobody knows yet."""
        if self._source is None and self._closing.alive:  # another process may have learned it
            self._source = self._meta("source")
        return self._source

    def claim(self, source: str) -> None:
        """Say whom the answers come from: written when first known, held against ever after."""
        if self.source is None and not self.read_only:
            with self._transaction() as db:
                self._claim(db, source)
        if self.source is not None and self.source != source:
            raise self.foreign(source)

    def _claim(self, db: sqlite3.Connection, source: str) -> None:
        known = self._meta("source")
        if known is None:
            _put_meta(db, "source", source)
        elif known != source:
            raise self.foreign(source)

    def foreign(self, source: str) -> StoreError:
        """Make the error of answers that come from elsewhere."""
        return StoreError(
            f"the store {self.path} belongs to {self.source!r} and these answers come from {source!r}: "
            "they are never mixed. Give each source a store of its own with store="
        )

    # Reading ------------------------------------------------------------------------------------------------

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        self.check_process()
        try:
            # On one line: an interrupt between two lines cannot leave the lock taken.
            with self._lock: return self._db.execute(sql, values).fetchall()  # noqa: E701
        except sqlite3.Error as error:
            raise StoreError(f"the store cannot be read: {_advice(error, self.path)}") from error

    def _in_batches(self, sql: str, keys: Iterable[Any]) -> Iterator[Row]:
        """Read what a list of keys leads to (`json_each(?)`), in transactions of a batch each."""
        left = iter(keys)
        while batch := list(islice(left, _BATCH)):
            yield from self._rows(sql, (compact_json(batch),))

    def _intact(self, row: Sequence[Any], kinds: Sequence[Any]) -> Row:
        """Hold a row against its checksum, which is last; format 1 had none, there the kinds of its cells must do."""
        *values, checksum = row
        if self._format == FORMAT:
            try:
                sound = checksum == _checksum(values)
            except TypeError:
                sound = False
        else:
            sound = all(isinstance(value, kind) for value, kind in zip(values, kinds, strict=True))
        if not sound:
            raise self._damaged("a row of its index or ledger was changed")
        return tuple(values)

    def _observation(self, row: Sequence[Any]) -> Observation:
        one, entity, endpoint, params, at, absent, request, pull, page, rows, fresh, more, *rest = self._intact(
            row, _KINDS
        )
        told = None if more is None else bool(more)
        return Observation(
            one, entity, endpoint, params, at, bool(absent), request, pull, page, rows, fresh, told, *rest
        )

    def latest(self, entities: Iterable[str], *, until: int | None = None) -> dict[str, Observation]:
        """Find the newest observation of each entity, not later than a moment: what came last, whatever the clock said.

        The answers' own keys are in another tree of the file: where the two disagree, the index is damaged, and nothing
        is taken for missing and paid again.
        """
        if until is not None:
            histories = self.histories(entities)
            known = {entity: [one for one in found if one.observed_at <= until] for entity, found in histories.items()}
            return {entity: max(found, key=lambda one: one.id) for entity, found in known.items() if found}
        newest: dict[str, Observation] = {}
        for entity, indexed, kept, *row in self._in_batches(
            "SELECT j.value, (SELECT count(DISTINCT id) FROM keyapi_answers WHERE entity = j.value),"
            f" {_KEPT}, {_ANSWERS} FROM json_each(?) j LEFT JOIN keyapi_answers a ON a.id ="
            " (SELECT max(id) FROM keyapi_answers WHERE entity = j.value)",
            entities,
        ):
            if indexed != kept or (kept and row[1] != entity):
                raise self._damaged("its index does not have the answers that are there")
            if kept:
                newest[entity] = self._observation(row)
        return newest

    def histories(self, entities: Iterable[str]) -> dict[str, list[Observation]]:
        """Find all observations of some entities, each entity's oldest first."""
        found: dict[str, dict[int, Observation]] = {}
        expected: dict[str, int] = {}
        for entity, kept, *row in self._in_batches(
            f"SELECT j.value, {_KEPT}, {_ANSWERS} FROM json_each(?) j LEFT JOIN keyapi_answers a ON a.entity = j.value",
            dict.fromkeys(entities),
        ):
            expected[entity] = kept
            if row[0] is not None:
                one = self._observation(row)
                found.setdefault(one.entity, {})[one.id] = one
        if any(len(found.get(entity, ())) != kept for entity, kept in expected.items()):
            raise self._damaged("its index does not have the answers that are there")
        return {
            entity: sorted(found[entity].values(), key=lambda one: (one.observed_at, one.id))
            for entity in expected
            if entity in found
        }

    def exactly(self, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Observation]:
        """Find the observations of some entities at exact moments."""
        moments = set(wanted)
        histories = self.histories(sorted({entity for entity, _ in moments}))
        found = {(one.entity, one.observed_at): one for history in histories.values() for one in history}
        return {key: one for key, one in found.items() if key in moments}

    def pulls(self, entity: str, *, until: int | None = None) -> list[list[Observation]]:
        """Find the pulls of a ranking, newest first, each the pages in order."""
        pages: dict[int, list[Observation]] = {}
        history = self.histories([entity]).get(entity, [])
        for one in sorted(history, key=lambda one: (-one.pull, one.page, one.id)):
            if until is None or one.observed_at <= until:
                pull = pages.setdefault(one.pull, [])
                if one.page == len(pull) + 1:  # two processes may both have paid for a page: the first counts
                    pull.append(one)
        return [pull for pull in pages.values() if pull]

    def last_ids(self) -> tuple[int, int]:
        """Return the ids of the last answer and request; later ones have higher ids, whatever the clock says."""
        totals = self.totals()
        return totals.answers, totals.requests

    def observations(self, ids: Iterable[int]) -> list[Observation]:
        """Find observations by their ids, in the order of these."""
        wanted = sorted(set(ids))
        rows = self._in_batches(
            f"SELECT {_ANSWERS} FROM json_each(?) j CROSS JOIN keyapi_answers a ON a.id = j.value ORDER BY a.id", wanted
        )
        found = [self._observation(row) for row in rows]
        if [one.id for one in found] != wanted:
            raise self._damaged("an answer is gone from its index")
        return found

    def check_readable(self, ids: Sequence[int]) -> None:
        """Read stored answers for nothing but to know that they can be read, before others are paid for."""
        deque(self.envelopes(ids), maxlen=0)

    def envelopes(self, ids: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Read stored answers, in the order of their ids, without holding them all."""
        for start in range(0, len(ids), _BATCH):
            chunk = ids[start : start + _BATCH]
            rows = self._rows(
                "SELECT a.id, a.body, a.params, r.value FROM json_each(?) j CROSS JOIN keyapi_answers a ON a.id=j.value"
                " LEFT JOIN responses r ON r.key = a.entity || '-' || a.observed_at",
                (compact_json(list(chunk)),),
            )
            there = {one: rest for one, *rest in rows}
            for one in chunk:
                if one not in there:
                    raise self._damaged("an answer is gone from its index")
                yield self._envelope(*there[one])

    def _envelope(self, body: Any, params: Any, value: Any) -> dict[str, Any]:
        try:
            sound = self._format != FORMAT or _digest(value) == body
            envelope = _read_response(value) if sound else None
        except (AttributeError, TypeError, ValueError, KeyError, RecursionError):
            envelope = None
        if not isinstance(envelope, dict):
            raise self._damaged(f"a stored answer cannot be read ({params!r:.200})")
        return envelope

    def ledger(self, ids: Iterable[int] | None = None) -> list[Row]:
        """Read ledger rows in the order of sending: id, sent_at, endpoint, params and so on, client, imported."""
        if ids is not None:
            return self._requests(sorted(set(ids)))
        for _ in range(_MOST_READS):
            totals = self.totals()
            rows = self._requests(range(1, totals.requests + 1))
            prices = [row[_CREDITS] for row in rows]
            if (totals.credits, totals.unanswered) == (sum(filter(None, prices)), prices.count(None)):
                return rows
            if totals == self.totals():  # nobody wrote meanwhile
                raise self._damaged("its ledger does not add up")
        return rows

    def _requests(self, ids: Sequence[int]) -> list[Row]:
        rows = self._in_batches(
            f"SELECT {_REQUESTS} FROM json_each(?) j CROSS JOIN keyapi_ledger l ON l.id = j.value ORDER BY l.id", ids
        )
        found = [self._intact(row, _KINDS_OF_REQUEST) for row in rows]
        if [row[0] for row in found] != list(ids):
            raise self._damaged("a row is gone from its ledger")
        return found

    def unanswered(self, endpoint: str) -> list[Row]:
        """Read the ledger rows of an endpoint's requests of which nobody knows what they cost."""
        where = "FROM keyapi_ledger l WHERE l.endpoint = ? AND l.credits IS NULL ORDER BY l.id"
        return [self._intact(row, _KINDS_OF_REQUEST) for row in self._rows(f"SELECT {_REQUESTS} {where}", (endpoint,))]

    def claims(self, entities: Iterable[str]) -> dict[str, Claim]:
        """Find what is being asked for just now, or was a moment ago."""
        if self.read_only:
            return {}
        rows = self._in_batches(
            "SELECT entity, request, until, done FROM json_each(?) j JOIN keyapi_claims ON entity = j.value", entities
        )
        return {entity: Claim(request, until, bool(done)) for entity, request, until, done in rows}

    def counts(self) -> dict[str, int]:
        """Count answers, absences, requests, credits and bytes."""
        totals = self.totals()
        pages, size = self._rows("SELECT page_count, page_size FROM pragma_page_count, pragma_page_size")[0]
        return {
            "answers": totals.answers - totals.absences,
            "absences": totals.absences,
            "requests": totals.requests,
            "credits": totals.credits,
            "requests_without_answer": totals.unanswered,
            "bytes": pages * size,
        }

    # Writing ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self.check_process()
        began = time.monotonic()
        with self._lock:
            # Who stood in line here has waited, too; and what was just waited for in vain is not waited for again.
            now = time.monotonic()
            self._be_patient(0.1 if now - self._gave_up < 1 else _WAIT_FOR_LOCK - (now - began))
            try:
                with _exclusively(self._db, "IMMEDIATE"):
                    yield self._db
            except sqlite3.Error as error:
                if _is_locked(error):
                    self._gave_up = time.monotonic()
                raise StoreError(f"the store cannot be written: {_advice(error, self.path)}") from error
            finally:
                self._be_patient(_WAIT_FOR_LOCK)

    def _be_patient(self, seconds: float) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # closed: what is done next says so
            self._db.execute(f"PRAGMA busy_timeout = {int(max(seconds, 0.0) * 1000)}")

    def check_writable(self) -> None:
        """Refuse to start spending where an answer could not be kept."""
        if self.read_only:
            raise StoreError(
                f"{self.path} or its folder is read-only, an answer could not be kept; nothing was sent. Make both "
                "writable, copy the file, or read what it has with connect(offline=True)"
            )
        if self.path == MEMORY:
            return
        self._check_there()
        if not (_may_write(Path(self.path)) and _may_write(Path(self.path).parent, folder=True)):
            raise StoreError(f"{self.path} has become read-only; nothing more is sent. Make it writable first")
        if shutil.disk_usage(Path(self.path).parent).free < _LEAST_FREE:
            raise StoreError(f"the disk that holds {self.path} is full; nothing more is sent. Make room first")

    def _check_there(self) -> None:
        """Refuse to go on where the file is no longer at its path."""
        try:
            there = self._file is None or _file_of(self.path) == self._file
        except OSError:
            there = False
        if not there:
            raise StoreError(_moved(self.path))

    def begin(
        self,
        offered: Iterator[str],
        *,
        most: int,
        page: int,
        since: tuple[int, int],
        mine: int,
        lasts: float,
        describe: Callable[[list[str]], Mapping[str, str]],
        sent_at: int,
        endpoint: str,
        attempt: int,
    ) -> Begun:
        """Claim what is about to be asked for, and write the ledger row of its request; in one transaction.

        Parameters
        ----------
        offered : iterator of str
            Entities; as many are taken as are free, up to `most`.
        most : int
            Entities of a request.
        page : int
            Of a ranking, which page.
        since : tuple of int
            The last answer and the last request when the call looked: what came after them is not asked for again.
        mine : int
            The attempt before this one, whose claims go on; 0 = none.
        lasts : float
            Seconds the claim holds if it is not renewed.
        describe : callable
            Gives the parameters of a request for these entities.
        sent_at, endpoint, attempt
            For the ledger.
        """
        self.check_writable()
        now = now_us()
        taken: list[str] = []
        elsewhere: list[str] = []
        with self._transaction() as db:
            for entity in offered:
                free = self._is_free(db, entity, page, since, mine)
                (taken if free else elsewhere).append(entity)
                if len(taken) == most:
                    break
            if not taken:
                return Begun(0, tuple(elsewhere))
            totals = self.totals()
            request = totals.requests + 1
            told = (sent_at, endpoint, compact_json(dict(describe(taken))), len(taken), attempt)
            _put_row(db, "keyapi_ledger", [request, *told, *([None] * len(_OF_OUTCOME)), this_process(), 0])
            _put_totals(db, totals.plus(requests=1, unanswered=1))
            db.execute("DELETE FROM keyapi_claims WHERE until < ?", (now,))
            until = now + int(lasts * 1e6)
            db.executemany(
                "INSERT OR REPLACE INTO keyapi_claims VALUES (?, ?, ?, 0)",
                [(claim_of(entity, page), request, until) for entity in taken],
            )
        return Begun(request, tuple(elsewhere))

    @staticmethod
    def _is_free(db: sqlite3.Connection, entity: str, page: int, since: tuple[int, int], mine: int) -> bool:
        """Whether nobody asks for an entity just now, or did while the caller was about to."""
        answer, request = since
        stored = "SELECT 1 FROM keyapi_answers WHERE entity = ? AND page = ? AND id > ? LIMIT 1"
        if db.execute(stored, (entity, page, answer)).fetchone():
            return False
        found = db.execute(
            "SELECT request, until, done FROM keyapi_claims WHERE entity = ?", (claim_of(entity, page),)
        ).fetchone()
        if found is None or found[0] == mine:
            return True
        one = Claim(found[0], found[1], bool(found[2]))
        return not (one.holds or (one.done and one.request > request))

    def renew(self, requests: Iterable[int], lasts: float) -> None:
        """Let the claims of requests under way hold on."""
        with self._transaction() as db:
            db.execute(
                "UPDATE keyapi_claims SET until = ? WHERE done = 0 AND request IN (SELECT value FROM json_each(?))",
                (now_us() + int(lasts * 1e6), compact_json(list(requests))),
            )

    def release(self, request: int) -> None:
        """Say that a request is over, however it ended: who waits for it reads that in the ledger."""
        with self._transaction() as db:
            db.execute(
                "UPDATE keyapi_claims SET done = 1, until = ? WHERE request = ?", (now_us() + _OUTCOME_KEPT, request)
            )

    def keep(
        self,
        request: int,
        outcome: Outcome,
        arrivals: Sequence[Arrival],
        *,
        url: str,
        endpoint: str,
        observed_at: int,
        source: str | None,
    ) -> list[Observation]:
        """Store the answers of one request, complete its ledger row and end its claims, all or nothing.

        `source` is whom they come from; None where nothing came.
        """
        with self._transaction() as db:
            if source is not None:
                self._claim(db, source)
            row = db.execute(f"SELECT {_REQUESTS} FROM keyapi_ledger l WHERE l.id = ?", (request,)).fetchone()
            if row is None:
                raise self._damaged("the row of a request under way is gone")
            before = self._intact(row, _KINDS_OF_REQUEST)
            start = _OF_REQUEST.index(_OF_OUTCOME[0])
            if any(cell is not None for cell in before[start : start + len(_OF_OUTCOME)]):
                return []  # it was kept already, and only then something failed
            after = [*before[:start], *astuple(outcome), *before[start + len(_OF_OUTCOME) :]]
            changes = ", ".join(f"{name} = ?" for name in (*_OF_OUTCOME, "checksum"))
            db.execute(
                f"UPDATE keyapi_ledger SET {changes} WHERE id = ?", (*astuple(outcome), _checksum(after), request)
            )
            totals = self.totals()
            kept = [
                self._insert(db, totals.answers + number, request, one, url=url, endpoint=endpoint, at=observed_at)
                for number, one in enumerate(arrivals, start=1)
            ]
            known = outcome.credits is not None
            _put_totals(
                db,
                totals.plus(
                    answers=len(kept),
                    absences=sum(one.absent for one in kept),
                    credits=outcome.credits or 0,
                    unanswered=-known,
                ),
            )
            db.executemany(
                "DELETE FROM keyapi_claims WHERE entity = ?", [(claim_of(one.entity, one.page),) for one in kept]
            )
        self._check_there()
        return kept

    @staticmethod
    def _insert(
        db: sqlite3.Connection, number: int, request: int, one: Arrival, *, url: str, endpoint: str, at: int
    ) -> Observation:
        moment = at
        there = "SELECT 1 FROM responses WHERE key = ?"
        while db.execute(there, (f"{one.entity}-{moment}",)).fetchone():  # a clock that was set back: each has a moment
            moment += 1
        params = dict(one.params)
        kept = Observation(
            id=number,
            entity=one.entity,
            endpoint=endpoint,
            params=compact_json(params),
            observed_at=moment,
            absent=one.absent,
            request=request,
            pull=0 if not one.page else request if one.pull is None else one.pull,
            page=one.page,
            rows=one.rows,
            fresh=one.fresh,
            more=one.more,
            wanted=one.wanted,
        )
        return _write(db, kept, f"{url}?{urlencode(params)}", one.envelope)

    def restore(
        self, ledger: Iterable[Row], answers: Iterable[tuple[Observation, Mapping[str, Any]]], *, url: str
    ) -> None:
        """Write rows of an archive into this (empty) store."""
        totals = Totals()
        with self._transaction() as db:
            for row in ledger:
                price = row[_CREDITS]
                totals = totals.plus(requests=1, credits=price or 0, unanswered=price is None)
                _put_row(db, "keyapi_ledger", [*row[: len(LEDGER_COLUMNS) + 1], None, 0])
            for one, envelope in answers:
                _write(db, one, f"{url}{one.endpoint}?{urlencode(json.loads(one.params))}", envelope)
                totals = totals.plus(answers=1, absences=one.absent)
            _put_totals(db, totals)


@dataclass(frozen=True, slots=True)
class Begun:
    """A request that may be sent now: its row of the ledger (0: none), and what of the offered others ask for."""

    request: int
    elsewhere: tuple[str, ...]


def claim_of(entity: str, page: int) -> str:
    """Name what a request claims: an entity, or a page of a ranking."""
    return f"{entity}/{page}" if page else entity


@contextlib.contextmanager
def _exclusively(db: sqlite3.Connection, kind: str) -> Iterator[None]:
    db.execute(f"BEGIN {kind}")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _put_row(db: sqlite3.Connection, table: str, values: Sequence[Any]) -> None:
    db.execute(f"INSERT INTO {table} VALUES ({_identifying(len(values) + 1)})", (*values, _checksum(values)))


def _put_meta(db: sqlite3.Connection, name: str, value: str) -> None:
    db.execute("INSERT OR REPLACE INTO keyapi_meta VALUES (?, ?, ?)", (name, value, _checksum((name, value))))


def _put_totals(db: sqlite3.Connection, totals: Totals) -> None:
    _put_meta(db, "totals", compact_json(list(astuple(totals))))


def _write(db: sqlite3.Connection, one: Observation, url: str, envelope: Mapping[str, Any]) -> Observation:
    """Write an answer and its index."""
    value = _response(url, envelope, one.observed_at)
    kept = replace(one, data=_digest_of_data(envelope), body=_digest(value))
    db.execute("INSERT INTO responses (key, value) VALUES (?, ?)", (kept.response, value))
    _put_row(db, "keyapi_answers", [int(cell) if isinstance(cell, bool) else cell for cell in astuple(kept)])
    return kept


def _digests_of(value: Any) -> tuple[str, str]:
    """Make the checksums of a body of format 1; of one that cannot be read, none that fits."""
    try:
        return _digest_of_data(_read_response(value)), _digest(value)
    except (AttributeError, TypeError, ValueError, KeyError, RecursionError):
        return "", ""


_KEPT: Final = "(SELECT count(*) FROM responses WHERE key >= j.value || '-' AND key < j.value || '.')"
_REQUESTS: Final = _listed((*_OF_REQUEST, "checksum"), "l.")
_CREDITS: Final = _OF_REQUEST.index("credits")
_PRAGMAS: Final = (("auto_vacuum", "0"), ("encoding", "UTF-8"))  # as this package makes a file
_CONTENT: Final = '"_decoded_content":'  # in no address before it: there a quotation mark is written %22
_read_value: Final = json.JSONDecoder().raw_decode


def _beside(file: Path, kind: str) -> bool:
    """Whether SQLite left something beside a file, as its journal."""
    try:
        return file.with_name(f"{file.name}-{kind}").stat().st_size > 0
    except OSError:
        return False


def _refuse_to_orphan(file: Path) -> None:
    """Refuse to make a store where the log of another, of format 1, waits for it: SQLite would delete the answers."""
    if _beside(file, "wal"):
        raise StoreError(
            f"{file} is not there, but {file.name}-wal beside it holds answers of a store of that name: it was moved "
            f"while it was open. Put the store back beside it as {file.name}, then connect again"
        )


def _leave_write_ahead_log(file: Path) -> None:
    """Go back to one file: format 1 kept what was stored in a log beside it, and other tools may choose to.

    That needs the file for oneself; of several programs that try, each lets go of it between two tries.
    """
    deadline = time.monotonic() + _WAIT_FOR_LOCK
    while True:
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as db:
            try:
                db.execute("PRAGMA journal_mode = DELETE")
            except sqlite3.OperationalError as error:
                if not _is_locked(error) or time.monotonic() > deadline:
                    raise
            else:
                return
        time.sleep(random.uniform(0.01, 0.1))  # noqa: S311 - no secret depends on it


def _file_of(path: str) -> tuple[int, int]:
    there = Path(path).stat()
    return there.st_dev, there.st_ino


def _is_locked(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _folded(sql: str) -> str:
    return " ".join(sql.split())


def _may_write(path: Path, *, folder: bool = False) -> bool:
    """Whether a file or folder is writable; without any write bit it is not, whoever asks."""
    bits = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
    return bool(path.stat().st_mode & bits) and os.access(path, os.W_OK | (os.X_OK if folder else 0))


def _read_response(value: Any) -> Any:
    """Read the envelope of a stored answer; what requests-cache keeps around it is not parsed where it stands first."""
    start = value.find(_CONTENT)
    if start >= 0:
        envelope, end = _read_value(value, start + len(_CONTENT))
        if value[end:] == "}":
            return envelope
    return json.loads(value)["_decoded_content"]


def _check_requests_cache() -> None:
    """Refuse to open what could not be written into: another library may have put something else into requests."""
    try:
        _requests_cache()
    except Exception as error:
        raise StoreError(
            f"requests-cache, which writes the store, cannot be imported ({type(error).__name__}: {error}). Was "
            "something put in the place of requests.Session? Import keyapi_research before that, and connect"
        ) from error


@cache
def _requests_cache() -> tuple[Any, Any, Any, Any]:
    """Import what requests-cache writes its rows with, and make the only header that is kept; the first takes a while.

    Only the content type of an answer's headers is kept: others may carry cookies, or the token.
    """
    from requests_cache.models import CachedRequest, CachedResponse  # noqa: PLC0415 - not while this package is imported
    from requests_cache.serializers.preconf import json_preconf_stage  # noqa: PLC0415

    header = CachedResponse().headers.__class__({"Content-Type": "application/json"})
    return CachedRequest, CachedResponse, json_preconf_stage, header


def _response(url: str, envelope: Mapping[str, Any], observed_at: int) -> str:
    """Write an answer as requests-cache's JSON serializer does, readable and compact."""
    request, response, stage, header = _requests_cache()
    shell = response(
        url=url,
        status_code=200,
        reason="OK",
        headers=header,
        request=request(method="GET", url=url),
        created_at=when(observed_at),
    )
    written = stage.dumps(shell)
    written.pop("_content", None)
    return compact_json({**written, "_decoded_content": envelope})
