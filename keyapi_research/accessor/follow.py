"""From ids in the rows of a frame to the asks that fetch what they name. Nothing is sent here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..arguments import Value
from ..columns import read_column
from ..endpoints import ENDPOINTS, Endpoint, Parameter, Query
from ..errors import InvalidArgumentError, MissingDataWarning, listed, shown, warn
from ..frames import check_column
from ..schema import TABLES, Column, FromQuery, Table


@dataclass(frozen=True)
class Link:
    """A column whose values another endpoint (or the same, about somebody else) is asked by."""

    table: Table
    column: Column
    endpoint: Endpoint
    entity: Parameter

    @property
    def gives(self) -> Table:
        """The table of what the ids name."""
        return self.endpoint.tables[0]


def _links_of(table: Table) -> list[Link]:
    """Find a table's links: ids the answer brought, and not those of the rows it is a detail of."""
    of_others = {name for columns, _ in table.references for name in columns}
    return [
        Link(table, column, endpoint, endpoint.entity)
        for column in table.columns
        for endpoint in ENDPOINTS
        if endpoint.entity is not None
        and f"_{column.name}".endswith(f"_{endpoint.entity.column}")
        and not isinstance(column.place, FromQuery)
        and column.name not in of_others
    ]


LINKS: Final[Mapping[str, Link]] = MappingProxyType(
    {table.name: link for table in TABLES.values() for link in _links_of(table)}
)


def asks_of(frame: pd.DataFrame, link: Link, given: Mapping[str, object]) -> list[Query]:
    """Make the asks of what the rows name, each once, in their order.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of the link's table.
    link : Link
        Which column to follow, and where to.
    given : mapping
        Parameters that go before those of the rows.

    Raises
    ------
    InvalidArgumentError
        A key or a parameter is missing or is none.
    """
    endpoint = link.endpoint
    unknown = set(given) - {p.argument for p in endpoint.parameters}
    if unknown:
        raise InvalidArgumentError(f"{link.gives.name} take no {', '.join(sorted(unknown))}: leave it out")
    frame = frame[_can_be_asked(frame[link.column.name], link)]
    columns: list[list[Value]] = [check_column(frame[link.column.name], link.column, link.entity)]
    for parameter in endpoint.parameters:
        if parameter.argument not in given and parameter.column in link.table.names:
            columns.append(check_column(frame[parameter.column], link.table[parameter.column], parameter))
        else:
            value = given.get(parameter.argument, parameter.default)
            columns.append([parameter.check(parameter.argument, value)] * len(frame))
    return [Query(endpoint, values) for values in dict.fromkeys(zip(*columns, strict=True))]


def _can_be_asked(series: pd.Series[Any], link: Link) -> npt.NDArray[np.bool_]:
    """Tell which rows name somebody that can be asked for: an answer may leave an id out, or have an odd name.

    No row is without its key; an id that is none was spoilt since, as by a spreadsheet: both are refused later.
    """
    values = read_column(series, link.column)
    odd = {}
    for value in dict.fromkeys(values):
        if isinstance(value, str) and link.column.kind != "id":
            try:
                link.entity.check(link.column.name, value)
            except InvalidArgumentError:
                odd[value] = shown(value)
    if odd:
        warn(
            f"{link.column.name}: {listed(list(odd.values()), 10)} cannot be asked for, as the answers name them; left "
            f"out of {link.gives.name}",
            MissingDataWarning,
        )
    is_key = link.column.name in link.table.key
    return np.array([value not in odd and (is_key or value is not None) for value in values], dtype=np.bool_)
