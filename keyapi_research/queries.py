"""What is requested: an entity or a ranking, and its key, which is the same in every store and on every machine."""

from __future__ import annotations

import contextlib
import hashlib
import json
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import Final

import pandas as pd

from .arguments import Value, is_missing, plain_value
from .errors import InvalidArgumentError, listed
from .model import PAGES, Endpoint, Paging, Parameter, endpoints_at, plain_endpoint
from .periods import days_between

_KEY_VERSION: Final = "1"
_EARLIEST, _LATEST = date(1970, 1, 1), date(9998, 12, 31)  # today, which as_of and an archive may put anywhere


@dataclass(slots=True, unsafe_hash=True)  # made by the hundred thousand: a frozen dataclass is three times as slow
class Query:
    """One entity as requested: a video, a hashtag x region x period, or a whole ranking; nothing changes it.

    `key` is that of the entity: versioned, without host, the same on every machine. Queries of one key are equal.
    """

    endpoint: Endpoint = field(compare=False)
    values: tuple[Value, ...] = field(compare=False)  # in the order of `endpoint.inputs`
    key: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        entity = self.endpoint.entity
        before, after = _around_id(self.endpoint, self.values[1:] if entity else self.values)
        who = quoted(str(entity.write(self.values[0]))) if entity else ""
        hashed = hashlib.sha256(f"{before}{who}{after}".encode()).hexdigest()
        self.key = f"k{_KEY_VERSION}-{hashed[:40]}"

    @property
    def value_of(self) -> dict[str, Value]:
        """What is requested, by column."""
        return dict(zip((p.column for p in self.endpoint.inputs), self.values, strict=True))

    @property
    def id(self) -> str:
        """The id or name requested; of a ranking, its parameters."""
        if self.endpoint.entity is not None:
            return str(self.values[0])
        said = ", ".join(f"{name}={value}" for name, value in self.value_of.items() if value is not None)
        return said or self.endpoint.path

    @property
    def day(self) -> str:
        """The day that is requested from a series."""
        return str(self.values[-1])

    @property
    def whom(self) -> tuple[Value, ...]:
        """What is requested, but for the day of a series."""
        return self.values[:-1] if self.endpoint.series else self.values

    @property
    def params(self) -> dict[str, str]:
        """Parameters as they are sent; of a day of a series, as they are stored."""
        return _params(self.endpoint, self.values)


def _params(endpoint: Endpoint, values: Sequence[Value]) -> dict[str, str]:
    params: dict[str, str] = {}
    for parameter, value in zip(endpoint.inputs, values, strict=True):
        text = parameter.write(value)
        if text is not None:
            params[parameter.api_name] = text
            params |= {name: text if same is None else same for name, same in parameter.beside.items()}
    return params


@lru_cache(maxsize=4096)  # as many as a series has days
def _around_id(endpoint: Endpoint, rest: tuple[Value, ...]) -> tuple[str, str]:
    """Return what is hashed before and after the id, the only part in which many queries differ."""
    values = ("\0", *rest) if endpoint.entity else rest
    hashed: list[object] = [_KEY_VERSION, endpoint.path, sorted(_params(endpoint, values).items())]
    if endpoint.paging not in (None, PAGES):  # pages of another size are another observation
        hashed.append(astuple(endpoint.paging))
    before, _, after = json.dumps(hashed).partition(quoted("\0"))
    return before, after


def page_params(paging: Paging, page: int) -> dict[str, str]:
    """Return the parameters of a page, which are stored after those of its ranking; `split_page` reads them."""
    size = {} if paging == PAGES else {paging.size: str(paging.most)}
    return {paging.page: str(page), **size}


def split_page(params: Mapping[str, str]) -> tuple[dict[str, str], Paging]:
    """Return the parameters of the ranking that a stored page belongs to, and how it is paged."""
    *rest, before, last = ("", *params)
    if last == PAGES.page:
        return {name: text for name, text in params.items() if name != last}, PAGES
    paging = Paging(before, last, int(params[last]))
    return {name: params[name] for name in rest if name}, paging


Today = Callable[[], date]


def _today_here() -> date:
    """Return today by this machine's clock: good enough to check the dates of no ids, and connects to nothing."""
    return datetime.now(UTC).date()


def settled(endpoint: Endpoint, arguments: Mapping[str, object], today: Today | None) -> list[tuple[Value, ...]]:
    """Check the arguments beside the id, and complete those that depend on others; of a series, day by day."""
    now = min(max(today(), _EARLIEST), _LATEST) if today and endpoint.dated else date.min
    if endpoint.series is not None and "start" in arguments:
        return [(day,) for day in days_between(arguments["start"], arguments["end"], now)] if today else []
    values = {p.argument: p.check(p.argument, arguments[p.argument]) for p in endpoint.parameters}
    return [tuple((endpoint.settle(values, now) if endpoint.settle and today else values).values())]


def make_query(endpoint: Endpoint, arguments: Mapping[str, object], today: Today | None = None) -> Query:
    """Check the arguments of one call, and return the query of a ranking; `today` settles what is relative to it."""
    [values] = settled(endpoint, arguments, today)
    return Query(endpoint, values)


def make_queries(
    endpoint: Endpoint, ids: object, arguments: Mapping[str, object], today: Today | None = None
) -> tuple[Query, ...]:
    """Check ids and arguments; return one query for each distinct id (and day of a series), in the order given."""
    entity = endpoint.entity
    if entity is None:
        raise TypeError(f"{endpoint.name} has no ids")
    distinct = dict.fromkeys(entity.check(entity.argument, one) for one in each_id(entity, ids))
    rest = settled(endpoint, arguments, today if distinct or today is None else _today_here)
    return tuple(Query(endpoint, (one, *values)) for one in distinct for values in rest)


def read_query(endpoint: Endpoint, params: Mapping[str, str]) -> Query:
    """Read a query from the parameters that were sent; KeyError or InvalidArgumentError where they do not fit."""
    return Query(endpoint, tuple(parameter.read_sent(params) for parameter in endpoint.inputs))


def query_of(path: str, params: Mapping[str, str], paging: Paging | None = None) -> Query:
    """Read a query from parameters as they are sent: of an endpoint of the package where they are exactly its own."""
    for endpoint in (one for one in endpoints_at(path, yours=False) if one.paging == paging):
        with contextlib.suppress(KeyError, InvalidArgumentError):
            query = read_query(endpoint, params)
            if query.params == params:
                return query
    return Query(plain_endpoint(path, tuple(params), paging=paging), tuple(params.values()))


def each_id(entity: Parameter, ids: object) -> Iterable[object]:
    """Return one id, or any iterable of them, as an iterable."""
    if isinstance(ids, pd.DataFrame):
        has = listed([str(column) for column in ids.columns]) or "no columns"
        raise InvalidArgumentError(
            f"{entity.argument} must be ids, not a DataFrame. "
            + (
                f'Pass its column: df["{entity.column}"]'
                if entity.column in ids.columns
                else f"Pass the column of ids. This frame does not have {entity.column}; it has {has}"
            )
        )
    ids = plain_value(ids)
    if getattr(ids, "ndim", 1) == 0:  # one value in an array of NumPy's
        ids = ids.item()  # type: ignore[attr-defined]
    if isinstance(ids, str | numbers.Number | None) or is_missing(ids):
        return (ids,)
    if isinstance(ids, bytes | bytearray | memoryview | Mapping) or not isinstance(ids, Iterable):
        raise InvalidArgumentError(
            f"{entity.argument} must be one id, or a list, Series or Index of ids; got {type(ids).__name__}"
        )
    return ids
