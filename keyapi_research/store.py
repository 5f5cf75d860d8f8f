"""The store: every paid answer, once, in one SQLite file.

The file is a requests-cache with its JSON serializer (table `responses`), so that plain requests-cache opens and
lists it; beside it stand an index of what was asked for, the ledger of all requests, and whom the file belongs to.
requests-cache's own writer swallows errors and overwrites, so rows are written here, an answer, its index and its
ledger row in one transaction, and nothing is ever updated or deleted but the ledger row that waits for its answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import stat
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

from requests_cache.models import CachedRequest, CachedResponse
from requests_cache.serializers.preconf import json_preconf_stage

from .errors import CLOSED, StoreError
from .settings import MEMORY

FORMAT: Final = 1
_APPLICATION_ID: Final = 0x4B415249
_WAIT_FOR_LOCK: Final = 20.0
_LEAST_FREE: Final = 256 * 1024
_CHUNK: Final = 1000
_MOST_COPIES: Final = 20
_HEADER: Final = b"SQLite format 3\x00"

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

_SCHEMA: Final = (
    "CREATE TABLE responses (key TEXT PRIMARY KEY, value BLOB CHECK (typeof(value) = 'text'), expires INTEGER)",
    "CREATE INDEX expires_idx ON responses(expires)",
    "CREATE TABLE redirects (key TEXT PRIMARY KEY, value BLOB, expires INTEGER)",
    "CREATE TABLE keyapi_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    f"CREATE TABLE keyapi_ledger (id INTEGER PRIMARY KEY, {', '.join(map(' '.join, LEDGER_COLUMNS.items()))})",
    "CREATE TABLE keyapi_answers (id INTEGER PRIMARY KEY, response TEXT NOT NULL UNIQUE, entity TEXT NOT NULL,"
    " endpoint TEXT NOT NULL, params TEXT NOT NULL, observed_at INTEGER NOT NULL, absent INTEGER NOT NULL,"
    " request INTEGER NOT NULL, walk INTEGER NOT NULL, page INTEGER NOT NULL, rows INTEGER NOT NULL,"
    " fresh INTEGER NOT NULL, more INTEGER)",
    "CREATE INDEX keyapi_entity ON keyapi_answers(entity, observed_at)",
    "CREATE INDEX keyapi_walk ON keyapi_answers(walk)",
)


@dataclass(frozen=True, slots=True)
class Observation:
    """One stored answer about one entity, without its body; times in microseconds since 1970, UTC.

    Of a ranking each page is one; `walk` (the ledger id of its first page) says which pages belong together.
    """

    id: int
    entity: str
    endpoint: str
    params: str
    observed_at: int
    absent: bool
    request: int
    walk: int
    page: int
    rows: int
    fresh: int
    more: bool | None


@dataclass(frozen=True, slots=True)
class Arrival:
    """An answer about one entity, about to be stored."""

    entity: str
    params: Mapping[str, str]
    envelope: Mapping[str, Any]
    absent: bool = False
    walk: int | None = None
    page: int = 0
    rows: int = 0
    fresh: int = 0
    more: bool | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended, for the ledger; None where no answer came."""

    http_status: int | None = None
    code: int | None = None
    message: str | None = None
    request_id: str | None = None
    credits: int | None = None
    elapsed_s: float | None = None


def _listed(names: Sequence[str], of: str = "") -> str:
    return ", ".join(f"{of}{name}" for name in names)


def _marks(names: Sequence[str]) -> str:
    return ", ".join("?" * len(names))


_OF_REQUEST: Final = ("id", *LEDGER_COLUMNS)
_OF_ANSWER: Final = tuple(one.name for one in fields(Observation))
_OF_OUTCOME: Final = tuple(one.name for one in fields(Outcome))
_ANSWERS: Final = _listed(_OF_ANSWER, "a.")


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


def _observation(row: tuple[Any, ...]) -> Observation:
    *known, absent, request, walk, page, rows, fresh, more = row
    told = None if more is None else bool(more)
    one, entity, endpoint, params, observed_at = known
    return Observation(one, entity, endpoint, params, observed_at, bool(absent), request, walk, page, rows, fresh, told)


def _advice(error: sqlite3.Error, path: str) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest of it says where in SQLite
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


class Store:
    """An open store.

    Parameters
    ----------
    path : str
        Path of the file, or ":memory:".
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
        self._opened = contextlib.ExitStack()
        self._closing = weakref.finalize(self, in_this_process(self._opened.close))
        try:
            self._db = self._open()
            self._inode = None if path == MEMORY else Path(path).stat().st_ino
            self.source: str | None = self._meta("source")
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
            self._refuse_to_orphan(file)
        if new and not self.read_only:
            return self._make(file)
        with file.open("rb") as head:
            if head.read(len(_HEADER)) != _HEADER:
                raise StoreError(f"{file} is not a store: it is not an SQLite file. Choose another store=")
        self.read_only = self.read_only or not _may_write(file)
        if self.read_only:
            return self._verify(self._connect_read_only(file))
        return self._prepare(self._verify(self._connect(str(file), uri=False)), new=False)

    @staticmethod
    def _refuse_to_orphan(file: Path) -> None:
        """Refuse to make a store where answers of another wait for theirs: SQLite would delete them."""
        log = _log_of(file)
        if log.exists() and log.stat().st_size > 0:
            raise StoreError(
                f"{file} is not there, but {log.name} beside it holds answers of a store of that name: it was moved "
                f"while it was open. Put the store back beside it as {file.name}, then connect again"
            )

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

    def _connect_read_only(self, file: Path) -> sqlite3.Connection:
        """Open without writing anything that is not one's own: helper files in another's folder would lock him out."""
        address = f"{file.absolute().as_uri()}?mode=ro"
        own = _may_write(file) and _may_write(file.parent, folder=True)
        if own or file.with_name(f"{file.name}-shm").exists():
            with contextlib.suppress(sqlite3.OperationalError):  # of helper files that may not be read
                db = self._connect(address, uri=True)
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()
                return db
        log = _log_of(file)
        if not log.exists() or log.stat().st_size == 0:
            return self._connect(f"{address}&immutable=1", uri=True)
        return self._connect(f"{self._copied(file, log).as_uri()}?mode=ro", uri=True)

    def _copied(self, file: Path, log: Path) -> Path:
        """Copy a store with its log, which holds answers: in a folder of another it can be read from a copy only."""
        folder = Path(tempfile.mkdtemp(prefix="keyapi_research_"))
        self._opened.callback(shutil.rmtree, folder, ignore_errors=True)
        for _ in range(_MOST_COPIES):
            before = [_state_of(part) for part in (file, log)]
            for part in (file, log):
                shutil.copyfile(part, folder / part.name)
            if _is_whole(folder / file.name) and [_state_of(part) for part in (file, log)] == before:
                return folder / file.name
            for part in folder.iterdir():
                part.unlink()
            time.sleep(0.1)
        raise StoreError(f"{file} is being written just now and cannot be read from this folder; try again")

    def _prepare(self, db: sqlite3.Connection, *, new: bool) -> sqlite3.Connection:
        if self.path != MEMORY:
            self._use_write_ahead_log(db)
        # An answer that was paid for survives a power cut, too.
        db.execute("PRAGMA synchronous = FULL")
        if new:
            db.execute("BEGIN IMMEDIATE")
            if not db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():  # another process may have been first
                for statement in _SCHEMA:
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {FORMAT}")
            db.execute("COMMIT")
        return db

    @staticmethod
    def _use_write_ahead_log(db: sqlite3.Connection) -> None:
        deadline = time.monotonic() + _WAIT_FOR_LOCK
        while True:  # SQLite does not wait for this lock by itself
            try:
                db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if not _is_locked(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def _verify(self, db: sqlite3.Connection) -> sqlite3.Connection:
        """Refuse a file that this package did not make: it would be trusted with what is paid for."""
        have = {_folded(sql) for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
        if not have:
            return self._prepare(db, new=True) if not self.read_only else db
        wanted = {_folded(sql) for sql in _SCHEMA}
        application = db.execute("PRAGMA application_id").fetchone()[0]
        if application != _APPLICATION_ID:
            raise StoreError(
                f"{self.path} is an SQLite file of another program, not a store of keyapi_research; "
                "choose another store="
            )
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != FORMAT:
            raise StoreError(
                f"{self.path} has format {version}, this version of keyapi_research reads {FORMAT}: update the package"
            )
        if have != wanted:
            odd = sorted(sql[:60] for sql in have ^ wanted)
            raise StoreError(
                f"{self.path} was changed by another program and is not opened ({'; '.join(odd[:3])}); "
                "use an untouched copy"
            )
        foreign = (
            "SELECT 1 FROM responses WHERE key NOT IN (SELECT response FROM keyapi_answers)"
            " AND typeof(value) <> 'text' LIMIT 1"
        )
        counts = "SELECT (SELECT count(*) FROM responses) - (SELECT count(*) FROM keyapi_answers)"
        if db.execute(counts).fetchone()[0] > 0 and db.execute(foreign).fetchone():
            raise StoreError(
                f"{self.path} holds rows of another program that may run code when they are read (pickle); "
                "it is not opened"
            )
        return db

    def close(self) -> None:
        """Close the file; SQLite then folds its log into it."""
        with self._lock:
            self.checkpoint(whole=True)
            self._closing()

    def check_process(self) -> None:
        """Refuse to be used by a fork: two processes on one connection mix up answers and damage the file."""
        if os.getpid() != self._process:
            raise StoreError(
                "this client was opened in another process, which this one was forked from: make one here with "
                "kr.Client(...) or kr.connect(...); budgets and stores are told anew"
            )

    def checkpoint(self, *, whole: bool = False) -> None:
        """Move what was stored from SQLite's log into the file, so that a copy of the file has it."""
        if self.read_only or self.path == MEMORY or not self._closing.alive or os.getpid() != self._process:
            return
        with self._lock, contextlib.suppress(sqlite3.Error):  # locked by a reader: the log keeps it
            self._db.execute("PRAGMA busy_timeout = 0")
            self._db.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if whole else 'PASSIVE'})").fetchone()

    # Whose it is --------------------------------------------------------------------------------------------

    def _meta(self, name: str) -> str | None:
        row = self._rows("SELECT value FROM keyapi_meta WHERE name = ?", (name,))
        return str(row[0][0]) if row else None

    def claim(self, source: str) -> None:
        """Say whom the answers come from: written when first known, held against ever after."""
        if self.source is None and not self.read_only:
            with self._transaction() as db:
                db.execute("INSERT OR IGNORE INTO keyapi_meta VALUES ('source', ?)", (source,))
            self.source = self._meta("source")
        if self.source is not None and self.source != source:
            raise StoreError(
                f"the store {self.path} belongs to {self.source!r} and these answers come from {source!r}: "
                "they are never mixed. Give each source a store of its own with store="
            )

    # Reading ------------------------------------------------------------------------------------------------

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        self.check_process()
        with self._lock:
            self._be_patient(_WAIT_FOR_LOCK)
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise StoreError(f"the store cannot be read: {_advice(error, self.path)}") from error

    def _observations(self, sql: str, values: Sequence[Any]) -> list[Observation]:
        found = [_observation(row) for row in self._rows(sql, values)]
        if not all(type(one.observed_at) is int for one in found):
            raise StoreError(f"{self.path}: its index cannot be read, the file is damaged: restore a copy")
        return found

    def latest(self, entities: Iterable[str], *, until: int | None = None) -> dict[str, Observation]:
        """Find the newest observation of each entity, not later than a moment."""
        found = self._observations(
            f"SELECT {_ANSWERS} FROM (SELECT j.value AS entity FROM json_each(?) j) k JOIN keyapi_answers a ON"
            " a.id ="  # the one that came last, whatever the clock said; what is no time is not passed over
            " (SELECT max(id) FROM keyapi_answers WHERE entity = k.entity"
            " AND (observed_at <= ? OR typeof(observed_at) <> 'integer'))",
            (compact_json(list(entities)), _FAR if until is None else until),
        )
        return {one.entity: one for one in found}

    def history(self, entities: Iterable[str]) -> list[Observation]:
        """Find all observations of some entities, oldest first."""
        return self._observations(
            f"SELECT {_ANSWERS} FROM json_each(?) j CROSS JOIN keyapi_answers a ON a.entity = j.value"
            " ORDER BY a.observed_at, a.id",
            (compact_json(list(entities)),),
        )

    def exactly(self, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Observation]:
        """Find the observations of some entities at exact moments."""
        found = self._observations(
            f"SELECT {_ANSWERS} FROM json_each(?) j CROSS JOIN keyapi_answers a"
            " ON a.entity = json_extract(j.value, '$[0]') AND a.observed_at = json_extract(j.value, '$[1]')",
            (compact_json([list(one) for one in wanted]),),
        )
        return {(one.entity, one.observed_at): one for one in found}

    def walks(self, entity: str, *, until: int | None = None) -> list[list[Observation]]:
        """Find the walks through a ranking, newest first, each the pages in order."""
        pages: dict[int, list[Observation]] = {}
        for one in self._observations(
            f"SELECT {_ANSWERS} FROM keyapi_answers a WHERE a.entity = ? AND a.observed_at <= ?"
            " ORDER BY a.walk DESC, a.page, a.id",
            (entity, _FAR if until is None else until),
        ):
            walk = pages.setdefault(one.walk, [])
            if one.page == len(walk) + 1:  # two processes may both have paid for a page: the first counts
                walk.append(one)
        return [walk for walk in pages.values() if walk]

    def last_id(self) -> int:
        """Give the id of the answer that was stored last; later ones have higher ids, whatever the clock says."""
        return int(self._rows("SELECT coalesce(max(id), 0) FROM keyapi_answers")[0][0])

    def observations(self, ids: Iterable[int]) -> list[Observation]:
        """Find observations by their ids, in the order of these."""
        return self._observations(
            f"SELECT {_ANSWERS} FROM json_each(?) j CROSS JOIN keyapi_answers a ON a.id = j.value ORDER BY a.id",
            (compact_json(sorted(set(ids))),),
        )

    def check_readable(self, ids: Sequence[int]) -> None:
        """Read stored answers for nothing but to know that they can be read, before others are paid for."""
        deque(self.envelopes(ids), maxlen=0)

    def envelopes(self, ids: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Read stored answers, in the order of their ids, without holding them all."""
        for start in range(0, len(ids), _CHUNK):
            chunk = ids[start : start + _CHUNK]
            rows = self._rows(
                "SELECT a.id, r.value FROM json_each(?) j CROSS JOIN keyapi_answers a ON a.id = j.value"
                " JOIN responses r ON r.key = a.response",
                (compact_json(list(chunk)),),
            )
            bodies = dict(rows)
            for one in chunk:
                yield self._read(one, bodies.get(one))

    def _read(self, identity: int, value: object) -> dict[str, Any]:
        try:
            envelope = _read_response(value)
        except (AttributeError, TypeError, ValueError, KeyError, RecursionError) as error:
            where = self._rows("SELECT endpoint, params FROM keyapi_answers WHERE id = ?", (identity,))
            raise StoreError(
                f"{self.path}: a stored answer cannot be read ({where[0] if where else identity}); the file is "
                "damaged: restore a copy; nothing was asked again"
            ) from error
        if not isinstance(envelope, dict):
            raise StoreError(f"{self.path}: a stored answer is not an envelope; the file is damaged")
        return envelope

    def ledger(self, ids: Iterable[int] | None = None) -> list[tuple[Any, ...]]:
        """Read ledger rows in the order of sending: id, sent_at, endpoint, params and so on."""
        if ids is None:
            return self._rows(f"SELECT {_listed(_OF_REQUEST)} FROM keyapi_ledger ORDER BY id")
        return self._rows(
            f"SELECT {_listed(_OF_REQUEST, 'l.')} FROM json_each(?) j CROSS JOIN keyapi_ledger l ON l.id = j.value"
            " ORDER BY l.id",
            (compact_json(sorted(set(ids))),),
        )

    def counts(self) -> dict[str, int]:
        """Count answers, absences, requests, credits and bytes."""
        answers, absences = self._rows("SELECT count(*), coalesce(sum(absent), 0) FROM keyapi_answers")[0]
        requests, paid, unknown = self._rows(
            "SELECT count(*), coalesce(sum(credits), 0), count(*) - count(credits) FROM keyapi_ledger"
        )[0]
        pages, size = self._rows("SELECT page_count, page_size FROM pragma_page_count, pragma_page_size")[0]
        return {
            "answers": answers - absences,
            "absences": absences,
            "requests": requests,
            "credits": paid,
            "requests_without_answer": unknown,
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
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                if _is_locked(error):
                    self._gave_up = time.monotonic()
                raise StoreError(f"the store cannot be written: {_advice(error, self.path)}") from error

    def _be_patient(self, seconds: float) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # closed: what is done next says so
            self._db.execute(f"PRAGMA busy_timeout = {int(max(seconds, 0.0) * 1000)}")

    def check_writable(self) -> None:
        """Refuse to start spending where an answer could not be kept."""
        if self.read_only:
            raise StoreError(
                f"{self.path} is read-only, an answer could not be kept; nothing was sent. Make it writable, copy it, "
                "or read what it has with connect(offline=True)"
            )
        if self.path == MEMORY:
            return
        self._check_there()
        if not _may_write(Path(self.path)):
            raise StoreError(f"{self.path} has become read-only; nothing more is sent. Make it writable first")
        if shutil.disk_usage(Path(self.path).parent).free < _LEAST_FREE:
            raise StoreError(f"the disk that holds {self.path} is full; nothing more is sent. Make room first")

    def _check_there(self) -> None:
        """Refuse to go on where the file is no longer at its path; what it has goes with it."""
        try:
            there = self.path == MEMORY or Path(self.path).stat().st_ino == self._inode
        except OSError:
            there = False
        if not there:
            self.checkpoint(whole=True)
            raise StoreError(
                f"{self.path} was moved, replaced or deleted while it was open, and nothing more is sent. What was "
                "stored before is in the moved file: put it back, then connect again"
            )

    def open_row(self, *, sent_at: int, endpoint: str, params: Mapping[str, str], n_entities: int, attempt: int) -> int:
        """Write the ledger row of a request that is about to be sent."""
        self.check_writable()
        with self._transaction() as db:
            cursor = db.execute(
                "INSERT INTO keyapi_ledger (sent_at, endpoint, params, n_entities, attempt) VALUES (?, ?, ?, ?, ?)",
                (sent_at, endpoint, compact_json(dict(params)), n_entities, attempt),
            )
            return int(cursor.lastrowid or 0)

    def keep(
        self, request: int, outcome: Outcome, arrivals: Sequence[Arrival], *, url: str, endpoint: str, observed_at: int
    ) -> list[Observation]:
        """Store the answers of one request and complete its ledger row, all or nothing."""
        with self._transaction() as db:
            changes = ", ".join(f"{name} = ?" for name in _OF_OUTCOME)
            db.execute(f"UPDATE keyapi_ledger SET {changes} WHERE id = ?", (*astuple(outcome), request))
            kept = [
                self._insert(db, request, one, url=url, endpoint=endpoint, observed_at=observed_at) for one in arrivals
            ]
        self._check_there()
        return kept

    @staticmethod
    def _insert(
        db: sqlite3.Connection, request: int, one: Arrival, *, url: str, endpoint: str, observed_at: int
    ) -> Observation:
        moment = observed_at
        there = "SELECT 1 FROM keyapi_answers WHERE entity = ? AND observed_at = ?"
        while db.execute(there, (one.entity, moment)).fetchone():  # a clock that was set back: each has a moment
            moment += 1
        params = dict(one.params)
        kept = Observation(
            id=0,
            entity=one.entity,
            endpoint=endpoint,
            params=compact_json(params),
            observed_at=moment,
            absent=one.absent,
            request=request,
            walk=0 if not one.page else request if one.walk is None else one.walk,
            page=one.page,
            rows=one.rows,
            fresh=one.fresh,
            more=one.more,
        )
        return replace(kept, id=_write(db, kept, f"{url}?{urlencode(params)}", one.envelope))

    def restore(
        self, ledger: Iterable[tuple[Any, ...]], answers: Iterable[tuple[Observation, Mapping[str, Any]]], *, url: str
    ) -> None:
        """Write rows of an archive into this (empty) store."""
        with self._transaction() as db:
            db.executemany(f"INSERT INTO keyapi_ledger VALUES ({_marks(_OF_REQUEST)})", ledger)
            for one, envelope in answers:
                _write(db, one, f"{url}{one.endpoint}?{urlencode(json.loads(one.params))}", envelope)


def _write(db: sqlite3.Connection, one: Observation, url: str, envelope: Mapping[str, Any]) -> int:
    """Write an answer and its index; without an id it is given one."""
    key = f"{one.entity}-{one.observed_at}"
    value = _response(url, envelope, one.observed_at)
    db.execute("INSERT INTO responses (key, value) VALUES (?, ?)", (key, value))
    cursor = db.execute(
        f"INSERT INTO keyapi_answers (response, {_listed(_OF_ANSWER)}) VALUES (?, {_marks(_OF_ANSWER)})",
        (key, one.id or None, *astuple(one)[1:]),
    )
    return int(cursor.lastrowid or 0)


_FAR: Final = 2**62
_CONTENT: Final = '"_decoded_content":'  # in no address before it: there a quotation mark is written %22
_read_value: Final = json.JSONDecoder().raw_decode


def _log_of(file: Path) -> Path:
    return file.with_name(f"{file.name}-wal")


def _state_of(file: Path) -> tuple[int, int]:
    there = file.stat()
    return there.st_size, there.st_mtime_ns


def _is_whole(file: Path) -> bool:
    """Whether a copy is sound; opening it folds its log in."""
    try:
        with contextlib.closing(sqlite3.connect(file)) as db:
            return bool(db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.Error:
        return False


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


@cache
def _json_header() -> Any:
    """Make the only header that is kept; not while importing, the first response takes a while."""
    return CachedResponse().headers.__class__({"Content-Type": "application/json"})


def _response(url: str, envelope: Mapping[str, Any], observed_at: int) -> str:
    """Write an answer as requests-cache's JSON serializer does, readable and compact.

    Only the content type of the answer's headers is kept: others may carry cookies, or the token.
    """
    shell = CachedResponse(
        url=url,
        status_code=200,
        reason="OK",
        headers=_json_header(),
        request=CachedRequest(method="GET", url=url),
        created_at=when(observed_at),
    )
    written = json_preconf_stage.dumps(shell)
    written.pop("_content", None)
    return compact_json({**written, "_decoded_content": envelope})
