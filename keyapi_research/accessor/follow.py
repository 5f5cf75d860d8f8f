"""What the rows of a table lead to: other tables of the same answers, and what their ids name. Nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..arguments import Value
from ..columns import read_column
from ..errors import InvalidArgumentError, MissingDataWarning, listed, shown, warn
from ..frames import Needs, check_column, check_partners, identifying_columns
from ..model import TABLES, Column, Endpoint, FromQuery, Parameter, Query, Table


@dataclass(frozen=True)
class Extras:
    """Other tables of the answers behind rows: the one of this name, or all with this column in their key."""

    which: str

    def by_table(self) -> dict[str, Table]:
        """Return them by the name of the table whose rows lead to them."""
        tables = [table for table in TABLES.values() if self.which in (table.name, *table.key)]
        firsts = [(table.endpoint.tables[0], table) for table in tables]
        return {first.name: table for first, table in firsts if first is not table}

    def needs(self) -> Needs:
        """Return the columns that say which answer a row came from, by table."""
        key = identifying_columns()
        return {name: key[name] for name in self.by_table()}


@dataclass(frozen=True)
class Link:
    """A column whose values another endpoint (or the same, about somebody else) is queried by."""

    table: Table
    column: Column
    endpoint: Endpoint
    entity: Parameter

    @property
    def target(self) -> Table:
        """The table of what the ids name."""
        return self.endpoint.tables[0]


@dataclass(frozen=True)
class Links:
    """Links to some tables, also from rows with the table `by` in their answers; or only from details of others."""

    to: tuple[str, ...]
    by: str = ""
    of_details: bool = False

    def by_table(self) -> dict[str, Link]:
        """Return them by the name of the table whose rows have them, or whose answers do."""
        links = {link.table.name: link for link in find_links() if link.target.name in self.to}
        own = {name: link for name, link in links.items() if link.table.references or not self.of_details}
        return {TABLES[self.by].endpoint.tables[0].name: links[self.by], **own} if self.by else own

    def needs(self) -> Needs:
        """Return the columns that following them needs, by table."""
        key = identifying_columns()
        return {
            name: key[name] | ({link.column.name} if link.table.name == name else set())
            for name, link in self.by_table().items()
        }


def find_links() -> tuple[Link, ...]:
    """Return the links of all tables."""
    return _links_of(tuple(TABLES.values()))


@lru_cache(maxsize=2)  # tables may be declared at any time
def _links_of(tables: tuple[Table, ...]) -> tuple[Link, ...]:
    endpoints = dict.fromkeys(table.endpoint for table in tables)
    by_id = [(endpoint, endpoint.entity) for endpoint in endpoints if endpoint.entity is not None]
    return tuple(
        Link(table, column, endpoint, entity)
        for table in tables
        for column in _naming_others(table)
        for endpoint, entity in by_id
        if f"_{column.name}".endswith(f"_{entity.column}")
    )


def _naming_others(table: Table) -> list[Column]:
    """Return the columns an answer filled, but for the ids of the rows it is a detail of."""
    parents = {name for columns, _ in table.references for name in columns}
    return [one for one in table.columns if not isinstance(one.place, FromQuery) and one.name not in parents]


def queries_of(frame: pd.DataFrame, link: Link, given: Mapping[str, object]) -> list[Query]:
    """Return the queries for what the rows name, each once, in their order; what is given goes before the rows' own."""
    endpoint = link.endpoint
    unknown = set(given) - {p.argument for p in endpoint.parameters}
    if unknown:
        raise InvalidArgumentError(f"{link.target.name} has no parameter {', '.join(sorted(unknown))}. Leave it out")
    frame = frame[_can_be_queried(frame[link.column.name], link)]
    check_partners(frame, link.table)
    columns: list[list[Value]] = [check_column(frame[link.column.name], link.column, link.entity)]
    for parameter in endpoint.parameters:
        if parameter.argument not in given and parameter.column in link.table.names:
            columns.append(check_column(frame[parameter.column], link.table[parameter.column], parameter))
        else:
            value = given.get(parameter.argument, parameter.default)
            columns.append([parameter.check(parameter.argument, value)] * len(frame))
    return [Query(endpoint, values) for values in dict.fromkeys(zip(*columns, strict=True))]


def _can_be_queried(series: pd.Series[Any], link: Link) -> npt.NDArray[np.bool_]:
    """Return which rows name somebody a request can name: an answer may leave an id out, or have an unusual name.

    No row is without its key; an id that is not valid was spoilt since, as by a spreadsheet: both are refused later.
    """
    values = read_column(series, link.column)
    unusual = {}
    for value in dict.fromkeys(values):
        if isinstance(value, str) and link.column.kind != "id":
            try:
                link.entity.check(link.column.name, value)
            except InvalidArgumentError:
                unusual[value] = shown(value)
    if unusual:
        warn(
            f"{link.column.name}: {listed(list(unusual.values()), 10)} cannot be requested under the names in the "
            f"answers. They are left out of {link.target.name}",
            MissingDataWarning,
        )
    is_key = link.column.name in link.table.key
    return np.array([value not in unusual and (is_key or value is not None) for value in values], dtype=np.bool_)
