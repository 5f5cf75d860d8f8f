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
    """An argument is not valid; nothing was sent."""


class MissingTokenError(KeyAPIError):
    """A request is needed and there is no token."""


class InvalidRequestError(KeyAPIError):
    """400: KeyAPI refused the parameters."""


class AuthenticationError(KeyAPIError):
    """401: KeyAPI does not know the token."""


class CreditsExhaustedError(KeyAPIError):
    """402: the account has no credits left."""


class AccessDeniedError(KeyAPIError):
    """403: the account may not use this endpoint."""


class NotFoundError(KeyAPIError):
    """404: there is no such endpoint."""


class RateLimitedError(KeyAPIError):
    """429: too many requests; `retry_after` has the seconds to wait where the service names them."""

    retryable_by_default = True


class ServerError(KeyAPIError):
    """5xx, or another code the service uses for its own failures."""

    retryable_by_default = True


class NetworkError(KeyAPIError):
    """No usable answer came back."""

    retryable_by_default = True


class UnexpectedResponseError(KeyAPIError):
    """An answer came to something else, or in another shape; `answer` has it. It is never served."""


class BudgetExceededError(KeyAPIError):
    """The call would cost more than was allowed; nothing was spent beyond the limit."""


class NotStoredError(KeyAPIError):
    """Offline, and some of what was requested is not in the store."""


class StoreError(KeyAPIError):
    """The store cannot be opened, read or written; `answer` lists paid answers that could not be kept."""


class MissingPackageError(KeyAPIError, ImportError):
    """A package that only some functions need is not installed; the message has the line that installs it."""


class FetchIncompleteError(KeyAPIError):
    """Some ids failed, and the others are stored; a rerun pays only for what is missing."""


class KeyAPIWarning(UserWarning):
    """Base of every warning of this package."""


class MissingDataWarning(KeyAPIWarning):
    """KeyAPI has nothing for some of the requested ids."""


class IncompleteDataWarning(KeyAPIWarning):
    """Some ids failed (`errors="warn"`), or their stored answers are about other ids; they are not in the table."""


class StaleDataWarning(KeyAPIWarning):
    """Stored rows older than a day were served."""


class SchemaDriftWarning(KeyAPIWarning):
    """Answers, or files with their columns, differ from what this package knows of them."""


class TrendConflictWarning(KeyAPIWarning):
    """Windows of a trend contradict each other beyond rounding: the past was revised."""


class UnexpectedMarketWarning(KeyAPIWarning):
    """An answer names another market than the requested region."""


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
