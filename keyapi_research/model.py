"""The language of declarations: endpoints, their parameters, the tables their answers give, the columns of these.

From declarations come requests, parsing, dtypes, empty frames, `describe` and the data dictionary, CSV, packages and
the tests; the package's own are in `catalogue`. A table has one row per answer (no `[]` in its `rows`) or one per item
of a list.
"""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, Final, Literal

from .arguments import Value, check_sent
from .errors import InvalidArgumentError
from .places import DeepestLevel, Field, Metadata, Place

DTYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "id": "string",
        "text": "string",
        "hashtag": "string",
        "count": "Int64",
        "integer": "Int64",
        "number": "float64",
        "flag": "boolean",
        "time": "datetime64[us, UTC]",
        "date": "datetime64[us, UTC]",
    }
)
_SMALLEST_PAGE: Final = 10  # the smallest cap KeyAPI's pages mention


# What a table is --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    `evidence` is the status and its reason; where parts of a meaning are known differently, the weakest counts.
    `least` and `most` are the values that can be right: others become missing, reported unless they are negative
    counts; where one is more than `most`, its answer has another scale, and all of its values become missing.
    `zero_beside` names a column whose zero makes a zero here mean "not computable"; `zero_unless` a parameter and those
    of its values with which a zero means zero. Texts in `missing` mean that there is nothing. `optional` columns are
    known to be left out of answers at times. `of` is the span of a measure: "total" (since the beginning), "of the
    day", "of the window" or "of the period".
    """

    name: str
    kind: str
    place: Place
    meaning: str
    evidence: str
    unit: str = ""
    least: float | None = None
    most: float | None = None
    zero_beside: str = ""
    optional: bool = False
    of: Literal["", "total", "of the day", "of the window", "of the period"] = ""
    zero_unless: tuple[str, tuple[str, ...]] | None = None
    missing: tuple[str, ...] = ()

    @property
    def measured(self) -> str:
        """The unit, and the span of the measure."""
        return ", ".join(filter(None, (self.unit, self.of)))

    @property
    def dtype(self) -> str:
        """The pandas dtype."""
        return DTYPES[self.kind]

    @property
    def status(self) -> str:
        """How far its meaning is known: documented, inferred or unknown."""
        return self.evidence.partition(":")[0]

    @property
    def reason(self) -> str:
        """Why it is known that far."""
        return self.evidence.partition(": ")[2]


OBSERVED_AT = Column(
    "observed_at",
    "time",
    Metadata("when the answer arrived"),
    "When the answer arrived here, which is not the day that its figures refer to.",
    "documented: stamped by this package",
    "UTC",
)
SOURCE = Column(
    "source",
    "text",
    Metadata("where the answer came from"),
    "keyapi, sandbox (synthetic data), or the host of another base URL.",
    "documented: stamped by this package",
)
ORIGIN: Final = "keyapi_research"  # of `attrs`, which have these two where a frame is made of rows and lost them
METADATA: Final = (OBSERVED_AT.name, SOURCE.name)  # names of the columns that every table has


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter: the argument of the fetch function, the column of the tables and the name in the API.

    `unset` is what KeyAPI takes for "none"; None leaves the parameter out. `codes` is how KeyAPI writes its values,
    None what is left out. `beside` are parameters that are sent with it: their value, or None for the same one.
    A `required` parameter has no default.
    """

    argument: str
    column: str
    api_name: str
    check: Callable[[str, object], Value]
    meaning: str
    default: Value = None
    unset: str | None = None
    check_before_sending: Callable[[Value, Sequence[date]], None] | None = None
    codes: Mapping[Value, str | None] = field(default_factory=dict, hash=False)
    beside: Mapping[str, str | None] = field(default_factory=dict, hash=False)
    required: bool = False

    def write(self, value: Value) -> str | None:
        """Return a value as it is sent."""
        if value is None:
            return self.unset
        if self.codes:
            return self.codes[value]
        if isinstance(value, float):
            return f"{Decimal(repr(value)):f}".removesuffix(".0")
        return str(value).lower() if isinstance(value, bool) else str(value)

    def read_sent(self, params: Mapping[str, str]) -> Value:
        """Return the value of some parameters as they were sent."""
        text: Value = params.get(self.api_name)
        if self.codes:
            text = {code: value for value, code in self.codes.items()}[text]  # type: ignore[index]
        elif text == self.unset:
            text = None
        elif isinstance(self.default, bool):
            text = {"true": True, "false": False}[str(text)]
        return self.check(self.argument, text)


@dataclass(frozen=True, slots=True)
class Paging:
    """How an endpoint is paged: the parameters of the page (from 1) and of its size, and the largest size."""

    page: str
    size: str
    most: int

    @property
    def least(self) -> int:
        """The smallest page that is expected of it."""
        return min(_SMALLEST_PAGE, self.most)

    @property
    def exact(self) -> bool:
        """Whether pages are as large as requested, so that a smaller one is the last; page_num/page_size are."""
        return self.page == "page_num" and self.most <= _SMALLEST_PAGE


PAGES: Final = Paging("page", "limit", 20)  # as KeyAPI's own pages document it


@dataclass(frozen=True, slots=True)
class Series:
    """How the days of an entity are requested: as a range, whose ends have names, page by page.

    Each day is stored by itself. `day` is where a row has its day. Some `reach` days back were seen, none before.
    """

    start: str
    end: str
    day: Field
    paging: Paging
    reach: int = 0


@dataclass(frozen=True, eq=False)
class Endpoint:
    """One endpoint of KeyAPI.

    `record` is the part of `data` without which an answer is empty. `identity` is where an answer, or a row of a
    ranking, has the id it is about; None where it has none, so that nothing can be checked. `batch` ids go into one
    request; a ranking has `paging`. In a ranking about an `entity`, `owner` is where a row has its id. `items` is the
    path of the rows, where nobody declared the endpoint and one is named. `page` is the title of KeyAPI's page,
    `docs.keyapi.ai` lists them. `not_tabled` are paths without a column. `example` is the id for which KeyAPI's page
    documents an answer, `sample` what else is requested to see whether it answers.

    `texts` are fields whose texts hold a list, and how each is read. `settle` completes checked arguments, given today:
    `dated` is the one that depends on today where it is None. `final_on` returns the day from which an answer to some
    arguments is final. The answers serve the queries of `also`, too.
    """

    name: str
    path: str
    credits: int
    page: str
    parameters: tuple[Parameter, ...]
    record: str
    identity: Field | DeepestLevel | None
    identity_kind: Literal["id", "hashtag", "handle"] = "id"
    entity: Parameter | None = None
    batch: int = 1
    not_tabled: tuple[str, ...] = ()
    paging: Paging | None = None
    owner: Field | None = None
    items: str | None = None
    example: str = ""
    sample: Mapping[str, Value] = field(default_factory=dict)
    texts: Mapping[str, Callable[[Any], list[Any] | None]] = field(default_factory=dict)
    series: Series | None = None
    settle: Callable[[dict[str, Value], date], dict[str, Value]] | None = None
    dated: str = ""
    final_on: Callable[[Mapping[str, Value]], date] | None = None
    also: Endpoint | None = None

    @property
    def counted(self) -> str:
        """The list that the rows of an endpoint are in which nobody declared, where one is named."""
        return (self.items or "").partition("[]")[0]

    @property
    def ranking(self) -> bool:
        """Whether the endpoint is called page by page."""
        return self.paging is not None

    @cached_property
    def inputs(self) -> tuple[Parameter, ...]:
        """All parameters that make up a query, the id first."""
        return self.parameters if self.entity is None else (self.entity, *self.parameters)

    @cached_property
    def columns(self) -> Mapping[str, Parameter]:
        """Parameters by the column they fill."""
        return {parameter.column: parameter for parameter in self.inputs}

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables its answers give; the first is its own, the others come free with it."""
        return tuple(_of_endpoint.get(self, ()))

    @cached_property
    def market(self) -> Field | None:
        """Where an answer names its market."""
        if "region" not in self.columns:
            return None
        places = (column.place for table in self.tables[:1] for column in table.columns if column.name == "market")
        return next((place for place in places if isinstance(place, Field)), None)

    @cached_property
    def row_name(self) -> str:
        """The column that names an entity of a ranking in its tables; empty where it has none."""
        columns = (column for table in self.tables[:1] for column in table.columns)
        named = (column.name for column in columns if str(column.place) == str(self.identity))
        return next(named, self.tables[0].key[-1] if self.tables else "")

    @property
    def price(self) -> str:
        """What a request costs, and how much it brings."""
        each = "an id" if self.entity else "a request"
        if self.paging is not None:
            each = f"a page of up to {self.paging.most} rows"
        elif self.series is not None:
            each = f"a page of up to {self.series.paging.most} days of one id"
        elif self.batch > 1:
            each = f"per request of up to {self.batch} ids"
        return f"{self.credits} credit{'s' if self.credits > 1 else ''} {each}"

    def cost(self, entities: int) -> int:
        """Credits of requesting so many entities (or pages)."""
        return math.ceil(entities / self.batch) * self.credits


@dataclass(frozen=True, eq=False)
class Table:
    """One tidy table: its endpoint, columns, key and the lists its rows come from.

    `reached_by` is the method of `df.keyapi` that reads it from the answers behind other rows. `leads_to` names, by
    method, what can be fetched for its rows: the column with the ids (or another table of the same answers, which has
    them), and the table that is fetched. In a `strict` table rows that repeat a key are a warning. `ways` are other
    endpoints with the same answers, which name the entity differently.
    """

    endpoint: Endpoint
    name: str
    row: str
    key: tuple[str, ...]
    rows: tuple[str, ...]
    columns: tuple[Column, ...]
    sorted_by: str = ""
    references: tuple[tuple[tuple[str, ...], str], ...] = ()
    strict: bool = False
    reached_by: str = ""
    leads_to: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    ways: tuple[Endpoint, ...] = ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def _by_name(self) -> Mapping[str, Column]:
        return {column.name: column for column in self.columns}

    def __getitem__(self, name: str) -> Column:
        return self._by_name[name]

    @property
    def function(self) -> str:
        """Name of the function that fetches it."""
        return f"fetch_{self.name}"


@dataclass(frozen=True, eq=False)
class Untyped(Table):
    """What `fetch_endpoint` makes of an endpoint: each value a column by its path. `name` is the path of the endpoint.

    `rows` has the path of the rows. Where it is empty, they are at the `likely` path if the first answer has that list,
    else where the answer shows them. Fields in `without` get no column. With `one_page` all rows of a page count,
    whatever the limit. `doubt` is what its user should know before he pays for it.
    """

    likely: str = ""
    without: frozenset[str] = frozenset()
    one_page: bool = False
    doubt: str = ""

    @property
    def function(self) -> str:
        """Name of the function that fetches it."""
        return "fetch_endpoint"


_tables: Final[dict[str, Table]] = {}  # the register of declared tables
_of_endpoint: Final[dict[Endpoint, list[Table]]] = {}  # of those that were declared again, too
_yours: Final[set[str]] = set()  # names of those that the session declared, and may declare again
_dtypes: Final[dict[str, str]] = {}
# Views that one thread can go through while another declares a table: a ChainMap copies the names first.
TABLES: Final[Mapping[str, Table]] = MappingProxyType(ChainMap(_tables))
COLUMN_DTYPES: Final[Mapping[str, str]] = MappingProxyType(ChainMap(_dtypes))  # one name has one dtype in all tables


def declare(table: Table, *, yours: bool = False) -> Table:
    """Register a table under its name, and return it; one of the session replaces an earlier one of that name."""
    if yours and table.name in _tables and table.name not in _yours:
        raise InvalidArgumentError(f"{table.name} is a table of this package. Choose another name for yours")
    _check_dtypes(table)
    _tables[table.name] = table
    for endpoint in (table.endpoint, *table.ways):
        _of_endpoint.setdefault(endpoint, []).append(table)
    (_yours.add if yours else _yours.discard)(table.name)
    known = {column.name: column.dtype for one in TABLES.values() for column in one.columns}
    _dtypes.update(known)
    for gone in _dtypes.keys() - known.keys():
        del _dtypes[gone]
    return table


def _check_dtypes(table: Table) -> None:
    """Refuse a column that has another dtype in another table: a file could not be read back as it was."""
    others = [one for one in TABLES.values() if one.name != table.name]
    known = {column.name: (column.dtype, one.name) for one in others for column in one.columns}
    for column in table.columns:
        dtype, of = known.get(column.name, (column.dtype, ""))
        if dtype != column.dtype:
            raise InvalidArgumentError(
                f"column {column.name!r} is {dtype} in the table {of}, and would be {column.dtype} in {table.name}. "
                "Choose another name for it"
            )


def endpoints(*, yours: bool = True) -> tuple[Endpoint, ...]:
    """List the endpoints of the declared tables, in order of declaration; those of the session last or not at all."""
    tables = [one for one in TABLES.values() if yours or one.name not in _yours]
    return tuple(dict.fromkeys(endpoint for one in tables for endpoint in (one.endpoint, *one.ways)))


def endpoints_at(path: str, *, yours: bool = True) -> tuple[Endpoint, ...]:
    """List the declared endpoints of a path, those of the session last or not at all."""
    return tuple(one for one in endpoints(yours=yours) if one.path == path)


@lru_cache(maxsize=256)
def plain_endpoint(
    path: str,
    names: tuple[str, ...],
    *,
    price: int = 0,
    by: bool = False,
    paging: Paging | None = None,
    items: str | None = None,
) -> Endpoint:
    """Return an endpoint that nobody declared: parameters are sent as they are, and answers are not checked.

    With `by`, the first parameter has the id.
    """
    sent = tuple(Parameter(name, name, name, check_sent, "As it was sent.") for name in names)
    entity = sent[0] if by else None
    return Endpoint(path, path, price, "", sent[by:], "", None, entity=entity, paging=paging, items=items)
