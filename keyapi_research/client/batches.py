"""Queries by id: served from the store where they can be, packed into the fewest requests where they cannot.

Days of a series are queries by id and day; those that are missing are requested as ranges.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from datetime import timedelta

from ..errors import CLOSED, KeyAPIError, StoreError, UnexpectedResponseError
from ..queries import Query
from ..store import Answer
from .call import Call, Collection, Plan, oldest_of
from .delivery import Request, Run, broken_feed
from .dispatch import Sender
from .policy import Policy
from .ranges import Unit, requests_for, units_of


class Batches:
    """Gets what is requested by ids; what several clients request at once is sent once."""

    def __init__(self, policy: Policy, sender: Sender) -> None:
        self._policy = policy
        self._sender = sender

    def plan(self, call: Call) -> Plan:
        """Return what a call would send."""
        stored, missing, _ = self._survey(call, call.queries, None)
        self._policy.check_answerable(missing)
        requests = requests_for(call.endpoint, missing)
        cost = requests * call.endpoint.credits
        notes = _reach_note(call, missing, self._policy), self._policy.unanswered_note(call, missing)
        oldest = oldest_of([one.observation for one in stored])
        return Plan(requests, cost, cost, len(stored), oldest, call.table.name, "; ".join(filter(None, notes)))

    def _survey(
        self, call: Call, queries: Sequence[Query], since: int | None
    ) -> tuple[list[Answer], list[Query], dict[Query, UnexpectedResponseError]]:
        """Return what the store serves, what it lacks, and the errors of stored answers about another id."""
        newest, errors = self._policy.newest(queries)
        stored: list[Answer] = []
        missing: list[Query] = []
        wrong: dict[Query, UnexpectedResponseError] = {}
        for query in queries:
            one = newest.get(query.key)
            if one is None or not self._policy.serves(call, query, one, since):
                missing.append(query)
            elif query.key in errors:
                wrong[query] = errors[query.key]
            else:
                stored.append(Answer(query, one))
        return stored, missing, wrong

    def collect(self, collection: Collection, run: Run) -> None:
        """Get the answers of a call."""
        try:
            self._collect(collection, run)
        except KeyAPIError as error:  # a later round was refused: what came before is still the caller's
            if not collection.sent:
                raise
            collection.stop = error
        finally:
            run.reservation.release()
            collection.put_in_order()

    def _collect(self, collection: Collection, run: Run) -> None:
        """Request what is neither stored nor requested by other clients; then read what those got, and so on."""
        call, store = collection.call, self._policy.store
        waiting: Sequence[Query] = call.queries
        while waiting and not run.stop.is_set():
            run.looked, _ = store.last_ids()
            stored, missing, wrong = self._survey(call, waiting, run.since[0])
            collection.answers += stored
            for query, foreign in wrong.items():
                collection.fail(query, foreign)
            if missing and self._policy.offline and call.partial:
                lacks = self._policy.not_stored(call, missing, requests_for(call.endpoint, missing))
                collection.failures.update(dict.fromkeys(missing, lacks))
                return
            claims = store.claims(query.key for query in missing) if missing else {}
            taken = {key for key, claim in claims.items() if claim.holds}
            # Of a range that is requested elsewhere in part, other days may have failed long ago: that is no news.
            over = {key for key, claim in claims.items() if claim.done and claim.request <= run.since[1]}
            units = units_of(call.endpoint, missing)
            own = deque(unit for unit in units if not any(query.key in taken for query in unit))
            others = [query for unit in units if any(query.key in taken for query in unit) for query in unit]
            if own:
                left = [query for unit in own for query in unit]
                self._policy.admit(call, left, requests_for(call.endpoint, left), "request", run)
                store.check_readable([one.observation.id for one in stored])
                self._sender.keep_unkept()
                run.progress.expect(math.ceil(len(own) / call.endpoint.batch))
                others += self._send(own, collection, run)
            if own or collection.stop is not None:  # what was not sent stays in `own`
                return
            failed = self._sender.wait_for_others([query for query in others if query.key not in over], 0, run)
            for query, error in failed.items():
                collection.fail(query, error)
            if collection.stop is not None:  # what stopped the other client stops this one
                return
            waiting = [query for query in others if query not in failed]

    def _send(self, own: deque[Unit], collection: Collection, run: Run) -> list[Query]:
        """Send requests; return the queries that another client is requesting."""
        collection.sent = True
        others: list[Query] = []
        for delivered in self._sender.send(own, Request(collection.call.endpoint, ()), run):
            for query, got in delivered:
                if isinstance(got, Answer):
                    collection.answers.append(collection.arrive(got))  # also of days that came along: left out later
                elif got is None:
                    others.append(query)
                else:
                    collection.fail(query, got)
            if any(got is not None for _, got in delivered):
                run.progress.step(run.reservation.call.spent)
        run.reservation.give_back()
        if own and collection.stop is None:
            if self._sender.closed:
                collection.stop = StoreError(CLOSED)
            elif not run.room:
                collection.stop = broken_feed(collection.failures, sum(map(len, own)))
        return others


def _reach_note(call: Call, missing: Sequence[Query], policy: Policy) -> str:
    """Return a note where days are missing that are probably too long ago, so that a call costs less than planned."""
    series = call.endpoint.series
    if series is None or not series.reach or not missing:
        return ""
    first = (policy.today - timedelta(days=series.reach)).isoformat()
    if min(query.day for query in missing) >= first:
        return ""
    return (
        f"KeyAPI was seen to have about {series.reach} days, here from {first} on. Days before it, and gaps, make a "
        "call cheaper than its plan"
    )
