"""What a store needs of the database that has its rows: a file here, or a server that several machines share.

The SQL of the store is written once, in what SQLite and PostgreSQL have in common. Where they differ it is SQLite's,
and `postgres` says the same in PostgreSQL's: `?` is a value, `json_each(?) j` the texts of a JSON list and
`json_each(?) n` its whole numbers, each in the column `value`.
"""

from __future__ import annotations

import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol

from .facts import Row


class Found(Protocol):
    """What a statement found."""

    def fetchone(self) -> Any:
        """Return the next row; None after the last."""


class Writer(Protocol):
    """What writes rows within a transaction."""

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Found:
        """Run a statement."""

    def executemany(self, sql: str, values: Sequence[Sequence[Any]], /) -> object:
        """Run a statement once for each of several values."""


class Database(ABC):
    """The rows of a store, whatever keeps them; tests shorten its patience."""

    patience: ClassVar[float] = 20.0  # seconds that it is waited for
    path: str  # as messages name it
    read_only: bool
    place: Hashable | None  # tells it from others; None where only its own connection has it
    _lock: threading.RLock  # of the one connection that all threads share
    _closing: weakref.finalize[..., Any]  # closes it

    def close(self) -> None:
        """Close it."""
        with self._lock:
            self._closing()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return not self._closing.alive

    @abstractmethod
    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Read rows."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Writer]:
        """Write all of it or nothing, while nobody else writes."""

    @abstractmethod
    def alone(self, name: str) -> AbstractContextManager[None]:
        """Wait until no other program is under this name, and keep others waiting."""

    @abstractmethod
    def now(self) -> int:
        """Return the time that all who share it go by, in microseconds since 1970; it may stand in a transaction."""

    @abstractmethod
    def claim_time(self) -> int:
        """Return the time that claims are held against: an earlier one where nobody could have renewed them of late."""

    @abstractmethod
    def next_send(self, db: Writer, spacing: int) -> tuple[int, float]:
        """Return when a request may go out by the pace that all who share it keep, and in how many seconds that is.

        By the client's own pace it may now; `spacing` is the microseconds the client leaves between two.
        """

    @abstractmethod
    def size(self) -> int:
        """Return how many bytes it has."""

    @abstractmethod
    def check_writable(self) -> None:
        """Refuse to start spending where an answer could not be kept."""

    @abstractmethod
    def check_there(self) -> None:
        """Refuse to go on where it is no longer at its place."""
