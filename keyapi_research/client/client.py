"""The client: a connection to a source, what it read, and what that cost."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Self

import pandas as pd

from ..errors import CLOSED, KeyAPIError, StoreError
from ..model import ORIGIN, SOURCE, Untyped
from ..settings import (
    DEFAULT_CALL_CREDITS,
    DEFAULT_PACE,
    SANDBOX,
    Settings,
    hide,
    needed_token,
    read_replay,
    read_settings,
    source_of,
)
from ..store import Store
from ..version import versions
from .batches import Batches
from .budgets import Budget, Reservation, StoreLimit, make_budget, make_limit, read_limit
from .call import Call, Collection, Plan, ledger_frame
from .delivery import Run
from .dispatch import Sender
from .display import Facts, Progress, path_text
from .interrupts import in_order, listen
from .pages import Pages
from .policy import Policy
from .ranges import requests_for
from .records import CallRecord, Records


@dataclass(frozen=True, repr=False)
class Status(Facts):
    """What a client is connected to, and what it has cost.

    Attributes
    ----------
    token : str
        Where the token came from, not the token itself.
    source : str
        Where the answers come from.
    store : str
        Path or address of the store.
    mode : str
        online, offline, as of a moment, or a replay.
    credits_in_ledger, credits_imported : int
        What all requests of the store cost, and of that what was paid by others (`import_store`).
    limits : tuple of StoreLimit
        What the store lets be spent in a day and in a month, and what is used of it; empty without a limit.
    """

    token: str
    source: str
    mode: str
    store: str
    store_bytes: int
    answers: int
    absences: int
    requests: int
    requests_without_answer: int
    credits_in_ledger: int
    credits_imported: int
    credits_spent: int
    credits_saved: int
    duplicates: int
    limits: tuple[StoreLimit, ...]
    versions: str

    def _facts(self, *, whole: bool) -> tuple[str, Mapping[str, object]]:
        written = {
            "store": path_text(self.store, whole=whole),
            "store_bytes": f"{self.store_bytes / 1e6:.1f} MB",
            "credits_in_ledger": f"{self.credits_in_ledger:,} (all that is in the store)",
            "credits_imported": f"{self.credits_imported:,} of them (paid by others)",
            "credits_spent": f"{self.credits_spent:,} (this connection)",
            "credits_saved": f"{self.credits_saved:,} (this connection)",
            "duplicates": f"{self.duplicates:,} (rows that came twice, this connection)",
            "limits": "; ".join(map(str, self.limits)) or None,
        }
        facts = {f.name.replace("_", " "): written.get(f.name, getattr(self, f.name)) for f in fields(self)}
        return "KeyAPI status", facts


def _state_of(path: str) -> tuple[int, ...] | None:
    """Return what tells a file from what it was before; None where there is none."""
    with contextlib.suppress(OSError):
        there = Path(path).stat()
        return there.st_ino, there.st_size, there.st_mtime_ns
    return None


class Client(Facts):
    """A connection: its source, store and spending limits; `connect` creates one and makes it the default.

    Parameters
    ----------
    token, base_url, sandbox, store, offline, as_of, max_age, max_credits, max_call_credits
        As for `connect`; KEYAPI_REPLAY replays here, too.
    requests_per_second, max_workers, timeout, retries, progress, replay
        As for `connect`.
    """

    def __init__(
        self,
        *,
        token: str | None = None,
        base_url: str | None = None,
        sandbox: bool = False,
        store: str | os.PathLike[str] | None = None,
        offline: bool = False,
        as_of: str | date | None = None,
        max_age: str | timedelta | int | None = None,
        max_credits: int | None = None,
        max_call_credits: int | None = DEFAULT_CALL_CREDITS,
        requests_per_second: float | None = DEFAULT_PACE,
        max_workers: int = 4,
        timeout: float | tuple[float, float] = (5, 30),
        retries: int = 2,
        progress: bool | None = None,
        replay: str | os.PathLike[str] | bool | None = None,
    ) -> None:
        token = hide(token)  # type: ignore[assignment]
        archived = read_replay(replay)
        if archived is None:
            self._open(read_settings(locals()))
            return
        from ..archive_format import load  # noqa: PLC0415 - only where one is replayed

        state = _state_of(archived)  # as it was when it was read
        opened, settings = load(archived)
        self._open(settings, opened, archived, state)

    @classmethod
    def of(cls, settings: Settings, *, store: Store | None = None, replaying: str = "") -> Client:
        """Return a client of checked settings, on its own store or on an open one (a replay)."""
        client = cls.__new__(cls)
        client._open(settings, store, replaying)  # noqa: SLF001 - its own
        return client

    def _open(
        self, settings: Settings, store: Store | None = None, replaying: str = "", state: tuple[int, ...] | None = None
    ) -> None:
        if not (settings.sandbox or settings.offline):
            needed_token(settings)
        source = None if settings.offline and not settings.sandbox else settings.source
        self.settings = settings
        self.store = store or Store(settings.store, source=source, read_only=settings.offline)
        if not settings.offline:
            self._check_source()
            listen()
        self.policy = Policy(settings, self.store, replaying)
        self.records = Records()
        self.told: set[tuple[str, str]] = set()  # warnings that come once
        self.duplicates: Counter[str] = Counter()  # rows that came twice, by table
        self._replayed = state
        self._account = make_limit(settings.max_credits, "client")
        self._saved, self._saving = 0, threading.Lock()
        self._sender = Sender(settings, self.store)
        self._batches = Batches(self.policy, self._sender)
        self._pages = Pages(self.policy, self._sender)

    def _check_source(self) -> None:
        """Refuse, before anything is paid, a store whose answers cannot come from where this client sends.

        Another base URL may be a sandbox, which shows only with its first answer.
        """
        here = source_of(self.settings.base_url)
        if self.store.source in (None, SANDBOX, here):
            return
        try:
            self.store.claim(here)
        except StoreError:
            self.store.close()
            raise

    # What it is ---------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._sender.closed

    @property
    def source(self) -> str:
        """Whom the answers come from."""
        return self.policy.source

    @property
    def credits_spent(self) -> int:
        """Credits this client spent; requests without an answer count with their full price."""
        return self._account.spent

    @property
    def credits_saved(self) -> int:
        """What its calls would have cost with an empty store, less what they cost."""
        return self._saved

    @property
    def calls(self) -> Sequence[CallRecord]:
        """The calls of this session, each once."""
        return self.records.calls

    def replays(self, path: str) -> bool:
        """Whether it is open and replays this very file, as the file is now."""
        return not self.closed and self.policy.replaying == path and self._replayed == _state_of(path)

    def _facts(self, *, whole: bool) -> tuple[str, Mapping[str, object]]:
        if not hasattr(self, "_sender"):  # a traceback may show a client that was refused
            return "KeyAPI client", {"mode": "not connected"}
        return "KeyAPI client", {
            "mode": f"{'closed, ' if self.closed else ''}{self.policy.mode}",
            "source": "sandbox (synthetic data)" if self.policy.synthetic else self.source,
            "store": path_text(self.settings.store, whole=whole),
            "credits spent": self.credits_spent,
            "credits saved": self.credits_saved,
        }

    def status(self) -> Status:
        """Return what this client is connected to; see `keyapi_research.status`."""
        counts = dict(self.store.counts())
        return Status(
            token=self.settings.token_origin,
            source=self.source,
            mode=self.policy.mode,
            store=self.settings.store,
            store_bytes=counts.pop("bytes"),
            credits_in_ledger=counts.pop("credits"),
            **counts,  # answers, absences, requests and those of them without an answer, credits_imported
            credits_spent=self.credits_spent,
            credits_saved=self.credits_saved,
            duplicates=self.duplicates.total(),
            limits=tuple(map(StoreLimit.of, self.store.limits())),
            versions=", ".join(map(" ".join, versions("pandas", "requests", "requests-cache").items())),
        )

    def ledger(self) -> pd.DataFrame:
        """Tabulate every request of this store; see `keyapi_research.ledger`."""
        try:
            frame = ledger_frame(self.store.ledger())
        except (TypeError, ValueError, OverflowError) as error:
            raise StoreError(
                f"{self.store.path}: the ledger cannot be read because the store is damaged: {error}"
            ) from error
        frame.attrs[ORIGIN] = {SOURCE.name: [self.source]}
        return frame

    def budget(self, credits: int) -> Budget:  # noqa: A002 - the public name
        """Limit what is spent within a block; see `keyapi_research.budget`."""
        return make_budget(credits)

    def limit_store(self, credits: int | None, *, per: str = "month") -> StoreLimit:  # noqa: A002 - the public name
        """Limit what may be spent into this store in a day or month; see `keyapi_research.limit_store`."""
        limit = read_limit(credits, per)
        if self.policy.offline:
            raise StoreError(
                f"a limit is written into the store, but this connection only reads it ({self.policy.mode}) and spends "
                "nothing. Connect to the store online first"
            )
        if self.closed:
            raise StoreError(CLOSED)
        self.store.set_limit(per, limit)
        found = [StoreLimit.of(one) for one in self.store.limits() if one.per == per]
        return found[0] if found else StoreLimit(per)

    def close(self) -> None:
        """Wait for what is in flight, then close the connections, the store and the sandbox."""
        self._sender.close()

    def __reduce__(self) -> str:
        raise TypeError(
            "a client cannot be pickled: its token and limits belong to its own process. Instead, connect in the "
            "worker: kr.connect(...) with the same store, in its function or initializer"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):  # the second one leaves at once
            with contextlib.suppress(RuntimeError):  # no more threads: it is closed when the program ends
                threading.Thread(target=self.close, name="keyapi", daemon=True).start()
        else:
            self.close()

    # A call -------------------------------------------------------------------------------------------------

    def plan(self, call: Call) -> Plan:
        """Return what a call would send; sends nothing."""
        plan = self._way(call).plan(call)
        lacking = [] if self.policy.offline else [one for one in self.store.limits() if one.remaining < plan.credits]
        notes = [f"more than the limit of this store has left: {StoreLimit.of(one)}" for one in lacking]
        if plan.requests and not self.policy.synthetic:
            notes += [call.table.doubt] if isinstance(call.table, Untyped) else []
        if plan.requests and "time_scope" in call.endpoint.columns:
            months = self.policy.unfinished_months(call.queries)
            notes += [f"{month} is not over: its figures will be those of its days so far" for month in months]
        return replace(plan, note="; ".join(filter(None, [plan.note, *notes])))

    def collect(self, call: Call) -> Collection:
        """Return the answers of a call: from the store what it serves, from KeyAPI the rest."""
        way = self._way(call)
        progress = Progress(call.name, wanted=self.settings.progress)
        run = Run(Reservation(self._account, self.policy.call_credits), progress)
        if self.policy.offline:
            return self._collect(way, call, run)
        return in_order(lambda: self._collect(way, call, run), run.stop, self._sender.abandon)

    def _way(self, call: Call) -> Batches | Pages:
        if self.closed:
            raise StoreError(CLOSED)
        self.store.check_process()
        return self._pages if call.endpoint.ranking else self._batches

    def _collect(self, way: Batches | Pages, call: Call, run: Run) -> Collection:
        collection = Collection(call)
        self._sender.register(run)
        if not self.policy.offline:
            with contextlib.suppress(StoreError):  # it is tried again, and then an error, before anything is sent
                self._sender.keep_unkept()
        run.since = call.since or self.store.last_ids()
        refused = False
        try:
            way.collect(collection, run)
        except BaseException as error:  # a signal may end it, too
            refused = isinstance(error, KeyAPIError) and not collection.sent
            raise
        finally:
            run.progress.close()
            if not refused:
                with self._saving:
                    self._saved += max(0, _full_price(collection) - _full_price(collection, sent=True))
                self.records.note_call(collection)
        return collection


def _full_price(collection: Collection, *, sent: bool = False) -> int:
    """Return what the answers of a call cost where none of them is stored, or those that were sent for."""
    endpoint = collection.call.endpoint
    some = [one for one in collection.answers if not sent or one.observation.id in collection.arrived]
    if endpoint.series is None:
        return endpoint.cost(len(some))
    return requests_for(endpoint, [one.query for one in some]) * endpoint.credits
