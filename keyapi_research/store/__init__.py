"""The store: every paid answer, once, checked when it is read, and the ledger of what was paid."""

from .facts import (
    LEDGER_COLUMNS,
    Answer,
    Arrival,
    Claim,
    Observation,
    Outcome,
    claim_of,
    compact_json,
    in_this_process,
    microseconds_of,
    now_us,
    when,
)
from .formats import FORMAT
from .writing import Store

__all__ = [
    "FORMAT",
    "LEDGER_COLUMNS",
    "Answer",
    "Arrival",
    "Claim",
    "Observation",
    "Outcome",
    "Store",
    "claim_of",
    "compact_json",
    "in_this_process",
    "microseconds_of",
    "now_us",
    "when",
]
