"""Freezing: what this session read goes into one archive, and the calls that a replay answers otherwise are named."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from .. import archive_format as archive
from ..arguments import Value
from ..catalogue.listed import personal as personal_fields
from ..client import Call, CallRecord, Client
from ..client.display import Facts
from ..errors import FetchIncompleteError, InvalidArgumentError, NotStoredError, StoreError, listed
from ..files import as_path
from ..frames import reading_client
from ..model import TABLES, Paging, Table, Untyped, endpoints_at, plain_endpoint
from ..queries import Query, make_queries, make_query
from ..rows import blank_out
from ..settings import MEMORY, Settings, read_flag
from ..store import Observation, Store, compact_json


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
        Calls that a replay answers otherwise: it serves the newest of several observations of one entity, has one
        today, leaves personal data out, and cannot answer what failed or was refused.
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


def freeze(
    path: str | os.PathLike[str], *, partial: bool = False, personal: bool = False, client: Client | None = None
) -> Frozen:
    """Write the answers this session read into one archive that anybody can replay; nothing is sent.

    Parameters
    ----------
    path : path
        The archive, such as "study.zip"; the file must not exist. During a replay of the same file nothing is
        written, and its content is described.
    partial : bool
        Freeze even if some ids failed and were not fetched later.
    personal : bool
        Whether to keep the personal data of creators (e-mail, signature, name, picture, gender) that no column of a
        table has. By default these fields are blank in the archive, which names them; the tables are the same.
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
    if os.path.exists(target):  # noqa: PTH110 - of a name that is too long, too
        raise InvalidArgumentError(f"{target} already exists and is not overwritten. Choose another path")
    partial, personal = read_flag("partial", partial), read_flag("personal", personal)
    read = connection.records.read
    if not read:
        raise InvalidArgumentError(
            "nothing to freeze: this connection has not read any answers yet. Run the notebook first (stored answers "
            "cost nothing) and freeze at its end"
        )
    observations = {one.id: one for one in connection.store.observations(read)}
    records = connection.records.calls
    failed = list(dict.fromkeys(query.id for query in _failed(records, observations)))  # of a series once
    if failed and not partial:
        raise FetchIncompleteError(
            f"{len(failed):,} ids failed and were not fetched later: {listed(failed, 10)}. "
            "Fetch them again, or freeze the rest with partial=True"
        )
    study = archive.gather(connection.store, read)
    paths = {one.endpoint for one in study.answers}
    blank = {} if personal else {path: _personal_in(path) for path in paths}
    made = [(_call_of(record, observations), [observations[one] for one in record.read]) for record in records]
    today = max((record.today for record in records if record.today is not None), default=None)
    differing = _differing(made, study, connection.store)
    differing |= {call for call, _ in made if call.today not in (None, today)}  # relative to another day
    differing |= {call for call, _ in made if today is not None and _is_ahead(call, today)}
    if not personal:  # a table with personal data has none of them in a replay
        differing |= {call for call, read in made if _shows_personal(call, read, connection.store)}
    entries = (_entry(call, differs=call in differing) for call in dict.fromkeys(call for call, _ in made))
    calls = list({compact_json(entry): entry for entry in entries}.values())  # once, if its table was declared twice
    archive.write(target, study, connection.store, sorted(calls, key=compact_json), today=today, personal=blank)
    return Frozen(
        path=str(path),
        calls=len(calls),
        **study.counts,
        differing=tuple(sorted(map(_written, differing))),
        failed=tuple(failed),
    )


def _call(table: Table, queries: Sequence[Query], limit: int | None) -> Call:
    endpoint = queries[0].endpoint if queries else table.endpoint
    return Call(table, endpoint, tuple(queries), limit)


def _call_of(record: CallRecord, observations: Mapping[int, Observation]) -> Call:
    """Return a call as it was made."""
    queries = record.queries(observations)
    return Call(record.table, record.endpoint, queries, record.limit, partial=record.partial, today=record.today)


def _is_ahead(call: Call, today: date) -> bool:
    """Whether a call has dates that are not over on a day, so that it is refused where that is today."""
    endpoint = call.endpoint
    try:
        for query in call.queries:
            if endpoint.settle:
                endpoint.settle(dict(zip((p.argument for p in endpoint.inputs), query.values, strict=True)), today)
    except InvalidArgumentError:
        return True
    return endpoint.series is not None and max(query.day for query in call.queries) >= today.isoformat()


def _personal_in(path: str) -> frozenset[str]:
    """Return the fields of an endpoint's answers with personal data that no column of a table has."""
    columns = [column for one in endpoints_at(path) for table in one.tables for column in table.columns]
    used = {str(column.place).rpartition(".")[2].removesuffix("[]") for column in columns}
    return personal_fields() - used


def _shows_personal(call: Call, read: Iterable[Observation], store: Store) -> bool:
    """Whether the rows of a call have personal data."""
    found: set[str] = set()
    if isinstance(call.table, Untyped) and not call.table.without:
        for envelope in store.envelopes([one.id for one in read]):
            blank_out(envelope["data"], personal_fields(), found)
    return bool(found)


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
    failed = tuple(dict.fromkeys(query.id for query in queries if query.key not in there))
    return Frozen(path=path, calls=len(calls), differing=tuple(differing), failed=failed, **counts)


def _failed(records: Iterable[CallRecord], observations: Mapping[int, Observation]) -> list[Query]:
    """Return the queries that failed, or were left when a call was interrupted, and that no later call got."""
    failed: dict[Query, None] = {}
    for record in records:
        got = {observations[one].entity for one in record.read}
        failed = {query: None for query in failed if query.key not in got} | dict.fromkeys(record.failed)
    return list(failed)


def _differing(
    made: Iterable[tuple[Call, list[Observation]]], study: archive.Study, store: Store
) -> set[Call]:
    """Make every call again on the archive alone, and return those that read something else."""
    copy = Store(MEMORY, source=study.source, read_only=False)
    paged = [origin for one, origin in zip(study.answers, study.origins, strict=True) if one.page]
    pages = store.envelopes(paged)  # their rows are counted; others need only be there
    copy.restore(study.ledger, ((one, next(pages) if one.page else {}) for one in study.answers), url="")
    next(pages, None)
    with Client.of(Settings(source=study.source), store=copy, replaying="the archive") as reader:
        return {call for call, read in made if not _reads_again(call, read, reader)}


def _reads_again(call: Call, read: Iterable[Observation], reader: Client) -> bool:
    """Whether a call on an archive reads what it read before: the same entities, observed in the same moments."""
    try:
        again = [answer.observation for answer in reader.collect(call).answers]
    except NotStoredError:
        return False
    return [(one.entity, one.observed_at) for one in again] == [(one.entity, one.observed_at) for one in read]


def _entry(call: Call, *, differs: bool) -> dict[str, Any]:
    """Return a call as the manifest has it: ids with the same parameters in one entry.

    A call that the package does not know without the session's declarations has its parameters as they are sent.
    """
    endpoint = call.endpoint
    if isinstance(call.table, Untyped) or endpoint not in endpoints_at(endpoint.path, yours=False):
        paging = endpoint.paging and [endpoint.paging.page, endpoint.paging.size, endpoint.paging.most]
        asked = [query.params for query in call.queries]
        known = {"asked": asked, "by": endpoint.entity and endpoint.entity.api_name, "paging": paging}
        return known | {"differs": differs, "limit": call.limit, "path": endpoint.path, "table": call.table.name}
    together: dict[tuple[object, ...], dict[str, Any]] = {}
    for query in () if endpoint.series else call.queries:
        entity, values = query.endpoint.entity, query.value_of
        if entity is None:
            together[query.values] = values
        else:
            group = together.setdefault(query.values[1:], values | {entity.column: []})
            group[entity.column].append(query.values[0])
    asked = _days_asked(call) if endpoint.series else list(together.values())
    return {"asked": asked, "differs": differs, "limit": call.limit, "table": call.table.name}


def _days_asked(call: Call) -> list[dict[str, Any]]:
    """Return the ids of a series with their days, once for all that have the same: a manifest has little room."""
    days: dict[Value, list[str]] = {}
    for query in call.queries:
        days.setdefault(query.values[0], []).append(query.day)
    whom, day = (one.column for one in call.endpoint.inputs)
    together: dict[tuple[str, ...], dict[str, Any]] = {}
    for one, its in days.items():
        together.setdefault(tuple(its), {day: its, whom: []})[whom].append(one)
    return list(together.values())


def _parse_entry(entry: Mapping[str, Any]) -> Call:
    """Return the call of an entry of a manifest."""
    if "path" in entry:
        return _parse_other(entry)
    table = TABLES[entry["table"]]
    queries: list[Query] = []
    for group in entry["asked"]:
        ways = (table.endpoint, *table.ways)
        fitting = (one for one in ways if one.entity is not None and one.entity.column in group)
        endpoint = next(fitting, table.endpoint)
        entity = endpoint.entity
        given = {p.argument: group[p.column] for p in endpoint.inputs}
        day = endpoint.inputs[-1].argument if endpoint.series else ""
        for each in [{**given, day: one} for one in given[day]] if day else [given]:
            queries += make_queries(endpoint, each[entity.argument], each) if entity else [make_query(endpoint, each)]
    return _call(table, queries, entry["limit"])


def _parse_other(entry: Mapping[str, Any]) -> Call:
    """Return the call of an entry that has its parameters as they are sent."""
    paging = Paging(*entry["paging"]) if entry["paging"] else None
    queries = []
    for sent in entry["asked"]:
        by = [name for name in sent if name == entry["by"]]
        names = (*by, *(name for name in sent if name not in by))
        endpoint = plain_endpoint(entry["path"], names, by=bool(by), paging=paging)
        queries.append(Query(endpoint, tuple(sent[name] for name in names)))
    kind = Untyped if entry["table"] == entry["path"] else Table
    table = kind(queries[0].endpoint, entry["table"], "", (), (), columns=())
    return _call(table, queries, entry["limit"])


def _written(call: Call) -> str:
    """Return a call as it may stand in a notebook."""
    values = zip(call.endpoint.inputs, call.queries[0].values, strict=True)
    options = [f"{p.argument}={value!r}" for p, value in values if p is not call.endpoint.entity and value is not None]
    if call.endpoint.series:
        days = [query.day for query in call.queries]
        options = [f"start={min(days)!r}", f"end={max(days)!r}"]
    if call.endpoint in call.table.ways and call.endpoint.entity:
        options.append(f"by={call.endpoint.entity.column!r}")
    ids = listed(list(dict.fromkeys(repr(query.id) for query in call.queries)), 3)
    given = [f"[{ids}]", *options] if call.endpoint.entity else options
    if isinstance(call.table, Untyped):
        sent = call.queries[0].params
        if call.endpoint.entity:
            sent[call.endpoint.entity.api_name] = listed([query.id for query in call.queries], 3)
        given = [repr(call.endpoint.path), repr(sent)]
    if call.endpoint.ranking:
        given.append(f"limit={call.limit}")
    return f"{call.name}({', '.join(given)})"
