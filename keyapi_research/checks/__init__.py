"""What audits look for: each check reads the frames of tables, and yields findings with the numbers that show them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from .counts import falling_total, impossible_count, same_value, window_conflict
from .days import frozen, gap, revised_past
from .findings import SEVERITIES, Check, Finding, Held
from .parameters import parameter_ignored
from .zeros import uncovered_zero

CHECKS: Final[Mapping[str, tuple[Check, float]]] = MappingProxyType(
    {  # each with its threshold
        "falling_total": (falling_total, 0.005),  # share of the total that it loses, at least
        "window_conflict": (window_conflict, 0.01),  # share by which a part is more than the whole, more than
        "frozen": (frozen, 14),  # observed days without a change, at least
        "uncovered_zero": (uncovered_zero, 2),  # days on which nobody has anything, at least
        "revised_past": (revised_past, 0.01),  # share by which a past value was changed, more than
        "parameter_ignored": (parameter_ignored, 4),  # rows in the same order, at least
        "impossible_count": (impossible_count, 0.0),  # share by which a part is more than the whole, more than
        "same_value": (same_value, 2),  # ids of one request with the same value, at least
        "gap": (gap, 7),  # days that are missing in a row, at least
    }
)
THRESHOLDS: Final = MappingProxyType({name: least for name, (_, least) in CHECKS.items()})
__all__ = ["CHECKS", "SEVERITIES", "THRESHOLDS", "Finding", "Held"]
