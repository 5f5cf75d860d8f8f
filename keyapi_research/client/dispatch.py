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
from itertools import count
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, TypeAlias

from ..envelope import Found
from ..errors import CLOSED, KeyAPIError, NetworkError, RateLimitedError, StoreError
from ..queries import Query
from ..settings import Secret, Settings, needed_token, source_of
from ..store import UNDELIVERED, Answer, Claim, Observation, Outcome, Store, claim_of, in_this_process
from .delivery import (
    Delivered,
    Delivery,
    Request,
    Run,
    Verdict,
    answer_of,
    error_of_row,
    judge,
    make_arrival,
    serving_others,
)
from .interrupts import no_thread
from .pacing import Pace, is_short_wait, jittered
from .ranges import Unit
from .transport import Reply, Transport, TransportFailure

if TYPE_CHECKING:
    from ..sandbox import Sandbox

_LONGEST_LEASE: Final = 10.0  # seconds a claim holds unless it is renewed: so long one waits for a killed program
_LOOKS_AGAIN: Final = (0.01, 0.25)  # seconds between looks at a claim, at first and later
_Arrived: TypeAlias = tuple[Delivered | BaseException, threading.Thread]  # what a request brought, and who sent it


class _Shared:
    """What ends with a client: its calls under way, and the slots of what is in flight."""

    def __init__(self, max_workers: int) -> None:
        self.max_workers = max_workers
        self.slots = threading.Semaphore(max_workers)
        self.lock = threading.Lock()
        self.stops: weakref.WeakSet[threading.Event] = weakref.WeakSet()  # of those calls that go on
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
    def max_workers(self) -> int:
        """How many requests may be in flight."""
        return self._settings.max_workers

    @property
    def closed(self) -> bool:
        """Whether nothing is sent any more."""
        return self._shared.closed

    def close(self) -> None:
        """Wait for what is in flight, then close the connections, the sandbox, and the store it was written into."""
        if not self._store.of_this_process:  # the locks are as the parent's threads had them when it was forked
            return
        with self._ending:
            self._shared.closed = True
            self._closing()
            with contextlib.suppress(StoreError):  # there is no room for it yet: it is on the error that was raised
                self.keep_unkept()
            self._store.close()

    def abandon(self) -> None:
        """Do not wait for what is in flight when the program ends: the user pressed Ctrl-C twice."""
        self._shared.abandoned = True

    def register(self, run: Run) -> None:
        """Let a call be stopped when the client is closed or the program ends."""
        with self._shared.lock:
            self._shared.stops.add(run.stop)

    def keep_unkept(self) -> None:
        """Store what was paid for and could not be stored before; StoreError where it still cannot be."""
        with self._keeping:
            while self._unkept:
                self._unkept[0]()
                del self._unkept[0]

    # A call -------------------------------------------------------------------------------------------------

    def send(self, left: deque[Unit], template: Request, run: Run) -> Iterator[Delivered]:
        """Send what is left, one request per batch or range, several at once; yield what each brings.

        After a hard stop, when the call is stopped, or where none of the first answers can be used, nothing more is
        sent: it stays in `left`.
        """
        arrived: SimpleQueue[_Arrived] = SimpleQueue()
        needed = math.ceil(len(left) / template.endpoint.batch)  # as many as are needed if all are free
        in_flight, run.renewed = 0, time.monotonic()
        broken: BaseException | None = None
        try:
            while True:
                room = min(self._settings.max_workers, run.room)
                while left and needed and in_flight < room and not run.stop.is_set():
                    try:
                        self._start(Delivery(left, template, run), arrived)
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
                    yield got
        finally:  # whatever ends it, what is in flight is written down before its credits are given back
            if in_flight:
                run.stop.set()
            for _ in range(in_flight):
                self._wait(arrived, run)
        if broken is not None:
            raise broken

    def _wait(self, arrived: SimpleQueue[_Arrived], run: Run) -> Delivered | BaseException:
        """Wait for what a request brings; meanwhile renew the claims of all that are in flight."""
        while True:
            left = run.renewed + self._lease / 3 - time.monotonic()
            if left <= 0:
                with contextlib.suppress(StoreError):  # it cannot be written just now: the claims may run out
                    self._store.renew(run.rows, self._lease)
                run.renewed, left = time.monotonic(), self._lease / 3
            with contextlib.suppress(Empty):
                got, thread = arrived.get(timeout=left)
                thread.join()  # it ends now, and only then does its place go to the next
                return got

    def _start(self, one: Delivery, arrived: SimpleQueue[_Arrived]) -> None:
        """Send a request from a thread of its own, when one of the client's slots is free."""

        def work() -> None:
            got: Delivered | BaseException = []
            try:
                with self._shared.slots:
                    got = self._deliver(one)
            except BaseException as error:  # noqa: BLE001 - raised where the call waits
                got = error
            finally:
                arrived.put((got, threading.current_thread()))

        # Daemons, unlike a pool's threads: after a second Ctrl-C the program need not wait for them.
        threading.Thread(target=work, name="keyapi", daemon=True).start()

    def wait_for_others(self, queries: Sequence[Query], page: int, run: Run) -> dict[Query, KeyAPIError]:
        """Wait until no other client requests what a call needs; return the errors of what failed there.

        The rest is stored by now, or no longer requested by anybody.
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
        """Send one request, again where that is safe, and the next pages of a range; end its claims."""
        delivered: Delivered = []
        try:
            page = 0
            while page != one.template.range_page:
                page = one.template.range_page
                delivered += one.go_on(self._attempts(one))
        finally:
            one.settle(0)
            one.run.rows.discard(one.row)
        failed = not all(isinstance(got, Answer) for _, got in delivered)
        if one.row and (failed or one.pending) and not one.held_back:
            with contextlib.suppress(StoreError):  # it cannot be written: the claims run out by themselves
                self._store.release(one.row, failed=failed)
        return [*delivered, *((query, None) for query in one.elsewhere)]

    def _attempts(self, one: Delivery) -> Delivered:
        """Send, and again where that cannot be paid twice and may help."""
        for attempt in count(1):
            try:
                if not self._begin(one, attempt):
                    if one.last is None and self.closed:
                        one.last = StoreError(CLOSED)
                    break
                verdict, delivered = self._attempt(one)
            except KeyAPIError as error:  # it could not be sent, or not be written down
                one.last = error
                break
            if verdict.error is None:
                return delivered
            one.last = verdict.error
            if not verdict.again or attempt > self._settings.retries:
                break
            wait = one.last.retry_after if isinstance(one.last, RateLimitedError) else None
            one.run.stop.wait(jittered(attempt) if wait is None else wait)
        return one.failed()

    def _begin(self, one: Delivery, attempt: int) -> bool:
        """Claim what is to be requested and write the ledger row, when it may go out; False where nothing is."""
        with self._pace.turn(one.run.stop) as has_come:
            if not has_come:
                return False
            if self.closed:
                raise StoreError(CLOSED)
            if self._foreign is not None:
                raise StoreError(self._foreign.message)
            self.connection()
            begun = self._store.begin(
                one.offered(),
                most=one.template.endpoint.batch,
                page=one.template.page,
                since=(one.run.looked, one.run.since[1]),
                mine=one.row,
                lasts=self._lease,
                describe=lambda keys: one.request_of(keys).params,
                spacing=self._pace.spacing,
                endpoint=one.template.endpoint.path,
                price=one.template.endpoint.credits,
                attempt=attempt,
            )
        first = not one.row
        there = one.begin(begun.request, begun.elsewhere)
        if begun.wait and one.run.stop.wait(begun.wait):
            self._withdraw(one, first)
            return False
        return there

    def _withdraw(self, one: Delivery, first: bool) -> None:
        """Write down that a request was not sent after all: its call was stopped while it waited for its turn."""
        self._store.keep(
            one.row, Outcome(message=f"{UNDELIVERED}: the call was stopped before it was sent"), (), url="",
            endpoint=one.template.endpoint.path, price=one.template.endpoint.credits, observed_at=0, source=None,
        )  # fmt: skip
        self._store.release(one.row, failed=False)
        if first:
            one.give_back()

    def _attempt(self, one: Delivery) -> tuple[Verdict, Delivered]:
        """Send once; judge what came, count what it cost, and write it down."""
        request, verdict = one.request, None
        reply: Reply | TransportFailure
        try:
            reply = self.connection().get(request.endpoint.path, request.params)
        except TransportFailure as failure:
            reply = failure
        try:
            verdict = judge(request, reply, source_of(self.connection().base_url))
            if verdict.cost:  # what cost nothing is held for another attempt
                one.settle(verdict.cost)
            if isinstance(verdict.error, RateLimitedError) and is_short_wait(verdict.error):
                self._pace.slow_down(verdict.error.retry_after or jittered(1))
            return verdict, self._complete(one, request, verdict)
        except StoreError as error:
            error.answer = answer_of(reply)
            raise
        except Exception as error:  # a store that is damaged where nobody looked: the answer was paid for
            if verdict is None:
                one.settle(request.endpoint.credits)
            raise StoreError(
                f"the answer could not be stored ({type(error).__name__}: {error}). It is on .answer",
                answer=answer_of(reply),
            ) from error

    def _complete(self, delivery: Delivery, request: Request, verdict: Verdict) -> Delivered:
        """Write down what came; what cannot be written now is written before anything else is sent."""
        row, path, source, found = delivery.row, request.endpoint.path, verdict.source, verdict.found
        known = None
        with contextlib.suppress(StoreError):  # it cannot be read just now: `keep` looks again
            known = self._store.source
        foreign = self._store.foreign(source) if source and known not in (None, source) else None
        if foreign is not None:  # it was paid for, and is not data of this store
            self._foreign, source, found = foreign, None, ()
        arrivals = [make_arrival(request, one) for one in found if isinstance(one, Found)]
        arrivals += [arrival for one in found if isinstance(one, Found) for arrival in serving_others(one)]
        url, at = f"{self.connection().base_url}{path}", verdict.arrived_at

        def keep() -> list[Observation]:
            price = request.endpoint.credits
            return self._store.keep(
                row, verdict.outcome, arrivals, url=url, endpoint=path, price=price, observed_at=at, source=source
            )

        try:
            kept = iter(keep())
        except StoreError:
            self._unkept.append(keep)
            delivery.held_back = True
            raise
        if foreign is not None:
            raise foreign
        delivered: Delivered = []
        for place, one in enumerate(found):  # of a batch all of them, in its order, or none
            if isinstance(one, Found):
                delivered.append((one.query, Answer(one.query, next(kept), one.envelope)))
            else:
                one.endpoint, one.params = path, request.params
                delivered.append((request.queries[place], one))
        return delivered
