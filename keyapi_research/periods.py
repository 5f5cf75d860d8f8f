"""Days and cycles: which days an argument means, and when their figures become final.

Days are written as yyyy-MM-dd wherever they are arguments or parameters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Final

import numpy as np
import pandas as pd

from .arguments import Value, is_missing, plain_value
from .errors import InvalidArgumentError, shown
from .settings import is_number

CYCLES: Final = ("day", "week", "month")
_RANKING_SETTLES: Final = timedelta(days=2)  # after the end of its cycle
DAY_SETTLES: Final = timedelta(days=3)  # after the day itself
MOST_DAYS: Final = 3660  # of a series
_DAY: Final = timedelta(days=1)
_LENGTH: Final = re.compile(r"([0-9]{1,5})\s*[dD]")


def check_day(name: str, value: object) -> str | None:
    """Return a day, given as a date or as text; None stays None."""
    value = plain_value(value)
    if value is None:
        return None
    if isinstance(value, np.datetime64) and np.datetime_data(value)[0] not in ("Y", "M", "W"):  # these are several days
        value = pd.Timestamp(value)
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value.strip())
        if isinstance(value, datetime) and not is_missing(value):
            if value.utcoffset():
                raise InvalidArgumentError(f"{name} must be a day in UTC, not in another time zone; got {shown(value)}")
            if value.time() == time():
                value = value.date()
        if isinstance(value, date) and not isinstance(value, datetime):
            return value.isoformat()
    except ValueError:
        pass
    raise InvalidArgumentError(f'{name} must be a day such as "2026-02-01", without a time; got {shown(value)}')


def first_of_cycle(cycle: str, day: date) -> date:
    """Return the first day of the cycle that a day is in: itself, its Monday, or the first of its month."""
    if cycle == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if cycle == "month" else day


def _after_cycle(cycle: str, first: date) -> date:
    """Return the first day of the next cycle."""
    return first_of_cycle(cycle, first + timedelta(days={"day": 1, "week": 7, "month": 31}[cycle]))


def settle_cycle(values: Mapping[str, Value], today: date) -> dict[str, Value]:
    """Replace the date of a ranking by the first day of its cycle; None is the last cycle that is over."""
    cycle, given = str(values["cycle"]), values["date"]
    if given is None:
        return {**values, "date": first_of_cycle(cycle, first_of_cycle(cycle, today) - _DAY).isoformat()}
    first = first_of_cycle(cycle, date.fromisoformat(str(given)))
    if first >= first_of_cycle(cycle, today):
        last = first_of_cycle(cycle, first_of_cycle(cycle, today) - _DAY)
        whose = "" if cycle == "day" else f" (the {cycle} of {first})"
        raise InvalidArgumentError(
            f"date {given}{whose} is not over yet: today is {today}. Pass {last} or earlier; None is the last {cycle} "
            "that is over"
        )
    return {**values, "date": first.isoformat()}


def ranking_final_on(values: Mapping[str, Value]) -> date:
    """Return the day from which the ranking of a cycle is final."""
    return _after_cycle(str(values["cycle"]), date.fromisoformat(str(values["date"]))) + _RANKING_SETTLES


def day_final_on(values: Mapping[str, Value]) -> date:
    """Return the day from which the figures of a day are final."""
    return date.fromisoformat(str(values["date"])) + DAY_SETTLES


def days_between(start: object, end: object, today: date) -> list[str]:
    """List the days from `start` to `end`, both included; an `end` of None is yesterday."""
    yesterday = today - _DAY
    last = date.fromisoformat(check_day("end", end) or yesterday.isoformat())
    if last > yesterday:
        raise InvalidArgumentError(f"end {last} is not over yet (today is {today}). Pass {yesterday} or earlier")
    first = _first_day(start, last)
    if first > last:
        raise InvalidArgumentError(f'start {first} is after end {last}. Exchange them, or pass a length such as "90D"')
    number = (last - first).days + 1
    if number > MOST_DAYS:
        raise InvalidArgumentError(f"from {first} to {last} are {number:,} days; at most {MOST_DAYS:,} are allowed")
    return [(first + timedelta(days=place)).isoformat() for place in range(number)]


def _first_day(start: object, last: date) -> date:
    """Return the first day: `start` is a day, or the length of the period that ends with the last day."""
    advice = f'start must be a day such as "2026-01-01", or a length in whole days such as "90D"; got {shown(start)}'
    found = _LENGTH.fullmatch(start.strip()) if isinstance(start, str) else None
    if found or isinstance(start, timedelta):
        days = int(found[1]) if found else 0 if start % _DAY else start // _DAY  # type: ignore[operator]
        if not 0 < days <= min(MOST_DAYS, last.toordinal()):
            raise InvalidArgumentError(advice)
        return last - timedelta(days=days - 1)
    if start is None or is_number(start) or (isinstance(start, str) and not start.strip()[:1].isdigit()):
        raise InvalidArgumentError(advice)
    try:
        return date.fromisoformat(str(check_day("start", start)))
    except InvalidArgumentError:
        if isinstance(start, str) and len(start.strip()) < len("2026-1-1"):  # "3W", "1M": meant as a length
            raise InvalidArgumentError(advice) from None
        raise
