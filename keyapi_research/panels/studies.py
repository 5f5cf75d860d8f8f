"""A panel: what it costs, what it does when it is due, what it has."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import pandas as pd

from ..client import Client, find_client, open_client
from ..client.display import Facts
from ..errors import FetchIncompleteError, IncompleteDataWarning, InvalidArgumentError, StoreError, listed, warn
from ..model import DTYPES
from ..settings import SANDBOX_TODAY, Settings, read_replay
from ..store import Answer, is_there, now_us, when
from ..tidy import empty_frame
from .file import PanelFile, read_panel
from .prices import most, prices_of
from .rounds import begin_run, credits_left, end_round, fetches_of, rounds_of, same_since, spent_by, state_of
from .running import fetch_round
from .shown import PanelPlan, PanelStatus
from .tables import came, find_table, frames_of

_YEAR: Final = timedelta(days=365)
_MOST_NAMED: Final = 10
_ROUNDS: Final = {
    "round": "count", "begins": "time", "ends": "time", "state": "text", "done": "time", "credits": "count",
}  # fmt: skip


def panel(path: str | os.PathLike[str], *, client: Client | None = None) -> Panel:
    """Return a panel: a study that goes on, round by round, as its file declares it; nothing is sent.

    Parameters
    ----------
    path : path
        The file (TOML): name, every ("7D", "1D", "1M"), starts, credits_per_round, store (a file, relative to
        this one, by default NAME.sqlite; or the address of one on a server), sandbox = true for synthetic data, and
        [[fetch]] blocks: function, its arguments, and its ids as ids = ["...", "..."], or from = "table.column" of a
        fetch above it.
    client : Client, optional
        The connection whose key and pace are used; the default one if omitted, and without that KEYAPI_TOKEN. Answers
        go into the panel's own store.

    Returns
    -------
    Panel
        With `plan()`, `run()`, `status()` and `table(name)`.

    Raises
    ------
    InvalidArgumentError
        The file cannot be read, or has a mistake, which is named with its line.

    Notes
    -----
    Costs nothing. A round is due during its whole interval, and numbered by it: the first from `starts`, UTC. Months
    from the 31st begin on the last day of shorter ones.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> file = pathlib.Path(folder.name, "perfume.toml")
    >>> _ = file.write_text('''
    ... name = "perfume"
    ... every = "7D"
    ... starts = 2026-02-01
    ... credits_per_round = 10
    ... sandbox = true
    ... [[fetch]]
    ... function = "fetch_hashtags"
    ... ids = ["perfume", "scentoftheday"]
    ... ''')
    >>> perfume = kr.panel(file)
    >>> perfume.plan().credits
    4
    >>> perfume.run().state
    'done'
    >>> perfume.run().credits_spent
    4
    >>> folder.cleanup()
    """
    return Panel(read_panel(path), None if client is None else find_client(client))


class Panel(Facts):
    """A study that goes on, round by round; `kr.panel(path)` returns it."""

    def __init__(self, file: PanelFile, client: Client | None = None) -> None:
        self._file = file
        self._client = client  # None: the default one, when the panel is run

    def _facts(self, *, whole: bool) -> tuple[str, Mapping[str, object]]:
        file = self._file
        return f"Panel {file.name}", {
            "file": file.path if whole else Path(file.path).name, "every": file.every_text,
            "starts": f"{file.starts.astimezone(UTC):%Y-%m-%d %H:%M} UTC", "credits per round": file.credits_per_round,
            "store": file.store if whole else file.store_name,
            "fetches": ", ".join(one.function for one in file.fetches),
        }  # fmt: skip

    # What it costs ------------------------------------------------------------------------------------------

    def plan(self) -> PanelPlan:
        """Return what the round that is due and a year of rounds cost at most; nothing is sent.

        Returns
        -------
        PanelPlan
            round, credits, credits_per_round, rounds, credits_per_year, fetches, note.

        Raises
        ------
        InvalidArgumentError
            `every` or `starts` was changed after a round had been run.
        StoreError
            The store cannot be read.
        """
        file = self._file
        number = max(file.number_at(_now()), 1)
        with ExitStack() as opened:
            client = self._reading(opened)
            empty = opened.enter_context(Client.of(Settings(today=_today(file, client))))
            prices = prices_of(file, empty)
            known = [one for one in prices if one is not None]
            whole = min(sum(known), file.credits_per_round) if len(known) == len(prices) else file.credits_per_round
            left = min(whole, self._left(number, prices, client, empty))
        year = file.number_at(file.begins(number) + _YEAR - timedelta(microseconds=1)) - number + 1
        needs, notes = sum(known), []
        if needs > file.credits_per_round:
            notes.append(f"a round may need {needs:,} credits, so credits_per_round may stop it before its end")
        if len(known) < len(prices):
            notes.append("how many ids come from another table is not known in advance: up to credits_per_round")
        return PanelPlan(
            round=number,
            credits=left,
            credits_per_round=whole,
            rounds=year,
            credits_per_year=year * whole,
            fetches=tuple((one.function, price) for one, price in zip(file.fetches, prices, strict=True)),
            note="; ".join(notes),
        )

    def _left(self, number: int, prices: Sequence[int | None], client: Client | None, empty: Client) -> int:
        """Return what is still to be paid for a round, at most."""
        file = self._file
        if _is_done(client, file, number):
            return 0
        this = rounds_of(client.store, file).get(number) if client else None
        calls = [(one, one.call(one.ids or (), client=empty), list[Answer]()) for one in file.fetches]
        if client is not None:
            calls = came(client, file, number, this)
        left, short = 0, set[str]()  # tables of which something is still to come
        for (one, call, answers), price in zip(calls, prices, strict=True):
            there = {answer.query for answer in answers}
            lacking = tuple(query for query in call.queries if query not in there)
            cost = most(empty.plan(replace(call, queries=lacking, client=empty))) if lacking else 0
            if one.source and one.source[0] in short:  # so that its ids are not known yet
                cost = file.credits_per_round if price is None else max(price, cost)
            if cost:
                short.add(one.table.name)
            left += cost
        return min(left, credits_left(client.store, file, this) if client and this else file.credits_per_round)

    # What it does -------------------------------------------------------------------------------------------

    def run(self) -> PanelStatus:
        """Do what is due and not done, and return how the panel stands; what the round has is not paid again.

        It fetches into the store of the panel, with the key and pace of the connection in use or, without one, with
        KEYAPI_TOKEN. A second run at the same time waits for the first, and pays nothing twice.

        Returns
        -------
        PanelStatus
            name, round, state, next, done, incomplete, missed, credits_spent, file_since, rounds.

        Raises
        ------
        BudgetExceededError
            The round costs more than is left of credits_per_round. What was fetched is kept; allow more, and run again.
        FetchIncompleteError, NetworkError, ServerError, RateLimitedError
            The round was cut off. Run again before its interval ends, and it goes on.
        MissingTokenError, AuthenticationError, AccessDeniedError, CreditsExhaustedError, StoreError
            Nothing more was sent.
        """
        file = self._file
        number = file.number_at(_now())
        with ExitStack() as opened:
            due = number > 0 and not _is_done(self._reading(opened), file, number)
        if due:
            with _online(file, open_client(self._client)) as client, client.store.alone(file.name):
                number = file.number_at(_now())  # whoever had the lock may have had it over the end of a round
                if not _is_done(client, file, number):
                    self._run(client, number)
        return self.status()

    def _run(self, client: Client, number: int) -> None:
        file, store, token = self._file, client.store, client.settings.token
        if token is not None and file.has(token):
            raise InvalidArgumentError(f"{file.path} has the token in it, which would be stored. Leave it out")
        this = begin_run(store, file, number, client.policy.today)
        settings = replace(client.settings, max_credits=credits_left(store, file, this))
        with Client.of(settings, store=store) as limited:
            answers, told = fetch_round(limited, file, this)
            done = answers is not None and end_round(store, file, this, answers)
        if not done:
            raise FetchIncompleteError(
                f"round {number} of {file.name} ended at {when(this.ends):%Y-%m-%d %H:%M} UTC while it was fetched: it "
                "is incomplete, and stays so. Run again for the next round"
            )
        if told is not None:
            raise told

    # What there is ------------------------------------------------------------------------------------------

    def status(self) -> PanelStatus:
        """Return how the panel stands; nothing is sent.

        Returns
        -------
        PanelStatus
            name, round, state, next, done, incomplete, missed, credits_spent, file_since, rounds.

        Raises
        ------
        InvalidArgumentError
            `every` or `starts` was changed after a round had been run.
        StoreError
            The store cannot be read.
        """
        file = self._file
        number = file.number_at(_now())
        with ExitStack() as opened:
            client = self._reading(opened)
            known = rounds_of(client.store, file) if client else {}
            spent = spent_by(client.store, known.values()) if client else {}
        numbers = range(1, max(number, *known, 0) + 1)
        states = {one: state_of(known.get(one), one, number) for one in numbers}
        done = {one: when(each.done) for one, each in known.items() if each.done is not None}
        rows = [
            (one, file.begins(one), file.begins(one + 1), states[one], done.get(one), spent.get(one, 0))
            for one in numbers
        ]
        rounds = pd.DataFrame(rows, columns=[*_ROUNDS]).astype({name: DTYPES[kind] for name, kind in _ROUNDS.items()})

        def those(state: str) -> tuple[int, ...]:
            return tuple(one for one, found in states.items() if found == state)

        return PanelStatus(
            name=file.name,
            round=number,
            state=states.get(number, "not begun"),
            next=file.begins(number + 1),
            done=those("done"),
            incomplete=those("incomplete"),
            missed=those("missed"),
            credits_spent=sum(spent.values()),
            file_since=same_since([*known.values()], file.digest),
            rounds=rounds,
        )

    def table(self, name: str) -> pd.DataFrame:
        """Return a table of all rounds, with the number of the round in front; nothing is sent.

        Parameters
        ----------
        name : str
            A table that a fetch of the panel makes, or another one of the same answers.

        Returns
        -------
        pandas.DataFrame
            round (Int64), then the columns of the table: what each round had when it was done. A round that was missed
            has no rows. One that is incomplete has what came in its interval, with an `IncompleteDataWarning`.

        Raises
        ------
        InvalidArgumentError
            No fetch of the panel makes it.
        StoreError
            The store cannot be read.
        """
        file = self._file
        parts: list[pd.DataFrame] = []
        with ExitStack() as opened:
            client = self._reading(opened)
            rounds = sorted(rounds_of(client.store, file).items()) if client else []
            versions: dict[str, PanelFile] = {}  # each read once
            if client is not None:
                for _, one in rounds:
                    if one.digest not in versions:
                        versions[one.digest] = replace(file, fetches=fetches_of(client.store, file, one))
            table = find_table(name, [one for each in (*versions.values(), file) for one in each.fetches], file)
            if client is not None:
                for _, one in rounds:
                    parts += frames_of(client, versions[one.digest], one, table)
        partly = [str(number) for number, one in rounds if one.done is None]
        if partly:
            warn(
                f"{file.name}: round {listed(partly, _MOST_NAMED)} is incomplete: the table has only the rows that "
                "were fetched before it was cut off. status() says which rounds were done",
                IncompleteDataWarning,
            )
        whole = pd.concat(parts, ignore_index=True) if parts else empty_frame(table).assign(round=0)
        texts = {name: DTYPES["text"] for name, one in whole.dtypes.items() if one.kind == "O"}  # numbers beside texts
        return whole[["round", *(one for one in whole if one != "round")]].astype({**texts, "round": DTYPES["count"]})

    def _reading(self, opened: ExitStack) -> Client | None:
        """Open the store to read it; None where there is none yet."""
        if not is_there(self._file.store):
            return None
        return opened.enter_context(Client(store=self._file.store, offline=True, replay=False))


# Clients ----------------------------------------------------------------------------------------------------


def _online(file: PanelFile, in_use: Client | None) -> Client:
    """Connect to what a panel fetches from: as the connection in use, else as the environment says."""
    mode = "KEYAPI_REPLAY is set" if read_replay(None) else ""
    if in_use is not None and in_use.policy.offline:
        mode = in_use.policy.mode
    if mode:
        raise StoreError(
            f"{file.name} was not run, because the connection in use sends nothing ({mode}). Unset KEYAPI_REPLAY, and "
            "connect online first: kr.connect()"
        )
    if in_use is not None and in_use.settings.sandbox and not file.sandbox:
        raise StoreError(
            f"{file.name} was not run, because the connection in use is the sandbox, but this panel fetches real data "
            "and pays for them. Connect with kr.connect() before, or write sandbox = true into the file"
        )
    if in_use is None or file.sandbox:
        return Client(store=file.store, sandbox=file.sandbox, max_call_credits=None, replay=False)
    return Client.of(replace(in_use.settings, store=file.store, max_call_credits=None))


def _is_done(client: Client | None, file: PanelFile, number: int) -> bool:
    this = rounds_of(client.store, file).get(number) if client else None
    return this is not None and this.done is not None


def _now() -> datetime:
    return when(now_us())


def _today(file: PanelFile, client: Client | None) -> date:
    """Return the day that dates of a first run are relative to."""
    return client.policy.today if client else SANDBOX_TODAY if file.sandbox else _now().date()
