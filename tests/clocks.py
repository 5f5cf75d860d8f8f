"""A clock that tests move: answers grow old, and days go by, without waiting."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime

import pandas as pd


class Clock:
    """This machine's clock, ahead by some time; set it in the place of `time.time_ns`."""

    def __init__(self, moment: str = "") -> None:
        self._real = time.time_ns
        self.ahead = 0  # nanoseconds
        if moment:
            self.set(moment)

    def __call__(self) -> int:
        return self._real() + self.ahead

    @property
    def today(self) -> date:
        """The day, UTC."""
        return datetime.fromtimestamp(self() / 1e9, UTC).date()

    @property
    def hours(self) -> float:
        """Hours since 1970."""
        return self() / 3.6e12

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.ahead += int(seconds * 1e9)

    def set(self, moment: str) -> None:
        """Move to a time, UTC."""
        self.ahead = pd.Timestamp(moment, tz="UTC").as_unit("ns").value - self._real()
