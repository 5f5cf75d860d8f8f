"""What can go wrong, as types.

With paid calls nothing degrades silently: an answer to something else, an answer that could not
be stored and a call that would cost more than allowed are errors. What a user may want to live with (rows that
do not exist, old rows, fields that changed) is a warning. This module imports nothing heavy.
"""

from __future__ import annotations

import copy
import importlib
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd

CLOSED: Final = "this client is closed; connect again"
MOST_NAMED: Final = 500  # ids that a message names: all that somebody may want to copy out of it
_PACKAGE: Final = f"{Path(__file__).parent}{os.sep}"
_BETWEEN: Final = ("IPython", "ipykernel", "pandas")  # modules between a user's line and this package


class KeyAPIError(Exception):
    """Base class of all errors of this package; every error has all of these fields.

    Parameters
    ----------
    text : str
        What happened and what to do next.

    Attributes
    ----------
    status_code : int or None
        HTTP status of the answer.
    code : int or None
        Code in the answer's envelope.
    message : str
        The message of the service, if there is one, else the text of the error.
    request_id : str or None
        KeyAPI's id of the request, for KeyAPI's support.
    endpoint : str or None
        Path of the endpoint.
    params : dict or None
        Parameters of the request, without the token.
    retryable : bool
        Whether the same call may succeed later.
    retry_after : float or None
        Seconds to wait, according to the service.
    frame : pandas.DataFrame or None
        The rows that came, on every error raised after a request was sent.
    failures : pandas.DataFrame or None
        One row per id that failed: id, error, status_code, code, message, request_id, retryable.
    answer : object
        The answer: the envelope, or text that is not valid JSON. On StoreError and FetchIncompleteError a list of the
        answers that may have been charged and are not stored.
    """

    retryable_by_default = False

    def __init__(
        self,
        text: str = "",
        *,
        status_code: int | None = None,
        code: int | None = None,
        message: str | None = None,
        request_id: str | None = None,
        endpoint: str | None = None,
        params: dict[str, str] | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
        frame: pd.DataFrame | None = None,
        failures: pd.DataFrame | None = None,
        answer: Any = None,
    ) -> None:
        super().__init__(text)
        self.status_code = status_code
        self.code = code
        self.message = text if message is None else message
        self.request_id = request_id
        self.endpoint = endpoint
        self.params = params
        self.retryable = self.retryable_by_default if retryable is None else retryable
        self.retry_after = retry_after
        self.frame = frame
        self.failures = failures
        self.answer = answer

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, self.__dict__

    @property
    def _render_traceback_(self) -> Callable[[], list[str]]:
        """Let IPython show the user's own lines and the message when this ends a cell; `%tb` shows all there is."""
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        if shell is None or sys.exc_info()[1] is not self:
            raise AttributeError("_render_traceback_")  # IPython then shows the whole traceback as it always does
        alone = copy.copy(self)  # without the errors it came from
        trace = _users_part(self.__traceback__)
        return lambda: list(shell.InteractiveTB.structured_traceback(type(self), alone, trace, tb_offset=0))


def _users_part(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames of the shell and of pandas, and those from the first of this package on."""
    users: list[TracebackType] = []
    while trace is not None and not _is_inside(trace.tb_frame):
        if str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0] not in _BETWEEN:
            users.append(trace)
        trace = trace.tb_next
    part: TracebackType | None = None
    for one in reversed(users):
        part = TracebackType(part, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return part


def _is_inside(frame: FrameType) -> bool:
    """Whether a frame is one of this package."""
    return frame.f_code.co_filename.startswith(_PACKAGE)


class InvalidArgumentError(KeyAPIError, ValueError):
    """An argument is not valid; nothing was sent.

    The message says what is valid: correct the call.
    """


class MissingTokenError(KeyAPIError):
    """A request is needed and there is no token.

    Set `KEYAPI_TOKEN` and call `kr.connect()`. Without a key: `kr.connect(sandbox=True)`.
    """


class InvalidRequestError(KeyAPIError):
    """400: KeyAPI refused the parameters.

    `message` has KeyAPI's reason, `params` what was sent. The same call will be refused again.
    """


class AuthenticationError(KeyAPIError):
    """401: KeyAPI does not know the token.

    Check the key: copy it again from your KeyAPI account, and connect anew.
    """


class CreditsExhaustedError(KeyAPIError):
    """402: the account has no credits left.

    Add credits to the account and run the call again: it pays only for what is missing. Until then
    `kr.connect(offline=True)` reads what is stored.
    """


class AccessDeniedError(KeyAPIError):
    """403: the account may not use this endpoint.

    Ask KeyAPI whether your plan includes the endpoint; `endpoint` and `request_id` identify the request.
    """


class NotFoundError(KeyAPIError):
    """404: there is no such endpoint.

    Look for the path with `kr.find`; it may have been removed.
    """


class RateLimitedError(KeyAPIError):
    """429: too many requests, also after retries.

    Wait `retry_after` seconds where KeyAPI says so, and run the call again. `connect(requests_per_second=...)` sets a
    slower pace.
    """

    retryable_by_default = True


class ServerError(KeyAPIError):
    """5xx, or another code that KeyAPI uses for its own failures, also after retries.

    Run the call again later. If it stays, report `request_id` to KeyAPI.
    """

    retryable_by_default = True


class NetworkError(KeyAPIError):
    """No usable answer came back.

    Check the network and run the call again. A request that was sent may have been charged: the ledger has it without
    credits.
    """

    retryable_by_default = True


class UnexpectedResponseError(KeyAPIError):
    """The answer is about something else, or has another shape; it is never served.

    `answer` has it. If all calls of an endpoint fail like this, KeyAPI changed it: `kr.probe()` says which endpoints
    still answer as declared.
    """


class BudgetExceededError(KeyAPIError):
    """The call would cost more than was allowed; nothing was spent beyond the limit.

    `kr.plan` has the price. Request less, or raise the limit: `kr.budget`, `max_call_credits`, `max_credits` or
    `kr.limit_store`.
    """


class NotStoredError(KeyAPIError):
    """Some of what was requested is not in the store, and nothing may be sent.

    Offline: connect without `offline=True`. In a replay: the archive does not have it. From `df.keyapi`: fetch it
    first; the message has the price.
    """


class StoreError(KeyAPIError):
    """The store cannot be opened, read or written.

    The message says why: damage, a full disk, another version, a server that cannot be reached, a right that is
    missing. `answer` lists paid answers that could not be stored: save them before you go on.
    """


class MissingPackageError(KeyAPIError, ImportError):
    """A package that only some functions need is not installed.

    Run the line in the message.
    """


class FetchIncompleteError(KeyAPIError):
    """Some ids failed; the others are stored.

    `failures` lists them, `frame` has the rows that came. Run the call again: it pays only for what is missing.
    """


class KeyAPIWarning(UserWarning):
    """Base of every warning of this package.

    To make an error of one kind: `warnings.simplefilter("error", kr.StaleDataWarning)`.
    """


class MissingDataWarning(KeyAPIWarning):
    """KeyAPI has nothing for some of the requested ids.

    They have no row. Check the ids. They are requested, and may be charged, again after a day, or with `max_age=0`.
    """


class IncompleteDataWarning(KeyAPIWarning):
    """Some of what was requested is not in the table.

    Ids that failed (`errors="warn"`), answers about other ids, a round of a panel that is not finished, windows that
    seem to be cut, or the days of a month that was not over. Read what it names before you count or
    compare rows; run the call again where ids failed.
    """


class StaleDataWarning(KeyAPIWarning):
    """Stored rows older than a day were served.

    Pass `max_age="1D"` to pay for newer ones; the message has the price.
    """


class SchemaDriftWarning(KeyAPIWarning):
    """Answers, or files with their columns, differ from what this package knows.

    New fields are kept in `df.keyapi.raw()`. Compare some rows with the source before you use columns that are named.
    """


class TrendConflictWarning(KeyAPIWarning):
    """Windows of a trend contradict each other beyond rounding: KeyAPI revised the past.

    The newest window counts where they contradict. `windows` has how many windows each value rests on.
    """


class UnexpectedMarketWarning(KeyAPIWarning):
    """An answer names another market than the requested region.

    Check `market` before you use the rows: KeyAPI may have ignored the region.
    """


def warn(text: str, category: type[KeyAPIWarning]) -> None:
    """Warn at the user's line: the first frame outside this package."""
    level = 2
    frame = sys._getframe(1)  # noqa: SLF001 - the stack is the only source; skip_file_prefixes needs 3.12
    while frame.f_back is not None and _is_inside(frame):
        frame = frame.f_back
        level += 1
    warnings.warn(text, category, stacklevel=level)


def needed(module: str, extra: str, purpose: str) -> ModuleType:
    """Import a module of an optional package, or say which extra brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise MissingPackageError(
            f"{purpose} needs {package}, which is not installed: python -m pip install {package} in a terminal. "
            f"It is part of the extras {extra} and lab of this package"
        ) from error


def listed(items: list[str], most: int = 5, between: str = ", ") -> str:
    """Write a few items, and how many more there are."""
    rest = len(items) - most
    return between.join(items[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def shown(value: object, most: int = 80) -> str:
    """Return a short text of a value for a message, whatever its repr does."""
    try:
        text = repr(value)
    except TimeoutError:  # of an alarm
        raise
    except Exception:  # noqa: BLE001 - also a whole number of thousands of digits has none
        text = f"<{type(value).__name__}>"
    return text if len(text) <= most else f"{text[:most]}..."
