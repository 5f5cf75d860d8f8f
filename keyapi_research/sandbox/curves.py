"""Time: the sandbox's calendar, and how the popularity of anything goes up and down in it.

A day is a number: days since 1970-01-01. Times in answers are 00:00 UTC of a day, in seconds. Of NumPy only what IEEE
754 fixes is used, so that a day has the same level on every machine, whatever days it is looked at with.
"""

from __future__ import annotations

import math
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from . import chance, effects, words
from .identity import Setting

Levels = npt.NDArray[np.float64]
Days = npt.NDArray[np.int64]
ALL = "all_regions"
_EPOCH = date(1970, 1, 1).toordinal()
_YEAR = 365.2425
SECONDS_A_DAY = 86_400
_SATURDAY = 2  # 1970-01-03
_STRETCH = 64  # days; each such stretch of days has a burst of its own, or none
_BURST_SHARE = 0.55  # of the stretches, those with a burst
_BURST_SEEN = 96  # days before and after its peak; beyond, a hundredth of its height may be left
_MARGIN = 40  # days that are looked at before a period: its first week or month, and the list before
_ISSUES = {
    "empty": effects.TREND_EMPTY,
    "short": effects.TREND_SHORT,
    "unsorted": effects.TREND_UNSORTED,
    "twice": effects.TREND_TWICE,
    "peak cut": effects.TREND_PEAK_CUT,
}


def number_of(day: date) -> int:
    """Return the number of a day."""
    return day.toordinal() - _EPOCH


FIRST_DAY = number_of(effects.TODAY)


def day_of(setting: Setting, n: int) -> int:
    """Return the day of the n-th answer about a hashtag, a sound, a video or a category."""
    return FIRST_DAY + setting.later(n)


def month_start(day: int, back: int = 0) -> int:
    """Return the first day of the month so many months before the day's."""
    current = date.fromordinal(day + _EPOCH)
    count = current.year * 12 + current.month - 1 - back
    return number_of(date(count // 12, count % 12 + 1, 1))


# There are rankings of the current month and of four before it.
MONTHS = [f"{date.fromordinal(month_start(FIRST_DAY, back) + _EPOCH):%Y-%m}" for back in range(5)]


def windows(time_scope: str, now: int) -> tuple[range, range]:
    """Return the days that a time scope stands for on a day, and those they are compared with."""
    if "-" not in time_scope:
        days = int(time_scope)
        return range(now - days, now), range(now - 2 * days, now - days)
    first = number_of(date.fromisoformat(f"{time_scope}-01"))
    month = range(first, max(first + 1, min(month_start(first, -1), now)))
    before = range(month_start(first, 1), first)
    return month, before if month.stop == month_start(first, -1) else before[: len(month)]  # of one under way, as many


def total(levels: Levels) -> float:
    """Return the sum of some levels, which does not depend on the order in which a machine adds."""
    return math.fsum(levels.tolist())


def bump(distance: Days | Levels, rise: float | Levels, fall: float | Levels) -> Levels:
    """Return 1 at the peak, and less with the distance (days) before or after it."""
    before, x = np.minimum(distance, 0.0) / rise, np.maximum(distance, 0.0) / fall
    return 1.0 / ((1.0 + before * before) * (1.0 + x * (1.0 + x * (0.5 + x / 6.0))))


def season(name: str, days: npt.ArrayLike) -> Levels:
    """Return what a season multiplies demand by on some days."""
    peak, rise, fall, height = effects.SEASONS[name]
    distance = (np.asarray(days) - number_of(peak) + _YEAR / 2.0) % _YEAR - _YEAR / 2.0
    distance = distance / np.where(distance < 0, rise, fall)
    return 1.0 + height / (1.0 + distance * distance)


def _family_bursts(family: str, days: Days) -> Levels:
    peak, every = effects.FAMILY_BURSTS[family]
    since = (days - number_of(peak)) % every
    rise, fall = effects.FAMILY_RISE, effects.FAMILY_FALL
    return effects.FAMILY_HEIGHT * (bump(since, rise, fall) + bump(since - every, rise, fall))


@lru_cache(maxsize=16384)
def _burst(seed: str, name: str, stretch: int) -> tuple[int, float, float, float] | None:
    """Return the day of the peak, the days of rise and fall, and the height."""
    dice = chance.Dice(seed, "burst", name, stretch)
    if not dice.chance(_BURST_SHARE):
        return None
    peak, rise, fall = dice.whole(0, _STRETCH - 1), dice.between(*effects.BURST_RISE), dice.between(*effects.BURST_FALL)
    return stretch * _STRETCH + peak, rise, fall, min(9.0, 0.5 + 1.2 / (1.05 - dice.unit()))


def _own_bursts(setting: Setting, name: str, days: Days) -> Levels:
    stretches = range((days[0] - _BURST_SEEN) // _STRETCH, (days[-1] + _BURST_SEEN) // _STRETCH + 1)
    found = [_burst(setting.seed, name, stretch) for stretch in stretches]
    bursts: Levels = np.array([burst for burst in found if burst is not None]).reshape(-1, 4, 1)
    distance = days - bursts[:, 0]
    height = bursts[:, 3] * (np.abs(distance) <= _BURST_SEEN)
    if not setting.effects:
        distance = -np.abs(distance)  # each falls as it rises
    levels: Levels = (height * bump(distance, bursts[:, 1], bursts[:, 2])).sum(axis=0)
    return levels


def _wobble(seed: str, name: str, region: str, days: Days) -> Levels:
    """Return even noise from -1 to 1."""
    first, last = days[0] // 32, days[-1] // 32
    drawn = b"".join(chance.grains(seed, "wobble", name, region, block) for block in range(first, last + 1))
    levels: Levels = np.frombuffer(drawn, "<u2")[days - 32 * first] / 32767.5 - 1.0
    return levels


def _synthetic(setting: Setting, name: str, region: str, days: Days) -> Levels:
    seed = setting.seed
    traits, here = chance.Dice(seed, "curve", name), chance.Dice(seed, "curve", name, region)
    weekend, growth = traits.between(*effects.WEEKEND_LIFT), traits.between(*effects.YEARLY_GROWTH)
    level: Levels = np.maximum(0.2, 1.0 + growth * (days - FIRST_DAY) / _YEAR)
    level[(days - _SATURDAY) % 7 < 2] *= weekend  # noqa: PLR2004 - Saturdays and Sundays
    family, seasonal = effects.FAMILY_OF.get(name), effects.SEASONAL_HASHTAGS.get(name)
    if family is not None:
        level += _family_bursts(family, days + (effects.TWIN_LEAD_DAYS if name == effects.TWIN_SOUND else 0))
    elif seasonal is not None:
        level *= season(seasonal, days)
    elif name in effects.EVENTS:
        peak, rise, fall, height = effects.EVENTS[name]
        level = effects.EVENT_USUAL * level + height * bump(days - number_of(peak), rise, fall)
    else:
        level += _own_bursts(setting, name, days + (0 if region == ALL else here.whole(-2, 2)))
    noise = effects.OWN_NOISE if family is None and seasonal is None else effects.FAMILY_NOISE
    return level * (1.0 + noise * _wobble(seed, name, region, days))


@lru_cache(maxsize=4096)
def _levels(setting: Setting, name: str, region: str, first: int, end: int) -> Levels:
    level = _synthetic(setting, name, region, np.arange(first, end))
    if words.DOCUMENTED_REGIONS.get(name) == region:  # on documented days, as documented
        rows = words.DOCUMENTED_TRENDS[name]["trend"]
        days, values = (np.array([row[key] for row in rows]) for key in ("time", "value"))
        days //= SECONDS_A_DAY
        scale = total(_synthetic(setting, name, region, days)) / total(values)
        seen = (first <= days) & (days < end)
        level[days[seen] - first] = values[seen] * scale
    return level


def levels(setting: Setting, name: str, region: str, period: int, now: int) -> Levels:
    """Return how often a hashtag or a sound is used in a region, relative to its usual level, on the days before today.

    These are the days of a period, and some before it. Markets follow one another within days.
    """
    return _levels(setting, name, region, now - period - _MARGIN, now)


def _buckets(period: int, now: int) -> list[range]:
    """Return the days of each of a trend's buckets; all begin before today."""
    if period <= 30:  # noqa: PLR2004 - daily
        return [range(day, day + 1) for day in range(now - period, now)]
    if period == 1095:  # noqa: PLR2004 - monthly
        firsts = [month_start(now - 1, back) for back in range(35, -1, -1)]
        return [range(first, end) for first, end in zip(firsts, [*firsts[1:], now], strict=True)]
    weeks = 17 if period == 120 else 52  # noqa: PLR2004 - the others are a year
    last = now - 1 - (now - 1 - _SATURDAY) % 7
    return [range(week, min(week + 7, now)) for week in range(last - 7 * (weeks - 1), last + 1, 7)]


def trend(setting: Setting, name: str, region: str, period: int, now: int) -> list[dict[str, Any]]:
    """Return the trend of a period as the answers have it: each level a share of the highest.

    It may have an issue, which does not depend on the day: a short series stays short.
    """
    level = levels(setting, name, region, period, now)
    first = now - len(level)
    found = [
        (days.start * SECONDS_A_DAY, total(level[days.start - first : days.stop - first]) / len(days))
        for days in _buckets(period, now)
    ]
    free = name in effects.PLANTED or words.DOCUMENTED_REGIONS.get(name) == region
    issue = "" if free else chance.Dice(setting.seed, "trend issue", name, region, period).outcome(_ISSUES)
    peak = max(value for _, value in found) * (1.08 if issue == "peak cut" else 1.0)
    middle = len(found) // 2
    found = {
        "empty": [],
        "short": found[-max(3, middle - 1) :],
        "unsorted": [*found[1::2], *found[::2]],
        "twice": [*found[:middle], *found[middle - 1 :]],
    }.get(issue, found)
    return [{"time": time, "value": chance.tidy(value / peak)} for time, value in found]
