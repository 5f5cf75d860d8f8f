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
    """One misbehaviour, for one request; docs/sandbox.md has what its fields do. ``Fault()`` changes nothing."""

    status: int | None = None  # None and 200 keep the normal answer, unless code, inside_200 or body replace it
    code: int | None = None  # in the envelope; by default the status
    message: str | None = None  # in the envelope; by default the documented text of the code
    headers: Mapping[str, str] = field(default_factory=dict)  # added, or in the place of the usual ones
    body: bytes | None = None  # instead of an envelope
    inside_200: bool = False
    close: Close = None  # "before" the answer, or, with a reset, "mid_body"
    delay: float = 0.0  # seconds, besides the latency of the server
    charge: bool | None = None  # by default a success is charged, and a failure is not

    def answer(self) -> Answer | None:
        """Return the answer that replaces the normal one, or None where that is kept."""
        if self.body is not None:
            return Answer(self.status or 200, self.body, _code_in(self.body))
        if self.close == "before":
            return error(500)
        if self.inside_200:
            return error(200, self.message, self.status or 500 if self.code is None else self.code)
        if self.status in {None, 200} and self.code is None:
            return None
        usual = self.code if self.code in _ERROR_STATUSES else None
        return error(self.status or usual or 500, self.message, self.code)


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
    return Answer(200, _encoded(envelope), _code_of(envelope), price)


def error(
    status: int, message: str | None = None, code: int | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """Return an error answer, by default with the status for its code and the documented message."""
    code = status if code is None else code
    text = message if message is not None else MESSAGES.get(code, "error")
    return Answer(status, _encoded({"code": code, "data": None, "message": text}), code, headers=dict(headers or {}))


def _encoded(envelope: object) -> bytes:
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()


def _code_of(envelope: object) -> int | None:
    code = envelope.get("code") if isinstance(envelope, dict) else None
    return code if isinstance(code, int) else None


def _code_in(body: bytes) -> int | None:
    try:
        return _code_of(json.loads(body))
    except (ValueError, RecursionError):
        return None
