"""Rankings: page after page, as few as the rows asked for need; the pages of one hour are one observation."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from ..endpoints import PAGE_SIZE, SMALLEST_PAGE, Query
from ..envelope import Envelope, Found, match
from ..errors import CLOSED, KeyAPIError, StoreError
from ..store import Answer, Observation
from .call import Call, Collection, Plan, counted, oldest_of
from .dispatch import Delivered, Request, Run, Sender
from .policy import Policy, is_within

_ONE_OBSERVATION: Final = timedelta(hours=1)  # pages this close together


class Pages:
    """Pulls rankings; a page that several clients ask for at once is sent once.

    Parameters
    ----------
    terms : Terms
        What the store may serve and what may be spent.
    sender : Sender
        Who sends.
    """

    def __init__(self, policy: Policy, sender: Sender) -> None:
        self._policy = policy
        self._sender = sender

    def plan(self, call: Call) -> Plan:
        """Say what a call would send."""
        price = call.endpoint.credits
        requests = most = 0
        served: list[Observation] = []
        note = ""
        for query in call.queries:
            pages, enough, others = self._survey(call, query, None)
            served += pages
            if enough:
                continue
            self._policy.check_answerable([query])
            requests += _pages_left(call, pages, PAGE_SIZE)
            whole = 0 if call.limit is None else math.ceil(call.limit / SMALLEST_PAGE)
            most += whole + (_pages_left(call, pages, SMALLEST_PAGE) if pages else 0)
            if others:
                note = "asks the whole ranking again: the stored pages are another observation (older than an hour)"
            if call.limit is None:
                note = note or "the number of pages is not known; counted as it goes"
            note = "; ".join(filter(None, (note, self._policy.unanswered_note(call, [query]))))
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
        for query in collection.call.queries:
            self._pull(query, collection, run)

    def _survey(self, call: Call, query: Query, since: int | None) -> tuple[list[Observation], bool, bool]:
        """Find the pages that serve, whether they are enough, and whether there are others that do not."""
        policy = self._policy
        pulls = policy.store.pulls(query.key, until=policy.until)
        for pull in pulls:
            needed = _pages_needed(pull, call.limit)
            if needed is not None and all(policy.serves(call, page, since) for page in pull[:needed]):
                return pull[:needed], True, False
        if pulls and is_within(pulls[0][0].observed_at, _ONE_OBSERVATION):
            newest = pulls[0]
            if all(policy.serves(call, page, since) for page in newest):
                return newest, False, False
        return [], False, bool(pulls)

    def _pull(self, query: Query, collection: Collection, run: Run) -> None:
        """Pull a ranking page by page: only the server knows where it ends."""
        call, policy = collection.call, self._policy
        price = call.endpoint.credits
        since, pages, enough = self._look(call, query, run)
        try:
            if not enough:
                expected = _pages_left(call, pages, PAGE_SIZE)
                policy.check_sendable(call, [query], expected)
                self._sender.keep_unkept()
                policy.check_price(call, expected * price, run)
                run.reservation.hold(expected * price, f"{call.name} ({counted(expected, 'page')})")
                run.progress.expect(None if call.limit is None else expected)
            request: Request | None = None
            restarted = False
            while not enough and _pages_needed(pages, call.limit) is None:
                if run.stop.is_set():
                    collection.failures[query] = None
                    break
                request = self._next(call, query, pages, request, any_size=restarted)
                if run.reservation.amount < price:
                    policy.check_price(call, price, run, already=run.reservation.spent)
                    run.reservation.hold(price, f"page {request.page} of {call.name}")
                collection.sent = True  # by this client or by another
                page = self._send_page(request, replace(run, since=since))
                if page is None:  # somebody else asks for it: what they get is the ranking as it is now
                    failed = self._sender.wait_for_others([query], request.page, run)
                    if failed:
                        raise failed[query]
                    since, pages, enough = self._look(call, query, run)
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
            collection.fail(query, error)
        finally:
            run.reservation.release()
            collection.answers += [Answer(query, page) for page in pages]

    def _look(self, call: Call, query: Query, run: Run) -> tuple[tuple[int, int], list[Observation], bool]:
        """Look what the store serves: the pages, whether they are enough, and what it had when that was looked up."""
        answer, _ = self._policy.store.last_ids()
        pages, enough, _ = self._survey(call, query, run.since[0])
        return (answer, run.since[1]), pages, enough

    def _next(
        self, call: Call, query: Query, pages: Sequence[Observation], last: Request | None, *, any_size: bool
    ) -> Request:
        """Make the request for the page after these; `last` is that of the page before, in the same call."""
        if not pages:
            return Request(query.endpoint, (query,), page=1, wanted=call.limit)
        size = max(page.rows for page in pages)
        rows = size if size >= SMALLEST_PAGE and not any_size else None
        if last is not None:
            return replace(last, page=len(pages) + 1, pull=pages[0].pull, rows=rows, same_call=True)
        stored = self._policy.store.envelopes([page.id for page in pages])
        ids = (found.ids for found in (_read_page(query, envelope) for envelope in stored))
        return Request(
            query.endpoint,
            (query,),
            page=len(pages) + 1,
            pull=pages[0].pull,
            rows=rows,
            wanted=call.limit,
            seen={one for page in ids for one in page if one is not None},
        )

    def _send_page(self, request: Request, run: Run) -> Observation | None:
        """Send for a page; None where somebody else asks for it."""
        delivered: Delivered = []
        self._sender.send(deque(request.queries), request, run, delivered.extend)
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


def _read_page(query: Query, envelope: dict[str, Any]) -> Found:
    [found] = match(query.endpoint, (query,), Envelope(None, None, envelope.get("data"), envelope))
    return found if isinstance(found, Found) else Found(query, envelope)
