"""Interrupts: a call that spends ends in order, whatever ends it and whatever thread it is in.

Signals reach a program in its main thread, between any two lines. So the work of a call is done in a thread of its own,
where none comes, and the caller only waits for it: what interrupts him stops the sending, and what is in flight is
awaited, stored and counted before it goes on to the user.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from types import FrameType
from typing import Any, Final, TypeVar

from ..errors import KeyAPIError

_LOOKS_EVERY: Final = 0.1  # seconds
Result = TypeVar("Result")


class _Presses:
    """Counts Ctrl-C as far as this package sees it."""

    def __init__(self) -> None:
        self.count = 0

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Count one, and do what Python does."""
        self.count += 1
        signal.default_int_handler(number, frame)


_presses: Final = _Presses()  # of the process, as signals are


def listen() -> None:
    """Notice Ctrl-C from now on, also for calls in other threads; what it does stays as it was.

    Only Python's own handler is stood in for, and only in the main thread: elsewhere a signal cannot be listened to.
    """
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _presses.handle)


class _Interrupts:
    """What a caller in another thread than the main one notices of Ctrl-C: there it is not raised."""

    def __init__(self) -> None:
        self._elsewhere = threading.current_thread() is not threading.main_thread()
        self._being_raised = _is_being_raised()
        self._known = _presses.count, _last_raised()
        self._noticed = False  # whether a press was

    def check(self) -> None:
        """Raise a Ctrl-C that came since the last look."""
        count, last, raised = _presses.count, _last_raised(), _is_being_raised()
        counted = count != self._known[0]
        seen = last is not self._known[1] or (raised and not self._being_raised)
        self._known = min(count, self._known[0] + 1), last  # of two since the last look the next one finds one
        self._being_raised = raised
        # One press is counted when it comes, then seen being raised, then seen as what ended the program or cell.
        again, self._noticed = seen and not counted and self._noticed, self._noticed or counted or seen
        if self._elsewhere and (counted or seen) and not again:
            raise KeyboardInterrupt

    def pass_on(self) -> None:
        """Let calls in other threads notice it, where it was not counted when it came."""
        if not self._elsewhere and _presses.count == self._known[0]:
            _presses.count += 1


def _last_raised() -> object:
    """Return the last Ctrl-C that ended a program or a notebook's cell."""
    last = getattr(sys, "last_value", None)
    return last if isinstance(last, KeyboardInterrupt) else None


def _is_being_raised() -> bool:
    """Whether the main thread is being interrupted just now: a notebook installs a handler of its own for each cell."""
    current: Any = sys._current_exceptions().get(threading.main_thread().ident or 0)  # noqa: SLF001 - documented
    error = current[1] if isinstance(current, tuple) else current  # a tuple before Python 3.12
    return isinstance(error, KeyboardInterrupt)


def in_order(work: Callable[[], Result], stop: threading.Event, abandon: Callable[[], None]) -> Result:
    """Return what the work of a call returned, or raise what it raised; it is done where no signal reaches it.

    An interrupt sets `stop`, after which the work ends soon. Another one calls `abandon` and leaves at once.
    """
    outcome: Future[Result] = Future()
    over = threading.Event()
    interrupts = _Interrupts()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the caller waits
            outcome.set_exception(error)
        finally:
            over.set()

    # In the caller's context, so that a bar is drawn where the caller is.
    worker = threading.Thread(target=copy_context().run, args=(run,), name="keyapi call", daemon=True)
    try:
        try:
            worker.start()
        except RuntimeError as error:
            raise no_thread(error) from error
        while not over.wait(_LOOKS_EVERY):
            interrupts.check()
        worker.join()  # it ends now, and only then does its place go to another call
        return outcome.result()
    except BaseException as error:
        stop.set()
        if isinstance(error, KeyboardInterrupt):
            interrupts.pass_on()
        try:
            while worker.is_alive():
                over.wait(_LOOKS_EVERY)
                worker.join(_LOOKS_EVERY)
                interrupts.check()
        except BaseException:
            abandon()
            raise
        raise


def no_thread(error: RuntimeError) -> KeyAPIError:
    """Return the error of a machine that has no more threads."""
    return KeyAPIError(
        f"no thread could be started for sending ({error}), so nothing more is sent. Close other programs or threads "
        "and run the call again",
        retryable=True,
    )
