"""Budgets: what may be spent, counted before it is sent.

A budget is in force within its `with` block, for whatever client, for calls that begin there (in its thread or task)
and in threads that have no block of their own. A call keeps the budgets that were in force when it began.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from ..errors import BudgetExceededError, InvalidArgumentError, shown
from ..settings import is_number
from ..store import PERIODS, Counted, when
from .display import Facts

# What a limit is called, and what allows more than it.
_LIMITS: Final = {
    "block": ("the budget of {credits:,} credits", "allow it: with kr.budget({needed}): ..."),
    "client": ("connect(max_credits=...)", "connect with max_credits={needed} or more"),
    "call": (
        "max_call_credits={credits:,}",
        "allow it: with kr.budget({needed}): ... or connect(max_call_credits={needed})",
    ),
}


def lock_in_each_process(owner: Any) -> None:
    """Give something that belongs to a process its lock; a fork begins with one that nobody holds."""
    owner.lock = threading.RLock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: setattr(owner, "lock", threading.RLock()))


class _Register:
    """The budgets that are open in this process, and the one lock of all counting."""

    lock: threading.RLock

    def __init__(self) -> None:
        self.open: list[Budget] = []
        self.own: ContextVar[tuple[Budget, ...]] = ContextVar("budgets", default=())  # of this thread or task
        lock_in_each_process(self)


_register: Final = _Register()  # of the process: a budget limits every client, so no client can keep it


@dataclass(eq=False, repr=False)  # two of the same amount may be nested
class Budget(Facts):
    """Credits that may be spent within its `with` block; entered again, it goes on with what is left.

    Attributes
    ----------
    credits : int
        The limit.
    spent : int
        Credits spent so far; requests without an answer count with their full price.
    remaining : int
        Credits left.
    """

    credits: int
    limits: str = "block"  # or "client" (max_credits), "call" (max_call_credits); "": it only counts
    spent: int = 0
    held: int = 0
    begun: bool = False

    @property
    def remaining(self) -> int:
        """Credits left, without what is about to be spent."""
        return self.credits - self.spent - self.held

    def __enter__(self) -> Self:
        with _register.lock:
            if self in _register.open:
                raise InvalidArgumentError(f"this budget is already in force: {self!r}. To nest, create another one")
            self.begun = True
            _register.open.append(self)
        _register.own.set((*_register.own.get(), self))
        return self

    def __exit__(self, *_: object) -> None:
        with _register.lock:
            _register.open.remove(self)
        _register.own.set(tuple(one for one in _register.own.get() if one is not self))

    @property
    def _idle(self) -> str:
        """How to put it in force, where it never was."""
        return "" if self.begun else f"not in force: with kr.budget({self.credits}): ..."

    def _text(self, **_: object) -> str:
        if self._idle:
            return f"<Budget of {self.credits:,} credits, {self._idle}>"
        return f"<Budget: {self.spent:,} of {self.credits:,} credits spent, {self.remaining:,} left>"

    def _facts(self, **_: object) -> tuple[str, Mapping[str, object]]:
        idle = {"limits nothing": self._idle} if self._idle else {}
        return "Budget", {"credits": self.credits, "spent": self.spent, "left": self.remaining, **idle}


def make_budget(credits: int) -> Budget:  # noqa: A002 - the public name
    """Return a budget that limits what is spent within its block."""
    if not is_number(credits, whole=True) or credits < 0:
        raise InvalidArgumentError(f"a budget must be a whole number of credits, such as budget(20); got {credits!r}")
    return Budget(int(credits))


@dataclass(frozen=True, repr=False)
class StoreLimit(Facts):
    """What a store lets be spent in a day or a month, by whatever client, and how that stands.

    Attributes
    ----------
    per : str
        "day" or "month", by the calendar, UTC.
    credits : int or None
        The limit; None: there is none.
    spent : int
        Credits used of it so far; requests without an answer count with their full price.
    remaining : int or None
        Credits left.
    until : datetime.datetime or None
        When it begins anew, UTC.
    """

    per: str
    credits: int | None = None
    spent: int = 0
    remaining: int | None = None
    until: datetime | None = None

    @classmethod
    def of(cls, one: Counted) -> Self:
        """Return a limit as its store counted it."""
        return cls(one.per, one.credits, one.used, one.remaining, when(one.until))

    def _words(self) -> str:
        if self.credits is None:
            return f"no limit a {self.per}"
        return (
            f"{self.credits:,} credits a {self.per}, {self.spent:,} spent, {self.remaining:,} left until "
            f"{self.until:%Y-%m-%d %H:%M} UTC"
        )

    def __str__(self) -> str:
        return self._words()

    def _text(self, **_: object) -> str:
        return f"<Limit of the store: {self._words()}>"

    def _facts(self, **_: object) -> tuple[str, Mapping[str, object]]:
        facts = {"credits": self.credits, "per": self.per}
        if self.until is None:
            return "Limit of the store", facts
        until = f"{self.until:%Y-%m-%d %H:%M} UTC"
        return "Limit of the store", {**facts, "spent": self.spent, "left": self.remaining, "begins anew": until}


def read_limit(credits: object, per: object) -> int | None:  # noqa: A002 - the public name
    """Return the credits of a limit of the store, checked with its period."""
    if not isinstance(per, str) or per not in PERIODS:
        raise InvalidArgumentError(f'per must be "day" or "month"; got {shown(per)}')
    if credits is None:
        return None
    if not is_number(credits, whole=True) or credits < 0:  # type: ignore[operator]
        raise InvalidArgumentError(
            "a limit must be a whole number of credits, such as limit_store(500), or None, which lifts it; got "
            f"{shown(credits)}"
        )
    return int(credits)  # type: ignore[call-overload, no-any-return]


def make_limit(credits: int | None, limits: str) -> Budget:  # noqa: A002 - the public name
    """Return what counts the credits of a client or a call, and limits them where there is a limit."""
    return Budget(0, limits="") if credits is None else Budget(credits, limits=limits)


class Reservation:
    """Credits held and spent by one call: by its own limit, the budgets in force when it began, and its client's limit.

    In force are those of the block it began in, which also lifts the limit of a call; without one all that are open.
    """

    def __init__(self, account: Budget, call_credits: int | None) -> None:
        with _register.lock:
            own = [one for one in _register.own.get() if one in _register.open]
            self.call = make_limit(None if own else call_credits, "call")
            self._budgets = (self.call, *(own or _register.open), account)
        self._over = False

    def hold(self, amount: int, what: str) -> None:
        """Hold more credits; BudgetExceededError where a budget has less left."""
        with _register.lock:
            for budget in self._budgets:
                if budget.limits and budget.remaining < amount:
                    raise _exceeded(budget, amount, what)
            self._hold(amount)

    def settle(self, price: int, cost: int) -> None:
        """Turn one request's held price into what it cost."""
        with _register.lock:
            self._hold(0 if self._over else -price)
            for budget in self._budgets:
                budget.spent += cost

    def give_back(self) -> None:
        """Return what was held and not needed."""
        with _register.lock:
            self._hold(-self.call.held)

    def release(self) -> None:
        """End it: nothing is held for the call any more."""
        with _register.lock:
            self._over = True  # a request that is still under way is counted, but not given back once more
            self.give_back()

    def _hold(self, amount: int) -> None:
        for budget in self._budgets:
            budget.held += amount


def _exceeded(budget: Budget, amount: int, what: str) -> BudgetExceededError:
    needed = budget.spent + budget.held + amount
    whose, allow = (text.format(credits=budget.credits, needed=needed) for text in _LIMITS[budget.limits])
    left = f"{budget.remaining:,} left{f' ({budget.spent:,} spent so far)' if budget.spent else ''}"
    return BudgetExceededError(f"{what} costs {amount:,} credits; {whose} has {left}. Nothing was sent for it; {allow}")
