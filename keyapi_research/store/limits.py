"""What a store lets be spent in a day or a month, whoever spends: counted in the transaction of the ledger row.

A limit is a row of what the store knows of itself, with the credits used in its period so far, so that a request
need not add up a ledger of a million rows. Where that count is of another period, or rows came that it does not
know, the ledger is read.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from ..errors import BudgetExceededError
from ..model import endpoints
from .database import Writer
from .facts import LedgerRow, compact_json, microseconds_of, when
from .formats import put_fact
from .reading import SELECTED, Reader

PERIODS: Final = ("day", "month")
_NAMES: Final = {f"limit of a {per}": per for per in PERIODS}  # in the store
_AT_ONCE: Final = 1000  # rows of the ledger: more at a time would not fit into memory where there are a million


@dataclass(frozen=True, slots=True)
class Counted:
    """A limit of a store, and what is used of it.

    Attributes
    ----------
    per : str
        "day" or "month".
    credits : int
        The limit.
    since : int
        When the period began, in microseconds since 1970.
    used : int
        Credits used in it.
    request : int
        Id of the last ledger row that is counted.
    """

    per: str
    credits: int
    since: int
    used: int = 0
    request: int = 0

    @property
    def until(self) -> int:
        """When it begins anew, in microseconds since 1970."""
        return period_of(self.since, self.per)[1]

    @property
    def remaining(self) -> int:
        """Credits left."""
        return max(0, self.credits - self.used)


def period_of(moment: int, per: str) -> tuple[int, int]:
    """Return when the day or month of a moment begins, and when the next one does."""
    day = datetime.combine(when(moment), datetime.min.time(), UTC)
    if per == "day":
        return microseconds_of(day), microseconds_of(day + timedelta(days=1))
    first = day.replace(day=1)
    return microseconds_of(first), microseconds_of((first + timedelta(days=31)).replace(day=1))


def _usual_price(path: str) -> int:
    """Return the price of an endpoint of the package, whatever a session declares; of another the highest there is."""
    prices = {one.path: one.credits for one in sorted(endpoints(yours=False), key=lambda one: one.credits)}
    return prices.get(path, max(prices.values()))


def exceeded(one: Counted, amount: int, what: str) -> BudgetExceededError:
    """Return the error of what costs more than a limit has left."""
    return BudgetExceededError(
        f"{what} costs {amount:,} credit{'s' * (amount != 1)}; the limit of this store, {one.credits:,} credits a "
        f"{one.per}, has {one.remaining:,} left ({one.used:,} used since {when(one.since):%Y-%m-%d}, by all its "
        f"clients). Nothing was sent for it. Wait until {when(one.until):%Y-%m-%d %H:%M} UTC, when it begins anew, or "
        f"allow more: kr.limit_store({one.used + amount}, per={one.per!r}); kr.limit_store(None, per={one.per!r}) "
        "lifts it"
    )


class LimitReader(Reader):
    """An open store, and how its limits stand."""

    def cost_of(self, row: LedgerRow, price: int | None = None) -> int:
        """Return what a row of the ledger counts: without an answer its full price, unless it surely never arrived.

        Where that is not known, it is the usual one, or a higher one that was given for the path: the ledger has none.
        """
        if row.credits is not None:
            return row.credits
        if row.undelivered:
            return 0
        return max(_usual_price(row.endpoint), self._noted_price(row.endpoint)) if price is None else price

    def _noted_price(self, path: str) -> int:
        return int(self._fact(f"price of {path}") or 0)

    def limits(self, moment: int | None = None) -> list[Counted]:
        """Return the limits as they stand now, or at a moment."""
        at = self.now() if moment is None else moment
        return [self._counted(one, at) for one in self._limits()]

    def check_limits(self, amount: int, what: str) -> None:
        """Refuse what is known to cost more than a limit has left."""
        for one in self.limits():
            if amount > one.remaining:
                raise exceeded(one, amount, what)

    def _limits(self) -> list[Counted]:
        """Read the limits as they were last written."""
        names = compact_json(list(_NAMES))
        those = "name IN (SELECT j.value FROM json_each(?) j)"
        sql = f"SELECT name, value, checksum FROM keyapi_meta WHERE {those} ORDER BY 1"
        return [self._limit(name, self._checked_fact(name, *rest)) for name, *rest in self._rows(sql, (names,))]

    def _limit(self, name: str, value: str) -> Counted:
        try:
            numbers = json.loads(value)
            one = Counted(_NAMES[name], *numbers)
        except (ValueError, TypeError) as error:
            raise self._damaged(f"its {name} cannot be read") from error
        if any(type(number) is not int for number in numbers):
            raise self._damaged(f"its {name} cannot be read")
        return one

    def _counted(self, one: Counted, moment: int) -> Counted:
        """Count what the ledger has in the period of a moment and the limit does not know."""
        since, _ = period_of(moment, one.per)
        if since != one.since:  # the next period, or a clock that was set back
            one = replace(one, since=since, used=0, request=0)
        used, last = one.used, one.request
        while rows := self._sent_between(one.since, one.until, after=last):
            used, last = used + sum(map(self.cost_of, rows)), rows[-1].id
        return replace(one, used=used, request=max(last, self.totals().requests))

    def _sent_between(self, since: int, until: int, *, after: int) -> list[LedgerRow]:
        """Read some ledger rows of a period, with ids after one; what was imported was not paid from here."""
        rows = self._rows(
            f"SELECT {SELECTED} FROM keyapi_ledger l WHERE l.id > ? AND l.imported = 0 AND l.sent_at >= ?"
            " AND l.sent_at < ? ORDER BY l.id LIMIT ?",
            (after, since, until, _AT_ONCE),
        )
        return self._ledger_rows(rows)

    # Within a transaction -----------------------------------------------------------------------------------

    def _reserve(self, db: Writer, request: int, price: int, sent_at: int, what: str) -> None:
        """Count a request that is about to be sent; refuse it where a limit has less left."""
        for one in self._limits():
            now = self._counted(one, sent_at)
            if price > now.remaining:
                raise exceeded(now, price, what)
            put_limit(db, replace(now, used=now.used + price, request=request))

    def _note_price(self, db: Writer, path: str, price: int) -> None:
        """Note a price that a user gave, for requests that are not answered."""
        if price > _usual_price(path) and price > self._noted_price(path):
            put_fact(db, f"price of {path}", str(price))

    def _settle(self, db: Writer, row: LedgerRow, price: int) -> None:
        """Count what a request cost in the place of its price, where the price is what was counted."""
        refund = price - self.cost_of(row, price)
        for one in self._limits() if refund else ():
            if row.id <= one.request and one.since <= row.sent_at < one.until:
                put_limit(db, replace(one, used=one.used - refund))


def put_limit(db: Writer, one: Counted) -> None:
    """Write a limit and what is used of it."""
    _, *numbers = astuple(one)
    put_fact(db, f"limit of a {one.per}", compact_json(numbers))


def drop_limit(db: Writer, per: str) -> None:
    """Lift a limit."""
    db.execute("DELETE FROM keyapi_meta WHERE name = ?", (f"limit of a {per}",))
