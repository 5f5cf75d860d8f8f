"""A store that a team shares: the schema `keyapi` of a PostgreSQL database.

The tables are those of a store's file, and only one client writes at a time, as with a file. Claims, limits and pace go
by the server's clock. Nothing is kept in a session, so that a pooler such as PgBouncer may stand in between. Only libpq
ever sees the password.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from ..errors import CLOSED, InvalidArgumentError, KeyAPIError, StoreError, needed
from ..settings import without_user
from . import formats
from .database import Database, Writer
from .facts import Row, Totals, compact_json, in_this_process

if TYPE_CHECKING:
    import psycopg

_LOG: Final = logging.getLogger("keyapi_research")
_LOCK: Final = 0x4B415249  # of the server's advisory locks: whose writes
_PACED: Final = 60_000_000  # microseconds that a client's pace holds after what it sent last
_MARGIN: Final = 500  # microseconds added to the pace: no span of a second, both ends counted, has one send too many
# Microseconds after a server's start (or a checkpoint, which ends a recovery) in which claims hold that would have held
# so long before: nobody could renew them while it was away.
_RETURN: Final = 10_000_000
_AWAY: Final = 600_000_000
_STARTED: Final = "pg_postmaster_start_time()"
_RECOVERED: Final = "greatest(pg_postmaster_start_time(), (SELECT checkpoint_time FROM pg_control_checkpoint()))"
# Microseconds: a last turn further ahead than this and 1000 turns is from before the clock was set back: it is ignored.
_AHEAD: Final = 600_000_000
# A program that stands still, or whose cable is pulled, does not keep the others waiting for hours.
_ALIVE: Final = "; ".join(
    f"SET LOCAL tcp_keepalives_{name} = {value}" for name, value in (("idle", 10), ("interval", 5), ("count", 3))
)
# And what was paid for survives a power cut of the server, however it is set.
_SAFE: Final = (
    f"{_ALIVE}; SET LOCAL idle_in_transaction_session_timeout = '30s';"
    " SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
)
_PAUSE: Final = 0.2  # seconds between two tries to connect
# A cable that is pulled is noticed; what the address says of these holds.
_DEFAULTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "application_name": "keyapi_research",
        "connect_timeout": "10",
        "keepalives_idle": "10",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "tcp_user_timeout": "20000",
    }
)
_TYPES: Final = (
    (r"\bTEXT\b", 'TEXT COLLATE "C"'),
    (r"\bINTEGER\b", "BIGINT"),
    (r"\bREAL\b", "DOUBLE PRECISION"),
    (r" WITHOUT ROWID", ""),
    (r"ON keyapi_answers\(entity\)", "ON keyapi_answers(entity, id)"),  # SQLite's has the id anyway
    (r"(?<=CREATE INDEX )keyapi_", ""),  # an index is where its table is
)
_TRANSLATIONS: Final = (
    ("json_each(?) j", "json_array_elements_text(?::json) j"),
    ("json_each(?) n", "(SELECT value::bigint AS value FROM json_array_elements_text(?::json)) n"),
    ("group_concat(key) FROM json_each(params)", "string_agg(key, ',') FROM json_object_keys(params::json) AS key"),
    ("CAST(r.value AS BLOB)", "r.value"),
    ("count(DISTINCT id)", "count(*)"),  # an index of SQLite that is damaged may name a row twice
    ("CROSS JOIN", "JOIN"),
    ("%", "%%"),  # before what comes next
    ("?", "%s"),
)
_RESPONSES: Final = "CREATE TABLE responses (key TEXT PRIMARY KEY, value TEXT NOT NULL)"
_PACES: Final = "CREATE TABLE keyapi_pace (spacing INTEGER PRIMARY KEY, sent_at INTEGER NOT NULL)"
_MADE: Final = (_RESPONSES, *formats.OWN, _PACES)
_TABLES: Final = tuple(re.findall(r"CREATE TABLE (?:keyapi_)?(\w+)", " ".join(_MADE)))
_GRANT: Final = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA keyapi"

T = TypeVar("T")


@cache
def translated(sql: str) -> str:
    """Say in PostgreSQL's SQL what a statement of the store says."""
    for ours, theirs in _TRANSLATIONS:
        sql = sql.replace(ours, theirs)
    return re.sub(r"\bkeyapi_(?=[a-z])", "keyapi.", re.sub(r"\bresponses\b", "keyapi.responses", sql))


def is_there(address: str) -> bool:
    """Whether there is a store in a database that can be read."""
    with contextlib.closing(Postgres(address, read_only=True, make=False)) as database:
        return database.made


class Postgres(Database):
    """The schema of a store on a server; tests go by a clock of their own."""

    clock: ClassVar[object] = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

    def __init__(self, address: str, *, read_only: bool, make: bool = True) -> None:
        self.path = without_user(address)
        self._lock = threading.RLock()
        self._times: tuple[int, int] | None = None  # within a transaction: when it began, by `now` and `claim_time`
        self._first: psycopg.Error | None = None  # within a transaction: what the later errors come from
        self._psycopg = _driver()
        self._options = self._parse(address)
        # The finalizer must not hold this object, and the connection may be replaced.
        held = self._held = [self._open()]
        self._closing = weakref.finalize(self, in_this_process(lambda: _close(held)))
        try:
            self.made, may_write = self._look()
            if make and not self.made:
                if read_only or not may_write:
                    raise StoreError(self._no_store(may_write))  # noqa: TRY301 - closed as after other errors
                self._make()
                self.made, may_write = self._look()
            self.read_only = read_only or not may_write
            if self.made:
                self._check_format()
            # Whatever its address is called; a copy of it is elsewhere.
            [self.place] = self.rows(
                "SELECT host(inet_server_addr()), inet_server_port(), s.oid, d.oid FROM pg_database d LEFT JOIN"
                " pg_namespace s ON s.nspname = 'keyapi' WHERE d.datname = current_database()"
            )
        except BaseException:
            self.close()
            raise

    # The connection -----------------------------------------------------------------------------------------

    def _parse(self, address: str) -> dict[str, Any]:
        try:
            options = self._psycopg.conninfo.conninfo_to_dict(address)
        except (self._psycopg.ProgrammingError, UnicodeError):  # whose text may show a part of it
            raise InvalidArgumentError(
                "the address of the store cannot be read. It is postgresql://user@host:port/database, with options of "
                "libpq after a ?, such as ?sslmode=verify-full; the password is read from PGPASSWORD or ~/.pgpass"
            ) from None
        if not {"dbname", "service"} & options.keys():  # libpq would take one that others use
            raise InvalidArgumentError(
                "the address of the store names no database. Write it at the end: postgresql://user@host/database"
            )
        return {**_DEFAULTS, **options}

    def _connect(self) -> psycopg.Connection[Any]:
        connection: psycopg.Connection[Any] = self._psycopg.connect(
            autocommit=True, prepare_threshold=None, **{**self._options, "client_encoding": "UTF8"}
        )
        return connection

    def _open(self) -> psycopg.Connection[Any]:
        try:
            return self._connect()
        except self._psycopg.Error as error:
            raise StoreError(
                f"no connection to {self.path}: {_first_line(error)}. Check the address, its database and its options "
                "such as sslmode, then the network, then the password (PGPASSWORD or ~/.pgpass). A database that does "
                "not exist is made with CREATE DATABASE"
            ) from error

    @property
    def _db(self) -> psycopg.Connection[Any]:
        return self._held[0]

    def _retried(self, act: Callable[[], T]) -> T:
        """Do what changes nothing, or what begins a transaction; again where the connection was lost before.

        A server that is started again is waited for.
        """
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return act()
            except self._psycopg.Error:
                if self._times is not None or self.closed or not self._db.closed or time.monotonic() > deadline:
                    raise
            while self._db.closed:
                try:
                    self._held[0] = self._connect()
                except self._psycopg.OperationalError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(_PAUSE)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Read rows."""
        try:
            # On one line: an interrupt between two lines cannot leave the lock taken.
            with self._lock: return self._read(sql, values)  # noqa: E701
        except self._psycopg.Error as error:
            raise StoreError(f"the store cannot be read: {self._advice(error)}") from error

    def _read(self, sql: str, values: Sequence[Any]) -> list[Row]:
        try:
            return self._retried(lambda: self._fetch(sql, values))
        except BaseException as error:
            if self._times is None:
                self._leave_idle()
            elif isinstance(error, self._psycopg.Error):
                self._first = self._first or error
            raise

    def _fetch(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        # What has fractions comes in binary: as text they have as many digits as the server is told to write.
        fractions = "elapsed_s" in sql
        return self._db.execute(translated(sql), values, binary=fractions).fetchall()

    def _leave_idle(self) -> None:
        """Undo what is not ended; a connection that an interrupt left in the middle of something is made anew."""
        with contextlib.suppress(self._psycopg.Error):  # a connection that is lost has undone it
            self._db.execute("ROLLBACK")
        info, pq = self._db.info, self._psycopg.pq
        idle = info.transaction_status == pq.TransactionStatus.IDLE
        if not (idle and info.pipeline_status == pq.PipelineStatus.OFF):
            self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Writer]:
        """Write all of it or nothing, while nobody else writes."""
        with self._lock:
            self._times = self._first = None
            try:
                self._times = self._begin_in_turn()
                with self._together():
                    yield _Writer(self._db)
                    self._db.execute("COMMIT")
            except BaseException as error:
                self._leave_idle()
                if not isinstance(error, self._psycopg.Error):
                    raise
                raise StoreError(f"the store cannot be written: {self._advice(self._first or error)}") from error
            finally:
                self._times = None

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        """Send what is written along with what is read next; of several errors the first counts, and none is logged."""
        failed: BaseException | None = None
        try:
            with self._db.pipeline():
                try:
                    yield
                except BaseException as error:  # noqa: BLE001 - raised below
                    failed = error
        except self._psycopg.Error as error:
            behind = error.__context__  # an interrupt while the last was waited for
            failed = failed or (behind if isinstance(behind, KeyboardInterrupt) else error)
        if failed is not None:
            raise failed

    def _begin_in_turn(self) -> tuple[int, int]:
        """Begin a transaction; as long as others get on with theirs it is waited for, as with a file."""
        seen: list[Row] = []
        while True:
            try:
                return self._retried(self._begin)
            except self._psycopg.errors.LockNotAvailable:
                self._db.execute("ROLLBACK")
                before, seen = seen, self._fetch("SELECT xmin::text FROM keyapi_meta WHERE name = 'totals'")
                if seen == before:
                    raise

    def _begin(self) -> tuple[int, int]:
        """Begin a transaction that sees what others wrote before, and return `now` and `claim_time`; in one message.

        Claims are held against the time before the wait: who renews one waits, too.
        """
        found = self._db.execute(
            f"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = {int(self.patience * 500)};"
            f" SET LOCAL statement_timeout = 0; {_SAFE}; SELECT {self._claims};"
            f" SELECT pg_advisory_xact_lock({_LOCK}); SELECT {self.clock}"
        )
        read: list[Row] = []
        while True:
            if found.description:
                read += found.fetchall()
            if not found.nextset():
                break
        return read[-1][0], read[-3][0]

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Wait for a lock of the server that ends with its connection, however that ends."""
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big", signed=True)
        try:
            with contextlib.closing(self._connect()) as own:
                waited = False
                while True:
                    own.execute(f"BEGIN; {_ALIVE}; SET LOCAL idle_in_transaction_session_timeout = 0")
                    got = own.execute("SELECT pg_try_advisory_xact_lock(%s::int, %s::int)", (_LOCK, key)).fetchone()
                    if got and got[0]:
                        break
                    own.execute("ROLLBACK")  # who waits takes no connection of a pooler from who works
                    if not waited:
                        _LOG.warning("waiting for another program, which runs %s on %s", name, self.path)
                    waited = True
                    time.sleep(_PAUSE)
                yield
        except self._psycopg.Error as error:
            raise StoreError(f"the store cannot be used: {self._advice(error)}") from error

    # Time and pace ------------------------------------------------------------------------------------------

    def now(self) -> int:
        """Return the time of the server; in a transaction that of its beginning."""
        times = self._times
        return int(times[0] if times else self.rows(f"SELECT {self.clock}")[0][0])

    def claim_time(self) -> int:
        """Return the time of the server; just after its start an earlier one, until those who hold claims are back."""
        times = self._times
        return int(times[1] if times else self.rows(f"SELECT {self._claims}")[0][0])

    @property
    def _claims(self) -> str:
        started = f"(extract(epoch FROM {self._started}) * 1000000)::bigint"
        return (
            f"(SELECT CASE WHEN now BETWEEN at AND at + {_RETURN} THEN now - {_AWAY} ELSE now END"
            f" FROM (SELECT {self.clock} AS now, {started} AS at) times)"
        )

    def next_send(self, db: Writer, spacing: int) -> tuple[int, float]:
        """Take the next turn of all who send; of those who sent within a minute the slowest pace holds."""
        now = self.now()
        paces: dict[int, int] = dict(self.rows("SELECT spacing, sent_at FROM keyapi_pace"))
        expired = [pace for pace, at in paces.items() if at + max(pace, _PACED) < now]
        for pace in expired:
            del paces[pace]
            db.execute("DELETE FROM keyapi_pace WHERE spacing = ?", (pace,))
        slowest, last = max([spacing, *paces]), max([0, *paces.values()])  # 0: nobody has a pace
        turn = now
        if slowest and last - now <= _AHEAD + 1000 * slowest:
            turn = max(now, last + slowest + _MARGIN)
        if spacing:
            db.execute(
                "INSERT INTO keyapi_pace VALUES (?, ?) ON CONFLICT (spacing) DO UPDATE SET sent_at = excluded.sent_at",
                (spacing, turn),
            )
        elif slowest:  # who has no pace of its own goes by that of the others
            db.execute("UPDATE keyapi_pace SET sent_at = ? WHERE spacing = ?", (turn, slowest))
        return turn, (turn - now) / 1e6

    # What it is ---------------------------------------------------------------------------------------------

    def size(self) -> int:
        """Return how many bytes its tables have."""
        sizes = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c"
        found = self.rows(f"{sizes} WHERE c.relnamespace = 'keyapi'::regnamespace AND c.relkind = 'r'")
        return int(found[0][0])

    def check_writable(self) -> None:
        """Refuse to start spending where an answer could not be kept."""
        if self.read_only:
            raise StoreError(
                f"you may only read {self.path}, so nothing was sent or written. {self._lacks}. What is stored you can "
                "read"
            )

    def check_there(self) -> None:
        """Do nothing: a server's tables are not moved under a connection."""

    # Opening ------------------------------------------------------------------------------------------------

    def _look(self) -> tuple[bool, bool]:
        """Return whether there is a store, and whether it may be written, or made where there is none."""
        found = self.rows(
            "SELECT c.relname, has_table_privilege(c.oid, 'SELECT'), has_table_privilege(c.oid, 'INSERT') AND"
            " has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE') FROM pg_class c"
            " JOIN pg_namespace s ON s.oid = c.relnamespace WHERE s.nspname = 'keyapi' AND c.relkind = 'r'"
            " AND c.relname IN (SELECT j.value FROM json_each(?) j)",
            (compact_json(_TABLES),),
        )
        rights = self.rows(
            "SELECT current_setting('transaction_read_only') = 'off', coalesce(has_schema_privilege((SELECT oid FROM"
            " pg_namespace WHERE nspname = 'keyapi'), 'USAGE'), true), coalesce(has_schema_privilege((SELECT oid FROM"
            " pg_namespace WHERE nspname = 'keyapi'), 'CREATE'), has_database_privilege(current_database(), 'CREATE')),"
            " current_setting('server_encoding'), has_function_privilege('pg_control_checkpoint()', 'EXECUTE')"
        )
        writable, may_use, may_make, encoding, may_control = rights[0]
        self._started = _RECOVERED if may_control else _STARTED
        self._lacks = f"Ask its owner for {_GRANT}" if writable else "Connect to a server that can be written"
        if encoding != "UTF8":
            raise StoreError(
                f"the database {self.path} has the encoding {encoding}, in which not every text can be kept. Make "
                "another one with ENCODING 'UTF8'"
            )
        if not found:
            return False, writable and may_make
        if len(found) < len(_TABLES):
            raise StoreError(
                f"the schema keyapi of {self.path} is not a store of keyapi_research, or was changed by another "
                "program, so it is not opened. Use another database"
            )
        if not (may_use and all(reads for _, reads, _ in found)):
            raise StoreError(
                f"you may not read {self.path}. Ask its owner for GRANT USAGE ON SCHEMA keyapi, and for {_GRANT}; to "
                "read, SELECT is enough"
            )
        return True, writable and all(writes for *_, writes in found)

    def _no_store(self, may_make: bool) -> str:
        advice = "so there is nothing to read yet. Check the address, or fetch online first"
        if not may_make:
            advice = "and you may not make one. Ask its owner to connect first, or for GRANT CREATE ON DATABASE"
        return f"there is no store in {self.path}, {advice}"

    def _make(self) -> None:
        """Make the tables of a store, unless another program was first."""
        with self.transaction() as db:
            if self._look()[0]:
                return
            if not self.rows("SELECT 1 FROM pg_namespace WHERE nspname = 'keyapi'"):
                db.execute("CREATE SCHEMA keyapi")
            for statement in _MADE:
                made = statement
                for ours, theirs in _TYPES:
                    made = re.sub(ours, theirs, made)
                db.execute(made)
            formats.put_fact(db, "format", str(formats.FORMAT))
            formats.put_fact(db, "id", secrets.token_hex(8))
            formats.put_totals(db, Totals())

    def _check_format(self) -> None:
        known = self.rows("SELECT value FROM keyapi_meta WHERE name = 'format'")
        if known == [(str(formats.FORMAT),)]:
            return
        if known and known[0][0].isdecimal() and int(known[0][0]) > formats.FORMAT:
            raise StoreError(
                f"{self.path} has format {known[0][0]}, but this version of keyapi_research reads format "
                f"{formats.FORMAT}. Update the package"
            )
        raise StoreError(f"{self.path} is damaged: its format was changed. Put back a copy")

    def _advice(self, error: psycopg.Error) -> str:
        """Return what an error of the server means for the user of a store, and what to do."""
        if self.closed:
            return CLOSED
        kinds, again = self._psycopg.errors, "Run the call again"
        slow = "a statement took longer than {} allows (statement_timeout)"
        for kind, what in (
            (kinds.LockNotAvailable, f"another program has locked {{}} (no write for {self.patience:.0f} s). {again}"),
            (kinds.QueryCanceled, f"{slow}. {again}"),
            (kinds.DiskFull, "the disk of {} is full. Free some space on the server and run the call again"),
            (kinds.InsufficientPrivilege, f"you lack a right on {{}}. Ask its owner for {_GRANT}"),
            (kinds.ReadOnlySqlTransaction, "{} is read-only at present. Run the call again when it can be written"),
            (kinds.UndefinedTable, "the tables of {} are gone. Put back a copy, then connect again"),
        ):
            if isinstance(error, kind):
                return what.format(self.path)
        if self._db.closed:
            return f"the connection to {self.path} was lost: {_first_line(error)}. Run the call again once it is back"
        return f"{self.path}: {_first_line(error)}"


class _Writer:
    """What writes rows: the SQL of the store, said in PostgreSQL's."""

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self._db = db

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> psycopg.Cursor[Any]:
        """Run a statement."""
        return self._db.execute(translated(sql), values)

    def executemany(self, sql: str, values: Sequence[Sequence[Any]], /) -> None:
        """Run a statement once for each of several values."""
        self._db.cursor().executemany(translated(sql), values)


def _close(held: Sequence[psycopg.Connection[Any]]) -> None:
    """Close the current connection: one that was lost has been replaced."""
    held[0].close()


def _driver() -> ModuleType:
    try:
        return needed("psycopg", "team", "a store on PostgreSQL")
    except ImportError as error:
        if isinstance(error, KeyAPIError):
            raise
        raise StoreError(
            f"psycopg cannot find libpq, the library of PostgreSQL ({_first_line(error)}): python -m pip install "
            '"psycopg[binary]" brings it'
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
