"""Frames of any answer: each value a column by its path, with the dtype that all its values have."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any, Final

import numpy as np
import pandas as pd

from .columns import moments
from .errors import InvalidArgumentError, listed, shown
from .model import METADATA, OBSERVED_AT, SOURCE, Untyped
from .queries import Query
from .rows import Place, Values, each_at, find_rows, leads, leave_out, paths_of_lists, paths_of_objects, read_rows
from .spelling import writable
from .store import Answer

_MOST_DIGITS: Final = 15  # of whole numbers that every program keeps exactly
_ID_ENDINGS: Final = ("_id", "_ids", "id_str")


@dataclass(frozen=True)
class Made:
    """A frame of any answer, the fields left out of it, and its lists if none of them became the rows."""

    frame: pd.DataFrame
    left_out: set[str]
    lists: tuple[str, ...]


def make_frame(
    table: Untyped,
    answers: Sequence[Answer],
    envelopes: Iterable[Mapping[str, Any]],
    *,
    source: str,
    limit: int | None = None,
) -> Made:
    """Make a frame of answers; of a ranking, of at most `limit` items."""
    rows: list[tuple[int, Values]] = []
    path, nowhere = next(iter(table.rows), None), ""
    counted: Counter[Query] = Counter()
    left_out: set[str] = set()
    lists: tuple[str, ...] = ()
    for number, (answer, envelope) in enumerate(zip(answers, envelopes, strict=True)):
        whole, page = envelope.get("data"), answer.observation
        if page.page > 1 and not page.fresh:  # the end of a ranking: empty, or a page that came before
            continue
        data = leave_out(whole, table.without, left_out) if table.without else whole
        most = None if limit is None or table.one_page else limit - counted[answer.query]
        counted[answer.query] += page.rows
        way = path = _likely_path(table, whole) if path is None else path
        if not table.rows and not leads(data, way):  # it is personal, or this answer is not like the first
            way = _likely_path(table, whole)
            way = way if leads(data, way) else ""
        if not table.rows and not way and not lists:
            lists = tuple(map(writable, paths_of_lists(data)))
        if leads(data, way):
            rows += [(number, one) for one in read_rows(data, way, counted=table.endpoint.counted, most=most)]
        else:
            nowhere = nowhere or listed(list(paths_of_lists(data))) or 'no list: rows="" makes one row of the answer'
    if nowhere and not rows:
        raise InvalidArgumentError(
            f"rows={shown(path)} is not in the answer, which is stored; it has {writable(nowhere)}. Call again with "
            "one of them, at no cost"
        )
    return Made(_tabulate(table, path or "", rows, answers, source), left_out, lists)


def _likely_path(table: Untyped, data: Any) -> str:
    """Return where the rows of an answer are if the caller names no list: the likely one, even if it is empty."""
    empty = table.likely and leads(data, table.likely) and not each_at(data, table.likely)
    return table.likely if empty else find_rows(data)


def _tabulate(
    table: Untyped, path: str, rows: Sequence[tuple[int, Values]], answers: Sequence[Answer], source: str
) -> pd.DataFrame:
    names = _name_columns((values for _, values in rows), path)
    params = [one.query.params for one in answers]
    columns: dict[str, Any] = {}
    for parameter in table.endpoint.inputs:
        name = parameter.api_name
        if name not in names.values():  # a field of the same name wins
            column = f"params.{name}" if name in METADATA else name
            columns[column] = pd.Series([params[at].get(name) for at, _ in rows], dtype="string")
    columns |= {name: read_column(name, [values.get(place) for _, values in rows]) for place, name in names.items()}
    at = np.array([answers[number].observation.observed_at for number, _ in rows], dtype=np.int64)
    columns[OBSERVED_AT.name] = pd.Series(moments(at))
    columns[SOURCE.name] = pd.Series([source] * len(rows), dtype="string")
    return pd.DataFrame(columns)


def _name_columns(rows: Iterable[Values], path: str) -> dict[Place, str]:
    """Name the columns: a value's path within its object; where two would share a name, the whole path of both."""
    places = sorted(dict.fromkeys(chain.from_iterable(rows)), key=itemgetter(0))
    written = {place: writable(".".join(place[1:])) for place in places}
    counts = Counter([*written.values(), *METADATA])
    objects = [writable(one) for one in paths_of_objects(path)]
    names: dict[Place, str] = {}
    taken = set(METADATA)
    for place, name in written.items():
        unique = name if counts[name] == 1 else f"{objects[place[0]]}.{name}".removeprefix(".")
        while unique in taken:
            unique = f"data.{unique}"
        taken.add(unique)
        names[place] = unique
    return names


def read_column(name: str, values: Sequence[Any]) -> pd.Series[Any]:
    """Return values with the dtype that fits all; ids, and numbers of more than 15 digits, are text."""
    kinds = {type(value) for value in values if value is not None}
    last = name.rpartition(".")[2].removesuffix("[]")
    is_id = last in ("id", "ids") or last.endswith(_ID_ENDINGS)
    if kinds == {bool}:
        return pd.Series(list(values), dtype="boolean")
    short = all(abs(value) < 10**_MOST_DIGITS for value in values if type(value) is int)
    if kinds and kinds <= {int, float} and short and not (is_id and int in kinds):
        return pd.Series(list(values), dtype="Int64" if kinds == {int} else "float64")
    texts = [one if one is None or isinstance(one, str) else json.dumps(one) for one in values]
    return pd.Series([one and writable(one) for one in texts], dtype="string")
