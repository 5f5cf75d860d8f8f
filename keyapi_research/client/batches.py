"""What is asked by id: served from the store where it can be, packed into the fewest requests where it cannot."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from ..endpoints import Query
from ..errors import KeyAPIError
from ..store import Answer, Observation
from .call import Call, Collection, Plan, counted, oldest_of
from .dispatch import Delivered, Elsewhere, Request, Run, Sender, broken_feed, closed
from .policy import Policy


class Batches:
    """Gets videos, hashtags, sounds and categories; what several clients ask for at once is sent once.

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
        stored, missing = self._survey(call, call.queries, None)
        self._policy.check_answerable(missing)
        requests = math.ceil(len(missing) / call.endpoint.batch)
        cost = requests * call.endpoint.credits
        note = self._policy.unanswered_note(call, missing)
        return Plan(requests, cost, cost, len(stored), oldest_of(list(stored.values())), call.table.name, note)

    def _survey(
        self, call: Call, queries: Sequence[Query], since: int | None
    ) -> tuple[dict[Query, Observation], list[Query]]:
        """Find what the store serves, and what it does not."""
        latest = self._policy.store.latest((query.key for query in queries), until=self._policy.until)
        stored = {query: latest[query.key] for query in queries if query.key in latest}
        stored = {query: one for query, one in stored.items() if self._policy.serves(call, one, since)}
        return stored, [query for query in queries if query not in stored]

    def collect(self, collection: Collection, run: Run) -> None:
        """Get the answers of a call."""
        call = collection.call
        results: dict[Query, Observation] = {}
        waiting: Sequence[Query] = call.queries
        try:
            while waiting and not run.stop.is_set():
                stored, missing = self._survey(call, waiting, run.since[0])
                results.update(stored)
                if not missing:
                    break
                if self._policy.offline and call.partial:
                    lacks = self._policy.not_stored(call, missing, math.ceil(len(missing) / call.endpoint.batch))
                    collection.failures.update(dict.fromkeys(missing, lacks))
                    break
                claims = self._policy.store.claims(query.key for query in missing)
                taken = {key for key, claim in claims.items() if claim.holds}
                others = [query for query in missing if query.key in taken]
                own = deque(query for query in missing if query.key not in taken)
                if own:
                    self._check(call, own, list(stored.values()), run)
                    others += self._send(own, collection, results, run)
                if own or collection.stop is not None:
                    break
                failed = self._sender.wait_for_others(others, 0, run)
                for query, error in failed.items():
                    collection.fail(query, error)
                waiting = [query for query in others if query not in failed]
        except KeyAPIError as error:  # a later round was refused: what came before is still the caller's
            if not collection.sent:
                raise
            collection.stop = error
        finally:
            run.reservation.release()
            collection.answers = [Answer(query, results[query]) for query in call.queries if query in results]
            failures = collection.failures
            collection.failures = {query: failures.get(query) for query in call.queries if query not in results}

    def _check(self, call: Call, own: Sequence[Query], stored: Sequence[Observation], run: Run) -> None:
        """Refuse what cannot be sent, kept or paid, before anything of it is; hold what it costs."""
        requests = math.ceil(len(own) / call.endpoint.batch)
        self._policy.check_sendable(call, own, requests)
        self._policy.store.check_readable([one.id for one in stored])
        self._sender.keep_unkept()
        cost = requests * call.endpoint.credits
        self._policy.check_price(call, cost, run)
        run.reservation.hold(cost, f"{call.name} ({counted(requests, 'request')})")
        run.progress.expect(requests)

    def _send(
        self, own: deque[Query], collection: Collection, results: dict[Query, Observation], run: Run
    ) -> list[Query]:
        """Ask for what nobody else asks for; return what somebody else does. What was not sent stays in `own`."""
        collection.sent = True
        others: list[Query] = []

        def take(delivered: Delivered) -> None:
            for query, got in delivered:
                if isinstance(got, Observation):
                    results[query] = got
                    collection.arrived.add(got.id)
                elif isinstance(got, Elsewhere):
                    others.append(query)
                else:
                    collection.fail(query, got)
            if not all(isinstance(got, Elsewhere) for _, got in delivered):
                run.progress.step(run.reservation.spent)

        endpoint = collection.call.endpoint
        self._sender.send(own, Request(endpoint, ()), run, take, most=endpoint.batch)
        run.reservation.give_back()
        if own and collection.stop is None:
            if self._sender.closed:
                collection.stop = closed()
            elif run.feed.broken:
                collection.stop = broken_feed(collection.failures, len(own))
        return others
