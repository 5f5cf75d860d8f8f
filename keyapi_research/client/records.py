"""What the calls of this session read, each once: what `freeze` needs."""

from __future__ import annotations

import json
import threading
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from ..model import Endpoint, Table
from ..queries import Query, read_query
from ..store import Observation
from .call import Collection


@dataclass(frozen=True, slots=True)
class CallRecord:
    """What one call requested and read; small, for a session has many.

    `ids` has the answer of each query, in order, 0 where that failed; of a ranking those of its pages. `today` is the
    day that its dates are relative to, if they are.
    """

    table: Table
    endpoint: Endpoint
    limit: int | None
    partial: bool
    ids: bytes
    failed: tuple[Query, ...]
    today: date | None

    @property
    def read(self) -> tuple[int, ...]:
        """Ids of the answers it read."""
        return tuple(one for one in array("q", self.ids) if one)

    def queries(self, observations: Mapping[int, Observation]) -> tuple[Query, ...]:
        """Return its queries, in order; the answers know those that did not fail."""
        failed = iter(self.failed)
        read = (observations[one] if one else None for one in array("q", self.ids))
        sent = (one and json.loads(one.params) for one in read)
        queries = [next(failed) if one is None else read_query(self.endpoint, one) for one in sent]
        return tuple(dict.fromkeys([*queries, *failed]))


class Records:
    """What was read from one store in this process, by whatever client."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[CallRecord, None] = {}
        self._read: set[int] = set()

    def note_call(self, collection: Collection) -> None:
        """Remember what a call read, and what it did not get."""
        call = collection.call
        if call.probing and not collection.answers:
            return
        found = {one.query: one.observation.id for one in collection.answers}
        ids = [found.get(query, 0) for query in call.queries]
        if call.endpoint.ranking:
            ids = [one.observation.id for one in collection.answers]
        failed = tuple(query for query in call.queries if query in collection.failures)
        read = array("q", ids).tobytes()
        record = CallRecord(call.table, call.endpoint, call.limit, call.partial, read, failed, call.today)
        with self._lock:
            self._calls.pop(record, None)  # the same again is the last again: what failed may have been fetched since
            self._calls[record] = None

    def note_read(self, observations: Iterable[Observation]) -> None:
        """Remember what a free method read."""
        with self._lock:
            self._read.update(one.id for one in observations)

    @property
    def calls(self) -> Sequence[CallRecord]:
        """The calls, each once, in the order they were last made."""
        with self._lock:
            return list(self._calls)

    @property
    def read(self) -> set[int]:
        """Ids of all answers that were read."""
        with self._lock:
            return self._read.union(*(call.read for call in self._calls))
