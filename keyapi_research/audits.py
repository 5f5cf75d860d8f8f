"""Audits: stored numbers that contradict each other, or that look right and are not. Nothing is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import cache
from typing import Final

import pandas as pd

from .checks import CHECKS, SEVERITIES, THRESHOLDS, Finding, Held
from .client import Client
from .errors import InvalidArgumentError, shown
from .frames import keep_origin, reading_client
from .holdings import find_table, held_names, whole_frame
from .model import DTYPES, TABLES, Endpoint, Table, Untyped
from .settings import is_number

_MOST: Final = 10**9  # of a threshold: it finds nothing


def audit(
    table: str | None = None, *, thresholds: Mapping[str, float] | None = None, client: Client | None = None
) -> pd.DataFrame:
    """Look for stored numbers that contradict each other, or that look right and are not; nothing is sent.

    Parameters
    ----------
    table : str, optional
        Name of one table; by default all that are stored. Others are still looked up: totals that a list is held
        against, the market of a creator.
    thresholds : dict, optional
        By check, the size from which something is reported, instead of the defaults below.
    client : Client, optional
        The connection; the default one if omitted.

    Returns
    -------
    pandas.DataFrame
        One row per finding, the severest first:

        check : string
            What was looked for, see below.
        severity : string
            "wrong": two numbers cannot both be true, or a zero stands for missing data; "suspect": rarely happens in
            correct data; "note": normal, but may affect your calculations.
        table, entity, column : string
            Where: the ids or parameters (the market if a whole market is concerned; empty if all rows are), and the
            column, or several that are found together.
        first, last : datetime64[us, UTC]
            The first and last day, or moment of observation, that it concerns.
        n : Int64
            How many days, observations, rows, ids or pairs of windows show it.
        evidence : string
            A sentence with the numbers that show it.

    Raises
    ------
    InvalidArgumentError
        There is no such table or check, or a threshold is not a valid number.

    Notes
    -----
    Costs nothing. Audits read all observations. The checks, and their default thresholds:

    falling_total (0.005)
        A total since the beginning loses at least this share. People leave, take likes back and delete what they
        posted: for these totals it is a note.
    window_conflict (0.01)
        A window has more than a longer one or than the total, by more than this share.
    frozen (14)
        A column of a series stands still to the end, on at least so many observed days, while others of the series
        move; or all of an account stops.
    uncovered_zero (2)
        On at least so many days in a row nearly everybody in a market has zero of what they usually have. Sales value
        of zero where units were sold, and totals that are zero for all up to a day, are found whatever the threshold.
    revised_past (0.01)
        A day has another value in a later answer, by more than this share; suspect where the day was final.
    parameter_ignored (4)
        At least so many rows are in the same order by two sorts, and not in the order that was requested; or ten rows
        are the same for two regions, days or ids.
    impossible_count (0)
        A part is more than the whole, such as more likes than views, by more than this share.
    same_value (2)
        All ids of one request, at least so many, have the same large value.
    gap (7)
        At least so many days in a row are missing, more than the density of the series suggests.

    Examples
    --------
    >>> ids = kr.fetch_creator_rankings(region="US", limit=5)["user_id"]
    >>> _ = kr.fetch_creator_days(ids, start="60D")
    >>> kr.audit("creator_days").columns.tolist()
    ['check', 'severity', 'table', 'entity', 'column', 'first', 'last', 'n', 'evidence']
    """
    connection = reading_client(client)
    held = [one for one in held_names(connection) if one in TABLES]
    names = held if table is None else [_declared(table, connection)]
    return audit_frames(names, reader(connection), thresholds, [one for one in held if one not in names])


def _declared(table: object, client: Client) -> str:
    """Return the name of a table; what has no declared columns has nothing that can be checked."""
    found = find_table(table, client)
    if isinstance(found, Untyped):
        raise InvalidArgumentError(f"table must be a name that kr.tables() lists: {found.name} has no declared columns")
    return found.name


def reader(client: Client) -> Callable[[str], pd.DataFrame]:
    """Return what reads all observations of a table that are stored."""
    return lambda name: whole_frame(TABLES[name], client, observations="all")


def audit_answers(
    endpoint: Endpoint,
    read: Callable[[Table], pd.DataFrame],
    client: Client | None,
    thresholds: Mapping[str, float] | None,
) -> pd.DataFrame:
    """Audit the tables of some answers; the rest of the store is what they are held against. None: no answers."""
    if client is None:
        return audit_frames((), lambda name: read(TABLES[name]), thresholds)
    names, stored = [one.name for one in endpoint.tables], reader(client)
    beside = [one for one in held_names(client) if one in TABLES and one not in names]
    return audit_frames(names, lambda name: read(TABLES[name]) if name in names else stored(name), thresholds, beside)


def audit_frames(
    names: Iterable[str],
    read: Callable[[str], pd.DataFrame],
    thresholds: Mapping[str, float] | None,
    beside: Iterable[str] = (),
) -> pd.DataFrame:
    """Audit tables, each of which is read once; those `beside` them only say what they are held against."""
    held = Held(cache(read), tuple(names), {**THRESHOLDS, **_checked(thresholds)}, tuple(beside))
    found = _tabulate(one for check, _ in CHECKS.values() for one in check(held))
    return keep_origin(found, map(held.read, held.names))


def _checked(thresholds: object) -> Mapping[str, float]:
    if thresholds is None:
        return {}
    if not isinstance(thresholds, Mapping):
        raise InvalidArgumentError(f"thresholds must be a dict by check; got {shown(thresholds)}")
    for name, value in thresholds.items():
        if name not in THRESHOLDS:
            raise InvalidArgumentError(f"there is no check {shown(name)}. thresholds has {', '.join(THRESHOLDS)}")
        if not is_number(value) or not 0 <= value <= _MOST:
            raise InvalidArgumentError(
                f"thresholds[{name!r}] must be a number from 0 to {_MOST:,}; got {shown(value)}"
            )
    return {name: float(value) for name, value in thresholds.items()}


def _tabulate(found: Iterable[Finding]) -> pd.DataFrame:
    rows = sorted(found, key=lambda one: (SEVERITIES.index(one.severity), one.check, one.table, one.entity, one.column))
    cells = {field.name: [getattr(one, field.name) for one in rows] for field in fields(Finding)}
    frame = pd.DataFrame(cells)
    dtypes = dict.fromkeys(("check", "severity", "table", "entity", "column", "evidence"), DTYPES["text"])
    times = dict.fromkeys(("first", "last"), DTYPES["time"])
    return frame.astype({**dtypes, **times, "n": DTYPES["count"]})
