"""Rows of stored answers: each table in one pass over all answers of a call, column by column, by declaration.

Nothing here touches the network or the store. What a declaration does not expect is counted, never guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, compress, islice
from operator import itemgetter
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from .arguments import ALL_REGIONS
from .columns import Array, is_beyond, moments, read_cells, read_values, whole_number
from .envelope import identify
from .model import DTYPES, Column, Endpoint, Table
from .places import Coded, Constant, CountOf, DeepestLevel, Field, FromQuery, Metadata, PerList, Place, Position
from .queries import Query
from .rows import level_of
from .spelling import is_blank, writable
from .store import Answer

Envelopes = Iterable[Mapping[str, Any]]
Index = npt.NDArray[np.intp]
_Source = tuple[Array, Index | None]  # values of a column, and which of them each row has; None: the one at its place

_BATCH: Final = 32  # answers held as JSON at once: what is freed soon is never fetched from slow memory again
_CHUNK: Final = 2000  # answers whose values become arrays at once: bounds memory
_LONGEST_NAME: Final = 200  # of a market that a warning quotes


@dataclass(frozen=True)
class Issues:
    """What was dropped or could not be read, counted by place; and answers that name another market."""

    duplicates: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    markets: Counter[tuple[str, str]] = field(default_factory=Counter)


# Answers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Level:
    """The items of a list in all answers: the answer and the parent item each belongs to, and its place there."""

    items: list[Any]
    answer: Index
    parent: Index
    position: Index


class _Ranking:
    """Keeps each entity of a ranking once, numbered through its pages, and no more rows than requested."""

    def __init__(self, endpoint: Endpoint, limit: int | None, issues: Issues) -> None:
        self.endpoint, self.limit, self.issues = endpoint, limit, issues
        self.path = f"{endpoint.record}[]" if endpoint.identity else ""
        self.counted: Counter[Query] = Counter()
        self.seen: set[tuple[Query, str]] = set()

    def keep(self, level: _Level, answers: Sequence[Answer]) -> _Level:
        """Return the rows that count."""
        at, places = [], []
        for number, (item, answer) in enumerate(zip(level.items, level.answer.tolist(), strict=True)):
            query = answers[answer].query
            self.counted[query] += 1
            if self.limit is not None and self.counted[query] > self.limit:
                continue
            who = identify(self.endpoint, item, f"{self.path}.") if self.endpoint.identity else str(self.counted[query])
            if who is None:
                self.issues.unreadable[f"a row without {self.endpoint.identity}"] += 1
            elif (query, who) in self.seen:
                self.issues.duplicates[f"{self.endpoint.name} ({self.endpoint.row_name})"] += 1
            else:
                self.seen.add((query, who))
                at.append(number)
                places.append(self.counted[query])
        kept = np.array(at, dtype=np.intp)
        items = [level.items[one] for one in at]
        return _Level(items, level.answer[kept], level.parent[kept], np.array(places, dtype=np.intp))


class _Batch:
    """Some answers, read path by path; every path is read once, however many tables need it."""

    def __init__(
        self, answers: Sequence[Answer], payloads: list[Any], ranking: _Ranking | None, issues: Issues
    ) -> None:
        self.answers, self.ranking, self.issues = answers, ranking, issues
        self._texts = answers[0].query.endpoint.texts
        each = np.arange(len(payloads))
        self.levels = {"": _Level(payloads, each, each, np.zeros(len(payloads), dtype=np.intp))}
        self._known: dict[str, list[Any]] = {"": payloads}

    def read(self, path: str) -> list[Any]:
        """Return what every item of a path's level has there."""
        if path not in self._known:
            if path.endswith("[]"):
                self._known[path] = self.level(path).items
            else:
                above, _, leaf = path.rpartition(".")
                self._known[path] = _get(self.read(above), leaf)
                if path in self._texts:
                    self._known[path] = self._take_apart(path, self._known[path])
        return self._known[path]

    def _take_apart(self, path: str, texts: list[Any]) -> list[Any]:
        """Read the lists that stand in texts; what cannot be read is counted."""
        read_text, read = self._texts[path], []
        for text in texts:
            try:
                read.append(None if is_blank(text) else read_text(text))
            except (ValueError, TypeError, RecursionError):
                self.issues.unreadable[str(Field(path))] += 1
                read.append(None)
        return read

    def level(self, path: str) -> _Level:
        """Return the items of the lists at a path."""
        if path not in self.levels:
            outer = self.level(level_of(path[:-2]))
            lists = [node if type(node) is list else () for node in self.read(path[:-2])]
            lengths = np.fromiter(map(len, lists), dtype=np.intp, count=len(lists))
            parent = np.repeat(np.arange(len(lists)), lengths)
            starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
            items = list(chain.from_iterable(lists))
            level = _Level(items, outer.answer[parent], parent, np.arange(len(items)) - starts + 1)
            if self.ranking and path == (self.ranking.path or path) and not level_of(path[:-2]):
                level = self.ranking.keep(level, self.answers)
            self.levels[path] = level
        return self.levels[path]

    def find(self, place: Field | CountOf | Coded | DeepestLevel) -> tuple[list[Any], str]:
        """Return the values at a place, and the level they are on."""
        if isinstance(place, DeepestLevel):
            ids = zip(*(self.read(f"{level}.id") for level in place.levels), strict=True)
            leaves = zip(*(self.read(f"{level}.{place.leaf}") for level in place.levels), strict=True)
            there = (compress(of, (not is_blank(one) for one in who)) for who, of in zip(ids, leaves, strict=True))
            return [next(found, None) for found in there], level_of(place.levels[0])
        values = self.read(place.path)
        if isinstance(place, Field) and place.around:
            values = self._read_around(place, values)
        if isinstance(place, CountOf):
            values = [len(v) if type(v) is list else v if v is None else "no list" for v in values]
        elif isinstance(place, Coded):
            codes: dict[int | None, str] = dict(place.codes.items())
            values = [codes.get(whole_number(v)) for v in values]
        return values, level_of(place.path)

    def _read_around(self, place: Field, values: list[Any]) -> list[Any]:
        """Return the value beside the list of the rows, in answers where no row has the name."""
        above, _, leaf = place.path.rpartition(".")
        beside, answer = self.read(place.around), self.levels[level_of(place.path)].answer.tolist()
        named = {of for one, of in zip(self.read(above), answer, strict=True) if type(one) is dict and leaf in one}
        return [one if of in named else beside[of] for one, of in zip(values, answer, strict=True)]

    def ancestors(self, level: str, on: str) -> Index | None:
        """Return for each item of a level its ancestor on another; None: itself."""
        if level == on:
            return None
        if on == "":
            return self.levels[level].answer
        above = self.ancestors(level_of(level[:-2]), on)
        return self.levels[level].parent if above is None else above[self.levels[level].parent]


def _get(nodes: list[Any], name: str) -> list[Any]:
    """Return what objects have under a name; None where they have nothing, or are no objects."""
    try:
        return list(map(itemgetter(name), nodes))
    except (KeyError, TypeError):
        return [node.get(name) if type(node) is dict else None for node in nodes]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What some answers have for a column, and which of the values each row has; None: the one at its place."""

    place: Field | CountOf | Coded | DeepestLevel | Constant | None
    found: list[Any]
    which: Index | None

    @property
    def named(self) -> str:
        """Where the values come from, for a warning."""
        return str(Field(self.place.path) if isinstance(self.place, Field | CountOf | Coded) else self.place)


# Tables -----------------------------------------------------------------------------------------------------


class _Reader:
    """Reads the columns of a table batch by batch, and makes the rows of all of them."""

    def __init__(self, table: Table, answers: Sequence[Answer], source: str, issues: Issues) -> None:
        self.table, self.answers, self.source, self.issues = table, answers, source, issues
        self._requested = [p.column for p in answers[0].query.endpoint.inputs]
        self._answer: list[Index] = []
        self._position: list[Index] = []
        self._pieces: dict[str, list[_Piece]] = {column.name: [] for column in table.columns}

    def read(self, batch: _Batch, start: int) -> None:
        """Read the answers of a batch; `start` is the number of its first one."""
        for number, path in enumerate(self.table.rows):
            level = batch.level(level_of(path))
            rows = self._find_rows(batch.read(path), path)
            self._answer.append(_take(level.answer, rows) + start)
            self._position.append(_take(level.position, rows))
            for column in self.table.columns:
                place = self._place(column, number)
                if isinstance(place, Field | CountOf | Coded | DeepestLevel):
                    values, of = batch.find(place)
                    which = _of_rows(batch.ancestors(level_of(path), of), rows)
                    self._pieces[column.name].append(_Piece(place, values, which))
                elif isinstance(place, Constant | None):
                    zeros = np.zeros(len(self._answer[-1]), dtype=np.intp)
                    self._pieces[column.name].append(_Piece(place, [place.value if place else None], zeros))

    def _place(self, column: Column, number: int) -> Place | Constant | None:
        """Return where a column has its values in one of the lists; the answer itself has an id not requested by."""
        if isinstance(column.place, PerList):
            return column.place.places[number]
        if isinstance(column.place, FromQuery) and column.name not in self._requested:
            return column.place.checked
        return column.place

    def _find_rows(self, records: list[Any], path: str) -> Index | None:
        """Return which items of a list are rows; None: all."""
        if set(map(type, records)) <= {dict}:
            return None
        there = [type(record) is dict or not is_blank(record) for record in records]
        if all(there):
            return None
        if path.endswith("[]"):
            self.issues.unreadable[str(Field(path))] += there.count(False)
        return np.flatnonzero(there)

    def _column(self, column: Column, answer: Index, position: Index) -> _Source:
        """Return the values of a column, and which of them each row has."""
        place = column.place
        if isinstance(place, Position):
            return pd.array(position, dtype="Int64"), None
        if isinstance(place, Metadata) and column.kind != "time":
            return pd.array([self.source], dtype="string"), np.zeros(len(answer), dtype=np.intp)
        if isinstance(place, Metadata):
            return moments(np.array([one.observation.observed_at for one in self.answers])), answer
        if isinstance(place, FromQuery) and column.name in self._requested:
            at = self._requested.index(column.name)
            requested = [one.query.values[at] for one in self.answers]  # noqa: PD011 - not pandas
            if column.dtype != DTYPES["text"] and set(map(type, requested)) <= {str, type(None)}:
                cells = [str(one or "") for one in requested]  # parameters of a declared table, as text
                return read_cells(column.dtype, cells)[0], answer
            return pd.Series(requested, dtype=column.dtype).array, answer
        pieces = self._pieces[column.name]
        array, lost = read_values(column, list(chain.from_iterable(piece.found for piece in pieces)))
        for piece in pieces if lost else ():
            if of_this := read_values(column, piece.found)[1]:
                self.issues.unreadable[piece.named] += of_this
        which = _joined_indices([(piece.which, len(piece.found)) for piece in pieces])
        scaled = lost > 0 and column.most is not None
        return (self._scaled(column, _take(array, which), which, answer), None) if scaled else (array, which)

    def _scaled(self, column: Column, read: Array, which: Index | None, answer: Index) -> Array:
        """Blank what an answer has on another scale: all of it, where a value is more than the column can have."""
        pieces = self._pieces[column.name]
        beyond = is_beyond(column, list(chain.from_iterable(piece.found for piece in pieces)))
        other = np.isin(answer, answer[_take(beyond, which)])
        values = pd.Series(read)
        self.issues.unreadable[pieces[0].named] += int((values.notna() & other).sum())
        return values.mask(other).array

    def frame(self) -> pd.DataFrame:
        """Return the rows in order: those with a key, each key of an answer once."""
        answer, position = np.concatenate(self._answer), np.concatenate(self._position)
        columns = {column.name: self._column(column, answer, position) for column in self.table.columns}
        rows = self._order(columns, answer, position)
        dropped = self._dropped(columns, answer)
        if dropped.any():
            rows = np.flatnonzero(~dropped) if rows is None else rows[~dropped[rows]]
        made = {name: _take(array, _of_rows(which, rows)) for name, (array, which) in columns.items()}
        for column in self.table.columns:
            if column.zero_beside:
                nothing = _is_zero(made[column.name]) & _is_zero(made[column.zero_beside])
                made[column.name] = pd.Series(made[column.name]).mask(nothing).array
            if column.zero_unless is not None:
                parameter, values = column.zero_unless
                nothing = _is_zero(made[column.name]) & ~pd.Series(made[parameter]).isin(values).to_numpy()
                made[column.name] = pd.Series(made[column.name]).mask(nothing).array
        return pd.DataFrame(made, copy=False)

    def _order(self, columns: Mapping[str, _Source], answer: Index, position: Index) -> Index | None:
        """Return the order of the rows; None: as they stand."""
        if len(self.table.rows) > 1:
            return np.argsort(answer, kind="stable")
        if not self.table.sorted_by:
            return None
        stamps = _take(*columns[self.table.sorted_by]).to_numpy(dtype="datetime64[us]").astype(np.int64)
        # Each list is sorted by itself; where places start again, another list does.
        another = (answer[1:] != answer[:-1]) | (position[1:] <= position[:-1])
        if not (~another & (stamps[1:] < stamps[:-1])).any():
            return None
        return np.lexsort((stamps, np.cumsum(np.concatenate([[False], another]))))

    def _dropped(self, columns: Mapping[str, _Source], answer: Index) -> npt.NDArray[np.bool_]:
        """Return which rows have no key, or one that came before in their answer."""
        table = self.table
        own = [name for name in table.key if name not in self._requested]
        read = [name for name in own if not isinstance(table[name].place, Position)]
        keyless = np.zeros(len(answer), dtype=np.bool_)
        if not read and (own or not any("[]" in path for path in table.rows)):  # else a list about the one requested
            return keyless
        groups = answer
        for name in own:
            array, which = columns[name]
            codes, distinct = pd.factorize(array)
            codes = _take(codes, which)
            keyless |= (codes < 0) & (name in read)
            groups = pd.factorize(groups * (len(distinct) + 1) + codes + 1)[0]
        again = pd.Series(groups).duplicated().to_numpy() & ~keyless
        if keyless.any():
            self.issues.unreadable[f"the key ({', '.join(read)}) of {table.name}"] += int(keyless.sum())
        if again.any():
            named = f"{table.name} ({', '.join(own or table.key)})"
            self.issues.duplicates[named] += int(again.sum())
            if table.strict:
                self.issues.unreadable[f"a row that repeats the key of {named}"] += int(again.sum())
        return keyless | again


def _is_zero(array: Array) -> npt.NDArray[np.bool_]:
    return pd.Series(array).eq(0).fillna(False).to_numpy(dtype=np.bool_)


def _take(array: Array, which: Index | None) -> Array:
    return array if which is None else array.take(which)


def _of_rows(which: Index | None, rows: Index | None) -> Index | None:
    """Return which values some rows have, given those that all rows have."""
    return rows if which is None else _take(which, rows)


def _joined_indices(indices: Sequence[tuple[Index | None, int]]) -> Index | None:
    """Return indices into the values of several lists as indices into all of them."""
    if all(at is None for at, _ in indices):
        return None
    starts = accumulate((count for _, count in indices), initial=0)
    pairs = zip(indices, starts, strict=False)
    return np.concatenate([(np.arange(count) if at is None else at) + start for (at, count), start in pairs])


def make_frames(
    tables: Sequence[Table], answers: Sequence[Answer], envelopes: Envelopes, *, source: str, limit: int | None = None
) -> tuple[list[pd.DataFrame], Issues]:
    """Make several tables of the same answers, which are read once, and count what was dropped or unreadable.

    `answers` are of one endpoint, in the order of the rows; `envelopes` are theirs, in the same order, read as they are
    needed. `limit` is the most rows of a ranking.
    """
    issues = Issues()
    if not answers:
        return [empty_frame(table) for table in tables], issues
    endpoint = answers[0].query.endpoint
    ranking = _Ranking(endpoint, limit, issues) if endpoint.ranking else None
    supply = iter(envelopes)
    parts = []
    for first in range(0, len(answers), _CHUNK):
        chunk = answers[first : first + _CHUNK]
        readers = [_Reader(table, chunk, source, issues) for table in tables]
        for start in range(0, len(chunk), _BATCH):
            some = chunk[start : start + _BATCH]
            payloads = [one.get("data") for one in islice(supply, len(some))]
            batch = _Batch(some, payloads, ranking, issues)
            _note_markets(endpoint, batch, issues)
            for reader in readers:
                reader.read(batch, start)
        parts.append([reader.frame() for reader in readers])
    next(supply, None)  # ended here: what ends when it is forgotten swallows a Ctrl-C
    joined = [one[0] if len(parts) == 1 else pd.concat(one, ignore_index=True) for one in zip(*parts, strict=True)]
    return joined, issues


def make_frame(
    table: Table, answers: Sequence[Answer], envelopes: Envelopes, *, source: str, limit: int | None = None
) -> tuple[pd.DataFrame, Issues]:
    """Make one table of some answers; see `make_frames`."""
    [frame], issues = make_frames((table,), answers, envelopes, source=source, limit=limit)
    return frame, issues


def empty_frame(table: Table) -> pd.DataFrame:
    """Make a table without rows."""
    return pd.DataFrame({column.name: pd.Series(dtype=column.dtype) for column in table.columns})


def _note_markets(endpoint: Endpoint, batch: _Batch, issues: Issues) -> None:
    """Count answers that name another market than the region requested."""
    if endpoint.market is None:
        return
    at = [p.column for p in endpoint.inputs].index("region")
    regions = [str(one.query.values[at]) for one in batch.answers]  # noqa: PD011 - not pandas
    named = batch.read(endpoint.market.path)
    answer = batch.levels[level_of(endpoint.market.path)].answer
    pairs = Counter(
        (regions[of], market) for of, market in zip(answer.tolist(), named, strict=True) if type(market) is str
    )
    for (region, market), count in pairs.items():
        expected = ("", "ALL", ALL_REGIONS.upper()) if region == ALL_REGIONS else ("", region)
        if market.upper() not in expected:
            issues.markets[region, writable(market)[:_LONGEST_NAME]] += count
