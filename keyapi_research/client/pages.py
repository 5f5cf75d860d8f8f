"""Rankings: page after page, as few as the rows wanted need; the pages of one hour are one observation."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from ..envelope import Envelope, Found, match
from ..errors import CLOSED, KeyAPIError, StoreError
from ..model import PAGES, Paging, Query
from ..store import Answer
from .call import Call, Collection, Plan, oldest_of
from .delivery import Request, Run
from .dispatch import Sender
from .policy import Policy, is_within

_ONE_OBSERVATION: Final = timedelta(hours=1)  # pages this close together


class Pages:
    """Pulls rankings; a page that several clients request at once is sent once."""

    def __init__(self, policy: Policy, sender: Sender) -> None:
        self._policy = policy
        self._sender = sender

    def plan(self, call: Call) -> Plan:
        """Return what a call would send."""
        price, paging = call.endpoint.credits, _paging(call)
        requests = most = 0
        served: list[Answer] = []
        notes: list[str] = []
        for query in call.queries:
            pages, others = self._survey(call, query, None)
            served += pages
            if _pages_needed(call, pages) is not None:
                continue
            self._policy.check_answerable([query])
            requests += _pages_left(call, pages, paging.most)
            whole = 0 if call.limit is None else math.ceil(call.limit / paging.least)
            most += whole + (_pages_left(call, pages, paging.least) if pages else 0)
            if others:
                notes.append("fetches the whole ranking again, because the stored pages are more than an hour old")
            elif call.limit is None:
                notes.append("the number of pages is not known in advance")
            notes.append(self._policy.unanswered_note(call, [query]))
        unknown = call.limit is None and requests > 0
        return Plan(
            requests,
            requests * price,
            None if unknown else most * price,
            len(served),
            oldest_of([page.observation for page in served]),
            call.table.name,
            "; ".join(filter(None, notes)),
        )

    def collect(self, collection: Collection, run: Run) -> None:
        """Get the answers of a call."""
        for query in collection.call.queries:
            if collection.stop is not None:  # what stopped one query stops the others
                collection.failures[query] = None
                continue
            pages: list[Answer] = []
            try:
                self._pull(query, pages, collection, run)
            except KeyAPIError as error:
                if not collection.sent:
                    raise
                collection.fail(query, error)
            finally:
                run.reservation.release()
                collection.answers += pages

    def _survey(self, call: Call, query: Query, since: int | None) -> tuple[list[Answer], bool]:
        """Find the pages that serve, no more than are needed, and whether there are only others."""
        found = self._policy.store.pulls(query.key, until=self._policy.until)
        pulls = [[Answer(query, page) for page in pull] for pull in found]

        def serve(pages: Sequence[Answer]) -> bool:
            return all(self._policy.serves(call, page.observation, since) for page in pages)

        for pull in pulls:
            needed = _pages_needed(call, pull)
            if needed is not None and serve(pull[:needed]):
                return pull[:needed], False
        newest = pulls[0] if pulls else []
        if newest and is_within(newest[0].observation.observed_at, _ONE_OBSERVATION) and serve(newest):
            return newest, False
        return [], bool(pulls)

    def _pull(self, query: Query, pages: list[Answer], collection: Collection, run: Run) -> None:
        """Pull a ranking page by page into `pages`: only the server knows where it ends."""
        call, price = collection.call, collection.call.endpoint.credits
        since = self._look(call, query, pages, run)
        if _pages_needed(call, pages) is None:
            expected = _pages_left(call, pages, _paging(call).most)
            self._policy.admit(call, [query], expected, "page", run)
            self._sender.keep_unkept()
            run.progress.expect(None if call.limit is None else expected)
        request: Request | None = None
        restarted = False
        while _pages_needed(call, pages) is None:
            if run.stop.is_set():
                collection.failures[query] = None
                return
            request = self._next(call, query, pages, request, any_size=restarted)
            if run.reservation.call.held < price:
                run.reservation.hold(price, f"page {request.page} of {call.name}")
            collection.sent = True  # by this client or by another
            page = self._send_page(request, replace(run, since=since))
            if page is None:  # somebody else requests it: what they get is the ranking as it is now
                failed = self._sender.wait_for_others([query], request.page, run)
                if failed:
                    raise failed[query]
                since = self._look(call, query, pages, run)
                request = None
                continue
            since = (page.observation.id, since[1])
            run.progress.step(run.reservation.call.spent)
            # Where the server cuts pages differently now, what came before cannot be continued; once is enough.
            if request.pull not in (None, page.observation.pull):
                restarted = True
                pages.clear()
                collection.arrive(page)
            else:
                pages.append(collection.arrive(page))

    def _look(self, call: Call, query: Query, pages: list[Answer], run: Run) -> tuple[int, int]:
        """Read what the store serves into `pages`; return what it had then."""
        answer, _ = self._policy.store.last_ids()
        pages[:], _ = self._survey(call, query, run.since[0])
        return answer, run.since[1]

    def _next(
        self, call: Call, query: Query, pages: Sequence[Answer], last: Request | None, *, any_size: bool
    ) -> Request:
        """Return the request for the page after these; `last` is that of the page before, in the same call."""
        if not pages:
            return Request(query.endpoint, (query,), page=1, wanted=call.limit)
        size = max(page.observation.rows for page in pages)
        rows = size if size >= _paging(call).least and not any_size else None
        page, pull = len(pages) + 1, pages[0].observation.pull
        if last is not None:
            return replace(last, page=page, pull=pull, rows=rows, same_call=True)
        seen: set[str | None] = set()
        for envelope in self._policy.store.envelopes([one.observation.id for one in pages]):
            [found] = match(query.endpoint, (query,), Envelope(None, None, envelope.get("data"), envelope))
            seen.update(found.ids if isinstance(found, Found) else ())
        return Request(query.endpoint, (query,), page=page, pull=pull, rows=rows, wanted=call.limit, seen=seen)

    def _send_page(self, request: Request, run: Run) -> Answer | None:
        """Send for a page; None where somebody else requests it."""
        delivered = [one for each in self._sender.send(deque(request.queries), request, run) for one in each]
        if not delivered:  # stopped before it was sent
            if self._sender.closed:
                raise StoreError(CLOSED)
            return None
        [(_, got)] = delivered
        if isinstance(got, KeyAPIError):
            raise got
        return got


def _pages_needed(call: Call, pull: Sequence[Answer]) -> int | None:
    """How many pages of a pull are needed for a call; None where there are not enough yet."""
    have = 0
    for number, page in enumerate(pull, start=1):
        have += page.observation.rows  # a row that came twice has its place: a plan holds whatever the rows are
        before = pull[number - 2] if number > 1 else None
        if (call.limit is not None and have >= call.limit) or _ends(page, before, _paging(call)):
            return number
    return None


def _ends(page: Answer, before: Answer | None, paging: Paging) -> bool:
    """Whether a ranking ends with a page."""
    one = page.observation
    full = paging.most if paging.exact else before.observation.rows if before is not None else 0
    return one.rows == 0 or one.fresh == 0 or one.more is False or (one.more is None and one.rows < full)


def _pages_left(call: Call, pages: Sequence[Answer], size: int) -> int:
    if call.limit is None:
        return 1
    rows = [page.observation.rows for page in pages]
    known = max(rows, default=0)
    return math.ceil((call.limit - sum(rows)) / (known if known >= _paging(call).least else size))


def _paging(call: Call) -> Paging:
    return call.endpoint.paging or PAGES
