"""Sending: requests go out, paced and again where that is safe, and what they bring is stored before anybody has it.

Just before a request is sent, what it requests is claimed in the store, so that nobody else sends the same, in this
process or in another; who finds a claim waits for its outcome.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from ..envelope import Found, match, open_envelope
from ..errors import KeyAPIError, NetworkError, RateLimitedError, StoreError, UnexpectedResponseError
from ..model import Query
from ..settings import SANDBOX, Secret, Settings, needed_token, source_of
from ..spelling import writable
from ..store import Answer, Arrival, Claim, Observation, Outcome, Store, claim_of, in_this_process
from .call import UNDELIVERED, writable_code
from .delivery import Delivered, Delivery, Request, Run, closed, error_of_row, is_worth_another, make_arrival, no_answer
from .interrupts import no_thread
from .pacing import Pace, is_short_wait, jittered
from .transport import Reply, Transport, TransportFailure

if TYPE_CHECKING:
    from ..sandbox import Sandbox

_LONGEST_MESSAGE: Final = 500
_LONGEST_LEASE: Final = 10.0  # seconds a claim holds unless it is renewed: so long one waits for a killed program
_LOOKS_AGAIN: Final = (0.01, 0.25)  # seconds between looks at a claim, at first and later


class _Shared:
    """What ends with a client: its calls under way, and the slots of what is in flight."""

    def __init__(self, max_workers: int) -> None:
        self.max_workers = max_workers
        self.slots = threading.Semaphore(max_workers)
        self.lock = threading.Lock()
        self.stops: set[threading.Event] = set()
        self.closed = False
        self.abandoned = False  # whether somebody left while something was in flight, and will not wait for it
        self.opened = contextlib.ExitStack()

    def end(self) -> None:
        """Send nothing more, wait for what is in flight, then close the connections and the sandbox."""
        with self.lock:
            self.closed = True
            for stop in self.stops:  # who waits to send, also again, need not be waited for
                stop.set()
        with contextlib.ExitStack() as taken:
            for _ in range(self.max_workers):
                while not self.slots.acquire(timeout=_LOOKS_AGAIN[1]):
                    if self.abandoned:
                        return
                taken.callback(self.slots.release)  # calls of other threads go on, and get an error
            self.opened.close()


class Sender:
    """Sends the requests of a client, `max_workers` at once, and writes down every one of them."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._pace = Pace(settings.requests_per_second)
        self._shared = _Shared(settings.max_workers)
        self._lease = min(_LONGEST_LEASE, sum(settings.timeout))
        self._ending = threading.Lock()
        self._foreign: StoreError | None = None  # raised once the answers are known to be another source's
        self._transport: Transport | None = None
        self._unkept: list[Callable[[], object]] = []  # ways to store what was paid and could not be stored
        self._keeping = threading.Lock()  # of two calls that store it, one would drop what the other did not get to
        # A client that is dropped leaves nothing running, and the end of a program waits for what is in flight.
        self._closing = weakref.finalize(self, in_this_process(self._shared.end))
        self.sandbox: Sandbox | None = None  # where it runs in this process, once something was sent

    @property
    def closed(self) -> bool:
        """Whether nothing is sent any more."""
        return self._shared.closed

    def close(self) -> None:
        """Wait for what is in flight, then close the connections, the sandbox, and the store it was written into."""
        with self._ending:
            self._shared.closed = True
            self._closing()
            with contextlib.suppress(StoreError):  # there is no room for it yet: it is on the error that was raised
                self.keep_unkept()
            self._store.close()

    def abandon(self) -> None:
        """Do not wait for what is in flight when the program ends: the user pressed Ctrl-C twice."""
        self._shared.abandoned = True

    @contextlib.contextmanager
    def under_way(self, run: Run) -> Iterator[None]:
        """Let a call be stopped when the client is closed or the program ends."""
        with self._shared.lock:
            self._shared.stops.add(run.stop)
        try:
            yield
        finally:
            with self._shared.lock:
                self._shared.stops.discard(run.stop)

    def keep_unkept(self) -> None:
        """Store what was paid for and could not be stored before; StoreError where it still cannot be."""
        with self._keeping:
            while self._unkept:
                self._unkept[0]()
                del self._unkept[0]

    # A call -------------------------------------------------------------------------------------------------

    def send(
        self, left: deque[Query], template: Request, run: Run, deliver: Callable[[Delivered], None], *, most: int = 1
    ) -> None:
        """Send for what is left, `most` entities a request, side by side; hand over what each brings.

        After a hard stop, when the call is stopped, or where none of the first answers can be used, nothing more is
        sent: it stays in `left`.
        """
        arrived: SimpleQueue[Delivered | BaseException] = SimpleQueue()
        needed = math.ceil(len(left) / most)  # as many as are needed if all are free
        in_flight = 0
        broken: BaseException | None = None
        while True:
            while left and needed and in_flight < min(self._settings.max_workers, run.room) and not run.stop.is_set():
                try:
                    self._start(Delivery(left, template, run, most), arrived)
                except RuntimeError as error:
                    if not in_flight:
                        raise no_thread(error) from error
                    break  # there may be a thread again when one has ended
                in_flight, needed = in_flight + 1, needed - 1
            if not in_flight:
                break
            got = self._wait(arrived, run)
            in_flight -= 1
            if isinstance(got, BaseException):
                broken = got
                run.stop.set()
            else:
                run.note(got)
                deliver(got)
        if broken is not None:
            raise broken

    def _wait(self, arrived: SimpleQueue[Delivered | BaseException], run: Run) -> Delivered | BaseException:
        """Wait for what a request brings; meanwhile renew the claims of all that are in flight."""
        while True:
            if time.monotonic() - run.renewed > self._lease / 3:
                with contextlib.suppress(StoreError):  # it cannot be written just now: the claims may run out
                    self._store.renew(run.rows, self._lease)
                run.renewed = time.monotonic()
            with contextlib.suppress(Empty):
                return arrived.get(timeout=self._lease / 3)

    def _start(self, one: Delivery, arrived: SimpleQueue[Delivered | BaseException]) -> None:
        """Send a request from a thread of its own, when one of the client's slots is free."""

        def work() -> None:
            got: Delivered | BaseException
            try:
                with self._shared.slots:
                    got = self._deliver(one)
            except BaseException as error:  # noqa: BLE001 - raised where the call waits
                got = error
            arrived.put(got)

        # Daemons, unlike a pool's threads: after a second Ctrl-C the program need not wait for them.
        threading.Thread(target=work, name="keyapi", daemon=True).start()

    def wait_for_others(self, queries: Sequence[Query], page: int, run: Run) -> dict[Query, KeyAPIError]:
        """Wait until nobody else requests what a call needs, too; return the errors of what failed there.

        Of the rest the store has more now, or nobody requests it any more.
        """
        waiting = {claim_of(query.key, page): query for query in queries}
        known: dict[str, tuple[Claim, float]] = {}  # and since when it has stood like that, by a clock of ours
        failed: dict[Query, KeyAPIError] = {}
        pause, longest = _LOOKS_AGAIN
        while waiting and not run.stop.is_set():
            claims = self._store.claims(waiting)
            now = time.monotonic()
            for key, query in list(waiting.items()):
                claim = claims.get(key)
                if claim is not None and known.get(key, (None,))[0] != claim:
                    known[key] = claim, now
                if claim is None or claim.done or not claim.holds or now - known[key][1] > _LONGEST_LEASE:
                    del waiting[key]
                    if claim is not None and claim.done:
                        failed[query] = error_of_row(self._store.ledger([claim.request])[0])
            if waiting:
                run.stop.wait(pause)
                pause = min(pause * 1.5, longest)
        return failed

    # A request ----------------------------------------------------------------------------------------------

    def connection(self) -> Transport:
        """Open the transport when the first request is sent; so the sandbox starts only when it is needed."""
        with self._shared.lock:
            if self._transport is None:
                settings = self._settings
                if settings.sandbox:
                    base_url, token = self._start_sandbox()
                else:
                    base_url, token = settings.base_url, needed_token(settings)
                self._transport = Transport(base_url, token, timeout=settings.timeout, connections=settings.max_workers)
                self._shared.opened.callback(self._transport.close)
            return self._transport

    def _start_sandbox(self) -> tuple[str, Secret]:
        from ..sandbox import TOKEN, Sandbox  # noqa: PLC0415 - only where it is used

        sandbox = Sandbox()
        try:
            sandbox.start()
        except (OSError, RuntimeError) as error:
            raise NetworkError(
                f"the sandbox could not be started on this machine ({error}), so nothing was sent. Close other "
                "programs and run the call again"
            ) from error
        self.sandbox = sandbox
        self._shared.opened.callback(sandbox.close)
        return sandbox.url, Secret(TOKEN)

    def _deliver(self, one: Delivery) -> Delivered:
        """Send one request, again where that is safe, and end its claims."""
        try:
            delivered = self._attempts(one)
        finally:
            one.settle(0)
            one.run.rows.discard(one.row)
        if one.row and not all(isinstance(got, Answer) for _, got in delivered):
            with contextlib.suppress(StoreError):  # it cannot be written: the claims run out by themselves
                self._store.release(one.row)
        return [*delivered, *((query, None) for query in one.elsewhere)]

    def _attempts(self, one: Delivery) -> Delivered:
        for attempt in range(1, self._settings.retries + 2):
            try:
                if not self._begin(one, attempt):
                    if one.last is None and self.closed:
                        one.last = closed()
                    break
                return self._attempt(one)
            except (KeyAPIError, TransportFailure) as problem:
                one.last = problem if isinstance(problem, KeyAPIError) else no_answer(str(problem), problem.delivered)
                if not is_worth_another(problem):
                    break
            if attempt <= self._settings.retries:
                wait = one.last.retry_after if isinstance(one.last, RateLimitedError) else None
                one.run.stop.wait(jittered(attempt) if wait is None else wait)
        return one.failed()

    def _begin(self, one: Delivery, attempt: int) -> bool:
        """Claim what is to be requested and write the ledger row, when it may go out; False where nothing is."""
        sent_at = self._pace.wait(one.run.stop)
        if sent_at is None:
            return False
        if self.closed:
            raise closed()
        if self._foreign is not None:
            raise StoreError(self._foreign.message)
        self.connection()
        begun = self._store.begin(
            one.offered(),
            most=one.most,
            page=one.template.page,
            since=one.run.since,
            mine=one.row,
            lasts=self._lease,
            describe=lambda keys: one.request_of(keys).params,
            sent_at=sent_at,
            endpoint=one.template.endpoint.path,
            attempt=attempt,
        )
        return one.begin(begun.request, begun.elsewhere)

    def _attempt(self, one: Delivery) -> Delivered:
        """Send once, and write down what came."""
        request = one.request
        try:
            reply = self.connection().get(request.endpoint.path, request.params)
        except TransportFailure as failure:
            if failure.delivered:
                one.settle(request.endpoint.credits)
            how = "no answer" if failure.delivered else UNDELIVERED
            self._complete(one.row, Outcome(message=_clean(f"{how}: {failure}"), elapsed_s=failure.elapsed_s), request)
            raise
        answer = [reply.body.decode("utf-8", "replace") if reply.payload is None else reply.payload]
        try:
            return self._receive(request, one, reply)
        except StoreError as error:
            error.answer = answer
            raise
        except KeyAPIError:
            raise
        except Exception as error:  # a store that is damaged where nobody looked: the answer was paid for
            raise StoreError(
                f"the answer could not be stored ({type(error).__name__}: {error}). It is on .answer", answer=answer
            ) from error

    def _receive(self, request: Request, one: Delivery, reply: Reply) -> Delivered:
        """Decide what an answer is worth, and write it down."""
        price = request.endpoint.credits
        try:
            envelope = open_envelope(reply.status, reply.body, reply.payload, retry_after=reply.retry_after)
        except KeyAPIError as error:
            self._note_refusal(request, one, reply, error)
            raise
        one.settle(price)
        found = match(request.endpoint, request.queries, envelope)
        message, request_id = _clean(envelope.message), _clean(envelope.request_id)
        outcome = Outcome(reply.status, 0, message, request_id, price, reply.elapsed_s)
        source = SANDBOX if reply.synthetic else source_of(self.connection().base_url)
        if self._store.source not in (None, source):
            self._foreign = self._store.foreign(source)
            self._complete(one.row, outcome, request)
            raise self._foreign
        arrivals = [make_arrival(request, each) for each in found if isinstance(each, Found)]
        kept = iter(self._complete(one.row, outcome, request, arrivals, reply.arrived_at, source))
        delivered: Delivered = []
        for query, each in zip(request.queries, found, strict=True):
            if isinstance(each, Found):
                delivered.append((query, Answer(query, next(kept), each.envelope)))
            else:
                each.endpoint, each.params = request.endpoint.path, request.params
                delivered.append((query, each))
        return delivered

    def _note_refusal(self, request: Request, one: Delivery, reply: Reply, error: KeyAPIError) -> None:
        """Write down an answer that is not data."""
        if isinstance(error, RateLimitedError) and is_short_wait(error):
            self._pace.slow_down(error.retry_after or jittered(1))
        price, code = request.endpoint.credits, writable_code(error.code)
        cost: int | None = 0
        if isinstance(error, UnexpectedResponseError):  # whether that was charged nobody knows
            one.settle(price)
            cost = price if code == 0 else None
        message, request_id = _clean(error.message), _clean(error.request_id)
        self._complete(one.row, Outcome(reply.status, code, message, request_id, cost, reply.elapsed_s), request)

    def _complete(
        self,
        row: int,
        outcome: Outcome,
        request: Request,
        arrivals: Sequence[Arrival] = (),
        at: int = 0,
        source: str | None = None,
    ) -> list[Observation]:
        """Write down what came; what cannot be written now is written before anything else is sent."""
        path = request.endpoint.path
        url = f"{self.connection().base_url}{path}"

        def keep() -> list[Observation]:
            return self._store.keep(row, outcome, arrivals, url=url, endpoint=path, observed_at=at, source=source)

        try:
            return keep()
        except StoreError:
            self._unkept.append(keep)
            raise


def _clean(text: str | None) -> str | None:
    """Keep a text short and writable: half a surrogate pair cannot be stored."""
    return None if text is None else writable(text[:_LONGEST_MESSAGE])
