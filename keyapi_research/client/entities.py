"""What is asked by id: served from the store where it can be, packed into the fewest requests where it cannot."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future

from ..endpoints import Ask, Endpoint
from ..errors import KeyAPIError
from ..store import Observation
from .call import Call, Collection, Plan, counted, oldest_of
from .progress import Progress
from .purse import Reservation
from .sending import Delivered, Job, Request, Sender
from .terms import Terms


class Entities:
    """Gets videos, hashtags, sounds and categories; what several threads ask for at once is sent once.

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
        self._flights: dict[Ask, Job] = {}
        self._lock = threading.RLock()

    def plan(self, call: Call) -> Plan:
        """Say what a call would send."""
        stored, missing = self._survey(call, call.asks, None)
        self._terms.check_askable(missing)
        requests = len(_pack(call.endpoint, missing))
        cost = requests * call.endpoint.credits
        return Plan(requests, cost, cost, len(stored), oldest_of(list(stored.values())), call.table.name)

    def _survey(self, call: Call, asks: Sequence[Ask], since: int | None) -> tuple[dict[Ask, Observation], list[Ask]]:
        """Find what the store serves, and what it does not."""
        latest = self._terms.store.latest((ask.key for ask in asks), until=self._terms.until)
        stored = {ask: latest[ask.key] for ask in asks if ask.key in latest}
        stored = {ask: one for ask, one in stored.items() if self._terms.serves(call, one, since)}
        return stored, [ask for ask in asks if ask not in stored]

    def collect(self, collection: Collection, since: int) -> None:
        """Get the answers of a call; answers with ids above `since` came while it was made."""
        call = collection.call
        results: dict[Ask, Observation] = {}
        waiting: Sequence[Ask] = call.asks
        reservation = Reservation(self._terms.purse)
        jobs: dict[Job, Request] = {}
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
                        if self._terms.offline and call.partial:
                            error = self._terms.not_stored(call, own, len(requests))
                            collection.failures.update(dict.fromkeys(own, error))
                            break
                        cost = len(requests) * call.endpoint.credits
                        self._terms.check_sendable(call, own, len(requests))
                        self._terms.store.check_readable([one.id for one in stored.values()])
                        self._terms.check_price(call, cost, reservation.spent)
                        reservation.hold(cost, f"{call.name} ({counted(len(requests), 'request')})")
                        jobs = {Future(): request for request in requests}
                        self._flights.update((ask, job) for job, request in jobs.items() for ask in request.asks)
                if requests:
                    self._send(jobs, collection, reservation, results)
                waiting = self._join(joined, collection, results)
        except KeyAPIError as error:  # a later round was refused: what came before is still the caller's
            if not collection.sent:
                raise
            collection.stop = error
            collection.failures.update(dict.fromkeys((a for a in waiting if a not in results), None))
        finally:
            self._land([job for job in jobs if job.cancel()], jobs)
            reservation.release()
            collection.found = [(ask, results[ask]) for ask in call.asks if ask in results]
            failed = collection.failures
            collection.failures = {ask: failed[ask] for ask in call.asks if ask in failed}

    def _in_flight(self, ask: Ask) -> bool:
        job = self._flights.get(ask)
        return job is not None and not job.cancelled()

    def _land(self, landing: Sequence[Job], jobs: Mapping[Job, Request]) -> None:
        """Take flights off the board: what they bring is stored, or will never come."""
        with self._lock:
            for job in landing:
                for ask in jobs[job].asks:
                    if self._flights.get(ask) is job:
                        del self._flights[ask]

    def _join(self, joined: Mapping[Ask, Job], collection: Collection, results: dict[Ask, Observation]) -> list[Ask]:
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
                collection.fail(ask, got)
            elif collection.stop is None:
                again.append(ask)
            else:
                collection.fail(ask, None)
        return again

    def _send(
        self,
        jobs: Mapping[Job, Request],
        collection: Collection,
        reservation: Reservation,
        results: dict[Ask, Observation],
    ) -> None:
        collection.sent = True
        bar = Progress(collection.call.name, len(jobs), wanted=self._terms.settings.progress)

        def take(delivered: Delivered) -> None:
            for ask, got in delivered:
                if isinstance(got, Observation):
                    results[ask] = got
                    collection.arrived.add(got.id)
                else:
                    collection.fail(ask, got)
            bar.step(reservation.spent)

        try:
            self._sender.send(jobs, reservation, take, landed=lambda job: self._land([job], jobs))
        finally:
            bar.close()


def _pack(endpoint: Endpoint, asks: Sequence[Ask]) -> list[Request]:
    """Pack ids into full requests."""
    return [Request(endpoint, tuple(asks[at : at + endpoint.batch])) for at in range(0, len(asks), endpoint.batch)]
