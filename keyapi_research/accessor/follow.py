"""What the rows of a table lead to: other tables of the same answers, and what their ids name. Nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..arguments import Value
from ..columns import read_column
from ..errors import InvalidArgumentError, MissingDataWarning, listed, shown, warn
from ..frames import Needs, check_column, check_partners, identifying_columns
from ..model import TABLES, Column, Parameter, Table
from ..queries import Query, Today, make_queries
from .recognise import fitting


@dataclass(frozen=True)
class Link:
    """A column, and the table that is fetched by its values."""

    table: Table
    column: Column
    target: Table

    @property
    def entity(self) -> Parameter:
        """The parameter that takes the values."""
        return self.target.endpoint.inputs[0]


def parts_of(method: str) -> dict[str, Table]:
    """Return what a method reads from answers, by the table whose rows lead to it."""
    return {part.endpoint.tables[0].name: part for part in TABLES.values() if part.reached_by == method}


def links_of(method: str) -> dict[str, Link]:
    """Return what a method fetches by, by the table whose rows have the ids, or whose answers do."""
    found = {}
    for table in TABLES.values():
        if method in table.leads_to:
            by, target = table.leads_to[method]
            holder = table if by in table.names else TABLES[by]
            found[table.name] = Link(holder, holder[holder.leads_to[method][0]], TABLES[target])
    return found


def needs_of(method: str) -> Needs:
    """Return, by table, the columns that say which answer a row came from, and those with ids that are fetched.

    A method that no table is declared with is for all.
    """
    key = identifying_columns()
    needs = {name: key[name] for name in parts_of(method)}
    for name, link in links_of(method).items():
        needs[name] = key[name] | {link.column.name} if link.table.name == name else key[name]
    return needs or key


def any_of(frame: pd.DataFrame, method: str, given: Mapping[str, object]) -> str | None:
    """Return one of several tables in a frame, where a method fetches the same by each of them: which is no matter."""
    links = links_of(method)
    found = [links[table.name] for table in fitting(needs_of(method), frame) if table.name in links]
    ways = {(link.column.name, link.target.name) for link in found}
    endpoints = [link.target.endpoint for link in found if link.target.endpoint.series is None]
    requested = {one.column for endpoint in endpoints for one in endpoint.parameters if one.argument not in given}
    alike = len(found) > 1 and len(ways) == 1 and not any(requested & set(link.table.names) for link in found)
    return found[0].table.name if alike else None


def queries_of(
    frame: pd.DataFrame, link: Link, given: Mapping[str, object], today: Today | None = None
) -> Sequence[Query]:
    """Return the queries for what the rows name, each once, in their order; what is given goes before the rows' own.

    `today` settles what is given of a series.
    """
    endpoint = link.target.endpoint
    if endpoint.series is not None:
        named = frame[_can_be_queried(frame[link.column.name], link)]
        check_partners(named, link.table)
        return make_queries(endpoint, check_column(named[link.column.name], link.column, link.entity), given, today)
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
