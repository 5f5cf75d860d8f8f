"""Budgets: what may be spent, counted before it is sent.

A budget is in force within its `with` block, for whatever client, for calls that begin there (in its thread or task)
and in threads that have no block of their own. A call keeps the budgets that were in force when it began.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from ..errors import BudgetExceededError, InvalidArgumentError
from ..settings import is_number
from .display import facts_html


@dataclass(eq=False)  # two of the same amount may be nested
class Budget:
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
        with _lock:
            if self in _in_force:
                raise InvalidArgumentError(f"this budget is in force already; nest another one: {self!r}")
            self.begun = True
            _in_force.append(self)
        _own.set((*_own.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _lock:
            _in_force.remove(self)
        _own.set(tuple(one for one in _own.get() if one is not self))

    @property
    def _idle(self) -> str:
        """How to put it in force, where it never was."""
        return "" if self.begun or self.whole_client else f"not in force: with kr.budget({self.credits}): ..."

    def __repr__(self) -> str:
        if self._idle:
            return f"<Budget of {self.credits:,} credits, {self._idle}>"
        return f"<Budget: {self.spent:,} of {self.credits:,} credits spent, {self.remaining:,} left>"

    def _repr_html_(self) -> str:
        idle = {"limits nothing": self._idle} if self._idle else {}
        return facts_html("Budget", {"credits": self.credits, "spent": self.spent, "left": self.remaining, **idle})


_lock = threading.RLock()  # of all counting: a budget may hold for several clients
_in_force: Final[list[Budget]] = []
_own: Final[ContextVar[tuple[Budget, ...]]] = ContextVar("budgets", default=())


def make_budget(credits: int) -> Budget:  # noqa: A002 - the public name
    """Make a budget; it limits what is spent within its block."""
    if not is_number(credits, whole=True) or credits < 0:
        raise InvalidArgumentError(f"budget takes a whole number of credits, as budget(20); got {credits!r}")
    return Budget(int(credits))


def in_block() -> bool:
    """Whether a budget was opened in this thread or task."""
    with _lock:
        return any(one in _in_force for one in _own.get())


def in_force() -> tuple[Budget, ...]:
    """List the budgets that a call which begins now has to keep: its own block's, else all that are open."""
    with _lock:
        own = tuple(one for one in _own.get() if one in _in_force)
        return own or tuple(_in_force)


def _new_lock() -> None:
    """Let a fork begin with a lock that nobody holds."""
    global _lock  # noqa: PLW0603 - the one lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


class Account:
    """What one client spent and saved, and the limit it was given."""

    def __init__(self, max_credits: int | None) -> None:
        self.spent = 0
        self.saved = 0
        self.limit = None if max_credits is None else Budget(max_credits, whole_client=True)


class Reservation:
    """Credits held for one call against all budgets it has to keep; given back when it ends.

    Parameters
    ----------
    account : Account
        The client's.
    budgets : sequence of Budget
        Those that were in force when the call began.
    """

    def __init__(self, account: Account, budgets: Sequence[Budget]) -> None:
        self._account = account
        self._budgets = tuple(budgets) + (() if account.limit is None else (account.limit,))
        self._over = False
        self.amount = 0
        self.spent = 0

    def hold(self, amount: int, what: str) -> None:
        """Hold more credits, or refuse.

        Raises
        ------
        BudgetExceededError
            A budget has less left.
        """
        with _lock:
            for budget in self._budgets:
                if budget.remaining < amount:
                    needed = budget.spent + budget.held + amount
                    whose, allow = (
                        ("connect(max_credits=...)", f"connect with max_credits={needed} or more")
                        if budget.whole_client
                        else (f"the budget of {budget.credits:,} credits", f"allow it: with kr.budget({needed}): ...")
                    )
                    raise BudgetExceededError(
                        f"{what} costs {amount:,} credits; {whose} has {budget.remaining:,} left. "
                        f"Nothing was sent for it; {allow}"
                    )
            self._hold(amount)

    def settle(self, price: int, cost: int) -> None:
        """Turn one request's held price into what it cost."""
        with _lock:
            self._hold(0 if self._over else -price)
            for budget in self._budgets:
                budget.spent += cost
            self.spent += cost
            self._account.spent += cost

    def give_back(self) -> None:
        """Give back what was held and not needed."""
        with _lock:
            self._hold(-self.amount)

    def release(self) -> None:
        """End it: nothing is held for the call any more."""
        with _lock:
            self._over = True  # a request that is still under way is counted, but not given back once more
            self.give_back()

    def _hold(self, amount: int) -> None:
        for budget in self._budgets:
            budget.held += amount
        self.amount += amount
