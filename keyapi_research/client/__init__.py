"""Clients: connections to a source, with a store and what may be spent. The only place that speaks HTTP."""

from .budgets import Budget
from .call import Call, Collection, Plan, failures_frame, ledger_frame, named, priced
from .client import Client, Status
from .connection import budget, connect, find_client, ledger, open_client, replay, status
from .policy import DAY
from .ranges import requests_for
from .records import CallRecord

__all__ = [
    "DAY",
    "Budget",
    "Call",
    "CallRecord",
    "Client",
    "Collection",
    "Plan",
    "Status",
    "budget",
    "connect",
    "failures_frame",
    "find_client",
    "ledger",
    "ledger_frame",
    "named",
    "open_client",
    "priced",
    "replay",
    "requests_for",
    "status",
]
