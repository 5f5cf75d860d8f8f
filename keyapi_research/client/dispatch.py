"""Sending: requests go out, paced and again where that is safe, and what they bring is stored before anybody has it.

Just before a request is sent, what it asks for is claimed in the store, so that nobody else asks for the same, in this
process or in another; who finds a claim waits for its outcome.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from ..endpoints import PAGE_SIZE, SMALLEST_PAGE, Endpoint, Query
from ..envelope import Found, match, open_envelope, refusal
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
from ..store import LEDGER_COLUMNS, Arrival, Claim, Observation, Outcome, Store, claim_of, in_this_process
from .budgets import Reservation
from .call import LONGEST_WAIT, UNDELIVERED, is_hard, writable_code
from .interrupts import no_thread
from .progress import Progress
from .transport import Pace, Reply, Transport, TransportFailure, jittered

if TYPE_CHECKING:
    import tenacity

    from ..sandbox import Sandbox

_REFUSED: Final = 400
_BROKEN: Final = 500
_LONGEST_MESSAGE: Final = 500
_LONGEST_LEASE: Final = 10.0  # seconds a claim holds unless it is renewed: so long one waits for a killed program
_FIRST_ANSWERS: Final = 5  # where none of these can be used, the feed is broken, and the rest is not paid for
_LOOKS_AGAIN: Final = (0.01, 0.25)  # seconds between looks at a claim, at first and later


class _StoppedError(Exception):
    """The call ended before this request was sent."""


@dataclass(frozen=True)
class Request:
    """One request: some entities of an endpoint, or a page of a ranking."""

    endpoint: Endpoint
    queries: tuple[Query, ...]
    page: int = 0
    pull: int | None = None
    rows: int | None = None  # rows a page so far in the pull; None: any number fits
    wanted: int | None = None  # rows the call asked for; None: all
    same_call: bool = False  # whether the page before came in the same call
    seen: set[str] = field(default_factory=set)  # of the pull; completed with what comes

    @property
    def params(self) -> dict[str, str]:
        """Parameters as they go over the wire."""
        params = self.queries[0].params
        if self.page:
            return {**params, "page": str(self.page), "limit": str(PAGE_SIZE)}
        entity = self.endpoint.entity
        if entity is not None and self.endpoint.batch > 1:
            params[entity.api_name] = ",".join(query.id for query in self.queries)
        return params


class Elsewhere:
    """What somebody else asks for just now, or has just stored."""


ELSEWHERE: Final = Elsewhere()
Delivered = list[tuple[Query, Observation | KeyAPIError | Elsewhere]]


class Feed:
    """Whether the answers of a call can be used at all; before one could, no more than the first few are asked for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._usable = False
        self._unusable = 0
        self._in_flight = 0

    @property
    def broken(self) -> bool:
        """Whether none of the first answers could be used."""
        return not self._usable and self._unusable >= _FIRST_ANSWERS

    def enter(self, stop: threading.Event) -> bool:
        """Wait until one more may be asked for; False: none may."""
        with self._changed:
            while not self._usable and self._in_flight and self._unusable + self._in_flight >= _FIRST_ANSWERS:
                if stop.is_set():
                    return False
                self._changed.wait(_LOOKS_AGAIN[1])
            if self.broken:
                return False
            self._in_flight += 1
            return True

    def leave(self, delivered: Delivered) -> None:
        """Count what came."""
        got = [one for _, one in delivered if not isinstance(one, Elsewhere)]
        with self._changed:
            self._in_flight -= 1
            self._usable = self._usable or any(isinstance(one, Observation) for one in got)
            self._unusable += bool(got) and all(isinstance(one, UnexpectedResponseError) for one in got)
            self._changed.notify_all()


@dataclass
class Run:
    """A call under way.

    `since` has the ids of the last answer and the last request when it began: what came after them is fresh.
    `in_block` says whether a budget block of the caller allows what it costs.
    """

    reservation: Reservation
    progress: Progress
    in_block: bool
    since: tuple[int, int] = (0, 0)
    stop: threading.Event = field(default_factory=threading.Event)
    feed: Feed = field(default_factory=Feed)
    rows: set[int] = field(default_factory=set)  # of the ledger: its requests that are in flight


def _worth_another(error: BaseException) -> bool:
    """Whether sending again cannot be paid twice and may help."""
    if isinstance(error, RateLimitedError):
        return (error.retry_after or 0) <= LONGEST_WAIT
    if isinstance(error, ServerError):  # of a 200 only a code that reads as a 5xx: others may have been charged
        return (error.status_code or 0) >= _BROKEN or _BROKEN <= (error.code or 0) < 2 * _BROKEN
    return isinstance(error, TransportFailure) and not error.delivered


def _network_error(failure: TransportFailure) -> NetworkError:
    return _no_answer(f"{failure}", delivered=failure.delivered)


def _no_answer(what: str, *, delivered: bool) -> NetworkError:
    if delivered:
        return NetworkError(
            "no complete answer came after the request was sent, so it may have been charged and is not sent again by "
            f"itself ({what}). Check the connection and run the call again"
        )
    return NetworkError(
        f"KeyAPI could not be reached, nothing was delivered or charged ({what}). Check the network and base_url, "
        "then run the call again; what is stored can be read with connect(offline=True)"
    )


def _error_of(row: Sequence[Any]) -> KeyAPIError:
    """Make the error of a request that another client sent, from its row of the ledger."""
    cells = dict(zip(("id", *LEDGER_COLUMNS), row, strict=False))
    status, code, message = cells["http_status"], cells["code"], cells["message"]
    who = "another client asked for the same at that moment, so it was not asked again"
    error: KeyAPIError
    if status is None:
        delivered = not (message or "").startswith(UNDELIVERED)
        error = _no_answer(f"{who}; {message or 'nobody knows how that ended'}", delivered=delivered)
    elif status < _REFUSED and code in (None, 0):
        error = UnexpectedResponseError(
            f"{who}, and its answer could not be used: {message or 'it was about somebody else, or had another shape'}"
        )
    else:
        error = refusal(
            status=status, code=code, message=message, request_id=cells["request_id"], retry_after=None, answer=None
        )
    error.status_code, error.code, error.request_id = status, code, cells["request_id"]
    return error


def broken_feed(failures: Mapping[Query, KeyAPIError | None], left: int) -> UnexpectedResponseError:
    """Make the error of a call whose first answers could not be used."""
    first = next(error for error in failures.values() if isinstance(error, UnexpectedResponseError))
    return UnexpectedResponseError(
        f"the first {_FIRST_ANSWERS} answers of this call could not be used, so {left:,} more ids were not asked for: "
        f"{first.message} To go on, look at .answer and at base_url; fetch one id by itself, and when its answer is "
        "right again, run the call again",
        status_code=first.status_code,
        code=first.code,
        request_id=first.request_id,
        endpoint=first.endpoint,
        params=first.params,
        answer=first.answer,
    )


def _wait_before_another(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, RateLimitedError) else None
    return jittered(state.attempt_number) if asked is None else asked


def closed() -> StoreError:
    """Make the error of a client that was closed while it was used."""
    return StoreError("this client was closed meanwhile, nothing more is sent; connect again")


def _clean(text: str | None) -> str | None:
    """Keep a text short and writable: half a surrogate pair cannot be stored."""
    return None if text is None else writable(text[:_LONGEST_MESSAGE])


class _Delivery:
    """One request of a call: what it asks for, and how its attempts went."""

    def __init__(self, left: deque[Query], template: Request, run: Run, most: int) -> None:
        self._left = left
        self._taken: dict[str, Query] = {}  # by key, in the order of the request
        self._unsettled = [template.endpoint.credits]
        self.template, self.run, self.most = template, run, most
        self.elsewhere: list[Query] = []
        self.row = 0  # of the ledger
        self.last: KeyAPIError | None = None  # what the attempt before this one brought

    def offered(self) -> Iterator[str]:
        """Offer what is left, one by one; another attempt asks for the same again."""
        yield from list(self._taken)
        while not self.row and self._left:
            with contextlib.suppress(IndexError):  # another thread was faster
                query = self._left.popleft()
                self._taken[query.key] = query
                yield query.key

    def request_of(self, keys: Iterable[str]) -> Request:
        """Make the request for some of what was offered."""
        return replace(self.template, queries=tuple(self._taken[key] for key in keys))

    @property
    def request(self) -> Request:
        """The request as it is sent."""
        return self.request_of(self._taken)

    def begin(self, row: int, elsewhere: Sequence[str]) -> None:
        """Note the row of the ledger, and what others ask for."""
        self.elsewhere += [self._taken.pop(key) for key in elsewhere]
        self.run.rows.discard(self.row)
        self.row = row
        if not row:
            raise _StoppedError
        self.run.rows.add(row)

    def settle(self, cost: int) -> None:
        """Count what it cost, once."""
        if self._unsettled:
            self.run.reservation.settle(self._unsettled.pop(), cost)

    def failed(self) -> Delivered:
        """Say of all it asks for that it failed; where it failed before it took anything, of what it would have."""
        error = self.last
        if error is None:
            return []
        if not self._taken and not self.elsewhere:
            deque(islice(self.offered(), self.most), maxlen=0)
        if self._taken:
            error.endpoint, error.params = self.template.endpoint.path, self.request.params
        if is_hard(error):
            self.run.stop.set()
        return [(query, error) for query in self._taken.values()]


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
                taken.callback(self.slots.release)  # calls of other threads go on, and are told
            self.opened.close()


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
        """Store what was paid for and could not be stored before.

        Raises
        ------
        StoreError
            It still cannot be.
        """
        with self._keeping:
            while self._unkept:
                self._unkept[0]()
                del self._unkept[0]

    def send(
        self, left: deque[Query], template: Request, run: Run, take: Callable[[Delivered], None], *, most: int = 1
    ) -> None:
        """Ask for what is left, side by side; after a hard stop, or when the call is stopped, nothing more is sent.

        Parameters
        ----------
        left : deque of Ask
            What to ask for; what was not sent stays in it.
        template : Request
            What a request is like, but for its entities.
        run : Run
            The call.
        take : callable
            Is given what each request brings.
        most : int
            Entities of a request.
        """
        arrived: SimpleQueue[Delivered | BaseException | None] = SimpleQueue()
        tickets = deque(range(-(-len(left) // most)))  # one for each request that is needed, if all are free
        workers = 0
        for _ in range(min(len(tickets), self._settings.max_workers)):
            # Daemons, unlike a pool's threads: after a second Ctrl-C the program need not wait for them.
            worker = threading.Thread(
                target=self._work, args=(left, tickets, template, run, arrived, most), name="keyapi", daemon=True
            )
            try:
                worker.start()
            except RuntimeError as error:
                if workers:
                    break  # the threads that there are send it all
                raise no_thread(error) from error
            workers += 1
        broken: BaseException | None = None
        while workers:
            try:
                got = arrived.get(timeout=self._lease / 3)
            except Empty:
                with contextlib.suppress(StoreError):  # it cannot be written just now: the claims may run out
                    self._store.renew(run.rows, self._lease)
                continue
            if got is None:
                workers -= 1
            elif isinstance(got, BaseException):
                broken = got
                run.stop.set()
            else:
                take(got)
        if broken is not None:
            raise broken

    def _work(
        self,
        left: deque[Query],
        tickets: deque[int],
        template: Request,
        run: Run,
        arrived: SimpleQueue[Delivered | BaseException | None],
        most: int,
    ) -> None:
        """Ask for what is left; the threads of one call share one list, all calls of a client its slots."""
        try:
            while left and _taken(tickets) and not run.stop.is_set() and run.feed.enter(run.stop):
                delivered: Delivered = []
                try:
                    with self._shared.slots:
                        delivered = self._deliver(left, template, run, most)
                finally:
                    run.feed.leave(delivered)
                arrived.put(delivered)
        except BaseException as error:  # noqa: BLE001 - raised where the call waits
            arrived.put(error)
        finally:
            arrived.put(None)

    def connection(self) -> Transport:
        """Open the wire when the first request is sent; so the sandbox starts only when it is needed."""
        with self._shared.lock:
            if self._transport is None:
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
                    self._shared.opened.callback(self.sandbox.close)
                    base_url, token = self.sandbox.url, Secret(TOKEN)
                else:
                    base_url, token = settings.base_url, needed_token(settings)
                self._transport = Transport(base_url, token, timeout=settings.timeout, connections=settings.max_workers)
                self._shared.opened.callback(self._transport.close)
            return self._transport

    def _deliver(self, left: deque[Query], template: Request, run: Run, most: int) -> Delivered:
        """Send one request, again where that is safe."""
        import tenacity  # noqa: PLC0415 - brings asyncio and whatever loop is installed: only where it is used

        one = _Delivery(left, template, run, most)
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._settings.retries + 1),
            retry=tenacity.retry_if_exception(_worth_another),
            wait=_wait_before_another,
            sleep=tenacity.sleep_using_event(run.stop),
            reraise=True,
        )

        def attempt() -> Delivered:
            try:
                self._begin(one, retrying.statistics["attempt_number"])
                return self._attempt(one.request, one.row, one.settle)
            except (KeyAPIError, TransportFailure) as problem:
                one.last = _network_error(problem) if isinstance(problem, TransportFailure) else problem
                raise

        delivered: Delivered = []
        try:
            delivered = retrying(attempt)
        except _StoppedError:
            one.last = closed() if one.last is None and self.closed else one.last
            delivered = one.failed()
        except (KeyAPIError, TransportFailure):
            delivered = one.failed()
        finally:
            one.settle(0)
            run.rows.discard(one.row)
        if one.row and not all(isinstance(got, Observation) for _, got in delivered):
            with contextlib.suppress(StoreError):  # it cannot be written: the claims run out by themselves
                self._store.release(one.row)
        return [*delivered, *((query, ELSEWHERE) for query in one.elsewhere)]

    def _begin(self, one: _Delivery, attempt: int) -> None:
        """Claim what is to be asked for and write the ledger row, when the next request may go out."""
        sent_at = self._pace.wait(one.run.stop)
        if sent_at is None:
            raise _StoppedError
        self._check_open()
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
        one.begin(begun.request, begun.elsewhere)

    def _check_open(self) -> None:
        if self.closed:
            raise closed()
        if self._foreign is not None:
            raise StoreError(self._foreign.message)

    def _attempt(self, request: Request, row: int, settle: Callable[[int], None]) -> Delivered:
        endpoint, params = request.endpoint, request.params
        try:
            reply = self.connection().get(endpoint.path, params)
        except TransportFailure as failure:
            if failure.delivered:
                settle(endpoint.credits)
            how = "no answer" if failure.delivered else UNDELIVERED
            self._complete(row, Outcome(message=_clean(f"{how}: {failure}"), elapsed_s=failure.elapsed_s), request)
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
        self,
        row: int,
        outcome: Outcome,
        request: Request,
        arrivals: Sequence[Arrival] = (),
        at: int = 0,
        source: str | None = None,
    ) -> list[Observation]:
        """Write down what came; what cannot be written now is written before anything else is sent."""

        def keep() -> list[Observation]:
            return self._store.keep(
                row,
                outcome,
                arrivals,
                url=f"{base_url}{request.endpoint.path}",
                endpoint=request.endpoint.path,
                observed_at=at,
                source=source,
            )

        base_url = self.connection().base_url
        try:
            return keep()
        except StoreError:
            self._unkept.append(keep)
            raise

    def wait_for_others(self, queries: Sequence[Query], page: int, run: Run) -> dict[Query, KeyAPIError]:
        """Wait until nobody else asks for what a call needs, too.

        Returns
        -------
        dict of Ask to KeyAPIError
            How that failed, where it did; of the rest the store knows more now, or nobody asks for it any more.
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
                        failed[query] = _error_of(self._store.ledger([claim.request])[0])
            if waiting:
                run.stop.wait(pause)
                pause = min(pause * 1.5, longest)
        return failed

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
        found = match(request.endpoint, request.queries, envelope)
        outcome = Outcome(
            reply.status, 0, _clean(envelope.message), _clean(envelope.request_id), price, reply.elapsed_s
        )
        source = SANDBOX if reply.synthetic else source_of(self.connection().base_url)
        arrivals = [_arrival(request, one) for one in found if isinstance(one, Found)]
        if self._store.source not in (None, source):
            self._foreign = self._store.foreign(source)
            self._complete(row, outcome, request)
            raise self._foreign
        kept = iter(self._complete(row, outcome, request, arrivals, reply.arrived_at, source))
        for one in found:
            if isinstance(one, UnexpectedResponseError):
                one.endpoint, one.params = request.endpoint.path, request.params
        return [
            (query, next(kept) if isinstance(one, Found) else one)
            for query, one in zip(request.queries, found, strict=True)
        ]


def _arrival(request: Request, found: Found) -> Arrival:
    params = found.query.params
    if not request.page:
        return Arrival(found.query.key, params, found.envelope, absent=found.absent)
    new = {one for one in found.ids if one is not None} - request.seen
    request.seen.update(new)
    rows = len(found.ids)
    return Arrival(
        found.query.key,
        {**params, "page": str(request.page)},
        found.envelope,
        page=request.page,
        rows=rows,
        pull=request.pull if _continues(request, found, len(new)) else None,
        fresh=len(new),
        more=found.more,
        wanted=request.wanted,
    )


def _taken(tickets: deque[int]) -> bool:
    """Take a ticket, if there is one."""
    try:
        tickets.popleft()
    except IndexError:  # another thread was faster
        return False
    return True


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
