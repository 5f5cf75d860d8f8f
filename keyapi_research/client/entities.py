"""What is asked by id: served from the store where it can be, packed into the fewest requests where it cannot."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from ..endpoints import Ask
from ..errors import KeyAPIError
from ..store import Observation
from .call import Call, Collection, Plan, counted, oldest_of
from .sending import Delivered, Elsewhere, Request, Run, Sender, broken_feed, closed
from .terms import Terms


class Entities:
    """Gets videos, hashtags, sounds and categories; what several clients ask for at once is sent once.

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
        stored, missing = self._survey(call, call.asks, None)
        self._terms.check_askable(missing)
        requests = math.ceil(len(missing) / call.endpoint.batch)
        cost = requests * call.endpoint.credits
        note = self._terms.unanswered_note(call, missing)
        return Plan(requests, cost, cost, len(stored), oldest_of(list(stored.values())), call.table.name, note)

    def _survey(
        self, call: Call, asks: Sequence[Ask], since: int | None
    ) -> tuple[dict[Ask, Observation], list[Ask]]:
        """Find what the store serves, and what it does not."""
        latest = self._terms.store.latest((ask.key for ask in asks), until=self._terms.until)
        stored = {ask: latest[ask.key] for ask in asks if ask.key in latest}
        stored = {ask: one for ask, one in stored.items() if self._terms.serves(call, one, since)}
        return stored, [ask for ask in asks if ask not in stored]

    def collect(self, collection: Collection, run: Run) -> None:
        """Get the answers of a call."""
        call = collection.call
        results: dict[Ask, Observation] = {}
        waiting: Sequence[Ask] = call.asks
        try:
            while waiting and not run.stop.is_set():
                stored, missing = self._survey(call, waiting, run.since[0])
                results.update(stored)
                if not missing:
                    break
                if self._terms.offline and call.partial:
                    lacks = self._terms.not_stored(call, missing, math.ceil(len(missing) / call.endpoint.batch))
                    collection.failures.update(dict.fromkeys(missing, lacks))
                    break
                claims = self._terms.store.claims(ask.key for ask in missing)
                taken = {key for key, claim in claims.items() if claim.holds}
                others = [ask for ask in missing if ask.key in taken]
                own = deque(ask for ask in missing if ask.key not in taken)
                if own:
                    self._check(call, own, list(stored.values()), run)
                    others += self._send(own, collection, results, run)
                if own or collection.stop is not None:
                    break
                failed = self._sender.wait_for_others(others, 0, run)
                for ask, error in failed.items():
                    collection.fail(ask, error)
                waiting = [ask for ask in others if ask not in failed]
        except KeyAPIError as error:  # a later round was refused: what came before is still the caller's
            if not collection.sent:
                raise
            collection.stop = error
        finally:
            run.reservation.release()
            collection.found = [(ask, results[ask]) for ask in call.asks if ask in results]
            failures = collection.failures
            collection.failures = {ask: failures.get(ask) for ask in call.asks if ask not in results}

    def _check(self, call: Call, own: Sequence[Ask], stored: Sequence[Observation], run: Run) -> None:
        """Refuse what cannot be sent, kept or paid, before anything of it is; hold what it costs."""
        requests = math.ceil(len(own) / call.endpoint.batch)
        self._terms.check_sendable(call, own, requests)
        self._terms.store.check_readable([one.id for one in stored])
        self._sender.keep_unkept()
        cost = requests * call.endpoint.credits
        self._terms.check_price(call, cost, run)
        run.reservation.hold(cost, f"{call.name} ({counted(requests, 'request')})")
        run.progress.expect(requests)

    def _send(
        self, own: deque[Ask], collection: Collection, results: dict[Ask, Observation], run: Run
    ) -> list[Ask]:
        """Ask for what nobody else asks for; return what somebody else does. What was not sent stays in `own`."""
        collection.sent = True
        others: list[Ask] = []

        def take(delivered: Delivered) -> None:
            for ask, got in delivered:
                if isinstance(got, Observation):
                    results[ask] = got
                    collection.arrived.add(got.id)
                elif isinstance(got, Elsewhere):
                    others.append(ask)
                else:
                    collection.fail(ask, got)
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
