"""One request of a call: what it requests, what it brought, and what went wrong with it."""

from __future__ import annotations

import contextlib
import copy
import math
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

from ..envelope import Found, identify, match, open_envelope, refusal
from ..errors import (
    InvalidArgumentError,
    KeyAPIError,
    NetworkError,
    RateLimitedError,
    ServerError,
    UnexpectedResponseError,
)
from ..model import PAGES, Endpoint
from ..queries import Query, page_params
from ..settings import SANDBOX
from ..spelling import writable
from ..store import UNDELIVERED, Answer, Arrival, LedgerRow, Outcome
from .budgets import Reservation
from .call import writable_code
from .display import Progress
from .pacing import is_hard, is_short_wait
from .ranges import Unit, pages_of
from .transport import Reply, TransportFailure

_LONGEST_MESSAGE: Final = 500
_REFUSED: Final = 400
_BROKEN: Final = 500
_FIRST_ANSWERS: Final = 5  # where none of these can be used, the rest is not paid for
_OUTAGE: Final = (UnexpectedResponseError, ServerError, NetworkError)

Delivered = list[tuple[Query, Answer | KeyAPIError | None]]  # None: another client requests it, or just stored it


@dataclass(frozen=True)
class Request:
    """One request: some entities of an endpoint, or a page of a ranking."""

    endpoint: Endpoint
    queries: tuple[Query, ...]
    page: int = 0
    within: tuple[str, str] | None = None  # first and last day of the range that is requested
    range_page: int = 1  # page of that range
    pull: int | None = None
    rows: int | None = None  # rows a page so far in the pull; None: any number fits
    wanted: int | None = None  # rows the call wants; None: all
    same_call: bool = False  # whether the page before came in the same call
    seen: set[str | None] = field(default_factory=set)  # of the pull; completed with what comes

    @property
    def params(self) -> dict[str, str]:
        """Parameters as the API names and writes them."""
        params = self.queries[0].params
        if self.endpoint.paging is not None:
            paging = self.endpoint.paging
            return {**params, paging.page: str(self.page), paging.size: str(paging.most)}
        entity = self.endpoint.entity
        series = self.endpoint.series
        if series is not None and entity is not None:
            first, last = self.within or (self.queries[0].day, self.queries[-1].day)
            pages = {series.paging.page: str(self.range_page), series.paging.size: str(series.paging.most)}
            return {entity.api_name: params[entity.api_name], series.start: first, series.end: last, **pages}
        if entity is not None and self.endpoint.batch > 1:
            params[entity.api_name] = ",".join(query.id for query in self.queries)
        return params


@dataclass
class Run:
    """A call under way.

    `since` has the ids of the last answer and the last request when it began: what came after them is fresh. `looked`
    is the last answer when the store was last read: what came after it is read before anything is sent for.
    """

    reservation: Reservation
    progress: Progress
    since: tuple[int, int] = (0, 0)
    looked: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    rows: set[int] = field(default_factory=set)  # of the ledger: its requests that are in flight
    renewed: float = 0.0  # when their claims were
    usable: bool = False  # whether any answer could be used
    unusable: int = 0  # requests whose answers could not, or that had none

    @property
    def room(self) -> float:
        """How many requests may be in flight: until an answer could be used, no more than the first few."""
        return math.inf if self.usable else _FIRST_ANSWERS - self.unusable

    def note(self, delivered: Delivered) -> None:
        """Note whether what came could be used; what another client requests says nothing."""
        got = [one for _, one in delivered if one is not None]
        self.usable = self.usable or any(isinstance(one, Answer) for one in got)
        self.unusable += bool(got) and all(isinstance(one, _OUTAGE) for one in got)


class Delivery:
    """One request while it is claimed, sent and repeated, with as many of the units left as fit into it.

    A range of days is requested page after page; its claims are kept until the last.
    """

    def __init__(self, left: deque[Unit], template: Request, run: Run) -> None:
        self._left = left
        self._claimed: dict[str, Query] = {}  # by key, in the order of the request
        self._pages = 1  # at most
        self._unsettled = [template.endpoint.credits]
        self.template, self.run = template, run
        self.elsewhere: list[Query] = []
        self.row = 0  # of the ledger
        self.last: KeyAPIError | None = None  # what the attempt before this one brought
        self.held_back = False  # whether it could not be stored yet: its claim runs out, so that it may be stored first

    def offered(self) -> Iterator[tuple[str, ...]]:
        """Offer what is left, unit by unit; another attempt, or page, requests the same again."""
        if self.template.endpoint.series is None:
            yield from [(key,) for key in self._claimed]
        elif self._claimed:
            yield tuple(self._claimed)
        while not self.row and self._left:
            with contextlib.suppress(IndexError):  # another thread was faster
                unit = self._left.popleft()
                self._claimed |= {query.key: query for query in unit}
                if self.template.endpoint.series is not None:
                    self._pages = pages_of(unit)
                    self.template = replace(self.template, within=(unit[0].day, unit[-1].day))
                yield tuple(query.key for query in unit)

    def request_of(self, keys: Iterable[str]) -> Request:
        """Return the request for some of what was offered."""
        return replace(self.template, queries=tuple(self._claimed[key] for key in keys))

    @property
    def request(self) -> Request:
        """The request as it is sent."""
        return self.request_of(self._claimed)

    @property
    def pending(self) -> bool:
        """Whether something was claimed that no page had yet."""
        return bool(self._claimed)

    def go_on(self, delivered: Delivered) -> Delivered:
        """Note what a page brought, and prepare the next one where the range has more."""
        for query, _ in delivered:
            self._claimed.pop(query.key, None)
        if not self._claimed or self.run.stop.is_set():
            return delivered
        if self.template.range_page == self._pages:  # a server that repeats its pages would be paid without end
            self.last = UnexpectedResponseError(
                f"{self._pages} pages were requested, but they do not have all days of the range, and none of them was "
                "the last. The days that came are stored"
            )
            return delivered + self.failed()
        self.template = replace(self.template, range_page=self.template.range_page + 1)
        self.last = None
        self._unsettled.append(self.template.endpoint.credits)
        return delivered

    def give_back(self) -> None:
        """Leave what was claimed, and was not sent, to whoever goes on."""
        if self.template.endpoint.series is None:
            self._left.extendleft((query,) for query in reversed(self._claimed.values()))
        else:
            self._left.appendleft(tuple(self._claimed.values()))
        self._claimed.clear()

    def begin(self, row: int, elsewhere: Sequence[str]) -> bool:
        """Note the row of the ledger, and what others request; False where nothing is left to send."""
        self.elsewhere += [self._claimed.pop(key) for key in elsewhere]
        self.run.rows.discard(self.row)
        self.row = row
        if row:
            self.run.rows.add(row)
        return bool(row)

    def settle(self, cost: int) -> None:
        """Count what it cost, once."""
        if self._unsettled:
            self.run.reservation.settle(self._unsettled.pop(), cost)

    def failed(self) -> Delivered:
        """Return its error for all it requested; where it failed before it claimed anything, for what it would have."""
        error = self.last
        if error is None:
            return []
        if not self._claimed and not self.elsewhere:
            deque(islice(self.offered(), self.template.endpoint.batch), maxlen=0)
        if self._claimed:
            error.endpoint, error.params = self.template.endpoint.path, self.request.params
            if is_hard(error):
                self.run.stop.set()
        return [(query, error) for query in self._claimed.values()]


@dataclass(frozen=True)
class Verdict:
    """What came of a request: how it ended, what budgets count for it, and what it brought or what went wrong.

    `again`: whether sending again cannot be paid twice and may help.
    """

    outcome: Outcome
    cost: int
    found: Sequence[Found | UnexpectedResponseError] = ()
    source: str | None = None
    arrived_at: int = 0
    error: KeyAPIError | None = None
    again: bool = False


def judge(request: Request, reply: Reply | TransportFailure, here: str) -> Verdict:
    """Decide what came of a request; `here` is the source where no sandbox answers. Writes and counts nothing."""
    price = request.endpoint.credits
    if isinstance(reply, TransportFailure):
        what = f"{'no answer' if reply.delivered else UNDELIVERED}: {reply}"
        error: KeyAPIError = no_answer(str(reply), reply.delivered)
        outcome = Outcome(message=_clean(what), elapsed_s=reply.elapsed_s)
        return Verdict(outcome, price if reply.delivered else 0, error=error, again=not reply.delivered)
    try:
        envelope = open_envelope(reply.status, reply.body, reply.payload, retry_after=reply.retry_after)
    except KeyAPIError as error:
        unusable, code = isinstance(error, UnexpectedResponseError), writable_code(error.code)
        known = 0 if not unusable else price if code == 0 else None  # else nobody knows whether it was charged
        outcome = Outcome(reply.status, code, _clean(error.message), _clean(error.request_id), known, reply.elapsed_s)
        return Verdict(outcome, price if unusable else 0, error=error, again=is_worth_another(error))
    outcome = Outcome(reply.status, 0, _clean(envelope.message), _clean(envelope.request_id), price, reply.elapsed_s)
    found = match(request.endpoint, request.queries, envelope, request.within)
    return Verdict(outcome, price, found, SANDBOX if reply.synthetic else here, reply.arrived_at)


def answer_of(reply: Reply | TransportFailure) -> list[Any]:
    """Return what an error has of an answer that could not be stored."""
    if isinstance(reply, TransportFailure):
        return []
    return [reply.body.decode("utf-8", "replace") if reply.payload is None else reply.payload]


def is_worth_another(error: KeyAPIError) -> bool:
    """Whether sending again after a refusal may help; of a 200 only where its code is that of a 5xx."""
    if isinstance(error, RateLimitedError):
        return is_short_wait(error)
    server = isinstance(error, ServerError)  # with other codes it may have been charged
    return server and ((error.status_code or 0) >= _BROKEN or _BROKEN <= (error.code or 0) < 2 * _BROKEN)


def _clean(text: str | None) -> str | None:
    """Keep a text short and writable: half a surrogate pair cannot be stored, nor in PostgreSQL a null character."""
    return None if text is None else writable(text[:_LONGEST_MESSAGE]).replace("\0", "\ufffd")


def no_answer(what: str, delivered: bool) -> NetworkError:
    """Return the error of a request without a complete answer."""
    if delivered:
        return NetworkError(
            f"the request was sent but no complete answer came ({what}). It may have been charged, so it is not "
            "repeated automatically: check the connection and run the call again"
        )
    return NetworkError(
        f"KeyAPI could not be reached; nothing was delivered or charged ({what}). Check the network, any proxy and "
        "base_url and run the call again, or read stored answers with connect(offline=True)"
    )


def error_of_row(row: LedgerRow) -> KeyAPIError:
    """Return the error of a request that another client sent, from its row of the ledger."""
    status, message, code, request_id = row.http_status, row.message, row.code, row.request_id
    who = "another client sent the same request at that moment, so it was not repeated"
    if status is None:
        return no_answer(f"{who}; {message or 'its outcome is not known'}", not row.undelivered)
    if status < _REFUSED and code in (None, 0):
        what = message if code is None and message else "it was about another id, or had another structure"
        said = f"{who}, and its answer could not be used: {what}"
        return UnexpectedResponseError(said, status_code=status, code=code, request_id=request_id)
    return refusal(status=status, message=message, answer=None, code=code, request_id=request_id)


def broken_feed(failures: Mapping[Query, KeyAPIError | None], left: int) -> KeyAPIError:
    """Return the error of a call whose first answers could not be used, or did not come."""
    error = copy.copy(next(error for error in failures.values() if isinstance(error, _OUTAGE)))
    what, advice = "requests of this call failed", "Run the call again when KeyAPI answers a single id"
    if isinstance(error, UnexpectedResponseError):
        what = "answers of this call could not be used"
        advice = "Check .answer and base_url, fetch a single id, and run the call again once its answer is usable"
    said = str(error).rstrip(".")
    text = f"the first {_FIRST_ANSWERS} {what}, so {left:,} more ids were not requested: {said}. {advice}"
    if error.message == str(error):  # not KeyAPI's own
        error.message = text
    error.args = (text,)
    return error


def make_arrival(request: Request, found: Found) -> Arrival:
    """Return the part of an answer about one entity, or a page, in the form that is stored."""
    params = found.query.params
    if request.endpoint.paging is None:
        return Arrival(found.query.key, params, found.envelope, absent=found.absent)
    new = {one for one in found.ids if one is not None} - request.seen
    request.seen.update(new)
    return Arrival(
        found.query.key,
        {**params, **page_params(request.endpoint.paging, request.page)},
        found.envelope,
        absent=found.absent and request.page == 1,
        page=request.page,
        rows=len(found.ids),
        pull=request.pull if _continues(request, found, len(new)) else None,
        fresh=len(new),
        more=found.more,
        wanted=request.wanted,
    )


def serving_others(found: Found) -> list[Arrival]:
    """Return what else an answer serves: one requested by username also serves the id in it, if it has one."""
    also, rows = found.query.endpoint.also, found.envelope.get("data")
    if also is None or also.entity is None or found.absent or not isinstance(rows, list):
        return []
    whom = {identify(also, row, "[].") for row in rows}
    try:
        [one] = whom if len(whom) == 1 else [None]
        query = Query(also, (also.entity.check(also.entity.argument, one),))
    except InvalidArgumentError:  # it has no id, or none that is valid, or several
        return []
    return [Arrival(query.key, query.params, found.envelope)]


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
    smallest = (request.endpoint.paging or PAGES).least
    leaves_out = rows > request.rows == smallest
    repeats = rows == smallest and fresh == 0 and found.more is True
    return not (leaves_out or repeats)
