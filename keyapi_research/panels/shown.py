"""What a panel returns about itself: its costs, and how it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import pandas as pd

from ..client.display import Facts
from ..errors import listed

_MOST_NAMED: Final = 10


@dataclass(frozen=True, repr=False)
class PanelPlan(Facts):
    """What the round that is due and a year of rounds cost at most; nothing was sent.

    Attributes
    ----------
    round : int
        The round that is due; the first, if none is yet.
    credits : int
        What is still to be paid for it, at most.
    credits_per_round : int
        What a whole round costs, at most.
    rounds : int
        How many rounds begin in a year, this one included.
    credits_per_year : int
        What they cost, at most; exact if all ids are listed, no two fetches share an answer, no answer
        is final, and every round is run in one go.
    fetches : tuple of (str, int or None)
        Each function with its credits a round, at most; None if it cannot be known in advance.
    note : str
        What else to know.
    """

    round: int
    credits: int
    credits_per_round: int
    rounds: int
    credits_per_year: int
    fetches: tuple[tuple[str, int | None], ...] = ()
    note: str = ""

    def _facts(self, **_: object) -> tuple[str, Mapping[str, object]]:
        each = {
            f"fetch {number}": f"{name}: {'not known in advance' if price is None else f'{price:,} a round'}"
            for number, (name, price) in enumerate(self.fetches, start=1)
        }
        return "Panel plan: credits at most; nothing was sent", {
            "round": self.round, "this round": self.credits, "a whole round": self.credits_per_round, **each,
            "a year": f"{self.credits_per_year:,} for {self.rounds:,} rounds",
            **({"note": self.note} if self.note else {}),
        }  # fmt: skip


@dataclass(frozen=True, repr=False)
class PanelStatus(Facts):
    """How a panel stands.

    Attributes
    ----------
    name : str
        Name of the panel.
    round : int
        Number of the round whose interval it is now; 0 before the first.
    state : str
        Of this round: "done", "due", "incomplete" (cut off; run it again), or "not begun" before the first.
    next : datetime.datetime
        When the next round begins, UTC.
    done, incomplete, missed : tuple of int
        The rounds that were done; those that were cut off, so that only a part is there; those that were never run
        before their interval was over.
    credits_spent : int
        By all rounds.
    file_since : int
        The round since which every round used this version of the file; 0 if none did yet.
    rounds : pandas.DataFrame
        One row a round up to now: round (Int64), begins, ends, done (UTC), state (string), credits (Int64).
    """

    name: str
    round: int
    state: str
    next: datetime
    done: tuple[int, ...]
    incomplete: tuple[int, ...]
    missed: tuple[int, ...]
    credits_spent: int
    file_since: int
    rounds: pd.DataFrame = field(compare=False)

    def _facts(self, **_: object) -> tuple[str, Mapping[str, object]]:
        return f"Panel {self.name}", {
            "round": f"{self.round} ({self.state})", "next round": f"{self.next:%Y-%m-%d %H:%M} UTC",
            "done": len(self.done), "incomplete": _numbers(self.incomplete), "missed": _numbers(self.missed),
            "credits spent": self.credits_spent,
            "file as it is now": f"since round {self.file_since}" if self.file_since else "not run yet",
        }  # fmt: skip


def _numbers(rounds: tuple[int, ...]) -> object:
    return f"{len(rounds)} ({listed([str(one) for one in rounds], _MOST_NAMED)})" if rounds else 0
