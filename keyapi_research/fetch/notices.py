"""What is said aloud of a call: what is missing, old or odd, what failed, and what a rerun would cost."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import pandas as pd

from ..arguments import month_is_over
from ..client import DAY, Client, Collection, failures_frame, priced
from ..drift import find_drift
from ..endpoints import ENDPOINT_OF
from ..errors import (
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
    warn,
)
from ..schema import OBSERVED_AT, Table
from ..store import Answer, now_us, when
from ..tidy import Issues

Errors = Literal["raise", "warn"]
_MOST_PLACES: Final = 20  # in answers that one warning names; those it leaves out, the next names


def say_what_is_missing(collection: Collection) -> None:
    """Warn of ids that KeyAPI has nothing for, whether that was stored or is new."""
    absent = [one.query.id for one in collection.answers if one.observation.absent]
    if absent:
        entity = collection.call.endpoint.entity
        what = entity.column if entity else "page"
        warn(
            f"KeyAPI has nothing for {len(absent):,} {what}{'s' if len(absent) > 1 else ''}: "
            f"{listed(absent, MOST_NAMED)}. They have no row; online they are asked again after a day, or with "
            "max_age=0",
            MissingDataWarning,
        )


def say_what_is_old(collection: Collection, frame: pd.DataFrame, client: Client) -> None:
    """Warn, once for each table, of rows older than a day where nothing was said of their age."""
    call = collection.call
    policy = client.policy
    quiet = policy.offline or policy.synthetic or call.max_age is not None or client.settings.max_age is not None
    if quiet or ("stale", call.table.name) in client.told:
        return
    limit = now_us() - int(DAY.total_seconds() * 1_000_000)
    old = [
        one.observation
        for one in collection.answers
        if one.observation.observed_at < limit and not one.observation.absent and not _is_settled(one)
    ]
    moments = {when(one.observed_at) for one in old}
    rows = int(frame[OBSERVED_AT.name].isin(pd.to_datetime(sorted(moments), utc=True)).sum()) if old else 0
    if not rows:
        return
    client.told.add(("stale", call.table.name))
    first = min(one.observed_at for one in old)
    days = (now_us() - first) / (DAY.total_seconds() * 1e6)
    cost = call.endpoint.cost(len(old))
    warn(
        f"{rows:,} of {len(frame):,} rows of {call.table.name} were observed more than a day ago (the oldest "
        f"{when(first):%Y-%m-%d}, {days:.0f} days). They cost nothing; refreshing them takes {cost:,} credits: "
        f'{call.name}(..., max_age="1D"). max_age="any" says that any age will do',
        StaleDataWarning,
    )


def _is_settled(one: Answer) -> bool:
    """Whether an answer is about a month that was over when it came."""
    return month_is_over(one.query.value_of.get("time_scope"), when(one.observation.observed_at).date())


def say_what_is_odd(table: Table, odd: Issues, client: Client, *, arrived: Iterable[int] = ()) -> None:
    """Warn of answers that are not as documented: of fields where answers just arrived, of what a table leaves out."""
    name, endpoint, told = table.name, ENDPOINT_OF[table.name], client.told
    said: dict[str, list[str]] = {}
    new_answers = sorted(arrived)
    if new_answers:
        new, gone = find_drift(endpoint, client.store.envelopes(new_answers))
        said["fields this package does not know (kept, see df.keyapi.raw())"] = _untold(new, endpoint.path, told)
        said["fields that are gone from every answer"] = _untold(gone, endpoint.path, told)
    unusable = _untold(odd.unreadable, name, told)
    said["values or rows that could not be read and are missing"] = _counted(odd.unreadable, unusable)
    again = _untold(odd.duplicates, name, told)
    # What came with this call is new, wherever rows came twice before.
    said["rows that came twice and were dropped"] = _counted(odd.duplicates, odd.duplicates if new_answers else again)
    texts = [f"{what}: {listed(places, _MOST_PLACES)}" for what, places in said.items() if places]
    if texts:
        warn(f"{name}: the answers differ from what is documented: {'; '.join(texts)}", SchemaDriftWarning)


def say_which_market(table: Table, odd: Issues) -> None:
    """Warn of answers that name another market than the region asked for."""
    if odd.markets:
        named = [
            f"{market} where {region} was asked for ({number:,})" for (region, market), number in odd.markets.items()
        ]
        warn(
            f"{table.name}: answers name another market: {listed(named)}. Compare the column market before use",
            UnexpectedMarketWarning,
        )


def _untold(places: Iterable[str], of: str, told: set[tuple[str, str]]) -> list[str]:
    """List what was not said of an endpoint or a table yet, as much of it as one warning names, and note that it is."""
    new = [place for place in sorted(places) if (of, place) not in told][:_MOST_PLACES]
    told.update((of, place) for place in new)
    return new


def _counted(counts: Mapping[str, int], places: Iterable[str]) -> list[str]:
    return [f"{counts[place]:,} x {place}" for place in places]


def raise_or_warn(collection: Collection, frame: pd.DataFrame, client: Client) -> None:
    """Raise what failed, or warn; either way say what is there and what a rerun costs."""
    failures = failures_frame(collection.failures, collection.stop)
    failed, total = len(collection.failures), len(collection.call.queries)
    came = f"{len(frame):,} rows" if collection.call.endpoint.ranking else f"{total - failed:,} of {total:,}"
    rerun = _rerun(collection, client)
    older = _older(collection, client)
    kinds = {(type(error), error.code) for error in collection.failures.values() if error is not None}
    first = collection.stop or next((e for e in collection.failures.values() if e is not None), None)
    if collection.stop is None and collection.call.partial:
        warn(
            f"{failed:,} of {total:,} ids of {collection.call.name} failed ({_kinds(collection)}) and are not in the "
            f"table; {rerun}{older}",
            IncompleteDataWarning,
        )
        return
    if first is not None and (collection.stop is not None or (failed == total and len(kinds) == 1)):
        error = copy.copy(first)  # the same one may be raised in another thread, with other rows
        error.args = (
            f"{first.args[0] if first.args else ''} [{collection.call.name}: {came} came. {rerun}{older}]",
        )
    else:
        error = FetchIncompleteError(
            f"{failed:,} of {total:,} ids of {collection.call.name} failed ({_kinds(collection)}); the rest is stored "
            f'and on .frame, the failures on .failures. {rerun}{older} With errors="warn" the table comes without them',
            retryable=any(e is None or e.retryable for e in collection.failures.values()),
        )
        error.endpoint = collection.call.endpoint.path
    if isinstance(error, StoreError | FetchIncompleteError):
        error.answer = unkept(collection)
    error.frame, error.failures = frame, failures
    raise error from None


def unkept(collection: Collection) -> list[Any]:
    """Gather the answers that may have been paid for and are not stored: several may have been in flight."""
    answers: list[Any] = []
    for error in collection.failures.values():
        if isinstance(error, StoreError):
            answers += error.answer or ()
        elif isinstance(error, UnexpectedResponseError):
            answers.append(error.answer)
    return list({id(answer): answer for answer in answers}.values())  # an answer about ten ids is on ten errors


def _rerun(collection: Collection, client: Client) -> str:
    """Say what the same call would cost now."""
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
    """Say that what a failed refresh would have replaced is still there."""
    keys = [query.key for query in collection.failures]
    if collection.call.endpoint.ranking:
        found = {one.observation.id for one in collection.answers}
        before = any(pull[0].id not in found for key in keys for pull in client.store.pulls(key))
        return " The ranking observed before is kept and served without max_age." if before else ""
    kept = client.store.latest(keys) if keys else {}
    return f" Older answers of {len(kept):,} of them are kept and served without max_age." if kept else ""


def _kinds(collection: Collection) -> str:
    names = [type(error).__name__ if error is not None else "not sent" for error in collection.failures.values()]
    return ", ".join(f"{names.count(name):,} {name}" for name in dict.fromkeys(names))
