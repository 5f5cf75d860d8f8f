"""Checks of series of days: what stands still, what is missing, what was changed later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..model import OBSERVED_AT, Table
from .findings import FEW, UNLIKELY, Bools, Finding, Floats, Held, Severity, entity_at, moment, newest_of, numbers

_DAY: Final = pd.Timedelta(days=1)
_FINAL: Final = 3 * _DAY  # after this long a day should not change any more
_EXPECTED: Final = 0.5  # runs that a series of such density has by itself
_OTHERS: Final = 2  # columns that move beside one that does not, or stand still with it
_DEVIATIONS: Final = 3  # of a rate that is not known exactly
_MAY_STOP: Final = frozenset({"videos", "lives", "creators"})  # people stop posting, or selling, when they like
_LIVELY: Final = 0.5  # share of days on which what lives moves
_MOST_NAMED: Final = 3


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
        codes = pd.factorize(newest[whom])[0].astype(np.intp)
        days = newest[day].dt.tz_convert(None).to_numpy(dtype="datetime64[D]").astype(np.int64)
        return cls(newest, codes, days)

    @property
    def ends(self) -> list[tuple[int, int]]:
        """First row of each series, and the one after its last."""
        starts = np.flatnonzero(np.r_[True, np.diff(self.series) != 0])
        return list(zip(starts.tolist(), [*starts[1:].tolist(), len(self.series)], strict=True))

    def numbers(self, name: str) -> Floats:
        """Return a column as numbers."""
        return numbers(self.frame[name])


def frozen(held: Held) -> Iterator[Finding]:
    """Find columns of a series that stand still to its end while others of the series move, and series that stop."""
    least = int(held.thresholds["frozen"])
    for table, frame in held.tables(series=True):
        days = Days.of(table, frame)
        moves = _moves_of(days, table)
        # How often a column stands still in the series that it stands still in most.
        rates = {
            name: [1 - each[first + 1 : end].mean() for first, end in days.ends if end - first > FEW]
            for name, each in moves.items()
        }
        peers = {name: float(np.quantile(each, 0.9)) if each else 1.0 for name, each in rates.items()}
        for first, end in days.ends:
            here = {name: each[first:end] for name, each in moves.items()}
            yield from _frozen_of(table, days, first, here, peers, least)


def _frozen_of(
    table: Table, days: Days, first: int, moves: Mapping[str, Bools], peers: Mapping[str, float], least: int
) -> Iterator[Finding]:
    """Find what stands still in one series, whose first row is given."""
    still = {name: _still_since(each) for name, each in moves.items()}
    found = []
    for name, since in still.items():
        length, before = len(moves[name]) - since, moves[name][:since]
        usual = 1 - _least_rate(before) if len(before) > FEW else peers[name]
        if length >= least and usual**length <= UNLIKELY**1.5:
            found.append(name)
    whom, day = table.key
    entity, stops = entity_at(days.frame, [whom], first), []
    for name in found:
        since, length = still[name], len(moves[name]) - still[name]
        last = days.frame[day].iloc[first + len(moves[name]) - 1]
        others = [one for one in moves if one != name and moves[one][since:].mean() > _LIVELY]
        if len(others) >= _OTHERS:
            value, severity = days.frame[name].iloc[first + since], _severity_of(name)
            yield Finding(
                "frozen", severity, table.name, entity, name, days.frame[day].iloc[first + since], last, length,
                f"{name} stays {value:,.0f} on {length} observed days, while {', '.join(others[:_MOST_NAMED])} move; "
                f"before, it stood still on {(~moves[name][:since]).sum()} of {since} days",
            )  # fmt: skip
        elif not others:
            stops.append(name)
    if len(stops) > _OTHERS:
        since = max(still[name] for name in stops)
        length = len(moves[stops[0]]) - since
        last = days.frame[day].iloc[first + len(moves[stops[0]]) - 1]
        severity = "suspect" if whom == "user_id" else "note"  # products are taken off the market
        yield Finding(
            "frozen", severity, table.name, entity, ", ".join(stops), days.frame[day].iloc[first + since], last, length,
            f"nothing moves on {length} observed days: {', '.join(stops)} stand still from the same time on, and moved "
            f"on most of the {since} days before",
        )  # fmt: skip


def _severity_of(name: str) -> Severity:
    """Return how bad it is that a column stands still."""
    return "note" if name in _MAY_STOP else "suspect"


def _moves_of(days: Days, table: Table) -> dict[str, Bools]:
    """Return in which rows each column moves: a gain that is not 0, a total that is not what it was."""
    found = {}
    for column in sorted(table.columns, key=lambda one: one.name):
        values = days.numbers(column.name) if column.of in ("of the day", "total") else np.empty(0)
        if column.of == "of the day" and column.least is None:
            moved = np.nan_to_num(values) != 0
        elif column.of == "total":
            moved = np.r_[True, (np.diff(values) != 0) | (np.diff(days.series) != 0)]
        else:
            continue
        found[column.name] = np.asarray(moved & ~np.isnan(values), dtype=np.bool_)
    return found


def _least_rate(moved: Bools) -> float:
    """Return how often a column moves at least, as far as some days can say it (Wilson's interval)."""
    n, rate, squared = len(moved), float(moved.mean()), _DEVIATIONS**2
    spread = _DEVIATIONS * np.sqrt(rate * (1 - rate) / n + squared / (4 * n**2))
    return float(max((rate + squared / (2 * n) - spread) / (1 + squared / n), 0.0))


def _still_since(moves: Bools) -> int:
    """Return the place after the last move of a series."""
    found = np.flatnonzero(moves)
    return int(found[-1]) + 1 if len(found) else 0


def gap(held: Held) -> Iterator[Finding]:
    """Find days of a series that are missing in a row, more than the rest of it lets expect."""
    least = int(held.thresholds["gap"])
    for table, frame in held.tables(series=True):
        days = Days.of(table, frame)
        for first, end in days.ends:
            here = days.days[first:end]
            missing = np.diff(here) - 1
            usual = 1 - len(here) / (here[-1] - here[0] + 1)
            for place in np.flatnonzero(missing >= max(least, 1)):
                if max(usual, 0.01) ** missing[place] * len(here) > _EXPECTED:
                    continue
                start, stop = (days.frame[table.key[1]].iloc[first + place + step] for step in (0, 1))
                yield Finding(
                    "gap", "note", table.name, entity_at(days.frame, table.key[:1], first), table.key[1],
                    start + _DAY, stop - _DAY, int(missing[place]),
                    f"{missing[place]} days in a row have no row, where {len(here)} of {here[-1] - here[0] + 1} days "
                    "have one. Missing is not zero",
                )  # fmt: skip


def revised_past(held: Held) -> Iterator[Finding]:
    """Find days that have another value in a later answer."""
    least = held.thresholds["revised_past"]
    for table, frame in held.tables(series=True):
        whom, day = table.key
        several = frame[frame.duplicated([whom, day], keep=False)].sort_values([whom, day, OBSERVED_AT.name])
        if several.empty:
            continue
        final = (several[OBSERVED_AT.name] - several[day] >= _FINAL).to_numpy()[:-1]
        same = several.duplicated([whom, day]).to_numpy()[1:]
        for column in table.columns:
            if not column.of:
                continue
            values = numbers(several[column.name])
            before, after = values[:-1], values[1:]
            with np.errstate(divide="ignore", invalid="ignore"):
                change = np.abs(after - before) / np.maximum(np.abs(before), 1)
            found = np.flatnonzero(same & (change > least))
            whose = several[whom].to_numpy()[1:][found]
            for entity in pd.unique(whose):
                some = found[whose == entity]
                most = some[change[some].argmax()]
                moments = several[day].iloc[some + 1]
                yield Finding(
                    "revised_past", "suspect" if final[some].any() else "note", table.name, str(entity), column.name,
                    moments.min(), moments.max(), len(some),
                    f"{column.name} of {several[day].iloc[most]:%Y-%m-%d} was {before[most]:,.0f} "
                    f"(observed {moment(several[OBSERVED_AT.name].iloc[most])}) and is {after[most]:,.0f} "
                    f"(observed {moment(several[OBSERVED_AT.name].iloc[most + 1])})",
                )  # fmt: skip
