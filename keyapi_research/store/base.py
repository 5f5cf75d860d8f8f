"""What every store does, whatever holds its rows: answers are added, checked when read, and belong to one source.

An answer, its index and its ledger row are written in one transaction, and nothing is ever updated or deleted but a
claim, what the store knows of itself, and the ledger row that waits for its answer. What a damaged index hides is found
too: answers are counted in two trees of the file, and the store knows how many rows it has.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import astuple, fields
from itertools import islice
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from ..errors import StoreError
from . import bodies
from .facts import (
    LEDGER_COLUMNS,
    OF_THIS_STORE,
    Arrival,
    Begun,
    Claim,
    Observation,
    Outcome,
    Row,
    Totals,
    claim_of,
    compact_json,
    now_us,
    this_process,
)
from .formats import put_row, put_totals
from .sqlite import SQLite

_BATCH: Final = 1000  # answers a reading transaction has at most: who reads for minutes keeps nobody from storing
_MOST_READS: Final = 20  # of a ledger that others write just now, until it adds up
_OUTCOME_KEPT: Final = 600_000_000  # microseconds that others can still learn how a request ended

_OF_OUTCOME: Final = tuple(one.name for one in fields(Outcome))
_OF_REQUEST: Final = ("id", *LEDGER_COLUMNS, *OF_THIS_STORE)
_CREDITS: Final = _OF_REQUEST.index("credits")
_REQUESTS: Final = ", ".join(f"l.{name}" for name in (*_OF_REQUEST, "checksum"))
_ANSWERS: Final = ", ".join(f"a.{name}" for name in (*Observation._fields, "checksum"))
_KEPT: Final = "(SELECT count(*) FROM responses WHERE key >= j.value || '-' AND key < j.value || '.')"
_TOTALS: Final = "SELECT value, checksum FROM keyapi_meta WHERE name = 'totals'"


class Database(Protocol):
    """Where the rows of a store are: a file, or a server."""

    @property
    def read_only(self) -> bool:
        """Whether it is only read."""

    @property
    def closed(self) -> bool:
        """Whether it was closed."""

    @property
    def file(self) -> object:
        """What tells it from others; None where nobody else can open it."""

    def close(self) -> None:
        """Close it."""

    def size(self) -> int:
        """Return how many bytes it has."""

    def check_writable(self) -> None:
        """Refuse to start spending where an answer could not be kept."""

    def check_there(self) -> None:
        """Refuse to go on where what was opened is no longer there."""

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Read rows."""

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """Write all of it or nothing."""


class Store:
    """An open store.

    What cannot be read, or was changed, is a StoreError: never data, and never taken for a missing answer, which would
    be paid for again.

    Parameters
    ----------
    path : str
        Path of the file, links resolved, or ":memory:".
    source : str or None
        Whom its answers come from; None = the first answer says so.
    read_only : bool
        Whether it is only read; then the file must exist.
    """

    def __init__(self, path: str, *, source: str | None, read_only: bool) -> None:
        self.path = path
        self._process = os.getpid()
        self._source: str | None = None
        self._db: Database = SQLite(path, read_only=read_only)
        try:
            if not self.read_only:
                bodies.check_requests_cache()
            self._check_whole()
            known = self._fact("id")
            # A copy of a file has the same id, another process counts for itself.
            file = self._db.file
            self.identity = (self._process, known, file) if known and file else None
            if source is not None:
                self.claim(source)
        except BaseException:
            self.close()
            raise

    @property
    def read_only(self) -> bool:
        """Whether it is only read."""
        return self._db.read_only

    def close(self) -> None:
        """Close it."""
        self._db.close()

    def check_writable(self) -> None:
        """Refuse to start spending where an answer could not be kept."""
        self._db.check_writable()

    @property
    def of_this_process(self) -> bool:
        """Whether it was opened here, not in a process that this one was forked from."""
        return os.getpid() == self._process

    def check_process(self) -> None:
        """Refuse to be used by a fork: two processes on one connection mix up answers and damage the file."""
        if not self.of_this_process:
            raise StoreError(
                "this client was opened in another process, which this one was forked from. Connect in the worker, "
                "with kr.connect(...) or kr.Client(...), and give it its own budgets"
            )

    def _damaged(self, what: str) -> StoreError:
        return StoreError(f"{self.path} is damaged: {what}. Restore a copy; nothing was requested again")

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        self.check_process()
        return self._db.rows(sql, values)

    def _transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        self.check_process()
        return self._db.transaction()

    # What it knows of itself --------------------------------------------------------------------------------

    def _fact(self, name: str) -> str | None:
        rows = self._rows("SELECT value, checksum FROM keyapi_meta WHERE name = ?", (name,))
        return self._checked_fact(name, *rows[0]) if rows else None

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
            raise self._damaged("its totals are gone")
        value, checksum, answers, requests, unanswered, *ids = found[0]
        totals = self._read_totals(value, checksum)
        there = Totals(answers, totals.absences, requests, totals.credits, unanswered)
        if there != totals or ids != [answers, requests]:
            raise self._damaged("it has other rows than it counts; was it copied in the middle of a write?")
        if totals.answers and self._fact("source") is None:
            raise self._damaged("whom its answers come from is gone")

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
            "requests_without_answer": totals.unanswered,
            "bytes": self._db.size(),
        }

    @property
    def source(self) -> str | None:
        """Whom its answers come from; None where nobody knows yet."""
        if self._source is None and not self._db.closed:  # another process may have learned it
            self._source = self._fact("source")
        return self._source

    def claim(self, source: str) -> None:
        """Bind the store to a source: written when first known, compared ever after."""
        if self.source is None and not self.read_only:
            with self._transaction() as db:
                self._bind(db, source)
        if self.source is not None and self.source != source:
            raise self.foreign(source)

    def _bind(self, db: sqlite3.Connection, source: str) -> None:
        known = self._fact("source")
        if known is None:
            put_row(db, "keyapi_meta", ("source", source))
        elif known != source:
            raise self.foreign(source)

    def foreign(self, source: str) -> StoreError:
        """Build the error of answers that come from another source."""
        return StoreError(
            f"the store {self.path} belongs to {self.source!r} and these answers come from {source!r}: "
            "they are never mixed. Give each source a store of its own with store="
        )

    # Reading answers ----------------------------------------------------------------------------------------

    def _in_batches(self, sql: str, keys: Iterable[Any]) -> Iterator[Row]:
        """Read what a list of keys leads to (`json_each(?)`), in transactions of a batch each."""
        left = iter(keys)
        while batch := list(islice(left, _BATCH)):
            yield from self._rows(sql, (compact_json(batch),))

    def _intact(self, row: Sequence[Any]) -> list[Any]:
        """Hold a row against its checksum, which is last."""
        *values, checksum = row
        try:
            sound = checksum == bodies.checksum(values)
        except TypeError:
            sound = False
        if not sound:
            raise self._damaged("a row of its index or ledger was changed")
        return values

    def _observation(self, row: Sequence[Any]) -> Observation:
        one, entity, endpoint, params, at, absent, request, pull, page, rows, fresh, more, *rest = self._intact(row)
        goes_on = None if more is None else bool(more)
        return Observation(
            one, entity, endpoint, params, at, bool(absent), request, pull, page, rows, fresh, goes_on, *rest
        )

    def latest(self, entities: Iterable[str], *, until: int | None = None) -> dict[str, Observation]:
        """Return the newest observation of each entity, not later than a moment.

        The newest is what was stored last, whatever the clock said. The answers' own keys are in another tree of the
        file: where the two disagree, the index is damaged, and nothing is taken for missing and paid again.
        """
        if until is not None:
            histories = self.histories(entities)
            known = {entity: [one for one in found if one.observed_at <= until] for entity, found in histories.items()}
            return {entity: max(found, key=lambda one: one.id) for entity, found in known.items() if found}
        newest: dict[str, Observation] = {}
        for entity, indexed, kept, *row in self._in_batches(
            "SELECT j.value, (SELECT count(DISTINCT id) FROM keyapi_answers WHERE entity = j.value),"
            f" {_KEPT}, {_ANSWERS} FROM json_each(?) j LEFT JOIN keyapi_answers a ON a.id ="
            " (SELECT max(id) FROM keyapi_answers WHERE entity = j.value)",
            entities,
        ):
            if indexed != kept or (kept and row[1] != entity):
                raise self._damaged("its index does not have the answers that are there")
            if kept:
                newest[entity] = self._observation(row)
        return newest

    def histories(self, entities: Iterable[str]) -> dict[str, list[Observation]]:
        """Return all observations of some entities, each entity's oldest first."""
        found: dict[str, dict[int, Observation]] = {}
        expected: dict[str, int] = {}
        for entity, kept, *row in self._in_batches(
            f"SELECT j.value, {_KEPT}, {_ANSWERS} FROM json_each(?) j LEFT JOIN keyapi_answers a ON a.entity = j.value",
            dict.fromkeys(entities),
        ):
            expected[entity] = kept
            if row[0] is not None:
                one = self._observation(row)
                found.setdefault(one.entity, {})[one.id] = one
        if any(len(found.get(entity, ())) != kept for entity, kept in expected.items()):
            raise self._damaged("its index does not have the answers that are there")
        return {
            entity: sorted(found[entity].values(), key=lambda one: (one.observed_at, one.id))
            for entity in expected
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
        for one in sorted(history, key=lambda one: (-one.pull, one.page, one.id)):
            if until is None or one.observed_at <= until:
                pull = pages.setdefault(one.pull, [])
                if one.page == len(pull) + 1:  # two processes may both have paid for a page: the first counts
                    pull.append(one)
        return [pull for pull in pages.values() if pull]

    def observations(self, ids: Iterable[int]) -> list[Observation]:
        """Return observations by their ids, in the order of these."""
        wanted = sorted(set(ids))
        rows = self._in_batches(
            f"SELECT {_ANSWERS} FROM json_each(?) j CROSS JOIN keyapi_answers a ON a.id = j.value ORDER BY a.id", wanted
        )
        found = [self._observation(row) for row in rows]
        if [one.id for one in found] != wanted:
            raise self._damaged("an answer is gone from its index")
        return found

    def check_readable(self, ids: Sequence[int]) -> None:
        """Read stored answers only to know that they can be read, before others are paid for."""
        deque(self.envelopes(ids), maxlen=0)

    def envelopes(self, ids: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Read stored answers, in the order of their ids, without holding them all."""
        for start in range(0, len(ids), _BATCH):
            chunk = ids[start : start + _BATCH]
            rows = self._rows(
                "SELECT a.id, a.body, a.params, r.value FROM json_each(?) j CROSS JOIN keyapi_answers a ON a.id=j.value"
                " LEFT JOIN responses r ON r.key = a.entity || '-' || a.observed_at",
                (compact_json(list(chunk)),),
            )
            there = {one: rest for one, *rest in rows}
            for one in chunk:
                if one not in there:
                    raise self._damaged("an answer is gone from its index")
                yield self._envelope(*there[one])

    def _envelope(self, body: Any, params: Any, value: Any) -> dict[str, Any]:
        try:
            envelope = bodies.read_body(value) if bodies.digest(value) == body else None
        except (AttributeError, TypeError, ValueError, KeyError, RecursionError):
            envelope = None
        if not isinstance(envelope, dict):
            raise self._damaged(f"a stored answer cannot be read ({params!r:.200})")
        return envelope

    # Reading the ledger -------------------------------------------------------------------------------------

    def ledger(self, ids: Iterable[int] | None = None) -> list[Row]:
        """Read ledger rows in the order of sending: id, sent_at, endpoint, params and so on, client, imported."""
        if ids is not None:
            return self._requests(sorted(set(ids)))
        for _ in range(_MOST_READS):
            totals = self.totals()
            rows = self._requests(range(1, totals.requests + 1))
            prices = [row[_CREDITS] for row in rows]
            if (totals.credits, totals.unanswered) == (sum(filter(None, prices)), prices.count(None)):
                return rows
            if totals == self.totals():  # nobody wrote meanwhile
                raise self._damaged("its ledger does not add up")
        return rows

    def _requests(self, ids: Sequence[int]) -> list[Row]:
        rows = self._in_batches(
            f"SELECT {_REQUESTS} FROM json_each(?) j CROSS JOIN keyapi_ledger l ON l.id = j.value ORDER BY l.id", ids
        )
        found = [tuple(self._intact(row)) for row in rows]
        if [row[0] for row in found] != list(ids):
            raise self._damaged("a row is gone from its ledger")
        return found

    def unanswered(self, endpoint: str) -> list[Row]:
        """Read the ledger rows of an endpoint's requests whose cost nobody knows."""
        where = "FROM keyapi_ledger l WHERE l.endpoint = ? AND l.credits IS NULL ORDER BY l.id"
        return [tuple(self._intact(row)) for row in self._rows(f"SELECT {_REQUESTS} {where}", (endpoint,))]

    def claims(self, entities: Iterable[str]) -> dict[str, Claim]:
        """Return what is being requested just now, or was a moment ago."""
        if self.read_only:
            return {}
        rows = self._in_batches(
            "SELECT entity, request, until, done FROM json_each(?) j JOIN keyapi_claims ON entity = j.value", entities
        )
        return {entity: Claim(request, until, bool(done)) for entity, request, until, done in rows}

    # Writing ------------------------------------------------------------------------------------------------

    def begin(
        self,
        offered: Iterator[str],
        *,
        most: int,
        page: int,
        since: tuple[int, int],
        mine: int,
        lasts: float,
        describe: Callable[[list[str]], Mapping[str, str]],
        sent_at: int,
        endpoint: str,
        attempt: int,
    ) -> Begun:
        """Claim what is about to be requested and write the ledger row of its request; in one transaction.

        Of the entities offered as many are claimed, for `lasts` seconds, as are free, up to `most`; of a ranking, their
        `page`. What came after the answer and the request of `since`, the last when the call looked, is not requested
        again. The claims of `mine`, the attempt before this one (0: none), go on. `describe` returns the parameters of
        a request for some entities.
        """
        self.check_writable()
        now = now_us()
        claimed: list[str] = []
        elsewhere: list[str] = []
        with self._transaction() as db:
            for entity in offered:
                free = self._is_free(db, entity, page, since, mine)
                (claimed if free else elsewhere).append(entity)
                if len(claimed) == most:
                    break
            if not claimed:
                return Begun(0, tuple(elsewhere))
            totals = self.totals()
            request = totals.requests + 1
            row = (sent_at, endpoint, compact_json(dict(describe(claimed))), len(claimed), attempt)
            put_row(db, "keyapi_ledger", [request, *row, *([None] * len(_OF_OUTCOME)), this_process(), 0])
            put_totals(db, totals.plus(Totals(requests=1, unanswered=1)))
            db.execute("DELETE FROM keyapi_claims WHERE until < ?", (now,))
            db.executemany(
                "REPLACE INTO keyapi_claims VALUES (?, ?, ?, 0)",
                [(claim_of(entity, page), request, now + int(lasts * 1e6)) for entity in claimed],
            )
        return Begun(request, tuple(elsewhere))

    @staticmethod
    def _is_free(db: sqlite3.Connection, entity: str, page: int, since: tuple[int, int], mine: int) -> bool:
        """Whether nobody requests an entity just now, or did while the caller was about to."""
        answer, request = since
        stored = "SELECT 1 FROM keyapi_answers WHERE entity = ? AND page = ? AND id > ? LIMIT 1"
        if db.execute(stored, (entity, page, answer)).fetchone():
            return False
        found = db.execute(
            "SELECT request, until, done FROM keyapi_claims WHERE entity = ?", (claim_of(entity, page),)
        ).fetchone()
        if found is None or found[0] == mine:
            return True
        one = Claim(found[0], found[1], bool(found[2]))
        return not (one.holds or (one.done and one.request > request))

    def renew(self, requests: Iterable[int], lasts: float) -> None:
        """Extend the claims of requests under way."""
        with self._transaction() as db:
            db.execute(
                "UPDATE keyapi_claims SET until = ? WHERE done = 0 AND request IN (SELECT value FROM json_each(?))",
                (now_us() + int(lasts * 1e6), compact_json(list(requests))),
            )

    def release(self, request: int) -> None:
        """Note that a request is over, however it ended: who waits for it reads that in the ledger."""
        with self._transaction() as db:
            db.execute(
                "UPDATE keyapi_claims SET done = 1, until = ? WHERE request = ?", (now_us() + _OUTCOME_KEPT, request)
            )

    def keep(
        self,
        request: int,
        outcome: Outcome,
        arrivals: Sequence[Arrival],
        *,
        url: str,
        endpoint: str,
        observed_at: int,
        source: str | None,
    ) -> list[Observation]:
        """Store the answers of one request, complete its ledger row and end its claims, all or nothing.

        `source` is whom they come from; None where nothing came.
        """
        with self._transaction() as db:
            if source is not None:
                self._bind(db, source)
            row = db.execute(f"SELECT {_REQUESTS} FROM keyapi_ledger l WHERE l.id = ?", (request,)).fetchone()
            if row is None:
                raise self._damaged("the row of a request under way is gone")
            values = self._intact(row)
            start = _OF_REQUEST.index(_OF_OUTCOME[0])
            ended = slice(start, start + len(_OF_OUTCOME))
            if any(cell is not None for cell in values[ended]):
                return []  # it was kept already, and only then something failed
            values[ended] = astuple(outcome)
            db.execute("DELETE FROM keyapi_ledger WHERE id = ?", (request,))
            put_row(db, "keyapi_ledger", values)
            totals = self.totals()
            kept = [
                self._insert(db, totals.answers + number, request, one, url=url, endpoint=endpoint, at=observed_at)
                for number, one in enumerate(arrivals, start=1)
            ]
            absences = sum(one.absent for one in kept)
            known = outcome.credits is not None
            put_totals(db, totals.plus(Totals(len(kept), absences, 0, outcome.credits or 0, -known)))
            db.executemany(
                "DELETE FROM keyapi_claims WHERE entity = ?", [(claim_of(one.entity, one.page),) for one in kept]
            )
        self._db.check_there()
        return kept

    @staticmethod
    def _insert(
        db: sqlite3.Connection, number: int, request: int, one: Arrival, *, url: str, endpoint: str, at: int
    ) -> Observation:
        there = "SELECT 1 FROM responses WHERE key = ?"
        while db.execute(there, (f"{one.entity}-{at}",)).fetchone():  # a clock that was set back: each has a moment
            at += 1
        same = {name: getattr(one, name) for name in ("entity", "absent", "page", "rows", "fresh", "more", "wanted")}
        pull = 0 if not one.page else request if one.pull is None else one.pull
        params = compact_json(dict(one.params))
        kept = Observation(
            id=number, endpoint=endpoint, params=params, observed_at=at, request=request, pull=pull, **same
        )
        return _write(db, kept, url, one.envelope)

    def restore(
        self, ledger: Iterable[Row], answers: Iterable[tuple[Observation, Mapping[str, Any]]], *, url: str
    ) -> None:
        """Write rows of an archive into this (empty) store."""
        totals = Totals()
        with self._transaction() as db:
            for row in ledger:
                price = row[_CREDITS]
                totals = totals.plus(Totals(requests=1, credits=price or 0, unanswered=price is None))
                put_row(db, "keyapi_ledger", [*row[: len(LEDGER_COLUMNS) + 1], None, 0])
            for one, envelope in answers:
                _write(db, one, f"{url}{one.endpoint}", envelope)
                totals = totals.plus(Totals(answers=1, absences=one.absent))
            put_totals(db, totals)


def _write(db: sqlite3.Connection, one: Observation, url: str, envelope: Mapping[str, Any]) -> Observation:
    """Write an answer and its index."""
    value = bodies.write_body(f"{url}?{urlencode(json.loads(one.params))}", envelope, one.observed_at)
    kept = one._replace(data=bodies.digest_of_data(envelope), body=bodies.digest(value))
    db.execute("INSERT INTO responses (key, value) VALUES (?, ?)", (kept.response, value))
    put_row(db, "keyapi_answers", [int(cell) if isinstance(cell, bool) else cell for cell in kept])
    return kept
