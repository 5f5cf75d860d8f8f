"""Budgets: what may be spent, counted before it is sent.

A budget is in force within its `with` block, for whatever client, for calls that begin there (in its thread or task)
and in threads that have no block of their own. A call keeps the budgets that were in force when it began.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Self

from ..errors import BudgetExceededError, InvalidArgumentError
from ..settings import is_number
from .display import Facts


class _Register:
    """The budgets that are open in this process, and the one lock of all counting."""

    def __init__(self) -> None:
        self.open: list[Budget] = []
        self.own: ContextVar[tuple[Budget, ...]] = ContextVar("budgets", default=())  # of this thread or task
        self.renew_lock()

    def renew_lock(self) -> None:
        """Let a fork begin with a lock that nobody holds."""
        self.lock = threading.RLock()

    def opened_here(self) -> tuple[Budget, ...]:
        """List the open budgets of this thread or task."""
        with self.lock:
            return tuple(one for one in self.own.get() if one in self.open)


_register: Final = _Register()  # of the process: a budget limits every client, so no client can keep it
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_register.renew_lock)


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
    whole_client: bool = False  # whether it holds for all a client does (max_credits), not for a block
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
        return "" if self.begun or self.whole_client else f"not in force: with kr.budget({self.credits}): ..."

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


def in_block() -> bool:
    """Whether a budget was opened in this thread or task."""
    return bool(_register.opened_here())


def in_force() -> tuple[Budget, ...]:
    """List the budgets that a call which begins now has to keep: its own block's, else all that are open."""
    with _register.lock:
        return _register.opened_here() or tuple(_register.open)


class Account:
    """What one client spent and saved, and the limit it was given."""

    def __init__(self, max_credits: int | None) -> None:
        self.spent = 0
        self.saved = 0
        self.limit = None if max_credits is None else Budget(max_credits, whole_client=True)

    def note_saved(self, credits: int) -> None:  # noqa: A002 - the field's word
        """Count what a call would have cost more with an empty store."""
        with _register.lock:
            self.saved += max(0, credits)


class Reservation:
    """Credits held for one call against the budgets in force when it began, and its client's limit."""

    def __init__(self, account: Account, budgets: Sequence[Budget]) -> None:
        self._account = account
        self._budgets = tuple(budgets) + (() if account.limit is None else (account.limit,))
        self._over = False
        self.amount = 0
        self.spent = 0

    def hold(self, amount: int, what: str) -> None:
        """Hold more credits; BudgetExceededError where a budget has less left."""
        with _register.lock:
            for budget in self._budgets:
                if budget.remaining < amount:
                    raise _exceeded(budget, amount, what)
            self._hold(amount)

    def settle(self, price: int, cost: int) -> None:
        """Turn one request's held price into what it cost."""
        with _register.lock:
            self._hold(0 if self._over else -price)
            for budget in self._budgets:
                budget.spent += cost
            self.spent += cost
            self._account.spent += cost

    def give_back(self) -> None:
        """Return what was held and not needed."""
        with _register.lock:
            self._hold(-self.amount)

    def release(self) -> None:
        """End it: nothing is held for the call any more."""
        with _register.lock:
            self._over = True  # a request that is still under way is counted, but not given back once more
            self.give_back()

    def _hold(self, amount: int) -> None:
        for budget in self._budgets:
            budget.held += amount
        self.amount += amount


def _exceeded(budget: Budget, amount: int, what: str) -> BudgetExceededError:
    needed = budget.spent + budget.held + amount
    whose, allow = f"the budget of {budget.credits:,} credits", f"allow it: with kr.budget({needed}): ..."
    if budget.whole_client:
        whose, allow = "connect(max_credits=...)", f"connect with max_credits={needed} or more"
    return BudgetExceededError(
        f"{what} costs {amount:,} credits; {whose} has {budget.remaining:,} left. Nothing was sent for it; {allow}"
    )
