"""What the fetches of a panel cost in one round, at most."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Final

from ..client import Client, Plan
from ..periods import DAY_SETTLES
from .file import Fetch, PanelFile, day_of

_ANY_ID: Final = "7000000000000000001"  # only its price is wanted


def most(plan: Plan) -> int:
    """Return what a call costs at most; TOML has no null, so that every list of a panel has a limit."""
    return plan.credits if plan.credits_max is None else plan.credits_max


def prices_of(file: PanelFile, empty: Client) -> list[int | None]:
    """Return what each fetch costs in a round where nothing is stored; None where nobody knows of how many ids."""
    return [_price_of(place, file, empty) for place in range(len(file.fetches))]


def _price_of(place: int, file: PanelFile, empty: Client) -> int | None:
    one = _as_it_may_be(file.fetches[place], file, empty)
    if one.source is None:
        return most(empty.plan(one.call(one.ids or (), client=empty)))
    count = _most_ids(place, file)
    each = most(empty.plan(one.call((_ANY_ID,), client=empty)))
    batch = one.table.endpoint.batch if one.table.endpoint.series is None else 1
    return None if count is None else each * math.ceil(count / batch)


def _as_it_may_be(one: Fetch, file: PanelFile, empty: Client) -> Fetch:
    """Return a fetch of days up to now as it may be later, when a whole interval has passed."""
    start = day_of(one.options.get("start"))
    if one.table.endpoint.series is None or "end" in one.options or start is None:
        return one
    count, unit = file.every
    first = empty.policy.today - timedelta(days=count * (31 if unit == "M" else 1)) - DAY_SETTLES
    return replace(one, options={**one.options, "start": min(start, first.isoformat())})


def _most_ids(place: int, file: PanelFile) -> int | None:
    """Return how many ids a fetch has at most; None where nobody knows."""
    one = file.fetches[place]
    if one.source is None:
        return len(one.ids or ())
    counts = [_most_rows(above, file) for above in range(place) if file.fetches[above].table.name == one.source[0]]
    return None if None in counts else sum(count or 0 for count in counts)


def _most_rows(place: int, file: PanelFile) -> int | None:
    """Return how many ids the rows of a fetch have at most; None where nobody knows."""
    one = file.fetches[place]
    endpoint, limit = one.table.endpoint, one.limit
    if endpoint.ranking and one.table is not endpoint.tables[0]:  # several rows an item of the list
        return None
    if not endpoint.ranking and len(one.table.key) > len(endpoint.columns):
        return None
    lists = _most_ids(place, file) if one.ids or one.source else 1
    return None if lists is None else lists * (limit or 1)
