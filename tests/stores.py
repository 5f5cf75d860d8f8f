"""Where the tests' stores are: in files, and on a PostgreSQL server of their own, which nobody else can reach."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from faulty import certificate

from keyapi_research.settings import is_address
from keyapi_research.store import now_us

HOST, OWNER = "127.0.0.1", "postgres"
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
synchronous_commit = on
"""
WITH_PASSWORD = "host all with_password 127.0.0.1/32 scram-sha-256\n"  # the others need none: only they can reach it


class Server:
    """A PostgreSQL server in a temporary folder, run by an unprivileged user."""

    def __init__(self, *, fsync: bool = False, tls: bool = False) -> None:
        self._bin = _programs()
        self.user = _unprivileged() if os.geteuid() == 0 else None
        self._top = Path(tempfile.mkdtemp(prefix="keyapi_research-server-"))
        self._data = self._top / "data"
        if self.user is not None:
            os.chown(self._top, self.user, -1)
        self._run("initdb", "-D", self._data, "-U", OWNER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self.port = _free_port()
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write(f"{SETTINGS}port = {self.port}\nfsync = {'on' if fsync else 'off'}\n")
            if tls:
                self.certificate, key = certificate(self._data, subprocess.run)
                key.chmod(0o600)
                os.chown(key, self.user or -1, -1)
                settings.write(f"ssl = on\nssl_cert_file = '{self.certificate}'\nssl_key_file = '{key}'\n")
        rules = self._data / "pg_hba.conf"
        rules.write_text(WITH_PASSWORD + rules.read_text())
        self._numbers = count(1)
        self.start()

    def _run(self, program: str, *options: object) -> None:
        subprocess.run(
            [self._bin / program, *map(str, options)],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=self._top,
            user=self.user,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        )

    def start(self) -> None:
        """Start it."""
        self._run("pg_ctl", "-D", self._data, "-l", self._top / "log", "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: fast cuts the connections, immediate is as a power cut."""
        self._run("pg_ctl", "-D", self._data, "-m", mode, "-w", "stop")

    def remove(self) -> None:
        """Stop it and delete all it had."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop("immediate")
        shutil.rmtree(self._top)

    def address(self, name: str, user: str = OWNER) -> str:
        """Return the address of a database."""
        return f"postgresql://{user}@{HOST}:{self.port}/{name}"

    def make(self, options: str = "") -> str:
        """Make an empty database, and return its address."""
        name = f"t{next(self._numbers)}"
        run_sql(self.address("postgres"), f"CREATE DATABASE {name} {options}")
        return self.address(name)

    def drop(self, address: str) -> None:
        """Drop a database, whoever is connected."""
        run_sql(self.address("postgres"), f"DROP DATABASE {address.rpartition('/')[2]} WITH (FORCE)")

    def cut(self) -> int:
        """Cut all connections to its stores; return how many there were."""
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'keyapi_research'"
        return len(run_sql(self.address("postgres"), cut))


def run_sql(address: str, *statements: str) -> list[Any]:
    """Run statements on a server, as another program; return the rows of the last."""
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        for sql in statements:
            found = connection.execute(sql)
        return found.fetchall() if found.description else []


def open_server(*, fsync: bool = False, tls: bool = False) -> Server:
    """Start a server, or skip the test with the reason why there is none."""
    try:
        return Server(fsync=fsync, tls=tls)
    except (LookupError, OSError, subprocess.CalledProcessError) as error:
        why = error.stderr.decode() if isinstance(error, subprocess.CalledProcessError) else str(error)
        pytest.skip(f"no PostgreSQL server can be started here: {why.strip()[:200]}")


POOLER = """
[databases]
* = host={host} port={server} user=postgres
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
ignore_startup_parameters = extra_float_digits
"""


@contextlib.contextmanager
def pooler(server: Server) -> Iterator[int]:
    """Put PgBouncer before a server; give its port."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="keyapi_research-pooler-") as folder:
        Path(folder).chmod(0o755)
        settings = Path(folder, "pgbouncer.ini")
        settings.write_text(POOLER.format(host=HOST, server=server.port, port=port))
        run = subprocess.Popen(
            [program, "-q", settings], user=server.user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_until(lambda: _answers(port))
            yield port
        finally:
            run.terminate()
            run.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def _programs() -> Path:
    there = [Path(found).parent for found in [shutil.which("initdb")] if found]
    there += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in there:
        if (folder / "initdb").exists():
            return folder
    raise LookupError("initdb is not installed")


def _unprivileged() -> int:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    raise LookupError("it does not run as root, and there is no other user")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        return int(free.getsockname()[1])


class Place:
    """Where a test's stores are, by name: files of its folder, or databases of the server."""

    def __init__(self, folder: Path, server: Server | None) -> None:
        self._folder, self._server = folder, server
        self._made: dict[str, str] = {}

    @property
    def on_server(self) -> bool:
        """Whether they are on the server."""
        return self._server is not None

    def __call__(self, name: str = "store") -> Any:
        """Return where a store is: a path, or an address."""
        if self._server is None:
            return self._folder / f"{name}.sqlite"
        if name not in self._made:
            self._made[name] = self._server.make()
        return self._made[name]

    def remove(self) -> None:
        """Drop the databases."""
        for address in self._made.values():
            self._server.drop(address)

    def rows(self, sql: str, *values: Any, name: str = "store") -> list[tuple[Any, ...]]:
        """Run a statement on a store, as another program; return the rows it finds."""
        return rows_of(self(name), sql, *values)

    def content(self, name: str = "store") -> list[Any]:
        """Return all that a store has, to see whether it was changed."""
        tables = ("responses", "keyapi_meta", "keyapi_ledger", "keyapi_answers")
        return [self.rows(f"SELECT * FROM {table} ORDER BY 1", name=name) for table in tables]


def rows_of(store: Any, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run a statement on a store, in the SQL that both kinds have; return the rows it finds."""
    if not is_address(store):
        with contextlib.closing(sqlite3.connect(store, timeout=20)) as db, db:
            return db.execute(sql, values).fetchall()
    import psycopg

    from keyapi_research.store.postgres import translated

    with psycopg.connect(store, autocommit=True) as db:
        found = db.execute(translated(sql), values or None)
        return found.fetchall() if found.description else []


class _ThisClock:
    """Stands for the server's clock in its statements: this process's, which tests move."""

    def __str__(self) -> str:
        return f"{now_us()}::bigint"


THIS_CLOCK = _ThisClock()


def wait_until(true: Any, seconds: float = 30) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


def each_place(kind: str, folder: Path, server: Server | None) -> Iterator[Place]:
    """Give the places of one kind, and remove what was made there."""
    place = Place(folder, server if kind == "server" else None)
    yield place
    place.remove()
