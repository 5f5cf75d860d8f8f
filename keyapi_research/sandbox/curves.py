"""Time: the sandbox's calendar, and how the popularity of anything goes up and down in it.

A day is a number: days since 1970-01-01. Times in answers are 00:00 UTC of a day, in seconds.
"""

from __future__ import annotations

from datetime import date
from functools import cache, lru_cache
from typing import Any

from . import chance, effects, words

_EPOCH = date(1970, 1, 1).toordinal()
_YEAR = 365.2425
SECONDS_A_DAY = 86_400
_SATURDAY = 2  # 1970-01-03
_BURST_DAYS = 64  # each such stretch of days has a burst of its own, or none

_BURST_ODDS = 140  # of 255: a little more than every second stretch

# How finely the days of a period are looked at: so far back, every so many days.
_SAMPLING = ((7, 1), (30, 3), (120, 9), (365, 30), (1095, 90))

Burst = tuple[float, float, float, float]  # day of the peak, days of rise, days of fall, height


def number_of(day: date) -> int:
    """Return the number of a day."""
    return day.toordinal() - _EPOCH


FIRST_DAY = number_of(effects.TODAY)


def today(n: int) -> int:
    """Return the day of an entity's n-th answer."""
    return FIRST_DAY + effects.DAYS_BETWEEN_ANSWERS * (n - 1)


@cache
def months() -> tuple[str, ...]:
    """Return the months there are rankings of: the current one, and four back."""
    count = effects.TODAY.year * 12 + effects.TODAY.month - 1
    return tuple(f"{month // 12}-{month % 12 + 1:02}" for month in range(count - 4, count + 1))


def month_start(day: int, back: int = 0) -> int:
    """Return the first day of the month so many months before the day's."""
    current = date.fromordinal(day + _EPOCH)
    count = current.year * 12 + current.month - 1 - back
    return number_of(date(count // 12, count % 12 + 1, 1))


def window(time_scope: str, n: int) -> tuple[int, int]:
    """Return the first day and the day after the last that a time scope stands for."""
    now = today(n)
    if "-" not in time_scope:
        return now - int(time_scope), now
    year, month = map(int, time_scope.split("-"))
    first = number_of(date(year, month, 1))
    return first, max(first + 1, min(month_start(first, -1), now))


def window_before(time_scope: str, n: int) -> tuple[int, int]:
    """Return the window that a window is compared with: of a month under way, as many days of the month before."""
    first, end = window(time_scope, n)
    if "-" not in time_scope:
        return first - (end - first), first
    before = month_start(first, 1)
    return before, first if end == month_start(first, -1) else min(before + (end - first), first)


def bump(distance: float, rise: float, fall: float) -> float:
    """Return 1 at the peak, and less with the distance (days) before or after it."""
    if distance < 0:
        return 1.0 / (1.0 + (distance / rise) * (distance / rise))
    x = distance / fall
    return 1.0 / (1.0 + x + x * x / 2.0 + x * x * x / 6.0)


def season(name: str | None, day: float) -> float:
    """Return what a season multiplies demand by on a day."""
    if name is None:
        return 1.0
    peak, rise, fall, height = effects.SEASONS[name]
    distance = (day - number_of(peak) + _YEAR / 2.0) % _YEAR - _YEAR / 2.0
    days = rise if distance < 0 else fall
    return 1.0 + height / (1.0 + (distance / days) * (distance / days))


def season_mean(name: str | None, first: int, end: int) -> float:
    """Return the mean of a season over some days."""
    if name is None:
        return 1.0
    step = max(1, (end - first) // 8)
    days = range(first, end, step)
    return sum(season(name, day) for day in days) / len(days)


def _between(ends: tuple[float, float], grain: int) -> float:
    return ends[0] + (ends[1] - ends[0]) * grain / 255.0


@cache
def _documented() -> dict[tuple[str, str], dict[int, float]]:
    """Return the series of the documented answers, by name and region: a value of each day."""
    regions = {words.HASHTAG_NAME: "all_regions", words.CLIP_ID: "US"}
    return {
        (name, regions[name]): {row["time"] // SECONDS_A_DAY: row["value"] for row in found["trend"]}
        for name, found in words.DOCUMENTED_TRENDS.items()
    }


@lru_cache(maxsize=4096)
def _traits(seed: str, name: str) -> bytes:
    return chance.grains(seed, "curve", name)


@lru_cache(maxsize=16384)
def _burst(seed: str, name: str, stretch: int) -> Burst | None:
    draws = chance.grains(seed, "burst", name, stretch)
    if draws[0] > _BURST_ODDS:
        return None
    peak = stretch * _BURST_DAYS + draws[1] % _BURST_DAYS
    rise, fall = _between(effects.BURST_RISE, draws[2]), _between(effects.BURST_FALL, draws[3])
    return float(peak), rise, fall, min(9.0, 0.5 + 1.2 / (1.05 - draws[4] / 255.0))


def _buckets(period: int, now: int) -> list[range]:
    """Return the days that are looked at of each of a trend's buckets; all begin before today."""
    if period <= 30:  # noqa: PLR2004 - daily
        return [range(day, day + 1) for day in range(now - period, now)]
    if period == 1095:  # noqa: PLR2004 - monthly
        firsts = [month_start(now - 1, back) for back in range(35, -1, -1)]
        return [range(first, max(first + 1, end), 6) for first, end in zip(firsts, [*firsts[1:], now], strict=True)]
    weeks = 17 if period == 120 else 52  # noqa: PLR2004 - the others are a year
    last = now - 1 - (now - 1 - _SATURDAY) % 7
    return [range(week, min(week + 7, now), 3) for week in range(last - 7 * (weeks - 1), last + 1, 7)]


def _family_bursts(family: str, day: int) -> float:
    peak, every = effects.FAMILY_BURSTS[family]
    since = (day - number_of(peak)) % every
    both = bump(since, effects.FAMILY_RISE, effects.FAMILY_FALL)
    both += bump(since - every, effects.FAMILY_RISE, effects.FAMILY_FALL)
    return effects.FAMILY_HEIGHT * both


class Curve:
    """How often a hashtag or a sound is used in a region, day by day, relative to its own usual level.

    Markets follow one another within days. With ``ahead_of`` it has the bursts of a hashtag's family, some days before.
    """

    def __init__(
        self, seed: str, name: str, region: str, *, kind: str = "hashtag", ahead_of: str | None = None
    ) -> None:
        self.name, self.region = name, region
        self._seed, self._kind = seed, kind
        self._family = effects.FAMILY_OF.get(ahead_of or name)
        self._lead = effects.TWIN_LEAD_DAYS if ahead_of else 0
        self._season = effects.SEASONAL_HASHTAGS.get(name)
        self._event = effects.EVENTS.get(name)
        self.planted = bool(self._family or self._season)
        self._noise = effects.FAMILY_NOISE if self.planted else effects.OWN_NOISE
        traits = _traits(seed, name)
        self._weekend = _between(effects.WEEKEND_LIFT, traits[0])
        self._growth = _between(effects.YEARLY_GROWTH, traits[1])
        self._shift = 0 if region == "all_regions" else traits[2 + sum(map(ord, region)) % 32] % 5 - 2
        self._stretches: dict[int, tuple[Burst, ...]] = {}
        self._grains: dict[int, bytes] = {}
        self.documented: dict[int, float] = {}  # levels of documented days
        shares = _documented().get((name, region))
        if shares is not None:
            scale = sum(map(self.at, shares)) / sum(shares.values())
            self.documented = {day: value * scale for day, value in shares.items()}

    def at(self, day: int) -> float:
        """Return the level on a day."""
        if day in self.documented:
            return self.documented[day]
        level = max(0.2, 1.0 + self._growth * (day - FIRST_DAY) / _YEAR)
        if (day - _SATURDAY) % 7 < 2:  # noqa: PLR2004 - Saturday and Sunday
            level *= self._weekend
        if self.planted:
            if self._family is not None:
                level += _family_bursts(self._family, day + self._lead)
            level *= season(self._season, day)
        elif self._event is not None:
            peak, rise, fall, height = self._event
            level = effects.EVENT_USUAL * level + height * bump(day - number_of(peak), rise, fall)
        else:
            level += self._own_bursts(day + self._shift)
        return level * (1.0 + self._noise * self._wobble(day))

    def mean(self, first: int, end: int, *, samples: int) -> float:
        """Return the mean level over some days."""
        step = max(1, (end - first) // samples)
        days = range(end - 1, first - 1, -step)
        return sum(map(self.at, days)) / len(days)

    def total(self, now: int, period: int) -> float:
        """Return the sum of the levels of the days before today; a longer period never has less."""
        total, done = 0.0, 0
        for reach, step in _SAMPLING:
            reached = min(reach, period)
            days = range(now - 1 - done, now - 1 - reached, -step)
            if days:
                total += (reached - done) * sum(map(self.at, days)) / len(days)
            done = reached
        return total

    def _own_bursts(self, day: int) -> float:
        stretch = day // _BURST_DAYS
        bursts = self._stretches.get(stretch)
        if bursts is None:
            near = (_burst(self._seed, self.name, stretch + which) for which in (-2, -1, 0, 1))
            bursts = self._stretches[stretch] = tuple(burst for burst in near if burst is not None)
        total = 0.0
        for peak, rise, fall, height in bursts:
            total += height * bump(day - peak, rise, fall)
        return total

    def _wobble(self, day: int) -> float:
        block, place = divmod(day, 32)
        if block not in self._grains:
            self._grains[block] = chance.grains(self._seed, "wobble", self.name, self.region, block)
        grains = self._grains[block]
        return (grains[2 * place] * 256 + grains[2 * place + 1]) / 32767.5 - 1.0

    def trend(self, period: int, now: int) -> list[dict[str, Any]]:
        """Return the trend of a period as the answers have it: each level a share of the highest.

        It may have an issue, which does not depend on the day: a short series stays short.
        """
        found = [
            (days[0] * SECONDS_A_DAY, self.at(days[0]) if len(days) == 1 else sum(map(self.at, days)) / len(days))
            for days in _buckets(period, now)
        ]
        free = self.planted or self.documented
        draw = (
            1.0 if free else chance.Dice(self._seed, "trend issue", self._kind, self.name, self.region, period).unit()
        )
        if draw < effects.TREND_EMPTY:
            return []
        draw -= effects.TREND_EMPTY
        if 0 <= draw < effects.TREND_SHORT:
            found = found[-max(3, len(found) // 2 - 1) :]
        draw -= effects.TREND_SHORT
        if 0 <= draw < effects.TREND_UNSORTED:
            found = [*found[1::2], *found[::2]]
        draw -= effects.TREND_UNSORTED
        if 0 <= draw < effects.TREND_TWICE:
            middle = len(found) // 2
            found = [*found[:middle], *found[middle - 1 :]]
        draw -= effects.TREND_TWICE
        peak = max(level for _, level in found)
        if 0 <= draw < effects.TREND_PEAK_CUT:
            peak *= 1.02 + 3.0 * draw
        return [{"time": time, "value": chance.tidy(level / peak)} for time, level in found]
