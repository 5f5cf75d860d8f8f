"""What a call warns of: what is missing, old or changed, what failed, and what a rerun would cost."""

from __future__ import annotations

import copy
import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pandas as pd

from .arguments import check_price, month_after, month_is_over
from .client import DAY, Call, Client, Collection, failures_frame, named, priced, requests_for
from .drift import find_drift
from .errors import (
    MOST_NAMED,
    FetchIncompleteError,
    IncompleteDataWarning,
    KeyAPIError,
    MissingDataWarning,
    SchemaDriftWarning,
    StaleDataWarning,
    StoreError,
    UnexpectedMarketWarning,
    UnexpectedResponseError,
    listed,
    shown,
    warn,
)
from .model import OBSERVED_AT, Table, Untyped
from .queries import Query
from .rows import counted_items
from .spelling import writable
from .store import Answer, Observation, now_us, when
from .tidy import Issues

_MOST_PLACES: Final = 20  # in answers that one warning names; those it leaves out, the next names
_LONGEST_REASON: Final = 120
_MOST_NAMED_PAIRS: Final = 3
_MOST_FAILED: Final = 10  # ids whose failure a warning explains
_DAY_US: Final = int(DAY.total_seconds() * 1_000_000)
_LOG: Final = logging.getLogger("keyapi_research")


def warn_of_confirmed_missing(collection: Collection, client: Client) -> None:
    """Warn of ids that KeyAPI has nothing for, whether that was stored or is new."""
    absent = [one.query for one in collection.answers if one.observation.absent]
    final = [one.query for one in collection.answers if client.policy.is_final(one.query, one.observation)]
    if collection.call.endpoint.series is not None:  # a missing day is normal, an id without any day is not
        told = {one.query.whom for one in collection.answers if not one.observation.absent}
        absent = [query for query in absent if query.whom not in told]
    missing = named(absent) if collection.call.endpoint.series else [query.id for query in absent]
    if missing:
        entity = collection.call.endpoint.entity
        what = entity.column if entity else "page" if collection.call.endpoint.ranking else "request"
        table = collection.call.table
        in_list = isinstance(table, Untyped) and not table.rows and not table.endpoint.ranking
        rest = ' (rows="" shows what else is there where only a list is empty)' if in_list else ""
        again = "They are requested again after a day, or now with max_age=0"
        if set(absent) <= set(final):
            again = "They are final: only max_age=0 requests them again"
        warn(
            f"KeyAPI has nothing for {len(missing):,} {what}{'s' if len(missing) > 1 else ''}: "
            f"{listed(missing, MOST_NAMED)}. They have no row{rest}. {again}",
            MissingDataWarning,
        )


def warn_of_old_rows(collection: Collection, frame: pd.DataFrame, client: Client) -> None:
    """Warn, once for each table, of rows older than a day where nothing was said of their age."""
    call = collection.call
    policy = client.policy
    aged = (call.max_age, client.settings.max_age, call.not_before) != (None, None, None)
    quiet = policy.offline or policy.synthetic or aged
    if quiet or ("stale", call.table.name) in client.told:
        return
    now = now_us()
    old = [
        one
        for one in collection.answers
        if one.observation.observed_at < now - _DAY_US
        and not one.observation.absent
        and not policy.is_final(one.query, one.observation)
        and not month_is_over(one.query.value_of.get("time_scope"), when(one.observation.observed_at).date())
    ]
    times = {one.observation.observed_at for one in old}
    moments = pd.to_datetime(sorted(map(when, times)), utc=True)
    rows = int(frame[OBSERVED_AT.name].isin(moments).sum()) if old else 0
    rows = len(old) if call.endpoint.series else rows  # days that came together may be final or not
    if not rows:
        return
    client.told.add(("stale", call.table.name))
    price = requests_for(call.endpoint, [one.query for one in old]) * call.endpoint.credits
    warn(
        f"{rows:,} of {len(frame):,} rows of {call.table.name} were observed more than a day ago (the oldest "
        f"{when(min(times)):%Y-%m-%d}, {(now - min(times)) / _DAY_US:.0f} days). To refresh them for "
        f'{price:,} credits: {call.name}(..., max_age="1D"); to accept any age: max_age="any"',
        StaleDataWarning,
    )


def warn_of_unfinished_months(collection: Collection, client: Client) -> None:
    """Warn, once for each month, of figures of a month that was not over when they were observed."""
    found: dict[str, str] = {}
    for one in collection.answers if "time_scope" in collection.call.endpoint.columns else ():
        value = one.query.value_of.get("time_scope")
        after, observed = month_after(value), client.policy.day_of(one.observation).isoformat()
        if after is not None and observed < after.isoformat() and not one.observation.absent:
            found[str(value)] = max(observed, found.get(str(value), ""))
    for month, observed in found.items():
        if ("month", month) not in client.told:
            client.told.add(("month", month))
            warn(
                f"{collection.call.table.name}: {month} was not over on {observed}, when it was observed. Its figures "
                "are those of its days until then: do not compare them with whole months",
                IncompleteDataWarning,
            )


def warn_of_drift(
    table: Table, issues: Issues, client: Client, *, arrived: Iterable[Mapping[str, Any]] | None = None
) -> None:
    """Warn of answers that are not as documented: of fields in those that just arrived, of values no column can hold.

    Rows that come twice are normal in a ranking: they are counted and logged.
    """
    name, endpoint, told = table.name, table.endpoint, client.told
    found: dict[str, list[str]] = {}
    if arrived is not None and endpoint.tables:
        new, gone = find_drift(endpoint, arrived)
        found["fields this package does not know (kept, see df.keyapi.raw())"] = _untold(new, endpoint.path, told)
        found["fields that are missing from every answer"] = _untold(gone, endpoint.path, told)
    again = _untold(issues.duplicates, name, told)
    for place in again if arrived is None else issues.duplicates:  # what came with this call is new in any case
        client.duplicates[name] += issues.duplicates[place]
        _LOG.info("%s: %d rows came twice; the first was kept: %s", name, issues.duplicates[place], place)
    unreadable = [f"{issues.unreadable[place]:,} x {place}" for place in _untold(issues.unreadable, name, told)]
    found["values or rows that could not be read and are missing"] = unreadable
    texts = [f"{what}: {listed(places, _MOST_PLACES)}" for what, places in found.items() if places]
    if texts:
        warn(f"{name}: the answers differ from what is expected: {'; '.join(texts)}", SchemaDriftWarning)


def warn_of_foreign(table: Table, queries: Iterable[Query]) -> None:
    """Warn of stored answers that are about another id than was requested: they have no rows."""
    names = sorted(named([*queries]))
    if names:
        warn(
            f"{table.name}: stored answers to {listed(names, _MOST_FAILED)} are about another id, so they have no "
            "rows. Fetching such an id again, with max_age=0, pays for it and shows what came",
            IncompleteDataWarning,
        )


def warn_of_markets(table: Table, issues: Issues) -> None:
    """Warn of answers that name another market than the region requested."""
    if issues.markets:
        named = [
            f"{market} where {region} was requested ({number:,})" for (region, market), number in issues.markets.items()
        ]
        warn(
            f"{table.name}: answers are for another market: {listed(named)}. Check the column market before use",
            UnexpectedMarketWarning,
        )


def warn_of_ignored_parameters(collection: Collection, client: Client) -> None:
    """Warn of answers that equal those to other parameters, where no declaration knows which id they are about.

    Of a list with filters: of one that equals the same list with fewer of them.
    """
    endpoint = collection.call.endpoint
    for page in (one.observation for one in collection.answers if one.observation.id in collection.arrived):
        if page.page > 1 and page.rows and not page.fresh:
            _LOG.warning("%s: page %d has the rows of a page before, so it was the last", endpoint.path, page.page)
    several = [
        one.observation
        for one in collection.answers
        if one.observation.id in collection.arrived and not one.observation.absent and _rows_in(one) > 1
    ]
    filtered = any(p.default is None and not p.required and p.argument != endpoint.dated for p in endpoint.parameters)
    if not several or (endpoint.identity is not None and not (endpoint.ranking and filtered)):
        return
    # Limits of a price, and what is filtered unless told otherwise, may well leave the first rows as they are.
    weak = {p.api_name for p in endpoint.parameters if p.check is check_price or p.default is True}
    same = client.store.same_data(several)
    others = {
        one.params: params
        for one in several
        for entity, params, page in same[one.data]
        if entity != one.entity and not _same_page(one, params, page)
        if endpoint.identity is None or _fewer_filters(one.params, params, weak)
    }
    texts = [f"the answer to {one:.200} equals the one to {other:.200}" for one, other in others.items()]
    if new := _untold(texts, endpoint.path, client.told):
        warn(
            f"{endpoint.path}: {listed(new, _MOST_NAMED_PAIRS)}: KeyAPI may have ignored a parameter, or both have the "
            "same rows. Check the names of the parameters on its page",
            SchemaDriftWarning,
        )


def _fewer_filters(params: str, others: str, weak: set[str]) -> bool:
    """Whether one of two queries is the other with more parameters, not only weak ones."""
    mine, their = json.loads(params).items(), json.loads(others).items()
    return bool((mine < their or their < mine) and {name for name, _ in mine ^ their} - weak)


def _same_page(one: Observation, params: str, page: int) -> bool:
    """Whether one of two answers is a page of a ranking, and the other the same page, requested by its number."""
    mine, other = json.loads(one.params).items(), json.loads(params).items()
    return bool(one.page) != bool(page) and (mine <= other or other <= mine)


def tell_of_rows(table: Untyped, left_out: Iterable[str], lists: Iterable[str], client: Client) -> None:
    """Log, once for each endpoint, which personal data were left out, and which lists could be the rows."""
    if new := _untold(left_out, f"personal {table.name}", client.told):
        _LOG.warning("%s: left out personal data (%s). personal=True keeps them", table.name, ", ".join(new))
    if new := _untold(lists, f"lists {table.name}", client.told):
        ways = listed([f"rows={shown(writable(one))}" for one in new], _MOST_NAMED_PAIRS)
        note = "%s: one row an answer. kr.fetch_endpoint makes rows of the items of a list with %s"
        _LOG.warning(note, table.name, ways)


def _rows_in(one: Answer) -> int:
    """Count the rows of an answer that just arrived; of one no longer in memory the count is not needed."""
    return one.observation.rows or len(counted_items((one.envelope or {}).get("data")))


def _untold(places: Iterable[str], of: str, told: set[tuple[str, str]]) -> list[str]:
    """List what was not said of an endpoint or a table yet, as much as one warning names, and note that it is now."""
    new = [place for place in sorted(places) if (of, place) not in told][:_MOST_PLACES]
    told.update((of, place) for place in new)
    return new


# What failed ------------------------------------------------------------------------------------------------


def warn_of_failures(collection: Collection, client: Client) -> None:
    """Warn of the ids that a partial table lacks, why, and what a rerun costs."""
    failures, total = _by_whom(collection)
    reasons = listed([f"{query.id} ({_reason(error)})" for query, error in failures], _MOST_FAILED)
    endpoint = collection.call.endpoint
    lack = "not complete in" if endpoint.ranking or endpoint.series else "not in"
    warn(
        f"{len(failures):,} of {total:,} ids of {collection.call.name} failed and are {lack} "
        f"the table: {reasons}. {_rerun(collection, client)}{_older(collection, client)}",
        IncompleteDataWarning,
    )


def _by_whom(collection: Collection) -> tuple[list[tuple[Query, KeyAPIError | None]], int]:
    """Return what failed, of a series each id once, and how many ids there were."""
    failed: dict[object, tuple[Query, KeyAPIError | None]] = {}
    for query, error in collection.failures.items():
        failed.setdefault(query.whom, (query, error))
    return [*failed.values()], len({query.whom for query in collection.call.queries})


def _reason(error: KeyAPIError | None) -> str:
    if error is None:
        return "not sent"
    said = f": {error.message[:_LONGEST_REASON]}" if error.status_code is not None and error.message else ""
    return f"{type(error).__name__}{said}"


def failure_of(collection: Collection, frame: pd.DataFrame, client: Client) -> KeyAPIError:
    """Return the error of a call that failed: what came, what did not, and what a rerun costs."""
    call = collection.call
    failures, total = _by_whom(collection)
    failed, in_rows = len(failures), call.endpoint.ranking or call.endpoint.series
    came = f"{len(frame):,} rows" if in_rows else f"{total - failed:,} of {total:,}"
    rest = f"{_rerun(collection, client)}{_older(collection, client)}"
    errors = [error for error in collection.failures.values() if error is not None]
    same = failed == total and len({(type(error), error.code) for error in errors}) == 1
    first = collection.stop or next(iter(errors), None)
    if first is not None and (collection.stop is not None or same):
        error = copy.copy(first)  # the same one may be raised in another thread, with other rows
        error.args = (f"{first.args[0] if first.args else ''} [{call.name}: {came} came. {rest}]",)
    else:
        kinds = Counter("not sent" if error is None else type(error).__name__ for _, error in failures)
        reasons = ", ".join(f"{number:,} {name}" for name, number in kinds.items())
        error = FetchIncompleteError(
            f"{failed:,} of {total:,} ids of {call.name} failed ({reasons}). The rows that came are "
            f"stored and on .frame, the failures on .failures. {rest}{_partial(call)}",
            retryable=any(e is None or e.retryable for e in collection.failures.values()),
        )
        error.endpoint = call.endpoint.path
    if isinstance(error, StoreError | FetchIncompleteError):
        error.answer = unkept(collection)
    error.frame, error.failures = frame, failures_frame(collection.failures, collection.stop)
    return error


def _partial(call: Call) -> str:
    return "" if isinstance(call.table, Untyped) else ' With errors="warn" the partial table is returned'


def unkept(collection: Collection) -> list[Any]:
    """List the answers that may have been paid for and are not stored: several may have been in flight."""
    answers: list[Any] = []
    for error in collection.failures.values():
        if isinstance(error, StoreError):
            answers += error.answer or ()
        elif isinstance(error, UnexpectedResponseError):
            answers.append(error.answer)
    return list({id(answer): answer for answer in answers}.values())  # an answer about ten ids is on ten errors


def _rerun(collection: Collection, client: Client) -> str:
    """Return what the same call would cost now, as a sentence."""
    call = collection.call
    try:
        plan = client.plan(call)
    except KeyAPIError:  # what refuses it is what is being told
        return "A rerun pays only for what is missing."
    cost = priced(plan.requests, call.endpoint)
    if not call.endpoint.ranking:
        return f"A rerun pays only for what is missing: {cost}."
    kept = "The pages that came are stored and on .frame. " if collection.answers else ""
    least = "at least " if plan.credits_max is None else ""
    return f"{kept}A rerun within the hour takes {least}{cost}."


def _older(collection: Collection, client: Client) -> str:
    """Return a sentence where what a failed refresh would have replaced is still there."""
    keys = [query.key for query in collection.failures]
    if collection.call.endpoint.ranking:
        found = {one.observation.id for one in collection.answers}
        before = any(pull[0].id not in found for key in keys for pull in client.store.pulls(key))
        return " The earlier ranking is still stored and is returned without max_age." if before else ""
    kept = client.store.latest(keys) if keys else {}
    return (
        f" Older answers for {len(kept):,} of them are still stored and are returned without max_age." if kept else ""
    )
