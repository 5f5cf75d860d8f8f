"""Checks of series of days: what stands still, what is missing, what was changed later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..client.call import counted
from ..model import OBSERVED_AT, Table
from ..periods import DAY_SETTLES
from .findings import (
    FEW,
    TINY,
    Bools,
    Finding,
    Floats,
    Held,
    Severity,
    codes_of,
    entity_at,
    figures,
    moment,
    newest_of,
    numbers,
    places_by,
)

_DAY: Final = pd.Timedelta(days=1)
_RARELY: Final = 1e-9  # of chance, as there are many columns of many series
_EXPECTED: Final = 0.5  # runs that a series of such density has by itself
_OTHERS: Final = 2  # columns that move beside one that does not
_STOPS: Final = 3  # columns that stand still together
_DEVIATIONS: Final = 3  # of a rate that is not known exactly
_LIVELY: Final = 0.5  # share of days on which what lives moves
_PAUSE: Final = 28  # days without a sale that a creator may take off
_MAY_STOP: Final = frozenset({"videos", "lives", "creators"})  # people stop posting when they like


@dataclass(frozen=True)
class Days:
    """The newest observation of each day of the series of a table, by series and day."""

    frame: pd.DataFrame
    series: npt.NDArray[np.intp]  # number of the series of each row
    days: npt.NDArray[np.int64]

    @classmethod
    def of(cls, table: Table, frame: pd.DataFrame) -> Days:
        """Read them from all observations."""
        whom, day = table.key
        newest = newest_of(frame, [whom, day])
        days = newest[day].dt.tz_convert(None).to_numpy(dtype="datetime64[D]").astype(np.int64)
        return cls(newest, codes_of(newest, [whom]), days)

    def numbers(self, name: str) -> Floats:
        """Return a column as numbers."""
        return numbers(self.frame[name])


# What stands still ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Moves:
    """In which of its known rows a column of one series moves, by places in the frame."""

    places: npt.NDArray[np.intp]
    moved: Bools

    @property
    def since(self) -> int:
        """Place in `places` after the last move."""
        found = np.flatnonzero(self.moved)
        return int(found[-1]) + 1 if len(found) else 0

    @property
    def still(self) -> int:
        """Known rows without a move, to the end."""
        return len(self.places) - self.since

    @property
    def before(self) -> Bools:
        """The moves before it stood still."""
        return self.moved[: self.since]

    def is_frozen(self, least: int) -> bool:
        """Whether it stands still for longer than it would by itself, by how often it moved before."""
        if self.still < least or len(self.before) <= FEW:
            return False
        by_itself: float = (1 - _least_rate(self.before)) ** self.still
        return by_itself <= _RARELY

    def rate_from(self, place: int) -> float:
        """Return on which share of the rows from a place on it moves."""
        moved = self.moved[self.places >= place]
        return float(moved.mean()) if len(moved) else 0.0


def frozen(held: Held) -> Iterator[Finding]:
    """Find columns of a series that stand still to its end while others of the series move, and series that stop."""
    least = int(held.thresholds["frozen"])
    for table, frame in held.tables(series=True):
        days = Days.of(table, frame)
        values = {
            column.name: (days.numbers(column.name), column.of == "total")
            for column in sorted(table.columns, key=lambda one: one.name)
            if column.of == "total" or (column.of == "of the day" and column.least is None)
        }
        for rows in places_by(days.series):
            yield from _frozen_of(table, days, {name: _moves(rows, *each) for name, each in values.items()}, least)


def _moves(rows: npt.NDArray[np.intp], values: Floats, is_total: bool) -> _Moves:
    """Return where a total is not what it was, or a gain is not 0."""
    places = rows[~np.isnan(values[rows])]
    known = values[places]
    return _Moves(places, np.r_[True, np.diff(known) != 0][: len(known)] if is_total else known != 0)


def _least_rate(moved: Bools) -> float:
    """Return how often a column moves at least, as far as some days can say it (Wilson's interval)."""
    n, rate, squared = len(moved), float(moved.mean()), _DEVIATIONS**2
    spread = _DEVIATIONS * np.sqrt(rate * (1 - rate) / n + squared / (4 * n**2))
    return float(max((rate + squared / (2 * n) - spread) / (1 + squared / n), 0.0))


def _frozen_of(table: Table, days: Days, moves: Mapping[str, _Moves], least: int) -> Iterator[Finding]:
    """Find what stands still in one series."""
    whom, day = table.key
    stops = []
    for name, each in moves.items():
        if not each.is_frozen(least):
            continue
        first, last = each.places[each.since], each.places[-1]
        others = [one for one in moves if one != name and moves[one].rate_from(first) > _LIVELY]
        if len(others) < _OTHERS:
            stops.append(name)
            continue
        yield Finding(
            "frozen", _severity(whom, name, each.still), table.name, entity_at(days.frame, [whom], first), name,
            days.frame[day].iloc[first], days.frame[day].iloc[last], each.still,
            f"{name} stays {days.frame[name].iloc[last]:,.0f} on {counted(each.still, 'observed day')}, while "
            f"{', '.join(others[:_STOPS])} change; in the {len(each.before):,} days before it did not change on "
            f"{(~each.before).sum():,}",
        )  # fmt: skip
    if len(stops) >= _STOPS:
        latest = max((moves[name] for name in stops), key=lambda one: int(one.places[one.since]))
        first, last = latest.places[latest.since], latest.places[-1]
        others = [one for one in moves if moves[one].rate_from(first) > _LIVELY]
        severity: Severity = "suspect" if whom == "user_id" else "note"  # products are taken off the market
        yield Finding(
            "frozen", severity, table.name, entity_at(days.frame, [whom], first), ", ".join(stops),
            days.frame[day].iloc[first], days.frame[day].iloc[last], latest.still,
            f"{', '.join(stops)} do not change on {counted(latest.still, 'observed day')} or more, and did on most "
            f"days before; {f'only {others[0]} still changes' if others else 'no column still changes'}",
        )  # fmt: skip


def _severity(whom: str, name: str, still: int) -> Severity:
    """Return how bad it is that a column stands still: people and products may stop selling for a while."""
    is_sale = name.endswith("_est")
    return "note" if name in _MAY_STOP or (is_sale and (whom != "user_id" or still < _PAUSE)) else "suspect"


# What is missing, or changed --------------------------------------------------------------------------------


def gap(held: Held) -> Iterator[Finding]:
    """Find days of a series that are missing in a row, more than its density explains."""
    least = max(int(held.thresholds["gap"]), 1)
    for table, frame in held.tables(series=True):
        whom, day = table.key
        days = Days.of(table, frame)
        for rows in places_by(days.series):
            here = days.days[rows]
            missing, span = np.diff(here) - 1, here[-1] - here[0] + 1
            usual = max(1 - len(here) / span, 0.01)
            for place in np.flatnonzero((missing >= least) & (usual**missing * len(here) <= _EXPECTED)):
                start, stop = (days.frame[day].iloc[rows[place + step]] for step in (0, 1))
                yield Finding(
                    "gap", "note", table.name, entity_at(days.frame, [whom], rows[0]), day, start + _DAY, stop - _DAY,
                    int(missing[place]),
                    f"{counted(missing[place], 'day')} in a row have no row ({len(here)} of {counted(span, 'day')} "
                    "have one). Missing is not zero",
                )  # fmt: skip


def revised_past(held: Held) -> Iterator[Finding]:
    """Find days that have another value in a later answer."""
    least = held.thresholds["revised_past"]
    for table, frame in held.tables(series=True):
        whom, day = table.key
        several = frame[frame.duplicated([whom, day], keep=False)].sort_values([whom, day, OBSERVED_AT.name])
        same = several.duplicated([whom, day]).to_numpy()[1:]
        entity, observed = codes_of(several, [whom])[1:], several[OBSERVED_AT.name]
        final = (observed - several[day] >= DAY_SETTLES).to_numpy()[:-1]  # when it was seen first
        for column in table.columns if len(several) else ():
            values = numbers(several[column.name]) if column.of else np.zeros(len(several))
            before, after = values[:-1], values[1:]
            with np.errstate(divide="ignore", invalid="ignore"):
                change = np.abs(after - before) / np.maximum(np.abs(before), 1)
            found = np.flatnonzero(same & (change > least))
            for those in places_by(entity[found]):
                yield _revision(table, several, column.name, found[those], (before, after, change, final))


def _revision(
    table: Table, rows: pd.DataFrame, name: str, places: npt.NDArray[np.intp], numbers_: tuple[Any, ...]
) -> Finding:
    """Describe what was changed of one column of one series."""
    before, after, change, final = numbers_
    whom, day = table.key
    large = final[places] & (np.abs(after - before)[places] >= TINY)
    telling = places[large] if large.any() else places  # what is shown is why it is suspect
    most = telling[change[telling].argmax()]
    was, is_ = figures(before[most], after[most])
    days, observed = rows[day], rows[OBSERVED_AT.name]
    changed = days.iloc[places + 1].nunique()
    return Finding(
        "revised_past", "suspect" if large.any() else "note", table.name, entity_at(rows, [whom], most), name,
        days.iloc[places + 1].min(), days.iloc[places + 1].max(), changed,
        f"{name} of {moment(days.iloc[most])} was {was} (observed {moment(observed.iloc[most])}) and is {is_} "
        f"(observed {moment(observed.iloc[most + 1])}); {counted(changed, 'day')} "
        f"{'was' if changed == 1 else 'were'} changed",
    )  # fmt: skip
