"""Rankings: page after page, as few as the rows asked for need; the pages of one hour are one observation."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from ..endpoints import PAGE_SIZE, SMALLEST_PAGE, Ask
from ..envelope import Envelope, Found, match
from ..errors import CLOSED, KeyAPIError, StoreError
from ..store import Observation
from .call import Call, Collection, Plan, counted, oldest_of
from .sending import Delivered, Request, Run, Sender
from .terms import Terms, is_within

_ONE_OBSERVATION: Final = timedelta(hours=1)  # pages this close together


class Rankings:
    """Pulls rankings; a page that several clients ask for at once is sent once.

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
            note = "; ".join(filter(None, (note, self._terms.unanswered_note(call, [ask]))))
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

    def collect(self, collection: Collection, run: Run) -> None:
        """Get the answers of a call."""
        for ask in collection.call.asks:
            self._pull(ask, collection, run)

    def _survey(self, call: Call, ask: Ask, since: int | None) -> tuple[list[Observation], bool, bool]:
        """Find the pages that serve, whether they are enough, and whether there are others that do not."""
        terms = self._terms
        pulls = terms.store.pulls(ask.key, until=terms.until)
        for pull in pulls:
            needed = _pages_needed(pull, call.limit)
            if needed is not None and all(terms.serves(call, page, since) for page in pull[:needed]):
                return pull[:needed], True, False
        if pulls and is_within(pulls[0][0].observed_at, _ONE_OBSERVATION):
            newest = pulls[0]
            if all(terms.serves(call, page, since) for page in newest):
                return newest, False, False
        return [], False, bool(pulls)

    def _pull(self, ask: Ask, collection: Collection, run: Run) -> None:
        """Pull a ranking page by page: only the server knows where it ends."""
        call, terms = collection.call, self._terms
        price = call.endpoint.credits
        since, pages, enough = self._look(call, ask, run)
        try:
            if not enough:
                expected = _pages_left(call, pages, PAGE_SIZE)
                terms.check_sendable(call, [ask], expected)
                self._sender.keep_unkept()
                terms.check_price(call, expected * price, run)
                run.reservation.hold(expected * price, f"{call.name} ({counted(expected, 'page')})")
                run.progress.expect(None if call.limit is None else expected)
            request: Request | None = None
            restarted = False
            while not enough and _pages_needed(pages, call.limit) is None:
                if run.stop.is_set():
                    collection.failures[ask] = None
                    break
                request = self._next(call, ask, pages, request, any_size=restarted)
                if run.reservation.amount < price:
                    terms.check_price(call, price, run, already=run.reservation.spent)
                    run.reservation.hold(price, f"page {request.page} of {call.name}")
                collection.sent = True  # by this client or by another
                page = self._send_page(request, replace(run, since=since))
                if page is None:  # somebody else asks for it: what they get is the ranking as it is now
                    failed = self._sender.wait_for_others([ask], request.page, run)
                    if failed:
                        raise failed[ask]
                    since, pages, enough = self._look(call, ask, run)
                    request = None
                    continue
                since = (page.id, since[1])
                collection.arrived.add(page.id)
                run.progress.step(run.reservation.spent)
                # Where the server cuts pages differently now, what came before cannot be continued; once is enough.
                cut_differently = request.pull not in (None, page.pull)
                restarted = restarted or cut_differently
                pages = [] if cut_differently else [*pages, page]
        except KeyAPIError as error:
            if not collection.sent:
                raise
            collection.fail(ask, error)
        finally:
            run.reservation.release()
            collection.found += [(ask, page) for page in pages]

    def _look(self, call: Call, ask: Ask, run: Run) -> tuple[tuple[int, int], list[Observation], bool]:
        """Look what the store serves: the pages, whether they are enough, and what it had when that was looked up."""
        answer, _ = self._terms.store.last_ids()
        pages, enough, _ = self._survey(call, ask, run.since[0])
        return (answer, run.since[1]), pages, enough

    def _next(
        self, call: Call, ask: Ask, pages: Sequence[Observation], last: Request | None, *, any_size: bool
    ) -> Request:
        """Make the request for the page after these; `last` is that of the page before, in the same call."""
        if not pages:
            return Request(ask.endpoint, (ask,), page=1, wanted=call.limit)
        size = max(page.rows for page in pages)
        rows = size if size >= SMALLEST_PAGE and not any_size else None
        if last is not None:
            return replace(last, page=len(pages) + 1, pull=pages[0].pull, rows=rows, same_call=True)
        stored = self._terms.store.envelopes([page.id for page in pages])
        ids = (found.ids for found in (_read_page(ask, envelope) for envelope in stored))
        return Request(
            ask.endpoint,
            (ask,),
            page=len(pages) + 1,
            pull=pages[0].pull,
            rows=rows,
            wanted=call.limit,
            seen={one for page in ids for one in page if one is not None},
        )

    def _send_page(self, request: Request, run: Run) -> Observation | None:
        """Send for a page; None where somebody else asks for it."""
        delivered: Delivered = []
        self._sender.send(deque(request.asks), request, run, delivered.extend)
        if not delivered:  # stopped before it was sent
            if self._sender.closed:
                raise StoreError(CLOSED)
            return None
        [(_, got)] = delivered
        if isinstance(got, KeyAPIError):
            raise got
        return got if isinstance(got, Observation) else None


def _pages_needed(pull: Sequence[Observation], limit: int | None) -> int | None:
    """How many pages of a pull give so many rows; None where it ends before."""
    have = 0
    for number, page in enumerate(pull, start=1):
        have += page.rows  # a row that came twice has its place: a plan holds whatever the rows are
        before = pull[number - 2] if number > 1 else None
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
