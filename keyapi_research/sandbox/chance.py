"""Chance that is the same on every machine: keyed draws, and the few functions the world needs of them.

Nothing here calls the platform's mathematical library, whose last bits differ between machines: only
``+ - * /``, square root and bit operations, which IEEE 754 fixes, and ``random.Random.random``, whose sequence
Python promises to keep for a given seed.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")

_LN2_HIGH = 0.6931471803691238
_ROOT_OF_HALF = 0.7071067811865476
_LN2_LOW = 1.9082149292705877e-10
_INVERSE_FACTORIALS = tuple(1.0 / math.factorial(k) for k in range(14, -1, -1))


def key(*parts: object) -> str:
    """Return the text a draw is keyed by."""
    return "\x1f".join(map(str, parts))


def number(*parts: object, bits: int = 64) -> int:
    """Return an evenly distributed whole number below ``2 ** bits``, a function of its key."""
    digest = blake2b(key(*parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - bits)


def unit(*parts: object) -> float:
    """Return an evenly distributed number in [0, 1), a function of its key."""
    return number(*parts, bits=53) / 9007199254740992.0


def grains(*parts: object) -> bytes:
    """Return 64 evenly distributed bytes, a function of their key: cheap noise for series."""
    return blake2b(key(*parts).encode(), digest_size=64).digest()


def exp(x: float) -> float:
    """Return e to the power of x, to the same bit everywhere."""
    halvings = math.floor(x * 1.4426950408889634 + 0.5)
    rest = (x - halvings * _LN2_HIGH) - halvings * _LN2_LOW
    total = 0.0
    for factor in _INVERSE_FACTORIALS:
        total = total * rest + factor
    return math.ldexp(total, halvings)


def log(x: float) -> float:
    """Return the natural logarithm of x, to the same bit everywhere."""
    mantissa, exponent = math.frexp(x)
    if mantissa < _ROOT_OF_HALF:
        mantissa, exponent = mantissa * 2.0, exponent - 1
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    square = ratio * ratio
    total = 0.0
    for divisor in range(25, 0, -2):
        total = total * square + 1.0 / divisor
    return exponent * _LN2_HIGH + (exponent * _LN2_LOW + 2.0 * ratio * total)


def power(base: float, exponent: float) -> float:
    """Return base to the power of exponent (base > 0), to the same bit everywhere."""
    return exp(exponent * log(base))


def significant(x: float, digits: int = 3) -> int:
    """Return x as a whole number of so many significant digits, as the upstream rounds its counts."""
    whole = int(x + 0.5)
    surplus = len(str(whole)) - digits
    if surplus <= 0:
        return whole
    step: int = 10**surplus
    return (whole + step // 2) // step * step


def tidy(x: float, digits: int = 2) -> int | float:
    """Return x rounded, as an int where it is whole: JSON from upstream has 1, not 1.0."""
    rounded = round(x, digits)
    return int(rounded) if rounded == int(rounded) else rounded


def digits(count: int, *parts: object) -> str:
    """Return a number of exactly so many digits as text, never ending in six zeros."""
    low = 10 ** (count - 1)
    value = low + int.from_bytes(grains(*parts)[:16], "big") % (9 * low)
    return str(value + 1 if value % 1_000_000 == 0 else value)


class Dice:
    """A stream of draws that is a function of its key: the seed of the world, then whatever names the thing."""

    def __init__(self, *parts: object) -> None:
        self.unit = random.Random(key(*parts)).random

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
        """Return a draw with mean 0 and standard deviation 1 (a sum of twelve even draws)."""
        u = self.unit
        return u() + u() + u() + u() + u() + u() + u() + u() + u() + u() + u() + u() - 6.0

    def lognormal(self, median: float, sigma: float) -> float:
        """Return a heavy-tailed positive draw."""
        return median * exp(sigma * self.normal())

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[int(self.unit() * len(items))]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """Return so many different places of the items, in random order."""
        left = list(items)
        count = min(count, len(left))
        for place in range(count):
            other = place + int(self.unit() * (len(left) - place))
            left[place], left[other] = left[other], left[place]
        return left[:count]

    def weighted(self, items: Sequence[T], cumulative: Sequence[float]) -> T:
        """Return one of the items by their cumulative weights."""
        return items[bisect_right(cumulative, self.unit() * cumulative[-1], hi=len(cumulative) - 1)]
