"""What a store is read by: every row is held against its checksum, and the index against the answers' own keys.

What a damaged index hides is found, too: answers are counted in two tables, and the store knows how many rows it has.
"""

from __future__ import annotations

import contextlib
import json
import os
from array import array
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, Final

from ..errors import StoreError
from . import bodies
from .database import Database
from .facts import Claim, LedgerRow, Observation, Row, Totals, compact_json, this_process

_BATCH: Final = 1000  # keys a reading transaction begins with: who reads for minutes keeps nobody from storing
_MOST_READS: Final = 20  # of a ledger that others write just now, until it adds up
_LAST: Final = 2**63 - 1
_HIDDEN: Final = "its index does not match its answers"

_ABSENT, _MORE = Observation._fields.index("absent"), Observation._fields.index("more")
SELECTED: Final = ", ".join(f"l.{name}" for name in (*LedgerRow._fields, "checksum"))
_ANSWERS: Final = ", ".join(f"a.{name}" for name in (*Observation._fields, "checksum"))
_KEPT: Final = "(SELECT count(*) FROM responses WHERE key >= j.value || '-' AND key < j.value || '.')"
_TOTALS: Final = "SELECT value, checksum FROM keyapi_meta WHERE name = 'totals'"


def in_order(stored: Iterable[Observation], imported: Collection[int]) -> list[Observation]:
    """Put observations, given in the order of storing, in the order of observing.

    A client's own stay as they are, whatever the clock said; what requests of another store brought has its place by
    its moment.
    """
    ordered: list[Observation] = []
    for one in stored:
        place = len(ordered)
        while one.request in imported and place and ordered[place - 1].observed_at > one.observed_at:
            place -= 1
        ordered.insert(place, one)
    return ordered


class Reader:
    """An open store, read.

    What cannot be read, or was changed, is a StoreError: never data, and never taken for a missing answer, which would
    be paid for again.
    """

    def __init__(self, database: Database) -> None:
        self.path = database.path
        self._db = database
        self._process = os.getpid()
        self.sender = this_process()  # whom the ledger names for requests from here
        self._source: str | None = None

    @property
    def read_only(self) -> bool:
        """Whether it is only read."""
        return self._db.read_only

    @property
    def of_this_process(self) -> bool:
        """Whether it was opened here, not in a process that this one was forked from."""
        return os.getpid() == self._process

    def check_process(self) -> None:
        """Refuse to be used by a fork: two processes on one connection mix up answers and damage the store."""
        if not self.of_this_process:
            raise StoreError(
                "this client was opened in the parent process and cannot be used after a fork. Connect in the worker "
                "with kr.connect(...) or kr.Client(...), and open its own budgets there"
            )

    def now(self) -> int:
        """Return the time that all who share the store go by, in microseconds since 1970."""
        self.check_process()
        return self._db.now()

    def _damaged(self, what: str) -> StoreError:
        return StoreError(f"{self.path} is damaged: {what}. Nothing was requested again; restore a copy")

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        self.check_process()
        return self._db.rows(sql, values)

    # What it knows of itself --------------------------------------------------------------------------------

    def _fact(self, name: str) -> str | None:
        rows = self._rows("SELECT value, checksum FROM keyapi_meta WHERE name = ?", (name,))
        return self._checked_fact(name, *rows[0]) if rows else None

    def facts(self, beginning: str) -> dict[str, str]:
        """Return what the store knows of itself under the names that begin so."""
        sql = "SELECT name, value, checksum FROM keyapi_meta WHERE substr(name, 1, ?) = ? ORDER BY name"
        return {name: self._checked_fact(name, *rest) for name, *rest in self._rows(sql, (len(beginning), beginning))}

    def _checked_fact(self, name: str, value: Any, checksum: Any) -> str:
        if type(value) is not str or checksum != bodies.checksum((name, value)):
            raise self._damaged(f"its {name} was changed")
        return value

    def _read_totals(self, value: Any, checksum: Any) -> Totals:
        return Totals(*json.loads(self._checked_fact("totals", value, checksum)))

    def _check_whole(self) -> None:
        """Refuse a store of which a part is missing, as where it was copied in the middle of a write."""
        counted = ("keyapi_answers", "keyapi_ledger", "keyapi_ledger WHERE credits IS NULL")
        counts = ", ".join(f"(SELECT count(*) FROM {what})" for what in counted)
        last = ", ".join(f"(SELECT coalesce(max(id), 0) FROM {what})" for what in counted[:2])
        found = self._rows(f"SELECT value, checksum, {counts}, {last} FROM keyapi_meta WHERE name = 'totals'")
        if not found:
            raise self._damaged("its totals are missing")
        value, checksum, answers, requests, unanswered, *ids = found[0]
        totals = self._read_totals(value, checksum)
        there = totals._replace(answers=answers, requests=requests, unanswered=unanswered)
        if there != totals or ids != [answers, requests]:
            raise self._damaged("its rows do not match its counts, perhaps because it was copied during a write")
        if totals.answers and self._fact("source") is None:
            raise self._damaged("the source of its answers is missing")

    def totals(self) -> Totals:
        """Return how many answers, absences, requests and credits there are, as they were counted one by one."""
        return self._read_totals(*self._rows(_TOTALS)[0])

    def last_ids(self) -> tuple[int, int]:
        """Return the ids of the last answer and request; later ones have higher ids, whatever the clock says."""
        totals = self.totals()
        return totals.answers, totals.requests

    def counts(self) -> dict[str, int]:
        """Return how many answers, absences, requests, credits and bytes there are."""
        totals = self.totals()
        return {
            "answers": totals.answers - totals.absences,
            "absences": totals.absences,
            "requests": totals.requests,
            "credits": totals.credits,
            "credits_imported": totals.imported,
            "requests_without_answer": totals.unanswered,
            "bytes": self._db.size(),
        }

    @property
    def id(self) -> str:
        """What names this store; a copy of it has the same."""
        return self._fact("id") or ""

    @property
    def source(self) -> str | None:
        """Whom its answers come from; None where nobody knows yet."""
        if self._source is None and not self._db.closed:  # another process may have learned it
            self._source = self._fact("source")
        return self._source

    def foreign(self, source: str) -> StoreError:
        """Build the error of answers that come from another source."""
        return StoreError(
            f"the store {self.path} belongs to {self.source!r}, but these answers come from {source!r}. "
            "A store has one source: choose another with store="
        )

    # Reading answers ----------------------------------------------------------------------------------------

    def _batches(self, sql: str, keys: Iterable[Any]) -> Iterator[list[Row]]:
        """Read what a list of keys leads to (`json_each(?)`), in transactions of a batch each."""
        left = iter(keys)
        while batch := list(islice(left, _BATCH)):
            yield self._rows(sql, (compact_json(batch),))

    def _intact(self, rows: Sequence[Row], cells: int) -> list[Row]:
        """Return so many values of each row, held against the checksum that is next."""
        values = [row[:cells] for row in rows]
        try:
            sound = all(map(bodies.is_sound, values, (row[cells] for row in rows)))
        except (TypeError, ValueError):
            sound = False
        if not sound:
            raise self._damaged("a row of its index or ledger was changed")
        return values

    def _observations(self, rows: Sequence[Row]) -> list[Observation]:
        found = []
        for one in map(list, self._intact(rows, len(Observation._fields))):
            one[_ABSENT] = bool(one[_ABSENT])
            one[_MORE] = None if one[_MORE] is None else bool(one[_MORE])
            found.append(Observation._make(one))
        return found

    def latest(self, entities: Iterable[str], *, until: int | None = None) -> dict[str, Observation]:
        """Return the newest observation of each entity, not later than a moment.

        The newest is what was stored last, whatever the clock said; of what was imported, see `newest_of`. The answers'
        own keys are in another table: where the two disagree, the index is damaged, and nothing is taken for
        missing and paid again.
        """
        if until is not None:
            histories = self.histories(entities)
            known = {entity: [one for one in found if one.observed_at <= until] for entity, found in histories.items()}
            return self.newest_of(known)
        newest: dict[str, Observation] = {}
        imported: list[str] = []
        for rows in self._batches(
            f"SELECT {_ANSWERS}, (SELECT imported FROM keyapi_ledger WHERE id = a.request), a.entity = j.value,"
            " (SELECT count(DISTINCT id) FROM keyapi_answers"
            f" WHERE entity = j.value), {_KEPT} FROM json_each(?) j LEFT JOIN keyapi_answers a ON a.id ="
            " (SELECT max(id) FROM keyapi_answers WHERE entity = j.value)",
            sorted(set(entities)),  # as they are stored
        ):
            # The last three: whether the row is this entity's, how many rows the index has, how many answers there are.
            if any(row[-2] != row[-1] or (row[-1] and not row[-3]) for row in rows):
                raise self._damaged(_HIDDEN)
            found = [row for row in rows if row[-1]]
            there = self._observations(found)
            newest |= {one.entity: one for one in there}
            imported += [one.entity for one, row in zip(there, found, strict=True) if row[-4] and row[-1] > 1]
        return newest | (self.newest_of(self.histories(imported)) if imported else {})

    def imported(self, requests: Iterable[int]) -> set[int]:
        """Tell which of some requests came with another store."""
        sql = "SELECT l.id FROM json_each(?) n CROSS JOIN keyapi_ledger l ON l.id = n.value WHERE l.imported = 1"
        return {one for rows in self._batches(sql, sorted(set(requests))) for (one,) in rows}

    def came_after(self, one: Observation, row: LedgerRow) -> bool:
        """Tell whether an answer came after a request of the ledger was sent; if one was imported, by their moments."""
        if self.imported([one.request, row.id]):
            return one.observed_at >= row.sent_at
        return one.request >= row.id

    def came_since(self, newest: Observation, answer: int) -> bool:
        """Tell whether the newest answer came after another one; what was only imported since may be old."""
        if newest.id <= answer:
            return False
        sql = (
            "SELECT 1 FROM keyapi_answers a JOIN keyapi_ledger l ON l.id = a.request"
            " WHERE a.entity = ? AND a.page = ? AND a.id > ? AND l.imported = 0 LIMIT 1"
        )
        return bool(self._rows(sql, (newest.entity, newest.page, answer)))

    def newest_of(self, histories: Mapping[str, Sequence[Observation]]) -> dict[str, Observation]:
        """Return the newest of some observations of each entity: stored last, and not an imported one that is older."""
        imported = self.imported(one.request for history in histories.values() for one in history)
        return {
            entity: in_order(sorted(history, key=attrgetter("id")), imported)[-1]
            for entity, history in histories.items()
            if history
        }

    def histories(self, entities: Iterable[str]) -> dict[str, list[Observation]]:
        """Return all observations of some entities, each entity's oldest first."""
        asked = list(dict.fromkeys(entities))
        found: dict[str, dict[int, Observation]] = {}
        kept: dict[str, int] = {}
        for rows in self._batches(
            f"WITH j AS MATERIALIZED (SELECT j.value, {_KEPT} AS kept FROM json_each(?) j)"
            f" SELECT j.value, j.kept, {_ANSWERS} FROM j LEFT JOIN keyapi_answers a ON a.entity = j.value",
            asked,
        ):
            kept.update(row[:2] for row in rows)
            for one in self._observations([row[2:] for row in rows if row[2] is not None]):
                found.setdefault(one.entity, {})[one.id] = one
        if any(len(found.get(entity, ())) != number for entity, number in kept.items()):
            raise self._damaged(_HIDDEN)
        return {
            entity: sorted(found[entity].values(), key=lambda one: (one.observed_at, one.id))
            for entity in asked
            if entity in found
        }

    def exactly(self, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Observation]:
        """Return the observations of some entities at exact moments."""
        moments = set(wanted)
        histories = self.histories(sorted({entity for entity, _ in moments}))
        found = {(one.entity, one.observed_at): one for history in histories.values() for one in history}
        return {key: one for key, one in found.items() if key in moments}

    def pulls(self, entity: str, *, until: int | None = None) -> list[list[Observation]]:
        """Return the pulls of a ranking, newest first, each the pages in order."""
        pages: dict[int, list[Observation]] = {}
        history = self.histories([entity]).get(entity, [])
        for one in sorted(history, key=attrgetter("pull", "page", "id")):
            if until is None or one.observed_at <= until:
                pull = pages.setdefault(one.pull, [])
                if one.page == len(pull) + 1:  # two processes may both have paid for a page: the first counts
                    pull.append(one)
        first = [pull[0] for pull in pages.values() if pull]
        oldest_first = in_order(first, self.imported(one.request for one in first))
        return [pages[one.pull] for one in reversed(oldest_first)]

    def observations(self, ids: Iterable[int]) -> list[Observation]:
        """Return observations by their ids, in the order of these."""
        wanted = sorted(set(ids))
        sql = f"SELECT {_ANSWERS} FROM json_each(?) n CROSS JOIN keyapi_answers a ON a.id = n.value ORDER BY a.id"
        found = [one for rows in self._batches(sql, wanted) for one in self._observations(rows)]
        if [one.id for one in found] != wanted:
            raise self._damaged("an answer is missing from its index")
        return found

    def paths(self) -> list[str]:
        """List the endpoints whose answers are stored."""
        return [path for (path,) in self._rows("SELECT DISTINCT endpoint FROM keyapi_answers ORDER BY 1")]

    def entities(
        self, endpoint: str, *, after: int = 0, upto: int | None = None, until: int | None = None
    ) -> array[int]:
        """Return the id of an answer about each entity of an endpoint, the one that was observed last at the end.

        Only answers after one and up to another count, and not later than a moment.
        """
        sql = (
            "SELECT min(id) FROM keyapi_answers WHERE endpoint = ? AND id > ? AND id <= ? AND observed_at <= ?"
            " GROUP BY entity ORDER BY max(observed_at), entity"
        )
        ends = (_LAST if one is None else one for one in (upto, until))
        return array("q", (one for (one,) in self._rows(sql, (endpoint, after, *ends))))

    def shapes(self, *, until: int | None = None) -> list[Row]:
        """Count what is there, by endpoint and names of parameters: a sample's id, entities, observations, first, last.

        The pages of a pull are one observation.
        """
        return self._rows(
            "SELECT min(id), count(DISTINCT entity), count(DISTINCT CASE WHEN page > 0 THEN pull ELSE -id END),"
            " min(observed_at), max(observed_at) FROM keyapi_answers WHERE absent = 0 AND observed_at <= ? GROUP BY"
            " endpoint, page > 0, (SELECT group_concat(key) FROM json_each(params)) ORDER BY endpoint",
            (_LAST if until is None else until,),
        )

    def check_readable(self, ids: Sequence[int]) -> None:
        """Read stored answers only to know that they can be read, before others are paid for."""
        deque(self.envelopes(ids), maxlen=0)

    def envelopes(self, ids: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Read stored answers, in the order of their ids, without holding them all."""
        for start in range(0, len(ids), _BATCH):
            chunk = ids[start : start + _BATCH]
            rows = self._rows(
                "SELECT a.id, a.body, a.params, CAST(r.value AS BLOB) FROM json_each(?) n CROSS JOIN keyapi_answers a"
                " ON a.id = n.value LEFT JOIN responses r ON r.key = a.entity || '-' || a.observed_at",
                (compact_json(list(chunk)),),
            )
            there = {one: rest for one, *rest in rows}
            if len(there) != len(set(chunk)):
                raise self._damaged("an answer is missing from its index")
            yield from (self._envelope(*there[one]) for one in chunk)

    def _envelope(self, digest: str, params: str, body: bytes | str | None) -> dict[str, Any]:
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):  # a body may be anything
            body = body.encode() if isinstance(body, str) else body
            if body is not None and bodies.digest(body) == digest:
                return bodies.read_body(body)
        raise self._damaged(f"a stored answer cannot be read ({params!r:.200})")

    # Reading the ledger -------------------------------------------------------------------------------------

    def ledger(self, ids: Iterable[int] | None = None) -> list[LedgerRow]:
        """Read ledger rows in the order of recording."""
        if ids is not None:
            return self._requests(sorted(set(ids)))
        for _ in range(_MOST_READS):
            totals = self.totals()
            rows = self._requests(range(1, totals.requests + 1))
            prices = [row.credits for row in rows]
            if (totals.credits, totals.unanswered) == (sum(filter(None, prices)), prices.count(None)):
                return rows
            if totals == self.totals():  # nobody wrote meanwhile
                raise self._damaged("the credits in its ledger do not match its totals")
        return rows

    def _ledger_rows(self, rows: Sequence[Row]) -> list[LedgerRow]:
        return list(map(LedgerRow._make, self._intact(rows, len(LedgerRow._fields))))

    def _requests(self, ids: Sequence[int]) -> list[LedgerRow]:
        sql = f"SELECT {SELECTED} FROM json_each(?) n CROSS JOIN keyapi_ledger l ON l.id = n.value ORDER BY l.id"
        found = [row for rows in self._batches(sql, ids) for row in self._ledger_rows(rows)]
        if [row.id for row in found] != list(ids):
            raise self._damaged("a row is missing from its ledger")
        return found

    def same_data(self, some: Sequence[Observation]) -> dict[str, list[tuple[str, str, int]]]:
        """Return, by checksum, the answers of the same endpoints with the same data: entity, parameters, page."""
        found: dict[str, list[tuple[str, str, int]]] = {}
        each = "SELECT j.value FROM json_each(?) j"  # a join would read it anew for every answer
        sql = f"SELECT endpoint, data, entity, params, page FROM keyapi_answers WHERE data IN ({each})"
        of = {(one.endpoint, one.data) for one in some}
        for rows in self._batches(sql, {one.data for one in some}):
            for endpoint, data, *rest in rows:
                if (endpoint, data) in of:
                    found.setdefault(data, []).append(tuple(rest))
        return found

    def unanswered(self, endpoint: str) -> list[LedgerRow]:
        """Read the ledger rows of an endpoint's requests whose cost nobody knows."""
        where = "FROM keyapi_ledger l WHERE l.endpoint = ? AND l.credits IS NULL ORDER BY l.id"
        return self._ledger_rows(self._rows(f"SELECT {SELECTED} {where}", (endpoint,)))

    def pending(self, *, since: int) -> list[LedgerRow]:
        """Read the ledger rows of requests sent since a moment that nothing is known about yet."""
        where = "FROM keyapi_ledger l WHERE l.credits IS NULL AND l.http_status IS NULL AND l.message IS NULL"
        return self._ledger_rows(self._rows(f"SELECT {SELECTED} {where} AND l.sent_at >= ? ORDER BY l.id", (since,)))

    def sent(self, endpoint: str, params: Mapping[str, str]) -> list[LedgerRow]:
        """Read the ledger rows of one request, in the order of recording: it may have been sent several times."""
        where = "FROM keyapi_ledger l WHERE l.endpoint = ? AND l.params = ? ORDER BY l.id"
        return self._ledger_rows(self._rows(f"SELECT {SELECTED} {where}", (endpoint, compact_json(dict(params)))))

    def claims(self, entities: Iterable[str]) -> dict[str, Claim]:
        """Return what is being requested just now, or was a moment ago."""
        if self.read_only:
            return {}
        sql = "SELECT entity, request, until, done FROM json_each(?) j JOIN keyapi_claims ON entity = j.value"
        found = [row for rows in self._batches(sql, entities) for row in rows]
        now = self._db.claim_time() if found else 0
        return {entity: Claim(request, until, bool(done), now) for entity, request, until, done in found}
