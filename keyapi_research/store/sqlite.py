"""Where the rows of a store are: one SQLite file.

The file is a requests-cache with its JSON serializer (table `responses`), so that plain requests-cache opens and
lists it; beside it stand an index of the answers, the ledger of all requests, claims on what is being requested just
now, and what the store knows of itself. SQLite's rollback journal leaves one file between two writes, which may be
copied or moved.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import sqlite3
import stat
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from ..errors import CLOSED, StoreError, listed
from ..files import is_locked, locked
from ..settings import MEMORY
from . import formats
from .database import Database, Writer
from .facts import Row, in_this_process, now_us

_HEADER: Final = b"SQLite format 3\x00"
_WAL: Final = 2  # how the header's two version bytes name the write-ahead log
_FAILURES: Final = (sqlite3.Error, UnicodeDecodeError)  # the latter where its message quotes a damaged name
_LEAST_FREE: Final = 256 * 1024
_ASKS_AGAIN: Final = (0.001, 0.01)  # the shortest and the longest pause, in seconds, before a lock is tried again

Connect = Callable[[str], sqlite3.Connection]
T = TypeVar("T")


class SQLite(Database):
    """The open file of a store, or one in memory; tests make it small."""

    pragmas: ClassVar[tuple[str, ...]] = ("trusted_schema = OFF", "cache_size = -16384")  # of each connection

    def __init__(self, path: str, *, read_only: bool) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._gave_up = 0.0  # when a lock was waited for in vain
        try:
            if path == MEMORY:
                self._db, self.read_only = self._connect("file::memory:"), False
                formats.create(self._db)
            else:
                self._db, self.read_only = self._when_free(
                    lambda: _open_file(Path(path), self._connect, read_only, self.patience), self.patience
                )
        except _FAILURES as error:
            raise StoreError(f"the store cannot be opened: {_advice(error, self.path, self.patience)}") from error
        except OSError as error:
            what = error.strerror or error
            raise StoreError(f"the store cannot be opened: {what}: {path}; choose another path with store=") from error
        self._closing = weakref.finalize(self, in_this_process(self._db.close))
        self.place = None if path == MEMORY else _file_id(path)
        self._wait_in_sqlite(0)

    def _connect(self, uri: str) -> sqlite3.Connection:
        db = sqlite3.connect(uri, timeout=self.patience, isolation_level=None, check_same_thread=False, uri=True)
        try:
            for pragma in self.pragmas:
                db.execute(f"PRAGMA {pragma}")
        except BaseException:
            db.close()
            raise
        return db

    def now(self) -> int:
        """Return the time of this machine."""
        return now_us()

    def claim_time(self) -> int:
        """Return the time of this machine."""
        return now_us()

    def next_send(self, db: Writer, spacing: int) -> tuple[int, float]:  # noqa: ARG002 - each its own
        """Leave each client its own pace."""
        return self.now(), 0.0

    def alone(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Wait for a file beside the store that one program at a time can hold."""
        file = Path(self.path)
        whole = f".{name}-{hashlib.sha256(file.name.encode()).hexdigest()[:8]}.lock"
        return locked(file.with_name(whole), wait=True)

    def size(self) -> int:
        """Return how many bytes the file has."""
        pages, size = self.rows("SELECT page_count, page_size FROM pragma_page_count, pragma_page_size")[0]
        return int(pages * size)

    def check_writable(self) -> None:
        """Refuse to start spending where an answer could not be kept."""
        if self.read_only:
            raise StoreError(
                f"{self.path} or its folder is read-only, so nothing was sent. Make both writable, copy the file, or "
                "read stored answers with connect(offline=True)"
            )
        if self.path != MEMORY:
            self.check_there()
            file = Path(self.path)
            if not (_may_write(file) and _may_write(file.parent, folder=True)):
                raise StoreError(f"{file} has become read-only, so nothing more is sent. Make it writable first")
            if _is_full(file):
                raise StoreError(f"the disk with {file} is full, so nothing more is sent. Free some space first")

    def check_there(self) -> None:
        """Refuse to go on where the file is no longer at its path."""
        try:
            there = self.place is None or _file_id(self.path) == self.place
        except OSError as error:
            if error.errno is None:  # no error of the file: a TimeoutError of an alarm
                raise
            there = False
        if not there:
            raise StoreError(_moved(self.path))

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Read rows."""
        try:
            # On one line: an interrupt between two lines cannot leave the lock taken.
            with self._lock: return self._when_free(lambda: self._read(sql, values), self.patience)  # noqa: E701
        except _FAILURES as error:
            raise StoreError(f"the store cannot be read: {_advice(error, self.path, self.patience)}") from error

    def _read(self, sql: str, values: Sequence[Any]) -> list[Row]:
        return self._db.execute(sql, values).fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Writer]:
        """Write all of it or nothing."""
        with self._lock:
            # What was just waited for in vain, by another thread here, is not waited for again.
            patience = 0.1 if time.monotonic() - self._gave_up < 1 else self.patience
            try:
                with formats.whole(self._db):
                    self._when_free(lambda: self._db.execute("BEGIN IMMEDIATE"), patience)
                    self._wait_in_sqlite(self.patience)  # to commit: until who reads just now has read
                    yield self._db
            except _FAILURES as error:
                if is_locked(error):
                    self._gave_up = time.monotonic()
                raise StoreError(f"the store cannot be written: {_advice(error, self.path, self.patience)}") from error
            finally:
                self._wait_in_sqlite(0)

    def _when_free(self, act: Callable[[], T], patience: float) -> T:
        """Do it once no other program keeps the file; give up on a lock that stays while nothing is written.

        SQLite would ask less often the longer it waits: among programs that write much, the last to come would be the
        first to get the file, and some would never.
        """
        began, written = time.monotonic(), self._last_write()
        while True:
            try:
                return act()
            except sqlite3.OperationalError as error:
                if not is_locked(error):
                    raise
                before, written = written, self._last_write()
                if written != before:
                    began = time.monotonic()
                elif time.monotonic() - began >= patience:
                    raise
            time.sleep(random.uniform(*_ASKS_AGAIN))  # noqa: S311 - no secret depends on it

    def _last_write(self) -> int:
        """When somebody last wrote to the file, by its own clock."""
        try:
            return 0 if self.path == MEMORY else Path(self.path).stat().st_mtime_ns
        except OSError as error:
            if error.errno is None:  # no error of the file: a TimeoutError of an alarm
                raise
            return 0

    def _wait_in_sqlite(self, seconds: float) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # closed: what is done next raises
            self._db.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")


# Opening ----------------------------------------------------------------------------------------------------


def is_there(path: str) -> bool:
    """Whether there is a store at a path; one whose making was cut off is none."""
    try:
        there = Path(path).stat()
    except OSError:  # nothing there, or nothing that may be seen: who writes it is told why
        return False
    return bool(there.st_size) or not stat.S_ISREG(there.st_mode)


def _open_file(file: Path, connect: Connect, read_only: bool, patience: float) -> tuple[sqlite3.Connection, bool]:
    """Open a file that is a store or becomes one; and return whether it can only be read."""
    if _is_new(file, read_only=read_only):
        return _make(file, connect), False
    with file.open("rb") as opened:
        head = opened.read(len(_HEADER) + 4)
    if not head.startswith(_HEADER):
        raise StoreError(f"{file} is not a store: it is not an SQLite file. Choose another store=")
    writable = _may_write(file) and _may_write(file.parent, folder=True)  # a journal stands beside the file
    read_only = read_only or not writable
    # Who only reads undoes what a killed program began, where that may be written. A log of format 1 can be read only
    # where its helper file may be written: without a log there is nothing to miss.
    logged = head[18] == _WAL
    still = logged and not _is_beside(file, "wal")
    mode = "rw" if writable else f"ro{'&immutable=1' if still else ''}"
    deadline = time.monotonic() + patience
    while True:
        db = connect(f"{file.absolute().as_uri()}?mode={mode}")
        try:
            version = formats.check(db, str(file), read_only=read_only)
            if read_only or not logged or _leave_log(db, deadline):
                break
        except BaseException:
            db.close()
            raise
        db.close()  # of several programs that leave the log each lets go of it between two tries
        time.sleep(random.uniform(0.01, 0.1))  # noqa: S311 - no secret depends on it
    if read_only and version == formats.OLDEST_FORMAT:
        db = _in_memory(db, connect)
    _prepare(db, version, read_only=read_only)
    return db, read_only


def _in_memory(file: sqlite3.Connection, connect: Connect) -> sqlite3.Connection:
    """Return a copy, in the current format and in memory, of a file of format 1 that may not be written."""
    with contextlib.closing(file):
        memory = connect("file::memory:")
        try:
            file.execute("BEGIN")  # which waits for locks with patience; the backup itself would wait for ever
            file.execute("SELECT count(*) FROM sqlite_master").fetchone()
            file.backup(memory)
            formats.convert(memory)
        except BaseException:
            memory.close()
            raise
    return memory


def _prepare(db: sqlite3.Connection, version: int, *, read_only: bool) -> None:
    """Make an empty file a store and an old one one of today."""
    try:
        if read_only:
            db.execute("PRAGMA query_only = ON")
            return
        # An answer that was paid for survives a power cut, too; EXTRA also writes down that the journal is gone.
        db.execute("PRAGMA synchronous = EXTRA")
        if version == formats.OLDEST_FORMAT:
            formats.convert(db)
        elif not version:
            formats.create(db)
    except BaseException:
        db.close()
        raise


def _is_new(file: Path, *, read_only: bool) -> bool:
    """Whether a store is to be made there; refuse what cannot be one."""
    if file.is_dir():
        raise StoreError(f"{file} is a folder, but a store is a file. Use {file / 'study.sqlite'}")
    if file.exists() and not file.is_file():
        raise StoreError(f"{file} is not a regular file. Choose another store=")
    if not file.exists() and read_only:
        others = sorted(one.name for one in file.parent.glob("*.sqlite"))
        there = f" (beside it: {listed(others)})" if others else ""
        raise StoreError(
            f"there is no store at {file}, so there is nothing to read yet. Check the path{there}, or fetch online "
            "first"
        )
    if not file.parent.is_dir():
        raise StoreError(f"the folder {file.parent} does not exist; create it or choose another store=")
    new = not file.exists() or file.stat().st_size == 0
    if new and _is_beside(file, "wal"):  # SQLite would delete the answers
        raise StoreError(
            f"{file} is missing, but {file.name}-wal beside it has answers of that store: it was moved while it was "
            f"open. Put the store back as {file.name}, then connect again"
        )
    return new and not read_only


def _make(file: Path, connect: Connect) -> sqlite3.Connection:
    there = file.exists()
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    file.chmod(0o600)  # also of an empty file that was there
    try:
        db = connect(f"{file.absolute().as_uri()}?mode=rw")
        _prepare(db, 0, read_only=False)
    except sqlite3.Error:
        if not there and file.stat().st_size == 0:
            file.unlink()
        raise
    return db


def _leave_log(db: sqlite3.Connection, deadline: float) -> bool:
    """Go back to one file: format 1 kept what was stored in a log beside it, and other tools may choose to."""
    try:
        db.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:  # that needs the file for oneself
        if not is_locked(error) or time.monotonic() > deadline:
            raise
        return False
    return True


def _is_beside(file: Path, kind: str) -> bool:
    """Whether SQLite left something beside a file, as its journal."""
    try:
        return file.with_name(f"{file.name}-{kind}").stat().st_size > 0
    except OSError:
        return False


def _may_write(path: Path, *, folder: bool = False) -> bool:
    """Whether a file or folder is writable; without any write bit it is not, not even for root."""
    bits = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
    return bool(path.stat().st_mode & bits) and os.access(path, os.W_OK | (os.X_OK if folder else 0))


def _file_id(path: str) -> tuple[int, int]:
    there = Path(path).stat()
    return there.st_dev, there.st_ino


def _is_full(file: Path) -> bool:
    try:
        return shutil.disk_usage(file.parent).free < _LEAST_FREE
    except OSError:  # its folder is gone, which is said elsewhere
        return False


def _advice(error: Exception, path: str, patience: float) -> str:  # noqa: PLR0911 - one sentence for each
    """Return what an error of SQLite means for the user of a store, and what to do."""
    whole_code = getattr(error, "sqlite_errorcode", 0) or 0
    code = whole_code & 0xFF  # the rest of it says where in SQLite
    in_file = path != MEMORY
    journal = in_file and _is_beside(Path(path), "journal")
    if whole_code == sqlite3.SQLITE_READONLY_ROLLBACK or (code == sqlite3.SQLITE_CANTOPEN and journal):
        return (
            f"a write to {path} was interrupted, or the file was copied during one. Open it where the file and its "
            "folder are writable, which undoes the write, or copy it again with its -journal"
        )
    if whole_code == sqlite3.SQLITE_READONLY_DBMOVED:
        return _moved(path)
    if code == sqlite3.SQLITE_READONLY:
        return f"{path} is not writable. Make it writable, or read it with connect(offline=True)"
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and in_file and _is_full(Path(path))):
        return f"the disk with {path} is full. Free some space and run the call again"
    if is_locked(error):
        return f"another program has locked {path} (no write for {patience:.0f} s). Close it and run the call again"
    if isinstance(error, sqlite3.ProgrammingError):
        return CLOSED
    return f"{path}: {error}. If the file is damaged, restore a copy"


def _moved(path: str) -> str:
    return (
        f"{path} was moved, replaced or deleted while it was open, so nothing more is sent. Earlier answers are in the "
        "moved file: put it back, then connect again"
    )
