"""Freezing: what this session read goes into one archive, and the calls that a replay answers otherwise are named."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import archive_format as archive
from ..client import Call, CallRecord, Client
from ..client.display import Facts
from ..errors import FetchIncompleteError, InvalidArgumentError, NotStoredError, StoreError, listed
from ..frames import reading_client
from ..model import TABLES, Query, make_queries, make_query
from ..store import Observation, compact_json
from .files import as_path


@dataclass(frozen=True, repr=False)
class Frozen(Facts):
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
        Calls that a replay answers otherwise: it serves the newest of several observations of one entity, and cannot
        answer what failed or was refused.
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

    def _facts(self, **_: object) -> tuple[str, Mapping[str, object]]:
        numbers = ("answers", "absences", "calls", "requests", "credits")
        lists = {"differ in a replay": self.differing, "failed, not in it": self.failed}
        facts: dict[str, object] = {name: getattr(self, name) for name in numbers}
        named = {name: listed(list(one), 10) for name, one in lists.items() if one}
        return f"Frozen study: {self.path}", facts | named


def freeze(path: str | os.PathLike[str], *, partial: bool = False, client: Client | None = None) -> Frozen:
    """Write the answers this session read into one archive that anybody can replay; nothing is sent.

    Parameters
    ----------
    path : path
        The archive, such as "study.zip"; the file must not exist. During a replay of the same file nothing is
        written, and its content is described.
    partial : bool
        Freeze even if some ids failed and were not fetched later.
    client : Client, optional
        The connection; the default one if omitted.

    Returns
    -------
    Frozen
        What the archive contains, and which calls a replay answers differently.

    Raises
    ------
    InvalidArgumentError
        The file already exists, or no answer was read yet.
    FetchIncompleteError
        Some ids failed and were not fetched later.
    StoreError
        The archive cannot be written, or the client is closed.

    Notes
    -----
    The archive has answers and requests, but no token, path, name or time of writing, so the same study always gives
    the same bytes. To read it, use `replay(path)`, or set KEYAPI_REPLAY and run the unchanged notebook.

    Examples
    --------
    >>> import tempfile
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
        raise InvalidArgumentError(f"{target} already exists and is not overwritten. Choose another path")
    read = connection.records.read
    if not read:
        raise InvalidArgumentError(
            "nothing to freeze: this connection has not read any answers yet. Run the notebook first (stored answers "
            "cost nothing) and freeze at its end"
        )
    observations = {one.id: one for one in connection.store.observations(read)}
    records = [(record, record.queries(observations)) for record in connection.records.calls]
    failed = _failed(records, observations)
    if failed and not partial:
        raise FetchIncompleteError(
            f"{len(failed):,} ids failed and were not fetched later: {listed([query.id for query in failed], 10)}. "
            "Fetch them again, or freeze the rest with partial=True"
        )
    study = archive.gather(connection.store, read)
    made = [(_call(record.table, queries, record.limit, partial=record.partial), record) for record, queries in records]
    calls = {_key(call): call for call, _ in made}
    differing = _differing([(call, _moments(observations[one] for one in record.read)) for call, record in made], study)
    entries = [_entry(call, differs=key in differing) for key, call in calls.items()]
    archive.write(target, study, connection.store, sorted(entries, key=compact_json))
    return Frozen(
        path=str(path),
        calls=len(entries),
        **study.counts,
        differing=tuple(sorted(_written(calls[key]) for key in differing)),
        failed=tuple(query.id for query in failed),
    )


def _call(table: str, queries: Sequence[Query], limit: int | None, *, partial: bool = False) -> Call:
    return Call(TABLES[table], TABLES[table].endpoint, tuple(queries), limit, partial=partial)


def _key(call: Call) -> Hashable:
    return call.table.name, call.queries, call.limit, call.partial


def _moments(observations: Iterable[Observation]) -> list[tuple[str, int]]:
    """Return what a call read: entities, and when they were observed."""
    return [(one.entity, one.observed_at) for one in observations]


def _is_replayed(target: Path, client: Client) -> bool:
    """Whether a path is that of the archive a client replays."""
    try:
        return bool(client.policy.replaying) and target.samefile(client.policy.replaying)
    except OSError:  # one of them is not there
        return False


def _summary_of(path: str, client: Client) -> Frozen:
    """Return what `freeze` returned when it wrote the archive that a client replays."""
    manifest = archive.read_manifest(client.policy.replaying)
    try:
        calls = [(_parse_entry(entry), entry["differs"]) for entry in manifest["calls"]]
        differing = sorted(_written(call) for call, differs in calls if differs)
    except (LookupError, TypeError, ValueError) as error:
        raise StoreError(f"the calls in the manifest of {path} are not valid") from error
    queries = dict.fromkeys(query for call, _ in calls for query in call.queries)
    there = client.store.latest(query.key for query in queries)
    counts = {name: manifest[name] for name in archive.COUNTS}
    failed = tuple(query.id for query in queries if query.key not in there)
    return Frozen(path=path, calls=len(calls), differing=tuple(differing), failed=failed, **counts)


def _failed(
    records: Sequence[tuple[CallRecord, tuple[Query, ...]]], observations: Mapping[int, Observation]
) -> list[Query]:
    """Return the queries that failed, or were left when a call was interrupted, and that no later call got."""
    failed: dict[Query, None] = {}
    for record, queries in records:
        got, refused = {observations[one].entity for one in record.read}, set(record.failed)
        for query in queries:
            if query in refused:
                failed[query] = None
            elif query.key in got:
                failed.pop(query, None)
    return list(failed)


def _differing(made: Iterable[tuple[Call, list[tuple[str, int]]]], study: archive.Study) -> set[Hashable]:
    """Make every call again on the archive alone, and return the keys of those that read something else."""
    store = archive.index(study)
    with Client.of(archive.replay_settings(study.source), store=store, replaying="the archive") as reader:
        return {_key(call) for call, moments in made if moments != _replayed(call, reader)}


def _replayed(call: Call, reader: Client) -> list[tuple[str, int]] | None:
    try:
        return _moments(one.observation for one in reader.collect(call).answers)
    except NotStoredError:
        return None


def _entry(call: Call, *, differs: bool) -> dict[str, Any]:
    """Return a call as the manifest has it: ids with the same parameters stand together."""
    together: dict[tuple[object, ...], dict[str, Any]] = {}
    for query in call.queries:
        entity, values = query.endpoint.entity, query.value_of
        if entity is None:
            together[query.values] = values
        else:
            group = together.setdefault(query.values[1:], values | {entity.column: []})
            group[entity.column].append(query.values[0])
    return {"asked": list(together.values()), "differs": differs, "limit": call.limit, "table": call.table.name}


def _parse_entry(entry: Mapping[str, Any]) -> Call:
    """Return the call of an entry of a manifest."""
    endpoint = TABLES[entry["table"]].endpoint
    entity = endpoint.entity
    queries: list[Query] = []
    for group in entry["asked"]:
        given = {p.argument: group[p.column] for p in endpoint.inputs}
        queries += make_queries(endpoint, given[entity.argument], given) if entity else [make_query(endpoint, given)]
    return _call(entry["table"], queries, entry["limit"])


def _written(call: Call) -> str:
    """Return a call as it may stand in a notebook."""
    values = zip(call.endpoint.inputs, call.queries[0].values, strict=True)
    options = [f"{p.argument}={value!r}" for p, value in values if p is not call.endpoint.entity and value is not None]
    if call.endpoint.entity is None:
        given = [*options, f"limit={call.limit}"]
    else:
        given = [f"[{listed([repr(query.id) for query in call.queries], 3)}]", *options]
    return f"{call.name}({', '.join(given)})"
