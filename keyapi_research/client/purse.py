"""Budgets: what may be spent, counted before it is sent."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self

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
    purse: Purse | None = None  # None: it holds for the whole client
    spent: int = 0
    held: int = 0
    begun: bool = False

    @property
    def remaining(self) -> int:
        """Credits left, without what is about to be spent."""
        return self.credits - self.spent - self.held

    @property
    def whole_client(self) -> bool:
        """Whether it holds for all the client does, not for a block."""
        return self.purse is None

    def __enter__(self) -> Self:
        if self.purse is None:  # one that was made by hand would limit nothing
            raise InvalidArgumentError(f"make it with kr.budget: with kr.budget({self.credits}): ...")
        self.purse.put_in_force(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.purse is not None:
            self.purse.lift(self)

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


class Purse:
    """All budgets of a client; a reservation holds against every one of them."""

    def __init__(self, max_credits: int | None) -> None:
        self.lock = threading.RLock()
        self.spent = 0
        self.saved = 0
        self.budgets = [] if max_credits is None else [Budget(max_credits)]

    @property
    def in_block(self) -> bool:
        """Whether a `with budget(...)` block is open."""
        with self.lock:
            return any(not budget.whole_client for budget in self.budgets)

    def budget(self, credits: int) -> Budget:  # noqa: A002 - the public name
        """Limit what is spent within a block."""
        if not is_number(credits, whole=True) or credits < 0:
            raise InvalidArgumentError(f"budget takes a whole number of credits, as budget(20); got {credits!r}")
        return Budget(int(credits), self)

    def put_in_force(self, budget: Budget) -> None:
        """Hold a budget against all that is spent from now on."""
        with self.lock:
            if budget in self.budgets:
                raise InvalidArgumentError(f"this budget is in force already; nest another one: {budget!r}")
            budget.begun = True
            self.budgets.append(budget)

    def lift(self, budget: Budget) -> None:
        """End a budget."""
        with self.lock:
            self.budgets.remove(budget)


class Reservation:
    """Credits held for one call; given back when it ends."""

    def __init__(self, purse: Purse) -> None:
        self._purse = purse
        self._held: list[Budget] | None = None
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
        with self._purse.lock:
            for budget in self._purse.budgets:
                if budget.remaining < amount:
                    whose = (
                        "connect(max_credits=...)"
                        if budget.whole_client
                        else f"the budget of {budget.credits:,} credits"
                    )
                    allow = (
                        f"connect with max_credits={budget.spent + budget.held + amount} or more"
                        if budget.whole_client
                        else f"allow it: with kr.budget({budget.spent + budget.held + amount}): ..."
                    )
                    raise BudgetExceededError(
                        f"{what} costs {amount:,} credits; {whose} has {budget.remaining:,} left. "
                        f"Nothing was sent for it; {allow}"
                    )
            if self._held is None:
                self._held = list(self._purse.budgets)
            for budget in self._held:
                budget.held += amount
            self.amount += amount

    def settle(self, price: int, cost: int) -> None:
        """Turn one request's held price into what it cost."""
        with self._purse.lock:
            for budget in self._held or ():
                budget.held -= 0 if self._over else price
                budget.spent += cost
            self.amount -= 0 if self._over else price
            self.spent += cost
            self._purse.spent += cost

    def release(self) -> None:
        """Give back what was held and not needed."""
        with self._purse.lock:
            self._over = True  # after a second Ctrl-C a request may still be under way
            for budget in self._held or ():
                budget.held -= self.amount
            self.amount = 0
