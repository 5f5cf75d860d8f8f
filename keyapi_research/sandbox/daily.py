"""What creators do and sell from day to day: gains, each a function of the seed, of whom and of the day.

Arrays begin on `effects.FIRST_DAY` and have one value a day. Noise is whole numbers of 64 bits, mixed as in SplitMix64;
what has to be exponential comes from small tables. So a day has the same value on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from . import chance, effects
from .identity import Creator, Product, Promotion, Setting, sellers, showcase, stage

Whole = npt.NDArray[Any]
Bits = npt.NDArray[np.uint64]
Factor = npt.NDArray[np.float64]

LENGTH = effects.LAST_DAY - effects.FIRST_DAY + 1
_DAYS = np.arange(effects.FIRST_DAY, effects.LAST_DAY + 1)
_WEEKDAY = (_DAYS + 3) % 7  # 1970-01-01 was a Thursday
_STEPS = np.arange(1, LENGTH + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
_SEEN = 12  # days for which something viral shows
_QUANTILES = [float(f"{NormalDist().inv_cdf((k + 0.5) / 256):.12g}") for k in range(256)]
_PRICE_STEPS = np.array((-15, -10, -5, 0, 0, 0, 5, 10))  # percent, for so many days:
_PRICE_DAYS = 28
# Views a day, units a day: medians of those on a stage, of others of the world, and of foreign ones.
_VIEWS, _PACE, _OTHER_PACE = (30_000.0, 4_000.0, 300.0), (14.0, 0.3, 0.0), (5.0, 0.2, 0.05)


@dataclass(frozen=True, eq=False)
class Activity:
    """What a creator gains from day to day, what they had before, and what their views do to their sales."""

    gains: Mapping[str, Whole]
    before: Mapping[str, int]
    demand: Factor


def noise(*key: object) -> Bits:
    """Return 64 evenly distributed bits a day, a function of the key and the day."""
    mixed: Bits = np.uint64(chance.number(*key)) + _STEPS
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def byte(bits: Bits, place: int) -> Whole:
    """Return one of the eight bytes of noise."""
    return (bits >> np.uint64(8 * place) & np.uint64(255)).astype(np.int64)


@cache
def spread(sigma: float) -> Factor:
    """Return the factors that bytes stand for: lognormal, with median 1."""
    return np.array([chance.exp(sigma * quantile) for quantile in _QUANTILES])


@cache
def _viral(power: float) -> Factor:
    """Return what something viral multiplies by, to a power, by its byte and the days since."""
    low, high = effects.VIRAL_HEIGHT
    heights = [low * chance.power(high / low, k / 255) for k in range(256)]
    decay = [chance.power(effects.VIRAL_DECAY, k) if k else 1.0 for k in range(_SEEN)]
    return np.array([[chance.power(1.0 + (height - 1.0) * left, power) for left in decay] for height in heights])


def _by_weekday(factors: tuple[float, ...]) -> Factor:
    found: Factor = np.array(factors)[_WEEKDAY]
    return found


@lru_cache(maxsize=64)
def _market(seed: str, kind: str, place: int) -> Factor:
    """Return what a market does on a day to the views, or to the units, of all in it."""
    weekday = effects.WEEKDAY_VIEWS if kind == "views" else effects.WEEKDAY_UNITS
    shock: Factor = spread(effects.MARKET_NOISE)[byte(noise(seed, "market", kind, place), 0)]
    return shock * _by_weekday(weekday)


def _level(setting: Setting, creator: Creator) -> int:
    return 2 if not creator.slot else 0 if creator.category in stage(setting.seed, creator.place) else 1


def _own_views(bits: Bits, power: float) -> Factor:
    """Return what a creator's days multiply their usual views by, to a power."""
    found: Factor = spread(effects.VIEWS_NOISE * power)[byte(bits, 0)]
    viral, heights = np.ones(LENGTH), byte(bits, 3)
    draw = (bits >> np.uint64(8) & np.uint64(0xFFFF)).astype(np.int64)
    for day in np.flatnonzero(draw < int(effects.VIRAL_SHARE * 65536)).tolist():
        part = viral[day : day + _SEEN]
        np.maximum(part, _viral(power)[heights[day], : len(part)], out=part)
    return found * viral


@lru_cache(maxsize=1024)
def activity(setting: Setting, creator: Creator) -> Activity:
    """Return a creator's days, but for what they sell and post."""
    dice = chance.Dice(setting.seed, "activity", creator.user_id)
    bits, more = (noise(setting.seed, kind, creator.user_id) for kind in ("views", "followers"))
    usual = dice.lognormal(_VIEWS[_level(setting, creator)], 0.9) * creator.popularity
    views = (usual * _own_views(bits, 1.0) * _market(setting.seed, "views", creator.place)).astype(np.int64)
    rates = {"likes": dice.between(0.02, 0.09), "comments": dice.between(0.0005, 0.004)}
    rates["shares"] = dice.between(0.0005, 0.005)
    gains = {"views": views}
    for place, (name, rate) in enumerate(rates.items(), start=4):
        gains[name] = (views * (rate * spread(0.2)[byte(bits, place)])).astype(np.int64)
    following, leaving = dice.between(0.002, 0.01), dice.between(0.1, 1.9)
    new = (views * (following * spread(0.3)[byte(more, 0)])).astype(np.int64)
    gains["followers"] = new - (usual * following * leaving * spread(0.3)[byte(more, 1)]).astype(np.int64)
    live, posts = dice.whole(0, 60) if dice.chance(0.5) else 0, dice.whole(20, 200)
    gains["lives"] = (byte(more, 2) < live).astype(np.int64)
    gains["videos"] = (byte(more, 3) < posts).astype(np.int64) + (byte(more, 4) < posts // 4)
    before = {"views": int(usual * dice.between(200, 1500))}
    lost = following * max(0.0, leaving - 0.95) * LENGTH  # in all days, a bit more than what may become of it
    before["followers"] = int(usual * (dice.between(0.2, 1.5) + lost)) + 50
    gains["followers"] += _breakthroughs(setting.seed, creator, before["followers"] + np.cumsum(gains["followers"]))
    before |= {name: int(before["views"] * rate) for name, rate in rates.items()}
    before |= {"lives": dice.whole(0, 2 * live), "videos": dice.whole(5, 4 * posts)}
    return Activity(gains, before, _demand(setting, creator, bits))


def _breakthroughs(seed: str, creator: Creator, totals: Whole) -> Whole:
    """Return the followers that come, from day to day, when a creator becomes known; `totals` are those without."""
    found = np.zeros(LENGTH, np.int64)
    for stretch in range(0, LENGTH, effects.BREAKTHROUGH_EVERY):
        dice = chance.Dice(seed, "becomes known", creator.user_id, stretch)
        days, times = dice.whole(*effects.BREAKTHROUGH_DAYS), dice.between(*effects.BREAKTHROUGH_TIMES)
        first = stretch + dice.whole(0, effects.BREAKTHROUGH_EVERY - days)
        if first + days <= LENGTH:
            had = int(totals[first] + found[:first].sum())
            found[first : first + days] = int(had * (times - 1.0) / days)
    return found


def _demand(setting: Setting, creator: Creator, bits: Bits) -> Factor:
    """Return what the days of a market, and the views of these days, multiply a creator's units by."""
    found = _market(setting.seed, "units", creator.place).copy()
    for lag, share in enumerate(effects.UNITS_LAGS if setting.effects else ()):
        factor = _own_views(bits, effects.UNITS_ON_VIEWS * share)
        found[lag:] *= factor[: LENGTH - lag]
    return found


def followers(setting: Setting, creator: Creator, day: int) -> tuple[int, float]:
    """Return a creator's followers at the end of a day, and their mean over the days to the sandbox's today."""
    known = activity(setting, creator)
    totals = known.before["followers"] + np.cumsum(known.gains["followers"])
    until = effects.TODAY.toordinal() - effects.EPOCH - effects.FIRST_DAY
    return int(totals[min(max(day - effects.FIRST_DAY, 0), LENGTH - 1)]), int(totals[:until].sum()) / until


# ---- sales -------------------------------------------------------------------------------------------------------


def _on_sale(product: Product, since: int) -> tuple[int, int]:
    first = min(max(since - effects.FIRST_DAY, 0), LENGTH)
    return first, min(max(product.end - effects.FIRST_DAY, first), LENGTH)


def _whole_units(rate: Factor, bits: Bits, span: tuple[int, int]) -> Whole:
    """Return units by their expectation: rounded up as often as is left, and none but in a span of days."""
    rest = (bits >> np.uint64(16) & np.uint64(0xFFFF)).astype(np.int64) / 65536.0
    units = (rate * spread(effects.UNITS_NOISE)[byte(bits, 0)] + rest).astype(np.int64)
    units[: span[0]] = 0
    units[span[1] :] = 0
    return units


@lru_cache(maxsize=16384)
def _pace(setting: Setting, creator: Creator) -> float:
    return chance.Dice(setting.seed, "pace", creator.user_id).lognormal(_PACE[_level(setting, creator)], 1.2)


@lru_cache(maxsize=8192)
def units(setting: Setting, promotion: Promotion) -> Whole:
    """Return the units of a product that a creator sells on each day."""
    creator, product = promotion.creator, promotion.product
    bits = noise(setting.seed, "units", creator.user_id, product.product_id)
    rate = (_pace(setting, creator) * promotion.share) * activity(setting, creator).demand
    return _whole_units(rate, bits, _on_sale(product, promotion.since)).astype(np.int32)  # thousands of them are kept


def other_units(setting: Setting, product: Product) -> Whole:
    """Return the units of a product that nobody known sells."""
    level = 2 if product.number < 0 else 0 if product.home in stage(setting.seed, product.place) else 1
    pace = chance.Dice(setting.seed, "other pace", product.product_id).lognormal(_OTHER_PACE[level], 1.2)
    rate = pace * _market(setting.seed, "units", product.place)
    return _whole_units(rate, noise(setting.seed, "other units", product.product_id), _on_sale(product, product.launch))


@lru_cache(maxsize=2048)
def prices(seed: str, product: Product) -> Whole:
    """Return the price of a product on each day, in cents."""
    stretch = (_DAYS - effects.FIRST_DAY) // _PRICE_DAYS
    steps = _PRICE_STEPS[byte(noise(seed, "price", product.product_id), 0)[stretch] % 8]
    found: Whole = product.price * (100 + steps) // 100
    return found


def _sum(parts: Iterable[Whole]) -> Whole:
    total = np.zeros(LENGTH, np.int64)
    for part in parts:
        total += part
    return total


def creator_sales(setting: Setting, creator: Creator) -> dict[str, Whole]:
    """Return what a creator sells on each day, over all products; money in cents."""
    found = {name: np.zeros(LENGTH, np.int64) for name in ("units", "gmv", "video_units", "video_gmv", "live_gmv")}
    for promotion in showcase(setting.seed, creator):
        for name, gain in promotion_sales(setting, promotion).items():
            if name in found:
                found[name] += gain
    return found


def promotion_sales(setting: Setting, promotion: Promotion) -> dict[str, Whole]:
    """Return what a creator sells of a product on each day, and of that by videos and by lives."""
    return _sales(setting, promotion.product, units(setting, promotion))


def _sales(setting: Setting, product: Product, sold: Whole) -> dict[str, Whole]:
    """Return units and money of each day. Rounded down, the parts of all sellers are at most those of the product."""
    price = prices(setting.seed, product)
    parts = {"": sold, "video_": sold * product.by_video >> 8, "live_": sold * product.by_live >> 8}
    found = {f"{part}units": gain for part, gain in parts.items()}
    return found | {f"{part}gmv": gain * price for part, gain in parts.items()}


def product_gains(setting: Setting, product: Product) -> dict[str, Whole]:
    """Return what a product gains on each day, by all who sell it."""
    promotions = sellers(setting.seed, product)
    sold = _sum([other_units(setting, product), *(units(setting, one) for one in promotions)])
    bits = noise(setting.seed, "product", product.product_id)
    dice = chance.Dice(setting.seed, "product activity", product.product_id)
    span = _on_sale(product, product.launch)
    creators, videos, lives = dice.whole(0, 40), dice.whole(5, 120), dice.whole(0, 25)
    new = (byte(bits, 0) < creators).astype(np.int64) + (byte(bits, 1) < creators // 2)
    found = {
        "videos": (byte(bits, 2) < videos).astype(np.int64) + (byte(bits, 3) < videos // 2),
        "lives": (byte(bits, 4) < lives).astype(np.int64),
        "views": sold * dice.whole(40, 200) + byte(bits, 5),
    }
    for gain in (new, *found.values()):
        gain[: span[0]] = 0
        gain[span[1] :] = 0
    for promotion in promotions:
        day = max(promotion.since - effects.FIRST_DAY, 0)
        if day < min(span[1], LENGTH):
            new[day] += 1
    way = byte(bits, 6)  # by which they promote it: video, live, or showcase alone
    found |= {"creators": new, "creators_video": new * (way < 180), "creators_live": new * (way >= 215)}  # noqa: PLR2004
    return {**_sales(setting, product, sold), **found}
