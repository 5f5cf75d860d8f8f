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


class _Seen:
    """How often Ctrl-C was pressed, as far as this package saw it."""

    count = 0


def listen() -> None:
    """Notice Ctrl-C from now on, also for calls in other threads; what it does stays as it was.

    Only Python's own handler is stood in for, and only in the main thread: elsewhere a signal cannot be listened to.
    """
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ):
        signal.signal(signal.SIGINT, _handle)


def _handle(number: int, frame: FrameType | None) -> None:
    _Seen.count += 1
    signal.default_int_handler(number, frame)


def _last() -> object:
    """Return the last Ctrl-C that ended a program or a notebook's cell."""
    last = getattr(sys, "last_value", None)
    return last if isinstance(last, KeyboardInterrupt) else None


def _under_way() -> bool:
    """Whether the main thread is being interrupted just now: a notebook installs a handler of its own for each cell."""
    current: Any = sys._current_exceptions().get(threading.main_thread().ident or 0)  # noqa: SLF001 - documented
    error = current[1] if isinstance(current, tuple) else current  # a tuple before Python 3.12
    return isinstance(error, KeyboardInterrupt)


def in_order(work: Callable[[], Result], stop: threading.Event, abandon: Callable[[], None]) -> Result:
    """Do the work of a call where no signal reaches it.

    Parameters
    ----------
    work : callable
        What is to be done; ends soon after `stop` is set.
    stop : Event
        Is set when the caller was interrupted.
    abandon : callable
        Is called when the caller was interrupted once more, and leaves while the work is not over.

    Returns
    -------
    object
        What the work returned; what it raised is raised.
    """
    outcome: Future[Result] = Future()
    over = threading.Event()
    heard = _Heard()

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
            heard.check()
        return outcome.result()
    except BaseException as error:
        stop.set()
        if isinstance(error, KeyboardInterrupt):
            heard.pass_on()
        try:
            while worker.is_alive():
                over.wait(_LOOKS_EVERY)
                worker.join(_LOOKS_EVERY)
                heard.check()
        except BaseException:
            abandon()
            raise
        raise


class _Heard:
    """What a caller in another thread than the main one hears of Ctrl-C: there it is not raised."""

    def __init__(self) -> None:
        self._elsewhere = threading.current_thread() is not threading.main_thread()
        self._before = _under_way()
        self._known = _Seen.count, _last()

    def check(self) -> None:
        """Raise a Ctrl-C that came since the last look."""
        now = _Seen.count, _last()
        if self._elsewhere and (now != self._known or (_under_way() and not self._before)):
            self._known, self._before = now, True
            raise KeyboardInterrupt

    def pass_on(self) -> None:
        """Let calls in other threads hear it."""
        if not self._elsewhere:
            _Seen.count += 1


def no_thread(error: RuntimeError) -> KeyAPIError:
    """Make the error of a machine that has no more threads."""
    return KeyAPIError(
        f"no thread can be started to send with ({error}), so nothing more is sent. End other threads or programs, "
        "then run the call again",
        retryable=True,
    )
