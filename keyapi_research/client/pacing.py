"""How fast requests are sent, how a 429 is waited for, and after which errors nothing more is sent."""

from __future__ import annotations

import random
import threading
import time
from typing import Final

from ..errors import (
    AccessDeniedError,
    AuthenticationError,
    BudgetExceededError,
    CreditsExhaustedError,
    KeyAPIError,
    RateLimitedError,
    StoreError,
)
from ..store import now_us

_LONGEST_WAIT: Final = 60.0  # seconds; a service that wants a longer wait is an error at once
_SLOWEST: Final = 2.0  # seconds between sends, however often the service refused
_FORGETS_AFTER: Final = 30.0  # seconds until the usual pace is tried again
_SLICE: Final = 0.1  # seconds after which somebody in line looks whether to go on waiting
_HARD: Final = (AuthenticationError, CreditsExhaustedError, AccessDeniedError, BudgetExceededError, StoreError)


def is_hard(error: KeyAPIError) -> bool:
    """Whether nothing more is sent after an error."""
    return isinstance(error, _HARD) or (isinstance(error, RateLimitedError) and not is_short_wait(error))


def is_short_wait(error: RateLimitedError) -> bool:
    """Whether the service wants a wait that is worth it."""
    return (error.retry_after or 0) <= _LONGEST_WAIT


class Pace:
    """Even pacing: sends at least an interval apart, by the clock they are stamped with.

    Rate limiters of the shelf count requests in buckets, which lets bursts through, and know nothing of an answer
    that says "wait": both matter here, where a refused burst may be charged.
    """

    def __init__(self, per_second: float | None) -> None:
        self._usual = 0.0 if per_second is None else 1 / per_second
        self._interval = self._usual
        self._next = 0.0
        self._refused_at = 0.0
        self._turn = threading.Lock()  # held while waiting: the next in line cannot wake early
        self._lock = threading.Lock()

    @property
    def spacing(self) -> int:
        """Microseconds between two sends, as long as no answer said to wait."""
        return int(self._usual * 1e6)

    def wait(self, stop: threading.Event) -> int | None:
        """Wait for the next send and stamp it (microseconds since 1970); None = stopped meanwhile."""
        while not self._turn.acquire(timeout=_SLICE):
            if stop.is_set():
                return None
        try:
            stamp, left = self._claim()
            while stamp is None and not stop.wait(left):
                stamp, left = self._claim()
            return None if stop.is_set() else stamp
        finally:
            self._turn.release()

    def _claim(self) -> tuple[int | None, float]:
        """Claim the next moment if it has come; else return how long it takes."""
        with self._lock:
            now = time.monotonic()
            if self._interval > self._usual and now - self._refused_at > _FORGETS_AFTER:
                self._interval = self._usual
            if now < self._next:
                return None, self._next - now
            stamp = now_us()
            margin = 0.0005 if self._interval else 0.0  # the two clocks differ a little
            self._next = time.monotonic() + self._interval + margin  # counted from after the stamp
            return stamp, 0.0

    def slow_down(self, seconds: float) -> None:
        """Send nothing for some time, and more slowly after it."""
        with self._lock:
            now = time.monotonic()
            self._refused_at = now + seconds
            self._next = max(self._next, now + seconds)
            self._interval = min(max(self._interval * 2, 0.05), max(_SLOWEST, self._usual))


def jittered(attempt: int) -> float:
    """Seconds before attempt number n + 1: growing, and different for each who waits."""
    return float(min(0.5 * 2 ** (attempt - 1), 8.0)) * (0.5 + random.random() / 2)  # noqa: S311 - no secret depends on it
