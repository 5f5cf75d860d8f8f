"""The policy of a client: what the store may serve, what may be sent, what a call may cost."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Final

from ..arguments import month_after
from ..envelope import Envelope, Found, match
from ..errors import MOST_NAMED, InvalidArgumentError, NotStoredError, UnexpectedResponseError, listed
from ..model import Endpoint, Series, endpoints
from ..periods import MOST_DAYS
from ..queries import Query
from ..settings import KEYAPI, SANDBOX, SANDBOX_TODAY, Settings, shown_path, source_of
from ..store import Observation, Store, claim_of, microseconds_of, now_us, when
from .call import Call, counted, failures_frame, named, priced
from .delivery import Run

DAY: Final = timedelta(days=1)
_LEAVE_OUT: Final = (
    "has the token in it, which would be stored and shown. Leave it out: it goes into a header by itself"
)
_CLOCKS_DIFFER: Final = timedelta(minutes=5)
_EVER: Final = timedelta.max


def _is_sandbox_here(base_url: str) -> bool:
    """Whether a sandbox of this very process answers at an address: before its first answer nobody else knows."""
    module = sys.modules.get("keyapi_research.sandbox")
    return module is not None and module.runs_at(base_url)


def is_within(moment: int, length: timedelta) -> bool:
    """Whether a moment is not longer ago; one that is still to come was stamped by a clock that was wrong."""
    return -_CLOCKS_DIFFER <= timedelta(microseconds=now_us() - moment) <= length


@dataclass(frozen=True)
class Policy:
    """The settings of a client and the store it reads; `replaying` is the path of the archive, if one is replayed."""

    settings: Settings
    store: Store
    replaying: str = ""

    @property
    def offline(self) -> bool:
        """Whether nothing is ever sent."""
        return self.settings.offline

    @cached_property
    def until(self) -> int | None:
        """Latest moment that is read (`as_of`), in microseconds since 1970; None: no limit."""
        moment = self.settings.as_of
        return None if moment is None else microseconds_of(moment)

    @property
    def source(self) -> str:
        """Whom the answers come from."""
        return self.store.source or source_of(self.settings.base_url)

    @property
    def synthetic(self) -> bool:
        """Whether the answers come from the sandbox."""
        return self.store.source == SANDBOX

    @property
    def pays(self) -> bool:
        """Whether what it fetches is surely paid for."""
        sandbox = self.settings.sandbox or self.synthetic or _is_sandbox_here(self.settings.base_url)
        return not (self.offline or sandbox) and (self.store.source is not None or self.source == KEYAPI)

    @property
    def place(self) -> str:
        """What is read, as a reader of a notebook may know it."""
        if self.replaying:
            return f"the archive {shown_path(self.replaying)}"
        return f"the store {shown_path(self.settings.store)}"

    @property
    def mode(self) -> str:
        """How what is read comes: online, offline, as of a moment, or from an archive."""
        if self.replaying:
            return f"replay of {shown_path(self.replaying)}"
        if self.settings.as_of is not None:
            return f"offline, as of {self.settings.as_of:%Y-%m-%d %H:%M} UTC"
        return "offline" if self.offline else "online"

    def serves(self, call: Call, query: Query, one: Observation, since: int | None) -> bool:
        """Whether a stored answer is fresh enough for a call; what came after answer `since` always is."""
        max_age = self.settings.max_age if call.max_age is None else call.max_age
        if self.offline:
            return True
        if call.not_before is not None:
            came = call.not_before <= one.observed_at and is_within(one.observed_at, _EVER)
            return came or self.is_final(query, one)
        return self._is_fresh(query, one, max_age, since)

    def _is_fresh(self, query: Query, one: Observation, max_age: timedelta | str | None, since: int | None) -> bool:
        if max_age == "any":
            return True
        if since is not None and self.store.came_since(one, since):
            return True
        if isinstance(max_age, timedelta) and not max_age:
            return False
        if self.is_final(query, one):
            return True
        if isinstance(max_age, timedelta):
            return is_within(one.observed_at, max_age)
        return not one.absent or is_within(one.observed_at, DAY)

    def is_final(self, query: Query, one: Observation) -> bool:
        """Whether an answer stays as it is: it came when its period had been over for some days.

        A ranking that was empty may still be filled later; a day that is still missing one day after that may not.
        """
        final_on = query.endpoint.final_on
        if final_on is None or (one.absent and query.endpoint.series is None):
            return False
        observed = SANDBOX_TODAY if self.synthetic else when(one.observed_at).date()
        return observed >= final_on(query.value_of) + one.absent * DAY

    def newest(
        self, queries: Sequence[Query]
    ) -> tuple[dict[str, Observation], dict[str, UnexpectedResponseError]]:
        """Find the newest stored answer of each query, by key, and which of them are about somebody else."""
        latest = self.store.latest([query.key for query in queries], until=self.until)
        if paged := [key for key, one in latest.items() if one.page]:  # the same was requested page by page, too
            latest = {key: one for key, one in latest.items() if not one.page}
            for key, history in self.store.histories(paged).items():
                until = math.inf if self.until is None else self.until
                whole = [one for one in history if not one.page and one.observed_at <= until]
                latest |= self.store.newest_of({key: whole})
        by_key = {query.key: query for query in queries}
        judged = dict(zip(latest, self.judge([(by_key[key], one) for key, one in latest.items()]), strict=True))
        wrong = {key: one for key, one in judged.items() if isinstance(one, UnexpectedResponseError)}
        return latest | {key: one for key, one in judged.items() if isinstance(one, Observation)}, wrong

    def judge(self, stored: Sequence[tuple[Query, Observation]]) -> list[Observation | UnexpectedResponseError]:
        """Say of stored answers what the endpoint that reads them says, where another one may have stored them.

        Those of the package's endpoints were checked before they were stored.
        """
        if not stored or stored[0][0].endpoint in endpoints(yours=False):
            return [one for _, one in stored]
        judged: list[Observation | UnexpectedResponseError] = []
        for (query, one), envelope in zip(stored, self.store.envelopes([one.id for _, one in stored]), strict=True):
            [found] = match(query.endpoint, (query,), Envelope(None, None, envelope.get("data"), envelope))
            if isinstance(found, Found):
                absent = found.absent and one.page in (0, 1)
                judged.append(one._replace(absent=absent, rows=len(found.ids), more=found.more))
            else:
                found.endpoint, found.params = query.endpoint.path, query.params
                judged.append(found)
        return judged

    def admit(self, call: Call, missing: Sequence[Query], requests: int, noun: str, run: Run) -> None:
        """Refuse, before anything is sent, what cannot be sent, kept or paid; hold what it costs."""
        self.check_answerable(missing)
        if self.offline:
            raise self.not_stored(call, missing, requests)
        self.store.check_writable()
        price, what = requests * call.endpoint.credits, f"{call.name} ({counted(requests, noun)})"
        self.store.check_limits(price, what)
        run.reservation.hold(price, what)

    def check_answerable(self, queries: Sequence[Query]) -> None:
        """Refuse what KeyAPI says it no longer answers, and the token; only in what is about to be sent."""
        token = self.settings.token
        for endpoint in dict.fromkeys(query.endpoint for query in queries):
            if token is not None and token.is_in(" ".join((endpoint.path, *(one.api_name for one in endpoint.inputs)))):
                raise InvalidArgumentError(f"the path or a parameter's name {_LEAVE_OUT}")
        for query in queries:
            for parameter, value in zip(query.endpoint.inputs, query.values, strict=True):
                if token is not None and isinstance(value, str) and token.is_in(value):
                    raise InvalidArgumentError(f"{parameter.api_name} {_LEAVE_OUT}")
                if parameter.check_before_sending is not None and not self.offline:
                    parameter.check_before_sending(value, self._todays)

    @property
    def today(self) -> date:
        """The day that what is relative is relative to: of the archive that is replayed, of the sandbox, of `as_of`."""
        moment = self.settings.as_of
        if self.settings.today is not None:
            return self.settings.today
        if self.synthetic or (self.store.source is None and _is_sandbox_here(self.settings.base_url)):
            return SANDBOX_TODAY
        return when(now_us()).date() if moment is None else moment.astimezone(UTC).date()

    def day_of(self, one: Observation) -> date:
        """Return the day on which an answer came, at its source: in the sandbox time stands still."""
        return SANDBOX_TODAY if self.synthetic else when(one.observed_at).date()

    def unfinished_months(self, queries: Sequence[Query]) -> list[str]:
        """Return the months that some queries are about and that are not over."""
        months = {str(value): month_after(value) for query in queries for value in query.values}
        return sorted(month for month, after in months.items() if after is not None and after > self.today)

    @property
    def _todays(self) -> tuple[date, ...]:
        """List what may be today at the source: another base URL may be a sandbox, where time stands still."""
        here = datetime.now(UTC).date()
        return (SANDBOX_TODAY,) if self.synthetic else (here,) if self.source == KEYAPI else (here, SANDBOX_TODAY)

    @property
    def call_credits(self) -> int | None:
        """What a call may cost outside a budget; in the sandbox only a number that was given holds."""
        free = (self.settings.sandbox or self.synthetic) and not self.settings.call_credits_passed
        return None if free else self.settings.max_call_credits

    def not_stored(self, call: Call, missing: Sequence[Query], requests: int) -> NotStoredError:
        """Return the error of what is not stored and cannot be sent for; it names all of it and its cost."""
        moment = self.settings.as_of
        then = f" as of {moment:%Y-%m-%d %H:%M} UTC" if moment else ""
        endless = call.endpoint.ranking and call.limit is None
        error = NotStoredError(
            f"{call.name}: {self.place} does not have {'pages of ' if call.endpoint.ranking else ''}"
            f"{listed(named(missing), MOST_NAMED)}{then}. "
            f"Fetching {'them' if len(missing) > 1 else 'it'} online takes {'at least ' if endless else ''}"
            f"{priced(requests, call.endpoint)}; for that, connect without offline, as_of and replay "
            "(connect(replay=False))",
            endpoint=call.endpoint.path,
        )
        error.failures = failures_frame(dict.fromkeys(missing, error), None)
        return error

    def unanswered_note(self, call: Call, missing: Sequence[Query]) -> str:
        """Return a note where requests for what is missing brought nothing before, and may have been charged."""
        if self.offline or not missing:
            return ""
        wanted = {frozenset(query.params.items()): query.key for query in missing}
        requested = []  # rows of the ledger, and the entities and pages of each that are wanted
        for row in self.store.unanswered(call.endpoint.path):
            if not row.undelivered:
                each = _requested(call.endpoint, json.loads(row.params))
                requested.append((row, [(wanted[one], page) for one, page in each if one in wanted]))
        claims = self.store.claims(claim_of(*one) for _, each in requested for one in each)
        under_way = {claim.request for claim in claims.values() if claim.holds}
        newest = self.store.latest({key for _, each in requested for key, _ in each})
        sent = [
            row
            for row, each in requested
            if row.id not in under_way
            and any(key not in newest or not self.store.came_after(newest[key], row) for key, _ in each)
        ]
        if not sent:
            return ""
        return (
            f"{priced(len(sent), call.endpoint)} for some of these had no usable answer before (the last at "
            f"{when(sent[-1].sent_at):%Y-%m-%d %H:%M} UTC) and may have been charged. They would be sent again"
        )


def _requested_days(
    endpoint: Endpoint, series: Series, params: Mapping[str, str]
) -> list[tuple[frozenset[tuple[str, str]], int]]:
    """List the days a request was for, as each is stored."""
    whom, day = (one.api_name for one in endpoint.inputs)
    try:
        first, last = (date.fromisoformat(params[name]) for name in (series.start, series.end))
        number = min((last - first).days + 1, MOST_DAYS)
        days = [(first + timedelta(days=place)).isoformat() for place in range(number)]
        return [(frozenset({whom: params[whom], day: one}.items()), 0) for one in days]
    except (KeyError, ValueError):  # sent by another function
        return []


def _requested(endpoint: Endpoint, params: dict[str, str]) -> list[tuple[frozenset[tuple[str, str]], int]]:
    """List what a request was for, from its row of the ledger: parameters as of one entity, and the page."""
    if endpoint.paging is not None:
        page = params.pop(endpoint.paging.page, "")
        params.pop(endpoint.paging.size, None)
        return [(frozenset(params.items()), int(page))] if page.isdecimal() else []  # sent by another function
    if endpoint.series is not None and endpoint.entity is not None:
        return _requested_days(endpoint, endpoint.series, params)
    if endpoint.entity is None or endpoint.batch == 1:
        return [(frozenset(params.items()), 0)]
    api_name = endpoint.entity.api_name
    return [(frozenset({**params, api_name: one}.items()), 0) for one in params.get(api_name, "").split(",")]
