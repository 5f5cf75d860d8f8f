"""The HTTP side of the sandbox: routes, parameter checks, prices, envelopes, and misbehaviour on demand."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import re
import selectors
import socket
import struct
import sys
import threading
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Literal, Self, cast
from urllib.parse import parse_qsl, urlsplit

from keyapi_research.sandbox import world
from keyapi_research.settings import SANDBOX, SOURCE_HEADER

if TYPE_CHECKING:
    from socketserver import BaseServer
    from types import TracebackType

TOKEN = "sandbox"  # noqa: S105 - it opens nothing but this server
LARGEST_PAGE = 20
LARGEST_BATCH = 10
_LONGEST_ID, _LONGEST_PAGE, _LONGEST_TEXT = 30, 6, 150

Check = Callable[[str], str | None]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a route: its name on the wire, its live default, and its check.

    The check returns the canonical value, or None where the value is refused. A default of None with
    ``required`` unset stands for "no filter".
    """

    api_name: str
    default: str | None
    check: Check
    required: bool = False


@dataclass(frozen=True)
class Route:
    """One endpoint: its name in the world, its path, its price and its parameters."""

    name: str
    path: str
    credits: int
    parameters: tuple[Parameter, ...]


def _digits(value: str) -> str | None:
    return value if value.isascii() and value.isdigit() and len(value) <= _LONGEST_ID else None


def _digits_list(value: str) -> str | None:
    ids = [part.strip() for part in value.split(",")]
    known = all(_digits(part) for part in ids)
    return ",".join(ids) if known and len(ids) <= LARGEST_BATCH else None


def _one_of(*allowed: str) -> Check:
    return lambda value: value if value in allowed else None


def _flag(value: str) -> str | None:
    return value.lower() if value.lower() in {"true", "false"} else None


def _text(value: str) -> str | None:
    return value if len(value) <= _LONGEST_TEXT else None


def _country(value: str) -> str | None:
    return value if world.is_region(value) else None


def _region(value: str) -> str | None:
    return value if value == "all_regions" else _country(value)


def _time_scope(value: str) -> str | None:
    return value if value in {"1", "7", "30"} or world.is_month(value) else None


def _page(value: str) -> str | None:
    return str(int(value)) if _digits(value) and len(value) <= _LONGEST_PAGE and int(value) >= 1 else None


def _limit(value: str) -> str | None:
    return str(min(int(value), LARGEST_PAGE)) if _digits(value) and int(value) >= 1 else None


def _industry(value: str) -> str | None:
    return value if value == "nothing" else _digits(value)


def _hashtag(value: str) -> str | None:
    name = world.hashtag_name(value)
    return name if name and len(name) <= _LONGEST_TEXT and not re.search(r"[\s,]", name) else None


# A reading of KeyAPI's pages of its own: a server that took its routes from the client's declarations would agree
# with every mistake in them. A test holds the two against each other.
ROUTES: tuple[Route, ...] = (
    Route(
        "insights/products",
        "/v1/tiktok/insights/products",
        2,
        (
            Parameter("search_keyword", "FALSE", _text),
            Parameter("page", "1", _page),
            Parameter("limit", "20", _limit),
            Parameter("time_scope", "1", _time_scope),
            Parameter("region", "all_regions", _region),
            Parameter("ecom_category_id", None, _digits),
        ),
    ),
    Route(
        "insights/product/detail",
        "/v1/tiktok/insights/product/detail",
        2,
        (
            Parameter("time_scope", "1", _time_scope),
            Parameter("region", "all_regions", _region),
            Parameter("id", "601583", _digits),
        ),
    ),
    Route(
        "video/detail/analytics",
        "/v1/tiktok/video/detail/analytics",
        1,
        (Parameter("video_ids", None, _digits_list, required=True),),
    ),
    Route(
        "trending/hashtag/detail",
        "/v1/tiktok/trending/hashtag/detail",
        2,
        (
            Parameter("period", "7", _one_of("7", "30", "120", "365", "1095")),
            Parameter("region", "all_regions", _region),
            Parameter("hashtag_name", "ufc324", _hashtag),
        ),
    ),
    Route(
        "trending/music/detail",
        "/v1/tiktok/trending/music/detail",
        2,
        (
            Parameter("period", "7", _one_of("7", "30", "120")),
            Parameter("region", "US", _country),
            Parameter("clip_id", "6703723351497508865", _digits),
        ),
    ),
    Route(
        "trending/hashtags",
        "/v1/tiktok/trending/hashtags",
        2,
        (
            Parameter("page", "1", _page),
            Parameter("limit", "20", _limit),
            Parameter("period", "7", _one_of("7", "30", "120")),
            Parameter("region", "all_regions", _region),
            Parameter("industry_id", "nothing", _industry),
            Parameter("new_to_top_100", "false", _flag),
        ),
    ),
    Route(
        "trending/music",
        "/v1/tiktok/trending/music",
        2,
        (
            Parameter("search_keyword", "FALSE", _text),
            Parameter("page", "1", _page),
            Parameter("limit", "20", _limit),
            Parameter("period", "7", _one_of("7", "30", "120")),
            Parameter("region", "US", _country),
            Parameter("new_to_top_100", "false", _flag),
            Parameter("commercial_music", "false", _flag),
        ),
    ),
)
_BY_PATH = {route.path: route for route in ROUTES}

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


@dataclass(frozen=True)
class Fault:
    """One misbehaviour, for one request. ``Fault()`` changes nothing.

    Parameters
    ----------
    status
        HTTP status of an error answer; None or 200 keep the normal answer (which the other fields may still delay,
        cut or dress), unless ``code``, ``inside_200`` or ``body`` ask for another.
    code
        Code in the error envelope; the status by default. Where no ``status`` is given, a code from 400 to 599 is the
        status too, and any other comes with 500. Code 0 is no exception: ``Fault(code=0)`` is a failure that says
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
        Whether the request is charged; by default what the service would do: a success is, a failure is not.
    """

    status: int | None = None
    code: int | None = None
    message: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    inside_200: bool = False
    close: Literal["before", "mid_body"] | None = None
    delay: float = 0.0
    charge: bool | None = None


@dataclass(frozen=True)
class Request:
    """One request the sandbox has served: what was asked, what it said, what it charged.

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
class _Answer:
    """What is about to be sent."""

    status: int
    body: bytes
    code: int | None = None
    credits: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    close: Literal["before", "mid_body"] | None = None


def _error(status: int, message: str | None = None, *, code: int | None = None) -> _Answer:
    code = status if code is None else code
    text = message if message is not None else MESSAGES.get(code, "error")
    return _Answer(status, _encoded({"code": code, "data": None, "message": text}), code)


def _encoded(envelope: object) -> bytes:
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()


def _code_of(envelope: object) -> int | None:
    code = envelope.get("code") if isinstance(envelope, dict) else None
    return code if isinstance(code, int) else None


def _checked(route: Route, sent: Mapping[str, str]) -> dict[str, str | None] | str:
    """Return the canonical parameters, or the text of the refusal. Unknown keys are ignored, as upstream."""
    canonical: dict[str, str | None] = {}
    for parameter in route.parameters:
        value = sent.get(parameter.api_name, "")
        if not value.strip():
            if parameter.required:
                return f"Missing required parameter: {parameter.api_name}"
            canonical[parameter.api_name] = parameter.default
            continue
        checked = parameter.check(value)
        if checked is None:
            return f"Invalid parameter: {parameter.api_name}"
        canonical[parameter.api_name] = checked
    return canonical


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
        Most rows a page may have, whatever ``limit`` asks for.
    credits
        Credits the account has left; None is endless.

    Attributes
    ----------
    latency, page_cap
        May be changed while the server runs.
    faults
        ``faults.put(Fault(...))``: each request takes one.
    on_request
        ``(path, params) -> Fault | None``, asked where the queue of faults is empty.
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
        self._credits = credits
        self._lock = threading.Lock()
        self._told: set[str] = set()
        self._closing = threading.Event()
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._listener: socket.socket | None = None
        self._wake: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._forget()

    def __enter__(self) -> Self:
        """Start the server."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def charged(self) -> int:
        """Credits charged so far."""
        with self._lock:
            return self._charged

    @property
    def requests(self) -> list[Request]:
        """The requests served so far, by the time they came."""
        with self._lock:
            return sorted(self._requests, key=lambda request: request.started)

    @property
    def credits(self) -> int | None:
        """Credits the account has left; None is endless."""
        with self._lock:
            return self._credits

    @credits.setter  # noqa: A003 - the word of the service
    def credits(self, value: int | None) -> None:
        with self._lock:
            self._credits = value

    def start(self) -> Self:
        """Start serving; nothing happens where it runs already.

        Returns
        -------
        Sandbox
            Itself.
        """
        if self._listener is not None:
            return self
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if os.name == "posix":  # elsewhere it would let two servers share the port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self._port))
            listener.listen(256)
        except BaseException:
            listener.close()
            raise
        wake, woken = socket.socketpair()
        self._closing.clear()
        acceptor = threading.Thread(target=self._accept, args=(listener, woken), name="keyapi-sandbox", daemon=True)
        try:
            acceptor.start()
        except BaseException:
            for end in (listener, wake, woken):
                end.close()
            raise
        self._listener, self._wake, self._acceptor = listener, wake, acceptor
        atexit.register(self.close)
        return self

    def close(self) -> None:
        """Stop serving and close every connection; nothing happens where it does not run."""
        listener, wake, acceptor = self._listener, self._wake, self._acceptor
        if listener is None or wake is None or acceptor is None:
            return
        atexit.unregister(self.close)
        self._closing.set()
        wake.close()
        acceptor.join()
        listener.close()
        self._listener = self._wake = self._acceptor = None
        with self._lock:
            open_connections = dict(self._connections)
        for connection in open_connections.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in open_connections:
            if thread is not threading.current_thread():
                thread.join(timeout=5)

    def reset(self) -> None:
        """Forget everything that was asked: requests, charges, faults, and how far time has moved on."""
        with self._lock:
            self._forget()
        with contextlib.suppress(queue.Empty):
            while True:
                self.faults.get_nowait()

    def _forget(self) -> None:
        self._charged = 0
        self._served = 0
        self._requests: list[Request] = []
        self._queries: Counter[tuple[object, ...]] = Counter()
        self._given: dict[tuple[object, ...], set[tuple[str | None, str | None]]] = {}  # pages of lists, of their day

    def _accept(self, listener: socket.socket, woken: socket.socket) -> None:
        with woken, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while not self._closing.is_set():
                selector.select()
                if self._closing.is_set():
                    return
                try:
                    connection, _ = listener.accept()
                except OSError:
                    continue
                thread = threading.Thread(
                    target=self._serve, args=(connection,), name="keyapi-sandbox-connection", daemon=True
                )
                with self._lock:
                    self._connections[thread] = connection
                try:
                    thread.start()
                except RuntimeError:  # no more threads: who asked is told by the closed connection, others are served
                    with self._lock:
                        del self._connections[thread]
                    connection.close()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError):
                _Handler(connection, self)
        finally:
            with self._lock:
                self._connections.pop(threading.current_thread(), None)

    def respond(self, method: str, target: str, authorization: str | None) -> _Answer:
        """Decide on the answer to one request, after the delays, and write the request down.

        Parameters
        ----------
        method, target
            Of the request line.
        authorization
            Value of that header.

        Returns
        -------
        _Answer
            What is to be sent.
        """
        started = time.monotonic()
        sent: dict[str, str] = {}
        answer: _Answer | None
        try:
            split = urlsplit(target)
        except ValueError:
            path, fault, answer = target, Fault(), _error(400, "Invalid request target")
        else:
            path = split.path
            for name, value in parse_qsl(split.query, keep_blank_values=True):
                sent.setdefault(name, value)
            fault, answer = self._next_fault(path, sent)
        if self._closing.wait(max(0.0, self.latency) + max(0.0, fault.delay)):
            return _Answer(500, b"", close="before")
        answer = answer or self._faulty(fault)
        if answer is None:
            free = fault.charge is False
            answer = self._normal(method, path, sent, authorization, free=free)
        elif fault.charge and path in _BY_PATH:
            answer.credits = _BY_PATH[path].credits
            with self._lock:
                self._charge(answer.credits)
        answer.headers = {**self.extra_headers, **answer.headers, **fault.headers}
        answer.close = fault.close
        dropped = fault.close == "before"
        record = Request(
            path=path,
            params=sent,
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

    def _next_fault(self, path: str, sent: dict[str, str]) -> tuple[Fault, _Answer | None]:
        """Return the fault of a request, and an answer where the rule that was to choose it is broken."""
        try:
            return self.faults.get_nowait(), None
        except queue.Empty:
            pass
        try:
            return (self.on_request(path, dict(sent)) if self.on_request is not None else None) or Fault(), None
        except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer and its author a traceback
            return Fault(), self._broken("on_request")

    def _broken(self, hook: str) -> _Answer:
        """Return the answer where a hook raises, and say so, once for each hook."""
        with self._lock:
            first = hook not in self._told
            self._told.add(hook)
        if first and sys.stderr is not None:
            sys.stderr.write(
                f"{traceback.format_exc()}The sandbox's {hook} raised (above): requests are answered with HTTP 500 "
                "while it does, and this is said once.\n"
            )
        return _error(500, f"{hook} raised an exception: see the sandbox's stderr")

    def _faulty(self, fault: Fault) -> _Answer | None:
        if fault.body is not None:
            try:
                code = _code_of(json.loads(fault.body))
            except (ValueError, RecursionError):
                code = None
            return _Answer(fault.status or 200, fault.body, code)
        if fault.close == "before":
            return _error(500)
        code = fault.code
        if fault.inside_200:
            return _error(200, fault.message, code=fault.status or 500 if code is None else code)
        if fault.status not in {None, 200} or code is not None:
            usual = code if code is not None and code in _ERROR_STATUSES else 500
            return _error(fault.status or usual, fault.message, code=code)
        return None

    def _charge(self, price: int) -> None:
        """Charge the account; called with the lock held."""
        self._charged += price
        if self._credits is not None:
            self._credits = max(0, self._credits - price)

    def _normal(
        self, method: str, path: str, sent: dict[str, str], authorization: str | None, *, free: bool
    ) -> _Answer:
        refusal = self._refusal(method, path, authorization)
        if refusal is not None:
            return refusal
        route = _BY_PATH[path]
        params = _checked(route, sent)
        if isinstance(params, str):
            return _error(400, params)
        price = 0 if free else route.credits
        with self._lock:
            if self._credits is not None and price > self._credits:
                return _error(402)
            self._charge(price)
            self._served += 1
            served = self._served
            data_of = self._counted(route, params)
        envelope: dict[str, Any] = {
            "code": 0,
            "message": "success",
            "data": data_of(),
            "requestId": _request_id(self.seed, served),
        }
        if self.mutate is None:
            return _Answer(200, _encoded(envelope), 0, price)
        try:
            changed = self.mutate(path, dict(sent), envelope)
            return _Answer(200, _encoded(changed), _code_of(changed), price)
        except Exception:  # noqa: BLE001 - as with on_request
            with self._lock:
                self._charge(-price)
            return self._broken("mutate")

    def _ask_of(self, entity: tuple[object, ...]) -> int:
        """Count an ask of an entity, and return the how-manieth it is; called with the lock held."""
        self._queries[entity] += 1
        return self._queries[entity]

    def _ask_of_list(self, route: Route, params: Mapping[str, str | None]) -> int:
        """Return the how-manieth answer about a list a page is of; called with the lock held.

        All pages of a list are of one day, until one that was given on this day is asked for again.
        """
        page = (params["page"], params["limit"])
        entity = (route.name, *(item for item in params.items() if item[0] not in {"page", "limit"}))
        given = self._given.setdefault(entity, set())
        if not self._queries[entity] or page in given:
            given.clear()
            self._queries[entity] += 1
        given.add(page)
        return self._queries[entity]

    def _counted(self, route: Route, params: dict[str, str | None]) -> Callable[[], Any]:
        """Count this ask of each entity, and return what computes the answer."""
        if route.name == "video/detail/analytics":
            queries: dict[str, int] = {}
            for video_id in dict.fromkeys(str(params["video_ids"]).split(",")):
                queries[video_id] = self._ask_of((route.name, video_id))
            return lambda: world.videos(self.seed, queries)
        n = self._ask_of_list(route, params) if "page" in params else self._ask_of((route.name, *params.items()))
        cap = max(1, int(self.page_cap))
        return lambda: world.answer(self.seed, route.name, params, n, page_cap=cap)

    def _refusal(self, method: str, path: str, authorization: str | None) -> _Answer | None:
        if path not in _BY_PATH:
            return _error(404)
        if method != "GET":
            answer = _error(405)
            answer.headers["Allow"] = "GET"
            return answer
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return _error(401)
        if self._token is not None and token != self._token:
            return _error(401, "apiKey is invalid")
        return None


def _request_id(seed: str, served: int) -> str:
    digest = blake2b(f"{seed} request {served}".encode(), digest_size=16).digest()
    return str(uuid.UUID(bytes=digest, version=4))


class _Handler(BaseHTTPRequestHandler):
    """One connection. Of the base class only the parsing of requests is used: it would send head and body apart."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, connection: socket.socket, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        super().__init__(connection, ("127.0.0.1", 0), cast("BaseServer", None))

    def do_GET(self) -> None:
        self._drain()
        self._send(self.sandbox.respond(self.command, self.path, self.headers.get("Authorization")))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what the base class refuses (another method, a broken request line) as the service would."""
        del explain
        self.close_connection = True
        if code == HTTPStatus.NOT_IMPLEMENTED and self.command:
            self._drain()
            answer = self.sandbox.respond(self.command, self.path, self.headers.get("Authorization"))
        else:
            answer = _error(code, message)
            answer.headers = dict(self.sandbox.extra_headers)
        self._send(answer)

    def _drain(self) -> None:
        """Read the body of a request, which no endpoint has: what is left of it would be read as the next request."""
        length = self.headers.get("Content-Length", "0").strip()
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            self.close_connection = True  # where it ends is not known for sure
            if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
                self._skip_chunks()
            return
        self._skip(int(length))

    def _skip_chunks(self) -> None:
        """Read a body in chunks: unread, it would be answered with a reset that overtakes the answer."""
        size = -1
        while size:
            written = self.rfile.readline(_CHUNK).partition(b";")[0].strip()
            if not _HEX.fullmatch(written):
                return
            size = int(written, 16)
            self._skip(size + len(b"\r\n"))

    def _skip(self, left: int) -> None:
        while left > 0 and (chunk := self.rfile.read(min(left, _CHUNK))):
            left -= len(chunk)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def _send(self, answer: _Answer) -> None:
        if answer.close == "before":
            self.close_connection = True
            return
        if answer.close == "mid_body":
            self.close_connection = True
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            SOURCE_HEADER: SANDBOX,
            "Content-Length": str(len(answer.body)),
        }
        if self.close_connection:
            headers["Connection"] = "close"
        usual = {name.lower(): name for name in headers}
        for name, value in answer.headers.items():
            headers[usual.get(name.lower(), name)] = value
        reason = HTTPStatus(answer.status).phrase if answer.status in _STATUSES else "Unknown"
        lines = [f"HTTP/1.1 {answer.status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        body = b"" if self.command == "HEAD" else answer.body
        if answer.close != "mid_body":
            self.wfile.write(head + body)
            return
        self.wfile.write(head + body[: len(body) // 2])
        # Linger zero: closing sends a reset instead of an orderly end.
        self.connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii" if os.name == "posix" else "hh", 1, 0)
        )


_STATUSES = frozenset(status.value for status in HTTPStatus)
_CHUNK = 65_536
_HEX = re.compile(rb"[0-9A-Fa-f]{1,15}")
_ERROR_STATUSES = range(400, 600)
