"""A call, before and after it was made: what is asked, what it would cost, what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pandas as pd

from ..endpoints import Ask, Endpoint
from ..errors import KeyAPIError
from ..schema import Table
from ..store import Observation
from .display import facts_html, facts_text


@dataclass(frozen=True)
class Call:
    """What one call of a fetch function asks for, checked."""

    table: Table
    endpoint: Endpoint
    asks: tuple[Ask, ...]
    limit: int | None = None
    max_age: timedelta | str | None = None

    @property
    def name(self) -> str:
        """Name of the fetch function."""
        return f"fetch_{self.table.name}"


@dataclass(frozen=True)
class Plan:
    """What a call would send and cost; nothing was sent.

    Attributes
    ----------
    requests : int
        Requests it would send.
    credits : int
        What they cost; pages of a ranking counted at 20 rows.
    credits_max : int or None
        The same with pages of 10 rows, the smallest KeyAPI mentions; None where the number of pages is not known.
    stored : int
        Entities (or pages) the store serves, at no cost.
    oldest : pandas.Timestamp
        When the oldest of them was observed; NaT where there is none.
    table : str
        The table it gives.
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

    @property
    def _facts(self) -> dict[str, object]:
        bound = "unknown" if self.credits_max is None else f"{self.credits_max:,}"
        facts: dict[str, object] = {
            "requests": self.requests,
            "credits": self.credits if self.credits_max == self.credits else f"{self.credits:,} (at most {bound})",
            "stored": self.stored,
        }
        if self.stored:
            facts["oldest"] = f"{self.oldest:%Y-%m-%d %H:%M} UTC"
        return facts | ({"note": self.note} if self.note else {})

    def __repr__(self) -> str:
        return facts_text(f"<Plan: fetch_{self.table}; nothing was sent>", self._facts)

    def _repr_html_(self) -> str:
        return facts_html(f"Plan of fetch_{self.table} (nothing was sent)", self._facts)


@dataclass
class Collection:
    """What a call got: observations in the order of the rows, and what failed."""

    call: Call
    found: list[tuple[Ask, Observation]] = field(default_factory=list)
    failures: dict[Ask, KeyAPIError | None] = field(default_factory=dict)  # None: not sent after a hard stop
    stop: KeyAPIError | None = None
    arrived: set[int] = field(default_factory=set)
    sent: bool = False
    spent: int = 0

    @property
    def rerun_cost(self) -> int:
        """What asking again for what failed would cost."""
        return self.call.endpoint.cost(len(self.failures))


def failures_frame(failures: Mapping[Ask, KeyAPIError | None], stop: KeyAPIError | None) -> pd.DataFrame:
    """Tabulate what failed: id, error, status_code, code, message, request_id, retryable."""
    rows: list[tuple[Any, ...]] = []
    for ask, error in failures.items():
        if error is None:
            why = f"not sent, because of {type(stop).__name__}" if stop else "not sent"
            rows.append((ask.id, "NotSent", None, None, why, None, True))
        else:
            rows.append((ask.id, type(error).__name__, error.status_code, error.code, error.message,
                         error.request_id, error.retryable))
    dtypes = {"id": "string", "error": "string", "status_code": "Int64", "code": "Int64", "message": "string",
              "request_id": "string", "retryable": "boolean"}
    columns: Sequence[tuple[Any, ...]] = list(zip(*rows, strict=True)) or [()] * len(dtypes)
    return pd.DataFrame({name: pd.array(_small(list(values), dtype), dtype=dtype)
                         for (name, dtype), values in zip(dtypes.items(), columns, strict=True)})


def _small(values: list[Any], dtype: str) -> list[Any]:
    """Codes too large for a column are left out of it; the error has them."""
    return [None if dtype == "Int64" and v is not None and abs(v) >= 2**63 else v for v in values]


def oldest_of(observations: Sequence[Observation]) -> pd.Timestamp:
    """When the oldest of some observations arrived; NaT for none."""
    if not observations:
        return pd.NaT  # type: ignore[return-value]
    return pd.Timestamp(min(one.observed_at for one in observations), unit="us", tz="UTC")
