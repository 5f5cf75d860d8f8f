"""The sandbox itself: what it answers to a request, what it charges, and how time moves on."""

from __future__ import annotations

import atexit
import contextlib
import queue
import sys
import threading
import time
import traceback
import uuid
import weakref
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from hashlib import blake2b
from typing import Any, Self
from urllib.parse import parse_qsl

from ..settings import SANDBOX_TODAY, SOURCE_HEADER
from . import commerce, curves, world
from .answers import Answer, Fault, Request, error, success
from .effects import DAYS_BETWEEN_ANSWERS
from .identity import Setting
from .listed import LISTED, Listed
from .listener import LOOPBACK, Listener
from .routes import BY_PATH, LARGEST_PAGE, Route

_ENDPOINTS: dict[str, Route | Listed] = {**LISTED, **BY_PATH}
_RUNNING: weakref.WeakSet[Sandbox] = weakref.WeakSet()
TOKEN = "sandbox"  # noqa: S105 - it opens nothing but this server


def runs_at(url: str) -> bool:
    """Return whether a sandbox of this process answers at an address, and says that it is one."""
    for sandbox in list(_RUNNING):
        with contextlib.suppress(RuntimeError):  # it was closed meanwhile
            if sandbox.url == url.rstrip("/") and SOURCE_HEADER not in sandbox.extra_headers:
                return True
    return False


class Sandbox:
    """A KeyAPI-compatible HTTP server on loopback, with a synthetic world behind it.

    ``port`` 0 takes a free one; ``seed`` is which world; ``token`` None accepts any that is not blank; ``latency`` is
    in seconds; ``page_cap`` is the most rows of a page; ``credits`` None is endless; ``today`` is the day of creators,
    products and rankings, ``clean`` whether they are free of faults, ``effects`` whether what is planted in them holds;
    ``days_between_answers`` is how much later each answer about the same entity is.
    docs/sandbox.md describes these, and the hooks ``faults``, ``on_request``, ``mutate`` and ``extra_headers``,
    which may be set while the server runs.

    Examples
    --------
    >>> with Sandbox() as sandbox:
    ...     sandbox.url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(
        self,
        *,
        port: int = 0,
        seed: int | str = world.SEED,
        token: str | None = None,
        latency: float = 0.0,
        page_cap: int = LARGEST_PAGE,
        credits: int | None = None,  # noqa: A002 - the word of the service
        today: date = SANDBOX_TODAY,
        clean: bool = False,
        effects: bool = True,
        days_between_answers: int = DAYS_BETWEEN_ANSWERS,
    ) -> None:
        self.seed = str(seed)
        self.today = today
        self._setting = Setting(self.seed, clean, effects, days_between_answers)
        self.latency = latency
        self.page_cap = page_cap
        self.credits = credits
        self.faults: queue.SimpleQueue[Fault] = queue.SimpleQueue()
        self.on_request: Callable[[str, dict[str, str]], Fault | None] | None = None
        self.mutate: Callable[[str, dict[str, str], dict[str, Any]], Any] | None = None
        self.extra_headers: dict[str, str] = {}
        self._port = port
        self._token = token
        self._lock = threading.RLock()
        self._broken_hooks: set[str] = set()
        self._closing = threading.Event()
        self._listener: Listener | None = None
        self._forget()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = self.url if self._listener is not None else "not running"
        return f"<Sandbox {where}, seed {self.seed}, {self.charged} credits charged>"

    @property
    def url(self) -> str:
        """Base URL of the running server."""
        if self._listener is None:
            raise RuntimeError("the sandbox is not running: use start(), or a with block")
        return f"http://{LOOPBACK}:{self._listener.server_address[1]}"

    @property
    def requests(self) -> list[Request]:
        """The requests served so far, by the time they came."""
        return sorted(self._requests, key=lambda request: request.started)

    def start(self) -> Self:
        """Start serving and return the sandbox; nothing happens where it runs already."""
        if self._listener is None:
            self._closing.clear()
            self._listener = Listener(self._port, self)
            atexit.register(self.close)
            _RUNNING.add(self)
        return self

    def close(self) -> None:
        """Stop serving and close every connection; nothing happens where it does not run."""
        listener, self._listener = self._listener, None
        if listener is not None:
            atexit.unregister(self.close)
            _RUNNING.discard(self)
            self._closing.set()
            listener.stop()

    def reset(self) -> None:
        """Forget all requests, charges and waiting faults, and how far time has moved on."""
        with self._lock:
            self._forget()
        with contextlib.suppress(queue.Empty):
            while True:
                self.faults.get_nowait()

    def _forget(self) -> None:
        self.charged = 0
        self._served = 0
        self._requests: list[Request] = []
        # Of each entity, how often it was answered about, and which pages of the latest answer were fetched.
        self._answered: dict[tuple[object, ...], tuple[int, frozenset[object]]] = {}

    def respond(self, method: str, target: str, authorization: str | None) -> Answer:
        """Return the answer to one request, after the delays, and write the request down."""
        started = time.monotonic()
        path, _, query = target.partition("?")
        params: dict[str, str] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            params.setdefault(name, value)
        fault = self._next_fault(path, params)
        if self._closing.wait(max(0.0, self.latency) + max(0.0, fault.delay)):
            return Answer(500, b"", close="before")
        answer = self._faulty(path, fault) or self._normal(method, path, params, authorization, fault)
        answer.headers |= fault.headers
        answer.close = fault.close
        status, code = (None, None) if fault.close == "before" else (answer.status, answer.code)
        record = Request(path, params, status, code, answer.credits, started, time.monotonic(), bool(authorization))
        self._requests.append(record)
        return answer

    def _next_fault(self, path: str, params: dict[str, str]) -> Fault:
        with contextlib.suppress(queue.Empty):
            return self.faults.get_nowait()
        try:
            return (self.on_request and self.on_request(path, dict(params))) or Fault()
        except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer and its author a traceback
            return Fault(status=500, message=self._report("on_request"))

    def _report(self, hook: str) -> str:
        """Return the message of an answer where a hook raises; the exception is shown once for each hook."""
        with self._lock:
            first = hook not in self._broken_hooks
            self._broken_hooks.add(hook)
        if first and sys.stderr is not None:
            sys.stderr.write(
                f"{traceback.format_exc()}The sandbox's {hook} raised (above). Requests are answered with HTTP 500 "
                "while it does, and this is reported once.\n"
            )
        return f"{hook} raised an exception: see the sandbox's stderr"

    def _faulty(self, path: str, fault: Fault) -> Answer | None:
        answer = fault.answer()
        if answer is not None and fault.charge and path in _ENDPOINTS:
            answer.credits = _ENDPOINTS[path].credits
            self._charge(answer.credits)
        return answer

    def _charge(self, price: int) -> None:
        with self._lock:
            self.charged += price
            if self.credits is not None:
                self.credits = max(0, self.credits - price)

    def _normal(self, method: str, path: str, sent: dict[str, str], authorization: str | None, fault: Fault) -> Answer:
        refusal = self._refusal(method, path, authorization)
        if refusal is not None:
            return refusal
        route = _route(path, sent)
        params = route.check(sent)
        if isinstance(params, str):
            return error(400, params)
        price = 0 if fault.charge is False else route.credits
        with self._lock:
            if self.credits is not None and price > self.credits:
                return error(402)
            self._charge(price)
            self._served += 1
            digest = blake2b(f"{self.seed} request {self._served}".encode(), digest_size=16).digest()
            envelope_of = self._counted(route, params)
        envelope = envelope_of(str(uuid.UUID(bytes=digest, version=4)))
        try:
            return success(self.mutate(path, dict(sent), envelope) if self.mutate else envelope, price)
        except Exception:  # noqa: BLE001 - as with on_request
            self._charge(-price)
            return error(500, self._report("mutate"))

    def _refusal(self, method: str, path: str, authorization: str | None) -> Answer | None:
        scheme, _, token = (authorization or "").partition(" ")
        if path not in _ENDPOINTS:
            return error(404)
        if method != "GET":
            return error(405, headers={"Allow": "GET"})
        if scheme.lower() != "bearer" or not token.strip():
            return error(401)
        return error(401, "apiKey is invalid") if self._token not in {None, token.strip()} else None

    def _counted(self, route: Route | Listed, params: Mapping[str, str | None]) -> Callable[[str], dict[str, Any]]:
        """Count the answers of each entity of a query, and return what makes the envelope of a request id.

        It is called with the lock held, what it returns is not.
        """
        if isinstance(route, Listed):
            return partial(route.envelope, self.seed, {name: str(value) for name, value in params.items()})
        if route.name == "video/detail/analytics":
            ids = dict.fromkeys(str(params["video_ids"]).split(","))
            return _usual(partial(world.videos, self._setting, {one: self._count((route.name, one)) for one in ids}))
        if route.name in commerce.ENDPOINTS:
            today, cap = curves.number_of(self.today), max(1, int(self.page_cap))
            return _usual(commerce.answer_of(self._setting, today, route.name, params, self._count, cap))
        entity = (route.name, *(item for item in params.items() if item[0] not in {"page", "limit"}))
        n = self._count(entity, (params.get("page"), params.get("limit")))
        return _usual(partial(world.answer, self._setting, route.name, params, n, page_cap=max(1, int(self.page_cap))))

    def _count(self, entity: tuple[object, ...], page: object = None) -> int:
        """Return which answer about an entity this is. All pages are of one answer, until one is fetched again."""
        n, pages = self._answered.get(entity, (0, frozenset({page})))
        n, pages = (n + 1, frozenset({page})) if page in pages else (n, pages | {page})
        self._answered[entity] = n, pages
        return n


def _route(path: str, sent: Mapping[str, str]) -> Route | Listed:
    """Return what answers: where an endpoint has both, the example for its own query, the world for any other."""
    route, listed = BY_PATH.get(path), LISTED.get(path)
    if route is None or listed is None:
        return _ENDPOINTS[path]
    known = {parameter.api_name for parameter in route.parameters}
    return listed if listed.is_example({name: value for name, value in sent.items() if name in known}) else route


def _usual(data_of: Callable[[], Any]) -> Callable[[str], dict[str, Any]]:
    """Return what makes the usual envelope of a request id."""
    return lambda request_id: {"code": 0, "message": "success", "data": data_of(), "requestId": request_id}
