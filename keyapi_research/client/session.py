"""The client: decides what the store serves, sends the rest, and writes down every credit."""

from __future__ import annotations

import math
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed, wait
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, Self

import pandas as pd

from ..endpoints import PAGE_SIZE, SMALLEST_PAGE, Ask, Endpoint
from ..envelope import Envelope, Found, match, open_envelope
from ..errors import (
    AccessDeniedError,
    AuthenticationError,
    BudgetExceededError,
    CreditsExhaustedError,
    KeyAPIError,
    MissingTokenError,
    NetworkError,
    NotStoredError,
    RateLimitedError,
    ServerError,
    StoreError,
    UnexpectedResponseError,
    listed,
)
from ..settings import DEFAULT_PACE, Secret, Settings, hide, read_settings, shown_path, source_of
from ..store import Arrival, Observation, Outcome, Store, now_us
from .call import Call, Collection, Plan, failures_frame, ledger_frame, oldest_of
from .display import facts_html, facts_text
from .progress import Progress
from .purse import Budget, Purse, Reservation
from .wire import Pace, Reply, Wire, WireFailure, jittered

if TYPE_CHECKING:
    import tenacity

    from ..sandbox import Sandbox

DAY: Final = timedelta(days=1)
_ONE_OBSERVATION: Final = 3600 * 1_000_000  # pages of a ranking this close together are one observation
_LONGEST_WAIT: Final = 60.0
_BROKEN: Final = 500
_LONGEST_MESSAGE: Final = 500
_LARGEST: Final = 2**63
_HARD: Final = (AuthenticationError, CreditsExhaustedError, AccessDeniedError, BudgetExceededError, StoreError)

_planning: ContextVar[bool] = ContextVar("planning", default=False)

WAYS_OUT: Final = (
    "no token. Three ways out: set KEYAPI_TOKEN (or connect(token=...)) to your key; try everything without a key in "
    "the sandbox with connect(sandbox=True); or read what is stored with connect(offline=True)"
)


class _StoppedError(Exception):
    """The call ended before this request was sent."""


@dataclass(frozen=True)
class _Request:
    """One request: some entities of an endpoint, or a page of a ranking."""

    endpoint: Endpoint
    asks: tuple[Ask, ...]
    page: int = 0
    walk: int | None = None
    rows: int | None = None  # rows a page in what is stored of the walk
    seen: set[str] = field(default_factory=set)  # of the walk; completed with what comes

    @property
    def params(self) -> dict[str, str]:
        params = self.asks[0].params
        if self.page:
            return {**params, "page": str(self.page), "limit": str(PAGE_SIZE)}
        entity = self.endpoint.entity
        if entity is not None and self.endpoint.batch > 1:
            params[entity.wire] = ",".join(ask.id for ask in self.asks)
        return params


# What a request brings, ask by ask; None: it was not sent. Who else asks for the same waits for the same job.
_Delivered = list[tuple[Ask, Observation | KeyAPIError | None]]
_Job = Future[_Delivered]


@dataclass(frozen=True)
class CallRecord:
    """What one call read, for `freeze`."""

    table: str
    asks: tuple[Ask, ...]
    limit: int | None
    read: tuple[int, ...]
    failed: tuple[Ask, ...]


@dataclass(frozen=True)
class Status:
    """What a client is connected to, and what it has cost.

    Attributes
    ----------
    token : str
        Where the token came from, never the token.
    source : str
        Whom the answers come from.
    store : str
        Path of the store.
    mode : str
        online, offline, as of a moment, or a replay.
    """

    token: str
    source: str
    mode: str
    store: str
    store_bytes: int
    answers: int
    absences: int
    requests: int
    requests_without_answer: int
    credits_in_ledger: int
    credits_spent: int
    credits_saved: int
    versions: str

    @property
    def _facts(self) -> dict[str, object]:
        facts = {f.name.replace("_", " "): getattr(self, f.name) for f in fields(self)}
        return {**facts, "store": shown_path(self.store), "store bytes": f"{self.store_bytes / 1e6:.1f} MB"}

    def __repr__(self) -> str:
        return facts_text("<KeyAPI status>", self._facts)

    def _repr_html_(self) -> str:
        return facts_html("KeyAPI status", self._facts)


@contextmanager
def planning() -> Iterator[None]:
    """Within this block a client tells what it would send instead of sending it."""
    mark = _planning.set(True)
    try:
        yield
    finally:
        _planning.reset(mark)


def _is_hard(error: KeyAPIError) -> bool:
    """Whether nothing more is sent after an error."""
    too_long = isinstance(error, RateLimitedError) and (error.retry_after or 0) > _LONGEST_WAIT
    return isinstance(error, _HARD) or too_long


def _worth_another(error: BaseException) -> bool:
    """Whether sending again cannot be paid twice and may help."""
    if isinstance(error, RateLimitedError):
        return (error.retry_after or 0) <= _LONGEST_WAIT
    if isinstance(error, ServerError):
        return max(error.status_code or 0, error.code or 0) >= _BROKEN and (error.code or 0) < 2 * _BROKEN
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


def _clean(text: str | None) -> str | None:
    """Keep a text short and writable: half a surrogate pair cannot be stored."""
    return None if text is None else text[:_LONGEST_MESSAGE].encode("utf-8", "replace").decode()


def _pages_needed(walk: Sequence[Observation], limit: int | None) -> int | None:
    """How many pages of a walk give so many rows; None where it ends before."""
    have = 0
    for number, page in enumerate(walk, start=1):
        have += page.rows  # a row that came twice has its place: a plan holds whatever the rows are
        before = walk[number - 2] if number > 1 else None
        if (limit is not None and have >= limit) or _ends(page, before):
            return number
    return None


def _ends(page: Observation, before: Observation | None) -> bool:
    shorter = page.more is None and before is not None and page.rows < before.rows
    return page.rows == 0 or page.fresh == 0 or page.more is False or shorter


class Client:
    """A connection: a source, a store and a purse; `connect` makes one and makes it the default.

    Parameters
    ----------
    token, base_url, sandbox, store, offline, as_of, max_age, max_credits, max_call_credits, requests_per_second, \
    max_workers, timeout, retries, progress
        As for `connect`.
    """

    def __init__(
        self,
        *,
        token: str | None = None,
        base_url: str | None = None,
        sandbox: bool = False,
        store: str | os.PathLike[str] | None = None,
        offline: bool = False,
        as_of: str | date | None = None,
        max_age: str | timedelta | int | None = None,
        max_credits: int | None = None,
        max_call_credits: int | None = 100,
        requests_per_second: float | None = DEFAULT_PACE,
        max_workers: int = 4,
        timeout: float | tuple[float, float] = (5, 30),
        retries: int = 2,
        progress: bool | None = None,
    ) -> None:
        token = hide(token)  # type: ignore[assignment]
        self._set_up(
            read_settings(
                token=token,
                base_url=base_url,
                sandbox=sandbox,
                store=store,
                offline=offline,
                as_of=as_of,
                max_age=max_age,
                max_credits=max_credits,
                max_call_credits=max_call_credits,
                requests_per_second=requests_per_second,
                max_workers=max_workers,
                timeout=timeout,
                retries=retries,
                progress=progress,
            )
        )

    @classmethod
    def of(cls, settings: Settings, *, store: Store | None = None, replaying: str = "") -> Client:
        """Make a client of checked settings, on its own store or on an open one (a replay)."""
        client = cls.__new__(cls)
        client._set_up(settings, store=store, replaying=replaying)  # noqa: SLF001 - its own
        return client

    def _set_up(self, settings: Settings, *, store: Store | None = None, replaying: str = "") -> None:
        if settings.token is None and not (settings.sandbox or settings.offline):
            raise MissingTokenError(WAYS_OUT)
        self.settings = settings
        self.replaying = replaying
        self.closed = True  # until all is set up
        self._purse = Purse(settings.max_credits)
        source = None if settings.offline and not settings.sandbox else settings.source
        self.store = store or Store(settings.store, source=source, read_only=settings.offline)
        self._pace = Pace(settings.requests_per_second)
        self._lock = threading.RLock()
        self._flights: dict[Ask, _Job] = {}
        self._slots = threading.Semaphore(settings.max_workers)
        self._ranking_locks: weakref.WeakValueDictionary[Ask, Any] = weakref.WeakValueDictionary()
        self._wire: Wire | None = None
        self._sandbox: Sandbox | None = None
        self._until = None if settings.as_of is None else int(pd.Timestamp(settings.as_of).value // 1000)
        self.calls: list[CallRecord] = []
        self.told: set[tuple[str, str]] = set()
        self.closed = False

    # What it is ---------------------------------------------------------------------------------------------

    @property
    def offline(self) -> bool:
        """Whether nothing is ever sent."""
        return self.settings.offline

    @property
    def until(self) -> int | None:
        """Latest moment it reads (`as_of`), in microseconds since 1970; None: no limit."""
        return self._until

    @property
    def source(self) -> str:
        """Whom the answers come from."""
        known = self.store.source if hasattr(self, "store") else self.settings.source
        return known or source_of(self.settings.base_url)

    @property
    def synthetic(self) -> bool:
        """Whether the answers come from the sandbox."""
        return self.store.source == "sandbox"

    @property
    def credits_spent(self) -> int:
        """Credits this client spent; requests without an answer count with their full price."""
        return self._purse.spent

    @property
    def credits_saved(self) -> int:
        """What its calls would have cost with an empty store, less what they cost."""
        return self._purse.saved

    @property
    def _mode(self) -> str:
        if self.replaying:
            return f"replay of {shown_path(self.replaying)}"
        if self.settings.as_of is not None:
            return f"offline, as of {self.settings.as_of:%Y-%m-%d %H:%M} UTC"
        return "offline" if self.offline else "online"

    def __repr__(self) -> str:
        if not hasattr(self, "store"):  # a traceback may show a client that was refused
            return "<keyapi_research.Client: not connected>"
        state = "closed, " if self.closed else ""
        return (
            f"<keyapi_research.Client: {state}{self._mode}, source {self.source}, "
            f"store {shown_path(self.settings.store)}, "
            f"{self.credits_spent:,} credits spent, {self.credits_saved:,} saved>"
        )

    def _repr_html_(self) -> str:
        return facts_html(
            "KeyAPI client",
            {
                "mode": self._mode,
                "source": "sandbox (synthetic data)" if self.synthetic else self.source,
                "store": shown_path(self.settings.store),
                "credits spent": self.credits_spent,
                "credits saved": self.credits_saved,
            },
        )

    def status(self) -> Status:
        """Tell what this client is connected to; see `keyapi_research.status`."""
        counts = self.store.counts()
        packages = ("keyapi-research", "pandas", "requests", "requests-cache")
        return Status(
            token=self.settings.token_origin,
            source=self.source,
            mode=self._mode,
            store=self.settings.store,
            store_bytes=counts["bytes"],
            answers=counts["answers"],
            absences=counts["absences"],
            requests=counts["requests"],
            requests_without_answer=counts["requests_without_answer"],
            credits_in_ledger=counts["credits"],
            credits_spent=self.credits_spent,
            credits_saved=self.credits_saved,
            versions=", ".join(f"{name} {version(name)}" for name in packages),
        )

    def ledger(self) -> pd.DataFrame:
        """Tabulate every request of this store; see `keyapi_research.ledger`."""
        return ledger_frame(self.store.ledger())

    def budget(self, credits: int) -> AbstractContextManager[Budget]:  # noqa: A002 - the public name
        """Limit what is spent within a block; see `keyapi_research.budget`."""
        return self._purse.budget(credits)

    def close(self) -> None:
        """Wait for what is in flight, then close the connections, the store and the sandbox."""
        if self.closed:
            return
        self.closed = True
        for _ in range(self.settings.max_workers):
            self._slots.acquire()
        if self._wire is not None:
            self._wire.close()
        if self._sandbox is not None:
            self._sandbox.close()
        self.store.close()
        self._slots.release(self.settings.max_workers)  # calls of other threads go on, and are told

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # A call -------------------------------------------------------------------------------------------------

    def collect(self, call: Call) -> Collection | Plan:
        """Get the answers of a call: from the store what it serves, from KeyAPI the rest.

        While planning, say what that would be.
        """
        if self.closed:
            raise StoreError("this client is closed; connect again")
        if _planning.get():
            return self._plan_ranking(call) if call.endpoint.ranking else self._plan_entities(call)
        collection = Collection(call)
        since = self.store.last_id()
        if call.endpoint.ranking:
            for ask in call.asks:
                with self._ranking_lock(ask):
                    self._walk(ask, collection, since)
        else:
            self._collect_entities(collection, since)
        self._account(collection)
        return collection

    def _account(self, collection: Collection) -> None:
        call = collection.call
        with self._lock:
            cost = call.endpoint.cost
            self._purse.saved += max(0, cost(len(collection.found)) - cost(len(collection.arrived)))
            self.calls.append(
                CallRecord(
                    call.table.name,
                    call.asks,
                    call.limit,
                    tuple(one.id for _, one in collection.found),
                    tuple(collection.failures),
                )
            )

    def note_read(self, table: str, observations: Sequence[Observation]) -> None:
        """Remember what a free method read, for `freeze`."""
        with self._lock:
            self.calls.append(CallRecord(table, (), None, tuple(one.id for one in observations), ()))

    def _serves(self, one: Observation, max_age: timedelta | str | None, since: int | None) -> bool:
        """Whether a stored answer is fresh enough to be served; what came after answer `since` always is."""
        if self.offline or max_age == "any" or (since is not None and one.id > since):
            return True
        age = timedelta(microseconds=now_us() - one.observed_at)
        if isinstance(max_age, timedelta):
            return bool(max_age) and age <= max_age
        return not one.absent or age <= DAY

    def _max_age(self, call: Call) -> timedelta | str | None:
        return self.settings.max_age if call.max_age is None else call.max_age

    def _check_sendable(self, call: Call, missing: Sequence[Ask], requests: int) -> None:
        """Refuse, before anything is sent, what cannot be sent or kept."""
        if self.offline:
            self._refuse_offline(call, missing, requests)
        today = self._today()
        for ask in missing if today is not None else ():
            for parameter, value in zip(ask.endpoint.asked, ask.values, strict=True):
                if parameter.check_before_sending is not None and today is not None:
                    parameter.check_before_sending(value, today)
        self.store.check_writable()

    def _refuse_offline(self, call: Call, missing: Sequence[Ask], requests: int) -> None:
        cost = requests * call.endpoint.credits
        where = (
            f"the archive {shown_path(self.replaying)}"
            if self.replaying
            else f"the store {shown_path(self.settings.store)}"
        )
        what = "pages of " if call.endpoint.ranking else ""
        error = NotStoredError(
            f"{call.name}: {where} does not have {what}{listed([repr(ask.id) for ask in missing], 20)}"
            f"{f' as of {self.settings.as_of:%Y-%m-%d %H:%M} UTC' if self.settings.as_of else ''}. "
            f"Fetching {'them' if len(missing) > 1 else 'it'} online takes {requests:,} requests = {cost:,} credits: "
            "connect without offline, as_of and replay (connect(replay=False))",
            endpoint=call.endpoint.path,
        )
        error.failures = failures_frame(dict.fromkeys(missing, error), None)
        raise error

    def _today(self) -> date | None:
        """Tell the day at the source; None where its calendar is not known."""
        if self.synthetic:
            from ..sandbox.effects import TODAY  # noqa: PLC0415 - only where the sandbox is used

            return TODAY
        return datetime.now(UTC).date() if self.source == "keyapi" else None

    def _check_price(self, call: Call, price: int, already: int = 0) -> None:
        """Hold a call against max_call_credits."""
        most = self.settings.max_call_credits
        if most is None or self._purse.in_block or self.settings.sandbox or self.synthetic:
            return
        if already + price > most:
            so_far = f" ({already:,} spent so far)" if already else ""
            raise BudgetExceededError(
                f"{call.name} would send {price // call.endpoint.credits:,} requests = {price:,} credits{so_far}, "
                f"more than max_call_credits={most:,}. If that is meant, allow it: "
                f"with kr.budget({already + price}): ... or connect(max_call_credits={already + price})"
            )

    # Entities -----------------------------------------------------------------------------------------------

    def _survey(self, call: Call, asks: Sequence[Ask], since: int | None) -> tuple[dict[Ask, Observation], list[Ask]]:
        latest = self.store.latest((ask.key for ask in asks), until=self._until)
        max_age = self._max_age(call)
        stored = {}
        for ask in asks:
            one = latest.get(ask.key)
            if one is not None and self._serves(one, max_age, since):
                stored[ask] = one
        return stored, [ask for ask in asks if ask not in stored]

    def _plan_entities(self, call: Call) -> Plan:
        stored, missing = self._survey(call, call.asks, None)
        requests = len(_pack(call.endpoint, missing))
        cost = requests * call.endpoint.credits
        return Plan(requests, cost, cost, len(stored), oldest_of(list(stored.values())), call.table.name)

    def _collect_entities(self, collection: Collection, since: int) -> None:
        call = collection.call
        results: dict[Ask, Observation] = {}
        waiting: Sequence[Ask] = call.asks
        reservation = Reservation(self._purse)
        jobs: dict[_Job, _Request] = {}
        try:
            while waiting:
                # "Is it stored?" and "is it in flight?" are one question, else two threads pay.
                with self._lock:
                    stored, missing = self._survey(call, waiting, since)
                    results.update(stored)
                    joined = {ask: self._flights[ask] for ask in missing if self._in_flight(ask)}
                    requests = _pack(call.endpoint, [ask for ask in missing if ask not in joined])
                    if requests:
                        own = [ask for request in requests for ask in request.asks]
                        cost = len(requests) * call.endpoint.credits
                        self._check_sendable(call, own, len(requests))
                        self._check_price(call, cost, collection.spent)
                        reservation.hold(cost, f"{call.name} ({len(requests):,} requests)")
                        jobs = {Future(): request for request in requests}
                        self._flights.update((ask, job) for job, request in jobs.items() for ask in request.asks)
                if requests:
                    self._send_entities(jobs, collection, reservation, results)
                waiting = self._join(joined, collection, results)
        except KeyAPIError as error:  # a later round was refused: what came before is still the caller's
            if not collection.sent:
                raise
            collection.stop = error
            collection.failures.update(dict.fromkeys((a for a in waiting if a not in results), None))
        finally:
            self._land([job for job in jobs if job.cancel()], jobs)
            reservation.release()
            collection.spent = reservation.spent
            collection.found = [(ask, results[ask]) for ask in call.asks if ask in results]
            failed = collection.failures
            collection.failures = {ask: failed[ask] for ask in call.asks if ask in failed}
            collection.failures = {ask: collection.failures[ask] for ask in call.asks if ask in collection.failures}

    def _in_flight(self, ask: Ask) -> bool:
        job = self._flights.get(ask)
        return job is not None and not job.cancelled()

    def _land(self, landing: Sequence[_Job], jobs: Mapping[_Job, _Request]) -> None:
        """Take flights off the board: what they bring is stored, or will never come."""
        with self._lock:
            for job in landing:
                for ask in jobs[job].asks:
                    if self._flights.get(ask) is job:
                        del self._flights[ask]

    def _join(self, joined: Mapping[Ask, _Job], collection: Collection, results: dict[Ask, Observation]) -> list[Ask]:
        """Take what other calls were fetching; give back what they did not get to."""
        again = []
        for ask, job in joined.items():
            try:
                got = dict(job.result()).get(ask)
            except Exception:  # noqa: BLE001 - cancelled, or broken: the other call's trouble, this one asks itself
                got = None
            if isinstance(got, Observation):
                results[ask] = got
            elif isinstance(got, KeyAPIError):
                self._fail(collection, ask, got)
            elif collection.stop is None:
                again.append(ask)
            else:
                collection.failures[ask] = None
        return again

    @staticmethod
    def _fail(collection: Collection, ask: Ask, error: KeyAPIError | None) -> None:
        collection.failures[ask] = error
        worse = isinstance(error, StoreError) and not isinstance(collection.stop, StoreError)
        if error is not None and _is_hard(error) and (collection.stop is None or worse):
            collection.stop = error

    def _send_entities(
        self,
        jobs: Mapping[_Job, _Request],
        collection: Collection,
        reservation: Reservation,
        results: dict[Ask, Observation],
    ) -> None:
        collection.sent = True
        bar = Progress(collection.call.name, len(jobs), wanted=self.settings.progress)

        def take(delivered: _Delivered) -> None:
            for ask, got in delivered:
                if isinstance(got, Observation):
                    results[ask] = got
                    collection.arrived.add(got.id)
                else:
                    self._fail(collection, ask, got)
            bar.step(reservation.spent)

        try:
            self._send(jobs, reservation, take)
        finally:
            bar.close()

    # Rankings -----------------------------------------------------------------------------------------------

    def _ranking_lock(self, ask: Ask) -> Any:
        with self._lock:
            lock = self._ranking_locks.get(ask)
            if lock is None:
                lock = self._ranking_locks[ask] = _Lock()
            return lock

    def _survey_ranking(self, call: Call, ask: Ask, since: int | None) -> tuple[list[Observation], bool, bool]:
        """Find the pages that serve, whether they are enough, and whether there are others that do not."""
        max_age = self._max_age(call)
        walks = self.store.walks(ask.key, until=self._until)
        for walk in walks:
            needed = _pages_needed(walk, call.limit)
            if needed is not None and all(self._serves(page, max_age, since) for page in walk[:needed]):
                return walk[:needed], True, False
        if walks and now_us() - walks[0][0].observed_at < _ONE_OBSERVATION:
            newest = walks[0]
            if all(self._serves(page, max_age, since) for page in newest):
                return newest, False, False
        return [], False, bool(walks)

    @staticmethod
    def _pages_left(call: Call, pages: Sequence[Observation], size: int) -> int:
        if call.limit is None:
            return 1
        known = max((page.rows for page in pages), default=0)
        size = known if known >= SMALLEST_PAGE else size
        return max(1, math.ceil((call.limit - sum(page.rows for page in pages)) / size))

    def _plan_ranking(self, call: Call) -> Plan:
        price = call.endpoint.credits
        requests = most = 0
        served: list[Observation] = []
        note = ""
        for ask in call.asks:
            pages, enough, others = self._survey_ranking(call, ask, None)
            served += pages
            if enough:
                continue
            requests += self._pages_left(call, pages, PAGE_SIZE)
            whole = 0 if call.limit is None else math.ceil(call.limit / SMALLEST_PAGE)
            most += whole + (self._pages_left(call, pages, SMALLEST_PAGE) if pages else 0)
            if others:
                note = "asks the whole ranking again: the stored pages are another observation (older than an hour)"
            if call.limit is None:
                note = note or "the number of pages is not known; counted as it goes"
        unknown = call.limit is None and requests > 0
        return Plan(
            requests,
            requests * price,
            None if unknown else most * price,
            len(served),
            oldest_of(served),
            call.table.name,
            note,
        )

    def _walk(self, ask: Ask, collection: Collection, since: int) -> None:
        """Walk through a ranking, page after page: only the server knows where it ends."""
        call = collection.call
        price = call.endpoint.credits
        pages, enough, _ = self._survey_ranking(call, ask, since)
        if enough:
            collection.found += [(ask, page) for page in pages]
            return
        expected = self._pages_left(call, pages, PAGE_SIZE)
        self._check_sendable(call, [ask], expected)
        reservation = Reservation(self._purse)
        self._check_price(call, expected * price)
        reservation.hold(expected * price, f"{call.name} ({expected:,} pages)")
        bar = Progress(call.name, None if call.limit is None else expected, wanted=self.settings.progress)
        try:
            request = self._continue(ask, pages)
            while _pages_needed(pages, call.limit) is None:
                if reservation.amount < price:
                    self._check_price(call, price, reservation.spent)
                    reservation.hold(price, f"page {request.page} of {call.name}")
                collection.sent = True
                page = self._send_page(request, reservation)
                # Where the server cuts pages differently now, what is stored cannot be continued.
                pages = [] if request.walk not in (None, page.walk) else [*pages, page]
                collection.arrived.add(page.id)
                bar.step(reservation.spent)
                request = self._continue(ask, pages, request)
        except KeyAPIError as error:
            self._fail(collection, ask, error)
        finally:
            bar.close()
            reservation.release()
            collection.spent += reservation.spent
            collection.found += [(ask, page) for page in pages]

    def _continue(self, ask: Ask, pages: Sequence[Observation], last: _Request | None = None) -> _Request:
        """Make the request for the page after these."""
        if not pages:
            return _Request(ask.endpoint, (ask,), page=1)
        if last is not None and last.page == len(pages):
            return replace(last, page=len(pages) + 1, walk=pages[0].walk)
        stored = self.store.envelopes([page.id for page in pages])
        ids = (found.ids for found in (_read_page(ask, envelope) for envelope in stored))
        size = max(page.rows for page in pages)
        return _Request(
            ask.endpoint,
            (ask,),
            page=len(pages) + 1,
            walk=pages[0].walk,
            rows=size if size >= SMALLEST_PAGE else None,
            seen={one for page in ids for one in page if one is not None},
        )

    def _send_page(self, request: _Request, reservation: Reservation) -> Observation:
        delivered: _Delivered = []
        self._send({Future(): request}, reservation, delivered.extend)
        [(_, got)] = delivered
        if isinstance(got, Observation):
            return got
        raise got if got is not None else KeyboardInterrupt

    # Requests -----------------------------------------------------------------------------------------------

    def _send(
        self, jobs: Mapping[_Job, _Request], reservation: Reservation, take: Callable[[_Delivered], None]
    ) -> None:
        """Deliver requests side by side and hand over what comes; after a hard stop or Ctrl-C, nothing more is sent."""
        stop = threading.Event()
        left = deque(jobs.items())
        try:
            for _ in range(min(len(jobs), self.settings.max_workers)):
                # Daemons, unlike a pool's threads: after a second Ctrl-C the program need not wait for them.
                threading.Thread(
                    target=self._work, args=(left, jobs, stop, reservation), name="keyapi", daemon=True
                ).start()
            for job in as_completed(jobs):
                take(job.result())
        except BaseException:  # the first Ctrl-C: what is in flight was paid for and is awaited
            stop.set()
            wait([job for job in jobs if not job.cancel()])
            raise

    def _work(
        self,
        left: deque[tuple[_Job, _Request]],
        jobs: Mapping[_Job, _Request],
        stop: threading.Event,
        reservation: Reservation,
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
                    self._land([job], jobs)
                    job.set_exception(error)
                else:
                    self._land([job], jobs)
                    job.set_result(delivered)

    def _connection(self) -> Wire:
        """Open the wire when the first request is sent; so the sandbox starts only when it is needed."""
        with self._lock:
            if self._wire is None:
                settings = self.settings
                base_url, token = settings.base_url, settings.token
                if settings.sandbox:
                    from ..sandbox import TOKEN, Sandbox  # noqa: PLC0415 - only where it is used

                    self._sandbox = Sandbox()
                    self._sandbox.start()
                    base_url, token = self._sandbox.url, Secret(TOKEN)
                if token is None:
                    raise MissingTokenError(WAYS_OUT)
                self._wire = Wire(base_url, token, timeout=settings.timeout, connections=settings.max_workers)
            return self._wire

    def _deliver(self, request: _Request, stop: threading.Event, reservation: Reservation) -> _Delivered:
        """Send one request, again where that is safe."""
        import tenacity  # noqa: PLC0415 - brings asyncio and whatever loop is installed: only where it is used

        unsettled = [request.endpoint.credits]

        def settle(cost: int) -> None:
            if unsettled:
                reservation.settle(unsettled.pop(), cost)

        def attempt() -> _Delivered:
            sent_at = self._pace.wait(stop)
            if sent_at is None:
                raise _StoppedError
            return self._attempt(request, retrying.statistics["attempt_number"], sent_at, settle)

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.settings.retries + 1),
            retry=tenacity.retry_if_exception(_worth_another),
            wait=_wait_before_another,
            sleep=tenacity.sleep_using_event(stop),
            reraise=True,
        )
        try:
            return retrying(attempt)
        except _StoppedError:
            return [(ask, None) for ask in request.asks]
        except (KeyAPIError, WireFailure) as problem:
            error = _network_error(problem) if isinstance(problem, WireFailure) else problem
            error.endpoint, error.params = request.endpoint.path, request.params
            if _is_hard(error):
                stop.set()
            return [(ask, error) for ask in request.asks]
        finally:
            settle(0)

    def _attempt(self, request: _Request, number: int, sent_at: int, settle: Callable[[int], None]) -> _Delivered:
        if self.closed:
            raise StoreError("this client was closed meanwhile, nothing more is sent; connect again")
        endpoint, params = request.endpoint, request.params
        wire = self._connection()
        row = self.store.open_row(
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

    def _complete(
        self, row: int, outcome: Outcome, request: _Request, arrivals: Sequence[Arrival] = (), at: int = 0
    ) -> list[Observation]:
        return self.store.keep(
            row,
            outcome,
            arrivals,
            url=f"{self._connection().base_url}{request.endpoint.path}",
            endpoint=request.endpoint.path,
            observed_at=at,
        )

    def _receive(self, request: _Request, row: int, reply: Reply, settle: Callable[[int], None]) -> _Delivered:
        """Take an answer for what it is worth and write it down."""
        price = request.endpoint.credits
        try:
            envelope = open_envelope(reply.status, reply.body, reply.payload, retry_after=reply.retry_after)
        except KeyAPIError as error:
            unknown = isinstance(error, UnexpectedResponseError)  # whether that was charged nobody knows
            if unknown:
                settle(price)
            code = error.code if error.code is None or abs(error.code) < _LARGEST else None
            self._complete(
                row,
                Outcome(
                    reply.status,
                    code,
                    _clean(error.message),
                    _clean(error.request_id),
                    None if unknown else 0,
                    reply.elapsed_s,
                ),
                request,
            )
            if isinstance(error, RateLimitedError):
                self._pace.slow_down(min(error.retry_after or jittered(1), _LONGEST_WAIT))
            raise
        settle(price)
        found = match(request.endpoint, request.asks, envelope)
        outcome = Outcome(
            reply.status, 0, _clean(envelope.message), _clean(envelope.request_id), price, reply.elapsed_s
        )
        try:
            self.store.claim(reply.source or source_of(self._connection().base_url))
        except StoreError:
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


class _Lock:
    """A lock that can be weakly referenced, so that locks of rankings nobody asks for vanish."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _pack(endpoint: Endpoint, asks: Sequence[Ask]) -> list[_Request]:
    """Pack ids into full requests."""
    return [_Request(endpoint, tuple(asks[at : at + endpoint.batch])) for at in range(0, len(asks), endpoint.batch)]


def _read_page(ask: Ask, envelope: dict[str, Any]) -> Found:
    [found] = match(ask.endpoint, (ask,), Envelope(None, None, envelope.get("data"), envelope))
    return found if isinstance(found, Found) else Found(ask, envelope)


def _arrival(request: _Request, found: Found) -> Arrival:
    params = found.ask.params
    if not request.page:
        return Arrival(found.ask.key, params, found.envelope, absent=found.absent)
    new = {one for one in found.ids if one is not None} - request.seen
    request.seen.update(new)
    rows = len(found.ids)
    fits = request.rows is None or rows == request.rows or (rows < request.rows and found.more is not True)
    return Arrival(
        found.ask.key,
        {**params, "page": str(request.page)},
        found.envelope,
        page=request.page,
        rows=rows,
        walk=request.walk if fits else None,
        fresh=len(new),
        more=found.more,
    )
