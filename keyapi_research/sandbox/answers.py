"""What the sandbox sends, what it writes down, and how a test makes it misbehave."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

# The texts of KeyAPI's documented error bodies; 404 and 405 are not documented.
MESSAGES = {
    0: "success",
    400: "Invalid request parameter",
    401: "apiKey is null",
    402: "apiKey quota is not enough",
    403: "Access denied",
    404: "Not found",
    405: "Method not allowed",
    429: "qps limit exceeded",
    500: "Internal server error",
    502: "Bad gateway",
    503: "Service unavailable",
}
_ERROR_STATUSES = range(400, 600)

Close = Literal["before", "mid_body"] | None


@dataclass(frozen=True)
class Fault:
    """One misbehaviour, for one request. ``Fault()`` changes nothing.

    Parameters
    ----------
    status
        HTTP status of an error answer. None or 200 keep the normal answer, which the other fields may still delay, cut
        or decorate, unless ``code``, ``inside_200`` or ``body`` replace it.
    code
        Code in the error envelope; the status by default. Without a ``status``, a code from 400 to 599 is the status
        too, and any other comes with 500. Code 0 is no exception: ``Fault(code=0)`` is a failure with the message
        "success", ``Fault(code=0, inside_200=True)`` a success without data.
    message
        Message of the error envelope; the documented text of the code by default.
    headers
        Headers to add, or to put in the place of the usual ones.
    body
        These bytes instead of an envelope.
    inside_200
        Send the error envelope in an HTTP 200.
    close
        ``"before"`` drops the connection without an answer; ``"mid_body"`` sends half of the body, then resets.
    delay
        Seconds to wait before the answer, besides the server's ``latency``.
    charge
        Whether the request is charged; by default a success is, and a failure is not.
    """

    status: int | None = None
    code: int | None = None
    message: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    inside_200: bool = False
    close: Close = None
    delay: float = 0.0
    charge: bool | None = None

    def answer(self) -> Answer | None:
        """Return the answer that replaces the normal one, or None where that is kept."""
        if self.body is not None:
            return Answer(self.status or 200, self.body, _code_in(self.body))
        if self.close == "before":
            return error(500)
        if self.inside_200:
            return error(200, self.message, code=self.status or 500 if self.code is None else self.code)
        if self.status in {None, 200} and self.code is None:
            return None
        usual = self.code if self.code in _ERROR_STATUSES else 500
        return error(self.status or usual or 500, self.message, code=self.code)


@dataclass(frozen=True)
class Request:
    """One request the sandbox has served: what was sent, what was answered, what was charged.

    ``status`` is None where the connection was dropped without an answer, ``code`` where the answer was no
    envelope. The token itself is never kept.
    """

    path: str
    params: dict[str, str]
    status: int | None
    code: int | None
    credits: int
    started: float
    finished: float
    authorization: bool


@dataclass
class Answer:
    """What is about to be sent."""

    status: int
    body: bytes
    code: int | None = None
    credits: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    close: Close = None


def success(envelope: object, price: int) -> Answer:
    """Return an answer with this envelope, which a hook may have changed into anything JSON can hold."""
    return Answer(200, _encoded(envelope), code_of(envelope), price)


def error(status: int, message: str | None = None, *, code: int | None = None) -> Answer:
    """Return an error answer; its message is the documented one by default."""
    code = status if code is None else code
    text = message if message is not None else MESSAGES.get(code, "error")
    return Answer(status, _encoded({"code": code, "data": None, "message": text}), code)


def code_of(envelope: object) -> int | None:
    """Return the code of an envelope, or None of anything else."""
    code = envelope.get("code") if isinstance(envelope, dict) else None
    return code if isinstance(code, int) else None


def _code_in(body: bytes) -> int | None:
    try:
        return code_of(json.loads(body))
    except (ValueError, RecursionError):
        return None


def _encoded(envelope: object) -> bytes:
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()
