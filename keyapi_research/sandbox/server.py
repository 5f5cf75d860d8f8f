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
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from . import world
from .answers import Answer, Fault, Request, error, success
from .listener import LOOPBACK, Listener
from .routes import BY_PATH, LARGEST_PAGE, Route

TOKEN = "sandbox"  # noqa: S105 - it opens nothing but this server


class Sandbox:
    """A KeyAPI-compatible HTTP server on loopback, with a synthetic world behind it.

    Parameters
    ----------
    port
        Port on 127.0.0.1; 0 takes a free one.
    seed
        Which world: the same seed gives the same answers on every machine.
    token
        Insist on this token; None accepts any that is not blank.
    latency
        Seconds to wait before each answer.
    page_cap
        Most rows a page may have, whatever the ``limit``.
    credits
        Credits the account has left; None is endless.

    Attributes
    ----------
    latency, page_cap, credits
        May be changed while the server runs.
    charged
        Credits charged so far.
    faults
        ``faults.put(Fault(...))``: each request uses one.
    on_request
        ``(path, params) -> Fault | None``, called where the queue of faults is empty.
    mutate
        ``(path, params, envelope) -> envelope``, to change an otherwise normal answer.
    extra_headers
        Headers to add to every response.

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
    ) -> None:
        self.seed = str(seed)
        self.latency = latency
        self.page_cap = page_cap
        self.faults: queue.SimpleQueue[Fault] = queue.SimpleQueue()
        self.on_request: Callable[[str, dict[str, str]], Fault | None] | None = None
        self.mutate: Callable[[str, dict[str, str], dict[str, Any]], Any] | None = None
        self.extra_headers: dict[str, str] = {}
        self._port = port
        self._token = token
        self.credits = credits
        self._lock = threading.Lock()
        self._broken_hooks: set[str] = set()
        self._closing = threading.Event()
        self._listener: Listener | None = None
        self._forget()

    def __enter__(self) -> Self:
        """Start the server."""
        return self.start()

    def __exit__(self, *error: object) -> None:
        """Close the server."""
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
        with self._lock:
            return sorted(self._requests, key=lambda request: request.started)

    def start(self) -> Self:
        """Start serving and return the sandbox; nothing happens where it runs already."""
        if self._listener is None:
            self._closing.clear()
            listener = Listener(self._port, self)
            listener.start()
            self._listener = listener
            atexit.register(self.close)
        return self

    def close(self) -> None:
        """Stop serving and close every connection; nothing happens where it does not run."""
        listener, self._listener = self._listener, None
        if listener is not None:
            atexit.unregister(self.close)
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
        self._answered: Counter[tuple[object, ...]] = Counter()  # answers of each entity
        self._pages: dict[tuple[object, ...], set[tuple[str | None, ...]]] = {}  # of the latest answer about each

    def respond(self, method: str, target: str, authorization: str | None) -> Answer:
        """Return the answer to one request, after the delays, and write the request down."""
        started = time.monotonic()
        params: dict[str, str] = {}
        answer: Answer | None
        try:
            split = urlsplit(target)
        except ValueError:
            path, fault, answer = target, Fault(), error(400, "Invalid request target")
        else:
            path = split.path
            for name, value in parse_qsl(split.query, keep_blank_values=True):
                params.setdefault(name, value)
            fault, answer = self._next_fault(path, params)
        if self._closing.wait(max(0.0, self.latency) + max(0.0, fault.delay)):
            return Answer(500, b"", close="before")
        answer = answer or self._faulty(fault, path) or self._normal(method, path, params, authorization, fault)
        answer.headers = {**self.extra_headers, **answer.headers, **fault.headers}
        answer.close = fault.close
        dropped = fault.close == "before"
        record = Request(
            path=path,
            params=params,
            status=None if dropped else answer.status,
            code=None if dropped else answer.code,
            credits=answer.credits,
            started=started,
            finished=time.monotonic(),
            authorization=bool(authorization),
        )
        with self._lock:
            self._requests.append(record)
        return answer

    def _next_fault(self, path: str, params: dict[str, str]) -> tuple[Fault, Answer | None]:
        """Return the fault of a request, and an answer where the rule that was to choose it is broken."""
        with contextlib.suppress(queue.Empty):
            return self.faults.get_nowait(), None
        try:
            return (self.on_request and self.on_request(path, dict(params))) or Fault(), None
        except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer and its author a traceback
            return Fault(), self._broken("on_request")

    def _broken(self, hook: str) -> Answer:
        """Return the answer where a hook raises, and report the exception once for each hook."""
        with self._lock:
            first = hook not in self._broken_hooks
            self._broken_hooks.add(hook)
        if first and sys.stderr is not None:
            sys.stderr.write(
                f"{traceback.format_exc()}The sandbox's {hook} raised (above). Requests are answered with HTTP 500 "
                "while it does, and this is reported once.\n"
            )
        return error(500, f"{hook} raised an exception: see the sandbox's stderr")

    def _faulty(self, fault: Fault, path: str) -> Answer | None:
        answer = fault.answer()
        if answer is not None and fault.charge and path in BY_PATH:
            answer.credits = BY_PATH[path].credits
            with self._lock:
                self._charge(answer.credits)
        return answer

    def _charge(self, price: int) -> None:
        """Charge the account; called with the lock held."""
        self.charged += price
        if self.credits is not None:
            self.credits = max(0, self.credits - price)

    def _normal(self, method: str, path: str, sent: dict[str, str], authorization: str | None, fault: Fault) -> Answer:
        refusal = self._refusal(method, path, authorization)
        if refusal is not None:
            return refusal
        route = BY_PATH[path]
        params = route.check(sent)
        if isinstance(params, str):
            return error(400, params)
        price = 0 if fault.charge is False else route.credits
        with self._lock:
            if self.credits is not None and price > self.credits:
                return error(402)
            self._charge(price)
            self._served += 1
            request_id = _request_id(self.seed, self._served)
            data_of = self._counted(route, params)
        envelope = {"code": 0, "message": "success", "data": data_of(), "requestId": request_id}
        if self.mutate is None:
            return success(envelope, price)
        try:
            return success(self.mutate(path, dict(sent), envelope), price)
        except Exception:  # noqa: BLE001 - as with on_request
            with self._lock:
                self._charge(-price)
            return self._broken("mutate")

    def _refusal(self, method: str, path: str, authorization: str | None) -> Answer | None:
        if path not in BY_PATH:
            return error(404)
        if method != "GET":
            answer = error(405)
            answer.headers["Allow"] = "GET"
            return answer
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return error(401)
        if self._token is not None and token.strip() != self._token:
            return error(401, "apiKey is invalid")
        return None

    def _counted(self, route: Route, params: dict[str, str | None]) -> Callable[[], Any]:
        """Count the answers of each entity of a query, and return what computes them; called with the lock held."""
        if route.name == "video/detail/analytics":
            ids = dict.fromkeys(str(params["video_ids"]).split(","))
            numbers = {video_id: self._number_of_answer((route.name, video_id)) for video_id in ids}
            return lambda: world.videos(self.seed, numbers)
        entity = (route.name, *(item for item in params.items() if item[0] not in {"page", "limit"}))
        n = self._number_of_answer(entity, (params.get("page"), params.get("limit")))
        cap = max(1, int(self.page_cap))
        return lambda: world.answer(self.seed, route.name, params, n, page_cap=cap)

    def _number_of_answer(self, entity: tuple[object, ...], page: tuple[str | None, ...] = ()) -> int:
        """Return which answer about an entity this is. All pages are of one answer, until one is fetched again."""
        pages = self._pages.setdefault(entity, set())
        if not pages or page in pages:
            pages.clear()
            self._answered[entity] += 1
        pages.add(page)
        return self._answered[entity]


def _request_id(seed: str, served: int) -> str:
    digest = blake2b(f"{seed} request {served}".encode(), digest_size=16).digest()
    return str(uuid.UUID(bytes=digest, version=4))
