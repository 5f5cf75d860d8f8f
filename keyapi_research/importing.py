"""Answers of another store, taken into this one: what somebody else paid for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .client import Client
from .client.display import Facts, Progress
from .errors import InvalidArgumentError, StoreError
from .files import as_path
from .frames import reading_client
from .holdings import query_behind
from .settings import MEMORY, NOT_A_FILE, SANDBOX, address_of, is_address, read_address, source_of
from .store import Observation, Renumbered, Store, Totals, when

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
    path : path or str
        The file of the other store, also one of an earlier version of this package; or the address of one on a server,
        as for `connect`. It must have the same source, and is only read.
    client : Client, optional
        The connection whose store takes them in, also an offline one; the default one if omitted.

    Returns
    -------
    Imported
        path, answers, absences, known, requests, credits: what was added, and how much was here already.

    Raises
    ------
    InvalidArgumentError
        That is not a path or address, has a password in it, or is the store of this connection itself, or an archive.
    StoreError
        The other store cannot be read, is damaged, or belongs to another source; then nothing is added. Or this store
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
                ledger = {row.id: row for row in other.ledger(one.request for one in answers)}
                new = store.take_in(answers, ledger, other.envelopes, numbers, url=address_of(source), source=source)
                added = added.plus(new)
                progress.step(number=len(answers))
        finally:
            progress.close()
    return Imported(
        path=other.path if is_address(path) else str(path),
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
        raise _not_imported(error, other.path) from error
    return last


def _check_queries(answers: Iterable[Observation], path: str) -> None:
    """Refuse answers that are not about what their index says, and moments that no clock shows."""
    try:
        fit = all(query_behind(one) is not None and when(one.observed_at) for one in answers)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
        fit = False
    if not fit:
        raise StoreError(f"{path} is damaged: an answer is not what its index says")


def _not_imported(error: StoreError, place: str) -> StoreError:
    """Return the error of another store: of a file its advice is for who opens it, not for who imports it."""
    if is_address(place):
        return StoreError(f"nothing was imported: {error}")
    reason, _, _ = str(error).partition(". ")
    return StoreError(f"nothing was imported: {reason}. Pass the file of a store, copied while nobody wrote to it")


def _open(path: str | os.PathLike[str], client: Client) -> Store:
    """Open another store for reading."""
    place = read_address(str(path), "path") if is_address(path) else _file(path, client)
    try:
        other = Store(place, source=None, read_only=True)
    except StoreError as error:
        raise _not_imported(error, place) from error
    try:
        _check_other(other, place, client)
    except BaseException:
        other.close()
        raise
    return other


def _file(path: str | os.PathLike[str], client: Client) -> str:
    """Return the file of another store."""
    if isinstance(path, str) and path == MEMORY:
        raise InvalidArgumentError("a store in memory cannot be imported: only its own connection can read it")
    file = as_path(path, of="a store's file, or an address", instead=NOT_A_FILE)
    with contextlib.suppress(OSError):
        own = client.settings.store
        if own != MEMORY and not is_address(own) and file.samefile(own):
            raise InvalidArgumentError(f"{file} is the store of this connection itself. Pass the path of another one")
        if file.is_file() and _begins_as_archive(file):
            raise InvalidArgumentError(
                f"{file} is an archive, not a store. kr.replay({str(path)!r}) reads it; its answers are not mixed "
                "with those of a store"
            )
    if not file.exists():
        raise StoreError(f"there is no store at {file}. Check the path")
    return str(file)


def _begins_as_archive(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(2) == b"PK"


def _check_other(other: Store, place: str, client: Client) -> None:
    """Refuse answers that this store has, does not take, or that this connection could not go on with."""
    if is_address(place) and other.identity == client.store.identity:
        raise InvalidArgumentError(f"{other.path} is the store of this connection itself. Pass another one")
    here = {client.store.source} if client.store.source else {SANDBOX, source_of(client.settings.base_url)}
    if other.source not in {None, *here}:
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
        if is_address(client.settings.store):
            store.check_writable()
        if store.read_only:
            raise StoreError(f"{store.path} cannot be written. Make the file and its folder writable")
        if store.id != client.store.id:  # an offline connection reads a copy of a former format
            raise StoreError(
                f"{store.path} had a former format, and has the current one from now on. Connect again, then import"
            )
        yield store
