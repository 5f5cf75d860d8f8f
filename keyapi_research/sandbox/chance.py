"""Chance that is the same on every machine: draws keyed by what they are for.

Draws are digests of BLAKE2. What the platform's mathematical library has a part in is rounded to twelve digits, so
that the last bits, in which machines differ, do not show.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import count, islice
from struct import pack, unpack
from typing import TypeVar

T = TypeVar("T")


def grains(*key: object, size: int = 64) -> bytes:
    """Return evenly distributed bytes, a function of their key: cheap noise for series."""
    return blake2b("\x1f".join(map(str, key)).encode(), digest_size=size).digest()


def number(*key: object) -> int:
    """Return an evenly distributed whole number of 64 bits, a function of its key."""
    return int.from_bytes(grains(*key, size=8), "big")


def exp(x: float) -> float:
    """Return e to the power of x."""
    return float(f"{math.exp(x):.12g}")


def power(base: float, exponent: float) -> float:
    """Return base to the power of exponent (base > 0)."""
    return float(f"{math.pow(base, exponent):.12g}")


def significant(x: float, digits: int = 3) -> int:
    """Return x as a whole number of so many significant digits, as the upstream rounds its counts."""
    whole = int(x + 0.5)
    return round(whole, min(0, digits - len(str(whole))))


def tidy(x: float, digits: int = 2) -> int | float:
    """Return x rounded, as an int where it is whole: JSON from upstream has 1, not 1.0."""
    rounded = round(x, digits)
    return int(rounded) if rounded == int(rounded) else rounded


def _units(key: bytes) -> Iterator[float]:
    for block in count():
        # Of 32 bits, so that sums of a few are exact.
        for draw in unpack("<16I", blake2b(key, salt=pack("<Q", block)).digest()):
            yield draw / 4294967296.0


class Dice:
    """A stream of draws that is a function of its key: the seed of the world, then whatever names the thing."""

    def __init__(self, *key: object) -> None:
        self._units = _units("\x1f".join(map(str, key)).encode())

    def unit(self) -> float:
        """Return an evenly distributed number in [0, 1)."""
        return next(self._units)

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.unit() < probability

    def between(self, low: float, high: float) -> float:
        """Return an evenly distributed number in [low, high)."""
        return low + (high - low) * self.unit()

    def whole(self, low: int, high: int) -> int:
        """Return an evenly distributed whole number in [low, high]."""
        return low + int(self.unit() * (high - low + 1))

    def normal(self) -> float:
        """Return a draw with mean 0 and standard deviation 1: a sum of twelve even draws."""
        return sum(islice(self._units, 12)) - 6.0

    def lognormal(self, median: float, sigma: float) -> float:
        """Return a heavy-tailed positive draw."""
        return median * exp(sigma * self.normal())

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[int(self.unit() * len(items))]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """Return so many different places of the items, in random order."""
        order = sorted(range(len(items)), key=lambda _: self.unit())
        return [items[place] for place in order[:count]]

    def weighted(self, weights: Mapping[T, float]) -> T:
        """Return one of the items, which are drawn as often as they weigh."""
        items, draw = list(weights), self.unit() * math.fsum(weights.values())
        for item in items:
            draw -= weights[item]
            if draw < 0.0:
                return item
        return items[-1]

    def outcome(self, shares: Mapping[str, float]) -> str:
        """Return one of some outcomes, each with its share of all cases; in the others, an empty text."""
        return self.weighted({**shares, "": 1.0 - math.fsum(shares.values())})
