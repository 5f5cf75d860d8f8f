"""The wire: the one place that sends, and the pace it sends at."""

from __future__ import annotations

import base64
import io
import json
import random
import re
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import escape
from http.client import HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import ProxyManager
from urllib3.util import Retry

from ..envelope import read_json
from ..settings import SANDBOX, SOURCE_HEADER, Secret, is_loopback
from ..store import now_us
from ..version import __version__

_SHORTEST_BLOTTED: Final = 8  # blotting a shorter token would destroy data that happens to contain it
_BLOT: Final = "[token]"
_LARGEST_BODY: Final = 64 * 1024 * 1024
_PIECE: Final = 64 * 1024
_READS: Final = 4  # a whole answer may take this many times the read timeout
_SLOWEST: Final = 2.0  # seconds between sends, however often the service refused
_FORGETS_AFTER: Final = 30.0
_SLICE: Final = 0.1  # seconds after which somebody in line looks whether to go on waiting
_LONGEST_REASON: Final = 500
_LONGEST_NUMBER: Final = 12
_FINAL: Final = 200  # lower statuses announce an answer that follows


class WireFailure(Exception):  # noqa: N818 - never leaves the client
    """No usable answer came; `delivered` is False only where the request surely never arrived."""

    def __init__(self, text: str, *, delivered: bool, elapsed_s: float) -> None:
        super().__init__(text)
        self.delivered = delivered
        self.elapsed_s = elapsed_s


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, the token blotted out."""

    status: int
    body: bytes
    payload: Any
    retry_after: float | None
    synthetic: bool
    elapsed_s: float
    arrived_at: int


class _Bearer(AuthBase):
    """Puts the token into the header; given as `auth`, so that no .netrc replaces it."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request


class _Hurried(io.RawIOBase):
    """Reads a socket until a deadline: its own timeout starts anew with every byte that drips in."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, patience: float) -> None:
        self._raw, self._sock, self._patience = raw, sock, patience
        self._deadline = time.monotonic() + _READS * patience

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer did not end in time")
        self._sock.settimeout(min(left, self._patience))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    """An answer that must end in time, head and body, and that is not an interim one."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Hurried(self.fp.detach(), sock, sock.gettimeout() or 0.0))

    def begin(self) -> None:
        super().begin()
        while self.status < _FINAL:  # http.client skips a 100 only; the next request would be given the real answer
            self.headers = None  # type: ignore[assignment]
            super().begin()
        # What is no header is dropped here: urllib3 would log it, whatever the server wrote into it.
        self.headers.defects.clear()
        self.headers.set_payload("")


_sending = threading.local()  # whether the request of this thread began to be sent: urllib3 does not tell


class _Telling:
    """Tells when it begins to send: what failed before that surely never arrived."""

    _connecting = False

    def connect(self) -> None:
        self._connecting = True
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self._connecting = False

    def send(self, data: Any) -> None:
        if not self._connecting:  # to a proxy more is sent while connecting
            if getattr(self, "sock", None) is None:
                self.connect()
            _sending.began = True
        super().send(data)  # type: ignore[misc]

    @property
    def debuglevel(self) -> int:
        """Say that nothing is to be printed: http.client would print the header with the token."""
        return 0

    @debuglevel.setter
    def debuglevel(self, level: int) -> None:
        pass


class _HTTPConnection(_Telling, HTTPConnection):
    response_class = _Response


class _HTTPSConnection(_Telling, HTTPSConnection):
    response_class = _Response


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


_POOLS: Final = {"http": _HTTPPool, "https": _HTTPSPool}


class _Adapter(HTTPAdapter):
    """Never sends twice by itself: each attempt is decided on, paced and written down by the client."""

    def __init__(self, connections: int) -> None:
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=Retry(0, read=False))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> ProxyManager:
        manager: ProxyManager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _Session(requests.Session):
    """Follows no redirect, which would take the token to another host, and does not prepare to."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Say that there is none: requests reads all of a redirect's body before it looks whether to follow."""


def _retry_after(header: str | None) -> float | None:
    """Read seconds or an HTTP date; urllib3's own reader would cut what is long, and how long is for the user."""
    text = (header or "").strip()
    if text.isdecimal():
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
    quoted = {quote(secret, safe=""), quote(secret)}
    lower = {re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), text) for text in quoted}
    escaped = {escape(secret), escape(secret, quote=False)}
    coded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return {*nested, *quoted, *lower, *escaped, coded}


class Wire:
    """Sends GET requests to one host.

    Parameters
    ----------
    base_url : str
        Checked: https, or this machine.
    token : Secret
        Goes into the Authorization header, nowhere else.
    timeout : tuple of float
        Seconds to connect, and to wait for data.
    connections : int
        Connections kept open.
    """

    def __init__(self, base_url: str, token: Secret, *, timeout: tuple[float, float], connections: int) -> None:
        self.base_url = base_url
        self._timeout = timeout
        self._auth = _Bearer(token)
        secret = token.reveal()
        forms = _spellings(secret)
        self._forms = tuple(Secret(form) for form in forms) if len(secret) >= _SHORTEST_BLOTTED else ()
        del secret, forms
        self._session = _Session()
        self._session.mount("https://", _Adapter(connections))
        self._session.mount("http://", _Adapter(connections))
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.update(
            {"Accept": "application/json", "User-Agent": f"keyapi-research/{__version__}"}
        )
        # A proxy is for the world outside, never for a server on this machine.
        self._session.trust_env = not is_loopback(str(urlsplit(base_url).hostname))

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def blot(self, text: str) -> str:
        """Take the token out of a text."""
        for form in self._forms:
            text = text.replace(form.reveal(), _BLOT)
        return text

    def get(self, path: str, params: Mapping[str, str]) -> Reply:
        """Send one request, once.

        Raises
        ------
        WireFailure
            No answer came, or not all of it.
        """
        started = time.monotonic()
        reply: Reply | None = None
        text = ""
        _sending.began = False
        try:
            with self._session.get(
                f"{self.base_url}{path}",
                params=params,
                auth=self._auth,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                reply = self._read(response, started)
        except Exception as error:  # noqa: BLE001 - whatever a library raises of an odd answer, it may be charged
            text = self.blot(f"{type(error).__name__}: {error}")[:_LONGEST_REASON]
        # Raised out here so that the error does not carry the sending frames, which hold the header.
        if reply is None:
            raise WireFailure(text, delivered=_sending.began, elapsed_s=time.monotonic() - started)
        return reply

    def _read(self, response: requests.Response, started: float) -> Reply:
        pieces, size = [], 0
        for piece in response.iter_content(_PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > _LARGEST_BODY:
                raise requests.RequestException(f"the answer is larger than {_LARGEST_BODY // 2**20} MB")
        body = b"".join(pieces)
        for form in self._forms:
            body = body.replace(form.reveal().encode(), _BLOT.encode())
        try:
            payload = read_json(body)
        except ValueError:
            payload = None
        else:
            written = json.dumps(payload)  # one spelling of every escape
            if self.blot(written) != written:
                payload = json.loads(self.blot(written))
        return Reply(
            status=response.status_code,
            body=body,
            payload=payload,
            retry_after=_retry_after(response.headers.get("Retry-After")),
            synthetic=response.headers.get(SOURCE_HEADER) == SANDBOX,
            elapsed_s=time.monotonic() - started,
            arrived_at=now_us(),
        )


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
        """Take the next moment if it has come; else say how long it takes."""
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
