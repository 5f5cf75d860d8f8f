"""The probe: one request to each endpoint, to see whether it answers as declared."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any, Final

import pandas as pd

from .client import DAY, Call, Client, find_client
from .client.budgets import Reservation, make_limit
from .client.call import counted
from .client.delivery import Request, error_of_row
from .client.policy import is_within
from .docstrings import complete
from .drift import find_drift
from .errors import (
    CLOSED,
    AuthenticationError,
    BudgetExceededError,
    CreditsExhaustedError,
    InvalidArgumentError,
    KeyAPIError,
    NetworkError,
    RateLimitedError,
    StoreError,
    UnexpectedResponseError,
    listed,
    shown,
)
from .model import DTYPES, Endpoint, endpoints
from .queries import Query, Today, make_queries, make_query
from .settings import is_number
from .spelling import writable
from .store import Answer, LedgerRow, claim_of, when
from .tidy import make_frames
from .version import versions

_FIRST: Final = (  # what KeyAPI documents in full, with an example
    "/v1/tiktok/insights/products",
    "/v1/tiktok/insights/product/detail",
    "/v1/tiktok/video/detail/analytics",
    "/v1/tiktok/trending/hashtag/detail",
    "/v1/tiktok/trending/music/detail",
)
_DTYPES: Final = {
    "path": DTYPES["text"],
    "verdict": DTYPES["text"],
    "detail": DTYPES["text"],
    "credits": DTYPES["count"],
    "request_id": DTYPES["text"],
    "observed_at": DTYPES["time"],
}
_TRIED_AGAIN: Final = (AuthenticationError, CreditsExhaustedError, RateLimitedError)
_MOST_PATHS: Final = 20
_LONGEST_QUOTE: Final = 200
_PROXY_LOGIN: Final = 407


@dataclass(frozen=True)
class Finding:
    """What the probe found out about one endpoint; credits of None: whether it was charged is not known."""

    path: str
    verdict: str
    detail: str = ""
    credits: int | None = 0
    request_id: str | None = None
    observed_at: int | None = None


class ProbeFrame(pd.DataFrame):
    """A DataFrame that is shown in full, for a bug report; parts of it are plain DataFrames."""

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def __repr__(self) -> str:
        if list(self.columns) != list(_DTYPES):  # columns were changed
            return pd.DataFrame(self).__repr__()
        lines = [line for row in self.to_dict("records") for line in _shown(row)]
        return "\n".join([str(self.attrs.get("made_with", "kr.probe")), *lines])

    def _repr_html_(self) -> str:
        return f'<pre style="white-space:pre-wrap">{escape(repr(self))}</pre>'


def _shown(row: Mapping[Any, Any]) -> list[str]:
    """Write a row as lines of text."""
    there = {name: value for name, value in row.items() if not pd.isna(value)}
    cost = counted(there["credits"], "credit") if "credits" in there else "credits not known"
    facts = [f"{there.get('verdict', ''):<9}  {there.get('path', '')}", cost]
    facts += [f"{there['observed_at']:%Y-%m-%d %H:%M} UTC"] if "observed_at" in there else []
    facts += [f"request {_plain(there['request_id'])}"] if "request_id" in there else []
    return [", ".join(facts), *([f"           {there['detail']}"] if there.get("detail") else [])]


@complete
def probe(max_credits: int = 25, *, client: Client | None = None) -> pd.DataFrame:
    """Return whether each endpoint answers as this package expects, one row per endpoint.

    Each endpoint that has tables is requested once, for the id that KeyAPI documents; a ranking for its first page.
    The five endpoints that KeyAPI documents in full come first. Within a day nothing is sent twice: stored answers are
    judged again, and refusals and answers that could not be used are reported from the ledger. (With another store, as
    ":memory:", all are requested.) Only 401, 402, 429 and requests that were not delivered are tried again; a 401 or
    402 ends the probe.

    Parameters
    ----------
    max_credits : int
        Maximum number of credits to spend on all requests together. Budgets and `max_call_credits` hold, too.

    Returns
    -------
    pandas.DataFrame
        One row per endpoint. Columns: path (string); verdict (string): works, changed (fields or values differ from
        what is declared, or the answer could not be used), empty, refused, or not tried; detail (string): which paths,
        which error, what ended or limited the probe; credits (Int64): what this probe paid, 0 for what was stored,
        missing where it is not known whether KeyAPI charged it; request_id (string); observed_at (datetime64[us, UTC]).
        It is shown in full, and without token, local paths or proxy, so it can be pasted into a bug report.

    Raises
    ------
    InvalidArgumentError
        max_credits is not a whole number.
    StoreError
        An answer could not be read or stored, so nothing more was sent; `.frame` has the rows before it.

    Notes
    -----
    Price: the price of one request of each endpoint, at most `max_credits`. Stored answers cost nothing, and offline
    only these are judged. Answers that could not be used count with their full price.

    Examples
    --------
    >>> kr.probe()["verdict"].value_counts().to_dict()
    {'works': 16, 'empty': 2}
    """
    if not is_number(max_credits, whole=True) or max_credits < 0:
        raise InvalidArgumentError(f"max_credits must be a whole number of at least 0; got {shown(max_credits)}")
    prober = _Prober(find_client(client), int(max_credits))
    try:
        for endpoint in _in_order():
            prober.findings.append(prober.examine(endpoint))
    except KeyAPIError as error:
        error.frame = _frame(prober)
        raise
    return _frame(prober)


def _in_order() -> list[Endpoint]:
    """List the endpoints as they are requested; of two with one path the one that was declared first."""
    by_path: dict[str, Endpoint] = {}
    for endpoint in endpoints(yours=False):
        by_path.setdefault(endpoint.path, endpoint)
    first = [by_path.pop(path) for path in _FIRST if path in by_path]
    return [*first, *by_path.values()]


def _frame(prober: _Prober) -> pd.DataFrame:
    found = prober.findings
    columns = {name: pd.Series([getattr(one, name) for one in found], dtype=object) for name in _DTYPES}
    columns["observed_at"] = pd.to_datetime(
        pd.Series([None if one.observed_at is None else when(one.observed_at) for one in found], dtype=object), utc=True
    )
    frame = ProbeFrame(pd.DataFrame(columns).astype(_DTYPES))
    used = {**versions("pandas"), "Python": platform.python_version(), "source": prober.client.source}
    frame.attrs["made_with"] = f"kr.probe: {', '.join(f'{name} {value}' for name, value in used.items())}"
    return frame


class _Prober:
    """One probe under way: what it found, what it spent, and what ended it."""

    def __init__(self, client: Client, max_credits: int) -> None:
        self.client = client
        self.findings: list[Finding] = []
        self.spent = 0
        self.ended = "offline, and no answer is stored" if client.policy.offline else ""
        # To its user the probe is one call: outside a budget block, max_call_credits holds for all of it.
        call = Reservation(make_limit(None, "client"), client.policy.call_credits).call
        limits = {"max_credits": max_credits} | ({"max_call_credits": call.credits} if call.limits else {})
        self.limit = min(limits, key=lambda name: limits[name])
        self.most = limits[self.limit]

    def examine(self, endpoint: Endpoint) -> Finding:
        """Find out about one endpoint: from the store and the ledger where these know, else by one request."""
        untried, since = Finding(endpoint.path, "not tried"), self.client.store.last_ids()
        try:
            queries = _queries_of(endpoint, lambda: self.client.policy.today)
            limit = 1 if endpoint.ranking else None  # one page, whatever its size
            call = Call(endpoint.tables[0], endpoint, queries, limit, DAY, probing=True, since=since)
            plan = self.client.plan(call)
        except InvalidArgumentError as wrong:  # no default is known, or KeyAPI no longer answers it
            return replace(untried, detail=_plain(wrong.message))
        known = self._known_failure(queries)
        if known is not None:
            return known
        if not plan.requests:
            return self._collect(replace(call, max_age="any"), since[1])  # served, even if it turns a day old now
        lacking = self._lacking(plan.credits)
        return replace(untried, detail=lacking) if lacking else self._collect(call, since[1])

    def _lacking(self, price: int) -> str:
        """Return why nothing may be sent, or nothing."""
        left = self.most - self.spent
        over = f"it costs {counted(price, 'credit')}; {self.limit}={self.most} has {left} left"
        return self.ended or (over if price > left else "")

    def _known_failure(self, queries: Sequence[Query]) -> Finding | None:
        """Return what the ledger knows of a request of the last day that brought no answer; None: it may be sent."""
        query = queries[0]
        before, claimed = self._requests(queries), claim_of(query.key, int(query.endpoint.ranking))
        claim = self.client.store.claims([claimed]).get(claimed)
        requests = self._requests(queries)[: len(before)]  # read again: what is not claimed any more has ended
        store = self.client.store
        newest = store.latest([query.key], until=self.client.policy.until).get(query.key)
        for request in reversed(requests):
            answered = newest is not None and store.came_after(newest, request)
            if answered or not is_within(request.sent_at, DAY):
                return None
            if claim is not None and claim.holds and claim.request == request.id:
                detail = "the same request is under way; run the probe again later"
                return Finding(query.endpoint.path, "not tried", detail)
            error = error_of_row(request)
            if not (isinstance(error, _TRIED_AGAIN) or _is_undelivered(error, request)):
                found = _failure(error, request, live=False)
                note = f"request of {when(request.sent_at):%Y-%m-%d %H:%M} UTC, not sent again within a day"
                return replace(found, detail=f"{found.detail} ({note})")
        return None

    def _collect(self, call: Call, last: int) -> Finding:
        """Get an answer and judge it; count what was paid after the request `last`."""
        path, queries = call.endpoint.path, call.queries
        try:
            collection = self.client.collect(call)
        except BudgetExceededError as refused:
            return Finding(path, "not tried", _plain(refused.message.partition(". Nothing")[0]))
        sent = [one for one in self._requests(queries) if one.id > last]
        if collection.answers:
            paid = self._pay(sent) if collection.arrived else 0
            return replace(self._judge(collection.answers), credits=paid)
        error = collection.stop or collection.failures.get(queries[0]) or StoreError(CLOSED)
        if isinstance(error, StoreError):
            raise error
        own = error.params is not None  # otherwise another client sent the request
        request = sent[-1] if sent else None  # the sandbox may not have started
        paid = self._pay(sent) if own else 0
        found = replace(_failure(error, request, live=own), path=path, credits=paid)
        undelivered = _is_undelivered(error, request)
        if undelivered or isinstance(error, AuthenticationError | CreditsExhaustedError):
            self.ended = f"the probe ended at {path}: {found.detail}"
        return replace(found, verdict="not tried") if undelivered else found

    # The ledger ---------------------------------------------------------------------------------------------

    def _requests(self, queries: Sequence[Query]) -> list[LedgerRow]:
        """Return the requests for what is requested, from the ledger, oldest first."""
        endpoint, until = queries[0].endpoint, self.client.policy.until
        params = Request(endpoint, tuple(queries), page=int(endpoint.ranking)).params
        found = self.client.store.sent(endpoint.path, params)
        return [one for one in found if until is None or one.sent_at <= until]

    def _pay(self, sent: Sequence[LedgerRow]) -> int | None:
        """Count what requests cost and return it; None where it is not known whether one was charged."""
        cost = sum(map(self.client.store.cost_of, sent))
        self.spent += cost
        return None if any(one.credits is None and not one.undelivered for one in sent) else cost

    # Answers ------------------------------------------------------------------------------------------------

    def _judge(self, answers: Sequence[Answer]) -> Finding:
        """Compare the answers of a request with the declarations of their tables."""
        there = [answer for answer in answers if not answer.observation.absent]
        answer = [*there, *answers][0]
        endpoint, store, one = answer.query.endpoint, self.client.store, answer.observation
        [request] = store.ledger([one.request])
        found = Finding(endpoint.path, "works", request_id=request.request_id, observed_at=one.observed_at)
        if one.absent:
            return replace(found, verdict="empty", detail="KeyAPI has nothing for the documented id")
        envelopes = list(store.envelopes([answer.observation.id for answer in there]))
        new, gone = find_drift(endpoint, envelopes)
        frames, issues = make_frames(endpoint.tables, there, envelopes, source=self.client.source)
        places = {
            "unknown fields": sorted(new),
            "missing fields": sorted(gone),
            "values or rows that cannot be read": [f"{n:,} x {place}" for place, n in issues.unreadable.items()],
            "another market": [f"{market} where {region} was requested" for region, market in issues.markets],
        }
        texts = [f"{what}: {listed(some, _MOST_PATHS)}" for what, some in places.items() if some]
        if texts:
            return replace(found, verdict="changed", detail=_plain("; ".join(texts)))
        if not len(frames[0]):
            return replace(found, verdict="empty", detail="the list is empty")
        return found


def _queries_of(endpoint: Endpoint, today: Today) -> tuple[Query, ...]:
    """Return the query for the documented id (of a series, its last days), or of the ranking, as it is usual."""
    usual: dict[str, object] = {parameter.argument: parameter.default for parameter in endpoint.parameters}
    usual |= dict(endpoint.sample)
    if endpoint.entity is None:
        return (make_query(endpoint, usual, today),)
    if not endpoint.example:
        raise InvalidArgumentError("no documented id is known")
    if endpoint.series is not None:
        usual |= {"start": f"{endpoint.series.paging.most}D", "end": None}
    return make_queries(endpoint, endpoint.example, usual, today)


def _failure(error: KeyAPIError, request: LedgerRow | None, *, live: bool) -> Finding:
    """Return the finding of a request without a usable answer; only KeyAPI's own words are quoted.

    Messages of a proxy or of this machine may name hosts and paths.
    """
    status, code, message = (request.http_status, request.code, request.message) if request else (None, None, None)
    parts = [f"HTTP {status}"] * (status is not None) + [f"code {code}"] * (code is not None)
    detail = f"{type(error).__name__}{': ' if parts else ''}{', '.join(parts)}"
    unusable = isinstance(error, UnexpectedResponseError)
    if unusable and code != 0:
        detail += ": the answer is not one that KeyAPI documents"
    elif unusable:
        why = error.args[0].partition(". The answer is on")[0] if live else "about another id, or changed in structure"
        detail += f": the answer could not be used: {_cut(why)}"
    elif isinstance(error, NetworkError) and status is None:
        reason = (message or "").split(": ")[1:2]  # the name of an error; what follows may name a file
        delivered = not _is_undelivered(error, request)
        detail += ": no complete answer came, it may have been charged" if delivered else ": KeyAPI was not reached"
        detail += f" ({reason[0]})" if reason else ""
    elif code is not None and message:
        detail += f": {_cut(message)}"
    return Finding(
        error.endpoint or (request.endpoint if request else ""),
        "changed" if unusable else "refused",
        _plain(detail),
        request_id=request.request_id if request else None,
        observed_at=request.sent_at if request else None,
    )


def _is_undelivered(error: KeyAPIError, request: LedgerRow | None) -> bool:
    """Whether it is certain that a request did not reach KeyAPI."""
    if not isinstance(error, NetworkError):
        return False
    return request is None or request.http_status == _PROXY_LOGIN or request.undelivered


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."


def _plain(text: str) -> str:
    """Return a text on one line, without control characters."""
    return " ".join("".join(one if one.isprintable() else " " for one in writable(text)).split())
