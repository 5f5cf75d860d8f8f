"""A call, before and after it was made: what it requests, what it would cost, what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from ..arguments import Value
from ..errors import KeyAPIError, StoreError
from ..model import DTYPES, Endpoint, Table, Untyped
from ..queries import Query
from ..store import LEDGER_COLUMNS, Answer, LedgerRow, Observation, when
from .display import Facts
from .pacing import is_hard

if TYPE_CHECKING:
    from .client import Client

_MOST_ENVELOPES: Final = 1_000  # of a call that stay in memory until it ends; the store has all


@dataclass(frozen=True)
class Call:
    """What one call of a fetch function requests, checked; nothing was sent for it yet.

    `partial`: what cannot be fetched is left out. `read` are stored answers that led to it. `probing`: it only finds
    out whether there is an answer, so an answer that does not come is not missing from a study. `since` has the ids of
    the last answer and request that its maker knew of: what others requested since then is not requested again. `today`
    is the day that its dates are relative to, if they are. `not_before` is a moment: only what came since, or is final,
    serves.
    """

    table: Table
    endpoint: Endpoint
    queries: tuple[Query, ...]
    limit: int | None = None
    max_age: timedelta | str | None = None
    partial: bool = False
    client: Client | None = None  # None: the default one
    read: tuple[Observation, ...] = ()
    probing: bool = False
    since: tuple[int, int] | None = None
    today: date | None = None
    not_before: int | None = None

    @property
    def one_page(self) -> bool:
        """Whether it is for the first page of a ranking only, whatever that has."""
        return isinstance(self.table, Untyped) and self.table.one_page

    @property
    def name(self) -> str:
        """Name of the fetch function."""
        return self.table.function


@dataclass(frozen=True, repr=False)
class Plan(Facts):
    """What a call would send and cost; nothing was sent.

    Attributes
    ----------
    requests : int
        Requests it would send.
    credits : int
        What they cost, if every list and series has as much as was asked for; pages counted at their largest size.
    credits_max : int or None
        The same with pages of the smallest size KeyAPI mentions; None where the number of pages is not known.
    stored : int
        Entities (or pages) the store serves, at no cost.
    oldest : pandas.Timestamp
        When the oldest of them was observed; NaT where there is none.
    table : str
        Name of the table.
    note : str
        What else to know.
    """

    requests: int
    credits: int
    credits_max: int | None
    stored: int
    oldest: pd.Timestamp = field(default=pd.NaT)  # type: ignore[assignment]
    table: str = ""
    note: str = ""

    def _facts(self, **_: object) -> tuple[str, Mapping[str, object]]:
        bound = "unknown" if self.credits_max is None else f"{self.credits_max:,}"
        facts: dict[str, object] = {
            "requests": self.requests,
            "credits": self.credits if self.credits_max == self.credits else f"{self.credits:,} (at most {bound})",
            "stored": self.stored,
        }
        if self.stored:
            facts["oldest"] = f"{self.oldest:%Y-%m-%d %H:%M} UTC"
        note = {"note": self.note} if self.note else {}
        function = f"fetch_endpoint {self.table}" if self.table.startswith("/") else f"fetch_{self.table}"
        return f"Plan: {function}; nothing was sent", facts | note


@dataclass
class Collection:
    """What a call got: answers in the order of the rows, and what failed."""

    call: Call
    answers: list[Answer] = field(default_factory=list)
    failures: dict[Query, KeyAPIError | None] = field(default_factory=dict)  # None: not sent after a hard stop
    stop: KeyAPIError | None = None
    arrived: set[int] = field(default_factory=set)  # ids of the answers that were sent for
    sent: bool = False

    def arrive(self, answer: Answer) -> Answer:
        """Note that an answer was sent for; return it, with its envelope where it is one of the first."""
        first = len(self.arrived) < _MOST_ENVELOPES
        self.arrived.add(answer.observation.id)
        return answer if first else replace(answer, envelope=None)

    def fail(self, query: Query, error: KeyAPIError | None) -> None:
        """Note what failed; the first hard stop is the call's, but for one that lost an answer."""
        self.failures[query] = error
        worse = isinstance(error, StoreError) and not isinstance(self.stop, StoreError)
        if error is not None and is_hard(error) and (self.stop is None or worse):
            self.stop = error

    def put_in_order(self) -> None:
        """Put the answers into the order of the queries; what has none has failed."""
        found = {one.query: one for one in self.answers}
        queries, failures = self.call.queries, self.failures
        self.answers = [found[query] for query in queries if query in found]
        self.failures = {query: failures.get(query) for query in queries if query not in found}


def named(queries: Sequence[Query]) -> list[str]:
    """Name what some queries are about, each once; of a series with its days."""
    by_whom: dict[tuple[Value, ...], list[Query]] = {}
    for query in queries:
        by_whom.setdefault(query.whom, []).append(query)
    return [
        repr(some[0].id) + (f" ({days_text([one.day for one in some])})" if some[0].endpoint.series else "")
        for some in by_whom.values()
    ]


def days_text(days: Sequence[str]) -> str:
    """Write some days."""
    first, last = min(days), max(days)
    return first if first == last else f"{counted(len(days), 'day')} from {first} to {last}"


def priced(requests: int, endpoint: Endpoint) -> str:
    """Write a number of requests, and what they cost."""
    return f"{counted(requests, 'request')} = {counted(requests * endpoint.credits, 'credit')}"


def counted(number: int, noun: str) -> str:
    """Write a number of things."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


_FAILURE_DTYPES: Final = {
    "id": "string",
    "error": "string",
    "status_code": "Int64",
    "code": "Int64",
    "message": "string",
    "request_id": "string",
    "retryable": "boolean",
}
_OF_SQL: Final = {"INTEGER": DTYPES["count"], "TEXT": DTYPES["text"], "REAL": DTYPES["number"]}
_LEDGER_DTYPES: Final = {
    **{name: _OF_SQL[kind.split()[0]] for name, kind in LEDGER_COLUMNS.items()},
    "sent_at": DTYPES["time"],
    "imported": DTYPES["flag"],
    "client": DTYPES["text"],
}
_LARGEST: Final = 2**63


def _tabulate(rows: Sequence[Sequence[Any]], dtypes: Mapping[str, str]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(dtypes), dtype=object).astype(dict(dtypes))


def failures_frame(failures: Mapping[Query, KeyAPIError | None], stop: KeyAPIError | None) -> pd.DataFrame:
    """Tabulate what failed: id, error, status_code, code, message, request_id, retryable."""
    unsent = KeyAPIError(f"not sent, because of {type(stop).__name__}" if stop else "not sent", retryable=True)
    rows = []
    for query, failed in failures.items():
        one, name = failed or unsent, type(failed).__name__ if failed else "NotSent"
        code = writable_code(one.code)
        row = (query.id, name, one.status_code, code, one.message, one.request_id, one.retryable)
        rows.append((row, query.whom))
    return _tabulate([row for row, _ in dict.fromkeys(rows)], _FAILURE_DTYPES)  # of a series one for all its days


def ledger_frame(rows: Sequence[LedgerRow]) -> pd.DataFrame:
    """Tabulate ledger rows: sent_at, endpoint, params, n_entities, attempt and so on, imported, client."""
    cells = [(when(row.sent_at), *row[2 : len(LEDGER_COLUMNS) + 1], bool(row.imported), row.client) for row in rows]
    return _tabulate(cells, _LEDGER_DTYPES)


def writable_code(code: int | None) -> int | None:
    """Leave out a code too large for a column; the error has it."""
    return None if code is None or abs(code) >= _LARGEST else code


def oldest_of(observations: Sequence[Observation]) -> pd.Timestamp:
    """When the oldest of some observations arrived; NaT for none."""
    if not observations:
        return pd.NaT  # type: ignore[return-value]
    return pd.Timestamp(min(one.observed_at for one in observations), unit="us", tz="UTC")
