"""From stored answers to tidy frames: one pass over all answers of a call, column by column, by declaration.

Nothing here touches the network or the store. What a declaration does not expect is counted, never guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, islice, pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from .arguments import ALL_REGIONS
from .columns import Array, moments, read_values, whole_number
from .endpoints import ENDPOINT_OF, Endpoint, Query
from .envelope import identify
from .schema import (
    Coded,
    Column,
    Constant,
    CountOf,
    DeepestLevel,
    Field,
    FromQuery,
    Metadata,
    PerList,
    Position,
    Table,
    is_blank,
    writable,
)
from .store import Answer

_OnePlace = FromQuery | Field | CountOf | Position | Coded | DeepestLevel | Metadata | Constant
Index = npt.NDArray[np.intp]

_CHUNK: Final = 1000  # answers that become a frame at once: bounds memory, and a ranking is never longer
_BATCH: Final = 32  # answers held as JSON at once: what is freed soon is never fetched from slow memory again
_LONGEST_NAME: Final = 200  # of a field or market that a warning quotes


@dataclass(frozen=True)
class Issues:
    """What was dropped or not understood, counted, by place; and answers that name another market."""

    duplicates: Counter[str] = field(default_factory=Counter)
    unusable: Counter[str] = field(default_factory=Counter)
    markets: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Source:
    """One answer to be tidied: what was asked, and when it arrived (microseconds since 1970)."""

    query: Query
    observed_at: int


# Answers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Level:
    """The items of a list in all answers: which answer and which parent item each belongs to, and its place."""

    items: list[Any]
    answer: Index
    parent: Index
    position: Index


class _Answers:
    """The payloads of some answers, read path by path; every path is walked once."""

    def __init__(
        self, endpoint: Endpoint, answers: Sequence[Answer], payloads: list[Any], limit: int | None, odd: Issues
    ) -> None:
        self.odd = odd
        self.endpoint = endpoint
        self.sources = answers
        self.limit = limit
        everyone = np.arange(len(payloads))
        self.levels = {"": _Level(payloads, everyone, everyone, np.zeros(len(payloads), dtype=np.intp))}
        self._known: dict[str, list[Any]] = {"": payloads}

    def level_of(self, path: str) -> str:
        """Path of the innermost list a path goes through."""
        return path[: path.rindex("[]") + 2] if "[]" in path else ""

    def read(self, path: str) -> list[Any]:
        """Read what every item of a path's level has there."""
        known = self._known.get(path)
        if known is None:
            if path.endswith("[]"):
                known = self.level(path).items
            else:
                parent, _, leaf = path.rpartition(".")
                known = [node.get(leaf) if type(node) is dict else None for node in self.read(parent)]
            self._known[path] = known
        return known

    def level(self, path: str) -> _Level:
        """Take the lists at a path apart."""
        if path not in self.levels:
            outer = self.levels.get(self.level_of(path[:-2])) or self.level(self.level_of(path[:-2]))
            lists = [node if type(node) is list else () for node in self.read(path[:-2])]
            lengths = np.fromiter(map(len, lists), dtype=np.intp, count=len(lists))
            parent = np.repeat(np.arange(len(lists)), lengths)
            starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
            items = list(chain.from_iterable(lists))
            whole = _Level(items, outer.answer[parent], parent, np.arange(len(items)) - starts + 1)
            ranked = self.endpoint.ranking and path == f"{self.endpoint.record}[]"
            self.levels[path] = self._ranked(whole, path) if ranked else whole
        return self.levels[path]

    def _ranked(self, level: _Level, path: str) -> _Level:
        """Keep each entity of a ranking once, numbered through its pages, and no more than asked for."""
        seen: dict[Query, set[str]] = {}
        counted: Counter[Query] = Counter()
        keep, places = [], []
        for at, (item, answer) in enumerate(zip(level.items, level.answer, strict=True)):
            query = self.sources[answer].query
            counted[query] += 1
            if self.limit is not None and counted[query] > self.limit:
                continue
            known = seen.setdefault(query, set())
            who = identify(self.endpoint, item, f"{path}.")
            if who is None:
                self.odd.unusable[f"a row without {self.endpoint.identity}"] += 1
            elif who in known:
                self.odd.duplicates[f"{self.endpoint.tables[0].name} ({self.endpoint.tables[0].key[-1]})"] += 1
            else:
                known.add(who)
                keep.append(at)
                places.append(counted[query])
        kept = np.array(keep, dtype=np.intp)
        return _Level(
            [level.items[at] for at in keep],
            level.answer[kept],
            level.parent[kept],
            np.array(places, dtype=np.intp),
        )

    def find(self, place: Field | CountOf | Coded | DeepestLevel) -> tuple[list[Any], str]:
        """Give the values at a place, and the level they are on."""
        if isinstance(place, DeepestLevel):
            ids = [self.read(f"{level}.id") for level in place.levels]
            leaves = [self.read(f"{level}.{place.leaf}") for level in place.levels]
            deepest = [
                next((leaf for one, leaf in zip(*pair, strict=True) if not is_blank(one)), None)
                for pair in zip(zip(*ids, strict=True), zip(*leaves, strict=True), strict=True)
            ]
            return deepest, self.level_of(place.levels[0])
        values, level = self.read(place.path), self.level_of(place.path)
        if isinstance(place, CountOf):
            return [len(v) if type(v) is list else v if v is None else "no list" for v in values], level
        if isinstance(place, Coded):
            codes: dict[int | None, str] = {code: name for code, name in place.codes.items()}  # noqa: C416 - a wider key
            return [codes.get(whole_number(v)) for v in values], level
        return values, level

    def up(self, level: str, to: str) -> Index | None:
        """For each item of a level, its ancestor on another; None = itself."""
        if level == to:
            return None
        if to == "":
            return self.levels[level].answer
        parent = self.levels[level].parent
        above = self.up(self.level_of(level[:-2]), to)
        return parent if above is None else above[parent]


@dataclass(frozen=True, slots=True)
class _Part:
    """What a table's row path takes from some answers: the values of its columns, and which of them each row has."""

    found: Mapping[str, list[Any]]
    which: Mapping[str, Index | None]  # None: a value for each row
    position: Index
    answer: Index


def _joined_parts(parts: Sequence[_Part], starts: Sequence[int]) -> _Part:
    """Join what was taken from one sip of answers after another; `starts` are their first answers."""
    if len(parts) == 1:
        return parts[0]
    names = parts[0].found.keys()
    return _Part(
        {name: list(chain.from_iterable(part.found[name] for part in parts)) for name in names},
        {name: _joined_indices([(part.which[name], len(part.found[name])) for part in parts]) for name in names},
        np.concatenate([part.position for part in parts]),
        np.concatenate([part.answer + start for part, start in zip(parts, starts, strict=True)]),
    )


def _joined_indices(indices: Sequence[tuple[Index | None, int]]) -> Index | None:
    if all(at is None for at, _ in indices):
        return None
    starts = accumulate((count for _, count in indices), initial=0)
    return np.concatenate(
        [(np.arange(count) if at is None else at) + start for (at, count), start in zip(indices, starts, strict=False)]
    )


class _Reader:
    """Reads the columns of one table from one chunk of answers."""

    def __init__(self, table: Table, answers: Sequence[Answer], source: str, odd: Issues) -> None:
        self.table, self.sources, self.source, self.odd = table, answers, source, odd

    def take(self, answers: _Answers) -> list[_Part]:
        """Take from some answers what the table needs; after that they may be forgotten."""
        return [self._take_part(answers, number, path) for number, path in enumerate(self.table.rows)]

    def _take_part(self, answers: _Answers, number: int, path: str) -> _Part:
        level_path = answers.level_of(path)
        level = answers.level(level_path) if level_path else answers.levels[""]
        found: dict[str, list[Any]] = {}
        which: dict[str, Index | None] = {}
        for column in self.table.columns:
            place = _place(column, number)
            if isinstance(place, Field | CountOf | Coded | DeepestLevel):
                found[column.name], where = answers.find(place)
                which[column.name] = answers.up(level_path, where)
        records = answers.read(path)
        present = np.fromiter(
            (type(r) is dict or not is_blank(r) for r in records), dtype=np.bool_, count=len(records)
        )
        if present.all():
            return _Part(found, which, level.position, level.answer)
        if path and path == level_path:
            self.odd.unusable[str(Field(path))] += int((~present).sum())
        rows = np.flatnonzero(present)
        kept = {name: rows if index is None else index[rows] for name, index in which.items()}
        return _Part(found, kept, level.position[rows], level.answer[rows])

    def rows(self, taken: Sequence[tuple[int, list[_Part]]]) -> pd.DataFrame:
        """Make the rows of this chunk, in order, unusable ones dropped."""
        starts = [start for start, _ in taken]
        parts = [_joined_parts(some, starts) for some in zip(*(parts for _, parts in taken), strict=True)]
        columns = [self._columns(number, part) for number, part in enumerate(parts)]
        answer = np.concatenate([part.answer for part in parts])
        joined = {name: _joined([one[name] for one in columns]) for name in self.table.names}
        frame = pd.DataFrame(joined, copy=False)
        order = self._order(frame, answer, parts)
        if order is not None:
            frame, answer = frame.take(order), answer[order]
        return self._distinct(frame, answer)

    def _columns(self, number: int, part: _Part) -> dict[str, Array]:
        columns = {column.name: self._column(column, number, part) for column in self.table.columns}
        for column in self.table.columns:
            if column.zero_beside:
                free = (columns[column.name] == 0) & (columns[column.zero_beside] == 0)
                columns[column.name] = np.where(free, np.nan, columns[column.name])
        return columns

    def _column(self, column: Column, number: int, part: _Part) -> Array:
        place = _place(column, number)
        if isinstance(place, Position):
            return pd.arrays.IntegerArray(part.position.astype(np.int64), np.zeros(len(part.position), dtype=np.bool_))
        if place is None or isinstance(place, Constant):
            value = None if place is None else place.value
            return pd.array([value], dtype="string").take(np.zeros(len(part.answer), dtype=np.intp))
        if isinstance(place, FromQuery | Metadata):
            return self._known(column, place).take(part.answer)
        array, lost = read_values(column, part.found[column.name])
        if lost:
            self.odd.unusable[str(place) if isinstance(place, DeepestLevel) else str(Field(place.path))] += lost
        which = part.which[column.name]
        return array if which is None else array.take(which)

    def _known(self, column: Column, place: FromQuery | Metadata) -> Array:
        """Give what is known of each answer without reading it."""
        sources = self.sources
        if isinstance(place, Metadata):
            if column.kind == "time":
                times = (one.observation.observed_at for one in sources)
                return moments(np.fromiter(times, dtype=np.int64, count=len(sources)))
            return pd.array([self.source], dtype="string").take(np.zeros(len(sources), dtype=np.intp))
        if not sources:
            return read_values(column, [])[0]
        at = [p.column for p in sources[0].query.endpoint.inputs].index(column.name)
        return read_values(column, [s.query.values[at] for s in sources])[0]  # noqa: PD011 - not pandas

    def _order(self, frame: pd.DataFrame, answer: Index, parts: Sequence[_Part]) -> Index | None:
        """Find the order of the rows, where it is not the one they are in."""
        if self.table.sorted_by:
            stamps = frame[self.table.sorted_by].to_numpy(dtype="datetime64[us]").astype(np.int64)
            [part] = parts  # each list is sorted by itself; where places start again, another list does
            another = (answer[1:] != answer[:-1]) | (part.position[1:] <= part.position[:-1])
            if (~another & (stamps[1:] < stamps[:-1])).any():
                return np.lexsort((stamps, np.cumsum(np.concatenate([[False], another]))))
            return None
        return np.argsort(answer, kind="stable") if len(self.table.rows) > 1 else None

    def _distinct(self, frame: pd.DataFrame, answer: Index) -> pd.DataFrame:
        """Drop rows without a key, and all but the first of a key within one answer."""
        own = [name for name in self.table.key if not isinstance(self.table[name].place, FromQuery)]
        read = [name for name in own if not isinstance(self.table[name].place, Position)]
        one_each = not own and any("[]" in path for path in self.table.rows)  # a list about the one asked for
        if not len(frame) or not (read or one_each):
            return frame
        keyless = frame[read].isna().any(axis=1).to_numpy()
        if keyless.any():
            self.odd.unusable[f"the key ({', '.join(read)}) of {self.table.name}"] += int(keyless.sum())
            frame, answer = frame[~keyless], answer[~keyless]
        again = frame[own].assign(_answer=answer).duplicated().to_numpy()
        if again.any():
            self.odd.duplicates[f"{self.table.name} ({', '.join(own or self.table.key)})"] += int(again.sum())
            frame = frame[~again]
        return frame


def _place(column: Column, number: int) -> _OnePlace | None:
    """Where a column of the row path of this number has its values."""
    return column.place.places[number] if isinstance(column.place, PerList) else column.place


def _joined(arrays: list[Array]) -> Array:
    return arrays[0] if len(arrays) == 1 else pd.concat([pd.Series(a, copy=False) for a in arrays]).array


def make_frame(
    table: Table,
    answers: Sequence[Answer],
    envelopes: Iterable[Mapping[str, Any]],
    *,
    source: str,
    limit: int | None = None,
) -> tuple[pd.DataFrame, Issues]:
    """Make one table of all answers of a call.

    Parameters
    ----------
    table : Table
        The declaration.
    answers : sequence of Answer
        What was requested and when it was answered, in the order of the rows.
    envelopes : iterable of dict
        The stored answers, in the same order; read as they are needed.
    source : str
        Whom the answers come from.
    limit : int, optional
        Most rows of a ranking.

    Returns
    -------
    pandas.DataFrame
        The rows, with exactly the declared columns and dtypes.
    Oddities
        What was dropped or not understood.
    """
    endpoint = ENDPOINT_OF[table.name]
    odd = Issues()
    frames = []
    supply = iter(envelopes)
    for start in range(0, max(len(answers), 1), _CHUNK):
        chunk = answers[start : start + _CHUNK]
        reader = _Reader(table, chunk, source, odd)
        taken = []
        batch_size = max(len(chunk), 1) if endpoint.ranking else _BATCH  # a ranking is compared as a whole
        for at in range(0, max(len(chunk), 1), batch_size):
            some = chunk[at : at + batch_size]
            read = _Answers(endpoint, some, [one.get("data") for one in islice(supply, len(some))], limit, odd)
            taken.append((at, reader.take(read)))
            _note_markets(endpoint, read, odd)
        frames.append(reader.rows(taken))
    frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    return frame.reset_index(drop=True), odd


def empty_frame(table: Table) -> pd.DataFrame:
    """Make a table without rows."""
    return make_frame(table, (), (), source="")[0]


def _note_markets(endpoint: Endpoint, answers: _Answers, odd: Issues) -> None:
    if endpoint.market is None:
        return
    level = answers.level_of(endpoint.market.path)
    named = answers.read(endpoint.market.path)
    at = [p.column for p in endpoint.inputs].index("region")
    of = answers.levels[level].answer
    for answer, market in zip(of.tolist(), named, strict=True):
        region = answers.sources[answer].query.values[at]  # noqa: PD011 - not pandas
        expected = ("ALL", ALL_REGIONS.upper()) if region == ALL_REGIONS else (region,)
        if isinstance(market, str) and market and market.upper() not in expected:
            odd.markets[str(region), writable(market)[:_LONGEST_NAME]] += 1


# Drift ------------------------------------------------------------------------------------------------------


def _declared(endpoint: Endpoint) -> Iterator[tuple[str, bool]]:
    """Paths an endpoint's tables know, and whether an answer may leave them out."""
    for table in endpoint.tables:
        if len(table.rows) > 1:  # which of several lists an answer has differs
            yield from ((path.removesuffix("[]"), True) for path in table.rows)
        for column in table.columns:
            places = column.place.places if isinstance(column.place, PerList) else (column.place,)
            for place in places:
                if isinstance(place, FromQuery) and place.checked is not None:
                    place = place.checked  # noqa: PLW2901 - the place that is read
                if isinstance(place, Field | CountOf | Coded):
                    yield place.path, column.optional
                elif isinstance(place, DeepestLevel):
                    yield from ((f"{level}.{place.leaf}", True) for level in place.levels)


@dataclass(frozen=True)
class _Seen:
    """Paths that some answers have: those that end there, of these those with a value, and those that lead on."""

    ends: set[str] = field(default_factory=set)
    full: set[str] = field(default_factory=set)
    leads: set[str] = field(default_factory=set)

    def note(self, node: Any, path: str) -> None:
        """Note all paths from a node on."""
        if isinstance(node, dict) and node:
            self.leads.add(path)
            for name, value in node.items():
                self.note(value, f"{path}.{name}" if path else name)
        elif isinstance(node, list) and node:
            self.leads.add(path)
            for value in node:
                self.note(value, f"{path}[]")
        else:
            self.ends.add(path)
            if node not in ({}, []) and not is_blank(node):
                self.full.add(path)


def _above(path: str) -> Iterator[str]:
    """Yield a path and all that lead to it: `a.b[].c`, `a.b[]`, `a.b`, `a`, the root."""
    yield path
    while path:
        path = path.removesuffix("[]") if path.endswith("[]") else path.rpartition(".")[0]
        yield path


def _lost(path: str, seen: _Seen) -> str | None:
    """Find the part of a path that is gone though what it stands in is there; None where nothing is, or it is empty."""
    for below, above in pairwise(_above(path)):
        if below in seen.ends or below in seen.leads:
            return None
        if above in seen.leads:
            return below
    return None


def find_drift(endpoint: Endpoint, envelopes: Iterable[Mapping[str, Any]]) -> tuple[set[str], set[str]]:
    """Compare new answers with what is declared.

    Returns
    -------
    new : set of str
        Paths that no declaration knows, and values where an object or a list is declared.
    gone : set of str
        Paths that every answer of the call lacks though it has what they stand in.
    """
    seen = _Seen()
    for envelope in envelopes:
        seen.note(envelope.get("data"), "")
    may_lack: dict[str, bool] = {}
    for path, optional in _declared(endpoint):
        may_lack[path] = optional and may_lack.get(path, True)
    aside = set(endpoint.not_tabled)
    inner = {above for path in may_lack for above in islice(_above(path), 1, None)}
    known = {above for path in {*may_lack, *aside} for above in _above(path)}
    new = {path for path in seen.ends - known if aside.isdisjoint(_above(path))}
    flat = {path for path in seen.full & inner if aside.isdisjoint(_above(path))}
    lost = {_lost(path, seen) for path, optional in may_lack.items() if not optional}
    gone = {path for path in lost if path is not None and not may_lack.get(path, False)}
    named = {_named(path) for path in new} | {f"{_named(path)} (neither object nor list)" for path in flat}
    return named, {_named(path) for path in gone}


def _named(path: str) -> str:
    return writable(str(Field(path)))[:_LONGEST_NAME]
