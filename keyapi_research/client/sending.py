"""Sending: requests go out, paced and again where that is safe, and what they bring is stored before anybody has it."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, as_completed, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ..endpoints import PAGE_SIZE, SMALLEST_PAGE, Ask, Endpoint
from ..envelope import Found, match, open_envelope
from ..errors import (
    KeyAPIError,
    NetworkError,
    RateLimitedError,
    ServerError,
    StoreError,
    UnexpectedResponseError,
)
from ..schema import writable
from ..settings import SANDBOX, Secret, Settings, needed_token, source_of
from ..store import Arrival, Observation, Outcome, Store, in_this_process
from .call import LONGEST_WAIT, is_hard, writable_code
from .purse import Reservation
from .wire import Pace, Reply, Wire, WireFailure, jittered

if TYPE_CHECKING:
    import tenacity

    from ..sandbox import Sandbox

_BROKEN: Final = 500
_LONGEST_MESSAGE: Final = 500


class _StoppedError(Exception):
    """The call ended before this request was sent."""


@dataclass(frozen=True)
class Request:
    """One request: some entities of an endpoint, or a page of a ranking."""

    endpoint: Endpoint
    asks: tuple[Ask, ...]
    page: int = 0
    walk: int | None = None
    rows: int | None = None  # rows a page so far in the walk; None: any number fits
    same_call: bool = False  # whether the page before came in the same call
    seen: set[str] = field(default_factory=set)  # of the walk; completed with what comes

    @property
    def params(self) -> dict[str, str]:
        """Parameters as they go over the wire."""
        params = self.asks[0].params
        if self.page:
            return {**params, "page": str(self.page), "limit": str(PAGE_SIZE)}
        entity = self.endpoint.entity
        if entity is not None and self.endpoint.batch > 1:
            params[entity.wire] = ",".join(ask.id for ask in self.asks)
        return params


# What a request brings, ask by ask; None: it was not sent. Who else asks for the same waits for the same job.
Delivered = list[tuple[Ask, Observation | KeyAPIError | None]]
Job = Future[Delivered]


def _worth_another(error: BaseException) -> bool:
    """Whether sending again cannot be paid twice and may help."""
    if isinstance(error, RateLimitedError):
        return (error.retry_after or 0) <= LONGEST_WAIT
    if isinstance(error, ServerError):  # of a 200 only a code that reads as a 5xx: others may have been charged
        return (error.status_code or 0) >= _BROKEN or _BROKEN <= (error.code or 0) < 2 * _BROKEN
    return isinstance(error, WireFailure) and not error.delivered


def _network_error(failure: WireFailure) -> NetworkError:
    if failure.delivered:
        return NetworkError(
            "no complete answer came after the request was sent, so it may have been charged and is not sent again by "
            f"itself ({failure}). Check the connection and run the call again"
        )
    return NetworkError(
        f"KeyAPI could not be reached, nothing was delivered or charged ({failure}). Check the network and base_url, "
        "then run the call again; what is stored can be read with connect(offline=True)"
    )


def _wait_before_another(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, RateLimitedError) else None
    return jittered(state.attempt_number) if asked is None else asked


def _closed() -> StoreError:
    return StoreError("this client was closed meanwhile, nothing more is sent; connect again")


def _clean(text: str | None) -> str | None:
    """Keep a text short and writable: half a surrogate pair cannot be stored."""
    return None if text is None else writable(text[:_LONGEST_MESSAGE])


class Sender:
    """Sends the requests of a client, `max_workers` at once, and writes down every one of them.

    Parameters
    ----------
    settings : Settings
        Where to, how fast, how often again.
    store : Store
        What keeps the answers and the ledger.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._pace = Pace(settings.requests_per_second)
        self._slots = threading.Semaphore(settings.max_workers)
        self._lock = threading.Lock()
        self._ending = threading.Lock()
        self._stops: set[threading.Event] = set()  # of the calls under way
        self._stranger: StoreError | None = None  # raised once the answers are known to be another source's
        self._wire: Wire | None = None
        self._opened = contextlib.ExitStack()
        # A client that is dropped leaves nothing running.
        self._closing = weakref.finalize(self, in_this_process(self._opened.close))
        self.sandbox: Sandbox | None = None  # where it runs in this process, once something was sent
        self.closed = False

    def close(self) -> None:
        """Wait for what is in flight, then close the connections, the sandbox, and the store it was written into."""
        with self._lock:
            self.closed = True
            for stop in self._stops:  # who waits to send, also again, need not be waited for
                stop.set()
        with contextlib.ExitStack() as taken, self._ending:
            for _ in range(self._settings.max_workers):
                self._slots.acquire()
                taken.callback(self._slots.release)  # calls of other threads go on, and are told
            self._closing()
            self._store.close()

    def send(
        self,
        jobs: Mapping[Job, Request],
        reservation: Reservation,
        take: Callable[[Delivered], None],
        *,
        landed: Callable[[Job], None] = lambda _: None,
    ) -> None:
        """Deliver requests side by side; after a hard stop or Ctrl-C, nothing more is sent.

        Parameters
        ----------
        jobs : mapping of Job to Request
            What to send, and where others wait for what it brings.
        reservation : Reservation
            The credits held for them.
        take : callable
            Is given what each brings, in the caller's thread.
        landed : callable, optional
            Is told that a job is over, in the sending thread, before anybody who waits for it.
        """
        stop = threading.Event()
        left = deque(jobs.items())
        with self._lock:
            self._stops.add(stop)
        try:
            for number in range(min(len(jobs), self._settings.max_workers)):
                # Daemons, unlike a pool's threads: after a second Ctrl-C the program need not wait for them.
                worker = threading.Thread(
                    target=self._work, args=(left, stop, reservation, landed), name="keyapi", daemon=True
                )
                try:
                    worker.start()
                except RuntimeError as error:
                    if number:
                        break  # the threads that there are send it all
                    raise KeyAPIError(
                        f"no thread can be started to send with ({error}), so nothing more is sent. End other threads "
                        "or programs, then run the call again",
                        retryable=True,
                    ) from error
            for job in as_completed(jobs):
                take(job.result())
        except BaseException:  # the first Ctrl-C: what is in flight was paid for and is awaited
            stop.set()
            wait([job for job in jobs if not job.cancel()])
            raise
        finally:
            with self._lock:
                self._stops.discard(stop)

    def _work(
        self,
        left: deque[tuple[Job, Request]],
        stop: threading.Event,
        reservation: Reservation,
        landed: Callable[[Job], None],
    ) -> None:
        """Deliver what is left; the threads of one call share one list, all calls of a client its slots."""
        while left:
            with self._slots:
                try:
                    job, request = left.popleft()
                except IndexError:
                    return
                if not job.set_running_or_notify_cancel():
                    continue
                try:
                    delivered = self._deliver(request, stop, reservation)
                except BaseException as error:  # noqa: BLE001 - raised where the call waits
                    landed(job)
                    job.set_exception(error)
                else:
                    landed(job)
                    job.set_result(delivered)

    def connection(self) -> Wire:
        """Open the wire when the first request is sent; so the sandbox starts only when it is needed."""
        with self._lock:
            if self._wire is None:
                settings = self._settings
                if settings.sandbox:
                    from ..sandbox import TOKEN, Sandbox  # noqa: PLC0415 - only where it is used

                    sandbox = Sandbox()
                    try:
                        sandbox.start()
                    except (OSError, RuntimeError) as error:
                        raise NetworkError(
                            f"the sandbox cannot be started on this machine ({error}), so nothing was sent. End other "
                            "programs, then run the call again"
                        ) from error
                    self.sandbox = sandbox
                    self._opened.callback(self.sandbox.close)
                    base_url, token = self.sandbox.url, Secret(TOKEN)
                else:
                    base_url, token = settings.base_url, needed_token(settings)
                self._wire = Wire(base_url, token, timeout=settings.timeout, connections=settings.max_workers)
                self._opened.callback(self._wire.close)
            return self._wire

    def _deliver(self, request: Request, stop: threading.Event, reservation: Reservation) -> Delivered:
        """Send one request, again where that is safe."""
        import tenacity  # noqa: PLC0415 - brings asyncio and whatever loop is installed: only where it is used

        unsettled = [request.endpoint.credits]
        last: KeyAPIError | None = None  # what the attempt before this one brought

        def settle(cost: int) -> None:
            if unsettled:
                reservation.settle(unsettled.pop(), cost)

        def attempt() -> Delivered:
            nonlocal last
            sent_at = self._pace.wait(stop)
            if sent_at is None:
                raise _StoppedError
            try:
                return self._attempt(request, retrying.statistics["attempt_number"], sent_at, settle)
            except (KeyAPIError, WireFailure) as problem:
                last = _network_error(problem) if isinstance(problem, WireFailure) else problem
                raise

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._settings.retries + 1),
            retry=tenacity.retry_if_exception(_worth_another),
            wait=_wait_before_another,
            sleep=tenacity.sleep_using_event(stop),
            reraise=True,
        )
        try:
            return retrying(attempt)
        except _StoppedError:
            last = _closed() if last is None and self.closed else last
        except (KeyAPIError, WireFailure):
            pass  # it is `last`
        finally:
            settle(0)
        if last is not None:
            last.endpoint, last.params = request.endpoint.path, request.params
            if is_hard(last):
                stop.set()
        return [(ask, last) for ask in request.asks]

    def _attempt(self, request: Request, number: int, sent_at: int, settle: Callable[[int], None]) -> Delivered:
        if self.closed:
            raise _closed()
        if self._stranger is not None:
            raise StoreError(self._stranger.message)
        endpoint, params = request.endpoint, request.params
        wire = self.connection()
        row = self._store.open_row(
            sent_at=sent_at, endpoint=endpoint.path, params=params, n_entities=len(request.asks), attempt=number
        )
        try:
            reply = wire.get(endpoint.path, params)
        except WireFailure as failure:
            if failure.delivered:
                settle(endpoint.credits)
            self._complete(row, Outcome(message=_clean(f"no answer: {failure}"), elapsed_s=failure.elapsed_s), request)
            raise
        try:
            return self._receive(request, row, reply, settle)
        except StoreError as error:
            error.answer = [reply.body.decode("utf-8", "replace") if reply.payload is None else reply.payload]
            raise
        except KeyAPIError:
            raise
        except Exception as error:  # a store that is damaged where nobody looked: the answer was paid for
            raise StoreError(
                f"the answer could not be stored ({type(error).__name__}: {error}); it is on .answer",
                answer=[reply.body.decode("utf-8", "replace") if reply.payload is None else reply.payload],
            ) from error

    def _complete(
        self, row: int, outcome: Outcome, request: Request, arrivals: Sequence[Arrival] = (), at: int = 0
    ) -> list[Observation]:
        return self._store.keep(
            row,
            outcome,
            arrivals,
            url=f"{self.connection().base_url}{request.endpoint.path}",
            endpoint=request.endpoint.path,
            observed_at=at,
        )

    def _receive(self, request: Request, row: int, reply: Reply, settle: Callable[[int], None]) -> Delivered:
        """Take an answer for what it is worth and write it down."""
        price = request.endpoint.credits
        try:
            envelope = open_envelope(reply.status, reply.body, reply.payload, retry_after=reply.retry_after)
        except KeyAPIError as error:
            if isinstance(error, RateLimitedError) and (error.retry_after or 0) <= LONGEST_WAIT:
                self._pace.slow_down(error.retry_after or jittered(1))
            unknown = isinstance(error, UnexpectedResponseError)  # whether that was charged nobody knows
            if unknown:
                settle(price)
            code = writable_code(error.code)
            self._complete(
                row,
                Outcome(
                    reply.status,
                    code,
                    _clean(error.message),
                    _clean(error.request_id),
                    (price if code == 0 else None) if unknown else 0,
                    reply.elapsed_s,
                ),
                request,
            )
            raise
        settle(price)
        found = match(request.endpoint, request.asks, envelope)
        outcome = Outcome(
            reply.status, 0, _clean(envelope.message), _clean(envelope.request_id), price, reply.elapsed_s
        )
        source = SANDBOX if reply.synthetic else source_of(self.connection().base_url)
        try:
            self._store.claim(source)
        except StoreError as error:
            if self._store.source not in (None, source):
                self._stranger = error
            self._complete(row, outcome, request)
            raise
        arrivals = [_arrival(request, one) for one in found if isinstance(one, Found)]
        kept = iter(self._complete(row, outcome, request, arrivals, reply.arrived_at))
        for one in found:
            if isinstance(one, UnexpectedResponseError):
                one.endpoint, one.params = request.endpoint.path, request.params
        return [
            (ask, next(kept) if isinstance(one, Found) else one) for ask, one in zip(request.asks, found, strict=True)
        ]


def _arrival(request: Request, found: Found) -> Arrival:
    params = found.ask.params
    if not request.page:
        return Arrival(found.ask.key, params, found.envelope, absent=found.absent)
    new = {one for one in found.ids if one is not None} - request.seen
    request.seen.update(new)
    rows = len(found.ids)
    return Arrival(
        found.ask.key,
        {**params, "page": str(request.page)},
        found.envelope,
        page=request.page,
        rows=rows,
        walk=request.walk if _continues(request, found, len(new)) else None,
        fresh=len(new),
        more=found.more,
    )


def _continues(request: Request, found: Found, fresh: int) -> bool:
    """Whether a page goes on where the page before it ended; else the server cuts pages differently now.

    What is stored is continued with the same rows a page only. Within a call pages may be shorter than others; but
    larger ones after those of a cap leave rows out, and those of a cap after larger ones repeat rows.
    """
    rows = len(found.ids)
    if request.rows is None or rows == request.rows:
        return True
    if not request.same_call:
        return rows < request.rows and found.more is not True
    leaves_out = rows > request.rows == SMALLEST_PAGE
    repeats = rows == SMALLEST_PAGE and fresh == 0 and found.more is True
    return not (leaves_out or repeats)
