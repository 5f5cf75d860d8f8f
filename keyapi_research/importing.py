"""Answers of another store, taken into this one: what somebody else paid for."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .client import Client
from .client.display import Facts, Progress
from .errors import InvalidArgumentError, StoreError
from .files import as_path
from .frames import reading_client
from .holdings import query_behind
from .settings import MEMORY, SANDBOX, address_of, source_of
from .store import Observation, Renumbered, Store, Totals, when

_SERVER: Final = re.compile(r"postgres(ql)?:/")
_AT_ONCE = 1000  # answers of one transaction: nobody waits long for this store, and memory is bounded


@dataclass(frozen=True, repr=False)
class Imported(Facts):
    """What `import_store` added.

    Attributes
    ----------
    path : str
        The other store.
    answers, absences : int
        Answers that are new here, and entities that KeyAPI had nothing for.
    known : int
        Answers of the other store that were here already.
    requests, credits : int
        Requests that brought the new ones, and what these cost others.
    """

    path: str
    answers: int
    absences: int
    known: int
    requests: int
    credits: int

    def _facts(self, **_: object) -> tuple[str, Mapping[str, object]]:
        return f"Imported store: {self.path}", {
            "new answers": self.answers,
            "new absences": self.absences,
            "known before": self.known,
            "requests": self.requests,
            "credits": f"{self.credits:,} (paid by others)",
        }


def import_store(path: str | os.PathLike[str], *, client: Client | None = None) -> Imported:
    """Take all answers of another store into this one, such as a colleague's; nothing is sent.

    Parameters
    ----------
    path : path
        The file of the other store, of the same source; it is only read. Those of earlier versions are taken, too.
    client : Client, optional
        The connection whose store takes them in, also an offline one; the default one if omitted.

    Returns
    -------
    Imported
        path, answers, absences, known, requests, credits: what was added, and how much was here already.

    Raises
    ------
    InvalidArgumentError
        That is not a path, or it is the store of this connection itself, or an archive.
    StoreError
        The other file is not a store, is damaged, or belongs to another source; then nothing is added. Or this store
        cannot be written: `as_of` and a replay only read.

    Notes
    -----
    Each answer is taken once, however often it is imported; a second run adds what has come since, and goes on after an
    interruption. Answers keep the moment they were observed at, by the clock of who fetched them: an older one does not
    take the place of a newer one. The requests that brought them come into the ledger with ``imported`` True, and
    neither a budget nor `limit_store` counts them; requests that brought nothing stay behind.

    Examples
    --------
    >>> import tempfile
    >>> file = f"{tempfile.mkdtemp()}/colleague.sqlite"
    >>> with kr.Client(sandbox=True, store=file) as colleague:
    ...     _ = kr.fetch_hashtags(["gardening", "sunflower"], client=colleague)
    >>> kr.import_store(file).answers
    2
    >>> kr.plan(kr.fetch_hashtags, ["gardening", "sunflower"]).credits
    0
    """
    connection = reading_client(client)
    with contextlib.closing(_open(path, connection)) as other, _written(connection) as store:
        last = _check_all(other)
        progress = Progress("import_store", wanted=connection.settings.progress, unit="answer")
        progress.expect(last)
        added, numbers, source = Totals(), Renumbered(), other.source or ""
        try:
            for start in range(1, last + 1, _AT_ONCE):
                answers = other.observations(_some(start, last))
                ledger = {row[0]: row for row in other.ledger(one.request for one in answers)}
                new = store.take_in(answers, ledger, other.envelopes, numbers, url=address_of(source), source=source)
                added = added.plus(new)
                progress.step(number=len(answers))
        finally:
            progress.close()
    return Imported(
        path=str(path),
        answers=added.answers - added.absences,
        absences=added.absences,
        known=last - added.answers,
        requests=added.requests,
        credits=added.credits,
    )


def _some(start: int, last: int) -> range:
    return range(start, min(start + _AT_ONCE, last + 1))


def _check_all(other: Store) -> int:
    """Read all answers of another store before the first of them is stored, and return how many there are."""
    last = other.totals().answers
    try:
        for start in range(1, last + 1, _AT_ONCE):
            answers = other.observations(_some(start, last))
            other.check_readable([one.id for one in answers])
            other.ledger(one.request for one in answers)
            _check_queries(answers, other.path)
    except StoreError as error:
        raise _nothing(error) from error
    return last


def _check_queries(answers: Iterable[Observation], path: str) -> None:
    """Refuse answers that are not about what their index says, and moments that no clock shows."""
    try:
        fit = all(query_behind(one) is not None and when(one.observed_at) for one in answers)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
        fit = False
    if not fit:
        raise StoreError(f"{path} is damaged: an answer is not what its index says")


def _nothing(error: StoreError) -> StoreError:
    """Return the error of another store: its advice is for who opens it, not for who imports it."""
    reason, _, _ = str(error).partition(". ")
    return StoreError(f"nothing was imported: {reason}. Pass the file of a store, copied while nobody wrote to it")


def _open(path: str | os.PathLike[str], client: Client) -> Store:
    """Open another store for reading."""
    if _SERVER.match(str(path)):
        raise InvalidArgumentError("this version imports files, not stores on PostgreSQL. Pass the path of a file")
    if path == MEMORY:
        raise InvalidArgumentError("a store in memory cannot be imported: only its own connection can read it")
    file = as_path(path, of="a store's file")
    with contextlib.suppress(OSError):
        if client.settings.store != MEMORY and file.samefile(client.settings.store):
            raise InvalidArgumentError(f"{file} is the store of this connection itself. Pass the path of another one")
        if file.is_file() and _begins_as_archive(file):
            raise InvalidArgumentError(
                f"{file} is an archive, not a store. kr.replay({str(path)!r}) reads it; its answers are not mixed "
                "with those of a store"
            )
    if not file.exists():
        raise StoreError(f"there is no store at {file}. Check the path")
    try:
        other = Store(str(file), source=None, read_only=True)
    except StoreError as error:
        raise _nothing(error) from error
    _check_source(other, client)
    return other


def _begins_as_archive(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(2) == b"PK"


def _check_source(other: Store, client: Client) -> None:
    """Refuse answers that this store does not take, or that this connection could not go on with."""
    here = {client.store.source} if client.store.source else {SANDBOX, source_of(client.settings.base_url)}
    if other.source not in {None, *here}:
        other.close()
        raise StoreError(
            f"nothing was imported: the answers of {other.path} come from {other.source!r}, those of this store from "
            f"{client.source!r}, and a store has one source. Import it into another store"
        )


@contextlib.contextmanager
def _written(client: Client) -> Iterator[Store]:
    """Return the store of a connection, to be written: an offline one reads it, so it is opened once more."""
    if client.policy.replaying or client.policy.until is not None:
        raise StoreError(
            f"imported answers are written into the store, but this connection only reads ({client.policy.mode}). "
            "Connect to the store without as_of and replay"
        )
    if not client.store.read_only:
        yield client.store
        return
    with contextlib.closing(Store(client.settings.store, source=None, read_only=False)) as store:
        if store.read_only:
            raise StoreError(f"{store.path} cannot be written. Make the file and its folder writable")
        if store.id != client.store.id:  # an offline connection reads a copy of a former format
            raise StoreError(
                f"{store.path} had a former format, and has the current one from now on. Connect again, then import"
            )
        yield store
