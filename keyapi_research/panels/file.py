"""The file of a panel: what it fetches and how often, checked before anything is sent; mistakes are named by line."""

from __future__ import annotations

import calendar
import hashlib
import inspect
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pandas as pd

from .. import catalogue
from ..arguments import nearest_name
from ..catalogue.other import fetch_endpoint
from ..client import Call, Client
from ..errors import InvalidArgumentError, StoreError, listed, shown
from ..fetch import call_checked
from ..files import as_path, read_bytes, real_path, whole_path
from ..model import Table, Untyped
from ..periods import check_day
from ..settings import (
    MEMORY,
    NOT_A_FILE,
    SANDBOX_TODAY,
    Secret,
    Settings,
    is_address,
    is_number,
    read_address,
    without_user,
)

_SETTINGS: Final = ("name", "every", "starts", "credits_per_round", "store", "sandbox", "fetch")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_EVERY: Final = re.compile(r"([1-9][0-9]{0,3})\s*([DdM])")
_OWN: Final = ("client", "max_age", "errors")  # a panel sets them itself
_AT_LINE: Final = re.compile(r" \(at line ([0-9]+)[^)]*\)$")
_MOST_INTERVALS: Final = 366  # days or months
_YEARS: Final = range(2000, 3000)
_FUNCTIONS: Final[Mapping[str, Callable[..., pd.DataFrame]]] = MappingProxyType(
    {
        name: function
        for family in catalogue.__all__
        for name, function in vars(getattr(catalogue, family)).items()
        if name.startswith("fetch_") and hasattr(function, "make_call")
    }
    | {"fetch_endpoint": fetch_endpoint}
)


@dataclass(frozen=True)
class Fetch:
    """One fetch of each round: a function, its arguments, and where its ids come from.

    `ids` are listed in the file; `source` is a table and a column of an earlier fetch.
    """

    function: str
    options: Mapping[str, Any]
    ids: tuple[str, ...] | None = None
    source: tuple[str, str] | None = None

    @cached_property
    def without_ids(self) -> Call:
        """Its call for no ids; table and limit are the same for all of its calls."""
        with _client_for_checks() as client:
            return self.call((), client=client)

    @property
    def table(self) -> Table:
        """The table it makes."""
        return self.without_ids.table

    @property
    def limit(self) -> int | None:
        """The maximum number of rows of one list."""
        return self.without_ids.limit

    def call(self, ids: Sequence[str], *, client: Client) -> Call:
        """Return its call for some ids; a wrong argument is an InvalidArgumentError."""
        make = _FUNCTIONS[self.function].make_call  # type: ignore[attr-defined]
        options = dict(self.options)
        first = day_of(options.get("start"))
        if first is not None and first >= client.policy.today.isoformat():  # none of its days is over yet
            ids, options["start"] = (), "1D"
        positional = [list(ids)] if _ids_parameter(self.function) else []
        made: Call = call_checked(make, *positional, **options, client=client)
        return made

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"function": self.function, "options": dict(self.options), "ids": self.ids, "source": self.source}

    @classmethod
    def from_dict(cls, known: Mapping[str, Any]) -> Fetch:
        """Read what `to_dict` returned, possibly in another version of the package."""
        if known["function"] not in _FUNCTIONS:
            raise StoreError(f"a round used {known['function']}, which this version does not have: use an older one")
        ids, source = known["ids"], known["source"]
        return cls(known["function"], known["options"], None if ids is None else tuple(ids), source and tuple(source))


@dataclass(frozen=True)
class PanelFile:
    """A panel as its file declares it."""

    path: str
    name: str
    every: tuple[int, str]
    starts: datetime
    credits_per_round: int
    store: str
    sandbox: bool
    fetches: tuple[Fetch, ...]

    @property
    def every_text(self) -> str:
        """How often, as the file has it."""
        return "".join(map(str, self.every))

    @property
    def store_name(self) -> str:
        """The store, as a reader on another machine needs it."""
        return without_user(self.store) if is_address(self.store) else Path(self.store).name

    @property
    def digest(self) -> str:
        """A hash of the fetches, to notice that they were changed."""
        return hashlib.sha256(self.fetches_json().encode()).hexdigest()[:16]

    def has(self, secret: Secret) -> bool:
        """Whether a secret is in what the store would keep."""
        return any(map(secret.is_in, _texts_in([self.name, [one.to_dict() for one in self.fetches]])))

    def fetches_json(self) -> str:
        """Return the fetches as the store keeps them."""
        return json.dumps([one.to_dict() for one in self.fetches], sort_keys=True, ensure_ascii=False)

    def begins(self, number: int) -> datetime:
        """Return when a round begins, UTC; the first is number 1."""
        count, unit = self.every
        if unit == "D":
            return (self.starts + timedelta(days=count * (number - 1))).astimezone(UTC)
        months = self.starts.month - 1 + count * (number - 1)
        year, month = self.starts.year + months // 12, months % 12 + 1
        day = min(self.starts.day, calendar.monthrange(year, month)[1])  # from the 31st: the last of the month
        return self.starts.replace(year=year, month=month, day=day).astimezone(UTC)

    def number_at(self, moment: datetime) -> int:
        """Return the number of the round that a moment is in; 0 before the first."""
        if moment < self.starts:
            return 0
        count, unit = self.every
        days = (moment - self.starts).days
        number = days // count if unit == "D" else max(0, days // (31 * count) - 1)
        while self.begins(number + 1) <= moment:
            number += 1
        return number


# Reading ----------------------------------------------------------------------------------------------------


def read_panel(given: object) -> PanelFile:
    """Read and check the file of a panel."""
    path = whole_path(as_path(given, "path", "the file of a panel (.toml)"), "path")
    content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
        values = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(f"{path} is not text in UTF-8: {error}") from None
    except (ValueError, RecursionError) as error:
        line = _AT_LINE.search(str(error))
        where, what = f", line {line[1]}" if line else "", _AT_LINE.sub("", str(error))
        raise InvalidArgumentError(f"{path}{where}: this is not TOML: {what}") from None
    return _Reader(str(path), text).read(values)


class _Reader:
    """Checks what a file says; a mistake is named with its line."""

    def __init__(self, path: str, text: str) -> None:
        self._path, self._lines = path, _lines_of(text)

    def _wrong(self, key: str, message: str, block: int = -1) -> InvalidArgumentError:
        line = self._lines.get((block, key)) or self._lines.get((block, ""))
        return InvalidArgumentError(f"{self._path}{f', line {line}' if line else ''}: {message}")

    def read(self, values: Mapping[str, Any]) -> PanelFile:
        """Return the panel."""
        for key in values:
            if key not in _SETTINGS:
                advice = _did_you_mean(key, _SETTINGS) or f"It has {', '.join(_SETTINGS)}"
                raise self._wrong(key, f"{key} is not a setting of a panel. {advice}")
        for key in ("name", "every", "starts", "credits_per_round"):
            if key not in values:
                raise self._wrong(key, f"{key} is missing: a panel has {', '.join(_SETTINGS[:4])} above its [[fetch]]")
        name = self._name(values["name"])
        sandbox = values.get("sandbox", False)
        if not isinstance(sandbox, bool):
            raise self._wrong("sandbox", f"sandbox must be true or false; got {shown(sandbox)}")
        return PanelFile(
            path=self._path,
            name=name,
            every=self._every(values["every"]),
            starts=self._starts(values["starts"]),
            credits_per_round=self._credits(values["credits_per_round"]),
            store=self._store(values.get("store", f"{name}.sqlite")),
            sandbox=sandbox,
            fetches=self._fetches(values.get("fetch"), SANDBOX_TODAY if sandbox else None),
        )

    def _name(self, name: object) -> str:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise self._wrong(
                "name", f"name must be 1 to 80 letters, digits, dots, hyphens or underscores; got {shown(name)}"
            )
        return name

    def _every(self, every: object) -> tuple[int, str]:
        found = _EVERY.fullmatch(every.strip()) if isinstance(every, str) else None
        if not found or int(found[1]) > _MOST_INTERVALS:
            raise self._wrong("every", f'every must be days or months, such as "7D", "1D" or "1M"; got {shown(every)}')
        return int(found[1]), found[2].upper()

    def _starts(self, starts: object) -> datetime:
        if isinstance(starts, date) and not isinstance(starts, datetime):
            starts = datetime.combine(starts, time(), UTC)
        if isinstance(starts, datetime) and starts.year in _YEARS:
            return starts.replace(tzinfo=UTC) if starts.tzinfo is None else starts
        raise self._wrong("starts", f"starts must be a date such as 2026-12-01, without quotes; got {shown(starts)}")

    def _credits(self, credits_: Any) -> int:
        if not is_number(credits_, whole=True) or credits_ < 1:
            raise self._wrong(
                "credits_per_round", f"credits_per_round must be a whole number of at least 1; got {shown(credits_)}"
            )
        return int(credits_)

    def _store(self, store: object) -> str:
        try:
            if is_address(store):
                return read_address(str(store))
            path = as_path(store, "store", "a store's file, or an address", NOT_A_FILE)
            if store == MEMORY:
                raise InvalidArgumentError("store must be a file or an address: rounds are kept in it")  # noqa: TRY301
            return str(real_path(Path(self._path).parent / path, "store"))
        except (InvalidArgumentError, OSError) as error:
            raise self._wrong("store", str(error)) from None

    # Fetches ------------------------------------------------------------------------------------------------

    def _fetches(self, blocks: object, today: date | None) -> tuple[Fetch, ...]:
        if not isinstance(blocks, list) or not blocks or not all(isinstance(one, dict) for one in blocks):
            raise self._wrong("fetch", "a panel needs at least one [[fetch]] with a function")
        fetches: list[Fetch] = []
        for number, block in enumerate(blocks):
            one = self._fetch(block, number, fetches, today)
            untyped = [other for other in fetches if isinstance(other.table, Untyped)]
            same = [other for other in untyped if other.table.name == one.table.name]
            if any(other.table.rows != one.table.rows for other in same):
                raise self._wrong("rows", f"rows of {one.table.name} must be as in the fetch above it", number)
            fetches.append(one)
        return tuple(fetches)

    def _fetch(
        self, block: Mapping[str, Any], number: int, above: Sequence[Fetch], today: date | None
    ) -> Fetch:
        function = block.get("function")
        if not isinstance(function, str) or function not in _FUNCTIONS:
            advice = _did_you_mean(str(function), _FUNCTIONS)
            message = f"function must be a fetch function such as fetch_hashtags; got {shown(function)}. {advice}"
            raise self._wrong("function", message.removesuffix(". "), number)
        takes, ids_parameter = _parameters(function), _ids_parameter(function)
        options = {key: _plain(value) for key, value in block.items() if key not in ("function", "from", "ids")}
        allowed = [one for one in takes if one not in (*_OWN, ids_parameter)]
        for key in options:
            if key not in allowed:
                advice = _did_you_mean(key, allowed) or f"It takes {', '.join(allowed)}"
                raise self._wrong(key, f"{function} does not take {key} here. {advice}", number)
        given = [key for key in ("from", "ids") if key in block]
        if given and not ids_parameter:
            raise self._wrong(given[0], f"{function} takes no ids", number)
        if ids_parameter and len(given) != 1:
            key = given[-1] if given else "function"
            advice = 'needs ids = ["..."], or from = "table.column" of a fetch above it, and not both'
            raise self._wrong(key, f"{function} {advice}", number)
        ids = self._listed_ids(block["ids"], number) if "ids" in block else None
        source = self._source(block["from"], number, above) if "from" in block else None
        found = Fetch(function, options, ids, source)
        try:
            with _client_for_checks(today) as client:
                found.call(ids or (), client=client)
        except InvalidArgumentError as error:
            first = re.split(r"\W", str(error), maxsplit=1)[0]  # most begin with the name of what is wrong
            key = "ids" if first == ids_parameter else first if first in options else "function"
            raise self._wrong(key, str(error), number) from None
        return found

    def _listed_ids(self, given: object, number: int) -> tuple[str, ...]:
        ids = given if isinstance(given, list) else [given]
        if not ids or not all(isinstance(one, str | int) and not isinstance(one, bool) for one in ids):
            raise self._wrong("ids", f"ids must be a list of texts; got {shown(given)}", number)
        return tuple(str(one) for one in ids)

    def _source(self, given: object, number: int, above: Sequence[Fetch]) -> tuple[str, str]:
        table, _, column = str(given).partition(".")
        there = {one.table.name: one.table for one in above if not isinstance(one.table, Untyped)}
        if table not in there:
            tables = f"The tables above are {listed(list(there))}" if there else "There is none above"
            message = f'from must be "table.column" of a fetch above this one; got {shown(given)}. {tables}'
            raise self._wrong("from", message, number)
        if column not in there[table].names:
            names = ", ".join(there[table].names)
            raise self._wrong("from", f"{table} has no column {shown(column)}. It has {names}", number)
        return table, column


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    for one in value if isinstance(value, list | tuple) else ():
        yield from _texts_in(one)
    if isinstance(value, str):
        yield value


def day_of(start: object) -> str | None:
    """Return the day that a series starts on; None where it is a length, is missing, or is a mistake."""
    try:
        return check_day("start", start)
    except InvalidArgumentError:
        return None


def _did_you_mean(word: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    near = nearest_name(word, list(known))
    return f"Did you mean {near}?" if near else ""


def _parameters(function: str) -> Mapping[str, inspect.Parameter]:
    """Return what a fetch function takes."""
    return inspect.signature(_FUNCTIONS[function]).parameters


def _ids_parameter(function: str) -> str:
    """Return the parameter that takes the ids; empty if there is none."""
    if function == fetch_endpoint.__name__:
        return ""
    return next((name for name, one in _parameters(function).items() if one.kind is not one.KEYWORD_ONLY), "")


def _plain(value: Any) -> Any:
    """Return a value of a file as fetch functions take it: dates as text."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value.isoformat() if isinstance(value, date) else value


def _client_for_checks(today: date | None = None) -> Client:
    """Return a client that has no store and sends nothing."""
    return Client.of(Settings(today=today))


def _lines_of(text: str) -> dict[tuple[int, str], int]:
    """Return the line of each key, by the number of its [[fetch]] (-1 above the first)."""
    found: dict[tuple[int, str], int] = {}
    block = -1
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(r"\s*\[\[\s*fetch\s*\]\]", line):
            block += 1
            found[block, ""] = number
            found.setdefault((-1, "fetch"), number)
        elif key := re.match(r"\s*[\"']?([A-Za-z0-9_-]+)[\"']?\s*=", line):
            found.setdefault((block, key[1]), number)
    return found
