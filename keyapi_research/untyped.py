"""Frames of any answer: each value a column by its path, with the dtype that all its values have."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from .columns import moments
from .errors import InvalidArgumentError, listed, shown
from .model import OBSERVED_AT, SOURCE, Query, Untyped
from .rows import Place, Values, each_at, find_rows, names_in, paths_of_lists, paths_of_objects, read_rows
from .spelling import writable
from .store import Answer

_MOST_DIGITS: Final = 15  # of a whole number that every program keeps as it is
_ID_ENDINGS: Final = ("_id", "_ids", "id_str")
_METADATA: Final = (OBSERVED_AT.name, SOURCE.name)


def make_frame(
    table: Untyped,
    answers: Sequence[Answer],
    envelopes: Iterable[Mapping[str, Any]],
    *,
    source: str,
    limit: int | None = None,
) -> tuple[pd.DataFrame, set[str]]:
    """Make a frame of answers, of a ranking of `limit` items at most; return it, and what it was made without."""
    rows: list[tuple[int, Values]] = []
    path, nowhere = next(iter(table.rows), None), ""
    counted: Counter[Query] = Counter()
    left_out: set[str] = set()
    for number, (answer, envelope) in enumerate(zip(answers, envelopes, strict=True)):
        data = envelope.get("data")
        if path is None:
            path = find_rows(data)
        left_out |= table.without.intersection(names_in(data)) if table.without else set()
        most = None if limit is None else limit - counted[answer.query]
        counted[answer.query] += answer.observation.rows
        read = list(read_rows(data, path, without=table.without, most=most)) if _leads(data, path) else []
        rows += [(number, one) for one in read]
        if not read and not nowhere and not _leads(data, path):
            nowhere = listed(list(paths_of_lists(data))) or 'no list: rows="" makes one row of the answer'
    if nowhere and not rows:
        raise InvalidArgumentError(
            f"rows={shown(path)} is not in the answer, which is stored; it has {nowhere}. Call again with one of them, "
            "at no cost"
        )
    return _tabulate(table, path or "", rows, answers, source), left_out


def _leads(data: Any, path: str) -> bool:
    """Whether there is something at a path; there is, too, where a list on the way has no items."""
    *lists, last = path.split("[]")
    way = ""
    for step in lists:
        way += step
        found = each_at(data, way)
        if not any(isinstance(items, list) for items in found):
            return False
        if not any(found):
            return True
        way += "[]"
    return not last or bool(each_at(data, path))


def _tabulate(
    table: Untyped, path: str, rows: Sequence[tuple[int, Values]], answers: Sequence[Answer], source: str
) -> pd.DataFrame:
    params = [one.query.params for one in answers]
    names = _name_columns((values for _, values in rows), path)
    columns = {
        name: pd.Series([params[at].get(name) for at, _ in rows], dtype="string")
        for name in [parameter.api_name for parameter in table.endpoint.inputs]
        if name not in names.values() and any(name in sent for sent in params or [{name: ""}])
    }
    columns |= {name: read_column(name, [values.get(place) for _, values in rows]) for place, name in names.items()}
    at = np.array([answers[number].observation.observed_at for number, _ in rows], dtype=np.int64)
    columns[OBSERVED_AT.name] = pd.Series(moments(at))
    columns[SOURCE.name] = pd.Series([source] * len(rows), dtype="string")
    return pd.DataFrame(columns)


def _name_columns(rows: Iterable[Values], path: str) -> dict[Place, str]:
    """Name the columns: a value's path within its object; where two would share a name, the whole path of both."""
    places = sorted(dict.fromkeys(place for values in rows for place in values), key=lambda place: place[0])
    objects = paths_of_objects(path)
    counts = Counter([*(name for _, name in places), *_METADATA])
    names: dict[Place, str] = {}
    taken = set(_METADATA)
    for place in places:
        depth, name = place
        if counts[name] > 1:
            name = f"{objects[depth]}.{name}".removeprefix(".")
        while name in taken:
            name = f"data.{name}"
        taken.add(name)
        names[place] = name
    return names


def read_column(name: str, values: Sequence[Any]) -> pd.Series[Any]:
    """Return values with the dtype they all have; ids, and numbers of more than 15 digits, are text."""
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
