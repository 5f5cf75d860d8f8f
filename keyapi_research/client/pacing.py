"""How fast requests are sent, how a 429 is waited for, and after which errors nothing more is sent."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator
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
    """Even pacing: sends at least an interval apart.

    Off-the-shelf rate limiters count requests in buckets, which lets bursts through, and know nothing of an answer
    that says "wait": both matter here, where a refused burst may be charged.
    """

    def __init__(self, per_second: float | None) -> None:
        self._usual = 0.0 if per_second is None else 1 / per_second
        self._interval = self._usual
        self._next = 0.0
        self._refused_at = 0.0
        self._turn = threading.Lock()  # held until it is sent: the next in line cannot come early
        self._lock = threading.Lock()

    @property
    def spacing(self) -> int:
        """Microseconds between two sends, as long as no answer said to wait."""
        return int(self._usual * 1e6)

    @contextlib.contextmanager
    def turn(self, stop: threading.Event) -> Iterator[bool]:
        """Wait for the next send; False = stopped meanwhile.

        Others wait until the block ends, and then an interval: however long it takes to write down what is sent, for
        which another program may lock the store, what waits is not sent in a burst.
        """
        while not self._turn.acquire(timeout=_SLICE):
            if stop.is_set():
                yield False
                return
        try:
            while not stop.is_set() and (left := self._left()) > 0:
                stop.wait(left)
            if stop.is_set():
                yield False
                return
            yield True
            with self._lock:
                margin = 0.0005 if self._interval else 0.0  # the clock of the stamps differs a little
                self._next = max(self._next, time.monotonic() + self._interval + margin)
        finally:
            self._turn.release()

    def _left(self) -> float:
        """Seconds until the next send."""
        with self._lock:
            now = time.monotonic()
            if self._interval > self._usual and now - self._refused_at > _FORGETS_AFTER:
                self._interval = self._usual
            return self._next - now

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
