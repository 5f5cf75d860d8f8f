"""Budgets: what may be spent, counted before it is sent."""

from __future__ import annotations

import contextlib
import numbers
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..errors import BudgetExceededError, InvalidArgumentError
from .display import facts_html


@dataclass
class Budget:
    """Credits that may be spent while it lasts.

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
    spent: int = 0
    held: int = field(default=0, repr=False)
    whole_client: bool = field(default=False, repr=False)

    @property
    def remaining(self) -> int:
        """Credits left, without what is about to be spent."""
        return self.credits - self.spent - self.held

    def __repr__(self) -> str:
        return f"<Budget: {self.spent:,} of {self.credits:,} credits spent, {self.remaining:,} left>"

    def _repr_html_(self) -> str:
        return facts_html("Budget", {"credits": self.credits, "spent": self.spent, "left": self.remaining})


class Purse:
    """All budgets of a client; a reservation holds against every one of them."""

    def __init__(self, max_credits: int | None) -> None:
        self.lock = threading.RLock()
        self.spent = 0
        self.saved = 0
        self.budgets = [] if max_credits is None else [Budget(max_credits, whole_client=True)]

    @property
    def in_block(self) -> bool:
        """Whether a `with budget(...)` block is open."""
        return any(not budget.whole_client for budget in self.budgets)

    def budget(self, credits: int) -> contextlib.AbstractContextManager[Budget]:  # noqa: A002 - the public name
        """Limit what is spent within a block."""
        if isinstance(credits, bool) or not isinstance(credits, numbers.Integral) or credits < 0:
            raise InvalidArgumentError(f"budget takes a whole number of credits, as budget(20); got {credits!r}")
        return self._within(Budget(int(credits)))

    @contextlib.contextmanager
    def _within(self, budget: Budget) -> Iterator[Budget]:
        with self.lock:
            self.budgets.append(budget)
        try:
            yield budget
        finally:
            with self.lock:
                self.budgets = [one for one in self.budgets if one is not budget]  # equal ones may be nested


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
