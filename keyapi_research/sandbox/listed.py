"""The listed endpoints: one example answer of each, and answers of the same shape to other parameters.

Nothing is known of these endpoints but what ``examples/listed.toml`` says. So there is no world behind them: an answer
depends on its parameters and the seed alone, and does not move on with time.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from . import chance

_FOLDER = Path(__file__).parent / "examples"
_ROWS = 23  # of a list, over all its pages: two full ones of ten, and one that is not
_LARGEST_BATCH = 10
_PAGING = {"page_num", "page_size", "offset", "count", "size"}
_ID = re.compile("(?:(?<![0-9A-Za-z%])|(?<=%[0-9A-F]{2}))[0-9]{6,20}(?![0-9A-Za-z])")  # also in escaped text
_ID_LENGTH = 15  # a number with at least so many digits is an id; shorter ones are counts, times and categories
_ABSENT = "000000"
_CHECKS = {
    "page_num": "(?=[0-9]{1,6}$)0*[1-9][0-9]*",
    "page_size": "0{0,6}([1-9]|10)",
    **dict.fromkeys(("date", "start_date", "end_date"), "[0-9]{4}-[0-9]{2}-[0-9]{2}"),
}


@dataclass(frozen=True)
class Listed:
    """One endpoint, as ``examples/listed.toml`` has it; the queries of its examples are taken apart."""

    name: str
    credits: int
    required: tuple[str, ...]
    optional: tuple[str, ...]
    batch: Mapping[str, str]
    first_offset: str | None
    rows: str
    short_ids: tuple[str, ...]
    examples: Mapping[str, Mapping[str, str]]

    def check(self, sent: Mapping[str, str]) -> dict[str, str] | str:
        """Return the known parameters that were sent, or the text of the refusal."""
        groups = [names.split("|") for names in (*self.required, *self.optional)]
        params = {name: sent[name] for names in groups for name in names if sent.get(name, "").strip()}
        for names in groups[: len(self.required)]:
            if not params.keys() & set(names):
                return f"Missing required parameter: {' or '.join(names)}"
        return next((f"Invalid parameter: {name}" for name in params if not self._allowed(name, params[name])), params)

    def is_example(self, sent: Mapping[str, str]) -> bool:
        """Return whether a query, which may have unknown parameters, is that of an example."""
        query = {name: value for name, value in sent.items() if value.strip() and name not in _PAGING}
        return self.check(sent) == {name: value for name, value in sent.items() if value.strip()} and any(
            {**asked, **query} == asked for asked in self.examples.values()
        )

    def _allowed(self, name: str, value: str) -> bool:
        if name in _CHECKS:
            return bool(re.fullmatch(_CHECKS[name], value)) and (name in _PAGING or _is_date(value))
        pattern = "[0-9]{1,30}" if _is_id(name) else "(?s).*"
        if name not in self.batch:
            return bool(re.fullmatch(pattern, value))
        ids = _ids(value)
        return len(ids) <= _LARGEST_BATCH and all(one and re.fullmatch(pattern, one) for one in ids)

    def envelope(self, seed: str, params: Mapping[str, str], request_id: str) -> dict[str, Any]:
        """Return the answer to checked parameters, in the envelope of the example."""
        query = {name: value for name, value in sorted(params.items()) if name not in _PAGING}
        file, example = next(
            ((file, asked) for file, asked in self.examples.items() if {**asked, **query} == asked),
            next(iter(self.examples.items())),
        )
        envelope: dict[str, Any] = json.loads((_FOLDER / "listed" / f"{file}.json").read_text("utf-8"))
        if envelope.get("requestId"):
            envelope["requestId"] = request_id
        envelope["data"] = self._data(envelope["data"], example, query, params, seed)
        return envelope

    def _data(
        self, data: Any, example: Mapping[str, str], query: Mapping[str, str], params: Mapping[str, str], seed: str
    ) -> Any:
        by = next((name for name in self.batch if name in query), None)
        if by:
            (row,), known = data, example[by]
            ids = sorted(one for one in set(_ids(query[by])) if not one.endswith(_ABSENT))
            return [row if one == known else _other(row, {known: one}, f"{seed} {by} {one}") for one in ids]
        absent = [value for name, value in query.items() if _is_id(name, "unique_id") and value.endswith(_ABSENT)]
        if absent:
            return [] if isinstance(data, list) else chance.Dice("nothing", self.name, *absent).pick((None, {}))
        is_example = {**example, **query} == example
        salt = f"{seed} {self.name} {query}"
        # A filter, too, holds for the rows: those of one region, user, category.
        known_of = {**(data[0] if isinstance(data, list) else {}), **example}
        wanted = {one: _altered(one, salt) for one in self.short_ids}
        wanted |= {known_of[name]: new for name, new in query.items() if _names_something(known_of.get(name))}
        if "page_num" in params:
            rows = data if is_example else _many(data, wanted, salt, query)
            page, size = int(params["page_num"]), int(params["page_size"])
            return rows[(page - 1) * size : page * size]
        data = data if is_example else _other(data, wanted, salt)
        if self.first_offset is not None and params.get("offset", self.first_offset) != self.first_offset:
            _empty(data, self.rows)
        return data


def _many(data: list[dict[str, Any]], wanted: Mapping[str, str], salt: str, query: Mapping[str, str]) -> list[Any]:
    """Return the rows of a whole list; those of a series are the days that were requested, from the first on."""
    rows = [_other(data[n % len(data)], wanted, f"{salt} {n}") for n in range(_ROWS)]
    if "start_date" not in query:
        return rows
    first, last = (date.fromisoformat(query[name]) for name in ("start_date", "end_date"))
    days = [str(first + timedelta(n)) for n in range(min(_ROWS, (last - first).days + 1))]
    return [{**row, "dt": day} for row, day in zip(rows, days, strict=False)]


def _other(value: Any, wanted: Mapping[str, str], salt: str) -> Any:
    """Return a value of the example with ids and handles in it replaced: by those wanted, or by invented ones."""
    if isinstance(value, dict):
        return {
            key: f"{inner}_{chance.number(salt, inner) % 10_000}"
            if key == "unique_id" and inner and inner not in wanted
            else _other(inner, wanted, salt)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_other(inner, wanted, salt) for inner in value]
    if isinstance(value, str):
        return wanted.get(value) or _ID.sub(lambda found: _replaced(found[0], wanted, salt), value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(_replaced(str(value), wanted, salt))
    return value


def _replaced(digits: str, wanted: Mapping[str, str], salt: str) -> str:
    return wanted.get(digits) or (_altered(digits, salt) if len(digits) >= _ID_LENGTH else digits)


def _altered(identifier: str, salt: str) -> str:
    last = min(9, len(identifier) - 2)
    return f"{identifier[:-last]}{chance.number(salt, identifier) % 10**last:0{last}d}"


def _empty(data: dict[str, Any], rows: str) -> None:
    """Make an answer with a cursor the last one: no rows, and none to come."""
    *above, last = rows.split(".")
    place = data
    for key in above:
        place = place[key]
    place[last] = type(place[last])()
    if "has_more" in data:
        data["has_more"] = type(data["has_more"])()


def _ids(value: str) -> list[str]:
    return [one.strip() for one in value.split(",")]


def _is_id(name: str, *others: str) -> bool:
    """Return whether a parameter names one thing, by digits or, of the others, in another way."""
    return (name.endswith(("_id", "_ids", "uid")) and name not in {"unique_id", "unique_ids"}) or name in others


def _is_date(value: str) -> bool:
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _names_something(value: object) -> bool:
    """Return whether a value is an id or a word, which an answer repeats, and no number or flag."""
    return isinstance(value, str) and (bool(_ID.fullmatch(value)) or value[:1].isalpha())


def _read() -> dict[str, Listed]:
    return {
        f"/v1/tiktok/{name}": Listed(
            name,
            fields.get("credits", 1),
            tuple(fields["required"].split()),
            tuple(fields.get("optional", "").split()),
            fields.get("batch", {}),
            fields.get("first_offset"),
            fields.get("rows", ""),
            tuple(fields.get("short_ids", "").split()),
            {file: dict(parse_qsl(query)) for file, query in fields["examples"].items()},
        )
        for name, fields in tomllib.loads((_FOLDER / "listed.toml").read_text("utf-8")).items()
    }


LISTED = _read()
