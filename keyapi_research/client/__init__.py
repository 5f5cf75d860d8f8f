"""Clients: connections to a source, with a store and what may be spent. The only place that speaks HTTP."""

from .budgets import Budget, StoreLimit
from .call import Call, Collection, Plan, failures_frame, ledger_frame, named, priced
from .client import Client, Status
from .connection import budget, connect, find_client, ledger, limit_store, open_client, replay, status
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
    "StoreLimit",
    "budget",
    "connect",
    "failures_frame",
    "find_client",
    "ledger",
    "ledger_frame",
    "limit_store",
    "named",
    "open_client",
    "priced",
    "replay",
    "requests_for",
    "status",
]
