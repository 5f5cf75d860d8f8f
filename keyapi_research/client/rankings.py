"""Rankings: page after page, as few as the rows asked for need; the pages of one hour are one observation."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from ..endpoints import PAGE_SIZE, SMALLEST_PAGE, Ask
from ..envelope import Envelope, Found, match
from ..errors import CLOSED, KeyAPIError, StoreError
from ..store import Observation
from .call import Call, Collection, Plan, counted, oldest_of
from .progress import Progress
from .purse import Reservation
from .sending import Delivered, Request, Sender
from .terms import Terms, is_within

_ONE_OBSERVATION: Final = timedelta(hours=1)  # pages this close together


class Rankings:
    """Walks through rankings, one walk through each at a time.

    Parameters
    ----------
    terms : Terms
        What the store may serve and what may be spent.
    sender : Sender
        Who sends.
    """

    def __init__(self, terms: Terms, sender: Sender) -> None:
        self._terms = terms
        self._sender = sender
        self._locks: weakref.WeakValueDictionary[Ask, threading.Lock] = weakref.WeakValueDictionary()
        self._choosing = threading.Lock()

    def plan(self, call: Call) -> Plan:
        """Say what a call would send."""
        price = call.endpoint.credits
        requests = most = 0
        served: list[Observation] = []
        note = ""
        for ask in call.asks:
            pages, enough, others = self._survey(call, ask, None)
            served += pages
            if enough:
                continue
            self._terms.check_askable([ask])
            requests += _pages_left(call, pages, PAGE_SIZE)
            whole = 0 if call.limit is None else math.ceil(call.limit / SMALLEST_PAGE)
            most += whole + (_pages_left(call, pages, SMALLEST_PAGE) if pages else 0)
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

    def collect(self, collection: Collection, since: int) -> None:
        """Get the answers of a call; answers with ids above `since` came while it was made."""
        for ask in collection.call.asks:
            with self._walking(ask):
                self._walk(ask, collection, since)

    def _walking(self, ask: Ask) -> threading.Lock:
        """Find the lock of a ranking; it vanishes with the last that waits for it."""
        with self._choosing:
            return self._locks.setdefault(ask, threading.Lock())

    def _survey(self, call: Call, ask: Ask, since: int | None) -> tuple[list[Observation], bool, bool]:
        """Find the pages that serve, whether they are enough, and whether there are others that do not."""
        terms = self._terms
        walks = terms.store.walks(ask.key, until=terms.until)
        for walk in walks:
            needed = _pages_needed(walk, call.limit)
            if needed is not None and all(terms.serves(call, page, since) for page in walk[:needed]):
                return walk[:needed], True, False
        if walks and is_within(walks[0][0].observed_at, _ONE_OBSERVATION):
            newest = walks[0]
            if all(terms.serves(call, page, since) for page in newest):
                return newest, False, False
        return [], False, bool(walks)

    def _walk(self, ask: Ask, collection: Collection, since: int) -> None:
        """Walk through a ranking: only the server knows where it ends."""
        call, terms = collection.call, self._terms
        price = call.endpoint.credits
        pages, enough, _ = self._survey(call, ask, since)
        if enough:
            collection.found += [(ask, page) for page in pages]
            return
        expected = _pages_left(call, pages, PAGE_SIZE)
        terms.check_sendable(call, [ask], expected)
        reservation = Reservation(terms.purse)
        terms.check_price(call, expected * price)
        reservation.hold(expected * price, f"{call.name} ({counted(expected, 'page')})")
        bar = Progress(call.name, None if call.limit is None else expected, wanted=terms.settings.progress)
        try:
            request = self._next(ask, pages)
            restarted = False
            while _pages_needed(pages, call.limit) is None:
                if reservation.amount < price:
                    terms.check_price(call, price, reservation.spent)
                    reservation.hold(price, f"page {request.page} of {call.name}")
                collection.sent = True
                page = self._send_page(request, reservation)
                collection.arrived.add(page.id)
                bar.step(reservation.spent)
                # Where the server cuts pages differently now, what came before cannot be continued; once is enough.
                cut_differently = request.walk not in (None, page.walk)
                restarted = restarted or cut_differently
                pages = [] if cut_differently else [*pages, page]
                request = self._next(ask, pages, request, any_size=restarted)
        except KeyAPIError as error:
            collection.fail(ask, error)
        finally:
            bar.close()
            reservation.release()
            collection.found += [(ask, page) for page in pages]

    def _next(
        self, ask: Ask, pages: Sequence[Observation], last: Request | None = None, *, any_size: bool = False
    ) -> Request:
        """Make the request for the page after these; `last` is that of the page before, in the same call."""
        if not pages:
            return Request(ask.endpoint, (ask,), page=1)
        size = max(page.rows for page in pages)
        rows = size if size >= SMALLEST_PAGE and not any_size else None
        if last is not None:
            return replace(last, page=len(pages) + 1, walk=pages[0].walk, rows=rows, same_call=True)
        stored = self._terms.store.envelopes([page.id for page in pages])
        ids = (found.ids for found in (_read_page(ask, envelope) for envelope in stored))
        return Request(
            ask.endpoint,
            (ask,),
            page=len(pages) + 1,
            walk=pages[0].walk,
            rows=rows,
            seen={one for page in ids for one in page if one is not None},
        )

    def _send_page(self, request: Request, reservation: Reservation) -> Observation:
        delivered: Delivered = []
        self._sender.send({Future(): request}, reservation, delivered.extend)
        [(_, got)] = delivered
        if isinstance(got, Observation):
            return got
        raise got if got is not None else StoreError(CLOSED)


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


def _pages_left(call: Call, pages: Sequence[Observation], size: int) -> int:
    if call.limit is None:
        return 1
    known = max((page.rows for page in pages), default=0)
    size = known if known >= SMALLEST_PAGE else size
    return math.ceil((call.limit - sum(page.rows for page in pages)) / size)


def _read_page(ask: Ask, envelope: dict[str, Any]) -> Found:
    [found] = match(ask.endpoint, (ask,), Envelope(None, None, envelope.get("data"), envelope))
    return found if isinstance(found, Found) else Found(ask, envelope)
