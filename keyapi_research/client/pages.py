"""Rankings: page after page, as few as the rows wanted need; the pages of one hour are one observation."""

from __future__ import annotations

import contextlib
import math
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from ..envelope import Envelope, Found, match
from ..errors import CLOSED, KeyAPIError, StoreError, UnexpectedResponseError
from ..model import PAGES, Paging, endpoints
from ..queries import Query
from ..store import Answer
from .call import Call, Collection, Plan, oldest_of
from .delivery import Request, Run, broken_feed
from .dispatch import Sender
from .policy import Policy, is_within

_ONE_OBSERVATION: Final = timedelta(hours=1)  # pages this close together


@dataclass
class _Look:
    """The pages of a ranking so far, and the ids of the last answer and request when the store was read."""

    pages: list[Answer]
    since: tuple[int, int]


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
            try:
                pages, others = self._survey(call, query, None)
            except UnexpectedResponseError:  # the call raises it, at no cost
                continue
            served += pages
            if pages_needed(call, pages) is not None:
                continue
            self._policy.check_answerable([query])
            pages_left = _pages_left(call, pages, paging.most)
            requests += pages_left
            if pages_left > 1 and call.limit is not None and call.endpoint.entity is not None:
                notes.append("at most: a list that ends before its limit costs less")
            most += _pages_left(call, [], paging.least) + (_pages_left(call, pages, paging.least) if pages else 0)
            if others:
                notes.append("fetches the whole ranking again, because the stored pages are more than an hour old")
            elif call.limit is None:
                notes.append("the number of pages is not known in advance")
            notes.append(self._policy.unanswered_note(call, [query]))
        unknown = call.limit is None and not call.one_page and requests > 0
        return Plan(
            requests,
            requests * price,
            None if unknown else most * price,
            len(served),
            oldest_of([page.observation for page in served]),
            call.table.name,
            "; ".join(filter(None, dict.fromkeys(notes))),
        )

    def collect(self, collection: Collection, run: Run) -> None:
        """Get the answers of a call; all that it is expected to cost is reserved before anything is sent."""
        try:
            self._pull_all(self._prepare(collection, run), collection, run)
        finally:
            run.reservation.release()

    def _pull_all(self, looks: dict[Query, _Look], collection: Collection, run: Run) -> None:
        """Pull rankings side by side, as many as requests may be in flight; the pages of each follow one another."""
        left = deque(looks.items())
        turn = threading.Lock()
        broken: list[BaseException] = []

        def work() -> None:  # what stopped one query stops the others
            while left and collection.stop is None and not broken and run.room > 0:
                with contextlib.suppress(IndexError):  # another thread was faster
                    broken.extend(self._try_pull(*left.popleft(), collection, run, turn))

        lacking = sum(pages_needed(collection.call, look.pages) is None for look in looks.values())
        threads: list[threading.Thread] = []
        with contextlib.suppress(RuntimeError):  # no more threads: those there are do it
            for _ in range(min(lacking, self._sender.max_workers) - 1):
                # In the caller's context, so that a bar is drawn where the caller is.
                thread = threading.Thread(target=copy_context().run, args=(work,), name="keyapi pages", daemon=True)
                thread.start()
                threads.append(thread)
        work()
        for thread in threads:
            thread.join()
        stopped = {query for query, look in left if pages_needed(collection.call, look.pages) is None}
        collection.answers += [page for query, look in looks.items() if query not in stopped for page in look.pages]
        collection.failures |= dict.fromkeys(query for query, _ in left if query in stopped)
        if broken:
            raise broken[0]
        if stopped and collection.stop is None and run.room <= 0:
            collection.stop = broken_feed(collection.failures, len(stopped))

    def _prepare(self, collection: Collection, run: Run) -> dict[Query, _Look]:
        """Find what the store serves; refuse the rest, reserve what it costs, or leave it out of a partial table."""
        call = collection.call
        looks: dict[Query, _Look] = {}
        for query in call.queries:
            try:
                looks[query] = self._look(call, query, run)
            except UnexpectedResponseError as error:  # what is stored is about somebody else
                collection.fail(query, error)
        wanting = [query for query, look in looks.items() if pages_needed(call, look.pages) is None]
        pages = sum(_pages_left(call, looks[query].pages, _paging(call).most) for query in wanting)
        if wanting and self._policy.offline and call.partial:
            collection.failures.update(dict.fromkeys(wanting, self._policy.not_stored(call, wanting, pages)))
            return {query: look for query, look in looks.items() if query not in collection.failures}
        if wanting:
            self._policy.admit(call, wanting, pages, "page", run)
            self._sender.keep_unkept()
            run.progress.expect(None if call.limit is None else pages)
        return looks

    def _survey(self, call: Call, query: Query, since: int | None) -> tuple[list[Answer], bool]:
        """Find the stored pages that serve, no more than are needed; if none does, whether others are stored."""
        found = self._policy.store.pulls(query.key, until=self._policy.until)

        def serve(pages: Sequence[Answer]) -> bool:
            return all(self._policy.serves(call, query, page.observation, since) for page in pages)

        pulls = []
        for each in ([Answer(query, page) for page in pull] for pull in found):
            try:
                pulls.append(self._counted(query, each))
            except UnexpectedResponseError:
                if serve(each):
                    raise
        for pull in pulls:
            needed = pages_needed(call, pull)
            if needed is not None and serve(pull[:needed]):
                return pull[:needed], False
        newest = pulls[0] if pulls else []
        if newest and is_within(newest[0].observation.observed_at, _ONE_OBSERVATION) and serve(newest):
            return newest, False
        return [], bool(pulls)

    def _counted(self, query: Query, pull: list[Answer]) -> list[Answer]:
        """Count the rows of stored pages as the endpoint that reads them does; another one may have stored them."""
        if query.endpoint in endpoints(yours=False):
            return pull
        judged = self._policy.judge([(query, one.observation) for one in pull])
        seen: set[str | None] = set()
        counted = []
        for page, found in zip(judged, self._found(query, pull), strict=True):
            if isinstance(page, UnexpectedResponseError):
                raise page
            new = {one for one in found.ids if one is not None} - seen
            seen |= new
            counted.append(Answer(query, page._replace(fresh=len(new))))
        return counted

    def _found(self, query: Query, pages: Sequence[Answer]) -> Iterator[Found]:
        """Yield what stored pages have."""
        for envelope in self._policy.store.envelopes([one.observation.id for one in pages]):
            [found] = match(query.endpoint, (query,), Envelope(None, None, envelope.get("data"), envelope))
            yield found if isinstance(found, Found) else Found(query, envelope)

    def _try_pull(
        self, query: Query, look: _Look, collection: Collection, run: Run, turn: threading.Lock
    ) -> list[BaseException]:
        """Pull a ranking; return what ends the whole call, if anything does."""
        try:
            self._pull(query, look, collection, run, turn)
        except KeyAPIError as error:
            if not collection.sent:  # refused before anything was sent
                return [error]
            with turn:
                collection.fail(query, error)
        except BaseException as error:  # noqa: BLE001 - raised where the call waits
            run.stop.set()
            return [error]
        return []

    def _pull(self, query: Query, look: _Look, collection: Collection, run: Run, turn: threading.Lock) -> None:
        """Pull a ranking page by page into what the store had of it: only the server knows where it ends."""
        call, price = collection.call, collection.call.endpoint.credits
        pages = look.pages
        request: Request | None = None
        restarted = False
        held = 0 if pages_needed(call, pages) is not None else _pages_left(call, pages, _paging(call).most)
        try:
            while pages_needed(call, pages) is None:
                if run.stop.is_set():
                    collection.failures[query] = None
                    return
                request = self._next(call, query, pages, request, any_size=restarted)
                if not held:  # more pages than were expected
                    run.reservation.hold(price, f"page {request.page} of {call.name}")
                held = max(0, held - 1)
                collection.sent = True  # by this client or by another
                page = self._send_page(request, look.since, run)
                if page is None:  # another client requests it: what it gets is the ranking as it is now
                    failed = self._sender.wait_for_others([query], request.page, run)
                    if failed:
                        raise failed[query]
                    again = self._look(call, query, run)
                    pages[:], look.since = again.pages, again.since
                    request = None
                    continue
                look.since = (page.observation.id, look.since[1])
                with turn:
                    page = collection.arrive(page)
                    run.progress.step(run.reservation.call.spent)
                # Where the server cuts pages differently now, what came before cannot be continued; once is enough.
                if request.pull not in (None, page.observation.pull):
                    restarted = True
                    pages.clear()
                else:
                    pages.append(page)
        finally:
            run.reservation.settle(held * price, 0)

    def _look(self, call: Call, query: Query, run: Run) -> _Look:
        """Read what the store serves; note what it had then."""
        answer, _ = self._policy.store.last_ids()
        pages, _ = self._survey(call, query, run.since[0])
        return _Look([*pages], (answer, run.since[1]))

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
        for found in self._found(query, pages):
            seen.update(found.ids)
        return Request(query.endpoint, (query,), page=page, pull=pull, rows=rows, wanted=call.limit, seen=seen)

    def _send_page(self, request: Request, since: tuple[int, int], run: Run) -> Answer | None:
        """Request a page; None where another client is requesting it."""
        own = replace(run, looked=since[0], since=since)
        delivered = [one for each in self._sender.send(deque([request.queries]), request, own) for one in each]
        run.note(delivered)
        if not delivered:  # stopped before it was sent
            if self._sender.closed:
                raise StoreError(CLOSED)
            return None
        [(_, got)] = delivered
        if isinstance(got, KeyAPIError):
            raise got
        return got


def pages_needed(call: Call, pull: Sequence[Answer]) -> int | None:
    """How many pages of a pull are needed for a call; None where there are not enough yet."""
    have = 0
    for number, page in enumerate(pull, start=1):
        have += page.observation.rows  # a row that came twice has its place: a plan holds whatever the rows are
        before = pull[number - 2] if number > 1 else None
        enough = call.one_page or (call.limit is not None and have >= call.limit)
        if enough or _ends(page, before, _paging(call)):
            return number
    return None


def _ends(page: Answer, before: Answer | None, paging: Paging) -> bool:
    """Whether a ranking ends with a page."""
    one = page.observation
    full = paging.most if paging.exact else before.observation.rows if before is not None else 0
    return one.rows == 0 or one.fresh == 0 or one.more is False or (one.more is None and one.rows < full)


def _pages_left(call: Call, pages: Sequence[Answer], size: int) -> int:
    if call.limit is None or call.one_page:
        return 1
    rows = [page.observation.rows for page in pages]
    known = max(rows, default=0)
    return math.ceil((call.limit - sum(rows)) / (known if known >= _paging(call).least else size))


def _paging(call: Call) -> Paging:
    return call.endpoint.paging or PAGES
