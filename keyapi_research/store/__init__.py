"""The store: every paid answer, once, checked when it is read, and the ledger of what was paid."""

from .facts import (
    LEDGER_COLUMNS,
    UNDELIVERED,
    Answer,
    Arrival,
    Claim,
    LedgerRow,
    Observation,
    Outcome,
    Totals,
    claim_of,
    compact_json,
    in_this_process,
    microseconds_of,
    now_us,
    this_process,
    when,
)
from .formats import FORMAT
from .limits import PERIODS, Counted
from .writing import Renumbered, Store, is_there

__all__ = [
    "FORMAT",
    "LEDGER_COLUMNS",
    "PERIODS",
    "UNDELIVERED",
    "Answer",
    "Arrival",
    "Claim",
    "Counted",
    "LedgerRow",
    "Observation",
    "Outcome",
    "Renumbered",
    "Store",
    "Totals",
    "claim_of",
    "compact_json",
    "in_this_process",
    "is_there",
    "microseconds_of",
    "now_us",
    "this_process",
    "when",
]
