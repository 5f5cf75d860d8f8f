"""The connection in use: the client that `connect` made last is the one of every function that gets none."""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable, Mapping
from datetime import date, timedelta
from typing import Any, Final, Literal

import pandas as pd

from ..errors import InvalidArgumentError, KeyAPIError, StoreError
from ..settings import DEFAULT_CALL_CREDITS, DEFAULT_PACE, hide, read_replay, read_settings
from .budgets import Budget, StoreLimit, lock_in_each_process, make_budget
from .client import Client, Status
from .records import Records


class InUse:
    """The default client of a process, and what outlives it: what was read in this session, by store."""

    lock: threading.RLock

    def __init__(self) -> None:
        self.client: Client | None = None
        self.failed: KeyAPIError | None = None  # of the last connect: another store than the wanted one is not used
        self._records: dict[Hashable, Records] = {}
        lock_in_each_process(self)

    def connect(self, given: Mapping[str, Any]) -> Client:
        """Return the open client where it is the one wanted, else make that; where it fails there is none."""
        with self.lock:
            before, self.client = self.client, None
            if before is not None and (before.closed or not before.store.of_this_process):
                before = None  # a fork has its parent's, and no use for it
            try:
                self.client = self._find_or_make(before, given)
            except KeyAPIError as error:
                self.failed = error
                raise
            self.failed = None
            return self.client

    def _find_or_make(self, before: Client | None, given: Mapping[str, Any]) -> Client:
        replaying = before is not None and before.policy.replaying
        if before is not None and replaying and given["replay"] is None:
            return before
        archive = read_replay(given["replay"])
        if archive is not None:
            return before if before is not None and before.replays(archive) else Client(replay=archive)
        settings = read_settings(given)
        if before is not None and not replaying and before.settings == settings:
            return before
        client = Client.of(settings)
        if client.store.identity is not None:  # a study goes on where one connects with other limits
            client.records = self._records.setdefault(client.store.identity, client.records)
        return client


IN_USE: Final = InUse()  # the one thing of the package that lasts from call to call


def connect(
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
) -> Client:
    """Connect and make this the default connection; nothing is sent and nothing is charged.

    With unchanged settings the open connection is returned. During a replay (`KEYAPI_REPLAY`, or after
    `replay(path)`) the replay is returned whatever the other options are, so a published notebook runs unchanged.

    Parameters
    ----------
    token : str, optional
        Your KeyAPI key; by default the environment variable KEYAPI_TOKEN. Kept in memory only, sent to `base_url` only.
    base_url : str, optional
        Another server with KeyAPI's interface: https, or this machine. By default KEYAPI_BASE_URL, else
        https://api.keyapi.ai.
    sandbox : bool
        Use synthetic data from a server in this process; needs no key and no credits.
    store : path or str, optional
        File that keeps every answer; or ":memory:", which keeps none; or "postgresql://user@host/db", a database that a
        team shares (extra `team`; the password is read from PGPASSWORD or ~/.pgpass). By default KEYAPI_STORE, else a
        file in your data folder.
    offline : bool
        Read stored answers only; nothing is sent.
    as_of : str or datetime, optional
        Read the store as it was at this time (UTC if it has no time zone; a date includes the whole day). Implies
        offline.
    max_age : str or timedelta or 0, optional
        Maximum age of stored answers ("1D", "6h"); older ones are fetched and paid for again. 0 always pays; "any"
        never warns. By default answers of any age are used, with a warning if they are older than a day.
    max_credits : int, optional
        Maximum number of credits this connection may spend.
    max_call_credits : int, optional
        Maximum number of credits one call may spend outside a `budget` block; None for no limit. The sandbox has a
        limit only if you pass one.
    requests_per_second : float, optional
        Maximum rate of requests; None sends as fast as answers come (the default in the sandbox). With a store on a
        server all clients share one rate: the lowest that any of them set, also for those that set none.
    max_workers : int
        Maximum number of requests in flight.
    timeout : float or tuple of float
        Seconds to wait for a connection, and for data.
    retries : int
        How often a failed request is sent again, if it cannot be charged twice.
    progress : bool, optional
        Show progress bars; None shows them in a terminal or notebook, for more than a few requests.
    replay : path or False, optional
        Replay an archive written by `freeze`; False ends a replay.

    Returns
    -------
    Client
        The connection.

    Raises
    ------
    MissingTokenError
        There is no token, and the connection is neither sandbox nor offline.
    InvalidArgumentError
        An option is not valid.
    StoreError
        The store cannot be opened, or belongs to another source.

    Examples
    --------
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> client.source
    'sandbox'
    """
    token = hide(token)  # type: ignore[assignment]
    return IN_USE.connect(locals())


def replay(path: str | os.PathLike[str]) -> Client:
    """Replay a study from its archive: no key, no credits, no network, the same tables.

    Parameters
    ----------
    path : path
        An archive that `freeze` wrote.

    Returns
    -------
    Client
        An offline client on the archive, now the default one; `connect(replay=False)` leaves it.

    Raises
    ------
    InvalidArgumentError
        That is no path.
    StoreError
        The file is no such archive, or was changed.
    """
    return connect(replay=path if isinstance(path, str | os.PathLike) else "")


def find_client(client: Client | None) -> Client:
    """Return the client given, else the default one, connecting if there is none yet.

    One that was closed is not replaced by itself: another might spend where that one could not.
    """
    if client is not None:
        if not isinstance(client, Client):
            raise InvalidArgumentError(f"client must come from kr.connect or kr.Client; got {type(client).__name__}")
        return client
    if IN_USE.client is not None:
        return IN_USE.client
    if IN_USE.failed is not None:
        raise type(IN_USE.failed)(f"the last connect failed, so nothing is sent until one succeeds: {IN_USE.failed}")
    from multiprocessing import parent_process  # noqa: PLC0415 - of a worker it is there already

    if parent_process() is not None:
        raise StoreError(
            "this worker process has no connection of its own, so nothing was sent; the parent's budgets, limits and "
            "store do not apply here. Connect in the worker: kr.connect(...) in its function or initializer"
        )
    return connect()


def open_client(client: Client | None) -> Client | None:
    """Return the client given, else the default one if it is open; connects to nothing."""
    if client is not None:
        return find_client(client)
    return None if IN_USE.client is None or IN_USE.client.closed else IN_USE.client


def ledger(*, client: Client | None = None) -> pd.DataFrame:
    """Tabulate every request ever sent into this store, in the order in which they were recorded, just before sending.

    Parameters
    ----------
    client : Client, optional
        The connection; the default one if omitted.

    Returns
    -------
    pandas.DataFrame
        One row per request: sent_at, endpoint, params (JSON text), n_entities, attempt, http_status, code, message,
        request_id, credits, elapsed_s, imported, client. `credits` is the documented price where the answer had code
        0, 0 for an answered refusal, missing where no answer came: whether KeyAPI charges failures is not known.
        `imported` is True for requests that `import_store` brought: others paid for them. `client` is the machine and
        process that sent it, as "machine:process"; missing in a replay.
    """
    return find_client(client).ledger()


def status(*, client: Client | None = None) -> Status:
    """Return where the token and the data come from, where answers are kept and what they cost.

    Parameters
    ----------
    client : Client, optional
        The connection; the default one if omitted.

    Returns
    -------
    Status
        Facts with a repr for terminals and notebooks; never the token.
    """
    return find_client(client).status()


def budget(credits: int, *, client: Client | None = None) -> Budget:  # noqa: A002 - its name
    """Limit what may be spent within a `with` block, whatever client is used there; nested budgets hold together.

    It holds for calls that begin while the block is open in its thread or task, and in threads that have no block of
    their own. A call keeps the budgets that were in force when it began. A budget that is kept and entered again goes
    on with what is left of it.

    Parameters
    ----------
    credits : int
        The limit. A call that would exceed it is refused before anything is sent.
    client : Client, optional
        Makes no difference: a block limits every client.

    Returns
    -------
    Budget
        For a `with` statement, which puts it in force; `spent` and `remaining` are how it stands.

    Examples
    --------
    >>> with kr.budget(4) as budget:
    ...     _ = kr.fetch_hashtags(["ufc324", "perfume"])
    >>> budget.spent
    4
    """
    return make_budget(credits) if client is None else find_client(client).budget(credits)


def limit_store(
    credits: int | None,  # noqa: A002 - its name
    *,
    per: Literal["day", "month"] = "month",
    client: Client | None = None,
) -> StoreLimit:
    """Limit what may be spent into a store in a day or a month, whatever client or process spends.

    The limit is written into the store, so it holds for everybody on it until it is lifted, also after a restart. A
    call that is known to cost more than is left is refused before anything is sent; what cannot be known is counted
    request by request, and stops before the limit.

    Parameters
    ----------
    credits : int or None
        The limit; None lifts it.
    per : {"month", "day"}
        Which limit, by the calendar, UTC. A store has one for each, and both hold.
    client : Client, optional
        The connection; the default one if omitted.

    Returns
    -------
    StoreLimit
        credits, per, spent (in this day or month, also before the limit was set), remaining and until, when it begins
        anew. `status` shows it, too.

    Raises
    ------
    InvalidArgumentError
        `credits` is not a whole number of at least 0, or `per` is neither "day" nor "month".
    StoreError
        The store cannot be written, or this connection only reads it (offline, `as_of`, a replay).

    Notes
    -----
    What counts are the requests in the ledger by `sent_at`: those without an answer with their full price, unless they
    were surely not delivered; those imported from another store not at all. A call beyond the limit is a
    BudgetExceededError.

    Examples
    --------
    >>> kr.limit_store(500).credits
    500
    >>> kr.limit_store(None).credits is None
    True
    """
    return find_client(client).limit_store(credits, per=per)
