"""Freezing: what this session read from a store goes into one archive, and what will differ in a replay is said."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from .. import archive
from ..client import Call, CallRecord, Client
from ..client.display import facts_html, facts_text
from ..endpoints import ENDPOINT_OF, Query, make_queries, make_query
from ..errors import FetchIncompleteError, InvalidArgumentError, NotStoredError, StoreError, listed
from ..frames import reading_client
from ..schema import TABLES
from ..store import Observation, compact_json
from .files import as_path

_Moments = list[tuple[str, int]]  # what it read: entities and when they were observed


class _Question(NamedTuple):
    """What a call asked."""

    table: str
    queries: tuple[Query, ...]
    limit: int | None
    partial: bool = False


@dataclass(frozen=True)
class Frozen:
    """What `freeze` wrote.

    Attributes
    ----------
    path : str
        The archive.
    answers, absences : int
        Answers in it, and entities that KeyAPI had nothing for.
    calls : int
        Different calls that read them.
    requests, credits : int
        Requests that brought them, and what these cost.
    differing : tuple of str
        Calls whose tables a replay gives otherwise: it serves the newest of several observations of one entity, and
        cannot answer what failed or was refused.
    failed : tuple of str
        Ids that failed and were not fetched since (`partial=True`).
    """

    path: str
    answers: int
    absences: int
    calls: int
    requests: int
    credits: int
    differing: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    @property
    def _facts(self) -> dict[str, object]:
        facts: dict[str, object] = {
            "answers": self.answers,
            "absences": self.absences,
            "calls": self.calls,
            "requests": self.requests,
            "credits": self.credits,
        }
        if self.differing:
            facts["differ in a replay"] = listed(list(self.differing), 10)
        return facts | ({"failed, not in it": listed(list(self.failed), 10)} if self.failed else {})

    def __repr__(self) -> str:
        return facts_text(f"<Frozen study: {self.path}>", self._facts)

    def _repr_html_(self) -> str:
        return facts_html(f"Frozen study {self.path}", self._facts)


def freeze(path: str | os.PathLike[str], *, partial: bool = False, client: Client | None = None) -> Frozen:
    """Write what this session read from the store into one archive that anybody can replay; sends nothing.

    Parameters
    ----------
    path : path
        The archive, as "study.zip"; nothing may be there. In a replay of that very file nothing is written, and what
        it has is returned.
    partial : bool
        Freeze although some ids failed and were not fetched since.
    client : Client, optional
        The connection; the default one if left out.

    Returns
    -------
    Frozen
        What is in it, and which calls a replay answers otherwise.

    Raises
    ------
    InvalidArgumentError
        Something is there already, or nothing was read yet.
    FetchIncompleteError
        Some ids failed and were not fetched since.
    StoreError
        The archive cannot be written, or the client is closed.

    Notes
    -----
    The archive has answers, absences and requests; no token, no path, no name, no clock: the same study gives the
    same bytes. `replay(path)`, or KEYAPI_REPLAY in the environment of the unchanged notebook, reads it.

    Examples
    --------
    >>> import tempfile
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> _ = kr.fetch_hashtags(["ufc324", "perfume"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     kr.freeze(f"{folder}/study.zip").credits
    4
    """
    target = as_path(path)
    connection = reading_client(client)
    if _is_replayed(target, connection):
        return _summary_of(str(path), connection)
    if target.exists():
        raise InvalidArgumentError(f"{target} is there already and is never overwritten: choose another path")
    calls, read = connection.records.calls, connection.records.read
    if not read:
        raise InvalidArgumentError(
            "this connection has read nothing yet, so there is nothing to freeze: run the notebook first (what is "
            "stored costs nothing), and freeze at its end"
        )
    observations = {one.id: one for one in connection.store.observations(read)}
    questions = [(call, call.queries(observations)) for call in calls]
    failed = _failed(questions, observations)
    if failed and not partial:
        raise FetchIncompleteError(
            f"{len(failed):,} ids failed and were not fetched since: {listed([query.id for query in failed], 10)}. "
            "Fetch them again, or freeze the rest with partial=True"
        )
    study = archive.gather(connection.store, read)
    answered = _answered(questions, observations)
    differing = _differing(answered, study)
    entries = [_entry(question, differs=question in differing) for question in answered]
    archive.write(target, study, connection.store, sorted(entries, key=compact_json))
    return Frozen(
        path=str(path),
        answers=len(study.answers) - study.absences,
        absences=study.absences,
        calls=len(entries),
        requests=len(study.ledger),
        credits=study.credits,
        differing=tuple(sorted(map(_written, differing))),
        failed=tuple(query.id for query in failed),
    )


def _is_replayed(target: Path, client: Client) -> bool:
    """Whether a path is that of the archive a client replays."""
    try:
        return bool(client.policy.replaying) and target.samefile(client.policy.replaying)
    except OSError:  # one of them is not there
        return False


def _summary_of(path: str, client: Client) -> Frozen:
    """Say what is in the archive a client replays, as `freeze` said it when it wrote it."""
    manifest = archive.read_manifest(client.policy.replaying)
    try:
        calls = [(_question(entry), entry["differs"]) for entry in manifest["calls"]]
        differing = sorted(_written(question) for question, differs in calls if differs)
    except (LookupError, TypeError, ValueError) as error:
        raise StoreError(f"the calls in the manifest of {path} are not as freeze writes them") from error
    queries = dict.fromkeys(query for question, _ in calls for query in question.queries)
    there = client.store.latest(query.key for query in queries)
    return Frozen(
        path=path,
        answers=manifest["answers"],
        absences=manifest["absences"],
        calls=len(calls),
        requests=manifest["requests"],
        credits=manifest["credits"],
        differing=tuple(differing),
        failed=tuple(query.id for query in queries if query.key not in there),
    )


_Asked = Sequence[tuple[CallRecord, tuple[Query, ...]]]  # calls, and what each asked for


def _failed(calls: _Asked, observations: Mapping[int, Observation]) -> list[Query]:
    """List what failed, or was left when a call was interrupted, and no later call got."""
    failed: dict[Query, None] = {}
    for call, queries in calls:
        got, refused = {observations[one].entity for one in call.read}, set(call.failed)
        for query in queries:
            if query in refused:
                failed[query] = None
            elif query.key in got:
                failed.pop(query, None)
    return list(failed)


def _answered(calls: _Asked, observations: Mapping[int, Observation]) -> dict[_Question, list[_Moments]]:
    """Gather what was asked, each question once, and what it read each time."""
    answered: dict[_Question, list[_Moments]] = {}
    for call, queries in calls:
        read = [observations[one] for one in call.read]
        question = _Question(call.table, queries, call.limit, call.partial)
        answered.setdefault(question, []).append([(one.entity, one.observed_at) for one in read])
    return answered


def _differing(answered: dict[_Question, list[_Moments]], study: archive.Study) -> set[_Question]:
    """Ask everything again of the archive alone, and see what comes otherwise."""
    store = archive.index(study)
    with Client.of(archive.replay_settings(study.source), store=store, replaying="the archive") as reader:
        return {
            question for question, reads in answered.items() if any(one != _replayed(question, reader) for one in reads)
        }


def _replayed(question: _Question, reader: Client) -> _Moments | None:
    table, queries, limit, partial = question
    try:
        collection = reader.collect(Call(TABLES[table], ENDPOINT_OF[table], queries, limit, partial=partial))
    except NotStoredError:
        return None
    return [(one.observation.entity, one.observation.observed_at) for one in collection.answers]


def _entry(question: _Question, *, differs: bool) -> dict[str, Any]:
    """Write a call for the manifest: ids that were asked with the same parameters stand together."""
    table, queries, limit, _ = question
    together: dict[tuple[object, ...], dict[str, Any]] = {}
    for query in queries:
        entity, values = query.endpoint.entity, query.value_of
        if entity is None:
            together[query.values] = values
        else:
            group = together.setdefault(query.values[1:], values | {entity.column: []})
            group[entity.column].append(query.values[0])
    return {"asked": list(together.values()), "differs": differs, "limit": limit, "table": table}


def _question(entry: Mapping[str, Any]) -> _Question:
    """Read a call of a manifest."""
    endpoint = ENDPOINT_OF[entry["table"]]
    queries: list[Query] = []
    for group in entry["asked"]:
        given = {p.argument: group[p.column] for p in endpoint.inputs}
        entity = endpoint.entity
        queries += (
            [make_query(endpoint, given)] if entity is None else make_queries(endpoint, given[entity.argument], given)
        )
    return _Question(TABLES[entry["table"]].name, tuple(queries), entry["limit"])


def _written(question: _Question) -> str:
    """Write a call as it may stand in a notebook."""
    table, queries, limit, _ = question
    endpoint = queries[0].endpoint
    values = zip(endpoint.inputs, queries[0].values, strict=True)
    options = [f"{p.argument}={value!r}" for p, value in values if p is not endpoint.entity and value is not None]
    if endpoint.entity is None:
        given = [*options, f"limit={limit}"]
    else:
        given = [f"[{listed([repr(query.id) for query in queries], 3)}]", *options]
    return f"fetch_{table}({', '.join(given)})"
