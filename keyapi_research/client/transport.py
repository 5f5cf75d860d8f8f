"""Sending one HTTP request: the one place that does."""

from __future__ import annotations

import base64
import errno
import io
import json
import os
import re
import socket
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import escape
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import default_headers, resolve_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.util import Retry

from ..envelope import read_json
from ..settings import SANDBOX, SOURCE_HEADER, Secret, is_loopback
from ..store import now_us
from ..version import __version__

_SHORTEST_REDACTED: Final = 8  # redacting a shorter token would destroy data that happens to contain it
_IDLE: Final = 30.0  # seconds; a router or a sleeping machine may have dropped older connections without a word
_LARGEST_BODY: Final = 64 * 1024 * 1024
_PIECE: Final = 64 * 1024
_READS: Final = 4  # a whole answer may last this many times the read timeout
_LONGEST_NUMBER: Final = 12
_SECONDS: Final = re.compile(r"[0-9]+(\.[0-9]*)?")
_FINAL: Final = 200  # lower statuses announce an answer that follows

_sent: Final[ContextVar[bool]] = ContextVar("sent")  # whether this thread's request left: urllib3 does not report it


class TransportFailure(Exception):  # noqa: N818 - never leaves the client
    """No usable answer came; `delivered` is False only where the request surely never arrived."""

    def __init__(self, text: str, *, delivered: bool, elapsed_s: float) -> None:
        super().__init__(text)
        self.delivered = delivered
        self.elapsed_s = elapsed_s


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, the token redacted."""

    status: int
    body: bytes
    payload: Any
    retry_after: float | None
    synthetic: bool
    elapsed_s: float
    arrived_at: int


class _UntilDeadline(io.RawIOBase):
    """Reads a socket until a deadline: its own timeout starts anew with every byte that drips in."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, patience: float) -> None:
        self._raw, self._sock, self._patience = raw, sock, patience
        self._deadline = time.monotonic() + _READS * patience

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "the answer did not end in time")
        self._sock.settimeout(min(left, self._patience))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    """An answer that must end in time, head and body, and that is not an interim one."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_UntilDeadline(self.fp.detach(), sock, sock.gettimeout() or 0.0))

    def begin(self) -> None:
        super().begin()
        while self.status < _FINAL:  # http.client skips a 100 only; the next request would be given the real answer
            self.headers = None  # type: ignore[assignment]
            super().begin()
        # What is not a header is dropped here: urllib3 would log it, whatever the server wrote into it.
        self.headers.defects.clear()
        self.headers.set_payload("")


def _clocks() -> tuple[float, float]:
    """Read the clock that is never set, and the one that goes on while the machine sleeps."""
    return time.monotonic(), time.time()


class _Connection(HTTPConnection):
    """Notes when its request leaves, and is given up when it was idle: what is sent on an old one may be lost."""

    response_class = _Response
    debuglevel = 0  # whatever http.client is set to: it would print the header with the token
    _used_at = (0.0, 0.0)

    @property
    def is_connected(self) -> bool:
        unused = (abs(now - since) for now, since in zip(_clocks(), self._used_at, strict=True))
        return max(unused) < _IDLE and super().is_connected

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()  # what fails here surely never arrived
        self._used_at = _clocks()
        _sent.set(True)
        super().request(*args, **kwargs)


class _SecureConnection(_Connection, HTTPSConnection):
    """The same through TLS."""


class _Adapter(HTTPAdapter):
    """Never sends twice by itself: each attempt is decided on, paced and written down by the client."""

    def __init__(self, connections: int) -> None:
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=Retry(0, read=False))

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = _SecureConnection if pool.scheme == "https" else _Connection
        return cast("HTTPConnectionPool", pool)


def _retry_after(header: str | None) -> float | None:
    """Read seconds or an HTTP date; urllib3's own reader would cut what is long, and how long is for the user."""
    text = (header or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text[:_LONGEST_NUMBER])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _spellings(secret: str) -> set[str]:
    """List how a server may spell a text that it echoes."""
    nested = [secret]  # in JSON, in JSON in JSON and so on
    for _ in range(3):
        nested.append(json.dumps(nested[-1])[1:-1])
    quoted = {quote(secret, safe=safe, errors="replace") for safe in ("", "/", "!$&'()*+,;=:")}
    lower = {re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), text) for text in quoted}
    escaped = {escape(secret), escape(secret, quote=False)}
    coded = base64.b64encode(secret.encode(errors="replace")).decode().rstrip("=")
    return {*nested, *quoted, *lower, *escaped, coded}


def _reason(error: BaseException) -> str:
    """Name a failure without a library's words: they may hold an address, with a login, or what a server wrote."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    first, last = type(error).__name__, chain[-1]
    tunnel = re.match(r"Tunnel connection failed: \d{3}", str(last))  # by a proxy
    system = last.strerror if isinstance(last, OSError) and isinstance(last.errno, int) else None
    what = tunnel[0] if tunnel else system or type(last).__name__
    return first if what == first else f"{first}: {what}"


class Transport:
    """Sends GET requests to one host, whose address was checked: https, or this machine."""

    def __init__(self, base_url: str, token: Secret, *, timeout: tuple[float, float], connections: int) -> None:
        self.base_url = base_url
        self._timeout = timeout
        self._token = token
        secret = token.reveal()
        forms = _spellings(secret)
        self._forms = tuple(Secret(form) for form in forms) if len(secret) >= _SHORTEST_REDACTED else ()
        del secret, forms
        # Not a requests.Session: other programs replace that class, for example by one that answers from a cache.
        self._adapter = _Adapter(connections)
        self._headers = default_headers()
        self._headers.update({"Accept": "application/json", "User-Agent": f"keyapi-research/{__version__}"})
        # A proxy is for the world outside, never for a server on this machine.
        self._proxied = not is_loopback(str(urlsplit(base_url).hostname))

    def close(self) -> None:
        """Close all connections."""
        self._adapter.close()

    def get(self, path: str, params: Mapping[str, str]) -> Reply:
        """Send one request, once; TransportFailure where no answer came, or not all of it."""
        started = time.monotonic()
        _sent.set(False)
        try:
            return self._exchange(path, params, started)
        except Exception as error:  # noqa: BLE001 - whatever a library raises of a broken answer, it may be charged
            reason = _reason(error)
        # Raised out here so that the error does not carry the sending frames, which hold the header.
        raise TransportFailure(reason, delivered=_sent.get(), elapsed_s=time.monotonic() - started)

    def _exchange(self, path: str, params: Mapping[str, str], started: float) -> Reply:
        url = f"{self.base_url}{path}"
        certificates = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        if certificates and url.startswith("https:") and not Path(certificates).exists():
            raise OSError(errno.ENOENT, f"there are no certificates at {certificates}; see REQUESTS_CA_BUNDLE")
        request = requests.Request("GET", url, headers=self._headers, params=params, auth=self._sign).prepare()
        with self._adapter.send(
            request,
            stream=True,
            timeout=self._timeout,
            verify=certificates or True,
            proxies=resolve_proxies(request, {}, trust_env=self._proxied),
        ) as response:
            body = self._read_body(response)
        return Reply(
            status=response.status_code,
            body=body,
            payload=self._read_payload(body),
            retry_after=_retry_after(response.headers.get("Retry-After")),
            synthetic=response.headers.get(SOURCE_HEADER) == SANDBOX,
            elapsed_s=time.monotonic() - started,
            arrived_at=now_us(),
        )

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put the token into the header; given as `auth`, so that no .netrc replaces it."""
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request

    def _read_body(self, response: requests.Response) -> bytes:
        pieces, size = [], 0
        for piece in response.iter_content(_PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > _LARGEST_BODY:
                raise OSError(errno.EMSGSIZE, f"the answer is larger than {_LARGEST_BODY // 2**20} MB")
        body = b"".join(pieces)
        for form in self._forms:
            body = body.replace(form.reveal().encode(), b"[token]")
        return body

    def _read_payload(self, body: bytes) -> Any:
        try:
            payload = read_json(body)
        except ValueError:
            return None
        written = json.dumps(payload)  # one spelling of every escape
        redacted = self._redact(written)
        return payload if redacted == written else json.loads(redacted)

    def _redact(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form.reveal(), "[token]")
        return text
