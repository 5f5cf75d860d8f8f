"""A store: answers are added, in one transaction with their index and their ledger row.

Nothing is ever updated or deleted but a claim, the pace on a server, what the store knows of itself, and the ledger row
that waits for its answer.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, Final
from urllib.parse import urlencode

from ..errors import StoreError
from ..settings import is_address
from . import bodies, postgres, sqlite
from .database import Database, Writer
from .facts import (
    Arrival,
    Begun,
    Claim,
    LedgerRow,
    Observation,
    Outcome,
    Totals,
    claim_of,
    compact_json,
)
from .formats import put_fact, put_row, put_rows, put_totals
from .limits import Counted, LimitReader, drop_limit, period_of, put_limit
from .postgres import Postgres
from .sqlite import SQLite

_OUTCOME_KEPT: Final = 600_000_000  # microseconds that others can still learn how a request ended
_MOMENT: Final = 1000  # microseconds within which the same answer about the same entity is one


@dataclass(frozen=True)
class Renumbered:
    """The requests and pulls of another store, and what they are here; and answers here that are known to be there."""

    requests: dict[int, int] = field(default_factory=dict)
    pulls: dict[int, int] = field(default_factory=dict)
    known: set[int] = field(default_factory=set)


class Store(LimitReader):
    """An open store: a file whose links are resolved, ":memory:", or on a server; `source` None: an answer tells it."""

    def __init__(self, path: str, *, source: str | None, read_only: bool) -> None:
        super().__init__(_database(path, read_only=read_only))
        try:
            if not self.read_only:
                bodies.check_requests_cache()
            self._check_whole()
            known = self._fact("id")
            # A copy of a file has the same id, another process counts for itself.
            place = self._db.place
            self.identity = (self._process, known, place) if known and place else None
            if source is not None:
                self.claim(source)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close it."""
        self._db.close()

    def check_writable(self) -> None:
        """Refuse to start spending where an answer could not be kept."""
        self._db.check_writable()

    def _transaction(self) -> contextlib.AbstractContextManager[Writer]:
        self.check_process()
        return self._db.transaction()

    def alone(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Wait until no other program is under this name on the store, and keep others waiting."""
        self.check_process()
        return self._db.alone(name)

    def claim(self, source: str) -> None:
        """Bind the store to a source: written when first known, compared ever after."""
        if self.source is None and not self.read_only:
            with self._transaction() as db:
                self._bind(db, source)
        if self.source is not None and self.source != source:
            raise self.foreign(source)

    def _bind(self, db: Writer, source: str) -> None:
        known = self._fact("source")
        if known is None:
            put_fact(db, "source", source)
        elif known != source:
            raise self.foreign(source)

    def set_limit(self, per: str, credits: int | None) -> None:  # noqa: A002 - the field's word
        """Write the limit of a day or month, with what is used of it by now; None lifts it."""
        self.check_writable()
        with self._transaction() as db:
            drop_limit(db, per)
            if credits is not None:
                now = self.now()
                put_limit(db, self._counted(Counted(per, credits, period_of(now, per)[0]), now))

    def change_fact(self, name: str, change: Callable[[str | None], str]) -> str:
        """Write what the store shall know of itself under a name, made from what it knew; nobody comes in between."""
        self.check_writable()
        with self._transaction() as db:
            value = change(self._fact(name))
            put_fact(db, name, value)
        return value

    # Writing ------------------------------------------------------------------------------------------------

    def begin(
        self,
        offered: Iterator[tuple[str, ...]],
        *,
        most: int,
        page: int,
        since: tuple[int, int],
        mine: int,
        lasts: float,
        describe: Callable[[list[str]], Mapping[str, str]],
        spacing: int,
        endpoint: str,
        price: int,
        attempt: int,
    ) -> Begun:
        """Claim what is about to be requested and write the ledger row of its request; in one transaction.

        Of the units of entities offered as many are claimed, for `lasts` seconds, as are free, up to `most`; of a
        ranking, their `page`. What came after the answer and the request of `since`, the last when the call looked, is
        not requested again. The claims of `mine`, the request before this one (0: none), go on. `describe` returns the
        parameters of a request for some entities. The request may go out now, or later where others keep the same
        pace (`spacing`, in microseconds). Its `price` is counted by the limits of the store; BudgetExceededError
        where one has less left, and nothing is written.
        """
        self.check_writable()
        claimed: list[str] = []
        elsewhere: list[str] = []
        with self._transaction() as db:
            while most and (units := list(islice(offered, most))):
                taken = self._taken([entity for unit in units for entity in unit], page, since, mine)
                for unit in units:
                    free = taken.isdisjoint(unit)
                    (claimed if free else elsewhere).extend(unit)
                    most -= free
            if not claimed:
                return Begun(0, tuple(elsewhere))
            totals = self.totals()
            request = totals.requests + 1
            now = self.now()
            sent_at, wait = self._db.next_send(db, spacing)
            self._reserve(db, request, price, sent_at, f"a request of {endpoint}")
            self._note_price(db, endpoint, price)
            params = compact_json(dict(describe(claimed)))
            row = LedgerRow(request, sent_at, endpoint, params, len(claimed), attempt, client=self.sender)
            put_row(db, "keyapi_ledger", row)
            put_totals(db, totals.plus(Totals(requests=1, unanswered=1)))
            db.execute("DELETE FROM keyapi_claims WHERE until < ?", (self._db.claim_time(),))
            db.execute(
                "INSERT INTO keyapi_claims SELECT j.value, ?, ?, 0 FROM json_each(?) j WHERE 1 = 1 ON CONFLICT (entity)"
                " DO UPDATE SET request = excluded.request, until = excluded.until, done = 0",
                (request, now + int(lasts * 1e6), compact_json([claim_of(entity, page) for entity in claimed])),
            )
        return Begun(request, tuple(elsewhere), wait)

    def _taken(self, entities: Sequence[str], page: int, since: tuple[int, int], mine: int) -> set[str]:
        """Tell which entities somebody requests just now, or did while the caller was about to."""
        answer, request = since
        now = self._db.claim_time()
        found = self._rows(
            "SELECT j.value, EXISTS (SELECT 1 FROM keyapi_answers a WHERE a.entity = j.value AND a.page = ? AND"
            " a.id > ?), c.request, c.until, c.done FROM json_each(?) j LEFT JOIN keyapi_claims c"
            " ON c.entity = j.value || ?",
            (page, answer, compact_json(entities), claim_of("", page)),
        )

        taken: set[str] = set()
        for entity, stored, holder, until, done in found:
            claim = None if holder in (None, mine) else Claim(holder, until, bool(done), now)
            if stored or (claim and (claim.holds or (claim.done and claim.request > request))):
                taken.add(entity)
        return taken

    def renew(self, requests: Iterable[int], lasts: float) -> None:
        """Extend the claims of requests under way."""
        with self._transaction() as db:
            db.execute(
                "UPDATE keyapi_claims SET until = ? WHERE done = 0 AND request IN (SELECT n.value FROM json_each(?) n)",
                (self.now() + int(lasts * 1e6), compact_json(list(requests))),
            )

    def release(self, request: int, *, failed: bool = True) -> None:
        """Note that a request is over: who waits for it reads in the ledger how it failed, or looks again."""
        with self._transaction() as db:
            if failed:
                until = self.now() + _OUTCOME_KEPT
                db.execute("UPDATE keyapi_claims SET done = 1, until = ? WHERE request = ?", (until, request))
            else:
                db.execute("DELETE FROM keyapi_claims WHERE request = ?", (request,))

    def keep(
        self,
        request: int,
        outcome: Outcome,
        arrivals: Sequence[Arrival],
        *,
        url: str,
        endpoint: str,
        price: int,
        observed_at: int,
        source: str | None,
    ) -> list[Observation]:
        """Store the answers of one request, complete its ledger row and end its claims, all or nothing.

        `source` is whom they come from; None where nothing came. `price` is what the limits counted for the request.
        """
        with self._transaction() as db:
            if source is not None:
                self._bind(db, source)
            [begun] = self._requests([request])
            row = begun._replace(**asdict(outcome))
            if begun != begun._replace(**asdict(Outcome())):
                return []  # it was kept already, and only then something failed
            db.execute("DELETE FROM keyapi_ledger WHERE id = ?", (request,))
            put_row(db, "keyapi_ledger", row)
            totals = self.totals()
            moments = self._moments([one.entity for one in arrivals], observed_at)
            new = [
                _observation(one, number, moment, request, endpoint)
                for number, (moment, one) in enumerate(zip(moments, arrivals, strict=True), totals.answers + 1)
            ]
            kept = _write(db, [(seen, url, one.envelope) for seen, one in zip(new, arrivals, strict=True)])
            absences = sum(one.absent for one in kept)
            known = outcome.credits is not None
            put_totals(db, totals.plus(Totals(len(kept), absences, 0, outcome.credits or 0, -known)))
            db.execute(
                "DELETE FROM keyapi_claims WHERE request = ? AND entity IN (SELECT j.value FROM json_each(?) j)",
                (request, compact_json([claim_of(one.entity, one.page) for one in kept])),
            )
            with contextlib.suppress(StoreError):  # a damaged limit stops the next request, but loses no paid answer
                self._settle(db, row, price)
        self._db.check_there()
        return kept

    def _moments(self, entities: Sequence[str], at: int) -> list[int]:
        """Return a moment of each answer that no other about the same entity has: a clock may have been set back."""
        moments = [at] * len(entities)
        late = list(range(len(entities)))
        sql = "SELECT key FROM responses WHERE key IN (SELECT j.value FROM json_each(?) j)"
        while late:
            keys = [f"{entity}-{moment}" for entity, moment in zip(entities, moments, strict=True)]
            taken = {key for (key,) in self._rows(sql, (compact_json(keys),))}
            late = [number for number, key in enumerate(keys) if key in taken or key in keys[:number]]
            for number in late:
                moments[number] += 1
        return moments

    def take_in(
        self,
        answers: Sequence[Observation],
        ledger: Mapping[int, LedgerRow],
        read: Callable[[Sequence[int]], Iterator[Mapping[str, Any]]],
        numbers: Renumbered,
        *,
        url: str,
        source: str,
    ) -> Totals:
        """Store answers of another store that are not here yet, and the rows of their requests, all or nothing.

        `ledger` has those rows by their ids, and `read` reads answers, there. The same answer about the same entity at
        the same moment is here already; one that had to move, because another came at its moment, is known again.
        `numbers` is completed.
        """
        self.check_writable()
        with self._transaction() as db:
            self._bind(db, source)
            new = self._not_here(answers, numbers)
            totals, added = self.totals(), Totals()
            taken: list[tuple[Observation, str, Mapping[str, Any]]] = []
            for one, envelope in zip(new, read([one.id for one in new]), strict=True):
                if one.request not in numbers.requests:
                    row = ledger[one.request]
                    added = added.plus(_totals_of(row))
                    added = added._replace(imported=added.credits)
                    numbers.requests[one.request] = totals.requests + added.requests
                    put_row(db, "keyapi_ledger", row._replace(id=numbers.requests[one.request], imported=1))
                added = added.plus(Totals(answers=1, absences=one.absent))
                request = numbers.requests[one.request]
                pull = numbers.pulls.setdefault(one.pull, request) if one.page else 0
                kept = one._replace(id=totals.answers + added.answers, request=request, pull=pull)
                taken.append((kept, f"{url}{one.endpoint}", envelope))
            _write(db, taken)
            if new:
                put_totals(db, totals.plus(added))
        self._db.check_there()
        return added

    def _not_here(self, answers: Sequence[Observation], numbers: Renumbered) -> list[Observation]:
        """Return the answers of another store that are not here, and number the requests of the others."""
        here = self.histories({one.entity for one in answers})
        taken = {(one.entity, one.observed_at) for history in here.values() for one in history}
        new = []
        for one in answers:

            def away(each: Observation, at: int = one.observed_at) -> int:
                return abs(each.observed_at - at)

            same = [
                each
                for each in here.get(one.entity, ())
                if away(each) < _MOMENT and (each.data, each.page) == (one.data, one.page)
            ]
            # Each of those here is one of those there, the nearest first: the same may have been answered twice.
            known = min((each for each in same if each.id not in numbers.known), key=away, default=None)
            if known is None:
                at = one.observed_at
                while (one.entity, at) in taken:  # another answer of the same moment
                    at += 1
                taken.add((one.entity, at))
                new.append(one._replace(observed_at=at))
            else:
                numbers.known.add(known.id)
                numbers.requests.setdefault(one.request, known.request)
                numbers.pulls.setdefault(one.pull, known.pull)
        return new

    def restore(
        self, ledger: Iterable[LedgerRow], answers: Iterable[tuple[Observation, Mapping[str, Any]]], *, url: str
    ) -> None:
        """Write rows of an archive into this (empty) store."""
        totals = Totals()
        with self._transaction() as db:
            for row in ledger:
                totals = totals.plus(_totals_of(row))
                put_row(db, "keyapi_ledger", row)
            for one, envelope in answers:
                _write(db, [(one, f"{url}{one.endpoint}", envelope)])
                totals = totals.plus(Totals(answers=1, absences=one.absent))
            put_totals(db, totals)


def is_there(path: str) -> bool:
    """Whether there is a store at a path, or on a server, that can be read."""
    return postgres.is_there(path) if is_address(path) else sqlite.is_there(path)


def _database(path: str, *, read_only: bool) -> Database:
    return (Postgres if is_address(path) else SQLite)(path, read_only=read_only)


def _totals_of(row: LedgerRow) -> Totals:
    return Totals(requests=1, credits=row.credits or 0, unanswered=row.credits is None)


def _observation(one: Arrival, number: int, moment: int, request: int, endpoint: str) -> Observation:
    """Return an answer that is about to be stored as it will be known."""
    same = {name: getattr(one, name) for name in ("entity", "absent", "page", "rows", "fresh", "more", "wanted")}
    return Observation(
        id=number,
        endpoint=endpoint,
        params=compact_json(dict(one.params)),
        observed_at=moment,
        request=request,
        pull=0 if not one.page else request if one.pull is None else one.pull,
        **same,
    )


def _write(db: Writer, answers: Sequence[tuple[Observation, str, Mapping[str, Any]]]) -> list[Observation]:
    """Write answers, each with its URL and what it says, and their index."""
    written = [
        (one, envelope, bodies.write_body(f"{url}?{urlencode(json.loads(one.params))}", envelope, one.observed_at))
        for one, url, envelope in answers
    ]
    kept = [
        one._replace(data=bodies.digest_of_data(envelope), body=bodies.digest(body.encode()))
        for one, envelope, body in written
    ]
    if kept:
        values = [(one.response, body) for one, (*_, body) in zip(kept, written, strict=True)]
        db.executemany("INSERT INTO responses (key, value) VALUES (?, ?)", values)
        rows = [[int(cell) if isinstance(cell, bool) else cell for cell in one] for one in kept]
        put_rows(db, "keyapi_answers", rows)
    return kept
