"""What is on record of creators and products: gains and totals of each day, and the faults of these records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from . import chance, curves, daily, effects, words
from .daily import Whole
from .identity import Creator, Product, Setting
from .videos import day_posted, posted_by

_SALES = ("units", "gmv", "video_units", "video_gmv", "live_units", "live_gmv")
_CREATOR_FAULTS = {
    "falling_total": effects.FALLING_TOTAL,
    "window_conflict": effects.WINDOW_CONFLICT,
    "frozen": effects.FROZEN,
    "revised_past": effects.REVISED_PAST,
    "parameter_ignored": effects.PARAMETER_IGNORED,
    "impossible_count": effects.IMPOSSIBLE_COUNT,
    "gap": effects.GAP,
}
_PRODUCT_FAULTS = {kind: share for kind, share in _CREATOR_FAULTS.items() if kind not in {"frozen", "impossible_count"}}


@dataclass(frozen=True, eq=False)
class Ledger:
    """What is on record of one creator or product; ``fault`` is what is wrong with it, if anything."""

    sums: Mapping[str, Whole]  # of the gains before each day, and before the end
    totals: Mapping[str, Whole]
    fault: str
    dice: tuple[object, ...]  # the key of the draws about the fault

    def total(self, name: str, day: int) -> int:
        """Return a total at the end of a day."""
        return int(self.totals[name][min(max(day - effects.FIRST_DAY, 0), daily.LENGTH - 1)])

    def gain(self, name: str, days: range) -> int:
        """Return what was gained over some days."""
        first, end = (min(max(0, day - effects.FIRST_DAY), daily.LENGTH) for day in (days.start, days.stop))
        return int(self.sums[name][end] - self.sums[name][first])

    def drawn(self, *key: object) -> chance.Dice:
        """Return the draws about a detail of the fault."""
        return chance.Dice(*self.dice, *key)


@lru_cache(maxsize=128)
def of_creator(setting: Setting, creator: Creator) -> Ledger:
    """Return the record of a creator."""
    known = daily.activity(setting, creator)
    gains = {**known.gains, **daily.creator_sales(setting, creator)}
    before = dict(known.before)
    gains["videos"] = gains["videos"].copy()
    for identifier in posted_by(setting.seed, creator):
        day = day_posted(identifier) - effects.FIRST_DAY
        if day < 0:
            before["videos"] += 1
        else:
            gains["videos"][day] += 1
    fault, key = _fault(setting, "creator", creator.user_id, _CREATOR_FAULTS)
    dice = chance.Dice(*key, "what")
    if not setting.clean and creator.market == creator.country == effects.UNCOVERED_MARKET:
        first, last = (curves.number_of(day) - effects.FIRST_DAY for day in effects.UNCOVERED_DAYS)
        _still(gains, _SALES, first, last + 1)
    if fault == "frozen":
        since = dice.whole(*(curves.number_of(day) for day in effects.FROZEN_SINCE)) - effects.FIRST_DAY
        names = [("followers",), ("likes",), _SALES] if gains["units"][since:].any() else [("followers",), ("likes",)]
        _still(gains, dice.pick(names), since, daily.LENGTH)
    sums = _sums(gains)
    totals = {name: sum_[1:] + before.get(name, 0) for name, sum_ in sums.items()}
    if fault == "falling_total":
        totals["views"] = _falling(totals["views"], key)
    return Ledger(sums, totals, fault, key)


@lru_cache(maxsize=128)
def of_product(setting: Setting, product: Product) -> Ledger:
    """Return the record of a product."""
    gains = daily.product_gains(setting, product)
    fault, key = _fault(setting, "product", product.product_id, _PRODUCT_FAULTS)
    sums = _sums(gains)
    totals = {name: sum_[1:] for name, sum_ in sums.items()}
    if fault == "falling_total":
        totals["units"] = _falling(totals["units"], key)
    return Ledger(sums, totals, fault, key)


def _sums(gains: Mapping[str, Whole]) -> dict[str, Whole]:
    return {name: np.concatenate(([0], np.cumsum(gain))) for name, gain in gains.items()}


def _fault(setting: Setting, kind: str, identifier: str, shares: Mapping[str, float]) -> tuple[str, tuple[object, ...]]:
    key = (setting.seed, "fault", kind, identifier)
    return "" if setting.clean else chance.Dice(*key).outcome(shares), key


def _still(gains: dict[str, Whole], names: tuple[str, ...], first: int, end: int) -> None:
    for name in names:
        if name in gains:
            gains[name] = gains[name].copy()
            gains[name][first:end] = 0


def _falling(totals: Whole, key: tuple[object, ...]) -> Whole:
    """Return totals of which a part is lost on one day of each stretch of days."""
    found = totals.copy()
    for stretch in range(0, daily.LENGTH, effects.FALL_EVERY):
        dice = chance.Dice(*key, "fall", stretch)
        day = min(stretch + dice.whole(0, effects.FALL_EVERY - 1), daily.LENGTH - 1)
        lost = found[day] - found[max(day - 1, 0)]  # what the day itself gained, or it would be made up for
        found[day:] -= int(found[day] * dice.between(*effects.FALL_SIZE)) + lost
    return found


def told(setting: Setting, record: Ledger, kind: str, identifier: str, days: range) -> list[int]:
    """Return those of some days that have a row."""
    draws = daily.byte(daily.noise(setting.seed, "told", kind, identifier), 0)[_places(days)]
    share = np.full(len(days), effects.CREATOR_DAYS_LEFT_OUT)
    if kind == "product":
        sold = np.diff(record.sums["units"])[_places(days)] > 0
        share = np.where(sold, *effects.PRODUCT_DAYS_LEFT_OUT)
    return [day for day in np.array(days)[draws >= 256 * share].tolist() if not _in_gap(record, day)]


def _places(days: range) -> slice:
    return slice(days.start - effects.FIRST_DAY, max(days.start, days.stop) - effects.FIRST_DAY)


def _in_gap(record: Ledger, day: int) -> bool:
    if record.fault != "gap":
        return False
    stretch, place = divmod(day, effects.GAP_EVERY)
    dice = record.drawn("gap", stretch)
    length = dice.whole(*effects.GAP_DAYS)
    first = dice.whole(0, effects.GAP_EVERY - length)
    return first <= place < first + length


def revised(ledger: Ledger, value: int, day: int, n: int) -> int:
    """Return the gain of a day as the n-th answer has it."""
    if ledger.fault != "revised_past" or n == 1:
        return value
    stretch, place = divmod(day, effects.REVISION_EVERY)
    dice = ledger.drawn("revision", stretch)
    if place != dice.whole(0, effects.REVISION_EVERY - 1):
        return value
    return int(value * dice.between(*effects.REVISION_SIZE)) + 1


def same_value(setting: Setting, rows: list[dict[str, Any]], name: str, identifiers: list[str]) -> None:
    """Give all rows of some batches the same number."""
    dice = chance.Dice(setting.seed, "fault", "batch", *sorted(identifiers))
    if not setting.clean and len(rows) > 1 and dice.chance(effects.SAME_VALUE):
        for row in rows:
            row[name] = rows[0][name]


def cents(amount: int) -> int | float:
    """Return money as the answers have it."""
    return chance.tidy(amount / 100)


def niche(seed: str, creator: Creator) -> str:
    """Return the niche of a creator: mostly one that goes with the first-level category."""
    dice, niches = chance.Dice(seed, "niche", creator.user_id), words.WORDS["niches"]
    usual = niches[chance.number("niche", creator.category.l1_id) % len(niches)]
    return usual if dice.chance(0.6) else dice.pick(niches)


def score(seed: str, creator: Creator) -> int | float:
    """Return the score of a creator, whose formula nobody knows."""
    return chance.tidy(chance.Dice(seed, "score", creator.user_id).between(2.6, 8.5))
