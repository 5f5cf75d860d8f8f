"""The facts a store keeps: observations, how requests ended, claims, totals; and how times and JSON are written."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, NamedTuple, get_type_hints

from ..queries import Query

UNDELIVERED: Final = "not delivered"  # how the ledger's message begins where a request surely never arrived

Row = tuple[Any, ...]


class LedgerRow(NamedTuple):
    """One request, as the ledger has it; times in microseconds since 1970, UTC.

    What follows `attempt` is None where no answer came: an `Outcome`. The last two are of this store, no archive has
    them: who sent it, and whether it came with another store.
    """

    id: int
    sent_at: int
    endpoint: str
    params: str
    n_entities: int
    attempt: int
    http_status: int | None = None
    code: int | None = None
    message: str | None = None
    request_id: str | None = None
    credits: int | None = None
    elapsed_s: float | None = None
    client: str | None = None
    imported: int = 0

    @property
    def undelivered(self) -> bool:
        """Whether it surely never arrived, so that it cost nothing."""
        return (self.message or "").startswith(UNDELIVERED)


_SQL: Final[Mapping[object, str]] = MappingProxyType(
    {
        int: "INTEGER NOT NULL",
        int | None: "INTEGER",
        str: "TEXT NOT NULL",
        str | None: "TEXT",
        float | None: "REAL",
    }
)
OF_THIS_STORE: Final = LedgerRow._fields[-2:]
SQL_OF_LEDGER: Final[Mapping[str, str]] = MappingProxyType(
    {name: _SQL[kind] for name, kind in get_type_hints(LedgerRow).items() if name != "id"}
)
LEDGER_COLUMNS: Final[Mapping[str, str]] = MappingProxyType(
    {name: kind for name, kind in SQL_OF_LEDGER.items() if name not in OF_THIS_STORE}
)  # of an archive, too, and their SQL types


class Observation(NamedTuple):
    """One stored answer about one entity, without its body; times in microseconds since 1970, UTC.

    Each page of a ranking is one; `pull` (the ledger id of its first page) says which pages belong together, `wanted`
    how many rows the call wanted that brought the page (None: all). `data` and `body` are checksums of the answer's
    data and of its stored body. A day of a series is an answer of its own, whose params name the day; where `absent`,
    KeyAPI had nothing. A tuple, because plans make them by the hundred thousand.
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


@dataclass(slots=True)  # not frozen, which takes three times as long: there are as many as ids
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
    """What is being requested just now, or was a moment ago: by which request, until when it holds.

    `read_at` is when it was read, by the clock that `until` was written by.
    """

    request: int
    until: int
    done: bool
    read_at: int = field(compare=False)

    @property
    def holds(self) -> bool:
        """Whether its request was still under way."""
        return not self.done and self.until > self.read_at


@dataclass(frozen=True, slots=True)
class Begun:
    """A request that may be sent: its ledger row (0: none), and which offered entities others request.

    `wait` is the seconds until it may, where others keep the same pace.
    """

    request: int
    elsewhere: tuple[str, ...]
    wait: float = 0.0


class Totals(NamedTuple):
    """How many rows the store has: what no reading of a damaged store can make less.

    `imported` is what the requests cost that came with other stores.
    """

    answers: int = 0
    absences: int = 0
    requests: int = 0
    credits: int = 0
    unanswered: int = 0
    imported: int = 0

    def plus(self, more: Totals) -> Totals:
        """Return these and more."""
        return Totals(*map(sum, zip(self, more, strict=True)))


def in_this_process(close: Callable[[], None]) -> Callable[[], None]:
    """Wrap a closing function so that a fork, which shares what it closes, does nothing."""
    process = os.getpid()
    return lambda: close() if os.getpid() == process else None


def now_us() -> int:
    """Return the time in microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def when(microseconds: int) -> datetime:
    """Turn microseconds since 1970 into a time."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def microseconds_of(moment: datetime) -> int:
    """Turn a time into microseconds since 1970."""
    return (moment - when(0)) // timedelta(microseconds=1)


def compact_json(value: object) -> str:
    """Write JSON the one way it is kept: parameters of a store and of an archive are exactly equal."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)


def this_process() -> str:
    """Return who sends, for the ledger: machine and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def claim_of(entity: str, page: int) -> str:
    """Return what a request claims: an entity, or a page of a ranking."""
    return f"{entity}/{page}" if page else entity
